//! The way back: an item or a whole book as it was, as new revisions.

use super::{At, HistoryError, Result, StoreResult, look, resolve_in, state_in, step};
use crate::contact::identity::Kind;
use crate::contact::merge::take;
use crate::message::Timestamp;
use crate::store::audit::{self, AuditRow};
use crate::store::large::large_draft;
use crate::store::{
    AccountNo, BookNo, BookWriter, DeviceNo, Draft, Guid, ItemRow, RestoreRow, Revision, RevisionRow, Store,
    StoreError, Tx, local_origin,
};

/// Items per step.
const PAGE: usize = 100;

/// The name under which restores write: the origin of their revisions ([`local_origin`]).
pub const ORIGIN: &str = "restore";

/// What a restore does with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Restored {
    /// It is as it was.
    Unchanged,
    /// It was deleted and is there again.
    Revived,
    /// It was changed back.
    Changed,
    /// It was not there then, and is deleted.
    Deleted,
}

/// Sets an item back to what it held at a place in its book's history, as one new revision; `write` says whether it is
/// done or only told. An item that was deleted then is deleted again. A folder that is gone meanwhile does not come back
/// with what was in it: that is put beside it.
///
/// # Errors
/// [`HistoryError`]: also for an item that was made later.
pub fn restore_item(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    guid: Guid,
    at: At,
    now: Timestamp,
    write: bool,
) -> Result<Restored> {
    if !write {
        return look(store, account, |tx| one(tx, book, guid, at).map(|(.., fate)| fate));
    }
    let origin = origin(store, account, now)?;
    step(store, account, |tx| {
        let mut writer = BookWriter::new(lock(tx, book)?, Some(origin), now);
        let (item, then, fate) = one(tx, book, guid, at)?;
        put(tx, &mut writer, &item, Some(&then), fate)?;
        writer.flush(tx)?;
        if fate != Restored::Unchanged {
            tx.audit(&AuditRow::new(now, "host", audit::RESTORED, format!("item {guid} of book {book}")))?;
        }
        Ok(fate)
    })
}

/// Takes back what a conflict took away, as one new revision: of a contact the fields that lost, as the losing revision has
/// them; all of it where none are named, or where the item is deleted by now. What the item has become otherwise stays.
/// `decided` is the revision that decided it ([`conflicts`](super::conflicts)).
///
/// # Errors
/// [`HistoryError`]; [`HistoryError::NoConflict`] too where both were kept, and nothing lost.
pub fn restore_lost(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    decided: Revision,
    now: Timestamp,
    write: bool,
) -> Result<Restored> {
    if !write {
        return look(store, account, |tx| lost(tx, book, decided).map(|(.., fate)| fate));
    }
    // Nobody is made for what is refused.
    look(store, account, |tx| lost(tx, book, decided))?;
    let origin = origin(store, account, now)?;
    step(store, account, |tx| {
        let mut writer = BookWriter::new(lock(tx, book)?, Some(origin), now);
        let (item, then, fate) = lost(tx, book, decided)?;
        put(tx, &mut writer, &item, Some(&then), fate)?;
        writer.flush(tx)?;
        if fate != Restored::Unchanged {
            let object = format!("item {} of book {book}", item.guid);
            tx.audit(&AuditRow::new(now, "host", audit::RESTORED, object))?;
        }
        Ok(fate)
    })
}

/// An item, what it is with what a conflict took away, and what is to be done with it.
fn lost(tx: &mut dyn Tx, book: BookNo, decided: Revision) -> Result<(ItemRow<'static>, RevisionRow, Restored)> {
    let conflict = tx.conflicts_at(book, &[decided])?.pop().flatten();
    let found = conflict.and_then(|conflict| conflict.lost.map(|lost| (conflict.guid, lost, conflict.fields)));
    let (guid, lost, fields) = found.ok_or(HistoryError::NoConflict { revision: decided })?;
    let (item, then, fate) = one(tx, book, guid, At::Revision(lost))?;
    let parts = book.kind() == Kind::Contact && !fields.is_empty() && item.blob.is_none() && then.blob.is_none();
    if !parts || item.deleted || then.deleted {
        return Ok((item, then, fate));
    }
    // What cannot be read as a card has no fields.
    let Some(taken) = take(&item.content, &then.content, &fields) else { return Ok((item, then, fate)) };
    let media_type = item.media_type.as_deref().map(str::to_owned);
    let with = RevisionRow { content: taken.content, media_type, parent: item.parent, depth: item.depth, ..then };
    let fate = if taken.changed { Restored::Changed } else { Restored::Unchanged };
    Ok((item, with, fate))
}

/// An item, what it was, and what is to be done with it.
fn one(tx: &mut dyn Tx, book: BookNo, guid: Guid, at: At) -> Result<(ItemRow<'static>, RevisionRow, Restored)> {
    let mut then = state_in(tx, book, guid, at)?;
    let item = tx.items(book, &[guid])?.pop().flatten();
    let item = item.ok_or(HistoryError::NotThere { guid, at: then.revision })?;
    let folder = match then.parent {
        Some(parent) => tx.items(book, &[parent])?.pop().flatten().filter(|folder| !folder.deleted),
        None => None,
    };
    if folder.is_none() {
        (then.parent, then.depth) = (None, 0);
    }
    let same = is_same(tx, &item, &then)?;
    let fate = decide(&item, Some(&then), same);
    Ok((item, then, fate))
}

