//! The form in which cards of equal meaning are equal.
//!
//! A card becomes a set of lines `NAME label value params`. Lines are built in one buffer; sorting them and leaving out
//! repetitions makes the set, its hash the fingerprint.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::Fingerprint;
use super::keys::{is_rendering, push_number};
use crate::contact::card::{
    Card, Property, Shape, canonical, canonical_name, canonical_param, clean, is_derived, is_internal_param, stand_in,
    unpack,
};

/// Between components of a value.
const COMPONENT: u8 = 0x1E;

/// What a card's fingerprint begins with.
const PREFIX: &[u8] = b"syncml card 1";

/// Bytes of a label's hash.
const LABEL: usize = 16;

/// The lines of a card.
pub(in crate::contact) struct Canon {
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// One property, or one item of a list.
#[derive(Debug, Clone)]
struct Line {
    property: usize,
    start: usize,
    params: usize,
    end: usize,
}

impl Canon {
    /// Between the parts of a line: name, label, value, then each parameter.
    pub(in crate::contact) const PART: u8 = 0x1F;

    /// Reads a card. Properties that say nothing (empty, VERSION, PRODID, REV, UID) have no line.
    pub(in crate::contact) fn of(card: &Card<'_>) -> Self {
        let lines = Vec::with_capacity(card.properties().len());
        let mut this = Self { text: Vec::with_capacity(card.body().len()), lines };
        let labels = Labels::of(card);
        let names = Names::of(card);
        let mut params = Vec::new();
        for (at, property) in card.properties().iter().enumerate() {
            let (name, shape) = canonical(property.name());
            let absorbed = || labels.absorbs(property) || matches!(name, "N" | "FN") && is_derived(card, property);
            if !says_something_as(name, property) || absorbed() {
                continue;
            }
            match name {
                "FN" if names.fn_at == Some(at) && names.fn_is_derived => continue,
                "N" if names.n_at == Some(at) && names.n_is_derived => continue,
                "N" if names.n_at == Some(at) && names.single.is_some() => {
                    // One word of a name has no place of its own: phones put it into family, given or FN as they like.
                    let single = names.single.as_deref().unwrap_or_default();
                    this.line(at, ("FN", shape), &labels, property, &mut params, |out| push_nfc(single, out));
                }
                _ if shape == Shape::List && !property.is_binary() => {
                    for item in Self::items(&property.text()) {
                        this.line(at, (name, shape), &labels, property, &mut params, |out| push_nfc(item, out));
                    }
                }
                _ => {
                    this.line(at, (name, shape), &labels, property, &mut params, |out| push_value(shape, property, out))
                }
            }
        }
        this
    }

    /// The hash of the set of lines.
    pub(in crate::contact) fn fingerprint(&self) -> Fingerprint {
        let mut lines: Vec<&[u8]> = self.lines.iter().map(|line| &self.text[line.start..line.end]).collect();
        lines.sort_unstable();
        lines.dedup();
        // Put together first: to hash many small pieces takes longer.
        let mut set = Vec::with_capacity(PREFIX.len() + self.text.len() + lines.len() * size_of::<u64>());
        set.extend_from_slice(PREFIX);
        for line in lines {
            set.extend_from_slice(&(line.len() as u64).to_be_bytes());
            set.extend_from_slice(line);
        }
        Fingerprint::finish(Sha256::new_with_prefix(set))
    }

    /// The items of a list that say something. An escaped comma separates as well, since 2.1 cannot escape it.
    pub(in crate::contact) fn items(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').map(str::trim).filter(|item| item.contains(|char: char| char != ';' && !char.is_whitespace()))
    }

    /// Is this property a label of the others in its group?
    pub(in crate::contact) fn is_label(property: &Property<'_>) -> bool {
        is_label(property)
    }

    /// Does this property say anything about the contact? Empty ones and bookkeeping do not.
    pub(in crate::contact) fn says_something(property: &Property<'_>) -> bool {
        says_something(property)
    }

    /// The name in a line.
    pub(in crate::contact) fn name(line: &[u8]) -> &[u8] {
        line.split(|byte| *byte == Self::PART).next().unwrap_or_default()
    }

