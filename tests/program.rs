//! The program as its users run it: spawned, over real HTTP on loopback. What keeps a server is in `program_books.rs`.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{PASSWORD, World, card, run, set, syncml};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

#[test]
fn two_folders_come_and_stay_in_step() {
    for more in [
        &["--proto", "1.2"][..],
        &["--proto", "1.1", "--encoding", "wbxml"],
        &["--proto", "1.0"],
        &["--encoding", "wbxml", "--auth", "basic"],
    ] {
        let world = World::new(&["--allow-basic"]);
        world.write("one/anna.vcf", &card("Anna Öst", "TEL;TYPE=CELL:+46701740601\r\n"));
        world.write("one/bo.vcf", &card("Bo Ek", "TEL:+4681234\r\nX-ODD;X-P=1:kept\r\n"));
        world.write("two/chen.vcf", &card("晓明 陈", "NOTE:🦊\r\n"));
        world.write("two/Anna.vcf", &card("Anna Öst", "TEL;TYPE=CELL:+46 70 174 06 01\r\nEMAIL:anna@ost.example\r\n"));

        assert_eq!(World::counts(&world.synced("one", more, 0)), [[0, 0, 0], [2, 0, 0]], "{more:?}");
        world.synced("two", more, 0);
        world.synced("one", more, 0);
        let all = set(["Anna Öst", "Bo Ek", "晓明 陈"]);
        assert_eq!((world.names("one"), world.names("two"), world.server_names()), (all.clone(), all.clone(), all));
        assert!(world.read("one/anna.vcf").contains("anna@ost.example"), "the twins were merged");
        assert!(world.read("one/bo.vcf").contains("X-ODD;X-P=1:kept"));

        for dir in ["one", "two"] {
            world.synced(dir, more, 0);
            let report = world.synced(dir, more, 0);
            assert_eq!(World::counts(&report), [[0; 3]; 2], "nothing to do: {report}");
            assert_eq!(report["report"]["books"][0]["mode"], "two-way");
        }

        fs::remove_file(world.path("one/bo.vcf")).unwrap();
        world.write("one/dora.vcf", &card("Dora", "TEL:+15550123\r\n"));
        let anna = world.read("two/Anna.vcf").replace("END:VCARD", "NICKNAME:Annie\r\nEND:VCARD");
        world.write("two/Anna.vcf", &anna);
        assert_eq!(World::counts(&world.synced("one", more, 0)), [[0, 0, 0], [1, 0, 1]]);
        assert_eq!(World::counts(&world.synced("two", more, 0)), [[1, 0, 1], [0, 1, 0]]);
        assert_eq!(World::counts(&world.synced("one", more, 0)), [[0, 1, 0], [0, 0, 0]]);
        let all = set(["Anna Öst", "Dora", "晓明 陈"]);
        assert_eq!((world.names("one"), world.names("two"), world.server_names()), (all.clone(), all.clone(), all));
        assert!(world.read("one/anna.vcf").contains("NICKNAME:Annie"));
    }
}

