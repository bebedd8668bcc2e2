//! What a writer needs to know of a content before it stores it.

use super::{BookNo, Draft};
use crate::contact::identity::{Kind, identify};
use crate::contact::merge::{Prefer, merge3, union};
use std::borrow::Cow;

impl BookNo {
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
            _ => Kind::Other,
        }
    }
}

impl<'a> Draft<'a> {
    /// The draft of an item of `book` that holds `content`, with its fingerprint and match keys.
    #[must_use]
    pub fn of(book: BookNo, content: impl Into<Cow<'a, [u8]>>) -> Self {
        let content = content.into();
        let identity = identify(book.kind(), &content);
        Self {
            fingerprint: identity.fingerprint.0,
            keys: identity.keys.iter().map(|key| key.0).collect(),
            content,
            ..Self::default()
        }
    }
}

/// The merge of the current version of an item with a user's new one, both made from `base`; where both changed the same
/// thing, the new one wins. `None` where nothing but bytes are known of the book's items, or they cannot be read.
pub(super) fn merge(book: BookNo, base: Option<&[u8]>, current: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let merged = match (book.kind(), base) {
        (Kind::Contact, Some(base)) => merge3(base, current, new, Prefer::Incoming),
        (Kind::Contact, None) => union(new, current),
        _ => None,
    };
    merged.map(|merged| merged.content)
}
