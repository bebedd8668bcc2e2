//! The client's side of the conversation.

use super::Report;
use crate::auth::Secret;
use crate::codec::Encoding;
use crate::message::{AlertCode, StatusCode, Timestamp, Version};
use crate::store::{AccountNo, BookNo, Store, StoreError};
use std::sync::Arc;
use thiserror::Error;

/// With what a client authenticates.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// `syncml:auth-basic`: only over a protected transport or loopback.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `syncml:auth-md5`.
    Md5 {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The DeviceID shared secret (mission S3).
    Device {
        /// The account to speak for.
        account: String,
        /// The secret shared with the server.
        secret: Secret,
    },
}

/// One book of a client's session.
#[derive(Clone, Debug)]
pub struct ClientBook {
    /// The book in the client's own store.
    pub book: BookNo,
    /// Its address here, as told to the server.
    pub local_uri: String,
    /// Its address at the server.
    pub remote_uri: String,
    /// The sync wanted: 200 or 201.
    pub mode: AlertCode,
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
    /// The books to sync.
    pub books: Vec<ClientBook>,
    /// The encoding.
    pub encoding: Encoding,
    /// The version to begin with.
    pub version: Version,
    /// The largest message this client accepts and announces, in bytes.
    pub max_msg_size: u64,
    /// The largest object this client accepts and announces, in bytes.
    pub max_obj_size: u64,
}

/// A request to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub uri: String,
    /// Its Content-Type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Why a client's session ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused the credentials.
    #[error("the server refused the credentials ({0}): check the user name and the password or secret")]
    Refused(StatusCode),
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
    #[error("the server ended the session with status {0}")]
    Ended(StatusCode),
    /// The client's own store failed.
    #[error("this side's store failed: {0}")]
    Store(#[from] StoreError),
}

/// A SyncML client's session over its own store.
pub struct Client {
    store: Arc<dyn Store>,
    account: AccountNo,
    config: ClientConfig,
    report: Report,
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
        _now: Timestamp,
    ) -> Result<Self, ClientError> {
        Ok(Self { store, account, config, report: Report::default() })
    }

    /// The next request to post, or `None` when the session is over. The same request is given until
    /// [`received`](Self::received) was called for it, so that a failed post is repeated byte for byte.
    ///
    /// # Errors
    /// The store's own failure.
    pub fn outgoing(&mut self, _now: Timestamp) -> Result<Option<Outgoing>, ClientError> {
        let _ = (&self.store, self.account, &self.config);
        Ok(None)
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// What ends the session early.
    pub fn received(&mut self, _content_type: &str, _body: &[u8], _now: Timestamp) -> Result<(), ClientError> {
        Ok(())
    }

    /// What was done so far; complete once [`outgoing`](Self::outgoing) gives `None`.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }
}
