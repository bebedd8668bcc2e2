//! Merging two descendants of one card.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::copy::Groups;
use super::{Conflict, Merged};
use crate::contact::card::{
    Card, Editor, Property, PropertyBuf, Shape, Value, canonical_name, decode_document, is_single, render_name, shape,
    stand_ins,
};
use crate::contact::identity::{Canon, is_rendering};

/// Who wins where both sides changed the same thing differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// What is stored now.
    Current,
    /// What comes in.
    Incoming,
}

/// What became of `base` on two ways, in one card (design law L7): the bytes of `current`, changed where `incoming` changed
/// `base`.
///
/// Properties that may repeat are sets: instances are the same if name, label and value are. What one side added is
/// added, what one side removed is removed, unless the other side changed it. Properties that a card has once are taken
/// from the side that changed them; if both did, differently, the loser becomes a [`Conflict`]. N merges by component,
/// and so does an ADR that both sides edited. Photos are atomic. FN follows N if it only repeated N (law L8).
///
/// `merge3(b, c, b)` is `c` byte for byte, `merge3(b, c, c)` is `c`, `merge3(b, b, i)` means what `i` means, merging the
/// same again changes nothing, and with the other preference the sides may be exchanged. `None` if one is no card.
pub fn merge3(base: &[u8], current: &[u8], incoming: &[u8], prefer: Prefer) -> Option<Merged> {
    let (base, current, incoming) = (decode_document(base), decode_document(current), decode_document(incoming));
    let (base, current) = (Card::parse(&base).ok()?, Card::parse(&current).ok()?);
    let incoming = Card::parse(&incoming).ok()?;
    let (base_canon, current_canon, incoming_canon) = (Canon::of(&base), Canon::of(&current), Canon::of(&incoming));
    let all = &|_: usize, _: usize| false;
    let base = Side::of(&base, &base_canon, all);
    let current = Side::of(&current, &current_canon, all);
    let incoming = Side::of(&incoming, &incoming_canon, all);
    let merge = |listed| Merge { listed, ..Merge::of(prefer, &base, &current, &incoming, all) }.run();
    let merged = merge(Vec::new());
    // An FN that says just what a nameless card is listed under says nothing; what that is, is known now.
    let collides = merged.conflicts.iter().any(|it| it.property == "FN");
    let listed = if collides { listed_under(&merged.content) } else { Vec::new() };
    Some(if listed.is_empty() { merged } else { merge(listed) })
}

/// What a card without N may be listed under, in whatever order its properties stand.
fn listed_under(content: &[u8]) -> Vec<String> {
    let card = Card::parse(content).ok().filter(|card| card.all("N").all(Property::is_empty));
    card.map(|card| stand_ins(&card)).unwrap_or_default()
}

/// What became of a card of which only a part was seen: `hidden` tells by property, and by line of it, what stays as it is.
/// Without `labels` whoever saw it knows of none.
pub(in crate::contact) fn merge_seen(
    card: &Card<'_>,
    canon: &Canon,
    hidden: Hidden<'_>,
    labels: bool,
    incoming: &[u8],
) -> Option<Vec<u8>> {
    let incoming = Card::parse(incoming).ok()?;
    let incoming_canon = Canon::of(&incoming);
    let seen = Side::of(card, canon, hidden);
    // What says again what was not seen is there already. Lists are seen by their labels.
    let (mut open, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for (property, item, full) in numbered(canon) {
        if !hidden(property, item) {
            open.insert(full);
            continue;
        }
        if !labels && !Canon::label(full).is_empty() && items(&card.properties()[property]).is_none() {
            covered.insert(Cow::Owned(Canon::unlabelled(full)));
        }
        covered.insert(Cow::Borrowed(full));
    }
    let again = |full: &[u8]| covered.contains(full) && !open.contains(full);
    let repeated: BTreeSet<(usize, usize)> = numbered(&incoming_canon)
        .filter(|(property, _, full)| {
            again(full) && !is_single(canonical_name(incoming.properties()[*property].name()))
        })
        .map(|(property, item, _)| (property, item))
        .collect();
    let incoming = Side::of(&incoming, &incoming_canon, &|property, item| repeated.contains(&(property, item)));
    Some(Merge::of(Prefer::Incoming, &seen, &seen, &incoming, hidden).run().content)
}

/// `ours` with what `theirs` says of the properties of these names, and nothing else of it: what a conflict took away is
/// brought back so. FN follows N if it only repeated that (law L8). `None` if one is no card.
pub fn take(ours: &[u8], theirs: &[u8], names: &[String]) -> Option<Merged> {
    let (ours, theirs) = (decode_document(ours), decode_document(theirs));
    let (ours, theirs) = (Card::parse(&ours).ok()?, Card::parse(&theirs).ok()?);
    let (our_canon, their_canon) = (Canon::of(&ours), Canon::of(&theirs));
    let unnamed = |card: &Card<'_>, property: usize| {
        let name = canonical_name(card.properties()[property].name());
        !names.iter().any(|named| named.eq_ignore_ascii_case(name))
    };
    let hidden = |property: usize, _: usize| unnamed(&ours, property);
    let current = Side::of(&ours, &our_canon, &hidden);
    let incoming = Side::of(&theirs, &their_canon, &|property, _| unnamed(&theirs, property));
    Some(Merge::of(Prefer::Incoming, &current, &current, &incoming, &hidden).run())
}

