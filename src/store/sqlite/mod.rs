//! A store in one SQLite file.
//!
//! WAL, `synchronous=FULL`, one transaction per step, begun IMMEDIATE: the database's write lock is the lock of every
//! book. Readers of the directory have a connection of their own and never wait for a writer.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a store's own I/O

mod directory;
mod open;
mod pairs;
mod tx;

use super::{AccountNo, Directory, Keys, Result, Store, StoreError, Tx, Verdict};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tx::SqliteTx;

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Mutex<Connection>,
    /// None for a database in memory, which has one connection only.
    reader: Option<Mutex<Connection>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens the file, creating or migrating it where needed.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for a file of a newer release, [`StoreError::Corrupt`] for a damaged file or one that is no
    /// database, [`StoreError::ReadOnly`] where it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let writer = open::writer(path.as_ref())?;
        let reader = open::reader(path.as_ref())?;
        Ok(Self { writer: Mutex::new(writer), reader: Some(Mutex::new(reader)) })
    }

    /// A database in memory, gone when dropped.
    ///
    /// # Errors
    /// SQLite's own failure.
    pub fn open_in_memory() -> Result<Self> {
        Ok(Self { writer: Mutex::new(open::in_memory()?), reader: None })
    }

    /// Checks the whole file; a sentence per fault found.
    ///
    /// # Errors
    /// SQLite's own failure.
    pub fn check(&self) -> Result<Vec<String>> {
        let connection = self.reading();
        let mut statement = connection.prepare("PRAGMA integrity_check").map_err(fault)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fault)?;
        let mut faults = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(fault)?;
        faults.retain(|line| line != "ok");
        Ok(faults)
    }

    fn writing(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Connection> {
        match &self.reader {
            Some(reader) => reader.lock().unwrap_or_else(PoisonError::into_inner),
            None => self.writing(),
        }
    }
}

impl Store for SqliteStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let connection = self.writing();
        // A panic in an earlier step may have left its transaction open; what it did was not acknowledged.
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(fault)?;
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
        let verdict = work(&mut SqliteTx { connection: &connection, account });
        let end = if matches!(verdict, Ok(Verdict::Commit)) { "COMMIT" } else { "ROLLBACK" };
        let ended = connection.execute_batch(end).map_err(fault);
        if ended.is_err() && !connection.is_autocommit() {
            // The transaction cannot be made durable, so it must not stay open either.
            let _ = connection.execute_batch("ROLLBACK");
        }
        verdict?;
        ended
    }

    fn directory(&self) -> &dyn Directory {
        self
    }

    fn keys(&self) -> Result<Keys> {
        let connection = self.reading();
        let key = |name: &str| -> Result<[u8; 32]> {
            let bytes: Vec<u8> = connection
                .query_row("SELECT value FROM key_material WHERE name = ?1", [name], |row| row.get(0))
                .map_err(fault)?;
            bytes.try_into().map_err(|_| StoreError::Corrupt(format!("the key {name:?} has the wrong length")))
        };
        Ok(Keys { nonce: key("nonce")?, token: key("token")? })
    }
}

/// SQLite's failures in a store's words.
fn fault(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as Code;
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => StoreError::Busy(text),
        Some(Code::DiskFull) => StoreError::Full(text),
        Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => StoreError::ReadOnly(text),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => StoreError::Corrupt(format!(
            "{text}; restore the file from a backup, or save what can be read with the sqlite3 program's .recover"
        )),
        _ => StoreError::Failed(text),
    }
}
