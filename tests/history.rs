//! History with devices: what they did is kept, what is restored reaches them as any change does, what is purged hurts none
//! of them (mission X4).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, lines, numbered};
use std::sync::Arc;
use syncml::message::AlertCode;
use syncml::session::{Profiles, Report, ServerConfig};
use syncml::store::history::{
    At, HistoryError, Restored, Retention, conflicts, conflicts_at, purge, restore_book, restore_item, restore_lost,
    revisions,
};
use syncml::store::{BookNo, Guid, RestoreRow, Revision, StoreError, Tx, Winner};
use syncml::sync::{Policy, Treatment};

const BOOK: BookNo = BookNo::CONTACTS;
const NOTHING: Retention = Retention { days: None, revisions: None, changes: None, devices: None };

/// A server and two devices that hold the same three cards.
fn three(mut world: World) -> (World, Device, Device) {
    let (one, two) = (Device::new("one"), Device::new("two"));
    for n in 0..3 {
        world.put(&numbered(n));
    }
    for device in [&one, &two] {
        synced(&mut world, device);
    }
    (world, one, two)
}

fn synced(world: &mut World, device: &Device) -> Report {
    let report = world.sync(device).unwrap();
    assert!(report.clean && report.problems.is_empty(), "{report:?}\n{}", world.outline());
    assert_eq!(device.cards(), world.cards());
    report
}

/// What a device received: added, changed, deleted.
fn received(report: &Report) -> [u64; 3] {
    let counts = report.books[0].received;
    assert_eq!((report.books[0].held, report.books[0].mode.as_str()), (0, "two-way"));
    [counts.added, counts.changed, counts.deleted]
}

fn restore(world: &mut World, at: At) -> RestoreRow {
    world.tick();
    restore_book(world.server.store().as_ref(), world.account, BOOK, at, world.now, &mut |_| {}).unwrap()
}

/// A bad import of 40 cards, with a card spoilt and one deleted, is taken back on the server: every device gets just what
/// differs, in an ordinary sync that no guard holds, whether it has seen the import or not. Field notes 27, 33.
/// Catalogue: X4
#[test]
fn x4_a_restored_book_reaches_every_device_once() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let three = Device::new("three");
        synced(&mut world, &three);
        let (good, then) = (world.cards(), world.now);
        world.tick();
        for n in 100..140 {
            one.put(&numbered(n));
        }
        one.edit(one.find("Name0000"), &card("Spoilt", "+4930666"));
        one.delete(one.find("Name0001"));
        synced(&mut world, &one);
        synced(&mut world, &two);
        let bad = world.cards();
        assert_eq!(bad.len(), 42);

        let done = restore(&mut world, At::Time(then));
        assert_eq!((done.revived, done.changed, done.deleted), (1, 1, 40));
        assert_eq!(world.cards(), good);
        for (device, wanted) in [(&one, [1, 1, 40]), (&two, [1, 1, 40]), (&three, [0; 3])] {
            assert_eq!(received(&synced(&mut world, device)), wanted, "{}", device.config.device_id);
            assert_eq!(device.cards(), good);
        }
        // Nothing comes back from the devices, and a slow sync finds all of it.
        for device in [&one, &two, &three] {
            let report = synced(&mut world, device);
            assert_eq!((received(&report), report.books[0].sent), ([0; 3], Default::default()));
        }
        let mut slow = one;
        slow.config.books[0].mode = AlertCode::SLOW;
        synced(&mut world, &slow);
        assert_eq!(world.cards(), good);
        slow.config.books[0].mode = AlertCode::TWO_WAY;

        // The restore was the mistake: it is undone as easily.
        restore(&mut world, At::Revision(done.id));
        assert_eq!(world.cards(), bad);
        for device in [&slow, &two, &three] {
            assert_eq!(received(&synced(&mut world, device)), [40, 1, 1]);
        }
        assert!(lines(&world.cards()).iter().all(|(line, count)| !line.starts_with("FN") || *count == 1));
    }
}

/// Wherever a restore stands, a device may sync: it has what was done by then, and gets the rest later.
#[test]
fn devices_sync_while_a_book_is_restored() {
    for world in World::each() {
        let (mut world, one, _) = three(world);
        let (good, then) = (world.cards(), world.now);
        world.tick();
        for n in 100..350 {
            world.put(&numbered(n));
        }
        synced(&mut world, &one);
        world.tick();
        let (store, account, now) = (world.server.store().clone(), world.account, world.now);
        let mut pages = 0;
        let done = restore_book(store.as_ref(), account, BOOK, At::Time(then), now, &mut |_| {
            pages += 1;
            if pages == 1 {
                // One card of those that go is edited on the device, which makes it stay.
                one.edit(one.find("Name0340"), &card("Kept", "+4930777"));
                let report = world.sync(&one).unwrap();
                assert!(report.clean && report.books[0].held == 0, "{report:?}");
                assert_eq!(report.books[0].received.deleted, 100);
            }
        });
        assert_eq!((pages, done.unwrap().deleted), (3, 249));
        synced(&mut world, &one);
        assert_eq!(one.cards().len(), good.len() + 1);
        assert!(one.cards().concat().contains("Kept"));
    }
}

