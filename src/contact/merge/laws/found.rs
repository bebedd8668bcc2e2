//! What the laws were once broken by.

use super::*;
use crate::contact::testing::card;

/// All laws of a merge, of cards with these lines.
fn hold_for(base: &[&str], current: &[&str], incoming: &[&str]) {
    let [base, current, incoming] = [base, current, incoming].map(|lines| card("2.1", lines));
    let family = Family { base, current, incoming };
    for law in [identity, identity_of_what_comes_in, idempotent, commutes, nothing_vanishes, names_follow] {
        law(&family).unwrap();
    }
}

#[test]
fn row20_a_label_of_what_says_nothing_is_a_property_of_its_own() {
    let label = "a.X-ABLabel:x";
    hold_for(&["a.UID:1", label], &["a.UID:1", label], &[label]);
    hold_for(&["a.TITLE:", "a.NOTE:A", label], &["a.TITLE:", "a.NOTE:0", label], &["a.TITLE:", "a.NOTE:A", label]);
    hold_for(&["a.NOTE:A", "a.TITLE:", label], &["a.NOTE:A", "a.TITLE:", label], &["a.NOTE:A", "a.TITLE:"]);
    hold_for(&["a.NOTE:A", "a.UID:1", label], &["a.NOTE:A", "a.UID:2", label], &["a.NOTE:A", "a.UID:1", label]);
    hold_for(
        &["a.GEO:1;2", "a.UID:1", "UID:2", label],
        &["a.GEO:1;2", "a.UID:1", "UID:2", label],
        &["a.GEO:1;2", "a.UID:1", label],
    );
}

#[test]
fn row20_a_labelled_full_name_takes_its_label_along() {
    hold_for(&["N:a;A", "FN:A a"], &["N:b;A", "FN:A a"], &["N:a;A", "g.FN:A a", "g.X-ABLabel:x"]);
    hold_for(&["N:;a", "FN:A"], &["N:b;a", "g.FN:a b", "g.X-ABLabel:x"], &["N:;a", "g.FN:c", "g.X-ABLabel:x"]);
}

#[test]
fn l8_a_full_name_left_behind_is_no_news() {
    hold_for(&["N:a;0", "FN:0 a"], &["N:a;0", "FN:0 a"], &["N:b;0", "FN:0 a"]);
}

#[test]
fn l8_a_full_name_that_says_what_n_says_gives_way() {
    hold_for(&["TEL:1"], &["FN:Ada Doe", "TEL:1"], &["N:Doe;Ada", "FN:Countess", "TEL:1"]);
    let merged = merge3(
        &card("3.0", &["TEL:1"]),
        &card("3.0", &["FN:Ada Doe", "TEL:1"]),
        &card("3.0", &["N:Doe;Ada", "FN:Countess", "TEL:1"]),
        Prefer::Current,
    );
    let merged = merged.unwrap();
    assert!(merged.conflicts.is_empty() && merged.content.windows(11).any(|it| it == b"FN:Countess"));
    hold_for(&["N:;A;;Dr;jun", "FN:a"], &["FN:Dr A jun"], &["N:;A;;Dr;jun", "FN:B"]);
}

#[test]
fn l8_full_names_go_with_the_name() {
    hold_for(&["N:A;A", "FN:A A"], &["N:A;A", "FN:A A", "FN:0"], &["FN:0"]);
    hold_for(&["N:a;a", "FN:a a", "FN:a a"], &["N:a;a", "FN:a a", "FN:a a"], &["NOTE:x"]);
    hold_for(&["N:a;a", "FN:a a", "FN:a"], &["N:a;a", "FN:a a"], &["NOTE:x"]);
    hold_for(&["N:a;a", "FN:a a", "FN:a"], &["N:a;a", "FN:a a", "FN:a"], &["FN:a a"]);
}

#[test]
fn l8_a_full_name_that_repeats_a_nickname_gives_way() {
    hold_for(&["N:B;A", "FN:A B", "NICKNAME:A"], &["N:B;A", "FN:a"], &["FN:A", "NICKNAME:a,A"]);
    hold_for(&["FN:a", "TEL:000"], &["TEL;HOME:000", "FN:A"], &["FN:b", "TEL:A"]);
    hold_for(&["FN:A", "NICKNAME:0"], &["FN:a", "NICKNAME:B,0", "NOTE:a"], &["FN:B", "NICKNAME:0"]);
    hold_for(&["FN:A", "NICKNAME:0"], &["FN:a", "NICKNAME:B,0", "NOTE:a"], &["FN:B,0", "NICKNAME:0"]);
}

#[test]
fn l8_a_full_name_that_comes_for_the_name_comes_with_its_parameters() {
    hold_for(&["N:;a;;Dr;jun", "FN:0"], &["N:;a;;Dr;jun", "FN;HOME:Dr a jun"], &["FN:Dr a jun"]);
}

#[test]
fn row23_an_address_of_both_is_not_what_one_made_of_another() {
    hold_for(
        &["N:0;A", "FN:A 0", "ADR;HOME:;;a;a;;a", "ADR;HOME:;;a;0;;0"],
        &["N:0;A", "FN:A 0", "ADR;HOME:;;a;a;;a", "ADR;HOME:;;a;0;;0;A"],
        &["N:0;A", "FN:A 0", "ADR;HOME:0;;a;a;;a", "ADR:;;a;0;;0;A"],
    );
}

#[test]
fn a_name_beyond_the_components_of_n_is_one() {
    hold_for(&["N:a;0", "FN:A"], &["N:;;;;;A", "FN:A"], &["N:a;0;;;;A", "FN:A"]);
}

#[test]
fn a_name_of_which_each_clears_the_other_half_stays() {
    hold_for(&["N:A;B", "FN:B A"], &["N:;B", "FN:B A"], &["N:A;", "FN:B A"]);
}

#[test]
fn union_of_what_was_once_lost() {
    for (ours, theirs) in [
        (&b"BEGIN:VCARD\r\nAGENT:\r\nBEGIN:VCARD\r\n\r"[..], &b"BEGIN:VCARD\r\nADR;HOME:;;="[..]),
        (b"BEGIN:VCARD\r\nAGENT:\r\nBEGIN:VCARD\r\nFN:A\r", b"BEGIN:VCARD\r\nADR;HOME:;;="),
        (b"BEGIN:VCARD\r\nVERSION:3.0\r\nGEO:\\", b"BEGIN:VCARD\r\nVERSION:3.0\r\n.\rtel:+1\r\n"),
        (b"BEGIN:VCARD\r\n", b"BEGIN:VCARD\r\nTEL;CELL:TEL:;"),
        (b"BEGIN:VCARD\r\nTEL;CELL:", b"BEGIN:VCARD\r\nAGENT:\r\nBEGIN:VCARD\n\rEND:VCARD\r\n"),
    ] {
        laws_of_union(ours, theirs).unwrap();
    }
}

#[test]
fn a_full_name_that_is_syntax_follows_once() {
    let family = Family {
        base: b"BEGIN:VCARD\r\n".to_vec(),
        current: b"BEGIN:VCARD\r\nFN:BEGIN:VCARD".to_vec(),
        incoming: b"BEGIN:VCARD\r\nN:BEGIN:VCARD\nVERSION:2.1\r\nFN::".to_vec(),
    };
    identity(&family).unwrap();
    idempotent(&family).unwrap();
}
