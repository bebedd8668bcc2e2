//! Large objects, both roles (§3.8).
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Device, World, card};
use std::io::{Cursor, Read as _};
use syncml::codec::Encoding;
use syncml::contact::identity::LARGE;
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{AlertCode, Change, Location, Meta, Op, Version};
use syncml::session::{ClientBook, Server, ServerConfig};
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Guid, Store, Verdict, large};

/// A card with a long note of letters of one to four bytes, and characters that XML escapes.
fn long(name: &str, length: usize) -> String {
    let note: String = "a ü 漢 😀 <&> ]]> ".chars().cycle().take(length).collect();
    card(name, "+4930111").replace("END:", &format!("NOTE:{note}\r\nEND:"))
}

fn small(store: std::sync::Arc<dyn syncml::store::Store>, size: u64) -> World {
    let mut config = ServerConfig::default();
    config.max_msg_size = size;
    World::with(store, config)
}

fn device(version: Version, encoding: Encoding, size: u64) -> Device {
    let mut device = Device::new("phone");
    (device.config.version, device.config.encoding, device.config.max_msg_size) = (version, encoding, size);
    device
}

/// Catalogue: LO-1, LO-6
#[test]
fn lo1_objects_larger_than_any_message_go_both_ways() {
    for version in [Version::V11, Version::V12] {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            for store in common::stores() {
                let mut world = small(store, 3_000);
                let device = device(version, encoding, 2_500);
                world.put(&card("Small0", "+491"));
                world.put(&long("There", 9_000));
                world.put(&card("Small1", "+492"));
                device.put(&long("Here", 12_000));
                device.put(&card("Small2", "+493"));
                device.put(&long("Here2", 3_000));
                let report = world.sync(&device).unwrap();
                assert!(report.clean, "{version:?} {encoding:?} {report:?}\n{}", world.outline());
                assert_eq!(device.cards(), world.cards(), "{version:?} {encoding:?}");
                assert_eq!(world.cards().len(), 6);
                for exchange in &world.wire {
                    assert!(exchange.request.len() <= 3_000, "a request of {} bytes", exchange.request.len());
                    assert!(exchange.reply.len() <= 2_500, "a reply of {} bytes", exchange.reply.len());
                }
                // Changes of large objects, and an object that cannot be written in XML as it is.
                device.edit(device.find("Here;"), &long("Here", 12_500));
                let binary: String = (1..3_000).map(|n| char::from_u32(n % 250 + 1).unwrap()).collect();
                common::put(device.store.as_ref(), device.account, BookNo::CONTACTS, None, &binary, world.now);
                let report = world.sync(&device).unwrap();
                assert!(report.clean, "{version:?} {encoding:?} {report:?}\n{}", world.outline());
                assert_eq!(device.cards(), world.cards(), "{version:?} {encoding:?}");
                let report = world.sync(&device).unwrap();
                assert_eq!((report.books[0].sent, report.books[0].received), Default::default());
            }
        }
    }
}

/// LO-7: a peer that takes no chunks, and one that takes no object of the size, do without; everything else goes on.
/// Catalogue: LO-7
#[test]
fn lo7_what_the_peer_cannot_take_is_kept_back() {
    let mut world = World::new();
    let mut old = device(Version::V10, Encoding::Xml, 2_500);
    world.put(&long("Large", 9_000));
    world.put(&card("Small", "+491"));
    let report = world.sync(&old).unwrap();
    assert!(report.clean, "{report:?}\n{}", world.outline());
    assert_eq!(old.cards().len(), 1);
    // With a newer client it comes.
    old.config.version = Version::V12;
    assert!(world.sync(&old).unwrap().clean);
    assert_eq!(old.cards(), world.cards());
    let mut narrow = Device::new("narrow");
    narrow.config.max_obj_size = 5_000;
    let report = world.sync(&narrow).unwrap();
    assert!(report.clean, "{report:?}\n{}", world.outline());
    assert_eq!((narrow.cards().len(), world.cards().len()), (1, 2));
}

