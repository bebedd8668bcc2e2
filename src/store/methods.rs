//! The methods of [`Tx`](super::Tx), once more as a list: for what does the same with each of them.

/// Hands all methods of `Tx` to the macro `$then`, after what it wants itself. `writes` says how many rows one hands in.
macro_rules! tx_methods {
    ($then:ident($($own:tt)*)) => {
        $then! { $($own)*;
            fn device(device_id: &str) -> Option<DeviceRow>;
            fn device_by_no(device: DeviceNo) -> Option<DeviceRow>;
            fn devices() -> Vec<DeviceRow>;
            fn put_device(row: &DeviceRow) -> DeviceNo, writes 1;
            fn session(key: SessionKey<'_>) -> Option<SessionRow>;
            fn put_session(row: &SessionRow) -> (), writes 1;
            fn drop_rival_sessions(device: DeviceNo, books: &[BookNo], keep: &Token) -> u64;
            fn count_sessions(device: DeviceNo) -> u64;
            fn expire_sessions(now: Timestamp) -> usize;
            fn queue_statuses(token: &Token, statuses: &[Vec<u8>]) -> (), writes statuses.len();
            fn queued_statuses(token: &Token, limit: usize) -> Vec<(i64, Vec<u8>)>;
            fn drop_statuses(token: &Token, upto: i64) -> ();
            fn audit(row: &AuditRow) -> (), writes 1;
            fn lock_books(books: &[BookNo]) -> Vec<BookRow>;
            fn book(book: BookNo) -> Option<BookRow>;
            fn put_book(row: &BookRow) -> (), writes 1;
            fn books() -> Vec<BookRow>;
            fn adopt_book(row: &BookRow) -> (), writes 1;
            fn mark_dirty(book: BookNo) -> ();
            fn clear_dirty(device_id: &str, book: BookNo) -> ();
            fn items(book: BookNo, guids: &[Guid]) -> Vec<Option<ItemRow<'static>>>;
            fn insert_items(book: BookNo, rows: &[ItemRow<'_>]) -> (), writes rows.len();
            fn update_items(book: BookNo, rows: &[ItemRow<'_>]) -> (), writes rows.len();
            fn changes(book: BookNo, after: Revision, upto: Revision, limit: usize) -> Vec<ItemRow<'static>>;
            fn revisions(book: BookNo, which: &[(Guid, Revision)]) -> Vec<Option<RevisionRow>>;
            fn history(book: BookNo, guid: Guid, limit: usize) -> Vec<RevisionRow>;
            fn as_of(book: BookNo, at: Revision, guids: &[Guid]) -> Vec<Option<RevisionRow>>;
            fn states(book: BookNo, at: Revision, after: Guid, limit: usize) -> Vec<(Guid, Option<RevisionRow>)>;
            fn log(book: BookNo, of: Option<Guid>, before: Revision, limit: usize) -> Vec<RevisionRow>;
            fn superseded(book: BookNo, after: Revision, newest: usize, limit: usize) -> Vec<PastRow>;
            fn purge(book: BookNo, which: &[(Guid, Revision)]) -> (), writes which.len();
            fn put_past(book: BookNo, rows: &[RevisionRow]) -> (), writes rows.len();
            fn conflicts(book: BookNo, before: Revision, limit: usize) -> Vec<ConflictRow>;
            fn conflicts_at(book: BookNo, which: &[Revision]) -> Vec<Option<ConflictRow>>;
            fn put_conflicts(book: BookNo, rows: &[ConflictRow]) -> (), writes rows.len();
            fn restores(book: BookNo, limit: usize) -> Vec<RestoreRow>;
            fn put_restore(book: BookNo, row: &RestoreRow) -> (), writes 1;
            fn by_fingerprint(book: BookNo, prints: &[[u8; 16]], limit: usize) -> Vec<Vec<Guid>>;
            fn by_match_key(book: BookNo, keys: &[u64], limit: usize) -> Vec<Vec<Guid>>;
            fn children(book: BookNo, parent: Guid, after: Guid, limit: usize) -> Vec<Guid>;
            fn index_more(book: BookNo, limit: usize) -> bool;
            fn words_upto() -> Vec<(BookNo, Revision)>;
            fn put_words(book: BookNo, rows: &[ItemTerms], upto: Revision) -> (), writes rows.len();
            fn by_words(book: Option<BookNo>, want: &TermQuery, after: i64, limit: usize) -> Vec<Place>;
            fn pair(device: DeviceNo, book: BookNo) -> Option<PairRow>;
            fn put_pair(row: &PairRow) -> (), writes 1;
            fn maps_by_luid(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Vec<Option<MapRow>>;
            fn maps_by_guid(device: DeviceNo, book: BookNo, epoch: i64, guids: &[Guid]) -> Vec<Option<MapRow>>;
            fn put_maps(device: DeviceNo, book: BookNo, rows: &[MapRow]) -> (), writes rows.len();
            fn carry_maps(device: DeviceNo, book: BookNo, from: i64, to: i64) -> ();
            fn drop_maps(device: DeviceNo, book: BookNo, keep: i64) -> ();
            fn map_page(device: DeviceNo, book: BookNo, epoch: i64, after: Guid, limit: usize) -> Vec<MapRow>;
            fn all_maps(device: DeviceNo, book: BookNo, after: (i64, &str), limit: usize) -> Vec<MapRow>;
            fn unconfirmed_maps(device: DeviceNo, book: BookNo, epoch: i64, limit: usize) -> Vec<MapRow>;
            fn differences(pair: (DeviceNo, BookNo), epoch: i64, after: Revision, upto: Revision, limit: usize)
                -> Vec<(ItemRow<'static>, Option<MapRow>)>;
            fn count_differences(pair: (DeviceNo, BookNo), epoch: i64, after: Revision, upto: Revision) -> u64;
            fn lens(lens: LensNo) -> Option<Vec<u8>>;
            fn put_lens(lens: LensNo, value: &[u8]) -> (), writes 1;
            fn outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> Vec<Option<OutgoingRow>>;
            fn outgoing_page(device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Vec<OutgoingRow>;
            fn outgoing_by_ref(device: DeviceNo, token: &Token, refs: &[SentRef]) -> Vec<Option<(BookNo, OutgoingRow)>>;
            fn outgoing_by_view(device: DeviceNo, book: BookNo, views: &[ViewFp]) -> Vec<Option<OutgoingRow>>;
            fn put_outgoing(device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> (), writes rows.len();
            fn drop_outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> ();
            fn clear_outgoing(device: DeviceNo, book: BookNo) -> ();
            fn stage(device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> (), writes rows.len();
            fn staged(device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Vec<StagedRow>;
            fn staged_under(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Vec<Option<StagedRow>>;
            fn drop_staged(device: DeviceNo, book: BookNo, seqs: &[i64]) -> ();
            fn unstage(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> ();
            fn count_staged(device: DeviceNo, book: BookNo, op: Op) -> u64;
            fn append_blob(blob: Option<BlobNo>, bytes: &[u8]) -> BlobNo, writes 1;
            fn blob(blob: BlobNo) -> Option<BlobRow>;
            fn read_blob(blob: BlobNo, from: u64, limit: usize) -> Vec<u8>;
            fn cut_blob(blob: BlobNo, len: u64) -> ();
            fn drop_blobs(blobs: &[BlobNo]) -> ();
            fn blob_bytes() -> u64;
            fn partial(device: DeviceNo, book: BookNo, direction: Direction) -> Option<PartialRow>;
            fn put_partial(device: DeviceNo, book: BookNo, row: &PartialRow) -> (), writes 1;
            fn drop_partial(device: DeviceNo, book: BookNo, direction: Direction) -> ();
            fn errands(device: DeviceNo, from: i64, limit: usize) -> Vec<(i64, Vec<u8>)>;
            fn put_errand(device: DeviceNo, no: i64, content: &[u8]) -> (), writes 1;
            fn drop_errands(device: DeviceNo) -> ();
        }
    };
}

/// Implements `Tx` by methods of the same names of the type itself, which can then be told apart by files.
macro_rules! tx_by_own_methods {
    ($tx:ty; $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, writes $rows:expr)?;)*) => {
        impl Tx for $tx {
            $(fn $name(&mut self, $($arg: $type),*) -> Result<$answer> {
                // The type's own method, which goes before the trait's.
                Self::$name(self, $($arg),*)
            })*
        }
    };
}

/// Lists their names.
macro_rules! tx_names {
    (; $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, writes $rows:expr)?;)*) => {
        /// The names of all methods of `Tx`: for tables that must not miss one.
        pub(crate) const TX_METHODS: &[&str] = &[$(stringify!($name)),*];
    };
}

tx_methods!(tx_names());

pub(crate) use {tx_by_own_methods, tx_methods};
