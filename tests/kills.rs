//! The server's process is killed (SIGKILL) again and again while twenty clients sync and edit, and is started again on the same
//! database: every change is there once, nothing is doubled, and all sides are equal (mission X1; I1 to I4).
//!
//! Five kills here, a hundred with `SYNCML_TEST_FULL=1`. The moments come from `SYNCML_KILL_SEED`, or from the clock, and are
//! printed; what the threads do between them is theirs.
#![cfg(all(feature = "cli", unix))]
// It starts processes and threads and looks at the clock; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;

use cluster::cluster;
use common::{Device, PASSWORD, card, cards, find};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::session::{Client, Credentials};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, Store};
use syncml::transport::http::client::{HttpClient, Options, RunError, run};
use syncml::transport::http::now;

const ACCOUNTS: usize = 4;
const CLIENTS: usize = 20;

/// The server's process, always at the same address.
struct Process {
    database: String,
    port: u16,
    child: Child,
}

impl Process {
    fn start(database: String) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(&database, port);
        Self { database, port, child }
    }

    fn spawn(database: &str, port: u16) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncml"));
        command.args(["serve", "--db", database, "--listen", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("listening on "));
        thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Ends it at once, in the middle of whatever it does, and starts another.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.database, self.port);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A device, and what became of the cards that it alone adds, changes and deletes: name and text.
struct Own {
    number: usize,
    device: Device,
    cards: BTreeMap<String, String>,
    dice: Dice,
    made: usize,
}

impl Own {
    fn new(number: usize, port: u16) -> Self {
        let mut device = Device::new(&format!("phone{number}"));
        device.config.server_uri = format!("http://127.0.0.1:{port}/syncml");
        device.config.credentials =
            Credentials::Md5 { user: user(number % ACCOUNTS), password: Secret::new(PASSWORD.to_owned()) };
        device.config.max_msg_size = 4_000;
        Self { number, device, cards: BTreeMap::new(), dice: Dice(number as u64 + 1), made: 0 }
    }

    fn edit(&mut self) {
        let any = if self.cards.is_empty() { 0 } else { self.dice.roll(self.cards.len() as u64) as usize };
        let name = self.cards.keys().nth(any).cloned();
        match (self.dice.roll(4), name) {
            (0, Some(name)) if self.cards.len() > 3 => {
                self.device.delete(self.device.find(&format!("N:{name};")));
                self.cards.remove(&name);
            }
            (1, Some(name)) => {
                let text = self.text(&name);
                self.device.edit(self.device.find(&format!("N:{name};")), &text);
                self.cards.insert(name, text);
            }
            _ => {
                self.made += 1;
                let name = format!("C{}n{}", self.number, self.made);
                let text = self.text(&name);
                self.device.put(&text);
                self.cards.insert(name, text);
            }
        }
    }

    fn text(&mut self, name: &str) -> String {
        let note =
            format!("NOTE:{} {}\r\nEND:", self.dice.roll(1_000_000), "long ".repeat(self.dice.roll(200) as usize));
        let (_, made) = name.split_once('n').unwrap();
        card(name, &format!("+49{:03}{made:0>6}", self.number)).replace("END:", &note)
    }

    /// Whether it ended cleanly; nothing but the network may be in the way.
    fn sync(&self) -> bool {
        let mut options = Options::default();
        options.retry.pause = Duration::from_millis(20);
        options.retry.attempts = 12;
        let http = HttpClient::new(options).unwrap();
        let Device { store, account, config } = &self.device;
        let mut client = Client::begin(Arc::clone(store), *account, config.clone(), now()).unwrap();
        match run(&mut client, &http, &mut ()) {
            Ok(()) => client.report().clean,
            Err(RunError::Transport(_)) => false,
            Err(error) => panic!("client {}: {error}", self.number),
        }
    }
}

fn user(account: usize) -> String {
    format!("user{account}")
}

fn kills() -> usize {
    if std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1") { 100 } else { 5 }
}

/// `store` is the database of that name, looked at before the server starts and after it has ended.
fn survive(database: String, open: &dyn Fn() -> Arc<dyn Store>) {
    let seed = std::env::var("SYNCML_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64);
    println!("SYNCML_KILL_SEED={seed}");
    let store = open();
    let password = || Verifier::Password(Secret::new(PASSWORD.to_owned()));
    let accounts: Vec<AccountNo> =
        (0..ACCOUNTS).map(|account| store.directory().put_login(&user(account), &password()).unwrap()).collect();
    drop(store);

    let mut process = Process::start(database);
    let port = process.port;
    let mut owns: Vec<Own> = (0..CLIENTS).map(|number| Own::new(number, port)).collect();
    let (stop, clean, broken) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for own in &mut owns {
            let (stop, clean, broken) = (&stop, &clean, &broken);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    for _ in 0..=own.dice.roll(3) {
                        own.edit();
                    }
                    let count = if own.sync() { clean } else { broken };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut dice = Dice(seed);
        for _ in 0..kills() {
            thread::sleep(Duration::from_millis(100 + dice.roll(700)));
            process.kill();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let (clean, broken) = (clean.into_inner(), broken.into_inner());
    println!("{} kills, {clean} syncs ended cleanly, {broken} broke off", kills());
    assert!(clean >= CLIENTS, "{clean} syncs ended cleanly");

    for _ in 0..2 {
        for own in &owns {
            assert!((0..3).any(|_| own.sync()), "client {}", own.number);
        }
    }
    drop(process);
    let store = open();
    for (number, account) in accounts.iter().enumerate() {
        let there = cards(store.as_ref(), *account, BookNo::CONTACTS);
        let users = owns.iter().filter(|own| own.number % ACCOUNTS == number);
        let mut all: Vec<String> = users.clone().flat_map(|own| own.cards.values()).cloned().collect();
        all.iter_mut().for_each(|text| *text = text.replace("\r\n", "\n"));
        all.sort();
        assert!(there == all, "account {number}: {} cards, wanted {}", there.len(), all.len());
        for own in users {
            assert!(own.device.cards() == all, "client {}: {} cards", own.number, own.device.cards().len());
            // Once, and under one id.
            for name in own.cards.keys() {
                find(store.as_ref(), *account, BookNo::CONTACTS, &format!("N:{name};"));
            }
        }
    }
}

/// Catalogue: X1
#[test]
fn sqlite_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.db");
    survive(format!("sqlite:{}", path.display()), &|| Arc::new(SqliteStore::open(&path).unwrap()));
    SqliteStore::open(&path).unwrap().check().unwrap();
}

/// Catalogue: X1
#[test]
fn postgres_survives_kills() {
    let Some(cluster) = cluster() else { return };
    let database = cluster.database();
    survive(cluster.url(&database.name), &|| Arc::new(database.open()));
}
