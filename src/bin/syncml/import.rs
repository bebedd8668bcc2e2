//! `syncml import`: files of contacts, and of other items, into a book.

use crate::books::{self, BookKind};
use crate::cards;
use crate::failure::{Exit, Failure, Result};
use crate::folder::is_packed;
use crate::history::place::{Place, PlaceArgs};
use crate::interchange::{SourceArgs, Taken};
use crate::output;
use crate::progress::Progress;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, Write as _, stderr, stdin};
use std::path::{Path, PathBuf};
use syncml::contact::diff::diff;
use syncml::contact::identity::Kind;
use syncml::service::interchange::{Choice, Decide, Difference, Import};
use syncml::store::{AccountNo, BookWriter, DeviceNo, Draft, Store, StoreError, Verdict, local_origin};
use syncml::transport::http::now;

/// Items per step.
const PAGE: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Files, and folders of files; a file may hold many cards
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// What becomes of a contact that the book has with other details: what the file says takes the place of what the book says;
    /// only what the book lacks is taken; it is added beside the book's; asked for each; or left out
    #[arg(long, value_enum, default_value = "add")]
    on_conflict: OnConflict,
    /// Only say what would be done; `syncml match` says more
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnConflict {
    Overwrite,
    Merge,
    Add,
    Ask,
    Skip,
}

