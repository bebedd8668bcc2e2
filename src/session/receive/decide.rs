//! One change against the rows it touches: what is done, and what is answered.

use super::agreement::Meant;
use super::overlay::Overlay;
use super::place::{Resolved, is_soft};
use super::{OpenBook, Outcome, Received, Verb, When, own_entry};
use crate::message::StatusCode;
use crate::session::content::{Content, Folder};
use crate::store::{Guid, ItemRow, MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Entry, Incoming, ItemNow, Role, Terms, Twin, decide_incoming};
use std::borrow::Cow;

impl<'m> Overlay<'m> {
    pub(super) fn decide(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        when: When,
    ) -> Result<Outcome> {
        let received = match self.resolve(tx, open, received, when)? {
            Resolved::Change(received) => received,
            Resolved::Misplaced(received) => {
                let key = received.key.clone();
                let outcome = self.decide_resolved(tx, open, received, when)?;
                self.force_back(open, &key)?;
                return Ok(outcome);
            }
            Resolved::Answer(outcome) => return Ok(outcome),
        };
        let moved = received.verb == Verb::Move;
        match self.decide_resolved(tx, open, received, when)? {
            // A Move never adds anything (§3.15).
            Outcome::Done(StatusCode::ITEM_ADDED) if moved => Ok(Outcome::Done(StatusCode::OK)),
            outcome => Ok(outcome),
        }
    }

    fn decide_resolved(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        when: When,
    ) -> Result<Outcome> {
        let entry = self.entry_of(&received.key).cloned();
        let full = open.compares();
        match (received.op, entry) {
            // §3.4: a delete has no place in a slow sync; but a server may take back what it has just been told of.
            // And what was shown earlier in a sync that broke off may have been deleted since.
            (Incoming::Delete, None) if full && when == When::Arriving && open.role == Role::Server => {
                if open.state.resuming {
                    self.withdraw(tx, open, received)
                } else {
                    Ok(Outcome::Done(StatusCode::FORBIDDEN))
                }
            }
            (Incoming::Delete, Some(entry)) if is_soft(&received, open.role) => self.soft_delete(entry),
            (Incoming::Delete, Some(entry)) => self.delete(tx, open, received, entry, when),
            (Incoming::Delete, None) => Ok(Outcome::Done(
                decide_incoming(Incoming::Delete, Entry::Unknown { twin: Twin::None }, Terms::PLAIN).status,
            )),
            // The device says again what it had deleted, before that was decided or while the guard keeps it: it has it again,
            // or its id is somebody else's now.
            (_, Some(entry)) if matches!(entry.state, MapState::Leaving | MapState::Held) => {
                if self.item(entry.guid)?.deleted {
                    self.retire(&entry);
                    return self.unknown(tx, open, received, when, full);
                }
                // What is not there any more is added, whatever the command is called (§2.2).
                self.known(tx, open, Received { op: Incoming::Add, ..received }, entry)
            }
            // What a client has shown and had answered in a sync of everything, or told by a Map, the server calls by its LUID from
            // then on: what it adds under the GUID of before is another item.
            (Incoming::Add, Some(entry))
                if open.role == Role::Client && open.state.old_epoch.is_some() && entry.state == MapState::Live =>
            {
                self.retire(&entry);
                self.learn_and_write(MapRow { luid: own_entry(entry.guid), ..entry });
                self.unknown(tx, open, received, when, full)
            }
            (_, Some(entry)) => {
                // What an earlier session showed and did not come to settle.
                if open.state.forgot
                    && when != When::Arriving
                    && let Some(content) = received.content.clone()
                    && entry.view_fp != content.print
                    && (self.is_about_to_be_shown(open, &entry, &content)
                        || self.by_an_old_id(tx, open, &entry, &content)?.is_some())
                {
                    return Ok(Outcome::Done(StatusCode::OK));
                }
                self.known(tx, open, received, entry)
            }
            (_, None) => self.unknown(tx, open, received, when, full),
        }
    }

    /// An id is somebody else's now. Whom it meant before is still here: what the device had freed or deleted stays so, by an
    /// id of ours; anything else must be sent again.
    pub(super) fn hand_over(&mut self, open: &OpenBook<'_, 'm>, entry: &MapRow, before: MapState, item: &ItemRow<'m>) {
        self.retire(entry);
        if item.deleted {
            return;
        }
        let luid = own_entry(entry.guid);
        match before {
            MapState::SoftDeleted | MapState::Held | MapState::Leaving => {
                if before == MapState::Leaving {
                    self.stage(open, Incoming::Delete, Cow::Owned(luid.clone()), None, None);
                }
                self.learn_and_write(MapRow { luid, state: before, ..entry.clone() });
            }
            _ => self.owed.push(OutgoingRow::unsent(item)),
        }
    }

    /// In a refresh: an item here becomes what the peer shows, whatever it was.
    pub(super) fn mirror(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        Meant { whole: content, told, lens, .. }: Meant<'m>,
        view: [u8; 16],
    ) -> Result<()> {
        let item = self.item(guid)?.clone();
        let differs = item.fingerprint != content.print || content.folder.differs(item.parent);
        let revision = if item.deleted || differs || told.is_some() {
            let counts = &mut open.state.received;
            if item.deleted {
                counts.added += 1
            } else {
                counts.changed += 1
            }
            self.take_in(open, &item, content, told).0.revision
        } else {
            item.revision
        };
        self.bind_under(open, luid, guid, (revision, view, lens));
        Ok(())
    }
}

/// The status of a change that was simply done.
pub(super) const fn done(op: Incoming) -> StatusCode {
    decide_incoming(op, Entry::Unknown { twin: Twin::Exact }, Terms::PLAIN).status
}

/// What became of an item since it was agreed.
pub(super) fn item_now(
    entry: &MapRow,
    item: &ItemRow<'_>,
    was: Option<Guid>,
    incoming: Option<&Content<'_>>,
) -> ItemNow {
    let alike = |content: &Content<'_>| content.print == item.fingerprint && !content.folder.differs(item.parent);
    // A peer without folders knows nothing of moves.
    let moved = item.parent != was && incoming.is_none_or(|content| content.folder != Folder::Unsaid);
    if item.deleted {
        ItemNow::Deleted
    } else if item.revision <= entry.agreed_revision {
        ItemNow::AsAgreed
    } else if incoming.is_some_and(alike) {
        ItemNow::ChangedAlike
    } else if item.fingerprint == entry.view_fp && !moved {
        // Changed and changed back, or rewritten without a change of meaning.
        ItemNow::AsAgreed
    } else {
        ItemNow::Changed
    }
}
