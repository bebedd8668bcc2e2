//! Boxes of chosen items (missions C1 to C6): the program, spawned, over real HTTP and SQLite. Each row has a test that is called
//! by its id, with what it refuses.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use program::{World, card, overhear, run, syncml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const PHONE: &str = "imei:490154203237518";
const NEW_PHONE: &str = "imei:352099001761481";

/// What an application's backup is called, as anybody can work it out.
fn book(device: &str, application: &str) -> String {
    let text = format!("syncml box 1\n{device}\napplication:{application}\n");
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}/{}", if application == "contacts" { "book" } else { "box" }, &digits[..15])
}

/// Somebody with a phone.
struct Person(World);

impl Person {
    fn new() -> Self {
        Self(World::new(&[]))
    }

    fn command(&self, verb: &str, name: &str, args: &[&str]) -> Command {
        let mut command = syncml();
        command.args(["box", verb]).arg(self.0.path(name)).args(args).arg("--json");
        command
    }

    fn told(&self, mut command: Command, expected: i32) -> Value {
        let (code, out, err) = run(&mut command);
        assert_eq!(code, expected, "{command:?}: {out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"))
    }

    /// Puts files into the box of the phone.
    fn add(&self, files: &[&str], more: &[&str], expected: i32) -> Value {
        let mut command = self.command("add", "box", more);
        command.args(files.iter().map(|file| self.0.path(file))).args(["--device", PHONE]);
        self.told(command, expected)
    }

    /// A command that speaks with the server.
    fn linked(&self, verb: &str, name: &str, args: &[&str]) -> Command {
        let mut command = self.command(verb, name, args);
        command.args(["--to", &self.0.url, "--user", "ada"]).arg("--password-file").arg(self.0.path("password"));
        command
    }

    /// Uploads, expects an exit code, and gives back what the program says.
    fn upload(&self, args: &[&str], expected: i32) -> Value {
        self.told(self.linked("run", "box", args), expected)
    }

    fn restore(&self, args: &[&str], expected: i32) -> Value {
        self.told(self.linked("restore", "box", args), expected)
    }

    fn list(&self) -> Value {
        self.told(self.command("list", "box", &[]), 0)
    }

    fn at(&self, name: &str) -> String {
        fs::canonicalize(self.0.path(name)).unwrap().to_str().unwrap().to_owned()
    }

    /// What the server has of an application, by name: cards as they are, files as their data.
    fn backup(&self, device: &str, application: &str) -> BTreeMap<String, String> {
        let rows = self.0.json(&["list", "--user", "ada", "--book", &book(device, application)]);
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let data = |content: String| match content.split_once("<body enc=\"base64\">") {
            None => content,
            Some((_, body)) => {
                // Of a large one the beginning is shown.
                let data = STANDARD.decode(body.split('<').next().unwrap()).unwrap_or_default();
                String::from_utf8_lossy(&data).into_owned()
            }
        };
        let name = |name: String| name.rsplit('/').next().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(|row| (name(text(row, "name")), data(text(row, "content")))).collect()
    }

    /// The names of the books that the server has, and how many items are in each.
    fn books(&self) -> BTreeMap<String, u64> {
        let rows = self.0.json(&["book", "list", "--user", "ada"]);
        let row = |row: &Value| (row["book"].as_str().unwrap().to_owned(), row["items"].as_u64().unwrap());
        rows.as_array().unwrap().iter().map(row).collect()
    }

    /// Edits a card at the server, as its owner does online.
    fn edit(&self, application: &str, name: &str, change: impl Fn(&str) -> String) {
        let book = book(PHONE, application);
        let rows = self.0.json(&["list", "--user", "ada", "--book", &book]);
        let row = rows.as_array().unwrap().iter().find(|row| row["name"].as_str().unwrap().ends_with(name)).unwrap();
        self.0.write("edit", &change(row["content"].as_str().unwrap()));
        let put = ["item", "put", "--user", "ada", "--book", &book, "--guid", &row["guid"].to_string()];
        let (code, _, err) = run(self.0.with_db(&put).arg(self.0.path("edit")));
        assert_eq!(code, 0, "{err}");
    }
}

/// What is there once it is there; for as long as a slow machine may take.
fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("it never came");
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn of(backup: &BTreeMap<String, String>) -> BTreeSet<String> {
    backup.keys().cloned().collect()
}

