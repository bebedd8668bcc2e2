//! What users of sync engines complained of, and what must be true here instead: a test for each row of the field notes that
//! speaks of whole syncs and has its test nowhere else. The number is the row's.
#![allow(clippy::unwrap_used)] // what fails here fails the test

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{Device, World, card, numbered};
use syncml::codec::Encoding;
use syncml::contact::card::Card;
use syncml::contact::identity::{Kind, identify};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{AlertCode, Op, StatusCode, Timestamp};
use syncml::session::{BookFilter, Client, Report, ServerConfig};
use syncml::store::history::{At, restore_item, revisions};
use syncml::store::{BookNo, BookWriter, Draft, Guid, Revision, RevisionRow, Store, StoreError, Tx, Verdict};
use syncml::sync::filter::FilterType;

const BOOK: BookNo = BookNo::CONTACTS;

/// Both roles' reports of a sync; with `lost`, the answer to that message never arrives, and there is none.
fn sync(world: &mut World, device: &Device, lost: Option<usize>) -> Option<[Report; 2]> {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let (mut messages, mut told) = (0, None);
    while let Some(out) = client.outgoing() {
        messages += 1;
        let reply = world.post(&out).unwrap();
        if lost == Some(messages) {
            return None;
        }
        told = reply.report.clone().or(told);
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    Some([client.report(), told.unwrap()])
}

/// A sync that ends well, after which both hold the same.
fn synced(world: &mut World, device: &Device) -> [Report; 2] {
    let reports = sync(world, device, None).unwrap();
    assert!(reports.iter().all(|report| report.clean && report.problems.is_empty()), "{reports:?}");
    assert_eq!(device.cards(), world.cards());
    reports
}

/// What a device received: added, changed, deleted.
fn received([report, _]: &[Report; 2]) -> [u64; 3] {
    let counts = report.books[0].received;
    [counts.added, counts.changed, counts.deleted]
}

/// Nothing is said any more: whoever syncs now has it all.
fn quiet(world: &mut World, devices: &[&Device]) {
    for device in devices {
        let [report, _] = synced(world, device);
        assert_eq!((report.books[0].sent, report.books[0].received), Default::default(), "{report:?}");
    }
}

fn with(card: &str, line: &str) -> String {
    card.replace("END:", &format!("{line}\r\nEND:"))
}

fn guid_of(world: &World, text: &str) -> Guid {
    common::find(world.server.store().as_ref(), world.account, BOOK, text)
}

fn head(world: &World) -> Revision {
    let mut head = Revision(0);
    let mut look = |tx: &mut dyn Tx| -> Result<(), StoreError> {
        head = tx.lock_books(&[BOOK])?.remove(0).head;
        Ok(())
    };
    world.server.store().look(world.account, &mut look).unwrap();
    head
}

/// All that the server ever held of an item, the newest first.
fn log(world: &World, guid: Guid) -> Vec<RevisionRow> {
    revisions(world.server.store().as_ref(), world.account, BOOK, Some(guid), Revision(i64::MAX), 99).unwrap()
}

/// The device that a revision came from.
fn origin(world: &World, row: &RevisionRow) -> Option<String> {
    let mut id = None;
    let mut look = |tx: &mut dyn Tx| {
        id = row.origin.map(|origin| tx.device_by_no(origin)).transpose()?.flatten().map(|row| row.device_id);
        Ok::<(), StoreError>(())
    };
    world.server.store().look(world.account, &mut look).unwrap();
    id
}

fn has(row: &RevisionRow, text: &str) -> bool {
    String::from_utf8_lossy(&row.content).contains(text)
}

/// Contacts that differ a little are neither doubled by a slow sync nor cut down to one side's: both sides' fields are there,
/// and where only one value can be, the other is in the history.
#[test]
fn row3_a_slow_sync_merges_what_differs_slightly() {
    for mut world in World::each() {
        let device = Device::new("phone");
        for n in 0..30 {
            let plain = numbered(n);
            device.put(&with(&plain.replace("+4917012", "+49 170 12"), "EMAIL:a@example.com\r\nTITLE:There"));
            world.put(&with(&plain.replace("TYPE=CELL", "TYPE=cell"), "NOTE:here\r\nTITLE:Here"));
        }
        synced(&mut world, &device);
        assert_eq!(world.cards().len(), 30, "{:?}", world.cards());
        for card in world.cards() {
            assert!(card.contains("EMAIL:") && card.contains("NOTE:") && card.matches("TEL").count() == 1, "{card}");
            assert_eq!(card.matches("TITLE:").count(), 1, "{card}");
        }
        for n in 0..30 {
            let log = log(&world, guid_of(&world, &format!("Name{n:04}")));
            for title in ["TITLE:Here", "TITLE:There"] {
                assert!(log.iter().any(|row| has(row, title)), "{n}: {title} is gone");
            }
        }
        quiet(&mut world, &[&device]);
    }
}

/// An upload breaks off at each of its messages and is begun again: each card is stored once, there and here, and was never
/// stored twice meanwhile.
#[test]
fn row5_an_upload_that_half_failed_doubles_nothing() {
    for store in 0..common::stores().len() {
        let mut broken = 0;
        for lost in 1.. {
            let mut config = ServerConfig::default();
            config.max_msg_size = 4_000;
            let mut world = World::with(common::stores().swap_remove(store), config);
            let device = Device::new("phone");
            world.put(&numbered(999));
            synced(&mut world, &device);
            for n in 0..60 {
                device.put(&numbered(n));
            }
            let whole = sync(&mut world, &device, Some(lost)).is_some();
            for _ in 0..2 {
                synced(&mut world, &device);
            }
            assert_eq!((world.cards().len(), head(&world)), (61, Revision(61)), "lost {lost}");
            quiet(&mut world, &[&device]);
            if whole {
                break;
            }
            broken += 1;
        }
        assert!(broken >= 6, "{broken} messages");
    }
}

/// Confirms all that was sent, mapping each Add to its own id; this ends the session.
fn confirm(phone: &mut Phone<'_>, heard: &Heard) {
    let mut commands = Vec::new();
    for (n, told) in heard.changes.iter().enumerate() {
        commands.push(phone.status(heard, told, StatusCode::OK));
        if told.op == Op::Add {
            commands.push(phone.map(&[(told.source.as_str(), format!("9{n}").as_str())]));
        }
    }
    phone.say_after(heard, commands, true).unwrap();
}

/// A session that broke off is begun anew and sends its Adds again, one of them edited meanwhile: the id is known.
#[test]
fn row8_an_add_that_is_sent_again_is_the_same_contact() {
    for world in World::each() {
        let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, Timestamp(1_700_000_000_000));
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = phone.sync(Vec::new());
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        confirm(&mut phone, &heard);

        let (ann, bob) = (card("Ann", "+491111111"), card("Bob", "+492222222"));
        let mut heads = Vec::new();
        for bob in [bob.clone(), bob.clone(), with(&bob, "NOTE:later")] {
            // The session of before is never ended.
            let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
            let changes = vec![phone.change(Op::Add, "1", &ann), phone.change(Op::Add, "2", &bob)];
            let sync = phone.sync(changes);
            let heard = phone.say_after(&heard, vec![sync], true).unwrap();
            assert_eq!(heard.codes("Add").len(), 2, "{heard:?}");
            assert!(heard.codes("Add").iter().all(|code| matches!(code, 200 | 201 | 208 | 418)), "{heard:?}");
            assert!(heard.changes.is_empty(), "its own cards come back: {heard:?}");
            heads.push(head(&world).0);
        }
        assert_eq!((world.cards().len(), heads), (2, vec![2, 2, 3]));
        assert!(world.cards().concat().contains("NOTE:later"));
    }
}