/// A chunk of an Add, with what its Meta shall say.
fn chunk(phone: &mut Phone<'_>, luid: &str, text: &str, size: Option<u64>, more: bool) -> Change<'static> {
    let mut change = phone.change(Op::Add, luid, text);
    change.items[0].more_data = more;
    // LO-5: only the first chunk need have a Meta.
    change.meta = size.map(|size| Meta { size: Some(size), ..Meta::of_type("text/vcard") });
    change
}

/// Says the chunks one to a message; the codes of the answers.
fn say(world: &World, chunks: &[(&str, &str, Option<u64>, bool)]) -> (Vec<u16>, Vec<AlertCode>) {
    let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now);
    let mut heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let (mut codes, mut alerts) = (Vec::new(), Vec::new());
    for (place, (luid, text, size, more)) in chunks.iter().enumerate() {
        let change = chunk(&mut phone, luid, text, *size, *more);
        let sync = phone.sync(vec![change]);
        heard = phone.say_after(&heard, vec![sync], place + 1 == chunks.len()).unwrap();
        codes.extend(heard.codes("Add"));
        alerts.extend(heard.alerts.iter().map(|alert| alert.0).filter(|code| *code != AlertCode::NEXT_MESSAGE));
    }
    (codes, alerts)
}

/// Catalogue: LO-1, LO-2, LO-3, LO-4, LO-5
#[test]
fn chunks_are_answered_by_the_book() {
    let ann = card("Ann", "+491");
    let size = Some(ann.len() as u64);
    let (one, rest) = ann.split_at(30);
    let (two, three) = rest.split_at(30);
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str, Option<u64>, bool)>, &'a [u16], &'a [AlertCode], usize);
    let cases: Vec<Case<'_>> = vec![
        (
            "LO-1: three chunks",
            vec![("1", one, size, true), ("1", two, None, true), ("1", three, None, false)],
            &[213, 213, 201],
            &[],
            1,
        ),
        ("a last chunk may be empty", vec![("1", &ann, size, true), ("1", "", None, false)], &[213, 201], &[], 1),
        ("no size", vec![("1", one, None, true)], &[411], &[], 0),
        ("LO-4: more than MaxObjSize", vec![("1", one, Some(4_000_001), true)], &[416], &[], 0),
        ("LO-2: less than declared", vec![("1", one, size, true), ("1", two, None, false)], &[213, 424], &[], 0),
        ("LO-2: more than declared", vec![("1", one, Some(40), true), ("1", two, None, true)], &[213, 424], &[], 0),
        (
            "one byte less, as testers send",
            vec![("1", one, size.map(|size| size + 1), true), ("1", rest, None, false)],
            &[213, 201],
            &[],
            1,
        ),
        (
            "LO-3: another item before the end",
            vec![("1", one, size, true), ("2", &ann, None, false)],
            &[213, 201],
            &[AlertCode::NO_END_OF_DATA],
            1,
        ),
        (
            "LO-3: the same object from the start",
            vec![("1", one, size, true), ("2", one, size, true), ("2", rest, None, false)],
            &[213, 213, 201],
            &[AlertCode::NO_END_OF_DATA],
            1,
        ),
    ];
    for (why, chunks, codes, alerts, cards) in cases {
        for store in common::stores() {
            let world = small(store, 150_000);
            let (found, told) = say(&world, &chunks);
            assert_eq!((found.as_slice(), told.as_slice()), (codes, alerts), "{why}");
            assert_eq!(world.cards().len(), cards, "{why}");
            if cards == 1 {
                assert_eq!(world.cards()[0], ann.replace("\r\n", "\n"), "{why}");
            }
        }
    }
}

