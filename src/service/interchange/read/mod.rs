//! Reading: files of many kinds, one contact after the other.

mod html;
mod jcard;
mod ldif;
#[cfg(feature = "documents")]
mod office;
mod table;
pub(super) mod talk;
mod vcard;

#[cfg(feature = "documents")]
pub(super) use office::check_plain;
#[cfg(feature = "documents")]
pub(super) use talk::is_name;

use super::charset::{Decoded, detect};
use super::error::{InterchangeError, Limits, Result};
use super::layout::Layout;
use crate::contact::card::Charset;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// How much of a file is looked at to tell what it is.
const HEAD: u64 = 64 << 10;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// vCards of any version, one after the other.
    Vcard,
    /// A table as text, whatever separates its cells.
    Table,
    /// LDIF (RFC 2849).
    Ldif,
    /// jCard (RFC 7095): one, or a list of them.
    Jcard,
    /// Tables in a web page; without any its text.
    Html,
    /// Plain text, lists and chats: names, numbers and addresses are looked for.
    Text,
    /// A sheet of a workbook of Excel and others, since 2007 (ECMA-376).
    #[cfg(feature = "documents")]
    Xlsx,
    /// A sheet of a spreadsheet of LibreOffice and others (OpenDocument).
    #[cfg(feature = "documents")]
    Ods,
    /// Tables in a document of Word and others, since 2007 (ECMA-376); without any its text.
    #[cfg(feature = "documents")]
    Docx,
}

/// The formats by their names, and what else they are called; endings of files among them.
const FORMATS: &[(Format, &[&str])] = &[
    (Format::Vcard, &["vcard", "vcf"]),
    (Format::Table, &["csv", "tsv", "tab"]),
    (Format::Ldif, &["ldif", "ldi"]),
    (Format::Jcard, &["jcard", "json"]),
    (Format::Html, &["html", "htm", "xhtml"]),
    (Format::Text, &["text", "txt", "log", "chat"]),
    #[cfg(feature = "documents")]
    (Format::Xlsx, &["xlsx", "xlsm", "xltx", "xltm"]),
    #[cfg(feature = "documents")]
    (Format::Ods, &["ods", "ots"]),
    #[cfg(feature = "documents")]
    (Format::Docx, &["docx", "docm", "dotx", "dotm"]),
];

impl Format {
    /// The names of all formats.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|(format, _)| format.name())
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(format, _)| *format == self).map_or("", |(_, names)| names[0])
    }

    /// The format of that name ([`Format::names`]), or of files that usually have it as their ending.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(_, names)| names.contains(&name)).map(|(format, _)| *format)
    }

    /// What files with this ending usually are.
    #[must_use]
    pub fn of_ending(ending: &str) -> Option<Self> {
        Self::named(&ending.to_ascii_lowercase())
    }

    fn of_head(head: &str) -> Self {
        let head = head.trim_start_matches('\u{feff}').trim_start();
        let begins = |with: &str| head.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
        match () {
            () if begins("BEGIN:VCARD") => Self::Vcard,
            () if begins("[") => Self::Jcard,
            () if begins("<!doctype") || begins("<html") || begins("<table") => Self::Html,
            () if begins("dn:") || begins("version: 1") => Self::Ldif,
            () => Self::Text,
        }
    }
}

/// How a file is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// What it is; else what it looks like.
    pub format: Option<Format>,
    /// The layout of tables; else what their header looks like.
    pub layout: Option<Layout>,
    /// Its charset; else what it looks like ([`detect`]).
    pub charset: Option<Charset>,
    /// What separates the cells of tables; else what it looks like.
    pub delimiter: Option<char>,
    /// The sheet of a workbook; else the first that is not hidden.
    pub sheet: Option<String>,
    /// How much is taken.
    pub limits: Limits,
}

/// One contact of a file.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The contact as a card.
    pub card: Vec<u8>,
}

impl std::fmt::Debug for Entry {
    /// A card is personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry(line {}, {} bytes)", self.line, self.card.len())
    }
}

/// The contacts of a file, in its order. What cannot be used of it comes as an error in its place; after one that is not of one
/// record ([`InterchangeError::is_of_one_record`]) nothing follows.
pub type Entries<'r> = Box<dyn Iterator<Item = Result<Entry>> + 'r>;

/// A file that is being read.
#[non_exhaustive]
pub struct Reading<'r> {
    /// What it is.
    pub format: Format,
    /// Of a table, the name of its layout.
    pub layout: Option<String>,
    /// Of a table whose first row is its header, its own columns, by which it can be written again.
    pub table: Option<Layout>,
    /// Columns that no field is known for. What is in them is kept as [`COLUMN`](super::COLUMN).
    pub unknown: Vec<String>,
    /// Its contacts.
    pub entries: Entries<'r>,
}

