//! How long the past is kept, and what outlives that because devices need it (DESIGN I13).

use super::{HistoryError, StoreResult, step};
use crate::message::Timestamp;
use crate::store::{AccountNo, BookNo, BookRow, DeviceNo, Guid, PastRow, Phase, Revision, Store, StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// Superseded revisions per step.
const PAGE: usize = 500;

const MS_PER_DAY: i64 = 86_400_000;

/// What of the past is kept. A superseded revision stays while *any* of the rules keeps it, and beyond that while a device
/// or an unfinished restore needs it. What is current is never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What was in force at any time within so many days: each of these states can be restored.
    pub days: Option<u32>,
    /// The last so many superseded revisions of each item.
    pub revisions: Option<u32>,
    /// What was in force within the last so many changes of the book.
    pub changes: Option<u64>,
    /// A device that was away for more than so many days is not waited for any more: when it comes back, everything is
    /// compared (508 and a slow sync). Without, devices are waited for for ever.
    pub devices: Option<u32>,
}

impl Default for Retention {
    /// A year, and five revisions of each item whatever their age; devices are waited for for ever.
    fn default() -> Self {
        Self { days: Some(365), revisions: Some(5), changes: None, devices: None }
    }
}

/// What becomes of a superseded revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A rule keeps it.
    Kept,
    /// No rule keeps it, but a device's next sync or an unfinished restore needs it.
    Needed,
    /// It is removed.
    Removed,
}

/// What a [`purge`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Purged {
    /// Superseded revisions removed.
    pub removed: u64,
    /// Those that the rules keep.
    pub kept: u64,
    /// Those that are only kept because devices or an unfinished restore need them.
    pub needed: u64,
}

/// What the fate of a revision depends on, beside itself.
#[derive(Clone, Copy, Debug)]
struct Facts {
    now: Timestamp,
    head: Revision,
    /// The oldest state of the book that somebody still has to be told the difference from.
    needed_from: Option<Revision>,
}

impl Retention {
    fn fate(&self, row: &PastRow, facts: &Facts) -> Fate {
        let cutoff = |days: u32| facts.now.0.saturating_sub(i64::from(days) * MS_PER_DAY);
        let changes = |count: u64| facts.head.0.saturating_sub_unsigned(count);
        if self.days.is_some_and(|days| row.until_at.0 >= cutoff(days))
            || self.revisions.is_some() && row.recent
            || self.changes.is_some_and(|count| row.until.0 > changes(count))
        {
            Fate::Kept
        } else if facts.needed_from.is_some_and(|from| row.until > from) {
            Fate::Needed
        } else {
            Fate::Removed
        }
    }

    /// Whether a device that was last seen then is waited for.
    fn waits(&self, now: Timestamp, last_seen: Timestamp) -> bool {
        self.devices.is_none_or(|days| last_seen.0 >= now.0.saturating_sub(i64::from(days) * MS_PER_DAY))
    }
}

/// Removes from a book what retention does not keep, with the large contents that only that referred to: page by page, each
/// a step of its own, so that nobody waits long. What a device that is waited for has as its base, or was sent, stays
/// (I13); states of the book before [`BookRow::purged_upto`] are not whole any more. `progress` is told after each page.
/// Broken off, it is simply called again.
///
/// # Errors
/// The store's own failure; what was removed before stays removed.
pub fn purge(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    retention: &Retention,
    now: Timestamp,
    progress: &mut dyn FnMut(&Purged),
) -> StoreResult<Purged> {
    let mut done = Purged::default();
    let mut after = Some(Revision(i64::MIN));
    while let Some(from) = after {
        let page = step(store, account, |tx| Ok(purge_page(tx, book, retention, now, from)?));
        let (of_page, next) = page.map_err(|error| match error {
            HistoryError::Store(error) => error,
            other => StoreError::Failed(other.to_string()),
        })?;
        done = Purged {
            removed: done.removed + of_page.removed,
            kept: done.kept + of_page.kept,
            needed: done.needed + of_page.needed,
        };
        after = next;
        progress(&done);
    }
    Ok(done)
}

/// One page; gives back from where to go on.
fn purge_page(
    tx: &mut dyn Tx,
    book: BookNo,
    retention: &Retention,
    now: Timestamp,
    after: Revision,
) -> StoreResult<(Purged, Option<Revision>)> {
    // Not every account has every book, and none is made for this.
    if tx.book(book)?.is_none() {
        return Ok((Purged::default(), None));
    }
    let Some(mut row) = tx.lock_books(&[book])?.pop() else { return Ok((Purged::default(), None)) };
    let newest = retention.revisions.unwrap_or(0) as usize;
    let page = tx.superseded(book, after, newest, PAGE)?;
    let needs = Needs::of(tx, &row, retention, now)?;
    let facts = Facts { now, head: row.head, needed_from: needs.from };
    let mut done = Purged::default();
    let mut doubtful = Vec::new();
    for past in &page {
        match retention.fate(past, &facts) {
            Fate::Kept => done.kept += 1,
            Fate::Needed => done.needed += 1,
            Fate::Removed => doubtful.push(past),
        }
    }
    let bases = needs.bases(tx, &doubtful)?;
    let is_needed = |past: &&PastRow| bases.get(&past.guid).is_some_and(|oldest| past.revision >= *oldest);
    let (needed, removed): (Vec<&PastRow>, Vec<&PastRow>) = doubtful.into_iter().partition(is_needed);
    done.needed += needed.len() as u64;
    done.removed = removed.len() as u64;
    if let Some(upto) = removed.iter().map(|past| past.until).max() {
        tx.purge(book, &removed.into_iter().map(key).collect::<Vec<_>>())?;
        row.purged_upto = row.purged_upto.max(upto);
        tx.put_book(&row)?;
    }
    let next = page.last().filter(|_| page.len() == PAGE).map(|past| past.revision);
    Ok((done, next))
}

