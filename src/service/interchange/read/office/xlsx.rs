//! Workbooks of Excel and others (ECMA-376 part 1, §18), row by row; memory is taken by the texts they share only.

use super::number::NumberFormat;
use super::package::{Package, unusable};
use super::sheet::{Cells, Sheet, chosen};
use super::xml::{Element, Piece, Xml};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::table::Row;
use std::collections::HashMap;
use std::io::{BufRead, Cursor, Read, Seek};

/// The most ways of showing numbers. Excel knows 65,490.
const MOST_STYLES: usize = 65_536;

/// The rows of a sheet, the first one that is not hidden unless it is named.
pub(super) fn rows<'r, R: Read + Seek + 'r>(
    mut package: Package<R>,
    sheet: Option<&str>,
) -> Result<Box<dyn Iterator<Item = Result<Row>> + 'r>> {
    let limits = package.limits;
    let relations = relations(&mut package)?;
    let book = workbook(&mut package)?;
    let sheets = book.sheets.into_iter().filter(|(_, id)| relations.sheets.contains_key(id)).map(|(sheet, _)| sheet);
    let chosen = chosen(sheets.collect(), sheet)?;
    let part = relations.sheets.get(&chosen.part).cloned().unwrap_or_default();
    let shared = match relations.strings {
        Some(name) => shared(&mut package, &name)?,
        None => Shared::default(),
    };
    let formats = match relations.styles {
        Some(name) => styles(&mut package, &name)?,
        None => Vec::new(),
    };
    let xml = Xml::new(package.stream(&part)?, limits);
    Ok(Box::new(Rows { xml, shared, formats, from_1904: book.from_1904, limits, at: 0, rows: 0, ended: false }))
}

fn parts<R: Read + Seek>(package: &mut Package<R>, name: &str) -> Result<Xml<Cursor<String>>> {
    let limits = package.limits;
    Ok(Xml::new(Cursor::new(package.text(name)?), limits))
}

/// Which parts there are.
#[derive(Default)]
struct Relations {
    /// By identifier.
    sheets: HashMap<String, String>,
    strings: Option<String>,
    styles: Option<String>,
}

fn relations<R: Read + Seek>(package: &mut Package<R>) -> Result<Relations> {
    let mut found = Relations::default();
    let mut xml = parts(package, "xl/_rels/workbook.xml.rels")?;
    while let Some(piece) = xml.next()? {
        let Piece::Open(element) = piece else { continue };
        let (Some(id), Some(kind), Some(to)) = (element.get("Id"), element.get("Type"), element.get("Target")) else {
            continue;
        };
        let part = to.strip_prefix('/').map_or_else(|| format!("xl/{to}"), str::to_owned);
        match kind.rsplit('/').next() {
            Some("worksheet") => drop(found.sheets.insert(id, part)),
            Some("sharedStrings") => found.strings = Some(part),
            Some("styles") => found.styles = Some(part),
            _ => {}
        }
    }
    Ok(found)
}

struct Workbook {
    /// With their identifiers.
    sheets: Vec<(Sheet, String)>,
    /// Whether days are counted from 1904, as on early Macs.
    from_1904: bool,
}

fn workbook<R: Read + Seek>(package: &mut Package<R>) -> Result<Workbook> {
    let mut book = Workbook { sheets: Vec::new(), from_1904: false };
    let mut xml = parts(package, "xl/workbook.xml")?;
    while let Some(piece) = xml.next()? {
        let Piece::Open(element) = piece else { continue };
        match element.name.as_str() {
            "workbookPr" => book.from_1904 = element.get("date1904").is_some_and(|it| it == "1" || it == "true"),
            "sheet" => {
                let id = element.get("id").unwrap_or_default();
                let hidden = element.get("state").is_some_and(|it| it != "visible");
                let name = element.get("name").unwrap_or_default();
                book.sheets.push((Sheet { name, hidden, part: id.clone() }, id));
            }
            _ => {}
        }
    }
    Ok(book)
}

/// The texts that cells refer to, one behind the other.
#[derive(Default)]
struct Shared {
    text: String,
    ends: Vec<usize>,
}

impl Shared {
    fn get(&self, at: usize) -> Option<&str> {
        let from = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(from..*self.ends.get(at)?)
    }
}

fn shared<R: Read + Seek>(package: &mut Package<R>, name: &str) -> Result<Shared> {
    let mut shared = Shared::default();
    // Its text is no longer than the part, which is limited.
    let mut xml = parts(package, name)?;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Open(element) if element.name == "si" => {
                let text = rich(&mut xml)?;
                shared.text.push_str(&text);
                shared.ends.push(shared.text.len());
            }
            _ => {}
        }
    }
    Ok(shared)
}

/// The text of an element of pieces in several fonts, without how it is pronounced.
fn rich<R: BufRead>(xml: &mut Xml<R>) -> Result<String> {
    let (mut text, mut depth, mut said) = (String::new(), 1, false);
    while depth > 0 {
        match xml.next()? {
            Some(Piece::Open(element)) if element.name == "rPh" => xml.skip()?,
            Some(Piece::Open(element)) => {
                depth += 1;
                said = element.name == "t";
            }
            Some(Piece::Close(_)) => {
                depth -= 1;
                said = false;
            }
            Some(Piece::Text(piece)) if said => text.push_str(&piece),
            Some(Piece::Text(_)) => {}
            None => break,
        }
    }
    Ok(unescaped(text))
}

