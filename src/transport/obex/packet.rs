//! Packets: an opcode or response code, a length, fields of CONNECT and SETPATH, headers.

use super::MIN_PACKET;
use std::fmt;
use thiserror::Error;

/// Bytes of a packet's code and length.
pub const PREFIX: usize = 3;

/// The version of OBEX that is spoken: 1.0.
const VERSION: u8 = 0x10;

/// The bit that says that a request is complete, or that a response is one.
const FINAL: u8 = 0x80;

/// An opcode or response code, its final bit included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Begins a connection.
    pub const CONNECT: Self = Self(0x80);
    /// Ends it.
    pub const DISCONNECT: Self = Self(0x81);
    /// More of an object; the last packet of it is [`PUT_FINAL`](Self::PUT_FINAL).
    pub const PUT: Self = Self(0x02);
    /// The last of an object.
    pub const PUT_FINAL: Self = Self(0x82);
    /// More of a request for an object.
    pub const GET: Self = Self(0x03);
    /// A whole request for an object, or for more of it.
    pub const GET_FINAL: Self = Self(0x83);
    /// Goes to another folder; not used by SyncML.
    pub const SET_PATH: Self = Self(0x85);
    /// Breaks an operation off.
    pub const ABORT: Self = Self(0xFF);
    /// Go on.
    pub const CONTINUE: Self = Self(0x90);
    /// Done.
    pub const SUCCESS: Self = Self(0xA0);
    /// Not understood.
    pub const BAD_REQUEST: Self = Self(0xC0);
    /// Not allowed.
    pub const FORBIDDEN: Self = Self(0xC3);
    /// Nothing of that name.
    pub const NOT_FOUND: Self = Self(0xC4);
    /// It took too long, or the session is gone.
    pub const REQUEST_TIMEOUT: Self = Self(0xC8);
    /// Another operation is going on, or none.
    pub const CONFLICT: Self = Self(0xC9);
    /// The object is too large.
    pub const TOO_LARGE: Self = Self(0xCD);
    /// Not SyncML.
    pub const UNSUPPORTED_TYPE: Self = Self(0xCF);
    /// The server failed.
    pub const INTERNAL_ERROR: Self = Self(0xD0);
    /// Not done here.
    pub const NOT_IMPLEMENTED: Self = Self(0xD1);
    /// Not now, or not on this connection.
    pub const UNAVAILABLE: Self = Self(0xD3);

    /// Whether the final bit is set.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.0 & FINAL != 0
    }

    /// The response code that says what an HTTP status says.
    #[must_use]
    pub const fn from_http(status: u16) -> Self {
        match status {
            200..=299 => Self::SUCCESS,
            403 => Self::FORBIDDEN,
            404 => Self::NOT_FOUND,
            408 => Self::REQUEST_TIMEOUT,
            413 => Self::TOO_LARGE,
            415 => Self::UNSUPPORTED_TYPE,
            501 => Self::NOT_IMPLEMENTED,
            503 => Self::UNAVAILABLE,
            500..=599 => Self::INTERNAL_ERROR,
            _ => Self::BAD_REQUEST,
        }
    }

    /// The HTTP status that says what a response code says.
    #[must_use]
    pub const fn to_http(self) -> u16 {
        match self.0 & !FINAL {
            0x10..=0x2F => 200,
            // They are HTTP's own, in order, but for the database codes.
            code @ 0x40..=0x4F => 400 + (code - 0x40) as u16,
            code @ 0x50..=0x55 => 500 + (code - 0x50) as u16,
            _ => 500,
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// A header. `Debug` does not show what bodies hold.
#[derive(Clone, PartialEq, Eq)]
pub enum Header {
    /// The object's name.
    Name(String),
    /// The object's media type, without the NUL at its end.
    Type(String),
    /// The object's length, in bytes.
    Length(u32),
    /// Which service is meant.
    Target(Vec<u8>),
    /// Which service answers.
    Who(Vec<u8>),
    /// Which connection it is.
    ConnectionId(u32),
    /// A header of HTTP: how a MAC travels (§5.6).
    Http(Vec<u8>),
    /// A piece of the object.
    Body(Vec<u8>),
    /// The last piece of it.
    EndOfBody(Vec<u8>),
    /// Any other: its identifier and its value as it stands, without identifier and length.
    Other(u8, Vec<u8>),
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "Name({name:?})"),
            Self::Type(name) => write!(f, "Type({name:?})"),
            Self::Length(length) => write!(f, "Length({length})"),
            Self::Target(target) => write!(f, "Target({})", target.escape_ascii()),
            Self::Who(who) => write!(f, "Who({})", who.escape_ascii()),
            Self::ConnectionId(id) => write!(f, "ConnectionId({id})"),
            Self::Http(bytes) => write!(f, "Http({} bytes)", bytes.len()),
            Self::Body(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Self::EndOfBody(bytes) => write!(f, "EndOfBody({} bytes)", bytes.len()),
            Self::Other(id, bytes) => write!(f, "Other({id:#04x}, {} bytes)", bytes.len()),
        }
    }
}

