//! Who may use the accounts, and the keys: read on connections of their own, written by the writer.

use super::super::{
    AccountNo, AuditRow, BookNo, Directory, Dirty, KEYS_KEPT, KeySet, Keys, Login, Principal, PrincipalKind, Result,
    StoreError, Subscribers, Verdict,
};
use super::failure::OrFailure;
use super::writer::Writer;
use crate::auth::Verifier;
use crate::message::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most idle readers kept open: opening one reads the schema.
const READERS: usize = 16;

#[derive(Debug)]
pub(super) struct SqliteDirectory {
    readers: Readers,
    writer: Arc<Writer>,
}

/// Connections to read on.
#[derive(Debug)]
pub(super) enum Readers {
    Pool { path: PathBuf, idle: Mutex<Vec<Connection>> },
    Single(Mutex<Connection>),
}

impl Readers {
    pub(super) fn pool(path: PathBuf) -> Self {
        Self::Pool { path, idle: Mutex::default() }
    }

    pub(super) fn single(conn: Connection) -> Self {
        Self::Single(Mutex::new(conn))
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        match self {
            Self::Single(conn) => read(&locked(conn)),
            Self::Pool { path, idle } => {
                let conn = locked(idle).pop();
                let conn = conn.map_or_else(|| super::open_reader(path), Ok)?;
                let answer = read(&conn);
                let mut idle = locked(idle);
                if idle.len() < READERS && conn.is_autocommit() {
                    idle.push(conn);
                }
                answer
            }
        }
    }
}

/// Readers keep nothing between calls that a panic could leave half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteDirectory {
    /// The readers of the accounts' own data; none where the directory has a database of its own.
    pub(super) const fn readers(&self) -> Option<&Readers> {
        match self.readers {
            Readers::Pool { .. } => Some(&self.readers),
            Readers::Single(_) => None,
        }
    }

    /// Where the single reader has a database of its own, it also writes there; and all is written a second time where the
    /// books are, since what changes there is noted for those it was granted to.
    pub(super) const fn new(readers: Readers, writer: Arc<Writer>) -> Self {
        Self { readers, writer }
    }

    pub(super) fn keys(&self) -> Result<Keys> {
        let sets = self.all("SELECT number, since, nonce, token FROM keys ORDER BY number", [], |row| {
            let (number, since) = (row.get(0)?, Timestamp(row.get(1)?));
            Ok(KeySet { number, since, nonce: row.get(2)?, token: row.get(3)? })
        })?;
        if sets.is_empty() {
            return Err(StoreError::Corrupt("the keys are missing; restore a backup".to_owned()));
        }
        Ok(Keys(sets))
    }

    pub(super) fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.write(|conn| {
            let make = "INSERT INTO keys SELECT max(number) + 1, ?1, randomblob(32), randomblob(32) FROM keys";
            let forget = "DELETE FROM keys WHERE number <= (SELECT max(number) FROM keys) - ?1";
            conn.execute(make, [since.0]).and_then(|_| conn.execute(forget, [KEYS_KEPT])).or_failure()
        })?;
        self.keys()
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.readers.read(|conn| {
            conn.prepare_cached(sql).and_then(|mut statement| statement.query_row(params, read).optional()).or_failure()
        })
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.readers.read(|conn| {
            let mut statement = conn.prepare_cached(sql).or_failure()?;
            statement.query_map(params, read).and_then(Iterator::collect).or_failure()
        })
    }

    /// Runs a change as one transaction.
    fn write<R>(&self, write: impl Fn(&Connection) -> Result<R>) -> Result<R> {
        let mut answer = None;
        self.writer.step(|conn| {
            answer = Some(write(conn)?);
            Ok(Verdict::Commit)
        })?;
        if let Readers::Single(_) = self.readers {
            self.readers.read(|conn| {
                let tx = conn.unchecked_transaction().or_failure()?;
                write(&tx)?;
                tx.commit().or_failure()
            })?;
        }
        answer.ok_or_else(|| StoreError::Failed("a change of the directory was not made".to_owned()))
    }
}

fn verifier(scheme: &str, bytes: &[u8]) -> rusqlite::Result<Verifier> {
    Verifier::from_bytes(scheme, bytes).ok_or_else(|| {
        let reason = format!("a verifier of scheme {scheme} cannot be read");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, reason.into())
    })
}

impl Subscribers for SqliteDirectory {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        self.one("SELECT account, scheme, verifier FROM login WHERE name = ?1", [name], |row| {
            let verifier = verifier(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?)?;
            Ok(Login { account: AccountNo(row.get(0)?), verifier })
        })
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        let sql = "SELECT p.kind, v.scheme, v.verifier FROM principal AS p LEFT JOIN principal_verifier AS v
                    ON v.device_id = p.device_id WHERE p.device_id = ?1 ORDER BY v.seq";
        let rows = self.all(sql, [device_id], |row| {
            let kind = if row.get::<_, i64>(0)? == 0 { PrincipalKind::Handset } else { PrincipalKind::Platform };
            Ok((
                kind,
                match row.get_ref(1)?.as_str_or_null()? {
                    Some(scheme) => Some(verifier(scheme, row.get_ref(2)?.as_blob()?)?),
                    None => None,
                },
            ))
        })?;
        let Some((kind, _)) = rows.first() else { return Ok(None) };
        Ok(Some(Principal { kind: *kind, verifiers: rows.into_iter().filter_map(|(_, verifier)| verifier).collect() }))
    }

    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>> {
        let sql = "SELECT a.account FROM account AS a JOIN \"grant\" AS g ON g.account = a.account
                    WHERE a.name = ?2 AND g.device_id = ?1";
        self.one(sql, [device_id, account], |row| row.get(0).map(AccountNo))
    }
}

