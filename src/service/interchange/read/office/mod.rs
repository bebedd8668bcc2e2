//! Documents of office programs (mission I1): workbooks (XLSX, ODS) as tables, row by row, and DOCX by its tables, without any by
//! its text. All are archives of XML: what is in them is counted while it is unpacked, and nothing outside them is looked at.

mod docx;
mod number;
mod ods;
mod package;
mod sheet;
mod xlsx;
mod xml;

use super::html::contacts;
use super::{Entries, Format, ReadOptions, Reading, table};
use crate::service::interchange::error::{InterchangeError, Result};
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
    let mut reading =
        Reading { format, layout: None, table: None, unknown: Vec::new(), entries: Box::new(std::iter::empty()) };
    let (columns, entries) = match format {
        Format::Xlsx => table::entries(xlsx::rows(package, sheet)?, TITLES, options)?,
        Format::Ods => table::entries(ods::rows(package, sheet)?, TITLES, options)?,
        _ => {
            let document = docx::Document::read(package)?;
            let found = contacts(&document.tables, &document.text, options)?;
            let (entries, unknown) = found.ok_or_else(|| {
                let what = "the document has no table of contacts, and no numbers in its text";
                InterchangeError::Unusable(what.to_owned())
            })?;
            reading.unknown = unknown;
            reading.entries = Box::new(entries.into_iter()) as Entries<'r>;
            return Ok(reading);
        }
    };
    reading.layout = Some(columns.layout.clone());
    reading.unknown.clone_from(&columns.unknown);
    reading.entries = entries;
    Ok(reading)
}
