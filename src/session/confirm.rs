//! What the peer answers to what was sent: statuses and maps, against the ledger (DESIGN "What was sent and not yet
//! acknowledged").

use super::filtered::passes;
use super::folders::look_inside;
use super::guid::{self, Parsed};
use super::receive::{OpenBook, own_entry};
use crate::message::{Op, StatusCode};
use crate::store::{
    BookNo, DeviceNo, Guid, MapRow, MapState, OutgoingRow, OutgoingState, Phase, Result, Revision, SentRef, Token, Tx,
    ViewFp,
};
use crate::sync::filter::Filter;
use crate::sync::{Confirmation, Role, decide_confirmation};
use std::collections::{HashMap, HashSet};

/// A Status that answers a change of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Which change.
    pub sent_as: SentRef,
    /// What became of it.
    pub code: StatusCode,
}

/// The ledger's rows that a message's statuses answer, by book. A Status that answers nothing open is ignored: the peer
/// repeats itself.
pub(super) fn find_answered(
    tx: &mut dyn Tx,
    device: DeviceNo,
    token: &Token,
    answers: &[Answer],
) -> Result<HashMap<BookNo, Vec<(OutgoingRow, StatusCode)>>> {
    let refs: Vec<SentRef> = answers.iter().map(|answer| answer.sent_as).collect();
    let mut by_book: HashMap<BookNo, Vec<(OutgoingRow, StatusCode)>> = HashMap::new();
    for (answer, found) in answers.iter().zip(tx.outgoing_by_ref(device, token, &refs)?) {
        if let Some((book, row)) = found {
            by_book.entry(book).or_default().push((row, answer.code));
        }
    }
    Ok(by_book)
}

/// Settles the rows of one book that were answered.
pub(super) fn confirm(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    answered: Vec<(OutgoingRow, StatusCode)>,
) -> Result<()> {
    let (device, book, epoch) = (open.device, open.book(), open.state.epoch);
    let guids: Vec<Guid> = answered.iter().map(|(row, _)| row.guid).collect();
    let entries = tx.maps_by_guid(device, book, epoch, &guids)?;
    // In a sync of everything a client keeps the server's ids of the map before: the server may add those items again.
    let before = match open.state.old_epoch.filter(|_| open.role == Role::Client) {
        Some(old) => tx.maps_by_guid(device, book, old, &guids)?,
        None => vec![None; guids.len()],
    };
    let before = unless_taken(tx, open, &entries, before)?;
    let (mut maps, mut put, mut done, mut added) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (((row, code), entry), before) in answered.into_iter().zip(entries).zip(before) {
        let counts = &mut open.state.sent;
        match (decide_confirmation(row.op, code), row.op) {
            (Confirmation::Done, Op::Add) if open.role == Role::Server && entry.is_none() => {
                counts.added += 1;
                put.push(OutgoingRow { state: OutgoingState::AckedUnmapped, ..row });
                // Its Map is still awaited.
                continue;
            }
            (Confirmation::Done, op) => {
                match op {
                    Op::Add => counts.added += 1,
                    Op::Delete => counts.deleted += 1,
                    _ => counts.changed += 1,
                }
                let lens = open.sent_lens(&row);
                let entry = entry.unwrap_or_else(|| MapRow {
                    epoch,
                    luid: before.unwrap_or_else(|| own_entry(row.guid)),
                    guid: row.guid,
                    agreed_revision: row.sent_revision,
                    lens: None,
                    view_fp: row.sent_view_fp,
                    state: MapState::Live,
                });
                // Agreed is what was sent, whatever the item has become since.
                maps.push(match op {
                    Op::Delete => MapRow { state: MapState::Gone, ..entry },
                    _ => MapRow { agreed_revision: row.sent_revision, view_fp: row.sent_view_fp, lens, ..entry },
                });
                if op == Op::Add {
                    added.push(row.guid);
                }
                done.push(row.guid);
            }
            // A server that cannot have it there tells where it is (§3.15); that is then news.
            (Confirmation::Retry, Op::Move) if open.role == Role::Client && code == StatusCode::MOVE_FAILED => {
                counts.refused += 1;
                maps.extend(entry.map(|entry| MapRow { agreed_revision: row.sent_revision, ..entry }));
                done.push(row.guid);
            }
            // It has nothing of it, whatever was sent before.
            (Confirmation::Lost, _) => {
                maps.extend(entry.map(|entry| MapRow { state: MapState::Gone, ..entry }));
                put.push(OutgoingRow { op: Op::Add, ..unsent(row, code) });
            }
            // It does not move; the same is said with a Replace next time (§3.15).
            (Confirmation::Refused, Op::Move) => put.push(kept(row, code, OutgoingState::Unsent)),
            (Confirmation::Refused, _) => {
                counts.refused += 1;
                put.push(kept(row, code, OutgoingState::Refused));
            }
            (Confirmation::Full, _) => {
                open.state.full = true;
                open.state.withheld += 1;
                put.push(kept(row, code, OutgoingState::Withheld));
            }
            (Confirmation::Retry, _) => put.push(kept(row, code, OutgoingState::Unsent)),
        }
        open.state.awaiting -= 1;
    }
    tx.put_maps(device, book, &maps)?;
    tx.put_outgoing(device, book, &put)?;
    tx.drop_outgoing(device, book, &done)?;
    look_inside(tx, open, &added)
}

