//! One message's work, for both roles: what the peer's commands do here, what its answers settle, and what is said to it.

mod answers;
mod incoming;
mod outgoing;

pub(super) use self::answers::sent_ref;
pub(super) use self::incoming::{out_of_place, refuse_all, unfold};
pub(super) use self::outgoing::{keep_overflow, write_broken, write_statuses};

use super::datastore::{self, same_place};
use super::devinf::{self, Said};
use super::kept::Kept;
use super::large::LargeLimits;
use super::profile::{Manners, Profiles};
use super::receive::{OpenBook, Quota, own_entry};
use super::settle::settle;
use super::sight::Lenses;
use super::state::{State, StoreState};
use crate::message::{AlertCode, DevInf, Location, Timestamp, Version};
use crate::store::{
    BookNo, BookRow, BookWriter, DeviceNo, DeviceRow, Guid, MapRow, MapState, PairRow, Phase, Result, Revision,
    StoreError, Token, Tx,
};
use crate::sync::{DeletionGuard, Role, SyncType};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Statuses taken out of the queue at a time.
const QUEUE_PAGE: usize = 500;

/// Map entries retired at a time.
const MAP_PAGE: usize = 1_000;

/// One message's work: who it is with, and the books it holds.
pub(super) struct Turn {
    /// Which end this is.
    pub role: Role,
    /// The peer.
    pub device: DeviceNo,
    /// The session.
    pub token: Token,
    /// Now.
    pub now: Timestamp,
    /// What is taken of large objects.
    pub large: LargeLimits,
    /// When deletes are too many.
    pub guard: DeletionGuard,
    /// What a book may hold.
    pub quota: Quota,
    /// What the account leaves to a book beside its others, where it has a limit.
    pub rest: BTreeMap<BookNo, Quota>,
    /// The books whose deleted items can be read again from their history.
    pub archives: Vec<BookNo>,
    /// What is done differently for the peer.
    pub manners: Manners,
    /// The locked books.
    pub rows: BTreeMap<BookNo, BookRow>,
    /// The peer's pairs with them.
    pub pairs: BTreeMap<BookNo, Kept<PairRow>>,
    /// What the peer can hold now, and could at other times.
    pub lenses: Lenses,
    /// What it said of itself.
    pub said: Said,
}

impl Turn {
    /// Finds the profile rules about the peer, by its name and what it said of itself, now or in an earlier session.
    pub(super) fn choose_manners(&mut self, profiles: &Profiles, peer: &str, device: &DeviceRow, state: &mut State) {
        state.rules = profiles.about(peer, self.said.of(device.devinf.as_deref()).as_deref());
        self.manners = profiles.manners(&state.rules);
    }

    /// Locks the session's books, in ascending order, and loads the peer's pairs with them.
    pub(super) fn lock(&mut self, tx: &mut dyn Tx, books: impl IntoIterator<Item = BookNo>) -> Result<()> {
        let mut books: Vec<BookNo> = books.into_iter().filter(|book| !self.rows.contains_key(book)).collect();
        books.sort_unstable();
        books.dedup();
        if books.is_empty() {
            return Ok(());
        }
        for row in tx.lock_books(&books)? {
            let stored = tx.pair(self.device, row.book)?;
            let new = || Kept::new(PairRow::new(self.device, row.book));
            self.pairs.insert(row.book, stored.map_or_else(new, Kept::read));
            self.rows.insert(row.book, row);
        }
        Ok(())
    }

    /// Weighs the account's books: what is left to each of those that are locked, where all may hold `most` together.
    pub(super) fn weigh_account(&mut self, tx: &mut dyn Tx, most: Quota) -> Result<()> {
        if most == Quota::NONE {
            return Ok(());
        }
        let mut live = BTreeMap::new();
        for datastore in datastore::DATASTORES {
            let row = match self.rows.get(&datastore.book) {
                Some(row) => Some(row.clone()),
                None => tx.book(datastore.book)?,
            };
            let count = |of: fn(&BookRow) -> i64| row.as_ref().map_or(0, |row| of(row).max(0).cast_unsigned());
            live.insert(datastore.book, (count(|row| row.live_items), count(|row| row.live_bytes)));
        }
        let sum = |of: fn(&(u64, u64)) -> u64| live.values().map(of).fold(0, u64::saturating_add);
        let all = (sum(|live| live.0), sum(|live| live.1));
        self.rest = live
            .iter()
            .map(|(book, own)| {
                let left = |most: u64, all: u64, own: u64| most.saturating_sub(all - own);
                (*book, Quota { items: left(most.items, all.0, own.0), bytes: left(most.bytes, all.1, own.1) })
            })
            .collect();
        Ok(())
    }