/// What an import did.
#[derive(Debug, Default)]
struct Imported {
    added: usize,
    /// Already in the book, in the same words or others that mean the same.
    known: usize,
    skipped: Vec<(String, String)>,
    /// Whether nothing is written, and what would have been.
    dry: bool,
    dreamt: HashSet<[u8; 16]>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Place { store, account, book } = args.place.open()?;
    if book.book.kind() == Kind::Contact {
        return contacts(args, store.as_ref(), account, book);
    }
    let done = import(store.as_ref(), account, book, &args.paths, args.dry_run)?;
    if args.place.json {
        output::json(&serde_json::json!({
            "ok": done.skipped.is_empty(),
            "dry_run": args.dry_run,
            "added": done.added,
            "known": done.known,
            "skipped": done.skipped.iter().map(|(file, reason)| serde_json::json!({ "file": file, "reason": reason }))
                .collect::<Vec<_>>(),
        }));
    } else if args.dry_run {
        println!("{} would be added, {} are there already", done.added, done.known);
    } else {
        println!("{} added, {} were there already", done.added, done.known);
    }
    for (file, reason) in &done.skipped {
        eprintln!("skipped {file}: {reason}");
    }
    if done.skipped.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// Contacts between two words about how far it is.
const SAID: u64 = 20_000;

fn contacts(args: &Args, store: &dyn Store, account: AccountNo, book: &BookKind) -> Result<()> {
    let mut decide: Box<dyn Decide> = match args.on_conflict {
        OnConflict::Overwrite => Box::new(Choice::Overwrite),
        OnConflict::Merge => Box::new(Choice::Merge),
        OnConflict::Add => Box::new(Choice::Add),
        OnConflict::Skip => Box::new(Choice::Skip),
        OnConflict::Ask if args.place.json => {
            return Err(Failure::usage("--on-conflict ask: with --json there is nobody to ask"));
        }
        OnConflict::Ask => Box::new(Asking { always: None }),
    };
    let files = files(book, &args.paths)?;
    let mut taken = Taken::default();
    let progress = Progress::new(args.place.json, None);
    let import = Import::builder(store, account, book.book).rehearse(args.dry_run);
    let mut import = import.begin(now(), decide.as_mut())?;
    let (mut count, mut ended) = (0_u64, false);
    for path in files {
        ended |= !args.source.each(book, &path, &mut taken, &mut |card| {
            count += 1;
            if count.is_multiple_of(SAID) {
                progress.say(&format!("{count} read, {} added", import.done().added));
            }
            Ok(import.put(card)?)
        })?;
        if ended {
            break;
        }
    }
    let (done, ended) = import.finish().map(|(done, whole)| (done, ended || !whole))?;
    progress.end();
    if args.place.json {
        output::json(&serde_json::json!({
            "ok": taken.skipped.is_empty() && !ended,
            "dry_run": args.dry_run,
            "added": done.added,
            "known": done.known,
            "overwritten": done.overwritten,
            "merged": done.merged,
            "beside": done.beside,
            "left": done.left,
            "unknown_columns": taken.unknown.iter().flat_map(|(_, columns)| columns).collect::<Vec<_>>(),
            "skipped": taken.skipped_json(),
        }));
    } else {
        let (added, there) = match args.dry_run {
            true => ("would be added", "are there already"),
            false => ("added", "were there already"),
        };
        println!("{} {added}, {} {there}", done.added, done.known);
        for (count, what) in [
            (done.overwritten, "overwritten"),
            (done.merged, "merged"),
            (done.beside, "added beside others that say something else of the same contact"),
            (done.left, "left out, since the book says something else of the same contact"),
        ] {
            if count > 0 {
                println!("{count} {}{what}", if args.dry_run { "would be " } else { "" });
            }
        }
    }
    taken.tell();
    if ended {
        return Err(Failure::new(Exit::Interrupted, "stopped when asked; what was done before stays done"));
    }
    if taken.skipped.is_empty() { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// Asks whoever sits there.
struct Asking {
    /// What was answered for all that come.
    always: Option<Choice>,
}

impl Decide for Asking {
    fn settled(&self) -> Option<Choice> {
        self.always
    }

    fn decide(&mut self, difference: &Difference<'_>) -> Option<Choice> {
        // Those of the step that was asked about last.
        if self.always.is_some() {
            return self.always;
        }
        let name = syncml::contact::identity::identify(Kind::Contact, difference.new).label;
        eprintln!("{} is in the book, and says something else:", name.as_deref().unwrap_or(books::NO_NAME));
        let said = diff(difference.here, difference.new).unwrap_or_default();
        // What it says nothing of stays, whatever the answer.
        for said in said.into_iter().filter(|said| !said.after.is_empty()) {
            let side = |texts: &[String]| if texts.is_empty() { "nothing".to_owned() } else { texts.join(" | ") };
            eprintln!("  {}: {} -> {}", said.property, side(&said.before), side(&said.after));
        }
        loop {
            eprint!("[o]verwrite, [m]erge, [a]dd, [s]kip, [q]uit; in capitals for all that come: ");
            drop(stderr().flush());
            let mut answer = String::new();
            if stdin().lock().read_line(&mut answer).unwrap_or(0) == 0 {
                return None;
            }
            let answer = answer.trim();
            let choice = match answer.to_ascii_lowercase().as_str() {
                "o" | "overwrite" => Choice::Overwrite,
                "m" | "merge" => Choice::Merge,
                "a" | "add" => Choice::Add,
                "s" | "skip" => Choice::Skip,
                "q" | "quit" => return None,
                _ => continue,
            };
            if answer.starts_with(|char: char| char.is_ascii_uppercase()) {
                self.always = Some(choice);
            }
            return Some(choice);
        }
    }
}

/// Brings files into a book, a page of items per step; or, dry, says what would be added.
fn import(store: &dyn Store, account: AccountNo, book: &BookKind, paths: &[PathBuf], dry: bool) -> Result<Imported> {
    let mut done = Imported { dry, ..Imported::default() };
    let mut waiting = Vec::new();
    let origin = origin(store, account)?;
    for path in files(book, paths)? {
        let content = match cards::load(book, &path) {
            Ok(content) => content,
            Err(reason) => {
                done.skipped.push((path.display().to_string(), reason));
                continue;
            }
        };
        let (items, reason) = cards::split(book, &content);
        if let Some(reason) = reason {
            done.skipped.push((path.display().to_string(), reason));
        }
        waiting.extend(items.into_iter().map(Cow::into_owned));
        while waiting.len() >= PAGE {
            let rest = waiting.split_off(PAGE);
            add(store, (account, origin), book, &waiting, &mut done)?;
            waiting = rest;
        }
    }
    add(store, (account, origin), book, &waiting, &mut done)?;
    Ok(done)
}

/// The files that paths mean, those of a folder in their order.
pub(crate) fn files(book: &BookKind, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| Failure::file(path, "read", &error))? {
            let entry = entry.map_err(|error| Failure::file(path, "read", &error))?.path();
            if entry.is_file() && takes_part(book, &entry) {
                inside.push(entry);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn takes_part(book: &BookKind, path: &Path) -> bool {
    let Some(name) = path.file_name().filter(|name| !name.as_encoded_bytes().starts_with(b".")) else { return false };
    let stem = path.file_stem().filter(|_| is_packed(book, name));
    let ending = Path::new(stem.unwrap_or(name)).extension();
    book.ending.is_none_or(|wanted| ending.is_some_and(|it| it.eq_ignore_ascii_case(wanted)))
}

/// Under which name it is in the history.
fn origin(store: &dyn Store, account: AccountNo) -> std::result::Result<DeviceNo, StoreError> {
    let mut origin = DeviceNo::NEW;
    store.step(account, &mut |tx| {
        origin = local_origin(tx, "import", now())?;
        Ok(Verdict::Commit)
    })?;
    Ok(origin)
}

/// Adds what the book does not hold yet.
fn add(
    store: &dyn Store,
    (account, origin): (AccountNo, DeviceNo),
    book: &BookKind,
    contents: &[Vec<u8>],
    done: &mut Imported,
) -> std::result::Result<(), StoreError> {
    if contents.is_empty() {
        return Ok(());
    }
    let drafts: Vec<_> = contents.iter().map(|content| Draft::of(book.book, content.as_slice())).collect();
    let prints: Vec<_> = drafts.iter().map(|draft| draft.fingerprint).collect();
    if done.dry {
        let mut known = Vec::new();
        store.look(account, &mut |tx| {
            known = tx.by_fingerprint(book.book, &prints, 1)?;
            Ok(())
        })?;
        let new = known.iter().zip(prints).filter(|(twins, print)| twins.is_empty() && done.dreamt.insert(*print));
        let added = new.count();
        done.added += added;
        done.known += drafts.len() - added;
        return Ok(());
    }
    let mut added = 0;
    store.step(account, &mut |tx| {
        added = 0;
        let Some(row) = tx.lock_books(&[book.book])?.pop() else {
            return Err(StoreError::Corrupt("a locked book has no row".to_owned()));
        };
        let twins = tx.by_fingerprint(book.book, &prints, 1)?;
        let mut seen = HashSet::new();
        let mut writer = BookWriter::new(row, Some(origin), now());
        for (draft, twins) in drafts.iter().zip(twins) {
            if twins.is_empty() && seen.insert(draft.fingerprint) {
                writer.add(draft.clone());
                added += 1;
            }
        }
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })?;
    done.added += added;
    done.known += drafts.len() - added;
    Ok(())
}
