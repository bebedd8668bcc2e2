//! Who wins, and what is done about an unexpected slow sync, told on the command line and played over HTTP (missions X2, X5).
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{World, card, run};
use serde_json::Value;
use std::fs;

/// A world whose folder was in step with a server that then forgot the last two syncs: its database came back from a backup.
fn forgetful(serve: &[&str]) -> World {
    let mut world = World::new(serve);
    for n in 0..5 {
        world.write(&format!("phone/{n}.vcf"), &card(&format!("Name{n} Doe"), &format!("TEL:+493000{n}\r\n")));
    }
    world.synced("phone", &[], 0);
    world.stop();
    let files = ["server.db", "server.db-wal", "server.db-shm"]
        .map(|name| (world.path(name), world.path(&format!("{name}.kept"))));
    files.iter().filter(|(file, _)| file.exists()).for_each(|(file, kept)| {
        fs::copy(file, kept).unwrap();
    });
    world.start(serve);
    for _ in 0..2 {
        assert_eq!(mode(&world.synced("phone", &[], 0)), "two-way");
    }
    world.stop();
    for (file, kept) in &files {
        drop(fs::remove_file(file));
        if kept.exists() {
            fs::rename(kept, file).unwrap();
        }
    }
    world.start(serve);
    world
}

fn mode(report: &Value) -> &str {
    report["report"]["books"][0]["mode"].as_str().unwrap_or("none")
}

