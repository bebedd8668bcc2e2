//! Dumps: what any store holds goes into any other, and devices sync on as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[cfg(feature = "postgres")]
#[path = "common/cluster.rs"]
mod cluster;
mod common;

use common::{Device, World, card, numbered};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use syncml::auth::{DigestKind, Secret, Verifier};
use syncml::kit::sim::{Schedule, simulate};
use syncml::message::{AlertCode, Op, Timestamp};
use syncml::session::{Client, ServerConfig};
use syncml::store::archive::{ArchiveError, Finding, check, dump, load};
use syncml::store::audit::{NO_ACCOUNT, note};
use syncml::store::history::{At, restore_book};
use syncml::store::memory::MemoryStore;
use syncml::store::{
    AccountNo, AuditRow, Blob, BlobNo, BookNo, BookWriter, ConflictRow, DeviceNo, Direction, Draft, Guid, LensNo,
    MapRow, MapState, NewStaged, OutgoingRow, OutgoingState, PairRow, PartialRow, Principal, PrincipalKind, Revision,
    Store, Token, Tx, Verdict, Winner,
};

fn text_of(store: &dyn Store) -> String {
    let mut text = Vec::new();
    dump(store, &mut text, &mut |_| ()).unwrap();
    String::from_utf8(text).unwrap()
}

fn loaded(text: &str, into: Arc<dyn Store>) -> Arc<dyn Store> {
    load(into.as_ref(), &mut text.as_bytes(), &mut |_| ()).unwrap();
    into
}

