//! The client's credential: what it presents, and what it makes of a challenge (§5.3).

use crate::auth::Secret;
use crate::message::{Bytes, Cred, Meta, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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

impl Credentials {
    /// The name that the header's Source shows.
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Md5 { user, .. } => user,
            Self::Device { account, .. } => account,
        }
    }

    /// What to present unasked: nothing to MD5 before a nonce is known, so that nothing is ever signed without one.
    pub(super) fn first(&self, version: Version, nonce: Option<&[u8]>) -> Option<Credential> {
        match (self, nonce) {
            (Self::Md5 { .. }, None) => None,
            _ => self.again(version, nonce),
        }
    }

    /// What to present when asked.
    pub(super) fn again(&self, version: Version, nonce: Option<&[u8]>) -> Option<Credential> {
        let _ = (version, nonce);
        None
    }
}

/// A credential made for one message.
#[derive(Clone)]
pub(super) struct Credential {
    scheme: String,
    data: String,
}

impl Credential {
    pub(super) fn to_cred(&self) -> Cred<'static> {
        let meta = Meta { format: Some("b64".into()), ..Meta::of_type(self.scheme.clone()) };
        Cred { meta: Some(meta), data: Bytes::Owned(self.data.clone().into_bytes()) }
    }
}

/// The octets of a NextNonce (§5.2).
pub(super) fn decode_nonce(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}
