//! What counters know a peer by: a digest, of fixed size however long its name is, and no personal data in memory.

use sha2::{Digest as _, Sha256};

/// A peer, to a counter.
pub(crate) type PeerKey = [u8; 16];

/// The key of what names a peer, part by part, so that no two lists of parts run into one.
pub(crate) fn peer_key(parts: &[&[u8]]) -> PeerKey {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = PeerKey::default();
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}
