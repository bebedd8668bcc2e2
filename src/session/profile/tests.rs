//! What is shipped, read and laid over it.

use super::*;
use crate::contact::lens::Rules;
use crate::store::BookNo;
use crate::sync::{Occasion, Policy};

fn phone<'a>(man: &'a str, model: &'a str) -> DevInf<'a> {
    DevInf { man: Some(man.into()), model: Some(model.into()), dev_type: "phone".into(), ..DevInf::default() }
}

#[test]
fn the_rules_that_ship_can_be_read() {
    let rules = parse(SHIPPED).unwrap();
    assert!(!rules.is_empty());
    assert_eq!(rules, *SHIPPED_RULES);
    for rule in &rules {
        assert!(rule._because.contains('§'), "{}: where is it known from?", rule.name);
        assert_ne!(rule.then, Manners::default(), "{} does nothing", rule.name);
    }
}

#[test]
fn rules_are_found() {
    let profiles = Profiles::shipped();
    for (id, devinf, expected) in [
        ("IMEI:1", None, &[][..]),
        ("fol-abc", None, &["funambol-client"]),
        ("IMEI:1", Some(phone("Nokia", "Nokia E51")), &["nokia-s60", "nokia"]),
        ("IMEI:1", Some(phone("NOKIA", "6230i")), &["nokia"]),
        ("IMEI:1", Some(phone("Nokia", "Nokia\r\n 7210c")), &["nokia-7210c", "nokia"]),
        (
            "IMEI:1",
            Some(phone("Sony Ericsson", "M600i")),
            &["sony-ericsson-m600", "sony-ericsson-uiq", "sony-ericsson"],
        ),
        ("IMEI:1", Some(phone("SonyEricsson", "K750i")), &["sony-ericsson"]),
        ("IMEI:1", Some(phone("Motorola", "V3i")), &["motorola-v3"]),
        ("IMEI:1", Some(phone("Someone", "Nokia E51")), &[]),
        ("https://m.google.com/syncml", None, &["google"]),
        ("http://x/?.google.com", None, &[]),
    ] {
        assert_eq!(profiles.about(id, devinf.as_ref()), expected, "{id} {devinf:?}");
        assert!(Profiles::none().about(id, devinf.as_ref()).is_empty());
    }
}

#[test]
fn what_several_settle_the_first_settles() {
    let profiles = Profiles::shipped();
    let manners = profiles.manners(&["nokia-s60".to_owned(), "nokia".to_owned(), "gone".to_owned()]);
    let expected = Manners {
        zero_anchor: Some(true),
        max_guid: Some(8),
        fill_percent: Some(70),
        status_items: Some(false),
        card: Some(Rules { mark_emails: true, ..Rules::default() }),
        ..Manners::default()
    };
    assert_eq!(manners, expected);
    // What concerns cards adds up.
    let manners = profiles.manners(&["nokia-photo-size".to_owned(), "nokia".to_owned()]);
    assert_eq!(manners.card, Some(Rules { mark_emails: true, ignore_sizes: true, ..Rules::default() }));
}

#[test]
fn a_host_adds_and_replaces_rules() {
    let mut profiles = Profiles::shipped();
    let nokia = r#"[{ "name": "nokia", "when": { "man": ["Nokia*"] }, "because": "tried here", "then": { "fill_percent": 50 } },
        { "name": "acme", "when": { "id": ["ACME-?"], "fwv": ["1.*", "2.*"] }, "because": "tried", "then": {}, "continue": true }]"#;
    profiles.read(nokia).unwrap();
    assert_eq!(profiles.about("x", Some(&phone("Nokia", "Nokia E51"))), ["nokia"]);
    assert_eq!(profiles.manners(&["nokia".to_owned()]).fill_percent, Some(50));
    let acme = |id: &'static str, fwv: &'static str| {
        let devinf = DevInf { fwv: Some(fwv.into()), dev_id: id.into(), ..DevInf::default() };
        profiles.about("other", Some(&devinf))
    };
    assert_eq!(acme("acme-1", "2.0"), ["acme"]);
    assert!(acme("acme-1", "3.0").is_empty());
    assert!(acme("acme-12", "2.0").is_empty());
}

