//! Putting and understanding a challenge, and answering it (§5.3).

use super::{CredError, DigestKind, Digester, Scheme, Secret, b64, formulas};
use crate::message::{Chal, Cred, Meta, Version};
use std::fmt;

/// What credential is wanted, or will be wanted next.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme.
    pub scheme: Scheme,
    /// The nonce's octets; empty where the scheme has none, or none was put.
    pub nonce: Vec<u8>,
}

impl Challenge {
    /// A challenge of `scheme`; the nonce is dropped where the scheme has no use for it.
    #[must_use]
    pub fn new(scheme: Scheme, nonce: &[u8]) -> Self {
        let nonce = if scheme.wants_nonce() { nonce.to_vec() } else { Vec::new() };
        Self { scheme, nonce }
    }

    /// Understands a peer's challenge. One without a nonce means the empty nonce: forget the one you had (§5.2).
    ///
    /// # Errors
    /// [`CredError::UnknownScheme`]: the one Status that may be answered by a Status, 406.
    pub fn read(chal: &Chal<'_>) -> Result<Self, CredError> {
        let scheme = Scheme::from_type(chal.meta.media_type.as_deref()).ok_or(CredError::UnknownScheme)?;
        let text = chal.meta.next_nonce.as_deref().unwrap_or_default();
        // A peer that puts a nonce in clear digests what it wrote.
        let nonce = b64::decode(text.as_bytes()).map_or_else(|| text.as_bytes().to_vec(), |octets| octets.to_vec());
        Ok(Self::new(scheme, &nonce))
    }

    /// As it stands in a Status.
    #[must_use]
    pub fn to_chal(&self) -> Chal<'static> {
        let next_nonce = (!self.nonce.is_empty()).then(|| b64::encode(&self.nonce).into());
        Chal { meta: Meta { next_nonce, ..meta(self.scheme) } }
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({})", self.scheme)
    }
}

/// Who authenticates, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The user's name. With MD5 it must be the `LocName` of the header's Source, too; basic cannot carry a colon in it.
    pub user: &'a str,
    /// The device id: the `LocURI` of the header's Source.
    pub device_id: &'a str,
    /// The password, or in the DeviceID scheme the shared secret.
    pub secret: &'a Secret,
}

impl Identity<'_> {
    /// The credential to send, by a client or by a server that proves itself. Without a known nonce, `nonce` is empty.
    /// The result is `None` where there is no such Cred: for MAC, for digests that do not ship ([`Self::device`] takes
    /// those), and for basic if the user's name contains a colon.
    #[must_use]
    pub fn answer(&self, scheme: Scheme, nonce: &[u8], version: Version) -> Option<Cred<'static>> {
        let Self { user, secret, .. } = *self;
        match scheme {
            Scheme::Basic if user.contains(':') => None,
            Scheme::Basic => {
                let text = zeroize::Zeroizing::new(format!("{user}:{}", secret.expose()));
                Some(cred(scheme, text.as_bytes()))
            }
            Scheme::Md5 if version == Version::V10 => Some(cred(scheme, &formulas::md5_v10(user, secret, nonce))),
            Scheme::Md5 => Some(cred(scheme, &formulas::md5_v11(&formulas::login_hash(user, secret), nonce))),
            Scheme::Mac => None,
            Scheme::Device(digest) => DigestKind::named(digest).map(|digest| self.device(digest)),
        }
    }

    /// The DeviceID credential, with any digest.
    #[must_use]
    pub fn device(&self, digester: impl Digester) -> Cred<'static> {
        let credential = formulas::device_credential(&digester, self.secret, self.device_id);
        cred(Scheme::Device(digester.name()), &credential)
    }

    /// The transport header that authenticates `body` in the MAC scheme (§5.6).
    #[must_use]
    pub fn mac_header(&self, nonce: &[u8], body: &[u8]) -> super::MacHeader<'_> {
        let hash = formulas::login_hash(self.user, self.secret);
        super::MacHeader::new(self.user, &formulas::mac(&hash, nonce, &formulas::body_hash(body)))
    }
}

fn cred(scheme: Scheme, octets: &[u8]) -> Cred<'static> {
    Cred { meta: Some(meta(scheme)), data: b64::encode(octets).into_bytes().into() }
}

fn meta(scheme: Scheme) -> Meta<'static> {
    Meta { format: Some("b64".into()), media_type: Some(scheme.to_string().into()), ..Meta::default() }
}

#[cfg(test)]
mod tests {
    use super::{Challenge, Identity};
    use crate::auth::{CredError, DigestKind, DigestName, Presented, Proof, Scheme, Secret, Verifier, verify};
    use crate::message::{Chal, Location, Meta, Version};

    fn secret() -> Secret {
        Secret::new("OhBehave".to_owned())
    }

    #[test]
    fn challenges_on_the_wire() {
        for (scheme, nonce, expected) in [
            (Scheme::Md5, "Nonce", Some("Tm9uY2U=")),
            (Scheme::Md5, "", None),
            (Scheme::Mac, "Nonce", Some("Tm9uY2U=")),
            (Scheme::Basic, "Nonce", None),
            (Scheme::Device(DigestName::SHA256), "Nonce", None),
        ] {
            let chal = Challenge::new(scheme, nonce.as_bytes()).to_chal();
            assert_eq!(chal.meta.next_nonce.as_deref(), expected, "{scheme}");
            assert_eq!(chal.meta.format.as_deref(), Some("b64"));
            assert_eq!(chal.meta.media_type, Some(scheme.to_string().into()));
            assert_eq!(Challenge::read(&chal), Ok(Challenge::new(scheme, nonce.as_bytes())));
        }
    }

