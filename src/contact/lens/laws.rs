//! The laws L1 to L8 over any cards, any capabilities, and whatever a user can do on the device.
//!
//! A device is played: it holds the view of a card, its user edits that as an address book can be edited, and what the
//! device then shows is again what its memory can hold. Each law is asked of every case. A case comes from a fixed seed,
//! so that it comes again, and some from a fresh one; how many is said by [`cases`].

use super::view::Sight;
use super::{Declared, DeclaredProperty, Dimension, Fields, Lens, NAMES, Put, Rules, put, view};
use crate::contact::card::{Card, Property, PropertyBuf, Shape, Value, Version, canonical_name, is_single, shape};
use crate::contact::identity::{Canon, is_rendering};
use crate::contact::merge::{Prefer, merge3, same_meaning};
use crate::contact::testing::{build, hold, properties, property, text, version};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization as _;

/// What devices declare, besides what is in no version.
const DECLARED: &[&str] = &[
    "N",
    "FN",
    "TEL",
    "EMAIL",
    "ADR",
    "ORG",
    "TITLE",
    "ROLE",
    "NOTE",
    "URL",
    "BDAY",
    "NICKNAME",
    "PHOTO",
    "LABEL",
    "KIND",
    "CLASS",
    "HOBBY",
    "X-FOO",
    "X-ABRELATEDNAMES",
    "X-UNLABELLED-ONE",
    "X-ABLabel",
    "tel",
    "VERSION",
    "UID",
];

const TYPES: &[&str] = &["HOME", "WORK", "CELL", "FAX", "VOICE", "PREF", "x-lodge"];

// What is made up --------------------------------------------------------------------------------------------------------

/// The server's card: some of its properties have labels of their own.
fn whole() -> impl Strategy<Value = (Version, Vec<PropertyBuf>)> {
    let label = (any::<Index>(), text());
    (version(), properties(), vec(label, 0..3)).prop_map(|(version, mut properties, labels)| {
        for (number, (at, label)) in labels.into_iter().enumerate() {
            if properties.len() > 2 {
                let at = 2 + at.index(properties.len() - 2);
                let group = format!("item{}", number + 1);
                let labelled = properties[at].clone().group(&group);
                properties[at] = labelled;
                properties.push(PropertyBuf::text("X-ABLabel", label).group(&group));
            }
        }
        (version, properties)
    })
}

fn declared() -> impl Strategy<Value = Declared> {
    let property = (
        select(DECLARED),
        option::weighted(0.4, 0..4u64),
        option::weighted(0.4, prop_oneof![1..40u64, 100..4000u64]),
        any::<bool>(),
        option::weighted(0.3, vec(select(TYPES), 0..4)),
        option::weighted(0.05, vec(text(), 1..3)),
    );
    let property = property.prop_map(|(name, max_occur, max_size, no_truncate, types, values)| DeclaredProperty {
        name: name.to_owned(),
        max_occur,
        max_size,
        no_truncate,
        values: values.unwrap_or_default(),
        params: types
            .map(|types| ("TYPE".to_owned(), types.into_iter().map(str::to_owned).collect()))
            .into_iter()
            .collect(),
    });
    vec(property, 0..16).prop_map(|properties| Declared { properties })
}

fn rules() -> impl Strategy<Value = Rules> {
    let dimension = (select(DECLARED), vec(select(&TYPES[..4]), 0..2), 0..3u32, prop_oneof![Just(0), 3..20u32])
        .prop_map(|(property, types, count, length)| Dimension {
            property: property.to_owned(),
            types: types.into_iter().map(str::to_owned).collect(),
            count,
            length,
        });
    let dimensions = option::weighted(0.15, vec(dimension, 1..8));
    (vec((select(DECLARED), 1..30u32), 0..3), any::<[bool; 2]>(), dimensions).prop_map(
        |(lengths, [ignore_sizes, mark_emails], dimensions)| Rules {
            ignore_sizes: ignore_sizes && mark_emails,
            mark_emails,
            lengths: lengths.into_iter().map(|(name, length)| (name.to_owned(), length)).collect(),
            dimensions: dimensions.unwrap_or_default(),
            ..Rules::default()
        },
    )
}

