//! The ledger of what was sent.

use super::support::*;
use crate::message::Op;
use crate::store::{BookNo, DeviceNo, Guid, OutgoingRow, OutgoingState, Revision, SentRef, Store, Token};

const PHONE: DeviceNo = DeviceNo(1);
const TABLET: DeviceNo = DeviceNo(2);

pub(super) fn outgoing_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let put = |rows: &[OutgoingRow]| write(store, ann, |tx| tx.put_outgoing(PHONE, BOOK, rows));
    let get = |guids: &[i64]| {
        let guids = guids.iter().copied().map(Guid).collect::<Vec<_>>();
        read(store, ann, |tx| tx.outgoing(PHONE, BOOK, &guids))
    };
    let full = OutgoingRow {
        guid: Guid(2),
        op: Op::Replace,
        sent_revision: Revision(i64::MAX),
        sent_view_fp: [255; 16],
        temp_guid: Some("t1".to_owned()),
        state: OutgoingState::Withheld,
        reason: u16::MAX,
        session: Some(Token([7; 16])),
        sent_as: Some(SentRef { msg_id: u32::MAX, cmd_id: 0 }),
    };
    let rows = vec![outgoing_row(1, 0, None), full.clone(), outgoing_row(5, 1, Some((1, 1)))];
    put(&[])?;
    put(&rows)?;
    let row = |number: usize| rows.get(number).cloned();
    same("by guid, twice, unknown", get(&[5, 3, 1, 2, 5])?, vec![row(2), None, row(0), row(1), row(2)])?;
    same("asked for nothing", get(&[])?, vec![])?;
    let page = |after, limit| read(store, ann, move |tx| tx.outgoing_page(PHONE, BOOK, Guid(after), limit));
    same("all", page(i64::MIN, usize::MAX)?, rows.clone())?;
    same("a page", page(1, 1)?, vec![full.clone()])?;
    same("an empty page", page(0, 0)?, vec![])?;
    same("after the last", page(5, 9)?, vec![])?;
    for (device, book) in [(TABLET, BOOK), (PHONE, OTHER_BOOK)] {
        let found = read(store, ann, |tx| tx.outgoing_page(device, book, Guid(0), 9))?;
        same("of another pair", found, vec![])?;
    }
    for state in OutgoingState::ALL {
        for op in [Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move] {
            let row = OutgoingRow { state, op, ..full.clone() };
            put(std::slice::from_ref(&row))?;
            same("after an update", get(&[2])?, vec![Some(row)])?;
        }
    }
    let bare = OutgoingRow { temp_guid: None, session: None, sent_as: None, reason: 0, ..full };
    put(std::slice::from_ref(&bare))?;
    same("with nothing in it", get(&[2])?, vec![Some(bare)])
}

pub(super) fn outgoing_by_ref(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let place = |msg_id, cmd_id| SentRef { msg_id, cmd_id };
    let (one, two, note) =
        (outgoing_row(1, 1, Some((1, 1))), outgoing_row(2, 1, Some((1, 2))), outgoing_row(1, 1, Some((2, 1))));
    let other = outgoing_row(3, 2, Some((1, 1)));
    write(store, ann, |tx| {
        tx.put_outgoing(PHONE, BOOK, &[one.clone(), two.clone(), other.clone()])?;
        tx.put_outgoing(PHONE, OTHER_BOOK, std::slice::from_ref(&note))?;
        tx.put_outgoing(TABLET, BOOK, &[outgoing_row(9, 1, Some((9, 9)))])
    })?;
    let find = |device, session: u8, refs: &[SentRef]| {
        read(store, ann, |tx| tx.outgoing_by_ref(device, &Token([session; 16]), refs))
    };
    let found = find(PHONE, 1, &[place(2, 1), place(1, 2), place(9, 9), place(1, 1), place(1, 2)])?;
    let wanted =
        vec![Some((OTHER_BOOK, note)), Some((BOOK, two.clone())), None, Some((BOOK, one)), Some((BOOK, two.clone()))];
    same("as asked", found, wanted)?;
    same("in another session", find(PHONE, 2, &[place(1, 1), place(1, 2)])?, vec![Some((BOOK, other)), None])?;
    same("with another device", find(TABLET, 1, &[place(1, 1)])?, vec![None])?;
    same("asked for nothing", find(PHONE, 1, &[])?, vec![])?;
    let again = OutgoingRow { sent_as: Some(place(3, 4)), ..two };
    write(store, ann, |tx| tx.put_outgoing(PHONE, BOOK, std::slice::from_ref(&again)))?;
    same("sent again", find(PHONE, 1, &[place(1, 2), place(3, 4)])?, vec![None, Some((BOOK, again.clone()))])?;
    let unsent = [OutgoingRow { session: None, sent_as: None, ..again }];
    write(store, ann, |tx| tx.put_outgoing(PHONE, BOOK, &unsent))?;
    same("not sent any more", find(PHONE, 1, &[place(3, 4)])?, vec![None])
}

