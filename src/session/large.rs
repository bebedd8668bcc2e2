//! Large objects that come (§3.8): one item in chunks, over as many messages as it takes, for both roles.
//!
//! Each chunk goes into the store, where the pieces of large content stay when the object is complete: the item refers to
//! them. Contacts, and whatever is not large, are read then. Nothing counts before the last chunk, and what is refused
//! leaves nothing behind but its answer: until the next object, or a session that does not go on, it is kept with what the
//! last chunk was, for a peer that never got it and says that chunk once more (§3.13).

use super::content::{Content, is_b64, scoped};
use super::state::StoreState;
use crate::contact::identity::{Kind, is_large};
use crate::message::{Change, Data, Item, Meta, Op, StatusCode};
use crate::store::large::finished;
use crate::store::{Blob, BlobNo, BookNo, DeviceNo, Direction, MapState, PartialRow, Result, Tx};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// What is taken of large objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct LargeLimits {
    /// The largest object, in bytes.
    pub object: u64,
    /// The largest contact, which is looked at as a whole, in bytes.
    pub card: u64,
    /// What all large contents of an account may take together, in bytes.
    pub account: u64,
    /// What the book takes.
    pub book: BookRoom,
}

impl LargeLimits {
    /// The largest object of a kind, in bytes: what is announced as MaxObjSize.
    pub(super) const fn object_of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Contact if self.card < self.object => self.card,
            _ => self.object,
        }
    }
}

/// What a book takes of new content, in bytes: now, and if it were empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookRoom {
    pub now: u64,
    pub ever: u64,
}

impl BookRoom {
    /// No limit.
    pub(super) const ENDLESS: Self = Self { now: u64::MAX, ever: u64::MAX };
}

/// What became of an item that may be a chunk.
pub(super) enum Taken<'m> {
    /// It is none.
    Plain,
    /// It is one, and not the last.
    Chunk,
    /// It was the last.
    Whole(Box<Whole<'m>>),
    /// It was the last in an earlier session, where this was the answer.
    Answered(StatusCode),
    /// It cannot be taken.
    Refused(StatusCode),
}

/// An object of which all chunks are there.
pub(super) struct Whole<'m> {
    /// The item, with its data as they were before any Format; of large content the beginning.
    pub item: Item<'m>,
    /// Where large content is, and its fingerprint.
    pub blob: Option<(Blob, [u8; 16])>,
    /// What is kept of it, with the answer.
    pub ended: Ended,
}

impl Whole<'_> {
    /// What was read of the item, with the whole of its content in the place of the beginning.
    pub(super) fn complete<'m>(&self, content: Content<'m>) -> Content<'m> {
        match self.blob {
            Some((blob, print)) => Content { blob: Some(blob), print, ..content },
            None => content,
        }
    }
}

/// An object that ended, complete or refused.
pub(super) struct Ended(PartialRow);

impl Ended {
    /// `row` has the last chunk, which is these bytes.
    fn of(row: PartialRow, bytes: &[u8]) -> Self {
        let meta = Sha256::digest(bytes).to_vec();
        Self(PartialRow { meta, blob: BlobNo::NONE, ..row })
    }

    /// Keeps the answer.
    pub(super) fn keep(self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo, code: StatusCode) -> Result<()> {
        tx.put_partial(device, book, &PartialRow { last_status: Some(code.0), ..self.0 })
    }
}

/// Goes on with what an earlier session left.
pub(super) fn resume(tx: &mut dyn Tx, device: DeviceNo, store: &mut StoreState) -> Result<()> {
    let left = tx.partial(device, store.book, Direction::In)?;
    store.large_resumed = left.is_some();
    store.large_in = left.is_some_and(|row| row.last_status.is_none());
    Ok(())
}

/// What the first chunk says for all of them, and how far the bytes are read.
#[derive(Serialize, Deserialize)]
struct Said {
    format: Option<String>,
    media_type: Option<String>,
    field_level: bool,
    /// Bytes in the store, and what waits for the rest of its four characters.
    read: Read,
    /// The same before the last chunk.
    before: Read,
}

/// How far an object's bytes are read and, where they are base64, undone.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Read {
    len: u64,
    /// Characters of base64 that a chunk's boundary has cut off from the rest of their four (§3.8).
    cut: String,
    /// Padding has come: nothing can follow.
    ended: bool,
}

impl Said {
    /// The bytes of a chunk as they are to be kept; `None` when they are no base64 although they should be.
    fn read<'b>(&mut self, bytes: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        self.before = self.read.clone();
        let kept = match self.format.as_deref() {
            format if is_b64(format) => Cow::Owned(self.read.unpack(bytes)?),
            _ => Cow::Borrowed(bytes),
        };
        self.read.len += kept.len() as u64;
        Some(kept)
    }
}

