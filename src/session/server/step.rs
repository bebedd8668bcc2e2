//! One authenticated message, inside its transaction: commands to statuses, then the reply (DESIGN "The message step").

use super::ServerConfig;
use super::door::Door;
use super::tell::Told;
use crate::codec::Encoding;
use crate::message::{AlertCode, Chal, Command, Header, Location, Message, Meta, StatusCode, Timestamp, Version};
use crate::session::Errands;
use crate::session::changes::Question;
use crate::session::confirm::take_map;
use crate::session::devinf;
use crate::session::kept::Kept;
use crate::session::outbox::{Outbox, Queued, is_idle};
use crate::session::settle::settle;
use crate::session::state::{Package, Settling, State, StoreState};
use crate::session::turn::{
    Turn, broken, find_store, keep_overflow, out_of_place, refuse_all, write_broken, write_statuses,
};
use crate::store::{BookNo, DeviceRow, Phase, Result, Tx};
use crate::sync::{OnAlert, Role, status_policy};

/// Rows settled in one message at most: what a phone waits for is bounded, whatever the book's size.
pub(super) const SETTLE_BUDGET: usize = 20_000;

/// Exchanges in which neither side says anything before the session is given up (loop guard, §3.7).
const MAX_IDLE: u32 = 5;

/// What the step works with.
pub(super) struct Step<'s, 'm> {
    pub config: &'s ServerConfig,
    /// Who may do what, and who this server is.
    pub door: Door<'s>,
    /// Who has something for the device to do.
    pub errands: Option<&'s dyn Errands>,
    pub encoding: Encoding,
    pub now: Timestamp,
    pub message: &'s Message<'m>,
    pub turn: Turn,
    pub state: State,
    pub device: Kept<DeviceRow>,
    /// The Status of the header, and the challenge in it.
    pub header_code: StatusCode,
    pub chal: Option<Chal<'static>>,
    /// Whether this is the session's first message.
    pub first: bool,
    pub statuses: Vec<Vec<Queued>>,
    /// Whether the device suspends the session with this message.
    pub suspended: bool,
    /// Whether the device wants to know who this server is before it goes on.
    pub proving: bool,
    /// Rows that may still be settled in this message.
    pub budget: usize,
    /// What is to be told of it once it is durable.
    pub told: Told,
}

/// What a step made.
pub(super) struct Stepped {
    /// The reply's bytes.
    pub reply: Vec<u8>,
    pub state: State,
    pub device: Kept<DeviceRow>,
    pub told: Told,
    /// Whether the device suspended the session.
    pub suspended: bool,
}

impl Step<'_, '_> {
    /// Executes the message.
    pub(super) fn run(mut self, tx: &mut dyn Tx) -> Result<Stepped> {
        self.statuses = vec![Vec::new(); self.message.body.len()];
        if let Some(meta) = &self.message.header.meta {
            self.state.max_msg_size = meta.max_msg_size.or(self.state.max_msg_size);
            self.state.max_obj_size = meta.max_obj_size.or(self.state.max_obj_size);
        }
        if self.first {
            self.choose_manners();
        }
        self.take_challenge();
        self.take_devinf();
        let alerted = self.alerted_books(tx)?;
        let books: Vec<BookNo> = self.state.stores.iter().map(|store| store.book).chain(alerted).collect();
        self.turn.lock(tx, books)?;
        self.take_alerts(tx)?;
        if self.proving {
            // Its Statuses only say so of everything; what it was sent stays unanswered.
            self.take_the_rest();
            return self.close(tx);
        }
        self.turn.learn_folders(&mut self.state, self.device.devinf.as_deref());
        self.turn.learn_lenses(tx, &mut self.state, self.device.devinf.as_deref())?;
        self.take_status_of_commands();
        self.take_status_of_errands(tx)?;
        let body = &self.message.body;
        self.turn.take_answers(tx, &mut self.state, body)?;
        if self.suspends() {
            self.suspend();
        } else {
            self.take_maps(tx)?;
            let adds = |command: &Command<'_>| matches!(command, Command::Sync(_));
            if self.message.last || self.message.body.iter().any(adds) {
                self.turn.weigh_account(tx, self.config.account_quota())?;
            }
            self.take_syncs(tx)?;
            self.take_the_rest();
            self.advance(tx)?;
        }
        self.close(tx)
    }

