//! What a device can be said to know of a card after it told what it has.

use super::put::is_list;
use super::view::{Shown, Sight, group};
use super::{Lens, parts};
use crate::contact::card::{Card, Editor, Property, PropertyBuf, Value, canonical_name, is_single};
use crate::contact::identity::{Canon, is_rendering};
use crate::contact::merge::Groups;
use std::collections::{BTreeSet, HashMap, HashSet};
use unicode_normalization::UnicodeNormalization as _;

/// As many lines of one name are looked at for the one that a line is a cut of.
const MAX_ALIKE: usize = 64;

/// The card as the device knows it, if that is not all that it could see: without what it never had, and with what it has
/// in another form as it has it.
///
/// What it has all of although it could see only a cut now, it knows: the cut would cost it the rest.
pub(super) fn known(shown: &Card<'_>, then: &Lens, now: &Lens, whole: &[u8]) -> Option<Vec<u8>> {
    let card = Card::parse(whole).ok()?;
    let sight = Sight::of(now, &card);
    let (places, view) = (sight.places(), sight.write());
    let view = Card::parse(&view).ok().filter(|view| view.properties().len() == places.len())?;
    let (canon, said) = (Canon::of(&view), Canon::of(shown));
    let whole = Canon::of(&card);
    let mut visible: HashSet<&[u8]> = canon.lines().map(|(_, _, full)| full).collect();
    let mut shows: HashSet<&[u8]> = said.lines().map(|(_, _, full)| full).collect();
    let altered = |at: usize| matches!(sight.shown[places[at]], Shown::Altered(_));
    let cuts: Vec<Cut<'_>> = (canon.lines())
        .filter(|(at, _, full)| altered(*at) && !is_list(&view.properties()[*at]) && !shows.contains(full))
        .map(|(at, seen, full)| Cut { at: places[at], seen, full })
        .collect();
    let labels = then.holds_labels() && now.holds_labels();
    for (cut, more) in has_all(&cuts, &whole, &said, &visible, labels) {
        shows.insert(cut);
        visible.insert(more);
    }
    // What has lines, and none that the device shows; of lists, which items stay.
    let mut stays: HashMap<usize, bool> = HashMap::new();
    for (at, _, full) in canon.lines() {
        *stays.entry(places[at]).or_default() |= shows.contains(full);
    }
    let items: HashSet<&[u8]> =
        canon.lines().filter(|(.., full)| !shows.contains(full)).map(|(_, identity, _)| identity).collect();
    let drops = |at: usize| stays.get(&at) == Some(&false);
    // N and FN may say each other's, and then have no lines.
    let is_name = |at: usize| matches!(canonical_name(card.properties()[at].name()), "N" | "FN");
    let renamed = (0..card.properties().len()).any(|at| is_name(at) && drops(at));
    let silent = |at: usize| {
        let name = canonical_name(card.properties()[at].name());
        let open = is_name(at) && sight.is_shown(at) && stays.get(&at) != Some(&true);
        open && (has_other_name(&card, &view, shown, name) || renamed && !parts::has(shown, name))
    };
    let mut left = left_over(&sight, &whole, &said, &visible, labels);
    left.extend(left_names(&sight, shown));
    let any = (0..card.properties().len()).any(|at| drops(at) || silent(at)) || !items.is_empty() || !left.is_empty();
    if !any {
        return None;
    }
    let mut editor = Editor::new(&card);
    // Where an item of a list is not known, others that had no room are neither.
    let mut lines: HashMap<usize, Vec<bool>> = HashMap::new();
    let said_items: HashSet<&[u8]> = said.lines().map(|(_, identity, _)| identity).collect();
    let name = |at: usize| canonical_name(card.properties()[at].name());
    let unknown: HashSet<&str> =
        whole.lines().filter(|(_, identity, _)| items.contains(identity)).map(|(at, ..)| name(at)).collect();
    for (at, identity, _) in whole.lines().filter(|(at, ..)| is_list(&card.properties()[*at])) {
        let (behind, hidden) = (sight.shown[at] == Shown::Behind, sight.shown[at] == Shown::Hidden);
        let knows = hidden || !unknown.contains(name(at)) || said_items.contains(identity);
        lines.entry(at).or_default().push(!behind && knows);
    }
    lines.iter().for_each(|(at, keep)| keep_items(&mut editor, *at, keep));
    let gone = |at: usize| {
        let list = lines.get(&at).is_some_and(|keep| !keep.contains(&true));
        list || !lines.contains_key(&at) && (drops(at) || silent(at) || sight.shown[at] == Shown::Behind)
    };
    (0..card.properties().len()).filter(|at| gone(*at)).for_each(|at| editor.remove(at));
    let mut copies = Groups::of(&card, shown);
    let mut new: BTreeSet<usize> =
        said.lines().filter(|(.., full)| !visible.contains(full)).map(|(at, ..)| at).collect();
    for at in (0..card.properties().len()).filter(|at| is_name(*at) && gone(*at)) {
        let name = canonical_name(card.properties()[at].name());
        new.extend(shown.properties().iter().position(|it| canonical_name(it.name()) == name && !it.is_empty()));
    }
    // A card has it once: the cut stands for what it is a cut of. N and FN may say each other's, and then have no lines.
    let mut replaced = HashSet::new();
    for (at, from) in left {
        if is_single(name(at)) && (new.remove(&from) || is_name(at)) {
            editor.put(at, copies.copy(&shown.properties()[from], shown));
            replaced.insert(at);
        }
    }
    // A label goes with what it is the label of.
    let mut groups: HashMap<String, bool> = HashMap::new();
    for (at, property) in card.properties().iter().enumerate().filter(|(_, it)| !Canon::is_label(it)) {
        if let Some(group) = group(property) {
            *groups.entry(group).or_default() |= !gone(at) && !replaced.contains(&at);
        }
    }
    for (at, property) in card.properties().iter().enumerate().filter(|(_, it)| Canon::is_label(it)) {
        if group(property).is_some_and(|group| groups.get(&group) == Some(&false)) {
            editor.remove(at);
        }
    }
    for at in new {
        editor.append_bytes(&copies.copy(&shown.properties()[at], shown));
    }
    Some(editor.finish())
}

