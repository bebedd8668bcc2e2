//! Spreadsheets of LibreOffice and others (OpenDocument 1.3 part 3, §9), row by row in constant memory.

use super::package::{Package, Part, unusable};
use super::sheet::{Cells, TOLD};
use super::xml::{Element, Piece, Xml};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::table::Row;
use std::collections::HashSet;
use std::io::{BufReader, Read, Seek};

/// Spaces that one element stands for at most.
const MOST_SPACES: u64 = 1000;

/// The rows of a sheet, the first one that is not hidden unless it is named.
pub(super) fn rows<R: Read + Seek>(package: Package<R>, sheet: Option<&str>) -> Result<Rows<R>> {
    let limits = package.limits;
    let mut xml = Xml::new(package.stream("content.xml")?, limits);
    let mut names = Vec::new();
    // Sheets are hidden by their styles (§20.349), which come before them.
    let (mut style, mut hiding) = (String::new(), HashSet::new());
    while let Some(piece) = xml.next()? {
        let Piece::Open(element) = piece else { continue };
        match element.name.as_str() {
            "style" => style = element.get("name").unwrap_or_default(),
            "table-properties" if element.get("display").as_deref() == Some("false") => {
                hiding.insert(std::mem::take(&mut style));
            }
            _ => {}
        }
        if element.name != "table" {
            continue;
        }
        let name = element.get("name").unwrap_or_default();
        let shown = element.get("style-name").is_none_or(|style| !hiding.contains(&style));
        if sheet.map_or(shown, |wanted| wanted.to_lowercase() == name.to_lowercase()) {
            return Ok(Rows { xml, limits, at: 1, rows: 0, again: None, ended: false });
        }
        if names.len() < TOLD {
            names.push(format!("{name:?}"));
        }
        xml.skip()?;
    }
    Err(match sheet {
        Some(wanted) => unusable(format!("there is no sheet {wanted:?}; there are {}", names.join(", "))),
        None => unusable("the document has no sheet that is not hidden"),
    })
}

/// The rows of a sheet.
pub(super) struct Rows<R: Read> {
    xml: Xml<BufReader<Part<R>>>,
    limits: Limits,
    /// The number of the row that comes next, as it is shown.
    at: u64,
    rows: u64,
    /// A row that is there several times, and how often still.
    again: Option<(Row, u64)>,
    ended: bool,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.row();
        match &row {
            Ok(row) => self.ended = row.is_none(),
            Err(error) if error.is_of_one_record() => {}
            Err(error) => {
                self.ended = true;
                return Some(Err(InterchangeError::broken(self.at, error.to_string())));
            }
        }
        row.transpose()
    }
}

