//! Books with a credential of their own (§5.5).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/site.rs"]
mod site;

use common::{PASSWORD, World, card};
use site::{ALL, Letter, alert, basic, book_md5, question, secret, with_books, worlds};
use syncml::auth::{DigestKind, DigestName, Identity, Scheme, Verifier};
use syncml::codec::{Encoding, decode};
use syncml::message::{Command, Get, Item, Location, Version};
use syncml::session::{Credentials, Reply, ServerConfig};
use syncml::store::{BookNo, Principal, PrincipalKind};
#[test]
fn six_books_of_their_own_passwords_are_opened_in_one_session() {
    let mut mac_only = ServerConfig::default();
    mac_only.require_mac = true;
    for (config, mac) in [(ServerConfig::default(), false), (ServerConfig::default(), true), (mac_only, true)] {
        for mut world in worlds(false, &ALL, &config) {
            let mut device = with_books(6, |_| book_md5("locked"));
            if mac {
                let (user, password) = ("alice".to_owned(), secret(PASSWORD));
                device.config.credentials = Credentials::Mac { user, password };
            }
            for round in 0..2 {
                let report = world.sync(&device).unwrap();
                let failed: Vec<_> = report.books.iter().map(|book| book.failed).collect();
                assert_eq!(failed, [None; 6], "{round} {mac}");
                assert!(report.clean, "{round} {mac}");
            }
        }
    }
}

/// Where no credential of a book may be said, nobody is asked for one.
#[test]
fn a_book_that_nothing_opens_here_is_forbidden() {
    let mut config = ServerConfig::default();
    config.refuse_md5 = true;
    for mut world in worlds(false, &[BookNo::NOTES], &config) {
        let mut device = with_books(4, |_| book_md5("locked"));
        device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
        let report = world.sync(&device).unwrap();
        let failed: Vec<_> = report.books.iter().map(|book| book.failed.map(|code| code.0)).collect();
        assert_eq!(failed, [None, None, None, Some(403)]);
    }
}

#[test]
fn guesses_at_a_books_password_are_slowed_down() {
    for mut world in worlds(false, &ALL, &ServerConfig::default()) {
        let guess = |world: &World, password: &str| {
            let mut letter = Letter::of(Some("alice"), basic("alice", PASSWORD));
            letter.body = vec![alert("notes", basic("alice", password))];
            let heard = letter.hear(world);
            assert_eq!(heard.code, 212);
            heard.alert.unwrap()
        };
        for n in 0..20 {
            assert_eq!(guess(&world, &format!("guess {n}")), 401);
            world.now.0 += 1;
        }
        assert_eq!(guess(&world, "locked"), 401, "it is not even looked at");
        world.now = world.now.plus_seconds(1_000);
        assert_eq!(guess(&world, "locked"), 212);
    }
}

#[test]
fn the_news_of_a_locked_book_are_not_told() {
    for mut world in worlds(false, &[BookNo::NOTES], &ServerConfig::default()) {
        let told = |reply: &Reply| {
            let message = decode(&reply.body, Encoding::Xml, &Default::default()).unwrap();
            let items = message.body.iter().find_map(|command| match command {
                Command::Results(results) => Some(results.items.clone()),
                _ => None,
            });
            items.unwrap().iter().any(|item| item.source.as_ref().unwrap().uri == "./notes")
        };
        let mut letter = Letter::of(Some("alice"), basic("alice", PASSWORD));
        letter.body = vec![question()];
        assert!(!told(&letter.post(&world).unwrap()));
        // In a session: not before the book was opened.
        for (password, open) in [("wrong", false), ("locked", true)] {
            letter.body = vec![alert("notes", basic("alice", password)), question()];
            world.tick();
            assert_eq!(told(&letter.post(&world).unwrap()), open);
        }
        // Nor to a platform that asks for all.
        let directory = world.server.store().directory();
        let verifier = Verifier::device(DigestKind::Md5, &secret("open sesame"), "phone");
        let principal = Principal { kind: PrincipalKind::Platform, verifiers: vec![verifier] };
        directory.put_principal("phone", &principal).unwrap();
        directory.set_grant("phone", "alice", true).unwrap();
        for book in [BookNo::CONTACTS, BookNo::NOTES] {
            common::put(world.server.store().as_ref(), world.account, book, None, &card("A", "+491"), world.now);
        }
        let identity = Identity { user: "", device_id: "phone", secret: &secret("open sesame") };
        let mut letter = Letter::of(None, identity.answer(Scheme::Device(DigestName::MD5), b"", Version::V12));
        let item = Item { target: Some(Location::new("./changes/all")), ..Item::default() };
        letter.body = vec![Command::Get(Get {
            cmd_id: 2.into(),
            no_resp: false,
            lang: None,
            cred: None,
            meta: None,
            items: vec![item],
        })];
        let reply = letter.post(&world).unwrap();
        assert!(String::from_utf8_lossy(&reply.body).contains("./contacts"));
        assert!(!told(&reply));
    }
}
