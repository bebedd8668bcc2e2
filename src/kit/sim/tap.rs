//! Stores that come between: to make another store fail at a chosen call, or to falsify what it is told.

use crate::contact::search::TermQuery;
use crate::message::{Op, Timestamp};
use crate::store::search::{ItemTerms, Place};
use crate::store::watch::{Observer, Watched};
use crate::store::{
    AccountNo, AuditRow, BlobNo, BlobRow, BookNo, BookRow, ConflictRow, DeviceNo, DeviceRow, Direction, Directory,
    Guid, ItemRow, Keys, LensNo, MapRow, NewStaged, OutgoingRow, PairRow, PartialRow, PastRow, RestoreRow, Result,
    Revision, RevisionRow, SentRef, SessionKey, SessionRow, StagedRow, Store, StoreError, Token, Tx, Verdict, ViewFp,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens at the calls of a [`TapTx`]. The defaults let everything through.
pub trait Tap {
    /// Before every call, by the name of the method.
    ///
    /// # Errors
    /// What the call shall fail with.
    fn call(&mut self, name: &'static str) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// In the place of [`Tx::put_session`].
    ///
    /// # Errors
    /// The store's own failure.
    fn put_session(&mut self, tx: &mut dyn Tx, row: &SessionRow) -> Result<()> {
        tx.put_session(row)
    }

    /// In the place of [`Tx::put_pair`].
    ///
    /// # Errors
    /// The store's own failure.
    fn put_pair(&mut self, tx: &mut dyn Tx, row: &PairRow) -> Result<()> {
        tx.put_pair(row)
    }

    /// In the place of [`Tx::put_maps`].
    ///
    /// # Errors
    /// The store's own failure.
    fn put_maps(&mut self, tx: &mut dyn Tx, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        tx.put_maps(device, book, rows)
    }

    /// In the place of [`Tx::insert_items`].
    ///
    /// # Errors
    /// The store's own failure.
    fn insert_items(&mut self, tx: &mut dyn Tx, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        tx.insert_items(book, rows)
    }
}

/// A transaction with a [`Tap`] in between.
pub struct TapTx<'t> {
    inner: &'t mut dyn Tx,
    tap: &'t mut dyn Tap,
}

impl std::fmt::Debug for TapTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TapTx")
    }
}

impl<'t> TapTx<'t> {
    /// Puts a tap before a transaction.
    pub const fn new(inner: &'t mut dyn Tx, tap: &'t mut dyn Tap) -> Self {
        Self { inner, tap }
    }
}

macro_rules! through {
    ($(fn $name:ident($($arg:ident: $of:ty),* $(,)?) -> $out:ty;)*) => {
        $(fn $name(&mut self, $($arg: $of),*) -> Result<$out> {
            self.tap.call(stringify!($name))?;
            self.inner.$name($($arg),*)
        })*
    };
}

