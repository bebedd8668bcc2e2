//! What a book holds: its dimensions, and how much of them (missions B3 and B7).

use crate::contact::card::{Card, Property, decode_document};
use crate::contact::lens::{Dimension, Lens, Rules};
use crate::message::DevInf;
use crate::session::datastore::same_place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

pub use crate::session::MAX_DIMENSIONS;

/// Bytes of the largest file of a layout.
const MAX_FILE: usize = 64 * 1024;
/// Bytes of the longest name of a property or type.
const MAX_WORD: usize = 64;

/// Why a layout cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// It is not the JSON that is expected.
    #[error("the layout cannot be read: {0}")]
    Unreadable(String),
    /// It is larger than is taken.
    #[error("the layout is too large: at most {MAX_DIMENSIONS} dimensions in {MAX_FILE} bytes")]
    TooLarge,
    /// It holds nothing.
    #[error("the layout has no dimensions; a book holds names at least")]
    Empty,
    /// A property or type that no card can have.
    #[error("{0:?} is no name of a property or type: letters, digits and hyphens")]
    NoName(String),
    /// What marks a card is no field of it.
    #[error("{0} is no field of a card")]
    Mark(String),
    /// A dimension is there twice.
    #[error("the dimension {0} is there twice")]
    Twice(String),
    /// A number that leaves no room for anything.
    #[error("{0} must be 1 at least; left out, there is no limit")]
    Zero(&'static str),
    /// There are no records to learn it from.
    #[error("the book has no records that would show what it holds; say it with a layout")]
    NothingToSee,
}

/// What a book holds. As a file it is JSON; everything but the dimensions may be left out, and then has no limit:
///
/// ```
/// use syncml::service::book::Layout;
/// let layout = Layout::read(r#"{
///     "records": 500,
///     "fields": 6,
///     "name_octets": 20,
///     "number_digits": 40,
///     "octets": { "NOTE": 255 },
///     "dimensions": [
///         { "property": "N" },
///         { "property": "TEL", "types": ["CELL"], "count": 1, "length": 20 },
///         { "property": "TEL", "count": 2 },
///         { "property": "EMAIL", "count": 1 },
///         { "property": "ORG" }
///     ]
/// }"#)?;
/// assert_eq!(layout.dimensions.len(), 5);
/// # Ok::<(), syncml::service::book::LayoutError>(())
/// ```
///
/// A dimension with types takes the properties that have all of them; the one without takes what is left. Other properties are
/// not in the book: they are neither sent up nor brought down, and what the server has of them stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// The most records.
    pub records: Option<u64>,
    /// The most fields of one record, its name aside.
    pub fields: Option<u32>,
    /// The most octets of a record's name as a card of a subscriber codes it: an octet for each character of the GSM alphabet
    /// (3GPP TS 23.038 §6.2.1), two for those of its extension; else one, and two for each character of UCS-2 (ETSI TS 102 221
    /// annex A, the coding 80).
    pub name_octets: Option<u32>,
    /// The most digits of a phone number; a + before them is none.
    pub number_digits: Option<u32>,
    /// The most octets, in UTF-8, of a value of these properties.
    pub octets: BTreeMap<String, u32>,
    /// The dimensions; none: everything there is. `count` is how many of one a record has, `length` how many characters.
    pub dimensions: Vec<Dimension>,
}

fn dimension(property: &str, types: &[&str], count: u32) -> Dimension {
    let types = types.iter().map(|it| (*it).to_owned()).collect();
    Dimension { property: property.to_owned(), types, count, length: 0 }
}

