//! A transaction that is watched: every call goes through an observer, which may refuse it.

use super::*;

/// Is told of every call before and after it.
pub(crate) trait Observer {
    /// A call of that name is about to be made; an error is its answer instead.
    fn before(&mut self, _call: &'static str) -> Result<()> {
        Ok(())
    }

    /// The call was made: rows handed in, and rows handed out or its failure. An error takes the place of the answer.
    fn after(&mut self, written: usize, read: std::result::Result<usize, &StoreError>) -> Result<()>;
}

/// A transaction seen through an observer.
pub(crate) struct Watched<'a, O> {
    tx: &'a mut dyn Tx,
    observer: &'a mut O,
}

impl<'a, O: Observer> Watched<'a, O> {
    pub(crate) fn new(tx: &'a mut dyn Tx, observer: &'a mut O) -> Self {
        Self { tx, observer }
    }

    fn call<T: CountRows>(
        &mut self,
        name: &'static str,
        written: usize,
        make: impl FnOnce(&mut dyn Tx) -> Result<T>,
    ) -> Result<T> {
        self.observer.before(name)?;
        let answer = make(self.tx);
        self.observer.after(written, answer.as_ref().map(CountRows::count_rows))?;
        answer
    }
}

/// Runs a step's work such that it cannot commit past a failed call: after a failure part of a batch may be written.
pub(crate) fn run(tx: &mut dyn Tx, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<Verdict> {
    struct FirstFailure(Option<StoreError>);

    impl Observer for FirstFailure {
        fn after(&mut self, _: usize, read: std::result::Result<usize, &StoreError>) -> Result<()> {
            if let (Err(failure), None) = (read, &self.0) {
                self.0 = Some(failure.clone());
            }
            Ok(())
        }
    }

    let mut first = FirstFailure(None);
    let verdict = work(&mut Watched::new(tx, &mut first))?;
    match first.0 {
        Some(failure) if verdict == Verdict::Commit => Err(failure),
        _ => Ok(verdict),
    }
}

/// How many rows an answer holds.
pub(crate) trait CountRows {
    fn count_rows(&self) -> usize;
}

/// Answers that are one value.
macro_rules! no_rows {
    ($($answer:ty),*) => {$(
        impl CountRows for $answer {
            fn count_rows(&self) -> usize {
                0
            }
        }
    )*};
}

/// Answers that are one row.
macro_rules! one_row {
    ($($row:ty),*) => {$(
        impl CountRows for $row {
            fn count_rows(&self) -> usize {
                1
            }
        }
    )*};
}

no_rows!((), bool, usize, u64, DeviceNo);
one_row!(
    DeviceRow,
    SessionRow,
    BookRow,
    ItemRow<'static>,
    RevisionRow,
    Guid,
    PairRow,
    MapRow,
    OutgoingRow,
    StagedRow,
    (BookNo, OutgoingRow),
    (i64, Vec<u8>)
);

impl<T: CountRows> CountRows for Option<T> {
    fn count_rows(&self) -> usize {
        self.as_ref().map_or(0, CountRows::count_rows)
    }
}

impl<T: CountRows> CountRows for Vec<T> {
    fn count_rows(&self) -> usize {
        self.iter().map(CountRows::count_rows).sum()
    }
}

/// Writes every method of [`Tx`] as a watched call; `writes` says how many rows it hands in.
macro_rules! watched {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, writes $rows:expr)?;)*) => {
        impl<O: Observer> Tx for Watched<'_, O> {
            $(fn $name(&mut self, $($arg: $type),*) -> Result<$answer> {
                let written = 0 $(+ $rows)?;
                self.call(stringify!($name), written, |tx| tx.$name($($arg),*))
            })*
        }
    };
}

watched! {
    fn device(device_id: &str) -> Option<DeviceRow>;
    fn devices() -> Vec<DeviceRow>;
    fn put_device(row: &DeviceRow) -> DeviceNo, writes 1;
    fn session(key: SessionKey<'_>) -> Option<SessionRow>;
    fn put_session(row: &SessionRow) -> (), writes 1;
    fn drop_other_sessions(device: DeviceNo, keep: &Token) -> ();
    fn expire_sessions(now: Timestamp) -> usize;
    fn queue_statuses(token: &Token, statuses: &[Vec<u8>]) -> (), writes statuses.len();
    fn queued_statuses(token: &Token, limit: usize) -> Vec<(i64, Vec<u8>)>;
    fn drop_statuses(token: &Token, upto: i64) -> ();
    fn lock_books(books: &[BookNo]) -> Vec<BookRow>;
    fn book(book: BookNo) -> Option<BookRow>;
    fn put_book(row: &BookRow) -> (), writes 1;
    fn items(book: BookNo, guids: &[Guid]) -> Vec<Option<ItemRow<'static>>>;
    fn insert_items(book: BookNo, rows: &[ItemRow<'_>]) -> (), writes rows.len();
    fn update_items(book: BookNo, rows: &[ItemRow<'_>]) -> (), writes rows.len();
    fn changes(book: BookNo, after: Revision, upto: Revision, limit: usize) -> Vec<ItemRow<'static>>;
    fn revisions(book: BookNo, which: &[(Guid, Revision)]) -> Vec<Option<RevisionRow>>;
    fn history(book: BookNo, guid: Guid, limit: usize) -> Vec<RevisionRow>;
    fn by_fingerprint(book: BookNo, prints: &[[u8; 16]], limit: usize) -> Vec<Vec<Guid>>;
    fn by_match_key(book: BookNo, keys: &[u64], limit: usize) -> Vec<Vec<Guid>>;
    fn index_more(book: BookNo, limit: usize) -> bool;
    fn pair(device: DeviceNo, book: BookNo) -> Option<PairRow>;
    fn put_pair(row: &PairRow) -> (), writes 1;
    fn maps_by_luid(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Vec<Option<MapRow>>;
    fn maps_by_guid(device: DeviceNo, book: BookNo, epoch: i64, guids: &[Guid]) -> Vec<Option<MapRow>>;
    fn put_maps(device: DeviceNo, book: BookNo, rows: &[MapRow]) -> (), writes rows.len();
    fn carry_maps(device: DeviceNo, book: BookNo, from: i64, to: i64) -> ();
    fn drop_maps(device: DeviceNo, book: BookNo, keep: i64) -> ();
    fn map_page(device: DeviceNo, book: BookNo, epoch: i64, after: Guid, limit: usize) -> Vec<MapRow>;
    fn outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> Vec<Option<OutgoingRow>>;
    fn outgoing_page(device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Vec<OutgoingRow>;
    fn outgoing_by_ref(device: DeviceNo, token: &Token, refs: &[SentRef]) -> Vec<Option<(BookNo, OutgoingRow)>>;
    fn put_outgoing(device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> (), writes rows.len();
    fn drop_outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> ();
    fn clear_outgoing(device: DeviceNo, book: BookNo) -> ();
    fn stage(device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> (), writes rows.len();
    fn staged(device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Vec<StagedRow>;
    fn drop_staged(device: DeviceNo, book: BookNo, seqs: &[i64]) -> ();
    fn count_staged(device: DeviceNo, book: BookNo, op: Op) -> u64;
}
