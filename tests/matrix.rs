//! The matrix of `tests/peer/` between two of our own nodes in memory: every scenario in each version and encoding, within
//! seconds, so that it is run every day. Numbers and names are those of `tests/peer/scenarios.py`.
//!
//! After every scenario both books are equal, hold exactly what is expected, and one more sync says nothing.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World};
use std::sync::Arc;
use syncml::auth::Secret;
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::session::{Client, ClientBook, ClientError, Counts, Credentials, Report, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, Verdict};
use syncml::sync::DeletionGuard;

const VARIANTS: [(Encoding, Version); 6] = [
    (Encoding::Xml, Version::V10),
    (Encoding::Xml, Version::V11),
    (Encoding::Xml, Version::V12),
    (Encoding::Wbxml, Version::V10),
    (Encoding::Wbxml, Version::V11),
    (Encoding::Wbxml, Version::V12),
];

/// The largest message either side takes, in bytes.
const MAX_MSG_SIZE: usize = 20_000;

/// A server and a client with as many cards on both, and the means to edit and to sync them.
struct Pair {
    world: World,
    device: Device,
    scenario: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}
use Side::{Client as C, Server as S};

/// What happens to message number so-and-so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Lost, and said again.
    RequestLost,
    /// Answered; the answer is lost, and it is said again.
    ReplyLost,
    /// Lost, and the line is dead.
    RequestLostForGood,
    ReplyLostForGood,
    /// The user breaks off.
    Suspend,
}

fn card(i: usize, more: &str) -> String {
    common::card(&format!("Person{i:03}"), &format!("+4917{i:05}")).replace("END:", &format!("{more}END:"))
}

fn line(text: &str) -> String {
    format!("{text}\r\n")
}

fn told(counts: Counts) -> u64 {
    counts.added + counts.changed + counts.deleted
}

impl Pair {
    fn new(scenario: &'static str, (encoding, version): (Encoding, Version), guard: DeletionGuard) -> Self {
        let mut config = ServerConfig::default();
        config.max_msg_size = MAX_MSG_SIZE as u64;
        config.guard = guard;
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        let mut device = Device::new("phone");
        device.config.encoding = encoding;
        device.config.version = version;
        Self { world, device, scenario }
    }

    fn given(&mut self, count: usize) {
        for i in 1..=count {
            self.world.put(&card(i, ""));
        }
        self.sync(AlertCode::TWO_WAY);
        self.ends((1..=count).map(|i| card(i, "")));
    }

    fn adds(&self, side: Side, i: usize, more: &str) {
        match side {
            C => self.device.put(&card(i, more)),
            S => self.world.put(&card(i, more)),
        };
    }

    fn changes(&self, side: Side, i: usize, more: &str) {
        let (name, text) = (format!("Person{i:03};"), card(i, more));
        match side {
            C => self.device.edit(self.device.find(&name), &text),
            S => {
                let (store, world) = (self.world.server.store().as_ref(), &self.world);
                let guid = common::find(store, world.account, BookNo::CONTACTS, &name);
                common::put(store, world.account, BookNo::CONTACTS, Some(guid), &text, world.now);
            }
        }
    }

    fn deletes(&self, side: Side, i: usize) {
        let name = format!("Person{i:03};");
        match side {
            C => self.device.delete(self.device.find(&name)),
            S => {
                let (store, world) = (self.world.server.store().as_ref(), &self.world);
                let guid = common::find(store, world.account, BookNo::CONTACTS, &name);
                common::delete(store, world.account, BookNo::CONTACTS, guid, world.now);
            }
        }
    }

    /// Adds 1 and 2, changes 3 and 4, deletes 5 and 6: odd numbers at the client, even ones at the server.
    fn both_edit(&self, base: usize) {
        self.adds(C, base + 1, "");
        self.adds(S, base + 2, "");
        self.changes(C, base + 3, &line("TITLE:Client"));
        self.changes(S, base + 4, &line("TITLE:Server"));
        self.deletes(C, base + 5);
        self.deletes(S, base + 6);
    }

    /// What [`both_edit`](Self::both_edit) comes to.
    fn both_edited(base: usize) -> Vec<String> {
        let (client, server) = (line("TITLE:Client"), line("TITLE:Server"));
        [(1, ""), (2, ""), (3, &*client), (4, &*server)].map(|(i, more)| card(base + i, more)).to_vec()
    }

