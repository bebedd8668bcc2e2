//! What a device sees of a card.

use super::Lens;
use super::room::Room;
use crate::contact::card::{Card, Editor, Property, PropertyBuf, Shape, Value, canonical_name, decode_document, shape};
use crate::contact::identity::Canon;
use std::collections::{HashMap, HashSet};

/// The card as a device can hold it; what is shown as it is stays byte for byte. `None` if it is no card.
///
/// Of properties that are held a limited number of times the first are shown, in the order of the card, so that what a
/// device once got keeps its place. Lists of one kind count once: their items are put together.
pub fn view(content: &[u8], lens: &Lens) -> Option<Vec<u8>> {
    let content = decode_document(content);
    let card = Card::parse(&content).ok()?;
    Some(Sight::of(lens, &card).write())
}

/// What becomes of a property in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// It cannot be held.
    Hidden,
    /// It could be held, but others come first.
    Behind,
    /// As it is.
    Whole,
    /// In part.
    Altered(PropertyBuf),
    /// Within another one, a list.
    Joined,
}

/// A card through a lens.
pub(super) struct Sight<'c, 'a> {
    pub(super) card: &'c Card<'a>,
    pub(super) shown: Vec<Shown>,
}

/// Lists that share one place.
struct List {
    items: Vec<String>,
    members: Vec<usize>,
}

impl<'c, 'a> Sight<'c, 'a> {
    pub(super) fn of(lens: &Lens, card: &'c Card<'a>) -> Self {
        let mut this = Self { card, shown: Vec::with_capacity(card.properties().len()) };
        let labelled: HashSet<String> =
            card.properties().iter().filter(|it| Canon::is_label(it)).filter_map(group).collect();
        let kinds = kinds_of_lists(lens, card);
        let mut counts = vec![0; lens.rooms.len()];
        let mut lists: HashMap<(usize, &[u8]), List> = HashMap::new();
        for (at, property) in card.properties().iter().enumerate() {
            let name = canonical_name(property.name()).to_ascii_uppercase();
            let Some(room) = lens.room(&name, property) else {
                this.shown.push(Shown::Hidden);
                continue;
            };
            let (place, room) = match room {
                Some(at) => (at, &lens.rooms[at]),
                None => (usize::MAX, &Room { name, ..Room::default() }),
            };
            let list = shape(&room.name) == Shape::List;
            if list && !lens.holds_labels() && group(property).is_some_and(|group| labelled.contains(&group)) {
                this.shown.push(Shown::Hidden);
                continue;
            }
            if let Some(first) = kinds.get(&at).and_then(|kind| lists.get_mut(&(place, &**kind))) {
                first.items.extend(items(property));
                first.members.push(at);
                this.shown.push(Shown::Joined);
                continue;
            }
            let shown = show(lens, room, property);
            let counted = shown != Shown::Hidden && !property.is_empty() && !Canon::is_label(property);
            if let Some(count) = counts.get_mut(place).filter(|_| counted) {
                if room.occur.is_some_and(|occur| *count >= occur) {
                    this.shown.push(Shown::Behind);
                    continue;
                }
                *count += 1;
                if let Some(kind) = kinds.get(&at) {
                    lists.insert((place, kind), List { items: items(property), members: vec![at] });
                }
            }
            this.shown.push(shown);
        }
        for ((place, _), list) in lists.into_iter().filter(|(_, list)| list.members.len() > 1) {
            this.join(&lens.rooms[place], &list);
        }
        this.labels(lens);
        this
    }

    /// Puts lists of one kind together.
    fn join(&mut self, room: &Room, list: &List) {
        let first = list.members[0];
        let mut owned = match &self.shown[first] {
            Shown::Altered(owned) => owned.clone(),
            _ => PropertyBuf::from(&self.card.properties()[first]),
        };
        owned.set_value(Value::List(list.items.clone()));
        if room.fit(&mut owned).is_some() {
            self.shown[first] = Shown::Altered(owned);
        }
    }

    /// A label goes with what it is the label of.
    fn labels(&mut self, lens: &Lens) {
        let properties = self.card.properties();
        let mut members: HashMap<String, bool> = HashMap::new();
        for (property, shown) in properties.iter().zip(&self.shown).filter(|(it, _)| !Canon::is_label(it)) {
            if let Some(group) = group(property) {
                *members.entry(group).or_default() |= matches!(shown, Shown::Whole | Shown::Altered(_));
            }
        }
        for (property, shown) in properties.iter().zip(&mut self.shown).filter(|(it, _)| Canon::is_label(it)) {
            if let Some(shows) = group(property).and_then(|group| members.get(&group).copied()) {
                *shown = if shows && lens.holds_labels() { Shown::Whole } else { Shown::Hidden };
            }
        }
    }

