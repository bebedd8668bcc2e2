//! One answer of the server, inside its transaction: what it said to rows, then the next request.

use super::book::book_cred;
use super::{Called, ClientBook, ClientConfig};
use crate::codec::{Encoding, Limits, decode_devinf, encode_devinf};
use crate::message::{
    Alert, AlertCode, Chal, Command, Cred, Data, Filter, Get, Header, Item, Location, Map, MapItem, Message, Meta,
    MsgId, Put, SessionId, Status, StatusCode, Timestamp, Version,
};
use crate::session::datastore;
use crate::session::devinf;
use crate::session::guarded::weigh_slow_sync;
use crate::session::large::{give_up, resume};
use crate::session::outbox::{Extra, Outbox, Queued, is_idle};
use crate::session::settle::settle;
use crate::session::state::{Package, State, StoreState};
use crate::session::turn::{
    Turn, broken, find_store, fold_open_epoch, keep_overflow, out_of_place, refuse_all, sent_ref, write_broken,
    write_statuses,
};
use crate::store::{BookNo, DeviceRow, Guid, HoldReason, MapRow, MapState, PairRow, Phase, Result, Tx};
use crate::sync::filter::GRAMMAR;
use crate::sync::{OnAlert, Role, SyncType, next_anchor, status_policy};

/// Map entries sent in one message.
const MAP_PAGE: usize = 200;

/// Exchanges in which neither side says anything before the session is given up (loop guard, §3.7): a server that settles
/// a large book has nothing to say for a while.
const MAX_IDLE: u32 = 200;

/// Messages of one session at most (§9.4); the rest is done in the next one.
const MAX_MESSAGES: u32 = 2_000_000;

/// What a step of the client works with.
pub(super) struct Step<'s> {
    pub config: &'s ClientConfig,
    pub now: Timestamp,
    pub turn: Turn,
    pub state: State,
    pub device: DeviceRow,
    /// The session's id.
    pub session_id: String,
    /// The MsgID of the request to be written.
    pub msg_id: u32,
    /// Whether to break the session off with it.
    pub suspend: bool,
    /// What called for this session.
    pub called: Option<&'s Called>,
    /// The credential to put into it.
    pub credential: Option<Cred<'static>>,
    /// The Status of the server's header, and the challenge in it.
    pub word: (StatusCode, Option<Chal<'static>>),
}

/// A request written; `None` when there is nothing left to say.
pub(super) type Request = Option<Vec<u8>>;

