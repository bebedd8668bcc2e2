//! What a card means.
//!
//! In come the bytes of an item as a peer sent them; out go a lossless reading of it ([`card`]), hashes that tell
//! equal and related items ([`identity`]), unions of two versions of one contact ([`merge`]) and what tells them apart
//! ([`diff`](mod@diff)), what of one a device can hold ([`lens`]), and what of it people search ([`search`]). Cards are vCard 2.1, 3.0 and 4.0; every other kind of
//! item stays verbatim and only has an identity. The room knows no protocol, keeps no state and never panics on what it is
//! given.

pub mod card;
pub mod diff;
pub mod identity;
pub mod lens;
pub mod merge;
pub mod search;

#[cfg(test)]
mod testing;