fn lens() -> impl Strategy<Value = Lens> {
    let fields = vec(select(&NAMES[..]), 0..12).prop_map(Fields::of_names);
    (option::weighted(0.8, declared()), rules(), option::weighted(0.2, fields))
        .prop_map(|(declared, rules, fields)| Lens::of(declared.as_ref(), &rules, fields).0)
}

/// What a user does on the device.
#[derive(Clone, Debug)]
enum Edit {
    Remove(Index),
    Say(Index, String),
    /// Keeps so many characters.
    Shorten(Index, usize),
    Retype(Index, Option<&'static str>),
    Name(usize, String),
    Add(PropertyBuf),
    Swap(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        any::<Index>().prop_map(Edit::Remove),
        (any::<Index>(), text()).prop_map(|(at, text)| Edit::Say(at, text)),
        (any::<Index>(), 1..12usize).prop_map(|(at, count)| Edit::Shorten(at, count)),
        (any::<Index>(), option::of(select(TYPES))).prop_map(|(at, value)| Edit::Retype(at, value)),
        (0..5usize, text()).prop_map(|(part, text)| Edit::Name(part, text)),
        property().prop_map(Edit::Add),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

/// A case: a card, the lens when both last agreed and that of now, what the user does, and how the device writes: in which
/// version, and whether it composes its FN of the N that it keeps.
#[derive(Clone)]
struct Case {
    base: Vec<u8>,
    then: Lens,
    now: Lens,
    edits: Vec<Edit>,
    writes: Version,
    composes: bool,
    other: Vec<Edit>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "base {}", self.base.escape_ascii())?;
        writeln!(f, "then {}", self.then.encode().escape_ascii())?;
        writeln!(f, "now {}", self.now.encode().escape_ascii())?;
        writeln!(f, "edits {:?}, other {:?}, writes {:?}", self.edits, self.other, self.writes)?;
        writeln!(f, "composes {}", self.composes)?;
        let sent = view(&self.base, &self.then).unwrap_or_default();
        writeln!(f, "sent {}", sent.escape_ascii())?;
        let shown = self.shown();
        writeln!(f, "shown {}", shown.escape_ascii())?;
        if let Some(Put { whole, told }) = put(&self.base, &shown, &self.then, &self.now) {
            writeln!(f, "whole {}", whole.escape_ascii())?;
            writeln!(f, "told {:?}", told.map(|told| told.escape_ascii().to_string()))?;
        }
        Ok(())
    }
}

fn case() -> impl Strategy<Value = Case> {
    let then = option::weighted(0.3, lens());
    (whole(), then, lens(), vec(edit(), 0..4), (version(), any::<bool>()), vec(edit(), 0..3)).prop_map(
        |((version, properties), then, now, edits, (writes, composes), other)| Case {
            base: build(version, &properties),
            then: then.unwrap_or_else(|| now.clone()),
            now,
            edits,
            writes,
            composes,
            other,
        },
    )
}

impl Case {
    /// What the device has before its user does anything.
    fn held(&self) -> Vec<u8> {
        view(&view(&self.base, &self.then).unwrap(), &self.now).unwrap()
    }

