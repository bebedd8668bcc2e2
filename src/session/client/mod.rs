//! The client's side of the conversation.

mod book;
mod busy;
mod called;
mod credential;
mod errand;
mod exchange;
mod fallback;
mod heard;
mod maps;
mod open;
mod poll;
mod server;
mod step;
mod tell;

pub use busy::Patience;
pub use called::{Called, CalledAlert};
pub use credential::Credentials;
pub use poll::{News, Poll, PollConfig};

use self::credential::Answered;
use self::server::Believed;
use self::step::Step;
use self::tell::Before;
use super::kept::Kept;
use super::large::{BookRoom, LargeLimits};
use super::receive::Quota;
use super::state::{Package, State, StoreState};
use super::turn::Turn;
use super::{Executor, Profiles, Report, ServerIdentity};
use crate::auth::token_in;
use crate::codec::Encoding;
use crate::contact::lens::Dimension;
use crate::message::{AlertCode, Mem, StatusCode, Timestamp, Version};
use crate::store::{AccountNo, BookNo, DeviceRow, HoldReason, Store, StoreError, Token, Tx, Verdict};
use crate::sync::filter::{Filter, FilterError, FilterType};
use crate::sync::{DeletionGuard, Role, status_policy};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Challenges answered before the server's word is taken: a stale nonce, another scheme, and one for good measure.
const MAX_TRIES: u32 = 3;

/// One book of a client's session.
#[derive(Clone, Debug)]
pub struct ClientBook {
    /// The book in the client's own store.
    pub book: BookNo,
    /// Its address here, as told to the server.
    pub local_uri: String,
    /// Its address at the server.
    pub remote_uri: String,
    /// The sync wanted: 200 to 205.
    pub mode: AlertCode,
    /// What of the server's book is wanted, where it is not everything (§3.16).
    pub filter: Option<BookFilter>,
    /// What of a card it holds (mission B6), at most [`MAX_DIMENSIONS`](crate::session::MAX_DIMENSIONS); empty: all of it. The
    /// server is told so in each session, and then neither sends the rest nor takes its absence for a deletion. A server of
    /// another make may know the properties only, and sends some that are too many.
    pub dimensions: Vec<Dimension>,
}

/// What a client wants to be sent of a server's book. Its own changes are sent whatever they are.
///
/// Before 1.2 only [`record`](Self::record) can be asked for, and nothing is removed because of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BookFilter {
    /// Which records: a query in the grammar [`GRAMMAR`](crate::sync::filter::GRAMMAR), such as `ORG&EQ;ACME`.
    pub record: Option<String>,
    /// Which properties of them; all, if there are none here. N and FN always come.
    pub fields: Vec<String>,
    /// What happens to records here that do not match.
    pub filter_type: FilterType,
}

impl ClientBook {
    /// A book whose changes go both ways, unfiltered, and that holds all of a card.
    pub fn new(book: BookNo, local_uri: impl Into<String>, remote_uri: impl Into<String>) -> Self {
        let (local_uri, remote_uri) = (local_uri.into(), remote_uri.into());
        Self { book, local_uri, remote_uri, mode: AlertCode::TWO_WAY, filter: None, dimensions: Vec::new() }
    }
}

impl BookFilter {
    /// As a session of this version uses it.
    fn for_book(&self, book: BookNo, version: Version) -> Result<Option<Filter>, FilterError> {
        let kind = book.kind();
        let fields = self.fields.iter().map(String::as_str);
        match version {
            Version::V12 => Filter::new(kind, self.record.as_deref(), fields, self.filter_type),
            _ => Filter::new(kind, self.record.as_deref(), [], FilterType::Inclusive),
        }
    }
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server's URL.
    pub server_uri: String,
    /// This device's id; random, and kept with the book.
    pub device_id: String,
    /// With what it authenticates.
    pub credentials: Credentials,
    /// Own credentials of books at the server, where a book has one (§5.5): [`Credentials::Basic`] or
    /// [`Credentials::Md5`], whose user must be the one of [`credentials`](Self::credentials).
    pub book_credentials: Vec<(BookNo, Credentials)>,
    /// The server that must have proven itself by its own secret before anything is told to it or taken from it (§5.4);
    /// `None` trusts whoever answers at the address. A credential that is the same every time, which is told first of all,
    /// then needs an https address.
    pub server: Option<ServerIdentity>,
    /// How long a busy server is waited for.
    pub patience: Patience,
    /// The books to sync.
    pub books: Vec<ClientBook>,
    /// The encoding.
    pub encoding: Encoding,
    /// The version to begin with. A server that does not speak it is spoken to in the next lower one, from then on at once.
    pub version: Version,
    /// The largest message this client accepts and announces, in bytes.
    pub max_msg_size: u64,
    /// The largest object this client accepts and announces, in bytes. What is larger than a message comes in chunks, of
    /// which no more than one is in memory ([`store::large`](crate::store::large)).
    pub max_obj_size: u64,
    /// The largest contact, in bytes, if that is less: contacts are read as a whole, so this bounds the memory of a sync.
    /// Above it a contact is refused with 416.
    pub max_card_size: u64,
    /// When deletes that a refresh from the server causes here are held instead of obeyed.
    pub guard: DeletionGuard,
    /// What is done differently for servers known to need it.
    pub profiles: Profiles,
    /// Who does what the server tells this device to do by Exec; without one that is answered 501.
    pub executor: Option<Arc<dyn Executor>>,
}

