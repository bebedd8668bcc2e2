//! Connections: as many as are in use at once, up to a limit.

use super::super::{Result, StoreError};
use super::PostgresOptions;
use super::conn::Conn;
use super::failure::{failure, is_lost};
use super::tls::Tls;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::Config;

/// How every connection is set up. Its statements are lookups of single rows by index, in batches that are small against
/// the tables: whatever a table's statistics say, a plan that walks one is wrong, and a plan made once is good for all.
/// What is answered is on disk, whatever the database's default. The server lets go of a node that vanished without a word
/// in less time than a client gives up in. Last comes the name of the connection.
const SET_UP: &str = "SET search_path = syncml; SET client_min_messages = warning; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off;
    SET plan_cache_mode = force_generic_plan; SET idle_in_transaction_session_timeout = '60s';
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '30s'; SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local'); SELECT gen_random_uuid()";

pub(super) struct Pool {
    config: Config,
    tls: Option<Tls>,
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
    pub(super) fn new(config: Config, tls: Option<Tls>, options: &PostgresOptions) -> Self {
        let (statement, lock) = (options.statement_timeout.as_millis(), options.lock_timeout.as_millis());
        let set_up = format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}; {SET_UP}");
        let (limit, patience) = (options.connections.max(1), options.connection_timeout);
        Self { config, tls, set_up, limit, patience, desk: Mutex::default(), returned: Condvar::new() }
    }

    /// How long to wait for a connection.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// A connection, idle or new.
    pub(super) fn take(&self) -> Result<Taken<'_>> {
        let until = Instant::now() + self.patience;
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
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Busy(format!("all {} connections to PostgreSQL are in use", self.limit)));
            }
            (desk, _) = self.returned.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner);
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
        Conn::open(&self.config, self.tls.as_ref(), &self.set_up)?.map_err(|error| match failure(&error) {
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

    /// Another one in the place of a connection that is gone.
    pub(super) fn renewed(&mut self) -> Result<&mut Conn> {
        close(self.conn.take().into_iter().collect());
        let conn = self.pool.connect()?;
        Ok(self.conn.insert(conn))
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