/// Does the device have another N, or FN, than a view shows? An N that lacks nothing of it is none, wherever its words stand,
/// nor is an FN that only says the device's N, nor all of it where the view is cut.
fn has_other_name(whole: &Card<'_>, view: &Card<'_>, shown: &Card<'_>, name: &str) -> bool {
    let find = |card: &Card<'_>, name: &str| {
        let property = card.all(name).find(|it| !it.is_empty())?;
        Some(if name == "FN" { vec![property.text().into_owned()] } else { property.components() })
    };
    let (Some(seen), Some(has)) = (find(view, name), find(shown, name)) else { return false };
    let words = |parts: &[String]| -> Vec<String> {
        parts.iter().flat_map(|part| part.split_whitespace()).map(|word| word.nfc().collect()).collect()
    };
    let (words_seen, words_had) = (words(&seen), words(&has));
    if find(whole, name).is_some_and(|whole| words(&whole) == words_had) {
        return false;
    }
    if name == "FN" {
        let own = find(shown, "N").is_some_and(|own| is_rendering(&has.concat(), &own));
        return !own && words_seen != words_had;
    }
    let lacks = |word: &String| !words_had.iter().any(|had| begins(had.as_bytes(), word.as_bytes()));
    words_seen.iter().any(lacks)
}

/// A line of a view that the device does not show, and the property of the whole that it comes from.
struct Cut<'c> {
    at: usize,
    /// Name, label and value.
    seen: &'c [u8],
    full: &'c [u8],
}

/// A line without parameters, and with them.
type Said<'c> = (&'c [u8], &'c [u8]);

/// The cuts of which the device has all, each with the line that it has. Where it has a longer cut only, that is told, or what
/// it does not have would be taken for removed when it shows that again.
fn has_all<'c>(
    cuts: &[Cut<'c>],
    whole: &Canon,
    said: &'c Canon,
    visible: &HashSet<&[u8]>,
    labels: bool,
) -> Vec<Said<'c>> {
    if cuts.is_empty() {
        return Vec::new();
    }
    let whole: HashMap<usize, &[u8]> = whole.lines().map(|(at, identity, _)| (at, identity)).collect();
    let mut free: HashMap<&[u8], Vec<Said<'c>>> = HashMap::new();
    for (_, identity, full) in said.lines().filter(|(.., full)| !visible.contains(full)) {
        free.entry(Canon::name(identity)).or_default().push((identity, full));
    }
    let mut found = Vec::new();
    for cut in cuts {
        let (Some(whole), Some(free)) = (whole.get(&cut.at), free.get_mut(Canon::name(cut.seen))) else { continue };
        let is_it = |(said, _): &Said<'_>| is_cut(said, cut.seen, labels) && says_same(whole, said, labels);
        if let Some(place) = free.iter().take(MAX_ALIKE).position(is_it) {
            found.push((cut.full, free.remove(place).1));
        }
    }
    found
}

