//! What a book was known by, and what it is known by now (mission R2): another card in the phone, the cards in another phone.

use crate::service::book::{BookId, DeviceIdentity, Storage};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What a watched book is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The storage it is in.
    pub storage: Storage,
    /// The device the storage is in.
    pub device: DeviceIdentity,
    /// The card that is the storage, where that has an identity of its own.
    pub card: Option<DeviceIdentity>,
}

/// A change of identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
#[non_exhaustive]
pub enum IdentityChange {
    /// It is in another device.
    Device {
        /// The one it was in.
        was: String,
        /// The one it is in.
        is: String,
    },
    /// Another card is in its place, or one where none was told, or none any more.
    Card {
        /// The one that was there.
        was: Option<String>,
        /// The one that is there.
        is: Option<String>,
    },
    /// The folder stands for another storage.
    Storage {
        /// The one it stood for.
        was: String,
        /// The one it stands for.
        is: String,
    },
}

impl Known {
    /// The book: the card's own, in whatever device it is; else the device's.
    #[must_use]
    pub fn book(&self) -> BookId {
        BookId::new(self.card.as_ref().unwrap_or(&self.device), &self.storage)
    }

    /// What is another than it was.
    #[must_use]
    pub fn since(&self, was: &Self) -> Vec<IdentityChange> {
        let mut changes = Vec::new();
        if was.storage != self.storage {
            changes.push(IdentityChange::Storage { was: was.storage.to_string(), is: self.storage.to_string() });
        }
        if was.device != self.device {
            changes.push(IdentityChange::Device { was: was.device.to_string(), is: self.device.to_string() });
        }
        if was.card != self.card {
            let text = |card: &Option<DeviceIdentity>| card.as_ref().map(ToString::to_string);
            changes.push(IdentityChange::Card { was: text(&was.card), is: text(&self.card) });
        }
        changes
    }
}

/// Words, as they are remembered: `sim imei:490154203237518 imsi:460001234567890`.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.storage, self.device)?;
        self.card.iter().try_for_each(|card| write!(f, " {card}"))
    }
}

impl FromStr for Known {
    type Err = crate::service::book::Wrong;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let mut words = written.split(' ');
        let (storage, device, card) = (words.next(), words.next(), words.next());
        Ok(Self {
            storage: Storage::parse(storage.unwrap_or_default())?,
            device: device.unwrap_or_default().parse()?,
            card: card.map(str::parse).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{IdentityChange, Known};
    use crate::service::book::{BookId, Storage};

    fn known(text: &str) -> Known {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_of_what_a_book_is_known_by_is_told() {
        const PHONE: &str = "imei:490154203237518";
        let (device, card) = (
            |was: &str, is: &str| IdentityChange::Device { was: was.into(), is: is.into() },
            |was: Option<&str>, is: Option<&str>| IdentityChange::Card {
                was: was.map(Into::into),
                is: is.map(Into::into),
            },
        );
        let (one, two) = ("imsi:460001234567890", "imsi:262019876543210");
        for (was, is, expected) in [
            (format!("sim {PHONE}"), format!("sim {PHONE}"), vec![]),
            (format!("sim {PHONE} {one}"), format!("sim {PHONE} {one}"), vec![]),
            (format!("sim {PHONE}"), "sim imei:352099001761481".into(), vec![device(PHONE, "imei:352099001761481")]),
            (format!("sim {PHONE} {one}"), format!("sim {PHONE} {two}"), vec![card(Some(one), Some(two))]),
            (format!("sim {PHONE} {one}"), format!("sim {PHONE}"), vec![card(Some(one), None)]),
            (format!("sim {PHONE}"), format!("sim {PHONE} {one}"), vec![card(None, Some(one))]),
            (
                format!("sim {PHONE} {one}"),
                format!("sim imei:352099001761481 {two}"),
                vec![device(PHONE, "imei:352099001761481"), card(Some(one), Some(two))],
            ),
            (
                format!("sim {PHONE}"),
                format!("phone {PHONE}"),
                vec![IdentityChange::Storage { was: "sim".into(), is: "phone".into() }],
            ),
        ] {
            assert_eq!(known(&is).since(&known(&was)), expected, "{was} → {is}");
            assert_eq!(known(&is).to_string(), is);
        }
        for wrong in ["", "sim", "sim imei:1", "sim imei:490154203237518 imsi:1", "no storage"] {
            assert!(wrong.parse::<Known>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_cards_book_goes_with_the_card() {
        let sim = Storage::parse("sim").unwrap();
        let here = known("sim imei:490154203237518 imsi:460001234567890");
        let there = known("sim imei:352099001761481 imsi:460001234567890");
        assert_eq!(here.book(), there.book());
        assert_eq!(here.book(), BookId::new(&"imsi:460001234567890".parse().unwrap(), &sim));
        assert_ne!(known("sim imei:490154203237518").book(), here.book());
    }
}
