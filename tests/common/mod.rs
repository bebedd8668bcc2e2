//! A world in memory: one server, any number of clients, a clock that only moves when told.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::contact::identity::{Kind, identify};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::Timestamp;
use syncml::session::{
    Client, ClientBook, ClientConfig, ClientError, Credentials, Outgoing, Refusal, Reply, Report, Request, Server,
    ServerConfig,
};
use syncml::store::memory::MemoryStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Guid, ItemRow, Revision, Store, Verdict};

pub const SERVER_URI: &str = "http://sync.example.com/syncml";
pub const PASSWORD: &str = "secret";

/// One message and its answer, as the transport saw them.
#[derive(Clone)]
pub struct Exchange {
    pub uri: String,
    pub content_type: String,
    pub request: Vec<u8>,
    pub reply: Vec<u8>,
}

pub struct World {
    pub server: Server,
    pub account: AccountNo,
    pub now: Timestamp,
    pub wire: Vec<Exchange>,
    /// Whether what is said is kept for others to judge.
    pub judged: bool,
}

pub struct Device {
    pub store: Arc<dyn Store>,
    pub account: AccountNo,
    pub config: ClientConfig,
}

/// Messages kept of one test, and of one side of a conversation, for others to judge.
const MOST_EMITTED: usize = 60;

/// Keeps a message for `tests/schema.sh` and `tests/wbxml.py`, when the environment names a folder for it: as
/// `PROGRAM-LABEL-NNN.xml` or `.wbxml`, so that no two test programs write the same file.
#[allow(clippy::disallowed_methods)] // what the environment names is for the tests alone
pub fn emit(label: &str, encoding: Encoding, bytes: &[u8]) {
    static COUNTS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let Ok(folder) = std::env::var("SYNCML_TEST_MESSAGES") else { return };
    let extension = if encoding == Encoding::Xml { "xml" } else { "wbxml" };
    let name = format!("{}-{label}", env!("CARGO_CRATE_NAME"));
    let number = {
        let mut counts = COUNTS.lock().unwrap();
        let count = counts.entry(format!("{name}.{extension}")).or_default();
        *count += 1;
        *count
    };
    if number <= MOST_EMITTED {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(format!("{folder}/{name}-{number:03}.{extension}"), bytes).unwrap();
    }
}

/// The name of the test that runs, for [`emit`].
pub fn this_test() -> String {
    std::thread::current().name().unwrap_or("main").replace("::", "-")
}

/// Keeps what a phone said last, and what it heard.
pub fn emit_talk(phone: &Phone<'_>, heard: &Heard) {
    let (_, said) = phone.said().expect("something was said");
    for bytes in [said, &heard.bytes] {
        emit(&this_test(), Encoding::Xml, bytes);
    }
}

/// The token in a URL's query.
pub fn token_of(uri: &str) -> Option<&str> {
    uri.split_once('?')?.1.split('&').find_map(|pair| pair.strip_prefix("s="))
}

/// A server's stores, each empty.
pub fn stores() -> Vec<Arc<dyn Store>> {
    vec![
        Arc::new(MemoryStore::new([1; 32])),
        #[cfg(feature = "sqlite")]
        Arc::new(syncml::store::sqlite::SqliteStore::open_in_memory().unwrap()),
    ]
}

impl World {
    pub fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new([1; 32])), ServerConfig::default())
    }

    /// A world for each kind of store that a server can have.
    pub fn each() -> Vec<Self> {
        stores().into_iter().map(|store| Self::with(store, ServerConfig::default())).collect()
    }

    pub fn with(store: Arc<dyn Store>, config: ServerConfig) -> Self {
        let account =
            store.directory().put_login("alice", &Verifier::Password(Secret::new(PASSWORD.to_owned()))).unwrap();
        let server = Server::new(store, config).unwrap();
        Self { server, account, now: Timestamp(1_700_000_000_000), wire: Vec::new(), judged: true }
    }

    pub fn request<'a>(&self, uri: &'a str, content_type: &'a str, body: &'a [u8]) -> Request<'a> {
        Request {
            content_type,
            body,
            token: token_of(uri),
            mac: None,
            protected: false,
            loopback: true,
            address: Some("127.0.0.1"),
            now: self.now,
        }
    }

    pub fn tick(&mut self) {
        self.now = self.now.plus_seconds(10);
    }

    /// Posts a client's request; both bodies are kept for others to judge.
    pub fn post(&self, out: &Outgoing) -> Result<Reply, Refusal> {
        let request = Request { mac: out.mac.as_deref(), ..self.request(&out.uri, out.content_type, &out.body) };
        let reply = self.server.answer(&request)?;
        let encoding = Encoding::from_content_type(out.content_type).unwrap();
        if self.judged {
            emit(&this_test(), encoding, &out.body);
            emit(&this_test(), encoding, &reply.body);
        }
        Ok(reply)
    }

    /// Runs a session to its end.
    pub fn sync(&mut self, device: &Device) -> Result<Report, ClientError> {
        self.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), self.now)?;
        let mut messages = 0;
        while let Some(out) = client.outgoing() {
            messages += 1;
            assert!(messages < 10_000, "the session does not end");
            let reply = match self.post(&out) {
                Ok(reply) => reply,
                Err(refusal) => panic!("{refusal}\n{}", self.outline()),
            };
            self.wire.push(Exchange {
                uri: out.uri,
                content_type: out.content_type.to_owned(),
                request: out.body,
                reply: reply.body.clone(),
            });
            client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), self.now)?;
        }
        Ok(client.report())
    }

    /// The last exchanges in short, for a failing test.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        for exchange in self.wire.iter().rev().take(4).rev() {
            for bytes in [&exchange.request, &exchange.reply] {
                let encoding = Encoding::from_content_type(&exchange.content_type).unwrap();
                match syncml::codec::decode(bytes, encoding, &Default::default()) {
                    Ok(message) => {
                        out += &format!(
                            "{} bytes, msg {}{}\n",
                            bytes.len(),
                            message.header.msg_id,
                            if message.last { ", Final" } else { "" }
                        );
                        for command in &message.body {
                            match command {
                                syncml::message::Command::Status(s) => {
                                    out += &format!("  Status {} {} {}\n", s.cmd, s.cmd_ref, s.code)
                                }
                                syncml::message::Command::Sync(s) => {
                                    out += &format!("  Sync with {}\n", s.commands.len())
                                }
                                syncml::message::Command::Alert(a) => out += &format!("  Alert {:?}\n", a.code),
                                other => out += &format!("  {}\n", other.name()),
                            }
                        }
                    }
                    Err(error) => out += &format!("{error}\n"),
                }
            }
        }
        out
    }

    pub fn put(&self, content: &str) -> Guid {
        put(self.server.store().as_ref(), self.account, BookNo::CONTACTS, None, content, self.now)
    }

    pub fn cards(&self) -> Vec<String> {
        cards(self.server.store().as_ref(), self.account, BookNo::CONTACTS)
    }
}

