//! A step of an SQLite store: statements prepared once, run per row.

use super::super::methods::{tx_by_own_methods, tx_methods};
pub(super) use super::super::sql::{LockedBook, rows_at_most};
use super::super::*;
use super::failure::OrFailure;
use super::packed::Packing;
use super::place::Places;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use std::cell::Cell;

pub(super) struct SqliteTx<'a> {
    conn: &'a Connection,
    pub(super) account: i64,
    pub(super) locked: Vec<LockedBook>,
    /// Where the items of the book are that was asked for last.
    pub(super) known: Cell<Option<(BookNo, Places)>>,
    pub(super) packing: Packing,
}

impl<'a> SqliteTx<'a> {
    pub(super) fn new(conn: &'a Connection, account: AccountNo) -> Self {
        Self { conn, account: account.0, locked: Vec::new(), known: Cell::new(None), packing: Packing::default() }
    }

    /// Packs what it writes, or not.
    pub(super) fn packing(mut self, writes: bool) -> Self {
        self.packing = Packing::new(writes);
        self
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
        sql::locked(&mut self.locked, book)
    }
}

tx_methods!(tx_by_own_methods(SqliteTx<'_>));