    /// What it shows in the end.
    fn shown(&self) -> Vec<u8> {
        let typed = edited(&self.held(), self.writes, &self.edits);
        let kept = view(&typed, &self.now).unwrap();
        let (typed, card) = (Card::parse(&typed).unwrap(), Card::parse(&kept).unwrap());
        let name =
            |card: &Card<'_>| card.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default();
        match card.properties().iter().position(|it| it.is("FN")) {
            Some(at) if self.composes && typed.text("FN").is_some_and(|full| is_rendering(&full, &name(&typed))) => {
                let mut all: Vec<PropertyBuf> =
                    card.properties().iter().filter(|it| !it.is("VERSION")).map(PropertyBuf::from).collect();
                let at = at - card.properties()[..at].iter().filter(|it| it.is("VERSION")).count();
                all[at].set_value(Value::Text(crate::contact::card::render_name(&name(&card))));
                view(&build(self.writes, &all), &self.now).unwrap()
            }
            _ => kept,
        }
    }
}

/// A card after a user's edits, written by another program.
fn edited(card: &[u8], writes: Version, edits: &[Edit]) -> Vec<u8> {
    let card = Card::parse(card).unwrap();
    let mut all: Vec<PropertyBuf> =
        card.properties().iter().filter(|it| !it.is("VERSION")).map(PropertyBuf::from).collect();
    let is_name = |it: &PropertyBuf| matches!(it.name(), "N" | "FN");
    let members = |all: &[PropertyBuf]| -> BTreeSet<String> {
        all.iter().filter(|it| it.name() != "X-ABLabel").filter_map(|it| it.its_group().map(str::to_owned)).collect()
    };
    let had = members(&all);
    for edit in edits {
        let place = |at: &Index, all: &[PropertyBuf]| (!all.is_empty()).then(|| at.index(all.len()));
        match edit {
            Edit::Remove(at) => {
                if let Some(at) = place(at, &all).filter(|at| !is_name(&all[*at])) {
                    all.remove(at);
                }
            }
            Edit::Say(at, said) => {
                if let Some(at) = place(at, &all).filter(|at| !is_name(&all[*at])) {
                    let value = changed(all[at].value(), said);
                    all[at].set_value(value);
                }
            }
            Edit::Shorten(at, count) => {
                if let Some(at) = place(at, &all).filter(|at| !is_name(&all[*at]))
                    && let Value::Text(text) = all[at].value()
                {
                    let text: String = text.chars().take(*count).collect();
                    all[at].set_value(Value::Text(text));
                }
            }
            Edit::Retype(at, value) => {
                if let Some(at) = place(at, &all).filter(|at| !is_name(&all[*at])) {
                    all[at].retain_params(|name, _| name != "TYPE");
                    if let Some(value) = value {
                        all[at] = all[at].clone().param("TYPE", *value);
                    }
                }
            }
            Edit::Name(part, said) => {
                // What a phone that knows both makes of it.
                if let Some(at) = all.iter().position(|it| it.name() == "N")
                    && let Value::Structured(parts) = all[at].value()
                {
                    let old: Vec<String> = parts.iter().map(|part| part.join(",")).collect();
                    let mut parts = parts.clone();
                    parts.resize(parts.len().max(part + 1), vec![String::new()]);
                    parts[*part] = vec![said.clone()];
                    let new: Vec<String> = parts.iter().map(|part| part.join(",")).collect();
                    all[at].set_value(Value::Structured(parts));
                    for full in all.iter_mut().filter(|it| it.name() == "FN") {
                        if let Value::Text(text) = full.value()
                            && is_rendering(text, &old)
                        {
                            full.set_value(Value::Text(crate::contact::card::render_name(&new)));
                        }
                    }
                }
            }
            Edit::Add(property) => all.push(property.clone()),
            Edit::Swap(one, other) => {
                if let (Some(one), Some(other)) = (place(one, &all), place(other, &all)) {
                    all.swap(one, other);
                }
            }
        }
    }
    // An address book has no label without what it labels.
    let has = members(&all);
    let lost = |group: &str| had.contains(group) && !has.contains(group);
    all.retain(|it| it.name() != "X-ABLabel" || !it.its_group().is_some_and(lost));
    build(writes, &all)
}

fn changed(value: &Value, said: &str) -> Value {
    match value {
        Value::Structured(parts) => {
            let mut parts = parts.clone();
            let at = said.len() % parts.len().max(1);
            parts.resize(parts.len().max(1), Vec::new());
            parts[at] = vec![said.to_owned()];
            Value::Structured(parts)
        }
        Value::List(items) => {
            let mut items = items.clone();
            items.truncate(1);
            items.push(said.replace(',', " "));
            Value::List(items)
        }
        Value::Binary { media_type, .. } => {
            let property = PropertyBuf::binary("PHOTO", media_type.as_deref(), said.as_bytes());
            property.value().clone()
        }
        _ => Value::Text(said.to_owned()),
    }
}

// What is asked ----------------------------------------------------------------------------------------------------------

/// A line of a card, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// Name, label, value.
    is: Vec<u8>,
    /// The property that it comes from.
    at: usize,
}

