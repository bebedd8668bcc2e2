//! What a device showed although it did not declare it (law L5).
//!
//! It is kept apart from what was declared: a new declaration takes the place of the old one, and what was observed stays.
//! A length, or how many of a property there may be, is not observed: that is how much the device takes in a sync, and
//! that it has more of its own says nothing of it. Were it sent more, the cut that came back would no longer be the one at
//! the declared length, which tells an echo from an edit (L6, field note 25).

use super::Lens;
use super::room::Room;
use crate::contact::card::{Card, Property, canonical_name, decode_document};

/// The most rooms of which something is observed.
const MAX_ROOMS: usize = 128;
/// The most types, and values, of one of them.
const MAX_WORDS: usize = 64;
/// Bytes of the longest name, type or value that is remembered.
const MAX_WORD: usize = 128;

impl Lens {
    /// The lens with what a device shows now that it was not known to hold, as something observed; `None` if there is
    /// nothing new. It comes into force with the next [`Lens::with_observed`]: a lens is settled for a whole sync.
    ///
    /// What is observed are names of properties, their types, and values of those whose values are listed; never a length
    /// or a count. That a device has a longer value of its own, or one more, does not say that it takes as much in a sync:
    /// were it sent more than it declared, it would cut or drop that at a place nobody knows, and what came back would no
    /// longer be told from an edit, or a removal, by its user (laws L4 and L6, field note 25). At most 128
    /// properties are remembered, and 64 types and values of each, of 128 bytes; VERSION, UID, REV and PRODID never.
    pub fn observing(&self, shown: &[u8]) -> Option<Self> {
        if self.rooms.is_empty() {
            return None;
        }
        let content = decode_document(shown);
        let card = Card::parse(&content).ok()?;
        let mut wide = self.clone();
        for property in card.properties().iter().filter(|it| !it.is_empty()) {
            wide.observe(property);
        }
        (wide != *self).then_some(wide)
    }

    fn observe(&mut self, property: &Property<'_>) {
        let name = canonical_name(property.name()).to_ascii_uppercase();
        // Bookkeeping is no field: who writes it need not keep what it is sent.
        if matches!(&*name, "VERSION" | "UID" | "REV" | "PRODID") || name.len() > MAX_WORD {
            return;
        }
        let mut seen = Room { name, ..Room::default() };
        match self.rooms.iter().find(|room| room.takes(&seen.name, property)) {
            Some(room) => {
                seen.kinds.clone_from(&room.kinds);
                let types = property.types().map(|it| it.to_lowercase());
                let types: Vec<String> = types.filter(|it| !it.is_empty() && !room.knows(it)).collect();
                seen.types = (!types.is_empty()).then_some(types);
                let value = property.text().trim().to_owned();
                if room.values.iter().all(|known| !known.eq_ignore_ascii_case(&value)) && !room.values.is_empty() {
                    seen.values.push(value);
                }
                if seen.types.is_none() && seen.values.is_empty() {
                    return;
                }
            }
            None if !self.closed || matches!(&*seen.name, "N" | "FN") && self.names_are_implied() => return,
            None => {}
        }
        let place = self.observed.iter().position(|it| it.name == seen.name && it.kinds == seen.kinds);
        let place = place.unwrap_or(self.observed.len());
        if place == self.observed.len() && place < MAX_ROOMS {
            self.observed.push(Room { types: None, values: Vec::new(), ..seen.clone() });
        }
        let Some(known) = self.observed.get_mut(place) else { return };
        if let Some(types) = &seen.types {
            add(known.types.get_or_insert_default(), types);
        }
        add(&mut known.values, &seen.values);
        self.observed.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.kinds.cmp(&b.kinds)));
    }

    /// The lens with what was observed while another one was in force.
    #[must_use]
    pub fn with_observed(mut self, before: &Self) -> Self {
        if self.rooms.is_empty() {
            // It holds everything as it is.
            return self;
        }
        self.observed.clone_from(&before.observed);
        for seen in &before.observed {
            match self.rooms.iter_mut().find(|room| room.name == seen.name && room.kinds == seen.kinds) {
                Some(room) => {
                    if let (Some(types), Some(more)) = (&mut room.types, &seen.types) {
                        types.extend(more.iter().cloned());
                        types.sort_unstable();
                        types.dedup();
                    }
                    if !room.values.is_empty() {
                        let new = seen.values.iter().filter(|it| !room.values.contains(it)).cloned();
                        let new: Vec<String> = new.collect();
                        room.values.extend(new);
                    }
                }
                None if self.closed && seen.kinds.is_empty() => {
                    // Behind those of its name that are for some types only.
                    let place = self.rooms.iter().position(|room| room.name > seen.name).unwrap_or(self.rooms.len());
                    self.rooms.insert(place, Room { name: seen.name.clone(), ..Room::default() });
                }
                None => {}
            }
        }
        self
    }

    /// The lens after a device showed more than it declared: rooms for properties that had none, more types and values in
    /// those that had. A filter stays what was asked for, and so do lengths and counts.
    #[must_use]
    pub fn widened_by(&self, shown: &[u8]) -> Self {
        self.observing(shown).map_or_else(|| self.clone(), |seen| self.clone().with_observed(&seen))
    }
}

fn add(known: &mut Vec<String>, more: &[String]) {
    for word in more {
        if known.len() < MAX_WORDS && word.len() <= MAX_WORD && !known.contains(word) {
            known.push(word.clone());
        }
    }
    known.sort_unstable();
}
