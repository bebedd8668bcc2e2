//! Who sends too much, before anything is done for it.

use super::{Asked, Refusal, Request, Server};
use crate::auth::{PeerKey, peer_key};
use crate::message::Timestamp;
use crate::store::AccountNo;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// How many messages may come: so many at once, and so many each second from then on. A `burst` of 0 lets all come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Each second.
    pub per_second: u32,
}

impl Server {
    /// Whether too many messages came from there lately. Asked before the message is read.
    pub(super) fn is_crowded(&self, request: &Request<'_>) -> bool {
        let Some(address) = request.address.filter(|_| !request.loopback) else { return false };
        !take(&self.addresses, &[address.as_bytes()], self.config.address_rate, request.now)
    }

    /// Whether a device of an account, which proved itself, has not sent too much lately.
    pub(super) fn is_in_time(&self, asked: &Asked<'_>, account: AccountNo) -> Result<(), Refusal> {
        let device = [&account.0.to_be_bytes()[..], asked.header.source.uri.as_bytes()];
        match take(&self.devices, &device, self.config.device_rate, asked.request.now) {
            true => Ok(()),
            false => Err(Refusal::TooOften),
        }
    }
}

fn take(buckets: &Mutex<Buckets>, who: &[&[u8]], rate: Rate, now: Timestamp) -> bool {
    rate.burst == 0 || buckets.lock().unwrap_or_else(PoisonError::into_inner).take(peer_key(who), rate, now)
}

/// A token bucket for each of those who sent something lately. In memory only, and of one node: with many nodes each gives
/// what it may. Bounded: who was silent longest is forgotten first, and begins anew with a full one.
#[derive(Debug)]
pub(super) struct Buckets {
    capacity: usize,
    levels: BTreeMap<PeerKey, (u64, Timestamp)>,
    by_age: BTreeSet<(Timestamp, PeerKey)>,
}

impl Buckets {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, levels: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// Takes a message's worth out of a bucket; `false` when there is not so much in it.
    fn take(&mut self, key: PeerKey, rate: Rate, now: Timestamp) -> bool {
        const ONE: u64 = 1_000;
        let full = u64::from(rate.burst) * ONE;
        let level = match self.levels.remove(&key) {
            Some((level, at)) => {
                self.by_age.remove(&(at, key));
                // A thousandth of a message each millisecond, for each message a second. A clock set back fills nothing.
                let passed = now.0.saturating_sub(at.0).max(0).cast_unsigned();
                level.saturating_add(passed.saturating_mul(u64::from(rate.per_second))).min(full)
            }
            None => full,
        };
        let enough = level >= ONE;
        // What is full again needs no place.
        while self.levels.len() >= self.capacity
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.levels.remove(&oldest);
        }
        self.levels.insert(key, (if enough { level - ONE } else { level }, now));
        self.by_age.insert((now, key));
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let mut buckets = Buckets::new(9);
        for (at, wanted) in [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (499, false),
            (500, true),
            (500, false),
            // Never more than the burst.
            (90_000, true),
            (90_000, true),
            (90_000, true),
            (90_000, false),
            (-90_000, false),
        ] {
            assert_eq!(buckets.take([1; 16], RATE, Timestamp(NOW.0 + at)), wanted, "{at}");
        }
        assert!(buckets.take([2; 16], RATE, NOW), "another's is another");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut buckets = Buckets::new(3);
        for number in 0..100u8 {
            assert!(buckets.take([number; 16], Rate { burst: 1, per_second: 1 }, NOW.plus_seconds(number.into())));
        }
        assert_eq!((buckets.levels.len(), buckets.by_age.len()), (3, 3));
        assert!(!buckets.take([99; 16], Rate { burst: 1, per_second: 1 }, NOW.plus_seconds(99)), "it is remembered");
        assert_eq!((buckets.levels.len(), buckets.by_age.len()), (3, 3));
    }
}
