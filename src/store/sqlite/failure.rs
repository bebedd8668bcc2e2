//! SQLite's failures in the words of a store.

use super::super::{Result, StoreError};
use rusqlite::ErrorCode;

/// The answer to what SQLite said.
pub(super) fn failure(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy(text),
            ErrorCode::DiskFull => StoreError::Full(text),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => StoreError::ReadOnly(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(format!("{text}; {REMEDY}")),
            ErrorCode::ConstraintViolation => StoreError::Corrupt(text),
            _ => StoreError::Failed(text),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt(format!("{text}; {REMEDY}")),
        _ => StoreError::Failed(text),
    }
}

/// What to do about a damaged file.
pub(super) const REMEDY: &str = "stop the program, keep a copy of the file with its -wal and -shm, then restore a backup \
                                 or salvage the rest with `sqlite3 FILE .recover`";

/// Short for `map_err(failure)`.
pub(super) trait OrFailure<T> {
    fn or_failure(self) -> Result<T>;
}

impl<T> OrFailure<T> for rusqlite::Result<T> {
    fn or_failure(self) -> Result<T> {
        self.map_err(failure)
    }
}
