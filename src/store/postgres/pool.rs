//! Connections: as many as are in use at once, up to a limit.

use super::super::{Result, StoreError};
use super::PostgresOptions;
use super::failure::{OrFailure, failure, is_lost};
use super::tls::Tls;
use ::postgres::{Client, Config, NoTls, Row, SimpleQueryMessage, Statement};
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// A connection, and what it has prepared.
pub(super) struct Conn {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Its name in the table `mark`.
    name: String,
    /// How many steps it committed, or tried to.
    commits: i64,
}

/// Which step of which connection.
pub(super) struct Mark {
    conn: String,
    step: i64,
}

impl Conn {
    pub(super) fn mark(&self) -> Mark {
        Mark { conn: self.name.clone(), step: self.commits }
    }

    pub(super) fn begin(&mut self) -> std::result::Result<(), postgres::Error> {
        self.batch("BEGIN ISOLATION LEVEL READ COMMITTED")
    }

    /// Commits, and leaves a mark of that. A connection where this failed must not be used any more.
    ///
    /// No timeout ends it: a commit that waits for a standby when its time is up counts as done, and is not safe there.
    pub(super) fn commit(&mut self) -> std::result::Result<(), postgres::Error> {
        let prepare = match self.commits {
            0 => format!(
                "PREPARE mark (bigint) AS INSERT INTO mark (conn, step) VALUES ('{}', $1) ON CONFLICT (conn) DO UPDATE
                  SET step = CASE WHEN mark.fenced THEN NULL ELSE excluded.step END, at = now(); ",
                self.name
            ),
            _ => String::new(),
        };
        self.commits += 1;
        let step = self.commits;
        self.batch(&format!("{prepare}SET LOCAL statement_timeout = 0; EXECUTE mark({step}); COMMIT"))
    }

    /// Whether another connection's step was committed, which it cannot be any more once this is answered. A step that is
    /// just committing is waited for. May be asked again.
    pub(super) fn was_committed(&mut self, mark: &Mark) -> std::result::Result<bool, postgres::Error> {
        const FENCE: &str = "INSERT INTO mark (conn, step, fenced) VALUES ($1::text::uuid, 0, true)
             ON CONFLICT (conn) DO UPDATE SET fenced = true RETURNING step";
        self.begin()?;
        let rows = self.query(FENCE, &[&mark.conn])?;
        let last = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        // Behind the other commit in the log: where this one has arrived, that one has.
        self.batch("SET LOCAL statement_timeout = 0; COMMIT")?;
        Ok(last == Some(mark.step))
    }

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
        let connect = || -> std::result::Result<Conn, postgres::Error> {
            let mut client = match &self.tls {
                None => self.config.connect(NoTls)?,
                Some(tls) => self.config.connect(tls.clone())?,
            };
            let said = client.simple_query(&self.set_up)?;
            let name = said.iter().rev().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            Ok(Conn { client, statements: HashMap::new(), name: name.unwrap_or_default(), commits: 0 })
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

impl Conn {
    /// Rolls back and reports whether that went well.
    pub(super) fn roll_back(&mut self) -> Result<()> {
        self.batch("ROLLBACK").or_failure()
    }
}
