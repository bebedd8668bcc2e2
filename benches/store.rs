//! What a contact costs in the stores, in CPU and elapsed microseconds, beside a bare `(id, content)` insert.
//!
//! `cargo bench --bench store [-- CONTACTS]`, 10,000 by default. CPU time is the thread's, from Linux's
//! `/proc/thread-self/schedstat`; elsewhere only the elapsed time is shown. The best of some rounds, since
//! others use the machine, too. With the feature `postgres`, `SYNCML_BENCH_POSTGRES=URL` names an empty database to add.

// A bench reads clocks, arguments and files, and stops at the first failure.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use rusqlite::Connection;
use std::hint::black_box;
use std::time::Instant;
use syncml::message::Timestamp;
use syncml::store::memory::MemoryStore;
use syncml::store::sqlite::SqliteStore;
use syncml::store::{
    AccountNo, BookNo, BookWriter, DeviceNo, Draft, Guid, MapRow, MapState, PairRow, Revision, SessionKey, SessionRow,
    Store, Token, Tx, Verdict,
};

const ACCOUNT: AccountNo = AccountNo(1);
const DEVICE: DeviceNo = DeviceNo(1);
const BOOK: BookNo = BookNo::CONTACTS;
const CARD: usize = 747;
const PER_STEP: usize = 150;
const ROUNDS: usize = 5;

/// CPU and elapsed seconds.
type Cost = (f64, f64);

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn measure(work: impl FnOnce()) -> Cost {
    let (before, begun) = (cpu(), Instant::now());
    work();
    (cpu() - before, begun.elapsed().as_secs_f64())
}

fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn print(number: usize) -> [u8; 16] {
    let mut print = [0; 16];
    print[..8].copy_from_slice(&mix(number as u64).to_le_bytes());
    print[8..].copy_from_slice(&mix(!number as u64).to_le_bytes());
    print
}

fn draft(number: usize, content: &[u8]) -> Draft<'_> {
    let keys = (0..3).map(|key| mix((number * 3 + key) as u64)).collect::<Vec<_>>();
    Draft { content: content.into(), fingerprint: print(number), keys: keys.into(), ..Draft::default() }
}

fn commit(store: &dyn Store, work: impl FnMut(&mut dyn Tx) -> syncml::store::Result<()>) {
    commit_for(store, ACCOUNT, work);
}

fn commit_for(store: &dyn Store, account: AccountNo, mut work: impl FnMut(&mut dyn Tx) -> syncml::store::Result<()>) {
    store.step(account, &mut |tx| work(tx).map(|()| Verdict::Commit)).unwrap();
}

fn writer<'a>(tx: &mut dyn Tx) -> syncml::store::Result<BookWriter<'a>> {
    Ok(BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), Some(DEVICE), Timestamp(1_700_000_000_000)))
}

/// The numbers below `count` in pages of a message.
fn pages(count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..count).step_by(PER_STEP).map(move |from| from..count.min(from + PER_STEP))
}

fn insert(store: &dyn Store, count: usize) {
    let content = [b'x'; CARD];
    for page in pages(count) {
        commit(store, |tx| {
            let mut writer = writer(tx)?;
            let mut maps = Vec::with_capacity(PER_STEP);
            for number in page.clone() {
                let item = writer.add(draft(number, &content));
                maps.push(MapRow {
                    epoch: 1,
                    luid: (number + 1).to_string(),
                    guid: item.guid,
                    agreed_revision: item.revision,
                    lens: None,
                    view_fp: item.fingerprint,
                    state: MapState::Live,
                });
            }
            writer.flush(tx)?;
            tx.put_maps(DEVICE, BOOK, &maps)
        });
    }
}

fn bare(path: &std::path::Path, count: usize) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    conn.execute_batch("CREATE TABLE bare (id INTEGER PRIMARY KEY, content BLOB)").unwrap();
    let content = [b'x'; CARD];
    for page in pages(count) {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut insert = conn.prepare_cached("INSERT INTO bare VALUES (?1, ?2)").unwrap();
        for number in page {
            insert.execute((number as i64, &content[..])).unwrap();
        }
        conn.execute_batch("COMMIT").unwrap();
    }
}