    fn hold(&mut self, fate: impl Fn(u32) -> Fate) -> Result<Option<Report>, ClientError> {
        self.world.tick();
        let (store, account, now) = (self.device.store.clone(), self.device.account, self.world.now);
        let mut client = Client::begin(store, account, self.device.config.clone(), now)?;
        let mut number = 0;
        while let Some(out) = client.outgoing() {
            number += 1;
            assert!(number < 1_000, "{}: the session does not end", self.scenario);
            assert!(number <= 2 || out.body.len() <= MAX_MSG_SIZE, "{}: {} bytes", self.scenario, out.body.len());
            let fate = fate(number);
            if fate == Fate::RequestLostForGood {
                return Ok(None);
            }
            if fate == Fate::RequestLost {
                assert_eq!(client.outgoing().unwrap().body, out.body);
            }
            let mut reply = self.world.post(&out).unwrap();
            if fate == Fate::ReplyLost {
                let again = self.world.post(&client.outgoing().unwrap()).unwrap();
                assert_eq!(again.body, reply.body, "{}: message {number}", self.scenario);
                reply = again;
            }
            assert!(reply.body.len() <= MAX_MSG_SIZE, "{}: {} bytes", self.scenario, reply.body.len());
            match fate {
                Fate::ReplyLostForGood => return Ok(None),
                Fate::Suspend => client.suspend(),
                _ => {}
            }
            client.received(reply.content_type, &reply.body, self.world.now)?;
        }
        Ok(Some(client.report()))
    }

    fn sync_with(&mut self, mode: AlertCode, fate: impl Fn(u32) -> Fate) -> Option<Report> {
        for book in &mut self.device.config.books {
            book.mode = mode;
        }
        self.hold(fate).unwrap_or_else(|error| panic!("{}: {error}", self.scenario))
    }

    fn sync(&mut self, mode: AlertCode) -> Report {
        let report = self.sync_with(mode, |_| Fate::Pass).unwrap();
        assert!(report.clean, "{}: {report:?}\n{}", self.scenario, self.world.outline());
        report
    }

    fn held(&self, side: Side) -> Vec<String> {
        let cards = if side == C { self.device.cards() } else { self.world.cards() };
        cards.iter().map(|card| sorted(card)).collect()
    }

    /// Both books hold exactly these, and there is nothing left to say.
    fn ends(&mut self, cards: impl IntoIterator<Item = String>) {
        let mut expected: Vec<String> = cards.into_iter().map(|card| sorted(&card)).collect();
        expected.sort();
        for side in [C, S] {
            let mut held = self.held(side);
            held.sort();
            assert_eq!(held, expected, "{} ({})", self.scenario, if side == C { "client" } else { "server" });
        }
        let report = self.sync(AlertCode::TWO_WAY);
        let said: u64 = report.books.iter().map(|book| told(book.sent) + told(book.received)).sum();
        assert_eq!(said, 0, "{}: {report:?}", self.scenario);
    }
}