    /// The label in a line: a hash, or nothing.
    pub(in crate::contact) fn label(line: &[u8]) -> &[u8] {
        let rest = line.get(Self::name(line).len() + 1..).unwrap_or_default();
        if rest.first() == Some(&Self::PART) { &[] } else { rest.get(..LABEL).unwrap_or_default() }
    }

    /// The line without its label.
    pub(in crate::contact) fn unlabelled(line: &[u8]) -> Vec<u8> {
        let at = Self::name(line).len() + 1;
        let (name, rest) = line.split_at(at.min(line.len()));
        [name, rest.get(Self::label(line).len()..).unwrap_or_default()].concat()
    }

    /// The components of the value in a line without parameters.
    pub(in crate::contact) fn components(line: &[u8]) -> impl Iterator<Item = &[u8]> {
        let value = line.get(Self::name(line).len() + Self::label(line).len() + 2..).unwrap_or_default();
        value.split(|byte| *byte == COMPONENT)
    }

    /// For every line: the property it comes from, what it is (name, label, value), and all of it with parameters.
    pub(in crate::contact) fn lines(&self) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
        self.lines
            .iter()
            .map(|line| (line.property, &self.text[line.start..line.params], &self.text[line.start..line.end]))
    }

    fn line(
        &mut self,
        at: usize,
        (name, shape): (&str, Shape),
        labels: &Labels,
        property: &Property<'_>,
        scratch: &mut Vec<String>,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.text.len();
        self.text.extend(name.bytes().map(|byte| byte.to_ascii_uppercase()));
        self.text.push(Self::PART);
        // N and FN stand for each other, so a label of one of them says nothing.
        if !matches!(name, "N" | "FN")
            && let Some(label) = labels.of_property(property)
        {
            self.text.extend_from_slice(&label);
        }
        self.text.push(Self::PART);
        let from = self.text.len();
        value(&mut self.text);
        let params = self.text.len();
        if params == from {
            self.text.truncate(start);
            return;
        }
        read_params(name, shape, property, scratch);
        for param in scratch.drain(..) {
            self.text.push(Self::PART);
            push_nfc(&param, &mut self.text);
        }
        self.lines.push(Line { property: at, start, params, end: self.text.len() });
    }
}

/// Appends a text in Unicode NFC.
fn push_nfc(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut utf8 = [0; 4];
    for char in text.nfc() {
        out.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
    }
}

fn push_value(shape: Shape, property: &Property<'_>, out: &mut Vec<u8>) {
    match shape {
        _ if property.is_binary() => match property.binary() {
            Some(bytes) => {
                out.extend_from_slice(b"data ");
                out.extend_from_slice(&Sha256::digest(&bytes));
            }
            None => {
                let text = property.base64_text().unwrap_or_default();
                out.extend_from_slice(String::from_utf8_lossy(&text).as_bytes());
            }
        },
        Shape::Structured => push_components(property, out),
        Shape::Phone => {
            let text = property.text();
            let before = out.len();
            push_number(&text, out);
            if out.len() == before {
                let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
                push_nfc(text[if scheme { 4 } else { 0 }..].trim(), out);
            }
        }
        Shape::Date => push_date(property, out),
        Shape::Geo => push_point(&property.text(), out),
        _ => push_nfc(property.text().trim(), out),
    }
}

fn push_components(property: &Property<'_>, out: &mut Vec<u8>) {
    let mut keep = out.len();
    let mut separator = None;
    property.each_component(|component| {
        out.extend(separator.replace(COMPONENT));
        let component = component.trim();
        if !component.is_empty() {
            push_nfc(component, out);
            keep = out.len();
        }
    });
    out.truncate(keep);
}

