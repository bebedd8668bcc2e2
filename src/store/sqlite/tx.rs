//! One transaction: devices, sessions, books and items. Pairs, maps and the ledger are in `pairs`.

use super::fault;
use crate::message::{Op, Timestamp};
use crate::store::{
    AccountNo, BookNo, BookRow, DeviceNo, DeviceRow, Guid, ItemRow, MapRow, NewStaged, OutgoingRow, PairRow, Result,
    Revision, RevisionRow, SentRef, SessionKey, SessionRow, StagedRow, StoreError, Token, Tx, ViewFp,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row, params};
use std::borrow::Cow;

pub(super) struct SqliteTx<'c> {
    pub(super) connection: &'c Connection,
    pub(super) account: AccountNo,
}

/// The columns of an item, in the order that [`item_row`] reads them.
pub(super) const ITEM: &str = "i.guid, i.revision, i.deleted, i.parent, i.depth, i.media_type, i.fingerprint, i.keys, \
                               i.origin, i.at, i.content";

impl SqliteTx<'_> {
    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql).map_err(fault)
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare(sql)?.execute(params).map_err(fault)
    }

    /// All rows of a query.
    pub(super) fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, read).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }

    /// The first row of a query.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.prepare(sql)?.query_row(params, read).optional().map_err(fault)
    }

    fn index_keys(&self, book: BookNo, guid: Guid, keys: &[u64]) -> Result<()> {
        let mut insert =
            self.prepare("INSERT OR IGNORE INTO match_key (account, book, key, guid) VALUES (?1, ?2, ?3, ?4)")?;
        for key in keys {
            insert.execute(params![self.account.0, book.0, key.cast_signed(), guid.0]).map_err(fault)?;
        }
        Ok(())
    }

    fn unindex_keys(&self, book: BookNo, guid: Guid, keys: &[u64]) -> Result<()> {
        let mut delete =
            self.prepare("DELETE FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 AND guid = ?4")?;
        for key in keys {
            delete.execute(params![self.account.0, book.0, key.cast_signed(), guid.0]).map_err(fault)?;
        }
        Ok(())
    }

    /// Whether match keys are kept in the index, and else up to which item.
    fn index_state(&self, book: BookNo) -> Result<(bool, Guid)> {
        let found = self.find(
            "SELECT indexed, indexed_upto FROM book WHERE account = ?1 AND book = ?2",
            params![self.account.0, book.0],
            |row| Ok((row.get(0)?, Guid(row.get(1)?))),
        )?;
        Ok(found.unwrap_or_default())
    }
}

pub(super) fn pack_keys(keys: &[u64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}

pub(super) fn unpack_keys(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or_default())).collect()
}

pub(super) fn item_row(row: &Row<'_>) -> rusqlite::Result<ItemRow<'static>> {
    Ok(ItemRow {
        guid: Guid(row.get(0)?),
        revision: Revision(row.get(1)?),
        deleted: row.get(2)?,
        parent: row.get::<_, Option<i64>>(3)?.map(Guid),
        depth: row.get(4)?,
        media_type: row.get::<_, Option<String>>(5)?.map(Cow::Owned),
        fingerprint: row.get(6)?,
        keys: Cow::Owned(unpack_keys(row.get_ref(7)?.as_blob()?)),
        origin: row.get::<_, Option<i64>>(8)?.map(DeviceNo),
        at: Timestamp(row.get(9)?),
        content: Cow::Owned(row.get(10)?),
    })
}

fn device_row(row: &Row<'_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        device: DeviceNo(row.get(0)?),
        device_id: row.get(1)?,
        devinf: row.get(2)?,
        profile: row.get(3)?,
        nonce_count: row.get(4)?,
        nonce_out: row.get(5)?,
        nonce_in: row.get(6)?,
        last_seen: Timestamp(row.get(7)?),
    })
}

