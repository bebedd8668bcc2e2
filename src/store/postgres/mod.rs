//! The PostgreSQL store: many nodes on one database, any of which takes the next message.
//!
//! A step is one transaction (READ COMMITTED) on a connection of a pool. It takes its locks in one order – the row of the
//! device, that of its session, those of the books by number – and loads only then, so that what it loads is current. A
//! book's revisions are numbered under the lock of its row, which is held until they are visible: the order of numbers is
//! the order of commits (I11). Every call is one statement at most, however many rows it is given.
//!
//! What an answer costs is mostly the asking. So a step's BEGIN goes out with its first statement, and what is only written
//! with the next one or the COMMIT, where it fails if it does; what is sure to be asked next goes out with what is asked
//! now; and what a device has none of, as its step found when it had locked all it needs, is not asked for again
//! (`known.rs`).
//!
//! A statement that finds many rows looks each up by its whole key: `CROSS JOIN LATERAL (… OFFSET 0)`, or `= ANY`. A plain
//! join leaves it to the planner to read all rows of a book and compare each with each, which it takes for cheaper as long
//! as a new table has no statistics.
//!
//! A step that meets a deadlock, a restart of the server or another step's new device is run again a few times, and then
//! answered [`StoreError::Busy`]. Every commit leaves a mark of its connection. When the answer to a COMMIT is lost, the
//! mark says whether it was done, and is fenced, so that it cannot be done later; if nobody can be asked, the answer is
//! `Busy` too, and only then the step may have been made durable: a client that sends its message again is answered from
//! the store. (The number of the transaction would not do: after a crash PostgreSQL gives numbers again that no log on disk
//! knows.)
//!
//! Connections are encrypted where the URL says so (`sslmode=verify-full`), and then the server's certificate is checked.
//!
//! All methods block. Call them from threads that may, never from an asynchronous task.

// Threads of its own to close connections, and time to wait for the server: a store's own I/O.
#![allow(clippy::disallowed_methods)]

mod blobs;
mod conn;
mod directory;
mod failure;
mod history;
mod items;
mod known;
mod ledger;
mod maps;
mod place;
mod pool;
mod rows;
mod schema;
mod sessions;
mod tls;
mod tx;
mod words;

use super::{AccountNo, Directory, Keys, Result, Store, StoreError, Tx, Verdict, watch};
use crate::auth::Secret;
use crate::message::Timestamp;
use conn::Mark;
use directory::PostgresDirectory;
use failure::{OrFailure, failure, is_lost, is_spent, may_pass};
pub use place::Place;
use pool::Pool;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tx::PostgresTx;

/// How often a step is run before it is given up.
const ATTEMPTS: u32 = 6;

/// How long to wait before the second run; before each later one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked what became of a COMMIT.
const QUESTION_PAUSE: Duration = Duration::from_millis(100);

