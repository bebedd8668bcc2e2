//! The rows, as plain data. Small integers inside, texts at the edge: see the numbered migrations in `schemas/`.

mod item;
mod ledger;
mod who;

pub use item::{Blob, BlobRow, BookRow, ConflictRow, ItemRow, PastRow, RestoreRow, RevisionRow, Winner};
pub use ledger::{
    Direction, Hold, HoldReason, MapRow, MapState, NewStaged, OutgoingRow, OutgoingState, PairRow, PartialRow, Phase,
    SentRef, StagedRow, ViewFp,
};
pub use who::{DeviceRow, KeySet, Keys, Login, Principal, PrincipalKind, SessionRow, Token};

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// An account: the owner of books.
    AccountNo
}
number! {
    /// A book of an account. The numbers of the six standard datastores are fixed.
    BookNo
}
number! {
    /// A device (or, in the client role, a server) that an account's books are synchronized with.
    DeviceNo
}
number! {
    /// A book's revision: every change of a book gets the next one, under the book's lock.
    Revision
}
number! {
    /// An item of a book: the revision in which it was created, unique in its book for ever.
    Guid
}
number! {
    /// A remembered lens.
    LensNo
}
number! {
    /// A large content of an account, kept in pieces.
    BlobNo
}

impl BookNo {
    /// Contacts.
    pub const CONTACTS: Self = Self(1);
    /// Calendar.
    pub const CALENDAR: Self = Self(2);
    /// Tasks.
    pub const TASKS: Self = Self(3);
    /// Notes.
    pub const NOTES: Self = Self(4);
    /// Bookmarks.
    pub const BOOKMARKS: Self = Self(5);
    /// Files.
    pub const FILES: Self = Self(6);
}

impl BlobNo {
    /// No content: stores number them from 1.
    pub const NONE: Self = Self(0);
}

impl LensNo {
    /// All of an item but its folder, which the peer was not told.
    pub const UNPLACED: Self = Self(-1);
}

impl DeviceNo {
    /// A device that has no number yet.
    pub const NEW: Self = Self(0);
}
