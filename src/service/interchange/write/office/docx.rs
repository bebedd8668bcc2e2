//! Documents of word processors (ECMA-376 part 1, §17): a table; of more columns than a page has room for, a block for each contact.

use super::archive::Archive;
use super::text::{escaped, lines};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::layout::Layout;
use crate::service::interchange::read::is_name;
use std::io::Write;

/// The most columns of a table.
pub(in crate::service::interchange) const MOST_COLUMNS: usize = 8;
/// The most columns of a page that is higher than wide.
const UPRIGHT: usize = 4;
/// A4 and its margins, in twentieths of a point.
const PAGE: (usize, usize) = (11_906, 16_838);
const MARGIN: usize = 1_000;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/><Override PartName="/word/footer1.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footer+xml"/></Types>"#;
const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
const DOCUMENT_RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footer" Target="footer1.xml"/></Relationships>"#;
const STYLES: &str = r#"<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:docDefaults><w:rPrDefault><w:rPr><w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:cs="Calibri"/><w:sz w:val="20"/></w:rPr></w:rPrDefault><w:pPrDefault><w:pPr><w:spacing w:after="0"/></w:pPr></w:pPrDefault></w:docDefaults><w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style><w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/><w:basedOn w:val="Normal"/><w:next w:val="Contact"/><w:pPr><w:keepNext/><w:spacing w:before="240" w:after="40"/><w:outlineLvl w:val="1"/></w:pPr><w:rPr><w:b/><w:sz w:val="26"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Contact"><w:name w:val="Contact"/><w:basedOn w:val="Normal"/><w:pPr><w:keepLines/><w:tabs><w:tab w:val="left" w:pos="2400"/></w:tabs><w:ind w:left="2400" w:hanging="2400"/></w:pPr></w:style><w:style w:type="paragraph" w:styleId="Footer"><w:name w:val="footer"/><w:basedOn w:val="Normal"/><w:pPr><w:jc w:val="center"/></w:pPr></w:style></w:styles>"#;
const FOOTER: &str = r#"<w:ftr xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:p><w:pPr><w:pStyle w:val="Footer"/></w:pPr><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> PAGE </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>1</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p></w:ftr>"#;
const BODY: &str = r#"<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><w:body>"#;

pub(in crate::service::interchange::write) struct Docx<W: Write> {
    archive: Archive<W>,
    names: Vec<String>,
    /// Which column says who it is.
    name: Option<usize>,
    table: bool,
    /// Bytes that its text may still have: no more than are read again, as a whole.
    left: usize,
}

impl<W: Write> Docx<W> {
    pub(super) fn new(out: W, layout: &Layout) -> Result<Self> {
        let mut archive = Archive::new(out);
        for (name, text) in [
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", RELATIONS),
            ("word/_rels/document.xml.rels", DOCUMENT_RELATIONS),
            ("word/styles.xml", STYLES),
            ("word/footer1.xml", FOOTER),
        ] {
            archive.part(name, &format!("{HEAD}{text}"))?;
        }
        archive.begin("word/document.xml")?;
        let names: Vec<String> = layout.columns.iter().map(|column| column.names[0].clone()).collect();
        let name = layout.columns.iter().position(|it| matches!(&it.fields[..], [field] if field.property() == "FN"));
        let (table, left) = (names.len() <= MOST_COLUMNS, Limits::default().whole);
        let mut document = Self { archive, name, table, names, left };
        document.say(&format!("{HEAD}{BODY}"))?;
        if document.table {
            document.table()?;
        }
        Ok(document)
    }

    fn say(&mut self, xml: &str) -> Result<()> {
        self.left = self.left.checked_sub(xml.len()).ok_or_else(|| {
            let most = Limits::default().whole;
            let what = format!("a document of a word processor has at most {most} bytes of XML; choose contacts, or another kind of file");
            InterchangeError::Unusable(what)
        })?;
        self.archive.put(xml)
    }

    /// The page, its height first where it is higher than wide.
    fn page(&self) -> (usize, usize) {
        if self.table && self.names.len() > UPRIGHT { (PAGE.1, PAGE.0) } else { PAGE }
    }

    fn width(&self) -> usize {
        (self.page().0 - 2 * MARGIN) / self.names.len().max(1)
    }

