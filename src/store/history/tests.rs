//! Histories in both stores: times, pages, crashes, restores of anything to anything.

use super::*;
use crate::auth::Verifier;
use crate::store::fault::{Fault, FaultStore, Plan, When};
use crate::store::memory::MemoryStore;
use crate::store::{
    BookWriter, DeviceNo, DeviceRow, Draft, MapRow, MapState, OutgoingRow, OutgoingState, PairRow, large,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

const BOOK: BookNo = BookNo::CONTACTS;
const FILES: BookNo = BookNo::FILES;
const NEWEST: Revision = Revision(i64::MAX);

/// An account in each kind of store.
fn stores() -> Vec<(Box<dyn Store>, AccountNo)> {
    let stores: Vec<Box<dyn Store>> = vec![
        Box::new(MemoryStore::new([1; 32])),
        #[cfg(feature = "sqlite")]
        Box::new(crate::store::sqlite::SqliteStore::open_in_memory().unwrap()),
    ];
    stores
        .into_iter()
        .map(|store| {
            let account = store.directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
            (store, account)
        })
        .collect()
}

fn write<R>(store: &dyn Store, account: AccountNo, mut work: impl FnMut(&mut dyn Tx) -> StoreResult<R>) -> R {
    step(store, account, |tx| Ok(work(tx)?)).unwrap()
}

/// Adds, changes (`guid`) or deletes (no `content`) one item.
fn edit(store: &dyn Store, account: AccountNo, guid: Option<i64>, content: Option<&str>, now: i64) -> Guid {
    write(store, account, |tx| {
        let row = tx.lock_books(&[BOOK])?.remove(0);
        let mut writer = BookWriter::new(row, None, Timestamp(now));
        let old = guid.map(|guid| tx.items(BOOK, &[Guid(guid)])).transpose()?.and_then(|mut found| found.remove(0));
        let item = match (&old, content) {
            (None, content) => writer.add(Draft::of(BOOK, content.unwrap_or_default().as_bytes().to_vec())),
            (Some(old), Some(content)) => writer.replace(old, Draft::of(BOOK, content.as_bytes().to_vec())),
            (Some(old), None) => writer.delete(old),
        };
        writer.flush(tx)?;
        Ok(item.guid)
    })
}

/// The live items of a book as of a revision.
fn book_at(store: &dyn Store, account: AccountNo, at: Revision) -> BTreeMap<Guid, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut after = Guid(0);
    loop {
        let page = states(store, account, BOOK, at, after, 3).unwrap();
        let Some((last, _)) = page.last() else { return found };
        after = *last;
        found.extend(page.into_iter().filter_map(|(guid, row)| Some((guid, row.filter(|row| !row.deleted)?.content))));
    }
}

fn head(store: &dyn Store, account: AccountNo) -> Revision {
    resolve(store, account, BOOK, At::Time(Timestamp(i64::MAX))).unwrap()
}

/// The live items of a book now, by another way.
fn now(store: &dyn Store, account: AccountNo) -> BTreeMap<Guid, Vec<u8>> {
    let items = look(store, account, |tx| tx.changes(BOOK, Revision(0), NEWEST, usize::MAX)).unwrap();
    let live = items.into_iter().filter(|item| !item.deleted);
    live.map(|item| (item.guid, item.content.into_owned())).collect()
}

