//! A book in a store, and how cards get into it.

use super::cards::{self, Cards};
use super::{Case, Outcome};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use syncml::auth::{Secret, Verifier};
use syncml::message::Timestamp;
use syncml::store::memory::MemoryStore;
use syncml::store::sqlite::{SqliteOptions, SqliteStore};
use syncml::store::{AccountNo, BookNo, BookWriter, Directory, Draft, Keys, Result, Revision, Store, Tx, Verdict};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Cards in a step when a book is filled.
const PAGE: usize = 1_000;

pub(crate) const PASSWORD: &str = "secret";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum StoreKind {
    Memory,
    Sqlite,
    /// SQLite with `compress`, at the server.
    Compressed,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl StoreKind {
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        match name {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::Sqlite),
            "compressed" => Ok(Self::Compressed),
            #[cfg(feature = "postgres")]
            "postgres" => Ok(Self::Postgres),
            other => Err(format!("there is no store {other} in this build").into()),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Compressed => "compressed",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        }
    }

    /// Where `syncml serve` finds it.
    pub(crate) fn url(self, folder: &Path) -> Outcome<String> {
        match self {
            Self::Memory => Err("a server of its own has no store in memory".into()),
            Self::Sqlite | Self::Compressed => Ok(format!("sqlite:{}", folder.join("books.db").display())),
            #[cfg(feature = "postgres")]
            Self::Postgres => Ok(std::env::var("SYNCML_BENCH_POSTGRES")
                .map_err(|_| "SYNCML_BENCH_POSTGRES names no database for the store postgres")?),
        }
    }

    fn open(self, folder: &Path) -> Outcome<Arc<dyn Store>> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new([1; 32])),
            Self::Sqlite | Self::Compressed => {
                let mut options = SqliteOptions::default();
                options.compress = self == Self::Compressed;
                Arc::new(SqliteStore::open_with(folder.join("books.db"), options)?)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                use syncml::store::postgres::{PostgresOptions, PostgresStore};
                Arc::new(PostgresStore::open(&self.url(folder)?, PostgresOptions::default())?)
            }
        })
    }

    /// Whether it is a file.
    pub(crate) const fn is_file(self) -> bool {
        matches!(self, Self::Sqlite | Self::Compressed)
    }

    /// That of devices: a node's database is none of theirs.
    pub(crate) const fn of_device(self) -> Self {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => Self::Sqlite,
            Self::Compressed => Self::Sqlite,
            own => own,
        }
    }
}

/// A store that counts its transactions.
pub(crate) struct Counting {
    store: Arc<dyn Store>,
    steps: AtomicU64,
}

impl Counting {
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

impl Store for Counting {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.store.step(account, work)
    }

    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.store.look(account, work)
    }

    fn directory(&self) -> &dyn Directory {
        self.store.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.store.keys()
    }
}

/// Makes accounts in a server's store.
pub(crate) fn accounts<'a>(kind: StoreKind, folder: &Path, users: impl Iterator<Item = &'a str>) -> Outcome<()> {
    let store = kind.open(folder)?;
    for user in users {
        store.directory().put_login(user, &Verifier::Password(Secret::new(PASSWORD.to_owned())))?;
    }
    Ok(())
}

/// A book of one account.
pub(crate) struct Book {
    pub(crate) store: Arc<Counting>,
    pub(crate) account: AccountNo,
    cards: Cards,
}

impl Book {
    pub(crate) fn open(kind: StoreKind, case: Case, folder: &Path, user: &str) -> Outcome<Self> {
        let store = kind.open(folder)?;
        let account = store.directory().put_login(user, &Verifier::Password(Secret::new(PASSWORD.to_owned())))?;
        Ok(Self { store: Arc::new(Counting { store, steps: AtomicU64::new(0) }), account, cards: case.cards })
    }

    fn write(&self, mut work: impl FnMut(&mut dyn Tx, &mut BookWriter<'_>) -> Result<()>) -> Result<()> {
        self.store.step(self.account, &mut |tx| {
            let Some(row) = tx.lock_books(&[BookNo::CONTACTS])?.pop() else { return Ok(Verdict::Rollback) };
            let mut writer = BookWriter::new(row, None, NOW);
            work(tx, &mut writer)?;
            writer.flush(tx)?;
            Ok(Verdict::Commit)
        })
    }

    pub(crate) fn fill(&self, numbers: Range<usize>) -> Result<()> {
        for from in numbers.clone().step_by(PAGE) {
            self.write(|_, writer| {
                for number in from..numbers.end.min(from + PAGE) {
                    writer.add(Draft::of(BookNo::CONTACTS, cards::card(number, self.cards)));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Changes every so many cards, of those filled in from number 0 on.
    pub(crate) fn edit_every(&self, distance: usize) -> Result<usize> {
        let (mut after, mut number, mut changed) = (Revision(0), 0, 0);
        loop {
            let mut page = Vec::new();
            self.store.look(self.account, &mut |tx| {
                page = tx.changes(BookNo::CONTACTS, after, Revision(i64::MAX), PAGE)?;
                Ok(())
            })?;
            let Some(last) = page.last() else { return Ok(changed) };
            after = last.revision;
            let chosen: Vec<_> = (number..).zip(&page).filter(|(number, _)| number % distance == 0).collect();
            number += page.len();
            // The edited come again at the end, as changes: there they are known by their revision.
            let chosen: Vec<_> = chosen.into_iter().filter(|(_, item)| item.revision.0 == item.guid.0).collect();
            changed += chosen.len();
            self.write(|_, writer| {
                for (number, item) in &chosen {
                    let card = cards::edited(*number, self.cards, ", and what is new");
                    writer.replace(item, Draft::of(BookNo::CONTACTS, card));
                }
                Ok(())
            })?;
        }
    }
}
