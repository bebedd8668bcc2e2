//! Items here that something may be the same as.

use super::OpenBook;
use super::overlay::Overlay;
use crate::contact::identity::Kind;
use crate::session::content::{Content, is_twin};
use crate::session::datastore::is_folder_type;
use crate::store::{Guid, OutgoingRow, Result};
use std::borrow::Cow;
use std::collections::HashSet;

impl<'m> Overlay<'m> {
    /// What was sent with just this content. When that was deleted here since, only in a sync of everything: a device that
    /// adds it otherwise has made it itself.
    pub(super) fn pending_twin(&self, open: &OpenBook<'_, '_>, content: &Content<'_>) -> Option<&OutgoingRow> {
        let row = self.pending.get(&content.print).filter(|row| !self.taken.contains(&row.guid))?;
        let live = self.items.get(&row.guid).is_some_and(|item| !item.deleted);
        (live || open.state.old_epoch.is_some()).then_some(row)
    }

    /// An item of the same meaning; of several, one in the same place.
    pub(super) fn exact_twin(&self, luid: &str, content: &Content<'_>) -> Option<Guid> {
        let free = |guid: &&Guid| {
            !self.taken.contains(guid)
                && self.claimed.get(guid).is_none_or(|by| by == luid)
                && self.items.get(guid).is_some_and(|item| !item.deleted && item.fingerprint == content.print)
        };
        let there = |guid: &&Guid| self.items.get(guid).is_some_and(|item| !content.folder.differs(item.parent));
        let twins = self.by_print.get(&content.print)?;
        twins.iter().filter(free).find(there).or_else(|| twins.iter().find(free)).copied()
    }

    /// The live items of the same meaning, whoever has them.
    pub(super) fn live_twins(&self, content: &Content<'_>) -> impl Iterator<Item = Guid> {
        let here = |guid: &&Guid| self.items.get(guid).is_some_and(|item| !item.deleted);
        self.by_print.get(&content.print).into_iter().flatten().filter(here).copied()
    }

    /// An item that strong keys lead to, and that is the same person.
    pub(super) fn strong_twin(&self, kind: Kind, content: &Content<'_>) -> Result<Option<Guid>> {
        let mut seen = HashSet::new();
        for guid in content.keys.iter().filter_map(|key| self.by_key.get(key)).flatten() {
            if self.taken.contains(guid) || !seen.insert(*guid) {
                continue;
            }
            let Some(item) = self.items.get(guid).filter(|item| !item.deleted) else { continue };
            // Two folders may hold files of one name; and a folder is no file.
            let folder = |media_type: Option<&str>| media_type.is_some_and(is_folder_type);
            let apart = folder(item.media_type.as_deref()) != folder(content.media_type.as_deref());
            if apart || content.folder.differs(item.parent) {
                continue;
            }
            if is_twin(kind, item, content) {
                return Ok(Some(*guid));
            }
        }
        Ok(None)
    }

    /// Binds an id to a twin, which moves to where the peer has it.
    pub(super) fn bind_twin(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        content: &Content<'m>,
    ) -> Result<()> {
        let mut item = self.item(guid)?.clone();
        if content.folder.differs(item.parent) {
            item = self.replace(open, &item, content.clone());
        }
        self.bind(open, luid, guid, item.revision, content.print);
        Ok(())
    }
}
