//! The index for search: lexemes of our own making in a `tsvector`, found by GIN.

use super::super::search::{ItemTerms, Place, spell};
use super::super::*;
use super::failure::OrFailure;
use super::tx::{PostgresTx, rows_at_most};
use crate::contact::search::TermQuery;

impl PostgresTx<'_> {
    pub(super) fn words_upto(&mut self) -> Result<Vec<(BookNo, Revision)>> {
        let account = self.account;
        let sql = "SELECT book, upto FROM words_book WHERE account = $1 ORDER BY book";
        self.all(sql, &[&account], |row| {
            Ok((BookNo(row.try_get(0).or_failure()?), Revision(row.try_get(1).or_failure()?)))
        })
    }

    pub(super) fn put_words(&mut self, book: BookNo, rows: &[ItemTerms], upto: Revision) -> Result<()> {
        self.locked(book)?;
        let account = self.account;
        // Not in one: an INSERT that becomes an UPDATE has used up a number. Under the book's lock nobody else makes the row.
        const WAYS: [&str; 2] = [
            "UPDATE words_book SET upto = $3 WHERE account = $1 AND book = $2 RETURNING slot",
            "INSERT INTO words_book (account, book, upto) VALUES ($1, $2, $3) RETURNING slot",
        ];
        let mut slot: Option<i64> = None;
        for sql in WAYS {
            if slot.is_none() {
                slot = self.one(sql, &[&account, &book.0, &upto.0], |row| row.try_get(0).or_failure())?;
            }
        }
        let slot = slot.unwrap_or_default();
        let (mut places, mut texts, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let place = Place::of(slot, row.guid)?;
            if row.terms.is_empty() {
                gone.push(place);
            } else {
                places.push(place);
                texts.push(row.terms.iter().map(|term| self.term(term)).collect::<Vec<_>>().join(" "));
            }
        }
        if !gone.is_empty() {
            self.run("DELETE FROM words WHERE account = $1 AND place = ANY ($2)", &[&account, &gone])?;
        }
        if !places.is_empty() {
            let sql = "INSERT INTO words (account, place, terms)
                       SELECT $1, n.place, array_to_tsvector(string_to_array(n.terms, ' '))
                       FROM unnest($2::bigint[], $3::text[]) AS n (place, terms)
                       ON CONFLICT (place, account) DO UPDATE SET terms = excluded.terms";
            self.run(sql, &[&account, &places, &texts])?;
        }
        Ok(())
    }

    pub(super) fn by_words(
        &mut self,
        book: Option<BookNo>,
        want: &TermQuery,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Place>> {
        // First by the terms, which are few; in the order of places all items of the account would be tried one by one.
        const FIND: &str = "WITH found AS MATERIALIZED
              (SELECT place FROM words WHERE account = $1 AND terms @@ $2::text::tsquery)
             SELECT place FROM found WHERE place BETWEEN $3 AND $4 ORDER BY place LIMIT $5";
        let account = self.account;
        let (mut first, mut last) = (after.saturating_add(1), i64::MAX);
        let sql = "SELECT book, slot FROM words_book WHERE account = $1";
        let books: Vec<(BookNo, i64)> =
            self.all(sql, &[&account], |row| Ok((BookNo(row.try_get(0).or_failure()?), row.try_get(1).or_failure()?)))?;
        if let Some(book) = book {
            let Some((_, slot)) = books.iter().find(|(known, _)| *known == book) else { return Ok(Vec::new()) };
            let range = Place::range(*slot);
            (first, last) = (first.max(range.0), range.1);
        }
        let spelt = spell(want, [" & ", " | ", " & !"], &|term, prefix| {
            format!("'{}'{}", self.term(term), if prefix { ":*" } else { "" })
        });
        let values: super::conn::Values<'_> = &[&account, &spelt, &first, &last, &rows_at_most(limit)];
        let places: Vec<i64> = self.all(FIND, values, |row| row.try_get(0).or_failure())?;
        Ok(places
            .into_iter()
            .filter_map(|place| {
                let (slot, guid) = Place::parts(place);
                let (book, _) = books.iter().find(|(_, known)| *known == slot)?;
                Some(Place { place, book: *book, guid })
            })
            .collect())
    }

    /// A term of this account: no other's begin so.
    fn term(&self, term: &str) -> String {
        format!("{:x}.{term}", self.account)
    }
}