/// The ids that items had in the map before and have not now, but for those that are other items' by now: the server has added
/// what an item was once more, while the Status of that item was missing.
fn unless_taken(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    entries: &[Option<MapRow>],
    before: Vec<Option<MapRow>>,
) -> Result<Vec<Option<String>>> {
    let before: Vec<Option<MapRow>> =
        before.into_iter().zip(entries).map(|(old, now)| old.filter(|_| now.is_none())).collect();
    let luids: Vec<&str> = before.iter().flatten().map(|old| old.luid.as_str()).collect();
    if luids.is_empty() {
        return Ok(vec![None; before.len()]);
    }
    let now = tx.maps_by_luid(open.device, open.book(), open.state.epoch, &luids)?;
    let now = now.into_iter().flatten().filter(|entry| entry.state != MapState::Gone);
    let now: HashMap<String, Guid> = now.map(|entry| (entry.luid, entry.guid)).collect();
    let free = |old: &MapRow| now.get(&old.luid).is_none_or(|guid| *guid == old.guid);
    Ok(before.into_iter().map(|old| old.filter(free).map(|old| old.luid)).collect())
}

/// The row of what was not taken. That this failed says nothing of what was sent before it: the doubt about that stays,
/// and it is sent again.
fn kept(row: OutgoingRow, code: StatusCode, state: OutgoingState) -> OutgoingRow {
    let state = if row.state == OutgoingState::Resent { row.state } else { state };
    OutgoingRow { state, ..unsent(row, code) }
}

fn unsent(row: OutgoingRow, code: StatusCode) -> OutgoingRow {
    OutgoingRow { state: OutgoingState::Unsent, reason: code.0, session: None, sent_as: None, ..row }
}

