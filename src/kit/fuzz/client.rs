//! A client against a server that says anything.
//!
//! Held against it: sessions end, no card of its book is lost without a trace, nor deleted unless the server was asked for
//! that; a password that is not to be told is never told (§5.3); what is written is SyncML, as large as it may be at most (I8).

use super::Input;
use super::talk::{Author, BOOK, NOW, assert_maps, card, damage, is_kept, live};
use crate::auth::{Secret, Verifier};
use crate::codec::{Encoding, Limits, decode, encode};
use crate::message::{
    Alert, AlertCode, Anchor, CmdId, Command, Header, Item, Location, Message, Meta, MsgId, Op, SessionId, StatusCode,
    Version,
};
use crate::session::{Client, ClientBook, ClientConfig, Credentials};
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, Store};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// Sessions of one run at most, and exchanges of a session.
const SESSIONS: usize = 3;
const EXCHANGES: usize = 24;

/// Below that a peer's MaxMsgSize cannot be kept: a header with its Status and one command takes as much.
const SMALLEST: u64 = 2_500;

const PASSWORD: &str = "never to be told";

/// The modes; the two last ones may delete here, the last one all.
const MODES: [AlertCode; 6] = [
    AlertCode::TWO_WAY,
    AlertCode::SLOW,
    AlertCode::ONE_WAY_FROM_CLIENT,
    AlertCode::REFRESH_FROM_CLIENT,
    AlertCode::ONE_WAY_FROM_SERVER,
    AlertCode::REFRESH_FROM_SERVER,
];

/// Plays what the choices say.
pub fn client(bytes: &[u8]) {
    // What a server says itself, a client may repeat.
    if secrets().iter().any(|secret| holds(bytes, secret)) {
        return;
    }
    let mut input = Input::new(bytes);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new([2; 32]));
    let account =
        store.directory().put_login("local", &Verifier::Md5([0; 16])).expect("a store in memory takes a login");
    for name in 0..4 {
        super::talk::edit(store.as_ref(), account, None, Some(&card(&format!("mine-{name}-"), name)), NOW);
    }
    let mut server = Hostile {
        author: Author { cmd_id: 0, there: "./card", here: "contacts", ids: Vec::new(), cards: 0 },
        msg_id: 0,
        deletes: 0,
        max_msg_size: None,
    };
    let mut now = NOW;
    for _ in 0..SESSIONS {
        let mode = input.pick(&MODES);
        server.deletes += if mode == AlertCode::REFRESH_FROM_SERVER { 1_000 } else { 0 };
        session(&store, account, mode, &mut server, &mut input, now);
        now = now.plus_seconds(60);
        assert_maps(store.as_ref(), account);
        for name in 0..4 {
            assert!(is_kept(store.as_ref(), account, &format!("mine-{name}-")), "I1: card {name} has no past");
        }
        let left = live(store.as_ref(), account).len();
        assert!(left + server.deletes >= 4, "{left} cards are left, the server asked for {} deletes", server.deletes);
        if input.is_empty() {
            break;
        }
    }
}

fn config(mode: AlertCode, input: &mut Input<'_>) -> ClientConfig {
    let (user, password) = ("alice".to_owned(), Secret::new(PASSWORD.to_owned()));
    let credentials = match input.below(4) {
        3 => Credentials::Mac { user, password },
        _ => Credentials::Md5 { user, password },
    };
    let books = vec![ClientBook { mode, ..ClientBook::new(BOOK, "./card", "contacts") }];
    ClientConfig {
        encoding: input.pick(&[Encoding::Xml, Encoding::Wbxml]),
        version: input.pick(&[Version::V12, Version::V11, Version::V10]),
        max_msg_size: input.pick(&[20_000, 3_000]),
        max_obj_size: 100_000,
        max_card_size: 100_000,
        ..ClientConfig::new("http://server.example/syncml", "phone", credentials, books)
    }
}

fn session(
    store: &Arc<dyn Store>,
    account: AccountNo,
    mode: AlertCode,
    server: &mut Hostile,
    input: &mut Input<'_>,
    now: crate::message::Timestamp,
) {
    let config = config(mode, input);
    let encoding = config.encoding;
    let mut client =
        Client::begin(store.clone(), account, config, now).expect("a session can begin over a store in memory");
    (server.msg_id, server.max_msg_size) = (0, None);
    for _ in 0..EXCHANGES {
        let Some(out) = client.outgoing() else { return };
        let request = decode(&out.body, encoding, &Limits::default())
            .unwrap_or_else(|error| panic!("what a client writes is SyncML: {error}"));
        told_nothing(&out.body, &out.uri);
        if let Some(most) = server.max_msg_size.filter(|most| *most >= SMALLEST) {
            assert!(out.body.len() as u64 <= most, "I8: {} bytes for a server that takes {most}", out.body.len());
        }
        if input.chance(12) {
            client.suspend();
        }
        let reply = server.answers(&request, encoding, input);
        let mac = input.chance(8).then(|| input.text());
        if client.received_with_mac(encoding.media_type(), &reply, mac.as_deref(), now).is_err() {
            assert!(client.outgoing().is_none(), "a session that failed is over");
        }
        let _ = client.report();
        if input.is_empty() {
            return;
        }
    }
}

/// The password, in clear or as a basic credential, is in no request.
fn told_nothing(body: &[u8], uri: &str) {
    for secret in secrets() {
        assert!(!holds(body, &secret) && !uri.contains(&secret), "the password is told to a server that asks for it");
    }
}

