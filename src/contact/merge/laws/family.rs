//! Made-up families of cards: one that both sides agreed on, and what each made of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::contact::card::{PropertyBuf, Value, Version, render_name};
use crate::contact::testing::{Soup, build, properties, property, soup, text, version};

/// A card and two descendants.
#[derive(Clone)]
pub(super) struct Family {
    pub(super) base: Vec<u8>,
    pub(super) current: Vec<u8>,
    pub(super) incoming: Vec<u8>,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, card) in [("base", &self.base), ("current", &self.current), ("incoming", &self.incoming)] {
            writeln!(f, "{name:9} b\"{}\"", card.escape_ascii())?;
        }
        Ok(())
    }
}

/// Edits of one card on two sides, and three cards that share what chance gave them.
pub(super) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![3 => edited(), 1 => picked()]
}

/// Bytes that look like cards, or are cards of which pieces are missing.
pub(super) fn soups() -> impl Strategy<Value = Family> {
    (soup(), soup(), soup()).prop_map(|(Soup(base), Soup(current), Soup(incoming))| Family { base, current, incoming })
}

/// A card of any kind: with and without names, labelled, with lists, pictures and what nobody knows.
pub(super) fn whole() -> impl Strategy<Value = Vec<PropertyBuf>> {
    let group = (vec(any::<Index>(), 1..3), select(&["X-ABLabel", "X-ABADR"][..]), option::of(text()));
    (name(), vec(anything(), 0..9), vec(group, 0..3)).prop_map(|(name, mut rest, groups)| {
        for (number, (members, label, text)) in groups.into_iter().enumerate() {
            if rest.is_empty() {
                break;
            }
            let group = format!("item{}", number + 1);
            for at in members {
                let at = at.index(rest.len());
                rest[at] = rest[at].clone().group(&group);
            }
            if let Some(text) = text {
                rest.push(PropertyBuf::text(label, text).group(&group));
            }
        }
        [name, rest].concat()
    })
}

/// A name in each of the ways in which programs write one, or none at all.
fn name() -> impl Strategy<Value = Vec<PropertyBuf>> {
    let n = |parts: &[&str]| PropertyBuf::components("N", parts.iter().copied());
    let full = |text: &str| PropertyBuf::text("FN", text);
    (0..9u8, text(), text(), text()).prop_map(move |(way, one, two, three)| match way {
        0 | 1 => vec![n(&[&one, &two, "", "", ""]), full(&format!("{} {}", two.trim(), one.trim()))],
        2 => vec![n(&[&one, &two, &three, "", ""])],
        3 => vec![full(&one)],
        4 => vec![n(&[&one, &two]), full(&three)],
        5 => vec![n(&[&one])],
        6 => vec![n(&["", &one, "", "Dr", "jun"]), full(&two)],
        7 => vec![n(&["", "", "", "", ""]), full(&one)],
        _ => Vec::new(),
    })
}

/// Any property: what an editor writes, and what only programs do.
fn anything() -> impl Strategy<Value = PropertyBuf> {
    let list = (select(&["CATEGORIES", "NICKNAME"][..]), vec(text(), 1..4));
    let bytes = (select(&["PHOTO", "LOGO", "SOUND", "KEY"][..]), vec(any::<u8>(), 1..60));
    let address = (text(), text(), text(), select(&["HOME", "WORK", "x-lodge"][..]));
    let own = (select(&["X-SPOUSE", "X-FOO", "x-skype-username", "X-LIST"][..]), text(), text());
    prop_oneof![
        6 => property(),
        2 => list.prop_map(|(name, items)| PropertyBuf::new(name, Value::List(items))),
        1 => bytes.prop_map(|(name, bytes)| PropertyBuf::binary(name, Some("image/png"), &bytes)),
        1 => "http://[a-z]{1,6}\\.example/[a-z]{0,4}"
            .prop_map(|uri| PropertyBuf::text("PHOTO", uri).param("VALUE", "uri")),
        1 => address.prop_map(|(street, town, code, kind)| {
            PropertyBuf::components("ADR", ["", "", &*street, &*town, "", &*code]).param("TYPE", kind)
        }),
        1 => own.prop_map(|(name, value, param)| PropertyBuf::text(name, value).param("X-OWN", param)),
        1 => (select(&["UID", "REV", "PRODID"][..]), "[a-z0-9]{1,6}")
            .prop_map(|(name, value)| PropertyBuf::text(name, value)),
        1 => select(&["1.5;2", "37.386013;-122.082932"][..]).prop_map(|point| PropertyBuf::text("GEO", point)),
        1 => select(&["TITLE", "TEL", "NOTE", "X-FOO"][..]).prop_map(|name| PropertyBuf::text(name, "")),
    ]
}

