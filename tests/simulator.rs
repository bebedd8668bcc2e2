//! The simulator: schedules that must hold, and bugs planted on purpose that it must find.
//!
//! `tests/run` plays thousands of schedules more, optimized, by `examples/simulate`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // files are read

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use syncml::kit::sim::{Schedule, Stats, Tap, TapTx, in_memory, minimise, simulate};
use syncml::store::{
    AccountNo, BookNo, DeviceNo, Directory, Guid, ItemRow, Keys, MapRow, PairRow, Result, SessionRow, Store,
    StoreError, Tx, Verdict, ViewFp,
};

const STEPS: usize = 120;

fn play(seeds: impl Iterator<Item = u64>) -> Stats {
    let mut total = Stats::default();
    for seed in seeds {
        let schedule = Schedule::new(seed, STEPS);
        match simulate(&schedule, in_memory()) {
            Ok(stats) => total += stats,
            Err(violation) => {
                let (small, found) = minimise(&schedule, &in_memory, 300);
                panic!("seed {seed}: {violation}\nthe smallest schedule found:\n{small}\n{found:?}");
            }
        }
    }
    total
}

/// Catalogue: X9, X6
#[test]
fn promises_hold_in_fixed_schedules() {
    let stats = play(1..=80);
    // A simulator in which nothing happens proves nothing.
    assert!(stats.clean > 1_000 && stats.troubles > 600 && stats.edits > 1_500, "{stats:?}");
    assert!(stats.broken > 100 && stats.late > 40 && stats.restarts > 100, "{stats:?}");
    assert!(stats.fates > 20 && stats.restores > 20, "{stats:?}");
}

/// Schedules that broke a promise once, as small as they could be made.
#[test]
fn promises_hold_where_they_were_broken() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schedules");
    let mut played = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let schedule: Schedule = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule, "{}", file.display());
        if let Err(violation) = simulate(&schedule, in_memory()) {
            panic!("{}: {violation}", file.display());
        }
        played += 1;
    }
    assert!(played > 0);
}

#[test]
fn a_schedule_runs_the_same_way_twice() {
    for seed in [3, 77] {
        let schedule = Schedule::new(seed, STEPS);
        assert_eq!(schedule, Schedule::new(seed, STEPS));
        assert_eq!(simulate(&schedule, in_memory()), simulate(&schedule, in_memory()));
    }
}

#[test]
fn sqlite_keeps_the_promises_too() {
    #[cfg(feature = "sqlite")]
    for seed in 1..=8 {
        let folder = tempfile::tempdir().unwrap();
        let store = syncml::store::sqlite::SqliteStore::open(folder.path().join("sim.db")).unwrap();
        simulate(&Schedule::new(seed, STEPS), Arc::new(store)).unwrap();
    }
}

// The test of the test: a store that falsifies what it is told stands for an engine with the bug.

/// Plays 200 schedules over a broken store until one fails; the number it took.
fn caught(broken: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>) -> (u64, String) {
    for seed in 1..=200 {
        if let Err(violation) = simulate(&Schedule::new(seed, STEPS), broken(in_memory())) {
            return (seed, violation.to_string());
        }
    }
    panic!("the bug was not found in 200 schedules");
}

/// A store that falsifies what it is told to write.
struct Falsifying<T> {
    inner: Arc<dyn Store>,
    tap: fn() -> T,
}

impl<T: Tap + 'static> Store for Falsifying<T> {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.inner.step(account, &mut |tx| work(&mut TapTx::new(tx, &mut (self.tap)())))
    }

    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.inner.keys()
    }
}

/// Bug 1: the reply leaves before the commit, and now and then the power goes in between.
struct ReplyBeforeCommit {
    inner: Arc<dyn Store>,
    steps: AtomicUsize,
}

impl Store for ReplyBeforeCommit {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let lost = self.steps.fetch_add(1, Ordering::Relaxed) % 97 == 96;
        self.inner.step(account, &mut |tx| {
            let verdict = work(tx)?;
            Ok(if lost { Verdict::Rollback } else { verdict })
        })
    }

    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.inner.keys()
    }
}

/// Catalogue: X9
#[test]
fn planted_reply_before_commit_is_caught() {
    let (seed, how) = caught(|inner| Arc::new(ReplyBeforeCommit { inner, steps: AtomicUsize::new(0) }));
    println!("caught by seed {seed}: {how}");
}

/// Bug 2: a Status 2xx agrees on what the item has become instead of on what was sent.
struct AgreesOnCurrent;

impl Tap for AgreesOnCurrent {
    fn put_maps(&mut self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect();
        let items = tx.items(book, &guids)?;
        let falsified = |(row, item): (&MapRow, Option<ItemRow<'static>>)| {
            item.map_or_else(|| row.clone(), |item| MapRow { agreed_revision: item.revision, ..row.clone() })
        };
        let rows: Vec<MapRow> = rows.iter().zip(items).map(falsified).collect();
        tx.put_maps(device, book, &rows)
    }
}

#[test]
fn planted_agreement_on_the_current_revision_is_caught() {
    let (seed, how) = caught(|inner| Arc::new(Falsifying { inner, tap: || AgreesOnCurrent }));
    println!("caught by seed {seed}: {how}");
}

