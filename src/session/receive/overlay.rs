//! The rows that a batch touches: loaded in one go, read and changed while its changes are decided, written in one go.

use super::{OpenBook, Place, When};
use crate::session::content::{Content, Folder};
use crate::session::datastore::is_folder_type;
use crate::session::folders::look_inside;
use crate::store::{Draft, Guid, ItemRow, LensNo, MapRow, MapState, NewStaged, OutgoingRow, Result, Revision, Tx};
use crate::sync::{Incoming, Role};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What is agreed on an item: the revision, what the peer has of it, and the lens that this is about; `None`: all.
pub(super) type Agreed = (Revision, [u8; 16], Option<LensNo>);

/// The rows that a batch touches, as they are after the changes decided so far.
#[derive(Default)]
pub(super) struct Overlay<'m> {
    pub(super) entries: HashMap<String, MapRow>,
    pub(super) by_guid: HashMap<Guid, String>,
    pub(super) old_entries: HashMap<String, MapRow>,
    pub(super) items: HashMap<Guid, ItemRow<'m>>,
    pub(super) by_print: HashMap<[u8; 16], Vec<Guid>>,
    pub(super) by_key: HashMap<u64, Vec<Guid>>,
    pub(super) pending: HashMap<[u8; 16], OutgoingRow>,
    /// Client: the agreement to assume on items without an entry.
    pub(super) assumed: HashMap<Guid, (Revision, [u8; 16])>,
    /// What was sent and is not answered.
    pub(super) sent: HashMap<Guid, (Revision, [u8; 16])>,
    /// Items that were sent and not answered before a delete was.
    pub(super) doubted: HashSet<Guid>,
    /// In a sync of everything: by which id the peer had an item before, who has the first claim on it.
    pub(super) claimed: HashMap<Guid, String>,
    /// In a sync that goes on: what is staged under the ids that the batch deletes.
    pub(super) shown: HashMap<String, Vec<u8>>,
    /// Items that the peer maps, in the epoch in force.
    pub(super) taken: HashSet<Guid>,
    /// What the batch has put into folders.
    pub(super) put_into: HashMap<Guid, Vec<Guid>>,
    /// Folders that the peer has, which was not known.
    pub(super) new_folders: Vec<Guid>,
    // Writes, in their order.
    pub(super) maps: Vec<MapRow>,
    pub(super) staged: Vec<NewStaged<'m>>,
    pub(super) sent_off: Vec<Guid>,
    pub(super) owed: Vec<OutgoingRow>,
}

impl<'m> Overlay<'m> {
    // Writes: into the overlay, and onto the list of what to apply.

    pub(super) fn create(&mut self, open: &mut OpenBook<'_, 'm>, luid: Cow<'m, str>, content: Content<'m>) {
        let print = content.print;
        let (parent, depth) = match content.folder {
            Folder::Is(parent) => (parent, self.depth_in(parent)),
            Folder::Unsaid => (None, 0),
        };
        let item = open.writer.add(Draft { parent, depth, ..content.into_draft() });
        let (guid, revision) = (item.guid, item.revision);
        self.learn_written(item);
        self.bind(open, luid, guid, revision, print);
    }

