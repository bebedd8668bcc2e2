//! Unions and their laws.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::contact::card::{Version, canonical_name, convert, is_single};
use crate::contact::identity::Canon;
use crate::contact::testing::{Soup, build, card, properties, soup, version};

/// The lines between VERSION and END.
fn inner(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    lines[2..lines.len() - 2].iter().map(|line| line.to_string()).collect()
}

#[test]
fn union_keeps_ours_and_adds_theirs() {
    for (why, ours, theirs, wanted, conflicts) in [
        (
            "numbers",
            &["N:D", "TEL;TYPE=HOME:1-2"][..],
            ("2.1", &["N:D", "TEL;CELL:12", "TEL;CELL:3"][..]),
            &["N:D", "TEL;TYPE=HOME:1-2", "TEL;TYPE=CELL:3"][..],
            &[][..],
        ),
        (
            "row23_one_side_only",
            &["N:D", "EMAIL:a@b"],
            ("3.0", &["N:D", "EMAIL:c@d"]),
            &["N:D", "EMAIL:a@b", "EMAIL:c@d"],
            &[],
        ),
        (
            "row23_photo",
            &["N:D", "PHOTO;VALUE=uri:http://a"],
            ("3.0", &["N:D", "PHOTO;ENCODING=b:aGVs"]),
            &["N:D", "PHOTO;VALUE=uri:http://a"],
            &["PHOTO"],
        ),
        (
            "single, absent",
            &["N:D"],
            ("3.0", &["N:D", "BDAY:1980-01-02", "ORG:A"]),
            &["N:D", "BDAY:1980-01-02", "ORG:A"],
            &[],
        ),
        ("single, empty", &["N:D", "ORG:;"], ("3.0", &["N:D", "ORG:A"]), &["N:D", "ORG:;", "ORG:A"], &[]),
        ("single, other", &["N:D", "TITLE:x"], ("3.0", &["N:D", "TITLE:y"]), &["N:D", "TITLE:x"], &["TITLE"]),
        ("name said otherwise", &["N:Doe;Ada"], ("3.0", &["N:Ada Doe", "FN:Ada Doe"]), &["N:Doe;Ada"], &[]),
        (
            "name without middle",
            &["N:Doe;Ada;Byron", "FN:Ada B. Doe"],
            ("2.1", &["N:Doe;Ada"]),
            &["N:Doe;Ada;Byron", "FN:Ada B. Doe"],
            &[],
        ),
        ("name differs", &["N:Doe;Ada"], ("2.1", &["N:Doe;Ada;Byron"]), &["N:Doe;Ada"], &["N"]),
        (
            "row20_labels come along under a free group",
            &["N:D", "item1.TEL:1", "item1.X-ABLabel:Boat"],
            ("3.0", &["item1.TEL:1", "item1.X-ABLabel:Car", "N:D"]),
            &["N:D", "item1.TEL:1", "item1.X-ABLabel:Boat", "item2.TEL:1", "item2.X-ABLabel:Car"],
            &[],
        ),
        (
            "row16_unknown",
            &["N:D", "X-A;X-P=1:q"],
            ("3.0", &["N:D", "X-B:\\;;a,"]),
            &["N:D", "X-A;X-P=1:q", "X-B:\\;;a,"],
            &[],
        ),
        ("bookkeeping", &["N:D", "UID:1"], ("3.0", &["N:D", "UID:2", "REV:3"]), &["N:D", "UID:1", "REV:3"], &[]),
        (
            "newer property in an older card",
            &["N:D"],
            ("4.0", &["N:D", "FN:D", "KIND:org"]),
            &["N:D", "X-KIND:org"],
            &[],
        ),
    ] {
        let merged = union(&card("3.0", ours), &card(theirs.0, theirs.1)).unwrap();
        assert_eq!(inner(&merged.content), wanted, "{why}");
        assert_eq!(merged.conflicts.iter().map(|it| it.property.as_str()).collect::<Vec<_>>(), conflicts, "{why}");
        assert_eq!(merged.changed, ours != wanted, "{why}");
    }
    assert!(union(b"no card", &card("3.0", &[])).is_none());
}

#[test]
fn conflicts_carry_the_loser() {
    let merged = union(&card("3.0", &["N:D", "TITLE:x"]), &card("3.0", &["N:D", "TITLE:y"])).unwrap();
    assert_eq!(merged.conflicts[0].losing, b"TITLE:y\r\n");
    assert!(!format!("{merged:?}").contains('y'), "no personal data in logs");
}

#[test]
fn same_meaning_is_that_of_the_fingerprint() {
    assert!(same_meaning(&card("3.0", &["N:D", "TEL:1-2"]), &card("2.1", &["TEL;VOICE:12", "N:D"])));
    assert!(!same_meaning(&card("3.0", &["N:D"]), &card("3.0", &["N:E"])));
    assert!(same_meaning(b"x", b"x") && !same_meaning(b"x", b"y"));
}

/// What a card says: names, labels and values, without N and FN.
fn said(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let bytes = decode_document(bytes);
    let card = Card::parse(&bytes).unwrap();
    Canon::of(&card)
        .lines()
        .filter(|(at, ..)| !matches!(canonical_name(card.properties()[*at].name()), "N" | "FN"))
        .map(|(_, identity, _)| identity.to_vec())
        .collect()
}

fn laws_of_union(a: &[u8], b: &[u8]) -> Result<(), TestCaseError> {
    let Some(merged) = union(a, b) else { return Ok(()) };
    let same = union(a, a).unwrap();
    prop_assert_eq!(&same.content, &decode_document(a).into_owned());
    prop_assert!(!same.changed && same.conflicts.is_empty());
    prop_assert_eq!(merged.changed, merged.content != *decode_document(a));
    let again = union(&merged.content, b).unwrap();
    prop_assert_eq!(&again.content, &merged.content, "idempotent {}", merged.content.escape_ascii());
    prop_assert_eq!(again.conflicts.len(), merged.conflicts.len());
    // Nothing of ours is lost, and the bytes are still there in order.
    let (ours, theirs, both) = (said(a), said(b), said(&merged.content));
    prop_assert!(ours.is_subset(&both));
    let bytes = decode_document(a);
    let mut rest = &merged.content[..];
    for property in Card::parse(&bytes).unwrap().properties() {
        let raw = property.raw();
        let at = rest.windows(raw.len()).position(|it| it == raw);
        prop_assert!(at.is_some());
        rest = &rest[at.unwrap_or(0) + raw.len()..];
    }
    // Everything of theirs that may stand beside ours is there.
    for line in theirs.difference(&both) {
        let name = String::from_utf8_lossy(line.split(|&byte| byte == 0x1F).next().unwrap()).into_owned();
        prop_assert!(is_single(&name), "{} lost from {}", line.escape_ascii(), merged.content.escape_ascii());
        prop_assert!(merged.conflicts.iter().any(|it| it.property == name));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn union_of_anything(Soup(a) in soup(), Soup(b) in soup()) {
        laws_of_union(&a, &b)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn union_of_real_cards(a in properties(), b in properties(), from in version(), to in version()) {
        let (a, b) = (build(from, &a), build(to, &b));
        laws_of_union(&a, &b)?;
        // The version theirs comes in does not matter.
        let respelt = convert(&Card::parse(&b).unwrap(), Version::V3_0);
        let (one, two) = (union(&a, &b).unwrap(), union(&a, &respelt).unwrap());
        prop_assert!(same_meaning(&one.content, &two.content));
    }
}
