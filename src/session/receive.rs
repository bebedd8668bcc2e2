//! The receiving half of a sync, for both roles: a batch of changes from the peer, decided in their order over an
//! overlay of the rows they touch, and applied in one go.
//!
//! In a sync of changes every change is decided at once, but for deletes, which wait for the whole set ([`super::settle`]).
//! In a sync of everything, an item is bound at once where there is no doubt; all others wait.

use super::content::{Content, likeness, merged};
use super::state::StoreState;
use crate::contact::identity::{Kind, Likeness, may_be_an_edit};
use crate::message::StatusCode;
use crate::store::{
    BookNo, BookWriter, DeviceNo, Draft, Guid, ItemRow, MapRow, MapState, NewStaged, OutgoingRow, Result, Revision,
    Token, Tx,
};
use crate::sync::{Action, Entry, Incoming, ItemNow, Policy, Role, Twin, decide_incoming};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Candidates looked at for one key.
pub(super) const MAX_CANDIDATES: usize = 32;

/// Items of equal meaning looked at: many cards may say just the same, and each has its partner.
const MAX_TWINS: usize = 256;

/// How the peer names an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key<'m> {
    /// By its own id: a client's LUID, or a server's GUID in an Add.
    Peer(Cow<'m, str>),
    /// By our id: a server's Replace or Delete names our LUID.
    Own(Guid),
}

/// One change as received.
#[derive(Clone, Debug)]
pub(super) struct Received<'m> {
    /// What the peer did.
    pub op: Incoming,
    /// To which item.
    pub key: Key<'m>,
    /// With which content; nothing for a delete.
    pub content: Option<Content<'m>>,
}

/// One book of one device, open for writing in this step.
pub(super) struct OpenBook<'s, 'm> {
    /// Which end this is.
    pub role: Role,
    /// The peer.
    pub device: DeviceNo,
    /// The session.
    pub token: Token,
    /// What its items are.
    pub kind: Kind,
    /// The datastore's state in the session.
    pub state: &'s mut StoreState,
    /// The book.
    pub writer: BookWriter<'m>,
}

impl OpenBook<'_, '_> {
    /// The book's number.
    pub(super) const fn book(&self) -> BookNo {
        self.state.book
    }

    /// Whether this book becomes what the peer's is.
    pub(super) const fn mirrors(&self) -> bool {
        self.state.mirrors(self.role)
    }

    /// Whether everything is received and compared.
    const fn compares(&self) -> bool {
        self.state.old_epoch.is_some() && self.state.compares(self.role)
    }
}

/// Whether a batch is decided as it comes, or after all came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// As it comes: what needs the whole set is staged.
    Arriving,
    /// All came: everything is decided now. With `strong`, pairs by name and number; without, by equal meaning only.
    Settling {
        /// Whether strong matches are wanted.
        strong: bool,
    },
}

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done; the answer.
    Done(StatusCode),
    /// Merged with what was here.
    Merged(Guid),
    /// Left for a later pass (only when settling without strong matches).
    Undecided,
}

/// Takes a batch of changes.
pub(super) fn receive<'m>(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, 'm>,
    batch: Vec<Received<'m>>,
    when: When,
) -> Result<Vec<Outcome>> {
    let mut overlay = Overlay::load(tx, open, &batch, when)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for received in batch {
        outcomes.push(overlay.decide(tx, open, received, when)?);
    }
    overlay.apply(tx, open, when)?;
    Ok(outcomes)
}

/// The key of a client's map entry for an item of its own, of which it never learns the server's GUID.
pub(super) fn own_entry(guid: Guid) -> String {
    format!("={guid}")
}

