//! What a device can hold of a card, and what its cards mean for the whole ones (design laws L1 to L8).
//!
//! A [`Lens`] is one value made of everything that narrows a device's sight: its declared capabilities (§3.19), a filter of
//! fields (§3.16), rules for devices that declare nonsense, and dimension rules (mission B3 to B6). [`view`] is the card
//! that a device is sent; [`put`] is the whole card after the device sent one back. What a device cannot hold it cannot
//! erase; what came back cut as it was sent is no edit; more than it declared is kept (field notes 16 to 18, 20, 23 to 25).

mod capability;
mod fields;
mod known;
mod observed;
mod parts;
mod picture;
mod put;
mod room;
mod view;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub use capability::{Declared, DeclaredProperty, Dimension, Doubt, Rules};
pub use fields::{Fields, NAMES};
pub use parts::{any_term, has, news, patch, put_news, repeats, term};
pub use put::{Put, has_picture, put, repeats_picture};
pub use room::{Room, Size};
pub use view::view;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a device can hold of a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Lens {
    /// The properties that a filter shows; `None`: all.
    #[serde(rename = "f", skip_serializing_if = "Option::is_none")]
    fields: Option<Fields>,
    /// Whether only what has a room can be held.
    #[serde(rename = "c", skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    /// Whether addresses are written with `TYPE=INTERNET` (field note 18).
    #[serde(rename = "i", skip_serializing_if = "std::ops::Not::not")]
    marks_emails: bool,
    /// By name; of one name, those for the most types first.
    #[serde(rename = "r", skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<Room>,
    /// What it showed beyond its declaration, by name, whether or not that is in the rooms yet.
    #[serde(rename = "s", skip_serializing_if = "Vec::is_empty")]
    observed: Vec<Room>,
}

impl From<Fields> for Lens {
    fn from(fields: Fields) -> Self {
        Self { fields: Some(fields), ..Self::default() }
    }
}

impl Lens {
    /// The lens of a device, and what of its declaration is not to be believed. `fields` is what a filter shows.
    pub fn of(declared: Option<&Declared>, rules: &Rules, fields: Option<Fields>) -> (Self, Vec<Doubt>) {
        let (closed, rooms, doubts) = capability::rooms(declared, rules);
        (Self { fields, closed, marks_emails: rules.mark_emails, rooms, observed: Vec::new() }, doubts)
    }

    /// The same, with nothing else to be seen than these fields.
    #[must_use]
    pub fn with_fields(&self, fields: Option<Fields>) -> Self {
        let both = match (self.fields, fields) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self { fields: both, ..self.clone() }
    }

    /// The properties that a filter shows; `None`: all.
    pub const fn fields(&self) -> Option<Fields> {
        self.fields
    }

    /// Does it show every card as it is?
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The fields that can be held, a word or a few for each – `TEL CELL` –, where not all can.
    pub fn held(&self) -> Vec<String> {
        let rooms = self.rooms.iter().filter(|_| self.closed);
        rooms.map(|room| [std::slice::from_ref(&room.name), &room.kinds].concat().join(" ").to_uppercase()).collect()
    }

    /// The lens as it is stored. Equal lenses are equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// See [`Lens::encode`]. `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The number by which agreements refer to it, the same in every process. `None` for the whole card, at least 0 for a
    /// mere set of fields ([`Fields::to_bits`]), which needs not be stored, else a negative hash below -1.
    pub fn number(&self) -> Option<i64> {
        match self.fields {
            _ if self.is_whole() => None,
            Some(fields) if *self == Self::from(fields) => Some(fields.to_bits()),
            _ => {
                let hash = Sha256::digest(self.encode());
                let head = hash.iter().take(8).fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
                Some((head | 1 << 63).cast_signed().min(-2))
            }
        }
    }

    /// Are labels (`X-ABLabel`) held?
    fn holds_labels(&self) -> bool {
        !self.closed || self.rooms.iter().any(|room| room.name == "X-ABLABEL")
    }

    /// Can N and FN be held although neither is declared? A device without names is none.
    fn names_are_implied(&self) -> bool {
        !self.rooms.iter().any(|room| matches!(&*room.name, "N" | "FN"))
    }
}
