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
    open: Vec<Table>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// How many columns more the cell that has begun is wide.
    span: usize,
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
                    "tbl" if document.open.len() < DEPTH => document.open.push(Table::default()),
                    "tr" => {
                        if let Some(table) = document.open.last_mut() {
                            table.rows.push(Row { line, cells: Vec::new() });
                            line += 1;
                        }
                    }
                    "tc" => document.cell(limits.columns),
                    "gridSpan" => {
                        let wide = element.number("val").and_then(|wide| usize::try_from(wide).ok()).unwrap_or(1);
                        if let Some(table) = document.open.last_mut() {
                            table.span = wide.saturating_sub(1).min(limits.columns);
                        }
                    }
                    "pPr" => document.text.push_str(if is_heading(&mut xml)? { "\n" } else { "" }),
                    "t" => said = true,
                    "tab" => document.say(" "),
                    "br" | "cr" => document.say("\n"),
                    // What was there before (§17.13.5), what is there twice (part 3, §10), and what is no text.
                    "delText" | "del" | "moveFrom" | "Fallback" | "instrText" | "tblPr" => xml.skip()?,
                    _ => {}
                },
                Piece::Close(name) => match name.as_str() {
                    "tbl" => document.tables.extend(document.open.pop().map(|table| table.rows)),
                    "tc" => document.span(limits.columns),
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

    fn row(&mut self) -> Option<&mut Row> {
        self.open.last_mut().and_then(|table| table.rows.last_mut())
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(cell) = self.row().and_then(|row| row.cells.last_mut()) {
            cell.push_str(text);
        }
    }

    fn cell(&mut self, most: usize) {
        if let Some(row) = self.row().filter(|row| row.cells.len() < most) {
            row.cells.push(String::new());
        }
    }

    /// Behind a cell that is as wide as several there are empty ones.
    fn span(&mut self, most: usize) {
        let more = self.open.last_mut().map_or(0, |table| std::mem::take(&mut table.span));
        (0..more).for_each(|_| self.cell(most));
    }
}

/// Whether the properties of a paragraph, which have begun, are those of a heading: it is the first of its block.
fn is_heading(xml: &mut Xml<Cursor<String>>) -> Result<bool> {
    let (mut open, mut heading) = (1, false);
    while open > 0 {
        match xml.next()? {
            Some(Piece::Open(element)) => {
                open += 1;
                let style = element.get("val").filter(|_| element.name == "pStyle");
                heading |= style.is_some_and(|style| style.starts_with("Heading") || style.starts_with("Title"));
            }
            Some(Piece::Close(_)) => open -= 1,
            Some(Piece::Text(_)) => {}
            None => break,
        }
    }
    Ok(heading)
}
