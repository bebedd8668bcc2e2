//! One change that a peer sent, against what is stored of the item (§6.1, §6.2, DESIGN "Map epochs", missions S6, S7, X2).
//!
//! Whatever loses stays in the history: of a conflict there are always two revisions, what the peer said and what it came
//! to.
//!
//! # The table
//!
#![doc = include_str!("table.md")]

use super::{Policy, Role, SyncType};
use crate::message::StatusCode;

/// What the peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Add.
    Add,
    /// Replace.
    Replace,
    /// Delete.
    Delete,
}

/// What became of an item here since it was last agreed with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemNow {
    /// Nothing.
    AsAgreed,
    /// It was changed.
    Changed,
    /// It was changed to just what the peer says now.
    ChangedAlike,
    /// It was deleted.
    Deleted,
}

/// A live item here that may be the one the peer calls by an id not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// There is none.
    None,
    /// Same meaning in every field.
    Exact,
    /// Name and number agree, other fields differ (S7).
    Strong,
}

/// What is known of the id under which the change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The map in force has it; in a sync of everything the map before, which is the first matching rule.
    Known {
        /// The item since the agreement.
        item: ItemNow,
        /// The peer shows just what it held at the agreement: it changed nothing.
        echo: bool,
        /// The card disagrees with the item in name and numbers: the id was used again for somebody else.
        stranger: bool,
    },
    /// The map in force has it not, or has it as retired.
    Unknown {
        /// The best match among live items that the peer does not map.
        twin: Twin,
    },
}

/// What a sync makes of what the peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Its changes are taken.
    Changes,
    /// It shows all it has: what is not shown is missing there, not deleted.
    Everything,
    /// This side becomes what the peer is.
    Mirror,
    /// It has nothing to say.
    Nothing,
}

impl Reception {
    /// That of a sync at this end. `asked` is the sync that was asked for: a refresh that only repairs the lost anchors of a
    /// one-way sync overrules nothing.
    #[must_use]
    pub const fn of(sync: SyncType, asked: SyncType, role: Role) -> Self {
        match (sync, role) {
            (SyncType::OneWayFromServer | SyncType::RefreshFromServer, Role::Server)
            | (SyncType::OneWayFromClient | SyncType::RefreshFromClient, Role::Client) => Self::Nothing,
            (SyncType::RefreshFromClient, Role::Server) if matches!(asked, SyncType::RefreshFromClient) => Self::Mirror,
            (SyncType::RefreshFromServer, Role::Client) if matches!(asked, SyncType::RefreshFromServer) => Self::Mirror,
            (SyncType::Slow | SyncType::RefreshFromClient, Role::Server)
            | (SyncType::RefreshFromServer, Role::Client) => Self::Everything,
            // In a slow sync the server compares; what it then sends are changes.
            _ => Self::Changes,
        }
    }
}

/// On what terms a change is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which end this is.
    pub role: Role,
    /// Who wins.
    pub policy: Policy,
    /// What is made of what the peer sends.
    pub reception: Reception,
}

impl Terms {
    /// Changes that meet no other: every policy has the same.
    pub const PLAIN: Self = Self { role: Role::Server, policy: Policy::Merge, reception: Reception::Changes };
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing; what is here is sent later if it differs.
    Keep,
    /// Nothing, and both sides now agree on what is here.
    Agree,
    /// Add an item and a map entry.
    Create,
    /// Retire the entry, then take the change for one under an id not known.
    CreateAnew,
    /// Give the item the peer's content; a tombstone comes back to life.
    Update,
    /// Record the peer's content as a revision, then the merge of both as the next.
    Merge,
    /// Record the peer's content as a revision, then what was here as the next: the item, or its deletion.
    Overrule,
    /// Keep both, on a server: retire the entry and add the peer's content under its id; the item stays, and is sent anew.
    Fork,
    /// Keep both, on a client: the item gets the server's content, and what was here becomes a new item.
    Split,
    /// Bind the id to the twin, which it equals.
    Bind,
    /// Bind the id to the twin, record the peer's content, then the merge.
    BindAndMerge,
    /// Bind the id to the twin and give it the peer's content.
    BindAndUpdate,
    /// Bind the id to the twin, record the peer's content, then what was here.
    BindAndOverrule,
    /// The item becomes what the peer shows, whatever it was.
    Mirror,
    /// Delete the item and retire the entry.
    Remove,
    /// Retire the entry; the item stays and is sent to the peer again.
    Retire,
    /// Nothing to delete.
    Ignore,
    /// Nothing: it has no place in this sync.
    Refuse,
}

/// What to do and what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// What to answer. In a sync of everything, and to a Delete, that was answered when it came.
    pub status: StatusCode,
}

/// Who wins, seen from here.
#[derive(Clone, Copy)]
enum Winner {
    Both,
    Peer,
    Here,
    Apart,
    Open,
}

