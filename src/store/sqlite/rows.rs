//! Rows as columns, and columns as rows.

use super::super::blob::Piece;
use super::super::sql::{self, DIRECTIONS, OPS, PHASES};
use super::super::*;
use super::failure::OrFailure;
use super::packed::Packing;
use super::place::{Places, number_at};
use crate::contact::identity::LargePrint;
use rusqlite::types::{FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, Value, ValueRef};
use rusqlite::{Row, Statement, params};
use std::borrow::Cow;

pub(super) use super::super::sql::{
    direction_number, holds_text, map_state_number, op_number, outgoing_state_number, pack_keys, phase_number,
    unpack_keys,
};

/// The columns of an item, in the order of [`item`], of which its place and its revision's are left out.
macro_rules! item_columns {
    () => {
        concat!(
            "deleted, ",
            number!("parent"),
            ", depth, media_type, origin, at, fingerprint, keys, content, blob, size"
        )
    };
}
pub(super) use item_columns;

/// Reads `place, changed` and the item columns.
pub(super) fn item(packing: &Packing, row: &Row<'_>) -> rusqlite::Result<ItemRow<'static>> {
    let place = row.get(0)?;
    let (content, blob) = content(packing, row, 10)?;
    Ok(ItemRow {
        guid: Guid(number_at(place)),
        revision: Revision(number_at(row.get::<_, Option<i64>>(1)?.unwrap_or(place))),
        deleted: row.get(2)?,
        parent: row.get::<_, Option<i64>>(3)?.map(Guid),
        depth: row.get(4)?,
        media_type: row.get::<_, Option<String>>(5)?.map(Into::into),
        origin: row.get::<_, Option<i64>>(6)?.map(DeviceNo),
        at: Timestamp(row.get(7)?),
        fingerprint: row.get(8)?,
        keys: unpack_keys(row.get_ref(9)?.as_blob()?).into(),
        content: content.into(),
        blob,
    })
}

/// Reads `content, blob, size` from a column on. Where there is no large content whose length it could be, the size is that
/// of a packed one.
fn content(packing: &Packing, row: &Row<'_>, first: usize) -> rusqlite::Result<(Vec<u8>, Option<Blob>)> {
    let stored = row.get_ref(first)?.as_blob()?;
    let (no, size): (Option<i64>, Option<i64>) = (row.get(first + 1)?, row.get(first + 2)?);
    let wrong = |damage| rusqlite::Error::FromSqlConversionFailure(first, Type::Blob, Box::new(damage));
    match (no, size) {
        (Some(no), Some(len)) => Ok((stored.to_vec(), Some(Blob { no: BlobNo(no), len: len.cast_unsigned() }))),
        (None, Some(len)) => packing.unpack(stored, len).map(|content| (content, None)).map_err(wrong),
        _ => Ok((stored.to_vec(), None)),
    }
}

/// Binds and runs a statement whose parameters 1 to 13 are an item.
pub(super) fn execute_with_item(
    statement: &mut Statement<'_>,
    places: Places,
    packing: &Packing,
    row: &ItemRow<'_>,
) -> Result<()> {
    let room = |number: Option<i64>| number.map(|number| places.room(number)).transpose();
    let (content, size) = stored(packing, &row.content, row.blob);
    let values = params![
        places.room(row.guid.0)?,
        room(Some(row.revision.0).filter(|revision| *revision != row.guid.0))?,
        row.deleted,
        room(row.parent.map(|parent| parent.0))?,
        row.depth,
        row.media_type.as_deref(),
        row.origin.map(|origin| origin.0),
        row.at.0,
        row.fingerprint,
        pack_keys(&row.keys),
        &*content,
        row.blob.map(|blob| blob.no.0),
        size
    ];
    statement.execute(values).or_failure().map(drop)
}

/// The columns `content` and `size` of what is written.
pub(super) fn stored<'c>(packing: &Packing, content: &'c [u8], blob: Option<Blob>) -> (Cow<'c, [u8]>, Option<i64>) {
    let packed = if blob.is_some() { None } else { packing.pack(content) };
    match packed {
        Some(packed) => (Cow::Owned(packed), Some(content.len() as i64)),
        None => (Cow::Borrowed(content), blob.map(|blob| blob.len.cast_signed())),
    }
}

