//! Settling: what needed the peer's whole set is decided, in pages, once its package is complete (DESIGN "Settle").
//!
//! Staged rows are acknowledged data. They outlive a session that broke off and are settled with those of the next.

use super::content::{Content, Folder};
use super::datastore::is_folder_type;
use super::filtered::is_about;
use super::guarded::{held_entry, storm};
use super::receive::{Key, MAX_CANDIDATES, OpenBook, Outcome, Place, Received, Verb, When, own_entry, receive};
use super::state::Settling;
use crate::message::Op;
use crate::store::{Guid, HoldReason, ItemRow, MapRow, MapState, Result, Revision, StagedRow, Tx};
use crate::sync::{DeletionGuard, Incoming, Reaction, Role};

/// Staged rows decided at a time.
const PAGE: usize = 200;

/// Settles a book until it is done or `budget` rows were looked at; returns what is left of the budget, or `None` when
/// it ran out first.
pub(super) fn settle(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    guard: DeletionGuard,
    mut budget: usize,
) -> Result<Option<usize>> {
    let (device, book) = (open.device, open.book());
    let guard = open.treatment.guard(guard);
    loop {
        match open.state.settling {
            Settling::Start => {
                let deletes = tx.count_staged(device, book, Op::Delete)?;
                if guard.holds(deletes, live(open)) {
                    let reaction = storm(open, HoldReason::Deletes, deletes);
                    open.state.refusing = reaction == Reaction::Refuse;
                    open.state.holding = reaction == Reaction::Hold;
                }
                open.state.settling = Settling::Indexing;
            }
            Settling::Indexing => {
                // Strong matches need the index. It pays only where something could match; what a filter keeps from a
                // device is likely to be put in there again by hand.
                let comes = !tx.staged(device, book, 0, 1)?.is_empty() || open.state.received.added > 0;
                let wanted = comes || open.state.filter.is_some();
                if !wanted || open.writer.row().indexed || open.state.alone {
                    open.state.settling = Settling::Deciding(0);
                    continue;
                }
                if budget < PAGE {
                    return Ok(None);
                }
                budget -= PAGE;
                if tx.index_more(book, PAGE * 10)? {
                    open.writer.set_indexed();
                }
            }
            // First all exact pairs, then the strong ones, so that a near twin never takes an exact one's partner.
            Settling::Deciding(after) | Settling::Matching(after) => {
                let strong = matches!(open.state.settling, Settling::Matching(_));
                if budget == 0 {
                    return Ok(None);
                }
                let rows = tx.staged(device, book, after, PAGE.min(budget))?;
                let Some(last) = rows.last().map(|row| row.seq) else {
                    open.state.settling = match strong {
                        false => Settling::Matching(0),
                        // Who said nothing of the book has not said what it has.
                        true if !open.mirrors() || !open.state.sync_seen => Settling::End,
                        true if open.state.filter.is_some() => Settling::Weighing(Revision(0), 0),
                        true => {
                            let (epoch, upto) = (open.state.epoch, open.state.start_head);
                            let rest = tx.count_differences((device, book), epoch, Revision(0), upto)?;
                            weigh(open, guard, rest)
                        }
                    };
                    continue;
                };
                budget -= rows.len().min(budget);
                decide_page(tx, open, rows, strong)?;
                open.state.settling = if strong { Settling::Matching(last) } else { Settling::Deciding(last) };
            }
            Settling::Weighing(after, found) => {
                if budget == 0 {
                    return Ok(None);
                }
                let upto = open.state.start_head;
                let page = tx.differences((device, book), open.state.epoch, after, upto, PAGE.min(budget))?;
                budget -= page.len().min(budget);
                let rest = found + unseen(open, &page).count() as u64;
                open.state.settling = match page.last() {
                    Some((last, _)) => Settling::Weighing(last.revision, rest),
                    None => weigh(open, guard, rest),
                };
            }
            Settling::Deleting(after) | Settling::Holding(after) => {
                if budget == 0 {
                    return Ok(None);
                }
                let upto = open.state.start_head;
                let page = tx.differences((device, book), open.state.epoch, after, upto, PAGE.min(budget))?;
                let Some((last, _)) = page.last() else {
                    open.state.settling = Settling::End;
                    continue;
                };
                let holds = matches!(open.state.settling, Settling::Holding(_));
                let after = last.revision;
                open.state.settling = if holds { Settling::Holding(after) } else { Settling::Deleting(after) };
                budget -= page.len().min(budget);
                let unseen: Vec<&ItemRow<'_>> = unseen(open, &page).collect();
                delete_unseen(tx, open, &unseen, holds)?;
            }
            Settling::End => return Ok(Some(budget)),
        }
    }
}

