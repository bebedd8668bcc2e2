//! The peer's changes: the commands of a Sync in their order, each with the status that it earns.

use super::Turn;
use crate::contact::identity::Kind;
use crate::message::{Change, Command, ContainerKind, Data, Item, Location, Meta, Op, StatusCode, Sync, Text};
use crate::session::content::{Content, scoped, unpack};
use crate::session::guid;
use crate::session::large::{self, BookRoom, Ended, LargeLimits, Taken};
use crate::session::outbox::{Extra, Queued};
use crate::session::receive::{Key, Outcome, Place, ROOT, Received, Verb, When, receive};
use crate::session::state::StoreState;
use crate::store::{BlobNo, Guid, Result, Tx};
use crate::sync::{Incoming, Role};
use std::borrow::Cow;
use std::rc::Rc;

impl Turn {
    /// Takes a Sync's changes into one datastore; the statuses are those of the commands inside, in their order.
    pub(in crate::session) fn take_sync<'m>(
        &mut self,
        tx: &mut dyn Tx,
        store: &mut StoreState,
        sync: &Sync<'m>,
        msg_ref: &str,
    ) -> Result<Vec<Queued>> {
        if let Some(mem) = sync.meta.as_ref().and_then(|meta| meta.mem) {
            store.room = Some(mem.into());
        }
        let live = self.rows.get(&store.book).map_or(0, |row| u64::try_from(row.live_bytes).unwrap_or(0));
        let said = store.own_room.map_or(u64::MAX, |room| room.bytes);
        let book = BookRoom { now: self.quota.bytes.saturating_sub(live).min(said), ever: self.quota.bytes };
        let limits = LargeLimits { book, ..self.large };
        let Gathered { asked, batch, blobs, mut ended } = self.gather(tx, store, &limits, sync, msg_ref)?;
        let outcomes = self.open(store, |open, _| receive(tx, open, batch, When::Arriving))?;
        large::drop_unused(tx, &blobs)?;
        let mut outcomes = outcomes.into_iter();
        let mut statuses = Vec::with_capacity(asked.len());
        for (place, asked) in asked.into_iter().enumerate() {
            let (status, wanted) = match asked {
                Asked::Answered(status) => (status, true),
                Asked::Waiting(queued, change) => {
                    (self.status_of(store, change, queued, outcomes.next()), !change.no_resp)
                }
                Asked::Silent => continue,
            };
            // An object's answer is kept until it is known to be heard; the next object's chunks take its place.
            if let Some((_, ended)) = ended.take_if(|(of, _)| *of == place)
                && !store.large_in
            {
                ended.keep(tx, self.device, store.book, StatusCode(status.code))?;
            }
            if wanted {
                statuses.push(status);
            }
        }
        // Some want none (§11.1), but for what was not done; and a sender of chunks waits for each of them (§3.8).
        if self.manners.item_statuses == Some(false) {
            statuses
                .retain(|status| !StatusCode(status.code).is_success() || status.code == StatusCode::CHUNK_ACCEPTED.0);
        }
        Ok(statuses)
    }

    /// Reads the changes of a Sync, as far as that takes nothing of the book.
    fn gather<'c, 'm>(
        &self,
        tx: &mut dyn Tx,
        store: &mut StoreState,
        limits: &LargeLimits,
        sync: &'c Sync<'m>,
        msg_ref: &str,
    ) -> Result<Gathered<'c, 'm>> {
        let Gathered { mut asked, mut batch, mut blobs, mut ended } = Gathered::default();
        let kind = store.book.kind();
        for Inside { command, refused, meta } in flatten(sync) {
            let meta = meta.as_deref();
            let Command::Change(change) = command else {
                if let Some(cmd_id) = command.cmd_id().filter(|_| !command.no_resp()) {
                    let code = refused.unwrap_or(StatusCode::OK);
                    asked.push(Asked::Answered(Queued::new(msg_ref, cmd_id.as_str(), command.name(), code)));
                }
                continue;
            };
            let queued = |code| Queued::new(msg_ref, change.cmd_id.as_str(), change.op.name(), code);
            if change.items.is_empty() {
                asked.push(Asked::of(queued(StatusCode::INCOMPLETE_COMMAND), change));
            }
            for item in &change.items {
                let answered = |code| Asked::of(queued(code).about(item), change);
                let taken = match refused {
                    None => large::take(tx, self.device, store, limits, change, item, meta)?,
                    Some(code) => Taken::Refused(code),
                };
                let read = match taken {
                    Taken::Plain => self.read_item(kind, store, change, item, meta),
                    Taken::Whole(whole) => {
                        blobs.extend(whole.blob.map(|(blob, _)| blob.no));
                        let read = self.read_item(kind, store, change, &whole.item, meta).map(|received| Received {
                            content: received.content.map(|content| whole.complete(content)),
                            ..received
                        });
                        ended = Some((asked.len(), whole.ended));
                        read
                    }
                    Taken::Answered(code) => {
                        asked.push(answered(code));
                        continue;
                    }
                    Taken::Chunk => {
                        asked.push(answered(StatusCode::CHUNK_ACCEPTED));
                        continue;
                    }
                    Taken::Refused(code) => Err(code),
                };
                asked.push(match read {
                    Ok(received) => {
                        batch.push(received);
                        Asked::Waiting(queued(StatusCode::OK).about(item), change)
                    }
                    Err(code) => {
                        store.received.refused += 1;
                        answered(code)
                    }
                });
            }
        }
        Ok(Gathered { asked, batch, blobs, ended })
    }

    /// The Status of a change, by what came of it.
    fn status_of(&self, store: &StoreState, change: &Change<'_>, queued: Queued, outcome: Option<Outcome>) -> Queued {
        let (code, twin) = match outcome {
            Some(Outcome::Done(code)) => (code, None),
            Some(Outcome::Merged(guid)) => (StatusCode::CONFLICT_MERGED, Some(guid)),
            Some(Outcome::Duplicated(guid)) => (StatusCode::CONFLICT_DUPLICATED, Some(guid)),
            Some(Outcome::Undecided) | None => (StatusCode::COMMAND_FAILED, None),
        };
        let mut queued = queued;
        // The server names what it merged (§6.1); the client's ids are its own affair.
        if let (Role::Server, Some(guid), Some(luid)) = (self.role, twin, queued.sources.first().cloned()) {
            let stamp = self.rows.get(&store.book).map_or(0, |row| row.stamp);
            queued = queued.saying(Extra::Merged(guid::to_text(guid, stamp), luid));
        }
        if code == StatusCode::DEVICE_FULL {
            let room = store.own_room.map_or(0, |room| room.items);
            queued = queued.saying(Extra::Text(room.to_string()));
        }
        // Where history is not kept, the item is deleted all the same (§3.12).
        let code = match code {
            StatusCode::OK if change.archive && !self.archives.contains(&store.book) => {
                StatusCode::DELETED_WITHOUT_ARCHIVE
            }
            code => code,
        };
        Queued { code: code.0, ..queued }
    }

    /// Reads one item of a change; the status that refuses it otherwise.
    fn read_item<'m>(
        &self,
        kind: Kind,
        store: &StoreState,
        change: &Change<'m>,
        item: &Item<'m>,
        meta: Option<&Meta<'_>>,
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
        let partial = scoped(item, change, meta, |meta| meta.field_level.then_some(())).is_some();
        match (partial, op) {
            // Row 42: only a Replace can be of single fields, and only of content that has fields here.
            (true, Incoming::Add) => return Err(StatusCode::BAD_REQUEST),
            (true, _) if kind != Kind::Contact => {
                return Err(StatusCode::UNSUPPORTED_FEATURE);
            }
            _ => {}
        }
        let bytes = match &item.data {
            Some(Data::Bytes(bytes)) => bytes,
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
            .filter(|_| kind != Kind::Contact)
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
}

