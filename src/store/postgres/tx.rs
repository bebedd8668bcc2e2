//! A step of a PostgreSQL store: statements prepared once for each connection, run once for all rows of a call.

use super::super::methods::{tx_by_own_methods, tx_methods};
pub(super) use super::super::sql::{LockedBook, rows_at_most};
use super::super::*;
use super::conn::{Conn, OwnedValues, Values};
use super::failure::{OrFailure, failure, is_spent, may_pass};
use super::known::Known;
use tokio_postgres::Row;

pub(super) struct PostgresTx<'a> {
    conn: &'a mut Conn,
    pub(super) account: i64,
    /// Whether rows can be locked: a look cannot.
    pub(super) locks: bool,
    pub(super) locked: Vec<LockedBook>,
    /// What a step knows of the device that it locked.
    pub(super) known: Known,
    /// Whether what went wrong may go well the next time.
    pub(super) again: bool,
    /// Whether the connection shall not be used any more.
    pub(super) spent: bool,
}

impl<'a> PostgresTx<'a> {
    pub(super) fn new(conn: &'a mut Conn, account: AccountNo, locks: bool) -> Self {
        Self {
            conn,
            account: account.0,
            locks,
            locked: Vec::new(),
            known: Known::default(),
            again: false,
            spent: false,
        }
    }

    pub(super) fn run(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64> {
        let done = self.conn.execute(sql, values);
        done.map_err(|error| self.noted(&error))
    }

    /// As [`run`](Self::run) where nobody asks how many rows were written: it goes out with the next statement, or with the
    /// commit, and fails there.
    pub(super) fn later(&mut self, sql: &'static str, values: OwnedValues) -> Result<()> {
        let done = self.conn.later(sql, values);
        done.map_err(|error| self.noted(&error))
    }

    /// Asks several things at once, one after the other.
    pub(super) fn queries(&mut self, asked: &[(&'static str, Values<'_>)]) -> Result<Vec<Vec<Row>>> {
        let done = self.conn.queries(asked);
        done.map_err(|error| self.noted(&error))
    }

    pub(super) fn rows(&mut self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>> {
        let done = self.conn.query(sql, values);
        done.map_err(|error| self.noted(&error))
    }

    pub(super) fn one<T>(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        self.rows(sql, values)?.first().map(read).transpose()
    }

    pub(super) fn all<T>(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
        read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.rows(sql, values)?.iter().map(read).collect()
    }

    /// As [`all`](Self::all), for `count` asked for at once: an answer names in its first column which it belongs to, from
    /// 1. Of several the last one stays.
    pub(super) fn each<T>(
        &mut self,
        count: usize,
        sql: &'static str,
        values: Values<'_>,
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let mut found: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
        if count > 0 {
            for row in &self.rows(sql, values)? {
                if let Some(place) = place(row)?.and_then(|place| found.get_mut(place)) {
                    *place = Some(read(row)?);
                }
            }
        }
        Ok(found)
    }

    /// As [`each`](Self::each), with all answers to each.
    pub(super) fn lists(&mut self, count: usize, sql: &'static str, values: Values<'_>) -> Result<Vec<Vec<Guid>>> {
        let mut found = vec![Vec::new(); count];
        if count > 0 {
            for row in &self.rows(sql, values)? {
                if let Some(place) = place(row)?.and_then(|place| found.get_mut(place)) {
                    place.push(Guid(row.try_get(1).or_failure()?));
                }
            }
        }
        Ok(found)
    }

    /// What another step did first: the step may be run again and find it.
    pub(super) fn overtaken(&mut self, what: &str) -> StoreError {
        self.again = true;
        StoreError::Busy(format!("another step made {what} first"))
    }

    /// The lock of a book that is to be written.
    pub(super) fn locked(&mut self, book: BookNo) -> Result<&mut LockedBook> {
        sql::locked(&mut self.locked, book)
    }

    fn noted(&mut self, error: &tokio_postgres::Error) -> StoreError {
        self.again |= may_pass(error);
        self.spent |= is_spent(error);
        failure(error)
    }
}

fn place(row: &Row) -> Result<Option<usize>> {
    let place: i64 = row.try_get(0).or_failure()?;
    Ok(usize::try_from(place - 1).ok())
}

/// Splits what is written in order into parts that name nothing twice: a statement writes a row once only.
pub(super) fn parts<'r, T, K: std::hash::Hash + Eq>(rows: &'r [T], key: impl Fn(&'r T) -> K) -> Vec<Vec<&'r T>> {
    let mut parts: Vec<Vec<&T>> = Vec::new();
    let mut times: std::collections::HashMap<K, usize> = std::collections::HashMap::new();
    for row in rows {
        let time = times.entry(key(row)).or_default();
        if parts.len() == *time {
            parts.push(Vec::new());
        }
        parts[*time].push(row);
        *time += 1;
    }
    parts
}

tx_methods!(tx_by_own_methods(PostgresTx<'_>));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_the_order_of_each() {
        assert_eq!(parts(&[1, 2, 1, 3, 1, 2], |number| *number), [vec![&1, &2, &3], vec![&1, &2], vec![&1]]);
        assert!(parts(&[] as &[i32], |number| *number).is_empty());
    }
}
