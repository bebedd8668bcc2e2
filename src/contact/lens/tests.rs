//! The lens in tables. Rows of the field notes are named by the tests.

use super::{Declared, DeclaredProperty, Dimension, Doubt, Fields, Lens, Put, Rules, Size, put, repeats, view};
use crate::contact::merge::same_meaning;
use crate::contact::testing::{at_least, card as card_of, soup};
use proptest::prelude::*;

fn card(lines: &[&str]) -> Vec<u8> {
    card_of("3.0", lines)
}

fn fields(names: &[&str]) -> Lens {
    Fields::of_names(names.iter().copied()).into()
}

fn property(name: &str) -> DeclaredProperty {
    DeclaredProperty { name: name.to_owned(), ..DeclaredProperty::default() }
}

fn declares(properties: &[DeclaredProperty]) -> Lens {
    let declared = Declared { properties: properties.to_vec() };
    Lens::of(Some(&declared), &Rules::default(), None).0
}

fn ruled(rules: &Rules) -> Lens {
    Lens::of(None, rules, None).0
}

/// What the device's card means, told that all it could see it has.
fn whole(base: &[&str], shown: &[&str], then: &Lens, now: &Lens) -> String {
    let put = put(&card(base), &card(shown), then, now).unwrap();
    inner(&put.whole)
}

fn inner(card: &[u8]) -> String {
    let text = String::from_utf8(card.to_vec()).unwrap();
    text.lines().skip(2).filter(|line| *line != "END:VCARD").collect::<Vec<_>>().join("|")
}

#[test]
fn a_view_shows_what_is_asked_for() {
    let whole =
        card(&["N:A;B", "FN:B A", "item1.TEL:1", "item1.X-ABLabel:Boat", "item2.EMAIL:a@b", "item2.X-ABLabel:Old"]);
    let only = card(&["N:A;B", "FN:B A", "item1.TEL:1", "item1.X-ABLabel:Boat"]);
    assert_eq!(view(&whole, &fields(&["TEL"])).unwrap(), only);
    assert_eq!(view(&whole, &Lens::default()).unwrap(), whole);
    assert_eq!(view(b"nothing", &fields(&["TEL"])), None);
}

/// L1: also of what one card should not have twice (version 4.0 may).
#[test]
fn a_second_full_name_stays() {
    for base in [&["FN:Ann", "FN:Annie", "N:Ann;;;;"][..], &["FN:Annie", "FN:Ann", "N:Ann;;;;"]] {
        let lens = Lens::default();
        assert_eq!(whole(base, base, &lens, &lens), base.join("|"));
    }
}

#[test]
fn what_can_be_held_is_sent() {
    let base = [
        "N:Meier;Annegret;;;",
        "FN:Annegret Meier",
        "TEL;TYPE=HOME:1",
        "TEL;TYPE=CELL,PREF:2",
        "TEL;TYPE=WORK:3",
        "EMAIL:annegret@example.com",
        "NOTE:Long and winding",
        "TITLE:Doctor of many things",
        "X-FOO:bar",
    ];
    let sized = |name: &str, size| DeclaredProperty { max_size: Some(size), ..property(name) };
    let typed = |name: &str, params: &[(&str, &[&str])]| DeclaredProperty {
        params: params
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
            .collect(),
        ..property(name)
    };
    for (why, declared, seen) in [
        (
            "only what is declared",
            vec![property("N"), property("TEL")],
            "N:Meier;Annegret;;;|TEL;TYPE=HOME:1|TEL;TYPE=CELL,PREF:2|TEL;TYPE=WORK:3",
        ),
        (
            "MaxOccur: the first",
            vec![property("N"), DeclaredProperty { max_occur: Some(2), ..property("tel") }],
            "N:Meier;Annegret;;;|TEL;TYPE=HOME:1|TEL;TYPE=CELL,PREF:2",
        ),
        ("MaxSize cuts texts", vec![sized("FN", 8), sized("NOTE", 4)], "FN:Annegret|NOTE:Long"),
        ("and names by all their components", vec![sized("N", 8)], "N:Meier;Ann;;;"),
        ("but half an address is none", vec![property("N"), sized("EMAIL", 10)], "N:Meier;Annegret;;;"),
        (
            "NoTruncate leaves out",
            vec![property("N"), DeclaredProperty { no_truncate: true, ..sized("TITLE", 6) }, sized("NOTE", 4)],
            "N:Meier;Annegret;;;|NOTE:Long",
        ),
        (
            "1.2: types are values of TYPE",
            vec![property("N"), typed("TEL", &[("TYPE", &["CELL", "WORK"])])],
            "N:Meier;Annegret;;;|TEL:1|TEL;TYPE=CELL:2|TEL;TYPE=WORK:3",
        ),
        (
            "1.1: types are names of parameters",
            vec![property("N"), typed("TEL", &[("CELL", &[]), ("HOME", &[]), ("PREF", &[])])],
            "N:Meier;Annegret;;;|TEL;TYPE=HOME:1|TEL;TYPE=CELL,PREF:2|TEL:3",
        ),
        (
            "1.1: once for each type",
            vec![property("N"), typed("TEL", &[("CELL", &[])]), typed("TEL", &[("HOME", &[])])],
            "N:Meier;Annegret;;;|TEL;TYPE=HOME:1|TEL;TYPE=CELL:2|TEL:3",
        ),
        (
            "ValEnum",
            vec![property("N"), DeclaredProperty { values: vec!["Doctor".to_owned()], ..property("TITLE") }],
            "N:Meier;Annegret;;;",
        ),
        ("a device without names is none", vec![property("X-FOO")], "N:Meier;Annegret;;;|FN:Annegret Meier|X-FOO:bar"),
    ] {
        assert_eq!(inner(&view(&card(&base), &declares(&declared)).unwrap()), seen, "{why}");
    }
    assert!(declares(&[]).is_whole(), "nothing declared is nothing said");
}

