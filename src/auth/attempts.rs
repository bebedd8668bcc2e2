//! The only trace of a failed message: a counter that is bounded and forgets (I10).

use super::peer::{PeerKey, peer_key};
use crate::message::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts failures per (name, address), to slow down who guesses. One that is guessed at from elsewhere is not locked
/// out. In memory only, and of one node; all who ask for the same secrets share one.
///
/// A credential that was refused and comes again is no further guess: a device whose answers get lost shows the digest of
/// the same stale nonce at each new start. After [`FREE`](Self::FREE) failures the next attempt has to wait a second, then two, four … up to
/// [`LONGEST_SECONDS`](Self::LONGEST_SECONDS). Attempts made while waiting are not to be checked, and do not count.
#[derive(Debug)]
pub struct Attempts {
    capacity: usize,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    entries: BTreeMap<PeerKey, Entry>,
    by_age: BTreeSet<(Timestamp, PeerKey)>,
}

impl Default for Attempts {
    /// Of 10,000 pairs.
    fn default() -> Self {
        Self::new(10_000)
    }
}

impl Attempts {
    /// Failures without consequence: peers send a stale nonce, or none, and try again with each scheme they have.
    pub const FREE: u32 = 5;

    /// The longest wait, in seconds.
    pub const LONGEST_SECONDS: i64 = 300;

    /// After this many seconds without a failure, earlier ones are forgotten.
    pub const FORGET_SECONDS: i64 = 3600;

