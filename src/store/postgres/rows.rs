//! Columns as rows, and texts as columns.

use super::super::blob::Piece;
use super::super::sql::{self, DIRECTIONS, OPS, PHASES};
pub(super) use super::super::sql::{
    direction_number, holds_text, map_state_number, op_number, outgoing_state_number, pack_keys, phase_number, print,
    unpack_keys,
};
use super::super::*;
use super::failure::OrFailure;
use crate::contact::identity::LargePrint;
use std::borrow::Cow;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// The columns of an item, in the order of [`item`], of which guid and revision are left out.
macro_rules! item_columns {
    () => {
        "deleted, parent, depth, media_type, origin, at, fingerprint, keys, content, blob, size"
    };
}
pub(super) use item_columns;

/// The columns of a revision that is current, of `item`, in the order of [`revision`], of which guid and revision are left
/// out.
macro_rules! current_columns {
    () => {
        "deleted, parent, media_type, origin, at, content, blob, size, depth, NULL::bigint AS until,
         NULL::bigint AS until_at"
    };
}
pub(super) use current_columns;

/// The columns of one that is superseded, of `revision`, likewise.
macro_rules! past_columns {
    () => {
        "kind = 2 AS deleted, parent, media_type, origin, at, content, blob, size, depth, until, until_at"
    };
}
pub(super) use past_columns;

/// Reads columns one after another.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    /// The columns from that one on.
    pub(super) const fn from(row: &'r Row, first: usize) -> Self {
        Self { row, next: first }
    }

    pub(super) fn next<T: FromSql<'r>>(&mut self) -> Result<T> {
        self.next += 1;
        self.row.try_get(self.next - 1).or_failure()
    }

    pub(super) fn text(&mut self) -> Result<String> {
        self.next::<&str>().map(unescape)
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>> {
        Ok(self.next::<Option<&str>>()?.map(unescape))
    }

    pub(super) fn octets<const N: usize>(&mut self) -> Result<[u8; N]> {
        octets(self.next()?)
    }

    /// A number of the protocol, which are all smaller.
    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        T::try_from(self.next::<i64>()?).map_err(|_| wrong("a number is too large"))
    }

    fn maybe_small<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        let number: Option<i64> = self.next()?;
        number.map(|number| T::try_from(number).map_err(|_| wrong("a number is too large"))).transpose()
    }

    fn numbered<T: Copy>(&mut self, all: &[T]) -> Result<T> {
        sql::numbered(all, self.next()?).ok_or_else(|| wrong("an unknown number"))
    }

    fn blob(&mut self) -> Result<Option<Blob>> {
        let (no, len): (Option<i64>, Option<i64>) = (self.next()?, self.next()?);
        Ok(no.zip(len).map(|(no, len)| Blob { no: BlobNo(no), len: len.cast_unsigned() }))
    }
}

fn wrong(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is stored; restore a backup"))
}

fn octets<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| wrong("a value of another length"))
}

/// A text as it is stored: PostgreSQL cannot keep the character NUL, which peers may send in anything of theirs.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    match text.contains(['\0', '\u{1}']) {
        true => Cow::Owned(text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0")),
        false => Cow::Borrowed(text),
    }
}

/// Optional texts as they are stored.
pub(super) fn escape_some(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(escape)
}

pub(super) fn unescape(text: &str) -> String {
    match text.contains('\u{1}') {
        true => text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}"),
        false => text.to_owned(),
    }
}