/// Dates without separators (`1980-03-22` is `19800322`), without a time of midnight, and without the year Apple writes
/// for "none" (field note 21).
fn push_date(property: &Property<'_>, out: &mut Vec<u8>) {
    let text = property.text();
    let text = text.trim();
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    if !date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') || date.is_empty() {
        push_nfc(text, out);
        return;
    }
    let omitted = property.param("X-APPLE-OMIT-YEAR").filter(|year| date.starts_with(&**year));
    let rest = match &omitted {
        Some(year) => {
            out.extend_from_slice(b"--");
            &date[year.len()..]
        }
        None => {
            let partial = date.bytes().take_while(|&byte| byte == b'-').count();
            out.extend_from_slice(&date.as_bytes()[..partial]);
            &date[partial..]
        }
    };
    // `1985-04` must not become a year-less day.
    let dashes = rest.len() == 7 && rest.as_bytes()[4] == b'-';
    out.extend(rest.bytes().filter(|&byte| byte != b'-' || dashes));
    let time: String = time.chars().filter(|&char| char != ':').collect();
    if !matches!(time.as_str(), "" | "000000" | "000000Z" | "00" | "0000") {
        out.push(b'T');
        out.extend_from_slice(time.as_bytes());
    }
}

/// Two coordinates, with or without the scheme `geo:`.
fn push_point(text: &str, out: &mut Vec<u8>) {
    let text = text.trim();
    let point = text.strip_prefix("geo:").unwrap_or(text);
    let parts: Option<(f64, f64)> =
        point.split_once([',', ';']).and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match parts {
        Some((latitude, longitude)) => out.extend_from_slice(format!("{latitude};{longitude}").as_bytes()),
        None => push_nfc(point, out),
    }
}

/// Parameters that mean something, in order: types in small letters without the default ones, PREF, then the others.
fn read_params(name: &str, shape: Shape, property: &Property<'_>, out: &mut Vec<String>) {
    let date = shape == Shape::Date;
    let binary = shape == Shape::Binary || property.is_binary();
    let mut preference: Option<String> = None;
    for param in property.params() {
        if param.is("TYPE") {
            param.values().for_each(|value| read_param(name, binary, "TYPE", &value, &mut preference, out));
            continue;
        }
        let written = clean(param.name());
        let own = canonical_param(&written);
        let passed_over = |own: &str| is_internal_param(own) || date && own.eq_ignore_ascii_case("X-APPLE-OMIT-YEAR");
        if passed_over(own) {
            continue;
        }
        for value in param.values() {
            match unpack(own, &value) {
                Some((own, _)) if passed_over(&own) => {}
                Some((own, value)) => read_param(name, binary, &own, &value, &mut preference, out),
                None => read_param(name, binary, own, &value, &mut preference, out),
            }
        }
    }
    match preference {
        Some(value) if value == "1" => out.push("pref".to_owned()),
        Some(value) => out.push(format!("PREF={value}")),
        None => {}
    }
    out.sort_unstable();
    out.dedup();
}

fn read_param(
    property: &str,
    binary: bool,
    name: &str,
    value: &str,
    preference: &mut Option<String>,
    out: &mut Vec<String>,
) {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    if is("TYPE") && value.eq_ignore_ascii_case("PREF") {
        preference.get_or_insert_with(|| "1".to_owned());
    } else if is("TYPE") {
        push_type(property, binary, value, out);
    } else if is("PREF") || is("X-PREF") {
        *preference = Some(value.trim().to_owned());
    } else if !is("VALUE") && !is("MEDIATYPE") {
        out.push(format!("{}={}", canonical_param(name).to_ascii_uppercase(), value.trim()));
    }
}

fn push_type(name: &str, binary: bool, value: &str, out: &mut Vec<String>) {
    let mut value = value.to_lowercase();
    if value == "mobile" {
        value = "cell".to_owned();
    }
    let default = match name {
        // The type of the picture is in the picture.
        _ if binary => true,
        "TEL" => value == "voice",
        "EMAIL" => matches!(value.as_str(), "internet" | "email"),
        "ADR" | "LABEL" => matches!(value.as_str(), "intl" | "postal" | "parcel"),
        _ => false,
    };
    if !default && !value.is_empty() {
        out.push(value);
    }
}

/// Groups bind a label to a property (`item1.X-ABLabel`). What a property's group says about it is hashed into 16 bytes;
/// the name of the group means nothing.
struct Labels {
    /// Lower-case group, hash of its labels if it has any, whether it has anything to label. Sorted.
    groups: Vec<(String, Option<[u8; 16]>, bool)>,
}

