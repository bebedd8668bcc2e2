//! The whole of a store as a stream of lines, and back: backups, and the way from one kind of store to another.
//!
//! [`dump`] writes while others work: each account as of one moment (in memory stores only while nobody writes). What it
//! writes is JSON, an object per line, in an order that [`load`] can take row by row; its first line names the [`FORMAT`], its
//! last says that it is whole. Numbers of devices, large contents and accounts are made anew, so that equal stores have equal
//! dumps: dump, load and dump again gives the same lines (between kinds of store up to the order of map entries).
//!
//! | goes in | does not |
//! |---|---|
//! | accounts, platforms and grants, with what their credentials are checked against: a *password* in the clear where SyncML 1.0 needs it, `MD5(user:password)`, hashes of shared secrets. Keep a dump as you keep the database | the keys from which nonces and tokens derive: the new store has its own |
//! | books with their items, large contents, history, conflicts and restores | indexes, which are made anew |
//! | what was done by whom ([`audit`](super::audit)): devices keep their order, and so their numbers there; rows of accounts made meanwhile wait for the next dump | who sends too much or guesses at passwords: that is remembered by a server, not by its store |
//! | devices with DevInf, nonces, anchors, maps of all epochs, lenses, what is sent and not acknowledged, what is received and not settled, halves of large objects, holds; what they are told to do, with the *keys* by which they know it is meant | sessions and their stored replies: a device in the middle of one begins another, and goes on where it was |
//!
//! [`check`] says what is wrong in a store of any kind; [`load`] refuses what it cannot read, and takes what contradicts
//! itself: check after loading.

mod check;
mod dump;
mod line;
mod load;

pub use check::{Checked, Finding, check};
pub use dump::dump;
pub use load::load;

use super::StoreError;
use std::io;
use thiserror::Error;

/// The version of what [`dump`] writes. [`load`] reads this one and all before it.
pub const FORMAT: u32 = 1;

/// The longest line that is read, in bytes. Contents of contacts are the longest there are.
pub const MAX_LINE: u64 = 64 << 20;

/// Rows in a step or a page.
const PAGE: usize = 500;

/// How far a dump, load or check has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Done {
    /// Accounts done.
    pub accounts: u64,
    /// Items, tombstones included.
    pub items: u64,
    /// Superseded revisions.
    pub revisions: u64,
    /// Map entries.
    pub maps: u64,
    /// Bytes of large contents.
    pub blob_bytes: u64,
}

/// Is told how far it is, now and then.
pub type Progress<'p> = &'p mut dyn FnMut(&Done);

/// Why a dump or load was given up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store's own failure.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is written or read to or from failed.
    #[error("the dump cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A line that says nothing a dump says.
    #[error("line {line} of the dump: {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// It was written by a newer release.
    #[error("the dump has format {found}, this release knows up to {FORMAT}: use a newer release")]
    TooNew {
        /// The format found.
        found: u32,
    },
    /// The store to load into holds something.
    #[error("the store has accounts already: load into an empty one")]
    NotEmpty,
}
