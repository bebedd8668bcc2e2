//! Made-up cases: a card, lenses, and what the user of a device does.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeSet;

use crate::contact::card::{Card, Property, PropertyBuf, Value, Version};
use crate::contact::identity::is_rendering;
use crate::contact::lens::{Declared, DeclaredProperty, Dimension, Fields, Lens, NAMES, Put, Rules, put, view};
use crate::contact::testing::{build, properties, property, text, version};

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

pub(super) fn lens() -> impl Strategy<Value = Lens> {
    let fields = vec(select(&NAMES[..]), 0..12).prop_map(Fields::of_names);
    (option::weighted(0.8, declared()), rules(), option::weighted(0.2, fields))
        .prop_map(|(declared, rules, fields)| Lens::of(declared.as_ref(), &rules, fields).0)
}

/// What a user does on the device.
#[derive(Clone, Debug)]
pub(super) enum Edit {
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
pub(super) struct Case {
    pub(super) base: Vec<u8>,
    pub(super) then: Lens,
    pub(super) now: Lens,
    pub(super) edits: Vec<Edit>,
    pub(super) writes: Version,
    pub(super) composes: bool,
    pub(super) other: Vec<Edit>,
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

pub(super) fn case() -> impl Strategy<Value = Case> {
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
    pub(super) fn held(&self) -> Vec<u8> {
        view(&view(&self.base, &self.then).unwrap(), &self.now).unwrap()
    }

    /// What it shows in the end.
    pub(super) fn shown(&self) -> Vec<u8> {
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
pub(super) fn edited(card: &[u8], writes: Version, edits: &[Edit]) -> Vec<u8> {
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
