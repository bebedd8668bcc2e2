//! How many sessions without changes a server of its own takes in a second, of many devices at once.

use super::book::{Book, PASSWORD};
use super::http::{Connection, Served};
use super::measure::cpu;
use super::{Case, Outcome, PostgresPid};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use syncml::auth::Secret;
use syncml::message::{AlertCode, Timestamp};
use syncml::session::{Client, ClientBook, ClientConfig, Credentials};
use syncml::store::BookNo;

/// Connections at once.
const AT_ONCE: usize = 64;
/// Contacts in each device's book.
const CONTACTS: usize = 10;

pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// CPU seconds for a session: of the server, of the database behind it, of the devices.
    pub(crate) server: f64,
    pub(crate) database: f64,
    pub(crate) devices: f64,
}

/// One device, its account and its book, which is in memory.
struct Device {
    book: Book,
    user: String,
}

impl Device {
    fn sync(&self, case: Case, connection: &mut Connection, url: &str, now: i64) -> Outcome<()> {
        let credentials = Credentials::Md5 { user: self.user.clone(), password: Secret::new(PASSWORD.to_owned()) };
        let book =
            ClientBook { mode: AlertCode::TWO_WAY, ..ClientBook::new(BookNo::CONTACTS, "./contacts", "contacts") };
        let config =
            ClientConfig { encoding: case.encoding, ..ClientConfig::new(url, &self.user, credentials, vec![book]) };
        let now = Timestamp(now);
        let mut client = Client::begin(self.book.store.clone(), self.book.account, config, now)?;
        while let Some(out) = client.outgoing() {
            let (kind, reply) = connection.post(&out.uri, out.content_type, &out.body)?;
            client.received(&kind, &reply, now)?;
        }
        if client.report().clean { Ok(()) } else { Err(format!("{:?}", client.report()).into()) }
    }
}

/// Sessions of so many devices, each with an account of its own: one with all its contacts, then `rounds` without a change.
pub(crate) fn run(
    case: Case,
    devices: usize,
    rounds: usize,
    program: &Path,
    folder: &Path,
    postgres: PostgresPid,
) -> Outcome<Rate> {
    let mut books = Vec::new();
    let prefix = super::unique("device");
    for number in 0..devices {
        let user = format!("{prefix}-{number}");
        let book = Book::open(super::book::StoreKind::Memory, case, folder, "local")?;
        book.fill(0..CONTACTS)?;
        books.push(Device { book, user });
    }
    super::book::accounts(case.store, folder, books.iter().map(|device| device.user.as_str()))?;
    let mut served = Served::start(program, case, folder)?;
    let (url, address) = (served.url(), served.address().to_owned());
    let round = |now: i64| -> Outcome<()> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let work = || -> Outcome<()> {
                        let mut connection = Connection::to(&address)?;
                        while let Some(device) = books.get(next.fetch_add(1, Ordering::Relaxed)) {
                            device.sync(case, &mut connection, &url, now)?;
                        }
                        Ok(())
                    };
                    if let Err(error) = work() {
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(error.to_string());
                    }
                });
            }
        });
        match failed.into_inner() {
            Ok(Some(error)) => Err(error.into()),
            _ => Ok(()),
        }
    };
    let now = 1_700_000_000_000;
    round(now)?;
    round(now + 60_000)?;
    served.watch();
    let (begun, own, database) = (Instant::now(), cpu(), postgres.cpu());
    for number in 0..rounds {
        round(now + 60_000 * (number as i64 + 2))?;
    }
    let wall = begun.elapsed().as_secs_f64();
    let sessions = (devices * rounds) as f64;
    Ok(Rate {
        per_second: sessions / wall,
        server: served.cost().0 / sessions,
        database: (postgres.cpu() - database) / sessions,
        devices: (cpu() - own) / sessions,
    })
}
