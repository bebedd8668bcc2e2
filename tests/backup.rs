//! Phone books, backed up and restored (missions B1 to B8): the program, spawned, over real HTTP and SQLite. Each row has a test
//! that is called by its id, with what it refuses.
#![cfg(feature = "cli")]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use flate2::Compression;
use flate2::write::GzEncoder;
use program::{World, card, overhear, run, set, syncml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

const PHONE: &str = "imei:490154203237518";
const NEW_PHONE: &str = "imei:352099001761481";

/// What a book is called, as anybody can work it out.
fn id(device: &str, storage: &str) -> String {
    let text = format!("syncml book 1\n{device}\nstorage:{storage}\n");
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `book/…`, as the server shows it.
fn book(device: &str, storage: &str) -> String {
    format!("book/{}", &id(device, storage)[..15])
}

/// What somebody with his phones has.
struct Person(World);

impl Person {
    fn new() -> Self {
        Self(World::new(&[]))
    }

    fn command(&self, verb: &str, device: &str, books: &[&str]) -> Command {
        let mut command = syncml();
        command.arg(verb);
        for book in books {
            let (storage, dir) = book.split_once('=').unwrap();
            command.arg(format!("{storage}={}", self.0.path(dir).display()));
        }
        command.args(["--to", &self.0.url, "--user", "ada", "--device", device, "--json"]);
        command.arg("--password-file").arg(self.0.path("password"));
        command
    }

    /// Runs, expects an exit code, and gives back what the program says for machines.
    fn told(&self, verb: &str, device: &str, books: &[&str], more: &[&str], expected: i32) -> Value {
        let (code, out, err) = run(self.command(verb, device, books).args(more));
        assert_eq!(code, expected, "{verb} {books:?} {more:?}: {out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    fn backup(&self, device: &str, books: &[&str], more: &[&str]) -> Value {
        self.told("backup", device, books, more, 0)
    }

    fn restore(&self, device: &str, books: &[&str], more: &[&str]) -> Value {
        fs::create_dir_all(self.0.path(books[0].split_once('=').unwrap().1)).unwrap();
        self.told("restore", device, books, more, 0)
    }

    /// The cards of a book at the server, by name.
    fn cards(&self, book: &str) -> BTreeMap<String, String> {
        let rows = self.0.json(&["list", "--user", "ada", "--book", book]);
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "content"))).collect()
    }

    /// Edits a card at the server, as its owner does online.
    fn edit(&self, book: &str, name: &str, change: impl Fn(&str) -> String) {
        let rows = self.0.json(&["list", "--user", "ada", "--book", book]);
        let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        self.0.write("edit.vcf", &change(row["content"].as_str().unwrap()));
        let guid = row["guid"].to_string();
        let put = ["item", "put", "--user", "ada", "--book", book, "--guid", &guid];
        let (code, _, err) = run(self.0.with_db(&put).arg(self.0.path("edit.vcf")));
        assert_eq!(code, 0, "{err}");
    }

    /// All files of a folder.
    fn files(&self, dir: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.0.path(dir)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.filter(|path| path.is_file()).map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    /// All that was said, both ways, as `--trace` wrote it.
    fn said(&self, dir: &str) -> String {
        self.files(dir).into_values().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    /// The files of a folder that are cards.
    fn card_files(&self, dir: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files(dir);
        files.retain(|name, _| !name.starts_with('.'));
        files
    }
}

fn with(card: &str, lines: &str) -> String {
    card.replace("END:VCARD", &format!("{lines}END:VCARD"))
}

/// Mission B1: one or several of a device's books are backed up, each on its own.
#[test]
fn b1_chosen_books_are_backed_up() {
    let ada = Person::new();
    ada.0.write("phone/a.vcf", &card("Anna Doe", "TEL;TYPE=CELL:+4930111\r\n"));
    ada.0.write("sim/b.vcf", &card("Bo Doe", "TEL:+4930222\r\n"));
    ada.0.write("card/c.vcf", &card("Cy Doe", "TEL:+4930333\r\n"));
    let told = ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(told["books"][0]["report"]["books"][0]["sent"]["added"], 1, "{told}");
    let names = |book: &str| ada.cards(book).into_keys().collect();
    let (phone, sim) = (book(PHONE, "phone"), book(PHONE, "sim"));
    let shown = ada.0.json(&["book", "list", "--user", "ada"]);
    assert_eq!(shown.as_array().unwrap().len(), 1, "only what was chosen: {shown}");

    let told = ada.backup(PHONE, &["phone=phone", "sim=sim"], &[]);
    assert_eq!(told["books"][0]["report"]["books"][0]["sent"]["added"], 0, "nothing new: {told}");
    assert_eq!((names(&phone), names(&sim)), (set(["Anna Doe"]), set(["Bo Doe"])));
    let shown = ada.0.json(&["book", "list"]);
    let device = json!(["IMEI:490154203237518"]);
    let rows: Vec<_> =
        shown.as_array().unwrap().iter().map(|row| (&row["book"], &row["items"], &row["devices"])).collect();
    let mut expected = [(json!(phone), json!(1), device.clone()), (json!(sim), json!(1), device)];
    expected.sort_by_key(|(book, ..)| book.to_string());
    assert_eq!(rows, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());

    // A second backup of only what changed, of either.
    ada.0.write("phone/a.vcf", &card("Anna Doe", "TEL;TYPE=CELL:+4930119\r\n"));
    let told = ada.backup(PHONE, &["sim=sim", "phone=phone"], &[]);
    assert_eq!(told["books"][1]["report"]["books"][0]["sent"]["changed"], 1, "{told}");
    assert!(ada.cards(&phone)["Anna Doe"].contains("+4930119"));

    // Devices: shown, forgotten, and back again without doubles.
    let shown = ada.0.json(&["device", "show", "IMEI:490154203237518", "--user", "ada"]);
    let books = shown["books"].as_array().unwrap().iter().map(|it| (&it["items"], it["anchor"].is_string()));
    assert_eq!(books.collect::<Vec<_>>(), [(&json!(1), true), (&json!(1), true)], "{shown}");
    let gone = ada.0.json(&["device", "remove", "IMEI:490154203237518", "--user", "ada"]);
    assert_eq!(gone["forgotten"], json!({ "books": 2, "items": 2 }));
    assert_eq!(ada.0.json(&["device", "list", "--user", "ada"]), json!([]));
    assert_eq!(names(&phone), set(["Anna Doe"]), "books stay");
    ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(ada.cards(&phone).len(), 1);
    assert_eq!(ada.0.json(&["device", "list", "--user", "ada"])[0]["books"].as_array().unwrap().len(), 2);
    let (code, _, err) = run(&mut ada.0.with_db(&["device", "remove", "IMEI:1", "--user", "ada"]));
    assert_eq!(code, 2, "{err}");

    // Refused: nothing is sent, whatever else is right.
    for (books, code, words) in [
        (&["phone=phone", "phone=sim"][..], 2, "phone is there twice"),
        (&["phone=phone", "sim=phone"], 2, "it is one book"),
        (&["two words=phone"], 2, "a storage is named by"),
        (&["tape=tape"], 7, "there is no folder"),
    ] {
        let (found, out, err) = run(&mut ada.command("backup", PHONE, books));
        assert!(found == code && format!("{out}{err}").contains(words), "{books:?}: {found} {out}{err}");
    }
    let told = ada.told("backup", PHONE, &["tape=tape", "card=card"], &[], 7);
    assert_eq!(told["books"][1]["ok"], true, "one that cannot be read does not keep back another: {told}");
    assert_eq!(ada.0.json(&["book", "list"]).as_array().unwrap().len(), 3, "and what failed made no book");
}

/// Mission B2: a book is called by a hash that the device can make itself, of an identifier that is checked.
#[test]
fn b2_books_are_called_by_device_and_storage() {
    let ada = Person::new();
    ada.0.write("one/a.vcf", &card("Anna Doe", ""));
    let devices = [
        ("imei:49-015420-323751-8", PHONE),
        ("imeisv:4901542032375104", PHONE),
        ("imsi:460001234567890", "imsi:460001234567890"),
        ("number:+86 138 0013 8000", "number:+8613800138000"),
        ("wlan:00-1A-2B-3C-4D-5E", "wlan:001a2b3c4d5e"),
        ("bluetooth:001a.2b3c.4d5e", "bluetooth:001a2b3c4d5e"),
    ];
    for (written, known) in devices {
        let (code, out, err) = run(syncml().args(["book", "id", "SIM", "--device", written]));
        assert_eq!((code, out.trim()), (0, id(known, "sim").as_str()), "{written}: {err}");
        let told = ada.backup(written, &["sim=one"], &[]);
        assert_eq!(told["books"][0]["book"], id(known, "sim"), "{written}");
        assert_eq!(ada.cards(&book(known, "sim")).len(), 1, "{written}");
        fs::remove_file(ada.0.path("one/.syncml.db")).unwrap();
    }
    let shown = ada.0.json(&["book", "list"]);
    assert_eq!(shown.as_array().unwrap().len(), 5, "an IMEI and its IMEISV are one device: {shown}");
    for (wrong, words) in [
        ("imei:490154203237519", "check digit"),
        ("imei:49015420323751", ""),
        ("imei:1234", "digits, not 4"),
        ("imsi:123", "6 to 15"),
        ("imsi:860001234567890", "begins with 8"),
        ("number:13800138000", "country code"),
        ("wlan:00:1a:2b", "12 hexadecimal"),
        ("bluetooth:ff:ff:ff:ff:ff:ff", "group"),
        ("serial:1", "is known by"),
    ] {
        let (code, out, err) = run(&mut ada.command("backup", wrong, &["sim=one"]));
        match words {
            "" => assert_eq!(code, 0, "without its check digit: {err}"),
            words => assert!(code == 2 && err.contains(words), "{wrong}: {code} {out}{err}"),
        }
    }
    assert_eq!(ada.0.json(&["book", "list"]).as_array().unwrap().len(), 5, "nothing was made of what is refused");
}

/// Mission B3: before they go up, records are aligned to what the book holds: as a file says, a phone's own information, or the
/// records themselves.
#[test]
fn b3_records_are_aligned_to_the_dimensions() {
    let ada = Person::new();
    let anna = card(
        "Anna Doe",
        "TEL;TYPE=CELL:+4930111\r\nTEL;TYPE=HOME:+4930222\r\nEMAIL:a@doe.example\r\nORG:Acme\r\nADR:;;Street 1;Town;;;\r\n\
         NOTE:secret\r\n",
    );
    ada.0.write("phone/a.vcf", &anna);
    ada.0.write(
        "layout.json",
        r#"{ "dimensions": [ { "property": "N" }, { "property": "FN" }, { "property": "TEL", "types": ["CELL"] },
            { "property": "EMAIL" } ] }"#,
    );
    ada.0.write(
        "devinf.xml",
        "<DevInf xmlns='syncml:devinf'><VerDTD>1.2</VerDTD><Man>M</Man><Mod>P</Mod><DevID>x</DevID><DevTyp>phone</DevTyp>\
         <DataStore><SourceRef>./phone</SourceRef><Rx-Pref><CTType>text/x-vcard</CTType><VerCT>2.1</VerCT></Rx-Pref>\
         <Tx-Pref><CTType>text/x-vcard</CTType><VerCT>2.1</VerCT></Tx-Pref>\
         <CTCap><CTType>text/x-vcard</CTType><VerCT>2.1</VerCT><Property><PropName>N</PropName></Property>\
         <Property><PropName>ORG</PropName></Property></CTCap><SyncCap><SyncType>1</SyncType></SyncCap></DataStore></DevInf>",
    );
    let lines = |text: &str| {
        let lines =
            text.lines().filter(|line| !["BEGIN", "END", "VERSION", "N:", "FN:"].iter().any(|it| line.starts_with(it)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (layout, storage, expected) in [
        ("layout.json", "phone", vec!["TEL;TYPE=CELL:+4930111", "EMAIL:a@doe.example"]),
        ("devinf.xml", "phone", vec!["ORG:Acme"]),
    ] {
        let dir = format!("dir-{layout}");
        ada.0.write(&format!("{dir}/a.vcf"), &anna);
        let path = ada.0.path(layout);
        let device = if layout == "layout.json" { PHONE } else { NEW_PHONE };
        let trace = ada.0.path(&format!("trace-{layout}"));
        ada.backup(
            device,
            &[&format!("{storage}={dir}")],
            &["--layout", path.to_str().unwrap(), "--trace", trace.to_str().unwrap()],
        );
        assert_eq!(lines(&ada.cards(&book(device, storage))["Anna Doe"]), expected, "{layout}");
        assert_eq!(ada.0.read(&format!("{dir}/a.vcf")), anna, "here nothing changes");
    }
    let sent = ada.said("trace-layout.json");
    assert!(sent.contains("a@doe.example") && !sent.contains("secret"), "it never leaves the device");

    // Inferred: a book that only ever shows names and numbers holds nothing else.
    ada.0.write("sim/b.vcf", &card("Bo Doe", "TEL:+4930333\r\n"));
    ada.backup(PHONE, &["sim=sim"], &["--layout", "infer"]);
    let shown = ada.0.json(&["device", "show", "IMEI:490154203237518", "--user", "ada"]);
    let name = book(PHONE, "sim");
    let sim = shown["books"].as_array().unwrap().iter().find(|it| it["book"] == json!(name)).unwrap();
    assert_eq!(sim["holds"], json!(["FN", "N", "TEL"]));

    // Refused, and nothing sent.
    ada.0.write("twice.json", r#"{ "dimensions": [ { "property": "TEL" }, { "property": "tel" } ] }"#);
    ada.0.write("odd.json", r#"{ "dimensions": [ { "property": "TEL", "most": 1 } ] }"#);
    ada.0.write("none.txt", "nothing of the kind");
    fs::create_dir_all(ada.0.path("empty")).unwrap();
    let before = ada.0.json(&["book", "list"]);
    for (books, layout, code, words) in [
        ("phone=phone", ada.0.path("twice.json").display().to_string(), 7, "TEL is there twice"),
        ("phone=phone", ada.0.path("odd.json").display().to_string(), 7, "most"),
        ("phone=phone", ada.0.path("none.txt").display().to_string(), 7, "neither a layout"),
        ("phone=phone", ada.0.path("nowhere.json").display().to_string(), 7, "cannot be read"),
        ("phone=phone", "tape=sim".to_owned(), 2, "no such storage"),
        ("new=empty", "infer".to_owned(), 2, "no records"),
    ] {
        let (found, out, err) = run(ada.command("backup", PHONE, &[books]).args(["--layout", &layout]));
        assert!(found == code && err.contains(words), "{layout}: {found} {out}{err}");
    }
    assert_eq!(ada.0.json(&["book", "list"]), before);
}

/// Mission B4: what a device has and the server never saw is kept there, never dropped.
#[test]
fn b4_new_dimensions_are_made() {
    let ada = Person::new();
    let name = book(PHONE, "phone");
    let dimensions = || {
        let shown = ada.0.json(&["book", "show", &name, "--user", "ada"]);
        let shown = shown["dimensions"].as_array().unwrap().clone();
        shown
            .iter()
            .map(|it| (it["property"].as_str().unwrap().to_owned(), it["cards"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let told = |list: &[(&str, u64)]| list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>();
    ada.0.write("phone/a.vcf", &card("Anna Doe", "TEL:+4930111\r\n"));
    ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(dimensions(), told(&[("FN", 1), ("N", 1), ("TEL", 1)]));
    let wide = card("Bo Doe", "TEL:+4930222\r\nX-WECHAT;X-KIND=work:bo\r\nitem1.X-HOBBY:chess\r\nBDAY:1970-01-02\r\n");
    ada.0.write("phone/b.vcf", &wide);
    ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(dimensions(), told(&[("BDAY", 1), ("FN", 2), ("N", 2), ("TEL", 2), ("X-HOBBY", 1), ("X-WECHAT", 1)]));
    let kept = &ada.cards(&name)["Bo Doe"];
    assert!(kept.contains("X-WECHAT;X-KIND=work:bo") && kept.contains("item1.X-HOBBY:chess"), "{kept}");
    // A later upload that does not have it – another device's dimensions – takes nothing away.
    let layout = r#"{ "dimensions": [ { "property": "N" }, { "property": "FN" }, { "property": "TEL" } ] }"#;
    ada.0.write("narrow.json", layout);
    let narrow = ada.0.path("narrow.json");
    ada.0.write("phone/b.vcf", &card("Bo Doe", "TEL:+4930229\r\n"));
    ada.backup(PHONE, &["phone=phone"], &["--layout", narrow.to_str().unwrap()]);
    let kept = &ada.cards(&name)["Bo Doe"];
    assert!(kept.contains("+4930229") && kept.contains("X-WECHAT") && kept.contains("BDAY"), "{kept}");

    // Refused: what is no card is told, and nothing is lost because of it.
    ada.0.write("phone/b.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bo Doe\r\n");
    let said = ada.told("backup", PHONE, &["phone=phone"], &["--layout", narrow.to_str().unwrap()], 1);
    assert_eq!(said["books"][0]["skipped"][0]["file"], "b.vcf", "{said}");
    assert_eq!(&ada.cards(&name)["Bo Doe"], kept);
    let (code, _, err) = run(&mut ada.0.with_db(&["book", "show", &book(PHONE, "tape"), "--user", "ada"]));
    assert!(code == 5 && err.contains("has no book/"), "{err}");
}

/// Mission B5: an upload overwrites exactly the dimensions that the device has – the patent's 1, 3, 5, 7, 8 –, record by
/// record, and leaves the server's 2, 4, 6 as they are.
#[test]
fn b5_an_upload_overwrites_what_the_device_has() {
    let ada = Person::new();
    let name = book(PHONE, "phone");
    // 1 N and FN, 3 mobile, 5 e-mail, 7 company, 8 address; the server's own: 2 nickname, 4 fixed phone, 6 note.
    let layout = r#"{ "dimensions": [ { "property": "N" }, { "property": "FN" }, { "property": "TEL", "types": ["CELL"] },
        { "property": "EMAIL" }, { "property": "ORG" }, { "property": "ADR" } ] }"#;
    ada.0.write("layout.json", layout);
    let layout = ada.0.path("layout.json");
    let layout = ["--layout", layout.to_str().unwrap()];
    let mine = |mobile: &str, org: &str| {
        card("Anna Doe", &format!("TEL;TYPE=CELL:{mobile}\r\nEMAIL:a@doe.example\r\n{org}ADR:;;Street 1;Town;;;\r\n"))
    };
    ada.0.write("phone/a.vcf", &mine("+4930111", "ORG:Acme\r\n"));
    ada.0.write("phone/b.vcf", &card("Bo Doe", "TEL;TYPE=CELL:+4930222\r\n"));
    ada.backup(PHONE, &["phone=phone"], &layout);
    let own = "NICKNAME:Annie\r\nTEL;TYPE=HOME:+4930999\r\nNOTE:met in Ulm\r\n";
    ada.edit(&name, "Anna Doe", |card| with(card, own));

    ada.0.write("phone/a.vcf", &mine("+4930112", ""));
    let told = ada.backup(PHONE, &["phone=phone"], &layout);
    assert_eq!(told["books"][0]["report"]["books"][0]["sent"]["changed"], 1, "one record: {told}");
    let cards = ada.cards(&name);
    let anna = &cards["Anna Doe"];
    for line in [
        "TEL;TYPE=CELL:+4930112",
        "EMAIL:a@doe.example",
        "Street 1",
        "NICKNAME:Annie",
        "TEL;TYPE=HOME:+4930999",
        "NOTE:met in Ulm",
    ] {
        assert_eq!(anna.matches(line).count(), 1, "{line}: {anna}");
    }
    assert!(
        !anna.contains("Acme") && !anna.contains("+4930111"),
        "what it has it overwrites, also with nothing: {anna}"
    );
    assert!(cards["Bo Doe"].contains("+4930222"), "record by record");
    // What the device never had in its dimensions it cannot touch by having it now.
    ada.0.write("phone/a.vcf", &with(&mine("+4930112", ""), "NOTE:private\r\n"));
    ada.backup(PHONE, &["phone=phone"], &layout);
    assert!(ada.cards(&name)["Anna Doe"].contains("NOTE:met in Ulm"));

    // Refused: a folder that lost its cards overwrites nothing with nothing.
    for file in ["a.vcf", "b.vcf"] {
        fs::remove_file(ada.0.path("phone").join(file)).unwrap();
    }
    let before = ada.cards(&name);
    let told = ada.told("backup", PHONE, &["phone=phone"], &layout, 9);
    assert!(told["books"][0]["error"].as_str().unwrap().contains("--allow-mass-delete"), "{told}");
    assert_eq!(ada.cards(&name), before);
    ada.backup(PHONE, &["phone=phone"], &[&layout[..], &["--allow-mass-delete"]].concat());
    assert!(ada.cards(&name).is_empty(), "meant");
    let back = ["history", "restore", "--user", "ada", "--book", &name, "--at", "3", "--json"];
    let (code, out, err) = run(&mut ada.0.with_db(&back));
    assert_eq!((code, ada.cards(&name).len()), (0, 2), "and its history has them: {out}{err}");
}

/// Mission B6: the request says which book, and what the device holds; the server sends that, and the device updates its book.
#[test]
fn b6_a_book_is_restored_in_the_devices_dimensions() {
    let ada = Person::new();
    let name = book(PHONE, "phone");
    let anna = card("Anna Doe", "TEL;TYPE=CELL:+4930111\r\nEMAIL:a@doe.example\r\nNOTE:met in Ulm\r\n");
    ada.0.write("phone/a.vcf", &anna);
    ada.0.write("phone/b.vcf", &card("Bo Doe", "TEL:+4930222\r\n"));
    ada.backup(PHONE, &["phone=phone"], &[]);

    // The same phone, emptied: all is back as it was.
    fs::remove_dir_all(ada.0.path("phone")).unwrap();
    let told = ada.restore(PHONE, &["phone=phone"], &[]);
    assert_eq!(told["books"][0]["report"]["books"][0]["received"]["added"], 2, "{told}");
    assert_eq!(ada.0.names("phone"), set(["Anna Doe", "Bo Doe"]));
    assert_eq!(ada.0.read("phone/Anna Doe.vcf"), anna);

    // A new phone that holds less gets that, and cannot erase the rest.
    let layout = r#"{ "dimensions": [ { "property": "N" }, { "property": "FN" }, { "property": "TEL" } ] }"#;
    ada.0.write("small.json", layout);
    let small = ada.0.path("small.json");
    let small = ["--layout", small.to_str().unwrap(), "--book", &id(PHONE, "phone")];
    let trace = ada.0.path("trace");
    ada.restore(NEW_PHONE, &["phone=new"], &[&small[..], &["--trace", trace.to_str().unwrap()]].concat());
    assert_eq!(ada.0.names("new"), set(["Anna Doe", "Bo Doe"]));
    let got = ada.0.read("new/Anna Doe.vcf");
    assert!(got.contains("+4930111") && !got.contains("EMAIL") && !got.contains("NOTE"), "{got}");
    let sent = ada.said("trace");
    assert!(
        sent.contains(&format!("./book/{}", id(PHONE, "phone"))) && sent.contains("X-SYNCML-DIMENSIONS"),
        "the request says so"
    );
    assert!(!sent.contains("met in Ulm") && !sent.contains("a@doe.example"), "the server sends no more");

    // An edit here is undone by a restore; what is here and not in a dimension stays.
    ada.0.write("new/Anna Doe.vcf", &with(&got.replace("+4930111", "+49000"), "NOTE:mine\r\n"));
    ada.edit(&name, "Bo Doe", |card| card.replace("+4930222", "+4930223"));
    ada.restore(NEW_PHONE, &["phone=new"], &small);
    let (anna, bo) = (ada.0.read("new/Anna Doe.vcf"), ada.0.read("new/Bo Doe.vcf"));
    assert!(anna.contains("+4930111") && anna.contains("NOTE:mine") && bo.contains("+4930223"), "{anna}{bo}");
    assert!(ada.cards(&name)["Anna Doe"].contains("met in Ulm"));

    // Back up again, into the new phone's own book: nothing is lost anywhere.
    ada.backup(NEW_PHONE, &["phone=new"], &small[..2]);
    assert_eq!(ada.cards(&book(NEW_PHONE, "phone")).len(), 2);
    assert_eq!(ada.cards(&name).len(), 2);

    // Refused: cards here that are in no backup are not removed unasked, and then nothing is written.
    ada.0.write("new/c.vcf", &card("Cy Doe", "TEL:+4930333\r\n"));
    ada.edit(&name, "Bo Doe", |card| card.replace("+4930223", "+4930224"));
    let before = ada.files("new");
    let told = ada.told("restore", NEW_PHONE, &["phone=new"], &small, 9);
    assert!(told["books"][0]["error"].as_str().unwrap().contains("1 cards here are not in the backup"), "{told}");
    assert_eq!(ada.files("new"), before, "its state included");
    ada.restore(NEW_PHONE, &["phone=new"], &[&small[..], &["--replace"]].concat());
    assert_eq!(ada.0.names("new"), set(["Anna Doe", "Bo Doe"]));
    assert!(ada.0.read("new/Bo Doe.vcf").contains("+4930224"));

    // Refused: a book that nobody backed up. It is not made either.
    let (before, books) = (ada.files("new"), ada.0.json(&["book", "list"]));
    let told = ada.told("restore", NEW_PHONE, &["phone=new"], &["--book", &id(PHONE, "tape")], 5);
    assert!(told["books"][0]["error"].as_str().unwrap().contains("has no book"), "{told}");
    let (code, _, err) = run(ada.command("restore", NEW_PHONE, &["phone=new"]).args(["--book", "not an id"]));
    assert!(code == 2 && err.contains("hexadecimal"), "{err}");
    assert_eq!((ada.files("new"), ada.0.json(&["book", "list"])), (before, books));
}

/// Mission B7: what does not fit is told before anything is written, exactly.
#[test]
fn b7_data_overflow_stops_a_restore() {
    let ada = Person::new();
    let name = book(PHONE, "phone");
    let cards = [
        card("Anna Doe", "TEL;TYPE=CELL:+4930111\r\nTEL;TYPE=HOME:+4930112\r\nEMAIL:a@doe.example\r\n"),
        card("Bartholomew Featherstone", "TEL:+4930222\r\n"),
        card("小明 王", "TEL:+123456789012345678901\r\n"),
        card("Dee Doe", "TEL:+4930444\r\n"),
    ];
    for (at, card) in cards.iter().enumerate() {
        ada.0.write(&format!("phone/{at}.vcf"), card);
    }
    ada.backup(PHONE, &["phone=phone"], &[]);
    let sim = ["--layout", "sim", "--book", &id(PHONE, "phone")];
    ada.0.write("sim/old.vcf", &card("Old One", "TEL:+4930999\r\n"));
    ada.backup(PHONE, &["sim=sim"], &["--layout", "sim"]);
    let before = ada.files("sim");
    for _ in 0..2 {
        let told = ada.told("restore", PHONE, &["sim=sim"], &[&sim[..], &["--replace"]].concat(), 10);
        let book = &told["books"][0];
        assert!(book["error"].as_str().unwrap().starts_with("data overflow: 3 of what"), "{told}");
        let mut found = book["overflow"]["overflows"].as_array().unwrap().clone();
        found.sort_by_key(|it| it["what"].to_string());
        assert_eq!(
            json!(found),
            json!([
                { "record": "Anna Doe", "what": "count", "dimension": "TEL", "has": 2, "holds": 1 },
                { "record": "小明 王", "what": "digits", "has": 21, "holds": 20 },
                { "record": "Bartholomew Featherstone", "what": "name", "has": 24, "holds": 14 },
            ])
        );
        assert_eq!(ada.files("sim"), before, "nothing was written, not even its state");
    }
    let (code, out, err) = run(ada.command("restore", PHONE, &["sim=sim"]).args(sim));
    assert_eq!(code, 10, "{out}{err}");

    // A card of two records that is to hold four; and fields of a record.
    let limits = r#"{ "records": 2, "fields": 2, "dimensions": [ { "property": "N" }, { "property": "FN" }, { "property": "TEL" },
        { "property": "EMAIL", "length": 5 } ] }"#;
    ada.0.write("limits.json", limits);
    let limits = ada.0.path("limits.json");
    fs::create_dir_all(ada.0.path("new")).unwrap();
    let told = ada.told(
        "restore",
        NEW_PHONE,
        &["phone=new"],
        &["--layout", limits.to_str().unwrap(), "--book", &id(PHONE, "phone")],
        10,
    );
    let mut found: Vec<_> =
        told["books"][0]["overflow"]["overflows"].as_array().unwrap().iter().map(|it| it["what"].to_string()).collect();
    found.sort();
    assert_eq!(found, ["\"characters\"", "\"fields\"", "\"records\""], "{told}");
    assert!(ada.card_files("new").is_empty());

    // The old book is in step with its device as if nothing had been tried; and what fits is restored.
    let told = ada.backup(PHONE, &["sim=sim"], &["--layout", "sim"]);
    assert_eq!(told["books"][0]["report"]["books"][0]["sent"]["added"], 0, "{told}");
    assert_eq!(ada.cards(&book(PHONE, "sim")).len(), 1);
    assert_eq!(ada.cards(&name).len(), 4, "and nothing was lost at the server");
    ada.edit(&name, "Anna Doe", |card| card.replace("TEL;TYPE=HOME:+4930112\r\n", ""));
    ada.edit(&name, "Bartholomew Featherstone", |card| card.replace("Bartholomew", "Bart").replace("Feather", ""));
    ada.edit(&name, "小明 王", |card| card.replace("+123456789012345678901", "+12345"));
    ada.restore(PHONE, &["sim=sim"], &[&sim[..], &["--replace"]].concat());
    let long = ada.told("restore", PHONE, &["sim=sim"], &[&sim[..], &["--replace"]].concat(), 0);
    assert_eq!(ada.0.names("sim").len(), 4, "{long}");
}

/// Mission B8: what goes up and comes down may be packed; unpacked it is limited.
#[test]
fn b8_uploads_and_restores_may_be_packed() {
    let pack = |content: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(content).unwrap();
        packer.finish().unwrap()
    };
    let mut ada = Person::new();
    let name = book(PHONE, "phone");
    fs::create_dir_all(ada.0.path("phone")).unwrap();
    let anna = card("Anna Doe", &format!("TEL:+4930111\r\nNOTE:{}\r\n", "long ".repeat(2000)));
    fs::write(ada.0.path("phone/a.vcf.gz"), pack(anna.as_bytes())).unwrap();
    ada.0.write("phone/b.vcf", &card("Bo Doe", "TEL:+4930222\r\n"));
    let packed = ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(ada.cards(&name)["Anna Doe"], anna);
    assert_eq!(packed["books"][0]["report"]["books"][0]["sent"]["added"], 2);

    // On the wire, too, both ways, unless that is not wanted.
    let direct = ada.0.url.clone();
    let (url, heard) = overhear(&direct);
    ada.0.url = url;
    let on_the_wire = |ada: &Person, more: &[&str]| {
        heard.lock().unwrap().clear();
        fs::remove_file(ada.0.path("phone/.syncml.db")).unwrap();
        ada.backup(PHONE, &["phone=phone"], more);
        fs::remove_dir_all(ada.0.path("again")).unwrap_or_default();
        ada.restore(PHONE, &["phone=again"], more);
        String::from_utf8_lossy(&heard.lock().unwrap()).into_owned()
    };
    let said = on_the_wire(&ada, &[]);
    let long = "long long long ";
    assert!(!said.contains(long) && said.to_lowercase().matches("content-encoding: gzip").count() >= 2, "{said}");
    let said = on_the_wire(&ada, &["--no-gzip"]);
    assert!(said.matches(long).count() >= 2 && !said.to_lowercase().contains("content-encoding"), "{said}");
    ada.0.url = direct;

    // What comes back is packed where the folder has packed cards, or where it is asked for.
    fs::remove_file(ada.0.path("phone/a.vcf.gz")).unwrap();
    fs::remove_file(ada.0.path("phone/b.vcf")).unwrap();
    ada.restore(PHONE, &["phone=phone"], &["--gzip", "--no-gzip"]);
    let files: Vec<_> = ada.card_files("phone").into_keys().collect();
    assert_eq!(files, ["Anna Doe.vcf.gz", "Bo Doe.vcf.gz"]);
    let mut unpacked = String::new();
    let mut file = flate2::read::GzDecoder::new(fs::File::open(ada.0.path("phone/Anna Doe.vcf.gz")).unwrap());
    file.read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, anna);
    let told = ada.backup(PHONE, &["phone=phone"], &[]);
    assert_eq!(told["books"][0]["collected"]["changed"], 0, "packed or not, it is the same card: {told}");
    let (code, _, err) = run(ada
        .0
        .with_db(&["list", "--user", "ada", "--book", &name, "--gzip"])
        .arg("--export")
        .arg(ada.0.path("out")));
    assert_eq!((code, ada.files("out").len()), (0, 2), "{err}");
    let (code, out, err) = run(ada.0.with_db(&["import", "--user", "ada", "--json"]).arg(ada.0.path("out")));
    assert_eq!((code, ada.cards("contacts").len()), (0, 2), "{out}{err}");

    // Refused: what is larger than a card when it is unpacked, and what is no whole gzip; the others go up.
    let bomb = pack(&vec![b' '; 64_000_000]);
    assert!(bomb.len() < 100_000);
    fs::write(ada.0.path("phone/bomb.vcf.gz"), &bomb).unwrap();
    fs::write(ada.0.path("phone/cut.vcf.gz"), &pack(anna.as_bytes())[..30]).unwrap();
    ada.0.write("phone/c.vcf", &card("Cy Doe", ""));
    let told = ada.told("backup", PHONE, &["phone=phone"], &[], 1);
    let skipped: BTreeMap<_, _> = told["books"][0]["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["file"].as_str().unwrap(), it["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(skipped["bomb.vcf.gz"], "unpacked it is larger than 4000000 bytes");
    assert_eq!(skipped["cut.vcf.gz"], "it is no whole gzip file");
    assert_eq!(ada.cards(&name).len(), 3);
}
