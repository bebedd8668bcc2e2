//! The store fails at every operation of a session, on either side of the wire, before or after the operation is done, and the
//! book ends as if nothing had happened: {add, change, delete, slow, large, restore} × {server's store, client's store} ×
//! {memory, SQLite} × every call and commit × {not done, done and not heard} (mission X1; I1 to I3).
//!
//! Every 41st operation here, all with `SYNCML_TEST_FULL=1`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, find};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use syncml::message::AlertCode;
use syncml::session::{Client, ClientError, Outgoing, Refusal, ServerConfig};
use syncml::store::fault::{Fault, FaultStore, Plan, When};
use syncml::store::history::{At, HistoryError, restore_book};
use syncml::store::memory::MemoryStore;
use syncml::store::{AccountNo, BookNo, Revision, Store};

/// Cards on both sides before what is disturbed.
const GIVEN: usize = 8;

/// What was done on both sides before the session that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Add,
    Change,
    Delete,
    /// The device lost its anchors, and both sides have edits.
    Slow,
    Large,
    /// The server's book is set back, within what is disturbed.
    Restore,
}

const WORKS: [Work; 6] = [Work::Add, Work::Change, Work::Delete, Work::Slow, Work::Large, Work::Restore];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

type Faults<S> = Arc<FaultStore<S>>;

struct Pair<S> {
    world: World,
    device: Device,
    here: Faults<S>,
    there: Faults<S>,
    /// The head of the server's book before the edits.
    before: Revision,
    refused: usize,
    /// Whether a message that is refused must have left everything as it was.
    nothing_done: bool,
}

impl<S: Store + 'static> Pair<S> {
    fn new(work: Work, open: fn() -> S) -> Self {
        let [here, there] = [(); 2].map(|()| Arc::new(FaultStore::new(open())));
        let mut config = ServerConfig::default();
        config.max_msg_size = 4_000;
        let world = World::with(here.clone(), config);
        let mut device = Device::new("phone");
        device.store = there.clone();
        device.account = there.directory().put_login("local", &syncml::auth::Verifier::Md5([0; 16])).unwrap();
        device.config.max_msg_size = 4_000;
        let mut pair = Self { world, device, here, there, before: Revision(0), refused: 0, nothing_done: false };
        for n in 0..GIVEN {
            pair.world.put(&named("Given", n, ""));
        }
        pair.end();
        pair.before = pair.head();
        pair.edit(work);
        pair
    }

    fn head(&self) -> Revision {
        let mut head = Revision(0);
        let mut look = |tx: &mut dyn syncml::store::Tx| {
            head = tx.book(BookNo::CONTACTS)?.unwrap().head;
            Ok(())
        };
        self.here.look(self.world.account, &mut look).unwrap();
        head
    }

    fn edit(&mut self, work: Work) {
        let sides: [(Arc<dyn Store>, AccountNo, &str); 2] =
            [(self.here.clone(), self.world.account, "here"), (self.there.clone(), self.device.account, "there")];
        for (turn, (store, account, side)) in sides.iter().enumerate() {
            let (store, account) = (store.as_ref(), *account);
            let put = |guid, text: &str| {
                common::put(store, account, BookNo::CONTACTS, guid, text, self.world.now);
            };
            let given = |n: usize| find(store, account, BookNo::CONTACTS, &format!("Given{n};"));
            if work == Work::Large {
                put(None, &named(side, 0, &"large ".repeat(1_500)));
                continue;
            }
            for n in 0..3 {
                let mine = 4 * turn + n;
                match work {
                    Work::Add => put(None, &named(side, n, "")),
                    Work::Delete => common::delete(store, account, BookNo::CONTACTS, given(mine), self.world.now),
                    _ => put(Some(given(mine)), &named("Given", mine, side)),
                }
            }
            if matches!(work, Work::Slow | Work::Restore) {
                put(None, &named(side, 0, ""));
                common::delete(store, account, BookNo::CONTACTS, given(4 * turn + 3), self.world.now);
            }
        }
        if work == Work::Slow {
            self.device.config.books[0].mode = AlertCode::SLOW;
        }
    }

    /// What is disturbed: the restore, if it is one, and a session. Who fails is asked again: the server with the same bytes,
    /// the client's store in a new session. True when it needed no other.
    fn disturbed(&mut self, work: Work) -> bool {
        if work == Work::Restore {
            let restore = |pair: &Self| {
                let (store, account, now) = (pair.here.as_ref(), pair.world.account, pair.world.now);
                restore_book(store, account, BookNo::CONTACTS, At::Revision(pair.before), now, &mut |_| ())
            };
            let done = restore(self).or_else(|error| match error {
                HistoryError::Store(_) => restore(self),
                other => Err(other),
            });
            assert!(done.unwrap().ended.is_some());
        }
        self.session()
    }

    fn session(&mut self) -> bool {
        self.world.tick();
        let begin = || {
            let Device { store, account, config } = &self.device;
            Client::begin(store.clone(), *account, config.clone(), self.world.now)
        };
        let begun = begin().or_else(|error| match error {
            ClientError::Store(_) => begin(),
            other => Err(other),
        });
        let mut client = begun.unwrap();
        let mut messages = 0;
        while let Some(out) = client.outgoing() {
            messages += 1;
            assert!(messages < 200, "the session does not end");
            let reply = self.post(&out);
            // Said once more, it is answered from the store.
            if messages > 1 && messages % 3 == 0 {
                assert_eq!(self.post(&out), reply);
            }
            match client.received(reply.0, &reply.1, self.world.now) {
                Ok(()) => {}
                Err(ClientError::Store(_)) => return false,
                Err(error) => panic!("{error}"),
            }
        }
        client.report().clean
    }

    /// All that the server's store holds, but for sessions.
    fn dump(&self) -> String {
        let mut text = Vec::new();
        syncml::store::archive::dump(self.here.inner(), &mut text, &mut |_| ()).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Posts a message, and the same bytes again where the server could not work on it.
    fn post(&mut self, out: &Outgoing) -> (&'static str, Vec<u8>) {
        let before = self.nothing_done.then(|| self.dump());
        let reply = self.world.post(out).or_else(|refusal| {
            assert!(before.is_none_or(|before| before == self.dump()), "nothing half done");
            assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
            assert_eq!(refusal.http_status(), 503);
            assert!(!refusal.to_string().contains("injected"), "why is not the peer's affair: {refusal}");
            self.refused += 1;
            self.world.post(out)
        });
        reply.map(|reply| (reply.content_type, reply.body)).unwrap()
    }

    /// Syncs until nothing is left to say; what both sides hold then.
    fn end(&mut self) -> Vec<String> {
        self.device.config.books[0].mode = AlertCode::TWO_WAY;
        for _ in 0..4 {
            self.session();
        }
        let report = self.world.sync(&self.device).unwrap();
        assert!(report.clean && report.books[0].received == Default::default(), "{report:?}");
        assert_eq!(report.books[0].sent, Default::default());
        assert_eq!(self.world.cards(), self.device.cards());
        self.world.cards()
    }
}

