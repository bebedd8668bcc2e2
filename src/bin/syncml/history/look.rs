//! `syncml history list`, `show` and `diff`.

use super::conflicts::told;
use super::place::{Place, PlaceArgs, WhichArgs, when};
use crate::failure::{Failure, Result};
use crate::output::{self, Table, moment};
use std::io::Write;
use std::path::Path;
use syncml::contact;
use syncml::message::Timestamp;
use syncml::store::history::{At, conflicts_at, read, revisions, state_of};
use syncml::store::{Guid, Revision, RevisionRow};

/// Revisions per step, and bytes of a content.
const PAGE: usize = 200;
const PIECE: usize = 1 << 16;

/// As it is now.
const NOW: At = At::Time(Timestamp(i64::MAX));

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(super) which: WhichArgs,
    /// Only conflicts: what both sides changed, who won, and which revision holds what lost; of all books where none is named
    #[arg(long)]
    conflicts: bool,
    /// Only conflicts since this time (2026-11-21T05:48:04Z), or revision of the book
    #[arg(long, value_name = "WHEN", value_parser = when, requires = "conflicts")]
    pub(super) since: Option<At>,
    /// Only what is older than this revision
    #[arg(long, value_name = "REVISION", default_value_t = i64::MAX, hide_default_value = true)]
    pub(super) before: i64,
    /// At most so many, of each book
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    which: WhichArgs,
    /// The time (2026-11-21T05:48:04Z) or the revision of the book; without it, now
    #[arg(long, value_name = "WHEN", value_parser = when)]
    at: Option<At>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    which: WhichArgs,
    /// The earlier time (2026-11-21T05:48:04Z), or revision of the book
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: At,
    /// The later one; without it, now
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Option<At>,
}

pub(crate) fn list(args: &ListArgs) -> Result<()> {
    if args.conflicts {
        return super::conflicts::list(args);
    }
    let place = args.place.open()?;
    let of = place.item(&args.which)?;
    let origins = place.origins()?;
    let mut table = Table::new(&["revision", "guid", "what", "when", "by", "bytes", "lost", "name"]);
    let mut list = args.place.json.then(output::List::begin);
    let (mut before, mut left) = (Revision(args.before), args.limit);
    while left > 0 {
        let page = revisions(place.store.as_ref(), place.account, place.book.book, of, before, PAGE.min(left))?;
        let Some(last) = page.last() else { break };
        (before, left) = (last.revision, left - page.len());
        let numbers: Vec<Revision> = page.iter().map(|row| row.revision).collect();
        let decided = conflicts_at(place.store.as_ref(), place.account, place.book.book, &numbers)?;
        for (row, decided) in page.iter().zip(decided) {
            let by = row.origin.and_then(|origin| origins.get(&origin)).map_or("host", String::as_str);
            let name = place.name(row)?;
            if let Some(list) = &mut list {
                list.item(&serde_json::json!({
                    "revision": row.revision, "guid": row.guid, "what": what(row), "at": moment(row.at), "by": by,
                    "bytes": row.content_len(), "name": name, "until": row.until.map(|(until, _)| until),
                    "conflict": decided.map(|it| serde_json::json!({ "won": it.won, "lost": it.lost, "fields": it.fields })),
                }));
            } else {
                table.row([
                    row.revision.to_string(),
                    row.guid.to_string(),
                    what(row).to_owned(),
                    moment(row.at),
                    by.to_owned(),
                    row.content_len().to_string(),
                    decided.as_ref().map(told).unwrap_or_default(),
                    name.unwrap_or_default(),
                ]);
            }
        }
    }
    match list {
        Some(list) => list.end(),
        None => {
            table.print();
            if left == 0 && before > Revision(1) {
                println!("more, if there is: --before {before}");
            }
        }
    }
    Ok(())
}

fn what(row: &RevisionRow) -> &'static str {
    match row.deleted {
        true => "deleted",
        false if row.revision.0 == row.guid.0 => "added",
        false => "changed",
    }
}

pub(crate) fn show(args: &ShowArgs) -> Result<()> {
    let place = args.place.open()?;
    let guid = place.one_item(&args.which)?;
    let row = state_of(place.store.as_ref(), place.account, place.book.book, guid, args.at.unwrap_or(NOW))?;
    if row.deleted {
        let text = format!("item {guid} was deleted then: in revision {} at {}", row.revision, moment(row.at));
        return Err(Failure::usage(text));
    }
    if args.place.json {
        output::json(&serde_json::json!({
            "guid": row.guid, "revision": row.revision, "what": what(&row), "at": moment(row.at),
            "content": String::from_utf8_lossy(&content(&place, &row)?),
        }));
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let mut from = 0;
    loop {
        let piece = read(place.store.as_ref(), place.account, &row, from, PIECE)?;
        if piece.is_empty() {
            break;
        }
        from += piece.len() as u64;
        let written = out.write_all(&piece).and_then(|()| out.flush());
        written.map_err(|error| Failure::file(Path::new("standard output"), "written", &error))?;
    }
    Ok(())
}

/// The content as a whole.
fn content(place: &Place, row: &RevisionRow) -> Result<Vec<u8>> {
    Ok(read(place.store.as_ref(), place.account, row, 0, usize::MAX)?)
}

pub(crate) fn diff(args: &DiffArgs) -> Result<()> {
    let place = args.place.open()?;
    let guid = place.one_item(&args.which)?;
    let state = |at| state_of(place.store.as_ref(), place.account, place.book.book, guid, at);
    let (before, after) = (state(args.from)?, state(args.to.unwrap_or(NOW))?);
    let (one, two) = (content(&place, &before)?, content(&place, &after)?);
    let contacts = !before.deleted && !after.deleted && place.book.ending == Some("vcf");
    let found = contacts.then(|| contact::diff::diff(&one, &two)).flatten();
    if args.place.json {
        let side = |row: &RevisionRow| serde_json::json!({ "revision": row.revision, "at": moment(row.at), "deleted": row.deleted });
        output::json(&serde_json::json!({
            "guid": guid, "from": side(&before), "to": side(&after),
            "same": before.deleted == after.deleted && found.as_ref().map_or(one == two, Vec::is_empty),
            "differences": found,
        }));
        return Ok(());
    }
    println!("--- {}", headline(guid, &before));
    println!("+++ {}", headline(guid, &after));
    match found {
        Some(found) if found.is_empty() && one == two => println!("the same"),
        Some(found) if found.is_empty() => println!("the same, written otherwise"),
        Some(found) => {
            for difference in found {
                println!("{}", difference.property);
                for (sign, side) in [("-", &difference.before), ("+", &difference.after)] {
                    for text in side {
                        println!("  {sign} {}", shown(text));
                    }
                }
            }
        }
        None if before.deleted || after.deleted => {}
        None if one == two => println!("the same"),
        None => println!("the contents differ: {} and {} bytes", one.len(), two.len()),
    }
    Ok(())
}

fn headline(guid: Guid, row: &RevisionRow) -> String {
    let deleted = if row.deleted { ", deleted" } else { "" };
    format!("item {guid}, revision {}, {}{deleted}", row.revision, moment(row.at))
}

/// A value on one line, without what moves a terminal.
fn shown(text: &str) -> String {
    text.replace("\r\n", " / ").replace('\n', " / ").chars().filter(|c| !c.is_control()).collect()
}