impl Layout {
    /// Reads a layout as a file says it.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn read(json: &str) -> Result<Self, LayoutError> {
        if json.len() > MAX_FILE {
            return Err(LayoutError::TooLarge);
        }
        let layout: Self = serde_json::from_str(json).map_err(|error| LayoutError::Unreadable(error.to_string()))?;
        layout.check()?;
        Ok(layout)
    }

    /// The abbreviated numbers of a SIM (EF ADN, 3GPP TS 51.011 §10.5.1): a name of 14 octets and one number of 20 digits, 250
    /// times. Cards differ: what one really holds may be set afterwards.
    #[must_use]
    pub fn sim() -> Self {
        Self {
            records: Some(250),
            name_octets: Some(14),
            number_digits: Some(20),
            dimensions: vec![dimension("N", &[], 0), dimension("FN", &[], 0), dimension("TEL", &[], 1)],
            ..Self::default()
        }
    }

    /// What a device declares of its datastore at this address (CTCap and DSMem, §3.19); `None` where it declares no fields.
    ///
    /// # Errors
    /// [`LayoutError`], for what no book can hold.
    pub fn of_devinf(devinf: &DevInf<'_>, uri: &str) -> Result<Option<Self>, LayoutError> {
        let store = devinf.stores.iter().find(|store| same_place(&store.source_ref, uri)).or(match &*devinf.stores {
            [only] => Some(only),
            _ => None,
        });
        let is_card = |media_type: &str| ["text/x-vcard", "text/vcard"].contains(&media_type.trim());
        let mut caps = store.into_iter().flat_map(|store| &store.content_caps).chain(&devinf.content_caps);
        let Some(cap) = caps.find(|cap| is_card(&cap.media_type)) else { return Ok(None) };
        let mut layout = Self::default();
        for property in &cap.properties {
            let name = property.name.trim().to_ascii_uppercase();
            if matches!(&*name, "BEGIN" | "END" | "VERSION") || layout.dimensions.iter().any(|it| it.property == name) {
                continue;
            }
            let count = property.max_occur.map_or(0, |most| u32::try_from(most).unwrap_or(u32::MAX));
            if let Some(size) = property.max_size.filter(|size| *size > 0) {
                layout.octets.insert(name.clone(), u32::try_from(size).unwrap_or(u32::MAX));
            }
            layout.dimensions.push(dimension(&name, &[], count));
        }
        layout.records = store.and_then(|store| store.memory).and_then(|memory| memory.max_id).filter(|most| *most > 0);
        if layout.dimensions.is_empty() {
            return Ok(None);
        }
        layout.check()?;
        Ok(Some(layout))
    }

    /// What the records of a book show that it holds (patent, step S420). Nothing is learned of how much.
    ///
    /// # Errors
    /// [`LayoutError::NothingToSee`] of a book without records.
    pub fn of_records(seen: &Survey) -> Result<Self, LayoutError> {
        let mut dimensions: Vec<Dimension> = seen.dimensions().map(|(dimension, _)| dimension).collect();
        if dimensions.is_empty() {
            return Err(LayoutError::NothingToSee);
        }
        dimensions.truncate(MAX_DIMENSIONS);
        Ok(Self { dimensions, ..Self::default() })
    }

    fn check(&self) -> Result<(), LayoutError> {
        for (name, zero) in [
            ("records", self.records == Some(0)),
            ("fields", self.fields == Some(0)),
            ("name_octets", self.name_octets == Some(0)),
            ("number_digits", self.number_digits == Some(0)),
            ("octets", self.octets.values().any(|most| *most == 0)),
        ] {
            if zero {
                return Err(LayoutError::Zero(name));
            }
        }
        match self.dimensions.len() {
            0 => return Err(LayoutError::Empty),
            1..=MAX_DIMENSIONS => {}
            _ => return Err(LayoutError::TooLarge),
        }
        for (at, one) in self.dimensions.iter().enumerate() {
            let is_name = |word: &str| {
                (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            if let Some(wrong) = std::iter::once(&one.property).chain(&one.types).find(|word| !is_name(word)) {
                return Err(LayoutError::NoName(wrong.clone()));
            }
            if ["BEGIN", "END", "VERSION"].iter().any(|mark| mark.eq_ignore_ascii_case(&one.property)) {
                return Err(LayoutError::Mark(one.property.to_ascii_uppercase()));
            }
            if self.dimensions[..at].iter().any(|before| title(before) == title(one)) {
                return Err(LayoutError::Twice(title(one)));
            }
        }
        Ok(())
    }

    /// The dimensions as a request says them ([`ClientBook::dimensions`](crate::session::ClientBook::dimensions)): which fields,
    /// and not how many. A server that knew that would cut what does not fit, and nobody would be warned.
    #[must_use]
    pub fn rule(&self) -> Vec<Dimension> {
        self.dimensions.iter().map(|one| Dimension { count: 0, length: 0, ..one.clone() }).collect()
    }

    /// What of a card is in the book.
    #[must_use]
    pub fn lens(&self) -> Lens {
        Lens::of(None, &Rules { dimensions: self.rule(), ..Rules::default() }, None).0
    }

    /// The dimension that a property is in: the one with the most types of those that it has all of.
    pub(super) fn place(&self, property: &Property<'_>) -> Option<usize> {
        let fits = |one: &Dimension| property.is(&one.property) && one.types.iter().all(|it| has_type(property, it));
        let places = self.dimensions.iter().enumerate().filter(|(_, one)| fits(one));
        // The first of several.
        places.max_by_key(|(at, one)| (one.types.len(), std::cmp::Reverse(*at))).map(|(at, _)| at)
    }
}

/// MOBILE is what some phones write for CELL.
fn has_type(property: &Property<'_>, kind: &str) -> bool {
    let cell = |it: &str| ["CELL", "MOBILE"].iter().any(|word| word.eq_ignore_ascii_case(it));
    property.has_type(kind) || cell(kind) && (property.has_type("CELL") || property.has_type("MOBILE"))
}

/// A dimension in a word: `TEL`, `TEL CELL`.
pub(super) fn title(dimension: &Dimension) -> String {
    let mut types: Vec<String> = dimension.types.iter().map(|it| it.to_ascii_uppercase()).collect();
    types.sort_unstable();
    types.dedup();
    std::iter::once(dimension.property.to_ascii_uppercase()).chain(types).collect::<Vec<_>>().join(" ")
}

/// What the records of a book hold: its dimensions, as they are there, and how many records have them. Numbers of mobiles,
/// faxes and pagers are dimensions of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    records: u64,
    found: BTreeMap<(String, Option<&'static str>), u64>,
}

impl Survey {
    /// Looks at a record; what is no card says nothing.
    pub fn add(&mut self, content: &[u8]) {
        let content = decode_document(content);
        let Ok(card) = Card::parse(&content) else { return };
        self.records += 1;
        let mut here: Vec<(String, Option<&'static str>)> = Vec::new();
        for property in card.properties().iter().filter(|it| !it.is_empty()) {
            let name = property.name().to_ascii_uppercase();
            // Bookkeeping is no field.
            if matches!(&*name, "BEGIN" | "END" | "VERSION" | "UID" | "REV" | "PRODID") || name.len() > MAX_WORD {
                continue;
            }
            let kinds = ["CELL", "FAX", "PAGER"];
            let kind = kinds.into_iter().find(|kind| name == "TEL" && has_type(property, kind));
            if !here.contains(&(name.clone(), kind)) {
                here.push((name, kind));
            }
        }
        for found in here {
            // More kinds of fields than a layout has are not told apart.
            if self.found.len() < MAX_DIMENSIONS || self.found.contains_key(&found) {
                *self.found.entry(found).or_default() += 1;
            }
        }
    }

    /// The records looked at.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The dimensions, and how many records have each.
    pub fn dimensions(&self) -> impl Iterator<Item = (Dimension, u64)> + '_ {
        self.found.iter().map(|((property, kind), count)| (dimension(property, kind.as_slice(), 0), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, LayoutError, MAX_DIMENSIONS, Survey, title};
    use crate::contact::lens::view;
    use crate::message::{ContentCap, DataStore, DevInf, Property, StoreMemory};

    fn card(lines: &[&str]) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.join("\r\n")).into_bytes()
    }

    fn titles(layout: &Layout) -> Vec<String> {
        layout.dimensions.iter().map(title).collect()
    }

    #[test]
    fn a_file_says_what_a_book_holds() {
        let no_name = |name: &str| Err(LayoutError::NoName(name.to_owned()));
        let many: Vec<String> = (0..=MAX_DIMENSIONS).map(|at| format!(r#"{{"property":"X-{at}"}}"#)).collect();
        for (json, expected) in [
            (r#"{"dimensions":[{"property":"n"},{"property":"TEL","types":["cell"]}]}"#, Ok(vec!["N", "TEL CELL"])),
            (r#"{"records":250,"dimensions":[{"property":"FN","length":14}]}"#, Ok(vec!["FN"])),
            (r#"{"dimensions":[]}"#, Err(LayoutError::Empty)),
            (r#"{"records":0,"dimensions":[{"property":"N"}]}"#, Err(LayoutError::Zero("records"))),
            (r#"{"octets":{"NOTE":0},"dimensions":[{"property":"N"}]}"#, Err(LayoutError::Zero("octets"))),
            (r#"{"dimensions":[{"property":"TEL:1"}]}"#, no_name("TEL:1")),
            (r#"{"dimensions":[{"property":""}]}"#, no_name("")),
            (r#"{"dimensions":[{"property":"TEL","types":["a b"]}]}"#, no_name("a b")),
            (r#"{"dimensions":[{"property":"Version"}]}"#, Err(LayoutError::Mark("VERSION".to_owned()))),
            (
                r#"{"dimensions":[{"property":"TEL","types":["HOME","FAX"]},{"property":"tel","types":["fax","home"]}]}"#,
                Err(LayoutError::Twice("TEL FAX HOME".to_owned())),
            ),
            (&format!(r#"{{"dimensions":[{}]}}"#, many.join(",")), Err(LayoutError::TooLarge)),
            (&" ".repeat(super::MAX_FILE + 1), Err(LayoutError::TooLarge)),
        ] {
            let read = Layout::read(json);
            let expected = expected.map(|titles| titles.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(read.as_ref().map(titles).map_err(Clone::clone), expected, "{:.90}", json);
            if let Ok(layout) = read {
                assert_eq!(Layout::read(&serde_json::to_string(&layout).unwrap()), Ok(layout), "written and read");
            }
        }
        for json in ["", "7", r#"{"dimension":[]}"#, r#"{"dimensions":[{"property":"N","most":1}]}"#] {
            assert!(matches!(Layout::read(json), Err(LayoutError::Unreadable(_))), "{json}");
        }
    }

    #[test]
    fn a_device_says_what_its_book_holds() {
        let property = |name: &'static str, most, size| Property {
            name: name.into(),
            max_occur: most,
            max_size: size,
            ..Property::default()
        };
        let properties = vec![
            property("VERSION", None, None),
            property("N", None, Some(32)),
            property("tel", Some(4), Some(40)),
            property("TEL", Some(1), None),
        ];
        let cap = ContentCap { media_type: "text/x-vcard".into(), properties, ..ContentCap::default() };
        let memory = StoreMemory { shared: false, max_mem: None, max_id: Some(500) };
        let store = DataStore {
            source_ref: "./pb".into(),
            memory: Some(memory),
            content_caps: vec![cap],
            ..DataStore::default()
        };
        let devinf = DevInf { stores: vec![store], ..DevInf::default() };
        let layout = Layout::of_devinf(&devinf, "pb").unwrap().unwrap();
        assert_eq!((titles(&layout), layout.records), (vec!["N".to_owned(), "TEL".to_owned()], Some(500)));
        assert_eq!(
            (layout.dimensions[1].count, layout.octets.get("TEL"), layout.octets.get("N")),
            (4, Some(&40), Some(&32))
        );
        assert_eq!(Layout::of_devinf(&DevInf::default(), "pb"), Ok(None));
    }

    #[test]
    fn records_show_what_their_book_holds() {
        let mut seen = Survey::default();
        assert_eq!(Layout::of_records(&seen), Err(LayoutError::NothingToSee));
        seen.add(&card(&["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=MOBILE:2", "EMAIL:a@b", "ORG:", "UID:7"]));
        seen.add(&card(&["N:C;D", "TEL;TYPE=HOME:3", "X-WECHAT:c"]));
        seen.add(b"no card");
        let found: Vec<_> = seen.dimensions().map(|(one, count)| (title(&one), count)).collect();
        let found: Vec<_> = found.iter().map(|(title, count)| (title.as_str(), *count)).collect();
        assert_eq!(found, [("EMAIL", 1), ("FN", 1), ("N", 2), ("TEL", 1), ("TEL CELL", 1), ("X-WECHAT", 1)]);
        assert_eq!(seen.records(), 2);
        assert_eq!(Layout::of_records(&seen).unwrap().dimensions.len(), 6);
    }

    #[test]
    fn a_card_is_aligned_to_the_dimensions() {
        let whole = card(&["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=CELL:2", "TEL:3", "EMAIL:a@b", "NOTE:n"]);
        let layout = r#"{"dimensions":[{"property":"N"},{"property":"FN"},{"property":"TEL","types":["CELL"],"count":1},
            {"property":"ORG"}]}"#;
        let layout = Layout::read(layout).unwrap();
        let aligned = card(&["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=CELL:2"]);
        assert_eq!(view(&whole, &layout.lens()), Some(aligned), "which fields, not how many");
        assert!(Layout::default().lens().is_whole());
    }
}