fn is_name(property: &Property<'_>) -> bool {
    matches!(canonical_name(property.name()), "N" | "FN")
}

/// What a card says besides the name.
fn lines(card: &Card<'_>) -> Vec<Line> {
    let canon = Canon::of(card);
    let lines = canon.lines().filter(|(at, ..)| !is_name(&card.properties()[*at]));
    lines.map(|(at, is, _)| Line { is: is.to_vec(), at }).collect()
}

/// What is to be seen of a card, by the properties that it comes from.
fn seen(card: &Card<'_>, lens: &Lens) -> Vec<Line> {
    let sight = Sight::of(lens, card);
    let (places, bytes) = (sight.places(), sight.write());
    let view = Card::parse(&bytes).unwrap();
    assert_eq!(places.len(), view.properties().len());
    lines(&view).into_iter().map(|line| Line { at: places[line.at], ..line }).collect()
}

fn said(lines: &[Line]) -> BTreeSet<&[u8]> {
    lines.iter().map(|line| &*line.is).collect()
}

/// Is one the other with more in some of its components, because less of it is cut now, or without its label, if the
/// device had none?
fn extends(more: &[u8], less: &[u8], labels: bool) -> bool {
    // What is in no standard may be structured, and is cut by component then.
    let name = |line: &[u8]| String::from_utf8_lossy(Canon::name(line)).into_owned();
    let own = shape(&name(more)) == Shape::Unknown;
    let parts = |line: &[u8]| -> Vec<Vec<Vec<u8>>> {
        line.split(|byte| *byte == Canon::PART)
            .map(|part| part.split(|byte| *byte == 0x1E || own && *byte == b';').map(<[u8]>::to_vec).collect())
            .collect()
    };
    // A label is 16 bytes of anything.
    let cut = |line: &[u8]| -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let name = line.iter().position(|byte| *byte == Canon::PART).unwrap_or(line.len());
        let rest = &line[(name + 1).min(line.len())..];
        let label = if rest.first() == Some(&Canon::PART) { 0 } else { 16.min(rest.len()) };
        (line[..name].to_vec(), rest[..label].to_vec(), rest[(label + 1).min(rest.len())..].to_vec())
    };
    let (more, less) = (cut(more), cut(less));
    let values = (parts(&more.2).concat(), parts(&less.2).concat());
    let part = |list: &[Vec<u8>], at: usize| list.get(at).cloned().unwrap_or_default();
    // A cut may part a letter from its accent.
    let begins = |more: &[u8], less: &[u8]| {
        let apart = |text: &[u8]| String::from_utf8_lossy(text).nfd().collect::<String>();
        more.starts_with(less) || apart(more).starts_with(&apart(less))
    };
    more.0 == less.0
        && (more.1 == less.1 || !labels)
        && (0..values.0.len().max(values.1.len())).all(|at| begins(&part(&values.0, at), &part(&values.1, at)))
}

/// The lines of each property.
fn by_property(card: &Card<'_>) -> BTreeMap<usize, Vec<Vec<u8>>> {
    let mut map: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    lines(card).into_iter().for_each(|line| map.entry(line.at).or_default().push(line.is));
    map
}

fn show(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}

/// L1: what comes back as it was sent, re-ordered and in whatever version, changes nothing, byte for byte.
fn l1_echo(case: &Case) -> Result<(), TestCaseError> {
    let held = case.held();
    for shown in [held.clone(), edited(&held, case.writes, &case.edits[..0])] {
        let put = put(&case.base, &shown, &case.then, &case.now).unwrap();
        prop_assert_eq!(put.whole.escape_ascii().to_string(), case.base.escape_ascii().to_string(), "L1");
        if case.then == case.now {
            prop_assert_eq!(put.told, None, "L1: all that can be seen was");
        }
    }
    // Seen twice is seen once.
    prop_assert!(same_meaning(
        &view(&view(&case.base, &case.now).unwrap(), &case.now).unwrap(),
        &view(&case.base, &case.now).unwrap()
    ));
    Ok(())
}

