//! Spreadsheets of OpenDocument (1.3 part 3, §9): one sheet, all of its cells text.

use super::archive::Archive;
use super::text::{escaped, lines};
use crate::service::interchange::error::Result;
use std::io::Write;

const KIND: &str = "application/vnd.oasis.opendocument.spreadsheet";
const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
const CONTENT: &str = r##"<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" xmlns:number="urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0" office:version="1.3"><office:automatic-styles><number:text-style style:name="N1"><number:text-content/></number:text-style><style:style style:name="co" style:family="table-column"><style:table-column-properties style:column-width="4cm"/></style:style><style:style style:name="te" style:family="table-cell" style:data-style-name="N1"><style:table-cell-properties fo:wrap-option="wrap" style:vertical-align="top"/></style:style><style:style style:name="he" style:family="table-cell" style:data-style-name="N1"><style:table-cell-properties fo:background-color="#e7edf3"/><style:text-properties fo:font-weight="bold"/></style:style></office:automatic-styles><office:body><office:spreadsheet><table:table table:name="Contacts">"##;
const END: &str = "</table:table></office:spreadsheet></office:body></office:document-content>";

pub(in crate::service::interchange::write) struct Ods<W: Write>(Archive<W>);

impl<W: Write> Ods<W> {
    pub(super) fn new(out: W, names: &[String]) -> Result<Self> {
        let mut archive = Archive::new(out);
        archive.plain("mimetype", KIND)?;
        let manifest = format!(
            r#"{HEAD}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3"><manifest:file-entry manifest:full-path="/" manifest:version="1.3" manifest:media-type="{KIND}"/><manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>"#
        );
        archive.part("META-INF/manifest.xml", &manifest)?;
        archive.begin("content.xml")?;
        let columns =
            format!(r#"<table:table-column table:style-name="co" table:number-columns-repeated="{}"/>"#, names.len());
        archive.put(&format!("{HEAD}{CONTENT}{columns}<table:table-header-rows>"))?;
        let mut sheet = Self(archive);
        sheet.row(names, "he")?;
        sheet.0.put("</table:table-header-rows>")?;
        Ok(sheet)
    }

    pub(super) fn put(&mut self, cells: &[String]) -> Result<()> {
        self.row(cells, "te")
    }

    fn row(&mut self, cells: &[String], style: &str) -> Result<()> {
        let mut out = String::from("<table:table-row>");
        for cell in cells {
            if cell.is_empty() {
                out.push_str("<table:table-cell/>");
                continue;
            }
            out.push_str("<table:table-cell office:value-type=\"string\" table:style-name=\"");
            out.push_str(style);
            out.push_str("\">");
            for line in lines(cell) {
                out.push_str("<text:p>");
                out.push_str(&spaced(&escaped(line)));
                out.push_str("</text:p>");
            }
            out.push_str("</table:table-cell>");
        }
        out.push_str("</table:table-row>");
        self.0.put(&out)
    }

    pub(super) fn finish(mut self) -> Result<W> {
        self.0.put(END)?;
        self.0.finish()
    }
}

/// Spaces that would be one, and tabulators, are elements (§6.1.2).
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => out.push_str("<text:tab/>"),
            ' ' if out.is_empty() || out.ends_with(' ') || out.ends_with("<text:s/>") => out.push_str("<text:s/>"),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::spaced;

    #[test]
    fn i7_every_space_is_kept() {
        assert_eq!(spaced(" a b   c\td"), "<text:s/>a b <text:s/><text:s/>c<text:tab/>d");
    }
}
