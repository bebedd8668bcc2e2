//! Where a change goes (§3.15), and what it says when it is a Copy or a Move (§2.2): both become a plain Add or Replace.

use super::overlay::Overlay;
use super::{Key, OpenBook, Outcome, Place, Received, Verb, When};
use crate::message::StatusCode;
use crate::session::content::{Content, Folder};
use crate::session::folders::MAX_DEPTH;
use crate::store::{Guid, ItemRow, LensNo, MapRow, MapState, OutgoingRow, Result, Revision, Tx, ViewFp};
use crate::sync::{Incoming, Role};
use std::borrow::Cow;

/// What is in a folder is read so many at a time.
const PAGE: usize = 64;

/// What became of a change before it is decided.
pub(super) enum Resolved<'m> {
    /// It can be decided.
    Change(Received<'m>),
    /// So it can, but not its place, which cannot be.
    Misplaced(Received<'m>),
    /// It has its answer.
    Answer(Outcome),
}

/// Why an item cannot be put somewhere.
enum Unplaced {
    /// The folder is not known, or not yet.
    Unknown,
    /// The folder is in the item, or too deep.
    Impossible,
}

impl<'m> Overlay<'m> {
    /// Gives a Copy or Move its content, and every change its place.
    pub(super) fn resolve(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        mut received: Received<'m>,
        when: When,
    ) -> Result<Resolved<'m>> {
        let refused = |code| Ok(Resolved::Answer(Outcome::Done(code)));
        match &received.verb {
            Verb::Plain | Verb::SoftDelete => {}
            Verb::Copy(source) => {
                if self.entry_of(&received.key).is_some() {
                    return refused(StatusCode::ALREADY_EXISTS);
                }
                match self.held(tx, open, source)? {
                    Some(content) => received.content = Some(content),
                    None => return refused(StatusCode::NOT_FOUND),
                }
            }
            Verb::Move => match self.held(tx, open, &received.key)? {
                Some(content) => received.content = Some(content),
                None => return refused(StatusCode::NOT_FOUND),
            },
        }
        let Some(place) = &received.place else { return Ok(Resolved::Change(received)) };
        let Some(content) = received.content.take() else { return Ok(Resolved::Change(received)) };
        let item = self.guid_of(&received.key);
        let folder = match self.find_folder(tx, open, place, item)? {
            Ok(folder) => folder,
            Err(Unplaced::Impossible) if received.verb == Verb::Move => {
                self.force_back(open, &received.key)?;
                return refused(StatusCode::MOVE_FAILED);
            }
            Err(Unplaced::Impossible) => {
                received.content = Some(content);
                return Ok(Resolved::Misplaced(received));
            }
            Err(Unplaced::Unknown) => match when {
                // Its folder may be among what waits for the whole set: then it waits too.
                When::Arriving if open.compares() && item.is_none() => {
                    if self.no_room_to_stage(open, content.len(), false) {
                        return refused(StatusCode::DEVICE_FULL);
                    }
                    let Key::Peer(luid) = received.key else { return refused(StatusCode::NOT_FOUND) };
                    let code = super::decide::done(received.op);
                    self.stage(open, received.op, luid, Some(content), received.place.as_ref());
                    return refused(code);
                }
                When::Arriving if received.verb == Verb::Move => return refused(StatusCode::MOVE_FAILED),
                When::Arriving => return refused(StatusCode::NOT_FOUND),
                When::Settling { strong: false } => return Ok(Resolved::Answer(Outcome::Undecided)),
                When::Settling { strong: true } => None,
            },
        };
        received.content = Some(content.at(folder));
        Ok(Resolved::Change(received))
    }

    /// The entry of what a peer names, unless it is retired.
    pub(super) fn entry_of(&self, key: &Key<'_>) -> Option<&MapRow> {
        let entry = match key {
            Key::Peer(luid) => self.entries.get(&**luid),
            Key::Own(guid) => self.by_guid.get(guid).and_then(|luid| self.entries.get(luid)),
        };
        entry.filter(|entry| entry.state != MapState::Gone)
    }

    fn guid_of(&self, key: &Key<'_>) -> Option<Guid> {
        match key {
            Key::Own(guid) => self.items.contains_key(guid).then_some(*guid),
            Key::Peer(_) => self.entry_of(key).map(|entry| entry.guid),
        }
    }

    /// What the peer holds of an item that it names.
    fn held(&self, tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, key: &Key<'_>) -> Result<Option<Content<'m>>> {
        let Some(guid) = self.guid_of(key) else { return Ok(None) };
        let entry = self.entry_of(key).cloned();
        if entry.as_ref().is_some_and(|entry| !matches!(entry.state, MapState::Live | MapState::Unconfirmed)) {
            return Ok(None);
        }
        let item = self.item(guid)?.clone();
        let agreed = entry.map_or(item.revision, |entry| entry.agreed_revision);
        if agreed >= item.revision {
            return Ok((!item.deleted).then(|| Content::of(&item)));
        }
        let base = tx.revisions(open.book(), &[(guid, agreed)])?.pop().flatten().filter(|base| !base.deleted);
        Ok(match base {
            Some(base) => Some(Content::of_revision(tx, open.kind, base)?),
            None => (!item.deleted).then(|| Content::of(&item)),
        })
    }

    /// Where an item was when it was last agreed with the peer, as far as that is remembered.
    pub(super) fn agreed_folder(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        entry: &MapRow,
        item: &ItemRow<'_>,
    ) -> Result<Option<Guid>> {
        if open.state.folders && entry.lens == Some(LensNo::UNPLACED) {
            return Ok(None);
        }
        if !open.state.folders || entry.agreed_revision >= item.revision {
            return Ok(item.parent);
        }
        let base = tx.revisions(open.book(), &[(entry.guid, entry.agreed_revision)])?.pop().flatten();
        Ok(base.map_or(item.parent, |base| base.parent))
    }

    fn find_folder(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        place: &Place<'m>,
        item: Option<Guid>,
    ) -> Result<std::result::Result<Option<Guid>, Unplaced>> {
        let Place::In(key) = place else { return Ok(Ok(None)) };
        let Some(folder) = self.guid_of(key) else { return Ok(Err(Unplaced::Unknown)) };
        let (mut at, mut depth) = (Some(folder), 0);
        while let Some(guid) = at {
            depth += 1;
            if item == Some(guid) || depth > MAX_DEPTH {
                return Ok(Err(Unplaced::Impossible));
            }
            self.load_item(tx, open, guid)?;
            at = self.items.get(&guid).and_then(|folder| folder.parent);
        }
        // What is put into a folder that was deleted here brings it back: a change beats a delete (§6.2).
        let mut at = Some(folder);
        while let Some(guid) = at {
            let Some(row) = self.items.get(&guid).filter(|row| row.deleted).cloned() else { break };
            self.revive(tx, open, &row)?;
            at = row.parent;
        }
        Ok(Ok(self.items.get(&folder).filter(|row| !row.deleted).map(|row| row.guid)))
    }

    fn load_item(&mut self, tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, guid: Guid) -> Result<()> {
        if !self.items.contains_key(&guid)
            && let Some(row) = tx.items(open.book(), &[guid])?.pop().flatten()
        {
            self.items.insert(guid, row);
        }
        Ok(())
    }

    fn revive(&mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, row: &ItemRow<'m>) -> Result<()> {
        let was = tx.history(open.book(), row.guid, 1)?.pop().filter(|was| !was.deleted);
        let Some(was) = was else { return Ok(()) };
        let content = Content::of_revision(tx, open.kind, was)?;
        let print = content.print;
        let new = self.replace(open, row, content);
        open.state.received.conflicts += 1;
        if let Some(entry) = self.entry_of(&Key::Own(row.guid)).cloned().filter(|entry| entry.state == MapState::Live) {
            self.bind(open, Cow::Owned(entry.luid), row.guid, new.revision, print);
        }
        Ok(())
    }

    /// A place that cannot be: the device is told where the item is here.
    pub(super) fn force_back(&mut self, open: &OpenBook<'_, 'm>, key: &Key<'_>) -> Result<()> {
        let entry = self.entry_of(key).filter(|entry| entry.state == MapState::Live).cloned();
        let Some(entry) = entry.filter(|_| open.role == Role::Server) else { return Ok(()) };
        let item = self.item(entry.guid)?;
        if !item.deleted {
            let row = OutgoingRow::unsent(item);
            self.owed.push(row);
            self.learn_and_write(MapRow { agreed_revision: Revision(0), view_fp: ViewFp::default(), ..entry });
        }
        Ok(())
    }

    /// Whether a folder has anything in it that is not deleted, so far as `counts` an item.
    pub(super) fn has_inside(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        folder: Guid,
        counts: impl Fn(Option<&MapRow>) -> bool,
    ) -> Result<bool> {
        if !open.state.folders {
            return Ok(false);
        }
        let entry = |guid: &Guid| self.entry_of(&Key::Own(*guid));
        let gone = |guid: &Guid| self.items.get(guid).is_some_and(|item| item.deleted || item.parent != Some(folder));
        // What this batch has put into it.
        let put = self.put_into.get(&folder).into_iter().flatten();
        if put.filter(|guid| !gone(guid)).any(|guid| counts(entry(guid))) {
            return Ok(true);
        }
        let mut after = Guid(0);
        loop {
            let mut inside = tx.children(open.book(), folder, after, PAGE)?;
            let Some(last) = inside.last() else { return Ok(false) };
            after = *last;
            inside.retain(|guid| !gone(guid));
            let stored = tx.maps_by_guid(open.device, open.book(), open.state.epoch, &inside)?;
            if inside.iter().zip(&stored).any(|(guid, stored)| counts(entry(guid).or(stored.as_ref()))) {
                return Ok(true);
            }
        }
    }

    /// Whether so much came already that the book could not hold it. What of it is here before is not known until all of it
    /// came. So the limit is first that of what the peer shows; and whatever it is, an item that is not `known` never makes
    /// the book more than twice as large as it may be. A client has room for what it says, and no more.
    pub(super) fn no_room_to_stage(&self, open: &mut OpenBook<'_, 'm>, bytes: u64, known: bool) -> bool {
        let (quota, state) = (open.quota, &mut *open.state);
        let shown = state.staged_adds + state.received.matched + state.received.added;
        let after = u64::try_from(state.start_live).unwrap_or(0).saturating_add(state.staged_adds);
        let full = shown >= quota.items
            || state.staged_bytes.saturating_add(bytes) > quota.bytes
            || (!known && after >= quota.items.saturating_mul(2))
            || state.own_room.as_mut().is_some_and(|room| !room.take(bytes));
        state.staged_adds += u64::from(!full);
        state.staged_bytes += if full { 0 } else { bytes };
        state.received.refused += u64::from(full);
        full
    }
}

impl Folder {
    /// Where the item is afterwards: there, or where it was.
    pub(super) fn or(self, parent: Option<Guid>) -> Option<Guid> {
        match self {
            Self::Is(said) => said,
            Self::Unsaid => parent,
        }
    }
}

/// That something is in no folder is no word on its place from a peer that was not told of it.
pub(super) fn heard<'m>(entry: &MapRow, content: Content<'m>) -> Content<'m> {
    match entry.lens == Some(LensNo::UNPLACED) && !content.folder.differs(None) {
        true => Content { folder: Folder::Unsaid, ..content },
        false => content,
    }
}

/// What the agreement is about after that: the place, once the peer has said it.
pub(super) fn lens_after(entry: &MapRow, content: &Content<'_>, lens: Option<LensNo>) -> Option<LensNo> {
    match (entry.lens, content.folder) {
        (Some(LensNo::UNPLACED), Folder::Unsaid) => entry.lens,
        (Some(LensNo::UNPLACED), Folder::Is(_)) => lens.filter(|lens| *lens != LensNo::UNPLACED),
        _ => lens,
    }
}

/// A delete frees the peer's memory only: the item stays here, in the sync set, and is not sent again (§3.12).
pub(super) fn is_soft(received: &Received<'_>, role: Role) -> bool {
    received.op == Incoming::Delete && received.verb == Verb::SoftDelete && role == Role::Server
}
