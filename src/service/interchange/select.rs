//! What of a file's contacts is taken, and contacts that are one (mission I2).

use super::field::Field;
use crate::contact::identity::{Kind, Likeness, MatchRules, compare_items, identify};
use crate::contact::lens::{Fields, Lens, view};
use crate::contact::merge::union;
use crate::contact::search::{Query, searchable};
use std::collections::HashMap;

/// Chooses contacts, and what of each.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Only contacts that a search for this finds.
    pub query: Option<Query>,
    /// Only these fields, by their properties; a name is always among them.
    pub fields: Option<Vec<Field>>,
}

impl Selection {
    /// What is taken of a contact; `None` if nothing.
    #[must_use]
    pub fn take(&self, card: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(query) = &self.query {
            query.matches(&searchable(Kind::Contact, &card))?;
        }
        let Some(fields) = &self.fields else { return Some(card) };
        let lens = Lens::from(Fields::of_names(fields.iter().map(Field::property)));
        view(&card, &lens)
    }
}

/// Makes one of contacts that are one: same name, and a number in common. What only one of them says is in the result; what
/// they say otherwise where a card has place for one keeps them apart. All are in memory until the end.
#[derive(Debug, Default)]
pub struct Combiner {
    cards: Vec<Vec<u8>>,
    known: HashMap<u64, Vec<usize>>,
    combined: u64,
}

/// The most contacts under one key that are compared.
const MOST: usize = 32;

impl Combiner {
    /// Takes a contact.
    pub fn put(&mut self, card: Vec<u8>) {
        let keys = identify(Kind::Contact, &card).keys;
        let near = keys.iter().flat_map(|key| self.known.get(&key.0).into_iter().flatten().copied());
        let mut near: Vec<usize> = near.collect();
        near.sort_unstable();
        near.dedup();
        let rules = MatchRules::default();
        for at in near {
            if compare_items(Kind::Contact, &self.cards[at], &card, &rules).likeness > Likeness::Strong {
                continue;
            }
            if let Some(merged) = union(&self.cards[at], &card)
                && merged.conflicts.is_empty()
            {
                self.cards[at] = merged.content;
                self.combined += 1;
                return self.index(at);
            }
        }
        self.cards.push(card);
        self.index(self.cards.len() - 1);
    }

    fn index(&mut self, at: usize) {
        for key in identify(Kind::Contact, &self.cards[at]).keys {
            let known = self.known.entry(key.0).or_default();
            if known.len() < MOST && !known.contains(&at) {
                known.push(at);
            }
        }
    }

    /// How many went into others.
    #[must_use]
    pub const fn combined(&self) -> u64 {
        self.combined
    }

    /// The contacts, in the order in which each came first.
    #[must_use]
    pub fn finish(self) -> Vec<Vec<u8>> {
        self.cards
    }
}

#[cfg(test)]
mod tests {
    use super::{Combiner, Selection};

    fn card(lines: &str) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n")).into_bytes()
    }

    #[test]
    fn i2_records_and_fields_are_chosen() {
        let mut selection = Selection { query: Some("ann 701".parse().unwrap()), fields: None };
        let ann = card("FN:Ann Doe\nTEL:070 1740601\nNOTE:sails");
        assert_eq!(selection.take(ann.clone()), Some(ann.clone()));
        assert_eq!(selection.take(card("FN:Ben\nTEL:0701740601")), None);
        selection.fields = Some(vec!["tel.mobile".parse().unwrap()]);
        let taken = String::from_utf8(selection.take(ann).unwrap()).unwrap();
        assert!(taken.contains("FN:Ann Doe") && taken.contains("TEL") && !taken.contains("NOTE"), "{taken}");
    }

    #[test]
    fn i2_records_of_one_contact_are_combined_without_loss() {
        let mut combiner = Combiner::default();
        combiner.put(card("FN:Ann Doe\nTEL:0701740601"));
        combiner.put(card("FN:Ben\nTEL:0701740601"));
        combiner.put(card("FN:Ann Doe\nTEL:0701740601\nEMAIL:ann@example.org"));
        combiner.put(card("FN:Ann Doe\nTEL:0701740601\nTITLE:Captain"));
        combiner.put(card("FN:Ann Doe\nTEL:0701740601\nTITLE:Cook"));
        assert_eq!(combiner.combined(), 2);
        let cards: Vec<String> = combiner.finish().into_iter().map(|card| String::from_utf8(card).unwrap()).collect();
        assert_eq!(cards.len(), 3);
        assert!(cards[0].contains("EMAIL") && cards[0].contains("Captain") && cards[2].contains("Cook"), "{cards:?}");
    }
}
