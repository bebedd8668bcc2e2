//! Changes and superseded revisions.

use super::support::*;
use crate::contact::identity::LARGE;
use crate::store::{
    AccountNo, BookNo, BookRow, ConflictRow, Draft, Guid, ItemRow, PastRow, RestoreRow, Revision, RevisionRow, Store,
    StoreError, Winner,
};
use std::collections::BTreeMap;

fn changes(
    store: &dyn Store,
    account: AccountNo,
    after: i64,
    upto: i64,
    limit: usize,
) -> Outcome<Vec<ItemRow<'static>>> {
    Ok(read(store, account, |tx| tx.changes(BOOK, Revision(after), Revision(upto), limit))?)
}

pub(super) fn changes_in_order(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    same("of a book never locked", changes(store, ann, 0, i64::MAX, 9)?, vec![])?;
    write(store, ann, |tx| {
        add(tx, BOOK, &["one", "two", "three"])?;
        add(tx, OTHER_BOOK, &["note"])?;
        replace(tx, BOOK, Guid(1), "uno")?;
        delete(tx, BOOK, Guid(2))
    })?;
    // Now by revision: 3 three, 4 uno, 5 the tombstone of two.
    for (after, upto, limit, wanted) in [
        (0, i64::MAX, usize::MAX, vec![3, 4, 5]),
        (i64::MIN, 5, 3, vec![3, 4, 5]),
        (3, 5, 9, vec![4, 5]),
        (2, 4, 9, vec![3, 4]),
        (2, 3, 9, vec![3]),
        (0, i64::MAX, 2, vec![3, 4]),
        (0, i64::MAX, 0, vec![]),
        (0, 2, 9, vec![]),
        (5, 5, 9, vec![]),
        (5, i64::MAX, 9, vec![]),
        (5, 3, 9, vec![]),
        (4, 3, 9, vec![]),
    ] {
        let found = changes(store, ann, after, upto, limit)?.iter().map(|item| item.revision.0).collect();
        same(&format!("after {after}, up to {upto}, at most {limit}"), found, wanted)?;
    }
    let all = changes(store, ann, 0, i64::MAX, 9)?;
    let current = read(store, ann, |tx| tx.items(BOOK, &[Guid(3), Guid(1), Guid(2)]))?;
    same("they are the current items", all.into_iter().map(Some).collect(), current.clone())?;
    let tombstone = current.into_iter().flatten().next_back();
    let tombstone = tombstone.map(|item| (item.deleted, item.content.into_owned()));
    same("a tombstone has no content", tombstone, Some((true, Vec::new())))
}

pub(super) fn changes_in_pages(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let mut model = BTreeMap::new();
    // A fixed sequence that looks like chance.
    let mut state = 12_345_u32;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below.max(1)
    };
    for round in 0..8 {
        let known = model.keys().copied().collect::<Vec<Guid>>();
        let plan = (0..40).map(|number| {
            let op = if known.is_empty() { 0 } else { draw(if round % 2 == 0 { 4 } else { 9 }) };
            // Every third round changes neighbours, so that there are long runs of changed items.
            let which = if round % 3 == 0 { number } else { draw(known.len()) };
            (op, known.get(which % known.len().max(1)).copied())
        });
        let plan = plan.collect::<Vec<_>>();
        let written = write(store, ann, |tx| {
            let mut writer = writer(tx, BOOK)?;
            let mut written = BTreeMap::<Guid, ItemRow<'static>>::new();
            for (op, guid) in &plan {
                let new = match (op, guid) {
                    (0, _) | (_, None) => writer.add(draft("new")),
                    (op, Some(guid)) => {
                        let old = match written.get(guid) {
                            Some(row) => row.clone(),
                            None => item(tx, BOOK, *guid)?,
                        };
                        if *op == 1 { writer.delete(&old) } else { writer.replace(&old, draft("changed")) }
                    }
                };
                written.insert(new.guid, new);
            }
            writer.flush(tx)?;
            Ok(written)
        })?;
        for (guid, row) in written {
            model.insert(guid, row.revision);
        }
        let mut wanted = model.iter().map(|(guid, revision)| (*revision, *guid)).collect::<Vec<_>>();
        wanted.sort_unstable();
        for size in [1, 7, 50, 1000] {
            let mut found = Vec::new();
            loop {
                let after = found.last().map_or(Revision(0), |(revision, _)| *revision);
                let page = changes(store, ann, after.0, i64::MAX, size)?;
                found.extend(page.iter().map(|item| (item.revision, item.guid)));
                if page.len() < size {
                    break;
                }
            }
            same(&format!("pages of {size} in round {round}"), found, wanted.clone())?;
        }
    }
    Ok(())
}

