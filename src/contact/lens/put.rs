//! What a device's card means for the whole one.
//!
//! The device's card is first put back into the terms of the base: what it shows just as it was sent, cut or without what
//! it cannot hold, becomes what it was made of. What it could not hold is left out of the base. Then both are merged
//! ([`merge3`]), so that every rule about properties stands in one place.

use super::Lens;
use super::known::{is_cut, known, says_same};
use super::picture::is_reencoded;
use super::view::{Shown, Sight, group};
use crate::contact::card::{
    Card, Editor, Property, PropertyBuf, Shape, Value, canonical_name, decode_document, is_single, render_name, shape,
};
use crate::contact::identity::{Canon, is_rendering};
use crate::contact::merge::{Groups, Prefer, merge_seen, merge3, numbered};
use std::collections::{HashMap, HashSet};
use unicode_normalization::UnicodeNormalization as _;

/// What a device's card means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// The whole card.
    pub whole: Vec<u8>,
    /// Where the device does not have all that it could hold of that: the card without the rest, which is what the device
    /// can be said to know. The rest is to be sent.
    pub told: Option<Vec<u8>>,
}

/// The whole card after a device that was sent [`view`](super::view)`(base, then)`, and now holds what `now` shows, has
/// `shown`: what it was not sent or cannot hold any more stays. A card that comes back as it was sent changes nothing, byte
/// for byte; what comes beyond the lens is kept. `None` if one is no card.
///
/// Where `shown` says something of a property that a card has once and that was hidden, it lands, and the hidden one is
/// left to the history.
pub fn put(base: &[u8], shown: &[u8], then: &Lens, now: &Lens) -> Option<Put> {
    let (base, shown) = (decode_document(base), decode_document(shown));
    let base = Card::parse(&base).ok()?;
    let shown = Card::parse(&shown).ok()?;
    let sights =
        if then == now { vec![Sight::of(then, &base)] } else { vec![Sight::of(then, &base), Sight::of(now, &base)] };
    let views: Vec<Vec<u8>> = sights.iter().map(Sight::write).collect();
    let views = views.iter().map(|view| Card::parse(view)).collect::<Result<Vec<_>, _>>().ok()?;
    let canons: Vec<Canon> = views.iter().map(Canon::of).collect();
    let whole = Canon::of(&base);
    // What it was sent, as it can hold that now.
    let kept = (then != now).then(|| Sight::of(now, &views[0]));
    let kept_bytes = kept.as_ref().map(Sight::write);
    let kept_card = kept_bytes.as_deref().map(Card::parse).transpose().ok()?;
    let mut said: Vec<&Canon> = canons.iter().collect();
    let kept_canon = kept_card.as_ref().map(Canon::of);
    said.extend(&kept_canon);
    let mut hidden = Unseen::of(&base, &whole, &sights, &said);
    if let Some(kept) = &kept {
        let places = sights[0].places();
        let lost = places.iter().enumerate().filter(|(at, _)| at < &kept.shown.len() && !kept.is_shown(*at));
        lost.for_each(|(_, place)| hidden.hide(*place));
    }
    let mut maps: Vec<Seen<'_>> = (sights.iter().zip(views.iter().zip(&canons)))
        .filter_map(|(sight, (card, canon))| Seen::of(sight, card, canon))
        .collect();
    if maps.len() < sights.len() {
        // A base of broken lines reads otherwise in part: then the view, as it reads, is what the device had.
        let view = super::view(views.first()?.as_bytes(), now)?;
        let whole = merge3(&view, base.as_bytes(), shown.as_bytes(), Prefer::Incoming)?.content;
        return Some(Put { whole, told: None });
    }
    if let (Some(kept), Some(canon)) = (&kept, &kept_canon) {
        // And without the labels that it cannot hold now.
        let sent = sights[0].places();
        let places = kept.places().into_iter().map(|at| sent.get(at).copied()).collect::<Option<Vec<_>>>();
        let same = |places: &Vec<usize>| kept_card.as_ref().is_some_and(|it| it.properties().len() == places.len());
        maps.extend(places.filter(same).map(|places| Seen { places, canon }));
    }
    let restored = restore((&base, &whole), &sights, &maps, &shown, (then, now));
    let labels = then.holds_labels() && now.holds_labels();
    let merged = merge_seen(&base, &whole, &|at, line| hidden.has(at, line), labels, &restored)?;
    let merged = behind((&base, &whole), &sights, &hidden, merged);
    let all = hidden.is_empty() && sights.iter().all(|sight| sight.shown.iter().all(|shown| *shown == Shown::Whole));
    let told = if all { None } else { known(&shown, then, now, &merged) };
    Some(Put { whole: merged, told })
}