/// What each kind of work on a store of `count` contacts costs.
fn costs(store: &dyn Store, count: usize) -> Vec<(&'static str, Cost)> {
    let content = [b'y'; CARD];
    let mut found = vec![("insert, with map", measure(|| insert(store, count)))];
    let mut add = |what, work: &mut dyn FnMut()| found.push((what, measure(work)));
    add("read changes", &mut || {
        let mut after = Revision(0);
        loop {
            let mut page = Vec::new();
            commit(store, |tx| {
                page = tx.changes(BOOK, after, Revision(i64::MAX), PER_STEP)?;
                Ok(())
            });
            let Some(last) = page.last() else { break };
            after = last.revision;
        }
    });
    add("find by fingerprint", &mut || {
        for page in pages(count) {
            let prints = page.map(print).collect::<Vec<_>>();
            commit(store, |tx| tx.by_fingerprint(BOOK, &prints, 2).map(|found| drop(black_box(found))));
        }
    });
    add("find map entry by LUID", &mut || {
        for page in pages(count) {
            let luids = page.map(|number| (number + 1).to_string()).collect::<Vec<_>>();
            let luids = luids.iter().map(String::as_str).collect::<Vec<_>>();
            commit(store, |tx| tx.maps_by_luid(DEVICE, BOOK, 1, &luids).map(|found| drop(black_box(found))));
        }
    });
    add("index match keys", &mut || {
        let mut done = false;
        while !done {
            commit(store, |tx| {
                tx.lock_books(&[BOOK])?;
                done = tx.index_more(BOOK, PER_STEP)?;
                Ok(())
            });
        }
    });
    add("find by three match keys", &mut || {
        for page in pages(count) {
            let keys = page.flat_map(|number| (0..3).map(move |key| mix((number * 3 + key) as u64)));
            let keys = keys.collect::<Vec<_>>();
            commit(store, |tx| tx.by_match_key(BOOK, &keys, 32).map(|found| drop(black_box(found))));
        }
    });
    add("update, with history and match keys", &mut || {
        for page in pages(count) {
            let guids = page.clone().map(|number| Guid(number as i64 + 1)).collect::<Vec<_>>();
            commit(store, |tx| {
                let mut writer = writer(tx)?;
                let items = tx.items(BOOK, &guids)?;
                for (number, item) in page.clone().zip(items.iter().flatten()) {
                    writer.replace(item, draft(number + count, &content));
                }
                writer.flush(tx)
            });
        }
    });
    found
}

/// Sessions without changes, of three steps with replies of 2 KB, in so many threads, each with an account of its own.
fn sessions(store: &dyn Store, threads: usize, each: usize) {
    sessions_from(store, 0, threads, each);
}

/// The same with accounts from that number on.
fn sessions_from(store: &dyn Store, first: usize, threads: usize, each: usize) {
    std::thread::scope(|scope| {
        for thread in first..first + threads {
            scope.spawn(move || {
                for number in 0..each {
                    let mut token = Token([thread as u8; 16]);
                    token.0[..8].copy_from_slice(&(number as u64).to_le_bytes());
                    for message in 1..=3 {
                        commit_for(store, AccountNo(thread as i64 + 1), |tx| {
                            tx.session(SessionKey::Token(&token))?;
                            let row = tx.lock_books(&[BOOK])?.remove(0);
                            tx.changes(BOOK, row.head, row.head, PER_STEP)?;
                            let device = DeviceNo(thread as i64 + 2);
                            let pair = tx.pair(device, BOOK)?.unwrap_or_else(|| PairRow::new(device, BOOK));
                            tx.put_pair(&PairRow { cursor: row.head, ..pair })?;
                            tx.put_session(&SessionRow {
                                token,
                                device,
                                session_id: number.to_string(),
                                books: vec![BookNo::CONTACTS],
                                last_msg_id: message,
                                last_digest: [1; 32],
                                recent_digests: Vec::new(),
                                last_reply: vec![b'r'; 2048],
                                reply_type: "application/vnd.syncml+xml".to_owned(),
                                state_version: 1,
                                state: vec![1; 500],
                                deadline: Timestamp(0),
                            })
                        });
                    }
                }
            });
        }
    });
}

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    // Beside the build, not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(option_env!("CARGO_TARGET_TMPDIR").unwrap_or(".")).unwrap();
    let mut best = Vec::<(String, Cost)>::new();
    let mut keep = |what: String, cost: Cost| match best.iter_mut().find(|(known, _)| *known == what) {
        Some((_, known)) => *known = (known.0.min(cost.0), known.1.min(cost.1)),
        None => best.push((what, cost)),
    };
    for round in 0..ROUNDS {
        let path = folder.path().join(format!("bare{round}.db"));
        keep("bare: insert (id, content)".to_owned(), measure(|| bare(&path, count)));
        let sqlite = SqliteStore::open(folder.path().join(format!("store{round}.db"))).unwrap();
        for (what, cost) in costs(&sqlite, count) {
            keep(format!("sqlite: {what}"), cost);
        }
        for (what, cost) in costs(&MemoryStore::new([1; 32]), count) {
            keep(format!("memory: {what}"), cost);
        }
    }
    println!("{count} contacts of {CARD} bytes, {PER_STEP} in a step; µs per contact");
    println!("{:48} {:>8} {:>8}", "", "CPU", "elapsed");
    let per_contact = |seconds: f64| seconds * 1e6 / count as f64;
    for (what, (cpu, elapsed)) in &best {
        println!("{what:48} {:8.2} {:8.2}", per_contact(*cpu), per_contact(*elapsed));
    }
    for threads in [1, 8, 64] {
        let store = SqliteStore::open(folder.path().join(format!("sessions{threads}.db"))).unwrap();
        let each = 1024 / threads;
        let (_, elapsed) = measure(|| sessions(&store, threads, each));
        println!("sqlite: sessions without changes, {threads:2} at a time: {:8.0} a second", 1024.0 / elapsed);
    }
    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var("SYNCML_BENCH_POSTGRES") {
        postgres(&url, count);
    }
}

