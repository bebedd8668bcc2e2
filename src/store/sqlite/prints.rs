//! Which items have which fingerprint: an index that is written in the order of arrival and sorted in later.
//!
//! Fingerprints come in no order, so that an index of SQLite's own makes another page dirty with each of them, and a page
//! of log with it. New entries are therefore packed one behind the other, and go into the sorted table together, once
//! there are many of them or somebody looks. An entry too many does no harm: who looks asks the item itself.

use super::super::sql::print;
use super::super::*;
use super::failure::OrFailure;
use super::place::number_at;
use super::tx::{SqliteTx, rows_at_most};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Octets of an entry: the print, whose first bit says that the entry is taken out again, and the 36 bits of the item.
const ENTRY: usize = 9;

/// Entries of a pack, which fits into a page of 4 KB.
const PACK: usize = 440;

/// Entries that wait at most: as many as are sorted in within some ten milliseconds.
const MOST: usize = 16_384;

/// Entries that wait at most where somebody looks who may write.
const MOST_LOOKED_THROUGH: usize = 1_024;

/// That an item has a fingerprint, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    print: u32,
    guid: Guid,
    there: bool,
}

impl Entry {
    pub(super) fn new(fingerprint: &[u8; 16], guid: Guid, there: bool) -> Self {
        Self { print: print(fingerprint), guid, there }
    }

    fn pack(self, out: &mut Vec<u8>) {
        out.extend((self.print << 1 | u32::from(!self.there)).to_le_bytes());
        let [guid @ .., _, _, _] = self.guid.0.to_le_bytes();
        out.extend(guid);
    }

    fn unpack([a, b, c, d, e, f, g, h, i]: [u8; ENTRY]) -> Self {
        let first = u32::from_le_bytes([a, b, c, d]);
        let guid = Guid(i64::from_le_bytes([e, f, g, h, i, 0, 0, 0]));
        Self { print: first >> 1, guid, there: first & 1 == 0 }
    }
}

impl SqliteTx<'_> {
    /// Notes what came to be, or is no longer, of a locked book.
    pub(super) fn note_prints(&self, book: BookNo, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let sql = "INSERT OR REPLACE INTO fresh_print (account, book, pack, entries) VALUES (?1, ?2, ?3, ?4)";
        let mut put = self.prepare(sql)?;
        let (pack, mut octets) = self.last_pack(book)?;
        entries.iter().for_each(|entry| entry.pack(&mut octets));
        for (no, part) in (pack..).zip(octets.chunks(PACK * ENTRY)) {
            put.execute((self.account, book.0, no, part)).or_failure()?;
        }
        if waiting(pack, &octets) >= MOST { self.sort_in(book) } else { Ok(()) }
    }

    /// The live items of each fingerprint, ascending, at most `limit` of each.
    pub(super) fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        if prints.is_empty() {
            return Ok(Vec::new());
        }
        let (pack, octets) = self.last_pack(book)?;
        if waiting(pack, &octets) > MOST_LOOKED_THROUGH && self.locked(book).is_ok() {
            self.sort_in(book)?;
        }
        let fresh = self.fresh(book, prints)?;
        let mut select = self.prepare(
            "SELECT p.guid FROM print AS p CROSS JOIN item AS i
             WHERE p.account = ?1 AND p.book = ?2 AND p.print = ?3 AND i.place = ?6 | p.guid AND i.deleted = 0
              AND i.fingerprint = ?4 ORDER BY p.guid LIMIT ?5",
        )?;
        let mut is = self.prepare("SELECT 1 FROM item WHERE place = ?1 AND deleted = 0 AND fingerprint = ?2")?;
        let places = self.places(book)?;
        let mut found = |fingerprint: &[u8; 16]| -> rusqlite::Result<Vec<Guid>> {
            let print = print(fingerprint);
            let which = (self.account, book.0, print, fingerprint, rows_at_most(limit), places.of(0));
            let mut guids: Vec<Guid> =
                select.query_map(which, |row| row.get(0).map(Guid))?.collect::<rusqlite::Result<_>>()?;
            for guid in fresh.get(&print).into_iter().flatten() {
                if is.exists((places.of(guid.0), fingerprint))? {
                    guids.push(*guid);
                }
            }
            guids.sort_unstable();
            guids.dedup();
            guids.truncate(limit);
            Ok(guids)
        };
        prints.iter().map(|print| found(print).or_failure()).collect()
    }

    /// Those of these fingerprints that wait, by their print.
    fn fresh(&self, book: BookNo, prints: &[[u8; 16]]) -> Result<HashMap<u32, Vec<Guid>>> {
        let mut found: HashMap<u32, Vec<Guid>> = prints.iter().map(|wanted| (print(wanted), Vec::new())).collect();
        self.each_waiting(book, |entry| {
            if let Some(guids) = found.get_mut(&entry.print).filter(|_| entry.there) {
                guids.push(entry.guid);
            }
        })?;
        Ok(found)
    }

    /// Puts what waits into the sorted table, in its order: entries that are neighbours there share a page.
    pub(super) fn sort_in(&self, book: BookNo) -> Result<()> {
        let mut latest = BTreeMap::new();
        self.each_waiting(book, |entry| {
            latest.insert((entry.print, entry.guid), entry.there);
        })?;
        let mut put =
            self.prepare("INSERT OR IGNORE INTO print (account, book, print, guid) VALUES (?1, ?2, ?3, ?4)")?;
        let mut remove =
            self.prepare("DELETE FROM print WHERE account = ?1 AND book = ?2 AND print = ?3 AND guid = ?4")?;
        for ((print, guid), there) in latest {
            let change = if there { &mut put } else { &mut remove };
            change.execute((self.account, book.0, print, guid.0)).or_failure()?;
        }
        self.run("DELETE FROM fresh_print WHERE account = ?1 AND book = ?2", (self.account, book.0)).map(drop)
    }

    fn each_waiting(&self, book: BookNo, mut take: impl FnMut(Entry)) -> Result<()> {
        let sql = "SELECT entries FROM fresh_print WHERE account = ?1 AND book = ?2 ORDER BY pack";
        let mut select = self.prepare(sql)?;
        let mut packs = select.query((self.account, book.0)).or_failure()?;
        while let Some(pack) = packs.next().or_failure()? {
            let (entries, _) =
                pack.get_ref(0).or_failure()?.as_blob().map_err(rusqlite::Error::from).or_failure()?.as_chunks();
            entries.iter().for_each(|entry| take(Entry::unpack(*entry)));
        }
        Ok(())
    }

    /// The last pack, and what is in it; packs are numbered from 0, and all before the last are full.
    fn last_pack(&self, book: BookNo) -> Result<(i64, Vec<u8>)> {
        let sql = "SELECT pack, entries FROM fresh_print WHERE account = ?1 AND book = ?2 ORDER BY pack DESC LIMIT 1";
        let last = self.one(sql, (self.account, book.0), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(last.unwrap_or_default())
    }
}

