//! A session's state between two messages: one explicit, versioned, serialisable type without any per-item data.

use super::Counts;
use crate::message::Version;
use crate::store::{BookNo, Guid, Revision};
use crate::sync::{Role, SyncType};
use serde::{Deserialize, Serialize};

/// The version of [`State`] that this release writes; it reads this one only.
pub(super) const STATE_VERSION: i64 = 1;

/// Which of the peer's packages is expected or being received (§3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Package {
    /// Its initialisation: alerts, device information.
    Init,
    /// Its changes.
    Changes,
    /// On the server: its changes are in, and what needed all of them is being decided.
    Settling,
    /// Ours is being sent, one message per answer.
    Sending,
    /// Ours is sent; its statuses and maps are awaited.
    Confirming,
    /// The session is over; the last reply is kept for a retry.
    Over,
}

/// A session between two messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Which end this is.
    pub role: Role,
    /// The version spoken.
    pub version: Version,
    /// The peer's address and name, as its header's Source had them.
    pub peer: (String, Option<String>),
    /// Our address, as its header's Target had it.
    pub own: String,
    /// The RespURI in force.
    pub resp_uri: Option<String>,
    /// Whether the session as such is authenticated (212), so that no more Cred is needed.
    pub authenticated: bool,
    /// The peer's MaxMsgSize.
    pub max_msg_size: Option<u64>,
    /// The peer's MaxObjSize.
    pub max_obj_size: Option<u64>,
    /// Which package is expected.
    pub package: Package,
    /// The datastores of this session.
    pub stores: Vec<StoreState>,
    /// Whether we asked for the peer's device information in this session.
    pub asked_devinf: bool,
    /// Consecutive messages in which neither side said anything but "go on".
    pub idle: u32,
    /// Messages and bytes, for the report.
    pub messages: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// How far sending a book's changes has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// Not begun.
    Start,
    /// Open rows of earlier sessions, after this item.
    Open(Guid),
    /// Changes after this revision.
    Range(Revision),
    /// All was sent.
    End,
}

/// How far settling has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Settling {
    /// Not begun.
    Start,
    /// Match keys are being indexed.
    Indexing,
    /// Staged rows are paired where the meaning is equal, after this sequence number.
    Deciding(i64),
    /// The others are paired by name and number, or added, after this sequence number.
    Matching(i64),
    /// All is decided.
    End,
}

/// A datastore in a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoreState {
    /// The book.
    pub book: BookNo,
    /// Our datastore's address as the peer spells it.
    pub here: String,
    /// The peer's datastore's address.
    pub there: String,
    /// The sync that is held.
    pub sync: SyncType,
    /// Why it is not the one asked for.
    pub reason: Option<String>,
    /// The epoch that this sync reads and writes.
    pub epoch: i64,
    /// In a sync of everything: the epoch before, which is the first matching rule.
    pub old_epoch: Option<i64>,
    /// The peer's new anchor.
    pub peer_next: Option<String>,
    /// Our new anchor.
    pub own_next: String,
    /// The CmdID of our Alert, and the message it was in.
    pub alert_ref: Option<(u32, u32)>,
    /// The CmdIDs of our Sync commands in the last message.
    pub sync_refs: Vec<u32>,
    /// The book's head when our package began: nothing newer is sent.
    pub upto: Revision,
    /// How far sending has come.
    pub position: Position,
    /// How far settling has come.
    pub settling: Settling,
    /// Whether the peer sent a Sync for it.
    pub sync_seen: bool,
    /// Live items bound in the new epoch of a sync of everything: when these are all there are, nothing is left to match.
    pub bound: i64,
    /// Items sent in this session that wait for their Status or Map.
    pub awaiting: i64,
    /// The peer is full: no more Adds.
    pub full: bool,
    /// The media type and version the peer wants, once known.
    pub media: Option<(String, String)>,
    /// The longest GUID the peer keeps.
    pub max_guid: Option<u64>,
    /// The status that ended it early.
    pub failed: Option<u16>,
    /// Whether anchors have moved.
    pub clean: bool,
    /// What was done here because of the peer.
    pub received: Counts,
    /// What was done there because of us.
    pub sent: Counts,
}

impl StoreState {
    /// Whether it still takes part in the session.
    pub(super) const fn active(&self) -> bool {
        self.failed.is_none()
    }
}