/// What a book has no room for is refused when its size is announced, before anything of it is kept.
#[test]
fn an_object_beyond_the_limit_of_a_book_is_refused_at_once() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        config.max_bytes = Some(100_000);
        let world = World::with(store, config);
        let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let adds = vec![phone.change(Op::Add, "1", &long("Ann", 20_000))];
        let sync = phone.sync(adds);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.codes("Add"), [201]);
        phone.say_after(&heard, Vec::new(), true).unwrap();
        let mut heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
        // 416: never. 420: not now. What is there already may be said anew.
        for (luid, size, code) in [("2", 100_001, 416), ("2", 90_000, 420), ("2", 10_000, 213), ("1", 90_000, 213)] {
            let add = chunk(&mut phone, luid, "BEGIN:VCARD", Some(size), true);
            let sync = phone.sync(vec![add]);
            heard = phone.say_after(&heard, vec![sync], false).unwrap();
            assert_eq!(heard.codes("Add"), [code], "{luid} {size}");
            assert_eq!(large_bytes(&world) > 0, code == 213, "{luid} {size}");
        }
    }
}

const FOLDER: &str = "application/vnd.omads-folder+xml";

/// A device that syncs its files.
fn filer(encoding: Encoding, size: u64) -> Device {
    let mut device = device(Version::V12, encoding, size);
    device.config.books = vec![ClientBook {
        book: BookNo::FILES,
        local_uri: "./files".to_owned(),
        remote_uri: "files".to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    }];
    device
}

/// Bytes of a file, which no text could carry.
fn file(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 255) as u8).collect()
}

/// The files of an account, read in pieces, each with whether it is in a folder.
fn placed(store: &dyn Store, account: AccountNo) -> Vec<(bool, Vec<u8>)> {
    let items = common::items(store, account, BookNo::FILES);
    let mut files = Vec::new();
    for item in items.iter().filter(|item| item.media_type.as_deref() != Some(FOLDER)) {
        if let Some(mut reader) = large::Reader::open(store, account, BookNo::FILES, item.guid).unwrap() {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, reader.len());
            files.push((item.parent.is_some(), bytes));
        }
    }
    files.sort();
    files
}

/// The files of an account, wherever they are.
fn files(store: &dyn Store, account: AccountNo) -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = placed(store, account).into_iter().map(|(_, bytes)| bytes).collect();
    files.sort();
    files
}

/// What all large contents of the account take.
fn large_bytes(world: &World) -> u64 {
    let mut bytes = 0;
    let mut look = |tx: &mut dyn syncml::store::Tx| {
        bytes = tx.blob_bytes()?;
        Ok(Verdict::Rollback)
    };
    world.server.store().step(world.account, &mut look).unwrap();
    bytes
}

fn put_file(store: &dyn Store, account: AccountNo, guid: Option<Guid>, bytes: &[u8]) -> Guid {
    let now = syncml::message::Timestamp(0);
    large::put(store, account, BookNo::FILES, guid, None, &mut Cursor::new(bytes), now).unwrap()
}