/// The lines of a card: of which property, which of its lines, and what it says.
pub(in crate::contact) fn numbered(canon: &Canon) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut last = (usize::MAX, 0);
    canon.lines().map(move |(property, _, full)| {
        last = (property, if property == last.0 { last.1 + 1 } else { 0 });
        (property, last.1, full)
    })
}

/// Whether a line of a property is not spoken of.
pub(in crate::contact) type Hidden<'h> = &'h dyn Fn(usize, usize) -> bool;

/// What is compared: a property that a card has once by its name, another by name, label and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'c> {
    Single(&'c str),
    Instance(&'c [u8]),
}

/// One line of a card's canonical form: of which property, which of its lines, and its full text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    property: usize,
    item: usize,
}

/// Where a key has its lines, and what they say.
type Lines<'c> = Vec<(Place, Cow<'c, [u8]>)>;

struct Side<'c> {
    card: &'c Card<'c>,
    keys: BTreeMap<Key<'c>, Lines<'c>>,
    /// What FN says, also where it only repeats N and has no line.
    fulls: Vec<Cow<'c, str>>,
}

impl<'c> Side<'c> {
    fn of(card: &'c Card<'_>, canon: &'c Canon, hidden: Hidden<'_>) -> Self {
        let mut keys: BTreeMap<Key<'c>, Lines<'c>> = BTreeMap::new();
        let mut last = Place { property: usize::MAX, item: 0 };
        for (property, identity, full) in canon.lines() {
            last = Place { property, item: if property == last.property { last.item + 1 } else { 0 } };
            if hidden(last.property, last.item) {
                continue;
            }
            let name = canonical_name(card.properties()[property].name());
            let key = if is_single(name) { Key::Single(name) } else { Key::Instance(identity) };
            keys.entry(key).or_default().push((last, Cow::Borrowed(full)));
        }
        // Bookkeeping has no canonical form, but is merged all the same.
        for (property, it) in card.properties().iter().enumerate() {
            if let name @ ("UID" | "REV" | "PRODID") = canonical_name(it.name())
                && !it.is_empty()
                && !hidden(property, 0)
            {
                let text = it.text().trim().as_bytes().to_vec();
                keys.entry(Key::Single(name)).or_default().push((Place { property, item: 0 }, Cow::Owned(text)));
            }
        }
        let fulls = card.properties().iter().enumerate().filter(|(_, it)| it.is("FN") && !it.is_empty());
        let fulls = fulls.filter(|(at, _)| !hidden(*at, 0)).map(|(_, it)| it.text()).collect();
        Self { card, keys, fulls }
    }