/// A birthday without a year goes through devices that write it in their own way, through edits and a slow sync, and never
/// becomes one of 1604.
#[test]
fn row21_a_birthday_without_year_stays_one() {
    for mut world in World::each() {
        let (one, mut two) = (Device::new("one"), Device::new("two"));
        one.put(&with(&card("Apple", "+491111111"), "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22"));
        one.put(&with(&card("Dashes", "+492222222"), "BDAY:--0322"));
        for device in [&one, &two] {
            synced(&mut world, device);
        }
        for name in ["Apple", "Dashes"] {
            let guid = two.find(name);
            let old = two.cards().into_iter().find(|card| card.contains(name)).unwrap();
            two.edit(guid, &with(&old.replace('\n', "\r\n"), "NOTE:edited"));
        }
        two.config.books[0].mode = AlertCode::SLOW;
        for device in [&two, &one] {
            synced(&mut world, device);
        }
        assert_eq!(one.cards().len(), 2, "{:?}", one.cards());
        for card in one.cards() {
            assert!(card.contains("BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22") || card.contains("BDAY:--0322"), "{card}");
            assert!(card.contains("NOTE:edited"), "{card}");
        }
    }
}

fn title(row: &RevisionRow) -> String {
    let text = String::from_utf8_lossy(&row.content);
    text.lines().find(|line| line.starts_with("TITLE")).unwrap().to_owned()
}

