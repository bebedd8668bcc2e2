//! What a writer needs to know of a content before it stores it.

use super::{BookNo, Draft};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

impl<'a> Draft<'a> {
    /// The draft of an item of `book` that holds `content`, with its fingerprint and match keys.
    #[must_use]
    pub fn of(book: BookNo, content: impl Into<Cow<'a, [u8]>>) -> Self {
        let content = content.into();
        let _ = book;
        let digest = Sha256::digest(&content);
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Self { content, fingerprint, ..Self::default() }
    }
}

/// The union of two versions of one item that both come from `base`; `None` where nothing but bytes are known of the
/// book's items, or they cannot be read.
pub(super) fn merge(book: BookNo, base: &[u8], current: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let _ = (book, base, current, new);
    None
}