/// Takes the pairs of a Map: (GUID, LUID) texts. One status each, in their order (§3.6).
pub(super) fn take_map(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    phase: Phase,
    pairs: &[(&str, &str)],
) -> Result<Vec<StatusCode>> {
    let (device, book) = (open.device, open.book());
    // Before a device has shown all that it has, its Map is about an earlier sync: whether it still has that, it is about to show.
    let epoch = open.state.old_epoch.filter(|_| phase == Phase::Receiving).unwrap_or(open.state.epoch);
    let stamp = open.writer.row().stamp;
    let parsed: Vec<Option<Parsed>> = pairs.iter().map(|(guid, _)| guid::parse(guid)).collect();
    let guids: Vec<Guid> = parsed
        .iter()
        .map(|parsed| match parsed {
            Some(Parsed::Full(guid, of)) if *of == stamp => *guid,
            Some(Parsed::Temporary(guid)) => *guid,
            _ => Guid(0),
        })
        .collect();
    let luids: Vec<&str> = pairs.iter().map(|(_, luid)| *luid).collect();
    let rows = tx.outgoing(device, book, &guids)?;
    let items = tx.items(book, &guids)?;
    let mut by_guid: HashMap<Guid, MapRow> =
        tx.maps_by_guid(device, book, epoch, &guids)?.into_iter().flatten().map(|e| (e.guid, e)).collect();
    let mut by_luid: HashMap<String, MapRow> =
        tx.maps_by_luid(device, book, epoch, &luids)?.into_iter().flatten().map(|e| (e.luid.clone(), e)).collect();
    let map_before = match open.state.old_epoch.filter(|old| *old != epoch) {
        Some(old) => tx.maps_by_luid(device, book, old, &luids)?,
        None => vec![None; luids.len()],
    };

    let mut change = MapChange::default();
    let mut statuses = Vec::with_capacity(pairs.len());
    for (i, (text, luid)) in pairs.iter().enumerate() {
        let known = by_guid.get(&guids[i]);
        let row = rows[i].as_ref().filter(|row| {
            row.op == Op::Add
                && row.state != OutgoingState::Unsent
                && match parsed[i] {
                    Some(Parsed::Temporary(_)) => row.temp_guid.as_deref() == Some(text),
                    _ => true,
                }
        });
        // Said before; or older word on an item whose id the device told anew in a sync of everything.
        if known.is_some() && row.is_none() {
            statuses.push(StatusCode::OK);
            continue;
        }
        let (Some(item), Some(row)) = (&items[i], row) else {
            statuses.push(StatusCode::NOT_FOUND);
            continue;
        };
        // The same pair was told before: this may be that word again, so what was sent since is not agreed.
        // In a sync of everything also in the map before, unless it was sent in this one: a device that was emptied begins with
        // the same ids.
        let before_all = map_before[i].as_ref().filter(|_| row.session != Some(open.token));
        let before = known.or_else(|| by_luid.get(*luid)).or(before_all);
        let before = before.filter(|entry| entry.luid == *luid && entry.guid == guids[i]);
        let told = before.is_some();
        // Nor is it when this is word on an earlier sending of it, with other content.
        let doubted = row.state == OutgoingState::Resent && row.session != Some(open.token);
        let (agreed_revision, view_fp) =
            if doubted { (Revision(0), ViewFp::default()) } else { (row.sent_revision, row.sent_view_fp) };
        let entry = match before.cloned() {
            Some(before) => MapRow { state: MapState::Live, epoch, ..before },
            None => MapRow {
                epoch,
                luid: (*luid).to_owned(),
                guid: item.guid,
                agreed_revision,
                lens: open.sent_lens(row),
                view_fp,
                state: MapState::Live,
            },
        };
        // The device put the item under another id, or used this id for another item: the older word is retired.
        for old in [by_guid.remove(&guids[i]), by_luid.remove(*luid)].into_iter().flatten() {
            let same = old.guid == entry.guid && old.luid == entry.luid;
            if old.state != MapState::Gone && !same {
                by_guid.remove(&old.guid);
                by_luid.remove(&old.luid);
                if old.guid != guids[i] {
                    change.lost.push(old.guid);
                }
                change.maps.push(MapRow { state: MapState::Gone, ..old });
            }
        }
        let leaves = open.state.filter.as_ref().is_some_and(Filter::removes) && !passes(open, item, Some(luid));
        if told && row.state.may_be_there() && row.session != Some(open.token) {
            // It has what was sent, or what it had before that.
            let state = match row.state {
                OutgoingState::AckedUnmapped => OutgoingState::Sent,
                state => state,
            };
            change.owed.push(OutgoingRow { state, ..row.clone() });
        } else if item.deleted || entry.agreed_revision < item.revision || leaves {
            change.owed.push(OutgoingRow::unsent(item));
        }
        if change.mapped.insert(row.guid) {
            change.awaited += i64::from(row.session == Some(open.token));
        }
        by_guid.insert(entry.guid, entry.clone());
        by_luid.insert(entry.luid.clone(), entry.clone());
        change.maps.push(entry);
        statuses.push(StatusCode::OK);
    }
    change.apply(tx, open, device, book)?;
    Ok(statuses)
}

#[derive(Default)]
struct MapChange {
    /// Entries retired and bound, in their order.
    maps: Vec<MapRow>,
    mapped: HashSet<Guid>,
    /// Of those, rows of this session, which were awaited.
    awaited: i64,
    owed: Vec<OutgoingRow>,
    /// Items that lost their id to another: still here, they must be sent again.
    lost: Vec<Guid>,
}

impl MapChange {
    fn apply(self, tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>, device: DeviceNo, book: BookNo) -> Result<()> {
        open.state.awaiting -= self.awaited;
        tx.put_maps(device, book, &self.maps)?;
        let mapped: Vec<Guid> = self.mapped.into_iter().collect();
        tx.drop_outgoing(device, book, &mapped)?;
        let lost = tx.items(book, &self.lost)?.into_iter().flatten().filter(|item| !item.deleted);
        tx.put_outgoing(device, book, &lost.map(|item| OutgoingRow::unsent(&item)).collect::<Vec<_>>())?;
        // An item deleted meanwhile: the device has it and must lose it. One changed meanwhile: it must hear of that.
        tx.put_outgoing(device, book, &self.owed)?;
        look_inside(tx, open, &mapped)
    }
}
