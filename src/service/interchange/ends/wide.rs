//! An end seen as if it held whole cards.

use super::{Centre, Choice, End, EndOptions, Known};
use crate::contact::card::{Card, Editor, Property, PropertyBuf};
use crate::contact::identity::MatchRules;
use crate::contact::merge::{Prefer, merge3, same_meaning};
use crate::service::interchange::COLUMN_NAME;
use crate::service::interchange::into::{Here, look};
use crate::store::replica::{Applied, Book, BookOp, Entry, ReplicaError, ReplicaOptions, known, stands_for};
use crate::store::{Draft, Guid, StoreError};
use std::collections::{HashMap, HashSet};

/// What it reads is what the end's entries mean for whole cards: an entry that was changed is the card it was given, with that
/// change; a new one that stands for a contact of the book is that contact.
pub(super) struct Wide<'w> {
    centre: Centre<'w>,
    end: &'w mut dyn End,
    options: ReplicaOptions,
    choice: Choice,
    known: HashMap<String, Known>,
    /// Contacts that new entries turned out to be.
    taken: HashSet<Guid>,
    /// Entries that show something else than what they are bound to.
    behind: HashMap<String, Option<Guid>>,
}

/// What an entry is to be given.
pub(super) struct Owed {
    pub(super) id: String,
    pub(super) version: Vec<u8>,
    pub(super) card: Vec<u8>,
}

/// The card that an entry was given; where that is not kept any more, the contact as it is.
pub(super) fn given(centre: Centre<'_>, known: &Known) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = None;
    centre.store.look(centre.account, &mut |tx| {
        let past = tx.revisions(centre.book, &[(known.guid, known.agreed)])?.pop().flatten();
        found = match past.filter(|past| !past.deleted) {
            Some(past) => Some(past.content.to_vec()),
            None => {
                let item = tx.items(centre.book, &[known.guid])?.pop().flatten();
                item.filter(|item| !item.deleted).map(|item| item.content.into_owned())
            }
        };
        Ok(())
    })?;
    Ok(found)
}

impl<'w> Wide<'w> {
    pub(super) fn new(
        centre: Centre<'w>,
        end: &'w mut dyn End,
        options: &EndOptions,
        known: HashMap<String, Known>,
    ) -> Self {
        let (taken, behind) = (HashSet::new(), HashMap::new());
        Self { centre, end, options: options.replica(), choice: options.choice, known, taken, behind }
    }

    /// What an entry means that was given a card, and shows this now.
    fn meant(&mut self, id: &str, given: Vec<u8>, shown: Vec<u8>) -> Result<Vec<u8>, String> {
        let before = self.end.shown(&given)?;
        if before == shown {
            return Ok(given);
        }
        let (was, is) = (in_terms_of(&given, &before), in_terms_of(&given, &shown));
        let Some(merged) = merge3(&was, &given, &is, Prefer::Incoming) else { return Ok(shown) };
        let meant = if merged.changed { merged.content } else { given };
        if !same_meaning(&self.end.shown(&meant)?, &shown) {
            self.behind.insert(id.to_owned(), None);
        }
        Ok(meant)
    }

    /// The contact of the book that a new entry stands for; `None` if another entry does already, or it is to be left out.
    fn found(&mut self, id: &str, shown: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        let Centre { store, account, book } = self.centre;
        let mut here = Here::Nothing;
        store.look(account, &mut |tx| {
            let draft = Draft::of(book, shown.as_slice());
            here = look(tx, book, &[draft], &MatchRules::default())?.pop().unwrap_or(Here::Nothing);
            Ok(())
        })?;
        let Some(guid) = here.guid() else { return Ok(Some(shown)) };
        let bound = stands_for(store, account, book, &self.options, guid)?.is_some();
        let leaves = matches!(here, Here::Other(_)) && self.choice == Choice::Skip;
        if bound || leaves || !self.taken.insert(guid) {
            return Ok(None);
        }
        let Some(card) = self.card(guid)? else { return Ok(Some(shown)) };
        // What it would show takes writing a document.
        if card != shown && !self.end.shown(&card).is_ok_and(|would| same_meaning(&would, &shown)) {
            self.behind.insert(id.to_owned(), Some(guid));
        }
        Ok(Some(card))
    }

    /// A contact as it is.
    fn card(&self, guid: Guid) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = None;
        self.centre.store.look(self.centre.account, &mut |tx| {
            let item = tx.items(self.centre.book, &[guid])?.pop().flatten();
            found = item.filter(|item| !item.deleted).map(|item| item.content.into_owned());
            Ok(())
        })?;
        Ok(found)
    }

    /// What entries are to be given, because they show something else than their contacts say.
    pub(super) fn owed(&mut self) -> Result<Vec<Owed>, ReplicaError> {
        let mut owed = Vec::new();
        let mut behind: Vec<_> = std::mem::take(&mut self.behind).into_iter().collect();
        behind.sort();
        for (id, guid) in behind {
            let guid = guid.or_else(|| self.known.get(&id).map(|known| known.guid));
            let Some(card) = guid.map(|guid| self.card(guid)).transpose()?.flatten() else { continue };
            let version = self.end.versions(&[&id]).map_err(ReplicaError::Book)?.pop().flatten();
            let shown = self.end.read(&id).map_err(ReplicaError::Book)?;
            let (Some(version), Some(shown)) = (version, shown) else { continue };
            let would = self.end.shown(&card).map_err(ReplicaError::Book)?;
            if !same_meaning(&would, &shown) {
                owed.push(Owed { id, version, card });
            }
        }
        Ok(owed)
    }
}

impl Book for Wide<'_> {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        self.end.entries()
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.end.versions(ids)
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(shown) = self.end.read(id)? else { return Ok(None) };
        let failed = |error: StoreError| error.to_string();
        // What is known may be of this turn.
        let Centre { store, account, book } = self.centre;
        let mut known = known(store, account, book, &self.options, Some(&[id])).map_err(failed)?;
        let Some(known) = known.remove(id) else { return self.found(id, shown).map_err(failed) };
        match given(self.centre, &known).map_err(failed)? {
            Some(given) => self.meant(id, given, shown).map(Some),
            // Others deleted it, and what it was is not kept any more: it comes back as far as it is here.
            None => Ok(Some(shown)),
        }
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        self.end.apply(ops)
    }

    fn is_durable(&self) -> bool {
        self.end.is_durable()
    }

    fn persist(&mut self) -> Result<(), String> {
        self.end.persist()
    }
}

/// What an end shows, where it says just what the card says, with all that the card says about it: that a number is preferred is
/// no change, though the end cannot hold it.
fn in_terms_of(given: &[u8], shown: &[u8]) -> Vec<u8> {
    let (Ok(card), Ok(parsed)) = (Card::parse(given), Card::parse(shown)) else { return shown.to_vec() };
    let mut editor = Editor::new(&parsed);
    let mut open: Vec<&Property<'_>> = card.properties().iter().filter(|it| it.group().is_none()).collect();
    for (at, property) in parsed.properties().iter().enumerate().filter(|(_, it)| it.group().is_none()) {
        if let Some(found) = open.iter().position(|it| it.is(property.name()) && said(it) == said(property)) {
            editor.replace(at, &PropertyBuf::from(open.remove(found)));
        }
    }
    editor.finish()
}

/// What a property says, to the letter; of a column that no field is known for with its name.
fn said(property: &Property<'_>) -> (Vec<String>, Option<String>) {
    let mut parts: Vec<String> = property.components().iter().map(|part| part.trim().to_owned()).collect();
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    (parts, property.param(COLUMN_NAME).map(|name| name.into_owned()))
}
