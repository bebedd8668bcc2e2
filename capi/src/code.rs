//! What a call came to, and why.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use syncml::session::ClientError;
use syncml::store::StoreError;
use syncml::store::replica::ReplicaError;

/// What a call came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncmlCode {
    /// Done.
    Ok = 0,
    /// There is nothing more to do: the session is over.
    Over = 1,
    /// An argument is missing or wrong. Nothing was done.
    Argument = 2,
    /// What was named is not there.
    NotFound = 3,
    /// The store failed.
    Store = 4,
    /// The own book failed, in its own words. What was done before stays done.
    Book = 5,
    /// The own book lost more entries than a person deletes. Nothing was deleted; say `allow_mass_delete` if it was meant.
    MassDelete = 6,
    /// The request gets no SyncML answer. The reply bears the HTTP status, its body is a sentence for people.
    Refused = 7,
    /// The session ended early. What was done so far stays done, the next session does the rest.
    Session = 8,
    /// The library failed. What it was called with is of no more use; free it.
    Fault = 9,
}

/// Why a call failed.
pub(crate) struct Failure {
    code: SyncmlCode,
    text: String,
}

impl Failure {
    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(SyncmlCode::Argument, text)
    }

    pub(crate) fn new(code: SyncmlCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(SyncmlCode::Store, error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(SyncmlCode::Session, error.to_string())
    }
}

impl From<ReplicaError> for Failure {
    fn from(error: ReplicaError) -> Self {
        let code = match error {
            ReplicaError::Store(_) => SyncmlCode::Store,
            ReplicaError::MassDelete { .. } => SyncmlCode::MassDelete,
            _ => SyncmlCode::Book,
        };
        Self::new(code, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Keeps a sentence for [`syncml_last_error`].
pub(crate) fn keep(text: &str) {
    // A NUL cannot be in a C text.
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    LAST.with(|last| *last.borrow_mut() = text);
}

/// Runs a call's work; its failure is kept, and a panic is one.
pub(crate) fn call(work: impl FnOnce() -> Result<SyncmlCode, Failure>) -> SyncmlCode {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            keep(&failure.text);
            failure.code
        }
        Err(_) => {
            keep("the library failed; what it was called with is of no more use");
            SyncmlCode::Fault
        }
    }
}

/// Why the last call of this thread that failed did so: a sentence, which is good until this thread calls the library again. It
/// is never NULL, and empty if nothing failed yet.
#[unsafe(no_mangle)]
pub extern "C" fn syncml_last_error() -> *const c_char {
    LAST.with(|last| last.borrow().as_ptr())
}

/// The version of the library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn syncml_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
