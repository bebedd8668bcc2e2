//! Documents, a book and devices that are kept in step (mission I8), through the program, over real HTTP, files and datagrams.
//! Nothing is timed: a test waits for what the program says.
#![cfg(all(feature = "cli", unix))]
// It starts processes and reads files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "common/program.rs"]
mod program;

use program::{Telling, World, card, run, set, syncml};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread;
use syncml::notify::{Notification, SAN_MEDIA_TYPE, parse};
use syncml::service::interchange::{Layout, ReadOptions, Target, Writer, read};
use syncml::transport::obex::{Framer, Object, ServerMachine, Turn};

fn link(world: &World, files: &[&str], more: &[&str]) -> Command {
    let mut command = world.with_db(&["link", "--user", "ada", "--json", "--quiet", "50"]);
    command.current_dir(world.dir.path()).args(files).args(more);
    command
}

/// A linker that runs.
struct Linker(Telling);

impl Linker {
    fn start(world: &World, files: &[&str], more: &[&str]) -> Self {
        let linker = Self(Telling::start(link(world, files, more)));
        assert_eq!(linker.0.next()["event"], "linking");
        linker
    }

    /// The next event of a kind at an end.
    fn until(&self, event: &str, end: &str) -> Value {
        loop {
            let told = self.0.next();
            if told["event"] == event && (told["end"] == end || told["device"] == end) {
                return told;
            }
            assert_ne!((&told["event"], event), (&json!("refused"), "turn"), "{told}");
        }
    }
}

/// Puts another document in the place of one, whole, as programs do that take care.
fn save(world: &World, name: &str, content: &str) {
    world.write("beside", content);
    fs::rename(world.path("beside"), world.path(name)).unwrap();
}

fn head(world: &World) -> i64 {
    let books = world.json(&["book", "list"]);
    let contacts = books.as_array().unwrap().iter().find(|book| book["book"] == "contacts");
    contacts.map_or(0, |book| book["head"].as_i64().unwrap())
}

#[test]
fn i8_documents_a_book_and_a_device_follow_each_other_and_come_to_rest() {
    let world = World::new(&[]);
    world.write("phone/cid.vcf", &card("Cid", "TEL:5550003\r\nNOTE:only in the phone\r\n"));
    world.synced("phone", &["--device-id", "phone"], 0);
    world.write("people.csv", "Name,Mobile,Shoe\r\nAnn Doe,5550001,38\r\nBen,5550002,\r\n");
    let device = UdpSocket::bind("127.0.0.1:0").unwrap();
    device.set_read_timeout(Some(Telling::PATIENCE)).unwrap();
    let alert = format!("phone=udp://{}", device.local_addr().unwrap());
    let linker = Linker::start(
        &world,
        &["people.csv", "out.csv", "cards.vcf"],
        &["--as", "out.csv=outlook", "--on-conflict", "overwrite", "--alert", &alert],
    );
    linker.until("turn", "cards.vcf");
    linker.until("alerted", "phone");
    let table = world.read("people.csv");
    assert!(table.starts_with("Name,Mobile,Shoe\r\nAnn Doe,5550001,38\r\nBen,5550002,\r\nCid,"), "{table}");
    assert!(world.read("out.csv").contains("Ann") && world.read("cards.vcf").contains("NOTE:only in the phone"));
    // The device is asked to come, and takes what the document says.
    let mut bytes = [0; 8_192];
    let size = device.recv(&mut bytes).unwrap();
    assert!(matches!(parse("", &bytes[..size]).unwrap(), Notification::San(_)));
    world.synced("phone", &["--device-id", "phone"], 0);
    assert_eq!(world.names("phone"), set(["Ann Doe", "Ben", "Cid"]));

    // Edited in one document: in the book, in the others, and in the device when it comes.
    save(&world, "people.csv", &table.replace("5550001", "5550009").replace("Ben,5550002,\r\n", ""));
    linker.until("turn", "people.csv");
    let told = linker.until("turn", "cards.vcf");
    assert_eq!((&told["delivered"]["changed"], &told["delivered"]["deleted"]), (&json!(1), &json!(1)), "{told}");
    assert!(world.read("out.csv").contains("5550009") && !world.read("cards.vcf").contains("Ben"));
    world.synced("phone", &["--device-id", "phone"], 0);
    assert_eq!(world.names("phone"), set(["Ann Doe", "Cid"]));

    // Edited in the device: in the documents, which keep their own columns.
    let cid = world.path("phone/cid.vcf");
    fs::write(&cid, fs::read_to_string(&cid).unwrap().replace("5550003", "5550033")).unwrap();
    world.synced("phone", &["--device-id", "phone"], 0);
    linker.until("turn", "cards.vcf");
    let table = world.read("people.csv");
    assert!(table.contains("Ann Doe,5550009,38\r\n"), "{table}");
    assert!(["out.csv", "cards.vcf"].iter().all(|file| world.read(file).contains("5550033")));

    // The circle ends: what was written is no change, for those that go on and for those that begin anew.
    let (head_then, files) = (head(&world), ["people.csv", "out.csv", "cards.vcf"].map(|file| world.read(file)));
    drop(linker);
    for _ in 0..2 {
        let (code, out, err) =
            run(&mut link(&world, &["people.csv", "out.csv", "cards.vcf"], &["--on-conflict", "overwrite", "--once"]));
        assert_eq!((code, out.as_str()), (0, ""), "{err}");
    }
    assert_eq!((head(&world), ["people.csv", "out.csv", "cards.vcf"].map(|file| world.read(file))), (head_then, files));
    let (code, out, err) = run(&mut world.with_db(&["history", "list", "--user", "ada"]));
    assert!(code == 0 && out.contains("people.csv-"), "the history says which document it was: {out}{err}");
}

