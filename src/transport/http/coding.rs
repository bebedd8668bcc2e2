//! Content codings. They are not part of the binding (§9.1), so nobody gets one that it did not offer to take.

use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use std::io::{self, Read, Write};

/// What both sides say they take.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// Below this many bytes a coding costs more than it saves.
const WORTH: usize = 1024;

/// How much is decoded between two looks at the limit, in bytes.
const CHUNK: usize = 16 * 1024;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
}

/// Why a body could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpacking {
    /// It would exceed the limit.
    TooLarge,
    /// It is not what its coding says.
    Broken,
}

impl Coding {
    /// Reads `Content-Encoding`: no coding, one that is known, or the unknown one's name.
    pub(super) fn from_header(header: Option<&str>) -> Result<Option<Self>, String> {
        match header.map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Ok(None),
            Some("gzip" | "x-gzip") => Ok(Some(Self::Gzip)),
            Some("deflate") => Ok(Some(Self::Deflate)),
            Some(other) => Err(other.to_owned()),
        }
    }

    /// Unpacks a body. What exceeds `limit` bytes is noticed while it is unpacked, so that a small body that claims to
    /// be huge costs no more memory than an honest one.
    pub(super) fn unpack(self, body: &[u8], limit: usize) -> Result<Vec<u8>, Unpacking> {
        match self {
            Self::Gzip => drain(GzDecoder::new(body), limit),
            // The name means zlib's format; some send the bare stream. A zlib header is a multiple of 31.
            Self::Deflate => match body {
                [first, second, ..]
                    if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31) =>
                {
                    drain(ZlibDecoder::new(body), limit)
                }
                _ => drain(DeflateDecoder::new(body), limit),
            },
        }
    }
}

fn drain(mut reader: impl Read, limit: usize) -> Result<Vec<u8>, Unpacking> {
    let (mut out, mut chunk) = (Vec::new(), [0; CHUNK]);
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(n) if n > limit.saturating_sub(out.len()) => return Err(Unpacking::TooLarge),
            Ok(n) => out.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Unpacking::Broken),
        }
    }
}

/// Whether an `Accept-Encoding` header takes gzip.
pub(super) fn takes_gzip(header: &str) -> bool {
    let mut any = false;
    for part in header.split(',') {
        let mut fields = part.split(';').map(str::trim);
        let name = fields.next().unwrap_or_default().to_ascii_lowercase();
        let refused = fields.any(|field| {
            let weight = field.strip_prefix("q=").or_else(|| field.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        match name.as_str() {
            "gzip" | "x-gzip" => return !refused,
            "*" => any = !refused,
            _ => {}
        }
    }
    any
}

/// The body in gzip, if that makes it smaller. The same body gives the same bytes: the header holds no time.
pub(super) fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < WORTH {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < body.len()).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    #[test]
    fn unpacks_what_was_packed() {
        let body = b"<SyncML/>".repeat(500);
        let packed = gzip(&body).unwrap();
        assert!(packed.len() < body.len() / 10);
        assert_eq!(gzip(&body).unwrap(), packed, "the same bytes again");
        assert_eq!(Coding::Gzip.unpack(&packed, body.len()), Ok(body.clone()));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&body).unwrap();
        assert_eq!(Coding::Deflate.unpack(&zlib.finish().unwrap(), body.len()), Ok(body.clone()));
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&body).unwrap();
        assert_eq!(Coding::Deflate.unpack(&bare.finish().unwrap(), body.len()), Ok(body));
    }

    #[test]
    fn unpacking_is_bounded() {
        let packed = gzip(&vec![0; 10_000_000]).unwrap();
        assert!(packed.len() < 100_000);
        assert_eq!(Coding::Gzip.unpack(&packed, 9_999_999), Err(Unpacking::TooLarge));
        assert_eq!(Coding::Gzip.unpack(&packed[..packed.len() / 2], usize::MAX), Err(Unpacking::Broken));
        assert_eq!(Coding::Gzip.unpack(b"no gzip", 100), Err(Unpacking::Broken));
    }

    #[test]
    fn packs_only_what_is_worth_it() {
        assert_eq!(gzip(&[0; WORTH - 1]), None);
        let mut noise = 1_u32;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        })
        .take(4000)
        .collect();
        assert_eq!(gzip(&random), None);
    }

    #[test]
    fn reads_what_a_peer_takes() {
        for (header, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("*, gzip; q=0.0", false),
            ("br, *;q=0", false),
        ] {
            assert_eq!(takes_gzip(header), expected, "{header:?}");
        }
        assert_eq!(Coding::from_header(Some(" X-GZip ")), Ok(Some(Coding::Gzip)));
        assert_eq!(Coding::from_header(Some("identity")), Ok(None));
        assert_eq!(Coding::from_header(Some("br")), Err("br".to_owned()));
    }
}
