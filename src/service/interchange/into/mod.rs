//! Into a book (mission I5): what is there already is left alone, what is new is added, and about what differs somebody decides.

mod rehearse;
mod scan;

use super::record::DERIVED;
use crate::contact::card::{Card, Editor};
use crate::contact::identity::MatchRules;
use crate::contact::lens::patch;
use crate::contact::merge::union;
use crate::message::Timestamp;
use crate::store::{
    AccountNo, BookNo, BookWriter, DeviceNo, Draft, Guid, ItemRow, Revision, Store, StoreError, Verdict, local_origin,
};
use rehearse::Dream;
pub(super) use scan::{Here, look};
use std::collections::{HashMap, HashSet};

/// Contacts in a step.
const PAGE: usize = 500;
/// Items whose match keys are indexed in a step.
const INDEXED: usize = 5000;
/// Bytes of contacts in a step, however few they are.
const PAGE_BYTES: usize = 4 << 20;

/// What becomes of a contact that is in the book with other details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// What it says takes the place of what the book said, field by field. Fields of which it says nothing stay.
    Overwrite,
    /// The book's stays as it is, with what only the new one says. Where a card has place for one, the book's stays.
    Merge,
    /// It is added beside the book's.
    Add,
    /// It is left out.
    Skip,
}

/// Two that are the same contact, but do not say the same.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Difference<'d> {
    /// The item in the book.
    pub guid: Guid,
    /// What the book says.
    pub here: &'d [u8],
    /// What is to be imported.
    pub new: &'d [u8],
}

/// Who decides about contacts that differ.
pub trait Decide {
    /// What becomes of it. Asked between the steps, when no book is locked; `None` ends the import.
    fn decide(&mut self, difference: &Difference<'_>) -> Option<Choice>;

    /// What becomes of all that come, if that is settled: then nobody is asked, and each step is made at once.
    fn settled(&self) -> Option<Choice> {
        None
    }
}

impl Decide for Choice {
    fn decide(&mut self, _: &Difference<'_>) -> Option<Choice> {
        Some(*self)
    }

    fn settled(&self) -> Option<Choice> {
        Some(*self)
    }
}

/// What an import did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Imported {
    /// New in the book.
    pub added: u64,
    /// There already, in the same words, in others that mean the same, or with more details than are imported.
    pub known: u64,
    /// Overwritten.
    pub overwritten: u64,
    /// Merged.
    pub merged: u64,
    /// Added beside one that differs; not among `added`.
    pub beside: u64,
    /// Left out because they differ.
    pub left: u64,
}

impl Imported {
    /// All that were looked at.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.added + self.known + self.overwritten + self.merged + self.beside + self.left
    }

    const fn count(&mut self, choice: Choice) {
        match choice {
            Choice::Overwrite => self.overwritten += 1,
            Choice::Merge => self.merged += 1,
            Choice::Add => self.beside += 1,
            Choice::Skip => self.left += 1,
        }
    }

    const fn plus(&mut self, other: &Self) {
        self.added += other.added;
        self.known += other.known;
        self.overwritten += other.overwritten;
        self.merged += other.merged;
        self.beside += other.beside;
        self.left += other.left;
    }
}

/// An import into a book, in steps of some hundred contacts. What is done stays done when it breaks off; done again, it finds
/// what is there.
pub struct Import<'i> {
    store: &'i dyn Store,
    account: AccountNo,
    book: BookNo,
    now: Timestamp,
    decide: &'i mut dyn Decide,
    rules: MatchRules,
    origin: Option<DeviceNo>,
    /// What would have been added, where nothing is written.
    dream: Option<Dream>,
    waiting: Vec<Vec<u8>>,
    bytes: usize,
    done: Imported,
    ended: bool,
}

/// The answers so far: for a contact of the page the item it differs from, in that revision, and what becomes of it.
type Answers = HashMap<usize, (Guid, Revision, Choice)>;