#[test]
fn i8_what_a_document_cannot_mean_is_refused_and_the_others_go_on() {
    let world = World::new(&[]);
    let rows: String = (0..30).map(|at| format!("Ann {at},55500{at:02}\r\n")).collect();
    world.write("people.csv", &format!("Name,Mobile\r\n{rows}"));
    let linker = Linker::start(&world, &["people.csv", "cards.vcf"], &[]);
    linker.until("turn", "cards.vcf");
    let (before, head_then) = (world.read("cards.vcf"), head(&world));
    for (text, exit, said) in [
        ("Name,Mobile\r\nAnn 1,5550001\r\n", 9, "29 of 30 entries have vanished"),
        ("Name,Mobile\r\nAnn 1,5550001,what\r\n", 7, "line 2: 3 cells"),
        ("Name,Mobile\r\n\"Ann 1,5550001\r\n", 7, "never closed"),
    ] {
        save(&world, "people.csv", text);
        let told = linker.until("refused", "people.csv");
        assert_eq!(told["exit"], exit, "{told}");
        assert!(told["error"].as_str().unwrap().contains(said), "{told}");
        assert_eq!((world.read("people.csv").as_str(), world.read("cards.vcf")), (text, before.clone()));
    }
    assert_eq!(head(&world), head_then);
    // Mended, it goes on.
    save(&world, "people.csv", &format!("Name,Mobile\r\n{}", rows.replace("5550007", "5550077")));
    linker.until("turn", "people.csv");
    linker.until("turn", "cards.vcf");
    assert!(world.read("cards.vcf").contains("5550077"));
    drop(linker);
    // What is gone has not lost its contacts.
    fs::remove_file(world.path("people.csv")).unwrap();
    let (code, out, err) = run(&mut link(&world, &["people.csv"], &["--once"]));
    assert!(code == 1 && out.contains("is not there"), "{code}: {out}{err}");
    assert!(!world.path("people.csv").exists());
    for (args, said) in [
        (&["people.doc"][..], "says nothing that can be linked"),
        (&["people.txt"], "written as they were read"),
        (&["people.csv", "--as", "other.csv=outlook"], "among the documents"),
        (&["people.csv", "--alert", "phone"], "DEVICE=URL"),
        (&["people.csv", "--alert", "phone=http://127.0.0.1"], "obex://HOST:PORT"),
        (&["people.csv", "--book", "notes"], "only books of contacts"),
    ] {
        let (code, out, err) = run(link(&world, &[], args).arg("--once"));
        assert!(code == 2 && format!("{out}{err}").contains(said), "{args:?}: {code} {out}{err}");
    }
}

