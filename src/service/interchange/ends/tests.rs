use super::{Centre, Choice, Document, EndOptions, Turned, turn};
use crate::auth::{Secret, Verifier};
use crate::message::Timestamp;
use crate::service::interchange::{ReadOptions, Target};
use crate::store::memory::MemoryStore;
use crate::store::replica::ReplicaError;
use crate::store::{AccountNo, BookNo, BookWriter, Draft, Guid, Revision, Store, Verdict};
use std::cell::RefCell;
use std::rc::Rc;

#[cfg(feature = "documents")]
mod office;

const BOOK: BookNo = BookNo::CONTACTS;

struct World {
    store: MemoryStore,
    account: AccountNo,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new([7; 32]);
        let verifier = Verifier::md5("ada", &Secret::new("x".to_owned()));
        let account = store.directory().put_login("ada", &verifier).unwrap();
        Self { store, account }
    }

    fn centre(&self) -> Centre<'_> {
        Centre { store: &self.store, account: self.account, book: BOOK }
    }

    /// Somebody else writes the book: adds a card, puts it in the place of an item, or deletes that.
    fn write(&self, guid: Option<Guid>, lines: Option<&str>) {
        self.store
            .step(self.account, &mut |tx| {
                let row = tx.lock_books(&[BOOK])?.remove(0);
                let old = guid.map(|guid| tx.items(BOOK, &[guid])).transpose()?.map(|mut old| old.remove(0).unwrap());
                let mut writer = BookWriter::new(row, None, Timestamp(1));
                match (&old, lines) {
                    (Some(old), Some(lines)) => drop(writer.replace(old, Draft::of(BOOK, card(lines)))),
                    (None, Some(lines)) => drop(writer.add(Draft::of(BOOK, card(lines)))),
                    (Some(old), None) => drop(writer.delete(old)),
                    (None, None) => {}
                }
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    }

    fn items(&self) -> Vec<(Guid, String)> {
        let mut found = Vec::new();
        self.store
            .look(self.account, &mut |tx| {
                found = tx.changes(BOOK, Revision(0), Revision(i64::MAX), 1000)?;
                Ok(())
            })
            .unwrap();
        let live = found.into_iter().filter(|item| !item.deleted);
        live.map(|item| (item.guid, String::from_utf8_lossy(&item.content).into_owned())).collect()
    }

    fn of(&self, text: &str) -> (Guid, String) {
        self.items().into_iter().find(|(_, card)| card.contains(text)).unwrap_or_else(|| panic!("{text}"))
    }

    fn head(&self) -> i64 {
        let mut head = 0;
        self.store
            .look(self.account, &mut |tx| {
                head = tx.book(BOOK)?.map_or(0, |row| row.head.0);
                Ok(())
            })
            .unwrap();
        head
    }
}

fn card(lines: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

/// A document in a cell.
struct Sheet {
    bytes: Rc<RefCell<Option<Vec<u8>>>>,
    document: Document<'static>,
    options: EndOptions,
    /// How often it was written.
    writes: Rc<RefCell<u32>>,
}

impl Sheet {
    fn new(name: &str, target: &str, text: Option<&str>) -> Self {
        Self::of(name, Target::named(target).unwrap(), text.map(|text| text.as_bytes().to_vec()))
    }

    fn of(name: &str, target: Target, bytes: Option<Vec<u8>>) -> Self {
        let bytes = Rc::new(RefCell::new(bytes));
        let writes = Rc::new(RefCell::new(0));
        let (to, count) = (Rc::clone(&bytes), Rc::clone(&writes));
        let document = Document::new(target, ReadOptions::default(), move |bytes| {
            *to.borrow_mut() = Some(bytes.to_vec());
            *count.borrow_mut() += 1;
            Ok(())
        });
        Self { bytes, document: document.unwrap(), options: EndOptions::new(name), writes }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes.borrow().clone().unwrap_or_default()).unwrap()
    }

    fn put(&self, text: &str) {
        *self.bytes.borrow_mut() = Some(text.as_bytes().to_vec());
    }

    fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from}: {text}");
        self.put(&text.replace(from, to));
    }

    fn turn(&mut self, world: &World) -> Result<Turned, ReplicaError> {
        if let Some(bytes) = self.bytes.borrow().clone() {
            self.document.take(&bytes).unwrap();
        }
        turn(world.centre(), &mut self.document, &self.options, Timestamp(2))
    }
}

const TABLE: &str = "Name;Mobile;Shoe;E-mail\r\nAnn Doe;5550001;38;\r\nBen;5550002;;ben@example.org\r\n";

