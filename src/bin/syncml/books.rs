//! The books of an account, as the command line names them.

use crate::failure::{Exit, Failure, Result};
use std::collections::HashMap;
use syncml::contact::identity::identify;
use syncml::store::{AccountNo, BookNo, Guid, Store, StoreError};

/// What an item is called that says nothing about itself.
pub(crate) const NO_NAME: &str = "(no name)";

/// A book that every account has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BookKind {
    pub(crate) book: BookNo,
    pub(crate) name: &'static str,
    /// The ending of its files; `None` takes any.
    pub(crate) ending: Option<&'static str>,
    /// What one of its items is called.
    pub(crate) noun: &'static str,
}

const BOOKS: [BookKind; 6] = [
    BookKind { book: BookNo::CONTACTS, name: "contacts", ending: Some("vcf"), noun: "contact" },
    BookKind { book: BookNo::CALENDAR, name: "calendar", ending: Some("ics"), noun: "event" },
    BookKind { book: BookNo::TASKS, name: "tasks", ending: Some("ics"), noun: "task" },
    BookKind { book: BookNo::NOTES, name: "notes", ending: Some("txt"), noun: "note" },
    BookKind { book: BookNo::BOOKMARKS, name: "bookmarks", ending: Some("vbk"), noun: "bookmark" },
    BookKind { book: BookNo::FILES, name: "files", ending: None, noun: "file" },
];

impl BookKind {
    /// What a list would show for an item; `None` when it says nothing about itself.
    pub(crate) fn label(&self, content: &[u8]) -> Option<String> {
        identify(self.book.kind(), content).label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty())
    }
}

/// What these items are called; each has a name.
pub(crate) fn names(
    store: &dyn Store,
    account: AccountNo,
    book: &BookKind,
    guids: &[Guid],
) -> std::result::Result<HashMap<Guid, String>, StoreError> {
    let mut names = HashMap::new();
    for page in guids.chunks(500) {
        store.look(account, &mut |tx| {
            for (guid, item) in page.iter().zip(tx.items(book.book, page)?) {
                let name = item.and_then(|item| book.label(&item.content));
                names.insert(*guid, name.unwrap_or_else(|| NO_NAME.to_owned()));
            }
            Ok(())
        })?;
    }
    Ok(names)
}

/// The book of that name.
pub(crate) fn named(name: &str) -> Result<&'static BookKind> {
    let wanted = if name.eq_ignore_ascii_case("addressbook") { "contacts" } else { name };
    BOOKS.iter().find(|book| book.name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let names: Vec<_> = BOOKS.iter().map(|book| book.name).collect();
        Failure::new(Exit::UnknownBook, format!("there is no book {name:?}; there are {}", names.join(", ")))
    })
}

/// All books.
pub(crate) fn all() -> &'static [BookKind] {
    &BOOKS
}
