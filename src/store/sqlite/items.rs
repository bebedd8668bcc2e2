//! Books and their items.

use super::super::*;
use super::failure::OrFailure;
use super::place::{number, number_at};
use super::prints::Entry;
use super::rows::{self, item_columns};
use super::tx::{LockedBook, SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, Row, Statement};

const BOOK: &str = "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed, indexed_upto, slot
                    FROM book WHERE account = ?1 AND book = ?2";
const ITEM: &str = concat!("SELECT place, changed, ", item_columns!(), " FROM item WHERE place = ?1");
const INDEX: &str = "INSERT OR IGNORE INTO match_key (account, book, key, guid) VALUES (?1, ?2, ?3, ?4)";
const UNINDEX: &str = "DELETE FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 AND guid = ?4";

impl SqliteTx<'_> {
    pub(super) fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        // The write lock of the file is held from the step's beginning.
        let mut found = Vec::with_capacity(books.len());
        for &book in books {
            let create = "INSERT INTO book (account, book, slot, stamp, head, live_items, live_bytes, purged_upto, indexed,
                           indexed_upto)
                          VALUES (?1, ?2, (SELECT ifnull(max(slot), 0) + 1 FROM book), random() & 4294967295, 0, 0, 0, 0, 0,
                           -9223372036854775808)";
            let read = |row: &Row<'_>| Ok((rows::book(row)?, Guid(row.get(7)?), row.get(8)?));
            let mut row = self.one(BOOK, (self.account, book.0), read)?;
            if row.is_none() {
                self.run(create, (self.account, book.0))?;
                row = self.one(BOOK, (self.account, book.0), read)?;
            }
            let created = row.ok_or_else(|| StoreError::Failed(format!("book {book} was not created")));
            let (row, indexed_upto, slot) = created?;
            self.know(book, slot)?;
            let locked = LockedBook { book, head: row.head, indexed: row.indexed, indexed_upto };
            self.locked.retain(|locked| locked.book != book);
            self.locked.push(locked);
            found.push(row);
        }
        Ok(found)
    }

    pub(super) fn book(&self, book: BookNo) -> Result<Option<BookRow>> {
        self.one(BOOK, (self.account, book.0), rows::book)
    }

    pub(super) fn put_book(&mut self, row: &BookRow) -> Result<()> {
        let locked = self.locked(row.book)?;
        if row.head < locked.head {
            return Err(StoreError::Corrupt(format!("the head of book {} shall go back to {}", row.book, row.head)));
        }
        locked.head = row.head;
        let sql = "UPDATE book SET head = ?3, live_items = ?4, live_bytes = ?5, purged_upto = ?6
                   WHERE account = ?1 AND book = ?2";
        let values = (self.account, row.book.0, row.head.0, row.live_items, row.live_bytes, row.purged_upto.0);
        self.run(sql, values).map(drop)
    }

    pub(super) fn books(&self) -> Result<Vec<BookRow>> {
        let sql = "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed
                   FROM book WHERE account = ?1 ORDER BY book";
        self.all(sql, [self.account], rows::book)
    }

    pub(super) fn adopt_book(&mut self, row: &BookRow) -> Result<()> {
        let locked = self.locked(row.book)?;
        if locked.head != Revision(0) {
            return Err(StoreError::Corrupt(format!("book {} holds something already", row.book)));
        }
        locked.head = row.head;
        let sql = "UPDATE book SET stamp = ?3, head = ?4, live_items = ?5, live_bytes = ?6, purged_upto = ?7
                   WHERE account = ?1 AND book = ?2";
        let BookRow { stamp, live_items, live_bytes, .. } = row;
        self.run(sql, (self.account, row.book.0, stamp, row.head.0, live_items, live_bytes, row.purged_upto.0))
            .map(drop)
    }

    pub(super) fn mark_dirty(&self, book: BookNo) -> Result<()> {
        let sql = "INSERT INTO dirty (device_id, account, book)
                   SELECT device_id, ?1, ?2 FROM \"grant\" WHERE account = ?1 ON CONFLICT DO NOTHING";
        self.run(sql, (self.account, book.0)).map(drop)
    }

    pub(super) fn clear_dirty(&self, device_id: &str, book: BookNo) -> Result<()> {
        let sql = "DELETE FROM dirty WHERE device_id = ?3 AND account = ?1 AND book = ?2";
        self.run(sql, (self.account, book.0, device_id)).map(drop)
    }

    pub(super) fn items(&self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        let (mut select, places) = (self.prepare(ITEM)?, self.places(book)?);
        let mut item =
            |guid: &Guid| select.query_row((places.of(guid.0),), |row| rows::item(&self.packing, row)).optional();
        guids.iter().map(|guid| item(guid).or_failure()).collect()
    }

    pub(super) fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        let sql =
            "INSERT INTO item (place, changed, deleted, parent, depth, media_type, origin, at, fingerprint, keys, content,
                    blob, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let (mut insert, mut index, places) = (self.prepare(sql)?, self.prepare(INDEX)?, self.places(book)?);
        for row in rows {
            locked.takes(row)?;
            rows::execute_with_item(&mut insert, places, &self.packing, row)?;
            if locked.indexes(row.guid) && !row.deleted {
                self.index(&mut index, book, row.guid, &row.keys)?;
            }
        }
        let live = rows.iter().filter(|row| !row.deleted);
        let prints: Vec<Entry> = live.map(|row| Entry::new(&row.fingerprint, row.guid, true)).collect();
        self.note_prints(book, &prints)
    }

    pub(super) fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        let (mut index, mut unindex, places) = (self.prepare(INDEX)?, self.prepare(UNINDEX)?, self.places(book)?);
        let mut found =
            self.prepare("SELECT fingerprint, keys, changed IS NULL FROM item WHERE place = ?1 AND deleted = 0")?;
        let (mut prints, mut views) = (Vec::new(), Vec::new());
        let mut supersede = self.prepare(
            "INSERT INTO revision (place, item, kind, until, until_at, parent, depth, media_type, origin, at, content, blob,
              size)
             SELECT ifnull(changed, place), place, CASE WHEN deleted THEN 2 WHEN changed IS NULL THEN 0 ELSE 1 END,
              ?3, ?4, parent, depth, media_type, origin, at, content, blob, size
             FROM item WHERE place = ?1 AND ifnull(changed, place) < ?2",
        )?;
        let mut update = self.prepare(
            "UPDATE item SET changed = ?2, deleted = ?3, parent = ?4, depth = ?5, media_type = ?6, origin = ?7, at = ?8,
              fingerprint = ?9, keys = ?10, content = ?11, blob = ?12, size = ?13 WHERE place = ?1",
        )?;
        for row in rows {
            locked.takes(row)?;
            let place = places.of(row.guid.0);
            let old = found.query_row((place,), |row| {
                Ok((row.get(0)?, rows::unpack_keys(row.get_ref(1)?.as_blob()?), row.get::<_, bool>(2)?))
            });
            let old = old.optional().or_failure()?;
            if let Some((print, _, true)) = old {
                views.push((row.guid, print));
            }
            let (old_print, old): (Option<[u8; 16]>, _) = old.map(|(print, keys, _)| (print, keys)).unzip();
            let new_print = Some(row.fingerprint).filter(|_| !row.deleted);
            if old_print != new_print {
                prints.extend(old_print.map(|print| Entry::new(&print, row.guid, false)));
                prints.extend(new_print.map(|print| Entry::new(&print, row.guid, true)));
            }
            if locked.indexes(row.guid) {
                let old = old.unwrap_or_default();
                let new = if row.deleted { &[][..] } else { &row.keys[..] };
                if old != new {
                    self.index(&mut unindex, book, row.guid, &old)?;
                    self.index(&mut index, book, row.guid, new)?;
                }
            }
            let superseded = (place, places.room(row.revision.0)?, row.revision.0, row.at.0);
            if supersede.execute(superseded).or_failure()? == 0 {
                let (guid, revision) = (row.guid, row.revision);
                return Err(StoreError::Corrupt(format!("item {guid} of book {book} is not older than {revision}")));
            }
            rows::execute_with_item(&mut update, places, &self.packing, row)?;
        }
        self.keep_views(book, &views)?;
        self.note_prints(book, &prints)
    }

    pub(super) fn changes(
        &self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        // Items that were changed since they were created are found in the index of revisions; the others by their
        // guid, which is their revision. The bound keeps the second search from running past the page over a long row
        // of changed items, page after page.
        const PAGE: &str = concat!(
            "SELECT place, place AS changed, ",
            item_columns!(),
            " FROM item WHERE place > ?1 AND place <= ?2 AND changed IS NULL UNION ALL SELECT place, changed, ",
            item_columns!(),
            " FROM item WHERE changed > ?1 AND changed <= ?2 ORDER BY 2 LIMIT ?3"
        );
        if after >= upto || limit == 0 {
            return Ok(Vec::new());
        }
        let limit = rows_at_most(limit);
        let (upto, places) = (self.bound(book, after, upto, limit)?, self.places(book)?);
        self.all(PAGE, (places.upto(after.0), places.upto(upto.0), limit), |row| rows::item(&self.packing, row))
    }

    /// The `count`th revision after `after` that changed an item which was there before, or `upto` where that is
    /// earlier.
    pub(super) fn bound(&self, book: BookNo, after: Revision, upto: Revision, count: i64) -> Result<Revision> {
        const BOUND: &str =
            "SELECT changed FROM item WHERE changed > ?1 AND changed <= ?2 ORDER BY changed LIMIT 1 OFFSET ?3";
        let places = self.places(book)?;
        let values = (places.upto(after.0), places.upto(upto.0), count - 1);
        Ok(self.one(BOUND, values, |row| row.get(0).map(number_at))?.map_or(upto, Revision))
    }

    pub(super) fn by_match_key(&self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut select = self.prepare(
            "SELECT guid FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 ORDER BY guid LIMIT ?4",
        )?;
        let limit = rows_at_most(limit);
        let found = |key: &u64| {
            let which = (self.account, book.0, key.cast_signed(), limit);
            select.query_map(which, |row| row.get(0).map(Guid)).and_then(Iterator::collect).or_failure()
        };
        keys.iter().map(found).collect()
    }

    pub(super) fn children(&self, book: BookNo, parent: Guid, after: Guid, limit: usize) -> Result<Vec<Guid>> {
        let sql = "SELECT place FROM item INDEXED BY item_parent
                   WHERE parent = ?1 AND deleted = 0 AND place > ?2 ORDER BY place LIMIT ?3";
        let places = self.places(book)?;
        let which = (places.of(parent.0), places.upto(after.0), rows_at_most(limit));
        self.all(sql, which, |row| row.get(0).map(number_at).map(Guid))
    }

    pub(super) fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        let mut locked = *self.locked(book)?;
        if locked.indexed {
            return Ok(true);
        }
        let sql = "SELECT place, keys, deleted FROM item WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3";
        let places = self.places(book)?;
        let range = (places.upto(locked.indexed_upto.0), places.upto(i64::MAX), rows_at_most(limit.saturating_add(1)));
        let page = self.all(sql, range, |row| {
            Ok((Guid(number_at(row.get(0)?)), rows::unpack_keys(row.get_ref(1)?.as_blob()?), row.get::<_, bool>(2)?))
        })?;
        let mut index = self.prepare(INDEX)?;
        for (guid, keys, deleted) in page.iter().take(limit) {
            locked.indexed_upto = *guid;
            if !deleted {
                self.index(&mut index, book, *guid, keys)?;
            }
        }
        locked.indexed = page.len() <= limit;
        let sql = "UPDATE book SET indexed = ?3, indexed_upto = ?4 WHERE account = ?1 AND book = ?2";
        self.run(sql, (self.account, book.0, locked.indexed, locked.indexed_upto.0))?;
        *self.locked(book)? = locked;
        Ok(locked.indexed)
    }

    /// Runs one of the two statements that keep the index of match keys, once for each key.
    fn index(&self, statement: &mut Statement<'_>, book: BookNo, guid: Guid, keys: &[u64]) -> Result<()> {
        for key in keys {
            statement.execute((self.account, book.0, key.cast_signed(), guid.0)).or_failure()?;
        }
        Ok(())
    }
}
