//! Who asks for too much, or guesses, or comes after the keys have changed (§5; I10). What happens on a socket is in
//! `http_limits.rs`, what one account may know of another in `isolation.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, PASSWORD, World, card, token_of};
use std::sync::Arc;
use syncml::auth::{DigestKind, Identity, Scheme, Secret, Verifier, parse_token};
use syncml::codec::{Encoding, encode};
use syncml::kit::phone::Phone;
use syncml::message::{
    AlertCode, Command, Get, Header, Item, Location, Message, MsgId, Op, SessionId, Timestamp, Version,
};
use syncml::session::{Client, Credentials, Rate, Refusal, Request, Server, ServerConfig};
use syncml::store::audit::DEVICE_CREATED;
use syncml::store::{BookNo, DeviceNo, KEYS_KEPT, Principal, PrincipalKind, Verdict};

fn worlds(change: impl Fn(&mut ServerConfig)) -> Vec<World> {
    let mut config = ServerConfig::default();
    change(&mut config);
    common::stores().into_iter().map(|store| World::with(store, config.clone())).collect()
}

fn phone<'w>(world: &'w World, device: &str) -> Phone<'w> {
    Phone::new(&world.server, device, "alice", PASSWORD, world.now)
}

// --- Keys ---------------------------------------------------------------------------------------------------------------

/// New keys are made in the middle of a session; it goes on, also on a node that has not seen them, and so does a platform
/// that shows its credential each time.
#[test]
fn a_session_survives_new_keys() {
    for by_device in [false, true] {
        for store in common::stores() {
            let mut world = World::with(Arc::clone(&store), ServerConfig::default());
            let other = Server::new(Arc::clone(&store), ServerConfig::default()).unwrap();
            let directory = store.directory();
            let secret = Secret::new("open sesame".to_owned());
            let verifiers = vec![Verifier::device(DigestKind::Md5, &secret, "phone")];
            directory.put_principal("phone", &Principal { kind: PrincipalKind::Platform, verifiers }).unwrap();
            directory.set_grant("phone", "alice", true).unwrap();
            world.put(&card("There", "+4930555"));
            let mut device = Device::new("phone");
            device.put(&card("Here", "+4930666"));
            if by_device {
                device.config.credentials = Credentials::Device { account: "alice".to_owned(), secret };
            }
            let mut client =
                Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
            let mut turn = 0;
            while let Some(out) = client.outgoing() {
                turn += 1;
                // The challenge, the opening and the middle each come by other keys than the message before.
                if turn <= 3 {
                    store.rotate_keys(world.now.plus_seconds(120)).unwrap();
                    for _ in 0..13 {
                        world.tick();
                    }
                }
                let reply = if turn % 2 == 0 {
                    other.answer(&world.request(&out.uri, out.content_type, &out.body)).unwrap()
                } else {
                    world.post(&out).unwrap()
                };
                client.received(reply.content_type, &reply.body, world.now).unwrap();
            }
            assert!(client.report().clean, "{:?}", client.report());
            assert_eq!((world.cards().len(), device.cards().len()), (2, 2));
        }
    }
}

/// What was opened by keys that are forgotten has to authenticate again.
#[test]
fn forgotten_keys_open_nothing() {
    for mut world in World::each() {
        let now = world.now;
        let uri = {
            let mut phone = phone(&world, "phone");
            let heard = phone.begin(AlertCode::TWO_WAY, None, "1").unwrap();
            phone.say_after(&heard, Vec::new(), false).unwrap();
            phone.said().unwrap().0.to_owned()
        };
        for since in 0..i64::from(KEYS_KEPT) {
            world.server.store().rotate_keys(now.plus_seconds(since)).unwrap();
        }
        world.now = now.plus_seconds(70);
        let target = Location::new(uri.clone());
        let header =
            Header::new(Version::V12, SessionId::from("1"), MsgId(3), target, Location::named("phone", "alice"));
        let bytes = encode(&Message { header, body: Vec::new(), last: true }, Encoding::Xml).unwrap();
        let request = world.request(&uri, Encoding::Xml.media_type(), &bytes);
        let answer = world.server.answer(&Request { token: token_of(&uri), ..request });
        assert!(matches!(answer, Err(Refusal::SessionGone)), "{answer:?}");
    }
}

// --- How much -----------------------------------------------------------------------------------------------------------

