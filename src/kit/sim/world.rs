//! The world of one run: a server, its devices, the network between them, and the people.

use super::book::{self, BOOK, add, cards, edit, look};
use super::card::{Face, is_respelt, meaning};
use super::model::Model;
use super::rng::Rng;
use super::schedule::{Event, Place, Schedule, Sieve, Trouble};
use super::tap::{FaultStore, StoreFault};
use super::watch::{Watch, outline};
use super::{Stats, Violation};
use crate::auth::{Secret, Verifier};
use crate::message::{AlertCode, Timestamp};
use crate::session::{
    BookFilter, Client, ClientBook, ClientConfig, ClientError, Credentials, Outgoing, Patience, Profiles, Refusal,
    Report, Request, Server, ServerConfig,
};
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, MapState, Store, StoreError};
use crate::sync::filter::FilterType;
use crate::sync::{DeletionGuard, Role, SyncType};
use std::collections::BTreeSet;
use std::sync::Arc;

const URI: &str = "http://server.example/syncml";
const USER: &str = "alice";

/// Messages after which a session is said never to end.
const ENDLESS: usize = 2_000;

/// The kinds of sync that tell of deletes, now or later.
const TELLING: [&str; 3] = ["two-way", "one-way-from-client", "one-way-from-server"];

/// Rounds within which two must be two-way: a first sync may be cut short, and slow again.
const ROUNDS: usize = 4;

/// A request that is still on its way.
struct Packet {
    device: usize,
    out: Outgoing,
}

struct Device {
    store: Arc<FaultStore>,
    account: AccountNo,
    config: ClientConfig,
    talk: Option<Talk>,
    /// The server knows what this device holds: its last session ended cleanly, and none began since.
    sure: bool,
    /// Tokens put in since the last session ended cleanly.
    fresh: BTreeSet<String>,
    /// Tokens of cards deleted since the last session ended cleanly.
    deleted: Vec<String>,
    /// What it wanted to be sent in its last session.
    sieve: Sieve,
    /// The server's word on this device's anchor, as last seen.
    anchor: Option<String>,
}

/// A session.
struct Talk {
    client: Client,
    /// What it asked for.
    sync: SyncType,
    watch: Watch,
    /// Nobody else did anything since it began.
    alone: bool,
    /// Nothing went wrong since it began.
    calm: bool,
}

pub(super) struct World<'l> {
    /// Is told what happens, line by line.
    log: &'l mut dyn FnMut(&str),
    server: Server,
    faults: Arc<FaultStore>,
    account: AccountNo,
    devices: Vec<Device>,
    late: Vec<Packet>,
    now: Timestamp,
    event: usize,
    model: Model,
    /// Tokens of cards that may be respelt on the server.
    respelt: BTreeSet<String>,
    pub stats: Stats,
}

type Outcome<T = ()> = Result<T, Violation>;

