//! A step of a memory store.

use super::super::*;
use super::tables::{Changes, Tables};
use super::{Lock, MemoryStore, StepNo};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

pub(super) struct MemoryTx<'a> {
    pub(super) store: &'a MemoryStore,
    pub(super) account: AccountNo,
    pub(super) step: StepNo,
    pub(super) changes: Changes,
}

const FIRST: Guid = Guid(i64::MIN);
const LAST: Guid = Guid(i64::MAX);

impl MemoryTx<'_> {
    /// What is committed by now, and the changes of this step.
    fn with<R>(&mut self, act: impl FnOnce(&mut Tables, &mut Changes) -> R) -> R {
        let mut shared = self.store.shared();
        act(shared.accounts.entry(self.account).or_default(), &mut self.changes)
    }

    fn lock(&self, lock: &Lock) -> Result<()> {
        self.store.acquire(self.store.shared(), self.step, lock).map(drop)
    }

    /// Refuses to write a book without its lock: its revisions would be numbered twice.
    fn check_locked(&self, book: BookNo) -> Result<()> {
        match self.store.shared().owners.get(&Lock::Book(self.account, book)) {
            Some(owner) if *owner == self.step => Ok(()),
            _ => Err(StoreError::Corrupt(format!("book {book} is written without its lock"))),
        }
    }

    /// Appends to the indexes what an item is found by, or takes it out again.
    fn index(tables: &Tables, changes: &mut Changes, book: BookNo, item: &ItemRow<'_>, keep: bool) {
        if keep {
            changes.by_revision.put((book, item.revision), item.guid);
        } else {
            changes.by_revision.remove((book, item.revision));
        }
        if item.deleted {
            return;
        }
        let print = (book, item.fingerprint, item.guid);
        if keep {
            changes.by_fingerprint.put(print, ());
        } else {
            changes.by_fingerprint.remove(print);
        }
        let (row, upto) =
            changes.books.get(&tables.books, &book).map_or((None, FIRST), |(row, upto)| (Some(row), *upto));
        if row.is_some_and(|row| row.indexed) || item.guid <= upto {
            for key in item.keys.iter() {
                if keep {
                    changes.by_match_key.put((book, *key, item.guid), ());
                } else {
                    changes.by_match_key.remove((book, *key, item.guid));
                }
            }
        }
    }

    fn remove_session(tables: &Tables, changes: &mut Changes, token: Token) {
        changes.sessions.remove(token);
        let all = changes.statuses.scan(&tables.statuses, Included((token, i64::MIN)), Included((token, i64::MAX)));
        for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
            changes.statuses.remove(key);
        }
    }
}

