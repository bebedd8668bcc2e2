//! What becomes of steps on PostgreSQL whose connections break, wherever that is: nothing is lost and nothing done twice.
#![cfg(all(feature = "postgres", unix))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "common/cut.rs"]
mod cut;

use cluster::{Cluster, Database, cluster};
use common::{Device, World, numbered, put};
use cut::{Cut, Cutter};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use syncml::auth::Secret;
use syncml::message::Timestamp;
use syncml::session::{Client, Refusal, ServerConfig};
use syncml::store::postgres::{PostgresOptions, PostgresStore};
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Revision, Store, StoreError, Tx, Verdict};

const ACCOUNT: AccountNo = AccountNo(7);
const BOOK: BookNo = BookNo::CONTACTS;

/// A server, a database of it, and a node behind a cutter.
struct Place<'c> {
    database: Database<'c>,
    cutter: Cutter,
    node: Arc<PostgresStore>,
}

fn place(cluster: &Cluster, change: impl FnOnce(&mut PostgresOptions)) -> Place<'_> {
    let database = cluster.database();
    let cutter = Cutter::before(cluster.socket());
    let mut options = PostgresOptions::default();
    change(&mut options);
    let node = Arc::new(PostgresStore::open(&cutter.url(&database.name), options).unwrap());
    Place { database, cutter, node }
}

/// Adds an item of that content.
fn add(tx: &mut dyn Tx, content: &str) -> Result<(), StoreError> {
    let row = tx.lock_books(&[BOOK])?.remove(0);
    let mut writer = BookWriter::new(row, None, Timestamp(1));
    writer.add(Draft { content: content.as_bytes().into(), ..Draft::default() });
    writer.flush(tx)
}

/// Adds an item in a step; how often that was run.
fn add_in_step(store: &PostgresStore, content: &str) -> Result<usize, StoreError> {
    let mut runs = 0;
    store.step(ACCOUNT, &mut |tx| {
        runs += 1;
        add(tx, content).map(|()| Verdict::Commit)
    })?;
    Ok(runs)
}

/// The contents of all items.
fn contents(store: &PostgresStore) -> Vec<String> {
    let mut found = Vec::new();
    let step = store.look(ACCOUNT, &mut |tx| {
        found = tx.changes(BOOK, Revision(0), Revision(i64::MAX), 1000)?;
        Ok(())
    });
    step.unwrap();
    found.iter().map(|item| String::from_utf8(item.content.to_vec()).unwrap()).collect()
}

/// Catalogue: X1
#[test]
fn a_commit_without_an_answer_is_told_apart() {
    let Some(cluster) = cluster() else { return };
    let Place { database: _database, cutter, node } = place(cluster, |_| {});
    assert_eq!(add_in_step(&node, "first").unwrap(), 1);
    cutter.cut_commit(Cut::Before);
    assert_eq!(add_in_step(&node, "not done").unwrap(), 2);
    assert!(cutter.was_cut());
    cutter.cut_commit(Cut::After);
    assert_eq!(add_in_step(&node, "done").unwrap(), 1);
    assert!(cutter.was_cut());
    let mut expected = vec!["first".to_owned(), "not done".to_owned(), "done".to_owned()];
    for number in 0..20 {
        cutter.cut_commit(Cut::Midway);
        add_in_step(&node, &format!("either {number}")).unwrap();
        assert!(cutter.was_cut());
        expected.push(format!("either {number}"));
    }
    assert_eq!(contents(&node), expected);
}

/// The directory's changes are steps, too.
#[test]
fn an_account_is_made_once() {
    let Some(cluster) = cluster() else { return };
    let Place { database: _database, cutter, node } = place(cluster, |_| {});
    for (name, cut) in [("ada", Cut::Before), ("bo", Cut::After)] {
        cutter.cut_commit(cut);
        let verifier = syncml::auth::Verifier::Md5([0; 16]);
        let account = node.directory().put_login(name, &verifier).unwrap();
        assert!(cutter.was_cut());
        assert_eq!(node.directory().account(name).unwrap(), Some(account));
    }
    assert_eq!(node.directory().accounts().unwrap().len(), 2);
}

