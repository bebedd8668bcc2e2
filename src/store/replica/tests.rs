//! An own book in memory, kept in step over the memory store; the "others" write through [`BookWriter`].

use super::*;
use crate::auth::Verifier;
use crate::store::memory::MemoryStore;
use crate::store::{BookWriter, Draft, ItemRow, Winner};
use std::collections::BTreeMap;

const BOOK: BookNo = BookNo::CONTACTS;
const NOW: Timestamp = Timestamp(0);

/// A book whose user can be told to act just before an operation, and whose power can fail after some.
#[derive(Default)]
struct Shelf {
    entries: BTreeMap<String, Vec<u8>>,
    unreadable: Vec<String>,
    power: Option<usize>,
    user: Option<(String, Vec<u8>)>,
    reads: usize,
    /// Versions that were asked for.
    looks: usize,
}

impl Shelf {
    fn of(entries: &[(&str, &str)]) -> Self {
        let entries = entries.iter().map(|(id, text)| ((*id).to_owned(), card(text))).collect();
        Self { entries, ..Self::default() }
    }

    fn put(&mut self, id: &str, text: &str) {
        self.entries.insert(id.to_owned(), card(text));
    }

    fn entry(&self, id: &str) -> Entry {
        Entry { id: id.to_owned(), version: version(&self.entries[id]) }
    }

    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.entries.values().map(|content| text(content)).collect();
        texts.sort();
        texts
    }
}

fn version(content: &[u8]) -> Vec<u8> {
    digest(content).to_vec()
}

impl Book for Shelf {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        self.looks += self.entries.len();
        Ok(self.entries.keys().map(|id| self.entry(id)).collect())
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.looks += ids.len();
        Ok(ids.iter().map(|id| self.entries.get(*id).map(|content| version(content))).collect())
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        self.reads += 1;
        if self.unreadable.iter().any(|other| other == id) {
            return Err("it is torn".to_owned());
        }
        Ok(self.entries.get(id).cloned())
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        let mut done = Vec::new();
        for op in ops {
            if self.power == Some(0) {
                return Err("the power failed".to_owned());
            }
            if let Some((id, content)) = self.user.take() {
                self.entries.insert(id, content);
            }
            let unchanged =
                |shelf: &Self, id: &str, expected: &[u8]| shelf.entries.get(id).is_some_and(|c| version(c) == expected);
            done.push(match *op {
                BookOp::Add { key, content } => {
                    let id = format!("new-{key}-{}", self.entries.len());
                    self.entries.insert(id.clone(), content.to_vec());
                    Applied::Done(self.entry(&id))
                }
                BookOp::Replace { id, expected, .. } | BookOp::Delete { id, expected }
                    if !unchanged(self, id, expected) =>
                {
                    Applied::Changed
                }
                BookOp::Replace { id, content, .. } => {
                    self.entries.insert(id.to_owned(), content.to_vec());
                    Applied::Done(self.entry(id))
                }
                BookOp::Delete { id, .. } => {
                    let was = self.entry(id);
                    self.entries.remove(id);
                    Applied::Done(was)
                }
            });
            self.power = self.power.map(|left| left - 1);
        }
        Ok(done)
    }
}

/// A card whose text is `name` or `name|more`, where more are further lines.
fn card(text: &str) -> Vec<u8> {
    let (name, more) = text.split_once('|').unwrap_or((text, ""));
    let more: String = more.split('|').filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:;{name};;;\r\nFN:{name}\r\n{more}END:VCARD\r\n").into_bytes()
}

/// The reverse of [`card`].
fn text(content: &[u8]) -> String {
    let text = String::from_utf8(content.to_vec()).unwrap();
    let lines: Vec<_> = text.lines().skip(3).filter(|line| *line != "END:VCARD").collect();
    lines.join("|").replacen("FN:", "", 1)
}

struct World {
    store: MemoryStore,
    account: AccountNo,
    shelf: Shelf,
}

impl World {
    fn new(entries: &[(&str, &str)]) -> Self {
        let store = MemoryStore::new([7; 32]);
        let account = store.directory().put_login("me", &Verifier::Md5([0; 16])).unwrap();
        let mut world = Self { store, account, shelf: Shelf::of(entries) };
        world.collect();
        world
    }

    fn try_collect(&mut self, options: &ReplicaOptions) -> Result<ReplicaReport, ReplicaError> {
        collect(&self.store, self.account, BOOK, &mut self.shelf, options, NOW)
    }

    fn collect(&mut self) -> ReplicaReport {
        self.try_collect(&ReplicaOptions::default()).unwrap()
    }

