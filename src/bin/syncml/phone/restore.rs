//! `syncml restore`: a book of the server, down into a device.
//!
//! What comes is first held in a copy of the folder's state. Only once all of it is here, and fits, is the server told so, and
//! only then is the folder written. Before that everything can be given up: the folder and its state are as they were, and
//! the server has heard of a device whose connection broke.

use super::{Phone, PhoneArgs, contacts, has_packed};
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::{Folder, STATE};
use crate::job::{Job, Outcome, Own};
use crate::output;
use crate::progress::{Progress, short};
use crate::route::Route;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use syncml::message::AlertCode;
use syncml::service::book::{BookId, Preflight};
use syncml::session::{Client, Outgoing, Report};
use syncml::store::{AccountNo, BookNo, Revision, Store, StoreError};
use syncml::transport::http::client::{Answer, Event, Watch};

/// The copy of a folder's state in which a restore is held.
const STAGED: &str = ".syncml.restore.db";
/// Items per step.
const PAGE: usize = 500;
/// Overflows shown to people.
const MOST_SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) phone: PhoneArgs,
    /// Take another book than that of this device and storage: its identifier, as `syncml book id` tells it or `syncml book
    /// list` shows it
    #[arg(long, value_name = "ID")]
    book: Option<BookId>,
    /// Remove cards here that are not in the backup. Without this nothing is restored where there are such
    #[arg(long)]
    replace: bool,
    /// Pack new cards with gzip (as is done where others are packed)
    #[arg(long)]
    gzip: bool,
}

/// What a restore came to.
struct Restored {
    outcome: Option<Outcome>,
    /// What did not fit; then nothing was written.
    overflow: Option<serde_json::Value>,
    failure: Option<Failure>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let phone = &args.phone;
    let books = phone.books()?;
    if args.book.is_some() && books.len() > 1 {
        return Err(Failure::usage("--book names one book; restore into one storage at a time"));
    }
    let link = phone.link.open()?;
    let profiles = phone.profiles.read()?.treat(phone.treatment.read());
    let (kind, device_id) = (contacts()?, phone.device.device_id());
    let mut progress = Progress::new(phone.json, phone.link.trace()?);
    let (mut shown, mut failed) = (Vec::new(), None);
    for book in &books {
        let id = args.book.as_ref().unwrap_or(&book.id);
        let (storage, address) = (book.storage.to_string(), id.address());
        // What the device and that book agreed on is about the storage that it is the book of.
        let device_id = match id.number() == book.id.number() {
            true => device_id.clone(),
            false => format!("{device_id}/{storage}"),
        };
        let job = Job {
            dir: book.dir,
            link: link.clone(),
            book: kind,
            local: &storage,
            remote: &address,
            device_id: Some(&device_id),
            mode: AlertCode::REFRESH_FROM_SERVER,
            filter: None,
            // What would be removed is asked about below.
            allow_mass_delete: true,
            profiles: profiles.clone(),
            layout: &book.layout,
            called: None,
        };
        let done = restore(&job, args, book, &mut progress);
        progress.end();
        let done = done.unwrap_or_else(|failure| Restored { outcome: None, overflow: None, failure: Some(failure) });
        let exit = match (&done.failure, &done.outcome) {
            (Some(failure), _) => Some(failure.exit()),
            (None, Some(outcome)) if !outcome.clean() => Some(Exit::Problems),
            _ => None,
        };
        if phone.json {
            let error = done.failure.as_ref().map(ToString::to_string);
            let mut told = done.outcome.as_ref().map_or_else(|| serde_json::json!({}), Outcome::to_json);
            told["ok"] = exit.is_none().into();
            told["exit"] = exit.map_or(0, |exit| exit as u8).into();
            told["error"] = error.into();
            told["overflow"] = done.overflow.into();
            told["storage"] = storage.into();
            told["book"] = id.to_string().into();
            shown.push(told);
        } else {
            if let Some(outcome) = &done.outcome {
                let received = outcome.report.books.first().map(|book| short(&book.received)).unwrap_or_default();
                println!("{storage}: {received}, book {id}");
                outcome.problems().iter().for_each(|problem| eprintln!("{storage}: {problem}"));
            }
            if let Some(failure) = &done.failure {
                eprintln!("syncml: {storage}: {failure}");
            }
        }
        failed = exit;
        // Nothing is begun after something that did not go well.
        if failed.is_some() {
            break;
        }
    }
    if phone.json {
        let exit = failed.map_or(0, |exit| exit as u8);
        let device = phone.device.to_string();
        output::json(&serde_json::json!({ "ok": exit == 0, "exit": exit, "device": device, "books": shown }));
    }
    failed.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}

