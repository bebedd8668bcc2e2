//! A change under an id that the map in force has not: whom it may mean.

use super::load::nothing_to_match;
use super::overlay::Overlay;
use super::place::heard;
use super::{Key, OpenBook, Outcome, Place, Received, When, own_entry};
use crate::message::StatusCode;
use crate::session::content::{Content, Folder};
use crate::session::folders::UNPLACED;
use crate::store::{Guid, MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Action, Decision, Entry, Incoming, Role, Terms, Twin, decide_incoming};
use std::borrow::Cow;

/// A change under an id that is not known.
struct Unknown<'m> {
    op: Incoming,
    luid: Cow<'m, str>,
    content: Content<'m>,
    place: Option<Place<'m>>,
    when: When,
    /// Whether everything is received and compared.
    full: bool,
    /// What the old map has under the id, if its item has no other by now.
    old: Option<MapRow>,
    /// Whether the id has the first claim on the item of the old map, which is not decided before all is known: until then
    /// nothing else is matched.
    claims: bool,
}

/// What a rule comes to.
enum Ruling {
    /// It is known who it is, and nothing is left to do.
    Known(Twin),
    /// It is this item, which means the same.
    Same(Guid),
    /// It is this item, which may say something else; and what is made of both.
    Strong(Guid, Decision),
    /// That is decided when all came.
    Later,
    /// That is decided in the next pass.
    Undecided,
    /// It is nobody that is here.
    New,
}

/// Says who a change means, or nothing.
type Rule<'m> = fn(&mut Overlay<'m>, &mut dyn Tx, &mut OpenBook<'_, 'm>, &Unknown<'m>) -> Result<Option<Ruling>>;

impl<'m> Overlay<'m> {
    /// Who a change means: the first rule that says it. What is certain goes before what may be, and what needs all that the
    /// peer has comes after what does not.
    const RULES: [Rule<'m>; 10] = [
        Self::rule_old_map,
        Self::rule_sent,
        Self::rule_nothing_here,
        Self::rule_exact,
        Self::rule_shown_again,
        Self::rule_forgotten,
        Self::rule_later,
        Self::rule_undecided,
        Self::rule_former,
        Self::rule_strong,
    ];

    /// A change under an id that the map in force has not.
    pub(super) fn unknown(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        when: When,
        full: bool,
    ) -> Result<Outcome> {
        // Of what is not known single fields are not enough.
        if received.partial {
            return Ok(Outcome::Done(StatusCode::NOT_FOUND));
        }
        let luid = match received.key {
            Key::Peer(luid) => luid,
            Key::Own(guid) => return self.own_without_entry(tx, open, guid, received),
        };
        let Some(content) = received.content else { return Ok(Outcome::Done(StatusCode::INCOMPLETE_COMMAND)) };
        let is_here = |guid| self.items.get(&guid).is_some_and(|item| !item.deleted);
        let there = |old: &&MapRow| match old.state {
            MapState::Live | MapState::SoftDeleted | MapState::Held => true,
            // A server's refresh names what it sends by its own ids, however it called that since.
            MapState::Gone => open.role == Role::Client && open.mirrors() && is_here(old.guid),
            _ => false,
        };
        let old = self.old_entries.get(&*luid).filter(there);
        let old = old.filter(|old| !self.taken.contains(&old.guid)).cloned();
        let claims = self.has_the_first_claim(tx, open, old.as_ref(), &content, when == When::Arriving && full)?;
        let change = Unknown { op: received.op, luid, content, place: received.place, when, full, old, claims };
        for rule in Self::RULES {
            if let Some(ruling) = rule(self, tx, open, &change)? {
                return self.carry_out_ruling(tx, open, change, ruling);
            }
        }
        self.carry_out_ruling(tx, open, change, Ruling::New)
    }

