//! One change that a peer sent, against what is stored of the item (§6.2, DESIGN "Map epochs", mission S6, S7).

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
    /// The map in force has it.
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

/// Who wins when both sides changed an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Both changes are merged; the loser of a field stays in history.
    #[default]
    Merge,
    /// The peer's change.
    PeerWins,
    /// What is here.
    HereWins,
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
    /// Retire the entry, then add an item and an entry under the same id for the next epoch of it.
    CreateAnew,
    /// Give the item the peer's content; a tombstone comes back to life.
    Update,
    /// Record the peer's content as a revision, then the merge of both as the next.
    Merge,
    /// Record the peer's content as a revision, then what was here as the next.
    Overrule,
    /// Bind the id to the twin, which it equals.
    Bind,
    /// Bind the id to the twin, record the peer's content, then the merge.
    BindAndMerge,
    /// Delete the item and retire the entry.
    Remove,
    /// Retire the entry; the item stays and is sent to the peer again.
    Retire,
    /// Nothing to delete.
    Ignore,
}

/// What to do and what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// What to answer.
    pub status: StatusCode,
}

/// Decides about one change.
#[must_use]
pub const fn decide_incoming(incoming: Incoming, entry: Entry, policy: Policy) -> Decision {
    use Action::*;
    // An Add is answered 201 even when it matched something: conformance testers insist (§10.3).
    let done = match incoming {
        Incoming::Add => StatusCode::ITEM_ADDED,
        Incoming::Replace | Incoming::Delete => StatusCode::OK,
    };
    let (action, status) = match (incoming, entry) {
        // Deletes. A change here beats a delete there: the item is sent again.
        (Incoming::Delete, Entry::Unknown { .. }) => (Ignore, StatusCode::NOT_DELETED),
        (Incoming::Delete, Entry::Known { item: ItemNow::AsAgreed, .. }) => (Remove, done),
        (Incoming::Delete, Entry::Known { item: ItemNow::Deleted, .. }) => (Retire, done),
        (Incoming::Delete, Entry::Known { item: ItemNow::Changed | ItemNow::ChangedAlike, .. }) => (Retire, done),

        // An id used again for somebody else: only an Add says so; a Replace is always an edit.
        (Incoming::Add, Entry::Known { stranger: true, .. }) => (CreateAnew, done),

        // Known, and the peer changed nothing: a repetition, or a device that touches everything.
        (_, Entry::Known { echo: true, item: ItemNow::AsAgreed, .. }) => (Keep, done),
        (_, Entry::Known { echo: true, .. }) => (Keep, done),

        // Known, and the peer changed it.
        (_, Entry::Known { item: ItemNow::AsAgreed, .. }) => (Update, done),
        (_, Entry::Known { item: ItemNow::ChangedAlike, .. }) => (Agree, done),
        (_, Entry::Known { item: ItemNow::Deleted, .. }) => (Update, StatusCode::ITEM_ADDED),
        (_, Entry::Known { item: ItemNow::Changed, .. }) => match policy {
            Policy::Merge => (Merge, StatusCode::CONFLICT_MERGED),
            Policy::PeerWins => (Update, StatusCode::CLIENT_WINS),
            Policy::HereWins => (Overrule, StatusCode::SERVER_WINS),
        },

        // Unknown. A Replace of an unknown id is an Add (§2.2).
        (_, Entry::Unknown { twin: Twin::None }) => (Create, StatusCode::ITEM_ADDED),
        (_, Entry::Unknown { twin: Twin::Exact }) => (Bind, done),
        (_, Entry::Unknown { twin: Twin::Strong }) => (BindAndMerge, done),
    };
    Decision { action, status }
}

#[cfg(test)]
mod tests {
    use super::{Action, Decision, Entry, Incoming, ItemNow, Policy, Twin, decide_incoming};
    use crate::message::StatusCode;

