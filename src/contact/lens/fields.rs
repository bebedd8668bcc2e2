//! The properties of a card that have a name of their own, and sets of them.

use crate::contact::card::canonical_name;
use serde::{Deserialize, Serialize};

/// The properties that can be shown and asked for one by one. A name's place here is its bit in stored sets: new ones are
/// added at the end.
pub const NAMES: [&str; 41] = [
    "N",
    "FN",
    "NICKNAME",
    "TEL",
    "EMAIL",
    "ADR",
    "LABEL",
    "ORG",
    "TITLE",
    "ROLE",
    "URL",
    "BDAY",
    "ANNIVERSARY",
    "NOTE",
    "CATEGORIES",
    "PHOTO",
    "LOGO",
    "SOUND",
    "GEO",
    "TZ",
    "UID",
    "REV",
    "CLASS",
    "KEY",
    "IMPP",
    "RELATED",
    "GENDER",
    "KIND",
    "MEMBER",
    "LANG",
    "MAILER",
    "AGENT",
    "SORT-STRING",
    "PRODID",
    "SOURCE",
    "NAME",
    "PROFILE",
    "CALURI",
    "CALADRURI",
    "FBURL",
    "SOCIALPROFILE",
];

/// The bit of all properties that have none of their own.
const OTHERS: u32 = 62;

/// A set of properties of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fields(u64);

impl Fields {
    /// Only what no card can be without: VERSION, N and FN are in every set.
    pub const NONE: Self = Self(0);

    /// The set of these names; a name that has no bit of its own stands for all such. BEGIN, END and VERSION are ignored.
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let marks = |name: &str| ["BEGIN", "END", "VERSION"].iter().any(|mark| mark.eq_ignore_ascii_case(name));
        names.into_iter().filter(|name| !marks(name)).fold(Self::NONE, |set, name| Self(set.0 | 1 << bit(name)))
    }

    /// The set as a number from 0, and back.
    pub const fn to_bits(self) -> i64 {
        (self.0 & i64::MAX as u64) as i64
    }

    /// See [`Fields::to_bits`].
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits as u64)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it holds anything that `other` does not.
    pub const fn exceeds(self, other: Self) -> bool {
        self.0 & !other.0 != 0
    }

    /// Whether a property of this name is in it.
    pub fn shows(self, name: &str) -> bool {
        matches!(canonical_name(name), "VERSION" | "N" | "FN") || self.0 & 1 << bit(name) != 0
    }
}

fn bit(name: &str) -> u32 {
    let name = canonical_name(name.trim());
    NAMES.iter().zip(0..).find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(OTHERS, |(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::{Fields, NAMES, OTHERS};

    #[test]
    fn names_have_bits_of_their_own() {
        assert!(NAMES.len() <= OTHERS as usize);
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(Fields::of_names([*name]).to_bits(), 1 << at, "{name}");
        }
        let set = Fields::of_names(["tel", "X-FOO", "BEGIN", "VERSION"]);
        assert_eq!(Fields::from_bits(set.to_bits()), set);
        assert!(set.shows("TEL") && set.shows("n") && set.shows("X-BAR") && !set.shows("EMAIL"));
        assert!(!Fields::of_names(["X-ANNIVERSARY"]).shows("X-BAR"), "a standard name in disguise");
        assert!(set.exceeds(Fields::NONE) && !set.and(Fields::of_names(["EMAIL"])).exceeds(Fields::NONE));
    }
}