/// A card's lines in order: merging may move them.
fn sorted(card: &str) -> String {
    let mut lines: Vec<&str> = card.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn cards(range: impl IntoIterator<Item = usize>) -> Vec<String> {
    range.into_iter().map(|i| card(i, "")).collect()
}

/// Whether a version has chunks, which large objects need.
fn has_chunks(pair: &Pair) -> bool {
    pair.device.config.version != Version::V10
}

type Play = fn(&mut Pair);

const SCENARIOS: &[(&str, usize, Play)] = &[
    ("1 first sync", 0, |pair| {
        (1..=5).for_each(|i| pair.adds(C, i, ""));
        pair.adds(S, 4, "");
        pair.adds(S, 5, &line("EMAIL:five@example.com"));
        (6..=7).for_each(|i| pair.adds(S, i, ""));
        pair.sync(AlertCode::SLOW);
        pair.ends(cards([1, 2, 3, 4, 6, 7]).into_iter().chain([card(5, &line("EMAIL:five@example.com"))]));
    }),
    ("2 no change", 3, |pair| pair.ends(cards(1..=3))),
    ("3 slow again, all equal", 3, |pair| {
        pair.sync(AlertCode::SLOW);
        pair.ends(cards(1..=3));
    }),
    ("4 slow again, after edits", 4, |pair| {
        pair.adds(C, 11, "");
        pair.adds(S, 12, "");
        pair.changes(C, 1, &line("TITLE:Client"));
        pair.changes(S, 2, &line("TITLE:Server"));
        pair.sync(AlertCode::SLOW);
        let edited = [card(1, &line("TITLE:Client")), card(2, &line("TITLE:Server"))];
        pair.ends(cards([3, 4, 11, 12]).into_iter().chain(edited));
    }),
    ("10 adds", 0, |pair| {
        pair.adds(C, 1, "");
        pair.adds(S, 2, "");
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards(1..=2));
    }),
    ("13 adds, updates and deletes, mixed", 6, |pair| {
        for i in [1, 2] {
            pair.deletes(C, i);
        }
        pair.both_edit(0);
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(Pair::both_edited(0));
    }),
    ("20 conflict: update, update of other fields", 1, |pair| {
        pair.changes(C, 1, &line("NOTE:by the client"));
        pair.changes(S, 1, &line("TITLE:by the server"));
        pair.sync(AlertCode::TWO_WAY);
        pair.ends([card(1, "NOTE:by the client\r\nTITLE:by the server\r\n")]);
    }),
    ("21 conflict: update, update of the same field", 1, |pair| {
        pair.changes(C, 1, &line("TITLE:by the client"));
        pair.changes(S, 1, &line("TITLE:by the server"));
        pair.sync(AlertCode::TWO_WAY);
        let held = pair.held(S);
        assert!(held.len() == 1 && held[0].contains("TITLE:by the "), "{held:?}");
        pair.ends(held);
    }),
    ("22 conflict: client updates, server deletes", 1, |pair| {
        pair.changes(C, 1, &line("TITLE:by the client"));
        pair.deletes(S, 1);
        pair.sync(AlertCode::TWO_WAY);
        pair.ends([card(1, &line("TITLE:by the client"))]);
    }),
    ("23 conflict: client deletes, server updates", 1, |pair| {
        pair.deletes(C, 1);
        pair.changes(S, 1, &line("TITLE:by the server"));
        pair.sync(AlertCode::TWO_WAY);
        pair.ends([card(1, &line("TITLE:by the server"))]);
    }),
    ("24 conflict: delete, delete", 2, |pair| {
        pair.deletes(C, 1);
        pair.deletes(S, 1);
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards([2]));
    }),
    ("25 conflict: identical adds", 1, |pair| {
        pair.adds(C, 2, "");
        pair.adds(S, 2, "");
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards(1..=2));
    }),
    ("30 one-way from client", 6, |pair| {
        (1..=2).for_each(|i| pair.deletes(C, i));
        pair.both_edit(0);
        pair.sync(AlertCode::ONE_WAY_FROM_CLIENT);
        assert_eq!(pair.held(C).len(), 4, "1, 3, 4 and 6, as the client has them");
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(Pair::both_edited(0));
    }),
    ("31 one-way from server", 6, |pair| {
        (1..=2).for_each(|i| pair.deletes(S, i));
        pair.both_edit(0);
        pair.sync(AlertCode::ONE_WAY_FROM_SERVER);
        assert!(!pair.held(S).contains(&sorted(&card(3, &line("TITLE:Client")))));
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(Pair::both_edited(0));
    }),
    ("32 refresh from client", 6, |pair| {
        pair.deletes(S, 2);
        pair.deletes(C, 1);
        pair.both_edit(0);
        pair.sync(AlertCode::REFRESH_FROM_CLIENT);
        pair.ends(cards([1, 2, 4, 6]).into_iter().chain([card(3, &line("TITLE:Client"))]));
    }),
    ("33 refresh from server", 6, |pair| {
        pair.deletes(S, 2);
        pair.deletes(C, 1);
        pair.both_edit(0);
        pair.sync(AlertCode::REFRESH_FROM_SERVER);
        pair.ends(cards([1, 2, 3, 5]).into_iter().chain([card(4, &line("TITLE:Server"))]));
    }),
    ("34 refresh from server, as a wiped client", 4, |pair| {
        pair.adds(S, 12, "");
        let config = pair.device.config.clone();
        pair.device = Device { config, ..Device::new("phone") };
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards([1, 2, 3, 4, 12]));
    }),
    ("35 client deleted everything", 12, |pair| {
        (1..=12).for_each(|i| pair.deletes(C, i));
        pair.sync(AlertCode::TWO_WAY);
        pair.ends([]);
    }),
    ("40 large objects, and updated", 2, |pair| {
        let large = format!("NOTE:{}\r\n", "large ".repeat(10_000));
        pair.adds(C, 11, &large);
        pair.adds(S, 12, &large);
        pair.sync_with(AlertCode::TWO_WAY, |_| Fate::Pass);
        if has_chunks(pair) {
            let (client, server) = (large.clone() + "TITLE:Client\r\n", large + "TITLE:Server\r\n");
            pair.changes(C, 11, &client);
            pair.changes(S, 12, &server);
            pair.sync(AlertCode::TWO_WAY);
            pair.ends(cards(1..=2).into_iter().chain([card(11, &client), card(12, &server)]));
        } else {
            // They stay where they are, and nothing else is lost.
            assert_eq!((pair.held(C).len(), pair.held(S).len()), (3, 3));
        }
    }),
    ("42 many messages", 0, |pair| {
        let more = line(&format!("NOTE:{}", "some more of it ".repeat(20)));
        (1..=150).for_each(|i| pair.adds(C, i, &more));
        (151..=300).for_each(|i| pair.adds(S, i, &more));
        let report = pair.sync(AlertCode::TWO_WAY);
        assert!(report.messages > 12, "{}", report.messages);
        pair.ends((1..=300).map(|i| card(i, &more)));
    }),
    ("50 client lost its anchors", 3, |pair| {
        let config = pair.device.config.clone();
        let fresh = Device { config, ..Device::new("phone") };
        pair.device.cards().iter().for_each(|card| drop(fresh.put(&card.replace('\n', "\r\n")).to_string()));
        pair.device = fresh;
        pair.adds(C, 11, "");
        pair.adds(S, 12, "");
        pair.changes(C, 1, &line("TITLE:Client"));
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards([2, 3, 11, 12]).into_iter().chain([card(1, &line("TITLE:Client"))]));
    }),
    ("51 server lost its anchors", 3, |pair| {
        let (store, account) = (pair.world.server.store().clone(), pair.world.account);
        let lose = &mut |tx: &mut dyn syncml::store::Tx| {
            let device = tx.device("phone")?.unwrap();
            let mut row = tx.pair(device.device, BookNo::CONTACTS)?.unwrap();
            (row.peer_next, row.peer_prev) = (None, None);
            tx.put_pair(&row)?;
            Ok(Verdict::Commit)
        };
        store.step(account, lose).unwrap();
        pair.adds(C, 11, "");
        pair.adds(S, 12, "");
        pair.changes(C, 1, &line("TITLE:Client"));
        let report = pair.sync(AlertCode::TWO_WAY);
        assert_eq!(report.books[0].mode, "slow");
        pair.ends(cards([2, 3, 11, 12]).into_iter().chain([card(1, &line("TITLE:Client"))]));
    }),
    ("52 bad password", 1, |pair| {
        pair.adds(C, 11, "");
        let good = pair.device.config.credentials.clone();
        let wrong = Secret::new("wrong".to_owned());
        pair.device.config.credentials = Credentials::Md5 { user: "alice".to_owned(), password: wrong };
        assert!(matches!(pair.hold(|_| Fate::Pass), Err(ClientError::Refused(_))));
        assert_eq!(pair.held(S).len(), 1);
        pair.device.config.credentials = good;
        pair.world.now = pair.world.now.plus_seconds(3_600);
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards([1, 11]));
    }),
    ("53 unknown datastore", 1, |pair| {
        pair.adds(C, 11, "");
        let good = std::mem::replace(&mut pair.device.config.books[0].remote_uri, "nosuchstore".to_owned());
        let refused = pair.hold(|_| Fate::Pass);
        assert!(matches!(&refused, Err(ClientError::UnknownBook { name, .. }) if name == "nosuchstore"), "{refused:?}");
        pair.device.config.books[0].remote_uri = good;
        pair.sync(AlertCode::TWO_WAY);
        pair.ends(cards([1, 11]));
    }),
    ("60 suspended in a slow sync, resumed", 0, |pair| suspended(pair, AlertCode::SLOW)),
    ("61 suspended in a two-way sync, resumed", 1, |pair| suspended(pair, AlertCode::TWO_WAY)),
    ("63 every request lost once", 6, |pair| lost_once(pair, Fate::RequestLost)),
    ("64 every reply lost once", 6, |pair| lost_once(pair, Fate::ReplyLost)),
    ("65 aborted in each message, the request lost", 0, |pair| aborted(pair, Fate::RequestLostForGood)),
    ("66 aborted in each message, the reply lost", 0, |pair| aborted(pair, Fate::ReplyLostForGood)),
    ("70 several datastores", 2, |pair| {
        for (book, name) in [(BookNo::CALENDAR, "calendar"), (BookNo::TASKS, "tasks"), (BookNo::NOTES, "notes")] {
            pair.device.config.books.push(ClientBook {
                book,
                local_uri: format!("./{name}"),
                remote_uri: name.to_owned(),
                mode: AlertCode::TWO_WAY,
                filter: None,
                dimensions: Vec::new(),
            });
        }
        let event =
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Tea\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let (server, now) = (pair.world.server.store().clone(), pair.world.now);
        let (device, there, here) = (pair.device.store.clone(), pair.world.account, pair.device.account);
        common::put(server.as_ref(), there, BookNo::CALENDAR, None, event, now);
        common::put(device.as_ref(), here, BookNo::NOTES, None, "Milk", now);
        common::put(server.as_ref(), there, BookNo::TASKS, None, &event.replace("VEVENT", "VTODO"), now);
        pair.adds(C, 3, "");
        let report = pair.sync(AlertCode::TWO_WAY);
        assert_eq!(report.books.len(), 4);
        for book in [BookNo::CALENDAR, BookNo::TASKS, BookNo::NOTES] {
            let (a, b) = (common::cards(server.as_ref(), there, book), common::cards(device.as_ref(), here, book));
            assert!(a == b && a.len() == 1, "{book}: {a:?} {b:?}");
        }
        pair.ends(cards(1..=3));
    }),
];