impl Tx for TapTx<'_> {
    through! {
        fn device(device_id: &str) -> Option<DeviceRow>;
        fn device_by_no(device: DeviceNo) -> Option<DeviceRow>;
        fn devices() -> Vec<DeviceRow>;
        fn put_device(row: &DeviceRow) -> DeviceNo;
        fn session(key: SessionKey<'_>) -> Option<SessionRow>;
        fn drop_rival_sessions(device: DeviceNo, books: &[BookNo], keep: &Token) -> u64;
        fn count_sessions(device: DeviceNo) -> u64;
        fn expire_sessions(now: Timestamp) -> usize;
        fn queue_statuses(token: &Token, statuses: &[Vec<u8>]) -> ();
        fn queued_statuses(token: &Token, limit: usize) -> Vec<(i64, Vec<u8>)>;
        fn drop_statuses(token: &Token, upto: i64) -> ();
        fn audit(row: &AuditRow) -> ();
        fn lock_books(books: &[BookNo]) -> Vec<BookRow>;
        fn book(book: BookNo) -> Option<BookRow>;
        fn put_book(row: &BookRow) -> ();
        fn items(book: BookNo, guids: &[Guid]) -> Vec<Option<ItemRow<'static>>>;
        fn update_items(book: BookNo, rows: &[ItemRow<'_>]) -> ();
        fn changes(book: BookNo, after: Revision, upto: Revision, limit: usize) -> Vec<ItemRow<'static>>;
        fn revisions(book: BookNo, which: &[(Guid, Revision)]) -> Vec<Option<RevisionRow>>;
        fn history(book: BookNo, guid: Guid, limit: usize) -> Vec<RevisionRow>;
        fn as_of(book: BookNo, at: Revision, guids: &[Guid]) -> Vec<Option<RevisionRow>>;
        fn states(book: BookNo, at: Revision, after: Guid, limit: usize) -> Vec<(Guid, Option<RevisionRow>)>;
        fn log(book: BookNo, of: Option<Guid>, before: Revision, limit: usize) -> Vec<RevisionRow>;
        fn superseded(book: BookNo, after: Revision, newest: usize, limit: usize) -> Vec<PastRow>;
        fn purge(book: BookNo, which: &[(Guid, Revision)]) -> ();
        fn restores(book: BookNo, limit: usize) -> Vec<RestoreRow>;
        fn put_restore(book: BookNo, row: &RestoreRow) -> ();
        fn by_fingerprint(book: BookNo, prints: &[[u8; 16]], limit: usize) -> Vec<Vec<Guid>>;
        fn by_match_key(book: BookNo, keys: &[u64], limit: usize) -> Vec<Vec<Guid>>;
        fn children(book: BookNo, parent: Guid, after: Guid, limit: usize) -> Vec<Guid>;
        fn index_more(book: BookNo, limit: usize) -> bool;
        fn pair(device: DeviceNo, book: BookNo) -> Option<PairRow>;
        fn maps_by_luid(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Vec<Option<MapRow>>;
        fn maps_by_guid(device: DeviceNo, book: BookNo, epoch: i64, guids: &[Guid]) -> Vec<Option<MapRow>>;
        fn carry_maps(device: DeviceNo, book: BookNo, from: i64, to: i64) -> ();
        fn drop_maps(device: DeviceNo, book: BookNo, keep: i64) -> ();
        fn map_page(device: DeviceNo, book: BookNo, epoch: i64, after: Guid, limit: usize) -> Vec<MapRow>;
        fn unconfirmed_maps(device: DeviceNo, book: BookNo, epoch: i64, limit: usize) -> Vec<MapRow>;
        fn differences(
            pair: (DeviceNo, BookNo),
            epoch: i64,
            after: Revision,
            upto: Revision,
            limit: usize,
        ) -> Vec<(ItemRow<'static>, Option<MapRow>)>;
        fn count_differences(pair: (DeviceNo, BookNo), epoch: i64, after: Revision, upto: Revision) -> u64;
        fn lens(lens: LensNo) -> Option<Vec<u8>>;
        fn put_lens(lens: LensNo, value: &[u8]) -> ();
        fn outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> Vec<Option<OutgoingRow>>;
        fn outgoing_page(device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Vec<OutgoingRow>;
        fn outgoing_by_ref(
            device: DeviceNo,
            token: &Token,
            refs: &[SentRef],
        ) -> Vec<Option<(BookNo, OutgoingRow)>>;
        fn outgoing_by_view(device: DeviceNo, book: BookNo, views: &[ViewFp]) -> Vec<Option<OutgoingRow>>;
        fn put_outgoing(device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> ();
        fn drop_outgoing(device: DeviceNo, book: BookNo, guids: &[Guid]) -> ();
        fn clear_outgoing(device: DeviceNo, book: BookNo) -> ();
        fn stage(device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> ();
        fn staged(device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Vec<StagedRow>;
        fn staged_under(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Vec<Option<StagedRow>>;
        fn drop_staged(device: DeviceNo, book: BookNo, seqs: &[i64]) -> ();
        fn unstage(device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> ();
        fn count_staged(device: DeviceNo, book: BookNo, op: Op) -> u64;
        fn append_blob(blob: Option<BlobNo>, bytes: &[u8]) -> BlobNo;
        fn blob(blob: BlobNo) -> Option<BlobRow>;
        fn read_blob(blob: BlobNo, from: u64, limit: usize) -> Vec<u8>;
        fn cut_blob(blob: BlobNo, len: u64) -> ();
        fn drop_blobs(blobs: &[BlobNo]) -> ();
        fn blob_bytes() -> u64;
        fn partial(device: DeviceNo, book: BookNo, direction: Direction) -> Option<PartialRow>;
        fn put_partial(device: DeviceNo, book: BookNo, row: &PartialRow) -> ();
        fn drop_partial(device: DeviceNo, book: BookNo, direction: Direction) -> ();
        fn errands(device: DeviceNo, from: i64, limit: usize) -> Vec<(i64, Vec<u8>)>;
        fn put_errand(device: DeviceNo, no: i64, content: &[u8]) -> ();
        fn drop_errands(device: DeviceNo) -> ();
    }

    // Not counted: no schedule loads or dumps a store.

    fn books(&mut self) -> Result<Vec<BookRow>> {
        self.inner.books()
    }

    fn adopt_book(&mut self, row: &BookRow) -> Result<()> {
        self.inner.adopt_book(row)
    }

    fn put_past(&mut self, book: BookNo, rows: &[RevisionRow]) -> Result<()> {
        self.inner.put_past(book, rows)
    }

    fn all_maps(&mut self, device: DeviceNo, book: BookNo, after: (i64, &str), limit: usize) -> Result<Vec<MapRow>> {
        self.inner.all_maps(device, book, after, limit)
    }

    // Not counted: no schedule searches.

    fn words_upto(&mut self) -> Result<Vec<(BookNo, Revision)>> {
        self.inner.words_upto()
    }

    fn put_words(&mut self, book: BookNo, rows: &[ItemTerms], upto: Revision) -> Result<()> {
        self.inner.put_words(book, rows, upto)
    }

    fn by_words(&mut self, book: Option<BookNo>, want: &TermQuery, after: i64, limit: usize) -> Result<Vec<Place>> {
        self.inner.by_words(book, want, after, limit)
    }

    // Not counted: conflicts come with the items that decided them, and recorded schedules keep their places.

    fn conflicts(&mut self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<ConflictRow>> {
        self.inner.conflicts(book, before, limit)
    }

    fn conflicts_at(&mut self, book: BookNo, which: &[Revision]) -> Result<Vec<Option<ConflictRow>>> {
        self.inner.conflicts_at(book, which)
    }

    fn put_conflicts(&mut self, book: BookNo, rows: &[ConflictRow]) -> Result<()> {
        self.inner.put_conflicts(book, rows)
    }

    // Not counted: whoever notes news has just put a book, and recorded schedules keep their places.

    fn mark_dirty(&mut self, book: BookNo) -> Result<()> {
        self.inner.mark_dirty(book)
    }

    fn clear_dirty(&mut self, device_id: &str, book: BookNo) -> Result<()> {
        self.inner.clear_dirty(device_id, book)
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        self.tap.call("put_session")?;
        self.tap.put_session(self.inner, row)
    }

    fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        self.tap.call("put_pair")?;
        self.tap.put_pair(self.inner, row)
    }

    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        self.tap.call("insert_items")?;
        self.tap.insert_items(self.inner, book, rows)
    }

    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        self.tap.call("put_maps")?;
        self.tap.put_maps(self.inner, device, book, rows)
    }
}

/// How a store is made to fail, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreFault {
    /// At a call, counted from 0: the step is rolled back.
    AtCall(u32),
    /// When all was done but the commit: the step is rolled back.
    BeforeCommit,
    /// After the commit: all is durable, and the caller sees a failure.
    AfterCommit,
    /// No failure: the step is run, rolled back and run again, as after a conflict of writers.
    Rerun,
}

/// What a store was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Calls.
    pub calls: u64,
    /// Rows that it gave.
    pub rows: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.rows += other.rows;
    }
}

/// A store that fails when told to, and counts its work.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    armed: Option<StoreFault>,
    calls: u32,
    fired: bool,
    /// Since [`FaultStore::take_work`].
    work: Work,
}

impl Plan {
    fn fire(&mut self, fault: StoreFault) -> bool {
        if self.armed != Some(fault) {
            return false;
        }
        self.armed = None;
        self.fired = true;
        true
    }
}

impl std::fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultStore")
    }
}

impl FaultStore {
    /// A store that works as `inner` does until [`arm`](Self::arm).
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// Makes one of the next steps fail; calls are counted from now on.
    pub fn arm(&self, fault: StoreFault) {
        let mut plan = self.plan();
        *plan = Plan { armed: Some(fault), calls: 0, fired: false, work: plan.work };
    }

    /// Makes no more steps fail; tells whether one did since [`arm`](Self::arm).
    pub fn disarm(&self) -> bool {
        let mut plan = self.plan();
        plan.armed = None;
        std::mem::take(&mut plan.fired)
    }

    /// What was asked of it since it was asked this.
    pub fn take_work(&self) -> Work {
        std::mem::take(&mut self.plan().work)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self, fault: StoreFault) -> bool {
        self.plan().fire(fault)
    }
}

struct Countdown<'s>(&'s FaultStore);

impl Observer for Countdown<'_> {
    fn before(&mut self, name: &'static str) -> Result<()> {
        let mut plan = self.0.plan();
        let at = plan.calls;
        plan.calls += 1;
        plan.work.calls += 1;
        if plan.fire(StoreFault::AtCall(at)) { Err(injected(name)) } else { Ok(()) }
    }

    fn after(&mut self, _: usize, read: std::result::Result<usize, &StoreError>) -> Result<()> {
        self.0.plan().work.rows += read.map_or(0, |rows| rows as u64);
        Ok(())
    }
}

fn injected(place: &str) -> StoreError {
    StoreError::Failed(format!("made to fail at {place}"))
}

impl Store for FaultStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        if self.fire(StoreFault::Rerun) {
            self.inner.step(account, &mut |tx| work(tx).map(|_| Verdict::Rollback))?;
        }
        let mut wrote = false;
        self.inner.step(account, &mut |tx| {
            let verdict = work(&mut Watched::new(tx, &mut Countdown(self)))?;
            wrote = verdict == Verdict::Commit;
            if wrote && self.fire(StoreFault::BeforeCommit) {
                return Err(injected("commit"));
            }
            Ok(verdict)
        })?;
        if wrote && self.fire(StoreFault::AfterCommit) { Err(injected("the end of the commit")) } else { Ok(()) }
    }

    fn directory(&self) -> &dyn Directory {
        self.inner.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.inner.keys()
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.inner.rotate_keys(since)
    }
}
