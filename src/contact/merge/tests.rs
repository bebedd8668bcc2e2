//! Unions and merges, row by row.

use super::*;
use crate::contact::testing::card;

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

#[test]
fn merge3_takes_what_each_side_changed() {
    use Prefer::{Current, Incoming};
    for (why, base, current, incoming, prefer, wanted, conflicts) in [
        (
            "row26_different properties",
            &["N:D", "TEL:1"][..],
            &["N:D", "TEL:1", "NOTE:x"][..],
            &["N:D", "TEL:1", "TITLE:y"][..],
            Current,
            &["N:D", "TEL:1", "NOTE:x", "TITLE:y"][..],
            &[][..],
        ),
        (
            "row23_both added",
            &["N:D"],
            &["N:D", "EMAIL:a"],
            &["N:D", "EMAIL:b"],
            Current,
            &["N:D", "EMAIL:a", "EMAIL:b"],
            &[],
        ),
        (
            "removed",
            &["N:D", "TEL:1", "TEL:2"],
            &["N:D", "TEL:1", "TEL:2", "TEL:3"],
            &["N:D", "TEL:2"],
            Current,
            &["N:D", "TEL:2", "TEL:3"],
            &[],
        ),
        (
            "removed here",
            &["N:D", "TEL:1", "TEL:2"],
            &["N:D", "TEL:2"],
            &["N:D", "TEL:1", "TEL:2", "NOTE:x"],
            Current,
            &["N:D", "TEL:2", "NOTE:x"],
            &[],
        ),
        (
            "removed and edited",
            &["N:D", "TEL;TYPE=HOME:1"],
            &["N:D", "TEL;TYPE=WORK:1"],
            &["N:D"],
            Current,
            &["N:D", "TEL;TYPE=WORK:1"],
            &[],
        ),
        (
            "edited number",
            &["N:D", "TEL:1"],
            &["N:D", "TEL:2"],
            &["N:D", "TEL:3"],
            Current,
            &["N:D", "TEL:2", "TEL:3"],
            &[],
        ),
        (
            "type changed",
            &["N:D", "TEL;TYPE=HOME:1"],
            &["N:D", "TEL;TYPE=HOME:1", "NOTE:x"],
            &["N:D", "TEL;TYPE=WORK:1"],
            Current,
            &["N:D", "NOTE:x", "TEL;TYPE=WORK:1"],
            &[],
        ),
        (
            "single, one side",
            &["N:D", "TITLE:a"],
            &["N:D", "TITLE:a", "NOTE:x"],
            &["N:D", "TITLE:b"],
            Current,
            &["N:D", "TITLE:b", "NOTE:x"],
            &[],
        ),
        ("single, cleared", &["N:D", "TITLE:a"], &["N:D", "TITLE:a"], &["N:D"], Current, &["N:D"], &[]),
        (
            "row27_both sides",
            &["N:D", "TITLE:a"],
            &["N:D", "TITLE:b"],
            &["N:D", "TITLE:c"],
            Current,
            &["N:D", "TITLE:b"],
            &["TITLE:c\r\n"],
        ),
        (
            "row27_the other wins",
            &["N:D", "TITLE:a"],
            &["N:D", "TITLE:b"],
            &["N:D", "TITLE:c"],
            Incoming,
            &["N:D", "TITLE:c"],
            &["TITLE:b\r\n"],
        ),
        (
            "row23_photo is atomic",
            &["N:D", "PHOTO;ENCODING=b:aGVs"],
            &["N:D", "PHOTO;ENCODING=b:bG8="],
            &["N:D", "PHOTO;VALUE=uri:http://a"],
            Current,
            &["N:D", "PHOTO;ENCODING=b:bG8="],
            &["PHOTO;VALUE=uri:http://a\r\n"],
        ),
        (
            "name by component",
            &["N:Doe;Ada;;;"],
            &["N:Roe;Ada;;;"],
            &["N:Doe;Ada;Byron;;"],
            Current,
            &["N:Roe;Ada;Byron;;"],
            &[],
        ),
        (
            "L8_FN follows",
            &["N:Doe;Ada", "FN:Ada Doe"],
            &["N:Doe;Ada", "FN:Ada Doe", "TEL:1"],
            &["N:Roe;Ada", "FN:Ada Roe"],
            Current,
            &["N:Roe;Ada", "FN:Ada Roe", "TEL:1"],
            &[],
        ),
        (
            "L8_FN of its own stays",
            &["N:Doe;Ada", "FN:Countess"],
            &["N:Doe;Ada", "FN:Countess"],
            &["N:Roe;Ada", "FN:Countess"],
            Current,
            &["N:Roe;Ada", "FN:Countess"],
            &[],
        ),
        (
            "address by component",
            &["N:D", "ADR;TYPE=HOME:;;1 Way;Town;;1;"],
            &["N:D", "ADR;TYPE=HOME:;;2 Way;Town;;1;"],
            &["N:D", "ADR;TYPE=HOME:;;1 Way;Town;;9;"],
            Current,
            &["N:D", "ADR;TYPE=HOME:;;2 Way;Town;;9;"],
            &[],
        ),
        (
            "address, clash",
            &["N:D", "ADR:;;1 Way"],
            &["N:D", "ADR:;;2 Way"],
            &["N:D", "ADR:;;3 Way"],
            Current,
            &["N:D", "ADR:;;2 Way", "ADR:;;3 Way"],
            &[],
        ),
        (
            "list items",
            &["N:D", "CATEGORIES:a,b"],
            &["N:D", "CATEGORIES:a,b,c"],
            &["N:D", "CATEGORIES:b,d"],
            Current,
            &["N:D", "CATEGORIES:b,c", "CATEGORIES:d"],
            &[],
        ),
        (
            "row20_label goes with its property",
            &["N:D", "a.TEL:1", "a.X-ABLabel:x"],
            &["N:D", "a.TEL:1", "a.X-ABLabel:x", "NOTE:y"],
            &["N:D"],
            Current,
            &["N:D", "NOTE:y"],
            &[],
        ),
        (
            "row20_label changed",
            &["N:D", "a.TEL:1", "a.X-ABLabel:x"],
            &["N:D", "a.TEL:1", "a.X-ABLabel:x"],
            &["N:D", "b.TEL:1", "b.X-ABLabel:z"],
            Current,
            &["N:D", "item1.TEL:1", "item1.X-ABLabel:z"],
            &[],
        ),
        (
            "UID and REV",
            &["N:D", "REV:1"],
            &["N:D", "REV:2", "UID:u"],
            &["N:D", "REV:3"],
            Current,
            &["N:D", "REV:2", "UID:u"],
            &[],
        ),
    ] {
        let (base, current, incoming) = (card("3.0", base), card("3.0", current), card("3.0", incoming));
        let merged = merge3(&base, &current, &incoming, prefer).unwrap();
        assert_eq!(inner(&merged.content), wanted, "{why}");
        let losers: Vec<&str> = merged.conflicts.iter().map(|it| std::str::from_utf8(&it.losing).unwrap()).collect();
        assert_eq!(losers, conflicts, "{why}");
    }
}