/// What a Sync asks for.
#[derive(Default)]
struct Gathered<'c, 'm> {
    /// What each command and item is answered, in their order.
    asked: Vec<Asked<'c, 'm>>,
    /// What is done in the book: one for each that waits.
    batch: Vec<Received<'m>>,
    /// Where the contents of large objects are.
    blobs: Vec<BlobNo>,
    /// The last object that came in chunks, and its place among those asked.
    ended: Option<(usize, Ended)>,
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

/// A command inside a Sync.
struct Inside<'c, 'm> {
    command: &'c Command<'m>,
    /// The status that it gets, if it is not looked at.
    refused: Option<StatusCode>,
    /// What the Metas around it say (§2.1).
    meta: Option<Rc<Meta<'m>>>,
}

/// The commands of a Sync, those of a Sequence in its place; an Atomic is refused with all it holds (§6.3).
fn flatten<'c, 'm>(sync: &'c Sync<'m>) -> Vec<Inside<'c, 'm>> {
    fn walk<'c, 'm>(
        commands: &'c [Command<'m>],
        refused: Option<StatusCode>,
        meta: Option<&Rc<Meta<'m>>>,
        out: &mut Vec<Inside<'c, 'm>>,
    ) {
        for command in commands {
            let inside = |refused| Inside { command, refused, meta: meta.cloned() };
            match command {
                Command::Container(container) => {
                    let atomic = container.kind == ContainerKind::Atomic;
                    let refused = refused.or_else(|| atomic.then_some(StatusCode::UNSUPPORTED_FEATURE));
                    out.push(inside(refused));
                    let own = container.meta.clone().map(|own| match meta {
                        Some(outer) => Rc::new(own.within(outer)),
                        None => Rc::new(own),
                    });
                    walk(&container.commands, refused, own.as_ref().or(meta), out);
                }
                Command::Change(_) => out.push(inside(refused)),
                // Nothing else has a place in a Sync.
                _ => out.push(inside(Some(StatusCode::NOT_IMPLEMENTED))),
            }
        }
    }
    let mut out = Vec::with_capacity(sync.commands.len());
    walk(&sync.commands, None, sync.meta.clone().map(Rc::new).as_ref(), &mut out);
    out
}