fn restore(job: &Job<'_>, args: &Args, book: &Phone<'_>, progress: &mut Progress) -> Result<Restored> {
    let start = Instant::now();
    let mut folder = Folder::open(job.dir, job.book)?.packing(args.gzip || has_packed(job.dir, job.book));
    let staged = Staged::of(&folder)?;
    let store = database::open(&staged.path)?;
    let own = Own::of(store.as_ref(), job.device_id)?;
    own.holds_only(store.as_ref(), job.book)?;
    progress.say("reading the folder");
    let collected = job.collect(store.as_ref(), &own, &mut folder)?;
    let mut route = Route::open(&job.link)?;
    progress.say(&format!("connecting to {}", job.link.to));
    let mut session = job.begin(&store, &own)?;
    let mut check = Check {
        progress,
        store: Arc::clone(&store),
        account: own.account,
        of: job.book.book,
        phone: book,
        replace: args.replace,
        passed: false,
        verdict: None,
        overflow: None,
    };
    let ran = route.run(&mut session, &mut check);
    let Check { passed, verdict, overflow, store: shared, .. } = check;
    drop(shared);
    let report = session.report();
    if !passed {
        // Nothing is written: the copy goes.
        drop((session, store));
        let failure = verdict.or_else(|| ran.err().map(Failure::from));
        let failure = failure.unwrap_or_else(|| Failure::new(Exit::Protocol, unheard(&report)));
        return Ok(Restored { outcome: None, overflow, failure: Some(failure) });
    }
    let failure = ran.err().map(Failure::from);
    tell_unheard(failure.as_ref());
    let delivered = job.deliver(store.as_ref(), &own, &mut folder);
    drop((session, store));
    staged.take_place()?;
    let outcome = Outcome::new(report, collected, delivered?, folder.unusable(), start, None);
    Ok(Restored { outcome: Some(outcome), overflow: None, failure })
}

/// The server may not have heard that all is here; the next sync tells it.
fn tell_unheard(failure: Option<&Failure>) {
    if let Some(failure) = failure {
        eprintln!("syncml: the server could not be told that everything is here: {failure}");
    }
}

/// Why a session that ended orderly brought nothing.
fn unheard(report: &Report) -> String {
    report.problems.first().cloned().unwrap_or_else(|| "the server sent no book".to_owned())
}

/// Looks at what has come, before anybody is told that it is here.
struct Check<'a, 'p> {
    progress: &'a mut Progress,
    store: Arc<dyn Store>,
    account: AccountNo,
    of: BookNo,
    phone: &'a Phone<'p>,
    replace: bool,
    passed: bool,
    verdict: Option<Failure>,
    overflow: Option<serde_json::Value>,
}

impl Watch for Check<'_, '_> {
    fn sending(&mut self, number: u32, request: &Outgoing) {
        self.progress.sending(number, request);
    }

    fn event(&mut self, event: &Event<'_>) {
        self.progress.event(event);
    }

    fn received(&mut self, number: u32, answer: &Answer, report: &Report) {
        self.progress.received(number, answer, report);
    }

