//! What befalls devices, and the server's book.

use super::book::{self, BOOK, cards};
use super::card::{Face, is_respelt};
use super::schedule::{Fate, Place};
use super::tap::{FaultStore, StoreFault};
use super::world::{Device, Outcome, World};
use crate::auth::Verifier;
use crate::message::{AlertCode, Version};
use crate::store::history::{At, HistoryError, restore_book};
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, BookRow, Guid, ItemRow, MapRow, PairRow, Phase, Revision, Store, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl World<'_> {
    /// Something happens to a device.
    pub(super) fn befall(&mut self, number: usize, fate: Fate) -> Outcome {
        let device = &self.devices[number];
        let pair = self.pair(self.faults.as_ref(), self.account, &device.config.device_id)?;
        let unanchored = pair.is_some_and(|pair| pair.peer_next.is_none());
        let memory = match fate {
            Fate::BackedUp => {
                self.devices[number].backup = Some(device.memory.copy());
                return Ok(());
            }
            Fate::SetBack => match &device.backup {
                Some(backup) if self.can_be_told(number, backup)? => backup.copy(),
                _ => return Ok(()),
            },
            Fate::Emptied | Fate::Reinstalled => {
                MemoryStore::new([(number as u8 + 100).wrapping_add(device.lives.wrapping_mul(16)); 32])
            }
        };
        self.stats.fates += 1;
        let before = book::items(device.store.as_ref(), device.account).map_err(|error| self.misused(&error))?;
        let device = &self.devices[number];
        let kept = || -> crate::store::Result<AccountNo> {
            match fate {
                Fate::BackedUp | Fate::SetBack => return Ok(device.account),
                Fate::Emptied | Fate::Reinstalled => {}
            }
            let account = memory.directory().put_login("local", &Verifier::Md5([0; 16]))?;
            if fate == Fate::Reinstalled {
                install(&memory, account, &before)?;
            }
            Ok(account)
        };
        let account = kept().map_err(|error| self.misused(&error))?;
        let device = &mut self.devices[number];
        let memory = Arc::new(memory);
        device.store = Arc::new(FaultStore::new(memory.clone()));
        device.memory = memory;
        device.talk = None;
        device.sure = false;
        device.shaken = true;
        device.bare = fate == Fate::Reinstalled;
        // A backup of before has ids that are other cards' by now: what was changed since cannot be found by them.
        device.backup = device.backup.take().filter(|_| fate != Fate::Emptied);
        device.lives = device.lives.wrapping_add(1);
        let fresh = std::mem::take(&mut device.fresh);
        let deleted = std::mem::take(&mut device.deleted);
        device.account = account;
        // What it had deleted, nobody will hear of.
        self.model.unheard(&deleted);
        self.respelt_on(&before);
        // Nor that it changed something: what a card was before may be there as well.
        self.model.unheard(&fresh.iter().cloned().collect::<Vec<_>>());
        if fate == Fate::Reinstalled {
            // Without its map, a card that was changed may be taken for another by that of somebody alike.
            let faces = before.iter().map(|item| Face::read(&item.content));
            let changed = faces.filter(|face| face.tokens.iter().any(|token| fresh.contains(token)));
            self.model.may_double(changed.flat_map(|face| face.tokens));
            self.devices[number].fresh = fresh;
            if unanchored {
                self.mistaken(number, &before)?;
            }
            return Ok(());
        }
        let there = cards(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        let faces: Vec<Face> = there.iter().map(|card| Face::read(card)).collect();
        let there: BTreeSet<&String> = faces.iter().flat_map(|face| &face.tokens).collect();
        let lost = before.iter().flat_map(|item| Face::read(&item.content).tokens);
        if unanchored {
            // Whose first sync has not ended, and who shows other cards under the same ids, may as well have edited them.
            self.model.lost(lost.clone());
            // And so with what it had under an id before, whose delete it has not confirmed (seed 3048522).
            let mut rows = self.mapped(number)?;
            rows.retain(|row| !before.iter().any(|item| item.guid.0.to_string() == row.luid));
            let items = book::items(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
            let taken = items.iter().filter(|item| rows.iter().any(|row| row.guid == item.guid));
            self.model.lost(taken.flat_map(|item| Face::read(&item.content).tokens));
        }
        self.model.lost(lost.filter(|token| !there.contains(token)));
        let (store, account) = self.place(Place::Device(number));
        let now = book::items(store.as_ref(), account).map_err(|error| self.misused(&error))?;
        self.respelt_on(&now);
        // What it shows under an id that was not this card's any more, the server does not know by that for long: a filter took
        // it, say, and it came back under another id. Then it may come anew, beside what it has become there.
        let tokens = |items: &[ItemRow<'_>]| -> BTreeSet<(Guid, String)> {
            let of = |item: &ItemRow<'_>| {
                let guid = item.guid;
                Face::read(&item.content).tokens.into_iter().map(move |token| (guid, token))
            };
            items.iter().flat_map(of).collect()
        };
        let (had, has) = (tokens(&before), tokens(&now));
        let returned: BTreeSet<_> = has.difference(&had).cloned().collect();
        for item in &now {
            let mine = Face::read(&item.content);
            let changed = faces.iter().filter(|face| **face != mine).flat_map(|face| &face.tokens);
            let twice = changed.filter(|token| mine.tokens.contains(token));
            self.model.may_double(twice.filter(|token| returned.contains(&(item.guid, (*token).clone()))).cloned());
        }
        self.devices[number].returned = returned.into_iter().map(|(_, token)| token).collect();
        for item in &now {
            self.model.unheard(&Face::read(&item.content).tokens);
        }
        Ok(())
    }

    /// What the server knows by an id of the device.
    fn mapped(&self, number: usize) -> Outcome<Vec<MapRow>> {
        let id = &self.devices[number].config.device_id;
        let rows = book::look(self.faults.as_ref(), self.account, |tx| {
            let Some(device) = tx.device(id)?.map(|row| row.device) else { return Ok(Vec::new()) };
            let Some(pair) = tx.pair(device, BOOK)? else { return Ok(Vec::new()) };
            // What a sync of everything has bound that is not over is in the next epoch.
            let mut rows = tx.map_page(device, BOOK, pair.epoch, Guid(0), usize::MAX)?;
            rows.extend(tx.map_page(device, BOOK, pair.epoch + 1, Guid(0), usize::MAX)?);
            Ok(rows)
        });
        rows.map_err(|error| self.misused(&error))
    }

    /// A device whose first sync has not ended may show a card under an id that the server knows as another card's. There is no
    /// anchor that would say that it is not an edit of that: so this may be lost, or come again under the id that it has now,
    /// and the shown one be there as well.
    fn mistaken(&mut self, number: usize, shown: &[ItemRow<'_>]) -> Outcome {
        let rows = self.mapped(number)?;
        let there = book::items(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        for row in rows {
            let mine = shown.iter().find(|item| item.guid.0.to_string() == row.luid);
            let theirs = there.iter().find(|item| item.guid == row.guid);
            let (Some(mine), Some(theirs)) = (mine, theirs) else { continue };
            let (mine, theirs) = (Face::read(&mine.content).tokens, Face::read(&theirs.content).tokens);
            if !mine.iter().any(|token| theirs.contains(token)) {
                self.model.may_double(mine.iter().chain(&theirs).cloned());
                self.model.lost(theirs.into_iter());
            }
        }
        Ok(())
    }

    /// Whether a device that is set back can be told from one that went on. One that is set back to where its anchor is good
    /// went through its last sync, for all that anybody knows, and lost the last reply (DESIGN "Anchors"). One that is set back
    /// into a sync of everything that broke off, and has not ended since, goes on with it (225), and shows no anchor at all.
    /// Who does such a thing has to ask for a slow sync, or to take another DeviceID. So nobody does here.
    fn can_be_told(&self, number: usize, backup: &MemoryStore) -> Outcome<bool> {
        let Device { config, account, .. } = &self.devices[number];
        let here = self.pair(backup, *account, &config.server_uri)?;
        let there = self.pair(self.faults.as_ref(), self.account, &config.device_id)?;
        let broke_off = |pair: &PairRow| pair.phase != Phase::Idle && pair.sync_type == AlertCode::SLOW.0;
        let goes_on = config.version == Version::V12 && here.as_ref().is_some_and(broke_off);
        if goes_on && there.as_ref().is_some_and(broke_off) {
            return Ok(false);
        }
        let shown = here.and_then(|pair| pair.own_next);
        let good = there.map_or([None, None], |pair| [pair.peer_next, pair.peer_prev]);
        Ok(shown.is_none() || !good.contains(&shown))
    }

    fn pair(&self, store: &dyn Store, account: AccountNo, peer: &str) -> Outcome<Option<PairRow>> {
        let pair = book::look(store, account, |tx| match tx.device(peer)? {
            Some(row) => tx.pair(row.device, BOOK),
            None => Ok(None),
        });
        pair.map_err(|error| self.misused(&error))
    }

    /// Cards as a device spells them may come to the server once it has no proof that they are what it was sent.
    fn respelt_on(&mut self, items: &[ItemRow<'_>]) {
        let respelt = items.iter().filter(|item| is_respelt(&item.content));
        self.respelt.extend(respelt.flat_map(|item| Face::read(&item.content).tokens));
    }

    /// Somebody sets the server's book back.
    pub(super) fn restore(&mut self, back: u64, fault: Option<StoreFault>) -> Outcome {
        let faces = |world: &Self| -> Outcome<BTreeMap<Guid, Face>> {
            let items = book::items(world.faults.as_ref(), world.account).map_err(|error| world.misused(&error))?;
            Ok(items.into_iter().map(|item| (item.guid, Face::read(&item.content))).collect())
        };
        let before = faces(self)?;
        let head = book::look(self.faults.as_ref(), self.account, |tx| tx.book(BOOK));
        let head = head.map_err(|error| self.misused(&error))?.map_or(Revision(0), |row| row.head);
        let aim = At::Revision(Revision(head.0.saturating_sub(i64::try_from(back).unwrap_or(i64::MAX)).max(0)));
        let now = self.time_at(Place::Server);
        let again = |world: &Self| restore_book(world.faults.as_ref(), world.account, BOOK, aim, now, &mut |_| {});
        if let Some(fault) = fault {
            self.faults.arm(fault);
        }
        let done = again(self);
        let fired = self.faults.disarm();
        let done = match done {
            Err(HistoryError::Store(_)) if fired => again(self),
            done => done,
        };
        if let Err(error) = done {
            return Err(self.violation("store", error.to_string()));
        }
        self.stats.restores += 1;
        self.stir(None);
        let after = faces(self)?;
        for (guid, face) in &before {
            let left = after.get(guid);
            if left != Some(face) {
                self.log.tell(|| format!("     {face:?} -> {left:?}"));
                self.model.edited(self.event, Some(face), left, true);
            }
        }
        for (_, face) in after.iter().filter(|(guid, _)| !before.contains_key(guid)) {
            self.log.tell(|| format!("     -> {face:?}"));
            self.model.revived(face);
        }
        Ok(())
    }
}

/// Puts cards under the ids they had into a store that knows nothing else.
fn install(store: &dyn Store, account: AccountNo, items: &[ItemRow<'_>]) -> crate::store::Result<()> {
    store.step(account, &mut |tx| {
        let row = tx.lock_books(&[BOOK])?.remove(0);
        let head = items.iter().map(|item| item.revision).max().unwrap_or_default();
        let bytes = items.iter().map(|item| item.content.len() as i64).sum();
        tx.insert_items(BOOK, items)?;
        tx.put_book(&BookRow { head, live_items: items.len() as i64, live_bytes: bytes, ..row })?;
        Ok(Verdict::Commit)
    })
}
