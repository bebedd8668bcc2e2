//! The union of two cards without a common ancestor.

use std::collections::BTreeSet;

use super::copy::Groups;
use super::{Conflict, Merged};
use crate::contact::card::{Card, Editor, Property, canonical_name, decode_document, is_single, render_name};
use crate::contact::identity::{Canon, is_rendering};

/// Everything of `ours`, byte for byte, and every instance that only `theirs` has, in the spelling of ours.
///
/// Instances are the same if name, label (`X-ABLabel` of the group) and value are, whatever their types. A property that
/// a card has once (N, FN, ORG, BDAY, PHOTO, …) stays as ours has it; if theirs says something else, that is a
/// [`Conflict`]. Where ours has none or an empty one, theirs is taken. Groups of theirs get names that ours does not use.
///
/// `union(a, a)` is `a`, and `union(union(a, b), b)` is `union(a, b)`. UTF-16 comes back as UTF-8. `None` if one of them
/// is no card.
pub fn union(ours: &[u8], theirs: &[u8]) -> Option<Merged> {
    let (ours, theirs) = (decode_document(ours), decode_document(theirs));
    let ours = Card::parse(&ours).ok()?;
    let theirs = Card::parse(&theirs).ok()?;
    if ours.as_bytes() == theirs.as_bytes() {
        return Some(Merged { content: ours.as_bytes().to_vec(), changed: false, conflicts: Vec::new() });
    }
    let our_canon = Canon::of(&ours);
    let their_canon = Canon::of(&theirs);
    let our_name = ours.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default();
    let mut known: BTreeSet<&[u8]> = our_canon.lines().map(|(_, identity, _)| identity).collect();
    let mut editor = Editor::new(&ours);
    let mut groups = Groups::of(&ours, &theirs);
    let mut conflicts = Vec::new();
    let mut changed = false;

    // Several lines of one property (items of a list) stand one after the other.
    let lines: Vec<(usize, &[u8])> = their_canon.lines().map(|(at, identity, _)| (at, identity)).collect();
    for lines in lines.chunk_by(|a, b| a.0 == b.0) {
        let property = &theirs.properties()[lines[0].0];
        if lines.iter().all(|(_, identity)| known.contains(identity)) {
            continue;
        }
        let name = canonical_name(property.name());
        if matches!(name, "N" | "FN") && ours_says_it(property, &our_name) {
            continue;
        }
        if let Some(kept) = first(&ours, name).filter(|_| is_single(name)) {
            // A name that says nothing by itself has no line, but may well be the same.
            if matches!(name, "N" | "FN") && kept.text() == property.text() {
                continue;
            }
            conflicts.push(Conflict { property: name.to_owned(), losing: property.raw().to_vec() });
            continue;
        }
        known.extend(lines.iter().map(|(_, identity)| identity));
        editor.append_bytes(&groups.copy(property, &theirs));
        changed = true;
    }
    // These say nothing about the contact and have no lines; still they are not to be lost.
    for name in ["UID", "REV", "PRODID"] {
        if let Some(property) = theirs.all(name).find(|it| !it.is_empty())
            && first(&ours, name).is_none()
        {
            editor.append_bytes(&groups.copy(property, &theirs));
            changed = true;
        }
    }
    Some(Merged { content: editor.finish(), changed, conflicts })
}

/// Does our N hold every word of their N or FN?
fn ours_says_it(name: &Property<'_>, ours: &[String]) -> bool {
    let text = if name.is("N") { render_name(&name.components()) } else { name.text().into_owned() };
    !ours.is_empty() && is_rendering(&text, ours)
}

fn first<'c, 'a>(card: &'c Card<'a>, name: &str) -> Option<&'c Property<'a>> {
    card.properties().iter().find(|it| canonical_name(it.name()).eq_ignore_ascii_case(name) && !it.is_empty())
}