/// Over a socket, OBEX and letters, and over the next way where one is closed. The server ends gently with all of them.
#[test]
fn folders_stay_in_step_over_other_transports() {
    let letters = tempfile::tempdir().unwrap();
    let dir = letters.path().join("box");
    let mut world = World::new(&["--tcp", "127.0.0.1:0", "--obex", "127.0.0.1:0", "--dropbox", dir.to_str().unwrap()]);
    let also = || -> Vec<String> {
        let said = world.said.lock().unwrap();
        said.iter().filter_map(|line| line.strip_prefix("also on ").map(str::to_owned)).collect()
    };
    while also().len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let (also, closed) = (also(), "tcp://127.0.0.1:1");
    let ways: Vec<Vec<&str>> = also
        .iter()
        .map(|uri| vec![uri.as_str()])
        .chain([vec![closed, "--or", &also[1]], vec![closed, "--or", &world.url]])
        .collect();
    for (number, way) in ways.iter().enumerate() {
        let (name, folder) = (format!("Person No{number}"), format!("folder{number}"));
        world.write(&format!("{folder}/new.vcf"), &card(&name, &format!("TEL:+1555000{number}\r\n")));
        let more = ["--retries", "0", "--encoding", if number % 2 == 0 { "xml" } else { "wbxml" }];
        for _ in 0..2 {
            let (code, out, err) = run(world.sync_to(&folder, way[0]).args(&way[1..]).args(more));
            assert_eq!(code, 0, "{way:?}: {out}\n{err}");
        }
        assert!(world.server_names().contains(&name));
        assert_eq!(world.names(&folder), world.server_names(), "all that others brought");
    }
    let (code, out, err) = run(world.sync_to("folder0", closed).args(["--retries", "0"]));
    assert_eq!((code, out.contains("cannot reach tcp://127.0.0.1:1")), (3, true), "{out}\n{err}");
    for (bad, exit) in [("tcp://h", 2), ("obex:x", 2), ("dropbox:", 2), ("dropbox:/nowhere", 7)] {
        let (code, _, err) = run(&mut world.sync_to("folder0", bad));
        assert_eq!(code, exit, "{bad}: {err}");
    }
    let mut server = world.server.take().unwrap();
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
    assert!(TcpStream::connect(also[0].strip_prefix("tcp://").unwrap()).is_err());
}

#[test]
fn a_slow_sync_doubles_nothing() {
    let world = World::new(&[]);
    for number in 0..30 {
        world.write(
            &format!("one/{number}.vcf"),
            &card(&format!("Person No{number}"), &format!("TEL:+1555{number:04}\r\n")),
        );
    }
    world.synced("one", &["--max-msg-size", "8000"], 0);
    let report = world.synced("one", &["--mode", "slow", "--max-msg-size", "8000"], 0);
    assert_eq!(report["report"]["books"][0]["mode"], "slow");
    assert!(report["report"]["messages"].as_u64().unwrap() > 4, "several messages: {report}");
    assert_eq!((world.names("one").len(), world.server_names().len()), (30, 30));
    // A folder that lost its state starts again.
    fs::remove_file(world.path("one/.syncml.db")).unwrap();
    world.synced("one", &[], 0);
    assert_eq!((world.names("one").len(), world.server_names().len()), (30, 30));
}

#[test]
fn names_and_skips_a_card_that_cannot_be_read() {
    let world = World::new(&[]);
    world.write("one/good.vcf", &card("Good", ""));
    world.write("one/bad.vcf", "this is no card");
    let report = world.synced("one", &[], 1);
    assert_eq!(report["ok"], false);
    assert_eq!(report["skipped"][0]["file"], "bad.vcf");
    assert_eq!(world.server_names(), set(["Good"]));
    assert_eq!(world.read("one/bad.vcf"), "this is no card");
}

#[test]
fn an_emptied_folder_deletes_nothing_unasked() {
    let world = World::new(&[]);
    for name in ["a", "b", "c"] {
        world.write(&format!("one/{name}.vcf"), &card(name, ""));
    }
    world.synced("one", &[], 0);
    for name in ["a", "b", "c"] {
        fs::remove_file(world.path(&format!("one/{name}.vcf"))).unwrap();
    }
    let report = world.synced("one", &[], 9);
    assert!(report["error"].as_str().unwrap().contains("--allow-mass-delete"));
    assert_eq!(world.server_names().len(), 3);
    world.synced("one", &["--allow-mass-delete"], 0);
    assert_eq!(world.server_names().len(), 0);
}

