//! Devices that can hold less than the server, end to end: what they do not know they do not erase (X3). The pure laws are
//! beside the lens itself; here they go over the wire, with everything between.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/gadget.rs"]
mod gadget;

use common::{Device, PASSWORD, SERVER_URI, World, stores};
use gadget::{Field, Gadget, devinf, field, framed, is_frame};
use syncml::codec::{Encoding, encode_devinf};
use syncml::kit::phone::Phone;
use syncml::message::{AlertCode, DevInf, Op, Version};
use syncml::session::{Profiles, ServerConfig};
use syncml::store::{BookNo, Verdict};

const ANN: &[&str] = &[
    "N:Meier;Annegret;;;",
    "FN:Annegret Meier",
    "item1.TEL;TYPE=CELL:+4917011111",
    "item1.X-ABLabel:Boat",
    "TEL;TYPE=HOME:+493022222",
    "EMAIL;TYPE=WORK:annegret@example.com",
    "NOTE:Met in Paris in the rain\\, and in Rome",
    "X-EPOCSECONDNAME;X-P=1:q",
    "UID:urn:uuid:1",
];

/// A server that has Ann, for each kind of store, and a phone that has synced her.
fn met(fields: &[Field]) -> Vec<(World, Gadget)> {
    met_with(fields, Profiles::shipped())
}

fn met_with(fields: &[Field], profiles: Profiles) -> Vec<(World, Gadget)> {
    let met = |store| {
        let mut config = ServerConfig::default();
        config.profiles = profiles.clone();
        let mut world = World::with(store, config);
        world.put(&framed(ANN));
        let mut phone = Gadget::new("phone", fields);
        assert_eq!(phone.sync(&mut world).len(), 1);
        assert!(phone.sync(&mut world).is_empty(), "nothing is left to say");
        (world, phone)
    };
    stores().into_iter().map(met).collect()
}

/// The server's only card, without its frame.
fn server(world: &World) -> Vec<String> {
    let cards = world.cards();
    assert_eq!(cards.len(), 1, "{cards:?}");
    cards[0].lines().filter(|line| !is_frame(line)).map(str::to_owned).collect()
}

fn edit_server(world: &World, lines: &[&str]) {
    let store = world.server.store().clone();
    let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, "Annegret");
    common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), &framed(lines), world.now);
}

/// Field note 16: a device drops what it does not know; nobody else loses it. Field note 20: nor groups and labels.
#[test]
fn row16_row20_what_a_device_cannot_hold_survives_its_edits() {
    for (mut world, mut phone) in met(&[field("N"), field("FN"), field("TEL")]) {
        assert!(
            !phone.card("Meier").contains("NOTE") && !phone.card("Meier").contains("X-"),
            "{}",
            phone.card("Meier")
        );
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        assert!(phone.sync(&mut world).is_empty(), "its own edit is not sent back");
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.retain(|line| !line.contains("22222"));
        expected.push("TEL;TYPE=HOME:+493099999");
        assert_eq!(server(&world), expected);
        assert!(phone.sync(&mut world).is_empty());
        // From zero, as after a reset of its anchors: still the same, and nothing doubled.
        phone.anchor = None;
        assert!(phone.sync(&mut world).is_empty());
        assert_eq!(server(&world), expected);
    }
}

/// Nor where the device's word replaces what is here: a refresh from it, with all its ids new.
#[test]
fn what_a_device_cannot_hold_survives_a_refresh_from_it() {
    for anew in [false, true] {
        for (mut world, mut phone) in met(&[field("N"), field("FN"), field("TEL")]) {
            phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
            if anew {
                let luid = phone.find("Meier");
                let card = phone.cards.remove(&luid).unwrap();
                phone.cards.insert("77".to_owned(), card);
            }
            phone.sync_as(&mut world, AlertCode::REFRESH_FROM_CLIENT);
            let mut expected: Vec<&str> = ANN.to_vec();
            expected.retain(|line| !line.contains("22222"));
            expected.push("TEL;TYPE=HOME:+493099999");
            assert_eq!(server(&world), expected, "ids anew: {anew}");
            assert!(phone.sync(&mut world).is_empty());
            assert_eq!(server(&world), expected, "ids anew: {anew}");
        }
    }
}

