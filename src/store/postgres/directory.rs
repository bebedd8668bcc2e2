//! Who may use the accounts, and the keys.

use super::super::{
    AccountNo, AuditRow, BookNo, Directory, Dirty, KEYS_KEPT, KeySet, Keys, Login, Principal, PrincipalKind, Result,
    StoreError, Subscribers,
};
use super::Shared;
use super::conn::Values;
use super::failure::OrFailure;
use super::items::grants_lock;
use super::rows::{Columns, escape, unescape};
use super::tx::{PostgresTx, rows_at_most};
use crate::auth::Verifier;
use crate::message::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use tokio_postgres::Row;

pub(super) struct PostgresDirectory {
    pub(super) shared: Arc<Shared>,
}

impl PostgresDirectory {
    pub(super) fn keys(&self) -> Result<Keys> {
        let missing = || StoreError::Corrupt("the keys are missing; restore a backup".to_owned());
        let sets = self.all("SELECT number, since, nonce, token FROM keys ORDER BY number", &[], |row| {
            let number: i64 = row.try_get(0).or_failure()?;
            let since = Timestamp(row.try_get(1).or_failure()?);
            let key = |at| row.try_get::<_, Vec<u8>>(at).or_failure()?.try_into().map_err(|_| missing());
            let number = u32::try_from(number).map_err(|_| missing())?;
            Ok(KeySet { number, since, nonce: key(2)?, token: key(3)? })
        })?;
        if sets.is_empty() { Err(missing()) } else { Ok(Keys(sets)) }
    }

