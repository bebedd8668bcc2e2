//! Large contents, a row for each piece.

use super::super::blob::{Piece, append, last_of, place};
use super::super::*;
use super::failure::OrFailure;
use super::rows;
use super::tx::PostgresTx;
use crate::contact::identity::LARGE;

const PUT: &str = "INSERT INTO blob (account, blob, seq, before, bytes)
     SELECT $1, $2, n.* FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS n
     ON CONFLICT (account, blob, seq) DO UPDATE SET before = excluded.before, bytes = excluded.bytes";

/// How many pieces go in one statement.
const PIECES: usize = 16;

impl PostgresTx<'_> {
    pub(super) fn append_blob(&mut self, blob: Option<BlobNo>, bytes: &[u8]) -> Result<BlobNo> {
        // The first, empty piece takes the number.
        const BEGIN: &str = "INSERT INTO blob (account, blob, seq, before, bytes)
             SELECT $1, coalesce((SELECT blob FROM blob WHERE account = $1 ORDER BY blob DESC LIMIT 1), 0) + 1, 0, $2, ''
             ON CONFLICT DO NOTHING RETURNING blob";
        let account = self.account;
        let (blob, last) = match blob {
            Some(blob) => (blob, self.last_piece(blob)?),
            None => {
                let before = &Piece::default().before.0[..];
                let made = self.one(BEGIN, &[&account, &before], |row| row.try_get(0).or_failure())?;
                (BlobNo(made.ok_or_else(|| self.overtaken("a large content"))?), None)
            }
        };
        let mut pieces = append(last, bytes).peekable();
        while pieces.peek().is_some() {
            self.put_pieces(blob, &pieces.by_ref().take(PIECES).collect::<Vec<_>>())?;
        }
        Ok(blob)
    }

    pub(super) fn blob(&mut self, blob: BlobNo) -> Result<Option<BlobRow>> {
        Ok(self.last_piece(blob)?.map(|last| last.end()))
    }

    pub(super) fn read_blob(&mut self, blob: BlobNo, from: u64, limit: usize) -> Result<Vec<u8>> {
        const PIECES: &str =
            "SELECT bytes FROM blob WHERE account = $1 AND blob = $2 AND seq >= $3 AND seq <= $4 ORDER BY seq";
        let (first, mut skip) = place(from);
        let (last, _) = place(from.saturating_add(limit as u64));
        let account = self.account;
        let mut bytes = Vec::with_capacity(limit.min(LARGE));
        for row in self.rows(PIECES, &[&account, &blob.0, &first, &last])? {
            let piece: &[u8] = row.try_get(0).or_failure()?;
            let piece = piece.get(std::mem::take(&mut skip)..).unwrap_or_default();
            bytes.extend_from_slice(&piece[..piece.len().min(limit - bytes.len())]);
        }
        Ok(bytes)
    }

    pub(super) fn cut_blob(&mut self, blob: BlobNo, len: u64) -> Result<()> {
        const PIECE: &str = "SELECT seq, before, bytes FROM blob WHERE account = $1 AND blob = $2 AND seq = $3";
        let account = self.account;
        let (seq, keep) = last_of(len);
        self.run("DELETE FROM blob WHERE account = $1 AND blob = $2 AND seq > $3", &[&account, &blob.0, &seq])?;
        if let Some(mut piece) = self.one(PIECE, &[&account, &blob.0, &seq], rows::piece)? {
            piece.bytes.truncate(keep);
            self.put_pieces(blob, &[piece])?;
        }
        Ok(())
    }

    pub(super) fn drop_blobs(&mut self, blobs: &[BlobNo]) -> Result<()> {
        const DROP: &str = "DELETE FROM blob AS b WHERE account = $1 AND blob = ANY ($2)
              AND NOT EXISTS (SELECT 1 FROM item AS i WHERE i.account = $1 AND i.blob = b.blob OFFSET 0)
              AND NOT EXISTS (SELECT 1 FROM revision AS r WHERE r.account = $1 AND r.blob = b.blob OFFSET 0)
              AND NOT EXISTS (SELECT 1 FROM staged AS s WHERE s.account = $1 AND s.blob = b.blob OFFSET 0)
              AND NOT EXISTS (SELECT 1 FROM partial AS p WHERE p.account = $1 AND p.blob = b.blob OFFSET 0)";
        if blobs.is_empty() {
            return Ok(());
        }
        let account = self.account;
        let blobs: Vec<i64> = blobs.iter().map(|blob| blob.0).collect();
        self.run(DROP, &[&account, &blobs]).map(drop)
    }

    pub(super) fn blob_bytes(&mut self) -> Result<u64> {
        let account = self.account;
        let count = "SELECT count(*) FROM blob WHERE account = $1";
        let pieces = self.one(count, &[&account], |row| row.try_get::<_, i64>(0).or_failure())?;
        Ok(pieces.unwrap_or(0).cast_unsigned() * LARGE as u64)
    }

    fn last_piece(&mut self, blob: BlobNo) -> Result<Option<Piece>> {
        const LAST: &str =
            "SELECT seq, before, bytes FROM blob WHERE account = $1 AND blob = $2 ORDER BY seq DESC LIMIT 1";
        let account = self.account;
        self.one(LAST, &[&account, &blob.0], rows::piece)
    }

    fn put_pieces(&mut self, blob: BlobNo, pieces: &[Piece]) -> Result<()> {
        let account = self.account;
        let seqs: Vec<i64> = pieces.iter().map(|piece| piece.seq).collect();
        let befores: Vec<&[u8]> = pieces.iter().map(|piece| &piece.before.0[..]).collect();
        let bytes: Vec<&[u8]> = pieces.iter().map(|piece| &piece.bytes[..]).collect();
        self.run(PUT, &[&account, &blob.0, &seqs, &befores, &bytes]).map(drop)
    }
}