    fn try_some(&mut self, ids: &[&str]) -> Result<ReplicaReport, ReplicaError> {
        collect_some(&self.store, self.account, BOOK, &mut self.shelf, ids, &ReplicaOptions::default(), NOW)
    }

    fn try_deliver(&mut self) -> Result<ReplicaReport, ReplicaError> {
        deliver(&self.store, self.account, BOOK, &mut self.shelf, &ReplicaOptions::default(), NOW)
    }

    fn deliver(&mut self) -> ReplicaReport {
        self.try_deliver().unwrap()
    }

    /// Others write: the item whose text starts with `old` becomes `new`; empty texts stand for no item.
    fn others(&self, old: &str, new: &str) {
        let old = self.live().into_iter().find(|item| !old.is_empty() && text(&item.content).starts_with(old));
        self.store
            .step(self.account, &mut |tx| {
                let row = tx.lock_books(&[BOOK])?.pop().unwrap();
                let mut writer = BookWriter::new(row, None, NOW);
                match (&old, new) {
                    (Some(old), "") => drop(writer.delete(old)),
                    (Some(old), new) => drop(writer.replace(old, Draft::of(BOOK, card(new)))),
                    (None, new) => drop(writer.add(Draft::of(BOOK, card(new)))),
                }
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    }

    fn live(&self) -> Vec<ItemRow<'static>> {
        let mut items = Vec::new();
        self.store
            .step(self.account, &mut |tx| {
                let head = tx.book(BOOK)?.map(|row| row.head).unwrap_or_default();
                items = tx.changes(BOOK, Revision(0), head, usize::MAX)?;
                items.retain(|item| !item.deleted);
                Ok(Verdict::Rollback)
            })
            .unwrap();
        items
    }

    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.live().iter().map(|item| text(&item.content)).collect();
        texts.sort();
        texts
    }

    fn history(&self, of: &str) -> Vec<String> {
        let guid = self.live().iter().find(|item| text(&item.content).starts_with(of)).unwrap().guid;
        let mut history = Vec::new();
        self.store
            .step(self.account, &mut |tx| {
                history = tx.history(BOOK, guid, 100)?;
                Ok(Verdict::Rollback)
            })
            .unwrap();
        history.iter().filter(|old| !old.deleted).map(|old| text(&old.content)).collect()
    }

    fn head(&self) -> Revision {
        let mut head = Revision(0);
        self.store
            .step(self.account, &mut |tx| {
                head = tx.book(BOOK)?.map(|row| row.head).unwrap_or_default();
                Ok(Verdict::Rollback)
            })
            .unwrap();
        head
    }

    /// Both sides hold the same, and neither has anything to say.
    fn assert_in_step(&mut self, texts: &[&str]) {
        assert_eq!(self.texts(), texts);
        assert_eq!(self.shelf.texts(), texts);
        let head = self.head();
        assert_eq!(self.collect(), ReplicaReport::default());
        assert_eq!(self.deliver(), ReplicaReport::default());
        assert_eq!(self.head(), head);
    }
}

fn counts(report: &ReplicaReport) -> [u64; 4] {
    [report.added, report.changed, report.deleted, report.conflicts]
}

#[test]
fn what_the_user_does_comes_in() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo"), ("3", "Cy")]);
    world.assert_in_step(&["Ann", "Bo", "Cy"]);
    world.shelf.put("1", "Ann|TEL:1");
    world.shelf.entries.remove("2");
    world.shelf.put("4", "Di");
    assert_eq!(counts(&world.collect()), [1, 1, 1, 0]);
    world.assert_in_step(&["Ann|TEL:1", "Cy", "Di"]);
}

#[test]
fn what_others_do_goes_out() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo"), ("3", "Cy")]);
    world.others("Ann", "Ann|TEL:1");
    world.others("Bo", "");
    world.others("", "Di");
    assert_eq!(counts(&world.deliver()), [1, 1, 1, 0]);
    world.assert_in_step(&["Ann|TEL:1", "Cy", "Di"]);
}

#[test]
fn an_unchanged_book_is_not_read() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    assert_eq!(world.shelf.reads, 2);
    world.assert_in_step(&["Ann", "Bo"]);
    assert_eq!(world.shelf.reads, 2);
}

