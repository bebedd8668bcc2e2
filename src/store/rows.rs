//! The rows, as plain data. Small integers inside, texts at the edge: see the numbered migrations in `schemas/`.

use super::written::{binary, text};
use crate::auth::Verifier;
use crate::message::{Op, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// An account: the owner of books.
    AccountNo
}
number! {
    /// A book of an account. The numbers of the six standard datastores are fixed.
    BookNo
}
number! {
    /// A device (or, in the client role, a server) that an account's books are synchronized with.
    DeviceNo
}
number! {
    /// A book's revision: every change of a book gets the next one, under the book's lock.
    Revision
}
number! {
    /// An item of a book: the revision in which it was created, unique in its book for ever.
    Guid
}
number! {
    /// A remembered lens.
    LensNo
}
number! {
    /// A large content of an account, kept in pieces.
    BlobNo
}

impl BookNo {
    /// Contacts.
    pub const CONTACTS: Self = Self(1);
    /// Calendar.
    pub const CALENDAR: Self = Self(2);
    /// Tasks.
    pub const TASKS: Self = Self(3);
    /// Notes.
    pub const NOTES: Self = Self(4);
    /// Bookmarks.
    pub const BOOKMARKS: Self = Self(5);
    /// Files.
    pub const FILES: Self = Self(6);
}

impl BlobNo {
    /// No content: stores number them from 1.
    pub const NONE: Self = Self(0);
}

impl LensNo {
    /// All of an item but its folder, which the peer was not told.
    pub const UNPLACED: Self = Self(-1);
}

impl DeviceNo {
    /// A device that has no number yet.
    pub const NEW: Self = Self(0);
}

/// Keys shared by all nodes of a store, ascending by number; never none. The newest whose time has come sign, older ones
/// are still believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub Vec<KeySet>);

impl Keys {
    /// Those that sign at a time: the newest whose own has come.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Option<&KeySet> {
        self.0.iter().rev().find(|set| set.since <= now).or_else(|| self.0.first())
    }
}

/// Keys of one generation.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Its number, from 1.
    pub number: u32,
    /// When it begins to sign.
    pub since: Timestamp,
    /// Derives challenge nonces.
    pub nonce: [u8; 32],
    /// Derives session tokens.
    pub token: [u8; 32],
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({}, since {}, …)", self.number, self.since.0)
    }
}

/// A login: a name with which a person's devices authenticate.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account it opens.
    pub account: AccountNo,
    /// What its credentials are checked against.
    pub verifier: Verifier,
}

/// What kind of device authenticates by its device id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// One person's handset.
    Handset,
    /// A platform that speaks for many accounts.
    Platform,
}

/// A device that authenticates by its device id and a shared secret (mission S3).
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its kind.
    pub kind: PrincipalKind,
    /// One verifier per digest: `auth::Verifier::Device` values.
    pub verifiers: Vec<Verifier>,
}

/// A device known to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its number, or [`DeviceNo::NEW`].
    pub device: DeviceNo,
    /// Its id, as in the header's Source.
    pub device_id: String,
    /// Its device information as a stand-alone XML document, if it sent one.
    #[serde(with = "text::option")]
    pub devinf: Option<Vec<u8>>,
    /// The name of the profile rule in force.
    pub profile: Option<String>,
    /// Counts authenticated sessions; challenge nonces derive from it.
    pub nonce_count: i64,
    /// The nonce the device will use next, if one was handed out on success.
    #[serde(with = "binary::option")]
    pub nonce_out: Option<Vec<u8>>,
    /// The nonce we shall use next towards it, if it handed one out.
    #[serde(with = "binary::option")]
    pub nonce_in: Option<Vec<u8>>,
    /// When it last authenticated.
    pub last_seen: Timestamp,
}

impl DeviceRow {
    /// A device seen for the first time.
    #[must_use]
    pub fn new(device_id: &str, now: Timestamp) -> Self {
        Self {
            device: DeviceNo::NEW,
            device_id: device_id.to_owned(),
            devinf: None,
            profile: None,
            nonce_count: 0,
            nonce_out: None,
            nonce_in: None,
            last_seen: now,
        }
    }

    /// The row under which a program or service of the host writes: an origin with a name. No SyncML device is called
    /// like that.
    #[must_use]
    pub fn local(name: &str, now: Timestamp) -> Self {
        Self::new(&format!("{name}:"), now)
    }

    /// Whether it is a program or service of the host, and none that speaks SyncML.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.device_id.strip_suffix(':').is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
    }
}

/// A session's 128-bit token, carried in the RespURI.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(#[serde(with = "binary")] pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A session: its state after the last message, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its token.
    pub token: Token,
    /// The device it is held with.
    pub device: DeviceNo,
    /// `SessionID` as the initiator chose it.
    pub session_id: String,
    /// The books it is about: those alerted in it.
    pub books: Vec<BookNo>,
    /// The last message processed.
    pub last_msg_id: u32,
    /// SHA-256 of that request.
    #[serde(with = "binary")]
    pub last_digest: [u8; 32],
    /// SHA-256 of earlier requests, newest first, a few.
    pub recent_digests: Vec<[u8; 32]>,
    /// The reply to the last request, byte for byte (in the client role: the request to be sent).
    #[serde(with = "binary")]
    pub last_reply: Vec<u8>,
    /// Media type of the reply.
    pub reply_type: String,
    /// A request answered with 101 and still to be executed.
    #[serde(with = "binary::option")]
    pub deferred_request: Option<Vec<u8>>,
    /// Version of `state`.
    pub state_version: i64,
    /// The session's state, at most 16 KB, without per-item data.
    #[serde(with = "text")]
    pub state: Vec<u8>,
    /// When the row may be removed.
    pub deadline: Timestamp,
}

impl SessionRow {
    /// A session in which nothing was said yet.
    #[must_use]
    pub fn new(token: Token, device: DeviceNo, session_id: &str, state_version: i64, deadline: Timestamp) -> Self {
        Self {
            token,
            device,
            session_id: session_id.to_owned(),
            books: Vec::new(),
            last_msg_id: 0,
            last_digest: [0; 32],
            recent_digests: Vec::new(),
            last_reply: Vec::new(),
            reply_type: String::new(),
            deferred_request: None,
            state_version,
            state: Vec::new(),
            deadline,
        }
    }
}

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
    /// superseded up to it ([`history::purge`](super::history::purge)).
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
    /// The device that made this revision, or a named program or service of the host ([`DeviceRow::is_local`]); `None` is
    /// the host itself.
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
    /// ([`DeviceRow::is_local`]); `None` is the host itself.
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
