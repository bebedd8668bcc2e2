//! Databases as the command line names them.

use crate::failure::{Exit, Failure, Result};
use crate::passfile::{self, Place};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use syncml::store::postgres::{self, PostgresOptions, PostgresStore};
use syncml::store::sqlite::{SqliteOptions, SqliteStore};
use syncml::store::{AccountNo, Store, StoreError};

/// How long a database is waited for whose store is just closing.
const PATIENCE: Duration = Duration::from_secs(10);

/// `--db`, wherever a command opens a database.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// The database: sqlite:PATH, or postgres://USER@HOST/DATABASE, whose password is read from PGPASSWORD, PGPASSFILE or
    /// ~/.pgpass; with ?sslmode=verify-full&sslrootcert=FILE connections are encrypted
    #[arg(long, value_name = "URL", env = "SYNCML_DB", hide_env_values = true)]
    db: String,
}

/// `--compress`, where a command writes many cards.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CompressArgs {
    /// Write cards packed: less room in an SQLite database, half where cards are alike, for some microseconds each. What is
    /// there already stays as it is, and either is read with or without this
    #[arg(long)]
    compress: bool,
}

impl CompressArgs {
    fn options(&self) -> SqliteOptions {
        let mut options = SqliteOptions::default();
        options.compress = self.compress;
        options
    }
}

/// Where a database is.
enum Database<'a> {
    File(PathBuf),
    Postgres(&'a str),
}

impl DatabaseArgs {
    /// The database, which must exist.
    pub(crate) fn open(&self) -> Result<Arc<dyn Store>> {
        match self.place()? {
            Database::File(path) if !path.exists() => {
                let text = format!("there is no database at {}; `syncml account add` makes one", path.display());
                Err(Failure::new(Exit::Database, text))
            }
            Database::File(path) => open(&path),
            Database::Postgres(url) => open_postgres(url),
        }
    }

    /// The database, which is made if there is none.
    pub(crate) fn create(&self) -> Result<Arc<dyn Store>> {
        self.create_with(&CompressArgs::default())
    }

    /// The same, for who writes much.
    pub(crate) fn create_with(&self, compress: &CompressArgs) -> Result<Arc<dyn Store>> {
        match self.place()? {
            Database::File(path) => open_with(&path, compress.options()),
            Database::Postgres(_) if compress.compress => {
                Err(Failure::usage("--compress is for SQLite; PostgreSQL packs what is large by itself".to_owned()))
            }
            Database::Postgres(url) => open_postgres(url),
        }
    }

    /// What is wrong with the file, if the database is one: its pages and indexes.
    pub(crate) fn check_file(&self) -> Result<Option<String>> {
        let Database::File(path) = self.place()? else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }
        match SqliteStore::open(&path).and_then(|store| store.check()) {
            Ok(()) => Ok(None),
            Err(StoreError::Corrupt(text)) => Ok(Some(text)),
            Err(error) => Err(error.into()),
        }
    }

    fn place(&self) -> Result<Database<'_>> {
        match self.db.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
                Ok(Database::File(PathBuf::from(path)))
            }
            Some(("postgres" | "postgresql", _)) => Ok(Database::Postgres(&self.db)),
            _ => Err(Failure::usage(format!(
                "{:?} names no database; write sqlite:PATH or postgres://USER@HOST/DATABASE",
                self.db
            ))),
        }
    }
}

/// Puts what is in the log of a closed SQLite database where it belongs, so that the file alone is the database.
pub(crate) fn settle(path: &Path) -> Result<()> {
    let left = rusqlite::Connection::open(path).and_then(|conn| {
        conn.busy_timeout(PATIENCE)?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    let wrong = match left {
        Ok(0) => return Ok(()),
        Ok(_) => "it is in use".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(Exit::Database, format!("{}: {wrong}", path.display())))
}

/// The SQLite database at `path`.
pub(crate) fn open(path: &Path) -> Result<Arc<dyn Store>> {
    open_with(path, SqliteOptions::default())
}

fn open_with(path: &Path, options: SqliteOptions) -> Result<Arc<dyn Store>> {
    match SqliteStore::open_with(path, options) {
        Ok(store) => Ok(Arc::new(store)),
        // The other failures name the file themselves.
        Err(error @ StoreError::TooNew { .. }) => {
            let failure = Failure::from(error);
            Err(Failure::new(failure.exit(), format!("{}: {failure}", path.display())))
        }
        Err(error) => Err(error.into()),
    }
}

/// The PostgreSQL database of that URL.
fn open_postgres(url: &str) -> Result<Arc<dyn Store>> {
    // What is wrong is not quoted: it may be part of a password.
    let place = postgres::Place::of(url).map_err(|error| Failure::usage(format!("--db: {error}")))?;
    if place.has_password {
        let text = "write no password into --db, where others see it: set PGPASSWORD or a file PGPASSFILE";
        return Err(Failure::usage(text));
    }
    let user = place
        .user
        .as_deref()
        .ok_or_else(|| Failure::usage("--db names no user; write postgres://USER@HOST/DATABASE"))?;
    let port = place.port.to_string();
    let mut options = PostgresOptions::default();
    options.password = passfile::password(&Place {
        // As in PostgreSQL's own programs.
        host: place.host.as_deref().unwrap_or("localhost"),
        port: &port,
        database: place.database.as_deref().unwrap_or(user),
        user,
    });
    Ok(Arc::new(PostgresStore::open(url, options)?))
}

/// The account of that name, or all, with their names.
pub(crate) fn accounts(store: &dyn Store, name: Option<&str>) -> Result<Vec<(String, AccountNo)>> {
    match name {
        Some(name) => Ok(vec![(name.to_owned(), account(store, name)?)]),
        None => Ok(store.directory().accounts()?),
    }
}

/// The account of that name.
pub(crate) fn account(store: &dyn Store, name: &str) -> Result<AccountNo> {
    store.directory().account(name)?.ok_or_else(|| {
        Failure::usage(format!("there is no account {name:?} in this database; `syncml account list` shows them"))
    })
}
