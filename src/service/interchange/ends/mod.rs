//! Ends of a book: documents and the systems of customers, brought up to date when another end changes (mission I8).
//!
//! An [`End`] is an own [`Book`] that need not hold all of a card: a table has its columns, a customer system its fields. One of
//! them in step with the store's book is a [`turn`]: what is new in it is imported, as a file would be; what was changed or
//! removed in it is changed or removed in the book; and what others did – another end, a device, the console – is brought out to
//! it. What it does not hold stays in the book as it is.
//!
//! No circle: the store knows of each entry which version it was given, so that what a turn wrote is no change at the next one;
//! and an end that has nothing new changes nothing. When to take turns is the host's business: when an end or the book changed.

mod document;
#[cfg(test)]
mod tests;
mod wide;

pub use document::Document;

use super::into::Import;
use super::{Choice, Imported};
use crate::message::Timestamp;
use crate::store::replica::{
    Book, BookOp, Known, Prefer, ReplicaError, ReplicaOptions, ReplicaReport, collect, deliver, known,
};
use crate::store::{AccountNo, BookNo, Store};
use std::collections::HashMap;
use wide::Wide;

/// An end: who implements it for a customer system lists what there is ([`Book::entries`], with whatever changes when an entry
/// does), gets ([`Book::read`]), and puts, adds and removes ([`Book::apply`]).
pub trait End: Book {
    /// What it would show of a card that it was given.
    ///
    /// # Errors
    /// A sentence for the user: the card cannot be held at all.
    fn shown(&self, card: &[u8]) -> Result<Vec<u8>, String>;

    /// Is told before each turn what it had at the end of the last one: by ids, with digests of the versions
    /// ([`digest`](crate::store::replica::digest)); `card` gives what an entry was. For ends whose entries have no ids of their
    /// own.
    fn recall(&mut self, _known: &HashMap<String, Known>, _card: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {}
}

/// The book that ends are ends of.
#[derive(Clone, Copy)]
pub struct Centre<'c> {
    /// The store.
    pub store: &'c dyn Store,
    /// The account.
    pub account: AccountNo,
    /// The book, one of contacts.
    pub book: BookNo,
}

/// How an end is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndOptions {
    /// What it is called in the history and in the store: lower-case letters, digits, `.`, `-` and `_`; always the same.
    pub name: String,
    /// What becomes of its contacts that the book has with other details; and where both changed the same of a contact,
    /// [`Choice::Overwrite`] lets the end's word stand, any other the book's. What lost is in the history.
    pub choice: Choice,
    /// Let an end that was emptied, or lost most of its entries, delete as many contacts.
    pub allow_mass_delete: bool,
}

impl EndOptions {
    /// Those of the end of that name, which merges.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), choice: Choice::Merge, allow_mass_delete: false }
    }

    /// The same with another choice.
    #[must_use]
    pub fn choice(self, choice: Choice) -> Self {
        Self { choice, ..self }
    }

    /// The same, with mass deletion allowed or not.
    #[must_use]
    pub fn allow_mass_delete(self, allow: bool) -> Self {
        Self { allow_mass_delete: allow, ..self }
    }

    fn replica(&self) -> ReplicaOptions {
        let prefer = if self.choice == Choice::Overwrite { Prefer::Incoming } else { Prefer::Current };
        ReplicaOptions::default().named(self.name.clone()).prefer(prefer).allow_mass_delete(self.allow_mass_delete)
    }
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Turned {
    /// What became of contacts that were new in the end.
    pub imported: Imported,
    /// What else was changed or removed in the end.
    pub collected: ReplicaReport,
    /// What the end was given.
    pub delivered: ReplicaReport,
}

impl Turned {
    /// Whether anything was changed, here or there.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let changes = |it: &ReplicaReport| it.added + it.changed + it.deleted;
        let Imported { added, overwritten, merged, beside, .. } = self.imported;
        added + overwritten + merged + beside + changes(&self.collected) + changes(&self.delivered) == 0
    }

    /// What could not be done, with the reasons.
    pub fn skipped(&self) -> impl Iterator<Item = &(String, String)> {
        self.collected.skipped.iter().chain(&self.delivered.skipped)
    }
}

/// Brings an end and the book in step, each way.
///
/// # Errors
/// [`ReplicaError`]: of the store, of the end in its own words, or too many entries that vanished. What was done before stays
/// done; another turn does the rest.
pub fn turn(
    centre: Centre<'_>,
    end: &mut dyn End,
    options: &EndOptions,
    now: Timestamp,
) -> Result<Turned, ReplicaError> {
    let Centre { store, account, book } = centre;
    let replica = options.replica();
    let known = known(store, account, book, &replica, None)?;
    end.recall(&known, &mut |id| wide::given(centre, known.get(id)?).ok().flatten());
    let mut turned = Turned { imported: bring_in(centre, end, options, &known, now)?, ..Turned::default() };
    let mut wide = Wide::new(centre, end, options, known);
    turned.collected = collect(store, account, book, &mut wide, &replica, now)?;
    turned.delivered = deliver(store, account, book, &mut wide, &replica, now)?;
    let owed = wide.owed()?;
    if !owed.is_empty() {
        let ops: Vec<BookOp<'_>> = owed
            .iter()
            .map(|owed| BookOp::Replace { id: &owed.id, expected: &owed.version, content: &owed.card })
            .collect();
        let done = wide.apply(&ops).map_err(ReplicaError::Book)?;
        wide.persist().map_err(ReplicaError::Book)?;
        turned.delivered.changed += done.len() as u64;
        // So that what they are now is known.
        collect(store, account, book, &mut wide, &replica, now)?;
    }
    Ok(turned)
}

/// Imports what the end has that it was not given.
fn bring_in(
    centre: Centre<'_>,
    end: &mut dyn End,
    options: &EndOptions,
    known: &HashMap<String, Known>,
    now: Timestamp,
) -> Result<Imported, ReplicaError> {
    let entries = end.entries().map_err(ReplicaError::Book)?;
    let mut new = entries.into_iter().filter(|entry| !known.contains_key(&entry.id)).peekable();
    if new.peek().is_none() {
        return Ok(Imported::default());
    }
    let mut choice = options.choice;
    let import = Import::builder(centre.store, centre.account, centre.book).named(&options.name);
    let mut import = import.begin(now, &mut choice)?;
    for entry in new {
        // What cannot be read is told when it is collected.
        if let Ok(Some(card)) = end.read(&entry.id) {
            import.put(card)?;
        }
    }
    Ok(import.finish()?.0)
}
