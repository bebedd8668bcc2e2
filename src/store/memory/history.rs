//! What items held before, and what is done with that.

use super::super::*;
use super::tables::{Changes, Tables};
use super::tx::MemoryTx;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};

const OLDEST: Revision = Revision(i64::MIN);
const NEWEST: Revision = Revision(i64::MAX);

impl MemoryTx<'_> {
    pub(super) fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        Ok(self.with(|tables, changes| {
            let held = |&(guid, revision): &(Guid, Revision)| {
                let item = changes.items.get(&tables.items, &(book, guid))?;
                if item.revision == revision {
                    return Some(as_revision(item));
                }
                changes.superseded.get(&tables.superseded, &(book, guid, revision)).cloned()
            };
            which.iter().map(held).collect()
        }))
    }

    pub(super) fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        Ok(self.with(|tables, changes| {
            let mut rows = past(tables, changes, book, guid);
            rows.reverse();
            rows.truncate(limit);
            rows
        }))
    }

    pub(super) fn as_of(&mut self, book: BookNo, at: Revision, guids: &[Guid]) -> Result<Vec<Option<RevisionRow>>> {
        Ok(self.with(|tables, changes| guids.iter().map(|guid| in_force(tables, changes, book, at, *guid)).collect()))
    }

    pub(super) fn states(
        &mut self,
        book: BookNo,
        at: Revision,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<(Guid, Option<RevisionRow>)>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((book, after)), Included((book, Guid(at.0))));
            let items = changes.items.scan(&tables.items, range.0, range.1).take(limit);
            items.map(|((_, guid), _)| (*guid, in_force(tables, changes, book, at, *guid))).collect()
        }))
    }

    pub(super) fn log(
        &mut self,
        book: BookNo,
        of: Option<Guid>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<RevisionRow>> {
        Ok(self.with(|tables, changes| {
            let numbers = (Included((book, OLDEST)), Excluded((book, before)));
            let current = changes.by_revision.scan(&tables.by_revision, numbers.0, numbers.1);
            let superseded = changes.past_by_revision.scan(&tables.past_by_revision, numbers.0, numbers.1);
            let mut found =
                current.chain(superseded).map(|((_, revision), guid)| (*revision, *guid)).collect::<Vec<_>>();
            found.retain(|(_, guid)| of.is_none_or(|of| of == *guid));
            found.sort_unstable();
            let newest = found.into_iter().rev().take(limit);
            newest.filter_map(|(revision, guid)| in_force(tables, changes, book, revision, guid)).collect()
        }))
    }

    pub(super) fn superseded(
        &mut self,
        book: BookNo,
        after: Revision,
        newest: usize,
        limit: usize,
    ) -> Result<Vec<PastRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((book, after)), Included((book, NEWEST)));
            let page = changes.past_by_revision.scan(&tables.past_by_revision, range.0, range.1).take(limit);
            let row = |(&(_, revision), &guid): (&(BookNo, Revision), &Guid)| {
                let row = changes.superseded.get(&tables.superseded, &(book, guid, revision))?;
                let (until, until_at) = row.until?;
                let range = (Excluded((book, guid, revision)), Included((book, guid, NEWEST)));
                let newer = changes.superseded.scan(&tables.superseded, range.0, range.1).count();
                Some(PastRow { guid, revision, until, until_at, recent: newer < newest })
            };
            page.filter_map(row).collect()
        }))
    }

    pub(super) fn purge(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()> {
        self.check_locked(book)?;
        let mut blobs = Vec::new();
        self.with(|tables, changes| {
            for &(guid, revision) in which {
                let row = changes.superseded.get(&tables.superseded, &(book, guid, revision));
                let Some(row) = row else { continue };
                blobs.extend(row.blob);
                changes.superseded.remove((book, guid, revision));
                changes.past_by_revision.remove((book, revision));
            }
            let numbers: BTreeSet<Revision> = which.iter().map(|(_, revision)| *revision).collect();
            let all = changes.conflicts.scan(&tables.conflicts, Included((book, OLDEST)), Included((book, NEWEST)));
            let goes = |row: &&ConflictRow| numbers.contains(&row.lost.unwrap_or(row.revision));
            let gone: Vec<Revision> = all.map(|(_, row)| row).filter(goes).map(|row| row.revision).collect();
            gone.into_iter().for_each(|revision| changes.conflicts.remove((book, revision)));
        });
        self.drop_removed(&blobs)
    }

    pub(super) fn put_past(&mut self, book: BookNo, rows: &[RevisionRow]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|_, changes| {
            for row in rows {
                changes.superseded.put((book, row.guid, row.revision), row.clone());
                changes.past_by_revision.put((book, row.revision), row.guid);
            }
        });
        Ok(())
    }

    pub(super) fn conflicts(&mut self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<ConflictRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Included((book, OLDEST)), Excluded((book, before)));
            let rows = changes.conflicts.scan(&tables.conflicts, range.0, range.1);
            let mut rows = rows.map(|(_, row)| row.clone()).collect::<Vec<_>>();
            rows.reverse();
            rows.truncate(limit);
            rows
        }))
    }

    pub(super) fn conflicts_at(&mut self, book: BookNo, which: &[Revision]) -> Result<Vec<Option<ConflictRow>>> {
        Ok(self.with(|tables, changes| {
            which.iter().map(|revision| changes.conflicts.get(&tables.conflicts, &(book, *revision)).cloned()).collect()
        }))
    }

    pub(super) fn put_conflicts(&mut self, book: BookNo, rows: &[ConflictRow]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            for row in rows {
                if changes.conflicts.get(&tables.conflicts, &(book, row.revision)).is_none() {
                    changes.conflicts.put((book, row.revision), row.clone());
                }
            }
        });
        Ok(())
    }

    pub(super) fn restores(&mut self, book: BookNo, limit: usize) -> Result<Vec<RestoreRow>> {
        Ok(self.with(|tables, changes| {
            let rows = changes.restores.scan(&tables.restores, Included((book, OLDEST)), Included((book, NEWEST)));
            let mut rows = rows.map(|(_, row)| *row).collect::<Vec<_>>();
            rows.reverse();
            rows.truncate(limit);
            rows
        }))
    }

    pub(super) fn put_restore(&mut self, book: BookNo, row: &RestoreRow) -> Result<()> {
        self.check_locked(book)?;
        self.with(|_, changes| changes.restores.put((book, row.id), *row));
        Ok(())
    }
}

