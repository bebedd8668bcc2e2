//! Folders on their way to a peer (§3.15): each item is told with the folder it is in, and a folder goes before what is in
//! it.
//!
//! A peer that has no folders, or will not have this one, is told the item without. Then it knows nothing of the place:
//! the agreement remembers that ([`LensNo::UNPLACED`]), until the peer has the folder and is told.

use super::guid;
use super::receive::{OpenBook, ROOT};
use crate::message::{Item, Op};
use crate::store::{Guid, ItemRow, LensNo, MapRow, MapState, OutgoingRow, OutgoingState, Result, Tx};
use crate::sync::Role;

/// Folders in folders at most; what lies deeper is sent without its folder.
pub(super) const MAX_DEPTH: usize = 100;

/// What is in a folder is read so many at a time.
const PAGE: usize = 200;

/// The reason of a row that was sent without the folder that the item is in: none such was found there.
pub(super) const UNPLACED: u16 = 404;

/// How the peer is told where an item is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) enum Parent {
    /// Not at all: it has no folders, or the item is in none and new.
    #[default]
    Unsaid,
    /// By its own id of the folder.
    Theirs(String),
    /// By our id of the folder, of which it has not told its own yet.
    Ours(String),
    /// It is in no folder any more.
    Root,
}

impl Parent {
    /// Whether it says less than there is to say of an item.
    pub(super) const fn hides(&self, item: &ItemRow<'_>) -> bool {
        item.parent.is_some() && matches!(self, Self::Unsaid | Self::Root)
    }

    /// Writes it into an item (§2.3).
    pub(super) fn put(&self, role: Role, item: &mut Item<'_>) {
        let (target, source) = match (self, role) {
            (Self::Unsaid, _) => (None, None),
            (Self::Theirs(luid), _) => (Some(luid.clone()), None),
            (Self::Ours(id), _) => (None, Some(id.clone())),
            (Self::Root, Role::Server) => (Some(ROOT.to_owned()), None),
            (Self::Root, Role::Client) => (None, Some(ROOT.to_owned())),
        };
        item.target_parent = target.map(Into::into);
        item.source_parent = source.map(Into::into);
    }
}

