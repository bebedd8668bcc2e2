//! The PostgreSQL store on a cluster of the tests' own: the store kit, two nodes on one database, a server that is
//! restarted, the simulator.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;

use cluster::{Cluster, Database, cluster};
use common::{Device, World, numbered};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use syncml::kit::sim::{Schedule, simulate};
use syncml::kit::store::{CASES, check};
use syncml::message::Timestamp;
use syncml::session::{Client, Outgoing, Refusal, Reply, Server, ServerConfig};
use syncml::store::postgres::{PostgresOptions, PostgresStore};
use syncml::store::{AccountNo, DeviceNo, DeviceRow, Store, StoreError, Verdict};

/// Runs every case of the kit, by that many nodes.
fn kit(nodes: usize) {
    let Some(cluster) = cluster() else { return };
    let mut failed = Vec::new();
    for case in CASES {
        let open = || Box::new(cluster.nodes(nodes)) as Box<dyn Store>;
        if catch_unwind(AssertUnwindSafe(|| check(case.name, &open))).is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Catalogue: X1
#[test]
fn the_store_kit_passes() {
    kit(1);
}

/// Catalogue: X1
#[test]
fn the_store_kit_passes_by_two_nodes() {
    kit(2);
}

/// How often tables below the directory were walked, and how often their indexes were asked, once all is told.
fn scans(database: &Database<'_>) -> (u64, u64) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while database.sql(others) != "0" {
        thread::sleep(Duration::from_millis(20));
    }
    let count = "SELECT coalesce(sum(seq_scan), 0) || ' ' || coalesce(sum(idx_scan), 0) FROM pg_stat_user_tables
                 WHERE schemaname = 'syncml' AND relname <> ALL ('{account, dirty, grant, keys, login, mark, principal,
                  principal_verifier, schema_version}')";
    let counts = database.sql(count);
    let (walked, asked) = counts.split_once(' ').unwrap();
    (walked.parse().unwrap(), asked.parse().unwrap())
}

#[test]
fn no_statement_walks_a_table() {
    // A cluster without other tests, so that every case gets the same database.
    let Some(cluster) = Cluster::start() else { return };
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let before = scans(&cluster.database());
    for case in CASES {
        check(case.name, &|| Box::new(cluster.nodes(1)));
    }
    let after = scans(&cluster.database());
    assert_eq!(after.0 - before.0, 0, "tables were walked");
    assert!(after.1 - before.1 > 1_000, "indexes were asked {} times only", after.1 - before.1);
}

/// Syncs a device by handing each message to `post`.
fn sync(device: &Device, now: Timestamp, mut post: impl FnMut(&Outgoing) -> Reply) {
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
    while let Some(out) = client.outgoing() {
        let reply = post(&out);
        client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), now).unwrap();
    }
    assert!(client.report().books.iter().all(|book| book.clean));
}

fn contacts(numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut cards: Vec<String> = numbers.map(|n| numbered(n).replace("\r\n", "\n")).collect();
    cards.sort();
    cards
}

/// Catalogue: X1, X8
#[test]
fn two_nodes_answer_the_same_message_at_once() {
    let Some(cluster) = cluster() else { return };
    let nodes = cluster.nodes(2);
    let mut world = World::with(nodes.node(0), ServerConfig::default());
    let other = Server::new(nodes.node(1), ServerConfig::default()).unwrap();
    for n in 0..60 {
        world.put(&numbered(n));
    }
    let (phone, tablet) = (Device::new("phone"), Device::new("tablet"));
    for n in 60..120 {
        phone.put(&numbered(n));
    }
    for device in [&phone, &tablet, &phone] {
        world.tick();
        sync(device, world.now, |out| {
            let request = world.request(&out.uri, out.content_type, &out.body);
            let replies = thread::scope(|scope| {
                let answers = [&world.server, &other].map(|server| scope.spawn(|| server.answer(&request)));
                answers.map(|answer| answer.join().unwrap().unwrap())
            });
            let [one, two] = replies;
            assert_eq!(String::from_utf8_lossy(&one.body), String::from_utf8_lossy(&two.body));
            one
        });
    }
    for cards in [world.cards(), phone.cards(), tablet.cards()] {
        assert_eq!(cards, contacts(0..120));
    }
}

