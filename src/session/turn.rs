//! What one incoming message means, for both roles: its commands in their order, each with the statuses it earns.

use super::confirm::{Answer, confirm, find_answered};
use super::content::{Content, scoped, unpack};
use super::datastore::{self, same_place};
use super::devinf;
use super::guid;
use super::large::{self, LargeLimits, Taken};
use super::outbox::{Extra, Outbox, Queued};
use super::profile::Manners;
use super::receive::{Key, OpenBook, Outcome, Place, Quota, ROOT, Received, Verb, When, receive};
use super::send::{count, send};
use super::settle::settle;
use super::state::{Position, State, StoreState};
use crate::codec::{Limits, decode_devinf};
use crate::message::{
    Alert, AlertCode, Change, Command, ContainerKind, DevInf, Item, Location, Mem, Op, Status, StatusCode, Sync, Text,
    Timestamp, Version,
};
use crate::store::{
    BookNo, BookRow, BookWriter, DeviceNo, Guid, OutgoingRow, OutgoingState, PairRow, Phase, Result, SentRef,
    StoreError, Token, Tx,
};
use crate::sync::{DeletionGuard, Incoming, Role, SyncType};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// Statuses taken out of the queue at a time.
const QUEUE_PAGE: usize = 500;

/// One message's work: who it is with, and the books it holds.
pub(super) struct Turn {
    /// Which end this is.
    pub role: Role,
    /// The peer.
    pub device: DeviceNo,
    /// The session.
    pub token: Token,
    /// Now.
    pub now: Timestamp,
    /// What is taken of large objects.
    pub large: LargeLimits,
    /// When deletes are too many.
    pub guard: DeletionGuard,
    /// What a book may hold.
    pub quota: Quota,
    /// The books whose deleted items can be read again from their history.
    pub archives: Vec<BookNo>,
    /// What is done differently for the peer.
    pub manners: Manners,
    /// The locked books.
    pub rows: BTreeMap<BookNo, BookRow>,
    /// The peer's pairs with them.
    pub pairs: BTreeMap<BookNo, PairRow>,
}

impl Turn {
    /// Locks the session's books, in ascending order, and loads the peer's pairs with them.
    pub(super) fn lock(&mut self, tx: &mut dyn Tx, books: impl IntoIterator<Item = BookNo>) -> Result<()> {
        let mut books: Vec<BookNo> = books.into_iter().filter(|book| !self.rows.contains_key(book)).collect();
        books.sort_unstable();
        books.dedup();
        if books.is_empty() {
            return Ok(());
        }
        for row in tx.lock_books(&books)? {
            let pair = tx.pair(self.device, row.book)?.unwrap_or_else(|| PairRow::new(self.device, row.book));
            self.pairs.insert(row.book, pair);
            self.rows.insert(row.book, row);
        }
        Ok(())
    }

