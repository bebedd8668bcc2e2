//! One sync of a folder of cards with a server.

use crate::books::{self, BookKind};
use crate::control::{self, Station};
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::{Folder, MAX_CARD};
use crate::link::Link;
use crate::output::{Table, bytes};
use crate::progress::Progress;
use crate::route::Route;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use syncml::auth::Verifier;
use syncml::message::AlertCode;
use syncml::service::book::{Aligned, Layout};
use syncml::session::{BookFilter, Client, ClientBook, ClientConfig, Counts, Patience, Profiles, Report};
use syncml::store::memory::MemoryStore;
use syncml::store::replica::{Book, ReplicaOptions, ReplicaReport, collect, collect_some, deliver};
use syncml::store::{AccountNo, Store, Verdict};
use syncml::sync::DeletionGuard;
use syncml::sync::filter::FilterType;
use syncml::transport::http::now;
use uuid::Uuid;

/// The largest object this client takes, in bytes.
const MAX_OBJ_SIZE: u64 = MAX_CARD as u64;

/// One sync of a folder.
pub(crate) struct Job<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) link: Link,
    pub(crate) book: &'static BookKind,
    /// What it is called here, as the server is told.
    pub(crate) local: &'a str,
    /// What it is called there.
    pub(crate) remote: &'a str,
    pub(crate) device_id: Option<&'a str>,
    pub(crate) mode: AlertCode,
    pub(crate) filter: Option<&'a str>,
    pub(crate) allow_mass_delete: bool,
    pub(crate) profiles: Profiles,
    /// What of the cards takes part.
    pub(crate) layout: &'a Layout,
    /// The session that a notification asked for.
    pub(crate) called: Option<&'a str>,
}

/// What a sync did.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    pub(crate) collected: ReplicaReport,
    pub(crate) delivered: ReplicaReport,
    pub(crate) seconds: f64,
    skipped: Vec<(String, String)>,
    /// Why the session ended early; what was done before counts.
    pub(crate) failure: Option<Failure>,
}

