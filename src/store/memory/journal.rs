//! A memory store whose rows are kept somewhere else, too: what an embedder needs for a store of its own.

use super::super::{AccountNo, Result, StoreError};
use super::MemoryStore;
use super::tables::Tables;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// Where the rows of a [`MemoryStore`] are kept: any place with keys and values that can make several changes durable at
/// once, such as a file, a key-value store or a table of two columns.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
/// use syncml::auth::Verifier;
/// use syncml::store::memory::{Change, Journal, MemoryStore};
/// use syncml::store::{Result, Store};
///
/// #[derive(Clone, Debug, Default)]
/// struct Elsewhere(Arc<Mutex<BTreeMap<String, String>>>);
///
/// impl Journal for Elsewhere {
///     fn keep(&self, changes: &[Change]) -> Result<()> {
///         let mut rows = self.0.lock().expect("nobody panics in here");
///         for Change { key, value } in changes {
///             match value {
///                 Some(value) => rows.insert(key.clone(), value.clone()),
///                 None => rows.remove(key),
///             };
///         }
///         Ok(())
///     }
/// }
///
/// let place = Elsewhere::default();
/// let store = MemoryStore::kept([7; 32], Vec::new(), Arc::new(place.clone()))?;
/// let ann = store.directory().put_login("ann", &Verifier::Md5([0; 16]))?;
/// drop(store);
/// let rows: Vec<_> = place.0.lock().expect("see above").clone().into_iter().collect();
/// let again = MemoryStore::kept([0; 32], rows, Arc::new(place))?;
/// assert_eq!(again.directory().account("ann")?, Some(ann));
/// # Ok::<(), syncml::store::StoreError>(())
/// ```
pub trait Journal: fmt::Debug + Send + Sync {
    /// Makes all of these changes durable, in this order, or none of them. Nobody hears of a step before this returns `Ok`,
    /// and one call is made at a time.
    ///
    /// # Errors
    /// What kept it from doing so: [`StoreError::Full`], [`StoreError::ReadOnly`] or [`StoreError::Failed`] most likely. The
    /// step then fails with it and is forgotten, as its changes must be.
    fn keep(&self, changes: &[Change]) -> Result<()>;
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Change {
    /// Its key: the number of the account or `-`, the name of the table, and the row's own key as JSON, with a space between.
    pub key: String,
    /// Its value as JSON; `None` where the row is removed.
    pub value: Option<String>,
}

impl MemoryStore {
    /// A store that keeps its rows in a journal, too, beginning with those that are there already: (key, value) as
    /// [`Journal::keep`] was given them, in any order, the last value of each key. All rows are in memory. `seed` is that of a new
    /// store; one that was kept goes on with its own.
    ///
    /// Each step is one call of the journal, under one lock: as many a second as that can make durable. Contents are written
    /// in the clear, and the seed, from which all keys derive, is among the rows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for rows that cannot be read; what the journal answers to the seed of a new store.
    pub fn kept(
        seed: [u8; 32],
        rows: impl IntoIterator<Item = (String, String)>,
        journal: Arc<dyn Journal>,
    ) -> Result<Self> {
        let mut store = Self::new(seed);
        let mut kept = false;
        for (key, value) in rows {
            let mut parts = key.splitn(3, ' ');
            let (Some(owner), Some(table), Some(row)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(StoreError::Corrupt(format!("{key:?} is the key of no row")));
            };
            if owner != "-" {
                let account = owner.parse().map_err(|_| StoreError::Corrupt(format!("{key:?} names no account")))?;
                let shared = store.shared.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
                shared.accounts.entry(AccountNo(account)).or_default().load(table, row, &value)?;
            } else if table == "seed" {
                (store.seed, kept) = (read(&value)?, true);
            } else {
                store.directory.load(table, row, &value)?;
            }
        }
        if !kept {
            journal.keep(&[change(None, "seed", &(), Some(&seed))?])?;
        }
        let shared = store.shared.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        store.directory.loaded(shared.accounts.iter().map(|(account, tables): (_, &Tables)| (*account, tables)));
        store.directory.journal = Some(journal);
        Ok(store)
    }
}

/// A change of one row.
pub(super) fn change(
    account: Option<AccountNo>,
    table: &str,
    key: &impl Serialize,
    value: Option<&impl Serialize>,
) -> Result<Change> {
    let owner = account.map_or_else(|| "-".to_owned(), |account| account.to_string());
    Ok(Change { key: format!("{owner} {table} {}", write(key)?), value: value.map(write).transpose()? })
}

fn write(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(format!("a row cannot be written: {error}")))
}

/// What was written.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("a kept row cannot be read: {error}")))
}
