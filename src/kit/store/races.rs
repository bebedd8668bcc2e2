//! Steps of several threads at once.
//!
//! A store may run them one after another from their beginning (SQLite) or let the second run until it wants the
//! first's lock (PostgreSQL). So no case waits for the second step to have come anywhere, but only gives it time.

use super::support::*;
use crate::store::{
    self, AccountNo, BookNo, DeviceNo, Guid, Revision, SessionKey, SessionRow, Store, StoreError, Token, Tx,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Time for another step to come as far as it can.
const A_WHILE: Duration = Duration::from_millis(60);

/// A committed step, tried again when the store says that it is busy.
fn insist<R>(
    store: &dyn Store,
    account: AccountNo,
    mut work: impl FnMut(&mut dyn Tx) -> store::Result<R>,
) -> Outcome<R> {
    for _ in 0..1000 {
        match write(store, account, &mut work) {
            Err(StoreError::Busy(_)) => thread::yield_now(),
            answer => return Ok(answer?),
        }
    }
    Err(Failure("busy a thousand times".to_owned()))
}

/// What a thread answered.
fn joined<R>(handle: thread::ScopedJoinHandle<'_, Outcome<R>>) -> Outcome<R> {
    handle.join().unwrap_or_else(|_| Err(Failure("the store panicked".to_owned())))
}

/// Follows a book as a device does, from the last revision seen, until told to stop; then once more.
fn follow(store: &dyn Store, account: AccountNo, stop: &AtomicBool) -> Outcome<Vec<i64>> {
    let mut seen = Vec::new();
    loop {
        let last = stop.load(Ordering::SeqCst);
        let after = Revision(seen.last().copied().unwrap_or(0));
        let new = read(store, account, |tx| tx.changes(BOOK, after, ALL, usize::MAX))?;
        seen.extend(new.iter().map(|item| item.revision.0));
        if last {
            return Ok(seen);
        }
        thread::yield_now();
    }
}

/// Runs the writers, and a follower beside them; answers what it saw.
fn followed(store: &dyn Store, account: AccountNo, writers: &[&(dyn Fn() -> Outcome + Sync)]) -> Outcome<Vec<i64>> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let follower = scope.spawn(|| follow(store, account, &stop));
        let writers = writers.iter().map(|writer| scope.spawn(writer)).collect::<Vec<_>>();
        let written = writers.into_iter().map(joined).collect::<Vec<_>>();
        stop.store(true, Ordering::SeqCst);
        let seen = joined(follower);
        written.into_iter().collect::<Outcome<Vec<()>>>()?;
        seen
    })
}

pub(super) fn writers_take_turns(store: &dyn Store) -> Outcome {
    const STEPS: usize = 20;
    let ann = account(store, "ann")?;
    let writer = || {
        for step in 0..STEPS {
            insist(store, ann, |tx| {
                add(tx, BOOK, &["one", "two", "three"][..=step % 3])?;
                // Long enough for another writer to come between, if it can.
                pause(Duration::from_micros(300));
                Ok(())
            })?;
        }
        Ok(())
    };
    let seen = followed(store, ann, &[&writer, &writer, &writer, &writer])?;
    let count = 4 * (0..STEPS).map(|step| step % 3 + 1).sum::<usize>() as i64;
    same("revisions, as a follower saw them", seen, (1..=count).collect())?;
    let row = read(store, ann, |tx| tx.book(BOOK))?;
    same("head and items", row.map(|row| (row.head.0, row.live_items)), Some((count, count)))
}

/// Tells another thread to go on, and gives it time to do so.
struct Signal(Sender<()>);

/// What a thread waits for before it goes on.
struct Start(Receiver<()>);

fn signal() -> (Signal, Start) {
    let (send, receive) = mpsc::channel();
    (Signal(send), Start(receive))
}

impl Signal {
    fn give(&self) {
        // Nobody there any more has failed already, and says so itself.
        let _ = self.0.send(());
    }
}

impl Start {
    /// Waits as long as it takes; a signal lost with its thread is one, too.
    fn wait(&self) {
        let _ = self.0.recv();
    }

    /// Waits, but not for long; whether the signal was given.
    fn wait_a_while(&self) -> bool {
        self.0.recv_timeout(A_WHILE).is_ok()
    }
}

/// Takes its time.
fn pause(time: Duration) {
    // Kept, so that the other end is not closed.
    let (_signal, never) = signal();
    let _ = never.0.recv_timeout(time);
}

pub(super) fn late_committer(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let stop = AtomicBool::new(false);
    let (written, may_begin) = signal();
    let (committed, other_committed) = signal();
    let seen = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(store, ann, &stop));
        let late = scope.spawn(move || {
            insist(store, ann, |tx| {
                let made = add(tx, BOOK, &["late"])?;
                written.give();
                Ok((other_committed.wait_a_while(), made[0].revision.0))
            })
        });
        let early = scope.spawn(move || {
            may_begin.wait();
            let made = insist(store, ann, |tx| add(tx, BOOK, &["early"]))?;
            committed.give();
            Ok(made[0].revision.0)
        });
        let (late, early) = (joined(late), joined(early));
        stop.store(true, Ordering::SeqCst);
        let seen = joined(follower);
        let ((overtaken, late), early) = (late?, early?);
        holds("no writer commits while another holds the book", !overtaken)?;
        same("revisions of the late and the early writer", (late, early), (1, 2))?;
        seen
    })?;
    same("revisions, as a follower saw them", seen, vec![1, 2])
}