/// Reads `guid, revision` and the item columns.
pub(super) fn item(columns: &mut Columns<'_>) -> Result<ItemRow<'static>> {
    Ok(ItemRow {
        guid: Guid(columns.next()?),
        revision: Revision(columns.next()?),
        deleted: columns.next()?,
        parent: columns.next::<Option<i64>>()?.map(Guid),
        depth: columns.small()?,
        media_type: columns.maybe_text()?.map(Into::into),
        origin: columns.next::<Option<i64>>()?.map(DeviceNo),
        at: Timestamp(columns.next()?),
        fingerprint: columns.octets()?,
        keys: unpack_keys(columns.next()?).into(),
        content: columns.next::<Vec<u8>>()?.into(),
        blob: columns.blob()?,
    })
}

/// Reads `guid, revision` and the columns of a revision.
pub(super) fn revision(columns: &mut Columns<'_>) -> Result<RevisionRow> {
    Ok(RevisionRow {
        guid: Guid(columns.next()?),
        revision: Revision(columns.next()?),
        deleted: columns.next()?,
        parent: columns.next::<Option<i64>>()?.map(Guid),
        media_type: columns.maybe_text()?,
        origin: columns.next::<Option<i64>>()?.map(DeviceNo),
        at: Timestamp(columns.next()?),
        content: columns.next()?,
        blob: columns.blob()?,
        depth: columns.small()?,
        until: columns.next::<Option<i64>>()?.map(Revision).zip(columns.next::<Option<i64>>()?.map(Timestamp)),
    })
}

/// Reads `revision, guid, origin, at, won, lost, fields`.
pub(super) fn conflict(columns: &mut Columns<'_>) -> Result<ConflictRow> {
    Ok(ConflictRow {
        revision: Revision(columns.next()?),
        guid: Guid(columns.next()?),
        origin: columns.next::<Option<i64>>()?.map(DeviceNo),
        at: Timestamp(columns.next()?),
        won: columns.numbered(&Winner::ALL)?,
        lost: columns.next::<Option<i64>>()?.map(Revision),
        fields: serde_json::from_str(columns.next()?).map_err(|_| wrong("names of fields that cannot be read"))?,
    })
}

/// Reads `restore, target, cursor, begun, ended, revived, changed, deleted`.
pub(super) fn restore(row: &Row) -> Result<RestoreRow> {
    let mut columns = Columns::from(row, 0);
    Ok(RestoreRow {
        id: Revision(columns.next()?),
        target: Revision(columns.next()?),
        cursor: Revision(columns.next()?),
        begun: Timestamp(columns.next()?),
        ended: columns.next::<Option<i64>>()?.map(Timestamp),
        revived: columns.next::<i64>()?.cast_unsigned(),
        changed: columns.next::<i64>()?.cast_unsigned(),
        deleted: columns.next::<i64>()?.cast_unsigned(),
    })
}

/// Reads `device, device_id, devinf, profile, nonce_count, nonce_out, nonce_in, last_seen`.
pub(super) fn device(row: &Row) -> Result<DeviceRow> {
    let mut columns = Columns::from(row, 0);
    Ok(DeviceRow {
        device: DeviceNo(columns.next()?),
        device_id: columns.text()?,
        devinf: columns.next()?,
        profile: columns.maybe_text()?,
        nonce_count: columns.next()?,
        nonce_out: columns.next()?,
        nonce_in: columns.next()?,
        last_seen: Timestamp(columns.next()?),
    })
}

/// Reads `token, device, session_id, last_msg_id, last_digest, recent_digests, last_reply, reply_type,
/// state_version, state, deadline, books`.
pub(super) fn session(row: &Row) -> Result<SessionRow> {
    let mut columns = Columns::from(row, 0);
    Ok(SessionRow {
        token: Token(columns.octets()?),
        device: DeviceNo(columns.next()?),
        session_id: columns.text()?,
        last_msg_id: columns.small()?,
        last_digest: columns.octets()?,
        recent_digests: match columns.next::<&[u8]>()?.as_chunks::<32>() {
            (digests, []) => digests.to_vec(),
            _ => return Err(wrong("a list of digests that is cut off")),
        },
        last_reply: columns.next()?,
        reply_type: columns.text()?,
        state_version: columns.next()?,
        state: columns.next()?,
        deadline: Timestamp(columns.next()?),
        books: columns.next::<Vec<i64>>()?.into_iter().map(BookNo).collect(),
    })
}

/// Reads `book, stamp, head, live_items, live_bytes, purged_upto, indexed`.
pub(super) fn book(row: &Row) -> Result<BookRow> {
    let mut columns = Columns::from(row, 0);
    Ok(BookRow {
        book: BookNo(columns.next()?),
        stamp: columns.small()?,
        head: Revision(columns.next()?),
        live_items: columns.next()?,
        live_bytes: columns.next()?,
        purged_upto: Revision(columns.next()?),
        indexed: columns.next()?,
    })
}

/// Reads `seq, before, bytes`.
pub(super) fn piece(row: &Row) -> Result<Piece> {
    let mut columns = Columns::from(row, 0);
    Ok(Piece { seq: columns.next()?, before: LargePrint(columns.octets()?), bytes: columns.next()? })
}

/// Reads `book, peer_next, peer_prev, own_next, own_prev, cursor, upto, start_head, epoch, lens, filter_hash, sync_type,
/// last_type, phase, holds`.
pub(super) fn pair(device: DeviceNo, row: &Row) -> Result<PairRow> {
    let mut columns = Columns::from(row, 0);
    Ok(PairRow {
        device,
        book: BookNo(columns.next()?),
        peer_next: columns.maybe_text()?,
        peer_prev: columns.maybe_text()?,
        own_next: columns.maybe_text()?,
        own_prev: columns.maybe_text()?,
        cursor: Revision(columns.next()?),
        upto: Revision(columns.next()?),
        start_head: Revision(columns.next()?),
        epoch: columns.next()?,
        lens: columns.next::<Option<i64>>()?.map(LensNo),
        filter_hash: columns.next()?,
        sync_type: columns.small()?,
        last_type: columns.small()?,
        phase: columns.numbered(&PHASES)?,
        holds: match columns.next::<Option<&str>>()? {
            Some(text) => {
                serde_json::from_str(text).map_err(|_| wrong("a list of what is held that cannot be read"))?
            }
            None => Vec::new(),
        },
    })
}

/// Reads `luid, guid, agreed_revision, lens, view_fp, state`.
pub(super) fn map(epoch: i64, columns: &mut Columns<'_>) -> Result<MapRow> {
    Ok(MapRow {
        epoch,
        luid: columns.text()?,
        guid: Guid(columns.next()?),
        agreed_revision: Revision(columns.next()?),
        lens: columns.next::<Option<i64>>()?.map(LensNo),
        view_fp: columns.octets()?,
        state: columns.numbered(&MapState::ALL)?,
    })
}

/// Reads the columns of an item, then those of its map entry if it has one.
pub(super) fn difference(epoch: i64, row: &Row) -> Result<(ItemRow<'static>, Option<MapRow>)> {
    let mut columns = Columns::from(row, 0);
    let item = item(&mut columns)?;
    let has_entry = row.try_get::<_, Option<&str>>(columns.next).or_failure()?.is_some();
    let entry = has_entry.then(|| map(epoch, &mut columns)).transpose()?;
    Ok((item, entry))
}

/// Reads `guid, op, sent_revision, sent_view_fp, temp_guid, state, reason, session, msg_id, cmd_id`.
pub(super) fn outgoing(columns: &mut Columns<'_>) -> Result<OutgoingRow> {
    Ok(OutgoingRow {
        guid: Guid(columns.next()?),
        op: columns.numbered(&OPS)?,
        sent_revision: Revision(columns.next()?),
        sent_view_fp: columns.octets()?,
        temp_guid: columns.maybe_text()?,
        state: columns.numbered(&OutgoingState::ALL)?,
        reason: columns.small()?,
        session: columns.next::<Option<&[u8]>>()?.map(octets).transpose()?.map(Token),
        sent_as: {
            let (msg_id, cmd_id) = (columns.maybe_small()?, columns.maybe_small()?);
            msg_id.zip(cmd_id).map(|(msg_id, cmd_id)| SentRef { msg_id, cmd_id })
        },
    })
}

/// Reads `seq, epoch, luid, op, place, media_type, view_fp, keys, content, blob, size`.
pub(super) fn staged(columns: &mut Columns<'_>) -> Result<StagedRow> {
    Ok(StagedRow {
        seq: columns.next()?,
        change: NewStaged {
            epoch: columns.next()?,
            luid: columns.text()?.into(),
            op: columns.numbered(&OPS)?,
            place: columns.maybe_text()?.map(Into::into),
            media_type: columns.maybe_text()?.map(Into::into),
            view_fp: columns.octets()?,
            keys: unpack_keys(columns.next()?).into(),
            content: columns.next::<Vec<u8>>()?.into(),
            blob: columns.blob()?,
        },
    })
}

/// Reads `direction, uri, op, meta, declared, received, unconfirmed, last_status, blob`.
pub(super) fn partial(row: &Row) -> Result<PartialRow> {
    let mut columns = Columns::from(row, 0);
    Ok(PartialRow {
        direction: columns.numbered(&DIRECTIONS)?,
        uri: columns.text()?,
        op: columns.numbered(&OPS)?,
        meta: columns.next()?,
        declared: columns.next::<i64>()?.cast_unsigned(),
        received: columns.next::<i64>()?.cast_unsigned(),
        unconfirmed: columns.next::<i64>()?.cast_unsigned(),
        last_status: columns.maybe_small()?,
        blob: BlobNo(columns.next()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back() {
        for text in ["", "7", "a\0b", "\0", "\u{1}", "\u{1}0", "\u{1}1", "\0\u{1}0\u{1}\0", "ä\u{1}"] {
            let stored = escape(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(unescape(&stored), text, "{text:?}");
        }
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
    }
}
