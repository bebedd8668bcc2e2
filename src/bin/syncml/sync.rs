//! `syncml sync`: a folder of cards and a server, kept in step both ways.

use crate::books::{self, BookKind};
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::Folder;
use crate::logging::{self, Format};
use crate::network::{self, NetworkArgs};
use crate::output::{self, Table, bytes};
use crate::profiles::{ProfileArgs, TreatmentArgs};
use crate::progress::{self, Progress};
use crate::secret::{self, PasswordArgs, server_identity};
use crate::trace::Trace;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::session::{
    BookFilter, Client, ClientBook, ClientConfig, Counts, Credentials, Profiles, Report, ServerIdentity,
};
use syncml::store::memory::MemoryStore;
use syncml::store::replica::{ReplicaOptions, ReplicaReport, collect, deliver};
use syncml::store::{AccountNo, Directory, Keys, Store, Tx, Verdict};
use syncml::sync::DeletionGuard;
use syncml::sync::filter::FilterType;
use syncml::transport::http::client::{self, HttpClient};
use syncml::transport::http::now;
use tracing_subscriber::filter::Targets;
use uuid::Uuid;

/// The largest object this client takes, in bytes.
const MAX_OBJ_SIZE: u64 = 4_000_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of cards; its state is kept in it, in the hidden file .syncml.db
    dir: PathBuf,
    /// The server's address
    #[arg(long, value_name = "URL")]
    to: String,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    password: PasswordArgs,
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
    /// How messages are written
    #[arg(long, value_enum, default_value_t = Written::Xml)]
    encoding: Written,
    /// The protocol's version
    #[arg(long, value_enum, default_value_t = Proto::V12)]
    proto: Proto,
    /// How to log in: with a password (md5, mac, basic) or a platform's device id and shared secret (device)
    #[arg(long, value_enum, default_value_t = Auth::Md5)]
    auth: Auth,
    /// With --auth device: read the shared secret from the first line of this file
    #[arg(long, value_name = "FILE", required_if_eq("auth", "device"))]
    secret_file: Option<PathBuf>,
    /// Let a folder that lost most of its cards delete them on the server too
    #[arg(long)]
    allow_mass_delete: bool,
    /// The name under which the server has to prove itself; goes with --server-secret-file
    #[arg(long, value_name = "NAME", requires = "server_secret_file")]
    server_name: Option<String>,
    /// Read the server's secret, agreed with it, from the first line of this file
    #[arg(long, value_name = "FILE", requires = "server_name")]
    server_secret_file: Option<PathBuf>,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    /// Only say what this side would send; nobody is contacted, and nothing is changed. What the server would make of it,
    /// `syncml match` says there
    #[arg(long)]
    dry_run: bool,
    /// The largest message to take, in bytes
    #[arg(long, value_name = "N", default_value_t = 150_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    max_msg_size: u64,
    /// Write every message to a file in this folder (they hold cards and digests of credentials)
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
    /// What is logged, to standard error: off, error, warn, info, debug, trace. From debug on, names and addresses may be
    /// among it; cards and secrets never are
    #[arg(long, value_name = "LEVEL", env = logging::VARIABLE, default_value = "warn")]
    log_level: Targets,
    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    log_format: Format,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    Xml,
    Wbxml,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Proto {
    #[value(name = "1.0")]
    V10,
    #[value(name = "1.1")]
    V11,
    #[value(name = "1.2")]
    V12,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    Md5,
    Mac,
    Basic,
    Device,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    logging::start(&args.log_level, args.log_format);
    let book = books::named(&args.book)?;
    if args.dry_run {
        return dry_run(args, book);
    }
    let mut http = args.network.options(&args.to, progress::interrupted())?;
    http.max_msg_size = args.max_msg_size;
    let trace = args.trace.as_deref().map(Trace::into).transpose()?;
    let job = Job {
        dir: &args.dir,
        to: &args.to,
        book,
        remote: args.remote_book.as_deref().unwrap_or(&args.book),
        device_id: args.device_id.as_deref(),
        mode: match args.mode {
            Mode::TwoWay => AlertCode::TWO_WAY,
            Mode::Slow => AlertCode::SLOW,
            Mode::OneWayFromClient => AlertCode::ONE_WAY_FROM_CLIENT,
            Mode::RefreshFromClient => AlertCode::REFRESH_FROM_CLIENT,
            Mode::OneWayFromServer => AlertCode::ONE_WAY_FROM_SERVER,
            Mode::RefreshFromServer => AlertCode::REFRESH_FROM_SERVER,
        },
        filter: args.filter.as_deref(),
        encoding: match args.encoding {
            Written::Xml => Encoding::Xml,
            Written::Wbxml => Encoding::Wbxml,
        },
        version: match args.proto {
            Proto::V10 => Version::V10,
            Proto::V11 => Version::V11,
            Proto::V12 => Version::V12,
        },
        credentials: credentials(args)?,
        server: server_identity(args.server_name.as_deref(), args.server_secret_file.as_deref())?,
        allow_mass_delete: args.allow_mass_delete,
        profiles: args.profiles.read()?.treat(args.treatment.read()),
        http,
    };
    if matches!(args.auth, Auth::Basic | Auth::Device) {
        network::warn_in_the_open(&args.to);
    }
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

fn credentials(args: &Args) -> Result<Credentials> {
    Ok(match args.auth {
        Auth::Md5 => Credentials::Md5 { user: args.user.clone(), password: args.password.read()? },
        Auth::Mac => Credentials::Mac { user: args.user.clone(), password: args.password.read()? },
        Auth::Basic => Credentials::Basic { user: args.user.clone(), password: args.password.read()? },
        Auth::Device => Credentials::Device { account: args.user.clone(), secret: device_secret(args)? },
    })
}

fn device_secret(args: &Args) -> Result<Secret> {
    match &args.secret_file {
        Some(path) => secret::first_line(path),
        None => Err(Failure::usage("--auth device needs --secret-file")),
    }
}

/// One sync of a folder.
pub(crate) struct Job<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) to: &'a str,
    pub(crate) book: &'static BookKind,
    pub(crate) remote: &'a str,
    pub(crate) device_id: Option<&'a str>,
    pub(crate) mode: AlertCode,
    pub(crate) filter: Option<&'a str>,
    pub(crate) encoding: Encoding,
    pub(crate) version: Version,
    pub(crate) credentials: Credentials,
    pub(crate) server: Option<ServerIdentity>,
    pub(crate) allow_mass_delete: bool,
    pub(crate) profiles: Profiles,
    pub(crate) http: client::Options,
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
    /// Collects, holds the session, delivers – the last even if the session ended early, so that the folder shows what
    /// was received.
    pub(crate) fn run(self, progress: &mut Progress) -> Result<Outcome> {
        let start = Instant::now();
        let mut folder = Folder::open(self.dir, self.book)?;
        let store = database::open(&folder.state())?;
        let own = Own::of(store.as_ref(), self.device_id)?;
        own.holds_only(store.as_ref(), self.book)?;
        let options = ReplicaOptions::default().allow_mass_delete(self.allow_mass_delete);
        progress.say("reading the folder");
        let collected = collect(store.as_ref(), own.account, self.book.book, &mut folder, &options, now())?;
        let http = HttpClient::new(self.http.clone())?;
        let filter = self.filter.map(|record| BookFilter {
            record: Some(record.to_owned()),
            filter_type: FilterType::Inclusive,
            ..BookFilter::default()
        });
        let book = ClientBook {
            mode: self.mode,
            filter,
            ..ClientBook::new(self.book.book, format!("./{}", self.book.name), self.remote)
        };
        let device_id = self.device_id.unwrap_or(&own.device_id);
        let config = ClientConfig {
            server: self.server,
            encoding: self.encoding,
            version: self.version,
            max_msg_size: self.http.max_msg_size,
            max_obj_size: MAX_OBJ_SIZE,
            max_card_size: MAX_OBJ_SIZE,
            guard: if self.allow_mass_delete { DeletionGuard::OFF } else { DeletionGuard::default() },
            profiles: self.profiles,
            ..ClientConfig::new(self.to, device_id, self.credentials, vec![book])
        };
        progress.say(&format!("connecting to {}", self.to));
        let mut session = Client::begin(Arc::clone(&store), own.account, config, now())?;
        let ran = client::run(&mut session, &http, progress);
        progress.say("writing the folder");
        let delivered = deliver(store.as_ref(), own.account, self.book.book, &mut folder, &options, now())?;
        let mut skipped = collected.skipped.clone();
        skipped.extend(delivered.skipped.iter().cloned());
        skipped.extend(folder.unusable().iter().cloned());
        skipped.sort();
        skipped.dedup();
        Ok(Outcome {
            report: session.report(),
            collected,
            delivered,
            seconds: start.elapsed().as_secs_f64(),
            skipped,
            failure: ran.err().map(Failure::from),
        })
    }
}

