//! PostgreSQL's failures in the words of a store.

use super::super::{Result, StoreError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// The answer to what PostgreSQL said: its message without the detail, which may hold what is stored.
pub(super) fn failure(error: &Error) -> StoreError {
    let Some(said) = error.as_db_error() else {
        let text = || {
            std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
        };
        let text = text().collect::<Vec<_>>().join(": ");
        return if is_lost(error) { StoreError::Busy(text) } else { StoreError::Failed(text) };
    };
    let text = format!("{} ({})", said.message(), said.code().code());
    match said.code().code().get(..2).unwrap_or_default() {
        // What was said of the connection, of resources and by an operator passes.
        "08" | "40" | "57" => StoreError::Busy(text),
        _ if is_lost(error) => StoreError::Busy(text),
        "53" if *said.code() == SqlState::DISK_FULL => StoreError::Full(text),
        "53" => StoreError::Busy(text),
        "55" if *said.code() == SqlState::LOCK_NOT_AVAILABLE => StoreError::Busy(text),
        "25" if *said.code() == SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::ReadOnly(text),
        // Nor will it do what it was asked to, as with an id that is too long for an index.
        "22" | "23" | "54" | "XX" => StoreError::Corrupt(text),
        "28" => StoreError::Failed(format!("{text}; see to user, password and pg_hba.conf")),
        _ => StoreError::Failed(text),
    }
}

/// Whether the connection is gone, or the server ends it, or nobody knows whether a statement was done.
pub(super) fn is_lost(error: &Error) -> bool {
    let ended = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
    ];
    match error.code() {
        Some(code) => ended.contains(code) || code.code().starts_with("08"),
        None => error.is_closed() || broken(error),
    }
}

/// Whether the network failed; what does not fit into TLS, as a certificate that is not trusted, stays so.
fn broken(error: &Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.kind() != std::io::ErrorKind::InvalidData)
}

/// Whether another connection will do what this one cannot: its statements were forgotten or made for another schema.
fn is_stale(error: &Error) -> bool {
    let forgotten = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED];
    error.code().is_some_and(|code| forgotten.contains(code))
}

/// Whether the connection shall not be used any more: it is gone or stale, or leads to what is a standby by now.
pub(super) fn is_spent(error: &Error) -> bool {
    is_lost(error) || is_stale(error) || error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Whether the same step may succeed at once.
pub(super) fn may_pass(error: &Error) -> bool {
    let conflicts = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    is_lost(error) || is_stale(error) || error.code().is_some_and(|code| conflicts.contains(code))
}

/// Short for `map_err(failure)`.
pub(super) trait OrFailure<T> {
    fn or_failure(self) -> Result<T>;
}

impl<T> OrFailure<T> for std::result::Result<T, Error> {
    fn or_failure(self) -> Result<T> {
        self.map_err(|error| failure(&error))
    }
}
