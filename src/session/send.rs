//! The sending half of a sync, for both roles: what the peer is not agreed on, out of the ledger and the book, until the
//! message is full.
//!
//! First the open rows of earlier sessions, each looked at anew; then items changed since the cursor. Nothing newer than
//! the head that was frozen when the package began, and nothing twice in a session (I12).

use super::confirm::confirm;
use super::content::render;
use super::count::gave_all;
use super::datastore::is_folder_type;
use super::filtered::{all_changes, due, passes, shown};
use super::folders::{Parent, Reach, UNPLACED, reach, was_moved};
use super::guid;
use super::large_out::{Chunk, LargeOut, Placed, item_at, item_of, place_chunk, rendered};
use super::outbox::{Fit, Outbox};
use super::receive::OpenBook;
use super::state::{Position, Room};
use crate::message::{Change, Item, Location, Meta, Op, StatusCode};
use crate::store::{Guid, ItemRow, MapRow, MapState, OutgoingRow, OutgoingState, PairRow, Result, Revision, Tx};
use crate::sync::{Role, SyncType};
use std::collections::HashMap;

/// Rows looked at at a time.
pub(super) const PAGE: usize = 64;

/// Map entries counted at a time.
const COUNTED: usize = 500;

/// Fills the outbox with changes of one book; `true` when all of them are in.
///
/// The caller has opened the Sync command, and may know how many items [differ](super::count::differing). `pair.cursor` moves when the
/// book's changes are all sent or on the ledger.
pub(super) fn send(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    pair: &mut PairRow,
    outbox: &mut Outbox,
    differing: Option<u64>,
) -> Result<bool> {
    let (device, book) = (open.device, open.book());
    if !go_on(tx, open, outbox)? {
        return Ok(false);
    }
    loop {
        match open.state.position {
            Position::Start => open.state.position = Position::Open(Guid(0)),
            Position::Open(after) => {
                let rows = tx.outgoing_page(device, book, after, PAGE)?;
                if rows.is_empty() {
                    open.state.position = Position::Range(range_start(open, pair));
                    continue;
                }
                if !send_open_rows(tx, open, outbox, rows)? {
                    return Ok(false);
                }
            }
            Position::Range(after) => {
                let upto = open.state.upto;
                let (page, last) = match open.sifts() {
                    true => (all_changes(tx, open, after, PAGE)?, false),
                    false if differing == Some(0) || gave_all(open) => (Vec::new(), true),
                    false => {
                        let page = tx.differences((device, book), open.state.epoch, after, upto, PAGE)?;
                        let last = page.len() < PAGE;
                        (page, last)
                    }
                };
                let last = last || page.is_empty();
                if !page.is_empty() && !send_range(tx, open, outbox, page)? {
                    return Ok(false);
                }
                if last {
                    open.state.position = Position::Since(upto);
                }
            }
            Position::Since(after) => {
                let page = match shows_all(open) {
                    true => tx.changes(book, after, Revision(i64::MAX), PAGE)?,
                    false => Vec::new(),
                };
                if page.is_empty() {
                    open.state.position = Position::End;
                    if open.state.old_epoch.is_none() {
                        pair.cursor = open.state.upto;
                    }
                    continue;
                }
                if !send_as_it_was(tx, open, outbox, page)? {
                    return Ok(false);
                }
            }
            Position::End => return Ok(open.state.large_out.is_none()),
        }
    }
}

/// Whether the peer takes what it is not shown for what is not there.
fn shows_all(open: &OpenBook<'_, '_>) -> bool {
    open.state.old_epoch.is_some() && (open.role == Role::Client || open.state.sync == SyncType::RefreshFromServer)
}

/// In a sync of everything the old frontier means nothing, nor does it to a device with another filter than before.
pub(super) const fn range_start(open: &OpenBook<'_, '_>, pair: &PairRow) -> Revision {
    if open.state.old_epoch.is_some() || open.state.refilter { Revision(0) } else { pair.cursor }
}

