//! Contacts from and to the files of other programs, through the program (missions I1 to I3, I5, I6).
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "common/program.rs"]
mod program;

use program::{World, card, run, syncml};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

impl World {
    /// Imports a file, expects an exit code, and gives back what the program says for machines.
    fn import(&self, file: &str, more: &[&str], expected: i32) -> Value {
        let mut command = self.with_db(&["import", "--user", "ada", "--json"]);
        let (code, out, err) = run(command.args(more).arg(self.path(file)));
        assert_eq!(code, expected, "{file}: {out}\n{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// The contents of the book, by age.
    fn contents(&self) -> Vec<String> {
        let (code, out, err) = run(&mut self.with_db(&["list", "--user", "ada", "--json"]));
        assert_eq!(code, 0, "{err}");
        let items: Vec<Value> = serde_json::from_str(&out).unwrap();
        items.iter().map(|item| item["content"].as_str().unwrap().to_owned()).collect()
    }

    fn names_here(&self) -> Vec<String> {
        self.server_names().into_iter().collect()
    }

    fn export(&self, to: &str, more: &[&str]) -> Value {
        let mut command = self.with_db(&["export", "--user", "ada", "--json"]);
        let (code, out, err) = run(command.arg("--to").arg(self.path(to)).args(more));
        assert_eq!(code, 0, "{to}: {out}\n{err}");
        serde_json::from_str(&out).unwrap()
    }
}

/// `added known overwritten merged beside left`.
fn counts(told: &Value) -> [u64; 6] {
    ["added", "known", "overwritten", "merged", "beside", "left"].map(|what| told[what].as_u64().unwrap())
}

fn convert(world: &World, from: &str, to: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = syncml();
    run(command.arg("convert").arg(world.path(from)).arg("--to").arg(world.path(to)).args(more))
}

const CSV: &str = "Name,Mobile,E-mail,Company,鞋码\r\nAnn Doe,+46 70 1740601,ann@example.org,\"X, Y\",\r\n王小明,13800138000,,,43\r\n";

#[test]
fn i1_files_of_every_kind_are_imported() {
    let world = World::new(&[]);
    world.write("a.csv", CSV);
    let told = world.import("a.csv", &[], 0);
    assert_eq!((counts(&told), &told["unknown_columns"]), ([2, 0, 0, 0, 0, 0], &serde_json::json!(["鞋码"])));
    world.write(
        "chat.txt",
        "2012-03-04 10:20:30 李雷\n我的号码 13900139000\n2012-03-04 10:21:00 Zoe\nzoe@example.org is mine\n",
    );
    assert_eq!(world.import("chat.txt", &[], 0)["added"], 2);
    world.write("page.html", "<table><tr><th>Name<th>Phone<tr><td>Ben<td>030 1234567</table>");
    assert_eq!(world.import("page.html", &[], 0)["added"], 1);
    world.write("dir.ldif", "dn: cn=Cid\ncn: Cid\nmobile: +49 170 1\n");
    assert_eq!(world.import("dir.ldif", &[], 0)["added"], 1);
    world.write(
        "cards.json",
        r#"["vcard",[["version",{},"text","4.0"],["fn",{},"text","Dan"],["tel",{},"text","5550001"]]]"#,
    );
    assert_eq!(world.import("cards.json", &[], 0)["added"], 1);
    // Of a name that tells nothing, by what it looks like.
    fs::write(world.path("list"), b"\xFF\xFEE\0v\0a\0 \x000\x003\x000\0 \x001\x002\x003\x004\x005\x006\x007\0\n\0")
        .unwrap();
    assert_eq!(world.import("list", &[], 0)["added"], 1);
    assert_eq!(world.names_here(), ["Ann Doe", "Ben", "Cid", "Dan", "Eva", "Zoe", "李雷", "王小明"]);
    let li = world.contents().into_iter().find(|card| card.contains("李雷")).unwrap();
    assert!(li.contains("TEL;TYPE=cell:13900139000"), "{li}");
    // Again, nothing is new.
    for file in ["a.csv", "chat.txt", "page.html", "dir.ldif", "cards.json", "list"] {
        let told = world.import(file, &["--on-conflict", "overwrite"], 0);
        assert_eq!(told["known"].as_u64().unwrap(), counts(&told).iter().sum::<u64>(), "{file}: {told}");
    }
}

#[test]
fn i1_what_cannot_be_used_is_named_by_its_line() {
    let world = World::new(&[]);
    world.write("a.csv", "Name,Phone\nAnn,5550001\nBen,5550002,what\nCid,5550003\n");
    let told = world.import("a.csv", &[], 1);
    assert_eq!((&told["ok"], &told["added"]), (&Value::Bool(false), &Value::from(2)));
    assert!(told["skipped"][0]["reason"].as_str().unwrap().starts_with("line 3: 3 cells"), "{told}");
    world.write("b.csv", "Name,Phone\n\"Dan,1\n");
    assert!(world.import("b.csv", &[], 1)["skipped"][0]["reason"].as_str().unwrap().contains("never closed"));
    world.write("c.csv", &("Name,Phone\nEva".to_owned() + &",".repeat(2000) + "\nFay,5550006\n"));
    let told = world.import("c.csv", &[], 1);
    assert_eq!(
        (&told["added"], &told["skipped"][0]["reason"]),
        (&Value::from(1), &Value::from("line 2: more than 1024 columns"))
    );
    // Neither too much for memory nor for patience.
    world.write("d.csv", &format!("Name,Phone\n\"{}", "x".repeat(17 << 20)));
    assert!(world.import("d.csv", &[], 1)["skipped"][0]["reason"].as_str().unwrap().contains("bytes"));
    fs::write(world.path("e.csv"), b"Name,Phone\nZo\xEB,5550007\n").unwrap();
    let told = world.import("e.csv", &["--from-charset", "utf-8"], 1);
    assert!(told["skipped"][0]["reason"].as_str().unwrap().contains("not UTF-8"), "{told}");
    assert_eq!(world.import("e.csv", &[], 0)["added"], 1);
    assert_eq!(world.names_here(), ["Ann", "Cid", "Fay", "Zoë"]);
    for (args, said) in [
        (&["--from", "word"][..], "vcard, csv, ldif"),
        (&["--from-layout", "nobody"], "there is no layout \"nobody\""),
        (&["--from-charset", "klingon"], "no such charset"),
        (&["--fields", "shoe"], "names no field"),
        (&["--on-conflict", "maybe"], "possible values"),
    ] {
        let (code, _, err) = run(world.with_db(&["import", "--user", "ada"]).args(args).arg(world.path("a.csv")));
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(said), "{err}");
    }
}

#[test]
fn i2_records_and_fields_are_chosen_and_combined() {
    let world = World::new(&[]);
    world.write(
        "a.vcf",
        &(card("Ann Doe", "TEL;TYPE=CELL:5550001\r\nNOTE:private\r\n") + &card("Ben Doe", "TEL:5550002\r\n")),
    );
    world.write("b.vcf", &card("Ann Doe", "TEL:5550001\r\nEMAIL:ann@example.org\r\n"));
    let more = ["--select", "ann", "--fields", "fn,tel.mobile,email", "--combine", "--json"];
    let mut command = syncml();
    command.arg("convert").args([world.path("a.vcf"), world.path("b.vcf")]).arg("--to").arg(world.path("out.csv"));
    let (code, out, err) = run(command.args(more));
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["written"], &told["combined"]), (&Value::from(1), &Value::from(1)));
    let table = world.read("out.csv");
    assert_eq!(table, "\u{feff}Name,Mobile,E-mail\r\nAnn Doe,5550001,ann@example.org\r\n");
    world.import("a.vcf", &["--select", "555 0002"], 0);
    assert_eq!(world.names_here(), ["Ben Doe"]);
}

