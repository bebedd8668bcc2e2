//! Connections: as many as are in use at once, up to a limit.

use super::super::{Result, StoreError};
use super::failure::{OrFailure, failure, is_lost};
use ::postgres::{Client, Config, NoTls, Row, Statement};
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How every connection is set up. Its statements are lookups of single rows by index, in batches that are small against
/// the tables: whatever a table's statistics say, a plan that walks one is wrong, and a plan made once is good for all.
const SET_UP: &str = "SET search_path = syncml; SET client_min_messages = warning; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off;
    SET plan_cache_mode = force_generic_plan; SET idle_in_transaction_session_timeout = '60s'";

/// A connection, and what it has prepared.
pub(super) struct Conn {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

impl Conn {
    pub(super) fn query(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
    ) -> std::result::Result<Vec<Row>, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.client.query(&statement, values)
    }

    pub(super) fn execute(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
    ) -> std::result::Result<u64, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.client.execute(&statement, values)
    }

    pub(super) fn batch(&mut self, sql: &str) -> std::result::Result<(), postgres::Error> {
        self.client.batch_execute(sql)
    }

    /// Begins a transaction that shall write, and answers its number.
    pub(super) fn begin(&mut self) -> std::result::Result<Option<String>, postgres::Error> {
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()::text";
        let said = self.client.simple_query(begin)?;
        Ok(said.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    fn prepare(&mut self, sql: &'static str) -> std::result::Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// The values of a statement's parameters.
pub(super) type Values<'a> = &'a [&'a (dyn postgres::types::ToSql + Sync)];

pub(super) struct Pool {
    config: Config,
    set_up: String,
    limit: usize,
    patience: Duration,
    desk: Mutex<Desk>,
    returned: Condvar,
}

#[derive(Default)]
struct Desk {
    idle: Vec<Conn>,
    /// Those in use included.
    open: usize,
}

impl Pool {
    /// `patience`: how long to wait for one of `limit` connections; `statement` and `lock`: the same for a statement, and
    /// for a lock.
    pub(super) fn new(config: Config, limit: usize, patience: Duration, statement: Duration, lock: Duration) -> Self {
        let (statement, lock) = (statement.as_millis(), lock.as_millis());
        let set_up = format!("{SET_UP}; SET statement_timeout = {statement}; SET lock_timeout = {lock}");
        Self { config, set_up, limit: limit.max(1), patience, desk: Mutex::default(), returned: Condvar::new() }
    }

    /// A connection, idle or new.
    pub(super) fn take(&self) -> Result<Taken<'_>> {
        let mut desk = self.desk();
        loop {
            if let Some(conn) = desk.idle.pop() {
                return Ok(Taken { pool: self, conn: Some(conn) });
            }
            if desk.open < self.limit {
                desk.open += 1;
                drop(desk);
                // Given back as taken if it cannot be made.
                let mut taken = Taken { pool: self, conn: None };
                taken.conn = Some(self.connect()?);
                return Ok(taken);
            }
            let (waited, timeout) =
                self.returned.wait_timeout(desk, self.patience).unwrap_or_else(PoisonError::into_inner);
            desk = waited;
            if timeout.timed_out() && desk.idle.is_empty() && desk.open >= self.limit {
                return Err(StoreError::Busy(format!("all {} connections to PostgreSQL are in use", self.limit)));
            }
        }
    }

    /// Forgets the idle connections: one was found dead, and the server has probably ended them all.
    pub(super) fn clear(&self) {
        let mut desk = self.desk();
        desk.open -= desk.idle.len();
        let dead = std::mem::take(&mut desk.idle);
        drop(desk);
        close(dead);
    }

    fn connect(&self) -> Result<Conn> {
        let connect = || -> std::result::Result<Conn, postgres::Error> {
            let mut client = self.config.connect(NoTls)?;
            client.batch_execute(&self.set_up)?;
            Ok(Conn { client, statements: HashMap::new() })
        };
        connect().map_err(|error| match failure(&error) {
            StoreError::Failed(text) if is_lost(&error) => StoreError::Busy(text),
            other => other,
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing is left half done under it.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        close(std::mem::take(&mut self.desk().idle));
    }
}

/// Closes connections in a thread of its own: theirs is a runtime that must not be run within another, and who drops a
/// store may be in one.
fn close(conns: Vec<Conn>) {
    if !conns.is_empty() {
        drop(std::thread::spawn(move || drop(conns)).join());
    }
}

/// A connection in use.
pub(super) struct Taken<'a> {
    pool: &'a Pool,
    conn: Option<Conn>,
}

impl Taken<'_> {
    /// The connection.
    pub(super) fn conn(&mut self) -> Result<&mut Conn> {
        self.conn.as_mut().ok_or_else(|| StoreError::Failed("a connection was given back already".to_owned()))
    }

    /// Gives the connection back, with no transaction open. One that is just dropped is closed.
    pub(super) fn give_back(mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.desk().idle.push(conn);
            self.pool.returned.notify_one();
            std::mem::forget(self);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        close(self.conn.take().into_iter().collect());
        self.pool.desk().open -= 1;
        self.pool.returned.notify_one();
    }
}

impl Conn {
    /// Rolls back and reports whether that went well.
    pub(super) fn roll_back(&mut self) -> Result<()> {
        self.batch("ROLLBACK").or_failure()
    }
}