/// Two devices change the same field: one value is current, both are in the history, each with who said it and when.
/// Field notes 3, 27, 29. DESIGN L7.
/// Catalogue: X4
#[test]
fn x4_losers_of_conflicts_are_in_the_history() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let guid = world.server.store();
        let guid = common::find(guid.as_ref(), world.account, BOOK, "Name0000");
        one.edit(one.find("Name0000"), &card("Name0000", "+49111"));
        two.edit(
            two.find("Name0000"),
            &numbered(0).replace("END:", "TITLE:Boss\r\nEND:").replace("+491701200000", "+49222"),
        );
        for device in [&one, &two, &one] {
            let report = world.sync(device).unwrap();
            assert!(report.clean, "{report:?}");
        }
        let store = world.server.store();
        let log = revisions(store.as_ref(), world.account, BOOK, Some(guid), Revision(i64::MAX), 99).unwrap();
        let devices = |row: &syncml::store::RevisionRow| {
            let mut id = None;
            let mut find = |tx: &mut dyn syncml::store::Tx| {
                id = row.origin.map(|origin| tx.device_by_no(origin)).transpose()?.flatten().map(|row| row.device_id);
                Ok::<(), StoreError>(())
            };
            store.look(world.account, &mut find).unwrap();
            id
        };
        for (number, device) in [("+49111", "one"), ("+49222", "two")] {
            let said = log.iter().rev().find(|row| String::from_utf8_lossy(&row.content).contains(number)).unwrap();
            assert_eq!(devices(said).as_deref(), Some(device), "{number}");
            assert!(said.at > common::items(store.as_ref(), world.account, BOOK)[0].at || said.at.0 > 0);
            // It can be had again.
            let (guid, at, now) = (said.guid, At::Revision(said.revision), world.now);
            restore_item(store.as_ref(), world.account, BOOK, guid, at, now, true).unwrap();
            assert!(world.cards().concat().contains(number));
        }
        assert_eq!(devices(log.last().unwrap()), None, "the host itself made it");
    }
}

/// Two devices give a contact a title each: the second stands, and it is noted what lost, by whose word, and where it is. Taking
/// it back brings the title and nothing else, and reaches both devices as any change does. What is purged is noted no more.
/// Field notes 3, 27. DESIGN L7.
/// Catalogue: X2
#[test]
fn x2_conflicts_are_noted_and_what_lost_is_taken_back() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let store = Arc::clone(world.server.store());
        let guid = common::find(store.as_ref(), world.account, BOOK, "Name0000");
        let account = world.account;
        let noted = || conflicts(store.as_ref(), account, BOOK, Revision(i64::MAX), 9).unwrap();
        let titled = |title: &str| numbered(0).replace("END:", &format!("TITLE:{title}\r\nEND:"));
        // Different fields are no conflict.
        one.edit(one.find("Name0000"), &numbered(0).replace("END:", "NOTE:n\r\nEND:"));
        two.edit(two.find("Name0000"), &numbered(0).replace("+491701200000", "+49222"));
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!(noted(), []);
        let both = |title: &str| titled(title).replace("+491701200000", "+49222").replace("END:", "NOTE:n\r\nEND:");
        one.edit(one.find("Name0000"), &both("Boss"));
        two.edit(two.find("Name0000"), &both("Chief").replace("+49222", "+49333"));
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        let rows = noted();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.guid, row.won, &row.fields[..]), (guid, Winner::Peer, &["TITLE".to_owned()][..]));
        let mut by = None;
        let mut whose = |tx: &mut dyn Tx| {
            by = row.origin.map(|origin| tx.device_by_no(origin)).transpose()?.flatten().map(|row| row.device_id);
            Ok(())
        };
        store.look(account, &mut whose).unwrap();
        assert_eq!(by.as_deref(), Some("two"));
        let log = revisions(store.as_ref(), account, BOOK, Some(guid), Revision(i64::MAX), 99).unwrap();
        let lost = log.iter().find(|it| Some(it.revision) == row.lost).unwrap();
        assert!(String::from_utf8_lossy(&lost.content).contains("TITLE:Boss"));
        let at = conflicts_at(store.as_ref(), account, BOOK, &[row.revision, lost.revision]).unwrap();
        assert_eq!(at, [Some(row.clone()), None]);

        let now = world.now;
        let take = |revision, write| restore_lost(store.as_ref(), account, BOOK, revision, now, write);
        assert!(matches!(take(lost.revision, true), Err(HistoryError::NoConflict { .. })));
        let before = world.cards();
        assert_eq!(take(row.revision, false).unwrap(), Restored::Changed);
        assert_eq!(world.cards(), before, "it was only asked");
        assert_eq!(take(row.revision, true).unwrap(), Restored::Changed);
        assert_eq!(take(row.revision, true).unwrap(), Restored::Unchanged);
        let now = world.cards().concat();
        assert!(now.contains("TITLE:Boss") && !now.contains("Chief") && now.contains("+49333"), "{now}");
        assert!(now.contains("NOTE:n"), "{now}");
        world.tick();
        for device in [&one, &two] {
            synced(&mut world, device);
        }
        purge(store.as_ref(), account, BOOK, &NOTHING, world.now, &mut |_| {}).unwrap();
        assert_eq!(noted(), []);
    }
}

