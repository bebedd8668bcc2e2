//! Several devices of one user, at once, in a circle, and many cards (mission X6, field notes 2, 15, 29).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, Exchange, World, card, numbered};
use std::sync::Arc;
use syncml::auth::{Secret, Verifier};
use syncml::session::{Client, Server, ServerConfig};
use syncml::store::fault::FaultStore;
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, Store};

fn quiet(world: &mut World, devices: &[&Device]) {
    for device in devices {
        let report = world.sync(device).unwrap();
        assert!(report.clean, "{report:?}\n{}", world.outline());
    }
}

/// Nothing is said in a sync but that there is nothing to say.
fn silent(world: &mut World, device: &Device) {
    let report = world.sync(device).unwrap();
    let book = &report.books[0];
    assert!(report.clean && book.received == Default::default() && book.sent == Default::default(), "{report:?}");
}

/// Plays sessions a message each in turn, from the first to the last of a permutation.
fn overlap(world: &mut World, devices: &[&Device], turns: &[usize]) {
    world.tick();
    let mut clients: Vec<Client> = devices
        .iter()
        .map(|device| Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap())
        .collect();
    let mut at = 0;
    while clients.iter().any(|client| client.outgoing().is_some()) {
        let turn = turns[at % turns.len()];
        at += 1;
        let Some(out) = clients[turn].outgoing() else { continue };
        let reply = world.post(&out).unwrap();
        world.wire.push(Exchange {
            uri: out.uri,
            content_type: out.content_type.to_owned(),
            request: out.body,
            reply: reply.body.clone(),
        });
        clients[turn].received(reply.content_type, &reply.body, world.now).unwrap();
        assert!(at < 1_000, "the sessions do not end");
    }
    for client in &clients {
        assert!(client.report().clean, "{:?}", client.report());
    }
}

/// Catalogue: X6
#[test]
fn row15_three_devices_in_overlapping_sessions_lose_nothing() {
    let orders: [&[usize]; 6] =
        [&[0, 1, 2], &[2, 1, 0], &[0, 0, 1, 2], &[0, 1, 1, 2, 2, 2], &[1, 0, 2, 0], &[2, 2, 2, 0, 1]];
    for (round, turns) in orders.into_iter().enumerate() {
        for world in World::each() {
            let mut world = world;
            let devices = [Device::new("one"), Device::new("two"), Device::new("three")];
            let all: Vec<&Device> = devices.iter().collect();
            for n in 0..6 {
                world.put(&numbered(n));
            }
            quiet(&mut world, &all);
            // Each adds one, edits one of its own choice and one that all edit, and deletes one.
            for (n, device) in devices.iter().enumerate() {
                device.put(&card(&format!("Added{n}"), &format!("+4930{n}")));
                let own = numbered(n).replace("END:VCARD", &format!("TITLE:of {n}\r\nEND:VCARD"));
                device.edit(device.find(&format!("Name000{n}")), &own);
                let common = numbered(3).replace("END:VCARD", &format!("TEL;TYPE=HOME:+49301{n}\r\nEND:VCARD"));
                device.edit(device.find("Name0003"), &common);
            }
            devices[0].delete(devices[0].find("Name0004"));
            devices[1].delete(devices[1].find("Name0005"));
            overlap(&mut world, &all, turns);
            quiet(&mut world, &all);
            quiet(&mut world, &all);
            let cards = world.cards();
            for device in &devices {
                assert_eq!(device.cards(), cards, "order {round}");
                silent(&mut world, device);
            }
            assert_eq!(cards.len(), 6 + 3 - 2, "{cards:#?}");
            let text = cards.concat();
            for n in 0..3 {
                for wanted in [format!("Added{n}"), format!("TITLE:of {n}"), format!("+49301{n}")] {
                    assert!(text.contains(&wanted), "order {round}: {wanted} is lost:\n{text}");
                }
            }
        }
    }
}