impl Read {
    fn unpack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut packed = std::mem::take(&mut self.cut).into_bytes();
        packed.extend(bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()));
        if self.ended && !packed.is_empty() {
            return None;
        }
        let whole = packed.len() / 4 * 4;
        self.cut = String::from_utf8(packed.split_off(whole)).ok()?;
        self.ended |= packed.last() == Some(&b'=');
        STANDARD.decode(packed).ok()
    }
}

/// An item of a change that may be a chunk, and the Meta of the Sync around it.
struct Chunk<'c, 'm> {
    change: &'c Change<'m>,
    item: &'c Item<'m>,
    sync: Option<&'c Meta<'m>>,
}

impl<'c, 'm> Chunk<'c, 'm> {
    fn said<T>(&self, read: impl Fn(&'c Meta<'_>) -> Option<T>) -> Option<T> {
        scoped(self.item, self.change, self.sync, read)
    }

    /// The size that is declared, in bytes.
    fn size(&self) -> Option<u64> {
        self.said(|meta| meta.size)
    }

    /// Where in the object it begins, if it says so.
    fn at(&self) -> Option<u64> {
        self.said(|meta| meta.emi.iter().find_map(|emi| datapos(emi)))
    }

    fn format(&self) -> Option<&'c str> {
        self.said(|meta| meta.format.as_deref())
    }

    fn is_of(&self, row: &PartialRow) -> bool {
        row.op == self.change.op && row.uri == uri(self.item)
    }

    /// The answer to the last chunk of an object, if this is that chunk once more: a peer that did not get the answer says the
    /// chunk's position, the size of what remains, or nothing.
    fn said_again(&self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo) -> Result<Option<StatusCode>> {
        let row = tx.partial(device, book, Direction::In)?.filter(|row| self.is_of(row));
        let Some((row, code)) = row.and_then(|row| row.last_status.map(|code| (row, StatusCode(code)))) else {
            return Ok(None);
        };
        let (item, size) = (self.item, self.size());
        let from = row.received.saturating_sub(row.unconfirmed);
        let same = !item.more_data && row.meta == *Sha256::digest(data(item));
        Ok(match self.at() {
            Some(at) => (at > 0 && at == from).then_some(code),
            None if same => Some(code),
            // The beginning of it, as far as this message had room; or another object of just that size, which comes whole then.
            None if item.more_data && size.is_some() && size == row.declared.checked_sub(from) => {
                Some(StatusCode::PARTIAL_NOT_ACCEPTED)
            }
            None => None,
        })
    }
}

/// Takes an item of a change if it is a chunk, or ends a chunked object.
pub(super) fn take<'m>(
    tx: &mut dyn Tx,
    device: DeviceNo,
    store: &mut StoreState,
    limits: &LargeLimits,
    change: &Change<'m>,
    item: &Item<'m>,
    sync: Option<&Meta<'m>>,
) -> Result<Taken<'m>> {
    let chunk = Chunk { change, item, sync };
    if store.large_in
        && let Some(taken) = go_on(tx, device, store, &chunk)?
    {
        return Ok(taken);
    }
    if std::mem::take(&mut store.large_resumed)
        && let Some(code) = chunk.said_again(tx, device, store.book)?
    {
        return Ok(Taken::Answered(code));
    }
    if chunk.at().is_some_and(|at| at > 0) {
        return Ok(Taken::Refused(StatusCode::PARTIAL_NOT_ACCEPTED));
    }
    if !item.more_data {
        return Ok(Taken::Plain);
    }
    begin(tx, device, store, limits, &chunk)
}

/// The next chunk of the object that is coming; `None` if this begins something else.
fn go_on<'m>(
    tx: &mut dyn Tx,
    device: DeviceNo,
    store: &mut StoreState,
    chunk: &Chunk<'_, 'm>,
) -> Result<Option<Taken<'m>>> {
    let (at, size) = (chunk.at(), chunk.size());
    let first = std::mem::take(&mut store.large_resumed);
    let row = tx.partial(device, store.book, Direction::In)?;
    match row.filter(|row| chunk.is_of(row)) {
        // The same from its beginning; but some senders say the size with every chunk.
        Some(row) if at == Some(0) || (first && at.is_none() && size == Some(row.declared)) => Ok(None),
        Some(row) => match Object::resumed(tx, row, at, size.filter(|_| first))? {
            Some(object) => object.go_on(tx, device, store, chunk.item).map(Some),
            None => {
                store.large_in = false;
                discard(tx, device, store.book)?;
                Ok(Some(Taken::Refused(StatusCode::PARTIAL_NOT_ACCEPTED)))
            }
        },
        // Who goes on with something else begins the object anew.
        None if first => give_up(tx, device, store).map(|()| None),
        // Something else came before the end: the sender is told, and what was there is forgotten (223).
        None => forget(tx, device, store).map(|()| None),
    }
}