/// Bug 3: revisions come from a plain sequence instead of from under the book's lock, so that a writer who drew a number
/// early may commit it late, behind readers who have passed it.
struct PlainSequence {
    inner: Arc<dyn Store>,
    late: Mutex<Vec<(u32, BookNo, ItemRow<'static>)>>,
}

/// Notes what a step writes, and keeps the new items of one that is no session's back.
#[derive(Default)]
struct Writes {
    session: bool,
    items: Vec<(BookNo, ItemRow<'static>)>,
    hold: bool,
}

impl Tap for Writes {
    fn call(&mut self, name: &'static str) -> Result<()> {
        self.session |= name == "put_session" || name == "update_items";
        Ok(())
    }

    fn insert_items(&mut self, tx: &mut dyn Tx, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let owned = |row: &ItemRow<'_>| ItemRow {
            media_type: None,
            content: row.content.to_vec().into(),
            keys: row.keys.to_vec().into(),
            ..*row
        };
        self.items.extend(rows.iter().map(|row| (book, owned(row))));
        if self.hold { Ok(()) } else { tx.insert_items(book, rows) }
    }
}

impl Store for PlainSequence {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let mut late = self.late.lock().unwrap();
        for row in late.iter_mut() {
            row.0 -= 1;
        }
        let due: Vec<_> = late.extract_if(.., |row| row.0 == 0).collect();
        if !due.is_empty() {
            self.inner.step(account, &mut |tx| {
                // The store asks for it: as if it had been held since the number was drawn.
                tx.lock_books(&[BookNo::CONTACTS])?;
                for (_, book, row) in &due {
                    tx.insert_items(*book, std::slice::from_ref(row))?;
                }
                Ok(Verdict::Commit)
            })?;
        }
        // What kind of step it is shows only in the end: so first a rehearsal.
        let mut writes = Writes::default();
        self.inner.step(account, &mut |tx| {
            writes = Writes::default();
            work(&mut TapTx::new(tx, &mut writes)).map(|_| Verdict::Rollback)
        })?;
        let mut writes = Writes { hold: !writes.session, ..Writes::default() };
        self.inner.step(account, &mut |tx| work(&mut TapTx::new(tx, &mut writes)))?;
        if writes.hold {
            late.extend(writes.items.into_iter().map(|(book, row)| (6, book, row)));
        }
        Ok(())
    }

    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.inner.keys()
    }
}

#[test]
fn planted_plain_sequence_is_caught() {
    let (seed, how) = caught(|inner| Arc::new(PlainSequence { inner, late: Mutex::default() }));
    println!("caught by seed {seed}: {how}");
}

/// Bug 4: what was answered is not remembered, so that the same request is done again.
struct ForgetsReplies;

impl Tap for ForgetsReplies {
    fn put_session(&mut self, tx: &mut dyn Tx, row: &SessionRow) -> Result<()> {
        let last_msg_id = if row.last_msg_id > 1 { row.last_msg_id - 1 } else { row.last_msg_id };
        tx.put_session(&SessionRow { last_msg_id, last_digest: [0; 32], recent_digests: Vec::new(), ..row.clone() })
    }
}

#[test]
fn planted_forgetting_of_replies_is_caught() {
    let (seed, how) = caught(|inner| Arc::new(Falsifying { inner, tap: || ForgetsReplies }));
    println!("caught by seed {seed}: {how}");
}

/// Bug 5: anchors move when a sync begins, not when it has ended.
struct MovesAnchorsEarly;

impl Tap for MovesAnchorsEarly {
    fn put_session(&mut self, tx: &mut dyn Tx, row: &SessionRow) -> Result<()> {
        let state: serde_json::Value =
            serde_json::from_slice(&row.state).map_err(|error| StoreError::Failed(error.to_string()))?;
        for store in state["stores"].as_array().into_iter().flatten() {
            let text = |name: &str| store[name].as_str().map(str::to_owned);
            if let (Some(peer), Some(pair)) = (text("peer_next"), tx.pair(row.device, BookNo::CONTACTS)?) {
                tx.put_pair(&PairRow { peer_next: Some(peer), own_next: text("own_next"), ..pair })?;
            }
        }
        tx.put_session(row)
    }
}

#[test]
fn planted_early_anchors_are_caught() {
    let (seed, how) = caught(|inner| Arc::new(Falsifying { inner, tap: || MovesAnchorsEarly }));
    println!("caught by seed {seed}: {how}");
}

/// Bug 6: what a device says again in its own words counts as a change.
struct KnowsNoEcho;

impl Tap for KnowsNoEcho {
    fn put_maps(&mut self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        let forgetful = |row: &MapRow| MapRow { view_fp: ViewFp::default(), ..row.clone() };
        tx.put_maps(device, book, &rows.iter().map(forgetful).collect::<Vec<_>>())
    }
}

#[test]
fn planted_deafness_to_echoes_is_caught() {
    let (seed, how) = caught(|inner| Arc::new(Falsifying { inner, tap: || KnowsNoEcho }));
    println!("caught by seed {seed}: {how}");
}