/// Whether what the other side of a refresh has not is deleted: not if that is too much to be meant.
fn weigh(open: &mut OpenBook<'_, '_>, guard: DeletionGuard, rest: u64) -> Settling {
    let reaction =
        if guard.holds(rest, live(open)) { storm(open, HoldReason::Vanished, rest) } else { Reaction::Proceed };
    match reaction {
        Reaction::Proceed => Settling::Deleting(Revision(0)),
        Reaction::Hold => Settling::Holding(Revision(0)),
        // It has no entry and so is sent again.
        Reaction::Refuse => Settling::End,
    }
}

/// The items of a page that a refresh is about and the other side has not.
fn unseen<'p>(
    open: &OpenBook<'_, '_>,
    page: &'p [(ItemRow<'static>, Option<MapRow>)],
) -> impl Iterator<Item = &'p ItemRow<'static>> {
    let missing = page.iter().filter(|(item, entry)| !item.deleted && entry.is_none());
    missing.map(|(item, _)| item).filter(|item| is_about(open, item))
}

/// Deletes, or holds, what the peer does not show, but for what it could not: folders, where it has none, and what it has freed
/// and keeps here (§3.12).
fn delete_unseen(tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>, unseen: &[&ItemRow<'_>], holds: bool) -> Result<()> {
    let (device, book) = (open.device, open.book());
    let guids: Vec<Guid> = unseen.iter().map(|item| item.guid).collect();
    let before = match open.state.old_epoch.filter(|_| open.role == Role::Server) {
        Some(old) => tx.maps_by_guid(device, book, old, &guids)?,
        None => vec![None; guids.len()],
    };
    let (mut freed, mut held) = (Vec::new(), Vec::new());
    for (item, entry) in unseen.iter().zip(before) {
        if let Some(entry) = entry.filter(|entry| entry.state == MapState::SoftDeleted) {
            freed.push(entry);
        } else if open.state.tree || !item.media_type.as_deref().is_some_and(is_folder_type) {
            if holds {
                held.push(held_entry(open, item));
                continue;
            }
            open.writer.delete(item);
            open.state.received.deleted += 1;
        }
    }
    open.writer.flush(tx)?;
    tx.put_maps(device, book, &held)?;
    // An id that the device uses for another item now does not name this one any more.
    let luids: Vec<&str> = freed.iter().map(|entry| entry.luid.as_str()).collect();
    let used = tx.maps_by_luid(device, book, open.state.epoch, &luids)?;
    let keep = freed.into_iter().zip(used).map(|(entry, used)| {
        let luid = if used.is_some() { own_entry(entry.guid) } else { entry.luid };
        MapRow { epoch: open.state.epoch, luid, ..entry }
    });
    tx.put_maps(device, book, &keep.collect::<Vec<_>>())
}

/// Live items when the sync began.
fn live(open: &OpenBook<'_, '_>) -> u64 {
    u64::try_from(open.state.start_live).unwrap_or(0)
}

fn decide_page(tx: &mut dyn Tx, open: &mut OpenBook<'_, '_>, rows: Vec<StagedRow>, strong: bool) -> Result<()> {
    let (device, book) = (open.device, open.book());
    // A staged row is of this page only: its borrowed batch ends with it.
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let role = open.role;
    let batch = rows.into_iter().map(|row| received(role, row)).collect();
    let outcomes = receive(tx, open, batch, When::Settling { strong })?;
    let done: Vec<i64> = seqs
        .into_iter()
        .zip(outcomes)
        .filter_map(|(seq, outcome)| (outcome != Outcome::Undecided).then_some(seq))
        .collect();
    tx.drop_staged(device, book, &done)
}

fn received(role: Role, row: StagedRow) -> Received<'static> {
    let change = row.change;
    let op = match change.op {
        Op::Delete => Incoming::Delete,
        Op::Replace => Incoming::Replace,
        _ => Incoming::Add,
    };
    let content = (op != Incoming::Delete).then(|| Content {
        media_type: change.media_type,
        bytes: change.content,
        blob: change.blob,
        print: change.view_fp,
        keys: change.keys.into_owned(),
        folder: Folder::Unsaid,
    });
    let place = change.place.map(|place| Place::from_text(role, place));
    Received { op, key: Key::Peer(change.luid), content, partial: false, place, verb: Verb::Plain }
}

// The page must fit the candidates' bound, so that a page's memory is bounded too.
const _: () = assert!(PAGE * MAX_CANDIDATES <= 10_000);
