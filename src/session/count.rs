//! How much there is to send, before any of it is sent.

use super::filtered::due;
use super::receive::OpenBook;
use super::send::{PAGE, range_start};
use crate::store::{Guid, OutgoingState, PairRow, Result, Revision, Tx};
use crate::sync::Role;

/// How many items from where sending begins differ from what the peer is agreed on.
pub(super) fn differing(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, pair: &PairRow) -> Result<u64> {
    match gave_all(open) {
        true => Ok(0),
        false => {
            let (which, start) = ((open.device, open.book()), range_start(open, pair));
            tx.count_differences(which, open.state.epoch, start, open.state.upto)
        }
    }
}

/// Whether all there is in the book was added by the peer in this session and not changed since, so that nothing can differ
/// from what it has, and nobody has to look through the book for it.
pub(super) fn gave_all(open: &OpenBook<'_, '_>) -> bool {
    let row = open.writer.row();
    open.role == Role::Server && open.state.alone && are_only_adds(row.head, row.live_items, open.state.received.added)
}

/// Of a book that was empty: that many items are there, after that many revisions, by that many adds. A replace or delete
/// would have taken a revision that is no item's first.
fn are_only_adds(head: Revision, live_items: i64, added: u64) -> bool {
    head.0 == live_items && i64::try_from(added) == Ok(live_items)
}

/// How many changes there will be, for NumberOfChanges (§3.9: progress only): those since the cursor, and what is sent
/// again of what lies before it.
pub(super) fn count(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, pair: &PairRow, differing: u64) -> Result<u64> {
    let (device, book, epoch) = (open.device, open.book(), open.state.epoch);
    let start = range_start(open, pair);
    let mut changes = differing;
    let mut after = Guid(0);
    loop {
        let rows = tx.outgoing_page(device, book, after, PAGE)?;
        let Some(last) = rows.last() else { return Ok(changes) };
        after = last.guid;
        let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect();
        let entries = tx.maps_by_guid(device, book, epoch, &guids)?;
        for ((row, item), entry) in rows.iter().zip(tx.items(book, &guids)?).zip(entries) {
            let before = item.filter(|item| item.revision <= start && row.state != OutgoingState::Refused);
            changes += u64::from(before.is_some_and(|item| due(open, &item, entry.as_ref()).is_some()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_adds_leave_as_many_revisions_as_items() {
        for (what, head, live, added, wanted) in [
            ("nothing", 0, 0, 0, true),
            ("three adds", 3, 3, 3, true),
            ("one of them changed", 4, 3, 3, false),
            ("one of them deleted", 4, 2, 3, false),
            ("deleted and added anew", 5, 3, 4, false),
            ("one that took another's id and was not counted", 3, 3, 2, false),
            ("a count beyond all books", 3, 3, u64::MAX, false),
        ] {
            assert_eq!(are_only_adds(Revision(head), live, added), wanted, "{what}");
        }
    }
}