/// A COMMIT that arrives when the node has asked what became of it and begun anew.
#[test]
fn a_commit_that_arrives_late_is_not_done() {
    let Some(cluster) = cluster() else { return };
    let Place { database, cutter, node } = place(cluster, |_| {});
    add_in_step(&node, "first").unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let (name, seen) = (database.name.clone(), Arc::clone(&asked));
    cutter.cut_commit(Cut::Late(Box::new(move || {
        while cluster.sql(&name, "SELECT count(*) FROM syncml.mark WHERE fenced") == "0" {
            thread::sleep(Duration::from_millis(10));
        }
        seen.store(1, Ordering::SeqCst);
    })));
    assert_eq!(add_in_step(&node, "once").unwrap(), 2);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(contents(&node), ["first", "once"]);
}

/// PostgreSQL crashes before the COMMIT reaches it, and gives the transaction's number to another one.
#[test]
fn a_number_used_again_after_a_crash_misleads_nobody() {
    let Some(cluster) = Cluster::start() else { return };
    // Nothing of a transaction is on disk before a commit, so that its number is free after a crash.
    cluster.sql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'");
    cluster.restart("fast");
    let database = cluster.database();
    let cutter = Cutter::before(cluster.socket());
    let node = PostgresStore::open(&cutter.url(&database.name), PostgresOptions::default()).unwrap();
    let other = database.open();
    add_in_step(&node, "first").unwrap();
    thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel();
        let (cluster, other) = (&cluster, &other);
        scope.spawn(move || {
            let () = receive.recv().unwrap();
            cluster.restart("immediate");
            for number in 0..5 {
                add_in_step(other, &format!("other {number}")).unwrap();
            }
            done.send(()).unwrap();
        });
        cutter.cut_commit(Cut::Instead(Box::new(move || {
            send.send(()).unwrap();
            wait.recv().unwrap();
        })));
        add_in_step(&node, "mine").unwrap();
    });
    let expected = ["first", "other 0", "other 1", "other 2", "other 3", "other 4", "mine"];
    assert_eq!(contents(&node), expected);
}