    /// Opens a locked book for writing.
    pub(super) fn open<'m, R>(
        &mut self,
        state: &mut StoreState,
        work: impl FnOnce(&mut OpenBook<'_, 'm>, &mut PairRow) -> Result<R>,
    ) -> Result<R> {
        let book = state.book;
        let missing = || StoreError::Corrupt(format!("book {book} is used without its lock"));
        let row = self.rows.get(&book).ok_or_else(missing)?.clone();
        let pair = self.pairs.get_mut(&book).ok_or_else(missing)?;
        let kind = book.kind();
        // What a client receives was made by the server; what a server receives, by the device.
        state.alone &= state.seen_head == row.head;
        let writer = BookWriter::new(row, Some(self.device), self.now);
        if pair.phase == Phase::Idle {
            pair.phase = Phase::Receiving;
        }
        let (role, device, token) = (self.role, self.device, self.token);
        let quota = self.quota.within(self.rest.get(&book).copied());
        let held = self.lenses.get(state.lens);
        // What a client wants to receive says nothing of what the server can hold.
        let seen = state.fields().filter(|_| role == Role::Client);
        let lens = if seen.is_some() { Rc::new(held.with_fields(seen)) } else { held };
        let lenses = std::mem::take(&mut self.lenses);
        let treatment = self.manners.treatment(book);
        let (guard, holds) = (treatment.guard(self.guard), Vec::new());
        let mut open =
            OpenBook { role, device, token, kind, lens, lenses, state, writer, quota, treatment, guard, holds };
        let result = work(&mut open, pair)?;
        open.holds.drain(..).for_each(|hold| pair.add_hold(hold));
        pair.lens = open.state.observed.or(pair.lens);
        let row = open.writer.row().clone();
        open.state.seen_head = row.head;
        self.lenses = open.lenses;
        self.rows.insert(book, row);
        Ok(result)
    }

    /// Settles what an earlier session received and did not come to settle, by the map that it left. It was acknowledged;
    /// and only so it is known what the device had before this session tells what it has now. Returns what is left of the
    /// budget, or `None` when it ran out first.
    pub(super) fn settle_left_over(
        &mut self,
        tx: &mut dyn Tx,
        state: &mut StoreState,
        budget: usize,
    ) -> Result<Option<usize>> {
        if tx.staged(self.device, state.book, 0, 1)?.is_empty() {
            return Ok(Some(budget));
        }
        let guard = self.guard;
        let phase = self.pairs.get(&state.book).map(|pair| pair.phase);
        let left = self.open(state, |open, _| settle(tx, open, guard, budget))?;
        if let (Some(phase), Some(pair)) = (phase, self.pairs.get_mut(&state.book)) {
            pair.phase = phase;
        }
        Ok(left)
    }

    /// Whether the books' folders can be spoken of, which takes 1.2 and a peer that has them (§3.15). `devinf` is what the
    /// peer said of itself.
    pub(super) fn learn_folders(&mut self, state: &mut State, devinf: Option<&[u8]>) {
        let has_folders = |store: &StoreState| datastore::by_number(store.book).is_some_and(|one| one.folders);
        if state.version != Version::V12 || !state.stores.iter().any(has_folders) {
            return;
        }
        let caps = self.said.of(devinf);
        for store in state.stores.iter_mut().filter(|store| has_folders(store)) {
            let there = |caps: &DevInf<'_>| {
                datastore::by_number(store.book).is_some_and(|one| devinf::capability(caps, &store.there, one).folders)
            };
            store.folders = true;
            store.tree = caps.as_deref().is_some_and(there);
        }
    }

    /// The session ends: anchors of the datastores that ended cleanly move, in this transaction.
    pub(super) fn finish(&mut self, tx: &mut dyn Tx, stores: &mut [StoreState]) -> Result<()> {
        for store in stores {
            let Some(pair) = self.pairs.get_mut(&store.book) else { continue };
            store.finish(self.role, pair);
            if let Some(old) = store.old_epoch.filter(|_| store.clean) {
                if self.role == Role::Client && store.sync.sends(Role::Client) {
                    forget_guids(tx, pair, old)?;
                }
                tx.drop_maps(self.device, store.book, pair.epoch)?;
            }
        }
        Ok(())
    }

    /// Writes the pairs back that changed.
    pub(super) fn put_pairs(&mut self, tx: &mut dyn Tx) -> Result<()> {
        self.pairs.values_mut().try_for_each(|pair| pair.write(|pair| tx.put_pair(pair)))
    }
}