/// A question that a step found, with the contents it is about.
struct Question {
    at: usize,
    guid: Guid,
    revision: Revision,
    here: Vec<u8>,
}

/// How an import begins: [`Import::builder`].
#[derive(Clone, Copy)]
pub struct ImportBuilder<'i> {
    store: &'i dyn Store,
    account: AccountNo,
    book: BookNo,
    name: &'i str,
    rehearses: bool,
}

impl<'i> ImportBuilder<'i> {
    /// The same, but nothing is written if `rehearses`: what it counts is what would be. Contacts of the file that are alike are
    /// told by their match keys alone.
    #[must_use]
    pub const fn rehearse(self, rehearses: bool) -> Self {
        Self { rehearses, ..self }
    }

    /// The same under another name in the history than `import`.
    pub(super) const fn named(self, name: &'i str) -> Self {
        Self { name, ..self }
    }

    /// Begins the import. The book's match index is made if it is not there yet.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn begin(self, now: Timestamp, decide: &'i mut dyn Decide) -> Result<Import<'i>, StoreError> {
        let Self { store, account, book, name, rehearses } = self;
        let mut origin = None;
        if !rehearses {
            store.step(account, &mut |tx| {
                origin = Some(local_origin(tx, name, now)?);
                Ok(Verdict::Commit)
            })?;
        }
        let import = Import {
            store,
            account,
            book,
            now,
            decide,
            rules: MatchRules::default(),
            origin,
            dream: rehearses.then(Dream::default),
            waiting: Vec::new(),
            bytes: 0,
            done: Imported::default(),
            ended: false,
        };
        import.index()?;
        Ok(import)
    }
}

impl<'i> Import<'i> {
    /// An import into a book of an account, which is still to [begin](ImportBuilder::begin).
    #[must_use]
    pub const fn builder(store: &'i dyn Store, account: AccountNo, book: BookNo) -> ImportBuilder<'i> {
        ImportBuilder { store, account, book, name: "import", rehearses: false }
    }

    /// Match keys find candidates only where all are indexed.
    fn index(&self) -> Result<(), StoreError> {
        let mut done = false;
        while !done {
            self.store.step(self.account, &mut |tx| {
                let known = tx.book(self.book)?;
                done = known.is_some_and(|row| row.indexed);
                if !done {
                    tx.lock_books(&[self.book])?;
                    done = tx.index_more(self.book, INDEXED)?;
                }
                Ok(Verdict::Commit)
            })?;
        }
        Ok(())
    }

    /// Takes a contact; steps are made as they fill up. False when whoever decides ended the import.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn put(&mut self, card: Vec<u8>) -> Result<bool, StoreError> {
        self.bytes += card.len();
        self.waiting.push(card);
        if self.waiting.len() >= PAGE || self.bytes >= PAGE_BYTES {
            self.page()?;
        }
        Ok(!self.ended)
    }

    /// What was done so far, without what waits for its step.
    #[must_use]
    pub const fn done(&self) -> &Imported {
        &self.done
    }

