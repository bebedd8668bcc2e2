//! From the book into the store.

use super::{
    Book, EPOCH, Known, PAGE, PAGE_BYTES, Prefer, Replica, ReplicaError, ReplicaOptions, ReplicaReport, Versioned,
    digest, map_row, versions,
};
use crate::message::Timestamp;
use crate::store::draft::merge;
use crate::store::large::is_just;
use crate::store::{
    AccountNo, BookNo, BookWriter, Draft, Guid, ItemRow, MapRow, MapState, Result as StoreResult, Revision, Store,
    StoreError, Tx, Verdict, ViewFp, Winner,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many twins of one content are looked at.
const TWINS: usize = 32;

/// How many superseded revisions are searched for what a crash left in the book.
const HISTORY: usize = 16;

/// Brings what the book's user did into the store.
///
/// Where others changed the same item meanwhile, the user's version is recorded and then merged with theirs; where it
/// cannot be merged it becomes the current one, and theirs stays in the item's history. An entry that others deleted
/// and the user changed comes back. An entry that the user deleted and others changed stays, and is delivered again.
///
/// # Errors
/// [`ReplicaError`]. What was collected before stays collected; calling again does the rest.
pub fn collect(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    own: &mut dyn Book,
    options: &ReplicaOptions,
    now: Timestamp,
) -> Result<ReplicaReport, ReplicaError> {
    let replica = Replica::open(store, account, book, options, now)?;
    let entries = own.entries().map_err(ReplicaError::Book)?;
    let mut vanished = replica.map()?;
    let known = vanished.len();
    if entries.is_empty() && known > 0 && !options.allow_mass_delete {
        return Err(ReplicaError::MassDelete { missing: known, known });
    }
    let mut work = Vec::new();
    for entry in entries {
        let fp = (!entry.version.is_empty()).then(|| digest(&entry.version));
        match vanished.remove(&entry.id) {
            Some(known) if Some(known.fp) == fp => {}
            known => work.push(Looked { id: entry.id, fp, known }),
        }
    }
    let mut report = take_in(&replica, own, work, &mut vanished)?;
    let missing = vanished.len();
    if missing > options.harmless_deletes && missing * 2 > known && !options.allow_mass_delete {
        return Err(ReplicaError::MassDelete { missing, known });
    }
    take_out(&replica, vanished, &mut report)?;
    Ok(report)
}

/// As [`collect`], for these entries only: what happened to others is not looked at, now. It costs time proportional to their
/// number, unless more of them vanished than are harmless, or perhaps all that there were: then the whole book is looked at, so
/// that what may go is weighed as it always is.
///
/// An entry that has another id now is known again if both ids are among these.
///
/// # Errors
/// As for [`collect`].
pub fn collect_some(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    own: &mut dyn Book,
    ids: &[&str],
    options: &ReplicaOptions,
    now: Timestamp,
) -> Result<ReplicaReport, ReplicaError> {
    let replica = Replica::open(store, account, book, options, now)?;
    let ids: Vec<&str> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut known = replica.map_of(&ids)?;
    let (mut work, mut vanished) = (Vec::new(), HashMap::new());
    for (id, version) in ids.iter().zip(versions(own, &ids)?) {
        match (version, known.remove(*id)) {
            (Some(version), known) => {
                let fp = digest(&version);
                if known.as_ref().is_none_or(|known| known.fp != fp) {
                    work.push(Looked { id: (*id).to_owned(), fp: Some(fp), known });
                }
            }
            (None, Some(known)) => drop(vanished.insert((*id).to_owned(), known)),
            (None, None) => {}
        }
    }
    if !options.allow_mass_delete && !vanished.is_empty() {
        let harmless = vanished.len() <= options.harmless_deletes;
        if !harmless || !another_is_left(&replica, own, &vanished)? {
            return collect(store, account, book, own, options, now);
        }
    }
    let mut report = take_in(&replica, own, work, &mut vanished)?;
    take_out(&replica, vanished, &mut report)?;
    Ok(report)
}

/// Whether the book still has one of the entries it had, besides those that vanished.
fn another_is_left(
    replica: &Replica<'_>,
    own: &mut dyn Book,
    vanished: &HashMap<String, Known>,
) -> Result<bool, ReplicaError> {
    // One more than could be among those that vanished.
    let page = replica
        .step(Verdict::Rollback, |tx| tx.map_page(replica.device, replica.book, EPOCH, Guid(0), vanished.len() + 1))?;
    let other = page.iter().map(|row| row.luid.as_str()).find(|luid| !vanished.contains_key(*luid));
    let Some(other) = other else { return Ok(false) };
    Ok(versions(own, &[other])?.iter().any(Option::is_some))
}

/// Stores what is new or changed; what turns out to be renamed is no longer among what vanished.
fn take_in(
    replica: &Replica<'_>,
    own: &mut dyn Book,
    work: Vec<Looked>,
    vanished: &mut HashMap<String, Known>,
) -> Result<ReplicaReport, ReplicaError> {
    let mut report = ReplicaReport::default();
    let mut renamed = Renamed::among(vanished);
    let mut work = work.into_iter().peekable();
    while work.peek().is_some() {
        let batch = read(&mut work, own, &mut report);
        let (done, moved) = replica.step(Verdict::Commit, |tx| store_batch(replica, tx, &batch, &renamed))?;
        report.added += done.added;
        report.changed += done.changed;
        report.conflicts += done.conflicts;
        for id in moved {
            if let Some(known) = vanished.remove(&id) {
                renamed.forget(&id, &known.fp);
            }
        }
    }
    Ok(report)
}

/// Deletes what vanished.
fn take_out(
    replica: &Replica<'_>,
    vanished: HashMap<String, Known>,
    report: &mut ReplicaReport,
) -> Result<(), ReplicaError> {
    let vanished: Vec<_> = vanished.into_iter().collect();
    for page in vanished.chunks(PAGE) {
        let done = replica.step(Verdict::Commit, |tx| store_deletes(replica, tx, page))?;
        report.deleted += done.deleted;
        report.conflicts += done.conflicts;
    }
    Ok(())
}

/// An entry that is new, or has another version than the map knows, or one that takes reading to know.
struct Looked {
    id: String,
    fp: Option<ViewFp>,
    known: Option<Known>,
}

/// The same, and read.
struct Fresh {
    id: String,
    fp: ViewFp,
    content: Vec<u8>,
    known: Option<Known>,
}

/// Reads contents until a step has enough of them.
fn read(work: &mut dyn Iterator<Item = Looked>, own: &mut dyn Book, report: &mut ReplicaReport) -> Vec<Fresh> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for Looked { id, fp, known } in work {
        let is_known = |version: &[u8]| known.as_ref().is_some_and(|known| known.fp == digest(version));
        let found = match fp {
            Some(fp) => own.read(&id).map(|content| content.map(|content| (fp, content))),
            None => own
                .read_unknown(&id, &is_known)
                .map(|found| found.map(|Versioned { version, content }| (digest(&version), content))),
        };
        match found {
            Ok(Some((fp, content))) => {
                bytes += content.len();
                batch.push(Fresh { id, fp, content, known });
            }
            // Known as it is, or deleted while we looked; the next time it will be missing.
            Ok(None) => {}
            Err(reason) => report.skipped.push((id, reason)),
        }
        if batch.len() == PAGE || bytes >= PAGE_BYTES {
            break;
        }
    }
    batch
}