/// Field note 17: clearing a field clears it; not having had it does not. A firmware that newly declares a field gets it.
#[test]
fn row17_a_new_firmware_erases_nothing_and_a_cleared_field_is_cleared() {
    for flat in [false, true] {
        for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
            phone.update(&[field("N"), field("TEL"), field("NOTE"), field("EMAIL")], flat);
            phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "");
            let got = phone.sync(&mut world);
            assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("Paris")), "{got:?}");
            let mut expected: Vec<&str> = ANN.to_vec();
            expected.retain(|line| !line.contains("22222"));
            assert_eq!(server(&world), expected, "the number is gone, what is new to it is not");
            assert!(phone.card("Meier").contains("Paris"));
            // Now it has the note, and its user clears that.
            phone.edit("Meier", "NOTE:Met in Paris in the rain\\, and in Rome", "");
            phone.sync(&mut world);
            expected.retain(|line| !line.starts_with("NOTE"));
            assert_eq!(server(&world), expected);
            // An older firmware again: the addresses that it forgets stay.
            phone.update(&[field("N"), field("TEL")], flat);
            let kept = phone.keep(phone.card("Meier"));
            let luid = phone.find("Meier");
            phone.cards.insert(luid.clone(), kept);
            phone.touched.insert(luid);
            phone.sync(&mut world);
            assert_eq!(server(&world), expected);
            assert!(phone.sync(&mut world).is_empty());
        }
    }
}

/// Without an edit, too: what a firmware newly declares is sent.
#[test]
fn what_is_newly_declared_is_sent() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.update(&[field("N"), field("TEL"), field("NOTE")], false);
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("Paris")), "{got:?}");
        assert_eq!(server(&world), ANN);
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// L5: what a device showed beyond its declaration it is sent from then on, and may clear. A new declaration takes the place
/// of the old one only: what was observed stays.
#[test]
fn what_a_device_showed_is_known_under_a_new_declaration_too() {
    let memory = |fields: &[Field]| Gadget::new("", fields).memory;
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        // It has titles, which it does not declare.
        phone.memory = memory(&[field("N"), field("TEL"), field("TITLE")]);
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493022222\r\nTITLE:Captain");
        assert!(phone.sync(&mut world).is_empty());
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.push("TITLE:Captain");
        assert_eq!(server(&world), expected);
        assert!(phone.sync(&mut world).is_empty(), "it has that");
        *expected.last_mut().unwrap() = "TITLE:Admiral";
        edit_server(&world, &expected);
        let got = phone.sync(&mut world);
        let title_only = |card: &str| card.contains("TITLE:Admiral") && !card.contains("Paris");
        assert!(matches!(&got[..], [(Op::Replace, card)] if title_only(card)), "{got:?}");
        // Another firmware: it declares addresses now, and titles no more than before.
        phone.update(&[field("N"), field("TEL"), field("EMAIL")], false);
        phone.memory = memory(&[field("N"), field("TEL"), field("EMAIL"), field("TITLE")]);
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "");
        let got = phone.sync(&mut world);
        let both = |card: &str| card.contains("TITLE:Admiral") && card.contains("EMAIL") && !card.contains("Paris");
        assert!(matches!(&got[..], [(Op::Replace, card)] if both(card)), "{got:?}");
        expected.retain(|line| !line.contains("22222"));
        assert_eq!(server(&world), expected, "what is new to it is not erased, nor what it does not declare");
        assert!(phone.sync(&mut world).is_empty());
        phone.edit("Meier", "TITLE:Admiral", "");
        phone.sync(&mut world);
        expected.pop();
        assert_eq!(server(&world), expected, "what it had it cleared");
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// And where a sync breaks off, what was shown in it is observed.
#[test]
fn what_a_device_showed_in_a_broken_sync_is_observed() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.memory = Gadget::new("", &[field("N"), field("TEL"), field("TITLE")]).memory;
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493022222\r\nTITLE:Captain");
        world.tick();
        let luid = phone.find("Meier");
        {
            let mut talk = Phone::new(&world.server, phone.id, "alice", PASSWORD, world.now);
            talk.devinf.clone_from(&phone.devinf);
            let heard = talk.begin(AlertCode::TWO_WAY, phone.anchor.as_deref(), "broken").unwrap();
            let change = talk.change(Op::Replace, &luid, &phone.cards[&luid]);
            let sync = talk.sync(vec![change]);
            talk.say_after(&heard, vec![sync], true).unwrap();
        }
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.push("TITLE:Admiral");
        edit_server(&world, &expected);
        phone.touched.clear();
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("TITLE:Admiral")), "{got:?}");
        assert_eq!(server(&world), expected);
    }
}

