//! Large contents, a row for each piece.

use super::super::blob::{Piece, append, last_of, place};
use super::super::*;
use super::failure::OrFailure;
use super::rows;
use super::tx::SqliteTx;
use crate::contact::identity::LARGE;

const LAST: &str = "SELECT seq, before, bytes FROM blob WHERE account = ?1 AND blob = ?2 ORDER BY seq DESC LIMIT 1";

impl SqliteTx<'_> {
    pub(super) fn append_blob(&self, blob: Option<BlobNo>, bytes: &[u8]) -> Result<BlobNo> {
        let (blob, last) = match blob {
            Some(blob) => (blob, self.last_piece(blob)?),
            None => {
                let next = "SELECT ifnull(max(blob), 0) + 1 FROM blob WHERE account = ?1";
                (BlobNo(self.one(next, [self.account], |row| row.get(0))?.unwrap_or(1)), None)
            }
        };
        append(last, bytes).try_for_each(|piece| self.put_piece(blob, &piece))?;
        Ok(blob)
    }

    pub(super) fn blob(&self, blob: BlobNo) -> Result<Option<BlobRow>> {
        Ok(self.last_piece(blob)?.map(|last| last.end()))
    }

    pub(super) fn read_blob(&self, blob: BlobNo, from: u64, limit: usize) -> Result<Vec<u8>> {
        const PIECES: &str =
            "SELECT bytes FROM blob WHERE account = ?1 AND blob = ?2 AND seq >= ?3 AND seq <= ?4 ORDER BY seq";
        let (first, mut skip) = place(from);
        let (last, _) = place(from.saturating_add(limit as u64));
        let mut bytes = Vec::with_capacity(limit.min(LARGE));
        let mut select = self.prepare(PIECES)?;
        let mut rows = select.query((self.account, blob.0, first, last)).or_failure()?;
        while let Some(row) = rows.next().or_failure()? {
            let piece = row.get_ref(0).and_then(|bytes| Ok(bytes.as_blob()?)).or_failure()?;
            let piece = piece.get(std::mem::take(&mut skip)..).unwrap_or_default();
            bytes.extend_from_slice(&piece[..piece.len().min(limit - bytes.len())]);
        }
        Ok(bytes)
    }

    pub(super) fn cut_blob(&self, blob: BlobNo, len: u64) -> Result<()> {
        const PIECE: &str = "SELECT seq, before, bytes FROM blob WHERE account = ?1 AND blob = ?2 AND seq = ?3";
        let (seq, keep) = last_of(len);
        self.run("DELETE FROM blob WHERE account = ?1 AND blob = ?2 AND seq > ?3", (self.account, blob.0, seq))?;
        if let Some(mut piece) = self.one(PIECE, (self.account, blob.0, seq), rows::piece)? {
            piece.bytes.truncate(keep);
            self.put_piece(blob, &piece)?;
        }
        Ok(())
    }

    // The plus: else a slot's affinity would keep it from being looked up by.
    pub(super) fn drop_blobs(&self, blobs: &[BlobNo]) -> Result<()> {
        const DROP: &str = "DELETE FROM blob WHERE account = ?1 AND blob = ?2
              AND NOT EXISTS (SELECT 1 FROM book AS b CROSS JOIN item AS i WHERE b.account = ?1
                               AND i.place >> 36 = +b.slot AND i.blob = ?2)
              AND NOT EXISTS (SELECT 1 FROM book AS b CROSS JOIN revision AS r WHERE b.account = ?1
                               AND r.place >> 36 = +b.slot AND r.blob = ?2)
              AND NOT EXISTS (SELECT 1 FROM staged WHERE account = ?1 AND blob = ?2)
              AND NOT EXISTS (SELECT 1 FROM partial WHERE account = ?1 AND blob = ?2)";
        blobs.iter().try_for_each(|blob| self.run(DROP, (self.account, blob.0)).map(drop))
    }

    pub(super) fn blob_bytes(&self) -> Result<u64> {
        let pieces = self.one("SELECT count(*) FROM blob WHERE account = ?1", [self.account], |row| row.get(0))?;
        Ok(pieces.unwrap_or(0_i64).cast_unsigned() * LARGE as u64)
    }

    /// The large contents of staged rows that are about to go. Hardly any has one: they are looked for only where there are
    /// some.
    pub(super) fn staged_blobs<P: rusqlite::Params>(
        &self,
        sql: &str,
        which: impl Iterator<Item = P>,
    ) -> Result<Vec<BlobNo>> {
        const ANY: &str = "SELECT 1 FROM staged WHERE account = ?1 AND blob IS NOT NULL LIMIT 1";
        if self.one(ANY, [self.account], |_| Ok(()))?.is_none() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for which in which {
            found.extend(self.one(sql, which, |row| row.get::<_, Option<i64>>(0))?.flatten().map(BlobNo));
        }
        Ok(found)
    }

    fn last_piece(&self, blob: BlobNo) -> Result<Option<Piece>> {
        self.one(LAST, (self.account, blob.0), rows::piece)
    }

    fn put_piece(&self, blob: BlobNo, piece: &Piece) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO blob (account, blob, seq, before, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.run(sql, (self.account, blob.0, piece.seq, piece.before.0, &piece.bytes)).map(drop)
    }
}