/// More messages than a device may send are answered 101 and nothing is done; the same message is taken a second later.
#[test]
fn a_device_that_sends_too_often_is_told_to_wait() {
    for mut world in worlds(|config| config.device_rate = Rate { burst: 3, per_second: 1 }) {
        let begun = world.now;
        let mut busy = phone(&world, "busy");
        let heard = busy.begin(AlertCode::TWO_WAY, None, "1").unwrap();
        let add = busy.change(Op::Add, "1", &card("Ann", "+49301"));
        let sync = busy.sync(vec![add]);
        let heard = busy.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.status("Add"), Some(201));
        busy.say_after(&heard, Vec::new(), true).unwrap();
        let told = busy.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
        assert_eq!((told.header.map(|code| code.0), told.alerts.len()), (Some(101), 0));
        // Another device of the account is not held up.
        let mut other = phone(&world, "other");
        assert_eq!(other.begin(AlertCode::TWO_WAY, None, "1").unwrap().header.map(|code| code.0), Some(212));
        busy.now = begun.plus_seconds(1);
        let told = busy.repeat().unwrap();
        assert_eq!(told.header.map(|code| code.0), Some(212), "it was not the message's fault");
        world.tick();
    }
}

/// Beyond what may come from an address nothing is read, whoever it is of; this machine's own is not counted.
#[test]
fn an_address_that_sends_too_often_is_not_heard() {
    for world in worlds(|config| config.address_rate = Rate { burst: 2, per_second: 1 }) {
        let request = world.request(common::SERVER_URI, Encoding::Xml.media_type(), b"nonsense");
        let post = |address, now: Timestamp| {
            let request = Request { address: Some(address), loopback: false, now, ..request };
            world.server.answer(&request).unwrap_err()
        };
        let later = world.now.plus_seconds(1);
        for (address, now, heard) in [
            ("192.0.2.1", world.now, true),
            ("192.0.2.1", world.now, true),
            ("192.0.2.1", world.now, false),
            ("192.0.2.2", world.now, true),
            ("192.0.2.1", later, true),
            ("192.0.2.1", later, false),
        ] {
            let refusal = post(address, now);
            assert_eq!(refusal.http_status(), if heard { 400 } else { 503 }, "{address} {refusal}");
        }
        for _ in 0..9 {
            assert_eq!(world.server.answer(&request).unwrap_err().http_status(), 400, "not counted");
        }
    }
}

#[test]
fn an_account_has_so_many_devices() {
    for world in worlds(|config| config.max_devices = 2) {
        for (device, code) in [("one", 212), ("two", 212), ("three", 420), ("one", 212)] {
            let mut phone = phone(&world, device);
            phone.now = if device == "one" { world.now.plus_seconds(9) } else { world.now };
            let heard = phone.begin(AlertCode::TWO_WAY, None, "1").unwrap();
            assert_eq!(heard.header.map(|code| code.0), Some(code), "{device}");
        }
        let mut devices = Vec::new();
        let mut look = |tx: &mut dyn syncml::store::Tx| {
            devices = tx.devices()?.into_iter().map(|device| device.device_id).collect();
            Ok(Verdict::Rollback)
        };
        world.server.store().step(world.account, &mut look).unwrap();
        assert_eq!(devices, ["one", "two"], "nothing is kept of the third");
    }
}

/// Sessions that are about no book are not heaped up; one that has a book stays.
#[test]
fn a_device_has_so_many_sessions() {
    for world in worlds(|config| config.max_sessions = 4) {
        let mut busy = phone(&world, "busy");
        let with_book = busy.begin(AlertCode::TWO_WAY, None, "1").unwrap();
        let uri = syncml::codec::decode(&with_book.bytes, Encoding::Xml, &Default::default()).unwrap();
        let uri = uri.header.resp_uri.unwrap().into_owned();
        for session in 10..30 {
            let get = Command::Get(Get {
                cmd_id: 1.into(),
                no_resp: false,
                lang: None,
                cred: None,
                meta: None,
                items: vec![Item { target: Some(Location::new("./devinf12")), ..Item::default() }],
            });
            let source = Location::named("busy", "alice");
            let target = Location::new(common::SERVER_URI);
            let id = SessionId::from(session.to_string());
            let mut header = Header::new(Version::V12, id, MsgId(1), target, source);
            let secret = Secret::new(PASSWORD.to_owned());
            let who = Identity { user: "alice", device_id: "busy", secret: &secret };
            header.cred = who.answer(Scheme::Basic, b"", Version::V12);
            let bytes = encode(&Message { header, body: vec![get], last: true }, Encoding::Xml).unwrap();
            let request = world.request(common::SERVER_URI, Encoding::Xml.media_type(), &bytes);
            world.server.answer(&Request { protected: true, ..request }).unwrap();
        }
        let (account, token) = parse_token(token_of(&uri).unwrap()).unwrap();
        assert_eq!(account, world.account.0);
        let mut found = (0, false);
        let mut look = |tx: &mut dyn syncml::store::Tx| {
            let kept = tx.session(syncml::store::SessionKey::Token(&syncml::store::Token(token)))?.is_some();
            found = (tx.count_sessions(DeviceNo(1))?, kept);
            Ok(Verdict::Rollback)
        };
        world.server.store().step(world.account, &mut look).unwrap();
        assert!(found.0 <= 5 && found.1, "{found:?}");
    }
}

