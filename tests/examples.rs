//! Every example does what it says, and so does the README's own program, in a crate that knows nothing but the README.
#![cfg(all(feature = "http", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[cfg(all(feature = "postgres", unix))]
#[path = "common/cluster.rs"]
mod cluster;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Cargo builds the examples beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    Command::new(folder.join(name))
}

/// What an example prints, if it ends well.
fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn own_book() {
    let out = output(example("own_book"));
    assert!(out.contains("after the first sync: Ann, Bob") && out.contains("added there: Bob, Cleo"), "{out}");
}

#[cfg(feature = "service")]
#[test]
fn customer_system() {
    let out = output(example("customer_system"));
    let parts: Vec<&str> = out.split("the circle ends: true\n").collect();
    assert_eq!(parts.len(), 4, "{out}");
    assert!(parts[0].contains("Ann Doe,5550001,likes chess\r\nBen Roe,,\r\n"), "{out}");
    assert!(parts[1].contains("Ann Doe,5550009,likes chess") && parts[1].contains(r#""segment":"A""#), "{out}");
    assert!(parts[2].contains("Cid") && parts[2].contains(r#""phones":{"mobile":"5550002""#), "{out}");
    assert!(parts[2].contains(r#""mobile":"5550009""#) && parts[2].contains("ben@example.org"), "{out}");
}

#[test]
fn axum_host() {
    assert_eq!(output(example("axum_host")), "the device has Ann, Bob\n");
}

#[test]
fn device_hmac() {
    let out = output(example("device_hmac"));
    assert!(out.contains("by MAC: Ann") && out.contains("granted nothing: the server refused"), "{out}");
    assert!(out.contains("the same, granted: Ann"), "{out}");
}

#[test]
fn update_polling() {
    let out = output(example("update_polling"));
    assert!(out.contains("in step: []") && out.contains("after a change there: [\"contacts\"]"), "{out}");
    assert!(out.contains("for all: [") && out.contains("alice: "), "{out}");
}

#[test]
fn device_profile() {
    let out = output(example("device_profile"));
    assert!(
        out.contains("ACME-7 is treated by: [\"acme-phones\"]") && out.contains("others are treated by: []"),
        "{out}"
    );
}

#[test]
fn embedder_store() {
    output(example("embedder_store"));
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn postgres_node() {
    let Some(cluster) = cluster::cluster() else { return };
    let database = cluster.database();
    let mut node = example("postgres_node");
    node.arg(cluster.url(&database.name));
    assert_eq!(output(node), "in step over two nodes: true; here: Ann\n");
}

/// Ended by its process id, whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn server_and_client() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = example("server");
    server.arg("127.0.0.1:0").arg(folder.path().join("server.db")).stdout(Stdio::piped());
    let mut server = Running(server.spawn().unwrap());
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    for round in ["slow", "two-way"] {
        let mut client = example("client");
        client.arg(address.trim()).arg(folder.path().join("client.db"));
        let out = output(client);
        assert!(out.contains("in step: true; here: Ann") && out.contains(round), "{out}");
    }
}

/// The blocks of the README's section that are of this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../README.md");
    let section = readme.split("## Embed it\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    section.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The front page of the documentation begins with the same program, which is compiled and run as a test of its own there.
#[test]
fn the_front_page_has_the_readmes_program() {
    let page = include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let page: Vec<&str> = page.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(page.join("\n").contains(blocks("rust")[0].trim_end()), "copy the program from the README into src/lib.rs");
}

/// In a folder elsewhere, with nothing but what the README says, and this checkout in place of the registry.
#[test]
fn a_new_crate_that_follows_the_readme_embeds_server_and_client() {
    let (manifest, program) = (&blocks("toml")[0], &blocks("rust")[0]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::create_dir(place("src")).unwrap();
    std::fs::write(place("src/main.rs"), program).unwrap();
    let head = "[package]\nname = \"newcomer\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n";
    let patch = format!("\n[patch.crates-io]\nsyncml = {{ path = {root:?} }}\n");
    std::fs::write(place("Cargo.toml"), format!("{head}{manifest}{patch}")).unwrap();
    // The same releases of everything else, so that nothing is fetched.
    std::fs::copy(root.join("Cargo.lock"), place("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline"]).current_dir(folder.path());
    // What was built for the tests is not built again: the profile is theirs.
    cargo.args([
        "--config",
        "profile.dev.package.'*'.opt-level=1",
        "--config",
        "profile.dev.package.syncml.opt-level=0",
    ]);
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
    assert_eq!(output(cargo), "Both hold Ann and Bob.\n");
}
