//! A disk that is really full: a small file system of the test's own, which root can have; others skip it. (What a full disk does
//! at every message is in `src/store/sqlite/tests.rs`.)
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::{Device, World, card};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use syncml::session::{Client, Refusal, ServerConfig};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{Store, StoreError};
use tempfile::TempDir;

/// A file system in memory of so many kilobytes.
struct Disk(TempDir);

impl Disk {
    fn new(kilobytes: u32) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let size = format!("size={kilobytes}k");
        disk.run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"]).then_some(disk)
    }

    fn resize(&self, kilobytes: u32) {
        assert!(self.run("mount", &["-o", &format!("remount,size={kilobytes}k")]));
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(args).arg(self.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

/// Catalogue: X1
#[test]
fn a_message_for_which_there_is_no_room_is_executed_when_there_is() {
    let Some(disk) = Disk::new(900) else { return println!("skipped: no file system can be mounted here") };
    let path = disk.path().join("server.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let mut config = ServerConfig::default();
    config.max_msg_size = 20_000;
    let mut world = World::with(store.clone(), config);
    let mut device = Device::new("phone");
    device.config.max_msg_size = 20_000;
    for n in 0..150 {
        let long = format!("NOTE:{}\r\nEND:", "long ".repeat(1_000));
        device.put(&card(&format!("Name{n:03}"), &format!("+4930{n:04}")).replace("END:", &long));
    }
    world.tick();
    let (own, account, config) = (device.store.clone(), device.account, device.config.clone());
    let mut client = Client::begin(own, account, config, world.now).unwrap();
    let (mut refused, mut size) = (0, 900);
    while let Some(out) = client.outgoing() {
        let before = world.cards().len();
        let reply = match world.post(&out) {
            Ok(reply) => reply,
            Err(Refusal::Unavailable(why)) => {
                refused += 1;
                assert!(matches!(why, StoreError::Full(_)), "{why}");
                assert_eq!(world.cards().len(), before, "nothing half done");
                // Reading goes on, and so does refusing.
                assert!(store.look(world.account, &mut |tx| tx.books().map(drop)).is_ok());
                world.post(&out).unwrap_err();
                size += 600;
                disk.resize(size);
                world.post(&out).unwrap()
            }
            Err(refusal) => panic!("{refusal}"),
        };
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert!(client.report().clean && refused >= 2, "{refused} refused");
    assert_eq!(world.cards(), device.cards());
    assert_eq!(world.cards().len(), 150);
    store.check().unwrap();
}