const NAME: u8 = 0x01;
const TYPE: u8 = 0x42;
const LENGTH: u8 = 0xC3;
const TARGET: u8 = 0x46;
const HTTP: u8 = 0x47;
const BODY: u8 = 0x48;
const END_OF_BODY: u8 = 0x49;
const WHO: u8 = 0x4A;
const CONNECTION_ID: u8 = 0xCB;

/// What the two highest bits of a header's identifier say of its value.
#[derive(Clone, Copy)]
enum Shape {
    /// With a length before it.
    Long,
    One,
    Four,
}

const fn shape(id: u8) -> Shape {
    match id >> 6 {
        0 | 1 => Shape::Long,
        2 => Shape::One,
        _ => Shape::Four,
    }
}

/// Why bytes are no packet, or a packet is none that may come.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObexError {
    /// A packet's length is less than it takes, or more than was agreed on.
    #[error("a packet of {size} bytes, where 3 to {limit} are taken")]
    Size {
        /// Bytes it announces.
        size: usize,
        /// Bytes that are taken.
        limit: usize,
    },
    /// A packet ends in the midst of something.
    #[error("a packet ends in the midst of {0}")]
    Cut(&'static str),
    /// A length within a packet is impossible.
    #[error("a header of an impossible length")]
    Header,
    /// A name that is no UTF-16.
    #[error("a name that is no UTF-16")]
    Text,
    /// The object is larger than is taken.
    #[error("an object of more than {0} bytes")]
    TooLarge(usize),
    /// A packet that cannot come now.
    #[error("{0:?} where something else is expected")]
    Unexpected(Code),
    /// Something is wanted of a machine that is busy, or not connected.
    #[error("not possible now")]
    Misuse,
    /// The peer is no SyncML server.
    #[error("it is no SyncML server")]
    Stranger,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Opcode or response code.
    pub code: Code,
    /// In CONNECT and its response: the largest packet that its sender takes.
    pub max: Option<u16>,
    /// In order.
    pub headers: Vec<Header>,
}

impl Packet {
    /// A packet that is not about a connection's begin.
    #[must_use]
    pub const fn new(code: Code, headers: Vec<Header>) -> Self {
        Self { code, max: None, headers }
    }

    /// A CONNECT, or the response to one.
    #[must_use]
    pub const fn connect(code: Code, max: u16, headers: Vec<Header>) -> Self {
        Self { code, max: Some(max), headers }
    }

    /// Reads a request, whole as a [`Framer`](super::Framer) gives it.
    ///
    /// # Errors
    /// [`ObexError`].
    pub fn request(bytes: &[u8]) -> Result<Self, ObexError> {
        let (&code, _) = bytes.split_first().ok_or(ObexError::Cut("its code"))?;
        let code = Code(code);
        Self::parse(bytes, code == Code::CONNECT, if code == Code::SET_PATH { 2 } else { 0 })
    }

    /// Reads a response, to a CONNECT or to something else.
    ///
    /// # Errors
    /// [`ObexError`].
    pub fn response(bytes: &[u8], connecting: bool) -> Result<Self, ObexError> {
        // Some leave the fields out when they refuse.
        let has_fields = connecting && bytes.len() >= PREFIX + 4;
        Self::parse(bytes, has_fields, 0)
    }

