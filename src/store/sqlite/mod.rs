//! The SQLite store: one file, one writing connection shared by commits in groups, a few readers.
//!
//! Write-ahead log, `synchronous = FULL`: what a step returned `Ok` for survives a power cut. Several processes may use
//! one file; each waits ten seconds for another's step.

mod blobs;
mod checkpoint;
mod directory;
mod failure;
mod history;
mod items;
mod ledger;
mod maps;
mod packed;
mod place;
#[cfg(test)]
mod plans;
mod prints;
mod rows;
mod runs;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
mod tx;
mod words;
mod writer;

use super::{AccountNo, BookNo, Directory, Keys, Result, Store, StoreError, Tx, Verdict, watch};
use crate::message::Timestamp;
use checkpoint::Checkpoints;
use directory::{Readers, SqliteDirectory};
use failure::{OrFailure, REMEDY};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tx::SqliteTx;
use writer::Writer;

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that are looked through within some ten milliseconds, and within some seconds.
const QUICK: u64 = 16 << 20;
const SLOW: u64 = 1 << 30;

/// More than all the statements there are.
const STATEMENTS: usize = 128;

/// How a database is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Whether contents of up to 64 KB are packed as they are written, each for itself with a dictionary of what most cards
    /// have in common: the database of a book of cards takes about half as much, and a card a few microseconds more. What is
    /// there already stays as it is until it changes; either kind is read whatever this says. Off by default.
    pub compress: bool,
}

/// A store in an SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Arc<Writer>,
    directory: SqliteDirectory,
    options: SqliteOptions,
}

impl SqliteStore {
    /// Opens the database, creating it when the file does not exist or is empty, and brings its schema up to date. A file of up
    /// to 16 MB is looked through for damage before, and one of up to 1 GB when its log was left behind by a crash (or is in use
    /// by another process); larger ones by [`check`](Self::check) only.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for a database of a newer release, [`StoreError::Corrupt`] for a damaged file or one of
    /// another program, [`StoreError::ReadOnly`] when it cannot be opened for writing, [`StoreError::Busy`] when
    /// another process holds it for too long.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// Opens the database as [`open`](Self::open) does, with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        Self::open_within(path.as_ref(), options, BUSY_TIMEOUT)
    }

    fn open_within(path: &Path, options: SqliteOptions, timeout: Duration) -> Result<Self> {
        let open = || -> Result<_> {
            let mut conn = Connection::open(path).or_failure()?;
            set_up(&conn, timeout)?;
            // Before anything is changed: it may be another program's.
            schema::version(&conn)?;
            let mode: String =
                conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).or_failure()?;
            if !mode.eq_ignore_ascii_case("wal") {
                return Err(StoreError::Failed(format!("no write-ahead log on this file system, but {mode}")));
            }
            conn.pragma_update(None, "synchronous", "FULL").or_failure()?;
            checkpoint::set_up(&conn)?;
            if is_doubtful(path) {
                quick_check(&conn)?;
            }
            schema::migrate(&mut conn)?;
            Ok(conn)
        };
        let conn = open().map_err(|error| at(path, error))?;
        let writer = Arc::new(Writer::new(conn, Some(Checkpoints::new(path))));
        let directory = SqliteDirectory::new(Readers::pool(path.to_owned()), Arc::clone(&writer));
        Ok(Self { writer, directory, options })
    }

    /// A database in memory, gone with the store: for tests.
    ///
    /// # Errors
    /// SQLite's own failure.
    pub fn open_in_memory() -> Result<Self> {
        Self::open_in_memory_with(SqliteOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// SQLite's own failure.
    pub fn open_in_memory_with(options: SqliteOptions) -> Result<Self> {
        let open = || -> Result<_> {
            let mut conn = Connection::open_in_memory().or_failure()?;
            set_up(&conn, BUSY_TIMEOUT)?;
            schema::migrate(&mut conn)?;
            Ok(conn)
        };
        // A second connection would see another, empty database; so the directory simply has a database of its own.
        let writer = Arc::new(Writer::new(open()?, None));
        let directory = SqliteDirectory::new(Readers::single(open()?), Arc::clone(&writer));
        Ok(Self { writer, directory, options })
    }

    /// Reads the whole database and checks it: pages, indexes, and that each book's row agrees with its items. Writers
    /// wait meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first findings and what to do.
    pub fn check(&self) -> Result<()> {
        const FINDINGS: &str = "SELECT 'account ' || account || ', book ' || book || ': ' || what FROM (
            SELECT b.account, b.book, 'its row does not agree with its items' AS what FROM book AS b
             WHERE (live_items, live_bytes) <> (SELECT count(*), total(ifnull(size, length(content))) FROM item
                                                 WHERE place >= slot << 36 AND place < slot + 1 << 36 AND deleted = 0)
             UNION ALL
            SELECT account, book, 'an item is newer than its head' FROM book
             WHERE EXISTS (SELECT 1 FROM item WHERE place > slot << 36 | head AND place < slot + 1 << 36)
                OR EXISTS (SELECT 1 FROM item WHERE changed > slot << 36 | head AND changed < slot + 1 << 36)
             UNION ALL
            SELECT account, book, 'a large content is missing' FROM item AS i JOIN book ON slot = place >> 36
             WHERE i.blob IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM blob AS p WHERE p.account = book.account AND p.blob = i.blob)
             UNION ALL
            SELECT account, book, 'a large content of the past is missing' FROM revision AS r
              JOIN book ON slot = place >> 36 WHERE r.blob IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM blob AS p WHERE p.account = book.account AND p.blob = r.blob)
             UNION ALL
            SELECT account, book, 'what a device holds is not known' FROM map JOIN book USING (account, book)
             WHERE view_fp IS NULL
               AND NOT EXISTS (SELECT 1 FROM item WHERE place = slot << 36 | guid AND changed IS NULL AND deleted = 0)
             UNION ALL
            SELECT 0, 0, 'an item is in no book' FROM item LEFT JOIN book ON slot = place >> 36 WHERE slot IS NULL) LIMIT 5";
        self.writer.alone(|conn| {
            for sql in ["PRAGMA integrity_check(5)", FINDINGS] {
                let mut statement = conn.prepare(sql).or_failure()?;
                let lines = statement.query_map([], |row| row.get(0)).or_failure()?;
                let lines = lines.collect::<rusqlite::Result<Vec<String>>>().or_failure()?;
                if !lines.is_empty() && lines != ["ok"] {
                    return Err(StoreError::Corrupt(format!("{}; {REMEDY}", lines.join("; "))));
                }
            }
            let mut books = conn.prepare("SELECT account, book FROM book").or_failure()?;
            let mut books = books.query([]).or_failure()?;
            while let Some(row) = books.next().or_failure()? {
                let (account, book) = <(i64, i64)>::try_from(row).or_failure()?;
                let (account, book) = (AccountNo(account), BookNo(book));
                if let Some(guid) = prints::not_found(conn, account, book)? {
                    let what = format!("account {account}, book {book}: item {guid} is not found by its fingerprint");
                    return Err(StoreError::Corrupt(format!("{what}; {REMEDY}")));
                }
            }
            Ok(())
        })
    }
}

