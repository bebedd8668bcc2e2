//! What a peer knows of an item: what was agreed with it, what it has since, and what its card means for the whole.

use super::overlay::{Agreed, Overlay};
use super::{MAX_CANDIDATES, OpenBook};
use crate::contact::identity::{Kind, identify};
use crate::contact::lens::{self, Fields};
use crate::message::Op;
use crate::session::content::Content;
use crate::session::filtered::NOTHING;
use crate::store::{Guid, LensNo, MapRow, OutgoingState, Result, Revision, RevisionRow, Tx};
use crate::sync::Role;
use std::borrow::Cow;
use std::rc::Rc;

/// What a peer's card means.
pub(super) struct Meant<'m> {
    /// For the whole.
    pub whole: Content<'m>,
    /// Where the peer could see more of that than it has: what it can be said to know. The rest is sent.
    pub told: Option<Content<'m>>,
    /// What the agreement on it is about.
    pub lens: Option<LensNo>,
    /// Whether the peer does not see all, or did not.
    pub narrow: bool,
    /// Whether it says just what was agreed.
    pub echo: bool,
}

impl<'m> Overlay<'m> {
    /// What the peer was sent without having answered yet, and, of items that it names by our id although the map in force
    /// has them not, what was agreed in the epoch before.
    pub(super) fn learn_sent(&mut self, tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, own: &[Guid]) -> Result<()> {
        let (device, book) = (open.device, open.book());
        let unknown: Vec<Guid> = own.iter().copied().filter(|guid| !self.by_guid.contains_key(guid)).collect();
        if let Some(old) = open.state.old_epoch.filter(|_| !unknown.is_empty()) {
            for entry in tx.maps_by_guid(device, book, old, &unknown)?.into_iter().flatten() {
                self.assumed.insert(entry.guid, (entry.agreed_revision, entry.view_fp));
            }
        }
        let mut guids = unknown;
        guids.extend(self.entries.values().chain(self.old_entries.values()).map(|entry| entry.guid));
        let unanswered =
            tx.outgoing(device, book, &guids)?.into_iter().flatten().filter(|row| row.state.is_unanswered());
        for row in unanswered {
            match row.op {
                // What was sent before that has no answer either.
                Op::Delete if row.state == OutgoingState::Resent => {
                    self.doubted.insert(row.guid);
                }
                Op::Delete => {}
                _ => {
                    self.sent.insert(row.guid, (row.sent_revision, row.sent_view_fp));
                }
            }
        }
        Ok(())
    }

    /// Whether something was sent of an item that the peer has not answered.
    pub(super) fn is_unanswered(&self, guid: Guid) -> bool {
        self.sent.contains_key(&guid) || self.doubted.contains(&guid)
    }

    /// A peer that shows just what it was sent has it, though its Status was lost: what was sent last, or anything that the
    /// item was here since the agreement. `true` when that moved the agreement.
    pub(super) fn acknowledged(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        entry: &mut MapRow,
        content: &Content<'_>,
    ) -> Result<bool> {
        let item = self.item(entry.guid)?;
        if entry.view_fp == content.print || item.revision <= entry.agreed_revision {
            return Ok(false);
        }
        let sent = self.sent.get(&entry.guid);
        // Its Map may have been word on any of what was sent; or that was more than the ledger says.
        let in_doubt = entry.agreed_revision == Revision(0) || self.doubted.contains(&entry.guid);
        let was = match sent {
            Some((revision, view)) if *view == content.print => Some(*revision),
            // Nothing was sent.
            None if !in_doubt => None,
            // There is nothing else to be told.
            _ if item.fingerprint == content.print => None,
            _ => self.revision_like(tx, open, entry, content)?,
        };
        if let Some(revision) = was {
            (entry.agreed_revision, entry.view_fp) = (revision, content.print);
            // Nobody knows under which filter that went to it.
            if open.role == Role::Server && open.state.has_other_lens() {
                entry.lens = Some(NOTHING);
            } else if open.role == Role::Server && (open.state.filter.is_some() || open.state.lens.is_some()) {
                entry.lens = open.state.lens;
            }
        }
        Ok(was.is_some())
    }