/// A book with item 1 as revisions 1, 3, 4 (deleted), 5 and item 2 as revision 2.
fn with_history(store: &dyn Store) -> Outcome<AccountNo> {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        add(tx, BOOK, &["one", "two"])?;
        replace(tx, BOOK, Guid(1), "uno")?;
        delete(tx, BOOK, Guid(1))
    })?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(1), "eins"))?;
    Ok(ann)
}

/// The revision as it must be answered.
fn held(revision: i64) -> RevisionRow {
    let (guid, content) = match revision {
        1 => (1, "one"),
        2 => (2, "two"),
        3 => (1, "uno"),
        4 => (1, ""),
        _ => (1, "eins"),
    };
    RevisionRow {
        guid: Guid(guid),
        revision: Revision(revision),
        deleted: revision == 4,
        parent: None,
        depth: 0,
        media_type: None,
        content: content.into(),
        blob: None,
        origin: Some(crate::store::DeviceNo(3)),
        at: NOW,
        until: [None, Some(3), None, Some(4), Some(5)]
            .get(revision as usize)
            .copied()
            .flatten()
            .map(|until| (Revision(until), NOW)),
    }
}

pub(super) fn revisions(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let asked = [(1, 1), (1, 5), (2, 1), (1, 3), (2, 2), (1, 4), (1, 2), (1, 6), (9, 9), (1, 1), (1, 0)];
    let wanted = asked
        .map(|(guid, revision)| Some(held(revision)).filter(|row| (1..6).contains(&revision) && row.guid.0 == guid));
    let asked = asked.map(|(guid, revision)| (Guid(guid), Revision(revision)));
    same("revisions", read(store, ann, |tx| tx.revisions(BOOK, &asked))?, wanted.to_vec())?;
    same("none", read(store, ann, |tx| tx.revisions(BOOK, &[]))?, vec![])?;
    let none = vec![None; asked.len()];
    same("of another book", read(store, ann, |tx| tx.revisions(OTHER_BOOK, &asked))?, none)
}

pub(super) fn history(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let history = |book: BookNo, guid, limit| read(store, ann, move |tx| tx.history(book, Guid(guid), limit));
    same("all", history(BOOK, 1, usize::MAX)?, vec![held(4), held(3), held(1)])?;
    same("the newest two", history(BOOK, 1, 2)?, vec![held(4), held(3)])?;
    for (what, found) in [
        ("none", history(BOOK, 1, 0)?),
        ("of an item never changed", history(BOOK, 2, 9)?),
        ("of an unknown item", history(BOOK, 9, 9)?),
        ("of another book", history(OTHER_BOOK, 1, 9)?),
    ] {
        same(what, found, vec![])?;
    }
    Ok(())
}

pub(super) fn as_of(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let asked = [Guid(1), Guid(2), Guid(9), Guid(1)];
    for (at, first, second) in [
        (i64::MIN, None, None),
        (0, None, None),
        (1, Some(1), None),
        (2, Some(1), Some(2)),
        (3, Some(3), Some(2)),
        (4, Some(4), Some(2)),
        (5, Some(5), Some(2)),
        (i64::MAX, Some(5), Some(2)),
    ] {
        let wanted = vec![first.map(held), second.map(held), None, first.map(held)];
        same(&format!("at {at}"), read(store, ann, |tx| tx.as_of(BOOK, Revision(at), &asked))?, wanted)?;
        let there = [(1, first), (2, second)].into_iter().filter(|(guid, _)| *guid <= at);
        let there = there.map(|(guid, revision)| (Guid(guid), revision.map(held))).collect::<Vec<_>>();
        let states = |after, limit| read(store, ann, |tx| tx.states(BOOK, Revision(at), Guid(after), limit));
        same(&format!("all of it at {at}"), states(0, 9)?, there.clone())?;
        same(&format!("its first at {at}"), states(0, 1)?, there.iter().take(1).cloned().collect())?;
        let rest = there.into_iter().filter(|(guid, _)| guid.0 > 1).collect();
        same(&format!("its rest at {at}"), states(1, 9)?, rest)?;
        same("no limit, nothing", states(0, 0)?, vec![])?;
    }
    same("nothing asked", read(store, ann, |tx| tx.as_of(BOOK, Revision(5), &[]))?, vec![])?;
    same("of another book", read(store, ann, |tx| tx.as_of(OTHER_BOOK, Revision(5), &asked))?, vec![None; 4])?;
    same("nor there", read(store, ann, |tx| tx.states(OTHER_BOOK, ALL, Guid(0), 9))?, vec![])
}

