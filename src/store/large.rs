//! Large contents from and to the host, in pieces: nothing here ever holds one as a whole.
//!
//! Content of other kinds than contacts that is longer than [`LARGE`] is kept in pieces ([`Tx::append_blob`]); its row has
//! its beginning only, for names and keys. What [`BookWriter`] is given whole it brings there by itself; a host that does
//! not want to hold it uses [`put`], and [`Reader`] to have it back.
//!
//! What is bounded by what: a sync holds a message and a few copies of it, whatever the size of an object (§3.8), plus a
//! page of rows with contents of at most [`LARGE`] bytes – but for contacts, which are read whole and have a limit of
//! their own (`max_card_size` of the configurations). An account's large contents together are bounded by
//! `max_large_bytes` of a server. A superseded content stays as long as its revision does, and counts.

use super::{
    AccountNo, Blob, BlobNo, BookNo, BookWriter, Draft, Guid, ItemRow, Result, Store, StoreError, Tx, Verdict,
};
use crate::contact::identity::{HEAD, Kind, LARGE, LargePrint, identify};
use crate::message::Timestamp;
use std::borrow::Cow;
use std::io::{self, Read, Seek};
use thiserror::Error;

/// Why a content was not stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PutError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source failed.
    #[error("the content cannot be read: {0}")]
    Source(#[from] io::Error),
    /// Contacts are looked at as a whole: they are written with [`BookWriter`].
    #[error("a contact is not stored in pieces")]
    Contact,
    /// There is no item of that number, or it is deleted.
    #[error("there is no item {0}")]
    NotFound(Guid),
}

/// Stores what `source` holds, from its beginning to its end, as a new item of `book` or as the new content of `item`, in
/// one step. The step reads the source: other writers of the store may wait for it.
///
/// # Errors
/// [`PutError`]; nothing was stored then.
pub fn put(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    item: Option<Guid>,
    media_type: Option<&str>,
    source: &mut (impl Read + Seek),
    now: Timestamp,
) -> std::result::Result<Guid, PutError> {
    if book.kind() == Kind::Contact {
        return Err(PutError::Contact);
    }
    let mut outcome = Err(PutError::Store(StoreError::Failed("the step did not run".to_owned())));
    store.step(account, &mut |tx| {
        outcome = put_in(tx, book, item, media_type, source, now);
        match &outcome {
            Ok(_) => Ok(Verdict::Commit),
            Err(PutError::Store(error)) => Err(error.clone()),
            Err(_) => Ok(Verdict::Rollback),
        }
    })?;
    outcome
}

fn put_in(
    tx: &mut dyn Tx,
    book: BookNo,
    item: Option<Guid>,
    media_type: Option<&str>,
    source: &mut (impl Read + Seek),
    now: Timestamp,
) -> std::result::Result<Guid, PutError> {
    source.rewind()?;
    let row =
        tx.lock_books(&[book])?.pop().ok_or_else(|| StoreError::Corrupt("a locked book has no row".to_owned()))?;
    let old = match item {
        None => None,
        Some(guid) => {
            let old = tx.items(book, &[guid])?.pop().flatten().filter(|old| !old.deleted);
            Some(old.ok_or(PutError::NotFound(guid))?)
        }
    };
    let mut piece = Vec::with_capacity(LARGE + 1);
    source.take(LARGE as u64 + 1).read_to_end(&mut piece)?;
    let mut draft = if piece.len() <= LARGE {
        Draft::of(book, piece)
    } else {
        let mut blob = None;
        while !piece.is_empty() {
            blob = Some(tx.append_blob(blob, &piece)?);
            piece.clear();
            source.take(LARGE as u64).read_to_end(&mut piece)?;
        }
        large_draft(tx, book.kind(), blob.unwrap_or_default())?
    };
    draft.media_type = media_type.map(|media_type| Cow::Owned(media_type.to_owned()));
    let mut writer = BookWriter::new(row, None, now);
    let guid = match &old {
        None => writer.add(draft).guid,
        Some(old) => writer.replace(old, draft).guid,
    };
    writer.flush(tx)?;
    Ok(guid)
}