    fn table(&mut self) -> Result<()> {
        let width = self.width();
        let grid = format!("<w:gridCol w:w=\"{width}\"/>").repeat(self.names.len());
        let line = |side: &str| format!(r#"<w:{side} w:val="single" w:sz="4" w:space="0" w:color="B8C2CC"/>"#);
        let lines: String = ["top", "left", "bottom", "right", "insideH", "insideV"].map(line).concat();
        let all = width * self.names.len();
        self.say(&format!(
            r#"<w:tbl><w:tblPr><w:tblW w:w="{all}" w:type="dxa"/><w:tblBorders>{lines}</w:tblBorders><w:tblLayout w:type="fixed"/><w:tblCellMar><w:top w:w="40" w:type="dxa"/><w:left w:w="80" w:type="dxa"/><w:bottom w:w="40" w:type="dxa"/><w:right w:w="80" w:type="dxa"/></w:tblCellMar></w:tblPr><w:tblGrid>{grid}</w:tblGrid>"#
        ))?;
        let names = self.names.clone();
        self.row(&names, true)
    }

    pub(super) fn put(&mut self, cells: &[String]) -> Result<()> {
        if self.table { self.row(cells, false) } else { self.block(cells) }
    }

    fn row(&mut self, cells: &[String], head: bool) -> Result<()> {
        let width = self.width();
        let (repeated, shade, bold) = match head {
            true => {
                ("<w:tblHeader/>", r#"<w:shd w:val="clear" w:color="auto" w:fill="E7EDF3"/>"#, "<w:rPr><w:b/></w:rPr>")
            }
            false => ("", "", ""),
        };
        let mut out = format!("<w:tr><w:trPr><w:cantSplit/>{repeated}</w:trPr>");
        for cell in cells {
            out.push_str(&format!(r#"<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{shade}</w:tcPr>"#));
            for line in lines(cell) {
                out.push_str("<w:p>");
                if !line.is_empty() {
                    out.push_str(&format!("<w:r>{bold}{}</w:r>", text(line)));
                }
                out.push_str("</w:p>");
            }
            out.push_str("</w:tc>");
        }
        out.push_str("</w:tr>");
        self.say(&out)
    }

    /// A heading that says who it is, and lines `name: value`.
    fn block(&mut self, cells: &[String]) -> Result<()> {
        let heading = self.name.and_then(|at| cells.get(at)).filter(|name| is_name(name) && !name.contains('\n'));
        let mut out = String::new();
        if let Some(heading) = heading {
            out.push_str(&format!(
                r#"<w:p><w:pPr><w:pStyle w:val="Heading2"/></w:pPr><w:r>{}</w:r></w:p>"#,
                text(heading)
            ));
        } else {
            out.push_str(r#"<w:p><w:pPr><w:keepNext/></w:pPr></w:p>"#);
        }
        let said = |(at, cell): &(usize, &String)| !cell.is_empty() && (heading.is_none() || Some(*at) != self.name);
        let said: Vec<_> = cells.iter().enumerate().filter(said).collect();
        for (place, (at, cell)) in said.iter().enumerate() {
            // A contact stays on one page.
            let keep = if place + 1 < said.len() { "<w:keepNext/>" } else { "" };
            let label = escaped(&self.names[*at]);
            out.push_str(&format!(
                r#"<w:p><w:pPr><w:pStyle w:val="Contact"/>{keep}</w:pPr><w:r><w:rPr><w:color w:val="5A6672"/></w:rPr><w:t>{label}:</w:t></w:r><w:r><w:tab/>"#
            ));
            for (at, line) in lines(cell).enumerate() {
                // What goes on is indented, as in a text.
                out.push_str(&if at > 0 { format!("<w:br/>{}", text(&format!("  {line}"))) } else { text(line) });
            }
            out.push_str("</w:r></w:p>");
        }
        self.say(&out)
    }

    pub(super) fn finish(mut self) -> Result<W> {
        let (width, height) = self.page();
        let turned = if width > height { r#" w:orient="landscape""# } else { "" };
        // Behind a table there is a paragraph always.
        let end = if self.table { "</w:tbl><w:p/>" } else { "" };
        self.say(&format!(
            r#"{end}<w:sectPr><w:footerReference w:type="default" r:id="rId2"/><w:pgSz w:w="{width}" w:h="{height}"{turned}/><w:pgMar w:top="{MARGIN}" w:right="{MARGIN}" w:bottom="{MARGIN}" w:left="{MARGIN}" w:header="500" w:footer="500" w:gutter="0"/></w:sectPr></w:body></w:document>"#
        ))?;
        self.archive.finish()
    }
}

/// One line as elements.
fn text(line: &str) -> String {
    let pieces: Vec<_> =
        line.split('\t').map(|piece| format!(r#"<w:t xml:space="preserve">{}</w:t>"#, escaped(piece))).collect();
    pieces.join("<w:tab/>")
}

#[cfg(test)]
mod tests {
    use super::{Docx, Layout};

    #[test]
    fn i7_no_document_is_written_that_is_too_large_to_be_read() {
        let layout = Layout::named("phone").unwrap();
        let mut document = Docx::new(Vec::new(), &layout).unwrap();
        let row = vec!["Ann".to_owned(); layout.columns.len()];
        document.left = 10_000;
        let written = (0..).find(|_| document.put(&row).is_err()).unwrap();
        assert!((1..10_000 / 36).contains(&written), "{written}");
        let error = document.put(&row).unwrap_err().to_string();
        assert!(error.contains("at most 67108864 bytes of XML"), "{error}");
        document.left = 0;
        assert!(document.finish().is_err(), "nor one that lacks its end");
    }
}