/// Mission C1: shortcuts with path, name, type and size, in one folder per application.
#[test]
fn c1_a_box_holds_shortcuts_in_a_folder_per_application() {
    let ada = Person::new();
    let files = [
        ("data/anna.vcf", card("Anna Doe", "TEL:+4930111\r\n"), "contacts", "text/vcard"),
        ("data/hello.vmg", "BEGIN:VMSG".to_owned(), "messages", "text/x-vmsg"),
        ("data/page.url", "http://example.com/".to_owned(), "bookmarks", "text/plain"),
        ("data/letter.txt", "Dear Sir".to_owned(), "documents", "text/plain"),
        ("data/photo.jpg", "not really".to_owned(), "media", "image/jpeg"),
        ("data/game.jar", "PK".to_owned(), "programs", "application/java-archive"),
    ];
    for (path, content, ..) in &files {
        ada.0.write(path, content);
    }
    ada.0.write("data/.hidden", "no");
    let told = ada.add(&["data"], &[], 0);
    assert_eq!(told["items"].as_array().unwrap().len(), files.len(), "{told}");
    let shown = ada.list();
    assert_eq!(shown["folders"].as_array().unwrap().len(), files.len());
    for (path, content, application, of_type) in &files {
        let folders = shown["folders"].as_array().unwrap();
        let folder = folders.iter().find(|it| it["application"] == *application).unwrap();
        assert_eq!(folder["book"], book(PHONE, application));
        assert_eq!(
            folder["shortcuts"],
            json!([{
                "path": ada.at(path), "name": path.strip_prefix("data/").unwrap(), "type": of_type,
                "size": content.len(), "auto": false, "uploaded": null, "failures": 0,
            }])
        );
        assert_eq!(ada.0.read(path), *content, "the item stays where it is");
    }
    // Another application, another type.
    ada.add(&["data/letter.txt"], &["--app", "Chat-2", "--type", "text/x-chat"], 0);
    let shown = ada.list();
    let chat = shown["folders"].as_array().unwrap().iter().find(|it| it["application"] == "chat-2").unwrap().clone();
    assert_eq!(chat["shortcuts"][0]["type"], "text/x-chat");

    // Refused, and nothing else is: what is not there, no card, too large.
    ada.0.write("bad/bad.vcf", "no card");
    ada.0.write("bad/big.jpg", &"x".repeat(2_900_001));
    ada.0.write("bad/good.jpg", "x");
    let told = ada.add(&["bad", "nowhere.txt"], &[], 1);
    let problems = told["problems"].to_string();
    for words in ["bad.vcf: it is not a vCard", "big.jpg: it has 2900001 bytes", "nowhere.txt: there is no such file"] {
        assert!(problems.contains(words), "{words}: {problems}");
    }
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
    let before = ada.0.read("box/box.json");
    let letter = ada.0.path("data/letter.txt");
    let letter = letter.to_str().unwrap();
    for (name, args, code, words) in [
        ("box", &[letter, "--app", "two words"][..], 2, "an application is named by"),
        ("box", &[letter, "--device", NEW_PHONE], 2, "this is the box of imei:490154203237518"),
        ("other", &[letter], 2, "a new box needs --device"),
        ("other", &[letter, "--device", "imei:1"], 2, "digits"),
    ] {
        let (found, out, err) = run(&mut ada.command("add", name, args));
        assert!(found == code && format!("{out}{err}").contains(words), "{args:?}: {found} {out}{err}");
    }
    assert_eq!(ada.0.read("box/box.json"), before);
    assert!(!ada.0.path("other").exists(), "nothing was made");
    let (code, _, err) = run(&mut ada.command("list", "data", &[]));
    assert!(code == 7 && err.contains("there is no box"), "{err}");
}

