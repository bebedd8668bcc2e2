//! The rows that a batch touches: loaded in one go, read and changed while its changes are decided, written in one go.

use super::{Key, MAX_CANDIDATES, MAX_TWINS, OpenBook, Place, Received, Verb, When};
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
    pub(super) fn load(tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, batch: &[Received<'m>], when: When) -> Result<Self> {
        let (device, book, epoch) = (open.device, open.book(), open.state.epoch);
        let mut overlay = Self {
            entries: HashMap::new(),
            by_guid: HashMap::new(),
            old_entries: HashMap::new(),
            items: HashMap::new(),
            by_print: HashMap::new(),
            by_key: HashMap::new(),
            pending: HashMap::new(),
            assumed: HashMap::new(),
            sent: HashMap::new(),
            claimed: HashMap::new(),
            shown: HashMap::new(),
            taken: HashSet::new(),
            put_into: HashMap::new(),
            new_folders: Vec::new(),
            maps: Vec::new(),
            staged: Vec::new(),
            sent_off: Vec::new(),
            owed: Vec::new(),
        };
        let mut wanted: Vec<Guid> = Vec::new();

        // Where items are put and what they are copies of is looked up with them.
        let named = || {
            batch.iter().flat_map(|received| {
                let place = match &received.place {
                    Some(Place::In(key)) => Some(key),
                    _ => None,
                };
                let copied = match &received.verb {
                    Verb::Copy(key) => Some(key),
                    _ => None,
                };
                std::iter::once(&received.key).chain(place).chain(copied)
            })
        };
        let luids: Vec<&str> = named()
            .filter_map(|key| match key {
                Key::Peer(luid) => Some(&**luid),
                Key::Own(_) => None,
            })
            .collect();
        for entry in tx.maps_by_luid(device, book, epoch, &luids)?.into_iter().flatten() {
            wanted.push(entry.guid);
            overlay.learn_entry(entry);
        }
        if let Some(old) = open.state.old_epoch {
            let unknown: Vec<&str> =
                luids.iter().copied().filter(|luid| !overlay.entries.contains_key(*luid)).collect();
            for entry in tx.maps_by_luid(device, book, old, &unknown)?.into_iter().flatten() {
                wanted.push(entry.guid);
                overlay.old_entries.insert(entry.luid.clone(), entry);
            }
        }
        overlay.learn_shown(tx, open, batch, when)?;
        let own: Vec<Guid> = named()
            .filter_map(|key| match key {
                Key::Own(guid) => Some(*guid),
                Key::Peer(_) => None,
            })
            .collect();
        for entry in tx.maps_by_guid(device, book, epoch, &own)?.into_iter().flatten() {
            overlay.learn_entry(entry);
        }
        overlay.learn_sent(tx, open, &own)?;
        wanted.extend(own);

        let unknown = || {
            batch.iter().filter(|received| match &received.key {
                Key::Peer(luid) => !overlay.entries.get(&**luid).is_some_and(|entry| entry.state != MapState::Gone),
                Key::Own(_) => false,
            })
        };
        let prints: Vec<[u8; 16]> = unknown().filter_map(|r| r.content.as_ref().map(|c| c.print)).collect();
        let retired = overlay.entries.values().filter(|entry| entry.state == MapState::Gone);
        let mut candidates: Vec<Guid> = overlay.old_entries.values().chain(retired).map(|entry| entry.guid).collect();
        // What was sent may have been deleted here since: it is looked for even where no live item could match.
        if open.role == Role::Server || open.compares() {
            for (print, row) in prints.iter().zip(tx.outgoing_by_view(device, book, &prints)?) {
                if let Some(row) = row {
                    candidates.push(row.guid);
                    overlay.pending.insert(*print, row);
                }
            }
        }
        if !nothing_to_match(open) {
            let strong = match when {
                When::Arriving => open.state.old_epoch.is_none() && open.writer.row().indexed,
                When::Settling { strong } => strong && open.writer.row().indexed,
            };
            let keys: Vec<u64> = if strong {
                let mut keys: Vec<u64> =
                    unknown().filter_map(|r| r.content.as_ref()).flat_map(|c| c.keys.iter().copied()).collect();
                keys.sort_unstable();
                keys.dedup();
                keys
            } else {
                Vec::new()
            };
            let by_print = tx.by_fingerprint(book, &prints, MAX_TWINS)?;
            let by_key = tx.by_match_key(book, &keys, MAX_CANDIDATES)?;
            candidates.extend(by_print.iter().chain(&by_key).flatten());
            overlay.by_print.extend(prints.into_iter().zip(by_print));
            overlay.by_key.extend(keys.into_iter().zip(by_key));
        }
        candidates.sort_unstable();
        candidates.dedup();
        for entry in tx.maps_by_guid(device, book, epoch, &candidates)?.into_iter().flatten() {
            overlay.taken.insert(entry.guid);
        }
        // A peer's ids may all be other items' by now, once it has forgotten what it was told: then a claim is good until all is
        // known, and no longer.
        let claims = match when {
            When::Arriving => true,
            When::Settling { strong } => !strong && !open.state.forgot,
        };
        if let Some(old) = open.state.old_epoch.filter(|_| claims) {
            for entry in tx.maps_by_guid(device, book, old, &candidates)?.into_iter().flatten() {
                overlay.claimed.insert(entry.guid, entry.luid);
            }
        }
        wanted.extend(candidates);

        wanted.sort_unstable();
        wanted.dedup();
        for item in tx.items(book, &wanted)?.into_iter().flatten() {
            overlay.items.insert(item.guid, item);
        }
        Ok(overlay)
    }

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

    /// What is staged under ids that are deleted although the map in force does not have them.
    fn learn_shown(
        &mut self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        batch: &[Received<'_>],
        when: When,
    ) -> Result<()> {
        if when != When::Arriving || open.role != Role::Server || !open.state.resuming || !open.compares() {
            return Ok(());
        }
        let deleted = batch.iter().filter_map(|received| match &received.key {
            Key::Peer(luid) if received.op == Incoming::Delete => Some(&**luid),
            _ => None,
        });
        let deleted: Vec<&str> = deleted.filter(|luid| !self.entries.contains_key(*luid)).collect();
        let staged = tx.staged_under(open.device, open.book(), open.state.epoch, &deleted)?;
        let changes = staged.into_iter().flatten().map(|row| row.change);
        self.shown.extend(changes.map(|change| (change.luid.into_owned(), change.content.into_owned())));
        Ok(())
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

/// Whether there is nothing here that an unknown item could be the same as. A client leaves matching to the server.
pub(super) const fn nothing_to_match(open: &OpenBook<'_, '_>) -> bool {
    (matches!(open.role, Role::Client) && !open.compares()) || open.state.alone
}
