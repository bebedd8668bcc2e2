//! What was sent, and what was received and waits.

use super::super::*;
use super::failure::OrFailure;
use super::rows;
use super::runs::runs;
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;

const OUTGOING: &str =
    "SELECT guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id";

/// The large content of a staged row, by its id or by its number.
const BLOB_BY_LUID: &str =
    "SELECT blob FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND luid = ?4 AND epoch = ?5";
const BLOB_BY_SEQ: &str = "SELECT blob FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq = ?4";

impl SqliteTx<'_> {
    pub(super) fn outgoing(&self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        let sql = format!(
            "{OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid >= ?4 AND guid <= ?5"
        );
        let (mut select, mut found) = (self.prepare(&sql)?, BTreeMap::new());
        for run in runs(guids.iter().map(|guid| guid.0)) {
            let which = (self.account, device.0, book.0, run.start(), run.end());
            for row in select.query_map(which, rows::outgoing).or_failure()? {
                let row = row.or_failure()?;
                found.insert(row.guid, row);
            }
        }
        Ok(guids.iter().map(|guid| found.get(guid).cloned()).collect())
    }

    pub(super) fn outgoing_page(
        &self,
        device: DeviceNo,
        book: BookNo,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<OutgoingRow>> {
        let sql = format!(
            "{OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid > ?4 ORDER BY guid LIMIT ?5"
        );
        self.all(&sql, (self.account, device.0, book.0, after.0, rows_at_most(limit)), rows::outgoing)
    }

    pub(super) fn outgoing_by_ref(
        &self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        let sql = format!(
            "{OUTGOING}, book FROM outgoing INDEXED BY outgoing_ref WHERE account = ?1 AND device = ?2 AND session = ?3
              AND msg_id = ?4 AND cmd_id >= ?5 AND cmd_id <= ?6 ORDER BY cmd_id, book, guid"
        );
        let mut of_message: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for place in refs {
            of_message.entry(place.msg_id).or_default().push(place.cmd_id.into());
        }
        let (mut select, mut found) = (self.prepare(&sql)?, BTreeMap::new());
        for (msg_id, commands) in of_message {
            for run in runs(commands) {
                let which = (self.account, device.0, token.0, msg_id, run.start(), run.end());
                let rows = select.query_map(which, |row| Ok((BookNo(row.get(10)?), rows::outgoing(row)?)));
                for row in rows.or_failure()? {
                    let row = row.or_failure()?;
                    found.entry(row.1.sent_as).or_insert(row);
                }
            }
        }
        Ok(refs.iter().map(|place| found.get(&Some(*place)).cloned()).collect())
    }

    pub(super) fn outgoing_by_view(
        &self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        // Most often nothing is without an answer.
        let any = "SELECT 1 FROM outgoing INDEXED BY outgoing_view WHERE account = ?1 AND device = ?2 AND book = ?3
                    AND op = 0 AND (state = 1 OR state = 2 OR state = 5) LIMIT 1";
        if self.one(any, (self.account, device.0, book.0), |_| Ok(()))?.is_none() {
            return Ok(vec![None; views.len()]);
        }
        let sql = format!(
            "{OUTGOING} FROM outgoing INDEXED BY outgoing_view WHERE account = ?1 AND device = ?2 AND book = ?3
              AND sent_view_fp = ?4 AND op = 0 AND (state = 1 OR state = 2 OR state = 5) ORDER BY guid LIMIT 1"
        );
        let mut select = self.prepare(&sql)?;
        let mut row =
            |view: &ViewFp| select.query_row((self.account, device.0, book.0, view), rows::outgoing).optional();
        views.iter().map(|view| row(view).or_failure()).collect()
    }

    pub(super) fn put_outgoing(&self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        let mut put = self.prepare(
            "INSERT OR REPLACE INTO outgoing (account, device, book, guid, op, sent_revision, sent_view_fp, temp_guid,
              state, reason, session, msg_id, cmd_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for row in rows {
            let values = params![
                self.account,
                device.0,
                book.0,
                row.guid.0,
                rows::op_number(row.op),
                row.sent_revision.0,
                row.sent_view_fp,
                row.temp_guid,
                rows::outgoing_state_number(row.state),
                row.reason,
                row.session.map(|token| token.0),
                row.sent_as.map(|place| place.msg_id),
                row.sent_as.map(|place| place.cmd_id)
            ];
            put.execute(values).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn drop_outgoing(&self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid >= ?4 AND guid <= ?5";
        let mut delete = self.prepare(sql)?;
        for run in runs(guids.iter().map(|guid| guid.0)) {
            delete.execute((self.account, device.0, book.0, run.start(), run.end())).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn clear_outgoing(&self, device: DeviceNo, book: BookNo) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3";
        self.run(sql, (self.account, device.0, book.0)).map(drop)
    }

    pub(super) fn stage(&self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        let mut stage = self.prepare(
            "INSERT INTO staged (account, device, book, epoch, luid, op, place, media_type, view_fp, keys, content,
              blob, size)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (account, device, book, luid, epoch) DO UPDATE SET op = excluded.op, place = excluded.place,
              media_type = excluded.media_type, view_fp = excluded.view_fp, keys = excluded.keys,
              content = excluded.content, blob = excluded.blob, size = excluded.size",
        )?;
        let replaced = self.staged_blobs(
            BLOB_BY_LUID,
            rows.iter().map(|row| (self.account, device.0, book.0, &*row.luid, row.epoch)),
        )?;
        for row in rows {
            let values = params![
                self.account,
                device.0,
                book.0,
                row.epoch,
                &*row.luid,
                rows::op_number(row.op),
                row.place.as_deref(),
                row.media_type.as_deref(),
                row.view_fp,
                rows::pack_keys(&row.keys),
                &*row.content,
                row.blob.map(|blob| blob.no.0),
                row.blob.map(|blob| blob.len.cast_signed())
            ];
            stage.execute(values).or_failure()?;
        }
        self.drop_blobs(&replaced)
    }

    pub(super) fn staged(&self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        let sql = "SELECT seq, epoch, luid, op, place, media_type, view_fp, keys, content, blob, size FROM staged
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq > ?4 ORDER BY seq LIMIT ?5";
        self.all(sql, (self.account, device.0, book.0, after, rows_at_most(limit)), rows::staged)
    }

    pub(super) fn staged_under(
        &self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<StagedRow>>> {
        let sql = "SELECT seq, epoch, luid, op, place, media_type, view_fp, keys, content, blob, size FROM staged
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND luid = ?4 AND epoch = ?5";
        let found = |luid: &&str| self.one(sql, (self.account, device.0, book.0, *luid, epoch), rows::staged);
        luids.iter().map(found).collect()
    }

    pub(super) fn drop_staged(&self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        let sql = "DELETE FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq = ?4";
        let removed = self.staged_blobs(BLOB_BY_SEQ, seqs.iter().map(|seq| (self.account, device.0, book.0, *seq)))?;
        let mut delete = self.prepare(sql)?;
        for seq in seqs {
            delete.execute((self.account, device.0, book.0, seq)).or_failure()?;
        }
        self.drop_blobs(&removed)
    }

    pub(super) fn unstage(&self, device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Result<()> {
        let sql = "DELETE FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND luid = ?4 AND epoch = ?5";
        let removed =
            self.staged_blobs(BLOB_BY_LUID, luids.iter().map(|luid| (self.account, device.0, book.0, *luid, epoch)))?;
        let mut delete = self.prepare(sql)?;
        for luid in luids {
            delete.execute((self.account, device.0, book.0, luid, epoch)).or_failure()?;
        }
        self.drop_blobs(&removed)
    }

    pub(super) fn count_staged(&self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        let sql = "SELECT count(*) FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND op = ?4";
        let count = self.one(sql, (self.account, device.0, book.0, rows::op_number(op)), |row| row.get::<_, i64>(0))?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }

    pub(super) fn errands(&self, device: DeviceNo, from: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        let sql = "SELECT errand, content FROM errand WHERE account = ?1 AND device = ?2 AND errand >= ?3
                   ORDER BY errand LIMIT ?4";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.all(sql, (self.account, device.0, from, rows_at_most(limit)), read)
    }

    pub(super) fn put_errand(&self, device: DeviceNo, no: i64, content: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO errand (account, device, errand, content) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, (self.account, device.0, no, content)).map(drop)
    }

    pub(super) fn drop_errands(&self, device: DeviceNo) -> Result<()> {
        self.run("DELETE FROM errand WHERE account = ?1 AND device = ?2", (self.account, device.0)).map(drop)
    }

    pub(super) fn partial(&self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<Option<PartialRow>> {
        let sql = "SELECT direction, uri, op, meta, declared, received, unconfirmed, last_status, blob FROM partial
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND direction = ?4";
        let which = (self.account, device.0, book.0, rows::direction_number(direction));
        self.one(sql, which, rows::partial)
    }

    pub(super) fn put_partial(&self, device: DeviceNo, book: BookNo, row: &PartialRow) -> Result<()> {
        let put = "INSERT OR REPLACE INTO partial (account, device, book, direction, uri, op, meta, declared, received,
                    unconfirmed, last_status, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let values = params![
            self.account,
            device.0,
            book.0,
            rows::direction_number(row.direction),
            row.uri,
            rows::op_number(row.op),
            row.meta,
            row.declared.cast_signed(),
            row.received.cast_signed(),
            row.unconfirmed.cast_signed(),
            row.last_status,
            row.blob.0
        ];
        self.run(put, values).map(drop)
    }

    pub(super) fn drop_partial(&self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<()> {
        let sql = "DELETE FROM partial WHERE account = ?1 AND device = ?2 AND book = ?3 AND direction = ?4";
        self.run(sql, (self.account, device.0, book.0, rows::direction_number(direction))).map(drop)
    }
}