    fn lines(&self, key: Key<'c>) -> &[(Place, Cow<'c, [u8]>)] {
        self.keys.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What a key says, as a set.
    fn state(&self, key: Key<'c>) -> Vec<&[u8]> {
        let mut state: Vec<&[u8]> = self.lines(key).iter().map(|(_, full)| &**full).collect();
        state.sort_unstable();
        state.dedup();
        state
    }

    /// What N and FN say together, wherever a name of one word stands.
    fn name_lines(&self) -> Vec<&[u8]> {
        let mut lines = self.state(Key::Single("N"));
        lines.extend(self.state(Key::Single("FN")));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn name(&self) -> Vec<String> {
        self.card.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default()
    }
}

struct Merge<'m, 'c> {
    prefer: Prefer,
    base: &'m Side<'c>,
    current: &'m Side<'c>,
    incoming: &'m Side<'c>,
    /// Lines of current that go, lines of incoming that come.
    drop: BTreeSet<Place>,
    take: BTreeSet<Place>,
    /// Properties of current that are written anew.
    replace: BTreeMap<usize, PropertyBuf>,
    conflicts: Vec<Conflict>,
    /// Lines of current that nothing is said of.
    hidden: Hidden<'m>,
    /// What the result may be listed under if FN does not say it, where that is known and matters.
    listed: Vec<String>,
}

impl<'m, 'c> Merge<'m, 'c> {
    fn of(
        prefer: Prefer,
        base: &'m Side<'c>,
        current: &'m Side<'c>,
        incoming: &'m Side<'c>,
        hidden: Hidden<'m>,
    ) -> Self {
        let (drop, take) = (BTreeSet::new(), BTreeSet::new());
        let (replace, conflicts) = (BTreeMap::new(), Vec::new());
        Self { prefer, base, current, incoming, drop, take, replace, conflicts, hidden, listed: Vec::new() }
    }

    fn run(mut self) -> Merged {
        self.decide();
        self.addresses();
        self.finish()
    }

    fn decide(&mut self) {
        let name = self.incoming.name_lines();
        // A peer whose version demands N and FN says with both what one of them said.
        let same_name = name == self.base.name_lines() || name == self.current.name_lines();
        let keys: BTreeSet<Key<'c>> =
            self.base.keys.keys().chain(self.current.keys.keys()).chain(self.incoming.keys.keys()).copied().collect();
        // FN last: it hangs on what N becomes.
        let (full, keys): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .filter(|key| !(same_name && matches!(key, Key::Single("N" | "FN"))))
            .partition(|key| *key == Key::Single("FN"));
        for key in keys {
            let (base, current, incoming) = (self.base.state(key), self.current.state(key), self.incoming.state(key));
            if incoming == base || current == incoming || incoming.is_empty() && current != base {
                continue;
            }
            if current == base || current.is_empty() {
                self.take(key);
            } else if key == Key::Single("N") {
                self.names();
            } else {
                let loser = match self.prefer {
                    Prefer::Current => self.incoming,
                    Prefer::Incoming => self.current,
                };
                self.report(key, loser);
                if self.prefer == Prefer::Incoming {
                    self.take(key);
                }
            }
        }
        if let [key] = full[..] {
            self.full_name(key);
        }
    }

    /// FN that stands as it stood is no news, even if N left it behind; and one that only says what N says now gives way to
    /// one that says more.
    fn full_name(&mut self, key: Key<'c>) {
        let unchanged = |side: &Side<'c>| {
            side.state(key) == self.base.state(key) || !side.fulls.is_empty() && side.fulls == self.base.fulls
        };
        let (current, incoming) = (self.current.state(key), self.incoming.state(key));
        if unchanged(self.incoming) || current == incoming || incoming.is_empty() && !unchanged(self.current) {
            return;
        }
        let name = match self.new_name() {
            Some(name) => name,
            None if self.goes("N") => Vec::new(),
            None => self.current.name(),
        };
        let idle = |side: &Side<'c>| {
            let is_listed = |text: &str| self.listed.iter().any(|listed| listed == text.trim());
            // Nicknames may stand in one property.
            let parts = |full: &str| Canon::items(full).count() > 0 && Canon::items(full).all(is_listed);
            let listed = |full: &str| is_listed(full) || parts(full);
            side.fulls.iter().all(|full| is_rendering(full, &name) || listed(full))
        };
        if unchanged(self.current) || current.is_empty() {
            self.take(key);
        } else if idle(self.incoming) {
        } else if idle(self.current) {
            self.take(key);
        } else if self.prefer == Prefer::Incoming {
            self.report(key, self.current);
            self.take(key);
        } else {
            self.report(key, self.incoming);
        }
    }

    fn take(&mut self, key: Key<'c>) {
        self.drop.extend(self.current.lines(key).iter().map(|(place, _)| *place));
        self.take.extend(self.incoming.lines(key).iter().map(|(place, _)| *place));
    }

    fn report(&mut self, key: Key<'c>, loser: &Side<'c>) {
        let Some((place, _)) = loser.lines(key).first() else { return };
        let property = &loser.card.properties()[place.property];
        let name = canonical_name(property.name());
        // These change with every save.
        if !matches!(name, "REV" | "PRODID") {
            self.conflicts.push(Conflict { property: name.to_owned(), losing: property.raw().to_vec() });
        }
    }

    /// Both changed N: component by component.
    fn names(&mut self) {
        let (base, current, incoming) = (self.base.name(), self.current.name(), self.incoming.name());
        let (mut merged, mut clash) = self.components(&base, &current, &incoming);
        if merged.iter().all(String::is_empty) {
            // Each cleared what the other left: a name is not merged away.
            clash = true;
            merged = if self.prefer == Prefer::Current { current.clone() } else { incoming };
        }
        if clash {
            let loser = if self.prefer == Prefer::Current { self.incoming } else { self.current };
            self.report(Key::Single("N"), loser);
        }
        if let Some((place, _)) = self.current.lines(Key::Single("N")).first()
            && !same_parts(&merged, &current)
        {
            let mut property = PropertyBuf::from(&self.current.card.properties()[place.property]);
            property.set_value(Value::Structured(merged.into_iter().map(|part| vec![part]).collect()));
            self.replace.insert(place.property, property);
        }
    }

    /// Merges components; says whether both sides changed one of them differently.
    fn components(&self, base: &[String], current: &[String], incoming: &[String]) -> (Vec<String>, bool) {
        let count = current.len().max(incoming.len());
        let part = |list: &[String], at: usize| list.get(at).map_or("", |part| part.trim()).to_owned();
        let mut clash = false;
        let merged = (0..count)
            .map(|at| {
                let (b, c, i) = (part(base, at), part(current, at), part(incoming, at));
                let both = c != i && b != c && b != i;
                clash |= both;
                if i == b || both && self.prefer == Prefer::Current { c } else { i }
            })
            .collect();
        (merged, clash)
    }

    /// An address of the base that both sides edited differently is neither's any more; if it is clear which two it
    /// became, and no component clashes, they are one.
    fn addresses(&mut self) {
        let gone: Vec<(Key<'c>, &[u8])> = instances(self.base, "ADR")
            .filter(|(key, _)| self.current.lines(*key).is_empty() && self.incoming.lines(*key).is_empty())
            .collect();
        for (key, full) in gone {
            let about = about(full);
            // What both have is an address of both, not what one made of another.
            let became = |side: &Side<'c>, other: &Side<'c>| {
                let mut found = instances(side, "ADR")
                    .filter(|(key, _)| self.base.lines(*key).is_empty() && other.lines(*key).is_empty())
                    .filter(|(_, full)| self::about(full) == about)
                    .map(|(key, _)| side.lines(key)[0].0);
                let first = found.next();
                first.filter(|_| found.next().is_none())
            };
            let ours = became(self.current, self.incoming);
            let theirs = became(self.incoming, self.current);
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            let property = |side: &Side<'c>, place: Place| side.card.properties()[place.property].clone();
            let base = property(self.base, self.base.lines(key)[0].0).components();
            let (current, incoming) = (property(self.current, ours), property(self.incoming, theirs));
            let (merged, clash) = self.components(&base, &current.components(), &incoming.components());
            if !clash {
                self.take.remove(&theirs);
            }
            if !clash && !same_parts(&merged, &current.components()) {
                let mut owned = PropertyBuf::from(&current);
                owned.set_value(Value::Structured(merged.into_iter().map(|part| vec![part]).collect()));
                self.replace.insert(ours.property, owned);
            }
        }
    }

    fn finish(mut self) -> Merged {
        self.follow_name();
        let card = self.current.card;
        // A property that a card has once comes into the place of the old one, also of one that says nothing by itself.
        let mut homes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut places_of: Vec<usize> = (0..card.properties().len()).collect();
        places_of.sort_by_key(|at| (self.hidden)(*at, 0));
        for at in places_of {
            let property = &card.properties()[at];
            let name = canonical_name(property.name());
            if is_single(name) && !property.is_empty() {
                homes.entry(name).or_insert(at);
            }
        }
        // What nothing was said of, or what only repeated N, and has to give way takes its labels along. And so does what says
        // just that a second time. In another spelling, and without its label, what nothing was said of is what it was.
        let canons = LazyCell::new(|| (Canon::of(card), Canon::of(self.incoming.card)));
        let firsts = LazyCell::new(|| (first_lines(&canons.0), first_lines(&canons.1)));
        let stays = |at: usize, from: usize| {
            let same_text = || card.properties()[at].text() == self.incoming.card.properties()[from].text();
            if !(self.hidden)(at, 0) {
                return same_text();
            }
            match (firsts.0.get(&at), firsts.1.get(&from)) {
                (Some(ours), Some(theirs)) => repeats(ours, theirs),
                _ => same_text(),
            }
        };
        let mut said: BTreeSet<&[u8]> = BTreeSet::new();
        for (key, lines) in &self.incoming.keys {
            let Key::Single(name) = key else { continue };
            let Some(at) = homes.get(name).copied() else { continue };
            for (place, full) in lines.iter().filter(|(place, _)| self.take.contains(place)) {
                if !stays(at, place.property) {
                    self.drop.insert(Place { property: at, item: 0 });
                    said.insert(full);
                }
            }
        }
        if !said.is_empty() {
            let again = canons.0.lines().filter(|(at, _, full)| (self.hidden)(*at, 0) && said.contains(full));
            self.drop.extend(again.map(|(property, ..)| Place { property, item: 0 }));
        }
        let mut editor = Editor::new(card);
        let mut groups = Groups::of(card, self.incoming.card);
        for lines in places(&self.drop) {
            let at = lines[0].property;
            match without(&card.properties()[at], &lines) {
                Some(rest) => editor.replace(at, &rest),
                None => editor.remove(at),
            }
        }
        self.drop_labels(&mut editor);
        for (at, property) in &self.replace {
            editor.replace(*at, property);
        }
        for lines in places(&self.take) {
            let property = &self.incoming.card.properties()[lines[0].property];
            let name = canonical_name(property.name());
            let home = homes.remove(name);
            if let Some(at) = home
                && !self.drop.contains(&Place { property: at, item: 0 })
                && ((self.hidden)(at, 0)
                    || card.properties()[at].text() == property.text()
                        && (self.prefer == Prefer::Current || same_params(&card.properties()[at], property)))
            {
                continue;
            }
            let bytes = match only(property, &lines) {
                Some(part) => groups.copy_as(property, self.incoming.card, Some(&part)),
                None => groups.copy(property, self.incoming.card),
            };
            match home {
                Some(at) => editor.put(at, bytes),
                None => editor.append_bytes(&bytes),
            }
        }
        let content = editor.finish();
        Merged { changed: content != card.as_bytes(), content, conflicts: self.conflicts }
    }

    /// N as it comes in or is merged; `None` if it stays.
    fn new_name(&self) -> Option<Vec<String>> {
        let n_at = self.current.lines(Key::Single("N")).first().map(|(place, _)| place.property);
        match n_at.and_then(|at| self.replace.get(&at)).map(PropertyBuf::value) {
            Some(Value::Structured(parts)) => Some(parts.iter().map(|items| items.join(",")).collect()),
            _ => {
                let taken = self.incoming.lines(Key::Single("N")).iter().any(|(place, _)| self.take.contains(place));
                taken.then(|| self.incoming.name())
            }
        }
    }

    /// Is what current has of this property dropped?
    fn goes(&self, name: &'static str) -> bool {
        self.current.lines(Key::Single(name)).iter().any(|(place, _)| self.drop.contains(place))
    }

    /// FN that only repeated N goes with it, unless another comes in.
    fn follow_name(&mut self) {
        let Some(at) = self.current.card.properties().iter().position(|it| it.is("FN") && !it.is_empty()) else {
            return;
        };
        let Some(new) = self.new_name() else {
            // It goes with N as well, unless others still say it.
            let text = self.current.card.properties()[at].text();
            let repeats = self.current.lines(Key::Single("FN")).iter().all(|(place, _)| place.property != at);
            if self.goes("N") && repeats && !(self.hidden)(at, 0) && !self.incoming.fulls.contains(&text) {
                self.drop.insert(Place { property: at, item: 0 });
            }
            return;
        };
        let old = self.current.name();
        let property = &self.current.card.properties()[at];
        let full = property.text();
        let comes = self.incoming.lines(Key::Single("FN")).iter().any(|(place, _)| self.take.contains(place));
        if comes || old.is_empty() || !is_rendering(&full, &old) || is_rendering(&full, &new) {
            return;
        }
        let theirs = self.incoming.card.text("FN").filter(|full| is_rendering(full, &new));
        let text = theirs.map_or_else(|| render_name(&new), Cow::into_owned);
        self.replace.insert(at, PropertyBuf::text("FN", text).group(property.group().unwrap_or_default()));
    }

    /// A label whose property is gone goes too. One of a group that says nothing else is a property of its own.
    fn drop_labels(&self, editor: &mut Editor<'_, '_>) {
        let properties = self.current.card.properties();
        // Of a list that keeps some of its items the label stays.
        let gone =
            places(&self.drop).into_iter().filter(|lines| without(&properties[lines[0].property], lines).is_none());
        let gone: BTreeSet<usize> = gone.map(|lines| lines[0].property).collect();
        let mut groups: BTreeMap<String, (bool, bool, Vec<usize>)> = BTreeMap::new();
        for (at, property) in properties.iter().enumerate() {
            let Some(group) = property.group() else { continue };
            let (lost, stays, labels) = groups.entry(group.to_ascii_lowercase()).or_default();
            if Canon::is_label(property) {
                labels.push(at);
            } else if Canon::says_something(property) {
                *(if gone.contains(&at) { &mut *lost } else { &mut *stays }) = true;
            }
        }
        for (lost, stays, labels) in groups.into_values() {
            if lost && !stays {
                labels.into_iter().for_each(|at| editor.remove(at));
            }
        }
    }
}

