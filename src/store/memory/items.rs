//! Books and their items.

use super::super::*;
use super::Lock;
use super::history::as_revision;
use super::tables::{Changes, Tables};
use super::tx::{FIRST, LAST, MemoryTx};
use std::ops::Bound::{Excluded, Included};

impl MemoryTx<'_> {
    pub(super) fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        let mut rows = Vec::with_capacity(books.len());
        for &book in books {
            self.lock(&Lock::Book(self.account, book))?;
            let stamp = self.store.derive("stamp", &[self.account.0, book.0]);
            rows.push(self.with(|tables, changes| match changes.books.get(&tables.books, &book) {
                Some((row, _)) => row.clone(),
                None => {
                    let row = BookRow {
                        book,
                        stamp: u32::from_le_bytes([stamp[0], stamp[1], stamp[2], stamp[3]]),
                        head: Revision(0),
                        live_items: 0,
                        live_bytes: 0,
                        purged_upto: Revision(0),
                        indexed: false,
                    };
                    changes.books.put(book, (row.clone(), FIRST));
                    row
                }
            }));
        }
        Ok(rows)
    }

    pub(super) fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        Ok(self.with(|tables, changes| changes.books.get(&tables.books, &book).map(|(row, _)| row.clone())))
    }

    pub(super) fn put_book(&mut self, row: &BookRow) -> Result<()> {
        self.check_locked(row.book)?;
        self.with(|tables, changes| match changes.books.get(&tables.books, &row.book).cloned() {
            Some((old, upto)) if row.head >= old.head => {
                let row = BookRow { stamp: old.stamp, indexed: old.indexed, ..row.clone() };
                changes.books.put(row.book, (row, upto));
                Ok(())
            }
            _ => Err(StoreError::Corrupt(format!("the head of book {} shall go back to {}", row.book, row.head))),
        })
    }

    pub(super) fn books(&mut self) -> Result<Vec<BookRow>> {
        Ok(self.with(|tables, changes| {
            let all = changes.books.scan(&tables.books, Included(BookNo(i64::MIN)), Included(BookNo(i64::MAX)));
            all.map(|(_, (row, _))| row.clone()).collect()
        }))
    }

    pub(super) fn adopt_book(&mut self, row: &BookRow) -> Result<()> {
        self.check_locked(row.book)?;
        self.with(|tables, changes| match changes.books.get(&tables.books, &row.book).cloned() {
            Some((old, upto)) if old.head == Revision(0) => {
                changes.books.put(row.book, (BookRow { indexed: old.indexed, ..row.clone() }, upto));
                Ok(())
            }
            _ => Err(StoreError::Corrupt(format!("book {} holds something already", row.book))),
        })
    }

    pub(super) fn mark_dirty(&mut self, book: BookNo) -> Result<()> {
        for device_id in self.store.directory.granted_to(self.account) {
            self.with(|_, changes| changes.dirty.put((device_id, book), ()));
        }
        Ok(())
    }

    pub(super) fn clear_dirty(&mut self, device_id: &str, book: BookNo) -> Result<()> {
        self.with(|_, changes| changes.dirty.remove((device_id.to_owned(), book)));
        Ok(())
    }

    pub(super) fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        Ok(self.with(|tables, changes| {
            let item = |guid: &Guid| changes.items.get(&tables.items, &(book, *guid)).cloned();
            guids.iter().map(item).collect()
        }))
    }

    pub(super) fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            for row in rows {
                check_newer(tables, changes, book, row)?;
                if changes.items.get(&tables.items, &(book, row.guid)).is_some() {
                    return Err(StoreError::Corrupt(format!("item {} of book {book} is there already", row.guid)));
                }
                Self::index(tables, changes, book, row, true);
                changes.items.put((book, row.guid), row.clone().into_owned());
            }
            Ok(())
        })
    }

    pub(super) fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            for row in rows {
                let old = changes.items.get(&tables.items, &(book, row.guid));
                let Some(old) = old.filter(|old| old.revision < row.revision).cloned() else {
                    let (guid, revision) = (row.guid, row.revision);
                    return Err(StoreError::Corrupt(format!(
                        "item {guid} of book {book} is not older than {revision}"
                    )));
                };
                check_newer(tables, changes, book, row)?;
                Self::index(tables, changes, book, &old, false);
                let past = RevisionRow { until: Some((row.revision, row.at)), ..as_revision(&old) };
                changes.superseded.put((book, old.guid, old.revision), past);
                changes.past_by_revision.put((book, old.revision), old.guid);
                Self::index(tables, changes, book, row, true);
                changes.items.put((book, row.guid), row.clone().into_owned());
            }
            Ok(())
        })
    }

    pub(super) fn changes(
        &mut self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((book, after)), Included((book, upto)));
            let guids = changes.by_revision.scan(&tables.by_revision, range.0, range.1).take(limit);
            guids.filter_map(|(_, guid)| changes.items.get(&tables.items, &(book, *guid)).cloned()).collect()
        }))
    }

    pub(super) fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        Ok(self.with(|tables, changes| {
            let found = |print: &[u8; 16]| {
                let range = (Included((book, *print, FIRST)), Included((book, *print, LAST)));
                let found = changes.by_fingerprint.scan(&tables.by_fingerprint, range.0, range.1);
                found.take(limit).map(|((_, _, guid), ())| *guid).collect()
            };
            prints.iter().map(found).collect()
        }))
    }

    pub(super) fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        Ok(self.with(|tables, changes| {
            let found = |key: &u64| {
                let range = (Included((book, *key, FIRST)), Included((book, *key, LAST)));
                let found = changes.by_match_key.scan(&tables.by_match_key, range.0, range.1);
                found.take(limit).map(|((_, _, guid), ())| *guid).collect()
            };
            keys.iter().map(found).collect()
        }))
    }

    pub(super) fn children(&mut self, book: BookNo, parent: Guid, after: Guid, limit: usize) -> Result<Vec<Guid>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((book, parent, after)), Included((book, parent, LAST)));
            let found = changes.by_parent.scan(&tables.by_parent, range.0, range.1);
            found.take(limit).map(|((_, _, guid), ())| *guid).collect()
        }))
    }

    pub(super) fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        self.check_locked(book)?;
        Ok(self.with(|tables, changes| {
            let Some((mut row, mut upto)) = changes.books.get(&tables.books, &book).cloned() else { return false };
            if row.indexed {
                return true;
            }
            let rest = changes.items.scan(&tables.items, Excluded((book, upto)), Included((book, LAST)));
            let page = rest.take(limit.saturating_add(1)).map(|(_, item)| item.clone()).collect::<Vec<_>>();
            row.indexed = page.len() <= limit;
            for item in page.iter().take(limit) {
                upto = item.guid;
                for key in item.keys.iter().filter(|_| !item.deleted) {
                    changes.by_match_key.put((book, *key, item.guid), ());
                }
            }
            let indexed = row.indexed;
            changes.books.put(book, (row, upto));
            indexed
        }))
    }

    /// Appends to the indexes what an item is found by, or takes it out again.
    fn index(tables: &Tables, changes: &mut Changes, book: BookNo, item: &ItemRow<'_>, keep: bool) {
        if keep {
            changes.by_revision.put((book, item.revision), item.guid);
        } else {
            changes.by_revision.remove((book, item.revision));
        }
        if item.deleted {
            return;
        }
        if let Some(parent) = item.parent {
            match keep {
                true => changes.by_parent.put((book, parent, item.guid), ()),
                false => changes.by_parent.remove((book, parent, item.guid)),
            }
        }
        let print = (book, item.fingerprint, item.guid);
        if keep {
            changes.by_fingerprint.put(print, ());
        } else {
            changes.by_fingerprint.remove(print);
        }
        let (row, upto) =
            changes.books.get(&tables.books, &book).map_or((None, FIRST), |(row, upto)| (Some(row), *upto));
        if row.is_some_and(|row| row.indexed) || item.guid <= upto {
            for key in item.keys.iter() {
                if keep {
                    changes.by_match_key.put((book, *key, item.guid), ());
                } else {
                    changes.by_match_key.remove((book, *key, item.guid));
                }
            }
        }
    }
}

/// Refuses revisions that are not newer than all that is committed (I11).
fn check_newer(tables: &Tables, changes: &Changes, book: BookNo, row: &ItemRow<'_>) -> Result<()> {
    let head = changes.books.get(&tables.books, &book).map_or(Revision(0), |(book, _)| book.head);
    if row.revision > head {
        return Ok(());
    }
    let ItemRow { guid, revision, .. } = row;
    Err(StoreError::Corrupt(format!("item {guid} of book {book} shall get revision {revision} below head {head}")))
}