impl Store for SqliteStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let compress = self.options.compress;
        self.writer.step(|conn| watch::run(&mut SqliteTx::new(conn, account).packing(compress), work))
    }

    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        match self.directory.readers() {
            // All statements see the database as it is at the first.
            Some(readers) => readers.read(|conn| {
                let run = |sql| conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).or_failure();
                run("BEGIN")?;
                let answer = work(&mut SqliteTx::new(conn, account));
                run("ROLLBACK").and(answer)
            }),
            None => self.step(account, &mut |tx| work(tx).map(|()| Verdict::Rollback)),
        }
    }

    fn directory(&self) -> &dyn Directory {
        &self.directory
    }

    fn keys(&self) -> Result<Keys> {
        self.directory.keys()
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.directory.rotate_keys(since)
    }
}

/// Whether a database is looked through before it is used: a small one always, a larger one when its log was left behind, as
/// by a process that was killed or one that still runs. What is larger than that takes too long; see [`SqliteStore::check`].
fn is_doubtful(path: &Path) -> bool {
    let len = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let size = len(path);
    size <= QUICK || (size <= SLOW && len(&checkpoint::log_of(path)) > 0)
}

/// Whether the pages of the database fit together.
fn quick_check(conn: &Connection) -> Result<()> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).or_failure()?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt(format!("{found}; {REMEDY}"))) }
}

/// A reading connection to a database that is open already.
fn open_reader(path: &PathBuf) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(path, flags).or_failure().map_err(|error| at(path, error))?;
    set_up(&conn, BUSY_TIMEOUT)?;
    Ok(conn)
}

fn set_up(conn: &Connection, timeout: Duration) -> Result<()> {
    conn.busy_timeout(timeout).or_failure()?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan must not depend on values: else SQLite makes a plan anew whenever another LIMIT is bound, a tenth of a sync.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).or_failure()?;
    conn.pragma_update(None, "foreign_keys", false).or_failure()
}

/// Names the file in what went wrong when it was opened.
fn at(path: &Path, error: StoreError) -> StoreError {
    let name = |text: String| format!("{}: {text}", path.display());
    match error {
        StoreError::Busy(text) => StoreError::Busy(name(text)),
        StoreError::Full(text) => StoreError::Full(name(text)),
        StoreError::ReadOnly(text) => StoreError::ReadOnly(name(text)),
        StoreError::Corrupt(text) => StoreError::Corrupt(name(text)),
        StoreError::Failed(text) => StoreError::Failed(name(text)),
        other => other,
    }
}
