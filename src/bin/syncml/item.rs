//! `syncml item`: single items of a book.

use crate::books;
use crate::cards;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::output;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use syncml::store::{BookWriter, Draft, Guid, StoreError, Verdict};
use syncml::transport::http::now;

/// Commands about single items.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add an item, or give one new content
    Put(PutArgs),
    /// Delete an item
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The book: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, default_value = "contacts")]
    book: String,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    place: Place,
    /// The item to change, as `syncml list` shows it; without it an item is added
    #[arg(long)]
    guid: Option<i64>,
    /// The file that holds the content; - is standard input
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    place: Place,
    /// The item, as `syncml list` shows it
    #[arg(long)]
    guid: i64,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Put(args) => args.place.json,
            Self::Delete(args) => args.place.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Put(args) => put(args),
        Command::Delete(args) => delete(args),
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        return io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes).map_err(|e| Failure::file(path, "read", &e));
    }
    fs::read(path).map_err(|error| Failure::file(path, "read", &error))
}

fn put(args: &PutArgs) -> Result<()> {
    let book = books::named(&args.place.book)?;
    let content = read(&args.file)?;
    if let Err(reason) = cards::check(book, &content) {
        return Err(Failure::new(Exit::File, format!("{}: {reason}", args.file.display())));
    }
    let guid = change(&args.place, args.guid.map(Guid), Some(&content))?;
    if args.place.json {
        output::json(&serde_json::json!({ "ok": true, "guid": guid }));
    } else {
        println!("stored as {guid}");
    }
    Ok(())
}

fn delete(args: &DeleteArgs) -> Result<()> {
    let guid = change(&args.place, Some(Guid(args.guid)), None)?;
    if args.place.json {
        output::json(&serde_json::json!({ "ok": true, "guid": guid }));
    } else {
        println!("{guid} is deleted");
    }
    Ok(())
}

/// Adds, changes or deletes one item; gives back which.
fn change(place: &Place, guid: Option<Guid>, content: Option<&[u8]>) -> Result<Guid> {
    let book = books::named(&place.book)?;
    let store = place.db.open()?;
    let account = database::account(store.as_ref(), &place.user)?;
    let mut done = None;
    store.step(account, &mut |tx| {
        let missing = || StoreError::NotFound(format!("item {} in {}", guid.unwrap_or_default(), book.name));
        let row = tx.lock_books(&[book.book])?.pop().ok_or_else(missing)?;
        let old = match guid {
            Some(guid) => {
                let item = tx.items(book.book, &[guid])?.pop().flatten();
                Some(item.filter(|item| !item.deleted).ok_or_else(missing)?)
            }
            None => None,
        };
        let mut writer = BookWriter::new(row, None, now());
        let item = match (&old, content) {
            (Some(old), Some(content)) => writer.replace(old, Draft::of(book.book, content)),
            (Some(old), None) => writer.delete(old),
            (None, content) => writer.add(Draft::of(book.book, content.unwrap_or_default())),
        };
        done = Some(item.guid);
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })?;
    done.ok_or_else(|| StoreError::Corrupt("a step ended without having run".to_owned()).into())
}
