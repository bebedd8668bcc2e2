//! The PostgreSQL store: many nodes on one database, any of which takes the next message.
//!
//! A step is one transaction (READ COMMITTED) on a connection of a pool. It takes its locks in one order – the row of the
//! device, that of its session, those of the books by number – and loads only then, so that what it loads is current. A
//! book's revisions are numbered under the lock of its row, which is held until they are visible: the order of numbers is
//! the order of commits (I11). Every call is one statement, however many rows it is given.
//!
//! A step that meets a deadlock, a restart of the server or another step's new device is run again a few times, and then
//! answered [`StoreError::Busy`]. When the connection breaks in a COMMIT, the server is asked what became of that
//! transaction; if it cannot be asked, the answer is `Busy` too, and only then the step may have been made durable: a
//! client that sends its message again is answered from the store.
//!
//! Connections are not encrypted: use a socket of the same machine, a private network or a tunnel.
//!
//! All methods block. Call them from threads that may, never from an asynchronous task.

// Threads of its own to close connections, and time to wait for the server: a store's own I/O.
#![allow(clippy::disallowed_methods)]

mod blobs;
mod directory;
mod failure;
mod history;
mod items;
mod ledger;
mod maps;
mod pool;
mod rows;
mod schema;
mod sessions;
mod tx;

use super::{AccountNo, Directory, Keys, Result, Store, StoreError, Tx, Verdict, watch};
use crate::auth::Secret;
use crate::message::Timestamp;
use ::postgres::config::SslMode;
use directory::PostgresDirectory;
use failure::{OrFailure, failure, is_lost};
use pool::{Conn, Pool};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tx::PostgresTx;

/// How often a step is run before it is given up.
const ATTEMPTS: u32 = 6;

/// How long to wait before the second run; before each later one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How often the server is asked what became of a transaction, every [`QUESTION_PAUSE`].
const QUESTIONS: u32 = 40;
const QUESTION_PAUSE: Duration = Duration::from_millis(250);

/// How a database is used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The password, where the URL has none.
    pub password: Option<Secret>,
    /// The most connections at once; so many steps run at the same time, the others wait.
    pub connections: usize,
    /// How long a step waits for a connection.
    pub connection_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            password: None,
            connections: 16,
            connection_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
        }
    }
}

/// A store in a PostgreSQL database, in its schema `syncml`.
pub struct PostgresStore {
    shared: Arc<Shared>,
    directory: PostgresDirectory,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresStore(…)")
    }
}

impl PostgresStore {
    /// Opens the database, makes its schema if there is none, and brings it up to date. The URL is that of libpq:
    /// `postgres://user@host:port/database`, with `?host=/directory` for a socket. Nothing is read from the environment.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for a database of a newer release, [`StoreError::Corrupt`] for one whose schema `syncml` is
    /// another program's, [`StoreError::Busy`] when nobody answers, [`StoreError::Failed`] for a URL that cannot be read, a
    /// refused user, or a database that is not encoded in UTF-8.
    pub fn open(url: &str, options: PostgresOptions) -> Result<Self> {
        let cannot = |why: &str| StoreError::Failed(format!("this is no URL of a PostgreSQL database: {why}"));
        let mut config = postgres::Config::from_str(url).map_err(|error| cannot(&error.to_string()))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(cannot("encrypted connections are not supported (sslmode=require)"));
        }
        if let (None, Some(password)) = (config.get_password(), &options.password) {
            config.password(password.expose());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.connection_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name("syncml");
        }
        let PostgresOptions { connections, connection_timeout, statement_timeout, lock_timeout, .. } = options;
        let pool = Pool::new(config, connections, connection_timeout, statement_timeout, lock_timeout);
        let mut taken = pool.take()?;
        schema::migrate(taken.conn()?)?;
        taken.give_back();
        let shared = Arc::new(Shared { pool });
        let directory = PostgresDirectory { shared: Arc::clone(&shared) };
        Ok(Self { shared, directory })
    }
}

impl Store for PostgresStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.shared.change(account, &mut |tx| watch::run(tx, work))
    }

    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.shared.look(account, &mut |tx| work(tx))
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

/// What the store and its directory share.
struct Shared {
    pool: Pool,
}

/// How one run of a step went.
enum Run {
    Done(Result<()>),
    /// It left nothing, and may go well the next time.
    Again(StoreError),
}

