//! The book is scanned (mission I5): what it has of the contacts that come.

use crate::contact::identity::{Likeness, MatchRules, compare_items};
use crate::contact::merge::union;
use crate::store::{BookNo, Draft, Guid, ItemRow, StoreError, Tx};
use std::collections::HashMap;

/// Candidates for each key that are looked at, as in a sync.
const CANDIDATES: usize = 32;

/// What the book has of a contact.
pub(in crate::service::interchange) enum Here {
    Nothing,
    /// All that it says.
    Same(Guid),
    /// It, with other details.
    Other(Box<ItemRow<'static>>),
}

impl Here {
    pub(in crate::service::interchange) fn guid(&self) -> Option<Guid> {
        match self {
            Self::Nothing => None,
            Self::Same(guid) => Some(*guid),
            Self::Other(item) => Some(item.guid),
        }
    }
}

/// Looks for contacts in the book, by a few batches however many they are.
pub(in crate::service::interchange) fn look(
    tx: &mut dyn Tx,
    book: BookNo,
    drafts: &[Draft<'_>],
    rules: &MatchRules,
) -> Result<Vec<Here>, StoreError> {
    let prints: Vec<[u8; 16]> = drafts.iter().map(|draft| draft.fingerprint).collect();
    let same = tx.by_fingerprint(book, &prints, 1)?;
    let new = || drafts.iter().zip(&same).filter(|(_, same)| same.is_empty()).map(|(draft, _)| draft);
    let keys: Vec<u64> = new().flat_map(|draft| draft.keys.iter().copied()).collect();
    let mut by_key = tx.by_match_key(book, &keys, CANDIDATES)?.into_iter();
    let near: Vec<Vec<Guid>> = new()
        .map(|draft| {
            let mut guids: Vec<Guid> = by_key.by_ref().take(draft.keys.len()).flatten().collect();
            guids.sort_unstable();
            guids.dedup();
            guids
        })
        .collect();
    let mut guids: Vec<Guid> = near.iter().flatten().copied().collect();
    guids.sort_unstable();
    guids.dedup();
    let items = tx.items(book, &guids)?.into_iter().flatten().filter(|item| !item.deleted);
    let items: HashMap<Guid, ItemRow<'static>> = items.map(|item| (item.guid, item)).collect();
    let mut near = near.into_iter();
    Ok(drafts
        .iter()
        .zip(&same)
        .map(|(draft, same)| match same.first() {
            Some(guid) => Here::Same(*guid),
            None => judge(book, draft, &near.next().unwrap_or_default(), &items, rules),
        })
        .collect())
}

fn judge(
    book: BookNo,
    draft: &Draft<'_>,
    near: &[Guid],
    items: &HashMap<Guid, ItemRow<'static>>,
    rules: &MatchRules,
) -> Here {
    let strong = |item: &&ItemRow<'static>| {
        compare_items(book.kind(), &item.content, &draft.content, rules).likeness <= Likeness::Strong
    };
    let mut first = None;
    for item in near.iter().filter_map(|guid| items.get(guid)).filter(strong) {
        let says_it_all = union(&item.content, &draft.content).is_some_and(|it| !it.changed && it.conflicts.is_empty());
        if says_it_all {
            return Here::Same(item.guid);
        }
        first = first.or(Some(item));
    }
    first.map_or(Here::Nothing, |item| Here::Other(Box::new(item.clone())))
}
