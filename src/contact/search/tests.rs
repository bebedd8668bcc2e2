//! Tables: what of an item is indexed, and which queries find it.

use super::{MOST_OF_ONE, Query, QueryError, Rank, TermQuery, searchable};
use crate::contact::identity::Kind;

const ANN: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:secret-uid\r\nN:Müller;Anna Maria;;Dr.;\r\nFN:Dr. Anna Müller\r\n\
    ORG:Łódź GmbH;Vertrieb\r\nTEL;TYPE=CELL:+49 (170) 123-45\r\nEMAIL:anna.m@example.org\r\nADR:;;Hauptstr. 5;Köln;;50667;\r\n\
    NOTE:Kennt Bob\\, 0221 9876\r\nX-HOBBY:Segeln\r\nPHOTO;ENCODING=b:c2VjcmV0\r\nEND:VCARD\r\n";
const WANG: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:王;小明;;;\r\nTEL:13800138000\r\nNOTE:朋友 Wang\r\nEND:VCARD\r\n";
const OLD: &str =
    "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E7=8E=8B;=E6=98=8E\r\nEND:VCARD\r\n";

#[test]
fn terms_of_items() {
    let cases: &[(Kind, &str, &[&str])] = &[
        (Kind::Contact, "", &[]),
        (Kind::Contact, "no card", &[]),
        (
            Kind::Contact,
            "BEGIN:VCARD\nFN:Al Bo\nTEL:1234\nNOTE:al ce\nEND:VCARD",
            &["an123", "an234", "asa", "asal", "asb", "asbo", "awal", "awbo", "bsc", "bsce", "bwce"],
        ),
        (
            Kind::Contact,
            "BEGIN:VCARD\nNOTE:王小明 9\nTEL:12\nEND:VCARD",
            &["bc小", "bc小明", "bc明", "bc王", "bc王小", "bs9", "bw9"],
        ),
        (Kind::Contact, OLD, &["ac明", "ac王", "ac王明"]),
        (Kind::Note, "é", &["bse", "bwe"]),
        (Kind::Calendar, "BEGIN:VCALENDAR\nDTSTART:20260101\nSUMMARY:x\nEND:VCALENDAR", &["asx", "awx"]),
        (
            Kind::File,
            "<File><name>a.txt</name><cttype>text/plain</cttype><body enc=\"base64\">aGk=</body></File>",
            &["asa", "ast", "astx", "awa", "awtxt", "bsh", "bshi", "bwhi"],
        ),
        (
            Kind::File,
            "<File><name>a</name><cttype>image/png</cttype><body enc=\"base64\">aGk=</body></File>",
            &["asa", "awa"],
        ),
        (Kind::File, "\0\u{1}", &[]),
        (Kind::Other, "text", &[]),
    ];
    for (kind, content, terms) in cases {
        assert_eq!(searchable(*kind, content.as_bytes()).terms(), *terms, "{content}");
    }
}

#[test]
fn queries_find_items() {
    use Rank::{Name, Other};
    for (content, text, rank) in [
        (ANN, "anna", Some(Name)),
        (ANN, "MULLER", Some(Name)),
        (ANN, "müller an", Some(Name)),
        (ANN, "ller", None),
        (ANN, "lodz", Some(Name)),
        (ANN, "12345", Some(Name)),
        (ANN, "+49 170 123", Some(Name)),
        (ANN, "0170", None),
        (ANN, "45", None),
        (ANN, "02219", Some(Other)),
        (ANN, "anna bob", Some(Other)),
        (ANN, "anna@example", Some(Other)),
        (ANN, "anna.m@exam", Some(Other)),
        (ANN, "koln 50667", Some(Other)),
        (ANN, "segeln", Some(Other)),
        (ANN, "secret", None),
        (ANN, "c2vjcmv0", None),
        (ANN, "5", Some(Other)),
        (WANG, "王小明", Some(Name)),
        (WANG, "小", Some(Name)),
        (WANG, "明 王", Some(Name)),
        (WANG, "明王", None),
        (WANG, "wang", Some(Other)),
        (WANG, "王 138", Some(Name)),
        (WANG, "１３８００", Some(Name)),
        (WANG, "朋友", Some(Other)),
        (OLD, "王明", Some(Name)),
    ] {
        let item = searchable(Kind::Contact, content.as_bytes());
        let query: Query = text.parse().unwrap();
        assert_eq!(query.matches(&item).map(|found| found.rank), rank, "{text}");
        // The index says of each hit, in its rank, that it may be one; and of others, if the query is exact, that they are not.
        let terms = item.terms();
        for asked in [Name, Other] {
            let said = holds(&query.terms(asked), &terms);
            assert!(said || rank != Some(asked), "{text}: not under {:?}", query.terms(asked));
            let exact = query.is_exact();
            assert!(!said || !exact || rank == Some(asked), "{text}: under {:?}", query.terms(asked));
        }
    }
}

/// What an index does.
fn holds(query: &TermQuery, terms: &[String]) -> bool {
    match query {
        TermQuery::Term(term) => terms.contains(term),
        TermQuery::Prefix(start) => terms.iter().any(|term| term.starts_with(start)),
        TermQuery::All(parts) => parts.iter().all(|part| holds(part, terms)),
        TermQuery::Any(parts) => parts.iter().any(|part| holds(part, terms)),
        TermQuery::Not(one, other) => holds(one, terms) && !holds(other, terms),
    }
}

#[test]
fn what_is_no_query() {
    let words = |count: usize| vec!["a"; count].join(" ");
    for (text, error) in [
        ("", Some(QueryError::Empty)),
        (" \t", Some(QueryError::Empty)),
        ("- + ( )", Some(QueryError::Empty)),
        ("\"*' OR 1=1 --", None),
        (&words(16), None),
        (&words(17), Some(QueryError::TooLong)),
        (&"a".repeat(256), None),
        (&"a".repeat(257), Some(QueryError::TooLong)),
    ] {
        assert_eq!(text.parse::<Query>().err(), error, "{text}");
    }
}

#[test]
fn much_text_is_cut() {
    let note = "x ".repeat(MOST_OF_ONE) + "end";
    let content = format!("BEGIN:VCARD\nNOTE:{note}\nTEL:12345\nEND:VCARD");
    let item = searchable(Kind::Contact, content.as_bytes());
    for (text, found) in [("x", true), ("end", false), ("234", true)] {
        assert_eq!(text.parse::<Query>().unwrap().matches(&item).is_some(), found, "{text}");
    }
    let content = format!("BEGIN:VCARD\n{}TEL:12345\nEND:VCARD", format!("NOTE:{note}\n").repeat(4));
    assert!("234".parse::<Query>().unwrap().matches(&searchable(Kind::Contact, content.as_bytes())).is_none());
}
