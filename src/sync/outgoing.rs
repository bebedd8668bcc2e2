//! What of an item is to be sent to a peer, and what its answer means (§4 rules of thumb, DESIGN "ledger").

use crate::message::Op;
use crate::store::{ItemRow, MapRow, MapState};

/// What must be sent so that the peer has the item as it is, or `None` when it has it.
#[must_use]
pub fn decide_outgoing(item: &ItemRow<'_>, entry: Option<&MapRow>) -> Option<Op> {
    match entry.filter(|entry| entry.state != MapState::Gone) {
        None => (!item.deleted).then_some(Op::Add),
        // Kept from the peer, or waiting for a decision.
        Some(entry) if !matches!(entry.state, MapState::Live | MapState::Unconfirmed) => None,
        Some(_) if item.deleted => Some(Op::Delete),
        Some(entry) if entry.agreed_revision >= item.revision => None,
        // It has been changed and changed back, or a merge left it as the peer has it.
        Some(entry) if entry.view_fp == item.fingerprint => None,
        Some(_) => Some(Op::Replace),
    }
}

/// What a peer's answer to something we sent means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The peer has it.
    Done,
    /// The peer has not got the item any more: forget the id, add it again later.
    Lost,
    /// The peer will not have it; do not send this revision again.
    Refused,
    /// The peer is full: keep it, and send no more Adds.
    Full,
    /// It failed for now: send it again next time.
    Retry,
}

#[cfg(test)]
mod tests {
    use super::{Confirmation, decide_outgoing};
    use crate::message::{Op, StatusCode, Timestamp};
    use crate::store::{Guid, ItemRow, MapRow, MapState, Revision};
    use crate::sync::decide_confirmation;

    fn item(revision: i64, deleted: bool, print: u8) -> ItemRow<'static> {
        ItemRow {
            guid: Guid(1),
            revision: Revision(revision),
            deleted,
            parent: None,
            depth: 0,
            media_type: None,
            content: Vec::new().into(),
            fingerprint: [print; 16],
            keys: Vec::new().into(),
            origin: None,
            at: Timestamp(0),
        }
    }

    fn entry(agreed: i64, print: u8, state: MapState) -> MapRow {
        MapRow {
            epoch: 0,
            luid: "1".to_owned(),
            guid: Guid(1),
            agreed_revision: Revision(agreed),
            lens: None,
            view_fp: [print; 16],
            state,
        }
    }

    #[test]
    fn sends_what_the_peer_lacks() {
        let live = MapState::Live;
        let table = [
            (item(1, false, 1), None, Some(Op::Add), "new here"),
            (item(2, true, 0), None, None, "deleted before the peer ever had it"),
            (item(1, false, 1), Some(entry(1, 1, live)), None, "agreed"),
            (item(2, false, 2), Some(entry(1, 1, live)), Some(Op::Replace), "changed here"),
            (item(3, false, 1), Some(entry(1, 1, live)), None, "changed and changed back"),
            (item(2, true, 0), Some(entry(1, 1, live)), Some(Op::Delete), "deleted here"),
            (item(1, false, 1), Some(entry(1, 1, MapState::Gone)), Some(Op::Add), "the peer dropped it, we kept it"),
            (item(2, false, 2), Some(entry(1, 1, MapState::Held)), None, "its delete waits for a decision"),
        ];
        for (item, entry, expected, why) in table {
            assert_eq!(decide_outgoing(&item, entry.as_ref()), expected, "{why}");
        }
    }

    #[test]
    fn answers_mean() {
        use Confirmation::{Done, Full, Lost, Refused, Retry};
        let table = [
            (Op::Add, 201, Done),
            (Op::Add, 200, Done),
            (Op::Add, 418, Done),
            (Op::Add, 419, Done),
            (Op::Add, 420, Full),
            (Op::Add, 415, Refused),
            (Op::Add, 500, Retry),
            (Op::Add, 404, Retry),
            (Op::Replace, 404, Lost),
            (Op::Replace, 410, Lost),
            (Op::Replace, 201, Done),
            (Op::Delete, 211, Done),
            (Op::Delete, 404, Done),
            (Op::Delete, 500, Retry),
            (Op::Move, 200, Done),
            (Op::Move, 404, Lost),
            (Op::Move, 428, Retry),
            (Op::Move, 406, Refused),
            (Op::Delete, 427, Retry),
            (Op::Delete, 423, Done),
            (Op::Add, 215, Refused),
        ];
        for (op, code, expected) in table {
            assert_eq!(decide_confirmation(op, StatusCode(code)), expected, "{op:?} {code}");
        }
    }
}