#[test]
fn pages_do_not_show() {
    let mut world = World::new(&[]);
    for number in 0..PAGE + 7 {
        world.shelf.put(&number.to_string(), &format!("P{number:04}"));
    }
    assert_eq!(counts(&world.collect()), [PAGE as u64 + 7, 0, 0, 0]);
    for number in 0..PAGE + 9 {
        world.others("", &format!("Q{number:04}"));
    }
    assert_eq!(counts(&world.deliver()), [PAGE as u64 + 9, 0, 0, 0]);
    assert_eq!(world.shelf.entries.len(), 2 * PAGE + 16);
    let all: Vec<_> = world.texts();
    world.assert_in_step(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn both_change_one_card() {
    let mut world = World::new(&[("1", "Ann|TEL:1")]);
    world.others("Ann", "Ann|TEL:1|EMAIL:a@x.example");
    world.shelf.put("1", "Ann|TEL:1|NOTE:n");
    assert_eq!(counts(&world.collect()), [0, 1, 0, 1]);
    let merged = world.texts().pop().unwrap();
    assert!(merged.contains("EMAIL:a@x.example") && merged.contains("NOTE:n"), "{merged}");
    // What the user said is a revision of its own, and so is what the others said.
    let history = world.history("Ann");
    assert!(history.contains(&"Ann|TEL:1|NOTE:n".to_owned()), "{history:?}");
    assert!(history.contains(&"Ann|TEL:1|EMAIL:a@x.example".to_owned()), "{history:?}");
    assert_eq!(counts(&world.deliver()), [0, 1, 0, 0]);
    world.assert_in_step(&[&merged]);
}

#[test]
fn both_change_one_card_alike() {
    let mut world = World::new(&[("1", "Ann")]);
    world.others("Ann", "Ann|TEL:1");
    world.shelf.put("1", "Ann|TEL:1");
    assert_eq!(counts(&world.collect()), [0; 4]);
    world.assert_in_step(&["Ann|TEL:1"]);
}

#[test]
fn a_change_beats_a_delete() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    world.others("Ann", "");
    world.shelf.put("1", "Ann|TEL:1");
    world.others("Bo", "Bo|TEL:2");
    world.shelf.entries.remove("2");
    assert_eq!(counts(&world.collect()), [0, 1, 0, 2]);
    assert_eq!(counts(&world.deliver()), [1, 0, 0, 0]);
    world.assert_in_step(&["Ann|TEL:1", "Bo|TEL:2"]);
}

#[test]
fn both_delete_one_card() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    world.others("Ann", "");
    world.shelf.entries.remove("1");
    assert_eq!(counts(&world.collect()), [0; 4]);
    world.assert_in_step(&["Bo"]);
}

#[test]
fn a_renamed_entry_stays_the_same_item() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    let (head, guids): (_, Vec<_>) = (world.head(), world.live().iter().map(|item| item.guid).collect());
    let card = world.shelf.entries.remove("1").unwrap();
    world.shelf.entries.insert("9".to_owned(), card);
    assert_eq!(counts(&world.collect()), [0; 4]);
    assert_eq!((world.head(), world.live().iter().map(|item| item.guid).collect::<Vec<_>>()), (head, guids));
    world.others("Ann", "Ann|TEL:1");
    world.deliver();
    assert_eq!(text(&world.shelf.entries["9"]), "Ann|TEL:1");
    world.assert_in_step(&["Ann|TEL:1", "Bo"]);
}

#[test]
fn an_id_used_again_is_a_new_item() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    let ann = world.live()[0].guid;
    world.shelf.entries.remove("1");
    world.collect();
    world.shelf.put("1", "Cy");
    assert_eq!(counts(&world.collect()), [1, 0, 0, 0]);
    assert!(world.live().iter().all(|item| item.guid != ann));
    world.assert_in_step(&["Bo", "Cy"]);
}

#[test]
fn the_user_is_faster_than_delivery() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    world.others("Ann", "Ann|TEL:1");
    world.others("Bo", "Bo|TEL:2");
    world.shelf.user = Some(("1".to_owned(), card("Ann|NOTE:n")));
    let report = world.deliver();
    assert!(report.skipped.is_empty(), "{report:?}");
    let merged = world.texts().remove(0);
    assert!(merged.contains("TEL:1") && merged.contains("NOTE:n"), "{merged}");
    world.assert_in_step(&[&merged, "Bo|TEL:2"]);
}