/// The datastore of the session that a Sync or Map speaks of, by the peer's words for it.
pub(super) fn find_store(
    stores: &[StoreState],
    target: Option<&Location<'_>>,
    source: Option<&Location<'_>>,
) -> Option<usize> {
    let here = |store: &StoreState| target.is_some_and(|target| same_place(&target.uri, &store.here));
    let there = |store: &StoreState| source.is_some_and(|source| same_place(&source.uri, &store.there));
    stores
        .iter()
        .position(|store| here(store) && there(store))
        .or_else(|| stores.iter().position(here))
        .or_else(|| if target.is_none() { stores.iter().position(there) } else { None })
}

/// An earlier sync of everything broke off: what it bound is true, and what it did not reach is as before. But an item may
/// have lost its id to another one, without a row on the ledger: so all that is not agreed is looked for, however old.
pub(super) fn fold_open_epoch(tx: &mut dyn Tx, pair: &mut PairRow) -> Result<()> {
    let full = SyncType::from_alert(AlertCode(pair.sync_type)).filter(|sync| sync.is_full());
    if let Some(sync) = full.filter(|_| pair.phase != Phase::Idle) {
        let new = pair.epoch.saturating_add(1);
        if pair.phase == Phase::Sending && sync.sends(Role::Client) {
            retire_ids(tx, pair)?;
        }
        tx.carry_maps(pair.device, pair.book, pair.epoch, new)?;
        tx.drop_maps(pair.device, pair.book, new)?;
        pair.epoch = new;
        pair.cursor = Revision(0);
    }
    pair.phase = Phase::Idle;
    Ok(())
}

/// Retires the ids of a map whose device has since shown all that it has. Those that it showed are in the map after it. Under
/// the others it had nothing: what it shows there from now on is first what it certainly is, and an edit of what was there
/// only then.
fn retire_ids(tx: &mut dyn Tx, pair: &PairRow) -> Result<()> {
    let mut after = Guid(0);
    loop {
        let mut rows = tx.map_page(pair.device, pair.book, pair.epoch, after, MAP_PAGE)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.guid;
        // What it has freed, or what was kept from it, it did not have to show.
        rows.retain(|row| row.state == MapState::Live);
        rows.iter_mut().for_each(|row| row.state = MapState::Gone);
        tx.put_maps(pair.device, pair.book, &rows)?;
    }
}

/// After a sync of everything a server calls what its client showed by the client's ids: what it adds from then on under a GUID
/// of the map before is another item. In a refresh from the server nothing is shown, and the next one names the same GUIDs.
fn forget_guids(tx: &mut dyn Tx, pair: &PairRow, old: i64) -> Result<()> {
    let mut after = Guid(0);
    loop {
        let before = tx.map_page(pair.device, pair.book, old, after, MAP_PAGE)?;
        let Some(last) = before.last() else { return Ok(()) };
        after = last.guid;
        let guids: Vec<Guid> = before.iter().map(|row| row.guid).collect();
        let now = tx.maps_by_guid(pair.device, pair.book, pair.epoch, &guids)?;
        let mut rows = Vec::new();
        for (old, now) in before.iter().zip(now) {
            let own = own_entry(old.guid);
            let Some(now) = now.filter(|now| now.state == MapState::Live && now.luid == old.luid && now.luid != own)
            else {
                continue;
            };
            rows.push(MapRow { state: MapState::Gone, ..now.clone() });
            rows.push(MapRow { luid: own, ..now });
        }
        tx.put_maps(pair.device, pair.book, &rows)?;
    }
}

/// A reply that cannot be written is a fault of this engine; nothing of the message stays.
pub(super) fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unwritable(error.to_string())
}
