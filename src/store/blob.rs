//! How the stores keep a large content: in pieces of [`LARGE`] bytes of which the last may be shorter, each with the
//! state of the fingerprint before it. So appending, cutting and reading touch only the pieces concerned, and the
//! fingerprint of it all is at hand whenever it ends.

use super::BlobRow;
use crate::contact::identity::{LARGE, LargePrint};

/// A piece.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Piece {
    /// Its place, from 0.
    pub seq: i64,
    /// The fingerprint's state before it.
    pub before: LargePrint,
    /// Its bytes.
    #[serde(with = "super::written::binary")]
    pub bytes: Vec<u8>,
}

impl Piece {
    /// What the content is that ends with this piece.
    pub(super) fn end(&self) -> BlobRow {
        let len = self.seq.cast_unsigned() * LARGE as u64 + self.bytes.len() as u64;
        BlobRow { len, print: self.before.end(&self.bytes, len).0 }
    }

    /// The piece that follows this one, which is full.
    fn next(&self) -> Self {
        Self { seq: self.seq + 1, before: self.before.after(&self.bytes), bytes: Vec::new() }
    }
}

/// The pieces to write when bytes are appended to a content that ends with `last`: that one as it will be, if it takes
/// some, and those behind it. A new content has a piece, if only an empty one.
pub(super) fn append(last: Option<Piece>, bytes: &[u8]) -> impl Iterator<Item = Piece> {
    let mut rest = bytes;
    let mut piece = match last {
        Some(_) if rest.is_empty() => None,
        Some(last) if last.bytes.len() >= LARGE => Some(last.next()),
        last => Some(last.unwrap_or_default()),
    };
    std::iter::from_fn(move || {
        let mut now = piece.take()?;
        let (bytes, later) = rest.split_at(rest.len().min(LARGE.saturating_sub(now.bytes.len())));
        now.bytes.extend_from_slice(bytes);
        rest = later;
        piece = (!rest.is_empty()).then(|| now.next());
        Some(now)
    })
}

/// The piece that holds the last byte of a content of that length, and how many of its bytes that takes.
pub(super) const fn last_of(len: u64) -> (i64, usize) {
    let seq = len.saturating_sub(1) / LARGE as u64;
    (seq.cast_signed(), (len - seq * LARGE as u64) as usize)
}

/// Where an offset is: its piece, and the place in it.
pub(super) const fn place(from: u64) -> (i64, usize) {
    ((from / LARGE as u64).cast_signed(), (from % LARGE as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::identity::{Kind, identify};

    #[test]
    fn chunks_do_not_matter() {
        for length in [LARGE + 1, 2 * LARGE, 2 * LARGE + 1, 3 * LARGE] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            for chunk in [1_000, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE, length] {
                let mut pieces: Vec<Piece> = append(None, b"").collect();
                assert_eq!(pieces, [Piece::default()]);
                for chunk in content.chunks(chunk) {
                    for piece in append(pieces.last().cloned(), chunk) {
                        pieces.truncate(piece.seq as usize);
                        pieces.push(piece);
                    }
                }
                let end = pieces.last().unwrap().end();
                assert_eq!(end.len, length as u64, "{length} in {chunk}");
                assert_eq!(end.print, identify(Kind::File, &content).fingerprint.0, "{length} in {chunk}");
                assert!(pieces.iter().rev().skip(1).all(|piece| piece.bytes.len() == LARGE));
                assert_eq!(pieces.iter().flat_map(|piece| piece.bytes.clone()).collect::<Vec<_>>(), content);
                assert_eq!(last_of(end.len), (pieces.len() as i64 - 1, pieces.last().unwrap().bytes.len()));
            }
        }
        assert_eq!((last_of(0), last_of(1)), ((0, 0), (0, 1)));
        assert_eq!(append(Some(Piece::default()), b"").count(), 0);
    }
}