/// A live item that would not be found by its fingerprint, if there is one: for who checks the database.
pub(super) fn not_found(conn: &Connection, account: AccountNo, book: BookNo) -> Result<Option<Guid>> {
    let (mut fresh, tx) = (HashSet::new(), SqliteTx::new(conn, account));
    tx.each_waiting(book, |entry| {
        fresh.extend(Some((entry.print, entry.guid)).filter(|_| entry.there));
    })?;
    let sql = "SELECT place, fingerprint FROM item WHERE place > ?1 AND place <= ?2 AND deleted = 0";
    let places = tx.places(book)?;
    let mut items = conn.prepare(sql).or_failure()?;
    let mut items = items.query((places.upto(-1), places.upto(i64::MAX))).or_failure()?;
    let sql = "SELECT 1 FROM print WHERE account = ?1 AND book = ?2 AND print = ?3 AND guid = ?4";
    let mut is = conn.prepare(sql).or_failure()?;
    while let Some(item) = items.next().or_failure()? {
        let (place, fingerprint) = <(i64, [u8; 16])>::try_from(item).or_failure()?;
        let guid = number_at(place);
        let print = print(&fingerprint);
        let found = fresh.contains(&(print, Guid(guid)));
        if !found && !is.exists((account.0, book.0, print, guid)).or_failure()? {
            return Ok(Some(Guid(guid)));
        }
    }
    Ok(None)
}

