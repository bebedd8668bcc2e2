//! The least that the machine can do: the same bytes copied and read, the same rows inserted, nothing else.

use super::measure::{Cost, cpu};
use super::{Case, Outcome, cards};
use quick_xml::events::Event;
use rusqlite::{Connection, params};
use std::hint::black_box;
use std::path::Path;
use syncml::codec::Encoding;

/// The tables of the store itself.
const SCHEMA: &str = include_str!("../../schemas/sqlite/0001_first.sql");

/// The limits of a first sync's server, each a line of its own: a sample of its messages copied, and read as bare events (those of
/// XML); and the rows that it keeps in as many transactions as there were messages.
pub(crate) fn of(
    case: Case,
    sample: &[Vec<u8>],
    first: &Cost,
    folder: &Path,
    tell: &mut dyn FnMut(&'static str, Cost),
) -> Outcome<()> {
    let bytes: usize = sample.iter().map(Vec::len).sum();
    // What was not kept of a large sync costs the same.
    let share = first.up as f64 / bytes.max(1) as f64;
    let limit = |server: f64| Cost { server, messages: first.messages, ..Cost::default() };
    let begun = cpu();
    for message in sample {
        drop(black_box(message.clone()));
    }
    let copied = (cpu() - begun) * share;
    tell("limit: memcpy", limit(copied));
    let mut read = copied;
    if case.encoding == Encoding::Xml {
        let begun = cpu();
        for message in sample {
            events(message)?;
        }
        read = (cpu() - begun) * share;
        tell("limit: XML events", limit(read));
    }
    if case.store.is_file() {
        let content: Vec<Vec<u8>> = (0..case.size.min(1_000)).map(|number| cards::card(number, case.cards)).collect();
        let inserted = insert(case, first, &content, folder)?;
        tell("limit: inserts", limit(inserted));
        tell("limit: reading and inserts", limit(read + inserted));
    }
    Ok(())
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

/// An item, its map entry, and for each message the session's row with the reply in it; the CPU seconds of that.
fn insert(case: Case, first: &Cost, content: &[Vec<u8>], folder: &Path) -> Outcome<f64> {
    let file = tempfile::tempdir_in(folder)?.keep().join("bare.db");
    let conn = Connection::open(file)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    conn.execute_batch(SCHEMA)?;
    let messages = first.messages.max(1);
    let page = case.size.div_ceil(usize::try_from(messages)?).max(1);
    let reply = vec![b'r'; usize::try_from(first.down / messages)?];
    let mix = |number: usize| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let begun = cpu();
    for from in (0..case.size).step_by(page) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut item = conn.prepare_cached(
            "INSERT INTO item (place, deleted, depth, at, fingerprint, keys, content)
             VALUES (1 << 36 | ?1, 0, 0, 1700000000000, ?2, ?3, ?4)",
        )?;
        let mut pack = conn
            .prepare_cached("INSERT INTO fresh_print (account, book, pack, entries) VALUES (1, 1, ?1, zeroblob(?2))")?;
        let mut map = conn.prepare_cached(
            "INSERT INTO map (account, device, book, epoch, luid, guid, lens, state) VALUES (1, 1, 1, 1, ?1, ?1, 1, 0)",
        )?;
        let mut session = conn.prepare_cached(
            "INSERT OR REPLACE INTO session (account, token, device, session_id, books, deadline, last_msg_id, last_digest,
             recent_digests, reply_type, state_version, state, last_reply)
             VALUES (1, x'01', 1, '1', x'0100000000000000', 0, ?1, zeroblob(32), zeroblob(64), '', 1, zeroblob(500), ?2)",
        )?;
        for number in from..case.size.min(from + page) {
            let print = [mix(number).to_le_bytes(), mix(!number).to_le_bytes()].concat();
            let keys = print.repeat(2);
            item.execute(params![number as i64, print, keys, content[number % content.len()]])?;
            map.execute(params![number as i64])?;
        }
        pack.execute(params![from as i64, page as i64 * 9])?;
        session.execute(params![from as i64, reply])?;
        conn.execute_batch("COMMIT")?;
    }
    Ok(cpu() - begun)
}