#[test]
fn what_was_not_shown_stays() {
    let base = ["N:A;B", "TEL;TYPE=CELL:1", "EMAIL:a@b", "NOTE:secret", "UID:7"];
    let only = fields(&["TEL"]);
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&["N:A;B", "TEL;TYPE=CELL:1"], &base, "an echo"),
        (&["N:A;B", "TEL;TYPE=CELL:2"], &["N:A;B", "EMAIL:a@b", "NOTE:secret", "UID:7", "TEL;TYPE=CELL:2"], "an edit"),
        (&["N:A;B"], &["N:A;B", "EMAIL:a@b", "NOTE:secret", "UID:7"], "a removal of what was shown"),
        (
            &["N:A;B", "TEL;TYPE=CELL:1", "ORG:X"],
            &["N:A;B", "TEL;TYPE=CELL:1", "EMAIL:a@b", "NOTE:secret", "UID:7", "ORG:X"],
            "more than declared is kept",
        ),
    ];
    for (shown, expected, why) in cases {
        let result = put(&card(&base), &card(shown), &only, &only).unwrap();
        assert!(same_meaning(&result.whole, &card(expected)), "{why}: {}", String::from_utf8_lossy(&result.whole));
        assert!(String::from_utf8_lossy(&result.whole).contains("UID:7"), "{why}");
        assert_eq!(result.told, None, "{why}");
    }
    let seen = view(&card(&base), &only).unwrap();
    assert_eq!(
        put(&card(&base), &seen, &only, &only).unwrap(),
        Put { whole: card(&base), told: None },
        "byte for byte"
    );
}

/// Row 16: what a device does not know is not lost. Row 19: its own slots are no keys. Row 20: groups belong to properties.
#[test]
fn row16_row19_row20_what_a_device_does_not_know_stays_as_it_is() {
    let base = [
        "N:A;B",
        "item1.TEL:1",
        "item1.X-ABLabel:Boat",
        "X-EPOCSECONDNAME;X-P=1:q",
        "item2.X-ABDATE:20010203",
        "item2.X-ABLabel:Wedding",
        "TEL:2",
    ];
    let phone = declares(&[property("N"), property("TEL")]);
    assert_eq!(inner(&view(&card(&base), &phone).unwrap()), "N:A;B|TEL:1|TEL:2");
    let shown = ["N:A;B", "TEL;X-SLOT=1:1", "TEL;X-SLOT=2:3"];
    let result = whole(&base, &shown, &phone, &phone);
    for kept in [
        "TEL;X-SLOT=1:1|item",
        "X-ABLabel:Boat",
        "X-EPOCSECONDNAME;X-P=1:q|item2.X-ABDATE:20010203|item2.X-ABLabel:Wedding",
    ] {
        assert!(result.contains(kept), "{kept}: {result}");
    }
    assert!(result.contains(":3") && !result.contains("TEL:2"), "{result}");
}

/// Row 17: cleared is told from unsupported by the lens of the last agreement.
#[test]
fn row17_cleared_is_not_unsupported() {
    let base = ["N:A;B", "TEL:1", "NOTE:kept"];
    let (old, new) =
        (declares(&[property("N"), property("TEL")]), declares(&[property("N"), property("TEL"), property("NOTE")]));
    let silent = ["N:A;B", "TEL:1"];
    assert_eq!(whole(&base, &silent, &new, &new), "N:A;B|TEL:1", "what it had it cleared");
    assert_eq!(whole(&base, &silent, &old, &new), base.join("|"), "a new firmware erases nothing");
    assert_eq!(whole(&base, &silent, &new, &old), base.join("|"), "nor does an older one");
    assert_eq!(whole(&base, &silent, &old, &old), base.join("|"), "what it cannot hold it cannot clear");
    // What it can see now and has not is to be sent; until it has it, it is not held to know of it.
    let put = put(&card(&base), &card(&silent), &old, &new).unwrap();
    assert_eq!(put.told.as_deref().map(inner), Some("N:A;B|TEL:1".to_owned()));
}

