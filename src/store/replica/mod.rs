//! An embedder's own book, kept in step behind the store.
//!
//! An own book is a *replica*: items, revisions and maps live in the store, where a message commits; afterwards
//! [`deliver`] brings the book up to date, and before a session [`collect`] brings in what its user did. The book is
//! treated as one more device of the account, with a map of its own (its ids are the LUIDs, a digest of its versions the
//! view), so that what was delivered is never mistaken for a change, and what was not is delivered again.
//!
//! [`collect_some`] brings in what happened to some entries, for a host that knows which they are.
//!
//! Several own books may be kept in step with one book, each under its own name ([`ReplicaOptions::named`]): what one of them
//! changed the others are given.
//!
//! All read page by page: ids and versions of the whole book are held in memory, contents never. It costs a second
//! copy of the book; what it buys is that nothing is lost or doubled, wherever a crash falls.

mod collect;
mod deliver;
#[cfg(test)]
mod tests;

pub use collect::{collect, collect_some};
pub use deliver::deliver;

pub use crate::contact::merge::Prefer;

use super::{
    AccountNo, BookNo, DeviceNo, DeviceRow, Guid, MapRow, MapState, Result as StoreResult, Revision, Store, StoreError,
    Tx, Verdict, ViewFp,
};
use crate::message::Timestamp;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use thiserror::Error;

/// What an own book is called that is given no name.
const NAME: &str = "book";

/// The device id under which an own book without a name has its map. No SyncML device is called so.
pub const DEVICE_ID: &str = "book:";

/// Rows per step.
const PAGE: usize = 500;

/// Bytes of contents per step.
const PAGE_BYTES: usize = 8 << 20;

/// An own book's map has one epoch.
const EPOCH: i64 = 0;

/// An entry of an own book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The book's own id of it, such as a file name.
    pub id: String,
    /// A digest or counter that changes whenever the content does. [`Book::entries`] may leave it empty where it takes reading the
    /// content to know: see [`Book::read_unknown`].
    pub version: Vec<u8>,
}

/// The content of an entry, and the version that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// As in [`Entry::version`].
    pub version: Vec<u8>,
    /// The content.
    pub content: Vec<u8>,
}

/// What to do in an own book. Operations may come again after a crash and must then do nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookOp<'a> {
    /// Store a new entry; the book chooses the id.
    Add {
        /// A stable name for the item, the same when the operation comes again: use it to find what an earlier,
        /// interrupted delivery already stored. (Where [`collect`] runs before [`deliver`], as it should, an entry that
        /// was stored and not changed since is recognized by its content, and the operation does not come again.)
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

#[cfg(feature = "service")]
impl<'a> BookOp<'a> {
    /// The entry it is about; `None` of a new one.
    pub(crate) const fn id(&self) -> Option<&'a str> {
        match self {
            Self::Add { .. } => None,
            Self::Replace { id, .. } | Self::Delete { id, .. } => Some(id),
        }
    }

    /// What it gives an entry; `None` where it takes one away.
    pub(crate) const fn content(&self) -> Option<&'a [u8]> {
        match self {
            Self::Add { content, .. } | Self::Replace { content, .. } => Some(content),
            Self::Delete { .. } => None,
        }
    }
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
    /// A sentence for the user. A book that cannot be found is an error, never an empty book.
    fn entries(&mut self) -> Result<Vec<Entry>, String>;

    /// The versions of some entries, aligned with their ids; `None` for one that is not there. It should cost time proportional
    /// to their number: then so does bringing in and delivering a few changes.
    ///
    /// # Errors
    /// As for [`entries`](Self::entries).
    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String>;

    /// The content of an entry; `None` when it is not there any more.
    ///
    /// # Errors
    /// A sentence for the user; the entry is skipped and reported, the rest goes on.
    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String>;

    /// Version and content of an entry at once, unless that version is `known`; `None` then, and when the entry is not there any
    /// more. [`collect`] asks so for entries without a version, so that a book whose versions are digests of its contents reads
    /// each once.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_unknown(&mut self, id: &str, known: &dyn Fn(&[u8]) -> bool) -> Result<Option<Versioned>, String> {
        let Some(version) = self.versions(&[id])?.pop().flatten() else { return Ok(None) };
        if known(&version) {
            return Ok(None);
        }
        Ok(self.read(id)?.map(|content| Versioned { version, content }))
    }

    /// Does operations in their order; the answers are aligned with them.
    ///
    /// # Errors
    /// A sentence for the user; what was done before stays done.
    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String>;

    /// Whether what was applied so far is durable: only then it is written down as delivered. A book that is written as a whole
    /// answers `false` until it is told to [`persist`](Self::persist); the others are durable when [`apply`](Self::apply) returns.
    fn is_durable(&self) -> bool {
        true
    }

    /// Makes durable what was applied and is not. Asked when nothing more follows; a book that is durable has nothing to do.
    ///
    /// # Errors
    /// A sentence for the user; nothing applied since it was durable last counts as done.
    fn persist(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The versions of some entries, one for each.
fn versions(own: &mut dyn Book, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, ReplicaError> {
    let versions = own.versions(ids).map_err(ReplicaError::Book)?;
    match versions.len() == ids.len() {
        true => Ok(versions),
        false => Err(StoreError::Corrupt("the own book did not answer for every entry".to_owned()).into()),
    }
}

/// Which own book it is, and how careful to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaOptions {
    /// Its name: where several own books are kept in step with one book of the store, each has its own map, under its own
    /// name (lower-case letters, digits, `.`, `-` and `_`).
    pub name: Cow<'static, str>,
    /// Whose word stands where the own book and others changed the same thing differently. What lost is in the history.
    pub prefer: Prefer,
    /// Let a book that was emptied, or lost most of its entries, delete as many items.
    pub allow_mass_delete: bool,
    /// How many deletes at once never need [`allow_mass_delete`](Self::allow_mass_delete), unless they empty the book.
    pub harmless_deletes: usize,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self { name: Cow::Borrowed(NAME), prefer: Prefer::Incoming, allow_mass_delete: false, harmless_deletes: 10 }
    }
}

