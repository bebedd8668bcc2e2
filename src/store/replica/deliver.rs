//! From the store into the book.

use super::{
    Applied, Book, BookOp, EPOCH, PAGE_BYTES, Replica, ReplicaError, ReplicaOptions, ReplicaReport, collect, digest,
    map_row, versions,
};
use crate::message::Timestamp;
use crate::store::large::whole;
use crate::store::{
    AccountNo, BookNo, ItemRow, MapRow, MapState, PairRow, Result as StoreResult, Revision, Store, StoreError, Tx,
    Verdict,
};
use std::collections::HashMap;

/// Items per step; each is in memory with its content.
const PAGE: usize = 200;

/// How often a user who keeps changing what is being delivered is waited for.
const ROUNDS: usize = 3;

/// Brings what others did into the book. Call [`collect`] first.
///
/// Where the user was faster, that change is collected and delivery goes on with the merge. An entry that was changed
/// and cannot be read stays as it is and is reported; what it should receive waits for the next call.
///
/// # Errors
/// [`ReplicaError`]. What was delivered before stays delivered; calling again does the rest.
pub fn deliver(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    own: &mut dyn Book,
    options: &ReplicaOptions,
    now: Timestamp,
) -> Result<ReplicaReport, ReplicaError> {
    let replica = Replica::open(store, account, book, options, now)?;
    let mut report = ReplicaReport::default();
    for _ in 1..ROUNDS {
        if pass(&replica, own, &mut report)?.is_empty() {
            return Ok(report);
        }
        let collected = collect(store, account, book, own, options, now)?;
        report.conflicts += collected.conflicts;
    }
    for id in pass(&replica, own, &mut report)? {
        report.skipped.push((id, "was changed here meanwhile; what changed elsewhere waits".to_owned()));
    }
    Ok(report)
}

/// Delivers what can be delivered; gives back the entries where the user was faster.
fn pass(replica: &Replica<'_>, own: &mut dyn Book, report: &mut ReplicaReport) -> Result<Vec<String>, ReplicaError> {
    let Some((mut pair, upto, stamp)) = frontier(replica)? else { return Ok(Vec::new()) };
    if pair.cursor >= upto {
        return Ok(Vec::new());
    }
    let mut faster = Vec::new();
    let mut after = pair.cursor;
    // Nothing from this revision on counts as delivered.
    let mut held = None;
    // What was handed over and is not written down.
    let mut rows = Vec::new();
    loop {
        let page = replica.step(Verdict::Rollback, |tx| page_after(replica, tx, after, upto))?;
        let last = page.last().map(|(item, _)| item.revision);
        let behind = match hand_over(own, &page, stamp, report, &mut rows) {
            Ok(behind) => behind,
            Err(error) => {
                // What was done before stays done.
                if !rows.is_empty() {
                    write_down(replica, own, &pair, &mut rows)?;
                }
                return Err(error);
            }
        };
        after = last.unwrap_or(upto);
        if held.is_none() {
            held = behind.first().map(|(revision, _)| Revision(revision.0 - 1));
        }
        faster.extend(behind.into_iter().map(|(_, id)| id));
        pair.cursor = held.unwrap_or(after);
        if last.is_none() {
            write_down(replica, own, &pair, &mut rows)?;
            return Ok(faster);
        }
        if own.is_durable() {
            write_down(replica, own, &pair, &mut rows)?;
        }
    }
}

/// Has the book make durable what was delivered, and writes that down.
fn write_down(
    replica: &Replica<'_>,
    own: &mut dyn Book,
    pair: &PairRow,
    rows: &mut Vec<MapRow>,
) -> Result<(), ReplicaError> {
    own.persist().map_err(ReplicaError::Book)?;
    replica.step(Verdict::Commit, |tx| {
        tx.lock_books(&[replica.book])?;
        rows.chunks(PAGE).try_for_each(|rows| replica.put_maps(tx, rows))?;
        tx.put_pair(pair)
    })?;
    rows.clear();
    Ok(())
}