/// Does what a draw says: a third are adds.
fn play(store: &dyn Store, account: AccountNo, script: &[(u8, u8)], begin: i64) {
    let mut known = now(store, account).into_keys().map(|guid| guid.0).collect::<Vec<_>>();
    for (at, (op, which)) in script.iter().enumerate() {
        let time = begin + at as i64 * 10;
        let content = format!("card {at} of {begin}");
        let which = known.get(usize::from(*which) % known.len().max(1)).copied();
        match (op % 6, which) {
            (0 | 1, _) | (_, None) => known.push(edit(store, account, None, Some(&content), time).0),
            (2, guid) => drop(edit(store, account, guid, None, time)),
            (_, guid) => drop(edit(store, account, guid, Some(&content), time)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.min(48)))]

    /// Any edits; back to any time; and back again. Field note 33.
    #[test]
    fn a_book_becomes_what_it_was_at_any_time_and_back(
        script in proptest::collection::vec(any::<(u8, u8)>(), 1..40),
        at in any::<prop::sample::Index>(),
    ) {
        for (store, account) in stores() {
            let store = store.as_ref();
            let mut after_each = vec![BTreeMap::new()];
            for (number, deed) in script.iter().enumerate() {
                play(store, account, &[*deed], 1_000 * (number as i64 + 1));
                after_each.push(now(store, account));
            }
            let at = at.index(after_each.len());
            // Between two edits.
            let time = At::Time(Timestamp(1_000 * at as i64 + 500));
            let target = resolve(store, account, BOOK, time).unwrap();
            prop_assert_eq!(&book_at(store, account, target), &after_each[at]);
            let later = Timestamp(1_000_000);
            let plan = plan_book(store, account, BOOK, time, later).unwrap();
            prop_assert_eq!(&now(store, account), after_each.last().unwrap(), "a plan does nothing");

            let done = restore_book(store, account, BOOK, time, later, &mut |_| {}).unwrap();
            prop_assert_eq!(&now(store, account), &after_each[at]);
            prop_assert_eq!((plan.revived, plan.changed, plan.deleted), (done.revived, done.changed, done.deleted));
            let after = head(store, account);
            prop_assert_eq!(after.0 - done.id.0, (done.revived + done.changed + done.deleted) as i64);
            // Done again it does nothing.
            let again = restore_book(store, account, BOOK, time, later, &mut |_| {}).unwrap();
            prop_assert_eq!((again.revived, again.changed, again.deleted), (0, 0, 0));
            prop_assert_eq!(head(store, account), after);
            // It can be undone.
            restore_book(store, account, BOOK, At::Revision(done.id), later, &mut |_| {}).unwrap();
            prop_assert_eq!(&now(store, account), after_each.last().unwrap());
            // The past stays what it was.
            prop_assert_eq!(&book_at(store, account, target), &after_each[at]);
        }
    }
}

#[test]
fn times_are_found_among_revisions() {
    for (store, account) in stores() {
        let store = store.as_ref();
        let at = |time| resolve(store, account, BOOK, At::Time(Timestamp(time))).unwrap().0;
        assert_eq!(at(5), 0, "of a book that was never written");
        for time in [10, 20, 20, 20, 30] {
            edit(store, account, None, Some("x"), time);
        }
        for (time, revision) in [(i64::MIN, 0), (9, 0), (10, 1), (19, 1), (20, 4), (29, 4), (30, 5), (i64::MAX, 5)] {
            assert_eq!(at(time), revision, "{time}");
        }
        let past = |revision| resolve(store, account, BOOK, At::Revision(Revision(revision)));
        assert_eq!(past(5).unwrap().0, 5);
        for revision in [-1, 6] {
            assert!(matches!(past(revision), Err(HistoryError::Future { head: Revision(5), .. })));
        }
    }
}

