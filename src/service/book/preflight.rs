//! What a book is to be given, measured before anything is written (mission B7).

use super::Layout;
use super::layout::title;
use crate::contact::card::{Card, Property, decode_document};
use crate::contact::identity::{Kind, identify};
use serde::Serialize;
use std::fmt;

/// Overflows told one by one; all are counted.
const MOST_TOLD: usize = 1_000;

/// The GSM alphabet (3GPP TS 23.038 §6.2.1).
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                   abcdefghijklmnopqrstuvwxyzäöñüà";
/// What it has two octets for (§6.2.1.1).
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// More than a book has room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
#[non_exhaustive]
pub enum TooMuch {
    /// Records, of the book.
    Records {
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Fields of a record, in all.
    Fields {
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Fields of one dimension.
    Count {
        /// The dimension: `TEL CELL`.
        dimension: String,
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Characters of a value.
    Characters {
        /// The dimension.
        dimension: String,
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Octets of a value.
    Octets {
        /// The property.
        property: String,
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Octets of the name, as a card codes it.
    Name {
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// A character of the name that a card has no code for: one beyond the first 65,536.
    NameCharacter,
    /// Digits of a number.
    Digits {
        /// How many there are.
        has: u64,
        /// How many there is room for.
        holds: u64,
    },
    /// Something in a number that nobody can dial.
    NoNumber,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { has, holds } => write!(f, "{has} records, room for {holds}"),
            Self::Fields { has, holds } => write!(f, "{has} fields, room for {holds}"),
            Self::Count { dimension, has, holds } => write!(f, "{has} of {dimension}, room for {holds}"),
            Self::Characters { dimension, has, holds } => {
                write!(f, "{dimension} of {has} characters, room for {holds}")
            }
            Self::Octets { property, has, holds } => write!(f, "{property} of {has} octets, room for {holds}"),
            Self::Name { has, holds } => write!(f, "name of {has} octets, room for {holds}"),
            Self::NameCharacter => f.write_str("a character in the name that has no code there"),
            Self::Digits { has, holds } => write!(f, "number of {has} digits, room for {holds}"),
            Self::NoNumber => f.write_str("a number that cannot be dialled"),
        }
    }
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overflow {
    /// What the record is called; `None` where it is the book that is too full, or the record has no name.
    pub record: Option<String>,
    /// What is too much.
    #[serde(flatten)]
    pub much: TooMuch,
}

/// The records that a book is to hold, one after the other, against what it has room for. Nothing is written: whoever gives
/// them to the book asks first whether they [fit](Self::fits).
///
/// ```
/// use syncml::service::book::{Layout, Preflight, TooMuch};
/// let sim = Layout::sim();
/// let mut check = Preflight::new(&sim);
/// check.add(b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jo;;;\r\nFN:Jo Doe\r\nTEL:+4930111\r\nTEL:+4930222\r\nEND:VCARD\r\n");
/// let told = check.finish();
/// assert!(!told.fits());
/// assert_eq!(told.overflows[0].record.as_deref(), Some("Jo Doe"));
/// assert_eq!(told.overflows[0].much, TooMuch::Count { dimension: "TEL".to_owned(), has: 2, holds: 1 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preflight<'l> {
    #[serde(skip)]
    layout: &'l Layout,
    /// Records looked at.
    pub records: u64,
    /// How much does not fit.
    pub count: u64,
    /// The first thousand of these, the book's own behind those of its records.
    pub overflows: Vec<Overflow>,
}

impl<'l> Preflight<'l> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(layout: &'l Layout) -> Self {
        Self { layout, records: 0, count: 0, overflows: Vec::new() }
    }

    /// One more record. What is no card counts as a record only.
    pub fn add(&mut self, content: &[u8]) {
        self.records += 1;
        let name = identify(Kind::Contact, content).label;
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let content = decode_document(content);
        let Ok(card) = Card::parse(&content) else { return };
        let much = measure(self.layout, &card, name.as_deref());
        for much in much {
            self.tell(name.clone(), much);
        }
    }

    /// All have been added.
    #[must_use]
    pub fn finish(mut self) -> Self {
        if let Some(holds) = self.layout.records.filter(|holds| self.records > *holds) {
            self.tell(None, TooMuch::Records { has: self.records, holds });
        }
        self
    }

    /// Whether everything has room, once it is [finished](Self::finish).
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.count == 0
    }

    fn tell(&mut self, record: Option<String>, much: TooMuch) {
        self.count += 1;
        if self.overflows.len() < MOST_TOLD {
            self.overflows.push(Overflow { record, much });
        }
    }
}

/// What of one record is too much.
fn measure(layout: &Layout, card: &Card<'_>, name: Option<&str>) -> Vec<TooMuch> {
    let mut much = Vec::new();
    let mut counts = vec![0_u64; layout.dimensions.len()];
    let mut fields = 0;
    for property in card.properties().iter().filter(|it| !it.is_empty() && !it.is("VERSION")) {
        let place = layout.place(property);
        if place.is_none() && !layout.dimensions.is_empty() {
            // It is not in the book.
            continue;
        }
        if !matches!(property.name().to_ascii_uppercase().as_str(), "N" | "FN" | "UID" | "REV" | "PRODID") {
            fields += 1;
        }
        if let Some(at) = place {
            counts[at] += 1;
            let dimension = &layout.dimensions[at];
            let has = longest(property);
            if dimension.length > 0 && has > u64::from(dimension.length) {
                much.push(TooMuch::Characters { dimension: title(dimension), has, holds: dimension.length.into() });
            }
        }
        let octets = layout.octets.iter().find(|(name, _)| property.is(name));
        let has = property.value().len() as u64;
        if let Some((name, holds)) = octets.filter(|(_, holds)| has > u64::from(**holds)) {
            much.push(TooMuch::Octets { property: name.to_ascii_uppercase(), has, holds: (*holds).into() });
        }
        if let Some(holds) = layout.number_digits.filter(|_| property.is("TEL")) {
            match dialled(&property.text()) {
                Some(has) if has > u64::from(holds) => much.push(TooMuch::Digits { has, holds: holds.into() }),
                Some(_) => {}
                None => much.push(TooMuch::NoNumber),
            }
        }
    }
    for (dimension, has) in layout.dimensions.iter().zip(counts) {
        if dimension.count > 0 && has > u64::from(dimension.count) {
            much.push(TooMuch::Count { dimension: title(dimension), has, holds: dimension.count.into() });
        }
    }
    if let Some(holds) = layout.fields.filter(|holds| fields > u64::from(*holds)) {
        much.push(TooMuch::Fields { has: fields, holds: holds.into() });
    }
    if let (Some(holds), Some(name)) = (layout.name_octets, name) {
        match name_octets(name) {
            Some(has) if has > u64::from(holds) => much.push(TooMuch::Name { has, holds: holds.into() }),
            Some(_) => {}
            None => much.push(TooMuch::NameCharacter),
        }
    }
    much
}

/// Characters of a value, of a name or address those of all its parts, as the lens counts them.
fn longest(property: &Property<'_>) -> u64 {
    let chars = |text: &str| text.chars().count() as u64;
    let structured = ["N", "ADR", "ORG", "GENDER"].iter().any(|name| property.is(name));
    match structured {
        true => property.components().iter().map(|part| chars(part)).sum(),
        false => chars(&property.text()),
    }
}

/// Octets of a name on a card; `None` where it has no code for one of the characters.
fn name_octets(name: &str) -> Option<u64> {
    let gsm = |c: char| match () {
        () if GSM.contains(c) => Some(1),
        () if GSM_EXTENSION.contains(c) => Some(2),
        () => None,
    };
    let plain: Option<u64> = name.chars().map(gsm).sum();
    let ucs2 = || name.chars().map(|c| (u32::from(c) <= 0xffff).then_some(2)).sum::<Option<u64>>();
    plain.or_else(|| ucs2().map(|octets| 1 + octets))
}

/// Digits of a number as it is dialled, pauses among them; `None` if it holds anything else.
fn dialled(number: &str) -> Option<u64> {
    let number = number.trim();
    let number = number.strip_prefix("tel:").unwrap_or(number);
    let number = number.strip_prefix('+').unwrap_or(number);
    let each = |c: char| match c {
        '0'..='9' | '*' | '#' | 'p' | 'P' | 'w' | 'W' | ',' => Some(1),
        ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' => Some(0),
        _ => None,
    };
    number.chars().map(each).sum::<Option<u64>>().filter(|digits| *digits > 0)
}

#[cfg(test)]
mod tests {
    use super::{Preflight, TooMuch, dialled, name_octets};
    use crate::service::book::Layout;

    fn card(lines: &[&str]) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.join("\r\n")).into_bytes()
    }