/// What the device has a cut of that it was sent once, and that it could not be sent at all now: the property, and the one of
/// the device. Unless that is told, the cut would be news when it is shown again.
fn left_over(
    sight: &Sight<'_, '_>,
    whole: &Canon,
    said: &Canon,
    visible: &HashSet<&[u8]>,
    labels: bool,
) -> Vec<(usize, usize)> {
    let hidden = |at: usize| sight.shown[at] == Shown::Hidden && !is_list(&sight.card.properties()[at]);
    let there: HashSet<&[u8]> = whole.lines().map(|(.., full)| full).collect();
    let mut free: HashMap<&[u8], Vec<(usize, &[u8])>> = HashMap::new();
    for (at, identity, _) in said.lines().filter(|(.., full)| !visible.contains(full) && !there.contains(full)) {
        free.entry(Canon::name(identity)).or_default().push((at, identity));
    }
    let mut found = Vec::new();
    for (at, identity, _) in whole.lines().filter(|(at, ..)| hidden(*at)) {
        let Some(free) = free.get_mut(Canon::name(identity)) else { continue };
        if let Some(place) = free.iter().take(MAX_ALIKE).position(|(_, said)| is_cut(identity, said, labels)) {
            found.push((at, free.remove(place).0));
        }
    }
    found
}

/// The names that the device could not be sent now, and has otherwise: whole and its own.
fn left_names(sight: &Sight<'_, '_>, shown: &Card<'_>) -> Vec<(usize, usize)> {
    let find = |card: &Card<'_>, name: &str| {
        card.properties().iter().position(|it| canonical_name(it.name()) == name && !it.is_empty())
    };
    let same = |one: &Property<'_>, other: &Property<'_>| {
        let text = |it: &Property<'_>| it.text().trim_end_matches(';').trim().nfc().collect::<String>();
        text(one) == text(other)
    };
    let hidden = |(at, from): &(usize, usize)| {
        sight.shown[*at] == Shown::Hidden && !same(&sight.card.properties()[*at], &shown.properties()[*from])
    };
    ["N", "FN"].iter().filter_map(|name| find(sight.card, name).zip(find(shown, name))).filter(hidden).collect()
}

/// Has one line the value of the other, cut? Both without parameters; labels count if both sides have any.
pub(super) fn is_cut(whole: &[u8], part: &[u8], labels: bool) -> bool {
    let mut more = Canon::components(whole);
    let is_part = Canon::components(part).all(|less| begins(more.next().unwrap_or_default(), less));
    is_part && is_of(whole, part, labels) && !Canon::components(whole).eq(Canon::components(part))
}

/// Have two lines the same value? As in [`is_cut`].
pub(super) fn says_same(one: &[u8], other: &[u8], labels: bool) -> bool {
    is_of(one, other, labels) && Canon::components(one).eq(Canon::components(other))
}

fn is_of(one: &[u8], other: &[u8], labels: bool) -> bool {
    Canon::name(one) == Canon::name(other) && (!labels || Canon::label(one) == Canon::label(other))
}

/// Whether a text begins with another one: byte for byte, or where a cut parted a letter from its accent.
fn begins(text: &[u8], with: &[u8]) -> bool {
    let apart = |text: &[u8]| String::from_utf8_lossy(text).nfd().collect::<String>();
    text.starts_with(with) || !text.is_ascii() && apart(text).starts_with(&apart(with))
}

/// Keeps these lines of a property only: items of a list, or the whole of another one.
fn keep_items(editor: &mut Editor<'_, '_>, at: usize, keep: &[bool]) {
    let property = &editor.card().properties()[at];
    if !keep.contains(&true) {
        editor.remove(at);
    } else if is_list(property) && keep.contains(&false) {
        let text = property.text();
        let items = Canon::items(&text).zip(keep).filter(|(_, keep)| **keep).map(|(item, _)| item.to_owned());
        let mut owned = PropertyBuf::from(property);
        owned.set_value(Value::List(items.collect()));
        editor.replace(at, &owned);
    }
}
