//! A server that has too much to do (§3.11): BUSY-1, before a session has begun, and BUSY-2, in the middle of one.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use std::time::Duration;
use syncml::codec::{Encoding, decode};
use syncml::message::{AlertCode, Command, Mem};
use syncml::session::{Busy, Client, ClientError, Outgoing, Reply};
use syncml::store::BookNo;

/// The Statuses of a reply, as command and code, and whether it ends a package.
fn said(reply: &Reply) -> (Vec<(String, u16)>, bool) {
    let encoding = Encoding::from_content_type(reply.content_type).unwrap();
    let message = decode(&reply.body, encoding, &Default::default()).unwrap();
    let statuses = message.body.iter().filter_map(|command| match command {
        Command::Status(status) => Some((status.cmd.to_string(), status.code.0)),
        _ => None,
    });
    (statuses.collect(), message.last)
}

fn begin(world: &World, device: &Device) -> Client {
    Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap()
}

fn device(encoding: Encoding) -> Device {
    let mut device = Device::new("phone");
    device.config.encoding = encoding;
    device.config.max_msg_size = 2000;
    for n in 0..20 {
        device.put(&numbered(n));
    }
    device
}

/// What a message asks for.
fn alerts(out: &Outgoing) -> Vec<AlertCode> {
    let encoding = Encoding::from_content_type(out.content_type).unwrap();
    let message = decode(&out.body, encoding, &Default::default()).unwrap();
    let code = |command: &Command<'_>| match command {
        Command::Alert(alert) => alert.code,
        _ => None,
    };
    message.body.iter().filter_map(code).collect()
}

#[test]
fn busy_at_each_message_in_turn_and_the_same_bytes_are_enough() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for number in 1..30 {
            for mut world in World::each() {
                let device = device(encoding);
                for n in 20..40 {
                    world.put(&numbered(n));
                }
                world.tick();
                let mut client = begin(&world, &device);
                let (mut count, mut waited) = (0, false);
                while let Some(out) = client.outgoing() {
                    count += 1;
                    assert!(count < 100);
                    assert_eq!(out.wait, Duration::ZERO, "nobody waits for nothing");
                    if count == number {
                        world.server.set_busy(Busy::Everything);
                        let reply = world.post(&out).unwrap();
                        assert_eq!(
                            said(&reply),
                            (vec![("SyncHdr".to_owned(), 101)], false),
                            "no Final, no other Status"
                        );
                        client.received(reply.content_type, &reply.body, world.now).unwrap();
                        let again = client.outgoing().unwrap();
                        assert!(again.wait > Duration::ZERO);
                        assert_eq!((&again.body, &again.uri), (&out.body, &out.uri), "the same message again");
                        world.server.set_busy(Busy::No);
                        waited = true;
                    }
                    let reply = world.post(&out).unwrap();
                    client.received(reply.content_type, &reply.body, world.now).unwrap();
                }
                assert!(client.report().clean, "{encoding:?} {number}");
                assert_eq!(world.cards(), device.cards(), "{encoding:?} {number}");
                assert_eq!(world.cards().len(), 40);
                if !waited {
                    assert!(number > 5, "a session has several messages");
                    return;
                }
            }
        }
    }
}

#[test]
fn busy_1_a_server_that_stays_busy_is_left_in_the_end_and_no_anchor_has_moved() {
    for mut world in World::each() {
        let device = device(Encoding::Xml);
        world.server.set_busy(Busy::NewSessions);
        world.tick();
        let mut client = begin(&world, &device);
        let (mut pauses, mut seen) = (Vec::new(), Vec::new());
        let error = loop {
            let out = client.outgoing().unwrap();
            pauses.push(out.wait.as_secs());
            let reply = world.post(&out).unwrap();
            seen.push(out.body);
            if let Err(error) = client.received(reply.content_type, &reply.body, world.now) {
                break error;
            }
        };
        assert!(matches!(error, ClientError::Busy), "{error}");
        assert!(client.outgoing().is_none());
        assert_eq!(pauses, [0, 5, 10, 20, 40, 60, 60]);
        assert_eq!(seen[0], seen[1], "the same bytes first");
        assert_ne!(
            seen[1], seen[2],
            "then a new session, for a server that keeps its 101 as the answer to the old one"
        );
        world.server.set_busy(Busy::No);
        let report = world.sync(&device).unwrap();
        assert_eq!((report.clean, &*report.books[0].mode), (true, "slow"));
        assert_eq!(world.cards(), device.cards());
    }
}

