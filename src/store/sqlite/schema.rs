//! The schema: numbered migrations from `schemas/sqlite`, each applied once.

use super::super::{Result, StoreError};
use super::failure::{OrFailure, REMEDY, failure};
use rusqlite::{Connection, TransactionBehavior};

/// All migrations; the first makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("../../../schemas/sqlite/0001_first.sql")];

/// Marks a file as ours: `SyML`.
const APPLICATION_ID: i64 = 0x53_79_4d_4c;

/// Brings a database to the newest version, in one transaction.
pub(super) fn migrate(conn: &mut Connection) -> Result<()> {
    migrate_with(conn, MIGRATIONS)
}

fn migrate_with(conn: &mut Connection, migrations: &[&str]) -> Result<()> {
    let known = migrations.len() as i64;
    if version_of(conn, known)? == known {
        return Ok(());
    }
    // Another process may be doing the same: look again under the write lock.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).or_failure()?;
    let found = version_of(&tx, known)?;
    for script in migrations.iter().skip(found as usize) {
        tx.execute_batch(script).or_failure()?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID).or_failure()?;
    tx.pragma_update(None, "user_version", known).or_failure()?;
    tx.commit().or_failure()
}

/// The version of a database, which must be ours and not newer than this release. Changes nothing.
pub(super) fn version(conn: &Connection) -> Result<i64> {
    version_of(conn, MIGRATIONS.len() as i64)
}

fn version_of(conn: &Connection, known: i64) -> Result<i64> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failure);
    let (found, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).or_failure()?;
    match (application, found) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, found) if found > known => Err(StoreError::TooNew { found, known }),
        (APPLICATION_ID, found) if found > 0 => Ok(found),
        (APPLICATION_ID, _) => Err(StoreError::Corrupt(format!("the database has schema version {found}; {REMEDY}"))),
        _ => Err(StoreError::Corrupt("the file is a database of another program: name another file".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_applied_once_and_all_or_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(version(&conn).unwrap(), MIGRATIONS.len() as i64);

        let mut conn = Connection::open_in_memory().unwrap();
        migrate_with(&mut conn, &[MIGRATIONS[0], "CREATE TABLE half(done); nonsense"]).unwrap_err();
        assert_eq!(version(&conn).unwrap(), 0);
    }

    #[test]
    fn a_second_migration_keeps_what_is_there_or_changes_nothing() {
        const SECOND: &str = "ALTER TABLE account ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';
             UPDATE account SET colour = 'green' WHERE name = 'ann'; DROP TABLE lens";
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.execute_batch("INSERT INTO account (name) VALUES ('ann'), ('bob')").unwrap();
        let tables = |conn: &Connection| -> (i64, String) {
            let sql = "SELECT count(*), group_concat(sql) FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
            conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let before = tables(&conn);
        for half in ["nonsense", "INSERT INTO account (name) VALUES ('ann')", "SELECT * FROM lens"] {
            migrate_with(&mut conn, &[MIGRATIONS[0], &format!("{SECOND}; {half}")]).unwrap_err();
            assert_eq!((version(&conn).unwrap(), tables(&conn)), (1, before.clone()), "{half}");
        }
        migrate_with(&mut conn, &[MIGRATIONS[0], SECOND]).unwrap();
        migrate_with(&mut conn, &[MIGRATIONS[0], SECOND]).unwrap();
        let colours: String =
            conn.query_row("SELECT group_concat(name || colour) FROM account", [], |row| row.get(0)).unwrap();
        assert_eq!(colours, "anngreen,bobblue");
        // This release does not touch what a newer one made of it.
        assert!(matches!(migrate(&mut conn), Err(StoreError::TooNew { found: 2, known: 1 })));
    }

    #[test]
    fn newer_and_foreign_databases_are_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut conn), Err(StoreError::TooNew { found: 99, known: 1 })));

        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE theirs(a)").unwrap();
        let refused = migrate(&mut conn).unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupt(text) if text.contains("another program")), "{refused}");
    }
}