impl ClientConfig {
    /// The defaults: XML of version 1.2, messages of 64 KiB, objects and contacts of 4 MiB, the usual patience and guard,
    /// the shipped profiles, a server that need not prove itself.
    pub fn new(
        server_uri: impl Into<String>,
        device_id: impl Into<String>,
        credentials: Credentials,
        books: Vec<ClientBook>,
    ) -> Self {
        Self {
            server_uri: server_uri.into(),
            device_id: device_id.into(),
            credentials,
            book_credentials: Vec::new(),
            server: None,
            patience: Patience::default(),
            books,
            encoding: Encoding::Xml,
            version: Version::V12,
            max_msg_size: 1 << 16,
            max_obj_size: 1 << 22,
            max_card_size: 1 << 22,
            guard: DeletionGuard::default(),
            profiles: Profiles::shipped(),
            executor: None,
        }
    }

    /// What this client takes of large objects.
    const fn large(&self) -> LargeLimits {
        LargeLimits { object: self.max_obj_size, card: self.max_card_size, account: u64::MAX, book: BookRoom::ENDLESS }
    }
}

/// A request to post. `Debug` shows neither contents nor credentials, nor the address' query, which is the session's token.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub uri: String,
    /// Its Content-Type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its `x-syncml-hmac` header, if it has one (§5.6).
    pub mac: Option<String>,
    /// How long to wait before it is posted: the server said that it is busy (§3.11). Most often nothing.
    pub wait: Duration,
    /// Whether it opens a session. Such a message is not repeated unless the server certainly did nothing for it (§9.1).
    pub opens: bool,
}

impl Outgoing {
    /// The session's token: the parameter `s` of its address. A transport without addresses hands it on beside the message, as
    /// [`Request::token`](crate::session::Request::token).
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        token_in(&self.uri)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("uri", &self.uri.split('?').next().unwrap_or_default())
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("has_mac", &self.mac.is_some())
            .field("wait", &self.wait)
            .field("opens", &self.opens)
            .finish()
    }
}

/// Why a client's session ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused the credentials.
    #[error("the server refused the credentials ({0}): check the user name and the password or secret")]
    Refused(StatusCode),
    /// The server did not prove who it is (§5.4); nothing was taken from it, nor told to it.
    #[error("the server did not prove who it is; check its address, and the name and secret agreed with it")]
    Unproven,
    /// The server has to prove itself ([`ClientConfig::server`]), but would be told a password or secret before.
    #[error(
        "the server is to prove first who it is, but this way to log in tells it the secret before; use MD5 or MAC, or an https address"
    )]
    ToldTooSoon,
    /// A question whose server has to prove itself ([`PollConfig::server`]), in another scheme than MAC.
    #[error("the answer to a question proves by its MAC only who gave it: log in by MAC")]
    Unprovable,
    /// The server stayed busy for longer than [`Patience`] allows.
    #[error("the server stayed busy; sync again later")]
    Busy,
    /// The server does not know the book.
    #[error("the server has no book {name:?} ({code}): check the book's remote name")]
    UnknownBook {
        /// The remote name.
        name: String,
        /// The status.
        code: StatusCode,
    },
    /// The server answered with something that is not SyncML.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
    /// The server ended the session.
    #[error("the server ended the session with status {0}: {text}", text = status_policy(*.0).advice)]
    Ended(StatusCode),
    /// The server cannot say what changed.
    #[error("the server does not say what changed ({0}): sync with it instead")]
    NoPolling(StatusCode),
    /// A name in the configuration cannot be written into a message.
    #[error("the message cannot be written: {0}")]
    Unwritable(String),
    /// The filter of a book cannot be used.
    #[error("the filter cannot be used: {0}")]
    Filter(#[from] FilterError),
    /// The client's own store failed.
    #[error("this side's store failed: {0}")]
    Store(#[from] StoreError),
}

impl ClientError {
    /// What kind it is, in a word for the log.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unproven => "unproven",
            Self::ToldTooSoon => "told-too-soon",
            Self::Unprovable => "unprovable",
            Self::Busy => "busy",
            Self::UnknownBook { .. } => "unknown-book",
            Self::Unreadable(_) => "unreadable",
            Self::Ended(_) => "ended",
            Self::NoPolling(_) => "no-polling",
            Self::Unwritable(_) => "unwritable",
            Self::Filter(_) => "filter",
            Self::Store(_) => "store",
        }
    }
}