/// Entries that are gone, by the digest of their version: a new entry with the same content was one of them, renamed.
struct Renamed(HashMap<ViewFp, Vec<(String, Known)>>);

impl Renamed {
    fn among(vanished: &HashMap<String, Known>) -> Self {
        let mut by_fp: HashMap<_, Vec<_>> = HashMap::new();
        for (id, known) in vanished {
            by_fp.entry(known.fp).or_default().push((id.clone(), known.clone()));
        }
        Self(by_fp)
    }

    fn candidates(&self, fp: &ViewFp) -> &[(String, Known)] {
        self.0.get(fp).map_or(&[], Vec::as_slice)
    }

    fn forget(&mut self, id: &str, fp: &ViewFp) {
        if let Some(group) = self.0.get_mut(fp) {
            group.retain(|(other, _)| other != id);
        }
    }
}

/// Stores a batch; gives back what it did and which entries were only renamed.
fn store_batch(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    batch: &[Fresh],
    renamed: &Renamed,
) -> StoreResult<(ReplicaReport, Vec<String>)> {
    let mut writer = writer(replica, tx)?;
    let mut report = ReplicaReport::default();
    let mut rows = Vec::new();

    let (edited, new): (Vec<_>, Vec<_>) = batch.iter().partition(|fresh| fresh.known.is_some());
    let edited: Vec<_> = edited.into_iter().filter_map(|fresh| Some((fresh, fresh.known.as_ref()?))).collect();
    store_edits(replica, tx, &mut writer, &edited, &mut rows, &mut report)?;

    let (moved, new) = find_renamed(replica, tx, new, renamed, &mut rows)?;
    let drafts: Vec<_> = new.iter().map(|fresh| Draft::of(replica.book, fresh.content.as_slice())).collect();
    let twins = find_twins(replica, tx, &drafts)?;
    for ((fresh, draft), twin) in new.into_iter().zip(drafts).zip(twins) {
        let (guid, revision) = twin.unwrap_or_else(|| {
            report.added += 1;
            let item = writer.add(draft);
            (item.guid, item.revision)
        });
        rows.push(map_row(&fresh.id, guid, revision, fresh.fp, MapState::Live));
    }
    writer.flush(tx)?;
    replica.put_maps(tx, &rows)?;
    Ok((report, moved))
}

