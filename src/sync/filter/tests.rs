//! What filters say, let pass and refuse.

use super::query::{MAX_CLAUSES, MAX_DEPTH, MAX_TEXT};
use super::{Filter, FilterError, FilterType, GRAMMAR, decide_filtered, property_names};
use crate::contact::identity::Kind;
use crate::contact::lens::Fields;
use crate::message::{self, Data, Item, Meta, Op, Timestamp};
use crate::store::{Guid, ItemRow, MapRow, MapState, Revision};
use proptest::prelude::*;

const ANN: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Meier;Ann;;;\r\nFN:Ann Meier\r\nTEL;TYPE=CELL:+49 171 11\r\n\
    TEL;TYPE=HOME:030/22\r\nORG:ACME;Sales (North)\r\nCATEGORIES:friends,work\r\nBDAY:1970-01-02\r\nX-RANK:9\r\n\
    NOTE:a;b & c\r\nEND:VCARD\r\n";

fn query(text: &str) -> Result<Filter, FilterError> {
    Filter::new(Kind::Contact, Some(text), [], FilterType::Inclusive).map(|filter| filter.expect("a query"))
}

#[test]
fn flt1_a_query_is_asked_of_a_card() {
    for (text, expected, why) in [
        ("N&EQ;Ann", true, "a component"),
        ("N&EQ;Meier%3BAnn", true, "the whole, with an escaped separator"),
        ("n&eq;Ann", true, "names and tokens in any letter case"),
        ("N&EQ;ann", false, "values are not"),
        ("N&iEQ;ann", true, "unless it is asked for"),
        ("FN&CON;Mei", true, "contains"),
        ("FN&iCON;MEI", true, "contains, in any letter case"),
        ("FN&NCON;Mei", false, "does not contain"),
        ("FN&NE;Bob", true, "is another"),
        ("TEL&NE;03022", false, "none may be equal"),
        ("TEL&EQ;+4917111", true, "numbers are compared by what is dialled"),
        ("TEL&EQ;(030)22", true, "however they are written"),
        ("TEL&CON;171", true, "in part, too"),
        ("CATEGORIES&EQ;work", true, "an item of a list"),
        ("BDAY&GE;19700101", true, "dates with and without hyphens"),
        ("BDAY&LT;1970-01-02", false, "less"),
        ("BDAY&LE;1970-01-02", true, "less or equal"),
        ("X-RANK&GT;10", false, "numbers as numbers"),
        ("X-RANK&LT;10", true, "numbers as numbers"),
        ("EMAIL&EQ;&NULL;", true, "there is none"),
        ("EMAIL&EQ;", true, "nothing says the same"),
        ("TEL&NE;&NULL;", true, "there is one"),
        ("TEL&EQ;&unassigned;", false, "as libsynthesis says it"),
        ("EMAIL&EQ;x", false, "what is not there is not equal"),
        ("EMAIL&NE;x", true, "but different"),
        ("&LUID;&EQ;17", true, "the device's id"),
        ("&luid;&iNE;17", false, "the device's id"),
        ("N&EQ;Ann&AND;ORG&EQ;Nowhere", false, "both"),
        ("N&EQ;Ann&OR;ORG&EQ;Nowhere", true, "either"),
        ("N&EQ;Ann&OR;N&EQ;Bob&AND;ORG&EQ;Nowhere", true, "AND binds tighter"),
        ("(N&EQ;Ann&OR;N&EQ;Bob)&AND;ORG&EQ;Nowhere", false, "parentheses"),
        ("ORG&EQ;Nowhere&AND;(N&EQ;Ann&OR;N&EQ;Bob)", false, "parentheses"),
        ("((N&EQ;Ann))", true, "more of them"),
        ("ORG&CON;(North)", true, "outside of parentheses they are text"),
        ("(ORG&CON;(North%29)", true, "inside, escaped"),
        (" N &EQ; Ann ", true, "blanks around"),
        ("N&amp;EQ;Ann&amp;AND;FN&amp;CON;A", true, "escaped once too often"),
        ("NOTE&EQ;a%3Bb %26 c", true, "escapes"),
        ("FN&CON;%c3%A4", false, "UTF-8"),
        ("X-NOBODY&EQ;1", false, "an extension that it has not"),
    ] {
        assert_eq!(query(text).unwrap().passes(ANN.as_bytes(), Some("17")), expected, "{text}: {why}");
    }
    assert!(!query("&LUID;&EQ;17").unwrap().passes(ANN.as_bytes(), None), "not there yet");
    assert!(query("&LUID;&EQ;&NULL;").unwrap().passes(ANN.as_bytes(), None));
    assert!(!query("N&EQ;Ann").unwrap().passes(b"no card", None));
}