/// Two devices write the same field between two syncs: nobody is overwritten silently. The report of the sync in which it was
/// decided names the card, the field and the revision that has what lost; both values are in the history, each with the device
/// that said it.
#[test]
fn row27_who_was_overwritten_is_kept_and_told() {
    for mut world in World::each() {
        let (one, two) = (Device::new("one"), Device::new("two"));
        world.put(&with(&card("Ann", "+491111111"), "TITLE:Engineer"));
        for device in [&one, &two] {
            synced(&mut world, device);
            let name = &device.config.device_id;
            device.edit(device.find("Ann"), &with(&card("Ann", "+491111111"), &format!("TITLE:By {name}")));
        }
        let [_, told] = synced(&mut world, &one);
        assert_eq!(told.books[0].received.conflicts, 0, "nobody else had said anything");
        let [_, told] = synced(&mut world, &two);
        let (told, guid) = (&told.books[0], guid_of(&world, "Ann"));
        assert_eq!((told.received.conflicts, told.conflicts.len()), (1, 1), "{told:?}");
        let note = &told.conflicts[0];
        assert_eq!((note.guid, &note.fields[..]), (guid, &["TITLE".to_owned()][..]));
        synced(&mut world, &one);
        assert_eq!(world.cards().concat().matches("TITLE:By").count(), 1, "{:?}", world.cards());
        let log = log(&world, guid);
        let lost = log.iter().find(|row| Some(row.revision) == note.lost).unwrap();
        assert!(has(lost, "TITLE:By") && !has(&log[0], &title(lost)), "what is told to be lost is another value");
        for name in ["one", "two"] {
            let row = log.iter().find(|row| has(row, &format!("TITLE:By {name}"))).unwrap();
            assert_eq!(origin(&world, row).as_deref(), Some(name));
        }
        quiet(&mut world, &[&one, &two]);
    }
}

/// A device asks for less: what it no longer asks for leaves that device, and nobody else; it comes back when it asks for it.
#[test]
fn row32_a_stricter_filter_deletes_nothing_elsewhere() {
    for mut world in World::each() {
        let (mut one, two) = (Device::new("one"), Device::new("two"));
        for n in 0..40 {
            one.put(&with(&numbered(n), if n < 10 { "ORG:ACME" } else { "ORG:Other" }));
        }
        for device in [&one, &two] {
            synced(&mut world, device);
        }
        let (all, before) = (world.cards(), head(&world));
        for filter_type in [FilterType::Exclusive, FilterType::Inclusive] {
            one.config.books[0].filter =
                Some(BookFilter { record: Some("ORG&EQ;ACME".to_owned()), fields: Vec::new(), filter_type });
            for _ in 0..2 {
                let report = world.sync(&one).unwrap();
                assert!(report.clean && report.books[0].held == 0, "{report:?}");
            }
            if filter_type == FilterType::Exclusive {
                assert_eq!(one.cards().len(), 10);
            }
            assert_eq!((&world.cards(), head(&world)), (&all, before), "{filter_type:?}");
            quiet(&mut world, &[&two]);
            one.config.books[0].filter = None;
            synced(&mut world, &one);
        }
        assert_eq!((one.cards(), two.cards()), (all.clone(), all));
    }
}