fn findings(store: &dyn Store) -> Vec<Finding> {
    check(store, &mut |_| ()).unwrap().findings
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Empty stores of each kind.
fn stores() -> Vec<Arc<dyn Store>> {
    #[cfg(feature = "postgres")]
    let postgres = cluster::cluster().map(|cluster| Arc::new(cluster.nodes(1)) as Arc<dyn Store>);
    #[cfg(not(feature = "postgres"))]
    let postgres = None;
    common::stores().into_iter().chain(postgres).collect()
}

fn write(store: &dyn Store, account: AccountNo, mut work: impl FnMut(&mut dyn Tx) -> syncml::store::Result<()>) {
    store.step(account, &mut |tx| work(tx).map(|()| Verdict::Commit)).unwrap();
}

/// A world with all that a store can hold: two accounts, a platform that has news of one book, large contents, a history, a
/// conflict, a restore, a device in the middle of a slow sync, one that is done.
fn full(store: Arc<dyn Store>) -> (World, Device, Device) {
    let mut world = World::with(store.clone(), ServerConfig::default());
    let bob = store.directory().put_login("bob", &Verifier::Md5([7; 16])).unwrap();
    let verifiers = vec![Verifier::device(DigestKind::Md5, &Secret::new("x".to_owned()), "IMEI:1")];
    for device_id in ["IMEI:1", "IMEI:2"] {
        let principal = Principal { kind: PrincipalKind::Platform, verifiers: verifiers.clone() };
        store.directory().put_principal(device_id, &principal).unwrap();
    }
    store.directory().set_grant("IMEI:1", "alice", true).unwrap();
    for n in 0..12 {
        world.put(&numbered(n));
    }
    let (phone, mut tablet) = (Device::new("phone"), Device::new("tablet"));
    for n in 8..16 {
        phone.put(&numbered(n));
    }
    assert!(world.sync(&phone).unwrap().clean);
    phone.delete(phone.find("Name0003"));
    phone.edit(phone.find("Name0004"), &card("Name0004", "+4930"));
    assert!(world.sync(&phone).unwrap().clean);
    let mut reached = Vec::new();
    let now = world.now;
    restore_book(store.as_ref(), world.account, BookNo::CONTACTS, At::Revision(Revision(12)), now, &mut |row| {
        reached.push(row.ended);
    })
    .unwrap();
    assert!(reached.iter().any(Option::is_some));
    write(store.as_ref(), world.account, |tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BookNo::FILES])?.remove(0), None, now);
        let first = writer.add(Draft::of(BookNo::FILES, vec![0xFE; 150_000]));
        writer.flush(tx)?;
        writer.replace(
            &tx.items(BookNo::FILES, &[first.guid])?.remove(0).unwrap(),
            Draft::of(BookNo::FILES, vec![1; 70_000]),
        );
        writer.add(Draft::of(BookNo::FILES, &[0xFF, 0][..]));
        writer.flush(tx)?;
        tx.put_conflicts(
            BookNo::FILES,
            &[ConflictRow {
                revision: Revision(2),
                guid: first.guid,
                origin: Some(DeviceNo(1)),
                at: now,
                won: Winner::Here,
                lost: Some(first.revision),
                fields: vec!["a\u{1}\0\"".to_owned()],
            }],
        )?;
        // The platform has seen this one.
        tx.clear_dirty("IMEI:1", BookNo::FILES)
    });
    assert!(text_of(store.as_ref()).contains("\"line\":\"conflict\""));
    // What sessions leave behind when they end in the middle of things.
    write(store.as_ref(), world.account, |tx| {
        let (phone, book) = (DeviceNo(1), BookNo::FILES);
        tx.put_lens(LensNo(5), b"{}")?;
        tx.put_pair(&PairRow {
            lens: Some(LensNo(5)),
            peer_next: Some("a\u{1}\0".to_owned()),
            ..PairRow::new(phone, book)
        })?;
        let item = tx.items(book, &[Guid(1)])?.remove(0).unwrap();
        let sent =
            OutgoingRow { state: OutgoingState::Sent, session: Some(Token([7; 16])), ..OutgoingRow::unsent(&item) };
        tx.put_outgoing(phone, book, &[sent])?;
        let entry = |luid: &str, state| MapRow {
            epoch: 1,
            luid: luid.to_owned(),
            guid: Guid(1),
            agreed_revision: Revision(2),
            lens: Some(LensNo(5)),
            view_fp: [1; 16],
            state,
        };
        tx.put_maps(
            phone,
            book,
            &[entry("10", MapState::Gone), entry("9", MapState::Gone), entry("a", MapState::Live)],
        )?;
        tx.put_maps(phone, book, &[MapRow { epoch: 2, ..entry("9", MapState::Live) }])?;
        let blob = tx.append_blob(None, &[5; 80_000])?;
        let large = Blob { no: blob, len: 80_000 };
        let staged = NewStaged {
            epoch: 1,
            luid: "new".into(),
            op: Op::Add,
            place: Some("/".into()),
            media_type: None,
            content: vec![5; 10].into(),
            blob: Some(large),
            view_fp: [3; 16],
            keys: vec![u64::MAX, 1].into(),
        };
        tx.stage(phone, book, &[staged])?;
        let half = tx.append_blob(None, b"half of it")?;
        let partial = PartialRow {
            direction: Direction::In,
            uri: "7".to_owned(),
            op: Op::Replace,
            meta: vec![0xFF],
            declared: 100_000,
            received: 10,
            unconfirmed: 4,
            blob: half,
            last_status: None,
        };
        tx.put_errand(phone, 0, b"a key")?;
        tx.put_errand(phone, 7, &[0xFF])?;
        tx.put_partial(phone, book, &partial)?;
        tx.put_partial(
            phone,
            book,
            &PartialRow { direction: Direction::Out, blob: BlobNo::NONE, received: 0, ..partial },
        )
    });
    write(store.as_ref(), bob, |tx| tx.lock_books(&[BookNo::NOTES]).map(drop));
    for (account, object) in [(NO_ACCOUNT, "keys 2"), (bob, "device 1"), (world.account, "book 1"), (bob, "device 2")] {
        note(store.as_ref(), account, &AuditRow::new(now, "operator", "seen", object).with_outcome("half")).unwrap();
    }
    // The tablet stops in the middle of its first sync.
    for n in 4..24 {
        tablet.put(&numbered(n));
    }
    tablet.config.max_msg_size = 2_500;
    tablet.config.books[0].mode = AlertCode::SLOW;
    world.tick();
    let mut client = Client::begin(tablet.store.clone(), tablet.account, tablet.config.clone(), world.now).unwrap();
    for _ in 0..5 {
        let reply = world.post(&client.outgoing().unwrap()).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    tablet.config.books[0].mode = AlertCode::TWO_WAY;
    (world, phone, tablet)
}

/// What was done, by account.
fn told(store: &dyn Store) -> Vec<(Option<String>, AuditRow)> {
    let names: BTreeMap<_, _> =
        store.directory().accounts().unwrap().into_iter().map(|(name, no)| (no, name)).collect();
    let rows = store.directory().audit((Timestamp(i64::MIN), 0), 999).unwrap();
    let named = |row: AuditRow| {
        let mut plain = AuditRow::new(row.at, row.actor, row.action, row.object);
        plain.outcome = row.outcome;
        (names.get(&row.account).cloned(), plain)
    };
    let mut told: Vec<_> = rows.into_iter().map(named).collect();
    told.sort_by_key(|(name, row)| (row.at, name.clone()));
    told
}

