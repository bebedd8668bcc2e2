//! From what a device says of itself, and what is known of it, to the rooms of its lens.

use super::room::{Room, Size};
use crate::contact::card::{Shape, canonical_name, shape};
use serde::{Deserialize, Serialize};

/// A photo of fewer bytes is none: Nokia 5800 and N97 declare 256 (field note 24).
const LEAST_BINARY: u64 = 1024;
/// A text field that cannot hold so much is a mistake of the declaration.
const LEAST_TEXT: u64 = 2;
/// The most properties of a declaration that are looked at.
const MAX_PROPERTIES: usize = 1024;

/// What a device declares that it can hold of one content type (CTCap, §3.19), of either dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The properties. None at all declares nothing.
    pub properties: Vec<DeclaredProperty>,
}

/// One declared property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredProperty {
    /// `PropName`.
    pub name: String,
    /// `MaxOccur`; 0 says nothing.
    pub max_occur: Option<u64>,
    /// `MaxSize` or `Size`, in bytes; 0 says nothing.
    pub max_size: Option<u64>,
    /// `NoTruncate`: what is too long is to be left out.
    pub no_truncate: bool,
    /// `ValEnum`.
    pub values: Vec<String>,
    /// Parameters with their `ValEnum`: `TYPE` with types (1.2), or the types themselves as names (1.1).
    pub params: Vec<(String, Vec<String>)>,
}

/// What is known of a device's fields besides what it declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The declaration is not to be believed.
    pub ignore_declared: bool,
    /// Declared sizes are not to be believed (field note 24).
    pub ignore_sizes: bool,
    /// Addresses are lost without `TYPE=INTERNET` (field note 18).
    pub mark_emails: bool,
    /// Properties cut at so many characters (field note 25).
    pub lengths: Vec<(String, u32)>,
    /// What a book holds, instead of what is declared (mission B3). Empty: no dimension rule.
    pub dimensions: Vec<Dimension>,
}

impl Rules {
    /// Adds what other rules say about the same device. Of what both settle, the first settlement stays.
    pub fn add(&mut self, later: &Self) {
        self.ignore_declared |= later.ignore_declared;
        self.ignore_sizes |= later.ignore_sizes;
        self.mark_emails |= later.mark_emails;
        if self.lengths.is_empty() {
            self.lengths.clone_from(&later.lengths);
        }
        if self.dimensions.is_empty() {
            self.dimensions.clone_from(&later.dimensions);
        }
    }
}

/// A dimension of a book: a property, or those of its instances that have all these types (mission B3). A mobile number is
/// TEL with CELL, a fixed one the TEL that no other dimension takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dimension {
    /// The property.
    pub property: String,
    /// The types it must have.
    pub types: Vec<String>,
    /// How many of them a record has; 0: any number.
    pub count: u32,
    /// How many characters each may have; 0: any number.
    pub length: u32,
}

/// A declaration that is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// No such value of this property could be of use with a size of so many bytes.
    Size(String, u64),
    /// More properties than are looked at.
    TooMany(usize),
}

