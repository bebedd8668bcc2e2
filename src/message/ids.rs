//! Identifiers. Peers choose them, so they stay opaque texts wherever the protocol lets them be (§1.3).

use super::Text;
use super::masked::debug_masked;
use std::borrow::Cow;
use std::fmt;

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name<'a>(pub Text<'a>);

        impl<'a> $name<'a> {
            /// The identifier as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same identifier, free of the message it came in.
            #[must_use]
            pub fn into_owned(self) -> $name<'static> {
                $name(Cow::Owned(self.0.into_owned()))
            }
        }

        impl<'a> From<&'a str> for $name<'a> {
            fn from(text: &'a str) -> Self {
                Self(Cow::Borrowed(text))
            }
        }

        impl From<String> for $name<'_> {
            fn from(text: String) -> Self {
                Self(Cow::Owned(text))
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id! {
    /// `SessionID`: chosen by the initiator, at most 4 bytes by specification, guessable in practice. Never a secret.
    SessionId
}

opaque_id! {
    /// `CmdID`: unique within one message, never `0`, not necessarily a number.
    CmdId
}

impl From<u32> for CmdId<'_> {
    fn from(number: u32) -> Self {
        Self(Cow::Owned(number.to_string()))
    }
}

/// `MsgID`: starts at 1 for each side of a session and grows by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MsgId(pub u32);

impl MsgId {
    /// The first message of a session.
    pub const FIRST: Self = Self(1);

    /// The message after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `Target` or `Source`: an address and, in headers, a name to display or to authenticate (§1.3).
///
/// What `LocURI` means depends on where it stands: a device or server in the header, a datastore in Alert, Sync and
/// Map, a LUID or GUID in an item.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Location<'a> {
    /// The address, exactly as the peer spelled it (it wants its own spelling back).
    pub uri: Text<'a>,
    /// `LocName`: the user's name in a header's Source, a display name elsewhere.
    pub name: Option<Text<'a>>,
}

debug_masked!(Location {} masked { uri, name });

impl<'a> Location<'a> {
    /// An address without a name.
    #[must_use]
    pub fn new(uri: impl Into<Text<'a>>) -> Self {
        Self { uri: uri.into(), name: None }
    }

    /// An address with a name.
    #[must_use]
    pub fn named(uri: impl Into<Text<'a>>, name: impl Into<Text<'a>>) -> Self {
        Self { uri: uri.into(), name: Some(name.into()) }
    }
}
