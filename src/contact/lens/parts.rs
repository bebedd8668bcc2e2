//! Parts of a card: what a device repeats of the past, what a change of single properties means for the whole (§3.17),
//! and what a property says to somebody who asks for it (§3.16).

use super::{Fields, Lens, Put, put, view};
use crate::contact::card::{Card, Editor, Property, Shape, canonical_name, decode_document, is_single, shape};
use crate::contact::identity::Canon;
use crate::contact::merge::{Prefer, merge3, same_meaning};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

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

/// Whether a card says nothing that earlier versions of it did not say, each of its lines in any of them. `false` if it is no
/// card.
pub fn repeats<'p>(shown: &[u8], past: impl IntoIterator<Item = &'p [u8]>) -> bool {
    let shown = decode_document(shown);
    let Ok(card) = Card::parse(&shown) else { return false };
    let canon = Canon::of(&card);
    let mut new: HashSet<&[u8]> = canon.lines().map(|(_, _, line)| line).collect();
    for past in past {
        let past = decode_document(past);
        let Ok(past) = Card::parse(&past) else { continue };
        for (_, _, line) in Canon::of(&past).lines() {
            new.remove(line);
        }
    }
    new.is_empty()
}

/// What the card of a device means ([`put`]) that saw more of it at other times, and repeats that: only its [`news`] counts.
///
/// Where it so has what is not in the card any more and could be told of that now, it is: then it can be said to know the
/// card with what it repeats. `None` if one is no card.
pub fn put_news<'p>(
    base: &[u8],
    shown: &[u8],
    (then, now): (&Lens, &Lens),
    past: impl IntoIterator<Item = &'p [u8]>,
) -> Option<Put> {
    let Some(fields) = then.with_fields(now.fields()).fields() else { return put(base, shown, then, now) };
    let news = news(shown, fields, past)?;
    let meant = put(base, &news, then, now)?;
    if meant.told.is_some() || news == *decode_document(shown) {
        return Some(meant);
    }
    let has = put(base, shown, then, now)?.whole;
    let differs = !same_meaning(&view(&has, now)?, &view(&meant.whole, now)?);
    Some(Put { told: differs.then_some(has), ..meant })
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
    use super::{Card, Fields, Lens, any_term, has, news, patch, put_news, term};
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
    fn who_repeats_what_is_gone_is_told() {
        let none = Lens::default();
        let notes: Lens = fields(&["NOTE"]).into();
        let past = [card(&["N:A;B", "TEL:1", "NOTE:a"])];
        let base = ["N:A;B", "TEL:5", "NOTE:b"];
        // What it shows, what it sees now, what that makes of the card, and what it is known to have if not that.
        type Row<'r> = (&'r [&'r str], &'r Lens, &'r [&'r str], Option<&'r [&'r str]>, &'r str);
        let all: &[&str] = &["N:A;B", "TEL:5", "NOTE:b"];
        let cases: &[Row<'_>] = &[
            (&["N:A;B", "TEL:1", "NOTE:b"], &none, all, Some(&["N:A;B", "NOTE:b"]), "another one now"),
            (
                &["N:A;B", "TEL:1", "TEL:5", "NOTE:b"],
                &none,
                all,
                Some(&["N:A;B", "TEL:1", "TEL:5", "NOTE:b"]),
                "one less",
            ),
            (&["N:A;B", "TEL:1", "TEL:5", "NOTE:b"], &notes, all, None, "nobody may tell it"),
            (&["N:A;B", "TEL:5", "NOTE:c"], &none, &["N:A;B", "TEL:5", "NOTE:c"], None, "nothing repeated"),
            (
                &["N:A;B", "TEL:1", "TEL:5", "TEL:6", "NOTE:b"],
                &none,
                &["N:A;B", "TEL:5", "TEL:6", "NOTE:b"],
                Some(&["N:A;B", "TEL:1", "TEL:5", "TEL:6", "NOTE:b"]),
                "beside news",
            ),
        ];
        for (shown, now, whole, told, why) in cases {
            let past = past.iter().map(Vec::as_slice);
            let put = put_news(&card(&base), &card(shown), (&notes, now), past).unwrap();
            let text = String::from_utf8_lossy(&put.whole);
            assert!(same_meaning(&put.whole, &card(whole)), "{why}: {text}");
            match (&put.told, told) {
                (None, None) => {}
                (Some(told), Some(expected)) => {
                    assert!(same_meaning(told, &card(expected)), "{why}: {}", String::from_utf8_lossy(told));
                }
                (told, _) => panic!("{why}: {:?}", told.as_deref().map(String::from_utf8_lossy)),
            }
        }
        // A number that is gone, and of which no other took the place.
        let (base, shown) = (card(&["N:A;B", "NOTE:b"]), card(&["N:A;B", "NOTE:b", "TEL:1"]));
        let put = put_news(&base, &shown, (&notes, &none), past.iter().map(Vec::as_slice)).unwrap();
        assert_eq!((put.whole, put.told.unwrap()), (base, shown));
        assert_eq!(put_news(b"nothing", b"nothing", (&notes, &none), []), None);
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
        fn no_part_of_anything_panics(base in soup(), part in soup(), bits in 0i64..) {
            let _ = patch(&base.0, &part.0);
            let _ = news(&base.0, Fields::from_bits(bits), [&*part.0]);
        }
    }
}