/// What somebody does to a card.
#[derive(Clone, Debug)]
enum Edit {
    Remove(Index),
    Clear(Index),
    Say(Index, usize, String),
    Retype(Index, Option<&'static str>),
    Label(Index, String),
    Name(usize, String, bool),
    Full(String),
    Add(PropertyBuf),
    Swap(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let kind = option::of(select(&["HOME", "WORK", "CELL", "FAX", "x-lodge"][..]));
    prop_oneof![
        3 => any::<Index>().prop_map(Edit::Remove),
        1 => any::<Index>().prop_map(Edit::Clear),
        3 => (any::<Index>(), 0..7usize, text()).prop_map(|(at, part, text)| Edit::Say(at, part, text)),
        2 => (any::<Index>(), kind).prop_map(|(at, kind)| Edit::Retype(at, kind)),
        1 => (any::<Index>(), text()).prop_map(|(at, text)| Edit::Label(at, text)),
        2 => (0..5usize, prop_oneof![3 => text(), 1 => Just(String::new())], any::<bool>())
            .prop_map(|(part, text, follows)| Edit::Name(part, text, follows)),
        1 => text().prop_map(Edit::Full),
        3 => anything().prop_map(Edit::Add),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

/// A card, and edits by one side, by the other, or the same ones by both. Each writes its own version.
fn edited() -> impl Strategy<Value = Family> {
    (whole(), [version(), version(), version()], any::<bool>(), vec((edit(), 1..4u8), 0..8)).prop_map(
        |(whole, versions, alike, edits)| {
            let side = |bit: u8, version: Version| {
                let mut all = whole.clone();
                edits.iter().filter(|(_, sides)| sides & bit != 0).for_each(|(edit, _)| apply(edit, &mut all));
                build(if alike { versions[0] } else { version }, &all)
            };
            Family { base: side(0, versions[0]), current: side(1, versions[1]), incoming: side(2, versions[2]) }
        },
    )
}

fn apply(edit: &Edit, all: &mut Vec<PropertyBuf>) {
    let place = |at: &Index, all: &[PropertyBuf]| (!all.is_empty()).then(|| at.index(all.len()));
    match edit {
        Edit::Remove(at) => drop(place(at, all).map(|at| all.remove(at))),
        Edit::Clear(at) => {
            if let Some(at) = place(at, all) {
                all[at].set_value(Value::Text(String::new()));
            }
        }
        Edit::Say(at, part, said) => {
            if let Some(at) = place(at, all) {
                let value = match all[at].value() {
                    Value::Structured(parts) => {
                        let mut parts = parts.clone();
                        parts.resize(parts.len().max(part + 1), Vec::new());
                        parts[*part] = vec![said.clone()];
                        Value::Structured(parts)
                    }
                    Value::List(items) => {
                        let mut items = items.clone();
                        let at = part % (items.len() + 1);
                        items.splice(at..(at + part % 2).min(items.len()), [said.clone()]);
                        Value::List(items)
                    }
                    _ => Value::Text(said.clone()),
                };
                all[at].set_value(value);
            }
        }
        Edit::Retype(at, kind) => {
            if let Some(at) = place(at, all) {
                all[at].retain_params(|name, _| name != "TYPE");
                if let Some(kind) = kind {
                    all[at] = all[at].clone().param("TYPE", *kind);
                }
            }
        }
        Edit::Label(at, said) => {
            if let Some(at) = place(at, all) {
                let group = format!("own{}", all.len());
                all[at] = all[at].clone().group(&group);
                all.push(PropertyBuf::text("X-ABLabel", said).group(&group));
            }
        }
        Edit::Name(part, said, follows) => {
            let Some(n) = all.iter_mut().find(|it| it.name() == "N") else { return };
            let Value::Structured(parts) = n.value() else { return };
            let mut parts = parts.clone();
            parts.resize(parts.len().max(part + 1), Vec::new());
            parts[*part] = vec![said.clone()];
            let full: Vec<String> = parts.iter().map(|part| part.join(",")).collect();
            n.set_value(Value::Structured(parts));
            if let Some(it) = all.iter_mut().find(|it| *follows && it.name() == "FN") {
                it.set_value(Value::Text(render_name(&full)));
            }
        }
        Edit::Full(said) => match all.iter_mut().find(|it| it.name() == "FN") {
            Some(full) => full.set_value(Value::Text(said.clone())),
            None => all.push(PropertyBuf::text("FN", said)),
        },
        Edit::Add(property) => all.push(property.clone()),
        Edit::Swap(one, other) => {
            if let (Some(one), Some(other)) = (place(one, all), place(other, all)) {
                all.swap(one, other);
            }
        }
    }
}

/// Three cards with some of the same properties, two of them in one version. Some have several FN, as 4.0 may; none several N.
fn picked() -> impl Strategy<Value = Family> {
    let picks = vec(any::<(u8, u8, u8)>(), 24);
    (properties(), whole(), picks, version(), version()).prop_map(|(one, two, picks, from, to)| {
        let pool: Vec<_> = one[2..].iter().chain(&two).collect();
        let chosen = |bit: fn(&(u8, u8, u8)) -> u8| -> Vec<_> {
            let wanted = |at: usize| picks.get(at).is_none_or(|pick| bit(pick) < 160);
            let name = if wanted(23) { &one[..2] } else { &[] };
            let rest = pool.iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, it)| *it);
            let rest = rest.filter(|it| name.is_empty() || it.name() != "N");
            name.iter().chain(rest).cloned().collect()
        };
        Family {
            base: build(from, &chosen(|it| it.0)),
            current: build(from, &chosen(|it| it.1)),
            incoming: build(to, &chosen(|it| it.2)),
        }
    })
}