    /// Writes the reply, and what the pairs have come to.
    fn close(mut self, tx: &mut dyn Tx) -> Result<Stepped> {
        let reply = self.reply(tx)?;
        self.turn.put_pairs(tx)?;
        let Self { state, device, told, suspended, .. } = self;
        Ok(Stepped { reply, state, device, told, suspended })
    }

    pub(super) fn answer(&mut self, index: usize, queued: Queued) {
        if !self.message.body[index].no_resp() && !self.message.header.no_resp {
            self.statuses[index].push(queued);
        }
    }

    /// The Statuses of what is inside the command at `index`.
    fn answer_all(&mut self, index: usize, inside: Vec<Queued>) {
        if !self.message.header.no_resp {
            self.statuses[index].extend(inside);
        }
    }

    /// A Status for the command at `index`, without addresses.
    pub(super) fn queued(&self, index: usize, code: StatusCode) -> Queued {
        Queued::of(self.message, &self.message.body[index], code)
    }

    /// Finds the profile rules about the device, by its id and what it said of itself.
    fn choose_manners(&mut self) {
        let (profiles, id) = (&self.config.profiles, &self.device.device_id);
        self.turn.choose_manners(profiles, id, &self.device, &mut self.state);
        self.device.profile = (!self.state.rules.is_empty()).then(|| self.state.rules.join(" "));
    }

    /// Put and Results: the device says what it is. Before everything else, since alerts depend on it.
    fn take_devinf(&mut self) {
        let statuses = devinf::keep(self.message, self.state.version, &mut self.device);
        if !statuses.is_empty() {
            self.choose_manners();
        }
        for (index, queued) in statuses {
            self.answer(index, queued);
        }
    }

    /// What the device says of our alerts and of our Syncs as such.
    fn take_status_of_commands(&mut self) {
        for command in &self.message.body {
            let Command::Status(status) = command else { continue };
            let Some(sent_as) = crate::session::turn::sent_ref(status) else { continue };
            let reference = Some((sent_as.msg_id, sent_as.cmd_id));
            let Some(store) = self.state.stores.iter_mut().find(|store| match &*status.cmd {
                "Alert" => store.alert_ref == reference,
                "Sync" => store.sync_refs.contains(&sent_as.cmd_id) && store.sync_msg == sent_as.msg_id,
                _ => false,
            }) else {
                continue;
            };
            match (&*status.cmd, status_policy(status.code).alert) {
                (_, OnAlert::Held) => {}
                // ANC-3: our anchor is not the one the device has; it sends everything at once, without a second Alert.
                ("Alert", OnAlert::Slow) => {
                    let epoch = self.turn.pairs.get(&store.book).map_or(store.epoch, |pair| pair.epoch);
                    store.escalate("the device does not know our anchor", epoch);
                    self.told.slow.push((store.book, "not-known"));
                    if let Some(pair) = self.turn.pairs.get_mut(&store.book) {
                        pair.sync_type = store.sync.alert().0;
                    }
                }
                // 418 and the like for a Sync as such mean nothing; what failed, failed.
                (_, _) => store.failed = Some(status.code.0),
            }
        }
    }

    fn take_maps(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let message = self.message;
        for (index, command) in message.body.iter().enumerate() {
            let Command::Map(map) = command else { continue };
            let whole = |queued: Queued| queued.at(Some(&map.target), Some(&map.source));
            let Some(at) = find_store(&self.state.stores, Some(&map.target), Some(&map.source)) else {
                let queued = whole(self.queued(index, StatusCode::NOT_FOUND));
                self.answer(index, queued);
                continue;
            };
            let pairs: Vec<(&str, &str)> =
                map.items.iter().map(|item| (&*item.target.uri, &*item.source.uri)).collect();
            let codes =
                self.turn.open(&mut self.state.stores[at], |open, pair| take_map(tx, open, pair.phase, &pairs))?;
            if codes.windows(2).all(|pair| pair[0] == pair[1]) {
                let code = codes.first().copied().unwrap_or(StatusCode::OK);
                let queued = whole(self.queued(index, code));
                self.answer(index, queued);
            } else {
                for (item, code) in map.items.iter().zip(codes) {
                    let queued = self.queued(index, code).at(Some(&item.target), Some(&item.source));
                    self.answer(index, queued);
                }
            }
        }
        Ok(())
    }