/// LO-1, LO-6: opaque objects of all sizes around what a row, a message and a piece hold; both ways, changed and deleted.
/// Catalogue: LO-1
#[test]
fn lo1_lo6_opaque_objects_go_both_ways() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for store in common::stores() {
            let mut config = ServerConfig::default();
            config.max_msg_size = 20_000;
            let mut world = World::with(store, config);
            let mut device = filer(encoding, 70_000);
            let mine = device.store.as_ref();
            let here = [0, 1, 30_000, LARGE, LARGE + 1, 2 * LARGE, 200_000].map(file);
            let there = [2, 30_001, 50_000, LARGE - 1, 69_000, 2 * LARGE + 1, 100_001].map(file);
            let guids = here.each_ref().map(|bytes| put_file(mine, device.account, None, bytes));
            for bytes in &there {
                put_file(world.server.store().as_ref(), world.account, None, bytes);
            }
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{encoding:?} {report:?}\n{}", world.outline());
            let mut all: Vec<Vec<u8>> = here.iter().chain(&there).cloned().collect();
            all.sort();
            assert!(files(mine, device.account) == all, "{encoding:?}");
            assert!(files(world.server.store().as_ref(), world.account) == all, "{encoding:?}");
            for exchange in &world.wire {
                assert!(exchange.request.len() <= 20_000, "a request of {} bytes", exchange.request.len());
                assert!(exchange.reply.len() <= 70_000, "a reply of {} bytes", exchange.reply.len());
            }
            // Nothing has changed; then two have, and one is deleted.
            let report = world.sync(&device).unwrap();
            assert_eq!((report.books[0].sent, report.books[0].received), Default::default());
            put_file(mine, device.account, Some(guids[6]), &file(150_000));
            put_file(mine, device.account, Some(guids[5]), &file(10));
            common::delete(mine, device.account, BookNo::FILES, guids[4], syncml::message::Timestamp(0));
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{encoding:?} {report:?}\n{}", world.outline());
            let counts = report.books[0].sent;
            assert_eq!((counts.added, counts.changed, counts.deleted), (0, 2, 1));
            assert!(files(mine, device.account) == files(world.server.store().as_ref(), world.account));
            assert_eq!(files(mine, device.account).len(), 13);
            // After the loss of all anchors everything is told again, and is known by its fingerprint: nothing is doubled.
            device.config.books[0].mode = AlertCode::SLOW;
            let before = large_bytes(&world);
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{encoding:?} {report:?}\n{}", world.outline());
            assert_eq!(report.books[0].received, Default::default());
            assert_eq!(files(world.server.store().as_ref(), world.account).len(), 13);
            assert_eq!(large_bytes(&world), before, "what was told again is not kept twice");
        }
    }
}

/// A phone that says chunks of a file as base64.
struct Packed<'w> {
    phone: Phone<'w>,
    heard: Heard,
}

impl<'w> Packed<'w> {
    fn begin(world: &'w World, code: AlertCode, last: Option<&str>, next: &str) -> Self {
        let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now);
        phone.datastore = "files";
        let heard = phone.begin(code, last, next).unwrap();
        Self { phone, heard }
    }

    /// Says one chunk; its Status.
    fn say(&mut self, luid: &str, text: &str, meta: Option<Meta<'static>>, more: bool) -> u16 {
        let mut change = self.phone.change(Op::Add, luid, text);
        change.items[0].more_data = more;
        change.meta = meta;
        let sync = self.phone.sync(vec![change]);
        self.heard = self.phone.say_after(&self.heard, vec![sync], false).unwrap();
        self.heard.codes("Add")[0]
    }
}

fn b64(size: usize) -> Option<Meta<'static>> {
    let meta = Meta::of_type("application/octet-stream");
    Some(Meta { size: Some(size as u64), format: Some("b64".into()), ..meta })
}