    #[test]
    fn reads_what_peers_put() {
        for (scheme, nonce, expected) in [
            (Some("SYNCML:AUTH-MD5"), Some("Tm9uY2U"), Ok((Scheme::Md5, "Nonce"))),
            (Some("syncml:auth-md5"), Some(" Tm9u\nY2U= "), Ok((Scheme::Md5, "Nonce"))),
            (Some("syncml:auth-md5"), Some("in clear!"), Ok((Scheme::Md5, "in clear!"))),
            (Some("syncml:auth-md5"), None, Ok((Scheme::Md5, ""))),
            (Some("syncml:auth-basic"), Some("Tm9uY2U="), Ok((Scheme::Basic, ""))),
            (None, None, Ok((Scheme::Basic, ""))),
            (Some("syncml:auth-securid"), Some("Tm9uY2U="), Err(CredError::UnknownScheme)),
        ] {
            let meta =
                Meta { media_type: scheme.map(Into::into), next_nonce: nonce.map(Into::into), ..Meta::default() };
            let found = Challenge::read(&Chal { meta });
            assert_eq!(found, expected.map(|(scheme, nonce)| Challenge { scheme, nonce: nonce.into() }), "{scheme:?}");
        }
    }

    /// The vectors of §5.2, made.
    #[test]
    fn answers() {
        let secret = secret();
        let who = Identity { user: "Bruce2", device_id: "IMEI:1", secret: &secret };
        for (scheme, version, expected) in [
            (Scheme::Basic, Version::V10, Some("QnJ1Y2UyOk9oQmVoYXZl")),
            (Scheme::Md5, Version::V10, Some("UmkqAAZhiQvXXhfaf/u+OQ==")),
            (Scheme::Md5, Version::V11, Some("Zz6EivR3yeaaENcRN6lpAQ==")),
            (Scheme::Md5, Version::V12, Some("Zz6EivR3yeaaENcRN6lpAQ==")),
            (Scheme::Mac, Version::V12, None),
            (Scheme::Device(DigestName::new("sm3").unwrap()), Version::V12, None),
        ] {
            let cred = who.answer(scheme, b"Nonce", version);
            assert_eq!(cred.as_ref().map(|cred| &*cred.data), expected.map(str::as_bytes), "{scheme} {version}");
            if let Some(meta) = cred.and_then(|cred| cred.meta) {
                assert_eq!((meta.format, meta.media_type), (Some("b64".into()), Some(scheme.to_string().into())));
            }
        }
    }

    #[test]
    fn basic_cannot_carry_a_colon_in_the_name() {
        let secret = secret();
        let who = Identity { user: "IMEI:1", device_id: "IMEI:1", secret: &secret };
        assert_eq!(who.answer(Scheme::Basic, b"", Version::V12), None);
        assert!(who.answer(Scheme::Md5, b"", Version::V12).is_some());
    }

    /// What one role makes, the other finds good.
    #[test]
    fn both_directions_agree() {
        let secret = secret();
        let who = Identity { user: "Bruce2", device_id: "IMEI:1", secret: &secret };
        let source = Location::named("IMEI:1", "Bruce2");
        let password = Verifier::Password(secret.clone());
        let devices = DigestKind::ALL.map(|digest| Verifier::device(digest, &secret, "IMEI:1"));
        for version in Version::ALL {
            for (scheme, verifiers, proof) in [
                (Scheme::Basic, std::slice::from_ref(&password), Proof::Static),
                (Scheme::Md5, std::slice::from_ref(&password), Proof::Nonce(1)),
                (Scheme::Device(DigestName::MD5), &devices, Proof::Static),
                (Scheme::Device(DigestName::SHA256), &devices, Proof::Static),
            ] {
                let cred = who.answer(scheme, b"Nonce", version).unwrap();
                let presented = Presented::read(&cred, &source).unwrap().unwrap();
                assert_eq!(presented.scheme(), scheme);
                assert_eq!(presented.user(), Some("Bruce2"));
                assert_eq!(verify(&presented, verifiers, &[b"x", b"Nonce"]), Some(proof), "{scheme} {version}");
            }
        }
        let header = who.mac_header(b"Nonce", b"body").to_string();
        let header = crate::auth::MacHeader::parse(&header).unwrap();
        let presented = Presented::of_mac(&header, &source, b"body").unwrap();
        assert_eq!(verify(&presented, std::slice::from_ref(&password), &[b"Nonce"]), Some(Proof::Nonce(0)));
    }

    #[test]
    fn shows_no_secret() {
        assert_eq!(format!("{:?}", Challenge::new(Scheme::Md5, b"Nonce")), "Challenge(syncml:auth-md5)");
        let secret = secret();
        let who = Identity { user: "Bruce2", device_id: "IMEI:1", secret: &secret };
        assert!(!format!("{who:?}").contains("OhBehave"));
    }
}