/// The rooms, whether there are no others, and what was not believed.
pub(super) fn rooms(declared: Option<&Declared>, rules: &Rules) -> (bool, Vec<Room>, Vec<Doubt>) {
    let mut doubts = Vec::new();
    let mut rooms: Vec<Room> = Vec::new();
    let declared = declared.filter(|_| !rules.ignore_declared && rules.dimensions.is_empty());
    for dimension in &rules.dimensions {
        let mut kinds: Vec<String> = dimension.types.iter().map(|it| it.to_lowercase()).collect();
        kinds.sort_unstable();
        rooms.push(Room {
            name: name(&dimension.property),
            kinds,
            occur: (dimension.count > 0).then_some(dimension.count),
            size: (dimension.length > 0).then_some(Size::Chars(dimension.length)),
            ..Room::default()
        });
    }
    let properties = declared.map_or(&[][..], |it| &it.properties);
    if properties.len() > MAX_PROPERTIES {
        doubts.push(Doubt::TooMany(properties.len()));
    }
    for property in properties.iter().take(MAX_PROPERTIES) {
        if let Some(new) = room(property, rules, &mut doubts) {
            // A property may be declared several times, once for each of its types.
            match rooms.iter_mut().find(|old| old.name == new.name) {
                Some(old) => join(old, new),
                None => rooms.push(new),
            }
        }
    }
    let closed = !rooms.is_empty();
    for (property, length) in rules.lengths.iter().filter(|(_, length)| *length > 0) {
        let name = name(property);
        let mut found = false;
        for room in rooms.iter_mut().filter(|room| room.name == name) {
            (room.size, found) = (Some(Size::Chars(*length)), true);
        }
        if !found && !closed {
            rooms.push(Room { name, size: Some(Size::Chars(*length)), ..Room::default() });
        }
    }
    rooms.sort_by(|a, b| a.name.cmp(&b.name).then(b.kinds.len().cmp(&a.kinds.len())).then(a.kinds.cmp(&b.kinds)));
    (closed, rooms, doubts)
}

fn name(declared: &str) -> String {
    canonical_name(declared.trim()).to_ascii_uppercase()
}

fn room(property: &DeclaredProperty, rules: &Rules, doubts: &mut Vec<Doubt>) -> Option<Room> {
    let name = name(&property.name);
    if matches!(&*name, "" | "BEGIN" | "END" | "VERSION") {
        return None;
    }
    let least = if shape(&name) == Shape::Binary { LEAST_BINARY } else { LEAST_TEXT };
    let size = property.max_size.filter(|size| *size > 0 && !rules.ignore_sizes);
    let size = size.filter(|size| {
        if *size < least {
            doubts.push(Doubt::Size(name.clone(), *size));
        }
        *size >= least
    });
    let mut types: Vec<String> = Vec::new();
    for (param, values) in &property.params {
        match param.trim().to_ascii_uppercase().as_str() {
            "TYPE" => types.extend(values.iter().map(|value| value.trim().to_lowercase())),
            // The flat dialect names the types themselves; the others say how a value is written.
            "ENCODING" | "CHARSET" | "LANGUAGE" | "VALUE" | "QUOTED-PRINTABLE" | "BASE64" | "8BIT" => {}
            other if values.is_empty() && !other.starts_with("X-") => types.push(other.to_lowercase()),
            _ => {}
        }
    }
    types.retain(|it| !it.is_empty());
    types.sort_unstable();
    types.dedup();
    Some(Room {
        name,
        kinds: Vec::new(),
        types: (!types.is_empty()).then_some(types),
        values: property.values.iter().map(|value| value.trim().to_owned()).filter(|it| !it.is_empty()).collect(),
        occur: property.max_occur.filter(|occur| *occur > 0).map(|occur| u32::try_from(occur).unwrap_or(u32::MAX)),
        size: size.map(|size| Size::Bytes(u32::try_from(size).unwrap_or(u32::MAX))),
        whole: property.no_truncate,
    })
}

/// What either of two declarations of one property allows.
fn join(old: &mut Room, new: Room) {
    if let (Some(types), Some(more)) = (&mut old.types, new.types) {
        types.extend(more);
        types.sort_unstable();
        types.dedup();
    } else {
        old.types = None;
    }
    if old.values.is_empty() || new.values.is_empty() {
        old.values.clear();
    } else {
        old.values.extend(new.values);
    }
    old.occur = old.occur.zip(new.occur).map(|(one, other)| one.saturating_add(other));
    old.size = match (old.size, new.size) {
        (Some(Size::Bytes(one)), Some(Size::Bytes(other))) => Some(Size::Bytes(one.max(other))),
        _ => None,
    };
    old.whole &= new.whole;
}
