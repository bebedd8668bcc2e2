//! Documents of office programs (mission I1): workbooks (XLSX, ODS) as tables, row by row, and DOCX by its tables, without any by
//! its text. All are archives of XML: what is in them is counted while it is unpacked, and nothing outside them is looked at.

mod docx;
mod number;
mod ods;
mod package;
mod plain;
mod sheet;
mod xlsx;
mod xml;

use super::html::contacts;
use super::table::Columns;
use super::{Entries, Format, ReadOptions, Reading, table};
use crate::contact::card::Charset;
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use package::Package;
use std::io::{Read, Seek};

pub(super) use package::is_package;

/// Rows above the names of the columns, and that of the names itself.
const TITLES: usize = 3;

/// Reads a document.
///
/// # Errors
/// A file that is none, or another than was asked for.
pub(super) fn read<'r>(from: impl Read + Seek + 'r, options: &ReadOptions) -> Result<Reading<'r>> {
    let mut package = Package::open(from, options.limits)?;
    let Some(format) = package.format()? else {
        let what = "it is an archive, and no document that can be read: XLSX, ODS or DOCX";
        return Err(InterchangeError::Unusable(what.to_owned()));
    };
    if let Some(asked) = options.format.filter(|asked| *asked != format) {
        return Err(InterchangeError::Unusable(format!("it is {}, and not {}", format.name(), asked.name())));
    }
    let sheet = options.sheet.as_deref();
    let own = |columns: &Columns| columns.own(b',', Charset::UTF_8, false);
    let mut reading =
        Reading { format, layout: None, table: None, unknown: Vec::new(), entries: Box::new(std::iter::empty()) };
    let (columns, entries) = match format {
        Format::Xlsx => table::entries(xlsx::rows(package, sheet)?, TITLES, options)?,
        Format::Ods => table::entries(ods::rows(package, sheet)?, TITLES, options)?,
        _ => {
            let document = docx::Document::read(package)?;
            let found = contacts(&document.tables, &document.text, options)?;
            if found.entries.is_empty() && found.table.is_none() {
                let what = "the document has no table of contacts, and no numbers in its text";
                return Err(InterchangeError::Unusable(what.to_owned()));
            }
            reading.table = found.table.as_ref().and_then(own);
            reading.unknown = found.unknown;
            reading.entries = Box::new(found.entries.into_iter()) as Entries<'r>;
            return Ok(reading);
        }
    };
    reading.layout = Some(columns.layout.clone());
    reading.table = own(&columns);
    reading.unknown.clone_from(&columns.unknown);
    reading.entries = entries;
    Ok(reading)
}

/// Looks whether a document is one table and nothing else, so that it can be written anew without loss.
///
/// # Errors
/// What it has besides; and those of a document that cannot be read.
pub(in crate::service::interchange) fn check_plain(from: impl Read + Seek, limits: Limits) -> Result<()> {
    plain::check(Package::open(from, limits)?)
}
