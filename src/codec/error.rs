//! What can be wrong with bytes, and what cannot be written.

use std::fmt;

/// Where something is wrong. Only names of the vocabulary and positions, never anything a person wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The innermost known element that was open.
    pub element: &'static str,
    /// Bytes from the start of the message. Inside a nested document they are counted from its own start.
    pub offset: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}", self.element, self.offset)
    }
}

/// Which of the [`Limits`](super::Limits) was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// `max_message`.
    Message,
    /// `max_depth`.
    Depth,
    /// `max_elements`.
    Elements,
    /// `max_text`.
    Text,
    /// `max_string_table`.
    StringTable,
    /// `max_message`, by what references into the string table add up to.
    Expansion,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "bytes in a message",
            Self::Depth => "open elements",
            Self::Elements => "elements in a message",
            Self::Text => "bytes in a text",
            Self::StringTable => "bytes in the string table",
            Self::Expansion => "bytes taken from the string table",
        })
    }
}

/// Why bytes are no message. In all cases the peer is at fault, or the limits are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A limit of the reader was reached; nothing beyond it was allocated.
    #[error("{at}: more than {max} {limit}")]
    Limit {
        /// Which.
        limit: Limit,
        /// Its value.
        max: usize,
        /// Where.
        at: At,
    },
    /// The input ends too early.
    #[error("{at}: the input ends here")]
    Truncated {
        /// Where.
        at: At,
    },
    /// The bytes are not well-formed XML or WBXML.
    #[error("{at}: {rule}")]
    Malformed {
        /// What the encoding demands.
        rule: &'static str,
        /// Where.
        at: At,
    },
    /// The document is something else.
    #[error("{at}: the root is not {expected}")]
    WrongRoot {
        /// The root wanted.
        expected: &'static str,
        /// Where.
        at: At,
    },
    /// An element without which its parent means nothing is absent.
    #[error("{at}: {element} is missing")]
    Missing {
        /// The element.
        element: &'static str,
        /// The end of its parent.
        at: At,
    },
    /// A number was expected.
    #[error("{at}: not a decimal number of {bits} bits")]
    BadNumber {
        /// The width that it has to fit into.
        bits: u32,
        /// Where.
        at: At,
    },
    /// The text is not in a character set that is read here.
    #[error("{at}: {rule}")]
    Charset {
        /// What is read.
        rule: &'static str,
        /// Where.
        at: At,
    },
    /// A feature of XML that is refused for safety.
    #[error("{at}: refused: {rule}")]
    Refused {
        /// What.
        rule: &'static str,
        /// Where.
        at: At,
    },
}

impl DecodeError {
    /// Where it is.
    #[must_use]
    pub const fn at(&self) -> At {
        match self {
            Self::Limit { at, .. }
            | Self::Truncated { at }
            | Self::Malformed { at, .. }
            | Self::WrongRoot { at, .. }
            | Self::Missing { at, .. }
            | Self::BadNumber { at, .. }
            | Self::Charset { at, .. }
            | Self::Refused { at, .. } => *at,
        }
    }

    /// Whether one of our limits was reached (413 or 400), rather than a rule broken (400).
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

/// Why a message cannot be written. The caller is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// XML has no way to carry this: NUL and other control characters, noncharacters, or octets that are not UTF-8.
    /// Data of this kind travels as base64, which is for the caller to decide; see
    /// [`xml_can_carry`](super::xml_can_carry).
    #[error("{element}: XML cannot carry its byte {offset}")]
    NotXml {
        /// The element.
        element: &'static str,
        /// The first byte of its content that cannot be carried.
        offset: usize,
    },
    /// The version written has no such element, and leaving it out would change what the message says.
    #[error("{element} does not exist in SyncML {version}")]
    NotInVersion {
        /// The element.
        element: &'static str,
        /// The version.
        version: crate::message::Version,
    },
    /// A command that was not understood when it was read cannot be written again.
    #[error("an unknown command cannot be written")]
    UnknownCommand,
    /// The encoder was asked for something out of order.
    #[error("the encoder {0}")]
    Misuse(&'static str),
}