/// Mission C2: a folder and a shortcut are made where they are missing; of what is there it is asked. Taking a shortcut out
/// deletes nothing.
#[test]
fn c2_adding_is_decided_and_removing_deletes_nothing() {
    let ada = Person::new();
    ada.0.write("a.jpg", "one");
    ada.0.write("b.jpg", "two");
    let done = |told: &Value| (told["items"][0]["done"].clone(), told["items"][0]["undecided"].clone());
    assert_eq!(done(&ada.add(&["a.jpg"], &[], 0)), (json!("folder"), json!(false)));
    assert_eq!(done(&ada.add(&["b.jpg"], &[], 0)), (json!("shortcut"), json!(false)));
    ada.0.write("a.jpg", "longer");
    let before = ada.list();
    let told = ada.add(&["a.jpg"], &[], 1);
    assert_eq!(done(&told), (json!("kept"), json!(true)), "nobody is there to be asked");
    assert!(told["problems"].to_string().contains("say --update or --keep"), "{told}");
    assert_eq!(done(&ada.add(&["a.jpg"], &["--keep"], 0)), (json!("kept"), json!(false)));
    assert_eq!(ada.list(), before);
    assert_eq!(done(&ada.add(&["a.jpg"], &["--update"], 0)), (json!("updated"), json!(false)));
    assert_eq!(ada.list()["folders"][0]["shortcuts"][0]["size"], 6);
    let (code, _, err) = run(&mut ada.command("add", "box", &["x", "--update", "--keep"]));
    assert!(code == 2 && err.contains("--keep"), "{err}");

    // Taken out: the file stays, and so does its backup, now and after the next upload.
    ada.upload(&["--app", "media"], 0);
    let remove = |file: &str, code| {
        let mut command = ada.command("remove", "box", &[]);
        command.arg(ada.0.path(file));
        ada.told(command, code)
    };
    assert_eq!(remove("a.jpg", 0)["removed"], 1);
    assert_eq!(ada.0.read("a.jpg"), "longer");
    ada.0.write("b.jpg", "two and more");
    ada.upload(&["--app", "media"], 0);
    let backup = ada.backup(PHONE, "media");
    assert_eq!(
        backup,
        BTreeMap::from([("a.jpg", "longer"), ("b.jpg", "two and more")].map(|(a, b)| (a.into(), b.into())))
    );
    // Put in again, it is the same item: it is updated, not doubled.
    ada.0.write("a.jpg", "again");
    assert_eq!(done(&ada.add(&["a.jpg"], &[], 0)), (json!("shortcut"), json!(false)));
    let told = ada.upload(&["--app", "media"], 0);
    assert_eq!((&told["uploads"][0]["added"], &told["uploads"][0]["changed"]), (&json!(0), &json!(1)), "{told}");
    assert_eq!(ada.backup(PHONE, "media")["a.jpg"], "again");

    // Refused: what is not in the box; then nothing is taken out.
    let before = ada.list();
    let mut command = ada.command("remove", "box", &[]);
    command.arg(ada.0.path("a.jpg")).arg(ada.0.path("none.jpg"));
    let told = ada.told(command, 2);
    assert!(told["error"].as_str().unwrap().contains("there is no shortcut to"), "{told}");
    assert_eq!(ada.list(), before);
}