/// Characters that XML has no place for are written `_x001F_` (§22.9.2.19).
fn unescaped(text: String) -> String {
    if !text.contains("_x") {
        return text;
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(at) = rest.find("_x") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let hex = rest.get(2..6).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let char = hex.filter(|_| rest.get(6..7) == Some("_")).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match char.and_then(char::from_u32) {
            Some(char) => {
                out.push(char);
                rest = &rest[7..];
            }
            None => {
                out.push_str("_x");
                rest = &rest[2..];
            }
        }
    }
    out + rest
}

/// How numbers are shown, by the style of their cell (§18.8).
fn styles<R: Read + Seek>(package: &mut Package<R>, name: &str) -> Result<Vec<NumberFormat>> {
    let (mut own, mut formats, mut cells) = (HashMap::new(), Vec::new(), false);
    let mut xml = parts(package, name)?;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Open(element) if element.name == "numFmt" => {
                if let (Some(id), Some(code)) = (element.number("numFmtId"), element.get("formatCode")) {
                    own.insert(id, code);
                }
            }
            Piece::Open(element) if element.name == "cellXfs" => cells = true,
            Piece::Close(name) if name == "cellXfs" => cells = false,
            Piece::Open(element) if cells && element.name == "xf" => {
                if formats.len() == MOST_STYLES {
                    return Err(unusable(format!("the workbook has more than {MOST_STYLES} styles")));
                }
                let id = element.number("numFmtId").unwrap_or(0);
                formats.push(own.get(&id).map_or_else(|| NumberFormat::built_in(id), |code| NumberFormat::of(code)));
            }
            _ => {}
        }
    }
    Ok(formats)
}

struct Rows<R> {
    xml: Xml<R>,
    shared: Shared,
    formats: Vec<NumberFormat>,
    from_1904: bool,
    limits: Limits,
    /// The number of the row, as Excel shows it.
    at: u64,
    rows: u64,
    ended: bool,
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.row() {
                Ok(Some(row)) if row.is_blank() => {}
                Ok(row) => {
                    self.ended = row.is_none();
                    return row.map(Ok);
                }
                Err(error) if error.is_of_one_record() => return Some(Err(error)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(InterchangeError::broken(self.at + 1, error.to_string())));
                }
            }
        }
        None
    }
}

impl<R: BufRead> Rows<R> {
    fn row(&mut self) -> Result<Option<Row>> {
        while let Some(piece) = self.xml.next()? {
            match piece {
                Piece::Open(element) if element.name == "row" => {
                    self.rows += 1;
                    if self.rows > self.limits.rows {
                        return Err(unusable(format!("more than {} rows", self.limits.rows)));
                    }
                    self.at = element.number("r").unwrap_or(self.at + 1);
                    return self.cells().map(Some);
                }
                Piece::Close(name) if name == "sheetData" => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The cells of the row that has begun.
    fn cells(&mut self) -> Result<Row> {
        let mut cells = Cells::new(self.at, self.limits);
        let mut next = 0;
        loop {
            match self.xml.next()? {
                Some(Piece::Open(element)) if element.name == "c" => {
                    let column = element.get("r").and_then(|place| column(&place)).unwrap_or(next);
                    next = column + 1;
                    let text = self.cell(&element)?;
                    cells.put(column, &text)?;
                }
                Some(Piece::Open(_)) => self.xml.skip()?,
                Some(Piece::Close(_)) | None => return cells.row(),
                Some(Piece::Text(_)) => {}
            }
        }
    }

    /// What the cell that has begun shows.
    fn cell(&mut self, element: &Element) -> Result<String> {
        let kind = element.get("t").unwrap_or_default();
        let (mut value, mut inline, mut said) = (String::new(), None, false);
        loop {
            match self.xml.next()? {
                Some(Piece::Open(inner)) if inner.name == "v" => said = true,
                Some(Piece::Open(inner)) if inner.name == "is" => inline = Some(rich(&mut self.xml)?),
                Some(Piece::Open(_)) => self.xml.skip()?,
                Some(Piece::Text(text)) if said => value.push_str(&text),
                Some(Piece::Text(_)) => {}
                Some(Piece::Close(_)) if said => said = false,
                Some(Piece::Close(_)) | None => break,
            }
        }
        if let Some(inline) = inline {
            return Ok(inline);
        }
        Ok(match kind.as_str() {
            "s" => value.trim().parse().ok().and_then(|at| self.shared.get(at)).unwrap_or_default().to_owned(),
            "str" => unescaped(value),
            "d" => value.trim().trim_end_matches("T00:00:00").to_owned(),
            "b" => if value.trim() == "1" { "TRUE" } else { "FALSE" }.to_owned(),
            // What could not be calculated says nothing.
            "e" => String::new(),
            _ => {
                let style = element.number("s").and_then(|at| usize::try_from(at).ok());
                let format = style.and_then(|at| self.formats.get(at)).unwrap_or(&NumberFormat::General);
                format.shown(value.trim(), self.from_1904)
            }
        })
    }
}

/// The column of a place such as `BC12`, from 0.
fn column(place: &str) -> Option<usize> {
    let letters = place.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.take(4).fold(0, |sum, letter| sum * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1);
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::{column, unescaped};

    #[test]
    fn i1_places_and_texts_of_cells() {
        for (place, wanted) in
            [("A1", Some(0)), ("Z9", Some(25)), ("AA1", Some(26)), ("XFD1", Some(16383)), ("7", None)]
        {
            assert_eq!(column(place), wanted, "{place}");
        }
        for (text, wanted) in [
            ("a_x000D_b", "a\rb"),
            ("_x005F_x0041_", "_x0041_"),
            ("_xZZZZ_", "_xZZZZ_"),
            ("_x12", "_x12"),
            ("a_x00e9", "a_x00e9"),
        ] {
            assert_eq!(unescaped(text.to_owned()), wanted);
        }
    }
}
