//! Packed files of cards (mission B8): gzip, RFC 1952.

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{self, Read as _, Write as _};
use thiserror::Error;

/// How much is unpacked between two looks at the limit, in bytes.
const CHUNK: usize = 16 * 1024;

/// Why something packed cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackError {
    /// What is in it is larger than is taken.
    #[error("unpacked it is larger than {0} bytes")]
    TooLarge(usize),
    /// It is no gzip, is cut off, or its checksum is wrong.
    #[error("it is no whole gzip file")]
    Broken,
}

/// Packs contents. The same contents give the same bytes: no time and no name are in them.
#[must_use]
pub fn pack(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes everything.
    let written = packer.write_all(content).and_then(|()| packer.finish());
    written.unwrap_or_default()
}

/// Unpacks contents of at most `limit` bytes. What is larger is noticed while it is unpacked, whatever it says of itself, and
/// costs no more memory than what is not: never more than the limit.
///
/// # Errors
/// [`PackError`].
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, PackError> {
    let mut reader = MultiGzDecoder::new(packed);
    let (mut content, mut chunk) = (Vec::new(), [0; CHUNK]);
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(content),
            Ok(read) if read > limit.saturating_sub(content.len()) => return Err(PackError::TooLarge(limit)),
            Ok(read) => {
                let room = limit.saturating_sub(content.len());
                if content.capacity() - content.len() < read {
                    // As `Vec` does, but not past the limit.
                    content.reserve_exact(content.capacity().max(read).min(room));
                }
                content.extend_from_slice(&chunk[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(PackError::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PackError, pack, unpack};

    #[test]
    fn what_was_packed_is_unpacked() {
        for content in [&b""[..], b"BEGIN:VCARD\r\nEND:VCARD\r\n", &b"TEL:+4930\r\n".repeat(10_000)] {
            let packed = pack(content);
            assert_eq!(unpack(&packed, content.len()).as_deref(), Ok(content));
            assert_eq!(pack(content), packed, "the same bytes again");
        }
        let two = [pack(b"one,"), pack(b"two")].concat();
        assert_eq!(unpack(&two, 7).as_deref(), Ok(&b"one,two"[..]), "files put together are one (RFC 1952 §2.2)");
    }

    #[test]
    fn unpacking_is_bounded() {
        let bomb = pack(&vec![b' '; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb, 49_999_999), Err(PackError::TooLarge(49_999_999)));
        let small = unpack(&pack(&[b'x'; 40_000]), 40_000).unwrap();
        assert!(small.capacity() <= 40_000, "{}", small.capacity());
        assert_eq!(unpack(&pack(&[b'x'; 40_000]), 39_999), Err(PackError::TooLarge(39_999)));
    }

    #[test]
    fn what_is_broken_is_told() {
        let packed = pack(&b"TEL:+4930\r\n".repeat(1000));
        let mut wrong = packed.clone();
        let checksum = wrong.len() - 6;
        wrong[checksum] ^= 1;
        for broken in [&packed[..packed.len() - 1], &packed[..20], b"no gzip", b"", &wrong] {
            assert_eq!(unpack(broken, 1 << 20), Err(PackError::Broken));
        }
        let tail = [packed, b"tail".to_vec()].concat();
        assert_eq!(unpack(&tail, 1 << 20), Err(PackError::Broken), "junk behind it");
    }
}