/// What waits for a decision in a database.
fn held(database: &str) -> Vec<Value> {
    let (code, out, err) = run(program::syncml().args(["held", "list", "--json", "--db", database]));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn release(database: &str) {
    let (code, out, err) = run(program::syncml().args(["held", "release", "--db", database]));
    assert_eq!(code, 0, "{out}{err}");
}

fn all_are_there(world: &World) {
    assert_eq!((world.names("phone").len(), world.server_names().len()), (5, 5), "nothing is twice or lost");
}

/// Field note 9: by default everything is compared, which does no harm.
#[test]
fn an_unexpected_slow_sync_proceeds() {
    for more in [&[][..], &["--on-slow-sync", "proceed"]] {
        let world = forgetful(&[]);
        assert_eq!(mode(&world.synced("phone", more, 0)), "slow");
        all_are_there(&world);
        assert_eq!(mode(&world.synced("phone", more, 0)), "two-way");
    }
}

/// Field note 9: the client waits until somebody says that it may be.
#[test]
fn an_unexpected_slow_sync_is_held_by_the_client() {
    let world = forgetful(&[]);
    let own = format!("sqlite:{}", world.path("phone/.syncml.db").display());
    let server = format!("sqlite:{}", world.path("server.db").display());
    world.write("phone/new.vcf", &card("New Doe", "TEL:+49300099\r\n"));
    for _ in 0..2 {
        let report = world.synced("phone", &["--on-slow-sync", "hold"], 1);
        assert!(report.to_string().contains("held release"), "{report}");
        assert_eq!((world.names("phone").len(), world.server_names().len()), (6, 5), "nothing was sent");
    }
    let waiting = held(&own);
    assert_eq!((waiting.len(), waiting[0]["reason"].as_str()), (1, Some("slow-sync")), "{waiting:?}");
    assert!(held(&server).is_empty());
    release(&own);
    assert_eq!(mode(&world.synced("phone", &["--on-slow-sync", "hold"], 0)), "slow");
    assert_eq!((world.names("phone").len(), world.server_names().len()), (6, 6));
    assert!(held(&own).is_empty());
    assert_eq!(mode(&world.synced("phone", &["--on-slow-sync", "hold"], 0)), "two-way");
}

/// Field note 9: it is not done, whatever else is asked again, until somebody asks for one.
#[test]
fn an_unexpected_slow_sync_is_refused_by_the_client() {
    let world = forgetful(&[]);
    let own = format!("sqlite:{}", world.path("phone/.syncml.db").display());
    for _ in 0..2 {
        let report = world.synced("phone", &["--on-slow-sync", "refuse"], 1);
        assert_eq!(World::counts(&report), [[0; 3]; 2], "{report}");
        assert!(held(&own).is_empty());
    }
    assert_eq!(mode(&world.synced("phone", &["--on-slow-sync", "refuse", "--mode", "slow"], 0)), "slow");
    all_are_there(&world);
    assert_eq!(mode(&world.synced("phone", &["--on-slow-sync", "refuse"], 0)), "two-way");
}

/// Field note 9: the same at the server, which answers 503 while it waits and 403 where it never will.
#[test]
fn an_unexpected_slow_sync_waits_at_the_server() {
    let world = forgetful(&["--on-slow-sync", "hold"]);
    let server = format!("sqlite:{}", world.path("server.db").display());
    for _ in 0..2 {
        let report = world.synced("phone", &[], 1);
        assert_eq!(report["report"]["books"][0]["failed"], 503, "{report}");
    }
    assert_eq!(held(&server)[0]["reason"], "slow-sync");
    release(&server);
    assert_eq!(mode(&world.synced("phone", &[], 0)), "slow");
    all_are_there(&world);

    let world = forgetful(&["--on-slow-sync", "refuse"]);
    let report = world.synced("phone", &[], 1);
    assert_eq!(report["report"]["books"][0]["failed"], 403, "{report}");
    assert_eq!(mode(&world.synced("phone", &["--mode", "slow"], 0)), "slow");
    all_are_there(&world);
}

/// Mission X2, "leave to client": the server answers 409 and sends its own card; what the client makes of both, by its own
/// policy, comes back and stands on both sides. Nothing that did not collide is lost.
#[test]
fn a_conflict_is_left_to_the_client() {
    for (policy, title, both, fields) in [
        ("merge", "TITLE:server", true, &["TITLE"][..]),
        ("server-wins", "TITLE:server", false, &["ROLE", "TITLE"]),
        ("client-wins", "TITLE:phone", false, &["NOTE", "TITLE"]),
    ] {
        let world = World::new(&["--conflicts", "leave-to-client"]);
        world.write("phone/ada.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:agreed\r\n"));
        world.synced("phone", &[], 0);
        let (_, out, _) = run(world.with_db(&["list", "--user", "ada", "--json"]).args(["--book", "contacts"]));
        let guid = serde_json::from_str::<Value>(&out).unwrap()[0]["guid"].to_string();
        world.write("edit.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:server\r\nNOTE:ours\r\n"));
        let put = run(world.with_db(&["item", "put", "--user", "ada", "--guid", &guid]).arg(world.path("edit.vcf")));
        assert_eq!(put.0, 0, "{}", put.2);
        world.write("phone/ada.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:phone\r\nROLE:theirs\r\n"));
        let trace = world.path(&format!("trace-{policy}"));
        let told = world.synced("phone", &["--conflicts", policy, "--trace", trace.to_str().unwrap()], 0);
        let answers: String = fs::read_dir(&trace)
            .unwrap()
            .map(|entry| String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()).into_owned())
            .collect();
        assert!(answers.contains("<Data>409</Data>"), "{policy}");
        let note = &told["report"]["books"][0]["conflicts"][0];
        assert_eq!(note["fields"], serde_json::json!(fields), "{policy}: {told}");
        assert!(note["lost"].is_u64(), "{policy}: the loser is in the folder's own history: {told}");
        world.synced("phone", &["--conflicts", policy], 0);
        let here = world.read("phone/ada.vcf");
        let (_, there, _) = run(&mut world.with_db(&["history", "show", "--user", "ada", "--guid", &guid]));
        for (side, card) in [("phone", &here), ("server", &there)] {
            let has = |line: &str| card.contains(line);
            assert!(has(title), "{policy}, {side}: {card}");
            assert_eq!(card.matches("TITLE").count(), 1, "{policy}, {side}: {card}");
            assert_eq!(has("NOTE:ours") && has("ROLE:theirs"), both, "{policy}, {side}: {card}");
        }
        assert_eq!(World::counts(&world.synced("phone", &["--conflicts", policy], 0)), [[0; 3]; 2], "{policy}");
        assert_eq!((world.names("phone").len(), world.server_names().len()), (1, 1), "{policy}");
    }
}