    /// Remembers at most `capacity` pairs, about 200 octets each; the one that failed longest ago makes room.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, counted: Mutex::new(Counted { entries: BTreeMap::new(), by_age: BTreeSet::new() }) }
    }

    /// How many seconds this pair has still to wait, if any. `name` is what the peer claims: user, account or device id.
    #[must_use]
    pub fn wait(&self, name: &str, address: &str, now: Timestamp) -> Option<i64> {
        self.counted().wait(&pair(name, address), now)
    }

    /// A credential was checked and found wrong. `credential`: its bytes, of which a digest is kept.
    pub fn failed(&self, name: &str, address: &str, credential: &[u8], now: Timestamp) {
        self.counted().failed(pair(name, address), credential, now, self.capacity);
    }

    /// A credential was good: earlier failures of the pair are forgotten.
    pub fn succeeded(&self, name: &str, address: &str) {
        self.counted().remove(&pair(name, address));
    }

    /// Has a credential checked, and counts what comes out. One after the other, so that no guesses overtake another.
    ///
    /// # Errors
    /// The seconds that the pair has still to wait; nothing was checked then.
    pub fn check(
        &self,
        (name, address): (&str, &str),
        credential: &[u8],
        now: Timestamp,
        is_good: impl FnOnce() -> bool,
    ) -> Result<bool, i64> {
        let (mut counted, pair) = (self.counted(), pair(name, address));
        if let Some(seconds) = counted.wait(&pair, now) {
            return Err(seconds);
        }
        let good = is_good();
        match good {
            true => drop(counted.remove(&pair)),
            false => counted.failed(pair, credential, now, self.capacity),
        }
        Ok(good)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(name: &str, address: &str) -> PeerKey {
    peer_key(&[name.as_bytes(), address.as_bytes()])
}

impl Counted {
    fn wait(&self, pair: &PeerKey, now: Timestamp) -> Option<i64> {
        let entry = self.entries.get(pair)?;
        // A clock set back must not make the wait longer.
        let since = now.0.saturating_sub(entry.last.0).max(0);
        let left = entry.wait_seconds() * 1000 - since;
        (left > 0).then(|| (left + 999) / 1000)
    }

    fn failed(&mut self, pair: PeerKey, credential: &[u8], now: Timestamp, capacity: usize) {
        self.expire(now);
        let guess = peer_key(&[credential]);
        if self.entries.get(&pair).is_some_and(|entry| entry.guess == guess) {
            return;
        }
        let failures = self.remove(&pair).map_or(0, |entry| entry.failures);
        while self.entries.len() >= capacity {
            let Some((_, oldest)) = self.by_age.first().copied() else { return };
            self.remove(&oldest);
        }
        self.entries.insert(pair, Entry { failures: failures.saturating_add(1), last: now, guess });
        self.by_age.insert((now, pair));
    }

    fn remove(&mut self, key: &PeerKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_age.remove(&(entry.last, *key));
        Some(entry)
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(&(last, key)) = self.by_age.first() {
            if now.0.saturating_sub(last.0) < Attempts::FORGET_SECONDS * 1000 {
                break;
            }
            self.remove(&key);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: Timestamp,
    guess: PeerKey,
}

impl Entry {
    fn wait_seconds(self) -> i64 {
        let over = self.failures.saturating_sub(Attempts::FREE);
        if over == 0 { 0 } else { (1 << (over - 1).min(30)).min(Attempts::LONGEST_SECONDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::Attempts;
    use crate::message::Timestamp;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    /// Another guess each time.
    fn fail(attempts: &Attempts, name: &str, address: &str, now: Timestamp) {
        let guess = attempts.counted().entries.values().map(|entry| entry.failures).sum::<u32>();
        attempts.failed(name, address, &guess.to_be_bytes(), now);
    }

    #[test]
    fn waits_double_after_the_free_ones() {
        let attempts = Attempts::new(10);
        assert_eq!(attempts.wait("alice", "::1", NOW), None);
        let waits: Vec<_> = (0..16)
            .map(|_| {
                fail(&attempts, "alice", "::1", NOW);
                attempts.wait("alice", "::1", NOW).unwrap_or(0)
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn waits_pass_and_are_forgotten() {
        let attempts = Attempts::new(10);
        for _ in 0..7 {
            fail(&attempts, "alice", "::1", NOW);
        }
        for (milliseconds, wait) in
            [(0, Some(2)), (1, Some(2)), (1000, Some(1)), (1999, Some(1)), (2000, None), (-60_000, Some(2))]
        {
            assert_eq!(attempts.wait("alice", "::1", Timestamp(NOW.0 + milliseconds)), wait, "{milliseconds}");
        }
        fail(&attempts, "alice", "::1", NOW.plus_seconds(3599));
        assert_eq!(attempts.wait("alice", "::1", NOW.plus_seconds(3599)), Some(4));
        fail(&attempts, "alice", "::1", NOW.plus_seconds(3599 + 3600));
        assert_eq!(attempts.wait("alice", "::1", NOW.plus_seconds(3599 + 3600)), None);
    }

    #[test]
    fn a_long_wait_is_not_outlived_by_a_clock_that_jumps() {
        let attempts = Attempts::new(10);
        for _ in 0..40 {
            fail(&attempts, "alice", "::1", NOW);
        }
        assert_eq!(attempts.wait("alice", "::1", Timestamp(i64::MIN)), Some(300));
        assert_eq!(attempts.wait("alice", "::1", Timestamp(i64::MAX)), None);
    }

    #[test]
    fn the_same_credential_again_is_no_further_guess() {
        let attempts = Attempts::new(10);
        for credential in [b"a", b"a", b"b", b"b", b"c", b"d", b"e", b"e"] {
            attempts.failed("alice", "::1", credential, NOW);
        }
        assert_eq!(attempts.wait("alice", "::1", NOW), None);
        attempts.failed("alice", "::1", b"f", NOW);
        assert_eq!(attempts.wait("alice", "::1", NOW), Some(1));
    }

    #[test]
    fn pairs_are_apart() {
        let attempts = Attempts::new(10);
        for _ in 0..6 {
            fail(&attempts, "alice", "::1", NOW);
        }
        for (name, address, wait) in
            [("alice", "::1", Some(1)), ("alice", "::2", None), ("bob", "::1", None), ("alice:", ":1", None)]
        {
            assert_eq!(attempts.wait(name, address, NOW), wait, "{name} {address}");
        }
        attempts.succeeded("alice", "::1");
        assert_eq!(attempts.wait("alice", "::1", NOW), None);
        assert!(attempts.counted().by_age.is_empty());
    }

    #[test]
    fn full_it_forgets_the_oldest() {
        let attempts = Attempts::new(3);
        for (step, name) in ["a", "b", "c", "a", "d"].into_iter().enumerate() {
            for _ in 0..6 {
                fail(&attempts, name, "::1", NOW.plus_seconds(i64::try_from(step).unwrap()));
            }
        }
        let later = NOW.plus_seconds(4);
        let known = ["a", "b", "c", "d"]
            .map(|name| attempts.counted().entries.contains_key(&super::peer_key(&[name.as_bytes(), b"::1"])));
        assert_eq!(known, [true, false, true, true]);
        let sizes = |attempts: &Attempts| {
            let counted = attempts.counted();
            (counted.entries.len(), counted.by_age.len())
        };
        assert_eq!(sizes(&attempts), (3, 3));
        // 12 failures, the last a second ago.
        assert_eq!(attempts.wait("a", "::1", later), Some(63));
        let nothing = Attempts::new(0);
        nothing.failed("a", "::1", b"x", NOW);
        assert_eq!(sizes(&nothing), (0, 0));
    }
}