    pub(super) fn replace(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        old: &ItemRow<'m>,
        content: Content<'m>,
    ) -> ItemRow<'m> {
        let (parent, depth) = match content.folder {
            Folder::Is(parent) => (parent, self.depth_in(parent)),
            Folder::Unsaid => (old.parent, old.depth),
        };
        let new = open.writer.put(old, Draft { parent, depth, ..content.into_draft() });
        self.learn_written(new.clone());
        new
    }

    /// Writes what a peer told of an item, and what is then to be told to it; gives the item that both agree on.
    pub(super) fn take_in(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        old: &ItemRow<'m>,
        whole: Content<'m>,
        told: Option<Content<'m>>,
    ) -> (ItemRow<'m>, ItemRow<'m>) {
        let Some(told) = told else {
            let new = self.replace(open, old, whole);
            return (new.clone(), new);
        };
        let folder = whole.folder;
        let agreed = self.replace(open, old, told);
        let new = self.replace(open, &agreed, Content { folder, ..whole });
        (agreed, new)
    }

    fn learn_written(&mut self, item: ItemRow<'m>) {
        if let Some(folder) = item.parent {
            self.put_into.entry(folder).or_default().push(item.guid);
        }
        self.items.insert(item.guid, item);
    }

    /// Writes what a conflict came to over what the peer told, in that folder, unless both are the same.
    pub(super) fn rewrite(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        told: &ItemRow<'m>,
        result: Content<'m>,
        parent: Option<Guid>,
    ) {
        if result.print != told.fingerprint || parent != told.parent {
            self.replace(open, told, result.at(parent));
        }
    }

    pub(super) fn depth_in(&self, parent: Option<Guid>) -> u32 {
        parent.map_or(0, |parent| self.items.get(&parent).map_or(0, |folder| folder.depth).saturating_add(1))
    }

    pub(super) fn bind(
        &mut self,
        open: &OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        agreed: Revision,
        view: [u8; 16],
    ) {
        self.bind_under(open, luid, guid, (agreed, view, open.state.lens));
    }

    /// Binds an id to an item; what is agreed is a revision, what the peer has of it, and under which fields.
    pub(super) fn bind_under(
        &mut self,
        open: &OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        (agreed, view, lens): Agreed,
    ) {
        // A server's item that a client has stored is unconfirmed until the Map has its Status.
        let fresh = !self.by_guid.contains_key(&guid);
        let state = match open.role {
            Role::Client if fresh => MapState::Unconfirmed,
            Role::Client => {
                self.by_guid.get(&guid).and_then(|luid| self.entries.get(luid)).map_or(MapState::Live, |e| e.state)
            }
            Role::Server => MapState::Live,
        };
        let item = self.items.get(&guid);
        if fresh && item.and_then(|item| item.media_type.as_deref()).is_some_and(is_folder_type) {
            self.new_folders.push(guid);
        }
        // Where it is nobody can tell a peer without folders.
        let untold = !open.state.tree && item.is_some_and(|item| item.parent.is_some());
        let lens = lens.or_else(|| untold.then_some(LensNo::UNPLACED));
        // What a client has changed or deleted before its package began, without having told of it, is told next time.
        let behind = |item: &&ItemRow<'_>| agreed < item.revision && item.revision <= open.state.upto;
        if open.role == Role::Client
            && let Some(item) = self.items.get(&guid).filter(behind)
        {
            self.owed.push(OutgoingRow::unsent(item));
        }
        self.learn_and_write(MapRow {
            epoch: open.state.epoch,
            luid: luid.into_owned(),
            guid,
            agreed_revision: agreed,
            lens,
            view_fp: view,
            state,
        });
    }

    pub(super) fn retire(&mut self, entry: &MapRow) {
        self.by_guid.remove(&entry.guid);
        self.taken.remove(&entry.guid);
        let gone = MapRow { state: MapState::Gone, ..entry.clone() };
        self.maps.push(gone.clone());
        self.entries.insert(gone.luid.clone(), gone);
    }

    pub(super) fn stage(
        &mut self,
        open: &OpenBook<'_, 'm>,
        op: Incoming,
        luid: Cow<'m, str>,
        content: Option<Content<'m>>,
        place: Option<&Place<'m>>,
    ) {
        let op = match op {
            Incoming::Add => crate::message::Op::Add,
            Incoming::Replace => crate::message::Op::Replace,
            Incoming::Delete => crate::message::Op::Delete,
        };
        let draft = content.map(Content::into_draft).unwrap_or_default();
        self.staged.push(NewStaged {
            epoch: open.state.epoch,
            luid,
            op,
            place: place.map(Place::to_text),
            media_type: draft.media_type,
            content: draft.content,
            blob: draft.blob,
            view_fp: draft.fingerprint,
            keys: draft.keys,
        });
    }

    pub(super) fn learn_and_write(&mut self, entry: MapRow) {
        self.maps.push(entry.clone());
        self.learn_entry(entry);
    }

    pub(super) fn learn_entry(&mut self, entry: MapRow) {
        if entry.state != MapState::Gone {
            self.taken.insert(entry.guid);
            self.by_guid.insert(entry.guid, entry.luid.clone());
        }
        self.entries.insert(entry.luid.clone(), entry);
    }

    // Reads.

    pub(super) fn item(&self, guid: Guid) -> Result<&ItemRow<'m>> {
        self.items.get(&guid).ok_or_else(|| {
            crate::store::StoreError::Corrupt(format!("a map entry names item {guid}, which is not there"))
        })
    }

    pub(super) fn apply(mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, when: When) -> Result<()> {
        let (device, book) = (open.device, open.book());
        // The peer's latest word on an id counts: what it said before is not settled any more.
        let entries = &self.entries;
        self.staged.retain(|row| match (row.op, entries.get(&*row.luid).map(|entry| entry.state)) {
            (crate::message::Op::Delete, state) => state == Some(MapState::Leaving),
            (_, state) => matches!(state, None | Some(MapState::Gone)),
        });
        open.writer.flush(tx)?;
        if !self.maps.is_empty() {
            tx.put_maps(device, book, &self.maps)?;
        }
        if when == When::Arriving && open.state.staged {
            let bound: Vec<&str> = self.maps.iter().map(|entry| entry.luid.as_str()).collect();
            tx.unstage(device, book, open.state.epoch, &bound)?;
        }
        if !self.staged.is_empty() {
            tx.stage(device, book, &self.staged)?;
            open.state.staged = true;
        }
        if !self.sent_off.is_empty() {
            tx.drop_outgoing(device, book, &self.sent_off)?;
        }
        if !self.owed.is_empty() {
            tx.put_outgoing(device, book, &self.owed)?;
        }
        look_inside(tx, open, &self.new_folders)
    }
}
