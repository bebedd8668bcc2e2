//! The server's side of the conversation.

mod admit;
mod anew;
mod attempt;
mod begin;
mod busy;
mod door;
mod errand;
mod found;
mod init;
mod keyring;
mod poll;
mod prove;
mod rate;
mod refusal;
mod step;
mod tell;

use self::busy::Waiting;
use self::keyring::{Keychain, Keyring};
use self::rate::Buckets;
pub use self::rate::Rate;
use self::tell::{Notes, Spans, Way};
use super::large::{BookRoom, LargeLimits};
use super::metrics::Metrics;
use super::receive::Quota;
use super::{Busy, Errands, Host, Profiles, Report};
use crate::auth::{Attempts, CredError, MacHeader, Presented};
use crate::codec::{EncodeError, Encoding, Limits, decode_header};
use crate::message::{Chal, Header, Location, StatusCode, Timestamp, Version};
use crate::store::{BookNo, Store, StoreError};
use crate::sync::DeletionGuard;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// Devices, and addresses, whose messages are counted.
const BUCKETS: usize = 50_000;

/// How a server behaves. Every field has a default that suits a server on the open network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The largest message this server accepts and announces, in bytes.
    pub max_msg_size: u64,
    /// The largest object this server accepts and announces, in bytes. What is larger than a message comes in chunks, of
    /// which no more than one is in memory ([`store::large`](crate::store::large)).
    pub max_obj_size: u64,
    /// The largest contact, in bytes, if that is less: contacts are read as a whole, so this bounds the memory of a sync.
    /// Above it a contact is refused with 416.
    pub max_card_size: u64,
    /// What all large contents of an account may take together, in bytes, superseded ones included. Above it objects that
    /// come in chunks are refused with 420.
    pub max_large_bytes: u64,
    /// Accept basic credentials on loopback although the transport is not protected.
    pub allow_basic: bool,
    /// Accept DeviceID credentials over any transport: who overhears one can use it until the secret is changed.
    pub allow_device: bool,
    /// Refuse MD5 credentials.
    pub refuse_md5: bool,
    /// Accept MAC credentials only: every message is proven whole (§5.6).
    pub require_mac: bool,
    /// How many messages of one account may wait for each other; who comes after is told that the server is busy.
    pub max_waiting: usize,
    /// How many messages a device of an account may send. Who sends more is told that the server is busy; nothing is done
    /// and nothing is lost.
    pub device_rate: Rate,
    /// How many messages may come from an address, whoever they are of; beyond it they are not even read. Not counted are
    /// those from this machine, where a proxy may be that speaks for all.
    pub address_rate: Rate,
    /// How many devices an account may have. One more is answered 420.
    pub max_devices: usize,
    /// How many sessions a device may have open before those that are about no book are ended; of others there is one for
    /// each book at most.
    pub max_sessions: u64,
    /// The most live items that devices may fill all books of an account with, as [`max_items`](Self::max_items) does for one.
    /// Books are weighed as a message finds them, so that one message may go beyond it.
    pub max_account_items: Option<u64>,
    /// The same in bytes of content.
    pub max_account_bytes: Option<u64>,
    /// The URL under which devices reach this server, for RespURI; where there is none, the one a device used.
    pub public_uri: Option<String>,
    /// When deletes that a device causes are held instead of obeyed.
    pub guard: DeletionGuard,
    /// The most live items that devices may fill a book with; more are answered 420, and stay where they are (§3.18). In a
    /// sync of everything it is what the device shows that counts, for it may be here already; but never does a book get
    /// larger than twice its limit.
    pub max_items: Option<u64>,
    /// The same in bytes of content.
    pub max_bytes: Option<u64>,
    /// Books whose history the host keeps for good, so that what a device wants archived before it is deleted can be read
    /// again; for other books such a delete is answered 210 (§3.12).
    pub archives: Vec<BookNo>,
    /// What is done differently for devices known to need it.
    pub profiles: Profiles,
    /// How long a session waits for its next message, in seconds; its last reply is kept as long.
    pub session_seconds: i64,
    /// How long a session may take in all, in seconds, and how many messages; then it is over, and the rest is done in the
    /// next one (§9.4).
    pub session_limit_seconds: i64,
    /// See [`session_limit_seconds`](Self::session_limit_seconds).
    pub max_messages: u32,
}

impl ServerConfig {
    /// What all books of an account may hold.
    pub(super) fn account_quota(&self) -> Quota {
        let endless = |most: Option<u64>| most.unwrap_or(u64::MAX);
        Quota { items: endless(self.max_account_items), bytes: endless(self.max_account_bytes) }
    }