/// The next items to look at, with their contents as a whole, since a book takes them so: of large ones few at a time.
fn page_after(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    after: Revision,
    upto: Revision,
) -> StoreResult<Vec<(ItemRow<'static>, Option<MapRow>)>> {
    let mut page = tx.differences((replica.device, replica.book), EPOCH, after, upto, PAGE)?;
    let mut bytes = 0;
    let fit = page.iter().take_while(|(item, _)| {
        let fits = bytes == 0 || bytes + item.content_len() <= PAGE_BYTES as u64;
        bytes += item.content_len();
        fits
    });
    let fit = fit.count();
    page.truncate(fit);
    for (item, _) in &mut page {
        item.content = whole(tx, std::mem::take(&mut item.content), item.blob)?;
    }
    Ok(page)
}

/// Where delivery stands, the head to deliver up to, and the book's stamp; `None` for a book that was never written.
fn frontier(replica: &Replica<'_>) -> StoreResult<Option<(PairRow, Revision, u32)>> {
    replica.step(Verdict::Rollback, |tx| {
        let Some(row) = tx.book(replica.book)? else { return Ok(None) };
        let pair = tx.pair(replica.device, replica.book)?;
        let pair = pair.unwrap_or_else(|| PairRow::new(replica.device, replica.book));
        Ok(Some((pair, row.head, row.stamp)))
    })
}

type Behind = Vec<(Revision, String)>;

/// Lets the book do one page; adds the map entries to write, and gives back the entries where the user was faster.
fn hand_over(
    own: &mut dyn Book,
    page: &[(ItemRow<'static>, Option<MapRow>)],
    stamp: u32,
    report: &mut ReplicaReport,
    rows: &mut Vec<MapRow>,
) -> Result<Behind, ReplicaError> {
    let luids: Vec<&str> = page.iter().filter_map(|(_, map)| map.as_ref()).map(|map| map.luid.as_str()).collect();
    let found = if luids.is_empty() { Vec::new() } else { versions(own, &luids)? };
    let versions: HashMap<&str, Vec<u8>> =
        luids.iter().zip(found).filter_map(|(luid, found)| Some((*luid, found?))).collect();
    let mut done = Vec::new();
    let mut behind = Vec::new();
    let mut planned = Vec::new();
    for (item, map) in page {
        let Some(map) = map else {
            planned.push((item, None, format!("{stamp:x}-{}", item.guid)));
            continue;
        };
        match versions.get(map.luid.as_str()) {
            Some(version) if digest(version) == map.view_fp => {
                planned.push((item, Some((map, version.as_slice())), String::new()));
            }
            None if item.deleted => done.push(retired(map, item.revision)),
            _ => behind.push((item.revision, map.luid.clone())),
        }
    }
    let ops: Vec<_> = planned
        .iter()
        .map(|(item, entry, key)| match entry {
            None => BookOp::Add { key, content: &item.content },
            Some((map, expected)) if item.deleted => BookOp::Delete { id: &map.luid, expected },
            Some((map, expected)) => BookOp::Replace { id: &map.luid, expected, content: &item.content },
        })
        .collect();
    let answers = if ops.is_empty() { Vec::new() } else { own.apply(&ops).map_err(ReplicaError::Book)? };
    if answers.len() != ops.len() {
        return Err(StoreError::Corrupt("the own book did not answer every operation".to_owned()).into());
    }
    for ((item, entry, _), answer) in planned.iter().zip(answers) {
        match (entry, answer) {
            (Some((map, _)), Applied::Changed) => behind.push((item.revision, map.luid.clone())),
            (None, Applied::Changed) => behind.push((item.revision, format!("item {}", item.guid))),
            (Some((map, _)), Applied::Done(_)) if item.deleted => {
                report.deleted += 1;
                done.push(retired(map, item.revision));
            }
            (entry, Applied::Done(new)) => {
                *(if entry.is_some() { &mut report.changed } else { &mut report.added }) += 1;
                if let Some((map, _)) = entry.filter(|(map, _)| map.luid != new.id) {
                    done.push(retired(map, map.agreed_revision));
                }
                done.push(map_row(&new.id, item.guid, item.revision, digest(&new.version), MapState::Live));
            }
        }
    }
    rows.append(&mut done);
    behind.sort();
    Ok(behind)
}

fn retired(map: &MapRow, revision: Revision) -> MapRow {
    MapRow { state: MapState::Gone, agreed_revision: revision, ..map.clone() }
}
