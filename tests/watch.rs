//! Phone books that are watched (missions R1 and R2): the program, spawned, over real HTTP and SQLite. Each row has tests that
//! are called by its id, with what it refuses. Nothing is timed: a test waits for what the program says, and counts.
#![cfg(all(feature = "cli", unix))]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{Telling, World, card, run, set, syncml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const PHONE: &str = "imei:490154203237518";
const NEW_PHONE: &str = "imei:352099001761481";
const ONE: &str = "imsi:460001234567890";
const TWO: &str = "imsi:262019876543210";

/// The server's name of a book, as anybody can work it out.
fn book(device: &str, storage: &str) -> String {
    let text = format!("syncml book 1\n{device}\nstorage:{storage}\n");
    let id: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("book/{}", &id[..15])
}

fn watch(world: &World, device: &str, books: &[&str], more: &[&str]) -> Command {
    let mut command = syncml();
    command.arg("watch");
    for book in books {
        let (storage, dir) = book.split_once('=').unwrap();
        command.arg(format!("{storage}={}", world.path(dir).display()));
    }
    command.args(["--to", &world.url, "--user", "ada", "--device", device, "--json", "--quiet", "100"]);
    command.arg("--password-file").arg(world.path("password")).args(more);
    command
}

/// A watcher that runs.
struct Watcher(Telling);

impl Watcher {
    fn start(world: &World, device: &str, books: &[&str], more: &[&str]) -> Self {
        let watcher = Self(Telling::start(watch(world, device, books, more)));
        let first = watcher.next();
        assert_eq!((&first["event"], &first["noticed"]), (&json!("watching"), &json!(true)), "{first}");
        watcher
    }

    fn next(&self) -> Value {
        self.0.next()
    }

    /// The next event of a kind; others may come before, but for what went wrong.
    fn until(&self, event: &str) -> Value {
        loop {
            let told = self.next();
            if told["event"] == event {
                return told;
            }
            let wrong = ["refused", "waiting", "ended"].iter().any(|it| told["event"] == *it);
            assert!(!wrong, "waiting for {event}: {told}");
        }
    }

    /// Backups until the server has these cards.
    fn until_there(&self, world: &World, book: &str, expected: &BTreeSet<String>) {
        while names(world, book) != *expected {
            self.until("backup");
        }
    }

    /// Ctrl-C; gives the exit code.
    fn end(mut self) -> i32 {
        let sent = Command::new("kill").args(["-INT", &self.0.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let code = self.0.child.wait().unwrap().code().unwrap();
        let last = self.0.lines.iter().last();
        assert_eq!(last.as_ref().map(|last| &last["event"]), Some(&json!("ended")), "{last:?}");
        code
    }
}

/// The cards of a book at the server, by name.
fn cards(world: &World, book: &str) -> BTreeMap<String, String> {
    let rows = world.json(&["list", "--user", "ada", "--book", book]);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "content"))).collect()
}

fn names(world: &World, book: &str) -> BTreeSet<String> {
    cards(world, book).into_keys().collect()
}

fn sent(told: &Value) -> [u64; 3] {
    let sent = &told["report"]["books"][0]["sent"];
    ["added", "changed", "deleted"].map(|what| sent[what].as_u64().unwrap())
}