/// The same card added and the same card deleted on several devices at once.
#[test]
fn the_same_done_on_several_devices_is_done_once() {
    for turns in [&[0, 1][..], &[1, 0], &[0, 0, 1], &[0, 1, 1]] {
        for world in World::each() {
            let mut world = world;
            let devices = [Device::new("one"), Device::new("two")];
            let all: Vec<&Device> = devices.iter().collect();
            for n in 0..3 {
                world.put(&numbered(n));
            }
            quiet(&mut world, &all);
            for device in &devices {
                device.put(&card("Same", "+493000"));
                device.delete(device.find("Name0000"));
                let edited = numbered(1).replace("END:VCARD", "TITLE:same\r\nEND:VCARD");
                device.edit(device.find("Name0001"), &edited);
            }
            overlap(&mut world, &all, turns);
            quiet(&mut world, &all);
            quiet(&mut world, &all);
            assert_eq!(world.cards().len(), 3, "{turns:?}: {:#?}", world.cards());
            for device in &devices {
                assert_eq!(device.cards(), world.cards());
                silent(&mut world, device);
            }
        }
    }
}

/// Field note 29: nobody is sent what it told itself.
#[test]
fn row29_nothing_is_echoed_to_its_origin() {
    for world in World::each() {
        let mut world = world;
        let (one, two) = (Device::new("one"), Device::new("two"));
        for n in 0..3 {
            world.put(&numbered(n));
        }
        quiet(&mut world, &[&one, &two]);
        let guid = one.put(&card("New", "+4930"));
        one.edit(one.find("Name0000"), &card("Edited", "+4931"));
        one.delete(one.find("Name0001"));
        for _ in 0..2 {
            let report = world.sync(&one).unwrap();
            assert_eq!(report.books[0].received, Default::default());
        }
        quiet(&mut world, &[&two]);
        silent(&mut world, &one);
        silent(&mut world, &two);
        one.edit(guid, &card("New", "+4932"));
        quiet(&mut world, &[&one, &two]);
        silent(&mut world, &one);
        assert_eq!((one.cards(), two.cards()), (world.cards(), world.cards()));
    }
}

/// A second service, which the same devices sync with.
fn elsewhere(device: &Device, uri: &str) -> Device {
    let mut config = device.config.clone();
    config.server_uri = uri.to_owned();
    Device { store: device.store.clone(), account: device.account, config }
}

/// Field note 2: A → server → B → another service → A. Cards go round and do not become more, nor do edits go on for ever.
#[test]
fn row2_a_triangle_neither_doubles_nor_goes_on_for_ever() {
    for (world, other) in World::each().into_iter().zip(World::each()) {
        let (mut world, mut other) = (world, other);
        let (a, b) = (Device::new("a"), Device::new("b"));
        let (a2, b2) =
            (elsewhere(&a, "http://other.example.com/syncml"), elsewhere(&b, "http://other.example.com/syncml"));
        for n in 0..3 {
            a.put(&numbered(n));
        }
        let round = |world: &mut World, other: &mut World| {
            quiet(world, &[&a, &b]);
            quiet(other, &[&b2, &a2]);
        };
        round(&mut world, &mut other);
        let settled = |world: &mut World, other: &mut World, count: usize, what: &str| {
            // Once round and once back.
            for _ in 0..2 {
                round(world, other);
            }
            for (device, second) in [(&a, &a2), (&b, &b2)] {
                silent(world, device);
                silent(other, second);
                assert_eq!(device.cards().len(), count, "{what}");
            }
            assert_eq!((world.cards().len(), other.cards().len()), (count, count), "{what}");
            assert_eq!((a.cards(), b.cards()), (world.cards(), other.cards()), "{what}");
        };
        settled(&mut world, &mut other, 3, "first syncs");
        a.put(&card("FromA", "+4930"));
        b.put(&card("FromB", "+4931"));
        settled(&mut world, &mut other, 5, "adds");
        a.edit(a.find("FromB"), &card("FromB", "+4932"));
        b.edit(b.find("FromA"), &card("FromA", "+4933"));
        settled(&mut world, &mut other, 5, "edits");
        // The same one, differently, in the same round.
        a.edit(a.find("Name0001"), &numbered(1).replace("END:VCARD", "TITLE:a\r\nEND:VCARD"));
        b.edit(b.find("Name0001"), &numbered(1).replace("END:VCARD", "NOTE:b\r\nEND:VCARD"));
        settled(&mut world, &mut other, 5, "edits of one card");
        assert!(world.cards().concat().contains("TITLE:a") && world.cards().concat().contains("NOTE:b"));
        a.delete(a.find("Name0002"));
        b.delete(b.find("Name0002"));
        world.put(&card("AtTheServer", "+4934"));
        settled(&mut world, &mut other, 5, "deletes");
    }
}

