//! What sheets of any program have in common: which one is read, and cells in their columns.

use super::package::unusable;
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::table::Row;

/// A sheet of a workbook.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) hidden: bool,
    /// Where it is.
    pub(super) part: String,
}

/// The most names that are told.
pub(super) const TOLD: usize = 10;

/// The sheet of that name; without one the first that is not hidden.
pub(super) fn chosen(sheets: Vec<Sheet>, name: Option<&str>) -> Result<Sheet> {
    let names: Vec<String> = sheets.iter().take(TOLD).map(|sheet| format!("{:?}", sheet.name)).collect();
    let mut sheets = sheets.into_iter();
    let found = match name {
        Some(name) => sheets.find(|sheet| sheet.name.to_lowercase() == name.to_lowercase()),
        None => sheets.find(|sheet| !sheet.hidden),
    };
    found.ok_or_else(|| match name {
        Some(name) => unusable(format!("there is no sheet {name:?}; there are {}", names.join(", "))),
        None => unusable("the workbook has no sheet with cells that is not hidden"),
    })
}

/// The cells of a row, as they come.
pub(super) struct Cells {
    row: Row,
    bytes: usize,
    /// Whether a cell is beyond the columns that are taken.
    wide: bool,
    limits: Limits,
}

impl Cells {
    pub(super) const fn new(line: u64, limits: Limits) -> Self {
        Self { row: Row { line, cells: Vec::new() }, bytes: 0, wide: false, limits }
    }

    /// Puts a text into a column, from 0.
    pub(super) fn put(&mut self, column: usize, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if column >= self.limits.columns {
            self.wide = true;
            return Ok(());
        }
        self.bytes += text.len();
        if self.bytes > self.limits.record {
            return Err(unusable(format!("the row has more than {} bytes", self.limits.record)));
        }
        if self.row.cells.len() <= column {
            self.row.cells.resize(column + 1, String::new());
        }
        // Places may overlap in a file that lies.
        self.row.cells[column].clear();
        self.row.cells[column].push_str(&text.replace("\r\n", "\n"));
        Ok(())
    }

    pub(super) fn row(self) -> Result<Row> {
        match self.wide {
            true => Err(InterchangeError::record(self.row.line, format!("more than {} columns", self.limits.columns))),
            false => Ok(self.row),
        }
    }
}