const fn key(past: &PastRow) -> (Guid, Revision) {
    (past.guid, past.revision)
}

/// What devices and restores need of a book's past.
struct Needs {
    book: BookNo,
    /// All that was in force then or later.
    from: Option<Revision>,
    /// The maps to be asked for their bases: device and epoch.
    pairs: Vec<(DeviceNo, i64)>,
}

impl Needs {
    fn of(tx: &mut dyn Tx, row: &BookRow, retention: &Retention, now: Timestamp) -> StoreResult<Self> {
        let (mut from, mut pairs) = (Vec::new(), Vec::new());
        for device in tx.devices()? {
            // A replica of the host's own is always there.
            if !device.is_local() && !retention.waits(now, device.last_seen) {
                continue;
            }
            let Some(pair) = tx.pair(device.device, row.book)? else { continue };
            pairs.push((device.device, pair.epoch));
            // Whoever never came to the end of a sync compares everything, and needs bases only.
            let synced = pair.own_next.is_some() || pair.peer_next.is_some();
            if synced || device.is_local() || pair.phase != Phase::Idle {
                from.push(pair.cursor);
            }
        }
        let open = tx.restores(row.book, 1)?.pop().filter(|restore| restore.ended.is_none());
        from.extend(open.map(|restore| restore.target));
        Ok(Self { book: row.book, from: from.into_iter().min(), pairs })
    }

    /// The oldest revision of each of these items that a device is agreed on or was sent. What the item was since is needed
    /// too: a device may show any of it whose acknowledgement was lost.
    fn bases(&self, tx: &mut dyn Tx, rows: &[&PastRow]) -> StoreResult<BTreeMap<Guid, Revision>> {
        let mut found = BTreeMap::new();
        let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect::<BTreeSet<_>>().into_iter().collect();
        if guids.is_empty() {
            return Ok(found);
        }
        let mut need = |guid, revision: Revision| {
            let oldest = found.entry(guid).or_insert(revision);
            *oldest = revision.min(*oldest);
        };
        for &(device, epoch) in &self.pairs {
            // A slow sync that is open writes the next epoch.
            for epoch in [epoch, epoch + 1] {
                for map in tx.maps_by_guid(device, self.book, epoch, &guids)?.into_iter().flatten() {
                    // Where it has seen some fields only, it may have others from any time.
                    need(map.guid, if map.lens.is_some() { Revision(0) } else { map.agreed_revision });
                }
            }
            for sent in tx.outgoing(device, self.book, &guids)?.into_iter().flatten() {
                need(sent.guid, sent.sent_revision);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_keeps_and_nobody_needs_goes() {
        use Fate::{Kept, Needed, Removed};
        const NONE: Retention = Retention { days: None, revisions: None, changes: None, devices: None };
        let day = |n: i64| Timestamp(n * MS_PER_DAY);
        let row = PastRow { guid: Guid(1), revision: Revision(3), until: Revision(8), until_at: day(10), recent: true };
        let old = PastRow { recent: false, ..row };
        let facts = Facts { now: day(20), head: Revision(12), needed_from: None };
        let from = |revision| Facts { needed_from: Some(Revision(revision)), ..facts };
        for (retention, row, facts, fate, why) in [
            (NONE, row, facts, Removed, "no rule keeps anything"),
            (NONE, row, from(7), Needed, "in force when a device was here last"),
            (NONE, row, from(8), Removed, "superseded before that"),
            (Retention { days: Some(9), ..NONE }, row, from(7), Needed, "too old, but needed"),
            (Retention { days: Some(10), ..NONE }, row, facts, Kept, "in force ten days ago, to the moment"),
            (Retention { days: Some(9), ..NONE }, row, facts, Removed, "superseded before"),
            (Retention { days: Some(0), ..NONE }, row, facts, Removed, "no days"),
            (Retention { revisions: Some(1), ..NONE }, row, facts, Kept, "among the newest of its item"),
            (Retention { revisions: Some(1), ..NONE }, old, facts, Removed, "not among them"),
            (Retention { days: Some(9), revisions: Some(1), ..NONE }, row, facts, Kept, "one rule is enough"),
            (Retention { changes: Some(5), ..NONE }, old, facts, Kept, "in force at revision 7"),
            (Retention { changes: Some(4), ..NONE }, old, facts, Removed, "the state at revision 8 has it no more"),
            (Retention { changes: Some(u64::MAX), ..NONE }, old, facts, Kept, "no overflow"),
            (Retention { days: Some(u32::MAX), ..NONE }, old, facts, Kept, "no overflow"),
        ] {
            assert_eq!(retention.fate(&row, &facts), fate, "{why}");
        }
        let waiting = Retention { devices: Some(30), ..NONE };
        for (seen, waits) in [(70, true), (69, false), (100, true)] {
            assert_eq!(waiting.waits(day(100), day(seen)), waits, "{seen}");
            assert!(NONE.waits(day(100), day(seen)));
        }
    }
}