/// Field note 25: a phone cuts and sends back what it cut.
#[test]
fn row25_a_truncated_echo_truncates_nothing() {
    for (mut world, mut phone) in met(&[("N", None, Some(10), &[]), field("TEL"), ("NOTE", None, Some(12), &[])]) {
        assert!(phone.card("Meier").contains("NOTE:Met in Paris\r\n"), "{}", phone.card("Meier"));
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        phone.sync(&mut world);
        let now = server(&world);
        assert!(now.contains(&ANN[6].to_owned()) && now.contains(&ANN[0].to_owned()), "{now:?}");
        // A letter less is an edit.
        phone.edit("Meier", "NOTE:Met in Paris", "NOTE:Met in Pari");
        phone.sync(&mut world);
        assert!(server(&world).contains(&"NOTE:Met in Pari".to_owned()), "{:?}", server(&world));
        // After a reset everything is shown again: nothing changes.
        let before = server(&world);
        phone.anchor = None;
        phone.sync(&mut world);
        assert_eq!(server(&world), before);
    }
}

/// L2: a free slot is filled with what was hidden, once.
#[test]
fn a_slot_that_is_left_free_is_filled_once() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[]), field("EMAIL")]) {
        assert!(!phone.card("Meier").contains("22222"));
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "");
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("22222")), "{got:?}");
        let expected: Vec<&str> = ANN.iter().filter(|line| !line.starts_with("item1")).copied().collect();
        assert_eq!(server(&world), expected);
        assert!(phone.card("Meier").contains("22222"));
        assert!(phone.sync(&mut world).is_empty(), "once");
        // Its user edits before the answer reached it: what it was sent and did not take stays.
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "");
        phone.sync(&mut world);
        assert!(server(&world).iter().any(|line| line.contains("22222")));
    }
}

/// The hidden number is safe even if the device edits before it was told of it.
#[test]
fn what_moves_up_is_not_held_to_be_known_before_it_is_acknowledged() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[]), field("EMAIL")]) {
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "");
        // A sync that breaks off before the server's package.
        world.tick();
        let luid = phone.find("Meier");
        let anchor = phone.anchor.clone();
        {
            let mut talk = Phone::new(&world.server, phone.id, "alice", PASSWORD, world.now);
            talk.devinf.clone_from(&phone.devinf);
            let heard = talk.begin(AlertCode::TWO_WAY, anchor.as_deref(), "broken").unwrap();
            let change = talk.change(Op::Replace, &luid, &phone.cards[&luid]);
            let sync = talk.sync(vec![change]);
            talk.say_after(&heard, vec![sync], true).unwrap();
        }
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "EMAIL;TYPE=WORK:ann@example.com");
        phone.sync(&mut world);
        phone.sync(&mut world);
        let now = server(&world);
        assert!(
            now.iter().any(|line| line.contains("22222")) && now.iter().any(|line| line.contains("ann@")),
            "{now:?}"
        );
        assert!(!now.iter().any(|line| line.contains("11111")), "{now:?}");
        assert!(phone.card("Meier").contains("22222"));
    }
}

