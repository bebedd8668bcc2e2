//! Who may use the accounts of a memory store.

use super::super::PrincipalKind;
use super::super::written::binary;
use super::super::{
    AccountNo, AuditRow, BookNo, Directory, Dirty, Login, Principal, Result, Revision, StoreError, Subscribers,
};
use super::journal::{Change, Journal, change, read};
use super::tables::{Changes, Tables};
use crate::auth::Verifier;
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Default)]
struct Entries {
    accounts: BTreeMap<String, AccountNo>,
    logins: BTreeMap<String, Login>,
    principals: BTreeMap<String, Principal>,
    grants: BTreeSet<(String, String)>,
    /// The same the other way round.
    devices: BTreeSet<(AccountNo, String)>,
    names: BTreeMap<AccountNo, String>,
    /// Books that ever held something.
    books: BTreeSet<(AccountNo, BookNo)>,
    dirty: BTreeSet<(String, AccountNo, BookNo)>,
    audit: Vec<AuditRow>,
    /// When the keys made after the first begin to sign, by their numbers.
    newer_keys: BTreeMap<u32, Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct MemoryDirectory {
    entries: Mutex<Entries>,
    /// Where all that is committed is kept, too.
    pub(super) journal: Option<Arc<dyn Journal>>,
}

/// A verifier as it is written: scheme and octets.
#[derive(Serialize, Deserialize)]
struct Written {
    scheme: String,
    #[serde(with = "binary")]
    verifier: Vec<u8>,
}

impl Written {
    fn of(verifier: &Verifier) -> Self {
        Self { scheme: verifier.scheme().to_owned(), verifier: verifier.to_bytes() }
    }

    fn read(&self) -> Result<Verifier> {
        let Self { scheme, verifier } = self;
        Verifier::from_bytes(scheme, verifier)
            .ok_or_else(|| StoreError::Corrupt(format!("a verifier of scheme {scheme:?} cannot be read")))
    }
}

impl MemoryDirectory {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change below is a single insert or remove: a panic elsewhere leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps changes, before anything is made of them.
    pub(super) fn keep(&self, changes: &[Change]) -> Result<()> {
        match &self.journal {
            Some(journal) if !changes.is_empty() => journal.keep(changes),
            _ => Ok(()),
        }
    }

    /// Takes a row that was kept.
    pub(super) fn load(&self, table: &str, key: &str, value: &str) -> Result<()> {
        let mut entries = self.entries();
        match table {
            "login" => {
                let (name, (account, verifier)): (String, (AccountNo, Written)) = (read(key)?, read(value)?);
                entries.accounts.insert(name.clone(), account);
                entries.names.insert(account, name.clone());
                entries.logins.insert(name, Login { account, verifier: verifier.read()? });
            }
            "principal" => {
                let (kind, verifiers): (PrincipalKind, Vec<Written>) = read(value)?;
                let verifiers = verifiers.iter().map(Written::read).collect::<Result<_>>()?;
                entries.principals.insert(read(key)?, Principal { kind, verifiers });
            }
            "grant" => drop(entries.grants.insert(read(key)?)),
            "keys" => drop(entries.newer_keys.insert(read(key)?, read(value)?)),
            _ => return Err(StoreError::Corrupt(format!("there is no table {table:?}"))),
        }
        Ok(())
    }

    /// All rows are there: makes what follows from them.
    pub(super) fn loaded<'a>(&self, accounts: impl Iterator<Item = (AccountNo, &'a Tables)>) {
        let entries = &mut *self.entries();
        let granted = |(device, name): &(String, String)| Some((*entries.accounts.get(name)?, device.clone()));
        entries.devices = entries.grants.iter().filter_map(granted).collect();
        for (account, tables) in accounts {
            let held = tables.books.iter().filter(|(_, (row, _))| row.head > Revision(0));
            entries.books.extend(held.map(|(book, _)| (account, *book)));
            entries.audit.extend(tables.audit.values().map(|row| AuditRow { account, ..row.clone() }));
            let noted = tables.dirty.keys().filter(|(device, _)| entries.devices.contains(&(account, device.clone())));
            entries.dirty.extend(noted.map(|(device, book)| (device.clone(), account, *book)));
        }
        // Which account was first is not known any more; of each the order is.
        entries.audit.sort_by_key(|row| row.at);
        (1..).zip(&mut entries.audit).for_each(|(seq, row)| row.seq = seq);
    }

    /// The numbers of all keys and when they begin to sign.
    pub(super) fn keys(&self) -> Vec<(u32, Timestamp)> {
        let newer = self.entries().newer_keys.clone();
        std::iter::once((1, Timestamp(0))).chain(newer).collect()
    }

    /// Gives the next number to new keys.
    pub(super) fn rotate_keys(&self, since: Timestamp) -> Result<()> {
        let mut entries = self.entries();
        let number = entries.newer_keys.keys().next_back().map_or(2, |last| last + 1);
        self.keep(&[change(None, "keys", &number, Some(&since))?])?;
        entries.newer_keys.insert(number, since);
        Ok(())
    }

    /// The same again, on its own from now on, and kept nowhere else.
    pub(super) fn copy(&self) -> Self {
        Self { entries: Mutex::new(self.entries().clone()), journal: None }
    }

    /// The devices that were granted an account.
    pub(super) fn granted_to(&self, account: AccountNo) -> Vec<String> {
        let entries = self.entries();
        let from = entries.devices.range((account, String::new())..);
        from.take_while(|(of, _)| *of == account).map(|(_, device_id)| device_id.clone()).collect()
    }

    /// Takes over what a step noted for devices.
    pub(super) fn committed(&self, account: AccountNo, changes: &Changes) {
        let mut entries = self.entries();
        for (book, row) in changes.books.changed() {
            if row.is_some_and(|(row, _)| row.head > Revision(0)) {
                entries.books.insert((account, *book));
            }
        }
        for row in changes.audit.changed().filter_map(|(_, row)| row) {
            let seq = entries.audit.len() as i64 + 1;
            entries.audit.push(AuditRow { seq, account, ..row.clone() });
        }
        for ((device_id, book), stays) in changes.dirty.changed() {
            let key = (device_id.clone(), account, *book);
            if stays.is_some() && entries.devices.contains(&(account, device_id.clone())) {
                entries.dirty.insert(key);
            } else {
                entries.dirty.remove(&key);
            }
        }
    }
}

