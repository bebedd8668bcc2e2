//! The binary notification of OMA DS 1.2 (§8.1, §8.2).

use crate::auth::{Secret, formulas};
use crate::message::AlertCode;
use std::fmt;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Bytes of a notification at most. All that has meaning fits into 4,180; the rest is the vendor's.
const MAX_BYTES: usize = 8 * 1024;

/// Octets of an identifier or address at most: its length is one octet.
const MAX_TEXT: usize = 255;

/// Syncs at most: their number has four bits.
const MAX_SYNCS: usize = 15;

/// The version, times ten.
const VERSION: u16 = 12;

/// Octets of the digest.
const DIGEST: usize = 16;

/// How the client should treat its user; a recommendation (§8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UiMode {
    /// Nothing is said.
    #[default]
    Unspecified,
    /// Do it in the background.
    Background,
    /// Show that it is done.
    Informative,
    /// Ask first.
    Interactive,
}

impl UiMode {
    const ALL: [Self; 4] = [Self::Unspecified, Self::Background, Self::Informative, Self::Interactive];
}

/// Who wanted the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Initiator {
    /// The user, by way of the server.
    User,
    /// The server.
    #[default]
    Server,
}

/// One sync wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanSync {
    /// 206 to 210 when built; whatever was said (200 to 215) when read.
    pub code: AlertCode,
    /// The media type as a WSP number of 24 bits; 0 says nothing.
    pub content_type: u32,
    /// The server's datastore, at most 255 octets; empty says nothing.
    pub server_uri: String,
}

/// What a notification says, all but its digest (§8.1).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct San {
    /// How to treat the user.
    pub ui: UiMode,
    /// Who wanted it.
    pub initiator: Initiator,
    /// The session to be held; 0 lets the client choose.
    pub session_id: u16,
    /// The server's identifier, at most 255 octets: the client knows the server by it.
    pub server_id: String,
    /// The syncs wanted, at most 15; none means all books that the client syncs with this server.
    pub syncs: Vec<SanSync>,
    /// What a vendor adds.
    pub vendor: Vec<u8>,
}

/// With what a server signs and a client checks (§8.2).
#[derive(Clone, Copy, Debug)]
pub struct SanKey<'a> {
    /// The password with which the server proves itself to this client.
    pub password: &'a Secret,
    /// The nonce the client gave the server last, empty if it never did.
    pub nonce: &'a [u8],
}

/// Why bytes are no notification, or why one cannot be written. No content is quoted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SanError {
    /// It ends within an element.
    #[error("{element}, byte {at}: the notification ends here")]
    Truncated {
        /// The element.
        element: &'static str,
        /// Bytes from the start.
        at: usize,
    },
    /// Something is larger than its length or number can say, or than is read.
    #[error("{element} has {size}, more than {limit}")]
    TooLong {
        /// The element.
        element: &'static str,
        /// Octets or entries.
        size: usize,
        /// The most allowed.
        limit: usize,
    },
    /// An element breaks a rule.
    #[error("{element}, byte {at}: {rule}")]
    Malformed {
        /// The element.
        element: &'static str,
        /// Bytes from the start.
        at: usize,
        /// The rule.
        rule: &'static str,
    },
}

impl San {
    /// Its bytes, signed with `key`; without one the digest is all zeros, which says that there is none.
    ///
    /// # Errors
    /// [`SanError`] for texts, numbers and codes that the format has no room for.
    pub fn write(&self, key: Option<SanKey<'_>>) -> Result<Vec<u8>, SanError> {
        let mut out = vec![0; DIGEST];
        let flags = (self.ui as u8) << 4 | u8::from(self.initiator == Initiator::Server) << 3;
        out.extend([(VERSION >> 2) as u8, ((VERSION & 3) << 6) as u8 | flags, 0, 0, 0]);
        out.extend(self.session_id.to_be_bytes());
        push_text(&mut out, "server-identifier", &self.server_id)?;
        if self.syncs.len() > MAX_SYNCS {
            return Err(SanError::TooLong { element: "num-syncs", size: self.syncs.len(), limit: MAX_SYNCS });
        }
        out.push((self.syncs.len() as u8) << 4);
        for sync in &self.syncs {
            let at = out.len();
            if !is_by_server(sync.code) {
                return Err(SanError::Malformed { element: "sync-type", at, rule: "only 206 to 210 can be asked for" });
            }
            out.push(((sync.code.0 - 200) as u8) << 4);
            let [high, content_type @ ..] = sync.content_type.to_be_bytes();
            if high != 0 {
                return Err(SanError::Malformed { element: "content-type", at, rule: "a number of 24 bits" });
            }
            out.extend(content_type);
            push_text(&mut out, "server-uri", &sync.server_uri)?;
        }
        out.extend(&self.vendor);
        if out.len() > MAX_BYTES {
            return Err(SanError::TooLong { element: "notification", size: out.len(), limit: MAX_BYTES });
        }
        if let Some(key) = key {
            let digest = digest(&self.server_id, key, &formulas::body_hash(&out[DIGEST..]));
            out[..DIGEST].copy_from_slice(&digest);
        }
        Ok(out)
    }
}