/// How many entries wait, where these are those from a pack on.
fn waiting(pack: i64, octets: &[u8]) -> usize {
    usize::try_from(pack).unwrap_or(0) * PACK + octets.len() / ENTRY
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;
    use crate::auth::Verifier;

    const BOOK: BookNo = BookNo::CONTACTS;

    fn store() -> (SqliteStore, AccountNo) {
        let store = SqliteStore::open_in_memory().unwrap();
        let account = store.directory().put_login("ann", &Verifier::Md5([1; 16])).unwrap();
        (store, account)
    }

    fn fingerprint(number: usize) -> [u8; 16] {
        // Each twice, and neighbours far from each other.
        let mixed = (number as u64 / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        [mixed, mixed].concat().try_into().unwrap()
    }

    fn write(store: &SqliteStore, account: AccountNo, work: impl Fn(&mut dyn Tx, &mut BookWriter<'_>) -> Result<()>) {
        store
            .step(account, &mut |tx| {
                let mut writer = BookWriter::new(tx.lock_books(&[BOOK])?.remove(0), None, Timestamp(0));
                work(tx, &mut writer)?;
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    }

    fn add(store: &SqliteStore, account: AccountNo, count: usize) {
        write(store, account, |_, writer| {
            for _ in 0..count {
                let fingerprint = fingerprint(writer.row().head.0 as usize);
                writer.add(Draft { fingerprint, ..Draft::default() });
            }
            Ok(())
        });
    }

    /// How many wait, and how many are sorted in.
    fn counts(store: &SqliteStore, account: AccountNo) -> (usize, usize) {
        let mut counts = (0, 0);
        let count = |conn: &Connection| {
            SqliteTx::new(conn, account).each_waiting(BOOK, |_| counts.0 += 1)?;
            counts.1 =
                conn.query_row("SELECT count(*) FROM print", [], |row| row.get::<_, u32>(0)).or_failure()? as usize;
            Ok(())
        };
        store.writer.alone(count).unwrap();
        counts
    }

    /// What is found by the fingerprint of that number: by who may write, or only reads.
    fn found(store: &SqliteStore, account: AccountNo, number: usize, locked: bool) -> Vec<i64> {
        let mut found = Vec::new();
        store
            .step(account, &mut |tx| {
                if locked {
                    tx.lock_books(&[BOOK])?;
                }
                found = tx.by_fingerprint(BOOK, &[fingerprint(number)], 9)?.remove(0);
                Ok(Verdict::Commit)
            })
            .unwrap();
        found.into_iter().map(|guid| guid.0).collect()
    }

    #[test]
    fn entries_come_back() {
        for there in [true, false] {
            let entry = Entry::new(&[0xff; 16], Guid((1 << 36) - 7), there);
            let mut octets = Vec::new();
            entry.pack(&mut octets);
            assert_eq!(Entry::unpack(octets.try_into().unwrap()), entry);
        }
    }

    #[test]
    fn entries_wait_until_they_are_many_or_somebody_looks_who_may_write() {
        let (store, account) = store();
        add(&store, account, PACK - 1);
        add(&store, account, PACK + 2);
        let (few, many) = (2 * PACK + 1, MOST_LOOKED_THROUGH + 2);
        assert_eq!(counts(&store, account), (few, 0));
        assert_eq!(found(&store, account, 2 * PACK - 2, true), [2 * PACK as i64 - 1, 2 * PACK as i64]);
        assert_eq!(counts(&store, account), (few, 0));
        add(&store, account, many - few);
        assert_eq!(found(&store, account, 0, false), [1, 2]);
        assert_eq!(counts(&store, account), (many, 0));
        assert_eq!(found(&store, account, 0, true), [1, 2]);
        assert_eq!(counts(&store, account), (0, many));
        add(&store, account, 1);
        add(&store, account, MOST - 1);
        assert_eq!(counts(&store, account), (0, many + MOST));
        assert_eq!(found(&store, account, many, false), [many as i64 + 1, many as i64 + 2]);
    }

    #[test]
    fn an_entry_that_is_missing_is_damage() {
        let (store, account) = store();
        add(&store, account, 2);
        store.check().unwrap();
        let lose = |conn: &Connection| {
            SqliteTx::new(conn, account).sort_in(BOOK)?;
            conn.execute("DELETE FROM print WHERE guid = 2", []).or_failure()
        };
        store.writer.alone(lose).unwrap();
        let refused = store.check().unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupt(text) if text.contains("item 2")), "{refused}");
    }

    #[test]
    fn what_changes_is_found_by_what_it_is_now_wherever_its_entries_are() {
        for sorted in [[false, false], [true, false], [false, true], [true, true]] {
            let (store, account) = store();
            let sort = |wanted: bool| {
                let sort = |conn: &Connection| SqliteTx::new(conn, account).sort_in(BOOK);
                if wanted {
                    store.writer.alone(sort).unwrap();
                }
            };
            add(&store, account, 4);
            sort(sorted[0]);
            // 1 becomes what 3 and 4 are, 2 goes, 3 goes and comes back.
            write(&store, account, |tx, writer| {
                let mut items = tx.items(BOOK, &[Guid(1), Guid(2), Guid(3)])?.into_iter().flatten();
                let (one, two, three) = (items.next().unwrap(), items.next().unwrap(), items.next().unwrap());
                let as_three = || Draft { fingerprint: fingerprint(2), ..Draft::default() };
                writer.replace(&one, as_three());
                writer.delete(&two);
                let gone = writer.delete(&three);
                writer.replace(&gone, as_three());
                Ok(())
            });
            sort(sorted[1]);
            assert_eq!(found(&store, account, 0, true), [0; 0], "{sorted:?}");
            assert_eq!(found(&store, account, 2, true), [1, 3, 4], "{sorted:?}");
            sort(true);
            assert_eq!(counts(&store, account), (0, 3), "{sorted:?}");
        }
    }
}
