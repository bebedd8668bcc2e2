//! `syncml sync`: a folder of cards and a server, kept in step both ways.

use crate::books::{self, BookKind};
use crate::called::CalledArgs;
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::Folder;
use crate::job::{Job, Own};
use crate::link::LinkArgs;
use crate::logging::LogArgs;
use crate::output;
use crate::profiles::{ProfileArgs, TreatmentArgs};
use crate::progress::Progress;
use clap::ValueEnum;
use std::path::PathBuf;
use std::sync::Arc;
use syncml::message::AlertCode;
use syncml::service::book::Layout;
use syncml::store::memory::MemoryStore;
use syncml::store::replica::{ReplicaOptions, ReplicaReport, collect};
use syncml::store::{AccountNo, Directory, Keys, Store, Tx, Verdict};
use syncml::transport::http::now;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of cards; its state is kept in it, in the hidden file .syncml.db
    dir: PathBuf,
    #[command(flatten)]
    link: LinkArgs,
    /// The book: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, default_value = "contacts")]
    book: String,
    /// The book's name at the server, where it is another
    #[arg(long, value_name = "NAME")]
    remote_book: Option<String>,
    /// This device's id (else a random one, kept with the folder)
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// What to exchange: changes, or everything
    #[arg(long, value_enum, default_value_t = Mode::TwoWay)]
    mode: Mode,
    /// Receive only what matches, such as "ORG&EQ;ACME"; what is here already stays, and everything here is sent
    #[arg(long, value_name = "QUERY")]
    filter: Option<String>,
    /// Let a folder that lost most of its cards delete them on the server too
    #[arg(long)]
    allow_mass_delete: bool,
    #[command(flatten)]
    called: CalledArgs,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    /// Only say what this side would send; nobody is contacted, and nothing is changed. What the server would make of it,
    /// `syncml match` says there
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    log: LogArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Changes of both sides.
    TwoWay,
    /// Everything is compared; both sides end with what either had.
    Slow,
    /// Changes of this side only.
    OneWayFromClient,
    /// The server's book becomes this one.
    RefreshFromClient,
    /// Changes of the server only.
    OneWayFromServer,
    /// This book becomes the server's.
    RefreshFromServer,
}

impl From<Mode> for AlertCode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::TwoWay => Self::TWO_WAY,
            Mode::Slow => Self::SLOW,
            Mode::OneWayFromClient => Self::ONE_WAY_FROM_CLIENT,
            Mode::RefreshFromClient => Self::REFRESH_FROM_CLIENT,
            Mode::OneWayFromServer => Self::ONE_WAY_FROM_SERVER,
            Mode::RefreshFromServer => Self::REFRESH_FROM_SERVER,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    args.log.start();
    let book = books::named(&args.book)?;
    if args.dry_run {
        return dry_run(args, book);
    }
    let link = args.link.open()?;
    let trace = args.link.trace()?;
    let remote = args.remote_book.as_deref().unwrap_or(&args.book);
    let called = args.called.take(&args.dir, &link.to, book.book, remote)?;
    let job = Job {
        dir: &args.dir,
        link,
        book,
        local: book.name,
        remote,
        device_id: args.device_id.as_deref(),
        mode: called.as_ref().map_or_else(|| args.mode.into(), |called| called.mode),
        filter: args.filter.as_deref(),
        allow_mass_delete: args.allow_mass_delete,
        profiles: args.profiles.read()?.treat(args.treatment.read()),
        layout: &Layout::default(),
        called: called.as_ref().and_then(|called| called.session_id.as_deref()),
    };
    let mut progress = Progress::new(args.json, trace);
    let outcome = job.run(&mut progress);
    progress.end();
    let outcome = outcome?;
    if args.json {
        output::json(&outcome.to_json());
    } else {
        outcome.print();
    }
    match outcome.failure {
        Some(failure) if args.json => Err(Failure::told(failure.exit())),
        Some(failure) => Err(failure),
        None if outcome.clean() => Ok(()),
        None => Err(Failure::told(Exit::Problems)),
    }
}

/// Says what the folder's user did since the last sync.
fn dry_run(args: &Args, book: &'static BookKind) -> Result<()> {
    let mut folder = Folder::open(&args.dir, book)?;
    let state = folder.state();
    let store: Arc<dyn Store> = match state.exists() {
        true => Arc::new(Dry(database::open(&state)?)),
        false => Arc::new(MemoryStore::new([0; 32])),
    };
    let own = Own::of(store.as_ref(), args.device_id.as_deref())?;
    own.holds_only(store.as_ref(), book)?;
    let options = ReplicaOptions::default().allow_mass_delete(args.allow_mass_delete);
    let collected = collect(store.as_ref(), own.account, book.book, &mut folder, &options, now())?;
    let skipped: Vec<_> = collected.skipped.iter().chain(folder.unusable()).cloned().collect();
    if args.json {
        let skipped: Vec<_> =
            skipped.iter().map(|(file, reason)| serde_json::json!({ "file": file, "reason": reason })).collect();
        let ok = skipped.is_empty();
        output::json(&serde_json::json!({ "ok": ok, "dry_run": true, "collected": collected, "skipped": skipped }));
    } else {
        let ReplicaReport { added, changed, deleted, .. } = collected;
        println!("would send: {added} added, {changed} changed, {deleted} deleted");
        for (file, reason) in &skipped {
            eprintln!("skipped {file}: {reason}");
        }
    }
    if skipped.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// A store that forgets what is written.
struct Dry(Arc<dyn Store>);

impl Store for Dry {
    fn step(
        &self,
        account: AccountNo,
        work: &mut dyn FnMut(&mut dyn Tx) -> syncml::store::Result<Verdict>,
    ) -> syncml::store::Result<()> {
        self.0.step(account, &mut |tx| work(tx).map(|_| Verdict::Rollback))
    }

    fn directory(&self) -> &dyn Directory {
        self.0.directory()
    }

    fn keys(&self) -> syncml::store::Result<Keys> {
        self.0.keys()
    }
}
