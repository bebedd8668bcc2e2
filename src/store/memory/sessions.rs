//! Devices, sessions and their queued statuses.

use super::super::*;
use super::Lock;
use super::tables::{Changes, Tables};
use super::tx::MemoryTx;
use std::ops::Bound::Included;

impl MemoryTx<'_> {
    pub(super) fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        Ok(self.with(|tables, changes| {
            let device = changes.device_ids.get(&tables.device_ids, &device_id.to_owned())?;
            changes.devices.get(&tables.devices, device).cloned()
        }))
    }

    pub(super) fn device_by_no(&mut self, device: DeviceNo) -> Result<Option<DeviceRow>> {
        Ok(self.with(|tables, changes| changes.devices.get(&tables.devices, &device).cloned()))
    }

    pub(super) fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        Ok(self.with(|tables, changes| {
            let all = (Included(DeviceNo(i64::MIN)), Included(DeviceNo(i64::MAX)));
            changes.devices.scan(&tables.devices, all.0, all.1).map(|(_, row)| row.clone()).collect()
        }))
    }

    pub(super) fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
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

    pub(super) fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
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

    pub(super) fn put_session(&mut self, row: &SessionRow) -> Result<()> {
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

    pub(super) fn drop_rival_sessions(&mut self, device: DeviceNo, books: &[BookNo], keep: &Token) -> Result<u64> {
        let rival = |token: &Token, row: &SessionRow| {
            let overlaps = row.books.is_empty() || row.books.iter().any(|book| books.contains(book));
            row.device == device && token != keep && overlaps
        };
        let rivals = self.with(|tables, changes| {
            let all = changes.sessions.scan(&tables.sessions, Included(Token([0; 16])), Included(Token([255; 16])));
            let rivals = all.filter(|(token, (_, row))| rival(token, row));
            rivals.map(|(token, _)| *token).collect::<Vec<_>>()
        });
        let mut dropped = 0;
        for token in rivals {
            self.lock(&Lock::Session(self.account, token))?;
            dropped += self.with(|tables, changes| {
                // It may have gone, or gone over to other books, while its lock was waited for.
                let found = changes.sessions.get(&tables.sessions, &token);
                let still = found.is_some_and(|(_, row)| rival(&token, row));
                if still {
                    Self::remove_session(tables, changes, token);
                }
                u64::from(still)
            });
        }
        Ok(dropped)
    }

    pub(super) fn count_sessions(&mut self, device: DeviceNo) -> Result<u64> {
        Ok(self.with(|tables, changes| {
            let all = changes.sessions.scan(&tables.sessions, Included(Token([0; 16])), Included(Token([255; 16])));
            all.filter(|(_, (_, row))| row.device == device).count() as u64
        }))
    }

    pub(super) fn audit(&mut self, row: &AuditRow) -> Result<()> {
        self.with(|tables, changes| changes.audit.put(tables.next_number(), row.clone()));
        Ok(())
    }

    pub(super) fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
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

    pub(super) fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        self.with(|tables, changes| {
            for status in statuses {
                changes.statuses.put((*token, tables.next_number()), status.clone());
            }
        });
        Ok(())
    }

    pub(super) fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        Ok(self.with(|tables, changes| {
            let all = (Included((*token, i64::MIN)), Included((*token, i64::MAX)));
            let all = changes.statuses.scan(&tables.statuses, all.0, all.1);
            all.take(limit).map(|((_, seq), status)| (*seq, status.clone())).collect()
        }))
    }

    pub(super) fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        self.with(|tables, changes| {
            let all = (Included((*token, i64::MIN)), Included((*token, upto)));
            let all = changes.statuses.scan(&tables.statuses, all.0, all.1);
            for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
                changes.statuses.remove(key);
            }
        });
        Ok(())
    }

    fn remove_session(tables: &Tables, changes: &mut Changes, token: Token) {
        changes.sessions.remove(token);
        let all = changes.statuses.scan(&tables.statuses, Included((token, i64::MIN)), Included((token, i64::MAX)));
        for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
            changes.statuses.remove(key);
        }
    }
}