#[test]
fn x2_take_brings_back_what_is_named_and_nothing_else() {
    for (why, ours, theirs, names, wanted) in [
        (
            "one field",
            &["N:D", "TITLE:a", "NOTE:n"][..],
            &["N:E", "TITLE:b"][..],
            &["TITLE"][..],
            &["N:D", "TITLE:b", "NOTE:n"][..],
        ),
        ("in any case", &["N:D", "TITLE:a"], &["N:D", "TITLE:b"], &["title"], &["N:D", "TITLE:b"]),
        ("it was added", &["N:D"], &["N:D", "TITLE:b", "ROLE:r"], &["TITLE"], &["N:D", "TITLE:b"]),
        ("it was removed", &["N:D", "TITLE:a", "ROLE:r"], &["N:D"], &["TITLE"], &["N:D", "ROLE:r"]),
        ("the same", &["N:D", "TITLE:a"], &["N:E", "TITLE:a"], &["TITLE"], &["N:D", "TITLE:a"]),
        ("nothing named", &["N:D", "TITLE:a"], &["N:E", "TITLE:b"], &[], &["N:D", "TITLE:a"]),
        (
            "all that repeat",
            &["N:D", "TEL:1", "TEL:2"],
            &["N:D", "TEL:2", "TEL:3"],
            &["TEL"],
            &["N:D", "TEL:2", "TEL:3"],
        ),
        (
            "FN follows N",
            &["N:Doe;Ann", "FN:Ann Doe"],
            &["N:Roe;Ann", "FN:Ann Roe"],
            &["N"],
            &["N:Roe;Ann", "FN:Ann Roe"],
        ),
        (
            "FN of its own stays",
            &["N:Doe;Ann", "FN:Boss"],
            &["N:Roe;Ann", "FN:Ann Roe"],
            &["N"],
            &["N:Roe;Ann", "FN:Boss"],
        ),
        (
            "labels go along",
            &["N:D", "a.URL:x", "a.X-ABLabel:old"],
            &["N:D", "b.URL:y", "b.X-ABLabel:new"],
            &["URL"],
            &["N:D", "item1.URL:y", "item1.X-ABLabel:new"],
        ),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (ours, theirs) = (card("3.0", ours), card("3.0", theirs));
        let taken = take(&ours, &theirs, &names).unwrap();
        assert_eq!(inner(&taken.content), wanted, "{why}");
        assert_eq!(taken.changed, taken.content != ours, "{why}");
        assert_eq!(take(&taken.content, &theirs, &names).unwrap().content, taken.content, "{why}, again");
    }
    assert!(take(b"no card", &card("3.0", &["N:D"]), &[]).is_none());
}