/// Mission C3: only what is in the box leaves the device, into one book per application; what is there is updated.
#[test]
fn c3_only_items_in_the_box_are_uploaded() {
    let mut ada = Person::new();
    ada.0.write("data/anna.vcf", &card("Anna Doe", "TEL:+4930111\r\n"));
    ada.0.write("data/secret.vcf", &card("Secret Doe", "TEL:+4930666\r\n"));
    ada.0.write("data/photo.jpg", "a photo \u{0} of mine");
    ada.0.write("data/secret.jpg", "SECRET PICTURE");
    ada.0.write("data/later.txt", "LATER, NOT NOW");
    ada.add(&["data/anna.vcf", "data/photo.jpg", "data/later.txt"], &[], 0);
    let direct = ada.0.url.clone();
    let (url, heard) = overhear(&direct);
    ada.0.url = url;
    let (anna, photo) = (ada.at("data/anna.vcf"), ada.at("data/photo.jpg"));
    let told = ada.upload(&[&anna, &photo, "--no-gzip"], 0);
    assert_eq!(told["uploads"].as_array().unwrap().len(), 2, "{told}");
    let said = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    for expected in ["+4930111", &STANDARD.encode("a photo \u{0} of mine"), "image/jpeg"] {
        assert!(said.contains(expected), "{expected}: what was chosen goes");
    }
    for secret in ["Secret", "secret", "+4930666", "SECRET PICTURE", "LATER", "later"] {
        assert!(!said.contains(secret) && !said.contains(&STANDARD.encode(secret)), "{secret}: and nothing else");
    }
    ada.0.url = direct;
    let (contacts, media) = (book(PHONE, "contacts"), book(PHONE, "media"));
    assert_eq!(ada.books(), BTreeMap::from([(contacts.clone(), 1), (media.clone(), 1)]), "one book per application");
    assert_eq!(of(&ada.backup(PHONE, "contacts")), names(["Anna Doe"]));
    assert_eq!(ada.backup(PHONE, "media")["photo.jpg"], "a photo \u{0} of mine");

    // A server at another address is another one: it is compared, and nothing is doubled.
    ada.upload(&["--app", "media"], 0);
    assert_eq!(ada.books(), BTreeMap::from([(contacts, 1), (media, 1)]));

    // What is there is updated, what is new is made.
    ada.0.write("data/photo.jpg", "a better photo");
    ada.0.write("data/more.jpg", "more");
    ada.add(&["data/more.jpg"], &[], 0);
    let told = ada.upload(&["--app", "media"], 0);
    assert_eq!((&told["uploads"][0]["added"], &told["uploads"][0]["changed"]), (&json!(1), &json!(1)), "{told}");
    let told = ada.upload(&["--app", "media"], 0);
    assert_eq!((&told["uploads"][0]["added"], &told["uploads"][0]["changed"]), (&json!(0), &json!(0)), "{told}");
    assert_eq!(ada.backup(PHONE, "media")["photo.jpg"], "a better photo");

    // Gone from the device, it stays in the backup, and that is told.
    fs::remove_file(ada.0.path("data/more.jpg")).unwrap();
    let told = ada.upload(&["--app", "media"], 1);
    assert!(told["uploads"][0]["skipped"][0]["reason"].as_str().unwrap().contains("its backup stays"), "{told}");
    assert_eq!(of(&ada.backup(PHONE, "media")), names(["more.jpg", "photo.jpg"]));

    // A box that was lost and begun anew deletes nothing either.
    fs::remove_dir_all(ada.0.path("box")).unwrap();
    ada.add(&["data/photo.jpg"], &[], 0);
    ada.upload(&["--app", "media"], 0);
    assert_eq!(of(&ada.backup(PHONE, "media")), names(["more.jpg", "photo.jpg"]));

    // Refused: what is not in the box; a wrong password. Nothing is sent.
    let secret = ada.at("data/secret.jpg");
    let told = ada.upload(&[&photo, &secret], 2);
    assert!(told["error"].as_str().unwrap().contains("is not in the box; nothing was uploaded"), "{told}");
    ada.upload(&["--app", "programs"], 2);
    ada.0.write("password", "wrong\n");
    ada.0.write("data/photo.jpg", "never seen");
    ada.upload(&["--app", "media"], 4);
    assert_eq!(ada.list()["folders"][0]["shortcuts"][0]["failures"], 1);
    assert_eq!(ada.backup(PHONE, "media")["photo.jpg"], "a better photo");
    ada.0.write("password", &format!("{}\n", program::PASSWORD));
    ada.upload(&["--app", "media"], 0);
    assert_eq!(ada.backup(PHONE, "media")["photo.jpg"], "never seen", "and the next try brings it");
}

