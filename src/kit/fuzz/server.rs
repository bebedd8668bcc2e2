//! A server among devices that say anything in any order: two of one account, one of another, and strangers.
//!
//! Held against it: what was acknowledged is kept (I1), the same bytes have one effect and one answer (I2), maps are one to
//! one (I3), who is not let in changes nothing (I10), and in the end every device can sync.

use super::Input;
use super::talk::{Author, BOOK, NOW, assert_maps, card, damage, dump, edit, is_kept, live, login};
use crate::auth::token_in;
use crate::codec::{Encoding, Limits, adapt, decode, encode, encode_command};
use crate::kit::phone::{Heard, Phone};
use crate::message::{AlertCode, Command, Data, Message, Op, StatusCode, Timestamp, Version};
use crate::session::{Refusal, Request, Server, ServerConfig};
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens in one run at most.
const STEPS: usize = 40;

/// Messages after which a session is said never to end.
const ENDLESS: usize = 60;

struct Device<'s> {
    phone: Phone<'s>,
    author: Author,
    heard: Heard,
    /// Anchors: what it would show as its last one.
    anchor: Option<String>,
    anchors: u32,
    /// What was said: where to, and the bytes.
    said: Vec<(String, Vec<u8>)>,
    /// What was acknowledged under an id, by its token.
    owed: BTreeMap<String, String>,
    /// Nothing was said by others, nor time passed, since its last message.
    fresh: bool,
}

/// Plays what the choices say.
pub fn server(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new([1; 32]));
    let (alice, bob) = (login(store.as_ref(), "alice", "secret"), login(store.as_ref(), "bob", "hidden"));
    for name in 0..3 {
        edit(store.as_ref(), alice, None, Some(&card(&format!("hers-{name}-"), name)), NOW);
        edit(store.as_ref(), bob, None, Some(&card(&format!("his-{name}-"), name)), NOW);
    }
    let max_msg_size = input.pick(&[150_000, 4_000, 2_000]);
    let config = ServerConfig { max_msg_size, max_items: input.chance(6).then_some(6), ..ServerConfig::default() };
    let server = Server::new(store.clone(), config).expect("a server over a store in memory");
    let his = dump(store.as_ref(), bob);
    let mut world = World {
        server: &server,
        store: store.clone(),
        alice,
        now: NOW,
        devices: ["one", "two"].map(|name| Device::new(&server, name)).into(),
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.happens(&mut input);
    }
    assert_eq!(dump(store.as_ref(), bob), his, "I10: nobody touches another's account");
    world.judge();
}

struct World<'s> {
    server: &'s Server,
    store: Arc<dyn Store>,
    alice: AccountNo,
    now: Timestamp,
    devices: Vec<Device<'s>>,
}

