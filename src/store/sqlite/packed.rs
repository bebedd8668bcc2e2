//! Contents packed as they are stored: raw deflate, with a dictionary of what most cards have in common.
//!
//! The first octet of what is stored is the number of the dictionary, for whose sake it can be read for ever; the rest is the
//! stream. Whether a row is packed is seen from its column `size`: the length of the content, where there is no large
//! content whose length it could be. So either kind is read whatever the option says, which is about writing alone.

use crate::contact::identity::LARGE;
use std::cell::RefCell;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// All dictionaries that there ever were, by their numbers from 1; the last one is written with. None ever changes.
const DICTIONARIES: &[&[u8]] = &[include_bytes!("../../../schemas/sqlite/dictionary_1.txt")];

/// Contents of these lengths are packed: of shorter ones nothing is gained, and longer ones are hardly cards.
const SHORTEST: usize = 48;
const LONGEST: usize = LARGE;

/// Fast: the next one gains an eighth of the length for twice the time.
const LEVEL: i32 = 1;
/// A window of 32 KB.
const WINDOW: u8 = 15;

/// What a step packs and unpacks with; made when it is needed.
#[derive(Default)]
pub(super) struct Packing {
    /// Whether what is written is packed.
    writes: bool,
    packer: RefCell<Option<Deflate>>,
    unpacker: RefCell<Option<Inflate>>,
}

/// Why what is stored cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("a packed content is to have {0} bytes")]
    Length(i64),
    #[error("a content is packed with dictionary {0:?}, which this release does not have")]
    Dictionary(Option<u8>),
    #[error("a packed content does not unpack to its length")]
    Stream,
}

impl Packing {
    pub(super) fn new(writes: bool) -> Self {
        Self { writes, ..Self::default() }
    }

    /// What is to be stored of a content; `None` where that is the content itself.
    pub(super) fn pack(&self, content: &[u8]) -> Option<Vec<u8>> {
        if !self.writes || !(SHORTEST..=LONGEST).contains(&content.len()) {
            return None;
        }
        let (number, dictionary) = (u8::try_from(DICTIONARIES.len()).ok()?, *DICTIONARIES.last()?);
        let mut packer = self.packer.borrow_mut();
        let packer = packer.get_or_insert_with(|| Deflate::new(LEVEL, false, WINDOW));
        packer.reset();
        packer.set_dictionary(dictionary).ok()?;
        // What does not fit into this gains nothing: its length is stored too.
        let mut stored = vec![number; content.len() - 4];
        let ended = packer.compress(content, &mut stored[1..], DeflateFlush::Finish).ok()?;
        stored.truncate(1 + usize::try_from(packer.total_out()).ok()?);
        (ended == Status::StreamEnd).then_some(stored)
    }

