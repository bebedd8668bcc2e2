//! What of an item can be searched, and what a search wants: pure functions that every store shares.
//!
//! | what is searched | how it is found |
//! |---|---|
//! | words: names, organisations, addresses, e-mail, notes, extensions | by the beginning of a word; case, accents and width do not count: `zoe` finds `Zoë` |
//! | numbers of three digits and more, in whatever property | by any digits in a row, at least three: `0013` finds `+86 138-0013-8000` |
//! | Han, kana, bopomofo, Hangul | by any characters in a row: `小明` finds `王小明` |
//! | several words | all of them have to be found, each anywhere in the item |
//!
//! Hits in names, organisations and telephone numbers ([`Rank::Name`]) come before others. Not searched: pictures, sounds, keys and
//! what only programs read (UID, REV, PRODID, VERSION …); of an item the first [`MOST_TEXT`] characters, of one property the first
//! [`MOST_OF_ONE`].

mod fold;
mod query;
#[cfg(test)]
mod tests;

pub use query::{Match, Query, QueryError, Rank, TermQuery};

use super::card::{Card, Charset, Limits, Property, content_lines, decode_document};
use super::identity::{Kind, head};
use fold::Tokens;
use std::borrow::Cow;

/// How many characters of an item are searched.
pub const MOST_TEXT: usize = 8 * 1024;
/// How many characters of one property are searched.
pub const MOST_OF_ONE: usize = 2 * 1024;
/// How many characters of a property are shown with a hit.
const SHOWN: usize = 160;

/// What of an item can be searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searchable {
    fields: Vec<Field>,
}

/// A property that can be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    shown: String,
    /// Whether it says who it is, or how to call.
    primary: bool,
    tokens: Tokens,
}

/// What of an item can be searched, from its content, of large content its beginning.
#[must_use]
pub fn searchable(kind: Kind, content: &[u8]) -> Searchable {
    let mut found = Found { fields: Vec::new(), left: MOST_TEXT };
    match kind {
        Kind::Contact => {
            if let Ok(card) = Card::parse(content) {
                card.properties().iter().for_each(|property| found.property(property));
            }
        }
        Kind::Calendar | Kind::Task | Kind::Bookmark | Kind::Note => {
            let content = decode_document(head(kind, content));
            let lines = content_lines(&content, &Limits::default(), Charset::WINDOWS_1252).unwrap_or_default();
            if lines.first().is_some_and(|line| line.is("BEGIN")) {
                lines.iter().for_each(|property| found.property(property));
            } else if let Ok(text) = std::str::from_utf8(&content) {
                found.text("TEXT", text, false);
            }
        }
        Kind::File => found.file(head(kind, content)),
        Kind::Other => {}
    }
    Searchable { fields: found.fields }
}

struct Found {
    fields: Vec<Field>,
    left: usize,
}

impl Found {
    fn property(&mut self, property: &Property<'_>) {
        let name = property.name().to_ascii_uppercase();
        if is_for_programs(&name) || property.is_binary() || self.left == 0 {
            return;
        }
        match name.as_str() {
            "TEL" => {
                let text = property.text();
                let text = self.cut(&text);
                let tokens = Tokens::of_number(&text);
                self.push(name, &text, true, tokens);
            }
            "N" | "ORG" | "ADR" => self.text(&name, &property.components().join(" "), name != "ADR"),
            _ => {
                let primary = matches!(name.as_str(), "FN" | "NICKNAME" | "SORT-STRING" | "SUMMARY" | "TITLE")
                    || name.starts_with("X-PHONETIC");
                self.text(&name, &property.text(), primary);
            }
        }
    }