    pub(super) fn is_shown(&self, at: usize) -> bool {
        !matches!(self.shown[at], Shown::Hidden | Shown::Behind)
    }

    /// The properties of the card that stand in the view, in order.
    pub(super) fn places(&self) -> Vec<usize> {
        let stands = |at: &usize| matches!(self.shown[*at], Shown::Whole | Shown::Altered(_));
        (0..self.shown.len()).filter(stands).collect()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut editor = Editor::new(self.card);
        for (at, shown) in self.shown.iter().enumerate() {
            match shown {
                Shown::Whole => {}
                Shown::Altered(property) => editor.replace(at, property),
                Shown::Hidden | Shown::Behind | Shown::Joined => editor.remove(at),
            }
        }
        editor.finish()
    }
}

impl Lens {
    /// A text as it can be held, where that is less than all of it.
    pub(super) fn cut(&self, name: &str, text: &str) -> Option<String> {
        let room = self.rooms.iter().find(|room| room.name == name && room.kinds.is_empty())?;
        let mut property = PropertyBuf::text(name, text);
        match (room.fit(&mut property), property.value()) {
            (Some(true), Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Can all of this value be held in the place of a property's own?
    pub(super) fn holds(&self, property: &Property<'_>, value: &Value) -> bool {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        let mut owned = PropertyBuf::from(property);
        owned.set_value(value.clone());
        match self.room(&name, property) {
            Some(Some(at)) => self.rooms[at].fit(&mut owned) == Some(false),
            Some(None) => true,
            None => false,
        }
    }

    /// The room for a property, `Some(None)` if it needs none; `None` if the property cannot be held.
    fn room(&self, name: &str, property: &Property<'_>) -> Option<Option<usize>> {
        if name == "VERSION" {
            return Some(None);
        }
        if self.fields.is_some_and(|fields| !fields.shows(name)) {
            return None;
        }
        match self.rooms.iter().position(|room| room.takes(name, property)) {
            Some(at) => Some(Some(at)),
            None if !self.closed || matches!(name, "N" | "FN") && self.names_are_implied() => Some(None),
            None => None,
        }
    }
}

fn show(lens: &Lens, room: &Room, property: &Property<'_>) -> Shown {
    if property.is_empty() || Canon::is_label(property) {
        return Shown::Whole;
    }
    let mut owned = PropertyBuf::from(property);
    let Some(mut altered) = room.fit(&mut owned) else { return Shown::Hidden };
    let list = shape(&room.name) == Shape::List;
    if !list && !property.is_binary() && room.types.is_some() {
        let before = owned.params().count();
        owned.retain_params(|name, value| match name {
            _ if name.eq_ignore_ascii_case("TYPE") => room.knows(value),
            _ if name.eq_ignore_ascii_case("PREF") => room.knows("pref"),
            _ => true,
        });
        altered |= owned.params().count() < before;
    }
    if !list && !lens.holds_labels() && property.group().is_some() {
        owned = owned.group("");
        altered = true;
    }
    if lens.marks_emails && room.name == "EMAIL" && !property.has_type("INTERNET") {
        owned = owned.param("TYPE", "INTERNET");
        altered = true;
    }
    if altered { Shown::Altered(owned) } else { Shown::Whole }
}

/// Of each list that is held a limited number of times, its label and parameters as they are compared.
fn kinds_of_lists(lens: &Lens, card: &Card<'_>) -> HashMap<usize, Vec<u8>> {
    let limited = |name: &str| lens.rooms.iter().any(|room| room.name == name && room.occur.is_some());
    let is_list = |property: &Property<'_>| {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        shape(&name) == Shape::List && limited(&name)
    };
    if !card.properties().iter().any(is_list) {
        return HashMap::new();
    }
    let kind = |identity: &[u8], full: &[u8]| [Canon::label(identity), &full[identity.len()..]].concat();
    let canon = Canon::of(card);
    canon
        .lines()
        .filter(|(at, ..)| is_list(&card.properties()[*at]))
        .map(|(at, identity, full)| (at, kind(identity, full)))
        .collect()
}

fn items(property: &Property<'_>) -> Vec<String> {
    Canon::items(&property.text()).map(str::to_owned).collect()
}

pub(super) fn group(property: &Property<'_>) -> Option<String> {
    property.group().map(str::to_ascii_lowercase)
}
