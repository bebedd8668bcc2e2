//! The PostgreSQL store on a cluster of the tests' own: the store kit, by one node and by two that take turns.
#![cfg(feature = "postgres")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::cluster;
use syncml::kit::store::{CASES, check};

/// Runs every case of the kit, by that many nodes.
fn kit(nodes: usize) {
    let Some(cluster) = cluster() else { return };
    let mut failed = Vec::new();
    for case in CASES {
        let open = || Box::new(cluster.nodes(nodes)) as Box<dyn syncml::store::Store>;
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case.name, &open))).is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_store_kit_passes() {
    kit(1);
}

#[test]
fn the_store_kit_passes_by_two_nodes() {
    kit(2);
}
