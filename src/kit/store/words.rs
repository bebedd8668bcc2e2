//! Search: what people type, over all books of an account.

use super::support::*;
use crate::contact::search::{Query, Rank, searchable};
use crate::store::search::{Hit, Page, search};
use crate::store::{AccountNo, BookNo, Draft, Guid, Store};

const BACKED_UP: BookNo = BookNo(1 << 60 | 0xf79);

fn query(text: &str) -> Outcome<Query> {
    text.parse().map_err(|error| Failure(format!("{text:?} is no query: {error}")))
}

fn found(store: &dyn Store, account: AccountNo, book: Option<BookNo>, text: &str) -> Outcome<Vec<(BookNo, i64)>> {
    let mut page = search(store, account, book, &query(text)?, None, 100)?;
    same("another page", page.next.take(), None)?;
    Ok(page.hits.iter().map(|hit| (hit.book, hit.item.guid.0)).collect())
}

/// Hits in contacts.
fn contacts(store: &dyn Store, account: AccountNo, text: &str) -> Outcome<Vec<i64>> {
    Ok(found(store, account, Some(BOOK), text)?.into_iter().map(|(_, guid)| guid).collect())
}

fn card(name: &str, lines: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\n{lines}END:VCARD\r\n")
}

pub(super) fn words(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let bob = account(store, "bob")?;
    let cards = [
        card("Zoë Miller", "TEL:+86 138-0013-8000\r\nNOTE:met Anna\r\n"),
        card("王小明", "TEL:13800138001\r\nORG:Miller & Sons\r\n"),
        card("Anna Smith", "EMAIL:smith@example.org\r\n"),
    ];
    let texts: Vec<&str> = cards.iter().map(String::as_str).collect();
    same("an account without books", found(store, ann, None, "zoe")?, vec![])?;
    write(store, ann, |tx| {
        add(tx, BOOK, &texts)?;
        add(tx, OTHER_BOOK, &["Anna calls back"])?;
        add(tx, BACKED_UP, &texts[..1])
    })?;
    write(store, bob, |tx| add(tx, BOOK, &texts[..1]))?;
    for (text, wanted) in [
        ("zoe", vec![1]),
        ("ZOË MILL", vec![1]),
        ("mil", vec![1, 2]),
        // Those with it in their name come first.
        ("anna", vec![3, 1]),
        ("an", vec![3, 1]),
        ("0013", vec![1, 2]),
        ("138001380", vec![1, 2]),
        ("0138001", vec![2]),
        ("+86 138 0013", vec![1]),
        ("小明", vec![2]),
        ("王", vec![2]),
        ("小王", vec![]),
        ("example smith", vec![3]),
        ("mith", vec![]),
        ("zoe smith", vec![]),
        ("13", vec![]),
    ] {
        same(text, contacts(store, ann, text)?, wanted)?;
    }
    let all: Vec<_> = found(store, ann, None, "anna")?;
    same("in all books", all.len(), 4)?;
    same("in names first", all[0], (BOOK, 3))?;
    same("in notes", found(store, ann, Some(OTHER_BOOK), "call")?, vec![(OTHER_BOOK, 1)])?;
    same("in one that is not there", found(store, ann, Some(BookNo(5)), "anna")?, vec![])?;
    same("of another account", found(store, bob, None, "anna")?, vec![(BOOK, 1)])?;
    let page = search(store, ann, Some(BOOK), &query("zoe 8613")?, None, 9)?;
    let matched: Vec<_> = page.hits.iter().flat_map(|hit| hit.matched.clone()).collect();
    let wanted = [("FN", "Zoë Miller"), ("TEL", "+86 138-0013-8000")];
    same("where", matched, wanted.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec())
}

pub(super) fn words_follow(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| add(tx, BOOK, &[&card("Ann One", ""), &card("Ann Two", "")]))?;
    same("at first", contacts(store, ann, "ann")?, vec![1, 2])?;
    write(store, ann, |tx| {
        replace(tx, BOOK, Guid(1), &card("Bob One", ""))?;
        delete(tx, BOOK, Guid(2))?;
        add(tx, BOOK, &[&card("Ann Three", "")])
    })?;
    same("after an edit, a delete and an add", contacts(store, ann, "ann")?, vec![5])?;
    same("what was edited", contacts(store, ann, "bob")?, vec![1])?;
    write(store, ann, |tx| replace(tx, BOOK, Guid(2), &card("Ann Two", "")))?;
    same("after it came back", contacts(store, ann, "ann")?, vec![2, 5])?;
    // What was rolled back is not there, and what was indexed with it is not forgotten.
    drop(store.step(ann, &mut |tx| {
        add(tx, BOOK, &[&card("Ann Four", "")])?;
        Ok(crate::store::Verdict::Rollback)
    }));
    same("after a step that was undone", contacts(store, ann, "ann")?, vec![2, 5])
}