/// Catalogue: X1, X8
#[test]
fn a_session_changes_nodes_with_every_message() {
    let Some(cluster) = cluster() else { return };
    let nodes = cluster.nodes(2);
    let mut world = World::with(nodes.node(0), ServerConfig::default());
    let servers = [0, 1].map(|number| Server::new(nodes.node(number), ServerConfig::default()).unwrap());
    for n in 0..60 {
        world.put(&numbered(n));
    }
    let phone = Device::new("phone");
    for n in 60..120 {
        phone.put(&numbered(n));
    }
    for _ in 0..2 {
        world.tick();
        let mut turn = 0;
        sync(&phone, world.now, |out| {
            turn += 1;
            servers[turn % 2].answer(&world.request(&out.uri, out.content_type, &out.body)).unwrap()
        });
    }
    assert_eq!(world.cards(), contacts(0..120));
    assert_eq!(phone.cards(), contacts(0..120));
}

/// Catalogue: X1
#[test]
fn a_restarted_server_costs_no_more_than_a_retry() {
    let Some(cluster) = Cluster::start() else { return };
    let nodes = cluster.nodes(1);
    let mut world = World::with(nodes.node(0), ServerConfig::default());
    for n in 0..60 {
        world.put(&numbered(n));
    }
    let phone = Device::new("phone");
    for n in 60..120 {
        phone.put(&numbered(n));
    }

    // Between two messages: the connections are dead, and nobody notices.
    world.tick();
    let mut messages = 0;
    sync(&phone, world.now, |out| {
        messages += 1;
        if messages == 2 || messages == 3 {
            cluster.restart(if messages == 2 { "fast" } else { "immediate" });
        }
        world.server.answer(&world.request(&out.uri, out.content_type, &out.body)).unwrap()
    });
    assert!(messages > 3, "{messages} messages");

    // In the middle of messages: the client sends the same bytes again.
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for how in ["immediate", "fast", "immediate"] {
                cluster.restart(how);
                thread::sleep(Duration::from_millis(100));
            }
            done.store(1, Ordering::SeqCst);
        });
        let mut next = 120;
        while done.load(Ordering::SeqCst) == 0 {
            phone.put(&numbered(next));
            next += 1;
            world.tick();
            sync(&phone, world.now, |out| {
                let request = world.request(&out.uri, out.content_type, &out.body);
                loop {
                    match world.server.answer(&request) {
                        Ok(reply) => return reply,
                        Err(Refusal::Unavailable(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        assert_eq!(world.cards(), contacts(0..next));
        assert_eq!(phone.cards(), contacts(0..next));
    });
}

/// Catalogue: X9
#[test]
fn the_simulator_finds_nothing() {
    let Some(cluster) = cluster() else { return };
    for seed in 1..=24 {
        simulate(&Schedule::new(seed, 120), Arc::new(cluster.nodes(2))).unwrap();
    }
}

#[test]
fn any_text_is_kept() {
    let Some(cluster) = cluster() else { return };
    let nodes = cluster.nodes(1);
    let world = World::with(nodes.node(0), ServerConfig::default());
    for device_id in ["a\0b", "\u{1}", "ä\u{1}0\0", "'; DROP TABLE item; --"] {
        let (mut made, mut found) = (DeviceNo::NEW, None);
        let step = nodes.step(world.account, &mut |tx| {
            made = tx.put_device(&DeviceRow::new(device_id, Timestamp(1)))?;
            found = tx.device(device_id)?;
            Ok(Verdict::Commit)
        });
        step.unwrap();
        assert_eq!(found.map(|row| (row.device, row.device_id)), Some((made, device_id.to_owned())));
    }
}

/// A text of any length that no index can make shorter.
fn noise(length: usize) -> String {
    let mut seed = 1_u64;
    let mut letter = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (seed >> 33) as u8 % 90)
    };
    (0..length).map(|_| letter()).collect()
}

/// An id of a peer that no index takes: sending it again will not help.
#[test]
fn an_id_that_is_too_long_is_a_failure_for_good() {
    let Some(cluster) = cluster() else { return };
    let nodes = cluster.nodes(1);
    for (length, fits) in [(2_000, true), (9_000, false)] {
        let device_id = noise(length);
        let step = nodes.step(AccountNo(1), &mut |tx| {
            tx.put_device(&DeviceRow::new(&device_id, Timestamp(1)))?;
            Ok(Verdict::Commit)
        });
        match step {
            Ok(()) => assert!(fits),
            Err(StoreError::Corrupt(text)) => assert!(!fits && !text.contains(&device_id[..20]), "{text}"),
            Err(other) => panic!("{other}"),
        }
    }
}

/// What nobody waits for fails with the COMMIT, and all of the step with it.
#[test]
fn what_is_written_later_fails_its_step() {
    let Some(cluster) = cluster() else { return };
    let nodes = cluster.nodes(1);
    let row = DeviceRow::new("phone", Timestamp(1));
    nodes.step(AccountNo(1), &mut |tx| tx.put_device(&row).map(|_| Verdict::Commit)).unwrap();
    let step = nodes.step(AccountNo(1), &mut |tx| {
        let known = tx.device("phone")?.unwrap();
        tx.put_errand(known.device, 1, b"to do")?;
        tx.put_device(&DeviceRow { device_id: noise(9_000), ..known })?;
        Ok(Verdict::Commit)
    });
    assert!(matches!(step, Err(StoreError::Corrupt(_))), "{step:?}");
    let look = nodes.look(AccountNo(1), &mut |tx| {
        let known = tx.device("phone")?.unwrap();
        assert!(tx.errands(known.device, 0, 9)?.is_empty());
        Ok(())
    });
    look.unwrap();
}

/// Nobody waits for the end of a look; it comes all the same.
#[test]
fn a_look_leaves_no_transaction_open() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let node = database.open();
    node.look(AccountNo(1), &mut |tx| tx.device("phone").map(drop)).unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    let ended = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(20));
        database.sql(open) == "0"
    });
    assert!(ended);
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let Some(cluster) = Cluster::start() else { return };
    let open = |url: &str| PostgresStore::open(url, PostgresOptions::default()).map(drop);
    let database = cluster.database();
    let url = cluster.url(&database.name);
    open(&url).unwrap();
    database.sql("UPDATE syncml.schema_version SET version = 99");
    assert!(matches!(open(&url), Err(StoreError::TooNew { found: 99, known: 1 })));
    cluster.sql("postgres", "CREATE DATABASE theirs");
    cluster.sql("theirs", "CREATE SCHEMA syncml; CREATE TABLE syncml.theirs (a INT)");
    assert!(matches!(open(&cluster.url("theirs")), Err(StoreError::Corrupt(text)) if text.contains("another program")));
    cluster.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    assert!(matches!(open(&cluster.url("latin")), Err(StoreError::Failed(text)) if text.contains("UTF8")));
    assert!(matches!(open(&cluster.url("nowhere")), Err(StoreError::Failed(_))));
    assert!(
        matches!(open(&format!("{url}&sslmode=require")), Err(StoreError::Failed(text)) if text.contains("needs a host"))
    );
    assert!(matches!(open("postgres://syncml@/x?host=/nowhere"), Err(StoreError::Busy(_))));
    // Nodes that start at once make one schema.
    cluster.sql("postgres", "CREATE DATABASE new");
    thread::scope(|scope| {
        let nodes = [0; 4].map(|_| scope.spawn(|| open(&cluster.url("new"))));
        nodes.into_iter().for_each(|node| node.join().unwrap().unwrap());
    });
    assert_eq!(cluster.sql("new", "SELECT count(*) FROM syncml.keys"), "1");
    database.sql("UPDATE syncml.schema_version SET version = 1");
}
