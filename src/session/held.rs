//! What waits for a person's decision, and the decision (mission X5, field notes 9, 30, 31).
//!
//! The guard keeps back deletes that are too many to be meant: the items stay, and the device is not sent them. *Release*
//! deletes them after all; *discard* forgets the deletes, and the device is sent the items in its next sync – as it is by a
//! slow sync, which compares everything. A slow sync that is held is held once more, unless it was released.
//!
//! Both work page by page and may be called again after a crash: what was decided is decided.

use crate::message::Timestamp;
use crate::store::audit::{self, AuditRow};
use crate::store::{
    AccountNo, BookNo, BookWriter, DeviceNo, Guid, Hold, HoldReason, MapRow, MapState, OutgoingRow, PairRow, Result,
    Store, StoreError, Tx, Verdict,
};
use serde::Serialize;

/// Map entries looked at in one step.
const PAGE: usize = 500;

/// Something that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The device, as its header's Source names it; in a client's store, the server.
    pub device: String,
    /// The book.
    pub book: BookNo,
    /// Why, since when, and the snapshot.
    pub hold: Hold,
    /// The items that would be deleted; none for a slow sync.
    pub items: Vec<Guid>,
}

/// A decision about what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldDecision {
    /// It was meant: it happens.
    Release,
    /// It was not: it never happened.
    Discard,
}

/// What a decision did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// Holds that were decided.
    pub holds: u64,
    /// Items that were deleted.
    pub deleted: u64,
    /// Items that stay, and are sent to the device again; those too that were changed since, because a change beats a delete.
    pub kept: u64,
}

/// All that is held of an account: of one book, or of all.
///
/// # Errors
/// The store's own failure.
pub fn held(store: &dyn Store, account: AccountNo, book: Option<BookNo>) -> Result<Vec<Held>> {
    let mut found = Vec::new();
    for (device, device_id, pair) in pairs(store, account, book)? {
        for hold in &pair.holds {
            let items = match hold.reason {
                HoldReason::SlowSync => Vec::new(),
                HoldReason::Deletes | HoldReason::Vanished => entries(store, account, device, &pair)?,
            };
            found.push(Held { device: device_id.clone(), book: pair.book, hold: hold.clone(), items });
        }
    }
    // What came back by itself is not held any more.
    found.retain(|held| held.hold.reason == HoldReason::SlowSync || !held.items.is_empty());
    Ok(found)
}

/// Decides about what is held of one book, by one device or all.
///
/// # Errors
/// The store's own failure; [`StoreError::NotFound`] for a device that is not known. What was decided before stays so.
pub fn decide_held(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    device_id: Option<&str>,
    decision: HeldDecision,
    now: Timestamp,
) -> Result<Decided> {
    let mut decided = Decided::default();
    let mut known = device_id.is_none();
    for (device, name, pair) in pairs(store, account, Some(book))? {
        if device_id.is_some_and(|wanted| wanted != name) {
            continue;
        }
        known = true;
        for hold in &pair.holds {
            decided.holds += 1;
            if hold.reason != HoldReason::SlowSync {
                decide_items(store, account, device, &pair, (decision, now), &mut decided)?;
            }
            end(store, account, (device, book), hold.reason, (decision, now))?;
        }
    }
    match known {
        true => Ok(decided),
        false => Err(StoreError::NotFound(format!("device {:?}", device_id.unwrap_or_default()))),
    }
}

