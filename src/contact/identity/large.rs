//! Identity of content that is too large to be looked at as a whole: a hash that is taken piece by piece, whatever the
//! chunks it came in, and match keys from its beginning.

use sha2::{Digest as _, Sha256};

use super::{Fingerprint, Kind};

/// Content of other kinds than contacts that is longer than this, in bytes, is taken as it is, byte for byte: its
/// fingerprint is that of [`LargePrint`], its keys and label are those of its [`head`]. It is also the length of the
/// pieces that are hashed.
pub const LARGE: usize = 64 * 1024;

/// How much of large content is looked at for keys and label, in bytes.
pub const HEAD: usize = 4 * 1024;

/// Whether content of that length is large.
pub fn is_large(kind: Kind, length: u64) -> bool {
    kind != Kind::Contact && length > LARGE as u64
}

/// The beginning of large content, for keys and label; of other content all of it.
pub fn head(kind: Kind, content: &[u8]) -> &[u8] {
    match is_large(kind, content.len() as u64) {
        true => &content[..HEAD],
        false => content,
    }
}

/// The fingerprint of large content, taken in pieces of [`LARGE`] bytes of which the last may be shorter. Its state is
/// 32 bytes that can be kept between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct LargePrint(pub [u8; 32]);

impl LargePrint {
    /// With one more whole piece.
    #[must_use]
    pub fn after(self, piece: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(piece).finalize().into())
    }

    /// With the last piece, and the length of it all in bytes.
    #[must_use]
    pub fn end(self, last: &[u8], length: u64) -> Fingerprint {
        let hash = Sha256::new().chain_update(b"syncml large 1").chain_update(self.0);
        Fingerprint::finish(hash.chain_update(last).chain_update(length.to_be_bytes()))
    }

    /// The fingerprint of large content that is in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Fingerprint {
        // The last piece is never empty, so that it does not matter in which chunks the content came.
        let whole = content.len().saturating_sub(1) / LARGE * LARGE;
        let (pieces, last) = content.split_at(whole);
        let state = pieces.chunks(LARGE).fold(Self::default(), Self::after);
        state.end(last, content.len() as u64)
    }
}

impl std::fmt::Debug for LargePrint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LargePrint(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{identify, may_be_an_edit};
    use super::*;

    #[test]
    fn what_is_large_depends_on_length_and_kind() {
        for (kind, length, large) in [
            (Kind::File, LARGE, false),
            (Kind::File, LARGE + 1, true),
            (Kind::Calendar, LARGE + 1, true),
            (Kind::Other, LARGE + 1, true),
            (Kind::Contact, LARGE * 9, false),
        ] {
            assert_eq!(is_large(kind, length as u64), large, "{kind:?} {length}");
            let expected = if large { HEAD } else { length };
            assert_eq!(head(kind, &vec![b'x'; length]).len(), expected, "{kind:?} {length}");
        }
    }

    #[test]
    fn every_byte_of_large_content_counts() {
        for length in [LARGE + 1, 2 * LARGE, 2 * LARGE + 1, 3 * LARGE - 1] {
            let content = vec![b'x'; length];
            let print = identify(Kind::File, &content).fingerprint;
            assert_eq!(print, LargePrint::of(&content));
            for at in [0, LARGE - 1, LARGE, length - 1] {
                let mut other = content.clone();
                other[at] = b'y';
                assert_ne!(identify(Kind::File, &other).fingerprint, print, "byte {at} of {length}");
            }
            assert_ne!(identify(Kind::File, &content[1..]).fingerprint, print, "one byte less than {length}");
        }
    }

    #[test]
    fn large_items_are_matched_by_their_beginning() {
        let named = |name: &str, fill: u8| {
            let mut file = format!("<File><name>{name}</name><body>").into_bytes();
            file.resize(LARGE * 2, fill);
            file
        };
        let (one, edited, other) = (named("a", b'x'), named("a", b'y'), named("b", b'x'));
        assert_eq!(identify(Kind::File, &one).keys, identify(Kind::File, &one[..HEAD]).keys);
        assert!(may_be_an_edit(Kind::File, &one, &edited));
        assert!(!may_be_an_edit(Kind::File, &one, &other));
    }
}
