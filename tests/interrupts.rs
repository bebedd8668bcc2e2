//! The network breaks at every message, before or after it arrives, and the book ends as if nothing had happened: {first sync,
//! add, change, delete, large} × {client, server} × every message × {request lost, reply lost} × {posted again, resumed, begun
//! anew} (mission X1, X5; SUS-2, RES-1; I1 to I3), with messages of 2,000 bytes, too (I8, MSG-3).
//!
//! One case in ten here, all with `SYNCML_TEST_FULL=1`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card};
use std::fmt;
use std::sync::Arc;
use syncml::codec::Encoding;
use syncml::message::Version;
use syncml::session::{Client, Report, ServerConfig};
use syncml::store::BookNo;
use syncml::store::memory::MemoryStore;

/// Cards on both sides before what is disturbed.
const GIVEN: usize = 12;

/// What is going on when the network breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    First,
    Add,
    Change,
    Delete,
    Large,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// What gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Request,
    Reply,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The same bytes are posted again.
    Retry,
    /// A new session goes on with what can be resumed.
    Resume,
    /// The user breaks off there (224), and a new session goes on.
    Suspend,
    /// A new session, days later, that cannot resume: SyncML 1.1.
    Anew,
}

#[derive(Clone, Copy)]
struct Case {
    work: Work,
    side: Side,
    encoding: Encoding,
    max_msg_size: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at the {:?}, {:?}, {} bytes", self.work, self.side, self.encoding, self.max_msg_size)
    }
}

#[derive(Clone, Copy, Debug)]
struct Break {
    message: u32,
    lost: Lost,
    then: Then,
}

/// A server and a device that hold the same, until one is edited.
struct Pair {
    world: World,
    device: Device,
    max_msg_size: usize,
}

impl Pair {
    fn new(case: &Case) -> Self {
        let mut config = ServerConfig::default();
        config.max_msg_size = case.max_msg_size;
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        let mut device = Device::new("phone");
        device.config.max_msg_size = case.max_msg_size;
        device.config.encoding = case.encoding;
        let mut pair = Self { world, device, max_msg_size: usize::try_from(case.max_msg_size).unwrap() };
        for n in 0..GIVEN {
            pair.world.put(&numbered("Given", n, ""));
        }
        if case.work == Work::First {
            // Some are there already, one of them with another number.
            for n in 0..4 {
                pair.device.put(&numbered("Given", n, ""));
            }
            pair.device.put(&card("Given4", "+4999"));
        } else {
            assert!(pair.session(None).unwrap().clean);
        }
        pair.edit(case.work, case.side);
        pair
    }

    fn edit(&self, work: Work, side: Side) {
        let add = |text: &str| match side {
            Side::Client => drop(self.device.put(text).to_string()),
            Side::Server => drop(self.world.put(text).to_string()),
        };
        for n in 0..8 {
            let name = format!("Given{n};");
            match (work, side) {
                (Work::First | Work::Add, _) => add(&numbered("New", n, "")),
                (Work::Large, _) if n < 2 => {
                    add(&numbered("Large", n, &"large ".repeat(self.max_msg_size * 5 / 2 / 6)));
                }
                (Work::Large, _) => {}
                (Work::Change, Side::Client) => {
                    self.device.edit(self.device.find(&name), &numbered("Given", n, "changed"));
                }
                (Work::Change, Side::Server) => {
                    let (store, world) = (self.world.server.store().as_ref(), &self.world);
                    let guid = common::find(store, world.account, BookNo::CONTACTS, &name);
                    let text = numbered("Given", n, "changed");
                    common::put(store, world.account, BookNo::CONTACTS, Some(guid), &text, world.now);
                }
                (Work::Delete, Side::Client) => self.device.delete(self.device.find(&name)),
                (Work::Delete, Side::Server) => {
                    let (store, world) = (self.world.server.store().as_ref(), &self.world);
                    let guid = common::find(store, world.account, BookNo::CONTACTS, &name);
                    common::delete(store, world.account, BookNo::CONTACTS, guid, world.now);
                }
            }
        }
    }

