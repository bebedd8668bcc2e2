//! A simulator: a server of a few nodes, a few devices, and a network, stores and clocks that fail in every way, all of it
//! from a seed.
//!
//! A [`Schedule`] is made from a seed and then fixed: people edit on both sides, devices sync with any node, requests and
//! replies are lost, cut, doubled and late, stores fail at any call and before or after a commit, devices lose their power,
//! are emptied, installed anew or set back to a backup, nodes are started anew or have too much to do, clocks are set, the
//! server's book is set back in its history, and now and then a device wants to be sent some cards only, or a part of them.
//! [`simulate`] plays it on one thread with a clock of its own; then the edits stop, every device syncs twice, and what
//! DESIGN calls I1–I6, I8, I9 and I12 is held against a model that knows only what the people did. The same schedule always
//! runs the same way, and [`minimise`] cuts one that fails down to what it takes.
//!
//! The store under test is the caller's: [`in_memory`] makes one, or any other, if it is empty. [`FaultStore`] and
//! [`TapTx`] make a store fail, or falsify what it is told.

mod book;
mod card;
mod exchange;
mod fate;
mod judge;
mod minimise;
mod model;
mod rng;
mod schedule;
mod tap;
mod watch;
mod world;

pub use minimise::minimise;
pub use schedule::{Clock, DeviceSetup, Event, Fate, Place, Schedule, Sieve, Trouble};
pub use tap::{FaultStore, StoreFault, Tap, TapTx, Work};

use crate::store::Store;
use crate::store::memory::MemoryStore;
use std::sync::Arc;
use thiserror::Error;
use world::{Log, World};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{rule} is broken (event {event}): {what}")]
pub struct Violation {
    /// Which: the id of an invariant, `store` for a failure of the store that nobody ordered, `peace` for a session that
    /// broke off or ended uncleanly although nothing went wrong.
    pub rule: &'static str,
    /// How. Simulated people have no privacy.
    pub what: String,
    /// The number of the event in which it was noticed; that of all events when it was noticed in the end.
    pub event: usize,
}

/// What a run was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Edits.
    pub edits: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that ended cleanly.
    pub clean: u64,
    /// Sessions that ended, but not cleanly.
    pub unclean: u64,
    /// Sessions that broke off with an error; others were given up.
    pub broken: u64,
    /// Requests that reached the server.
    pub messages: u64,
    /// Exchanges in which something went wrong.
    pub troubles: u64,
    /// Requests that arrived late.
    pub late: u64,
    /// Nodes started anew.
    pub restarts: u64,
    /// Devices set back, emptied or installed anew.
    pub fates: u64,
    /// Books set back in their history.
    pub restores: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.sessions += other.sessions;
        self.clean += other.clean;
        self.unclean += other.unclean;
        self.broken += other.broken;
        self.messages += other.messages;
        self.troubles += other.troubles;
        self.late += other.late;
        self.restarts += other.restarts;
        self.fates += other.fates;
        self.restores += other.restores;
    }
}

/// Plays a schedule over a server's store, which must be empty.
///
/// # Errors
/// The promise that was not kept.
pub fn simulate(schedule: &Schedule, store: Arc<dyn Store>) -> Result<Stats, Violation> {
    play(schedule, store, Log::default())
}

/// Plays a schedule as [`simulate`] does and tells what happens, line by line.
///
/// # Errors
/// The promise that was not kept.
pub fn trace(schedule: &Schedule, store: Arc<dyn Store>, log: &mut dyn FnMut(&str)) -> Result<Stats, Violation> {
    play(schedule, store, Log(Some(log)))
}

fn play(schedule: &Schedule, store: Arc<dyn Store>, log: Log<'_>) -> Result<Stats, Violation> {
    let mut world = World::new(schedule, store, log)?;
    for (number, event) in schedule.events.iter().enumerate() {
        world.happen(number, *event)?;
    }
    world.judge(schedule.events.len())?;
    Ok(world.stats)
}

/// An empty store in memory.
#[must_use]
pub fn in_memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new([1; 32]))
}