pub(super) fn words_in_pages(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let cards: Vec<_> = (0..60)
        .map(|n| match n % 3 {
            0 => card(&format!("Ann {n}"), ""),
            1 => card(&format!("Bob {n}"), "NOTE:knows Ann\r\n"),
            _ => card("Nobody", ""),
        })
        .collect();
    let texts: Vec<_> = cards.iter().map(String::as_str).collect();
    write(store, ann, |tx| {
        add(tx, BOOK, &texts)?;
        add(tx, BACKED_UP, &texts)
    })?;
    let whole = search(store, ann, None, &query("ann")?, None, 500)?;
    same("all", (whole.hits.len(), whole.next.is_some()), (80, false))?;
    for size in [1, 7, 40, 79, 80, 81] {
        let (mut pages, mut cursor, mut calls) = (Vec::new(), None, 0);
        loop {
            let Page { hits, next, .. } = search(store, ann, None, &query("ann")?, cursor, size)?;
            holds("a page is as long as was asked", hits.len() == size || next.is_none())?;
            pages.extend(hits);
            calls += 1;
            // As a page that is asked for by its address.
            cursor = next.map(|next| next.to_string().parse()).transpose()?;
            if cursor.is_none() || calls > 99 {
                break;
            }
        }
        let ids = |hits: &[Hit]| hits.iter().map(|hit| (hit.rank, hit.book, hit.item.guid)).collect::<Vec<_>>();
        same("pages put together", ids(&pages), ids(&whole.hits))?;
        same("pages", calls, 80_usize.div_ceil(size))?;
    }
    let none = search(store, ann, None, &query("ann")?, None, 0)?;
    same("a page of none", (none.hits.len(), none.next), (0, None))?;
    let ranks: Vec<_> = whole.hits.iter().map(|hit| hit.rank).collect();
    holds("names come first", ranks.is_sorted() && ranks[39] == Rank::Name && ranks[40] == Rank::Other)
}

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % n
    }

    fn of(&mut self, parts: &[&'static str], most: usize, between: &str) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| parts[self.below(parts.len())]).collect::<Vec<_>>().join(between)
    }
}

pub(super) fn words_as_a_scan(store: &dyn Store) -> Outcome {
    const WORDS: [&str; 12] = ["an", "ann", "Anna", "bo", "Bob", "Zoë", "x1", "12", "O'Neil", "a-b", "b", "ｂｏ"];
    const DIGITS: [&str; 8] = ["1", "12", "123", "0", "00", "138", "-", " "];
    const HAN: [&str; 6] = ["王", "小", "明", "小明", "한", "か"];
    let ann = account(store, "ann")?;
    let mut dice = Dice(7);
    for round in 0..12 {
        write(store, ann, |tx| {
            for book in [BOOK, BACKED_UP] {
                let mut writer = writer(tx, book)?;
                for _ in 0..12 {
                    let (name, note) = (dice.of(&WORDS, 3, " "), dice.of(&WORDS, 2, "@"));
                    let (han, more) = (dice.of(&HAN, 3, ""), dice.of(&HAN, 3, " "));
                    let (tel, digits) = (dice.of(&DIGITS, 6, ""), dice.of(&DIGITS, 5, ""));
                    let lines = format!("TEL:{tel}\r\nN:{more};{han};;;\r\nNOTE:{note} {digits} {han}{name}\r\n");
                    writer.add(Draft::of(book, card(&name, &lines).into_bytes()));
                }
                writer.flush(tx)?;
                for _ in 0..4 {
                    let guid = Guid(1 + dice.below(12) as i64);
                    if tx.items(book, &[guid])?.pop().flatten().is_some_and(|item| !item.deleted) {
                        if dice.below(2) == 0 {
                            delete(tx, book, guid)?;
                        } else {
                            replace(tx, book, guid, &card(&dice.of(&HAN, 4, ""), "TEL:0138-12\r\n"))?;
                        }
                    }
                }
            }
            Ok(())
        })?;
        for _ in 0..25 {
            let text = match dice.below(4) {
                0 => dice.of(&WORDS, 2, " "),
                1 => dice.of(&DIGITS, 4, ""),
                2 => dice.of(&HAN, 3, ""),
                _ => format!("{} {} {}", dice.of(&WORDS, 1, ""), dice.of(&DIGITS, 3, ""), dice.of(&HAN, 1, "")),
            };
            let Ok(wanted) = text.parse::<Query>() else { continue };
            let mut scanned = read(store, ann, |tx| {
                let mut hits = Vec::new();
                for row in tx.books()? {
                    for item in tx.changes(row.book, crate::store::Revision(0), ALL, usize::MAX)? {
                        let text = searchable(row.book.kind(), &item.content);
                        if let Some(hit) = wanted.matches(&text).filter(|_| !item.deleted) {
                            hits.push((hit.rank, row.book, item.guid));
                        }
                    }
                }
                Ok(hits)
            })?;
            let page = search(store, ann, None, &wanted, None, 500)?;
            let mut hits: Vec<_> = page.hits.iter().map(|hit| (hit.rank, hit.book, hit.item.guid)).collect();
            holds("better ones come first", hits.is_sorted_by_key(|hit| hit.0))?;
            hits.sort_unstable();
            scanned.sort_unstable();
            same(&format!("round {round}, {text:?}"), hits, scanned)?;
        }
    }
    Ok(())
}
