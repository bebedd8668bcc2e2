//! Where each device stands with each book: anchors, maps, what is on its way in either direction.

use super::super::written::{binary, text};
use super::{Blob, BlobNo, BookNo, DeviceNo, Guid, ItemRow, LensNo, Revision, Token};
use crate::message::{Op, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Where a device's sync of a book stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Phase {
    /// No sync is open.
    #[default]
    Idle,
    /// The peer's package of changes is being received.
    Receiving,
    /// Its last message was received; what needed the whole set is being decided.
    Settling,
    /// Our changes are being sent.
    Sending,
    /// All was sent; statuses and maps are awaited.
    Confirming,
}

/// A device and a book: anchors, the frontier of what is agreed, and the state of an open sync (DESIGN "Anchors").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRow {
    /// The device.
    pub device: DeviceNo,
    /// The book.
    pub book: BookNo,
    /// The peer's anchor of the last clean sync (its Last must equal this, or `peer_prev`).
    pub peer_next: Option<String>,
    /// The peer's anchor before that: still valid until `peer_next` is used.
    pub peer_prev: Option<String>,
    /// Our anchor of the last clean sync.
    pub own_next: Option<String>,
    /// Our anchor before that.
    pub own_prev: Option<String>,
    /// Every revision up to here is agreed or has an open `outgoing` row.
    pub cursor: Revision,
    /// The head frozen when our package of the open sync began.
    pub upto: Revision,
    /// The head when the open session began.
    pub start_head: Revision,
    /// The epoch of the map in force.
    pub epoch: i64,
    /// The lens in force.
    pub lens: Option<LensNo>,
    /// Digest of the filter in force.
    #[serde(with = "binary::option")]
    pub filter_hash: Option<Vec<u8>>,
    /// Alert code of the sync begun last; 0 once it has ended cleanly.
    pub sync_type: u16,
    /// Alert code of the last sync that ended cleanly; 0 for none.
    #[serde(default)]
    pub last_type: u16,
    /// Where the open sync stands.
    pub phase: Phase,
    /// What waits for a person's decision.
    pub holds: Vec<Hold>,
}

/// Why something waits for a person's decision (mission X5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldReason {
    /// More deletes in one sync than anybody means. Their map entries are [`MapState::Held`].
    Deletes,
    /// What the other side of a refresh did not show is more than anybody means: it is held likewise.
    Vanished,
    /// A slow sync that nobody asked for.
    SlowSync,
}

impl HoldReason {
    /// Whether items wait, or a whole sync.
    #[must_use]
    pub const fn is_about_deletes(self) -> bool {
        !matches!(self, Self::SlowSync)
    }

    /// A word for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::Vanished => "vanished",
            Self::SlowSync => "slow-sync",
        }
    }

    /// A sentence for people, without its full stop.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Deletes => "so many deletes in one sync do not look like somebody's wish",
            Self::Vanished => "the other side of a refresh showed hardly anything",
            Self::SlowSync => "everything would be compared although nobody asked for it",
        }
    }
}

/// Something that waits for a person's decision. Of deletes there is one, and of slow syncs: what comes later joins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// Since when.
    pub at: Timestamp,
    /// The snapshot: the book's head before it. The history shows the book as it was then.
    pub snapshot: Revision,
    /// How many items it is about.
    pub items: u64,
    /// Live items then.
    pub live: u64,
    /// What is known of the cause, such as which anchor was missing.
    pub cause: Option<String>,
    /// Whether it was decided that it may happen, once, when it comes again.
    pub released: bool,
}

impl PairRow {
    /// What is held for that reason.
    #[must_use]
    pub fn hold(&self, reason: HoldReason) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.reason == reason)
    }

    /// Holds something, too; the first moment and snapshot of what is held for that reason stay.
    pub fn add_hold(&mut self, hold: Hold) {
        let joins = |known: &&mut Hold| known.reason.is_about_deletes() == hold.reason.is_about_deletes();
        match self.holds.iter_mut().find(joins) {
            Some(known) => known.items += hold.items,
            None => self.holds.push(hold),
        }
    }

    /// Nothing is held for that reason any more.
    pub fn drop_hold(&mut self, reason: HoldReason) {
        self.holds.retain(|hold| hold.reason != reason);
    }
}

impl PairRow {
    /// A pair that has never synced.
    #[must_use]
    pub const fn new(device: DeviceNo, book: BookNo) -> Self {
        Self {
            device,
            book,
            peer_next: None,
            peer_prev: None,
            own_next: None,
            own_prev: None,
            cursor: Revision(0),
            upto: Revision(0),
            start_head: Revision(0),
            epoch: 0,
            lens: None,
            filter_hash: None,
            sync_type: 0,
            last_type: 0,
            phase: Phase::Idle,
            holds: Vec::new(),
        }
    }
}

/// Fingerprint of what a device was shown, or showed, of an item.
pub type ViewFp = [u8; 16];

/// State of a map entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapState {
    /// Both sides have the item.
    Live,
    /// Retired: the LUID means nothing any more.
    Gone,
    /// On the server only, because a filter keeps it from the device.
    Filtered,
    /// On the server only, because the device freed its memory.
    SoftDeleted,
    /// The device refused it.
    Refused,
    /// The device's delete is held by the guard, for somebody to decide.
    Held,
    /// Client role: we stored it, and the Map that tells the server has no Status yet.
    Unconfirmed,
    /// The device's delete has come and is decided with the rest of its package.
    Leaving,
}

impl MapState {
    /// All states, in the order of their numbers in a store, from 0.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Gone,
        Self::Filtered,
        Self::SoftDeleted,
        Self::Refused,
        Self::Held,
        Self::Unconfirmed,
        Self::Leaving,
    ];
}