/// The first chunk of an object, if there is room for all of it.
fn begin<'m>(
    tx: &mut dyn Tx,
    device: DeviceNo,
    store: &mut StoreState,
    limits: &LargeLimits,
    chunk: &Chunk<'_, 'm>,
) -> Result<Taken<'m>> {
    let (book, uri, bytes) = (store.book, uri(chunk.item), data(chunk.item));
    let Some(declared) = chunk.size() else { return Ok(Taken::Refused(StatusCode::SIZE_REQUIRED)) };
    let max = limits.object_of(book.kind());
    let undone = if is_b64(chunk.format()) { declared / 4 * 3 } else { declared };
    if declared > max || bytes.len() as u64 > max || undone > limits.book.ever {
        return Ok(Taken::Refused(StatusCode::SIZE_TOO_BIG));
    }
    // In a sync of everything, and under an id that is known, it may be here already.
    if chunk.change.op == Op::Add
        && undone > limits.book.now
        && store.old_epoch.is_none()
        && is_unknown(tx, device, store, uri)?
    {
        store.received.refused += 1;
        return Ok(Taken::Refused(StatusCode::DEVICE_FULL));
    }
    discard(tx, device, book)?;
    if declared > limits.account.saturating_sub(tx.blob_bytes()?) {
        return Ok(Taken::Refused(StatusCode::DEVICE_FULL));
    }
    let mut said = Said {
        format: chunk.format().map(str::to_owned),
        media_type: chunk.said(|meta| meta.media_type.as_deref()).map(str::to_owned),
        field_level: chunk.said(|meta| meta.field_level.then_some(())).is_some(),
        read: Read::default(),
        before: Read::default(),
    };
    let Some(kept) = said.read(bytes) else { return Ok(Taken::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE)) };
    let row = PartialRow {
        direction: Direction::In,
        uri: uri.to_owned(),
        op: chunk.change.op,
        meta: Vec::new(),
        declared,
        received: bytes.len() as u64,
        unconfirmed: bytes.len() as u64,
        blob: tx.append_blob(None, &kept)?,
        last_status: None,
    };
    Object { row, said }.keep(tx, device, book)?;
    store.large_in = true;
    Ok(Taken::Chunk)
}

/// Whether the map in force has nothing under an id.
fn is_unknown(tx: &mut dyn Tx, device: DeviceNo, store: &StoreState, uri: &str) -> Result<bool> {
    let entries = tx.maps_by_luid(device, store.book, store.epoch, &[uri])?;
    Ok(entries.iter().flatten().all(|entry| entry.state == MapState::Gone))
}

/// The position in an `EMI` element.
fn datapos(emi: &str) -> Option<u64> {
    emi.trim().strip_prefix("datapos=")?.parse().ok()
}

/// An object that is coming: what is kept between two chunks. Its bytes are in the store.
struct Object {
    row: PartialRow,
    said: Said,
}