fn send_open_rows(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    outbox: &mut Outbox,
    rows: Vec<OutgoingRow>,
) -> Result<bool> {
    let (device, book) = (open.device, open.book());
    let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect();
    let items = tx.items(book, &guids)?;
    let entries = tx.maps_by_guid(device, book, open.state.epoch, &guids)?;
    let (mut put, mut settled) = (Vec::new(), Vec::new());
    let mut all = true;
    for ((row, item), entry) in rows.into_iter().zip(items).zip(entries) {
        let guid = row.guid;
        let unanswered = row.op == Op::Add && row.state.may_be_there();
        let op = item.as_ref().and_then(|item| match due(open, item, entry.as_ref()) {
            None => in_doubt(open, &row, item, entry.as_ref()),
            // The server may have the earlier text of it: a Replace of an unknown id is an Add there (§2.2).
            Some(Op::Add) if open.role == Role::Client && unanswered && item.revision > row.sent_revision => {
                Some(Op::Replace)
            }
            op => op,
        });
        let op = match (op, &item) {
            // A peer that does not move is told to replace (§3.15).
            (None, Some(item)) if was_moved(tx, open, item, entry.as_ref())? => {
                Some(if matches!(row.reason, 405 | 406 | 501) { Op::Replace } else { Op::Move })
            }
            (op, _) => op,
        };
        let this_session = row.session.as_ref() == Some(&open.token) && row.state != OutgoingState::Unsent;
        // Or it went before something that is in it.
        let this_session = this_session || put.iter().any(|put: &OutgoingRow| put.guid == guid);
        match (op, item) {
            _ if this_session => {}
            // Changed since our package began: next time.
            (_, Some(item)) if item.revision > open.state.upto => {}
            (Some(op), Some(item)) if row.state != OutgoingState::Refused || item.revision > row.sent_revision => {
                if let Some(large) = LargeOut::resumed(tx, open, &row, &item, op)? {
                    // It is nobody's but the object's turn; the page is looked at again behind it.
                    put.push(OutgoingRow { session: Some(open.token), sent_as: None, ..row });
                    tx.put_outgoing(device, book, &put)?;
                    tx.drop_outgoing(device, book, &settled)?;
                    (open.state.large_out, open.state.position) = (Some(large), Position::Open(guid));
                    open.state.awaiting += 1;
                    return go_on(tx, open, outbox);
                }
                match send_in_place(tx, open, outbox, &item, entry.as_ref(), op, &mut put)? {
                    Some(sent) => {
                        put.push(again(Some(&row), sent));
                    }
                    None => {
                        all = false;
                        break;
                    }
                }
            }
            (Some(_), Some(_)) => {}
            // Sent as an Add and deleted here since, or outside of the filter now: its Map may still come and must find the
            // row.
            (None, Some(item)) if (item.deleted || open.sifts()) && unanswered && entry.is_none() => {}
            // Its entry is in the epoch before, which is in force again should this sync of everything break off.
            (None, Some(item))
                if open.state.old_epoch.is_some() && entry.is_none() && (item.deleted || row.state.is_unanswered()) => {
            }
            _ => settled.push(guid),
        }
        open.state.position = Position::Open(guid);
    }
    tx.put_outgoing(device, book, &put)?;
    tx.drop_outgoing(device, book, &settled)?;
    Ok(all)
}

/// The row of what is sent once more: what was sent before may be there, until there is an answer to both, unless it was
/// just the same. What is not sent for now leaves word of that as it is.
fn again(before: Option<&OutgoingRow>, sent: OutgoingRow) -> OutgoingRow {
    let said = |row: &OutgoingRow| (row.op, row.sent_revision, row.sent_view_fp);
    match (sent.state, before.filter(|row| row.state.may_be_there())) {
        (OutgoingState::Sent, Some(before)) if before.state != OutgoingState::Resent && said(before) == said(&sent) => {
            sent
        }
        (OutgoingState::Sent, Some(_)) => OutgoingRow { state: OutgoingState::Resent, ..sent },
        (_, Some(before)) => OutgoingRow { reason: sent.reason, ..before.clone() },
        (_, None) => sent,
    }
}

