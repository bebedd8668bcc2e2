//! The union of two cards without a common ancestor.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Conflict, Merged};
use crate::contact::card::{
    Card, Editor, Property, PropertyBuf, canonical_name, decode_document, is_single, render_name, rewrite,
};
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
    let their_card = Card::parse(&theirs).ok()?;
    if ours.as_bytes() == their_card.as_bytes() {
        return Some(Merged { content: ours.as_bytes().to_vec(), changed: false, conflicts: Vec::new() });
    }
    let theirs = respelt(&their_card, &ours);
    let theirs = match &theirs {
        Cow::Borrowed(_) => their_card,
        Cow::Owned(bytes) => Card::parse(bytes).ok()?,
    };
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
        if is_single(name) && has(&ours, name) {
            conflicts.push(Conflict { property: name.to_owned(), losing: property.raw().to_vec() });
            continue;
        }
        known.extend(lines.iter().map(|(_, identity)| identity));
        groups.append(property, &theirs, &mut editor);
        changed = true;
    }
    // These say nothing about the contact and have no lines; still they are not to be lost.
    for name in ["UID", "REV", "PRODID"] {
        if let Some(property) = theirs.all(name).find(|it| !it.is_empty())
            && !has(&ours, name)
        {
            groups.append(property, &theirs, &mut editor);
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

fn has(card: &Card<'_>, name: &str) -> bool {
    card.properties().iter().any(|it| canonical_name(it.name()).eq_ignore_ascii_case(name) && !it.is_empty())
}

/// Theirs in the version and with the line breaks of ours, so that its properties can be copied.
fn respelt<'a>(theirs: &Card<'a>, ours: &Card<'_>) -> Cow<'a, [u8]> {
    // Without VERSION the version is guessed from the spelling, which a copied line must not change.
    let declared = ours.get("VERSION").is_some();
    if declared && theirs.version() == ours.version() && theirs.line_break() == ours.line_break() {
        return Cow::Borrowed(theirs.as_bytes());
    }
    Cow::Owned(rewrite(theirs, ours.version(), ours.line_break()))
}

/// New names for the groups of theirs, and the labels that come along with a group.
struct Groups {
    used: BTreeSet<String>,
    next: usize,
    renamed: BTreeMap<String, String>,
    labels: BTreeMap<String, Vec<usize>>,
}

impl Groups {
    fn of(ours: &Card<'_>, theirs: &Card<'_>) -> Self {
        let group = |it: &Property<'_>| it.group().map(str::to_ascii_lowercase);
        let mut labels: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, property) in theirs.properties().iter().enumerate() {
            if let Some(group) = group(property)
                && Canon::is_label(property)
            {
                labels.entry(group).or_default().push(at);
            }
        }
        Self { used: ours.properties().iter().filter_map(group).collect(), next: 1, renamed: BTreeMap::new(), labels }
    }

    /// Appends a property, under a new group name if it has a group, with the group's labels the first time.
    fn append(&mut self, property: &Property<'_>, theirs: &Card<'_>, editor: &mut Editor<'_, '_>) {
        let Some(old) = property.group().map(str::to_ascii_lowercase) else {
            copy(property, None, editor);
            return;
        };
        if let Some(new) = self.renamed.get(&old) {
            copy(property, Some(new), editor);
            return;
        }
        let new = loop {
            let name = format!("item{}", self.next);
            self.next += 1;
            if !self.used.contains(&name) {
                break name;
            }
        };
        copy(property, Some(&new), editor);
        // A label on its own is the property itself.
        if !Canon::is_label(property) {
            for &at in self.labels.get(&old).into_iter().flatten() {
                copy(&theirs.properties()[at], Some(&new), editor);
            }
        }
        self.renamed.insert(old, new);
    }
}

/// Copies a property of the editor's version: its bytes if they can stand anywhere, else spelt anew.
fn copy(property: &Property<'_>, group: Option<&str>, editor: &mut Editor<'_, '_>) {
    let raw = property.raw();
    // Indented or without a line break it would become part of its neighbours.
    let whole = raw.last() == editor.card().line_break().last() && !raw.starts_with(b" ") && !raw.starts_with(b"\t");
    let tail = match property.group() {
        None => Some(raw),
        Some(old) => raw.strip_prefix(old.as_bytes()).and_then(|rest| rest.strip_prefix(b".")),
    };
    match (tail, group) {
        (Some(tail), group) if whole && !property.is_open() => {
            if let Some(group) = group {
                editor.append_bytes(group.as_bytes());
                editor.append_bytes(b".");
            }
            editor.append_bytes(tail);
        }
        _ => {
            let mut owned = PropertyBuf::from(property);
            owned = owned.group(group.unwrap_or_default());
            editor.append(&owned);
        }
    }
}
