//! What items held before, and what is done with that.

use super::super::*;
use super::failure::OrFailure;
use super::rows::{self, Columns, current_columns, past_columns};
use super::tx::{PostgresTx, rows_at_most};
use tokio_postgres::Row;

/// Reads a revision from the first column on.
fn revision(row: &Row) -> Result<RevisionRow> {
    rows::revision(&mut Columns::from(row, 0))
}

/// Reads one that follows what it answers to.
fn placed(row: &Row) -> Result<RevisionRow> {
    rows::revision(&mut Columns::from(row, 1))
}

impl PostgresTx<'_> {
    pub(super) fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        const HELD: &str = concat!(
            "SELECT n.place, n.guid, n.revision, h.* FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY
              AS n (guid, revision, place) CROSS JOIN LATERAL (SELECT ",
            current_columns!(),
            " FROM item AS i WHERE i.account = $1 AND i.book = $2 AND i.guid = n.guid AND i.revision = n.revision
              UNION ALL SELECT ",
            past_columns!(),
            " FROM revision AS r WHERE r.account = $1 AND r.book = $2 AND r.guid = n.guid AND r.revision = n.revision
              OFFSET 0) AS h"
        );
        let account = self.account;
        let (guids, revisions): (Vec<i64>, Vec<i64>) =
            which.iter().map(|(guid, revision)| (guid.0, revision.0)).unzip();
        self.each(which.len(), HELD, &[&account, &book.0, &guids, &revisions], placed)
    }

    pub(super) fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        self.past_of(book, guid, Revision(i64::MAX), limit)
    }

    pub(super) fn as_of(&mut self, book: BookNo, at: Revision, guids: &[Guid]) -> Result<Vec<Option<RevisionRow>>> {
        // The last superseded one, unless that was superseded before and what followed is gone.
        const HELD: &str = concat!(
            "SELECT n.place, n.guid, h.* FROM unnest($3::bigint[]) WITH ORDINALITY AS n (guid, place)
              CROSS JOIN LATERAL (SELECT revision, ",
            current_columns!(),
            " FROM item AS i WHERE i.account = $1 AND i.book = $2 AND i.guid = n.guid AND i.revision <= $4
              UNION ALL SELECT * FROM (SELECT revision, ",
            past_columns!(),
            " FROM revision AS r WHERE r.account = $1 AND r.book = $2 AND r.guid = n.guid AND r.revision <= $4
              ORDER BY r.revision DESC LIMIT 1) AS past WHERE until > $4 OFFSET 0) AS h"
        );
        let account = self.account;
        let count = guids.len();
        let guids: Vec<i64> = guids.iter().map(|guid| guid.0).collect();
        self.each(count, HELD, &[&account, &book.0, &guids, &at.0], placed)
    }

    pub(super) fn states(
        &mut self,
        book: BookNo,
        at: Revision,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<(Guid, Option<RevisionRow>)>> {
        const PAGE: &str = "SELECT guid FROM item WHERE account = $1 AND book = $2 AND guid > $3 AND guid <= $4
                            ORDER BY guid LIMIT $5";
        let account = self.account;
        let values: super::conn::Values<'_> = &[&account, &book.0, &after.0, &at.0, &rows_at_most(limit)];
        let page = self.all(PAGE, values, |row| row.try_get(0).or_failure().map(Guid))?;
        let held = self.as_of(book, at, &page)?;
        Ok(page.into_iter().zip(held).collect())
    }

    pub(super) fn log(
        &mut self,
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

    fn log_of(&mut self, book: BookNo, guid: Guid, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const CURRENT: &str = concat!(
            "SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = $1 AND book = $2 AND guid = $3 AND revision < $4"
        );
        let account = self.account;
        let mut rows = self.all(CURRENT, &[&account, &book.0, &guid.0, &before.0], revision)?;
        rows.extend(self.past_of(book, guid, before, limit - rows.len())?);
        Ok(rows)
    }

    fn past_of(&mut self, book: BookNo, guid: Guid, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const PAST: &str = concat!(
            "SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = $1 AND book = $2 AND guid = $3 AND revision < $4
              ORDER BY revision DESC LIMIT $5"
        );
        let account = self.account;
        self.all(PAST, &[&account, &book.0, &guid.0, &before.0, &rows_at_most(limit)], revision)
    }

    fn log_of_all(&mut self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        const PAGE: &str = concat!(
            "(SELECT guid, revision, ",
            current_columns!(),
            " FROM item WHERE account = $1 AND book = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4)
              UNION ALL (SELECT guid, revision, ",
            past_columns!(),
            " FROM revision WHERE account = $1 AND book = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4)
              ORDER BY 2 DESC LIMIT $4"
        );
        let account = self.account;
        self.all(PAGE, &[&account, &book.0, &before.0, &rows_at_most(limit)], revision)
    }

    pub(super) fn superseded(
        &mut self,
        book: BookNo,
        after: Revision,
        newest: usize,
        limit: usize,
    ) -> Result<Vec<PastRow>> {
        // Recent is what fewer than so many newer ones follow.
        const PAGE: &str = "SELECT p.guid, p.revision, p.until, p.until_at, p.revision >= coalesce((
              SELECT r.revision FROM revision AS r WHERE r.account = $1 AND r.book = $2 AND r.guid = p.guid
               ORDER BY r.revision DESC LIMIT 1 OFFSET $5), p.revision)
             FROM (SELECT guid, revision, until, until_at FROM revision
                    WHERE account = $1 AND book = $2 AND revision > $3 ORDER BY revision LIMIT $4) AS p
             ORDER BY p.revision";
        const NONE: &str = "SELECT guid, revision, until, until_at, false FROM revision
             WHERE account = $1 AND book = $2 AND revision > $3 ORDER BY revision LIMIT $4";
        let account = self.account;
        let limit = rows_at_most(limit);
        let read = |row: &Row| {
            let mut columns = Columns::from(row, 0);
            Ok(PastRow {
                guid: Guid(columns.next()?),
                revision: Revision(columns.next()?),
                until: Revision(columns.next()?),
                until_at: Timestamp(columns.next()?),
                recent: columns.next()?,
            })
        };
        match newest.checked_sub(1) {
            None => self.all(NONE, &[&account, &book.0, &after.0, &limit], read),
            Some(offset) => self.all(PAGE, &[&account, &book.0, &after.0, &limit, &rows_at_most(offset)], read),
        }
    }

    pub(super) fn purge(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()> {
        const PURGE: &str = "DELETE FROM revision WHERE account = $1 AND book = $2 AND guid = ANY ($3)
              AND ((guid, revision) IN (SELECT * FROM unnest($3::bigint[], $4::bigint[]))) IS TRUE RETURNING blob";
        const CONFLICTS: [&str; 2] = [
            "DELETE FROM conflict WHERE account = $1 AND book = $2 AND lost = ANY ($3)",
            "DELETE FROM conflict WHERE account = $1 AND book = $2 AND revision = ANY ($3) AND lost IS NULL",
        ];
        self.locked(book)?;
        let account = self.account;
        let (guids, revisions): (Vec<i64>, Vec<i64>) =
            which.iter().map(|(guid, revision)| (guid.0, revision.0)).unzip();
        // With what they lost, or with their own revision.
        for sql in CONFLICTS {
            self.run(sql, &[&account, &book.0, &revisions])?;
        }
        let blobs: Vec<Option<i64>> =
            self.all(PURGE, &[&account, &book.0, &guids, &revisions], |row| row.try_get(0).or_failure())?;
        self.drop_blobs(&blobs.into_iter().flatten().map(BlobNo).collect::<Vec<_>>())
    }

    pub(super) fn conflicts(&mut self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<ConflictRow>> {
        let sql = "SELECT revision, guid, origin, at, won, lost, fields FROM conflict
                   WHERE account = $1 AND book = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4";
        let account = self.account;
        self.all(sql, &[&account, &book.0, &before.0, &rows_at_most(limit)], |row| {
            rows::conflict(&mut Columns::from(row, 0))
        })
    }

    pub(super) fn conflicts_at(&mut self, book: BookNo, which: &[Revision]) -> Result<Vec<Option<ConflictRow>>> {
        const THERE: &str = "SELECT n.place, c.revision, c.guid, c.origin, c.at, c.won, c.lost, c.fields
             FROM unnest($3::bigint[]) WITH ORDINALITY AS n (revision, place)
             CROSS JOIN LATERAL (SELECT * FROM conflict AS i
              WHERE i.account = $1 AND i.book = $2 AND i.revision = n.revision OFFSET 0) AS c";
        let account = self.account;
        let revisions: Vec<i64> = which.iter().map(|revision| revision.0).collect();
        self.each(which.len(), THERE, &[&account, &book.0, &revisions], |row| {
            rows::conflict(&mut Columns::from(row, 1))
        })
    }

    pub(super) fn put_conflicts(&mut self, book: BookNo, rows: &[ConflictRow]) -> Result<()> {
        const PUT: &str = "INSERT INTO conflict (account, book, revision, guid, origin, at, won, lost, fields)
             SELECT $1, $2, n.* FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[], $9::text[]) AS n ON CONFLICT (account, book, revision) DO NOTHING";
        fn all<'r, T>(rows: &'r [ConflictRow], column: impl Fn(&'r ConflictRow) -> T) -> Vec<T> {
            rows.iter().map(column).collect()
        }
        self.locked(book)?;
        let account = self.account;
        self.run(
            PUT,
            &[
                &account,
                &book.0,
                &all(rows, |row| row.revision.0),
                &all(rows, |row| row.guid.0),
                &all(rows, |row| row.origin.map(|origin| origin.0)),
                &all(rows, |row| row.at.0),
                &all(rows, |row| sql::winner_number(row.won)),
                &all(rows, |row| row.lost.map(|lost| lost.0)),
                &all(rows, |row| sql::fields_text(&row.fields)),
            ],
        )
        .map(drop)
    }

    pub(super) fn put_past(&mut self, book: BookNo, rows: &[RevisionRow]) -> Result<()> {
        const PUT: &str = "INSERT INTO revision (account, book, guid, revision, kind, until, until_at, parent, depth,
              media_type, origin, at, content, blob, size)
             SELECT $1, $2, n.* FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bytea[], $14::bigint[],
              $15::bigint[]) AS n";
        fn all<'r, T>(rows: &'r [RevisionRow], column: impl Fn(&'r RevisionRow) -> T) -> Vec<T> {
            rows.iter().map(column).collect()
        }
        self.locked(book)?;
        let account = self.account;
        let until = rows.iter().map(sql::until).collect::<Result<Vec<_>>>()?;
        let (until, until_at): (Vec<i64>, Vec<i64>) = until.into_iter().map(|(until, at)| (until.0, at.0)).unzip();
        self.run(
            PUT,
            &[
                &account,
                &book.0,
                &all(rows, |row| row.guid.0),
                &all(rows, |row| row.revision.0),
                &all(rows, sql::revision_kind),
                &until,
                &until_at,
                &all(rows, |row| row.parent.map(|parent| parent.0)),
                &all(rows, |row| i64::from(row.depth)),
                &all(rows, |row| rows::escape_some(row.media_type.as_deref())),
                &all(rows, |row| row.origin.map(|origin| origin.0)),
                &all(rows, |row| row.at.0),
                &all(rows, |row| &row.content[..]),
                &all(rows, |row| row.blob.map(|blob| blob.no.0)),
                &all(rows, |row| row.blob.map(|blob| blob.len.cast_signed())),
            ],
        )
        .map(drop)
    }

    pub(super) fn restores(&mut self, book: BookNo, limit: usize) -> Result<Vec<RestoreRow>> {
        let sql = "SELECT restore, target, cursor, begun, ended, revived, changed, deleted FROM restore
                   WHERE account = $1 AND book = $2 ORDER BY restore DESC LIMIT $3";
        let account = self.account;
        self.all(sql, &[&account, &book.0, &rows_at_most(limit)], rows::restore)
    }

    pub(super) fn put_restore(&mut self, book: BookNo, row: &RestoreRow) -> Result<()> {
        const PUT: &str = "INSERT INTO restore (account, book, restore, target, cursor, begun, ended, revived, changed,
              deleted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (account, book, restore) DO UPDATE SET target = excluded.target, cursor = excluded.cursor,
              begun = excluded.begun, ended = excluded.ended, revived = excluded.revived, changed = excluded.changed,
              deleted = excluded.deleted";
        self.locked(book)?;
        let account = self.account;
        let [revived, changed, deleted] = [row.revived, row.changed, row.deleted].map(u64::cast_signed);
        let ended = row.ended.map(|at| at.0);
        let (id, target, cursor, begun) = (row.id.0, row.target.0, row.cursor.0, row.begun.0);
        self.run(PUT, &[&account, &book.0, &id, &target, &cursor, &begun, &ended, &revived, &changed, &deleted])
            .map(drop)
    }
}
