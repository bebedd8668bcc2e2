//! The session token carried in RespURI (DESIGN, "Replay").

use super::Verifier;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Makes session tokens: SessionIDs are chosen by clients and can be guessed, these cannot.
pub struct Tokens(Zeroizing<[u8; 32]>);

impl Tokens {
    /// With a key that all nodes of a store share.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*key))
    }

    /// The token of a session that begins. `count` is the device's count of successes as raised by the one that opens
    /// the session: it makes the token new when a client uses a SessionID again, and the same when the step is run again.
    #[must_use]
    pub fn derive(&self, account: i64, device: i64, session_id: &str, count: i64) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(b"syncml session token\0");
        for number in [account, device, count] {
            mac.update(&number.to_be_bytes());
        }
        mac.update(session_id.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut token = [0; 16];
        token.copy_from_slice(&full[..16]);
        token
    }

    /// By what a session remembers what its credential was checked against, so that it ends when that changes. It tells
    /// nothing about it to who has not the key, and does not depend on the order.
    pub(crate) fn mark(&self, verifiers: &[Verifier]) -> [u8; 16] {
        let mut kept: Vec<_> =
            verifiers.iter().map(|known| (known.scheme(), Zeroizing::new(known.to_bytes()))).collect();
        kept.sort_by(|one, other| (one.0, &**one.1).cmp(&(other.0, &**other.1)));
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(b"syncml session mark\0");
        for (scheme, octets) in &kept {
            for part in [scheme.as_bytes(), &**octets] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
        }
        let full = mac.finalize().into_bytes();
        let mut mark = [0; 16];
        mark.copy_from_slice(&full[..16]);
        mark
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// A token's text for a URL: the account's number and the token, in 32 letters, digits, `-` and `_`.
#[must_use]
pub fn token_text(account: i64, token: &[u8; 16]) -> String {
    let mut octets = [0; 24];
    octets[..8].copy_from_slice(&account.to_be_bytes());
    octets[8..].copy_from_slice(token);
    URL_SAFE_NO_PAD.encode(octets)
}

/// The token's text in the query of a URL: the parameter `s`.
#[must_use]
pub fn token_parameter(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("s=")).filter(|text| !text.is_empty())
}

/// The token's text in an address: the parameter `s` of its query.
pub(crate) fn token_in(uri: &str) -> Option<&str> {
    token_parameter(uri.split_once('?')?.1)
}

/// Account and token of such a text; `None` for anything [`token_text`] does not write. The account is a hint where to
/// look: only the session found there under the token proves it.
#[must_use]
pub fn parse_token(text: &str) -> Option<(i64, [u8; 16])> {
    if text.len() != 32 {
        return None;
    }
    let mut octets = [0; 24];
    // The engine refuses padding, other letters and white space; 32 letters have no bits to spare.
    URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut octets).ok().filter(|len| *len == 24)?;
    let (account, token) = octets.split_at(8);
    let account = i64::from_be_bytes(account.try_into().expect("split at 8"));
    (account >= 0).then_some((account, token.try_into().expect("16 of 24 are left")))
}

#[cfg(test)]
mod tests {
    use super::{Tokens, parse_token, token_text};
    use crate::auth::{DigestName, Secret, Verifier};

    #[test]
    fn a_mark_is_of_what_is_checked_against() {
        let tokens = Tokens::new(&[7; 32]);
        let password = |text: &str| Verifier::Password(Secret::new(text.to_owned()));
        let (one, two) = (Verifier::Device(DigestName::MD5, [1; 32]), Verifier::Device(DigestName::SHA256, [1; 32]));
        let mark = tokens.mark(&[password("a")]);
        assert_eq!(tokens.mark(&[password("a")]), mark);
        for other in [
            tokens.mark(&[password("b")]),
            tokens.mark(&[]),
            tokens.mark(&[password("a"), password("a")]),
            tokens.mark(std::slice::from_ref(&one)),
            tokens.mark(std::slice::from_ref(&two)),
            Tokens::new(&[8; 32]).mark(&[password("a")]),
        ] {
            assert_ne!(other, mark);
        }
        assert_eq!(tokens.mark(&[one.clone(), two.clone()]), tokens.mark(&[two, one]));
    }

    #[test]
    fn every_field_makes_another_token() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.derive(1, 2, "3", 4);
        assert_eq!(tokens.derive(1, 2, "3", 4), token);
        for other in [
            tokens.derive(2, 2, "3", 4),
            tokens.derive(1, 3, "3", 4),
            tokens.derive(1, 2, "4", 4),
            tokens.derive(1, 2, "3", 5),
            tokens.derive(2, 1, "3", 4),
            Tokens::new(&[8; 32]).derive(1, 2, "3", 4),
        ] {
            assert_ne!(other, token);
        }
    }

    /// Made with another implementation of HMAC.
    #[test]
    fn derivation_is_pinned() {
        let token = Tokens::new(&[7; 32]).derive(1, 2, "3", 4);
        assert_eq!(token_text(1, &token), "AAAAAAAAAAGZqR9p-7hhujQzn-uezhxf");
    }

    #[test]
    fn texts_come_back() {
        for account in [0, 1, 42, i64::MAX] {
            for token in [[0; 16], [0xFF; 16], *b"0123456789abcdef"] {
                let text = token_text(account, &token);
                assert_eq!(text.len(), 32);
                assert!(text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)), "{text}");
                assert_eq!(parse_token(&text), Some((account, token)));
            }
        }
    }

    #[test]
    fn nothing_else_is_a_token() {
        let good = token_text(1, &[0xFF; 16]);
        for bad in [
            String::new(),
            good[..31].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            format!("{}=", &good[..31]),
            format!(" {}", &good[..31]),
            good.replace('_', "/"),
            good.replace('A', "é"),
            "é".repeat(16),
            token_text(-1, &[0; 16]),
        ] {
            assert_eq!(parse_token(&bad), None, "{bad}");
        }
    }
}
