//! Changes that wait for the whole set.

use super::support::*;
use crate::message::Op;
use crate::store::{AccountNo, Blob, BlobNo, DeviceNo, NewStaged, StagedRow, Store};

const PHONE: DeviceNo = DeviceNo(1);

fn stage(store: &dyn Store, account: AccountNo, rows: &[NewStaged<'_>]) -> Outcome {
    Ok(write(store, account, |tx| tx.stage(PHONE, BOOK, rows))?)
}

fn page(store: &dyn Store, account: AccountNo, after: i64, limit: usize) -> Outcome<Vec<StagedRow>> {
    Ok(read(store, account, |tx| tx.staged(PHONE, BOOK, after, limit))?)
}

fn all(store: &dyn Store, account: AccountNo) -> Outcome<Vec<NewStaged<'static>>> {
    Ok(page(store, account, 0, usize::MAX)?.into_iter().map(|row| row.change).collect())
}

pub(super) fn staged_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let full = NewStaged {
        epoch: 3,
        luid: "ä".into(),
        op: Op::Replace,
        place: Some("/".into()),
        media_type: Some("text/vcard".into()),
        content: vec![0, 255, 10].into(),
        blob: Some(Blob { no: BlobNo(i64::MAX), len: u64::MAX >> 1 }),
        view_fp: [8; 16],
        keys: vec![0, u64::MAX].into(),
    };
    let bare = NewStaged { keys: [].as_slice().into(), ..staged_change(3, "", Op::Delete, "") };
    let rows = [full, bare, staged_change(3, "07", Op::Add, "b"), staged_change(3, "7", Op::Add, "c")];
    stage(store, ann, &[])?;
    stage(store, ann, &rows[..3])?;
    stage(store, ann, &rows[3..])?;
    same("in their order", all(store, ann)?, rows.to_vec())?;
    let found = page(store, ann, 0, usize::MAX)?;
    holds(
        "numbers ascend from above 0",
        found.iter().map(|row| row.seq).is_sorted_by(|one, next| 0 < *one && one < next),
    )?;
    same("a page", page(store, ann, found[0].seq, 2)?, found[1..3].to_vec())?;
    same("none", page(store, ann, 0, 0)?, vec![])?;
    same("after the last", page(store, ann, found[3].seq, 9)?, vec![])?;
    let count = |op| read(store, ann, move |tx| tx.count_staged(PHONE, BOOK, op));
    same("counted", [count(Op::Add)?, count(Op::Replace)?, count(Op::Delete)?, count(Op::Move)?], [2, 1, 1, 0])?;
    let elsewhere = read(store, ann, |tx| {
        let pages = [tx.staged(DeviceNo(2), BOOK, 0, 9)?, tx.staged(PHONE, OTHER_BOOK, 0, 9)?];
        Ok((pages.concat().len(), tx.count_staged(DeviceNo(2), BOOK, Op::Add)?))
    })?;
    same("of another pair", elsewhere, (0, 0))?;
    write(store, ann, |tx| {
        tx.drop_staged(PHONE, BOOK, &[])?;
        // Another pair's numbers drop nothing here.
        tx.drop_staged(DeviceNo(2), BOOK, &[found[1].seq])?;
        tx.drop_staged(PHONE, OTHER_BOOK, &[found[1].seq])?;
        tx.drop_staged(PHONE, BOOK, &[found[2].seq, found[0].seq, -5, found[2].seq])
    })?;
    same("after two were dropped", page(store, ann, 0, 9)?, vec![found[1].clone(), found[3].clone()])
}

pub(super) fn staged_replaced(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let row = |epoch, luid, op, content| staged_change(epoch, luid, op, content);
    stage(store, ann, &[row(1, "a", Op::Add, "one"), row(1, "b", Op::Add, "two"), row(1, "a", Op::Replace, "uno")])?;
    same("in one batch", all(store, ann)?, vec![row(1, "a", Op::Replace, "uno"), row(1, "b", Op::Add, "two")])?;
    let before = page(store, ann, 0, 9)?;
    stage(store, ann, &[row(1, "a", Op::Delete, ""), row(2, "a", Op::Add, "other epoch")])?;
    let wanted = vec![row(1, "a", Op::Delete, ""), row(1, "b", Op::Add, "two"), row(2, "a", Op::Add, "other epoch")];
    same("in two", all(store, ann)?, wanted)?;
    same("it keeps its number", page(store, ann, 0, 9)?.first().map(|row| row.seq), before.first().map(|row| row.seq))?;
    let count = read(store, ann, |tx| tx.count_staged(PHONE, BOOK, Op::Add))?;
    same("counted", count, 2)
}

pub(super) fn staged_numbers(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    stage(store, ann, &[staged_change(1, "a", Op::Add, ""), staged_change(1, "b", Op::Add, "")])?;
    let first = page(store, ann, 0, 9)?;
    write(store, ann, |tx| tx.drop_staged(PHONE, BOOK, &first.iter().map(|row| row.seq).collect::<Vec<_>>()))?;
    stage(store, ann, &[staged_change(1, "a", Op::Add, "again")])?;
    let last = first.last().map_or(0, |row| row.seq);
    same("staged after all were dropped, read from the last number", page(store, ann, last, 9)?.len(), 1)
}

pub(super) fn unstaged(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let row = |epoch, luid, content| staged_change(epoch, luid, Op::Add, content);
    let unstage =
        |device, book, luids: &'static [&'static str]| write(store, ann, move |tx| tx.unstage(device, book, 3, luids));
    unstage(PHONE, BOOK, &["a"])?;
    let rows =
        [row(3, "a", "one"), row(3, "b", "two"), row(2, "a", "earlier"), row(3, "A", "three"), row(3, "", "four")];
    stage(store, ann, &rows)?;
    write(store, ann, |tx| {
        tx.stage(DeviceNo(2), BOOK, &[row(3, "a", "theirs")])?;
        tx.stage(PHONE, OTHER_BOOK, &[row(3, "a", "note")])
    })?;
    let under = |luids: &'static [&'static str]| -> Outcome<Vec<Option<NewStaged<'static>>>> {
        let found = read(store, ann, move |tx| tx.staged_under(PHONE, BOOK, 3, luids))?;
        Ok(found.into_iter().map(|row| row.map(|row| row.change)).collect())
    };
    let wanted = vec![Some(rows[4].clone()), None, Some(rows[0].clone()), Some(rows[0].clone())];
    same("found by ids", under(&["", "c", "a", "a"])?, wanted)?;
    unstage(PHONE, BOOK, &[])?;
    unstage(PHONE, BOOK, &["c"])?;
    same("others", all(store, ann)?, rows.to_vec())?;
    unstage(PHONE, BOOK, &["a", "c", "", "a"])?;
    same("found no more", under(&["a", "A"])?, vec![None, Some(rows[3].clone())])?;
    same("that id in that epoch", all(store, ann)?, rows[1..4].to_vec())?;
    let others = read(store, ann, |tx| {
        let rows = [tx.staged(DeviceNo(2), BOOK, 0, 9)?, tx.staged(PHONE, OTHER_BOOK, 0, 9)?].concat();
        Ok(rows.into_iter().map(|row| row.change).collect::<Vec<_>>())
    })?;
    same("other pairs'", others, vec![row(3, "a", "theirs"), row(3, "a", "note")])?;
    stage(store, ann, &[row(3, "a", "again")])?;
    same("staged again", all(store, ann)?.last(), Some(&row(3, "a", "again")))
}
