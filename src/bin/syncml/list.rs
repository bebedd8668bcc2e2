//! `syncml list`: what a book holds.

use crate::books::{self, BookKind};
use crate::failure::{Failure, Result};
use crate::folder::safe_name;
use crate::history::place::{Place, PlaceArgs};
use crate::output::{self, Table, moment};
use std::path::{Path, PathBuf};
use std::{fs, io};
use syncml::service::book::pack;
use syncml::store::{AccountNo, ItemRow, Revision, Store, StoreError, Verdict, large};

/// Items per step.
const PAGE: usize = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Write each item to a file in this folder, called by its name and GUID
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// With --export: pack the files with gzip
    #[arg(long, requires = "export")]
    gzip: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Place { store, account, book } = args.place.open()?;
    if let Some(folder) = &args.export {
        let count = export(store.as_ref(), account, book, folder, args.gzip)?;
        if args.place.json {
            output::json(&serde_json::json!({ "ok": true, "exported": count }));
        } else {
            println!("{count} items written to {}", folder.display());
        }
    } else if args.place.json {
        let mut list = output::List::begin();
        for_each(store.as_ref(), account, book, |item| {
            list.item(&serde_json::json!({
                "guid": item.guid,
                "revision": item.revision,
                "changed": moment(item.at),
                "name": book.label(&item.content),
                "content": String::from_utf8_lossy(&item.content),
            }));
            Ok(())
        })?;
        list.end();
    } else {
        print(store.as_ref(), account, book)?;
    }
    Ok(())
}

/// Shows the book as a table, by name.
pub(crate) fn print(store: &dyn Store, account: AccountNo, book: &BookKind) -> Result<()> {
    let mut rows = Vec::new();
    for_each(store, account, book, |item| {
        let name = book.label(&item.content).unwrap_or_else(|| books::NO_NAME.to_owned());
        rows.push((name, item.guid.0, item.revision.0, item.content_len(), moment(item.at)));
        Ok(())
    })?;
    rows.sort();
    let mut table = Table::new(&["guid", "revision", "bytes", "changed", "name"]);
    let count = rows.len();
    for (name, guid, revision, bytes, at) in rows {
        table.row([guid.to_string(), revision.to_string(), bytes.to_string(), at, name]);
    }
    table.print();
    println!("{count} {}{}", book.noun, if count == 1 { "" } else { "s" });
    Ok(())
}

fn export(store: &dyn Store, account: AccountNo, book: &BookKind, folder: &Path, packs: bool) -> Result<usize> {
    fs::create_dir_all(folder).map_err(|error| Failure::file(folder, "made", &error))?;
    let mut count = 0;
    let ending = book.ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    for_each(store, account, book, |item| {
        count += 1;
        let stem = safe_name(&book.label(&item.content).unwrap_or_default(), book.noun);
        let name = format!("{stem} #{}{ending}", item.guid);
        if packs && book.ending.is_some() && item.blob.is_none() {
            let path = folder.join(format!("{name}.gz"));
            return fs::write(&path, pack(&item.content)).map_err(|error| Failure::file(&path, "written", &error));
        }
        let path = folder.join(name);
        write(store, account, book, item, &path).map_err(|error| Failure::file(&path, "written", &error))
    })?;
    Ok(count)
}

/// Writes an item's content to a file, a large one in pieces.
fn write(store: &dyn Store, account: AccountNo, book: &BookKind, item: &ItemRow<'_>, path: &Path) -> io::Result<()> {
    if item.blob.is_none() {
        return fs::write(path, &item.content);
    }
    let reader = large::Reader::open(store, account, book.book, item.guid).map_err(io::Error::other)?;
    // Deleted since it was listed: its beginning is of no use.
    let Some(mut reader) = reader else { return Ok(()) };
    io::copy(&mut reader, &mut fs::File::create(path)?).map(drop)
}

/// Visits all live items, page by page, in the order of their revisions.
pub(crate) fn for_each(
    store: &dyn Store,
    account: AccountNo,
    book: &BookKind,
    mut visit: impl FnMut(&ItemRow<'static>) -> Result<()>,
) -> Result<()> {
    let mut after = Revision(0);
    loop {
        let page = page(store, account, book, after)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.revision;
        page.iter().filter(|item| !item.deleted).try_for_each(&mut visit)?;
    }
}

fn page(
    store: &dyn Store,
    account: AccountNo,
    book: &BookKind,
    after: Revision,
) -> std::result::Result<Vec<ItemRow<'static>>, StoreError> {
    let mut page = Vec::new();
    store.step(account, &mut |tx| {
        page = match tx.book(book.book)? {
            Some(row) => tx.changes(book.book, after, row.head, PAGE)?,
            None => Vec::new(),
        };
        Ok(Verdict::Rollback)
    })?;
    Ok(page)
}