/// A SyncML client's session over its own store.
///
/// Everything durable is in the store: what was received and answered is there before the next request leaves, and what
/// was sent without an answer is on the ledger, so that a session that breaks off costs a repetition and nothing else.
pub struct Client {
    store: Arc<dyn Store>,
    account: AccountNo,
    config: ClientConfig,
    token: Token,
    /// The session id that a notification asked for, and what is to be answered of one that was a message.
    notified: Option<String>,
    called: Option<Called>,
    session_id: String,
    msg_id: u32,
    tries: u32,
    request: Option<Vec<u8>>,
    /// Its MAC.
    mac: Option<String>,
    /// Whether the answers of this session have one: then all must.
    answers_with_mac: bool,
    /// How often the server said that it is busy, and how long to wait before the request is posted.
    busy: u32,
    wait: Duration,
    /// The CmdID of an Alert 221 in the request.
    asking: Option<u32>,
    /// What is still to be proven by the server.
    server: Believed,
    suspending: bool,
    /// How long the version that was fallen back to is remembered.
    lowered_until: Option<Timestamp>,
    /// What still fits into books.
    room: Vec<(BookNo, Mem)>,
    /// Whether the request was signed anew already.
    signed_again: bool,
    /// What the session's credential was made of, for the next message that needs one.
    nonce: Option<Vec<u8>>,
    state: State,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session_id", &self.session_id).field("msg_id", &self.msg_id).finish()
    }
}

