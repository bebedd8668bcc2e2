//! `syncml history restore` and `purge`.

use super::place::{Place, WhichArgs, when};
use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use crate::output;
use crate::progress::Progress;
use syncml::store::history::{self, At, Purged, Restored, Retention};
use syncml::store::{Guid, RestoreRow, Revision};
use syncml::transport::http::now;

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The time (2026-11-21T05:48:04Z) or the revision of the book to go back to
    #[arg(long, value_name = "WHEN", value_parser = when, required_unless_present = "conflict")]
    at: Option<At>,
    /// Take back the fields that lost in the conflict which this revision decided (syncml history list --conflicts)
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["at", "guid", "name"])]
    conflict: Option<i64>,
    #[command(flatten)]
    which: WhichArgs,
    /// The book; without an item, all of it is set back: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, value_name = "NAME")]
    book: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("keep").required(true).multiple(true))]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Only this account
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this book
    #[arg(long, value_name = "NAME")]
    book: Option<String>,
    /// Keep what was in force within so many days
    #[arg(long, value_name = "N", group = "keep")]
    keep_days: Option<u32>,
    /// Keep the last so many revisions of each item, beside the one that it is
    #[arg(long, value_name = "N", group = "keep")]
    keep_revisions: Option<u32>,
    /// Keep what was in force within the last so many changes of a book
    #[arg(long, value_name = "N", group = "keep")]
    keep_changes: Option<u64>,
    /// Do not wait for devices that were away for so many days: they compare everything when they come back
    #[arg(long, value_name = "DAYS")]
    expire_devices: Option<u32>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn restore(args: &RestoreArgs) -> Result<()> {
    if let Some(revision) = args.conflict {
        return restore_lost(args, Revision(revision));
    }
    let none = args.which.guid.is_none() && args.which.name.is_none();
    if none && args.book.is_none() {
        return Err(Failure::usage("say what to restore: an item by --guid or --name, or a whole book by --book"));
    }
    let place = Place::open(&args.db, &args.user, args.book.as_deref().unwrap_or("contacts"))?;
    // It is demanded wherever no conflict is named.
    let at = args.at.ok_or_else(|| Failure::usage("say when: --at TIME or --at REVISION"))?;
    match place.item(&args.which)? {
        Some(guid) => restore_item(args, &place, guid, at),
        None => restore_book(args, &place, at),
    }
}

fn restore_lost(args: &RestoreArgs, decided: Revision) -> Result<()> {
    let place = Place::open(&args.db, &args.user, args.book.as_deref().unwrap_or("contacts"))?;
    let (store, account, book) = (place.store.as_ref(), place.account, place.book.book);
    let done = history::restore_lost(store, account, book, decided, now(), !args.dry_run)?;
    let conflict = history::conflicts_at(store, account, book, &[decided])?.pop().flatten();
    tell(args, &place, conflict.map_or(Guid(0), |conflict| conflict.guid), done);
    Ok(())
}

fn restore_item(args: &RestoreArgs, place: &Place, guid: Guid, at: At) -> Result<()> {
    let (store, book) = (place.store.as_ref(), place.book.book);
    let done = history::restore_item(store, place.account, book, guid, at, now(), !args.dry_run)?;
    tell(args, place, guid, done);
    Ok(())
}

/// Says what became of an item, or would.
fn tell(args: &RestoreArgs, place: &Place, guid: Guid, done: Restored) {
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "dry_run": args.dry_run, "guid": guid, "outcome": done }));
        return;
    }
    let would = |text: &str, done: &str| if args.dry_run { format!("would {text}") } else { done.to_owned() };
    let text = match done {
        Restored::Unchanged => "is as it was".to_owned(),
        Restored::Revived => would("come back", "is there again"),
        Restored::Changed => would("be changed back", "is changed back"),
        Restored::Deleted => would("be deleted, as it was then", "is deleted, as it was then"),
    };
    println!("{} {guid} {text}", place.book.noun);
}

fn restore_book(args: &RestoreArgs, place: &Place, at: At) -> Result<()> {
    let (store, account, book) = (place.store.as_ref(), place.account, place.book.book);
    let progress = Progress::new(args.json, None);
    let row = if args.dry_run {
        history::plan_book(store, account, book, at, now())?
    } else {
        let mut tell = |row: &RestoreRow| progress.say(&format!("{} set back", counts(row)));
        let done = history::restore_book(store, account, book, at, now(), &mut tell);
        progress.end();
        done?
    };
    let (name, id, target) = (place.book.name, row.id, row.target);
    if args.json {
        output::json(&serde_json::json!({
            "ok": true, "dry_run": args.dry_run, "book": name, "restore": id, "to": target,
            "revived": row.revived, "changed": row.changed, "deleted": row.deleted,
        }));
        return Ok(());
    }
    if args.dry_run {
        println!("{name} would go back to revision {target}: {}", counts(&row));
    } else {
        println!("{name} is as it was at revision {target}: {}", counts(&row));
        if row.revived + row.changed + row.deleted > 0 {
            println!("to undo it: syncml history restore --book {name} --at {id}");
        }
    }
    Ok(())
}

fn counts(row: &RestoreRow) -> String {
    format!("{} come back, {} changed back, {} deleted", row.revived, row.changed, row.deleted)
}

pub(crate) fn purge(args: &PurgeArgs) -> Result<()> {
    let store = args.db.open()?;
    let accounts = match &args.user {
        Some(name) => vec![(name.clone(), database::account(store.as_ref(), name)?)],
        None => store.directory().accounts()?,
    };
    let book = args.book.as_deref().map(books::named).transpose()?;
    let retention = Retention {
        days: args.keep_days,
        revisions: args.keep_revisions,
        changes: args.keep_changes,
        devices: args.expire_devices,
    };
    let progress = Progress::new(args.json, None);
    let mut all = Purged::default();
    for (name, account) in accounts {
        let of_account = books::of_account(store.as_ref(), account)?;
        for kind in book.map_or(of_account, |book| vec![book]) {
            let mut tell = |done: &Purged| progress.say(&format!("{name}, {}: {} removed", kind.name, done.removed));
            let done = history::purge(store.as_ref(), account, kind.book, &retention, now(), &mut tell)?;
            all.removed += done.removed;
            all.kept += done.kept;
            all.needed += done.needed;
        }
    }
    progress.end();
    if args.json {
        output::json(
            &serde_json::json!({ "ok": true, "removed": all.removed, "kept": all.kept, "needed": all.needed }),
        );
        return Ok(());
    }
    let needed = match all.needed {
        0 => String::new(),
        count => format!("; {count} more stay because devices or an unfinished restore need them"),
    };
    println!("{} superseded revisions removed, {} kept{needed}", all.removed, all.kept);
    Ok(())
}
