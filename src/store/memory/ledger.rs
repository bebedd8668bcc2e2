//! What was sent, and what was received and waits.

use super::super::*;
use super::tables::{Changes, Tables};
use super::tx::{FIRST, LAST, MemoryTx};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};

impl MemoryTx<'_> {
    pub(super) fn outgoing(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        guids: &[Guid],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        Ok(self.with(|tables, changes| {
            let row = |guid: &Guid| changes.outgoing.get(&tables.outgoing, &(device, book, *guid)).cloned();
            guids.iter().map(row).collect()
        }))
    }

    pub(super) fn outgoing_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<OutgoingRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((device, book, after)), Included((device, book, LAST)));
            let page = changes.outgoing.scan(&tables.outgoing, range.0, range.1);
            page.take(limit).map(|(_, row)| row.clone()).collect()
        }))
    }

    pub(super) fn outgoing_by_ref(
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

    pub(super) fn outgoing_by_view(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        Ok(self.with(|tables, changes| {
            let row = |view: &ViewFp| {
                let range = (Included((device, book, *view, FIRST)), Included((device, book, *view, LAST)));
                let ((.., guid), ()) =
                    changes.outgoing_by_view.scan(&tables.outgoing_by_view, range.0, range.1).next()?;
                changes.outgoing.get(&tables.outgoing, &(device, book, *guid)).cloned()
            };
            views.iter().map(row).collect()
        }))
    }

    pub(super) fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        self.with(|tables, changes| {
            for row in rows {
                Self::remove_outgoing(tables, changes, (device, book, row.guid));
                if row.op == Op::Add && row.state.may_be_there() {
                    changes.outgoing_by_view.put((device, book, row.sent_view_fp, row.guid), ());
                }
                changes.outgoing.put((device, book, row.guid), row.clone());
            }
        });
        Ok(())
    }

    pub(super) fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        self.with(|tables, changes| {
            for guid in guids {
                Self::remove_outgoing(tables, changes, (device, book, *guid));
            }
        });
        Ok(())
    }

    pub(super) fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        self.with(|tables, changes| {
            let range = (Included((device, book, FIRST)), Included((device, book, LAST)));
            let all = changes.outgoing.scan(&tables.outgoing, range.0, range.1);
            for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
                Self::remove_outgoing(tables, changes, key);
            }
        });
        Ok(())
    }

    pub(super) fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        let mut removed = Vec::new();
        self.with(|tables, changes| {
            for row in rows {
                let by_luid = (device, book, row.epoch, row.luid.clone().into_owned());
                let seq = match changes.staged_luids.get(&tables.staged_luids, &by_luid) {
                    Some(seq) => *seq,
                    None => tables.next_number(),
                };
                removed.extend(changes.staged.get(&tables.staged, &(device, book, seq)).and_then(|row| row.blob));
                changes.staged_luids.put(by_luid, seq);
                changes.staged.put((device, book, seq), row.clone().into_owned());
            }
        });
        self.drop_removed(&removed)
    }

    pub(super) fn staged(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StagedRow>> {
        Ok(self.with(|tables, changes| {
            let range = (Excluded((device, book, after)), Included((device, book, i64::MAX)));
            let page = changes.staged.scan(&tables.staged, range.0, range.1).take(limit);
            page.map(|((_, _, seq), change)| StagedRow { seq: *seq, change: change.clone() }).collect()
        }))
    }

    pub(super) fn staged_under(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<StagedRow>>> {
        Ok(self.with(|tables, changes| {
            let found = |luid: &&str| {
                let by_luid = (device, book, epoch, (*luid).to_owned());
                let seq = *changes.staged_luids.get(&tables.staged_luids, &by_luid)?;
                let change = changes.staged.get(&tables.staged, &(device, book, seq))?.clone();
                Some(StagedRow { seq, change })
            };
            luids.iter().map(found).collect()
        }))
    }

    pub(super) fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        let mut removed = Vec::new();
        self.with(|tables, changes| {
            for seq in seqs {
                let key = (device, book, *seq);
                if let Some(change) = changes.staged.get(&tables.staged, &key) {
                    let luid = change.luid.clone().into_owned();
                    removed.extend(change.blob);
                    changes.staged_luids.remove((device, book, change.epoch, luid));
                    changes.staged.remove(key);
                }
            }
        });
        self.drop_removed(&removed)
    }

    pub(super) fn unstage(&mut self, device: DeviceNo, book: BookNo, epoch: i64, luids: &[&str]) -> Result<()> {
        let mut removed = Vec::new();
        self.with(|tables, changes| {
            for luid in luids {
                let by_luid = (device, book, epoch, (*luid).to_owned());
                if let Some(seq) = changes.staged_luids.get(&tables.staged_luids, &by_luid).copied() {
                    removed.extend(changes.staged.get(&tables.staged, &(device, book, seq)).and_then(|row| row.blob));
                    changes.staged_luids.remove(by_luid);
                    changes.staged.remove((device, book, seq));
                }
            }
        });
        self.drop_removed(&removed)
    }

    pub(super) fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        Ok(self.with(|tables, changes| {
            let range = (Included((device, book, i64::MIN)), Included((device, book, i64::MAX)));
            let all = changes.staged.scan(&tables.staged, range.0, range.1);
            all.filter(|(_, change)| change.op == op).count() as u64
        }))
    }

    pub(super) fn partial(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        direction: Direction,
    ) -> Result<Option<PartialRow>> {
        Ok(self.with(|tables, changes| changes.partials.get(&tables.partials, &(device, book, direction)).cloned()))
    }

    pub(super) fn put_partial(&mut self, device: DeviceNo, book: BookNo, row: &PartialRow) -> Result<()> {
        self.with(|_, changes| changes.partials.put((device, book, row.direction), row.clone()));
        Ok(())
    }

    pub(super) fn drop_partial(&mut self, device: DeviceNo, book: BookNo, direction: Direction) -> Result<()> {
        self.with(|_, changes| changes.partials.remove((device, book, direction)));
        Ok(())
    }

    pub(super) fn errands(&mut self, device: DeviceNo, from: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        Ok(self.with(|tables, changes| {
            let range = (Included((device, from)), Included((device, i64::MAX)));
            let rows = changes.errands.scan(&tables.errands, range.0, range.1);
            rows.map(|((_, no), content)| (*no, content.clone())).take(limit).collect()
        }))
    }

    pub(super) fn put_errand(&mut self, device: DeviceNo, no: i64, content: &[u8]) -> Result<()> {
        self.with(|_, changes| changes.errands.put((device, no), content.to_vec()));
        Ok(())
    }

    pub(super) fn drop_errands(&mut self, device: DeviceNo) -> Result<()> {
        self.with(|tables, changes| {
            let range = (Included((device, i64::MIN)), Included((device, i64::MAX)));
            let keys: Vec<_> = changes.errands.scan(&tables.errands, range.0, range.1).map(|(key, _)| *key).collect();
            keys.into_iter().for_each(|key| changes.errands.remove(key));
        });
        Ok(())
    }

    fn remove_outgoing(tables: &Tables, changes: &mut Changes, key: (DeviceNo, BookNo, Guid)) {
        if let Some(row) = changes.outgoing.get(&tables.outgoing, &key) {
            changes.outgoing_by_view.remove((key.0, key.1, row.sent_view_fp, row.guid));
            changes.outgoing.remove(key);
        }
    }
}