const DEVICE: &str = "device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen";

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let digests: Vec<u8> = row.get(5)?;
    Ok(SessionRow {
        token: Token(row.get(0)?),
        device: DeviceNo(row.get(1)?),
        session_id: row.get(2)?,
        last_msg_id: row.get(3)?,
        last_digest: row.get(4)?,
        recent_digests: digests.chunks_exact(32).filter_map(|digest| digest.try_into().ok()).collect(),
        last_reply: row.get(6)?,
        reply_type: row.get(7)?,
        deferred_request: row.get(8)?,
        state_version: row.get(9)?,
        state: row.get(10)?,
        deadline: Timestamp(row.get(11)?),
    })
}

const SESSION: &str = "token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type, \
                       deferred_request, state_version, state, deadline";

fn book_row(row: &Row<'_>) -> rusqlite::Result<BookRow> {
    Ok(BookRow {
        book: BookNo(row.get(0)?),
        stamp: row.get(1)?,
        head: Revision(row.get(2)?),
        live_items: row.get(3)?,
        live_bytes: row.get(4)?,
        purged_upto: Revision(row.get(5)?),
        indexed: row.get(6)?,
    })
}

const BOOK: &str = "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed FROM book \
                    WHERE account = ?1 AND book = ?2";

fn revision_row(row: &Row<'_>) -> rusqlite::Result<RevisionRow> {
    Ok(RevisionRow {
        guid: Guid(row.get(0)?),
        revision: Revision(row.get(1)?),
        deleted: row.get(2)?,
        media_type: row.get(3)?,
        origin: row.get::<_, Option<i64>>(4)?.map(DeviceNo),
        at: Timestamp(row.get(5)?),
        content: row.get(6)?,
    })
}

const REVISION: &str = "guid, revision, deleted, media_type, origin, at, content";

