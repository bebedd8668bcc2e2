//! Who may speak, with what device, and in which session.

use super::super::written::{binary, text};
use super::{AccountNo, BookNo, DeviceNo};
use crate::auth::Verifier;
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Keys shared by all nodes of a store, ascending by number; never none. The newest whose time has come sign, older ones
/// are still believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub Vec<KeySet>);

impl Keys {
    /// Those that sign at a time: the newest whose own has come.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Option<&KeySet> {
        self.0.iter().rev().find(|set| set.since <= now).or_else(|| self.0.first())
    }
}

/// Keys of one generation.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Its number, from 1.
    pub number: u32,
    /// When it begins to sign.
    pub since: Timestamp,
    /// Derives challenge nonces.
    pub nonce: [u8; 32],
    /// Derives session tokens.
    pub token: [u8; 32],
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({}, since {}, …)", self.number, self.since.0)
    }
}

/// A login: a name with which a person's devices authenticate.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account it opens.
    pub account: AccountNo,
    /// What its credentials are checked against.
    pub verifier: Verifier,
}

/// What kind of device authenticates by its device id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// One person's handset.
    Handset,
    /// A platform that speaks for many accounts.
    Platform,
}

/// A device that authenticates by its device id and a shared secret (mission S3).
#[derive(Clone, Debug)]
pub struct Principal {
    /// Its kind.
    pub kind: PrincipalKind,
    /// One verifier per digest: `auth::Verifier::Device` values.
    pub verifiers: Vec<Verifier>,
}

/// A device known to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its number, or [`DeviceNo::NEW`].
    pub device: DeviceNo,
    /// Its id, as in the header's Source.
    pub device_id: String,
    /// Its device information as a document that stands alone, in either encoding ([`decode_devinf`](crate::codec::decode_devinf)),
    /// if it sent one.
    #[serde(with = "text::option")]
    pub devinf: Option<Vec<u8>>,
    /// The name of the profile rule in force.
    pub profile: Option<String>,
    /// Counts authenticated sessions; challenge nonces derive from it.
    pub nonce_count: i64,
    /// The nonce the device will use next, if one was handed out on success.
    #[serde(with = "binary::option")]
    pub nonce_out: Option<Vec<u8>>,
    /// The nonce we shall use next towards it, if it handed one out.
    #[serde(with = "binary::option")]
    pub nonce_in: Option<Vec<u8>>,
    /// When it last authenticated.
    pub last_seen: Timestamp,
}

impl DeviceRow {
    /// A device seen for the first time.
    #[must_use]
    pub fn new(device_id: &str, now: Timestamp) -> Self {
        Self {
            device: DeviceNo::NEW,
            device_id: device_id.to_owned(),
            devinf: None,
            profile: None,
            nonce_count: 0,
            nonce_out: None,
            nonce_in: None,
            last_seen: now,
        }
    }

    /// The row under which a program or service of the host writes: an origin with a name. No SyncML device is called
    /// like that.
    #[must_use]
    pub fn local(name: &str, now: Timestamp) -> Self {
        Self::new(&format!("{name}:"), now)
    }

    /// Whether it is a program or service of the host, and none that speaks SyncML.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        self.device_id.strip_suffix(':').is_some_and(|name| name.bytes().all(of_name))
    }
}

/// A session's 128-bit token, carried in the RespURI.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(#[serde(with = "binary")] pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A session: its state after the last message, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its token.
    pub token: Token,
    /// The device it is held with.
    pub device: DeviceNo,
    /// `SessionID` as the initiator chose it.
    pub session_id: String,
    /// The books it is about: those alerted in it.
    pub books: Vec<BookNo>,
    /// The last message processed.
    pub last_msg_id: u32,
    /// SHA-256 of that request.
    #[serde(with = "binary")]
    pub last_digest: [u8; 32],
    /// SHA-256 of earlier requests, newest first, a few.
    pub recent_digests: Vec<[u8; 32]>,
    /// The reply to the last request, byte for byte (in the client role: the request to be sent).
    #[serde(with = "binary")]
    pub last_reply: Vec<u8>,
    /// Media type of the reply.
    pub reply_type: String,
    /// Version of `state`.
    pub state_version: i64,
    /// The session's state, at most 16 KB, without per-item data.
    #[serde(with = "text")]
    pub state: Vec<u8>,
    /// When the row may be removed.
    pub deadline: Timestamp,
}

impl SessionRow {
    /// A session in which nothing was said yet.
    #[must_use]
    pub fn new(token: Token, device: DeviceNo, session_id: &str, state_version: i64, deadline: Timestamp) -> Self {
        Self {
            token,
            device,
            session_id: session_id.to_owned(),
            books: Vec::new(),
            last_msg_id: 0,
            last_digest: [0; 32],
            recent_digests: Vec::new(),
            last_reply: Vec::new(),
            reply_type: String::new(),
            state_version,
            state: Vec::new(),
            deadline,
        }
    }
}
