//! The page (missions B9, R3, R5, C6): the program, spawned, over real HTTP and SQLite, seen by a browser that has no script. What
//! one with a script sees is in tests/browser.
#![cfg(feature = "cli")]
// It starts processes, opens sockets and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "../common/browser.rs"]
mod browser;
mod contacts;
mod history;
mod lost;
#[path = "../common/program.rs"]
mod program;
mod signing_in;

use browser::Page;
use program::{World, card, run};
use serde_json::Value;
use std::fs;

fn world() -> World {
    World::new(&["--console"])
}

/// A world in which a phone has synced these cards.
fn synced(cards: &[(&str, &str)]) -> World {
    let world = world();
    for (n, (name, lines)) in cards.iter().enumerate() {
        world.write(&format!("phone/{n}.vcf"), &card(name, lines));
    }
    world.synced("phone", &[], 0);
    world
}

/// The items of ada's contacts as the program lists them.
fn items(world: &World) -> Vec<Value> {
    let (code, out, err) = run(world.with_db(&["list", "--user", "ada", "--json"]).args(["--book", "contacts"]));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn guid(world: &World, name: &str) -> i64 {
    items(world).iter().find(|item| item["name"] == name).unwrap()["guid"].as_i64().unwrap()
}

/// The field that has this value.
fn holding(page: &Page, begin: &str, value: &str) -> String {
    let inputs = page.inputs(begin);
    inputs.iter().find(|(_, it)| it == value).unwrap_or_else(|| panic!("{value:?} in {inputs:?}")).0.clone()
}

/// The card that a file of a folder holds.
fn file_of(world: &World, dir: &str, name: &str) -> std::path::PathBuf {
    let files = fs::read_dir(world.path(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut cards = files.filter(|path| path.extension().is_some_and(|ending| ending == "vcf"));
    cards.find(|path| program::formatted_name(path) == name).unwrap()
}
