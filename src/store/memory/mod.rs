//! A store in memory: for tests, the simulator and hosts that keep nothing.
//!
//! It behaves as PostgreSQL does under READ COMMITTED. Steps of any number of threads are open at once; a step sees
//! what is committed by now and its own changes; the rows of sessions and books are locked from
//! [`Tx::session`] and [`Tx::lock_books`] to the end of the step, and whoever
//! wants them meanwhile waits. So a test can interleave steps: [`MemoryStore::waiting`] says when another is at a lock.

mod blobs;
mod directory;
mod history;
mod items;
mod journal;
mod ledger;
mod maps;
mod sessions;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod tx;
mod words;

pub use journal::{Change, Journal};

use super::{
    AccountNo, BookNo, Directory, KEYS_KEPT, KeySet, Keys, Result, Store, StoreError, Token, Tx, Verdict, watch,
};
use crate::message::Timestamp;
use directory::MemoryDirectory;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tables::{Changes, Tables};
use tx::MemoryTx;

/// A store in memory. Deterministic: all that other stores draw at random derives from the seed.
#[derive(Debug)]
pub struct MemoryStore {
    seed: [u8; 32],
    directory: MemoryDirectory,
    shared: Mutex<Shared>,
    released: Condvar,
}

/// What all steps share.
#[derive(Debug, Default)]
struct Shared {
    accounts: BTreeMap<AccountNo, Tables>,
    owners: HashMap<Lock, StepNo>,
    waiting: HashMap<StepNo, Lock>,
    last_step: StepNo,
}

type StepNo = u64;

/// A row that one step at a time may hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lock {
    Device(AccountNo, String),
    Session(AccountNo, Token),
    Book(AccountNo, BookNo),
}

impl MemoryStore {
    /// An empty store. Stores of different seeds have different keys and book stamps.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, directory: MemoryDirectory::default(), shared: Mutex::default(), released: Condvar::new() }
    }

    /// A store of its own that holds what is committed here now: a backup.
    #[must_use]
    pub fn copy(&self) -> Self {
        let accounts = self.shared().accounts.clone();
        let shared = Mutex::new(Shared { accounts, ..Shared::default() });
        Self { seed: self.seed, directory: self.directory.copy(), shared, released: Condvar::new() }
    }

    /// How many steps are waiting for a lock at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared().waiting.len()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Committed tables change in `commit` only, which does not panic; layers belong to their step.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the lock is this step's. The guard is given up while waiting.
    fn acquire<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared>,
        step: StepNo,
        lock: &Lock,
    ) -> Result<MutexGuard<'a, Shared>> {
        loop {
            match shared.owners.get(lock) {
                None => {
                    shared.owners.insert(lock.clone(), step);
                    return Ok(shared);
                }
                Some(owner) if *owner == step => return Ok(shared),
                Some(owner) if shared.waits_for(*owner, step) => {
                    return Err(StoreError::Busy("two steps wait for each other's rows".to_owned()));
                }
                Some(_) => {
                    shared.waiting.insert(step, lock.clone());
                    shared = self.released.wait(shared).unwrap_or_else(PoisonError::into_inner);
                    shared.waiting.remove(&step);
                }
            }
        }
    }

    fn derive(&self, purpose: &str, parts: &[i64]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(self.seed).chain_update(purpose);
        for part in parts {
            hash.update(part.to_le_bytes());
        }
        hash.finalize().into()
    }
}

impl Shared {
    /// Whether the step `waiter` waits, directly or through others, for `step`.
    fn waits_for(&self, mut waiter: StepNo, step: StepNo) -> bool {
        while let Some(owner) = self.waiting.get(&waiter).and_then(|lock| self.owners.get(lock)) {
            if *owner == step {
                return true;
            }
            waiter = *owner;
        }
        false
    }
}

impl Store for MemoryStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let mut open = OpenStep::begin(self, account);
        let verdict = watch::run(&mut open.tx, work)?;
        if verdict == Verdict::Commit {
            open.commit()?;
        }
        Ok(())
    }

    fn directory(&self) -> &dyn Directory {
        &self.directory
    }

    fn keys(&self) -> Result<Keys> {
        let set = |(number, since): (u32, Timestamp)| {
            let parts: &[i64] = if number == 1 { &[] } else { &[i64::from(number)] };
            KeySet { number, since, nonce: self.derive("nonce", parts), token: self.derive("token", parts) }
        };
        let mut all = self.directory.keys();
        let newest = all.split_off(all.len().saturating_sub(KEYS_KEPT as usize));
        Ok(Keys(newest.into_iter().map(set).collect()))
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.directory.rotate_keys(since)?;
        self.keys()
    }
}

/// A step that releases its locks however it ends, a panic included.
struct OpenStep<'a> {
    tx: MemoryTx<'a>,
}

impl<'a> OpenStep<'a> {
    fn begin(store: &'a MemoryStore, account: AccountNo) -> Self {
        let step = {
            let mut shared = store.shared();
            shared.last_step += 1;
            shared.last_step
        };
        Self { tx: MemoryTx { store, account, step, changes: Changes::default() } }
    }

    fn commit(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.tx.changes);
        let (account, directory) = (self.tx.account, &self.tx.store.directory);
        let mut shared = self.tx.store.shared();
        let tables = shared.accounts.entry(account).or_default();
        if directory.journal.is_some() {
            directory.keep(&changes.rows(account, tables)?)?;
        }
        directory.committed(account, &changes);
        changes.commit(tables);
        Ok(())
    }
}

impl Drop for OpenStep<'_> {
    fn drop(&mut self) {
        self.tx.store.shared().owners.retain(|_, owner| *owner != self.tx.step);
        self.tx.store.released.notify_all();
    }
}
