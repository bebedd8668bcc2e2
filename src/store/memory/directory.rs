//! Who may use the accounts of a memory store.

use super::super::{AccountNo, Directory, Login, Principal, Result, StoreError, Subscribers};
use crate::auth::Verifier;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Entries {
    accounts: BTreeMap<String, AccountNo>,
    logins: BTreeMap<String, Login>,
    principals: BTreeMap<String, Principal>,
    grants: BTreeSet<(String, String)>,
}

#[derive(Debug, Default)]
pub(super) struct MemoryDirectory(Mutex<Entries>);

impl MemoryDirectory {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change below is a single insert or remove: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let account = *entries.accounts.entry(name.to_owned()).or_insert(next);
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
        self.entries().principals.insert(device_id.to_owned(), principal.clone());
        Ok(())
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        let mut entries = self.entries();
        if !entries.principals.contains_key(device_id) {
            return Err(StoreError::NotFound(format!("device {device_id:?}")));
        }
        if !entries.accounts.contains_key(account) {
            return Err(StoreError::NotFound(format!("account {account:?}")));
        }
        let grant = (device_id.to_owned(), account.to_owned());
        if granted {
            entries.grants.insert(grant);
        } else {
            entries.grants.remove(&grant);
        }
        Ok(())
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        Ok(self.entries().grants.iter().cloned().collect())
    }
}
