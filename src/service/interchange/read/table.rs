//! Tables, row by row.

use super::{Entries, Entry, ReadOptions};
use crate::contact::card::Charset;
use crate::service::interchange::error::{InterchangeError, Result};
use crate::service::interchange::field::Field;
use crate::service::interchange::layout::{Column, Dates, Layout, complete, distinct, guess};
use crate::service::interchange::read::talk::{is_email, is_number};
use crate::service::interchange::record::Record;
use crate::service::interchange::table::{Row, Rows, sniff};
use std::io::BufRead;
use std::sync::Arc;

/// What is in which column.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) layout: String,
    pub(super) unknown: Vec<String>,
    names: Vec<String>,
    fields: Vec<Option<Field>>,
    dates: Dates,
    /// Whether the names are those of its first row.
    header: bool,
}

impl Columns {
    /// These columns as a layout; `None` if they have no names.
    pub(super) fn own(&self, delimiter: u8, charset: Charset, mark: bool) -> Option<Layout> {
        let column = |(name, field): (&String, &Option<Field>)| Column {
            names: vec![name.clone()],
            fields: vec![field.clone().unwrap_or_else(|| Field::column(name))],
            below: Vec::new(),
        };
        self.header.then(|| Layout {
            name: self.layout.clone(),
            delimiter,
            charset,
            mark,
            dates: self.dates,
            columns: self.names.iter().zip(&self.fields).map(column).collect(),
        })
    }

    /// Those under this header, below so many other rows; `None` if it is none.
    pub(super) fn of(header: &[String], below: usize, layout: Option<&Layout>) -> Option<Self> {
        let (layout, fields) = match layout {
            None => guess(header)?,
            Some(layout) => {
                let fields = layout.fields_of(header);
                fields.iter().any(Option::is_some).then(|| (layout.clone(), complete(fields, header)))?
            }
        };
        let unknown = header.iter().zip(&fields).filter(|(name, field)| field.is_none() && !name.trim().is_empty());
        Some(Self {
            unknown: unknown.map(|(name, _)| name.trim().to_owned()).collect(),
            layout: layout.name().to_owned(),
            names: header.to_vec(),
            fields,
            dates: layout.dates,
            header: below == 0,
        })
    }

    /// Those of a table without a header, by what is in its rows.
    fn of_rows(rows: &[Row]) -> Option<Self> {
        let columns = rows.iter().map(|row| row.cells.len()).max()?;
        let is_mostly = |column: usize, test: fn(&str) -> bool| {
            let cells = rows.iter().filter_map(|row| row.cells.get(column)).map(|cell| cell.trim());
            let (fit, all) = cells
                .filter(|cell| !cell.is_empty())
                .fold((0, 0), |(fit, all), cell| (fit + usize::from(test(cell)), all + 1));
            all > 0 && fit * 10 >= all * 8
        };
        let field = |text: &str| text.parse::<Field>().ok();
        let mut named = false;
        let mut fields = Vec::new();
        for column in 0..columns {
            fields.push(match () {
                () if is_mostly(column, is_email) => field("email"),
                () if is_mostly(column, is_number) => field("tel"),
                () if !named && is_mostly(column, |cell| cell.chars().any(char::is_alphabetic)) => {
                    named = true;
                    field("fn")
                }
                () => None,
            });
        }
        let tells = fields.iter().flatten().any(|field| field.property() != "FN");
        let names = (1..=columns).map(|column| format!("column {column}")).collect();
        tells.then(|| Self {
            layout: "none".to_owned(),
            unknown: Vec::new(),
            names,
            fields: distinct(fields),
            dates: Dates::Iso,
            header: false,
        })
    }

    /// The card of a row; `None` if it says nothing.
    ///
    /// # Errors
    /// A row with more cells than the header has columns.
    pub(super) fn entry(&self, row: &Row) -> Result<Option<Entry>> {
        let more = row.cells.iter().skip(self.names.len()).any(|cell| !cell.trim().is_empty());
        if more {
            let what = format!("{} cells where there are {} columns", row.cells.len(), self.names.len());
            return Err(InterchangeError::record(row.line, what));
        }
        let mut record = Record::default();
        for ((name, field), cell) in self.names.iter().zip(&self.fields).zip(&row.cells) {
            match field {
                Some(field) => record.put(field, cell),
                None => record.put_other(name, cell),
            }
        }
        match record.card(self.dates) {
            Some(card) => Ok(Some(Entry { line: row.line, card })),
            None => Err(InterchangeError::record(row.line, "it says neither who it is nor how to call")),
        }
    }
}

/// How many rows of a table without a header are looked at, and bytes of them.
const SAMPLE: (usize, usize) = (50, 64 << 10);

/// The columns of a table as text, what separates them, and its rows as entries.
pub(super) fn read<'r, R: BufRead + 'r>(
    from: R,
    head: &str,
    options: &ReadOptions,
) -> Result<(Arc<Columns>, u8, Entries<'r>)> {
    let asked = options.delimiter.and_then(|it| u8::try_from(it).ok()).filter(u8::is_ascii);
    let delimiter = asked.unwrap_or_else(|| sniff(head));
    let mut rows = Rows::new(from, delimiter, options.limits);
    let (columns, entries) = entries(std::iter::from_fn(move || rows.next()), 1, options)?;
    Ok((columns, delimiter, entries))
}

/// The columns of a table, whose names are in one of its first rows, and what is below them as entries.
pub(super) fn entries<'r>(
    rows: impl Iterator<Item = Result<Row>> + 'r,
    titles: usize,
    options: &ReadOptions,
) -> Result<(Arc<Columns>, Entries<'r>)> {
    let mut rows: Box<dyn Iterator<Item = Result<Row>> + 'r> = Box::new(rows);
    let (mut first, mut bytes, mut found) = (Vec::new(), 0, None);
    while found.is_none() && first.len() < SAMPLE.0 && bytes < SAMPLE.1 {
        let row = match rows.next() {
            None => break,
            // What is wrong further down is told in its place.
            Some(Err(error)) if !first.is_empty() => {
                rows = Box::new(std::iter::once(Err(error)).chain(rows));
                break;
            }
            Some(row) => row?,
        };
        bytes += row.cells.iter().map(String::len).sum::<usize>();
        if first.len() < titles {
            found = Columns::of(&row.cells, first.len(), options.layout.as_ref());
        }
        first.push(row);
    }
    if first.is_empty() {
        return Err(InterchangeError::Unusable("the table is empty".to_owned()));
    }
    let columns = match found {
        Some(columns) => {
            first.clear();
            columns
        }
        None => Columns::of_rows(&first).ok_or_else(|| {
            let what = "its first row names no column that is known; name its layout";
            InterchangeError::Unusable(what.to_owned())
        })?,
    };
    let columns = Arc::new(columns);
    let ours = Arc::clone(&columns);
    let rows = first.into_iter().map(Ok).chain(rows);
    Ok((columns, Box::new(rows.filter_map(move |row| row.and_then(|row| ours.entry(&row)).transpose()))))
}
