//! Large objects (§3.8): one item in chunks, over as many messages as it takes, in both directions and for both roles.
//!
//! What comes is kept in the store until the last chunk; nothing of it counts before. What goes is cut from the revision
//! that was current at the first chunk, whatever the item becomes meanwhile; each further chunk waits for the Status of
//! the one before.

use super::content::{Content, render, scoped};
use super::outbox::Outbox;
use super::receive::OpenBook;
use super::state::StoreState;
use crate::message::{Change, Data, Item, Meta, Op, StatusCode};
use crate::store::{BookNo, DeviceNo, Direction, Guid, ItemRow, PartialRow, Result, Revision, SentRef, Tx};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What became of an item that may be a chunk.
pub(super) enum Taken<'m> {
    /// It is none.
    Plain,
    /// It is one, and not the last.
    Chunk,
    /// It was the last: the whole item.
    Whole(Box<Item<'m>>),
    /// It cannot be taken.
    Refused(StatusCode),
}

/// What the first chunk says for all of them.
#[derive(Serialize, Deserialize)]
struct Said {
    format: Option<String>,
    media_type: Option<String>,
    #[serde(default)]
    field_level: bool,
}

/// Takes an item of a change if it is a chunk, or ends a chunked object. `max` is the largest object taken, in bytes.
pub(super) fn take<'m>(
    tx: &mut dyn Tx,
    device: DeviceNo,
    store: &mut StoreState,
    max: u64,
    change: &Change<'m>,
    item: &Item<'m>,
    sync: Option<&Meta<'m>>,
) -> Result<Taken<'m>> {
    let book = store.book;
    let uri = uri(item);
    let bytes: &[u8] = item.data.as_ref().and_then(Data::as_bytes).unwrap_or_default();
    let size = scoped(item, change, sync, |meta| meta.size);
    let at = scoped(item, change, sync, |meta| meta.emi.iter().find_map(|emi| datapos(emi)));
    if store.large_in {
        let first = std::mem::take(&mut store.large_resumed);
        let row = tx.partial(device, book, Direction::In)?;
        match row.filter(|row| row.op == change.op && row.uri == uri) {
            // The same from its beginning; but some senders say the size with every chunk.
            Some(row) if at == Some(0) || (first && at.is_none() && size == Some(row.declared)) => {}
            Some(row) => {
                let size = size.filter(|_| first);
                return match resumed(tx, device, book, row, at, size)? {
                    Some(row) => go_on(tx, device, store, row, item, bytes),
                    None => {
                        store.large_in = false;
                        Ok(Taken::Refused(StatusCode::PARTIAL_NOT_ACCEPTED))
                    }
                };
            }
            None => {
                // Something else came before the end: the sender is told, and what was there is forgotten (223).
                forget(tx, device, store)?;
            }
        }
    }
    if at.is_some_and(|at| at > 0) {
        return Ok(Taken::Refused(StatusCode::PARTIAL_NOT_ACCEPTED));
    }
    if !item.more_data {
        return Ok(Taken::Plain);
    }
    let Some(declared) = size else {
        return Ok(Taken::Refused(StatusCode::SIZE_REQUIRED));
    };
    if declared > max || bytes.len() as u64 > max {
        return Ok(Taken::Refused(StatusCode::SIZE_TOO_BIG));
    }
    let said = Said {
        format: scoped(item, change, sync, |meta| meta.format.as_deref()).map(str::to_owned),
        media_type: scoped(item, change, sync, |meta| meta.media_type.as_deref()).map(str::to_owned),
        field_level: scoped(item, change, sync, |meta| meta.field_level.then_some(())).is_some(),
    };
    let row = PartialRow {
        direction: Direction::In,
        uri: uri.to_owned(),
        op: change.op,
        meta: serde_json::to_vec(&said).unwrap_or_default(),
        declared,
        received: bytes.len() as u64,
        unconfirmed: bytes.len() as u64,
        last_status: None,
    };
    tx.drop_partial(device, book, Direction::In)?;
    tx.put_partial(device, book, &row, bytes)?;
    store.large_in = true;
    Ok(Taken::Chunk)
}

/// Where a resumed object goes on: some senders say the position (`EMI`), some declare the size of what remains, and
/// either may begin with the chunk whose Status they did not get. `None` when it fits to nothing that is here.
fn resumed(
    tx: &mut dyn Tx,
    device: DeviceNo,
    book: BookNo,
    mut row: PartialRow,
    at: Option<u64>,
    size: Option<u64>,
) -> Result<Option<PartialRow>> {
    let from = match (at, size) {
        (Some(at), _) => Some(at),
        (None, Some(rest)) => row.declared.checked_sub(rest),
        (None, None) => Some(row.received),
    };
    match from {
        Some(from) if from == row.received => Ok(Some(row)),
        Some(from) if from == row.received - row.unconfirmed => {
            let mut bytes = tx.partial_bytes(device, book, Direction::In)?;
            bytes.truncate(usize::try_from(from).unwrap_or(usize::MAX));
            (row.received, row.unconfirmed) = (from, 0);
            tx.drop_partial(device, book, Direction::In)?;
            tx.put_partial(device, book, &row, &bytes)?;
            Ok(Some(row))
        }
        _ => {
            tx.drop_partial(device, book, Direction::In)?;
            Ok(None)
        }
    }
}

/// The position in an `EMI` element.
fn datapos(emi: &str) -> Option<u64> {
    emi.trim().strip_prefix("datapos=")?.parse().ok()
}