/// Row 18: a Nokia loses addresses without TYPE=INTERNET; it is sent one, and the card does not get it from there.
#[test]
fn row18_addresses_are_marked_for_who_needs_it() {
    let base = ["N:A;B", "EMAIL;TYPE=HOME:a@b", "EMAIL;TYPE=INTERNET:c@d"];
    let nokia = ruled(&Rules { mark_emails: true, ..Rules::default() });
    let seen = view(&card(&base), &nokia).unwrap();
    assert_eq!(inner(&seen), "N:A;B|EMAIL;TYPE=HOME,INTERNET:a@b|EMAIL;TYPE=INTERNET:c@d");
    assert_eq!(put(&card(&base), &seen, &nokia, &nokia).unwrap().whole, card(&base));
}

/// Row 24: a photo of 256 bytes is none.
#[test]
fn row24_what_is_declared_nonsensically_is_not_believed() {
    let photo = format!("PHOTO;ENCODING=b:{}", "aGVs".repeat(500));
    let base = card(&["N:A;B", &photo, "NOTE:x"]);
    let declared = |size| Declared {
        properties: vec![
            property("N"),
            property("NOTE"),
            DeclaredProperty { max_size: Some(size), ..property("PHOTO") },
        ],
    };
    let (lens, doubts) = Lens::of(Some(&declared(256)), &Rules::default(), None);
    assert_eq!(doubts, [Doubt::Size("PHOTO".to_owned(), 256)]);
    assert_eq!(view(&base, &lens).unwrap(), base);
    // One of 1,200 may be so, unless a rule says otherwise.
    let (lens, doubts) = Lens::of(Some(&declared(1_200)), &Rules::default(), None);
    assert!(doubts.is_empty() && !inner(&view(&base, &lens).unwrap()).contains("PHOTO"));
    let rules = Rules { ignore_sizes: true, ..Rules::default() };
    assert_eq!(view(&base, &Lens::of(Some(&declared(1_200)), &rules, None).0).unwrap(), base);
    let rules = Rules { ignore_declared: true, ..Rules::default() };
    assert!(Lens::of(Some(&declared(1_200)), &rules, None).0.is_whole());
    // And it stays when the device sends the rest.
    assert_eq!(put(&base, &card(&["N:A;B", "NOTE:x"]), &lens, &lens).unwrap().whole, base);
}

/// Row 25: what comes back cut as it was sent is an echo; a character less is an edit.
#[test]
fn row25_a_cut_is_no_edit() {
    let base = [
        "N:Featherstonehaugh;Bartholomew;;;",
        "FN:Bartholomew Featherstonehaugh",
        "TEL;TYPE=WORK:+49 30 1234567890 99",
        "ADR:;;A long street 17;Berlin;;;",
        "NOTE:z",
    ];
    let nec = Rules {
        lengths: [("N", 20), ("FN", 20), ("TEL", 10), ("ADR", 12)]
            .map(|(name, length)| (name.to_owned(), length))
            .to_vec(),
        ..Rules::default()
    };
    let nec = ruled(&nec);
    let sent = [
        "N:Featherstonehaugh;Bar;;;",
        "FN:Bartholomew Feathers",
        "TEL;TYPE=WORK:+49 30 123",
        "ADR:;;A long stree;;;;",
        "NOTE:z",
    ];
    assert_eq!(inner(&view(&card(&base), &nec).unwrap()), sent.join("|"));
    assert_eq!(whole(&base, &sent, &nec, &nec), base.join("|"));
    let edited = |line: &'static str| {
        let name = line.split([':', ';']).next().unwrap();
        let lines: Vec<&str> =
            sent.iter().map(|old| if old.split([':', ';']).next() == Some(name) { line } else { *old }).collect();
        whole(&base, &lines, &nec, &nec)
    };
    assert!(
        edited("TEL;TYPE=WORK:+49 30 12").contains("TEL;TYPE=WORK:+49 30 12|")
            || edited("TEL;TYPE=WORK:+49 30 12").ends_with("TEL;TYPE=WORK:+49 30 12")
    );
    assert!(!edited("TEL;TYPE=WORK:+49 30 12").contains("1234567890"), "a digit less is another number");
    assert!(
        edited("TEL;TYPE=HOME:+49 30 123").contains("TEL;TYPE=HOME:+49 30 1234567890 99"),
        "another type is not another number"
    );
    assert!(edited("N:Featherstonehaugh;Bob;;;").contains("N:Featherstonehaugh;Bob;;;"));
    assert!(edited("N:Smith;Bar;;;").contains("N:Smith;Bartholomew;;;"), "the other component comes back whole");
    assert!(edited("ADR:;;A long stree;X;;;").contains(";;A long street 17;X"), "so does the street");
}