/// What of a base one of the lenses hides: what silence says nothing about (law L4). By property, its lines.
struct Unseen(Vec<Vec<bool>>);

impl Unseen {
    fn of(base: &Card<'_>, whole: &Canon, sights: &[Sight<'_, '_>], canons: &[&Canon]) -> Self {
        let said: Vec<HashSet<&[u8]>> =
            canons.iter().map(|canon| canon.lines().map(|(_, identity, _)| identity).collect()).collect();
        let mut lines: Vec<Vec<bool>> = vec![Vec::new(); base.properties().len()];
        for (at, identity, _) in whole.lines() {
            // Of lists, the items that are seen.
            let item = is_list(&base.properties()[at]) && !said.iter().all(|said| said.contains(identity));
            lines[at].push(item || !sights.iter().all(|sight| sight.is_shown(at)));
        }
        for (at, lines) in lines.iter_mut().enumerate().filter(|(_, lines)| lines.is_empty()) {
            // What has no line of its own, such as UID.
            lines.push(!sights.iter().all(|sight| sight.is_shown(at)));
        }
        Self(lines)
    }

    fn hide(&mut self, at: usize) {
        self.0[at].iter_mut().for_each(|line| *line = true);
    }

    fn has(&self, at: usize, line: usize) -> bool {
        self.0.get(at).and_then(|lines| lines.get(line)).copied().unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        !self.0.iter().flatten().any(|hidden| *hidden)
    }
}

pub(super) fn is_list(property: &Property<'_>) -> bool {
    shape(canonical_name(property.name())) == Shape::List
}

/// A view with what its properties come from.
struct Seen<'s> {
    places: Vec<usize>,
    canon: &'s Canon,
}

impl<'s> Seen<'s> {
    /// `None` if a property reads otherwise than in the base.
    fn of(sight: &Sight<'_, '_>, view: &Card<'_>, canon: &'s Canon) -> Option<Self> {
        let (places, base) = (sight.places(), sight.card.properties());
        let faithful = |(at, property): (&usize, &Property<'_>)| {
            sight.shown[*at] != Shown::Whole || property.raw() == base[*at].raw()
        };
        // Without VERSION the version is guessed from the spelling.
        let same = view.version() == sight.card.version();
        let same =
            same && places.len() == view.properties().len() && places.iter().zip(view.properties()).all(faithful);
        same.then_some(Self { places, canon })
    }
}

