//! Large contents, in pieces.

use super::support::*;
use crate::contact::identity::{HEAD, Kind, LARGE, identify};
use crate::message::Op;
use crate::store::{AccountNo, Blob, BlobNo, BookNo, BookWriter, DeviceNo, Direction, Draft, Guid, PartialRow, Store};

const PHONE: DeviceNo = DeviceNo(1);
const FILES: BookNo = BookNo::FILES;

/// Bytes of which no two pieces are alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Appends in one step for each chunk.
fn append(store: &dyn Store, account: AccountNo, chunks: &[&[u8]]) -> Outcome<BlobNo> {
    let mut blob = None;
    for chunk in chunks {
        blob = Some(write(store, account, |tx| tx.append_blob(blob, chunk))?);
    }
    blob.ok_or_else(|| Failure("no chunks".to_owned()))
}

fn len(store: &dyn Store, account: AccountNo, blob: BlobNo) -> Outcome<Option<u64>> {
    Ok(read(store, account, |tx| tx.blob(blob))?.map(|row| row.len))
}

pub(super) fn blob_pieces(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let all = bytes(3 * LARGE + 1_000);
    same("nothing under a number never given", len(store, ann, BlobNo(99))?, None)?;
    let small = append(store, ann, &[b"", b"small"])?;
    let empty = append(store, ann, &[b""])?;
    let large = append(store, ann, &all.chunks(50_000).collect::<Vec<_>>())?;
    let whole = append(store, ann, &[&all])?;
    append(store, bob, &[b"bob's"])?;
    holds("each has a number of its own", small != large && large != whole && small != whole && empty != large)?;
    same("an empty one is there", len(store, ann, empty)?, Some(0))?;
    for blob in [large, whole] {
        same("its length", len(store, ann, blob)?, Some(all.len() as u64))?;
        let ends = [0, 1, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE, all.len() - 1, all.len(), all.len() + 1];
        for from in ends {
            for limit in [0, 1, 1_000, LARGE, LARGE + 1, all.len() * 2] {
                let wanted = all.get(from..).unwrap_or_default();
                let wanted = wanted[..limit.min(wanted.len())].to_vec();
                let found = read(store, ann, |tx| tx.read_blob(blob, from as u64, limit))?;
                holds(&format!("{limit} bytes from {from}"), found == wanted)?;
            }
        }
    }
    for length in [2 * LARGE + 1, 2 * LARGE, LARGE - 1, 0] {
        write(store, ann, |tx| tx.cut_blob(large, length as u64))?;
        same("its length after a cut", len(store, ann, large)?, Some(length as u64))?;
        let again = write(store, ann, |tx| {
            tx.append_blob(Some(large), &all[length..])?;
            let found = tx.read_blob(large, 0, usize::MAX)?;
            tx.cut_blob(large, length as u64).map(|()| found)
        })?;
        holds("cut and appended again", again == all)?;
    }
    same("the others are as they were", read(store, ann, |tx| tx.read_blob(small, 0, 100))?, b"small".to_vec())?;
    // Whole pieces count: one each of the small, the empty and the cut one, four of the other.
    same("all together", read(store, ann, |tx| tx.blob_bytes())?, 7 * LARGE as u64)?;
    same("of another account", read(store, bob, |tx| tx.blob_bytes())?, LARGE as u64)
}

pub(super) fn blob_prints(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    for length in [LARGE + 1, 2 * LARGE, 2 * LARGE + 7] {
        let all = bytes(length);
        for chunk in [10_000, LARGE, LARGE + 1, length] {
            let blob = append(store, ann, &all.chunks(chunk).collect::<Vec<_>>())?;
            let print = read(store, ann, |tx| tx.blob(blob))?.map(|row| row.print);
            same("the fingerprint", print, Some(identify(Kind::File, &all).fingerprint.0))?;
        }
    }
    Ok(())
}

