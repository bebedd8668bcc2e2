//! Writing: contacts one after the other, as cards, tables, text, jCard, LDIF or documents.

mod jcard;
mod ldif;
#[cfg(feature = "documents")]
mod office;
#[cfg(feature = "documents")]
mod pdf;

use super::cells::{LeftOut, cells};
use super::charset::encode;
use super::error::{InterchangeError, Limits, Result};
use super::layout::Layout;
use super::table::quoted;
use crate::contact::card::{Card, Version, convert, decode_document};
use std::io::Write;

#[cfg(feature = "documents")]
pub(super) use office::DOCX_COLUMNS;
#[cfg(feature = "documents")]
pub use pdf::{Face, Faces};

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// vCards of a version. Nothing is left out.
    Vcard(Version),
    /// A table in a layout.
    Table(Layout),
    /// Text for people: lines `name: value`, an empty line between contacts.
    Text(Layout),
    /// A list of jCards (RFC 7095). Nothing is left out.
    Jcard,
    /// LDIF (RFC 2849) with the attributes of RFC 4519, RFC 2798 and Mozilla's programs.
    Ldif,
    /// A workbook of Excel and others, since 2007, in a layout. All cells are text.
    #[cfg(feature = "documents")]
    Xlsx(Layout),
    /// A spreadsheet of LibreOffice and others (OpenDocument) in a layout. All cells are text.
    #[cfg(feature = "documents")]
    Ods(Layout),
    /// A document of Word and others, since 2007, in a layout: up to 8 columns a table, else a block for each contact.
    #[cfg(feature = "documents")]
    Docx(Layout),
    /// A table to be printed, in a layout of up to 12 columns. [`Writer::with_faces`] gives it fonts.
    #[cfg(feature = "documents")]
    Pdf(Layout),
}

type Made = fn() -> Option<Target>;

/// What can be written besides tables in known layouts, by name.
const NAMES: &[(&str, Made)] = &[
    ("vcard21", || Some(Target::Vcard(Version::V2_1))),
    ("vcard30", || Some(Target::Vcard(Version::V3_0))),
    ("vcard40", || Some(Target::Vcard(Version::V4_0))),
    ("icloud", || Some(Target::Vcard(Version::V3_0))),
    ("android", || Some(Target::Vcard(Version::V2_1))),
    ("csv", || Some(Target::Table(Layout::named("generic")?))),
    ("tsv", || Some(Target::Table(Layout::named("generic")?.with_delimiter('\t')?))),
    ("text", || Some(Target::Text(Layout::named("generic")?))),
    ("jcard", || Some(Target::Jcard)),
    ("ldif", || Some(Target::Ldif)),
    #[cfg(feature = "documents")]
    ("xlsx", || Some(Target::Xlsx(Layout::named("generic")?))),
    #[cfg(feature = "documents")]
    ("ods", || Some(Target::Ods(Layout::named("generic")?))),
    #[cfg(feature = "documents")]
    ("docx", || Some(Target::Docx(Layout::named("generic")?))),
    #[cfg(feature = "documents")]
    ("pdf", || Some(Target::Pdf(Layout::named("print")?))),
];

/// Endings of files, and other names.
const ALIASES: &[(&str, &str)] = &[
    ("vcard", "vcard30"),
    ("vcf", "vcard30"),
    ("vcard2.1", "vcard21"),
    ("vcard3.0", "vcard30"),
    ("vcard4.0", "vcard40"),
    ("txt", "text"),
    ("json", "jcard"),
];

