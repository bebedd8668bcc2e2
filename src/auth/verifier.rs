//! What credentials are checked against, as a directory keeps it.

use super::{DigestName, Digester, Secret, b64, formulas};
use md5::Digest;
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// What a directory keeps to check credentials. Which scheme needs what:
///
/// | kept | basic | MD5 of 1.1 and later, MAC | MD5 of 1.0 | DeviceID |
/// |---|---|---|---|---|
/// | [`Password`](Self::Password) | yes | yes | yes | – |
/// | [`Md5`](Self::Md5) | yes | yes | – | – |
/// | [`Device`](Self::Device) | – | – | – | yes |
///
/// What each of them is worth to who reads the database:
///
/// | kept | tells the password | opens the account |
/// |---|---|---|
/// | [`Password`](Self::Password) | it is the password: keep it only for devices of SyncML 1.0 that speak MD5 | by every scheme |
/// | [`Md5`](Self::Md5) | to who guesses it: the hash is fast and has the name for its only salt | by MD5 of 1.1 and MAC, whose formulas begin with it |
/// | [`Device`](Self::Device) | to who guesses the shared secret: let it be random | no: what is shown is the text before this hash |
///
/// A slow hash (argon2, scrypt) would serve basic alone: the formulas of MD5 and MAC need what is kept here, at every
/// message. The password of a server that proves itself, and the nonces, which are single-use, are kept as they are. So
/// the database is a secret; encrypt the disk it is on, and its backups.
#[derive(Clone)]
pub enum Verifier {
    /// The password itself: SyncML 1.0's MD5 formula needs it.
    Password(Secret),
    /// `MD5(user ":" password)`: enough for 1.1 and later, and as good as the password there.
    Md5([u8; 16]),
    /// SHA-256 of the credential text `Base64(digest(secret ‖ device id))`: the secret itself is not kept.
    Device(DigestName, [u8; 32]),
}

impl Verifier {
    /// For a login whose password is not to be kept: good for all but SyncML 1.0's MD5 formula.
    #[must_use]
    pub fn md5(user: &str, password: &Secret) -> Self {
        Self::Md5(*formulas::login_hash(user, password))
    }

    /// For a device that shares a secret with us (mission S3).
    #[must_use]
    pub fn device(digester: impl Digester, secret: &Secret, device_id: &str) -> Self {
        let credential = formulas::device_credential(&digester, secret, device_id);
        Self::Device(digester.name(), Self::device_hash(&credential))
    }

    /// What is kept of a DeviceID credential: SHA-256 of its base64 text.
    pub(super) fn device_hash(credential: &[u8]) -> [u8; 32] {
        super::work::note();
        let text = Zeroizing::new(b64::encode(credential));
        Sha256::digest(text.as_bytes()).into()
    }

    /// The name under which a directory stores it.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match self {
            Self::Password(_) => "password",
            Self::Md5(_) => "md5",
            Self::Device(digest, _) => digest.stored(),
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
            _ => Self::Device(DigestName::from_stored(scheme)?, bytes.try_into().ok()?),
        })
    }
}

impl Verifier {
    /// `MD5(user ":" password)`, with which an answer's MAC is made; `None` of a device's.
    #[must_use]
    pub fn login_hash(&self, user: &str) -> Option<Zeroizing<[u8; 16]>> {
        match self {
            Self::Password(password) => Some(formulas::login_hash(user, password)),
            Self::Md5(hash) => Some(Zeroizing::new(*hash)),
            Self::Device(..) => None,
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::Verifier;
    use crate::auth::{DigestKind, Secret};

    fn secret() -> Secret {
        Secret::new("OhBehave".to_owned())
    }

    #[test]
    fn survives_the_directory() {
        for (verifier, scheme, octets) in [
            (Verifier::Password(secret()), "password", 8),
            (Verifier::md5("Bruce2", &secret()), "md5", 16),
            (Verifier::device(DigestKind::Md5, &secret(), "IMEI:1"), "device-md5", 32),
            (Verifier::device(DigestKind::Sha256, &secret(), "IMEI:1"), "device-sha256", 32),
        ] {
            assert_eq!((verifier.scheme(), verifier.to_bytes().len()), (scheme, octets));
            let again = Verifier::from_bytes(verifier.scheme(), &verifier.to_bytes()).unwrap();
            assert_eq!((again.scheme(), again.to_bytes()), (verifier.scheme(), verifier.to_bytes()));
        }
    }

    #[test]
    fn refuses_what_does_not_fit_together() {
        for (scheme, octets) in
            [("password", &b"\xFF"[..]), ("md5", b"short"), ("device-md5", b"short"), ("device-", b""), ("x", b"")]
        {
            assert!(Verifier::from_bytes(scheme, octets).is_none(), "{scheme}");
        }
    }

    #[test]
    fn shows_no_secret() {
        assert_eq!(format!("{:?}", Verifier::Password(secret())), "Verifier(password)");
        assert_eq!(format!("{:?}", Verifier::md5("Bruce2", &secret())), "Verifier(md5)");
    }
}
