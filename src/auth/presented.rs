//! A credential as it came: read leniently, trusted not at all.

use super::{DigestKind, DigestName, Digester, MacHeader, Scheme, Secret, b64, formulas};
use crate::message::{Cred, Header, Location, StatusCode, Text};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// A credential as presented, with the names it claims. Nothing of it is proven before [`verify`](super::verify).
pub enum Presented<'a> {
    /// `syncml:auth-basic`. It names its user itself, whatever the header's Source says.
    Basic {
        /// The user, up to the first colon.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `syncml:auth-md5`.
    Md5 {
        /// The user: the Source's `LocName`.
        user: Text<'a>,
        /// The digest.
        digest: [u8; 16],
    },
    /// `syncml:auth-MAC`: from the transport's header, not from a Cred.
    Mac {
        /// The user.
        user: Text<'a>,
        /// The code.
        mac: [u8; 16],
        /// MD5 of the message as received.
        body_hash: [u8; 16],
    },
    /// The DeviceID shared secret (mission S3).
    Device {
        /// The device: the Source's `LocURI`.
        device_id: Text<'a>,
        /// The account it wants to speak for: the Source's `LocName`.
        account: Option<Text<'a>>,
        /// The digest it was made with.
        digest: DigestName,
        /// The digest's octets.
        credential: Zeroizing<Vec<u8>>,
    },
}

impl<'a> Presented<'a> {
    /// The credential of a message header; `None` when it has none, or an empty one: that calls for 407.
    ///
    /// # Errors
    /// See [`CredError`].
    pub fn of_header(header: &'a Header<'_>) -> Result<Option<Self>, CredError> {
        header.cred.as_ref().map_or(Ok(None), |cred| Self::read(cred, &header.source))
    }

    /// The credential of a header or of a command; `source` is the Source of the message header.
    ///
    /// Read leniently: base64 declared or not, with or without padding and white space; digests as raw octets too, as
    /// WBXML allows; a basic credential in clear unless base64 is declared, and in Latin-1 when it is not UTF-8.
    ///
    /// # Errors
    /// See [`CredError`].
    pub fn read(cred: &'a Cred<'_>, source: &'a Location<'_>) -> Result<Option<Self>, CredError> {
        let meta = cred.meta.as_ref();
        let name = meta.and_then(|meta| meta.media_type.as_deref());
        let scheme = Scheme::from_type(name).ok_or(CredError::UnknownScheme)?;
        let format = Format::parse(meta.and_then(|meta| meta.format.as_deref())).ok_or(CredError::UnknownFormat)?;
        let data = cred.data.trim_ascii();
        if data.is_empty() {
            return Ok(None);
        }
        let name = source.name.as_deref().filter(|name| !name.trim().is_empty());
        Ok(Some(match scheme {
            Scheme::Basic => {
                let (user, password) = basic(data, format).ok_or(CredError::Malformed)?;
                Self::Basic { user, password }
            }
            Scheme::Md5 => {
                let user = name.ok_or(CredError::MissingName)?;
                let octets = digest_octets(&cred.data, Some(16)).ok_or(CredError::Malformed)?;
                let digest = octets.as_slice().try_into().map_err(|_| CredError::Malformed)?;
                Self::Md5 { user: user.into(), digest }
            }
            // Its place is the transport's header: a Cred can hold no code over the message around it.
            Scheme::Mac => return Err(CredError::UnknownScheme),
            Scheme::Device(digest) => {
                let len = DigestKind::named(digest).map(|kind| kind.digest(b"").len());
                let credential = digest_octets(&cred.data, len).ok_or(CredError::Malformed)?;
                Self::Device { device_id: (&*source.uri).into(), account: name.map(Text::from), digest, credential }
            }
        }))
    }

    /// The credential of an `x-syncml-hmac` header, over the message's octets as received.
    ///
    /// # Errors
    /// [`CredError::UnknownScheme`] for another algorithm than MD5, [`CredError::Malformed`] for a code of another
    /// length or for a Source that names somebody else: `username` must be the Source's `LocName` (§5.6).
    pub fn of_mac(header: &MacHeader<'a>, source: &Location<'_>, body: &[u8]) -> Result<Self, CredError> {
        if !header.algorithm.eq_ignore_ascii_case(MacHeader::MD5) {
            return Err(CredError::UnknownScheme);
        }
        if source.name.as_ref().is_some_and(|name| *name != header.user) {
            return Err(CredError::Malformed);
        }
        let octets = b64::decode(header.mac.as_bytes()).ok_or(CredError::Malformed)?;
        let mac = octets.as_slice().try_into().map_err(|_| CredError::Malformed)?;
        Ok(Self::Mac { user: header.user.clone(), mac, body_hash: formulas::body_hash(body) })
    }

