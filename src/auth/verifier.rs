//! What credentials are checked against, as a directory keeps it.

use super::Secret;
use std::fmt;

/// The digest of a DeviceID credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestKind {
    /// MD5, as the mission's S3 has it.
    Md5,
    /// SHA-256.
    Sha256,
}

/// What a directory keeps to check credentials. Which scheme needs what:
///
/// | kept | basic | MD5 of 1.1 and later, MAC | MD5 of 1.0 | DeviceID |
/// |---|---|---|---|---|
/// | [`Password`](Self::Password) | yes | yes | yes | – |
/// | [`Md5`](Self::Md5) | yes | yes | – | – |
/// | [`Device`](Self::Device) | – | – | – | yes |
#[derive(Clone)]
pub enum Verifier {
    /// The password itself: SyncML 1.0's MD5 formula needs it.
    Password(Secret),
    /// `MD5(user ":" password)`: enough for 1.1 and later, and as good as the password there.
    Md5([u8; 16]),
    /// SHA-256 of the credential text `Base64(digest(secret ‖ device id))`: the secret itself is not kept.
    Device(DigestKind, [u8; 32]),
}

impl Verifier {
    /// The name under which a directory stores it.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::Md5(_) => "md5",
            Self::Device(DigestKind::Md5, _) => "device-md5",
            Self::Device(DigestKind::Sha256, _) => "device-sha256",
        }
    }

    /// The octets a directory stores beside the scheme.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Password(password) => password.expose().as_bytes().to_vec(),
            Self::Md5(hash) => hash.to_vec(),
            Self::Device(_, hash) => hash.to_vec(),
        }
    }

    /// The verifier stored under a scheme; `None` when the two do not fit together.
    #[must_use]
    pub fn from_bytes(scheme: &str, bytes: &[u8]) -> Option<Self> {
        Some(match scheme {
            "password" => Self::Password(Secret::new(String::from_utf8(bytes.to_vec()).ok()?)),
            "md5" => Self::Md5(bytes.try_into().ok()?),
            "device-md5" => Self::Device(DigestKind::Md5, bytes.try_into().ok()?),
            "device-sha256" => Self::Device(DigestKind::Sha256, bytes.try_into().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.scheme())
    }
}
