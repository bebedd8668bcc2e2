//! The keys of the store as this server uses them: the newest sign, older ones are still believed.

use crate::auth::{Candidates, Nonce, Nonces, Tokens, Verifier};
use crate::message::{Location, Timestamp};
use crate::session::trust::Mark;
use crate::store::{KeySet, Keys, Store, StoreError, Token};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a server looks for newer keys, in seconds. Who makes some lets them sign from twice as long after: then every
/// node knows them before the first of them does ([`Store::rotate_keys`]).
const LOOK_SECONDS: i64 = 60;

/// The keys of one moment.
#[derive(Debug)]
pub(super) struct Keyring(Vec<Set>);

#[derive(Debug)]
struct Set {
    number: u32,
    since: Timestamp,
    nonces: Nonces,
    tokens: Tokens,
}

/// The nonces that count for a credential now.
pub(super) struct Believed(Vec<Candidates>);

impl Believed {
    /// As [`verify`](crate::auth::verify) takes them.
    pub(super) fn as_slices(&self) -> Vec<&[u8]> {
        self.0.iter().flat_map(Candidates::as_slices).collect()
    }
}

impl Keyring {
    fn new(keys: &Keys) -> Result<Self, StoreError> {
        let set = |set: &KeySet| Set {
            number: set.number,
            since: set.since,
            nonces: Nonces::new(&set.nonce),
            tokens: Tokens::new(&set.token),
        };
        if keys.0.is_empty() {
            return Err(StoreError::Corrupt("the keys are missing; restore a backup".to_owned()));
        }
        Ok(Self(keys.0.iter().map(set).collect()))
    }

    /// What signs: the newest whose time has come.
    fn signing(&self, now: Timestamp) -> &Set {
        let newest = self.0.iter().rev().find(|set| set.since <= now);
        newest.unwrap_or(&self.0[0])
    }

    /// The nonce of a challenge; see [`Nonces::challenge`].
    pub(super) fn challenge(&self, place: &Location<'_>, count: i64, now: Timestamp) -> Nonce {
        self.signing(now).nonces.challenge(place, count, now)
    }

    /// What a success leaves behind; see [`Nonces::accepted`].
    pub(super) fn accepted(&self, place: &Location<'_>, count: i64, now: Timestamp) -> crate::auth::Accepted {
        self.signing(now).nonces.accepted(place, count, now)
    }

    /// The nonces that count, of what signs now and of what did when the oldest challenge that still holds was put, or
    /// does by a clock that is ahead. The work depends on the time alone, not on who asks.
    pub(super) fn candidates(
        &self,
        place: &Location<'_>,
        count: i64,
        stored: Option<&[u8]>,
        now: Timestamp,
    ) -> Believed {
        let (from, upto) = (now.plus_seconds(-2 * Nonces::BUCKET_SECONDS), now.plus_seconds(Nonces::BUCKET_SECONDS));
        let (first, last) = (self.signing(from).number, self.signing(upto).number);
        let around = self.0.iter().filter(|set| (first..=last).contains(&set.number));
        Believed(around.map(|set| set.nonces.candidates(place, count, stored, now)).collect())
    }

    /// The token of a session that begins; see [`Tokens::derive`].
    pub(super) fn token(&self, account: i64, device: i64, session_id: &str, count: i64, now: Timestamp) -> Token {
        Token(self.signing(now).tokens.derive(account, device, session_id, count))
    }

    /// By what a session that begins remembers what opened it.
    pub(super) fn mark(&self, verifiers: &[Verifier], now: Timestamp) -> Mark {
        let set = self.signing(now);
        Mark { key: set.number, mark: set.tokens.mark(verifiers) }
    }

    /// The same by the keys of that number; `None` when they are gone, and what they opened with them.
    pub(super) fn mark_by(&self, key: u32, verifiers: &[Verifier]) -> Option<Mark> {
        let set = self.0.iter().find(|set| set.number == key)?;
        Some(Mark { key, mark: set.tokens.mark(verifiers) })
    }