    /// Its scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Basic { .. } => Scheme::Basic,
            Self::Md5 { .. } => Scheme::Md5,
            Self::Mac { .. } => Scheme::Mac,
            Self::Device { digest, .. } => Scheme::Device(*digest),
        }
    }

    /// The name to route by: the login's, or in the DeviceID scheme the account's, where one is named.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Basic { user, .. } => Some(user),
            Self::Md5 { user, .. } | Self::Mac { user, .. } => Some(user),
            Self::Device { account, .. } => account.as_deref(),
        }
    }

    /// The name under which failures are counted: whose secret is guessed at. The account of a DeviceID credential is the
    /// guesser's to choose, so it is not that.
    #[must_use]
    pub fn suspect(&self) -> &str {
        match self {
            Self::Device { device_id, .. } => device_id,
            _ => self.user().unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({})", self.scheme())
    }
}

/// Why a credential cannot even be checked. None of this depends on whether the speaker is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredError {
    /// The peer's `Meta/Type` names a scheme that is not spoken here.
    #[error("Cred: Meta/Type names a scheme that is not spoken here (§5.2)")]
    UnknownScheme,
    /// The peer's `Meta/Format` is neither `b64`, `chr`, `bin` nor absent.
    #[error("Cred: Meta/Format is neither b64, chr nor bin (§5.2)")]
    UnknownFormat,
    /// An MD5 credential hides its user, and the header's Source has no `LocName`.
    #[error("Cred: syncml:auth-md5 needs the user's name in SyncHdr/Source/LocName (§5.2)")]
    MissingName,
    /// The data is not what the scheme makes.
    #[error("Cred: Data is not what its scheme makes (§5.2)")]
    Malformed,
}

impl CredError {
    /// The Status of the header, or of the command that carried the credential. Put a challenge beside it, too.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::UnknownScheme => StatusCode::UNSUPPORTED_FEATURE,
            Self::UnknownFormat | Self::MissingName => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed => StatusCode::INVALID_CREDENTIALS,
        }
    }
}

/// How the data claims to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Base64,
    Plain,
}

impl Format {
    fn parse(text: Option<&str>) -> Option<Self> {
        let text = text.unwrap_or_default().trim();
        if text.eq_ignore_ascii_case("b64") {
            Some(Self::Base64)
        } else if ["", "chr", "bin"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            Some(Self::Plain)
        } else {
            None
        }
    }
}

/// User and password. No base64 contains a colon, so what contains one is in clear.
fn basic(data: &[u8], format: Format) -> Option<(String, Secret)> {
    let decoded = match b64::decode(data) {
        Some(decoded) => decoded,
        None if format == Format::Plain => Zeroizing::new(data.to_vec()),
        None => return None,
    };
    let colon = decoded.iter().position(|&octet| octet == b':')?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    (!user.is_empty()).then(|| (text(user), Secret::new(text(password))))
}

/// UTF-8, else Latin-1.
fn text(octets: &[u8]) -> String {
    std::str::from_utf8(octets).map_or_else(|_| octets.iter().map(|&octet| char::from(octet)).collect(), str::to_owned)
}