impl World<'_> {
    fn happens(&mut self, input: &mut Input<'_>) {
        let number = input.below(self.devices.len());
        for (other, device) in self.devices.iter_mut().enumerate() {
            device.fresh &= other == number;
            device.phone.now = self.now;
        }
        let device = &mut self.devices[number];
        match input.below(16) {
            0 | 1 => device.begins(input),
            2..=4 => device.says(input),
            5 | 6 => device.answers(input),
            7 => self.repeats(number),
            8 => {
                let (at, said) = (input.below(device.said.len().max(1)), &device.said);
                if let Some((uri, bytes)) = said.get(at).cloned() {
                    device.fresh = false;
                    device.judges(&uri, &bytes);
                }
            }
            9 => self.damaged(number, input),
            10 => {
                // One's message at the address of another's session.
                let uri = self.devices[(number + 1) % self.devices.len()].said.last().map(|(uri, _)| uri.clone());
                let device = &mut self.devices[number];
                device.fresh = false;
                if let (Some(uri), Some((_, bytes))) = (uri, device.said.last().cloned()) {
                    device.owed.clear();
                    device.judges(&uri, &bytes);
                }
            }
            11 => self.edits(input),
            12 => {
                let passed = i64::try_from(input.number() % 4_000_000_000).unwrap_or_default();
                self.now = Timestamp(self.now.0.saturating_add(if input.chance(8) { -passed } else { passed }));
                self.devices.iter_mut().for_each(|device| device.fresh = false);
            }
            13 => self.strangers(input),
            14 => self.other_encoding(number, input),
            _ => {
                let commands = (0..1 + input.below(3)).map(|_| device.author.command(input, 2)).collect();
                device.say(commands, input.chance(2));
            }
        }
        assert_maps(self.store.as_ref(), self.alice);
    }

    /// I2: the same bytes again get the same answer, and do nothing.
    fn repeats(&mut self, number: usize) {
        let device = &mut self.devices[number];
        if device.phone.said().is_none() {
            return;
        }
        let before = dump(self.store.as_ref(), self.alice);
        let Ok(again) = device.phone.repeat() else { return };
        let stored = matches!(device.heard.header, Some(StatusCode(200 | 212)));
        if device.fresh && stored && again.header == device.heard.header {
            assert_eq!(again.bytes, device.heard.bytes, "I2: the same bytes have one answer");
            assert_eq!(dump(self.store.as_ref(), self.alice), before, "I2: the same bytes have one effect");
        }
    }

    fn damaged(&mut self, number: usize, input: &mut Input<'_>) {
        let device = &mut self.devices[number];
        let Some((uri, mut bytes)) = device.said.last().cloned() else { return };
        damage(&mut bytes, input);
        // Whatever it says now, it may take back what was said before.
        device.owed.clear();
        device.fresh = false;
        device.judges(&uri, &bytes);
    }

    fn other_encoding(&mut self, number: usize, input: &mut Input<'_>) {
        let device = &mut self.devices[number];
        let Some((uri, bytes)) = device.said.last().cloned() else { return };
        let Ok(mut message) = decode(&bytes, Encoding::Xml, &Limits::default()) else { return };
        adapt(&mut message, Encoding::Wbxml);
        let Ok(mut bytes) = encode(&message, Encoding::Wbxml) else { return };
        if input.chance(2) {
            damage(&mut bytes, input);
        }
        device.owed.clear();
        device.fresh = false;
        let request = Request { content_type: Encoding::Wbxml.media_type(), ..device.request(&uri, &bytes) };
        match self.server.answer(&request) {
            Ok(reply) => {
                assert!(decode(&reply.body, Encoding::Wbxml, &Limits::default()).is_ok(), "an answer is SyncML");
            }
            Err(refusal) => is_deserved(&refusal),
        }
    }

    fn edits(&mut self, input: &mut Input<'_>) {
        self.devices.iter_mut().for_each(|device| device.fresh = false);
        let all = live(self.store.as_ref(), self.alice);
        let guid = all.get(input.below(all.len() + 1)).map(|item| item.guid);
        let (name, deletes) = (input.byte(), input.chance(3));
        let content = card(&format!("host-{}-", input.byte()), name);
        edit(self.store.as_ref(), self.alice, guid, (!deletes).then_some(&*content), self.now);
    }

    /// I10: who has not the password changes nothing, whatever is said.
    fn strangers(&self, input: &mut Input<'_>) {
        let before = dump(self.store.as_ref(), self.alice);
        let (id, user, password) = input.pick(&[
            ("one", "alice", "guessed"),
            ("one", "nobody", "guessed"),
            ("one", "bob", "secret"),
            ("", "", ""),
        ]);
        let mut stranger = Device::new(self.server, id);
        user.clone_into(&mut stranger.phone.user);
        password.clone_into(&mut stranger.phone.password);
        stranger.phone.now = self.now;
        stranger.begins(input);
        stranger.says(input);
        let hers = stranger.heard.changes.iter().any(|told| told.content.contains("hers-"));
        assert!(!hers && stranger.heard.changes.is_empty(), "I10: a stranger is told nothing");
        assert_eq!(dump(self.store.as_ref(), self.alice), before, "I10: a stranger changes nothing");
    }

    fn judge(&mut self) {
        let owed: Vec<String> = self.devices.iter().flat_map(|device| device.owed.values().cloned()).collect();
        let is_there = |token: &str| is_kept(self.store.as_ref(), self.alice, token);
        for token in &owed {
            assert!(is_there(token), "I1: {token} was acknowledged and is nowhere");
        }
        for name in 0..3 {
            assert!(is_there(&format!("hers-{name}-")), "I1: a card of the beginning has no past");
        }
        // A day later nobody is slowed down any more, and no session waits.
        self.now = Timestamp(self.now.0.max(NOW.0).saturating_add(86_400_000));
        for number in 0..self.devices.len() {
            self.devices[number].phone.now = self.now;
            self.devices[number].syncs();
        }
        assert_maps(self.store.as_ref(), self.alice);
        for token in &owed {
            assert!(is_kept(self.store.as_ref(), self.alice, token), "I1: {token} was acknowledged and got lost");
        }
    }
}

