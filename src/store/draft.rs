//! What a writer needs to know of a content before it stores it.

use super::{BookNo, Draft};
use crate::contact::identity::{Kind, identify};
use crate::contact::merge::{Prefer, merge3, union};
use std::borrow::Cow;

/// The bit that books of contacts with a name have in their number.
const NAMED: i64 = 1 << 60;
/// The bit that books of files with a name have.
const NAMED_FILES: i64 = 1 << 61;
/// How many hexadecimal digits of a name are in the number: all bits below that one.
const DIGITS: usize = 15;
/// The digits of the longest name.
const MOST_DIGITS: usize = 64;

impl BookNo {
    /// A book of contacts beside the six that every account has: one that a device backs up, by its name (mission B2), which
    /// is 15 to 64 hexadecimal digits. The first 15 are its number. `None` for anything else.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        bits(name).map(|bits| Self(NAMED | bits))
    }

    /// A book of files beside the one that every account has, by its name: what a box keeps of one application (mission C3).
    /// Names are as those of [`of_name`](Self::of_name); the same name of either kind is another book.
    #[must_use]
    pub fn of_files_name(name: &str) -> Option<Self> {
        bits(name).map(|bits| Self(NAMED_FILES | bits))
    }

    /// Whether it is a book with a name.
    #[must_use]
    pub const fn is_named(self) -> bool {
        matches!(self.0 >> 60, 1 | 2)
    }

    /// Whether it is a book of files with a name.
    #[must_use]
    pub const fn is_named_files(self) -> bool {
        self.0 >> 60 == 2
    }

    /// The first digits of its name, if it has one.
    #[must_use]
    pub fn name(self) -> Option<String> {
        self.is_named().then(|| format!("{:015x}", self.0 & (NAMED - 1)))
    }

    /// What the items of this book are.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::CONTACTS => Kind::Contact,
            Self::CALENDAR => Kind::Calendar,
            Self::TASKS => Kind::Task,
            Self::NOTES => Kind::Note,
            Self::BOOKMARKS => Kind::Bookmark,
            Self::FILES => Kind::File,
            _ if self.is_named_files() => Kind::File,
            _ if self.is_named() => Kind::Contact,
            _ => Kind::Other,
        }
    }
}

/// The first digits of a name, as a number.
fn bits(name: &str) -> Option<i64> {
    let digits = name.get(..DIGITS).filter(|_| name.len() <= MOST_DIGITS)?;
    let all = name.bytes().all(|byte| byte.is_ascii_hexdigit());
    i64::from_str_radix(digits, 16).ok().filter(|_| all)
}

impl<'a> Draft<'a> {
    /// The draft of an item of `book` that holds `content`, with its fingerprint and match keys.
    #[must_use]
    pub fn of(book: BookNo, content: impl Into<Cow<'a, [u8]>>) -> Self {
        let content = content.into();
        let identity = identify(book.kind(), &content);
        Self {
            fingerprint: identity.fingerprint.0,
            keys: identity.keys.into_iter().map(|key| key.0).collect(),
            content,
            ..Self::default()
        }
    }
}

/// The merge of the current version of an item with a user's new one, both made from `base`; where both changed the same
/// thing, the one that is preferred wins: the names of these fields follow. `None` where nothing but bytes are known of the book's items, or
/// they cannot be read.
pub(super) fn merge(
    book: BookNo,
    base: Option<&[u8]>,
    current: &[u8],
    new: &[u8],
    prefer: Prefer,
) -> Option<(Vec<u8>, Vec<String>)> {
    let merged = match (book.kind(), base, prefer) {
        (Kind::Contact, Some(base), _) => merge3(base, current, new, prefer),
        (Kind::Contact, None, Prefer::Incoming) => union(new, current),
        (Kind::Contact, None, Prefer::Current) => union(current, new),
        _ => None,
    };
    merged.map(|merged| (merged.content, merged.conflicts.into_iter().map(|conflict| conflict.property).collect()))
}

#[cfg(test)]
mod tests {
    use super::{BookNo, Kind};

    #[test]
    fn names_are_numbers() {
        for (name, number) in [
            ("000000000000000", Some(1 << 60)),
            ("fffffffffffffff", Some((1 << 61) - 1)),
            ("F79A61628800F51F7e", Some(1 << 60 | 0xf79_a616_2880_0f51)),
            ("f79a61628800f5", None),
            ("f79a61628800f51g", None),
            ("+79a61628800f51", None),
            ("f79a61628800f5é", None),
            (&"0".repeat(65), None),
        ] {
            let book = BookNo::of_name(name);
            assert_eq!(book.map(|book| book.0), number, "{name}");
            if let Some(book) = book {
                assert_eq!((book.is_named(), book.kind()), (true, Kind::Contact));
                assert_eq!(book.name().as_deref(), name.to_lowercase().get(..15));
            }
            let files = BookNo::of_files_name(name);
            assert_eq!(files.map(|book| book.0), number.map(|number| number + (1 << 60)), "{name}");
            if let Some(files) = files {
                assert_eq!((files.is_named(), files.is_named_files(), files.kind()), (true, true, Kind::File));
                assert_eq!(files.name(), book.and_then(BookNo::name));
            }
        }
        for book in [0, 1, 6, 7, 1 << 59, 3 << 60, 1 << 62, -1, i64::MIN, i64::MAX].map(BookNo) {
            assert!(!book.is_named() && book.name().is_none(), "{book}");
        }
    }
}