/// Puts the commands of a Sequence where it stands, behind itself: they are done in their order like any others (§6.3).
/// Its Meta covers the Syncs in it (§2.1); for other commands it says nothing that counts here.
pub(in crate::session) fn unfold(body: Vec<Command<'_>>) -> Vec<Command<'_>> {
    if !body.iter().any(|command| matches!(command, Command::Container(_))) {
        return body;
    }
    let mut out = Vec::with_capacity(body.len());
    for command in body {
        match command {
            Command::Container(mut container) if container.kind == ContainerKind::Sequence => {
                let mut inside = std::mem::take(&mut container.commands);
                if let Some(outer) = &container.meta {
                    inside.iter_mut().for_each(|command| cover(command, outer));
                }
                out.push(Command::Container(container));
                out.extend(unfold(inside));
            }
            command => out.push(command),
        }
    }
    out
}

fn cover<'m>(command: &mut Command<'m>, outer: &Meta<'m>) {
    let meta = match command {
        Command::Sync(sync) => &mut sync.meta,
        Command::Container(container) => &mut container.meta,
        _ => return,
    };
    *meta = Some(meta.take().unwrap_or_default().within(outer));
}

/// The answer to a command that has no place in the body of a message, or that is not done here (§2.2); `None` for one
/// that is looked at elsewhere.
pub(in crate::session) fn out_of_place(role: Role, command: &Command<'_>) -> Option<StatusCode> {
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

/// One Status for each command inside something that was refused.
pub(in crate::session) fn refuse_all(commands: &[Command<'_>], msg_ref: &str, code: StatusCode) -> Vec<Queued> {
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
