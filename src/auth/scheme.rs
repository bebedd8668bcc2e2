//! The credential schemes and their names on the wire (§5.2).

use super::DigestName;
use std::fmt;

const DEVICE_PREFIX: &str = "x-syncml:auth-device-";

/// How a speaker proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// User name and password, in clear.
    Basic,
    /// A digest over user name, password and a nonce.
    Md5,
    /// A digest over user name, password, a nonce and the whole message, in a header of the transport (§5.6).
    Mac,
    /// A digest over a shared secret and the device id: static, so as good as a password (mission S3).
    Device(DigestName),
}

impl Scheme {
    /// The scheme of a `Meta/Type`, whatever its case; basic when there is none. `None` when it is not spoken here.
    #[must_use]
    pub fn from_type(media_type: Option<&str>) -> Option<Self> {
        let name = media_type.unwrap_or_default().trim();
        if name.is_empty() {
            return Some(Self::Basic);
        }
        if let Some(scheme) = [Self::Basic, Self::Md5, Self::Mac].into_iter().find(|s| s.is_called(name)) {
            return Some(scheme);
        }
        let (prefix, digest) = name.split_at_checked(DEVICE_PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(DEVICE_PREFIX) {
            return None;
        }
        DigestName::new(digest).map(Self::Device)
    }

    /// Whether what is sent is the same each time, so that who overhears it once can use it.
    #[must_use]
    pub const fn is_static(self) -> bool {
        matches!(self, Self::Basic | Self::Device(_))
    }

    /// Whether its credentials are made with a nonce.
    #[must_use]
    pub const fn wants_nonce(self) -> bool {
        !self.is_static()
    }

    fn is_called(self, name: &str) -> bool {
        self.to_string().eq_ignore_ascii_case(name)
    }
}

/// The text of `Meta/Type`.
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic => f.write_str("syncml:auth-basic"),
            Self::Md5 => f.write_str("syncml:auth-md5"),
            Self::Mac => f.write_str("syncml:auth-MAC"),
            Self::Device(digest) => write!(f, "{DEVICE_PREFIX}{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scheme;
    use crate::auth::DigestName;

    #[test]
    fn names_on_the_wire() {
        for (scheme, text) in [
            (Scheme::Basic, "syncml:auth-basic"),
            (Scheme::Md5, "syncml:auth-md5"),
            (Scheme::Mac, "syncml:auth-MAC"),
            (Scheme::Device(DigestName::MD5), "x-syncml:auth-device-md5"),
            (Scheme::Device(DigestName::SHA256), "x-syncml:auth-device-sha256"),
            (Scheme::Device(DigestName::new("sm3").unwrap()), "x-syncml:auth-device-sm3"),
        ] {
            assert_eq!(scheme.to_string(), text);
            assert_eq!(Scheme::from_type(Some(text)), Some(scheme));
            assert_eq!(Scheme::from_type(Some(&format!(" {}\n", text.to_uppercase()))), Some(scheme));
        }
    }

    #[test]
    fn basic_unless_said_otherwise() {
        for (text, scheme) in [
            (None, Some(Scheme::Basic)),
            (Some(""), Some(Scheme::Basic)),
            (Some("  "), Some(Scheme::Basic)),
            (Some("syncml:auth-x509"), None),
            (Some("syncml:auth-md5x"), None),
            (Some("x-syncml:auth-device-"), None),
            (Some("x-syncml:auth-device-sha_1"), None),
            (Some("x-syncml:auth-devicé-md5"), None),
            (Some("text/plain"), None),
        ] {
            assert_eq!(Scheme::from_type(text), scheme, "{text:?}");
        }
    }

    #[test]
    fn what_can_be_overheard() {
        for (scheme, is_static) in
            [(Scheme::Basic, true), (Scheme::Md5, false), (Scheme::Mac, false), (Scheme::Device(DigestName::MD5), true)]
        {
            assert_eq!((scheme.is_static(), scheme.wants_nonce()), (is_static, !is_static), "{scheme}");
        }
    }
}
