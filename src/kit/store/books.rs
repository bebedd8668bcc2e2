//! Books and their current items.

use super::support::*;
use crate::message::Timestamp;
use crate::store::{Blob, BlobNo, BookNo, BookRow, BookWriter, DeviceNo, Draft, Guid, ItemRow, Revision, Store, Token};

pub(super) fn book_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    same("a book never locked", read(store, ann, |tx| tx.book(BOOK))?, None)?;
    same("locking none", write(store, ann, |tx| tx.lock_books(&[]))?, Vec::new())?;
    let made = write(store, ann, |tx| tx.lock_books(&[BookNo(1), BookNo(4), BookNo(77)]))?;
    same("rows as asked", made.iter().map(|row| row.book.0).collect(), vec![1, 4, 77])?;
    let [first, second, _] = &made[..] else { return holds("three rows", false) };
    holds("books have stamps of their own", first.stamp != second.stamp)?;
    let new = BookRow {
        book: BookNo(1),
        stamp: first.stamp,
        head: Revision(0),
        live_items: 0,
        live_bytes: 0,
        purged_upto: Revision(0),
        indexed: false,
    };
    same("a new book", first.clone(), new)?;
    let wanted =
        BookRow { head: Revision(9), live_items: 3, live_bytes: 1 << 40, purged_upto: Revision(2), ..first.clone() };
    write(store, ann, |tx| {
        tx.lock_books(&[BookNo(1)])?;
        // What is the store's own is not taken from the row.
        tx.put_book(&BookRow { stamp: !wanted.stamp, indexed: true, ..wanted.clone() })
    })?;
    same("the row as put", read(store, ann, |tx| tx.book(BookNo(1)))?, Some(wanted.clone()))?;
    same("locked again", write(store, ann, |tx| tx.lock_books(&[BookNo(1)]))?, vec![wanted.clone()])?;
    same("another book's row", read(store, ann, |tx| tx.book(BookNo(4)))?, Some(second.clone()))?;
    let back = BookRow { head: Revision(8), ..wanted };
    refused(
        "a head that goes back",
        write(store, ann, |tx| tx.lock_books(&[BookNo(1)]).and_then(|_| tx.put_book(&back))),
    )
}

pub(super) fn book_unlocked(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let item = write(store, ann, |tx| add(tx, BOOK, &["one"]))?.remove(0);
    let Some(row) = read(store, ann, |tx| tx.book(BOOK))? else { return holds("the book is there", false) };
    let newer = ItemRow { revision: Revision(2), ..item.clone() };
    let other = ItemRow { guid: Guid(2), revision: Revision(2), ..item };
    refused("put_book", write(store, ann, |tx| tx.put_book(&row)))?;
    refused("insert_items", write(store, ann, |tx| tx.insert_items(BOOK, std::slice::from_ref(&other))))?;
    refused("update_items", write(store, ann, |tx| tx.update_items(BOOK, std::slice::from_ref(&newer))))?;
    refused("index_more", write(store, ann, |tx| tx.index_more(BOOK, 1)))?;
    let of_another = write(store, ann, |tx| {
        tx.lock_books(&[OTHER_BOOK])?;
        tx.insert_items(BOOK, std::slice::from_ref(&other))
    });
    refused("the lock of another book", of_another)
}

/// Rows with an edge in every column.
fn edges() -> Vec<ItemRow<'static>> {
    let plain = ItemRow {
        guid: Guid(1),
        revision: Revision(1),
        deleted: false,
        parent: None,
        depth: 0,
        media_type: None,
        content: b"".into(),
        blob: None,
        fingerprint: [0; 16],
        keys: [].as_slice().into(),
        origin: None,
        at: Timestamp(0),
    };
    let full = ItemRow {
        guid: Guid(2),
        revision: Revision(2),
        parent: Some(Guid(1)),
        depth: u32::MAX,
        media_type: Some("text/x-vcard; charset=\"ä\"".into()),
        content: (0..=255).collect::<Vec<u8>>().into(),
        blob: Some(Blob { no: BlobNo(i64::MAX), len: u64::MAX >> 1 }),
        fingerprint: [255; 16],
        keys: vec![0, 1, u64::MAX, 1 << 63, 1].into(),
        origin: Some(DeviceNo(i64::MAX)),
        at: Timestamp(i64::MIN),
        ..plain.clone()
    };
    let big = ItemRow { guid: Guid(3), revision: Revision(3), content: vec![7; 3_000_000].into(), ..full.clone() };
    let tombstone = ItemRow { guid: Guid(4), revision: Revision(4), deleted: true, ..plain.clone() };
    vec![plain, full, big, tombstone]
}