/// All books together, whichever is filled.
#[test]
fn an_account_holds_so_much_in_all_its_books() {
    for (items, bytes) in [(Some(3), None), (None, Some(350))] {
        for mut world in worlds(|config| (config.max_account_items, config.max_account_bytes) = (items, bytes)) {
            let note = "BEGIN:VNOTE\r\nVERSION:1.1\r\nBODY:".to_owned() + &"x".repeat(90) + "\r\nEND:VNOTE\r\n";
            common::put(world.server.store().as_ref(), world.account, BookNo::NOTES, None, &note, world.now);
            world.tick();
            let mut busy = phone(&world, "busy");
            let heard = busy.begin(AlertCode::TWO_WAY, None, "1").unwrap();
            let sync = busy.sync(Vec::new());
            let heard = busy.say_after(&heard, vec![sync], true).unwrap();
            busy.say_after(&heard, Vec::new(), true).unwrap();
            busy.now = busy.now.plus_seconds(10);
            let mut codes = Vec::new();
            let heard = busy.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
            let adds =
                (1..=5).map(|n| busy.change(Op::Add, &n.to_string(), &card(&format!("N{n}"), "+4930"))).collect();
            let sync = busy.sync(adds);
            codes.extend(busy.say_after(&heard, vec![sync], true).unwrap().codes("Add"));
            let fits = codes.iter().filter(|code| **code == 201).count();
            assert_eq!(&codes[..fits], &vec![201; fits]);
            assert!(codes[fits..].iter().all(|code| *code == 420), "{codes:?}");
            assert_eq!((fits, world.cards().len()), (2, 2), "{items:?} {bytes:?}");
        }
    }
}

// --- What is told -------------------------------------------------------------------------------------------------------

/// An unknown user and a wrong password are answered in the same words, whatever the scheme.
#[test]
fn nobody_and_a_wrong_secret_are_answered_alike() {
    for world in World::each() {
        let directory = world.server.store().directory();
        let verifiers = vec![Verifier::device(DigestKind::Md5, &Secret::new("right".to_owned()), "known-p")];
        directory.put_principal("known-p", &Principal { kind: PrincipalKind::Platform, verifiers }).unwrap();
        directory.set_grant("known-p", "alice", true).unwrap();
        let device = Scheme::Device(syncml::auth::DigestName::MD5);
        for (scheme, known, nobody) in [
            (Scheme::Basic, ("phone", "alice"), ("phone", "alicf")),
            (Scheme::Md5, ("phone", "alice"), ("phone", "alicf")),
            (device, ("known-p", "alice"), ("nobody-p", "alice")),
            (device, ("known-p", "alice"), ("known-p", "alicf")),
        ] {
            let answer = |(device_id, user): (&str, &str)| {
                let source = Location::named(device_id.to_owned(), user.to_owned());
                let target = Location::new(common::SERVER_URI);
                let mut header = Header::new(Version::V12, SessionId::from("1"), MsgId(1), target, source);
                let secret = Secret::new("wrong".to_owned());
                header.cred = Identity { user, device_id, secret: &secret }.answer(scheme, b"nonce", Version::V12);
                let bytes = encode(&Message { header, body: Vec::new(), last: true }, Encoding::Xml).unwrap();
                let request = world.request(common::SERVER_URI, Encoding::Xml.media_type(), &bytes);
                let reply = world.server.answer(&Request { protected: true, ..request }).unwrap();
                let mut text = String::from_utf8(reply.body).unwrap();
                if let Some(begin) = text.find("<NextNonce") {
                    let end = text.find("</NextNonce>").unwrap();
                    assert_eq!(text[begin..end].split('>').nth(1).unwrap().len(), 24, "of one length");
                    text.replace_range(begin..end, "");
                }
                text.replace(&format!(">{device_id}<"), ">(device)<").replace(&format!(">{user}<"), ">(user)<")
            };
            assert_eq!(answer(known), answer(nobody), "{scheme}");
        }
    }
}

/// What is kept of a device's coming says neither who nor with what.
#[test]
fn a_new_device_is_told_of_once_and_by_number() {
    for world in World::each() {
        for at in 0..2 {
            let mut phone = phone(&world, "IMEI:490154203237518");
            phone.now = world.now.plus_seconds(at * 10);
            phone.begin(AlertCode::TWO_WAY, None, "1").unwrap();
        }
        let mut guess = Phone::new(&world.server, "IMEI:1", "alice", "wrong", world.now);
        guess.begin(AlertCode::TWO_WAY, None, "1").unwrap();
        let rows = world.server.store().directory().audit((Timestamp(0), 0), 99).unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.account, &*row.action, &*row.object, &*row.outcome)).collect();
        assert_eq!(told, [(world.account, DEVICE_CREATED, "device 1", "done")]);
        let text = format!("{rows:?}");
        assert!(!text.contains("IMEI") && !text.contains("alice") && !text.contains(PASSWORD), "{text}");
    }
}