impl Job<'_> {
    /// Opens the folder and its state, and brings them in step with the server.
    pub(crate) fn run(self, progress: &mut Progress) -> Result<Outcome> {
        if control::is_stopped(self.dir) {
            obey(&self.link, true, progress)?;
            return Err(control::stopped(self.dir));
        }
        let outcome = {
            let mut folder = Folder::open(self.dir, self.book)?;
            let store = database::open(&folder.state())?;
            let own = Own::of(store.as_ref(), self.device_id)?;
            own.holds_only(store.as_ref(), self.book)?;
            let mut outcome = self.run_in(&store, &own, &mut folder, None, progress)?;
            outcome.skip(folder.unusable());
            outcome
        };
        // The folder is free again: an order may clear it.
        obey(&self.link, false, progress)?;
        Ok(outcome)
    }

    /// Collects, holds the session, delivers – the last even if the session ended early, so that the folder shows what
    /// was received. Where it is known which entries changed, only they are collected.
    pub(crate) fn run_in(
        &self,
        store: &Arc<dyn Store>,
        own: &Own,
        book: &mut dyn Book,
        changed: Option<&[&str]>,
        progress: &mut Progress,
    ) -> Result<Outcome> {
        let start = Instant::now();
        progress.say("reading the folder");
        let collected = match changed {
            None => self.collect(store.as_ref(), own, book)?,
            Some(ids) => {
                let mut aligned = Aligned::new(book, self.layout.lens());
                collect_some(store.as_ref(), own.account, self.book.book, &mut aligned, ids, &self.options(), now())?
            }
        };
        let mut route = Route::open(&self.link)?;
        progress.say(&format!("connecting to {}", self.link.to));
        let mut session = self.begin(store, own)?;
        let ran = route.run(&mut session, progress);
        progress.say("writing the folder");
        let delivered = self.deliver(store.as_ref(), own, book)?;
        let failure = ran.err().map(Failure::from);
        let report = session.report();
        let refused: u64 = report.books.iter().map(|book| book.sent.refused + book.withheld).sum();
        if let Some(control) = &self.link.control
            && failure.is_none()
            && report.clean
            && refused == 0
            && self.mode != AlertCode::ONE_WAY_FROM_SERVER
            && self.mode != AlertCode::REFRESH_FROM_SERVER
        {
            control.confirm(self.dir, now())?;
        }
        Ok(Outcome::new(session.report(), collected, delivered, &[], start, failure))
    }

    fn options(&self) -> ReplicaOptions {
        ReplicaOptions::default().allow_mass_delete(self.allow_mass_delete)
    }

    /// Brings in what the folder's user did.
    pub(crate) fn collect(&self, store: &dyn Store, own: &Own, folder: &mut dyn Book) -> Result<ReplicaReport> {
        let mut aligned = Aligned::new(folder, self.layout.lens());
        Ok(collect(store, own.account, self.book.book, &mut aligned, &self.options(), now())?)
    }

    /// Writes into the folder what others did.
    pub(crate) fn deliver(&self, store: &dyn Store, own: &Own, folder: &mut dyn Book) -> Result<ReplicaReport> {
        let mut aligned = Aligned::new(folder, self.layout.lens());
        Ok(deliver(store, own.account, self.book.book, &mut aligned, &self.options(), now())?)
    }

    /// Begins the session.
    pub(crate) fn begin(&self, store: &Arc<dyn Store>, own: &Own) -> Result<Client> {
        let Link { to, others: _, encoding, version, credentials, control, server, http } = self.link.clone();
        let device_id = self.device_id.map_or_else(|| own.device_id.clone(), str::to_owned);
        if let Some(control) = &control
            && control.key()?.device_id() != device_id
        {
            let text =
                format!("--control: that file is of device {:?}, not of {device_id:?}", control.key()?.device_id());
            return Err(Failure::usage(text));
        }
        let config = ClientConfig {
            server_uri: to,
            device_id,
            credentials,
            book_credentials: Vec::new(),
            server,
            patience: Patience::default(),
            books: vec![ClientBook {
                book: self.book.book,
                local_uri: format!("./{}", self.local),
                remote_uri: self.remote.to_owned(),
                mode: self.mode,
                filter: self.filter.map(|record| BookFilter {
                    record: Some(record.to_owned()),
                    fields: Vec::new(),
                    filter_type: FilterType::Inclusive,
                }),
                dimensions: self.layout.rule(),
            }],
            encoding,
            version,
            max_msg_size: http.max_msg_size,
            max_obj_size: MAX_OBJ_SIZE,
            max_card_size: MAX_OBJ_SIZE,
            guard: if self.allow_mass_delete { DeletionGuard::OFF } else { DeletionGuard::default() },
            profiles: self.profiles.clone(),
            executor: control.map(|control| control.executor(Some(self.dir))),
        };
        if let Some(called) = self.called {
            return Ok(Client::begin_notified(Arc::clone(store), own.account, config, called, now())?);
        }
        Ok(Client::begin(Arc::clone(store), own.account, config, now())?)
    }
}

/// Executes what the device's owner ordered, and reports it; how many orders that were. `first` asks for orders in any case. To be called while no
/// folder is in use.
pub(crate) fn obey(link: &Link, first: bool, progress: &mut Progress) -> Result<usize> {
    let Some(control) = &link.control else { return Ok(0) };
    let mut executed = 0;
    // A visit may bring the next order; they come by eights, so that twice is plenty.
    for round in 0..3 {
        let ran = control.execute(now())?;
        executed += ran;
        let owes = !control.contents().agent.receipts().is_empty();
        if ran == 0 && !owes && !(first && round == 0) {
            break;
        }
        progress.say("reporting to the server");
        look_in(link, control, progress)?;
    }
    Ok(executed)
}

/// Looks in at the server: reports, takes orders, executes and reports them.
pub(crate) fn visit(link: &Link, progress: &mut Progress) -> Result<usize> {
    obey(link, true, progress)
}

/// A session about no book.
fn look_in(link: &Link, control: &Arc<Station>, progress: &mut Progress) -> Result<()> {
    let Link { to, encoding, version, credentials, server, http, .. } = link.clone();
    let mut config = ClientConfig::new(to, control.key()?.device_id(), credentials, Vec::new());
    (config.encoding, config.version, config.server) = (encoding, version, server);
    config.max_msg_size = http.max_msg_size;
    config.executor = Some(control.executor(None));
    // Nothing has to be remembered of it: what matters is in the device's file.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new([0; 32]));
    let own = Own::of(store.as_ref(), None)?;
    let mut session = Client::begin(Arc::clone(&store), own.account, config, now())?;
    Route::open(link)?.run(&mut session, progress)?;
    Ok(())
}

