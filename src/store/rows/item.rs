//! What books hold, held before, and lost.

use super::super::written::{binary, text};
use super::{BlobNo, BookNo, DeviceNo, Guid, Revision};
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A book: the lock, and what is cheap to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookRow {
    /// Its number.
    pub book: BookNo,
    /// A random number drawn when the book was created; part of every GUID on the wire, so that a map made for another
    /// book's life is never mistaken for one of this.
    pub stamp: u32,
    /// The newest revision.
    pub head: Revision,
    /// Live items.
    pub live_items: i64,
    /// Bytes of live items.
    pub live_bytes: i64,
    /// States of the book before this revision are not whole any more: retention has removed contents that were
    /// superseded up to it ([`history::purge`](crate::store::history::purge)).
    pub purged_upto: Revision,
    /// Whether all match keys are in the index.
    pub indexed: bool,
}

/// Where a large content is: in pieces, under a number. Once a row refers to it, it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// Its number in its account.
    pub no: BlobNo,
    /// Its length in bytes.
    pub len: u64,
}

/// A large content as it is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Its length in bytes.
    pub len: u64,
    /// Its fingerprint ([`LargePrint`](crate::contact::identity::LargePrint)).
    pub print: [u8; 16],
}

/// An item as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow<'a> {
    /// Its id.
    pub guid: Guid,
    /// Its revision.
    pub revision: Revision,
    /// Whether it is a tombstone; a tombstone has no content.
    pub deleted: bool,
    /// Its folder.
    pub parent: Option<Guid>,
    /// How deep it was put: its folder's depth and one. Moving a folder leaves those of what is in it as they are.
    pub depth: u32,
    /// Its media type, where it is not the book's own.
    pub media_type: Option<Cow<'a, str>>,
    /// Its content, byte for byte; of large content the beginning.
    #[serde(with = "text")]
    pub content: Cow<'a, [u8]>,
    /// Where large content is as a whole.
    pub blob: Option<Blob>,
    /// Fingerprint of the content (`contact::identity`).
    #[serde(with = "binary")]
    pub fingerprint: [u8; 16],
    /// Match keys of the content.
    pub keys: Cow<'a, [u64]>,
    /// The device that made this revision, or a named program or service of the host
    /// ([`DeviceRow::is_local`](super::DeviceRow::is_local)); `None` is the host itself.
    pub origin: Option<DeviceNo>,
    /// When.
    pub at: Timestamp,
}

impl ItemRow<'_> {
    /// The length of its content in bytes.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.blob.map_or(self.content.len() as u64, |blob| blob.len)
    }

    /// The same row, free of what it borrows.
    #[must_use]
    pub fn into_owned(self) -> ItemRow<'static> {
        ItemRow {
            guid: self.guid,
            revision: self.revision,
            deleted: self.deleted,
            parent: self.parent,
            depth: self.depth,
            media_type: self.media_type.map(|media_type| Cow::Owned(media_type.into_owned())),
            content: Cow::Owned(self.content.into_owned()),
            blob: self.blob,
            fingerprint: self.fingerprint,
            keys: Cow::Owned(self.keys.into_owned()),
            origin: self.origin,
            at: self.at,
        }
    }
}

/// What an item held as of one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// The item.
    pub guid: Guid,
    /// The revision.
    pub revision: Revision,
    /// Whether it was a tombstone then.
    pub deleted: bool,
    /// Its folder then.
    pub parent: Option<Guid>,
    /// How deep it was put then.
    pub depth: u32,
    /// Its media type, where it is not the book's own.
    pub media_type: Option<String>,
    /// Its content then; of large content the beginning.
    #[serde(with = "text")]
    pub content: Vec<u8>,
    /// Where large content is as a whole.
    pub blob: Option<Blob>,
    /// Who made it: a device, or a program or service of the host that has a row of its own
    /// ([`DeviceRow::is_local`](super::DeviceRow::is_local)); `None` is the host itself.
    pub origin: Option<DeviceNo>,
    /// When.
    pub at: Timestamp,
    /// The revision of the item that superseded it, and when; `None` while it is current.
    pub until: Option<(Revision, Timestamp)>,
}

impl RevisionRow {
    /// The length of its content in bytes.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.blob.map_or(self.content.len() as u64, |blob| blob.len)
    }
}

/// A superseded revision without its content, for retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// The item.
    pub guid: Guid,
    /// The revision.
    pub revision: Revision,
    /// The revision of the item that superseded it.
    pub until: Revision,
    /// When that was.
    pub until_at: Timestamp,
    /// Whether it is among the newest superseded revisions of its item, as many as were asked for.
    pub recent: bool,
}

/// A book that is being set back to an earlier state, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRow {
    /// Its id: the head of the book when it began. Going back to that state undoes it.
    pub id: Revision,
    /// The state that the book is set back to.
    pub target: Revision,
    /// Items whose revision was up to here when it began are done.
    pub cursor: Revision,
    /// When it began.
    pub begun: Timestamp,
    /// When it was done. What is not done, and not the newest of its book, was given up for another.
    pub ended: Option<Timestamp>,
    /// Items that were deleted and are there again.
    pub revived: u64,
    /// Items that were changed back.
    pub changed: u64,
    /// Items that were not there then, and are deleted.
    pub deleted: u64,
}

/// Who won a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Winner {
    /// What was here stands.
    Here,
    /// What the other side said stands.
    Peer,
    /// Both were kept, as two items.
    Both,
}

impl Winner {
    /// All of them, in the order of their numbers in a store, from 0.
    pub const ALL: [Self; 3] = [Self::Here, Self::Peer, Self::Both];

    /// A word for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Peer => "peer",
            Self::Both => "both",
        }
    }
}

/// A conflict that was decided (mission X2): both sides said something different of an item where only one can stand. It says
/// no more of the item than the names of fields; what lost is a revision of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictRow {
    /// The revision of the book that decided it: no other conflict has it.
    pub revision: Revision,
    /// The item; where both were kept, the one that was here before.
    pub guid: Guid,
    /// Whose word came in, as in [`RevisionRow::origin`].
    pub origin: Option<DeviceNo>,
    /// When it was decided.
    pub at: Timestamp,
    /// Who won.
    pub won: Winner,
    /// The revision of the item that holds what lost; none where both were kept.
    pub lost: Option<Revision>,
    /// The fields that lost, or, where both were kept, in which they differ. None where a change lost against a delete, a
    /// delete against a change, and of what is no card.
    pub fields: Vec<String>,
}
