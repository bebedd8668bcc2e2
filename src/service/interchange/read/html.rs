//! Tables of web pages; of a page without any its text.

use super::table::Columns;
use super::{Entry, ReadOptions, talk};
use crate::service::interchange::error::{InterchangeError, Result};
use crate::service::interchange::table::Row;

/// What a page is made of.
enum Token<'p> {
    Text(&'p str),
    /// The name of a tag; `/name` where it closes.
    Tag(&'p str),
}

/// The contacts of a page, and the columns that are not known.
pub(super) fn read(page: &str, options: &ReadOptions) -> Result<Contacts> {
    let (tables, text) = parse(page, options.limits.columns);
    let found = contacts(&tables, &text, options)?;
    if found.entries.is_empty() {
        let what = "the page has no table of contacts, and no numbers in its text";
        return Err(InterchangeError::Unusable(what.to_owned()));
    }
    Ok(found)
}

/// What is in tables, or in a text.
#[derive(Default)]
pub(super) struct Contacts {
    pub(super) entries: Vec<Result<Entry>>,
    /// Columns that are not known.
    pub(super) unknown: Vec<String>,
    /// The last table that has contacts.
    pub(super) table: Option<Columns>,
}

/// The contacts of tables, else of a text.
pub(super) fn contacts(tables: &[Vec<Row>], text: &str, options: &ReadOptions) -> Result<Contacts> {
    let mut found = Contacts::default();
    for rows in tables {
        let mut rows = rows.iter().filter(|row| !row.is_blank());
        // A title may stand above the names of the columns.
        let heads = rows.by_ref().take(3).enumerate();
        let Some(columns) = heads.filter_map(|(at, row)| Columns::of(&row.cells, at, options.layout.as_ref())).next()
        else {
            continue;
        };
        found.entries.extend(rows.filter_map(|row| columns.entry(row).transpose()));
        found.unknown.extend(columns.unknown.iter().cloned());
        found.table = Some(columns);
    }
    if found.entries.is_empty() {
        found.entries = talk::read(text.as_bytes(), options.limits)?;
    }
    Ok(found)
}

/// Its tables, those within others apart, and all of its text.
fn parse(page: &str, most: usize) -> (Vec<Vec<Row>>, String) {
    let (mut done, mut open): (Vec<Vec<Row>>, Vec<Vec<Row>>) = (Vec::new(), Vec::new());
    let (mut text, mut line, mut hidden) = (String::new(), 1_u64, false);
    for token in Tokens(page) {
        match token {
            Token::Text(piece) => {
                let said = entities(piece);
                if !hidden {
                    let said = if said.trim().is_empty() { " " } else { said.as_str() };
                    let said = said.replace(['\n', '\r', '\t'], " ");
                    text.push_str(&said);
                    if let Some(cell) =
                        open.last_mut().and_then(|rows| rows.last_mut()).and_then(|row| row.cells.last_mut())
                    {
                        cell.push_str(&said);
                    }
                }
                line += piece.bytes().filter(|byte| *byte == b'\n').count() as u64;
            }
            Token::Tag(tag) => {
                let name = tag.split(|c: char| c.is_whitespace()).next().unwrap_or_default().trim_end_matches('/');
                match name.to_ascii_lowercase().as_str() {
                    "script" | "style" => hidden = true,
                    "/script" | "/style" => hidden = false,
                    "table" if open.len() < 16 => open.push(Vec::new()),
                    "/table" => done.extend(open.pop()),
                    "tr" => {
                        text.push('\n');
                        if let Some(rows) = open.last_mut() {
                            rows.push(Row { line, cells: Vec::new() });
                        }
                    }
                    "td" | "th" => {
                        text.push(' ');
                        let row = open.last_mut().and_then(|rows| rows.last_mut());
                        if let Some(row) = row.filter(|row| row.cells.len() < most) {
                            row.cells.push(String::new());
                        }
                    }
                    "br" | "p" | "/p" | "div" | "/div" | "li" | "h1" | "h2" | "h3" => {
                        text.push('\n');
                        if let Some(cell) =
                            open.last_mut().and_then(|rows| rows.last_mut()).and_then(|row| row.cells.last_mut())
                        {
                            cell.push('\n');
                        }
                    }
                    _ => {}
                }
                line += tag.bytes().filter(|byte| *byte == b'\n').count() as u64;
            }
        }
    }
    done.extend(open);
    for cell in done.iter_mut().flatten().flat_map(|row| &mut row.cells) {
        let lines = cell.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        *cell = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    }
    (done, text)
}

struct Tokens<'p>(&'p str);

impl<'p> Iterator for Tokens<'p> {
    type Item = Token<'p>;

    fn next(&mut self) -> Option<Token<'p>> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("-->").map_or(comment.len(), |at| at + 3);
            self.0 = &comment[end..];
            return Some(Token::Tag(&comment[..end]));
        }
        if let Some(tag) =
            rest.strip_prefix('<').filter(|tag| tag.starts_with(|c: char| c.is_alphabetic() || "/!?".contains(c)))
        {
            let end = tag.find('>').unwrap_or(tag.len());
            self.0 = tag.get(end + 1..).unwrap_or_default();
            return Some(Token::Tag(&tag[..end]));
        }
        let end = rest.char_indices().skip(1).find(|(_, char)| *char == '<').map_or(rest.len(), |(at, _)| at);
        self.0 = &rest[end..];
        Some(Token::Text(&rest[..end]))
    }
}

/// A text without references to characters; those that are not known stay.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let name = end.map_or("", |end| &rest[1..end]);
        let char = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some(' '),
            _ => name.strip_prefix('#').and_then(|number| {
                let hex = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
                hex.unwrap_or_else(|| number.parse()).ok().and_then(char::from_u32)
            }),
        };
        match (char, end) {
            (Some(char), Some(end)) => {
                out.push(char);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}