/// LO-2, LO-3, LO-4, LO-6: opaque objects are answered as contacts are, and what is refused leaves nothing behind.
/// Catalogue: LO-1, LO-2, LO-3, LO-4
#[test]
fn opaque_chunks_are_answered_by_the_book() {
    let bytes = file(150_000);
    let text = STANDARD.encode(&bytes);
    let total = text.len();
    // Not a multiple of four, so that boundaries fall into quanta.
    let (one, rest) = text.split_at(70_001);
    let (two, three) = rest.split_at(70_002);
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str, Option<Meta<'static>>, bool)>, &'a [u16], usize);
    let cases: Vec<Case<'_>> = vec![
        (
            "three chunks",
            vec![("1", one, b64(total), true), ("1", two, None, true), ("1", three, None, false)],
            &[213, 213, 201],
            1,
        ),
        ("less than declared", vec![("1", one, b64(total), true), ("1", two, None, false)], &[213, 424], 0),
        ("more than declared", vec![("1", one, b64(80_000), true), ("1", two, None, true)], &[213, 424], 0),
        ("more than MaxObjSize", vec![("1", one, b64(1_000_001), true)], &[416], 0),
        ("more than the account may hold", vec![("1", one, b64(600_001), true)], &[420], 0),
        ("no base64", vec![("1", one, b64(total), true), ("1", "!!!!", None, true)], &[213, 415], 0),
        ("base64 cut off", vec![("1", one, b64(one.len()), true), ("1", "", None, false)], &[213, 415], 0),
        ("padding in the middle", vec![("1", "AA==", b64(total), true), ("1", one, None, true)], &[213, 415], 0),
        (
            "something else before the end",
            vec![("1", one, b64(total), true), ("2", "AAAA", b64(4), false)],
            &[213, 201],
            1,
        ),
    ];
    for (why, chunks, codes, kept) in cases {
        for store in common::stores() {
            let mut config = ServerConfig::default();
            (config.max_obj_size, config.max_large_bytes) = (1_000_000, 600_000);
            let world = World::with(store, config);
            let mut said = Packed::begin(&world, AlertCode::SLOW, None, "1");
            let found: Vec<u16> =
                chunks.iter().map(|(luid, text, meta, more)| said.say(luid, text, meta.clone(), *more)).collect();
            assert_eq!(found, codes, "{why}");
            let files = files(world.server.store().as_ref(), world.account);
            assert_eq!(files.len(), kept, "{why}");
            let large = files.iter().filter(|file| file.len() > LARGE).count();
            assert!(large == 0 || files[0] == bytes, "{why}");
            assert_eq!(large_bytes(&world), (large * 3 * LARGE) as u64, "{why}: pieces of nobody");
        }
    }
}

/// A contact has a limit of its own, since it is read as a whole (LO-4).
/// Catalogue: LO-4
#[test]
fn lo4_contacts_have_a_smaller_limit() {
    let ann = card("Ann", "+491");
    let mut config = ServerConfig::default();
    (config.max_obj_size, config.max_card_size) = (50_000_000, 1_000);
    let world = World::with(common::stores().remove(0), config);
    let (one, rest) = ann.split_at(20);
    let size = Some(ann.len() as u64);
    let (codes, _) = say(&world, &[("1", one, Some(1_001), true), ("2", one, size, true), ("2", rest, None, false)]);
    assert_eq!(codes, [416, 213, 201]);
    let long = long("Long", 1_000);
    let (codes, _) = say(&world, &[("3", &long, None, false)]);
    assert_eq!(codes, [416]);
}

/// RES-4: packed chunks go on in the middle of a quantum; what was in doubt is said again and counts once.
/// Catalogue: RES-4
#[test]
fn res4_a_packed_object_goes_on_in_the_middle() {
    let bytes = file(150_000);
    let text = STANDARD.encode(&bytes);
    let emi = |at: usize| Some(Meta { emi: vec![format!("datapos={at}").into()], ..Meta::default() });
    for (at, code) in [(140_003, 201), (70_001, 201), (70_000, 426)] {
        for store in common::stores() {
            let world = World::with(store, ServerConfig::default());
            let mut said = Packed::begin(&world, AlertCode::SLOW, None, "1");
            assert_eq!(said.say("1", &text[..70_001], b64(text.len()), true), 213);
            assert_eq!(said.say("1", &text[70_001..140_003], None, true), 213);
            // The transport breaks; the server is another node by now.
            let server = Server::new(world.server.store().clone(), ServerConfig::default()).unwrap();
            let world = World { server, ..world };
            let mut said = Packed::begin(&world, AlertCode::RESUME, None, "2");
            assert_eq!(said.say("1", &text[at..], emi(at), false), code, "from {at}");
            // What was resumed is compared with all that the phone has, when that is complete.
            said.phone.say_after(&said.heard, Vec::new(), true).unwrap();
            let files = files(world.server.store().as_ref(), world.account);
            assert!(files == if code == 201 { vec![bytes.clone()] } else { Vec::new() }, "from {at}");
            assert_eq!(large_bytes(&world), (files.len() * 3 * LARGE) as u64);
        }
    }
}

