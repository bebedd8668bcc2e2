//! What one incoming message means, for both roles: its commands in their order, each with the statuses it earns.

use super::confirm::{Answer, confirm, find_answered};
use super::content::{Content, scoped, unpack};
use super::datastore::{self, same_place};
use super::devinf;
use super::guid;
use super::large::{self, Taken};
use super::outbox::{Extra, Outbox, Queued};
use super::profile::Manners;
use super::receive::{Key, OpenBook, Outcome, Received, When, receive};
use super::send::{count, send};
use super::settle::settle;
use super::state::{Position, State, StoreState};
use crate::message::{
    Alert, AlertCode, Change, Command, DevInf, Item, Location, Op, Status, StatusCode, Sync, Timestamp, Version,
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
    /// The largest object taken, in bytes.
    pub max_obj_size: u64,
    /// When deletes are too many.
    pub guard: DeletionGuard,
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
        let mut open = OpenBook { role: self.role, device: self.device, token: self.token, kind, state, writer };
        let result = work(&mut open, pair)?;
        let row = open.writer.row().clone();
        open.state.seen_head = row.head;
        self.rows.insert(book, row);
        Ok(result)
    }

    /// Settles what an earlier session received and did not come to settle, by the map that it left. It was acknowledged;
    /// and only so it is known what the device had before this session tells what it has now.
    pub(super) fn settle_left_over(&mut self, tx: &mut dyn Tx, state: &mut StoreState) -> Result<()> {
        if !tx.staged(self.device, state.book, 0, 1)?.is_empty() {
            let guard = self.guard;
            self.open(state, |open, _| settle(tx, open, guard, usize::MAX))?;
        }
        Ok(())
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
        let mut batch = Vec::new();
        let mut asked = Vec::new();
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
                    None => large::take(tx, self.device, store, self.max_obj_size, change, item, sync.meta.as_ref())?,
                    Some(code) => Taken::Refused(code),
                };
                let read = match taken {
                    Taken::Plain => self.read_item(kind, change, item, sync),
                    Taken::Whole(item) => self.read_item(kind, change, &item, sync),
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
        let stamp = self.rows.get(&store.book).map_or(0, |row| row.stamp);
        let mut outcomes = outcomes.into_iter();
        let mut statuses = Vec::with_capacity(asked.len());
        for asked in asked {
            match asked {
                Asked::Answered(queued) => statuses.push(queued),
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
                        Some(Outcome::Undecided) | None => StatusCode::COMMAND_FAILED,
                    };
                    // Archiving is not done here; the delete is (§3.12).
                    let code = if change.archive && code == StatusCode::OK {
                        StatusCode::DELETED_WITHOUT_ARCHIVE
                    } else {
                        code
                    };
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
        change: &Change<'m>,
        item: &Item<'m>,
        sync: &Sync<'m>,
    ) -> std::result::Result<Received<'m>, StatusCode> {
        let op = match change.op {
            Op::Add => Incoming::Add,
            Op::Replace => Incoming::Replace,
            Op::Delete if change.soft_delete => return Err(StatusCode::UNSUPPORTED_FEATURE),
            Op::Delete => Incoming::Delete,
            Op::Copy | Op::Move => return Err(StatusCode::UNSUPPORTED_FEATURE),
        };
        let uri =
            |place: &Option<Location<'m>>| place.as_ref().map(|place| place.uri.clone()).filter(|u| !u.is_empty());
        let key = match (self.role, op) {
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
            return Ok(Received { op, key, content: None });
        }
        let meta = sync.meta.as_ref();
        if scoped(item, change, meta, |meta| meta.field_level.then_some(())).is_some() {
            return Err(StatusCode::UNSUPPORTED_FEATURE);
        }
        let bytes = match &item.data {
            Some(crate::message::Data::Bytes(bytes)) => bytes,
            Some(_) => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            None => return Err(StatusCode::INCOMPLETE_COMMAND),
        };
        if bytes.len() as u64 > self.max_obj_size {
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
        Ok(Received { op, key, content: Some(Content::new(kind, media_type, bytes)) })
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
            let begins = wants_count && sends && open.state.position == Position::Start;
            let changes = if begins { Some(count(tx, open, pair)?) } else { None };
            let Some(cmd) = outbox.open_sync(&there, &here, changes).map_err(broken)? else { return Ok(false) };
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
                    let atomic = container.kind == crate::message::ContainerKind::Atomic;
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
