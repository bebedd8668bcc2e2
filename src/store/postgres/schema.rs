//! The schema: numbered migrations from `schemas/postgres`, each applied once, in the database's schema `syncml`.

use super::super::{Result, StoreError};
use super::conn::Conn;
use super::failure::OrFailure;

/// All migrations; the first makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("../../../schemas/postgres/0001_first.sql")];

/// Nodes that start at once wait here for the first.
const LOCK: &str = "SELECT pg_advisory_xact_lock(6015343420962177024)";

/// Marks of connections that are gone. Nobody asks for one after a day; who commits after that makes another.
const SWEEP: &str = "DELETE FROM mark WHERE at < now() - interval '1 day'";

/// Brings a database to the newest version, in one transaction, and sweeps it.
pub(super) fn migrate(conn: &mut Conn) -> Result<()> {
    migrate_with(conn, MIGRATIONS)?;
    // It can wait, and on a standby it cannot be done.
    drop(conn.batch(SWEEP));
    Ok(())
}

fn migrate_with(conn: &mut Conn, migrations: &[&str]) -> Result<()> {
    let known = migrations.len() as i64;
    if version(conn)? == known {
        return Ok(());
    }
    conn.batch("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").or_failure()?;
    let migrated = apply(conn, migrations);
    conn.batch(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" }).or_failure()?;
    migrated
}

fn apply(conn: &mut Conn, migrations: &[&str]) -> Result<()> {
    conn.batch(LOCK).or_failure()?;
    // Another node may have done the same meanwhile.
    let found = version(conn)?;
    if found == 0 {
        let first = "CREATE SCHEMA IF NOT EXISTS syncml; CREATE TABLE schema_version (version BIGINT NOT NULL);
                     INSERT INTO schema_version VALUES (0)";
        conn.batch(first).or_failure()?;
    }
    for script in migrations.iter().skip(found as usize) {
        conn.batch(script).or_failure()?;
    }
    conn.batch(&format!("UPDATE schema_version SET version = {}", migrations.len())).or_failure()
}

/// The version of a database, which must be ours and not newer than this release. Changes nothing.
fn version(conn: &mut Conn) -> Result<i64> {
    const TABLES: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid),
         to_regclass('syncml.schema_version') IS NOT NULL, current_setting('server_encoding')
         FROM (SELECT to_regnamespace('syncml')::oid AS oid) AS n";
    let known = MIGRATIONS.len() as i64;
    let rows = conn.query(TABLES, &[]).or_failure()?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("PostgreSQL says nothing of its tables".to_owned()))?;
    let (tables, ours): (i64, bool) = (row.try_get(0).or_failure()?, row.try_get(1).or_failure()?);
    let encoding: String = row.try_get(2).or_failure()?;
    if encoding != "UTF8" {
        return Err(StoreError::Failed(format!(
            "the database is encoded in {encoding}; make one with ENCODING 'UTF8'"
        )));
    }
    match (tables, ours) {
        (0, _) => return Ok(0),
        (_, true) => {}
        (_, false) => {
            let text = "the schema syncml of this database is of another program: name another database";
            return Err(StoreError::Corrupt(text.to_owned()));
        }
    }
    let rows = conn.query("SELECT version FROM schema_version", &[]).or_failure()?;
    let found = rows.first().map_or(Ok(0), |row| row.try_get(0)).or_failure()?;
    match found {
        found if found > known => Err(StoreError::TooNew { found, known }),
        found if found > 0 => Ok(found),
        found => Err(StoreError::Corrupt(format!("the database has schema version {found}; restore a backup"))),
    }
}