impl Subscribers for MemoryDirectory {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        Ok(self.entries().logins.get(name).cloned())
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        Ok(self.entries().principals.get(device_id).cloned())
    }

    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>> {
        let entries = self.entries();
        let granted = entries.grants.contains(&(device_id.to_owned(), account.to_owned()));
        Ok(entries.accounts.get(account).copied().filter(|_| granted))
    }
}

impl Directory for MemoryDirectory {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        let mut entries = self.entries();
        let next = AccountNo(entries.accounts.len() as i64 + 1);
        let account = entries.accounts.get(name).copied().unwrap_or(next);
        self.keep(&[change(None, "login", &name, Some(&(account, Written::of(verifier))))?])?;
        entries.accounts.insert(name.to_owned(), account);
        entries.names.insert(account, name.to_owned());
        entries.logins.insert(name.to_owned(), Login { account, verifier: verifier.clone() });
        Ok(account)
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        Ok(self.entries().accounts.get(name).copied())
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        Ok(self.entries().accounts.iter().map(|(name, account)| (name.clone(), *account)).collect())
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        let mut entries = self.entries();
        let verifiers: Vec<_> = principal.verifiers.iter().map(Written::of).collect();
        self.keep(&[change(None, "principal", &device_id, Some(&(principal.kind, verifiers)))?])?;
        entries.principals.insert(device_id.to_owned(), principal.clone());
        Ok(())
    }

    fn principals(&self) -> Result<Vec<String>> {
        Ok(self.entries().principals.keys().cloned().collect())
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        let mut entries = self.entries();
        if !entries.principals.contains_key(device_id) {
            return Err(StoreError::NotFound(format!("device {device_id:?}")));
        }
        let Some(number) = entries.accounts.get(account).copied() else {
            return Err(StoreError::NotFound(format!("account {account:?}")));
        };
        let grant = (device_id.to_owned(), account.to_owned());
        if granted {
            let of = |book: &(AccountNo, BookNo)| book.0 == number;
            let books = entries.books.range((number, BookNo(i64::MIN))..).take_while(|book| of(book));
            let news: Vec<_> = books.map(|(account, book)| (device_id.to_owned(), *account, *book)).collect();
            // Who has the grant already has its news noted.
            if !entries.grants.contains(&grant) {
                let noted = news.iter().map(|(.., book)| change(Some(number), "dirty", &(device_id, book), Some(&())));
                let rows = std::iter::once(change(None, "grant", &grant, Some(&()))).chain(noted);
                self.keep(&rows.collect::<Result<Vec<_>>>()?)?;
                entries.grants.insert(grant);
                entries.dirty.extend(news);
            }
            entries.devices.insert((number, device_id.to_owned()));
        } else {
            self.keep(&[change(None, "grant", &grant, None::<&()>)?])?;
            entries.grants.remove(&grant);
            entries.devices.remove(&(number, device_id.to_owned()));
            entries.dirty.retain(|(of, account, _)| (&**of, *account) != (device_id, number));
        }
        Ok(())
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        Ok(self.entries().grants.iter().cloned().collect())
    }

    fn dirty(&self, device_id: &str, after: (AccountNo, BookNo), limit: usize) -> Result<Vec<Dirty>> {
        let entries = self.entries();
        let from = (Excluded((device_id.to_owned(), after.0, after.1)), Unbounded);
        let found = entries.dirty.range(from).take_while(|(of, ..)| of == device_id).take(limit);
        let dirty = |(_, account, book): &(String, AccountNo, BookNo)| Dirty {
            name: entries.names.get(account).cloned().unwrap_or_default(),
            account: *account,
            book: *book,
        };
        Ok(found.map(dirty).collect())
    }

    fn audit(&self, after: (Timestamp, i64), limit: usize) -> Result<Vec<AuditRow>> {
        let mut found = self.entries().audit.clone();
        found.retain(|row| (row.at, row.seq) > after);
        found.sort_by_key(|row| (row.at, row.seq));
        found.truncate(limit);
        Ok(found)
    }
}