fn secrets() -> [String; 2] {
    [PASSWORD.to_owned(), STANDARD.encode(format!("alice:{PASSWORD}"))]
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

struct Hostile {
    author: Author,
    msg_id: u32,
    /// Deletes that the server asked for so far.
    deletes: usize,
    max_msg_size: Option<u64>,
}

impl Hostile {
    fn answers(&mut self, request: &Message<'_>, encoding: Encoding, input: &mut Input<'_>) -> Vec<u8> {
        self.msg_id += 1;
        if input.chance(40) {
            return input.bytes().to_vec();
        }
        let asked = &request.header;
        let session_id = SessionId::from(asked.session_id.as_str().to_owned());
        let own = |place: &Location<'_>| Location::new(place.uri.to_string());
        let version = asked.version().unwrap_or(Version::V12);
        let mut header = Header::new(version, session_id, MsgId(self.msg_id), own(&asked.source), own(&asked.target));
        if input.chance(16) {
            header.msg_id = MsgId(input.byte().into());
        }
        if input.chance(16) {
            header.session_id = SessionId::from(input.text());
        }
        if input.chance(8) {
            header.resp_uri = Some(input.pick(&["http://other.example/", "/x", "file:///etc/passwd", ""]).into());
        }
        if input.chance(12) {
            header.cred = Some(Author::cred(input));
        }
        if input.chance(6) {
            let size = input.number();
            let most = (size > 0).then_some(size);
            header.meta =
                Some(Meta { max_msg_size: most, max_obj_size: input.chance(2).then_some(size), ..Meta::default() });
            self.max_msg_size = most.or(self.max_msg_size);
        }
        let mut body = self.statuses(request, input);
        for command in &request.body {
            let Command::Alert(alert) = command else { continue };
            if alert.code.is_some_and(|code| (200..=210).contains(&code.0)) && !input.chance(8) {
                body.push(self.alerts(alert, input));
            }
        }
        for _ in 0..input.below(3) {
            body.push(if input.chance(4) {
                self.author.command(input, 2)
            } else {
                {
                    let by_target = !input.chance(4);
                    self.author.sync(input, by_target)
                }
            });
        }
        self.count_deletes(&body);
        let message = Message { header, body, last: !input.chance(4) };
        let Ok(mut bytes) = encode(&message, encoding) else { return Vec::new() };
        if input.chance(12) {
            damage(&mut bytes, input);
            // Whatever it says now, deletes may be among it.
            self.deletes += 1_000;
        }
        bytes
    }

    /// Deletes, and moves and replaces, by which one card may take another's place.
    fn count_deletes(&mut self, commands: &[Command<'_>]) {
        for command in commands {
            match command {
                Command::Change(change) if change.op == Op::Delete => self.deletes += change.items.len(),
                Command::Sync(sync) => self.count_deletes(&sync.commands),
                Command::Container(container) => self.count_deletes(&container.commands),
                _ => {}
            }
        }
    }

    fn statuses(&mut self, request: &Message<'_>, input: &mut Input<'_>) -> Vec<Command<'static>> {
        let msg = request.header.msg_id.0;
        let mut all = Vec::new();
        if !input.chance(16) {
            let mut status = self.author.status(input, msg, "0", "SyncHdr");
            if !input.chance(5) {
                status.code = if msg == 1 { StatusCode::AUTHENTICATED } else { StatusCode::OK };
            }
            all.push(Command::Status(status));
        }
        for command in &request.body {
            self.status_of(command, msg, input, &mut all);
        }
        all
    }

    fn status_of(&mut self, command: &Command<'_>, msg: u32, input: &mut Input<'_>, all: &mut Vec<Command<'static>>) {
        if command.no_resp() || input.chance(16) {
            return;
        }
        if let Some(id) = command.cmd_id() {
            let mut status = self.author.status(input, msg, id.as_str(), command.name());
            if !input.chance(4) {
                status.code = if command.name() == "Add" { StatusCode::ITEM_ADDED } else { StatusCode::OK };
            }
            all.push(Command::Status(status));
        }
        if let Command::Sync(sync) = command {
            for command in &sync.commands {
                if let Command::Change(change) = command {
                    let ids = change.items.iter().flat_map(|item| [&item.source, &item.target]).flatten();
                    self.author.ids.extend(ids.map(|place| place.uri.to_string()));
                }
                self.status_of(command, msg, input, all);
            }
        }
    }

    /// The server's own Alert for a book; most often of the same kind, or 201.
    fn alerts(&mut self, asked: &Alert<'_>, input: &mut Input<'_>) -> Command<'static> {
        let code = match input.below(6) {
            4 => AlertCode::SLOW,
            5 => AlertCode(200 + input.below(30) as u16),
            _ => asked.code.unwrap_or(AlertCode::SLOW),
        };
        if code == AlertCode::REFRESH_FROM_SERVER {
            self.deletes += 1_000;
        }
        if input.chance(8) {
            return self.author.alert(input, code);
        }
        self.author.cmd_id += 1;
        let anchor = Anchor { last: input.chance(2).then(|| "1".into()), next: self.msg_id.to_string().into() };
        let item = Item {
            target: Some(Location::new("./card")),
            source: Some(Location::new("contacts")),
            meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
            ..Item::default()
        };
        Command::Alert(Alert {
            cmd_id: CmdId::from(self.author.cmd_id),
            no_resp: false,
            cred: None,
            code: Some(code),
            correlator: None,
            items: vec![item],
        })
    }
}
