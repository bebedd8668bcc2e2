//! What a session did, for people and machines.

use crate::message::StatusCode;
use crate::store::{Guid, Hold, Revision};
use crate::sync::Role;
use serde::Serialize;

/// What a session did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every book ended cleanly.
    pub clean: bool,
    /// One entry per book.
    pub books: Vec<BookReport>,
    /// Messages sent and received.
    pub messages: u32,
    /// Bytes of messages sent.
    pub bytes_sent: u64,
    /// Bytes of messages received.
    pub bytes_received: u64,
    /// The names of the profile rules that were applied to the peer.
    pub profile: Vec<String>,
    /// What went wrong, in a sentence each.
    pub problems: Vec<String>,
}

/// What a session did with one book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BookReport {
    /// The book's name here.
    pub book: String,
    /// The sync that was held: `two-way`, `slow` …
    pub mode: String,
    /// Why it is not the sync that was asked for.
    pub reason: Option<String>,
    /// Whether it ended cleanly: anchors moved.
    pub clean: bool,
    /// The status that ended it early.
    #[serde(serialize_with = "code")]
    pub failed: Option<StatusCode>,
    /// What was done here because of the peer.
    pub received: Counts,
    /// What was done there because of us.
    pub sent: Counts,
    /// Deletes that the peer caused and the guard held back: too many to be meant.
    pub held: u64,
    /// Why, and the snapshot of before.
    pub hold: Option<Hold>,
    /// Conflicts, the first few of them; [`Counts::conflicts`] counts all.
    pub conflicts: Vec<ConflictNote>,
    /// Items that the peer added in a sync of changes and that were here already, from others: perhaps the same cards come
    /// by a second path, too (field note 2). Nothing is doubled by that.
    pub elsewhere: u64,
    /// Items that were not sent because the peer is full (§3.18). They are sent when it has room again.
    pub withheld: u64,
}

/// A conflict and who won it. It says no more of the card than its number and the names of fields: what lost is in the
/// history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ConflictNote {
    /// The item here.
    pub guid: Guid,
    /// The fields that lost: said differently by both sides where only one can stand, or, where the policy lets a whole card
    /// win, all that the loser had changed and the winner says otherwise. Where both cards were kept, those in which they
    /// differ. None where a change lost against a delete or a delete against a change, and of what is no card.
    pub fields: Vec<String>,
    /// Who won; nobody where both were kept.
    pub won: Option<Role>,
    /// The revision of the item that holds what lost.
    pub lost: Option<Revision>,
}

/// Counts of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Counts {
    /// Items added.
    pub added: u64,
    /// Items changed.
    pub changed: u64,
    /// Items deleted.
    pub deleted: u64,
    /// Items recognized as already there.
    pub matched: u64,
    /// Conflicts decided.
    pub conflicts: u64,
    /// Items refused.
    pub refused: u64,
}

#[allow(clippy::ref_option)] // serde's signature
fn code<S: serde::Serializer>(code: &Option<StatusCode>, to: S) -> Result<S::Ok, S::Error> {
    code.map(|code| code.0).serialize(to)
}