/// Are these the same components, blanks at their ends and empty ones at the end aside?
fn same_parts(a: &[String], b: &[String]) -> bool {
    let part = |list: &[String], at: usize| list.get(at).map_or("", |part| part.trim()).to_owned();
    (0..a.len().max(b.len())).all(|at| part(a, at) == part(b, at))
}

/// Have these the same parameters, in whatever order?
fn same_params(a: &Property<'_>, b: &Property<'_>) -> bool {
    let (a, b) = (PropertyBuf::from(a), PropertyBuf::from(b));
    let sorted = |it: &PropertyBuf| {
        let params = it.params().map(|(name, value)| (name.to_ascii_uppercase(), value.to_ascii_uppercase()));
        params.collect::<BTreeSet<_>>()
    };
    sorted(&a) == sorted(&b)
}

/// The instances of a property of this name, with their full lines.
fn instances<'s, 'c>(side: &'s Side<'c>, name: &str) -> impl Iterator<Item = (Key<'c>, &'s [u8])> {
    side.keys.iter().filter_map(move |(key, lines)| {
        let (place, full) = lines.first()?;
        side.card.properties()[place.property].is(name).then_some((*key, &**full))
    })
}

/// Label and parameters of a line: what it is about, without what it says.
fn about(full: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = full.splitn(3, |&byte| byte == Canon::PART);
    let (_, label, rest) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let params = rest.iter().position(|&byte| byte == Canon::PART).map_or(&[][..], |at| &rest[at..]);
    (label.to_vec(), params.to_vec())
}