/// The device's card in the terms of the base.
fn restore(
    (base, whole): (&Card<'_>, &Canon),
    sights: &[Sight<'_, '_>],
    seen: &[Seen<'_>],
    shown: &Card<'_>,
    (then, now): (&Lens, &Lens),
) -> Vec<u8> {
    let altered = |at: usize| {
        !is_list(&base.properties()[at]) && sights.iter().any(|sight| matches!(sight.shown[at], Shown::Altered(_)))
    };
    let held = |at: usize| sights.iter().all(|sight| sight.is_shown(at));
    let composed = |at: &usize| composed(base, shown, &shown.properties()[*at], now);
    let derived: HashSet<usize> = (0..shown.properties().len()).filter(composed).collect();
    let pictures = pictures(base, shown, &held);
    if derived.is_empty() && pictures.is_empty() && !(0..base.properties().len()).any(altered) {
        return shown.as_bytes().to_vec();
    }
    let mut editor = Editor::new(shown);
    let mut groups = Groups::of(shown, base);
    let mut open: Vec<usize> = (0..base.properties().len()).filter(|at| altered(*at) && held(*at)).collect();
    let mut left: HashSet<usize> = (0..shown.properties().len()).collect();
    let mut silent: HashSet<usize> = HashSet::new();
    let canon = Canon::of(shown);
    for (at, exact, from) in matches(base, seen, shown, &canon, &held) {
        let stays = !from.iter().any(|from| held(*from));
        if stays && !exact {
            continue;
        }
        left.remove(&at);
        open.retain(|it| !from.contains(it));
        if stays {
            // It has still what it was sent of something that it could not be sent now.
            silent.insert(at);
            continue;
        }
        if !from.iter().any(|from| altered(*from)) {
            continue;
        }
        let property = &shown.properties()[at];
        let mut bytes = Vec::new();
        for from in from.into_iter().filter(|from| held(*from)) {
            let source = &base.properties()[from];
            let instead = match exact {
                true => PropertyBuf::from(source),
                false => retyped(property, source, sights, from),
            };
            bytes.extend(back(&mut groups, property, source, base, instead));
        }
        editor.put(at, bytes);
    }
    // It may have all of what it can be sent a cut of now: that it was sent under another lens, or with other types.
    let labels = then.holds_labels() && now.holds_labels();
    let identities = |canon: &Canon| canon.lines().map(|(at, is, _)| (at, is.to_vec())).collect::<HashMap<_, _>>();
    let (whole, said) = (identities(whole), identities(&canon));
    let cut: HashMap<usize, &[u8]> = seen
        .get(sights.len() - 1)
        .into_iter()
        .flat_map(|now| now.canon.lines().map(|(at, is, _)| (now.places[at], is)))
        .collect();
    let is_longer = |at: usize, source: usize| {
        let (Some(whole), Some(said), Some(cut)) = (whole.get(&source), said.get(&at), cut.get(&source)) else {
            return false;
        };
        let fits = || now.holds(&base.properties()[source], PropertyBuf::from(&shown.properties()[at]).value());
        is_cut(said, cut, labels) && says_same(whole, said, labels) && !fits()
    };
    for (at, property) in shown.properties().iter().enumerate().filter(|(at, it)| left.contains(at) && !it.is_empty()) {
        let name = canonical_name(property.name());
        if derived.contains(&at) {
            silent.insert(at);
            continue;
        }
        if let Some(source) = pictures.get(&at).map(|source| &base.properties()[*source]) {
            editor.put(at, back(&mut groups, property, source, base, PropertyBuf::from(source)));
            continue;
        }
        if let Some(source) = open.iter().copied().find(|source| is_longer(at, *source)) {
            open.retain(|it| *it != source);
            let source_property = &base.properties()[source];
            let owned = match property.types().next() {
                // Without types it says nothing of them either.
                None => PropertyBuf::from(source_property),
                Some(_) => retyped(property, source_property, sights, source),
            };
            editor.put(at, back(&mut groups, property, source_property, base, owned));
            continue;
        }
        let likeness = |source: usize| likeness(&base.properties()[source], sights, source, property);
        let source = (open.iter().copied())
            .filter(|source| canonical_name(base.properties()[*source].name()) == name)
            .filter(|source| is_single(name) || likeness(*source) > 0)
            .max_by_key(|source| likeness(*source));
        if let Some(source) = source {
            open.retain(|it| *it != source);
            let source_property = &base.properties()[source];
            let owned = refilled(property, source_property, sights, source);
            editor.put(at, back(&mut groups, property, source_property, base, owned));
        }
    }
    silent.iter().for_each(|at| editor.remove(*at));
    labels_of(shown, &silent).into_iter().for_each(|at| editor.remove(at));
    editor.finish()
}

/// The labels of what is left out, where they label nothing else: on their own they would be properties.
fn labels_of(shown: &Card<'_>, silent: &HashSet<usize>) -> Vec<usize> {
    let properties = shown.properties();
    let groups = |silenced: bool| -> HashSet<String> {
        let members = properties
            .iter()
            .enumerate()
            .filter(|(at, it)| silent.contains(at) == silenced && !Canon::is_label(it) && Canon::says_something(it));
        members.filter_map(|(_, it)| group(it)).collect()
    };
    if silent.is_empty() {
        return Vec::new();
    }
    let (lost, stay) = (groups(true), groups(false));
    let goes = |it: &Property<'_>| group(it).is_some_and(|group| lost.contains(&group) && !stay.contains(&group));
    (0..properties.len()).filter(|at| Canon::is_label(&properties[*at]) && goes(&properties[*at])).collect()
}

/// Might a card have a picture? A quick look at its bytes.
pub fn has_picture(card: &[u8]) -> bool {
    let is = |name: &[u8]| card.windows(name.len()).any(|bytes| bytes.eq_ignore_ascii_case(name));
    card.len() > 256 && (is(b"PHOTO") || is(b"LOGO"))
}

/// Has the device's card a picture of the base written anew (field note 28)?
pub fn repeats_picture(base: &[u8], shown: &[u8]) -> bool {
    let (base, shown) = (decode_document(base), decode_document(shown));
    match (Card::parse(&base), Card::parse(&shown)) {
        (Ok(base), Ok(shown)) => !pictures(&base, &shown, &|_| true).is_empty(),
        _ => false,
    }
}

/// The pictures that a device wrote anew, and what each was.
fn pictures(base: &Card<'_>, shown: &Card<'_>, held: &impl Fn(usize) -> bool) -> HashMap<usize, usize> {
    let mut found = HashMap::new();
    let is_picture = |it: &Property<'_>| matches!(canonical_name(it.name()), "PHOTO" | "LOGO") && it.is_binary();
    let mut free: Vec<usize> =
        (0..base.properties().len()).filter(|at| held(*at) && is_picture(&base.properties()[*at])).collect();
    for (at, property) in shown.properties().iter().enumerate().filter(|(_, it)| is_picture(it)) {
        let same = |source: &usize| {
            let source = &base.properties()[*source];
            canonical_name(source.name()) == canonical_name(property.name()) && is_reencoded(source, property)
        };
        if let Some(place) = free.iter().position(same) {
            found.insert(at, free.remove(place));
        }
    }
    found
}

/// Which properties of the base each property of the device's card was made of, and whether it is just as it was sent.
/// Lists, of which each item is one, are not looked for.
fn matches(
    base: &Card<'_>,
    seen: &[Seen<'_>],
    shown: &Card<'_>,
    canon: &Canon,
    held: &impl Fn(usize) -> bool,
) -> Vec<(usize, bool, Vec<usize>)> {
    // By how it was spelt, and by what it is.
    let mut spelt: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let mut said: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for view in seen {
        for (at, identity, full) in view.canon.lines() {
            for (map, key) in [(&mut spelt, full), (&mut said, identity)] {
                let sources = map.entry(key).or_default();
                if !sources.contains(&view.places[at]) {
                    sources.push(view.places[at]);
                }
            }
        }
    }
    let name = |property: &Property<'_>| canonical_name(property.name()).to_ascii_uppercase();
    let mut free: HashSet<usize> = spelt.values().flatten().copied().collect();
    let mut found: Vec<(usize, bool, Vec<usize>)> = Vec::new();
    let mut done = HashSet::new();
    for exact in [true, false] {
        for (at, identity, full) in canon.lines() {
            let property = &shown.properties()[at];
            if done.contains(&at) || is_list(property) {
                continue;
            }
            let sources = if exact { spelt.get(full) } else { said.get(identity) };
            let fits = |source: &&usize| free.contains(source) && name(&base.properties()[**source]) == name(property);
            let mut sources = sources.into_iter().flatten().filter(fits).collect::<Vec<_>>();
            sources.sort_by_key(|source| !held(**source));
            if let Some(source) = sources.first().copied() {
                free.remove(source);
                done.insert(at);
                found.push((at, exact, vec![*source]));
            }
        }
        // What says the same a device may well say once.
        for (at, _, full) in canon.lines().filter(|_| exact) {
            let Some((.., from)) = found.iter_mut().find(|(known, ..)| *known == at) else { continue };
            let more = spelt.get(full).into_iter().flatten().filter(|source| free.remove(source));
            from.extend(more);
        }
    }
    found
}

/// A property that takes the place of another, in that one's group; if that has none, with the labels of its source.
fn back(
    groups: &mut Groups,
    property: &Property<'_>,
    source: &Property<'_>,
    base: &Card<'_>,
    instead: PropertyBuf,
) -> Vec<u8> {
    match property.group() {
        Some(group) => groups.write(&instead.group(group)),
        None => groups.copy_as(source, base, Some(&instead)),
    }
}

/// The source's value with the property's parameters, and the types that were hidden.
fn retyped(property: &Property<'_>, source: &Property<'_>, sights: &[Sight<'_, '_>], at: usize) -> PropertyBuf {
    let mut owned = PropertyBuf::from(property);
    let whole = PropertyBuf::from(source);
    owned.set_value(whole.value().clone());
    with_hidden_types(owned, &whole, sights, at)
}

fn with_hidden_types(owned: PropertyBuf, whole: &PropertyBuf, sights: &[Sight<'_, '_>], at: usize) -> PropertyBuf {
    let hidden = |name: &str, value: &str| {
        sights.iter().any(|sight| match &sight.shown[at] {
            Shown::Altered(seen) => !seen.params().any(|it| it == (name, value)),
            _ => false,
        })
    };
    whole
        .params()
        .filter(|(name, value)| hidden(name, value))
        .fold(owned, |owned, (name, value)| owned.param(name, value))
}

/// The property with what was cut off its components, where they came back as they were sent.
fn refilled(property: &Property<'_>, source: &Property<'_>, sights: &[Sight<'_, '_>], at: usize) -> PropertyBuf {
    let whole = PropertyBuf::from(source);
    let mut owned = PropertyBuf::from(property);
    let full = components(whole.value());
    let came = components(owned.value());
    let part = |list: &[String], at: usize| list.get(at).cloned().unwrap_or_default();
    let seen: Vec<Vec<String>> = sights.iter().map(|sight| seen(&whole, sight, at)).collect();
    let count = full.len().max(came.len());
    let filled: Vec<String> = (0..count)
        .map(|at| {
            let came = part(&came, at);
            let sent = seen.iter().any(|seen| same_text(&part(seen, at), &came));
            if sent { part(&full, at) } else { came }
        })
        .collect();
    owned.set_value(match owned.value() {
        Value::Structured(_) => match (filled == full, whole.value()) {
            (true, value) => value.clone(),
            (false, _) => Value::Structured(filled.into_iter().map(|part| vec![part]).collect()),
        },
        Value::Text(_) => Value::Text(filled.concat()),
        other => other.clone(),
    });
    with_hidden_types(owned, &whole, sights, at)
}

/// How many components came back as they were sent.
fn likeness(source: &Property<'_>, sights: &[Sight<'_, '_>], at: usize, property: &Property<'_>) -> usize {
    let whole = PropertyBuf::from(source);
    let came = components(PropertyBuf::from(property).value());
    let equal = |seen: Vec<String>| {
        seen.iter().zip(&came).filter(|(seen, came)| !came.trim().is_empty() && same_text(seen, came)).count()
    };
    sights.iter().map(|sight| equal(seen(&whole, sight, at))).max().unwrap_or_default()
}

fn seen(whole: &PropertyBuf, sight: &Sight<'_, '_>, at: usize) -> Vec<String> {
    match &sight.shown[at] {
        Shown::Altered(seen) => components(seen.value()),
        _ => components(whole.value()),
    }
}

fn components(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::Structured(parts) => parts.iter().map(|part| part.join(",")).collect(),
        _ => Vec::new(),
    }
}

fn same_text(one: &str, other: &str) -> bool {
    one.trim() == other.trim() || one.trim().nfc().eq(other.trim().nfc())
}

/// Is this an FN that the device composed from the N that it has, as the base did from its own? Then it says nothing.
fn composed(base: &Card<'_>, shown: &Card<'_>, full: &Property<'_>, now: &Lens) -> bool {
    if canonical_name(full.name()) != "FN" || full.is_empty() {
        return false;
    }
    // A second FN (RFC 6350 §6.2.1) was written by somebody, whatever the first one says.
    let only = |card: &Card<'_>| card.all("FN").filter(|full| !full.is_empty()).count() == 1;
    if !only(base) || !only(shown) {
        return false;
    }
    let name = |card: &Card<'_>| card.all("N").find(|n| !n.is_empty()).map(Property::components);
    let (Some(theirs), Some(ours)) = (name(shown), name(base)) else { return false };
    let text = full.text();
    let says =
        is_rendering(&text, &theirs) || now.cut("FN", &render_name(&theirs)).is_some_and(|cut| same_text(&cut, &text));
    says && base.text("FN").is_some_and(|full| is_rendering(&full, &ours))
}

/// Puts what others kept out of the view behind what came new, so that this is in the view (law L2).
fn behind((base, whole): (&Card<'_>, &Canon), sights: &[Sight<'_, '_>], hidden: &Unseen, merged: Vec<u8>) -> Vec<u8> {
    let has_room = |at: usize| sights.last().is_some_and(|now| now.shown[at] != Shown::Hidden);
    let unseen: HashSet<&[u8]> = (base.properties().iter().enumerate())
        .filter(|(at, _)| !sights.iter().all(|sight| sight.is_shown(*at)) && has_room(*at))
        .map(|(_, property)| property.raw())
        .collect();
    // Of a list that was seen in part, the other items.
    let items: HashSet<&[u8]> = numbered(whole)
        .filter(|(at, line, _)| is_list(&base.properties()[*at]) && hidden.has(*at, *line) && has_room(*at))
        .map(|(.., full)| full)
        .collect();
    if unseen.is_empty() && items.is_empty() {
        return merged;
    }
    let Ok(card) = Card::parse(&merged) else { return merged };
    let known: HashSet<&[u8]> = whole.lines().map(|(.., full)| full).collect();
    let canon = Canon::of(&card);
    let new: HashSet<&str> = (canon.lines().filter(|(.., full)| !known.contains(full)))
        .map(|(at, ..)| canonical_name(card.properties()[at].name()))
        .collect();
    let mut rest: HashMap<usize, bool> = HashMap::new();
    for (at, _, full) in canon.lines() {
        *rest.entry(at).or_insert(true) &= items.contains(full);
    }
    let mut editor = Editor::new(&card);
    for (at, property) in card.properties().iter().enumerate() {
        let raw = property.raw();
        let moves = unseen.contains(raw) || rest.get(&at) == Some(&true);
        if !moves || !new.contains(canonical_name(property.name())) {
            continue;
        }
        let plain = raw.last() == card.line_break().last() && !raw.starts_with(b" ") && !raw.starts_with(b"\t");
        editor.remove(at);
        match plain && !property.is_open() {
            true => editor.append_bytes(raw),
            false => editor.append(&PropertyBuf::from(property)),
        }
    }
    editor.finish()
}
