//! A large table goes into a large book with memory bounded by the step, not by the table (missions I1 and I5): half of its rows are
//! in the book, a quarter is there with other details, a quarter is new. One test only: the allocator counts everything that
//! happens in the process. What SQLite itself takes is not counted: its page caches, 2 MB for each connection at most.
//!
//! `SYNCML_TEST_FULL=1 cargo test --release --all-features --test import_memory -- --nocapture` does it with 100,000 rows and as
//! many contacts, and tells how long it took.
#![cfg(all(feature = "sqlite", feature = "service"))]
// It reads files, the clock and the environment; what fails here fails the test.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;
use syncml::auth::Verifier;
use syncml::message::Timestamp;
use syncml::service::interchange::{Choice, Format, Import, ReadOptions, read};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, BookWriter, Draft, Store, Verdict};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What may be held more for four times as many rows.
const MORE: usize = 256 << 10;

fn filled(path: &Path, contacts: usize) -> (SqliteStore, AccountNo) {
    let store = SqliteStore::open(path).unwrap();
    let account = store.directory().put_login("ada", &Verifier::Md5([0; 16])).unwrap();
    for from in (0..contacts).step_by(1_000) {
        store
            .step(account, &mut |tx| {
                let row = tx.lock_books(&[BookNo::CONTACTS])?.remove(0);
                let mut writer = BookWriter::new(row, None, Timestamp(0));
                for at in from..contacts.min(from + 1_000) {
                    writer.add(Draft::of(BookNo::CONTACTS, card(at)));
                }
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    }
    (store, account)
}

fn card(at: usize) -> Vec<u8> {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe {at};Ann;;;\r\nFN:Ann Doe {at}\r\nTEL;TYPE=CELL:+46 70 {:07}\r\nTEL;TYPE=WORK:+46 8 {:07}\r\n\
         EMAIL;TYPE=INTERNET:ann.{at}@example.org\r\nORG:Example {};Sales\r\nTITLE:Cook\r\nADR;TYPE=WORK:;;Street {at};Town;;{:05};Sweden\r\n\
         NOTE:met at the fair of {}\\, likes chess\r\nEND:VCARD\r\n",
        at, at, at % 97, at % 100_000, 1990 + at % 30
    )
    .into_bytes()
}

/// Of four rows two say what the book says, one something else, one is new.
fn table(path: &Path, rows: usize) {
    let mut to = BufWriter::new(File::create(path).unwrap());
    writeln!(to, "Name,Mobile,Work Phone,E-mail,Organization,Department,Title\r").unwrap();
    for at in 0..rows {
        let (who, title) =
            if at % 4 == 3 { (at + rows, "Cook") } else { (at, if at % 4 == 2 { "Captain" } else { "Cook" }) };
        writeln!(
            to,
            "Ann Doe {who},+46 70 {who:07},+46 8 {who:07},ann.{who}@example.org,Example {},Sales,{title}\r",
            who % 97
        )
        .unwrap();
    }
    to.flush().unwrap();
}

/// The most that was held between two contacts, in bytes.
fn imported(folder: &Path, rows: usize) -> usize {
    let name = |ending: &str| folder.join(format!("{rows}.{ending}"));
    let (store, account) = filled(&name("db"), rows);
    table(&name("csv"), rows);
    // The peak of what the process takes begins anew, where the platform can do that.
    drop(fs::write("/proc/self/clear_refs", "5"));
    let (start, region, mut most) = (Instant::now(), Region::new(ALLOCATOR), 0);
    let mut choice = Choice::Overwrite;
    let mut import = Import::builder(&store, account, BookNo::CONTACTS).begin(Timestamp(1), &mut choice).unwrap();
    let mut options = ReadOptions::default();
    options.format = Some(Format::Table);
    let reading = read(File::open(name("csv")).unwrap(), &options).unwrap();
    for entry in reading.entries {
        assert!(import.put(entry.unwrap().card).unwrap());
        let now = region.change();
        most = most.max(now.bytes_allocated.saturating_sub(now.bytes_deallocated));
    }
    let (done, whole) = import.finish().unwrap();
    let quarter = rows as u64 / 4;
    assert_eq!((done.known, done.overwritten, done.added, whole), (quarter * 2, quarter, quarter, true));
    assert_eq!((done.merged, done.beside, done.left), (0, 0, 0));
    let peak = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim().to_owned();
    println!(
        "{rows} rows into {rows} contacts: {:.1} s, {:.2} MB held at most between rows, peak of the process {peak}",
        start.elapsed().as_secs_f64(),
        most as f64 / 1e6
    );
    most
}

#[test]
fn i5_memory_does_not_grow_with_a_table() {
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| !full.is_empty() && full != "0");
    let folder = tempfile::tempdir().unwrap();
    let rows = if full { 100_000 } else { 4_000 };
    let (few, many) = (imported(folder.path(), rows / 4), imported(folder.path(), rows));
    assert!(many <= few + MORE, "{few} bytes held with {} rows, {many} with {rows}", rows / 4);
}