impl Target {
    /// The target of that name – `vcard21`, `vcard30`, `vcard40`, `icloud`, `android`, `csv`, `tsv`, `text`, `jcard`, `ldif`, and with the
    /// feature `documents` `xlsx`, `ods`, `docx`, `pdf` –, an ending of files, or a table in the layout of that name ([`Layout::named`]).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, target)) => target(),
            None => Layout::named(name).map(Self::Table),
        }
    }

    /// Its layout, where it has one.
    #[must_use]
    pub const fn layout(&self) -> Option<&Layout> {
        match self {
            Self::Table(layout) | Self::Text(layout) => Some(layout),
            #[cfg(feature = "documents")]
            Self::Xlsx(layout) | Self::Ods(layout) | Self::Docx(layout) | Self::Pdf(layout) => Some(layout),
            Self::Vcard(_) | Self::Jcard | Self::Ldif => None,
        }
    }

    /// The same in a layout of its own, where it has one.
    #[must_use]
    pub fn in_layout(self, change: impl FnOnce(Layout) -> Layout) -> Self {
        match self {
            Self::Table(layout) => Self::Table(change(layout)),
            Self::Text(layout) => Self::Text(change(layout)),
            #[cfg(feature = "documents")]
            Self::Xlsx(layout) => Self::Xlsx(change(layout)),
            #[cfg(feature = "documents")]
            Self::Ods(layout) => Self::Ods(change(layout)),
            #[cfg(feature = "documents")]
            Self::Docx(layout) => Self::Docx(change(layout)),
            #[cfg(feature = "documents")]
            Self::Pdf(layout) => Self::Pdf(change(layout)),
            other => other,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Contacts.
    pub contacts: u64,
    /// What of them had no place in the target.
    pub left_out: LeftOut,
}

/// Writes contacts.
pub struct Writer<W: Write> {
    out: Out<W>,
    target: Target,
    /// The layout of LDIF.
    ldif: Option<Layout>,
    /// Of a list of jCards.
    room: jcard::Room,
    written: Written,
}

/// Where it goes.
enum Out<W: Write> {
    Plain(W),
    #[cfg(feature = "documents")]
    Document(Box<office::Document<W>>),
    /// Written when it is whole.
    #[cfg(feature = "documents")]
    List(W, Box<pdf::List>),
}

impl<W: Write> Writer<W> {
    /// Begins what is to be written.
    ///
    /// # Errors
    /// Those of the writer, and a layout with more columns than a page has room for.
    pub fn new(mut out: W, target: Target) -> Result<Self> {
        let (mut ldif, room) = (None, jcard::Room::new(Limits::default()));
        match &target {
            Target::Vcard(_) | Target::Text(_) => {}
            Target::Table(layout) => {
                let names: Vec<String> = layout.columns.iter().map(|column| column.names[0].clone()).collect();
                let mark = if layout.mark { "\u{feff}" } else { "" };
                let head = format!("{mark}{}", row(&names, layout.delimiter));
                out.write_all(&encode(layout.charset, &head))?;
            }
            Target::Jcard => out.write_all(jcard::BEGIN.as_bytes())?,
            Target::Ldif => {
                ldif = Layout::named("ldif");
                out.write_all(b"version: 1\n")?;
            }
            #[cfg(feature = "documents")]
            Target::Xlsx(layout) | Target::Ods(layout) | Target::Docx(layout) => {
                let out = Out::Document(Box::new(office::Document::new(out, &target, layout)?));
                return Ok(Self { out, target, ldif, room, written: Written::default() });
            }
            #[cfg(feature = "documents")]
            Target::Pdf(layout) => {
                let out = Out::List(out, Box::new(pdf::List::new(layout)?));
                return Ok(Self { out, target, ldif, room, written: Written::default() });
            }
        }
        Ok(Self { out: Out::Plain(out), target, ldif, room, written: Written::default() })
    }

    /// The same with fonts. Only a PDF needs any, and cannot be finished without.
    #[cfg(feature = "documents")]
    #[must_use]
    pub fn with_faces(mut self, faces: Box<dyn Faces>) -> Self {
        if let Out::List(_, list) = &mut self.out {
            list.set_faces(faces);
        }
        self
    }

    /// Writes a contact.
    ///
    /// # Errors
    /// Bytes that are no card, one contact more than such a file can have and be read again, and those of the writer.
    pub fn put(&mut self, card: &[u8]) -> Result<()> {
        let content = decode_document(card);
        let unusable = |error: crate::contact::card::Error| InterchangeError::Unusable(error.to_string());
        let card = Card::parse(&content).map_err(unusable)?;
        match &mut self.out {
            Out::Plain(out) => {
                let text = text(&card, &self.target, self.ldif.as_ref(), &mut self.written)?;
                if self.target == Target::Jcard {
                    self.room.take(text.len())?;
                }
                out.write_all(&text)?;
            }
            #[cfg(feature = "documents")]
            Out::Document(document) => {
                if let Some(layout) = self.target.layout() {
                    let left = &mut self.written.left_out;
                    let mut cells = printable(cells(&card, layout, left), left);
                    document.put(&mut cells, left)?;
                }
            }
            #[cfg(feature = "documents")]
            Out::List(_, list) => {
                if let Some(layout) = self.target.layout() {
                    let left = &mut self.written.left_out;
                    list.put(&printable(cells(&card, layout, left), left));
                }
            }
        }
        self.written.contacts += 1;
        Ok(())
    }

    /// Ends it, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer; of a PDF, characters that no font has.
    pub fn finish(self) -> Result<(W, Written)> {
        let mut out = match self.out {
            Out::Plain(mut out) => {
                if self.target == Target::Jcard {
                    out.write_all(jcard::END.as_bytes())?;
                }
                out
            }
            #[cfg(feature = "documents")]
            Out::Document(document) => document.finish()?,
            #[cfg(feature = "documents")]
            Out::List(mut out, list) => {
                out.write_all(&list.finish()?)?;
                out
            }
        };
        out.flush()?;
        Ok((out, self.written))
    }
}

/// A contact as it is written, of what is no document.
fn text(card: &Card<'_>, target: &Target, ldif: Option<&Layout>, written: &mut Written) -> Result<Vec<u8>> {
    let left = &mut written.left_out;
    Ok(match target {
        Target::Vcard(version) => {
            let mut bytes = if card.version() == *version { card.body().to_vec() } else { convert(card, *version) };
            if !bytes.ends_with(b"\n") {
                bytes.extend_from_slice(b"\r\n");
            }
            bytes
        }
        Target::Text(layout) => {
            let cells = cells(card, layout, left);
            let said = layout.columns.iter().zip(cells).filter(|(_, text)| !text.is_empty());
            let lines = said.map(|(column, text)| format!("{}: {}\n", column.names[0], text.replace('\n', "\n  ")));
            let between = if written.contacts > 0 { "\n" } else { "" };
            encode(layout.charset, &format!("{between}{}", lines.collect::<String>()))
        }
        Target::Jcard => {
            let between = if written.contacts > 0 { ",\n" } else { "\n" };
            format!("{between}{}", jcard::write(card)?).into_bytes()
        }
        Target::Ldif => ldif.map_or_else(Vec::new, |layout| ldif::write(card, layout, left).into_bytes()),
        other => match other.layout() {
            Some(layout) => encode(layout.charset, &row(&cells(card, layout, left), layout.delimiter)),
            None => Vec::new(),
        },
    })
}

/// Cells without characters that documents have no place for.
#[cfg(feature = "documents")]
fn printable(mut cells: Vec<String>, left: &mut LeftOut) -> Vec<String> {
    for cell in &mut cells {
        if cell.contains(office::is_forbidden) {
            cell.retain(|char| !office::is_forbidden(char));
            *left.entry("control characters".to_owned()).or_default() += 1;
        }
        if cell.contains('\r') {
            *cell = cell.replace("\r\n", "\n").replace('\r', "\n");
        }
    }
    cells
}

fn row(cells: &[String], delimiter: u8) -> String {
    let delimiter = char::from(delimiter);
    let mut out = String::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.push_str(&quoted(cell, delimiter));
    }
    out + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::{Limits, Target, Writer, jcard};
    use crate::service::interchange::{ReadOptions, read};
    use std::io::Cursor;

    const CARD: &[u8] = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann\r\nEND:VCARD\r\n";

    /// A list of that many jCards.
    fn list(cards: usize, whole: usize) -> super::Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new(), Target::Jcard)?;
        writer.room = jcard::Room::new(Limits { whole, ..Limits::default() });
        (0..cards).try_for_each(|_| writer.put(CARD))?;
        Ok(writer.finish()?.0)
    }

    #[test]
    fn a_list_of_jcards_is_no_longer_than_what_is_read() {
        let three = list(3, usize::MAX).unwrap();
        let whole = three.len();
        assert_eq!(list(3, whole).unwrap(), three);
        let options = ReadOptions { limits: Limits { whole, ..Limits::default() }, ..ReadOptions::default() };
        assert_eq!(read(Cursor::new(&three), &options).unwrap().entries.count(), 3);
        for (cards, whole) in [(3, whole - 1), (4, whole)] {
            let error = list(cards, whole).unwrap_err().to_string();
            assert!(error.contains(&format!("at most {whole} bytes; choose contacts")), "{error}");
        }
        let four = list(4, usize::MAX).unwrap();
        assert!(read(Cursor::new(&four), &options).is_err(), "what is refused could not be read again");
    }
}
