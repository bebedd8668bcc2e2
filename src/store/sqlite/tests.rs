//! What concerns the file: kept, damaged, full, busy, foreign.

#![allow(clippy::disallowed_types)]

mod packed;

use super::super::{BookNo, BookWriter, DeviceNo, Draft, Guid, PairRow};
use super::*;
use crate::auth::Verifier;
use crate::message::Timestamp;
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use tempfile::TempDir;

const BOOK: BookNo = BookNo::CONTACTS;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.db");
    (folder, path)
}

fn add(store: &SqliteStore, account: AccountNo, count: usize, content: &[u8]) -> Result<()> {
    store.step(account, &mut |tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
        for _ in 0..count {
            writer.add(Draft { content: content.into(), ..Draft::default() });
        }
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })
}

fn content(store: &SqliteStore, account: AccountNo, guid: i64) -> Result<Option<Vec<u8>>> {
    let mut content = None;
    store.step(account, &mut |tx| {
        content = tx.items(BOOK, &[Guid(guid)])?.remove(0).map(|item| item.content.into_owned());
        Ok(Verdict::Rollback)
    })?;
    Ok(content)
}

/// A database with one account and a hundred items, closed.
fn closed(path: &Path) -> AccountNo {
    let store = SqliteStore::open(path).unwrap();
    let account = store.directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
    add(&store, account, 100, &[7; 700]).unwrap();
    account
}

#[test]
fn what_was_committed_is_there_when_opened_again() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let (keys, stamp) = {
        let store = SqliteStore::open(&path).unwrap();
        let mut stamp = 0;
        let mut look = |tx: &mut dyn Tx| {
            stamp = tx.book(BOOK)?.unwrap().stamp;
            Ok(Verdict::Rollback)
        };
        store.step(account, &mut look).unwrap();
        (store.keys().unwrap(), stamp)
    };
    let store = SqliteStore::open(&path).unwrap();
    store.check().unwrap();
    assert_eq!(store.directory().account("ann").unwrap(), Some(account));
    assert_eq!(store.keys().unwrap(), keys);
    assert_eq!(content(&store, account, 100).unwrap(), Some(vec![7; 700]));
    add(&store, account, 1, b"more").unwrap();
    assert_eq!(content(&store, account, 101).unwrap(), Some(b"more".to_vec()));
    let mut again = 0;
    let mut look = |tx: &mut dyn Tx| {
        again = tx.lock_books(&[BOOK])?[0].stamp;
        Ok(Verdict::Rollback)
    };
    store.step(account, &mut look).unwrap();
    assert_eq!(again, stamp);
    let (_folder, path) = folder();
    let other = SqliteStore::open(path).unwrap();
    assert_ne!(other.keys().unwrap().0[0].nonce, keys.0[0].nonce);
}

#[test]
fn a_power_cut_keeps_what_was_committed() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).unwrap();
    let account = store.directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
    add(&store, account, 10, b"kept").unwrap();
    // The files as they are on the disk now, without the end of the process that wrote them; the last bytes torn.
    let (_copy, copied) = folder();
    store
        .step(account, &mut |tx| {
            let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
            writer.add(Draft { content: vec![1; 3_000_000].into(), ..Draft::default() });
            writer.flush(tx)?;
            for end in ["", "-wal"] {
                let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
                fs::copy(name(&path), name(&copied)).unwrap();
            }
            Ok(Verdict::Commit)
        })
        .unwrap();
    let wal = PathBuf::from(format!("{}-wal", copied.display()));
    OpenOptions::new().append(true).open(wal).unwrap().write_all(&[3; 1000]).unwrap();
    let copy = SqliteStore::open(&copied).unwrap();
    copy.check().unwrap();
    assert_eq!(content(&copy, account, 10).unwrap(), Some(b"kept".to_vec()));
    assert_eq!(content(&copy, account, 11).unwrap(), None);
}

