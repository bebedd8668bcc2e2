//! Parts of a card: the properties that a field filter shows, what a change of a part means for the whole (design laws L1
//! to L5), and what a property says to somebody who asks for it (§3.16, §3.17).

use super::card::{Card, Editor, Property, Shape, canonical_name, decode_document, is_single, shape};
use super::identity::Canon;
use super::merge::{Prefer, merge3};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The card without the properties that are not in the set; what is shown stays byte for byte. `None` if it is no card.
pub fn view(content: &[u8], fields: Fields) -> Option<Vec<u8>> {
    let content = decode_document(content);
    let card = Card::parse(&content).ok()?;
    let group = |property: &Property<'_>| property.group().map(str::to_ascii_lowercase);
    let shown: HashSet<String> =
        card.properties().iter().filter(|it| fields.shows(it.name())).filter_map(group).collect();
    Some(keep(&card, |property| {
        // A label goes with what it is the label of.
        let labels = || Canon::is_label(property) && group(property).is_some_and(|group| shown.contains(&group));
        fields.shows(property.name()) || labels()
    }))
}

/// The whole card after a peer that was shown [`view`]`(base, fields)` has `shown`: what it was not shown stays. A card that
/// comes back as it was shown changes nothing, byte for byte; what comes beyond the fields is kept. `None` if one is no
/// card.
pub fn put(base: &[u8], shown: &[u8], fields: Fields) -> Option<Vec<u8>> {
    let before = view(base, fields)?;
    merge3(&before, base, shown, Prefer::Incoming).map(|merged| merged.content)
}

/// What a peer shows without what it repeats of the past: properties beyond the fields that say just what an earlier version
/// of the card said. It holds them from then, and nobody told it of what became of them. `None` if it is no card.
pub fn news<'p>(shown: &[u8], fields: Fields, past: impl IntoIterator<Item = &'p [u8]>) -> Option<Vec<u8>> {
    let shown = decode_document(shown);
    let card = Card::parse(&shown).ok()?;
    let canon = Canon::of(&card);
    let hidden = |at: usize| card.properties().get(at).is_some_and(|property| !fields.shows(property.name()));
    // By property, the lines that nobody has said before.
    let mut new: HashMap<usize, HashSet<&[u8]>> = HashMap::new();
    for (at, _, line) in canon.lines().filter(|(at, ..)| hidden(*at)) {
        new.entry(at).or_default().insert(line);
    }
    let told: HashSet<usize> = new.keys().copied().collect();
    for past in past {
        let past = decode_document(past);
        let Ok(past) = Card::parse(&past) else { continue };
        let canon = Canon::of(&past);
        let said: HashSet<&[u8]> = canon.lines().map(|(_, _, line)| line).collect();
        new.retain(|_, lines| {
            lines.retain(|line| !said.contains(line));
            !lines.is_empty()
        });
    }
    let mut editor = Editor::new(&card);
    for at in told.into_iter().filter(|at| !new.contains_key(at)) {
        editor.remove(at);
    }
    Some(editor.finish())
}

/// The whole card after a change that names only what changed (§3.17). A property takes the place of those of its name and
/// label (TYPE without PREF); one that a card has once, of those of its name; an empty one without TYPE removes all of its
/// name. `part` need not be a whole card: the lines between BEGIN and END will do. `None` if the base is no card or the part
/// has no property.
pub fn patch(base: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    let whole = decode_document(base);
    let card = Card::parse(&whole).ok()?;
    let part = decode_document(part);
    let part = match Card::parse(&part) {
        Ok(_) => part,
        Err(_) => {
            let version = card.version();
            let mut wrapped = format!("BEGIN:VCARD\r\nVERSION:{version}\r\n").into_bytes();
            wrapped.extend_from_slice(&part);
            wrapped.extend_from_slice(b"\r\nEND:VCARD\r\n");
            Cow::Owned(wrapped)
        }
    };
    let changes = Card::parse(&part).ok()?;
    let (mut names, mut labelled) = (HashSet::new(), HashSet::new());
    for property in changes.properties().iter().filter(|it| !it.is("VERSION")) {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        let label = label(property);
        if is_single(&name) || (property.is_empty() && label.is_empty()) {
            names.insert(name);
        } else {
            labelled.insert((name, label));
        }
    }
    if names.is_empty() && labelled.is_empty() {
        return None;
    }
    let before = keep(&card, |property| {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        name == "VERSION" || names.contains(&name) || labelled.contains(&(name, label(property)))
    });
    merge3(&before, &whole, &part, Prefer::Incoming).map(|merged| merged.content)
}

fn keep(card: &Card<'_>, keeps: impl Fn(&Property<'_>) -> bool) -> Vec<u8> {
    let mut editor = Editor::new(card);
    for (at, property) in card.properties().iter().enumerate() {
        if !keeps(property) {
            editor.remove(at);
        }
    }
    editor.finish()
}