impl Shared {
    /// Runs a step until it is done.
    fn change(&self, account: AccountNo, work: &mut dyn FnMut(&mut PostgresTx<'_>) -> Result<Verdict>) -> Result<()> {
        self.insist(|| self.change_once(account, work))
    }

    /// Reads as of one moment.
    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut PostgresTx<'_>) -> Result<()>) -> Result<()> {
        self.insist(|| {
            let mut taken = match self.pool.take() {
                Ok(taken) => taken,
                Err(error) => return unreached(error),
            };
            let conn = match taken.conn() {
                Ok(conn) => conn,
                Err(error) => return Run::Done(Err(error)),
            };
            if let Err(error) = conn.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") {
                self.note_lost(is_lost(&error));
                return again_if(is_lost(&error), failure(&error));
            }
            let mut tx = PostgresTx::new(conn, account, false);
            let answer = work(&mut tx);
            let (again, lost) = (tx.again, tx.lost);
            self.end(taken, lost);
            match answer {
                Err(error) => again_if(again, error),
                Ok(()) => Run::Done(Ok(())),
            }
        })
    }

    fn insist(&self, mut run: impl FnMut() -> Run) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match run() {
                Run::Done(answer) => return answer,
                Run::Again(_) => std::thread::sleep(pause),
            }
            pause *= 2;
        }
        match run() {
            Run::Done(answer) => answer,
            Run::Again(error) => Err(error),
        }
    }

    fn change_once(&self, account: AccountNo, work: &mut dyn FnMut(&mut PostgresTx<'_>) -> Result<Verdict>) -> Run {
        let mut taken = match self.pool.take() {
            Ok(taken) => taken,
            Err(error) => return unreached(error),
        };
        let conn = match taken.conn() {
            Ok(conn) => conn,
            Err(error) => return Run::Done(Err(error)),
        };
        let number = match conn.begin() {
            Ok(number) => number,
            Err(error) => {
                self.note_lost(is_lost(&error));
                return again_if(is_lost(&error), failure(&error));
            }
        };
        let mut tx = PostgresTx::new(conn, account, true);
        let verdict = work(&mut tx);
        let (again, lost) = (tx.again, tx.lost);
        match verdict {
            Ok(Verdict::Commit) => self.commit(taken, number),
            Ok(Verdict::Rollback) => {
                self.end(taken, lost);
                Run::Done(Ok(()))
            }
            Err(error) => {
                self.end(taken, lost);
                again_if(again, error)
            }
        }
    }

    fn commit(&self, mut taken: pool::Taken<'_>, number: Option<String>) -> Run {
        let committed = match taken.conn() {
            Ok(conn) => conn.batch("COMMIT"),
            Err(error) => return Run::Done(Err(error)),
        };
        match committed {
            Ok(()) => {
                taken.give_back();
                Run::Done(Ok(()))
            }
            Err(error) if is_lost(&error) => {
                drop(taken);
                self.note_lost(true);
                self.what_became_of(number, failure(&error))
            }
            Err(error) => {
                self.end(taken, false);
                again_if(failure::may_pass(&error), failure(&error))
            }
        }
    }

    /// Ends a transaction that shall leave nothing.
    fn end(&self, mut taken: pool::Taken<'_>, lost: bool) {
        self.note_lost(lost);
        if !lost && taken.conn().and_then(Conn::roll_back).is_ok() {
            taken.give_back();
        }
    }

    fn note_lost(&self, lost: bool) {
        if lost {
            self.pool.clear();
        }
    }

    /// Whether a transaction was committed whose COMMIT was not answered.
    fn what_became_of(&self, number: Option<String>, lost: StoreError) -> Run {
        const ASK: &str = "SELECT pg_xact_status($1::text::xid8)";
        let ask = |number: &str| -> Result<Option<String>> {
            let mut taken = self.pool.take()?;
            let rows = taken.conn()?.query(ASK, &[&number]).or_failure()?;
            let status = rows.first().map(|row| row.try_get(0)).transpose().or_failure()?.flatten();
            taken.give_back();
            Ok(status)
        };
        let Some(number) = number else { return Run::Done(Err(lost)) };
        for _ in 0..QUESTIONS {
            match ask(&number).ok().flatten().as_deref() {
                Some("committed") => return Run::Done(Ok(())),
                Some("aborted") => return Run::Again(lost),
                // Still in progress, or nobody answers yet.
                _ => std::thread::sleep(QUESTION_PAUSE),
            }
        }
        Run::Done(Err(StoreError::Busy(
            "PostgreSQL went away in a COMMIT; whether it was done is not known".to_owned(),
        )))
    }
}

fn again_if(again: bool, error: StoreError) -> Run {
    if again { Run::Again(error) } else { Run::Done(Err(error)) }
}

/// No connection: the server may be on its way up.
fn unreached(error: StoreError) -> Run {
    again_if(matches!(error, StoreError::Busy(_)), error)
}