    /// Runs a session, disturbed or not; its report, unless it broke off. Every message keeps to its size (I8).
    fn session(&mut self, disturbed: Option<Break>) -> Option<Report> {
        self.world.tick();
        let (store, account, now) = (self.device.store.clone(), self.device.account, self.world.now);
        let mut client = Client::begin(store, account, self.device.config.clone(), now).unwrap();
        let mut number = 0;
        while let Some(out) = client.outgoing() {
            number += 1;
            assert!(number < 1_000, "the session does not end");
            // What a server takes it says once it has let somebody in: behind a challenge.
            assert!(number <= 2 || out.body.len() <= self.max_msg_size, "message {number}: {} bytes", out.body.len());
            let broken = disturbed.filter(|broken| broken.message == number);
            if let Some(Break { lost: Lost::Request, then, .. }) = broken
                && then != Then::Retry
            {
                return None;
            }
            let reply = self.world.post(&out).unwrap();
            assert!(reply.body.len() <= self.max_msg_size, "reply {number}: {} bytes", reply.body.len());
            match broken {
                Some(Break { lost: Lost::Reply, then: Then::Retry, .. }) => {
                    let again = client.outgoing().unwrap();
                    assert_eq!(again.body, out.body);
                    assert_eq!(self.world.post(&again).unwrap().body, reply.body, "message {number}, said twice (I3)");
                }
                Some(Break { lost: Lost::Reply, then: Then::Resume | Then::Anew, .. }) => return None,
                Some(Break { then: Then::Suspend, .. }) => client.suspend(),
                _ => {}
            }
            client.received(reply.content_type, &reply.body, self.world.now).unwrap();
        }
        Some(client.report())
    }

    /// What both sides hold once all is said.
    fn end(&mut self, after: Option<Then>) -> Vec<String> {
        match after {
            Some(Then::Anew) => {
                self.world.now = self.world.now.plus_seconds(3 * 86_400);
                self.device.config.version = Version::V11;
            }
            _ => self.world.tick(),
        }
        for _ in 0..3 {
            if self.session(None).unwrap().clean {
                break;
            }
        }
        let report = self.session(None).unwrap();
        let told = |counts: syncml::session::Counts| counts.added + counts.changed + counts.deleted;
        let book = &report.books[0];
        assert!(report.clean && told(book.sent) + told(book.received) == 0, "all was said: {report:?}");
        assert_eq!(self.world.cards(), self.device.cards());
        self.world.cards()
    }
}

fn numbered(name: &str, n: usize, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("NOTE:{note}\r\n") };
    card(&format!("{name}{n}"), &format!("+4930{n:04}")).replace("END:", &format!("{note}END:"))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for work in [Work::First, Work::Add, Work::Change, Work::Delete, Work::Large] {
        for side in [Side::Client, Side::Server] {
            for encoding in [Encoding::Xml, Encoding::Wbxml] {
                for max_msg_size in [2_000, 20_000] {
                    cases.push(Case { work, side, encoding, max_msg_size });
                }
            }
        }
    }
    cases
}

#[allow(clippy::disallowed_methods)] // what the environment says is for the tests alone
fn one_in() -> usize {
    if std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1") { 1 } else { 10 }
}

#[test]
fn a_book_ends_the_same_wherever_the_network_breaks() {
    let (mut count, mut held, mut wrong) = (0, 0, Vec::new());
    for case in cases() {
        let mut calm = Pair::new(&case);
        let before = calm.world.wire.len();
        let report = calm.session(None).unwrap();
        assert!(report.clean, "{case}: {report:?}");
        let messages = report.messages / 2;
        let expected = calm.end(None);
        assert!(before == 0 && messages >= 3, "{case}: {messages} messages");
        for message in 1..=messages {
            for lost in [Lost::Request, Lost::Reply] {
                for then in [Then::Retry, Then::Resume, Then::Suspend, Then::Anew] {
                    count += 1;
                    if count % one_in() != 0 {
                        continue;
                    }
                    held += 1;
                    let broken = Break { message, lost, then };
                    let result = std::panic::catch_unwind(|| {
                        let mut pair = Pair::new(&case);
                        pair.session(Some(broken));
                        pair.end(Some(then))
                    });
                    match result {
                        Ok(end) if end == expected => {}
                        Ok(end) => {
                            wrong.push(format!("{case}, {broken:?}: {} cards, not {}", end.len(), expected.len()))
                        }
                        Err(_) => wrong.push(format!("{case}, {broken:?}: see above")),
                    }
                }
            }
        }
    }
    println!("{held} of {count} breaks");
    assert!(held >= 100, "{held}");
    assert!(wrong.is_empty(), "{} of {held}:\n{}", wrong.len(), wrong.join("\n"));
}