/// A map entry: what a peer calls an item, and what was last agreed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRow {
    /// The epoch it belongs to.
    pub epoch: i64,
    /// The peer's id of the item: the LUID; in the client role, the server's GUID.
    pub luid: String,
    /// The item.
    pub guid: Guid,
    /// The revision last agreed with the peer.
    pub agreed_revision: Revision,
    /// The lens under which it was agreed.
    pub lens: Option<LensNo>,
    /// What the peer held then.
    #[serde(with = "binary")]
    pub view_fp: ViewFp,
    /// Its state.
    pub state: MapState,
}

/// State of a row of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutgoingState {
    /// To be sent.
    Unsent,
    /// Sent; no final Status yet.
    Sent,
    /// An Add answered 2xx, whose Map has not come.
    AckedUnmapped,
    /// Kept back, for the reason given; sent when the reason goes away.
    Withheld,
    /// The device will not have this revision.
    Refused,
    /// Sent as [`Sent`](Self::Sent), and before that with other content, of which nobody knows whether it arrived: a Map
    /// that comes later may speak of that.
    Resent,
}

impl OutgoingState {
    /// All states, in the order of their numbers in a store, from 0.
    pub const ALL: [Self; 6] =
        [Self::Unsent, Self::Sent, Self::AckedUnmapped, Self::Withheld, Self::Refused, Self::Resent];

    /// Whether it was sent and has no final Status.
    #[must_use]
    pub const fn is_unanswered(self) -> bool {
        matches!(self, Self::Sent | Self::Resent)
    }

    /// Whether the peer may have what was sent, and it is not known under which id.
    pub(crate) const fn may_be_there(self) -> bool {
        self.is_unanswered() || matches!(self, Self::AckedUnmapped)
    }
}

/// Where a command was sent: message and command number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SentRef {
    /// Our MsgID.
    pub msg_id: u32,
    /// Our CmdID.
    pub cmd_id: u32,
}

/// A row of the ledger: one item that is to be sent, or was sent and is not finally acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingRow {
    /// The item.
    pub guid: Guid,
    /// The operation.
    pub op: Op,
    /// The revision that was sent; it becomes the agreed one, whatever the item has become since.
    pub sent_revision: Revision,
    /// Fingerprint of what was sent.
    #[serde(with = "binary")]
    pub sent_view_fp: ViewFp,
    /// The temporary GUID under which an Add was sent.
    pub temp_guid: Option<String>,
    /// Its state.
    pub state: OutgoingState,
    /// Why it is withheld or refused: a status code, or 0.
    pub reason: u16,
    /// The session it was sent in.
    pub session: Option<Token>,
    /// Where in that session.
    pub sent_as: Option<SentRef>,
}

impl OutgoingRow {
    /// A row for an item that the peer must hear of in the next package; what exactly is decided then.
    #[must_use]
    pub const fn unsent(item: &ItemRow<'_>) -> Self {
        Self {
            guid: item.guid,
            op: if item.deleted { Op::Delete } else { Op::Add },
            sent_revision: item.revision,
            sent_view_fp: item.fingerprint,
            temp_guid: None,
            state: OutgoingState::Unsent,
            reason: 0,
            session: None,
            sent_as: None,
        }
    }
}

/// Which way a large object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// A large object of which only chunks are there yet; one in each direction of a device's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRow {
    /// Which way it goes.
    pub direction: Direction,
    /// The peer's id of the item when it comes, our GUID as a number when it goes.
    pub uri: String,
    /// The operation.
    pub op: Op,
    /// What else its first chunk said; the session's own encoding.
    #[serde(with = "text")]
    pub meta: Vec<u8>,
    /// Its size as declared, in bytes.
    pub declared: u64,
    /// The bytes that are there, or that have gone.
    pub received: u64,
    /// How many of these, at the end, are not known to have been acknowledged.
    pub unconfirmed: u64,
    /// Where its bytes are; [`BlobNo::NONE`] when it has ended.
    pub blob: BlobNo,
    /// When it has ended: the Status of the whole, for a peer that did not get it.
    pub last_status: Option<u16>,
}

/// A change to stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStaged<'a> {
    /// The epoch it was received for.
    pub epoch: i64,
    /// The peer's id of the item.
    pub luid: Cow<'a, str>,
    /// Add, Replace or Delete.
    pub op: Op,
    /// Where the peer says it is: its folder as the peer names that, `/` for none; nothing where it does not say.
    pub place: Option<Cow<'a, str>>,
    /// Media type, where it is not the book's own.
    pub media_type: Option<Cow<'a, str>>,
    /// Content; of large content the beginning.
    #[serde(with = "text")]
    pub content: Cow<'a, [u8]>,
    /// Where large content is as a whole.
    pub blob: Option<Blob>,
    /// Fingerprint of the content.
    #[serde(with = "binary")]
    pub view_fp: ViewFp,
    /// Match keys of the content.
    pub keys: Cow<'a, [u64]>,
}

impl NewStaged<'_> {
    /// The same change, free of what it borrows.
    #[must_use]
    pub fn into_owned(self) -> NewStaged<'static> {
        NewStaged {
            epoch: self.epoch,
            luid: Cow::Owned(self.luid.into_owned()),
            op: self.op,
            place: self.place.map(|place| Cow::Owned(place.into_owned())),
            media_type: self.media_type.map(|media_type| Cow::Owned(media_type.into_owned())),
            content: Cow::Owned(self.content.into_owned()),
            blob: self.blob,
            view_fp: self.view_fp,
            keys: Cow::Owned(self.keys.into_owned()),
        }
    }
}

/// A staged change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedRow {
    /// Its place in the order of arrival.
    pub seq: i64,
    /// The change.
    pub change: NewStaged<'static>,
}