/// Reads a file of contacts. Tables, sheets, cards and LDIF are read as a stream; what has to be known as a whole is limited
/// ([`Limits::whole`]).
///
/// # Errors
/// A file that is none of what is asked for, too large, or in another charset.
pub fn read<'r>(mut from: impl Read + Seek + 'r, options: &ReadOptions) -> Result<Reading<'r>> {
    let start = from.stream_position()?;
    #[cfg(feature = "documents")]
    {
        let mut head = Vec::new();
        from.by_ref().take(8).read_to_end(&mut head)?;
        from.seek(SeekFrom::Start(start))?;
        if office::is_package(&head)? {
            return office::read(from, options);
        }
        if let Some(asked @ (Format::Xlsx | Format::Ods | Format::Docx)) = options.format {
            return Err(InterchangeError::Unusable(format!("it is no {} document", asked.name())));
        }
    }
    let charset = match options.charset {
        Some(charset) => charset,
        None => detect(&mut from)?,
    };
    from.seek(SeekFrom::Start(start))?;
    let mut mark = Vec::new();
    from.by_ref().take(3).read_to_end(&mut mark)?;
    let marked = mark.starts_with(b"\xEF\xBB\xBF") || mark.starts_with(b"\xFF\xFE") || mark.starts_with(b"\xFE\xFF");
    from.seek(SeekFrom::Start(start))?;
    let mut head = Vec::new();
    Decoded::new(from.by_ref().take(HEAD), charset).take(HEAD).read_to_end(&mut head).or_else(cut)?;
    from.seek(SeekFrom::Start(start))?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let format = options.format.unwrap_or_else(|| Format::of_head(&head));
    let limits = options.limits;
    if format == Format::Vcard {
        // Cards say themselves in which charset their values are, but for UTF-16.
        let entries: Entries<'r> = match charset.name().starts_with("UTF-16") {
            true => Box::new(vcard::Cards::new(BufReader::new(Decoded::new(from, charset)), charset, limits)),
            false => Box::new(vcard::Cards::new(BufReader::new(from), charset, limits)),
        };
        return Ok(Reading { format, layout: None, table: None, unknown: Vec::new(), entries });
    }
    let text = BufReader::with_capacity(64 << 10, Decoded::new(from, charset));
    let all = |entries: Vec<Result<Entry>>| -> Entries<'r> { Box::new(entries.into_iter()) };
    let mut reading =
        Reading { format, layout: None, table: None, unknown: Vec::new(), entries: Box::new(std::iter::empty()) };
    match format {
        Format::Table => {
            let (columns, delimiter, entries) = table::read(text, &head, options)?;
            reading.layout = Some(columns.layout.clone());
            reading.table = columns.own(delimiter, charset, marked);
            reading.unknown = columns.unknown.clone();
            reading.entries = entries;
        }
        Format::Ldif => reading.entries = Box::new(ldif::Entries::new(text, limits)),
        Format::Jcard => reading.entries = all(jcard::read(&whole(text, limits)?)?),
        Format::Html => {
            let page = whole(text, limits)?;
            let found = html::read(&page, options)?;
            reading.unknown = found.unknown;
            reading.entries = all(found.entries);
        }
        _ => reading.entries = all(talk::read(text, limits)?),
    }
    Ok(reading)
}

/// The end of the head may be within a character.
fn cut(error: io::Error) -> io::Result<usize> {
    if error.kind() == io::ErrorKind::InvalidData { Ok(0) } else { Err(error) }
}

fn whole(from: impl Read, limits: Limits) -> Result<String> {
    let mut text = String::new();
    from.take(limits.whole as u64 + 1).read_to_string(&mut text)?;
    if text.len() > limits.whole {
        let what = format!("more than {} bytes; files of this kind are read as a whole", limits.whole);
        return Err(InterchangeError::Unusable(what));
    }
    Ok(text)
}

/// One line without its break, or what is left of it; `None` at the end.
fn line(from: &mut impl BufRead, at: u64, limits: Limits) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    from.take(limits.record as u64 + 1).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > limits.record {
        return Err(InterchangeError::broken(at, format!("the line has more than {} bytes", limits.record)));
    }
    let text = String::from_utf8(bytes).map_err(|_| InterchangeError::broken(at, "the text is not UTF-8"))?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}