#[test]
fn errors_have_words_and_codes() {
    let world = World::new(&[]);
    world.write("one/a.vcf", &card("A", ""));
    world.write("wrong", "battery staple\n");
    let fails = |expected: i32, words: &str, command: &mut Command| {
        let (code, out, err) = run(command);
        assert_eq!(code, expected, "{words}: {out}{err}");
        assert!(err.contains(words), "{words}: {err}");
        assert!(!err.contains("battery") && !err.contains(PASSWORD));
    };
    let sync = |more: &[&str]| {
        let mut command = syncml();
        command.arg("sync").arg(world.path("one")).args(more);
        command
    };
    let to = ["--to", &world.url, "--user", "ada"];
    let wrong = world.path("wrong");
    let right = world.path("password");
    fails(4, "password", sync(&to).arg("--password-file").arg(&wrong));
    fails(4, "password", sync(&["--to", &world.url, "--user", "nobody"]).arg("--password-file").arg(&right));
    fails(5, "no book", sync(&to).args(["--remote-book", "recipes"]).arg("--password-file").arg(&right));
    fails(5, "recipes", sync(&to).args(["--book", "recipes"]).arg("--password-file").arg(&right));
    fails(2, "SYNCML_PASSWORD", &mut sync(&to));
    fails(2, "--to", &mut sync(&["--user", "ada"]));
    fails(7, "no folder", &mut {
        let mut command = syncml();
        command.arg("sync").arg(world.path("nowhere")).args(to).arg("--password-file").arg(&right);
        command
    });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/syncml");
    fails(3, "cannot reach", sync(&["--to", &url, "--user", "ada"]).arg("--password-file").arg(&right));
    fails(6, "no database", syncml().args(["account", "list", "--db", "sqlite:/nowhere/at/all.db"]));
    fails(2, "sqlite:PATH", syncml().args(["account", "list", "--db", "mysql://x"]));
    fails(2, "names no user", syncml().args(["account", "list", "--db", "postgres://x"]));

    world.write("damaged.db", &"not a database ".repeat(100));
    let damaged = format!("sqlite:{}", world.path("damaged.db").display());
    fails(6, "damaged.db", syncml().args(["account", "list", "--db", &damaged]));
    assert_eq!(world.server_names().len(), 0, "nothing was written by what failed");
}

/// Catalogue: HTTP-1
#[test]
fn the_server_explains_itself_to_strangers() {
    let world = World::new(&[]);
    let talk = |request: &str| {
        let address = world.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"));
        answer
    };
    let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let xml = "Content-Type: application/vnd.syncml+xml\r\n";
    let page = talk(&format!("GET / {head}\r\n"));
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("SyncML server"), "{page}");
    assert!(talk(&format!("PUT /syncml {head}Content-Length: 0\r\n\r\n")).starts_with("HTTP/1.1 405"));
    let wrong = talk(&format!("POST /syncml {head}Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"));
    assert!(wrong.starts_with("HTTP/1.1 415") && wrong.contains("application/vnd.syncml+xml"), "{wrong}");
    let broken = talk(&format!("POST /syncml {head}{xml}Content-Length: 4\r\n\r\n<a/>"));
    assert!(broken.starts_with("HTTP/1.1 400"), "{broken}");
    let large = talk(&format!("POST /syncml {head}{xml}Content-Length: 999999999\r\n\r\n"));
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
}

#[test]
fn a_platform_speaks_for_the_accounts_granted_to_it() {
    let world = World::new(&["--allow-basic"]);
    world.write("secret", "open sesame\n");
    world.write("one/a.vcf", &card("A", ""));
    let secret = world.path("secret");
    let add = ["platform", "add", "gateway-7", "--grant", "ada", "--secret-file", secret.to_str().unwrap()];
    let (code, _, err) = run(&mut world.with_db(&add));
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = run(&mut world.with_db(&["platform", "list", "--json"]));
    assert_eq!(out.trim(), r#"[{"accounts":["ada"],"platform":"gateway-7"}]"#);
    let platform = |id: &str, secret: &str| {
        let mut command = syncml();
        command.arg("sync").arg(world.path("one")).args(["--to", &world.url, "--user", "ada", "--auth", "device"]);
        command.args(["--device-id", id, "--secret-file"]).arg(world.path(secret));
        run(&mut command)
    };
    world.write("wrong", "open barley\n");
    assert_eq!(platform("gateway-7", "wrong").0, 4);
    assert_eq!(platform("gateway-8", "secret").0, 4);
    assert_eq!(world.server_names().len(), 0);
    let (code, out, err) = platform("gateway-7", "secret");
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(world.server_names(), set(["A"]));
    let (_, out, _) = run(&mut world.with_db(&["device", "list", "--json"]));
    let devices: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&devices[0]["device"], &devices[0]["books"][0]["items"]), (&"gateway-7".into(), &1.into()), "{out}");
}

