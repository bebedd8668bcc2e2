//! An address book of the host's own, behind six functions.

use crate::account::SyncmlStore;
use crate::code::{Failure, SyncmlCode, call};
use crate::given::{bytes, put, shared, text, unique};
use std::ffi::{CString, c_char, c_void};
use syncml::message::Timestamp;
use syncml::store::replica::{Applied, Book, BookOp, Entry, ReplicaOptions, ReplicaReport, collect, deliver};
use syncml::store::{AccountNo, BookNo};

/// A function of a book did what it was asked.
pub const SYNCML_BOOK_DONE: i32 = 0;
/// It did nothing: the entry is not there, or is no longer at the version it was to have.
pub const SYNCML_BOOK_OTHERWISE: i32 = 1;
/// It failed; `syncml_sink_error` says why.
pub const SYNCML_BOOK_FAILED: i32 = -1;

/// An address book of the host's own. Its functions answer one of `SYNCML_BOOK_…` and hand what they find to the sink; they are
/// called during `syncml_book_collect` and `syncml_book_deliver` only, on the thread that called these.
///
/// An entry has an id, and a version that changes whenever its content does, such as a counter or a digest.
#[repr(C)]
pub struct SyncmlBook {
    /// Handed to each function.
    pub context: *mut c_void,
    /// Names every entry, each by `syncml_sink_entry`. A book that cannot be found has failed; it is never empty.
    pub entries: Option<unsafe extern "C" fn(context: *mut c_void, sink: *mut SyncmlSink) -> i32>,
    /// Names one entry, if it is there.
    pub version: Option<unsafe extern "C" fn(context: *mut c_void, id: *const c_char, sink: *mut SyncmlSink) -> i32>,
    /// Gives the content of an entry by `syncml_sink_content`, if it is there.
    pub read: Option<unsafe extern "C" fn(context: *mut c_void, id: *const c_char, sink: *mut SyncmlSink) -> i32>,
    /// Stores a new entry and names it. The same key comes again where a crash left it open whether it was stored.
    pub add: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            key: *const c_char,
            content: *const u8,
            length: usize,
            sink: *mut SyncmlSink,
        ) -> i32,
    >,
    /// Gives an entry new content and names it, if it still has the version.
    pub replace: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            id: *const c_char,
            version: *const u8,
            version_length: usize,
            content: *const u8,
            length: usize,
            sink: *mut SyncmlSink,
        ) -> i32,
    >,
    /// Removes an entry, if it still has the version.
    pub remove: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            id: *const c_char,
            version: *const u8,
            version_length: usize,
            sink: *mut SyncmlSink,
        ) -> i32,
    >,
}

/// Where a function of a book puts what it found. Good during that function only.
#[derive(Default)]
pub struct SyncmlSink {
    entries: Vec<Entry>,
    content: Vec<u8>,
    error: Option<String>,
}

/// What was done in a book.
#[repr(C)]
#[derive(Default)]
pub struct SyncmlCounts {
    /// Entries added.
    pub added: u64,
    /// Entries changed.
    pub changed: u64,
    /// Entries deleted.
    pub deleted: u64,
    /// Entries that both sides had changed.
    pub conflicts: u64,
    /// Entries that could not be read or brought up to date; `syncml_last_error` says why of the first of them.
    pub skipped: u64,
}

/// Names an entry.
///
/// # Safety
/// `sink` is one; `id` is a text; `version` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_sink_entry(
    sink: *mut SyncmlSink,
    id: *const c_char,
    version: *const u8,
    version_length: usize,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (sink, id, version) =
            unsafe { (unique(sink, "sink")?, text(id, "id")?, bytes(version, version_length, "version")?) };
        sink.entries.push(Entry { id: id.to_owned(), version: version.to_vec() });
        Ok(SyncmlCode::Ok)
    })
}

/// Gives content, or the next piece of it.
///
/// # Safety
/// `sink` is one; `content` has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_sink_content(sink: *mut SyncmlSink, content: *const u8, length: usize) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (sink, content) = unsafe { (unique(sink, "sink")?, bytes(content, length, "content")?) };
        sink.content.extend_from_slice(content);
        Ok(SyncmlCode::Ok)
    })
}

/// Says why a function of a book fails: a sentence for its user.
///
/// # Safety
/// `sink` is one; `sentence` is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_sink_error(sink: *mut SyncmlSink, sentence: *const c_char) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (sink, sentence) = unsafe { (unique(sink, "sink")?, text(sentence, "sentence")?) };
        sink.error = Some(sentence.to_owned());
        Ok(SyncmlCode::Ok)
    })
}

/// Brings what the own book's user did into the store. To be called before a session.
///
/// # Safety
/// `store` is open; `own` is a book; `counts` can be written to, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_book_collect(
    store: *const SyncmlStore,
    account: i64,
    book: i64,
    own: *const SyncmlBook,
    allow_mass_delete: bool,
    now: i64,
    counts: *mut SyncmlCounts,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, own) = unsafe { (shared(store, "store")?, shared(own, "own")?) };
        let options = ReplicaOptions::default().allow_mass_delete(allow_mass_delete);
        let (account, book, now) = (AccountNo(account), BookNo(book), Timestamp(now));
        let report = collect(store.store.as_ref(), account, book, &mut Own(own), &options, now)?;
        // SAFETY: the caller's.
        unsafe { tell(&report, counts) }
    })
}

