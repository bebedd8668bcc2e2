//! Large contents, piece by piece.

use super::super::blob::{append, last_of, place};
use super::super::*;
use super::tables::{Changes, Tables};
use super::tx::MemoryTx;
use crate::contact::identity::LARGE;
use std::ops::Bound::{Included, Unbounded};

impl MemoryTx<'_> {
    pub(super) fn append_blob(&mut self, blob: Option<BlobNo>, bytes: &[u8]) -> Result<BlobNo> {
        Ok(self.with(|tables, changes| {
            let blob = blob.unwrap_or_else(|| BlobNo(tables.next_number()));
            let last = changes.blobs.scan(&tables.blobs, Included((blob, 0)), Included((blob, i64::MAX))).last();
            let last = last.map(|(_, piece)| piece.clone());
            append(last, bytes).for_each(|piece| changes.blobs.put((blob, piece.seq), piece));
            blob
        }))
    }

    pub(super) fn blob(&mut self, blob: BlobNo) -> Result<Option<BlobRow>> {
        Ok(self.with(|tables, changes| {
            let pieces = changes.blobs.scan(&tables.blobs, Included((blob, 0)), Included((blob, i64::MAX)));
            pieces.last().map(|(_, last)| last.end())
        }))
    }

    pub(super) fn read_blob(&mut self, blob: BlobNo, from: u64, limit: usize) -> Result<Vec<u8>> {
        Ok(self.with(|tables, changes| {
            let ((first, skip), (last, _)) = (place(from), place(from.saturating_add(limit as u64)));
            let pieces = changes.blobs.scan(&tables.blobs, Included((blob, first)), Included((blob, last)));
            let mut bytes = Vec::with_capacity(limit.min(LARGE));
            for (at, (_, piece)) in pieces.enumerate() {
                let piece = piece.bytes.get(if at == 0 { skip } else { 0 }..).unwrap_or_default();
                bytes.extend_from_slice(&piece[..piece.len().min(limit - bytes.len())]);
            }
            bytes
        }))
    }

    pub(super) fn cut_blob(&mut self, blob: BlobNo, len: u64) -> Result<()> {
        self.with(|tables, changes| {
            let (seq, keep) = last_of(len);
            remove_pieces(tables, changes, blob, seq + 1);
            if let Some(mut piece) = changes.blobs.get(&tables.blobs, &(blob, seq)).cloned() {
                piece.bytes.truncate(keep);
                changes.blobs.put((blob, seq), piece);
            }
        });
        Ok(())
    }

    pub(super) fn drop_blobs(&mut self, blobs: &[BlobNo]) -> Result<()> {
        self.with(|tables, changes| {
            for blob in blobs {
                if !is_referred_to(tables, changes, *blob) {
                    remove_pieces(tables, changes, *blob, 0);
                }
            }
        });
        Ok(())
    }

    /// Drops the large contents of rows that are gone.
    pub(super) fn drop_removed(&mut self, blobs: &[Blob]) -> Result<()> {
        self.drop_blobs(&blobs.iter().map(|blob| blob.no).collect::<Vec<_>>())
    }

    pub(super) fn blob_bytes(&mut self) -> Result<u64> {
        Ok(self.with(|tables, changes| {
            changes.blobs.scan(&tables.blobs, Unbounded, Unbounded).count() as u64 * LARGE as u64
        }))
    }
}

fn remove_pieces(tables: &Tables, changes: &mut Changes, blob: BlobNo, from: i64) {
    let pieces = changes.blobs.scan(&tables.blobs, Included((blob, from)), Included((blob, i64::MAX)));
    for key in pieces.map(|(key, _)| *key).collect::<Vec<_>>() {
        changes.blobs.remove(key);
    }
}

/// Looks through all rows: there is no index, and large contents are few.
fn is_referred_to(tables: &Tables, changes: &Changes, blob: BlobNo) -> bool {
    let is_it = |found: Option<Blob>| found.is_some_and(|found| found.no == blob);
    changes.items.scan(&tables.items, Unbounded, Unbounded).any(|(_, row)| is_it(row.blob))
        || changes.superseded.scan(&tables.superseded, Unbounded, Unbounded).any(|(_, row)| is_it(row.blob))
        || changes.staged.scan(&tables.staged, Unbounded, Unbounded).any(|(_, row)| is_it(row.blob))
        || changes.partials.scan(&tables.partials, Unbounded, Unbounded).any(|(_, row)| row.blob == blob)
}
