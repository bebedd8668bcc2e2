//! Databases as the command line names them.

use crate::failure::{Exit, Failure, Result};
use crate::passfile::{self, Place};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use syncml::store::postgres::{PostgresOptions, PostgresStore};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, Store, StoreError};

/// `--db`, wherever a command opens a database.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// The database: sqlite:PATH, or postgres://USER@HOST/DATABASE, whose password is read from PGPASSWORD, PGPASSFILE or
    /// ~/.pgpass
    #[arg(long, value_name = "URL", env = "SYNCML_DB", hide_env_values = true)]
    db: String,
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
        match self.place()? {
            Database::File(path) => open(&path),
            Database::Postgres(url) => open_postgres(url),
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

/// The SQLite database at `path`.
pub(crate) fn open(path: &Path) -> Result<Arc<dyn Store>> {
    match SqliteStore::open(path) {
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
    // What is wrong is not shown: it may be part of a password.
    let config = postgres::Config::from_str(url)
        .map_err(|_| Failure::usage("--db is no URL of PostgreSQL; write postgres://USER@HOST/DATABASE"))?;
    if config.get_password().is_some() {
        let text = "write no password into --db, where others see it: set PGPASSWORD or a file PGPASSFILE";
        return Err(Failure::usage(text));
    }
    let user =
        config.get_user().ok_or_else(|| Failure::usage("--db names no user; write postgres://USER@HOST/DATABASE"))?;
    let host = match config.get_hosts().first() {
        Some(postgres::config::Host::Tcp(host)) => host.as_str(),
        // As in PostgreSQL's own programs.
        _ => "localhost",
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let place = Place { host, port: &port, database: config.get_dbname().unwrap_or(user), user };
    let mut options = PostgresOptions::default();
    options.password = passfile::password(&place);
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
