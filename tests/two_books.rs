//! Two of our own, in memory: the main job, in every version and encoding.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};

fn variants() -> Vec<(Version, Encoding)> {
    Version::ALL.into_iter().flat_map(|version| [(version, Encoding::Xml), (version, Encoding::Wbxml)]).collect()
}

fn device(name: &str, (version, encoding): (Version, Encoding)) -> Device {
    let mut device = Device::new(name);
    device.config.version = version;
    device.config.encoding = encoding;
    device
}

/// Catalogue: S1, S5, S6, SYNC-1, SYNC-2
#[test]
fn s5_first_sync_then_nothing_then_changes_of_both_sides() {
    for (variant, mut world) in variants().into_iter().flat_map(|v| World::each().into_iter().map(move |w| (v, w))) {
        let phone = device("phone", variant);
        for n in 0..50 {
            phone.put(&numbered(n));
        }
        for n in 40..60 {
            world.put(&numbered(n));
        }
        let report = world.sync(&phone).unwrap();
        assert!(report.clean, "{variant:?}: {report:?}");
        assert_eq!(report.books[0].mode, "slow");
        assert_eq!(world.cards().len(), 60, "{variant:?}");
        assert_eq!(world.cards(), phone.cards(), "{variant:?}");

        // S6: nothing changed, nothing is sent.
        let report = world.sync(&phone).unwrap();
        assert!(report.clean);
        assert_eq!(report.books[0].mode, "two-way");
        assert_eq!(report.books[0].sent, Default::default(), "{variant:?}");
        assert_eq!(report.books[0].received, Default::default(), "{variant:?}");
        assert!(report.messages <= 6, "{variant:?}: {report:?}");

        // Both sides add, change and delete.
        phone.put(&numbered(100));
        phone.edit(phone.find("Name0001"), &card("Name0001", "+4930111"));
        phone.delete(phone.find("Name0002"));
        world.put(&numbered(101));
        let store = world.server.store().clone();
        let at = |name| common::find(store.as_ref(), world.account, syncml::store::BookNo::CONTACTS, name);
        let contacts = syncml::store::BookNo::CONTACTS;
        common::put(
            store.as_ref(),
            world.account,
            contacts,
            Some(at("Name0003")),
            &card("Name0003", "+4930333"),
            world.now,
        );
        common::delete(store.as_ref(), world.account, contacts, at("Name0004"), world.now);
        let report = world.sync(&phone).unwrap();
        assert!(report.clean, "{variant:?}: {report:?}");
        assert_eq!((report.books[0].sent.added, report.books[0].sent.changed, report.books[0].sent.deleted), (1, 1, 1));
        let received = report.books[0].received;
        assert_eq!((received.added, received.changed, received.deleted), (1, 1, 1), "{variant:?}");
        assert_eq!(world.cards(), phone.cards(), "{variant:?}");
        assert_eq!(world.cards().len(), 60);
        let text = world.cards().concat();
        assert!(text.contains("+4930111") && text.contains("+4930333"));
        assert!(!text.contains("Name0002") && !text.contains("Name0004"));

        let report = world.sync(&phone).unwrap();
        assert_eq!(report.books[0].sent, Default::default(), "{variant:?}: nothing comes back");
        assert_eq!(report.books[0].received, Default::default(), "{variant:?}: nothing comes back");
    }
}

/// Catalogue: X6, 10.2/10
#[test]
fn x6_changes_travel_between_two_devices() {
    for mut world in World::each() {
        let one = device("one", (Version::V12, Encoding::Wbxml));
        let two = device("two", (Version::V11, Encoding::Xml));
        for n in 0..10 {
            one.put(&numbered(n));
            two.put(&numbered(n));
        }
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!(world.cards().len(), 10, "S7: the same cards on both devices are ten contacts");
        one.edit(one.find("Name0003"), &card("Name0003", "+1555"));
        one.delete(one.find("Name0004"));
        two.put(&numbered(77));
        for device in [&one, &two, &one] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!(world.cards(), one.cards());
        assert_eq!(world.cards(), two.cards());
        assert!(two.cards().concat().contains("+1555"));
    }
}

#[test]
fn slow_sync_again_doubles_nothing() {
    for mut world in World::each() {
        let mut phone = Device::new("phone");
        for n in 0..30 {
            phone.put(&numbered(n));
        }
        world.sync(&phone).unwrap();
        phone.config.books[0].mode = AlertCode::SLOW;
        for _ in 0..3 {
            let report = world.sync(&phone).unwrap();
            assert!(report.clean, "{report:?}");
            assert_eq!(report.books[0].received, Default::default());
            assert_eq!(world.cards().len(), 30);
            assert_eq!(phone.cards().len(), 30);
        }
    }
}

/// Catalogue: S7
#[test]
fn s7_name_and_number_equal_other_fields_different_are_merged() {
    for mut world in World::each() {
        let phone = Device::new("phone");
        phone.put("BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jane;;;\r\nFN:Jane Doe\r\nTEL:+49 30 12345678\r\nEMAIL:j@x.example\r\nEND:VCARD\r\n");
        world.put("BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jane;;;\r\nFN:Jane Doe\r\nTEL:+493012345678\r\nNOTE:likes tea\r\nEND:VCARD\r\n");
        assert!(world.sync(&phone).unwrap().clean);
        for cards in [world.cards(), phone.cards()] {
            assert_eq!(cards.len(), 1, "{cards:?}");
            assert!(cards[0].contains("EMAIL") && cards[0].contains("NOTE"), "{cards:?}");
        }
    }
}

/// Catalogue: MSG-3
#[test]
fn msg_3_tiny_messages() {
    for (encoding, mut world) in
        [Encoding::Xml, Encoding::Wbxml].into_iter().flat_map(|e| World::each().into_iter().map(move |w| (e, w)))
    {
        let mut phone = device("phone", (Version::V12, encoding));
        phone.config.max_msg_size = 3_000;
        for n in 0..100 {
            phone.put(&numbered(n));
            world.put(&numbered(n + 200));
        }
        let report = world.sync(&phone).unwrap();
        assert!(report.clean, "{report:?}");
        assert_eq!(world.cards().len(), 200);
        assert_eq!(world.cards(), phone.cards());
        for exchange in &world.wire {
            assert!(exchange.reply.len() <= 3_000, "{} bytes", exchange.reply.len());
        }
    }
}

/// Catalogue: X1, HDR-2
#[test]
fn x1_each_request_sent_twice_gets_the_same_bytes() {
    for mut world in World::each() {
        let phone = Device::new("phone");
        for n in 0..20 {
            phone.put(&numbered(n));
            world.put(&numbered(n + 10));
        }
        world.tick();
        let mut client =
            syncml::session::Client::begin(phone.store.clone(), phone.account, phone.config.clone(), world.now)
                .unwrap();
        while let Some(out) = client.outgoing() {
            let first = world.post(&out).unwrap();
            let again = world.post(&out).unwrap();
            assert!(first.body == again.body, "{}", String::from_utf8_lossy(&out.body));
            client.received(first.content_type, &first.body, world.now).unwrap();
        }
        assert!(client.report().clean);
        assert_eq!(world.cards().len(), 30);
        assert_eq!(world.cards(), phone.cards());
    }
}
