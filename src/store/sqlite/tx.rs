//! A step of an SQLite store: statements prepared once, run per row.

use super::super::*;
use super::failure::OrFailure;
use super::rows::{self, Luid, item_columns};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, Statement, params};

pub(super) struct SqliteTx<'a> {
    conn: &'a Connection,
    account: i64,
    locked: Vec<LockedBook>,
}

/// What is known of a book under the lock.
#[derive(Clone, Copy)]
struct LockedBook {
    book: BookNo,
    head: Revision,
    indexed: bool,
    indexed_upto: Guid,
}

impl LockedBook {
    /// Whether the item's match keys are in the index, or shall be.
    const fn indexes(&self, guid: Guid) -> bool {
        self.indexed || guid.0 <= self.indexed_upto.0
    }
}

const BOOK: &str = "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed, indexed_upto
                    FROM book WHERE account = ?1 AND book = ?2";
const ITEM: &str =
    concat!("SELECT guid, revision, ", item_columns!(), " FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3");
const INDEX: &str = "INSERT OR IGNORE INTO match_key (account, book, key, guid) VALUES (?1, ?2, ?3, ?4)";
const UNINDEX: &str = "DELETE FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 AND guid = ?4";
const SESSION: &str =
    "SELECT token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type,
                       deferred_request, state_version, state, deadline FROM session";
const DEVICE: &str =
    "SELECT device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen FROM device";
const OUTGOING: &str =
    "SELECT guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id";

