//! The laws of merging, over any cards and what two sides can make of them.
//!
//! - *identity*: what did not change, and what both changed alike, is as it was, byte for byte;
//! - *commutes*: with the other preference the sides may be exchanged, and where nothing collides the preference is idle;
//! - *idempotent*: merging the same again changes nothing;
//! - *nothing vanishes*: what a side has is there, unless the other side removed or replaced it;
//! - *preference*: where only one can stand it is that of the preferred side, and the other is told as a conflict.
//!
//! How many cases are asked is said at [`hold`].

mod family;
mod found;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use self::family::{Family, family, soups, whole};
use super::*;
use crate::contact::card::{Property, PropertyBuf, Version, canonical_name, convert, is_single};
use crate::contact::identity::Canon;
use crate::contact::testing::{build, hold, version};

/// What a card says: names, labels and values, without N and FN, which stand for each other.
fn said(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let bytes = decode_document(bytes);
    let card = Card::parse(&bytes).unwrap();
    Canon::of(&card)
        .lines()
        .filter(|(at, ..)| !matches!(canonical_name(card.properties()[*at].name()), "N" | "FN"))
        .map(|(_, identity, _)| identity.to_vec())
        .collect()
}

fn show(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}

// Three ways ---------------------------------------------------------------------------------------------------------

const EACH: [Prefer; 2] = [Prefer::Current, Prefer::Incoming];

fn identity(Family { base: b, current: c, incoming: i }: &Family) -> Result<(), TestCaseError> {
    for prefer in EACH {
        let Some(same) = merge3(b, c, b, prefer) else { return Ok(()) };
        prop_assert_eq!(show(&same.content), show(&decode_document(c)), "nothing came in");
        prop_assert!(!same.changed && same.conflicts.is_empty());
        let Some(same) = merge3(b, c, c, prefer) else { return Ok(()) };
        prop_assert_eq!(show(&same.content), show(&decode_document(c)), "both the same");
        prop_assert!(!same.changed && same.conflicts.is_empty());
        let Some(theirs) = merge3(b, b, i, prefer) else { return Ok(()) };
        prop_assert!(theirs.conflicts.is_empty());
        prop_assert_eq!(theirs.changed, theirs.content != *decode_document(b));
    }
    Ok(())
}

/// That of cards as programs write them: what only comes in is all that there is.
fn identity_of_what_comes_in(family: &Family) -> Result<(), TestCaseError> {
    let Family { base: b, incoming: i, .. } = family;
    let merged = merge3(b, b, i, Prefer::Current).unwrap();
    prop_assert_eq!(said(&merged.content), said(i), "{}", show(&merged.content));
    Ok(())
}

fn idempotent(Family { base: b, current: c, incoming: i }: &Family) -> Result<(), TestCaseError> {
    for prefer in EACH {
        let Some(merged) = merge3(b, c, i, prefer) else { return Ok(()) };
        let again = merge3(b, &merged.content, i, prefer).unwrap();
        prop_assert_eq!(show(&again.content), show(&merged.content), "{:?}", prefer);
    }
    Ok(())
}

fn commutes(family: &Family) -> Result<(), TestCaseError> {
    let Family { base: b, current: c, incoming: i } = family;
    let (here, there) = (merge3(b, c, i, Prefer::Current).unwrap(), merge3(b, i, c, Prefer::Incoming).unwrap());
    prop_assert_eq!(said(&here.content), said(&there.content), "sides exchanged");
    let told = |merged: &Merged| -> BTreeSet<(String, Vec<u8>)> {
        merged.conflicts.iter().map(|it| (it.property.clone(), it.losing.clone())).collect()
    };
    prop_assert_eq!(told(&here), told(&there), "the same is lost");
    let other = merge3(b, c, i, Prefer::Incoming).unwrap();
    let fields: BTreeSet<String> =
        here.conflicts.iter().chain(&other.conflicts).map(|it| it.property.to_ascii_uppercase()).collect();
    for line in said(&here.content).symmetric_difference(&said(&other.content)) {
        prop_assert!(fields.contains(&name_of(line)), "{} hangs on the preference", show(line));
    }
    Ok(())
}