/// A change that loses against a delete, by the policy of the host, is noted, and comes back as it was.
/// Catalogue: X2
#[test]
fn x2_a_change_that_lost_against_a_delete_comes_back() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        config.profiles = Profiles::shipped().treat(Treatment::conflicts(Policy::ClientWins));
        let (mut world, one, two) = three(World::with(store, config));
        one.edit(one.find("Name0000"), &card("Name0000", "+49111"));
        two.delete(two.find("Name0000"));
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!(world.cards().len(), 2);
        let store = Arc::clone(world.server.store());
        let rows = conflicts(store.as_ref(), world.account, BOOK, Revision(i64::MAX), 9).unwrap();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.won, row.fields.len()), (Winner::Peer, 0));
        let done = restore_lost(store.as_ref(), world.account, BOOK, row.revision, world.now, true).unwrap();
        assert_eq!(done, Restored::Revived);
        assert!(world.cards().concat().contains("+49111"));
        world.tick();
        for device in [&one, &two] {
            synced(&mut world, device);
        }
    }
}

/// Everything that can go is purged between two syncs: a device that is waited for notices nothing, its edits merge with
/// what it last saw; one that is not compares everything, and loses and doubles nothing. I13.
/// Catalogue: X4
#[test]
fn x4_retention_hurts_no_device() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let guid = common::find(world.server.store().as_ref(), world.account, BOOK, "Name0000");
        let edit = |world: &World, guid: Guid, content: &str| {
            common::put(world.server.store().as_ref(), world.account, BOOK, Some(guid), content, world.now);
        };
        let days = |world: &mut World, days: i64| world.now = world.now.plus_seconds(days * 86_400);
        let purge = |world: &World, retention| {
            purge(world.server.store().as_ref(), world.account, BOOK, &retention, world.now, &mut |_| {}).unwrap()
        };
        // The first device is seen again after fifty days, the second after a hundred.
        days(&mut world, 50);
        synced(&mut world, &one);
        for title in ["A", "B", "C"] {
            world.tick();
            edit(&world, guid, &numbered(0).replace("END:", &format!("TITLE:{title}\r\nEND:")));
        }
        for device in [&one, &two] {
            let note = format!("NOTE:by {}\r\nEND:", device.config.device_id);
            device.edit(device.find("Name0000"), &numbered(0).replace("END:", &note));
        }
        days(&mut world, 50);

        // Both are waited for: nothing that was in force since they were here goes.
        let done = purge(&world, NOTHING);
        assert_eq!((done.removed, done.needed), (0, 3));
        let done = purge(&world, Retention { devices: Some(60), ..NOTHING });
        assert_eq!((done.removed, done.needed), (0, 3), "the first is");
        let report = world.sync(&one).unwrap();
        assert_eq!((report.books[0].mode.as_str(), report.clean), ("two-way", true));
        let merged = common::cards(world.server.store().as_ref(), world.account, BOOK).concat();
        assert!(merged.contains("TITLE:C") && merged.contains("NOTE:by one"), "{merged}");
        synced(&mut world, &one);

        let done = purge(&world, Retention { devices: Some(60), ..NOTHING });
        assert!(done.removed >= 3 && done.needed == 0, "{done:?}");
        let report = world.sync(&one).unwrap();
        assert_eq!((report.books[0].mode.as_str(), report.clean), ("two-way", true));
        let report = world.sync(&two).unwrap();
        assert_eq!((report.books[0].mode.as_str(), report.clean), ("slow", true), "508: {report:?}");
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!((one.cards(), two.cards()), (world.cards(), world.cards()));
        let (all, count) = (world.cards().concat(), world.cards().len());
        assert!(all.contains("TITLE:C") && all.contains("NOTE:by one"), "{all}");
        assert_eq!(count, 3, "{all}");
    }
}

/// A client that purged its own history, and waited for no server, compares everything by itself.
#[test]
fn a_client_without_its_history_compares_everything() {
    let (mut world, one, _) = three(World::new());
    let guid = one.find("Name0000");
    for number in ["+49111", "+49222"] {
        one.edit(guid, &card("Name0000", number));
    }
    world.tick();
    let expired = Retention { devices: Some(0), ..NOTHING };
    let purge = |now| purge(one.store.as_ref(), one.account, BOOK, &expired, now, &mut |_| {}).unwrap();
    assert_eq!(purge(world.now.plus_seconds(-3_600)).removed, 0, "it was here just now");
    assert_eq!(purge(world.now).removed, 2);
    world.tick();
    let report = world.sync(&one).unwrap();
    assert_eq!((report.books[0].mode.as_str(), report.clean), ("slow", true));
    assert_eq!((one.cards(), world.cards().len()), (world.cards(), 3));
    assert!(world.cards().concat().contains("+49222"));
    assert_eq!(received(&synced(&mut world, &one)), [0; 3]);
}
