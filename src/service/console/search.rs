//! What a page lists: the items of a book in their order, or those that a search finds.

use super::session::SignedIn;
use crate::contact::search::{Query, QueryError};
use crate::store::search::{Cursor, search};
use crate::store::{BookNo, Guid, Result, Revision};

/// Items of a page.
const PAGE: usize = 50;
/// Items read at a time, the deleted ones among them.
const CHUNK: usize = 200;

/// An item that is listed.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) book: BookNo,
    pub(super) guid: Guid,
    pub(super) content: Vec<u8>,
}

/// A page of items.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) items: Vec<Listed>,
    /// Where to go on, if there may be more.
    pub(super) next: Option<String>,
}

/// What somebody looks for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Everything there is.
    All,
    /// What has these words.
    Words(Query),
    /// Something that nothing has: more words than anybody means, or marks only.
    Nothing,
}

impl Wanted {
    pub(super) fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(query) => Self::Words(query),
            Err(QueryError::Empty) if text.trim().is_empty() => Self::All,
            Err(_) => Self::Nothing,
        }
    }

    pub(super) const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// The next page of a book, from where the one before ended. Words are looked for in all books where the book is that of the
/// contacts, which people begin with.
pub(super) fn find(who: &SignedIn, book: BookNo, wanted: &Wanted, after: &str) -> Result<Found> {
    match wanted {
        Wanted::All => list(who, book, after.parse().map_or(Guid(0), Guid)),
        Wanted::Words(query) => {
            let within = (book != BookNo::CONTACTS).then_some(book);
            // One that is none begins anew.
            let cursor: Option<Cursor> = after.parse().ok();
            let page = search(who.store(), who.account(), within, query, cursor, PAGE)?;
            let items = page.hits.into_iter().map(|hit| Listed {
                book: hit.book,
                guid: hit.item.guid,
                content: hit.item.content.into_owned(),
            });
            Ok(Found { items: items.collect(), next: page.next.map(|cursor| cursor.to_string()) })
        }
        Wanted::Nothing => Ok(Found::default()),
    }
}

/// The live items of a book, ascending by guid.
fn list(who: &SignedIn, book: BookNo, mut after: Guid) -> Result<Found> {
    let mut found = Found::default();
    loop {
        let page = who.look(|tx| {
            let head = tx.book(book)?.map_or(Revision(0), |row| row.head);
            tx.states(book, head, after, CHUNK)
        })?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        let end = *last;
        for (guid, row) in page {
            let Some(row) = row.filter(|row| !row.deleted) else { continue };
            if found.items.len() == PAGE {
                found.next = Some(after.to_string());
                return Ok(found);
            }
            after = guid;
            found.items.push(Listed { book, guid, content: row.content });
        }
        after = end;
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn what_is_looked_for_is_told_apart() {
        for (text, all, words) in [
            ("", true, false),
            (" \t", true, false),
            ("zoe 012", false, true),
            ("\"><", false, false),
            (&"word ".repeat(99), false, false),
        ] {
            let wanted = Wanted::parse(text);
            assert_eq!((wanted.is_all(), matches!(wanted, Wanted::Words(_))), (all, words), "{text:?}");
        }
    }
}
