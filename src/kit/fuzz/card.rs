//! Cards: what nobody touched is written back byte for byte, and merging and lenses keep what they promise
//! (DESIGN "Cards, views and merge").

use super::input::parts;
use crate::contact::card::{Card, Charset, Editor, Limits, Version, convert, decode_document};
use crate::contact::diff::diff;
use crate::contact::identity::{Kind, identify, loose_keys};
use crate::contact::lens::{Lens, patch, put, repeats_picture, view};
use crate::contact::merge::{Prefer, merge3, same_meaning, union};

/// Three cards and two lenses as they are stored, kept apart by the byte 1E.
pub fn card(bytes: &[u8]) {
    let [base, one, other, then, now] = parts::<5>(bytes);
    for file in [base, one, other] {
        reads(file);
    }
    let (then, now) = (Lens::decode(then).unwrap_or_default(), Lens::decode(now).unwrap_or_default());
    for lens in [&then, &now] {
        assert_eq!(Lens::decode(&lens.encode()).as_ref(), Some(lens), "a lens is read as it was written");
    }
    merges(base, one, other);
    sees(base, one, &then, &now);
}

fn reads(file: &[u8]) {
    let document = decode_document(file);
    let bytes: &[u8] = &document;
    let limits = Limits::default();
    if let Ok(cards) = Card::parse_all(bytes, &limits, Charset::WINDOWS_1252)
        && let Ok(cards) = cards.collect::<Result<Vec<_>, _>>()
        && !cards.is_empty()
    {
        let together: Vec<u8> = cards.iter().flat_map(|card| card.as_bytes().to_vec()).collect();
        assert!(together == bytes, "the cards of a file are the file");
    }
    let Ok(card) = Card::parse(bytes) else { return };
    assert!(card.as_bytes() == bytes, "a card is all its bytes");
    assert!(Editor::new(&card).finish() == bytes, "what nobody touched is written as it was");
    let _ = (identify(Kind::Contact, bytes), loose_keys(Kind::Contact, bytes));
    for property in card.properties() {
        let _ = (property.text(), property.components(), property.list(), property.binary());
    }
    for version in [Version::V2_1, Version::V3_0, Version::V4_0] {
        let written = convert(&card, version);
        assert!(Card::parse(&written).is_ok(), "a card converted is a card");
    }
}

fn merges(base: &[u8], one: &[u8], other: &[u8]) {
    let is_card = |bytes: &[u8]| Card::parse(&decode_document(bytes)).is_ok();
    let all = is_card(base) && is_card(one) && is_card(other);
    for prefer in [Prefer::Current, Prefer::Incoming] {
        let Some(merged) = merge3(base, one, other, prefer) else {
            assert!(!all, "cards can be merged");
            return;
        };
        assert!(is_card(&merged.content), "a merged card is a card");
        let back = merge3(base, one, base, prefer).unwrap_or_else(|| unreachable!("they were merged before"));
        assert!(!back.changed && back.content == *decode_document(one), "who changed nothing changes nothing");
        let same = merge3(base, one, one, prefer).unwrap_or_else(|| unreachable!("they were merged before"));
        assert!(same.content == *decode_document(one), "what both say is so");
    }
    let _ = (diff(base, one), union(base, one), same_meaning(base, one), repeats_picture(base, one), patch(base, one));
}

fn sees(base: &[u8], shown: &[u8], then: &Lens, now: &Lens) {
    for lens in [then, now] {
        let Some(sent) = view(base, lens) else { return };
        assert!(Card::parse(&sent).is_ok(), "what a device is sent is a card");
        if let Some(echo) = put(base, &sent, lens, lens) {
            assert!(echo.whole == *decode_document(base), "L1: what comes back as it was sent changes nothing");
        }
        let _ = lens.widened_by(shown);
    }
    if let Some(put) = put(base, shown, then, now) {
        assert!(Card::parse(&put.whole).is_ok(), "what a device means is a card");
    }
}
