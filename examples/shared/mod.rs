//! What the examples have in common: cards, and a session without a network. The README has it in full.

#![allow(dead_code, unreachable_pub)] // each example uses its part

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};
use syncml::auth::Secret;
use syncml::message::Timestamp;
use syncml::session::{Client, ClientBook, Outgoing, Reply, Request, Server};
use syncml::store::{self, AccountNo, BookNo, BookWriter, Draft, Revision, Store, Verdict};

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub const SERVER: &str = "https://sync.example.com/syncml";

#[allow(clippy::disallowed_methods)] // a program reads its clock
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub fn contacts() -> Vec<ClientBook> {
    vec![ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts")]
}

/// What a host does by HTTP.
pub fn post(server: &Server, out: &Outgoing) -> Outcome<Reply> {
    Ok(server.answer(&Request {
        content_type: out.content_type,
        body: &out.body,
        token: out.token(),
        mac: out.mac.as_deref(),
        protected: true,
        loopback: false,
        address: Some("192.0.2.7"),
        now: now(),
    })?)
}

/// A session from its first message to its last.
pub fn run(server: &Server, client: &mut Client) -> Outcome {
    while let Some(out) = client.outgoing() {
        let reply = post(server, &out)?;
        client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), now())?;
    }
    match client.report() {
        report if report.clean => Ok(()),
        report => Err(format!("it did not end well: {:?}", report.problems).into()),
    }
}

pub fn card(name: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\nTEL;TYPE=CELL:+4917011111\r\nEND:VCARD\r\n")
        .into_bytes()
}

/// Puts a card into a book, in a step of its own.
pub fn add(store: &dyn Store, account: AccountNo, name: &str) -> store::Result<()> {
    store.step(account, &mut |tx| {
        let Some(book) = tx.lock_books(&[BookNo::CONTACTS])?.pop() else { return Ok(Verdict::Rollback) };
        let mut writer = BookWriter::new(book, None, now());
        writer.add(Draft::of(BookNo::CONTACTS, card(name)));
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })
}

/// Whom a book holds.
pub fn names(store: &dyn Store, account: AccountNo) -> store::Result<Vec<String>> {
    let mut names = Vec::new();
    store.look(account, &mut |tx| {
        let head = tx.book(BookNo::CONTACTS)?.map_or(Revision(0), |book| book.head);
        let items = tx.changes(BookNo::CONTACTS, Revision(0), head, 100)?;
        names.extend(items.iter().filter(|item| !item.deleted).filter_map(|item| name(&item.content)));
        Ok(())
    })?;
    names.sort();
    Ok(names)
}

pub fn name(card: &[u8]) -> Option<String> {
    String::from_utf8_lossy(card).lines().find_map(|line| line.strip_prefix("FN:")).map(str::to_owned)
}