fn writer<'a>(replica: &Replica<'_>, tx: &mut dyn Tx) -> StoreResult<BookWriter<'a>> {
    let row = tx.lock_books(&[replica.book])?.pop();
    let row = row.ok_or_else(|| StoreError::Corrupt("a locked book has no row".to_owned()))?;
    Ok(BookWriter::new(row, Some(replica.device), replica.now))
}

fn store_edits<'a>(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    writer: &mut BookWriter<'a>,
    edited: &[(&'a Fresh, &Known)],
    rows: &mut Vec<MapRow>,
    report: &mut ReplicaReport,
) -> StoreResult<()> {
    let guids: Vec<_> = edited.iter().map(|(_, known)| known.guid).collect();
    let agreed: Vec<_> = edited.iter().map(|(_, known)| (known.guid, known.agreed)).collect();
    let items = tx.items(replica.book, &guids)?;
    let bases = tx.revisions(replica.book, &agreed)?;
    for (((fresh, known), item), base) in edited.iter().zip(items).zip(bases) {
        let item = item.ok_or_else(|| StoreError::Corrupt(format!("item {} of a map is missing", known.guid)))?;
        let base = base.filter(|base| !base.deleted);
        let touched = match &base {
            Some(base) => is_just(tx, &base.content, base.blob, &fresh.content)?,
            None => false,
        };
        let agreed = if touched {
            // Touched, not changed.
            known.agreed
        } else if item.revision == known.agreed {
            report.changed += 1;
            writer.replace(&item, Draft::of(replica.book, fresh.content.as_slice())).revision
        } else if let Some(delivered) = delivered(replica, tx, &item, known.agreed, &fresh.content)? {
            delivered
        } else {
            report.conflicts += 1;
            report.changed += 1;
            conflict(replica, writer, &item, base.as_ref().map(|base| &*base.content), &fresh.content)
        };
        rows.push(map_row(&fresh.id, known.guid, agreed, fresh.fp, MapState::Live));
    }
    Ok(())
}

/// The revision after `agreed` that holds just this content: an earlier delivery that was interrupted wrote it.
fn delivered(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    item: &ItemRow<'_>,
    agreed: Revision,
    content: &[u8],
) -> StoreResult<Option<Revision>> {
    if !item.deleted && is_just(tx, &item.content, item.blob, content)? {
        return Ok(Some(item.revision));
    }
    for old in tx.history(replica.book, item.guid, HISTORY)? {
        if old.revision > agreed && !old.deleted && is_just(tx, &old.content, old.blob, content)? {
            return Ok(Some(old.revision));
        }
    }
    Ok(None)
}

/// Records the user's version and, where there is one, its merge with the current one; the first is what the book has.
fn conflict<'a>(
    replica: &Replica<'_>,
    writer: &mut BookWriter<'a>,
    item: &ItemRow<'_>,
    base: Option<&[u8]>,
    content: &'a [u8],
) -> Revision {
    let said = writer.replace(item, Draft::of(replica.book, content));
    if item.deleted {
        return said.revision;
    }
    let merged = merge(replica.book, base, &item.content, content, replica.prefer);
    // Where nothing can be merged, all of one side lost.
    let lost = merged.as_ref().is_none_or(|(_, fields)| !fields.is_empty());
    let (stands, winner, loser) = match replica.prefer {
        Prefer::Incoming => (content, Winner::Peer, item.revision),
        Prefer::Current => (&*item.content, Winner::Here, said.revision),
    };
    let (merged, fields) = merged.unwrap_or_else(|| (stands.to_vec(), Vec::new()));
    if merged.as_slice() != content {
        writer.replace(&said, Draft::of(replica.book, merged));
    }
    if lost {
        writer.conflict(item.guid, winner, Some(loser), &fields);
    }
    said.revision
}