/// Reads `blob, size` from a column on.
fn blob(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Blob>> {
    let found = row.get::<_, Option<i64>>(first)?.zip(row.get::<_, Option<i64>>(first + 1)?);
    Ok(found.map(|(no, len)| Blob { no: BlobNo(no), len: len.cast_unsigned() }))
}

/// Reads `seq, before, bytes`.
pub(super) fn piece(row: &Row<'_>) -> rusqlite::Result<Piece> {
    Ok(Piece { seq: row.get(0)?, before: LargePrint(row.get(1)?), bytes: row.get(2)? })
}

/// The columns of a revision that is current, of `item`, in the order of [`revision`], of which the places of guid and
/// revision are left out.
macro_rules! current_columns {
    () => {
        concat!("deleted, ", number!("parent"), ", media_type, origin, at, content, blob, size, depth, NULL, NULL")
    };
}
pub(super) use current_columns;

/// The columns of one that is superseded, of `revision`, likewise.
macro_rules! past_columns {
    () => {
        concat!(
            "kind = 2, ",
            number!("parent"),
            ", media_type, origin, at, content, blob, size, depth, until, until_at"
        )
    };
}
pub(super) use past_columns;

/// Reads the places of guid and revision, and the columns of a revision.
pub(super) fn revision(packing: &Packing, row: &Row<'_>) -> rusqlite::Result<RevisionRow> {
    let (content, blob) = content(packing, row, 7)?;
    Ok(RevisionRow {
        guid: Guid(number_at(row.get(0)?)),
        revision: Revision(number_at(row.get(1)?)),
        deleted: row.get(2)?,
        parent: row.get::<_, Option<i64>>(3)?.map(Guid),
        media_type: row.get(4)?,
        origin: row.get::<_, Option<i64>>(5)?.map(DeviceNo),
        at: Timestamp(row.get(6)?),
        content,
        blob,
        depth: row.get(10)?,
        until: row.get::<_, Option<i64>>(11)?.map(Revision).zip(row.get::<_, Option<i64>>(12)?.map(Timestamp)),
    })
}

/// Reads the places of guid and revision, `until, until_at`.
pub(super) fn past(row: &Row<'_>) -> rusqlite::Result<PastRow> {
    Ok(PastRow {
        guid: Guid(number_at(row.get(0)?)),
        revision: Revision(number_at(row.get(1)?)),
        until: Revision(row.get(2)?),
        until_at: Timestamp(row.get(3)?),
        recent: false,
    })
}

/// Reads `revision, guid, origin, at, won, lost, fields`.
pub(super) fn conflict(row: &Row<'_>) -> rusqlite::Result<ConflictRow> {
    let fields: String = row.get(6)?;
    let wrong = |error| rusqlite::Error::FromSqlConversionFailure(6, Type::Text, Box::new(error));
    Ok(ConflictRow {
        revision: Revision(row.get(0)?),
        guid: Guid(row.get(1)?),
        origin: row.get::<_, Option<i64>>(2)?.map(DeviceNo),
        at: Timestamp(row.get(3)?),
        won: numbered(&Winner::ALL, row, 4)?,
        lost: row.get::<_, Option<i64>>(5)?.map(Revision),
        fields: serde_json::from_str(&fields).map_err(wrong)?,
    })
}

/// Reads `restore, target, cursor, begun, ended, revived, changed, deleted`.
pub(super) fn restore(row: &Row<'_>) -> rusqlite::Result<RestoreRow> {
    Ok(RestoreRow {
        id: Revision(row.get(0)?),
        target: Revision(row.get(1)?),
        cursor: Revision(row.get(2)?),
        begun: Timestamp(row.get(3)?),
        ended: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        revived: row.get::<_, i64>(5)?.cast_unsigned(),
        changed: row.get::<_, i64>(6)?.cast_unsigned(),
        deleted: row.get::<_, i64>(7)?.cast_unsigned(),
    })
}

/// Reads `device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen`.
pub(super) fn device(row: &Row<'_>) -> rusqlite::Result<DeviceRow> {
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

/// Reads `token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type,
/// state_version, state, deadline, books`.
pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let (digests, rest) = row.get_ref(5)?.as_blob()?.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(wrong(5, Type::Blob, "digests are cut off"));
    }
    Ok(SessionRow {
        token: Token(row.get(0)?),
        device: DeviceNo(row.get(1)?),
        session_id: row.get(2)?,
        last_msg_id: row.get(3)?,
        last_digest: row.get(4)?,
        recent_digests: digests.to_vec(),
        last_reply: row.get(6)?,
        reply_type: row.get(7)?,
        state_version: row.get(8)?,
        state: row.get(9)?,
        deadline: Timestamp(row.get(10)?),
        books: unpack_books(row, 11)?,
    })
}

