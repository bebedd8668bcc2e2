//! The program as those run it who keep a server: its books, what is held of them, their past, their database.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{PASSWORD, World, card, run, set, syncml};
use serde_json::Value;
use std::fs;

#[test]
fn books_are_edited_on_the_server() {
    let world = World::new(&[]);
    let two = format!("{}{}", card("Ada One", "TEL:1\r\n"), card("Ada Two", "TEL:2\r\n"));
    world.write("in/two.vcf", &two);
    world.write("in/bad.vcf", "no card");
    let import = |expected: i32| {
        let (code, out, err) = run(world.with_db(&["import", "--user", "ada", "--json"]).arg(world.path("in")));
        assert_eq!(code, expected, "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(import(1)["added"], 2);
    fs::remove_file(world.path("in/bad.vcf")).unwrap();
    let again = import(0);
    assert_eq!((&again["added"], &again["known"]), (&0.into(), &2.into()), "the same file again adds nothing");

    world.write("three.vcf", &card("Ada Three", ""));
    let (code, out, err) = run(world.with_db(&["item", "put", "--user", "ada", "--json"]).arg(world.path("three.vcf")));
    assert_eq!(code, 0, "{err}");
    let guid = serde_json::from_str::<Value>(&out).unwrap()["guid"].to_string();
    world.write("three.vcf", &card("Ada Third", ""));
    let put = ["item", "put", "--user", "ada", "--guid", guid.as_str()];
    assert_eq!(run(world.with_db(&put).arg(world.path("three.vcf"))).0, 0);
    assert_eq!(world.server_names(), set(["Ada One", "Ada Third", "Ada Two"]));
    assert_eq!(run(&mut world.with_db(&["item", "delete", "--user", "ada", "--guid", &guid])).0, 0);
    assert_eq!(run(&mut world.with_db(&["item", "delete", "--user", "ada", "--guid", &guid])).0, 2);
    let out = world.path("out");
    let (code, _, err) = run(&mut world.with_db(&["list", "--user", "ada", "--export", out.to_str().unwrap()]));
    assert_eq!(code, 0, "{err}");
    assert_eq!(world.names("out"), set(["Ada One", "Ada Two"]));
}

/// Catalogue: S5
#[test]
fn a_first_sync_is_planned_before_it_is_held() {
    let world = World::new(&[]);
    world.write("book/a.vcf", &card("Ada Doe", "TEL:+4930111\r\n"));
    world.write("book/b.vcf", &card("Bob Near", "TEL:+4930222\r\n"));
    let (code, out, err) = run(world.with_db(&["import", "--user", "ada", "--dry-run"]).arg(world.path("book")));
    assert_eq!((code, out.trim()), (0, "2 would be added, 0 are there already"), "{err}");
    assert!(world.server_names().is_empty(), "nothing was written");
    assert_eq!(run(world.with_db(&["import", "--user", "ada"]).arg(world.path("book"))).0, 0);

    world.write("phone/1.vcf", &card("Ada Doe", "TEL:+49 30 111\r\n"));
    world.write("phone/2.vcf", &card("Bob Near", "TEL:+4930999\r\n"));
    world.write("phone/3.vcf", &card("Cy New", "TEL:+4930333\r\n"));
    let plan = |json: &[&str]| run(world.with_db(&["match", "--user", "ada"]).args(json).arg(world.path("phone")));
    let (code, out, err) = plan(&["--json"]);
    assert_eq!(code, 0, "{err}");
    let plan_json: Value = serde_json::from_str(&out).unwrap();
    let counts = serde_json::json!({ "matched": 1, "merged": 0, "added": 2, "doubles": 1, "sent": 1 });
    assert_eq!(plan_json["counts"], counts);
    assert_eq!(plan_json["cards"][1]["verdict"], "double");
    assert_eq!(plan_json["cards"][1]["why"], "names are equal, numbers and addresses differ");
    let (_, out, _) = plan(&[]);
    assert!(out.contains("perhaps a double") && out.contains("1 are the same"), "{out}");
    assert_eq!(world.server_names().len(), 2, "nothing was written");

    // The other side's dry run: it asks nobody and changes nothing.
    let report = world.synced("phone", &["--dry-run"], 0);
    assert_eq!(report["collected"]["added"], 3);
    assert!(!world.path("phone/.syncml.db").exists());
    world.synced("phone", &[], 0);
    assert_eq!(world.names("phone"), set(["Ada Doe", "Bob Near", "Cy New"]), "{:?}", world.names("phone"));
    assert_eq!(
        fs::read_dir(world.path("phone"))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "vcf"))
            .count(),
        4
    );
    fs::remove_file(world.path("phone/3.vcf")).unwrap();
    for _ in 0..2 {
        assert_eq!(world.synced("phone", &["--dry-run"], 0)["collected"]["deleted"], 1, "and again");
    }
}

