//! The one door through which a book is written.

use super::{Blob, BookRow, ConflictRow, DeviceNo, Guid, ItemRow, Result, Revision, Tx, Winner};
use crate::contact::identity::{head, is_large};
use crate::message::Timestamp;
use std::borrow::Cow;

/// Fields named of a conflict, and characters of a name.
const MOST_FIELDS: usize = 16;
const MOST_NAME: usize = 24;

/// What an item shall hold.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Draft<'a> {
    /// Media type, where it is not the book's own.
    pub media_type: Option<Cow<'a, str>>,
    /// Content, byte for byte; of large content that is in the store already, the beginning.
    pub content: Cow<'a, [u8]>,
    /// Where large content is as a whole, if it is in the store already. Other large content is brought there by
    /// [`BookWriter::flush`].
    pub blob: Option<Blob>,
    /// Fingerprint of the content.
    pub fingerprint: [u8; 16],
    /// Match keys of the content.
    pub keys: Cow<'a, [u64]>,
    /// The folder it is put into; what is replaced stays where it is.
    pub parent: Option<Guid>,
    /// How deep that is: the folder's depth and one.
    pub depth: u32,
}

/// Numbers the revisions of one locked book and collects its writes, so that a message costs one batch.
///
/// Every writer uses it: a device's session, an import, a restore, the console. Revisions are `head + 1 …` of the locked
/// row, so their order is the order of commits (I11); an item's [`Guid`] is the revision that created it.
#[derive(Debug)]
pub struct BookWriter<'a> {
    row: BookRow,
    origin: Option<DeviceNo>,
    now: Timestamp,
    inserts: Vec<ItemRow<'a>>,
    updates: Vec<ItemRow<'a>>,
    conflicts: Vec<ConflictRow>,
    changed: bool,
}

impl Draft<'_> {
    fn len(&self) -> i64 {
        self.blob.map_or(self.content.len() as i64, |blob| blob.len as i64)
    }
}

impl<'a> BookWriter<'a> {
    /// A writer for a book that this step has locked. `origin` is the device that wants it, or a program or service of the
    /// host that gave itself a name ([`local_origin`](super::local_origin)); `None` is the host itself.
    #[must_use]
    pub const fn new(row: BookRow, origin: Option<DeviceNo>, now: Timestamp) -> Self {
        Self { row, origin, now, inserts: Vec::new(), updates: Vec::new(), conflicts: Vec::new(), changed: false }
    }

    /// When this is written.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The book as it will be after [`flush`](Self::flush).
    #[must_use]
    pub const fn row(&self) -> &BookRow {
        &self.row
    }

    /// Notes that the store has indexed all match keys of the book ([`Tx::index_more`]).
    pub const fn set_indexed(&mut self) {
        self.row.indexed = true;
    }

    /// Adds an item.
    pub fn add(&mut self, draft: Draft<'a>) -> ItemRow<'a> {
        let revision = self.next_revision();
        self.row.live_items += 1;
        self.row.live_bytes += draft.len();
        let item = self.item(Guid(revision.0), revision, draft);
        self.inserts.push(item.clone());
        item
    }

    /// Gives an item new content where it is; a tombstone comes back to life.
    pub fn replace(&mut self, old: &ItemRow<'_>, draft: Draft<'a>) -> ItemRow<'a> {
        self.put(old, Draft { parent: old.parent, depth: old.depth, ..draft })
    }

    /// Gives an item new content and the draft's place; a tombstone comes back to life.
    pub fn put(&mut self, old: &ItemRow<'_>, draft: Draft<'a>) -> ItemRow<'a> {
        let revision = self.next_revision();
        self.row.live_items += i64::from(old.deleted);
        self.row.live_bytes += draft.len() - old.content_len() as i64;
        let item = self.item(old.guid, revision, draft);
        self.updates.push(item.clone());
        item
    }

    /// Makes an item a tombstone. Deleting a tombstone changes nothing.
    pub fn delete(&mut self, old: &ItemRow<'_>) -> ItemRow<'a> {
        if old.deleted {
            return self.item(old.guid, old.revision, Draft::default());
        }
        let revision = self.next_revision();
        self.row.live_items -= 1;
        self.row.live_bytes -= old.content_len() as i64;
        let draft = Draft { parent: old.parent, depth: old.depth, ..Draft::default() };
        let item = ItemRow { deleted: true, ..self.item(old.guid, revision, draft) };
        self.updates.push(item.clone());
        item
    }

    /// Notes that the newest revision decided a conflict of an item: who won, the revision that holds what lost, and the
    /// fields that this is about. A long list of them is cut, and so are long names.
    pub fn conflict(&mut self, guid: Guid, won: Winner, lost: Option<Revision>, fields: &[String]) {
        let name = |field: &String| field.chars().take(MOST_NAME).collect();
        self.conflicts.push(ConflictRow {
            revision: self.row.head,
            guid,
            origin: self.origin,
            at: self.now,
            won,
            lost,
            fields: fields.iter().take(MOST_FIELDS).map(name).collect(),
        });
    }

    /// Writes what was collected. [Large](crate::contact::identity::LARGE) content goes into pieces of its own.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn flush(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let kind = self.row.book.kind();
        for item in self.inserts.iter_mut().chain(&mut self.updates) {
            if item.blob.is_none() && is_large(kind, item.content.len() as u64) {
                let no = tx.append_blob(None, &item.content)?;
                item.blob = Some(Blob { no, len: item.content.len() as u64 });
                item.content = Cow::Owned(head(kind, &item.content).to_vec());
            }
        }
        if !self.inserts.is_empty() {
            tx.insert_items(self.row.book, &self.inserts)?;
            self.inserts.clear();
        }
        if !self.updates.is_empty() {
            tx.update_items(self.row.book, &self.updates)?;
            self.updates.clear();
        }
        if !self.conflicts.is_empty() {
            tx.put_conflicts(self.row.book, &self.conflicts)?;
            self.conflicts.clear();
        }
        if self.changed {
            tx.put_book(&self.row)?;
            tx.mark_dirty(self.row.book)?;
            self.changed = false;
        }
        Ok(())
    }

    fn next_revision(&mut self) -> Revision {
        self.changed = true;
        self.row.head = Revision(self.row.head.0 + 1);
        self.row.head
    }

    fn item(&self, guid: Guid, revision: Revision, draft: Draft<'a>) -> ItemRow<'a> {
        ItemRow {
            guid,
            revision,
            deleted: false,
            parent: draft.parent,
            depth: draft.depth,
            media_type: draft.media_type,
            content: draft.content,
            blob: draft.blob,
            fingerprint: draft.fingerprint,
            keys: draft.keys,
            origin: self.origin,
            at: self.now,
        }
    }
}
