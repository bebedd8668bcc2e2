//! `syncml import`: files of cards into a book.

use crate::books::{self, BookKind};
use crate::cards;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::folder::is_packed;
use crate::output;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use syncml::store::{AccountNo, BookWriter, DeviceNo, Draft, Store, StoreError, Verdict, local_origin};
use syncml::transport::http::now;

/// Items per step.
const PAGE: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The book: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, default_value = "contacts")]
    book: String,
    /// Files, and folders of files; a file may hold many cards
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only say what would be added; `syncml match` says more
    #[arg(long)]
    dry_run: bool,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// What an import did.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) added: usize,
    /// Already in the book, in the same words or others that mean the same.
    pub(crate) known: usize,
    pub(crate) skipped: Vec<(String, String)>,
    /// Whether nothing is written, and what would have been.
    dry: bool,
    dreamt: HashSet<[u8; 16]>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let book = books::named(&args.book)?;
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let done = import(store.as_ref(), account, book, &args.paths, args.dry_run)?;
    if args.json {
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

/// Brings files into a book, a page of items per step; or, dry, says what would be added.
pub(crate) fn import(
    store: &dyn Store,
    account: AccountNo,
    book: &BookKind,
    paths: &[PathBuf],
    dry: bool,
) -> Result<Imported> {
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