    /// Makes the last step. Says what was done, and whether that is all: not if whoever decides ended it.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn finish(mut self) -> Result<(Imported, bool), StoreError> {
        self.page()?;
        Ok((self.done, !self.ended))
    }

    fn page(&mut self) -> Result<(), StoreError> {
        let cards = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if cards.is_empty() || self.ended {
            return Ok(());
        }
        let drafts: Vec<Draft<'_>> = cards.iter().map(|card| Draft::of(self.book, card.as_slice())).collect();
        let mut answers = Answers::new();
        loop {
            let (mut done, mut questions) = (Imported::default(), Vec::new());
            if self.dream.is_some() {
                self.rehearse(&drafts, &answers, &mut done, &mut questions)?;
            } else {
                self.step(&drafts, &answers, &mut done, &mut questions)?;
            }
            if questions.is_empty() {
                self.done.plus(&done);
                return Ok(());
            }
            for Question { at, guid, revision, here } in questions {
                let difference = Difference { guid, here: &here, new: &cards[at] };
                let Some(choice) = self.decide.decide(&difference) else {
                    self.ended = true;
                    return Ok(());
                };
                answers.insert(at, (guid, revision, choice));
            }
        }
    }

    /// One step: all of a page, or nothing and the questions.
    fn step(
        &self,
        drafts: &[Draft<'_>],
        answers: &Answers,
        done: &mut Imported,
        questions: &mut Vec<Question>,
    ) -> Result<(), StoreError> {
        let settled = self.decide.settled();
        self.store.step(self.account, &mut |tx| {
            *done = Imported::default();
            questions.clear();
            let Some(row) = tx.lock_books(&[self.book])?.pop() else {
                return Err(StoreError::Corrupt("a locked book has no row".to_owned()));
            };
            let mut writer = BookWriter::new(row, self.origin, self.now);
            let mut from = 0;
            while from < drafts.len() {
                let mut upto = apart(drafts, from);
                let found = look(tx, self.book, &drafts[from..upto], &self.rules)?;
                let mut touched = HashSet::new();
                for (at, found) in (from..upto).zip(found) {
                    let draft = &drafts[at];
                    if found.guid().is_some_and(|guid| touched.contains(&guid)) {
                        // It is of a contact that was just written, as it was before.
                        upto = at;
                        break;
                    }
                    let item = match found {
                        Here::Nothing => {
                            writer.add(draft.clone());
                            done.added += 1;
                            continue;
                        }
                        Here::Same(_) => {
                            done.known += 1;
                            continue;
                        }
                        Here::Other(item) => item,
                    };
                    let Some(choice) = settled.or_else(|| answer(answers, at, &item)) else {
                        questions.push(question(at, *item));
                        continue;
                    };
                    done.count(choice);
                    let content = match choice {
                        Choice::Skip => None,
                        Choice::Add => {
                            writer.add(draft.clone());
                            None
                        }
                        Choice::Overwrite => patch(&item.content, &told(&draft.content)),
                        Choice::Merge => union(&item.content, &draft.content).map(|it| it.content),
                    };
                    if let Some(content) = content.filter(|it| *it != *item.content) {
                        touched.insert(item.guid);
                        writer.replace(&item, Draft::of(self.book, content));
                    }
                }
                writer.flush(tx)?;
                from = upto;
            }
            Ok(if questions.is_empty() { Verdict::Commit } else { Verdict::Rollback })
        })
    }
}

/// Up to where drafts share no fingerprint and no key, so that none depends on what becomes of another.
fn apart(drafts: &[Draft<'_>], from: usize) -> usize {
    let (mut prints, mut keys) = (HashSet::new(), HashSet::<u64>::new());
    for (at, draft) in drafts.iter().enumerate().skip(from) {
        if !prints.insert(draft.fingerprint) || draft.keys.iter().any(|key| keys.contains(key)) {
            return at;
        }
        keys.extend(draft.keys.iter());
    }
    drafts.len()
}

fn answer(answers: &Answers, at: usize, item: &ItemRow<'_>) -> Option<Choice> {
    let (guid, revision, choice) = answers.get(&at)?;
    (*guid == item.guid && *revision == item.revision).then_some(*choice)
}

/// A card without the name that was only made up for it: it is not to take the place of a real one.
pub(super) fn told(card: &[u8]) -> Vec<u8> {
    let Ok(parsed) = Card::parse(card) else { return card.to_vec() };
    let mut editor = Editor::new(&parsed);
    for (at, property) in parsed.properties().iter().enumerate() {
        if property.param(DERIVED).is_some() {
            editor.remove(at);
        }
    }
    editor.finish()
}

fn question(at: usize, item: ItemRow<'static>) -> Question {
    Question { at, guid: item.guid, revision: item.revision, here: item.content.into_owned() }
}

#[cfg(test)]
mod tests;