/// Row 28: a phone that writes the photo anew does not replace it; another photo is another.
#[test]
fn row28_a_photo_written_anew_is_no_edit() {
    use super::picture::tests::draw;
    use base64::Engine as _;
    let photo = |bytes: &[u8]| {
        format!("PHOTO;ENCODING=b;TYPE=JPEG:{}", base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let (sent, anew, other) = (photo(&draw(0, 240, 92)), photo(&draw(0, 96, 50)), photo(&draw(1, 96, 50)));
    for lens in [Lens::default(), declares(&[property("N"), property("TEL"), property("PHOTO")])] {
        let base = ["N:A;B", "TEL:1", &sent];
        assert_eq!(whole(&base, &["N:A;B", "TEL:1", &anew], &lens, &lens), base.join("|"));
        assert_eq!(whole(&base, &["N:A;B", "TEL:2", &anew], &lens, &lens), ["N:A;B", &sent, "TEL:2"].join("|"));
        assert_eq!(whole(&base, &["N:A;B", "TEL:1", &other], &lens, &lens), ["N:A;B", "TEL:1", &other].join("|"));
        assert_eq!(whole(&base, &["N:A;B", "TEL:1"], &lens, &lens), "N:A;B|TEL:1");
    }
}

/// Row 23: a merge of repeated properties loses none, whichever the device could see.
#[test]
fn row23_repeated_properties_are_sets() {
    let base = ["N:A;B", "EMAIL:a@b", "EMAIL:c@d", "EMAIL:e@f"];
    let one = declares(&[property("N"), DeclaredProperty { max_occur: Some(1), ..property("EMAIL") }]);
    assert_eq!(inner(&view(&card(&base), &one).unwrap()), "N:A;B|EMAIL:a@b");
    let edit = put(&card(&base), &card(&["N:A;B", "EMAIL:new@b"]), &one, &one).unwrap();
    assert_eq!(inner(&edit.whole), "N:A;B|EMAIL:new@b|EMAIL:c@d|EMAIL:e@f", "in the place of the first");
    assert_eq!(edit.told, None);
    // L2: a slot that was left free is taken by the next, which is sent.
    let removed = put(&card(&base), &card(&["N:A;B"]), &one, &one).unwrap();
    assert_eq!(inner(&removed.whole), "N:A;B|EMAIL:c@d|EMAIL:e@f");
    assert_eq!(removed.told.as_deref().map(inner), Some("N:A;B".to_owned()));
}

/// Mission B3 to B6: an upload overwrites the dimensions that the device has, and leaves the others.
#[test]
fn dimensions_are_overwritten_and_others_untouched() {
    let dimension = |property: &str, types: &[&str]| Dimension {
        property: property.to_owned(),
        types: types.iter().map(|it| (*it).to_owned()).collect(),
        count: 1,
        length: 0,
    };
    let rules = Rules {
        dimensions: vec![
            dimension("N", &[]),
            dimension("TEL", &["CELL"]),
            dimension("EMAIL", &[]),
            dimension("ORG", &[]),
        ],
        ..Rules::default()
    };
    let book = ruled(&rules);
    let base = [
        "N:A;B",
        "TEL;TYPE=HOME:1",
        "TEL;TYPE=CELL:2",
        "EMAIL:a@b",
        "ADR:;;Street",
        "NOTE:n",
        "ORG:X",
        "TEL;TYPE=CELL:3",
    ];
    assert_eq!(inner(&view(&card(&base), &book).unwrap()), "N:A;B|TEL;TYPE=CELL:2|EMAIL:a@b|ORG:X");
    let upload = ["N:A;C", "TEL;TYPE=CELL:9", "EMAIL:c@d", "X-NEW:kept"];
    let result = whole(&base, &upload, &book, &book);
    for kept in [
        "N:A;C",
        "TEL;TYPE=HOME:1",
        "TEL;TYPE=CELL:9",
        "TEL;TYPE=CELL:3",
        "EMAIL:c@d",
        "ADR:;;Street",
        "NOTE:n",
        "X-NEW:kept",
    ] {
        assert!(result.contains(kept), "{kept}: {result}");
    }
    for gone in ["ORG", "a@b", "CELL:2"] {
        assert!(!result.contains(gone), "{gone}: {result}");
    }
}

fn read(lens: &str) -> Lens {
    Lens::decode(lens.as_bytes()).unwrap()
}

// Cases that the laws found ----------------------------------------------------------------------------------------------

/// L2: under another lens the device has all of what it could be sent a cut of now. The cut is no news to it, and would cost
/// it the rest; nor is it an edit that it shows all of it again.
#[test]
fn what_a_device_has_all_of_is_not_sent_to_it_cut() {
    let then = read(r#"{"c":true,"r":[{"n":"TEL","t":["cell"]}]}"#);
    let now = read(r#"{"c":true,"r":[{"n":"TEL","k":["work"],"s":{"c":3}},{"n":"TEL"}]}"#);
    let base = ["N:A;B", "TEL;TYPE=WORK:000000"];
    assert_eq!(inner(&view(&card(&base), &then).unwrap()), "N:A;B|TEL:000000");
    assert_eq!(inner(&view(&card(&base), &now).unwrap()), "N:A;B|TEL;TYPE=WORK:000");
    let shown = ["N:A;B", "TEL:000000"];
    assert_eq!(put(&card(&base), &card(&shown), &then, &now).unwrap(), Put { whole: card(&base), told: None });
    assert_eq!(whole(&base, &shown, &now, &now), base.join("|"));
    assert_eq!(whole(&base, &["N:A;B", "TEL;TYPE=HOME:000000"], &now, &now), "N:A;B|TEL;TYPE=HOME:000000");
    assert_eq!(whole(&base, &["N:A;B", "TEL:00000"], &now, &now), "N:A;B|TEL:00000", "a digit less is an edit");
    // If it has only another cut of it, that is what it knows.
    let cut = read(r#"{"c":true,"r":[{"n":"TEL","t":["cell"],"s":{"c":5}}]}"#);
    let put = put(&card(&base), &card(&["N:A;B", "TEL:00000"]), &cut, &now).unwrap();
    assert_eq!((inner(&put.whole), put.told.as_deref().map(inner)), (base.join("|"), Some("N:A;B|TEL:00000".into())));
}

/// L2: of a list that was seen in part, the rest does not push aside what the device says.
#[test]
fn the_hidden_items_of_a_list_stand_behind_what_is_new() {
    let one = read(r#"{"c":true,"r":[{"n":"NICKNAME","o":1,"s":{"c":8}}]}"#);
    let base = ["N:A;B", "NICKNAME;TYPE=HOME:Ann,Longwinded"];
    assert_eq!(inner(&view(&card(&base), &one).unwrap()), "N:A;B|NICKNAME;TYPE=HOME:Ann");
    let result = whole(&base, &["N:A;B", "NICKNAME:Ann"], &one, &one);
    assert_eq!(result, "N:A;B|NICKNAME:Ann|NICKNAME;TYPE=HOME:Longwinded");
}

/// L2: where an item of lists that share a place is not known, the others that had no room beside it are neither.
#[test]
fn items_that_had_no_room_are_not_known() {
    let now = read(r#"{"c":true,"r":[{"n":"NICKNAME","o":1,"s":{"c":16}}]}"#);
    let base = ["N:A;B", "NICKNAME:Ann", "NICKNAME:Long and winding"];
    assert_eq!(inner(&view(&card(&base), &now).unwrap()), "N:A;B|NICKNAME:Ann");
    let put = put(&card(&base), &card(&["N:A;B"]), &fields(&[]), &now).unwrap();
    assert_eq!((inner(&put.whole), put.told.as_deref().map(inner)), (base.join("|"), Some("N:A;B".into())));
}

/// L3 and L4: of two that say the same the one that is hidden stays, and moves up.
#[test]
fn one_of_two_alike_that_is_hidden_stays() {
    let base = ["N:A;B", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22"];
    let one = read(r#"{"c":true,"r":[{"n":"BDAY","o":1}]}"#);
    let put = put(&card(&base), &card(&["N:A;B"]), &one, &one).unwrap();
    assert_eq!((inner(&put.whole), put.told.as_deref().map(inner)), (base[..2].join("|"), Some("N:A;B".into())));
    let cell = read(r#"{"c":true,"r":[{"n":"BDAY","k":["cell"]}]}"#);
    assert_eq!(whole(&["N:A;B", "BDAY;TYPE=CELL:1999", "BDAY:1999"], &["N:A;B"], &cell, &cell), "N:A;B|BDAY:1999");
}

/// L5: what a card has once takes the place of what was hidden, also of a second one that says just that.
#[test]
fn what_comes_beyond_the_lens_is_there_once() {
    let names = read(r#"{"c":true,"r":[{"n":"N"}]}"#);
    let omitted = "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22";
    assert_eq!(
        whole(&["N:A;B", "BDAY:19800322", omitted], &["N:A;B", omitted], &names, &names),
        ["N:A;B", omitted].join("|")
    );
}

/// L2 and L3: what a card has once, and had out of the device's sight with a label, keeps it when the device says just that;
/// that it has no label is told. A label of its own lands.
#[test]
fn a_label_that_was_never_shown_stays() {
    let (then, now) = (fields(&[]), Lens::default());
    let base = ["N:A;B", "item1.BDAY:19800322", "item1.X-ABLabel:Party"];
    let same = put(&card(&base), &card(&["N:A;B", "BDAY:1980-03-22"]), &then, &now).unwrap();
    assert_eq!(
        (inner(&same.whole), same.told.as_deref().map(inner)),
        (base.join("|"), Some("N:A;B|BDAY:1980-03-22".into()))
    );
    let other = put(&card(&base), &card(&["N:A;B", "BDAY:19990101"]), &then, &now).unwrap();
    assert_eq!((inner(&other.whole), other.told), ("N:A;B|BDAY:19990101".to_owned(), None));
    let labelled = ["N:A;B", "item7.BDAY:19800322", "item7.X-ABLabel:Born"];
    let result = whole(&base, &labelled, &then, &now);
    assert_eq!(result, "N:A;B|item2.BDAY:19800322|item2.X-ABLabel:Born");
}

/// L1 and L5: a device that holds no labels, and shows more than it can be sent, has what it shows once.
#[test]
fn what_is_said_again_without_its_label_is_not_doubled() {
    let cell = read(r#"{"c":true,"r":[{"n":"N"},{"n":"TEL","k":["cell"]}]}"#);
    let base = ["N:A;B", "item1.TEL;TYPE=CELL:000", "item1.X-ABLabel:x"];
    assert_eq!(inner(&view(&card(&base), &cell).unwrap()), "N:A;B|TEL;TYPE=CELL:000");
    let shown = ["N:A;B", "TEL:000"];
    let retyped = put(&card(&base), &card(&shown), &cell, &cell).unwrap();
    let agreed = retyped.told.unwrap_or(retyped.whole);
    assert_eq!(inner(&agreed), "N:A;B|item2.TEL:000|item2.X-ABLabel:x");
    assert_eq!(put(&agreed, &card(&shown), &cell, &cell).unwrap().whole, agreed);
}

/// L1: an FN that another version writes without a backslash is the same.
#[test]
fn a_name_in_another_version_is_known() {
    let phone = declares(&[property("TEL")]);
    let base = card(&["N:\\;a;0;;;", "FN:0 \\;a", "NOTE:a"]);
    let shown = card_of("2.1", &["N:\\;a;0;;;", "FN:0 ;a"]);
    assert_eq!(put(&base, &shown, &phone, &phone).unwrap(), Put { whole: base.clone(), told: None });
}

/// L1: what was sent cut and with a label comes back without it, from a device that could be sent nothing of it now.
#[test]
fn a_cut_that_lost_its_label_is_an_echo() {
    let then = read(r#"{"r":[{"n":"ORG","s":{"c":1}}]}"#);
    let now = read(r#"{"c":true,"r":[{"n":"ORG","s":{"b":2},"w":true}]}"#);
    let base = ["N:A;B", "item1.ORG:Acme;Boats", "item1.X-ABLabel:Work"];
    assert_eq!(inner(&view(&card(&base), &then).unwrap()), "N:A;B|item1.ORG:A;|item1.X-ABLabel:Work");
    assert_eq!(whole(&base, &["N:A;B", "ORG:A;"], &then, &now), base.join("|"));
}

/// L1: what was sent cut and with a label, and could not be sent now, takes its label along.
#[test]
fn the_label_of_a_cut_that_could_not_be_sent_now_is_no_property() {
    let then = read(r#"{"r":[{"n":"TEL","s":{"c":1}}]}"#);
    let now = read(r#"{"c":true,"r":[{"n":"TEL","s":{"b":2},"w":true},{"n":"X-ABLABEL"}]}"#);
    let base = ["N:A;B", "item1.NOTE:A", "item2.TEL:000", "item1.X-ABLabel:a", "item2.X-ABLabel:a"];
    assert_eq!(whole(&base, &["N:A;B", "item2.TEL:0", "item2.X-ABLabel:a"], &then, &now), base.join("|"));
    assert_eq!(
        whole(&base, &["N:A;B", "item2.TEL:0", "item2.URL:b", "item2.X-ABLabel:a"], &then, &now),
        [&base.join("|"), "item3.URL:b", "item3.X-ABLabel:a"].join("|"),
        "but not if it is that of something else"
    );
}

/// L1: of names, too, a device is held to know just what it has: what it shows again is no edit.
#[test]
fn names_are_known_as_the_device_has_them() {
    for (why, then, now, base, shown) in [
        (
            "a cut N, and no FN, before it could hold all",
            read(r#"{"c":true,"r":[{"n":"N","s":{"b":2}}]}"#),
            Lens::default(),
            &["N:Meier;Ann;;;", "FN:Ann Meier"],
            &["N:Me;;;;"][..],
        ),
        (
            "a cut FN",
            read(r#"{"r":[{"n":"FN","s":{"c":1}}]}"#),
            Lens::default(),
            &["N:Meier;Ann;;;", "FN:Ann Meier"],
            &["N:Meier;Ann;;;", "FN:A"],
        ),
        (
            "a shorter name leaves room for more of the other one",
            read(r#"{"r":[{"n":"N","s":{"c":3}}]}"#),
            read(r#"{"r":[{"n":"N","s":{"c":3}}]}"#),
            &["N:Meier;Ann;;;", "FN:Ann Meier"],
            &["N:Q;;;;", "FN:Ann Meier"],
        ),
        (
            "a cut N that could not be sent any more",
            read(r#"{"r":[{"n":"N","s":{"c":2}}]}"#),
            read(r#"{"c":true,"r":[{"n":"N","s":{"c":2},"w":true}]}"#),
            &["N:Meier;Ann;;;", "FN:Ann Meier"],
            &["N:Me;;;;"],
        ),
        (
            "a cut FN that could not",
            read(r#"{"c":true,"r":[{"n":"FN","s":{"b":2}}]}"#),
            read(r#"{"c":true,"r":[{"n":"FN","s":{"b":2},"w":true}]}"#),
            &["N:Meier;Ann;;;", "FN:Ann Meier"],
            &["FN:An"],
        ),
        (
            "an FN that stayed, when nothing of the one that follows N can be shown",
            read(r#"{"c":true,"r":[{"n":"FN","s":{"b":2}},{"n":"N"}]}"#),
            read(r#"{"c":true,"r":[{"n":"FN","s":{"b":2}},{"n":"N"}]}"#),
            &["N:a;a;;;", "FN:a a"],
            &["N:a;{{中;;;", "FN:a "],
        ),
    ] {
        let first = put(&card(base), &card(shown), &then, &now).unwrap();
        let agreed = first.told.unwrap_or(first.whole);
        let again = put(&agreed, &card(shown), &now, &now).unwrap();
        assert!(same_meaning(&again.whole, &agreed), "{why}: {} became {}", inner(&agreed), inner(&again.whole));
    }
}

/// L1: of what was sent cut and cannot be sent at all any more, the cut is what the device knows: shown again it does not take
/// the place of the whole.
#[test]
fn a_cut_that_was_left_over_is_no_news() {
    for (base, cut, told) in [
        ("ORG:Acme Boats", "ORG:Acme", "N:A;B|ORG:Acme"),
        ("TEL:0123456789", "TEL:0123", "N:A;B|TEL:0123456789|TEL:0123"),
    ] {
        let name = base.split(':').next().unwrap();
        let then = read(&format!(r#"{{"r":[{{"n":"{name}","s":{{"c":4}}}}]}}"#));
        let (base, shown) = (["N:A;B", base], ["N:A;B", cut]);
        assert_eq!(inner(&view(&card(&base), &then).unwrap()), shown.join("|"));
        for now in [
            read(&format!(r#"{{"r":[{{"n":"{name}","s":{{"c":5}},"w":true}}]}}"#)),
            read(r#"{"c":true,"r":[{"n":"N"}]}"#),
        ] {
            let first = put(&card(&base), &card(&shown), &then, &now).unwrap();
            assert_eq!((inner(&first.whole), first.told.as_deref().map(inner)), (base.join("|"), Some(told.into())));
            let agreed = first.told.unwrap();
            let again = put(&agreed, &card(&shown), &now, &now).unwrap();
            assert_eq!((inner(&again.whole), again.told), (told.to_owned(), None), "{now:?}");
        }
    }
    // And its label is that of the cut.
    let then = read(r#"{"r":[{"n":"ORG","s":{"c":4}}]}"#);
    let now = read(r#"{"c":true,"r":[{"n":"ORG","s":{"c":5},"w":true},{"n":"X-ABLABEL"}]}"#);
    let base = ["N:A;B", "item2.ORG:Acme Boats", "item2.X-ABLabel:x"];
    let put = put(&card(&base), &card(&["N:A;B", "item7.ORG:Acme", "item7.X-ABLabel:x"]), &then, &now).unwrap();
    assert_eq!(inner(&put.whole), base.join("|"));
    assert_eq!(put.told.as_deref().map(inner).unwrap(), "N:A;B|item1.ORG:Acme|item1.X-ABLabel:x");
}

/// A card repeats what earlier versions of it said, in whichever of them each of its lines was.
#[test]
fn what_was_said_in_parts_is_repeated() {
    let past = [card(&["N:A;B", "TEL:1", "NOTE:x"]), card(&["N:A;B", "TEL:2", "NOTE:y"])];
    for (shown, is_repeated, why) in [
        (&["N:A;B", "TEL:2", "NOTE:y"][..], true, "one of them"),
        (&["NOTE:x", "N:A;B"], true, "as a field filter shows it"),
        (&["N:A;B", "TEL:1", "NOTE:y"], true, "a part from before, and a part of a change"),
        (&["N:A;B"], true, "what no filter takes"),
        (&["N:A;B", "TEL:1", "NOTE:z"], false, "a line that is new"),
        (&["N:A;C", "TEL:1", "NOTE:x"], false, "another name"),
        (&["N:A;B", "EMAIL:1", "NOTE:x"], false, "a value of another property"),
    ] {
        assert_eq!(repeats(&card(shown), past.iter().map(Vec::as_slice)), is_repeated, "{why}");
    }
    assert!(!repeats(&card(&["N:A;B"]), []), "nothing was said");
    assert!(!repeats(b"no card", past.iter().map(Vec::as_slice)));
}

/// What was observed is kept apart from what was declared, of which only the last word counts (law L5).
#[test]
fn what_was_observed_outlives_a_declaration() {
    let typed = |types: &[&str]| DeclaredProperty {
        params: vec![("TYPE".to_owned(), types.iter().map(|it| (*it).to_owned()).collect())],
        ..property("TEL")
    };
    let short = |size| DeclaredProperty { max_size: Some(size), ..property("NOTE") };
    let old = declares(&[property("N"), typed(&["CELL"]), short(4)]);
    let shown = card(&["N:A;B", "FN:x", "TEL;TYPE=FAX:1", "NOTE:much longer", "TITLE:Captain", "UID:7"]);
    let seen = old.observing(&shown).unwrap();
    assert_eq!(view(&shown, &seen), view(&shown, &old), "a lens is settled for a whole sync");
    assert_eq!(seen.observing(&shown), None, "seen once is seen");
    for (why, declared, expected) in [
        (
            "declared as before",
            vec![property("N"), typed(&["CELL"]), short(4)],
            "N:A;B|FN:x|TEL;TYPE=FAX:1|NOTE:much|TITLE:Captain",
        ),
        ("less", vec![property("N")], "N:A;B|FN:x|TEL;TYPE=FAX:1|TITLE:Captain"),
        (
            "other things",
            vec![property("N"), typed(&["HOME"]), short(6)],
            "N:A;B|FN:x|TEL;TYPE=FAX:1|NOTE:much l|TITLE:Captain",
        ),
    ] {
        let new = declares(&declared).with_observed(&seen);
        assert_eq!(inner(&view(&shown, &new).unwrap()), expected, "{why}");
        assert_eq!(Lens::decode(&new.encode()), Some(new.clone()), "{why}");
    }
    assert!(declares(&[]).with_observed(&seen).is_whole(), "who declares nothing holds all");
    assert_eq!(Lens::default().observing(&shown), None);
    // A stranger's word is bounded.
    let many: Vec<String> = (0..5_000).map(|number| format!("X-{number}:1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(old.widened_by(&card(&many)).encode().len() < 20_000);
}

#[test]
fn a_lens_is_stored_in_few_bytes() {
    let phone =
        declares(&[property("N"), DeclaredProperty { max_occur: Some(3), max_size: Some(40), ..property("TEL") }]);
    assert_eq!(phone.encode(), br#"{"c":true,"r":[{"n":"N"},{"n":"TEL","o":3,"s":{"b":40}}]}"#);
    assert_eq!(Lens::decode(&phone.encode()), Some(phone.clone()));
    assert_eq!(Lens::decode(b"nonsense"), None);
    assert!(phone.number().is_some_and(|number| number < 0));
    assert_eq!(fields(&["TEL"]).number(), Some(Fields::of_names(["TEL"]).to_bits()));
    assert_eq!(Lens::default().number(), None);
    assert_ne!(phone.with_fields(Some(Fields::of_names(["TEL"]))).number(), phone.number());
    assert_eq!(Size::Chars(3), Size::Chars(3));
}

/// A label whose hash begins as an empty one does is a label all the same: lists under it stay apart.
#[test]
fn labels_are_told_apart_whatever_their_hash() {
    let one = declares(&[
        property("N"),
        property("X-ABLabel"),
        DeclaredProperty { max_occur: Some(1), ..property("NICKNAME") },
    ]);
    let both = card(&["N:A;B;;;", "item1.NICKNAME:x", "item1.X-ABLabel:qP( ==ysGDPxUzH", "NICKNAME:y"]);
    assert_eq!(inner(&view(&both, &one).unwrap()), "N:A;B;;;|item1.NICKNAME:x|item1.X-ABLabel:qP( ==ysGDPxUzH");
}

/// What a phone declares is a stranger's word: it is bounded.
#[test]
fn declarations_are_bounded() {
    let many = Declared { properties: (0..5_000).map(|number| property(&format!("X-{number}"))).collect() };
    let (lens, doubts) = Lens::of(Some(&many), &Rules::default(), None);
    assert_eq!(doubts, [Doubt::TooMany(5_000)]);
    assert!(lens.encode().len() < 20_000);
}

proptest! {
    #![proptest_config(at_least(300))]

    #[test]
    fn an_echo_of_a_view_changes_nothing(soup in soup(), bits in 0i64..) {
        let lens = Lens::from(Fields::from_bits(bits));
        if let Some(shown) = view(&soup.0, &lens)
            && let Some(put) = put(&soup.0, &shown, &lens, &lens)
        {
            prop_assert!(same_meaning(&put.whole, &soup.0));
        }
    }

    #[test]
    fn no_card_of_anything_panics(base in soup(), part in soup(), bits in 0i64.., size in 1..60u64) {
        let lens = Lens::from(Fields::from_bits(bits));
        let sized = DeclaredProperty { max_occur: Some(1), max_size: Some(size), ..property("TEL") };
        let sized = declares(&[sized, property("N"), property("NICKNAME")]);
        for (then, now) in [(&lens, &lens), (&sized, &sized), (&lens, &sized)] {
            let _ = put(&base.0, &part.0, then, now);
            let _ = now.widened_by(&part.0);
        }
    }
}
