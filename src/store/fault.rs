//! A test aid: a store that fails or dies at a chosen call, and counts what is asked of it.
//!
//! ```
//! use syncml::store::{AccountNo, BookNo, Store, Verdict, fault::{Fault, FaultStore, Plan, When}, memory::MemoryStore};
//!
//! let store = FaultStore::new(MemoryStore::new([1; 32]));
//! let mut work = |tx: &mut dyn syncml::store::Tx| tx.lock_books(&[BookNo::CONTACTS]).map(|_| Verdict::Commit);
//! store.step(AccountNo(1), &mut work).unwrap();
//! // The same again would be points 3 and 4: the call and the commit. Die after the commit, before its answer.
//! store.plan(Plan { at: 4, when: When::After, fault: Fault::Crash });
//! store.step(AccountNo(1), &mut work).unwrap_err();
//! assert!(store.is_down());
//! store.revive();
//! store.step(AccountNo(1), &mut work).unwrap();
//! ```

use super::watch::{self, Observer, Watched};
use super::*;
use crate::auth::Verifier;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What happens at the chosen point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This call fails; the next may succeed.
    Fail,
    /// The store dies: this call and all others fail until [`FaultStore::revive`]. What was committed stays.
    Crash,
}

/// On which side of the chosen point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is not done.
    Before,
    /// It is done, but its answer is lost. After a commit this is a torn answer: durable, and the caller cannot know.
    After,
}

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// At which point, counted from 1 over the life of the store: every call on a [`Tx`], on the directory and for the
    /// keys is one, and so is every commit.
    pub at: u64,
    /// On which side of it.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

/// What was asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Steps begun.
    pub steps: u64,
    /// Steps committed.
    pub commits: u64,
    /// Calls on a [`Tx`].
    pub calls: u64,
    /// Rows handed in.
    pub rows_written: u64,
    /// Rows handed out; what was not there does not count.
    pub rows_read: u64,
}

/// A store that fails as planned. See the [module](self).
#[derive(Debug)]
pub struct FaultStore<S> {
    store: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    points: u64,
    plan: Option<Plan>,
    down: bool,
    counts: Counts,
}

impl<S> FaultStore<S> {
    /// A store that fails in nothing yet.
    pub fn new(store: S) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Replaces the plan.
    pub fn plan(&self, plan: Plan) {
        self.state().plan = Some(plan);
    }

    /// The number of the last point passed.
    pub fn points(&self) -> u64 {
        self.state().points
    }

    /// Whether the store has died.
    pub fn is_down(&self) -> bool {
        self.state().down
    }

    /// Brings a dead store back, with what was committed and without a plan.
    pub fn revive(&self) {
        let mut state = self.state();
        state.down = false;
        state.plan = None;
    }

    /// What was asked since the last time this was called.
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.state().counts)
    }

    /// The store within.
    pub const fn inner(&self) -> &S {
        &self.store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a point; whether its answer is to be lost.
    fn pass(&self) -> Result<bool> {
        let mut state = self.state();
        if state.down {
            return Err(down());
        }
        state.points += 1;
        let Some(plan) = state.plan.filter(|plan| plan.at == state.points) else { return Ok(false) };
        match plan.when {
            When::After => Ok(true),
            When::Before => {
                state.down = plan.fault == Fault::Crash;
                Err(injected(plan.at))
            }
        }
    }

    /// Loses the answer of the point that was passed.
    fn lose(&self) -> StoreError {
        let mut state = self.state();
        state.down = state.plan.is_some_and(|plan| plan.fault == Fault::Crash);
        injected(state.points)
    }

    /// A call outside a step, as a point.
    fn outside<R>(&self, call: impl FnOnce() -> Result<R>) -> Result<R> {
        let lost = self.pass()?;
        let answer = call();
        if lost { Err(self.lose()) } else { answer }
    }
}

fn injected(at: u64) -> StoreError {
    StoreError::Failed(format!("a fault was injected at point {at}"))
}

fn down() -> StoreError {
    StoreError::Failed("the store is down".to_owned())
}

/// The calls of one run of a step's work.
struct Points<'a, S> {
    store: &'a FaultStore<S>,
    lost: bool,
}

impl<S> Observer for Points<'_, S> {
    fn before(&mut self, _: &'static str) -> Result<()> {
        self.lost = self.store.pass()?;
        Ok(())
    }

    fn after(&mut self, written: usize, read: std::result::Result<usize, &StoreError>) -> Result<()> {
        let mut state = self.store.state();
        state.counts.calls += 1;
        state.counts.rows_written += written as u64;
        state.counts.rows_read += read.unwrap_or_default() as u64;
        drop(state);
        if self.lost { Err(self.store.lose()) } else { Ok(()) }
    }
}

impl<S: Store> Store for FaultStore<S> {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let (mut lost, mut committing) = (false, false);
        self.store.step(account, &mut |tx| {
            (lost, committing) = (false, false);
            if self.is_down() {
                return Err(down());
            }
            self.state().counts.steps += 1;
            let mut points = Points { store: self, lost: false };
            let verdict = watch::run(&mut Watched::new(tx, &mut points), work)?;
            if verdict == Verdict::Commit {
                lost = self.pass()?;
                committing = true;
            }
            Ok(verdict)
        })?;
        if committing {
            self.state().counts.commits += 1;
        }
        if lost { Err(self.lose()) } else { Ok(()) }
    }

    fn directory(&self) -> &dyn Directory {
        self
    }

    fn keys(&self) -> Result<Keys> {
        self.outside(|| self.store.keys())
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.outside(|| self.store.rotate_keys(since))
    }
}