#[test]
fn messages_are_made_readable_and_back() {
    let world = World::new(&[]);
    world.write("one/a.vcf", &card("A & B", ""));
    let trace = world.path("trace");
    world.synced("one", &["--encoding", "wbxml", "--trace", trace.to_str().unwrap()], 0);
    let first = trace.join("001-c2s.wbxml");
    assert!(trace.join("001-s2c.wbxml").exists());
    let (code, readable, err) = run(syncml().arg("decode").arg(&first));
    assert_eq!(code, 0, "{err}");
    assert!(readable.contains("\n  <SyncHdr>\n    <VerDTD>1.2</VerDTD>"), "{readable}");
    world.write("first.xml", &readable);
    let again = world.path("again.wbxml");
    assert_eq!(run(syncml().arg("encode").arg(world.path("first.xml")).arg("-o").arg(&again)).0, 0);
    let (_, from_again, _) = run(syncml().arg("decode").arg(&again));
    assert_eq!(from_again, readable);
    world.write("junk", "junk");
    let (code, _, err) = run(syncml().arg("decode").arg(world.path("junk")));
    assert_eq!((code, err.contains("neither XML nor WBXML")), (7, true), "{err}");
}

/// Says 503 to everything; tells of the first.
fn overloaded() -> (String, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/syncml", listener.local_addr().unwrap());
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut byte = [0];
            let mut tail = Vec::new();
            // The whole message, so that the answer is not lost to a reset.
            while !tail.ends_with(b"</SyncML>") && stream.read(&mut byte).unwrap_or(0) == 1 {
                tail.push(byte[0]);
            }
            drop(stream.write_all(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
            tell.send(()).unwrap_or_default();
        }
    });
    (url, asked)
}

#[test]
fn a_server_that_is_overloaded_is_asked_as_often_as_wanted() {
    let world = World::new(&[]);
    world.write("one/a.vcf", &card("A", ""));
    let (url, asked) = overloaded();
    let (code, out, err) = run(world.sync_to("one", &url).args(["--retries", "1"]));
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("HTTP 503: it is not up to it at the moment; sync again later"), "{out}");
    assert_eq!(asked.try_iter().count(), 2);
}

#[test]
fn ctrl_c_ends_a_sync_cleanly() {
    let world = World::new(&[]);
    world.write("one/a.vcf", &card("A", ""));
    let (url, asked) = overloaded();
    let mut command = world.sync_to("one", &url);
    command.args(["--retries", "1000000"]);
    let sync = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    asked.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert!(Command::new("kill").args(["-INT", &sync.id().to_string()]).status().unwrap().success());
    let output = sync.wait_with_output().unwrap();
    let out: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &out["exit"]), (Some(130), &130.into()), "{out}");
    assert_eq!(world.names("one"), set(["A"]));
    world.synced("one", &[], 0);
    assert_eq!(world.server_names(), set(["A"]));
}

#[test]
fn a_proxy_comes_from_an_option_or_the_environment() {
    let world = World::new(&[]);
    world.write("one/a.vcf", &card("A", ""));
    let nobody = "http://127.0.0.1:1";
    assert_eq!(run(world.sync("one").args(["--retries", "0", "--proxy", nobody])).0, 3);
    assert_eq!(run(world.sync("one").args(["--retries", "0"]).env("http_proxy", nobody)).0, 3);
    assert_eq!(run(world.sync("one").args(["--proxy", "::"])).0, 2);
    let (code, _, err) = run(world.sync("one").arg("--no-proxy").env("http_proxy", nobody));
    assert_eq!(code, 0, "{err}");
    assert_eq!(run(world.sync("one").env("http_proxy", nobody).env("no_proxy", "127.0.0.1")).0, 0);
}

