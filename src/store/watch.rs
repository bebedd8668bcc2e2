//! A transaction that is watched: every call goes through an observer, which may refuse it.

use super::methods::tx_methods;
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

no_rows!((), bool, usize, u8, u64, DeviceNo, BlobNo);
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
    (BookNo, Revision),
    Place,
    (ItemRow<'static>, Option<MapRow>),
    BlobRow,
    PartialRow,
    PastRow,
    ConflictRow,
    RestoreRow,
    (Guid, Option<RevisionRow>),
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

/// Writes every method of [`Tx`] as a watched call.
macro_rules! watched {
    (; $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, writes $rows:expr)?;)*) => {
        impl<O: Observer> Tx for Watched<'_, O> {
            $(fn $name(&mut self, $($arg: $type),*) -> Result<$answer> {
                let written = 0 $(+ $rows)?;
                self.call(stringify!($name), written, |tx| tx.$name($($arg),*))
            })*
        }
    };
}

tx_methods!(watched());
