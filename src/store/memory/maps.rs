//! Pairs and map entries.

use super::super::*;
use super::tables::{Changes, Tables};
use super::tx::{FIRST, LAST, MemoryTx};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};

impl MemoryTx<'_> {
    pub(super) fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        Ok(self.with(|tables, changes| changes.pairs.get(&tables.pairs, &(device, book)).cloned()))
    }

    pub(super) fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        self.with(|_, changes| changes.pairs.put((row.device, row.book), row.clone()));
        Ok(())
    }

    pub(super) fn lens(&mut self, lens: LensNo) -> Result<Option<Vec<u8>>> {
        Ok(self.with(|tables, changes| changes.lenses.get(&tables.lenses, &lens).cloned()))
    }

    pub(super) fn put_lens(&mut self, lens: LensNo, value: &[u8]) -> Result<()> {
        self.with(|tables, changes| {
            if changes.lenses.get(&tables.lenses, &lens).is_none() {
                changes.lenses.put(lens, value.to_vec());
            }
        });
        Ok(())
    }

    pub(super) fn maps_by_luid(
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

    pub(super) fn maps_by_guid(
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

    pub(super) fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
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
                    changes.unconfirmed.remove((device, book, row.epoch, old.guid));
                }
                if row.state != MapState::Gone {
                    let by_guid = (device, book, row.epoch, row.guid);
                    if changes.maps_by_guid.get(&tables.maps_by_guid, &by_guid).is_some() {
                        return Err(StoreError::Corrupt(format!("item {} shall have two map entries", row.guid)));
                    }
                    changes.maps_by_guid.put(by_guid, row.luid.clone());
                    if row.state == MapState::Unconfirmed {
                        changes.unconfirmed.put(by_guid, row.luid.clone());
                    }
                }
                changes.maps.put(key, row.clone());
            }
            Ok(())
        })
    }

    pub(super) fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
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

    pub(super) fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        self.with(|tables, changes| {
            let others = epochs(tables, changes, device, book).filter(|row| row.epoch != keep);
            for MapRow { epoch, luid, guid, .. } in others.cloned().collect::<Vec<_>>() {
                changes.maps.remove((device, book, epoch, luid));
                changes.maps_by_guid.remove((device, book, epoch, guid));
                changes.unconfirmed.remove((device, book, epoch, guid));
            }
        });
        Ok(())
    }

    pub(super) fn map_page(
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

    pub(super) fn all_maps(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        (epoch, luid): (i64, &str),
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        Ok(self.with(|tables, changes| {
            let next = BookNo(book.0 + 1);
            let range =
                (Excluded((device, book, epoch, luid.to_owned())), Excluded((device, next, i64::MIN, String::new())));
            changes.maps.scan(&tables.maps, range.0, range.1).take(limit).map(|(_, row)| row.clone()).collect()
        }))
    }

    pub(super) fn unconfirmed_maps(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Included((device, book, epoch, FIRST)), Included((device, book, epoch, LAST)));
            let page = changes.unconfirmed.scan(&tables.unconfirmed, range.0, range.1).take(limit);
            let row = |luid: &String| changes.maps.get(&tables.maps, &(device, book, epoch, luid.clone())).cloned();
            page.filter_map(|(_, luid)| row(luid)).collect()
        }))
    }

    pub(super) fn differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        Ok(self.with(|tables, changes| {
            let found = differing(tables, changes, pair, epoch, after, upto).take(limit);
            found.map(|(item, entry)| (item.clone(), entry.cloned())).collect()
        }))
    }

    pub(super) fn count_differences(
        &mut self,
        pair: (DeviceNo, BookNo),
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> Result<u64> {
        Ok(self.with(|tables, changes| differing(tables, changes, pair, epoch, after, upto).count() as u64))
    }
}

/// What a peer is not agreed on, each item with its entry if that is not retired.
fn differing<'a>(
    tables: &'a Tables,
    changes: &'a Changes,
    (device, book): (DeviceNo, BookNo),
    epoch: i64,
    after: Revision,
    upto: Revision,
) -> impl Iterator<Item = (&'a ItemRow<'static>, Option<&'a MapRow>)> {
    let range = (Excluded((book, after)), Included((book, upto)));
    changes.by_revision.scan(&tables.by_revision, range.0, range.1).filter_map(move |(_, guid)| {
        let item = changes.items.get(&tables.items, &(book, *guid))?;
        let luid = changes.maps_by_guid.get(&tables.maps_by_guid, &(device, book, epoch, *guid));
        let entry = luid.and_then(|luid| changes.maps.get(&tables.maps, &(device, book, epoch, luid.clone())));
        let differs = entry.map_or(!item.deleted, |entry| entry.agreed_revision < item.revision);
        differs.then_some((item, entry))
    })
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
