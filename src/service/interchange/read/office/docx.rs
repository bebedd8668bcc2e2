//! Documents of Word and others (ECMA-376 part 1, §17): their tables, and all of their text.

use super::package::{Package, unusable};
use super::xml::{Piece, Xml};
use crate::service::interchange::error::Result;
use crate::service::interchange::table::Row;
use std::io::{Cursor, Read, Seek};

/// Tables within each other that are told apart.
const DEPTH: usize = 16;

/// What a document says.
#[derive(Default)]
pub(super) struct Document {
    pub(super) tables: Vec<Vec<Row>>,
    pub(super) text: String,
    /// Tables that have not ended.
    open: Vec<Vec<Row>>,
}

impl Document {
    pub(super) fn read<R: Read + Seek>(mut package: Package<R>) -> Result<Self> {
        let limits = package.limits;
        let text = package.text("word/document.xml")?;
        drop(package);
        let mut xml = Xml::new(Cursor::new(text), limits);
        let (mut document, mut said, mut line) = (Self::default(), false, 1);
        while let Some(piece) = xml.next()? {
            match piece {
                Piece::Open(element) => match element.name.as_str() {
                    "tbl" if document.open.len() < DEPTH => document.open.push(Vec::new()),
                    "tr" => {
                        if let Some(rows) = document.open.last_mut() {
                            rows.push(Row { line, cells: Vec::new() });
                            line += 1;
                        }
                    }
                    "tc" => document.cell(limits.columns),
                    // A cell as wide as several.
                    "gridSpan" => {
                        let more = element.number("val").unwrap_or(1).saturating_sub(1);
                        (0..more.min(limits.columns as u64)).for_each(|_| document.spanned(limits.columns));
                    }
                    "t" => said = true,
                    "tab" | "br" | "cr" if !said => document.say(if element.name == "tab" { " " } else { "\n" }),
                    // What was there before (§17.13.5), and what is there twice (part 3, §10).
                    "delText" | "del" | "moveFrom" | "Fallback" | "instrText" | "pPr" | "tblPr" => xml.skip()?,
                    _ => {}
                },
                Piece::Close(name) => match name.as_str() {
                    "tbl" => document.tables.extend(document.open.pop()),
                    "t" => said = false,
                    "p" => document.say("\n"),
                    _ => {}
                },
                Piece::Text(text) if said => document.say(&text),
                Piece::Text(_) => {}
            }
        }
        if document.text.trim().is_empty() {
            return Err(unusable("the document has no text"));
        }
        for cell in document.tables.iter_mut().flatten().flat_map(|row| &mut row.cells) {
            *cell = cell.trim().to_owned();
        }
        Ok(document)
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(cell) = self.row().and_then(|row| row.cells.last_mut()) {
            cell.push_str(text);
        }
    }

    fn row(&mut self) -> Option<&mut Row> {
        self.open.last_mut().and_then(|rows| rows.last_mut())
    }

    fn cell(&mut self, most: usize) {
        if let Some(row) = self.row().filter(|row| row.cells.len() < most) {
            row.cells.push(String::new());
        }
    }

    /// Puts an empty cell before the one that has begun, whose text is that of the last of them.
    fn spanned(&mut self, most: usize) {
        if let Some(row) = self.row().filter(|row| row.cells.len() < most) {
            row.cells.push(String::new());
            let last = row.cells.len() - 1;
            row.cells.swap(last - 1, last);
        }
    }
}
