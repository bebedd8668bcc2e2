//! The index for search: here it only says which books were looked at, and all their items are.

use super::super::search::{ItemTerms, Place};
use super::super::*;
use super::tx::MemoryTx;
use crate::contact::search::TermQuery;
use std::ops::Bound::{Excluded, Included};

impl MemoryTx<'_> {
    pub(super) fn words_upto(&mut self) -> Result<Vec<(BookNo, Revision)>> {
        Ok(self.with(|tables, changes| {
            let all = changes.words.scan(&tables.words, Included(BookNo(i64::MIN)), Included(BookNo(i64::MAX)));
            all.map(|(book, (_, upto))| (*book, *upto)).collect()
        }))
    }

    pub(super) fn put_words(&mut self, book: BookNo, _: &[ItemTerms], upto: Revision) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            let slot = changes.words.get(&tables.words, &book).map(|(slot, _)| *slot);
            let slot = slot.unwrap_or_else(|| tables.next_number());
            changes.words.put(book, (slot, upto));
        });
        Ok(())
    }

    pub(super) fn by_words(
        &mut self,
        book: Option<BookNo>,
        _: &TermQuery,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Place>> {
        self.with(|tables, changes| {
            let all = changes.words.scan(&tables.words, Included(BookNo(i64::MIN)), Included(BookNo(i64::MAX)));
            let mut books: Vec<_> = all.map(|(book, (slot, _))| (*slot, *book)).collect();
            books.retain(|(_, known)| book.is_none_or(|book| book == *known));
            books.sort_unstable();
            let mut found = Vec::new();
            for (slot, book) in books {
                let (start, end) = Place::range(slot);
                if end <= after {
                    continue;
                }
                let (_, guid) = Place::parts(after.max(start));
                let items = changes.items.scan(&tables.items, Excluded((book, guid)), Included((book, Guid(i64::MAX))));
                for ((_, guid), _) in items.filter(|(_, item)| !item.deleted).take(limit - found.len()) {
                    found.push(Place { place: Place::of(slot, *guid)?, book, guid: *guid });
                }
                if found.len() >= limit {
                    break;
                }
            }
            Ok(found)
        })
    }
}
