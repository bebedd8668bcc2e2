//! What only a memory store can show: steps held open at chosen points.

use super::super::*;
use super::MemoryStore;
use crate::message::Timestamp;
use std::sync::mpsc;
use std::thread;

const ACCOUNT: AccountNo = AccountNo(1);

fn draft(content: &str) -> Draft<'_> {
    Draft { content: content.as_bytes().into(), ..Draft::default() }
}

fn add(tx: &mut dyn Tx, content: &str) -> Result<Revision> {
    let row = tx.lock_books(&[BookNo::CONTACTS])?.remove(0);
    let mut writer = BookWriter::new(row, None, Timestamp(0));
    let item = writer.add(draft(content));
    writer.flush(tx)?;
    Ok(item.revision)
}

fn contents(store: &MemoryStore) -> Vec<String> {
    let mut contents = Vec::new();
    store
        .step(ACCOUNT, &mut |tx| {
            let items = tx.changes(BookNo::CONTACTS, Revision(0), Revision(i64::MAX), usize::MAX)?;
            contents = items.iter().map(|item| String::from_utf8_lossy(&item.content).into_owned()).collect();
            Ok(Verdict::Rollback)
        })
        .unwrap();
    contents
}

#[test]
fn a_step_sees_its_own_changes_and_leaves_nothing_when_rolled_back() {
    let store = MemoryStore::new([7; 32]);
    store
        .step(ACCOUNT, &mut |tx| {
            add(tx, "kept")?;
            Ok(Verdict::Commit)
        })
        .unwrap();
    store
        .step(ACCOUNT, &mut |tx| {
            assert_eq!(add(tx, "forgotten")?, Revision(2));
            assert_eq!(tx.items(BookNo::CONTACTS, &[Guid(2)])?[0].as_ref().unwrap().content[..], *b"forgotten");
            Ok(Verdict::Rollback)
        })
        .unwrap();
    assert_eq!(contents(&store), ["kept"]);
    let failed = store.step(ACCOUNT, &mut |tx| {
        add(tx, "forgotten")?;
        // Even when the work makes light of a failure.
        let row = tx.book(BookNo::CONTACTS)?.unwrap();
        tx.put_book(&BookRow { book: BookNo::NOTES, ..row }).unwrap_err();
        Ok(Verdict::Commit)
    });
    assert!(matches!(failed, Err(StoreError::Corrupt(_))));
    assert_eq!(contents(&store), ["kept"]);
}

#[test]
fn a_second_writer_waits_and_then_sees_what_the_first_committed() {
    let store = MemoryStore::new([7; 32]);
    thread::scope(|scope| {
        let (begun, wait_until_begun) = mpsc::channel();
        let store = &store;
        scope.spawn(move || {
            store
                .step(ACCOUNT, &mut |tx| {
                    assert_eq!(add(tx, "first")?, Revision(1));
                    begun.send(()).unwrap();
                    while store.waiting() == 0 {
                        thread::yield_now();
                    }
                    Ok(Verdict::Commit)
                })
                .unwrap();
        });
        wait_until_begun.recv().unwrap();
        store
            .step(ACCOUNT, &mut |tx| {
                // Loaded before the other's commit, so not there.
                assert_eq!(tx.book(BookNo::CONTACTS)?, None);
                assert_eq!(add(tx, "second")?, Revision(2));
                assert_eq!(tx.items(BookNo::CONTACTS, &[Guid(1)])?[0].as_ref().unwrap().content[..], *b"first");
                Ok(Verdict::Commit)
            })
            .unwrap();
    });
    assert_eq!(contents(&store), ["first", "second"]);
}

#[test]
fn steps_that_wait_for_each_other_are_told() {
    let store = MemoryStore::new([7; 32]);
    let failed = thread::scope(|scope| {
        let (locked, wait_until_locked) = mpsc::channel();
        let (mine_locked, wait_until_mine_locked) = mpsc::channel();
        let store = &store;
        let other = scope.spawn(move || {
            store.step(ACCOUNT, &mut |tx| {
                tx.lock_books(&[BookNo(2)])?;
                locked.send(()).unwrap();
                wait_until_mine_locked.recv().unwrap();
                tx.lock_books(&[BookNo(1)])?;
                Ok(Verdict::Commit)
            })
        });
        let mine = store.step(ACCOUNT, &mut |tx| {
            tx.lock_books(&[BookNo(1)])?;
            mine_locked.send(()).unwrap();
            wait_until_locked.recv().unwrap();
            while store.waiting() == 0 {
                thread::yield_now();
            }
            tx.lock_books(&[BookNo(2)])?;
            Ok(Verdict::Commit)
        });
        other.join().unwrap().unwrap();
        mine
    });
    assert!(matches!(failed, Err(StoreError::Busy(_))));
}

#[test]
fn a_panic_gives_up_the_locks() {
    let store = MemoryStore::new([7; 32]);
    let panicked = thread::scope(|scope| {
        let step = || store.step(ACCOUNT, &mut |tx| add(tx, "lost").map(|_| panic!("on purpose")));
        scope.spawn(step).join()
    });
    assert!(panicked.is_err());
    store.step(ACCOUNT, &mut |tx| add(tx, "kept").map(|_| Verdict::Commit)).unwrap();
    assert_eq!(contents(&store), ["kept"]);
}

#[test]
fn seeds_tell_stores_apart() {
    let drawn = |seed| {
        let store = MemoryStore::new([seed; 32]);
        let mut stamps = Vec::new();
        store
            .step(ACCOUNT, &mut |tx| {
                stamps = tx.lock_books(&[BookNo(1), BookNo(2)])?.iter().map(|row| row.stamp).collect();
                Ok(Verdict::Commit)
            })
            .unwrap();
        let keys = store.keys().unwrap().0.remove(0);
        (stamps, keys.nonce, keys.token)
    };
    assert_eq!(drawn(1), drawn(1));
    let (one, two) = (drawn(1), drawn(2));
    assert_ne!(one.0[0], one.0[1]);
    assert_ne!(one.0[0], two.0[0]);
    assert_ne!(one.1, one.2);
    assert_ne!(one.1, two.1);
}
