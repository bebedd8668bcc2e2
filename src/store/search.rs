//! Search over all that an account has in its books: people type words, digits or characters, and get items.
//!
//! What finds what is told in [`contact::search`](crate::contact::search). The functions there decide alone; an index only says
//! what to look at. So all stores find the same, and nothing that is gone or changed: every hit was read as it is now.
//!
//! The index is made when somebody searches, of what changed since the last time, and nothing of it in the steps of a sync.
//! A search that finds the index behind its books ([`Tx::words_upto`]) brings it up in steps of a thousand items; one that does
//! not only looks. The first search of a large account takes accordingly long: a host may call [`catch_up`] before.

use super::{AccountNo, BookNo, BookRow, Guid, ItemRow, Result, Revision, Store, StoreError, Tx, Verdict};
use crate::contact::identity::Kind;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::contact::search::TermQuery;
use crate::contact::search::{Query, Rank, searchable};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The most hits of a page.
pub const MOST_HITS: usize = 500;
/// Items whose words are indexed in one step.
const STEP: usize = 1_000;
/// Books that are brought up to date in one step.
const STEP_BOOKS: usize = 64;
/// Items that are looked at for one page. Only digits and characters in a row can say too many.
const LOOKED_AT: usize = 5_000;
/// How often a search looks again while others write.
const TRIES: usize = 4;

/// What an index says of an item: where it is in the order in which hits are given, and which item it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Ascending in an account: books in the order in which they were first searched, items by their age.
    pub place: i64,
    /// The item's book.
    pub book: BookNo,
    /// The item.
    pub guid: Guid,
}

impl Place {
    /// Bits of a guid in a place.
    const GUID: u32 = 36;

    /// The place of an item of a book that has this number among those that are searched.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond 2^36 revisions of a book or 2^27 books.
    pub fn of(slot: i64, guid: Guid) -> Result<i64> {
        let fits = (0..1 << 27).contains(&slot) && (0..1 << Self::GUID).contains(&guid.0);
        let full = || StoreError::Full(format!("item {guid} has no place in the index for search"));
        fits.then_some(slot << Self::GUID | guid.0).ok_or_else(full)
    }

    /// The number of its book, and the item at a place.
    #[must_use]
    pub const fn parts(place: i64) -> (i64, Guid) {
        (place >> Self::GUID, Guid(place & ((1 << Self::GUID) - 1)))
    }

    /// The first and the last place of a book.
    #[must_use]
    pub const fn range(slot: i64) -> (i64, i64) {
        (slot << Self::GUID, (slot << Self::GUID) + (1 << Self::GUID) - 1)
    }
}

/// The terms of an item ([`Searchable::terms`](crate::contact::search::Searchable::terms)); none of one that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemTerms {
    /// The item.
    pub guid: Guid,
    /// Its terms.
    pub terms: Vec<String>,
}

/// Where a page ends, and the next begins. Its text is the store's own affair; it stays good while books change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    rank: Rank,
    place: i64,
}

impl Cursor {
    const START: Self = Self { rank: Rank::Name, place: -1 };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One more, so that it is not negative.
        write!(f, "{}-{}", u8::from(self.rank == Rank::Other), self.place + 1)
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (rank, place) = text.split_once('-')?;
            let rank = match rank {
                "0" => Rank::Name,
                "1" => Rank::Other,
                _ => return None,
            };
            Some(Self { rank, place: place.parse::<i64>().ok().filter(|place| *place >= 0)? - 1 })
        };
        parse().ok_or_else(|| StoreError::NotFound("such page of a search".to_owned()))
    }
}

/// An item that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hit {
    /// Its book.
    pub book: BookNo,
    /// The item as it is now, with its content.
    pub item: ItemRow<'static>,
    /// Where it was found.
    pub rank: Rank,
    /// The properties in which it was found, with their texts cut to a line: (`TEL`, `+44 20 …`).
    pub matched: Vec<(String, String)>,
}