pub(super) fn item_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let rows = edges();
    write(store, ann, |tx| {
        tx.lock_books(&[BOOK])?;
        tx.insert_items(BOOK, &[])?;
        tx.update_items(BOOK, &[])?;
        tx.insert_items(BOOK, &rows)
    })?;
    let items = |book, guids: Vec<i64>| {
        read(store, ann, move |tx| tx.items(book, &guids.iter().copied().map(Guid).collect::<Vec<_>>()))
    };
    same("asked for nothing", items(BOOK, vec![])?, vec![])?;
    let row = |number: usize| rows.get(number).cloned();
    same(
        "asked in another order, twice, for unknown ones",
        items(BOOK, vec![4, 99, 2, 2, -1, 3, 1])?,
        vec![row(3), None, row(1), row(1), None, row(2), row(0)],
    )?;
    same("in another book", items(OTHER_BOOK, vec![1, 2])?, vec![None, None])?;
    // Every edge replaces every other.
    let mut revision = 4;
    for shift in 1..=rows.len() {
        let turned = (0..rows.len()).map(|number| {
            revision += 1;
            ItemRow {
                guid: rows[number].guid,
                revision: Revision(revision),
                ..rows[(number + shift) % rows.len()].clone()
            }
        });
        let turned = turned.collect::<Vec<_>>();
        write(store, ann, |tx| tx.lock_books(&[BOOK]).and_then(|_| tx.update_items(BOOK, &turned)))?;
        same("after an update", items(BOOK, vec![1, 2, 3, 4])?, turned.into_iter().map(Some).collect())?;
    }
    Ok(())
}

pub(super) fn item_conflicts(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let items = write(store, ann, |tx| add(tx, BOOK, &["one", "two"]))?;
    let row = |guid, revision| ItemRow { guid: Guid(guid), revision: Revision(revision), ..items[0].clone() };
    let insert = |rows: Vec<ItemRow<'static>>| {
        write(store, ann, move |tx| tx.lock_books(&[BOOK]).and_then(|_| tx.insert_items(BOOK, &rows)))
    };
    let update = |rows: Vec<ItemRow<'static>>| {
        write(store, ann, move |tx| tx.lock_books(&[BOOK]).and_then(|_| tx.update_items(BOOK, &rows)))
    };
    refused("inserting a known item", insert(vec![row(3, 3), row(1, 4)]))?;
    refused("inserting an item twice", insert(vec![row(3, 3), row(3, 4)]))?;
    refused("inserting below the head", insert(vec![row(3, 2)]))?;
    refused("updating an unknown item", update(vec![row(1, 3), row(9, 4)]))?;
    refused("updating below the head", update(vec![row(1, 2)]))?;
    refused("updating to an older revision of this batch", update(vec![row(1, 4), row(1, 3)]))?;
    let found = read(store, ann, |tx| tx.changes(BOOK, Revision(0), ALL, usize::MAX))?;
    same("nothing of all this is left", found, items.clone())?;
    update(vec![row(1, 3), row(1, 4)])?;
    let found = read(store, ann, |tx| tx.revisions(BOOK, &[(Guid(1), Revision(3)), (Guid(1), Revision(4))]))?;
    same("two updates in one batch leave two revisions", found.iter().flatten().count(), 2)
}

pub(super) fn writer_numbers(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let made = write(store, ann, |tx| {
        let mut writer = writer(tx, BOOK)?;
        let one = writer.add(draft("one"));
        let two = writer.add(draft("two"));
        let uno = writer.replace(&one, draft("uno"));
        let gone = writer.delete(&two);
        writer.delete(&gone);
        writer.flush(tx)?;
        writer.flush(tx)?;
        Ok([one, two, uno, gone].map(|row| (row.guid.0, row.revision.0)))
    })?;
    same("guids and revisions", made, [(1, 1), (2, 2), (1, 3), (2, 4)])?;
    let made = write(store, ann, |tx| {
        let row = tx.lock_books(&[BOOK])?.remove(0);
        same("totals", (row.head.0, row.live_items, row.live_bytes), (4, 1, 3))
            .map_err(|failure| crate::store::StoreError::Failed(failure.0))?;
        let mut writer = BookWriter::new(row, None, NOW);
        let back = writer.replace(&item(tx, BOOK, Guid(2))?, draft("three"));
        let new = writer.add(Draft { parent: Some(Guid(1)), ..draft("child") });
        writer.flush(tx)?;
        Ok([back, new])
    })?;
    same("numbers go on", made.clone().map(|row| (row.guid.0, row.revision.0)), [(2, 5), (6, 6)])?;
    same("items", read(store, ann, |tx| tx.items(BOOK, &[Guid(2), Guid(6)]))?, made.map(Some).to_vec())?;
    let totals = read(store, ann, |tx| tx.book(BOOK))?.map(|row| (row.head.0, row.live_items, row.live_bytes));
    same("totals at the end", totals, Some((6, 3, 13)))
}