#[test]
fn single_items_are_restored() {
    for (store, account) in stores() {
        let store = store.as_ref();
        edit(store, account, None, Some("one"), 10);
        edit(store, account, None, Some("two"), 20);
        edit(store, account, Some(1), Some("uno"), 30);
        edit(store, account, Some(1), None, 40);
        let restore = |at, write| restore_item(store, account, BOOK, Guid(1), at, Timestamp(90), write).unwrap();
        for write in [false, true] {
            assert_eq!(restore(At::Time(Timestamp(35)), write), Restored::Revived);
        }
        assert_eq!(now(store, account)[&Guid(1)], b"uno");
        assert_eq!(restore(At::Revision(Revision(1)), true), Restored::Changed);
        assert_eq!(now(store, account)[&Guid(1)], b"one");
        assert_eq!(restore(At::Revision(Revision(2)), true), Restored::Unchanged);
        assert_eq!(restore(At::Revision(Revision(4)), true), Restored::Deleted);
        assert_eq!(restore(At::Revision(Revision(4)), true), Restored::Unchanged);
        assert_eq!(head(store, account), Revision(7), "what changes nothing is no revision");
        // Who did it is known.
        let log = revisions(store, account, BOOK, Some(Guid(1)), NEWEST, 9).unwrap();
        assert_eq!(log.iter().map(|row| row.revision.0).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 1]);
        let origins = log.iter().map(|row| row.origin.is_some()).collect::<Vec<_>>();
        assert_eq!(origins, [true, true, true, false, false, false]);
        let device = look(store, account, |tx| tx.device_by_no(log[0].origin.unwrap())).unwrap().unwrap();
        assert!(device.is_local() && device.device_id == "restore:", "{device:?}");
        let none = restore_item(store, account, BOOK, Guid(2), At::Revision(Revision(1)), Timestamp(90), true);
        assert!(matches!(none, Err(HistoryError::NotThere { guid: Guid(2), at: Revision(1) })), "{none:?}");
        let none = restore_item(store, account, BOOK, Guid(9), At::Revision(Revision(7)), Timestamp(90), true);
        assert!(matches!(none, Err(HistoryError::NotThere { .. })), "{none:?}");
    }
}

/// A book of 250 cards of which 200 were changed, 20 deleted and 30 added since revision 250.
fn changed_book(store: &dyn Store, account: AccountNo) {
    write(store, account, |tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(1));
        (0..250).for_each(|n| drop(writer.add(Draft::of(BOOK, format!("card {n}").into_bytes()))));
        writer.flush(tx)?;
        let items = tx.items(BOOK, &(1..=220).map(Guid).collect::<Vec<_>>())?;
        for item in items.iter().flatten() {
            match item.guid.0 {
                1..=200 => drop(writer.replace(item, Draft::of(BOOK, b"other".to_vec()))),
                _ => drop(writer.delete(item)),
            }
        }
        (0..30).for_each(|n| drop(writer.add(Draft::of(BOOK, format!("new {n}").into_bytes()))));
        writer.flush(tx)
    });
}

/// Wherever it breaks off, before a call or a commit or after it: the same call goes on, under the same id, and nothing is
/// done twice. What somebody changes meanwhile stays.
#[test]
fn a_restore_that_broke_off_goes_on() {
    let target = At::Revision(Revision(250));
    let mut points = 0;
    for at in 0.. {
        for when in [When::Before, When::After] {
            let store = FaultStore::new(MemoryStore::new([1; 32]));
            let account = store.directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
            changed_book(&store, account);
            let wanted = book_at(&store, account, Revision(250));
            store.plan(Plan { at: store.points() + at + 1, when, fault: Fault::Crash });
            let mut pages = 0;
            let first = restore_book(&store, account, BOOK, target, Timestamp(9), &mut |_| pages += 1);
            if !store.is_down() {
                let first = first.unwrap();
                assert_eq!((first.revived, first.changed, first.deleted), (20, 200, 30));
                assert_eq!((pages, first.id, first.ended), (3, Revision(500), Some(Timestamp(9))));
                assert!(at > 20, "{at}");
                points = at;
                break;
            }
            store.revive();
            let open =
                look(&store, account, |tx| tx.restores(BOOK, 1)).unwrap().pop().is_some_and(|it| it.ended.is_none());
            let edited = now(&store, account).into_keys().next_back().unwrap();
            if open {
                edit(&store, account, Some(edited.0), Some("meanwhile"), 10);
            }
            let done = restore_book(&store, account, BOOK, target, Timestamp(11), &mut |_| {}).unwrap();
            let mut wanted = wanted.clone();
            if open {
                wanted.insert(edited, b"meanwhile".to_vec());
                assert_eq!(done.id, Revision(500), "{at}");
                let counts = (done.revived, done.changed, done.deleted);
                // The edit may have come before its page.
                assert_eq!(counts.0 + counts.1 + counts.2 + u64::from(counts != (20, 200, 30)), 250, "{at} {counts:?}");
            }
            assert_eq!(now(&store, account), wanted, "{at} {when:?}");
            let log = revisions(&store, account, BOOK, None, NEWEST, usize::MAX).unwrap();
            assert!(log.len() as i64 <= 500 + 250 + 1, "no item was written twice: {}", log.len());
        }
        if points > 0 {
            break;
        }
    }
}