/// How soon it shows that the server's machine is gone: after so long without a word it is asked, and then every so often.
const SILENCE: Duration = Duration::from_secs(30);
const KNOCKS: (Duration, u32) = (Duration::from_secs(10), 3);

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
    /// With `sslmode=require`, `verify-ca` or `verify-full` connections are encrypted, and the server's certificate must be
    /// made for its host by somebody in the file `sslrootcert=FILE` (PEM; without it, by a public authority). That is
    /// stricter than libpq is for the first two. In every other mode, and without one, connections are not encrypted.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for a database of a newer release, [`StoreError::Corrupt`] for one whose schema `syncml` is
    /// another program's, [`StoreError::Busy`] when nobody answers, [`StoreError::Failed`] for a URL that cannot be read, a
    /// refused user or certificate, or a database that is not encoded in UTF-8.
    pub fn open(url: &str, options: PostgresOptions) -> Result<Self> {
        let (mut config, tls) = place::read(url)?;
        if let (None, Some(password)) = (config.get_password(), &options.password) {
            config.password(password.expose());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.connection_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name("syncml");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_idle(SILENCE).keepalives_interval(KNOCKS.0).keepalives_retries(KNOCKS.1);
        }
        let pool = Pool::new(config, tls, &options);
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
            conn.begin_look();
            let mut tx = PostgresTx::new(conn, account, false);
            let answer = work(&mut tx);
            let (again, spent) = (tx.again, tx.spent);
            if answer.is_ok() && !spent {
                conn.end_look();
                taken.give_back();
            } else {
                self.end(taken, spent);
            }
            match answer {
                Err(error) => again_if(again, error),
                Ok(()) => Run::Done(Ok(())),
            }
        })
    }

    /// Reads by one statement of the directory, which is one moment without a transaction around it.
    fn read(&self, work: &mut dyn FnMut(&mut PostgresTx<'_>) -> Result<()>) -> Result<()> {
        self.insist(|| {
            let mut taken = match self.pool.take() {
                Ok(taken) => taken,
                Err(error) => return unreached(error),
            };
            let conn = match taken.conn() {
                Ok(conn) => conn,
                Err(error) => return Run::Done(Err(error)),
            };
            let mut tx = PostgresTx::new(conn, AccountNo(0), false);
            let answer = work(&mut tx);
            let (again, spent) = (tx.again || tx.spent, tx.spent);
            self.note_spent(spent);
            if !spent {
                taken.give_back();
            }
            match answer {
                Err(error) => again_if(again, error),
                Ok(()) => Run::Done(Ok(())),
            }
        })
    }

    fn insist(&self, mut run: impl FnMut() -> Run) -> Result<()> {
        let until = Instant::now() + self.pool.patience();
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match run() {
                Run::Done(answer) => return answer,
                Run::Again(error) if attempt == ATTEMPTS || Instant::now() >= until => return Err(error),
                Run::Again(_) => std::thread::sleep(pause),
            }
            pause *= 2;
        }
        Ok(())
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
        conn.begin();
        let mut tx = PostgresTx::new(conn, account, true);
        let verdict = work(&mut tx);
        let (again, spent) = (tx.again, tx.spent);
        match verdict {
            Ok(Verdict::Commit) => self.commit(taken),
            Ok(Verdict::Rollback) => {
                self.end(taken, spent);
                Run::Done(Ok(()))
            }
            Err(error) => {
                self.end(taken, spent);
                again_if(again, error)
            }
        }
    }

    fn commit(&self, mut taken: pool::Taken<'_>) -> Run {
        let (committed, mark) = match taken.conn() {
            Ok(conn) => (conn.commit(), conn.mark()),
            Err(error) => return Run::Done(Err(error)),
        };
        match committed {
            Ok(()) => {
                taken.give_back();
                Run::Done(Ok(()))
            }
            Err(error) if is_lost(&error) => {
                self.note_spent(true);
                self.what_became_of(taken, &mark, failure(&error))
            }
            // It said no, and nothing is left; the connection goes with what it began.
            Err(error) => {
                self.note_spent(is_spent(&error));
                again_if(may_pass(&error), failure(&error))
            }
        }
    }

    /// Ends a transaction that shall leave nothing.
    fn end(&self, mut taken: pool::Taken<'_>, spent: bool) {
        self.note_spent(spent);
        if !spent && taken.conn().and_then(|conn| conn.roll_back().or_failure()).is_ok() {
            taken.give_back();
        }
    }

    fn note_spent(&self, spent: bool) {
        if spent {
            self.pool.clear();
        }
    }

    /// Whether a step was committed whose COMMIT was not answered. If not, it cannot be any more.
    fn what_became_of(&self, mut taken: pool::Taken<'_>, mark: &Mark, lost: StoreError) -> Run {
        // Longer than a lock is waited for, by default.
        let until = Instant::now() + self.pool.patience() * 2;
        loop {
            let asked = taken.renewed().and_then(|conn| conn.was_committed(mark).or_failure());
            match asked {
                Ok(committed) => {
                    taken.give_back();
                    return if committed { Run::Done(Ok(())) } else { Run::Again(lost) };
                }
                // It is just committing, or nobody answers yet.
                Err(_) if Instant::now() < until => std::thread::sleep(QUESTION_PAUSE),
                Err(_) => break,
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