impl Tx for MemoryTx<'_> {
    fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        Ok(self.with(|tables, changes| {
            let device = changes.device_ids.get(&tables.device_ids, &device_id.to_owned())?;
            changes.devices.get(&tables.devices, device).cloned()
        }))
    }

    fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        Ok(self.with(|tables, changes| {
            let all = (Included(DeviceNo(i64::MIN)), Included(DeviceNo(i64::MAX)));
            changes.devices.scan(&tables.devices, all.0, all.1).map(|(_, row)| row.clone()).collect()
        }))
    }

    fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
        self.lock(&Lock::Device(self.account, row.device_id.clone()))?;
        self.with(|tables, changes| {
            let known = changes.device_ids.get(&tables.device_ids, &row.device_id).copied();
            let device = match (row.device, known) {
                (DeviceNo::NEW, Some(known)) => known,
                (DeviceNo::NEW, None) => {
                    tables.last_device += 1;
                    DeviceNo(tables.last_device)
                }
                (device, Some(known)) if device != known => {
                    return Err(StoreError::Corrupt(format!("device {device} shall get the id of device {known}")));
                }
                (device, _) => {
                    let Some(old) = changes.devices.get(&tables.devices, &device) else {
                        return Err(StoreError::Corrupt(format!("there is no device {device} to update")));
                    };
                    changes.device_ids.remove(old.device_id.clone());
                    device
                }
            };
            changes.device_ids.put(row.device_id.clone(), device);
            changes.devices.put(device, DeviceRow { device, ..row.clone() });
            Ok(device)
        })
    }

    fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        loop {
            let found = self.with(|tables, changes| match key {
                SessionKey::Token(token) => changes.sessions.get(&tables.sessions, token).map(|(_, row)| row.clone()),
                SessionKey::Ids(device, session_id) => {
                    let all = (Included(Token([0; 16])), Included(Token([255; 16])));
                    let all = changes.sessions.scan(&tables.sessions, all.0, all.1).map(|(_, row)| row);
                    let same = all.filter(|(_, row)| row.device == device && row.session_id == session_id);
                    same.max_by_key(|(number, _)| *number).map(|(_, row)| row.clone())
                }
            });
            let Some(row) = found else { return Ok(None) };
            // What was found may have changed or gone while its lock was waited for.
            let lock = Lock::Session(self.account, row.token);
            if self.store.shared().owners.get(&lock) == Some(&self.step) {
                return Ok(Some(row));
            }
            self.lock(&lock)?;
        }
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        self.lock(&Lock::Session(self.account, row.token))?;
        self.with(|tables, changes| {
            let number = match changes.sessions.get(&tables.sessions, &row.token) {
                Some((number, _)) => *number,
                None => tables.next_number(),
            };
            changes.sessions.put(row.token, (number, row.clone()));
        });
        Ok(())
    }

    fn drop_other_sessions(&mut self, device: DeviceNo, keep: &Token) -> Result<()> {
        let others = self.with(|tables, changes| {
            let all = changes.sessions.scan(&tables.sessions, Included(Token([0; 16])), Included(Token([255; 16])));
            let others = all.filter(|(token, (_, row))| row.device == device && *token != keep);
            others.map(|(token, _)| *token).collect::<Vec<_>>()
        });
        for token in others {
            self.lock(&Lock::Session(self.account, token))?;
            self.with(|tables, changes| Self::remove_session(tables, changes, token));
        }
        Ok(())
    }

    fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
        let (account, step) = (self.account, self.step);
        let mut shared = self.store.shared();
        let shared = &mut *shared;
        let tables = shared.accounts.entry(account).or_default();
        let all = self.changes.sessions.scan(&tables.sessions, Included(Token([0; 16])), Included(Token([255; 16])));
        let over = all.filter(|(_, (_, row))| row.deadline < now).map(|(token, _)| *token);
        // A session that another step holds is in use; whether it is over will be seen the next time.
        let free =
            |token: &Token| shared.owners.get(&Lock::Session(account, *token)).is_none_or(|owner| *owner == step);
        let over = over.filter(free).collect::<Vec<_>>();
        for token in &over {
            shared.owners.insert(Lock::Session(account, *token), step);
            Self::remove_session(tables, &mut self.changes, *token);
        }
        Ok(over.len())
    }

    fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        self.with(|tables, changes| {
            for status in statuses {
                changes.statuses.put((*token, tables.next_number()), status.clone());
            }
        });
        Ok(())
    }

    fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        Ok(self.with(|tables, changes| {
            let all = (Included((*token, i64::MIN)), Included((*token, i64::MAX)));
            let all = changes.statuses.scan(&tables.statuses, all.0, all.1);
            all.take(limit).map(|((_, seq), status)| (*seq, status.clone())).collect()
        }))
    }

    fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        self.with(|tables, changes| {
            let all = (Included((*token, i64::MIN)), Included((*token, upto)));
            let all = changes.statuses.scan(&tables.statuses, all.0, all.1);
            for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
                changes.statuses.remove(key);
            }
        });
        Ok(())
    }

    fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        let mut rows = Vec::with_capacity(books.len());
        for &book in books {
            self.lock(&Lock::Book(self.account, book))?;
            let stamp = self.store.derive("stamp", &[self.account.0, book.0]);
            rows.push(self.with(|tables, changes| match changes.books.get(&tables.books, &book) {
                Some((row, _)) => row.clone(),
                None => {
                    let row = BookRow {
                        book,
                        stamp: u32::from_le_bytes([stamp[0], stamp[1], stamp[2], stamp[3]]),
                        head: Revision(0),
                        live_items: 0,
                        live_bytes: 0,
                        purged_upto: Revision(0),
                        indexed: false,
                    };
                    changes.books.put(book, (row.clone(), FIRST));
                    row
                }
            }));
        }
        Ok(rows)
    }

    fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        Ok(self.with(|tables, changes| changes.books.get(&tables.books, &book).map(|(row, _)| row.clone())))
    }

    fn put_book(&mut self, row: &BookRow) -> Result<()> {
        self.check_locked(row.book)?;
        self.with(|tables, changes| match changes.books.get(&tables.books, &row.book).cloned() {
            Some((old, upto)) if row.head >= old.head => {
                let row = BookRow { stamp: old.stamp, indexed: old.indexed, ..row.clone() };
                changes.books.put(row.book, (row, upto));
                Ok(())
            }
            _ => Err(StoreError::Corrupt(format!("the head of book {} shall go back to {}", row.book, row.head))),
        })
    }

    fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        Ok(self.with(|tables, changes| {
            let item = |guid: &Guid| changes.items.get(&tables.items, &(book, *guid)).cloned();
            guids.iter().map(item).collect()
        }))
    }

    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            for row in rows {
                check_newer(tables, changes, book, row)?;
                if changes.items.get(&tables.items, &(book, row.guid)).is_some() {
                    return Err(StoreError::Corrupt(format!("item {} of book {book} is there already", row.guid)));
                }
                Self::index(tables, changes, book, row, true);
                changes.items.put((book, row.guid), row.clone().into_owned());
            }
            Ok(())
        })
    }

    fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        self.check_locked(book)?;
        self.with(|tables, changes| {
            for row in rows {
                let old = changes.items.get(&tables.items, &(book, row.guid));
                let Some(old) = old.filter(|old| old.revision < row.revision).cloned() else {
                    let (guid, revision) = (row.guid, row.revision);
                    return Err(StoreError::Corrupt(format!(
                        "item {guid} of book {book} is not older than {revision}"
                    )));
                };
                check_newer(tables, changes, book, row)?;
                Self::index(tables, changes, book, &old, false);
                changes.superseded.put((book, old.guid, old.revision), as_of(&old));
                Self::index(tables, changes, book, row, true);
                changes.items.put((book, row.guid), row.clone().into_owned());
            }
            Ok(())
        })
    }

    fn changes(
        &mut self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((book, after)), Included((book, upto)));
            let guids = changes.by_revision.scan(&tables.by_revision, range.0, range.1).take(limit);
            guids.filter_map(|(_, guid)| changes.items.get(&tables.items, &(book, *guid)).cloned()).collect()
        }))
    }

    fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        Ok(self.with(|tables, changes| {
            let held = |&(guid, revision): &(Guid, Revision)| {
                let item = changes.items.get(&tables.items, &(book, guid))?;
                if item.revision == revision {
                    return Some(as_of(item));
                }
                changes.superseded.get(&tables.superseded, &(book, guid, revision)).cloned()
            };
            which.iter().map(held).collect()
        }))
    }

    fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Included((book, guid, Revision(i64::MIN))), Included((book, guid, Revision(i64::MAX))));
            let rows = changes.superseded.scan(&tables.superseded, range.0, range.1).map(|(_, row)| row.clone());
            let mut rows = rows.collect::<Vec<_>>();
            rows.reverse();
            rows.truncate(limit);
            rows
        }))
    }

    fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        Ok(self.with(|tables, changes| {
            let found = |print: &[u8; 16]| {
                let range = (Included((book, *print, FIRST)), Included((book, *print, LAST)));
                let found = changes.by_fingerprint.scan(&tables.by_fingerprint, range.0, range.1);
                found.take(limit).map(|((_, _, guid), ())| *guid).collect()
            };
            prints.iter().map(found).collect()
        }))
    }

    fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        Ok(self.with(|tables, changes| {
            let found = |key: &u64| {
                let range = (Included((book, *key, FIRST)), Included((book, *key, LAST)));
                let found = changes.by_match_key.scan(&tables.by_match_key, range.0, range.1);
                found.take(limit).map(|((_, _, guid), ())| *guid).collect()
            };
            keys.iter().map(found).collect()
        }))
    }

    fn index_more(&mut self, book: BookNo, limit: usize) -> Result<bool> {
        self.check_locked(book)?;
        Ok(self.with(|tables, changes| {
            let Some((mut row, mut upto)) = changes.books.get(&tables.books, &book).cloned() else { return false };
            if row.indexed {
                return true;
            }
            let rest = changes.items.scan(&tables.items, Excluded((book, upto)), Included((book, LAST)));
            let page = rest.take(limit.saturating_add(1)).map(|(_, item)| item.clone()).collect::<Vec<_>>();
            row.indexed = page.len() <= limit;
            for item in page.iter().take(limit) {
                upto = item.guid;
                for key in item.keys.iter().filter(|_| !item.deleted) {
                    changes.by_match_key.put((book, *key, item.guid), ());
                }
            }
            let indexed = row.indexed;
            changes.books.put(book, (row, upto));
            indexed
        }))
    }

    fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        Ok(self.with(|tables, changes| changes.pairs.get(&tables.pairs, &(device, book)).cloned()))
    }

    fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        self.with(|_, changes| changes.pairs.put((row.device, row.book), row.clone()));
        Ok(())
    }

    fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        Ok(self.with(|tables, changes| {
            let entry =
                |luid: &&str| changes.maps.get(&tables.maps, &(device, book, epoch, (*luid).to_owned())).cloned();
            luids.iter().map(entry).collect()
        }))
    }

    fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        Ok(self.with(|tables, changes| {
            let entry = |guid: &Guid| {
                let luid = changes.maps_by_guid.get(&tables.maps_by_guid, &(device, book, epoch, *guid))?;
                changes.maps.get(&tables.maps, &(device, book, epoch, luid.clone())).cloned()
            };
            guids.iter().map(entry).collect()
        }))
    }

    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        self.with(|tables, changes| {
            for row in rows {
                let key = (device, book, row.epoch, row.luid.clone());
                if let Some(old) = changes.maps.get(&tables.maps, &key).filter(|old| old.state != MapState::Gone) {
                    if old.guid != row.guid {
                        let (old, new) = (old.guid, row.guid);
                        return Err(StoreError::Corrupt(format!(
                            "a map entry of item {old} shall point to item {new}"
                        )));
                    }
                    changes.maps_by_guid.remove((device, book, row.epoch, old.guid));
                }
                if row.state != MapState::Gone {
                    let by_guid = (device, book, row.epoch, row.guid);
                    if changes.maps_by_guid.get(&tables.maps_by_guid, &by_guid).is_some() {
                        return Err(StoreError::Corrupt(format!("item {} shall have two map entries", row.guid)));
                    }
                    changes.maps_by_guid.put(by_guid, row.luid.clone());
                }
                changes.maps.put(key, row.clone());
            }
            Ok(())
        })
    }

    fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        let carried = self.with(|tables, changes| {
            let (mut carried, mut luids, mut guids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
            for row in epochs(tables, changes, device, book) {
                if row.epoch == to {
                    luids.insert(row.luid.clone());
                    guids.insert(row.guid);
                } else if row.epoch == from {
                    carried.push(MapRow { epoch: to, ..row.clone() });
                }
            }
            carried.retain(|row| !luids.contains(&row.luid) && !guids.contains(&row.guid));
            carried
        });
        self.put_maps(device, book, &carried)
    }

    fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        self.with(|tables, changes| {
            let others = epochs(tables, changes, device, book).filter(|row| row.epoch != keep);
            for MapRow { epoch, luid, guid, .. } in others.cloned().collect::<Vec<_>>() {
                changes.maps.remove((device, book, epoch, luid));
                changes.maps_by_guid.remove((device, book, epoch, guid));
            }
        });
        Ok(())
    }

    fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((device, book, epoch, after)), Included((device, book, epoch, LAST)));
            let page = changes.maps_by_guid.scan(&tables.maps_by_guid, range.0, range.1).take(limit);
            let row = |luid: &String| changes.maps.get(&tables.maps, &(device, book, epoch, luid.clone())).cloned();
            page.filter_map(|(_, luid)| row(luid)).collect()
        }))
    }

    fn outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        Ok(self.with(|tables, changes| {
            let row = |guid: &Guid| changes.outgoing.get(&tables.outgoing, &(device, book, *guid)).cloned();
            guids.iter().map(row).collect()
        }))
    }

    fn outgoing_page(&mut self, device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((device, book, after)), Included((device, book, LAST)));
            let page = changes.outgoing.scan(&tables.outgoing, range.0, range.1);
            page.take(limit).map(|(_, row)| row.clone()).collect()
        }))
    }

    fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        Ok(self.with(|tables, changes| {
            let range = (Included((device, BookNo(i64::MIN), FIRST)), Included((device, BookNo(i64::MAX), LAST)));
            let mut sent = BTreeMap::new();
            for ((_, book, _), row) in changes.outgoing.scan(&tables.outgoing, range.0, range.1) {
                if let (Some(session), Some(place)) = (row.session, row.sent_as)
                    && session == *token
                {
                    sent.entry(place).or_insert((*book, row));
                }
            }
            refs.iter().map(|place| sent.get(place).map(|(book, row)| (*book, (*row).clone()))).collect()
        }))
    }

    fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        self.with(|_, changes| {
            for row in rows {
                changes.outgoing.put((device, book, row.guid), row.clone());
            }
        });
        Ok(())
    }

    fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        self.with(|_, changes| {
            for guid in guids {
                changes.outgoing.remove((device, book, *guid));
            }
        });
        Ok(())
    }

    fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        self.with(|tables, changes| {
            let range = (Included((device, book, FIRST)), Included((device, book, LAST)));
            let all = changes.outgoing.scan(&tables.outgoing, range.0, range.1);
            for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
                changes.outgoing.remove(key);
            }
        });
        Ok(())
    }

    fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        self.with(|tables, changes| {
            for row in rows {
                let by_luid = (device, book, row.epoch, row.luid.clone().into_owned());
                let seq = match changes.staged_luids.get(&tables.staged_luids, &by_luid) {
                    Some(seq) => *seq,
                    None => tables.next_number(),
                };
                changes.staged_luids.put(by_luid, seq);
                changes.staged.put((device, book, seq), row.clone().into_owned());
            }
        });
        Ok(())
    }

    fn staged(&mut self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((device, book, after)), Included((device, book, i64::MAX)));
            let page = changes.staged.scan(&tables.staged, range.0, range.1).take(limit);
            page.map(|((_, _, seq), change)| StagedRow { seq: *seq, change: change.clone() }).collect()
        }))
    }

    fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        self.with(|tables, changes| {
            for seq in seqs {
                let key = (device, book, *seq);
                if let Some(change) = changes.staged.get(&tables.staged, &key) {
                    let luid = change.luid.clone().into_owned();
                    changes.staged_luids.remove((device, book, change.epoch, luid));
                    changes.staged.remove(key);
                }
            }
        });
        Ok(())
    }

    fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        Ok(self.with(|tables, changes| {
            let range = (Included((device, book, i64::MIN)), Included((device, book, i64::MAX)));
            let all = changes.staged.scan(&tables.staged, range.0, range.1);
            all.filter(|(_, change)| change.op == op).count() as u64
        }))
    }
}

