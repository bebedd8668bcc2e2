//! Opening a file: settings, schema, keys.

use super::{Result, StoreError, fault};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The migrations, each bringing the schema from its place in this list to the next version.
const MIGRATIONS: [&str; 1] = [include_str!("../../../schemas/sqlite/0001_first.sql")];

/// How long a writer of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Statements kept prepared.
const STATEMENTS: usize = 128;

pub(super) fn writer(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).map_err(fault)?;
    prepare(connection)
}

pub(super) fn reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

pub(super) fn in_memory() -> Result<Connection> {
    prepare(Connection::open_in_memory().map_err(fault)?)
}

fn prepare(mut connection: Connection) -> Result<Connection> {
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let known = MIGRATIONS.len() as i64;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fault)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration).map_err(fault)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known).map_err(fault)?;
        for name in ["nonce", "token"] {
            transaction
                .execute("INSERT OR IGNORE INTO key_material (name, value) VALUES (?1, randomblob(32))", [name])
                .map_err(fault)?;
        }
    }
    transaction.commit().map_err(fault)
}