    /// Whether an id of the old map has the first claim on its own item when all is known. Of a peer that has forgotten what it was
    /// told, only if its card is what the item once was.
    fn has_the_first_claim(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        old: Option<&MapRow>,
        content: &Content<'m>,
        is_to_come: bool,
    ) -> Result<bool> {
        match old.filter(|_| is_to_come) {
            Some(old) if open.state.forgot => {
                Ok(old.view_fp != content.print && self.once_was(tx, open, old, content)?.is_some())
            }
            old => Ok(old.is_some()),
        }
    }

    fn carry_out_ruling(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: Unknown<'m>,
        ruling: Ruling,
    ) -> Result<Outcome> {
        let Unknown { op, luid, content, place, when, claims, .. } = change;
        let status = |twin| decide_incoming(op, Entry::Unknown { twin }, Terms::PLAIN).status;
        Ok(Outcome::Done(match ruling {
            Ruling::Known(twin) => status(twin),
            Ruling::Same(guid) => {
                open.state.received.matched += 1;
                self.notice_elsewhere(open, guid)?;
                self.bind_twin(open, luid, guid, &content)?;
                status(Twin::Exact)
            }
            Ruling::Strong(guid, decision) => {
                self.notice_elsewhere(open, guid)?;
                self.bind_strong(tx, open, luid, guid, content, decision.action)?;
                decision.status
            }
            Ruling::Later if self.no_room_to_stage(open, content.len(), claims) => StatusCode::DEVICE_FULL,
            Ruling::Later => {
                self.stage(open, op, luid, Some(content), place.as_ref());
                status(Twin::Exact)
            }
            Ruling::Undecided => return Ok(Outcome::Undecided),
            Ruling::New if when == When::Arriving && open.is_full(content.len()) => {
                open.state.received.refused += 1;
                StatusCode::DEVICE_FULL
            }
            Ruling::New => {
                open.state.received.added += 1;
                self.create(open, luid, content);
                status(Twin::None)
            }
        }))
    }

    // The rules, in their order.

    /// The id of before, also against tombstones: the peer does not change whom it means by it.
    fn rule_old_map(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let Some(old) = &change.old else { return Ok(None) };
        Ok(self.by_the_old_map(tx, open, old.clone(), &change.content, change.when)?.map(Ruling::Known))
    }

    /// What was sent to this peer: it has it, and its Map or Status was lost.
    fn rule_sent(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let is_sent = !change.claims && self.by_what_was_sent(tx, open, &change.luid, &change.content)?;
        Ok(is_sent.then_some(Ruling::Known(Twin::Exact)))
    }

    /// Nothing that is here could be the same: nothing has to be looked for, nor waited for. What was deleted may be meant by an
    /// id of before even so, where that is decided when all is known.
    fn rule_nothing_here(
        &mut self,
        _: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let waits = change.claims || (open.state.forgot && self.old_entries.contains_key(&*change.luid));
        Ok((!waits && nothing_to_match(open)).then_some(Ruling::New))
    }

    /// An item of equal meaning: there is no doubt, whatever is still to come.
    fn rule_exact(&mut self, _: &mut dyn Tx, _: &mut OpenBook<'_, 'm>, change: &Unknown<'m>) -> Result<Option<Ruling>> {
        let found = (!change.claims).then(|| self.exact_twin(&change.luid, &change.content)).flatten();
        Ok(found.map(Ruling::Same))
    }

    /// Of what an earlier session left: under another of its ids the peer has the same, as far as is known. If it has both, it is
    /// about to show both.
    fn rule_shown_again(
        &mut self,
        _: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let is_here = open.state.shown_again && self.live_twins(&change.content).next().is_some();
        Ok(is_here.then_some(Ruling::Known(Twin::Exact)))
    }

    /// The id of before of a peer that has forgotten what it was told, now that all is known: what its card certainly is went
    /// before what it may be.
    fn rule_forgotten(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let old = change.old.as_ref().filter(|_| open.state.forgot && change.when != When::Arriving);
        let Some(old) = old else { return Ok(None) };
        let content = heard(old, change.content.clone());
        Ok(self.by_an_old_id(tx, open, old, &content)?.map(Ruling::Known))
    }