impl Step<'_> {
    /// Chooses how each book is synced, from its anchors and what was asked for.
    pub(super) fn open_books(&mut self, tx: &mut dyn Tx) -> Result<()> {
        self.turn.lock(tx, self.config.books.iter().map(|book| book.book))?;
        for book in &self.config.books {
            let (head, live) =
                self.turn.rows.get(&book.book).map_or_else(Default::default, |row| (row.head, row.live_items));
            let Some(pair) = self.turn.pairs.get_mut(&book.book) else { continue };
            let asked = SyncType::from_alert(book.mode).unwrap_or(SyncType::TwoWay);
            // A slow sync that broke off goes on where it was; any other costs nothing to begin anew.
            let slow = pair.phase != Phase::Idle && pair.sync_type == AlertCode::SLOW.0;
            let resuming = slow && asked.full() == SyncType::Slow && self.state.version == Version::V12;
            if !resuming {
                fold_open_epoch(tx, pair)?;
            }
            // Without an anchor there is nothing to count changes from: the first sync compares everything. A one-way sync
            // is left to the server to escalate: asking for a refresh would ask for deletes.
            let first = pair.own_next.is_none() && asked == SyncType::TwoWay;
            let sync = if first || resuming { SyncType::Slow } else { asked };
            let mut store = StoreState::new(book.book, sync, pair.epoch);
            store.asked = asked;
            store.resuming = resuming;
            match resuming {
                true => resume(tx, self.turn.device, &mut store)?,
                false => give_up(tx, self.turn.device, &mut store)?,
            }
            store.first = pair.own_next.is_none();
            store.start_head = head;
            store.start_live = live;
            store.here.clone_from(&book.local_uri);
            store.there.clone_from(&book.remote_uri);
            if let Some(wanted) = &book.filter {
                store.filter = wanted.for_book(book.book, self.state.version).ok().flatten();
                // Before 1.2 the address says it (TAF).
                if let Some(record) = wanted.record.as_deref().filter(|_| self.state.version != Version::V12) {
                    store.there = format!("{}?{record}", store.there);
                }
            }
            store.reason = (sync != asked).then(|| "this book never synced with this server".to_owned());
            store.own_last.clone_from(&pair.own_next);
            store.own_next = next_anchor(self.now, store.own_last.as_deref());
            pair.sync_type = sync.alert().0;
            pair.start_head = head;
            self.state.stores.push(store);
        }
        Ok(())
    }

    /// Package 1: alerts and device information. Also repeated, whole, when the server asks for a credential.
    pub(super) fn initialise(&mut self, tx: &mut dyn Tx, challenge: Option<&Message<'_>>) -> Result<Vec<u8>> {
        let header = self.header();
        let mut outbox = self.outbox(&header)?;
        match challenge {
            Some(challenge) => self.write_header_status(&mut outbox, challenge)?,
            // Once only: the challenge may have the number of package 0.
            None => self.answer_call(&mut outbox)?,
        }
        let first_sync = self.state.stores.iter().any(|store| store.own_last.is_none());
        let version = self.state.version;
        let media_type = devinf::media_type(self.config.encoding);
        if first_sync {
            let named: Vec<_> = self
                .state
                .stores
                .iter()
                .filter_map(|store| Some((store.here.clone(), datastore::by_number(store.book)?)))
                .collect();
            let own = devinf::own(version, &self.config.device_id, Role::Client, true, false, &named);
            let item = Item {
                source: Some(Location::new(version.devinf_uri())),
                data: Some(Data::DevInf(Box::new(own))),
                ..Item::default()
            };
            outbox
                .command(|cmd_id| {
                    Command::Put(Put {
                        cmd_id,
                        no_resp: false,
                        lang: None,
                        cred: None,
                        meta: Some(Meta::of_type(media_type)),
                        items: vec![item],
                    })
                })
                .map_err(broken)?;
        }
        if self.device.devinf.is_none() {
            let item = Item { target: Some(Location::new(version.devinf_uri())), ..Item::default() };
            outbox
                .command(|cmd_id| {
                    Command::Get(Get {
                        cmd_id,
                        no_resp: false,
                        lang: None,
                        cred: None,
                        meta: Some(Meta::of_type(media_type)),
                        items: vec![item],
                    })
                })
                .map_err(broken)?;
        }
        self.write_alerts(&mut outbox, None)?;
        self.turn.put_pairs(tx)?;
        Ok(outbox.finish(true))
    }

    /// Our Alerts: of all books, or of some.
    fn write_alerts(&mut self, outbox: &mut Outbox, only: Option<&[BookNo]>) -> Result<()> {
        let wanted = |store: &&mut StoreState| only.is_none_or(|only| only.contains(&store.book));
        for store in self.state.stores.iter_mut().filter(wanted) {
            let cred = book_cred(self.config, store.book, self.state.version, &self.state.trust.books);
            let anchor = outbox.anchor(store.own_last.as_deref(), &store.own_next);
            let object = self.turn.large.object_of(store.book.kind());
            let max_obj_size = Some(self.turn.manners.announced(object));
            let meta = Meta { anchor: Some(anchor), max_obj_size, ..Meta::default() };
            let item = Item {
                target: Some(Location::new(store.there.clone())),
                source: Some(Location::new(store.here.clone())),
                meta: Some(meta),
                filter: self.config.books.iter().find(|book| book.book == store.book).and_then(filter_of),
                ..Item::default()
            };
            let code = if store.resuming { AlertCode::RESUME } else { store.sync.alert() };
            let cmd = outbox.command(|cmd_id| alert(cmd_id, code, cred, item)).map_err(broken)?;
            store.alert_ref = cmd.map(|cmd| (self.msg_id, cmd));
        }
        Ok(())
    }

    /// Takes an answer and writes the next request.
    pub(super) fn run(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<Request> {
        if let Some(meta) = &message.header.meta {
            self.state.max_msg_size = meta.max_msg_size.or(self.state.max_msg_size);
            self.state.max_obj_size = meta.max_obj_size.or(self.state.max_obj_size);
        }
        if let Some(uri) = &message.header.resp_uri {
            self.state.resp_uri = Some(uri.clone().into_owned());
        }
        self.turn.lock(tx, self.state.stores.iter().map(|store| store.book))?;
        let mut statuses = self.take_devinf(message);
        statuses.extend(self.take_alerts(tx, message)?);
        self.turn.learn_folders(&mut self.state, self.device.devinf.as_deref());
        self.take_own_statuses(tx, message)?;
        self.turn.take_answers(tx, &mut self.state, &message.body)?;
        statuses.extend(self.take_syncs(tx, message)?);
        self.advance(message);
        self.settle(tx)?;
        self.request(tx, message, statuses)
    }

    /// Finds the profile rules about the server, by its address and what it said of itself, now or in an earlier session.
    pub(super) fn choose_manners(&mut self) {
        let bytes = self.device.devinf.as_deref();
        let devinf = bytes.and_then(|bytes| decode_devinf(bytes, &Limits::default()).ok());
        self.state.rules = self.config.profiles.about(&self.config.server_uri, devinf.as_ref());
        self.turn.manners = self.config.profiles.manners(&self.state.rules);
    }

    fn take_devinf(&mut self, message: &Message<'_>) -> Vec<Queued> {
        let mut statuses = Vec::new();
        for command in &message.body {
            let items = match command {
                Command::Put(put) => &put.items,
                Command::Results(results) => &results.items,
                _ => continue,
            };
            for item in items {
                if let Some(Data::DevInf(devinf)) = &item.data {
                    self.device.devinf = encode_devinf(devinf, self.state.version, Encoding::Xml).ok();
                    self.choose_manners();
                }
                statuses.push(queued(message, command, StatusCode::OK).about(item));
            }
        }
        statuses
    }

    /// The server's alerts say which sync is held; a kind that we do not hold ends the book's sync.
    fn take_alerts(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<Vec<Queued>> {
        let mut statuses = Vec::new();
        for command in &message.body {
            let Command::Alert(alert) = command else { continue };
            let item = alert.items.first();
            let sync = alert.code.and_then(SyncType::from_alert);
            let (Some(sync), Some(item)) = (sync, item) else {
                let code = match alert.code {
                    Some(AlertCode::NEXT_MESSAGE | AlertCode::NO_END_OF_DATA | AlertCode::DISPLAY) => StatusCode::OK,
                    _ => StatusCode::UNSUPPORTED_FEATURE,
                };
                let mut status = queued(message, command, code);
                status.idle = alert.code == Some(AlertCode::NEXT_MESSAGE);
                if alert.code == Some(AlertCode::NO_END_OF_DATA) {
                    self.state.break_off();
                }
                statuses.push(match item {
                    Some(item) => status.about(item),
                    None => status,
                });
                continue;
            };
            let found = find_store(&self.state.stores, item.target.as_ref(), item.source.as_ref());
            let (code, next) = match found.map(|at| &mut self.state.stores[at]) {
                None => (StatusCode::NOT_FOUND, None),
                Some(store) => {
                    let anchor = item.meta.as_ref().and_then(|meta| meta.anchor.as_ref());
                    store.peer_next = anchor.map(|anchor| anchor.next.to_string());
                    store.max_obj = item.meta.as_ref().and_then(|meta| meta.max_obj_size);
                    store.peer_last = anchor.and_then(|anchor| anchor.last.as_deref()).map(str::to_owned);
                    let treatment = self.turn.manners.treatment(store.book);
                    let known = (self.turn.pairs.get_mut(&store.book), self.turn.rows.get(&store.book));
                    let held = match known {
                        (Some(pair), Some(row)) if surprises(store, sync) => {
                            weigh_slow_sync(treatment, pair, row, self.now, WANTED_BY_SERVER)
                        }
                        _ => None,
                    };
                    if held.is_some() {
                        store.failed = Some(StatusCode::FORBIDDEN.0);
                        store.reason = Some(HoldReason::SlowSync.sentence().to_owned());
                        (StatusCode::FORBIDDEN, None)
                    } else {
                        let pair = self.turn.pairs.get_mut(&store.book);
                        (take_alert(tx, store, pair, sync)?, store.peer_next.clone())
                    }
                }
            };
            let status = queued(message, command, code).about(item);
            statuses.push(match next {
                Some(next) => status.saying(Extra::Next(next)),
                None => status,
            });
        }
        Ok(statuses)
    }

    /// What the server says of our alerts, Syncs and Maps as such.
    fn take_own_statuses(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<()> {
        for command in &message.body {
            let Command::Status(status) = command else { continue };
            let Some(sent_as) = sent_ref(status) else { continue };
            let reference = (sent_as.msg_id, sent_as.cmd_id);
            match &*status.cmd {
                "Alert" => {
                    let store = self.state.stores.iter_mut().find(|store| store.alert_ref == Some(reference));
                    if let Some(store) = store {
                        store.alert_ref = None;
                        let book = store.book;
                        if self.book_is_asked(book, status) {
                            continue;
                        }
                        let Some(store) = self.state.stores.iter_mut().find(|store| store.book == book) else {
                            continue;
                        };
                        if status.code.0 >= 400 && std::mem::take(&mut store.resuming) {
                            // Then from the start; a server that knows no 225 is asked for that next time.
                            give_up(tx, self.turn.device, store)?;
                            if let Some(pair) = self.turn.pairs.get_mut(&store.book) {
                                fold_open_epoch(tx, pair)?;
                                (store.old_epoch, store.epoch) = (Some(pair.epoch), pair.epoch + 1);
                            }
                        }
                        // 508 comes with an Alert that says what to do instead; so may the 509 of who cannot resume.
                        let anew = status.code == StatusCode::CANNOT_RESUME && store.peer_next.is_some();
                        if !anew && matches!(status_policy(status.code).alert, OnAlert::Ended | OnAlert::Authenticate) {
                            store.failed = Some(status.code.0);
                        }
                    }
                }
                "Sync" => {
                    let of = |store: &&mut StoreState| {
                        store.sync_msg == sent_as.msg_id && store.sync_refs.contains(&sent_as.cmd_id)
                    };
                    if let Some(store) = self.state.stores.iter_mut().find(of)
                        && status.code.0 >= 400
                    {
                        store.failed = Some(status.code.0);
                    }
                }
                _ => {}
            }
        }
        message.body.iter().try_for_each(|command| match command {
            Command::Status(status) if status.cmd == "Map" => self.take_map_status(tx, status),
            _ => Ok(()),
        })
    }

    fn take_map_status(&mut self, tx: &mut dyn Tx, status: &Status<'_>) -> Result<()> {
        let device = self.turn.device;
        let Some(sent_as) = sent_ref(status) else { return Ok(()) };
        for store in &mut self.state.stores {
            let Some((.., upto)) =
                store.map_sent.filter(|(msg, cmd, _)| (*msg, *cmd) == (sent_as.msg_id, sent_as.cmd_id))
            else {
                continue;
            };
            // A server that knows nothing of the book, because the session is lost, has not heard it.
            if store.failed.is_some() {
                continue;
            }
            // Otherwise it has been told, whatever it says; should it have forgotten the item, it adds it again.
            for epoch in std::iter::once(store.epoch).chain(store.old_epoch) {
                loop {
                    let mut rows = tx.unconfirmed_maps(device, store.book, epoch, MAP_PAGE)?;
                    rows.retain(|row| row.guid <= upto);
                    if rows.is_empty() {
                        break;
                    }
                    let told = |row| MapRow { state: MapState::Live, ..row };
                    let rows: Vec<MapRow> = rows.into_iter().map(told).collect();
                    tx.put_maps(device, store.book, &rows)?;
                }
            }
            store.map_sent = None;
        }
        Ok(())
    }

    fn take_syncs(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<Vec<Queued>> {
        let msg_ref = message.header.msg_id.to_string();
        let mut statuses = Vec::new();
        for command in &message.body {
            match command {
                Command::Sync(sync) => {
                    let found = find_store(&self.state.stores, sync.target.as_ref(), sync.source.as_ref());
                    let code = match found.map(|at| &self.state.stores[at]) {
                        None => StatusCode::NOT_FOUND,
                        Some(store) => store.failed.map_or(StatusCode::OK, StatusCode),
                    };
                    if !sync.no_resp {
                        statuses.push(queued(message, command, code).at(sync.target.as_ref(), sync.source.as_ref()));
                    }
                    statuses.extend(match found {
                        // In a sync from here only, the server has nothing to say.
                        Some(at) if code == StatusCode::OK && !self.state.stores[at].sync.sends(Role::Server) => {
                            self.state.stores[at].sync_seen = true;
                            refuse_all(&sync.commands, &msg_ref, StatusCode::FORBIDDEN)
                        }
                        Some(at) if code == StatusCode::OK => {
                            let store = &mut self.state.stores[at];
                            store.sync_seen = true;
                            self.turn.take_sync(tx, store, sync, &msg_ref)?
                        }
                        _ => refuse_all(&sync.commands, &msg_ref, code),
                    });
                }
                Command::Get(get) => {
                    for item in &get.items {
                        let wanted = item.target.as_ref().is_some_and(|target| devinf::is_uri(&target.uri));
                        let code = if wanted { StatusCode::OK } else { StatusCode::NOT_FOUND };
                        statuses.push(queued(message, command, code).about(item));
                        if wanted {
                            self.state.owe_results(&msg_ref, get.cmd_id.as_str());
                        }
                    }
                }
                _ => {
                    let Some(code) = out_of_place(Role::Client, command) else { continue };
                    if command.cmd_id().is_some() && !command.no_resp() {
                        statuses.push(queued(message, command, code));
                    }
                    if let Command::Container(container) = command {
                        statuses.extend(refuse_all(&container.commands, &msg_ref, code));
                    }
                }
            }
        }
        Ok(statuses)
    }

    /// Moves on with the server's packages.
    fn advance(&mut self, message: &Message<'_>) {
        if self.state.package == Package::Init && message.last {
            let unanswered = |store: &&mut StoreState| store.alert_ref.is_some() && store.peer_next.is_none();
            for store in self.state.stores.iter_mut().filter(unanswered) {
                store.failed = Some(StatusCode::INCOMPLETE_COMMAND.0);
            }
        }
        let active = self.state.stores.iter().any(StoreState::active);
        let again = self.state.stores.iter().any(|store| self.says_again(store));
        let hears = self.state.stores.iter().any(|store| store.active() && store.sync.sends(Role::Server));
        self.state.package = match self.state.package {
            _ if !active => Package::Over,
            Package::Init if again => Package::Init,
            Package::Init if message.last => {
                for store in &mut self.state.stores {
                    store.upto = self.turn.rows.get(&store.book).map_or(store.upto, |row| row.head);
                }
                Package::Sending
            }
            // Nothing came, so there is nothing to confirm.
            Package::Changes if message.last && !hears => Package::Over,
            Package::Changes if message.last => Package::Confirming,
            Package::Confirming if message.last => Package::Over,
            other => other,
        };
    }

    /// In a refresh from the server: what needed its whole set is decided once that is complete.
    fn settle(&mut self, tx: &mut dyn Tx) -> Result<()> {
        if self.state.package != Package::Confirming {
            return Ok(());
        }
        let guard = self.turn.guard;
        let refreshed = |store: &&mut StoreState| store.active() && store.compares(Role::Client);
        for store in self.state.stores.iter_mut().filter(refreshed) {
            self.turn.open(store, |open, _| settle(tx, open, guard, usize::MAX))?;
        }
        Ok(())
    }

    fn request(&mut self, tx: &mut dyn Tx, message: &Message<'_>, statuses: Vec<Queued>) -> Result<Request> {
        let header = self.header();
        let mut outbox = self.outbox(&header)?;
        let heard = !statuses.is_empty();
        let refuses = statuses.iter().any(|status| status.code >= 400);
        self.write_header_status(&mut outbox, message)?;
        write_statuses(tx, &self.turn.token, &mut outbox, statuses)?;
        devinf::write_results(&mut outbox, &mut self.state, self.config.encoding).map_err(broken)?;
        write_broken(&mut outbox, &mut self.state)?;
        if self.suspend && self.state.package < Package::Over {
            return self.break_off(tx, outbox);
        }
        let mut ends = false;
        match self.state.package {
            Package::Sending => {
                // Maps that an earlier session could not deliver go first (§3.6).
                if self.write_maps(tx, &mut outbox)? {
                    ends = self.write_changes(tx, &mut outbox)?;
                }
            }
            Package::Confirming => ends = self.write_maps(tx, &mut outbox)?,
            Package::Over => {
                if !self.state.suspended {
                    self.turn.finish(tx, &mut self.state.stores)?;
                }
                // Who has said the last word waits for none; but that it is refused it is told (§3.5).
                if !heard || message.last && !refuses {
                    self.turn.put_pairs(tx)?;
                    return Ok(None);
                }
                ends = true;
            }
            Package::Init => {
                let again = |store: &&StoreState| self.says_again(store);
                let books: Vec<BookNo> = self.state.stores.iter().filter(again).map(|store| store.book).collect();
                self.write_alerts(&mut outbox, Some(&books))?;
                ends = !books.is_empty();
            }
            Package::Changes | Package::Settling => {}
        }
        let flushed = keep_overflow(tx, &self.turn.token, &mut outbox)? && self.state.owed_results.is_empty();
        if ends && flushed && self.state.package == Package::Sending {
            self.state.package = Package::Changes;
        }
        let idle = outbox.is_idle() && is_idle(message);
        self.state.idle = if idle { self.state.idle + 1 } else { 0 };
        if self.state.idle > MAX_IDLE || self.state.messages > MAX_MESSAGES {
            self.state.package = Package::Over;
            self.turn.put_pairs(tx)?;
            return Ok(None);
        }
        let last = ends && flushed;
        if !last && !message.last && !outbox.spoke() {
            outbox.next_message(&self.config.server_uri, &self.config.device_id).map_err(broken)?;
        }
        self.turn.put_pairs(tx)?;
        Ok(Some(outbox.finish(last)))
    }

    /// Breaks the session off for now (224): what is done so far stays, and the next session goes on. Before 1.2 nobody
    /// can be told.
    fn break_off(&mut self, tx: &mut dyn Tx, mut outbox: Outbox) -> Result<Request> {
        self.state.package = Package::Over;
        self.state.suspended = true;
        self.turn.put_pairs(tx)?;
        if self.state.version != Version::V12 {
            return Ok(None);
        }
        let item = Item {
            target: Some(Location::new(self.config.server_uri.clone())),
            source: Some(Location::new(self.config.device_id.clone())),
            ..Item::default()
        };
        outbox.command(|cmd_id| alert(cmd_id, AlertCode::SUSPEND, None, item)).map_err(broken)?;
        keep_overflow(tx, &self.turn.token, &mut outbox)?;
        Ok(Some(outbox.finish(true)))
    }

    /// Tells which of the server's items became which of ours; `true` when all of them are told.
    fn write_maps(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<bool> {
        let device = self.turn.device;
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            let told = store.map_sent.map_or(Guid(0), |(_, _, upto)| upto);
            // Before a sync of everything the server hears what the map before has to tell, or it could not know items
            // that were edited here since.
            let epoch = match store.old_epoch {
                Some(old) if self.state.package == Package::Sending && !store.resuming => old,
                _ => store.epoch,
            };
            let mut rows = tx.unconfirmed_maps(device, store.book, epoch, MAP_PAGE + 1)?;
            rows.retain(|row| row.guid > told);
            if epoch != store.epoch {
                // What was deleted here since is not shown in a sync of everything, and so must not be mapped either.
                let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect();
                let mut items = tx.items(store.book, &guids)?.into_iter();
                rows.retain(|_| items.next().flatten().is_some_and(|item| !item.deleted));
            }
            let mut more = rows.len() > MAP_PAGE;
            rows.truncate(MAP_PAGE);
            if rows.is_empty() {
                continue;
            }
            let cmd = loop {
                let map = map_of(store, &rows);
                match outbox.command(|cmd_id| Command::Map(Map { cmd_id, ..map })).map_err(broken)? {
                    Some(cmd) => break cmd,
                    // As many as fit.
                    None if rows.len() > 1 => {
                        rows.truncate(rows.len() / 2);
                        more = true;
                    }
                    None => return Ok(false),
                }
            };
            let Some(last) = rows.last().map(|row| row.guid) else { continue };
            store.map_sent = Some((self.msg_id, cmd, last));
            if more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_changes(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<bool> {
        let bytes = self.device.devinf.clone();
        let caps = bytes.as_deref().and_then(|bytes| decode_devinf(bytes, &Limits::default()).ok());
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            let written = store.sync_msg != 0 && (store.has_sent_all() || !store.sync.sends(Role::Client));
            let max_obj = self.state.max_obj_size;
            if !written && !self.turn.write_sync(tx, store, outbox, caps.as_ref(), max_obj)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn header(&self) -> Header<'static> {
        let uri = self.state.resp_uri.clone().unwrap_or_else(|| self.config.server_uri.clone());
        let mut header = Header::new(
            self.state.version,
            SessionId::from(self.session_id.clone()),
            MsgId(self.msg_id),
            Location::new(uri),
            Location::named(self.config.device_id.clone(), self.config.credentials.user().to_owned()),
        );
        header.cred.clone_from(&self.credential);
        header.meta = Some(Meta {
            max_msg_size: Some(self.turn.manners.announced(self.config.max_msg_size)),
            max_obj_size: Some(self.turn.manners.announced(self.config.max_obj_size)),
            ..Meta::default()
        });
        header
    }

    pub(super) fn outbox(&self, header: &Header<'_>) -> Result<Outbox> {
        let (manners, state) = (&self.turn.manners, &self.state);
        Outbox::to(manners, header, self.config.encoding, state.version, state.max_msg_size).map_err(broken)
    }

    pub(super) fn write_header_status(&self, outbox: &mut Outbox, message: &Message<'_>) -> Result<()> {
        let header = &message.header;
        outbox
            .header_status(
                &header.msg_id.to_string(),
                &header.target.uri,
                &header.source.uri,
                self.word.0,
                self.word.1.clone(),
                None,
            )
            .map_err(broken)
    }
}

/// The filter of a book as an Alert says it; nothing before 1.2, whose messages have no room for it.
fn filter_of(book: &ClientBook) -> Option<Box<Filter<'static>>> {
    let wanted = book.filter.as_ref()?;
    let item = |media_type: &'static str, text: String| Item {
        meta: Some(Meta::of_type(media_type)),
        data: Some(Data::text(text)),
        ..Item::default()
    };
    let property = |name: &String| format!("<Property xmlns=\"syncml:devinf\"><PropName>{name}</PropName></Property>");
    let content = datastore::by_number(book.book).and_then(|datastore| datastore.types.first());
    Some(Box::new(Filter {
        meta: Meta::of_type(content.map_or("text/plain", |(media_type, _)| *media_type)),
        field: (!wanted.fields.is_empty())
            .then(|| item("application/vnd.syncml-devinf+xml", wanted.fields.iter().map(property).collect())),
        record: wanted.record.clone().map(|record| item(GRAMMAR, record)),
        filter_type: Some(wanted.filter_type.name().into()),
    }))
}

/// Why a client compares everything that did not ask for it.
const WANTED_BY_SERVER: &str = "the server wants everything compared";

/// Whether the server's Alert turns a sync of changes into one of everything.
fn surprises(store: &StoreState, sync: SyncType) -> bool {
    sync != store.sync && sync == store.sync.full() && !store.resuming && store.old_epoch.is_none()
}

/// What the server's Alert makes of a book's sync, and the answer to it.
fn take_alert(
    tx: &mut dyn Tx,
    store: &mut StoreState,
    pair: Option<&mut PairRow>,
    sync: SyncType,
) -> Result<StatusCode> {
    let Some(pair) = pair else { return Ok(StatusCode::NOT_FOUND) };
    if sync == store.sync {
        return Ok(StatusCode::OK);
    }
    if std::mem::take(&mut store.resuming) {
        // The server resumes another sync than ours: ours is given up, and what it did stays.
        give_up(tx, pair.device, store)?;
        fold_open_epoch(tx, pair)?;
        (store.sync, store.old_epoch, store.epoch) = (SyncType::TwoWay, None, pair.epoch);
        pair.sync_type = store.sync.alert().0;
        if sync == SyncType::TwoWay && store.own_last.is_some() {
            return Ok(StatusCode::OK);
        }
    }
    // Who wants to hear only may let the server believe in a sync in both directions.
    let hearing = !store.sync.sends(Role::Client);
    let sync = match sync {
        SyncType::TwoWay if hearing => return Ok(StatusCode::OK),
        SyncType::Slow if hearing => store.sync.full(),
        sync => sync,
    };
    // The server may turn a sync of changes into one of everything; anything else we did not ask for (§3.5).
    if sync != store.sync.full() {
        store.failed = Some(StatusCode::FORBIDDEN.0);
        return Ok(StatusCode::FORBIDDEN);
    }
    store.escalate(WANTED_BY_SERVER, pair.epoch);
    pair.sync_type = store.sync.alert().0;
    Ok(StatusCode::OK)
}

fn map_of(store: &StoreState, rows: &[MapRow]) -> Map<'static> {
    let item = |row: &MapRow| MapItem {
        target: Location::new(row.luid.clone()),
        source: Location::new(crate::session::guid::luid(row.guid)),
    };
    Map {
        cmd_id: crate::message::CmdId::from(0),
        target: Location::new(store.there.clone()),
        source: Location::new(store.here.clone()),
        cred: None,
        meta: None,
        items: rows.iter().map(item).collect(),
    }
}

pub(super) fn alert(
    cmd_id: crate::message::CmdId<'static>,
    code: AlertCode,
    cred: Option<Cred<'static>>,
    item: Item<'static>,
) -> Command<'static> {
    Command::Alert(Alert { cmd_id, no_resp: false, cred, code: Some(code), correlator: None, items: vec![item] })
}

fn queued(message: &Message<'_>, command: &Command<'_>, code: StatusCode) -> Queued {
    let cmd_id = command.cmd_id().map(|id| id.as_str()).unwrap_or_default();
    Queued::new(&message.header.msg_id.to_string(), cmd_id, command.name(), code)
}