impl<'l> World<'l> {
    /// The world as it is when a schedule begins.
    pub(super) fn new(schedule: &Schedule, store: Arc<dyn Store>, log: &'l mut dyn FnMut(&str)) -> Outcome<Self> {
        let misused = |error: StoreError| Violation { rule: "store", what: error.to_string(), event: 0 };
        let secret = || Secret::new("open sesame".to_owned());
        let account = store.directory().put_login(USER, &Verifier::Password(secret())).map_err(misused)?;
        let faults = Arc::new(FaultStore::new(store));
        let mut config = ServerConfig { max_msg_size: schedule.server_size, ..ServerConfig::default() };
        config.public_uri = Some(URI.to_owned());
        let server = Server::new(faults.clone(), config).map_err(misused)?;
        let mut devices = Vec::new();
        for (number, setup) in schedule.devices.iter().enumerate() {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new([number as u8 + 100; 32]));
            let account = store.directory().put_login("local", &Verifier::Md5([0; 16])).map_err(misused)?;
            let book = ClientBook {
                book: BOOK,
                local_uri: "./contacts".to_owned(),
                remote_uri: "contacts".to_owned(),
                mode: AlertCode::TWO_WAY,
                filter: None,
            };
            let config = ClientConfig {
                server_uri: URI.to_owned(),
                device_id: format!("device-{number}"),
                credentials: Credentials::Md5 { user: USER.to_owned(), password: secret() },
                book_credentials: Vec::new(),
                server: None,
                patience: Patience::default(),
                books: vec![book],
                encoding: setup.encoding,
                version: setup.version,
                max_msg_size: setup.size,
                max_obj_size: 4_000_000,
                max_card_size: 4_000_000,
                guard: DeletionGuard::default(),
                profiles: Profiles::shipped(),
            };
            let store = Arc::new(FaultStore::new(store));
            let device = Device {
                store,
                account,
                config,
                talk: None,
                sure: false,
                fresh: BTreeSet::new(),
                deleted: Vec::new(),
                sieve: Sieve::All,
                anchor: None,
            };
            devices.push(device);
        }
        let mut world = Self {
            log,
            server,
            faults,
            account,
            devices,
            late: Vec::new(),
            now: Timestamp(1_700_000_000_000),
            event: 0,
            model: Model::default(),
            respelt: BTreeSet::new(),
            stats: Stats::default(),
        };
        let mut rng = Rng::new(schedule.seed ^ 0xC0FF_EE00);
        for _ in 0..schedule.server_cards {
            world.populate(Place::Server, &mut rng)?;
        }
        for (number, setup) in schedule.devices.iter().enumerate() {
            for _ in 0..setup.cards {
                world.populate(Place::Device(number), &mut rng)?;
            }
        }
        Ok(world)
    }

    fn populate(&mut self, at: Place, rng: &mut Rng) -> Outcome {
        let face = Face::random(rng, self.model.token());
        let (store, account) = self.place(at);
        let content = face.write();
        add(store.as_ref(), account, &content, self.now).map_err(|error| self.misused(&error))?;
        self.model.edited(0, None, Some(&face), true);
        Ok(())
    }

    fn place(&self, at: Place) -> (Arc<FaultStore>, AccountNo) {
        match at {
            Place::Server => (self.faults.clone(), self.account),
            Place::Device(number) => (self.devices[number].store.clone(), self.devices[number].account),
        }
    }

    fn violation(&self, rule: &'static str, what: impl Into<String>) -> Violation {
        Violation { rule, what: what.into(), event: self.event }
    }

    fn misused(&self, error: &StoreError) -> Violation {
        self.violation("store", error.to_string())
    }

    /// One event of the schedule.
    pub(super) fn happen(&mut self, number: usize, event: Event) -> Outcome {
        self.event = number;
        self.now = Timestamp(self.now.0 + 250);
        (self.log)(&format!("{number:4} {event:?}"));
        match event {
            Event::Edit { at, dice } => self.edit(at, dice),
            Event::Turn { device, sync, sieve, trouble } => match device < self.devices.len() {
                true => self.turn(device, (sync, sieve), trouble),
                false => Ok(()),
            },
            Event::Late { dice } => self.late(dice),
            Event::Wait(milliseconds) => {
                self.now = Timestamp(self.now.0 + milliseconds);
                // Sessions may have expired, which is nobody's fault.
                self.disturb();
                Ok(())
            }
        }
    }

    fn disturb(&mut self) {
        for talk in self.devices.iter_mut().filter_map(|device| device.talk.as_mut()) {
            talk.calm = false;
        }
    }

    /// Something happened that sessions other than that of `device` may see.
    fn stir(&mut self, device: Option<usize>) {
        for (number, one) in self.devices.iter_mut().enumerate() {
            if let Some(talk) = one.talk.as_mut().filter(|_| device != Some(number)) {
                talk.alone = false;
            }
        }
    }

    fn edit(&mut self, at: Place, dice: u64) -> Outcome {
        if matches!(at, Place::Device(number) if number >= self.devices.len()) {
            return Ok(());
        }
        let (store, account) = self.place(at);
        let mut offered = Vec::new();
        for other in (0..self.devices.len()).map(Place::Device).chain([Place::Server]).filter(|other| *other != at) {
            let (store, account) = self.place(other);
            offered.extend(cards(store.as_ref(), account).map_err(|error| self.misused(&error))?);
        }
        let token = self.model.token();
        let sure = match at {
            Place::Server => true,
            Place::Device(number) => self.devices[number].sure,
        };
        let deed =
            edit(store.as_ref(), account, dice, token, &offered, sure, self.now).map_err(|e| self.misused(&e))?;
        let deleted = self.model.edited(self.event, deed.seen.as_ref(), deed.left.as_ref(), sure);
        if let Place::Device(number) = at {
            self.devices[number].deleted.extend(deleted);
        }
        self.stats.edits += 1;
        (self.log)(&format!("     {:?} -> {:?}", deed.seen, deed.left));
        let tokens = deed.left.map(|face| face.tokens).unwrap_or_default();
        if deed.seen.is_none() {
            // A copy is spelt as its original.
            self.respelt.extend(tokens.iter().cloned());
        }
        match (at, deed.touched) {
            (Place::Server, None) => {}
            (Place::Server, Some(_)) => self.respelt.extend(tokens),
            (Place::Device(number), touched) => {
                let device = &mut self.devices[number];
                if touched.is_none() {
                    device.fresh.extend(tokens);
                } else if !sure || tokens.iter().any(|token| device.fresh.contains(token)) {
                    self.respelt.extend(tokens);
                }
            }
        }
        match at {
            Place::Server => self.stir(None),
            Place::Device(number) => {
                if let Some(talk) = self.devices[number].talk.as_mut() {
                    talk.alone = false;
                }
            }
        }
        Ok(())
    }

    fn late(&mut self, dice: u64) -> Outcome {
        if self.late.is_empty() {
            return Ok(());
        }
        let packet = self.late.remove(Rng::new(dice).below(self.late.len()));
        self.disturb();
        self.stir(None);
        self.stats.late += 1;
        let _ = self.post(&packet.out, None)?;
        self.anchors(packet.device, None)
    }

    fn turn(&mut self, number: usize, wants: (SyncType, Sieve), trouble: Trouble) -> Outcome {
        if self.devices[number].talk.is_none() && !self.begin(number, wants, trouble)? {
            return Ok(());
        }
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        let Some(out) = talk.client.outgoing() else { return self.ended(number) };
        if trouble != Trouble::None {
            talk.calm = false;
            self.stats.troubles += 1;
        }
        let encoding = device.config.encoding;
        (self.log)(&outline("request", &out.body, encoding));
        talk.watch.request(&out.body, encoding, self.event, &self.model).map_err(|what| Violation {
            rule: "I12",
            what,
            event: self.event,
        })?;
        if out.body.len() as u64 > self.server.config().max_msg_size {
            return Err(self.violation("I8", format!("a request of {} bytes", out.body.len())));
        }
        match trouble {
            Trouble::GiveUp => {
                device.talk = None;
                return Ok(());
            }
            Trouble::DropRequest => return Ok(()),
            Trouble::Hold => {
                self.late.push(Packet { device: number, out });
                return Ok(());
            }
            Trouble::Copy => self.late.push(Packet { device: number, out: out.clone() }),
            _ => {}
        }
        let cut = matches!(trouble, Trouble::CutRequest(_));
        let request = match trouble {
            Trouble::CutRequest(thousandths) => Outgoing { body: shortened(&out.body, thousandths), ..out.clone() },
            _ => out.clone(),
        };
        self.stir(Some(number));
        let fault = match trouble {
            Trouble::Server(fault) => Some(fault),
            _ => None,
        };
        let mut answer = self.post(&request, fault)?;
        if trouble == Trouble::Twice {
            let again = self.post(&request, None)?;
            if answer.as_ref().ok().map(|reply| &reply.1) != again.as_ref().ok().map(|reply| &reply.1) {
                return Err(self.violation("I2", "the same request has two different replies"));
            }
            answer = again;
        }
        self.anchors(number, Some(number))?;
        let (content_type, reply) = match answer {
            Ok(reply) => reply,
            Err(Refusal::Unavailable(_) | Refusal::Failed(_)) => return Ok(()),
            Err(refusal) => return self.broke_off(number, cut, &refusal),
        };
        if !cut {
            self.read_along(number, &reply)?;
        }
        match trouble {
            Trouble::DropReply => Ok(()),
            Trouble::PowerLost => {
                self.devices[number].talk = None;
                Ok(())
            }
            Trouble::CutReply(thousandths) => self.take(number, content_type, &shortened(&reply, thousandths), None),
            Trouble::Client(fault) => self.take(number, content_type, &reply, Some(fault)),
            _ => self.take(number, content_type, &reply, None),
        }
    }

    fn read_along(&mut self, number: usize, reply: &[u8]) -> Outcome {
        let event = self.event;
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        (self.log)(&outline("reply", reply, device.config.encoding));
        talk.watch.reply(reply, device.config.encoding, event, &self.model).map_err(|what| Violation {
            rule: "I12",
            what,
            event,
        })?;
        if reply.len() as u64 > device.config.max_msg_size {
            return Err(self.violation("I8", format!("a reply of {} bytes", reply.len())));
        }
        Ok(())
    }

    /// Begins a session; `false` when the device's store failed.
    fn begin(&mut self, number: usize, (sync, sieve): (SyncType, Sieve), trouble: Trouble) -> Outcome<bool> {
        let event = self.event;
        let device = &mut self.devices[number];
        let sure = std::mem::take(&mut device.sure);
        let mut config = device.config.clone();
        // Who hears only cannot ask what became of its own changes: when these were sent and not answered, a delete from
        // there may be older or younger than they are, and a card its own or not. Then it says all first.
        let sync = if sync == SyncType::OneWayFromServer && !sure { SyncType::TwoWay } else { sync };
        config.books[0].mode = sync.alert();
        config.books[0].filter = filter(sieve);
        // Only some faults of the device's store meet its first step; the others wait for the reply.
        if let Trouble::Client(fault @ StoreFault::AtCall(0..=9)) = trouble {
            device.store.arm(fault);
        }
        let begun = Client::begin(device.store.clone(), device.account, config, self.now);
        let fired = device.store.disarm();
        match begun {
            Ok(client) => {
                device.talk = Some(Talk { client, sync, watch: Watch::default(), alone: true, calm: true });
                device.sieve = sieve;
                self.stats.sessions += 1;
                Ok(true)
            }
            Err(ClientError::Store(_)) if fired => Ok(false),
            Err(error) => Err(Violation { rule: "store", what: error.to_string(), event }),
        }
    }

    /// Posts a request; a store's failure that was not ordered is a violation.
    fn post(&mut self, out: &Outgoing, fault: Option<StoreFault>) -> Outcome<Result<(&'static str, Vec<u8>), Refusal>> {
        self.stats.messages += 1;
        if let Some(fault) = fault {
            self.faults.arm(fault);
        }
        let request = Request {
            content_type: out.content_type,
            body: &out.body,
            token: out.uri.split_once("?s=").map(|(_, token)| token),
            mac: None,
            protected: false,
            loopback: true,
            address: None,
            now: self.now,
        };
        let answer = self.server.answer(&request);
        let fired = self.faults.disarm();
        match answer {
            Err(Refusal::Unavailable(what) | Refusal::Failed(what)) if !fired => {
                Err(self.violation("store", what.to_string()))
            }
            answer => Ok(answer.map(|reply| (reply.content_type, reply.body))),
        }
    }

    fn broke_off(&mut self, number: usize, cut: bool, why: &dyn std::fmt::Display) -> Outcome {
        let calm = self.devices[number].talk.take().is_some_and(|talk| talk.calm);
        self.stats.broken += 1;
        if calm && !cut {
            return Err(self.violation("peace", format!("a session broke off without a cause: {why}")));
        }
        Ok(())
    }

    fn take(&mut self, number: usize, content_type: &str, reply: &[u8], fault: Option<StoreFault>) -> Outcome {
        let now = self.now;
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        if let Some(fault) = fault {
            device.store.arm(fault);
        }
        let taken = talk.client.received(content_type, reply, now);
        let fired = device.store.disarm();
        if talk.client.report().books.first().is_some_and(|book| !TELLING.contains(&book.mode.as_str())) {
            self.model.unheard(&std::mem::take(&mut device.deleted));
        }
        match taken {
            Ok(()) if talk.client.outgoing().is_none() => self.ended(number),
            Ok(()) => Ok(()),
            Err(ClientError::Store(_)) if fired => {
                device.talk = None;
                Ok(())
            }
            Err(ClientError::Store(error)) => Err(self.misused(&error)),
            Err(error) => self.broke_off(number, false, &error),
        }
    }

    /// A session came to its end.
    fn ended(&mut self, number: usize) -> Outcome {
        let Some(talk) = self.devices[number].talk.take() else { return Ok(()) };
        let report = talk.client.report();
        if !report.clean {
            self.stats.unclean += 1;
            if talk.calm {
                return Err(self.violation("peace", format!("a session ended uncleanly without a cause: {report:?}")));
            }
            return Ok(());
        }
        self.stats.clean += 1;
        let device = &mut self.devices[number];
        if !talk.watch.complete(talk.sync) {
            return Err(self.violation("I6", "a device's anchors moved before both packages were complete"));
        }
        if talk.alone && talk.sync.sends(Role::Client) {
            device.sure = true;
            device.fresh.clear();
            device.deleted.clear();
            let device = &self.devices[number];
            // After a slow sync, deletes that were made before it may still have to be told.
            // And what one side told the other may have made more to tell.
            if device.sieve == Sieve::All && report.books[0].mode == "two-way" && self.at_rest(number)? {
                self.same(number, device.store.as_ref(), device.account, "I4")?;
            }
        }
        Ok(())
    }

    /// Whether a device holds just what the server does.
    fn same(&self, number: usize, store: &dyn Store, account: AccountNo, rule: &'static str) -> Outcome {
        let read = |store: &dyn Store, account| -> Outcome<Vec<String>> {
            let cards = cards(store, account).map_err(|error| self.misused(&error))?;
            let mut all: Vec<String> = cards.iter().map(|card| meaning(card)).collect();
            all.sort();
            Ok(all)
        };
        let (there, here) = (read(self.faults.as_ref(), self.account)?, read(store, account)?);
        if there == here {
            return Ok(());
        }
        let lacks = |one: &[String], other: &[String]| {
            let mut left = other.to_vec();
            let rest = one.iter().filter(|card| match left.iter().position(|it| it == *card) {
                Some(at) => {
                    left.swap_remove(at);
                    false
                }
                None => true,
            });
            rest.cloned().collect::<Vec<_>>().join("\n")
        };
        let what = format!(
            "device {number} differs; only there:\n{}\nonly on the server:\n{}",
            lacks(&here, &there),
            lacks(&there, &here)
        );
        Err(self.violation(rule, what))
    }

    /// Whether the server owes the device nothing.
    fn at_rest(&self, number: usize) -> Outcome<bool> {
        let id = &self.devices[number].config.device_id;
        let open = look(self.faults.as_ref(), self.account, |tx| match tx.device(id)? {
            Some(device) => Ok(!tx.outgoing_page(device.device, BOOK, crate::store::Guid(0), 1)?.is_empty()),
            None => Ok(false),
        });
        open.map(|open| !open).map_err(|error| self.misused(&error))
    }

    /// I6: when the server's anchors of a device moved, everything of that sync must be answered.
    fn anchors(&mut self, number: usize, talking: Option<usize>) -> Outcome {
        let id = self.devices[number].config.device_id.clone();
        let sieve = self.devices[number].sieve;
        let found = look(self.faults.as_ref(), self.account, |tx| {
            let Some(device) = tx.device(&id)? else { return Ok(None) };
            let Some(pair) = tx.pair(device.device, BOOK)? else { return Ok(None) };
            let rows = tx.outgoing_page(device.device, BOOK, crate::store::Guid(0), usize::MAX)?;
            // A row of an item deleted since waits for a Map that may never come, and so does one of an item that the device
            // does not want any more; one changed since is for the next sync.
            let guids: Vec<_> = rows.iter().map(|row| row.guid).collect();
            let of_this = |item: &crate::store::ItemRow<'_>| {
                !item.deleted && item.revision <= pair.cursor && sieve.passes(&Face::read(&item.content).name)
            };
            let due = tx.items(BOOK, &guids)?.into_iter().map(|item| item.is_some_and(|item| of_this(&item)));
            let sent = |row: &crate::store::OutgoingRow| row.state.is_unanswered();
            let open = rows.iter().zip(due).filter(|(row, due)| *due && sent(row)).count();
            let staged = tx.staged(device.device, BOOK, 0, usize::MAX)?.len();
            Ok(Some((pair.peer_next, open, staged)))
        });
        let Some((anchor, open, staged)) = found.map_err(|error| self.misused(&error))? else { return Ok(()) };
        let device = &mut self.devices[number];
        if device.anchor == anchor {
            return Ok(());
        }
        device.anchor = anchor;
        let complete = match (talking, &device.talk) {
            (Some(_), Some(talk)) => talk.watch.complete(talk.sync),
            _ => true,
        };
        // A sync from the client only leaves what the server has to say as it is.
        let mute = device.talk.as_ref().is_some_and(|talk| !talk.sync.sends(Role::Server));
        if (open > 0 && !mute) || staged > 0 || !complete {
            let what = format!("anchors moved with {open} unanswered and {staged} staged items; complete: {complete}");
            return Err(self.violation("I6", what));
        }
        Ok(())
    }

    /// Edits have stopped: two clean rounds, then everything must be as the people left it.
    pub(super) fn judge(&mut self, events: usize) -> Outcome {
        self.event = events;
        self.late.clear();
        self.devices.iter_mut().for_each(|device| device.talk = None);
        // A round counts when all its syncs were two-way: lost anchors make some slow, and what a slow sync finds is told next.
        let mut rounds = 0;
        for _ in 0..ROUNDS {
            let mut all = true;
            for number in 0..self.devices.len() {
                all &= self.calm_sync(number)?.books[0].mode == "two-way";
            }
            rounds += usize::from(all);
            if rounds == 2 {
                break;
            }
        }
        if rounds < 2 {
            return Err(self.violation("peace", "syncs stay slow"));
        }
        for (number, device) in self.devices.iter().enumerate() {
            self.same(number, device.store.as_ref(), device.account, "I4")?;
            self.maps(number)?;
        }
        let cards = cards(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        self.model.judge(&cards).map_err(|(rule, what)| self.violation(rule, what))?;
        for card in cards.iter().filter(|card| is_respelt(card)) {
            let face = Face::read(card);
            if !face.tokens.iter().any(|token| self.respelt.contains(token)) {
                return Err(self.violation("I5", format!("a card that was only touched was rewritten: {face:?}")));
            }
        }
        for number in 0..self.devices.len() {
            let report = self.calm_sync(number)?;
            let book = &report.books[0];
            if book.sent != Default::default() || book.received != Default::default() {
                return Err(self.violation("I4", format!("there is no rest: {book:?}")));
            }
        }
        Ok(())
    }

    fn calm_sync(&mut self, number: usize) -> Outcome<Report> {
        self.now = self.now.plus_seconds(10);
        let wants = (SyncType::TwoWay, Sieve::All);
        self.begin(number, wants, Trouble::None)?;
        let mut report = Report::default();
        for _ in 0..ENDLESS {
            let Some(talk) = &self.devices[number].talk else { return Ok(report) };
            report = talk.client.report();
            self.turn(number, wants, Trouble::None)?;
            report = self.devices[number].talk.as_ref().map_or(report, |talk| talk.client.report());
        }
        Err(self.violation("peace", "a session does not end"))
    }

    /// I3, and that the maps say what is so.
    fn maps(&self, number: usize) -> Outcome {
        let device = &self.devices[number];
        let rows = look(self.faults.as_ref(), self.account, |tx| {
            let Some(row) = tx.device(&device.config.device_id)? else { return Ok(Vec::new()) };
            let Some(pair) = tx.pair(row.device, BOOK)? else { return Ok(Vec::new()) };
            tx.map_page(row.device, BOOK, pair.epoch, crate::store::Guid(0), usize::MAX)
        });
        let rows = rows.map_err(|error| self.misused(&error))?;
        let there = book::items(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        let here = book::items(device.store.as_ref(), device.account).map_err(|error| self.misused(&error))?;
        let luids: BTreeSet<&str> = rows.iter().map(|row| row.luid.as_str()).collect();
        let guids: BTreeSet<_> = rows.iter().map(|row| row.guid).collect();
        let items: BTreeSet<_> = there.iter().map(|item| item.guid).collect();
        if luids.len() != rows.len() || guids.len() != rows.len() || guids != items {
            return Err(self.violation("I3", format!("the map of device {number} is not one to one with its items")));
        }
        for row in &rows {
            let mine = here.iter().find(|item| item.guid.0.to_string() == row.luid);
            let theirs = there.iter().find(|item| item.guid == row.guid);
            let same = match (mine, theirs) {
                (Some(mine), Some(theirs)) => meaning(&mine.content) == meaning(&theirs.content),
                _ => false,
            };
            if !same || row.state != MapState::Live {
                return Err(self.violation("I3", format!("device {number}: {row:?} is wrong")));
            }
        }
        Ok(())
    }
}

/// What an Alert says of that.
fn filter(sieve: Sieve) -> Option<BookFilter> {
    let filter_type = match sieve {
        Sieve::All => return None,
        Sieve::Some => FilterType::Inclusive,
        Sieve::Only => FilterType::Exclusive,
    };
    Some(BookFilter { record: Some("N&CON;e&OR;N&CON;r".to_owned()), fields: Vec::new(), filter_type })
}

impl Sieve {
    /// Whether a card of that name comes to the device.
    fn passes(self, name: &str) -> bool {
        self == Self::All || name.contains(['e', 'r'])
    }
}

fn shortened(bytes: &[u8], thousandths: u32) -> Vec<u8> {
    bytes[..bytes.len() * thousandths.min(999) as usize / 1000].to_vec()
}
