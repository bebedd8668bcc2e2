//! Copies of what was found: a file of cards, a table, or a folder.

use super::{Asked, name};
use crate::books;
use crate::failure::{Exit, Failure, Result};
use crate::folder::safe_name;
use crate::output;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use syncml::contact::card::Card;
use syncml::contact::identity::Kind;
use syncml::service::interchange::quoted;
use syncml::session::datastore::title;
use syncml::store::search::Hit;
use syncml::store::{BookNo, large};

/// How many were written, and how many could not be in that form.
#[derive(Clone, Copy, Default)]
struct Counts {
    written: u64,
    left_out: u64,
}

pub(super) fn copy(asked: &Asked<'_>, to: &Path, json: bool) -> Result<()> {
    let ending = to.extension().map(|ending| ending.to_ascii_lowercase());
    let counts = match ending.as_deref().and_then(|ending| ending.to_str()) {
        _ if to.is_dir() => folder(asked, to)?,
        Some("vcf") => file(asked, to, b"", |card, _| card.body().to_vec())?,
        Some("csv") => file(asked, to, row(COLUMNS.map(str::to_owned)).as_bytes(), table_row)?,
        None => folder(asked, to)?,
        Some(_) => return Err(Failure::usage("--to: name a folder, or a file that ends in .vcf or .csv")),
    };
    let Counts { written, left_out } = counts;
    if json {
        output::json(&serde_json::json!({ "ok": true, "copied": written, "left_out": left_out }));
    } else {
        println!("{written} found and written to {}", to.display());
        if left_out > 0 {
            println!("{left_out} that are no contacts were left out; a folder takes them");
        }
    }
    Ok(())
}

/// One new file of what contacts become; none if that fails.
fn file(asked: &Asked<'_>, to: &Path, head: &[u8], line: fn(&Card<'_>, &Hit) -> Vec<u8>) -> Result<Counts> {
    let unwritten = |error: &io::Error| Failure::file(to, "written", error);
    let opened = OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::File, format!("{} is there already; name a new file", to.display()))
        }
        _ => unwritten(&error),
    })?;
    let done = fill(asked, opened, head, line, &unwritten);
    if done.is_err() {
        drop(fs::remove_file(to));
    }
    done
}

fn fill(
    asked: &Asked<'_>,
    opened: File,
    head: &[u8],
    line: fn(&Card<'_>, &Hit) -> Vec<u8>,
    unwritten: &dyn Fn(&io::Error) -> Failure,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut out = BufWriter::new(opened);
    out.write_all(head).map_err(|error| unwritten(&error))?;
    asked.each(|hit| {
        let card = Card::parse(&hit.item.content).ok().filter(|_| hit.book.kind() == Kind::Contact);
        let Some(card) = card else {
            counts.left_out += 1;
            return Ok(());
        };
        counts.written += 1;
        let mut bytes = line(&card, hit);
        if !bytes.ends_with(b"\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        out.write_all(&bytes).map_err(|error| unwritten(&error))
    })?;
    let file = out.into_inner().map_err(|error| unwritten(error.error()))?;
    file.sync_all().map_err(|error| unwritten(&error))?;
    Ok(counts)
}

/// A file each. Those of other books than contacts have their book in their name, too.
fn folder(asked: &Asked<'_>, to: &Path) -> Result<Counts> {
    fs::create_dir_all(to).map_err(|error| Failure::file(to, "made", &error))?;
    let mut counts = Counts::default();
    asked.each(|hit| {
        let Some(book) = books::numbered(hit.book) else {
            counts.left_out += 1;
            return Ok(());
        };
        let stem = safe_name(&book.label(&hit.item.content).unwrap_or_default(), book.noun);
        let of = match hit.book {
            BookNo::CONTACTS => String::new(),
            other => format!("{}-", title(other).replace('/', "-")),
        };
        let ending = book.ending.map(|ending| format!(".{ending}")).unwrap_or_default();
        let path = to.join(format!("{stem} #{of}{}{ending}", hit.item.guid));
        write(asked, hit, &path).map_err(|error| Failure::file(&path, "written", &error))?;
        counts.written += 1;
        Ok(())
    })?;
    Ok(counts)
}

fn write(asked: &Asked<'_>, hit: &Hit, path: &Path) -> io::Result<()> {
    if hit.item.blob.is_none() {
        return fs::write(path, &hit.item.content);
    }
    let reader = large::Reader::open(asked.store, asked.account, hit.book, hit.item.guid).map_err(io::Error::other)?;
    // Deleted since it was found: its beginning is of no use.
    let Some(mut reader) = reader else { return Ok(()) };
    io::copy(&mut reader, &mut File::create(path)?).map(drop)
}

const COLUMNS: [&str; 10] =
    ["Name", "Organization", "Title", "Phone", "E-mail", "Address", "Birthday", "Note", "Book", "Guid"];

fn table_row(card: &Card<'_>, hit: &Hit) -> Vec<u8> {
    let parts = |name: &str| {
        let all = card.all(name).map(|property| {
            let parts = property.components().into_iter().map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
        });
        all.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    };
    let texts = |name: &str| {
        let all = card.all(name).map(|property| property.text().trim().to_owned());
        all.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    };
    let cells = [
        name(hit),
        parts("ORG"),
        texts("TITLE"),
        texts("TEL"),
        texts("EMAIL"),
        parts("ADR"),
        texts("BDAY"),
        texts("NOTE"),
        title(hit.book).into_owned(),
        hit.item.guid.to_string(),
    ];
    row(cells).into_bytes()
}

/// A line of a table (RFC 4180).
fn row(cells: [String; COLUMNS.len()]) -> String {
    cells.map(|cell| quoted(&cell, ',')).join(",") + "\r\n"
}