pub(super) fn ten_thousand(store: &dyn Store) -> Outcome {
    const COUNT: i64 = 10_000;
    let ann = account(store, "ann")?;
    let contents = (1..=COUNT).map(|number| format!("{number:05}")).collect::<Vec<_>>();
    let texts = contents.iter().map(String::as_str).collect::<Vec<_>>();
    let items = write(store, ann, |tx| add(tx, BOOK, &texts))?;
    let guids = items.iter().rev().map(|item| item.guid).collect::<Vec<_>>();
    let found = read(store, ann, |tx| tx.items(BOOK, &guids))?;
    same("items", found.into_iter().rev().flatten().collect(), items.clone())?;
    same("changes", read(store, ann, |tx| tx.changes(BOOK, Revision(0), ALL, usize::MAX))?, items)?;
    let prints = texts.iter().map(|text| print(text)).collect::<Vec<_>>();
    let found = read(store, ann, |tx| tx.by_fingerprint(BOOK, &prints, 2))?;
    same("fingerprints", found.into_iter().flatten().map(|guid| guid.0).collect(), (1..=COUNT).collect::<Vec<_>>())?;
    let rows = (1..=COUNT).map(|guid| map_row(1, texts[guid as usize - 1], guid)).collect::<Vec<_>>();
    let luids = rows.iter().map(|row| row.luid.as_str()).collect::<Vec<_>>();
    write(store, ann, |tx| tx.put_maps(DeviceNo(1), BOOK, &rows))?;
    let found = read(store, ann, |tx| tx.maps_by_luid(DeviceNo(1), BOOK, 1, &luids))?;
    same("map entries by luid", found.into_iter().flatten().collect(), rows.clone())?;
    let found = read(store, ann, |tx| tx.maps_by_guid(DeviceNo(1), BOOK, 1, &guids))?;
    same("map entries by guid", found.into_iter().rev().flatten().collect(), rows)?;
    let rows = (1..=COUNT).map(|guid| outgoing_row(guid, 1, Some((1, guid as u32)))).collect::<Vec<_>>();
    write(store, ann, |tx| tx.put_outgoing(DeviceNo(1), BOOK, &rows))?;
    let refs = rows.iter().filter_map(|row| row.sent_as).collect::<Vec<_>>();
    let found = read(store, ann, |tx| tx.outgoing_by_ref(DeviceNo(1), &Token([1; 16]), &refs))?;
    same("open rows", found.into_iter().flatten().map(|(_, row)| row).collect(), rows)?;
    write(store, ann, |tx| tx.drop_outgoing(DeviceNo(1), BOOK, &guids))?;
    same("open rows removed", read(store, ann, |tx| tx.outgoing(DeviceNo(1), BOOK, &guids))?, vec![None; guids.len()])?;
    let rows = texts.iter().map(|text| staged_change(1, text, crate::message::Op::Add, text)).collect::<Vec<_>>();
    write(store, ann, |tx| tx.stage(DeviceNo(1), BOOK, &rows))?;
    let found = read(store, ann, |tx| tx.staged(DeviceNo(1), BOOK, 0, usize::MAX))?;
    same("staged changes", found.into_iter().map(|row| row.change).collect(), rows)
}

pub(super) fn book_list(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let list = |who| read(store, who, |tx| tx.books());
    same("none yet", list(ann)?, vec![])?;
    write(store, ann, |tx| {
        add(tx, OTHER_BOOK, &["note"])?;
        tx.lock_books(&[BookNo(1), BookNo(77)])
    })?;
    let each =
        read(store, ann, |tx| [BookNo(1), OTHER_BOOK, BookNo(77)].map(|book| tx.book(book)).into_iter().collect());
    let each: Vec<Option<BookRow>> = each?;
    same("all, ascending", list(ann)?, each.into_iter().flatten().collect())?;
    same("of another account", list(bob)?, vec![])
}

pub(super) fn book_adopted(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let row = BookRow {
        book: BOOK,
        stamp: 0xFFFF_FFFE,
        head: Revision(9),
        live_items: 1,
        live_bytes: 4,
        purged_upto: Revision(2),
        indexed: true,
    };
    let locked = |row: BookRow| {
        write(store, ann, move |tx| {
            tx.lock_books(&[row.book])?;
            tx.adopt_book(&row)
        })
    };
    refused("without the lock", write(store, ann, |tx| tx.adopt_book(&row)))?;
    write(store, ann, |tx| {
        tx.lock_books(&[BOOK])?;
        let mut writer = BookWriter::new(BookRow { head: Revision(2), ..row.clone() }, None, NOW);
        let item = ItemRow { revision: Revision(8), ..writer.add(draft("four")) };
        tx.insert_items(BOOK, &[item])
    })?;
    locked(row.clone())?;
    let wanted = BookRow { indexed: false, ..row };
    same("the row, but for the index", read(store, ann, |tx| tx.book(BOOK))?, Some(wanted))?;
    refused("a second time", locked(BookRow { head: Revision(10), ..row }))?;
    let next = write(store, ann, |tx| add(tx, BOOK, &["next"]))?;
    same("the next revision", next.iter().map(|item| item.revision.0).collect(), vec![10])
}