pub(super) fn loaded_before_commit(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| add(tx, BOOK, &["old"]))?;
    let (changed, may_begin) = signal();
    let (loaded, other_loaded) = signal();
    let found = thread::scope(|scope| {
        let first = scope.spawn(move || {
            insist(store, ann, |tx| {
                replace(tx, BOOK, Guid(1), "new")?;
                changed.give();
                other_loaded.wait_a_while();
                Ok(())
            })
        });
        let second = scope.spawn(move || {
            may_begin.wait();
            insist(store, ann, |tx| {
                // Without the lock: old or new, but nothing to decide upon.
                item(tx, BOOK, Guid(1))?;
                loaded.give();
                let row = tx.lock_books(&[BOOK])?.remove(0);
                let item = item(tx, BOOK, Guid(1))?;
                let changes = tx.changes(BOOK, Revision(1), row.head, 9)?;
                Ok((row.head.0, item.revision.0, item.content.into_owned(), changes.len()))
            })
        });
        joined(first)?;
        joined(second)
    })?;
    same("head, revision, content, changes under the lock", found, (2, 2, b"new".to_vec(), 1))
}

pub(super) fn lock_is_held(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| tx.lock_books(&[BOOK, OTHER_BOOK]))?;
    let held = AtomicBool::new(false);
    let (locked, may_begin) = signal();
    thread::scope(|scope| {
        let (held, locked) = (&held, &locked);
        let first = scope.spawn(move || {
            insist(store, ann, |tx| {
                tx.lock_books(&[BOOK, OTHER_BOOK])?;
                held.store(true, Ordering::SeqCst);
                locked.give();
                pause(A_WHILE);
                held.store(false, Ordering::SeqCst);
                Ok(())
            })
        });
        let second = scope.spawn(move || {
            may_begin.wait();
            insist(store, ann, |tx| {
                tx.lock_books(&[OTHER_BOOK])?;
                Ok(held.load(Ordering::SeqCst))
            })
        });
        joined(first)?;
        holds("the second writer waited", !joined(second)?)
    })
}

pub(super) fn session_row_is_locked(store: &dyn Store) -> Outcome {
    const STEPS: u32 = 15;
    let ann = account(store, "ann")?;
    let token = Token([1; 16]);
    write(store, ann, |tx| tx.put_session(&SessionRow { last_msg_id: 0, ..session_row(1, DeviceNo(1), "1") }))?;
    let count = |key: SessionKey<'_>| {
        for _ in 0..STEPS {
            insist(store, ann, |tx| {
                let row = tx.session(key)?.ok_or_else(|| StoreError::Failed("the session is gone".to_owned()))?;
                thread::yield_now();
                tx.put_session(&SessionRow { last_msg_id: row.last_msg_id + 1, ..row })
            })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let keys = [SessionKey::Token(&token), SessionKey::Ids(DeviceNo(1), "1"), SessionKey::Token(&token)];
        let count = &count;
        let threads = keys.map(|key| scope.spawn(move || count(key)));
        threads.into_iter().try_for_each(joined)
    })?;
    let row = read(store, ann, |tx| tx.session(SessionKey::Token(&token)))?;
    same("messages counted", row.map(|row| row.last_msg_id), Some(3 * STEPS))
}

pub(super) fn disjoint_writers(store: &dyn Store) -> Outcome {
    const STEPS: i64 = 15;
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let places = [(ann, BookNo(1)), (ann, BookNo(2)), (bob, BookNo(1)), (bob, BookNo(2))];
    thread::scope(|scope| {
        let threads = places.map(|(account, book)| {
            scope.spawn(move || {
                for step in 1..=STEPS {
                    insist(store, account, |tx| {
                        add(tx, book, &["one"])?;
                        tx.put_maps(DeviceNo(book.0), book, &[map_row(1, &step.to_string(), step)])
                    })?;
                }
                Ok(())
            })
        });
        threads.into_iter().try_for_each(joined)
    })?;
    for (account, book) in places {
        let (head, items, entries) = read(store, account, |tx| {
            let items = tx.changes(book, Revision(0), ALL, usize::MAX)?.len();
            let entries = tx.map_page(DeviceNo(book.0), book, 1, Guid(0), usize::MAX)?.len();
            Ok((tx.book(book)?.map(|row| row.head.0), items as i64, entries as i64))
        })?;
        same("head, items and map entries", (head, items, entries), (Some(STEPS), STEPS, STEPS))?;
    }
    Ok(())
}