/// What came here meanwhile behind the only slot is sent when the slot is left free.
#[test]
fn a_slot_that_is_left_free_is_filled_with_what_came_meanwhile() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[])]) {
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "TEL;TYPE=CELL:+4917099999");
        phone.sync(&mut world);
        let now = server(&world);
        let mut here: Vec<&str> = now.iter().map(String::as_str).filter(|line| !line.contains("22222")).collect();
        edit_server(&world, &here);
        phone.sync(&mut world);
        here.push("TEL;TYPE=FAX:+493044444");
        edit_server(&world, &here);
        assert!(phone.sync(&mut world).is_empty(), "it sees nothing of that");
        phone.edit("Meier", "TEL;TYPE=CELL:+4917099999", "");
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("44444")), "{got:?}\n{:?}", server(&world));
        assert!(phone.card("Meier").contains("44444"));
    }
}

/// L7: both sides edit different fields of one card, of which the device sees some.
#[test]
fn row26_edits_on_both_sides_meet() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        let mut here: Vec<&str> = ANN.to_vec();
        here[6] = "NOTE:Married";
        here.push("TEL;TYPE=FAX:+493044444");
        edit_server(&world, &here);
        let got = phone.sync(&mut world);
        let now = server(&world);
        for wanted in ["NOTE:Married", "99999", "44444", "item1.X-ABLabel:Boat"] {
            assert!(now.iter().any(|line| line.contains(wanted)), "{wanted}: {now:?}");
        }
        assert!(!now.iter().any(|line| line.contains("22222")), "{now:?}");
        assert!(
            matches!(&got[..], [(Op::Replace, card)] if card.contains("44444") && !card.contains("Married")),
            "{got:?}"
        );
        assert!(phone.sync(&mut world).is_empty());
        // What a device cannot see is not sent to it when it changes.
        let mut here: Vec<String> = now;
        here.iter_mut().filter(|line| line.starts_with("NOTE")).for_each(|line| *line = "NOTE:Widowed".to_owned());
        edit_server(&world, &here.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// Mission B3 to B6: the dimensions of a book, as a rule of the host.
#[test]
fn dimensions_are_overwritten_and_others_untouched() {
    let mut profiles = Profiles::none();
    let rule = r#"[{ "name": "phonebook", "when": { "id": ["phone"] }, "because": "B3", "then": { "card": { "dimensions": [
        { "property": "N" }, { "property": "TEL", "types": ["CELL"], "count": 1 }, { "property": "EMAIL", "length": 30 } ] } } }]"#;
    profiles.read(rule).unwrap();
    for (mut world, mut phone) in met_with(&[], profiles) {
        assert!(
            phone.card("Meier").contains("11111") && !phone.card("Meier").contains("22222"),
            "{}",
            phone.card("Meier")
        );
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "TEL;TYPE=CELL:+4917099999");
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "");
        // B4: an unknown dimension is made, never dropped.
        phone.edit("Meier", "N:Meier;Annegret;;;", "N:Meier;Annegret;;;\r\nX-SIGN:Leo");
        phone.sync(&mut world);
        let now = server(&world);
        for wanted in ["99999", "22222", "Paris", "X-SIGN:Leo", "X-EPOC"] {
            assert!(now.iter().any(|line| line.contains(wanted)), "{wanted}: {now:?}");
        }
        for gone in ["11111", "EMAIL"] {
            assert!(!now.iter().any(|line| line.contains(gone)), "{gone}: {now:?}");
        }
    }
}