/// What must be sent although nothing differs from what was agreed: the peer may hold what was sent in between and got no
/// answer.
fn in_doubt(open: &OpenBook<'_, '_>, row: &OutgoingRow, item: &ItemRow<'_>, entry: Option<&MapRow>) -> Option<Op> {
    if !row.state.is_unanswered() {
        return None;
    }
    match entry {
        Some(entry) if !matches!(entry.state, MapState::Live | MapState::Unconfirmed) => None,
        Some(_) => {
            let differs = matches!(row.op, Op::Delete | Op::Move) || row.sent_view_fp != shown(open, item).fingerprint;
            let differs = differs || row.state == OutgoingState::Resent;
            (differs && !item.deleted).then_some(Op::Replace)
        }
        // A client's ids are the server's, too: it need not wait for a Map to take an Add back.
        None => {
            let told_of_deletes = open.state.old_epoch.is_none() || open.state.resuming;
            (item.deleted && open.role == Role::Client && told_of_deletes).then_some(Op::Delete)
        }
    }
}

fn send_range(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    outbox: &mut Outbox,
    page: Vec<(ItemRow<'static>, Option<MapRow>)>,
) -> Result<bool> {
    let (device, book) = (open.device, open.book());
    let guids: Vec<Guid> = page.iter().map(|(item, _)| item.guid).collect();
    let open_rows: HashMap<Guid, OutgoingRow> =
        tx.outgoing(device, book, &guids)?.into_iter().flatten().map(|row| (row.guid, row)).collect();
    let mut put = Vec::new();
    let mut all = true;
    for (item, entry) in page {
        // An item with an open row was looked at among those.
        let mut op = due(open, &item, entry.as_ref());
        if op.is_none() && was_moved(tx, open, &item, entry.as_ref())? {
            op = Some(Op::Move);
        }
        if !open_rows.contains_key(&item.guid)
            && !put.iter().any(|put: &OutgoingRow| put.guid == item.guid)
            && let Some(op) = op
        {
            match send_in_place(tx, open, outbox, &item, entry.as_ref(), op, &mut put)? {
                Some(row) => put.push(row),
                None => {
                    all = false;
                    break;
                }
            }
        }
        open.state.position = Position::Range(item.revision);
    }
    tx.put_outgoing(device, book, &put)?;
    Ok(all)
}

/// Items that were changed or deleted while a package of everything is on its way are shown as they were when it began:
/// a peer that is not shown them would send them back.
fn send_as_it_was(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    outbox: &mut Outbox,
    page: Vec<ItemRow<'static>>,
) -> Result<bool> {
    let (device, book) = (open.device, open.book());
    let guids: Vec<Guid> = page.iter().map(|item| item.guid).collect();
    let rows = tx.outgoing(device, book, &guids)?;
    let entries = tx.maps_by_guid(device, book, open.state.epoch, &guids)?;
    let before = tx.as_of(book, open.state.upto, &guids)?;
    for (((item, row), entry), before) in page.into_iter().zip(rows).zip(entries).zip(before) {
        let of_this = |row: &OutgoingRow| row.session == Some(open.token) && row.state != OutgoingState::Unsent;
        let sent = row.as_ref().is_some_and(of_this);
        if !sent
            && entry.is_none()
            && let Some(before) = before.filter(|before| !before.deleted)
            && let was = item_of(tx, open, &item, before)?
            && passes(open, &was, None)
        {
            let mut put = Vec::new();
            let sent = send_in_place(tx, open, outbox, &was, None, Op::Add, &mut put)?;
            let all = sent.is_some();
            put.extend(sent.map(|sent| again(row.as_ref(), sent)));
            tx.put_outgoing(device, book, &put)?;
            if !all {
                return Ok(false);
            }
        }
        open.state.position = Position::Since(item.revision);
    }
    Ok(true)
}

/// Sends the next chunk of the object that is on its way; `true` when it needs no more of them. Each waits for the
/// Status of the one before.
fn go_on(tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>, outbox: &mut Outbox) -> Result<bool> {
    let Some(large) = open.state.large_out.clone() else { return Ok(true) };
    if !large.acknowledged {
        return Ok(false);
    }
    let (device, book) = (open.device, open.book());
    let row = tx.outgoing(device, book, &[large.guid])?.pop().flatten();
    let item = tx.items(book, &[large.guid])?.pop().flatten();
    let was = match &item {
        Some(item) => item_at(tx, open, item, large.revision)?,
        None => None,
    };
    let (Some(row), Some(was)) = (row, was) else {
        // Purged meanwhile; what it is now is sent another time.
        open.state.large_out = None;
        return Ok(true);
    };
    let entry = tx.maps_by_guid(device, book, open.state.epoch, &[large.guid])?.pop().flatten();
    let (mut address, _) = address(open, large.guid, entry.as_ref(), large.op);
    if let Reach::Now(parent) = reach(tx, open, &[], &was, large.op)? {
        parent.put(open.role, &mut address);
    }
    let (meta, body) = rendered(open, outbox, &shown(open, &was));
    let meta = large.meta(meta, &body);
    let placed = match place_chunk(tx, outbox, large.op, &address, &meta, &body, large.sent)? {
        Chunk::In(placed) => placed,
        Chunk::NotNow => return Ok(false),
        Chunk::Never => {
            // The peer takes less than it did: the whole is looked at anew another time.
            open.state.large_out = None;
            confirm(tx, open, vec![(row, StatusCode::ENTITY_TOO_LARGE)])?;
            return Ok(true);
        }
    };
    tx.put_outgoing(device, book, &[OutgoingRow { sent_as: Some(placed.sent_as), ..row }])?;
    let which = (large.guid, large.revision, large.op);
    open.state.large_out = LargeOut::after(tx, open, &placed, which)?;
    Ok(open.state.large_out.is_none())
}

/// The item of a change without its data, and the temporary GUID if it has one.
fn address(open: &OpenBook<'_, '_>, guid: Guid, entry: Option<&MapRow>, op: Op) -> (Item<'static>, Option<String>) {
    let mut item = Item::default();
    let mut temp_guid = None;
    match (open.role, op) {
        (Role::Client, _) => item.source = Some(Location::new(guid::luid(guid))),
        (Role::Server, Op::Add) => {
            let (text, temporary) = guid::to_short_text(guid, open.writer.row().stamp, open.state.max_guid);
            temp_guid = temporary.then(|| text.clone());
            item.source = Some(Location::new(text));
        }
        // A Replace or Delete names the client's id and nothing else: testers fail servers that add Source (§2.3).
        (Role::Server, _) => item.target = entry.map(|entry| Location::new(entry.luid.clone())),
    }
    (item, temp_guid)
}

/// Sends an item after those folders that it is in and the peer has not: parents go first (§3.15). Their rows are put with
/// the others; `None` when this message is full.
fn send_in_place(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    outbox: &mut Outbox,
    item: &ItemRow<'_>,
    entry: Option<&MapRow>,
    op: Op,
    put: &mut Vec<OutgoingRow>,
) -> Result<Option<OutgoingRow>> {
    let parent = match reach(tx, open, put, item, op)? {
        Reach::Now(parent) => parent,
        Reach::Later => return Ok(Some(OutgoingRow::unsent(item))),
        Reach::After(folders) => {
            for (folder, row) in folders {
                let Reach::Now(parent) = reach(tx, open, put, &folder, Op::Add)? else { break };
                // The server may have the earlier text of it, as with any other item.
                let known = row.as_ref().is_some_and(|row| row.op == Op::Add && row.state.is_unanswered());
                let op = if open.role == Role::Client && known { Op::Replace } else { Op::Add };
                let Some(sent) = send_item(tx, open, outbox, &folder, None, op, &parent)? else { return Ok(None) };
                put.push(again(row.as_ref(), sent));
            }
            match reach(tx, open, put, item, op)? {
                Reach::Now(parent) => parent,
                _ => return Ok(Some(OutgoingRow::unsent(item))),
            }
        }
    };
    send_item(tx, open, outbox, item, entry, op, &parent)
}

/// A device that does not say what still fits, but how many items it holds at all (DSMem), has room for the others.
fn learn_room(tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>) -> Result<()> {
    let Some(max) = open.state.max_items.filter(|_| open.role == Role::Server && open.state.room.is_none()) else {
        return Ok(());
    };
    let (mut after, mut held) = (Guid(0), 0);
    while held < max {
        let page = tx.map_page(open.device, open.book(), open.state.epoch, after, COUNTED)?;
        let Some(last) = page.last() else { break };
        after = last.guid;
        held += page.iter().filter(|entry| entry.state == MapState::Live).count() as u64;
    }
    open.state.room = Some(Room { items: max.saturating_sub(held), bytes: u64::MAX });
    Ok(())
}

/// Puts one change into the outbox and gives its row for the ledger; `None` when this message is full.
fn send_item(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    outbox: &mut Outbox,
    item: &ItemRow<'_>,
    entry: Option<&MapRow>,
    op: Op,
    parent: &Parent,
) -> Result<Option<OutgoingRow>> {
    let item = &*shown(open, item);
    let mut row = OutgoingRow {
        guid: item.guid,
        op,
        sent_revision: item.revision,
        sent_view_fp: item.fingerprint,
        temp_guid: None,
        state: OutgoingState::Sent,
        reason: 0,
        session: Some(open.token),
        sent_as: None,
    };
    if open.state.full && op == Op::Add {
        open.state.withheld += 1;
        return Ok(Some(OutgoingRow { state: OutgoingState::Withheld, reason: 420, session: None, ..row }));
    }
    // A peer without folders is not shown any; should it have them one day, they are sent then.
    let is_folder = item.media_type.as_deref().is_some_and(is_folder_type);
    if is_folder && !open.state.tree && op != Op::Delete {
        return Ok(Some(OutgoingRow { state: OutgoingState::Withheld, reason: 406, session: None, ..row }));
    }
    if op != Op::Delete && parent.hides(item) {
        row.reason = UNPLACED;
    }
    let (mut data, temp_guid) = address(open, item.guid, entry, op);
    parent.put(open.role, &mut data);
    row.temp_guid = temp_guid;
    let (mut meta, mut size, mut in_memory) = (None, 0, true);
    if !matches!(op, Op::Delete | Op::Move) {
        let (media_type, mut bytes) = render(open.kind, item, open.state.media.as_ref());
        size = item.blob.map_or(bytes.len() as u64, |blob| blob.len);
        if open.state.max_obj.is_some_and(|max| size > max) {
            open.state.sent.refused += 1;
            return Ok(Some(OutgoingRow { state: OutgoingState::Withheld, reason: 416, session: None, ..row }));
        }
        if op == Op::Add {
            learn_room(tx, open)?;
        }
        // It has said what still fits (§3.18): the rest waits for the next sync.
        if op == Op::Add && open.state.room.is_some_and(|room| room.items == 0 || room.bytes < size) {
            (open.state.full, open.state.withheld) = (true, open.state.withheld + 1);
            return Ok(Some(OutgoingRow { state: OutgoingState::Withheld, reason: 420, session: None, ..row }));
        }
        // Large content is read as a whole only where one message may hold it.
        in_memory = item.blob.is_none() || size <= outbox.budget() as u64;
        if let (Some(blob), true) = (item.blob, in_memory) {
            bytes = tx.read_blob(blob.no, 0, outbox.budget())?.into();
        }
        meta = Some(Meta::of_type(media_type));
        outbox.put_data(&mut data, &mut meta, bytes);
    }
    let fit = match in_memory {
        true => outbox.change(|cmd_id| Change { meta, ..Change::new(op, cmd_id, data) }),
        false => Fit::Never,
    };
    let placed = match fit {
        Fit::Yes(sent_as) => Chunk::In(Placed { sent_as, bytes: size, sent: size, of: size }),
        Fit::NotNow => Chunk::NotNow,
        Fit::Never if open.state.chunks && !matches!(op, Op::Delete | Op::Move) => {
            let (mut address, _) = address(open, item.guid, entry, op);
            parent.put(open.role, &mut address);
            let (meta, body) = rendered(open, outbox, item);
            place_chunk(tx, outbox, op, &address, &meta, &body, 0)?
        }
        Fit::Never => Chunk::Never,
    };
    match placed {
        Chunk::In(placed) => {
            if let Some(room) = open.state.room.as_mut().filter(|_| op == Op::Add) {
                room.take(size);
            }
            row.sent_as = Some(placed.sent_as);
            open.state.awaiting += 1;
            open.state.large_out = LargeOut::after(tx, open, &placed, (item.guid, item.revision, op))?;
            Ok(Some(row))
        }
        Chunk::NotNow => Ok(None),
        // Too large for any message to this peer: kept back, with the reason, until that changes.
        Chunk::Never => {
            open.state.sent.refused += 1;
            Ok(Some(OutgoingRow { state: OutgoingState::Withheld, reason: 413, session: None, ..row }))
        }
    }
}
