//! The one writing connection, and group commit.
//!
//! Steps of different threads run one after another. A step that ends while others wait leaves the transaction open;
//! the next joins it behind a savepoint of its own, and the last of them commits for all, or every
//! [`GROUP_LIMIT`]th. Nobody returns before that commit: not even a step that was rolled back, since what it read may
//! have been written by one before it. One fsync then serves the group.

use super::super::{Result, StoreError, Verdict};
use super::failure::OrFailure;
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The most steps that share a commit.
const GROUP_LIMIT: usize = 64;

#[derive(Debug)]
pub(super) struct Writer {
    desk: Mutex<Desk>,
    /// Threads that want the desk and do not have it yet.
    waiting: AtomicUsize,
    /// The thread at the desk, which must not ask for it again.
    at_desk: Mutex<Option<ThreadId>>,
}

#[derive(Debug)]
struct Desk {
    conn: Connection,
    /// The transaction that is open, if one is.
    group: Option<Group>,
}

#[derive(Debug)]
struct Group {
    outcome: Arc<Outcome>,
    /// Steps that are part of it, the running one included.
    steps: usize,
    /// Whether one of them wants to be committed.
    wanted: bool,
}

/// How the commit of a group went, once it has.
#[derive(Debug, Default)]
struct Outcome {
    result: Mutex<Option<Result<()>>>,
    known: Condvar,
}

impl Writer {
    pub(super) fn new(conn: Connection) -> Self {
        Self { desk: Mutex::new(Desk { conn, group: None }), waiting: AtomicUsize::new(0), at_desk: Mutex::new(None) }
    }

    /// Runs one step. When this returns `Ok`, all that `work` did is durable, or gone if it asked for that.
    pub(super) fn step(&self, work: impl FnOnce(&Connection) -> Result<Verdict>) -> Result<()> {
        let mut turn = self.turn()?;
        let answer = turn.run(work);
        let ended = turn.end();
        drop(turn);
        let committed = match ended {
            Ended::Settled(result) => result,
            Ended::Open(outcome) => outcome.wait(),
        };
        answer.and(committed)
    }

    /// Runs something outside any transaction.
    pub(super) fn alone<R>(&self, work: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        let mut turn = self.turn()?;
        turn.desk.settle()?;
        work(&turn.desk.conn)
    }

    fn turn(&self) -> Result<Turn<'_>> {
        let me = thread::current().id();
        if *self.at_desk() == Some(me) {
            return Err(StoreError::Corrupt("a step began another step of the same store".to_owned()));
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // A panic inside a step is cleaned up by `Turn`, so that the desk is in order.
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        *self.at_desk() = Some(me);
        Ok(Turn { writer: self, desk, running: false })
    }

    fn at_desk(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.at_desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's time at the desk.
struct Turn<'a> {
    writer: &'a Writer,
    desk: MutexGuard<'a, Desk>,
    /// Whether a step's work is under way; still so in `drop` when it panicked.
    running: bool,
}

enum Ended {
    Settled(Result<()>),
    Open(Arc<Outcome>),
}

impl Turn<'_> {
    /// Runs the work within the group's transaction, behind a savepoint if it is not the first.
    fn run(&mut self, work: impl FnOnce(&Connection) -> Result<Verdict>) -> Result<()> {
        self.desk.join()?;
        self.running = true;
        let answer = work(&self.desk.conn);
        self.running = false;
        match answer {
            // Some failures, a full disk for one, undo the whole transaction by themselves.
            Err(error) if self.desk.conn.is_autocommit() => self.desk.abandon(error),
            Ok(Verdict::Commit) => self.desk.keep().or_else(|failure| self.desk.abandon(failure)),
            Ok(Verdict::Rollback) => self.desk.undo().or_else(|failure| self.desk.abandon(failure)),
            Err(error) => self.desk.undo().or_else(|failure| self.desk.abandon(failure)).and(Err(error)),
        }
    }

    /// Leaves the transaction to those who wait, or commits it.
    fn end(&mut self) -> Ended {
        let others = self.writer.waiting.load(Ordering::SeqCst) > 0;
        match &self.desk.group {
            Some(group) if others && group.wanted && group.steps < GROUP_LIMIT => {
                Ended::Open(Arc::clone(&group.outcome))
            }
            _ => Ended::Settled(self.desk.settle()),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.running {
            // The work panicked: its step leaves nothing, the others of the group are not harmed.
            let undone = self.desk.undo();
            if undone.or_else(|failure| self.desk.abandon(failure)).is_ok() {
                // A failed commit reaches those of the group; this thread has its panic.
                let _ = self.end();
            }
        }
        *self.writer.at_desk() = None;
    }
}

impl Desk {
    fn execute(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).or_failure().map(drop)
    }

    fn join(&mut self) -> Result<()> {
        if let Some(group) = &mut self.group {
            group.steps += 1;
            return self.execute("SAVEPOINT step").or_else(|failure| self.abandon(failure));
        }
        self.execute("BEGIN IMMEDIATE")?;
        self.group = Some(Group { outcome: Arc::default(), steps: 1, wanted: false });
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let Some(group) = &mut self.group else { return Ok(()) };
        group.wanted = true;
        if group.steps > 1 { self.execute("RELEASE step") } else { Ok(()) }
    }

    fn undo(&mut self) -> Result<()> {
        match &self.group {
            Some(group) if group.steps > 1 => {
                self.execute("ROLLBACK TO step")?;
                self.execute("RELEASE step")
            }
            Some(_) => {
                self.group = None;
                self.execute("ROLLBACK")
            }
            None => Ok(()),
        }
    }

    /// Commits the open transaction and tells those who wait for it.
    fn settle(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let result = self.execute(if group.wanted { "COMMIT" } else { "ROLLBACK" });
        if result.is_err() {
            self.roll_back();
        }
        group.outcome.tell(result.clone());
        result
    }

    /// The transaction cannot go on: all of its steps fail. Some failures (a full disk) undo it by themselves.
    fn abandon(&mut self, failure: StoreError) -> Result<()> {
        self.roll_back();
        if let Some(group) = self.group.take() {
            group.outcome.tell(Err(failure.clone()));
        }
        Err(failure)
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // If even this fails the connection is broken, and the next BEGIN says so.
            let _ = self.execute("ROLLBACK");
        }
    }
}

impl Outcome {
    fn tell(&self, result: Result<()>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.known.notify_all();
    }

    fn wait(&self) -> Result<()> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = &*result {
                return result.clone();
            }
            result = self.known.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