    const fn known(item: ItemNow, echo: bool) -> Entry {
        Entry::Known { item, echo, stranger: false }
    }

    const fn unknown(twin: Twin) -> Entry {
        Entry::Unknown { twin }
    }

    /// Catalogue: CON-1, CON-2, CON-3, CON-4, CON-5, CON-6, CON-7, CON-8
    #[test]
    fn every_cell_and_why() {
        use Action::*;
        use Incoming::{Add, Delete, Replace};
        use ItemNow::{AsAgreed, Changed, ChangedAlike, Deleted};
        let merge = Policy::Merge;
        let table: &[(Incoming, Entry, Policy, Action, u16, &str)] = &[
            (Add, unknown(Twin::None), merge, Create, 201, "S6: a new item gets a GUID and is bound"),
            (Add, unknown(Twin::Exact), merge, Bind, 201, "S7, row 4: the same card is the same contact"),
            (Add, unknown(Twin::Strong), merge, BindAndMerge, 201, "S7: name and number equal, so merge"),
            (Replace, unknown(Twin::None), merge, Create, 201, "a Replace of an unknown id is an Add"),
            (Replace, unknown(Twin::Exact), merge, Bind, 200, "it is there already"),
            (Replace, unknown(Twin::Strong), merge, BindAndMerge, 200, "S7 again"),
            (Delete, unknown(Twin::None), merge, Ignore, 211, "SCTS: a missing item is not reported as deleted"),
            (Add, known(AsAgreed, true), merge, Keep, 201, "row 8: a resent Add adds nothing"),
            (Add, known(Changed, true), merge, Keep, 201, "our change is sent later"),
            (Add, known(Deleted, true), merge, Keep, 201, "our delete is sent later, not undone"),
            (Replace, known(AsAgreed, true), merge, Keep, 200, "row 28: touched is not changed"),
            (Replace, known(Changed, true), merge, Keep, 200, "only we changed it"),
            (Replace, known(Deleted, true), merge, Keep, 200, "touched is no reason to revive"),
            (Replace, known(AsAgreed, false), merge, Update, 200, "S6: only the peer changed it"),
            (Add, known(AsAgreed, false), merge, Update, 201, "an Add of a known id is an edit"),
            (Replace, known(ChangedAlike, false), merge, Agree, 200, "both made the same change"),
            (Replace, known(Changed, false), merge, Merge, 207, "row 26: both changed it"),
            (Replace, known(Changed, false), Policy::PeerWins, Update, 208, "by policy"),
            (Replace, known(Changed, false), Policy::HereWins, Overrule, 419, "by policy; theirs stays in history"),
            (Replace, known(Deleted, false), merge, Update, 201, "a change beats a delete: created again"),
            (Delete, known(AsAgreed, false), merge, Remove, 200, "the peer deleted it"),
            (Delete, known(Changed, false), merge, Retire, 200, "a change beats a delete: sent again"),
            (Delete, known(ChangedAlike, false), merge, Retire, 200, "alike or not, it was changed here"),
            (Delete, known(Deleted, false), merge, Retire, 200, "both deleted it"),
        ];
        for &(incoming, entry, policy, action, status, why) in table {
            assert_eq!(
                decide_incoming(incoming, entry, policy),
                Decision { action, status: StatusCode(status) },
                "{incoming:?} {entry:?} {policy:?}: {why}"
            );
        }
    }

    #[test]
    fn a_reset_phone_gets_a_new_contact() {
        for item in [ItemNow::AsAgreed, ItemNow::Changed, ItemNow::Deleted] {
            let entry = Entry::Known { item, echo: false, stranger: true };
            assert_eq!(decide_incoming(Incoming::Add, entry, Policy::Merge).action, Action::CreateAnew);
            // A Replace in an anchored sync is always an edit.
            assert_ne!(decide_incoming(Incoming::Replace, entry, Policy::Merge).action, Action::CreateAnew);
        }
    }
}