impl<S: Store> Subscribers for FaultStore<S> {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        self.outside(|| self.store.directory().login(name))
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        self.outside(|| self.store.directory().principal(device_id))
    }

    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>> {
        self.outside(|| self.store.directory().granted(device_id, account))
    }
}

impl<S: Store> Directory for FaultStore<S> {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        self.outside(|| self.store.directory().put_login(name, verifier))
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        self.outside(|| self.store.directory().account(name))
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        self.outside(|| self.store.directory().accounts())
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        self.outside(|| self.store.directory().put_principal(device_id, principal))
    }

    fn principals(&self) -> Result<Vec<String>> {
        self.outside(|| self.store.directory().principals())
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        self.outside(|| self.store.directory().set_grant(device_id, account, granted))
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        self.outside(|| self.store.directory().grants())
    }

    fn dirty(&self, device_id: &str, after: (AccountNo, BookNo), limit: usize) -> Result<Vec<Dirty>> {
        self.outside(|| self.store.directory().dirty(device_id, after, limit))
    }

    fn audit(&self, after: (Timestamp, i64), limit: usize) -> Result<Vec<AuditRow>> {
        self.outside(|| self.store.directory().audit(after, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::*;

    const ACCOUNT: AccountNo = AccountNo(1);

    /// Adds one item: five calls and a commit, of which the first and the last three write.
    fn add(tx: &mut dyn Tx) -> Result<Verdict> {
        let row = tx.lock_books(&[BookNo::CONTACTS])?.remove(0);
        tx.items(BookNo::CONTACTS, &[Guid(1), Guid(2)])?;
        let mut writer = BookWriter::new(row, None, Timestamp(0));
        writer.add(Draft::default());
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    }

    fn head(store: &MemoryStore) -> i64 {
        let mut head = 0;
        let mut look = |tx: &mut dyn Tx| {
            head = tx.book(BookNo::CONTACTS)?.map_or(0, |row| row.head.0);
            Ok(Verdict::Rollback)
        };
        store.step(ACCOUNT, &mut look).unwrap();
        head
    }

    #[test]
    fn every_point_can_fail_on_either_side() {
        for fault in [Fault::Fail, Fault::Crash] {
            for when in [When::Before, When::After] {
                for at in 1..=7 {
                    let store = FaultStore::new(MemoryStore::new([1; 32]));
                    store.plan(Plan { at, when, fault });
                    let answer = store.step(ACCOUNT, &mut add);
                    let durable = at == 7 || (at == 6 && when == When::After);
                    let what = format!("{fault:?} {when:?} {at}");
                    assert_eq!(answer.is_err(), at <= 6, "{what}");
                    assert_eq!(head(store.inner()), i64::from(durable), "{what}");
                    assert_eq!(store.is_down(), fault == Fault::Crash && at <= 6, "{what}");
                    let again = store.step(ACCOUNT, &mut add);
                    let up = at != 7 && fault == Fault::Fail;
                    assert_eq!(again.is_ok(), up, "{what}");
                    store.revive();
                    store.step(ACCOUNT, &mut add).unwrap();
                    assert_eq!(head(store.inner()), i64::from(durable) + i64::from(up) + 1, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_fault_made_light_of_is_not_committed_past() {
        let store = FaultStore::new(MemoryStore::new([1; 32]));
        store.plan(Plan { at: 2, when: When::Before, fault: Fault::Fail });
        let answer = store.step(ACCOUNT, &mut |tx| {
            tx.lock_books(&[BookNo::CONTACTS])?;
            let _ = tx.items(BookNo::CONTACTS, &[]);
            Ok(Verdict::Commit)
        });
        assert!(matches!(answer, Err(StoreError::Failed(_))));
    }

    #[test]
    fn calls_and_rows_are_counted() {
        let store = FaultStore::new(MemoryStore::new([1; 32]));
        for (calls, rows_read) in [(5, 1), (5, 2), (5, 3)] {
            store.step(ACCOUNT, &mut add).unwrap();
            let wanted = Counts { steps: 1, commits: 1, calls, rows_written: 2, rows_read };
            assert_eq!(store.take_counts(), wanted);
        }
        assert_eq!(store.points(), 18);
        store.step(ACCOUNT, &mut |_| Ok(Verdict::Rollback)).unwrap();
        assert_eq!(store.take_counts(), Counts { steps: 1, ..Counts::default() });
    }

    #[test]
    fn the_directory_fails_too() {
        let store = FaultStore::new(MemoryStore::new([1; 32]));
        store.plan(Plan { at: 2, when: When::After, fault: Fault::Crash });
        store.keys().unwrap();
        store.directory().put_login("ann", &Verifier::Md5([0; 16])).unwrap_err();
        store.directory().account("ann").unwrap_err();
        store.keys().unwrap_err();
        store.revive();
        assert_eq!(store.directory().account("ann").unwrap(), Some(AccountNo(1)));
    }
}
