//! Tables, row by row.

use super::{Entry, ReadOptions};
use crate::service::interchange::error::{InterchangeError, Result};
use crate::service::interchange::field::Field;
use crate::service::interchange::layout::{Dates, Layout, complete, distinct, guess};
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
}

impl Columns {
    /// Those under this header; `None` if it is none.
    pub(super) fn of(header: &[String], layout: Option<&Layout>) -> Option<Self> {
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

/// The columns of a table, and its rows as entries.
pub(super) fn read<R: BufRead>(
    from: R,
    head: &str,
    options: &ReadOptions,
) -> Result<(Arc<Columns>, impl Iterator<Item = Result<Entry>> + use<R>)> {
    let asked = options.delimiter.and_then(|it| u8::try_from(it).ok()).filter(u8::is_ascii);
    let delimiter = asked.unwrap_or_else(|| sniff(head));
    let mut rows = Rows::new(from, delimiter, options.limits);
    let Some(first) = rows.next().transpose()? else {
        return Err(InterchangeError::Unusable("the table is empty".to_owned()));
    };
    let (columns, first) = match Columns::of(&first.cells, options.layout.as_ref()) {
        Some(columns) => (columns, None),
        None => {
            let mut sample = Rows::new(head.as_bytes(), delimiter, options.limits);
            let sample: Vec<Row> = std::iter::from_fn(|| sample.next()?.ok()).take(50).collect();
            let columns = Columns::of_rows(&sample).ok_or_else(|| {
                let what = "its first row names no column that is known; name its layout";
                InterchangeError::Unusable(what.to_owned())
            })?;
            (columns, Some(first))
        }
    };
    let columns = Arc::new(columns);
    let ours = Arc::clone(&columns);
    let mut first = first.map(Ok);
    let rows = std::iter::from_fn(move || first.take().or_else(|| rows.next()));
    Ok((columns, rows.filter_map(move |row| row.and_then(|row| ours.entry(&row)).transpose())))
}
