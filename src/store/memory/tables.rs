//! The tables of one account.

use super::super::blob::Piece;
use super::super::{
    AccountNo, AuditRow, BlobNo, BookNo, BookRow, ConflictRow, DeviceNo, DeviceRow, Direction, Guid, ItemRow, LensNo,
    MapRow, NewStaged, OutgoingRow, PairRow, PartialRow, RestoreRow, Result, Revision, RevisionRow, SessionRow,
    StoreError, Token, ViewFp,
};
use super::journal::{Change, change, read};
use super::table::{Layer, Table};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $row:ty,)*) => {
        /// What is committed of one account.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Tables {
            /// The last device number given; never taken back.
            pub(super) last_device: i64,
            /// The last number given to a row that wants its place in an order; never taken back.
            last_number: i64,
            $($(#[$doc])* pub(super) $name: Table<$key, $row>,)*
        }

        /// What one step has changed.
        #[derive(Debug, Default)]
        pub(super) struct Changes {
            $(pub(super) $name: Layer<$key, $row>,)*
        }

        impl Changes {
            pub(super) fn commit(self, below: &mut Tables) {
                $(self.$name.commit(&mut below.$name);)*
            }

            /// The same as rows to be kept, with the numbers given so far.
            pub(super) fn rows(&self, account: AccountNo, below: &Tables) -> Result<Vec<Change>> {
                let mut rows = Vec::new();
                $(for (key, row) in self.$name.changed() {
                    rows.push(change(Some(account), stringify!($name), key, row)?);
                })*
                if !rows.is_empty() {
                    let given = (below.last_device, below.last_number);
                    rows.push(change(Some(account), "numbers", &(), Some(&given))?);
                }
                Ok(rows)
            }
        }

        impl Tables {
            /// Takes a row that was kept.
            pub(super) fn load(&mut self, table: &str, key: &str, row: &str) -> Result<()> {
                match table {
                    $(stringify!($name) => drop(self.$name.insert(read(key)?, read(row)?)),)*
                    "numbers" => (self.last_device, self.last_number) = read(row)?,
                    _ => return Err(StoreError::Corrupt(format!("there is no table {table:?}"))),
                }
                Ok(())
            }
        }
    };
}

impl Tables {
    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }
}

tables! {
    devices: DeviceNo => DeviceRow,
    device_ids: String => DeviceNo,
    /// With its place in the order of creation.
    sessions: Token => (i64, SessionRow),
    statuses: (Token, i64) => Vec<u8>,
    /// As the directory is told of it.
    audit: i64 => AuditRow,
    /// With the last item whose keys are in the index, while not all are.
    books: BookNo => (BookRow, Guid),
    items: (BookNo, Guid) => ItemRow<'static>,
    by_revision: (BookNo, Revision) => Guid,
    /// Live items only.
    by_fingerprint: (BookNo, [u8; 16], Guid) => (),
    /// Live items that are in a folder.
    by_parent: (BookNo, Guid, Guid) => (),
    /// Live items only, so far as they are indexed.
    by_match_key: (BookNo, u64, Guid) => (),
    superseded: (BookNo, Guid, Revision) => RevisionRow,
    past_by_revision: (BookNo, Revision) => Guid,
    /// By the revision that decided it.
    conflicts: (BookNo, Revision) => ConflictRow,
    /// By the restore's id.
    restores: (BookNo, Revision) => RestoreRow,
    pairs: (DeviceNo, BookNo) => PairRow,
    maps: (DeviceNo, BookNo, i64, String) => MapRow,
    /// Entries that are not retired.
    maps_by_guid: (DeviceNo, BookNo, i64, Guid) => String,
    /// Entries whose Map has no Status yet.
    unconfirmed: (DeviceNo, BookNo, i64, Guid) => String,
    lenses: LensNo => Vec<u8>,
    outgoing: (DeviceNo, BookNo, Guid) => OutgoingRow,
    /// Adds that may have no Map yet.
    outgoing_by_view: (DeviceNo, BookNo, ViewFp, Guid) => (),
    staged: (DeviceNo, BookNo, i64) => NewStaged<'static>,
    /// What has news, as the directory is told of it.
    dirty: (String, BookNo) => (),
    staged_luids: (DeviceNo, BookNo, i64, String) => i64,
    /// The number of a book that was searched, and up to which revision it was.
    words: BookNo => (i64, Revision),
    partials: (DeviceNo, BookNo, Direction) => PartialRow,
    errands: (DeviceNo, i64) => Vec<u8>,
    /// Large contents, piece by piece.
    blobs: (BlobNo, i64) => Piece,
}
