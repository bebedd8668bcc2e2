use super::{Choice, Decide, Difference, Import, Imported};
use crate::auth::{Secret, Verifier};
use crate::message::Timestamp;
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, BookNo, BookWriter, Draft, Revision, Store, Verdict};

fn card(lines: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

fn store() -> (MemoryStore, AccountNo) {
    let store = MemoryStore::new([7; 32]);
    let verifier = Verifier::md5("ada", &Secret::new("x".to_owned()));
    let account = store.directory().put_login("ada", &verifier).unwrap();
    (store, account)
}

fn import(store: &MemoryStore, account: AccountNo, cards: &[&str], decide: &mut dyn Decide) -> (Imported, bool) {
    let mut import = Import::builder(store, account, BookNo::CONTACTS).begin(Timestamp(1), decide).unwrap();
    for lines in cards {
        import.put(card(lines)).unwrap();
    }
    import.finish().unwrap()
}

fn book(store: &MemoryStore, account: AccountNo) -> Vec<String> {
    let mut found = Vec::new();
    store
        .look(account, &mut |tx| {
            found = tx.changes(BookNo::CONTACTS, Revision(0), Revision(i64::MAX), 1000)?;
            Ok(())
        })
        .unwrap();
    found.into_iter().map(|item| String::from_utf8_lossy(&item.content).into_owned()).collect()
}

#[test]
fn i5_two_of_one_step_that_are_one_contact_of_the_book_are_both_kept() {
    let (store, account) = store();
    import(&store, account, &["FN:Ann\nTEL:5550001\nTEL:5550002"], &mut Choice::Add);
    let twins = ["FN:Ann\nTEL:5550001\nEMAIL:one@example.org", "FN:Ann\nTEL:5550002\nURL:two.example.org"];
    let (done, _) = import(&store, account, &twins, &mut Choice::Merge);
    let book = book(&store, account);
    assert_eq!((done.merged, book.len()), (2, 1));
    assert!(book[0].contains("one@example.org") && book[0].contains("two.example.org"), "{book:?}");
}

/// Somebody who takes long to answer: meanwhile another writer changes the card.
struct Slow<'s> {
    store: &'s MemoryStore,
    account: AccountNo,
    asked: Vec<String>,
}

impl Decide for Slow<'_> {
    fn decide(&mut self, difference: &Difference<'_>) -> Option<Choice> {
        if self.asked.is_empty() {
            self.store
                .step(self.account, &mut |tx| {
                    let row = tx.lock_books(&[BookNo::CONTACTS])?.remove(0);
                    let old = tx.items(BookNo::CONTACTS, &[difference.guid])?.remove(0).unwrap();
                    let mut writer = BookWriter::new(row, None, Timestamp(2));
                    writer.replace(&old, Draft::of(BookNo::CONTACTS, card("FN:Ann\nTEL:5550001\nNOTE:meanwhile")));
                    writer.flush(tx)?;
                    Ok(Verdict::Commit)
                })
                .unwrap();
        }
        self.asked.push(String::from_utf8_lossy(difference.here).into_owned());
        Some(Choice::Overwrite)
    }
}

#[test]
fn i5_an_answer_holds_only_for_what_was_shown() {
    let (store, account) = store();
    import(&store, account, &["FN:Ann\nTEL:5550001\nTITLE:Cook"], &mut Choice::Add);
    let mut slow = Slow { store: &store, account, asked: Vec::new() };
    let (done, whole) = import(&store, account, &["FN:Ann\nTEL:5550001\nTITLE:Captain", "FN:Ben"], &mut slow);
    assert_eq!((done.overwritten, done.added, whole, slow.asked.len()), (1, 1, true, 2));
    assert!(slow.asked[1].contains("meanwhile"));
    let book = book(&store, account).concat();
    assert!(book.contains("meanwhile") && book.contains("Captain") && !book.contains("Cook"), "{book}");
}

#[test]
fn i5_more_than_a_step_and_any_number_of_one_name() {
    let (store, account) = store();
    let cards: Vec<String> = (0..1200).map(|n| format!("FN:Ann {}\nTEL:55500{:03}", n % 600, n % 600)).collect();
    let cards: Vec<&str> = cards.iter().map(String::as_str).collect();
    let (done, _) = import(&store, account, &cards, &mut Choice::Skip);
    assert_eq!((done.added, done.known, done.all()), (600, 600, 1200));
}