    /// What this server takes of large objects.
    pub(super) const fn large(&self) -> LargeLimits {
        LargeLimits {
            object: self.max_obj_size,
            card: self.max_card_size,
            account: self.max_large_bytes,
            book: BookRoom::ENDLESS,
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_msg_size: 150_000,
            max_obj_size: 4_000_000,
            max_card_size: 4_000_000,
            max_large_bytes: 4_000_000_000,
            allow_basic: false,
            allow_device: false,
            refuse_md5: false,
            require_mac: false,
            max_waiting: 64,
            device_rate: Rate { burst: 5_000, per_second: 50 },
            address_rate: Rate { burst: 20_000, per_second: 2_000 },
            max_devices: 1_000,
            max_sessions: 32,
            max_account_items: None,
            max_account_bytes: None,
            public_uri: None,
            guard: DeletionGuard::default(),
            max_items: None,
            max_bytes: None,
            archives: Vec::new(),
            profiles: Profiles::shipped(),
            session_seconds: 900,
            session_limit_seconds: 86_400,
            max_messages: 2_000_000,
        }
    }
}

/// One request, and what the host's transport knows of it. `Debug` shows neither contents nor credentials.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its Content-Type.
    pub content_type: &'a str,
    /// Its bytes.
    pub body: &'a [u8],
    /// The `s` parameter of the URL it was posted to, if any: the session's token.
    pub token: Option<&'a str>,
    /// The `x-syncml-hmac` header, if any.
    pub mac: Option<&'a str>,
    /// Whether the transport is protected (TLS), as the host asserts.
    pub protected: bool,
    /// Whether the peer is on this machine.
    pub loopback: bool,
    /// The peer's address, for back-off.
    pub address: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("has_token", &self.token.is_some())
            .field("has_mac", &self.mac.is_some())
            .field("protected", &self.protected)
            .field("loopback", &self.loopback)
            .field("address", &self.address)
            .field("now", &self.now)
            .finish()
    }
}

/// The answer to a request. `Debug` does not show its contents.
#[derive(Clone)]
pub struct Reply {
    /// Its Content-Type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its `x-syncml-hmac` header, where the request had one and was let in by it (§5.6).
    pub mac: Option<String>,
    /// What the session did, once it has ended.
    pub report: Option<Report>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("has_mac", &self.mac.is_some())
            .field("report", &self.report)
            .finish()
    }
}

/// A request that gets no SyncML answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a SyncML media type. HTTP 415.
    #[error("{0:?} is not a SyncML media type; send application/vnd.syncml+xml or application/vnd.syncml+wbxml")]
    UnknownType(String),
    /// Larger than this server accepts. HTTP 413.
    #[error("the message has {size} bytes, more than the {limit} this server accepts")]
    TooLarge {
        /// Bytes received.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// Not even a header could be read. HTTP 400.
    #[error("the message cannot be read: {0}")]
    Unreadable(String),
    /// The URL names a session that has ended. HTTP 408.
    #[error("the session has ended; start a new one at the server's own address")]
    SessionGone,
    /// Too many messages of this account wait for each other. HTTP 503; a SyncML 101 where that can be the answer.
    #[error("too much is being done for this account; send the message again later")]
    Overloaded,
    /// Too many messages came from there, or of this device, lately. HTTP 503; a SyncML 101 where that can be the answer.
    #[error("too many messages came from there; send the message again later")]
    TooOften,
    /// The session is gone on with by a later release that serves the same store; this one leaves it alone. HTTP 503; a
    /// SyncML 101 where that can be the answer.
    #[error("this session is served by another release; send the message again later")]
    LaterRelease,
    /// The store cannot work now; why is not the peer's affair. HTTP 503.
    #[error("the message cannot be worked on now; send it again later")]
    Unavailable(#[source] StoreError),
    /// The store cannot work on it, and sending it again will not help. HTTP 500.
    #[error("the server failed on this message; sending it again will not help")]
    Failed(#[source] StoreError),
    /// Its answer cannot be written. HTTP 400.
    #[error("the message cannot be answered: {0}")]
    Unanswerable(String),
}

impl Refusal {
    /// The HTTP status that fits.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::UnknownType(_) => 415,
            Self::TooLarge { .. } => 413,
            Self::Unreadable(_) | Self::Unanswerable(_) => 400,
            Self::SessionGone => 408,
            Self::Failed(_) => 500,
            Self::Overloaded | Self::TooOften | Self::LaterRelease | Self::Unavailable(_) => 503,
        }
    }
}

