//! Ids that the peer used before: those of the old map, and those that were retired.

use super::agreement::{Meant, past_of};
use super::conflict::Claim;
use super::decide::item_now;
use super::overlay::{Agreed, Overlay};
use super::place::{heard, lens_after};
use super::{OpenBook, When};
use crate::contact::identity::{Kind, identify, may_be_an_edit};
use crate::contact::lens;
use crate::session::content::Content;
use crate::session::filtered::NOTHING;
use crate::store::{ItemRow, MapRow, MapState, Result, Revision, Tx};
use crate::sync::{Action, Entry, Incoming, ItemNow, Role, Twin, decide_incoming};
use std::borrow::Cow;

impl<'m> Overlay<'m> {
    /// The first rule of a sync of everything, also against tombstones: same id and same view is the same contact; edited
    /// since, it is if the card agrees at all, else the id was used again. `None` when this cannot be said, or not yet.
    pub(super) fn by_the_old_map(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        mut old: MapRow,
        content: &Content<'m>,
        when: When,
    ) -> Result<Option<Twin>> {
        let content = &heard(&old, content.clone());
        self.acknowledged(tx, open, &mut old, content)?;
        if open.mirrors() {
            return self.mirror_old(tx, open, &old, content, when);
        }
        if old.view_fp == content.print {
            self.bind_as_agreed(tx, open, &old, content)?;
            return Ok(Some(Twin::Exact));
        }
        // An edit waits for the whole set, so that it takes no item that another id shows unchanged; but it goes before any
        // strong match, so that a twin does not take the item from under its own id.
        let waits = when == When::Arriving;
        if waits && open.role == Role::Server {
            return Ok(None);
        }
        if open.state.forgot {
            return Ok(self.as_it_once_was(tx, open, &old, content)?.then_some(Twin::Exact));
        }
        if !waits && self.is_rather_another(&old, content)? {
            return self.bind_another(open, &old, content);
        }
        Ok(self.edited_since(tx, open, &old, content)?.then_some(Twin::Strong))
    }

    /// In a refresh an item becomes what its id shows, if that is the same or can be an edit of it.
    fn mirror_old(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
        when: When,
    ) -> Result<Option<Twin>> {
        let same = old.view_fp == content.print;
        if !same && (when == When::Arriving || !self.may_be_edit_of(tx, open, old, &content.bytes)?) {
            return Ok(None);
        }
        let agreed = (old.agreed_revision, old.view_fp, old.lens);
        let meant = self.whole(tx, open, old.guid, agreed, content.clone())?;
        let meant = Meant { lens: lens_after(old, content, meant.lens), ..meant };
        let view = open.view_there(content, &meant.whole);
        self.mirror(open, Cow::Owned(old.luid.clone()), old.guid, meant, view)?;
        open.state.received.matched += 1;
        Ok(Some(Twin::Exact))
    }