/// The superseded revisions of an item, oldest first.
fn past(tables: &Tables, changes: &Changes, book: BookNo, guid: Guid) -> Vec<RevisionRow> {
    let range = (Included((book, guid, OLDEST)), Included((book, guid, NEWEST)));
    changes.superseded.scan(&tables.superseded, range.0, range.1).map(|(_, row)| row.clone()).collect()
}

/// What an item held as of a revision of the book.
fn in_force(tables: &Tables, changes: &Changes, book: BookNo, at: Revision, guid: Guid) -> Option<RevisionRow> {
    let item = changes.items.get(&tables.items, &(book, guid))?;
    if item.revision <= at {
        return Some(as_revision(item));
    }
    let range = (Included((book, guid, OLDEST)), Included((book, guid, at)));
    let last = changes.superseded.scan(&tables.superseded, range.0, range.1).last().map(|(_, row)| row)?;
    last.until.is_some_and(|(until, _)| until > at).then(|| last.clone())
}

/// What a current item holds, as its revision.
pub(super) fn as_revision(item: &ItemRow<'_>) -> RevisionRow {
    RevisionRow {
        guid: item.guid,
        revision: item.revision,
        deleted: item.deleted,
        parent: item.parent,
        depth: item.depth,
        media_type: item.media_type.as_deref().map(str::to_owned),
        content: item.content.to_vec(),
        blob: item.blob,
        origin: item.origin,
        at: item.at,
        until: None,
    }
}
