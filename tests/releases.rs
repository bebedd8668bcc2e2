//! Two releases serve one session in turn: what one leaves in the store, the other takes up or leaves alone (DESIGN "The
//! message step", State).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, token_of};
use std::path::PathBuf;
use syncml::auth::parse_token;
use syncml::codec::{Encoding, decode};
use syncml::message::{Command, StatusCode};
use syncml::session::{Client, Outgoing, Refusal, Reply};
use syncml::store::{AccountNo, SessionKey, SessionRow, Store, Token, Verdict};

/// A session of which the server has answered two messages, and a book on either side.
fn half_way(world: &World, device: &Device) -> Client {
    world.put(&card("There", "+4930555"));
    device.put(&card("Here", "+4930666"));
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    for _ in 0..2 {
        let out = client.outgoing().unwrap();
        let reply = world.post(&out).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    client
}

/// Takes the session on to its end.
fn finish(world: &World, client: &mut Client) {
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert!(client.report().clean, "{:?}", client.report());
}

fn session(out: &Outgoing) -> (AccountNo, Token) {
    let (account, token) = parse_token(token_of(&out.uri).unwrap()).unwrap();
    (AccountNo(account), Token(token))
}

/// Reads a session's row, and writes it as `change` made it.
fn row(store: &dyn Store, (account, token): (AccountNo, Token), change: impl Fn(&mut SessionRow)) -> SessionRow {
    let mut found = None;
    store
        .step(account, &mut |tx| {
            let mut row = tx.session(SessionKey::Token(&token))?.unwrap();
            change(&mut row);
            tx.put_session(&row)?;
            found = Some(row);
            Ok(Verdict::Commit)
        })
        .unwrap();
    found.unwrap()
}

fn recorded(version: i64) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/states/server-{version}.json"))
}

fn header_code(reply: &Reply) -> StatusCode {
    let message = decode(&reply.body, Encoding::Xml, &Default::default()).unwrap();
    let status = message.body.iter().find_map(|command| match command {
        Command::Status(status) if status.cmd_ref.as_str() == "0" => Some(status.code),
        _ => None,
    });
    status.unwrap()
}

/// What earlier releases left in the store is gone on with, as it was recorded then. With `SYNCML_BLESS` what this release
/// leaves is recorded, if it is not yet.
#[test]
fn a_session_of_an_earlier_release_goes_on() {
    let here = {
        let (world, device) = (World::new(), Device::new("phone"));
        let client = half_way(&world, &device);
        row(world.server.store().as_ref(), session(&client.outgoing().unwrap()), |_| {})
    };
    let own = recorded(here.state_version);
    if !own.exists() && std::env::var_os("SYNCML_BLESS").is_some() {
        std::fs::create_dir_all(own.parent().unwrap()).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&here.state).unwrap();
        std::fs::write(&own, serde_json::to_string_pretty(&state).unwrap() + "\n").unwrap();
    }
    for version in 1..=here.state_version {
        let state = std::fs::read(recorded(version)).unwrap();
        let (world, device) = (World::new(), Device::new("phone"));
        let mut client = half_way(&world, &device);
        let key = session(&client.outgoing().unwrap());
        row(world.server.store().as_ref(), key, |row| (row.state_version, row.state) = (version, state.clone()));
        finish(&world, &mut client);
        assert_eq!((world.cards().len(), device.cards().len()), (2, 2), "version {version}");
    }
}

/// What a later release left cannot be read: the device is asked for patience, and goes on where that one is.
#[test]
fn a_session_of_a_later_release_is_left_alone() {
    for world in World::each() {
        let device = Device::new("phone");
        let mut client = half_way(&world, &device);
        let out = client.outgoing().unwrap();
        let (store, key) = (world.server.store().as_ref(), session(&out));
        let mine = row(store, key, |_| {});
        let theirs = row(store, key, |row| {
            row.state_version += 1;
            row.state = b"nobody knows".to_vec();
        });
        for _ in 0..2 {
            assert_eq!(header_code(&world.post(&out).unwrap()), StatusCode::IN_PROGRESS);
        }
        // Nor is it a session to anybody else.
        let stolen = String::from_utf8(out.body.clone()).unwrap().replace("<LocURI>phone<", "<LocURI>thief<");
        assert_ne!(stolen.as_bytes(), out.body);
        let answer = world.server.answer(&world.request(&out.uri, out.content_type, stolen.as_bytes()));
        assert!(matches!(answer, Err(Refusal::SessionGone)), "{answer:?}");
        assert_eq!(row(store, key, |_| {}), theirs, "nothing was changed");
        row(store, key, |row| row.clone_from(&mine));
        finish(&world, &mut client);
        assert_eq!((world.cards().len(), device.cards().len()), (2, 2));
    }
}