/// Sets a whole book back to a place in its history, page by page. What was deleted since comes back, what was changed is
/// changed back, what is new is deleted; what somebody changes after the restore has begun stays as they leave it.
///
/// All its changes belong to one restore, which `progress` is told of after each page, and which is the answer. Broken off
/// in the middle, by a crash or a failure, the same call goes on with it. When it is done, the call does nothing but what
/// has changed since. Going back to the revision that is its [`id`](RestoreRow::id) undoes it.
///
/// Devices get it by their next ordinary syncs. The [deletion guard](crate::sync::DeletionGuard) of a server weighs what
/// devices delete, not what is deleted here, and a client obeys the deletes of an ordinary sync: so however many it is that
/// a restore deletes, none are held. Only a device that asks for a *refresh* from the server after a restore may hold them;
/// it has to be told by its own switch.
///
/// # Errors
/// [`HistoryError::Purged`] when the state is not kept as a whole any more; nothing was changed then. After a failure of the
/// store what was done stays done.
pub fn restore_book(
    store: &dyn Store,
    account: AccountNo,
    book: BookNo,
    at: At,
    now: Timestamp,
    progress: &mut dyn FnMut(&RestoreRow),
) -> Result<RestoreRow> {
    let origin = origin(store, account, now)?;
    let mut restore = step(store, account, |tx| {
        let row = lock(tx, book)?;
        let begun = begin(tx, book, at, now)?;
        // Where nothing happened since there is nothing to be remembered.
        if begun.target < row.head {
            tx.put_restore(book, &begun)?;
        }
        Ok(begun)
    })?;
    while restore.ended.is_none() {
        restore = step(store, account, |tx| {
            let mut writer = BookWriter::new(lock(tx, book)?, Some(origin), now);
            // What is stored counts: this may be another node's turn.
            let stored = tx.restores(book, 1)?.pop();
            let same = |stored: &RestoreRow| (stored.id, stored.target) == (restore.id, restore.target);
            let Some(stored) = stored.filter(same) else { return Err(HistoryError::Overtaken) };
            if stored.ended.is_some() {
                return Ok(stored);
            }
            let (mut restore, work) = page(tx, book, stored)?;
            for (item, then, fate) in &work {
                put(tx, &mut writer, item, then.as_ref(), *fate)?;
            }
            writer.flush(tx)?;
            restore.ended = (restore.cursor >= restore.id).then_some(now);
            tx.put_restore(book, &restore)?;
            if restore.ended.is_some() {
                let object = format!("book {book} to revision {}", restore.target);
                tx.audit(&AuditRow::new(now, "host", audit::RESTORED, object))?;
            }
            Ok(restore)
        })?;
        progress(&restore);
    }
    Ok(restore)
}

/// What [`restore_book`] would do, without doing it.
///
/// # Errors
/// As [`restore_book`].
pub fn plan_book(store: &dyn Store, account: AccountNo, book: BookNo, at: At, now: Timestamp) -> Result<RestoreRow> {
    let mut restore = look(store, account, |tx| begin(tx, book, at, now))?;
    while restore.cursor < restore.id {
        restore = look(store, account, |tx| page(tx, book, restore).map(|(restore, _)| restore))?;
    }
    Ok(restore)
}

/// The restore that was broken off, if it has the same aim, or a new one.
fn begin(tx: &mut dyn Tx, book: BookNo, at: At, now: Timestamp) -> Result<RestoreRow> {
    let target = resolve_in(tx, book, at)?;
    let (head, from) = tx.book(book)?.map_or((Revision(0), Revision(0)), |row| (row.head, row.purged_upto));
    if target < from {
        return Err(HistoryError::Purged { at: target, from });
    }
    let open = tx.restores(book, 1)?.pop().filter(|row| row.ended.is_none() && row.target == target);
    Ok(open.unwrap_or_else(|| RestoreRow {
        id: head,
        target,
        cursor: target,
        begun: now,
        ended: (target >= head).then_some(now),
        revived: 0,
        changed: 0,
        deleted: 0,
    }))
}

