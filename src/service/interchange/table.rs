//! Tables as text: cells between separators (RFC 4180), read row by row and written cell by cell.

use super::error::{InterchangeError, Limits, Result};
use std::io::BufRead;

/// What separates cells, most usual first.
pub(super) const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    pub(super) cells: Vec<String>,
}

impl Row {
    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }
}

/// The rows of a text in UTF-8.
pub(super) struct Rows<R> {
    from: R,
    delimiter: u8,
    limits: Limits,
    line: u64,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Plain,
    Quoted,
    /// Behind a quote within quotes: the end, or the first of two.
    Quote,
}

impl<R: BufRead> Rows<R> {
    pub(super) const fn new(from: R, delimiter: u8, limits: Limits) -> Self {
        Self { from, delimiter, limits, line: 1, ended: false }
    }

    /// The next row that is not blank.
    pub(super) fn next(&mut self) -> Option<Result<Row>> {
        while !self.ended {
            match self.row() {
                Ok(Some(row)) if row.is_blank() => {}
                Ok(row) => {
                    self.ended = row.is_none();
                    return row.map(Ok);
                }
                Err(error) => {
                    self.ended = !error.is_of_one_record();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn row(&mut self) -> Result<Option<Row>> {
        let first = self.line;
        let (mut text, mut ends, mut place) = (Vec::new(), Vec::new(), Place::Begin);
        let (mut any, mut columns, mut quote) = (false, 1, first);
        'row: loop {
            let piece = self.from.fill_buf()?;
            if piece.is_empty() {
                if place == Place::Quoted {
                    return Err(InterchangeError::broken(quote, "a quotation mark is never closed"));
                }
                if !any {
                    return Ok(None);
                }
                break;
            }
            any = true;
            let mut used = 0;
            for &byte in piece {
                used += 1;
                self.line += u64::from(byte == b'\n');
                match (place, byte) {
                    (Place::Quoted, b'"') => place = Place::Quote,
                    (Place::Quote, b'"') => {
                        text.push(b'"');
                        place = Place::Quoted;
                    }
                    (Place::Quoted, _) => text.push(byte),
                    (_, b'\n') => {
                        if place != Place::Quote
                            && text.len() > ends.last().copied().unwrap_or(0)
                            && text.ends_with(b"\r")
                        {
                            text.pop();
                        }
                        self.from.consume(used);
                        break 'row;
                    }
                    (Place::Begin, b'"') => {
                        place = Place::Quoted;
                        quote = self.line;
                    }
                    (_, byte) if byte == self.delimiter => {
                        columns += 1;
                        if columns <= self.limits.columns {
                            ends.push(text.len());
                        }
                        place = Place::Begin;
                    }
                    // The line break behind a quoted cell.
                    (Place::Quote, b'\r') => {}
                    (Place::Quote, _) => {
                        text.push(byte);
                        place = Place::Plain;
                    }
                    (Place::Begin | Place::Plain, _) => {
                        text.push(byte);
                        place = Place::Plain;
                    }
                }
                if text.len() > self.limits.record {
                    let what =
                        format!("the row has more than {} bytes; is a quotation mark missing?", self.limits.record);
                    return Err(InterchangeError::broken(first, what));
                }
            }
            self.from.consume(used);
        }
        if columns > self.limits.columns {
            return Err(InterchangeError::record(first, format!("more than {} columns", self.limits.columns)));
        }
        ends.push(text.len());
        let text = String::from_utf8(text).map_err(|_| InterchangeError::record(first, "the text is not UTF-8"))?;
        let mut from = 0;
        let cells = ends.into_iter().map(|end| text[std::mem::replace(&mut from, end)..end].to_owned()).collect();
        Ok(Some(Row { line: first, cells }))
    }
}

/// What separates the cells of a text that begins so: what splits its first rows into most cells, and all into as many.
pub(super) fn sniff(head: &str) -> u8 {
    let score = |delimiter: u8| {
        let mut rows = Rows::new(head.as_bytes(), delimiter, Limits::default());
        let mut counts = Vec::new();
        while let Some(Ok(row)) = rows.next() {
            counts.push(row.cells.len());
        }
        // The last row may be cut off.
        if counts.len() > 2 {
            counts.pop();
        }
        let most = counts.first().copied().unwrap_or(1);
        let alike = counts.iter().filter(|count| **count == most).count();
        (most > 1).then(|| (alike * 100 / counts.len().max(1), most))
    };
    let scored = DELIMITERS.iter().rev().map(|&delimiter| (score(delimiter), delimiter));
    scored.max_by_key(|(score, _)| *score).filter(|(score, _)| score.is_some()).map_or(b',', |(_, found)| found)
}

/// A cell of a table. What a spreadsheet would take for a formula begins with an apostrophe, as cells of text do there;
/// numbers stay.
#[must_use]
pub fn quoted(cell: &str, delimiter: char) -> String {
    let number = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || " ()-./;+".contains(c));
    let formula = match cell.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !number(cell),
        _ => false,
    };
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    match cell.contains(['"', '\n', '\r', ';', '\'', ',', delimiter]) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

/// The text of a cell, without what [`quoted`] put before it.
pub(super) fn unquoted(cell: &str) -> &str {
    let rest = cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '@', '\t', '\r', '+', '-']));
    rest.unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::{Limits, Row, Rows, quoted, sniff, unquoted};
    use std::io::BufReader;

    fn rows(text: &str, delimiter: u8) -> Vec<std::result::Result<Row, String>> {
        // Pieces of a few bytes, so that every cell is split somewhere.
        let limits = Limits { record: 64, columns: 4, ..Limits::default() };
        let mut rows = Rows::new(BufReader::with_capacity(3, text.as_bytes()), delimiter, limits);
        std::iter::from_fn(|| rows.next()).map(|row| row.map_err(|error| error.to_string())).collect()
    }

    fn row(line: u64, cells: &[&str]) -> std::result::Result<Row, String> {
        Ok(Row { line, cells: cells.iter().map(|cell| (*cell).to_owned()).collect() })
    }

    #[test]
    fn i1_rows_are_read_as_spreadsheets_write_them() {
        for (text, delimiter, wanted) in [
            ("a,b\r\nc,d\r\n", b',', vec![row(1, &["a", "b"]), row(2, &["c", "d"])]),
            ("a;b\nc;d", b';', vec![row(1, &["a", "b"]), row(2, &["c", "d"])]),
            ("\"a\r\nb\",\"c\"\"d\"\r\ne,\"\"\r\n", b',', vec![row(1, &["a\r\nb", "c\"d"]), row(3, &["e", ""])]),
            ("a\"b,\"c\"d\n", b',', vec![row(1, &["a\"b", "cd"])]),
            ("\n\n,\na,\n", b',', vec![row(4, &["a", ""])]),
            ("a\"\r\n", b',', vec![row(1, &["a\""])]),
            ("\"\r\n\"\n", b',', vec![]),
            ("a,b,c,d,e\nf\n", b',', vec![Err("line 1: more than 4 columns".to_owned()), row(2, &["f"])]),
            (
                "a\nb,\"c\nd\ne",
                b',',
                vec![
                    row(1, &["a"]),
                    Err("line 2: a quotation mark is never closed; nothing after it can be read".to_owned()),
                ],
            ),
        ] {
            assert_eq!(rows(text, delimiter), wanted, "{text:?}");
        }
        let long = rows(&("a,".to_owned() + &"b".repeat(100)), b',');
        assert!(long[0].as_ref().is_err_and(|text| text.contains("more than 64 bytes")) && long.len() == 1, "{long:?}");
    }

    #[test]
    fn what_separates_is_what_splits_all_rows_alike() {
        for (text, wanted) in [
            ("Name,Phone\n\"Doe; Ann\",1\n", b','),
            ("Name;Phone\nDoe, Ann;1\nLi, Wei;2\n", b';'),
            ("Name\tPhone\nAnn\t1, 2\n", b'\t'),
            ("a|b|c\n", b'|'),
            ("Name\nAnn\n", b','),
            ("", b','),
        ] {
            assert_eq!(sniff(text) as char, wanted as char, "{text:?}");
        }
    }

    #[test]
    fn cells_are_texts() {
        for (text, cell) in [
            ("Ann", "Ann"),
            ("Miller, \"Ann\"", "\"Miller, \"\"Ann\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("+49 (30) 1-2", "+49 (30) 1-2"),
            ("+cmd|x", "\"'+cmd|x\""),
            ("=1+1", "\"'=1+1\""),
            ("", ""),
        ] {
            assert_eq!(quoted(text, ','), cell);
        }
        assert_eq!(quoted("a\tb", '\t'), "\"a\tb\"");
        assert_eq!((unquoted("'=1"), unquoted("'tis")), ("=1", "'tis"));
    }
}
