//! A step of a memory store.

use super::super::methods::{tx_by_own_methods, tx_methods};
use super::super::*;
use super::tables::{Changes, Tables};
use super::{Lock, MemoryStore, StepNo};

pub(super) struct MemoryTx<'a> {
    pub(super) store: &'a MemoryStore,
    pub(super) account: AccountNo,
    pub(super) step: StepNo,
    pub(super) changes: Changes,
}

pub(super) const FIRST: Guid = Guid(i64::MIN);
pub(super) const LAST: Guid = Guid(i64::MAX);

impl MemoryTx<'_> {
    /// What is committed by now, and the changes of this step.
    pub(super) fn with<R>(&mut self, act: impl FnOnce(&mut Tables, &mut Changes) -> R) -> R {
        let mut shared = self.store.shared();
        act(shared.accounts.entry(self.account).or_default(), &mut self.changes)
    }

    pub(super) fn lock(&self, lock: &Lock) -> Result<()> {
        self.store.acquire(self.store.shared(), self.step, lock).map(drop)
    }

    /// Refuses to write a book without its lock: its revisions would be numbered twice.
    pub(super) fn check_locked(&self, book: BookNo) -> Result<()> {
        match self.store.shared().owners.get(&Lock::Book(self.account, book)) {
            Some(owner) if *owner == self.step => Ok(()),
            _ => Err(StoreError::Corrupt(format!("book {book} is written without its lock"))),
        }
    }
}

tx_methods!(tx_by_own_methods(MemoryTx<'_>));