/// Catalogue: X5
#[test]
fn what_is_held_is_shown_and_decided() {
    let world = World::new(&[]);
    for n in 0..30 {
        world.write(&format!("phone/{n}.vcf"), &card(&format!("Name{n:02} Doe"), &format!("TEL:+4930{n:03}\r\n")));
    }
    world.synced("phone", &[], 0);
    for n in 0..25 {
        fs::remove_file(world.path(&format!("phone/{n}.vcf"))).unwrap();
    }
    world.synced("phone", &["--allow-mass-delete"], 0);
    assert_eq!(world.server_names().len(), 30, "held");
    let list = || {
        let (code, out, err) = run(world.with_db(&["held", "list", "--user", "ada"]).arg("--json"));
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let shown = list();
    assert_eq!((shown[0]["reason"].as_str(), shown[0]["items"].as_array().map(Vec::len)), (Some("deletes"), Some(25)));
    assert!(shown[0]["snapshot"].as_i64().unwrap() >= 30);
    let (_, out, _) = run(&mut world.with_db(&["held", "list"]));
    assert!(out.contains("do not look like somebody's wish") && out.contains("and 15 more"), "{out}");
    let (code, out, err) = run(&mut world.with_db(&["held", "release", "--user", "ada"]));
    assert_eq!((code, out.trim()), (0, "25 deleted, 0 stay and go back to the device"), "{err}");
    assert_eq!(world.server_names().len(), 5);
    assert_eq!(list(), serde_json::json!([]));
    assert_eq!(run(&mut world.with_db(&["held", "discard", "--user", "ada", "--device", "nobody"])).0, 2);
}

/// Mission X2: separately for devices, by profile rules, and for all others by an option.
#[test]
fn who_wins_is_told_to_the_server() {
    let world = World::new(&["--conflicts", "server-wins"]);
    world.write("phone/ada.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:agreed\r\n"));
    world.synced("phone", &[], 0);
    let (_, out, _) = run(world.with_db(&["list", "--user", "ada", "--json"]).args(["--book", "contacts"]));
    let guid = serde_json::from_str::<Value>(&out).unwrap()[0]["guid"].to_string();
    world.write("edit.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:server\r\n"));
    assert_eq!(run(world.with_db(&["item", "put", "--user", "ada", "--guid", &guid]).arg(world.path("edit.vcf"))).0, 0);
    world.write("phone/ada.vcf", &card("Ada Doe", "TEL:+4930111\r\nTITLE:phone\r\n"));
    world.synced("phone", &[], 0);
    assert!(world.read("phone/ada.vcf").contains("TITLE:server"), "{}", world.read("phone/ada.vcf"));
    let (code, _, err) = run(world.sync("phone").args(["--conflicts", "sometimes"]));
    assert_eq!(code, 2);
    assert!(err.contains("leave-to-client"), "{err}");
}