pub(super) fn log(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let log = |of: Option<i64>, before, limit| {
        read(store, ann, move |tx| tx.log(BOOK, of.map(Guid), Revision(before), limit))
    };
    for (of, before, limit, wanted) in [
        (None, i64::MAX, usize::MAX, vec![5, 4, 3, 2, 1]),
        (None, 6, 9, vec![5, 4, 3, 2, 1]),
        (None, 5, 9, vec![4, 3, 2, 1]),
        (None, 5, 2, vec![4, 3]),
        (None, 3, 2, vec![2, 1]),
        (None, 2, 2, vec![1]),
        (None, 1, 9, vec![]),
        (None, i64::MIN, 9, vec![]),
        (None, i64::MAX, 0, vec![]),
        (Some(1), i64::MAX, usize::MAX, vec![5, 4, 3, 1]),
        (Some(1), 5, 2, vec![4, 3]),
        (Some(1), 1, 9, vec![]),
        (Some(1), i64::MAX, 1, vec![5]),
        (Some(1), i64::MAX, 0, vec![]),
        (Some(2), i64::MAX, 9, vec![2]),
        (Some(9), i64::MAX, 9, vec![]),
    ] {
        let wanted = wanted.into_iter().map(held).collect();
        same(&format!("of {of:?} before {before}, at most {limit}"), log(of, before, limit)?, wanted)?;
    }
    same("of another book", read(store, ann, |tx| tx.log(OTHER_BOOK, None, ALL, 9))?, vec![])
}

pub(super) fn log_in_pages(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    // Long runs of items that were never changed, of items changed once and of one that is changed again and again.
    write(store, ann, |tx| add(tx, BOOK, &["a"; 60]).map(drop))?;
    for round in 0..3 {
        write(store, ann, |tx| {
            for guid in 20..40 {
                replace(tx, BOOK, Guid(guid), "b")?;
                replace(tx, BOOK, Guid(7), if round == 1 { "c" } else { "d" })?;
            }
            add(tx, BOOK, &["e"; 5]).map(drop)
        })?;
    }
    let all = read(store, ann, |tx| tx.log(BOOK, None, ALL, usize::MAX))?;
    let numbers = all.iter().map(|row| row.revision.0).collect::<Vec<_>>();
    same("every revision once", numbers, (1..=195).rev().collect())?;
    for size in [1, 7, 50, 1000] {
        let mut found: Vec<RevisionRow> = Vec::new();
        loop {
            let before = found.last().map_or(ALL, |row| row.revision);
            let page = read(store, ann, |tx| tx.log(BOOK, None, before, size))?;
            found.extend(page.iter().cloned());
            if page.len() < size {
                break;
            }
        }
        same(&format!("pages of {size}"), found, all.clone())?;
    }
    Ok(())
}

pub(super) fn superseded(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(2), "zwei"))?;
    let row = |guid, revision, until, recent| PastRow {
        guid: Guid(guid),
        revision: Revision(revision),
        until: Revision(until),
        until_at: NOW,
        recent,
    };
    let page = |after, newest, limit| read(store, ann, move |tx| tx.superseded(BOOK, Revision(after), newest, limit));
    for (newest, recent) in [
        (0, [false; 4]),
        (1, [false, true, false, true]),
        (2, [false, true, true, true]),
        (3, [true; 4]),
        (usize::MAX, [true; 4]),
    ] {
        let wanted = [(1, 1, 3), (2, 2, 6), (1, 3, 4), (1, 4, 5)].into_iter().zip(recent);
        let wanted =
            wanted.map(|((guid, revision, until), recent)| row(guid, revision, until, recent)).collect::<Vec<_>>();
        same(&format!("with the newest {newest}"), page(i64::MIN, newest, 9)?, wanted.clone())?;
        same("in pages", page(1, newest, 2)?, wanted[1..3].to_vec())?;
    }
    same("no limit, nothing", page(0, 1, 0)?, vec![])?;
    same("of another book", read(store, ann, |tx| tx.superseded(OTHER_BOOK, Revision(0), 1, 9))?, vec![])
}

