//! Changes and superseded revisions.

use super::support::*;
use crate::store::{AccountNo, BookNo, Guid, ItemRow, Revision, RevisionRow, Store};
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
        media_type: None,
        content: content.into(),
        blob: None,
        origin: Some(crate::store::DeviceNo(3)),
        at: NOW,
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

pub(super) fn as_of(store: &dyn Store) -> Outcome {
    let ann = with_history(store)?;
    let guids = [1, 2, 9, 1].map(Guid);
    for (head, one, two) in [(0, 0, 0), (1, 1, 0), (2, 1, 2), (3, 3, 2), (4, 4, 2), (5, 5, 2), (99, 5, 2)] {
        let row = |revision| Some(held(revision)).filter(|_| revision > 0);
        let wanted = vec![row(one), row(two), None, row(one)];
        same(&format!("at {head}"), read(store, ann, |tx| tx.as_of(BOOK, &guids, Revision(head)))?, wanted)?;
    }
    same("none", read(store, ann, |tx| tx.as_of(BOOK, &[], Revision(5)))?, vec![])?;
    same("of another book", read(store, ann, |tx| tx.as_of(OTHER_BOOK, &guids, Revision(5)))?, vec![None; 4])
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