/// Large contents are shared with the past, not copied, and folders keep what is in them.
#[test]
fn large_files_and_folders_come_back() {
    for (store, account) in stores() {
        let store = store.as_ref();
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let put = |item, bytes: &[u8]| {
            large::put(store, account, FILES, item, Some("text/plain"), &mut Cursor::new(bytes), Timestamp(1)).unwrap()
        };
        let guid = put(None, &bytes);
        let before = look(store, account, |tx| tx.blob_bytes()).unwrap();
        put(Some(guid), b"small now");
        assert_eq!(
            restore_item(store, account, FILES, guid, At::Revision(Revision(1)), Timestamp(2), true).unwrap(),
            { Restored::Changed }
        );
        let mut read_back = Vec::new();
        let mut reader = large::Reader::open(store, account, FILES, guid).unwrap().unwrap();
        assert_eq!(reader.item().media_type.as_deref(), Some("text/plain"));
        reader.read_to_end(&mut read_back).unwrap();
        assert!(read_back == bytes);
        assert_eq!(look(store, account, |tx| tx.blob_bytes()).unwrap(), before, "kept once");
        let row = state_of(store, account, FILES, guid, At::Revision(Revision(1))).unwrap();
        assert_eq!(row.content_len(), 200_000);
        let mut pieces = Vec::new();
        while let piece @ [_, ..] = &read(store, account, &row, pieces.len() as u64, 70_000).unwrap()[..] {
            pieces.extend_from_slice(piece);
        }
        assert!(pieces == bytes);
        // The same content, stored again, is no change.
        put(Some(guid), &bytes);
        let again = restore_item(store, account, FILES, guid, At::Revision(Revision(1)), Timestamp(3), true).unwrap();
        assert_eq!(again, Restored::Unchanged);

        // A file in a folder; both are deleted.
        write(store, account, |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[FILES])?.remove(0), None, Timestamp(4));
            let folder = writer.add(Draft::of(FILES, b"folder".to_vec()));
            let inside = Draft { parent: Some(folder.guid), depth: 1, ..Draft::of(FILES, b"inside".to_vec()) };
            let file = writer.add(inside);
            writer.flush(tx)?;
            for item in [file, folder] {
                writer.delete(&item);
            }
            writer.flush(tx)
        });
        let head = look(store, account, |tx| Ok::<_, StoreError>(tx.book(FILES)?.unwrap().head.0)).unwrap();
        let [folder, file] = [Guid(head - 3), Guid(head - 2)];
        let then = At::Revision(Revision(head - 2));
        let item = |guid| look(store, account, |tx| tx.items(FILES, &[guid])).unwrap().remove(0).unwrap();
        restore_item(store, account, FILES, file, then, Timestamp(5), true).unwrap();
        assert_eq!((item(file).deleted, item(file).parent), (false, None), "its folder is gone");
        restore_book(store, account, FILES, then, Timestamp(6), &mut |_| {}).unwrap();
        assert!(!item(folder).deleted);
        assert_eq!((item(file).parent, item(file).depth), (Some(folder), 1));
    }
}