pub(super) fn blob_owners(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let blob = append(store, ann, &[b"large"])?;
    let other = append(store, ann, &[b"other"])?;
    let is_there = |blob| len(store, ann, blob).map(|len| len.is_some());
    let sweep = || write(store, ann, |tx| tx.drop_blobs(&[blob, BlobNo(99)]));
    let place = Some(Blob { no: blob, len: 5 });
    let staged = |luid: &'static str| crate::store::NewStaged { blob: place, ..staged_change(1, luid, Op::Add, "") };

    write(store, ann, |tx| tx.put_partial(PHONE, FILES, &PartialRow { blob, ..partial_row("1") }))?;
    sweep()?;
    holds("a partial object keeps it", is_there(blob)?)?;
    write(store, ann, |tx| {
        tx.drop_partial(PHONE, FILES, Direction::In)?;
        tx.stage(PHONE, FILES, &[staged("1"), staged("2"), staged("3")])?;
        tx.drop_blobs(&[blob])
    })?;
    holds("a staged change keeps it", is_there(blob)?)?;
    write(store, ann, |tx| {
        tx.unstage(PHONE, FILES, 1, &["1"])?;
        tx.stage(PHONE, FILES, &[staged_change(1, "2", Op::Delete, "")])
    })?;
    holds("another staged change keeps it", is_there(blob)?)?;
    // As settling does: the item first, then the staged row goes.
    let guid = write(store, ann, |tx| {
        let mut writer = writer(tx, FILES)?;
        let guid = writer.add(Draft { blob: place, ..draft("l") }).guid;
        writer.flush(tx)?;
        let seqs: Vec<i64> = tx.staged(PHONE, FILES, 0, 10)?.iter().map(|row| row.seq).collect();
        tx.drop_staged(PHONE, FILES, &seqs)?;
        Ok(guid)
    })?;
    sweep()?;
    holds("an item keeps it", is_there(blob)?)?;
    write(store, ann, |tx| delete(tx, FILES, guid))?;
    sweep()?;
    holds("a superseded revision keeps it", is_there(blob)?)?;
    let held = read(store, ann, |tx| tx.history(FILES, guid, 1))?;
    same("and says where it is", held.first().and_then(|row| row.blob), place)?;

    // What is staged and taken back, replaced or dropped takes its content along.
    for round in 0..3 {
        let lost = append(store, ann, &[b"lost"])?;
        write(store, ann, |tx| {
            let change = staged_change(1, "9", Op::Add, "");
            let place = Some(Blob { no: lost, len: 4 });
            tx.stage(PHONE, FILES, &[crate::store::NewStaged { blob: place, ..change.clone() }])?;
            match round {
                0 => tx.unstage(PHONE, FILES, 1, &["9"]),
                1 => tx.stage(PHONE, FILES, &[change]),
                _ => {
                    let seqs: Vec<i64> = tx.staged(PHONE, FILES, 0, 10)?.iter().map(|row| row.seq).collect();
                    tx.drop_staged(PHONE, FILES, &seqs)
                }
            }
        })?;
        holds("it goes with the last that refers to it", !is_there(lost)?)?;
    }
    holds("what is not named stays", is_there(other)?)?;
    write(store, ann, |tx| tx.drop_blobs(&[other]))?;
    holds("what nothing refers to goes", !is_there(other)?)
}

pub(super) fn blob_writer(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let (all, newer) = (bytes(2 * LARGE + 1), bytes(LARGE + 1));
    let book = || read(store, ann, |tx| Ok(tx.book(FILES)?.map(|row| row.live_bytes)));
    let item = || read(store, ann, |tx| Ok(tx.items(FILES, &[Guid(1)])?.remove(0)));
    write(store, ann, |tx| {
        let mut writer = writer(tx, FILES)?;
        writer.add(Draft::of(FILES, all.as_slice()));
        writer.add(Draft::of(FILES, &all[..LARGE]));
        writer.flush(tx)
    })?;
    let found = item()?.ok_or_else(|| Failure("the item is not there".to_owned()))?;
    let blob = found.blob.ok_or_else(|| Failure("its content is not in pieces".to_owned()))?;
    same("its length", (blob.len, found.content_len()), (all.len() as u64, all.len() as u64))?;
    same("its row has the beginning", found.content.len(), HEAD)?;
    holds("all of it is there", read(store, ann, |tx| tx.read_blob(blob.no, 0, usize::MAX))? == all)?;
    let small = read(store, ann, |tx| Ok(tx.items(FILES, &[Guid(2)])?.remove(0)))?;
    holds("content that is not large is in its row", small.is_some_and(|item| item.blob.is_none()))?;
    same("bytes of the book", book()?, Some((all.len() + LARGE) as i64))?;
    write(store, ann, |tx| {
        let mut writer: BookWriter<'_> = writer(tx, FILES)?;
        writer.replace(&found, Draft::of(FILES, newer.as_slice()));
        writer.flush(tx)
    })?;
    same("after a change", book()?, Some((newer.len() + LARGE) as i64))?;
    write(store, ann, |tx| delete(tx, FILES, Guid(1)))?;
    same("after a delete", book()?, Some(LARGE as i64))?;
    same("a tombstone has none", item()?.map(|item| (item.deleted, item.blob)), Some((true, None)))
}
