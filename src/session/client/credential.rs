//! The client's credential: what it presents, and what it makes of a challenge (§5.3).

use crate::auth::{DigestName, Identity, Scheme, Secret};
use crate::message::{Cred, Version};

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

    /// Whether the credential is the same in every message.
    pub(super) const fn is_static(&self) -> bool {
        !matches!(self, Self::Md5 { .. })
    }

    /// What to present unasked: nothing to MD5 before a nonce is known, so that nothing is ever signed without one.
    pub(super) fn first(&self, device_id: &str, version: Version, nonce: Option<&[u8]>) -> Option<Cred<'static>> {
        match (self, nonce) {
            (Self::Md5 { .. }, None) => None,
            _ => self.again(device_id, version, nonce),
        }
    }

    /// What to present when asked: the scheme chosen, whatever the server would like, but never a weaker one.
    pub(super) fn again(&self, device_id: &str, version: Version, nonce: Option<&[u8]>) -> Option<Cred<'static>> {
        let (user, secret, scheme) = match self {
            Self::Basic { user, password } => (user, password, Scheme::Basic),
            Self::Md5 { user, password } => (user, password, Scheme::Md5),
            Self::Device { account, secret } => (account, secret, Scheme::Device(DigestName::MD5)),
        };
        Identity { user, device_id, secret }.answer(scheme, nonce.unwrap_or_default(), version)
    }
}
