//! Large objects of which only chunks are there.

use super::support::*;
use crate::store::{BlobNo, DeviceNo, Direction, PartialRow, Store};

const PHONE: DeviceNo = DeviceNo(1);

pub(super) fn partial_objects(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let row = |direction, uri: &str, received| PartialRow { direction, received, ..partial_row(uri) };
    let seen = |account, device, book, direction| read(store, account, |tx| tx.partial(device, book, direction));
    let put = |account, device, book, row: &PartialRow| write(store, account, |tx| tx.put_partial(device, book, row));
    same("none yet", seen(ann, PHONE, BOOK, Direction::In)?, None)?;
    write(store, ann, |tx| tx.drop_partial(PHONE, BOOK, Direction::In))?;
    let others = [
        (ann, PHONE, BOOK, row(Direction::Out, "1", 1)),
        (ann, DeviceNo(2), BOOK, row(Direction::In, "2", 1)),
        (ann, PHONE, OTHER_BOOK, row(Direction::In, "3", 1)),
        (bob, PHONE, BOOK, row(Direction::In, "4", 1)),
    ];
    put(ann, PHONE, BOOK, &row(Direction::In, "ä", 0))?;
    for (account, device, book, row) in &others {
        put(*account, *device, *book, row)?;
    }
    let last = PartialRow { last_status: Some(201), blob: BlobNo(i64::MAX), ..row(Direction::In, "ä", 4) };
    put(ann, PHONE, BOOK, &last)?;
    same("as it was put last", seen(ann, PHONE, BOOK, Direction::In)?, Some(last))?;
    write(store, ann, |tx| tx.drop_partial(PHONE, BOOK, Direction::In))?;
    same("forgotten", seen(ann, PHONE, BOOK, Direction::In)?, None)?;
    put(ann, PHONE, BOOK, &row(Direction::In, "new", 1))?;
    same("begun anew", seen(ann, PHONE, BOOK, Direction::In)?, Some(row(Direction::In, "new", 1)))?;
    for (account, device, book, row) in others {
        same("the others are as they were", seen(account, device, book, row.direction)?, Some(row))?;
    }
    Ok(())
}
