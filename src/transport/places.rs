//! Connections that may be open at once: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many there are.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Whose it is; that of nobody in particular counts in all only.
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_address, taken: Mutex::default() })
    }

    /// Takes a place for that address, if there is one. `None` has no limit of its own.
    pub(super) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(network);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return None;
        }
        if let Some(address) = address {
            let own = taken.by_address.get(&address).copied().unwrap_or_default();
            if own >= self.most_per_address {
                return None;
            }
            taken.by_address.insert(address, own + 1);
        }
        taken.all += 1;
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(address) = self.address else { return };
        match taken.by_address.get_mut(&address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by_address.remove(&address)),
        }
    }
}

/// Who has one address of IPv6 has all of its network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let places = Places::new(4, 2);
        let enter = |address: Option<&str>| places.enter(address.map(|text| text.parse().unwrap()));
        let first = enter(Some("192.0.2.1")).unwrap();
        let second = enter(Some("::ffff:192.0.2.1")).unwrap();
        assert!(enter(Some("192.0.2.1")).is_none(), "it has two");
        let other = enter(Some("2001:db8::1")).unwrap();
        drop(second);
        let more = enter(Some("2001:db8::ffff:1")).unwrap();
        assert!(enter(Some("2001:db8::2")).is_none(), "the network has two");
        let free = enter(None).unwrap();
        assert!(enter(None).is_none() && enter(Some("192.0.2.9")).is_none(), "there are four");
        drop((first, other, more, free));
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_address.is_empty(), "nothing is remembered");
    }
}