#[test]
fn every_store_goes_into_every_other_and_comes_back() {
    for from in stores() {
        let (world, ..) = full(from.clone());
        assert_eq!(findings(from.as_ref()), []);
        let text = text_of(from.as_ref());
        let kinds: BTreeSet<_> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
        assert_eq!(kinds.len(), 22, "every kind of line: {kinds:?}");
        for to in stores() {
            let to = loaded(&text, to);
            assert_eq!(findings(to.as_ref()), []);
            let again = text_of(to.as_ref());
            assert_eq!(sorted(&again), sorted(&text));
            assert_eq!(again.lines().last(), text.lines().last());
            assert_eq!(told(to.as_ref()), told(from.as_ref()));
            // Of the same kind, the order is the same, too.
            let back = text_of(loaded(&again, Arc::new(MemoryStore::new([9; 32]))).as_ref());
            assert_eq!(text_of(loaded(&back, Arc::new(MemoryStore::new([8; 32]))).as_ref()), back);
        }
        drop(world);
    }
}

#[test]
fn devices_sync_on_with_the_loaded_store() {
    for to in stores() {
        let (mut world, phone, tablet) = full(Arc::new(MemoryStore::new([1; 32])));
        let to = loaded(&text_of(world.server.store().as_ref()), to);
        world = World { now: world.now, ..World::with(to, ServerConfig::default()) };
        phone.put(&numbered(30));
        phone.delete(phone.find("Name0015"));
        world.put(&numbered(31));
        let report = world.sync(&phone).unwrap();
        assert!(report.clean && report.books[0].mode == "two-way", "no slow sync: {report:?}");
        for device in [&tablet, &phone, &tablet, &phone] {
            assert!(world.sync(device).unwrap().clean);
        }
        assert_eq!(world.cards(), phone.cards());
        assert_eq!(world.cards(), tablet.cards());
        let names: BTreeSet<_> = world.cards().iter().map(|card| card.lines().nth(2).unwrap().to_owned()).collect();
        assert_eq!(names.len(), world.cards().len(), "nothing is twice");
        assert_eq!(findings(world.server.store().as_ref()), []);
        let news = world.server.store().directory().dirty("IMEI:1", (AccountNo(0), BookNo(0)), 9).unwrap();
        assert_eq!(news.iter().map(|dirty| dirty.book).collect::<Vec<_>>(), [BookNo::CONTACTS]);
    }
}

/// What the simulator leaves behind contradicts itself nowhere, and goes through a dump as it is.
#[test]
fn stores_of_the_simulator_are_sound() {
    for seed in 1..=6 {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new([1; 32]));
        simulate(&Schedule::new(seed, 120), store.clone()).unwrap();
        assert_eq!(findings(store.as_ref()), [], "seed {seed}");
        let text = text_of(store.as_ref());
        let again = loaded(&text, Arc::new(MemoryStore::new([2; 32])));
        assert_eq!(text_of(again.as_ref()), text, "seed {seed}");
    }
}

#[test]
fn what_cannot_be_is_found() {
    type Damage = fn(&mut dyn Tx) -> syncml::store::Result<()>;
    const BOOK: BookNo = BookNo::CONTACTS;
    fn first(tx: &mut dyn Tx) -> syncml::store::Result<MapRow> {
        Ok(tx.map_page(DeviceNo(1), BOOK, 1, Guid(0), 1)?.remove(0))
    }
    let damages: [(&str, Damage); 7] = [
        ("counts", |tx| {
            let row = tx.lock_books(&[BOOK])?.remove(0);
            tx.put_book(&syncml::store::BookRow { live_items: row.live_items + 1, ..row })
        }),
        ("fingerprint", |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
            writer.add(Draft { fingerprint: [1; 16], ..Draft::of(BOOK, numbered(90).into_bytes()) });
            writer.flush(tx)
        }),
        ("large content is missing", |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[BookNo::FILES])?.remove(0), None, Timestamp(0));
            let blob = Some(Blob { no: BlobNo(99), len: 70_000 });
            writer.add(Draft { blob, ..Draft::of(BookNo::FILES, &b"begin"[..]) });
            writer.flush(tx)
        }),
        ("never there", |tx| {
            let row = MapRow { luid: "new".to_owned(), guid: Guid(9_999), ..first(tx)? };
            tx.put_maps(DeviceNo(1), BOOK, &[row])
        }),
        ("still to come", |tx| {
            let row = MapRow { agreed_revision: Revision(9_999), ..first(tx)? };
            tx.put_maps(DeviceNo(1), BOOK, &[row])
        }),
        ("is not there", |tx| {
            let row = first(tx)?;
            assert_eq!(row.state, MapState::Live);
            let agreed_revision = Revision(tx.book(BOOK)?.unwrap().head.0 - 1);
            tx.put_maps(DeviceNo(1), BOOK, &[MapRow { agreed_revision, ..row }])
        }),
        ("ahead of its book", |tx| {
            let row = tx.pair(DeviceNo(1), BOOK)?.unwrap();
            tx.put_pair(&PairRow { cursor: Revision(9_999), ..row })
        }),
    ];
    for (what, damage) in damages {
        let (world, ..) = full(Arc::new(MemoryStore::new([1; 32])));
        let store = world.server.store();
        assert_eq!(findings(store.as_ref()), []);
        write(store.as_ref(), world.account, damage);
        let checked = check(store.as_ref(), &mut |_| ()).unwrap();
        assert_eq!(checked.found, 1, "{what}: {:?}", checked.findings);
        let found = &checked.findings[0];
        assert!(found.what.contains(what) && found.account == "alice", "{what}: {found:?}");
    }
}