/// What tells the numbers of a contact apart: its types, without those that phones add and leave out as they like.
fn label(property: &Property<'_>) -> Vec<String> {
    let mut types: Vec<String> = property.types().map(|it| it.to_ascii_uppercase()).collect();
    types.retain(|it| !matches!(it.as_str(), "PREF" | "VOICE" | "INTERNET"));
    types.sort_unstable();
    types.dedup();
    types
}

/// Whether a card has a property of this name that is not empty.
pub fn has(card: &Card<'_>, name: &str) -> bool {
    named(card, name).next().is_some()
}

/// Whether any way to read any property of this name satisfies `wanted`: its whole text, or one component of a structured
/// value, or one item of a list. Phones and dates are told in the form that [`term`] gives; what is binary says nothing.
pub fn any_term(card: &Card<'_>, name: &str, mut wanted: impl FnMut(&str) -> bool) -> bool {
    let shape = shape(canonical_name(name));
    named(card, name).filter(|property| !property.is_binary()).any(|property| {
        let text = property.text();
        let whole = text.trim().trim_end_matches([';', ',']);
        let parts = || match shape {
            Shape::Structured => property.components(),
            Shape::List => property.list(),
            _ => Vec::new(),
        };
        wanted(&term(name, whole)) || parts().iter().any(|part| !part.trim().is_empty() && wanted(part.trim()))
    })
}

/// A text as it is compared with a property's: phones without what only parts digits, dates without hyphens and colons.
pub fn term<'t>(name: &str, text: &'t str) -> Cow<'t, str> {
    let parts: &[char] = match shape(canonical_name(name)) {
        Shape::Phone => &[' ', '-', '.', '/', '(', ')', '\u{a0}'],
        Shape::Date => &['-', ':'],
        _ => return Cow::Borrowed(text),
    };
    if text.contains(parts) { Cow::Owned(text.replace(parts, "")) } else { Cow::Borrowed(text) }
}