#[test]
fn flt5_what_breaks_the_grammar_is_told_where() {
    for (text, at) in [
        ("", 0),
        ("N", 1),
        ("N&EQ", 1),
        ("N&EQ;Ann;x", 5),
        ("N&EQ;%4", 5),
        ("N&EQ;%zz", 5),
        ("N&EQ;%+1", 5),
        ("N&EQ;%ff", 5),
        ("N&LIKE;x", 7),
        ("&EQ;x", 4),
        ("&UID;&EQ;x", 5),
        ("N&EQ;x&AND;", 11),
        ("N&EQ;x&XOR;N&EQ;y", 11),
        ("N&EQ;x&EQ;y", 10),
        ("(N&EQ;x", 7),
        ("N&EQ;x)&AND;", 12),
        ("()", 1),
        ("N&GT;&NULL;", 11),
        ("&LUID;&CON;1", 12),
        ("N M&EQ;x", 0),
    ] {
        match query(text) {
            Err(FilterError::Malformed { at: found, .. }) => assert_eq!(found, at, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!(query("N").unwrap_err().status().0, 422);
}

#[test]
fn limits_hold_before_anything_is_kept() {
    let many = vec!["N&EQ;x"; MAX_CLAUSES].join("&OR;");
    assert!(query(&many).is_ok());
    assert_eq!(query(&format!("{many}&OR;N&EQ;x")).unwrap_err(), FilterError::TooLarge("clauses", MAX_CLAUSES));
    let deep = |depth| format!("{}N&EQ;x{}", "(".repeat(depth), ")".repeat(depth));
    assert!(query(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(query(&deep(MAX_DEPTH + 1)).unwrap_err(), FilterError::TooLarge("nested parentheses", MAX_DEPTH));
    let long = format!("N&EQ;{}", "x".repeat(MAX_TEXT));
    assert_eq!(query(&long).unwrap_err(), FilterError::TooLarge("bytes", MAX_TEXT));
    assert_eq!(query(&long).unwrap_err().status().0, 406);
}

fn filter<'a>(
    record: Option<(&'a str, &'a str)>,
    field: Option<&'a str>,
    kind: Option<&'a str>,
) -> message::Filter<'a> {
    let item = |media_type: &'a str, text: &'a str| Item {
        meta: Some(Meta::of_type(media_type)),
        data: Some(Data::text(text)),
        ..Item::default()
    };
    message::Filter {
        meta: Meta::of_type("text/vcard"),
        record: record.map(|(grammar, text)| item(grammar, text)),
        field: field.map(|text| item("application/vnd.syncml-devinf+xml", text)),
        filter_type: kind.map(Into::into),
    }
}

#[test]
fn an_alerts_filter_is_read_or_refused() {
    let read = |record, field, kind| Filter::of_alert(&filter(record, field, kind), Kind::Contact);
    let record = Some((GRAMMAR, "N&EQ;Ann"));
    assert_eq!(read(None, None, Some("NEAREST")), Ok(None), "FLT-3: nothing is chosen");
    assert!(read(record, None, None).unwrap().unwrap().removes(), "row 40: EXCLUSIVE is meant");
    assert!(!read(record, None, Some("inclusive")).unwrap().unwrap().removes());
    assert!(read(Some(("syncml::filtertype-cgi", "N&EQ;Ann")), None, None).unwrap().is_some(), "S60");
    let error = read(record, None, Some("NEAREST")).unwrap_err();
    assert_eq!((error.status().0, error.feature()), (406, "FilterType"));
    assert_eq!(read(Some(("text/x-sql", "1=1")), None, None).unwrap_err().status().0, 421);
    let error = read(Some((GRAMMAR, "SINCE&EQ;20240101T000000Z")), None, None).unwrap_err();
    assert_eq!((error.status().0, error.feature()), (406, "Filter"), "no keyword of contacts");
    assert_eq!(read(None, Some("<Property/>"), None).unwrap_err().status().0, 422);
    let listed = r#"<Property xmlns="syncml:devinf"><PropName>TEL</PropName></Property><d:Property><d:PropName>X-A</d:PropName></d:Property>"#;
    let fields = read(None, Some(listed), None).unwrap().unwrap().fields().unwrap();
    assert_eq!(fields, Fields::of_names(["TEL", "X-A"]));
    assert_eq!(property_names(listed).collect::<Vec<_>>(), ["TEL", "X-A"]);

    let opaque =
        |text| Filter::new(Kind::Calendar, Some(text), [], FilterType::Inclusive).map(|filter| filter.is_some());
    assert_eq!(opaque("&LUID;&EQ;1"), Ok(true), "of opaque items only the id is known");
    assert_eq!(opaque("SUMMARY&EQ;x"), Err(FilterError::Keyword("SUMMARY".to_owned())));
    assert_eq!(Filter::new(Kind::Note, None, ["SUMMARY"], FilterType::Inclusive), Err(FilterError::Fields));
}

#[test]
fn an_address_may_hold_a_filter() {
    let read = |address| Filter::of_address(address, Kind::Contact);
    assert_eq!(read("./contacts"), Ok(None));
    assert_eq!(read("./contacts?user=alice"), Ok(None), "parameters of the peer's own");
    assert!(!read("./contacts?N&EQ;Ann").unwrap().unwrap().removes(), "nothing is removed");
    assert_eq!(read("./contacts?N&EQ;Ann&AND;").unwrap_err().status().0, 422);
    assert_eq!(read("./contacts?/fr(N&EQ;Ann)").unwrap_err().status().0, 406);
    assert_ne!(read("x?N&EQ;A").unwrap().unwrap().digest(), read("x?N&EQ;B").unwrap().unwrap().digest());
}

/// Who sends all that it has of a record sends all of its properties, whatever it would like to be sent.
#[test]
fn flt3_records_stay_where_fields_do_not_count() {
    let of = |record, fields: &[&'static str]| {
        Filter::new(Kind::Contact, record, fields.iter().copied(), FilterType::Exclusive).expect("a filter")
    };
    let both = of(Some("N&EQ;Ann"), &["N", "FN"]).expect("both");
    assert!(both.fields().is_some());
    assert_eq!(both.of_records(), of(Some("N&EQ;Ann"), &[]));
    assert_eq!(of(None, &["N", "FN"]).and_then(Filter::of_records), None);
}

#[test]
fn flt2_every_cell_of_what_is_sent() {
    const fn item(revision: i64, deleted: bool, print: u8) -> ItemRow<'static> {
        ItemRow {
            guid: Guid(1),
            revision: Revision(revision),
            deleted,
            parent: None,
            depth: 0,
            media_type: None,
            content: std::borrow::Cow::Borrowed(b""),
            fingerprint: [print; 16],
            blob: None,
            keys: std::borrow::Cow::Borrowed(&[]),
            origin: None,
            at: Timestamp(0),
        }
    }
    let agreed = Some(MapRow {
        epoch: 0,
        luid: "1".to_owned(),
        guid: Guid(1),
        agreed_revision: Revision(1),
        lens: None,
        view_fp: [1; 16],
        state: MapState::Live,
    });
    let held = agreed.clone().map(|entry| MapRow { state: MapState::Held, ..entry });
    let gone = agreed.clone().map(|entry| MapRow { state: MapState::Gone, ..entry });
    let exclusive = Filter::new(Kind::Contact, Some("N&EQ;x"), [], FilterType::Exclusive).unwrap();
    let inclusive = Filter::new(Kind::Contact, Some("N&EQ;x"), [], FilterType::Inclusive).unwrap();
    let (same, changed, deleted) = (item(1, false, 1), item(2, false, 2), item(2, true, 0));
    // item, entry, passes, wider → EXCLUSIVE, INCLUSIVE.
    for (item, entry, passes, wider, ex, inc, why) in [
        (&same, &None, true, false, Some(Op::Add), Some(Op::Add), "new, and asked for"),
        (&same, &None, false, false, None, None, "new, and not asked for"),
        (&same, &gone, true, false, Some(Op::Add), Some(Op::Add), "comes into the filter again"),
        (&same, &gone, false, false, None, None, "stays outside"),
        (&same, &agreed, true, false, None, None, "agreed"),
        (&same, &agreed, false, false, Some(Op::Delete), None, "leaves, though unchanged"),
        (&changed, &agreed, true, false, Some(Op::Replace), Some(Op::Replace), "changed"),
        (&changed, &agreed, false, false, Some(Op::Delete), Some(Op::Replace), "changed, and so leaves; or stays"),
        (&deleted, &agreed, true, false, Some(Op::Delete), Some(Op::Delete), "deleted"),
        (&deleted, &agreed, false, false, Some(Op::Delete), Some(Op::Delete), "deletes are not filtered"),
        (&deleted, &None, false, false, None, None, "never there"),
        (&same, &held, false, false, None, None, "waits for a decision"),
        (&same, &agreed, true, true, Some(Op::Replace), Some(Op::Replace), "more is shown to be gone"),
    ] {
        let decide = |filter: &Option<Filter>| decide_filtered(filter.as_ref(), item, entry.as_ref(), passes, wider);
        assert_eq!((decide(&exclusive), decide(&inclusive)), (ex, inc), "{why}");
    }
    let more = ItemRow { fingerprint: [3; 16], ..same };
    assert_eq!(decide_filtered(None, &more, agreed.as_ref(), true, true), Some(Op::Replace), "more is shown");
    assert_eq!(decide_filtered(None, &more, agreed.as_ref(), true, false), None, "less is no reason to send");
}

/// Pieces of the grammar in any order, and any text.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("&EQ;"),
        Just("&iNE;"),
        Just("&CON;"),
        Just("&AND;"),
        Just("&OR;"),
        Just("&LUID;"),
        Just("&NULL;"),
        Just("N"),
        Just("TEL"),
        Just("("),
        Just(")"),
        Just("%41"),
        Just("%"),
        Just(";"),
        Just("&"),
        Just("ä"),
        Just(" "),
        Just("&amp;"),
    ];
    prop_oneof![proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat()), any::<String>()]
}

proptest! {
    #[test]
    fn no_text_panics(text in texts(), card in any::<String>()) {
        if let Ok(filter) = query(&text) {
            let _ = filter.passes(ANN.as_bytes(), Some("1"));
            let _ = filter.passes(card.as_bytes(), None);
            // As much as was said, and a little for each clause.
            let kept = serde_json::to_vec(&filter).unwrap().len();
            prop_assert!(kept <= 200 + 30 * text.len(), "{} bytes became {kept}", text.len());
        }
        let _ = Filter::of_address(&text, Kind::Contact);
        prop_assert!(property_names(&text).count() <= text.len());
    }
}