impl<'s> Device<'s> {
    fn new(server: &'s Server, name: &str) -> Self {
        Self {
            phone: Phone::new(server, name, "alice", "secret", NOW),
            author: Author {
                cmd_id: 100,
                there: "contacts",
                here: "./card",
                ids: Vec::new(),
                cards: u32::from(name == "two") * 1_000,
            },
            heard: Heard::default(),
            anchor: None,
            anchors: 0,
            said: Vec::new(),
            owed: BTreeMap::new(),
            fresh: false,
        }
    }

    fn request<'r>(&self, uri: &'r str, bytes: &'r [u8]) -> Request<'r> {
        Request {
            content_type: Encoding::Xml.media_type(),
            body: bytes,
            token: token_in(uri),
            mac: None,
            protected: true,
            loopback: false,
            address: Some("192.0.2.1"),
            now: self.phone.now,
        }
    }

    /// Posts bytes; an answer is SyncML.
    fn judges(&self, uri: &str, bytes: &[u8]) {
        match self.phone.post(uri, bytes) {
            Ok(reply) => {
                assert!(decode(&reply, Encoding::Xml, &Limits::default()).is_ok(), "an answer is SyncML");
            }
            Err(refusal) => is_deserved(&refusal),
        }
    }

    fn begins(&mut self, input: &mut Input<'_>) {
        const CODES: [AlertCode; 8] = [
            AlertCode::TWO_WAY,
            AlertCode::TWO_WAY,
            AlertCode::SLOW,
            AlertCode::ONE_WAY_FROM_CLIENT,
            AlertCode::REFRESH_FROM_CLIENT,
            AlertCode::ONE_WAY_FROM_SERVER,
            AlertCode::REFRESH_FROM_SERVER,
            AlertCode(225),
        ];
        let code = input.pick(&CODES);
        let last = if input.chance(6) { Some(input.text()) } else { self.anchor.clone() };
        if input.chance(4) {
            self.phone.devinf = Some(Author::devinf(input));
        }
        self.anchors += 1;
        let next = self.anchors.to_string();
        let answer = self.phone.begin(code, last.as_deref(), &next);
        self.remember();
        if let Ok(heard) = answer {
            self.hears(heard);
            self.anchor = Some(next);
        }
    }

    fn says(&mut self, input: &mut Input<'_>) {
        let mut commands = Vec::new();
        for _ in 0..1 + input.below(12) / 11 {
            commands.push(self.author.sync(input, false));
        }
        if input.chance(6) {
            commands.push(self.author.command(input, 2));
        }
        self.say(commands, !input.chance(4));
    }