/// The draft of an item whose content is in the store already.
pub(super) fn large_draft(tx: &mut dyn Tx, kind: Kind, blob: BlobNo) -> Result<Draft<'static>> {
    let (content, blob, fingerprint) = finished(tx, blob)?;
    let keys = identify(kind, &content).keys.iter().map(|key| key.0).collect();
    Ok(Draft { content: content.into(), blob: Some(blob), fingerprint, keys, ..Draft::default() })
}

/// What a row has of a large content: its beginning, where it is, and its fingerprint.
pub(crate) fn finished(tx: &mut dyn Tx, blob: BlobNo) -> Result<(Vec<u8>, Blob, [u8; 16])> {
    let row = tx.blob(blob)?.ok_or_else(|| missing(blob))?;
    Ok((tx.read_blob(blob, 0, HEAD)?, Blob { no: blob, len: row.len }, row.print))
}

/// Whether a row's content is just these bytes.
pub(super) fn is_just(tx: &mut dyn Tx, content: &[u8], blob: Option<Blob>, bytes: &[u8]) -> Result<bool> {
    match blob {
        None => Ok(content == bytes),
        Some(blob) if blob.len != bytes.len() as u64 => Ok(false),
        Some(blob) => Ok(tx.blob(blob.no)?.is_some_and(|row| row.print == LargePrint::of(bytes).0)),
    }
}

/// The whole of a row's content, for who cannot take it in pieces.
pub(super) fn whole(tx: &mut dyn Tx, content: Cow<'static, [u8]>, blob: Option<Blob>) -> Result<Cow<'static, [u8]>> {
    let Some(blob) = blob else { return Ok(content) };
    let bytes = tx.read_blob(blob.no, 0, usize::try_from(blob.len).unwrap_or(usize::MAX))?;
    if bytes.len() as u64 == blob.len { Ok(bytes.into()) } else { Err(missing(blob.no)) }
}

fn missing(blob: BlobNo) -> StoreError {
    StoreError::Corrupt(format!("the large content {blob} is not there"))
}

/// Reads an item's content in pieces, as it was when the reader was opened, whatever the item becomes meanwhile.
pub struct Reader<'s> {
    store: &'s dyn Store,
    account: AccountNo,
    item: ItemRow<'static>,
    at: u64,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("guid", &self.item.guid).field("at", &self.at).finish_non_exhaustive()
    }
}

impl<'s> Reader<'s> {
    /// Opens an item's content; `None` when there is no such item, or it is deleted.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn open(store: &'s dyn Store, account: AccountNo, book: BookNo, guid: Guid) -> Result<Option<Self>> {
        let mut found = None;
        store.look(account, &mut |tx| {
            found = tx.items(book, &[guid])?.pop().flatten().filter(|item| !item.deleted);
            Ok(())
        })?;
        Ok(found.map(|item| Self { store, account, item, at: 0 }))
    }

    /// The content's length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.item.content_len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item; of large content it has the beginning.
    #[must_use]
    pub const fn item(&self) -> &ItemRow<'static> {
        &self.item
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len() || buf.is_empty() {
            return Ok(0);
        }
        let mut read = Vec::new();
        let bytes = match self.item.blob {
            None => self.item.content.get(self.at as usize..).unwrap_or_default(),
            Some(blob) => {
                let limit = buf.len().min(LARGE);
                let look = self.store.look(self.account, &mut |tx| {
                    read = tx.read_blob(blob.no, self.at, limit)?;
                    Ok(())
                });
                look.map_err(io::Error::other)?;
                if read.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, missing(blob.no)));
                }
                &read
            }
        };
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        self.at += count as u64;
        Ok(count)
    }
}
