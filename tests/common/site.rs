//! A server that has a name and books with a password of their own, and letters to it that are written by hand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use crate::common::{self, Device, PASSWORD, SERVER_URI, World, token_of};
use std::sync::Arc;
use syncml::auth::{Challenge, Identity, Scheme, Secret, Verifier};
use syncml::codec::{Encoding, decode, encode};
use syncml::message::{
    Alert, AlertCode, Anchor, Chal, Command, Cred, Get, Header, Item, Location, Message, Meta, MsgId, SessionId,
    Status, StatusCode, Version,
};
use syncml::session::{
    ClientBook, Credentials, Host, Refusal, Reply, Request, Server, ServerConfig, ServerIdentity, Speaker,
};
use syncml::store::{BookNo, Store};

pub const XML: &str = "application/vnd.syncml+xml";
pub const SERVER_SECRET: &str = "it is me";
pub const BOOKS: [(BookNo, &str); 6] = [
    (BookNo::CONTACTS, "contacts"),
    (BookNo::CALENDAR, "calendar"),
    (BookNo::TASKS, "tasks"),
    (BookNo::NOTES, "notes"),
    (BookNo::BOOKMARKS, "bookmarks"),
    (BookNo::FILES, "files"),
];

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A server that has a name, and some books of which have the password `locked`.
pub struct Site {
    pub named: bool,
    pub locked: &'static [BookNo],
}

pub const ALL: [BookNo; 6] = [BookNo(1), BookNo(2), BookNo(3), BookNo(4), BookNo(5), BookNo(6)];

impl Host for Site {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        self.named.then(|| ServerIdentity { name: "server".to_owned(), secret: secret(SERVER_SECRET) })
    }

    fn book_verifier(&self, _: &Speaker<'_>, book: BookNo) -> Option<Verifier> {
        self.locked.contains(&book).then(|| Verifier::Password(secret("locked")))
    }
}

pub fn worlds(named: bool, locked: &'static [BookNo], config: &ServerConfig) -> Vec<World> {
    let world = |store: Arc<dyn Store>| {
        let mut world = World::with(Arc::clone(&store), config.clone());
        world.server = Server::new(store, config.clone()).unwrap().with_host(Arc::new(Site { named, locked }));
        world
    };
    common::stores().into_iter().map(world).collect()
}

/// A message by hand, over TLS.
pub struct Letter {
    pub uri: String,
    pub session: &'static str,
    pub msg_id: u32,
    pub source: Location<'static>,
    pub cred: Option<Cred<'static>>,
    pub mac: Option<Vec<u8>>,
    pub body: Vec<Command<'static>>,
}

impl Letter {
    pub fn of(name: Option<&'static str>, cred: Option<Cred<'static>>) -> Self {
        let source = Location { uri: "phone".into(), name: name.map(Into::into) };
        let body = vec![alert("contacts", None)];
        Self { uri: SERVER_URI.to_owned(), session: "77", msg_id: 1, source, cred, mac: None, body }
    }

    pub fn post(&self, world: &World) -> Result<Reply, Refusal> {
        let session = SessionId::from(self.session);
        let target = Location::new(self.uri.clone());
        let mut header = Header::new(Version::V12, session, MsgId(self.msg_id), target, self.source.clone());
        header.cred.clone_from(&self.cred);
        let bytes = encode(&Message { header, body: self.body.clone(), last: true }, Encoding::Xml).unwrap();
        let signed = self.mac.as_ref().map(|nonce| {
            Identity { user: "alice", device_id: "phone", secret: &secret(PASSWORD) }
                .mac_header(nonce, &bytes)
                .to_string()
        });
        let request = Request { protected: true, loopback: false, ..world.request(&self.uri, XML, &bytes) };
        world.server.answer(&Request { token: token_of(&self.uri), mac: signed.as_deref(), ..request })
    }

    pub fn hear(&self, world: &World) -> Heard {
        hear(&self.post(world).unwrap())
    }
}