/// The books of a session as the octets of its row.
pub(super) fn pack_books(books: &[BookNo]) -> Vec<u8> {
    books.iter().flat_map(|book| book.0.to_le_bytes()).collect()
}

/// The books of a session's row.
pub(super) fn unpack_books(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<BookNo>> {
    let (books, rest) = row.get_ref(column)?.as_blob()?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(wrong(column, Type::Blob, "books are cut off"));
    }
    Ok(books.iter().map(|book| BookNo(i64::from_le_bytes(*book))).collect())
}

/// Reads `book, stamp, head, live_items, live_bytes, purged_upto, indexed`.
pub(super) fn book(row: &Row<'_>) -> rusqlite::Result<BookRow> {
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

fn numbered<T: Copy>(all: &[T], row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    sql::numbered(all, row.get(column)?).ok_or_else(|| wrong(column, Type::Integer, "an unknown number"))
}

fn wrong(column: usize, kind: Type, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
}

/// Reads `peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens, filter_hash, sync_type,
/// last_type, phase, holds`.
pub(super) fn pair(device: DeviceNo, book: BookNo, row: &Row<'_>) -> rusqlite::Result<PairRow> {
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
        last_type: row.get(11)?,
        phase: numbered(&PHASES, row, 12)?,
        holds: row.get::<_, Option<String>>(13)?.map_or_else(|| Ok(Vec::new()), |text| holds(&text))?,
    })
}

fn holds(text: &str) -> rusqlite::Result<Vec<Hold>> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(13, rusqlite::types::Type::Text, Box::new(error)))
}

/// A LUID as it is stored, in SQLite's order: a number where it is written like one, which makes rows small and comparing
/// cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Luid<'a> {
    Number(i64),
    Text(&'a str),
}