impl Device {
    pub fn new(name: &str) -> Self {
        let seed = name.bytes().fold(7u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new([seed; 32]));
        let account = store.directory().put_login("local", &Verifier::Md5([0; 16])).unwrap();
        let credentials = Credentials::Md5 { user: "alice".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
        let books = vec![ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts")];
        let config = ClientConfig { max_msg_size: 20_000, ..ClientConfig::new(SERVER_URI, name, credentials, books) };
        Self { store, account, config }
    }

    pub fn put(&self, content: &str) -> Guid {
        put(self.store.as_ref(), self.account, BookNo::CONTACTS, None, content, Timestamp(0))
    }

    pub fn edit(&self, guid: Guid, content: &str) {
        put(self.store.as_ref(), self.account, BookNo::CONTACTS, Some(guid), content, Timestamp(0));
    }

    pub fn delete(&self, guid: Guid) {
        delete(self.store.as_ref(), self.account, BookNo::CONTACTS, guid, Timestamp(0));
    }

    pub fn cards(&self) -> Vec<String> {
        cards(self.store.as_ref(), self.account, BookNo::CONTACTS)
    }

    /// The item whose content has this text.
    pub fn find(&self, text: &str) -> Guid {
        find(self.store.as_ref(), self.account, BookNo::CONTACTS, text)
    }
}

pub fn put(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    guid: Option<Guid>,
    content: &str,
    now: Timestamp,
) -> Guid {
    let identity = identify(Kind::Contact, content.as_bytes());
    let mut result = Guid(0);
    store
        .step(account, &mut |tx| {
            let row = tx.lock_books(&[book])?.remove(0);
            let mut writer = BookWriter::new(row, None, now);
            let draft = Draft {
                content: content.as_bytes().to_vec().into(),
                fingerprint: identity.fingerprint.0,
                keys: identity.keys.iter().map(|key| key.0).collect::<Vec<_>>().into(),
                ..Draft::default()
            };
            result = match guid {
                None => writer.add(draft).guid,
                Some(guid) => {
                    let old = tx.items(book, &[guid])?.remove(0).expect("the item to edit");
                    writer.replace(&old, draft).guid
                }
            };
            writer.flush(tx)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
    result
}

pub fn delete(store: &dyn Store, account: AccountNo, book: BookNo, guid: Guid, now: Timestamp) {
    store
        .step(account, &mut |tx| {
            let row = tx.lock_books(&[book])?.remove(0);
            let mut writer = BookWriter::new(row, None, now);
            let old = tx.items(book, &[guid])?.remove(0).expect("the item to delete");
            writer.delete(&old);
            writer.flush(tx)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
}

pub fn items(store: &dyn Store, account: AccountNo, book: BookNo) -> Vec<ItemRow<'static>> {
    let mut all = Vec::new();
    store
        .step(account, &mut |tx| {
            all = tx.changes(book, Revision(0), Revision(i64::MAX), usize::MAX)?;
            Ok(Verdict::Rollback)
        })
        .unwrap();
    all.retain(|item| !item.deleted);
    all
}

/// The live cards, sorted, without line-end differences.
pub fn cards(store: &dyn Store, account: AccountNo, book: BookNo) -> Vec<String> {
    let mut all: Vec<String> = items(store, account, book)
        .iter()
        .map(|item| String::from_utf8(item.content.to_vec()).unwrap().replace("\r\n", "\n"))
        .collect();
    all.sort();
    all
}

pub fn find(store: &dyn Store, account: AccountNo, book: BookNo, text: &str) -> Guid {
    let hits: Vec<Guid> = items(store, account, book)
        .iter()
        .filter(|item| String::from_utf8_lossy(&item.content).contains(text))
        .map(|item| item.guid)
        .collect();
    assert_eq!(hits.len(), 1, "{text:?} is in {hits:?}");
    hits[0]
}

pub fn card(name: &str, number: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};Ann;;;\r\nFN:Ann {name}\r\nTEL;TYPE=CELL:{number}\r\nEND:VCARD\r\n")
}

/// A card of many.
pub fn numbered(n: usize) -> String {
    card(&format!("Name{n:04}"), &format!("+4917012{n:05}"))
}

/// How often each line of a card occurs among cards.
pub fn lines(cards: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in cards.iter().flat_map(|card| card.lines()) {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}
