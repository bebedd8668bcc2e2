//! The digests of the DeviceID scheme: two shipped, others pluggable (mission S3).

use md5::{Digest, Md5};
use sha2::Sha256;
use std::fmt;

/// What a stored verifier's scheme name begins with, ahead of the digest's own name.
const STORED_PREFIX: &str = "device-";

/// A digest's name: the end of its wire scheme (`x-syncml:auth-device-NAME`) and of the scheme it is stored under
/// (`device-NAME`). One to [`MAX_LEN`](Self::MAX_LEN) of `a`–`z`, `0`–`9` and `-`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestName {
    /// The stored form, prefix included, filled up with NUL.
    stored: [u8; STORED_PREFIX.len() + Self::MAX_LEN],
    len: u8,
}

impl DigestName {
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 16;

    /// MD5.
    pub const MD5: Self = Self::make(b"md5");

    /// SHA-256.
    pub const SHA256: Self = Self::make(b"sha256");

    /// The name of that spelling, whatever its case; `None` when it cannot be one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&name.len())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        fits.then(|| Self::make(name.as_bytes()))
    }

    /// The name in a stored scheme (`device-NAME`).
    pub(super) fn from_stored(scheme: &str) -> Option<Self> {
        Self::new(scheme.strip_prefix(STORED_PREFIX)?)
    }

    /// The scheme it is stored under (`device-NAME`).
    pub(super) fn stored(&self) -> &str {
        let stored = &self.stored[..usize::from(self.len)];
        std::str::from_utf8(stored).expect("only ASCII was put in")
    }

    /// The name alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.stored()[STORED_PREFIX.len()..]
    }

    /// `name` is ASCII of at most `MAX_LEN` octets: its callers see to that.
    const fn make(name: &[u8]) -> Self {
        let mut stored = [0; STORED_PREFIX.len() + Self::MAX_LEN];
        let prefix = STORED_PREFIX.as_bytes();
        let mut at = 0;
        while at < prefix.len() + name.len() {
            stored[at] = if at < prefix.len() { prefix[at] } else { name[at - prefix.len()].to_ascii_lowercase() };
            at += 1;
        }
        // At most 23.
        #[allow(clippy::cast_possible_truncation)]
        Self { stored, len: at as u8 }
    }
}

impl fmt::Display for DigestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DigestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestName({self})")
    }
}

/// A digest for the DeviceID scheme. A host may plug in its own: the client role computes with it, a server needs only
/// the [`Verifier`](super::Verifier) made with it once.
pub trait Digester {
    /// Its name on the wire. Two digests must not share one.
    fn name(&self) -> DigestName;

    /// The digest of the octets.
    fn digest(&self, octets: &[u8]) -> Vec<u8>;
}

impl<D: Digester + ?Sized> Digester for &D {
    fn name(&self) -> DigestName {
        (**self).name()
    }

    fn digest(&self, octets: &[u8]) -> Vec<u8> {
        (**self).digest(octets)
    }
}

/// The digests that ship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestKind {
    /// MD5, as the mission's S3 has it.
    Md5,
    /// SHA-256.
    Sha256,
}

impl DigestKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Md5, Self::Sha256];

    /// The shipped digest of that name.
    #[must_use]
    pub fn named(name: DigestName) -> Option<Self> {
        Self::ALL.into_iter().find(|digest| digest.name() == name)
    }
}

impl Digester for DigestKind {
    fn name(&self) -> DigestName {
        match self {
            Self::Md5 => DigestName::MD5,
            Self::Sha256 => DigestName::SHA256,
        }
    }

    fn digest(&self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DigestKind, DigestName, Digester};

    #[test]
    fn names_are_short_plain_and_caseless() {
        for (text, name) in [
            ("md5", Some("md5")),
            ("SHA256", Some("sha256")),
            ("sm3", Some("sm3")),
            ("sha512-256", Some("sha512-256")),
            ("sixteen-letters-", Some("sixteen-letters-")),
            ("seventeen-letters", None),
            ("", None),
            ("a b", None),
            ("é", None),
        ] {
            assert_eq!(DigestName::new(text).as_ref().map(DigestName::as_str), name, "{text:?}");
        }
        assert_eq!(DigestName::new("MD5"), Some(DigestName::MD5));
        assert_eq!(DigestName::from_stored("device-sha256"), Some(DigestName::SHA256));
        assert_eq!(DigestName::from_stored("sha256"), None);
        assert_eq!(DigestName::SHA256.stored(), "device-sha256");
        assert_eq!(format!("{:?}", DigestName::MD5), "DigestName(md5)");
    }

    #[test]
    fn shipped_digests_are_found_by_name() {
        for digest in DigestKind::ALL {
            assert_eq!(DigestKind::named(digest.name()), Some(digest));
        }
        assert_eq!(DigestKind::named(DigestName::new("sm3").unwrap()), None);
        assert_eq!((DigestKind::Md5.digest(b"").len(), DigestKind::Sha256.digest(b"").len()), (16, 32));
    }
}