/// Hits in their order.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// At most as many as were asked for. There may be fewer, even none, although there are more pages.
    pub hits: Vec<Hit>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// Searches all books of an account, or one: the next hits after `cursor`, at most `limit` (and [`MOST_HITS`]). Those in names and
/// telephone numbers come first; among equals the order is that of [`Place`].
///
/// An account sees nothing of another's. A book that is not there has no hits.
///
/// # Errors
/// The store's own failure.
pub fn search(
    store: &dyn Store,
    account: AccountNo,
    book: Option<BookNo>,
    query: &Query,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page> {
    let asked = Asked { book, query, cursor: cursor.unwrap_or(Cursor::START), limit: limit.min(MOST_HITS) };
    for _ in 0..TRIES {
        let mut page = None;
        store.look(account, &mut |tx| {
            // What is behind is found out in the same look, so that index and items are of one moment.
            page = if behind(tx, book)?.is_empty() { Some(asked.answer(tx)?) } else { None };
            Ok(())
        })?;
        if let Some(page) = page {
            return Ok(page);
        }
        catch_up(store, account, book, &mut |_| {})?;
    }
    // Others write all the time: they wait.
    let mut page = Page::default();
    store.step(account, &mut |tx| {
        let mut books: Vec<BookNo> = behind(tx, book)?.into_iter().map(|(row, _)| row.book).collect();
        books.sort_unstable();
        tx.lock_books(&books)?;
        for (row, upto) in behind(tx, book)? {
            let mut upto = upto;
            while upto < row.head {
                upto = index(tx, &row, upto, STEP)?.0;
            }
        }
        page = asked.answer(tx)?;
        Ok(Verdict::Commit)
    })?;
    Ok(page)
}

/// Brings the index of an account, or of one of its books, up to what is in it now: what the next [`search`] would do. `progress`
/// is told how many items were looked at so far.
///
/// # Errors
/// The store's own failure; what was done stays done.
pub fn catch_up(
    store: &dyn Store,
    account: AccountNo,
    book: Option<BookNo>,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut behind_now = Vec::new();
    store.look(account, &mut |tx| {
        behind_now = behind(tx, book)?.into_iter().map(|(row, _)| row).collect();
        Ok(())
    })?;
    // Up to the heads of now: whoever writes on is not run after.
    let mut done = 0;
    for rows in behind_now.chunks(STEP_BOOKS) {
        let mut more = true;
        while more {
            let mut count = 0;
            store.step(account, &mut |tx| {
                (more, count) = (false, 0);
                let books: Vec<_> = rows.iter().map(|row| row.book).collect();
                tx.lock_books(&books)?;
                let known: BTreeMap<_, _> = tx.words_upto()?.into_iter().collect();
                for row in rows {
                    let upto = known.get(&row.book).copied().unwrap_or_default();
                    if upto >= row.head {
                        continue;
                    }
                    if count >= STEP {
                        more = true;
                        break;
                    }
                    let (upto, items) = index(tx, row, upto, STEP - count)?;
                    count += items;
                    more |= upto < row.head;
                }
                Ok(Verdict::Commit)
            })?;
            done += count as u64;
            progress(done);
        }
    }
    Ok(())
}

/// Books of which changes are not indexed, ascending, with the revision up to which they are.
fn behind(tx: &mut dyn Tx, book: Option<BookNo>) -> Result<Vec<(BookRow, Revision)>> {
    let rows = match book {
        Some(book) => tx.book(book)?.into_iter().collect(),
        None => tx.books()?,
    };
    let known: BTreeMap<_, _> = tx.words_upto()?.into_iter().collect();
    let upto = |row: &BookRow| known.get(&row.book).copied().unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|row| (upto(&row), row))
        .filter(|(upto, row)| *upto < row.head)
        .map(|(upto, row)| (row, upto))
        .collect())
}