/// A Copy has the content of what the device holds, also of what has changed here since, and keeps it once.
#[test]
fn a_copy_shares_what_is_kept_in_pieces() {
    let bytes = file(150_000);
    let text = STANDARD.encode(&bytes);
    for store in common::stores() {
        let world = World::with(store, ServerConfig::default());
        let server = world.server.store().as_ref();
        let mut said = Packed::begin(&world, AlertCode::SLOW, None, "1");
        assert_eq!(said.say("1", &text[..100_000], b64(text.len()), true), 213);
        assert_eq!(said.say("1", &text[100_000..], None, false), 201);
        let heard = said.phone.say_after(&said.heard, Vec::new(), true).unwrap();
        said.phone.say_after(&heard, Vec::new(), true).unwrap();
        for (session, to) in [("2", "4"), ("3", "5")] {
            if to == "5" {
                put_file(server, world.account, Some(Guid(1)), &file(10));
            }
            let last = (session.parse::<u32>().unwrap() - 1).to_string();
            let heard = said.phone.begin(AlertCode::TWO_WAY, Some(&last), session).unwrap();
            let mut copy = said.phone.change(Op::Copy, "1", "");
            copy.items[0].data = None;
            copy.items[0].target = Some(Location::new(to));
            let sync = said.phone.sync(vec![copy]);
            let heard = said.phone.say_after(&heard, vec![sync], true).unwrap();
            assert_eq!(heard.codes("Copy"), [201]);
            said.phone.say_after(&heard, Vec::new(), true).unwrap();
        }
        assert!(files(server, world.account) == [file(10), bytes.clone(), bytes.clone()]);
        assert_eq!(large_bytes(&world), (3 * LARGE) as u64);
    }
}

/// A Replace of single fields stays one when it comes in chunks (§3.17): what it does not say is not taken away.
#[test]
fn single_fields_may_come_in_chunks() {
    for store in common::stores() {
        let world = small(store, 150_000);
        let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let add = phone.change(Op::Add, "1", &card("Ann", "+491"));
        let sync = phone.sync(vec![add]);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        phone.say_after(&heard, Vec::new(), true).unwrap();
        let mut heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
        let field = "EMAIL:ann@example.com\r\n";
        for (part, more) in [(&field[..9], true), (&field[9..], false)] {
            let mut change = phone.change(Op::Replace, "1", part);
            change.items[0].more_data = more;
            change.meta =
                more.then(|| Meta { size: Some(field.len() as u64), field_level: true, ..Meta::of_type("text/vcard") });
            let sync = phone.sync(vec![change]);
            heard = phone.say_after(&heard, vec![sync], !more).unwrap();
            assert_eq!(heard.codes("Replace"), [if more { 213 } else { 200 }]);
        }
        let cards = world.cards();
        assert!(cards[0].contains("+491") && cards[0].contains("ann@example.com"), "{cards:?}");
    }
}

/// Puts an item, as it is, into a folder.
fn shift(store: &dyn Store, account: AccountNo, guid: Guid, folder: Guid) {
    let mut work = |tx: &mut dyn syncml::store::Tx| {
        let row = tx.lock_books(&[BookNo::FILES])?.remove(0);
        let old = tx.items(BookNo::FILES, &[guid])?.remove(0).unwrap();
        let draft = Draft {
            media_type: old.media_type.clone(),
            content: old.content.clone(),
            blob: old.blob,
            fingerprint: old.fingerprint,
            keys: old.keys.clone(),
            parent: Some(folder),
            depth: 1,
        };
        let mut writer = BookWriter::new(row, None, syncml::message::Timestamp(0));
        writer.put(&old, draft);
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    };
    store.step(account, &mut work).unwrap();
}

