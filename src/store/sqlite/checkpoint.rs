//! Brings what the write-ahead log has into the database, on a thread and a connection of its own, so that no step waits
//! for it.
//!
//! The log's file is cut to [`WORTH`] whenever it begins anew, so that its length tells how much of it is not in the
//! database. It can only begin anew once all of it is in the database, which a thread that runs after a writer never
//! reaches on a slow disk; so from [`BACKSTOP`] on the writer waits for the thread and does the rest itself.

// A store's own I/O.
#![allow(clippy::disallowed_methods)]

use super::super::Result;
use super::failure::OrFailure;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// From how many bytes of log on it is worth it.
const WORTH: u64 = 4 << 20;

/// From how many bytes of log on the writer does it, after a commit.
const BACKSTOP: u64 = 16 << 20;

#[derive(Debug)]
pub(super) struct Checkpoints {
    log: PathBuf,
    /// Whose turn it is, the thread's or the writer's: SQLite does not let two do it, and would let the writer go on.
    turn: Arc<Mutex<()>>,
    ring: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Sets the writing connection up.
pub(super) fn set_up(conn: &Connection) -> Result<()> {
    // Not SQLite's own: it passes where the thread is at work.
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(())).or_failure()?;
    // Answers with the limit.
    conn.pragma_update_and_check(None, "journal_size_limit", WORTH as i64, |_| Ok(())).or_failure()
}

/// Where the log of a database is.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

impl Checkpoints {
    /// Without a thread, if there is none to be had.
    pub(super) fn new(path: &Path) -> Self {
        let (ring, rung) = sync_channel::<()>(1);
        let turn = Arc::new(Mutex::new(()));
        let (database, threads) = (path.to_owned(), Arc::clone(&turn));
        let work = move || {
            let mut own = None;
            while rung.recv().is_ok() {
                if own.is_none() {
                    own = Connection::open(&database).ok();
                }
                if let Some(conn) = &own
                    && !bring_in(conn, &threads)
                {
                    own = None;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work).ok();
        Self { log: log_of(path), turn, ring: Some(ring), thread }
    }

    /// After a commit of this connection.
    pub(super) fn committed(&self, writer: &Connection) {
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        if length > BACKSTOP {
            // What fails here is tried again after the next commit; this one is durable as it is.
            bring_in(writer, &self.turn);
        } else if length > WORTH
            && let Some(ring) = &self.ring
        {
            // A full channel means that it was rung for already.
            let _ = ring.try_send(());
        }
    }
}

/// Whether it went. Passive: it waits for no reader, does what can be done now, and the rest the next time.
fn bring_in(conn: &Connection, turn: &Mutex<()>) -> bool {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).is_ok()
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.ring.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere.
            drop(thread.join());
        }
    }
}
