//! Whole files, read and written.

use super::{Layout, ReadOptions, Target, Writer, read};
use crate::contact::card::{Card, Charset};
use crate::contact::identity::fingerprint;
use std::io::Cursor;

fn contacts(bytes: &[u8], options: &ReadOptions) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut cards, mut wrong) = (Vec::new(), Vec::new());
    match read(Cursor::new(bytes), options) {
        Err(error) => wrong.push(error.to_string()),
        Ok(reading) => {
            for entry in reading.entries {
                match entry {
                    Ok(entry) => cards.push(entry.card),
                    Err(error) => wrong.push(error.to_string()),
                }
            }
        }
    }
    (cards, wrong)
}

fn table() -> ReadOptions {
    ReadOptions { format: Some(super::Format::Table), ..ReadOptions::default() }
}

fn written(cards: &[Vec<u8>], target: Target) -> (Vec<u8>, Vec<String>) {
    let mut writer = Writer::new(Vec::new(), target).unwrap();
    cards.iter().for_each(|card| writer.put(card).unwrap());
    let (bytes, written) = writer.finish().unwrap();
    assert_eq!(written.contacts, cards.len() as u64);
    (bytes, written.left_out.into_iter().map(|(what, count)| format!("{what}*{count}")).collect())
}

fn names(cards: &[Vec<u8>]) -> Vec<String> {
    cards.iter().map(|card| Card::parse(card).unwrap().text("FN").unwrap_or_default().into_owned()).collect()
}

/// Names, kinds, several numbers, an address, long and odd texts.
fn book() -> Vec<Vec<u8>> {
    let card = |lines: &str| format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}END:VCARD\r\n", lines.replace('\n', "\r\n"));
    [
        "FN:Ann Doe\nN:Doe;Ann;;;\nTEL;TYPE=CELL:+46 70 1740601\nTEL;TYPE=WORK:030 1\nEMAIL:ann@example.org\nORG:X\\, Y;Sales\nBDAY:1990-02-03\n",
        "FN:王小明\nN:王;小明;;;\nTEL;TYPE=CELL:13800138000\nADR;TYPE=HOME:;;长安街 1;北京;;100000;中国\nNOTE:第一行\\n第二行\n",
        "FN:Zoë \\\"Z\\\" Müller\nN:Müller;Zoë;;;\nTEL;TYPE=HOME:030 2\nTITLE:=1+1\nCATEGORIES:a,b\nURL:https://example.org/\n",
    ]
    .iter()
    .map(|lines| card(lines).into_bytes())
    .collect()
}

#[test]
fn i3_what_is_written_is_read_as_the_same() {
    let book = book();
    let prints =
        |cards: &[Vec<u8>]| cards.iter().map(|card| fingerprint(&Card::parse(card).unwrap())).collect::<Vec<_>>();
    for name in ["vcard21", "vcard30", "vcard40", "jcard", "csv", "tsv"] {
        let (bytes, left) = written(&book, Target::named(name).unwrap());
        assert_eq!(left, Vec::<String>::new(), "{name}");
        let options = ReadOptions { format: super::Format::named(name), ..ReadOptions::default() };
        let (cards, wrong) = contacts(&bytes, &options);
        assert_eq!(wrong, Vec::<String>::new(), "{name}");
        let texts =
            |cards: &[Vec<u8>]| cards.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect::<Vec<_>>();
        assert_eq!(prints(&cards), prints(&book), "{name}: {:#?}", texts(&cards));
    }
    // In every charset that has the characters, and with every delimiter.
    for (charset, delimiter) in [("utf-16le", ','), ("gb18030", ';'), ("utf-8", '\t'), ("utf-16be", '|')] {
        let layout = Layout::named("google").unwrap().with_charset(Charset::for_label(charset).unwrap());
        let (bytes, _) = written(&book, Target::Table(layout.with_delimiter(delimiter).unwrap()));
        let (cards, wrong) = contacts(&bytes, &table());
        assert_eq!((names(&cards), wrong), (names(&book), vec![]), "{charset}");
    }
}

