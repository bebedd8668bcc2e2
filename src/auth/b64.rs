//! Base64 as peers write it: strict out, lenient in.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use zeroize::Zeroizing;

/// Padding is cut off before it sees a text, and the unused bits of the last character may be anything.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// Standard alphabet, padded, no line breaks (§5.2).
pub(super) fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// What a text says, whatever its white space and padding; `None` when it is not base64 at all.
pub(super) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut dense = Zeroizing::new(Vec::with_capacity(text.len()));
    dense.extend(text.iter().filter(|octet| !octet.is_ascii_whitespace()));
    let unpadded = dense.iter().rposition(|&octet| octet != b'=').map_or(0, |last| last + 1);
    LENIENT.decode(&dense[..unpadded]).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn reads_what_peers_write() {
        for (text, octets) in [
            ("Tm9uY2U=", Some(&b"Nonce"[..])),
            ("Tm9uY2U", Some(b"Nonce")),
            ("Tm9uY2U==", Some(b"Nonce")),
            (" Tm9u\r\n\tY2U= ", Some(b"Nonce")),
            ("Tm9uY2V=", Some(b"Nonce")),
            ("", Some(b"")),
            ("====", Some(b"")),
            ("Tm9uY2U=x", None),
            ("Tm9uY", None),
            ("Tm9u-_8=", None),
            ("user:pass", None),
        ] {
            assert_eq!(decode(text.as_bytes()).as_ref().map(|found| found.as_slice()), octets, "{text:?}");
        }
        assert_eq!(encode(b"Nonce"), "Tm9uY2U=");
    }
}
