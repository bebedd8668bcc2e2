//! Deletes: those that wait for the whole set, and what becomes of each.

use super::conflict::{note, other};
use super::decide::item_now;
use super::overlay::Overlay;
use super::{Key, OpenBook, Outcome, Received, When};
use crate::message::StatusCode;
use crate::session::filtered::print_under;
use crate::session::guarded::one_more;
use crate::store::{MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Action, Entry, Incoming, ItemNow, Reaction, Reception, Role, decide_incoming};
use std::borrow::Cow;

impl<'m> Overlay<'m> {
    /// Deletes what was shown before the sync broke off, and is staged: it was never shown, and what it had become of goes,
    /// too, as in a sync of changes. Nothing else can be meant.
    pub(super) fn withdraw(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
    ) -> Result<Outcome> {
        let shown = match &received.key {
            Key::Peer(luid) => self.shown.remove(&**luid).map(|bytes| (luid.clone(), bytes)),
            Key::Own(_) => None,
        };
        let Some((luid, bytes)) = shown else { return Ok(Outcome::Done(StatusCode::NOT_DELETED)) };
        tx.unstage(open.device, open.book(), open.state.epoch, &[&luid])?;
        // An id of long ago may be that of an item which has another one since.
        let old = self.old_entries.get(&*luid).filter(|old| old.state == MapState::Live);
        match old.filter(|old| !self.taken.contains(&old.guid)).cloned() {
            // The id may have been another item's before.
            Some(old) if self.may_be_edit_of(tx, open, &old, &bytes)? => {
                let entry = MapRow { epoch: open.state.epoch, ..old };
                self.delete(tx, open, received, entry, When::Arriving)
            }
            _ => Ok(Outcome::Done(StatusCode::OK)),
        }
    }

    /// The device frees its memory: the item stays here and is not sent again. One that was deleted here is gone (423).
    pub(super) fn soft_delete(&mut self, entry: MapRow) -> Result<Outcome> {
        if self.item(entry.guid)?.deleted {
            self.retire(&entry);
            return Ok(Outcome::Done(StatusCode::SOFT_DELETE_CONFLICT));
        }
        if !matches!(entry.state, MapState::Held | MapState::Leaving) {
            self.learn_and_write(MapRow { state: MapState::SoftDeleted, ..entry });
        }
        Ok(Outcome::Done(StatusCode::OK))
    }

    pub(super) fn delete(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        entry: MapRow,
        when: When,
    ) -> Result<Outcome> {
        // An id is deleted once.
        if when == When::Arriving && entry.state == MapState::Leaving {
            return Ok(Outcome::Done(StatusCode::NOT_DELETED));
        }
        // What is in a folder goes first (§3.15). What the peer cannot know of is no mistake of its: then the folder stays.
        let theirs = |entry: Option<&MapRow>| match open.role {
            Role::Server => entry.is_some_and(|entry| entry.state == MapState::Live),
            Role::Client => true,
        };
        if when == When::Arriving && self.has_inside(tx, open, entry.guid, theirs)? {
            return Ok(Outcome::Done(StatusCode::NOT_EMPTY));
        }
        // Deletes wait for the whole set on the server, which guards against storms of them; a client obeys.
        if when == When::Arriving && open.role == Role::Server {
            let luid = Cow::Owned(entry.luid.clone());
            if entry.state == MapState::Held {
                return Ok(Outcome::Done(StatusCode::OK));
            }
            self.learn_and_write(MapRow { state: MapState::Leaving, ..entry });
            self.stage(open, received.op, luid, None, None);
            return Ok(Outcome::Done(StatusCode::OK));
        }
        // A staged delete whose id has been used again since was obeyed then.
        if when != When::Arriving && entry.state != MapState::Leaving {
            return Ok(Outcome::Done(StatusCode::OK));
        }
        let reaction = match open.role {
            Role::Client if when == When::Arriving => one_more(open),
            _ if open.state.refusing => Reaction::Refuse,
            _ if open.state.holding => Reaction::Hold,
            _ => Reaction::Proceed,
        };
        if reaction == Reaction::Refuse {
            // It was an accident: the item goes back.
            let item = self.item(entry.guid)?;
            if !item.deleted {
                self.owed.push(OutgoingRow::unsent(item));
                open.state.received.refused += 1;
            }
            self.retire(&entry);
            return Ok(Outcome::Done(StatusCode::OK));
        }
        if reaction == Reaction::Hold {
            self.learn_and_write(MapRow { state: MapState::Held, ..entry });
            return Ok(Outcome::Done(StatusCode::OK));
        }
        self.carry_out_delete(tx, open, &entry).map(Outcome::Done)
    }

    pub(super) fn carry_out_delete(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        entry: &MapRow,
    ) -> Result<StatusCode> {
        let item = self.item(entry.guid)?.clone();
        // A peer without folders knows nothing of moves.
        let was = if open.state.tree { self.agreed_folder(tx, open, entry, &item)? } else { item.parent };
        let mut now = item_now(entry, &item, was, None);
        // What changed out of the peer's sight was no news to it, and is none now (§3.16).
        if now == ItemNow::Changed && item.parent == was && print_under(tx, open, entry.lens, &item)? == entry.view_fp {
            now = ItemNow::AsAgreed;
        }
        if now == ItemNow::AsAgreed && self.has_inside(tx, open, entry.guid, |_| true)? {
            // Something was put into the folder: it stays.
            now = ItemNow::Changed;
        }
        let known = Entry::Known { item: now, echo: false, stranger: false };
        let decision = decide_incoming(Incoming::Delete, known, open.terms(Reception::Changes));
        match decision.action {
            Action::Remove => {
                if let Some(room) = &mut open.state.own_room {
                    // There may be room without an end.
                    room.items = room.items.saturating_add(1);
                    room.bytes = room.bytes.saturating_add(item.content_len());
                }
                let gone = open.writer.delete(&item);
                self.items.insert(gone.guid, gone);
                if now == ItemNow::Changed {
                    open.state.received.conflicts += 1;
                    note(open, item.guid, Vec::new(), Some(other(open.role)), Some(item.revision));
                }
                open.state.received.deleted += 1;
            }
            // It stays and is sent again, even if the change was told and refused.
            _ if !item.deleted => {
                self.owed.push(OutgoingRow::unsent(&item));
                open.state.received.conflicts += 1;
            }
            _ => {}
        }
        self.retire(entry);
        Ok(decision.status)
    }
}
