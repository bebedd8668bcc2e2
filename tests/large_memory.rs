//! A large object passes with memory bounded by the message, not by the object: from a device to the server and on to
//! another device, each with its database in a file. One test only: the allocator counts everything that happens in the
//! process. What SQLite itself takes is not counted: its page caches, 2 MB for each connection at most.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Timestamp};
use syncml::session::{Client, ClientBook, Report, ServerConfig};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{BookNo, Store, large};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Both sides' MaxMsgSize.
const MESSAGE: usize = 65_536;

/// All that one call of either side may allocate, in messages, whether or not it gives it back meanwhile; so no more can be
/// held at any time. It is the chunk undone from base64 (2), the pieces it is kept in (2), the range read for the next
/// chunk (1), its base64 (1), the message being written and a copy to try how much fits, kept for a retry (2).
const STEP: usize = 8 * MESSAGE;

/// What may be held from one call to the next: the request, the reply, the state.
const HELD: usize = 3 * MESSAGE;

/// The object's length: 50 MB where the environment asks for all there is.
fn length() -> u64 {
    #[allow(clippy::disallowed_methods)] // what the environment names is for the tests alone
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| !full.is_empty() && full != "0");
    if full { 50_000_000 } else { 8_000_000 }
}

/// Bytes that are nowhere: each is made when it is read. No two pieces are alike.
struct Source {
    length: u64,
    at: u64,
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.length - self.at).unwrap().min(buf.len());
        for (place, byte) in buf[..count].iter_mut().enumerate() {
            *byte = ((self.at + place as u64) % 65_521) as u8;
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Start(at) => self.at = at,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(self.at)
    }
}

fn device(folder: &tempfile::TempDir, name: &str, encoding: Encoding) -> Device {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join(name)).unwrap());
    let account = store.directory().put_login("local", &Verifier::Md5([0; 16])).unwrap();
    let mut config = Device::new(name).config;
    (config.encoding, config.max_msg_size, config.max_obj_size) = (encoding, MESSAGE as u64, 100_000_000);
    config.books = vec![ClientBook {
        book: BookNo::FILES,
        local_uri: "./files".to_owned(),
        remote_uri: "files".to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    }];
    Device { store, account, config }
}

/// What was seen of a session.
#[derive(Default)]
struct Seen {
    messages: usize,
    bytes_sent: usize,
    bytes_received: usize,
    /// The most that one call allocated.
    step: usize,
}

impl Seen {
    fn call<T>(&mut self, what: &str, call: impl FnOnce() -> T) -> T {
        let region = Region::new(ALLOCATOR);
        let result = call();
        let allocated = region.change().bytes_allocated;
        assert!(allocated <= STEP, "{what} of message {} allocated {allocated} of {STEP} bytes", self.messages);
        self.step = self.step.max(allocated);
        result
    }
}

/// Runs a session in which every tenth reply is lost, so that its request is posted again.
fn sync(world: &mut World, device: &Device) -> (Report, Seen) {
    world.tick();
    let mut seen = Seen::default();
    let begin = || Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let mut client = seen.call("beginning", begin);
    let held = Region::new(ALLOCATOR);
    while let Some(out) = seen.call("the request", || client.outgoing()) {
        seen.messages += 1;
        seen.bytes_sent += out.body.len();
        let request = world.request(&out.uri, out.content_type, &out.body);
        let mut reply = seen.call("the answer", || world.server.answer(&request)).unwrap();
        if seen.messages % 10 == 0 {
            let again = seen.call("the repeated answer", || world.server.answer(&request)).unwrap();
            assert!(again.body == reply.body, "a message posted again has the same answer");
            reply = again;
        }
        assert!(out.body.len() <= MESSAGE && reply.body.len() <= MESSAGE);
        seen.bytes_received += reply.body.len();
        seen.call("the reply", || client.received(reply.content_type, &reply.body, world.now)).unwrap();
        let change = held.change();
        let kept = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        assert!(kept <= HELD, "{kept} of {HELD} bytes are held after message {}", seen.messages);
    }
    (client.report(), seen)
}

#[test]
fn a_large_object_passes_in_bounded_memory() {
    let length = length();
    for (up, down) in [(Encoding::Wbxml, Encoding::Xml), (Encoding::Xml, Encoding::Wbxml)] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::default();
        (config.max_msg_size, config.max_obj_size) = (MESSAGE as u64, 100_000_000);
        let mut world = World::with(Arc::new(SqliteStore::open(folder.path().join("server")).unwrap()), config);
        let (one, two) = (device(&folder, "one", up), device(&folder, "two", down));

        // From the host into the store.
        let region = Region::new(ALLOCATOR);
        let mut source = Source { length, at: 0 };
        let put = large::put(one.store.as_ref(), one.account, BookNo::FILES, None, None, &mut source, Timestamp(0));
        put.unwrap();
        let change = region.change();
        assert!(change.bytes_allocated.saturating_sub(change.bytes_deallocated) <= MESSAGE);

        // What goes as base64 is a third longer. Nothing goes twice but what was lost.
        let as_sent =
            |encoding| usize::try_from(if encoding == Encoding::Xml { length / 3 * 4 } else { length }).unwrap();
        let (report, seen) = sync(&mut world, &one);
        assert!(report.clean && report.books[0].sent.added == 1, "{report:?}");
        assert!(seen.bytes_sent >= as_sent(up) && seen.bytes_sent <= as_sent(up) + seen.messages * 2_000);
        println!("up as {up:?}: {} messages, at most {} bytes allocated in a call", seen.messages, seen.step);
        let (report, seen) = sync(&mut world, &two);
        assert!(report.clean && report.books[0].received.added == 1, "{report:?}");
        assert!(seen.bytes_received >= as_sent(down) && seen.bytes_received <= as_sent(down) + seen.messages * 2_000);
        println!("down as {down:?}: {} messages, at most {} bytes allocated in a call", seen.messages, seen.step);

        // From the store to the host.
        let guid = common::items(two.store.as_ref(), two.account, BookNo::FILES)[0].guid;
        let region = Region::new(ALLOCATOR);
        let mut reader = large::Reader::open(two.store.as_ref(), two.account, BookNo::FILES, guid).unwrap().unwrap();
        assert_eq!(reader.len(), length);
        let mut source = Source { length, at: 0 };
        let (mut found, mut wanted) = (vec![0; MESSAGE], vec![0; MESSAGE]);
        loop {
            let count = reader.read(&mut found).unwrap();
            source.read_exact(&mut wanted[..count]).unwrap();
            assert!(found[..count] == wanted[..count]);
            if count == 0 {
                break;
            }
        }
        assert_eq!(source.at, length);
        let change = region.change();
        let kept = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        assert!(kept <= 4 * MESSAGE, "{kept} bytes are held after reading");
    }
}