fn suspended(pair: &mut Pair, mode: AlertCode) {
    let more = line(&format!("NOTE:{}", "some more of it ".repeat(20)));
    let given = pair.held(C).len();
    (11..=90).for_each(|i| pair.adds(C, i, &more));
    (111..=190).for_each(|i| pair.adds(S, i, &more));
    let report = pair.sync_with(mode, |number| if number == 3 { Fate::Suspend } else { Fate::Pass });
    assert!(!report.unwrap().clean);
    pair.sync(AlertCode::TWO_WAY);
    pair.ends((11..=90).chain(111..=190).map(|i| card(i, &more)).chain(cards(1..=given)));
}

fn lost_once(pair: &mut Pair, fate: Fate) {
    (1..=2).for_each(|i| pair.deletes(C, i));
    pair.both_edit(0);
    let report = pair.sync_with(AlertCode::TWO_WAY, |_| fate).unwrap();
    assert!(report.clean, "{report:?}");
    pair.ends(Pair::both_edited(0));
}

fn aborted(pair: &mut Pair, fate: Fate) {
    let mut expected = Vec::new();
    for k in 1..=4 {
        (3..=6).for_each(|i| pair.adds(S, 10 * k + i, ""));
        pair.sync(AlertCode::TWO_WAY);
        pair.both_edit(10 * k);
        let at = u32::try_from(k).unwrap();
        pair.sync_with(AlertCode::TWO_WAY, |number| if number == at { fate } else { Fate::Pass });
        // The session that the client gave up is forgotten by nobody.
        pair.sync_with(AlertCode::TWO_WAY, |_| Fate::Pass);
        expected.extend(Pair::both_edited(10 * k));
        pair.ends(expected.clone());
    }
}

#[test]
fn both_of_our_nodes_agree_in_every_scenario() {
    let mut wrong = Vec::new();
    for (name, given, play) in SCENARIOS {
        for variant in VARIANTS {
            let result = std::panic::catch_unwind(|| {
                // What is meant to be deleted is deleted here; the guard has tests of its own.
                let mut pair = Pair::new(name, variant, DeletionGuard::OFF);
                pair.given(*given);
                play(&mut pair);
            });
            if result.is_err() {
                wrong.push(format!("{name}, {} in {:?}", variant.1, variant.0));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), SCENARIOS.len() * VARIANTS.len(), wrong.join("\n"));
}