impl Object {
    /// Where a resumed object goes on: some senders say the position (`EMI`), some declare the size of what remains, and
    /// either may begin with the chunk whose Status they did not get. `None` when it fits to nothing that is here.
    fn resumed(tx: &mut dyn Tx, mut row: PartialRow, at: Option<u64>, size: Option<u64>) -> Result<Option<Self>> {
        let Ok(mut said) = serde_json::from_slice::<Said>(&row.meta) else { return Ok(None) };
        let most = i64::MAX as u64;
        let plausible = row.unconfirmed <= row.received && row.received <= row.declared;
        if !plausible || row.declared > most || said.read.len > most || said.before.len > most {
            return Ok(None);
        }
        let from = match (at, size) {
            (Some(at), _) => Some(at),
            (None, Some(rest)) => row.declared.checked_sub(rest),
            (None, None) => Some(row.received),
        };
        match from {
            Some(from) if from == row.received => {}
            Some(from) if from == row.received - row.unconfirmed => {
                (row.received, row.unconfirmed) = (from, 0);
                said.read = said.before.clone();
                tx.cut_blob(row.blob, said.read.len)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(Self { row, said }))
    }

    /// Takes the next chunk.
    fn go_on<'m>(
        mut self,
        tx: &mut dyn Tx,
        device: DeviceNo,
        store: &mut StoreState,
        item: &Item<'m>,
    ) -> Result<Taken<'m>> {
        let bytes = data(item);
        self.row.received += bytes.len() as u64;
        self.row.unconfirmed = bytes.len() as u64;
        let ended = self.row.clone();
        let mut refuse = |tx: &mut dyn Tx, code| {
            store.large_in = false;
            discard(tx, device, store.book)?;
            Ended::of(ended.clone(), bytes).keep(tx, device, store.book, code)?;
            Ok(Taken::Refused(code))
        };
        if self.row.received > self.row.declared {
            return refuse(tx, StatusCode::SIZE_MISMATCH);
        }
        let Some(kept) = self.said.read(bytes) else { return refuse(tx, StatusCode::UNSUPPORTED_MEDIA_TYPE) };
        tx.append_blob(Some(self.row.blob), &kept)?;
        if item.more_data {
            self.keep(tx, device, store.book)?;
            return Ok(Taken::Chunk);
        }
        // Conformance testers declare one byte more than they send, and want it taken.
        if self.row.declared - self.row.received > 1 {
            return refuse(tx, StatusCode::SIZE_MISMATCH);
        }
        if !self.said.read.cut.is_empty() {
            return refuse(tx, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        store.large_in = false;
        tx.drop_partial(device, store.book, Direction::In)?;
        self.end(tx, store.book, item, bytes)
    }

    /// The object is complete: large content stays where it is, other content is read.
    fn end<'m>(self, tx: &mut dyn Tx, book: BookNo, item: &Item<'m>, last: &[u8]) -> Result<Taken<'m>> {
        let (bytes, blob) = if is_large(book.kind(), self.said.read.len) {
            let (beginning, blob, print) = finished(tx, self.row.blob)?;
            (beginning, Some((blob, print)))
        } else {
            let all = tx.read_blob(self.row.blob, 0, usize::try_from(self.said.read.len).unwrap_or(usize::MAX))?;
            tx.drop_blobs(&[self.row.blob])?;
            (all, None)
        };
        let media_type = self.said.media_type.map(Into::into);
        let field_level = self.said.field_level;
        let item = Item {
            target: item.target.clone(),
            source: item.source.clone(),
            source_parent: item.source_parent.clone(),
            target_parent: item.target_parent.clone(),
            meta: Some(Meta { format: Some("bin".into()), media_type, field_level, ..Meta::default() }),
            data: Some(Data::Bytes(Cow::Owned(bytes))),
            ..Item::default()
        };
        let ended = Ended::of(self.row, last);
        Ok(Taken::Whole(Box::new(Whole { item, blob, ended })))
    }

    fn keep(mut self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo) -> Result<()> {
        self.row.meta = serde_json::to_vec(&self.said).unwrap_or_default();
        tx.put_partial(device, book, &self.row)
    }
}

/// Drops what is there of an object, if there is one.
pub(super) fn discard(tx: &mut dyn Tx, device: DeviceNo, book: BookNo) -> Result<()> {
    match tx.partial(device, book, Direction::In)? {
        None => Ok(()),
        Some(row) => {
            tx.drop_partial(device, book, Direction::In)?;
            tx.drop_blobs(&[row.blob])
        }
    }
}

/// Drops what an earlier session left: the peer does not go on with it.
pub(super) fn give_up(tx: &mut dyn Tx, device: DeviceNo, store: &mut StoreState) -> Result<()> {
    (store.large_in, store.large_resumed) = (false, false);
    discard(tx, device, store.book)
}

/// Drops the large contents of a message's objects that became no item's: they were there already, or were refused.
pub(super) fn drop_unused(tx: &mut dyn Tx, blobs: &[BlobNo]) -> Result<()> {
    if blobs.is_empty() { Ok(()) } else { tx.drop_blobs(blobs) }
}

/// Forgets an object that will not be completed, and notes that the sender is to be told.
pub(super) fn forget(tx: &mut dyn Tx, device: DeviceNo, store: &mut StoreState) -> Result<()> {
    if std::mem::take(&mut store.large_in) {
        store.broken = tx.partial(device, store.book, Direction::In)?.map(|row| row.uri);
        discard(tx, device, store.book)?;
    }
    Ok(())
}

fn data<'i>(item: &'i Item<'_>) -> &'i [u8] {
    item.data.as_ref().and_then(Data::as_bytes).unwrap_or_default()
}

fn uri<'i>(item: &'i Item<'_>) -> &'i str {
    let place = |place: &'i Option<crate::message::Location<'_>>| place.as_ref().map(|place| &*place.uri);
    place(&item.source).filter(|uri| !uri.is_empty()).or_else(|| place(&item.target)).unwrap_or_default()
}