type Work = Vec<(ItemRow<'static>, Option<RevisionRow>, Restored)>;

/// What is to be done with the next items, and the restore as it is after that. Only items that were changed since can
/// differ; those that are changed while it goes on are newer than its id.
fn page(tx: &mut dyn Tx, book: BookNo, mut restore: RestoreRow) -> Result<(RestoreRow, Work)> {
    let items = tx.changes(book, restore.cursor, restore.id, PAGE)?;
    restore.cursor = items.last().filter(|_| items.len() == PAGE).map_or(restore.id, |last| last.revision);
    let guids: Vec<Guid> = items.iter().map(|item| item.guid).collect();
    let states = tx.as_of(book, restore.target, &guids)?;
    let mut work = Vec::new();
    for (item, then) in items.into_iter().zip(states) {
        let same = match &then {
            Some(then) => is_same(tx, &item, then)?,
            None => false,
        };
        let fate = decide(&item, then.as_ref(), same);
        match fate {
            Restored::Unchanged => continue,
            Restored::Revived => restore.revived += 1,
            Restored::Changed => restore.changed += 1,
            Restored::Deleted => restore.deleted += 1,
        }
        work.push((item, then, fate));
    }
    Ok((restore, work))
}

/// What is to be done with an item so that it is as it was then; `None` then: it was not there yet.
fn decide(now: &ItemRow<'_>, then: Option<&RevisionRow>, same_content: bool) -> Restored {
    match then.filter(|then| !then.deleted) {
        None if now.deleted => Restored::Unchanged,
        None => Restored::Deleted,
        Some(_) if now.deleted => Restored::Revived,
        Some(then) if same_content && now.parent == then.parent => Restored::Unchanged,
        Some(_) => Restored::Changed,
    }
}

/// Whether an item holds byte for byte what it held then.
fn is_same(tx: &mut dyn Tx, now: &ItemRow<'_>, then: &RevisionRow) -> StoreResult<bool> {
    if now.deleted != then.deleted || now.media_type.as_deref() != then.media_type.as_deref() {
        return Ok(false);
    }
    match (now.blob, then.blob) {
        (None, None) => Ok(*now.content == *then.content),
        (Some(a), Some(b)) if a.len != b.len => Ok(false),
        (Some(a), Some(b)) => Ok(a.no == b.no || tx.blob(b.no)?.is_some_and(|row| row.print == now.fingerprint)),
        _ => Ok(false),
    }
}

fn put(
    tx: &mut dyn Tx,
    writer: &mut BookWriter<'_>,
    item: &ItemRow<'_>,
    then: Option<&RevisionRow>,
    fate: Restored,
) -> Result<()> {
    match (fate, then) {
        (Restored::Unchanged, _) => {}
        (Restored::Deleted, _) => drop(writer.delete(item)),
        (_, Some(then)) => drop(writer.put(item, draft(tx, writer.row().book, then)?)),
        (_, None) => return Err(StoreError::Corrupt("nothing is restored from nothing".to_owned()).into()),
    }
    Ok(())
}

fn draft(tx: &mut dyn Tx, book: BookNo, then: &RevisionRow) -> StoreResult<Draft<'static>> {
    let draft = match then.blob {
        // It is kept in pieces already, and shared.
        Some(blob) => large_draft(tx, book.kind(), blob.no)?,
        None => Draft::of(book, then.content.clone()),
    };
    let media_type = then.media_type.clone().map(Into::into);
    Ok(Draft { media_type, parent: then.parent, depth: then.depth, ..draft })
}

fn lock(tx: &mut dyn Tx, book: BookNo) -> StoreResult<crate::store::BookRow> {
    tx.lock_books(&[book])?.pop().ok_or_else(|| StoreError::Corrupt("a locked book has no row".to_owned()))
}

/// The number under which restores of an account write.
fn origin(store: &dyn Store, account: AccountNo, now: Timestamp) -> Result<DeviceNo> {
    step(store, account, |tx| Ok(local_origin(tx, ORIGIN, now)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_becomes_what_it_was() {
        use Restored::{Changed, Deleted, Revived, Unchanged};
        let item = |deleted, parent: Option<i64>| ItemRow {
            guid: Guid(1),
            revision: Revision(5),
            deleted,
            parent: parent.map(Guid),
            depth: 0,
            media_type: None,
            content: b"".into(),
            blob: None,
            fingerprint: [0; 16],
            keys: Vec::new().into(),
            origin: None,
            at: Timestamp(0),
        };
        let was = |deleted, parent: Option<i64>| RevisionRow {
            guid: Guid(1),
            revision: Revision(2),
            deleted,
            parent: parent.map(Guid),
            depth: 0,
            media_type: None,
            content: Vec::new(),
            blob: None,
            origin: None,
            at: Timestamp(0),
            until: None,
        };
        for (now, then, same, fate, why) in [
            (item(false, None), None, false, Deleted, "it was made since"),
            (item(true, None), None, false, Unchanged, "made and deleted since"),
            (item(false, None), Some(was(true, None)), false, Deleted, "it was deleted then"),
            (item(true, None), Some(was(true, None)), true, Unchanged, "deleted then and now"),
            (item(true, None), Some(was(false, None)), false, Revived, "deleted since"),
            (item(false, None), Some(was(false, None)), true, Unchanged, "changed and changed back"),
            (item(false, None), Some(was(false, None)), false, Changed, "changed since"),
            (item(false, Some(9)), Some(was(false, None)), true, Changed, "moved since"),
        ] {
            assert_eq!(decide(&now, then.as_ref(), same), fate, "{why}");
        }
    }
}
