//! What concerns the file: kept, damaged, full, busy, foreign.

#![allow(clippy::disallowed_types)]

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
fn damage_within_is_found_by_the_check() {
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
    assert_names_remedy(&SqliteStore::open(&path).unwrap().check().unwrap_err());

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
    let store = SqliteStore::open_within(&path, Duration::from_millis(20)).unwrap();
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
