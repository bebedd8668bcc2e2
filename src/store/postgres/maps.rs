//! Pairs and map entries.

use super::super::*;
use super::conn::{OwnedValues, Values};
use super::failure::OrFailure;
use super::rows::{self, Columns, escape, escape_some, item_columns};
use super::tx::{PostgresTx, parts, rows_at_most};
use std::borrow::Cow;
use tokio_postgres::Row;

/// The items within the bounds that a device is not agreed on, each with its entry if that is not retired.
macro_rules! differing {
    () => {
        "FROM item AS i LEFT JOIN LATERAL
          (SELECT * FROM map WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4 AND map.guid = i.guid
            AND state <> 1 OFFSET 0) AS m ON true
         WHERE i.account = $1 AND i.book = $3 AND i.revision > $5 AND i.revision <= $6
          AND CASE WHEN m.guid IS NULL THEN NOT i.deleted ELSE m.agreed_revision < i.revision END"
    };
}

/// Pairs of a device by their books.
pub(super) const PAIRS: &str =
    "SELECT book, peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens,
     filter_hash, sync_type, last_type, phase, holds FROM pair WHERE account = $1 AND device = $2 AND book = ANY ($3)";

impl PostgresTx<'_> {
    pub(super) fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        if let Some(known) = self.known.take_pair(device, book) {
            return Ok(known);
        }
        let account = self.account;
        let found = self.one(PAIRS, &[&account, &device.0, &&[book.0][..]], |row| rows::pair(device, row))?;
        if self.known.is_of(device) {
            self.known.note_pair(book, found.is_some());
        }
        Ok(found)
    }

    pub(super) fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        const PUT: &str =
            "INSERT INTO pair (account, device, book, peer_next, peer_prev, own_next, own_prev, cursor, upto,
              start_head, epoch, lens, filter_hash, sync_type, last_type, phase, holds)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (account, device, book) DO UPDATE SET peer_next = excluded.peer_next,
              peer_prev = excluded.peer_prev, own_next = excluded.own_next, own_prev = excluded.own_prev,
              cursor = excluded.cursor, upto = excluded.upto, start_head = excluded.start_head, epoch = excluded.epoch,
              lens = excluded.lens, filter_hash = excluded.filter_hash, sync_type = excluded.sync_type,
              last_type = excluded.last_type, phase = excluded.phase, holds = excluded.holds";
        const UPDATE: &str =
            "UPDATE pair SET peer_next = $4, peer_prev = $5, own_next = $6, own_prev = $7, cursor = $8,
              upto = $9, start_head = $10, epoch = $11, lens = $12, filter_hash = $13, sync_type = $14, last_type = $15,
              phase = $16, holds = $17 WHERE account = $1 AND device = $2 AND book = $3";
        let text = |text: &Option<String>| Box::new(escape_some(text.as_deref()).map(Cow::into_owned));
        let values: OwnedValues = vec![
            Box::new(self.account),
            Box::new(row.device.0),
            Box::new(row.book.0),
            text(&row.peer_next),
            text(&row.peer_prev),
            text(&row.own_next),
            text(&row.own_prev),
            Box::new(row.cursor.0),
            Box::new(row.upto.0),
            Box::new(row.start_head.0),
            Box::new(row.epoch),
            Box::new(row.lens.map(|lens| lens.0)),
            Box::new(row.filter_hash.clone()),
            Box::new(i64::from(row.sync_type)),
            Box::new(i64::from(row.last_type)),
            Box::new(rows::phase_number(row.phase)),
            Box::new(rows::holds_text(&row.holds)),
        ];
        // Most are there.
        self.later(if self.known.has_pair(row.device, row.book) { UPDATE } else { PUT }, values)?;
        if self.known.is_of(row.device) {
            self.known.note_pair(row.book, true);
        }
        Ok(())
    }

    pub(super) fn lens(&mut self, lens: LensNo) -> Result<Option<Vec<u8>>> {
        let account = self.account;
        let sql = "SELECT value FROM lens WHERE account = $1 AND lens = $2";
        self.one(sql, &[&account, &lens.0], |row| row.try_get(0).or_failure())
    }

    pub(super) fn put_lens(&mut self, lens: LensNo, value: &[u8]) -> Result<()> {
        let account = self.account;
        let sql = "INSERT INTO lens (account, lens, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.run(sql, &[&account, &lens.0, &value]).map(drop)
    }

    pub(super) fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        const FIND: &str = "SELECT place, m.luid, guid, agreed_revision, lens, view_fp, state
             FROM unnest($5::text[]) WITH ORDINALITY AS n (luid, place) CROSS JOIN LATERAL
              (SELECT * FROM map WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4
                AND map.luid = n.luid COLLATE \"C\" OFFSET 0) AS m";
        let account = self.account;
        let wanted: Vec<_> = luids.iter().map(|luid| escape(luid)).collect();
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &wanted];
        self.each(luids.len(), FIND, values, |row| rows::map(epoch, &mut Columns::from(row, 1)))
    }

    pub(super) fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        const FIND: &str = "SELECT place, luid, m.guid, agreed_revision, lens, view_fp, state
             FROM unnest($5::bigint[]) WITH ORDINALITY AS n (guid, place) CROSS JOIN LATERAL
              (SELECT * FROM map WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4
                AND map.guid = n.guid AND state <> 1 OFFSET 0) AS m";
        let account = self.account;
        let wanted: Vec<i64> = guids.iter().map(|guid| guid.0).collect();
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &wanted];
        self.each(guids.len(), FIND, values, |row| rows::map(epoch, &mut Columns::from(row, 1)))
    }

    pub(super) fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        const PUT: &str =
            "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
             SELECT $1, $2, $3, n.epoch, n.luid, n.guid, n.agreed_revision, n.lens, n.view_fp, n.state
             FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bigint[])
              WITH ORDINALITY AS n (epoch, luid, guid, agreed_revision, lens, view_fp, state, place) ORDER BY n.place
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET guid = excluded.guid,
              agreed_revision = excluded.agreed_revision, lens = excluded.lens, view_fp = excluded.view_fp,
              state = excluded.state
             WHERE map.guid = excluded.guid OR map.state = 1";
        let account = self.account;
        for part in parts(rows, |row| (row.epoch, &row.luid)) {
            let epochs: Vec<i64> = part.iter().map(|row| row.epoch).collect();
            let luids: Vec<_> = part.iter().map(|row| escape(&row.luid)).collect();
            let guids: Vec<i64> = part.iter().map(|row| row.guid.0).collect();
            let agreed: Vec<i64> = part.iter().map(|row| row.agreed_revision.0).collect();
            let lenses: Vec<Option<i64>> = part.iter().map(|row| row.lens.map(|lens| lens.0)).collect();
            let views: Vec<&[u8]> = part.iter().map(|row| &row.view_fp[..]).collect();
            let states: Vec<i64> = part.iter().map(|row| rows::map_state_number(row.state)).collect();
            let values: Values<'_> =
                &[&account, &device.0, &book.0, &epochs, &luids, &guids, &agreed, &lenses, &views, &states];
            // What was not written is an entry re-pointed; a second entry of an item fails by the unique index.
            if self.run(PUT, values)? != part.len() as u64 {
                return Err(StoreError::Corrupt("a live map entry shall be re-pointed to another item".to_owned()));
            }
        }
        Ok(())
    }

    pub(super) fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        const CARRY: &str =
            "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
             SELECT account, device, book, $5, luid, guid, agreed_revision, lens, view_fp, state FROM map AS old
             WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4
              AND NOT EXISTS (SELECT 1 FROM map AS new WHERE new.account = $1 AND new.device = $2 AND new.book = $3
                               AND new.epoch = $5 AND new.luid = old.luid OFFSET 0)
              AND NOT EXISTS (SELECT 1 FROM map AS new WHERE new.account = $1 AND new.device = $2 AND new.book = $3
                               AND new.epoch = $5 AND new.guid = old.guid OFFSET 0)";
        let account = self.account;
        self.run(CARRY, &[&account, &device.0, &book.0, &from, &to]).map(drop)
    }

    pub(super) fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        let sql = "DELETE FROM map WHERE account = $1 AND device = $2 AND book = $3 AND epoch <> $4";
        let account = self.account;
        self.run(sql, &[&account, &device.0, &book.0, &keep]).map(drop)
    }

    pub(super) fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        let sql = "SELECT luid, guid, agreed_revision, lens, view_fp, state FROM map
                   WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4 AND guid > $5 AND state <> 1
                   ORDER BY guid LIMIT $6";
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &after.0, &rows_at_most(limit)];
        self.all(sql, values, |row| rows::map(epoch, &mut Columns::from(row, 0)))
    }

    pub(super) fn all_maps(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        (epoch, luid): (i64, &str),
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        let sql = "SELECT luid, guid, agreed_revision, lens, view_fp, state, epoch FROM map
                   WHERE account = $1 AND device = $2 AND book = $3 AND (epoch, luid) > ($4, $5 COLLATE \"C\")
                   ORDER BY epoch, luid LIMIT $6";
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &escape(luid), &rows_at_most(limit)];
        self.all(sql, values, |row| rows::map(row.try_get(6).or_failure()?, &mut Columns::from(row, 0)))
    }

    pub(super) fn unconfirmed_maps(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        let sql = "SELECT luid, guid, agreed_revision, lens, view_fp, state FROM map
                   WHERE account = $1 AND device = $2 AND book = $3 AND epoch = $4 AND state = 6 ORDER BY guid LIMIT $5";
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &rows_at_most(limit)];
        self.all(sql, values, |row| rows::map(epoch, &mut Columns::from(row, 0)))
    }

    pub(super) fn differences(
        &mut self,
        (device, book): (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        const PAGE: &str = concat!(
            "SELECT i.guid, i.revision, ",
            item_columns!(),
            ", m.luid, m.guid, m.agreed_revision, m.lens, m.view_fp, m.state ",
            differing!(),
            " ORDER BY i.revision LIMIT $7"
        );
        if after >= upto || limit == 0 {
            return Ok(Vec::new());
        }
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &after.0, &upto.0, &rows_at_most(limit)];
        self.all(PAGE, values, |row| rows::difference(epoch, row))
    }

    pub(super) fn count_differences(
        &mut self,
        (device, book): (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> Result<u64> {
        const COUNT: &str = concat!("SELECT count(*) ", differing!());
        if after >= upto {
            return Ok(0);
        }
        let account = self.account;
        let values: Values<'_> = &[&account, &device.0, &book.0, &epoch, &after.0, &upto.0];
        let count = self.one(COUNT, values, |row: &Row| row.try_get::<_, i64>(0).or_failure())?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }
}