/// The name of a line's property.
fn name_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line.split(|&byte| byte == Canon::PART).next().unwrap_or_default()).into_owned()
}

/// What a card says by what it is compared by: a property that stands once by its name, another by name, label and value.
type Says = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

fn says(bytes: &[u8]) -> Says {
    let bytes = decode_document(bytes);
    let card = Card::parse(&bytes).unwrap();
    let mut says = Says::new();
    for (at, identity, full) in Canon::of(&card).lines() {
        let name = canonical_name(card.properties()[at].name());
        if !matches!(name, "N" | "FN") {
            let key = if is_single(name) { name.as_bytes() } else { identity };
            says.entry(key.to_vec()).or_default().insert(full.to_vec());
        }
    }
    for property in card.properties().iter().filter(|it| !it.is_empty()) {
        if let name @ ("UID" | "REV" | "PRODID") = canonical_name(property.name()) {
            let text = property.text().trim().as_bytes().to_vec();
            says.entry(name.as_bytes().to_vec()).or_default().insert(text);
        }
    }
    says
}

/// Every property is what its own history makes of it, and no other is there.
fn nothing_vanishes(family: &Family) -> Result<(), TestCaseError> {
    let Family { base, current, incoming } = family;
    for prefer in EACH {
        let merged = merge3(base, current, incoming, prefer).unwrap();
        let (b, c, i, m) = (says(base), says(current), says(incoming), says(&merged.content));
        let keys: BTreeSet<&Vec<u8>> = [&b, &c, &i, &m].into_iter().flat_map(Says::keys).collect();
        let none = BTreeSet::new();
        let mut addresses = false;
        for key in keys {
            let of = |says: &'_ Says| says.get(key).unwrap_or(&none).clone();
            let (was, here, there) = (of(&b), of(&c), of(&i));
            let collide = here != was && there != was && here != there && !here.is_empty() && !there.is_empty();
            let wanted = match () {
                () if here == was || here == there => &there,
                () if there == was => &here,
                () if here.is_empty() => &there,
                () if there.is_empty() || prefer == Prefer::Current => &here,
                () => &there,
            };
            // Addresses are joined, and looked at below.
            if name_of(key) == "ADR" {
                addresses = true;
                continue;
            }
            prop_assert_eq!(&of(&m), wanted, "{:?}: {} in {}", prefer, show(key), show(&merged.content));
            let silent = matches!(key.as_slice(), b"REV" | b"PRODID");
            let told = merged.conflicts.iter().any(|it| it.property.eq_ignore_ascii_case(&name_of(key)));
            prop_assert!(told || !collide || silent, "{:?}: {} is lost in silence", prefer, show(key));
        }
        if addresses {
            joined(&b, &c, &i, &m)?;
        }
        names(family, prefer, &merged)?;
    }
    Ok(())
}

