//! What items held before, and what is done with that.

use super::super::*;
use super::failure::OrFailure;
use super::place::number;
use super::rows::{self, current_columns, past_columns};
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, params};

impl SqliteTx<'_> {
    pub(super) fn revisions(&self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        const CURRENT: &str = concat!(
            "SELECT place, ifnull(changed, place), ",
            current_columns!(),
            " FROM item WHERE place = ?1 AND ifnull(changed, place) = ?2"
        );
        const SUPERSEDED: &str =
            concat!("SELECT item, place, ", past_columns!(), " FROM revision WHERE place = ?2 AND item = ?1");
        let (mut current, mut superseded, places) =
            (self.prepare(CURRENT)?, self.prepare(SUPERSEDED)?, self.places(book)?);
        let mut held = |guid: Guid, revision: Revision| {
            let id = (places.of(guid.0), places.of(revision.0));
            match current.query_row(id, |row| rows::revision(&self.packing, row)).optional()? {
                Some(row) => Ok(Some(row)),
                None => superseded.query_row(id, |row| rows::revision(&self.packing, row)).optional(),
            }
        };
        which.iter().map(|(guid, revision)| held(*guid, *revision).or_failure()).collect()
    }

    pub(super) fn history(&self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        self.past_of(book, guid, Revision(i64::MAX), limit)
    }

    pub(super) fn as_of(&self, book: BookNo, at: Revision, guids: &[Guid]) -> Result<Vec<Option<RevisionRow>>> {
        const CURRENT: &str = concat!(
            "SELECT place, ifnull(changed, place), ",
            current_columns!(),
            " FROM item WHERE place = ?1 AND ifnull(changed, place) <= ?2"
        );
        let (mut current, places) = (self.prepare(CURRENT)?, self.places(book)?);
        let mut held = |guid: &Guid| match current
            .query_row((places.of(guid.0), places.upto(at.0)), |row| rows::revision(&self.packing, row))
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
            "SELECT place, ifnull(changed, place), ",
            current_columns!(),
            " FROM item WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3"
        );
        let places = self.places(book)?;
        let range = (places.upto(after.0), places.upto(at.0), rows_at_most(limit));
        let page = self.all(PAGE, range, |row| rows::revision(&self.packing, row))?;
        let state = |row: RevisionRow| match row.revision <= at {
            true => Ok((row.guid, Some(row))),
            false => Ok((row.guid, self.past_as_of(book, at, row.guid)?)),
        };
        page.into_iter().map(state).collect()
    }

    /// The superseded revision of an item that was in force, unless that one is gone.
    fn past_as_of(&self, book: BookNo, at: Revision, guid: Guid) -> Result<Option<RevisionRow>> {
        const LAST: &str = concat!(
            "SELECT item, place, ",
            past_columns!(),
            " FROM revision WHERE item = ?1 AND place <= ?2 ORDER BY place DESC LIMIT 1"
        );
        let places = self.places(book)?;
        let last = self.one(LAST, (places.of(guid.0), places.upto(at.0)), |row| rows::revision(&self.packing, row))?;
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
            "SELECT place, ifnull(changed, place), ",
            current_columns!(),
            " FROM item WHERE place = ?1 AND ifnull(changed, place) <= ?2"
        );
        let places = self.places(book)?;
        let which = (places.of(guid.0), places.upto(before.0.saturating_sub(1)));
        let mut rows = self.all(CURRENT, which, |row| rows::revision(&self.packing, row))?;
        rows.extend(self.past_of(book, guid, before, limit - rows.len())?);
        Ok(rows)
    }

    fn past_of(&self, book: BookNo, guid: Guid, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const PAST: &str = concat!(
            "SELECT item, place, ",
            past_columns!(),
            " FROM revision WHERE item = ?1 AND place <= ?2 ORDER BY place DESC LIMIT ?3"
        );
        let places = self.places(book)?;
        let which = (places.of(guid.0), places.upto(before.0.saturating_sub(1)), rows_at_most(limit));
        self.all(PAST, which, |row| rows::revision(&self.packing, row))
    }

    fn log_of_all(&self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        // As in `changes`: items that were never changed are found by their guid. The bound keeps that search from running
        // past the page over a long row of changed items.
        const BOUNDS: [&str; 2] = [
            "SELECT changed FROM item WHERE changed >= ?1 AND changed <= ?2 ORDER BY changed DESC LIMIT 1 OFFSET ?3",
            "SELECT place FROM revision WHERE place >= ?1 AND place <= ?2 ORDER BY place DESC LIMIT 1 OFFSET ?3",
        ];
        const PAGE: &str = concat!(
            "SELECT place, place AS revision, ",
            current_columns!(),
            " FROM item WHERE place >= ?1 AND place <= ?2 AND changed IS NULL UNION ALL SELECT place, changed, ",
            current_columns!(),
            " FROM item WHERE changed >= ?1 AND changed <= ?2 UNION ALL SELECT item, place, ",
            past_columns!(),
            " FROM revision WHERE place >= ?1 AND place <= ?2 ORDER BY 2 DESC LIMIT ?3"
        );
        let (limit, places) = (rows_at_most(limit), self.places(book)?);
        let (mut first, last) = (places.of(0), places.upto(before.0.saturating_sub(1)));
        for bound in BOUNDS {
            first = first.max(self.one(bound, (first, last, limit - 1), |row| row.get(0))?.unwrap_or(first));
        }
        self.all(PAGE, (first, last, limit), |row| rows::revision(&self.packing, row))
    }

    pub(super) fn superseded(
        &self,
        book: BookNo,
        after: Revision,
        newest: usize,
        limit: usize,
    ) -> Result<Vec<PastRow>> {
        const PAGE: &str = "SELECT item, place, until, until_at FROM revision
              WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3";
        const NTH: &str = "SELECT place FROM revision WHERE item = ?1 ORDER BY place DESC LIMIT 1 OFFSET ?2";
        let places = self.places(book)?;
        let range = (places.upto(after.0), places.upto(i64::MAX), rows_at_most(limit));
        let mut page = self.all(PAGE, range, rows::past)?;
        let Some(offset) = newest.checked_sub(1) else { return Ok(page) };
        for row in &mut page {
            let which = (places.of(row.guid.0), rows_at_most(offset));
            let oldest = self.one(NTH, which, |row| row.get(0))?.unwrap_or(i64::MIN);
            row.recent = places.of(row.revision.0) >= oldest;
        }
        Ok(page)
    }

    pub(super) fn purge(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()> {
        self.locked(book)?;
        let sql = "DELETE FROM revision WHERE place = ?2 AND item = ?1 RETURNING blob";
        let (mut blobs, places) = (Vec::new(), self.places(book)?);
        for (guid, revision) in which {
            let values = (places.of(guid.0), places.of(revision.0));
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
            "INSERT INTO revision (place, item, kind, until, until_at, parent, depth, media_type, origin, at, content, blob,
              size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        let places = self.places(book)?;
        for row in rows {
            let (until, until_at) = sql::until(row)?;
            let (content, size) = rows::stored(&self.packing, &row.content, row.blob);
            let values = params![
                places.room(row.revision.0)?,
                places.room(row.guid.0)?,
                sql::revision_kind(row),
                until.0,
                until_at.0,
                row.parent.map(|parent| places.room(parent.0)).transpose()?,
                row.depth,
                row.media_type,
                row.origin.map(|origin| origin.0),
                row.at.0,
                &*content,
                row.blob.map(|blob| blob.no.0),
                size
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