/// Mission R1: when what is there differs from what was, it is backed up at once; else it goes on watching.
#[test]
fn r1_what_changes_is_backed_up_at_once() {
    let world = World::new(&[]);
    world.write("phone/a.vcf", &card("Anna Doe", "TEL:+4930111\r\n"));
    world.write("phone/b.vcf", &card("Bo Doe", ""));
    world.write("sim/c.vcf", &card("Cy Doe", ""));
    let (phone, sim) = (book(PHONE, "phone"), book(PHONE, "sim"));
    let watcher = Watcher::start(&world, PHONE, &["phone=phone", "sim=sim"], &[]);
    let first: BTreeMap<_, _> =
        (0..2).map(|_| watcher.until("backup")).map(|it| (it["storage"].to_string(), sent(&it))).collect();
    assert_eq!(first, BTreeMap::from([("\"phone\"".to_owned(), [2, 0, 0]), ("\"sim\"".to_owned(), [1, 0, 0])]));

    // Edited, added, removed, renamed; in one book only.
    world.write("phone/a.vcf", &card("Anna Doe", "TEL:+4930119\r\n"));
    let told = watcher.until("backup");
    assert_eq!((&told["storage"], sent(&told)), (&json!("phone"), [0, 1, 0]), "{told}");
    assert!(cards(&world, &phone)["Anna Doe"].contains("+4930119"));
    world.write("sim/d.vcf", &card("Di Doe", ""));
    watcher.until_there(&world, &sim, &set(["Cy Doe", "Di Doe"]));
    fs::remove_file(world.path("phone/b.vcf")).unwrap();
    watcher.until_there(&world, &phone, &set(["Anna Doe"]));

    // Written, but not changed: that is looked at, and is no backup.
    world.write("phone/a.vcf", &card("Anna Doe", "TEL:+4930119\r\n"));
    let told = watcher.until("unchanged");
    assert_eq!((&told["storage"], &told["looked"]), (&json!("phone"), &json!(1)), "{told}");
    // What is no card is not looked at: the next that is said is of the card written after it.
    world.write("phone/notes.txt", "no card");
    world.write("phone/.hidden.vcf", "no card");
    world.write("phone/e.vcf", &card("Ed Doe", ""));
    let told = watcher.until("backup");
    assert_eq!(sent(&told), [1, 0, 0], "{told}");
    assert_eq!(watcher.end(), 0);

    // What happens while nobody watches is found by the digests.
    world.write("phone/a.vcf", &card("Anna Doe", "TEL:+4930110\r\n"));
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &[]);
    let told = watcher.until("backup");
    assert_eq!(sent(&told), [0, 1, 0], "{told}");
    assert_eq!(names(&world, &phone), set(["Anna Doe", "Ed Doe"]));
    assert_eq!(watcher.end(), 0);
}

/// Mission R1: a change costs what it changes. Counted, by the program and by the system: files that are read, and bytes.
#[test]
fn r1_a_change_in_a_large_folder_reads_only_what_changed() {
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1");
    let count = if full { 100_000 } else { 1_500 };
    let world = World::new(&[]);
    // So that all of the cards are more than anything else that is read.
    let note = format!("NOTE:{}\r\n", "x".repeat(if full { 600 } else { 6_000 }));
    let content = |at: usize, more: &str| card(&format!("P{at} Doe"), &format!("{note}TEL:+49{at}{more}\r\n"));
    fs::create_dir(world.path("phone")).unwrap();
    for at in 0..count {
        fs::write(world.path(&format!("phone/{at}.vcf")), content(at, "")).unwrap();
    }
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &[]);
    let mut told = watcher.0.lines.recv_timeout(Telling::PATIENCE * 30).unwrap();
    assert_eq!((&told["event"], sent(&told)), (&json!("backup"), [count as u64, 0, 0]), "{told}");
    let whole: u64 = fs::read_dir(world.path("phone"))
        .unwrap()
        .map(|it| it.unwrap())
        .filter(|it| it.file_name().to_string_lossy().ends_with(".vcf"))
        .map(|it| it.metadata().unwrap().len())
        .sum();
    for round in 1..=3 {
        let before = bytes_read(&watcher);
        let start = Instant::now();
        world.write("phone/7.vcf", &content(7, &round.to_string()));
        told = watcher.until("backup");
        println!("{count} cards, one changed: {} ms", start.elapsed().as_millis());
        assert_eq!((&told["looked"], sent(&told)), (&json!(1), [0, 1, 0]), "{told}");
        // To compare, to send, and before anything would be written into it.
        assert!(told["read"].as_u64().unwrap() <= 4, "{told}");
        if let (Some(before), Some(after)) = (before, bytes_read(&watcher)) {
            assert!(after - before < whole / 10, "{} bytes were read, of {whole}", after - before);
        }
    }
    assert_eq!(cards(&world, &book(PHONE, "phone")).len(), count);
    assert_eq!(watcher.end(), 0);

    // At the next start what has not changed is known by size and time, once these are old enough to be trusted.
    if !full {
        thread::sleep(Duration::from_millis(2_100));
        Watcher::start(&world, PHONE, &["phone=phone"], &[]).until("backup");
        let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &[]);
        let told = watcher.until("backup");
        assert_eq!((&told["looked"], sent(&told)), (&json!(count), [0, 0, 0]), "{told}");
        assert!(told["read"].as_u64().unwrap() <= 2, "{told}");
    }
}

/// What a process has read so far, where the system tells.
fn bytes_read(watcher: &Watcher) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/io", watcher.0.child.id())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).and_then(|count| count.parse().ok())
}