/// L2 to L4 and L8, of what a user can do.
fn l2_to_l4_edits(case: &Case) -> Result<(), TestCaseError> {
    let (held, shown) = (case.held(), case.shown());
    let Put { whole, told } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let (base, held) = (Card::parse(&case.base).unwrap(), Card::parse(&held).unwrap());
    let (shown, result) = (Card::parse(&shown).unwrap(), Card::parse(&whole).unwrap());
    let (shown_lines, now_seen) = (lines(&shown), seen(&result, &case.now));
    let labels = case.then == case.now || case.then.holds_labels() && case.now.holds_labels();

    // L2: what the device shows is to be seen of the result, but for its re-encoding and for cuts: those that were made for it
    // come back, and those are made that it needs now. A lens may cut more of what it shows with the types that this has here
    // than without them; the whole is here.
    let visible = said(&now_seen);
    let result_lines = by_property(&result);
    let is_of = |line: &Line, what: &dyn Fn(&[u8]) -> bool| {
        result_lines.get(&line.at).is_some_and(|of| of.iter().any(|is| what(is)))
    };
    let cut_now = |line: &[u8]| {
        let whole = |is: &[u8]| extends(is, line, labels);
        now_seen.iter().any(|less| extends(line, &less.is, labels) && is_of(less, &whole))
    };
    // What came back untouched is what it was, byte for byte (L1), even where the device can see nothing of that any more.
    let untouched = lines(&held);
    let base_seen = seen(&base, &case.then);
    let raws: BTreeSet<&[u8]> = result.properties().iter().map(Property::raw).collect();
    let stays = |line: &[u8]| {
        case.then != case.now
            && untouched.iter().any(|held| held.is == line)
            && base_seen
                .iter()
                .any(|sent| extends(&sent.is, line, labels) && raws.contains(base.properties()[sent.at].raw()))
    };
    for line in said(&shown_lines) {
        let lands = visible.contains(line)
            || visible.iter().any(|more| extends(more, line, labels))
            || cut_now(line)
            || stays(line);
        prop_assert!(lands, "L2: {} does not land", show(line));
    }
    // And nothing else but what was hidden, as it was.
    let sights = [Sight::of(&case.then, &base), Sight::of(&case.now, &base)];
    let sent = view(&case.base, &case.then).unwrap();
    let sent = Card::parse(&sent).unwrap();
    let kept = Sight::of(&case.now, &sent);
    let kept: BTreeSet<usize> =
        (sights[0].places().iter().enumerate()).filter(|(at, _)| kept.is_shown(*at)).map(|(_, place)| *place).collect();
    let joined = |at: usize| sights[0].shown[at] == super::view::Shown::Joined;
    let hidden = |at: usize| sights.iter().any(|sight| !sight.is_shown(at)) || !kept.contains(&at) && !joined(at);
    let base_lines = lines(&base);
    let held_now: Vec<Line> = lines(&held);
    let both = [seen(&base, &case.then), seen(&base, &case.now)];
    let seen_by_both = |line: &Line| {
        (!hidden(line.at) || is_list(&base, line.at))
            && both.iter().all(|seen| {
                // Lists of one kind are shown as one.
                seen.iter().any(|seen| if is_list(&base, line.at) { seen.is == line.is } else { seen.at == line.at })
                    && (!is_list(&base, line.at) || held_now.iter().any(|held| held.is == line.is))
            })
    };
    let open: BTreeSet<&[u8]> = base_lines.iter().filter(|line| seen_by_both(line)).map(|line| &*line.is).collect();
    let unseen: BTreeSet<&[u8]> = base_lines.iter().map(|line| &*line.is).filter(|is| !open.contains(is)).collect();
    let shown_said = said(&shown_lines);
    // Two may say the same, of which one is hidden.
    let hides = |is: &[u8]| base_lines.iter().any(|it| it.is == is && hidden(it.at));
    // What the device shows, or a cut of that (≈ of DESIGN: up to the declared cut): the device has as much of it, or more.
    let has = |line: &Line, of: &BTreeMap<usize, Vec<Vec<u8>>>| {
        let cut_of = |more: &[u8]| {
            let whole = of.get(&line.at).is_some_and(|of| of.iter().any(|is| extends(is, more, labels)));
            whole && extends(more, &line.is, labels)
        };
        shown_said.contains(&*line.is)
            || shown_said.iter().any(|less| extends(&line.is, less, labels))
            || shown_said.iter().any(|more| cut_of(more))
    };
    for line in &now_seen {
        let explained = has(line, &result_lines) || is_of(line, &|is| unseen.contains(is) || hides(is));
        prop_assert!(explained, "L2: {} comes from nowhere", show(&line.is));
    }
    // What the device can be said to know is what it shows.
    let knows = told.unwrap_or_else(|| whole.clone());
    let knows = Card::parse(&knows).unwrap();
    let knows_lines = by_property(&knows);
    for line in seen(&knows, &case.now) {
        prop_assert!(has(&line, &knows_lines), "L2: {} was not shown, but is held to be known", show(&line.is));
    }

    // L3: what is hidden stays, with group and parameters.
    let result_said: BTreeSet<Vec<u8>> = lines(&result).into_iter().map(|line| line.is).collect();
    let said_again = |property: &Property<'_>| {
        let name = canonical_name(property.name());
        is_single(name) && shown.properties().iter().any(|it| canonical_name(it.name()) == name && !it.is_empty())
    };
    for line in base_lines.iter().filter(|line| unseen.contains(&*line.is)) {
        let property = &base.properties()[line.at];
        if said_again(property) {
            continue;
        }
        prop_assert!(result_said.contains(&line.is), "L3: {} is gone", show(&line.is));
        if hidden(line.at) && !is_list(&base, line.at) {
            prop_assert!(raws.contains(property.raw()), "L3: {} is written anew", property.raw().escape_ascii());
        }
    }
    for (at, property) in base.properties().iter().enumerate() {
        if hidden(at) && matches!(property.name(), "UID" | "REV" | "PRODID") {
            prop_assert!(raws.contains(property.raw()), "L3: {}", property.raw().escape_ascii());
        }
    }

    // L4: what was seen and is not shown any more is gone.
    let held_said = lines(&held);
    let source =
        |line: &Line| base_lines.iter().filter(|it| it.at == line.at).map(|it| it.is.clone()).collect::<Vec<_>>();
    let sent = seen(&base, &case.then);
    for line in sent.iter().filter(|line| !hidden(line.at) && !is_list(&base, line.at)) {
        let still = shown_said.contains(&*line.is);
        let was_held = held_said.iter().any(|held| held.is == line.is);
        let edited =
            shown_said.iter().any(|shown| extends(shown, &line.is, labels) || extends(&line.is, shown, labels));
        if !was_held || still || edited || case.then != case.now {
            continue;
        }
        // Unless another one, which is hidden, says the same (L3).
        let gone = |is: &[u8]| !shown_said.contains(is) && !unseen.contains(is) && !hides(is);
        for is in source(line).iter().filter(|is| gone(is)) {
            prop_assert!(!result_said.contains(is), "L4: {} is still there", show(is));
        }
    }

    // L8: a derived FN follows N.
    let name = |card: &Card<'_>| card.all("N").find(|n| !n.is_empty()).map(Property::components).unwrap_or_default();
    let (old, new) = (name(&base), name(&result));
    let full = |card: &Card<'_>| card.text("FN").map(std::borrow::Cow::into_owned).unwrap_or_default();
    // A device that keeps both may say another one, which lands.
    let said = full(&shown) != full(&held) && full(&shown) == full(&result);
    let said = said && !case.composes;
    if old != new && is_rendering(&full(&base), &old) && !new.is_empty() && !said {
        prop_assert!(is_rendering(&full(&result), &new), "L8: {} does not follow {:?}", full(&result), new);
    }
    Ok(())
}

