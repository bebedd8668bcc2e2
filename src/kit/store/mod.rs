//! The store kit's first part: a [`Store`] asked directly.
//!
//! ```
//! use syncml::{kit, store::memory::MemoryStore};
//!
//! let report = kit::store::run(&|| Box::new(MemoryStore::new([1; 32])));
//! assert!(report.passed(), "{report}");
//! ```
//!
//! As one `#[test]` each: [`store_kit_tests!`](crate::store_kit_tests).

// Threads and panics of its own: it is a test that happens to be public.
#![allow(clippy::disallowed_methods)]

mod apart;
mod atomic;
mod blobs;
mod books;
mod differences;
mod directory;
mod errands;
mod history;
mod maps;
mod outgoing;
mod partial;
mod races;
mod search;
mod sessions;
mod staged;
mod support;
mod words;

use crate::store::Store;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Opens an empty store, another one each time.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// A case of the kit.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What a store must do to pass it, in a sentence.
    pub promise: &'static str,
    run: fn(&dyn Store) -> support::Outcome,
}

/// How a case went.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case.
    pub case: Case,
    /// What the store did instead, if it failed.
    pub failure: Option<String>,
}

/// How all cases went.
#[derive(Clone, Debug)]
pub struct Report {
    /// One finding per case.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether every case passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.failure.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { case, failure } in &self.findings {
            match failure {
                None => writeln!(f, "ok      {}", case.name)?,
                Some(failure) => writeln!(f, "FAILED  {}: {}\n        {failure}", case.name, case.promise)?,
            }
        }
        Ok(())
    }
}

/// Runs every case, each on a store of its own.
#[must_use]
pub fn run(open: Open<'_>) -> Report {
    Report { findings: CASES.iter().map(|case| examine(*case, open)).collect() }
}

/// Runs the case of that name.
///
/// # Panics
/// When the case fails, or there is none of that name: this is for `#[test]` functions.
pub fn check(name: &str, open: Open<'_>) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("the store kit has no case {name}"));
    if let Finding { failure: Some(failure), .. } = examine(*case, open) {
        panic!("{}\n{failure}", case.promise);
    }
}

fn examine(case: Case, open: Open<'_>) -> Finding {
    let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(&*open())));
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.0),
        Err(_) => Some("the store panicked".to_owned()),
    };
    Finding { case, failure }
}

macro_rules! cases {
    ($($room:ident { $($name:ident: $promise:literal,)* })*) => {
        /// All cases.
        pub const CASES: &[Case] =
            &[$($(Case { name: stringify!($name), promise: $promise, run: $room::$name },)*)*];
    };
}