#[test]
fn the_past_is_shown_compared_and_restored() {
    let world = World::new(&[]);
    let of = |args: &[&str]| {
        let mut all = vec!["history"];
        all.extend_from_slice(args);
        let mut command = world.with_db(&all);
        command.args(["--user", "ada"]);
        run(&mut command)
    };
    let said = |args: &[&str]| {
        let (code, out, err) = of(&[args, &["--json"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let put = |file: &str, content: &str, guid: &[&str]| {
        world.write(file, content);
        let (code, _, err) = run(world.with_db(&["item", "put", "--user", "ada"]).args(guid).arg(world.path(file)));
        assert_eq!(code, 0, "{err}");
    };
    put("one.vcf", &card("Ada One", "TEL;TYPE=HOME:12\r\n"), &[]);
    put("two.vcf", &card("Ada Two", ""), &[]);
    fs::create_dir(world.path("folder")).unwrap();
    assert_eq!(world.synced("folder", &[], 0)["report"]["books"][0]["received"]["added"], 2);
    put("one.vcf", &card("Ada One", "TEL;TYPE=HOME:14\r\nNOTE:two\\nlines\r\n"), &["--guid", "1"]);
    assert_eq!(run(&mut world.with_db(&["item", "delete", "--user", "ada", "--guid", "2"])).0, 0);

    let log = said(&["list"]);
    let told: Vec<_> =
        log.as_array().unwrap().iter().map(|row| (row["revision"].clone(), row["what"].clone())).collect();
    assert_eq!(
        told,
        [(4, "deleted"), (3, "changed"), (2, "added"), (1, "added")].map(|(n, what)| (n.into(), what.into()))
    );
    assert_eq!((&log[0]["name"], &log[0]["by"], &log[1]["until"]), (&"Ada Two".into(), &"host".into(), &Value::Null));
    assert_eq!(said(&["list", "--name", "two", "--limit", "1"]).as_array().unwrap().len(), 1);
    assert_eq!(said(&["list", "--before", "2"])[0]["until"], 3);
    let (_, out, _) = of(&["list", "--guid", "1", "--limit", "1"]);
    assert!(out.contains("Ada One") && out.contains("--before 3") && !out.contains("Ada Two"), "{out}");

    // Shown byte for byte, by revision and by time.
    let (code, out, _) = of(&["show", "--guid", "1", "--at", "2"]);
    assert_eq!((code, out), (0, card("Ada One", "TEL;TYPE=HOME:12\r\n")));
    let (code, out, _) = of(&["show", "--name", "ada one", "--at", "2100-01-01T00:00:00Z"]);
    assert_eq!((code, out.contains("HOME:14")), (0, true), "{out}");
    for (code, text, args) in [
        (2, "was made later", &["show", "--guid", "1", "--at", "1999-12-31T23:59:59Z"][..]),
        (2, "was deleted then: in revision 4", &["show", "--guid", "2"]),
        (2, "at revision 4", &["show", "--guid", "2", "--at", "5"]),
        (2, "neither a revision", &["show", "--guid", "2", "--at", "yesterday"]),
        (2, "no contact is or was called \"eve\"", &["show", "--name", "eve"]),
        (2, "2 contacts; say which by --guid: 1 Ada One, 2 Ada Two (deleted)", &["show", "--name", "ada"]),
        (2, "say which item", &["show"]),
        (2, "cannot be used with", &["show", "--guid", "1", "--name", "one"]),
        (2, "a whole book by --book", &["restore", "--at", "2"]),
        (5, "there is no book \"cars\"", &["restore", "--at", "2", "--book", "cars"]),
        (2, "required", &["purge"]),
    ] {
        let (found, out, err) = of(args);
        assert_eq!(found, code, "{args:?}: {out}{err}");
        assert!(err.contains(text), "{args:?}: {err}");
    }
    let (_, out, _) = of(&["diff", "--guid", "1", "--from", "1"]);
    assert!(out.contains("NOTE\n  + two / lines\nTEL\n  - HOME: 12\n  + HOME: 14\n"), "{out}");
    let diff = said(&["diff", "--guid", "1", "--from", "1", "--to", "2"]);
    assert_eq!((&diff["same"], &diff["differences"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(said(&["diff", "--guid", "2", "--from", "2"])["to"]["deleted"], true);

    // A dry run says what would be; the restore goes to the folder by its next sync, and is undone again.
    let plan = said(&["restore", "--at", "2", "--book", "contacts", "--dry-run"]);
    assert_eq!((&plan["revived"], &plan["changed"], &plan["deleted"]), (&1.into(), &1.into(), &0.into()), "{plan}");
    let (code, out, _) = of(&["restore", "--at", "2", "--guid", "2", "--dry-run"]);
    assert_eq!((code, out.as_str()), (0, "contact 2 would come back\n"));
    assert_eq!(world.server_names(), set(["Ada One"]));
    world.synced("folder", &[], 0);
    assert_eq!(world.names("folder"), set(["Ada One"]));
    let done = said(&["restore", "--at", "2", "--book", "addressbook"]);
    assert_eq!((&done["revived"], &done["changed"], &done["restore"]), (&1.into(), &1.into(), &4.into()), "{done}");
    world.synced("folder", &[], 0);
    assert_eq!(world.names("folder"), set(["Ada One", "Ada Two"]));
    assert_eq!(said(&["list", "--limit", "1"])[0]["by"], "restore");
    let (code, out, err) = of(&["restore", "--at", "4", "--book", "contacts"]);
    assert!(code == 0 && out.contains("to undo it: syncml history restore --book contacts --at 6"), "{out}{err}");
    world.synced("folder", &[], 0);
    assert_eq!(world.names("folder"), set(["Ada One"]));
    assert_eq!(said(&["restore", "--at", "2", "--name", "ada two"])["outcome"], "revived");
    let (_, out, _) = run(&mut world.with_db(&["device", "list"]));
    assert!(!out.contains("restore"), "{out}");

    // The device has all there is: what is superseded may go.
    world.synced("folder", &[], 0);
    let kept = said(&["purge", "--keep-days", "1"]);
    assert_eq!((&kept["removed"], kept["kept"].as_u64() > Some(4)), (&0.into(), true), "{kept}");
    let kept = said(&["purge", "--keep-revisions", "1", "--keep-changes", "0"]);
    assert_eq!(kept["kept"], 2, "{kept}");
    let (code, _, err) = of(&["restore", "--at", "1", "--book", "contacts"]);
    assert!(code == 2 && err.contains("not kept any more"), "{err}");
    let (code, out, _) = run(world.with_db(&["history", "purge"]).args(["--keep-revisions", "0"]));
    assert!(code == 0 && out.starts_with("2 superseded revisions removed, 0 kept"), "{out}");
    assert_eq!(World::counts(&world.synced("folder", &[], 0)), [[0; 3]; 2]);
}

#[test]
fn what_was_done_is_told_by_numbers() {
    let world = World::new(&[]);
    for name in ["Ada One", "Ada Two"] {
        world.write(&format!("book/{name}.vcf"), &card(name, "TEL;TYPE=HOME:12\r\n"));
        world.synced("book", &[], 0);
    }
    world.write("secret", "a shared secret\n");
    let said = |args: &[&str]| {
        let (code, out, err) = run(&mut world.with_db(args));
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    };
    let secret = world.path("secret");
    said(&["platform", "add", "acme", "--secret-file", secret.to_str().unwrap(), "--grant", "ada"]);
    let password = world.path("password");
    said(&["account", "add", "ada", "--password-file", password.to_str().unwrap()]);
    said(&["history", "restore", "--user", "ada", "--book", "contacts", "--at", "1"]);
    let keys: Value = serde_json::from_str(&said(&["keys", "rotate", "--json"])).unwrap();
    assert_eq!((keys[0]["keys"].as_u64(), keys[1]["keys"].as_u64()), (Some(1), Some(2)), "{keys}");
    assert_eq!(said(&["keys", "list"]).lines().count(), 3);
    let rows: Value = serde_json::from_str(&said(&["audit", "list", "--json"])).unwrap();
    let told: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    let wanted = [
        "account.created",
        "device.created",
        "platform.changed",
        "platform.granted",
        "credentials.changed",
        "restored",
        "keys.rotated",
    ];
    assert_eq!(told, wanted, "{rows}");
    let text = said(&["audit", "list"]);
    for named in ["ada", "acme", "Ada One", PASSWORD, "a shared secret"] {
        assert!(!text.contains(named) && !rows.to_string().contains(named), "{named}: {text}");
    }
    assert_eq!(said(&["audit", "list", "--json", "--since", "2999-01-01T00:00:00Z"]).trim(), "[]");
    // Whoever was in the middle of it goes on.
    world.synced("book", &[], 0);
}

/// A dump while the server runs, into another database with packed cards, which devices then sync with.
#[test]
fn a_database_is_dumped_loaded_and_checked() {
    let mut world = World::new(&[]);
    world.write("one/anna.vcf", &card("Anna Öst", "TEL:+46701740601\r\n"));
    world.write("one/bo.vcf", &card("Bo Ek", "TEL:+4681234\r\n"));
    world.synced("one", &[], 0);
    let file = world.path("all.dump");
    let (code, out, err) = run(world.with_db(&["db", "dump"]).arg(&file));
    assert_eq!((code, out.starts_with("dumped: 1 accounts, 2 items")), (0, true), "{out}{err}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(run(world.with_db(&["db", "dump"]).arg(&file)).0, 7, "it exists already");
    let (code, out, _) = run(&mut world.with_db(&["db", "dump", "-"]));
    assert_eq!((code, &out), (0, &fs::read_to_string(&file).unwrap()));
    let (code, out, err) = run(&mut world.with_db(&["db", "check", "--json"]));
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &checked["ok"], &checked["checked"]["maps"]), (0, &Value::from(true), &Value::from(2)), "{err}");

    let other = |args: &[&str]| {
        let mut command = syncml();
        command.args(args).arg("--db").arg(format!("sqlite:{}", world.path("other.db").display()));
        command
    };
    let (code, out, err) = run(other(&["db", "load", "--json", "--compress"]).arg(&file));
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &done["done"]["items"]), (0, &Value::from(2)), "{err}");
    let packed = "SELECT count(*) FROM item WHERE size IS NOT NULL";
    let packed = rusqlite::Connection::open(world.path("other.db")).unwrap().query_row(packed, [], |row| row.get(0));
    assert_eq!(packed, Ok(2));
    let mut elsewhere = syncml();
    elsewhere.args(["db", "load", "--compress", "--db", "postgres://nobody@127.0.0.1:1/none"]);
    let (code, _, err) = run(elsewhere.arg(&file));
    assert_eq!((code, err.contains("--compress is for SQLite")), (2, true), "{err}");
    assert_eq!(run(other(&["db", "load"]).arg(&file)).0, 6, "it is not empty any more");
    let (code, out, _) = run(&mut other(&["db", "check"]));
    assert_eq!((code, out.starts_with("sound: 1 accounts, 2 items")), (0, true), "{out}");
    let (_, again, _) = run(&mut other(&["db", "dump", "-"]));
    assert_eq!(again, fs::read_to_string(&file).unwrap());
    world.write("half.dump", again.lines().take(4).map(|line| format!("{line}\n")).collect::<String>().as_str());
    let mut third = syncml();
    third.args(["db", "load"]).arg(world.path("half.dump"));
    let (code, _, err) = run(third.arg("--db").arg(format!("sqlite:{}", world.path("third.db").display())));
    assert_eq!((code, err.contains("line 5 of the dump")), (7, true), "{err}");

    // The server goes over to the loaded database: no slow sync, and nothing twice.
    let mut server = world.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    fs::rename(world.path("other.db"), world.path("server.db")).unwrap();
    for log in ["server.db-wal", "server.db-shm"] {
        drop(fs::remove_file(world.path(log)));
    }
    world.start(&[]);
    world.write("one/dora.vcf", &card("Dora", "TEL:+15550123\r\n"));
    let report = world.synced("one", &[], 0);
    assert_eq!(
        (World::counts(&report), report["report"]["books"][0]["mode"].as_str()),
        ([[0; 3], [1, 0, 0]], Some("two-way"))
    );
    assert_eq!(world.server_names(), set(["Anna Öst", "Bo Ek", "Dora"]));

    // A page that is damaged.
    let mut server = world.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let mut bytes = fs::read(world.path("server.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 2_000].fill(0xAB);
    fs::write(world.path("server.db"), bytes).unwrap();
    let (code, _, err) = run(&mut world.with_db(&["db", "check"]));
    assert_eq!((code, err.contains("restore a backup")), (6, true), "{err}");
}