impl Outcome {
    /// Whether nothing is left to say.
    pub(crate) fn clean(&self) -> bool {
        self.failure.is_none()
            && self.report.clean
            && self.report.problems.is_empty()
            && self.skipped.is_empty()
            && self.report.books.iter().all(|book| book.received.refused + book.sent.refused == 0)
    }

    fn exit(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.exit() as u8,
            None if self.clean() => 0,
            None => Exit::Problems as u8,
        }
    }

    fn to_json(&self) -> serde_json::Value {
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

    fn print(&self) {
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
        for (file, reason) in &self.skipped {
            eprintln!("skipped {file}: {reason}");
        }
        for problem in &self.report.problems {
            eprintln!("problem: {problem}");
        }
    }
}

fn row(name: &str, counts: &Counts) -> Vec<String> {
    let Counts { added, changed, deleted, matched, conflicts, refused } = *counts;
    let numbers = [added, changed, deleted, matched, conflicts, refused].map(|number| number.to_string());
    std::iter::once(name.to_owned()).chain(numbers).collect()
}

/// The one account of a folder's own database. It is called like the device, whose id is kept this way.
struct Own {
    account: AccountNo,
    device_id: String,
}

impl Own {
    fn of(store: &dyn Store, wanted: Option<&str>) -> Result<Self> {
        if let Some((name, account)) = store.directory().accounts()?.into_iter().next() {
            return Ok(Self { account, device_id: name });
        }
        let device_id = wanted.map_or_else(|| format!("syncml-{}", Uuid::new_v4()), str::to_owned);
        // Nobody logs in here: the hash is of nothing.
        let account = store.directory().put_login(&device_id, &Verifier::Md5(*Uuid::new_v4().as_bytes()))?;
        Ok(Self { account, device_id })
    }

    /// A folder is one book; cards of another would be taken for deleted.
    fn holds_only(&self, store: &dyn Store, book: &BookKind) -> Result<()> {
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
