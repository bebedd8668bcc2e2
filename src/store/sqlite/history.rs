//! What items held before, and what is done with that.

use super::super::*;
use super::failure::OrFailure;
use super::rows::{self, current_columns, past_columns};
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, params};

impl SqliteTx<'_> {
    pub(super) fn revisions(&self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        const CURRENT: &str = concat!(
            "SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4"
        );
        const SUPERSEDED: &str = concat!(
            "SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4"
        );
        let (mut current, mut superseded) = (self.prepare(CURRENT)?, self.prepare(SUPERSEDED)?);
        let mut held = |guid: Guid, revision: Revision| {
            let id = (self.account, book.0, guid.0, revision.0);
            match current.query_row(id, rows::revision).optional()? {
                Some(row) => Ok(Some(row)),
                None => superseded.query_row(id, rows::revision).optional(),
            }
        };
        which.iter().map(|(guid, revision)| held(*guid, *revision).or_failure()).collect()
    }

    pub(super) fn history(&self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        self.past_of(book, guid, Revision(i64::MAX), limit)
    }

    pub(super) fn as_of(&self, book: BookNo, at: Revision, guids: &[Guid]) -> Result<Vec<Option<RevisionRow>>> {
        const CURRENT: &str = concat!(
            "SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision <= ?4"
        );
        let mut current = self.prepare(CURRENT)?;
        let mut held = |guid: &Guid| match current
            .query_row((self.account, book.0, guid.0, at.0), rows::revision)
            .optional()
            .or_failure()?
        {
            Some(row) => Ok(Some(row)),
            None => self.past_as_of(book, at, *guid),
        };
        guids.iter().map(&mut held).collect()
    }

    pub(super) fn states(
        &self,
        book: BookNo,
        at: Revision,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<(Guid, Option<RevisionRow>)>> {
        const PAGE: &str = concat!(
            "SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3 AND guid <= ?4 ORDER BY guid LIMIT ?5"
        );
        let page = self.all(PAGE, (self.account, book.0, after.0, at.0, rows_at_most(limit)), rows::revision)?;
        let state = |row: RevisionRow| match row.revision <= at {
            true => Ok((row.guid, Some(row))),
            false => Ok((row.guid, self.past_as_of(book, at, row.guid)?)),
        };
        page.into_iter().map(state).collect()
    }

    /// The superseded revision of an item that was in force, unless that one is gone.
    fn past_as_of(&self, book: BookNo, at: Revision, guid: Guid) -> Result<Option<RevisionRow>> {
        const LAST: &str = concat!(
            "SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision <= ?4
              ORDER BY revision DESC LIMIT 1"
        );
        let last = self.one(LAST, (self.account, book.0, guid.0, at.0), rows::revision)?;
        Ok(last.filter(|row| row.until.is_some_and(|(until, _)| until > at)))
    }

    pub(super) fn log(
        &self,
        book: BookNo,
        of: Option<Guid>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<RevisionRow>> {
        match of {
            _ if limit == 0 => Ok(Vec::new()),
            Some(guid) => self.log_of(book, guid, before, limit),
            None => self.log_of_all(book, before, limit),
        }
    }

    fn log_of(&self, book: BookNo, guid: Guid, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const CURRENT: &str = concat!(
            "SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision < ?4"
        );
        let mut rows = self.all(CURRENT, (self.account, book.0, guid.0, before.0), rows::revision)?;
        rows.extend(self.past_of(book, guid, before, limit - rows.len())?);
        Ok(rows)
    }

    fn past_of(&self, book: BookNo, guid: Guid, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const PAST: &str = concat!(
            "SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision < ?4
              ORDER BY revision DESC LIMIT ?5"
        );
        self.all(PAST, (self.account, book.0, guid.0, before.0, rows_at_most(limit)), rows::revision)
    }

    fn log_of_all(&self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        // As in `changes`: items that were never changed are found by their guid. The bound keeps that search from running
        // past the page over a long row of changed items.
        const BOUNDS: [&str; 2] = [
            "SELECT revision FROM item WHERE account = ?1 AND book = ?2 AND revision < ?3 AND revision <> guid
              ORDER BY revision DESC LIMIT 1 OFFSET ?4",
            "SELECT revision FROM revision WHERE account = ?1 AND book = ?2 AND revision < ?3
              ORDER BY revision DESC LIMIT 1 OFFSET ?4",
        ];
        const PAGE: &str = concat!(
            "SELECT guid, guid AS revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid >= ?3 AND guid < ?4 AND revision = guid
              UNION ALL SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND revision >= ?3 AND revision < ?4 AND revision <> guid
              UNION ALL SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = ?1 AND book = ?2 AND revision >= ?3 AND revision < ?4
              ORDER BY 2 DESC LIMIT ?5"
        );
        let limit = rows_at_most(limit);
        let mut from = i64::MIN;
        for bound in BOUNDS {
            let values = (self.account, book.0, before.0, limit - 1);
            from = from.max(self.one(bound, values, |row| row.get(0))?.unwrap_or(i64::MIN));
        }
        self.all(PAGE, (self.account, book.0, from, before.0, limit), rows::revision)
    }

    pub(super) fn superseded(
        &self,
        book: BookNo,
        after: Revision,
        newest: usize,
        limit: usize,
    ) -> Result<Vec<PastRow>> {
        const PAGE: &str = "SELECT guid, revision, until, until_at FROM revision
              WHERE account = ?1 AND book = ?2 AND revision > ?3 ORDER BY revision LIMIT ?4";
        const NTH: &str = "SELECT revision FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3
              ORDER BY revision DESC LIMIT 1 OFFSET ?4";
        let mut page = self.all(PAGE, (self.account, book.0, after.0, rows_at_most(limit)), rows::past)?;
        let Some(offset) = newest.checked_sub(1) else { return Ok(page) };
        for row in &mut page {
            let which = (self.account, book.0, row.guid.0, rows_at_most(offset));
            let oldest = self.one(NTH, which, |row| row.get(0))?.unwrap_or(i64::MIN);
            row.recent = row.revision.0 >= oldest;
        }
        Ok(page)
    }

    pub(super) fn purge(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()> {
        self.locked(book)?;
        let sql =
            "DELETE FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4 RETURNING blob";
        let mut blobs = Vec::new();
        for (guid, revision) in which {
            let values = (self.account, book.0, guid.0, revision.0);
            let blob = self.one(sql, values, |row| row.get::<_, Option<i64>>(0))?;
            blobs.extend(blob.flatten().map(BlobNo));
        }
        self.purge_conflicts(book, which)?;
        self.drop_blobs(&blobs)
    }

    /// Removes conflicts with what they lost, or with their own revision. Most books have none.
    fn purge_conflicts(&self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()> {
        const ANY: &str = "SELECT revision FROM conflict WHERE account = ?1 AND book = ?2 LIMIT 1";
        // Without statistics a book would seem to have few.
        const PURGE: [&str; 2] = [
            "DELETE FROM conflict INDEXED BY conflict_lost WHERE account = ?1 AND book = ?2 AND lost = ?3",
            "DELETE FROM conflict WHERE account = ?1 AND book = ?2 AND revision = ?3 AND lost IS NULL",
        ];
        if self.one(ANY, (self.account, book.0), |row| row.get::<_, i64>(0))?.is_none() {
            return Ok(());
        }
        for (_, revision) in which {
            for sql in PURGE {
                self.run(sql, (self.account, book.0, revision.0))?;
            }
        }
        Ok(())
    }

    pub(super) fn conflicts(&self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<ConflictRow>> {
        let sql = "SELECT revision, guid, origin, at, won, lost, fields FROM conflict
                   WHERE account = ?1 AND book = ?2 AND revision < ?3 ORDER BY revision DESC LIMIT ?4";
        self.all(sql, (self.account, book.0, before.0, rows_at_most(limit)), rows::conflict)
    }

    pub(super) fn conflicts_at(&self, book: BookNo, which: &[Revision]) -> Result<Vec<Option<ConflictRow>>> {
        let sql = "SELECT revision, guid, origin, at, won, lost, fields FROM conflict
                   WHERE account = ?1 AND book = ?2 AND revision = ?3";
        which.iter().map(|revision| self.one(sql, (self.account, book.0, revision.0), rows::conflict)).collect()
    }

    pub(super) fn put_conflicts(&mut self, book: BookNo, rows: &[ConflictRow]) -> Result<()> {
        self.locked(book)?;
        let mut insert = self.prepare(
            "INSERT OR IGNORE INTO conflict (account, book, revision, guid, origin, at, won, lost, fields)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for row in rows {
            let values = params![
                self.account,
                book.0,
                row.revision.0,
                row.guid.0,
                row.origin.map(|origin| origin.0),
                row.at.0,
                sql::winner_number(row.won),
                row.lost.map(|lost| lost.0),
                sql::fields_text(&row.fields)
            ];
            insert.execute(values).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn put_past(&mut self, book: BookNo, rows: &[RevisionRow]) -> Result<()> {
        self.locked(book)?;
        let mut insert = self.prepare(
            "INSERT INTO revision (account, book, guid, revision, kind, until, until_at, parent, depth, media_type,
              origin, at, content, blob, size)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?;
        for row in rows {
            let (until, until_at) = sql::until(row)?;
            let values = params![
                self.account,
                book.0,
                row.guid.0,
                row.revision.0,
                sql::revision_kind(row),
                until.0,
                until_at.0,
                row.parent.map(|parent| parent.0),
                row.depth,
                row.media_type,
                row.origin.map(|origin| origin.0),
                row.at.0,
                row.content,
                row.blob.map(|blob| blob.no.0),
                row.blob.map(|blob| blob.len.cast_signed())
            ];
            insert.execute(values).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn restores(&self, book: BookNo, limit: usize) -> Result<Vec<RestoreRow>> {
        let sql = "SELECT restore, target, cursor, begun, ended, revived, changed, deleted FROM restore
                   WHERE account = ?1 AND book = ?2 ORDER BY restore DESC LIMIT ?3";
        self.all(sql, (self.account, book.0, rows_at_most(limit)), rows::restore)
    }

    pub(super) fn put_restore(&mut self, book: BookNo, row: &RestoreRow) -> Result<()> {
        self.locked(book)?;
        let sql =
            "INSERT OR REPLACE INTO restore (account, book, restore, target, cursor, begun, ended, revived, changed,
                    deleted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let counts = [row.revived, row.changed, row.deleted].map(u64::cast_signed);
        let [revived, changed, deleted] = counts;
        let ended = row.ended.map(|at| at.0);
        let (id, target, cursor, begun) = (row.id.0, row.target.0, row.cursor.0, row.begun.0);
        let values = (self.account, book.0, id, target, cursor, begun, ended, revived, changed, deleted);
        self.run(sql, values).map(drop)
    }
}
