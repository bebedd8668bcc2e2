//! Six fixed pieces of work whose instructions are counted: `tests/instructions.py` runs each under valgrind and compares
//! with what is kept in `tests/instructions.json`. `instructions CASE` does one; only what is within [`measured`] counts.

use std::hint::black_box;
use std::sync::Arc;
use syncml::auth::{Secret, Verifier};
use syncml::codec::{DataStyle, Encoder, Encoding, Limits, Options, decode};
use syncml::message::{
    Change, CmdId, Command, Data, Header, Item, Location, Message, Meta, MsgId, Op, SessionId, Sync, Timestamp, Version,
};
use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Request, Server, ServerConfig};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Result as Stored, Store, Verdict};

#[path = "large_books/cards.rs"]
mod cards;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const NOW: i64 = 1_700_000_000_000;
const CARDS: usize = 200;

fn main() -> Outcome<()> {
    #[allow(clippy::disallowed_methods)] // a program: it reads its argument
    let case = std::env::args().nth(1).ok_or("say which case")?;
    match case.as_str() {
        "decode-xml" => decoding(Encoding::Xml),
        "decode-wbxml" => decoding(Encoding::Wbxml),
        "encode-wbxml" => encoding(),
        "drafts" => drafts(),
        "first-sync" => first_sync(),
        "no-change" => no_change(),
        other => Err(format!("there is no case {other}").into()),
    }
}

/// What counts: the counting is switched on and off by this name.
#[inline(never)]
fn measured<T>(work: &mut dyn FnMut() -> T) -> T {
    black_box(work())
}

fn decoding(encoding: Encoding) -> Outcome<()> {
    let bytes = encoded(&contents(), encoding)?;
    measured(&mut || decode(&bytes, encoding, &Limits::default()).map(drop))?;
    Ok(())
}

fn encoding() -> Outcome<()> {
    let contents = contents();
    measured(&mut || encoded(&contents, Encoding::Wbxml).map(drop))
}

/// A card read once: its fingerprint and its match keys.
fn drafts() -> Outcome<()> {
    let contents = contents();
    measured(&mut || {
        for content in &contents {
            drop(black_box(Draft::of(BookNo::CONTACTS, content.clone().into_bytes())));
        }
    });
    Ok(())
}

fn first_sync() -> Outcome<()> {
    let mut world = World::new()?;
    measured(&mut || world.sync())
}

fn no_change() -> Outcome<()> {
    let mut world = World::new()?;
    world.sync()?;
    world.sync()?;
    measured(&mut || world.sync())
}

fn contents() -> Vec<String> {
    (0..CARDS).map(|number| String::from_utf8_lossy(&cards::card(number, cards::Cards::Plain)).into_owned()).collect()
}

/// A message that adds cards.
fn encoded(contents: &[String], encoding: Encoding) -> Outcome<Vec<u8>> {
    let add = |(content, id): (&String, u32)| {
        let item = Item {
            source: Some(Location::new(id.to_string())),
            data: Some(Data::text(content.clone())),
            ..Item::default()
        };
        Command::Change(Change {
            meta: Some(Meta::of_type("text/x-vcard")),
            ..Change::new(Op::Add, CmdId::from(id), item)
        })
    };
    let sync = Sync {
        cmd_id: CmdId::from(2),
        no_resp: false,
        cred: None,
        target: Some(Location::new("card")),
        source: Some(Location::new("./contacts")),
        meta: None,
        number_of_changes: Some(CARDS as u64),
        commands: contents.iter().zip(3_u32..).map(add).collect(),
    };
    let (target, source) = (Location::new("http://server.example/sync"), Location::new("IMEI:490154203237518"));
    let message = Message {
        header: Header::new(Version::V12, SessionId::from("1"), MsgId(2), target, source),
        body: vec![Command::Sync(sync)],
        last: true,
    };
    let options = Options::default().with_style(DataStyle::Escaped);
    let mut encoder = Encoder::new(encoding, Version::V12, &message.header, options)?;
    for command in &message.body {
        encoder.command(command)?;
    }
    Ok(encoder.finish(message.last))
}

/// A device with cards and a server, both with SQLite in memory, so that no file system is among what is counted.
struct World {
    server: Server,
    device: Arc<SqliteStore>,
    local: AccountNo,
    now: i64,
}

impl World {
    fn new() -> Outcome<Self> {
        let (books, device) = (Arc::new(SqliteStore::open_in_memory()?), Arc::new(SqliteStore::open_in_memory()?));
        books.directory().put_login("alice", &Verifier::Password(Secret::new("secret".to_owned())))?;
        let local = device.directory().put_login("local", &Verifier::Md5([0; 16]))?;
        fill(device.as_ref(), local)?;
        Ok(Self { server: Server::new(books, ServerConfig::default())?, device, local, now: NOW })
    }

    fn sync(&mut self) -> Outcome<()> {
        self.now += 60_000;
        let now = Timestamp(self.now);
        let credentials = Credentials::Md5 { user: "alice".to_owned(), password: Secret::new("secret".to_owned()) };
        let books = vec![ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts")];
        let config = ClientConfig {
            encoding: Encoding::Wbxml,
            ..ClientConfig::new("http://sync.example.com/syncml", "phone", credentials, books)
        };
        let mut client = Client::begin(self.device.clone(), self.local, config, now)?;
        while let Some(out) = client.outgoing() {
            let request = Request {
                content_type: out.content_type,
                body: &out.body,
                token: out.token(),
                mac: None,
                protected: true,
                loopback: true,
                address: None,
                now,
            };
            let reply = self.server.answer(&request).map_err(|refusal| refusal.to_string())?;
            client.received(reply.content_type, &reply.body, now)?;
        }
        if client.report().clean { Ok(()) } else { Err("the sync did not end well".into()) }
    }
}

fn fill(store: &dyn Store, account: AccountNo) -> Stored<()> {
    store.step(account, &mut |tx| {
        let Some(row) = tx.lock_books(&[BookNo::CONTACTS])?.pop() else { return Ok(Verdict::Rollback) };
        let mut writer = BookWriter::new(row, None, Timestamp(NOW));
        for number in 0..CARDS {
            writer.add(Draft::of(BookNo::CONTACTS, cards::card(number, cards::Cards::Plain)));
        }
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })
}
