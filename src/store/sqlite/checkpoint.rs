//! Brings what the write-ahead log has into the database, on a thread and a connection of its own, so that no step waits
//! for it.
//!
//! The log's file is cut to [`WORTH`] whenever it begins anew, so that its length tells how much of it is not in the
//! database. Where the thread cannot keep up, the writer does it itself from [`BACKSTOP`] pages on.

// A store's own I/O.
#![allow(clippy::disallowed_methods)]

use super::super::Result;
use super::failure::OrFailure;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// From how many bytes of log on it is worth it.
const WORTH: u64 = 4 << 20;

/// From how many pages of log on the writer does it, after a commit.
const BACKSTOP: u32 = 4_000;

#[derive(Debug)]
pub(super) struct Checkpoints {
    log: PathBuf,
    ring: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Sets the writing connection up.
pub(super) fn set_up(conn: &Connection) -> Result<()> {
    conn.pragma_update(None, "wal_autocheckpoint", BACKSTOP).or_failure()?;
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
        let database = path.to_owned();
        let work = move || {
            let mut own = None;
            while rung.recv().is_ok() {
                if own.is_none() {
                    own = Connection::open(&database).ok();
                }
                // Passive: it waits for nobody, does what can be done now, and the rest the next time.
                if let Some(conn) = &own
                    && conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).is_err()
                {
                    own = None;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(work).ok();
        Self { log: log_of(path), ring: Some(ring), thread }
    }

    /// After a commit.
    pub(super) fn committed(&self) {
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > WORTH)
            && let Some(ring) = &self.ring
        {
            // A full channel means that it was rung for already.
            let _ = ring.try_send(());
        }
    }
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
