//! Pairs and map entries.

use super::super::*;
use super::failure::OrFailure;
use super::place::number;
use super::rows::{self, Luid, item_columns};
use super::runs::runs;
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;

/// How many changed items are looked at in one go for those a peer is not agreed on.
const WINDOW: i64 = 500;

/// The columns of a map entry, in the order of [`rows::map`], where a parameter says where its book's items are.
macro_rules! map_columns {
    ($places:literal) => {
        concat!(
            "luid, guid, agreed_revision, lens, ifnull(view_fp, (SELECT fingerprint FROM item WHERE place = ",
            $places,
            " | guid AND changed IS NULL)), state"
        )
    };
}

/// The items whose column `$range` is within the bounds that a device is not agreed on, each with its entry if that is
/// not retired. A changed item is found by its revision, one that was never changed by its guid.
macro_rules! differing {
    ($range:literal, $which:literal) => {
        concat!(
            "FROM item AS i LEFT JOIN map AS m ON m.account = ?1 AND m.device = ?2 AND m.book = ?3 AND m.epoch = ?4
               AND m.guid = ",
            number!("i.place"),
            " AND m.state <> 1 WHERE ",
            $range,
            " > ?5 AND ",
            $range,
            " <= ?6 AND ",
            $which,
            " AND CASE WHEN m.guid IS NULL THEN i.deleted = 0 ELSE ifnull(m.agreed_revision, m.guid) < ",
            number!("ifnull(i.changed, i.place)"),
            " END"
        )
    };
}