/// The refusal names the file and what to do.
fn assert_names_remedy(error: &StoreError) {
    let text = error.to_string();
    assert!(matches!(error, StoreError::Corrupt(_)), "{text}");
    assert!(text.contains("restore a backup") && text.contains(".recover"), "{text}");
}

#[test]
fn a_damaged_file_is_refused_with_advice() {
    let (_folder, path) = folder();
    fs::write(&path, b"BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n".repeat(100)).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert_names_remedy(&error);
    assert!(error.to_string().contains("kept.db"), "{error}");

    fs::remove_file(&path).unwrap();
    closed(&path);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2 + 100).unwrap();
    assert_names_remedy(&SqliteStore::open(&path).unwrap_err());
}

#[test]
fn damage_within_is_found() {
    let (_folder, path) = folder();
    closed(&path);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    // The last pages hold items; the first would be noticed at once.
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    for page in pages - 10..pages {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xff; 64]).unwrap();
    }
    drop(file);
    assert_names_remedy(&SqliteStore::open(&path).unwrap_err());

    let (_folder, path) = folder();
    closed(&path);
    let store = SqliteStore::open(&path).unwrap();
    store.check().unwrap();
    for (damage, found) in [
        ("UPDATE book SET live_items = live_items + 1", "does not agree"),
        ("UPDATE book SET live_items = live_items - 1, live_bytes = live_bytes + 1", "does not agree"),
        ("UPDATE book SET live_bytes = live_bytes - 1, head = head - 1", "newer than its head"),
    ] {
        store.writer.alone(|conn| conn.execute(damage, []).or_failure()).unwrap();
        let error = store.check().unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
    store.writer.alone(|conn| conn.execute("UPDATE book SET head = head + 1", []).or_failure()).unwrap();
    store.check().unwrap();
}

#[test]
fn newer_and_foreign_files_are_refused_and_left_alone() {
    let (_folder, path) = folder();
    closed(&path);
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::TooNew { found: 7, known: 1 })));

    let (_folder, path) = folder();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_cannot_be_opened_is_read_only() {
    let (folder, _) = folder();
    for path in [folder.path().to_owned(), folder.path().join("no/such/folder.db")] {
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    }
}

#[test]
fn a_full_store_says_so_and_keeps_what_it_has() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let store = SqliteStore::open(&path).unwrap();
    let limit = |pages: i64| {
        let set = |conn: &Connection| conn.pragma_update(None, "max_page_count", pages).or_failure();
        store.writer.alone(set).unwrap();
    };
    limit(60);
    let error = add(&store, account, 1, &[1; 1_000_000]).unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!(content(&store, account, 101).unwrap(), None);
    assert_eq!(content(&store, account, 100).unwrap(), Some(vec![7; 700]));
    limit(1_000_000);
    add(&store, account, 1, b"more").unwrap();
    store.check().unwrap();
}

#[test]
fn another_process_that_holds_the_file_makes_it_busy() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let store = SqliteStore::open_within(&path, SqliteOptions::default(), Duration::from_millis(20)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = add(&store, account, 1, b"").unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    // Readers do not wait.
    assert_eq!(store.directory().account("ann").unwrap(), Some(account));
    other.execute_batch("ROLLBACK").unwrap();
    add(&store, account, 1, b"").unwrap();
}

#[test]
fn readers_read_while_a_step_writes() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let store = SqliteStore::open(&path).unwrap();
    store
        .step(account, &mut |tx| {
            tx.lock_books(&[BOOK])?;
            std::thread::scope(|scope| {
                let readers = [(); 8].map(|()| scope.spawn(|| store.directory().login("ann").unwrap().is_some()));
                assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
            });
            let written = store.directory().put_login("eve", &Verifier::Md5([0; 16]));
            assert!(matches!(written, Err(StoreError::Corrupt(_))), "writing the directory within a step is refused");
            Ok(Verdict::Commit)
        })
        .unwrap();
}