/// The item of an account that has so many bytes.
fn of_length(store: &dyn Store, account: AccountNo, length: u64) -> Guid {
    let items = common::items(store, account, BookNo::FILES);
    items.iter().find(|item| item.content_len() == length).unwrap().guid
}

/// What both sides did to items in pieces: moves keep the content, a move and an edit are both done, and of two edits the
/// device's stands while ours is in history. Nothing is kept twice.
#[test]
fn moves_and_conflicts_keep_what_is_in_pieces() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        config.max_msg_size = 20_000;
        let mut world = World::with(store, config);
        let server = world.server.store().clone();
        let server = (server.as_ref(), world.account);
        let device = filer(Encoding::Wbxml, 70_000);
        let here = (device.store.as_ref(), device.account);
        let folder = b"<Folder><name>A</name></Folder>";
        let mut source = Cursor::new(folder);
        let now = syncml::message::Timestamp(0);
        large::put(server.0, server.1, BookNo::FILES, None, Some(FOLDER), &mut source, now).unwrap();
        for length in [150_000, 151_000, 152_000, 153_000, 154_000] {
            put_file(server.0, server.1, None, &file(length));
        }
        assert!(world.sync(&device).unwrap().clean);
        let into_a = |(store, account): (&dyn Store, AccountNo), length: u64| {
            shift(store, account, of_length(store, account, length), of_length(store, account, folder.len() as u64));
        };
        let edit = |(store, account): (&dyn Store, AccountNo), length: u64, new: usize| {
            put_file(store, account, Some(of_length(store, account, length)), &file(new));
        };
        into_a(here, 150_000);
        into_a(server, 151_000);
        into_a(here, 152_000);
        edit(server, 152_000, 202_000);
        edit(here, 153_000, 203_000);
        into_a(server, 153_000);
        edit(here, 154_000, 204_000);
        edit(server, 154_000, 254_000);
        let expected = [(false, 204_000), (true, 150_000), (true, 151_000), (true, 202_000), (true, 203_000)];
        for _ in 0..2 {
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{report:?}\n{}", world.outline());
            for side in [here, server] {
                let found = placed(side.0, side.1);
                let mut lengths: Vec<_> = found.iter().map(|(inside, bytes)| (*inside, bytes.len())).collect();
                lengths.sort_unstable();
                assert_eq!(lengths, expected, "{}", world.outline());
                assert!(found.iter().all(|(_, bytes)| *bytes == file(bytes.len())));
            }
            // Five that were put there, in three pieces each, and four edits, in four.
            assert_eq!(large_bytes(&world), ((5 * 3 + 4 * 4) * LARGE) as u64);
        }
    }
}

/// A book's limit is about whole contents, not about their beginnings (420).
#[test]
fn mem_a_book_is_full_of_whole_contents() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        (config.max_msg_size, config.max_bytes) = (20_000, Some(300_000));
        let mut world = World::with(store, config);
        let device = filer(Encoding::Wbxml, 70_000);
        let (mine, account) = (device.store.as_ref(), device.account);
        let first = put_file(mine, account, None, &file(150_000));
        put_file(mine, account, None, &file(100_000));
        put_file(mine, account, None, &file(120_000));
        let theirs = |world: &World| files(world.server.store().as_ref(), world.account);
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}\n{}", world.outline());
        assert!(theirs(&world) == [file(100_000), file(150_000)]);
        assert_eq!(large_bytes(&world), (5 * LARGE) as u64, "what was refused is not kept");
        common::delete(mine, account, BookNo::FILES, first, syncml::message::Timestamp(0));
        for _ in 0..2 {
            world.sync(&device).unwrap();
        }
        assert!(theirs(&world) == [file(100_000), file(120_000)]);
    }
}
