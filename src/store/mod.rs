//! Where books rest: the traits every store implements, the rows they carry, and the stores that ship.
//!
//! A message is one transaction ([`Store::step`]): what it did, the state after it and its answer become durable
//! together or not at all. A step belongs to one account and sees nothing of any other, so that tables can be
//! partitioned or sharded by account without a change. Everything is batched: one call for all rows of a message.
//!
//! Enters: rows and ids. Leaves: rows. Decisions are made elsewhere (`sync`), and every writer of a book goes through
//! one door ([`BookWriter`]), which numbers revisions under the book's lock.

pub mod archive;
pub mod audit;
mod blob;
mod draft;
mod error;
pub mod fault;
pub mod history;
pub mod large;
pub mod memory;
mod methods;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod replica;
mod rows;
pub mod search;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub(crate) mod watch;
mod writer;
mod written;

pub use audit::AuditRow;
pub use error::StoreError;
pub(crate) use methods::TX_METHODS;
pub use rows::{
    AccountNo, Blob, BlobNo, BlobRow, BookNo, BookRow, ConflictRow, DeviceNo, DeviceRow, Direction, Guid, Hold,
    HoldReason, ItemRow, KeySet, Keys, LensNo, Login, MapRow, MapState, NewStaged, OutgoingRow, OutgoingState, PairRow,
    PartialRow, PastRow, Phase, Principal, PrincipalKind, RestoreRow, Revision, RevisionRow, SentRef, SessionRow,
    StagedRow, Token, ViewFp, Winner,
};
pub use writer::{BookWriter, Draft};

use crate::contact::search::TermQuery;
use crate::message::{Op, Timestamp};
use search::{ItemTerms, Place};

/// What every call on a store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How many generations of keys a store keeps: with one more each day, a session may take two days.
pub const KEYS_KEPT: u32 = 3;

/// What a step wants done with its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Make it durable.
    Commit,
    /// Forget it; used by refusals, which leave no trace.
    Rollback,
}

/// A store: transactions over accounts, and the directory of who may use them.
pub trait Store: Send + Sync {
    /// Runs one step of `account`. All that `work` did through the [`Tx`] is durable when this returns `Ok`, and gone
    /// when `work` asked for [`Verdict::Rollback`] or anything failed.
    ///
    /// Steps that write the same book do not overlap: [`Tx::lock_books`] waits, and what is loaded after it is current.
    /// `work` may be run again from the start after a conflict, so it must not keep anything from an earlier run.
    ///
    /// # Errors
    /// Whatever `work` returned, or the store's own failure; in both cases nothing was changed.
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()>;

    /// Looks at an account as it was last committed, without waiting for a writer where the store can do that. `work`
    /// must not write or lock; what it writes all the same is refused or forgotten.
    ///
    /// # Errors
    /// Whatever `work` returned, or the store's own failure.
    fn look(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.step(account, &mut |tx| work(tx).map(|()| Verdict::Rollback))
    }

    /// The directory of accounts, logins and platforms, readable without waiting for a writer.
    fn directory(&self) -> &dyn Directory;

    /// The keys shared by all nodes of this store: the first are made at random when the store is created.
    ///
    /// # Errors
    /// The store's own failure.
    fn keys(&self) -> Result<Keys>;

    /// Makes new keys at random, with the next number, that sign from `since` on, and forgets all but the [`KEYS_KEPT`]
    /// newest. What was opened by keys that are forgotten has to authenticate again. Nodes look for new keys once a minute:
    /// let `since` be two minutes ahead, so that all know them before the first signs with them.
    ///
    /// # Errors
    /// The store's own failure; [`StoreError::Failed`] of one whose keys are not its own affair.
    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        let _ = since;
        Err(StoreError::Failed("this store does not make keys".to_owned()))
    }
}

/// Who may speak for whom. A carrier may plug in its own subscribers here; the stores that ship implement
/// [`Directory`], which adds the writes.
pub trait Subscribers: Send + Sync {
    /// The login of that name.
    ///
    /// # Errors
    /// The directory's own failure; an unknown name is `None`.
    fn login(&self, name: &str) -> Result<Option<Login>>;

    /// The shared-secret verifiers of a device id, if it is a known platform or handset (mission S3).
    ///
    /// # Errors
    /// The directory's own failure; an unknown device is `None`.
    fn principal(&self, device_id: &str) -> Result<Option<Principal>>;

