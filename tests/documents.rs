//! Contacts from and to the documents of office programs, through the program (missions I1, I3, I6, I7). What other programs make of ours is
//! `tests/documents.py`.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "common/program.rs"]
mod program;

use program::{World, card, run, syncml};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::PathBuf;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/interchange").join(name)
}

/// Converts a file, and gives back exit code, output and what was written.
fn convert(world: &World, from: PathBuf, to: &str, more: &[&str]) -> (i32, String, String) {
    run(syncml().arg("convert").arg(from).arg("--to").arg(world.path(to)).args(more))
}

/// The columns of the fixtures that matter, as text.
const FIELDS: &str = "fn,tel.mobile,tel.work,email,org.name,x-qq,adr.code,bday,note";

fn table_of(world: &World, file: &str, more: &[&str]) -> String {
    let to = format!("{file}.csv");
    let (code, out, err) = convert(world, fixture(file), &to, &[&["--fields", FIELDS][..], more].concat());
    assert_eq!(code, 0, "{file}: {out}{err}");
    world.read(&to).trim_start_matches('\u{feff}').replace("\r\n", "\n")
}

#[test]
fn i1_documents_of_other_programs_are_read() {
    const WANTED: &str = "Name,Mobile,Work Phone,E-mail,Organization,QQ,Postal Code,Birthday,Note\n\
        Ann Doe,13800138000,030 1234567,ann@example.org,\"X, \"\"Y\"\" & <Z>\",,01234,1990-02-03,\"first line\nsecond line\"\n\
        王小明,13900139000,,,某公司,123456789012345,01234,,two  spaces\n\
        李雷,004930555000,555-0001,li@example.org,,,,,\"'=1+1\"\n";
    let world = World::new(&[]);
    for file in ["openpyxl.xlsx", "libreoffice.xlsx", "libreoffice.ods"] {
        assert_eq!(table_of(&world, file, &[]), WANTED, "{file}");
    }
    // Of word processors' tables what stands there is all there is.
    let typed = WANTED.replace("123456789012345,01234", "123456789012345,1234").replace("555-0001", "5550001");
    for file in ["python-docx-table.docx", "libreoffice.docx"] {
        assert_eq!(table_of(&world, file, &[]), typed, "{file}");
    }
    let text = table_of(&world, "python-docx-text.docx", &[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "Ann Doe,13800138000,030 1234567,ann@example.org,\"X, \"\"Y\"\" & <Z>\",,,,",
            "王小明,13900139000,,,某公司,123456789012345,,,",
            "李雷,004930555000,5550001,li@example.org,,,,,",
        ]
    );
}

#[test]
fn i1_a_sheet_is_chosen_by_its_name() {
    let world = World::new(&[]);
    for file in ["openpyxl.xlsx", "libreoffice.xlsx", "libreoffice.ods"] {
        let more = |sheet| ["--from-sheet", sheet, "--fields", "fn,tel"];
        for (sheet, wanted) in [("other", "Ben,5550009"), ("Hidden", "Nobody,5550000")] {
            let to = format!("{sheet}-{file}.csv");
            let (code, _, err) = convert(&world, fixture(file), &to, &more(sheet));
            assert_eq!((code, world.read(&to).contains(wanted)), (0, true), "{file}: {err}");
        }
        let (code, _, err) = convert(&world, fixture(file), &format!("none-{file}.csv"), &more("Nowhere"));
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("there is no sheet \"Nowhere\"; there are \"Hidden\", \"People\", \"Other\""), "{err}");
    }
}

