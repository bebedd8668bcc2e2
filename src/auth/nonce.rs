//! Nonces that need not be stored to be known again (§5.3; DESIGN, "Challenge nonces are derived").

use crate::message::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Makes and knows nonces. Two kinds:
///
/// - A **challenge** (401, 407) is derived from a key of the store, the Source's `LocURI`, the device's count of successes
///   and ten minutes of time. A failed message thus writes nothing, a resent one gets the same bytes, any node makes the
///   same nonce, and for a device nobody knows it looks like any other. The SessionID does not enter: clients answer a
///   401 in a new session. It holds for the ten minutes it was made in and the ten after.
/// - The **next** nonce, handed out with a success (212 or 200), is for the first message after it, perhaps weeks later.
///   It is stored beside the count when that is raised, and holds until the device succeeds again. It is made with the
///   time as well, so that one handed out before the device was forgotten does not come back when it is counted anew.
///
/// Each success raises the count ([`accepted`](Self::accepted)), in the transaction that makes it durable, and with the
/// count read under that transaction's lock: then both kinds work once.
pub struct Nonces(Zeroizing<[u8; 32]>);

impl Nonces {
    /// How long a challenge is repeated, in seconds; it is accepted up to twice as long.
    pub const BUCKET_SECONDS: i64 = 600;

    /// With a key that all nodes of a store share.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*key))
    }

    /// The nonce of a challenge to `source`, the `LocURI` of the message's Source. `count` is the device's count of
    /// successes, 0 for one that is not known.
    #[must_use]
    pub fn challenge(&self, source: &str, count: i64, now: Timestamp) -> Nonce {
        self.derive(Kind::Challenge, source, count, bucket(now))
    }

    /// What to store for the device when it has authenticated: the raised count, and the nonce to hand out with it.
    #[must_use]
    pub fn accepted(&self, source: &str, count: i64, now: Timestamp) -> Accepted {
        let count = count.wrapping_add(1);
        Accepted { count, next: self.derive(Kind::Next, source, count, now.0) }
    }

    /// The nonces that count for a credential from `source`: the one handed out with the last success, as stored, and
    /// the challenges of now. The work is the same whether one is stored or not.
    #[must_use]
    pub fn candidates(&self, source: &str, count: i64, stored: Option<&[u8]>, now: Timestamp) -> Candidates {
        // A challenge of the coming bucket was made by a node whose clock is ahead.
        let [current, previous, coming] =
            [0, -1, 1].map(|step| self.derive(Kind::Challenge, source, count, bucket(now).saturating_add(step)));
        let stored = stored.unwrap_or_else(|| current.as_bytes()).to_vec();
        Candidates { stored, challenges: [current, previous, coming] }
    }

    fn derive(&self, kind: Kind, source: &str, count: i64, time: i64) -> Nonce {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(match kind {
            Kind::Challenge => b"syncml challenge nonce\0",
            Kind::Next => b"syncml next nonce\0",
        });
        mac.update(&(source.len() as u64).to_be_bytes());
        mac.update(source.as_bytes());
        mac.update(&count.to_be_bytes());
        mac.update(&time.to_be_bytes());
        let full = mac.finalize().into_bytes();
        let mut nonce = [0; 16];
        let written = URL_SAFE_NO_PAD.encode_slice(&full[..12], &mut nonce);
        debug_assert_eq!(written, Ok(16), "12 octets are 16 letters");
        Nonce(nonce)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces(…)")
    }
}

/// A nonce: 96 bits, written in 16 letters, digits, `-` and `_`, because some peers keep the decoded nonce as a text
/// that ends at the first NUL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Its octets, as they enter the digest. `NextNonce` carries them in base64.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}

/// What a success leaves behind, to be stored with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The raised count: every challenge put before is void.
    pub count: i64,
    /// The nonce for the device's next credential.
    pub next: Nonce,
}

/// The nonces that count for a credential now.
#[derive(Clone)]
pub struct Candidates {
    stored: Vec<u8>,
    challenges: [Nonce; 3],
}

impl Candidates {
    /// As [`verify`](super::verify) takes them.
    #[must_use]
    pub fn as_slices(&self) -> [&[u8]; 4] {
        let [current, previous, coming] = &self.challenges;
        [&self.stored, current.as_bytes(), previous.as_bytes(), coming.as_bytes()]
    }
}

