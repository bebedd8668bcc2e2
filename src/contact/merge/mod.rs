//! Two versions of one contact made one.
//!
//! [`union`] needs no history: it keeps ours and adds what only theirs has, for cards that were matched (mission S7) and
//! for restores that add and never replace (mission C5).

mod copy;
mod three;
mod union;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::fmt;

use super::card::{Card, decode_document};
use super::identity::fingerprint;

pub(in crate::contact) use copy::Groups;
pub use three::{Prefer, merge3, take};
pub(in crate::contact) use three::{merge_seen, numbered};
pub use union::union;

/// A merged card.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// The card's bytes.
    pub content: Vec<u8>,
    /// Does it differ from ours ([`union`]) or from current ([`merge3`])?
    pub changed: bool,
    /// What could not be kept, because both sides say something different where only one can stand.
    pub conflicts: Vec<Conflict>,
}

impl fmt::Debug for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("changed", &self.changed).field("conflicts", &self.conflicts).finish()
    }
}

/// A property on which two versions disagree.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The name of the property.
    pub property: String,
    /// The losing property as it was written, for the history.
    pub losing: Vec<u8>,
}

impl fmt::Debug for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conflict").field(&self.property).finish()
    }
}

/// Do two cards mean the same (equal fingerprints)? Bytes that are no cards only if they are equal.
pub fn same_meaning(a: &[u8], b: &[u8]) -> bool {
    let (one, two) = (decode_document(a), decode_document(b));
    match (Card::parse(&one), Card::parse(&two)) {
        (Ok(one), Ok(two)) => fingerprint(&one) == fingerprint(&two),
        _ => a == b,
    }
}