impl Client {
    /// Begins a session.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn begin(
        store: Arc<dyn Store>,
        account: AccountNo,
        config: ClientConfig,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        Self::begin_session(store, account, config, None, None, now)
    }

    /// Begins the session that a notification asked for, under its id (§8.3, §8.4), as
    /// `notify::accept_notification` gives it.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn begin_notified(
        store: Arc<dyn Store>,
        account: AccountNo,
        config: ClientConfig,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        Self::begin_session(store, account, config, Some(session_id.to_owned()), None, now)
    }

    /// Begins the session that a notification of SyncML 1.0 or 1.1 asked for: under its id, and with the Statuses of its
    /// Alerts in package 1 (§8.4). What it is worth is `notify::accept_notification`'s to say.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn begin_called(
        store: Arc<dyn Store>,
        account: AccountNo,
        config: ClientConfig,
        called: &Called,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        let session_id = Some(called.session_id.clone()).filter(|id| !id.is_empty());
        Self::begin_session(store, account, config, session_id, Some(called.clone()), now)
    }

    fn begin_session(
        store: Arc<dyn Store>,
        account: AccountNo,
        config: ClientConfig,
        notified: Option<String>,
        called: Option<Called>,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        for book in &config.books {
            book.filter.as_ref().map(|filter| filter.for_book(book.book, Version::V12)).transpose()?;
        }
        if server::tells_too_soon(&config) {
            return Err(ClientError::ToldTooSoon);
        }
        let peer = (config.server_uri.clone(), None);
        let state = State::new(Role::Client, config.version, peer, config.device_id.clone());
        let mut client = Self {
            store,
            account,
            config,
            token: Token([0; 16]),
            notified,
            called,
            session_id: String::new(),
            msg_id: 0,
            tries: 0,
            request: None,
            mac: None,
            answers_with_mac: false,
            busy: 0,
            wait: Duration::ZERO,
            asking: None,
            server: Believed::default(),
            suspending: false,
            lowered_until: None,
            room: Vec::new(),
            signed_again: false,
            nonce: None,
            state,
        };
        client.start(now)?;
        Ok(client)
    }

    /// The next request to post, or `None` when the session is over. The same request is given until
    /// [`received`](Self::received) was called for it, so that a failed post is repeated byte for byte.
    #[must_use]
    pub fn outgoing(&self) -> Option<Outgoing> {
        let body = self.request.clone()?;
        let uri = self.state.resp_uri.clone().unwrap_or_else(|| self.config.server_uri.clone());
        let (content_type, mac) = (self.config.encoding.media_type(), self.mac.clone());
        Some(Outgoing { uri, content_type, body, mac, wait: self.wait, opens: self.msg_id == 1 })
    }

    /// Whether all that the server has to say is here, and the server was not told yet what became of it. Who takes no further
    /// part from here on, and goes back to a copy of the store made before the session began, is to the server a device whose
    /// connection broke: of a refresh nothing counts as delivered.
    #[must_use]
    pub fn has_heard_all(&self) -> bool {
        self.request.is_some() && self.state.package == Package::Confirming
    }

    /// Takes the server's answer to the last [`outgoing`](Self::outgoing), of a transport that has no header for a MAC.
    ///
    /// # Errors
    /// What ends the session early; the report tells how far it came.
    pub fn received(&mut self, content_type: &str, body: &[u8], now: Timestamp) -> Result<(), ClientError> {
        self.received_with_mac(content_type, body, None, now)
    }

    /// Takes the server's answer to the last [`outgoing`](Self::outgoing), and the answer's `x-syncml-hmac` header. In the
    /// MAC scheme one is checked before the answer is read; a server that gave one has to go on doing so.
    ///
    /// # Errors
    /// What ends the session early; the report tells how far it came.
    pub fn received_with_mac(
        &mut self,
        content_type: &str,
        body: &[u8],
        mac: Option<&str>,
        now: Timestamp,
    ) -> Result<(), ClientError> {
        let before = Before::of(self);
        before.message().in_scope(|| {
            let server = self.config.server.as_ref();
            let answered = self.config.credentials.check_answer(server, self.mac.as_deref(), mac, body);
            let result = match answered {
                Answered::Wrong => Err(ClientError::Unproven),
                answered => self.take(content_type, body, answered, now),
            };
            if result.is_err() {
                self.request = None;
            }
            before.tell(self, body.len(), &result);
            result
        })
    }

    /// Breaks the session off: the request that follows the next answer says so to the server (224), and the session ends
    /// with its answer. What was done so far stays done. A slow sync goes on where it was in the next session; before 1.2,
    /// and before the server has let the client in, the session simply ends.
    pub const fn suspend(&mut self) {
        self.suspending = true;
    }

    /// Says what still fits into a book (§3.18): the server is told so with this side's changes, and is asked to send no
    /// more. What it adds beyond that is answered 420 and is not stored; it is sent again when there is room. To be called
    /// before the first [`received`](Self::received).
    pub fn set_free_memory(&mut self, book: BookNo, memory: Mem) {
        self.room.retain(|(of, _)| *of != book);
        self.room.push((book, memory));
        self.make_room();
    }

    /// Also when the session begins again.
    fn make_room(&mut self) {
        for (book, memory) in &self.room {
            for store in self.state.stores.iter_mut().filter(|store| store.book == *book) {
                store.own_room = Some((*memory).into());
            }
        }
    }

    /// What was done so far; complete once [`outgoing`](Self::outgoing) gives `None`.
    #[must_use]
    pub fn report(&self) -> Report {
        let problems = self.state.stores.iter().filter_map(problem).collect();
        Report { problems, ..self.state.report() }
    }

    fn start(&mut self, now: Timestamp) -> Result<(), ClientError> {
        self.msg_id = 1;
        let (mut token, mut session_id, mut nonce) = (self.token, String::new(), None);
        let notified = self.notified.clone();
        let (state, request) = self.step(now, |step, tx| {
            // The counter makes the session's id and token; it is kept with the books, so they never come again.
            step.device.nonce_count += 1;
            step.device.last_seen = step.now;
            let count = step.device.nonce_count;
            step.state.version = fallback::first(&step.device, step.state.version, step.now);
            // At most 4 characters (§1.3).
            session_id = notified.clone().unwrap_or_else(|| (count % 9_999 + 1).to_string());
            step.session_id.clone_from(&session_id);
            token = client_token(&step.config.device_id, &step.config.server_uri, count);
            step.turn.token = token;
            nonce.clone_from(&step.device.nonce_in);
            step.credential =
                step.config.credentials.first(&step.config.device_id, step.state.version, nonce.as_deref());
            step.choose_manners();
            step.state.stores.clear();
            step.open_books(tx)?;
            step.initialise(tx, None).map(Some)
        })?;
        (self.token, self.session_id, self.nonce) = (token, session_id, nonce);
        self.server = Believed::default();
        self.sent(state, request);
        self.make_room();
        Ok(())
    }

    fn sent(&mut self, state: State, request: Option<Vec<u8>>) {
        self.signed_again = false;
        self.state = state;
        self.state.bytes_out += request.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.state.messages += u32::from(request.is_some());
        self.mac = request
            .as_ref()
            .and_then(|body| self.config.credentials.mac(&self.config.device_id, self.nonce.as_deref(), body));
        self.asking = None;
        self.request = request;
    }

    fn step(
        &self,
        now: Timestamp,
        mut work: impl FnMut(&mut Step<'_>, &mut dyn Tx) -> crate::store::Result<Option<Vec<u8>>>,
    ) -> Result<(State, Option<Vec<u8>>), ClientError> {
        let mut result = None;
        self.store.step(self.account, &mut |tx| {
            let device = match tx.device(&self.config.server_uri)? {
                Some(device) => device,
                None => {
                    let mut row = DeviceRow::new(&self.config.server_uri, now);
                    row.device = tx.put_device(&row)?;
                    row
                }
            };
            let turn = Turn {
                role: Role::Client,
                device: device.device,
                token: self.token,
                now,
                large: self.config.large(),
                guard: self.config.guard,
                quota: Quota::NONE,
                rest: BTreeMap::new(),
                archives: Vec::new(),
                manners: self.config.profiles.manners(&self.state.rules),
                rows: Default::default(),
                pairs: Default::default(),
                lenses: Default::default(),
                said: Default::default(),
            };
            let mut step = Step {
                config: &self.config,
                now,
                turn,
                state: self.state.clone(),
                device: Kept::read(device),
                session_id: self.session_id.clone(),
                msg_id: self.msg_id,
                suspend: self.suspending,
                called: self.called.as_ref(),
                credential: None,
                word: (StatusCode::OK, None),
            };
            let request = work(&mut step, tx)?;
            if self.msg_id > 1 && self.is_believed() {
                fallback::remember(&mut step.device, self.config.version, step.state.version, self.lowered_until);
            }
            step.device.write(|device| tx.put_device(device).map(drop))?;
            result = Some((step.state, request));
            Ok(Verdict::Commit)
        })?;
        result.ok_or_else(|| StoreError::Failed("the store did not run the step".to_owned()).into())
    }
}

