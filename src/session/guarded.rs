//! What looks like an accident and what is done about it (mission X5): the session's side of the guard. The decision of a
//! person is in [`super::held`].

use super::receive::{OpenBook, own_entry};
use crate::message::Timestamp;
use crate::store::{BookRow, Hold, HoldReason, ItemRow, MapRow, MapState, PairRow};
use crate::sync::{Reaction, Treatment};

/// Weighs a slow sync that nobody asked for (field note 9), and holds it if that is wanted; `None` lets it be held now. One
/// that was released may happen once.
pub(super) fn weigh_slow_sync(
    treatment: Treatment,
    pair: &mut PairRow,
    row: &BookRow,
    now: Timestamp,
    cause: &str,
) -> Option<Reaction> {
    // The first sync of a pair surprises nobody.
    if pair.peer_next.is_none() && pair.own_next.is_none() {
        return None;
    }
    if pair.hold(HoldReason::SlowSync).is_some_and(|hold| hold.released) {
        pair.drop_hold(HoldReason::SlowSync);
        return None;
    }
    match treatment.slow_sync() {
        Reaction::Proceed => {
            pair.drop_hold(HoldReason::SlowSync);
            None
        }
        Reaction::Refuse => Some(Reaction::Refuse),
        Reaction::Hold => {
            if pair.hold(HoldReason::SlowSync).is_none() {
                pair.add_hold(Hold { cause: Some(cause.to_owned()), ..hold(HoldReason::SlowSync, row, now, 0) });
            }
            Some(Reaction::Hold)
        }
    }
}

fn hold(reason: HoldReason, row: &BookRow, now: Timestamp, items: u64) -> Hold {
    let live = u64::try_from(row.live_items).unwrap_or(0);
    Hold { reason, at: now, snapshot: row.head, items, live, cause: None, released: false }
}

/// What is done about so many deletes, which are too many to be meant; what is held is noted. The snapshot is the book as
/// it was before the sync.
pub(super) fn storm(open: &mut OpenBook<'_, '_>, reason: HoldReason, items: u64) -> Reaction {
    let reaction = match open.treatment.deletes() {
        // Who never had them cannot want them deleted: they go there.
        Reaction::Hold if reason == HoldReason::Vanished && open.state.first => {
            open.state.held += items;
            return Reaction::Refuse;
        }
        reaction => reaction,
    };
    if reaction == Reaction::Hold {
        let snapshot = open.state.start_head;
        let live = u64::try_from(open.state.start_live).unwrap_or(0);
        let hold = Hold { snapshot, live, ..hold(reason, open.writer.row(), open.writer.now(), items) };
        open.state.held += items;
        match &mut open.state.hold {
            Some(known) => known.items += items,
            None => open.state.hold = Some(hold.clone()),
        }
        open.holds.push(hold);
    }
    reaction
}

/// What a client does about one more delete of the server's. By default it obeys: the server has a guard of its own, and
/// what was released there, or restored, is meant. One that is told otherwise cannot know how many will come: it obeys as
/// many as the guard lets pass, and no more.
pub(super) fn one_more(open: &mut OpenBook<'_, '_>) -> Reaction {
    if open.treatment.deletes.is_none() {
        return Reaction::Proceed;
    }
    let live = u64::try_from(open.state.start_live).unwrap_or(0);
    match open.guard.holds(open.state.received.deleted + open.state.held + 1, live) {
        true => storm(open, HoldReason::Deletes, 1),
        false => Reaction::Proceed,
    }
}

/// The entry of an item that waits for a decision about what the peer did not show.
pub(super) fn held_entry(open: &OpenBook<'_, '_>, item: &ItemRow<'_>) -> MapRow {
    MapRow {
        epoch: open.state.epoch,
        luid: own_entry(item.guid),
        guid: item.guid,
        agreed_revision: item.revision,
        lens: None,
        view_fp: item.fingerprint,
        state: MapState::Held,
    }
}

#[cfg(test)]
mod tests {
    use super::weigh_slow_sync;
    use crate::message::Timestamp;
    use crate::store::{BookNo, BookRow, DeviceNo, HoldReason, PairRow, Revision};
    use crate::sync::{Reaction, Treatment};

    #[test]
    fn row9_a_slow_sync_that_nobody_asked_for() {
        let row = BookRow {
            book: BookNo::CONTACTS,
            stamp: 1,
            head: Revision(7),
            live_items: 5,
            live_bytes: 0,
            purged_upto: Revision(0),
            indexed: false,
        };
        let wanted = |slow_sync| Treatment { slow_sync: Some(slow_sync), ..Treatment::default() };
        let mut pair = PairRow::new(DeviceNo(1), BookNo::CONTACTS);
        let weigh = |pair: &mut PairRow, treatment| weigh_slow_sync(treatment, pair, &row, Timestamp(9), "lost");
        assert_eq!(weigh(&mut pair, wanted(Reaction::Refuse)), None, "the first sync");
        pair.peer_next = Some("1".to_owned());
        assert_eq!(weigh(&mut pair, Treatment::default()), None, "a lost anchor is no harm: everything is compared");
        assert_eq!(weigh(&mut pair, wanted(Reaction::Refuse)), Some(Reaction::Refuse));
        assert!(pair.holds.is_empty(), "nothing to decide");
        for _ in 0..2 {
            assert_eq!(weigh(&mut pair, wanted(Reaction::Hold)), Some(Reaction::Hold));
            let hold = pair.hold(HoldReason::SlowSync).cloned();
            assert_eq!(
                hold.map(|hold| (hold.snapshot, hold.live, hold.cause)),
                Some((Revision(7), 5, Some("lost".to_owned())))
            );
        }
        pair.holds[0].released = true;
        assert_eq!(weigh(&mut pair, wanted(Reaction::Hold)), None, "released");
        assert_eq!(weigh(&mut pair, wanted(Reaction::Hold)), Some(Reaction::Hold), "once");
    }
}
