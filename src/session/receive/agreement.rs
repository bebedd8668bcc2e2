//! What a peer knows of an item: what was agreed with it, what it has since, and what its card means for the whole.

use super::overlay::{Agreed, Overlay};
use super::{MAX_CANDIDATES, OpenBook};
use crate::contact::identity::identify;
use crate::contact::view::{self, Fields};
use crate::session::content::Content;
use crate::session::filtered::{common, fields_of, lens};
use crate::store::{Guid, LensNo, MapRow, Result, Revision, RevisionRow, Tx};
use crate::sync::Role;
use std::borrow::Cow;

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
        for row in tx.outgoing(device, book, &guids)?.into_iter().flatten() {
            if row.state.is_unanswered() && row.op != crate::message::Op::Delete {
                self.sent.insert(row.guid, (row.sent_revision, row.sent_view_fp));
            }
        }
        Ok(())
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
        let sent = self.sent.get(&entry.guid).filter(|(_, view)| *view == content.print).map(|(revision, _)| *revision);
        let was = match sent {
            None if item.fingerprint != content.print => self.revision_like(tx, open, entry, content)?,
            sent => sent,
        };
        if let Some(revision) = was {
            (entry.agreed_revision, entry.view_fp) = (revision, content.print);
            // Nobody knows under which filter that went to it.
            if open.role == Role::Server && open.state.refilter {
                entry.lens = Some(lens(Fields::NONE));
            } else if open.role == Role::Server && open.state.filter.is_some() {
                entry.lens = open.state.lens();
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
        let since = history.into_iter().filter(|row| row.revision > entry.agreed_revision && !row.deleted);
        for row in since {
            let revision = row.revision;
            if Content::of_revision(tx, open.kind, row)?.print == content.print {
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// What a peer's card means for the whole, where a filter of fields hides part of it now, or did when both last agreed;
    /// and the fields that the agreement on it is about.
    pub(super) fn whole(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        guid: Guid,
        (agreed, view_then, lens_then): Agreed,
        content: Content<'m>,
    ) -> Result<(Content<'m>, Option<LensNo>)> {
        if common(open, lens_then).is_none() {
            return Ok((content, None));
        }
        let base = tx.revisions(open.book(), &[(guid, agreed)])?.pop().flatten().filter(|base| !base.deleted);
        // Who saw a part in which nothing was missing saw it all.
        let all = |base: &RevisionRow| identify(open.kind, &base.content).fingerprint.0 == view_then;
        let lens_then = lens_then.filter(|_| !base.as_ref().is_some_and(all));
        let Some(fields) = common(open, lens_then) else { return Ok((content, None)) };
        let (base, fields) = match &base {
            Some(base) => (&*base.content, fields),
            None => (&*self.item(guid)?.content, Fields::NONE),
        };
        // A device that has it whole from another time repeats what it then was.
        let past = match open.role {
            Role::Server => tx.history(open.book(), guid, MAX_CANDIDATES)?,
            Role::Client => Vec::new(),
        };
        let past = past.iter().filter(|row| row.revision <= agreed && !row.deleted).map(|row| &*row.content);
        let news = view::news(&content.bytes, fields, past);
        let Some(bytes) = news.and_then(|news| view::put(base, &news, fields)) else {
            return Ok((content, open.state.lens()));
        };
        let whole = Content::new(open.kind, content.media_type.clone(), Cow::Owned(bytes));
        let seen = if whole.print == content.print { open.state.lens() } else { Some(lens(fields)) };
        Ok((whole, seen))
    }

    /// What a Replace of single fields makes of the card that both last agreed on (§3.17), and what of it the peer sees.
    /// `None` if there are no fields in it.
    pub(super) fn patched(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        entry: &MapRow,
        part: &Content<'m>,
    ) -> Result<Option<(Content<'m>, [u8; 16])>> {
        let base = tx.revisions(open.book(), &[(entry.guid, entry.agreed_revision)])?.pop().flatten();
        let base = match &base {
            Some(base) if !base.deleted => &*base.content,
            _ => &*self.item(entry.guid)?.content,
        };
        let Some(bytes) = view::patch(base, &part.bytes) else { return Ok(None) };
        let whole = Content::new(open.kind, part.media_type.clone(), Cow::Owned(bytes));
        let seen = fields_of(entry.lens).and_then(|fields| view::view(&whole.bytes, fields));
        let print = seen.map_or(whole.print, |seen| Content::new(open.kind, None, Cow::Owned(seen)).print);
        Ok(Some((whole, print)))
    }
}
