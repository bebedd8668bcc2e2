//! Cards as files hold them.

use crate::books::BookKind;
use crate::folder::is_packed;
use std::borrow::Cow;
use std::fs;
use std::path::Path;
use syncml::contact::card::{Card, Charset, Limits, decode_document};
use syncml::service::book::unpack;
use syncml::store::BookNo;

/// The most that is taken out of a packed file of cards, in bytes.
const MOST_UNPACKED: usize = 256 << 20;

/// What a file holds; of a packed one, what is in it.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn load(book: &BookKind, path: &Path) -> Result<Vec<u8>, String> {
    let content = fs::read(path).map_err(|error| error.to_string())?;
    match path.file_name().is_some_and(|name| is_packed(book, name)) {
        true => unpack(&content, MOST_UNPACKED).map_err(|error| error.to_string()),
        false => Ok(content),
    }
}

/// Whether a file holds one usable item of the book.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn check(book: &BookKind, content: &[u8]) -> Result<(), String> {
    if content.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if book.book != BookNo::CONTACTS {
        return Ok(());
    }
    let text = decode_document(content);
    let mut complete = 0;
    for card in Card::parse_all(&text, &Limits::default(), Charset::WINDOWS_1252).map_err(|error| no_card(&error))? {
        if !card.map_err(|error| no_card(&error))?.is_complete() {
            return Err("the card has no END:VCARD; the file seems cut off".to_owned());
        }
        complete += 1;
    }
    match complete {
        0 => Err("it is not a vCard: there is no line BEGIN:VCARD".to_owned()),
        1 => Ok(()),
        many => Err(format!("it holds {many} cards; one file holds one (`syncml import` splits them)")),
    }
}

/// The items in a file: for contacts each card on its own, else the file as it is.
///
/// # Errors
/// A sentence that says what is wrong; what came before it is usable and given back too.
pub(crate) fn split<'a>(book: &BookKind, content: &'a [u8]) -> (Vec<Cow<'a, [u8]>>, Option<String>) {
    if book.book != BookNo::CONTACTS {
        return match check(book, content) {
            Ok(()) => (vec![Cow::Borrowed(content)], None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
    }
    let text = decode_document(content);
    let mut found: Vec<Cow<'a, [u8]>> = Vec::new();
    let cards = match Card::parse_all(&text, &Limits::default(), Charset::WINDOWS_1252) {
        Ok(cards) => cards,
        Err(error) => return (found, Some(no_card(&error))),
    };
    for card in cards {
        match card {
            Ok(card) if card.is_complete() => found.push(Cow::Owned(card.body().to_vec())),
            Ok(_) => return (found, Some("the last card has no END:VCARD".to_owned())),
            Err(error) => return (found, Some(no_card(&error))),
        }
    }
    if found.is_empty() {
        return (found, Some("it is not a vCard: there is no line BEGIN:VCARD".to_owned()));
    }
    (found, None)
}

fn no_card(error: &syncml::contact::card::Error) -> String {
    format!("it is not a usable vCard: {error}")
}