#[test]
fn i1_a_document_is_known_by_what_it_is() {
    let world = World::new(&[]);
    for (file, ending) in [("openpyxl.xlsx", "xlsm"), ("libreoffice.ods", "bin"), ("libreoffice.docx", "tmp")] {
        let copy = world.path(&format!("copy.{ending}"));
        fs::copy(fixture(file), &copy).unwrap();
        let (code, out, err) = convert(&world, copy, &format!("{ending}.csv"), &[]);
        assert_eq!((code, out.starts_with("3 written")), (0, true), "{file}: {out}{err}");
    }
    for (name, content, said) in [
        ("a.xls", &b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1rest"[..], "save it as .xlsx"),
        ("a.xlsx", b"Name,Phone\nAnn,5550001\n", "it is no xlsx document"),
        ("b.xlsx", b"PK\x03\x04", "damaged"),
        ("c.xlsx", b"", "it is no xlsx document"),
    ] {
        fs::write(world.path(name), content).unwrap();
        let (code, _, err) = convert(&world, world.path(name), &format!("{name}.csv"), &[]);
        assert_eq!((code, err.contains(said)), (1, true), "{name}: {err}");
    }
    let (code, _, err) = convert(&world, fixture("libreoffice.ods"), "other.csv", &["--from", "docx"]);
    assert_eq!((code, err.contains("it is ods, and not docx")), (1, true), "{err}");
}

/// A document with one part in other words.
fn changed(file: &str, part: &str, change: impl Fn(&mut dyn std::io::Write, String)) -> Vec<u8> {
    let mut from = ZipArchive::new(File::open(fixture(file)).unwrap()).unwrap();
    let mut out = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for at in 0..from.len() {
        let mut entry = from.by_index(at).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        out.start_file(&name, SimpleFileOptions::default()).unwrap();
        match name == part {
            true => change(&mut out, String::from_utf8(bytes).unwrap()),
            false => out.write_all(&bytes).unwrap(),
        }
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn i1_a_document_that_would_fill_memory_is_refused() {
    let world = World::new(&[]);
    let sheet = "xl/worksheets/sheet2.xml";
    let repeat = |out: &mut dyn std::io::Write, text: &str, times: usize| {
        let many = text.repeat(1 << 12);
        (0..times >> 12).for_each(|_| out.write_all(many.as_bytes()).unwrap());
    };
    let refused = |name: &str, bytes: Vec<u8>, said: &str| {
        assert!(bytes.len() < 4 << 20, "{name}: {}", bytes.len());
        fs::write(world.path(name), bytes).unwrap();
        let (code, out, err) = convert(&world, world.path(name), &format!("{name}.csv"), &[]);
        assert_eq!((code, err.contains(said)), (1, true), "{name}: {out}{err}");
    };
    let bomb = changed("openpyxl.xlsx", sheet, |out, _| {
        out.write_all(b"<worksheet><sheetData><row r=\"1\"><c t=\"inlineStr\"><is><t>").unwrap();
        repeat(out, "spaces  ", 1 << 22);
    });
    refused("text.xlsx", bomb, "too long");
    let shared = changed("libreoffice.xlsx", "xl/sharedStrings.xml", |out, text| {
        out.write_all(&text.as_bytes()[..text.len() - 6]).unwrap();
        repeat(out, "<si><t>12345678</t></si>", 1 << 22);
        out.write_all(b"</sst>").unwrap();
    });
    refused("shared.xlsx", shared, "more than 67108864 bytes");
    let rows = changed("libreoffice.ods", "content.xml", |out, text| {
        let again = "<table:table-row table:number-rows-repeated=\"1000000000\"><table:table-cell \
                     table:number-columns-repeated=\"1000000000\" office:value-type=\"string\"><text:p>x</text:p></table:table-cell></table:table-row>";
        let at = text.rfind("<table:table-row").unwrap();
        out.write_all((text[..at].to_owned() + again + &text[at..]).as_bytes()).unwrap();
    });
    fs::write(world.path("rows.ods"), rows).unwrap();
    let (code, out, err) = convert(&world, world.path("rows.ods"), "rows.csv", &["--from-sheet", "Other"]);
    assert_eq!((code, err.contains("more than 1024 columns")), (1, true), "{out}{err}");
    for (name, file, part, from, to, said) in [
        (
            "entity.xlsx",
            "openpyxl.xlsx",
            sheet,
            "<worksheet",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><worksheet",
            "document type of its own",
        ),
        ("entity.ods", "libreoffice.ods", "content.xml", "Ann Doe", "&secret;", "an entity that is not known"),
        ("broken.xlsx", "openpyxl.xlsx", sheet, "</sheetData>", "</sheet>", "not well-formed"),
        ("cut.docx", "libreoffice.docx", "word/document.xml", "</w:document>", "", "ends within an element"),
        (
            "gone.xlsx",
            "openpyxl.xlsx",
            "xl/_rels/workbook.xml.rels",
            "worksheets/sheet2",
            "worksheets/sheet9",
            "no part xl/worksheets/sheet9.xml",
        ),
    ] {
        let bytes = changed(file, part, |out, text| {
            assert!(text.contains(from), "{name}");
            out.write_all(text.replacen(from, to, 1).as_bytes()).unwrap();
        });
        refused(name, bytes, said);
    }
}

#[test]
fn i7_a_book_goes_into_documents_and_comes_back_the_same() {
    let world = World::new(&[]);
    let odd = "TEL;TYPE=CELL:+46 70 1740601\r\nTEL;TYPE=CELL:00123\r\nTITLE:=1+1\r\nNOTE:one\\ntwo three_x0041_\r\n";
    world.write(
        "a.vcf",
        &(card("Ann Doe", odd)
            + &card(
                "王小明",
                "TEL;TYPE=CELL:13800138000\r\nADR;TYPE=HOME:;;长安街 1;北京;;100000;中国\r\nBDAY:1990-02-03\r\n",
            )),
    );
    let import = |file: PathBuf| {
        let mut command = world.with_db(&["import", "--user", "ada", "--json", "--on-conflict", "overwrite"]);
        let (code, out, err) = run(command.arg(&file));
        assert_eq!(code, 0, "{file:?}: {out}{err}");
        let told: Value = serde_json::from_str(&out).unwrap();
        ["added", "known"].map(|what| told[what].as_u64().unwrap())
    };
    assert_eq!(import(world.path("a.vcf")), [2, 0]);
    for to in ["out.xlsx", "out.ods", "out.docx"] {
        let (code, out, err) = run(world.with_db(&["export", "--user", "ada"]).arg("--to").arg(world.path(to)));
        assert_eq!((code, out.contains("left out")), (0, false), "{to}: {out}{err}");
        assert_eq!(import(world.path(to)), [0, 2], "{to}");
    }
    // In the columns of a layout, what is missing blank; a word processor has a table if there is room for it.
    for to in ["table.docx", "table.xlsx", "table.ods"] {
        let (code, _, err) =
            convert(&world, world.path("a.vcf"), to, &["--fields", "tel.mobile,fn,bday", "--language", "zh"]);
        assert_eq!(code, 0, "{err}");
        let (code, _, err) = convert(&world, world.path(to), &format!("{to}.csv"), &["--fields", "tel.mobile,fn,bday"]);
        assert_eq!(code, 0, "{err}");
        let table = world.read(&format!("{to}.csv"));
        assert_eq!(
            table, "\u{feff}Mobile,Name,Birthday\r\n+46 70 1740601,Ann Doe,\r\n13800138000,王小明,1990-02-03\r\n",
            "{to}"
        );
    }
    // What no document has a place for is told.
    world.write("b.vcf", &card("Ann", "TEL:1\r\nNOTE:a\u{1}b\r\nPHOTO;ENCODING=b:aGVs\r\n"));
    let (code, out, err) = convert(&world, world.path("b.vcf"), "b.xlsx", &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("PHOTO (1), control characters (1)"), "{out}");
}

#[test]
fn i7_a_list_to_print_has_its_fonts_in_it() {
    let world = World::new(&[]);
    let cards: Vec<String> = (0..120)
        .map(|at| card(&format!("Ann{at} 王小明"), "TEL;TYPE=CELL:13800138000\r\nEMAIL:ann@example.org\r\n"))
        .collect();
    world.write("a.vcf", &cards.concat());
    let (code, out, err) = convert(&world, world.path("a.vcf"), "a.pdf", &[]);
    if code == 7 && err.contains("no font has") {
        // A machine without fonts; what was begun is gone.
        assert!(std::env::var_os("SYNCML_TEST_REQUIRE_FONTS").is_none(), "no font has Chinese: {err}");
        assert!(err.contains("fonts-noto-cjk") && !world.path("a.pdf").exists(), "{err}");
        return;
    }
    assert_eq!((code, out.contains("120 written")), (0, true), "{err}");
    let pdf = fs::read(world.path("a.pdf")).unwrap();
    let has = |what: &str| pdf.windows(what.len()).any(|window| window == what.as_bytes());
    assert!(pdf.starts_with(b"%PDF-") && (has("/FontFile2") || has("/FontFile3")) && has("/ToUnicode"));
    // Only the shapes that are used: a font with Chinese alone has millions of bytes.
    assert!(pdf.len() < 200_000, "{}", pdf.len());
    // Nobody has a shape for a character that is none.
    world.write("b.vcf", &card("Ann \u{10ffff}", "TEL:1\r\n"));
    let (code, _, err) = convert(&world, world.path("b.vcf"), "b.pdf", &[]);
    assert_eq!((code, err.contains("no font has") && err.contains("U+10FFFF")), (7, true), "{err}");
    assert!(!world.path("b.pdf").exists());
    for (args, exit, said) in [
        (&["--layout", "generic"][..], 7, "a page has room for 12 columns"),
        (&["--font", "Cargo.toml"], 2, "no font that can be put into a document"),
        (&["--font", "no-such-file"], 7, "cannot be read"),
    ] {
        let (code, _, err) = convert(&world, world.path("a.vcf"), "c.pdf", args);
        assert_eq!((code, err.contains(said)), (exit, true), "{args:?}: {err}");
    }
}