    /// Opens a locked book for writing.
    pub(super) fn open<'m, R>(
        &mut self,
        state: &mut StoreState,
        work: impl FnOnce(&mut OpenBook<'_, 'm>, &mut PairRow) -> Result<R>,
    ) -> Result<R> {
        let book = state.book;
        let missing = || StoreError::Corrupt(format!("book {book} is used without its lock"));
        let row = self.rows.get(&book).ok_or_else(missing)?.clone();
        let pair = self.pairs.get_mut(&book).ok_or_else(missing)?;
        let kind = datastore::by_number(book).map_or(crate::contact::identity::Kind::Other, |datastore| datastore.kind);
        // What a client receives was made by the server; what a server receives, by the device.
        state.alone &= state.seen_head == row.head;
        let writer = BookWriter::new(row, Some(self.device), self.now);
        if pair.phase == Phase::Idle {
            pair.phase = Phase::Receiving;
        }
        let (role, device, token, quota) = (self.role, self.device, self.token, self.quota);
        let treatment = self.manners.treatment(book);
        let (guard, holds) = (treatment.guard(self.guard), Vec::new());
        let mut open = OpenBook { role, device, token, kind, state, writer, quota, treatment, guard, holds };
        let result = work(&mut open, pair)?;
        open.holds.drain(..).for_each(|hold| pair.add_hold(hold));
        let row = open.writer.row().clone();
        open.state.seen_head = row.head;
        self.rows.insert(book, row);
        Ok(result)
    }

    /// Settles what an earlier session received and did not come to settle, by the map that it left. It was acknowledged;
    /// and only so it is known what the device had before this session tells what it has now. Returns what is left of the
    /// budget, or `None` when it ran out first.
    pub(super) fn settle_left_over(
        &mut self,
        tx: &mut dyn Tx,
        state: &mut StoreState,
        budget: usize,
    ) -> Result<Option<usize>> {
        if tx.staged(self.device, state.book, 0, 1)?.is_empty() {
            return Ok(Some(budget));
        }
        let guard = self.guard;
        let phase = self.pairs.get(&state.book).map(|pair| pair.phase);
        let left = self.open(state, |open, _| settle(tx, open, guard, budget))?;
        if let (Some(phase), Some(pair)) = (phase, self.pairs.get_mut(&state.book)) {
            pair.phase = phase;
        }
        Ok(left)
    }

    /// Takes the peer's answers to changes that we sent.
    pub(super) fn take_answers(&mut self, tx: &mut dyn Tx, state: &mut State, body: &[Command<'_>]) -> Result<()> {
        let mut answers: Vec<Answer> = body.iter().filter_map(change_answer).collect();
        // A Status said twice is one answer.
        let mut said = HashSet::new();
        answers.retain(|answer| said.insert(answer.sent_as));
        for store in &mut state.stores {
            let Some(large) = &mut store.large_out else { continue };
            let of_chunk = |answer: &Answer| (answer.sent_as.msg_id, answer.sent_as.cmd_id) == large.sent_as;
            match answers.iter().position(of_chunk).map(|at| (at, answers[at].code)) {
                Some((at, code)) if code.is_success() => {
                    answers.remove(at);
                    large.acknowledged = true;
                }
                // Anything else is the answer to the whole, which is not sent any further.
                Some(_) => store.large_out = None,
                None => {}
            }
        }
        if answers.is_empty() {
            return Ok(());
        }
        for (book, mut rows) in find_answered(tx, self.device, &self.token, &answers)? {
            if let Some(store) = state.stores.iter_mut().find(|store| store.book == book) {
                // A peer that refuses a Sync as such says nothing of its items: they are sent again another time.
                for (_, code) in rows.iter_mut().filter(|(_, code)| store.failed.is_some() && !code.is_success()) {
                    *code = StatusCode::COMMAND_FAILED;
                }
                self.open(store, |open, _| confirm(tx, open, rows))?;
            }
        }
        Ok(())
    }

    /// Takes a Sync's changes into one datastore; the statuses are those of the commands inside, in their order.
    pub(super) fn take_sync<'m>(
        &mut self,
        tx: &mut dyn Tx,
        store: &mut StoreState,
        sync: &Sync<'m>,
        msg_ref: &str,
    ) -> Result<Vec<Queued>> {
        if let Some(mem) = sync.meta.as_ref().and_then(|meta| meta.mem) {
            store.room = Some(mem.into());
        }
        let mut batch = Vec::new();
        let mut blobs = Vec::new();
        let mut asked = Vec::new();
        let mut ended = None;
        let mut kind = crate::contact::identity::Kind::Other;
        if let Some(datastore) = datastore::by_number(store.book) {
            kind = datastore.kind;
        }
        for command in flatten(&sync.commands) {
            let (command, refused) = command;
            let Command::Change(change) = command else {
                if let Some(cmd_id) = command.cmd_id().filter(|_| !command.no_resp()) {
                    let code = refused.unwrap_or(StatusCode::OK);
                    asked.push(Asked::Answered(Queued::new(msg_ref, cmd_id.as_str(), command.name(), code)));
                }
                continue;
            };
            if change.items.is_empty() {
                let code = StatusCode::INCOMPLETE_COMMAND;
                asked.push(Asked::of(Queued::new(msg_ref, change.cmd_id.as_str(), change.op.name(), code), change));
            }
            for item in &change.items {
                let queued = Queued::new(msg_ref, change.cmd_id.as_str(), change.op.name(), StatusCode::OK).about(item);
                let taken = match refused {
                    None => large::take(tx, self.device, store, &self.large, change, item, sync.meta.as_ref())?,
                    Some(code) => Taken::Refused(code),
                };
                let read = match taken {
                    Taken::Plain => self.read_item(kind, store, change, item, sync),
                    Taken::Whole(whole) => {
                        blobs.extend(whole.blob.map(|(blob, _)| blob.no));
                        let read = self.read_item(kind, store, change, &whole.item, sync).map(|received| Received {
                            content: received.content.map(|content| whole.complete(content)),
                            ..received
                        });
                        ended = Some((asked.len(), whole.ended));
                        read
                    }
                    Taken::Answered(code) => {
                        asked.push(Asked::of(Queued { code: code.0, ..queued }, change));
                        continue;
                    }
                    Taken::Refused(code) => Err(code),
                    Taken::Chunk => {
                        asked.push(Asked::of(Queued { code: StatusCode::CHUNK_ACCEPTED.0, ..queued }, change));
                        continue;
                    }
                };
                asked.push(match read {
                    Ok(received) => {
                        batch.push(received);
                        Asked::Waiting(queued, change)
                    }
                    Err(code) => {
                        store.received.refused += 1;
                        Asked::of(Queued { code: code.0, ..queued }, change)
                    }
                });
            }
        }
        let outcomes = self.open(store, |open, _| receive(tx, open, batch, When::Arriving))?;
        large::drop_unused(tx, &blobs)?;
        let stamp = self.rows.get(&store.book).map_or(0, |row| row.stamp);
        let mut outcomes = outcomes.into_iter();
        let mut statuses = Vec::with_capacity(asked.len());
        for (place, asked) in asked.into_iter().enumerate() {
            // An object's answer is kept until it is known to be heard; the next object's chunks take its place.
            let mut keep = |tx: &mut dyn Tx, code| match ended.take_if(|(of, _)| *of == place) {
                Some((_, ended)) if !store.large_in => ended.keep(tx, self.device, store.book, code),
                _ => Ok(()),
            };
            match asked {
                Asked::Answered(queued) => {
                    keep(tx, StatusCode(queued.code))?;
                    statuses.push(queued);
                }
                Asked::Silent => {}
                Asked::Waiting(queued, change) => {
                    let mut queued = queued;
                    let code = match outcomes.next() {
                        Some(Outcome::Done(code)) => code,
                        Some(Outcome::Merged(guid)) => {
                            // The server names what it merged (§6.1); the client's ids are its own affair.
                            if let (Role::Server, Some(luid)) = (self.role, queued.sources.first().cloned()) {
                                queued = queued.saying(Extra::Merged(guid::to_text(guid, stamp), luid));
                            }
                            StatusCode::CONFLICT_MERGED
                        }
                        Some(Outcome::Duplicated(guid)) => {
                            if let (Role::Server, Some(luid)) = (self.role, queued.sources.first().cloned()) {
                                queued = queued.saying(Extra::Merged(guid::to_text(guid, stamp), luid));
                            }
                            StatusCode::CONFLICT_DUPLICATED
                        }
                        Some(Outcome::Undecided) | None => StatusCode::COMMAND_FAILED,
                    };
                    if code == StatusCode::DEVICE_FULL {
                        let room = store.own_room.map_or(0, |room| room.items);
                        queued = queued.saying(Extra::Text(room.to_string()));
                    }
                    // Where history is not kept, the item is deleted all the same (§3.12).
                    let archived = self.archives.contains(&store.book);
                    let code = if change.archive && !archived && code == StatusCode::OK {
                        StatusCode::DELETED_WITHOUT_ARCHIVE
                    } else {
                        code
                    };
                    keep(tx, code)?;
                    if !change.no_resp {
                        statuses.push(Queued { code: code.0, ..queued });
                    }
                }
            }
        }
        // Some want none (§11.1).
        Ok(if self.manners.item_statuses == Some(false) { Vec::new() } else { statuses })
    }

    /// Reads one item of a change; the status that refuses it otherwise.
    fn read_item<'m>(
        &self,
        kind: crate::contact::identity::Kind,
        store: &StoreState,
        change: &Change<'m>,
        item: &Item<'m>,
        sync: &Sync<'m>,
    ) -> std::result::Result<Received<'m>, StatusCode> {
        let op = match change.op {
            Op::Add | Op::Copy => Incoming::Add,
            Op::Replace => Incoming::Replace,
            Op::Delete => Incoming::Delete,
            Op::Move if store.folders => Incoming::Replace,
            Op::Move => return Err(StatusCode::UNSUPPORTED_FEATURE),
        };
        let uri =
            |place: &Option<Location<'m>>| place.as_ref().map(|place| place.uri.clone()).filter(|u| !u.is_empty());
        let verb = match change.op {
            Op::Copy => Verb::Copy(uri(&item.source).map(|uri| self.named(uri)).ok_or(StatusCode::INCOMPLETE_COMMAND)?),
            Op::Move => Verb::Move,
            Op::Delete if change.soft_delete => Verb::SoftDelete,
            _ => Verb::Plain,
        };
        let key = match (self.role, op) {
            // The copy's own id; the item itself is named by Source (§2.2).
            _ if change.op == Op::Copy => Key::Peer(uri(&item.target).ok_or(StatusCode::INCOMPLETE_COMMAND)?),
            (Role::Server, _) => {
                Key::Peer(uri(&item.source).or_else(|| uri(&item.target)).ok_or(StatusCode::INCOMPLETE_COMMAND)?)
            }
            (Role::Client, Incoming::Add) => Key::Peer(uri(&item.source).ok_or(StatusCode::INCOMPLETE_COMMAND)?),
            (Role::Client, _) => {
                let luid = uri(&item.target).ok_or(StatusCode::INCOMPLETE_COMMAND)?;
                match (guid::parse_luid(&luid), op) {
                    (Some(guid), _) => Key::Own(guid),
                    (None, Incoming::Delete) => return Err(StatusCode::NOT_DELETED),
                    (None, _) => return Err(StatusCode::NOT_FOUND),
                }
            }
        };
        if op == Incoming::Delete {
            return Ok(Received { op, key, content: None, partial: false, place: None, verb });
        }
        let place = self.read_place(store, change.op, item);
        if verb != Verb::Plain {
            return match (&verb, &place) {
                // A Move says where to (§3.15).
                (Verb::Move, None) => Err(StatusCode::INCOMPLETE_COMMAND),
                _ => Ok(Received { op, key, content: None, partial: false, place, verb }),
            };
        }
        let meta = sync.meta.as_ref();
        let partial = scoped(item, change, meta, |meta| meta.field_level.then_some(())).is_some();
        match (partial, op) {
            // Row 42: only a Replace can be of single fields, and only of content that has fields here.
            (true, Incoming::Add) => return Err(StatusCode::BAD_REQUEST),
            (true, _) if kind != crate::contact::identity::Kind::Contact => {
                return Err(StatusCode::UNSUPPORTED_FEATURE);
            }
            _ => {}
        }
        let bytes = match &item.data {
            Some(crate::message::Data::Bytes(bytes)) => bytes,
            Some(_) => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            None => return Err(StatusCode::INCOMPLETE_COMMAND),
        };
        if bytes.len() as u64 > self.large.object_of(kind) {
            return Err(StatusCode::SIZE_TOO_BIG);
        }
        let format = scoped(item, change, meta, |meta| meta.format.as_deref());
        let bytes: Cow<'m, [u8]> = match unpack(format, bytes).ok_or(StatusCode::UNSUPPORTED_MEDIA_TYPE)? {
            Cow::Borrowed(_) => bytes.clone(),
            Cow::Owned(unpacked) => Cow::Owned(unpacked),
        };
        let media_type = scoped(item, change, meta, |meta| meta.media_type.as_deref())
            .filter(|_| kind != crate::contact::identity::Kind::Contact)
            .map(|media_type| Cow::Owned(media_type.to_owned()));
        Ok(Received { op, key, content: Some(Content::new(kind, media_type, bytes)), partial, place, verb })
    }

    /// An item that is there already, as a peer names it: a server may use our id or its own.
    fn named<'m>(&self, uri: Text<'m>) -> Key<'m> {
        match guid::parse_luid(&uri).filter(|_| self.role == Role::Client) {
            Some(guid) => Key::Own(guid),
            None => Key::Peer(uri),
        }
    }

    /// Where a peer says that an item is (§2.3). What a peer with folders adds without a word is in none; what it changes
    /// without a word stays where it is.
    fn read_place<'m>(&self, store: &StoreState, op: Op, item: &Item<'m>) -> Option<Place<'m>> {
        let said = |uri: &Option<Text<'m>>| uri.clone().filter(|uri| !uri.is_empty());
        if !store.folders {
            return None;
        }
        let (target, source) = (said(&item.target_parent), said(&item.source_parent));
        let place = match (self.role, target, source) {
            (_, None, None) if store.tree && op == Op::Add => Place::Root,
            (_, Some(uri), _) | (_, None, Some(uri)) if uri == ROOT => Place::Root,
            (Role::Server, target, source) => Place::In(Key::Peer(source.or(target)?)),
            (Role::Client, Some(luid), _) => Place::In(Key::Own(guid::parse_luid(&luid).unwrap_or(Guid(0)))),
            (Role::Client, None, Some(theirs)) => Place::In(Key::Peer(theirs)),
            (Role::Client, None, None) => return None,
        };
        Some(place)
    }

    /// Whether the books' folders can be spoken of, which takes 1.2 and a peer that has them (§3.15). `devinf` is what the
    /// peer said of itself.
    pub(super) fn learn_folders(&self, state: &mut State, devinf: Option<&[u8]>) {
        let has_folders = |store: &StoreState| datastore::by_number(store.book).is_some_and(|one| one.folders);
        if state.version != Version::V12 || !state.stores.iter().any(has_folders) {
            return;
        }
        let caps = devinf.and_then(|bytes| decode_devinf(bytes, &Limits::default()).ok());
        for store in state.stores.iter_mut().filter(|store| has_folders(store)) {
            let there = |caps: &DevInf<'_>| {
                datastore::by_number(store.book).is_some_and(|one| devinf::capability(caps, &store.there, one).folders)
            };
            store.folders = true;
            store.tree = caps.as_ref().is_some_and(there);
        }
    }

    /// Writes a Sync of one datastore with as many of our changes as fit; `true` when all of them are in. `caps` is what
    /// the peer said of itself, `max_obj` the largest object it takes.
    pub(super) fn write_sync(
        &mut self,
        tx: &mut dyn Tx,
        store: &mut StoreState,
        outbox: &mut Outbox,
        caps: Option<&DevInf<'_>>,
        max_obj: Option<u64>,
    ) -> Result<bool> {
        let mut wants_count = false;
        if let (Some(caps), Some(datastore)) = (caps, datastore::by_number(store.book)) {
            let caps = devinf::capability(caps, &store.there, datastore);
            store.media = caps.media;
            store.max_guid = caps.max_guid;
            wants_count = caps.number_of_changes;
        }
        let manners = &self.manners;
        if let (Some(media), Some(datastore)) = (&manners.media, datastore::by_number(store.book)) {
            let has = |wanted: &&(String, String)| datastore.types.iter().any(|(name, _)| *name == wanted.0);
            store.media = media.iter().find(has).cloned().or_else(|| store.media.take());
        }
        store.max_guid = manners.max_guid.or(store.max_guid);
        wants_count = manners.number_of_changes.unwrap_or(wants_count);
        store.max_obj = store.max_obj.or(max_obj);
        let takes_chunks = || {
            manners
                .large_objects
                .unwrap_or_else(|| store.max_obj.is_some() || caps.is_some_and(|caps| caps.large_objects))
        };
        store.chunks = outbox.version() != Version::V10 && takes_chunks();
        // Who does not send in this kind of sync sends an empty Sync (§10.2 row 35).
        let sends = store.sync.sends(self.role);
        let (there, here) = (store.there.clone(), store.here.clone());
        self.open(store, |open, pair| {
            let begins = wants_count && sends && open.state.position == Position::Start && !open.sifts();
            let changes = if begins { Some(count(tx, open, pair)?) } else { None };
            let mem = open.state.own_room.map(|room| Mem { shared: false, free_mem: room.bytes, free_id: room.items });
            let Some(cmd) = outbox.open_sync(&there, &here, changes, mem).map_err(broken)? else { return Ok(false) };
            let done = if sends { send(tx, open, pair, outbox)? } else { true };
            // One that goes on from an earlier message and holds nothing says nothing.
            if outbox.close_sync(open.state.sync_msg == 0) {
                if open.state.sync_msg != outbox.msg_id() {
                    open.state.sync_msg = outbox.msg_id();
                    open.state.sync_refs.clear();
                }
                open.state.sync_refs.push(cmd);
            }
            Ok(done)
        })
    }

    /// The session ends: what a peer that is careless about it did not answer, it has done (§11.1).
    pub(super) fn take_silence(&mut self, tx: &mut dyn Tx, stores: &mut [StoreState]) -> Result<()> {
        if self.manners.silence_is_success != Some(true) {
            return Ok(());
        }
        let (device, token) = (self.device, self.token);
        for store in stores.iter_mut().filter(|store| store.active() && store.awaiting > 0) {
            let mut after = Guid(0);
            loop {
                let rows = tx.outgoing_page(device, store.book, after, QUEUE_PAGE)?;
                let Some(last) = rows.last() else { break };
                after = last.guid;
                let unanswered = |row: &OutgoingRow| {
                    row.session.as_ref() == Some(&token)
                        && matches!(row.state, OutgoingState::Sent | OutgoingState::Resent)
                };
                let rows = rows.into_iter().filter(unanswered).map(|row| (row, StatusCode::OK)).collect();
                self.open(store, |open, _| confirm(tx, open, rows))?;
            }
        }
        Ok(())
    }

    /// The session ends: anchors of the datastores that ended cleanly move, in this transaction.
    pub(super) fn finish(&mut self, tx: &mut dyn Tx, stores: &mut [StoreState]) -> Result<()> {
        for store in stores {
            let Some(pair) = self.pairs.get_mut(&store.book) else { continue };
            store.finish(self.role, pair);
            if store.clean && store.old_epoch.is_some() {
                tx.drop_maps(self.device, store.book, pair.epoch)?;
            }
        }
        Ok(())
    }

    /// Writes the pairs back.
    pub(super) fn put_pairs(&self, tx: &mut dyn Tx) -> Result<()> {
        self.pairs.values().try_for_each(|pair| tx.put_pair(pair))
    }
}

