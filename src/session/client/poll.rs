//! Asking "has anything changed for me?" (see [`changes`](crate::session::changes)).

use super::credential::Answered;
use super::{ClientError, Credentials, MAX_TRIES, Outgoing, Patience};
use crate::auth::Challenge;
use crate::codec::{EncodeError, Encoding, Limits, decode};
use crate::message::{
    Command, Data, Get, Header, Item, Location, Message, Meta, MsgId, SessionId, StatusCode, Version,
};
use crate::session::ServerIdentity;
use crate::session::changes::{MEDIA_TYPE, Question};
use crate::session::outbox::Outbox;
use crate::store::{AccountNo, BookNo};
use std::fmt;
use std::time::Duration;

/// Pages of an answer at most: a server that always names another is given up.
const MAX_PAGES: u32 = 100_000;

/// How to ask.
#[derive(Clone, Debug)]
pub struct PollConfig {
    /// The server's URL.
    pub server_uri: String,
    /// The id under which this device syncs: the server compares with what that has.
    pub device_id: String,
    /// With what it authenticates; for all accounts a platform's [`Credentials::Device`].
    pub credentials: Credentials,
    /// The server that must have proven itself by its own secret; `None` trusts whoever answers at the address. An answer
    /// outside of a session can only do so by its MAC: this needs [`Credentials::Mac`].
    pub server: Option<ServerIdentity>,
    /// How long a busy server is waited for.
    pub patience: Patience,
    /// All accounts granted to the platform, or only the one of the credentials.
    pub all: bool,
    /// The nonce the server gave last, if one is known: it saves a round trip ([`Poll::nonce`]).
    pub nonce: Option<Vec<u8>>,
    /// The encoding.
    pub encoding: Encoding,
    /// The version.
    pub version: Version,
    /// The largest message to take, in bytes.
    pub max_msg_size: u64,
}

impl PollConfig {
    /// The defaults: the account of the credentials, XML of version 1.2, answers of 64 KiB, the usual patience, a server that
    /// need not prove itself.
    pub fn new(server_uri: impl Into<String>, device_id: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            server_uri: server_uri.into(),
            device_id: device_id.into(),
            credentials,
            server: None,
            patience: Patience::default(),
            all: false,
            nonce: None,
            encoding: Encoding::Xml,
            version: Version::V12,
            max_msg_size: 1 << 16,
        }
    }
}

/// What a server said of a book.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct News {
    /// The account, where all were asked for.
    pub account: Option<String>,
    /// The book's name at the server.
    pub book: String,
    /// Whether a sync would bring something.
    pub changed: bool,
}

