//! The room that a device has for one property.

use crate::contact::card::{Property, PropertyBuf, Shape, Value, shape};
use serde::{Deserialize, Serialize};

/// How long a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Size {
    /// Bytes in UTF-8 (`MaxSize`, §3.19).
    #[serde(rename = "b")]
    Bytes(u32),
    /// Characters.
    #[serde(rename = "c")]
    Chars(u32),
}

impl Size {
    /// Bytes of the longest beginning of a text that fits, when so much of the size is used up.
    fn fits(self, text: &str, used: usize) -> usize {
        match self {
            Self::Bytes(size) => {
                let rest = (size as usize).saturating_sub(used);
                (0..=rest.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
            }
            Self::Chars(size) => {
                let rest = (size as usize).saturating_sub(used);
                text.char_indices().nth(rest).map_or(text.len(), |(at, _)| at)
            }
        }
    }

    fn measure(self, text: &str) -> usize {
        match self {
            Self::Bytes(_) => text.len(),
            Self::Chars(_) => text.chars().count(),
        }
    }

    fn holds(self, length: usize) -> bool {
        let (Self::Bytes(size) | Self::Chars(size)) = self;
        length <= size as usize
    }
}

/// The room for instances of one property, or of those of its types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Room {
    /// The property, in capitals.
    #[serde(rename = "n")]
    pub name: String,
    /// The types that an instance must have, in small letters: a dimension such as mobile numbers.
    #[serde(rename = "k", skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The types that can be held, in small letters and sorted; `None`: not declared, so all.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// The values that can be held; empty: all.
    #[serde(rename = "v", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// How many instances; `None`: any number.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub occur: Option<u32>,
    /// How long a value.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Whether what is longer is left out rather than cut (`NoTruncate`).
    #[serde(rename = "w", skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

impl Room {
    /// Is it for this property?
    pub(super) fn takes(&self, name: &str, property: &Property<'_>) -> bool {
        self.name == name && self.kinds.iter().all(|kind| property.types().any(|it| same_type(&it, kind)))
    }

    /// Can a TYPE be held?
    pub(super) fn knows(&self, value: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|known| same_type(value, known)))
    }

    /// A value as it can be held: `None` if not at all, else whether it was cut.
    pub(super) fn fit(&self, property: &mut PropertyBuf) -> Option<bool> {
        let kind = shape(property.name());
        let mut value = property.value().clone();
        if let Value::Text(text) = &value
            && !self.values.is_empty()
            && matches!(kind, Shape::Text | Shape::Unknown)
            && !self.values.iter().any(|known| known.eq_ignore_ascii_case(text.trim()))
        {
            return None;
        }
        let Some(size) = self.size else { return Some(false) };
        // Half of a number can still be told from its whole; half of an address, a date or a photo is none.
        let atomic = self.whole
            || property.name() == "EMAIL"
            || matches!(kind, Shape::Uri | Shape::Date | Shape::Geo | Shape::Binary | Shape::Agent);
        let mut used = 0;
        let mut cut = false;
        let mut shorten = |text: &mut String| {
            let fits = size.fits(text, used);
            cut |= fits < text.len();
            text.truncate(fits);
            used += size.measure(text);
        };
        match &mut value {
            Value::Binary { base64, .. } => return size.holds(base64.len() / 4 * 3).then_some(false),
            Value::Text(text) => shorten(text),
            Value::Structured(parts) => parts.iter_mut().flatten().for_each(shorten),
            Value::List(items) => {
                // Half an item is another item.
                let count = items.len();
                items.retain(|item| {
                    let fits = size.holds(used + size.measure(item));
                    used += if fits { size.measure(item) } else { 0 };
                    fits
                });
                cut = items.len() < count;
            }
        }
        if cut && (atomic || says_nothing(&value)) {
            return None;
        }
        if cut {
            property.set_value(value);
        }
        Some(cut)
    }
}

/// What is left of a value when only blanks and separators are.
fn says_nothing(value: &Value) -> bool {
    let nothing = |text: &String| !text.chars().any(char::is_alphanumeric);
    match value {
        Value::Text(text) => nothing(text),
        Value::Structured(parts) => parts.iter().flatten().all(nothing),
        Value::List(items) => items.iter().all(nothing),
        Value::Binary { base64, .. } => base64.is_empty(),
    }
}

/// MOBILE is what some phones write for CELL.
pub(super) fn same_type(one: &str, other: &str) -> bool {
    let plain =
        |value: &str| if value.eq_ignore_ascii_case("mobile") { "cell".to_owned() } else { value.to_lowercase() };
    plain(one) == plain(other)
}
