//! A customer system as an end of a book: `cargo run --example customer_system --features http,service`.
//!
//! The system here is a tiny one on loopback, HTTP and JSON ([`system`]); the adapter ([`adapter`]) is what one writes for a real
//! one: which of its fields is what stands in a text, the rest is five functions. Its other ends are a table, and whatever devices
//! sync with the book. What changes at one comes to the others, and what a turn wrote is no change.

mod adapter;
mod system;

use adapter::Adapter;
use std::cell::RefCell;
use std::error::Error;
use syncml::auth::{Secret, Verifier};
use syncml::message::Timestamp;
use syncml::service::interchange::ends::{Centre, Document, End, EndOptions, Turned, turn};
use syncml::service::interchange::{ReadOptions, Target};
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, Store};

/// What the system calls its fields, and what they are.
const MAPPING: &str = "[columns]\nname.first = n.given\nname.last = n.family\nphones.mobile = tel.mobile\nphones.office = tel.work\nmail = email\n";

fn main() -> Result<(), Box<dyn Error>> {
    let system = system::start()?;
    system.add(r#"{"name":{"first":"Ann","last":"Doe"},"phones":{"mobile":"5550001"},"segment":"A"}"#);
    system.add(r#"{"name":{"first":"Ben","last":"Roe"},"mail":"ben@example.org"}"#);

    let store = MemoryStore::new([7; 32]);
    let secret = Secret::new("nobody asks".to_owned());
    let account = store.directory().put_login("ada", &Verifier::Password(secret))?;
    let centre = Centre { store: &store, account, book: BookNo::CONTACTS };

    let mut crm = Adapter::new(system.address(), MAPPING.parse()?);
    let table = RefCell::new(b"Name,Mobile,Notes\r\nAnn Doe,5550001,likes chess\r\n".to_vec());
    let kind = Target::named("csv").ok_or("no such target")?;
    let mut document = Document::new(kind, ReadOptions::default(), |bytes| {
        *table.borrow_mut() = bytes.to_vec();
        Ok(())
    })?;

    let mut round = |what: &str| -> Result<(), Box<dyn Error>> {
        for _ in 0..2 {
            take_turn(centre, "crm", &mut crm)?;
            document.take(&table.borrow())?;
            take_turn(centre, "table", &mut document)?;
        }
        let quiet = take_turn(centre, "crm", &mut crm)?.is_nothing();
        println!("{what}:\n{}{}the circle ends: {quiet}", system.shown(), String::from_utf8_lossy(&table.borrow()));
        Ok(())
    };
    round("linked")?;
    system.set("1", "phones", r#"{"mobile":"5550009"}"#);
    round("changed in the system")?;
    let edited = String::from_utf8(table.borrow().clone())?
        .replace("Ben Roe,", "Ben Roe,5550002")
        .replace("Ann Doe,5550009,likes chess\r\n", "Ann Doe,5550009,likes chess\r\nCid,5550003,\r\n");
    *table.borrow_mut() = edited.into_bytes();
    round("changed in the table")?;
    Ok(())
}

fn take_turn(centre: Centre<'_>, name: &str, end: &mut dyn End) -> Result<Turned, Box<dyn Error>> {
    let turned = turn(centre, end, &EndOptions::new(name), Timestamp(1_700_000_000_000))?;
    let wrong = turned.skipped().next().map(|(entry, reason)| format!("{name}: {entry}: {reason}"));
    wrong.map_or(Ok(turned), |wrong| Err(wrong.into()))
}