#[test]
fn i8_what_changes_at_one_end_comes_to_the_others_and_the_circle_ends() {
    let world = World::new();
    world.write(None, Some("FN:Ann Doe\nN:Doe;Ann;;;\nTEL;TYPE=CELL,PREF:5550001\nPHOTO;ENCODING=b:aGVs\nTITLE:Cook"));
    let (mut table, mut cards) = (Sheet::new("table", "csv", Some(TABLE)), Sheet::new("cards", "vcard30", None));
    let round = |table: &mut Sheet, cards: &mut Sheet| {
        for _ in 0..2 {
            table.turn(&world).unwrap();
            cards.turn(&world).unwrap();
        }
        let (head, texts, writes) =
            (world.head(), (table.text(), cards.text()), *table.writes.borrow() + *cards.writes.borrow());
        let quiet = [table.turn(&world).unwrap(), cards.turn(&world).unwrap()];
        assert!(quiet.iter().all(Turned::is_nothing), "{quiet:?}");
        assert_eq!(head, world.head(), "what a turn wrote is no change");
        assert_eq!((texts, writes), ((table.text(), cards.text()), *table.writes.borrow() + *cards.writes.borrow()));
    };
    round(&mut table, &mut cards);
    // What is there is known again, and keeps what the table does not hold; the table keeps its own columns.
    let ann = world.of("Ann Doe").1;
    assert!(ann.contains("PHOTO") && ann.contains("X-COLUMN;X-NAME=Shoe:38") && ann.contains("PREF"), "{ann}");
    assert_eq!((world.items().len(), table.text().as_str()), (2, TABLE));
    assert_eq!(cards.text().matches("BEGIN:VCARD").count(), 2);
    // Edited in the table: a number, a new row, a row less.
    table.edit("Ann Doe;5550001;38;", "Ann Doe;5550009;39;ann@example.org");
    table.edit("Ben;5550002;;ben@example.org", "Cid;5550003;;");
    round(&mut table, &mut cards);
    let ann = world.of("Ann Doe").1;
    assert!(ann.contains("5550009") && !ann.contains("5550001") && ann.contains("PHOTO"), "{ann}");
    assert!(cards.text().contains("FN:Cid") && !cards.text().contains("Ben") && cards.text().contains("5550009"));
    // To the letter.
    table.edit("Ann Doe;", "ANN Doe;");
    round(&mut table, &mut cards);
    assert!(world.of("PHOTO").1.contains("FN:ANN Doe") && cards.text().contains("FN:ANN Doe"));
    table.edit("ANN Doe;", "Ann Doe;");
    round(&mut table, &mut cards);
    // By somebody else, such as a device: a card in place, one less, one more.
    let (guid, ann) = world.of("Ann Doe");
    let lines = ann.lines().filter(|line| !line.contains("VCARD") && !line.starts_with("VERSION"));
    let lines = lines.collect::<Vec<_>>().join("\n").replace("5550009", "5550007");
    world.write(Some(guid), Some(&lines));
    world.write(Some(world.of("Cid").0), None);
    world.write(None, Some("FN:Dan\nN:;Dan;;;\nTEL:5550004"));
    round(&mut table, &mut cards);
    assert!(table.text().contains("Ann Doe;5550007;39;ann@example.org"), "{}", table.text());
    assert!(table.text().contains("Dan") && !table.text().contains("Cid") && cards.text().contains("Dan"));
}

#[test]
fn i8_both_changed_the_same_and_somebody_decides() {
    for (choice, number, title) in [(Choice::Overwrite, "5550008", "Smith"), (Choice::Merge, "5550008", "Captain")] {
        let world = World::new();
        let mut table = Sheet::new("table", "csv", Some("Name,Mobile,Title\r\nAnn,5550001,Cook\r\nBen,5550002,\r\n"));
        table.options = table.options.choice(choice);
        table.turn(&world).unwrap();
        let (guid, _) = world.of("Ann");
        world.write(Some(guid), Some("FN:Ann\nN:;Ann;;;\nTEL;TYPE=CELL:5550001\nTITLE:Captain\nNOTE:meanwhile"));
        table.edit("Ann,5550001,Cook", "Ann,5550008,Smith");
        table.turn(&world).unwrap();
        let ann = world.of("Ann").1;
        assert!([number, title, "meanwhile"].iter().all(|it| ann.contains(it)), "{choice:?}: {ann}");
        assert!(table.text().contains(&format!("Ann,{number},{title}")), "{choice:?}: {}", table.text());
        let mut conflicts = Vec::new();
        world
            .store
            .look(world.account, &mut |tx| {
                conflicts = tx.conflicts(BOOK, Revision(i64::MAX), 10)?;
                Ok(())
            })
            .unwrap();
        assert_eq!(conflicts.len(), 1, "what lost is to be found: {choice:?}");
    }
}