#[test]
fn what_was_answered_before_is_answered_again_however_busy_it_is() {
    for mut world in World::each() {
        let device = device(Encoding::Xml);
        world.tick();
        let mut client = begin(&world, &device);
        let mut repeated = 0;
        while let Some(out) = client.outgoing() {
            let reply = world.post(&out).unwrap();
            world.server.set_busy(Busy::Everything);
            let again = world.post(&out).unwrap();
            if out.uri == common::SERVER_URI {
                // A message without the address of its session would have to be looked into.
                assert_eq!(said(&again).0, [("SyncHdr".to_owned(), 101)]);
            } else {
                assert_eq!(again.body, reply.body);
                repeated += 1;
            }
            // It is of nobody who only knows the address.
            let other = Outgoing { body: out.body.iter().copied().chain(*b" ").collect(), ..out };
            assert_eq!(said(&world.post(&other).unwrap()).0[0], ("SyncHdr".to_owned(), 101));
            world.server.set_busy(Busy::No);
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        assert!(repeated > 2 && client.report().clean);
    }
}

/// What fits into a book is said in the session that begins again, too (§3.18).
#[test]
fn room_is_not_forgotten_when_the_session_begins_again() {
    let mut world = World::new();
    let mut device = device(Encoding::Xml);
    device.config.max_msg_size = 20_000;
    world.tick();
    let mut client = begin(&world, &device);
    client.set_free_memory(BookNo::CONTACTS, Mem { shared: false, free_mem: 1_000_000, free_id: 4_711 });
    for busy in [true, true, false] {
        world.server.set_busy(if busy { Busy::Everything } else { Busy::No });
        let reply = world.post(&client.outgoing().unwrap()).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    let mut said = 0;
    while let Some(out) = client.outgoing() {
        said += usize::from(String::from_utf8_lossy(&out.body).contains("4711"));
        let reply = world.post(&out).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert_eq!((said, client.report().clean), (1, true));
}

#[test]
fn new_sessions_may_wait_while_those_that_have_begun_go_on() {
    for mut world in World::each() {
        let device = device(Encoding::Xml);
        world.tick();
        let mut client = begin(&world, &device);
        while let Some(out) = client.outgoing() {
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, world.now).unwrap();
            world.server.set_busy(Busy::NewSessions);
        }
        assert!(client.report().clean);
        let out = begin(&world, &device).outgoing().unwrap();
        assert_eq!(said(&world.post(&out).unwrap()).0, [("SyncHdr".to_owned(), 101)]);
    }
}

#[test]
fn busy_2_who_asks_for_the_result_hears_that_it_is_still_so_or_that_there_is_none() {
    for mut world in World::each() {
        let mut device = device(Encoding::Xml);
        device.config.max_msg_size = 20_000;
        world.tick();
        let mut client = begin(&world, &device);
        for _ in 0..2 {
            let out = client.outgoing().unwrap();
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        world.server.set_busy(Busy::Everything);
        // A server that keeps its 101 is asked by 221, at last.
        let asking = loop {
            let out = client.outgoing().unwrap();
            let reply = world.post(&out).unwrap();
            if alerts(&out).contains(&AlertCode::RESULT) {
                let expected = vec![("SyncHdr".to_owned(), 101), ("Alert".to_owned(), 101)];
                assert_eq!(said(&reply), (expected, false));
                break out;
            }
            assert_eq!(said(&reply).0, [("SyncHdr".to_owned(), 101)]);
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        };
        let message = decode(&asking.body, Encoding::Xml, &Default::default()).unwrap();
        assert!(!message.last, "221 ends no package");
        // Nothing was done, so there is no result: the session ends, and the next one makes it good.
        world.server.set_busy(Busy::No);
        let reply = world.post(&asking).unwrap();
        let error = client.received(reply.content_type, &reply.body, world.now).unwrap_err();
        assert!(matches!(error, ClientError::Ended(code) if code.0 == 408), "{error}");
        assert!(world.sync(&device).unwrap().clean);
        device.put(&card("Z", "+499"));
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(world.cards(), device.cards());
        assert_eq!(world.cards().len(), 21);
    }
}