fn go_on<'m>(
    tx: &mut dyn Tx,
    device: DeviceNo,
    store: &mut StoreState,
    mut row: PartialRow,
    item: &Item<'m>,
    bytes: &[u8],
) -> Result<Taken<'m>> {
    let book = store.book;
    row.received += bytes.len() as u64;
    row.unconfirmed = bytes.len() as u64;
    if row.received > row.declared {
        store.large_in = false;
        tx.drop_partial(device, book, Direction::In)?;
        return Ok(Taken::Refused(StatusCode::SIZE_MISMATCH));
    }
    tx.put_partial(device, book, &row, bytes)?;
    if item.more_data {
        return Ok(Taken::Chunk);
    }
    let whole = tx.partial_bytes(device, book, Direction::In)?;
    store.large_in = false;
    tx.drop_partial(device, book, Direction::In)?;
    // Conformance testers declare one byte more than they send, and want it taken.
    if row.declared - row.received > 1 {
        return Ok(Taken::Refused(StatusCode::SIZE_MISMATCH));
    }
    let said: Option<Said> = serde_json::from_slice(&row.meta).ok();
    let meta = said.map(|said| Meta {
        format: said.format.map(Into::into),
        media_type: said.media_type.map(Into::into),
        field_level: said.field_level,
        ..Meta::default()
    });
    Ok(Taken::Whole(Box::new(Item {
        target: item.target.clone(),
        source: item.source.clone(),
        source_parent: item.source_parent.clone(),
        target_parent: item.target_parent.clone(),
        meta,
        data: Some(Data::Bytes(Cow::Owned(whole))),
        ..Item::default()
    })))
}

/// Forgets an object that will not be completed, and notes that the sender is to be told.
pub(super) fn forget(tx: &mut dyn Tx, device: DeviceNo, store: &mut StoreState) -> Result<()> {
    if std::mem::take(&mut store.large_in) {
        store.broken = tx.partial(device, store.book, Direction::In)?.map(|row| row.uri);
        tx.drop_partial(device, store.book, Direction::In)?;
    }
    Ok(())
}

fn uri<'i>(item: &'i Item<'_>) -> &'i str {
    let place = |place: &'i Option<crate::message::Location<'_>>| place.as_ref().map(|place| &*place.uri);
    place(&item.source).filter(|uri| !uri.is_empty()).or_else(|| place(&item.target)).unwrap_or_default()
}

/// A large object on its way to the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LargeOut {
    /// The item, as it was when its first chunk was sent.
    pub guid: Guid,
    pub revision: Revision,
    /// What is done with it.
    pub op: Op,
    /// Bytes sent so far.
    pub sent: u64,
    /// Message and command of the last chunk.
    pub sent_as: (u32, u32),
    /// Whether that has its Status.
    pub acknowledged: bool,
}

impl LargeOut {
    /// After a chunk that was not the last.
    pub(super) const fn after(placed: &Placed, guid: Guid, revision: Revision, op: Op) -> Self {
        let sent_as = (placed.sent_as.msg_id, placed.sent_as.cmd_id);
        Self { guid, revision, op, sent: placed.sent, sent_as, acknowledged: false }
    }
}

/// A chunk in a message.
pub(super) struct Placed {
    pub sent_as: SentRef,
    /// Bytes of the object sent with it and before it.
    pub sent: u64,
    /// Whether more follow.
    pub more: bool,
}

/// Puts the next chunk of an object into the open Sync. `address` is the item without data.
pub(super) fn place_chunk(
    outbox: &mut Outbox,
    op: Op,
    address: &Item<'_>,
    meta: &Meta<'_>,
    whole: &[u8],
    from: u64,
) -> Option<Placed> {
    let rest = whole.get(usize::try_from(from).ok()?..)?;
    let (sent_as, count) = outbox.chunk(rest, |cmd_id, bytes, more| {
        let size = (from == 0).then_some(whole.len() as u64);
        let item = Item { data: Some(Data::Bytes(bytes.to_vec().into())), more_data: more, ..address.clone() };
        Change { meta: Some(Meta { size, ..meta.clone() }), ..Change::new(op, cmd_id, item) }
    })?;
    Some(Placed { sent_as, sent: from + count as u64, more: count < rest.len() })
}

/// An item as it was at a revision, or `None` when nobody knows any more.
pub(super) fn item_at(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    item: &ItemRow<'_>,
    revision: Revision,
) -> Result<Option<ItemRow<'static>>> {
    let found = tx.revisions(open.book(), &[(item.guid, revision)])?.pop().flatten();
    Ok(found.filter(|row| !row.deleted).map(|row| {
        let content = Content::new(open.kind, row.media_type.map(Cow::Owned), Cow::Owned(row.content));
        ItemRow {
            guid: row.guid,
            revision: row.revision,
            deleted: false,
            parent: row.parent,
            depth: item.depth,
            media_type: content.media_type,
            content: content.bytes,
            fingerprint: content.print,
            keys: Cow::Owned(content.keys),
            origin: row.origin,
            at: row.at,
        }
    }))
}

/// The Meta of each chunk of an item, and its bytes as they go to the peer.
pub(super) fn rendered(open: &OpenBook<'_, '_>, outbox: &Outbox, item: &ItemRow<'_>) -> (Meta<'static>, Vec<u8>) {
    let (media_type, bytes) = render(open.kind, item, open.state.media.as_ref());
    let mut data = Item::default();
    let mut meta = Some(Meta::of_type(media_type));
    outbox.put_data(&mut data, &mut meta, bytes);
    let bytes = match data.data {
        Some(Data::Bytes(bytes)) => bytes.into_owned(),
        _ => Vec::new(),
    };
    (meta.unwrap_or_default(), bytes)
}
