//! SyncML / OMA Data Synchronization, client and server, to embed.
//!
//! Two books talk. [`message`] is what they say, [`codec`] how it is written down, [`auth`] who is speaking, `session`
//! whose turn it is, `sync` what should happen, [`contact`] what a card means, [`store`] where it rests. Bytes come in
//! at the top, pass these rooms once in this order, and leave as the answer. No room reaches for a clock, a socket, a
//! file or randomness: what it needs is handed in.

// The rooms, in order: each may use only the rooms above it.
pub mod message;

pub mod codec;

pub mod auth;
pub mod contact;
pub mod store;
pub mod sync;

pub mod session;

pub mod notify;

pub mod kit;
pub mod transport;

#[cfg(feature = "service")]
pub mod service;

/// The README's examples, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
