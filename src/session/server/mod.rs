//! The server's side of the conversation.

mod init;
mod step;

use super::Report;
use crate::message::Timestamp;
use crate::store::Store;
use std::sync::Arc;
use thiserror::Error;

/// How a server behaves. Every field has a default that suits a server on the open network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The largest message this server accepts and announces, in bytes.
    pub max_msg_size: u64,
    /// The largest object this server accepts and announces, in bytes.
    pub max_obj_size: u64,
    /// Accept basic and static credentials on loopback although the transport is not protected.
    pub allow_basic: bool,
    /// How long a session waits for its next message, in seconds; its last reply is kept as long.
    pub session_seconds: i64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { max_msg_size: 150_000, max_obj_size: 4_000_000, allow_basic: false, session_seconds: 900 }
    }
}

/// One request, and what the host's transport knows of it.
#[derive(Clone, Copy, Debug)]
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

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its Content-Type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
    /// What the session did, once it has ended.
    pub report: Option<Report>,
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
    /// The store cannot work now. HTTP 503.
    #[error("the store cannot work now: {0}")]
    Unavailable(String),
}

impl Refusal {
    /// The HTTP status that fits.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::UnknownType(_) => 415,
            Self::TooLarge { .. } => 413,
            Self::Unreadable(_) => 400,
            Self::SessionGone => 408,
            Self::Unavailable(_) => 503,
        }
    }
}

/// A SyncML server over a store. Cheap to share: all state is in the store.
pub struct Server {
    store: Arc<dyn Store>,
    config: ServerConfig,
}

impl Server {
    /// A server over `store`.
    ///
    /// # Errors
    /// The store's own failure to give its keys.
    pub fn new(store: Arc<dyn Store>, config: ServerConfig) -> crate::store::Result<Self> {
        Ok(Self { store, config })
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
    /// # Errors
    /// [`Refusal`] where no SyncML message can be the answer; the host turns it into its transport's error.
    pub fn answer(&self, request: &Request<'_>) -> Result<Reply, Refusal> {
        Err(Refusal::Unreadable(request.content_type.to_owned()))
    }
}