/// Nobody can be asked whether it was done: the node does not do it again, and says that it may be done.
#[test]
fn a_server_that_is_gone_leaves_it_open() {
    let Some(cluster) = cluster() else { return };
    let Place { database, cutter, node } =
        place(cluster, |options| options.connection_timeout = Duration::from_millis(200));
    add_in_step(&node, "first").unwrap();
    cutter.cut_commit(Cut::Gone);
    match add_in_step(&node, "second") {
        Err(StoreError::Busy(text)) => assert!(text.contains("not known"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(contents(&database.open()), ["first", "second"]);
    assert!(matches!(add_in_step(&node, "third"), Err(StoreError::Busy(_))), "nobody answers");
    cutter.open();
    add_in_step(&node, "third").unwrap();
    assert_eq!(contents(&node), ["first", "second", "third"]);
}

/// Every exchange of a session breaks once, before it is done and after.
///
/// Catalogue: X1
#[test]
fn a_session_survives_a_break_at_every_exchange() {
    let Some(cluster) = cluster() else { return };
    let Place { database, cutter, node } = place(cluster, |_| {});
    let beside = Arc::new(database.open());
    let mut world = World::with(node, ServerConfig::default());
    world.judged = false;
    let phone = Device::new("phone");
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1");
    let mut cards = 0;
    let mut sessions = |cut: &dyn Fn() -> Cut, number: usize| {
        put(beside.as_ref(), world.account, BOOK, None, &numbered(cards), world.now);
        phone.put(&numbered(cards + 1));
        cards += 2;
        world.tick();
        cutter.cut(number, cut());
        let mut client = Client::begin(phone.store.clone(), phone.account, phone.config.clone(), world.now).unwrap();
        while let Some(out) = client.outgoing() {
            let reply = loop {
                match world.server.answer(&world.request(&out.uri, out.content_type, &out.body)) {
                    Ok(reply) => break reply,
                    Err(Refusal::Unavailable(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            };
            client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), world.now).unwrap();
        }
        let report = client.report();
        assert!(report.books.iter().all(|book| book.clean), "{number}: {report:?}");
        cutter.was_cut()
    };
    assert!(!sessions(&|| Cut::Before, usize::MAX));
    let step = if full { 1 } else { 6 };
    for (first, cut) in [(1, &(|| Cut::Before) as &dyn Fn() -> Cut), (3, &|| Cut::After), (5, &|| Cut::Midway)] {
        let mut number = if full { 1 } else { first };
        while sessions(cut, number) {
            number += step;
        }
        assert!(number > 40, "a session has {number} exchanges");
    }
    // What was prepared is forgotten, as behind a pooler of transactions.
    for number in [1, 2, 5, 20] {
        assert!(sessions(&|| Cut::Behind("DEALLOCATE ALL"), number), "{number}");
    }
    let expected: BTreeSet<String> = (0..cards).map(|n| numbered(n).replace("\r\n", "\n")).collect();
    let expected: Vec<String> = expected.into_iter().collect();
    assert_eq!(world.cards(), expected);
    assert_eq!(phone.cards(), expected);
}

/// What waits for nothing goes out with what does.
#[test]
fn a_session_without_changes_waits_seldom() {
    let Some(cluster) = cluster() else { return };
    // One connection: all is prepared after the first sessions.
    let Place { database: _database, cutter, node } = place(cluster, |options| options.connections = 1);
    let mut world = World::with(node, ServerConfig::default());
    let phone = Device::new("phone");
    phone.put(&numbered(0));
    let mut session = || {
        let before = cutter.counts();
        assert!(world.sync(&phone).unwrap().books.iter().all(|book| book.clean));
        let now = cutter.counts();
        (now.0 - before.0, now.1 - before.1)
    };
    for _ in 0..3 {
        session();
    }
    // 21 exchanges, as docs/performance.md says.
    let (sent, waits) = session();
    assert!(sent <= 47 && waits <= 21, "{sent} statements and batches, {waits} exchanges");
    assert!(waits > 0 && sent > waits, "nothing was counted: {sent}, {waits}");
}

/// Nobody waits for the answer to its end.
#[test]
fn a_look_is_over_when_it_has_seen() {
    let Some(cluster) = cluster() else { return };
    let Place { database: _database, cutter, node } = place(cluster, |_| {});
    let (over, is_over) = std::sync::mpsc::channel();
    let (tell, told) = std::sync::mpsc::channel();
    cutter.cut_rollback(Cut::Instead(Box::new(move || {
        tell.send(is_over.recv_timeout(Duration::from_secs(30))).unwrap();
    })));
    node.look(ACCOUNT, &mut |tx| tx.device("phone").map(drop)).unwrap();
    over.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), Ok(()), "it waited");
}

#[test]
fn a_connection_that_is_ended_in_a_step_costs_a_repetition() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let node = database.open();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'syncml'";
    let mut runs = 0;
    let step = node.step(ACCOUNT, &mut |tx| {
        runs += 1;
        add(tx, "once")?;
        if runs == 1 {
            assert_eq!(database.sql(end), "1");
        }
        tx.book(BOOK).map(|_| Verdict::Commit)
    });
    step.unwrap();
    // Likewise right before the COMMIT, and before the next step.
    let step = node.step(ACCOUNT, &mut |tx| {
        runs += 1;
        add(tx, "again")?;
        if runs == 3 {
            assert_eq!(database.sql(end), "1");
        }
        Ok(Verdict::Commit)
    });
    step.unwrap();
    assert_eq!(runs, 4);
    assert_eq!(database.sql(end), "1");
    assert_eq!(contents(&node), ["once", "again"]);
}

/// Two steps that take books in each other's order: one of them is run again.
#[test]
fn a_deadlock_costs_a_repetition() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let nodes = [database.open(), database.open()];
    let (runs, meet) = (AtomicUsize::new(0), Barrier::new(2));
    let order = [[BOOK, BookNo::CALENDAR], [BookNo::CALENDAR, BOOK]];
    thread::scope(|scope| {
        for (node, [first, second]) in nodes.iter().zip(order) {
            let (runs, meet) = (&runs, &meet);
            scope.spawn(move || {
                let mut mine = 0;
                let step = node.step(ACCOUNT, &mut |tx| {
                    mine += 1;
                    runs.fetch_add(1, Ordering::SeqCst);
                    tx.lock_books(&[first])?;
                    if mine == 1 {
                        meet.wait();
                    }
                    tx.lock_books(&[second])?;
                    Ok(Verdict::Commit)
                });
                step.unwrap();
            });
        }
    });
    assert!(runs.load(Ordering::SeqCst) > 2, "there was no deadlock");
}

