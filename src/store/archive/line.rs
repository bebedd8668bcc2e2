//! The lines of a dump.

use crate::auth::Verifier;
use crate::message::Timestamp;
use crate::store::written::binary;
use crate::store::{
    BlobNo, BookNo, BookRow, ConflictRow, DeviceNo, DeviceRow, ItemRow, LensNo, MapRow, NewStaged, OutgoingRow,
    PairRow, PartialRow, PrincipalKind, RestoreRow, RevisionRow, StoreError,
};
use serde::{Deserialize, Serialize};

/// A line. What is of an account follows its `account`, what is of a book its `book`. Changing what is written here makes a
/// new [`FORMAT`](super::FORMAT), and the old one has to be read on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Line {
    /// The first.
    Dump {
        format: u32,
    },
    Principal {
        device_id: String,
        kind: PrincipalKind,
        verifiers: Vec<Written>,
    },
    Account {
        name: String,
        verifier: Option<Written>,
    },
    Book {
        row: BookRow,
    },
    Device {
        row: DeviceRow,
    },
    Lens {
        no: LensNo,
        #[serde(with = "crate::store::written::text")]
        value: Vec<u8>,
    },
    /// Large content, before the first row that refers to it; its pieces follow.
    Blob {
        no: BlobNo,
        len: u64,
    },
    Piece {
        #[serde(with = "binary")]
        bytes: Vec<u8>,
    },
    Item {
        book: BookNo,
        row: ItemRow<'static>,
    },
    Past {
        book: BookNo,
        row: RevisionRow,
    },
    /// A conflict that was decided.
    Conflict {
        book: BookNo,
        row: ConflictRow,
    },
    Restore {
        book: BookNo,
        row: RestoreRow,
    },
    Pair {
        row: PairRow,
    },
    Map {
        device: DeviceNo,
        book: BookNo,
        row: MapRow,
    },
    Outgoing {
        device: DeviceNo,
        book: BookNo,
        row: OutgoingRow,
    },
    Staged {
        device: DeviceNo,
        book: BookNo,
        row: NewStaged<'static>,
    },
    Partial {
        device: DeviceNo,
        book: BookNo,
        row: PartialRow,
    },
    /// What a device is told to do.
    Errand {
        device: DeviceNo,
        no: i64,
        #[serde(with = "binary")]
        content: Vec<u8>,
    },
    /// The account is whole.
    AccountEnd,
    /// A device that may speak for an account, and the account's books that have news for it.
    Grant {
        device_id: String,
        account: String,
        news: Vec<BookNo>,
    },
    /// Something that was done, about an account or about none; in the order of time but for some hundred lines.
    Audit {
        account: Option<String>,
        at: Timestamp,
        actor: String,
        action: String,
        object: String,
        outcome: String,
    },
    /// The last.
    End {
        lines: u64,
    },
}

impl Line {
    /// What lines have to have in common to be written by one call.
    pub(super) const fn group(&self) -> Option<(u8, i64, i64)> {
        match self {
            Self::Item { book, .. } => Some((0, 0, book.0)),
            Self::Past { book, .. } => Some((1, 0, book.0)),
            Self::Map { device, book, .. } => Some((2, device.0, book.0)),
            Self::Outgoing { device, book, .. } => Some((3, device.0, book.0)),
            Self::Staged { device, book, .. } => Some((4, device.0, book.0)),
            Self::Conflict { book, .. } => Some((5, 0, book.0)),
            _ => None,
        }
    }
}

/// What credentials are checked against.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    scheme: String,
    #[serde(with = "binary")]
    verifier: Vec<u8>,
}

impl Written {
    pub(super) fn of(verifier: &Verifier) -> Self {
        Self { scheme: verifier.scheme().to_owned(), verifier: verifier.to_bytes() }
    }

    pub(super) fn read(&self) -> Result<Verifier, StoreError> {
        let Self { scheme, verifier } = self;
        Verifier::from_bytes(scheme, verifier)
            .ok_or_else(|| StoreError::Corrupt(format!("a verifier of scheme {scheme:?} cannot be read")))
    }
}