#[test]
fn changes_are_asked_for_without_a_sync() {
    let world = World::new(&[]);
    for name in ["a/x.vcf", "b/y.vcf"] {
        world.write(name, &card(name, ""));
    }
    let poll = |args: &[&str]| {
        let mut command = syncml();
        command.args(["poll", "--to", &world.url]).args(args);
        let (code, out, err) = run(&mut command);
        assert_eq!(code, 0, "{err}");
        out
    };
    let (dir, password) = (world.path("a").display().to_string(), world.path("password").display().to_string());
    let ada = [&dir, "--user", "ada", "--password-file", &password];
    let changed = || {
        let said: Value = serde_json::from_str(&poll(&[&ada[..], &["--json"]].concat())).unwrap();
        assert_eq!(said["books"].as_array().unwrap().len(), 6);
        (said["changed"].as_bool().unwrap(), said["books"][0]["book"].clone(), said["books"][0]["changed"].clone())
    };
    world.synced("a", &[], 0);
    assert_eq!(changed(), (false, "contacts".into(), false.into()));
    world.synced("b", &[], 0);
    assert_eq!(changed(), (true, "contacts".into(), true.into()));
    assert!(poll(&ada).contains("contacts   yes\n"), "{}", poll(&ada));

    world.write("secret", "open sesame\n");
    let secret = world.path("secret").display().to_string();
    let (code, _, err) =
        run(&mut world.with_db(&["platform", "add", "gateway-7", "--grant", "ada", "--secret-file", &secret]));
    assert_eq!(code, 0, "{err}");
    let all = ["--all", "--device-id", "gateway-7", "--auth", "device", "--secret-file", &secret];
    assert_eq!(poll(&all), "account  book\nada      contacts\n");
    for (args, expected, said) in [
        (&["--user", "ada", "--password-file", &secret][..], 2, "DIR"),
        (&["--user", "ada", "--password-file", &secret, &world.path("c").display().to_string()], 2, "never synced"),
        (&["--user", "ada", "--password-file", &secret, &dir], 4, "credentials"),
        (&["--all", "--device-id", "x"], 2, "--auth device"),
        (&["--all", "--device-id", "x", "--auth", "device", "--secret-file", &secret], 4, "credentials"),
    ] {
        let (code, _, err) = run(syncml().args(["poll", "--to", &world.url]).args(args));
        assert_eq!(code, expected, "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
}

/// Catalogue: X10
#[test]
fn any_server_is_asked_whether_it_keeps_the_rules() {
    let world = World::new(&[]);
    let mut command = syncml();
    command.args(["conformance", &world.url, "--user", "ada", "--password-file"]).arg(world.path("password"));
    let junit = world.path("junit.xml");
    let (code, out, err) = run(command.args(["--only", "AUTH-*,DEL-1,LO-", "--junit"]).arg(&junit));
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("writing test cards into the book \"contacts\""), "{err}");
    assert!(out.contains("pass        DEL-1 ") && out.contains("unsupported AUTH-2 "), "{out}");
    assert!(out.ends_with("passed, 0 failed, 1 unsupported (SyncML/1.2 in XML)\n"), "{out}");
    let junit = fs::read_to_string(junit).unwrap();
    assert!(junit.contains("failures=\"0\"") && junit.contains("<testcase classname=\"DEL-1\""), "{junit}");
    assert!(world.server_names().is_empty(), "nothing is left behind");

    // A book with somebody's cards is refused, unless told otherwise.
    fs::create_dir(world.path("folder")).unwrap();
    world.write("folder/mine.vcf", &card("Ann Example", "TEL:+4930111\r\n"));
    world.synced("folder", &[], 0);
    let mut again = syncml();
    again.args(["conformance", &world.url, "--user", "ada", "--only", "DEL-1", "--json", "--password-file"]);
    let (code, out, err) = run(again.arg(world.path("password")));
    assert_eq!(code, 2, "{out}");
    assert!(err.contains("holds 1 other cards") && err.contains("--allow-writes"), "{err}");
    let (code, out, err) = run(again.args(["--allow-writes", "--encoding", "wbxml", "--version", "1.1"]));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["findings"][0]["result"]), (0, &Value::from("pass")), "{out}{err}");
    assert_eq!(world.server_names(), set(["Ann Example"]));

    let (code, _, err) = run(syncml()
        .args(["conformance", "http://127.0.0.1:1/", "--user", "ada", "--password-file"])
        .arg(world.path("password")));
    assert_eq!(code, 3, "{err}");
    let (code, out, _) = run(syncml().args(["conformance", "--list", "--only", "two messages"]));
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
}