#[test]
fn i8_office_documents_are_ends_too() {
    let world = World::new(&[]);
    let convert = |from: &str, to: &str, more: &[&str]| {
        drop(fs::remove_file(world.path(to)));
        let mut command = syncml();
        let (code, out, err) =
            run(command.arg("convert").arg(world.path(from)).arg("--to").arg(world.path(to)).args(more));
        assert_eq!(code, 0, "{from} to {to}: {out}{err}");
    };
    let once = |files: &[&str]| {
        let (code, out, err) =
            run(link(&world, files, &[]).args(["--once", "--as", "out.ods=phone", "--as", "list.docx=own"]));
        assert_eq!(code, 0, "{out}{err}");
        out
    };
    world.write("own", "[columns]\nName = fn\nMobile = tel.mobile\n");
    world.write("people.csv", "Name,Mobile\r\nAnn Doe,5550001\r\nBen,5550002\r\n");
    convert("people.csv", "people.xlsx", &["--fields", "fn,tel.mobile,title"]);
    let files = ["people.xlsx", "out.ods", "list.docx"];
    once(&files);
    let texts = || {
        let text = |file: &&str| {
            let more = ["--fields", "fn,tel.mobile,title"];
            let table = format!("{file}.csv");
            convert(file, &table, &more);
            world.read(&table).trim_start_matches('\u{feff}').to_owned()
        };
        files.iter().map(text).collect::<Vec<_>>()
    };
    let wanted = |title| format!("Name,Mobile,Title\r\nAnn Doe,5550001,{title}\r\nBen,5550002,\r\n");
    assert_eq!(texts(), [wanted(""), wanted(""), wanted("")]);
    // Somebody else changes it: those have it that have a column for it; and all are at rest.
    world.write("more.csv", "Name,Mobile,Title\r\nAnn Doe,5550001,Captain\r\n");
    let mut import = world.with_db(&["import", "--user", "ada", "--on-conflict", "overwrite"]);
    let (code, _, err) = run(import.arg(world.path("more.csv")));
    assert_eq!(code, 0, "{err}");
    once(&files);
    assert_eq!(texts(), [wanted("Captain"), wanted("Captain"), wanted("")]);
    // Each with its own columns.
    let head = |layout| {
        let writer = Writer::new(Vec::new(), Target::Table(layout)).unwrap();
        String::from_utf8(writer.finish().unwrap().0).unwrap().trim_start_matches('\u{feff}').to_owned()
    };
    let columns = |file| {
        let reading = read(fs::File::open(world.path(file)).unwrap(), &ReadOptions::default()).unwrap();
        head(reading.table.unwrap())
    };
    let phone = head(Layout::named("phone").unwrap());
    assert_eq!(files.map(columns), ["Name,Mobile,Title\r\n", phone.as_str(), "Name,Mobile\r\n"]);
    let bytes = || files.map(|file| fs::read(world.path(file)).unwrap());
    let before = bytes();
    assert_eq!((once(&files).as_str(), bytes() == before), ("", true));
    // What would lose something stays as it is.
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/interchange/openpyxl.xlsx");
    fs::copy(fixture, world.path("more.xlsx")).unwrap();
    let (code, out, err) = run(&mut link(&world, &["more.xlsx"], &["--once"]));
    assert!(code == 1 && out.contains("which would be lost"), "{code}: {out}{err}");
    assert_eq!(fs::read(world.path("more.xlsx")).unwrap(), fs::read(fixture).unwrap());
}

/// A device that takes one object over OBEX.
fn obex_device() -> (String, thread::JoinHandle<Object>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("obex://{}", listener.local_addr().unwrap());
    let device = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut machine, mut framer, mut came) = (ServerMachine::new(600, 10_000, 1), Framer::new(600), None);
        loop {
            let mut bytes = vec![0; framer.missing().unwrap()];
            stream.read_exact(&mut bytes).unwrap();
            let Some(packet) = framer.take(&bytes).unwrap().1 else { continue };
            match machine.received(&packet).unwrap() {
                Turn::Say(said) => stream.write_all(&said).unwrap(),
                Turn::Ask(object) => {
                    came = Some(object);
                    stream.write_all(&machine.answered(Ok(Object::default())).unwrap()).unwrap();
                }
                Turn::Close(said) => {
                    stream.write_all(&said).unwrap();
                    return came.unwrap();
                }
            }
        }
    });
    (uri, device)
}

#[test]
fn r6_a_notification_is_pushed_by_obex() {
    let world = World::new(&[]);
    world.write("phone/cid.vcf", &card("Cid", "TEL:5550003\r\n"));
    world.synced("phone", &["--device-id", "phone"], 0);
    let notify = |push: &str| {
        let mut command =
            world.with_db(&["notify", "phone", "--user", "ada", "--session", "7", "--san", "--push", push]);
        run(command.arg("--out").arg(world.path("alert.san")))
    };
    let (uri, device) = obex_device();
    let (code, _, err) = notify(&uri);
    assert_eq!(code, 0, "{err}");
    let came = device.join().unwrap();
    assert_eq!((came.content_type.as_str(), came.body), (SAN_MEDIA_TYPE, fs::read(world.path("alert.san")).unwrap()));
    // Nobody is there any more.
    let (code, _, err) = notify(&uri);
    assert!(code == 3 && err.contains("obex://"), "{code}: {err}");
    let (code, _, err) = notify("http://127.0.0.1/");
    assert!(code == 2 && err.contains("obex://HOST:PORT"), "{code}: {err}");
}