    /// Binds an id whose card is as it was agreed on, wherever the peer has put it since.
    fn bind_as_agreed(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<()> {
        let item = self.item(old.guid)?.clone();
        let was = self.agreed_folder(tx, open, old, &item)?;
        let mut agreed = old.agreed_revision;
        if content.folder.differs(was) && !item.deleted {
            let moved = self.replace(open, &item, Content::of(&item).at(content.folder.or(was)));
            // What else changed here is still to be told.
            if item.revision <= agreed {
                agreed = moved.revision;
            }
        }
        let lens = lens_after(old, content, old.lens);
        self.bind_again(open, old, (agreed, old.view_fp, lens));
        Ok(())
    }

    /// Binds an id whose card is somebody else now, who is here just so. Who that is is decided when no id has a claim on it
    /// any more.
    fn bind_another(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<Option<Twin>> {
        let Some(twin) = self.exact_twin(&old.luid, content) else { return Ok(None) };
        self.notice_elsewhere(open, twin)?;
        self.bind_twin(open, Cow::Owned(old.luid.clone()), twin, content)?;
        open.state.received.matched += 1;
        Ok(Some(Twin::Exact))
    }

    /// Whether a card is somebody who is here just so and has no id yet, rather than an edit of what was deleted: nothing is lost
    /// by that.
    fn is_rather_another(&self, old: &MapRow, content: &Content<'m>) -> Result<bool> {
        let mut free = self.live_twins(content).filter(|twin| !self.taken.contains(twin));
        Ok(self.item(old.guid)?.deleted && free.next().is_some())
    }

    /// Of what an earlier session left: whether the peer has under another id just what it showed under this one, as far as is
    /// known. Whose it is, all that it is about to show will tell.
    pub(super) fn is_about_to_be_shown(&self, open: &OpenBook<'_, '_>, old: &MapRow, content: &Content<'_>) -> bool {
        open.state.shown_again && self.live_twins(content).any(|twin| twin != old.guid)
    }

    /// Binds an id of before that a peer has forgotten, or had given up. Where its card is as the item once was, it went back to
    /// that, and what became of the item since is told again. Otherwise what the card lacks it may never have had: both are
    /// kept, in one. A deleted item has nothing to be kept, and comes back only for what it never said; nor is a
    /// card somebody else who says only what the item once said.
    pub(super) fn by_an_old_id(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<Option<Twin>> {
        if self.as_it_once_was(tx, open, old, content)? {
            return Ok(Some(Twin::Exact));
        }
        if self.item(old.guid)?.deleted || !self.may_be_edit_of(tx, open, old, &content.bytes)? {
            return Ok(self.as_parts_of_it_once_were(tx, open, old, content)?.then_some(Twin::Exact));
        }
        let luid = Cow::Owned(old.luid.clone());
        self.bind_strong(tx, open, luid, old.guid, content.clone(), Action::BindAndMerge)?;
        Ok(Some(Twin::Strong))
    }

    /// Binds an id again that was retired, if its item has no other id: the peer has confirmed that it has nothing there, so
    /// the card may as well be a new one, and nothing of the item is given up for it. A deleted item is meant only by who has
    /// forgotten what it was told.
    pub(super) fn by_its_former_id(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        luid: &str,
        content: &Content<'m>,
    ) -> Result<bool> {
        let free = |old: &&MapRow| {
            let is_meant = |item: &ItemRow<'_>| open.state.forgot || !item.deleted;
            old.state == MapState::Gone
                && !self.taken.contains(&old.guid)
                && self.items.get(&old.guid).is_some_and(is_meant)
        };
        match self.entries.get(luid).or_else(|| self.old_entries.get(luid)).filter(free).cloned() {
            Some(old) => Ok(self.by_an_old_id(tx, open, &old, content)?.is_some()),
            None => Ok(false),
        }
    }

    /// Binds an id of the old map whose card was edited while anchors were lost; `false` if it is somebody else now.
    pub(super) fn edited_since(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<bool> {
        if !self.may_be_edit_of(tx, open, old, &content.bytes)? {
            return Ok(false);
        }
        let item = self.item(old.guid)?.clone();
        // What was sent without an answer may have come, or a part of it: who says only that again has not edited what is gone.
        if item.deleted && self.is_unanswered(old.guid) && self.as_parts_of_it_once_were(tx, open, old, content)? {
            return Ok(true);
        }
        let agreed = (old.agreed_revision, old.view_fp, old.lens);
        let Meant { whole, told, lens, echo, .. } = self.whole(tx, open, old.guid, agreed, content.clone())?;
        let (lens, view) = (lens_after(old, content, lens), open.view_there(content, &whole));
        let luid = || Cow::Owned(old.luid.clone());
        if echo && !content.folder.differs(item.parent) {
            self.bind_under(open, luid(), old.guid, (old.agreed_revision, view, lens));
            return Ok(true);
        }
        let now = match item_now(old, &item, item.parent, Some(&whole)) {
            // There is something to be told.
            ItemNow::ChangedAlike if told.is_some() => ItemNow::Changed,
            now => now,
        };
        let entry = Entry::Known { item: now, echo: false, stranger: false };
        let decision = decide_incoming(Incoming::Replace, entry, open.terms(open.reception()));
        match decision.action {
            Action::Agree => self.bind_under(open, luid(), old.guid, (item.revision, view, lens)),
            Action::Update if now == ItemNow::AsAgreed => {
                let (agreed, _) = self.take_in(open, &item, whole, told);
                self.bind_under(open, luid(), old.guid, (agreed.revision, view, lens));
                open.state.received.changed += 1;
            }
            _ => {
                let claim = Claim {
                    entry: old.clone(),
                    item,
                    whole,
                    known: told,
                    view: (view, lens),
                    same: false,
                    moved: true,
                };
                self.carry_out(tx, open, claim, decision)?;
            }
        }
        Ok(true)
    }

    /// Binds an id of before whose card is as the item once was, so that what became of the item since is told again.
    fn as_it_once_was(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<bool> {
        let Some(revision) = self.once_was(tx, open, old, content)? else { return Ok(false) };
        let lens = lens_after(old, content, open.state.lens);
        self.bind_again(open, old, (revision, content.print, lens));
        Ok(true)
    }

    /// Binds an id of before whose card says only what the item once said, though never all of that or just that: a field
    /// filter showed it so, or sent a part of a change to who had the rest from before. What the card lacks is no word of a
    /// peer that has forgotten what it was told, so nothing in it is an edit.
    fn as_parts_of_it_once_were(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<bool> {
        if open.kind != Kind::Contact || open.mirrors() {
            return Ok(false);
        }
        let past = past_of(tx, open, old.guid)?;
        let Some(last) = past.first().map(|was| was.revision) else { return Ok(false) };
        if !lens::repeats(&content.bytes, past.iter().map(|was| &*was.content)) {
            return Ok(false);
        }
        // How much of that it has been shown nobody knows any more.
        let lens = lens_after(old, content, Some(NOTHING));
        self.bind_again(open, old, (last, content.print, lens));
        Ok(true)
    }

    /// Binds an id to the item that it meant before.
    fn bind_again(&mut self, open: &mut OpenBook<'_, 'm>, old: &MapRow, agreed: Agreed) {
        self.bind_under(open, Cow::Owned(old.luid.clone()), old.guid, agreed);
        open.state.received.matched += 1;
    }

    /// The revision of which the item was just this.
    pub(super) fn once_was(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        old: &MapRow,
        content: &Content<'m>,
    ) -> Result<Option<Revision>> {
        let first = MapRow { agreed_revision: Revision(0), ..old.clone() };
        self.revision_like(tx, open, &first, content)
    }

    /// Whether a card can be an edit of what the old map has under its id: of what was agreed, or, while nobody knows which
    /// of several sendings the device has, of anything that the item is or was.
    pub(super) fn may_be_edit_of(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        old: &MapRow,
        content: &[u8],
    ) -> Result<bool> {
        let like = |was: &[u8]| may_be_an_edit(open.kind, was, content);
        let item = self.item(old.guid)?;
        let like_now = || !item.deleted && like(&item.content);
        if let Some(base) = tx.revisions(open.book(), &[(old.guid, old.agreed_revision)])?.pop().flatten() {
            // Who was shown a part has more of it than was agreed on.
            let has_more = || identify(open.kind, &base.content).fingerprint.0 != old.view_fp;
            return Ok(like(&base.content) || has_more() && like_now());
        }
        if like_now() {
            return Ok(true);
        }
        Ok(past_of(tx, open, old.guid)?.iter().any(|was| like(&was.content)))
    }
}
