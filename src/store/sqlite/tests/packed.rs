//! A database with packed contents, and one of both kinds.

use super::*;
use crate::store::archive::{check, dump, load};
use crate::store::{ItemRow, Revision};

fn card(name: &str) -> Vec<u8> {
    let (work, note) = ("TEL;TYPE=WORK:+49301234567", "NOTE:met at the station, likes tea");
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\n{work}\r\n{note}\r\nEND:VCARD\r\n").into_bytes()
}

/// A database that is opened anew for each word, with the option or without.
struct Place(TempDir, AccountNo);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap(), AccountNo(0));
        let account = place.open(false).directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
        Self(place.0, account)
    }

    fn open(&self, compress: bool) -> SqliteStore {
        SqliteStore::open_with(self.0.path().join("books.db"), SqliteOptions { compress }).unwrap()
    }

    fn write(&self, compress: bool, work: impl Fn(&mut dyn Tx, &mut BookWriter<'_>) -> Result<()>) {
        let store = self.open(compress);
        store
            .step(self.1, &mut |tx| {
                let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
                work(tx, &mut writer)?;
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
        store.check().unwrap();
        assert_eq!(check(&store, &mut |_| ()).unwrap().findings, []);
    }

    fn add(&self, compress: bool, name: &str) {
        self.write(compress, |_, writer| {
            writer.add(Draft::of(BOOK, card(name)));
            Ok(())
        });
    }

    fn replace(&self, compress: bool, guid: i64, name: &str) {
        self.write(compress, |tx, writer| {
            let item: ItemRow<'_> = tx.items(BOOK, &[Guid(guid)])?.remove(0).unwrap();
            writer.replace(&item, Draft::of(BOOK, card(name)));
            Ok(())
        });
    }

    /// Everything that is or was there, by revision.
    fn all(&self, compress: bool) -> Vec<(i64, Vec<u8>)> {
        let mut all = Vec::new();
        let look = &mut |tx: &mut dyn Tx| {
            all = tx.log(BOOK, None, Revision(i64::MAX), 99)?;
            Ok(())
        };
        self.open(compress).look(self.1, look).unwrap();
        all.into_iter().rev().map(|row| (row.revision.0, row.content)).collect()
    }

    /// The revisions that are packed.
    fn packed(&self) -> Vec<i64> {
        let sql = "SELECT place & 68719476735 FROM revision WHERE size IS NOT NULL
                   UNION SELECT ifnull(changed, place) & 68719476735 FROM item WHERE size IS NOT NULL ORDER BY 1";
        let read = |conn: &Connection| {
            let mut select = conn.prepare(sql).or_failure()?;
            select.query_map([], |row| row.get(0)).and_then(Iterator::collect).or_failure()
        };
        self.open(false).writer.alone(read).unwrap()
    }
}

#[test]
fn either_kind_is_read_whatever_the_option_says() {
    let place = Place::new();
    place.add(false, "Ann");
    place.add(true, "Bob");
    place.add(false, "Cid");
    place.replace(true, 1, "Anna");
    place.replace(false, 2, "Bobby");
    place.replace(true, 3, "Cid");
    let names = ["Ann", "Bob", "Cid", "Anna", "Bobby", "Cid"];
    let wanted: Vec<_> = (1..).zip(names.map(card)).collect();
    for compress in [true, false] {
        assert_eq!(place.all(compress), wanted);
    }
    assert_eq!(place.packed(), [2, 4, 6]);
}

#[test]
fn a_dump_does_not_say_what_was_packed() {
    let (plain, packed, again) = (Place::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plain.add(false, "Ann");
    plain.replace(false, 1, "Anna");
    let text = |store: &SqliteStore| {
        let mut text = Vec::new();
        dump(store, &mut text, &mut |_| ()).unwrap();
        text
    };
    let first = text(&plain.open(false));
    let loaded = |folder: &TempDir, compress, text: &[u8]| {
        let store = SqliteStore::open_with(folder.path().join("books.db"), SqliteOptions { compress }).unwrap();
        load(&store, &mut &text[..], &mut |_| ()).unwrap();
        store
    };
    let second = text(&loaded(&packed, true, &first));
    let third = text(&loaded(&again, false, &second));
    assert!(first == second && second == third);
    assert_eq!(Place(packed, plain.1).packed(), [1, 2]);
    assert_eq!(Place(again, plain.1).packed(), [0; 0]);
}

#[test]
fn a_damaged_packed_content_is_told() {
    let place = Place::new();
    place.add(true, "Ann");
    for damage in [
        "UPDATE item SET size = size + 1",
        "UPDATE item SET size = 1 << 40",
        "UPDATE item SET content = CAST(x'63' || substr(content, 2) AS BLOB)",
        "UPDATE item SET content = substr(content, 1, 9)",
        "UPDATE item SET content = x''",
    ] {
        let store = place.open(false);
        let damaged = |tx: &mut dyn Tx| tx.items(BOOK, &[Guid(1)]).map(|_| ());
        store.writer.alone(|conn| conn.execute_batch(&format!("BEGIN; {damage}")).or_failure()).unwrap();
        let found = store.writer.alone(|conn| damaged(&mut SqliteTx::new(conn, place.1)));
        assert!(matches!(&found, Err(StoreError::Corrupt(text)) if text.contains("pack")), "{damage}: {found:?}");
        store.writer.alone(|conn| conn.execute_batch("ROLLBACK").or_failure()).unwrap();
    }
    assert_eq!(place.all(true), [(1, card("Ann"))]);
}
