//! Who may speak for whom.

use super::{SqliteStore, fault};
use crate::auth::Verifier;
use crate::store::{AccountNo, Directory, Login, Principal, PrincipalKind, Result, StoreError, Subscribers};
use rusqlite::{OptionalExtension as _, params};

impl Subscribers for SqliteStore {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        let connection = self.reading();
        let mut statement =
            connection.prepare_cached("SELECT account, scheme, verifier FROM login WHERE name = ?1").map_err(fault)?;
        let found: Option<(i64, String, Vec<u8>)> =
            statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional().map_err(fault)?;
        found
            .map(|(account, scheme, bytes)| {
                Ok(Login { account: AccountNo(account), verifier: verifier(&scheme, &bytes)? })
            })
            .transpose()
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        let connection = self.reading();
        let mut statement = connection
            .prepare_cached("SELECT kind, scheme, verifier FROM principal WHERE device_id = ?1 ORDER BY scheme")
            .map_err(fault)?;
        let rows = statement
            .query_map([device_id], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .map_err(fault)?;
        let mut found: Option<Principal> = None;
        for row in rows {
            let (kind, scheme, bytes) = row.map_err(fault)?;
            let kind = if kind == 0 { PrincipalKind::Handset } else { PrincipalKind::Platform };
            let principal = found.get_or_insert_with(|| Principal { kind, verifiers: Vec::new() });
            principal.verifiers.push(verifier(&scheme, &bytes)?);
        }
        Ok(found)
    }

    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>> {
        let connection = self.reading();
        connection
            .prepare_cached(
                "SELECT a.account FROM account a JOIN grants g ON g.account = a.account \
                 WHERE g.device_id = ?1 AND a.name = ?2",
            )
            .and_then(|mut statement| statement.query_row([device_id, account], |row| row.get(0)).optional())
            .map(|found| found.map(AccountNo))
            .map_err(fault)
    }
}

impl Directory for SqliteStore {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        let mut connection = self.writing();
        let transaction = connection.transaction().map_err(fault)?;
        let account = {
            let known: Option<i64> = transaction
                .query_row("SELECT account FROM login WHERE name = ?1", [name], |row| row.get(0))
                .optional()
                .map_err(fault)?;
            match known {
                Some(account) => account,
                None => {
                    transaction.execute("INSERT OR IGNORE INTO account (name) VALUES (?1)", [name]).map_err(fault)?;
                    transaction
                        .query_row("SELECT account FROM account WHERE name = ?1", [name], |row| row.get(0))
                        .map_err(fault)?
                }
            }
        };
        transaction
            .execute(
                "INSERT INTO login (name, account, scheme, verifier) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name) DO UPDATE SET scheme = excluded.scheme, verifier = excluded.verifier",
                params![name, account, verifier.scheme(), verifier.to_bytes()],
            )
            .map_err(fault)?;
        transaction.commit().map_err(fault)?;
        Ok(AccountNo(account))
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        self.reading()
            .query_row("SELECT account FROM account WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map(|found| found.map(AccountNo))
            .map_err(fault)
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        let connection = self.reading();
        let mut statement = connection.prepare("SELECT name, account FROM account ORDER BY name").map_err(fault)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, AccountNo(row.get(1)?)))).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        let mut connection = self.writing();
        let transaction = connection.transaction().map_err(fault)?;
        transaction.execute("DELETE FROM principal WHERE device_id = ?1", [device_id]).map_err(fault)?;
        let kind = i64::from(principal.kind == PrincipalKind::Platform);
        for verifier in &principal.verifiers {
            transaction
                .execute(
                    "INSERT INTO principal (device_id, scheme, kind, verifier) VALUES (?1, ?2, ?3, ?4)",
                    params![device_id, verifier.scheme(), kind, verifier.to_bytes()],
                )
                .map_err(fault)?;
        }
        transaction.commit().map_err(fault)
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        let number = self.account(account)?.ok_or_else(|| StoreError::NotFound(format!("account {account:?}")))?;
        if self.principal(device_id)?.is_none() {
            return Err(StoreError::NotFound(format!("platform {device_id:?}")));
        }
        let sql = if granted {
            "INSERT OR IGNORE INTO grants (device_id, account) VALUES (?1, ?2)"
        } else {
            "DELETE FROM grants WHERE device_id = ?1 AND account = ?2"
        };
        self.writing().execute(sql, params![device_id, number.0]).map(drop).map_err(fault)
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        let connection = self.reading();
        let mut statement = connection
            .prepare("SELECT g.device_id, a.name FROM grants g JOIN account a ON a.account = g.account ORDER BY 1, 2")
            .map_err(fault)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }
}

fn verifier(scheme: &str, bytes: &[u8]) -> Result<Verifier> {
    Verifier::from_bytes(scheme, bytes)
        .ok_or_else(|| StoreError::Corrupt(format!("a verifier of scheme {scheme:?} cannot be read")))
}