    fn heard_all(&mut self, client: &Client) -> bool {
        let report = client.report();
        if let Some(book) = report.books.iter().find(|book| book.failed.is_some()) {
            let code = book.failed.map_or(0, |code| code.0);
            self.verdict = Some(Failure::new(Exit::Protocol, format!("the book ended with status {code}")));
            return false;
        }
        let removed: u64 = report.books.iter().map(|book| book.received.deleted + book.held).sum();
        let checked = match self.preflight() {
            Ok(checked) if !checked.fits() => {
                self.overflow = serde_json::to_value(&checked).ok();
                Err(overflowed(&checked))
            }
            Ok(_) if removed > 0 && !self.replace => Err(Failure::new(
                Exit::MassDelete,
                format!(
                    "{removed} cards here are not in the backup and would be removed; nothing was written. Back them up \
                     first, or say --replace"
                ),
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.passed = checked.is_ok();
        self.verdict = checked.err();
        self.passed
    }
}

impl<'a> Check<'a, '_> {
    /// Measures what the folder would hold.
    fn preflight(&self) -> std::result::Result<Preflight<'a>, StoreError> {
        let mut check = Preflight::new(&self.phone.layout);
        let mut after = Revision(0);
        loop {
            let mut page = Vec::new();
            self.store.look(self.account, &mut |tx| {
                page = match tx.book(self.of)? {
                    Some(row) => tx.changes(self.of, after, row.head, PAGE)?,
                    None => Vec::new(),
                };
                Ok(())
            })?;
            let Some(last) = page.last() else { return Ok(check.finish()) };
            after = last.revision;
            page.iter().filter(|item| !item.deleted).for_each(|item| check.add(&item.content));
        }
    }
}

/// The patent's warning, with what it is about.
fn overflowed(checked: &Preflight<'_>) -> Failure {
    let mut text = format!(
        "data overflow: {} of what is in the backup does not fit ({} records); nothing was written",
        checked.count, checked.records
    );
    for overflow in checked.overflows.iter().take(MOST_SHOWN) {
        let record = overflow.record.as_deref().unwrap_or("the book");
        let record: String = record.chars().filter(|c| !c.is_control()).collect();
        text += &format!("\n  {record}: {}", overflow.much);
    }
    if checked.overflows.len() > MOST_SHOWN {
        text += &format!("\n  and {} more", checked.count - MOST_SHOWN as u64);
    }
    Failure::new(Exit::Overflow, text)
}

/// A copy of a folder's state, which goes with this unless it takes its place.
struct Staged {
    path: PathBuf,
    real: PathBuf,
}

impl Staged {
    fn of(folder: &Folder) -> Result<Self> {
        let real = folder.state();
        let staged = Self { path: real.with_file_name(STAGED), real };
        debug_assert!(staged.real.ends_with(STATE));
        staged.remove();
        if staged.real.exists() {
            // One that is damaged or of a newer release is told as it always is.
            drop(database::open(&staged.real)?);
            let copied = rusqlite::Connection::open(&staged.real)
                .and_then(|conn| conn.execute("VACUUM INTO ?1", [staged.path.to_string_lossy()]));
            copied.map_err(|error| {
                Failure::new(Exit::Database, format!("{} cannot be copied: {error}", staged.real.display()))
            })?;
        }
        Ok(staged)
    }

    /// Puts the copy in the place of what it was made of. Both are closed, and what is in their logs is put where it belongs.
    fn take_place(self) -> Result<()> {
        [&self.path, &self.real]
            .into_iter()
            .filter(|path| path.exists())
            .try_for_each(|path| database::settle(path))?;
        // A log that is empty says nothing of another file.
        remove(&self.real, &["-wal", "-shm"]);
        fs::rename(&self.path, &self.real).map_err(|error| Failure::file(&self.real, "written", &error))
    }

    fn remove(&self) {
        remove(&self.path, &["", "-wal", "-shm", "-journal"]);
    }
}

/// Removes a file, or files beside it; what is not there need not go.
pub(super) fn remove(path: &Path, endings: &[&str]) {
    for ending in endings {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        drop(fs::remove_file(Path::new(&name)));
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.remove();
    }
}