#[test]
fn unreadable_entries_wait_and_the_rest_goes_on() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    world.shelf.put("1", "torn");
    world.shelf.put("3", "torn too");
    world.shelf.put("4", "Cy");
    world.shelf.unreadable = vec!["1".to_owned(), "3".to_owned()];
    let report = world.collect();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    let skipped: Vec<_> = report.skipped.iter().map(|(id, reason)| (id.as_str(), reason.as_str())).collect();
    assert_eq!(skipped, [("1", "it is torn"), ("3", "it is torn")]);
    assert_eq!(world.texts(), ["Ann", "Bo", "Cy"]);

    world.others("Ann", "Ann|TEL:1");
    world.others("Bo", "Bo|TEL:2");
    let report = world.deliver();
    assert_eq!((counts(&report), report.skipped.len()), ([0, 1, 0, 0], 1));
    assert_eq!(text(&world.shelf.entries["1"]), "torn", "what the user wrote is not overwritten");

    // Mended, it receives what waited.
    world.shelf.unreadable.clear();
    world.shelf.put("1", "Ann");
    world.shelf.entries.remove("3");
    assert_eq!(counts(&world.collect()), [0; 4]);
    assert_eq!(counts(&world.deliver()), [0, 1, 0, 0]);
    world.assert_in_step(&["Ann|TEL:1", "Bo|TEL:2", "Cy"]);
}

#[test]
fn a_power_failure_loses_and_doubles_nothing() {
    for power in 0..6 {
        let mut world = World::new(&[("1", "Ann"), ("2", "Bo"), ("3", "Cy")]);
        world.others("", "Di");
        world.others("Ann", "Ann|TEL:1");
        world.others("Bo", "");
        world.others("", "Ed");
        world.others("Cy", "Cy|TEL:3");
        world.shelf.power = Some(power);
        assert_eq!(world.try_deliver().is_err(), power < 5);
        world.shelf.power = None;
        // Meanwhile others go on.
        world.others("Ann", "Ann|TEL:1|TEL:11");
        world.others("Cy", "");
        world.collect();
        world.deliver();
        world.assert_in_step(&["Ann|TEL:1|TEL:11", "Di", "Ed"]);
    }
}

#[test]
fn an_emptied_book_deletes_nothing_unasked() {
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo")]);
    let entries = std::mem::take(&mut world.shelf.entries);
    let error = world.try_collect(&ReplicaOptions::default()).unwrap_err();
    assert!(matches!(error, ReplicaError::MassDelete { missing: 2, known: 2 }), "{error}");
    assert_eq!(world.texts(), ["Ann", "Bo"]);
    world.shelf.entries = entries;
    world.assert_in_step(&["Ann", "Bo"]);
    world.shelf.entries.clear();
    let report = world.try_collect(&ReplicaOptions::default().allow_mass_delete(true)).unwrap();
    assert_eq!(counts(&report), [0, 0, 2, 0]);
    world.assert_in_step(&[]);
}

#[test]
fn a_book_that_lost_most_deletes_nothing_unasked() {
    let mut world = World::new(&[]);
    for number in 0..30 {
        world.shelf.put(&number.to_string(), &format!("P{number}"));
    }
    world.collect();
    for number in 0..16 {
        world.shelf.entries.remove(&number.to_string());
    }
    let error = world.try_collect(&ReplicaOptions::default()).unwrap_err();
    assert!(matches!(error, ReplicaError::MassDelete { missing: 16, known: 30 }), "{error}");
    assert_eq!(world.texts().len(), 30);
    world.shelf.put("0", "P0");
    // Fifteen of thirty is a person's own doing.
    assert_eq!(counts(&world.collect()), [0, 0, 15, 0]);
}

/// Counted, not timed: of a large book only what changed is looked at, by what brings it in and by what delivers.
#[test]
fn some_entries_cost_what_they_are() {
    let mut world = World::new(&[]);
    for number in 0..3000 {
        world.shelf.put(&number.to_string(), &format!("P{number}"));
    }
    world.collect();
    world.deliver();
    (world.shelf.looks, world.shelf.reads) = (0, 0);
    world.shelf.put("7", "P7|TEL:7");
    world.shelf.put("new", "New");
    world.shelf.entries.remove("9");
    // Renamed.
    let moved = world.shelf.entries.remove("11").unwrap();
    world.shelf.entries.insert("eleven".to_owned(), moved);
    let report = world.try_some(&["new", "7", "9", "11", "eleven", "8", "8", "nobody"]).unwrap();
    assert_eq!(counts(&report), [1, 1, 1, 0]);
    world.deliver();
    assert!(world.shelf.looks <= 20 && world.shelf.reads <= 4, "{} {}", world.shelf.looks, world.shelf.reads);
    assert_eq!(counts(&world.collect()), [0, 0, 0, 0], "and nothing was missed");
    assert_eq!(world.texts().len(), 3000);
}