/// A card that was deleted, and one that was spoilt, come back from the history as changes that every device gets.
#[test]
fn row33_a_card_comes_back_to_every_device() {
    for mut world in World::each() {
        let (one, two) = (Device::new("one"), Device::new("two"));
        for n in 0..3 {
            world.put(&with(&numbered(n), "NOTE:good"));
        }
        for device in [&one, &two] {
            synced(&mut world, device);
        }
        let (good, then) = (world.cards(), world.now);
        let guids = [0, 1].map(|n| guid_of(&world, &format!("Name{n:04}")));
        one.delete(one.find("Name0000"));
        one.edit(one.find("Name0001"), &numbered(1));
        for device in [&one, &two] {
            synced(&mut world, device);
        }
        assert_ne!(world.cards(), good);
        world.tick();
        for guid in guids {
            let store = world.server.store().clone();
            restore_item(store.as_ref(), world.account, BOOK, guid, At::Time(then), world.now, true).unwrap();
        }
        for device in [&one, &two] {
            let reports = synced(&mut world, device);
            assert_eq!((received(&reports), reports[0].books[0].mode.as_str()), ([1, 1, 0], "two-way"));
            assert_eq!(device.cards(), good);
        }
        quiet(&mut world, &[&one, &two]);
    }
}

/// A backup one way of a device that forgot all: everything is compared, and nothing that is there is written again, photos
/// least of all; nor is it taken for a refresh, which would delete what others have.
#[test]
fn row34_a_backup_that_lost_its_anchors_writes_nothing_again() {
    for mut world in World::each() {
        let photo = format!("PHOTO;ENCODING=b;TYPE=JPEG:/9j/{}/9k=", "QUJD".repeat(2_000));
        world.put(&numbered(99));
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut device = Device::new("phone");
            device.config.books[0].mode = AlertCode::ONE_WAY_FROM_CLIENT;
            for n in 0..5 {
                device.put(&with(&numbered(n), &photo));
            }
            let [here, there] = sync(&mut world, &device, None).unwrap();
            assert!(here.clean && there.clean && here.problems.is_empty(), "{here:?} {there:?}");
            assert_eq!(device.cards().len(), 5, "it only ever sends");
            kept.push((world.cards(), head(&world), there.books[0].received.matched));
        }
        assert_eq!((kept[0].0.len(), kept[0].1, kept[0].2), (6, Revision(6), 0));
        for again in &kept[1..] {
            assert_eq!((&again.0, again.1, again.2), (&kept[0].0, Revision(6), 5));
        }
    }
}

