//! An address book of a host's own, behind the trait [`Book`]: `cargo run --example own_book`.
//!
//! The book is a map in memory here; a file, a database or a web service will do as well. What the engine needs to know
//! of it rests in a store beside it. [`collect`] brings in what the book's user did, a session follows, and [`deliver`]
//! brings out what others did; a crash between any two of these loses nothing and doubles nothing.

mod shared;

use shared::{Outcome, SERVER, add, card, contacts, name, now, run, secret};
use std::collections::BTreeMap;
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::session::{Client, ClientConfig, Credentials, Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::replica::{Applied, Book, BookOp, Entry, ReplicaOptions, collect, deliver};
use syncml::store::{AccountNo, BookNo, Store};

/// Cards by their ids, each with how often it was written.
#[derive(Default)]
struct Map {
    cards: BTreeMap<String, (u64, Vec<u8>)>,
    last: u64,
}

impl Map {
    fn write(&mut self, id: String, content: &[u8]) -> Entry {
        let version = self.cards.get(&id).map_or(1, |(version, _)| version + 1);
        self.cards.insert(id.clone(), (version, content.to_vec()));
        Entry { id, version: version.to_be_bytes().to_vec() }
    }

    fn version(&self, id: &str) -> Option<Vec<u8>> {
        self.cards.get(id).map(|(version, _)| version.to_be_bytes().to_vec())
    }

    fn add(&mut self, content: &[u8]) -> Entry {
        self.last += 1;
        self.write(self.last.to_string(), content)
    }
}

impl Book for Map {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        let entry = |(id, (version, _)): (&String, &(u64, _))| Entry {
            id: id.clone(),
            version: version.to_be_bytes().to_vec(),
        };
        Ok(self.cards.iter().map(entry).collect())
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        Ok(ids.iter().map(|id| self.version(id)).collect())
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.cards.get(id).map(|(_, content)| content.clone()))
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        let mut done = Vec::new();
        for op in ops {
            done.push(match op {
                BookOp::Add { content, .. } => Applied::Done(self.add(content)),
                // The user was faster: that comes in first.
                BookOp::Replace { id, expected, .. } | BookOp::Delete { id, expected }
                    if self.version(id).as_deref() != Some(*expected) =>
                {
                    Applied::Changed
                }
                BookOp::Replace { id, content, .. } => Applied::Done(self.write((*id).to_owned(), content)),
                BookOp::Delete { id, expected } => {
                    self.cards.remove(*id);
                    Applied::Done(Entry { id: (*id).to_owned(), version: expected.to_vec() })
                }
            });
        }
        Ok(done)
    }
}

fn main() -> Outcome {
    let there = Arc::new(MemoryStore::new([7; 32]));
    let alice = there.directory().put_login("alice", &Verifier::Password(secret("secret")))?;
    add(&*there, alice, "Ann")?;
    let server = Server::new(there.clone(), ServerConfig::default())?;

    // With the book a host keeps a store: SQLite, as a rule.
    let beside = Arc::new(MemoryStore::new([8; 32]));
    let own = beside.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    let mut book = Map::default();
    book.add(&card("Bob"));

    sync(&server, &beside, own, &mut book)?;
    println!("after the first sync: {}", all(&book));
    assert_eq!(all(&book), "Ann, Bob");

    let ann = book.cards.iter().find(|(_, (_, card))| name(card).as_deref() == Some("Ann")).map(|(id, _)| id.clone());
    book.cards.remove(&ann.ok_or("Ann is not here")?);
    add(&*there, alice, "Cleo")?;
    sync(&server, &beside, own, &mut book)?;
    println!("Ann was deleted here, Cleo added there: {}", all(&book));
    assert_eq!(all(&book), "Bob, Cleo");
    Ok(())
}

fn sync(server: &Server, beside: &Arc<MemoryStore>, own: AccountNo, book: &mut Map) -> Outcome {
    let options = ReplicaOptions::default();
    collect(&**beside, own, BookNo::CONTACTS, book, &options, now())?;
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let config = ClientConfig::new(SERVER, "IMEI:490154203237518", credentials, contacts());
    run(server, &mut Client::begin(beside.clone(), own, config, now())?)?;
    deliver(&**beside, own, BookNo::CONTACTS, book, &options, now())?;
    Ok(())
}

fn all(book: &Map) -> String {
    let mut names: Vec<String> = book.cards.values().filter_map(|(_, card)| name(card)).collect();
    names.sort();
    names.join(", ")
}
