//! SyncML / OMA Data Synchronization, client and server, to embed.
//!
//! Two books talk. [`message`] is what they say, [`codec`] how it is written down, [`auth`] who is speaking, `session`
//! whose turn it is, `sync` what should happen, [`contact`] what a card means, [`store`] where it rests. Bytes come in
//! at the top, pass these rooms once in this order, and leave as the answer. No room reaches for a clock, a socket, a
//! file or randomness: what it needs is handed in.
//!
//! Two books in one program, in step after one session:
//!
//! ```
//! use std::error::Error;
//! use std::sync::Arc;
//! use syncml::auth::{Secret, Verifier};
//! use syncml::message::Timestamp;
//! use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Request, Server, ServerConfig};
//! use syncml::store::memory::MemoryStore;
//! use syncml::store::{self, AccountNo, BookNo, BookWriter, Draft, Revision, Store, Verdict};
//!
//! /// What a host's clock says, in milliseconds since 1970.
//! const NOW: Timestamp = Timestamp(1_700_000_000_000);
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let password = || Secret::new("secret".to_owned());
//!
//!     // The server: a store, and who has an account there. A store in memory is given 32 random bytes to sign with.
//!     let there = Arc::new(MemoryStore::new([7; 32]));
//!     let alice = there.directory().put_login("alice", &Verifier::Password(password()))?;
//!     add(&*there, alice, "Ann")?;
//!     let server = Server::new(there.clone(), ServerConfig::default())?;
//!
//!     // The client: a store of its own, with one account whose password nobody asks for.
//!     let here = Arc::new(MemoryStore::new([8; 32]));
//!     let own = here.directory().put_login("own", &Verifier::Password(password()))?;
//!     add(&*here, own, "Bob")?;
//!
//!     // A session: say, hear, until there is nothing more to say.
//!     let credentials = Credentials::Md5 { user: "alice".to_owned(), password: password() };
//!     let books = vec![ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts")];
//!     let config = ClientConfig::new("https://sync.example.com/syncml", "IMEI:490154203237518", credentials, books);
//!     let mut client = Client::begin(here.clone(), own, config, NOW)?;
//!     while let Some(out) = client.outgoing() {
//!         let reply = server.answer(&Request {
//!             content_type: out.content_type,
//!             body: &out.body,
//!             token: out.token(),  // over HTTP: the parameter `s` of the URL
//!             mac: None,           // the header x-syncml-hmac
//!             protected: true,     // TLS, as the host asserts
//!             loopback: false,
//!             address: Some("192.0.2.7"),
//!             now: NOW,
//!         })?;
//!         client.received(reply.content_type, &reply.body, NOW)?;
//!     }
//!     assert!(client.report().clean);
//!     assert_eq!(names(&*here, own)?, ["Ann", "Bob"]);
//!     assert_eq!(names(&*there, alice)?, ["Ann", "Bob"]);
//!     println!("Both hold Ann and Bob.");
//!     Ok(())
//! }
//!
//! /// Puts a card into a book, in a step of its own.
//! fn add(store: &dyn Store, account: AccountNo, name: &str) -> store::Result<()> {
//!     let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\nEND:VCARD\r\n");
//!     store.step(account, &mut |tx| {
//!         let Some(book) = tx.lock_books(&[BookNo::CONTACTS])?.pop() else { return Ok(Verdict::Rollback) };
//!         let mut writer = BookWriter::new(book, None, NOW);
//!         writer.add(Draft::of(BookNo::CONTACTS, card.as_bytes()));
//!         writer.flush(tx)?;
//!         Ok(Verdict::Commit)
//!     })
//! }
//!
//! /// Whom a book holds.
//! fn names(store: &dyn Store, account: AccountNo) -> store::Result<Vec<String>> {
//!     let mut names = Vec::new();
//!     store.look(account, &mut |tx| {
//!         let head = tx.book(BookNo::CONTACTS)?.map_or(Revision(0), |book| book.head);
//!         for item in tx.changes(BookNo::CONTACTS, Revision(0), head, 100)? {
//!             let card = String::from_utf8_lossy(&item.content);
//!             names.extend(card.lines().find_map(|line| line.strip_prefix("FN:")).map(str::to_owned));
//!         }
//!         Ok(())
//!     })?;
//!     names.sort();
//!     Ok(names)
//! }
//! ```
//!
//! The README lists more examples, and `docs/guide.md` tells how it all fits together.

// The rooms, in order: each may use only the rooms above it.
pub mod message;

pub mod codec;

pub mod auth;
pub mod contact;
pub mod store;
pub mod sync;

pub mod session;

pub mod notify;

pub mod kit;
pub mod transport;

#[cfg(feature = "service")]
pub mod service;

/// The README's examples, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