enum Asked<'c, 'm> {
    /// Answered without asking the store.
    Answered(Queued),
    /// In the batch.
    Waiting(Queued, &'c Change<'m>),
    /// Answered, but nobody wants to hear.
    Silent,
}

impl Asked<'_, '_> {
    fn of(queued: Queued, change: &Change<'_>) -> Self {
        if change.no_resp { Self::Silent } else { Self::Answered(queued) }
    }
}

/// The commands of a Sync, those of a Sequence in its place; an Atomic is refused with all it holds (§6.3).
fn flatten<'c, 'm>(commands: &'c [Command<'m>]) -> Vec<(&'c Command<'m>, Option<StatusCode>)> {
    fn walk<'c, 'm>(
        commands: &'c [Command<'m>],
        refused: Option<StatusCode>,
        out: &mut Vec<(&'c Command<'m>, Option<StatusCode>)>,
    ) {
        for command in commands {
            match command {
                Command::Container(container) => {
                    let atomic = container.kind == ContainerKind::Atomic;
                    let refused = refused.or_else(|| atomic.then_some(StatusCode::UNSUPPORTED_FEATURE));
                    out.push((command, refused));
                    walk(&container.commands, refused, out);
                }
                Command::Change(_) => out.push((command, refused)),
                // Nothing else has a place in a Sync.
                _ => out.push((command, Some(StatusCode::NOT_IMPLEMENTED))),
            }
        }
    }
    let mut out = Vec::with_capacity(commands.len());
    walk(commands, None, &mut out);
    out
}

