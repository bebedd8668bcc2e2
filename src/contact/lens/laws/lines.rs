//! What cards say, and how it is compared.

use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization as _;

use crate::contact::card::{Card, Property, Shape, canonical_name, shape};
use crate::contact::identity::Canon;
use crate::contact::lens::Lens;
use crate::contact::lens::view::Sight;

/// A line of a card, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// Name, label, value.
    pub(super) is: Vec<u8>,
    /// The property that it comes from.
    pub(super) at: usize,
}

pub(super) fn is_name(property: &Property<'_>) -> bool {
    matches!(canonical_name(property.name()), "N" | "FN")
}

/// What a card says besides the name.
pub(super) fn lines(card: &Card<'_>) -> Vec<Line> {
    let canon = Canon::of(card);
    let lines = canon.lines().filter(|(at, ..)| !is_name(&card.properties()[*at]));
    lines.map(|(at, is, _)| Line { is: is.to_vec(), at }).collect()
}

/// What is to be seen of a card, by the properties that it comes from.
pub(super) fn seen(card: &Card<'_>, lens: &Lens) -> Vec<Line> {
    let sight = Sight::of(lens, card);
    let (places, bytes) = (sight.places(), sight.write());
    let view = Card::parse(&bytes).unwrap();
    assert_eq!(places.len(), view.properties().len());
    lines(&view).into_iter().map(|line| Line { at: places[line.at], ..line }).collect()
}

pub(super) fn said(lines: &[Line]) -> BTreeSet<&[u8]> {
    lines.iter().map(|line| &*line.is).collect()
}

/// Is one the other with more in some of its components, because less of it is cut now, or without its label, if the
/// device had none?
pub(super) fn extends(more: &[u8], less: &[u8], labels: bool) -> bool {
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
pub(super) fn by_property(card: &Card<'_>) -> BTreeMap<usize, Vec<Vec<u8>>> {
    let mut map: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    lines(card).into_iter().for_each(|line| map.entry(line.at).or_default().push(line.is));
    map
}

pub(super) fn show(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}

pub(super) fn is_list(card: &Card<'_>, at: usize) -> bool {
    shape(canonical_name(card.properties()[at].name())) == Shape::List
}
