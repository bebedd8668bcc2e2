//! GUIDs and LUIDs as texts.
//!
//! A GUID on the wire is the item's number and the book's stamp, both in base 36: short, found again without a table,
//! and never mistaken for an item of the book's earlier life. A device that keeps shorter ids gets the number alone, as a
//! temporary GUID remembered with the Add until its Map comes (§3.6).

use crate::store::Guid;

/// The GUID's text.
#[must_use]
pub fn to_text(guid: Guid, stamp: u32) -> String {
    format!("{}-{}", base36(guid.0.unsigned_abs()), base36(u64::from(stamp)))
}

/// The text for a device that keeps at most `max` bytes, and whether it is temporary.
#[must_use]
pub fn to_short_text(guid: Guid, stamp: u32, max: Option<u64>) -> (String, bool) {
    let full = to_text(guid, stamp);
    match max {
        Some(max) if max > 0 && full.len() as u64 > max => (base36(guid.0.unsigned_abs()), true),
        _ => (full, false),
    }
}

/// A GUID read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// With a stamp: it is this item of the book with that stamp.
    Full(Guid, u32),
    /// Without: valid only if an open Add was sent under it.
    Temporary(Guid),
}

/// Reads a GUID's text; `None` when it cannot be one of ours.
#[must_use]
pub fn parse(text: &str) -> Option<Parsed> {
    let number = |text: &str| i64::from_str_radix(text, 36).ok().filter(|n| *n > 0 && !text.starts_with('+'));
    match text.split_once('-') {
        Some((guid, stamp)) => {
            let stamp = u32::from_str_radix(stamp, 36).ok()?;
            Some(Parsed::Full(Guid(number(guid)?), stamp))
        }
        None => number(text).map(|guid| Parsed::Temporary(Guid(guid))),
    }
}

/// A client's LUID of an item of its own store: the item's number.
#[must_use]
pub fn luid(guid: Guid) -> String {
    guid.0.to_string()
}

/// The item a LUID of ours means.
#[must_use]
pub fn parse_luid(text: &str) -> Option<Guid> {
    text.parse().ok().filter(|number| *number > 0).map(Guid)
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::with_capacity(13);
    loop {
        let digit = (number % 36) as u8;
        digits.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Parsed, parse, parse_luid, to_short_text, to_text};
    use crate::store::Guid;

    /// Catalogue: MAP-5
    #[test]
    fn map_5_temporary_guids_fit() {
        let (text, temporary) = to_short_text(Guid(1_000_000), u32::MAX, Some(8));
        assert!(temporary && text.len() <= 8, "{text}");
        assert_eq!(parse(&text), Some(Parsed::Temporary(Guid(1_000_000))));
        let (text, temporary) = to_short_text(Guid(1_000_000), u32::MAX, Some(64));
        assert!(!temporary);
        assert_eq!(parse(&text), Some(Parsed::Full(Guid(1_000_000), u32::MAX)));
    }

    #[test]
    fn texts_come_back() {
        for guid in [1, 35, 36, 1295, i64::MAX] {
            for stamp in [0, 1, u32::MAX] {
                assert_eq!(parse(&to_text(Guid(guid), stamp)), Some(Parsed::Full(Guid(guid), stamp)));
            }
        }
        for text in ["", "-", "0", "+1", "1-", "-1", "zz zz", "1-zzzzzzzzzz", "Ä"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse_luid("17"), Some(Guid(17)));
        assert_eq!(parse_luid("-17"), None);
    }
}
