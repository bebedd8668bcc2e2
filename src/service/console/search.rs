//! Finding items of a book by words: the one place that knows how.
//!
//! A scan, page by page, that stops after so many items and says where it would go on. A store that has an index of words
//! takes its place here.

use super::session::SignedIn;
use crate::contact::card::{Card, decode_document};
use crate::contact::identity::{Kind, identify};
use crate::store::{BookNo, Guid, Result, Revision, RevisionRow};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Items found per page.
pub(super) const PAGE: usize = 50;
/// Items read at a time.
const CHUNK: usize = 200;
/// Items looked at for one page, found or not.
const MOST_SCANNED: usize = 10_000;
/// Digits that make a number to be searched for.
const FEWEST_DIGITS: usize = 3;
/// Words of a query that count.
const MOST_WORDS: usize = 8;

/// A page of what was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Live items, ascending by guid.
    pub(super) items: Vec<RevisionRow>,
    /// After which item to go on, if there may be more.
    pub(super) next: Option<Guid>,
}

/// The live items of a book in which all words are found, after `after`.
pub(super) fn find(who: &SignedIn, book: BookNo, query: &Query, after: Guid) -> Result<Found> {
    let (mut found, mut after, mut scanned) = (Found::default(), after, 0);
    loop {
        let page = who.look(|tx| {
            let head = tx.book(book)?.map_or(Revision(0), |row| row.head);
            tx.states(book, head, after, CHUNK)
        })?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        let end = *last;
        scanned += page.len();
        for (guid, row) in page {
            after = guid;
            let Some(row) = row.filter(|row| !row.deleted && query.is_in(book.kind(), &row.content)) else { continue };
            found.items.push(row);
            if found.items.len() == PAGE {
                found.next = Some(after);
                return Ok(found);
            }
        }
        after = end;
        if scanned >= MOST_SCANNED {
            found.next = Some(after);
            return Ok(found);
        }
    }
}

/// What somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// These digits, in a row, in a number; or the text as it is.
    Number(String, String),
    /// This text, case and accents aside.
    Text(String),
}

impl Query {
    /// All words of it have to be found. Without words everything is.
    pub(super) fn parse(text: &str) -> Self {
        let words = text.split_whitespace().take(MOST_WORDS).map(|word| {
            let folded = fold(word);
            let digits = digits(word);
            let number =
                digits.len() >= FEWEST_DIGITS && word.chars().all(|c| c.is_ascii_digit() || "+-()./".contains(c));
            if number { Word::Number(digits, folded) } else { Word::Text(folded) }
        });
        Self(words.filter(|word| *word != Word::Text(String::new())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_in(&self, kind: Kind, content: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let (mut texts, mut numbers) = (String::new(), String::new());
        let mut say = |text: &str| {
            texts.push_str(&fold(text));
            texts.push('\n');
        };
        match kind {
            Kind::Contact => {
                let content = decode_document(content);
                let Ok(card) = Card::parse(&content) else { return false };
                for property in card.properties().iter().filter(|property| property.binary().is_none()) {
                    let text = property.text();
                    say(&text);
                    if property.is("TEL") {
                        numbers.push_str(&digits(&text));
                        numbers.push('\n');
                    }
                }
            }
            kind => say(&identify(kind, content).label.unwrap_or_default()),
        }
        self.0.iter().all(|word| match word {
            Word::Number(digits, text) => numbers.contains(digits) || texts.contains(text),
            Word::Text(text) => texts.contains(text),
        })
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Without case, accents and the differences of width that East Asian keyboards make.
fn fold(text: &str) -> String {
    text.nfkd().filter(|char| !is_combining_mark(*char)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Query};

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Östberg;Zoë;;;\r\nFN:Zoë Östberg\r\nORG:Blåbær AB;Lager\r\n\
        TEL;TYPE=CELL:+46 (70) 174-06-01\r\nEMAIL:zoe@example.com\r\nNOTE:飲茶 王小明\r\n\
        PHOTO;ENCODING=b:aGVsbG8=\r\nX-UNKNOWN:secret word\r\nEND:VCARD\r\n";

    #[test]
    fn words_are_found() {
        for (text, expected) in [
            ("", true),
            ("  ", true),
            ("zoe", true),
            ("ZOË", true),
            ("öst zo", true),
            ("ost lager", true),
            ("berg", true),
            ("example.com", true),
            ("王小", true),
            ("小明 飲", true),
            ("word", true),
            ("zoe nobody", false),
            ("4670174", true),
            ("+46-70", true),
            ("0601", true),
            ("174-06", true),
            ("99", false),
            ("12345", false),
            ("aGVsbG8", false),
            ("Ｚｏｅ", true),
        ] {
            assert_eq!(Query::parse(text).is_in(Kind::Contact, CARD.as_bytes()), expected, "{text:?}");
        }
        assert!(!Query::parse("x").is_in(Kind::Contact, b"no card"));
        assert!(Query::parse(" ").is_empty());
    }
}
