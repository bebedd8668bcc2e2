//! Large objects of which only chunks are there.

use super::support::*;
use crate::store::{DeviceNo, Direction, PartialRow, Store};

const PHONE: DeviceNo = DeviceNo(1);

pub(super) fn partial_objects(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let row = |direction, uri: &str, received| PartialRow { direction, received, ..partial_row(uri) };
    let seen = |account, device, book, direction| {
        read(store, account, |tx| {
            Ok((tx.partial(device, book, direction)?, tx.partial_bytes(device, book, direction)?))
        })
    };
    let put = |account, device, book, row: &PartialRow, chunk: &'static [u8]| {
        write(store, account, |tx| tx.put_partial(device, book, row, chunk))
    };
    same("none yet", seen(ann, PHONE, BOOK, Direction::In)?, (None, vec![]))?;
    write(store, ann, |tx| tx.drop_partial(PHONE, BOOK, Direction::In))?;
    put(ann, PHONE, BOOK, &row(Direction::In, "ä", 0), b"")?;
    put(ann, PHONE, BOOK, &row(Direction::Out, "1", 1), b"out")?;
    put(ann, DeviceNo(2), BOOK, &row(Direction::In, "2", 1), b"tablet's")?;
    put(ann, PHONE, OTHER_BOOK, &row(Direction::In, "3", 1), b"other")?;
    put(bob, PHONE, BOOK, &row(Direction::In, "4", 1), b"bob's")?;
    put(ann, PHONE, BOOK, &row(Direction::In, "ä", 2), &[1, 0])?;
    let last = PartialRow { last_status: Some(201), ..row(Direction::In, "ä", 4) };
    put(ann, PHONE, BOOK, &last, &[2, 3])?;
    same("in one piece", seen(ann, PHONE, BOOK, Direction::In)?, (Some(last), vec![1, 0, 2, 3]))?;
    same(
        "the other way",
        seen(ann, PHONE, BOOK, Direction::Out)?,
        (Some(row(Direction::Out, "1", 1)), b"out".to_vec()),
    )?;
    write(store, ann, |tx| tx.drop_partial(PHONE, BOOK, Direction::In))?;
    same("forgotten", seen(ann, PHONE, BOOK, Direction::In)?, (None, vec![]))?;
    put(ann, PHONE, BOOK, &row(Direction::In, "new", 1), b"n")?;
    same("begun anew", seen(ann, PHONE, BOOK, Direction::In)?.1, b"n".to_vec())?;
    for (account, device, book, direction, bytes) in [
        (ann, PHONE, BOOK, Direction::Out, &b"out"[..]),
        (ann, DeviceNo(2), BOOK, Direction::In, b"tablet's"),
        (ann, PHONE, OTHER_BOOK, Direction::In, b"other"),
        (bob, PHONE, BOOK, Direction::In, b"bob's"),
    ] {
        same("the others are as they were", seen(account, device, book, direction)?.1, bytes.to_vec())?;
    }
    Ok(())
}