#[test]
fn unreadable_numbers_are_damage() {
    let store = SqliteStore::open_in_memory().unwrap();
    let mut stage = |tx: &mut dyn Tx| {
        tx.put_pair(&PairRow::new(DeviceNo(1), BOOK))?;
        Ok(Verdict::Commit)
    };
    store.step(AccountNo(1), &mut stage).unwrap();
    store.writer.alone(|conn| conn.execute("UPDATE pair SET phase = 9", []).or_failure()).unwrap();
    let error = store.step(AccountNo(1), &mut |tx| tx.pair(DeviceNo(1), BOOK).map(|_| Verdict::Commit));
    assert_names_remedy(&error.unwrap_err());
}

/// A server over a store that cannot be written for a while: HTTP 503, no stored reply, nothing half done, and the same bytes are
/// executed when it can.
fn answered_when_it_can(
    block: &dyn Fn(&Connection) -> Result<()>,
    free: &dyn Fn(&Connection) -> Result<()>,
    why: &str,
) {
    use crate::auth::Secret;
    use crate::session::{Client, Refusal, Request, Server, ServerConfig};
    use std::sync::Arc;

    let (_folder, path) = folder();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let password = Verifier::Password(Secret::new("secret".to_owned()));
    let account = store.directory().put_login("alice", &password).unwrap();
    let small = ServerConfig { max_msg_size: 10_000, ..ServerConfig::default() };
    let server = Server::new(store.clone(), small).unwrap();
    let (own, config) = phone();
    let (mut now, mut refusals) = (Timestamp(1_700_000_000_000), 0);
    let mut client = Client::begin(own, AccountNo(1), config, now).unwrap();
    let mut number = 0;
    while let Some(out) = client.outgoing() {
        number += 1;
        now = now.plus_seconds(1);
        let ask = || {
            server.answer(&Request {
                content_type: out.content_type,
                body: &out.body,
                token: out.token(),
                mac: None,
                protected: true,
                loopback: false,
                address: None,
                now,
            })
        };
        let rows = |store: &SqliteStore| {
            let sql = "SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM map), (SELECT count(*) FROM staged),
                        (SELECT total(last_msg_id) FROM session)";
            let read = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, f64>(3)?))
            };
            store.writer.alone(|conn| conn.query_row(sql, [], read).or_failure()).unwrap()
        };
        let before = rows(&store);
        store.writer.alone(block).unwrap();
        let refused = ask();
        if let Err(refusal) = &refused {
            refusals += 1;
            assert!(matches!(refusal, Refusal::Unavailable(_)) && refusal.http_status() == 503, "{why}: {refusal:?}");
            assert!(!refusal.to_string().contains(why), "why is not the peer's affair: {refusal}");
            let source = std::error::Error::source(refusal).unwrap().to_string();
            assert!(source.contains(why), "{source}");
            assert_eq!(rows(&store), before, "message {number}");
            ask().unwrap_err();
        }
        store.writer.alone(free).unwrap();
        let reply = ask().unwrap();
        if let Ok(first) = refused {
            assert_eq!(first.body, reply.body);
        }
        client.received(reply.content_type, &reply.body, now).unwrap();
    }
    assert!(client.report().clean && refusals >= 3, "{why}: {refusals} refusals");
    let mut live = 0;
    store.look(account, &mut |tx| tx.book(BOOK).map(|row| live = row.unwrap().live_items)).unwrap();
    assert_eq!(live, 60);
    store.check().unwrap();
}

/// A client with sixty cards.
fn phone() -> (std::sync::Arc<dyn Store>, crate::session::ClientConfig) {
    use crate::auth::Secret;
    use crate::session::{ClientBook, ClientConfig, Credentials};
    use crate::store::memory::MemoryStore;

    let own = MemoryStore::new([9; 32]);
    own.step(AccountNo(1), &mut |tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
        for n in 0..60 {
            let long = "long ".repeat(400);
            let card = format!(
                "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Nobody{n};;;;\r\nFN:Nobody{n}\r\nNOTE:{long}\r\nEND:VCARD\r\n"
            );
            writer.add(Draft::of(BOOK, card.into_bytes()));
        }
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })
    .unwrap();
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: Secret::new("secret".to_owned()) };
    let books = vec![ClientBook::new(BOOK, "./contacts", "contacts")];
    let config = ClientConfig {
        max_msg_size: 10_000,
        ..ClientConfig::new("http://sync.example.com/syncml", "phone", credentials, books)
    };
    (std::sync::Arc::new(own), config)
}

