//! The datastores of an account, and the many names that devices have for them (§1.3, mission "names that devices use").

use crate::contact::identity::Kind;
use crate::store::BookNo;
use std::borrow::Cow;

/// One of the datastores that every account has.
#[derive(Debug)]
pub struct Datastore {
    /// Its number.
    pub book: BookNo,
    /// Its own name.
    pub name: &'static str,
    /// What its items are.
    pub kind: Kind,
    /// Names under which devices ask for it.
    aliases: &'static [&'static str],
    /// Media types and versions, the preferred one first.
    pub types: &'static [(&'static str, &'static str)],
    /// Whether its items may be in folders (§3.15).
    pub folders: bool,
}

/// The six datastores, ascending by number.
pub const DATASTORES: [Datastore; 6] = [
    Datastore {
        book: BookNo::CONTACTS,
        name: "contacts",
        kind: Kind::Contact,
        aliases: &["contact", "addressbook", "card", "cards", "scard", "vcard", "pb", "phonebook", "people"],
        types: &[("text/vcard", "3.0"), ("text/x-vcard", "2.1")],
        folders: false,
    },
    Datastore {
        book: BookNo::CALENDAR,
        name: "calendar",
        kind: Kind::Calendar,
        aliases: &["cal", "scal", "event", "events", "vcal", "agenda"],
        types: &[("text/calendar", "2.0"), ("text/x-vcalendar", "1.0")],
        folders: false,
    },
    Datastore {
        book: BookNo::TASKS,
        name: "tasks",
        kind: Kind::Task,
        aliases: &["task", "todo", "todos", "stask", "vtodo"],
        types: &[("text/calendar", "2.0"), ("text/x-vcalendar", "1.0")],
        folders: false,
    },
    Datastore {
        book: BookNo::NOTES,
        name: "notes",
        kind: Kind::Note,
        aliases: &["note", "memo", "memos", "snote"],
        types: &[("text/plain", "1.0"), ("text/x-vnote", "1.1")],
        folders: false,
    },
    Datastore {
        book: BookNo::BOOKMARKS,
        name: "bookmarks",
        kind: Kind::Bookmark,
        aliases: &["bookmark", "vbookmark"],
        types: &[("text/x-vbookmark", "1.0"), ("text/plain", "1.0")],
        folders: false,
    },
    Datastore {
        book: BookNo::FILES,
        name: "files",
        kind: Kind::File,
        aliases: &["file", "briefcase"],
        types: &[
            ("application/vnd.omads-file+xml", "1.2"),
            ("application/octet-stream", "1.0"),
            ("application/vnd.omads-folder+xml", "1.2"),
        ],
        folders: true,
    },
];

/// The path of books of contacts that have a name ([`BookNo::of_name`]), before it.
const NAMED: &str = "book/";
/// That of books of files ([`BookNo::of_files_name`]).
const NAMED_FILES: &str = "box/";

/// The datastore with that number. A book with a name is one of contacts or of files.
#[must_use]
pub fn by_number(book: BookNo) -> Option<&'static Datastore> {
    let book = match book {
        _ if book.is_named_files() => BookNo::FILES,
        _ if book.is_named() => BookNo::CONTACTS,
        _ => book,
    };
    DATASTORES.iter().find(|datastore| datastore.book == book)
}

/// The book that an address means, and its datastore: one of the six, or one with a name, `./book/f79a61628800f51` (contacts)
/// or `./box/f79a61628800f51` (files).
#[must_use]
pub fn locate(uri: &str) -> Option<(BookNo, &'static Datastore)> {
    if let Some(datastore) = by_uri(uri) {
        return Some((datastore.book, datastore));
    }
    let path = uri.split('?').next().unwrap_or_default().trim_end_matches('/');
    let (before, name) = path.rsplit_once('/')?;
    let parted = before.is_empty() || before.ends_with('/');
    let before = before.rsplit('/').next().filter(|_| !parted)?;
    let is = |path: &str| path.trim_end_matches('/').eq_ignore_ascii_case(before);
    let book = match before {
        _ if is(NAMED) => BookNo::of_name(name)?,
        _ if is(NAMED_FILES) => BookNo::of_files_name(name)?,
        _ => return None,
    };
    Some((book, by_number(book)?))
}

/// A book's address, as we write it.
#[must_use]
pub fn address(book: BookNo) -> Option<String> {
    match book.name() {
        Some(name) => Some(format!("./{}{name}", path(book))),
        None => by_number(book).map(|datastore| format!("./{}", datastore.name)),
    }
}

const fn path(book: BookNo) -> &'static str {
    if book.is_named_files() { NAMED_FILES } else { NAMED }
}

/// What a book is called in reports: by its datastore, or `book/f79a61628800f51`, or `box/f79a61628800f51`.
#[must_use]
pub fn title(book: BookNo) -> Cow<'static, str> {
    match book.name() {
        Some(name) => format!("{}{name}", path(book)).into(),
        None => by_number(book).map_or("?", |datastore| datastore.name).into(),
    }
}

