//! Finding items by content.

use super::support::*;
use crate::store::{AccountNo, BookNo, Draft, Guid, Revision, Store};

pub(super) fn fingerprints(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        add(tx, BOOK, &["one", "two", "one", "one", "three"])?;
        add(tx, OTHER_BOOK, &["one"])
    })?;
    let find = |texts: &[&str], limit| {
        let prints = texts.iter().map(|text| print(text)).collect::<Vec<_>>();
        read(store, ann, |tx| tx.by_fingerprint(BOOK, &prints, limit))
            .map(|found| found.iter().map(|guids| guids.iter().map(|guid| guid.0).collect()).collect::<Vec<Vec<_>>>())
    };
    same("nothing asked", find(&[], 9)?, vec![])?;
    same("as asked", find(&["two", "four", "one", "two"], 9)?, vec![vec![2], vec![], vec![1, 3, 4], vec![2]])?;
    same("at most two", find(&["one"], 2)?, vec![vec![1, 3]])?;
    same("at most none", find(&["one"], 0)?, vec![vec![]])?;
    // Alike in the beginning is not alike.
    let mut near = print("two");
    near[15] ^= 1;
    same("nearly the same", read(store, ann, |tx| tx.by_fingerprint(BOOK, &[near], 9))?, vec![vec![]])?;
    write(store, ann, |tx| {
        delete(tx, BOOK, Guid(3))?;
        replace(tx, BOOK, Guid(4), "two")
    })?;
    same("after a delete and an edit", find(&["one", "two"], 9)?, vec![vec![1], vec![2, 4]])?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(3), "one"))?;
    same("after it came back", find(&["one"], 9)?, vec![vec![1, 3]])
}

pub(super) fn children(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        add(tx, BOOK, &["one", "two"])?;
        let mut writer = writer(tx, BOOK)?;
        for content in ["three", "four"] {
            writer.add(Draft { parent: Some(Guid(1)), depth: 1, ..draft(content) });
        }
        writer.flush(tx)
    })?;
    let inside = |parent, after, limit| -> Outcome<Vec<i64>> {
        let found = read(store, ann, move |tx| tx.children(BOOK, Guid(parent), Guid(after), limit))?;
        Ok(found.into_iter().map(|guid| guid.0).collect())
    };
    same("in each", (inside(2, 0, 9)?, inside(1, 0, 9)?), (vec![], vec![3, 4]))?;
    same("in pages", (inside(1, 0, 1)?, inside(1, 3, 1)?, inside(1, 4, 1)?), (vec![3], vec![4], vec![]))?;
    same("none", inside(1, 0, 0)?, vec![])?;
    same("in another book", read(store, ann, |tx| tx.children(OTHER_BOOK, Guid(1), Guid(0), 9))?, vec![])?;
    write(store, ann, |tx| {
        replace(tx, BOOK, Guid(4), "vier")?;
        let mut writer = writer(tx, BOOK)?;
        let old = item(tx, BOOK, Guid(3))?;
        writer.put(&old, Draft { parent: Some(Guid(2)), depth: 1, ..draft("three") });
        writer.flush(tx)
    })?;
    same("after an edit and a move", (inside(2, 0, 9)?, inside(1, 0, 9)?), (vec![3], vec![4]))?;
    let was = read(store, ann, |tx| tx.revisions(BOOK, &[(Guid(3), Revision(3)), (Guid(3), Revision(6))]))?;
    let parents: Vec<_> = was.into_iter().map(|row| row.and_then(|row| row.parent)).collect();
    same("where it was", parents, vec![Some(Guid(1)), Some(Guid(2))])?;
    write(store, ann, |tx| delete(tx, BOOK, Guid(4)))?;
    same("after a delete", (inside(2, 0, 9)?, inside(1, 0, 9)?), (vec![3], vec![]))
}

/// Items found by the keys that [`draft`] gives: first and last letter.
fn by_letters(store: &dyn Store, account: AccountNo, letters: &str) -> Outcome<Vec<Vec<i64>>> {
    let keys = letters.bytes().map(u64::from).collect::<Vec<_>>();
    let found = read(store, account, |tx| tx.by_match_key(BOOK, &keys, 100))?;
    Ok(found.iter().map(|guids| guids.iter().map(|guid| guid.0).collect()).collect())
}