pub(super) fn purged(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let purge = |which: Vec<(i64, i64)>| {
        write(store, ann, move |tx| {
            tx.lock_books(&[BOOK])?;
            tx.purge(BOOK, &which.iter().map(|&(guid, revision)| (Guid(guid), Revision(revision))).collect::<Vec<_>>())
        })
    };
    refused("without the lock", write(store, ann, |tx| tx.purge(BOOK, &[(Guid(1), Revision(1))])))?;
    // What is current, unknown or another's is left alone.
    purge(vec![(1, 5), (2, 2), (2, 1), (9, 9), (1, 3)])?;
    let log = read(store, ann, |tx| tx.log(BOOK, None, ALL, 9))?;
    same("the rest", log, [5, 4, 2, 1].map(held).to_vec())?;
    let at = |at| read(store, ann, move |tx| tx.as_of(BOOK, Revision(at), &[Guid(1)]));
    for (revision, found) in [(1, Some(1)), (2, Some(1)), (3, None), (4, Some(4)), (5, Some(5))] {
        same(&format!("the item at {revision}"), at(revision)?, vec![found.map(held)])?;
    }
    same("a gap is told", read(store, ann, |tx| tx.states(BOOK, Revision(3), Guid(0), 1))?, vec![(Guid(1), None)])?;
    same("and not answered", read(store, ann, |tx| tx.revisions(BOOK, &[(Guid(1), Revision(3))]))?, vec![None])?;

    // Large contents go with the last that refers to them.
    let large = vec![7; LARGE + 1];
    let blob = write(store, ann, |tx| {
        let mut writer = writer(tx, BookNo::FILES)?;
        let first = writer.add(Draft::of(BookNo::FILES, large.as_slice()));
        writer.flush(tx)?;
        let first = item(tx, BookNo::FILES, first.guid)?;
        // The same content twice in the past, and once at present.
        for _ in 0..2 {
            let now = item(tx, BookNo::FILES, first.guid)?;
            writer.delete(&now);
            writer.flush(tx)?;
            let now = item(tx, BookNo::FILES, first.guid)?;
            writer.replace(&now, Draft { content: first.content.clone(), blob: first.blob, ..Draft::default() });
            writer.flush(tx)?;
        }
        Ok(first.blob.map(|blob| blob.no))
    })?;
    let blob = blob.ok_or_else(|| Failure("the content is not in pieces".to_owned()))?;
    let is_there = || read(store, ann, |tx| Ok(tx.blob(blob)?.is_some()));
    for (revision, stays) in [(1, true), (3, true)] {
        write(store, ann, |tx| {
            tx.lock_books(&[BookNo::FILES])?;
            tx.purge(BookNo::FILES, &[(Guid(1), Revision(revision))])
        })?;
        same("the item keeps it", is_there()?, stays)?;
    }
    write(store, ann, |tx| delete(tx, BookNo::FILES, Guid(1)))?;
    holds("the past keeps it", is_there()?)?;
    write(store, ann, |tx| {
        tx.lock_books(&[BookNo::FILES])?;
        tx.purge(BookNo::FILES, &[(Guid(1), Revision(5))])
    })?;
    holds("nothing refers to it any more", !is_there()?)
}