/// Brings what others did into the own book. To be called after a session.
///
/// # Safety
/// As for `syncml_book_collect`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_book_deliver(
    store: *const SyncmlStore,
    account: i64,
    book: i64,
    own: *const SyncmlBook,
    now: i64,
    counts: *mut SyncmlCounts,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, own) = unsafe { (shared(store, "store")?, shared(own, "own")?) };
        let (account, book, now) = (AccountNo(account), BookNo(book), Timestamp(now));
        let report = deliver(store.store.as_ref(), account, book, &mut Own(own), &ReplicaOptions::default(), now)?;
        // SAFETY: the caller's.
        unsafe { tell(&report, counts) }
    })
}

/// # Safety
/// `counts` can be written to, or is NULL.
unsafe fn tell(report: &ReplicaReport, counts: *mut SyncmlCounts) -> Result<SyncmlCode, Failure> {
    if !counts.is_null() {
        let told = SyncmlCounts {
            added: report.added,
            changed: report.changed,
            deleted: report.deleted,
            conflicts: report.conflicts,
            skipped: report.skipped.len() as u64,
        };
        // SAFETY: the caller's.
        unsafe { put(counts, told, "counts") }?;
    }
    if let Some((id, why)) = report.skipped.first() {
        crate::code::keep(&format!("{id}: {why}"));
    }
    Ok(SyncmlCode::Ok)
}

/// A [`SyncmlBook`] as the engine asks it.
struct Own<'b>(&'b SyncmlBook);

/// What a function of a book came to: `None` where it did nothing.
type Told = Result<Option<SyncmlSink>, String>;

impl Own<'_> {
    /// Calls one of its functions, if it has it, with a sink.
    fn ask<F>(
        &self,
        function: Option<F>,
        name: &str,
        ask: impl FnOnce(F, *mut c_void, *mut SyncmlSink) -> i32,
    ) -> Told {
        let function = function.ok_or_else(|| format!("the book has no function {name}"))?;
        let mut sink = SyncmlSink::default();
        match ask(function, self.0.context, &mut sink) {
            SYNCML_BOOK_DONE => Ok(Some(sink)),
            SYNCML_BOOK_OTHERWISE => Ok(None),
            _ => Err(sink.error.unwrap_or_else(|| format!("the book's function {name} failed"))),
        }
    }

    /// The one entry that was to be named.
    fn named(told: Told, name: &str) -> Result<Option<Entry>, String> {
        let Some(mut sink) = told? else { return Ok(None) };
        match (sink.entries.pop(), sink.entries.is_empty()) {
            (Some(entry), true) => Ok(Some(entry)),
            _ => Err(format!("the book's function {name} has to name one entry")),
        }
    }

    fn applied(&self, op: &BookOp<'_>) -> Result<Applied, String> {
        let named = match op {
            BookOp::Add { key, content } => {
                let key = c_text(key)?;
                let told = self.ask(self.0.add, "add", |add, context, sink| {
                    // SAFETY: who made the book says that it can be called so; all is there until it returns.
                    unsafe { add(context, key.as_ptr(), content.as_ptr(), content.len(), sink) }
                });
                Self::named(told, "add")?.ok_or("the book's function add did nothing")?.into()
            }
            BookOp::Replace { id, expected, content } => {
                let id = c_text(id)?;
                let (version, size) = (expected.as_ptr(), expected.len());
                let told = self.ask(self.0.replace, "replace", |replace, context, sink| {
                    // SAFETY: as above.
                    unsafe { replace(context, id.as_ptr(), version, size, content.as_ptr(), content.len(), sink) }
                });
                Self::named(told, "replace")?
            }
            BookOp::Delete { id, expected } => {
                let c_id = c_text(id)?;
                let told = self.ask(self.0.remove, "remove", |remove, context, sink| {
                    // SAFETY: as above.
                    unsafe { remove(context, c_id.as_ptr(), expected.as_ptr(), expected.len(), sink) }
                });
                told?.map(|_| Entry { id: (*id).to_owned(), version: expected.to_vec() })
            }
        };
        Ok(named.map_or(Applied::Changed, Applied::Done))
    }
}

impl Book for Own<'_> {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        let told = self.ask(self.0.entries, "entries", |entries, context, sink| {
            // SAFETY: who made the book says that it can be called so; the sink is there until it returns.
            unsafe { entries(context, sink) }
        });
        told?.map(|sink| sink.entries).ok_or_else(|| "the book is not there".to_owned())
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        let one = |id: &&str| {
            let id = c_text(id)?;
            let told = self.ask(self.0.version, "version", |version, context, sink| {
                // SAFETY: as above; the id, too.
                unsafe { version(context, id.as_ptr(), sink) }
            });
            Ok(Self::named(told, "version")?.map(|entry| entry.version))
        };
        ids.iter().map(one).collect()
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        let id = c_text(id)?;
        let told = self.ask(self.0.read, "read", |read, context, sink| {
            // SAFETY: as above.
            unsafe { read(context, id.as_ptr(), sink) }
        });
        Ok(told?.map(|sink| sink.content))
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        ops.iter().map(|op| self.applied(op)).collect()
    }
}

fn c_text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a NUL in it"))
}