/// The same in a PostgreSQL database, which should be empty.
#[cfg(feature = "postgres")]
fn postgres(url: &str, count: usize) {
    use syncml::store::postgres::{PostgresOptions, PostgresStore};
    let open = |_| PostgresStore::open(url, PostgresOptions::default()).unwrap();
    let store = open(0);
    for (what, (cpu, elapsed)) in costs(&store, count) {
        let what = format!("postgres: {what}");
        println!("{what:48} {:8.2} {:8.2}", cpu * 1e6 / count as f64, elapsed * 1e6 / count as f64);
    }
    println!("sessions without changes, 20 at a time for each node; CPU in µs per session");
    let folder = data_folder(url);
    for nodes in [1, 3] {
        let stores: Vec<PostgresStore> = (0..nodes).map(open).collect();
        let all = |each: usize| {
            std::thread::scope(|scope| {
                for (number, store) in stores.iter().enumerate() {
                    scope.spawn(move || sessions_from(store, number * PER_NODE, PER_NODE, each));
                }
            });
        };
        // Connections, plans and pages are there from then on.
        all(4);
        let before = (processes_cpu(|pid| pid == std::process::id()), database_cpu(folder.as_deref()));
        let (_, elapsed) = measure(|| all(SESSIONS / PER_NODE));
        let after = (processes_cpu(|pid| pid == std::process::id()), database_cpu(folder.as_deref()));
        let done = (nodes * SESSIONS) as f64;
        println!(
            "postgres: {nodes} nodes: {:8.0} sessions a second; CPU of the nodes {:.0}, of PostgreSQL {:.0}",
            done / elapsed,
            (after.0 - before.0) * 1e6 / done,
            (after.1 - before.1) * 1e6 / done,
        );
    }
}

/// How many sessions a node has at a time, and how many it does.
#[cfg(feature = "postgres")]
const PER_NODE: usize = 20;
#[cfg(feature = "postgres")]
const SESSIONS: usize = 2_000;

/// Where a database of this machine has its files; its processes are at home there.
#[cfg(feature = "postgres")]
fn data_folder(url: &str) -> Option<std::path::PathBuf> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let row = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.ok()?;
        drop(tokio::spawn(connection));
        client.query_one("SHOW data_directory", &[]).await.ok()
    });
    row?.try_get::<_, String>(0).ok().map(Into::into)
}

#[cfg(feature = "postgres")]
fn database_cpu(folder: Option<&std::path::Path>) -> f64 {
    let Some(folder) = folder else { return f64::NAN };
    processes_cpu(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder))
}

/// CPU seconds of running processes, from Linux's `/proc`.
#[cfg(feature = "postgres")]
fn processes_cpu(which: impl Fn(u32) -> bool) -> f64 {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| which(*pid));
    let ticks = pids.filter_map(|pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    });
    ticks.sum::<f64>() / 100.0
}
