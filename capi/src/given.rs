//! What is read from and written through the pointers that a caller gives.

use crate::code::Failure;
use std::ffi::{CStr, c_char};

/// A text that must be there.
///
/// # Safety
/// `text` is NULL, or points to bytes that end in NUL and stay as they are for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's.
    unsafe { optional(text, name) }?.ok_or_else(|| Failure::argument(format!("{name} is NULL")))
}

/// A text, unless it is NULL.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not NULL, and the caller says that it ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// So many bytes; of none the pointer may be NULL.
///
/// # Safety
/// `data` points to `length` bytes that stay as they are for `'a`, or is NULL.
pub(crate) unsafe fn bytes<'a>(data: *const u8, length: usize, name: &str) -> Result<&'a [u8], Failure> {
    match (data.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::argument(format!("{name} is NULL"))),
        (false, _) if length > isize::MAX as usize => Err(Failure::argument(format!("{name} is too long"))),
        // SAFETY: it is not NULL, no longer than anything can be, and the caller says that so many bytes are there.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(data, length) }),
    }
}

/// What a pointer points to.
///
/// # Safety
/// `it` is NULL, or points to a `T` that nobody changes for `'a`.
pub(crate) unsafe fn shared<'a, T>(it: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's.
    unsafe { it.as_ref() }.ok_or_else(|| Failure::argument(format!("{name} is NULL")))
}

/// The same, to change it.
///
/// # Safety
/// `it` is NULL, or points to a `T` that nobody else looks at for `'a`.
pub(crate) unsafe fn unique<'a, T>(it: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's.
    unsafe { it.as_mut() }.ok_or_else(|| Failure::argument(format!("{name} is NULL")))
}

/// Puts a result where the caller wants it, which need not hold anything yet.
///
/// # Safety
/// `place` is NULL or can be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T, name: &str) -> Result<(), Failure> {
    if place.is_null() {
        return Err(Failure::argument(format!("{name} is NULL")));
    }
    // SAFETY: it is not NULL, and the caller says that it can be written to.
    unsafe { place.write(value) };
    Ok(())
}

/// Takes back what was handed out by `Box::into_raw`.
///
/// # Safety
/// `it` is NULL, or was handed out so and not taken back yet.
pub(crate) unsafe fn free<T>(it: *mut T) {
    if !it.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(it) });
    }
}
