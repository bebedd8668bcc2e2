//! Pairs, maps, the ledger and staged changes.

use super::fault;
use super::tx::{ITEM, SqliteTx, bound, item_row, pack_keys, unpack_keys};
use crate::message::Op;
use crate::store::{
    BookNo, DeviceNo, Guid, ItemRow, LensNo, MapRow, MapState, NewStaged, OutgoingRow, OutgoingState, PairRow, Phase,
    Result, Revision, SentRef, StagedRow, StoreError, Token, ViewFp,
};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row, params};
use std::borrow::Cow;

type Pair = (DeviceNo, BookNo);

const OPS: [Op; 5] = [Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move];
const PHASES: [Phase; 5] = [Phase::Idle, Phase::Receiving, Phase::Settling, Phase::Sending, Phase::Confirming];

/// The number a value has in the file: its place in a list that only ever grows at its end.
fn number<T: PartialEq>(all: &[T], value: &T) -> i64 {
    all.iter().position(|one| one == value).map_or(-1, |place| place as i64)
}

/// The value of a number.
fn value<T: Copy>(all: &[T], column: usize, number: i64) -> rusqlite::Result<T> {
    usize::try_from(number).ok().and_then(|place| all.get(place).copied()).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, format!("{number} has no meaning").into())
    })
}

pub(super) fn op_number(op: Op) -> i64 {
    number(&OPS, &op)
}

const MAP: &str = "m.epoch, m.luid, m.guid, m.agreed_revision, m.lens, m.view_fp, m.state";

/// Reads the columns of [`MAP`], the first of which is column `at`.
fn map_row(row: &Row<'_>, at: usize) -> rusqlite::Result<MapRow> {
    Ok(MapRow {
        epoch: row.get(at)?,
        luid: row.get(at + 1)?,
        guid: Guid(row.get(at + 2)?),
        agreed_revision: Revision(row.get(at + 3)?),
        lens: row.get::<_, Option<i64>>(at + 4)?.map(LensNo),
        view_fp: row.get(at + 5)?,
        state: value(&MapState::ALL, at + 6, row.get(at + 6)?)?,
    })
}

const OUTGOING: &str = "guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id, book";

fn outgoing_row(row: &Row<'_>) -> rusqlite::Result<OutgoingRow> {
    let (msg_id, cmd_id): (Option<u32>, Option<u32>) = (row.get(8)?, row.get(9)?);
    Ok(OutgoingRow {
        guid: Guid(row.get(0)?),
        op: value(&OPS, 1, row.get(1)?)?,
        sent_revision: Revision(row.get(2)?),
        sent_view_fp: row.get(3)?,
        temp_guid: row.get(4)?,
        state: value(&OutgoingState::ALL, 5, row.get(5)?)?,
        reason: row.get(6)?,
        session: row.get::<_, Option<[u8; 16]>>(7)?.map(Token),
        sent_as: msg_id.zip(cmd_id).map(|(msg_id, cmd_id)| SentRef { msg_id, cmd_id }),
    })
}

/// What a peer is not agreed on; the tables are `item i` and `map m`.
const DIFFERENCES: &str = "FROM item i LEFT JOIN map m ON m.account = i.account AND m.device = ?2 AND m.book = i.book \
     AND m.epoch = ?4 AND m.guid = i.guid AND m.state <> 1 \
     WHERE i.account = ?1 AND i.book = ?3 AND i.revision > ?5 AND i.revision <= ?6 \
     AND CASE WHEN m.guid IS NULL THEN i.deleted = 0 ELSE m.agreed_revision < i.revision END";

