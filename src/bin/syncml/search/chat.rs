//! A chat that is answered, line by line.

use super::Asked;
use crate::database::DatabaseArgs;
use crate::failure::{Exit, Failure, Result};
use crate::history::place::Place;
use crate::output;
use std::io::{BufRead as _, Read as _, stdin};
use syncml::contact::identity::Kind;
use syncml::service::interchange::Chat;

/// The longest line, in bytes.
const MOST: u64 = 64 << 10;

/// Contacts that a question is held against.
const FOUND: usize = 100;

pub(super) fn run(db: &DatabaseArgs, user: &str, book: &str) -> Result<()> {
    let place = Place::open(db, user, book)?;
    if place.book.book.kind() != Kind::Contact {
        return Err(Failure::usage("--chat: only a book of contacts can be asked"));
    }
    let (mut chat, mut from) = (Chat::default(), stdin().lock());
    loop {
        let mut line = Vec::new();
        let size = from.by_ref().take(MOST).read_until(b'\n', &mut line);
        if size.map_err(|error| Failure::new(Exit::File, format!("standard input: {error}")))? == 0 {
            return Ok(());
        }
        let Some(question) = chat.line(&String::from_utf8_lossy(&line)) else { continue };
        let mut found = Vec::new();
        if let Some(query) = question.query() {
            let asked =
                Asked { store: place.store.as_ref(), account: place.account, book: Some(place.book.book), query };
            found.extend(asked.page(None, FOUND)?.0.into_iter().map(|hit| hit.item.content.into_owned()));
        }
        output::line(&question.answer(&found));
    }
}