fn is_list(card: &Card<'_>, at: usize) -> bool {
    shape(canonical_name(card.properties()[at].name())) == Shape::List
}

/// L5: more than is declared is kept, and widens the lens.
fn l5_more(case: &Case) -> Result<(), TestCaseError> {
    let shown = edited(&case.held(), case.writes, &case.edits);
    let Put { whole, .. } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let (shown_card, result) = (Card::parse(&shown).unwrap(), Card::parse(&whole).unwrap());
    let kept: BTreeSet<Vec<u8>> = lines(&result).into_iter().map(|line| line.is).collect();
    let visible = seen(&result, &case.now);
    let visible = said(&visible);
    let labels = case.then.holds_labels() && case.now.holds_labels();
    let all: Vec<&[u8]> = kept.iter().map(|it| &**it).chain(visible.iter().copied()).collect();
    let held = case.held();
    let held = Card::parse(&held).unwrap();
    for line in lines(&shown_card) {
        let name = canonical_name(shown_card.properties()[line.at].name());
        // What a card has once, and has out of the device's sight with a label, keeps that.
        let hidden = is_single(name) && !held.properties().iter().any(|it| canonical_name(it.name()) == name);
        let lands = all.contains(&&*line.is) || all.iter().any(|more| extends(more, &line.is, labels && !hidden));
        prop_assert!(lands, "L5: {} is not kept", show(&line.is));
    }
    // And nothing is doubled.
    let count = |card: &[u8]| -> BTreeMap<Vec<u8>, usize> {
        let card = Card::parse(card).unwrap();
        let mut counts = BTreeMap::new();
        let canon = Canon::of(&card);
        canon.lines().for_each(|(.., full)| *counts.entry(full.to_vec()).or_default() += 1);
        counts
    };
    let (before, from, after) = (count(&case.base), count(&shown), count(&whole));
    for (line, times) in &after {
        let most = before.get(line).copied().unwrap_or_default().max(from.get(line).copied().unwrap_or_default());
        prop_assert!(*times <= most.max(1), "L5: {} is there {} times", show(line), times);
    }
    let wide = case.now.widened_by(&shown);
    prop_assert_eq!(&wide.widened_by(&shown), &wide, "L5: seen once is seen");
    let kept = view(&shown, &wide).unwrap();
    let (kept, shown) = (Card::parse(&kept).unwrap(), Card::parse(&shown).unwrap());
    let filtered = |property: &Property<'_>| wide.fields.is_some_and(|fields| !fields.shows(property.name()));
    // How long a value may be, and how many there may be, is what the device takes in a sync: that it has more of its own
    // does not make that more, or a cut at the declared length would no longer be an echo (L6, field note 25).
    let limited = |property: &Property<'_>| {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        let room = wide.rooms.iter().find(|room| room.takes(&name, property));
        room.is_some_and(|room| room.occur.is_some() || room.size.is_some())
    };
    let widens = |line: &Line| !filtered(&shown.properties()[line.at]) && !limited(&shown.properties()[line.at]);
    let shown: Vec<Line> = lines(&shown).into_iter().filter(widens).collect();
    let kept = lines(&kept);
    for line in said(&shown) {
        let labels =
            wide.holds_labels() || line.split(|byte| *byte == Canon::PART).nth(1).is_some_and(<[u8]>::is_empty);
        prop_assert!(!labels || said(&kept).contains(line), "L5: {} is not to be seen", show(line));
    }
    // Another declaration takes the place of the old one, and what was observed stays.
    let anew = case.then.clone().with_observed(&wide);
    prop_assert_eq!(&anew.clone().with_observed(&anew), &anew, "L5: observed once is observed");
    let bare = |lens: &Lens| Lens { observed: Vec::new(), ..lens.clone() };
    for room in &case.then.rooms {
        let stays = anew.rooms.iter().any(|it| it.name == room.name && (it.occur, it.size) == (room.occur, room.size));
        prop_assert!(stays, "L5: {room:?} is not as it was declared");
    }
    if case.then == bare(&case.now) {
        prop_assert_eq!(&anew, &wide, "L5: the same declaration is the same lens");
    }
    Ok(())
}