#[test]
fn i8_a_document_that_lost_most_or_cannot_be_read_deletes_nothing() {
    let world = World::new();
    let rows: String = (0..40).map(|at| format!("Ann {at},55500{at:02}\r\n")).collect();
    let mut table = Sheet::new("table", "csv", Some(&format!("Name,Mobile\r\n{rows}")));
    table.turn(&world).unwrap();
    table.put("Name,Mobile\r\nAnn 1,5550001\r\n");
    assert!(matches!(table.turn(&world), Err(ReplicaError::MassDelete { missing: 39, known: 40 })));
    assert_eq!((world.items().len(), table.text().lines().count()), (40, 2));
    for (text, said) in [
        ("Name,Mobile\r\nAnn 1,5550001,what\r\n", "line 2: 3 cells"),
        ("Name,Mobile\r\n\"Ann 1,5550001\r\n", "never closed"),
        ("Ann 1,5550001\r\n", "no names of columns"),
        ("", "empty"),
    ] {
        let error = table.document.take(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        let turned = turn(world.centre(), &mut table.document, &table.options, Timestamp(3));
        assert!(matches!(turned, Err(ReplicaError::Book(_))), "{turned:?}");
    }
    assert_eq!(world.items().len(), 40);
    table.options = table.options.allow_mass_delete(true);
    table.turn(&world).unwrap();
    assert_eq!(world.items().len(), 1);
    for target in ["text", "pdf", "docx"].into_iter().filter_map(Target::named) {
        assert!(Document::new(target, ReadOptions::default(), |_| Ok(())).is_err(), "not read as it was written");
    }
}

#[test]
fn i8_a_document_that_somebody_wrote_meanwhile_is_not_overwritten() {
    let world = World::new();
    world.write(None, Some("FN:Ann\nTEL:5550001"));
    let refuse = |_: &[u8]| Err("it was written meanwhile".to_owned());
    let mut document = Document::new(Target::named("csv").unwrap(), ReadOptions::default(), refuse).unwrap();
    document.take(b"Name,Phone\r\nBen,5550002\r\n").unwrap();
    let options = EndOptions::new("table");
    let turned = turn(world.centre(), &mut document, &options, Timestamp(2));
    assert!(matches!(turned, Err(ReplicaError::Book(text)) if text.contains("meanwhile")));
    assert_eq!(world.items().len(), 2, "what was in it came in");
}

#[test]
fn i8_a_document_is_written_once_for_all_that_a_turn_brings() {
    let world = World::new();
    (0..450).for_each(|at| world.write(None, Some(&format!("FN:Ann {at}\nTEL:555{at:04}"))));
    let mut table = Sheet::new("table", "phone", None);
    table.turn(&world).unwrap();
    assert_eq!((*table.writes.borrow(), table.text().lines().count()), (1, 451));
    // What could not be written was not delivered: the next turn brings all of it, and nothing is taken for deleted.
    let before = world.items();
    let (first, room) = (before[0].0, Rc::new(RefCell::new(false)));
    let (written, has_room) = (Rc::new(RefCell::new(Vec::new())), Rc::clone(&room));
    let to = Rc::clone(&written);
    let mut document = Document::new(Target::named("vcard30").unwrap(), ReadOptions::default(), move |bytes| {
        *to.borrow_mut() = bytes.to_vec();
        if *has_room.borrow() { Ok(()) } else { Err("the disk is full".to_owned()) }
    });
    let document = document.as_mut().unwrap();
    let options = EndOptions::new("cards");
    let failed = turn(world.centre(), document, &options, Timestamp(2));
    assert!(matches!(failed, Err(ReplicaError::Book(text)) if text.contains("disk is full")));
    *room.borrow_mut() = true;
    world.write(Some(first), None);
    let turned = turn(world.centre(), document, &options, Timestamp(3)).unwrap();
    assert_eq!((turned.delivered.added, world.items().len()), (449, 449), "{turned:?}");
    assert_eq!(String::from_utf8_lossy(&written.borrow()).matches("BEGIN:VCARD").count(), 449);
}

#[test]
fn i8_every_kind_of_document_comes_to_rest() {
    let kinds = ["csv", "outlook", "google", "phone", "tsv", "vcard21", "vcard40", "jcard", "ldif", "xlsx", "ods"];
    for kind in kinds.into_iter().filter(|kind| Target::named(kind).is_some()) {
        let world = World::new();
        for lines in [
            "FN:Ann Doe\nN:Doe;Ann;;;\nTEL;TYPE=CELL:+46 70 1740601\nTEL;TYPE=CELL:5550001\nBDAY:1990-02-03\nPHOTO;ENCODING=b:aGVs",
            "FN:王小明\nN:王;小明;;;\nTEL;TYPE=HOME:010-6275 1234\nADR;TYPE=HOME:;;长安街;北京;;;\nNOTE:a\\nb\nCATEGORIES:x,y",
            "ORG:X\\, Y\nTEL:5550003\nitem1.TEL:5550004\nitem1.X-ABLabel:Boat",
        ] {
            world.write(None, Some(lines));
        }
        let (items, head) = (world.items(), world.head());
        let mut sheet = Sheet::new("doc", kind, None);
        for round in 0..3 {
            let turned = sheet.turn(&world).unwrap();
            assert_eq!(turned.is_nothing(), round > 0, "{kind}, round {round}: {turned:?}");
            assert_eq!((world.head(), &world.items()), (head, &items), "{kind}, round {round}");
        }
    }
}