/// A session's token in a client's own store: it names the rows of this session and nobody else sees it.
fn client_token(device_id: &str, server_uri: &str, count: i64) -> Token {
    let mut hash = Sha256::new();
    hash.update(b"syncml client session");
    for part in [device_id.as_bytes(), server_uri.as_bytes(), &count.to_be_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut token = [0; 16];
    token.copy_from_slice(&hash.finalize()[..16]);
    Token(token)
}

fn problem(store: &StoreState) -> Option<String> {
    let name = &store.there;
    match store.failed {
        Some(404) => Some(format!("the server has no book {name:?}: check the book's remote name")),
        Some(code @ (406 | 421 | 422)) if store.filter.is_some() => Some(format!(
            "the server does not do this filter of {name:?} ({code}): sync without it, or with a simpler one"
        )),
        Some(403) if store.reason.as_deref() == Some(HoldReason::SlowSync.sentence()) => Some(format!(
            "{name:?} was not synced: {}. `syncml held release` lets it happen",
            HoldReason::SlowSync.sentence()
        )),
        Some(code) => {
            Some(format!("the sync of {name:?} ended with status {code}: {}", status_policy(StatusCode(code)).advice))
        }
        None if store.held > 0 => Some(format!(
            "{} deletes of {name:?} were held back: too many to be meant. What they would have deleted is still here",
            store.held
        )),
        None if store.withheld > 0 => Some(format!(
            "{} items of {name:?} were not taken: the server has no room for them. They are sent again when it has",
            store.withheld
        )),
        None if !store.clean && store.awaiting > 0 => {
            Some(format!("{} items of {name:?} were not answered; they are sent again next time", store.awaiting))
        }
        None => None,
    }
}
