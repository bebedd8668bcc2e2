//! Files of contacts as the command line names them, and what is taken of them.

use crate::books::BookKind;
use crate::failure::{Failure, Result};
use crate::folder::is_packed;
use std::fs::{self, File};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use syncml::contact::card::Charset;
use syncml::contact::search::Query;
use syncml::service::book::unpack;
use syncml::service::interchange::{Field, Format, Layout, ReadOptions, Reading, Selection, read};

/// The most that is taken out of a packed file, in bytes.
const MOST_UNPACKED: usize = 256 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// What the files are: vcard, csv, ldif, jcard, html, text (lists and chats), xlsx, ods or docx; else by their ending, or what they
    /// look like
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    from: Option<Format>,
    /// The layout of tables: outlook, google, thunderbird, phone, generic, or a file; else by the names of the columns
    #[arg(long, value_name = "NAME|FILE")]
    from_layout: Option<String>,
    /// The charset of the files, such as gb18030; else what they look like
    #[arg(long, value_name = "CHARSET", value_parser = charset)]
    from_charset: Option<Charset>,
    /// The sheet of workbooks; else the first that is not hidden
    #[arg(long, value_name = "NAME")]
    from_sheet: Option<String>,
    /// What separates the cells of tables: a character, or tab; else what they look like
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    from_delimiter: Option<char>,
    /// Only contacts in which all these words and digits are found, as by `syncml search`
    #[arg(long, value_name = "WORDS")]
    select: Option<Query>,
    /// Only these fields, such as fn,tel.mobile,email; of cards whole properties, and always the name
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub(super) fields: Option<Vec<Field>>,
}

fn format(text: &str) -> std::result::Result<Format, String> {
    Format::named(text).ok_or_else(|| format!("there are {}", Format::names().collect::<Vec<_>>().join(", ")))
}

pub(super) fn charset(text: &str) -> std::result::Result<Charset, String> {
    Charset::for_label(text).ok_or_else(|| "no such charset is known".to_owned())
}

pub(super) fn delimiter(text: &str) -> std::result::Result<char, String> {
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(char), None) if char.is_ascii() && !"\"\r\n".contains(char) => Ok(char),
        _ => Err("it is one ASCII character, or tab".to_owned()),
    }
}

/// A known layout, or that of a file.
pub(super) fn layout(name: &str) -> Result<Layout> {
    if let Some(known) = Layout::named(name) {
        return Ok(known);
    }
    let path = Path::new(name);
    if !path.exists() {
        let known: Vec<_> = Layout::names().collect();
        return Err(Failure::usage(format!(
            "there is no layout {name:?}, and no such file; there are {}",
            known.join(", ")
        )));
    }
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, "read", &error))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Layout::parse(&stem, &text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// What was taken of files so far.
#[derive(Default)]
pub(crate) struct Taken {
    /// Contacts that went on.
    pub(crate) contacts: u64,
    /// What could not be used: file and reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// Columns that no field is known for, with their file.
    pub(crate) unknown: Vec<(String, Vec<String>)>,
}

impl SourceArgs {
    pub(super) fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        selection.query.clone_from(&self.select);
        selection.fields.clone_from(&self.fields);
        selection
    }

    /// Gives the contacts of a file to `visit`, until it says that it is enough; the file's own faults are noted.
    pub(crate) fn each(
        &self,
        book: &BookKind,
        path: &Path,
        taken: &mut Taken,
        visit: &mut dyn FnMut(Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        let file = path.display().to_string();
        let reading = match self.open(book, path)? {
            Ok(reading) => reading,
            Err(reason) => {
                taken.skipped.push((file, reason));
                return Ok(true);
            }
        };
        if !reading.unknown.is_empty() {
            taken.unknown.push((file.clone(), reading.unknown));
        }
        let selection = self.selection();
        for entry in reading.entries {
            match entry {
                Ok(entry) => {
                    let Some(card) = selection.take(entry.card) else { continue };
                    taken.contacts += 1;
                    if !visit(card)? {
                        return Ok(false);
                    }
                }
                Err(error) => taken.skipped.push((file.clone(), error.to_string())),
            }
        }
        Ok(true)
    }

    fn open(&self, book: &BookKind, path: &Path) -> Result<std::result::Result<Reading<'static>, String>> {
        let mut options = ReadOptions::default();
        let name = path.file_name().unwrap_or_default();
        let packed = is_packed(book, name);
        let inner = if packed { Path::new(path.file_stem().unwrap_or_default()) } else { path };
        let ending = inner.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        options.format = self.from.or_else(|| Format::of_ending(ending));
        options.layout = self.from_layout.as_deref().map(layout).transpose()?;
        options.charset = self.from_charset;
        options.delimiter = self.from_delimiter;
        options.sheet.clone_from(&self.from_sheet);
        Ok(opened(path, packed, &options))
    }
}

fn opened(path: &Path, packed: bool, options: &ReadOptions) -> std::result::Result<Reading<'static>, String> {
    fn reading(
        from: impl Read + Seek + 'static,
        options: &ReadOptions,
    ) -> std::result::Result<Reading<'static>, String> {
        read(from, options).map_err(|error| error.to_string())
    }
    if packed {
        let content = fs::read(path).map_err(|error| error.to_string())?;
        let content = unpack(&content, MOST_UNPACKED).map_err(|error| error.to_string())?;
        return reading(Cursor::new(content), options);
    }
    reading(File::open(path).map_err(|error| error.to_string())?, options)
}

impl Taken {
    /// Says on the screen what was not used, and what was kept that nobody knows.
    pub(crate) fn tell(&self) {
        for (file, columns) in &self.unknown {
            eprintln!("{file}: columns kept as they are, since no field is known for them: {}", columns.join(", "));
        }
        for (file, reason) in &self.skipped {
            eprintln!("skipped {file}: {reason}");
        }
    }

    pub(crate) fn skipped_json(&self) -> serde_json::Value {
        let skipped = self.skipped.iter().map(|(file, reason)| serde_json::json!({ "file": file, "reason": reason }));
        skipped.collect()
    }
}