impl Outcome {
    pub(crate) fn new(
        report: Report,
        collected: ReplicaReport,
        delivered: ReplicaReport,
        unusable: &[(String, String)],
        start: Instant,
        failure: Option<Failure>,
    ) -> Self {
        let skipped = [&collected.skipped[..], &delivered.skipped].concat();
        let seconds = start.elapsed().as_secs_f64();
        let mut outcome = Self { report, collected, delivered, seconds, skipped, failure };
        outcome.skip(unusable);
        outcome
    }

    /// Adds what takes no part, each with the reason.
    pub(crate) fn skip(&mut self, unusable: &[(String, String)]) {
        self.skipped.extend_from_slice(unusable);
        self.skipped.sort();
        self.skipped.dedup();
    }

    /// Whether the session ended with nothing left to do, whatever was skipped.
    pub(crate) fn complete(&self) -> bool {
        self.failure.is_none() && self.report.clean
    }

    /// Whether nothing is left to say.
    pub(crate) fn clean(&self) -> bool {
        self.failure.is_none()
            && self.report.clean
            && self.report.problems.is_empty()
            && self.skipped.is_empty()
            && self.report.books.iter().all(|book| book.received.refused + book.sent.refused == 0)
    }

    pub(crate) fn exit(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.exit() as u8,
            None if self.clean() => 0,
            None => Exit::Problems as u8,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "ok": self.clean(),
            "exit": self.exit(),
            "error": self.failure.as_ref().map(ToString::to_string),
            "report": self.report,
            "collected": self.collected,
            "delivered": self.delivered,
            "skipped": self.skipped.iter().map(|(file, reason)| serde_json::json!({ "file": file, "reason": reason }))
                .collect::<Vec<_>>(),
            "seconds": self.seconds,
        })
    }

    pub(crate) fn print(&self) {
        for book in &self.report.books {
            let reason = book.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            println!("{}: {}{reason}", book.book, book.mode);
            let mut table = Table::new(&["", "added", "changed", "deleted", "matched", "conflicts", "refused"]);
            table.row(row("received", &book.received));
            table.row(row("sent", &book.sent));
            table.print();
            if book.held > 0 {
                println!("held back: {} deletes", book.held);
            }
        }
        println!(
            "{} messages, {} sent, {} received, {:.1} s",
            self.report.messages,
            bytes(self.report.bytes_sent),
            bytes(self.report.bytes_received),
            self.seconds,
        );
        if !self.report.profile.is_empty() {
            println!("profile: {}", self.report.profile.join(", "));
        }
        self.problems().iter().for_each(|problem| eprintln!("{problem}"));
    }

    /// What did not go as it should, a line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let skipped = self.skipped.iter().map(|(file, reason)| format!("skipped {file}: {reason}"));
        skipped.chain(self.report.problems.iter().map(|problem| format!("problem: {problem}"))).collect()
    }
}

fn row(name: &str, counts: &Counts) -> Vec<String> {
    let Counts { added, changed, deleted, matched, conflicts, refused } = *counts;
    let numbers = [added, changed, deleted, matched, conflicts, refused].map(|number| number.to_string());
    std::iter::once(name.to_owned()).chain(numbers).collect()
}

/// The one account of a folder's own database. It is called like the device, whose id is kept this way.
pub(crate) struct Own {
    pub(crate) account: AccountNo,
    device_id: String,
}

impl Own {
    pub(crate) fn of(store: &dyn Store, wanted: Option<&str>) -> Result<Self> {
        if let Some((name, account)) = store.directory().accounts()?.into_iter().next() {
            return Ok(Self { account, device_id: name });
        }
        let device_id = wanted.map_or_else(|| format!("syncml-{}", Uuid::new_v4()), str::to_owned);
        // Nobody logs in here: the hash is of nothing.
        let account = store.directory().put_login(&device_id, &Verifier::Md5(*Uuid::new_v4().as_bytes()))?;
        Ok(Self { account, device_id })
    }

    /// A folder is one book; cards of another would be taken for deleted.
    pub(crate) fn holds_only(&self, store: &dyn Store, book: &BookKind) -> Result<()> {
        let mut other = None;
        store.step(self.account, &mut |tx| {
            other = None;
            for kind in books::all().iter().filter(|kind| kind.book != book.book) {
                if tx.book(kind.book)?.is_some_and(|row| row.head.0 > 0) {
                    other = Some(kind.name);
                }
            }
            Ok(Verdict::Rollback)
        })?;
        match other {
            Some(name) => Err(Failure::usage(format!("this folder is the book {name}; use another for {}", book.name))),
            None => Ok(()),
        }
    }
}