pub(super) fn outgoing_removed(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let rows = [1, 2, 3].map(|guid| outgoing_row(guid, 1, Some((1, guid as u32))));
    let pairs = [(PHONE, BOOK), (PHONE, OTHER_BOOK), (TABLET, BOOK)];
    write(store, ann, |tx| pairs.iter().try_for_each(|(device, book)| tx.put_outgoing(*device, *book, &rows)))?;
    let left = |device, book: BookNo| {
        read(store, ann, move |tx| tx.outgoing_page(device, book, Guid(0), 9))
            .map(|rows| rows.iter().map(|row| row.guid.0).collect::<Vec<_>>())
    };
    write(store, ann, |tx| tx.drop_outgoing(PHONE, BOOK, &[]))?;
    write(store, ann, |tx| tx.drop_outgoing(PHONE, BOOK, &[Guid(3), Guid(9), Guid(1), Guid(3)]))?;
    same("after two were dropped", left(PHONE, BOOK)?, vec![2])?;
    write(store, ann, |tx| tx.clear_outgoing(PHONE, BOOK))?;
    same("after the pair was cleared", left(PHONE, BOOK)?, vec![])?;
    same("of another book", left(PHONE, OTHER_BOOK)?, vec![1, 2, 3])?;
    same("of another device", left(TABLET, BOOK)?, vec![1, 2, 3])
}

pub(super) fn outgoing_by_view(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let row = |guid, view: u8, op, state| OutgoingRow {
        op,
        state,
        sent_view_fp: [view; 16],
        ..outgoing_row(guid, 1, Some((1, guid as u32)))
    };
    let put = |rows: &[OutgoingRow]| write(store, ann, |tx| tx.put_outgoing(PHONE, BOOK, rows));
    let find = |views: &[u8]| {
        let views = views.iter().map(|view| [*view; 16]).collect::<Vec<_>>();
        read(store, ann, |tx| tx.outgoing_by_view(PHONE, BOOK, &views))
    };
    let sent = row(4, 1, Op::Add, OutgoingState::Sent);
    let acked = row(3, 2, Op::Add, OutgoingState::AckedUnmapped);
    put(&[sent.clone(), acked.clone()])?;
    let others = [(TABLET, BOOK), (PHONE, OTHER_BOOK)];
    write(store, ann, |tx| {
        others
            .iter()
            .try_for_each(|(device, book)| tx.put_outgoing(*device, *book, &[row(1, 9, Op::Add, OutgoingState::Sent)]))
    })?;
    let wanted = vec![Some(acked.clone()), None, Some(sent.clone()), Some(acked)];
    same("as asked", find(&[2, 9, 1, 2])?, wanted)?;
    same("asked for nothing", find(&[])?, vec![])?;
    let mut near = [1; 16];
    near[15] = 2;
    same("nearly the same", read(store, ann, |tx| tx.outgoing_by_view(PHONE, BOOK, &[near]))?, vec![None])?;
    put(&[row(2, 1, Op::Add, OutgoingState::Sent), row(6, 1, Op::Add, OutgoingState::AckedUnmapped)])?;
    same("of several the first", find(&[1])?.remove(0).map(|row| row.guid), Some(Guid(2)))?;
    write(store, ann, |tx| tx.drop_outgoing(PHONE, BOOK, &[Guid(2), Guid(6)]))?;
    same("after those were dropped", find(&[1])?, vec![Some(sent)])?;
    for state in OutgoingState::ALL {
        for op in [Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move] {
            let row = row(5, 5, op, state);
            put(std::slice::from_ref(&row))?;
            let open = [OutgoingState::Sent, OutgoingState::Resent, OutgoingState::AckedUnmapped];
            let is_open = op == Op::Add && open.contains(&state);
            same("in each state", find(&[5])?, vec![Some(row).filter(|_| is_open)])?;
        }
    }
    put(&[row(4, 7, Op::Add, OutgoingState::Sent)])?;
    same("sent again, otherwise", find(&[1, 7])?, vec![None, Some(row(4, 7, Op::Add, OutgoingState::Sent))])?;
    write(store, ann, |tx| tx.clear_outgoing(PHONE, BOOK))?;
    same("after the pair was cleared", find(&[7, 2])?, vec![None, None])?;
    let other = read(store, ann, |tx| tx.outgoing_by_view(TABLET, BOOK, &[[9; 16]]))?;
    same("another pair's stays", other, vec![Some(row(1, 9, Op::Add, OutgoingState::Sent))])
}