/// What came of it: the header's Status and challenge, the Alert's, and the server's own credential.
#[derive(Debug)]
pub struct Heard {
    pub code: u16,
    pub chal: Option<Challenge>,
    pub alert: Option<u16>,
    pub asked: Option<Challenge>,
    pub uri: Option<String>,
    pub shown: Option<String>,
}

pub fn hear(reply: &Reply) -> Heard {
    let message = decode(&reply.body, Encoding::Xml, &Default::default()).unwrap();
    let shown = message.header.cred.as_ref().map(|cred| cred.meta.as_ref().unwrap().media_type.clone().unwrap());
    let uri = message.header.resp_uri.as_ref().map(ToString::to_string);
    let mut heard =
        Heard { code: 0, chal: None, alert: None, asked: None, uri, shown: shown.map(|text| text.to_string()) };
    for command in &message.body {
        let Command::Status(status) = command else { continue };
        let chal = status.chal.as_ref().map(|chal| Challenge::read(chal).unwrap());
        if status.cmd_ref.as_str() == "0" {
            (heard.code, heard.chal) = (status.code.0, chal);
        } else if status.cmd == "Alert" {
            (heard.alert, heard.asked) = (Some(status.code.0), chal);
        }
    }
    heard
}

pub fn alert(target: &'static str, cred: Option<Cred<'static>>) -> Command<'static> {
    let anchor = Anchor { last: None, next: "1".into() };
    let item = Item {
        target: Some(Location::new(target)),
        source: Some(Location::new("./here")),
        meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
        ..Item::default()
    };
    Command::Alert(Alert {
        cmd_id: 2.into(),
        no_resp: false,
        cred,
        code: Some(AlertCode::SLOW),
        correlator: None,
        items: vec![item],
    })
}

pub fn question() -> Command<'static> {
    let item = Item { target: Some(Location::new("./changes")), ..Item::default() };
    Command::Get(Get { cmd_id: 2.into(), no_resp: false, lang: None, cred: None, meta: None, items: vec![item] })
}

/// What the device says of the server's header.
pub fn word(code: StatusCode, chal: Option<Chal<'static>>) -> Command<'static> {
    Command::Status(Status {
        cmd_id: 1.into(),
        msg_ref: "1".into(),
        cmd_ref: "0".into(),
        cmd: "SyncHdr".into(),
        target_refs: Vec::new(),
        source_refs: Vec::new(),
        cred: None,
        chal,
        code,
        items: Vec::new(),
    })
}

pub fn basic(user: &str, password: &str) -> Option<Cred<'static>> {
    Identity { user, device_id: "phone", secret: &secret(password) }.answer(Scheme::Basic, b"", Version::V12)
}

pub fn md5(password: &str, nonce: &[u8]) -> Option<Cred<'static>> {
    Identity { user: "alice", device_id: "phone", secret: &secret(password) }.answer(Scheme::Md5, nonce, Version::V12)
}

pub fn with_books(count: usize, own: impl Fn(&'static str) -> Credentials) -> Device {
    let mut device = Device::new("phone");
    let first = device.config.books[0].clone();
    device.config.books = BOOKS[..count]
        .iter()
        .map(|(book, name)| ClientBook {
            book: *book,
            local_uri: format!("./{name}"),
            remote_uri: (*name).to_owned(),
            ..first.clone()
        })
        .collect();
    device.config.book_credentials = BOOKS[..count].iter().map(|(book, name)| (*book, own(name))).collect();
    device
}

pub fn book_md5(password: &str) -> Credentials {
    Credentials::Md5 { user: "alice".to_owned(), password: secret(password) }
}

pub fn book_basic(password: &str) -> Credentials {
    Credentials::Basic { user: "alice".to_owned(), password: secret(password) }
}

pub fn wary(credentials: Credentials) -> Device {
    let mut device = Device::new("phone");
    device.config.credentials = credentials;
    device.config.server = Some(ServerIdentity { name: "server".to_owned(), secret: secret(SERVER_SECRET) });
    device
}