/// L6: what was cut comes back as it was; a character less is an edit.
fn l6_cuts(case: &Case) -> Result<(), TestCaseError> {
    let lens = &case.now;
    let sent = view(&case.base, lens).unwrap();
    let (base, card) = (Card::parse(&case.base).unwrap(), Card::parse(&sent).unwrap());
    let places = Sight::of(lens, &base).places();
    for (at, property) in card.properties().iter().enumerate() {
        let (name, source) = (canonical_name(property.name()), &base.properties()[places[at]]);
        let text = property.text().into_owned();
        let cut = shape(name) == Shape::Text && !is_name(property) && text.trim() != source.text().trim();
        if !cut || property.is_binary() || text.chars().count() < 3 {
            continue;
        }
        let less: String = text.chars().take(text.chars().count() - 1).collect();
        if less.trim().is_empty() || less.trim() == text.trim() {
            continue;
        }
        let mut all: Vec<PropertyBuf> = card.properties().iter().map(PropertyBuf::from).collect();
        all[at].set_value(Value::Text(less.clone()));
        all.retain(|it| it.name() != "VERSION");
        let put = put(&case.base, &build(case.writes, &all), lens, lens).unwrap();
        let result = Card::parse(&put.whole).unwrap();
        let says = |text: &str| {
            result.properties().iter().any(|it| canonical_name(it.name()) == name && it.text().trim() == text.trim())
        };
        prop_assert!(says(&less), "L6: {less:?} is an edit");
        // Unless another instance says the same.
        let twice = base.properties().iter().filter(|it| canonical_name(it.name()) == name).count() > 1;
        prop_assert!(twice || !says(&source.text()), "L6: {less:?} is an edit of {:?}", source.text());
    }
    Ok(())
}