#[test]
fn what_is_no_whole_dump_is_refused() {
    let (world, ..) = full(Arc::new(MemoryStore::new([1; 32])));
    let text = text_of(world.server.store().as_ref());
    let refusal = |text: &str| {
        let store = MemoryStore::new([2; 32]);
        load(&store, &mut text.as_bytes(), &mut |_| ()).map(drop)
    };
    refusal(&text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for cut in (0..lines.len()).step_by(7) {
        let cut_off = format!("{}\n", lines[..cut].join("\n"));
        assert!(matches!(refusal(&cut_off), Err(ArchiveError::Line { .. })), "the first {cut} lines");
        let one_less: Vec<&str> = [&lines[..cut], &lines[cut + 1..]].concat();
        let refused = refusal(&format!("{}\n", one_less.join("\n")));
        assert!(refused.is_err(), "without line {cut}: {}", lines[cut]);
        // Bytes of any kind are no reason to panic.
        let mut bytes = text.clone().into_bytes();
        let middle = lines[..cut].iter().map(|line| line.len() + 1).sum::<usize>() + lines[cut].len() / 2;
        bytes.truncate(middle);
        bytes.extend([0xFF, b'\n']);
        assert!(load(&MemoryStore::new([2; 32]), &mut &bytes[..], &mut |_| ()).is_err());
    }
    let newer = text.replacen("\"format\":1", "\"format\":2", 1);
    assert!(matches!(refusal(&newer), Err(ArchiveError::TooNew { found: 2 })));
    assert!(matches!(refusal(""), Err(ArchiveError::Line { line: 1, .. })));
    let full = world.server.store();
    assert!(matches!(load(full.as_ref(), &mut text.as_bytes(), &mut |_| ()), Err(ArchiveError::NotEmpty)));
    // What is wrong with a line is told without what stands in it.
    let error = refusal(&text.replacen("\"item\"", "\"Item\"", 1)).unwrap_err().to_string();
    assert!(error.starts_with("line ") && !error.contains("Name0"), "{error}");
}

/// A dump begins and others go on writing.
#[cfg(feature = "sqlite")]
#[test]
fn a_dump_is_of_one_moment_while_others_write() {
    use syncml::store::sqlite::SqliteStore;
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("server.db")).unwrap());
    let world = World::with(store.clone(), ServerConfig::default());
    for n in 0..1_200 {
        if n % 400 == 0 {
            world.put(&numbered(n));
        } else {
            write(store.as_ref(), world.account, |tx| {
                let mut writer = BookWriter::new(tx.lock_books(&[BookNo::CONTACTS])?.remove(0), None, Timestamp(0));
                writer.add(Draft::of(BookNo::CONTACTS, numbered(n).into_bytes()));
                writer.flush(tx)
            });
        }
    }
    let before = text_of(store.as_ref());
    let mut text = Vec::new();
    let mut more = 2_000;
    let (writer, account) = (store.clone(), world.account);
    dump(store.as_ref(), &mut text, &mut |done| {
        if done.items < 1_200 {
            more += 1;
            common::put(writer.as_ref(), account, BookNo::CONTACTS, None, &numbered(more), Timestamp(0));
        }
    })
    .unwrap();
    assert!(more > 2_001);
    assert_eq!(String::from_utf8(text).unwrap(), before);
}

#[test]
fn a_dump_that_cannot_be_written_says_so() {
    let (world, ..) = full(Arc::new(MemoryStore::new([1; 32])));
    for room in [0, 1_000, 10_000, 100_000] {
        let failed = dump(world.server.store().as_ref(), &mut Full(room), &mut |_| ());
        assert!(matches!(failed, Err(ArchiveError::Io(_))), "{failed:?}");
    }
}

/// A disk that takes so much.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
