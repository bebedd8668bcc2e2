//! Watches, in tests, how SQLite means to run each statement: nothing may walk a table.

use super::super::{AccountNo, BookNo};
use super::SqliteStore;
use super::tx::SqliteTx;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

static PLANS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Keeps the plan of a statement.
pub(super) fn note(conn: &Connection, sql: &str) {
    let mut plans = PLANS.lock().unwrap();
    if !plans.contains_key(sql) {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // The parameters stay unbound: a plan is made without their values.
        let lines = explain.raw_query().mapped(|row| row.get("detail"));
        plans.insert(sql.to_owned(), lines.map(Result::unwrap).collect());
    }
}

/// Every way in which a statement of a step finds its rows. What is found by few columns is meant to be all there is: the
/// sessions of a device, the map of a pair. Nothing is sorted. The constant row is that of a statement without a table. The words are FTS5's:
/// one by its rowid, and those that match between two rowids, in their order.
const WAYS: &[&str] = &[
    "MERGE (UNION ALL)",
    "SCAN CONSTANT ROW",
    "SCAN words VIRTUAL TABLE INDEX 0:=",
    "SCAN words VIRTUAL TABLE INDEX 64:M1><",
    "SEARCH b USING PRIMARY KEY (account=?)",
    "SEARCH blob USING COVERING INDEX sqlite_autoindex_blob_1 (account=? AND blob=?)",
    "SEARCH blob USING COVERING INDEX sqlite_autoindex_blob_1 (account=?)",
    "SEARCH blob USING INDEX sqlite_autoindex_blob_1 (account=? AND blob=? AND seq=?)",
    "SEARCH blob USING INDEX sqlite_autoindex_blob_1 (account=? AND blob=? AND seq>? AND seq<?)",
    "SEARCH blob USING INDEX sqlite_autoindex_blob_1 (account=? AND blob=? AND seq>?)",
    "SEARCH blob USING INDEX sqlite_autoindex_blob_1 (account=? AND blob=?)",
    "SEARCH book USING COVERING INDEX book_slot",
    "SEARCH book USING PRIMARY KEY (account=? AND book=?)",
    "SEARCH book USING PRIMARY KEY (account=?)",
    "SEARCH conflict USING INDEX conflict_lost (account=? AND book=? AND lost=?)",
    "SEARCH conflict USING PRIMARY KEY (account=? AND book=? AND revision<?)",
    "SEARCH conflict USING PRIMARY KEY (account=? AND book=? AND revision=?)",
    "SEARCH conflict USING PRIMARY KEY (account=? AND book=?)",
    "SEARCH device USING COVERING INDEX sqlite_autoindex_device_1 (account=?)",
    "SEARCH device USING INDEX device_id (account=? AND device_id=?)",
    "SEARCH device USING INDEX sqlite_autoindex_device_1 (account=? AND device=?)",
    "SEARCH device USING INDEX sqlite_autoindex_device_1 (account=?)",
    "SEARCH dirty USING PRIMARY KEY (device_id=? AND account=? AND book=?)",
    "SEARCH errand USING PRIMARY KEY (account=? AND device=? AND errand>?)",
    "SEARCH errand USING PRIMARY KEY (account=? AND device=?)",
    "SEARCH fresh_print USING INDEX sqlite_autoindex_fresh_print_1 (account=? AND book=?)",
    "SEARCH grant USING COVERING INDEX grant_account (account=?)",
    "SEARCH i USING COVERING INDEX item_blob (<expr>=? AND blob=?)",
    "SEARCH i USING INDEX item_changed (changed>? AND changed<?)",
    "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)",
    "SEARCH i USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "SEARCH item USING COVERING INDEX item_changed (changed>? AND changed<?)",
    "SEARCH item USING COVERING INDEX item_parent (parent=? AND rowid>?)",
    "SEARCH item USING INDEX item_changed (changed>? AND changed<?)",
    "SEARCH item USING INTEGER PRIMARY KEY (rowid=?)",
    "SEARCH item USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "SEARCH lens USING INDEX sqlite_autoindex_lens_1 (account=? AND lens=?)",
    "SEARCH m USING INDEX map_guid (account=? AND device=? AND book=? AND epoch=? AND guid=?) LEFT-JOIN",
    "SEARCH map USING INDEX map_guid (account=? AND device=? AND book=? AND epoch=? AND guid=?)",
    "SEARCH map USING INDEX map_guid (account=? AND device=? AND book=? AND epoch=? AND guid>? AND guid<?)",
    "SEARCH map USING INDEX map_guid (account=? AND device=? AND book=? AND epoch=? AND guid>?)",
    "SEARCH map USING INDEX map_unconfirmed (account=? AND device=? AND book=? AND epoch=?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=? AND (epoch,luid)>(?,?))",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=? AND epoch=? AND luid=?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=? AND epoch=? AND luid>? AND luid<?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=? AND epoch=?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=? AND epoch>?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device=? AND book=?)",
    "SEARCH map USING PRIMARY KEY (account=? AND device>?)",
    "SEARCH match_key USING PRIMARY KEY (account=? AND book=? AND key=? AND guid=?)",
    "SEARCH match_key USING PRIMARY KEY (account=? AND book=? AND key=?)",
    "SEARCH outgoing USING INDEX outgoing_ref (account=? AND device=? AND session=? AND msg_id=? AND cmd_id>? AND cmd_id<?)",
    "SEARCH outgoing USING INDEX outgoing_view (account=? AND device=? AND book=? AND sent_view_fp=?)",
    "SEARCH outgoing USING INDEX outgoing_view (account=? AND device=? AND book=?)",
    "SEARCH outgoing USING PRIMARY KEY (account=? AND device=? AND book=? AND guid>? AND guid<?)",
    "SEARCH outgoing USING PRIMARY KEY (account=? AND device=? AND book=? AND guid>?)",
    "SEARCH outgoing USING PRIMARY KEY (account=? AND device=? AND book=?)",
    "SEARCH p USING PRIMARY KEY (account=? AND book=? AND print=?)",
    "SEARCH pair USING PRIMARY KEY (account=? AND device=? AND book=?)",
    "SEARCH partial USING COVERING INDEX partial_blob (account=? AND blob=?)",
    "SEARCH partial USING INDEX sqlite_autoindex_partial_1 (account=? AND device=? AND book=? AND direction=?)",
    "SEARCH print USING PRIMARY KEY (account=? AND book=? AND print=? AND guid=?)",
    "SEARCH r USING COVERING INDEX revision_blob (<expr>=? AND blob=?)",
    "SEARCH restore USING PRIMARY KEY (account=? AND book=?)",
    "SEARCH revision USING COVERING INDEX revision_item (item=?)",
    "SEARCH revision USING INDEX revision_item (item=? AND rowid<?)",
    "SEARCH revision USING INTEGER PRIMARY KEY (rowid=?)",
    "SEARCH revision USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "SEARCH session USING COVERING INDEX session_ids (account=? AND device=?)",
    "SEARCH session USING INDEX session_ids (account=? AND device=? AND session_id=?)",
    "SEARCH session USING INDEX session_ids (account=? AND device=?)",
    "SEARCH session USING INDEX session_ids (account=?)",
    "SEARCH session USING INDEX session_token (account=? AND token=?)",
    "SEARCH staged USING COVERING INDEX staged_blob (account=? AND blob=?)",
    "SEARCH staged USING COVERING INDEX staged_blob (account=? AND blob>?)",
    "SEARCH staged USING INDEX staged_luid (account=? AND device=? AND book=? AND luid=? AND epoch=?)",
    "SEARCH staged USING INDEX staged_seq (account=? AND device=? AND book=? AND seq>?)",
    "SEARCH staged USING INDEX staged_seq (account=? AND device=? AND book=?)",
    "SEARCH staged USING INTEGER PRIMARY KEY (rowid=?)",
    "SEARCH status_queue USING INDEX status_queue_token (account=? AND token=? AND seq<?)",
    "SEARCH status_queue USING INDEX status_queue_token (account=? AND token=?)",
    "SEARCH words_book USING COVERING INDEX words_book_key (account=? AND book=?)",
    "SEARCH words_book USING INDEX words_book_key (account=?)",
    "SEARCH words_book USING INTEGER PRIMARY KEY (rowid=?)",
];

#[test]
fn every_statement_searches_by_all_it_knows() {
    let report = crate::kit::store::run(&|| Box::new(SqliteStore::open_in_memory().unwrap()));
    assert!(report.passed(), "{report}");
    // What is done only where there is much of something.
    let store = SqliteStore::open_in_memory().unwrap();
    store.writer.alone(|conn| SqliteTx::new(conn, AccountNo(1)).sort_in(BookNo::CONTACTS)).unwrap();
    let plans = PLANS.lock().unwrap();
    let lines = plans.values().flatten().map(String::as_str);
    let lines = lines.filter(|line| ["SEARCH", "SCAN", "USE", "MERGE"].iter().any(|word| line.starts_with(word)));
    let found = lines.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    assert_eq!(found, WAYS);
}
