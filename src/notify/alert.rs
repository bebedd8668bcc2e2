//! The notification of SyncML 1.0 and 1.1: an ordinary message (§8.4).

use super::NotificationError;
use super::san::{SanKey, is_by_server};
use crate::auth::{Identity, Presented, Scheme, formulas};
use crate::codec::{EncodeError, Encoding, Limits, decode, encode};
use crate::message::{
    Alert, AlertCode, CmdId, Command, Cred, Header, Item, Location, Message, Meta, MsgId, SessionId, Version,
};
use crate::session::{Called, CalledAlert};
use subtle::ConstantTimeEq;

/// What a notification message may have: it is small, and comes from anybody.
const LIMITS: Limits =
    Limits { max_message: 64 << 10, max_depth: 16, max_elements: 2_000, max_text: 8 << 10, max_string_table: 4 << 10 };

/// One sync wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertedStore {
    /// 206 to 210.
    pub code: AlertCode,
    /// The server's datastore; empty when not said.
    pub server_uri: String,
    /// The client's datastore, if the server names it.
    pub client_uri: Option<String>,
    /// The media type, if said.
    pub media_type: Option<String>,
}

/// A notification as a message of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert11 {
    /// The version it is written in: what the device speaks.
    pub version: Version,
    /// The session to be held, which the client takes over.
    pub session_id: String,
    /// The device; `/` when the server does not know its id.
    pub device_id: String,
    /// The server's address.
    pub server_uri: String,
    /// The server's identifier, with which it signs.
    pub server_id: Option<String>,
    /// The server's credential ([`sign`](Self::sign)).
    pub cred: Option<Cred<'static>>,
    /// The syncs wanted, at least one.
    pub stores: Vec<AlertedStore>,
}

impl Alert11 {
    /// Adds the server's MD5 credential: the formula of the version it is written in, the server's identifier as the
    /// name (§5.4). Without an identifier nothing is signed.
    pub fn sign(&mut self, key: SanKey<'_>) {
        let Some(user) = &self.server_id else { return };
        let identity = Identity { user, device_id: &self.server_uri, secret: key.password };
        self.cred = identity.answer(Scheme::Md5, key.nonce, self.version);
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`EncodeError`] for texts that XML cannot carry.
    pub fn write(&self, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
        let source = Location { uri: (&*self.server_uri).into(), name: self.server_id.as_deref().map(Into::into) };
        let (session_id, target) = (SessionId::from(&*self.session_id), Location::new(&*self.device_id));
        let mut header = Header::new(self.version, session_id, MsgId::FIRST, target, source);
        header.cred.clone_from(&self.cred);
        let alert = |(at, store): (usize, &'_ AlertedStore)| {
            let item = Item {
                target: store.client_uri.clone().map(Location::new),
                source: Some(Location::new(store.server_uri.clone())),
                meta: store.media_type.clone().map(Meta::of_type),
                ..Item::default()
            };
            Command::Alert(Alert {
                cmd_id: CmdId::from(at as u32 + 1),
                no_resp: false,
                cred: None,
                code: Some(store.code),
                correlator: None,
                items: vec![item],
            })
        };
        let body = self.stores.iter().enumerate().map(alert).collect();
        encode(&Message { header, body, last: true }, encoding)
    }

    /// Reads a notification message of at most 64 KiB. Commands that are no such Alert are passed over.
    ///
    /// # Errors
    /// [`NotificationError`] for what is no SyncML message, or one without an Alert of 206 to 210.
    pub fn parse(bytes: &[u8], encoding: Encoding) -> Result<Self, NotificationError> {
        let Message { header, body, .. } = decode(bytes, encoding, &LIMITS)?;
        let mut stores = Vec::new();
        for command in &body {
            let Command::Alert(alert) = command else { continue };
            let Some(code) = alert.code.filter(|code| is_by_server(*code)) else { continue };
            stores.extend(alert.items.iter().map(|item| AlertedStore {
                code,
                server_uri: item.source.as_ref().map(|source| source.uri.to_string()).unwrap_or_default(),
                client_uri: item.target.as_ref().map(|target| target.uri.to_string()),
                media_type: item.meta.as_ref().and_then(|meta| meta.media_type.as_ref()).map(ToString::to_string),
            }));
        }
        if stores.is_empty() {
            return Err(NotificationError::NoAlert);
        }
        Ok(Self {
            version: header.version().unwrap_or(Version::V11),
            session_id: header.session_id.as_str().to_owned(),
            device_id: header.target.uri.to_string(),
            server_uri: header.source.uri.to_string(),
            server_id: header.source.name.as_ref().map(ToString::to_string),
            cred: header.cred.map(own_cred),
            stores,
        })
    }

    /// What package 1 of the session that a notification message asks for has to answer of it (§8.4).
    ///
    /// # Errors
    /// [`NotificationError`] as for [`parse`](Self::parse).
    pub fn called(bytes: &[u8], encoding: Encoding) -> Result<Called, NotificationError> {
        let Message { header, body, .. } = decode(bytes, encoding, &LIMITS)?;
        let mut alerts = Vec::new();
        for command in &body {
            let Command::Alert(alert) = command else { continue };
            let wanted = alert.code.is_some_and(is_by_server) && !alert.no_resp;
            let Some(item) = alert.items.first().filter(|_| wanted) else { continue };
            alerts.push(CalledAlert {
                cmd_id: alert.cmd_id.to_string(),
                target: item.target.as_ref().map(|target| target.uri.to_string()),
                source: item.source.as_ref().map(|source| source.uri.to_string()).unwrap_or_default(),
            });
        }
        if alerts.is_empty() {
            return Err(NotificationError::NoAlert);
        }
        Ok(Called {
            session_id: header.session_id.as_str().to_owned(),
            msg_id: header.msg_id.to_string(),
            target: header.target.uri.to_string(),
            source: header.source.uri.to_string(),
            alerts,
        })
    }

    /// Whether the credential was made with this key: MD5 in either formula, or the password itself in basic, each
    /// compared in constant time. As with [`ReceivedSan`](super::ReceivedSan), an empty nonce counts (§8.2).
    #[must_use]
    pub fn is_signed_with(&self, server_id: &str, key: SanKey<'_>) -> bool {
        let Some(cred) = &self.cred else { return false };
        let source = Location { uri: (&*self.server_uri).into(), name: self.server_id.as_deref().map(Into::into) };
        match Presented::read(cred, &source) {
            Ok(Some(Presented::Basic { user, password })) => {
                let good = password.expose().as_bytes().ct_eq(key.password.expose().as_bytes());
                user == server_id && good.into()
            }
            Ok(Some(Presented::Md5 { user, digest })) => {
                let later = formulas::md5_v11(&formulas::login_hash(server_id, key.password), key.nonce);
                let first = formulas::md5_v10(server_id, key.password, key.nonce);
                user == server_id && (later.ct_eq(&digest) | first.ct_eq(&digest)).into()
            }
            _ => false,
        }
    }
}

fn own_cred(cred: Cred<'_>) -> Cred<'static> {
    let own = |meta: &Meta<'_>| Meta {
        format: meta.format.as_ref().map(|text| text.to_string().into()),
        media_type: meta.media_type.as_ref().map(|text| text.to_string().into()),
        ..Meta::default()
    };
    Cred { meta: cred.meta.as_ref().map(own), data: cred.data.into_owned().into() }
}
