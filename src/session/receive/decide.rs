//! One change against the rows it touches: what is done, and what is answered.

use super::agreement::Meant;
use super::conflict::Claim;
use super::overlay::Overlay;
use super::place::{Resolved, heard, is_soft, lens_after};
use super::{OpenBook, Outcome, Received, Verb, When, own_entry};
use crate::contact::identity::may_be_an_edit;
use crate::message::StatusCode;
use crate::session::content::{Content, Folder};
use crate::store::{Guid, ItemRow, MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Action, Entry, Incoming, ItemNow, Reception, Role, Terms, Twin, decide_incoming};
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
                    && self.by_an_old_id(tx, open, &entry, &content)?.is_some()
                {
                    return Ok(Outcome::Done(StatusCode::OK));
                }
                self.known(tx, open, received, entry)
            }
            (_, None) => self.unknown(tx, open, received, when, full),
        }
    }

    /// A change of an item that the map in force has.
    pub(super) fn known(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        entry: MapRow,
    ) -> Result<Outcome> {
        let Some(content) = received.content else { return Ok(Outcome::Done(StatusCode::INCOMPLETE_COMMAND)) };
        let content = heard(&entry, content);
        let mut entry = entry;
        let before = entry.state;
        let returns = matches!(before, MapState::SoftDeleted | MapState::Held | MapState::Leaving);
        if returns {
            entry.state = MapState::Live;
            self.learn_and_write(entry.clone());
        }
        if open.role == Role::Client && received.op == Incoming::Add {
            // The server adds again what is here already: it never got the Map.
            entry.state = MapState::Unconfirmed;
            self.learn_and_write(entry.clone());
        }
        let patched = if received.partial { self.patched(tx, open, &entry, &content)? } else { None };
        if received.partial && patched.is_none() {
            return Ok(Outcome::Done(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if patched.is_none() && self.acknowledged(tx, open, &mut entry, &content)? {
            self.learn_and_write(entry.clone());
        }
        let agreed = (entry.agreed_revision, entry.view_fp, entry.lens);
        let (meant, view) = match patched {
            Some((whole, view)) => {
                (Meant { whole, told: None, lens: entry.lens, narrow: entry.lens.is_some(), echo: false }, view)
            }
            None => {
                let meant = self.whole(tx, open, entry.guid, agreed, content.clone())?;
                (Meant { lens: lens_after(&entry, &content, meant.lens), ..meant }, content.print)
            }
        };
        if open.mirrors() {
            let code = decide_incoming(received.op, Entry::Unknown { twin: Twin::Exact }, Terms::PLAIN).status;
            self.mirror(open, Cow::Owned(entry.luid), entry.guid, meant, view)?;
            return Ok(Outcome::Done(code));
        }
        let Meant { whole, told, lens, narrow, echo } = meant;
        if echo && entry.view_fp != view {
            // It says the same in its own way, or as much of it as this session is about.
            entry.view_fp = view;
            entry.lens = lens;
            self.learn_and_write(entry.clone());
        }
        let was = self.agreed_folder(tx, open, &entry, self.item(entry.guid)?)?;
        let item = self.item(entry.guid)?;
        let alike = !item.deleted && item.fingerprint == whole.print && item.parent == was;
        if echo && alike && item.revision > entry.agreed_revision {
            // What was only stored again here since is no change that a delete there could cross.
            entry.agreed_revision = item.revision;
            self.learn_and_write(entry.clone());
        }
        let item = self.item(entry.guid)?;
        let moved = whole.folder.differs(was);
        let same = entry.view_fp == view;
        let echo = same && !moved;
        let now = match item_now(&entry, item, was, Some(&whole)) {
            // There is something to be told.
            ItemNow::ChangedAlike if told.is_some() => ItemNow::Changed,
            now => now,
        };
        let stranger = received.op == Incoming::Add
            && !echo
            && match now {
                ItemNow::Deleted => !self.may_be_edit_of(tx, open, &entry, &content.bytes)?,
                _ => !may_be_an_edit(open.kind, &item.content, &content.bytes),
            };
        let decision =
            decide_incoming(received.op, Entry::Known { item: now, echo, stranger }, open.terms(Reception::Changes));
        let (item, guid) = (item.clone(), entry.guid);
        let luid = Cow::Owned(entry.luid.clone());
        match decision.action {
            // What became of it here since was not told while the device had it not.
            Action::Keep if returns && item.revision > entry.agreed_revision => {
                self.owed.push(OutgoingRow::unsent(&item))
            }
            Action::Keep => {}
            Action::Agree => self.bind_under(open, luid, guid, (item.revision, view, lens)),
            // The peer shows more or less of the card than before, but nothing else.
            Action::Update
                if narrow && told.is_none() && !item.deleted && item.fingerprint == whole.print && !moved =>
            {
                self.bind_under(open, luid, guid, (item.revision, view, lens));
            }
            Action::Merge | Action::Overrule | Action::Fork | Action::Split => {
                let claim = Claim { entry, item, whole, known: told, view: (view, lens), same, moved };
                return self.carry_out(tx, open, claim, decision);
            }
            Action::Update if now == ItemNow::Changed => {
                let claim = Claim { entry, item, whole, known: told, view: (view, lens), same, moved };
                return self.carry_out(tx, open, claim, decision);
            }
            Action::Update => {
                let added = u64::from(item.deleted);
                let (agreed, _) = self.take_in(open, &item, whole, told);
                self.bind_under(open, luid, guid, (agreed.revision, view, lens));
                open.state.received.added += added;
                open.state.received.changed += 1 - added;
            }
            Action::CreateAnew => {
                self.hand_over(open, &entry, before, &item);
                if open.is_full(content.len()) {
                    open.state.received.refused += 1;
                    return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
                }
                self.create(open, luid, content);
            }
            // The table gives no other action for a known item that is not deleted.
            _ => {}
        }
        Ok(Outcome::Done(decision.status))
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
