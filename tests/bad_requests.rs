//! Malformed and mutated requests over real HTTP: 5,000 of them, 200,000 with `SYNCML_TEST_FULL=1`. Whatever comes, the
//! answer is SyncML or an HTTP error that is not the server's own fault, memory stays flat, and in the end a good client's
//! book is as it was and syncs. One test only: the allocator counts everything that happens in the process.
#![cfg(all(feature = "http", feature = "sqlite"))]
// It opens sockets and starts threads; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/abuser.rs"]
#[allow(unreachable_pub)]
mod abuser;
mod common;

use abuser::{Abuser, Dice, Seen};
use common::{Device, PASSWORD, cards, numbered, put};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::message::Timestamp;
use syncml::session::{Client, Report, Server, ServerConfig};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, Store, StoreError};
use syncml::transport::http::client::{HttpClient, Options, run};
use syncml::transport::http::{now, server};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Cards that each side of the good sync has.
const CARDS: usize = 10;

/// Abusers at a time; the server's own bound for one account is 64 messages.
const ABUSERS: usize = 4;

/// What may be held after all the abuse beyond what was held after a tenth of it: the counters of failed credentials
/// (10,000 of 200 bytes), and pages of the allocator and of SQLite.
const HELD: usize = 4 << 20;
const RESIDENT: usize = 48 << 20;

struct Site {
    _runtime: Runtime,
    store: Arc<dyn Store>,
    alice: AccountNo,
    address: SocketAddr,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.join("books.db")).unwrap());
        let password = || Verifier::Password(Secret::new(PASSWORD.to_owned()));
        let alice = store.directory().put_login("alice", &password()).unwrap();
        // An account of the abusers' own, so that they come further than the door.
        store.directory().put_login("mallory", &password()).unwrap();
        for n in 0..CARDS {
            put(store.as_ref(), alice, BookNo::CONTACTS, None, &numbered(n), Timestamp(0));
        }
        let mut config = ServerConfig::default();
        (config.allow_basic, config.max_items, config.max_msg_size) = (true, Some(200), 40_000);
        let server = Arc::new(Server::new(Arc::clone(&store), config).unwrap());
        let mut options = server::Options::default();
        (options.header_timeout, options.body_timeout) = (Duration::from_millis(700), Duration::from_millis(700));
        // Each abuser's message comes from elsewhere, or they would soon have to wait.
        options.address_header = Some("x-forwarded-for".parse().unwrap());
        options.on_failure = Some(Arc::new(|why: &StoreError| eprintln!("the store failed: {why}")));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(server::serve(listener, server, options, std::future::pending()));
        Self { _runtime: runtime, store, alice, address }
    }

    fn cards(&self) -> Vec<String> {
        cards(self.store.as_ref(), self.alice, BookNo::CONTACTS)
    }

    /// Abuses it with so many requests.
    fn abuse(&self, requests: usize, seed: u64) -> Seen {
        let threads: Vec<_> = (0..ABUSERS as u64)
            .map(|number| {
                let (address, dice) = (self.address, Dice::new(seed * 1_000 + number));
                std::thread::spawn(move || Abuser::new(address, dice, number).abuse(requests / ABUSERS))
            })
            .collect();
        let mut seen = Seen::default();
        for thread in threads {
            seen.add(&thread.join().unwrap());
        }
        seen
    }
}

fn device(site: &Site) -> Device {
    let mut device = Device::new("phone");
    device.store = Arc::new(SqliteStore::open_in_memory().unwrap());
    device.account = device.store.directory().put_login("local", &Verifier::Md5([0; 16])).unwrap();
    device.config.server_uri = format!("http://{}/syncml", site.address);
    for n in 0..CARDS {
        device.put(&numbered(CARDS + n));
    }
    device
}

fn sync(device: &Device) -> Report {
    let http = HttpClient::new(Options::default()).unwrap();
    let mut client = Client::begin(Arc::clone(&device.store), device.account, device.config.clone(), now()).unwrap();
    run(&mut client, &http, &mut ()).unwrap();
    client.report()
}

/// Bytes that are held now, and the memory that the process has.
fn memory() -> (usize, usize) {
    // What was abandoned is given up within the server's time limits.
    std::thread::sleep(Duration::from_millis(1_500));
    let stats = ALLOCATOR.stats();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let resident: usize = resident.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    (stats.bytes_allocated - stats.bytes_deallocated, resident << 10)
}

#[test]
fn bad_requests_do_no_harm() {
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| !full.is_empty() && full != "0");
    let requests = if full { 200_000 } else { 5_000 };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path());
    let device = device(&site);
    assert!(sync(&device).clean);
    let book = site.cards();
    assert_eq!((book.len(), &device.cards()), (2 * CARDS, &book));

    let mut seen = site.abuse(requests / 10, 1);
    let (held, resident) = memory();
    for round in 2..=10 {
        seen.add(&site.abuse(requests / 10, round));
        // Meanwhile the good client syncs as ever.
        let report = sync(&device);
        assert!(report.clean && report.books[0].received == Default::default(), "{report:?}");
    }
    let (held_after, resident_after) = memory();
    println!("{seen:#?}\nheld {held} → {held_after} bytes, resident {resident} → {resident_after}");

    assert!(held_after <= held + HELD, "held {held} → {held_after} bytes");
    assert!(resident_after <= resident + RESIDENT, "resident {resident} → {resident_after} bytes");
    assert_eq!(site.cards(), book, "nobody touched another's book");
    device.put(&numbered(99));
    let report = sync(&device);
    assert!(report.clean && site.cards().len() == book.len() + 1, "{report:?}");
    // It was abuse of every kind, and it came far.
    assert!(seen.requests >= requests, "{seen:?}");
    assert!(seen.let_in > requests / 100 && seen.changed > requests / 1_000, "{seen:?}");
    assert!(seen.refused > requests / 10 && seen.given_up > 0, "{seen:?}");
}