/// A notification as it was received. Nothing of it is proven before [`is_signed_with`](Self::is_signed_with).
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedSan {
    /// What it says.
    pub san: San,
    /// What is wrong with its body, if anything: then it has no syncs, which means all (§8.3).
    pub fault: Option<SanError>,
    digest: [u8; DIGEST],
    /// MD5 of everything behind the digest, as received: reserved bits need not be zero.
    trigger_hash: [u8; 16],
}

impl ReceivedSan {
    /// Reads a notification of at most 8 KiB. Reserved bits may be anything.
    ///
    /// # Errors
    /// [`SanError`] for what stands before the body. A fault of the body is kept in [`fault`](Self::fault) instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, SanError> {
        if bytes.len() > MAX_BYTES {
            return Err(SanError::TooLong { element: "notification", size: bytes.len(), limit: MAX_BYTES });
        }
        let mut reader = Reader { bytes, at: 0 };
        let digest = reader.array("digest")?;
        let at = reader.at;
        let [high, flags, ..] = reader.array::<5>("header")?;
        if u16::from(high) << 2 | u16::from(flags) >> 6 != VERSION {
            return Err(SanError::Malformed { element: "version", at, rule: "only 1.2 (12) is read here" });
        }
        let ui = UiMode::ALL[usize::from(flags >> 4 & 3)];
        let initiator = if flags & 8 == 0 { Initiator::User } else { Initiator::Server };
        let session_id = u16::from_be_bytes(reader.array("session-id")?);
        let server_id = reader.text("server-identifier")?;
        let (syncs, vendor, fault) = match reader.syncs() {
            Ok(syncs) => (syncs, bytes[reader.at..].to_vec(), None),
            Err(fault) => (Vec::new(), Vec::new(), Some(fault)),
        };
        let san = San { ui, initiator, session_id, server_id, syncs, vendor };
        Ok(Self { san, fault, digest, trigger_hash: formulas::body_hash(&bytes[DIGEST..]) })
    }

    /// Whether it has a digest at all: one of zeros is none (§8.2).
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.digest != [0; DIGEST]
    }

    /// Whether the digest was made with this key; compared in constant time.
    #[must_use]
    pub fn is_signed_with(&self, key: SanKey<'_>) -> bool {
        digest(&self.san.server_id, key, &self.trigger_hash).ct_eq(&self.digest).into()
    }
}

impl fmt::Debug for ReceivedSan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedSan")
            .field("san", &self.san)
            .field("fault", &self.fault)
            .field("signed", &self.is_signed())
            .finish_non_exhaustive()
    }
}

/// Is that an alert by which a server asks (§3.1)?
pub(super) const fn is_by_server(code: AlertCode) -> bool {
    code.0 >= AlertCode::TWO_WAY_BY_SERVER.0 && code.0 <= AlertCode::REFRESH_FROM_SERVER_BY_SERVER.0
}

/// Do the bytes behind the digest say version 1.2?
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    matches!(bytes.get(DIGEST..), Some([3, flags, _, _, _, _, _, _, ..]) if flags >> 6 == 0)
}

fn digest(server_id: &str, key: SanKey<'_>, trigger_hash: &[u8; 16]) -> [u8; DIGEST] {
    formulas::mac(&formulas::login_hash(server_id, key.password), key.nonce, trigger_hash)
}

fn push_text(out: &mut Vec<u8>, element: &'static str, text: &str) -> Result<(), SanError> {
    let size = text.len();
    let length = u8::try_from(size).map_err(|_| SanError::TooLong { element, size, limit: MAX_TEXT })?;
    out.push(length);
    out.extend(text.as_bytes());
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, element: &'static str, count: usize) -> Result<&'a [u8], SanError> {
        let taken = self.bytes.get(self.at..self.at + count);
        let taken = taken.ok_or(SanError::Truncated { element, at: self.bytes.len() })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, element: &'static str) -> Result<[u8; N], SanError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(element, N)?);
        Ok(array)
    }

    fn text(&mut self, element: &'static str) -> Result<String, SanError> {
        let [length] = self.array(element)?;
        let at = self.at;
        let octets = self.take(element, usize::from(length))?;
        let text = std::str::from_utf8(octets);
        text.map(str::to_owned).map_err(|_| SanError::Malformed { element, at, rule: "not UTF-8" })
    }

    fn syncs(&mut self) -> Result<Vec<SanSync>, SanError> {
        let [count] = self.array("num-syncs")?;
        let sync = |_| {
            let [code] = self.array("sync-type")?;
            let [a, b, c] = self.array("content-type")?;
            Ok(SanSync {
                code: AlertCode(200 + u16::from(code >> 4)),
                content_type: u32::from_be_bytes([0, a, b, c]),
                server_uri: self.text("server-uri")?,
            })
        };
        (0..count >> 4).map(sync).collect()
    }
}
