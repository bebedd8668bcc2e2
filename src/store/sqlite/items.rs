//! Books and their items.

use super::super::*;
use super::failure::OrFailure;
use super::prints::Entry;
use super::rows::{self, item_columns};
use super::tx::{LockedBook, SqliteTx, rows_at_most};
use rusqlite::{OptionalExtension, Row, Statement};

const BOOK: &str = "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed, indexed_upto
                    FROM book WHERE account = ?1 AND book = ?2";
const ITEM: &str =
    concat!("SELECT guid, revision, ", item_columns!(), " FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3");
const INDEX: &str = "INSERT OR IGNORE INTO match_key (account, book, key, guid) VALUES (?1, ?2, ?3, ?4)";
const UNINDEX: &str = "DELETE FROM match_key WHERE account = ?1 AND book = ?2 AND key = ?3 AND guid = ?4";

impl SqliteTx<'_> {
    pub(super) fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        // The write lock of the file is held from the step's beginning.
        let mut found = Vec::with_capacity(books.len());
        for &book in books {
            let create = "INSERT INTO book (account, book, stamp, head, live_items, live_bytes, purged_upto, indexed,
                           indexed_upto) VALUES (?1, ?2, random() & 4294967295, 0, 0, 0, 0, 0, -9223372036854775808)
                          ON CONFLICT DO NOTHING";
            let read = |row: &Row<'_>| Ok((rows::book(row)?, Guid(row.get(7)?)));
            let mut row = self.one(BOOK, (self.account, book.0), read)?;
            if row.is_none() {
                self.run(create, (self.account, book.0))?;
                row = self.one(BOOK, (self.account, book.0), read)?;
            }
            let (row, indexed_upto) = row.ok_or_else(|| StoreError::Failed(format!("book {book} was not created")))?;
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
        let mut select = self.prepare(ITEM)?;
        let mut item = |guid: &Guid| select.query_row((self.account, book.0, guid.0), rows::item).optional();
        guids.iter().map(|guid| item(guid).or_failure()).collect()
    }

    pub(super) fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        let sql =
            "INSERT INTO item (account, book, guid, revision, deleted, parent, depth, media_type, origin, at, fingerprint,
                    keys, content, blob, size)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        let (mut insert, mut index) = (self.prepare(sql)?, self.prepare(INDEX)?);
        for row in rows {
            locked.takes(row)?;
            rows::execute_with_item(&mut insert, self.account, book, row).or_failure()?;
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
        let (mut index, mut unindex) = (self.prepare(INDEX)?, self.prepare(UNINDEX)?);
        let mut found = self.prepare(
            "SELECT fingerprint, keys FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND deleted = 0",
        )?;
        let mut prints = Vec::new();
        let mut supersede = self.prepare(
            "INSERT INTO revision (account, book, guid, revision, kind, until, until_at, parent, depth, media_type,
              origin, at, content, blob, size)
             SELECT account, book, guid, revision, CASE WHEN deleted THEN 2 WHEN revision = guid THEN 0 ELSE 1 END,
              ?4, ?5, parent, depth, media_type, origin, at, content, blob, size
             FROM item WHERE account = ?1 AND book = ?2 AND guid = ?3 AND revision < ?4",
        )?;
        let mut update = self.prepare(
            "UPDATE item SET revision = ?4, deleted = ?5, parent = ?6, depth = ?7, media_type = ?8, origin = ?9, at = ?10,
              fingerprint = ?11, keys = ?12, content = ?13, blob = ?14, size = ?15
             WHERE account = ?1 AND book = ?2 AND guid = ?3",
        )?;
        for row in rows {
            locked.takes(row)?;
            let id = (self.account, book.0, row.guid.0);
            let old = found.query_row(id, |row| Ok((row.get(0)?, rows::unpack_keys(row.get_ref(1)?.as_blob()?))));
            let (old_print, old): (Option<[u8; 16]>, _) = old.optional().or_failure()?.unzip();
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
            if supersede.execute((id.0, id.1, id.2, row.revision.0, row.at.0)).or_failure()? == 0 {
                let (guid, revision) = (row.guid, row.revision);
                return Err(StoreError::Corrupt(format!("item {guid} of book {book} is not older than {revision}")));
            }
            rows::execute_with_item(&mut update, self.account, book, row).or_failure()?;
        }
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
            "SELECT guid, guid AS revision, ",
            item_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3 AND guid <= ?4 AND revision = guid
              UNION ALL SELECT guid, revision, ",
            item_columns!(),
            " FROM item WHERE account = ?1 AND book = ?2 AND revision > ?3 AND revision <= ?4 AND revision <> guid
              ORDER BY 2 LIMIT ?5"
        );
        if after >= upto || limit == 0 {
            return Ok(Vec::new());
        }
        let limit = rows_at_most(limit);
        let upto = self.bound(book, after, upto, limit)?;
        self.all(PAGE, (self.account, book.0, after.0, upto.0, limit), rows::item)
    }

    /// The `count`th revision after `after` that changed an item which was there before, or `upto` where that is
    /// earlier.
    pub(super) fn bound(&self, book: BookNo, after: Revision, upto: Revision, count: i64) -> Result<Revision> {
        const BOUND: &str = "SELECT revision FROM item WHERE account = ?1 AND book = ?2 AND revision > ?3
                              AND revision <= ?4 AND revision <> guid ORDER BY revision LIMIT 1 OFFSET ?5";
        let values = (self.account, book.0, after.0, upto.0, count - 1);
        Ok(self.one(BOUND, values, |row| row.get(0).map(Revision))?.unwrap_or(upto))
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
        let sql = "SELECT guid FROM item INDEXED BY item_parent
                   WHERE account = ?1 AND book = ?2 AND parent = ?3 AND deleted = 0 AND guid > ?4 ORDER BY guid LIMIT ?5";
        self.all(sql, (self.account, book.0, parent.0, after.0, rows_at_most(limit)), |row| row.get(0).map(Guid))
    }

    pub(super) fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        let mut locked = *self.locked(book)?;
        if locked.indexed {
            return Ok(true);
        }
        let sql = "SELECT guid, keys, deleted FROM item WHERE account = ?1 AND book = ?2 AND guid > ?3
                   ORDER BY guid LIMIT ?4";
        let which = (self.account, book.0, locked.indexed_upto.0, rows_at_most(limit.saturating_add(1)));
        let page = self.all(sql, which, |row| {
            Ok((Guid(row.get(0)?), rows::unpack_keys(row.get_ref(1)?.as_blob()?), row.get::<_, bool>(2)?))
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
