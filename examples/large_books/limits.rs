//! The least that the machine can do: the same bytes copied and read, the same rows inserted, nothing else.

use super::cards;
use super::measure::{Cost, cpu, timed};
use super::{Case, Outcome};
use quick_xml::events::Event;
use rusqlite::Connection;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use syncml::codec::Encoding;

/// The limit of a first sync's server: its sample of messages copied, read as bare events (those of XML), and a row for each
/// contact and each of its map entries in as many transactions as there were messages.
pub(crate) fn of(case: Case, sample: &[Vec<u8>], messages: u64, folder: &Path) -> Outcome<Cost> {
    let bytes: usize = sample.iter().map(Vec::len).sum();
    let mut read = 0.0;
    for message in sample {
        timed(&mut read, || {
            drop(black_box(message.clone()));
            if case.encoding == Encoding::Xml { events(message) } else { Ok(()) }
        })?;
    }
    // What was not kept of a large sync costs the same.
    let share = (case.size as f64 * average(case) / bytes.max(1) as f64).max(1.0);
    let begun = Instant::now();
    let before = cpu();
    insert(case, messages, folder)?;
    let inserted = cpu() - before;
    Ok(Cost {
        server: read * share + inserted,
        wall: begun.elapsed().as_secs_f64(),
        messages,
        server_steps: messages,
        ..Cost::default()
    })
}

/// The bytes of a card.
fn average(case: Case) -> f64 {
    let some = case.size.min(1_000);
    (0..some).map(|number| cards::card(number, case.photos).len()).sum::<usize>() as f64 / some as f64
}

fn events(message: &[u8]) -> Outcome<()> {
    let mut reader = quick_xml::Reader::from_reader(message);
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(()),
            event => drop(black_box(event)),
        }
    }
}

fn insert(case: Case, messages: u64, folder: &Path) -> Outcome<()> {
    let file = tempfile::tempdir_in(folder)?.keep().join("bare.db");
    let conn = Connection::open(file)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE card (id INTEGER PRIMARY KEY, content BLOB);
         CREATE TABLE map (luid TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID",
    )?;
    let page = case.size.div_ceil(usize::try_from(messages.max(1))?).max(1);
    let content: Vec<Vec<u8>> = (0..case.size.min(1_000)).map(|number| cards::card(number, case.photos)).collect();
    for from in (0..case.size).step_by(page) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut card = conn.prepare_cached("INSERT INTO card VALUES (?1, ?2)")?;
        let mut map = conn.prepare_cached("INSERT INTO map VALUES (?1, ?2)")?;
        for number in from..case.size.min(from + page) {
            card.execute((number as i64, &content[number % content.len()]))?;
            map.execute((number.to_string(), number as i64))?;
        }
        conn.execute_batch("COMMIT")?;
    }
    Ok(())
}