    fn take_syncs(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let message = self.message;
        let msg_ref = message.header.msg_id.to_string();
        for (index, command) in message.body.iter().enumerate() {
            let Command::Sync(sync) = command else { continue };
            let found = find_store(&self.state.stores, sync.target.as_ref(), sync.source.as_ref());
            let code = match found.map(|at| &self.state.stores[at]) {
                None => StatusCode::NOT_FOUND,
                Some(store) => match store.failed {
                    Some(code) => StatusCode(code),
                    // What an earlier session left behind comes first; it is not done yet.
                    None if store.left_over.is_some() => StatusCode::RETRY_LATER,
                    // Combined initialisation with a lost anchor: everything comes again in the next message (§3.14).
                    None if self.state.package == Package::Init
                        && store.reason.is_some()
                        && store.alert_ref.is_none() =>
                    {
                        StatusCode::REFRESH_REQUIRED
                    }
                    None if self.state.package > Package::Changes => StatusCode::FORBIDDEN,
                    None => StatusCode::OK,
                },
            };
            if let Some(at) = found.filter(|_| code == StatusCode::RETRY_LATER) {
                self.state.stores[at].failed = Some(code.0);
            }
            let queued = self.queued(index, code).at(sync.target.as_ref(), sync.source.as_ref());
            self.answer(index, queued);
            let inside = match found {
                // In a sync from the server only, the device has nothing to say.
                Some(at) if code == StatusCode::OK && !self.state.stores[at].sync.sends(Role::Client) => {
                    self.state.stores[at].sync_seen = true;
                    refuse_all(&sync.commands, &msg_ref, StatusCode::FORBIDDEN)
                }
                Some(at) if code == StatusCode::OK => {
                    let store = &mut self.state.stores[at];
                    store.sync_seen = true;
                    self.turn.take_sync(tx, store, sync, &msg_ref)?
                }
                _ => refuse_all(&sync.commands, &msg_ref, code),
            };
            self.answer_all(index, inside);
        }
        Ok(())
    }

    /// Commands that have no place here, or that this server does not do; and Get.
    fn take_the_rest(&mut self) {
        let message = self.message;
        let msg_ref = message.header.msg_id.to_string();
        for (index, command) in message.body.iter().enumerate() {
            if let Command::Get(get) = command {
                for item in &get.items {
                    let wanted = item.target.as_ref().is_some_and(|target| devinf::is_uri(&target.uri));
                    let question = item.target.as_ref().and_then(|target| Question::of_uri(&target.uri));
                    let told =
                        question == Some(Question::Account) && self.state.owe_news(&msg_ref, get.cmd_id.as_str());
                    let code = if wanted || told { StatusCode::OK } else { StatusCode::NOT_FOUND };
                    let queued = self.queued(index, code).about(item);
                    self.answer(index, queued);
                    if wanted {
                        self.state.owe_results(&msg_ref, get.cmd_id.as_str());
                    }
                }
            }
            let Some(code) = out_of_place(Role::Server, command) else { continue };
            if command.cmd_id().is_some() {
                let queued = self.queued(index, code);
                self.answer(index, queued);
            }
            if let Command::Container(container) = command {
                self.answer_all(index, refuse_all(&container.commands, &msg_ref, code));
            }
        }
    }

    /// Whether the device breaks off now and means to go on later (224, §3.13). When all is done but the Maps it is too
    /// late for that, and nothing is gained.
    fn suspends(&self) -> bool {
        let asked =
            |command: &Command<'_>| matches!(command, Command::Alert(alert) if alert.code == Some(AlertCode::SUSPEND));
        self.state.version == Version::V12
            && matches!(self.state.package, Package::Changes | Package::Settling | Package::Sending)
            && self.message.body.iter().any(asked)
    }