/// A SyncML server over a store. All state is in the store, but for a bounded counter of failed credentials.
pub struct Server {
    store: Arc<dyn Store>,
    config: ServerConfig,
    keys: Keychain,
    attempts: Arc<Attempts>,
    host: Arc<dyn Host>,
    errands: Option<Arc<dyn Errands>>,
    busy: Mutex<Busy>,
    waiting: Waiting,
    devices: Mutex<Buckets>,
    addresses: Mutex<Buckets>,
    metrics: Arc<dyn Metrics>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Server {
    /// A server over `store`.
    ///
    /// # Errors
    /// The store's own failure to give its keys.
    pub fn new(store: Arc<dyn Store>, config: ServerConfig) -> crate::store::Result<Self> {
        let keys = Keychain::open(&*store)?;
        Ok(Self {
            store,
            config,
            keys,
            attempts: Arc::default(),
            host: Arc::new(()),
            errands: None,
            busy: Mutex::new(Busy::No),
            waiting: Waiting::default(),
            devices: Mutex::new(Buckets::new(BUCKETS)),
            addresses: Mutex::new(Buckets::new(BUCKETS)),
            metrics: Arc::new(()),
        })
    }

    /// The same server with a host that decides more than the configuration does.
    #[must_use]
    pub fn with_host(mut self, host: Arc<dyn Host>) -> Self {
        self.host = host;
        self
    }

    /// The same server, counting failed credentials where others do who let in the same people: another server of the store, or
    /// the page.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Arc<Attempts>) -> Self {
        self.attempts = attempts;
        self
    }

    /// The same server with somebody who has errands for its devices.
    #[must_use]
    pub fn with_errands(mut self, errands: Arc<dyn Errands>) -> Self {
        self.errands = Some(errands);
        self
    }

    /// The same server with somebody who keeps its numbers.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<dyn Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Who keeps its numbers.
    #[must_use]
    pub fn metrics(&self) -> &Arc<dyn Metrics> {
        &self.metrics
    }

    /// The store served.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Answers one request. The same request gets the same bytes again.
    ///
    /// What is decided is told by `tracing`, in the spans `session` and `message`; at the level `info` and above nothing of
    /// it is personal.
    ///
    /// # Errors
    /// [`Refusal`] where no SyncML message can be the answer; the host turns it into its transport's error.
    pub fn answer(&self, request: &Request<'_>) -> Result<Reply, Refusal> {
        if self.is_crowded(request) {
            let refusal = Refusal::TooOften;
            self.tell_unread(request.body.len(), &refusal);
            return Err(refusal);
        }
        let limits = self.limits();
        let (encoding, header, mac) =
            read(request, &limits).inspect_err(|refusal| self.tell_unread(request.body.len(), refusal))?;
        let digest = digest(request.body, mac.as_ref());
        let keys = self.keys.at(&*self.store, request.now);
        let asked = Asked { request, encoding, header: &header, mac, digest, keys, notes: Notes::default() };
        let spans = Spans::of(&asked);
        spans.message().in_scope(|| {
            let (way, outcome) = match self.decide(&asked, &limits) {
                Ok((way, reply)) => (way, Ok(reply)),
                Err(refusal) => (Way::Answered, Err(refusal)),
            };
            self.tell(&asked, &spans, way, &outcome);
            outcome
        })
    }

    fn decide(&self, asked: &Asked<'_>, limits: &Limits) -> Result<(Way, Reply), Refusal> {
        let refuse = |code, chal, says| Ok((Way::Refused(code), self.refuse(asked, limits, code, chal, says)?));
        if let Some((code, versions)) = unspoken_version(asked.header) {
            return refuse(code, None, Some(versions));
        }
        if self.is_busy(asked) {
            return match self.answered_before(asked)? {
                Some(reply) => Ok((Way::Answered, reply)),
                None => Ok((Way::Busy, busy::reply(asked, limits)?)),
            };
        }
        match self.admit(asked, limits) {
            Ok(Admission::Reply(reply)) => Ok((Way::Answered, reply)),
            Err(Refusal::Overloaded | Refusal::TooOften | Refusal::LaterRelease) => {
                Ok((Way::Busy, busy::reply(asked, limits)?))
            }
            Err(refusal) => Err(refusal),
            Ok(Admission::Refused(code, chal)) => {
                let says = (code == StatusCode::PROTOCOL_NOT_SUPPORTED).then_some(PROTOCOLS);
                refuse(code, chal, says)
            }
        }
    }