impl SqliteTx<'_> {
    pub(super) fn load_pair(&self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        self.find(
            "SELECT peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens, filter_hash, \
             sync_type, phase FROM pair WHERE account = ?1 AND device = ?2 AND book = ?3",
            params![self.account.0, device.0, book.0],
            |row| {
                Ok(PairRow {
                    device,
                    book,
                    peer_next: row.get(0)?,
                    peer_prev: row.get(1)?,
                    own_next: row.get(2)?,
                    own_prev: row.get(3)?,
                    cursor: Revision(row.get(4)?),
                    upto: Revision(row.get(5)?),
                    start_head: Revision(row.get(6)?),
                    epoch: row.get(7)?,
                    lens: row.get::<_, Option<i64>>(8)?.map(LensNo),
                    filter_hash: row.get(9)?,
                    sync_type: row.get(10)?,
                    phase: value(&PHASES, 11, row.get(11)?)?,
                })
            },
        )
    }

    pub(super) fn save_pair(&self, row: &PairRow) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO pair (account, device, book, peer_next, peer_prev, own_next, own_prev, cursor, \
             upto, start_head, epoch, lens, filter_hash, sync_type, phase) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                self.account.0,
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
                number(&PHASES, &row.phase)
            ],
        )
        .map(drop)
    }

    pub(super) fn load_maps_by_luid(&self, pair: Pair, epoch: i64, luids: &[&str]) -> Result<Vec<Option<MapRow>>> {
        let mut statement = self.prepare(&format!(
            "SELECT {MAP} FROM map m WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND luid = ?5"
        ))?;
        luids
            .iter()
            .map(|luid| {
                let key = params![self.account.0, pair.0.0, pair.1.0, epoch, luid];
                statement.query_row(key, |row| map_row(row, 0)).optional().map_err(fault)
            })
            .collect()
    }

    pub(super) fn load_maps_by_guid(&self, pair: Pair, epoch: i64, guids: &[Guid]) -> Result<Vec<Option<MapRow>>> {
        let mut statement = self.prepare(&format!(
            "SELECT {MAP} FROM map m WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND guid = ?5 \
             AND state <> 1"
        ))?;
        guids
            .iter()
            .map(|guid| {
                let key = params![self.account.0, pair.0.0, pair.1.0, epoch, guid.0];
                statement.query_row(key, |row| map_row(row, 0)).optional().map_err(fault)
            })
            .collect()
    }

    pub(super) fn save_maps(&self, pair: Pair, rows: &[MapRow]) -> Result<()> {
        // A retired entry gives its luid free; a live one keeps its guid.
        let mut put = self.prepare(
            "INSERT INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET guid = excluded.guid, \
             agreed_revision = excluded.agreed_revision, lens = excluded.lens, view_fp = excluded.view_fp, \
             state = excluded.state WHERE map.guid = excluded.guid OR map.state = 1",
        )?;
        for row in rows {
            let changed = put.execute(params![
                self.account.0,
                pair.0.0,
                pair.1.0,
                row.epoch,
                row.luid,
                row.guid.0,
                row.agreed_revision.0,
                row.lens.map(|lens| lens.0),
                row.view_fp,
                number(&MapState::ALL, &row.state)
            ]);
            match changed {
                Ok(1) => {}
                Ok(_) => return Err(StoreError::Corrupt("a map entry would be re-pointed".to_owned())),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    return Err(StoreError::Corrupt(format!("item {} would have two map entries", row.guid)));
                }
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(())
    }

    pub(super) fn copy_maps(&self, pair: Pair, from: i64, to: i64) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO map (account, device, book, epoch, luid, guid, agreed_revision, lens, view_fp, \
             state) SELECT account, device, book, ?5, luid, guid, agreed_revision, lens, view_fp, state FROM map o \
             WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 AND NOT EXISTS (SELECT 1 FROM map n \
             WHERE n.account = ?1 AND n.device = ?2 AND n.book = ?3 AND n.epoch = ?5 AND n.guid = o.guid \
             AND n.state <> 1)",
            params![self.account.0, pair.0.0, pair.1.0, from, to],
        )
        .map(drop)
    }

    pub(super) fn page_of_maps(&self, pair: Pair, epoch: i64, after: Guid, limit: usize) -> Result<Vec<MapRow>> {
        self.list(
            &format!(
                "SELECT {MAP} FROM map m WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 \
                 AND guid > ?5 AND state <> 1 ORDER BY guid LIMIT ?6"
            ),
            params![self.account.0, pair.0.0, pair.1.0, epoch, after.0, bound(limit)],
            |row| map_row(row, 0),
        )
    }

    pub(super) fn page_of_unconfirmed(&self, pair: Pair, epoch: i64, limit: usize) -> Result<Vec<MapRow>> {
        self.list(
            &format!(
                "SELECT {MAP} FROM map m WHERE account = ?1 AND device = ?2 AND book = ?3 AND epoch = ?4 \
                 AND state = 6 ORDER BY guid LIMIT ?5"
            ),
            params![self.account.0, pair.0.0, pair.1.0, epoch, bound(limit)],
            |row| map_row(row, 0),
        )
    }

    pub(super) fn load_differences(
        &self,
        pair: Pair,
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        self.list(
            &format!("SELECT {ITEM}, {MAP} {DIFFERENCES} ORDER BY i.revision LIMIT ?7"),
            params![self.account.0, pair.0.0, pair.1.0, epoch, after.0, upto.0, bound(limit)],
            |row| {
                let entry = match row.get::<_, Option<i64>>(11)? {
                    Some(_) => Some(map_row(row, 11)?),
                    None => None,
                };
                Ok((item_row(row)?, entry))
            },
        )
    }

    pub(super) fn count_of_differences(&self, pair: Pair, epoch: i64, after: Revision, upto: Revision) -> Result<u64> {
        let count = self.find(
            &format!("SELECT COUNT(*) {DIFFERENCES}"),
            params![self.account.0, pair.0.0, pair.1.0, epoch, after.0, upto.0],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    pub(super) fn load_outgoing(&self, pair: Pair, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        let mut statement = self.prepare(&format!(
            "SELECT {OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid = ?4"
        ))?;
        guids
            .iter()
            .map(|guid| {
                let key = params![self.account.0, pair.0.0, pair.1.0, guid.0];
                statement.query_row(key, outgoing_row).optional().map_err(fault)
            })
            .collect()
    }

    pub(super) fn page_of_outgoing(&self, pair: Pair, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>> {
        self.list(
            &format!(
                "SELECT {OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND guid > ?4 \
                 ORDER BY guid LIMIT ?5"
            ),
            params![self.account.0, pair.0.0, pair.1.0, after.0, bound(limit)],
            outgoing_row,
        )
    }

    pub(super) fn load_outgoing_by_ref(
        &self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        let mut statement = self.prepare(&format!(
            "SELECT {OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND session = ?3 AND msg_id = ?4 \
             AND cmd_id = ?5"
        ))?;
        refs.iter()
            .map(|at| {
                let key = params![self.account.0, device.0, token.0, at.msg_id, at.cmd_id];
                let read = |row: &Row<'_>| Ok((BookNo(row.get(10)?), outgoing_row(row)?));
                statement.query_row(key, read).optional().map_err(fault)
            })
            .collect()
    }

    pub(super) fn load_outgoing_by_view(&self, pair: Pair, views: &[ViewFp]) -> Result<Vec<Option<OutgoingRow>>> {
        let mut statement = self.prepare(&format!(
            "SELECT {OUTGOING} FROM outgoing WHERE account = ?1 AND device = ?2 AND book = ?3 AND sent_view_fp = ?4 \
             AND op = 0 AND state IN (1, 2) ORDER BY guid LIMIT 1"
        ))?;
        views
            .iter()
            .map(|view| {
                let key = params![self.account.0, pair.0.0, pair.1.0, view];
                statement.query_row(key, outgoing_row).optional().map_err(fault)
            })
            .collect()
    }

    pub(super) fn save_outgoing(&self, pair: Pair, rows: &[OutgoingRow]) -> Result<()> {
        let mut put = self.prepare(
            "INSERT OR REPLACE INTO outgoing (account, device, book, guid, op, sent_revision, sent_view_fp, \
             temp_guid, state, reason, session, msg_id, cmd_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for row in rows {
            put.execute(params![
                self.account.0,
                pair.0.0,
                pair.1.0,
                row.guid.0,
                op_number(row.op),
                row.sent_revision.0,
                row.sent_view_fp,
                row.temp_guid,
                number(&OutgoingState::ALL, &row.state),
                row.reason,
                row.session.map(|token| token.0),
                row.sent_as.map(|at| at.msg_id),
                row.sent_as.map(|at| at.cmd_id)
            ])
            .map_err(fault)?;
        }
        Ok(())
    }

    pub(super) fn save_staged(&self, pair: Pair, rows: &[NewStaged<'_>]) -> Result<()> {
        let mut put = self.prepare(
            "INSERT INTO staged (account, device, book, epoch, luid, op, media_type, view_fp, keys, content) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT (account, device, book, epoch, luid) DO UPDATE SET op = excluded.op, \
             media_type = excluded.media_type, view_fp = excluded.view_fp, keys = excluded.keys, \
             content = excluded.content",
        )?;
        for row in rows {
            put.execute(params![
                self.account.0,
                pair.0.0,
                pair.1.0,
                row.epoch,
                row.luid,
                op_number(row.op),
                row.media_type.as_deref(),
                row.view_fp,
                pack_keys(&row.keys),
                &*row.content
            ])
            .map_err(fault)?;
        }
        Ok(())
    }

    pub(super) fn page_of_staged(&self, pair: Pair, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        self.list(
            "SELECT seq, epoch, luid, op, media_type, view_fp, keys, content FROM staged \
             WHERE account = ?1 AND device = ?2 AND book = ?3 AND seq > ?4 ORDER BY seq LIMIT ?5",
            params![self.account.0, pair.0.0, pair.1.0, after, bound(limit)],
            |row| {
                Ok(StagedRow {
                    seq: row.get(0)?,
                    change: NewStaged {
                        epoch: row.get(1)?,
                        luid: Cow::Owned(row.get(2)?),
                        op: value(&OPS, 3, row.get(3)?)?,
                        media_type: row.get::<_, Option<String>>(4)?.map(Cow::Owned),
                        view_fp: row.get(5)?,
                        keys: Cow::Owned(unpack_keys(row.get_ref(6)?.as_blob()?)),
                        content: Cow::Owned(row.get(7)?),
                    },
                })
            },
        )
    }
}