/// The devices that have anything held.
fn pairs(store: &dyn Store, account: AccountNo, book: Option<BookNo>) -> Result<Vec<(DeviceNo, String, PairRow)>> {
    let mut found = Vec::new();
    store.look(account, &mut |tx| {
        found.clear();
        let books: Vec<BookNo> = tx.books()?.into_iter().map(|row| row.book).collect();
        for row in tx.devices()? {
            for one in books.iter().filter(|one| book.is_none_or(|book| book == **one)) {
                if let Some(pair) = tx.pair(row.device, *one)? {
                    found.push((row.device, row.device_id.clone(), pair));
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The epochs of a map that may have held entries: the one in force, and one that is being written.
const fn epochs(pair: &PairRow) -> [i64; 2] {
    [pair.epoch, pair.epoch.saturating_add(1)]
}

fn entries(store: &dyn Store, account: AccountNo, device: DeviceNo, pair: &PairRow) -> Result<Vec<Guid>> {
    let mut items = Vec::new();
    for epoch in epochs(pair) {
        let mut after = Guid(0);
        loop {
            let mut page = Vec::new();
            store.look(account, &mut |tx| {
                page = tx.map_page(device, pair.book, epoch, after, PAGE)?;
                Ok(())
            })?;
            let Some(last) = page.last() else { break };
            after = last.guid;
            items.extend(page.iter().filter(|entry| entry.state == MapState::Held).map(|entry| entry.guid));
        }
    }
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

fn decide_items(
    store: &dyn Store,
    account: AccountNo,
    device: DeviceNo,
    pair: &PairRow,
    (decision, now): (HeldDecision, Timestamp),
    decided: &mut Decided,
) -> Result<()> {
    for epoch in epochs(pair) {
        let mut after = Some(Guid(0));
        while let Some(from) = after {
            let mut done = Decided::default();
            store.step(account, &mut |tx| {
                done = Decided::default();
                let page = tx.map_page(device, pair.book, epoch, from, PAGE)?;
                after = page.last().map(|entry| entry.guid);
                let held: Vec<MapRow> = page.into_iter().filter(|entry| entry.state == MapState::Held).collect();
                if held.is_empty() {
                    return Ok(Verdict::Rollback);
                }
                decide_page(tx, device, pair.book, held, (decision, now), &mut done)?;
                Ok(Verdict::Commit)
            })?;
            decided.deleted += done.deleted;
            decided.kept += done.kept;
        }
    }
    Ok(())
}

fn decide_page(
    tx: &mut dyn Tx,
    device: DeviceNo,
    book: BookNo,
    held: Vec<MapRow>,
    (decision, now): (HeldDecision, Timestamp),
    done: &mut Decided,
) -> Result<()> {
    let row = tx.lock_books(&[book])?.pop();
    let mut writer = BookWriter::new(
        row.ok_or_else(|| StoreError::Corrupt("a locked book has no row".to_owned()))?,
        Some(device),
        now,
    );
    // Once more, now that nobody else writes: a sync may have brought some of them back.
    let guids: Vec<Guid> = held.iter().map(|entry| entry.guid).collect();
    let epoch = held.first().map_or(0, |entry| entry.epoch);
    let current = tx.maps_by_guid(device, book, epoch, &guids)?;
    let (mut maps, mut owed) = (Vec::new(), Vec::new());
    for (entry, item) in current.into_iter().zip(tx.items(book, &guids)?) {
        let (Some(entry), Some(item)) = (entry.filter(|entry| entry.state == MapState::Held), item) else { continue };
        if !item.deleted {
            if decision == HeldDecision::Release && item.revision <= entry.agreed_revision {
                writer.delete(&item);
                done.deleted += 1;
            } else {
                owed.push(OutgoingRow::unsent(&item));
                done.kept += 1;
            }
        }
        maps.push(MapRow { state: MapState::Gone, ..entry });
    }
    writer.flush(tx)?;
    tx.put_maps(device, book, &maps)?;
    tx.put_outgoing(device, book, &owed)
}

/// The hold itself is decided. A slow sync that may happen is remembered until it does.
fn end(
    store: &dyn Store,
    account: AccountNo,
    (device, book): (DeviceNo, BookNo),
    reason: HoldReason,
    (decision, now): (HeldDecision, Timestamp),
) -> Result<()> {
    store.step(account, &mut |tx| {
        tx.lock_books(&[book])?;
        let Some(mut pair) = tx.pair(device, book)? else { return Ok(Verdict::Rollback) };
        match (reason, decision) {
            (HoldReason::SlowSync, HeldDecision::Release) => {
                pair.holds.iter_mut().filter(|hold| hold.reason == reason).for_each(|hold| hold.released = true);
            }
            _ => pair.drop_hold(reason),
        }
        tx.put_pair(&pair)?;
        let action = match decision {
            HeldDecision::Release => audit::HELD_RELEASED,
            HeldDecision::Discard => audit::HELD_DISCARDED,
        };
        tx.audit(&AuditRow::new(now, "host", action, format!("book {book} by device {device}")))?;
        Ok(Verdict::Commit)
    })
}