pub(super) fn conflicts(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let put = |rows: Vec<ConflictRow>| {
        write(store, ann, move |tx| {
            tx.lock_books(&[BOOK])?;
            tx.put_conflicts(BOOK, &rows)
        })
    };
    let list = |book, before, limit| read(store, ann, move |tx| tx.conflicts(book, Revision(before), limit));
    let row = conflict_row;
    let kept = ConflictRow { won: Winner::Both, lost: None, origin: None, fields: Vec::new(), ..row(9) };
    same("none yet", list(BOOK, i64::MAX, 9)?, vec![])?;
    refused("without the lock", write(store, ann, |tx| tx.put_conflicts(BOOK, &[row(7)])))?;
    put(vec![])?;
    put(vec![row(5), row(7)])?;
    put(vec![kept.clone(), ConflictRow { won: Winner::Here, ..row(11) }])?;
    put(vec![ConflictRow { fields: Vec::new(), ..row(7) }])?;
    let here = ConflictRow { won: Winner::Here, ..row(11) };
    same("newest first", list(BOOK, i64::MAX, 9)?, vec![here.clone(), kept.clone(), row(7), row(5)])?;
    same("a page", list(BOOK, 11, 2)?, vec![kept.clone(), row(7)])?;
    same("of another book", list(OTHER_BOOK, i64::MAX, 9)?, vec![])?;
    let at = read(store, ann, |tx| tx.conflicts_at(BOOK, &[9, 8, 7].map(Revision)))?;
    same("by revision", at, vec![Some(kept), None, Some(row(7))])?;
    // What lost is revision 4, 6 and 10; revision 9 lost nothing, and nothing but that is the end of it.
    let purge = |guid, revision| {
        write(store, ann, move |tx| {
            tx.lock_books(&[BOOK])?;
            tx.purge(BOOK, &[(Guid(guid), Revision(revision))])
        })
    };
    purge(1, 7)?;
    same("its own revision is not what it lost", list(BOOK, i64::MAX, 9)?.len(), 4)?;
    purge(1, 6)?;
    purge(3, 9)?;
    same("gone with what they lost", list(BOOK, i64::MAX, 9)?, vec![here, row(5)])
}

pub(super) fn restores(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let row = restore_row;
    let put = |row: RestoreRow| {
        write(store, ann, move |tx| {
            tx.lock_books(&[BOOK])?;
            tx.put_restore(BOOK, &row)
        })
    };
    let list = |book, limit| read(store, ann, move |tx| tx.restores(book, limit));
    same("none yet", list(BOOK, 9)?, vec![])?;
    refused("without the lock", write(store, ann, |tx| tx.put_restore(BOOK, &row(7))))?;
    put(row(7))?;
    put(row(9))?;
    same("newest first", list(BOOK, 9)?, vec![row(9), row(7)])?;
    same("the newest", list(BOOK, 1)?, vec![row(9)])?;
    let ended = RestoreRow { ended: Some(NOW), revived: 3, ..row(7) };
    put(ended)?;
    same("updated by its id", list(BOOK, 9)?, vec![row(9), ended])?;
    same("of another book", list(OTHER_BOOK, 9)?, vec![])
}

pub(super) fn past_put(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        add(tx, BOOK, &["one", "two"])?;
        replace(tx, BOOK, Guid(1), "uno")?;
        delete(tx, BOOK, Guid(1))?;
        replace(tx, BOOK, Guid(1), "een")
    })?;
    let log = |book| read(store, ann, move |tx| tx.log(book, None, Revision(i64::MAX), 99));
    let past: Vec<RevisionRow> = log(BOOK)?.into_iter().filter(|row| row.until.is_some()).collect();
    same("superseded", past.iter().map(|row| row.revision.0).collect(), vec![4, 3, 1])?;
    refused("without the lock", write(store, ann, |tx| tx.put_past(OTHER_BOOK, &past)))?;
    let current = read(store, ann, |tx| tx.items(BOOK, &[Guid(1), Guid(2)]))?;
    write(store, ann, |tx| {
        tx.lock_books(&[OTHER_BOOK])?;
        tx.put_past(OTHER_BOOK, &[])?;
        tx.put_past(OTHER_BOOK, &past)?;
        tx.insert_items(OTHER_BOOK, &current.iter().flatten().cloned().collect::<Vec<_>>())?;
        let row = tx.book(BOOK)?.ok_or_else(|| StoreError::Failed("the book is not there".to_owned()))?;
        tx.adopt_book(&BookRow { book: OTHER_BOOK, ..row })
    })?;
    same("all of it", log(OTHER_BOOK)?, log(BOOK)?)?;
    for at in 0..6 {
        let state = |book| read(store, ann, move |tx| tx.states(book, Revision(at), Guid(i64::MIN), 99));
        same("the state then", state(OTHER_BOOK)?, state(BOOK)?)?;
    }
    Ok(())
}