/// Mission R1: a server that cannot be reached is waited for, and nothing is missed meanwhile.
#[test]
fn r1_what_changes_while_offline_is_backed_up_later() {
    let mut world = World::new(&[]);
    world.write("phone/a.vcf", &card("Anna Doe", ""));
    let phone = book(PHONE, "phone");
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &["--retries", "0"]);
    watcher.until("backup");
    world.stop();
    world.write("phone/b.vcf", &card("Bo Doe", ""));
    for failures in 1..=2 {
        let told = watcher.next();
        assert_eq!((&told["event"], &told["exit"]), (&json!("waiting"), &json!(3)), "{told}");
        assert_eq!(told["failures"], json!(failures), "{told}");
    }
    // More changes while it waits; all goes with the next attempt.
    world.write("phone/c.vcf", &card("Cy Doe", ""));
    world.start(&[]);
    let mut told = watcher.next();
    while told["event"] == "waiting" {
        told = watcher.next();
    }
    assert_eq!(told["event"], "backup", "{told}");
    watcher.until_there(&world, &phone, &set(["Anna Doe", "Bo Doe", "Cy Doe"]));
    assert_eq!(watcher.end(), 0);

    // Ended while it waits; the next one knows that something is owed.
    world.stop();
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &["--retries", "0"]);
    world.write("phone/d.vcf", &card("Di Doe", ""));
    assert_eq!(watcher.next()["event"], "waiting");
    assert_eq!(watcher.end(), 0);
    world.start(&[]);
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &[]);
    watcher.until("backup");
    assert!(names(&world, &phone).contains("Di Doe"));
}

/// Mission R1, refused: an emptied folder, a wrong password, what cannot be watched.
#[test]
fn r1_what_is_refused_changes_nothing() {
    let world = World::new(&[]);
    for name in ["Anna", "Bo", "Cy"] {
        world.write(&format!("phone/{name}.vcf"), &card(&format!("{name} Doe"), ""));
    }
    let phone = book(PHONE, "phone");
    let watcher = Watcher::start(&world, PHONE, &["phone=phone"], &[]);
    watcher.until("backup");
    // Another one, and a sync by hand, are told that there is one.
    let (code, out, err) = run(&mut watch(&world, PHONE, &["phone=phone"], &[]));
    assert!(code == 1 && err.contains("another sync"), "{code} {out} {err}");
    // An emptied folder deletes nothing, and is watched on.
    for name in ["Anna", "Bo", "Cy"] {
        fs::remove_file(world.path(&format!("phone/{name}.vcf"))).unwrap();
    }
    let mut told = watcher.next();
    while told["event"] == "backup" {
        // One or two of them may be seen to go before the last.
        told = watcher.next();
    }
    assert_eq!((&told["event"], &told["exit"]), (&json!("refused"), &json!(9)), "{told}");
    let left = names(&world, &phone);
    assert!(!left.is_empty());
    world.write("phone/new.vcf", &card("Di Doe", ""));
    watcher.until_there(&world, &phone, &set(["Di Doe"]));
    // A folder that is gone has not lost its cards.
    fs::rename(world.path("phone"), world.path("elsewhere")).unwrap();
    let told = watcher.next();
    assert_eq!((&told["event"], &told["exit"]), (&json!("waiting"), &json!(7)), "{told}");
    assert_eq!(names(&world, &phone), set(["Di Doe"]));
    fs::rename(world.path("elsewhere"), world.path("phone")).unwrap();
    loop {
        let told = watcher.next();
        match told["event"].as_str().unwrap() {
            "waiting" => {}
            "backup" => break assert_eq!(sent(&told), [0, 0, 0], "{told}"),
            _ => panic!("{told}"),
        }
    }
    assert_eq!(watcher.end(), 0);

    world.write("wrong", "wrong horse\n");
    let wrong = world.path("wrong");
    let mut command = syncml();
    command.arg("watch").arg(format!("phone={}", world.path("phone").display()));
    command.args(["--to", &world.url, "--user", "ada", "--device", PHONE, "--json", "--password-file"]).arg(&wrong);
    let (code, out, err) = run(&mut command);
    assert!(code == 4 && out.contains("\"refused\""), "{code} {out} {err}");
    for (books, more, code, words) in [
        (&["phone=none"][..], &[][..], 7, "there is no folder"),
        (&["phone=phone", "phone=sim"], &[], 2, "phone is there twice"),
        (&["phone=phone"], &["--card", "sim=x"], 2, "no such storage"),
        (&["phone=phone"], &["--card", "phone"], 2, "STORAGE=FILE"),
        (&["phone=phone"], &["--every", "0"], 2, "--every"),
    ] {
        let (found, out, err) = run(&mut watch(&world, PHONE, books, more));
        assert!(found == code && format!("{out}{err}").contains(words), "{books:?} {more:?}: {found} {out}{err}");
    }
    assert_eq!(names(&world, &phone), set(["Di Doe"]));
}

