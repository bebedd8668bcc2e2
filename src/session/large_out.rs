//! Large objects that go (§3.8): one item in chunks, over as many messages as it takes, for both roles.
//!
//! They are cut from the revision that was current at the first chunk, whatever the item becomes meanwhile; each further
//! chunk waits for the Status of the one before. Large content is read from the store in the range that a chunk needs.

use super::content::{Content, render};
use super::outbox::{Fit, Outbox, SMALLEST_CHUNK};
use super::profile::ResumeObjects;
use super::receive::OpenBook;
use crate::message::{Change, Data, Item, Meta, Op};
use crate::store::{
    Blob, BlobNo, Direction, Guid, ItemRow, OutgoingRow, PartialRow, Result, Revision, RevisionRow, SentRef, Token, Tx,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
    /// How the next chunk says where it goes on, when the one before was sent in another session.
    pub resumed: Option<ResumeObjects>,
}

/// What is remembered of an object on its way, beside what the row of it says.
#[derive(Serialize, Deserialize)]
struct Told {
    revision: Revision,
    session: [u8; 16],
    sent_as: (u32, u32),
}

impl LargeOut {
    /// After a chunk, which was not the last. For a peer that lets it go on in another session, that is remembered.
    pub(super) fn after(
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        placed: &Placed,
        (guid, revision, op): (Guid, Revision, Op),
    ) -> Result<Option<Self>> {
        let (device, book) = (open.device, open.book());
        let sent_as = (placed.sent_as.msg_id, placed.sent_as.cmd_id);
        if open.state.resume_objects.is_some() {
            if placed.more() {
                let told = Told { revision, session: open.token.0, sent_as };
                let row = PartialRow {
                    direction: Direction::Out,
                    uri: guid.to_string(),
                    op,
                    meta: serde_json::to_vec(&told).unwrap_or_default(),
                    declared: placed.of,
                    received: placed.sent,
                    unconfirmed: placed.bytes,
                    // The item has them.
                    blob: BlobNo(0),
                    last_status: None,
                };
                tx.put_partial(device, book, &row)?;
            } else if placed.sent > placed.bytes {
                tx.drop_partial(device, book, Direction::Out)?;
            }
        }
        let large = Self { guid, revision, op, sent: placed.sent, sent_as, acknowledged: false, resumed: None };
        Ok(placed.more().then_some(large))
    }

    /// An object that a session before this one broke off, if this one goes on where that was, and the peer can be told so.
    /// The chunk whose Status did not come is sent once more.
    pub(super) fn resumed(
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        row: &OutgoingRow,
        item: &ItemRow<'_>,
        op: Op,
    ) -> Result<Option<Self>> {
        let (device, book) = (open.device, open.book());
        if !open.state.resuming || open.state.resume_objects.is_none() || !row.state.is_unanswered() {
            return Ok(None);
        }
        let Some(partial) = tx.partial(device, book, Direction::Out)? else { return Ok(None) };
        if partial.uri != row.guid.to_string() {
            return Ok(None);
        }
        tx.drop_partial(device, book, Direction::Out)?;
        let Ok(told) = serde_json::from_slice::<Told>(&partial.meta) else { return Ok(None) };
        let (msg_id, cmd_id) = told.sent_as;
        let same = partial.op == op
            && told.revision == item.revision
            && row.session == Some(Token(told.session))
            && row.sent_as == Some(SentRef { msg_id, cmd_id });
        let sent = partial.received.saturating_sub(partial.unconfirmed);
        let (guid, revision, resumed) = (row.guid, item.revision, open.state.resume_objects);
        let (sent_as, acknowledged) = (told.sent_as, true);
        Ok(same.then_some(Self { guid, revision, op, sent, sent_as, acknowledged, resumed }))
    }

    /// The Meta of the next chunk: only the first says how large the whole is, and one that goes on where another session
    /// broke off says where that was (§3.13).
    pub(super) fn meta<'m>(&self, meta: Meta<'m>, body: &Body) -> Meta<'m> {
        match self.resumed.filter(|_| self.sent > 0) {
            Some(ResumeObjects::Position) => Meta { emi: vec![format!("datapos={}", self.sent).into()], ..meta },
            Some(ResumeObjects::Rest) => Meta { size: body.len().checked_sub(self.sent), ..meta },
            None => meta,
        }
    }
}

/// A chunk in a message.
pub(super) struct Placed {
    pub sent_as: SentRef,
    /// Bytes of the object sent with it, and with it and before it.
    pub bytes: u64,
    pub sent: u64,
    /// And all that there are.
    pub of: u64,
}

impl Placed {
    /// Whether more chunks follow.
    const fn more(&self) -> bool {
        self.sent < self.of
    }
}