#[test]
fn a_full_disk_is_answered_503_until_there_is_room() {
    let full = |conn: &Connection| {
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).or_failure()?;
        conn.pragma_update(None, "max_page_count", pages).or_failure()
    };
    answered_when_it_can(&full, &|conn| conn.pragma_update(None, "max_page_count", 1_000_000).or_failure(), "full");
}

#[test]
fn a_read_only_file_is_answered_503_until_it_can_be_written() {
    let set = |on: bool| move |conn: &Connection| conn.pragma_update(None, "query_only", on).or_failure();
    answered_when_it_can(&set(true), &set(false), "read-only");
}

#[test]
fn the_log_stays_short() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let store = SqliteStore::open(&path).unwrap();
    let (mut longest, mut written) = (0, 0);
    for _ in 0..200 {
        add(&store, account, 25, &[7; 16_000]).unwrap();
        // A reader comes and goes meanwhile.
        assert!(store.directory().login("ann").unwrap().is_some());
        longest = longest.max(fs::metadata(checkpoint::log_of(&path)).unwrap().len());
        written += 25 * 16_000;
    }
    // At most what the writer lets pass, and the transaction that goes beyond it.
    assert!(written == 80_000_000 && longest < 20_000_000, "{written} bytes by a log of {longest}");
    drop(store);
    assert!(!checkpoint::log_of(&path).exists(), "closed, all is in the database");
    SqliteStore::open(&path).unwrap().check().unwrap();
}

/// SQLite may think that another value deserves another plan, which takes longer to make than the statement to run.
#[test]
fn no_statement_is_prepared_again_for_other_values() {
    let store = SqliteStore::open_in_memory().unwrap();
    let sql =
        "SELECT guid FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 ORDER BY guid LIMIT ?4 OFFSET ?5";
    let again = store.writer.alone(|conn| {
        let mut page = conn.prepare(sql).or_failure()?;
        for number in [0, 1, 500, 1, 0, 7] {
            let row = page.query_row((1, BOOK.0, number, number, number), |_| Ok(()));
            assert_eq!(row, Err(rusqlite::Error::QueryReturnedNoRows));
        }
        Ok(page.get_status(rusqlite::StatementStatus::RePrepare))
    });
    assert_eq!(again.unwrap(), 0);
}

/// Contents have no checksum in SQLite; `archive::check` holds them against their fingerprints.
#[test]
fn a_flipped_byte_anywhere_is_no_reason_to_panic() {
    let (_folder, path) = folder();
    let account = closed(&path);
    let sound = fs::read(&path).unwrap();
    let (_copy, copied) = folder();
    let (mut refused, mut found, mut unseen) = (0, 0, 0);
    for at in (0..sound.len()).step_by(3_331) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        fs::write(&copied, &bytes).unwrap();
        match SqliteStore::open(&copied) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, StoreError::Corrupt(_) | StoreError::TooNew { .. }), "{at}: {error}");
            }
            Ok(store) => {
                match store.check() {
                    Err(error) => {
                        found += 1;
                        assert_names_remedy(&error);
                    }
                    Ok(()) => unseen += 1,
                }
                // Whatever it answers, it is an answer.
                for guid in 1..=100 {
                    drop(content(&store, account, guid));
                }
                drop(add(&store, account, 1, b"more"));
            }
        }
    }
    println!("{refused} refused, {found} found, {unseen} unseen");
    assert!(refused + found > 3, "{refused} refused, {found} found, {unseen} unseen");
}
