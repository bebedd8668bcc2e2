//! What was sent, and what was received and waits.

use super::super::*;
use super::conn::Values;
use super::failure::OrFailure;
use super::known::Shelf;
use super::rows::{self, Columns, escape, escape_some};
use super::tx::{PostgresTx, parts, rows_at_most};
use tokio_postgres::Row;

macro_rules! outgoing {
    ($before:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $before,
            "o.guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id FROM ",
            $rest
        )
    };
}

macro_rules! staged {
    ($before:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $before,
            "seq, epoch, s.luid, op, place, media_type, view_fp, keys, content, blob, size FROM ",
            $rest
        )
    };
}

impl PostgresTx<'_> {
    pub(super) fn outgoing(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        guids: &[Guid],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        if self.known.lacks(Shelf::Outgoing, device) {
            return Ok(vec![None; guids.len()]);
        }
        const FIND: &str = outgoing!(
            "n.place, ",
            "unnest($4::bigint[]) WITH ORDINALITY AS n (guid, place) CROSS JOIN LATERAL
              (SELECT * FROM outgoing WHERE account = $1 AND device = $2 AND book = $3 AND outgoing.guid = n.guid
                OFFSET 0) AS o"
        );
        let account = self.account;
        let wanted: Vec<i64> = guids.iter().map(|guid| guid.0).collect();
        let values: Values<'_> = &[&account, &device.0, &book.0, &wanted];
        self.each(guids.len(), FIND, values, |row| rows::outgoing(&mut Columns::from(row, 1)))
    }

    pub(super) fn outgoing_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<OutgoingRow>> {
        if self.known.lacks(Shelf::Outgoing, device) {
            return Ok(Vec::new());
        }
        const PAGE: &str = outgoing!(
            "",
            "outgoing AS o WHERE account = $1 AND device = $2 AND book = $3 AND guid > $4 ORDER BY guid LIMIT $5"
        );
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &after.0, &rows_at_most(limit)];
        self.all(PAGE, values, |row| rows::outgoing(&mut Columns::from(row, 0)))
    }

    pub(super) fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        if self.known.lacks(Shelf::Outgoing, device) {
            return Ok(vec![None; refs.len()]);
        }
        // Of several the last answer stays, which is the first in order.
        const FIND: &str = outgoing!(
            "n.place, book, ",
            "unnest($4::bigint[], $5::bigint[]) WITH ORDINALITY AS n (msg, cmd, place) CROSS JOIN LATERAL
              (SELECT * FROM outgoing WHERE account = $1 AND device = $2 AND session = $3 AND msg_id = n.msg
                AND cmd_id = n.cmd OFFSET 0) AS o ORDER BY book DESC, o.guid DESC"
        );
        let account = self.account;
        let (msgs, cmds): (Vec<i64>, Vec<i64>) =
            refs.iter().map(|place| (i64::from(place.msg_id), i64::from(place.cmd_id))).unzip();
        let values: Values<'_> = &[&account, &device.0, &&token.0[..], &msgs, &cmds];
        self.each(refs.len(), FIND, values, |row| {
            Ok((BookNo(row.try_get(1).or_failure()?), rows::outgoing(&mut Columns::from(row, 2))?))
        })
    }

    pub(super) fn outgoing_by_view(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        if self.known.lacks(Shelf::Outgoing, device) {
            return Ok(vec![None; views.len()]);
        }
        const FIND: &str = outgoing!(
            "n.place, ",
            "unnest($4::bytea[]) WITH ORDINALITY AS n (view_fp, place)
              CROSS JOIN LATERAL (SELECT * FROM outgoing WHERE account = $1 AND device = $2 AND book = $3
               AND sent_view_fp = n.view_fp AND op = 0 AND state IN (1, 2, 5) ORDER BY guid LIMIT 1) AS o"
        );
        let account = self.account;
        let wanted: Vec<&[u8]> = views.iter().map(|view| &view[..]).collect();
        let values: Values<'_> = &[&account, &device.0, &book.0, &wanted];
        self.each(views.len(), FIND, values, |row| rows::outgoing(&mut Columns::from(row, 1)))
    }

    pub(super) fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        self.known.fill(Shelf::Outgoing);
        const PUT: &str =
            "INSERT INTO outgoing (account, device, book, guid, op, sent_revision, sent_view_fp, temp_guid,
              state, reason, session, msg_id, cmd_id)
             SELECT $1, $2, $3, n.* FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::text[],
              $9::bigint[], $10::bigint[], $11::bytea[], $12::bigint[], $13::bigint[]) AS n
             ON CONFLICT (account, device, book, guid) DO UPDATE SET op = excluded.op,
              sent_revision = excluded.sent_revision, sent_view_fp = excluded.sent_view_fp,
              temp_guid = excluded.temp_guid, state = excluded.state, reason = excluded.reason,
              session = excluded.session, msg_id = excluded.msg_id, cmd_id = excluded.cmd_id";
        fn all<'r, T>(rows: &[&'r OutgoingRow], column: impl Fn(&'r OutgoingRow) -> T) -> Vec<T> {
            rows.iter().map(|row| column(row)).collect()
        }
        let account = self.account;
        for part in parts(rows, |row| row.guid) {
            self.run(
                PUT,
                &[
                    &account,
                    &device.0,
                    &book.0,
                    &all(&part, |row| row.guid.0),
                    &all(&part, |row| rows::op_number(row.op)),
                    &all(&part, |row| row.sent_revision.0),
                    &all(&part, |row| &row.sent_view_fp[..]),
                    &all(&part, |row| escape_some(row.temp_guid.as_deref())),
                    &all(&part, |row| rows::outgoing_state_number(row.state)),
                    &all(&part, |row| i64::from(row.reason)),
                    &all(&part, |row| row.session.as_ref().map(|token| &token.0[..])),
                    &all(&part, |row| row.sent_as.map(|place| i64::from(place.msg_id))),
                    &all(&part, |row| row.sent_as.map(|place| i64::from(place.cmd_id))),
                ],
            )?;
        }
        Ok(())
    }

    pub(super) fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = $1 AND device = $2 AND book = $3 AND guid = ANY ($4)";
        if guids.is_empty() {
            return Ok(());
        }
        let account = self.account;
        let guids: Vec<i64> = guids.iter().map(|guid| guid.0).collect();
        self.run(sql, &[&account, &device.0, &book.0, &guids]).map(drop)
    }

    pub(super) fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = $1 AND device = $2 AND book = $3";
        let account = self.account;
        self.run(sql, &[&account, &device.0, &book.0]).map(drop)
    }

    pub(super) fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        self.known.fill(Shelf::Staged);
        const REPLACED: &str = "SELECT s.blob FROM unnest($4::text[], $5::bigint[]) AS n (luid, epoch)
             CROSS JOIN LATERAL (SELECT blob FROM staged WHERE account = $1 AND device = $2 AND book = $3
              AND staged.luid = n.luid COLLATE \"C\" AND staged.epoch = n.epoch AND blob IS NOT NULL OFFSET 0) AS s";
        const STAGE: &str = "INSERT INTO staged (account, device, book, epoch, luid, op, place, media_type, view_fp, keys,
              content, blob, size)
             SELECT $1, $2, $3, n.epoch, n.luid, n.op, n.place, n.media_type, n.view_fp, n.keys, n.content, n.blob, n.size
             FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bytea[], $10::bytea[],
              $11::bytea[], $12::bigint[], $13::bigint[]) WITH ORDINALITY
              AS n (luid, epoch, op, place, media_type, view_fp, keys, content, blob, size, at) ORDER BY n.at
             ON CONFLICT (account, device, book, luid, epoch) DO UPDATE SET op = excluded.op, place = excluded.place,
              media_type = excluded.media_type, view_fp = excluded.view_fp, keys = excluded.keys,
              content = excluded.content, blob = excluded.blob, size = excluded.size";
        fn all<'r, T>(rows: &[&'r NewStaged<'_>], column: impl Fn(&'r NewStaged<'_>) -> T) -> Vec<T> {
            rows.iter().map(|row| column(row)).collect()
        }
        let account = self.account;
        for part in parts(rows, |row| (&row.luid, row.epoch)) {
            let luids = all(&part, |row| escape(&row.luid));
            let epochs = all(&part, |row| row.epoch);
            let values: Values<'_> = &[&account, &device.0, &book.0, &luids, &epochs];
            let replaced = self.all(REPLACED, values, blob_of)?;
            self.run(
                STAGE,
                &[
                    &account,
                    &device.0,
                    &book.0,
                    &luids,
                    &epochs,
                    &all(&part, |row| rows::op_number(row.op)),
                    &all(&part, |row| escape_some(row.place.as_deref())),
                    &all(&part, |row| escape_some(row.media_type.as_deref())),
                    &all(&part, |row| &row.view_fp[..]),
                    &all(&part, |row| rows::pack_keys(&row.keys)),
                    &all(&part, |row| &*row.content),
                    &all(&part, |row| row.blob.map(|blob| blob.no.0)),
                    &all(&part, |row| row.blob.map(|blob| blob.len.cast_signed())),
                ],
            )?;
            self.drop_blobs(&replaced.into_iter().flatten().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    pub(super) fn staged(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StagedRow>> {
        if self.known.lacks(Shelf::Staged, device) {
            return Ok(Vec::new());
        }
        const PAGE: &str = staged!(
            "",
            "staged AS s WHERE account = $1 AND device = $2 AND book = $3 AND seq > $4 ORDER BY seq LIMIT $5"
        );
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &after, &rows_at_most(limit)];
        self.all(PAGE, values, |row| rows::staged(&mut Columns::from(row, 0)))
    }

    pub(super) fn staged_under(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<StagedRow>>> {
        if self.known.lacks(Shelf::Staged, device) {
            return Ok(vec![None; luids.len()]);
        }
        const FIND: &str = staged!(
            "n.number, ",
            "unnest($5::text[]) WITH ORDINALITY AS n (luid, number) CROSS JOIN LATERAL
              (SELECT * FROM staged WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4
                AND staged.luid = n.luid COLLATE \"C\" OFFSET 0) AS s"
        );
        let account = self.account;
        let wanted: Vec<_> = luids.iter().map(|luid| escape(luid)).collect();
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &wanted];
        self.each(luids.len(), FIND, values, |row| rows::staged(&mut Columns::from(row, 1)))
    }

    pub(super) fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        const DROP: &str = "DELETE FROM staged WHERE account = $1 AND device = $2 AND book = $3 AND seq = ANY ($4)
             RETURNING blob";
        if seqs.is_empty() {
            return Ok(());
        }
        let account = self.account;
        let removed = self.all(DROP, &[&account, &device.0, &book.0, &seqs], blob_of)?;
        self.drop_blobs(&removed.into_iter().flatten().collect::<Vec<_>>())
    }

    pub(super) fn unstage(&mut self, device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Result<()> {
        const DROP: &str = "DELETE FROM staged WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4
              AND luid = ANY ($5) RETURNING blob";
        if luids.is_empty() {
            return Ok(());
        }
        let account = self.account;
        let luids: Vec<_> = luids.iter().map(|luid| escape(luid)).collect();
        let removed = self.all(DROP, &[&account, &device.0, &book.0, &epoch, &luids], blob_of)?;
        self.drop_blobs(&removed.into_iter().flatten().collect::<Vec<_>>())
    }

    pub(super) fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        if self.known.lacks(Shelf::Staged, device) {
            return Ok(0);
        }
        let sql = "SELECT count(*) FROM staged WHERE account = $1 AND device = $2 AND book = $3 AND op = $4";
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &rows::op_number(op)];
        let count = self.one(sql, values, |row| row.try_get::<_, i64>(0).or_failure())?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }

    pub(super) fn errands(&mut self, device: DeviceNo, from: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        if self.known.lacks(Shelf::Errands, device) {
            return Ok(Vec::new());
        }
        let sql = "SELECT errand, content FROM errand WHERE account = $1 AND device = $2 AND errand >= $3
                   ORDER BY errand LIMIT $4";
        let account = self.account;
        self.all(sql, &[&account, &device.0, &from, &rows_at_most(limit)], |row| {
            Ok((row.try_get(0).or_failure()?, row.try_get(1).or_failure()?))
        })
    }

    pub(super) fn put_errand(&mut self, device: DeviceNo, no: i64, content: &[u8]) -> Result<()> {
        self.known.fill(Shelf::Errands);
        let sql = "INSERT INTO errand (account, device, errand, content) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (account, device, errand) DO UPDATE SET content = excluded.content";
        let account = self.account;
        self.run(sql, &[&account, &device.0, &no, &content]).map(drop)
    }

    pub(super) fn drop_errands(&mut self, device: DeviceNo) -> Result<()> {
        let account = self.account;
        self.run("DELETE FROM errand WHERE account = $1 AND device = $2", &[&account, &device.0]).map(drop)
    }

    pub(super) fn partial(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        direction: Direction,
    ) -> Result<Option<PartialRow>> {
        if self.known.lacks(Shelf::Partial, device) {
            return Ok(None);
        }
        let sql = "SELECT direction, uri, op, meta, declared, received, unconfirmed, last_status, blob FROM partial
                   WHERE account = $1 AND device = $2 AND book = $3 AND direction = $4";
        let account = self.account;
        self.one(sql, &[&account, &device.0, &book.0, &rows::direction_number(direction)], rows::partial)
    }

    pub(super) fn put_partial(&mut self, device: DeviceNo, book: BookNo, row: &PartialRow) -> Result<()> {
        self.known.fill(Shelf::Partial);
        const PUT: &str = "INSERT INTO partial (account, device, book, direction, uri, op, meta, declared, received,
              unconfirmed, last_status, blob) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT (account, device, book, direction) DO UPDATE SET uri = excluded.uri, op = excluded.op,
              meta = excluded.meta, declared = excluded.declared, received = excluded.received,
              unconfirmed = excluded.unconfirmed, last_status = excluded.last_status, blob = excluded.blob";
        let account = self.account;
        self.run(
            PUT,
            &[
                &account,
                &device.0,
                &book.0,
                &rows::direction_number(row.direction),
                &escape(&row.uri),
                &rows::op_number(row.op),
                &row.meta,
                &row.declared.cast_signed(),
                &row.received.cast_signed(),
                &row.unconfirmed.cast_signed(),
                &row.last_status.map(i64::from),
                &row.blob.0,
            ],
        )
        .map(drop)
    }

    pub(super) fn drop_partial(&mut self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<()> {
        let sql = "DELETE FROM partial WHERE account = $1 AND device = $2 AND book = $3 AND direction = $4";
        let account = self.account;
        self.run(sql, &[&account, &device.0, &book.0, &rows::direction_number(direction)]).map(drop)
    }
}

/// The large content that a row refers to.
fn blob_of(row: &Row) -> Result<Option<BlobNo>> {
    Ok(row.try_get::<_, Option<i64>>(0).or_failure()?.map(BlobNo))
}