impl fmt::Debug for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Candidates(…)")
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Challenge,
    Next,
}

const fn bucket(now: Timestamp) -> i64 {
    now.seconds().div_euclid(Nonces::BUCKET_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::{Nonce, Nonces};
    use crate::message::Timestamp;

    const NOW: Timestamp = Timestamp(1_700_000_400_000);

    fn nonces() -> Nonces {
        Nonces::new(&[7; 32])
    }

    fn counts(nonce: Nonce, count: i64, stored: Option<Nonce>, now: Timestamp) -> bool {
        let candidates = nonces().candidates("IMEI:1", count, stored.as_ref().map(Nonce::as_bytes), now);
        candidates.as_slices().contains(&nonce.as_bytes())
    }

    #[test]
    fn a_challenge_is_repeated_for_ten_minutes_and_counts_for_ten_more() {
        // NOW is the first second of its bucket.
        let challenge = nonces().challenge("IMEI:1", 3, NOW);
        for (seconds, same, good) in [
            (0, true, true),
            (599, true, true),
            (600, false, true),
            (1199, false, true),
            (1200, false, false),
            (-1, false, true),
            (-600, false, true),
            (-601, false, false),
        ] {
            let then = NOW.plus_seconds(seconds);
            assert_eq!(nonces().challenge("IMEI:1", 3, then) == challenge, same, "{seconds}");
            assert_eq!(counts(challenge, 3, None, then), good, "{seconds}");
        }
    }

    #[test]
    fn a_challenge_is_good_for_its_device_and_count_only() {
        let challenge = nonces().challenge("IMEI:1", 3, NOW);
        assert_ne!(nonces().challenge("IMEI:2", 3, NOW), challenge);
        assert_ne!(Nonces::new(&[8; 32]).challenge("IMEI:1", 3, NOW), challenge);
        for count in [2, 4, 0, -1] {
            assert!(!counts(challenge, count, None, NOW));
        }
    }

    #[test]
    fn a_success_voids_what_was_put_before_and_hands_out_one_that_lasts() {
        let challenge = nonces().challenge("IMEI:1", 3, NOW);
        let first = nonces().accepted("IMEI:1", 3, NOW);
        assert_eq!(first.count, 4);
        assert!(!counts(challenge, first.count, Some(first.next), NOW));
        // Weeks later, and after any number of challenges.
        let later = NOW.plus_seconds(90 * 86_400);
        assert!(counts(first.next, first.count, Some(first.next), later));
        assert!(counts(nonces().challenge("IMEI:1", first.count, later), first.count, Some(first.next), later));
        let second = nonces().accepted("IMEI:1", first.count, later);
        assert!(!counts(first.next, second.count, Some(second.next), later));
    }

    #[test]
    fn what_was_handed_out_does_not_come_back_when_the_device_is_counted_anew() {
        let before = nonces().accepted("IMEI:1", 0, NOW);
        let after = nonces().accepted("IMEI:1", 0, NOW.plus_seconds(1));
        assert_eq!(before.count, after.count);
        assert_ne!(before.next, after.next);
        assert!(!counts(before.next, 0, None, NOW));
    }

    #[test]
    fn nonces_survive_peers_that_keep_them_as_text() {
        for count in 0..500 {
            let nonce = nonces().challenge("IMEI:1", count, NOW);
            assert!(nonce.as_bytes().iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)));
        }
    }

    /// So that no release changes what another node, or this one before an update, has put.
    #[test]
    fn derivation_is_pinned() {
        let nonce = |nonce: Nonce| String::from_utf8(nonce.as_bytes().to_vec()).unwrap();
        assert_eq!(nonce(nonces().challenge("IMEI:1", 3, NOW)), "g9G63giNnaz1mIp-");
        assert_eq!(nonce(nonces().accepted("IMEI:1", 3, NOW).next), "5jaD1cxK1eXxeGAD");
    }

    #[test]
    fn shows_no_key() {
        assert_eq!(format!("{:?}", nonces()), "Nonces(…)");
        assert_eq!(format!("{:?}", nonces().candidates("a", 0, None, NOW)), "Candidates(…)");
    }
}