    fn knows(&self, key: u32) -> bool {
        self.0.iter().any(|set| set.number == key)
    }
}

/// The keys in force, and when they were last looked for.
#[derive(Debug)]
pub(super) struct Keychain(Mutex<(Arc<Keyring>, Option<Timestamp>)>);

impl Keychain {
    pub(super) fn open(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self(Mutex::new((Arc::new(Keyring::new(&store.keys()?)?), None))))
    }

    /// The keys in force, looked for anew once a minute. While the store does not answer, those that are known stay.
    pub(super) fn at(&self, store: &dyn Store, now: Timestamp) -> Arc<Keyring> {
        self.look(store, now, |_, looked| looked.is_none_or(|at| now.0.abs_diff(at.0) >= LOOK_SECONDS as u64 * 1000))
    }

    /// The same, and at once where these keys are not known: another node signed with them.
    pub(super) fn with(&self, store: &dyn Store, key: u32, now: Timestamp) -> Arc<Keyring> {
        self.look(store, now, |ring, _| !ring.knows(key))
    }

    fn look(
        &self,
        store: &dyn Store,
        now: Timestamp,
        is_due: impl FnOnce(&Keyring, Option<Timestamp>) -> bool,
    ) -> Arc<Keyring> {
        // What is held is replaced as a whole.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = is_due(&held.0, held.1);
        if due {
            held.1 = Some(now);
        }
        if due && let Some(ring) = store.keys().ok().and_then(|keys| Keyring::new(&keys).ok()) {
            held.0 = Arc::new(ring);
        }
        Arc::clone(&held.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    fn ring(since: &[i64]) -> Keyring {
        let set = |(at, since): (usize, &i64)| {
            let number = at as u32 + 1;
            KeySet { number, since: Timestamp(*since), nonce: [number as u8; 32], token: [number as u8 + 100; 32] }
        };
        Keyring::new(&Keys(since.iter().enumerate().map(set).collect())).unwrap()
    }

    #[test]
    fn the_newest_whose_time_has_come_signs() {
        let ring = ring(&[0, 5_000 * SECOND, 9_000 * SECOND]);
        for (now, number) in [(-1, 1), (0, 1), (4_999, 1), (5_000, 2), (8_999, 2), (9_000, 3), (99_000, 3)] {
            assert_eq!(ring.signing(Timestamp(now * SECOND)).number, number, "{now}");
        }
        assert!(Keyring::new(&Keys(Vec::new())).is_err());
    }

    #[test]
    fn challenges_hold_as_long_as_before_when_keys_change() {
        let ring = ring(&[0, 6_000 * SECOND]);
        let place = Location::new("phone");
        let at = |second: i64| Timestamp(second * SECOND);
        let put = ring.challenge(&place, 0, at(5_999));
        for (now, holds) in [(5_999, true), (6_000, true), (6_599, true), (7_200, false)] {
            let believed = ring.candidates(&place, 0, None, at(now));
            assert_eq!(believed.as_slices().contains(&put.as_bytes()), holds, "{now}");
        }
        // One key alone is asked for no more than its own.
        assert_eq!(ring.candidates(&place, 0, None, at(9_000)).0.len(), 1);
        assert_eq!(ring.candidates(&place, 0, None, at(6_000)).0.len(), 2);
    }

    #[test]
    fn marks_are_of_their_keys() {
        let ring = ring(&[0, 6_000 * SECOND]);
        let verifiers = [Verifier::Md5([1; 16])];
        let (old, new) = (ring.mark(&verifiers, Timestamp(0)), ring.mark(&verifiers, Timestamp(6_000 * SECOND)));
        assert_eq!((old.key, new.key), (1, 2));
        assert_ne!(old.mark, new.mark);
        assert_eq!(ring.mark_by(1, &verifiers), Some(old));
        assert_ne!(ring.mark_by(1, &[]), Some(old));
        assert_eq!(ring.mark_by(3, &verifiers), None);
    }
}