impl ReplicaOptions {
    /// These options, with mass deletion allowed or not.
    #[must_use]
    pub fn allow_mass_delete(self, allow: bool) -> Self {
        Self { allow_mass_delete: allow, ..self }
    }

    /// These options, of the own book of that name.
    #[must_use]
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// These options, with that side's word standing.
    #[must_use]
    pub fn prefer(self, prefer: Prefer) -> Self {
        Self { prefer, ..self }
    }

    fn device_id(&self) -> String {
        format!("{}:", self.name)
    }
}

/// What [`collect`] or [`deliver`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplicaReport {
    /// Entries added.
    pub added: u64,
    /// Entries changed.
    pub changed: u64,
    /// Entries deleted.
    pub deleted: u64,
    /// Entries that both sides had changed.
    pub conflicts: u64,
    /// Entries that could not be read or brought up to date, each with the reason; the rest was done.
    pub skipped: Vec<(String, String)>,
}

/// Why an own book could not be brought in step.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The book failed, in its own words.
    #[error("{0}")]
    Book(String),
    /// The book lost more entries than a person deletes; nothing was deleted.
    #[error("{missing} of {known} entries have vanished; nothing was deleted because of it")]
    MassDelete {
        /// Entries that are gone.
        missing: usize,
        /// Entries that were there.
        known: usize,
    },
}

/// What is known of an entry that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The item that it is.
    pub guid: Guid,
    /// The revision of it that the entry holds, or held before its user changed it.
    pub agreed: Revision,
    /// A digest of the version it had then ([`digest`]).
    pub fp: ViewFp,
}

/// The entry that stands for an item, if one does.
///
/// # Errors
/// The store's own failure.
pub fn stands_for(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    options: &ReplicaOptions,
    guid: Guid,
) -> StoreResult<Option<String>> {
    let Some(replica) = Replica::find(store, account, book, options)? else { return Ok(None) };
    let row = replica.step(Verdict::Rollback, |tx| tx.maps_by_guid(replica.device, book, EPOCH, &[guid]))?.pop();
    Ok(row.flatten().filter(|row| row.state != MapState::Gone).map(|row| row.luid))
}

/// The entries of an own book that are in the store, by their ids; all, or some.
///
/// # Errors
/// The store's own failure.
pub fn known(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    options: &ReplicaOptions,
    ids: Option<&[&str]>,
) -> StoreResult<HashMap<String, Known>> {
    match (Replica::find(store, account, book, options)?, ids) {
        (Some(replica), Some(ids)) => replica.map_of(ids),
        (Some(replica), None) => replica.map(),
        (None, _) => Ok(HashMap::new()),
    }
}