/// The datastore that an address means, whatever its spelling: `contacts`, `./Contacts`, `/telecom/card`,
/// `http://host/sync/addressbook?SINCE…`.
#[must_use]
pub fn by_uri(uri: &str) -> Option<&'static Datastore> {
    let path = uri.split('?').next().unwrap_or_default().trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".vcf").unwrap_or(name);
    DATASTORES.iter().find(|datastore| {
        std::iter::once(&datastore.name).chain(datastore.aliases).any(|alias| alias.eq_ignore_ascii_case(name))
    })
}

/// Whether items of this media type are folders.
#[must_use]
pub fn is_folder_type(media_type: &str) -> bool {
    const FOLDER: &str = "application/vnd.omads-folder";
    media_type.trim().get(..FOLDER.len()).is_some_and(|start| start.eq_ignore_ascii_case(FOLDER))
}

/// The datastore whose items have this media type, where only one does.
#[must_use]
pub fn by_media_type(media_type: &str) -> Option<&'static Datastore> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let mut hits = DATASTORES.iter().filter(|d| d.types.iter().any(|(name, _)| name.eq_ignore_ascii_case(essence)));
    hits.next().filter(|_| hits.next().is_none())
}

/// Whether two addresses mean the same place: `./x`, `x` and an absolute URL ending in `x` do (§1.3).
#[must_use]
pub fn same_place(one: &str, other: &str) -> bool {
    fn tail(uri: &str) -> &str {
        let path = uri.split('?').next().unwrap_or_default().trim_end_matches('/');
        match path.split_once("://") {
            Some((_, rest)) => rest.rsplit('/').next().unwrap_or_default(),
            None => path.trim_start_matches("./").trim_start_matches('/'),
        }
    }
    one == other || tail(one) == tail(other)
}

#[cfg(test)]
mod tests {
    use super::{address, by_media_type, by_uri, locate, same_place, title};
    use crate::contact::identity::Kind;

    #[test]
    fn devices_spell_names_in_many_ways() {
        for (uri, name) in [
            ("contacts", "contacts"),
            ("./Contacts", "contacts"),
            ("addressbook", "contacts"),
            ("card", "contacts"),
            ("/telecom/pb.vcf", "contacts"),
            ("http://sync.example.com/sync/contacts/", "contacts"),
            ("./calendar?SINCE&EQ;20240101T000000Z", "calendar"),
            ("todo", "tasks"),
            ("memo", "notes"),
            ("./Bookmark", "bookmarks"),
        ] {
            assert_eq!(by_uri(uri).map(|d| d.name), Some(name), "{uri}");
        }
        assert!(by_uri("nowhere").is_none());
        assert!(by_uri("").is_none());
    }

    #[test]
    fn books_with_a_name_have_an_address() {
        for (uri, name) in [
            ("./book/f79a61628800f51", Some("f79a61628800f51")),
            ("book/F79A61628800F51f7e3", Some("f79a61628800f51")),
            ("http://host/sync/Book/f79a61628800f51/?x", Some("f79a61628800f51")),
            ("./book/f79a61628800f5", None),
            ("f79a61628800f51", None),
            ("//f79a61628800f51", None),
            ("./books/f79a61628800f51", None),
            ("./book/x79a61628800f51", None),
        ] {
            let found = locate(uri);
            assert_eq!(found.and_then(|(book, _)| book.name()).as_deref(), name, "{uri}");
            if let Some((book, datastore)) = found {
                assert_eq!(
                    (datastore.kind, locate(&address(book).unwrap()).map(|it| it.0)),
                    (Kind::Contact, Some(book))
                );
                assert_eq!(title(book), "book/f79a61628800f51");
            }
        }
        let (files, datastore) = locate("http://host/sync/BOX/f79a61628800f51f7/").unwrap();
        assert_eq!((datastore.kind, address(files).as_deref()), (Kind::File, Some("./box/f79a61628800f51")));
        assert_eq!(title(files), "box/f79a61628800f51");
        assert_ne!(locate("./book/f79a61628800f51").unwrap().0, files);
        let (book, datastore) = locate("./card").unwrap();
        assert_eq!((book, address(book).as_deref(), &*title(book)), (datastore.book, Some("./contacts"), "contacts"));
    }

    #[test]
    fn a_media_type_names_a_store_only_if_it_is_the_only_one() {
        assert_eq!(by_media_type("text/x-vcard; charset=utf-8").map(|d| d.name), Some("contacts"));
        assert!(by_media_type("text/calendar").is_none(), "calendar and tasks share it");
    }

    #[test]
    fn addresses_are_compared_by_place() {
        assert!(same_place("./x", "x"));
        assert!(same_place("http://host/a/x", "./x"));
        assert!(same_place("x?y&EQ;1", "x"));
        assert!(!same_place("./x", "./y"));
    }
}
