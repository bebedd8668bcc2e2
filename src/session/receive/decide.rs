//! One change against the rows it touches: what is done, and what is answered.

use super::conflict::Claim;
use super::overlay::{Overlay, nothing_to_match};
use super::place::{Resolved, is_soft};
use super::{Key, OpenBook, Outcome, Received, Verb, When, own_entry};
use crate::contact::identity::may_be_an_edit;
use crate::message::StatusCode;
use crate::session::content::{Content, Folder};
use crate::session::guarded::one_more;
use crate::store::{Guid, ItemRow, LensNo, MapRow, MapState, OutgoingRow, Result, Tx};
use crate::sync::{Action, Entry, Incoming, ItemNow, Reaction, Reception, Role, Terms, Twin, decide_incoming};
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
            // The id was used again before its delete was decided: the delete is obeyed first.
            (_, Some(entry)) if entry.state == MapState::Leaving => {
                self.carry_out_delete(tx, open, &entry)?;
                self.unknown(tx, open, received, when, full)
            }
            // And the guard's decision is made: the item stays, and is sent again.
            (_, Some(entry)) if entry.state == MapState::Held => {
                self.retire(&entry);
                self.owed.push(OutgoingRow::unsent(self.item(entry.guid)?));
                self.unknown(tx, open, received, when, full)
            }
            (_, Some(entry)) => self.known(tx, open, received, entry),
            (_, None) => self.unknown(tx, open, received, when, full),
        }
    }

    /// A change of an item that the map in force has.
    fn known(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        entry: MapRow,
    ) -> Result<Outcome> {
        let Some(content) = received.content else { return Ok(Outcome::Done(StatusCode::INCOMPLETE_COMMAND)) };
        let mut entry = entry;
        let freed = entry.state == MapState::SoftDeleted;
        if freed {
            // The device has it again.
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
        let (whole, view, lens) = match patched {
            Some((whole, view)) => (whole, view, entry.lens),
            None => {
                let (whole, lens) = self.whole(tx, open, entry.guid, agreed, content.clone())?;
                (whole, content.print, lens)
            }
        };
        if open.mirrors() {
            let code = decide_incoming(received.op, Entry::Unknown { twin: Twin::Exact }, Terms::PLAIN).status;
            self.mirror(open, Cow::Owned(entry.luid), entry.guid, whole, (view, lens))?;
            return Ok(Outcome::Done(code));
        }
        let was = self.agreed_folder(tx, open, &entry, self.item(entry.guid)?)?;
        let item = self.item(entry.guid)?;
        let moved = whole.folder.differs(was);
        let same = entry.view_fp == view;
        let echo = same && !moved;
        let now = item_now(&entry, item, was, Some(&whole));
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
            Action::Keep => {}
            Action::Agree => self.bind_under(open, luid, guid, (item.revision, view, lens)),
            // The peer shows more or less of the card than before, but nothing else.
            Action::Update
                if !item.deleted && item.fingerprint == whole.print && (lens, entry.lens) != (None, None) =>
            {
                self.bind_under(open, luid, guid, (item.revision, view, lens));
            }
            Action::Merge | Action::Overrule | Action::Fork | Action::Split => {
                return self.carry_out(
                    tx,
                    open,
                    Claim { entry, item, whole, view: (view, lens), same, moved },
                    decision,
                );
            }
            Action::Update if now == ItemNow::Changed => {
                return self.carry_out(
                    tx,
                    open,
                    Claim { entry, item, whole, view: (view, lens), same, moved },
                    decision,
                );
            }
            Action::Update => {
                let added = u64::from(item.deleted);
                let new = self.replace(open, &item, whole);
                self.bind_under(open, luid, guid, (new.revision, view, lens));
                open.state.received.added += added;
                open.state.received.changed += 1 - added;
            }
            Action::CreateAnew => {
                if open.is_full(content.len()) {
                    open.state.received.refused += 1;
                    return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
                }
                self.retire(&entry);
                // The id is somebody else's now; who had it before is still here and must be sent again, unless the device
                // had freed it.
                if freed && !item.deleted {
                    self.learn_and_write(MapRow { luid: own_entry(guid), state: MapState::SoftDeleted, ..entry });
                } else if !item.deleted {
                    self.owed.push(OutgoingRow::unsent(&item));
                }
                self.create(open, luid, content);
            }
            // The table gives no other action for a known item that is not deleted.
            _ => {}
        }
        Ok(Outcome::Done(decision.status))
    }

    /// A change under an id that the map in force has not.
    fn unknown(
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
        let status = |twin| decide_incoming(received.op, Entry::Unknown { twin }, Terms::PLAIN).status;
        let old = self.old_entries.get(&*luid).filter(|old| old.state == MapState::Live);
        let old = old.filter(|old| !self.taken.contains(&old.guid)).cloned();
        // An id of the old map with another card has the first claim on its own item, when all is known.
        let claims = when == When::Arriving && full && old.is_some();
        if let Some(old) = old
            && let Some(twin) = self.by_the_old_map(tx, open, old, &content, when)?
        {
            return Ok(Outcome::Done(status(twin)));
        }
        if !claims && self.by_what_was_sent(tx, open, &luid, &content)? {
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if !claims && nothing_to_match(open) {
            if when == When::Arriving && open.is_full(content.len()) {
                open.state.received.refused += 1;
                return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
            }
            open.state.received.added += 1;
            self.create(open, luid, content);
            return Ok(Outcome::Done(status(Twin::None)));
        }
        if !claims && let Some(guid) = self.exact_twin(&luid, &content) {
            open.state.received.matched += 1;
            self.notice_elsewhere(open, guid)?;
            self.bind_twin(open, luid, guid, &content)?;
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if full && when == When::Arriving {
            if self.no_room_to_stage(open) {
                return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
            }
            self.stage(open, received.op, luid, Some(content), received.place.as_ref());
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if when == (When::Settling { strong: false }) {
            return Ok(Outcome::Undecided);
        }
        if let Some(guid) = self.strong_twin(open.kind, &content)? {
            let entry = Entry::Unknown { twin: Twin::Strong };
            let decision = decide_incoming(received.op, entry, open.terms(open.reception()));
            if decision.action != Action::Create {
                self.notice_elsewhere(open, guid)?;
                self.bind_strong(open, luid, guid, content, decision.action)?;
                return Ok(Outcome::Done(decision.status));
            }
        }
        if when == When::Arriving && open.is_full(content.len()) {
            open.state.received.refused += 1;
            return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
        }
        open.state.received.added += 1;
        self.create(open, luid, content);
        Ok(Outcome::Done(status(Twin::None)))
    }

    /// Our own id without an entry: our Add was stored there, but its Status was lost. The peer is right.
    fn own_without_entry(
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

    /// The first rule of a sync of everything, also against tombstones: same id and same view is the same contact; edited
    /// since, it is if the card agrees at all, else the id was used again. `None` when this cannot be said, or not yet.
    fn by_the_old_map(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        mut old: MapRow,
        content: &Content<'m>,
        when: When,
    ) -> Result<Option<Twin>> {
        self.acknowledged(tx, open, &mut old, content)?;
        let same = old.view_fp == content.print;
        let (guid, luid) = (old.guid, Cow::Owned(old.luid.clone()));
        // An edit waits for the whole set, so that it takes no item that another id shows unchanged; but it goes before any
        // strong match, so that a twin does not take the item from under its own id.
        let decides = when != When::Arriving || open.role == Role::Client;
        if open.mirrors() {
            let known = same || (when != When::Arriving && self.may_be_edit_of(tx, open, &old, &content.bytes)?);
            if !known {
                return Ok(None);
            }
            let agreed = (old.agreed_revision, old.view_fp, old.lens);
            let (whole, lens) = self.whole(tx, open, guid, agreed, content.clone())?;
            self.mirror(open, luid, guid, whole, (content.print, lens))?;
        } else if same {
            let item = self.item(guid)?.clone();
            let was = self.agreed_folder(tx, open, &old, &item)?;
            let mut agreed = old.agreed_revision;
            if content.folder.differs(was) && !item.deleted {
                let moved = self.replace(open, &item, Content::of(&item).at(content.folder.or(was)));
                // What else changed here is still to be told.
                if item.revision <= agreed {
                    agreed = moved.revision;
                }
            }
            self.bind_under(open, luid, guid, (agreed, old.view_fp, old.lens));
        } else if decides && self.edited_since(tx, open, &old, content)? {
            return Ok(Some(Twin::Strong));
        } else {
            return Ok(None);
        }
        open.state.received.matched += 1;
        Ok(Some(Twin::Exact))
    }

    /// What was sent to this peer and may have been stored there without our knowing; `false` when nothing fits.
    fn by_what_was_sent(
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
            let (whole, lens) = self.whole(tx, open, row.guid, agreed, content.clone())?;
            self.mirror(open, luid, row.guid, whole, (content.print, lens))?;
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

    /// Binds an id of the old map whose card was edited while anchors were lost; `false` if it is somebody else now.
    fn edited_since(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<bool> {
        let Some(base) = tx.revisions(open.book(), &[(old.guid, old.agreed_revision)])?.pop().flatten() else {
            return Ok(false);
        };
        if !may_be_an_edit(open.kind, &base.content, &content.bytes) {
            return Ok(false);
        }
        let item = self.item(old.guid)?.clone();
        let agreed = (old.agreed_revision, old.view_fp, old.lens);
        let (whole, lens) = self.whole(tx, open, old.guid, agreed, content.clone())?;
        let now = match item_now(old, &item, item.parent, Some(&whole)) {
            // A change of the place is no conflict of cards.
            ItemNow::Changed if item.revision <= old.agreed_revision => ItemNow::AsAgreed,
            now => now,
        };
        let entry = Entry::Known { item: now, echo: false, stranger: false };
        let decision = decide_incoming(Incoming::Add, entry, open.terms(Reception::Everything));
        if matches!(now, ItemNow::Changed | ItemNow::Deleted) {
            let claim =
                Claim { entry: old.clone(), item, whole, view: (content.print, lens), same: false, moved: true };
            self.carry_out(tx, open, claim, decision)?;
        } else if decision.action == Action::Agree {
            let agreed = (item.revision, content.print, lens);
            self.bind_under(open, Cow::Owned(old.luid.clone()), old.guid, agreed);
        } else {
            let told = self.replace(open, &item, whole);
            self.bind_under(open, Cow::Owned(old.luid.clone()), old.guid, (told.revision, content.print, lens));
            open.state.received.changed += 1;
        }
        Ok(true)
    }

    /// Whether a card can be an edit of what the old map has under its id.
    fn may_be_edit_of(&self, tx: &mut dyn Tx, open: &OpenBook<'_, '_>, old: &MapRow, content: &[u8]) -> Result<bool> {
        let base = tx.revisions(open.book(), &[(old.guid, old.agreed_revision)])?.pop().flatten();
        Ok(base.is_some_and(|base| may_be_an_edit(open.kind, &base.content, content)))
    }

    /// Deletes what was shown before the sync broke off, and is staged: it was never shown, and what it had become of goes,
    /// too, as in a sync of changes. Nothing else can be meant.
    fn withdraw(&mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, received: Received<'m>) -> Result<Outcome> {
        let shown = match &received.key {
            Key::Peer(luid) => self.shown.remove(&**luid).map(|bytes| (luid.clone(), bytes)),
            Key::Own(_) => None,
        };
        let Some((luid, bytes)) = shown else { return Ok(Outcome::Done(StatusCode::NOT_DELETED)) };
        tx.unstage(open.device, open.book(), open.state.epoch, &[&luid])?;
        match self.old_entries.get(&*luid).cloned() {
            // The id may have been another item's before.
            Some(old) if self.may_be_edit_of(tx, open, &old, &bytes)? => {
                let entry = MapRow { epoch: open.state.epoch, ..old };
                self.delete(tx, open, received, entry, When::Arriving)
            }
            _ => Ok(Outcome::Done(StatusCode::OK)),
        }
    }

    /// In a refresh: an item here becomes what the peer shows, whatever it was.
    fn mirror(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        content: Content<'m>,
        (view, lens): ([u8; 16], Option<LensNo>),
    ) -> Result<()> {
        let item = self.item(guid)?.clone();
        let print = content.print;
        let revision = if item.deleted || item.fingerprint != print || content.folder.differs(item.parent) {
            let counts = &mut open.state.received;
            if item.deleted {
                counts.added += 1
            } else {
                counts.changed += 1
            }
            self.replace(open, &item, content).revision
        } else {
            item.revision
        };
        self.bind_under(open, luid, guid, (revision, view, lens));
        Ok(())
    }

    /// The device frees its memory: the item stays here and is not sent again. One that was deleted here is gone (423).
    fn soft_delete(&mut self, entry: MapRow) -> Result<Outcome> {
        if self.item(entry.guid)?.deleted {
            self.retire(&entry);
            return Ok(Outcome::Done(StatusCode::SOFT_DELETE_CONFLICT));
        }
        if !matches!(entry.state, MapState::Held | MapState::Leaving) {
            self.learn_and_write(MapRow { state: MapState::SoftDeleted, ..entry });
        }
        Ok(Outcome::Done(StatusCode::OK))
    }

    fn delete(
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
            _ if open.state.held > 0 => Reaction::Hold,
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

    fn carry_out_delete(&mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, entry: &MapRow) -> Result<StatusCode> {
        let item = self.item(entry.guid)?.clone();
        // A peer without folders knows nothing of moves.
        let was = if open.state.tree { self.agreed_folder(tx, open, entry, &item)? } else { item.parent };
        let mut now = item_now(entry, &item, was, None);
        if now == ItemNow::AsAgreed && self.has_inside(tx, open, entry.guid, |_| true)? {
            // Something was put into the folder: it stays and is sent again.
            now = ItemNow::Changed;
            self.owed.push(OutgoingRow::unsent(&item));
        }
        let known = Entry::Known { item: now, echo: false, stranger: false };
        let decision = decide_incoming(Incoming::Delete, known, open.terms(Reception::Changes));
        match decision.action {
            Action::Remove => {
                if let Some(room) = &mut open.state.own_room {
                    room.items += 1;
                    room.bytes += item.content_len();
                }
                let gone = open.writer.delete(&item);
                self.items.insert(gone.guid, gone);
                open.state.received.deleted += 1;
            }
            _ if !item.deleted => open.state.received.conflicts += 1,
            _ => {}
        }
        self.retire(entry);
        Ok(decision.status)
    }
}

/// The status of a change that was simply done.
pub(super) const fn done(op: Incoming) -> StatusCode {
    decide_incoming(op, Entry::Unknown { twin: Twin::Exact }, Terms::PLAIN).status
}

/// What became of an item since it was agreed.
fn item_now(entry: &MapRow, item: &ItemRow<'_>, was: Option<Guid>, incoming: Option<&Content<'_>>) -> ItemNow {
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