    /// What is read of a message: peers exceed the size we announce (SyncEvolution by up to 1.6 times).
    fn limits(&self) -> Limits {
        let announced = usize::try_from(self.config.max_msg_size).unwrap_or(usize::MAX);
        Limits { max_message: announced.saturating_mul(4).max(1 << 20), ..Limits::default() }
    }

    /// An answer that does nothing: the header's Status, and the same for every command (§5.3). It is not stored.
    fn refuse(
        &self,
        asked: &Asked<'_>,
        limits: &Limits,
        code: StatusCode,
        chal: Option<Chal<'static>>,
        says: Option<&'static str>,
    ) -> Result<Reply, Refusal> {
        let body = refusal::write(asked, limits, code, chal, says).map_err(|error| unanswerable(&error))?;
        Ok(Reply { content_type: asked.encoding.media_type(), body, mac: None, report: None })
    }
}

/// A request as far as it was read without doing anything.
pub(super) struct Asked<'a> {
    request: &'a Request<'a>,
    encoding: Encoding,
    header: &'a Header<'a>,
    /// The transport's header, if it can be read.
    mac: Option<MacHeader<'a>>,
    digest: [u8; 32],
    /// The keys in force.
    keys: Arc<Keyring>,
    /// What is to be told of it.
    notes: Notes,
}

impl Asked<'_> {
    /// The credential: the transport's, which covers the message, before the one in the message.
    fn presented(&self) -> Result<Option<Presented<'_>>, CredError> {
        match (self.request.mac, &self.mac) {
            (None, _) => Presented::of_header(self.header),
            (Some(_), None) => Err(CredError::Malformed),
            (Some(_), Some(mac)) => Presented::of_mac(mac, &self.header.source, self.request.body).map(Some),
        }
    }

    /// Whose nonces count: the header's Source. A MAC names its user itself where that does not.
    fn place(&self) -> Location<'_> {
        let source = &self.header.source;
        let said = source.name.as_deref().filter(|name| !name.trim().is_empty());
        let name = said.or_else(|| self.mac.as_ref().map(|mac| &*mac.user));
        Location { uri: (&*source.uri).into(), name: name.map(Into::into) }
    }

    /// What a failed credential is remembered by.
    fn credential(&self) -> &[u8] {
        match &self.mac {
            Some(mac) => mac.mac.as_bytes(),
            None => self.header.cred.as_ref().map_or(&[][..], |cred| &cred.data),
        }
    }
}

/// What is read of a request before anything is done.
fn read<'a>(
    request: &'a Request<'_>,
    limits: &Limits,
) -> Result<(Encoding, Header<'a>, Option<MacHeader<'a>>), Refusal> {
    let encoding = Encoding::from_content_type(request.content_type)
        .ok_or_else(|| Refusal::UnknownType(request.content_type.to_owned()))?;
    if request.body.len() > limits.max_message {
        return Err(Refusal::TooLarge { size: request.body.len(), limit: limits.max_message });
    }
    let header = decode_header(request.body, encoding, limits).map_err(|e| Refusal::Unreadable(e.to_string()))?;
    Ok((encoding, header, request.mac.and_then(MacHeader::parse)))
}

fn unanswerable(error: &EncodeError) -> Refusal {
    Refusal::Unanswerable(error.to_string())
}

/// By what a request is known again: its bytes, and the credential that came beside them.
fn digest(body: &[u8], mac: Option<&MacHeader<'_>>) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut part = |part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    part(body);
    if let Some(mac) = mac {
        part(mac.user.as_bytes());
        part(mac.mac.as_bytes());
    }
    digest.finalize().into()
}

/// What came of letting a message in.
pub(super) enum Admission {
    /// It was executed, or had been before.
    Reply(Reply),
    /// It was not let in; nothing was changed.
    Refused(StatusCode, Option<Chal<'static>>),
}

/// What is spoken here, as a 513 lists it.
const PROTOCOLS: &str = "SyncML/1.2,SyncML/1.1,SyncML/1.0";

/// 513 or 505 for a version that is not spoken here, and what is (§1.4).
fn unspoken_version(header: &Header<'_>) -> Option<(StatusCode, &'static str)> {
    if Version::from_proto(&header.ver_proto).is_none() {
        Some((StatusCode::PROTOCOL_NOT_SUPPORTED, PROTOCOLS))
    } else if header.version().is_none() {
        Some((StatusCode::VERSION_NOT_SUPPORTED, "1.2,1.1,1.0"))
    } else {
        None
    }
}
