//! Writing: contacts one after the other, as cards, tables, text, jCard or LDIF.

mod jcard;
mod ldif;

use super::cells::{LeftOut, cells};
use super::charset::encode;
use super::error::{InterchangeError, Result};
use super::layout::Layout;
use super::table::quoted;
use crate::contact::card::{Card, Version, convert, decode_document};
use std::io::Write;

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
}

impl Target {
    /// The target of that name: `vcard21`, `vcard30`, `vcard40`, `icloud`, `android`, `csv`, `tsv`, `text`, `jcard`, `ldif`, or the name
    /// of a layout ([`Layout::named`]).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let layout = |name| Layout::named(name);
        Some(match name {
            "vcard21" | "vcard2.1" | "android" => Self::Vcard(Version::V2_1),
            "vcard" | "vcf" | "vcard30" | "vcard3.0" | "icloud" => Self::Vcard(Version::V3_0),
            "vcard40" | "vcard4.0" => Self::Vcard(Version::V4_0),
            "csv" => Self::Table(layout("generic")?),
            "tsv" => Self::Table(layout("generic")?.with_delimiter('\t')?),
            "text" | "txt" => Self::Text(layout("generic")?),
            "jcard" | "json" => Self::Jcard,
            "ldif" => Self::Ldif,
            name => Self::Table(layout(name)?),
        })
    }

    /// The same in a layout of its own, where it has one.
    #[must_use]
    pub fn in_layout(self, change: impl FnOnce(Layout) -> Layout) -> Self {
        match self {
            Self::Table(layout) => Self::Table(change(layout)),
            Self::Text(layout) => Self::Text(change(layout)),
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
pub struct Writer<W> {
    out: W,
    target: Target,
    /// The layout of LDIF.
    ldif: Option<Layout>,
    written: Written,
}

impl<W: Write> Writer<W> {
    /// Begins what is to be written.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut out: W, target: Target) -> Result<Self> {
        let mut ldif = None;
        match &target {
            Target::Vcard(_) => {}
            Target::Table(layout) => {
                let names: Vec<String> = layout.columns.iter().map(|column| column.names[0].clone()).collect();
                let mark = if layout.mark { "\u{feff}" } else { "" };
                let head = format!("{mark}{}", row(&names, layout.delimiter));
                out.write_all(&encode(layout.charset, &head))?;
            }
            Target::Text(_) => {}
            Target::Jcard => out.write_all(b"[")?,
            Target::Ldif => {
                ldif = Layout::named("ldif");
                out.write_all(b"version: 1\n")?;
            }
        }
        Ok(Self { out, target, ldif, written: Written::default() })
    }

    /// Writes a contact.
    ///
    /// # Errors
    /// Bytes that are no card, and those of the writer.
    pub fn put(&mut self, card: &[u8]) -> Result<()> {
        let content = decode_document(card);
        let unusable = |error: crate::contact::card::Error| InterchangeError::Unusable(error.to_string());
        let card = Card::parse(&content).map_err(unusable)?;
        let left = &mut self.written.left_out;
        let text = match &self.target {
            Target::Vcard(version) => {
                let mut bytes =
                    if card.version() == *version { card.body().to_vec() } else { convert(&card, *version) };
                if !bytes.ends_with(b"\n") {
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes
            }
            Target::Table(layout) => encode(layout.charset, &row(&cells(&card, layout, left), layout.delimiter)),
            Target::Text(layout) => {
                let cells = cells(&card, layout, left);
                let said = layout.columns.iter().zip(cells).filter(|(_, text)| !text.is_empty());
                let lines = said.map(|(column, text)| format!("{}: {}\n", column.names[0], text.replace('\n', "\n  ")));
                let between = if self.written.contacts > 0 { "\n" } else { "" };
                encode(layout.charset, &format!("{between}{}", lines.collect::<String>()))
            }
            Target::Jcard => {
                let between = if self.written.contacts > 0 { ",\n" } else { "\n" };
                format!("{between}{}", jcard::write(&card)?).into_bytes()
            }
            Target::Ldif => match &self.ldif {
                Some(layout) => ldif::write(&card, layout, left).into_bytes(),
                None => Vec::new(),
            },
        };
        self.out.write_all(&text)?;
        self.written.contacts += 1;
        Ok(())
    }

    /// Ends it, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> Result<(W, Written)> {
        if self.target == Target::Jcard {
            self.out.write_all(b"\n]\n")?;
        }
        self.out.flush()?;
        Ok((self.out, self.written))
    }
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