    /// What this message asks for besides is not done (514); all that was done so far is kept.
    fn suspend(&mut self) {
        let message = self.message;
        let code = StatusCode::CANCELLED_INCOMPLETE;
        let msg_ref = message.header.msg_id.to_string();
        for (index, command) in message.body.iter().enumerate() {
            let inside = match command {
                Command::Alert(_) | Command::Status(_) | Command::Put(_) | Command::Results(_) => continue,
                Command::Sync(sync) => refuse_all(&sync.commands, &msg_ref, code),
                Command::Container(container) => refuse_all(&container.commands, &msg_ref, code),
                _ => Vec::new(),
            };
            let queued = self.queued(index, code);
            self.answer(index, queued);
            self.answer_all(index, inside);
        }
        self.state.package = Package::Over;
        self.suspended = true;
    }

    /// Moves on when the device's package is complete.
    fn advance(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let active = |state: &State| state.stores.iter().any(StoreState::active);
        if self.message.last {
            self.state.package = match self.state.package {
                // A book whose own credential was asked for is alerted again (§5.5).
                Package::Init if self.state.trust.asks() => {
                    self.state.owes_final = true;
                    if active(&self.state) { Package::Changes } else { Package::Init }
                }
                Package::Init if !active(&self.state) => Package::Over,
                Package::Init => {
                    let combined = self.state.stores.iter().filter(|store| store.active()).all(|store| store.sync_seen);
                    self.state.owes_final = !combined;
                    if combined { Package::Settling } else { Package::Changes }
                }
                Package::Changes => Package::Settling,
                Package::Confirming => Package::Over,
                other => other,
            };
        }
        self.settle_left_overs(tx)?;
        if self.state.package == Package::Settling {
            let mut budget = Some(self.budget);
            for store in self.state.stores.iter_mut().filter(|store| store.active()) {
                let Some(left) = budget else { break };
                if store.settling != Settling::End {
                    let guard = self.turn.guard;
                    budget = self.turn.open(store, |open, _| settle(tx, open, guard, left))?;
                }
            }
            if budget.is_some() {
                self.begin_sending();
            }
        }
        Ok(())
    }

    /// All that the device has said is decided: now it is our turn. Should the sync break off after that, its pair tells that all
    /// was heard.
    fn begin_sending(&mut self) {
        for store in &mut self.state.stores {
            store.upto = self.turn.rows.get(&store.book).map_or(store.upto, |row| row.head);
            // Who said nothing of the book has not said what it has.
            let heard = store.active() && store.sync_seen;
            if let Some(pair) = self.turn.pairs.get_mut(&store.book).filter(|_| heard) {
                pair.phase = Phase::Sending;
            }
        }
        self.state.package = Package::Sending;
    }

