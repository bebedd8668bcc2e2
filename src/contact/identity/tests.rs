//! Fingerprints, match keys and comparison.

use proptest::prelude::*;

use super::*;
use crate::contact::card::{Editor, PropertyBuf, convert};
use crate::contact::testing::{Soup, at_least, build, card, properties, soup, version};

fn print(version: &str, lines: &[&str]) -> Fingerprint {
    let bytes = card(version, lines);
    fingerprint(&Card::parse(&bytes).unwrap())
}

#[test]
fn row7_same_meaning_same_fingerprint() {
    for (why, one, two) in [
        (
            "case of names and types",
            ("3.0", &["N:Doe;Ada", "tel;type=Cell:1"][..]),
            ("3.0", &["n:Doe;Ada", "TEL;TYPE=CELL:1"][..]),
        ),
        ("mobile is cell", ("2.1", &["N:D", "TEL;MOBILE:1"]), ("3.0", &["N:D", "TEL;TYPE=CELL:1"])),
        (
            "default types",
            ("2.1", &["N:D", "TEL;CELL;VOICE:1", "EMAIL;INTERNET:a@b"]),
            ("2.1", &["N:D", "TEL;CELL:1", "EMAIL:a@b"]),
        ),
        (
            "a quoted list of types",
            ("4.0", &["N:D", "TEL;TYPE=\"voice,home\":1"]),
            ("3.0", &["N:D", "TEL;TYPE=HOME:1"]),
        ),
        ("order", ("3.0", &["N:D", "TEL;TYPE=a;X-B=c:1", "NOTE:x"]), ("3.0", &["NOTE:x", "TEL;X-B=c;TYPE=a:1", "N:D"])),
        (
            "punctuation",
            ("3.0", &["N:D", "TEL:+49 (30) 12-34.5/6"]),
            ("4.0", &["N:D", "TEL;VALUE=uri:tel:+4930123456"]),
        ),
        ("full-width digits", ("3.0", &["N:D", "TEL:１２３"]), ("3.0", &["N:D", "TEL:123"])),
        ("pause signs", ("3.0", &["N:D", "TEL:12P3w4"]), ("2.1", &["N:D", "TEL:12,3;4"])),
        (
            "version",
            ("2.1", &["N:Doe;Ada", "TEL;HOME;PREF:1"]),
            ("4.0", &["FN:Ada Doe", "N:Doe;Ada;;;", "TEL;TYPE=home;PREF=1:1"]),
        ),
        ("charset", ("2.1", &["N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Zo=C3=AB"]), ("3.0", &["N:Zoë;;;;"])),
        ("normal form", ("3.0", &["N:Zoe\u{308}"]), ("3.0", &["N:Zo\u{eb}"])),
        ("blanks", ("3.0", &["N: Doe ;Ada ", "NOTE:x "]), ("3.0", &["N:Doe;Ada", "NOTE:x"])),
        ("empty properties", ("3.0", &["N:D", "TEL:", "ADR:;;;;;;", "NOTE:  "]), ("3.0", &["N:D"])),
        ("bookkeeping", ("3.0", &["N:D", "REV:2001", "UID:x", "PRODID:y"]), ("3.0", &["N:D", "UID:z"])),
        ("FN that repeats N", ("2.1", &["N:Doe;Ada;B."]), ("3.0", &["N:Doe;Ada;B.", "FN:Doe, Ada"])),
        ("FN put together", ("3.0", &["N:山田;太郎;;;", "FN:山田太郎"]), ("2.1", &["N;CHARSET=UTF-8:山田;太郎"])),
        ("one word, anywhere", ("2.1", &["N:Mum"]), ("3.0", &["N:;Mum;;;", "FN:Mum"])),
        ("FN from the company", ("3.0", &["N:;;;;", "FN:Acme", "ORG:Acme"]), ("2.1", &["N:", "ORG:Acme"])),
        ("dates", ("3.0", &["N:D", "BDAY:1980-03-22"]), ("2.1", &["N:D", "BDAY:19800322T000000Z"])),
        ("line breaks", ("2.1", &["N:D", "NOTE;QUOTED-PRINTABLE:a=0D=0Ab"]), ("3.0", &["N:D", "NOTE:a\\nb"])),
        (
            "photo",
            ("2.1", &["N:D", "PHOTO;JPEG;BASE64:", " aGVs", " bG8=", ""]),
            ("4.0", &["N:D", "PHOTO:data:image/jpeg;base64,aGVsbG8="]),
        ),
        ("category order", ("3.0", &["N:D", "CATEGORIES:a,b"]), ("2.1", &["N:D", "CATEGORIES:b", "CATEGORIES:a"])),
        (
            "group names",
            ("3.0", &["N:D", "item1.TEL:1", "item1.X-ABLabel:Boat"]),
            ("3.0", &["N:D", "g.X-ABLABEL:Boat", "g.TEL:1"]),
        ),
        ("repetition", ("3.0", &["N:D", "TEL:1", "TEL:1"]), ("3.0", &["N:D", "TEL:1"])),
        ("X- of a newer name", ("3.0", &["N:D", "X-ANNIVERSARY:20010203"]), ("4.0", &["N:D", "ANNIVERSARY:20010203"])),
        ("place", ("3.0", &["N:D", "GEO:1.50;2"]), ("4.0", &["N:D", "GEO:geo:1.5,2.0"])),
    ] {
        assert_eq!(print(one.0, one.1), print(two.0, two.1), "{why}");
    }
}

