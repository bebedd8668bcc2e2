//! What can go wrong in a store.

use thiserror::Error;

/// A store's failure. A step that fails has changed nothing.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is busy with another writer for longer than its limit; the same step may succeed later.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// There is no room left.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store cannot be written.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// What is stored contradicts itself, or a caller asked for a contradiction.
    #[error("the store is damaged or was misused: {0}")]
    Corrupt(String),
    /// The store was written by a newer release.
    #[error("the store has schema version {found}, this release knows up to {known}: use a newer release")]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// Something named by an administrator does not exist.
    #[error("there is no {0}")]
    NotFound(String),
    /// What a step was to write into a message cannot be written: the peer used names that its encoding has no way to carry.
    /// The same message fails again.
    #[error("the message cannot be written: {0}")]
    Unwritable(String),
    /// Anything else, in the back end's words.
    #[error("the store failed: {0}")]
    Failed(String),
}