/// I13: whatever retention says, what an unexpired device needs stays, and what goes is told by `purged_upto`.
#[test]
fn i13_retention_keeps_what_devices_need() {
    const NOTHING: Retention = Retention { days: None, revisions: None, changes: None, devices: Some(30) };
    const DAY: i64 = 86_400_000;
    for (store, account) in stores() {
        let store = store.as_ref();
        for _ in 0..6 {
            edit(store, account, None, Some("first"), 0);
        }
        for (guid, time) in [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3), (4, 3)] {
            edit(store, account, Some(guid), Some(&format!("{guid} at {time}")), time * DAY);
        }
        // Superseded now: 1@1 until 7, 2@2 until 8, 3@3 until 9, 1@7 until 10, 2@8 until 11, 3@9 until 12, 1@10 until 13,
        // 4@4 until 14; current: 13, 11, 12, 14, 5, 6.
        let left = || {
            let rows = look(store, account, |tx| tx.superseded(BOOK, Revision(0), 0, 99)).unwrap();
            rows.into_iter().map(|row| row.revision.0).collect::<Vec<_>>()
        };
        assert_eq!(left(), [1, 2, 3, 4, 7, 8, 9, 10]);
        write(store, account, |tx| {
            tx.lock_books(&[BOOK])?;
            let seen = |name: &str, day: i64| DeviceRow::new(name, Timestamp(day * DAY));
            let [phone, sim, lost, new] =
                [seen("phone", 90), seen("sim", 90), seen("lost", 20), seen("new", 90)].map(|row| tx.put_device(&row));
            let (phone, sim, lost, new) = (phone?, sim?, lost?, new?);
            let synced = |device, cursor| PairRow {
                own_next: Some("1".to_owned()),
                cursor: Revision(cursor),
                epoch: 3,
                ..PairRow::new(device, BOOK)
            };
            // The phone has seen all up to 11, but refused item 2 ever since its beginning; the SIM was sent 3@3 and has not
            // answered, and has item 1 as of 7, in the epoch of a slow sync that is open; the lost one would need all.
            for pair in [synced(phone, 11), synced(sim, 13), synced(lost, 0), PairRow::new(new, BOOK)] {
                tx.put_pair(&pair)?;
            }
            let map = |epoch, guid, agreed| MapRow {
                epoch,
                luid: format!("{guid}"),
                guid: Guid(guid),
                agreed_revision: Revision(agreed),
                lens: None,
                view_fp: [0; 16],
                state: MapState::Refused,
            };
            tx.put_maps(phone, BOOK, &[map(3, 2, 2)])?;
            tx.put_maps(sim, BOOK, &[map(4, 1, 7)])?;
            let sent = OutgoingRow {
                guid: Guid(3),
                op: crate::message::Op::Replace,
                sent_revision: Revision(3),
                sent_view_fp: [0; 16],
                temp_guid: None,
                state: OutgoingState::Sent,
                reason: 0,
                session: None,
                sent_as: None,
            };
            tx.put_outgoing(sim, BOOK, &[sent])
        });
        let purged_upto =
            || look(store, account, |tx| Ok::<_, StoreError>(tx.book(BOOK)?.unwrap().purged_upto.0)).unwrap();
        let purge =
            |retention: Retention| purge(store, account, BOOK, &retention, Timestamp(100 * DAY), &mut |_| {}).unwrap();

        let kept = purge(Retention { days: Some(100), ..NOTHING });
        assert_eq!((kept, purged_upto()), (Purged { kept: 8, ..Purged::default() }, 0));
        // Who has seen some fields only may show others from any time.
        let lens = |lens: Option<i64>| {
            write(store, account, |tx| {
                tx.lock_books(&[BOOK])?;
                let row = tx.maps_by_luid(DeviceNo(2), BOOK, 4, &["1"])?.remove(0).unwrap();
                tx.put_maps(DeviceNo(2), BOOK, &[MapRow { lens: lens.map(crate::store::LensNo), ..row }])
            });
        };
        lens(Some(1));
        assert_eq!(purge(NOTHING).removed, 0);
        lens(None);
        let done = purge(NOTHING);
        // 9, 10 and 4 were in force at the phone's cursor or later, 2 and 8 since it agreed on item 2, 3 was sent, and 7 is
        // the base of the slow sync.
        assert_eq!((left(), purged_upto()), (vec![2, 3, 4, 7, 8, 9, 10], 7));
        assert_eq!(done, Purged { removed: 1, kept: 0, needed: 7 });
        // 508 for whoever was here before that, and for nobody else.
        let pairs = look(store, account, |tx| {
            (1..=3).map(|device| tx.pair(DeviceNo(device), BOOK)).collect::<StoreResult<Vec<_>>>()
        });
        let behind: Vec<bool> = pairs.unwrap().iter().flatten().map(|pair| pair.cursor.0 < purged_upto()).collect();
        assert_eq!(behind, [false, false, true], "phone, SIM, lost");

        // States from there on are whole, earlier ones cannot be had as a whole.
        let restore = |at, write: bool| match write {
            true => restore_book(store, account, BOOK, At::Revision(Revision(at)), Timestamp(0), &mut |_| {}),
            false => plan_book(store, account, BOOK, At::Revision(Revision(at)), Timestamp(0)),
        };
        for write in [false, true] {
            let refused = restore(6, write).unwrap_err();
            assert!(matches!(refused, HistoryError::Purged { at: Revision(6), from: Revision(7) }), "{refused}");
        }
        assert_eq!(restore(7, false).unwrap().changed, 4);
        let item = |guid, at| state_of(store, account, BOOK, Guid(guid), At::Revision(Revision(at)));
        assert_eq!(item(3, 10).unwrap().revision, Revision(9), "an item that lost nothing");
        assert!(matches!(item(1, 6), Err(HistoryError::Purged { .. })));

        // A restore that is not done keeps its target, whoever else is gone.
        write_open_restore(store, account, 12);
        let all_expired = Retention { devices: Some(0), ..NOTHING };
        assert_eq!(purge(all_expired), Purged { removed: 5, kept: 0, needed: 2 });
        assert_eq!((left(), purged_upto()), (vec![4, 10], 12));
        restore(12, true).unwrap();
        assert_eq!(now(store, account)[&Guid(1)], b"1 at 2");
    }
}

