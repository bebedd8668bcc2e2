//! Fields of a contact that do not depend on any file: `tel.mobile`, `adr.home.city`, `n.family`.

use super::kind::Kind;
use super::record::COLUMN;
use std::fmt;
use std::str::FromStr;

/// What a field can be of: a property of a card, with its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What it is called in fields.
    pub(super) key: &'static str,
    /// The property's name.
    pub(super) property: &'static str,
    /// Its components (RFC 6350 §6.2.2, §6.3.1, §6.6.4), in their order. None: one text.
    pub(super) parts: &'static [&'static str],
    /// Whether its instances are told apart by kinds.
    pub(super) kinds: bool,
}

const fn text(key: &'static str, property: &'static str) -> Known {
    Known { key, property, parts: &[], kinds: false }
}

const fn typed(key: &'static str, property: &'static str) -> Known {
    Known { key, property, parts: &[], kinds: true }
}

/// All of them. What is not here is an extension, called by its own name: `x-qq`.
pub(super) const KNOWN: &[Known] = &[
    Known { key: "n", property: "N", parts: &["family", "given", "additional", "prefix", "suffix"], kinds: false },
    text("fn", "FN"),
    text("nickname", "NICKNAME"),
    typed("tel", "TEL"),
    typed("email", "EMAIL"),
    Known {
        key: "adr",
        property: "ADR",
        parts: &["pobox", "extended", "street", "city", "region", "code", "country"],
        kinds: true,
    },
    Known { key: "org", property: "ORG", parts: &["name", "unit"], kinds: false },
    text("title", "TITLE"),
    text("role", "ROLE"),
    typed("url", "URL"),
    typed("impp", "IMPP"),
    Known { key: "bday", property: "BDAY", parts: &["year", "month", "day"], kinds: false },
    text("anniversary", "ANNIVERSARY"),
    text("categories", "CATEGORIES"),
    text("note", "NOTE"),
    text("uid", "UID"),
];

/// Which property a field is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    /// A place in [`KNOWN`].
    Known(usize),
    /// The name of an extension, in capitals.
    Extension(String),
    /// A column that no field is known for, by its name.
    Column(String),
}

/// What of the property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A component.
    Component(usize),
    /// What kind it is, in words.
    Label,
}

/// The most instances of one kind that a field can name.
pub const MAX_NTH: u16 = 99;

/// One field of a contact: a property, maybe of a kind, maybe a component of it, and the how manieth such one.
///
/// Written `PROPERTY[.KIND][.PART][#N]`: `fn`, `n.family`, `tel.mobile`, `tel.work#2`, `adr.home.city`, `tel.label#1`, `x-qq`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    pub(super) what: What,
    pub(super) kind: Kind,
    pub(super) part: Part,
    /// From 1.
    pub(super) nth: u16,
}

/// A text that names no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no field; fields are like fn, n.family, tel.mobile, tel.work#2, adr.home.city, x-qq")]
pub struct NoField(pub String);

impl Field {
    /// The name of the property in cards.
    #[must_use]
    pub fn property(&self) -> &str {
        match &self.what {
            What::Known(at) => KNOWN[*at].property,
            What::Extension(name) => name,
            What::Column(_) => COLUMN,
        }
    }

    pub(super) fn known(&self) -> Option<&'static Known> {
        match self.what {
            What::Known(at) => Some(&KNOWN[at]),
            What::Extension(_) | What::Column(_) => None,
        }
    }

    /// The same field of the next such property.
    pub(super) fn next(&self) -> Option<Self> {
        (self.nth < MAX_NTH).then(|| Self { nth: self.nth + 1, ..self.clone() })
    }

    /// What a column holds that no field is known for.
    pub(super) fn column(name: &str) -> Self {
        Self { what: What::Column(name.trim().to_owned()), kind: Kind::Any, part: Part::Whole, nth: 1 }
    }

    pub(super) const fn is_column(&self) -> bool {
        matches!(self.what, What::Column(_))
    }

    pub(super) fn extension(name: &str, nth: u16) -> Self {
        Self { what: What::Extension(name.to_ascii_uppercase()), kind: Kind::Any, part: Part::Whole, nth }
    }
}

impl FromStr for Field {
    type Err = NoField;

    fn from_str(text: &str) -> Result<Self, NoField> {
        let wrong = || NoField(text.chars().take(40).collect());
        let (path, nth) = match text.trim().split_once('#') {
            Some((path, nth)) => (path, nth.parse().map_err(|_| wrong())?),
            None => (text.trim(), 1),
        };
        if !(1..=MAX_NTH).contains(&nth) {
            return Err(wrong());
        }
        let path = path.to_ascii_lowercase();
        let mut words = path.split('.');
        let first = words.next().unwrap_or_default();
        let Some(at) = KNOWN.iter().position(|known| known.key == first) else {
            let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let extension =
                first.len() > 2 && first.starts_with("x-") && first.bytes().all(name) && words.next().is_none();
            return if extension { Ok(Self::extension(first, nth)) } else { Err(wrong()) };
        };
        let known = &KNOWN[at];
        let mut field = Self { what: What::Known(at), kind: Kind::Any, part: Part::Whole, nth };
        for word in words {
            if let Some(kind) = Kind::named(word).filter(|_| known.kinds && field.kind == Kind::Any) {
                field.kind = kind;
            } else if field.part != Part::Whole {
                return Err(wrong());
            } else if word == "label" && known.kinds {
                field.part = Part::Label;
            } else if let Some(part) = known.parts.iter().position(|part| *part == word) {
                field.part = Part::Component(part);
            } else {
                return Err(wrong());
            }
        }
        Ok(field)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Known(at) => f.write_str(KNOWN[*at].key)?,
            What::Extension(name) => f.write_str(&name.to_ascii_lowercase())?,
            What::Column(name) => f.write_str(name)?,
        }
        if self.kind != Kind::Any {
            write!(f, ".{}", self.kind.name())?;
        }
        match (self.part, self.known()) {
            (Part::Label, _) => f.write_str(".label")?,
            (Part::Component(part), Some(known)) => write!(f, ".{}", known.parts[part])?,
            _ => {}
        }
        if self.nth > 1 { write!(f, "#{}", self.nth) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Field;

    #[test]
    fn fields_are_what_they_are_written_as() {
        for text in ["fn", "n.family", "tel", "tel.mobile", "tel.work-fax#2", "adr.home.city", "tel.label#3", "x-qq"] {
            assert_eq!(text.parse::<Field>().unwrap().to_string(), text);
        }
        assert_eq!("TEL.Mobile#1".parse::<Field>().unwrap().to_string(), "tel.mobile");
        for text in [
            "",
            "phone",
            "tel.",
            "tel#0",
            "tel#100",
            "n.home",
            "fn.family",
            "adr.city.street",
            "x-",
            "x-é",
            "tel.home.work",
        ] {
            assert!(text.parse::<Field>().is_err(), "{text}");
        }
    }
}
