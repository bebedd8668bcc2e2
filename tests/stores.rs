//! Databases of every schema that there was, as their releases left them: each is opened, brought up to date, and syncs on.
//!
//! `fixtures/stores/sqlite-N.db.gz` is a server's database of schema N, `sqlite-N.phone.db.gz` that of its device, both after two
//! syncs; `dump-N.jsonl.gz` is a dump of format N. `SYNCML_BLESS=1` writes those of today that are missing: a new migration or format
//! leaves the old files as they are. Before the first release, when a schema may change in place, delete them first.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Device, World, card, numbered};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::auth::{DigestKind, Secret, Verifier};
use syncml::message::Timestamp;
use syncml::session::ServerConfig;
use syncml::store::archive::{FORMAT, check, dump, load};
use syncml::store::memory::MemoryStore;
use syncml::store::sqlite::SqliteStore;
use syncml::store::{BookNo, BookWriter, Draft, Principal, PrincipalKind, Store, Tx, Verdict};

/// The schema of today.
const SCHEMA: u32 = 1;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores").join(name)
}

/// Whether a missing file is to be written.
fn is_to_be_made(name: &str) -> bool {
    let missing = !fixture(name).exists();
    let blessed = std::env::var("SYNCML_BLESS").is_ok_and(|bless| bless == "1");
    assert!(
        !missing || blessed,
        "{name} is missing: write it with SYNCML_BLESS=1 cargo test --all-features --test stores"
    );
    missing
}

fn pack(from: &Path, name: &str) {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&fs::read(from).unwrap()).unwrap();
    fs::write(fixture(name), packer.finish().unwrap()).unwrap();
}

fn unpack(name: &str, to: &Path) {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(fixture(name)).unwrap()).read_to_end(&mut bytes).unwrap();
    fs::write(to, bytes).unwrap();
}

fn open(path: &Path) -> Arc<dyn Store> {
    let open = || SqliteStore::open(path);
    Arc::new(open().unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The tables with their columns, and the indexes.
fn schema(path: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT m.type || ' ' || m.name || ' ' || ifnull(c.name || ' ' || c.type || ' ' || c.\"notnull\", '')
               FROM sqlite_schema AS m LEFT JOIN pragma_table_xinfo(m.name) AS c ORDER BY 1";
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The server and the device whose databases these are.
fn world(server: Arc<dyn Store>, phone: Arc<dyn Store>) -> (World, Device) {
    let mut world = World::with(server, ServerConfig::default());
    world.now = Timestamp(1_800_000_000_000);
    let mut device = Device::new("phone");
    device.account = phone.directory().put_login("local", &Verifier::Md5([0; 16])).unwrap();
    device.store = phone;
    (world, device)
}

/// Two syncs, with edits of both sides, and what else a store may hold.
fn fill(server: Arc<dyn Store>, phone: Arc<dyn Store>) {
    let (mut world, device) = world(server.clone(), phone);
    world.now = Timestamp(1_700_000_000_000);
    for n in 0..4 {
        world.put(&numbered(n));
        device.put(&numbered(3 + n));
    }
    assert!(world.sync(&device).unwrap().clean);
    device.delete(device.find("Name0001"));
    device.edit(device.find("Name0002"), &card("Name0002", "+49301"));
    world.put(&numbered(8));
    assert!(world.sync(&device).unwrap().clean);
    let mut note = |tx: &mut dyn Tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BookNo::NOTES])?.remove(0), None, world.now);
        writer.add(Draft::of(BookNo::NOTES, vec![b'x'; 70_000]));
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    };
    server.step(world.account, &mut note).unwrap();
    let secret = Secret::new("platform".to_owned());
    let verifiers = vec![Verifier::device(DigestKind::Md5, &secret, "IMEI:1")];
    let directory = server.directory();
    directory.put_principal("IMEI:1", &Principal { kind: PrincipalKind::Platform, verifiers }).unwrap();
    directory.set_grant("IMEI:1", "alice", true).unwrap();
}

/// Both sides change something, and an ordinary sync tells the other.
fn syncs_on(server: Arc<dyn Store>, phone: Arc<dyn Store>) {
    let (mut world, device) = world(server, phone);
    let before = world.cards();
    assert_eq!(before, device.cards());
    assert_eq!(before.len(), 7);
    device.put(&numbered(20));
    device.delete(device.find("Name0004"));
    world.put(&numbered(21));
    let report = world.sync(&device).unwrap();
    let book = &report.books[0];
    assert!(report.clean && book.mode == "two-way", "{report:?}");
    assert_eq!((book.sent.added, book.sent.deleted, book.received.added), (1, 1, 1), "{report:?}");
    assert_eq!((world.cards(), world.cards().len()), (device.cards(), 8));
    let found = check(world.server.store().as_ref(), &mut |_| ()).unwrap();
    assert_eq!(found.findings, []);
}

#[test]
fn every_stored_schema_is_brought_up_to_date_and_syncs_on() {
    let folder = tempfile::tempdir().unwrap();
    let [server, phone] = ["server.db", "phone.db"].map(|name| folder.path().join(name));
    if is_to_be_made(&format!("sqlite-{SCHEMA}.db.gz")) {
        fill(open(&server), open(&phone));
        pack(&server, &format!("sqlite-{SCHEMA}.db.gz"));
        pack(&phone, &format!("sqlite-{SCHEMA}.phone.db.gz"));
    }
    for schema in 1..=SCHEMA {
        unpack(&format!("sqlite-{schema}.db.gz"), &server);
        unpack(&format!("sqlite-{schema}.phone.db.gz"), &phone);
        syncs_on(open(&server), open(&phone));
        let fresh = folder.path().join(format!("fresh-{schema}.db"));
        drop(open(&fresh));
        let why = "a migration is missing; before the first release, delete fixtures/stores/sqlite-* and bless";
        assert_eq!(self::schema(&server), self::schema(&fresh), "schema {schema}: {why}");
    }
}

#[test]
fn every_stored_format_is_loaded() {
    let name = format!("dump-{FORMAT}.jsonl.gz");
    if is_to_be_made(&name) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new([1; 32]));
        fill(store.clone(), Arc::new(MemoryStore::new([2; 32])));
        let mut text = Vec::new();
        dump(store.as_ref(), &mut text, &mut |_| ()).unwrap();
        let plain = tempfile::NamedTempFile::new().unwrap();
        fs::write(plain.path(), text).unwrap();
        pack(plain.path(), &name);
    }
    for format in 1..=FORMAT {
        let plain = tempfile::NamedTempFile::new().unwrap();
        unpack(&format!("dump-{format}.jsonl.gz"), plain.path());
        let text = fs::read(plain.path()).unwrap();
        let store = MemoryStore::new([3; 32]);
        let done = load(&store, &mut &text[..], &mut |_| ()).unwrap();
        assert_eq!((done.accounts, done.items, done.blob_bytes), (1, 9, 70_000), "{done:?}");
        assert_eq!(check(&store, &mut |_| ()).unwrap().findings, []);
        let mut again = Vec::new();
        dump(&store, &mut again, &mut |_| ()).unwrap();
        if format == FORMAT {
            assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(text).unwrap());
        }
    }
}
