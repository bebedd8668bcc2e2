//! Ids of the map before, in a sync of everything, which makes a map of its own.
//!
//! A client knows an item by the server's GUID of before until the server says otherwise. So the server may add the item
//! again under that GUID, and the client finds it. But the server may also have found the client's item to be another one, and
//! then an Add under that GUID would be taken for news of what the client has just shown: such an item needs another name.

use super::receive::OpenBook;
use crate::store::{Guid, MapRow, MapState, Result, Tx};
use crate::sync::Role;
use std::collections::{HashMap, HashSet};

/// The server's ids that these items, which are in no entry now, had in the map before, but for those that are other items'
/// by now: the server has added what an item was once more, while the Status of that item was missing. For clients.
pub(super) fn ids(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    items: impl Iterator<Item = Guid>,
) -> Result<HashMap<Guid, String>> {
    let before = before(tx, open, Role::Client, items)?;
    let taken = in_use(tx, open, &before)?;
    let free = |old: &MapRow| !taken.contains(&old.luid);
    Ok(before.into_iter().filter(free).map(|old| (old.guid, old.luid)).collect())
}

/// Which of these items, which are in no entry now, had an id in the map before that is another item's now: a client may still
/// know that one by their GUID. For servers.
pub(super) fn displaced(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    items: impl Iterator<Item = Guid>,
) -> Result<HashSet<Guid>> {
    let before = before(tx, open, Role::Server, items)?;
    let taken = in_use(tx, open, &before)?;
    Ok(before.iter().filter(|old| taken.contains(&old.luid)).map(|old| old.guid).collect())
}

/// The entries that items have in the map before; none for the other role, which does not ask.
fn before(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    role: Role,
    items: impl Iterator<Item = Guid>,
) -> Result<Vec<MapRow>> {
    let Some(old) = open.state.old_epoch.filter(|_| open.role == role) else { return Ok(Vec::new()) };
    let items: Vec<Guid> = items.collect();
    Ok(tx.maps_by_guid(open.device, open.book(), old, &items)?.into_iter().flatten().collect())
}

/// Which of their ids are in use now.
fn in_use(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, before: &[MapRow]) -> Result<HashSet<String>> {
    let luids: Vec<&str> = before.iter().map(|old| old.luid.as_str()).collect();
    if luids.is_empty() {
        return Ok(HashSet::new());
    }
    let now = tx.maps_by_luid(open.device, open.book(), open.state.epoch, &luids)?;
    let now = now.into_iter().flatten().filter(|entry| entry.state != MapState::Gone);
    Ok(now.map(|entry| entry.luid).collect())
}