impl Directory for SqliteDirectory {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        self.write(|conn| {
            let put = || -> rusqlite::Result<AccountNo> {
                conn.prepare_cached("INSERT INTO account (name) VALUES (?1) ON CONFLICT DO NOTHING")?
                    .execute([name])?;
                let account: i64 = conn
                    .prepare_cached("SELECT account FROM account WHERE name = ?1")?
                    .query_row([name], |row| row.get(0))?;
                let sql = "INSERT INTO login (name, account, scheme, verifier) VALUES (?1, ?2, ?3, ?4)
                            ON CONFLICT DO UPDATE SET scheme = excluded.scheme, verifier = excluded.verifier";
                conn.prepare_cached(sql)?.execute(params![name, account, verifier.scheme(), verifier.to_bytes()])?;
                Ok(AccountNo(account))
            };
            put().or_failure()
        })
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        self.one("SELECT account FROM account WHERE name = ?1", [name], |row| row.get(0).map(AccountNo))
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        self.all("SELECT name, account FROM account ORDER BY name", [], |row| Ok((row.get(0)?, AccountNo(row.get(1)?))))
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        self.write(|conn| {
            let put = || -> rusqlite::Result<()> {
                let kind = match principal.kind {
                    PrincipalKind::Handset => 0,
                    PrincipalKind::Platform => 1,
                };
                let sql = "INSERT INTO principal (device_id, kind) VALUES (?1, ?2)
                            ON CONFLICT DO UPDATE SET kind = excluded.kind";
                conn.prepare_cached(sql)?.execute(params![device_id, kind])?;
                conn.prepare_cached("DELETE FROM principal_verifier WHERE device_id = ?1")?.execute([device_id])?;
                let mut insert = conn.prepare_cached("INSERT INTO principal_verifier VALUES (?1, ?2, ?3, ?4)")?;
                for (seq, verifier) in principal.verifiers.iter().enumerate() {
                    insert.execute(params![device_id, seq as i64, verifier.scheme(), verifier.to_bytes()])?;
                }
                Ok(())
            };
            put().or_failure()
        })
    }

    fn principals(&self) -> Result<Vec<String>> {
        self.all("SELECT device_id FROM principal ORDER BY device_id", [], |row| row.get(0))
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        self.write(|conn| {
            let found = |sql: &str, name: &str| {
                conn.prepare_cached(sql)?.query_row([name], |row| row.get::<_, i64>(0)).optional()
            };
            found("SELECT kind FROM principal WHERE device_id = ?1", device_id)
                .or_failure()?
                .ok_or_else(|| StoreError::NotFound(format!("device {device_id:?}")))?;
            let account = found("SELECT account FROM account WHERE name = ?1", account)
                .or_failure()?
                .ok_or_else(|| StoreError::NotFound(format!("account {account:?}")))?;
            let sql = if granted {
                "INSERT INTO \"grant\" (device_id, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM \"grant\" WHERE device_id = ?1 AND account = ?2"
            };
            let news = if granted {
                "INSERT INTO dirty (device_id, account, book)
                 SELECT ?1, account, book FROM book WHERE account = ?2 AND head > 0 ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM dirty WHERE device_id = ?1 AND account = ?2"
            };
            let set = |sql: &str| conn.prepare_cached(sql)?.execute(params![device_id, account]);
            // Who has the grant already has its news noted.
            if set(sql).or_failure()? > 0 {
                set(news).or_failure()?;
            }
            Ok(())
        })
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT g.device_id, a.name FROM \"grant\" AS g JOIN account AS a ON a.account = g.account
                    ORDER BY g.device_id, a.name";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn dirty(&self, device_id: &str, after: (AccountNo, BookNo), limit: usize) -> Result<Vec<Dirty>> {
        let sql = "SELECT a.name, d.account, d.book FROM dirty AS d JOIN account AS a ON a.account = d.account
                    WHERE d.device_id = ?1 AND (d.account, d.book) > (?2, ?3) ORDER BY d.account, d.book LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read =
            |row: &Row<'_>| Ok(Dirty { name: row.get(0)?, account: AccountNo(row.get(1)?), book: BookNo(row.get(2)?) });
        let params = params![device_id, after.0.0, after.1.0, limit];
        match &self.readers {
            Readers::Pool { .. } => self.all(sql, params, read),
            // What is noted is where the books are.
            Readers::Single(_) => self.writer.alone(|conn| {
                let mut statement = conn.prepare_cached(sql).or_failure()?;
                statement.query_map(params, read).and_then(Iterator::collect).or_failure()
            }),
        }
    }

    fn audit(&self, after: (Timestamp, i64), limit: usize) -> Result<Vec<AuditRow>> {
        let sql = "SELECT seq, at, account, actor, action, object, outcome FROM audit
                    WHERE (at, seq) > (?1, ?2) ORDER BY at, seq LIMIT ?3";
        let params = (after.0.0, after.1, i64::try_from(limit).unwrap_or(i64::MAX));
        let text = |row: &Row<'_>, at| row.get::<_, String>(at).map(Cow::Owned);
        let read = |row: &Row<'_>| {
            let (seq, at, account) = (row.get(0)?, Timestamp(row.get(1)?), AccountNo(row.get(2)?));
            let (actor, action, object, outcome) = (text(row, 3)?, text(row, 4)?, text(row, 5)?, text(row, 6)?);
            Ok(AuditRow { seq, at, account, actor, action, object, outcome })
        };
        match &self.readers {
            Readers::Pool { .. } => self.all(sql, params, read),
            // It is written where the books are.
            Readers::Single(_) => self.writer.alone(|conn| {
                let mut statement = conn.prepare_cached(sql).or_failure()?;
                statement.query_map(params, read).and_then(Iterator::collect).or_failure()
            }),
        }
    }
}
