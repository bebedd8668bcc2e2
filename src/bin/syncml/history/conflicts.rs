//! `syncml history list --conflicts`: what both sides changed, and who won.

use super::look::ListArgs;
use super::place::Place;
use crate::books;
use crate::failure::Result;
use crate::output::{self, Table, moment};
use syncml::store::history::{At, conflicts, resolve, revisions};
use syncml::store::{ConflictRow, Revision, Winner};

/// Conflicts per step.
const PAGE: usize = 200;

/// Lists the conflicts of the book that was named, or of all books of the account.
pub(super) fn list(args: &ListArgs) -> Result<()> {
    let mut place = args.place.open()?;
    let books = match args.place.names_a_book() {
        true => vec![place.book],
        false => books::of_account(place.store.as_ref(), place.account)?,
    };
    let mut out = Out {
        table: Table::new(&["book", "revision", "guid", "when", "by", "won", "lost", "fields", "name"]),
        json: args.place.json.then(output::List::begin),
    };
    for book in books {
        place.book = book;
        of_book(args, &place, &mut out)?;
    }
    match out.json {
        Some(list) => list.end(),
        None => out.table.print(),
    }
    Ok(())
}

struct Out {
    table: Table,
    json: Option<output::List>,
}

fn of_book(args: &ListArgs, place: &Place, out: &mut Out) -> Result<()> {
    let of = place.item(&args.which)?;
    let (store, account, book) = (place.store.as_ref(), place.account, place.book.book);
    let since = match args.since {
        // Not every book has got so far.
        Some(At::Revision(revision)) => Some(revision),
        since => since.map(|at| resolve(store, account, book, at)).transpose()?,
    };
    let origins = place.origins()?;
    let (mut before, mut left) = (Revision(args.before), args.limit);
    loop {
        let page = conflicts(store, account, book, before, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        before = last.revision;
        for row in &page {
            if left == 0 || since.is_some_and(|since| row.revision <= since) {
                return Ok(());
            }
            if of.is_some_and(|of| of != row.guid) {
                continue;
            }
            left -= 1;
            let by = row.origin.and_then(|origin| origins.get(&origin)).map_or("host", String::as_str);
            let name = name(place, row)?;
            if let Some(list) = &mut out.json {
                list.item(&serde_json::json!({
                    "book": place.book.name, "revision": row.revision, "guid": row.guid, "at": moment(row.at), "by": by,
                    "won": row.won, "lost": row.lost, "fields": row.fields, "name": name,
                }));
            } else {
                out.table.row([
                    place.book.name.to_owned(),
                    row.revision.to_string(),
                    row.guid.to_string(),
                    moment(row.at),
                    by.to_owned(),
                    winner(row.won).to_owned(),
                    row.lost.map(|lost| lost.to_string()).unwrap_or_default(),
                    row.fields.join(", "),
                    name.unwrap_or_default(),
                ]);
            }
        }
    }
}

/// What the item is called now.
fn name(place: &Place, row: &ConflictRow) -> Result<Option<String>> {
    let newest = Revision(i64::MAX);
    let now = revisions(place.store.as_ref(), place.account, place.book.book, Some(row.guid), newest, 1)?;
    now.first().map_or(Ok(None), |now| place.name(now))
}

/// Who won, for people.
const fn winner(won: Winner) -> &'static str {
    match won {
        Winner::Here => "what was here",
        Winner::Peer => "what came in",
        Winner::Both => "both kept",
    }
}

/// What a revision decided, in a few words: what lost, and where it is.
pub(super) fn told(row: &ConflictRow) -> String {
    let fields = if row.fields.is_empty() { "all".to_owned() } else { row.fields.join(", ") };
    match row.lost {
        Some(lost) => format!("{fields} of {lost}"),
        None => "none: both kept".to_owned(),
    }
}
