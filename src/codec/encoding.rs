//! The two encodings and how to tell them apart.

use crate::message::Version;

/// How a message is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Encoding {
    /// Text, `application/vnd.syncml+xml`.
    Xml,
    /// Binary, `application/vnd.syncml+wbxml`.
    Wbxml,
}

impl Encoding {
    /// The media type of a message (§1.2).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Xml => "application/vnd.syncml+xml",
            Self::Wbxml => "application/vnd.syncml+wbxml",
        }
    }

    /// The media type of device information inside a message of this encoding (§1.2). `Meta/Type` of the commands that
    /// carry it is written by whoever makes them: the codec keeps it as it is.
    #[must_use]
    pub const fn devinf_type(self) -> &'static str {
        match self {
            Self::Xml => "application/vnd.syncml-devinf+xml",
            Self::Wbxml => "application/vnd.syncml-devinf+wbxml",
        }
    }

    /// The encoding that a `Content-Type` names, whatever its case and its parameters. `None` for anything else: then
    /// [`Encoding::sniff`] may still know.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split([';', ',']).next().unwrap_or("").trim();
        [Self::Xml, Self::Wbxml].into_iter().find(|encoding| encoding.media_type().eq_ignore_ascii_case(essence))
    }

    /// The encoding that the first bytes look like.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x01..=0x03, ..] => Some(Self::Wbxml),
            [0xEF, 0xBB, 0xBF, ..] => Some(Self::Xml),
            _ => match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'<') => Some(Self::Xml),
                _ => None,
            },
        }
    }
}

/// What the versions differ in on paper: names, identifiers, numbers (§1.1, §7.1).
pub(super) struct Names {
    /// The namespace of the message.
    pub(super) namespace: &'static str,
    /// The public identifiers of the message and of device information, as texts.
    pub(super) fpi: [&'static str; 2],
    /// The same as numbers.
    pub(super) public_id: [u32; 2],
}

/// The index of a message in [`Names::fpi`] and [`Names::public_id`].
pub(super) const MESSAGE: usize = 0;
/// The index of device information there.
pub(super) const DEVINF: usize = 1;

/// The names of a version.
pub(super) const fn names(version: Version) -> Names {
    match version {
        Version::V10 => Names {
            namespace: "SYNCML:SYNCML1.0",
            fpi: ["-//SYNCML//DTD SyncML 1.0//EN", "-//SYNCML//DTD DevInf 1.0//EN"],
            public_id: [0x0FD1, 0x0FD2],
        },
        Version::V11 => Names {
            namespace: "SYNCML:SYNCML1.1",
            fpi: ["-//SYNCML//DTD SyncML 1.1//EN", "-//SYNCML//DTD DevInf 1.1//EN"],
            public_id: [0x0FD3, 0x0FD4],
        },
        Version::V12 => Names {
            namespace: "SYNCML:SYNCML1.2",
            fpi: ["-//SYNCML//DTD SyncML 1.2//EN", "-//SYNCML//DTD DevInf 1.2//EN"],
            public_id: [0x1201, 0x1203],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_read_as_peers_write_them() {
        for (text, expected) in [
            ("application/vnd.syncml+xml", Some(Encoding::Xml)),
            ("application/vnd.syncml+wbxml", Some(Encoding::Wbxml)),
            ("application/vnd.syncml+wbxml; charset=UTF-8", Some(Encoding::Wbxml)),
            ("Application/Vnd.SyncML+XML;charset=\"utf-8\"", Some(Encoding::Xml)),
            ("  application/vnd.syncml+xml  ", Some(Encoding::Xml)),
            ("application/vnd.syncml.dm+xml", None),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Encoding::from_content_type(text), expected, "{text}");
        }
    }

    #[test]
    fn first_bytes_tell() {
        for (bytes, expected) in [
            (&b"<?xml"[..], Some(Encoding::Xml)),
            (b"\r\n <SyncML>", Some(Encoding::Xml)),
            (b"\xEF\xBB\xBF<SyncML>", Some(Encoding::Xml)),
            (b"\x02\xA4\x01\x6A\x00", Some(Encoding::Wbxml)),
            (b"\x01", Some(Encoding::Wbxml)),
            (b"\x00", None),
            (b"not found", None),
            (b"", None),
        ] {
            assert_eq!(Encoding::sniff(bytes), expected);
        }
    }

    #[test]
    fn every_public_identifier_is_29_bytes_long() {
        for version in Version::ALL {
            assert!(names(version).fpi.iter().all(|fpi| fpi.len() == 29));
        }
    }
}