impl SqliteTx<'_> {
    pub(super) fn pair(&self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        let sql = "SELECT peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens, filter_hash,
                    sync_type, last_type, phase, holds FROM pair WHERE account = ?1 AND device = ?2 AND book = ?3";
        self.one(sql, (self.account, device.0, book.0), |row| rows::pair(device, book, row))
    }

    pub(super) fn put_pair(&self, row: &PairRow) -> Result<()> {
        let sql =
            "INSERT OR REPLACE INTO pair (account, device, book, peer_next, peer_prev, own_next, own_prev, cursor,
                    upto, start_head, epoch, lens, filter_hash, sync_type, last_type, phase, holds)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
        let params = params![
            self.account,
            row.device.0,
            row.book.0,
            row.peer_next,
            row.peer_prev,
            row.own_next,
            row.own_prev,
            row.cursor.0,
            row.upto.0,
            row.start_head.0,
            row.epoch,
            row.lens.map(|lens| lens.0),
            row.filter_hash,
            row.sync_type,
            row.last_type,
            rows::phase_number(row.phase),
            rows::holds_text(&row.holds)
        ];
        self.run(sql, params).map(drop)
    }

    pub(super) fn lens(&self, lens: LensNo) -> Result<Option<Vec<u8>>> {
        self.one("SELECT value FROM lens WHERE account = ?1 AND lens = ?2", (self.account, lens.0), |row| row.get(0))
    }

    pub(super) fn put_lens(&self, lens: LensNo, value: &[u8]) -> Result<()> {
        let sql = "INSERT INTO lens (account, lens, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.run(sql, (self.account, lens.0, value)).map(drop)
    }

    pub(super) fn maps_by_luid(
        &self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        let keys = || luids.iter().map(|luid| Luid::of(luid));
        let Some((first, last)) = keys().min().zip(keys().max()) else { return Ok(Vec::new()) };
        // What a peer has not told before is most often beyond all that it told: then it need not be looked for one by one.
        let any = "SELECT 1 FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND luid >= ?5
                    AND luid <= ?6 LIMIT 1";
        if first < last && self.one(any, (self.account, device.0, book.0, epoch, first, last), |_| Ok(()))?.is_none() {
            return Ok(vec![None; luids.len()]);
        }
        const ENTRY: &str = concat!(
            "SELECT ",
            map_columns!("?6"),
            " FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND luid = ?5"
        );
        let (mut select, items) = (self.prepare(ENTRY)?, self.places(book)?.of(0));
        let mut entry = |luid: &str| {
            let which = (self.account, device.0, book.0, epoch, Luid::of(luid), items);
            select.query_row(which, |row| rows::map(epoch, row)).optional().or_failure()
        };
        luids.iter().map(|luid| entry(luid)).collect()
    }

    pub(super) fn maps_by_guid(
        &self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        const ENTRIES: &str = concat!(
            "SELECT ",
            map_columns!("?7"),
            " FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid >= ?5 AND guid <= ?6
              AND state <> 1"
        );
        let (mut select, items, mut found) = (self.prepare(ENTRIES)?, self.places(book)?.of(0), BTreeMap::new());
        for run in runs(guids.iter().map(|guid| guid.0)) {
            let which = (self.account, device.0, book.0, epoch, run.start(), run.end(), items);
            for entry in select.query_map(which, |row| rows::map(epoch, row)).or_failure()? {
                let entry = entry.or_failure()?;
                found.insert(entry.guid, entry);
            }
        }
        Ok(guids.iter().map(|guid| found.get(guid).cloned()).collect())
    }

    pub(super) fn put_maps(&self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        let mut put = self.prepare(
            "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
              nullif(?9, (SELECT fingerprint FROM item WHERE place = ?11 AND changed IS NULL AND deleted = 0)), ?10)
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET guid = excluded.guid,
              agreed_revision = excluded.agreed_revision, lens = excluded.lens, view_fp = excluded.view_fp,
              state = excluded.state
             WHERE guid = excluded.guid OR state = 1",
        )?;
        let places = self.places(book)?;
        for row in rows {
            let first = row.agreed_revision.0 == row.guid.0;
            let values = params![
                self.account,
                device.0,
                book.0,
                row.epoch,
                Luid::of(&row.luid),
                row.guid.0,
                Some(row.agreed_revision.0).filter(|_| !first),
                row.lens.map(|lens| lens.0),
                row.view_fp,
                rows::map_state_number(row.state),
                // Where the fingerprint may be the item's; elsewhere no item is.
                if first && row.state != MapState::Gone { places.of(row.guid.0) } else { -1 }
            ];
            // Nothing written is an entry re-pointed; a second entry of an item fails by the unique index.
            if put.execute(values).or_failure()? == 0 {
                return Err(StoreError::Corrupt(format!("a live map entry shall be re-pointed to item {}", row.guid)));
            }
        }
        Ok(())
    }

    pub(super) fn carry_maps(&self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        let sql = "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
                   SELECT account, device, book, ?5, luid, guid, agreed_revision, lens, view_fp, state FROM map
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4
                    AND luid NOT IN (SELECT luid FROM map
                                      WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?5)
                    AND guid NOT IN (SELECT guid FROM map
                                      WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?5)";
        self.run(sql, (self.account, device.0, book.0, from, to)).map(drop)
    }

    pub(super) fn drop_maps(&self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        let sql = "DELETE FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch <> ?4";
        self.run(sql, (self.account, device.0, book.0, keep)).map(drop)
    }

    pub(super) fn map_page(
        &self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        const PAGE: &str = concat!(
            "SELECT ",
            map_columns!("?7"),
            " FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid > ?5 AND state <> 1
              ORDER BY guid LIMIT ?6"
        );
        let items = self.places(book)?.of(0);
        let which = (self.account, device.0, book.0, epoch, after.0, rows_at_most(limit), items);
        self.all(PAGE, which, |row| rows::map(epoch, row))
    }

    pub(super) fn all_maps(
        &self,
        device: DeviceNo,
        book: BookNo,
        (epoch, luid): (i64, &str),
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        const PAGE: &str = concat!(
            "SELECT ",
            map_columns!("?7"),
            ", epoch FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND (epoch, luid) > (?4, ?5)
              ORDER BY epoch, luid LIMIT ?6"
        );
        let items = self.places(book)?.of(0);
        let which = (self.account, device.0, book.0, epoch, Luid::of(luid), rows_at_most(limit), items);
        self.all(PAGE, which, |row| rows::map(row.get(6)?, row))
    }

    pub(super) fn unconfirmed_maps(
        &self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        const PAGE: &str = concat!(
            "SELECT ",
            map_columns!("?6"),
            " FROM map INDEXED BY map_unconfirmed WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4
              AND state = 6 ORDER BY guid LIMIT ?5"
        );
        let items = self.places(book)?.of(0);
        let which = (self.account, device.0, book.0, epoch, rows_at_most(limit), items);
        self.all(PAGE, which, |row| rows::map(epoch, row))
    }

    /// Writes the fingerprints of items that are about to be changed for the first time into the map entries that have them
    /// from there.
    pub(super) fn keep_views(&self, book: BookNo, prints: &[(Guid, [u8; 16])]) -> Result<()> {
        if prints.is_empty() {
            return Ok(());
        }
        let mut keep = self.prepare(
            "UPDATE map SET view_fp = ?6 WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid = ?5
              AND state <> 1 AND view_fp IS NULL",
        )?;
        for (device, epoch) in self.epochs_of(book)? {
            for (guid, print) in prints {
                keep.execute((self.account, device, book.0, epoch, guid.0, print)).or_failure()?;
            }
        }
        Ok(())
    }

    /// The devices that have entries of a book, each with every epoch: there are few, whatever the number of entries.
    fn epochs_of(&self, book: BookNo) -> Result<Vec<(i64, i64)>> {
        const DEVICE: &str = "SELECT min(device) FROM map WHERE account = ?1 AND device > ?2";
        const EPOCH: &str =
            "SELECT min(epoch) FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch > ?4";
        let mut found = Vec::new();
        let mut device = i64::MIN;
        while let Some(next) = self.one(DEVICE, (self.account, device), |row| row.get(0))?.flatten() {
            device = next;
            let mut epoch = i64::MIN;
            while let Some(next) = self.one(EPOCH, (self.account, device, book.0, epoch), |row| row.get(0))?.flatten() {
                epoch = next;
                found.push((device, epoch));
            }
        }
        Ok(found)
    }

    pub(super) fn differences(
        &self,
        (device, book): (DeviceNo, BookNo),
        epoch: i64,
        mut after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        const PAGE: &str = concat!(
            "SELECT place, place AS changed, ",
            item_columns!(),
            ", luid, m.guid, agreed_revision, lens, ifnull(view_fp, i.fingerprint), state ",
            differing!("i.place", "i.changed IS NULL"),
            " UNION ALL SELECT place, changed, ",
            item_columns!(),
            ", luid, m.guid, agreed_revision, lens, ifnull(view_fp, i.fingerprint), state ",
            differing!("i.changed", "i.changed IS NOT NULL"),
            " ORDER BY 2 LIMIT ?7"
        );
        let (mut found, places) = (Vec::new(), self.places(book)?);
        // Window by window, as what lies between two differences may be a whole book; no window is searched twice
        // but the last one of a page.
        while found.len() < limit && after < upto {
            let end = self.bound(book, after, upto, WINDOW)?;
            let rest = rows_at_most(limit - found.len());
            let window = (self.account, device.0, book.0, epoch, places.upto(after.0), places.upto(end.0), rest);
            found.extend(self.all(PAGE, window, |row| rows::difference(&self.packing, epoch, row))?);
            after = end;
        }
        Ok(found)
    }

    pub(super) fn count_differences(
        &self,
        (device, book): (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> Result<u64> {
        const COUNT: &str = concat!(
            "SELECT (SELECT count(*) ",
            differing!("i.place", "i.changed IS NULL"),
            ") + (SELECT count(*) ",
            differing!("i.changed", "i.changed IS NOT NULL"),
            ")"
        );
        if after >= upto {
            return Ok(0);
        }
        let places = self.places(book)?;
        let range = (self.account, device.0, book.0, epoch, places.upto(after.0), places.upto(upto.0));
        let count = self.one(COUNT, range, |row| row.get::<_, i64>(0))?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }
}
