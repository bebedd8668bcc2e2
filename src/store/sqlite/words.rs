//! The index for search, in FTS5: terms without texts.

use super::super::search::{ItemTerms, Place, spell};
use super::super::*;
use super::failure::OrFailure;
use super::tx::{SqliteTx, rows_at_most};
use crate::contact::search::TermQuery;

impl SqliteTx<'_> {
    pub(super) fn words_upto(&self) -> Result<Vec<(BookNo, Revision)>> {
        let sql = "SELECT book, upto FROM words_book WHERE account = ?1 ORDER BY book";
        self.all(sql, (self.account,), |row| Ok((BookNo(row.get(0)?), Revision(row.get(1)?))))
    }

    pub(super) fn put_words(&mut self, book: BookNo, rows: &[ItemTerms], upto: Revision) -> Result<()> {
        self.locked(book)?;
        let sql = "INSERT INTO words_book (account, book, upto) VALUES (?1, ?2, ?3)
                   ON CONFLICT (account, book) DO UPDATE SET upto = excluded.upto RETURNING slot";
        let slot = self.one(sql, (self.account, book.0, upto.0), |row| row.get(0))?.unwrap_or_default();
        let mut delete = self.prepare("DELETE FROM words WHERE rowid = ?1")?;
        let mut insert = self.prepare("INSERT OR REPLACE INTO words (rowid, terms) VALUES (?1, ?2)")?;
        let mut text = String::new();
        for row in rows {
            let place = Place::of(slot, row.guid)?;
            if row.terms.is_empty() {
                delete.execute((place,)).or_failure()?;
                continue;
            }
            text.clear();
            for term in &row.terms {
                text.push_str(&self.term(term));
                text.push(' ');
            }
            insert.execute((place, &text)).or_failure()?;
        }
        Ok(())
    }

    pub(super) fn by_words(
        &self,
        book: Option<BookNo>,
        want: &TermQuery,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Place>> {
        let (mut first, mut last) = (after.saturating_add(1), i64::MAX);
        if let Some(book) = book {
            let sql = "SELECT slot FROM words_book WHERE account = ?1 AND book = ?2";
            let Some(slot) = self.one(sql, (self.account, book.0), |row| row.get(0))? else { return Ok(Vec::new()) };
            let range = Place::range(slot);
            (first, last) = (first.max(range.0), range.1);
        }
        let spelt = spell(want, [" AND ", " OR ", " NOT "], &|term, prefix| {
            format!("\"{}\"{}", self.term(term), if prefix { "*" } else { "" })
        });
        let sql = "SELECT rowid FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid LIMIT ?4";
        let places: Vec<i64> = self.all(sql, (spelt, first, last, rows_at_most(limit)), |row| row.get(0))?;
        let mut found = Vec::with_capacity(places.len());
        let mut known = None;
        for place in places {
            let (slot, guid) = Place::parts(place);
            let book = match known {
                Some((known, book)) if known == slot => Some(book),
                _ => {
                    let sql = "SELECT book FROM words_book WHERE slot = ?2 AND account = ?1";
                    self.one(sql, (self.account, slot), |row| row.get(0).map(BookNo))?
                }
            };
            if let Some(book) = book {
                known = Some((slot, book));
                found.push(Place { place, book, guid });
            }
        }
        Ok(found)
    }

    /// A term of this account: no other's begin so.
    fn term(&self, term: &str) -> String {
        format!("{:x}.{term}", self.account)
    }
}