/// Refuses revisions that are not newer than all that is committed (I11).
fn check_newer(tables: &Tables, changes: &Changes, book: BookNo, row: &ItemRow<'_>) -> Result<()> {
    let head = changes.books.get(&tables.books, &book).map_or(Revision(0), |(book, _)| book.head);
    if row.revision > head {
        return Ok(());
    }
    let ItemRow { guid, revision, .. } = row;
    Err(StoreError::Corrupt(format!("item {guid} of book {book} shall get revision {revision} below head {head}")))
}

/// What a current item holds, as its revision.
fn as_of(item: &ItemRow<'_>) -> RevisionRow {
    RevisionRow {
        guid: item.guid,
        revision: item.revision,
        deleted: item.deleted,
        media_type: item.media_type.as_deref().map(str::to_owned),
        content: item.content.to_vec(),
        origin: item.origin,
        at: item.at,
    }
}

/// The map entries of a pair in all epochs, retired ones included.
fn epochs<'a>(
    tables: &'a Tables,
    changes: &'a Changes,
    device: DeviceNo,
    book: BookNo,
) -> impl Iterator<Item = &'a MapRow> {
    let from = Included((device, book, i64::MIN, String::new()));
    let all = changes.maps.scan(&tables.maps, from, std::ops::Bound::Unbounded);
    all.take_while(move |((row_device, row_book, ..), _)| (*row_device, *row_book) == (device, book))
        .map(|(_, row)| row)
}