/// A question to a server, asked page by page. Pure: [`outgoing`](Self::outgoing), post it,
/// [`received`](Self::received), until nothing is left to post; then [`news`](Self::news).
pub struct Poll {
    config: PollConfig,
    question: Question,
    msg_id: u32,
    tries: u32,
    pages: u32,
    nonce: Option<Vec<u8>>,
    request: Option<Vec<u8>>,
    /// Its MAC.
    mac: Option<String>,
    /// Whether the answers have one: then all must.
    answers_with_mac: bool,
    /// How often the server said that it is busy, and how long to wait before the request is posted.
    busy: u32,
    wait: Duration,
    news: Vec<News>,
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("msg_id", &self.msg_id).field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl Poll {
    /// Prepares the question.
    ///
    /// # Errors
    /// [`ClientError::Unwritable`] for names that cannot be written, [`ClientError::Unprovable`] if
    /// [`PollConfig::server`] could not prove itself.
    pub fn new(config: PollConfig) -> Result<Self, ClientError> {
        if config.server.is_some() && !matches!(config.credentials, Credentials::Mac { .. }) {
            return Err(ClientError::Unprovable);
        }
        let question = if config.all { Question::All((AccountNo(0), BookNo(0))) } else { Question::Account };
        let nonce = config.nonce.clone();
        let mut poll = Self {
            config,
            question,
            msg_id: 1,
            tries: 0,
            pages: 0,
            nonce,
            request: None,
            mac: None,
            answers_with_mac: false,
            busy: 0,
            wait: Duration::ZERO,
            news: Vec::new(),
        };
        poll.ask(None)?;
        Ok(poll)
    }

    /// The request to post, or `None` when all is answered.
    #[must_use]
    pub fn outgoing(&self) -> Option<Outgoing> {
        let body = self.request.clone()?;
        let (uri, content_type) = (self.config.server_uri.clone(), self.config.encoding.media_type());
        // A question changes nothing: it may be asked twice.
        Some(Outgoing { uri, content_type, body, mac: self.mac.clone(), wait: self.wait, opens: false })
    }

    /// What the server said so far: for one account every book, for all accounts those with news.
    #[must_use]
    pub fn news(&self) -> &[News] {
        &self.news
    }

    /// The nonce for the next question, to keep with the device.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Takes the answer, of a transport that has no header for a MAC.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::NoPolling`] of a server that does not know the question, or one whose
    /// answer cannot be read.
    pub fn received(&mut self, content_type: &str, body: &[u8]) -> Result<(), ClientError> {
        self.received_with_mac(content_type, body, None)
    }

    /// Takes the answer and its `x-syncml-hmac` header. In the MAC scheme one is checked before the answer is read; a
    /// server that gave one has to go on doing so.
    ///
    /// # Errors
    /// As [`received`](Self::received); [`ClientError::Unproven`] for an answer that is not the server's.
    pub fn received_with_mac(&mut self, content_type: &str, body: &[u8], mac: Option<&str>) -> Result<(), ClientError> {
        let request = self.request.take();
        let server = self.config.server.as_ref();
        let answered = self.config.credentials.check_answer(server, self.mac.as_deref(), mac, body);
        if answered == Answered::Wrong {
            return Err(ClientError::Unproven);
        }
        let unreadable = |error: &dyn fmt::Display| ClientError::Unreadable(error.to_string());
        let encoding = Encoding::from_content_type(content_type)
            .ok_or_else(|| unreadable(&format_args!("{content_type:?} is not a SyncML media type")))?;
        let message = decode(body, encoding, &Limits::default()).map_err(|error| unreadable(&error))?;
        let status = |wanted: &str| {
            message.body.iter().find_map(|command| match command {
                Command::Status(status) if &*status.cmd == wanted => Some(status),
                _ => None,
            })
        };
        let header = status(crate::message::names::SYNC_HDR);
        let challenge = header.and_then(|status| status.chal.as_ref()).and_then(|chal| Challenge::read(chal).ok());
        let given = challenge.map(|challenge| challenge.nonce).filter(|nonce| !nonce.is_empty());
        match header.map_or(StatusCode::OK, |status| status.code) {
            code @ (StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS) => {
                self.tries += 1;
                let hopeless = code == StatusCode::INVALID_CREDENTIALS && self.config.credentials.is_static();
                if hopeless || self.tries > MAX_TRIES {
                    return Err(ClientError::Refused(code));
                }
                self.nonce = given;
                return self.ask(Some(&message));
            }
            StatusCode::IN_PROGRESS => {
                self.busy += 1;
                self.wait = self.config.patience.after(self.busy).ok_or(ClientError::Busy)?;
                self.request = request;
                return Ok(());
            }
            StatusCode(200..=299) => {}
            code => return Err(ClientError::Ended(code)),
        }
        if answered == Answered::Without && (self.config.server.is_some() || self.answers_with_mac) {
            return Err(ClientError::Unproven);
        }
        self.answers_with_mac |= answered == Answered::Good;
        self.busy = 0;
        self.nonce = given;
        if let Some(code) = status("Get").map(|status| status.code).filter(|code| !code.is_success()) {
            return Err(ClientError::NoPolling(code));
        }
        let mut next = None;
        let results = message.body.iter().filter_map(|command| match command {
            Command::Results(results) => Some(&results.items),
            _ => None,
        });
        for item in results.flatten() {
            let Some(source) = &item.source else { continue };
            match item.data.as_ref().and_then(Data::as_str) {
                Some(data) => self.news.push(News {
                    account: source.name.as_ref().map(ToString::to_string),
                    book: source.uri.trim_start_matches("./").to_owned(),
                    changed: data.trim() != "0",
                }),
                None => next = Question::of_uri(&source.uri),
            }
        }
        self.pages += 1;
        match next {
            Some(next) if next != self.question && self.pages < MAX_PAGES => {
                self.question = next;
                self.tries = 0;
                self.ask(None)
            }
            _ => Ok(()),
        }
    }

    /// Writes the question; behind a challenge as the next message of the same session (§5.3).
    fn ask(&mut self, challenge: Option<&Message<'_>>) -> Result<(), ClientError> {
        self.msg_id = if challenge.is_some() { self.msg_id + 1 } else { 1 };
        let body = self.write(challenge).map_err(|error| ClientError::Unwritable(error.to_string()))?;
        self.mac = self.config.credentials.mac(&self.config.device_id, self.nonce.as_deref(), &body);
        (self.request, self.wait) = (Some(body), Duration::ZERO);
        Ok(())
    }

    fn write(&self, challenge: Option<&Message<'_>>) -> Result<Vec<u8>, EncodeError> {
        let PollConfig { device_id, credentials, version, encoding, .. } = &self.config;
        let name = Some(credentials.user()).filter(|name| !name.is_empty());
        let source = Location { uri: (&**device_id).into(), name: name.map(Into::into) };
        let target = Location::new(&*self.config.server_uri);
        let mut header = Header::new(*version, SessionId::from("1"), MsgId(self.msg_id), target, source);
        let nonce = self.nonce.as_deref();
        header.cred = match challenge {
            Some(_) => credentials.again(device_id, *version, nonce),
            None => credentials.first(device_id, *version, nonce),
        };
        header.meta = Some(Meta { max_msg_size: Some(self.config.max_msg_size), ..Meta::default() });
        let mut outbox = Outbox::new(&header, *encoding, *version, None)?;
        if let Some(message) = challenge {
            let (target, source) = (&message.header.target.uri, &message.header.source.uri);
            outbox.header_status(&message.header.msg_id.to_string(), target, source, StatusCode::OK, None, None)?;
        }
        let item = Item { target: Some(Location::new(self.question.uri())), ..Item::default() };
        outbox.command(|cmd_id| {
            Command::Get(Get {
                cmd_id,
                no_resp: false,
                lang: None,
                cred: None,
                meta: Some(Meta::of_type(MEDIA_TYPE)),
                items: vec![item],
            })
        })?;
        Ok(outbox.finish(true))
    }
}
