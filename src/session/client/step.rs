//! One answer of the server, inside its transaction: what it said to rows, then the next request.

use super::open::alert;
use super::{Called, ClientConfig};
use crate::message::{
    AlertCode, Chal, Cred, Header, Item, Location, Message, Meta, MsgId, SessionId, StatusCode, Timestamp, Version,
};
use crate::session::devinf;
use crate::session::kept::Kept;
use crate::session::outbox::{Outbox, Queued, is_idle};
use crate::session::settle::settle;
use crate::session::state::{Package, State, StoreState};
use crate::session::turn::{Turn, broken, keep_overflow, write_broken, write_statuses};
use crate::store::{BookNo, DeviceRow, Result, Tx};
use crate::sync::Role;

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
    pub device: Kept<DeviceRow>,
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
        self.turn.learn_lenses(tx, &mut self.state, self.device.devinf.as_deref())?;
        self.take_own_statuses(tx, message)?;
        self.turn.take_answers(tx, &mut self.state, &message.body)?;
        statuses.extend(self.take_syncs(tx, message)?);
        self.advance(message);
        self.settle(tx)?;
        self.request(tx, message, statuses)
    }

    /// Finds the profile rules about the server, by its address and what it said of itself.
    pub(super) fn choose_manners(&mut self) {
        let (profiles, uri) = (&self.config.profiles, &self.config.server_uri);
        self.turn.choose_manners(profiles, uri, &self.device, &mut self.state);
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
        // What it refuses the server is told (§3.5), and what it is told to do it waits for.
        let refuses = statuses.iter().any(|status| status.code >= 400 || status.cmd == "Exec");
        self.write_header_status(&mut outbox, message)?;
        write_statuses(tx, &self.turn.token, &mut outbox, statuses)?;
        devinf::write_results(&mut outbox, &mut self.state, self.turn.quota, self.config.encoding).map_err(broken)?;
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
                // Who has said the last word waits for none.
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
    /// can be told. Where Statuses leave no room for the 224, the next message says it: without it, a Final would end a
    /// package that is not complete.
    fn break_off(&mut self, tx: &mut dyn Tx, mut outbox: Outbox) -> Result<Request> {
        self.turn.put_pairs(tx)?;
        if self.state.version != Version::V12 {
            (self.state.package, self.state.suspended) = (Package::Over, true);
            return Ok(None);
        }
        let item = Item {
            target: Some(Location::new(self.config.server_uri.clone())),
            source: Some(Location::new(self.config.device_id.clone())),
            ..Item::default()
        };
        let said = outbox.command(|cmd_id| alert(cmd_id, AlertCode::SUSPEND, None, item)).map_err(broken)?.is_some();
        keep_overflow(tx, &self.turn.token, &mut outbox)?;
        if said {
            (self.state.package, self.state.suspended) = (Package::Over, true);
        }
        Ok(Some(outbox.finish(said)))
    }

    fn write_changes(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<bool> {
        let caps = self.turn.said.of(self.device.devinf.as_deref());
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            let written = store.sync_msg != 0 && (store.has_sent_all() || !store.sync.sends(Role::Client));
            let max_obj = self.state.max_obj_size;
            if !written && !self.turn.write_sync(tx, store, outbox, caps.as_deref(), max_obj)? {
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