#[test]
fn other_meaning_other_fingerprint() {
    for (why, one, two) in [
        ("value", &["N:D", "TEL:1"][..], &["N:D", "TEL:2"][..]),
        ("letter case of a value", &["N:Doe"], &["N:DOE"]),
        ("type", &["N:D", "TEL;TYPE=HOME:1"], &["N:D", "TEL;TYPE=WORK:1"]),
        ("preference", &["N:D", "TEL;TYPE=PREF:1"], &["N:D", "TEL:1"]),
        (
            "row20_label",
            &["N:D", "item1.TEL:1", "item1.X-ABLabel:Boat"],
            &["N:D", "item1.TEL:1", "item1.X-ABLabel:Car"],
        ),
        (
            "row20_label_of_another",
            &["N:D", "a.TEL:1", "b.TEL:2", "a.X-ABLabel:x"],
            &["N:D", "a.TEL:1", "b.TEL:2", "b.X-ABLabel:x"],
        ),
        ("order of name parts", &["N:Doe;Ada"], &["N:Ada;Doe"]),
        ("FN of its own", &["N:Doe;Ada", "FN:The Countess"], &["N:Doe;Ada", "FN:Ada Doe"]),
        ("row21_no_year", &["N:D", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22"], &["N:D", "BDAY:1604-03-22"]),
        ("month is no day", &["N:D", "BDAY:1985-04"], &["N:D", "BDAY:--8504"]),
        ("component", &["N:D", "ADR:;;a;b"], &["N:D", "ADR:;;;a;b"]),
        ("photo", &["N:D", "PHOTO;ENCODING=b:aGVsbG8="], &["N:D", "PHOTO;ENCODING=b:aGVsbG9v"]),
        ("extension", &["N:D", "X-A:1"], &["N:D", "X-B:1"]),
        ("extension parameter", &["N:D", "TEL;X-A=1:1"], &["N:D", "TEL;X-A=2:1"]),
    ] {
        assert_ne!(print("3.0", one), print("3.0", two), "{why}");
    }
}

#[test]
fn row21_a_year_that_is_none() {
    let apple = print("3.0", &["N:D", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-22"]);
    assert_eq!(apple, print("4.0", &["N:D", "BDAY:--0322"]));
    assert_eq!(apple, print("2.1", &["N:D", "BDAY;X-APPLE-OMIT-YEAR=1604:16040322"]));
}

fn verdict_of(a: &[&str], b: &[&str], rules: &MatchRules) -> (Likeness, Why) {
    let (a, b) = (card("3.0", a), card("2.1", b));
    let (a, b) = (Card::parse(&a).unwrap(), Card::parse(&b).unwrap());
    let verdict = compare(&a, &b, rules);
    assert_eq!(verdict, compare(&b, &a, rules), "symmetric");
    // What is alike must be found by the index.
    if verdict.likeness <= Likeness::Strong {
        let (one, two) = (identify_card(&a), identify_card(&b));
        assert!(one.keys.iter().any(|key| two.keys.contains(key)) || verdict.likeness == Likeness::Equal);
    }
    (verdict.likeness, verdict.why)
}

#[test]
fn rows1_and_6_the_table_of_likeness() {
    use Likeness::{Different, Equal, Loose, Strong};
    let rules = MatchRules::default();
    for (a, b, wanted) in [
        (&["N:Doe;Ada", "TEL:1234567"][..], &["N:Doe;Ada", "TEL;VOICE:123-4567"][..], (Equal, Why::SameMeaning)),
        (&["N:Doe;Ada", "TEL:+49301234567"], &["N:Doe;Ada", "TEL:0301234567", "ORG:x"], (Strong, Why::NameAndNumber)),
        (&["FN:Ada Doe", "TEL:1234567"], &["N:DOE;Ada", "TEL:1234567", "NOTE:y"], (Strong, Why::NameAndNumber)),
        (&["N:Müller;Zoë", "TEL:1234567", "TEL:2"], &["N:Muller;Zoe", "TEL:1234567"], (Strong, Why::NameAndNumber)),
        (&["N:Doe;Ada;Byron", "TEL:1234567"], &["N:Doe;Ada;B", "TEL:1234567"], (Strong, Why::NameAndNumber)),
        (
            &["N:Doe;Ada", "EMAIL:A@b.example"],
            &["N:Doe;Ada", "EMAIL:a@B.example", "NOTE:y"],
            (Strong, Why::NameAndEmail),
        ),
        (&["N:Doe;Ada", "EMAIL:a@b", "TEL:1234567"], &["N:Doe;Ada", "EMAIL:a@b"], (Loose, Why::NameAndEmail)),
        (&["N:Doe;Ada", "UID:7", "TEL:1234567"], &["N:Doe;Ada", "UID:7", "TEL:7654321"], (Strong, Why::UidAndName)),
        // Row 6: shared numbers, addresses and even UIDs do not make two people one.
        (&["N:Doe;Ada", "TEL:1234567"], &["N:Doe;Bob", "TEL:1234567"], (Different, Why::NamesDiffer)),
        (&["N:Doe;Ada", "UID:7"], &["N:Roe;Bob", "UID:7"], (Different, Why::NamesDiffer)),
        (&["N:Doe;Ada;;;sen.", "TEL:1234567"], &["N:Doe;Ada;;;jun.", "TEL:1234567"], (Different, Why::NamePartsDiffer)),
        (&["N:Doe;Ada;Eve", "TEL:1234567"], &["N:Doe;Ada;Bea", "TEL:1234567"], (Different, Why::NamePartsDiffer)),
        (&["N:Doe;Ada", "TEL:1234567"], &["N:Doe;Ada", "TEL:7654321"], (Different, Why::NumbersDiffer)),
        (&["N:Doe;Ada"], &["N:Doe;Ada", "TEL:7654321"], (Loose, Why::NameAlone)),
        (&["N:Doe", "TEL:1234567"], &["N:Doe;Ada", "TEL:1234567"], (Different, Why::NamesDiffer)),
        // Who lives in one house, or works in one, may be filed under it.
        (
            &["N:Doe;Ada", "FN:The Does", "TEL:1234567"],
            &["N:Doe;Bob", "FN:The Does", "TEL:1234567"],
            (Different, Why::NamesDiffer),
        ),
        (
            &["N:Doe;Ada", "FN:Acme", "ORG:Acme", "EMAIL:info@acme"],
            &["N:Roe;Bob", "FN:Acme", "ORG:Acme", "EMAIL:info@acme"],
            (Different, Why::NamesDiffer),
        ),
        (
            &["N:Doe", "FN:Ada Doe", "TEL:1234567"],
            &["N:Doe", "FN:Bob Doe", "TEL:1234567"],
            (Different, Why::NamesDiffer),
        ),
        (
            &["N:;Ada", "FN:Ada Doe", "TEL:1234567"],
            &["N:Ada", "FN:Ada Roe", "TEL:1234567"],
            (Different, Why::NamesDiffer),
        ),
        (&["N:Doe;Robert", "FN:Bob Doe", "TEL:1234567"], &["N:Doe;Bob", "TEL:1234567"], (Strong, Why::NameAndNumber)),
        (&["N:Doe", "FN:Ada Doe", "TEL:1234567"], &["N:Doe", "TEL:1234567"], (Strong, Why::NameAndNumber)),
        (&["N:Doe;Ada", "FN:Mum", "TEL:1234567"], &["N:Mum", "TEL:1234567"], (Strong, Why::NameAndNumber)),
        (
            &["N:Doe;Ada", "ADR:;;1 Way;Town", "TEL:1234567"],
            &["N:Doe;Bob", "ADR:;;1 Way;Town"],
            (Different, Why::NamesDiffer),
        ),
        // Row 1: the nameless.
        (&["TEL:+1 202 555 0123", "NOTE:x"], &["TEL:202-555-0123"], (Strong, Why::NamelessSameNumbers)),
        (&["TEL:+49 30 1234567", "NOTE:x"], &["TEL:030 1234567"], (Strong, Why::NamelessSameNumbers)),
        (&["TEL:+7 916 123-45-67", "NOTE:x"], &["TEL:8 916 123-45-67"], (Strong, Why::NamelessSameNumbers)),
        (&["TEL:202 555 0123"], &["TEL:302 555 0123"], (Different, Why::NothingShared)),
        (&["TEL:202 555 0123", "TEL:12345678"], &["TEL:302 555 0123", "TEL:12345678"], (Loose, Why::NamelessOverlap)),
        (&["TEL:202 555 0123"], &["N:Doe", "TEL:302 555 0123"], (Different, Why::NothingShared)),
        (&["EMAIL:a@b", "UID:7"], &["EMAIL:c@d", "UID:7"], (Different, Why::NothingShared)),
        (&["TEL:1234567", "NOTE:x"], &["TEL:1234567"], (Strong, Why::NamelessSameNumbers)),
        (&["EMAIL:a@b", "NOTE:x"], &["EMAIL:a@b"], (Strong, Why::NamelessSameEmails)),
        (&["TEL:1234567", "TEL:2"], &["TEL:1234567"], (Loose, Why::NamelessOverlap)),
        (&["TEL:1234567"], &["N:Doe", "TEL:1234567"], (Loose, Why::OneNameless)),
        (&["TEL:1234567"], &["TEL:7654321"], (Different, Why::NothingShared)),
        (&["ORG:Acme", "TEL:1234567"], &["N:Acme", "TEL:1234567", "NOTE:x"], (Strong, Why::NameAndNumber)),
        // Row 25: a cut name.
        (
            &["N:Featherstonehaugh;Maximiliana Ottoline", "TEL:1234567"],
            &["N:Feather;Maximiliana Ottoline", "TEL:1234567"],
            (Loose, Why::PartialName),
        ),
        (
            &["N:Иванов;Пётр", "TEL:1234567"],
            &["N;CHARSET=UTF-8:ИВАНОВ;Пётр", "TEL:1234567", "NOTE:x"],
            (Strong, Why::NameAndNumber),
        ),
        (&["N:か;TEL"], &["N;CHARSET=UTF-8:が;TEL"], (Different, Why::NamesDiffer)),
    ] {
        assert_eq!(verdict_of(a, b, &rules), wanted, "{a:?} {b:?}");
    }
}

#[test]
fn rules_can_be_set() {
    let rules: MatchRules =
        serde_json::from_str(r#"{"email": "always", "partial_names": true, "uid": false}"#).unwrap();
    assert_eq!(rules.number_digits, 9);
    assert!(serde_json::from_str::<MatchRules>(r#"{"emial": "always"}"#).is_err());
    for (a, b, wanted) in [
        (
            &["N:Doe;Ada", "EMAIL:a@b", "TEL:1"][..],
            &["N:Doe;Ada", "EMAIL:a@b", "TEL:2"][..],
            (Likeness::Strong, Why::NameAndEmail),
        ),
        (&["N:Doe", "TEL:1234567"], &["N:Doe;Ada", "TEL:1234567"], (Likeness::Loose, Why::PartialName)),
        (&["N:Doe", "UID:7", "TEL:1"], &["N:Doe", "UID:7", "TEL:2"], (Likeness::Different, Why::NumbersDiffer)),
    ] {
        assert_eq!(verdict_of(a, b, &rules), wanted, "{a:?} {b:?}");
    }
}

#[test]
fn keys_are_few_and_stable() {
    let keys = |lines: &[&str]| identify(Kind::Contact, &card("2.1", lines)).keys;
    for (lines, wanted) in [
        (&["N:Doe;Ada", "TEL:1234567"][..], 1),
        (&["N:Doe;Ada", "FN:Ada Doe", "TEL:1234567", "TEL:2345678", "EMAIL:a@b", "UID:x"], 4),
        (&["N:Doe;Ada"], 1),
        (&["TEL:1"], 1),
        (&["NOTE:nothing"], 0),
    ] {
        assert_eq!(keys(lines).len(), wanted, "{lines:?}");
    }
    let many: Vec<String> = (0..40).map(|at| format!("TEL:555{at:04}")).collect();
    let mut lines: Vec<&str> = many.iter().map(String::as_str).collect();
    lines.extend(["N:Doe;Ada;Q", "FN:The Countess", "EMAIL:a@b", "EMAIL:c@d", "UID:1"]);
    assert_eq!(keys(&lines).len(), MAX_KEYS);
    // Stored in databases: these values never change.
    assert_eq!(keys(&["N:Doe;Ada", "TEL:+49 30 1234567"]), [MatchKey(KEY)]);
    assert_eq!(format!("{:?}", print("3.0", &["N:Doe;Ada", "TEL:1"])), PRINT);
}

/// Computed by hand from the documentation of [`MatchKey`]: class 1, `ada doe`, `301234567`.
const KEY: u64 = 15_667_640_345_455_023_745;
const PRINT: &str = "39352fa77e1090d55f782741da271130";

#[test]
fn identity_of_other_kinds() {
    let event = |extra: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x{extra}\r\nBEGIN:VTIMEZONE\r\nTZID:B\r\nBEGIN:STANDARD\r\nDTSTART:19700101\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
             BEGIN:VEVENT\r\nDTSTAMP:2001{extra}\r\nUID:u1\r\nDTSTART:20240101T100000Z\r\nSUMMARY:Tea\r\n\
             BEGIN:VALARM\r\nSUMMARY:Ring\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let (one, two) = (event(""), event("9").replace("\r\n", "\n"));
    let (a, b) = (identify(Kind::Calendar, one.as_bytes()), identify(Kind::Calendar, two.as_bytes()));
    assert_eq!(a, b);
    assert_eq!((a.keys.len(), a.label.as_deref()), (2, Some("Tea")));
    // The first event is the item's; changed instances may follow it.
    let series =
        one.replace("END:VEVENT\r\n", "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:u2\r\nSUMMARY:Late\r\nEND:VEVENT\r\n");
    assert_eq!(identify(Kind::Calendar, series.as_bytes()).keys, a.keys);
    let moved = one.replace("T100000Z", "T110000Z");
    let instance = one.replace("UID:u1", "UID:u1\r\nRECURRENCE-ID:20240101");
    let lost_uid = one.replace("UID:u1\r\n", "").replace("Tea", "tea");
    let like = |x: &str| compare_items(Kind::Calendar, one.as_bytes(), x.as_bytes(), &MatchRules::default()).likeness;
    assert_eq!(like(&moved), Likeness::Strong);
    assert_eq!(like(&instance), Likeness::Loose);
    assert_eq!(like(&lost_uid), Likeness::Loose);
    let todo = "BEGIN:VCALENDAR\r\nVERSION:1.0\r\nBEGIN:VTODO\r\nDUE:20240102T000000\r\nSUMMARY;ENCODING=QUOTED-PRINTABLE:B=C3=BCgeln\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";
    assert_eq!(identify(Kind::Task, todo.as_bytes()).label.as_deref(), Some("Bügeln"));
    for (kind, text, label, keys) in [
        (Kind::Note, "\n Milk \r\nEggs", Some("Milk"), 1),
        (
            Kind::Note,
            "BEGIN:VNOTE\r\nVERSION:1.1\r\nBODY;ENCODING=QUOTED-PRINTABLE:Milk=0D=0AEggs\r\nEND:VNOTE\r\n",
            Some("Milk"),
            1,
        ),
        (Kind::Bookmark, "https://a.example/", Some("https://a.example/"), 1),
        (Kind::Bookmark, "BEGIN:VBKM\r\nTITLE:A\r\nURL:https://a.example\r\nEND:VBKM\r\n", Some("A"), 1),
        (Kind::File, "<File><name>a.txt</name></File>", Some("a.txt"), 1),
        (Kind::Other, "anything", None, 0),
        (Kind::Contact, "no card", None, 0),
    ] {
        let identity = identify(kind, text.as_bytes());
        assert_eq!((identity.label.as_deref(), identity.keys.len()), (label, keys), "{text}");
    }
    assert_ne!(identify(Kind::Note, b"a").fingerprint, identify(Kind::Note, b"b").fingerprint);
    assert_eq!(identify(Kind::Note, b"a\r\n\r\n").fingerprint, identify(Kind::Note, b"a").fingerprint);
    assert_ne!(identify(Kind::File, b"a\r\n").fingerprint, identify(Kind::File, b"a\n").fingerprint);
}

#[test]
fn kinds_by_media_type() {
    for (media_type, kind) in [
        ("text/x-vcard; charset=utf-8", Kind::Contact),
        ("Text/VCard", Kind::Contact),
        ("text/x-vcalendar", Kind::Calendar),
        ("text/plain", Kind::Note),
        ("application/vnd.omads-file+xml", Kind::File),
        ("image/png", Kind::Other),
    ] {
        assert_eq!(Kind::of_media_type(media_type), kind);
    }
}

proptest! {
    #![proptest_config(at_least(300))]

    #[test]
    fn order_and_encoding_do_not_matter(properties in properties().prop_shuffle(), from in version(), to in version()) {
        let mut sorted = properties.clone();
        sorted.sort_by(|a, b| a.name().cmp(b.name()));
        // Which of several names comes first does matter.
        let (one, two) = (build(from, &properties), build(from, &sorted));
        let (one, two) = (Card::parse(&one).unwrap(), Card::parse(&two).unwrap());
        prop_assert_eq!(fingerprint(&one), fingerprint(&two));
        prop_assert_eq!(identify_card(&one).keys, identify_card(&two).keys);
        let converted = convert(&one, to);
        prop_assert_eq!(identify_card(&one).keys, identify(Kind::Contact, &converted).keys);
    }

    #[test]
    fn a_new_instance_is_a_new_meaning(properties in properties(), version in version()) {
        let bytes = build(version, &properties);
        let card = Card::parse(&bytes).unwrap();
        let mut editor = Editor::new(&card);
        editor.append(&PropertyBuf::text("NOTE", "a note that no one else has written"));
        let edited = editor.finish();
        prop_assert_ne!(fingerprint(&card), fingerprint(&Card::parse(&edited).unwrap()));
    }

    #[test]
    fn comparing_is_symmetric_and_never_panics(Soup(a) in soup(), Soup(b) in soup()) {
        let rules = MatchRules { partial_names: true, ..MatchRules::default() };
        for kind in [Kind::Contact, Kind::Calendar, Kind::Note, Kind::Bookmark, Kind::File] {
            prop_assert_eq!(compare_items(kind, &a, &b, &rules), compare_items(kind, &b, &a, &rules));
            prop_assert_eq!(compare_items(kind, &a, &a, &rules).likeness, Likeness::Equal);
            prop_assert!(identify(kind, &a).keys.len() <= MAX_KEYS);
        }
    }
}
