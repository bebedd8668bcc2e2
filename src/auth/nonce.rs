//! Nonces that need not be stored to be known again (§5.3; DESIGN, "Challenge nonces are derived").

use crate::message::{Location, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Makes and knows nonces. Two kinds:
///
/// - A **challenge** (401, 407) is derived from a key of the store, the message's Source, the device's count of successes
///   and ten minutes of time. A failed message thus writes nothing, a resent one gets the same bytes, and any node makes
///   the same nonce. The SessionID does not enter: clients answer a 401 in a new session. The Source's name does: else
///   two names tried with one device id would get equal nonces unless one of them has that device. A challenge holds for
///   the ten minutes it was made in and the ten after.
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

    /// The nonce of a challenge to `source`, the Source of the message's header. `count` is the device's count of
    /// successes, 0 for one that is not known or when no name says whose it is.
    #[must_use]
    pub fn challenge(&self, source: &Location<'_>, count: i64, now: Timestamp) -> Nonce {
        self.derive(Kind::Challenge, source, count, bucket(now))
    }

    /// What to store for the device when it has authenticated: the raised count, and the nonce to hand out with it.
    #[must_use]
    pub fn accepted(&self, source: &Location<'_>, count: i64, now: Timestamp) -> Accepted {
        let count = count.wrapping_add(1);
        Accepted { count, next: self.derive(Kind::Next, source, count, now.0) }
    }

    /// The nonces that count for a credential from `source`: the one handed out with the last success, as stored, and
    /// the challenges of now. Before a device's first success these include the challenges put to it when it had not yet
    /// named its user. The work is the same whether one is stored or not, and whatever the count.
    #[must_use]
    pub fn candidates(&self, source: &Location<'_>, count: i64, stored: Option<&[u8]>, now: Timestamp) -> Candidates {
        // A challenge of the coming bucket was made by a node whose clock is ahead.
        let around = |source: &Location<'_>| {
            [0, -1, 1].map(|step| self.derive(Kind::Challenge, source, count, bucket(now).saturating_add(step)))
        };
        let named = around(source);
        let nameless = around(&Location::new(&*source.uri));
        // Later they would not be void after one success: no count enters them when they are put.
        let nameless = if count == 0 { nameless } else { named };
        let stored = stored.unwrap_or_else(|| named[0].as_bytes()).to_vec();
        Candidates { stored, named, nameless }
    }

    fn derive(&self, kind: Kind, source: &Location<'_>, count: i64, time: i64) -> Nonce {
        super::work::note();
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(match kind {
            Kind::Challenge => b"syncml challenge nonce\0",
            Kind::Next => b"syncml next nonce\0",
        });
        let name = source.name.as_deref().unwrap_or_default().trim();
        for text in [&*source.uri, name] {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
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
    named: [Nonce; 3],
    nameless: [Nonce; 3],
}

impl Candidates {
    /// As [`verify`](super::verify) takes them.
    #[must_use]
    pub fn as_slices(&self) -> [&[u8]; 7] {
        let [a, b, c] = self.named.each_ref().map(Nonce::as_bytes);
        let [d, e, f] = self.nameless.each_ref().map(Nonce::as_bytes);
        [&self.stored, a, b, c, d, e, f]
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
    use crate::message::{Location, Timestamp};

    const NOW: Timestamp = Timestamp(1_700_000_400_000);

    fn nonces() -> Nonces {
        Nonces::new(&[7; 32])
    }

    fn alice() -> Location<'static> {
        Location::named("IMEI:1", "alice")
    }

    fn counts(nonce: Nonce, count: i64, stored: Option<Nonce>, now: Timestamp) -> bool {
        let candidates = nonces().candidates(&alice(), count, stored.as_ref().map(Nonce::as_bytes), now);
        candidates.as_slices().contains(&nonce.as_bytes())
    }

    #[test]
    fn a_challenge_is_repeated_for_ten_minutes_and_counts_for_ten_more() {
        // NOW is the first second of its bucket.
        let challenge = nonces().challenge(&alice(), 3, NOW);
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
            assert_eq!(nonces().challenge(&alice(), 3, then) == challenge, same, "{seconds}");
            assert_eq!(counts(challenge, 3, None, then), good, "{seconds}");
        }
    }

    #[test]
    fn a_challenge_is_good_for_its_device_and_count_only() {
        let challenge = nonces().challenge(&alice(), 3, NOW);
        for (uri, name) in [("IMEI:2", "alice"), ("IMEI:1", "bob"), ("IMEI:1a", "lice"), ("IMEI:1", "")] {
            assert_ne!(nonces().challenge(&Location::named(uri, name), 3, NOW), challenge, "{uri} {name}");
        }
        assert_ne!(Nonces::new(&[8; 32]).challenge(&alice(), 3, NOW), challenge);
        for count in [2, 4, 0, -1] {
            assert!(!counts(challenge, count, None, NOW));
        }
    }

    /// A peer that names its user only with its credential gets on at its first contact, and once.
    #[test]
    fn a_challenge_put_before_the_user_was_named_counts_until_the_first_success() {
        for name in [None, Some(""), Some(" ")] {
            let source = Location { uri: "IMEI:1".into(), name: name.map(Into::into) };
            for seconds in [-600, 0, 600] {
                let challenge = nonces().challenge(&source, 0, NOW.plus_seconds(seconds));
                for (count, good) in [(0, true), (1, false), (2, false)] {
                    assert_eq!(counts(challenge, count, None, NOW), good, "{seconds} {count}");
                }
            }
            for count in [1, 2] {
                assert!(!counts(nonces().challenge(&source, count, NOW), count, None, NOW));
            }
        }
        assert!(!counts(nonces().challenge(&Location::named("IMEI:1", "bob"), 0, NOW), 0, None, NOW));
    }

    #[test]
    fn a_success_voids_what_was_put_before_and_hands_out_one_that_lasts() {
        let challenge = nonces().challenge(&alice(), 3, NOW);
        let first = nonces().accepted(&alice(), 3, NOW);
        assert_eq!(first.count, 4);
        assert!(!counts(challenge, first.count, Some(first.next), NOW));
        // Weeks later, and after any number of challenges.
        let later = NOW.plus_seconds(90 * 86_400);
        assert!(counts(first.next, first.count, Some(first.next), later));
        assert!(counts(nonces().challenge(&alice(), first.count, later), first.count, Some(first.next), later));
        let second = nonces().accepted(&alice(), first.count, later);
        assert!(!counts(first.next, second.count, Some(second.next), later));
    }

    #[test]
    fn what_was_handed_out_does_not_come_back_when_the_device_is_counted_anew() {
        let before = nonces().accepted(&alice(), 0, NOW);
        let after = nonces().accepted(&alice(), 0, NOW.plus_seconds(1));
        assert_eq!(before.count, after.count);
        assert_ne!(before.next, after.next);
        assert!(!counts(before.next, 0, None, NOW));
    }

    #[test]
    fn nonces_survive_peers_that_keep_them_as_text() {
        for count in 0..500 {
            let nonce = nonces().challenge(&alice(), count, NOW);
            assert!(nonce.as_bytes().iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)));
        }
    }

    /// So that no release changes what another node, or this one before an update, has put.
    #[test]
    fn derivation_is_pinned() {
        let nonce = |nonce: Nonce| String::from_utf8(nonce.as_bytes().to_vec()).unwrap();
        assert_eq!(nonce(nonces().challenge(&alice(), 3, NOW)), "KACOyVJts_Eg5oKp");
        assert_eq!(nonce(nonces().accepted(&alice(), 3, NOW).next), "pBRGdFPA6gTUCKb1");
    }

    #[test]
    fn shows_no_key() {
        assert_eq!(format!("{:?}", nonces()), "Nonces(…)");
        assert_eq!(format!("{:?}", nonces().candidates(&alice(), 0, None, NOW)), "Candidates(…)");
    }
}