/// Whether a peer can be told where an item is.
pub(super) enum Reach {
    /// Yes.
    Now(Parent),
    /// When it has these folders, the outermost first, each with its row on the ledger.
    After(Vec<(ItemRow<'static>, Option<OutgoingRow>)>),
    /// Not in this session: a folder was changed after our package began.
    Later,
}

/// Finds out how to tell where an item is. `put` are rows of this message that are not in the store yet.
pub(super) fn reach(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    put: &[OutgoingRow],
    item: &ItemRow<'_>,
    op: Op,
) -> Result<Reach> {
    if !open.state.tree || op == Op::Delete {
        return Ok(Reach::Now(Parent::Unsaid));
    }
    let root = || if op == Op::Add { Parent::Unsaid } else { Parent::Root };
    let (device, book) = (open.device, open.book());
    let mut missing = Vec::new();
    let mut at = item.parent;
    let mut direct = None;
    while let Some(guid) = at {
        let folder = tx.items(book, &[guid])?.pop().flatten().filter(|folder| !folder.deleted);
        // What is in a folder that was deleted is in none.
        let Some(folder) = folder else { break };
        let entry = tx.maps_by_guid(device, book, open.state.epoch, &[guid])?.pop().flatten();
        let row = match put.iter().rev().find(|row| row.guid == guid) {
            Some(row) => Some(row.clone()),
            None => tx.outgoing(device, book, &[guid])?.pop().flatten(),
        };
        match known(open, guid, entry.as_ref(), row.as_ref()) {
            Known::Yes(parent) => {
                direct = missing.is_empty().then_some(parent);
                break;
            }
            // The peer will not have the folder: then without.
            Known::Never => {
                missing.clear();
                direct = Some(root());
                break;
            }
            Known::No if folder.revision > open.state.upto => return Ok(Reach::Later),
            Known::No if missing.len() >= MAX_DEPTH => return Ok(Reach::Now(root())),
            Known::No => {
                at = folder.parent;
                missing.push((folder, row));
            }
        }
    }
    if missing.is_empty() {
        return Ok(Reach::Now(direct.unwrap_or_else(root)));
    }
    missing.reverse();
    Ok(Reach::After(missing))
}

/// Whether the peer has a folder.
enum Known {
    Yes(Parent),
    No,
    Never,
}

fn known(open: &OpenBook<'_, '_>, guid: Guid, entry: Option<&MapRow>, row: Option<&OutgoingRow>) -> Known {
    let ours = || match open.role {
        Role::Client => guid::luid(guid),
        Role::Server => guid::to_short_text(guid, open.writer.row().stamp, open.state.max_guid).0,
    };
    match (open.role, entry.map(|entry| (entry.state, &entry.luid))) {
        (Role::Server, Some((MapState::Live, luid))) => return Known::Yes(Parent::Theirs(luid.clone())),
        (Role::Client, Some((MapState::Live | MapState::Unconfirmed, _))) => return Known::Yes(Parent::Ours(ours())),
        (_, Some((MapState::Gone, _)) | None) => {}
        (_, Some(_)) => return Known::Never,
    }
    match row.map(|row| (row.state, row.session == Some(open.token))) {
        Some((OutgoingState::Sent | OutgoingState::Resent | OutgoingState::AckedUnmapped, true)) => {
            Known::Yes(Parent::Ours(ours()))
        }
        Some((OutgoingState::AckedUnmapped, false)) => Known::Yes(Parent::Ours(ours())),
        Some((OutgoingState::Withheld | OutgoingState::Refused, _)) => Known::Never,
        _ => Known::No,
    }
}

/// Whether an item that was changed here and means the same was moved.
pub(super) fn was_moved(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    item: &ItemRow<'_>,
    entry: Option<&MapRow>,
) -> Result<bool> {
    let held = |entry: &&MapRow| matches!(entry.state, MapState::Live | MapState::Unconfirmed);
    let Some(entry) = entry.filter(held).filter(|_| open.state.tree && !item.deleted) else { return Ok(false) };
    if entry.lens == Some(LensNo::UNPLACED) && item.parent.is_some() {
        // It is still to be told, once that can be.
        return Ok(match reach(tx, open, &[], item, Op::Move)? {
            Reach::Now(parent) => !parent.hides(item),
            Reach::After(_) | Reach::Later => true,
        });
    }
    if entry.agreed_revision >= item.revision {
        return Ok(false);
    }
    let was = tx.revisions(open.book(), &[(item.guid, entry.agreed_revision)])?.pop().flatten();
    Ok(was.is_none_or(|was| was.parent != item.parent))
}

/// The peer has folders that it had not: where items in them are, it can be told now.
pub(super) fn look_inside(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, folders: &[Guid]) -> Result<()> {
    if !open.state.tree {
        return Ok(());
    }
    for folder in folders {
        let mut after = Guid(0);
        loop {
            let inside = tx.children(open.book(), *folder, after, PAGE)?;
            let Some(last) = inside.last() else { break };
            after = *last;
            let entries = tx.maps_by_guid(open.device, open.book(), open.state.epoch, &inside)?;
            let unplaced = |entry: &MapRow| entry.lens == Some(LensNo::UNPLACED);
            let unplaced: Vec<Guid> = entries.into_iter().flatten().filter(unplaced).map(|entry| entry.guid).collect();
            let open_rows = tx.outgoing(open.device, open.book(), &unplaced)?;
            let items = tx.items(open.book(), &unplaced)?;
            let rows = items.iter().zip(open_rows).filter(|(_, row)| row.is_none());
            let rows: Vec<OutgoingRow> = rows.filter_map(|(item, _)| item.as_ref().map(OutgoingRow::unsent)).collect();
            tx.put_outgoing(open.device, open.book(), &rows)?;
        }
    }
    Ok(())
}
