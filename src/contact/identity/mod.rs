//! When two items are the same.
//!
//! A [`Fingerprint`] is equal for two items that mean the same, however they are spelt; a [`MatchKey`] is shared by items
//! that may be the same contact, so that a store finds candidates by an index; [`compare`] looks at two candidates and
//! decides, with a reason. Nothing here is personal data except [`Identity::label`].

mod canon;
mod compare;
mod keys;
mod large;
mod other;

#[cfg(test)]
mod tests;

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::card::{Card, Charset, Limits, decode_document};

pub use compare::{EmailRule, Likeness, MatchRules, Verdict, Why, compare, compare_items, may_be_an_edit};
pub use large::{HEAD, LARGE, LargePrint, head, is_large};
pub(crate) use other::shares_strong_key;

pub(in crate::contact) use canon::Canon;
pub(in crate::contact) use keys::is_rendering;

/// What kind of item a datastore holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// vCard.
    Contact,
    /// Event of vCalendar or iCalendar.
    Calendar,
    /// Task of vCalendar or iCalendar.
    Task,
    /// Note, as plain text or VNOTE.
    Note,
    /// Bookmark, VBKM or a bare URL.
    Bookmark,
    /// File or folder object.
    File,
    /// Anything else; it has a fingerprint and no keys.
    Other,
}

impl Kind {
    /// The kind that items of this media type usually are; parameters and letter case do not matter. Tasks share their
    /// type with events.
    pub fn of_media_type(media_type: &str) -> Self {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        let is = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
        match () {
            () if is(&["text/x-vcard", "text/vcard", "text/directory"]) => Self::Contact,
            () if is(&["text/x-vcalendar", "text/calendar"]) => Self::Calendar,
            () if is(&["text/plain", "text/x-vnote"]) => Self::Note,
            () if is(&["text/x-vbookmark", "text/x-vbkm"]) => Self::Bookmark,
            () if name.len() >= 26 && name.as_bytes()[..26].eq_ignore_ascii_case(b"application/vnd.omads-file") => {
                Self::File
            }
            () => Self::Other,
        }
    }
}

/// Hash of what an item means: the first 128 bits of a SHA-256.
///
/// For contacts it does not change with: version, letter case of names and types, order, groups, folding, charset and
/// transfer encoding, Unicode normal form, blanks at the ends, punctuation of numbers, default and absent types (VOICE,
/// INTERNET, …), `MOBILE` or `CELL`, empty properties, FN that only repeats N, repeated properties, and PRODID, REV,
/// UID, VERSION. Photos count by their decoded bytes (field notes 1, 7, 28). For other kinds it is the hash of the bytes
/// without regard to line breaks and, in calendars, to DTSTAMP, LAST-MODIFIED and PRODID; of [large](LARGE) ones that
/// of the bytes as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    fn finish(hash: Sha256) -> Self {
        let mut out = [0; 16];
        out.copy_from_slice(&hash.finalize()[..16]);
        Self(out)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A value that items share if they may be the same: the first 64 bits of a SHA-256 over a class and its values.
///
/// Contacts have one key per name form and number (last 9 digits), per name form and e-mail address, and for the UID;
/// the name alone if there is neither number nor address; without a name the numbers, else the addresses alone. Name
/// forms are given + family name, the same with additional names, and FN. At most [`MAX_KEYS`]; most cards have 2–6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey(pub u64);

/// The most keys an item has.
pub const MAX_KEYS: usize = 16;

/// Classes of keys. Numbers are part of stored keys: never change one.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Class {
    NameNumber = 1,
    NameEmail = 2,
    Name = 3,
    Number = 4,
    Email = 5,
    Uid = 6,
    StartSummary = 7,
    FirstLine = 8,
    Url = 9,
    FileName = 10,
}

impl MatchKey {
    fn new(class: Class, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"syncml match key 1");
        hash.update([class as u8]);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut top = [0; 8];
        top.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(top))
    }
}

/// What [`identify`] finds.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// Equal for items of equal meaning.
    pub fingerprint: Fingerprint,
    /// Sorted, without repetitions, at most [`MAX_KEYS`].
    pub keys: Vec<MatchKey>,
    /// What a list would show for this item: name, summary, first line. Personal data: not for logs.
    pub label: Option<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).field("keys", &self.keys.len()).finish()
    }
}

/// Fingerprint, match keys and label of an item. Total: bytes that are no item of this kind have the fingerprint of
/// their bytes and no keys.
pub fn identify(kind: Kind, content: &[u8]) -> Identity {
    identify_with(kind, content, Charset::WINDOWS_1252)
}

/// Like [`identify`], with the charset of values that declare none and are not UTF-8 (field note 37).
pub fn identify_with(kind: Kind, content: &[u8], fallback: Charset) -> Identity {
    if kind == Kind::Contact {
        let content = decode_document(content);
        if let Ok(card) = Card::parse_with(&content, &Limits::default(), fallback) {
            return identify_card(&card);
        }
    }
    other::identify(kind, content, fallback)
}

/// Fingerprint, match keys and label of a card.
pub fn identify_card(card: &Card<'_>) -> Identity {
    let facts = keys::Facts::of(card);
    Identity { fingerprint: fingerprint(card), keys: facts.keys(), label: facts.label }
}

/// What near twins share, those too that are not the same: name, number or address alone, each as a key. For reports, not for
/// matching; they are not stored. At most [`MAX_KEYS`]; of other kinds than contacts their match keys.
pub fn loose_keys(kind: Kind, content: &[u8]) -> Vec<MatchKey> {
    if kind == Kind::Contact {
        let content = decode_document(content);
        if let Ok(card) = Card::parse(&content) {
            return keys::Facts::of(&card).loose_keys();
        }
    }
    identify(kind, content).keys
}

/// The fingerprint of a card.
pub fn fingerprint(card: &Card<'_>) -> Fingerprint {
    Canon::of(card).fingerprint()
}
