//! The world of one run: a server of some nodes, its devices, the network between them, and the people.

use super::book::{BOOK, add, cards, edit};
use super::card::Face;
use super::exchange::{Packet, Talk};
use super::model::Model;
use super::rng::Rng;
use super::schedule::{Clock, Event, Place, Schedule, Sieve};
use super::tap::{FaultStore, Work};
use super::{Stats, Violation};
use crate::auth::{Secret, Verifier};
use crate::message::{AlertCode, Timestamp};
use crate::session::{Busy, ClientBook, ClientConfig, Credentials, Patience, Profiles, Server, ServerConfig};
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, Store, StoreError};
use crate::sync::DeletionGuard;
use std::collections::BTreeSet;
use std::sync::Arc;

const URI: &str = "http://server.example/syncml";
const USER: &str = "alice";

/// Nodes whose clocks differ by more, in milliseconds, may think each other's sessions over.
const SKEW: i64 = 30_000;

pub(super) struct Device {
    pub store: Arc<FaultStore>,
    /// The same, as it is backed up.
    pub memory: Arc<MemoryStore>,
    pub account: AccountNo,
    pub config: ClientConfig,
    pub talk: Option<Talk>,
    /// How far its clock is ahead, in milliseconds.
    pub ahead: i64,
    pub backup: Option<MemoryStore>,
    /// Makes the stores of its lives differ.
    pub lives: u8,
    /// It was set back, and may still believe in syncs that are over.
    pub shaken: bool,
    /// Tokens of cards that it had no more before it was set back, or had under another id, and shows again until a session
    /// ends cleanly.
    pub returned: BTreeSet<String>,
    /// What it knew of its syncs is gone, and none ended cleanly since.
    pub bare: bool,
    /// The server knows what this device holds: its last session ended cleanly, and none began since.
    pub sure: bool,
    /// Tokens put in since the last session ended cleanly.
    pub fresh: BTreeSet<String>,
    /// Tokens of cards deleted since the last session ended cleanly.
    pub deleted: Vec<String>,
    /// What it wanted to be sent in its last session.
    pub sieve: Sieve,
    /// It may have been sent cards without their numbers, and not the rest yet.
    pub saw_parts: bool,
    /// The server's word on this device's anchor, as last seen.
    pub anchor: Option<String>,
}

/// A node of the server: what is in memory only, and its clock.
pub(super) struct Node {
    pub server: Server,
    /// How far its clock is ahead, in milliseconds.
    pub ahead: i64,
    pub busy: Busy,
}

/// Who is told what happens, line by line; most often nobody.
#[derive(Default)]
pub(super) struct Log<'l>(pub(super) Option<&'l mut dyn FnMut(&str)>);

impl Log<'_> {
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.0 {
            log(&line());
        }
    }
}

pub(super) struct World<'l> {
    pub log: Log<'l>,
    pub nodes: Vec<Node>,
    pub faults: Arc<FaultStore>,
    pub account: AccountNo,
    pub devices: Vec<Device>,
    pub late: Vec<Packet>,
    pub now: Timestamp,
    pub event: usize,
    pub model: Model,
    /// Tokens of cards that may be respelt on the server.
    pub respelt: BTreeSet<String>,
    /// What answering took of the server's store.
    pub work: Work,
    pub stats: Stats,
}

pub(super) type Outcome<T = ()> = Result<T, Violation>;

