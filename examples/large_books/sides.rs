//! The server, its devices, and a sync between them in one thread.

use super::measure::{Cost, Peak, timed};
use super::{Case, Outcome, cards};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use syncml::auth::{Secret, Verifier};
use syncml::message::{AlertCode, Timestamp};
use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Request, Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Directory, Draft, Keys, Result, Revision, Store, Tx, Verdict};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const MAX_MSG_SIZE: u64 = 150_000;
/// Cards in a step when a book is filled.
const PAGE: usize = 1_000;
/// Bytes of requests that are kept to measure the limit.
const SAMPLE: usize = 32 << 20;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum StoreKind {
    Memory,
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl StoreKind {
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        match name {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" => Ok(Self::Postgres),
            other => Err(format!("there is no store {other} in this build").into()),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        }
    }

    fn open(self, folder: &Path) -> Outcome<Arc<dyn Store>> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new([1; 32])),
            Self::Sqlite => Arc::new(SqliteStore::open(tempfile::tempdir_in(folder)?.keep().join("books.db"))?),
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                use syncml::store::postgres::{PostgresOptions, PostgresStore};
                let url = std::env::var("SYNCML_BENCH_POSTGRES")
                    .map_err(|_| "SYNCML_BENCH_POSTGRES names no database for the store postgres")?;
                Arc::new(PostgresStore::open(&url, PostgresOptions::default())?)
            }
        })
    }

    /// That of devices: a node's database is none of theirs.
    const fn of_device(self) -> Self {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => Self::Sqlite,
            own => own,
        }
    }
}

/// A store that counts its transactions.
struct Counting {
    store: Arc<dyn Store>,
    steps: AtomicU64,
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

/// A book of one account, and how cards get into it.
struct Book {
    store: Arc<Counting>,
    account: AccountNo,
    photos: bool,
}

impl Book {
    fn open(kind: StoreKind, folder: &Path, user: &str, photos: bool) -> Outcome<Self> {
        let store = kind.open(folder)?;
        let account = store.directory().put_login(user, &Verifier::Password(Secret::new("secret".to_owned())))?;
        Ok(Self { store: Arc::new(Counting { store, steps: AtomicU64::new(0) }), account, photos })
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

    fn fill(&self, numbers: Range<usize>) -> Result<()> {
        for from in numbers.clone().step_by(PAGE) {
            self.write(|_, writer| {
                for number in from..numbers.end.min(from + PAGE) {
                    writer.add(Draft::of(BookNo::CONTACTS, cards::card(number, self.photos)));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Changes every so many cards, of those filled in from number 0 on.
    fn edit_every(&self, distance: usize) -> Result<usize> {
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
                    let card = cards::edited(*number, self.photos, ", and what is new");
                    writer.replace(item, Draft::of(BookNo::CONTACTS, card));
                }
                Ok(())
            })?;
        }
    }
}

pub(crate) struct World {
    server: Server,
    book: Book,
    user: String,
    case: Case,
    now: Timestamp,
}

impl World {
    /// A server with an account of its own.
    pub(crate) fn new(case: Case, folder: &Path) -> Outcome<Self> {
        let user =
            folder.join(case.size.to_string()).display().to_string().replace(|c: char| !c.is_alphanumeric(), "-");
        let user = format!("{user}-{:?}", std::time::Instant::now()).replace(|c: char| !c.is_alphanumeric(), "-");
        let book = Book::open(case.store, folder, &user, case.photos)?;
        let mut config = ServerConfig::default();
        config.max_msg_size = MAX_MSG_SIZE;
        Ok(Self { server: Server::new(book.store.clone(), config)?, book, user, case, now: NOW })
    }

    pub(crate) fn fill(&self, numbers: Range<usize>) -> Result<()> {
        self.book.fill(numbers)
    }

    pub(crate) fn sync(&mut self, phone: &Phone, mode: AlertCode) -> Outcome<Cost> {
        self.play(phone, mode, None)
    }

    /// A sync of which some of the client's messages are kept.
    pub(crate) fn sync_keeping(&mut self, phone: &Phone, mode: AlertCode, sample: &mut Vec<Vec<u8>>) -> Outcome<Cost> {
        self.play(phone, mode, Some(sample))
    }

    fn play(&mut self, phone: &Phone, mode: AlertCode, mut sample: Option<&mut Vec<Vec<u8>>>) -> Outcome<Cost> {
        self.now = self.now.plus_seconds(60);
        let credentials = Credentials::Md5 { user: self.user.clone(), password: Secret::new("secret".to_owned()) };
        let book = ClientBook { mode, ..ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts") };
        let config = ClientConfig {
            encoding: self.case.encoding,
            max_msg_size: MAX_MSG_SIZE,
            ..ClientConfig::new("http://sync.example.com/syncml", phone.name, credentials, vec![book])
        };
        let steps = |book: &Book| book.store.steps.load(Ordering::Relaxed);
        let before = (steps(&self.book), steps(&phone.book));
        let mut cost = Cost::default();
        let mut kept = 0;
        let peak = Peak::watch();
        let mut client =
            timed(&mut cost.client, || Client::begin(phone.book.store.clone(), phone.book.account, config, self.now))?;
        while let Some(out) = timed(&mut cost.client, || client.outgoing()) {
            let request = Request {
                content_type: out.content_type,
                body: &out.body,
                token: out.uri.split_once("?s=").map(|(_, token)| token),
                mac: None,
                protected: true,
                loopback: true,
                address: None,
                now: self.now,
            };
            let reply =
                timed(&mut cost.server, || self.server.answer(&request)).map_err(|refusal| refusal.to_string())?;
            cost.messages += 1;
            cost.up += out.body.len() as u64;
            cost.down += reply.body.len() as u64;
            timed(&mut cost.client, || client.received(reply.content_type, &reply.body, self.now))?;
            if let Some(sample) = sample.as_deref_mut()
                && kept < SAMPLE
            {
                kept += out.body.len();
                sample.push(out.body);
            }
        }
        let report = client.report();
        cost.wall = peak.begun.elapsed().as_secs_f64();
        cost.peak = peak.above().saturating_sub(kept as u64);
        cost.server_steps = steps(&self.book) - before.0;
        cost.client_steps = steps(&phone.book) - before.1;
        let [book] = &report.books[..] else { return Err("the session was about one book".into()) };
        if !report.clean {
            return Err(format!("the sync did not end well: {report:?}").into());
        }
        cost.received = book.sent.added + book.sent.changed;
        cost.sent = book.received.added;
        Ok(cost)
    }
}

pub(crate) struct Phone {
    name: &'static str,
    book: Book,
}

impl Phone {
    pub(crate) fn new(case: Case, folder: &Path, name: &'static str) -> Outcome<Self> {
        Ok(Self { name, book: Book::open(case.store.of_device(), folder, "local", case.photos)? })
    }

    pub(crate) fn fill(&self, numbers: Range<usize>) -> Result<()> {
        self.book.fill(numbers)
    }

    /// Changes every so many cards; how many that were.
    pub(crate) fn edit_every(&self, distance: usize) -> Result<usize> {
        self.book.edit_every(distance)
    }
}