cases! {
    directory {
        logins: "A login opens one account; setting it anew changes its verifier only.",
        principals: "A principal is replaced as a whole, verifiers in their order.",
        grants: "A grant joins a known device and a known account, and can be taken back.",
        directory_while_a_step_is_open: "The directory can be read inside a step.",
        dirty: "A changed book is noted once for each device that was granted its account, until that has it.",
        keys_stay: "The keys are there from the beginning, differ from each other, and stay.",
        audit: "What was done is listed in the order of time, with its account; a step that is undone did nothing.",
        keys_rotate: "New keys get the next number; a few generations are kept.",
    }
    sessions {
        devices: "Devices are numbered by their account, found by id, updated by number.",
        session_rows: "A session row comes back as it was put, by its token and by its ids.",
        session_newest: "Of sessions with the same ids the newest is found.",
        session_superseded: "A new session removes the others of its device about the same books, and no more.",
        session_counts: "The sessions of a device are counted.",
        session_expiry: "Sessions whose deadline is past are removed with their statuses.",
        statuses: "Queued statuses come back in their order until they are dropped.",
    }
    books {
        book_rows: "Locking creates a book; its stamp stays, its head never goes back.",
        book_unlocked: "Items and books are not written without the book's lock.",
        item_rows: "Items come back as they were put, aligned with what was asked.",
        item_conflicts: "Items are not inserted twice, updated when unknown, or numbered below the head.",
        book_list: "The books of an account are listed by number.",
        book_adopted: "A book that holds nothing takes the row it had elsewhere, and no other does.",
        writer_numbers: "Revisions are head + 1 and so on; a guid is the revision that made it.",
        ten_thousand: "Ten thousand rows go through every batched call.",
    }
    history {
        changes_in_order: "Changes come by revision, tombstones included, within bounds and limit.",
        changes_in_pages: "Pages of changes, put together, are the changes, whatever was written before.",
        revisions: "A revision is answered whether current or superseded, and nothing else is.",
        history: "Superseded revisions are listed newest first.",
        as_of: "What items held at any revision of their book is known, one by one and in pages.",
        log: "Revisions of an item or a book, current and superseded, are listed newest first.",
        log_in_pages: "Pages of the log, put together, are every revision once.",
        superseded: "Superseded revisions are listed by number, with what ended them.",
        purged: "Superseded revisions are removed, and large contents with the last that refers to them.",
        past_put: "Superseded revisions are put as they were elsewhere.",
        conflicts: "Conflicts come back as they were put, newest first or by revision, and go with what they lost.",
        restores: "Restores come back as they were put, newest first.",
    }
    search {
        fingerprints: "Live items are found by their exact fingerprint, ascending.",
        match_keys: "Once indexed, a book is searched by match keys, and writes keep the index.",
        match_keys_while_indexing: "Writes to a half indexed book leave the index right.",
        children: "What is in a folder is found, wherever it was moved; a superseded revision keeps the folder of then.",
    }
    words {
        words: "Words, digits and characters are found in all books of an account, and of no other, names first.",
        words_follow: "What is found is what is there now.",
        words_in_pages: "Pages of hits, put together, are the hits.",
        words_as_a_scan: "What is found is what reading every item would find.",
    }
    maps {
        pairs: "A pair's row comes back as it was put.",
        map_rows: "Map entries come back by LUID, whatever it looks like, and by GUID.",
        lenses: "The value of a lens is found by its number, and stays what it was.",
        maps_stay_one_to_one: "A live entry is not re-pointed and an item gets no second one.",
        maps_retired: "A retired entry is found by its LUID only, which a new entry may use again.",
        maps_keep_views: "What a device holds of an item stays known when the item changes.",
        maps_carried: "Entries unknown in the new epoch are carried there, the others are not.",
        maps_dropped: "Entries of all epochs but one are removed, of one pair only.",
        map_pages: "Entries are paged by GUID, the retired ones left out.",
        maps_all: "Entries of all epochs and states are paged, each once.",
        maps_unconfirmed: "Entries whose Map has no Status yet are listed by GUID.",
    }
    differences {
        differences: "Items are given that have no entry, or one agreed at an earlier revision.",
        differences_in_pages: "Pages of differences, put together, are the differences, and are counted right.",
    }
    outgoing {
        outgoing_rows: "Open rows come back as they were put, by GUID and in pages.",
        outgoing_by_ref: "An open row is found by where it was sent, in whatever book.",
        outgoing_by_view: "An open Add is found by the view that was sent.",
        outgoing_removed: "Open rows are removed one by one or by pair.",
    }
    staged {
        staged_rows: "Staged changes come back as they were put, in their order, in pages.",
        staged_replaced: "A later change of a LUID takes the place of the earlier one.",
        staged_numbers: "Numbers of staged changes are not used again.",
        unstaged: "What is staged under an id in an epoch can be taken back, and nothing else is.",
    }
    partial {
        partial_objects: "A large object that is on its way is remembered for one direction of one pair, until forgotten.",
    }
    errands {
        errand_rows: "What a device is to do comes back by number, as it was put last.",
    }
    blobs {
        blob_pieces: "Large contents come back in any range, however they were appended, and can be cut.",
        blob_prints: "The fingerprint of a large content is that of its bytes, whatever the chunks.",
        blob_owners: "A large content stays while a row of any kind refers to it, and goes with the last.",
        blob_writer: "The writer of a book keeps large content in pieces, and counts its bytes.",
    }
    atomic {
        rolled_back: "A step rolled back leaves nothing in any table.",
        failed: "A step that fails leaves nothing in any table, even if it makes light of the failure.",
        looked_at: "A look sees what is committed, and changes nothing.",
        own_changes: "A step sees its own changes.",
        accounts_apart: "What one account wrote, another's ids do not reach.",
    }
    apart {
        nothing_of_another_account: "To every call another account's id is as one never used, and changes nothing of it.",
        nothing_of_another_device: "To every call about a device another device's id is as one never used.",
    }
    races {
        writers_take_turns: "Writers of one book lose no revision and use none twice.",
        late_committer: "Revisions become visible in increasing order, however late a writer commits.",
        loaded_before_commit: "What is loaded after the lock is what the other writer committed.",
        lock_is_held: "A second writer waits until the first has ended.",
        session_row_is_locked: "Two messages of one session are processed one after the other.",
        disjoint_writers: "Steps of different books or accounts do not undo each other.",
    }
}

/// Makes every case of the store kit a `#[test]`, given a closure that opens an empty store.
///
/// ```ignore
/// syncml::store_kit_tests!(|| Box::new(MyStore::open_empty()));
/// ```
#[macro_export]
macro_rules! store_kit_tests {
    ($open:expr) => {
        $crate::store_kit_tests! { @ $open;
            logins principals grants directory_while_a_step_is_open dirty keys_stay keys_rotate audit
            devices session_rows session_newest session_superseded session_counts session_expiry statuses
            book_rows book_unlocked item_rows item_conflicts book_list book_adopted writer_numbers
            ten_thousand
            changes_in_order changes_in_pages revisions history
            as_of log log_in_pages superseded purged past_put conflicts restores
            fingerprints match_keys match_keys_while_indexing children
            words words_follow words_in_pages words_as_a_scan
            pairs lenses map_rows maps_stay_one_to_one maps_retired maps_carried maps_keep_views maps_dropped
            map_pages maps_all maps_unconfirmed differences differences_in_pages
            outgoing_rows outgoing_by_ref outgoing_by_view outgoing_removed
            staged_rows staged_replaced staged_numbers unstaged
            partial_objects errand_rows
            blob_pieces blob_prints blob_owners blob_writer
            rolled_back failed looked_at own_changes accounts_apart
            nothing_of_another_account nothing_of_another_device
            writers_take_turns late_committer loaded_before_commit lock_is_held session_row_is_locked
            disjoint_writers
        }
        #[test]
        fn no_case_is_missing() {
            assert_eq!($crate::kit::store::CASES.len(), 83);
        }
    };
    (@ $open:expr; $($name:ident)*) => {
        $(#[test]
        fn $name() {
            $crate::kit::store::check(stringify!($name), &$open);
        })*
    };
}