    #[test]
    fn names_are_measured_as_cards_code_them() {
        for (name, octets) in [
            ("Anna", Some(4)),
            ("Zoë", Some(1 + 6)),
            ("Zoé", Some(3)),
            ("ÅngströmΩ", Some(9)),
            ("a€", Some(3)),
            ("[a]", Some(5)),
            ("王小明", Some(7)),
            ("Anna 王", Some(1 + 12)),
            ("Олег", Some(9)),
            ("🦊", None),
            ("Anna🦊", None),
            ("", Some(0)),
            ("`", Some(3)),
        ] {
            assert_eq!(name_octets(name), octets, "{name}");
        }
        assert_eq!(super::GSM.chars().count(), 127, "and the escape");
    }

    #[test]
    fn numbers_are_measured_as_they_are_dialled() {
        for (number, digits) in [
            ("+49 (30) 1234-56", Some(10)),
            ("tel:+49-30-1", Some(5)),
            ("*100#", Some(5)),
            ("030,12p3", Some(8)),
            ("", None),
            ("+", None),
            ("CALL-ME", None),
            ("1+2", None),
        ] {
            assert_eq!(dialled(number), digits, "{number}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_exactly() {
        let phone = r#"{"records":3,"fields":4,"octets":{"NOTE":5},"dimensions":[
            {"property":"N","length":8},{"property":"FN"},{"property":"TEL","types":["CELL"],"count":1},
            {"property":"TEL","count":2},{"property":"NOTE"},{"property":"EMAIL","length":9}]}"#;
        let phone = Layout::read(phone).unwrap();
        let sim = Layout::sim();
        let count = |dimension: &str, has, holds| TooMuch::Count { dimension: dimension.to_owned(), has, holds };
        let characters =
            |dimension: &str, has, holds| TooMuch::Characters { dimension: dimension.to_owned(), has, holds };
        let octets = |property: &str, has, holds| TooMuch::Octets { property: property.to_owned(), has, holds };
        for (layout, lines, expected) in [
            (
                &phone,
                &["N:Doe;Jo;;;", "FN:Jo Doe", "TEL;TYPE=CELL:1", "TEL:2", "TEL;TYPE=HOME:3", "NOTE:12345"][..],
                vec![],
            ),
            (&phone, &["N:Doe;Jo", "TEL;TYPE=CELL:1", "TEL;TYPE=MOBILE,HOME:2"], vec![count("TEL CELL", 2, 1)]),
            (&phone, &["N:Doe;Jo", "TEL:1", "TEL:2", "TEL;TYPE=HOME:3"], vec![count("TEL", 3, 2)]),
            (&phone, &["N:Doe;Jo", "TEL:1", "TEL:"], vec![]),
            (
                &phone,
                &["N:Doe;Jo", "TEL:1", "TEL:2", "TEL;TYPE=CELL:3", "NOTE:a", "EMAIL:a@b"],
                vec![TooMuch::Fields { has: 5, holds: 4 }],
            ),
            (&phone, &["N:Doe;Josephine;;;"], vec![characters("N", 12, 8)]),
            (&phone, &["N:Doe;Jo", "EMAIL:jo@doe.org"], vec![characters("EMAIL", 10, 9)]),
            (&phone, &["N:Doe;Jo", "NOTE:ünün!"], vec![octets("NOTE", 7, 5)]),
            (&phone, &["N:Doe;Jo", "ADR:;;Street 1;Town", "X-ODD:1", "TITLE:t", "ROLE:r", "URL:u"], vec![]),
            (&sim, &["N:Doe;Jo", "FN:Jo Doe", "TEL:+4930111", "EMAIL:not.there@sim", "ADR:;;s"], vec![]),
            (&sim, &["N:Doe;Jo", "FN:Jo Doe", "TEL:1", "TEL;TYPE=CELL:2"], vec![count("TEL", 2, 1)]),
            (&sim, &["N:D;J", "FN:Fourteen chars", "TEL:1"], vec![]),
            (&sim, &["N:D;J", "FN:Fifteen letters", "TEL:1"], vec![TooMuch::Name { has: 15, holds: 14 }]),
            (&sim, &["N:D;J", "FN:王小明王小明王", "TEL:1"], vec![TooMuch::Name { has: 15, holds: 14 }]),
            (&sim, &["N:D;J", "FN:王小明王小明", "TEL:1"], vec![]),
            (&sim, &["N:D;J", "FN:Fox 🦊", "TEL:1"], vec![TooMuch::NameCharacter]),
            (&sim, &["N:D;J", "FN:J D", "TEL:+123456789012345678901"], vec![TooMuch::Digits { has: 21, holds: 20 }]),
            (&sim, &["N:D;J", "FN:J D", "TEL:ask her"], vec![TooMuch::NoNumber]),
        ] {
            let mut check = Preflight::new(layout);
            check.add(&card(lines));
            let told = check.finish();
            let much: Vec<_> = told.overflows.iter().map(|it| it.much.clone()).collect();
            assert_eq!((much, told.fits()), (expected.clone(), expected.is_empty()), "{lines:?}");
        }
    }

    #[test]
    fn records_are_counted_and_the_list_is_bounded() {
        let layout = Layout { records: Some(2), ..Layout::sim() };
        let mut check = Preflight::new(&layout);
        for _ in 0..1_500 {
            check.add(&card(&["N:D;J", "FN:J D", "TEL:1", "TEL:2"]));
        }
        let told = check.finish();
        assert_eq!((told.records, told.count, told.overflows.len()), (1_500, 1_501, 1_000));
        let mut check = Preflight::new(&layout);
        (0..3).for_each(|_| check.add(b"no card"));
        let told = check.finish();
        assert_eq!(told.overflows[0].much, TooMuch::Records { has: 3, holds: 2 });
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(json, r#"{"records":3,"count":1,"overflows":[{"record":null,"what":"records","has":3,"holds":2}]}"#);
    }
}
