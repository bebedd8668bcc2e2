//! The store of `examples/embedder_store.rs` against the store kit, and against power cuts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod common;
#[path = "../examples/embedder_store.rs"]
#[allow(unreachable_pub)]
mod embedder_store;

use common::{Device, World, numbered};
use embedder_store::FileStore;
use std::fs;
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::kit::sim::{Schedule, simulate};
use syncml::message::Timestamp;
use syncml::session::ServerConfig;
use syncml::store::{AccountNo, BookNo, Directory, Keys, Result, Store, StoreError, Tx, Verdict};
use tempfile::TempDir;

/// Keeps the folder as long as the store.
struct InFolder(FileStore, #[allow(dead_code)] TempDir);

impl Store for InFolder {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.0.step(account, work)
    }

    fn directory(&self) -> &dyn Directory {
        self.0.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.0.keys()
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.0.rotate_keys(since)
    }
}

fn store() -> InFolder {
    let folder = tempfile::tempdir().unwrap();
    InFolder(FileStore::open(&folder.path().join("kept.log"), [3; 32]).unwrap(), folder)
}

mod kit {
    syncml::store_kit_tests!(|| Box::new(super::store()));
}

#[test]
fn it_has_no_more_than_150_lines() {
    let text = include_str!("../examples/embedder_store.rs");
    assert!(text.lines().count() <= 150, "{}", text.lines().count());
}

#[test]
fn the_simulator_finds_nothing_in_it() {
    for seed in 1..=2 {
        simulate(&Schedule::new(seed, 120), Arc::new(store())).unwrap();
    }
}

/// The file is opened again after every message, cut off within the step that was under way.
///
/// Catalogue: X1
#[test]
fn a_session_survives_a_power_cut_after_every_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.log");
    let open = || Arc::new(FileStore::open(&path, [3; 32]).unwrap());
    let mut world = World::with(open(), ServerConfig::default());
    let device = Device::new("phone");
    for n in 0..30 {
        world.put(&numbered(n));
        device.put(&numbered(20 + n));
    }
    for _ in 0..2 {
        world.tick();
        let (store, account, config) = (device.store.clone(), device.account, device.config.clone());
        let mut client = syncml::session::Client::begin(store, account, config, world.now).unwrap();
        while let Some(out) = client.outgoing() {
            let whole = fs::metadata(&path).unwrap().len();
            let unheard = world.post(&out).unwrap();
            // Some of what the step wrote is on the disk, and nobody heard that it was done.
            let written = fs::metadata(&path).unwrap().len();
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len((whole + written).div_ceil(2)).unwrap();
            world = World { now: world.now, ..World::with(open(), ServerConfig::default()) };
            let reply = world.post(&out).unwrap();
            assert_eq!(unheard.content_type, reply.content_type);
            // And once more, with all of it on the disk.
            world = World { now: world.now, ..World::with(open(), ServerConfig::default()) };
            if out.uri.contains("?s=") {
                assert_eq!(world.post(&out).unwrap().body, reply.body);
            }
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        assert!(client.report().clean);
    }
    assert_eq!(world.cards().len(), 50);
    assert_eq!(world.cards(), device.cards());
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.log");
    let store = FileStore::open(&path, [3; 32]).unwrap();
    let account = store.directory().put_login("ann", &Verifier::Md5([0; 16])).unwrap();
    common::put(&store, account, BookNo::CONTACTS, None, &numbered(1), Timestamp(0));
    drop(store);
    let sound = fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    damaged.extend(&sound);
    fs::write(&path, damaged).unwrap();
    assert!(matches!(FileStore::open(&path, [3; 32]), Err(StoreError::Corrupt(_))));
    fs::write(&path, sound).unwrap();
    assert_eq!(FileStore::open(&path, [9; 32]).unwrap().keys().unwrap(), {
        let fresh = folder.path().join("fresh.log");
        FileStore::open(&fresh, [3; 32]).unwrap().keys().unwrap()
    });
}