#[test]
fn bad_rules_are_refused() {
    let rule =
        |then: &str| format!(r#"[{{ "name": "a", "when": {{ "man": ["x"] }}, "because": "", "then": {{ {then} }} }}]"#);
    let invalid = |setting, reason| ProfileError::Invalid { rule: "a".to_owned(), setting, reason };
    for (json, expected) in [
        (rule(r#""fill_percent": 9"#), invalid("fill_percent", "must be 10 to 100")),
        (rule(r#""max_msg_size": 999"#), invalid("max_msg_size", "must be 1000 at least")),
        (rule(r#""max_announced": 1"#), invalid("max_announced", "must be 10000 at least")),
        (rule(r#""max_guid": 1"#), invalid("max_guid", "must be 6 at least")),
        (rule(r#""auth_tries": 0"#), invalid("auth_tries", "must be 1 to 10")),
        (rule(r#""alerts": { "250": 222 }"#), invalid("alerts", "must lead to 200 to 205")),
        (rule(r#""statuses": { "500": 0 }"#), invalid("statuses", "must lead to 100 to 599")),
        (
            r#"[{ "name": "a", "when": {}, "because": "", "then": {} }]"#.to_owned(),
            ProfileError::Unconditional("a".to_owned()),
        ),
        (format!("[{0},{0}]", rule("").trim_matches(['[', ']'])), ProfileError::Twice("a".to_owned())),
        (format!("[{}]", " ".repeat(MAX_FILE)), ProfileError::TooMany),
    ] {
        assert_eq!(Profiles::shipped().read(&json), Err(expected), "{}", &json[..json.len().min(300)]);
    }
    for json in ["", "{}", "[1]", &rule(r#""unknown": 1"#), &rule(r#""fill_percent": 900"#)] {
        assert!(matches!(Profiles::shipped().read(json), Err(ProfileError::Unreadable(_))), "{json}");
    }
}

#[test]
fn budgets() {
    let manners = |fill_percent, max_msg_size| Manners { fill_percent, max_msg_size, ..Manners::default() };
    for (percent, max, declared, expected) in [
        (None, None, None, None),
        (None, None, Some(5_000), Some(5_000)),
        (Some(70), None, None, None),
        (Some(70), None, Some(10_000), Some(7_000)),
        (Some(70), None, Some(10_010), Some(7_007)),
        (Some(70), None, Some(2_000), Some(1_800)),
        (Some(70), None, Some(1_500), Some(1_500)),
        (Some(70), None, Some(u64::MAX), Some(u64::MAX / 100 * 70 + 10)),
        (None, Some(1_850), None, Some(1_850)),
        (None, Some(1_850), Some(1_000), Some(1_000)),
        (Some(70), Some(4_500), Some(100_000), Some(4_500)),
    ] {
        assert_eq!(manners(percent, max).budget(declared), expected, "{percent:?} {max:?} {declared:?}");
    }
}

/// Mission X2: separately for each occasion, book and device.
#[test]
fn policies_are_of_a_book_and_a_device() {
    let rules = r#"[{ "name": "sim", "when": { "id": ["SIM-*"] }, "because": "holds two fields", "continue": true,
        "then": { "books": { "contacts": { "normal": "server-wins" }, "*": { "normal": "keep-both", "slow": "newest" } } } }]"#;
    let mut profiles = Profiles::shipped().treat(Treatment::conflicts(Policy::ClientWins));
    profiles.read(rules).unwrap();
    let policy =
        |id: &str, book, occasion| profiles.manners(&profiles.about(id, None)).treatment(book).policy(occasion);
    for (id, book, occasion, expected, why) in [
        ("SIM-1", BookNo::CONTACTS, Occasion::Normal, Policy::ServerWins, "said of the book"),
        ("SIM-1", BookNo::NOTES, Occasion::Normal, Policy::KeepBoth, "said of all books"),
        ("SIM-1", BookNo::CONTACTS, Occasion::Slow, Policy::Newest, "said of all books"),
        ("SIM-1", BookNo::CONTACTS, Occasion::First, Policy::ClientWins, "said of all devices"),
        ("phone", BookNo::CONTACTS, Occasion::Normal, Policy::ClientWins, "said of all devices"),
    ] {
        assert_eq!(policy(id, book, occasion), expected, "{id} {book}: {why}");
    }
    assert_eq!(Profiles::shipped().manners(&[]).treatment(BookNo::CONTACTS), Treatment::default());
    let unknown = r#"[{ "name": "x", "when": { "id": ["*"] }, "because": "", "then": { "books": { "people": {} } } }]"#;
    assert!(matches!(profiles.read(unknown), Err(ProfileError::Invalid { setting: "books", .. })));
}