    fn parse(bytes: &[u8], connecting: bool, skipped: usize) -> Result<Self, ObexError> {
        let code = Code(*bytes.first().ok_or(ObexError::Cut("its code"))?);
        let mut rest = bytes.get(PREFIX..).ok_or(ObexError::Cut("its length"))?;
        let mut max = None;
        if connecting {
            let (fields, headers) = rest.split_at_checked(4).ok_or(ObexError::Cut("its fields"))?;
            max = Some(u16::from_be_bytes([fields[2], fields[3]]).max(MIN_PACKET));
            rest = headers;
        }
        rest = rest.get(skipped..).ok_or(ObexError::Cut("its fields"))?;
        let mut headers = Vec::new();
        while let Some((header, after)) = header(rest)? {
            headers.push(header);
            rest = after;
        }
        Ok(Self { code, max, headers })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`ObexError::Size`] when it is longer than a packet can be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ObexError> {
        let mut bytes = vec![self.code.0, 0, 0];
        if let Some(max) = self.max {
            bytes.extend([VERSION, 0]);
            bytes.extend(max.to_be_bytes());
        }
        for header in &self.headers {
            write(header, &mut bytes)?;
        }
        let limit = usize::from(u16::MAX);
        let size = u16::try_from(bytes.len()).map_err(|_| ObexError::Size { size: bytes.len(), limit })?;
        bytes[1..3].copy_from_slice(&size.to_be_bytes());
        Ok(bytes)
    }

    /// The connection it belongs to.
    #[must_use]
    pub fn connection(&self) -> Option<u32> {
        self.headers.iter().find_map(|header| match header {
            Header::ConnectionId(id) => Some(*id),
            _ => None,
        })
    }
}

/// The first header of some, and what follows it.
fn header(bytes: &[u8]) -> Result<Option<(Header, &[u8])>, ObexError> {
    let Some((&id, rest)) = bytes.split_first() else { return Ok(None) };
    let size = match shape(id) {
        Shape::One => 1,
        Shape::Four => 4,
        Shape::Long => {
            let [high, low, ..] = *rest else { return Err(ObexError::Cut("a header's length")) };
            usize::from(u16::from_be_bytes([high, low])).checked_sub(PREFIX).ok_or(ObexError::Header)?
        }
    };
    let rest = if matches!(shape(id), Shape::Long) { &rest[2..] } else { rest };
    let (value, after) = rest.split_at_checked(size).ok_or(ObexError::Cut("a header"))?;
    let number = || value.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let header = match id {
        NAME => Header::Name(text(value)?),
        TYPE => Header::Type(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()),
        LENGTH => Header::Length(number()),
        TARGET => Header::Target(value.to_vec()),
        WHO => Header::Who(value.to_vec()),
        CONNECTION_ID => Header::ConnectionId(number()),
        HTTP => Header::Http(value.to_vec()),
        BODY => Header::Body(value.to_vec()),
        END_OF_BODY => Header::EndOfBody(value.to_vec()),
        other => Header::Other(other, value.to_vec()),
    };
    Ok(Some((header, after)))
}

/// Text of UTF-16 with a NUL at its end.
fn text(bytes: &[u8]) -> Result<String, ObexError> {
    let (units, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(ObexError::Text);
    }
    let units: Vec<u16> = units.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let units = units.strip_suffix(&[0]).unwrap_or(&units);
    String::from_utf16(units).map_err(|_| ObexError::Text)
}

fn write(header: &Header, bytes: &mut Vec<u8>) -> Result<(), ObexError> {
    let (id, value): (u8, Vec<u8>) = match header {
        Header::Name(name) => {
            let units = name.encode_utf16().chain((!name.is_empty()).then_some(0));
            (NAME, units.flat_map(u16::to_be_bytes).collect())
        }
        Header::Type(name) => (TYPE, [name.as_bytes(), &[0]].concat()),
        Header::Length(length) => (LENGTH, length.to_be_bytes().to_vec()),
        Header::Target(value) => (TARGET, value.clone()),
        Header::Who(value) => (WHO, value.clone()),
        Header::ConnectionId(id) => (CONNECTION_ID, id.to_be_bytes().to_vec()),
        Header::Http(value) => (HTTP, value.clone()),
        Header::Body(value) => (BODY, value.clone()),
        Header::EndOfBody(value) => (END_OF_BODY, value.clone()),
        Header::Other(id, value) => (*id, value.clone()),
    };
    bytes.push(id);
    match shape(id) {
        Shape::One | Shape::Four => {}
        Shape::Long => {
            let size = u16::try_from(value.len() + PREFIX).map_err(|_| ObexError::Header)?;
            bytes.extend(size.to_be_bytes());
        }
    }
    bytes.extend(value);
    Ok(())
}