/// Every part of an address that a side said newly stands in some address of the result, and every address both still have.
fn joined(b: &Says, c: &Says, i: &Says, m: &Says) -> Result<(), TestCaseError> {
    let of = |says: &Says| -> BTreeSet<Vec<u8>> { says.keys().filter(|key| name_of(key) == "ADR").cloned().collect() };
    let parts = |set: &BTreeSet<Vec<u8>>| -> BTreeSet<Vec<u8>> {
        let value = |line: &Vec<u8>| line.splitn(3, |&byte| byte == Canon::PART).nth(2).unwrap_or_default().to_vec();
        set.iter()
            .flat_map(|line| value(line).split(|&byte| byte == 0x1E).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect()
    };
    let (b, c, i, m) = (of(b), of(c), of(i), of(m));
    for line in c.intersection(&i) {
        prop_assert!(m.contains(line), "{} is gone", show(line));
    }
    let (known, there) = (parts(&b), parts(&m));
    for part in parts(&c).union(&parts(&i)).filter(|part| !known.contains(*part)) {
        prop_assert!(there.contains(part), "{} is gone", show(part));
    }
    let said: BTreeSet<Vec<u8>> = parts(&b).into_iter().chain(parts(&c)).chain(parts(&i)).collect();
    for part in &there {
        prop_assert!(said.contains(part), "nobody said {}", show(part));
    }
    Ok(())
}

/// The components of N, blanks and empty ones at the end aside.
fn components(bytes: &[u8]) -> Vec<String> {
    let bytes = decode_document(bytes);
    let card = Card::parse(&bytes).unwrap();
    let n = card.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default();
    let mut parts: Vec<String> = n.iter().map(|part| part.trim().to_owned()).collect();
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

/// What N and FN say, with their types.
fn name_lines(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let bytes = decode_document(bytes);
    let card = Card::parse(&bytes).unwrap();
    let canon = Canon::of(&card);
    let names = canon.lines().filter(|(at, ..)| matches!(canonical_name(card.properties()[*at].name()), "N" | "FN"));
    names.map(|(.., full)| full.to_vec()).collect()
}

fn fulls(bytes: &[u8]) -> Vec<String> {
    let bytes = decode_document(bytes);
    Card::parse(&bytes).unwrap().all("FN").map(|full| full.text().trim().to_owned()).collect()
}

/// A component of N that one side changed is as that side says it; one that both changed, as the preferred says it.
fn names(family: &Family, prefer: Prefer, merged: &Merged) -> Result<(), TestCaseError> {
    let Family { base, current, incoming } = family;
    let [b, c, i, m] = [base, current, incoming, &merged.content].map(|it| components(it));
    if b.is_empty() || c.is_empty() || i.is_empty() {
        // Where N comes or goes the words stay, in N or FN.
        return Ok(());
    }
    let part = |of: &[String], at: usize| of.get(at).cloned().unwrap_or_default();
    let count = [5, b.len(), c.len(), i.len(), m.len()].into_iter().max().unwrap_or_default();
    let mut wanted: Vec<String> = (0..count)
        .map(|at| {
            let (was, here, there) = (part(&b, at), part(&c, at), part(&i, at));
            match () {
                () if here == was || here == there => there,
                () if there == was || prefer == Prefer::Current => here,
                () => there,
            }
        })
        .collect();
    if wanted.iter().all(String::is_empty) {
        // Each cleared what the other left.
        wanted = if prefer == Prefer::Current { c } else { i };
    }
    for at in 0..count {
        prop_assert_eq!(
            part(&m, at),
            part(&wanted, at),
            "{:?}: part {} of the name in {}",
            prefer,
            at,
            show(&merged.content)
        );
    }
    Ok(())
}

/// The words of a name that one side changed and the other left alone are that side's, wherever they stand.
fn names_follow(family: &Family) -> Result<(), TestCaseError> {
    let Family { base, current, incoming } = family;
    for prefer in EACH {
        let m = merge3(base, current, incoming, prefer).unwrap().content;
        let name = |it: &[u8]| (components(it), fulls(it));
        let (b, c, i) = (name(base), name(current), name(incoming));
        // Not even their types, as a change beats a removal.
        if i == b && name_lines(incoming) == name_lines(base) {
            prop_assert_eq!(name(&m), c, "only ours changed: {}", show(&m));
        } else if c == b && i.0 != b.0 && !i.0.is_empty() {
            prop_assert_eq!(name(&m).0, i.0, "only theirs changed: {}", show(&m));
        }
    }
    Ok(())
}

/// Neither the order of what comes in nor its version matters.
fn spelling_is_idle((family, order, to): &(Family, Vec<usize>, Version)) -> Result<(), TestCaseError> {
    let Family { base, current, incoming } = family;
    let merged = merge3(base, current, incoming, Prefer::Current).unwrap();
    let card = Card::parse(incoming).unwrap();
    let converted = convert(&card, *to);
    let other = merge3(base, current, &converted, Prefer::Current).unwrap();
    prop_assert_eq!(said(&merged.content), said(&other.content), "by {}", to);
    let mut all: Vec<&[u8]> = card.properties().iter().filter(|it| !it.is("VERSION")).map(Property::raw).collect();
    let count = all.len().max(1);
    order.iter().enumerate().filter(|_| count > 1).for_each(|(at, with)| all.swap(at % count, with % count));
    let head = [b"BEGIN:VCARD\r\n", card.get("VERSION").unwrap().raw()].concat();
    let shuffled = [&head[..], &all.concat(), b"END:VCARD\r\n"].concat();
    let other = merge3(base, current, &shuffled, Prefer::Current).unwrap();
    prop_assert_eq!(said(&merged.content), said(&other.content), "in another order");
    Ok(())
}

#[test]
fn identity_of_merges() {
    hold("merge3-identity", family(), |it| identity(it).and_then(|()| identity_of_what_comes_in(it)));
}

#[test]
fn identity_of_merges_of_anything() {
    hold("merge3-identity-soup", soups(), identity);
}

#[test]
fn merges_commute() {
    hold("merge3-commutes", family(), commutes);
}

#[test]
fn merges_are_idempotent() {
    hold("merge3-idempotent", family(), idempotent);
}

#[test]
fn merges_of_anything_are_idempotent() {
    hold("merge3-idempotent-soup", soups(), idempotent);
}

#[test]
fn nothing_vanishes_in_merges() {
    hold("merge3-vanishes", family(), |it| nothing_vanishes(it).and_then(|()| names_follow(it)));
}

#[test]
fn spelling_is_idle_in_merges() {
    let order = proptest::collection::vec(0..16usize, 0..12);
    hold("merge3-spelling", (family(), order, version()), spelling_is_idle);
}

// Unions -------------------------------------------------------------------------------------------------------------

fn laws_of_union(a: &[u8], b: &[u8]) -> Result<(), TestCaseError> {
    let Some(merged) = union(a, b) else { return Ok(()) };
    let same = union(a, a).unwrap();
    prop_assert_eq!(&same.content, &decode_document(a).into_owned());
    prop_assert!(!same.changed && same.conflicts.is_empty());
    prop_assert_eq!(merged.changed, merged.content != *decode_document(a));
    let again = union(&merged.content, b).unwrap();
    prop_assert_eq!(show(&again.content), show(&merged.content), "idempotent");
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
        let name = name_of(line);
        prop_assert!(is_single(&name), "{} lost from {}", show(line), show(&merged.content));
        prop_assert!(merged.conflicts.iter().any(|it| it.property == name));
    }
    Ok(())
}

fn laws_of_unions_of_cards((a, b, from, to): &TwoCards) -> Result<(), TestCaseError> {
    let (a, b) = (build(*from, a), build(*to, b));
    laws_of_union(&a, &b)?;
    // The version theirs comes in does not matter.
    let respelt = convert(&Card::parse(&b).unwrap(), Version::V3_0);
    let (one, two) = (union(&a, &b).unwrap(), union(&a, &respelt).unwrap());
    prop_assert!(same_meaning(&one.content, &two.content));
    // Where nothing collides the sides may be exchanged.
    let other = union(&b, &a).unwrap();
    if one.conflicts.is_empty() && other.conflicts.is_empty() {
        prop_assert_eq!(said(&one.content), said(&other.content));
    }
    Ok(())
}

type TwoCards = (Vec<PropertyBuf>, Vec<PropertyBuf>, Version, Version);

#[test]
fn unions_of_anything() {
    hold("union-soup", soups(), |it| laws_of_union(&it.current, &it.incoming));
}

#[test]
fn unions_of_cards() {
    hold("union", (whole(), whole(), version(), version()), laws_of_unions_of_cards);
}

#[test]
fn unions_of_relatives() {
    hold("union-family", family(), |it| laws_of_union(&it.current, &it.incoming));
}