#[test]
fn of_some_entries_too_many_do_not_go_either() {
    // All that there were, few as they are; the one that nobody mentions is gone, too.
    let mut world = World::new(&[("1", "Ann"), ("2", "Bo"), ("3", "Cy")]);
    world.shelf.entries.clear();
    for ids in [&["1", "2", "3"][..], &["1", "2"]] {
        let error = world.try_some(ids).unwrap_err();
        assert!(matches!(error, ReplicaError::MassDelete { missing: 3, known: 3 }), "{error}");
    }
    world.shelf.put("3", "Cy");
    assert_eq!(counts(&world.try_some(&["1", "2"]).unwrap()), [0, 0, 2, 0]);
    // More than are harmless, and most.
    let mut world = World::new(&[]);
    for number in 0..30 {
        world.shelf.put(&number.to_string(), &format!("P{number}"));
    }
    world.collect();
    let ids: Vec<_> = (0..16).map(|number| number.to_string()).collect();
    ids.iter().for_each(|id| drop(world.shelf.entries.remove(id)));
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let error = world.try_some(&ids).unwrap_err();
    assert!(matches!(error, ReplicaError::MassDelete { missing: 16, known: 30 }), "{error}");
    assert_eq!(world.texts().len(), 30);
}

#[test]
fn other_kinds_are_kept_as_they_are() {
    let store = MemoryStore::new([7; 32]);
    let account = store.directory().put_login("me", &Verifier::Md5([0; 16])).unwrap();
    let mut shelf = Shelf::default();
    shelf.entries.insert("a.txt".to_owned(), b"milk\nbread".to_vec());
    let options = ReplicaOptions::default();
    let report = collect(&store, account, BookNo::NOTES, &mut shelf, &options, NOW).unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    shelf.entries.insert("a.txt".to_owned(), b"milk\nbread\neggs".to_vec());
    let report = collect(&store, account, BookNo::NOTES, &mut shelf, &options, NOW).unwrap();
    assert_eq!(counts(&report), [0, 1, 0, 0]);
    let report = deliver(&store, account, BookNo::NOTES, &mut shelf, &options, NOW).unwrap();
    assert_eq!(report, ReplicaReport::default());
    assert_eq!(shelf.entries["a.txt"], b"milk\nbread\neggs");
}

#[test]
fn several_own_books_of_one_book_have_their_own_maps() {
    let mut world = World::new(&[("a", "Ann|TITLE:Cook")]);
    let mut other = Shelf::of(&[("x", "Ben")]);
    let options = ReplicaOptions::default().named("table.csv-1").prefer(Prefer::Current);
    let (store, account) = (&world.store, world.account);
    let turn = |shelf: &mut Shelf| {
        let collected = collect(store, account, BOOK, shelf, &options, NOW).unwrap();
        (collected, deliver(store, account, BOOK, shelf, &options, NOW).unwrap())
    };
    turn(&mut other);
    assert_eq!(other.texts(), ["Ann|TITLE:Cook", "Ben"]);
    let known = known(store, account, BOOK, &options, None).unwrap();
    assert_eq!((known.len(), known["x"].fp), (2, digest(&version(&other.entries["x"]))));
    let stands =
        |options: &ReplicaOptions, id: &str| stands_for(store, account, BOOK, options, known[id].guid).unwrap();
    assert_eq!((stands(&options, "x").as_deref(), stands(&ReplicaOptions::default(), "x")), (Some("x"), None));
    deliver(store, account, BOOK, &mut world.shelf, &ReplicaOptions::default(), NOW).unwrap();
    assert_eq!(world.shelf.texts(), other.texts());
    // Both changed the same: here the word of the others stands, and all else of both.
    let ann = other.entries.iter().find(|(_, card)| text(card).starts_with("Ann")).unwrap().0.clone();
    other.put(&ann, "Ann|TITLE:Captain|NOTE:here");
    world.shelf.put("a", "Ann|TITLE:Smith|TEL:5550001");
    collect(store, account, BOOK, &mut world.shelf, &ReplicaOptions::default(), NOW).unwrap();
    let (collected, _) = turn(&mut other);
    assert_eq!((collected.changed, collected.conflicts), (1, 1));
    assert_eq!(other.texts()[0], "Ann|TITLE:Smith|TEL:5550001|NOTE:here");
    let mut conflicts = Vec::new();
    store
        .look(account, &mut |tx| {
            conflicts = tx.conflicts(BOOK, Revision(i64::MAX), 10)?;
            let names = tx.devices()?.into_iter().map(|row| (row.is_local(), row.device_id)).collect::<Vec<_>>();
            assert_eq!(names, [(true, "book:".to_owned()), (true, "table.csv-1:".to_owned())]);
            Ok(())
        })
        .unwrap();
    assert_eq!(
        (conflicts.len(), conflicts[0].won, conflicts[0].fields.as_slice()),
        (1, Winner::Here, &["TITLE".to_owned()][..])
    );
}
