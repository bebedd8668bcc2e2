//! Databases as the command line names them.

use crate::failure::{Exit, Failure, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, Store, StoreError};

/// `--db`, wherever a command opens a database.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// The database: sqlite:PATH
    #[arg(long, value_name = "URL", env = "SYNCML_DB")]
    db: String,
}

impl DatabaseArgs {
    /// The database, which must exist.
    pub(crate) fn open(&self) -> Result<Arc<dyn Store>> {
        let path = self.path()?;
        if !path.exists() {
            let text = format!("there is no database at {}; `syncml account add` makes one", path.display());
            return Err(Failure::new(Exit::Database, text));
        }
        open(&path)
    }

    /// The database, which is made if there is none.
    pub(crate) fn create(&self) -> Result<Arc<dyn Store>> {
        open(&self.path()?)
    }

    fn path(&self) -> Result<PathBuf> {
        match self.db.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                Ok(PathBuf::from(path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path)))
            }
            _ => Err(Failure::usage(format!("{:?} names no database; write sqlite:PATH", self.db))),
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

/// The account of that name.
pub(crate) fn account(store: &dyn Store, name: &str) -> Result<AccountNo> {
    store.directory().account(name)?.ok_or_else(|| {
        Failure::usage(format!("there is no account {name:?} in this database; `syncml account list` shows them"))
    })
}