/// Whether a chunk found room.
pub(super) enum Chunk {
    /// It is in.
    In(Placed),
    /// Not worth beginning in this message.
    NotNow,
    /// No message to this peer holds even the smallest.
    Never,
}

/// The bytes of an item as they go to the peer.
pub(super) enum Body {
    /// In memory: contacts, and whatever is not large.
    Whole(Vec<u8>),
    /// In the store, to be read in ranges; with `packed` they go as base64.
    Stored { blob: Blob, packed: bool },
}

impl Body {
    /// Their number, as they go.
    pub(super) const fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stored { blob, packed: false } => blob.len,
            Self::Stored { blob, packed: true } => blob.len.div_ceil(3) * 4,
        }
    }

    /// About `limit` bytes from an offset on, which in base64 is where four characters begin.
    fn range(&self, tx: &mut dyn Tx, from: u64, limit: usize) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Whole(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                Ok(Cow::Borrowed(bytes.get(from..).unwrap_or_default()))
            }
            Self::Stored { blob, packed: false } => tx.read_blob(blob.no, from, limit).map(Cow::Owned),
            Self::Stored { blob, packed: true } => {
                let bytes = tx.read_blob(blob.no, from / 4 * 3, limit / 4 * 3)?;
                Ok(Cow::Owned(STANDARD.encode(bytes).into_bytes()))
            }
        }
    }

    /// Chunks end after a multiple of so many bytes.
    const fn unit(&self) -> usize {
        if matches!(self, Self::Stored { packed: true, .. }) { 4 } else { 1 }
    }
}

/// Puts the next chunk of an object into the open Sync. `address` is the item without data.
pub(super) fn place_chunk(
    tx: &mut dyn Tx,
    outbox: &mut Outbox,
    op: Op,
    address: &Item<'_>,
    meta: &Meta<'_>,
    body: &Body,
    from: u64,
) -> Result<Chunk> {
    let Some(left) = body.len().checked_sub(from) else { return Ok(Chunk::Never) };
    let range = body.range(tx, from, outbox.room().max(SMALLEST_CHUNK))?;
    let size = if from == 0 { Some(body.len()) } else { meta.size };
    let meta = Meta { size, ..meta.clone() };
    let chunk = outbox.chunk(&range, left, body.unit(), |cmd_id, bytes, more_data| {
        let item = Item { data: Some(Data::Bytes(bytes.into())), more_data, ..address.clone() };
        Change { meta: Some(meta.clone()), ..Change::new(op, cmd_id, item) }
    });
    Ok(match chunk {
        (Fit::Yes(sent_as), count) => {
            let bytes = count as u64;
            Chunk::In(Placed { sent_as, bytes, sent: from + bytes, of: body.len() })
        }
        (Fit::NotNow, _) => Chunk::NotNow,
        (Fit::Never, _) => Chunk::Never,
    })
}

/// An item as it was at a revision, or `None` when nobody knows any more.
pub(super) fn item_at(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    item: &ItemRow<'_>,
    revision: Revision,
) -> Result<Option<ItemRow<'static>>> {
    let found = tx.revisions(open.book(), &[(item.guid, revision)])?.pop().flatten();
    found.filter(|row| !row.deleted).map(|row| item_of(tx, open, item, row)).transpose()
}

/// An item as a revision of it has it.
pub(super) fn item_of(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    item: &ItemRow<'_>,
    row: RevisionRow,
) -> Result<ItemRow<'static>> {
    let (guid, revision, parent, origin, at) = (row.guid, row.revision, row.parent, row.origin, row.at);
    let content = Content::of_revision(tx, open.kind, row)?;
    Ok(ItemRow {
        guid,
        revision,
        deleted: false,
        parent,
        depth: item.depth,
        media_type: content.media_type,
        content: content.bytes,
        blob: content.blob,
        fingerprint: content.print,
        keys: Cow::Owned(content.keys),
        origin,
        at,
    })
}

/// The Meta of each chunk of an item, and its bytes as they go to the peer.
pub(super) fn rendered(open: &OpenBook<'_, '_>, outbox: &Outbox, item: &ItemRow<'_>) -> (Meta<'static>, Body) {
    let (media_type, bytes) = render(open.kind, item, open.state.media.as_ref());
    let meta = Meta::of_type(media_type);
    if let Some(blob) = item.blob {
        // Nobody has looked whether XML can carry it.
        let packed = outbox.is_text();
        return (Meta { format: packed.then(|| "b64".into()), ..meta }, Body::Stored { blob, packed });
    }
    let mut data = Item::default();
    let mut meta = Some(meta);
    outbox.put_data(&mut data, &mut meta, bytes);
    let bytes = match data.data {
        Some(Data::Bytes(bytes)) => bytes.into_owned(),
        _ => Vec::new(),
    };
    (meta.unwrap_or_default(), Body::Whole(bytes))
}
