//! Saying that there is too much to do (§3.11): nothing is done and nothing is stored.

use super::{Asked, Refusal, Reply, Server, refusal, unanswerable};
use crate::codec::Limits;
use crate::session::Busy;
use crate::store::AccountNo;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

impl Server {
    /// Says what is not taken from now on: such messages are answered 101, whoever they are of, unless they were answered
    /// before. A device may send the same message again; nothing was done for it, and no anchor moves.
    pub fn set_busy(&self, busy: Busy) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = busy;
    }

    pub(super) fn is_busy(&self, asked: &Asked<'_>) -> bool {
        match *self.busy.lock().unwrap_or_else(PoisonError::into_inner) {
            Busy::No => false,
            Busy::NewSessions => asked.header.msg_id.0 == 1,
            Busy::Everything => true,
        }
    }
}

/// 101 for the header, and for an Alert 221 that asks whether it is still so; no Final.
pub(super) fn reply(asked: &Asked<'_>, limits: &Limits) -> Result<Reply, Refusal> {
    let body = refusal::busy(asked, limits).map_err(|error| unanswerable(&error))?;
    Ok(Reply { content_type: asked.encoding.media_type(), body, mac: None, report: None })
}

/// Messages being worked on, by account.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<BTreeMap<AccountNo, usize>>);

/// One of them, until it is dropped.
pub(super) struct Place<'w> {
    waiting: &'w Waiting,
    account: AccountNo,
}

impl Waiting {
    /// Takes a place behind others of the account; `None` when `most` have one.
    pub(super) fn enter(&self, account: AccountNo, most: usize) -> Option<Place<'_>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(account).or_default();
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Place { waiting: self, account })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_account_and_given_back() {
        let waiting = Waiting::default();
        let (one, two) = (AccountNo(1), AccountNo(2));
        let first = waiting.enter(one, 2).unwrap();
        let second = waiting.enter(one, 2).unwrap();
        assert!(waiting.enter(one, 2).is_none());
        assert!(waiting.enter(two, 2).is_some(), "another account is not held up");
        drop(first);
        assert!(waiting.enter(one, 2).is_some());
        drop(second);
        assert!(waiting.0.lock().unwrap().is_empty(), "nothing is remembered");
        assert!(waiting.enter(one, 0).is_some(), "nobody is locked out for good");
    }
}