/// Puts bytes that need not be UTF-8.
fn put_bytes(store: &dyn Store, account: syncml::store::AccountNo, content: &[u8]) {
    let identity = identify(Kind::Contact, content);
    store
        .step(account, &mut |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
            writer.add(Draft {
                content: content.to_vec().into(),
                fingerprint: identity.fingerprint.0,
                keys: identity.keys.iter().map(|key| key.0).collect::<Vec<_>>().into(),
                ..Draft::default()
            });
            writer.flush(tx)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
}

fn wire_device(name: &str, encoding: Encoding) -> Device {
    let mut device = Device::new(name);
    device.config.encoding = encoding;
    device
}

/// The same person in the spellings of old phones is one person, and who has none of that gets readable cards.
fn one_person(spellings: &[&[u8]]) {
    let names = ["Günther".to_owned(), "Jörg".to_owned()];
    for (spelling, mut world) in spellings.iter().flat_map(|s| World::each().into_iter().map(move |world| (s, world))) {
        let (phone, other) = (wire_device("phone", Encoding::Wbxml), wire_device("other", Encoding::Xml));
        put_bytes(phone.store.as_ref(), phone.account, spelling);
        world.put("BEGIN:VCARD\r\nVERSION:3.0\r\nN:Günther;Jörg;;;\r\nFN:Jörg Günther\r\nTEL:+491701234567\r\nNOTE:here\r\nEND:VCARD\r\n");
        for device in [&phone, &other, &phone] {
            let [here, there] = sync(&mut world, device, None).unwrap();
            assert!(here.clean && there.clean && there.problems.is_empty(), "{here:?} {there:?}");
        }
        for (who, store, account) in
            [("phone", phone.store.as_ref(), phone.account), ("server", world.server.store().as_ref(), world.account)]
        {
            let items = common::items(store, account, BOOK);
            assert_eq!(items.len(), 1, "{who}: {:?}", String::from_utf8_lossy(spelling));
            assert!(String::from_utf8_lossy(&items[0].content).contains("NOTE:here"), "{who}");
        }
        let items = common::items(other.store.as_ref(), other.account, BOOK);
        let card = Card::parse(&items[0].content).unwrap();
        let said = String::from_utf8_lossy(spelling);
        assert_eq!((items.len(), &card.get("N").unwrap().components()[..2]), (1, &names[..]), "{said}");
    }
}

#[test]
fn row35_quoted_printable_of_phones_is_no_stranger() {
    one_person(&[
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:G=C3=BCnther;J=C3=B6rg;;;\r\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg G=C3=BC=\r\nnther\r\nTEL;CELL:+491701234567\r\nEND:VCARD\r\n",
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:G=FCnther;J=F6rg;;;\r\nTEL;CELL:+491701234567\r\nEND:VCARD\r\n",
        b"BEGIN:VCARD\r\nVERSION:3.0\r\nN;ENCODING=QUOTED-PRINTABLE:G=C3=BCnther;J=C3=B6rg;;;\r\nTEL;TYPE=CELL:+491701234567\r\nEND:VCARD\r\n",
    ]);
}

#[test]
fn row37_undeclared_latin_1_is_no_stranger() {
    one_person(&[
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN:G\xfcnther;J\xf6rg;;;\r\nFN:J\xf6rg G\xfcnther\r\nTEL;CELL:+491701234567\r\nEND:VCARD\r\n",
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8:G\xfcnther;J\xf6rg;;;\r\nTEL;CELL:+491701234567\r\nEND:VCARD\r\n",
    ]);
}

/// Each row that is required of contacts is named by a test, here or beside the code, as `rowN_what_it_says`; or by a card
/// in `fixtures/cards`, all of which are read, written and converted.
#[test]
fn every_row_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = BTreeSet::new();
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("fixtures/cards")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|it| it.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("rs") => {
                    for line in std::fs::read_to_string(path).unwrap().lines() {
                        // A function, or a row of a table.
                        let text = line.trim_start().trim_start_matches(['(', '"']).trim_start_matches("fn ");
                        named.extend(rows(text));
                    }
                }
                Some("vcf") => named.extend(rows(path.file_name().unwrap().to_str().unwrap())),
                _ => {}
            }
        }
    }
    let wanted = (1..=8).chain(16..=35).chain(37..=38);
    let missing: Vec<u32> = wanted.filter(|row| !named.contains(row)).collect();
    assert!(missing.is_empty(), "no test names the rows {missing:?}");
}

/// The rows that a name begins with: `row7_…`, `row9-…`, `rows1_and_6_…`, `row4_and_row34_…`.
fn rows(name: &str) -> Vec<u32> {
    let Some(rest) = name.strip_prefix("row") else { return Vec::new() };
    let parts = rest.strip_prefix('s').unwrap_or(rest).split(['_', '-']).filter(|part| *part != "and");
    parts.map_while(|part| part.trim_start_matches("row").parse().ok()).collect()
}
