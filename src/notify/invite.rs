//! A server's side: the notification for a device (§8).

use super::SAN_MEDIA_TYPE;
use super::alert::{Alert11, AlertedStore};
use super::san::{Initiator, San, SanError, SanKey, SanSync, UiMode, is_by_server};
use crate::auth::Secret;
use crate::codec::{EncodeError, Encoding, Limits, decode_devinf};
use crate::message::{AlertCode, Version};
use crate::session::datastore::{Datastore, by_number, title};
use crate::store::{BookNo, DeviceRow};
use std::borrow::Cow;
use thiserror::Error;

/// Media types that have a WSP number of their own.
const WSP_TYPES: [(u32, &str); 3] = [(0x03, "text/plain"), (0x06, "text/x-vcalendar"), (0x07, "text/x-vcard")];

/// The form of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The binary one of DS 1.2.
    San,
    /// A message of this version, in this encoding.
    Alert(Version, Encoding),
}

impl Form {
    /// The form that a device understands, by the version of its device information: a message in WBXML for 1.0 and 1.1,
    /// else, also when nothing is known of it, the binary one.
    #[must_use]
    pub fn of(device: &DeviceRow) -> Self {
        let devinf = device.devinf.as_deref().and_then(|bytes| decode_devinf(bytes, &Limits::default()).ok());
        match devinf.and_then(|devinf| devinf.version()) {
            Some(version @ (Version::V10 | Version::V11)) => Self::Alert(version, Encoding::Wbxml),
            _ => Self::San,
        }
    }
}

/// A server's wish that a device syncs.
///
/// It is signed with the server's password and the nonce that the device gave this server last
/// ([`DeviceRow::nonce_in`]), the empty one if it never gave any (§8.2). A nonce is used up by nothing but the next one
/// given: a notification may get lost, and the device must understand the one after it. So each notification needs a
/// session id of its own, by which the device tells a repetition (§8.3).
#[derive(Clone, Copy, Debug)]
pub struct Invitation<'a> {
    /// The server's identifier, as agreed when the device was set up.
    pub server_id: &'a str,
    /// The server's address; a message carries it.
    pub server_uri: &'a str,
    /// The password with which the server proves itself to the device; `None` leaves it unsigned.
    pub password: Option<&'a Secret>,
    /// The sync wanted: 206 to 210.
    pub code: AlertCode,
    /// How to treat the user; a message cannot say it.
    pub ui: UiMode,
    /// Who wanted it; a message cannot say it.
    pub initiator: Initiator,
    /// The session to be held: another one each time, not 0.
    pub session_id: u16,
    /// The books to sync, at most 15.
    pub books: &'a [BookNo],
}

/// A notification to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Its content type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Why a notification cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The binary form has no room for it.
    #[error("the notification cannot be written: {0}")]
    San(#[from] SanError),
    /// Only 206 to 210 are a server's to ask for (§3.1).
    #[error("a server cannot ask for a sync of type {0}, only for 206 to 210")]
    Code(AlertCode),
    /// A message must name a book; only the binary form can mean all of them.
    #[error("a notification message must name a book")]
    NoBook,
    /// The encoding cannot carry it.
    #[error("the notification message cannot be written: {0}")]
    Message(#[from] EncodeError),
}

impl Invitation<'_> {
    /// The bytes for a device.
    ///
    /// # Errors
    /// [`InviteError`] for identifiers and addresses that are too long, codes that no server may ask for, and control
    /// characters.
    pub fn write(&self, device: &DeviceRow, form: Form) -> Result<Invited, InviteError> {
        if !is_by_server(self.code) {
            return Err(InviteError::Code(self.code));
        }
        let nonce = device.nonce_in.as_deref().unwrap_or_default();
        let key = self.password.map(|password| SanKey { password, nonce });
        let stores = self.books.iter().filter_map(|book| Some((title(*book), by_number(*book)?)));
        match form {
            Form::San => {
                let sync = |(title, store): (Cow<'_, str>, &Datastore)| SanSync {
                    code: self.code,
                    content_type: wsp_number(store),
                    server_uri: title.into_owned(),
                };
                let san = San {
                    ui: self.ui,
                    initiator: self.initiator,
                    session_id: self.session_id,
                    server_id: self.server_id.to_owned(),
                    syncs: stores.map(sync).collect(),
                    vendor: Vec::new(),
                };
                Ok(Invited { content_type: SAN_MEDIA_TYPE, body: san.write(key)? })
            }
            Form::Alert(version, encoding) => {
                let alerted = |(title, store): (Cow<'_, str>, &Datastore)| AlertedStore {
                    code: self.code,
                    server_uri: format!("./{title}"),
                    client_uri: None,
                    media_type: store.types.last().map(|(name, _)| (*name).to_owned()),
                };
                let mut alert = Alert11 {
                    version,
                    session_id: format!("{:X}", self.session_id),
                    device_id: device.device_id.clone(),
                    server_uri: self.server_uri.to_owned(),
                    server_id: Some(self.server_id.to_owned()),
                    cred: None,
                    stores: stores.map(alerted).collect(),
                };
                if alert.stores.is_empty() {
                    return Err(InviteError::NoBook);
                }
                if let Some(key) = key {
                    alert.sign(key);
                }
                Ok(Invited { content_type: encoding.media_type(), body: alert.write(encoding)? })
            }
        }
    }
}

/// The number of a datastore's media type, 0 if none of them has one.
fn wsp_number(store: &Datastore) -> u32 {
    let has = |wsp: &str| store.types.iter().any(|(name, _)| name.eq_ignore_ascii_case(wsp));
    WSP_TYPES.iter().find(|(_, name)| has(name)).map_or(0, |(number, _)| *number)
}

/// The media type of a number.
pub(super) fn media_type_of(number: u32) -> Option<&'static str> {
    WSP_TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