#[test]
fn waiting_has_limits() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let short = |change: fn(&mut PostgresOptions)| {
        let mut options = PostgresOptions::default();
        change(&mut options);
        PostgresStore::open(&cluster.url(&database.name), options).unwrap()
    };
    let busy = |answer: Result<usize, StoreError>, why: &str| match answer {
        Err(StoreError::Busy(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{why}: {other:?}"),
    };
    let holder = database.open();
    add_in_step(&holder, "first").unwrap();
    // For a lock, and for a statement.
    let (locks, statements) = (
        short(|options| options.lock_timeout = Duration::from_millis(100)),
        short(|options| options.statement_timeout = Duration::from_millis(100)),
    );
    let step = holder.step(ACCOUNT, &mut |tx| {
        tx.lock_books(&[BOOK])?;
        busy(add_in_step(&locks, "no"), "lock timeout");
        busy(add_in_step(&statements, "no"), "statement timeout");
        Ok(Verdict::Rollback)
    });
    step.unwrap();
    // For a connection.
    let one = short(|options| {
        options.connections = 1;
        options.connection_timeout = Duration::from_millis(100);
    });
    let step = one.step(ACCOUNT, &mut |_| {
        busy(add_in_step(&one, "no"), "in use");
        Ok(Verdict::Rollback)
    });
    step.unwrap();
    for store in [&locks, &statements, &one] {
        add_in_step(store, "yes").unwrap();
    }
    assert_eq!(contents(&holder), ["first", "yes", "yes", "yes"]);
}

/// A standby that does not answer: nothing is acknowledged, however long that takes.
#[test]
fn a_commit_waits_for_its_standby() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let mut options = PostgresOptions::default();
    options.statement_timeout = Duration::from_millis(100);
    let node = PostgresStore::open(&cluster.url(&database.name), options).unwrap();
    add_in_step(&node, "first").unwrap();
    let set = |names: &str| {
        cluster.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
    };
    set("nobody");
    while cluster.sql("postgres", "SHOW synchronous_standby_names") != "nobody" {
        thread::sleep(Duration::from_millis(10));
    }
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
                  AND query_start < clock_timestamp() - interval '500 ms'";
    thread::scope(|scope| {
        let step = scope.spawn(|| add_in_step(&node, "second"));
        while database.sql(waits) == "0" {
            assert!(!step.is_finished(), "it is acknowledged: {:?}", step.join());
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!step.is_finished());
        set("");
        assert_eq!(step.join().unwrap().unwrap(), 1);
    });
    assert_eq!(contents(&node), ["first", "second"]);
}

/// A database, or a whole server, that cannot be written, as a former primary: its connections are not kept.
#[test]
fn a_read_only_server_is_left_as_soon_as_it_can_be() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let name = &database.name;
    cluster.sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let node = database.open();
    assert!(matches!(add_in_step(&node, "no"), Err(StoreError::ReadOnly(_))));
    cluster.sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    add_in_step(&node, "yes").unwrap();
    assert_eq!(contents(&node), ["yes"]);
}

/// Whatever a database is set to, an answer is on disk before it leaves.
#[test]
fn commits_are_durable_whatever_the_default() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let name = &database.name;
    for (default, expected) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        cluster.sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = {default}"));
        database.sql("CREATE TABLE IF NOT EXISTS public.seen (value TEXT)");
        database.sql(
            "CREATE OR REPLACE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$",
        );
        database.sql(
            "CREATE OR REPLACE TRIGGER see BEFORE INSERT ON syncml.book FOR EACH ROW EXECUTE FUNCTION public.see()",
        );
        let node = database.open();
        let step = node.step(AccountNo(8), &mut |tx| {
            tx.lock_books(&[BookNo(i64::from(default.len() as u32))])?;
            Ok(Verdict::Commit)
        });
        step.unwrap();
        assert_eq!(database.sql("DELETE FROM public.seen RETURNING value"), expected, "{default}");
    }
    cluster.sql("postgres", &format!("ALTER DATABASE {name} RESET synchronous_commit"));
    database.sql("DROP TRIGGER see ON syncml.book");
}