fn named(name: &str, n: usize, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("NOTE:{note}\r\n") };
    card(&format!("{name}{n}"), &format!("+4930{n:04}")).replace("END:", &format!("{note}END:"))
}

#[allow(clippy::disallowed_methods)] // what the environment says is for the tests alone
fn stride() -> u64 {
    if std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1") { 1 } else { 41 }
}

fn every_operation<S: Store + 'static>(open: fn() -> S) {
    let (mut held, mut refused, mut wrong) = (0, 0, Vec::new());
    for work in WORKS {
        let mut calm = Pair::new(work, open);
        let before = [&calm.here, &calm.there].map(|store| store.points());
        assert!(calm.disturbed(work), "{work:?}: undisturbed");
        let points = [calm.here.points() - before[0], calm.there.points() - before[1]];
        let expected = calm.end();
        for (side, points) in [Side::Server, Side::Client].into_iter().zip(points) {
            assert!(points > 40, "{work:?}: a session of {points} operations");
            for when in [When::Before, When::After] {
                for number in (1..=points).skip(held % stride() as usize).step_by(stride() as usize) {
                    held += 1;
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        let mut pair = Pair::new(work, open);
                        pair.nothing_done = (side, when) == (Side::Server, When::Before);
                        let faulty = if side == Side::Server { &pair.here } else { &pair.there };
                        faulty.plan(Plan { at: faulty.points() + number, when, fault: Fault::Fail });
                        pair.disturbed(work);
                        (pair.refused, pair.end())
                    }));
                    let what = format!("{work:?}, operation {number} of {points} of the {side:?}, {when:?}");
                    match result {
                        Ok((again, end)) if end == expected => refused += again,
                        Ok((_, end)) => wrong.push(format!("{what}: {end:#?}")),
                        Err(_) => wrong.push(format!("{what}: see above")),
                    }
                }
            }
        }
    }
    println!("{held} faults, {refused} messages refused");
    assert!(held > 30 && refused > held / 4, "{held} faults, {refused} messages refused");
    assert!(wrong.is_empty(), "{} of {held}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Catalogue: X1
#[test]
fn a_memory_store_may_fail_at_every_operation() {
    every_operation(|| MemoryStore::new([1; 32]));
}

/// Catalogue: X1
#[cfg(feature = "sqlite")]
#[test]
fn an_sqlite_store_may_fail_at_every_operation() {
    every_operation(|| syncml::store::sqlite::SqliteStore::open_in_memory().unwrap());
}