impl Tx for SqliteTx<'_> {
    fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        self.find(
            &format!("SELECT {DEVICE} FROM device WHERE account = ?1 AND device_id = ?2"),
            params![self.account.0, device_id],
            device_row,
        )
    }

    fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        let sql = format!("SELECT {DEVICE} FROM device WHERE account = ?1 ORDER BY device");
        self.list(&sql, [self.account.0], device_row)
    }

    fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
        let device = if row.device == DeviceNo::NEW {
            let next = "SELECT COALESCE(MAX(device), 0) + 1 FROM device WHERE account = ?1";
            DeviceNo(self.find(next, [self.account.0], |row| row.get(0))?.unwrap_or(1))
        } else {
            row.device
        };
        self.execute(
            "INSERT OR REPLACE INTO device \
             (account, device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.account.0,
                device.0,
                row.device_id,
                row.devinf,
                row.profile,
                row.nonce_count,
                row.nonce_out,
                row.nonce_in,
                row.last_seen.0
            ],
        )?;
        Ok(device)
    }

    fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        match key {
            SessionKey::Token(token) => self.find(
                &format!("SELECT {SESSION} FROM session WHERE account = ?1 AND token = ?2"),
                params![self.account.0, token.0],
                session_row,
            ),
            SessionKey::Ids(device, session_id) => self.find(
                &format!(
                    "SELECT {SESSION} FROM session WHERE account = ?1 AND device = ?2 AND session_id = ?3 \
                     ORDER BY deadline DESC LIMIT 1"
                ),
                params![self.account.0, device.0, session_id],
                session_row,
            ),
        }
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        self.execute(
            "INSERT INTO session (account, token, device, session_id, last_msg_id, last_digest, recent_digests, \
             last_reply, reply_type, deferred_request, state_version, state, deadline) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
             ON CONFLICT (account, token) DO UPDATE SET last_msg_id = excluded.last_msg_id, \
             last_digest = excluded.last_digest, recent_digests = excluded.recent_digests, \
             last_reply = excluded.last_reply, reply_type = excluded.reply_type, \
             deferred_request = excluded.deferred_request, state_version = excluded.state_version, \
             state = excluded.state, deadline = excluded.deadline",
            params![
                self.account.0,
                row.token.0,
                row.device.0,
                row.session_id,
                row.last_msg_id,
                row.last_digest,
                row.recent_digests.concat(),
                row.last_reply,
                row.reply_type,
                row.deferred_request,
                row.state_version,
                row.state,
                row.deadline.0
            ],
        )
        .map(drop)
    }

    fn drop_other_sessions(&mut self, device: DeviceNo, keep: &Token) -> Result<()> {
        self.execute(
            "DELETE FROM status_queue WHERE account = ?1 AND token IN \
             (SELECT token FROM session WHERE account = ?1 AND device = ?2 AND token <> ?3)",
            params![self.account.0, device.0, keep.0],
        )?;
        self.execute(
            "DELETE FROM session WHERE account = ?1 AND device = ?2 AND token <> ?3",
            params![self.account.0, device.0, keep.0],
        )
        .map(drop)
    }

    fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
        self.execute(
            "DELETE FROM status_queue WHERE account = ?1 AND token IN \
             (SELECT token FROM session WHERE account = ?1 AND deadline < ?2)",
            params![self.account.0, now.0],
        )?;
        self.execute("DELETE FROM session WHERE account = ?1 AND deadline < ?2", params![self.account.0, now.0])
    }

    fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        let mut insert = self.prepare("INSERT INTO status_queue (account, token, bytes) VALUES (?1, ?2, ?3)")?;
        for bytes in statuses {
            insert.execute(params![self.account.0, token.0, bytes]).map_err(fault)?;
        }
        Ok(())
    }

    fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        self.list(
            "SELECT seq, bytes FROM status_queue WHERE account = ?1 AND token = ?2 ORDER BY seq LIMIT ?3",
            params![self.account.0, token.0, bound(limit)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        self.execute(
            "DELETE FROM status_queue WHERE account = ?1 AND token = ?2 AND seq <= ?3",
            params![self.account.0, token.0, upto],
        )
        .map(drop)
    }

    fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        // BEGIN IMMEDIATE is the lock of them all.
        let mut rows = Vec::with_capacity(books.len());
        for book in books {
            let found = self.book(*book)?;
            rows.push(match found {
                Some(row) => row,
                None => {
                    self.execute(
                        "INSERT INTO book (account, book, stamp, head, live_items, live_bytes, purged_upto, indexed, \
                         indexed_upto) VALUES (?1, ?2, random() & 4294967295, 0, 0, 0, 0, 0, 0)",
                        params![self.account.0, book.0],
                    )?;
                    self.book(*book)?.ok_or_else(|| StoreError::Failed("a book vanished".to_owned()))?
                }
            });
        }
        Ok(rows)
    }

    fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        self.find(BOOK, params![self.account.0, book.0], book_row)
    }

    fn put_book(&mut self, row: &BookRow) -> Result<()> {
        self.execute(
            "UPDATE book SET head = ?3, live_items = ?4, live_bytes = ?5, purged_upto = ?6 \
             WHERE account = ?1 AND book = ?2",
            params![self.account.0, row.book.0, row.head.0, row.live_items, row.live_bytes, row.purged_upto.0],
        )
        .map(drop)
    }

    fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        let sql = format!("SELECT {ITEM} FROM item i WHERE account = ?1 AND book = ?2 AND guid = ?3");
        let mut statement = self.prepare(&sql)?;
        guids
            .iter()
            .map(|guid| {
                statement.query_row(params![self.account.0, book.0, guid.0], item_row).optional().map_err(fault)
            })
            .collect()
    }

    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let (indexed, _) = self.index_state(book)?;
        let mut insert = self.prepare(
            "INSERT INTO item (account, book, guid, revision, deleted, parent, depth, media_type, fingerprint, keys, \
             origin, at, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for row in rows {
            insert
                .execute(params![
                    self.account.0,
                    book.0,
                    row.guid.0,
                    row.revision.0,
                    row.deleted,
                    row.parent.map(|parent| parent.0),
                    row.depth,
                    row.media_type.as_deref(),
                    row.fingerprint,
                    pack_keys(&row.keys),
                    row.origin.map(|origin| origin.0),
                    row.at.0,
                    &*row.content
                ])
                .map_err(fault)?;
            if indexed && !row.deleted {
                self.index_keys(book, row.guid, &row.keys)?;
            }
        }
        Ok(())
    }

    fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let (indexed, indexed_upto) = self.index_state(book)?;
        let mut keys = self.prepare("SELECT keys FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3")?;
        let mut supersede = self.prepare(
            "INSERT INTO revision (account, book, guid, revision, deleted, media_type, origin, at, content) \
             SELECT account, book, guid, revision, deleted, media_type, origin, at, content FROM item \
             WHERE account = ?1 AND book = ?2 AND guid = ?3",
        )?;
        let mut update = self.prepare(
            "UPDATE item SET revision = ?4, deleted = ?5, parent = ?6, depth = ?7, media_type = ?8, fingerprint = ?9, \
             keys = ?10, origin = ?11, at = ?12, content = ?13 WHERE account = ?1 AND book = ?2 AND guid = ?3",
        )?;
        for row in rows {
            let key = params![self.account.0, book.0, row.guid.0];
            let kept = indexed || row.guid <= indexed_upto;
            if kept {
                let old: Option<Vec<u8>> = keys.query_row(key, |row| row.get(0)).optional().map_err(fault)?;
                self.unindex_keys(book, row.guid, &unpack_keys(&old.unwrap_or_default()))?;
            }
            if supersede.execute(key).map_err(fault)? != 1 {
                return Err(StoreError::Corrupt(format!("item {} is not there", row.guid)));
            }
            update
                .execute(params![
                    self.account.0,
                    book.0,
                    row.guid.0,
                    row.revision.0,
                    row.deleted,
                    row.parent.map(|parent| parent.0),
                    row.depth,
                    row.media_type.as_deref(),
                    row.fingerprint,
                    pack_keys(&row.keys),
                    row.origin.map(|origin| origin.0),
                    row.at.0,
                    &*row.content
                ])
                .map_err(fault)?;
            if kept && !row.deleted {
                self.index_keys(book, row.guid, &row.keys)?;
            }
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
        self.list(
            &format!(
                "SELECT {ITEM} FROM item i WHERE account = ?1 AND book = ?2 AND revision > ?3 AND revision <= ?4 \
                 ORDER BY revision LIMIT ?5"
            ),
            params![self.account.0, book.0, after.0, upto.0, bound(limit)],
            item_row,
        )
    }

    fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        let mut current = self.prepare(&format!(
            "SELECT {REVISION} FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4"
        ))?;
        let mut superseded = self.prepare(&format!(
            "SELECT {REVISION} FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision = ?4"
        ))?;
        which
            .iter()
            .map(|(guid, revision)| {
                let key = params![self.account.0, book.0, guid.0, revision.0];
                match current.query_row(key, revision_row).optional().map_err(fault)? {
                    Some(row) => Ok(Some(row)),
                    None => superseded.query_row(key, revision_row).optional().map_err(fault),
                }
            })
            .collect()
    }

    fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        self.list(
            &format!(
                "SELECT {REVISION} FROM revision WHERE account = ?1 AND book = ?2 AND guid = ?3 \
                 ORDER BY revision DESC LIMIT ?4"
            ),
            params![self.account.0, book.0, guid.0, bound(limit)],
            revision_row,
        )
    }

    fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut statement = self.prepare(
            "SELECT guid FROM item WHERE account = ?1 AND book = ?2 AND fingerprint = ?3 AND deleted = 0 \
             ORDER BY guid LIMIT ?4",
        )?;
        prints
            .iter()
            .map(|print| {
                let rows = statement
                    .query_map(params![self.account.0, book.0, print, bound(limit)], |row| row.get(0).map(Guid))
                    .map_err(fault)?;
                rows.collect::<rusqlite::Result<_>>().map_err(fault)
            })
            .collect()
    }

    fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut statement = self.prepare(
            "SELECT guid FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 ORDER BY guid LIMIT ?4",
        )?;
        keys.iter()
            .map(|key| {
                let rows = statement
                    .query_map(params![self.account.0, book.0, key.cast_signed(), bound(limit)], |row| {
                        row.get(0).map(Guid)
                    })
                    .map_err(fault)?;
                rows.collect::<rusqlite::Result<_>>().map_err(fault)
            })
            .collect()
    }

    fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        let (indexed, upto) = self.index_state(book)?;
        if indexed {
            return Ok(true);
        }
        let rows: Vec<(Guid, bool, Vec<u8>)> = self.list(
            "SELECT guid, deleted, keys FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3 \
             ORDER BY guid LIMIT ?4",
            params![self.account.0, book.0, upto.0, bound(limit)],
            |row| Ok((Guid(row.get(0)?), row.get(1)?, row.get(2)?)),
        )?;
        for (guid, _, keys) in rows.iter().filter(|(_, deleted, _)| !deleted) {
            self.index_keys(book, *guid, &unpack_keys(keys))?;
        }
        let done = rows.len() < limit;
        let upto = rows.last().map_or(upto, |(guid, ..)| *guid);
        self.execute(
            "UPDATE book SET indexed = ?3, indexed_upto = ?4 WHERE account = ?1 AND book = ?2",
            params![self.account.0, book.0, done, upto.0],
        )?;
        Ok(done)
    }

    fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        self.load_pair(device, book)
    }

    fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        self.save_pair(row)
    }

    fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        self.load_maps_by_luid((device, book), epoch, luids)
    }

    fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        self.load_maps_by_guid((device, book), epoch, guids)
    }

    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        self.save_maps((device, book), rows)
    }

    fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        self.copy_maps((device, book), from, to)
    }

    fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        self.execute(
            "DELETE FROM map WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch <> ?4",
            params![self.account.0, device.0, book.0, keep],
        )
        .map(drop)
    }

    fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        self.page_of_maps((device, book), epoch, after, limit)
    }

    fn unconfirmed_maps(&mut self, device: DeviceNo, book: BookNo, epoch: i64, limit: usize) -> Result<Vec<MapRow>> {
        self.page_of_unconfirmed((device, book), epoch, limit)
    }

    fn differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        self.load_differences(pair, epoch, after, upto, limit)
    }

    fn count_differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> Result<u64> {
        self.count_of_differences(pair, epoch, after, upto)
    }

    fn outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        self.load_outgoing((device, book), guids)
    }

    fn outgoing_page(&mut self, device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>> {
        self.page_of_outgoing((device, book), after, limit)
    }

    fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        self.load_outgoing_by_ref(device, token, refs)
    }

    fn outgoing_by_view(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        self.load_outgoing_by_view((device, book), views)
    }

    fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        self.save_outgoing((device, book), rows)
    }

    fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        let mut delete =
            self.prepare("DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid = ?4")?;
        for guid in guids {
            delete.execute(params![self.account.0, device.0, book.0, guid.0]).map_err(fault)?;
        }
        Ok(())
    }

    fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        self.execute(
            "DELETE FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3",
            params![self.account.0, device.0, book.0],
        )
        .map(drop)
    }

    fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        self.save_staged((device, book), rows)
    }

    fn staged(&mut self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        self.page_of_staged((device, book), after, limit)
    }

    fn drop_staged(&mut self, _device: DeviceNo, _book: BookNo, seqs: &[i64]) -> Result<()> {
        let mut delete = self.prepare("DELETE FROM staged WHERE seq = ?1 AND account = ?2")?;
        for seq in seqs {
            delete.execute(params![seq, self.account.0]).map_err(fault)?;
        }
        Ok(())
    }

    fn adopt_staged(&mut self, device: DeviceNo, book: BookNo, epoch: i64) -> Result<()> {
        let pair = params![self.account.0, device.0, book.0, epoch];
        self.execute(
            "DELETE FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq NOT IN \
             (SELECT MAX(seq) FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 GROUP BY luid) AND ?4 = ?4",
            pair,
        )?;
        self.execute(
            "UPDATE staged SET epoch = ?4 WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch <> ?4",
            pair,
        )
        .map(drop)
    }

    fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        let count = self.find(
            "SELECT COUNT(*) FROM staged WHERE account = ?1 AND device = ?2 AND book = ?3 AND op = ?4",
            params![self.account.0, device.0, book.0, super::pairs::op_number(op)],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}

/// A limit as SQLite takes it.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
