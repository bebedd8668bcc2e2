//! Workbooks (ECMA-376 part 1, §18): one sheet, all of its cells text, so that numbers keep their zeros and nothing is a formula.

use super::archive::Archive;
use super::text::escaped;
use crate::service::interchange::error::{InterchangeError, Result};
use std::fmt::Write as _;
use std::io::Write;

/// Rows of a sheet, and characters of a cell.
const MOST_ROWS: u64 = 1 << 20;
pub(super) const MOST_TEXT: usize = 32_767;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>"#;
const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const BOOK: &str = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Contacts" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const BOOK_RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;
/// Style 1 is text (49) at the top of its cell, in several lines where it has them; style 2 the same in bold.
const STYLES: &str = r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill><fill><patternFill patternType="solid"><fgColor rgb="FFE7EDF3"/></patternFill></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf><xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1" applyAlignment="1"><alignment vertical="top"/></xf></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#;

pub(in crate::service::interchange::write) struct Xlsx<W: Write> {
    archive: Archive<W>,
    columns: usize,
    rows: u64,
}

impl<W: Write> Xlsx<W> {
    pub(super) fn new(out: W, names: &[String]) -> Result<Self> {
        let mut archive = Archive::new(out);
        for (name, text) in [
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", RELATIONS),
            ("xl/workbook.xml", BOOK),
            ("xl/_rels/workbook.xml.rels", BOOK_RELATIONS),
            ("xl/styles.xml", STYLES),
        ] {
            archive.part(name, &format!("{HEAD}{text}"))?;
        }
        archive.begin("xl/worksheets/sheet1.xml")?;
        // The first row stays where it is.
        archive.put(&format!(
            r#"{HEAD}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols><col min="1" max="{}" width="20" style="1" customWidth="1"/></cols><sheetData>"#,
            names.len()
        ))?;
        let mut sheet = Self { archive, columns: names.len(), rows: 0 };
        sheet.row(names, 2)?;
        Ok(sheet)
    }

    pub(super) fn put(&mut self, cells: &[String]) -> Result<()> {
        self.row(cells, 1)
    }

    fn row(&mut self, cells: &[String], style: u8) -> Result<()> {
        self.rows += 1;
        if self.rows > MOST_ROWS {
            let what = format!("a sheet has {MOST_ROWS} rows; choose contacts, or another kind of file");
            return Err(InterchangeError::Unusable(what));
        }
        let mut out = format!("<row r=\"{}\">", self.rows);
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let (place, text) = (letters(at), marked(&escaped(cell)));
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                r#"<c r="{place}{}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#,
                self.rows
            );
        }
        out.push_str("</row>");
        self.archive.put(&out)
    }

    pub(super) fn finish(mut self) -> Result<W> {
        let last = letters(self.columns.saturating_sub(1));
        // No warning that a text is all digits.
        self.archive.put(&format!(
            r#"</sheetData><ignoredErrors><ignoredError sqref="A1:{last}{}" numberStoredAsText="1"/></ignoredErrors></worksheet>"#,
            self.rows
        ))?;
        self.archive.finish()
    }
}

/// The letters of a column, from 0.
fn letters(column: usize) -> String {
    let (mut left, mut out) = (column + 1, String::new());
    while left > 0 {
        let letter = u8::try_from((left - 1) % 26).unwrap_or_default();
        out.insert(0, char::from(b'A' + letter));
        left = (left - 1) / 26;
    }
    out
}

/// A text in which nothing looks like the mark of a character that XML lacks (§22.9.2.19).
fn marked(text: &str) -> String {
    let is_mark = |at: usize| {
        let bytes = &text.as_bytes()[at..];
        bytes.len() >= 7 && bytes[1] == b'x' && bytes[6] == b'_' && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
    };
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        out.push_str(if char == '_' && is_mark(at) { "_x005F" } else { "" });
        out.push(char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{letters, marked};

    #[test]
    fn i7_columns_have_letters_and_texts_no_marks() {
        for (column, wanted) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")] {
            assert_eq!(letters(column), wanted);
        }
        assert_eq!(marked("a_x0041_b _x12 王_"), "a_x005F_x0041_b _x12 王_");
    }
}
