//! What tells two versions of one contact apart, property by property.
//!
//! Compared is what they mean, as in a [`Fingerprint`](super::identity::Fingerprint): spelling, order, folding, charsets,
//! default types and the bookkeeping of programs (UID, REV, PRODID) are no difference. Personal data: not for logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::card::{Card, Property, canonical_name, decode_document};
use super::identity::Canon;

/// A property in which two versions differ.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its name in capitals: `TEL`.
    pub property: String,
    /// What only the first version says, each with its types: `CELL: +46 70 174 06 01`.
    pub before: Vec<String>,
    /// What only the second says.
    pub after: Vec<String>,
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -{} +{}", self.property, self.before.len(), self.after.len())
    }
}

/// What the second version says otherwise than the first, by the name of the property; empty for versions of the same
/// meaning. `None` if one is no card.
#[must_use]
pub fn diff(before: &[u8], after: &[u8]) -> Option<Vec<Difference>> {
    let (before, after) = (decode_document(before), decode_document(after));
    let (before, after) = (Card::parse(&before).ok()?, Card::parse(&after).ok()?);
    let (before_canon, after_canon) = (Canon::of(&before), Canon::of(&after));
    let (before_says, after_says) = (says(&before_canon), says(&after_canon));
    let mut found: BTreeMap<String, Difference> = BTreeMap::new();
    let sides = [(&before, &before_says, &after_says), (&after, &after_says, &before_says)];
    for (side, (card, mine, others)) in sides.into_iter().enumerate() {
        // A list is one property with a line for each of its items.
        let only: BTreeSet<usize> =
            mine.iter().filter(|(line, _)| !others.contains_key(*line)).map(|(_, at)| *at).collect();
        for at in only {
            let property = &card.properties()[at];
            let name = canonical_name(property.name()).to_ascii_uppercase();
            let difference = found.entry(name.clone()).or_insert_with(|| Difference {
                property: name,
                before: Vec::new(),
                after: Vec::new(),
            });
            let said = said(property);
            if side == 0 { difference.before.push(said) } else { difference.after.push(said) }
        }
    }
    Some(found.into_values().collect())
}

/// What a card says, line by line, and with which property.
fn says(canon: &Canon) -> BTreeMap<&[u8], usize> {
    canon.lines().map(|(at, _, full)| (full, at)).collect()
}

/// A property for people.
fn said(property: &Property<'_>) -> String {
    let types = property.types().collect::<Vec<_>>().join(", ");
    let value = match property.binary() {
        Some(bytes) => format!("({} bytes)", bytes.len()),
        None => property.text().trim().to_owned(),
    };
    if types.is_empty() { value } else { format!("{types}: {value}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contact::merge::same_meaning;
    use crate::contact::testing::{at_least, build, card, properties, soup, version};

    #[test]
    fn tells_properties_apart_by_meaning() {
        type Side<'a> = &'a [&'a str];
        type Row<'a> = (&'a str, (&'a str, Side<'a>), (&'a str, Side<'a>), &'a [(&'a str, Side<'a>, Side<'a>)]);
        let table: &[Row<'_>] = &[
            (
                "spelling and bookkeeping",
                ("2.1", &["N:Doe;Ada", "TEL;CELL;VOICE:+46 70 1", "REV:20200101T000000Z"]),
                ("3.0", &["TEL;TYPE=cell:+46-70-1", "N:Doe;Ada", "UID:7"]),
                &[],
            ),
            (
                "one of two numbers",
                ("3.0", &["N:D", "TEL;TYPE=HOME:12", "TEL:3"]),
                ("3.0", &["N:D", "TEL:3", "TEL;TYPE=HOME:14"]),
                &[("TEL", &["HOME: 12"], &["HOME: 14"])],
            ),
            (
                "another type",
                ("3.0", &["N:D", "TEL;TYPE=HOME:12"]),
                ("3.0", &["N:D", "TEL;TYPE=WORK:12"]),
                &[("TEL", &["HOME: 12"], &["WORK: 12"])],
            ),
            (
                "added and removed",
                ("3.0", &["N:D", "TITLE:x"]),
                ("3.0", &["N:D", "NOTE:ny\\nrad"]),
                &[("NOTE", &[], &["ny\nrad"]), ("TITLE", &["x"], &[])],
            ),
            (
                "a list is shown once",
                ("3.0", &["N:D", "CATEGORIES:a,b"]),
                ("3.0", &["N:D", "CATEGORIES:c,d"]),
                &[("CATEGORIES", &["a,b"], &["c,d"])],
            ),
            (
                "a photo",
                ("3.0", &["N:D", "PHOTO;ENCODING=b:aGVs"]),
                ("3.0", &["N:D", "PHOTO;ENCODING=b:aGVsbG8="]),
                &[("PHOTO", &["(3 bytes)"], &["(5 bytes)"])],
            ),
        ];
        for (why, before, after, wanted) in table {
            let found = diff(&card(before.0, before.1), &card(after.0, after.1)).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|it| {
                    let texts = |side: &[String]| side.to_vec();
                    (it.property.clone(), texts(&it.before), texts(&it.after))
                })
                .collect();
            let texts = |side: &[&str]| side.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let wanted: Vec<_> =
                wanted.iter().map(|(name, before, after)| ((*name).to_owned(), texts(before), texts(after))).collect();
            assert_eq!(found, wanted, "{why}");
        }
        assert_eq!(diff(b"no card", &card("3.0", &["N:D"])), None);
    }

    proptest! {
        #![proptest_config(at_least(256))]

        #[test]
        fn nothing_differs_exactly_where_the_meaning_is_the_same(
            one in (version(), properties()),
            two in (version(), properties()),
        ) {
            let (one, two) = (build(one.0, &one.1), build(two.0, &two.1));
            for (a, b) in [(&one, &two), (&one, &one)] {
                let (there, back) = (diff(a, b).unwrap(), diff(b, a).unwrap());
                prop_assert_eq!(there.is_empty(), same_meaning(a, b));
                let turned = back.into_iter().map(|it| Difference { before: it.after, after: it.before, ..it });
                prop_assert!(turned.eq(there));
            }
        }

        #[test]
        fn it_is_total(one in soup(), two in soup()) {
            let _ = diff(&one.0, &two.0);
        }
    }
}
