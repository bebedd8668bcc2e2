//! Large objects, both roles (§3.8).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card};
use syncml::codec::Encoding;
use syncml::kit::phone::Phone;
use syncml::message::{AlertCode, Change, Meta, Op, Version};
use syncml::session::ServerConfig;
use syncml::store::BookNo;

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
