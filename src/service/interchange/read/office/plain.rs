//! Whether a document is one table and nothing else: what it has besides would be lost if it were written anew.

use super::package::{Package, unusable};
use super::xml::{Piece, Xml};
use crate::service::interchange::error::Result;
use crate::service::interchange::read::Format;
use std::io::{BufRead, Cursor, Read, Seek};

/// What a format's tables are made of; looks are no loss.
struct Plain {
    format: Format,
    /// How the names of parts begin that every writer makes, or that say how it looks.
    parts: &'static [&'static str],
    /// The part that the table is in, by the beginning of its name.
    main: &'static str,
    /// Elements of that part which are no table, or more than one knows of it here.
    besides: &'static [(&'static str, &'static str)],
}

const OPC: &[&str] = &["[Content_Types].xml", "_rels/", "docProps/", "customXml/"];

const FORMATS: &[Plain] = &[
    Plain {
        format: Format::Xlsx,
        parts: &[
            "xl/workbook.xml",
            "xl/_rels/",
            "xl/worksheets/",
            "xl/sharedStrings.xml",
            "xl/styles.xml",
            "xl/theme/",
            "xl/tables/",
            "xl/printerSettings/",
            "xl/calcChain.xml",
        ],
        main: "xl/worksheets/",
        besides: &[("f", "formulas")],
    },
    Plain {
        format: Format::Ods,
        parts: &[
            "mimetype",
            "META-INF/",
            "content.xml",
            "styles.xml",
            "meta.xml",
            "settings.xml",
            "manifest.rdf",
            "Thumbnails/",
            "Configurations2/",
        ],
        main: "content.xml",
        besides: &[("annotation", "comments"), ("shapes", "drawings"), ("frame", "pictures")],
    },
    Plain {
        format: Format::Docx,
        parts: &[
            "word/document.xml",
            "word/_rels/",
            "word/styles",
            "word/settings.xml",
            "word/webSettings.xml",
            "word/fontTable.xml",
            "word/fonts/",
            "word/numbering.xml",
            "word/theme/",
            "word/header",
            "word/footer",
            "word/footnotes.xml",
            "word/endnotes.xml",
        ],
        main: "word/document.xml",
        besides: &[
            ("drawing", "pictures"),
            ("pict", "pictures"),
            ("object", "embedded objects"),
            ("footnoteReference", "footnotes"),
            ("endnoteReference", "endnotes"),
            ("ins", "tracked changes"),
            ("del", "tracked changes"),
            ("moveFrom", "tracked changes"),
        ],
    },
];

/// Looks whether a document is one table.
///
/// # Errors
/// What it has besides; and those of a document that cannot be read.
pub(super) fn check<R: Read + Seek>(mut package: Package<R>) -> Result<()> {
    let format = package.format()?;
    let Some(plain) = FORMATS.iter().find(|plain| Some(plain.format) == format) else {
        return Err(unusable("it is an archive, and no document that can be read: XLSX, ODS or DOCX"));
    };
    let limits = package.limits;
    let mut main = Vec::new();
    for name in package.names()? {
        let begins = |with: &&str| name.starts_with(with);
        if !plain.parts.iter().chain(OPC).any(begins) {
            return Err(lost("parts besides its table, such as comments, pictures or charts"));
        }
        if name.starts_with(plain.main) && name.ends_with(".xml") {
            main.push(name.clone());
        }
        let frames = name.starts_with("word/header") || name.starts_with("word/footer");
        if frames && says_something(Xml::new(Cursor::new(package.text(&name)?), limits))? {
            return Err(lost("a text above or below its pages"));
        }
    }
    match &main[..] {
        [main] => table(Xml::new(package.stream(main)?, limits), plain),
        [] => Err(unusable("the document has no table")),
        _ => Err(lost("other sheets")),
    }
}

fn lost(what: &str) -> crate::service::interchange::InterchangeError {
    unusable(format!("it has {what}, which would be lost when it is written anew"))
}

/// Whether there is a text in the frame of a page. The number of the page is none.
fn says_something(mut xml: Xml<impl BufRead>) -> Result<bool> {
    let mut found = false;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Open(element) if element.name == "instrText" => xml.skip()?,
            Piece::Text(text) => found |= text.contains(char::is_alphabetic),
            Piece::Open(_) | Piece::Close(_) => {}
        }
    }
    Ok(found)
}

/// Looks whether the main part has one table, and nothing besides.
fn table(mut xml: Xml<impl BufRead>, plain: &Plain) -> Result<()> {
    let (mut tables, mut open) = (0, 0_usize);
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Open(element) => {
                if let Some((_, what)) = plain.besides.iter().find(|(name, _)| *name == element.name) {
                    return Err(lost(what));
                }
                match (plain.format, element.name.as_str()) {
                    (Format::Ods, "table-cell") if element.get("formula").is_some() => return Err(lost("formulas")),
                    (Format::Ods, "table") | (Format::Docx, "tbl") => (tables, open) = (tables + 1, open + 1),
                    _ => {}
                }
            }
            Piece::Close(name) if matches!(name.as_str(), "table" | "tbl") => open = open.saturating_sub(1),
            Piece::Text(text) if plain.format == Format::Docx && open == 0 && !text.trim().is_empty() => {
                return Err(lost("text besides its table"));
            }
            Piece::Close(_) | Piece::Text(_) => {}
        }
    }
    match (plain.format, tables) {
        (Format::Xlsx, _) | (_, 1) => Ok(()),
        (Format::Ods, _) => Err(lost("other sheets")),
        (_, 0) => Err(unusable("the document has no table")),
        _ => Err(lost("other tables")),
    }
}