fn named<'c, 'a>(card: &'c Card<'a>, name: &str) -> impl Iterator<Item = &'c Property<'a>> {
    let name = canonical_name(name);
    card.properties()
        .iter()
        .filter(move |it| canonical_name(it.name()).eq_ignore_ascii_case(name))
        .filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Card, Fields, NAMES, OTHERS, any_term, has, news, patch, put, term, view};
    use crate::contact::merge::same_meaning;
    use crate::contact::testing::{at_least, soup};
    use proptest::prelude::*;

    fn card(lines: &[&str]) -> Vec<u8> {
        let mut out = b"BEGIN:VCARD\r\nVERSION:3.0\r\n".to_vec();
        for line in lines {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"END:VCARD\r\n");
        out
    }

    fn fields(names: &[&str]) -> Fields {
        Fields::of_names(names.iter().copied())
    }

    #[test]
    fn names_have_bits_of_their_own() {
        assert!(NAMES.len() <= OTHERS as usize);
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(Fields::of_names([*name]).to_bits(), 1 << at, "{name}");
        }
        let set = fields(&["tel", "X-FOO", "BEGIN", "VERSION"]);
        assert_eq!(Fields::from_bits(set.to_bits()), set);
        assert!(set.shows("TEL") && set.shows("n") && set.shows("X-BAR") && !set.shows("EMAIL"));
        assert!(!fields(&["X-ANNIVERSARY"]).shows("X-BAR"), "a standard name in disguise");
        assert!(set.exceeds(Fields::NONE) && !set.and(fields(&["EMAIL"])).exceeds(Fields::NONE));
    }

    #[test]
    fn a_view_shows_what_is_asked_for() {
        let whole =
            card(&["N:A;B", "FN:B A", "item1.TEL:1", "item1.X-ABLabel:Boat", "item2.EMAIL:a@b", "item2.X-ABLabel:Old"]);
        assert_eq!(
            view(&whole, fields(&["TEL"])).unwrap(),
            card(&["N:A;B", "FN:B A", "item1.TEL:1", "item1.X-ABLabel:Boat"])
        );
        assert_eq!(view(b"nothing", fields(&["TEL"])), None);
    }

    #[test]
    fn what_was_not_shown_stays() {
        let whole = card(&["N:A;B", "TEL;TYPE=CELL:1", "EMAIL:a@b", "NOTE:secret", "UID:7"]);
        let only = fields(&["TEL"]);
        let cases: &[(&[&str], &[&str], &str)] = &[
            (
                &["N:A;B", "TEL;TYPE=CELL:1"],
                &["N:A;B", "TEL;TYPE=CELL:1", "EMAIL:a@b", "NOTE:secret", "UID:7"],
                "an echo",
            ),
            (
                &["N:A;B", "TEL;TYPE=CELL:2"],
                &["N:A;B", "EMAIL:a@b", "NOTE:secret", "UID:7", "TEL;TYPE=CELL:2"],
                "an edit",
            ),
            (&["N:A;B"], &["N:A;B", "EMAIL:a@b", "NOTE:secret", "UID:7"], "a removal of what was shown"),
            (
                &["N:A;B", "TEL;TYPE=CELL:1", "ORG:X"],
                &["N:A;B", "TEL;TYPE=CELL:1", "EMAIL:a@b", "NOTE:secret", "UID:7", "ORG:X"],
                "more than declared is kept",
            ),
        ];
        for (shown, expected, why) in cases {
            let result = put(&whole, &card(shown), only).unwrap();
            assert!(same_meaning(&result, &card(expected)), "{why}: {}", String::from_utf8_lossy(&result));
            assert!(String::from_utf8_lossy(&result).contains("UID:7"), "{why}");
        }
        assert_eq!(put(&whole, &view(&whole, only).unwrap(), only).unwrap(), whole, "byte for byte");
    }

    #[test]
    fn what_is_repeated_is_no_news() {
        let shown = card(&["N:A;B", "TEL:1", "EMAIL:old@b", "NOTE:new", "CATEGORIES:x,y"]);
        let past = [card(&["N:A;B", "EMAIL:old@b", "CATEGORIES:x"]), card(&["N:A;B", "TEL:1"]), b"nothing".to_vec()];
        let past = || past.iter().map(Vec::as_slice);
        let only = fields(&["TEL"]);
        let kept = card(&["N:A;B", "TEL:1", "NOTE:new", "CATEGORIES:x,y"]);
        assert_eq!(news(&shown, only, past()).unwrap(), kept);
        assert_eq!(news(&shown, fields(&["TEL", "EMAIL"]), past()).unwrap(), shown, "what it sees it may mean");
        assert_eq!(news(b"nothing", only, past()), None);
    }

    #[test]
    fn a_part_changes_what_it_names() {
        let whole = card(&["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=HOME,VOICE:2", "EMAIL:a@b", "ORG:X"]);
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "EMAIL:c@d\r\n",
                &["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=HOME:2", "EMAIL:c@d", "ORG:X"],
                "the one of its name",
            ),
            (
                "TEL;CELL:9",
                &["N:A;B", "FN:B A", "TEL;TYPE=CELL:9", "TEL;TYPE=HOME:2", "EMAIL:a@b", "ORG:X"],
                "the one of its label",
            ),
            (
                "TEL;TYPE=WORK:9",
                &["N:A;B", "FN:B A", "TEL;TYPE=CELL:1", "TEL;TYPE=HOME:2", "TEL;TYPE=WORK:9", "EMAIL:a@b", "ORG:X"],
                "a new one",
            ),
            ("TEL:\r\n", &["N:A;B", "FN:B A", "EMAIL:a@b", "ORG:X"], "all of its name"),
            (
                "BEGIN:VCARD\r\nVERSION:2.1\r\nN:C;B\r\nEND:VCARD\r\n",
                &["N:C;B", "FN:B C", "TEL;TYPE=CELL:1", "TEL;TYPE=HOME:2", "EMAIL:a@b", "ORG:X"],
                "FN follows N",
            ),
        ];
        for (part, expected, why) in cases {
            let result = patch(&whole, part.as_bytes()).unwrap();
            assert!(same_meaning(&result, &card(expected)), "{why}: {}", String::from_utf8_lossy(&result));
        }
        assert_eq!(patch(&whole, b"nothing"), None);
        assert_eq!(patch(b"nothing", b"TEL:1"), None);
    }

    #[test]
    fn what_a_property_says() {
        let whole =
            card(&["N:Meier;Ann;;;", "TEL:+49 (30) 1-2", "CATEGORIES:a,b", "BDAY:1970-01-02", "NOTE:", "ORG:X;Y"]);
        let whole = Card::parse(&whole).unwrap();
        for (name, wanted, expected) in [
            ("n", "Meier;Ann", true),
            ("N", "Ann", true),
            ("N", "Meie", false),
            ("TEL", "+493012", true),
            ("CATEGORIES", "b", true),
            ("BDAY", "19700102", true),
            ("NOTE", "", false),
            ("EMAIL", "", false),
        ] {
            assert_eq!(any_term(&whole, name, |text| text == wanted), expected, "{name} {wanted}");
        }
        assert!(has(&whole, "org") && !has(&whole, "NOTE"));
        assert_eq!(term("TEL", "030/1"), "0301");
        assert_eq!(term("NOTE", "030/1"), "030/1");
    }

    proptest! {
        #![proptest_config(at_least(300))]

        #[test]
        fn an_echo_of_a_view_changes_nothing(soup in soup(), bits in 0i64..) {
            let fields = Fields::from_bits(bits);
            if let Some(shown) = view(&soup.0, fields)
                && let Some(whole) = put(&soup.0, &shown, fields)
            {
                prop_assert!(same_meaning(&whole, &soup.0));
            }
        }

        #[test]
        fn no_part_of_anything_panics(base in soup(), part in soup(), bits in 0i64..) {
            let _ = patch(&base.0, &part.0);
            let _ = put(&base.0, &part.0, Fields::from_bits(bits));
            let _ = news(&base.0, Fields::from_bits(bits), [&*part.0]);
        }
    }
}