    /// The account of that name, if the device has been granted it (mission S2).
    ///
    /// # Errors
    /// The directory's own failure; an unknown or not granted account is `None`.
    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>>;
}

/// The directory that a store keeps itself.
pub trait Directory: Subscribers {
    /// Creates the account with one login of the same name, or sets that login's verifier anew.
    ///
    /// # Errors
    /// The store's own failure.
    fn put_login(&self, name: &str, verifier: &crate::auth::Verifier) -> Result<AccountNo>;

    /// The number of an account.
    ///
    /// # Errors
    /// The store's own failure.
    fn account(&self, name: &str) -> Result<Option<AccountNo>>;

    /// All accounts by name, in ascending order.
    ///
    /// # Errors
    /// The store's own failure.
    fn accounts(&self) -> Result<Vec<(String, AccountNo)>>;

    /// Creates or replaces a platform or handset that authenticates by its device id.
    ///
    /// # Errors
    /// The store's own failure.
    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()>;

    /// The ids of all devices that authenticate so, in ascending order.
    ///
    /// # Errors
    /// The store's own failure.
    fn principals(&self) -> Result<Vec<String>>;

    /// Lets a device speak for an account, or no longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account or device.
    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()>;

    /// The devices granted each account, and the accounts of each device: (device id, account name), ascending.
    ///
    /// # Errors
    /// The store's own failure.
    fn grants(&self) -> Result<Vec<(String, String)>>;

    /// Books with news for a device, of all accounts that it was granted: those that changed, or were there when it was
    /// granted them, and were not synced to the end since. Ascending by (account, book) after `after`, at most `limit`;
    /// the cost is that of what is answered, whatever the number of accounts.
    ///
    /// # Errors
    /// The store's own failure.
    fn dirty(&self, device_id: &str, after: (AccountNo, BookNo), limit: usize) -> Result<Vec<Dirty>>;

    /// What was done ([`Tx::audit`]), of all accounts: ascending by (time, number) after `after`, at most `limit`.
    ///
    /// # Errors
    /// The store's own failure.
    fn audit(&self, after: (Timestamp, i64), limit: usize) -> Result<Vec<AuditRow>>;
}

/// A book that has news for a device that was granted its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// The account's name.
    pub name: String,
    /// The account.
    pub account: AccountNo,
    /// The book.
    pub book: BookNo,
}