impl Labels {
    fn of(card: &Card<'_>) -> Self {
        let mut members: Vec<(String, bool, &Property<'_>)> = card
            .properties()
            .iter()
            .filter_map(|property| Some((property.group()?.to_ascii_lowercase(), is_label(property), property)))
            .collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        let mut groups = Vec::new();
        for group in members.chunk_by(|a, b| a.0 == b.0) {
            let mut labels: Vec<(String, String)> = group
                .iter()
                .filter(|(_, is_label, property)| *is_label && !property.is_empty())
                .map(|(_, _, property)| (property.name().to_ascii_uppercase(), property.text().trim().nfc().collect()))
                .collect();
            labels.sort_unstable();
            labels.dedup();
            let mut hash = Sha256::new();
            for (name, text) in &labels {
                hash.update(name);
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
            let mut digest = (!labels.is_empty()).then(|| Fingerprint::finish(hash).0);
            // A line begins its value where it would begin its label, if it has none.
            if let Some([first, ..]) = digest.as_mut().filter(|label| label[0] == Canon::PART) {
                *first = !Canon::PART;
            }
            groups.push((
                group[0].0.clone(),
                digest,
                group.iter().any(|(_, is_label, it)| !is_label && says_something(it)),
            ));
        }
        Self { groups }
    }

    fn find(&self, property: &Property<'_>) -> Option<&(String, Option<[u8; 16]>, bool)> {
        let group = property.group()?.to_ascii_lowercase();
        let at = self.groups.binary_search_by(|it| it.0.cmp(&group)).ok()?;
        Some(&self.groups[at])
    }

    /// Is this a label that its group's other properties carry?
    fn absorbs(&self, property: &Property<'_>) -> bool {
        !self.groups.is_empty() && is_label(property) && self.find(property).is_some_and(|group| group.2)
    }

    fn of_property(&self, property: &Property<'_>) -> Option<[u8; 16]> {
        if self.groups.is_empty() || is_label(property) {
            return None;
        }
        self.find(property)?.1
    }
}

fn says_something(property: &Property<'_>) -> bool {
    says_something_as(canonical_name(property.name()), property)
}

/// The same, where its canonical name is known.
fn says_something_as(name: &str, property: &Property<'_>) -> bool {
    !matches!(name, "VERSION" | "PRODID" | "REV" | "UID") && !property.is_empty()
}

fn is_label(property: &Property<'_>) -> bool {
    property.is("X-ABLabel") || property.is("X-ABADR")
}

/// What N and FN say together: FN that only repeats N is no information, one word may stand in either, and a name that
/// only repeats what a nameless card is listed under (company, address, number) is none.
struct Names {
    n_at: Option<usize>,
    n_is_derived: bool,
    fn_at: Option<usize>,
    fn_is_derived: bool,
    /// The only component of N, if FN adds nothing to it.
    single: Option<String>,
}

impl Names {
    fn of(card: &Card<'_>) -> Self {
        let place = |name: &str| {
            let says = |it: &Property<'_>| it.is(name) && !it.is_empty() && !it.is_binary() && !is_derived(card, it);
            card.properties().iter().position(says)
        };
        let (n_at, fn_at) = (place("N"), place("FN"));
        let components = n_at.map(|at| card.properties()[at].parts()).unwrap_or_default();
        let full: Option<Cow<'_, str>> = fn_at.map(|at| card.properties()[at].text());
        let repeats = n_at.is_some() && full.as_ref().is_some_and(|full| is_rendering(full, &components));
        let mut filled = components.iter().map(|component| component.trim()).filter(|component| !component.is_empty());
        let single = match (filled.next(), filled.next()) {
            (Some(only), None) if fn_at.is_none() || repeats => Some(only.to_owned()),
            _ => None,
        };
        let only = single.as_deref().or_else(|| full.as_deref().filter(|_| n_at.is_none()));
        let borrowed = only.is_some_and(|only| stand_in(card).is_some_and(|text| text.trim() == only.trim()));
        Self { n_at, n_is_derived: borrowed, fn_at, fn_is_derived: repeats || borrowed, single }
    }
}

#[cfg(test)]
impl Canon {
    /// The lines as text, for failure messages about made-up cards.
    pub(in crate::contact) fn show(&self) -> Vec<String> {
        self.lines().map(|(_, _, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }
}