/// Binds new entries that are vanished ones under another id; gives back the old ids, and the entries that are not.
fn find_renamed<'a>(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    new: Vec<&'a Fresh>,
    renamed: &Renamed,
    rows: &mut Vec<MapRow>,
) -> StoreResult<(Vec<String>, Vec<&'a Fresh>)> {
    let mut moved: Vec<String> = Vec::new();
    let mut rest = Vec::new();
    for fresh in new {
        let mut found = None;
        for (id, known) in renamed.candidates(&fresh.fp) {
            if !moved.contains(id) {
                // A version may be a counter, so only the content proves it.
                let base = tx.revisions(replica.book, &[(known.guid, known.agreed)])?.pop().flatten();
                if let Some(base) = base.filter(|base| !base.deleted)
                    && is_just(tx, &base.content, base.blob, &fresh.content)?
                {
                    found = Some((id, known));
                    break;
                }
            }
        }
        match found {
            Some((id, known)) => {
                rows.push(map_row(id, known.guid, known.agreed, known.fp, MapState::Gone));
                rows.push(map_row(&fresh.id, known.guid, known.agreed, fresh.fp, MapState::Live));
                moved.push(id.clone());
            }
            None => rest.push(fresh),
        }
    }
    Ok((moved, rest))
}

/// For each draft an equal live item that no entry stands for: a delivery that was interrupted, or the same person
/// entered on both sides.
fn find_twins(
    replica: &Replica<'_>,
    tx: &mut dyn Tx,
    drafts: &[Draft<'_>],
) -> StoreResult<Vec<Option<(Guid, Revision)>>> {
    let prints: Vec<_> = drafts.iter().map(|draft| draft.fingerprint).collect();
    let twins = tx.by_fingerprint(replica.book, &prints, TWINS)?;
    let guids: Vec<_> = twins.iter().flatten().copied().collect::<HashSet<_>>().into_iter().collect();
    let maps = tx.maps_by_guid(replica.device, replica.book, EPOCH, &guids)?;
    let mut free: HashSet<_> = guids.iter().zip(maps).filter(|(_, map)| map.is_none()).map(|(guid, _)| *guid).collect();
    let chosen: Vec<_> = twins.into_iter().map(|group| group.into_iter().find(|guid| free.remove(guid))).collect();
    let guids: Vec<_> = chosen.iter().flatten().copied().collect();
    let revisions: HashMap<_, _> =
        tx.items(replica.book, &guids)?.into_iter().flatten().map(|item| (item.guid, item.revision)).collect();
    Ok(chosen.into_iter().map(|guid| guid.and_then(|guid| Some((guid, *revisions.get(&guid)?)))).collect())
}

fn store_deletes(replica: &Replica<'_>, tx: &mut dyn Tx, page: &[(String, Known)]) -> StoreResult<ReplicaReport> {
    let mut writer = writer(replica, tx)?;
    let mut report = ReplicaReport::default();
    let mut rows = Vec::new();
    let guids: Vec<_> = page.iter().map(|(_, known)| known.guid).collect();
    for ((id, known), item) in page.iter().zip(tx.items(replica.book, &guids)?) {
        let mut agreed = known.agreed;
        match item {
            Some(item) if !item.deleted && item.revision == known.agreed => {
                agreed = writer.delete(&item).revision;
                report.deleted += 1;
            }
            // Others changed it: it stays, and is delivered again.
            Some(item) if !item.deleted => report.conflicts += 1,
            _ => {}
        }
        rows.push(map_row(id, known.guid, agreed, known.fp, MapState::Gone));
    }
    writer.flush(tx)?;
    replica.put_maps(tx, &rows)?;
    Ok(report)
}
