//! A step of an SQLite store: statements prepared once, run per row.

use super::super::methods::{tx_by_own_methods, tx_methods};
use super::super::*;
use super::failure::OrFailure;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

pub(super) struct SqliteTx<'a> {
    conn: &'a Connection,
    pub(super) account: i64,
    pub(super) locked: Vec<LockedBook>,
}

/// What is known of a book under the lock.
#[derive(Clone, Copy)]
pub(super) struct LockedBook {
    pub(super) book: BookNo,
    pub(super) head: Revision,
    pub(super) indexed: bool,
    pub(super) indexed_upto: Guid,
}

impl LockedBook {
    /// Whether the item's match keys are in the index, or shall be.
    pub(super) const fn indexes(&self, guid: Guid) -> bool {
        self.indexed || guid.0 <= self.indexed_upto.0
    }
}

impl<'a> SqliteTx<'a> {
    pub(super) const fn new(conn: &'a Connection, account: AccountNo) -> Self {
        Self { conn, account: account.0, locked: Vec::new() }
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>> {
        #[cfg(test)]
        super::plans::note(self.conn, sql);
        self.conn.prepare_cached(sql).or_failure()
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare(sql)?.execute(params).or_failure()
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.prepare(sql)?.query_row(params, read).optional().or_failure()
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.prepare(sql)?.query_map(params, read).and_then(Iterator::collect).or_failure()
    }

    /// The lock of a book that is to be written.
    pub(super) fn locked(&mut self, book: BookNo) -> Result<&mut LockedBook> {
        let locked = self.locked.iter_mut().find(|locked| locked.book == book);
        locked.ok_or_else(|| StoreError::Corrupt(format!("book {book} is written without its lock")))
    }
}

/// A limit as SQL has it.
pub(super) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

tx_methods!(tx_by_own_methods(SqliteTx<'_>));