fn index(store: &dyn Store, account: AccountNo, book: BookNo, limit: usize) -> Outcome<bool> {
    let done = write(store, account, |tx| {
        tx.lock_books(&[book])?;
        tx.index_more(book, limit)
    })?;
    let row = read(store, account, |tx| tx.book(book))?;
    same("what the book's row says", row.map(|row| row.indexed), Some(done))?;
    Ok(done)
}

pub(super) fn match_keys(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| add(tx, BOOK, &["ab", "bc", "ca", "aa"]))?;
    same("an empty book is indexed at once", index(store, ann, OTHER_BOOK, 1)?, true)?;
    let mut calls = 1;
    while !index(store, ann, BOOK, 3)? {
        calls += 1;
        holds("indexing comes to an end", calls < 9)?;
    }
    same("calls", calls, 2)?;
    same("indexing what is indexed", index(store, ann, BOOK, 3)?, true)?;
    same("as asked", by_letters(store, ann, "bxab")?, vec![vec![1, 2], vec![], vec![1, 3, 4], vec![1, 2]])?;
    let limited = |limit| read(store, ann, move |tx| tx.by_match_key(BOOK, &[u64::from(b'a')], limit));
    same("at most two", limited(2)?, vec![vec![Guid(1), Guid(3)]])?;
    same("at most none", limited(0)?, vec![vec![]])?;
    same("nothing asked", read(store, ann, |tx| tx.by_match_key(BOOK, &[], 9))?, vec![])?;
    same("in another book", read(store, ann, |tx| tx.by_match_key(OTHER_BOOK, &[97], 9))?, vec![vec![]])?;
    write(store, ann, |tx| add(tx, BOOK, &["bb"]))?;
    same("after an add", by_letters(store, ann, "ab")?, vec![vec![1, 3, 4], vec![1, 2, 5]])?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(1), "cb"))?;
    same("after an edit", by_letters(store, ann, "abc")?, vec![vec![3, 4], vec![1, 2, 5], vec![1, 2, 3]])?;
    write(store, ann, |tx| delete(tx, BOOK, Guid(1)))?;
    same("after a delete", by_letters(store, ann, "bc")?, vec![vec![2, 5], vec![2, 3]])?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(1), "cc"))?;
    same("after it came back", by_letters(store, ann, "bc")?, vec![vec![2, 5], vec![1, 2, 3]])?;
    let extreme = [0, u64::MAX, 1 << 63, (1 << 63) - 1];
    write(store, ann, |tx| {
        let mut writer = writer(tx, BOOK)?;
        writer.add(Draft { keys: extreme.as_slice().into(), ..Draft::default() });
        writer.flush(tx)
    })?;
    let found = read(store, ann, |tx| tx.by_match_key(BOOK, &extreme, 9))?;
    holds("the smallest and largest keys are found", found.iter().all(|guids| guids.len() == 1))
}

pub(super) fn match_keys_while_indexing(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| add(tx, BOOK, &["ab", "ab", "ab", "ab", "ab", "ab"]))?;
    write(store, ann, |tx| delete(tx, BOOK, Guid(3)))?;
    same("half", index(store, ann, BOOK, 3)?, false)?;
    // One of each on either side of what is indexed.
    write(store, ann, |tx| {
        for guid in [1, 4] {
            replace(tx, BOOK, Guid(guid), "cd")?;
        }
        for guid in [2, 5] {
            delete(tx, BOOK, Guid(guid))?;
        }
        replace(tx, BOOK, Guid(3), "ef")?;
        add(tx, BOOK, &["cf"])
    })?;
    let mut calls = 0;
    while !index(store, ann, BOOK, 1)? {
        calls += 1;
        holds("indexing comes to an end", calls < 9)?;
    }
    let new = 7 + 6;
    let wanted = vec![vec![6], vec![6], vec![1, 4, new], vec![1, 4], vec![3], vec![3, new]];
    same("by letter", by_letters(store, ann, "abcdef")?, wanted)
}
