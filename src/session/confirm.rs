//! What the peer answers to what was sent: statuses and maps, against the ledger (DESIGN "What was sent and not yet
//! acknowledged").

use super::guid::{self, Parsed};
use super::receive::{OpenBook, own_entry};
use crate::message::{Op, StatusCode};
use crate::store::{
    BookNo, DeviceNo, Guid, ItemRow, MapRow, MapState, OutgoingRow, OutgoingState, Result, SentRef, Token, Tx,
};
use crate::sync::{Confirmation, Role, decide_confirmation};
use std::collections::HashMap;

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
    let (mut maps, mut put, mut done) = (Vec::new(), Vec::new(), Vec::new());
    for ((row, code), entry) in answered.into_iter().zip(entries) {
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
                let entry = entry.unwrap_or_else(|| MapRow {
                    epoch,
                    luid: own_entry(row.guid),
                    guid: row.guid,
                    agreed_revision: row.sent_revision,
                    lens: None,
                    view_fp: row.sent_view_fp,
                    state: MapState::Live,
                });
                // Agreed is what was sent, whatever the item has become since.
                maps.push(match op {
                    Op::Delete => MapRow { state: MapState::Gone, ..entry },
                    _ => MapRow { agreed_revision: row.sent_revision, view_fp: row.sent_view_fp, ..entry },
                });
                done.push(row.guid);
            }
            (Confirmation::Lost, _) => {
                maps.extend(entry.map(|entry| MapRow { state: MapState::Gone, ..entry }));
                put.push(OutgoingRow { op: Op::Add, ..unsent(row, code) });
            }
            (Confirmation::Refused, _) => {
                counts.refused += 1;
                put.push(OutgoingRow { state: OutgoingState::Refused, ..unsent(row, code) });
            }
            (Confirmation::Full, _) => {
                open.state.full = true;
                put.push(OutgoingRow { state: OutgoingState::Withheld, ..unsent(row, code) });
            }
            (Confirmation::Retry, _) => put.push(unsent(row, code)),
        }
        open.state.awaiting -= 1;
    }
    tx.put_maps(device, book, &maps)?;
    tx.put_outgoing(device, book, &put)?;
    tx.drop_outgoing(device, book, &done)
}

fn unsent(row: OutgoingRow, code: StatusCode) -> OutgoingRow {
    OutgoingRow { state: OutgoingState::Unsent, reason: code.0, session: None, sent_as: None, ..row }
}

/// Takes the pairs of a Map: (GUID, LUID) texts. One status each, in their order (§3.6).
pub(super) fn take_map(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    pairs: &[(&str, &str)],
) -> Result<Vec<StatusCode>> {
    let (device, book, epoch) = (open.device, open.book(), open.state.epoch);
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

    let mut change = MapChange::default();
    let mut statuses = Vec::with_capacity(pairs.len());
    for (i, (text, luid)) in pairs.iter().enumerate() {
        let known = by_guid.get(&guids[i]);
        if known.is_some_and(|entry| entry.luid == *luid) {
            statuses.push(StatusCode::OK);
            continue;
        }
        let row = rows[i].as_ref().filter(|row| {
            row.op == Op::Add
                && row.state != OutgoingState::Unsent
                && match parsed[i] {
                    Some(Parsed::Temporary(_)) => row.temp_guid.as_deref() == Some(text),
                    _ => true,
                }
        });
        let (Some(item), true) = (&items[i], row.is_some() || known.is_some()) else {
            statuses.push(StatusCode::NOT_FOUND);
            continue;
        };
        // The device put the item under another id, or used this id for another item: the older word is retired.
        change.retired.extend(by_guid.remove(&guids[i]));
        change.retired.extend(by_luid.remove(*luid).filter(|entry| entry.state != MapState::Gone));
        let entry = bind(open, row, known_agreement(&change, guids[i]), item, luid);
        if item.deleted {
            change.deletes.push(delete_row(item));
        }
        if let Some(row) = row {
            change.mapped.push(guids[i]);
            change.awaited += i64::from(row.session == Some(open.token));
        }
        by_guid.insert(entry.guid, entry.clone());
        by_luid.insert(entry.luid.clone(), entry.clone());
        change.bound.push(entry);
        statuses.push(StatusCode::OK);
    }
    change.apply(tx, open, device, book)?;
    Ok(statuses)
}

#[derive(Default)]
struct MapChange {
    retired: Vec<MapRow>,
    bound: Vec<MapRow>,
    mapped: Vec<Guid>,
    /// Of those, rows of this session, which were awaited.
    awaited: i64,
    deletes: Vec<OutgoingRow>,
}

impl MapChange {
    fn apply(mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>, device: DeviceNo, book: BookNo) -> Result<()> {
        for entry in &mut self.retired {
            entry.state = MapState::Gone;
        }
        open.state.awaiting -= self.awaited;
        self.retired.append(&mut self.bound);
        tx.put_maps(device, book, &self.retired)?;
        tx.drop_outgoing(device, book, &self.mapped)?;
        // An item deleted meanwhile: the device has it and must lose it.
        tx.put_outgoing(device, book, &self.deletes)
    }
}

fn known_agreement(change: &MapChange, guid: Guid) -> Option<&MapRow> {
    change.retired.iter().rev().find(|entry| entry.guid == guid)
}

fn bind(
    open: &OpenBook<'_, '_>,
    row: Option<&OutgoingRow>,
    before: Option<&MapRow>,
    item: &ItemRow<'_>,
    luid: &str,
) -> MapRow {
    let (agreed_revision, view_fp) = match (row, before) {
        (Some(row), _) => (row.sent_revision, row.sent_view_fp),
        (None, Some(before)) => (before.agreed_revision, before.view_fp),
        (None, None) => (item.revision, item.fingerprint),
    };
    MapRow {
        epoch: open.state.epoch,
        luid: luid.to_owned(),
        guid: item.guid,
        agreed_revision,
        lens: None,
        view_fp,
        state: MapState::Live,
    }
}

fn delete_row(item: &ItemRow<'_>) -> OutgoingRow {
    OutgoingRow {
        guid: item.guid,
        op: Op::Delete,
        sent_revision: item.revision,
        sent_view_fp: item.fingerprint,
        temp_guid: None,
        state: OutgoingState::Unsent,
        reason: 0,
        session: None,
        sent_as: None,
    }
}
