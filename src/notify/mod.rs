//! Server-alerted notification, package 0: a server asks a device to sync (§8, mission S8).
//!
//! Two forms: [`San`], the binary one of OMA DS 1.2 (§8.1), and [`Alert11`], a SyncML message of Alerts 206 to 210 for
//! devices of 1.0 and 1.1 (§8.4). How one travels – SMS, WAP push, OBEX, UDP – is the host's business (§8.5).
//!
//! Enters, on the server: a device and the books to sync. Leaves: bytes and their content type ([`Invitation`]). Enters,
//! on the client: such bytes ([`parse`]) and what is known of the server ([`accept_notification`]). Leaves: the books to
//! begin a [`Client`](crate::session::Client) with, or a sentence why not.

mod accept;
mod alert;
mod invite;
mod san;

pub use accept::{Accepted, KnownServer, RefusedNotification, Unsigned, accept_notification};
pub use alert::{Alert11, AlertedStore};
pub use invite::{Form, Invitation, InviteError, Invited};
pub use san::{Initiator, ReceivedSan, San, SanError, SanKey, SanSync, UiMode};

use crate::codec::{DecodeError, Encoding};
use thiserror::Error;

/// The media type of a 1.2 notification (§1.2).
pub const SAN_MEDIA_TYPE: &str = "application/vnd.syncml.ds.notification";

/// A notification, in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The binary form of 1.2.
    San(ReceivedSan),
    /// The message of 1.0 and 1.1.
    Alert(Box<Alert11>),
}

impl Notification {
    /// Whom it claims to come from: the server identifier, which in a message is the Source's name or else its address.
    #[must_use]
    pub fn server_id(&self) -> &str {
        match self {
            Self::San(received) => &received.san.server_id,
            Self::Alert(alert) => alert.server_id.as_deref().unwrap_or(&alert.server_uri),
        }
    }
}

/// Why bytes are no notification.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// The content type is that of something else, such as a notification of device management.
    #[error("{0:?} is not the type of a data synchronization notification")]
    OtherType(String),
    /// The content type says nothing, and neither do the bytes.
    #[error("these bytes are neither a notification of DS 1.2 nor a SyncML message")]
    Unrecognized,
    /// A binary notification is malformed.
    #[error("the notification cannot be read: {0}")]
    San(#[from] SanError),
    /// A notification message is malformed.
    #[error("the notification message cannot be read: {0}")]
    Message(#[from] DecodeError),
    /// A SyncML message asks for no sync.
    #[error("the message has no Alert of 206 to 210: it is no notification")]
    NoAlert,
}

/// Reads a notification of either form.
///
/// `content_type` decides where it names one (§1.2), parameters and letter case aside; where it is empty or
/// `application/octet-stream` the bytes do: a version of 1.2 behind the digest makes a [`San`], a document that begins
/// like XML or WBXML a message.
///
/// # Errors
/// [`NotificationError`], naming the element and the rule; never anything about the host.
pub fn parse(content_type: &str, bytes: &[u8]) -> Result<Notification, NotificationError> {
    let essence = content_type.split([';', ',']).next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(SAN_MEDIA_TYPE) {
        return Ok(Notification::San(ReceivedSan::parse(bytes)?));
    }
    if let Some(encoding) = Encoding::from_content_type(essence) {
        return Alert11::parse(bytes, encoding).map(|alert| Notification::Alert(Box::new(alert)));
    }
    if !(essence.is_empty() || essence.eq_ignore_ascii_case("application/octet-stream")) {
        return Err(NotificationError::OtherType(essence.to_owned()));
    }
    if san::looks_like(bytes) {
        return Ok(Notification::San(ReceivedSan::parse(bytes)?));
    }
    let encoding = Encoding::sniff(bytes).ok_or(NotificationError::Unrecognized)?;
    Alert11::parse(bytes, encoding).map(|alert| Notification::Alert(Box::new(alert)))
}
