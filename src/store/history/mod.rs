//! What books held before, and the way back (mission X4, C6).
//!
//! Every change of a book is a revision with its time and its origin: a device, or a program or service of the host. What
//! a change replaces stays as a superseded revision, that of conflicts too: a merge writes what the device said, then the
//! merge, and where something lost a note of that ([`conflicts`]). Here they are listed ([`revisions`], [`states`]), found by time ([`At`]), read ([`read`]), compared
//! ([`diff`](crate::contact::diff)), restored ([`restore_item`], [`restore_lost`], [`restore_book`]) and, in the end, removed ([`purge`]).
//!
//! A restore is a change like any other: new revisions, written through the one door of the book. Devices hear of it in
//! their next sync. Nothing is undone by it that cannot be had again: the state before is a revision, too.
//!
//! Everything reads and writes page by page, in constant memory.

mod restore;
mod retention;
#[cfg(test)]
mod tests;

pub use restore::{ORIGIN, Restored, plan_book, restore_book, restore_item, restore_lost};
pub use retention::{Fate, Purged, Retention, purge};

use super::{
    AccountNo, BookNo, ConflictRow, Guid, Result as StoreResult, Revision, RevisionRow, Store, StoreError, Tx, Verdict,
};
use crate::message::Timestamp;
use thiserror::Error;

/// A place in the history of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// After this revision, and before the next.
    Revision(Revision),
    /// At this time. Where the clock was set back between revisions, at one of those that could be meant.
    Time(Timestamp),
}

/// Why there is no way back.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The book has no such revision yet.
    #[error("the book is at revision {head}: there is no revision {revision}")]
    Future {
        /// What was asked for.
        revision: Revision,
        /// The newest there is.
        head: Revision,
    },
    /// The item was made later, or never.
    #[error("item {guid} is not in the book at revision {at}: it was made later, or never")]
    NotThere {
        /// The item.
        guid: Guid,
        /// The state asked for.
        at: Revision,
    },
    /// No conflict in which something lost was decided then, or it is not remembered any more.
    #[error("revision {revision} decided no conflict in which something lost, or that is not kept any more")]
    NoConflict {
        /// What was asked for.
        revision: Revision,
    },
    /// Somebody has begun another restore of the book, which goes on from there.
    #[error("another restore of the book has begun meanwhile; this one has ended")]
    Overtaken,
    /// Retention has removed what would be needed.
    #[error("the state at revision {at} is not kept any more; the book is whole from revision {from} on")]
    Purged {
        /// The state asked for.
        at: Revision,
        /// The first that can be had as a whole.
        from: Revision,
    },
}

/// What this module's calls return.
pub type Result<T> = std::result::Result<T, HistoryError>;

/// The revisions of an item, or of all of a book, before `before` ([`Revision`]`(i64::MAX)` begins with the newest):
/// newest first, at most `limit`. An empty page is the end. Large contents are given by their beginning ([`read`]).
///
/// # Errors
/// The store's own failure.
pub fn revisions(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    of: Option<Guid>,
    before: Revision,
    limit: usize,
) -> StoreResult<Vec<RevisionRow>> {
    look(store, account, |tx| tx.log(book, of, before, limit))
}

/// The conflicts of a book that were decided before `before` ([`Revision`]`(i64::MAX)` begins with the newest): newest first, at
/// most `limit`. An empty page is the end. Each is remembered as long as what lost is kept. A deletion that lost against a
/// change is not among them: it left nothing behind.
///
/// # Errors
/// The store's own failure.
pub fn conflicts(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    before: Revision,
    limit: usize,
) -> StoreResult<Vec<ConflictRow>> {
    look(store, account, |tx| tx.conflicts(book, before, limit))
}

/// The conflicts that these revisions of a book decided, aligned with them.
///
/// # Errors
/// The store's own failure.
pub fn conflicts_at(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    which: &[Revision],
) -> StoreResult<Vec<Option<ConflictRow>>> {
    look(store, account, |tx| tx.conflicts_at(book, which))
}