    /// A file data object: its name, and what is in it if that is text. Anything else, if it is text.
    fn file(&mut self, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else { return };
        if text.contains('\0') {
            return;
        }
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once('<').map(|(inner, _)| inner)
        };
        match element("name") {
            Some(name) => {
                self.text("NAME", &plain(name), true);
                let is_text = element("cttype").is_some_and(|media| media.trim_start().starts_with("text/"));
                let body = text.split_once("<body").and_then(|(_, rest)| rest.split_once('>'));
                let Some((attributes, rest)) = body.filter(|_| is_text) else { return };
                let body = rest.split('<').next().unwrap_or_default();
                if attributes.contains("base64") {
                    self.text("BODY", &packed(body), false);
                } else {
                    self.text("BODY", &plain(body), false);
                }
            }
            None => self.text("TEXT", text, false),
        }
    }

    fn text(&mut self, name: &str, text: &str, primary: bool) {
        let text = self.cut(text);
        let tokens = Tokens::of(&text);
        self.push(name.to_owned(), &text, primary, tokens);
    }

    fn cut<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let most = self.left.min(MOST_OF_ONE);
        // A text has no more characters than bytes.
        let (cut, count) = match text.len() > most {
            false => (text, text.len()),
            true => match text.char_indices().nth(most) {
                None => (text, text.chars().count()),
                Some((end, _)) => (&text[..end], most),
            },
        };
        self.left = self.left.saturating_sub(count);
        Cow::Borrowed(cut)
    }

    fn push(&mut self, name: String, text: &str, primary: bool, tokens: Tokens) {
        if tokens != Tokens::default() {
            let shown = text.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.fields.push(Field { name, shown, primary, tokens });
        }
    }
}

/// The text in base64, as far as it goes.
fn packed(body: &str) -> String {
    use base64::Engine as _;
    let mut digits: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').collect();
    // What was cut off in a large object.
    digits.truncate(digits.len() / 4 * 4 + if digits.len() % 4 == 1 { 0 } else { digits.len() % 4 });
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(digits).unwrap_or_default();
    match bytes.contains(&0) {
        true => String::new(),
        false => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Properties that say nothing to people, or are no text.
fn is_for_programs(name: &str) -> bool {
    const NAMES: [&str; 30] = [
        "ACTION",
        "BEGIN",
        "CALSCALE",
        "CLASS",
        "CLIENTPIDMAP",
        "CREATED",
        "DALARM",
        "DTEND",
        "DTSTAMP",
        "DTSTART",
        "DUE",
        "DURATION",
        "END",
        "GEO",
        "KEY",
        "KIND",
        "LANG",
        "LAST-MODIFIED",
        "LOGO",
        "METHOD",
        "PHOTO",
        "PRODID",
        "REV",
        "RRULE",
        "SEQUENCE",
        "SOUND",
        "TRIGGER",
        "TZ",
        "UID",
        "VERSION",
    ];
    NAMES.binary_search(&name).is_ok()
}

impl Searchable {
    /// Under which terms a store's index has the item: each once, ascending. Letters and digits of ASCII in lower case, and
    /// what is not ASCII.
    ///
    /// A term begins with `a`, or with `b` where it is of a property that counts less and not under `a` too. Then `w` and a word, `s` and
    /// the first one or two characters of a word, `n` and three digits in a row, `c` and one or two CJK characters in a row.
    #[must_use]
    pub fn terms(&self) -> Vec<String> {
        let terms = |primary: bool| {
            let mut terms = Vec::new();
            for field in self.fields.iter().filter(|field| field.primary == primary) {
                for word in &field.tokens.words {
                    let mut chars = word.char_indices().skip(1).map(|(at, _)| at).chain([word.len()]);
                    let one = chars.next().unwrap_or_default();
                    terms.push(format!("s{}", &word[..one]));
                    if let Some(two) = chars.next() {
                        terms.push(format!("s{}", &word[..two]));
                    }
                    terms.push(format!("w{word}"));
                }
                for number in &field.tokens.numbers {
                    terms.extend(
                        number.as_bytes().windows(3).map(|three| format!("n{}", String::from_utf8_lossy(three))),
                    );
                }
                for run in &field.tokens.runs {
                    terms.extend(pieces(run).map(|piece| format!("c{piece}")));
                    terms.extend(run.chars().map(|c| format!("c{c}")));
                }
            }
            terms.sort_unstable();
            terms.dedup();
            terms
        };
        let (first, rest) = (terms(true), terms(false));
        let rest = rest.into_iter().filter(|term| first.binary_search(term).is_err()).map(|term| format!("b{term}"));
        let rest: Vec<_> = rest.collect();
        first.iter().map(|term| format!("a{term}")).chain(rest).collect()
    }
}

/// Each two characters in a row.
fn pieces(run: &str) -> impl Iterator<Item = &str> {
    let starts = run.char_indices().map(|(at, _)| at);
    let ends = run.char_indices().map(|(at, c)| at + c.len_utf8()).skip(1);
    starts.zip(ends).map(|(start, end)| &run[start..end])
}
