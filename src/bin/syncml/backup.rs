//! `syncml db`: a whole database as a file, and back; and whether one is sound.

use crate::database::{CompressArgs, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::output::{self, Table, bytes};
use crate::progress::Progress;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use syncml::store::archive::{self, ArchiveError, Done};

/// Commands about whole databases.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write all of a database to a file, while it is in use. Keep that like the database: passwords are in it
    Dump(DumpArgs),
    /// Read a dump into a new or empty database, of any kind, that nobody uses yet
    Load(LoadArgs),
    /// Look for damage and contradictions, while it is in use
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// The file to write, which must not exist; `-` is the standard output
    file: PathBuf,
    #[command(flatten)]
    db: DatabaseArgs,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The file to read; `-` is the standard input
    file: PathBuf,
    #[command(flatten)]
    db: DatabaseArgs,
    #[command(flatten)]
    compress: CompressArgs,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Dump(args) => args.json,
            Self::Load(args) => args.json,
            Self::Check(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Dump(args) => dump(args),
        Command::Load(args) => load(args),
        Command::Check(args) => check(args),
    }
}

fn dump(args: &DumpArgs) -> Result<()> {
    let store = args.db.open()?;
    let done = with_progress(args.json, "dumped", |progress| {
        let failed = |error| told(&args.file, error);
        if is_standard(&args.file) {
            let mut to = BufWriter::new(io::stdout().lock());
            return archive::dump(store.as_ref(), &mut to, progress).map_err(failed);
        }
        if args.file.exists() {
            return Err(Failure::new(Exit::File, format!("{} exists already", args.file.display())));
        }
        let cannot = |error| Failure::file(&args.file, "written", &error);
        let mut part = args.file.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        // What has the name of a dump is whole.
        let mut to = BufWriter::new(private(&part).map_err(cannot)?);
        let done = archive::dump(store.as_ref(), &mut to, progress).map_err(failed).and_then(|done| {
            to.flush().and_then(|()| to.get_ref().sync_all()).map_err(cannot)?;
            fs::rename(&part, &args.file).map_err(cannot)?;
            Ok(done)
        });
        if done.is_err() {
            drop(fs::remove_file(&part));
        }
        done
    })?;
    // Where the dump goes to the standard output nothing else does.
    if !is_standard(&args.file) {
        summary(args.json, "dumped", &done);
    }
    Ok(())
}

fn load(args: &LoadArgs) -> Result<()> {
    let file = match is_standard(&args.file) {
        true => None,
        false => Some(File::open(&args.file).map_err(|error| Failure::file(&args.file, "read", &error))?),
    };
    let store = args.db.create_with(&args.compress)?;
    let done = with_progress(args.json, "loaded", |progress| {
        let done = match file {
            Some(file) => archive::load(store.as_ref(), &mut BufReader::new(file), progress),
            None => archive::load(store.as_ref(), &mut io::stdin().lock(), progress),
        };
        done.map_err(|error| told(&args.file, error))
    })?;
    summary(args.json, "loaded", &done);
    Ok(())
}

fn check(args: &CheckArgs) -> Result<()> {
    let mut wrong = args.db.check_file()?;
    let mut done = Done::default();
    let mut more = 0;
    // Who cannot read the file cannot look through it either.
    if wrong.is_none() {
        let store = args.db.open()?;
        let checked = with_progress(args.json, "checked", |progress| Ok(archive::check(store.as_ref(), progress)?))?;
        if args.json {
            output::json(&serde_json::json!({ "ok": checked.found == 0, "checked": checked }));
        }
        if checked.found > 0 {
            if !args.json {
                let mut table = Table::new(&["account", "book", "device", "item", "what is wrong"]);
                for found in &checked.findings {
                    let device = found.device.clone().unwrap_or_default();
                    let guid = found.guid.map(|guid| guid.to_string()).unwrap_or_default();
                    table.row([found.account.clone(), found.book.to_string(), device, guid, found.what.to_owned()]);
                }
                table.print();
            }
            more = checked.found;
        }
        done = checked.done;
    } else if let (true, Some(text)) = (args.json, &wrong) {
        output::json(&serde_json::json!({ "ok": false, "error": text }));
    }
    if more > 0 {
        wrong = Some(format!("{more} things are wrong; keep a copy of the database, and restore a backup"));
    }
    match wrong {
        Some(text) if args.json => {
            drop(writeln!(std::io::stderr(), "syncml: {text}"));
            Err(Failure::told(Exit::Database))
        }
        Some(text) => Err(Failure::new(Exit::Database, text)),
        None => {
            if !args.json {
                println!("sound: {}", counts(&done));
            }
            Ok(())
        }
    }
}

/// A file that only its owner can read: verifiers are in it.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

fn told(path: &Path, error: ArchiveError) -> Failure {
    match error {
        ArchiveError::Store(error) => error.into(),
        ArchiveError::Io(error) => Failure::file(path, "read or written", &error),
        ArchiveError::NotEmpty => Failure::new(Exit::Database, error.to_string()),
        _ => Failure::new(Exit::File, format!("{}: {error}", path.display())),
    }
}

/// Says how far it is every now and then.
fn with_progress<R>(quiet: bool, verb: &str, work: impl FnOnce(archive::Progress<'_>) -> Result<R>) -> Result<R> {
    let progress = Progress::new(quiet, None);
    let mut said = Instant::now();
    let result = work(&mut |done| {
        if said.elapsed() > Duration::from_secs(1) {
            said = Instant::now();
            progress.say(&format!("{verb} {}", counts(done)));
        }
    });
    progress.end();
    result
}

fn counts(done: &Done) -> String {
    format!(
        "{} accounts, {} items, {} earlier revisions, {} map entries, {} of large contents",
        done.accounts,
        done.items,
        done.revisions,
        done.maps,
        bytes(done.blob_bytes)
    )
}

fn summary(json: bool, verb: &str, done: &Done) {
    if json {
        output::json(&serde_json::json!({ "ok": true, "done": done }));
    } else {
        println!("{verb}: {}", counts(done));
    }
}