    /// In a sync of everything all other matches need all that the peer has.
    fn rule_later(&mut self, _: &mut dyn Tx, _: &mut OpenBook<'_, 'm>, change: &Unknown<'m>) -> Result<Option<Ruling>> {
        Ok((change.full && change.when == When::Arriving).then_some(Ruling::Later))
    }

    /// The first pass over all that came pairs what means the same, so that the next takes no partner from it.
    fn rule_undecided(
        &mut self,
        _: &mut dyn Tx,
        _: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        Ok((change.when == When::Settling { strong: false }).then_some(Ruling::Undecided))
    }

    /// The id that an item had before it was retired: an edit may have crossed what took the item from the device, whose id
    /// for it is the same as before.
    fn rule_former(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let found = open.role == Role::Server && self.by_its_former_id(tx, open, &change.luid, &change.content)?;
        Ok(found.then_some(Ruling::Known(Twin::Strong)))
    }

    /// An item of the same name and a number in common, where the terms do not want both.
    fn rule_strong(
        &mut self,
        _: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        change: &Unknown<'m>,
    ) -> Result<Option<Ruling>> {
        let Some(guid) = self.strong_twin(open.kind, &change.content)? else { return Ok(None) };
        let entry = Entry::Unknown { twin: Twin::Strong };
        let decision = decide_incoming(change.op, entry, open.terms(open.reception()));
        Ok((decision.action != Action::Create).then_some(Ruling::Strong(guid, decision)))
    }

    // What some of them look at.

    /// Our own id without an entry: our Add was stored there, but its Status was lost. The peer is right.
    pub(super) fn own_without_entry(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        guid: Guid,
        received: Received<'m>,
    ) -> Result<Outcome> {
        if self.items.get(&guid).is_none_or(|item| item.deleted) {
            return Ok(Outcome::Done(StatusCode::NOT_FOUND));
        }
        let assumed = self.sent.get(&guid).or_else(|| self.assumed.get(&guid)).copied();
        let (agreed_revision, view_fp) = assumed.unwrap_or_default();
        let entry = MapRow {
            epoch: open.state.epoch,
            luid: own_entry(guid),
            guid,
            agreed_revision,
            lens: None,
            view_fp,
            state: MapState::Live,
        };
        self.learn_entry(entry.clone());
        self.known(tx, open, received, entry)
    }

    /// What was sent to this peer and may have been stored there without our knowing; `false` when nothing fits.
    pub(super) fn by_what_was_sent(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        luid: &str,
        content: &Content<'m>,
    ) -> Result<bool> {
        let Some(row) = self.pending_twin(open, content).cloned() else { return Ok(false) };
        let luid = Cow::Owned(luid.to_owned());
        open.state.received.matched += 1;
        if open.mirrors() {
            self.sent_off.push(row.guid);
            let agreed = (row.sent_revision, row.sent_view_fp, open.sent_lens(&row));
            let mut meant = self.whole(tx, open, row.guid, agreed, content.clone())?;
            if row.reason == UNPLACED && !content.folder.differs(None) {
                (meant.whole.folder, meant.lens) = (Folder::Unsaid, open.sent_lens(&row));
            }
            self.mirror(open, luid, row.guid, meant, content.print)?;
            return Ok(true);
        }
        // What became of it here since must still be told.
        match self.items.get(&row.guid).filter(|item| item.revision > row.sent_revision) {
            Some(item) => self.owed.push(OutgoingRow::unsent(item)),
            None => self.sent_off.push(row.guid),
        }
        self.bind_under(open, luid, row.guid, (row.sent_revision, row.sent_view_fp, open.sent_lens(&row)));
        Ok(true)
    }
}