impl<'a> SqliteTx<'a> {
    pub(super) const fn new(conn: &'a Connection, account: AccountNo) -> Self {
        Self { conn, account: account.0, locked: Vec::new() }
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>> {
        #[cfg(test)]
        super::plans::note(self.conn, sql);
        self.conn.prepare_cached(sql).or_failure()
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare(sql)?.execute(params).or_failure()
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.prepare(sql)?.query_row(params, read).optional().or_failure()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.prepare(sql)?.query_map(params, read).and_then(Iterator::collect).or_failure()
    }

    /// The lock of a book that is to be written.
    fn locked(&mut self, book: BookNo) -> Result<&mut LockedBook> {
        let locked = self.locked.iter_mut().find(|locked| locked.book == book);
        locked.ok_or_else(|| StoreError::Corrupt(format!("book {book} is written without its lock")))
    }

    /// Runs one of the two statements that keep the index of match keys, once for each key.
    fn index(&self, statement: &mut Statement<'_>, book: BookNo, guid: Guid, keys: &[u64]) -> Result<()> {
        for key in keys {
            statement.execute((self.account, book.0, key.cast_signed(), guid.0)).or_failure()?;
        }
        Ok(())
    }

    fn remove_sessions(&self, which: &str, params: impl Params) -> Result<usize> {
        let tokens =
            self.all(&format!("SELECT token FROM session WHERE {which}"), params, |row| row.get::<_, [u8; 16]>(0))?;
        for token in &tokens {
            self.run("DELETE FROM session WHERE account = ?1 AND token = ?2", (self.account, token))?;
            self.run("DELETE FROM status_queue WHERE account = ?1 AND token = ?2", (self.account, token))?;
        }
        Ok(tokens.len())
    }
}

/// A limit as SQL has it.
fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Tx for SqliteTx<'_> {
    fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        self.one(&format!("{DEVICE} WHERE account = ?1 AND device_id = ?2"), (self.account, device_id), rows::device)
    }

    fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        self.all(&format!("{DEVICE} WHERE account = ?1 ORDER BY device"), [self.account], rows::device)
    }

    fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
        let known = "SELECT device FROM device WHERE account = ?1 AND device_id = ?2";
        let known = if row.device == DeviceNo::NEW {
            self.one(known, (self.account, &row.device_id), |row| row.get(0).map(DeviceNo))?
        } else {
            Some(row.device)
        };
        let Some(device) = known else {
            let sql = "INSERT INTO device (account, device, device_id, profile, nonce_count, nonce_out, nonce_in,
                        last_seen, devinf)
                       VALUES (?1, (SELECT ifnull(max(device), 0) + 1 FROM device WHERE account = ?1), ?2, ?3, ?4, ?5,
                        ?6, ?7, ?8) RETURNING device";
            let device = self.prepare(sql)?.query_row(
                params![
                    self.account,
                    row.device_id,
                    row.profile,
                    row.nonce_count,
                    row.nonce_out,
                    row.nonce_in,
                    row.last_seen.0,
                    row.devinf
                ],
                |row| row.get(0),
            );
            return device.or_failure().map(DeviceNo);
        };
        let sql = "UPDATE device SET device_id = ?3, profile = ?4, nonce_count = ?5, nonce_out = ?6, nonce_in = ?7,
                    last_seen = ?8, devinf = ?9 WHERE account = ?1 AND device = ?2";
        let changed = self.run(
            sql,
            params![
                self.account,
                device.0,
                row.device_id,
                row.profile,
                row.nonce_count,
                row.nonce_out,
                row.nonce_in,
                row.last_seen.0,
                row.devinf
            ],
        )?;
        if changed == 0 {
            return Err(StoreError::Corrupt(format!("there is no device {device} to update")));
        }
        Ok(device)
    }

    fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        match key {
            SessionKey::Token(token) => {
                let sql = format!("{SESSION} WHERE account = ?1 AND token = ?2");
                self.one(&sql, (self.account, token.0), rows::session)
            }
            SessionKey::Ids(device, session_id) => {
                let sql = format!(
                    "{SESSION} WHERE account = ?1 AND device = ?2 AND session_id = ?3 ORDER BY rowid DESC LIMIT 1"
                );
                self.one(&sql, (self.account, device.0, session_id), rows::session)
            }
        }
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        let sql = "INSERT INTO session (account, token, device, session_id, last_msg_id, last_digest, recent_digests,
                    last_reply, reply_type, deferred_request, state_version, state, deadline)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                   ON CONFLICT (account, token) DO UPDATE SET device = excluded.device, session_id = excluded.session_id,
                    last_msg_id = excluded.last_msg_id, last_digest = excluded.last_digest,
                    recent_digests = excluded.recent_digests, last_reply = excluded.last_reply,
                    reply_type = excluded.reply_type, deferred_request = excluded.deferred_request,
                    state_version = excluded.state_version, state = excluded.state, deadline = excluded.deadline";
        let params = params![
            self.account,
            row.token.0,
            row.device.0,
            row.session_id,
            row.last_msg_id,
            row.last_digest,
            row.recent_digests.as_flattened(),
            row.last_reply,
            row.reply_type,
            row.deferred_request,
            row.state_version,
            row.state,
            row.deadline.0
        ];
        self.run(sql, params).map(drop)
    }

    fn drop_other_sessions(&mut self, device: DeviceNo, keep: &Token) -> Result<()> {
        let which = "account = ?1 AND device = ?2 AND token <> ?3";
        self.remove_sessions(which, (self.account, device.0, keep.0)).map(drop)
    }

    fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
        self.remove_sessions("account = ?1 AND deadline < ?2", (self.account, now.0))
    }

    fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        let mut insert = self.prepare("INSERT INTO status_queue (account, token, bytes) VALUES (?1, ?2, ?3)")?;
        for status in statuses {
            insert.execute((self.account, token.0, status)).or_failure()?;
        }
        Ok(())
    }

    fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        let sql = "SELECT seq, bytes FROM status_queue WHERE account = ?1 AND token = ?2 ORDER BY seq LIMIT ?3";
        self.all(sql, (self.account, token.0, rows_at_most(limit)), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        let sql = "DELETE FROM status_queue WHERE account = ?1 AND token = ?2 AND seq <= ?3";
        self.run(sql, (self.account, token.0, upto)).map(drop)
    }

    fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        // The write lock of the file is held from the step's beginning.
        let mut found = Vec::with_capacity(books.len());
        for &book in books {
            let create = "INSERT INTO book (account, book, stamp, head, live_items, live_bytes, purged_upto, indexed,
                           indexed_upto) VALUES (?1, ?2, random() & 4294967295, 0, 0, 0, 0, 0, -9223372036854775808)
                          ON CONFLICT DO NOTHING";
            let read = |row: &Row<'_>| Ok((rows::book(row)?, Guid(row.get(7)?)));
            let mut row = self.one(BOOK, (self.account, book.0), read)?;
            if row.is_none() {
                self.run(create, (self.account, book.0))?;
                row = self.one(BOOK, (self.account, book.0), read)?;
            }
            let (row, indexed_upto) = row.ok_or_else(|| StoreError::Failed(format!("book {book} was not created")))?;
            let locked = LockedBook { book, head: row.head, indexed: row.indexed, indexed_upto };
            self.locked.retain(|locked| locked.book != book);
            self.locked.push(locked);
            found.push(row);
        }
        Ok(found)
    }

    fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        self.one(BOOK, (self.account, book.0), rows::book)
    }

    fn put_book(&mut self, row: &BookRow) -> Result<()> {
        let locked = self.locked(row.book)?;
        if row.head < locked.head {
            return Err(StoreError::Corrupt(format!("the head of book {} shall go back to {}", row.book, row.head)));
        }
        locked.head = row.head;
        let sql = "UPDATE book SET head = ?3, live_items = ?4, live_bytes = ?5, purged_upto = ?6
                   WHERE account = ?1 AND book = ?2";
        let values = (self.account, row.book.0, row.head.0, row.live_items, row.live_bytes, row.purged_upto.0);
        self.run(sql, values).map(drop)
    }

    fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        let mut select = self.prepare(ITEM)?;
        let mut item = |guid: &Guid| select.query_row((self.account, book.0, guid.0), rows::item).optional();
        guids.iter().map(|guid| item(guid).or_failure()).collect()
    }

    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        let sql =
            "INSERT INTO item (account, book, guid, revision, deleted, parent, depth, media_type, origin, at, print,
                    fingerprint, keys, content)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let (mut insert, mut index) = (self.prepare(sql)?, self.prepare(INDEX)?);
        for row in rows {
            newer_than_head(&locked, row)?;
            rows::execute_with_item(&mut insert, self.account, book, row).or_failure()?;
            if locked.indexes(row.guid) && !row.deleted {
                self.index(&mut index, book, row.guid, &row.keys)?;
            }
        }
        Ok(())
    }

    fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        let (mut index, mut unindex) = (self.prepare(INDEX)?, self.prepare(UNINDEX)?);
        let mut keys =
            self.prepare("SELECT keys FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND deleted = 0")?;
        let mut supersede = self.prepare(
            "INSERT INTO revision (account, book, guid, revision, kind, media_type, origin, at, content)
             SELECT account, book, guid, revision, CASE WHEN deleted THEN 2 WHEN revision = guid THEN 0 ELSE 1 END,
              media_type, origin, at, content
             FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision < ?4",
        )?;
        let mut update = self.prepare(
            "UPDATE item SET revision = ?4, deleted = ?5, parent = ?6, depth = ?7, media_type = ?8, origin = ?9, at = ?10,
              print = ?11, fingerprint = ?12, keys = ?13, content = ?14
             WHERE account = ?1 AND book = ?2 AND guid = ?3",
        )?;
        for row in rows {
            newer_than_head(&locked, row)?;
            let id = (self.account, book.0, row.guid.0);
            if locked.indexes(row.guid) {
                let old = keys.query_row(id, |row| Ok(rows::unpack_keys(row.get_ref(0)?.as_blob()?)));
                let old = old.optional().or_failure()?.unwrap_or_default();
                let new = if row.deleted { &[][..] } else { &row.keys[..] };
                if old != new {
                    self.index(&mut unindex, book, row.guid, &old)?;
                    self.index(&mut index, book, row.guid, new)?;
                }
            }
            if supersede.execute((id.0, id.1, id.2, row.revision.0)).or_failure()? == 0 {
                let (guid, revision) = (row.guid, row.revision);
                return Err(StoreError::Corrupt(format!("item {guid} of book {book} is not older than {revision}")));
            }
            rows::execute_with_item(&mut update, self.account, book, row).or_failure()?;
        }
        Ok(())
    }

    fn changes(
        &mut self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        // Items that were changed since they were created are found in the index of revisions; the others by their
        // guid, which is their revision. The bound keeps the second search from running past the page over a long row
        // of changed items, page after page.
        const BOUND: &str = "SELECT revision FROM item WHERE account = ?1 AND book = ?2 AND revision > ?3
                              AND revision <= ?4 AND revision <> guid ORDER BY revision LIMIT 1 OFFSET ?5";
        const PAGE: &str = concat!(
            "SELECT guid, guid AS revision, ",
            item_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3 AND guid <= ?4 AND revision = guid
              UNION ALL SELECT guid, revision, ",
            item_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND revision > ?3 AND revision <= ?4 AND revision <> guid
              ORDER BY 2 LIMIT ?5"
        );
        if after >= upto || limit == 0 {
            return Ok(Vec::new());
        }
        let limit = rows_at_most(limit);
        let bound = (self.account, book.0, after.0, upto.0, limit - 1);
        let upto = self.one(BOUND, bound, |row| row.get(0))?.unwrap_or(upto.0);
        self.all(PAGE, (self.account, book.0, after.0, upto, limit), rows::item)
    }

    fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        const CURRENT: &str = "SELECT guid, revision, deleted, media_type, origin, at, content FROM item
                               WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4";
        const SUPERSEDED: &str = "SELECT guid, revision, kind = 2, media_type, origin, at, content FROM revision
                                  WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4";
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

    fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        let sql = "SELECT guid, revision, kind = 2, media_type, origin, at, content FROM revision
                   WHERE account = ?1 AND book = ?2 AND guid = ?3 ORDER BY revision DESC LIMIT ?4";
        self.all(sql, (self.account, book.0, guid.0, rows_at_most(limit)), rows::revision)
    }

    fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        // Left to itself, SQLite might take the index of guids for the order's sake.
        let mut select = self.prepare(
            "SELECT guid FROM item INDEXED BY item_print WHERE account = ?1 AND book = ?2 AND print = ?3 AND deleted = 0
              AND fingerprint = ?4 ORDER BY guid LIMIT ?5",
        )?;
        let limit = rows_at_most(limit);
        let found = |print: &[u8; 16]| {
            let which = (self.account, book.0, rows::print(print), print, limit);
            select.query_map(which, |row| row.get(0).map(Guid)).and_then(Iterator::collect).or_failure()
        };
        prints.iter().map(found).collect()
    }

    fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut select = self.prepare(
            "SELECT guid FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 ORDER BY guid LIMIT ?4",
        )?;
        let limit = rows_at_most(limit);
        let found = |key: &u64| {
            let which = (self.account, book.0, key.cast_signed(), limit);
            select.query_map(which, |row| row.get(0).map(Guid)).and_then(Iterator::collect).or_failure()
        };
        keys.iter().map(found).collect()
    }

    fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        let mut locked = *self.locked(book)?;
        if locked.indexed {
            return Ok(true);
        }
        let sql = "SELECT guid, keys, deleted FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3
                   ORDER BY guid LIMIT ?4";
        let which = (self.account, book.0, locked.indexed_upto.0, rows_at_most(limit.saturating_add(1)));
        let page = self.all(sql, which, |row| {
            Ok((Guid(row.get(0)?), rows::unpack_keys(row.get_ref(1)?.as_blob()?), row.get::<_, bool>(2)?))
        })?;
        let mut index = self.prepare(INDEX)?;
        for (guid, keys, deleted) in page.iter().take(limit) {
            locked.indexed_upto = *guid;
            if !deleted {
                self.index(&mut index, book, *guid, keys)?;
            }
        }
        locked.indexed = page.len() <= limit;
        let sql = "UPDATE book SET indexed = ?3, indexed_upto = ?4 WHERE account = ?1 AND book = ?2";
        self.run(sql, (self.account, book.0, locked.indexed, locked.indexed_upto.0))?;
        *self.locked(book)? = locked;
        Ok(locked.indexed)
    }

    fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        let sql = "SELECT peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens, filter_hash,
                    sync_type, phase FROM pair WHERE account = ?1 AND device = ?2 AND book = ?3";
        self.one(sql, (self.account, device.0, book.0), |row| rows::pair(device, book, row))
    }

    fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        let sql =
            "INSERT OR REPLACE INTO pair (account, device, book, peer_next, peer_prev, own_next, own_prev, cursor,
                    upto, start_head, epoch, lens, filter_hash, sync_type, phase)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
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
            rows::phase_number(row.phase)
        ];
        self.run(sql, params).map(drop)
    }

    fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        let mut select = self.prepare(
            "SELECT luid, guid, agreed_revision, lens, view_fp, state FROM map
             WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND luid = ?5",
        )?;
        let mut entry = |luid: &str| {
            let which = (self.account, device.0, book.0, epoch, Luid(luid));
            select.query_row(which, |row| rows::map(epoch, row)).optional().or_failure()
        };
        luids.iter().map(|luid| entry(luid)).collect()
    }

    fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        let mut select = self.prepare(
            "SELECT luid, guid, agreed_revision, lens, view_fp, state FROM map
             WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid = ?5 AND state <> 1",
        )?;
        let mut entry = |guid: Guid| {
            let which = (self.account, device.0, book.0, epoch, guid.0);
            select.query_row(which, |row| rows::map(epoch, row)).optional().or_failure()
        };
        guids.iter().map(|guid| entry(*guid)).collect()
    }

    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        let mut put = self.prepare(
            "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET guid = excluded.guid,
              agreed_revision = excluded.agreed_revision, lens = excluded.lens, view_fp = excluded.view_fp,
              state = excluded.state
             WHERE guid = excluded.guid OR state = 1",
        )?;
        for row in rows {
            let values = params![
                self.account,
                device.0,
                book.0,
                row.epoch,
                Luid(&row.luid),
                row.guid.0,
                row.agreed_revision.0,
                row.lens.map(|lens| lens.0),
                row.view_fp,
                rows::map_state_number(row.state)
            ];
            // Nothing written is an entry re-pointed; a second entry of an item fails by the unique index.
            if put.execute(values).or_failure()? == 0 {
                return Err(StoreError::Corrupt(format!("a live map entry shall be re-pointed to item {}", row.guid)));
            }
        }
        Ok(())
    }

    fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        let sql = "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state)
                   SELECT account, device, book, ?5, luid, guid, agreed_revision, lens, view_fp, state FROM map
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4
                    AND luid NOT IN (SELECT luid FROM map
                                      WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?5)
                    AND guid NOT IN (SELECT guid FROM map
                                      WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?5)";
        self.run(sql, (self.account, device.0, book.0, from, to)).map(drop)
    }

    fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        let sql = "DELETE FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch <> ?4";
        self.run(sql, (self.account, device.0, book.0, keep)).map(drop)
    }

    fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        let sql = "SELECT luid, guid, agreed_revision, lens, view_fp, state FROM map
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid > ?5 AND state <> 1
                   ORDER BY guid LIMIT ?6";
        let which = (self.account, device.0, book.0, epoch, after.0, rows_at_most(limit));
        self.all(sql, which, |row| rows::map(epoch, row))
    }

    fn outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        let sql = format!("{OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid = ?4");
        let mut select = self.prepare(&sql)?;
        let mut row =
            |guid: &Guid| select.query_row((self.account, device.0, book.0, guid.0), rows::outgoing).optional();
        guids.iter().map(|guid| row(guid).or_failure()).collect()
    }

    fn outgoing_page(&mut self, device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>> {
        let sql = format!(
            "{OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid > ?4 ORDER BY guid LIMIT ?5"
        );
        self.all(&sql, (self.account, device.0, book.0, after.0, rows_at_most(limit)), rows::outgoing)
    }

    fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        let sql = format!(
            "{OUTGOING}, book FROM outgoing INDEXED BY outgoing_ref WHERE account = ?1 AND device = ?2 AND session = ?3
              AND msg_id = ?4 AND cmd_id = ?5 ORDER BY book, guid LIMIT 1"
        );
        let mut select = self.prepare(&sql)?;
        let row = |place: &SentRef| {
            let which = (self.account, device.0, token.0, place.msg_id, place.cmd_id);
            select.query_row(which, |row| Ok((BookNo(row.get(10)?), rows::outgoing(row)?))).optional().or_failure()
        };
        refs.iter().map(row).collect()
    }

    fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
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

    fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid = ?4";
        let mut delete = self.prepare(sql)?;
        for guid in guids {
            delete.execute((self.account, device.0, book.0, guid.0)).or_failure()?;
        }
        Ok(())
    }

    fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        let sql = "DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3";
        self.run(sql, (self.account, device.0, book.0)).map(drop)
    }

    fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        let mut stage = self.prepare(
            "INSERT INTO staged (account, device, book, epoch, luid, op, media_type, view_fp, keys, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET op = excluded.op,
              media_type = excluded.media_type, view_fp = excluded.view_fp, keys = excluded.keys,
              content = excluded.content",
        )?;
        for row in rows {
            let values = params![
                self.account,
                device.0,
                book.0,
                row.epoch,
                &*row.luid,
                rows::op_number(row.op),
                row.media_type.as_deref(),
                row.view_fp,
                rows::pack_keys(&row.keys),
                &*row.content
            ];
            stage.execute(values).or_failure()?;
        }
        Ok(())
    }

    fn staged(&mut self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        let sql = "SELECT seq, epoch, luid, op, media_type, view_fp, keys, content FROM staged
                   WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq > ?4 ORDER BY seq LIMIT ?5";
        self.all(sql, (self.account, device.0, book.0, after, rows_at_most(limit)), rows::staged)
    }

    fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        let sql = "DELETE FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq = ?4";
        let mut delete = self.prepare(sql)?;
        for seq in seqs {
            delete.execute((self.account, device.0, book.0, seq)).or_failure()?;
        }
        Ok(())
    }

    fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        let sql = "SELECT count(*) FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND op = ?4";
        let count = self.one(sql, (self.account, device.0, book.0, rows::op_number(op)), |row| row.get::<_, i64>(0))?;
        Ok(count.unwrap_or_default().cast_unsigned())
    }
}

/// Refuses revisions that are not newer than all that is committed (I11).
fn newer_than_head(locked: &LockedBook, row: &ItemRow<'_>) -> Result<()> {
    if row.revision > locked.head {
        return Ok(());
    }
    let LockedBook { book, head, .. } = locked;
    Err(StoreError::Corrupt(format!(
        "item {} of book {book} shall get revision {} below head {head}",
        row.guid, row.revision
    )))
}
