//! Stores, and who has an account there.

use crate::code::{Failure, SyncmlCode, call};
use crate::given::{free, optional, put, shared, text};
use std::ffi::c_char;
use std::sync::Arc;
use syncml::auth::{Secret, Verifier};
use syncml::store::Store;
use syncml::store::sqlite::SqliteStore;

/// Where books rest: an SQLite database. Many threads may use it at once.
pub struct SyncmlStore {
    pub(crate) store: Arc<dyn Store>,
}

/// Opens the database at `path`, and makes it if it is not there; NULL is one in memory, gone when it is closed. To be closed
/// with `syncml_store_close`.
///
/// # Safety
/// `path` is a text or NULL; `store` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_store_open(path: *const c_char, store: *mut *mut SyncmlStore) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let opened = match unsafe { optional(path, "path") }? {
            Some(path) => SqliteStore::open(path)?,
            None => SqliteStore::open_in_memory()?,
        };
        if store.is_null() {
            return Err(Failure::argument("store is NULL"));
        }
        let opened = Box::into_raw(Box::new(SyncmlStore { store: Arc::new(opened) }));
        // SAFETY: the caller's.
        unsafe { put(store, opened, "store") }?;
        Ok(SyncmlCode::Ok)
    })
}

/// Closes a store. Servers and clients that were made of it keep it open until they are freed.
///
/// # Safety
/// `store` comes from `syncml_store_open` and was not closed yet, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_store_close(store: *mut SyncmlStore) {
    let _ = call(|| {
        // SAFETY: the caller's.
        unsafe { free(store) };
        Ok(SyncmlCode::Ok)
    });
}

/// Makes an account, or gives it another password; `account` receives its number, and may be NULL. A client keeps its own books
/// under an account of its own store, whose password nobody asks for.
///
/// # Safety
/// `store` is open; `name` and `password` are texts; `account` can be written to, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_account_add(
    store: *const SyncmlStore,
    name: *const c_char,
    password: *const c_char,
    account: *mut i64,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, name, password) =
            unsafe { (shared(store, "store")?, text(name, "name")?, text(password, "password")?) };
        let password = Secret::new(password.to_owned());
        let number = store.store.directory().put_login(name, &Verifier::Password(password))?;
        if !account.is_null() {
            // SAFETY: the caller's.
            unsafe { put(account, number.0, "account") }?;
        }
        Ok(SyncmlCode::Ok)
    })
}

/// The number of an account; `SYNCML_CODE_NOT_FOUND` if there is none of that name.
///
/// # Safety
/// `store` is open; `name` is a text; `account` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_account_find(
    store: *const SyncmlStore,
    name: *const c_char,
    account: *mut i64,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, name) = unsafe { (shared(store, "store")?, text(name, "name")?) };
        let login = store.store.directory().login(name)?;
        let login = login.ok_or_else(|| Failure::new(SyncmlCode::NotFound, format!("there is no account {name:?}")))?;
        // SAFETY: the caller's.
        unsafe { put(account, login.account.0, "account") }?;
        Ok(SyncmlCode::Ok)
    })
}