    /// Goes on settling what earlier sessions left behind; this session's changes wait for it.
    fn settle_left_overs(&mut self, tx: &mut dyn Tx) -> Result<()> {
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            let Some(mut left_over) = store.left_over.take() else { continue };
            match self.turn.settle_left_over(tx, &mut left_over, self.budget)? {
                None => {
                    self.budget = 0;
                    store.left_over = Some(left_over);
                }
                Some(left) => {
                    self.budget = left;
                    (store.held, store.received) = (left_over.held, left_over.received);
                    (store.hold, store.notes) = (left_over.hold, left_over.notes);
                    let (Some(row), Some(pair)) =
                        (self.turn.rows.get(&store.book), self.turn.pairs.get_mut(&store.book))
                    else {
                        continue;
                    };
                    (store.start_head, store.start_live, store.seen_head) = (row.head, row.live_items, row.head);
                    store.alone &= row.live_items == 0;
                    pair.start_head = row.head;
                }
            }
        }
        Ok(())
    }

    /// Whether package 3 has to wait for what is settled of earlier sessions.
    fn settles_left_over(&self) -> bool {
        self.state.stores.iter().any(|store| store.active() && store.left_over.is_some())
    }

    /// Whether the session goes round in circles or takes too long (§9.4).
    fn is_endless(&self) -> bool {
        let config = self.config;
        let began = Timestamp(self.state.began);
        self.state.idle > MAX_IDLE
            || self.state.messages > config.max_messages
            || self.now > began.plus_seconds(config.session_limit_seconds)
    }

    fn reply(&mut self, tx: &mut dyn Tx) -> Result<Vec<u8>> {
        let message = self.message;
        let state = &self.state;
        let mut header = Header::new(
            state.version,
            message.header.session_id.clone(),
            message.header.msg_id,
            Location { uri: state.peer.0.clone().into(), name: state.peer.1.clone().map(Into::into) },
            Location::new(state.own.clone()),
        );
        self.show_identity(&mut header);
        // Again while the device says its package 1 again: it did not get this.
        if self.first || self.alerts_books() {
            header.resp_uri = state.resp_uri.clone().map(Into::into);
            header.meta = Some(Meta {
                max_msg_size: Some(self.turn.manners.announced(self.config.max_msg_size)),
                max_obj_size: Some(self.turn.manners.announced(self.config.max_obj_size)),
                ..Meta::default()
            });
        }
        let (manners, state) = (&self.turn.manners, &self.state);
        let mut outbox =
            Outbox::to(manners, &header, self.encoding, state.version, state.max_msg_size).map_err(broken)?;
        outbox
            .header_status(
                &message.header.msg_id.to_string(),
                &message.header.target.uri,
                &message.header.source.uri,
                self.header_code,
                self.chal.take(),
                None,
            )
            .map_err(broken)?;
        let statuses = std::mem::take(&mut self.statuses);
        self.told.statuses(statuses.iter().flatten());
        write_statuses(tx, &self.turn.token, &mut outbox, statuses.into_iter().flatten())?;
        devinf::write_results(&mut outbox, &mut self.state, self.turn.quota, self.encoding).map_err(broken)?;
        self.write_news(tx, &mut outbox)?;
        self.write_alerts(&mut outbox).map_err(broken)?;
        write_broken(&mut outbox, &mut self.state)?;
        self.write_errands(tx, &mut outbox)?;
        let sent_all = self.write_changes(tx, &mut outbox)?;

        let answered = self.state.owed_results.is_empty() && self.state.owed_news.is_empty();
        let flushed = keep_overflow(tx, &self.turn.token, &mut outbox)? && answered;
        let settles = self.settles_left_over();
        let idle = outbox.is_idle() && is_idle(message) && self.state.package != Package::Settling && !settles;
        self.state.idle = if idle { self.state.idle + 1 } else { 0 };
        let given_up = self.state.package != Package::Over && self.is_endless();
        if given_up {
            self.state.package = Package::Over;
        }
        // A package ends when all its statuses found room; the end of the session is the end of a package.
        let looks_in = self.state.stores.is_empty() && self.state.package == Package::Confirming;
        let ends = sent_all || self.state.owes_final || looks_in || self.state.package == Package::Over;
        let last = given_up || (ends && flushed && !settles && !self.owes_alerts());
        self.state.owes_final = ends && !last;
        if !last && !message.last && !outbox.spoke() {
            outbox.next_message(&self.state.peer.0, &self.state.own).map_err(broken)?;
        }
        // What is given up did not end cleanly: its anchors stay (I6).
        if self.state.package == Package::Over && !self.suspended && !given_up {
            if message.last && !given_up {
                self.turn.take_silence(tx, &mut self.state.stores)?;
            }
            self.turn.finish(tx, &mut self.state.stores)?;
            self.clear_news(tx)?;
            self.end_errands(tx)?;
        }
        Ok(outbox.finish(last))
    }

    /// Our changes; `true` when this completes our package.
    fn write_changes(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<bool> {
        if self.state.package != Package::Sending || outbox.overflows() {
            return Ok(false);
        }
        let caps = self.turn.said.of(self.device.devinf.as_deref());
        for store in self.state.stores.iter_mut().filter(|store| store.active() && store.sync.sends(Role::Server)) {
            let max_obj = self.state.max_obj_size;
            if !store.has_sent_all() && !self.turn.write_sync(tx, store, outbox, caps.as_deref(), max_obj)? {
                return Ok(false);
            }
        }
        // Who is told to do something has to answer, as who is sent something.
        let awaits = self.state.stores.iter().any(|store| store.active() && store.sync.sends(Role::Server))
            || !self.state.errands.told.is_empty();
        self.state.package = if awaits { Package::Confirming } else { Package::Over };
        Ok(true)
    }
}