/// Indexes the next changes of a locked book, up to the head of `row`; says up to where, and how many.
fn index(tx: &mut dyn Tx, row: &BookRow, after: Revision, limit: usize) -> Result<(Revision, usize)> {
    let (book, kind) = (row.book, row.book.kind());
    let changes = if kind == Kind::Other { Vec::new() } else { tx.changes(book, after, row.head, limit)? };
    let terms = |item: &ItemRow<'_>| match item.deleted {
        true => Vec::new(),
        false => searchable(kind, &item.content).terms(),
    };
    let words: Vec<_> = changes.iter().map(|item| ItemTerms { guid: item.guid, terms: terms(item) }).collect();
    let upto = if words.len() < limit { row.head } else { changes.last().map_or(row.head, |last| last.revision) };
    tx.put_words(book, &words, upto)?;
    Ok((upto, words.len()))
}

struct Asked<'q> {
    book: Option<BookNo>,
    query: &'q Query,
    cursor: Cursor,
    limit: usize,
}

impl Asked<'_> {
    fn answer(&self, tx: &mut dyn Tx) -> Result<Page> {
        let mut page = Page::default();
        let mut looked_at = 0;
        let mut after = self.cursor.place;
        for rank in [Rank::Name, Rank::Other] {
            if rank < self.cursor.rank || self.limit == 0 {
                continue;
            }
            let want = self.query.terms(rank);
            // One more than is wanted says whether there is another page.
            let mut chunk = (self.limit - page.hits.len()).saturating_add(1);
            loop {
                let places = tx.by_words(self.book, &want, after, chunk)?;
                for (place, found) in self.look_at(tx, &places, rank)? {
                    if let Some(hit) = found {
                        if page.hits.len() == self.limit {
                            page.next = Some(Cursor { rank, place: after });
                            return Ok(page);
                        }
                        page.hits.push(hit);
                    }
                    after = place;
                }
                looked_at += places.len();
                if places.len() < chunk {
                    break;
                }
                if looked_at >= LOOKED_AT {
                    page.next = Some(Cursor { rank, place: after });
                    return Ok(page);
                }
                chunk = (chunk * 2).clamp(16, MOST_HITS);
            }
            after = Cursor::START.place;
        }
        Ok(page)
    }

    /// Reads what the index says, and keeps what is a hit of that rank.
    fn look_at(&self, tx: &mut dyn Tx, places: &[Place], rank: Rank) -> Result<Vec<(i64, Option<Hit>)>> {
        let mut found = Vec::with_capacity(places.len());
        for same in places.chunk_by(|one, other| one.book == other.book) {
            let book = same[0].book;
            let guids: Vec<_> = same.iter().map(|place| place.guid).collect();
            for (place, item) in same.iter().zip(tx.items(book, &guids)?) {
                let hit = item.filter(|item| !item.deleted).and_then(|item| self.hit(book, item, rank));
                found.push((place.place, hit));
            }
        }
        Ok(found)
    }

    fn hit(&self, book: BookNo, item: ItemRow<'static>, rank: Rank) -> Option<Hit> {
        let text = searchable(book.kind(), &item.content);
        let found = self.query.matches(&text).filter(|found| found.rank == rank)?;
        let matched = found.properties.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Some(Hit { book, rank, matched, item })
    }
}

/// Writes a search as a store's index understands it: `join` is told the words for and, or, and not; `term` a term, and
/// whether others that begin like it count too.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn spell(want: &TermQuery, words: [&str; 3], term: &dyn Fn(&str, bool) -> String) -> String {
    let list = |parts: &[TermQuery], word: &str| {
        let parts: Vec<_> = parts.iter().map(|part| spell(part, words, term)).collect();
        format!("({})", parts.join(word))
    };
    match want {
        TermQuery::Term(text) => term(text, false),
        TermQuery::Prefix(text) => term(text, true),
        TermQuery::All(parts) => list(parts, words[0]),
        TermQuery::Any(parts) => list(parts, words[1]),
        TermQuery::Not(one, other) => {
            format!("({}{}{})", spell(one, words, term), words[2], spell(other, words, term))
        }
    }
}