/// A digest of `len` octets (any length up to 64, if unknown), from base64 or as raw octets. Raw octets that are base64
/// as well are never mistaken: they would decode to fewer than `len`.
fn digest_octets(data: &[u8], len: Option<usize>) -> Option<Zeroizing<Vec<u8>>> {
    let (shortest, longest) = len.map_or((1, 64), |len| (len, len));
    let fits = |octets: &[u8]| (shortest..=longest).contains(&octets.len());
    b64::decode(data).filter(|octets| fits(octets)).or_else(|| fits(data).then(|| Zeroizing::new(data.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::{CredError, Presented};
    use crate::auth::{MacHeader, formulas};
    use crate::message::{Cred, Header, Location, Meta, MsgId, SessionId, StatusCode, Version};

    const MD5: &str = "syncml:auth-md5";
    const DEVICE: &str = "x-syncml:auth-device-md5";
    /// `Zz6EivR3yeaaENcRN6lpAQ==`
    const DIGEST: [u8; 16] =
        [0x67, 0x3E, 0x84, 0x8A, 0xF4, 0x77, 0xC9, 0xE6, 0x9A, 0x10, 0xD7, 0x11, 0x37, 0xA9, 0x69, 0x01];

    fn cred<'a>(scheme: Option<&'a str>, format: Option<&'a str>, data: &'a [u8]) -> Cred<'a> {
        let meta = Meta { format: format.map(Into::into), media_type: scheme.map(Into::into), ..Meta::default() };
        Cred { meta: Some(meta), data: data.into() }
    }

    /// Everything a credential says, in one line.
    fn show(presented: &Presented<'_>) -> String {
        match presented {
            Presented::Basic { user, password } => format!("basic {user} {}", password.expose()),
            Presented::Md5 { user, digest } => format!("md5 {user} {}", *digest == DIGEST),
            Presented::Mac { user, mac, body_hash } => {
                format!("mac {user} {} {}", *mac == DIGEST, *body_hash == formulas::body_hash(b"body"))
            }
            Presented::Device { device_id, account, digest, credential } => {
                format!("{digest} {device_id} {account:?} {}", credential[..] == DIGEST)
            }
        }
    }

    #[test]
    fn reads_basic() {
        let clear = "Bruce2:OhBehave".as_bytes();
        let coded = b"QnJ1Y2UyOk9oQmVoYXZl".as_slice();
        let good = Ok(Some("basic Bruce2 OhBehave"));
        for (format, data, expected) in [
            (None, coded, good),
            (Some("b64"), coded, good),
            (Some("B64"), coded, good),
            (Some("chr"), coded, good),
            (Some("bin"), coded, good),
            (None, b" QnJ1Y2Uy\r\nOk9oQmVoYXZl\n", good),
            (None, clear, good),
            (Some("chr"), clear, good),
            (Some("b64"), clear, Err(CredError::Malformed)),
            (Some("xml"), coded, Err(CredError::UnknownFormat)),
            (None, b"YTpiOmM=", Ok(Some("basic a b:c"))),
            (None, b"YTo", Ok(Some("basic a "))),
            (None, b"OmI=", Err(CredError::Malformed)),
            (None, b"QnJ1Y2Uy", Err(CredError::Malformed)),
            (None, b"no colon", Err(CredError::Malformed)),
            (None, b"w6k6w7w=", Ok(Some("basic \u{e9} \u{fc}"))),
            (None, b"6Tr8", Ok(Some("basic \u{e9} \u{fc}"))),
            (None, b"", Ok(None)),
            (None, b" \n", Ok(None)),
        ] {
            for scheme in [None, Some("syncml:auth-basic"), Some("SYNCML:AUTH-BASIC")] {
                let cred = cred(scheme, format, data);
                let source = Location::named("IMEI:1", "somebody else");
                let found = Presented::read(&cred, &source).map(|found| found.as_ref().map(show));
                assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{format:?} {data:?}");
            }
        }
    }

    #[test]
    fn reads_md5() {
        let raw = DIGEST.as_slice();
        let good = Ok(Some("md5 Bruce2 true"));
        let bad = Err(CredError::Malformed);
        for (format, name, data, expected) in [
            (Some("b64"), Some("Bruce2"), b"Zz6EivR3yeaaENcRN6lpAQ==".as_slice(), good),
            (None, Some("Bruce2"), b"Zz6EivR3yeaaENcRN6lpAQ==", good),
            (None, Some("Bruce2"), b"\n Zz6EivR3yeaaENcRN6lpAQ ", good),
            (Some("bin"), Some("Bruce2"), raw, good),
            (Some("chr"), Some("Bruce2"), raw, good),
            (Some("b64"), Some("Bruce2"), raw, good),
            (None, Some("Bruce2"), b"sixteen/letters+", Ok(Some("md5 Bruce2 false"))),
            (None, Some("Bruce2"), b"too short", bad),
            (None, Some("Bruce2"), b"Zz6EivR3yeaaENcRN6lpAQAA", bad),
            (Some("node"), Some("Bruce2"), raw, Err(CredError::UnknownFormat)),
            (None, None, raw, Err(CredError::MissingName)),
            (None, Some(" "), raw, Err(CredError::MissingName)),
            (None, None, b"", Ok(None)),
        ] {
            let cred = cred(Some(MD5), format, data);
            let source = Location { uri: "IMEI:1".into(), name: name.map(Into::into) };
            let found = Presented::read(&cred, &source).map(|found| found.as_ref().map(show));
            assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{format:?} {data:?}");
        }
    }

    /// White space is cut from texts only: a raw digest may begin or end with it.
    #[test]
    fn raw_digests_keep_octets_that_look_like_white_space() {
        let mut raw = DIGEST;
        (raw[0], raw[15]) = (b' ', b'\n');
        let cred = cred(Some(MD5), None, &raw);
        let source = Location::named("IMEI:1", "Bruce2");
        let Ok(Some(Presented::Md5 { digest, .. })) = Presented::read(&cred, &source) else { panic!("not read") };
        assert_eq!(digest, raw);
    }

    #[test]
    fn reads_device() {
        for (scheme, name, data, expected) in [
            (DEVICE, Some("alice"), b"Zz6EivR3yeaaENcRN6lpAQ==".as_slice(), Ok("md5 D1 Some(\"alice\") true")),
            (DEVICE, None, b"Zz6EivR3yeaaENcRN6lpAQ", Ok("md5 D1 None true")),
            (DEVICE, Some(""), &DIGEST, Ok("md5 D1 None true")),
            (DEVICE, None, b"Zz6E", Err(CredError::Malformed)),
            ("X-SyncML:Auth-Device-SHA256", None, &DIGEST, Err(CredError::Malformed)),
            ("x-syncml:auth-device-sm3", None, b"Zz6EivR3yeaaENcRN6lpAQ==", Ok("sm3 D1 None true")),
            ("x-syncml:auth-device-sm3", None, &[7; 65], Err(CredError::Malformed)),
        ] {
            let cred = cred(Some(scheme), Some("b64"), data);
            let source = Location { uri: "D1".into(), name: name.map(Into::into) };
            let found = Presented::read(&cred, &source).map(|found| found.as_ref().map(show).unwrap_or_default());
            assert_eq!(found, expected.map(str::to_owned), "{scheme} {data:?}");
        }
    }

    #[test]
    fn refuses_foreign_schemes() {
        for scheme in ["syncml:auth-x509", "syncml:auth-MAC", "x-syncml:auth-device-", "Bruce2:OhBehave"] {
            let cred = cred(Some(scheme), None, b"QnJ1Y2UyOk9oQmVoYXZl");
            let source = Location::named("IMEI:1", "Bruce2");
            assert_eq!(Presented::read(&cred, &source).err(), Some(CredError::UnknownScheme), "{scheme}");
        }
    }

    #[test]
    fn reads_mac() {
        let source = Location::named("IMEI:1", "Bruce2");
        for (header, expected) in [
            ("username=\"Bruce2\", mac=Zz6EivR3yeaaENcRN6lpAQ==", Ok("mac Bruce2 true true")),
            ("algorithm=md5, username=\"Bruce2\", mac=Zz6EivR3yeaaENcRN6lpAQ==", Ok("mac Bruce2 true true")),
            ("algorithm=SHA1, username=\"Bruce2\", mac=Zz6EivR3yeaaENcRN6lpAQ==", Err(CredError::UnknownScheme)),
            ("username=\"Bruce1\", mac=Zz6EivR3yeaaENcRN6lpAQ==", Err(CredError::Malformed)),
            ("username=\"Bruce2\", mac=Zz6E", Err(CredError::Malformed)),
            ("username=\"Bruce2\", mac=Zz6?", Err(CredError::Malformed)),
        ] {
            let header = MacHeader::parse(header).unwrap();
            let found = Presented::of_mac(&header, &source, b"body").as_ref().map(show).map_err(|error| *error);
            assert_eq!(found, expected.map(str::to_owned));
        }
    }

    #[test]
    fn routes_by_the_name_that_counts() {
        let named = Location::named("D1", "alice");
        for (scheme, data, user) in [
            (None, b"QnJ1Y2UyOk9oQmVoYXZl".as_slice(), "Bruce2"),
            (Some(MD5), &DIGEST, "alice"),
            (Some(DEVICE), &DIGEST, "alice"),
        ] {
            let cred = cred(scheme, None, data);
            assert_eq!(Presented::read(&cred, &named).unwrap().unwrap().user(), Some(user));
        }
    }

    #[test]
    fn a_header_without_credential() {
        let mut header =
            Header::new(Version::V12, SessionId::from("1"), MsgId::FIRST, Location::new("/"), Location::new("D1"));
        assert!(Presented::of_header(&header).unwrap().is_none());
        header.cred = Some(Cred { meta: None, data: b"YTpi".as_slice().into() });
        assert_eq!(Presented::of_header(&header).unwrap().unwrap().user(), Some("a"));
    }

    #[test]
    fn statuses() {
        for (error, status) in [
            (CredError::UnknownScheme, StatusCode(406)),
            (CredError::UnknownFormat, StatusCode(415)),
            (CredError::MissingName, StatusCode(415)),
            (CredError::Malformed, StatusCode(401)),
        ] {
            assert_eq!(error.status(), status);
        }
    }

    #[test]
    fn shows_no_secret() {
        let cred = cred(None, None, b"Bruce2:OhBehave");
        let source = Location::new("D1");
        assert_eq!(format!("{:?}", Presented::read(&cred, &source).unwrap().unwrap()), "Presented(syncml:auth-basic)");
    }
}