/// The second path is noticed: what a device adds was here already, and not by that device.
#[test]
fn row2_a_second_path_is_told() {
    let mut world = World::new();
    let (a, b) = (Device::new("a"), Device::new("b"));
    quiet(&mut world, &[&a, &b]);
    for n in 0..3 {
        a.put(&numbered(n));
    }
    quiet(&mut world, &[&a]);
    // They reach B by another way.
    for n in 0..3 {
        b.put(&numbered(n));
    }
    world.tick();
    let mut client = Client::begin(b.store.clone(), b.account, b.config.clone(), world.now).unwrap();
    let mut report = None;
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        report = reply.report.or(report);
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    let report = report.unwrap();
    assert_eq!((report.books[0].received.matched, report.books[0].elsewhere), (3, 3));
    assert!(report.problems.is_empty(), "it is a notice, nothing went wrong");
    quiet(&mut world, &[&a, &b]);
    assert_eq!((world.cards().len(), a.cards().len(), b.cards().len()), (3, 3, 3));
}

/// What a first sync of so many on both sides asks of the server's store, half of them the same, some with other details.
fn first_sync(n: usize) -> (u64, u64) {
    let store = Arc::new(FaultStore::new(MemoryStore::new([1; 32])));
    let account =
        store.directory().put_login("alice", &Verifier::Password(Secret::new(common::PASSWORD.to_owned()))).unwrap();
    let server = Server::new(store.clone(), ServerConfig::default()).unwrap();
    let device = Device::new("phone");
    for at in 0..n {
        common::put(
            store.as_ref(),
            account,
            BookNo::CONTACTS,
            None,
            &numbered(at),
            syncml::message::Timestamp(1_700_000_000_000),
        );
        let other = numbered(at + n / 2);
        device.put(&if at % 10 == 0 { other.replace("END:VCARD", "NOTE:other\r\nEND:VCARD") } else { other });
    }
    store.take_counts();
    let now = syncml::message::Timestamp(1_700_000_000_000);
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
    while let Some(out) = client.outgoing() {
        let request = syncml::session::Request {
            content_type: out.content_type,
            body: &out.body,
            token: common::token_of(&out.uri),
            mac: None,
            protected: true,
            loopback: true,
            address: None,
            now,
        };
        let reply = server.answer(&request).unwrap();
        client.received(reply.content_type, &reply.body, now).unwrap();
    }
    assert!(client.report().clean);
    let counts = store.take_counts();
    assert_eq!(common::items(store.as_ref(), account, BookNo::CONTACTS).len(), n + n / 2);
    assert_eq!(device.cards().len(), n + n / 2);
    (counts.calls, counts.rows_read + counts.rows_written)
}

/// Catalogue: S5
#[test]
fn a_first_sync_is_linear_in_calls_and_rows() {
    let (small, large) = (first_sync(300), first_sync(600));
    assert!(large.0 * 10 <= small.0 * 24, "calls: {small:?} and then {large:?}");
    assert!(large.1 * 10 <= small.1 * 24, "rows: {small:?} and then {large:?}");
}