#[test]
fn a_device_is_asked_to_sync() {
    let world = World::new(&[]);
    world.write("a/x.vcf", &card("Ada Lovelace", ""));
    world.synced("a", &["--device-id", "IMEI:1"], 0);
    world.write("server-password", "sesame\n");
    let notify = |args: &[&str]| {
        let mut command = world.with_db(&["notify", "IMEI:1", "--user", "ada"]);
        command.args(args).args(["--session", "4242"]);
        command
    };
    let out = world.path("san").display().to_string();
    let password = world.path("server-password").display().to_string();
    let signed = ["--server-password-file", &password, "--server-id", "me", "--mode", "one-way-from-server"];
    let (code, text, err) = run(notify(&["--ui", "interactive", "--out", &out]).args(signed));
    assert_eq!((code, &*text), (0, "40 bytes of application/vnd.syncml.ds.notification, session 1092\n"), "{err}");
    let (code, text, err) = run(syncml().arg("decode").arg(&out));
    assert_eq!(code, 0, "{err}");
    for said in ["DS 1.2, signed", "server: me", "session: 1092", "user: Interactive", "sync: 209", "\"contacts\""] {
        assert!(text.contains(said), "{said} in {text}");
    }
    let (code, text, err) = run(&mut notify(&["--alert", "--encoding", "xml", "--book", "notes", "--out", "-"]));
    assert_eq!(code, 0, "{err}");
    for said in ["<VerDTD>1.1</VerDTD>", "<Data>206</Data>", "<LocURI>./notes</LocURI>", "IMEI:1"] {
        assert!(text.contains(said), "{said} in {text}");
    }
    for (args, expected, said) in [
        (&["notify", "IMEI:2", "--user", "ada", "--out", "-"][..], 2, "device list"),
        (&["notify", "IMEI:1", "--user", "eve", "--out", "-"], 2, "account list"),
        (&["notify", "IMEI:1", "--user", "ada", "--book", "nonsense", "--out", "-"], 5, "nonsense"),
        (&["notify", "IMEI:1", "--user", "ada", "--out", "/nowhere/x"], 7, "/nowhere/x"),
        (&["notify", "IMEI:1", "--user", "ada", "--san", "--alert", "--out", "-"], 2, "--alert"),
    ] {
        let (code, _, err) = run(&mut world.with_db(args));
        assert_eq!(code, expected, "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
}

#[test]
fn ctrl_c_ends_the_server_cleanly() {
    let mut world = World::new(&[]);
    let mut server = world.server.take().unwrap();
    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn the_demo_ends_with_equal_books() {
    let (code, out, err) = run(syncml().arg("demo").current_dir(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("hold the same"), "{out}");
    assert!(out.contains("LUID on phone"), "{out}");
}

#[test]
fn help_lists_the_exit_codes() {
    let (code, out, _) = run(syncml().arg("--help"));
    assert_eq!(code, 0);
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130"] {
        assert!(out.contains(&format!("\n    {code}  ")) || out.contains(&format!("\n  {code}  ")), "{code}: {out}");
    }
}

/// The same build says the same words; packagers put them into bug reports.
#[test]
fn the_program_tells_of_itself() {
    let said = |words: &[&str]| {
        let output = syncml().args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = said(&["--version"]);
    assert_eq!(
        version.lines().collect::<Vec<_>>(),
        [
            concat!("syncml ", env!("CARGO_PKG_VERSION")),
            "features: console, documents, http, postgres, service, sqlite"
        ]
    );
    for (shell, word) in [("bash", "complete -F _syncml"), ("zsh", "#compdef syncml"), ("fish", "complete -c syncml")] {
        assert!(said(&["completions", shell]).contains(word), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    let first = said(&["man", pages.to_str().unwrap()]);
    assert_eq!(first.trim(), format!("man {}", pages.join("syncml.1").display()));
    let sync = fs::read_to_string(pages.join("syncml-sync.1")).unwrap();
    assert!(sync.contains("Keep a folder of cards in step with a server"), "{sync}");
}