impl<'l> World<'l> {
    /// The world as it is when a schedule begins.
    pub(super) fn new(schedule: &Schedule, store: Arc<dyn Store>, log: Log<'l>) -> Outcome<Self> {
        let misused = |error: StoreError| Violation { rule: "store", what: error.to_string(), event: 0 };
        let secret = || Secret::new("open sesame".to_owned());
        let account = store.directory().put_login(USER, &Verifier::Password(secret())).map_err(misused)?;
        let faults = Arc::new(FaultStore::new(store));
        let mut config = ServerConfig { max_msg_size: schedule.server_size, ..ServerConfig::default() };
        config.public_uri = Some(URI.to_owned());
        let node =
            || Server::new(faults.clone(), config.clone()).map(|server| Node { server, ahead: 0, busy: Busy::No });
        let nodes = (0..schedule.nodes.max(1)).map(|_| node()).collect::<Result<Vec<_>, _>>().map_err(misused)?;
        let mut devices = Vec::new();
        for (number, setup) in schedule.devices.iter().enumerate() {
            let memory = Arc::new(MemoryStore::new([number as u8 + 100; 32]));
            let account = memory.directory().put_login("local", &Verifier::Md5([0; 16])).map_err(misused)?;
            let book = ClientBook {
                book: BOOK,
                local_uri: "./contacts".to_owned(),
                remote_uri: "contacts".to_owned(),
                mode: AlertCode::TWO_WAY,
                filter: None,
                dimensions: Vec::new(),
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
                executor: None,
            };
            let device = Device {
                store: Arc::new(FaultStore::new(memory.clone())),
                memory,
                account,
                config,
                talk: None,
                ahead: 0,
                backup: None,
                lives: 0,
                shaken: false,
                returned: BTreeSet::new(),
                bare: false,
                sure: false,
                fresh: BTreeSet::new(),
                deleted: Vec::new(),
                sieve: Sieve::All,
                saw_parts: false,
                anchor: None,
            };
            devices.push(device);
        }
        let mut world = Self {
            log,
            nodes,
            faults,
            account,
            devices,
            late: Vec::new(),
            now: Timestamp(1_700_000_000_000),
            event: 0,
            model: Model::default(),
            respelt: BTreeSet::new(),
            work: Work::default(),
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

    pub(super) fn place(&self, at: Place) -> (Arc<FaultStore>, AccountNo) {
        match at {
            Place::Server => (self.faults.clone(), self.account),
            Place::Device(number) => (self.devices[number].store.clone(), self.devices[number].account),
        }
    }

    pub(super) fn violation(&self, rule: &'static str, what: impl Into<String>) -> Violation {
        Violation { rule, what: what.into(), event: self.event }
    }

    pub(super) fn misused(&self, error: &StoreError) -> Violation {
        self.violation("store", error.to_string())
    }

    /// One event of the schedule.
    pub(super) fn happen(&mut self, number: usize, event: Event) -> Outcome {
        self.event = number;
        self.now = Timestamp(self.now.0 + 250);
        self.log.tell(|| format!("{number:4} {event:?}"));
        match event {
            Event::Edit { at, dice } => self.edit(at, dice),
            Event::Turn { device, node, sync, sieve, trouble } if device < self.devices.len() => {
                self.turn(device, node, (sync, sieve), trouble)
            }
            Event::Device { device, fate } if device < self.devices.len() => self.befall(device, fate),
            Event::Turn { .. } | Event::Device { .. } => Ok(()),
            Event::Late { node, dice } => self.late(node, dice),
            Event::Wait(milliseconds) => {
                self.now = Timestamp(self.now.0 + milliseconds);
                // Sessions may have expired, which is nobody's fault.
                self.disturb();
                Ok(())
            }
            Event::Set { clock, ahead } => {
                match clock {
                    Clock::Node(node) => self.node(node).ahead = ahead,
                    Clock::Device(device) => {
                        if let Some(device) = self.devices.get_mut(device) {
                            device.ahead = ahead;
                        }
                    }
                }
                self.disturb();
                Ok(())
            }
            // Which is nobody's affair: all that counts is in the store.
            Event::Restart(node) => self.restart(node),
            Event::Busy { node, busy } => {
                let node = self.node(node);
                node.busy = busy;
                node.server.set_busy(busy);
                self.disturb();
                Ok(())
            }
            Event::Restore { back, fault } => self.restore(back, fault),
        }
    }

    /// The node of that number, or another where there are fewer.
    pub(super) fn node(&mut self, node: usize) -> &mut Node {
        let count = self.nodes.len();
        &mut self.nodes[node % count]
    }

    /// A node loses what was in its memory only.
    pub(super) fn restart(&mut self, node: usize) -> Outcome {
        let faults = self.faults.clone();
        self.stats.restarts += 1;
        let node = self.node(node);
        match Server::new(faults, node.server.config().clone()) {
            Ok(server) => (node.server, node.busy) = (server, Busy::No),
            Err(error) => return Err(self.misused(&error)),
        }
        Ok(())
    }

    /// Whether the nodes are in such a state that a session may break off.
    pub(super) fn is_rough(&self) -> bool {
        let ahead = || self.nodes.iter().map(|node| node.ahead);
        let skew = ahead().max().unwrap_or(0) - ahead().min().unwrap_or(0);
        skew > SKEW || self.nodes.iter().any(|node| node.busy != Busy::No)
    }

    /// What a device's clock shows.
    pub(super) fn time_of(&self, device: usize) -> Timestamp {
        Timestamp(self.now.0 + self.devices[device].ahead)
    }

    pub(super) fn time_at(&self, place: Place) -> Timestamp {
        match place {
            Place::Server => Timestamp(self.now.0 + self.nodes[0].ahead),
            Place::Device(number) => self.time_of(number),
        }
    }

    pub(super) fn disturb(&mut self) {
        for talk in self.devices.iter_mut().filter_map(|device| device.talk.as_mut()) {
            talk.calm = false;
        }
    }

    /// Something happened that sessions other than that of `device` may see.
    pub(super) fn stir(&mut self, device: Option<usize>) {
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
        let others = || (0..self.devices.len()).map(Place::Device).chain([Place::Server]).filter(|other| *other != at);
        let cards = |other| {
            let (store, account) = self.place(other);
            cards(store.as_ref(), account)
        };
        let offered = || others().map(cards).collect::<Result<Vec<_>, _>>().map(|all| all.concat());
        let token = self.model.token();
        let sure = match at {
            Place::Server => true,
            Place::Device(number) => self.devices[number].sure,
        };
        let now = self.time_at(at);
        let deed =
            edit(store.as_ref(), account, dice, token.clone(), offered, sure, now).map_err(|e| self.misused(&e))?;
        let deleted = self.model.edited(self.event, deed.seen.as_ref(), deed.left.as_ref(), sure);
        // The server believes such a card gone from there already, so that it may come as a new one.
        let returned = |token: &&String| self.devices.iter().any(|device| device.returned.contains(*token));
        let seen = deed.seen.iter().flat_map(|face| &face.tokens);
        let returned: Vec<String> = seen.filter(returned).cloned().collect();
        self.model.unheard(&returned);
        // And beside what it was, once this is something else.
        if let Some(left) = deed.left.as_ref().filter(|_| deed.touched.is_none()) {
            self.model.may_double(returned.into_iter().filter(|token| left.tokens.contains(token)));
        }
        if let Place::Device(number) = at {
            self.devices[number].deleted.extend(deleted);
            if let Some(seen) = deed.seen.as_ref().filter(|_| deed.left.is_none()) {
                // After a sync from here only, what the server sent before may still be unanswered. Then a delete of it may as
                // well be one of what it was before, and the change stays.
                for face in self.unanswered(number)?.iter().filter(|face| face.tokens == seen.tokens) {
                    self.model.doubted(&face.tokens);
                }
            }
        }
        self.stats.edits += 1;
        self.log.tell(|| format!("     {:?} -> {:?}", deed.seen, deed.left));
        let none = Vec::new();
        let (was, is) =
            (deed.seen.as_ref().map_or(&none, |face| &face.tokens), deed.left.as_ref().map(|it| &it.tokens));
        if let (Place::Device(number), Some(is)) = (at, is) {
            let device = &mut self.devices[number];
            if device.bare {
                self.model.may_double(is.iter().cloned());
            }
            // That something was taken back, too, only a sync of changes tells.
            if !is.contains(&token) {
                device.deleted.extend(was.iter().filter(|token| !is.contains(token)).cloned());
            }
        }
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
}