/// Field note 18: addresses go as a Nokia needs them, and do not come back changed.
#[test]
fn row18_a_nokia_keeps_its_addresses() {
    let mut world = World::new();
    world.put(&framed(&["N:Meier;Annegret;;;", "EMAIL;TYPE=WORK:a@example.com", "TEL:+493011111"]));
    let mut phone = Gadget::new("phone", &[]);
    phone.devinf = Some(DevInf { man: Some("Nokia".into()), model: Some("Nokia E51".into()), ..devinf(&[], false) });
    let got = phone.sync(&mut world);
    assert!(got[0].1.contains("INTERNET"), "{got:?}");
    phone.edit("Meier", "TEL:+493011111", "TEL:+493099999");
    phone.sync(&mut world);
    assert_eq!(server(&world), ["N:Meier;Annegret;;;", "EMAIL;TYPE=WORK:a@example.com", "TEL:+493099999"]);
}

/// The same in the other role: a server that can hold less erases nothing of a client's.
#[test]
fn a_server_that_holds_less_erases_nothing_here() {
    let mut world = World::new();
    let device = Device::new("client");
    device.put(&framed(ANN));
    // The server says of itself that it has names and numbers only.
    let mut caps = devinf(&[field("N"), field("TEL")], false);
    caps.stores[0].source_ref = "contacts".into();
    let bytes = encode_devinf(&caps, Version::V12, Encoding::Xml).unwrap();
    let store = device.store.clone();
    store
        .step(device.account, &mut |tx| {
            let mut row = syncml::store::DeviceRow::new(SERVER_URI, world.now);
            row.devinf = Some(bytes.clone());
            tx.put_device(&row)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
    assert!(world.sync(&device).unwrap().clean);
    edit_server(&world, &["N:Meier;Annegret;;;", "FN:Annegret Meier", "TEL;TYPE=CELL:+4917099999"]);
    assert!(world.sync(&device).unwrap().clean);
    let cards = device.cards();
    for wanted in ["99999", "Paris", "annegret@example.com", "X-EPOC"] {
        assert!(cards[0].contains(wanted), "{wanted}: {cards:?}");
    }
    for gone in ["11111", "22222"] {
        assert!(!cards[0].contains(gone), "{gone}: {cards:?}");
    }
}

/// A picture, so many points on a side.
fn draw(side: u16, quality: u8) -> String {
    let grey = |x: u32, y: u32| u8::try_from(if x.abs_diff(50) < 20 { 220 } else { 30 + y }).unwrap();
    let points: Vec<u8> = (0..u32::from(side) * u32::from(side))
        .map(|at| grey(at % u32::from(side) * 100 / u32::from(side), at / u32::from(side) * 100 / u32::from(side)))
        .collect();
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality).encode(&points, side, side, jpeg_encoder::ColorType::Luma).unwrap();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    format!("PHOTO;ENCODING=b;TYPE=JPEG:{base64}")
}

/// Field note 28: a phone that writes the photo anew does not replace it, whether it says what it can hold or not.
#[test]
fn row28_a_photo_written_anew_replaces_nothing() {
    for store in stores() {
        for fields in [&[][..], &[field("N"), field("TEL"), field("PHOTO")]] {
            let mut world = World::with(store.clone(), ServerConfig::default());
            let (sent, anew) = (draw(120, 90), draw(60, 40));
            world.put(&framed(&["N:Meier;Annegret;;;", "TEL:+493011111", &sent]));
            let mut phone = Gadget::new("phone", fields);
            phone.sync(&mut world);
            phone.edit("Meier", &sent, &anew);
            phone.edit("Meier", "TEL:+493011111", "TEL:+493099999");
            assert!(phone.sync(&mut world).is_empty());
            let photo = |world: &World| server(world).into_iter().find(|line| line.starts_with("PHOTO"));
            let now = world.cards().concat().replace("\n ", "");
            assert!(now.contains(&sent) && now.contains("99999") && !now.contains(&anew), "{now}");
            assert!(photo(&world).is_some());
            assert!(phone.sync(&mut world).is_empty(), "and that is all");
            phone.edit("Meier", &anew, "");
            phone.sync(&mut world);
            assert_eq!(photo(&world), None, "removed is removed");
            let store = world.server.store().clone();
            let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, "Annegret");
            common::delete(store.as_ref(), world.account, BookNo::CONTACTS, guid, world.now);
            phone.sync(&mut world);
        }
    }
}