    /// Statuses for what came, and a Map.
    fn answers(&mut self, input: &mut Input<'_>) {
        let mut commands = Vec::new();
        for told in self.heard.changes.clone() {
            if input.chance(6) {
                continue;
            }
            let added = if told.op == Op::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK };
            commands.push(if input.chance(3) {
                Command::Status(self.author.status(input, self.heard.msg_id, &told.cmd_id, told.op.name()))
            } else {
                self.phone.status(&self.heard, &told, added)
            });
        }
        if !input.chance(4) {
            commands.push(self.author.map(input));
        }
        self.say(commands, !input.chance(6));
    }

    /// Says it and notes what was acknowledged.
    fn say(&mut self, commands: Vec<Command<'static>>, last: bool) {
        let heard = self.heard.clone();
        // What no version has a word for cannot be said; what is damaged on its way comes elsewhere.
        let can_be_said = |it: &Command<'_>| encode_command(it, Encoding::Xml, Version::V12).is_ok();
        let commands = commands.into_iter().filter(can_be_said).collect();
        let answer = self.phone.say_after(&heard, commands, last);
        self.remember();
        let answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => return is_deserved(&refusal),
        };
        if let Some((_, bytes)) = self.said.last().cloned()
            && let Ok(message) = decode(&bytes, Encoding::Xml, &Limits::default())
        {
            self.note(&message, &answer);
        }
        self.hears(answer);
    }

    fn remember(&mut self) {
        self.fresh = true;
        if let Some((uri, bytes)) = self.phone.said() {
            self.said.push((uri.to_owned(), bytes.to_vec()));
        }
    }

    fn hears(&mut self, heard: Heard) {
        self.author.ids.extend(heard.changes.iter().map(|told| told.source.clone()).filter(|id| !id.is_empty()));
        self.heard = heard;
    }

    /// I1: an Add of one whole card under an id that nothing else was said of since is kept once it is answered 2xx.
    fn note(&mut self, message: &Message<'_>, answer: &Heard) {
        for command in &message.body {
            let sync = match command {
                Command::Sync(sync) => sync,
                // Changes elsewhere: what they are about is not looked at here.
                Command::Change(_) | Command::Container(_) => {
                    self.owed.clear();
                    continue;
                }
                _ => continue,
            };
            for command in &sync.commands {
                let Command::Change(change) = command else {
                    self.owed.clear();
                    continue;
                };
                for item in &change.items {
                    for place in [&item.source, &item.target].into_iter().flatten() {
                        self.owed.remove(&*place.uri);
                    }
                }
                let [item] = &*change.items else { continue };
                let whole =
                    item.meta.is_none() && !item.more_data && change.meta.as_ref().is_some_and(|it| it.size.is_none());
                let (Some(source), Some(text)) = (&item.source, item.data.as_ref().and_then(Data::as_str)) else {
                    continue;
                };
                let plain = sync.target.as_ref().is_some_and(|target| target.uri == "contacts")
                    && item.source_parent.is_none()
                    && item.target_parent.is_none();
                let id = change.cmd_id.to_string();
                let codes: Vec<u16> = answer.statuses.iter().filter(|it| it.1 == id).map(|it| it.2.0).collect();
                if change.op != Op::Add || !whole || !plain || codes.len() != 1 || !matches!(codes[0], 200 | 201 | 207)
                {
                    continue;
                }
                if let Some(at) = text.find("token-")
                    && let Some(token) = text[at..].split("\r\n").next()
                {
                    self.owed.insert(source.uri.to_string(), token.to_owned());
                }
            }
        }
    }

    /// A session as it should be, to its end.
    fn syncs(&mut self) {
        let began = self.phone.begin(AlertCode::SLOW, None, "last");
        let mut heard = match began {
            Ok(heard) => heard,
            Err(Refusal::TooLarge { .. }) => return,
            Err(refusal) => panic!("a good device is refused: {refusal}"),
        };
        assert_eq!(heard.header, Some(StatusCode::AUTHENTICATED), "a good device is let in");
        // A DevInf that was put before may say that it takes no cards; then the book is refused, which ends it, too.
        let mut luid = 5_000;
        let mut commands = vec![self.phone.sync(Vec::new())];
        for _ in 0..ENDLESS {
            let ended = heard.last && heard.changes.is_empty() && heard.to_confirm.is_empty() && commands.is_empty();
            if ended {
                return;
            }
            heard = self
                .phone
                .say_after(&heard, std::mem::take(&mut commands), true)
                .unwrap_or_else(|refusal| panic!("a good device is refused: {refusal}"));
            let mut pairs = Vec::new();
            for told in heard.changes.clone() {
                luid += 1;
                let code = if told.op == Op::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK };
                commands.push(self.phone.status(&heard, &told, code));
                if told.op == Op::Add {
                    pairs.push((told.source.clone(), luid.to_string()));
                }
            }
            if !pairs.is_empty() {
                let pairs: Vec<(&str, &str)> =
                    pairs.iter().map(|(guid, luid)| (guid.as_str(), luid.as_str())).collect();
                commands.push(self.phone.map(&pairs));
            }
        }
        panic!("a session of a good device does not end in {BOOK}");
    }
}

/// A store in memory never fails, so it is the peer whom a refusal is about.
fn is_deserved(refusal: &Refusal) {
    assert!(refusal.http_status() < 500, "{refusal:?}");
}