    /// The content of that length that was stored so.
    pub(super) fn unpack(&self, stored: &[u8], len: i64) -> Result<Vec<u8>, Damage> {
        let length = usize::try_from(len).ok().filter(|len| (SHORTEST..=LONGEST).contains(len));
        let length = length.ok_or(Damage::Length(len))?;
        let (number, stream) = stored.split_first().ok_or(Damage::Dictionary(None))?;
        let dictionary = usize::from(*number).checked_sub(1).and_then(|index| DICTIONARIES.get(index));
        let dictionary = dictionary.ok_or(Damage::Dictionary(Some(*number)))?;
        let mut unpacker = self.unpacker.borrow_mut();
        let unpacker = unpacker.get_or_insert_with(|| Inflate::new(false, WINDOW));
        unpacker.reset(false);
        unpacker.set_dictionary(dictionary).map_err(|_| Damage::Stream)?;
        let mut content = vec![0; length];
        match unpacker.decompress(stream, &mut content, InflateFlush::Finish) {
            Ok(Status::StreamEnd)
                if unpacker.total_out() == length as u64 && unpacker.total_in() == stream.len() as u64 =>
            {
                Ok(content)
            }
            _ => Err(Damage::Stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fmt::Write as _;

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lovelace;Ada;;;\r\nFN:Ada Lovelace\r\nTEL;TYPE=CELL:+441234567\r\n\
                        EMAIL:ada@analytical.example\r\nEND:VCARD\r\n";

    /// As it was stored with the first dictionary.
    const STORED: &str = "01c3ed1d3f2b1f60fb2d273139d5da312511e621205301268ee15813134323631353337358264a4c49740026d29cca12608593a3975a91980b6cb3a0380000";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn from_hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn what_was_stored_once_is_read_for_ever() {
        let prints: Vec<String> = DICTIONARIES.iter().map(|words| hex(&Sha256::digest(words))).collect();
        assert_eq!(
            prints,
            ["5357732097f0e3361de9e1f5a0799f82b0c60ed5476eb15d44a5c956e94de1a0"],
            "a dictionary never changes; append another"
        );
        let packing = Packing::new(false);
        assert_eq!(packing.unpack(&from_hex(STORED), CARD.len() as i64), Ok(CARD.as_bytes().to_vec()));
        let packed = Packing::new(true).pack(CARD.as_bytes()).unwrap();
        assert!(packed.len() * 5 < CARD.len() * 3, "{} of {}", packed.len(), CARD.len());
    }

    #[test]
    fn contents_come_back_one_after_another() {
        let packing = Packing::new(true);
        let noise = |len: usize| -> Vec<u8> {
            let mixed = |n: u64| (n ^ n >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
            (1..=len as u64).map(|n| mixed(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) as u8).collect()
        };
        for len in [0, 1, SHORTEST - 1, SHORTEST, 100, 1_000, 40_000, LONGEST, LONGEST + 1] {
            let inside = (SHORTEST..=LONGEST).contains(&len);
            for (content, packs) in
                [(vec![b'x'; len], true), (CARD.as_bytes().repeat(1 + len / 100), true), (noise(len), false)]
            {
                match packing.pack(&content) {
                    Some(stored) => {
                        assert!(packs && stored.len() + 3 < content.len(), "{len}");
                        assert_eq!(packing.unpack(&stored, content.len() as i64), Ok(content));
                    }
                    None => assert!(!packs || !inside || content.len() > LONGEST, "{len}"),
                }
            }
        }
        assert_eq!(Packing::new(false).pack(CARD.as_bytes()), None);
    }

    #[test]
    fn damage_is_told_and_nothing_allocated_for_it() {
        let packing = Packing::new(true);
        let (stored, len) = (packing.pack(CARD.as_bytes()).unwrap(), CARD.len() as i64);
        let other = [&[9][..], &stored[1..]].concat();
        let cut = &stored[..stored.len() - 1];
        let longer = [&stored[..], b"x"].concat();
        let cases: [(&[u8], i64, Damage); 11] = [
            (&stored[..], -1, Damage::Length(-1)),
            (&stored, i64::MAX, Damage::Length(i64::MAX)),
            (&stored, LONGEST as i64 + 1, Damage::Length(LONGEST as i64 + 1)),
            (&[], len, Damage::Dictionary(None)),
            (&[0, 1], len, Damage::Dictionary(Some(0))),
            (&other, len, Damage::Dictionary(Some(9))),
            (cut, len, Damage::Stream),
            (&longer, len, Damage::Stream),
            (&stored, len - 1, Damage::Stream),
            (&stored, len + 1, Damage::Stream),
            (&[1], len, Damage::Stream),
        ];
        for (stored, len, wrong) in cases {
            assert_eq!(packing.unpack(stored, len), Err(wrong));
        }
        for at in 0..stored.len() * 8 {
            let mut stored = stored.clone();
            stored[at / 8] ^= 1 << (at % 8);
            // Whatever comes out, it is an answer, and the next one is right.
            drop(packing.unpack(&stored, len));
        }
        assert_eq!(packing.unpack(&stored, len), Ok(CARD.as_bytes().to_vec()));
    }
}