/// Mission C4: by hand for chosen ones; by itself for preselected ones or for all, again and again.
#[test]
fn c4_three_modes() {
    let ada = Person::new();
    for name in ["auto.txt", "one.txt", "two.txt"] {
        ada.0.write(name, name);
    }
    ada.add(&["auto.txt"], &["--auto"], 0);
    ada.add(&["one.txt", "two.txt"], &[], 0);
    let there = || of(&ada.backup(PHONE, "documents"));

    // By hand: nothing goes unless it is named.
    let told = ada.upload(&[], 2);
    assert!(told["error"].as_str().unwrap().contains("the mode of this box is manual"), "{told}");
    assert!(ada.books().is_empty());
    let one = ada.at("one.txt");
    let told = ada.upload(&[&one], 0);
    assert_eq!(there(), names(["one.txt"]));
    assert_eq!(told["again"], Value::Null, "and nothing goes by itself");

    // Preselected ones.
    let told = ada.upload(&["--mode", "chosen", "--every", "6h", "--once"], 0);
    assert_eq!(there(), names(["auto.txt", "one.txt"]));
    assert!(told["again_in"].as_i64().is_some_and(|seconds| (1..=6 * 3_600).contains(&seconds)), "{told}");
    ada.0.write("auto.txt", "new");
    let told = ada.upload(&["--once"], 0);
    assert_eq!(told["uploads"], json!([]), "it is not time yet: {told}");
    assert_eq!(ada.backup(PHONE, "documents")["auto.txt"], "auto.txt");
    let shown = ada.list();
    assert_eq!((&shown["mode"], &shown["every"], &shown["due"]), (&json!("chosen"), &json!(21_600), &json!([])));

    // All: what never went is due, and what went by hand is not.
    let told = ada.upload(&["--mode", "all", "--once"], 0);
    assert_eq!(told["uploads"][0]["added"], 1, "{told}");
    assert_eq!(there(), names(["auto.txt", "one.txt", "two.txt"]));

    // Again and again, without anybody doing anything; and what is added while it waits.
    let mut command = ada.linked("run", "box", &["--every", "1s"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has = |name: &str, content: &str| {
        wait_for(|| ada.backup(PHONE, "documents").get(name).is_some_and(|found| found == content).then_some(()));
    };
    has("auto.txt", "new");
    ada.0.write("one.txt", "one, edited");
    has("one.txt", "one, edited");
    ada.0.write("three.txt", "three");
    let mut add = ada.command("add", "box", &[]);
    add.arg(ada.0.path("three.txt"));
    // While it uploads others wait.
    wait_for(|| (run(&mut add).0 == 0).then_some(()));
    has("three.txt", "three");
    running.kill().unwrap();
    running.wait().unwrap();

    // What fails is tried again sooner, and one application that fails does not keep back another.
    let told = ada.upload(&["--mode", "all", "--every", "1s", "--once"], 0);
    assert!(told["again_in"].as_i64().is_some_and(|seconds| seconds <= 1), "{told}");
    ada.0.write("gone.jpg", "x");
    ada.add(&["gone.jpg"], &[], 0);
    fs::remove_file(ada.0.path("gone.jpg")).unwrap();
    ada.0.write("two.txt", "two, edited");
    let told = ada.upload(&["--every", "30d", "--mode", "manual", "--app", "documents", "--app", "media"], 1);
    assert_eq!(told["uploads"].as_array().unwrap().len(), 2, "{told}");
    let told = ada.upload(&["--mode", "all", "--once"], 0);
    assert!(told["again_in"].as_i64().is_some_and(|seconds| seconds <= 60), "what failed is next: {told}");
    assert_eq!(ada.backup(PHONE, "documents")["two.txt"], "two, edited");

    for (args, words) in [
        (&["--every", "soon"][..], "write a number and s, m, h or d"),
        (&["--every", "0s"], "write a number"),
        (&["--mode", "sometimes"], "invalid value"),
    ] {
        let (code, out, err) = run(&mut ada.linked("run", "box", args));
        assert!(code == 2 && format!("{out}{err}").contains(words), "{args:?}: {out}{err}");
    }
}

/// Mission C5: a restore adds what is missing, field by field, and replaces nothing; what was here before is kept and comes back.
#[test]
fn c5_a_restore_adds_and_never_replaces() {
    let ada = Person::new();
    let anna = card("Anna Doe", "TEL:+4930111222\r\nNOTE:met in Ulm\r\n");
    ada.0.write("data/anna.vcf", &anna);
    ada.0.write("data/bo.vcf", &card("Bo Doe", "TEL:+4930333444\r\n"));
    ada.0.write("data/photo.jpg", "photo");
    ada.0.write("data/gone.jpg", "gone");
    ada.0.write("data/same.jpg", "same");
    // Larger than a message, and than what a store keeps in a row.
    let film: String =
        (0..400_000_u32).map(|at| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    ada.0.write("data/film.mp4", &film);
    ada.add(&["data"], &[], 0);
    ada.upload(&["--app", "contacts", "--app", "media"], 0);
    ada.edit("contacts", "Anna Doe", |card| card.replace("NOTE:", "EMAIL:a@doe.example\r\nORG:Cloud\r\nNOTE:"));

    // The device goes on: a field goes, others come, files change and go.
    let edited = card("Anna Doe", "TEL:+4930111222\r\nORG:Device\r\nTITLE:Dr\r\n");
    ada.0.write("data/anna.vcf", &edited);
    ada.0.write("data/photo.jpg", "another photo");
    fs::remove_file(ada.0.path("data/gone.jpg")).unwrap();
    fs::remove_file(ada.0.path("data/bo.vcf")).unwrap();
    fs::remove_file(ada.0.path("data/film.mp4")).unwrap();
    let told = ada.restore(&[], 0);
    let restored = told["restored"].as_array().unwrap();
    let got = ada.0.read("data/anna.vcf");
    for (line, count) in [
        ("TEL:+4930111222", 1),
        ("ORG:Device", 1),
        ("TITLE:Dr", 1),
        ("NOTE:met in Ulm", 1),
        ("EMAIL:a@doe.example", 1),
        ("ORG:Cloud", 0),
    ] {
        assert_eq!(got.matches(line).count(), count, "{line}: {got}");
    }
    let contacts = restored.iter().find(|it| it["application"] == "contacts").unwrap();
    assert_eq!(contacts["stay"], json!([{ "path": ada.at("data/anna.vcf"), "fields": ["ORG"] }]), "{told}");
    assert!(ada.0.read("data/bo.vcf").contains("+4930333444"), "what is gone comes back to its place");
    let media = restored.iter().find(|it| it["application"] == "media").unwrap();
    assert_eq!(media["same"], 1, "{told}");
    let files = ["photo.jpg", "photo (backup).jpg", "gone.jpg", "same.jpg"].map(|it| ada.0.read(&format!("data/{it}")));
    assert_eq!(files, ["another photo", "photo", "gone", "same"]);
    assert!(ada.0.read("data/film.mp4") == film, "whole");

    // Again: nothing more is added.
    let told = ada.restore(&[], 0);
    assert!(told["restored"].as_array().unwrap().iter().all(|it| it["written"] == json!([])), "{told}");

    // What was here before comes back, to the byte; what came new goes; what was edited since stays.
    ada.0.write("data/gone.jpg", "mine now");
    let undo = |id: &Value, code| ada.told(ada.command("undo", "box", &[&id.to_string()]), code);
    undo(&contacts["kept"], 0);
    assert_eq!(ada.0.read("data/anna.vcf"), edited);
    assert!(!ada.0.path("data/bo.vcf").exists());
    let told = undo(&media["kept"], 1);
    assert!(told["problems"].to_string().contains("was changed since, and stays"), "{told}");
    assert_eq!(
        (ada.0.read("data/gone.jpg"), ada.0.path("data/photo (backup).jpg").exists()),
        ("mine now".into(), false)
    );
    assert!(undo(&json!(99), 2)["error"].as_str().unwrap().contains("no restore 99"));

    // A restore changes no backup, and the upload after it brings the sum of both.
    assert!(ada.backup(PHONE, "contacts")["Anna Doe"].contains("ORG:Cloud"));
    ada.restore(&["--app", "contacts"], 0);
    ada.upload(&["--app", "contacts"], 0);
    let backup = ada.backup(PHONE, "contacts");
    assert_eq!(of(&backup), names(["Anna Doe", "Bo Doe"]), "without doubles");
    for line in ["TITLE:Dr", "EMAIL:a@doe.example", "NOTE:met in Ulm"] {
        assert!(backup["Anna Doe"].contains(line), "{line}: {backup:?}");
    }

    // A new phone. What has no place on it waits to be told where.
    let mut add = ada.command("add", "new", &["--device", NEW_PHONE]);
    ada.0.write("newdata/x.jpg", "x");
    add.arg(ada.0.path("newdata/x.jpg"));
    ada.told(add, 0);
    let restore = |more: &[&str], code| {
        let args = [&["--from", PHONE, "--app", "media", "--app", "contacts"][..], more].concat();
        ada.told(ada.linked("restore", "new", &args), code)
    };
    let told = restore(&[], 1);
    assert!(told["problems"].to_string().contains("say --into DIR"), "{told}");
    // A path of the backup is a name, and never a place.
    ada.edit("media", "same.jpg", |file| {
        let name = file.split("<name>").nth(1).unwrap().split("</name>").next().unwrap();
        file.replace(name, "../../../escaped.jpg")
    });
    let into = ada.0.path("into");
    let into = into.to_str().unwrap();
    restore(&["--into", into], 0);
    let there = |dir: &str| {
        let files = fs::read_dir(ada.0.path(dir)).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        files.collect::<BTreeSet<_>>()
    };
    assert_eq!(there("into"), names(["contacts", "media"]));
    assert_eq!(there("into/media"), names(["escaped.jpg", "film.mp4", "gone.jpg", "photo.jpg"]));
    assert_eq!(ada.0.names("into/contacts"), names(["Anna Doe", "Bo Doe"]));
    let told = restore(&["--into", into], 0);
    assert!(told["restored"].as_array().unwrap().iter().all(|it| it["written"] == json!([])), "once: {told}");
    // They are in the new phone's box, and go up into its own backup.
    ada.told(ada.linked("run", "new", &["--app", "contacts", "--app", "media"]), 0);
    assert_eq!(of(&ada.backup(NEW_PHONE, "contacts")), names(["Anna Doe", "Bo Doe"]));
    assert_eq!(ada.backup(NEW_PHONE, "media").len(), 5);

    // Refused: what was never backed up. Nothing is written or made.
    let (before, books) = (ada.0.read("box/box.json"), ada.books());
    let told = ada.restore(&["--app", "programs"], 5);
    assert!(told["error"].as_str().unwrap().contains("has no book"), "{told}");
    assert_eq!((ada.0.read("box/box.json"), ada.books()), (before, books));
}

/// Mission C6: what was uploaded and restored is told, and goes by age, by number, or by itself.
#[test]
fn c6_history_is_kept_and_purged() {
    let ada = Person::new();
    ada.0.write("a.txt", "one");
    ada.add(&["a.txt"], &[], 0);
    let history = || ada.told(ada.command("history", "box", &[]), 0);
    for content in ["one", "two", "three"] {
        ada.0.write("a.txt", content);
        ada.upload(&["--app", "documents"], 0);
    }
    ada.0.write("password", "wrong\n");
    ada.upload(&["--app", "documents"], 4);
    ada.0.write("password", &format!("{}\n", program::PASSWORD));
    let shown = history();
    let uploads: Vec<_> = shown["uploads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["added"].as_u64().unwrap(), run["changed"].as_u64().unwrap(), run["error"].is_null()))
        .collect();
    assert_eq!(uploads, [(1, 0, true), (0, 1, true), (0, 1, true), (0, 0, false)]);
    // Each of these is at the server, too, and can be had again.
    let name = book(PHONE, "documents");
    let revisions = ada.0.json(&["history", "list", "--user", "ada", "--book", &name]);
    assert_eq!(revisions.as_array().unwrap().len(), 3, "{revisions}");

    for content in ["mine", "mine too"] {
        ada.0.write("a.txt", content);
        ada.restore(&[], 0);
        fs::remove_file(ada.0.path("a (backup).txt")).unwrap();
    }
    let shown = history();
    assert_eq!(shown["kept"].as_array().unwrap().len(), 2, "{shown}");
    assert!(ada.0.path("box/kept/1").is_dir() && ada.0.path("box/kept/2").is_dir());

    // By number, by age, and neither is refused.
    let purge = |args: &[&str], code| ada.told(ada.command("purge", "box", args), code);
    assert_eq!(
        purge(&["--keep-days", "1"], 0),
        json!({ "ok": true, "restores": 0, "uploads": 0 }),
        "nothing is that old"
    );
    assert_eq!(purge(&["--keep-last", "1"], 0), json!({ "ok": true, "restores": 1, "uploads": 3 }));
    assert!(!ada.0.path("box/kept/1").exists() && ada.0.path("box/kept/2").is_dir());
    let (code, _, err) = run(&mut ada.command("purge", "box", &[]));
    assert!(code == 2 && err.contains("--keep-days"), "{err}");
    let told = ada.told(ada.command("undo", "box", &["1"]), 2);
    assert!(told["error"].as_str().unwrap().contains("no restore 1"), "{told}");

    // By itself: what is set back to long ago goes with the next upload.
    let mut contents: Value = serde_json::from_str(&ada.0.read("box/box.json")).unwrap();
    contents["runs"][0]["at"] = json!(1);
    contents["kept"][0]["at"] = json!(1);
    ada.0.write("box/box.json", &contents.to_string());
    ada.upload(&["--app", "documents", "--keep-days", "30"], 0);
    let shown = history();
    assert_eq!(
        (shown["kept"].as_array().unwrap().len(), shown["uploads"].as_array().unwrap().len()),
        (0, 1),
        "{shown}"
    );
    assert_eq!(shown["retention"], json!({ "days": 30, "last": null }), "and so it goes on");
    assert!(!ada.0.path("box/kept/2").exists());
    assert_eq!(ada.backup(PHONE, "documents").len(), 1, "backups stay");

    // Refused: a box that is damaged or of a newer release is left alone.
    for (json, words) in [("{", "it is no box"), (r#"{"version":9}"#, "newer release (version 9)")] {
        ada.0.write("box/box.json", json);
        let (code, out, err) = run(&mut ada.command("history", "box", &[]));
        assert!(code == 6 && format!("{out}{err}").contains(words), "{code} {out}{err}");
        assert_eq!(ada.0.read("box/box.json"), json);
    }
}

/// Mission R2: what is no contact is backed up as it is, octet for octet, whatever it is; and is found, where it is text.
#[test]
fn r2_other_kinds_of_data_are_backed_up_as_they_are() {
    let ada = Person::new();
    let octets: Vec<u8> = (0..=255).rev().cycle().take(5_000).collect();
    ada.0.write("data/hello.vmg", "BEGIN:VMSG\r\nmeet me in Ulm\r\nEND:VMSG\r\n");
    ada.0.write("data/page.url", "http://example.com/garden");
    fs::write(ada.0.path("data/game.sav"), &octets).unwrap();
    ada.add(&["data/hello.vmg", "data/page.url"], &["--auto"], 0);
    ada.add(&["data/game.sav"], &["--auto", "--app", "games", "--type", "application/x-save"], 0);
    ada.upload(&["--mode", "chosen", "--once"], 0);
    for (application, count) in [("messages", 1), ("bookmarks", 1), ("games", 1)] {
        assert_eq!(ada.books().get(&book(PHONE, application)), Some(&count), "{application}");
    }
    let found = |words: &str| {
        let found = ada.0.json(&["search", words, "--user", "ada"]);
        found["hits"].as_array().unwrap().iter().map(|hit| hit["book"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("ulm"), [book(PHONE, "messages")]);
    assert_eq!(found("hello"), [book(PHONE, "messages")], "by its name, too");

    // Edited, it is backed up as the same item; what it was is in the history.
    ada.0.write("data/hello.vmg", "BEGIN:VMSG\r\nmeet me in Ely\r\nEND:VMSG\r\n");
    ada.upload(&["--app", "messages"], 0);
    assert_eq!((found("ulm"), found("ely")), (vec![], vec![book(PHONE, "messages")]));
    let past = ada.0.json(&["history", "list", "--user", "ada", "--book", &book(PHONE, "messages")]);
    assert_eq!(past.as_array().unwrap().len(), 2, "{past}");

    // Back on the device it is what it was.
    fs::remove_dir_all(ada.0.path("data")).unwrap();
    fs::create_dir_all(ada.0.path("data")).unwrap();
    ada.restore(&[], 0);
    assert!(fs::read(ada.0.path("data/game.sav")).unwrap() == octets);
    assert_eq!(ada.0.read("data/hello.vmg"), "BEGIN:VMSG\r\nmeet me in Ely\r\nEND:VMSG\r\n");

    // Refused: what grew too large for an item. The others go, and its backup is as it was.
    ada.0.write("data/page.url", &"x".repeat(2_900_001));
    ada.0.write("data/hello.vmg", "BEGIN:VMSG\r\nEND:VMSG\r\n");
    let told = ada.upload(&["--app", "messages", "--app", "bookmarks"], 1);
    assert!(told.to_string().contains("2900001 bytes"), "{told}");
    assert_eq!(ada.backup(PHONE, "bookmarks")["page.url"], "http://example.com/garden");
    assert_eq!(ada.backup(PHONE, "messages")["hello.vmg"], "BEGIN:VMSG\r\nEND:VMSG\r\n");
}