impl Winner {
    const fn of(policy: Policy, role: Role) -> Self {
        match (policy, role) {
            (Policy::Merge, _) => Self::Both,
            (Policy::KeepBoth, _) => Self::Apart,
            // What comes to a server comes last; what is still at a client will.
            (Policy::ClientWins | Policy::Newest, Role::Server) | (Policy::ServerWins, Role::Client) => Self::Peer,
            (Policy::ServerWins, Role::Server) | (Policy::ClientWins | Policy::Newest, Role::Client) => Self::Here,
            (Policy::LeaveToClient, Role::Server) => Self::Open,
            // The client it is left to merges, as it does by default.
            (Policy::LeaveToClient, Role::Client) => Self::Both,
        }
    }
}

/// Decides about one change.
#[must_use]
pub const fn decide_incoming(incoming: Incoming, entry: Entry, terms: Terms) -> Decision {
    // An Add is answered 201 even when it matched something: conformance testers insist (§10.3).
    let done = match incoming {
        Incoming::Add => StatusCode::ITEM_ADDED,
        Incoming::Replace | Incoming::Delete => StatusCode::OK,
    };
    let full = matches!(terms.reception, Reception::Everything | Reception::Mirror);
    let (action, status) = match (incoming, entry) {
        _ if matches!(terms.reception, Reception::Nothing) => (Action::Refuse, StatusCode::FORBIDDEN),
        // §3.4: a sync of everything has no deletes; but a server may take back what it has just told of.
        (Incoming::Delete, _) if full && matches!(terms.role, Role::Server) => (Action::Refuse, StatusCode::FORBIDDEN),
        (Incoming::Delete, Entry::Unknown { .. }) => (Action::Ignore, StatusCode::NOT_DELETED),
        (Incoming::Delete, Entry::Known { item, .. }) => (deleted_there(item, terms), done),

        // An id used again for somebody else: an Add says so, and a peer that shows all it has; a Replace of a change is
        // always an edit.
        (_, Entry::Known { stranger: true, .. }) if full || matches!(incoming, Incoming::Add) => {
            (Action::CreateAnew, done)
        }
        (_, Entry::Known { .. }) if matches!(terms.reception, Reception::Mirror) => (Action::Mirror, done),
        // Known, and the peer changed nothing: a repetition, or a device that touches everything.
        (_, Entry::Known { echo: true, .. }) => (Action::Keep, done),
        // Known, and the peer changed it.
        (_, Entry::Known { item: ItemNow::AsAgreed, .. }) => (Action::Update, done),
        (_, Entry::Known { item: ItemNow::ChangedAlike, .. }) => (Action::Agree, done),
        (_, Entry::Known { item, .. }) => {
            let (action, code) = changed_on_both_sides(matches!(item, ItemNow::Deleted), terms);
            (action, if full { done } else { code })
        }

        // Unknown. A Replace of an unknown id is an Add (§2.2).
        (_, Entry::Unknown { twin: Twin::None }) => (Action::Create, StatusCode::ITEM_ADDED),
        (_, Entry::Unknown { twin: Twin::Exact }) => (Action::Bind, done),
        (_, Entry::Unknown { twin: Twin::Strong }) => match Winner::of(terms.policy, terms.role) {
            _ if matches!(terms.reception, Reception::Mirror) => (Action::BindAndUpdate, done),
            Winner::Both => (Action::BindAndMerge, done),
            Winner::Peer => (Action::BindAndUpdate, done),
            Winner::Here => (Action::BindAndOverrule, done),
            Winner::Apart | Winner::Open => (Action::Create, StatusCode::ITEM_ADDED),
        },
    };
    Decision { action, status }
}

/// The peer deleted what it had. A change here beats that, unless a policy says that the peer wins.
const fn deleted_there(item: ItemNow, terms: Terms) -> Action {
    match (item, Winner::of(terms.policy, terms.role)) {
        (ItemNow::AsAgreed, _) => Action::Remove,
        (ItemNow::Changed | ItemNow::ChangedAlike, Winner::Peer) => Action::Remove,
        (ItemNow::Changed | ItemNow::ChangedAlike | ItemNow::Deleted, _) => Action::Retire,
    }
}

/// Both sides changed it (§6.1); here it may have been deleted, which a change there beats unless this side wins.
const fn changed_on_both_sides(deleted: bool, terms: Terms) -> (Action, StatusCode) {
    // The codes name the client and the server, whichever end answers.
    let (peers, ours) = match terms.role {
        Role::Server => (StatusCode::CLIENT_WINS, StatusCode::SERVER_WINS),
        Role::Client => (StatusCode::SERVER_WINS, StatusCode::CLIENT_WINS),
    };
    match (Winner::of(terms.policy, terms.role), terms.role) {
        (Winner::Here, _) => (Action::Overrule, ours),
        (_, _) if deleted => (Action::Update, StatusCode::ITEM_ADDED),
        (Winner::Both, _) => (Action::Merge, StatusCode::CONFLICT_MERGED),
        (Winner::Peer, _) => (Action::Update, peers),
        (Winner::Apart, Role::Server) => (Action::Fork, StatusCode::CONFLICT_DUPLICATED),
        (Winner::Apart, Role::Client) => (Action::Split, StatusCode::CONFLICT_DUPLICATED),
        (Winner::Open, _) => (Action::Overrule, StatusCode::CONFLICT),
    }
}

#[cfg(test)]
mod tests;