/// Puts the commands of a Sequence where it stands, behind itself: they are done in their order like any others (§6.3).
pub(super) fn unfold(body: Vec<Command<'_>>) -> Vec<Command<'_>> {
    if !body.iter().any(|command| matches!(command, Command::Container(_))) {
        return body;
    }
    let mut out = Vec::with_capacity(body.len());
    for command in body {
        match command {
            Command::Container(mut container) if container.kind == ContainerKind::Sequence => {
                let inside = std::mem::take(&mut container.commands);
                out.push(Command::Container(container));
                out.extend(unfold(inside));
            }
            command => out.push(command),
        }
    }
    out
}

/// The answer to a command that has no place in the body of a message, or that is not done here (§2.2); `None` for one
/// that is looked at elsewhere.
pub(super) fn out_of_place(role: Role, command: &Command<'_>) -> Option<StatusCode> {
    Some(match command {
        Command::Map(_) if role == Role::Client => StatusCode::NOT_ALLOWED,
        Command::Alert(_)
        | Command::Get(_)
        | Command::Map(_)
        | Command::Put(_)
        | Command::Results(_)
        | Command::Status(_)
        | Command::Sync(_) => return None,
        // A change outside of a Sync names no datastore.
        Command::Change(_) => StatusCode::NOT_ALLOWED,
        // It has been unfolded.
        Command::Container(container) if container.kind == ContainerKind::Sequence => StatusCode::OK,
        // All or nothing is not promised here, and so nothing of it is done (§6.3).
        Command::Container(_) => StatusCode::UNSUPPORTED_FEATURE,
        Command::Exec(_) | Command::Search(_) | Command::Unknown(_) => StatusCode::NOT_IMPLEMENTED,
    })
}

/// A Status that may answer a change of ours.
fn change_answer(command: &Command<'_>) -> Option<Answer> {
    let Command::Status(status) = command else { return None };
    match &*status.cmd {
        "Add" | "Replace" | "Delete" | "Copy" | "Move" => {
            Some(Answer { sent_as: sent_ref(status)?, code: status.code })
        }
        _ => None,
    }
}

/// Which command of ours a Status answers.
pub(super) fn sent_ref(status: &Status<'_>) -> Option<SentRef> {
    Some(SentRef { msg_id: status.msg_ref.trim().parse().ok()?, cmd_id: status.cmd_ref.as_str().trim().parse().ok()? })
}

/// The datastore of the session that a Sync or Map speaks of, by the peer's words for it.
pub(super) fn find_store(
    stores: &[StoreState],
    target: Option<&Location<'_>>,
    source: Option<&Location<'_>>,
) -> Option<usize> {
    let here = |store: &StoreState| target.is_some_and(|target| same_place(&target.uri, &store.here));
    let there = |store: &StoreState| source.is_some_and(|source| same_place(&source.uri, &store.there));
    stores
        .iter()
        .position(|store| here(store) && there(store))
        .or_else(|| stores.iter().position(here))
        .or_else(|| if target.is_none() { stores.iter().position(there) } else { None })
}

/// One Status for each command inside something that was refused.
pub(super) fn refuse_all(commands: &[Command<'_>], msg_ref: &str, code: StatusCode) -> Vec<Queued> {
    let mut out = Vec::new();
    for command in commands {
        if let Some(cmd_id) = command.cmd_id().filter(|_| !command.no_resp()) {
            out.push(Queued::new(msg_ref, cmd_id.as_str(), command.name(), code));
        }
        let inside = match command {
            Command::Container(container) => &container.commands,
            Command::Sync(sync) => &sync.commands,
            _ => continue,
        };
        out.extend(refuse_all(inside, msg_ref, code));
    }
    out
}

/// An earlier sync of everything broke off: what it bound is true, and what it did not reach is as before.
pub(super) fn fold_open_epoch(tx: &mut dyn Tx, pair: &mut PairRow) -> Result<()> {
    let full = SyncType::from_alert(AlertCode(pair.sync_type)).is_some_and(SyncType::is_full);
    if pair.phase != Phase::Idle && full {
        let new = pair.epoch + 1;
        tx.carry_maps(pair.device, pair.book, pair.epoch, new)?;
        tx.drop_maps(pair.device, pair.book, new)?;
        pair.epoch = new;
    }
    pair.phase = Phase::Idle;
    Ok(())
}

/// Writes the statuses left over from earlier messages, then those of this one.
pub(super) fn write_statuses(
    tx: &mut dyn Tx,
    token: &Token,
    outbox: &mut Outbox,
    statuses: impl IntoIterator<Item = Queued>,
) -> Result<()> {
    loop {
        let waiting = tx.queued_statuses(token, QUEUE_PAGE)?;
        let mut written = None;
        for (seq, bytes) in &waiting {
            if !outbox.waiting_status(&serde_json::from_slice(bytes).map_err(broken)?).map_err(broken)? {
                break;
            }
            written = Some(*seq);
        }
        if let Some(seq) = written {
            tx.drop_statuses(token, seq)?;
        }
        if waiting.is_empty() || outbox.overflows() {
            break;
        }
    }
    statuses.into_iter().try_for_each(|queued| outbox.status(queued).map_err(broken))
}

/// Tells the peer of objects that it began and did not end (223). The item is named as the peer knows it.
pub(super) fn write_broken(outbox: &mut Outbox, state: &mut State) -> Result<()> {
    for store in &mut state.stores {
        let Some(uri) = &store.broken else { continue };
        let item = Item { target: Some(Location::new(uri.clone())), ..Item::default() };
        let alert = |cmd_id| Alert {
            cmd_id,
            no_resp: false,
            cred: None,
            code: Some(AlertCode::NO_END_OF_DATA),
            correlator: None,
            items: vec![item],
        };
        if outbox.command(|cmd_id| Command::Alert(alert(cmd_id))).map_err(broken)?.is_some() {
            store.broken = None;
        }
    }
    Ok(())
}

/// Keeps the statuses that found no room for the next message; `true` when there are none.
pub(super) fn keep_overflow(tx: &mut dyn Tx, token: &Token, outbox: &mut Outbox) -> Result<bool> {
    let flushed = !outbox.overflows();
    let overflow = outbox.take_overflow();
    let bytes = overflow.iter().map(serde_json::to_vec).collect::<std::result::Result<Vec<_>, _>>().map_err(broken)?;
    if !bytes.is_empty() {
        tx.queue_statuses(token, &bytes)?;
    }
    Ok(flushed)
}

/// A reply that cannot be written is a fault of this engine; nothing of the message stays.
pub(super) fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("the message cannot be written: {error}"))
}
