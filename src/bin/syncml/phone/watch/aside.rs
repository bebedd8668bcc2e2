//! The states of books that take turns in one folder, as cards do in one slot: that of the one that is there, and those of the
//! others beside it, under names made of the books.

use crate::database;
use crate::failure::{Failure, Result};
use crate::phone::restore::remove;
use std::fs;
use std::path::{Path, PathBuf};
use syncml::service::book::BookId;

/// Digits of a book in the name.
const DIGITS: usize = 15;

/// Puts the state of one book aside, and that of another, if there is one, in its place. Nobody has either open. What was broken
/// off is gone on with, as long as it is called with the same books.
pub(super) fn change(state: &Path, was: &BookId, is: &BookId) -> Result<()> {
    let (old, new) = (beside(state, was), beside(state, is));
    // Where the old one is aside already, it was broken off after that.
    if state.exists() && !old.exists() {
        move_to(state, &old)?;
    }
    if new.exists() && !state.exists() {
        move_to(&new, state)?;
    }
    Ok(())
}

fn beside(state: &Path, book: &BookId) -> PathBuf {
    state.with_file_name(format!(".syncml.{}.db", &book.to_string()[..DIGITS]))
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    database::settle(from)?;
    // A log that is empty says nothing of another file.
    remove(from, &["-wal", "-shm"]);
    fs::rename(from, to).map_err(|error| Failure::file(from, "moved", &error))
}

#[cfg(test)]
mod tests {
    use super::{beside, change};
    use std::fs;

    #[test]
    fn states_take_turns_whatever_breaks() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state.db");
        let (one, two) = ("1".repeat(64).parse().unwrap(), "2".repeat(64).parse().unwrap());
        let write = |text: &str| {
            let conn = rusqlite::Connection::open(&state).unwrap();
            conn.execute_batch(&format!("CREATE TABLE it AS SELECT '{text}' AS it")).unwrap();
        };
        let read = || {
            let conn = rusqlite::Connection::open(&state).unwrap();
            conn.query_row("SELECT it FROM it", [], |row| row.get::<_, String>(0)).unwrap()
        };
        change(&state, &one, &two).unwrap();
        assert!(!state.exists(), "there was none");
        write("one");
        change(&state, &one, &two).unwrap();
        assert!(!state.exists());
        change(&state, &one, &two).unwrap();
        write("two");
        // Broken off before it was remembered that it was done.
        change(&state, &one, &two).unwrap();
        assert_eq!(read(), "two");
        change(&state, &two, &one).unwrap();
        assert_eq!(read(), "one");
        assert!(beside(&state, &two).exists() && !beside(&state, &one).exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