#[test]
fn i3_other_targets_say_what_they_leave_out() {
    let book = book();
    for (name, wanted) in [
        ("outlook", &["FN*1"][..]),
        ("text", &[]),
        ("phone", &["ADR city*1", "ADR code*1", "ADR country*1", "CATEGORIES*1", "N*3", "ORG unit*1", "URL*1"]),
        ("ldif", &["CATEGORIES*1"]),
    ] {
        let (bytes, left) = written(&book, Target::named(name).unwrap());
        assert_eq!(left, wanted, "{name}");
        let options = match name {
            "outlook" | "phone" => table(),
            _ => ReadOptions { format: super::Format::named(name), ..ReadOptions::default() },
        };
        let (cards, wrong) = contacts(&bytes, &options);
        assert_eq!((cards.len(), wrong), (3, vec![]), "{name}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn i1_files_of_other_programs() {
    for (what, bytes, format, wanted) in [
        (
            "Thunderbird",
            "First Name,Last Name,Display Name,Primary Email\nAnn,Doe,Ann Doe,ann@example.org\n",
            "csv",
            &["Ann Doe"][..],
        ),
        ("Chinese, with semicolons", "姓名;手机;公司\n王小明;13800138000;某公司\n", "csv", &["王小明"]),
        ("no header", "Ann Doe,+46 70 1740601\nBen,0301234567\n", "csv", &["Ann Doe", "Ben"]),
        ("two lines in a cell", "Name,Phone,Note\nAnn,1234567,\"a\nb\"\nBen,7654321,\n", "csv", &["Ann", "Ben"]),
        (
            "LDIF",
            "dn: cn=Ann\ncn: Ann\nmail: ann@example.org\ntelephoneNumber: 030\n  123\n\n# c\ndn:: Y249546L\ncn:: 546L5bCP5piO\nmobile: 138\n",
            "ldif",
            &["Ann", "王小明"],
        ),
        (
            "a page",
            "<html><h1>People</h1><table><tr><th>Name</th><th>Phone</th></tr>\n<tr><td><b>Ann</b> &amp; Co</td><td>030&nbsp;1</td></tr></table>",
            "html",
            &["Ann & Co"],
        ),
        ("a page without a table", "<p>Ann: 030 1234567</p>", "html", &["Ann"]),
        (
            "jCard",
            r#"["vcard",[["version",{},"text","4.0"],["fn",{},"text","Ann"],["bday",{},"date","--02-03"],["tel",{"type":["home","cell"]},"uri","tel:+1"]]]"#,
            "jcard",
            &["Ann"],
        ),
        (
            "cards with junk between",
            "junk\nBEGIN:VCARD\nFN:Ann\nEND:VCARD\n\nBEGIN:VCARD\nFN:Ben\nEND:VCARD",
            "vcf",
            &["Ann", "Ben"],
        ),
        ("old Mac cards", "BEGIN:VCARD\rFN:Ann\rEND:VCARD\rBEGIN:VCARD\rFN:Ben\rEND:VCARD\r", "vcf", &["Ann", "Ben"]),
    ] {
        let options = ReadOptions { format: super::Format::named(format), ..ReadOptions::default() };
        let (cards, wrong) = contacts(bytes.as_bytes(), &options);
        assert_eq!((names(&cards), wrong), (wanted.iter().map(|it| (*it).to_owned()).collect(), vec![]), "{what}");
    }
}

#[test]
fn i1_bad_records_are_named_and_the_others_read() {
    for (bytes, format, good, wanted) in [
        (
            "Name,Phone\nAnn,1,2\nBen,2\n,\n ,\"\"\nCid,3\n",
            "csv",
            2,
            &["line 2: 3 cells where there are 2 columns"][..],
        ),
        ("Name,Phone,Size\nAnn,1,\n,,43\n", "csv", 1, &["line 3: it says neither who it is nor how to call"]),
        (
            "Name,Phone\n\"Ann,1\nBen,2\n",
            "csv",
            0,
            &["line 2: a quotation mark is never closed; nothing after it can be read"],
        ),
        ("colour,size\nred,43\n", "csv", 0, &["its first row names no column"]),
        ("", "csv", 0, &["the table is empty"]),
        ("BEGIN:VCARD\nFN:A\nEND:VCARD\nBEGIN:VCARD\nFN:B\n", "vcf", 1, &["line 4: the last card has no END:VCARD"]),
        ("nothing", "vcf", 0, &["it is not a vCard: there is no line BEGIN:VCARD"]),
        ("{", "jcard", 0, &["line 1: it is no JSON (Eof error); nothing after it can be read"]),
        (r#"[["vcard",[["fn",{},"text","A"]]],["vcard",7]]"#, "jcard", 1, &["line 1: it is no jCard"]),
        ("dn: a\ncn:: %%\n\ndn: b\ncn: B\nmail: b@example.org\n", "ldif", 1, &["the value of cn is no base64"]),
        ("<p>nothing</p>", "html", 0, &["the page has no table of contacts"]),
    ] {
        let options = ReadOptions { format: super::Format::named(format), ..ReadOptions::default() };
        let (cards, wrong) = contacts(bytes.as_bytes(), &options);
        assert_eq!((cards.len(), wrong.len()), (good, wanted.len()), "{bytes:?}: {wrong:?}");
        for (wrong, wanted) in wrong.iter().zip(wanted) {
            assert!(wrong.contains(wanted), "{bytes:?}: {wrong}");
        }
    }
}

#[test]
fn i3_columns_that_nobody_knows_are_kept() {
    let (cards, _) = contacts("Name,Phone,鞋码\nAnn,1,43\n".as_bytes(), &table());
    let card = Card::parse(&cards[0]).unwrap();
    let kept = card.get(super::COLUMN).unwrap();
    assert_eq!((kept.param(super::COLUMN_NAME).as_deref(), &*kept.text()), (Some("鞋码"), "43"));
    let (_, left) = written(&cards, Target::named("csv").unwrap());
    assert_eq!(left, ["X-COLUMN 鞋码*1"]);
}

#[cfg(feature = "documents")]
mod documents {
    use super::{ReadOptions, book, contacts, fingerprint, names, written};
    use crate::contact::card::Card;
    use crate::service::interchange::Target;
    use std::io::{Cursor, Read as _, Write as _};
    use zip::write::SimpleFileOptions;

    const FILES: [&[u8]; 6] = [
        include_bytes!("../../../fixtures/interchange/openpyxl.xlsx"),
        include_bytes!("../../../fixtures/interchange/libreoffice.xlsx"),
        include_bytes!("../../../fixtures/interchange/libreoffice.ods"),
        include_bytes!("../../../fixtures/interchange/python-docx-table.docx"),
        include_bytes!("../../../fixtures/interchange/python-docx-text.docx"),
        include_bytes!("../../../fixtures/interchange/libreoffice.docx"),
    ];

    #[test]
    fn i7_documents_are_read_as_what_was_written() {
        let book = book();
        let prints =
            |cards: &[Vec<u8>]| cards.iter().map(|card| fingerprint(&Card::parse(card).unwrap())).collect::<Vec<_>>();
        for name in ["xlsx", "ods", "docx"] {
            let (bytes, left) = written(&book, Target::named(name).unwrap());
            assert_eq!(left, Vec::<String>::new(), "{name}");
            let (cards, wrong) = contacts(&bytes, &ReadOptions::default());
            assert_eq!(wrong, Vec::<String>::new(), "{name}");
            let texts: Vec<_> = cards.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
            assert_eq!((names(&cards), prints(&cards)), (names(&book), prints(&book)), "{name}: {texts:#?}");
        }
    }

    /// Whatever becomes of a document on its way, it is read, or what is wrong is said.
    #[test]
    fn i1_damaged_documents_are_refused_or_read() {
        let mut random = random();
        for file in FILES {
            assert_eq!(contacts(file, &ReadOptions::default()).0.len(), 3);
            for _ in 0..60 {
                drop(contacts(&file[..random(file.len())], &ReadOptions::default()));
            }
            for round in 0..120 {
                let mut bytes = file.to_vec();
                for _ in 0..=round % 4 {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
                drop(contacts(&bytes, &ReadOptions::default()));
            }
        }
    }

    /// The same of the XML within, which sums do not protect.
    #[test]
    fn i1_damaged_parts_are_refused_or_read() {
        let mut random = random();
        for file in FILES {
            let parts = unpacked(file);
            for round in 0..100 {
                let mut parts = parts.clone();
                let at = random(parts.len());
                let bytes = &mut parts[at].1;
                for _ in 0..=round % 3 {
                    let place = random(bytes.len().max(1));
                    match (round % 5, bytes.get_mut(place)) {
                        (0, _) => bytes.truncate(place),
                        (1, Some(_)) => drop(bytes.remove(place)),
                        (_, Some(byte)) => *byte = b"<>&/\"='9;x\xff"[random(11)],
                        (_, None) => {}
                    }
                }
                drop(contacts(&packed(&parts), &ReadOptions::default()));
            }
        }
    }

    fn unpacked(file: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
        let part = |at| {
            let mut entry = archive.by_index(at).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().unwrap().into_owned(), bytes)
        };
        (0..zip::ZipArchive::new(Cursor::new(file)).unwrap().len()).map(part).collect()
    }

    fn packed(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in parts {
            out.start_file(name.as_str(), stored).unwrap();
            out.write_all(bytes).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    fn random() -> impl FnMut(usize) -> usize {
        let mut seed = 1_u64;
        move |below| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        }
    }
}
