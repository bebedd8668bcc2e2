//! The books of an account, as the command line names them.

use crate::failure::{Exit, Failure, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use syncml::contact::identity::identify;
use syncml::service::book::BookId;
use syncml::session::datastore::title;
use syncml::store::{AccountNo, BookNo, Guid, Store, StoreError};

/// What an item is called that says nothing about itself.
pub(crate) const NO_NAME: &str = "(no name)";

/// A book of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The book of that name: one of the six, or one that a device backs up, as `syncml book list` shows it.
pub(crate) fn named(name: &str) -> Result<&'static BookKind> {
    if let Some(book) = name.trim_start_matches("./").strip_prefix("box/").and_then(BookNo::of_files_name) {
        return Ok(backed_up(book));
    }
    if let Ok(id) = name.trim_start_matches("./").trim_start_matches("book/").parse::<BookId>() {
        return Ok(backed_up(id.number()));
    }
    let wanted = if name.eq_ignore_ascii_case("addressbook") { "contacts" } else { name };
    BOOKS.iter().find(|book| book.name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let names: Vec<_> = BOOKS.iter().map(|book| book.name).collect();
        Failure::new(Exit::UnknownBook, format!("there is no book {name:?}; there are {}", names.join(", ")))
    })
}

/// The book with that number, if there is such.
pub(crate) fn numbered(book: BookNo) -> Option<&'static BookKind> {
    if book.is_named() { Some(backed_up(book)) } else { BOOKS.iter().find(|kind| kind.book == book) }
}

/// The books of an account: the six, and those that devices back up.
pub(crate) fn of_account(
    store: &dyn Store,
    account: AccountNo,
) -> std::result::Result<Vec<&'static BookKind>, StoreError> {
    let mut found: Vec<&'static BookKind> = Vec::new();
    store.look(account, &mut |tx| {
        found = BOOKS.iter().collect();
        found.extend(tx.books()?.into_iter().filter(|row| row.book.is_named()).map(|row| backed_up(row.book)));
        Ok(())
    })?;
    Ok(found)
}

/// The book with a name that has that number: of contacts, or of files.
fn backed_up(book: BookNo) -> &'static BookKind {
    static KNOWN: Mutex<BTreeMap<BookNo, &'static BookKind>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // The program names few books and ends soon; that of a server names each once.
    known.entry(book).or_insert_with(|| {
        let name = Box::leak(title(book).into_owned().into_boxed_str());
        let like = if book.is_named_files() { BOOKS[5] } else { BOOKS[0] };
        Box::leak(Box::new(BookKind { book, name, ..like }))
    })
}

/// The six books that every account has.
pub(crate) fn all() -> &'static [BookKind] {
    &BOOKS
}
