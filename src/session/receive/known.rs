//! A change of an item that the map in force has.

use super::agreement::Meant;
use super::conflict::Claim;
use super::decide::{done, item_now};
use super::overlay::Overlay;
use super::place::{heard, lens_after};
use super::{OpenBook, Outcome, Received};
use crate::contact::identity::may_be_an_edit;
use crate::message::StatusCode;
use crate::session::content::Content;
use crate::store::{MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Action, Entry, Incoming, ItemNow, Reception, Role, decide_incoming};
use std::borrow::Cow;

impl<'m> Overlay<'m> {
    pub(super) fn known(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        mut entry: MapRow,
    ) -> Result<Outcome> {
        let Some(content) = received.content else { return Ok(Outcome::Done(StatusCode::INCOMPLETE_COMMAND)) };
        let content = heard(&entry, content);
        let before = entry.state;
        self.has_it(open, received.op, &mut entry);
        let Some((meant, view)) = self.meaning(tx, open, &mut entry, &content, received.partial)? else {
            return Ok(Outcome::Done(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        };
        if open.mirrors() {
            self.mirror(open, Cow::Owned(entry.luid), entry.guid, meant, view)?;
            return Ok(Outcome::Done(done(received.op)));
        }
        let Meant { whole, told, lens, narrow, echo } = meant;
        if echo && entry.view_fp != view {
            // It says the same in its own way, or as much of it as this session is about.
            entry.view_fp = view;
            entry.lens = lens;
            self.learn_and_write(entry.clone());
        }
        let item = self.item(entry.guid)?.clone();
        let was = self.agreed_folder(tx, open, &entry, &item)?;
        let alike = !item.deleted && item.fingerprint == whole.print;
        if echo && alike && item.parent == was && item.revision > entry.agreed_revision {
            // What was only stored again here since is no change that a delete there could cross.
            entry.agreed_revision = item.revision;
            self.learn_and_write(entry.clone());
        }
        let moved = whole.folder.differs(was);
        let same = entry.view_fp == view;
        let echo = same && !moved;
        let now = match item_now(&entry, &item, was, Some(&whole)) {
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
        let guid = entry.guid;
        let luid = || Cow::Owned(entry.luid.clone());
        match decision.action {
            // What became of it here since was not told while the device had it not.
            Action::Keep if is_away(before) && item.revision > entry.agreed_revision => {
                self.owed.push(OutgoingRow::unsent(&item));
            }
            Action::Keep => {}
            Action::Agree => self.bind_under(open, luid(), guid, (item.revision, view, lens)),
            // The peer shows more or less of the card than before, but nothing else.
            Action::Update if narrow && told.is_none() && alike && !moved => {
                self.bind_under(open, luid(), guid, (item.revision, view, lens));
            }
            Action::Update if now != ItemNow::Changed => {
                let added = u64::from(item.deleted);
                let (agreed, _) = self.take_in(open, &item, whole, told);
                self.bind_under(open, luid(), guid, (agreed.revision, view, lens));
                open.state.received.added += added;
                open.state.received.changed += 1 - added;
            }
            Action::Update | Action::Merge | Action::Overrule | Action::Fork | Action::Split => {
                let claim = Claim { entry, item, whole, known: told, view: (view, lens), same, moved };
                return self.carry_out(tx, open, claim, decision);
            }
            Action::CreateAnew => {
                self.hand_over(open, &entry, before, &item);
                if open.is_full(content.len()) {
                    open.state.received.refused += 1;
                    return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
                }
                self.create(open, luid(), content);
            }
            // The table gives no other action for a known item that is not deleted.
            _ => {}
        }
        Ok(Outcome::Done(decision.status))
    }

    /// What the peer speaks of it has, whatever was thought; and a server that adds what is here never got the Map.
    fn has_it(&mut self, open: &OpenBook<'_, 'm>, op: Incoming, entry: &mut MapRow) {
        if is_away(entry.state) {
            entry.state = MapState::Live;
            self.learn_and_write(entry.clone());
        }
        if open.role == Role::Client && op == Incoming::Add {
            entry.state = MapState::Unconfirmed;
            self.learn_and_write(entry.clone());
        }
    }

    /// What the peer's card means, and what it sees of that; `None` of a part of a card that has no fields (§3.17). What it
    /// shows to have been sent is agreed on.
    fn meaning(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        entry: &mut MapRow,
        content: &Content<'m>,
        partial: bool,
    ) -> Result<Option<(Meant<'m>, [u8; 16])>> {
        if partial {
            let (lens, narrow) = (entry.lens, entry.lens.is_some());
            let meant = |whole| Meant { whole, told: None, lens, narrow, echo: false };
            return Ok(self.patched(tx, open, entry, content)?.map(|(whole, view)| (meant(whole), view)));
        }
        if self.acknowledged(tx, open, entry, content)? {
            self.learn_and_write(entry.clone());
        }
        let agreed = (entry.agreed_revision, entry.view_fp, entry.lens);
        let meant = self.whole(tx, open, entry.guid, agreed, content.clone())?;
        let (lens, view) = (lens_after(entry, content, meant.lens), open.view_there(content, &meant.whole));
        Ok(Some((Meant { lens, ..meant }, view)))
    }
}

/// Whether the peer was thought not to have the item any more.
const fn is_away(state: MapState) -> bool {
    matches!(state, MapState::SoftDeleted | MapState::Held | MapState::Leaving)
}
