//! Books and their items.

use super::super::*;
use super::conn::{OwnedValues, Values};
use super::failure::OrFailure;
use super::known::Shelf;
use super::maps::PAIRS;
use super::rows::{self, Columns, escape_some, item_columns};
use super::tx::{LockedBook, PostgresTx, parts, rows_at_most};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

macro_rules! book_columns {
    () => {
        "SELECT book, stamp, head, live_items, live_bytes, purged_upto, indexed, indexed_upto"
    };
}

/// Marks what a key of an account's advisory lock is for: its grants.
const GRANTS: i64 = 0x5379_4d4c << 32;

/// The key of the advisory lock that keeps an account's grants while its books are written.
pub(super) const fn grants_lock(account: i64) -> i64 {
    GRANTS ^ account
}

/// Inserts items whose values are arrays, from parameter 3 on.
macro_rules! insert_items {
    () => {
        "INSERT INTO item (account, book, guid, revision, deleted, parent, depth, media_type, origin, at, print,
          fingerprint, keys, content, blob, size) SELECT $1, $2, n.* FROM unnest($3::bigint[], $4::bigint[], $5::boolean[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
          $10::bigint[], $11::bigint[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bigint[], $16::bigint[])
          AS n"
    };
}

impl PostgresTx<'_> {
    pub(super) fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        // Who grants the account to a device waits for those who write it, or one of the two misses the other.
        const LOCK: &str = concat!(
            book_columns!(),
            ", pg_advisory_xact_lock_shared($3) FROM book WHERE account = $1 AND book = ANY ($2)
              ORDER BY book FOR UPDATE"
        );
        const CREATE: &str =
            "INSERT INTO book (account, book, stamp, head, live_items, live_bytes, purged_upto, indexed,
              indexed_upto) SELECT $1, book, floor(random() * 4294967296)::bigint, 0, 0, 0, 0, false,
               -9223372036854775808 FROM unnest($2::bigint[]) AS n (book) ORDER BY book ON CONFLICT DO NOTHING";
        let account = self.account;
        let mut wanted: Vec<i64> = books.iter().map(|book| book.0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let key = grants_lock(account);
        let values: Values<'_> = &[&account, &wanted, &key];
        let read = |row: &Row| {
            let (row, indexed_upto) = (rows::book(row)?, Guid(row.try_get(7).or_failure()?));
            let locked = LockedBook { book: row.book, head: row.head, indexed: row.indexed, indexed_upto };
            Ok((row, locked))
        };
        let mut found = self.locked_with(LOCK, values, &wanted)?.iter().map(read).collect::<Result<Vec<_>>>()?;
        if found.len() < wanted.len() {
            self.run(CREATE, &[&account, &wanted])?;
            found = self.locked_with(LOCK, values, &wanted)?.iter().map(read).collect::<Result<_>>()?;
        }
        let row = |book: &BookNo| {
            let row = found.iter().find(|(row, _)| row.book == *book).map(|(row, _)| row.clone());
            row.ok_or_else(|| StoreError::Failed(format!("book {book} was not created")))
        };
        let answer = books.iter().map(row).collect::<Result<Vec<_>>>()?;
        self.locked.retain(|locked| !books.contains(&locked.book));
        self.locked.extend(found.iter().map(|(_, locked)| *locked));
        Ok(answer)
    }

    /// Locks books by a statement, and in the same exchange, now that all is locked, asks what else a device's step goes by.
    fn locked_with(&mut self, lock: &'static str, values: Values<'_>, books: &[i64]) -> Result<Vec<Row>> {
        const SHELVES: &str = "SELECT EXISTS (SELECT FROM outgoing WHERE account = $1 AND device = $2),
              EXISTS (SELECT FROM staged WHERE account = $1 AND device = $2),
              EXISTS (SELECT FROM partial WHERE account = $1 AND device = $2),
              EXISTS (SELECT FROM errand WHERE account = $1 AND device = $2),
              EXISTS (SELECT FROM status_queue WHERE account = $1 AND token = $3)";
        let Some(device) = self.known.device.as_ref().map(|row| row.device) else { return self.rows(lock, values) };
        let (account, token) = (self.account, self.known.session.map_or_else(Vec::new, |token| token.0.to_vec()));
        let of_books: Values<'_> = &[&account, &device.0, &books];
        let of_device: Values<'_> = &[&account, &device.0, &token];
        let mut found = self.queries(&[(lock, values), (PAIRS, of_books), (SHELVES, of_device)])?;
        let (shelves, pairs) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
        let pairs = pairs.iter().map(|row| rows::pair(device, row)).collect::<Result<Vec<_>>>()?;
        for book in books {
            let pair = pairs.iter().find(|pair| pair.book.0 == *book).cloned();
            self.known.keep_pair(BookNo(*book), pair);
        }
        let mut empty = Vec::new();
        for (place, shelf) in Shelf::ALL.into_iter().enumerate() {
            if !shelves.first().map_or(Ok(true), |row| row.try_get(place)).or_failure()? {
                empty.push(shelf);
            }
        }
        self.known.keep_empty(empty);
        Ok(found.pop().unwrap_or_default())
    }

    pub(super) fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        let account = self.account;
        let sql = concat!(book_columns!(), " FROM book WHERE account = $1 AND book = $2");
        self.one(sql, &[&account, &book.0], rows::book)
    }

    pub(super) fn put_book(&mut self, row: &BookRow) -> Result<()> {
        let locked = self.locked(row.book)?;
        if row.head < locked.head {
            return Err(StoreError::Corrupt(format!("the head of book {} shall go back to {}", row.book, row.head)));
        }
        locked.head = row.head;
        let sql = "UPDATE book SET head = $3, live_items = $4, live_bytes = $5, purged_upto = $6
                   WHERE account = $1 AND book = $2";
        let counts = [row.head.0, row.live_items, row.live_bytes, row.purged_upto.0];
        let mut values: OwnedValues = vec![Box::new(self.account), Box::new(row.book.0)];
        values.extend(counts.map(|count| -> Box<dyn ToSql + Send + Sync> { Box::new(count) }));
        self.later(sql, values)
    }

    pub(super) fn books(&mut self) -> Result<Vec<BookRow>> {
        let account = self.account;
        self.all(concat!(book_columns!(), " FROM book WHERE account = $1 ORDER BY book"), &[&account], rows::book)
    }

    pub(super) fn adopt_book(&mut self, row: &BookRow) -> Result<()> {
        let locked = self.locked(row.book)?;
        if locked.head != Revision(0) {
            return Err(StoreError::Corrupt(format!("book {} holds something already", row.book)));
        }
        locked.head = row.head;
        let sql = "UPDATE book SET stamp = $3, head = $4, live_items = $5, live_bytes = $6, purged_upto = $7
                   WHERE account = $1 AND book = $2";
        let (account, stamp) = (self.account, i64::from(row.stamp));
        let BookRow { book, head, live_items, live_bytes, purged_upto, .. } = row;
        self.run(sql, &[&account, &book.0, &stamp, &head.0, live_items, live_bytes, &purged_upto.0]).map(drop)
    }

    pub(super) fn mark_dirty(&mut self, book: BookNo) -> Result<()> {
        let sql = "INSERT INTO dirty (device_id, account, book)
                   SELECT device_id, $1, $2 FROM \"grant\" WHERE account = $1 ORDER BY device_id ON CONFLICT DO NOTHING";
        self.later(sql, vec![Box::new(self.account), Box::new(book.0)])
    }

    pub(super) fn clear_dirty(&mut self, device_id: &str, book: BookNo) -> Result<()> {
        let sql = "DELETE FROM dirty WHERE device_id = $3 AND account = $1 AND book = $2";
        let device_id = rows::escape(device_id).into_owned();
        self.later(sql, vec![Box::new(self.account), Box::new(book.0), Box::new(device_id)])
    }

    pub(super) fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        const ITEMS: &str = concat!(
            "SELECT place, i.guid, revision, ",
            item_columns!(),
            " FROM unnest($3::bigint[]) WITH ORDINALITY AS n (guid, place) CROSS JOIN LATERAL
              (SELECT * FROM item WHERE account = $1 AND book = $2 AND item.guid = n.guid OFFSET 0) AS i"
        );
        let account = self.account;
        let wanted: Vec<i64> = guids.iter().map(|guid| guid.0).collect();
        self.each(guids.len(), ITEMS, &[&account, &book.0, &wanted], |row| rows::item(&mut Columns::from(row, 1)))
    }

    pub(super) fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        rows.iter().try_for_each(|row| locked.takes(row))?;
        if rows.is_empty() {
            return Ok(());
        }
        self.run_with_items(insert_items!(), book, &rows.iter().collect::<Vec<_>>())?;
        let live = rows.iter().filter(|row| locked.indexes(row.guid) && !row.deleted);
        self.index(book, live.flat_map(|row| row.keys.iter().map(|key| (*key, row.guid))))
    }

    pub(super) fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        let locked = *self.locked(book)?;
        rows.iter().try_for_each(|row| locked.takes(row))?;
        parts(rows, |row| row.guid).iter().try_for_each(|part| self.update_each_once(&locked, part))
    }

    fn update_each_once(&mut self, locked: &LockedBook, rows: &[&ItemRow<'_>]) -> Result<()> {
        const SUPERSEDE: &str = "INSERT INTO revision (account, book, guid, revision, kind, until, until_at, parent,
              depth, media_type, origin, at, content, blob, size)
             SELECT $1, $2, i.guid, i.revision,
              CASE WHEN i.deleted THEN 2 WHEN i.revision = i.guid THEN 0 ELSE 1 END, n.revision, n.at, parent, depth,
              media_type, origin, i.at, content, blob, size
             FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS n (guid, revision, at) CROSS JOIN LATERAL
              (SELECT * FROM item WHERE account = $1 AND book = $2 AND item.guid = n.guid AND item.revision < n.revision
                OFFSET 0) AS i";
        // They are all there, so that none is inserted: this finds each by its key, where an UPDATE would be a join.
        const UPDATE: &str = concat!(
            insert_items!(),
            " ON CONFLICT (account, book, guid) DO UPDATE SET revision = excluded.revision, deleted = excluded.deleted,
              parent = excluded.parent, depth = excluded.depth, media_type = excluded.media_type,
              origin = excluded.origin, at = excluded.at, print = excluded.print, fingerprint = excluded.fingerprint,
              keys = excluded.keys, content = excluded.content, blob = excluded.blob, size = excluded.size"
        );
        let (account, book) = (self.account, locked.book);
        let indexed: Vec<_> = rows.iter().filter(|row| locked.indexes(row.guid)).copied().collect();
        self.index_anew(book, &indexed)?;
        let guids: Vec<i64> = rows.iter().map(|row| row.guid.0).collect();
        let revisions: Vec<i64> = rows.iter().map(|row| row.revision.0).collect();
        let ats: Vec<i64> = rows.iter().map(|row| row.at.0).collect();
        let superseded = self.run(SUPERSEDE, &[&account, &book.0, &guids, &revisions, &ats])?;
        if superseded != rows.len() as u64 {
            let missing = rows.len() as u64 - superseded;
            return Err(StoreError::Corrupt(format!(
                "{missing} items of book {book} are not there, or not older than what shall replace them"
            )));
        }
        self.run_with_items(UPDATE, book, rows).map(drop)
    }

    /// Runs a statement with the items as arrays, from its third parameter on.
    fn run_with_items(&mut self, sql: &'static str, book: BookNo, rows: &[&ItemRow<'_>]) -> Result<u64> {
        fn all<'r, T>(rows: &[&'r ItemRow<'_>], column: impl Fn(&'r ItemRow<'_>) -> T) -> Vec<T> {
            rows.iter().map(|row| column(row)).collect()
        }
        let account = self.account;
        self.run(
            sql,
            &[
                &account,
                &book.0,
                &all(rows, |row| row.guid.0),
                &all(rows, |row| row.revision.0),
                &all(rows, |row| row.deleted),
                &all(rows, |row| row.parent.map(|parent| parent.0)),
                &all(rows, |row| i64::from(row.depth)),
                &all(rows, |row| escape_some(row.media_type.as_deref())),
                &all(rows, |row| row.origin.map(|origin| origin.0)),
                &all(rows, |row| row.at.0),
                &all(rows, |row| i64::from(rows::print(&row.fingerprint))),
                &all(rows, |row| &row.fingerprint[..]),
                &all(rows, |row| rows::pack_keys(&row.keys)),
                &all(rows, |row| &*row.content),
                &all(rows, |row| row.blob.map(|blob| blob.no.0)),
                &all(rows, |row| row.blob.map(|blob| blob.len.cast_signed())),
            ],
        )
    }

    pub(super) fn changes(
        &mut self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        const PAGE: &str = concat!(
            "SELECT guid, revision, ",
            item_columns!(),
            " FROM item WHERE account = $1 AND book = $2 AND revision > $3 AND revision <= $4 ORDER BY revision LIMIT $5"
        );
        if after >= upto || limit == 0 {
            return Ok(Vec::new());
        }
        let account = self.account;
        let values: Values<'_> = &[&account, &book.0, &after.0, &upto.0, &rows_at_most(limit)];
        self.all(PAGE, values, |row| rows::item(&mut Columns::from(row, 0)))
    }

    pub(super) fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        const FIND: &str = "SELECT place, f.guid FROM unnest($3::bigint[], $4::bytea[]) WITH ORDINALITY
              AS n (print, fingerprint, place) CROSS JOIN LATERAL (SELECT guid FROM item AS i WHERE i.account = $1
               AND i.book = $2 AND i.print = n.print AND NOT i.deleted AND i.fingerprint = n.fingerprint
               ORDER BY guid LIMIT $5) AS f";
        let account = self.account;
        let short: Vec<i64> = prints.iter().map(|print| rows::print(print).into()).collect();
        let whole: Vec<&[u8]> = prints.iter().map(|print| &print[..]).collect();
        self.lists(prints.len(), FIND, &[&account, &book.0, &short, &whole, &rows_at_most(limit)])
    }

    pub(super) fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        const FIND: &str = "SELECT place, f.guid FROM unnest($3::bigint[]) WITH ORDINALITY AS n (key, place)
              CROSS JOIN LATERAL (SELECT guid FROM match_key AS k WHERE k.account = $1 AND k.book = $2
               AND k.key = n.key ORDER BY guid LIMIT $4) AS f";
        let account = self.account;
        let wanted: Vec<i64> = keys.iter().map(|key| key.cast_signed()).collect();
        self.lists(keys.len(), FIND, &[&account, &book.0, &wanted, &rows_at_most(limit)])
    }

    pub(super) fn children(&mut self, book: BookNo, parent: Guid, after: Guid, limit: usize) -> Result<Vec<Guid>> {
        let sql = "SELECT guid FROM item WHERE account = $1 AND book = $2 AND parent = $3 AND parent IS NOT NULL
                    AND NOT deleted AND guid > $4 ORDER BY guid LIMIT $5";
        let account = self.account;
        let values: Values<'_> = &[&account, &book.0, &parent.0, &after.0, &rows_at_most(limit)];
        self.all(sql, values, |row| row.try_get(0).or_failure().map(Guid))
    }

    pub(super) fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        let mut locked = *self.locked(book)?;
        if locked.indexed {
            return Ok(true);
        }
        let sql = "SELECT guid, keys, deleted FROM item WHERE account = $1 AND book = $2 AND guid > $3
                   ORDER BY guid LIMIT $4";
        let account = self.account;
        let values: Values<'_> = &[&account, &book.0, &locked.indexed_upto.0, &rows_at_most(limit.saturating_add(1))];
        let page = self.all(sql, values, |row| {
            let mut columns = Columns::from(row, 0);
            Ok((Guid(columns.next()?), rows::unpack_keys(columns.next()?), columns.next::<bool>()?))
        })?;
        let now = &page[..page.len().min(limit)];
        locked.indexed_upto = now.last().map_or(locked.indexed_upto, |(guid, ..)| *guid);
        locked.indexed = page.len() <= limit;
        let live = now.iter().filter(|(.., deleted)| !deleted);
        self.index(book, live.flat_map(|(guid, keys, _)| keys.iter().map(|key| (*key, *guid))))?;
        let sql = "UPDATE book SET indexed = $3, indexed_upto = $4 WHERE account = $1 AND book = $2";
        self.run(sql, &[&account, &book.0, &locked.indexed, &locked.indexed_upto.0])?;
        *self.locked(book)? = locked;
        Ok(locked.indexed)
    }

    /// Brings the index of match keys from what is stored of items to what they shall hold.
    fn index_anew(&mut self, book: BookNo, rows: &[&ItemRow<'_>]) -> Result<()> {
        const KEYS: &str = "SELECT n.place, i.keys FROM unnest($3::bigint[]) WITH ORDINALITY AS n (guid, place)
             CROSS JOIN LATERAL (SELECT keys FROM item WHERE account = $1 AND book = $2 AND item.guid = n.guid
              AND NOT deleted OFFSET 0) AS i";
        const UNINDEX: &str = "DELETE FROM match_key WHERE account = $1 AND book = $2 AND key = ANY ($3)
              AND ((key, guid) IN (SELECT * FROM unnest($3::bigint[], $4::bigint[]))) IS TRUE";
        let account = self.account;
        let guids: Vec<i64> = rows.iter().map(|row| row.guid.0).collect();
        let old = self.each(rows.len(), KEYS, &[&account, &book.0, &guids], |row| {
            Ok(rows::unpack_keys(row.try_get(1).or_failure()?))
        })?;
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for (row, old) in rows.iter().zip(old) {
            let old = old.unwrap_or_default();
            let wanted = if row.deleted { &[][..] } else { &row.keys[..] };
            if old != wanted {
                gone.extend(old.into_iter().map(|key| (key.cast_signed(), row.guid.0)));
                new.extend(wanted.iter().map(|key| (*key, row.guid)));
            }
        }
        if !gone.is_empty() {
            let (keys, guids): (Vec<i64>, Vec<i64>) = gone.into_iter().unzip();
            self.run(UNINDEX, &[&account, &book.0, &keys, &guids])?;
        }
        self.index(book, new.into_iter())
    }

    fn index(&mut self, book: BookNo, entries: impl Iterator<Item = (u64, Guid)>) -> Result<()> {
        const INDEX: &str = "INSERT INTO match_key (account, book, key, guid)
             SELECT $1, $2, n.* FROM unnest($3::bigint[], $4::bigint[]) AS n ON CONFLICT DO NOTHING";
        let (keys, guids): (Vec<i64>, Vec<i64>) = entries.map(|(key, guid)| (key.cast_signed(), guid.0)).unzip();
        if keys.is_empty() {
            return Ok(());
        }
        let account = self.account;
        self.run(INDEX, &[&account, &book.0, &keys, &guids]).map(drop)
    }
}