fn write_open_restore(store: &dyn Store, account: AccountNo, target: i64) {
    write(store, account, |tx| {
        let head = tx.lock_books(&[BOOK])?[0].head;
        let target = Revision(target);
        let row = crate::store::RestoreRow {
            id: head,
            target,
            cursor: target,
            begun: Timestamp(0),
            ended: None,
            revived: 0,
            changed: 0,
            deleted: 0,
        };
        tx.put_restore(BOOK, &row)
    });
}

/// More than a page, by count; and nothing is made where there is nothing.
#[test]
fn retention_goes_through_long_histories_in_pages() {
    for (store, account) in stores() {
        let store = store.as_ref();
        write(store, account, |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(1));
            let mut items = [writer.add(Draft::of(BOOK, b"0".to_vec())), writer.add(Draft::of(BOOK, b"0".to_vec()))];
            writer.flush(tx)?;
            for n in 1..=600 {
                for item in &mut items {
                    *item = writer.replace(item, Draft::of(BOOK, n.to_string().into_bytes()));
                }
            }
            writer.flush(tx)
        });
        let retention = Retention { days: None, revisions: Some(3), changes: None, devices: None };
        let mut pages = 0;
        let done = purge(store, account, BOOK, &retention, Timestamp(2), &mut |_| pages += 1).unwrap();
        assert_eq!((done.removed, done.kept, done.needed, pages), (1194, 6, 0, 3));
        let log = revisions(store, account, BOOK, Some(Guid(2)), NEWEST, 9).unwrap();
        let contents: Vec<_> = log.iter().map(|row| String::from_utf8_lossy(&row.content).into_owned()).collect();
        assert_eq!(contents, ["600", "599", "598", "597"]);
        let none = purge(store, account, BookNo::NOTES, &retention, Timestamp(2), &mut |_| {}).unwrap();
        assert_eq!(none, Purged::default());
        assert!(look(store, account, |tx| tx.book(BookNo::NOTES)).unwrap().is_none());
    }
}