#[test]
fn marks_of_connections_that_are_gone_are_swept() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    let node = database.open();
    add_in_step(&node, "first").unwrap();
    let count = "SELECT count(*) FROM syncml.mark";
    let before: usize = database.sql(count).parse().unwrap();
    database.sql("UPDATE syncml.mark SET at = at - interval '2 days'");
    drop(database.open());
    assert_eq!(database.sql(count), "0", "of {before}");
    // Who lives on makes another.
    add_in_step(&node, "second").unwrap();
    add_in_step(&node, "third").unwrap();
    assert_eq!(database.sql("SELECT step FROM syncml.mark"), "3");
}

/// Names of certificates, whom to trust, and what is without encryption.
#[test]
fn connections_are_encrypted_where_the_url_says_so() {
    let Some(cluster) = Cluster::start_encrypted() else { return };
    let database = cluster.database();
    let open = |host: &str, options: &str| {
        let (name, port) = (&database.name, cluster.port);
        PostgresStore::open(&format!("postgres://syncml@{host}:{port}/{name}?{options}"), PostgresOptions::default())
    };
    let encrypted = "SELECT coalesce(string_agg(ssl::text, ' '), '') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                      WHERE datname = current_database() AND application_name = 'syncml'";
    let roots = cluster.file("data/server.crt");
    let node = open("localhost", &format!("sslmode=verify-full&sslrootcert={roots}")).unwrap();
    let large = "x".repeat(300_000);
    add_in_step(&node, &large).unwrap();
    assert_eq!(contents(&node), [large]);
    assert_eq!(database.sql(encrypted), "true");
    drop(node);
    drop(open("localhost", &format!("sslmode=require&sslrootcert={}", roots.replace('/', "%2F"))).unwrap());
    let refused = |host: &str, options: &str, why: &str| match open(host, options) {
        Err(StoreError::Failed(text)) => assert!(text.contains(why), "{options}: {text}"),
        other => panic!("{options}: {other:?}"),
    };
    refused("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={roots}"), "certificate");
    refused("localhost", "sslmode=verify-full", "certificate");
    refused("localhost", "sslmode=require", "certificate");
    let other = cluster.file("data/other.crt");
    refused("localhost", &format!("sslmode=verify-full&sslrootcert={other}"), "certificate");
    refused("localhost", "sslmode=verify-full&sslrootcert=/dev/null", "no certificate");
    // A server that does not know how.
    let cutter = Cutter::before(cluster.socket());
    let plain = cutter.url(&database.name);
    drop(PostgresStore::open(&plain, PostgresOptions::default()).unwrap());
    let asked = PostgresStore::open(
        &format!("{}?sslmode=require&sslrootcert={roots}", plain.replace("127.0.0.1", "localhost")),
        PostgresOptions::default(),
    );
    assert!(
        matches!(&asked, Err(StoreError::Failed(text) | StoreError::Busy(text)) if text.contains("TLS")),
        "{asked:?}"
    );
    // A password, and a wrong one, which is not shown.
    cluster.sql("postgres", "CREATE ROLE walled LOGIN SUPERUSER PASSWORD 'open sesame'");
    let url =
        format!("postgres://walled@localhost:{}/{}?sslmode=require&sslrootcert={roots}", cluster.port, database.name);
    for (password, fits) in [("open sesame", true), ("open barley", false)] {
        let mut options = PostgresOptions::default();
        options.password = Some(Secret::new(password.to_owned()));
        assert!(!format!("{options:?}").contains("open"));
        match PostgresStore::open(&url, options) {
            Ok(_) => assert!(fits),
            Err(StoreError::Failed(text)) => assert!(!fits && text.contains("28P01") && !text.contains("barley")),
            Err(other) => panic!("{other}"),
        }
    }
}