impl<R: Read> Rows<R> {
    fn row(&mut self) -> Result<Option<Row>> {
        if let Some((row, left)) = self.again.take() {
            self.count()?;
            let next = Row { line: row.line + 1, cells: row.cells.clone() };
            self.again = (left > 1).then_some((next, left - 1));
            return Ok(Some(row));
        }
        while let Some(piece) = self.xml.next()? {
            match piece {
                Piece::Open(element) if element.name == "table-row" => {
                    let times = element.number("number-rows-repeated").unwrap_or(1).max(1);
                    let line = self.at;
                    self.at = self.at.saturating_add(times);
                    let row = self.cells(line)?;
                    if !row.is_blank() {
                        self.count()?;
                        let next = Row { line: line.saturating_add(1), cells: row.cells.clone() };
                        self.again = (times > 1).then_some((next, times - 1));
                        return Ok(Some(row));
                    }
                }
                // Rows may be in groups; drawings and forms are beside them.
                Piece::Open(element) if matches!(element.name.as_str(), "shapes" | "forms") => self.xml.skip()?,
                Piece::Close(name) if name == "table" => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    fn count(&mut self) -> Result<()> {
        self.rows += 1;
        match self.rows > self.limits.rows {
            true => Err(unusable(format!("more than {} rows", self.limits.rows))),
            false => Ok(()),
        }
    }

    /// The cells of the row that has begun.
    fn cells(&mut self, line: u64) -> Result<Row> {
        let mut cells = Cells::new(line, self.limits);
        let mut column = 0_usize;
        loop {
            match self.xml.next()? {
                Some(Piece::Open(element)) if matches!(element.name.as_str(), "table-cell" | "covered-table-cell") => {
                    let times = element.number("number-columns-repeated").unwrap_or(1).max(1);
                    let times = usize::try_from(times).unwrap_or(usize::MAX);
                    let text = self.cell(&element)?;
                    // One beyond the last column is enough to be told.
                    let most = self.limits.columns.max(column).saturating_add(1);
                    let end = column.saturating_add(times).min(most);
                    if !text.is_empty() {
                        (column..end).try_for_each(|column| cells.put(column, &text))?;
                    }
                    column = column.saturating_add(times);
                }
                Some(Piece::Open(_)) => self.xml.skip()?,
                Some(Piece::Close(_)) | None => return cells.row(),
                Some(Piece::Text(_)) => {}
            }
        }
    }

    /// What the cell that has begun shows.
    fn cell(&mut self, element: &Element) -> Result<String> {
        let mut shown = String::new();
        let mut first = true;
        loop {
            match self.xml.next()? {
                Some(Piece::Open(inner)) if matches!(inner.name.as_str(), "p" | "h") => {
                    if !std::mem::take(&mut first) {
                        shown.push('\n');
                    }
                    self.paragraph(&mut shown)?;
                }
                // Comments and pictures are beside what it says.
                Some(Piece::Open(_)) => self.xml.skip()?,
                Some(Piece::Close(_)) | None => break,
                Some(Piece::Text(_)) => {}
            }
        }
        let value = || element.get("value").unwrap_or_default();
        Ok(match element.get("value-type").as_deref() {
            Some("float" | "currency" | "percentage") => number(&shown, value()),
            Some("date") => {
                let date = element.get("date-value").unwrap_or(shown);
                date.strip_suffix("T00:00:00").map_or_else(|| date.replace('T', " "), str::to_owned)
            }
            Some("string") if shown.is_empty() => element.get("string-value").unwrap_or_default(),
            _ => shown,
        })
    }

    /// The text of the paragraph that has begun (§6.1.2: white space is one space).
    fn paragraph(&mut self, out: &mut String) -> Result<()> {
        let (mut open, mut begun) = (1, false);
        while open > 0 {
            match self.xml.next()? {
                Some(Piece::Open(element)) => match element.name.as_str() {
                    "s" => {
                        let count = element.number("c").unwrap_or(1).min(MOST_SPACES);
                        (0..count).for_each(|_| out.push(' '));
                        self.xml.skip()?;
                    }
                    "tab" => {
                        out.push('\t');
                        self.xml.skip()?;
                    }
                    "line-break" => {
                        out.push('\n');
                        self.xml.skip()?;
                    }
                    "annotation" | "note" | "ruby-text" | "frame" => self.xml.skip()?,
                    _ => open += 1,
                },
                Some(Piece::Close(_)) => open -= 1,
                Some(Piece::Text(text)) => {
                    for char in text.chars() {
                        match char {
                            ' ' | '\n' | '\r' | '\t' if !begun || out.ends_with(' ') => {}
                            ' ' | '\n' | '\r' | '\t' => out.push(' '),
                            char => out.push(char),
                        }
                        begun = true;
                    }
                }
                None => break,
            }
            if out.len() > self.limits.record {
                return Err(unusable(format!("a cell has more than {} bytes", self.limits.record)));
            }
        }
        Ok(())
    }
}

/// A number as it is shown, if that shows all of its digits; else as it is, without powers of ten.
fn number(shown: &str, value: String) -> String {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let plain = super::number::NumberFormat::General.shown(&value, false);
    let seen = digits(shown);
    let whole = seen.trim_start_matches('0') == digits(&plain).trim_start_matches('0');
    if whole && !seen.is_empty() { shown.to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn i1_a_number_keeps_its_digits() {
        for (shown, value, wanted) in [
            ("1.38E+10", "13800138000", "13800138000"),
            ("13800138000", "13800138000", "13800138000"),
            ("###", "13800138000", "13800138000"),
            ("01234", "1234", "01234"),
            ("555-0001", "5550001", "555-0001"),
            ("", "7", "7"),
            ("0", "0", "0"),
            ("5,50", "5.5", "5.5"),
        ] {
            assert_eq!(number(shown, value.to_owned()), wanted, "{shown} {value}");
        }
    }
}