impl<'a> Luid<'a> {
    pub(super) fn of(luid: &'a str) -> Self {
        // Exactly one text per number: no sign, no zero in front.
        let plain = match luid.as_bytes() {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        match luid.parse() {
            Ok(number) if plain => Self::Number(number),
            _ => Self::Text(luid),
        }
    }
}

impl ToSql for Luid<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn luid(value: ValueRef<'_>) -> FromSqlResult<String> {
    match value {
        ValueRef::Integer(number) => Ok(number.to_string()),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_err(|error| FromSqlError::Other(Box::new(error))),
        _ => Err(FromSqlError::InvalidType),
    }
}

/// Reads `luid, guid, agreed_revision, lens, view_fp, state`, of which the fingerprint is there.
pub(super) fn map(epoch: i64, row: &Row<'_>) -> rusqlite::Result<MapRow> {
    map_from(epoch, row, 0)
}

/// Reads the columns of an item, then those of its map entry if it has one.
pub(super) fn difference(
    packing: &Packing,
    epoch: i64,
    row: &Row<'_>,
) -> rusqlite::Result<(ItemRow<'static>, Option<MapRow>)> {
    const FIRST: usize = 13;
    let entry = match row.get_ref(FIRST)? {
        ValueRef::Null => None,
        _ => Some(map_from(epoch, row, FIRST)?),
    };
    Ok((item(packing, row)?, entry))
}

fn map_from(epoch: i64, row: &Row<'_>, first: usize) -> rusqlite::Result<MapRow> {
    let guid = row.get(first + 1)?;
    Ok(MapRow {
        epoch,
        luid: luid(row.get_ref(first)?)?,
        guid: Guid(guid),
        agreed_revision: Revision(row.get::<_, Option<i64>>(first + 2)?.unwrap_or(guid)),
        lens: row.get::<_, Option<i64>>(first + 3)?.map(LensNo),
        view_fp: row.get(first + 4)?,
        state: numbered(&MapState::ALL, row, first + 5)?,
    })
}

/// Reads `guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id`.
pub(super) fn outgoing(row: &Row<'_>) -> rusqlite::Result<OutgoingRow> {
    let place: (Option<u32>, Option<u32>) = (row.get(8)?, row.get(9)?);
    Ok(OutgoingRow {
        guid: Guid(row.get(0)?),
        op: numbered(&OPS, row, 1)?,
        sent_revision: Revision(row.get(2)?),
        sent_view_fp: row.get(3)?,
        temp_guid: row.get(4)?,
        state: numbered(&OutgoingState::ALL, row, 5)?,
        reason: row.get(6)?,
        session: row.get::<_, Option<[u8; 16]>>(7)?.map(Token),
        sent_as: place.0.zip(place.1).map(|(msg_id, cmd_id)| SentRef { msg_id, cmd_id }),
    })
}

/// Reads `seq, epoch, luid, op, place, media_type, view_fp, keys, content, blob, size`.
pub(super) fn staged(row: &Row<'_>) -> rusqlite::Result<StagedRow> {
    Ok(StagedRow {
        seq: row.get(0)?,
        change: NewStaged {
            epoch: row.get(1)?,
            luid: row.get::<_, String>(2)?.into(),
            op: numbered(&OPS, row, 3)?,
            place: row.get::<_, Option<String>>(4)?.map(Into::into),
            media_type: row.get::<_, Option<String>>(5)?.map(Into::into),
            view_fp: row.get(6)?,
            keys: unpack_keys(row.get_ref(7)?.as_blob()?).into(),
            content: row.get::<_, Vec<u8>>(8)?.into(),
            blob: blob(row, 9)?,
        },
    })
}

/// Reads `direction, uri, op, meta, declared, received, unconfirmed, last_status, blob`.
pub(super) fn partial(row: &Row<'_>) -> rusqlite::Result<PartialRow> {
    Ok(PartialRow {
        direction: numbered(&DIRECTIONS, row, 0)?,
        uri: row.get(1)?,
        op: numbered(&OPS, row, 2)?,
        meta: row.get(3)?,
        declared: row.get::<_, i64>(4)?.cast_unsigned(),
        received: row.get::<_, i64>(5)?.cast_unsigned(),
        unconfirmed: row.get::<_, i64>(6)?.cast_unsigned(),
        last_status: row.get(7)?,
        blob: BlobNo(row.get(8)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_luids_written_like_numbers_are_numbers() {
        for (text, number) in [
            ("0", true),
            ("7", true),
            ("1234", true),
            ("999999999999999999", true),
            ("9999999999999999999", false),
            ("", false),
            ("00", false),
            ("07", false),
            ("-7", false),
            ("+7", false),
            ("7 ", false),
            ("7a", false),
            ("1e3", false),
            ("\u{663}", false),
        ] {
            let luid = Luid::of(text);
            let stored = luid.to_sql().unwrap();
            let value = match &stored {
                ToSqlOutput::Owned(value) => ValueRef::from(value),
                ToSqlOutput::Borrowed(value) => *value,
                _ => unreachable!(),
            };
            assert_eq!(matches!(value, ValueRef::Integer(_)), number, "{text:?}");
            assert_eq!(super::luid(value).unwrap(), text);
        }
    }
}