/// How to find a session.
#[derive(Clone, Copy, Debug)]
pub enum SessionKey<'a> {
    /// By the token of its RespURI.
    Token(&'a Token),
    /// By what the client chose; a guess, so the message must authenticate itself.
    Ids(DeviceNo, &'a str),
}

/// The number under which a program or service of the host writes: an origin with a name ([`DeviceRow::local`]), made
/// when it is not there yet. To be asked for before books are locked.
///
/// # Errors
/// The store's own failure.
pub fn local_origin(tx: &mut dyn Tx, name: &str, now: Timestamp) -> Result<DeviceNo> {
    let row = DeviceRow::local(name, now);
    match tx.device(&row.device_id)? {
        Some(known) => Ok(known.device),
        None => tx.put_device(&row),
    }
}

/// One transaction of one account. Slices in, vectors aligned with them out.
///
/// Every method fails with the store's own failure only; what is not there is `None`. After a failure the step cannot
/// commit any more, since part of a batch may be written.
#[allow(clippy::missing_errors_doc)]
pub trait Tx {
    // Devices of this account.

    /// The device of that id.
    fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>>;
    /// The device of that number.
    fn device_by_no(&mut self, device: DeviceNo) -> Result<Option<DeviceRow>>;
    /// All devices, ascending by number.
    fn devices(&mut self) -> Result<Vec<DeviceRow>>;
    /// Inserts (when `row.device` is [`DeviceNo::NEW`] and the device id unknown) or updates; returns the number.
    fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo>;

    // Sessions.

    /// The session, with its row locked.
    fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>>;
    /// Inserts or updates by token.
    fn put_session(&mut self, row: &SessionRow) -> Result<()>;
    /// Removes the sessions of `device` other than `keep` that share a book with `books` or have none yet
    /// ([`SessionRow::books`]), with their queued statuses, and returns how many: a new session supersedes an older one
    /// about the same books, and who has alerted no book has nothing to lose.
    fn drop_rival_sessions(&mut self, device: DeviceNo, books: &[BookNo], keep: &Token) -> Result<u64>;
    /// How many sessions a device has, those that are over included.
    fn count_sessions(&mut self, device: DeviceNo) -> Result<u64>;
    /// Removes sessions whose deadline is before `now`, unless another step holds them; returns how many.
    fn expire_sessions(&mut self, now: Timestamp) -> Result<usize>;
    /// Appends statuses that did not fit into a reply.
    fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()>;
    /// The first `limit` queued statuses in their order, with their sequence numbers.
    fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>>;
    /// Removes queued statuses up to and including a sequence number.
    fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()>;

    /// Adds a row to what was done. Its number and account are the store's to give. Nothing changes or removes such rows.
    fn audit(&mut self, row: &AuditRow) -> Result<()>;

    // Books.

    /// Locks the books and returns their rows, creating what is missing. Call once per step, with ascending numbers,
    /// before reading anything of a book that a decision depends on.
    fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>>;
    /// The row of a book without locking it, for readers.
    fn book(&mut self, book: BookNo) -> Result<Option<BookRow>>;
    /// Updates a locked book's row. Its `stamp` and `indexed` are the store's own and stay; its head never goes back.
    /// Fails with [`StoreError::Corrupt`] when the step has not locked the book, as do all writes of items.
    fn put_book(&mut self, row: &BookRow) -> Result<()>;

    /// All books, ascending by number.
    fn books(&mut self) -> Result<Vec<BookRow>>;
    /// Gives a locked book whose head is still 0 the row that it has elsewhere, its `stamp` included, but for `indexed`: the
    /// last step of loading a book ([`archive`]). Fails with [`StoreError::Corrupt`] where the head is another.
    fn adopt_book(&mut self, row: &BookRow) -> Result<()>;

    /// Notes that a locked book has news for every device that was granted this account
    /// ([`Directory::dirty`]). At most one row for each of them, and none where it is noted already: usually one platform,
    /// once between two of its syncs.
    fn mark_dirty(&mut self, book: BookNo) -> Result<()>;
    /// Notes that a device has all there is of a locked book.
    fn clear_dirty(&mut self, device_id: &str, book: BookNo) -> Result<()>;

    // Items. Writers use `BookWriter`.

    /// Current items.
    fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>>;
    /// Inserts new items. Their revisions, and those of updates, must be newer than the book's head as it is stored.
    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()>;
    /// Replaces current items in their order; what each held before moves to the superseded revisions.
    fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()>;
    /// Items with `after < revision <= upto`, ascending by revision, tombstones included, at most `limit`.
    fn changes(&mut self, book: BookNo, after: Revision, upto: Revision, limit: usize)
    -> Result<Vec<ItemRow<'static>>>;
    /// What an item held as of a revision of it, current or superseded; `None` when purged or never there.
    fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>>;
    /// Superseded revisions of an item, newest first.
    fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>>;
    /// What items held when the book was at revision `at`, tombstones included; `None` for what was not there yet or is
    /// purged.
    fn as_of(&mut self, book: BookNo, at: Revision, guids: &[Guid]) -> Result<Vec<Option<RevisionRow>>>;
    /// The items that were there, or had been, when the book was at revision `at`, with what they held then as in
    /// [`as_of`](Self::as_of): ascending by guid after `after`, at most `limit`.
    fn states(
        &mut self,
        book: BookNo,
        at: Revision,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<(Guid, Option<RevisionRow>)>>;
    /// The revisions of an item, or of all of the book, current and superseded, before `before`: newest first, at most
    /// `limit`.
    fn log(&mut self, book: BookNo, of: Option<Guid>, before: Revision, limit: usize) -> Result<Vec<RevisionRow>>;
    /// Superseded revisions of a book after `after`, ascending by number, at most `limit`. Those of each item's `newest`
    /// last ones are marked.
    fn superseded(&mut self, book: BookNo, after: Revision, newest: usize, limit: usize) -> Result<Vec<PastRow>>;
    /// Removes superseded revisions of a locked book, with the large contents that nothing refers to any more. Whoever
    /// does that raises [`BookRow::purged_upto`].
    fn purge(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<()>;
    /// Inserts superseded revisions of a locked book as they were elsewhere ([`archive`]); those of today come there by
    /// [`update_items`](Self::update_items).
    fn put_past(&mut self, book: BookNo, rows: &[RevisionRow]) -> Result<()>;
    /// The conflicts of a book that were decided before `before`, newest first, at most `limit`.
    fn conflicts(&mut self, book: BookNo, before: Revision, limit: usize) -> Result<Vec<ConflictRow>>;
    /// The conflicts that these revisions of a book decided.
    fn conflicts_at(&mut self, book: BookNo, which: &[Revision]) -> Result<Vec<Option<ConflictRow>>>;
    /// Notes conflicts of a locked book. What is known of a revision already stays. They go with what they lost, and those that
    /// lost nothing with their revision ([`purge`](Self::purge)).
    fn put_conflicts(&mut self, book: BookNo, rows: &[ConflictRow]) -> Result<()>;
    /// The restores of a book, newest first, at most `limit`.
    fn restores(&mut self, book: BookNo, limit: usize) -> Result<Vec<RestoreRow>>;
    /// Inserts or updates a restore by its id.
    fn put_restore(&mut self, book: BookNo, row: &RestoreRow) -> Result<()>;
    /// Live items with exactly this fingerprint, at most `limit` each, ascending by guid.
    fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>>;
    /// Live items that have the match key, at most `limit` each, ascending by guid. Complete only once the book is
    /// indexed ([`BookRow::indexed`]).
    fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>>;
    /// Live items whose folder is this one, after guid `after`, ascending.
    fn children(&mut self, book: BookNo, parent: Guid, after: Guid, limit: usize) -> Result<Vec<Guid>>;
    /// Indexes the match keys of up to `limit` more items; sets and returns [`BookRow::indexed`] when all are. The index
    /// is kept up by writes from then on.
    fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool>;

    // The index for search: made outside of syncs, by `search`.

    /// The books that were indexed, ascending, with the revision up to which all their changes are. The others never were.
    fn words_upto(&mut self) -> Result<Vec<(BookNo, Revision)>>;
    /// Puts items of a locked book under their terms, and no others; those without terms leave the index. Notes that all
    /// changes up to a revision are in it.
    fn put_words(&mut self, book: BookNo, rows: &[ItemTerms], upto: Revision) -> Result<()>;
    /// Indexed items of a book, or of all books, ascending by place after `after`, at most `limit`: all for which this holds, and
    /// maybe others.
    fn by_words(&mut self, book: Option<BookNo>, want: &TermQuery, after: i64, limit: usize) -> Result<Vec<Place>>;

    // Pairs and maps of a device and a book.

    /// The pair's row.
    fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>>;
    /// Inserts or updates a pair.
    fn put_pair(&mut self, row: &PairRow) -> Result<()>;
    /// Map entries by LUID, whatever their state.
    fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>>;
    /// Map entries by GUID that are not retired ([`MapState::Gone`]).
    fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>>;
    /// Inserts entries or updates them by (epoch, luid), in their order. An entry's guid never changes, and entries that
    /// are not retired are one-to-one: what would re-point one, or give an item a second, fails with
    /// [`StoreError::Corrupt`] (I3). A retired entry ([`MapState::Gone`]) gives its LUID free: a new one may take its
    /// place, as devices use LUIDs again.
    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()>;
    /// Copies entries of epoch `from` to epoch `to` whose luid and guid are both unknown there.
    fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()>;
    /// Removes all entries of epochs other than `keep`.
    fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()>;
    /// Entries of an epoch that are not retired, ascending by guid, after `after`.
    fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>>;

    /// Entries of all epochs and in any state, by epoch and then in an order of LUIDs that is the store's own: those after
    /// this epoch and LUID, at most `limit`. It begins at `(i64::MIN, "")`.
    fn all_maps(&mut self, device: DeviceNo, book: BookNo, after: (i64, &str), limit: usize) -> Result<Vec<MapRow>>;
    /// Entries of an epoch whose Map has no Status yet ([`MapState::Unconfirmed`]), at most `limit`, ascending by guid.
    fn unconfirmed_maps(&mut self, device: DeviceNo, book: BookNo, epoch: i64, limit: usize) -> Result<Vec<MapRow>>;
    /// What the peer is not agreed on among items with `after < revision <= upto`: items that have no entry, or a
    /// retired one, or one agreed at an earlier revision. A tombstone needs an entry to count. Ascending by revision,
    /// at most `limit`, each with its entry unless that is retired.
    fn differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>>;
    /// How many items [`differences`](Self::differences) would give without a limit.
    fn count_differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> Result<u64>;

    /// The value of a lens by the number under which pairs and map entries remember it.
    fn lens(&mut self, lens: LensNo) -> Result<Option<Vec<u8>>>;
    /// Keeps the value of a lens. What a number stands for never changes: where it is known already, nothing is written.
    fn put_lens(&mut self, lens: LensNo, value: &[u8]) -> Result<()>;

    // The ledger of what was sent and is not yet acknowledged.

    /// Open rows of these items.
    fn outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>>;
    /// Open rows, ascending by guid, after `after`.
    fn outgoing_page(&mut self, device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>>;
    /// The open rows that were sent under these references in a session.
    fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>>;
    /// Open Adds that were sent with this view, acknowledged or not, and have no Map yet.
    fn outgoing_by_view(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>>;
    /// Inserts or updates by guid.
    fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()>;
    /// Removes rows.
    fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()>;
    /// Removes all rows of a pair: a slow or refresh sync starts anew.
    fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()>;

    // Changes received and acknowledged that wait for the whole set (Settle).

    /// Appends staged changes; a later row of the same (epoch, luid) replaces the earlier one in place. Here as with all
    /// that removes staged rows, a large content that nothing refers to any more goes with them.
    fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()>;
    /// Staged rows in their order, after sequence number `after`.
    fn staged(&mut self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>>;
    /// What is staged under these ids in this epoch, in their order.
    fn staged_under(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<StagedRow>>>;
    /// Removes staged rows.
    fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()>;
    /// Removes what is staged under these ids in this epoch, because something newer is known of them.
    fn unstage(&mut self, device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Result<()>;
    /// How many rows are staged with this operation.
    fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64>;

    // Large contents, in pieces (DESIGN `blob`). Rows refer to them; what no row refers to is dropped by whoever took the
    // reference away. Nothing of them is ever in memory but a piece and what one call hands in or out.

    /// Appends bytes to a large content, or begins one, be it with none; returns its number. Must not be called once an
    /// item, revision or staged change refers to it.
    fn append_blob(&mut self, blob: Option<BlobNo>, bytes: &[u8]) -> Result<BlobNo>;
    /// Length and fingerprint by now.
    fn blob(&mut self, blob: BlobNo) -> Result<Option<BlobRow>>;
    /// At most `limit` bytes from an offset on; fewer only at the end.
    fn read_blob(&mut self, blob: BlobNo, from: u64, limit: usize) -> Result<Vec<u8>>;
    /// Cuts a large content to that length, as [`append_blob`](Self::append_blob) undone.
    fn cut_blob(&mut self, blob: BlobNo, len: u64) -> Result<()>;
    /// Removes the large contents to which no partial object, item, revision or staged change refers.
    fn drop_blobs(&mut self, blobs: &[BlobNo]) -> Result<()>;
    /// About how many bytes the large contents of this account take, those of the past and those on their way included:
    /// whole pieces count.
    fn blob_bytes(&mut self) -> Result<u64>;

    // Large objects of which only chunks are there.

    /// The object that is on its way, if any.
    fn partial(&mut self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<Option<PartialRow>>;
    /// Writes the row.
    fn put_partial(&mut self, device: DeviceNo, book: BookNo, row: &PartialRow) -> Result<()>;
    /// Removes the row. Its bytes stay, for the item that is made of them or for [`drop_blobs`](Self::drop_blobs).
    fn drop_partial(&mut self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<()>;

    // Errands ----------------------------------------------------------------------------------------------------

    /// What is to be done by a device, or was, by numbers from `from` on, ascending, at most `limit`. What stands in it is
    /// the affair of who wrote it ([`Errands`](crate::session::Errands)).
    fn errands(&mut self, device: DeviceNo, from: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>>;
    /// Inserts or updates an errand of a device by its number.
    fn put_errand(&mut self, device: DeviceNo, no: i64, content: &[u8]) -> Result<()>;
    /// Removes all errands of a device.
    fn drop_errands(&mut self, device: DeviceNo) -> Result<()>;
}