/// What a book held at revision `at`, by item: ascending by guid after `after`, at most `limit`, tombstones included;
/// `None` for what is not kept any more. An empty page is the end. The state of the past does not change: pages fit
/// together whatever is written meanwhile.
///
/// # Errors
/// The store's own failure.
pub fn states(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    at: Revision,
    after: Guid,
    limit: usize,
) -> StoreResult<Vec<(Guid, Option<RevisionRow>)>> {
    look(store, account, |tx| tx.states(book, at, after, limit))
}

/// What an item held at a place in its book's history, be it a tombstone.
///
/// # Errors
/// [`HistoryError`].
pub fn state_of(store: &dyn Store, account: AccountNo, book: BookNo, guid: Guid, at: At) -> Result<RevisionRow> {
    look(store, account, |tx| state_in(tx, book, guid, at))
}

fn state_in(tx: &mut dyn Tx, book: BookNo, guid: Guid, at: At) -> Result<RevisionRow> {
    let at = resolve_in(tx, book, at)?;
    let from = tx.book(book)?.map_or(Revision(0), |row| row.purged_upto);
    match tx.as_of(book, at, &[guid])?.pop().flatten() {
        Some(row) => Ok(row),
        None if guid.0 <= at.0 && tx.items(book, &[guid])?.pop().flatten().is_some() => {
            Err(HistoryError::Purged { at, from })
        }
        None => Err(HistoryError::NotThere { guid, at }),
    }
}

/// The revision of a book that was in force at a place in its history: by time, the last one made by then; 0 before the
/// first.
///
/// # Errors
/// [`HistoryError::Future`] for a revision that does not exist yet; the store's own failure.
pub fn resolve(store: &dyn Store, account: AccountNo, book: BookNo, at: At) -> Result<Revision> {
    look(store, account, |tx| resolve_in(tx, book, at))
}

/// By time it takes a few reads: a binary search among revisions.
fn resolve_in(tx: &mut dyn Tx, book: BookNo, at: At) -> Result<Revision> {
    let head = tx.book(book)?.map_or(Revision(0), |row| row.head);
    let time = match at {
        At::Revision(revision) if (0..=head.0).contains(&revision.0) => return Ok(revision),
        At::Revision(revision) => return Err(HistoryError::Future { revision, head }),
        At::Time(time) => time,
    };
    // All up to `low` were made by then, all that are kept from `high` on later.
    let (mut low, mut high) = (0, head.0 + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        // The last one that is kept up to there speaks for those that are not.
        let last = tx.log(book, None, Revision(middle + 1), 1)?.pop();
        match last.filter(|row| row.at > time) {
            Some(row) => high = row.revision.0.max(low + 1),
            None => low = middle,
        }
    }
    Ok(Revision(low))
}

/// At most `limit` bytes of a revision's content from an offset on; none at its end.
///
/// # Errors
/// The store's own failure.
pub fn read(store: &dyn Store, account: AccountNo, row: &RevisionRow, from: u64, limit: usize) -> StoreResult<Vec<u8>> {
    let Some(blob) = row.blob else {
        let rest = usize::try_from(from).ok().and_then(|from| row.content.get(from..)).unwrap_or_default();
        return Ok(rest[..rest.len().min(limit)].to_vec());
    };
    look(store, account, |tx| tx.read_blob(blob.no, from, limit))
}

/// Looks at an account and gives back what was found; only the last run counts.
fn look<T, E: From<StoreError>>(
    store: &dyn Store,
    account: AccountNo,
    mut work: impl FnMut(&mut dyn Tx) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let mut found = None;
    store.look(account, &mut |tx| {
        found = Some(work(tx));
        Ok(())
    })?;
    found.unwrap_or_else(|| Err(not_run().into()))
}

/// Runs a step and gives back what it did; a refusal leaves no trace.
fn step<T>(store: &dyn Store, account: AccountNo, mut work: impl FnMut(&mut dyn Tx) -> Result<T>) -> Result<T> {
    let mut done = None;
    store.step(account, &mut |tx| {
        let outcome = work(tx);
        let verdict = match &outcome {
            Ok(_) => Ok(Verdict::Commit),
            Err(HistoryError::Store(error)) => Err(error.clone()),
            Err(_) => Ok(Verdict::Rollback),
        };
        done = Some(outcome);
        verdict
    })?;
    done.unwrap_or_else(|| Err(not_run().into()))
}

fn not_run() -> StoreError {
    StoreError::Corrupt("a step ended without having run".to_owned())
}