/// The first line of each property, without parameters.
fn first_lines(canon: &Canon) -> HashMap<usize, &[u8]> {
    let mut first = HashMap::new();
    for (at, identity, _) in canon.lines() {
        first.entry(at).or_insert(identity);
    }
    first
}

/// Has one line the value of the other, and no label but that one's? Both without parameters.
fn repeats(line: &[u8], again: &[u8]) -> bool {
    let label = Canon::label(again);
    Canon::name(line) == Canon::name(again)
        && Canon::components(line).eq(Canon::components(again))
        && (label.is_empty() || label == Canon::label(line))
}

/// Places by property.
fn places(set: &BTreeSet<Place>) -> Vec<Vec<Place>> {
    let all: Vec<Place> = set.iter().copied().collect();
    all.chunk_by(|a, b| a.property == b.property).map(<[Place]>::to_vec).collect()
}

/// The items of a list in the order of its lines.
fn items(property: &Property<'_>) -> Option<Vec<String>> {
    let list = shape(canonical_name(property.name())) == Shape::List;
    list.then(|| Canon::items(&property.text()).map(str::to_owned).collect())
}

/// The property without these of its items; `None` if nothing is left.
fn without(property: &Property<'_>, lines: &[Place]) -> Option<PropertyBuf> {
    let gone = |at: usize| lines.iter().any(|place| place.item == at);
    pick(property, |at| !gone(at)).filter(|_| items(property).is_some_and(|items| items.len() > lines.len()))
}

/// The property with only these of its items; `None` if these are all.
fn only(property: &Property<'_>, lines: &[Place]) -> Option<PropertyBuf> {
    let wanted = |at: usize| lines.iter().any(|place| place.item == at);
    pick(property, wanted).filter(|_| items(property).is_some_and(|items| items.len() > lines.len()))
}

fn pick(property: &Property<'_>, keep: impl Fn(usize) -> bool) -> Option<PropertyBuf> {
    let items = items(property)?;
    let kept = items.into_iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, item)| item).collect();
    let mut owned = PropertyBuf::from(property);
    owned.set_value(Value::List(kept));
    Some(owned)
}
