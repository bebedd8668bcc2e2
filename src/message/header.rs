//! The message and its header (§2.1, §2.5).

use super::masked::debug_masked;
use super::{Command, Location, Meta, MsgId, SessionId, Text};
use std::fmt;

/// One SyncML message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `SyncHdr`.
    pub header: Header<'a>,
    /// The commands of `SyncBody`, in their order.
    pub body: Vec<Command<'a>>,
    /// `Final`: the sender's package ends with this message.
    pub last: bool,
}

/// `SyncHdr`.
#[derive(Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// `VerDTD` as written; see [`Header::version`].
    pub ver_dtd: Text<'a>,
    /// `VerProto` as written.
    pub ver_proto: Text<'a>,
    /// `SessionID`.
    pub session_id: SessionId<'a>,
    /// `MsgID`.
    pub msg_id: MsgId,
    /// `Target`: whom the message is for.
    pub target: Location<'a>,
    /// `Source`: who sends it; its name is the user for schemes that hide the user in a digest.
    pub source: Location<'a>,
    /// `RespURI`: where all later messages of the session go.
    pub resp_uri: Option<Text<'a>>,
    /// `NoResp`: no Status wanted for anything in this message.
    pub no_resp: bool,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
}

debug_masked!(Header {
    ver_dtd, ver_proto, session_id, msg_id, target, source, no_resp, cred, meta
} masked { resp_uri });

impl<'a> Header<'a> {
    /// A header of `version` with nothing optional in it.
    #[must_use]
    pub fn new(
        version: Version,
        session_id: SessionId<'a>,
        msg_id: MsgId,
        target: Location<'a>,
        source: Location<'a>,
    ) -> Self {
        Self {
            ver_dtd: version.dtd().into(),
            ver_proto: version.proto().into(),
            session_id,
            msg_id,
            target,
            source,
            resp_uri: None,
            no_resp: false,
            cred: None,
            meta: None,
        }
    }

    /// The wire version, if `VerDTD` is one that exists.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::from_dtd(&self.ver_dtd)
    }
}

/// A wire version (§1.1). Maintenance releases (1.0.1, 1.1.2, 1.2.2 …) do not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Version {
    /// SyncML 1.0.
    V10,
    /// SyncML 1.1.
    V11,
    /// OMA DS 1.2.
    V12,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V10, Self::V11, Self::V12];

    /// The text of `VerDTD`.
    #[must_use]
    pub const fn dtd(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }

    /// The text of `VerProto`.
    #[must_use]
    pub const fn proto(self) -> &'static str {
        match self {
            Self::V10 => "SyncML/1.0",
            Self::V11 => "SyncML/1.1",
            Self::V12 => "SyncML/1.2",
        }
    }

    /// The well-known address of the device information.
    #[must_use]
    pub const fn devinf_uri(self) -> &'static str {
        match self {
            Self::V10 => "./devinf10",
            Self::V11 => "./devinf11",
            Self::V12 => "./devinf12",
        }
    }

    /// The version of a `VerDTD` text.
    #[must_use]
    pub fn from_dtd(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.dtd() == text.trim())
    }

    /// The version of a `VerProto` text.
    #[must_use]
    pub fn from_proto(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.proto().eq_ignore_ascii_case(text.trim()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtd())
    }
}

/// `Cred`: a credential (§5.2). Its data never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Cred<'a> {
    /// `Meta`: Type names the scheme (basic when absent), Format says `b64` or nothing.
    pub meta: Option<Meta<'a>>,
    /// `Data`, base64 text in XML; WBXML may carry raw octets.
    pub data: super::Bytes<'a>,
}

impl fmt::Debug for Cred<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cred").field("meta", &self.meta).field("data", &"…").finish()
    }
}

/// `Chal`: what credential is wanted; Meta carries Type, Format and NextNonce (§5.3).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chal<'a> {
    /// `Meta`.
    pub meta: Meta<'a>,
}