/// The own book's side in the store.
struct Replica<'a> {
    store: &'a dyn Store,
    account: AccountNo,
    book: BookNo,
    device: DeviceNo,
    prefer: Prefer,
    now: Timestamp,
}

impl<'a> Replica<'a> {
    fn open(
        store: &'a dyn Store,
        account: AccountNo,
        book: BookNo,
        options: &ReplicaOptions,
        now: Timestamp,
    ) -> StoreResult<Self> {
        if let Some(found) = Self::find(store, account, book, options)? {
            return Ok(Self { now, ..found });
        }
        let (mut device, id) = (DeviceNo::NEW, options.device_id());
        store.step(account, &mut |tx| {
            device = match tx.device(&id)? {
                Some(row) => row.device,
                None => tx.put_device(&DeviceRow::new(&id, now))?,
            };
            Ok(Verdict::Commit)
        })?;
        Ok(Self { store, account, book, device, prefer: options.prefer, now })
    }

    fn find(
        store: &'a dyn Store,
        account: AccountNo,
        book: BookNo,
        options: &ReplicaOptions,
    ) -> StoreResult<Option<Self>> {
        let (mut found, id) = (None, options.device_id());
        store.look(account, &mut |tx| {
            found = tx.device(&id)?;
            Ok(())
        })?;
        let of = |row: DeviceRow| Self {
            store,
            account,
            book,
            device: row.device,
            prefer: options.prefer,
            now: Timestamp(0),
        };
        Ok(found.map(of))
    }

    /// Runs a step and gives back what it found; only the last run counts.
    fn step<T>(&self, verdict: Verdict, mut work: impl FnMut(&mut dyn Tx) -> StoreResult<T>) -> StoreResult<T> {
        let mut found = None;
        self.store.step(self.account, &mut |tx| {
            found = Some(work(tx)?);
            Ok(verdict)
        })?;
        found.ok_or_else(|| StoreError::Corrupt("a step ended without having run".to_owned()))
    }

    /// The whole map by entry id.
    fn map(&self) -> StoreResult<HashMap<String, Known>> {
        let mut map = HashMap::new();
        let mut after = Guid(0);
        loop {
            let page = self.step(Verdict::Rollback, |tx| tx.map_page(self.device, self.book, EPOCH, after, PAGE))?;
            let Some(last) = page.last() else { return Ok(map) };
            after = last.guid;
            map.extend(page.into_iter().map(|row| {
                let known = Known { guid: row.guid, agreed: row.agreed_revision, fp: row.view_fp };
                (row.luid, known)
            }));
        }
    }

    /// The map of some entries.
    fn map_of(&self, ids: &[&str]) -> StoreResult<HashMap<String, Known>> {
        let mut map = HashMap::new();
        for ids in ids.chunks(PAGE) {
            let rows =
                self.step(Verdict::Rollback, |tx| tx.maps_by_luid(self.device, self.book, EPOCH, ids))?.into_iter();
            map.extend(rows.flatten().filter(|row| row.state != MapState::Gone).map(|row| {
                let known = Known { guid: row.guid, agreed: row.agreed_revision, fp: row.view_fp };
                (row.luid, known)
            }));
        }
        Ok(map)
    }

    /// Writes map entries; those that retire go first, because their ids may be in use again.
    fn put_maps(&self, tx: &mut dyn Tx, rows: &[MapRow]) -> StoreResult<()> {
        let (gone, live): (Vec<_>, Vec<_>) = rows.iter().cloned().partition(|row| row.state == MapState::Gone);
        for rows in [gone, live] {
            if !rows.is_empty() {
                tx.put_maps(self.device, self.book, &rows)?;
            }
        }
        Ok(())
    }
}

fn map_row(luid: &str, guid: Guid, agreed: Revision, fp: ViewFp, state: MapState) -> MapRow {
    MapRow { epoch: EPOCH, luid: luid.to_owned(), guid, agreed_revision: agreed, lens: None, view_fp: fp, state }
}

/// What is kept of a version.
#[must_use]
pub fn digest(version: &[u8]) -> ViewFp {
    let digest = Sha256::digest(version);
    let mut fp = [0; 16];
    fp.copy_from_slice(&digest[..16]);
    fp
}
