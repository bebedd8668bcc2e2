//! Workbooks and word processors' documents as ends.

use super::{Sheet, TABLE, World};
use crate::service::interchange::{Format, Layout, ReadOptions, Target, Writer, read};
use std::io::{Cursor, Read as _, Write as _};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

type Kind = fn(Layout) -> Target;

const KINDS: [(&str, Kind); 3] = [("xlsx", Target::Xlsx), ("ods", Target::Ods), ("docx", Target::Docx)];

/// A document of one kind as another, as a program does that saves it so.
fn saved_as(bytes: &[u8], kind: Kind) -> Vec<u8> {
    let format = (!bytes.starts_with(b"PK")).then_some(Format::Table);
    let reading = read(Cursor::new(bytes), &ReadOptions { format, ..ReadOptions::default() }).unwrap();
    let mut writer = Writer::new(Vec::new(), kind(reading.table.unwrap())).unwrap();
    reading.entries.for_each(|entry| writer.put(&entry.unwrap().card).unwrap());
    writer.finish().unwrap().0
}

fn text(sheet: &Sheet) -> String {
    String::from_utf8(saved_as(sheet.bytes.borrow().as_ref().unwrap(), Target::Table)).unwrap()
}

/// Somebody opens it, and saves it with another text.
fn edit(sheet: &Sheet, kind: Kind, from: &str, to: &str) {
    let text = text(sheet);
    assert!(text.contains(from), "{from}: {text}");
    *sheet.bytes.borrow_mut() = Some(saved_as(text.replace(from, to).as_bytes(), kind));
}

#[test]
fn i8_office_documents_are_ends_and_the_circle_ends() {
    for (name, kind) in KINDS {
        let world = World::new();
        world.write(None, Some("FN:Ann Doe\nN:Doe;Ann;;;\nTEL;TYPE=CELL,PREF:5550001\nPHOTO;ENCODING=b:aGVs"));
        let layout = Layout::parse("own", "[columns]\nName = fn\n").unwrap();
        let mut sheet = Sheet::of(name, kind(layout), Some(saved_as(TABLE.as_bytes(), kind)));
        sheet.turn(&world).unwrap();
        let ann = world.of("Ann Doe").1;
        assert!(ann.contains("PHOTO") && ann.contains("X-COLUMN;X-NAME=Shoe:38"), "{name}: {ann}");
        assert_eq!((world.items().len(), text(&sheet)), (2, TABLE.replace(';', ",")), "{name}");
        // Edited in the document.
        edit(&sheet, kind, "Ann Doe,5550001,38,", "Ann Doe,5550009,39,ann@example.org");
        edit(&sheet, kind, "Ben,5550002,,ben@example.org", "Cid,5550003,,");
        sheet.turn(&world).unwrap();
        let ann = world.of("Ann Doe").1;
        assert!(ann.contains("5550009") && ann.contains("PHOTO") && ann.contains(":39"), "{name}: {ann}");
        assert!(world.items().iter().all(|(_, card)| !card.contains("Ben")), "{name}");
        // By others: one more, one less, and at last none at all.
        world.write(None, Some("FN:Dan\nN:;Dan;;;\nTEL;TYPE=CELL:5550004"));
        world.write(Some(world.of("Cid").0), None);
        sheet.turn(&world).unwrap();
        let wanted = "Name,Mobile,Shoe,E-mail\r\nAnn Doe,5550009,39,ann@example.org\r\nDan,5550004,,\r\n";
        assert_eq!(text(&sheet), wanted, "{name}");
        let (head, bytes, writes) = (world.head(), sheet.bytes.borrow().clone(), *sheet.writes.borrow());
        let turned = sheet.turn(&world).unwrap();
        assert!(turned.is_nothing() && world.head() == head, "{name}: {turned:?}");
        assert!(*sheet.bytes.borrow() == bytes && *sheet.writes.borrow() == writes, "{name}");
        for who in ["Ann Doe", "Dan"] {
            world.write(Some(world.of(who).0), None);
        }
        for _ in 0..2 {
            sheet.turn(&world).unwrap();
            assert_eq!(text(&sheet), "Name,Mobile,Shoe,E-mail\r\n", "{name}");
        }
    }
}

/// A document with a part in other words, or with one more.
fn changed(bytes: &[u8], part: &str, from: &str, to: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let mut found = false;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let (name, mut text) = (entry.name().unwrap().into_owned(), String::new());
        entry.read_to_string(&mut text).unwrap();
        if name == part {
            assert!(text.contains(from), "{part}: {text}");
            (text, found) = (text.replacen(from, to, 1), true);
        }
        out.start_file(&name, SimpleFileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    }
    if !found {
        out.start_file(part, SimpleFileOptions::default()).unwrap();
        out.write_all(to.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn i8_an_office_document_that_would_lose_something_is_not_used() {
    const SHEET: &str = "xl/worksheets/sheet1.xml";
    const WORD: &str = "word/document.xml";
    const CELL: &str = "<table:table-cell office:value-type";
    let table = "Name,Mobile\r\nAnn,5550001\r\n".as_bytes();
    for (at, part, from, to, said) in [
        (0, SHEET, "<is>", "<f>A1</f><is>", "formulas"),
        (0, "xl/worksheets/sheet2.xml", "", "<worksheet/>", "other sheets"),
        (0, "xl/comments1.xml", "", "<comments/>", "comments"),
        (0, "xl/charts/chart1.xml", "", "<chartSpace/>", "charts"),
        (
            0,
            SHEET,
            "<sheetData>",
            "<sheetData><row r=\"1\"><c t=\"str\"><v>Our people</v></c></row>",
            "first row has no names",
        ),
        (1, "content.xml", CELL, &CELL.replace("cell ", "cell table:formula=\"of:=[.A1]\" "), "formulas"),
        (1, "content.xml", "</table:table>", "</table:table><table:table/>", "other sheets"),
        (1, "content.xml", "<text:p>", "<office:annotation/><text:p>", "comments"),
        (1, "Pictures/1.png", "", "x", "pictures"),
        (2, WORD, "<w:tbl>", "<w:p><w:r><w:t>Our people</w:t></w:r></w:p><w:tbl>", "text besides its table"),
        (2, WORD, "</w:tbl>", "</w:tbl><w:tbl/>", "other tables"),
        (2, WORD, "<w:p>", "<w:p><w:del/>", "tracked changes"),
        (
            2,
            "word/header1.xml",
            "",
            "<w:hdr><w:p><w:r><w:t>X Ltd</w:t></w:r></w:p></w:hdr>",
            "above or below its pages",
        ),
        (2, "word/comments.xml", "", "<w:comments/>", "comments"),
    ] {
        let (name, kind) = KINDS[at];
        let plain = saved_as(table, kind);
        let layout = Layout::parse("own", "[columns]\nName = fn\n").unwrap();
        let mut sheet = Sheet::of(name, kind(layout), None);
        sheet.document.take(&plain).unwrap();
        let error = sheet.document.take(&changed(&plain, part, from, to)).unwrap_err().to_string();
        assert!(error.contains(said), "{name} with {said}: {error}");
    }
    // Blocks, as there is no room for a table.
    let blocks = saved_as(b"Name,Mobile\r\nAnn,5550001\r\n", |_| Target::named("docx").unwrap());
    let layout = Layout::parse("own", "[columns]\nName = fn\n").unwrap();
    let error = Sheet::of("word", Target::Docx(layout), None).document.take(&blocks).unwrap_err().to_string();
    assert!(error.contains("text besides its table"), "{error}");
}