    pub(super) fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.write(|tx| {
            // One at a time: the next number is nobody else's.
            tx.run("SELECT pg_advisory_xact_lock(hashtext('syncml keys'))", &[])?;
            tx.run("INSERT INTO keys (number, since) SELECT max(number) + 1, $1 FROM keys", &[&since.0])?;
            let forget = "DELETE FROM keys WHERE number <= (SELECT max(number) FROM keys) - $1";
            tx.run(forget, &[&i64::from(KEYS_KEPT)])
        })?;
        self.keys()
    }

    fn one<T>(&self, sql: &'static str, values: Values<'_>, read: impl FnMut(&Row) -> Result<T>) -> Result<Option<T>> {
        Ok(self.all(sql, values, read)?.into_iter().next())
    }

    fn all<T>(&self, sql: &'static str, values: Values<'_>, mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.shared.read(&mut |tx| {
            found = tx.all(sql, values, &mut read)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs a change as one transaction.
    fn write<R>(&self, mut write: impl FnMut(&mut PostgresTx<'_>) -> Result<R>) -> Result<R> {
        let mut answer = None;
        self.shared.change(AccountNo(0), &mut |tx| {
            answer = Some(write(tx)?);
            Ok(super::Verdict::Commit)
        })?;
        answer.ok_or_else(|| StoreError::Failed("a change of the directory was not made".to_owned()))
    }
}

fn verifier(scheme: &str, bytes: &[u8]) -> Result<Verifier> {
    Verifier::from_bytes(scheme, bytes)
        .ok_or_else(|| StoreError::Corrupt(format!("a verifier of scheme {scheme} cannot be read; set it anew")))
}

fn account(row: &Row) -> Result<AccountNo> {
    row.try_get(0).or_failure().map(AccountNo)
}

impl Subscribers for PostgresDirectory {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        let sql = "SELECT account, scheme, verifier FROM login WHERE name = $1";
        self.one(sql, &[&escape(name)], |row| {
            let mut columns = Columns::from(row, 0);
            let account = AccountNo(columns.next()?);
            Ok(Login { account, verifier: verifier(columns.next()?, columns.next()?)? })
        })
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        let sql = "SELECT p.kind, v.scheme, v.verifier FROM principal AS p LEFT JOIN principal_verifier AS v
                    ON v.device_id = p.device_id WHERE p.device_id = $1 ORDER BY v.seq";
        let rows = self.all(sql, &[&escape(device_id)], |row| {
            let mut columns = Columns::from(row, 0);
            let kind = if columns.next::<i64>()? == 0 { PrincipalKind::Handset } else { PrincipalKind::Platform };
            let known = columns.next::<Option<&str>>()?.zip(columns.next::<Option<&[u8]>>()?);
            Ok((kind, known.map(|(scheme, bytes)| verifier(scheme, bytes)).transpose()?))
        })?;
        let Some((kind, _)) = rows.first() else { return Ok(None) };
        Ok(Some(Principal { kind: *kind, verifiers: rows.into_iter().filter_map(|(_, verifier)| verifier).collect() }))
    }

    fn granted(&self, device_id: &str, name: &str) -> Result<Option<AccountNo>> {
        let sql = "SELECT a.account FROM account AS a JOIN \"grant\" AS g ON g.account = a.account
                    WHERE a.name = $2 AND g.device_id = $1";
        self.one(sql, &[&escape(device_id), &escape(name)], account)
    }
}

impl Directory for PostgresDirectory {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        const MAKE: &str = "INSERT INTO account (name) VALUES ($1) ON CONFLICT DO NOTHING";
        const FIND: &str = "SELECT account FROM account WHERE name = $1";
        const PUT: &str = "INSERT INTO login (name, account, scheme, verifier) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET scheme = excluded.scheme, verifier = excluded.verifier";
        let (name, scheme, bytes) = (escape(name), verifier.scheme(), verifier.to_bytes());
        self.write(|tx| {
            // Looked for first, as the numbers that failed attempts take are lost.
            let mut found = tx.one(FIND, &[&name], account)?;
            if found.is_none() {
                tx.run(MAKE, &[&name])?;
                found = tx.one(FIND, &[&name], account)?;
            }
            let account = found.ok_or_else(|| StoreError::Failed("an account was not made".to_owned()))?;
            tx.run(PUT, &[&name, &account.0, &scheme, &&bytes[..]])?;
            Ok(account)
        })
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        self.one("SELECT account FROM account WHERE name = $1", &[&escape(name)], account)
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        self.all("SELECT name, account FROM account ORDER BY name", &[], |row| {
            let mut columns = Columns::from(row, 0);
            Ok((columns.text()?, AccountNo(columns.next()?)))
        })
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        const PUT: &str = "INSERT INTO principal (device_id, kind) VALUES ($1, $2)
             ON CONFLICT (device_id) DO UPDATE SET kind = excluded.kind";
        const ADD: &str = "INSERT INTO principal_verifier (device_id, seq, scheme, verifier)
             SELECT $1, seq, scheme, verifier FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY
              AS n (scheme, verifier, seq)";
        let kind = match principal.kind {
            PrincipalKind::Handset => 0_i64,
            PrincipalKind::Platform => 1,
        };
        let device_id = escape(device_id);
        let schemes: Vec<&str> = principal.verifiers.iter().map(|verifier| verifier.scheme()).collect();
        let bytes: Vec<_> = principal.verifiers.iter().map(|verifier| verifier.to_bytes()).collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(|bytes| &bytes[..]).collect();
        self.write(|tx| {
            tx.run(PUT, &[&device_id, &kind])?;
            tx.run("DELETE FROM principal_verifier WHERE device_id = $1", &[&device_id])?;
            tx.run(ADD, &[&device_id, &schemes, &bytes]).map(drop)
        })
    }

    fn principals(&self) -> Result<Vec<String>> {
        self.all("SELECT device_id FROM principal ORDER BY device_id", &[], |row| Columns::from(row, 0).text())
    }

    fn set_grant(&self, device_id: &str, name: &str, granted: bool) -> Result<()> {
        const GRANT: &str = "INSERT INTO \"grant\" (device_id, account) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        const NEWS: &str = "INSERT INTO dirty (device_id, account, book)
             SELECT $1, account, book FROM book WHERE account = $2 AND head > 0 ON CONFLICT DO NOTHING";
        const REVOKE: &str = "DELETE FROM \"grant\" WHERE device_id = $1 AND account = $2";
        const NO_NEWS: &str = "DELETE FROM dirty WHERE device_id = $1 AND account = $2";
        let (device, owner) = (escape(device_id), escape(name));
        self.write(|tx| {
            tx.one("SELECT kind FROM principal WHERE device_id = $1", &[&device], |_| Ok(()))?
                .ok_or_else(|| StoreError::NotFound(format!("device {device_id:?}")))?;
            let account = tx
                .one("SELECT account FROM account WHERE name = $1", &[&owner], account)?
                .ok_or_else(|| StoreError::NotFound(format!("account {name:?}")))?;
            // Whoever writes the account now sees the old grants, and is done before its books are looked at.
            tx.rows("SELECT pg_advisory_xact_lock($1)", &[&grants_lock(account.0)])?;
            let (set, news) = if granted { (GRANT, NEWS) } else { (REVOKE, NO_NEWS) };
            // Who has the grant already has its news noted.
            if tx.run(set, &[&device, &account.0])? > 0 {
                tx.run(news, &[&device, &account.0])?;
            }
            Ok(())
        })
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT g.device_id, a.name FROM \"grant\" AS g JOIN account AS a ON a.account = g.account
                    ORDER BY g.device_id, a.name";
        self.all(sql, &[], |row| {
            let mut columns = Columns::from(row, 0);
            Ok((columns.text()?, columns.text()?))
        })
    }

    fn dirty(&self, device_id: &str, after: (AccountNo, BookNo), limit: usize) -> Result<Vec<Dirty>> {
        let sql = "SELECT a.name, d.account, d.book FROM dirty AS d JOIN account AS a ON a.account = d.account
                    WHERE d.device_id = $1 AND (d.account, d.book) > ($2, $3) ORDER BY d.account, d.book LIMIT $4";
        let values: Values<'_> = &[&escape(device_id), &after.0.0, &after.1.0, &rows_at_most(limit)];
        self.all(sql, values, |row| {
            let (name, account, book): (&str, i64, i64) =
                (row.try_get(0).or_failure()?, row.try_get(1).or_failure()?, row.try_get(2).or_failure()?);
            Ok(Dirty { name: unescape(name), account: AccountNo(account), book: BookNo(book) })
        })
    }
    fn audit(&self, after: (Timestamp, i64), limit: usize) -> Result<Vec<AuditRow>> {
        let sql = "SELECT seq, at, account, actor, action, object, outcome FROM audit
                    WHERE (at, seq) > ($1, $2) ORDER BY at, seq LIMIT $3";
        self.all(sql, &[&after.0.0, &after.1, &rows_at_most(limit)], |row| {
            let number = |at| row.try_get::<_, i64>(at).or_failure();
            let text = |at| row.try_get::<_, &str>(at).or_failure().map(|text| Cow::Owned(unescape(text)));
            let (seq, at, account) = (number(0)?, Timestamp(number(1)?), AccountNo(number(2)?));
            let (actor, action, object, outcome) = (text(3)?, text(4)?, text(5)?, text(6)?);
            Ok(AuditRow { seq, at, account, actor, action, object, outcome })
        })
    }
}
