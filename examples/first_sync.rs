//! How long a first sync takes: `cargo run --release --example first_sync -- [N]`.
//!
//! N cards here meet N cards there, half of them the same, in memory, once with N and once with twice as many; seven times
//! in turn, so that both meet the same machine, and the median counts. What is said to be linear must not take more than
//! about twice as long. Then the same as a plan.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments and the clock

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::message::Timestamp;
use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Request, Server, ServerConfig, plan};
use syncml::store::memory::MemoryStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Store, Verdict};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const ROUNDS: usize = 7;

fn main() -> Outcome<()> {
    let n: usize = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let rounds = (0..ROUNDS).map(|_| Ok([first_sync(n)?, first_sync(2 * n)?])).collect::<Outcome<Vec<_>>>()?;
    for (at, count) in [n, 2 * n].into_iter().enumerate() {
        let sync = median(rounds.iter().map(|round| round[at].0.as_secs_f64()));
        let dry = median(rounds.iter().map(|round| round[at].1.as_secs_f64()));
        println!("{count} against {count}, half the same: sync {sync:.2} s, plan {dry:.2} s");
    }
    let sync = median(rounds.iter().map(|[one, two]| two.0.as_secs_f64() / one.0.as_secs_f64()));
    let dry = median(rounds.iter().map(|[one, two]| two.1.as_secs_f64() / one.1.as_secs_f64()));
    println!("twice as many take {sync:.2} times as long, planned {dry:.2}");
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn first_sync(n: usize) -> Outcome<(Duration, Duration)> {
    let (store, device) = (Arc::new(MemoryStore::new([1; 32])), Arc::new(MemoryStore::new([2; 32])));
    let account = store.directory().put_login("alice", &Verifier::Password(Secret::new("secret".to_owned())))?;
    let local = device.directory().put_login("local", &Verifier::Md5([0; 16]))?;
    let theirs: Vec<Vec<u8>> = (n / 2..n / 2 + n).map(card).collect();
    fill(store.as_ref(), account, (0..n).map(card))?;
    fill(device.as_ref(), local, theirs.iter().cloned())?;
    let start = Instant::now();
    let planned = plan(store.as_ref(), account, BookNo::CONTACTS, &theirs)?;
    let dry = start.elapsed();
    assert_eq!(planned.plan.counts().matched, n / 2);

    let credentials = Credentials::Basic { user: "alice".to_owned(), password: Secret::new("secret".to_owned()) };
    let books = vec![ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts")];
    let config = ClientConfig {
        encoding: Encoding::Wbxml,
        max_msg_size: 150_000,
        ..ClientConfig::new("http://sync.example.com/syncml", "phone", credentials, books)
    };
    let server = Server::new(store, ServerConfig::default())?;
    let start = Instant::now();
    let mut client = Client::begin(device, local, config, NOW)?;
    while let Some(out) = client.outgoing() {
        let request = Request {
            content_type: out.content_type,
            body: &out.body,
            token: out.token(),
            mac: None,
            protected: true,
            loopback: true,
            address: None,
            now: NOW,
        };
        let reply = server.answer(&request).map_err(|refusal| refusal.to_string())?;
        client.received(reply.content_type, &reply.body, NOW)?;
    }
    let took = start.elapsed();
    let report = client.report();
    assert!(report.clean, "{report:?}");
    assert_eq!(report.books[0].received.added, (n / 2) as u64);
    Ok((took, dry))
}

fn fill(store: &dyn Store, account: AccountNo, cards: impl Iterator<Item = Vec<u8>>) -> Outcome<()> {
    let cards: Vec<Vec<u8>> = cards.collect();
    for page in cards.chunks(1_000) {
        store.step(account, &mut |tx| {
            let Some(row) = tx.lock_books(&[BookNo::CONTACTS])?.pop() else { return Ok(Verdict::Rollback) };
            let mut writer = BookWriter::new(row, None, NOW);
            for card in page {
                writer.add(Draft::of(BookNo::CONTACTS, card.clone()));
            }
            writer.flush(tx)?;
            Ok(Verdict::Commit)
        })?;
    }
    Ok(())
}

/// A card of about 500 bytes.
fn card(n: usize) -> Vec<u8> {
    let note = "what one remembers of somebody one meets once a year ".repeat(5);
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Family{};Given{n};;;\r\nFN:Given{n} Family{}\r\nTEL;TYPE=CELL:+49170{n:07}\r\n\
         EMAIL:given{n}@example.org\r\nADR;TYPE=HOME:;;Main Street {n};Town;;12345;Land\r\nNOTE:{note}\r\nEND:VCARD\r\n",
        n % 500,
        n % 500,
    )
    .into_bytes()
}