/// L7: what others did meanwhile stays.
fn l7_base(case: &Case) -> Result<(), TestCaseError> {
    let base = Card::parse(&case.base).unwrap();
    let current = edited(&case.base, base.version(), &case.other);
    let shown = case.shown();
    let Put { whole, .. } = put(&case.base, &shown, &case.then, &case.now).unwrap();
    let merged = merge3(&case.base, &current, &whole, Prefer::Incoming).unwrap();
    let (current, merged) = (Card::parse(&current).unwrap(), Card::parse(&merged.content).unwrap());
    let whole = Card::parse(&whole).unwrap();
    let lines_of = |card: &Card<'_>| -> BTreeSet<Vec<u8>> {
        let repeats = |line: &Line| !is_single(canonical_name(card.properties()[line.at].name()));
        lines(card).into_iter().filter(repeats).map(|line| line.is).collect()
    };
    let (base, current, whole, merged) = (lines_of(&base), lines_of(&current), lines_of(&whole), lines_of(&merged));
    let is_address = |line: &&Vec<u8>| !line.starts_with(b"ADR");
    for line in current.difference(&base).filter(is_address) {
        prop_assert!(merged.contains(line), "L7: {} came here", show(line));
    }
    for line in whole.difference(&base).filter(is_address) {
        prop_assert!(merged.contains(line), "L7: {} came from the device", show(line));
    }
    for line in base.intersection(&current).filter(|line| whole.contains(*line)) {
        prop_assert!(merged.contains(line), "L7: {} was never touched", show(line));
    }
    Ok(())
}

/// A lens is stored as few bytes, and comes back.
fn stored(lens: &Lens) -> Result<(), TestCaseError> {
    let bytes = lens.encode();
    let back = Lens::decode(&bytes);
    prop_assert_eq!(back.as_ref(), Some(lens));
    prop_assert_eq!(back.unwrap().number(), lens.number());
    prop_assert_eq!(lens.number().is_none(), lens.is_whole());
    Ok(())
}

#[test]
fn l1_echoes_change_nothing() {
    hold("lens-l1", case(), l1_echo);
}

#[test]
fn l2_l3_l4_l8_edits_land_and_the_hidden_survives() {
    hold("lens-l2", case(), l2_to_l4_edits);
}

#[test]
fn l5_more_than_declared_is_kept() {
    hold("lens-l5", case(), l5_more);
}

#[test]
fn l6_a_cut_is_an_echo_and_a_shorter_one_an_edit() {
    hold("lens-l6", case(), l6_cuts);
}

#[test]
fn l7_what_others_did_stays() {
    hold("lens-l7", case(), l7_base);
}

#[test]
fn lenses_are_stored() {
    hold("lens-stored", lens(), stored);
}