#[test]
fn i3_a_table_has_the_columns_of_its_layout_in_their_order() {
    let world = World::new(&[]);
    world.write("a.vcf", &(card("Ann Doe", "TEL;TYPE=WORK:5550001\r\nPHOTO;ENCODING=b:aGVs\r\n") + &card("Ben", "")));
    world.write(
        "own.layout",
        "delimiter = semicolon\n[columns]\nPhone | 电话 = tel.work\nMail = email\nWho = n.family + n.given\n",
    );
    let (code, out, err) =
        convert(&world, "a.vcf", "own.csv", &["--layout", world.path("own.layout").to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("2 written") && out.contains("PHOTO (1)"), "{out}");
    assert_eq!(world.read("own.csv"), "Phone;Mail;Who\r\n5550001;;Doe Ann\r\n;;Ben\r\n");
    let (code, _, err) =
        convert(&world, "a.vcf", "zh.csv", &["--as", "phone", "--language", "zh", "--charset", "gb18030"]);
    assert_eq!(code, 0, "{err}");
    let bytes = fs::read(world.path("zh.csv")).unwrap();
    assert!(bytes.starts_with(b"\xD0\xD5\xC3\xFB,"), "{bytes:?}");
    assert_eq!(world.import("zh.csv", &[], 0)["added"], 2);
    // A file that is there is never overwritten; one that could not be written is not left behind.
    for (to, more, exit, said) in [
        ("zh.csv", &[][..], 7, "is there already"),
        ("no/out.csv", &[], 7, "cannot be written"),
        ("out.xyz", &[], 2, "nothing that can be written"),
        ("out.vcf", &["--as", "word"], 2, "nothing that can be written"),
        ("out.vcf", &["--layout", "outlook"], 2, "only tables, text and documents"),
    ] {
        let (code, _, err) = convert(&world, "a.vcf", to, more);
        assert_eq!(code, exit, "{err}");
        assert!(err.contains(said), "{err}");
    }
    assert!(!world.path("out.xyz").exists() && !world.path("out.vcf").exists());
}

#[test]
fn i5_what_differs_is_overwritten_merged_added_left_or_asked_about() {
    const HERE: &str = "TEL;TYPE=CELL:+46701740601\r\nTITLE:Cook\r\nPHOTO;ENCODING=b:aGVs\r\n";
    const CSV: &str = "Name,Mobile,Title,E-mail\nAnn Doe,070-1740601,Captain,ann@example.org\nBen,5550002,,\n";
    let world = || {
        let world = World::new(&[]);
        world.write("here.vcf", &card("Ann Doe", HERE));
        world.import("here.vcf", &[], 0);
        world.write("new.csv", CSV);
        world
    };
    for (choice, counted, ann) in [
        ("overwrite", [1, 0, 1, 0, 0, 0], &["TITLE:Captain", "PHOTO", "ann@example.org"][..]),
        ("merge", [1, 0, 0, 1, 0, 0], &["TITLE:Cook", "PHOTO", "ann@example.org"]),
        ("add", [1, 0, 0, 0, 1, 0], &["TITLE:Cook", "PHOTO"]),
        ("skip", [1, 0, 0, 0, 0, 1], &["TITLE:Cook", "PHOTO"]),
    ] {
        let world = world();
        let dry = world.import("new.csv", &["--on-conflict", choice, "--dry-run"], 0);
        assert_eq!((counts(&dry), world.contents().len()), (counted, 1), "{choice}");
        let told = world.import("new.csv", &["--on-conflict", choice], 0);
        assert_eq!(counts(&told), counted, "{choice}");
        let contents = world.contents();
        let first = contents.iter().find(|it| it.contains("PHOTO")).unwrap();
        assert!(ann.iter().all(|it| first.contains(it)), "{choice}: {first}");
        assert_eq!(contents.len(), if choice == "add" { 3 } else { 2 }, "{choice}");
        // What was taken is known; what was overruled differs still.
        if matches!(choice, "overwrite" | "add") {
            assert_eq!(
                counts(&world.import("new.csv", &["--on-conflict", "overwrite"], 0)),
                [0, 2, 0, 0, 0, 0],
                "{choice}"
            );
        }
    }
    let world = world();
    let mut ask = world.with_db(&["import", "--user", "ada", "--on-conflict", "ask"]);
    let (code, out, err) = answered(ask.arg(world.path("new.csv")), "what?\no\n");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 overwritten") && err.contains("TITLE: Cook -> Captain"), "{out}{err}");
    // Nobody answers: nothing more is done, and that is said.
    world.write("more.csv", "Name,Mobile,Title\nAnn Doe,070-1740601,Smith\nCid,5550003,\n");
    let mut ask = world.with_db(&["import", "--user", "ada", "--on-conflict", "ask"]);
    let (code, _, err) = answered(ask.arg(world.path("more.csv")), "");
    assert_eq!((code, world.contents().len()), (130, 2), "{err}");
    let (code, out, _) =
        run(world.with_db(&["import", "--user", "ada", "--on-conflict", "ask", "--json"]).arg(world.path("more.csv")));
    assert_eq!(code, 2, "{out}");
    // What was there before is in the history.
    let (code, out, err) = run(&mut world.with_db(&["history", "list", "--user", "ada", "--book", "contacts"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("import"), "{out}");
}

fn answered(command: &mut Command, answers: &str) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn i5_contacts_twice_in_a_file_are_once_in_the_book() {
    let world = World::new(&[]);
    world.write("a.csv", "Name,Mobile,E-mail\nAnn,5550001,\nAnn,5550001,\nAnn,5550001,ann@example.org\nBen,5550001,\n");
    let told = world.import("a.csv", &["--on-conflict", "merge"], 0);
    assert_eq!((counts(&told), world.contents().len()), ([2, 1, 0, 1, 0, 0], 2), "{told}");
}

#[test]
fn i6_a_book_goes_into_documents_and_comes_back_the_same() {
    let world = World::new(&[]);
    world.write("a.csv", CSV);
    world.import("a.csv", &[], 0);
    for (to, more) in [
        ("out.vcf", &["--as", "vcard21"][..]),
        ("out4.vcf", &["--as", "vcard40"]),
        ("out.csv", &[]),
        ("google.csv", &["--as", "google"]),
        ("out.tsv", &[]),
        ("out.txt", &[]),
        ("out.json", &[]),
        ("out.ldif", &[]),
    ] {
        let told = world.export(to, more);
        assert_eq!(told["written"], 2, "{to}");
        let told = world.import(to, &["--on-conflict", "overwrite"], 0);
        assert_eq!(counts(&told), [0, 2, 0, 0, 0, 0], "{to}: {told}");
    }
    assert_eq!(
        world.export("ann.txt", &["--select", "ann", "--fields", "fn,tel.mobile", "--language", "zh"])["written"],
        1
    );
    assert_eq!(world.read("ann.txt"), "姓名: Ann Doe\n手机: +46 70 1740601\n");
    let (code, _, err) =
        run(world.with_db(&["export", "--user", "ada", "--book", "notes"]).arg("--to").arg(world.path("n.csv")));
    assert_eq!((code, err.contains("only books of contacts")), (2, true), "{err}");
}

#[test]
fn i6_a_chat_is_answered_from_the_accounts_own_book() {
    let world = World::new(&[]);
    let (code, _, err) =
        run(world.with_db(&["account", "add", "bob"]).arg("--password-file").arg(world.path("password")));
    assert_eq!(code, 0, "{err}");
    world.write("ada.csv", "Name,Mobile,E-mail\nAnn Doe,5550001,ann@example.org\n王小明,13800138000,\nZoe,5550003,\n");
    world.import("ada.csv", &[], 0);
    world.write("bob.csv", "Name,Mobile\nAnn Doe,5559999\nMallory,5550666\n");
    let (code, _, err) = run(world.with_db(&["import", "--user", "bob"]).arg(world.path("bob.csv")));
    assert_eq!(code, 0, "{err}");
    let chat = "[10:20] <zoe> hello\n[10:21] <ben> @book Ann Doe's number?\nZoe: @book what is Mallory's number\n\
                2012-03-04 10:20:30 李雷\n@通讯录 王小明的手机？\n好的\nben: @book ann doe's e-mail\n";
    let (code, out, err) = answered(&mut world.with_db(&["search", "--chat", "--user", "ada"]), chat);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        "[10:21] <book> Ann Doe: 5550001\nbook: nobody is called Mallory\n\
         2012-03-04 10:20:30 通讯录\n王小明：13800138000\nbook: Ann Doe: ann@example.org\n"
    );
    for args in [&["--chat", "words"][..], &["--chat", "--to", "x.vcf"], &["--chat", "--book", "notes"], &[]] {
        let (code, out, err) = run(world.with_db(&["search", "--user", "ada"]).args(args));
        assert_eq!(code, 2, "{args:?}: {out}{err}");
    }
}