/// The rows that a batch touches, as they are after the changes decided so far.
struct Overlay<'m> {
    entries: HashMap<String, MapRow>,
    by_guid: HashMap<Guid, String>,
    old_entries: HashMap<String, MapRow>,
    items: HashMap<Guid, ItemRow<'m>>,
    by_print: HashMap<[u8; 16], Vec<Guid>>,
    by_key: HashMap<u64, Vec<Guid>>,
    pending: HashMap<[u8; 16], OutgoingRow>,
    /// Client: the agreement to assume on items without an entry.
    assumed: HashMap<Guid, (Revision, [u8; 16])>,
    /// What was sent and is not answered.
    sent: HashMap<Guid, (Revision, [u8; 16])>,
    /// In a sync of everything: by which id the peer had an item before, who has the first claim on it.
    claimed: HashMap<Guid, String>,
    /// Items that the peer maps, in the epoch in force.
    taken: HashSet<Guid>,
    // Writes, in their order.
    maps: Vec<MapRow>,
    staged: Vec<NewStaged<'m>>,
    sent_off: Vec<Guid>,
    owed: Vec<OutgoingRow>,
}

impl<'m> Overlay<'m> {
    fn load(tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, batch: &[Received<'m>], when: When) -> Result<Self> {
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
            taken: HashSet::new(),
            maps: Vec::new(),
            staged: Vec::new(),
            sent_off: Vec::new(),
            owed: Vec::new(),
        };
        let mut wanted: Vec<Guid> = Vec::new();

        let luids: Vec<&str> = batch
            .iter()
            .filter_map(|received| match &received.key {
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
        let own: Vec<Guid> = batch
            .iter()
            .filter_map(|received| match received.key {
                Key::Own(guid) => Some(guid),
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
        let mut candidates: Vec<Guid> = overlay.old_entries.values().map(|entry| entry.guid).collect();
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
        if let Some(old) = open.state.old_epoch.filter(|_| when != When::Settling { strong: true }) {
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

    fn decide(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        when: When,
    ) -> Result<Outcome> {
        let entry = match &received.key {
            Key::Peer(luid) => self.entries.get(&**luid),
            Key::Own(guid) => self.by_guid.get(guid).and_then(|luid| self.entries.get(luid)),
        };
        let entry = entry.filter(|entry| entry.state != MapState::Gone).cloned();
        let full = open.compares();
        match (received.op, entry) {
            // §3.4: a delete has no place in a slow sync; but a server may take back what it has just been told of.
            // And what was shown earlier in a sync that broke off may have been deleted since.
            (Incoming::Delete, None) if full && when == When::Arriving && open.role == Role::Server => {
                Ok(Outcome::Done(StatusCode::FORBIDDEN))
            }
            (Incoming::Delete, Some(entry)) => self.delete(open, received, entry, when),
            (Incoming::Delete, None) => Ok(Outcome::Done(
                decide_incoming(Incoming::Delete, Entry::Unknown { twin: Twin::None }, Policy::default()).status,
            )),
            // The id was used again before its delete was decided: the delete is obeyed first.
            (_, Some(entry)) if entry.state == MapState::Leaving => {
                self.carry_out_delete(open, &entry)?;
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
        if open.role == Role::Client && received.op == Incoming::Add {
            // The server adds again what is here already: it never got the Map.
            entry.state = MapState::Unconfirmed;
            self.learn_and_write(entry.clone());
        }
        if self.acknowledged(tx, open, &mut entry, &content)? {
            self.learn_and_write(entry.clone());
        }
        if open.mirrors() {
            let code = decide_incoming(received.op, Entry::Unknown { twin: Twin::Exact }, Policy::default()).status;
            self.mirror(open, Cow::Owned(entry.luid), entry.guid, content)?;
            return Ok(Outcome::Done(code));
        }
        let item = self.item(entry.guid)?;
        let echo = entry.view_fp == content.print;
        let now = item_now(&entry, item, Some(&content.print));
        let stranger = received.op == Incoming::Add
            && !echo
            && match now {
                ItemNow::Deleted => !self.may_be_edit_of(tx, open, &entry, &content)?,
                _ => !may_be_an_edit(open.kind, &item.content, &content.bytes),
            };
        let decision = decide_incoming(received.op, Entry::Known { item: now, echo, stranger }, Policy::default());
        let (item, guid) = (item.clone(), entry.guid);
        let luid = Cow::Owned(entry.luid.clone());
        match decision.action {
            Action::Keep => {}
            Action::Agree => {
                self.bind(open, luid, guid, item.revision, content.print);
            }
            Action::Update => {
                let added = u64::from(item.deleted);
                let new = self.replace(open, &item, content.clone());
                self.bind(open, luid, guid, new.revision, content.print);
                open.state.received.added += added;
                open.state.received.changed += 1 - added;
            }
            Action::Merge | Action::Overrule => {
                let told = self.replace(open, &item, content.clone());
                self.bind(open, luid, guid, told.revision, content.print);
                let result = if decision.action == Action::Merge {
                    let base = tx.revisions(open.book(), &[(guid, entry.agreed_revision)])?.pop().flatten();
                    merged(open.kind, base.as_ref().map(|base| &*base.content), &item.content, &content.bytes)
                } else {
                    Some(item.content.to_vec())
                };
                self.rewrite(open, &told, result);
                open.state.received.conflicts += 1;
                if decision.action == Action::Merge {
                    return Ok(Outcome::Merged(guid));
                }
            }
            Action::CreateAnew => {
                self.retire(&entry);
                // The id is somebody else's now; who had it before is still here and must be sent again.
                if !item.deleted {
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
        let luid = match received.key {
            Key::Peer(luid) => luid,
            // Our own id without an entry: our Add was stored there, but its Status was lost. The peer is right.
            Key::Own(guid) => match self.items.get(&guid).filter(|item| !item.deleted) {
                None => return Ok(Outcome::Done(StatusCode::NOT_FOUND)),
                Some(_) => {
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
                    return self.known(tx, open, Received { key: Key::Own(guid), ..received }, entry);
                }
            },
        };
        let Some(content) = received.content else { return Ok(Outcome::Done(StatusCode::INCOMPLETE_COMMAND)) };
        let status = |twin| decide_incoming(received.op, Entry::Unknown { twin }, Policy::default()).status;

        // First the old map, also against tombstones: same id and same view is the same contact.
        if let Some(old) = self.old_entries.get(&*luid).filter(|old| old.state == MapState::Live).cloned()
            && !self.taken.contains(&old.guid)
        {
            let mut old = old;
            self.acknowledged(tx, open, &mut old, &content)?;
            if open.mirrors() && (old.view_fp == content.print || when != When::Arriving) {
                if old.view_fp == content.print || self.may_be_edit_of(tx, open, &old, &content)? {
                    open.state.received.matched += 1;
                    self.mirror(open, luid, old.guid, content)?;
                    return Ok(Outcome::Done(status(Twin::Exact)));
                }
            } else if old.view_fp == content.print {
                open.state.received.matched += 1;
                self.bind(open, luid, old.guid, old.agreed_revision, old.view_fp);
                return Ok(Outcome::Done(status(Twin::Exact)));
            }
            // Same id, edited since: the same contact if the card agrees at all; else the id was used again. Before any
            // strong match, so that a twin does not take the item from under its own id.
            if !open.mirrors()
                && (when != When::Arriving || open.role == Role::Client)
                && self.edited_since(tx, open, &luid, &old, &content)?
            {
                return Ok(Outcome::Done(status(Twin::Strong)));
            }
        }
        // An id of the old map with another card has the first claim on its own item, when all is known.
        let claims = when == When::Arriving && full && self.claims(&luid);
        // Then what was sent to this peer and may have been stored there without our knowing.
        if let Some(row) = self.pending_twin(open, &content).filter(|_| !claims).cloned() {
            open.state.received.matched += 1;
            if open.mirrors() {
                self.sent_off.push(row.guid);
                self.mirror(open, luid, row.guid, content)?;
                return Ok(Outcome::Done(status(Twin::Exact)));
            }
            // What became of it here since must still be told.
            match self.items.get(&row.guid).filter(|item| item.revision > row.sent_revision) {
                Some(item) => self.owed.push(OutgoingRow::unsent(item)),
                None => self.sent_off.push(row.guid),
            }
            self.bind(open, luid, row.guid, row.sent_revision, row.sent_view_fp);
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if !claims && nothing_to_match(open) {
            open.state.received.added += 1;
            self.create(open, luid, content);
            return Ok(Outcome::Done(status(Twin::None)));
        }
        if !claims && let Some(guid) = self.exact_twin(&luid, &content) {
            let revision = self.item(guid)?.revision;
            open.state.received.matched += 1;
            self.bind(open, luid, guid, revision, content.print);
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if full && when == When::Arriving {
            self.stage(open, received.op, luid, Some(content));
            return Ok(Outcome::Done(status(Twin::Exact)));
        }
        if when == (When::Settling { strong: false }) {
            return Ok(Outcome::Undecided);
        }
        if let Some(guid) = self.strong_twin(open.kind, &content)? {
            let item = self.item(guid)?.clone();
            let told = self.replace(open, &item, content.clone());
            self.bind(open, luid, guid, told.revision, content.print);
            if !open.mirrors() {
                let result = merged(open.kind, None, &item.content, &content.bytes);
                self.rewrite(open, &told, result);
            }
            open.state.received.matched += 1;
            return Ok(Outcome::Done(status(Twin::Strong)));
        }
        open.state.received.added += 1;
        self.create(open, luid, content);
        Ok(Outcome::Done(status(Twin::None)))
    }

    /// Binds an id of the old map whose card was edited while anchors were lost; `false` if it is somebody else now.
    fn edited_since(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        luid: &str,
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
        let changed = item.revision > old.agreed_revision && !item.deleted;
        let told = self.replace(open, &item, content.clone());
        self.bind(open, Cow::Owned(luid.to_owned()), old.guid, told.revision, content.print);
        if changed {
            let result = merged(open.kind, Some(&base.content), &item.content, &content.bytes);
            self.rewrite(open, &told, result);
            open.state.received.conflicts += 1;
        } else {
            open.state.received.changed += 1;
        }
        Ok(true)
    }

    /// Whether a card can be an edit of what the old map has under its id.
    fn may_be_edit_of(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        old: &MapRow,
        content: &Content<'_>,
    ) -> Result<bool> {
        let base = tx.revisions(open.book(), &[(old.guid, old.agreed_revision)])?.pop().flatten();
        Ok(base.is_some_and(|base| may_be_an_edit(open.kind, &base.content, &content.bytes)))
    }

    /// In a refresh: an item here becomes what the peer shows, whatever it was.
    fn mirror(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        content: Content<'m>,
    ) -> Result<()> {
        let item = self.item(guid)?.clone();
        let print = content.print;
        let revision = if item.deleted || item.fingerprint != print {
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
        self.bind(open, luid, guid, revision, print);
        Ok(())
    }

    fn delete(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        received: Received<'m>,
        entry: MapRow,
        when: When,
    ) -> Result<Outcome> {
        // Deletes wait for the whole set on the server, which guards against storms of them; a client obeys.
        if when == When::Arriving && open.role == Role::Server {
            let luid = Cow::Owned(entry.luid.clone());
            if entry.state == MapState::Held {
                return Ok(Outcome::Done(StatusCode::OK));
            }
            if entry.state != MapState::Leaving {
                self.learn_and_write(MapRow { state: MapState::Leaving, ..entry });
            }
            self.stage(open, received.op, luid, None);
            return Ok(Outcome::Done(StatusCode::OK));
        }
        // A staged delete whose id has been used again since was obeyed then.
        if when != When::Arriving && entry.state != MapState::Leaving {
            return Ok(Outcome::Done(StatusCode::OK));
        }
        if open.state.held > 0 {
            self.learn_and_write(MapRow { state: MapState::Held, ..entry });
            return Ok(Outcome::Done(StatusCode::OK));
        }
        self.carry_out_delete(open, &entry).map(Outcome::Done)
    }

    fn carry_out_delete(&mut self, open: &mut OpenBook<'_, 'm>, entry: &MapRow) -> Result<StatusCode> {
        let item = self.item(entry.guid)?.clone();
        let known = Entry::Known { item: item_now(entry, &item, None), echo: false, stranger: false };
        let decision = decide_incoming(Incoming::Delete, known, Policy::default());
        match decision.action {
            Action::Remove => {
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

    // Writes: into the overlay, and onto the list of what to apply.

    fn create(&mut self, open: &mut OpenBook<'_, 'm>, luid: Cow<'m, str>, content: Content<'m>) {
        let print = content.print;
        let item = open.writer.add(content.into_draft());
        let (guid, revision) = (item.guid, item.revision);
        self.items.insert(guid, item);
        self.bind(open, luid, guid, revision, print);
    }

    fn replace(&mut self, open: &mut OpenBook<'_, 'm>, old: &ItemRow<'m>, content: Content<'m>) -> ItemRow<'m> {
        let draft = Draft { parent: old.parent, depth: old.depth, ..content.into_draft() };
        let new = open.writer.replace(old, draft);
        self.items.insert(new.guid, new.clone());
        new
    }

    /// Writes a merge over what the peer told, unless they mean the same.
    fn rewrite(&mut self, open: &mut OpenBook<'_, 'm>, told: &ItemRow<'m>, result: Option<Vec<u8>>) {
        let Some(result) = result else { return };
        let result = Content::new(open.kind, told.media_type.clone(), Cow::Owned(result));
        if result.print != told.fingerprint {
            self.replace(open, told, result);
        }
    }

    fn bind(&mut self, open: &OpenBook<'_, 'm>, luid: Cow<'m, str>, guid: Guid, agreed: Revision, view: [u8; 16]) {
        // A server's item that a client has stored is unconfirmed until the Map has its Status.
        let fresh = !self.by_guid.contains_key(&guid);
        let state = match open.role {
            Role::Client if fresh => MapState::Unconfirmed,
            Role::Client => {
                self.by_guid.get(&guid).and_then(|luid| self.entries.get(luid)).map_or(MapState::Live, |e| e.state)
            }
            Role::Server => MapState::Live,
        };
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
            lens: None,
            view_fp: view,
            state,
        });
    }

    fn retire(&mut self, entry: &MapRow) {
        self.by_guid.remove(&entry.guid);
        self.taken.remove(&entry.guid);
        let gone = MapRow { state: MapState::Gone, ..entry.clone() };
        self.maps.push(gone.clone());
        self.entries.insert(gone.luid.clone(), gone);
    }

    fn stage(&mut self, open: &OpenBook<'_, 'm>, op: Incoming, luid: Cow<'m, str>, content: Option<Content<'m>>) {
        let op = match op {
            Incoming::Add => crate::message::Op::Add,
            Incoming::Replace => crate::message::Op::Replace,
            Incoming::Delete => crate::message::Op::Delete,
        };
        let (media_type, bytes, print, keys) = match content {
            Some(content) => (content.media_type, content.bytes, content.print, content.keys),
            None => (None, Cow::Borrowed(&[][..]), [0; 16], Vec::new()),
        };
        self.staged.push(NewStaged {
            epoch: open.state.epoch,
            luid,
            op,
            media_type,
            content: bytes,
            view_fp: print,
            keys: Cow::Owned(keys),
        });
    }

    fn learn_and_write(&mut self, entry: MapRow) {
        self.maps.push(entry.clone());
        self.learn_entry(entry);
    }

    fn learn_entry(&mut self, entry: MapRow) {
        if entry.state != MapState::Gone {
            self.taken.insert(entry.guid);
            self.by_guid.insert(entry.guid, entry.luid.clone());
        }
        self.entries.insert(entry.luid.clone(), entry);
    }

    /// What the peer was sent without having answered yet, and, of items that it names by our id although the map in force
    /// has them not, what was agreed in the epoch before.
    fn learn_sent(&mut self, tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, own: &[Guid]) -> Result<()> {
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
    fn acknowledged(
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
        }
        Ok(was.is_some())
    }

    /// The latest revision since the agreement whose content means the same.
    fn revision_like(
        &self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        entry: &MapRow,
        content: &Content<'_>,
    ) -> Result<Option<Revision>> {
        let history = tx.history(open.book(), entry.guid, MAX_CANDIDATES)?;
        let since = history.into_iter().filter(|row| row.revision > entry.agreed_revision && !row.deleted);
        let print = |bytes: &[u8]| Content::new(open.kind, None, Cow::Borrowed(bytes)).print;
        Ok(since.filter(|row| print(&row.content) == content.print).map(|row| row.revision).next())
    }

    // Reads.

    fn item(&self, guid: Guid) -> Result<&ItemRow<'m>> {
        self.items.get(&guid).ok_or_else(|| {
            crate::store::StoreError::Corrupt(format!("a map entry names item {guid}, which is not there"))
        })
    }

    fn claims(&self, luid: &str) -> bool {
        self.old_entries.get(luid).is_some_and(|old| old.state == MapState::Live && !self.taken.contains(&old.guid))
    }

    /// What was sent with just this content. When that was deleted here since, only in a sync of everything: a device that
    /// adds it otherwise has made it itself.
    fn pending_twin(&self, open: &OpenBook<'_, '_>, content: &Content<'_>) -> Option<&OutgoingRow> {
        let row = self.pending.get(&content.print).filter(|row| !self.taken.contains(&row.guid))?;
        let live = self.items.get(&row.guid).is_some_and(|item| !item.deleted);
        (live || open.state.old_epoch.is_some()).then_some(row)
    }

    fn exact_twin(&self, luid: &str, content: &Content<'_>) -> Option<Guid> {
        self.by_print.get(&content.print)?.iter().copied().find(|guid| {
            !self.taken.contains(guid)
                && self.claimed.get(guid).is_none_or(|by| by == luid)
                && self.items.get(guid).is_some_and(|item| !item.deleted && item.fingerprint == content.print)
        })
    }

    fn strong_twin(&self, kind: Kind, content: &Content<'_>) -> Result<Option<Guid>> {
        let mut seen = HashSet::new();
        for guid in content.keys.iter().filter_map(|key| self.by_key.get(key)).flatten() {
            if self.taken.contains(guid) || !seen.insert(*guid) {
                continue;
            }
            let Some(item) = self.items.get(guid).filter(|item| !item.deleted) else { continue };
            if matches!(likeness(kind, &item.content, &content.bytes), Likeness::Equal | Likeness::Strong) {
                return Ok(Some(*guid));
            }
        }
        Ok(None)
    }

    fn apply(self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, when: When) -> Result<()> {
        let (device, book) = (open.device, open.book());
        open.writer.flush(tx)?;
        if !self.maps.is_empty() {
            tx.put_maps(device, book, &self.maps)?;
        }
        // The peer's latest word on an id counts: what it said before is not settled any more.
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
        Ok(())
    }
}

/// What became of an item since it was agreed.
fn item_now(entry: &MapRow, item: &ItemRow<'_>, incoming: Option<&[u8; 16]>) -> ItemNow {
    if item.deleted {
        ItemNow::Deleted
    } else if item.revision <= entry.agreed_revision {
        ItemNow::AsAgreed
    } else if incoming == Some(&item.fingerprint) {
        ItemNow::ChangedAlike
    } else if item.fingerprint == entry.view_fp {
        // Changed and changed back, or rewritten without a change of meaning.
        ItemNow::AsAgreed
    } else {
        ItemNow::Changed
    }
}

/// Whether there is nothing here that an unknown item could be the same as. A client leaves matching to the server.
const fn nothing_to_match(open: &OpenBook<'_, '_>) -> bool {
    (matches!(open.role, Role::Client) && !open.compares()) || open.state.alone
}