/// Mission R2: another card, or another device, is a change, too. Each card has its own book, whatever device it is in.
#[test]
fn r2_another_card_is_noticed_and_backed_up_as_its_own() {
    let world = World::new(&[]);
    let (one, two) = (book(ONE, "sim"), book(TWO, "sim"));
    let put = |names: &[&str]| {
        for file in fs::read_dir(world.path("sim")).into_iter().flatten().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|ending| ending == "vcf") {
                fs::remove_file(file).unwrap();
            }
        }
        names.iter().for_each(|name| world.write(&format!("sim/{name}.vcf"), &card(&format!("{name} Doe"), "")));
    };
    put(&["Anna", "Bo", "Cy"]);
    world.write("card", &format!("{ONE}\n"));
    let card_file = format!("sim={}", world.path("card").display());
    let more = ["--card", card_file.as_str()];
    let watcher = Watcher::start(&world, PHONE, &["sim=sim"], &more);
    let told = watcher.until("backup");
    assert_eq!(sent(&told), [3, 0, 0], "{told}");
    assert_eq!(names(&world, &one), set(["Anna Doe", "Bo Doe", "Cy Doe"]));

    // The card is taken out; its cards going is no news. Then another is put in.
    world.write("card", "");
    let told = watcher.until("identity");
    assert_eq!(told["changes"], json!([{ "what": "card", "was": ONE, "is": null }]));
    put(&["Xu"]);
    world.write("card", &format!("{TWO}\n"));
    let told = watcher.until("identity");
    assert_eq!(told["changes"], json!([{ "what": "card", "was": ONE, "is": TWO }]));
    let told = watcher.until("backup");
    assert_eq!(sent(&told), [1, 0, 0], "{told}");
    assert_eq!(
        (names(&world, &one).len(), names(&world, &two)),
        (3, set(["Xu Doe"])),
        "the other card's book is as it was"
    );

    // And the first again, changed elsewhere meanwhile.
    world.write("card", "");
    watcher.until("identity");
    put(&["Anna", "Bo", "Di"]);
    world.write("card", &format!("{ONE}\n"));
    watcher.until("identity");
    watcher.until_there(&world, &one, &set(["Anna Doe", "Bo Doe", "Di Doe"]));
    assert_eq!(cards(&world, &one).len(), 3, "none is there twice");
    assert_eq!(names(&world, &two), set(["Xu Doe"]));

    // Refused: what is no card's number is nobody's, and nothing goes to a wrong book.
    world.write("card", "imsi:12\n");
    let told = watcher.next();
    assert_eq!((&told["event"], &told["exit"]), (&json!("waiting"), &json!(7)), "{told}");
    assert!(told["error"].as_str().unwrap().contains("6 to 15"), "{told}");
    put(&["Zoe"]);
    while watcher.0.lines.try_recv().is_ok() {}
    assert_eq!(names(&world, &one), set(["Anna Doe", "Bo Doe", "Di Doe"]));
    put(&["Anna", "Bo", "Di"]);
    world.write("card", &format!("{ONE}\n"));
    let mut told = watcher.next();
    while told["event"] == "waiting" {
        told = watcher.next();
    }
    assert!(["backup", "unchanged"].iter().any(|it| told["event"] == *it), "{told}");
    assert_eq!(watcher.end(), 0);

    // The card in another phone: told at the start, and its book goes on.
    let watcher = Watcher::start(&world, NEW_PHONE, &["sim=sim"], &more);
    let told = watcher.until("identity");
    assert_eq!(told["changes"], json!([{ "what": "device", "was": PHONE, "is": NEW_PHONE }]));
    watcher.until("backup");
    assert_eq!(names(&world, &one), set(["Anna Doe", "Bo Doe", "Di Doe"]));
    assert_eq!(watcher.end(), 0);
}
