//! The protocol part of the store kit, against the stores that ship.

use std::sync::Arc;
use syncml::kit::protocol::CASES;
use syncml::store::Store;
use syncml::store::memory::MemoryStore;

fn run(make: &dyn Fn() -> Arc<dyn Store>) {
    let broken: Vec<String> =
        CASES.iter().filter_map(|case| case.run(make()).err().map(|why| format!("{}: {why}", case.name))).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(CASES.len() >= 10);
}

#[test]
fn memory_store_keeps_the_promises() {
    run(&|| Arc::new(MemoryStore::new([3; 32])));
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_store_keeps_the_promises() {
    run(&|| Arc::new(syncml::store::sqlite::SqliteStore::open_in_memory().expect("a database in memory")));
}