    /// The latest revision since the agreement whose content means the same.
    pub(super) fn revision_like(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        entry: &MapRow,
        content: &Content<'_>,
    ) -> Result<Option<Revision>> {
        let history = tx.history(open.book(), entry.guid, MAX_CANDIDATES)?;
        let item = self.item(entry.guid)?;
        let narrow = open.role == Role::Server && !open.lens.is_whole();
        let mut newer = (item.origin, item.at);
        for row in history.into_iter().filter(|row| row.revision > entry.agreed_revision) {
            // Where only a part is seen, many a revision looks alike: what a message left behind only for a moment, such as
            // what a device told before it was merged, was never sent to anybody.
            let (revision, written) = (row.revision, (row.origin, row.at));
            let passing = std::mem::replace(&mut newer, written) == written;
            if row.deleted || narrow && passing {
                continue;
            }
            let was = Content::of_revision(tx, open.kind, row)?;
            let seen = if narrow { lens::view(&was.bytes, &open.lens) } else { None };
            let seen = seen.map(|seen| Content::new(open.kind, None, Cow::Owned(seen)).print);
            if was.print == content.print || seen == Some(content.print) {
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// What a peer's card means for the whole, where it does not see all of it now, or did not when both last agreed.
    pub(super) fn whole(
        &self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        guid: Guid,
        (agreed, view_then, lens_then): Agreed,
        content: Content<'m>,
    ) -> Result<Meant<'m>> {
        let lens = open.state.lens;
        open.lenses.load(tx, lens_then)?;
        let (mut then, now) = (open.lenses.get(lens_then), open.lens.clone());
        let sees_all = then.is_whole() && now.is_whole();
        if open.kind != Kind::Contact || sees_all && !lens::has_picture(&content.bytes) {
            return Ok(Meant { whole: content, told: None, lens, narrow: false, echo: false });
        }
        let mut base = tx.revisions(open.book(), &[(guid, agreed)])?.pop().flatten().filter(|base| !base.deleted);
        if base.is_none() {
            if sees_all {
                return Ok(Meant { whole: content, told: None, lens, narrow: false, echo: false });
            }
            // Nothing is known of what it has: what it could see and does not show is told.
            then = Rc::new(Fields::NONE.into());
            base = self.before_it_went(tx, open, guid, &content.bytes)?;
        }
        let upto = base.as_ref().map_or(agreed, |base| base.revision);
        let base = match &base {
            Some(base) => &*base.content,
            None => &*self.item(guid)?.content,
        };
        let print = identify(open.kind, base).fingerprint.0;
        // Who saw some fields of a card that had no others saw it all.
        if lens_then.is_some_and(|lens| lens.0 >= 0) && print == view_then {
            then = Rc::default();
        }
        let sees_all = then.is_whole() && now.is_whole();
        if sees_all && !lens::repeats_picture(base, &content.bytes) {
            return Ok(Meant { whole: content, told: None, lens, narrow: false, echo: false });
        }
        let read = |bytes| Content {
            folder: content.folder,
            ..Content::new(open.kind, content.media_type.clone(), Cow::Owned(bytes))
        };
        // Who has all of what was agreed has changed nothing, wherever it has that from, and there is nothing to be told.
        if content.print == print {
            return Ok(Meant { whole: read(base.to_vec()), told: None, lens, narrow: true, echo: true });
        }
        // A device that has it whole from another time repeats what it then was.
        let narrow = then.with_fields(now.fields()).fields().is_some();
        let past = match open.role {
            Role::Server if narrow => past_of(tx, open, guid)?,
            _ => Vec::new(),
        };
        let past = past.iter().filter(|row| row.revision <= upto).map(|row| &*row.content);
        let Some(put) = lens::put_news(base, &content.bytes, (&then, &now), past) else {
            return Ok(Meant { whole: content, told: None, lens, narrow: true, echo: false });
        };
        // To tell it what it lacks of an item that is gone is no reason to bring that back.
        let echo = put.whole == base && (put.told.is_none() || self.item(guid)?.deleted);
        Ok(Meant { whole: read(put.whole), told: put.told.map(read), lens, narrow: true, echo })
    }

    /// What an item that is gone was when the peer was sent it, of which it shows a part; else what it was last. In a refresh the
    /// item becomes just what the peer shows.
    fn before_it_went(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        guid: Guid,
        shown: &[u8],
    ) -> Result<Option<RevisionRow>> {
        if open.mirrors() || !self.item(guid)?.deleted {
            return Ok(None);
        }
        let past = past_of(tx, open, guid)?;
        let nothing = Fields::NONE.into();
        let has_all = |row: &RevisionRow| {
            lens::put(&row.content, shown, &nothing, &open.lens).is_some_and(|put| put.whole == row.content)
        };
        let at = past.iter().position(has_all).unwrap_or(0);
        Ok(past.into_iter().nth(at))
    }

    /// What a Replace of single fields makes of the card that both last agreed on (§3.17), and what of it the peer sees.
    /// `None` if there are no fields in it.
    pub(super) fn patched(
        &self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        entry: &MapRow,
        part: &Content<'m>,
    ) -> Result<Option<(Content<'m>, [u8; 16])>> {
        let base = tx.revisions(open.book(), &[(entry.guid, entry.agreed_revision)])?.pop().flatten();
        let base = match &base {
            Some(base) if !base.deleted => &*base.content,
            _ => &*self.item(entry.guid)?.content,
        };
        let Some(bytes) = lens::patch(base, &part.bytes) else { return Ok(None) };
        let whole = Content::new(open.kind, part.media_type.clone(), Cow::Owned(bytes));
        open.lenses.load(tx, entry.lens)?;
        let seen = entry.lens.and_then(|lens| lens::view(&whole.bytes, &open.lenses.get(Some(lens))));
        let print = seen.map_or(whole.print, |seen| Content::new(open.kind, None, Cow::Owned(seen)).print);
        Ok(Some((whole, print)))
    }
}

/// What an item was before, newest first, where it was there.
pub(super) fn past_of(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, guid: Guid) -> Result<Vec<RevisionRow>> {
    let mut past = tx.history(open.book(), guid, MAX_CANDIDATES)?;
    past.retain(|was| !was.deleted);
    Ok(past)
}
