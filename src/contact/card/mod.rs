//! Lossless vCards: 2.1 (versit, 1996), 3.0 (RFC 2426), 4.0 (RFC 6350).
//!
//! A [`Card`] borrows the received bytes and only notes where things are: properties in order, with group, parameters
//! and the raw extent of the value. Values are decoded when asked for. What nobody touched is written back byte for
//! byte, whatever it was: unknown properties, odd folding, wrong charsets, junk between lines (field notes 16, 35–38).

mod charset;
mod convert;
mod decode;
mod edit;
mod glance;
mod lex;
mod names;
mod property;
mod write;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use charset::{Charset, decode_document};
pub use convert::convert;
pub use edit::{CardBuilder, Editor};
pub(crate) use glance::version_of;
pub use property::{Encoding, Param, Params, Property};
pub use write::{PropertyBuf, Value};

pub(in crate::contact) use convert::{is_derived, render_name, stand_in, stand_ins};
pub(in crate::contact) use lex::content_lines;
pub(in crate::contact) use names::{Shape, canonical, canonical_name, canonical_param, is_single, shape};
pub(in crate::contact) use write::{clean, is_internal_param, unpack};

/// The versions of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// versit vCard 2.1 (1996): bare parameters, QUOTED-PRINTABLE, a charset per property.
    V2_1,
    /// vCard 3.0, RFC 2426.
    V3_0,
    /// vCard 4.0, RFC 6350.
    V4_0,
}

impl Version {
    /// The value of the property VERSION.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2_1 => "2.1",
            Self::V3_0 => "3.0",
            Self::V4_0 => "4.0",
        }
    }

    fn of_value(value: &str) -> Self {
        match value.trim().as_bytes().first() {
            Some(b'2') => Self::V2_1,
            Some(b'3') => Self::V3_0,
            _ => Self::V4_0,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a reader accepts. Checked before memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the whole input. Default 16 MiB, never more than 4 GiB.
    pub max_bytes: usize,
    /// Properties of one card. Default 4,096.
    pub max_properties: usize,
    /// Parameters of one property. Default 64.
    pub max_params: usize,
    /// Cards within cards (AGENT, vCard 2.1 §2.4.1). Default 4.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 16 << 20, max_properties: 4096, max_params: 64, max_depth: 4 }
    }
}

/// Why bytes are no card. Nothing of the card's contents is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No line `BEGIN:VCARD` (vCard 2.1 §3, RFC 2426 §4, RFC 6350 §6.1.1).
    #[error("no line BEGIN:VCARD")]
    NoCard,
    /// The input exceeds [`Limits::max_bytes`].
    #[error("{size} bytes, {limit} are allowed")]
    TooLarge {
        /// Bytes of the input.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The card exceeds [`Limits::max_properties`].
    #[error("line {line}: more than {limit} properties")]
    TooManyProperties {
        /// Line of the property that is too many, from 1.
        line: u32,
        /// The limit.
        limit: usize,
    },
    /// A property exceeds [`Limits::max_params`].
    #[error("line {line}: {property} has more than {limit} parameters")]
    TooManyParams {
        /// Line of the property, from 1.
        line: u32,
        /// Its standard name, else `an extension`.
        property: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Cards within cards exceed [`Limits::max_depth`].
    #[error("line {line}: cards within cards deeper than {limit}")]
    TooDeep {
        /// Line of the inner BEGIN, from 1.
        line: u32,
        /// The limit.
        limit: usize,
    },
}

/// One card, borrowed from the bytes it came in.
///
/// Reading is lenient: a missing END, VERSION, N or FN, a byte-order mark, junk before, between and after properties
/// are all accepted, and all of it is part of [`Card::as_bytes`].
#[derive(Clone)]
pub struct Card<'a> {
    whole: &'a [u8],
    body: Range<usize>,
    end_line: usize,
    complete: bool,
    version: Version,
    properties: Vec<Property<'a>>,
}

impl<'a> Card<'a> {
    /// Reads the first card in `bytes` with the default [`Limits`]; what stands before and after it is kept with it.
    ///
    /// UTF-16 must be turned into UTF-8 first, see [`decode_document`].
    ///
    /// # Errors
    /// [`Error::NoCard`] without a line `BEGIN:VCARD`, else a limit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse_with(bytes, &Limits::default(), Charset::WINDOWS_1252)
    }

    /// Like [`Card::parse`], with given limits and the charset of values that declare none and are not UTF-8
    /// (field note 37: a device rule, for example Shift_JIS).
    ///
    /// # Errors
    /// As [`Card::parse`].
    pub fn parse_with(bytes: &'a [u8], limits: &Limits, fallback: Charset) -> Result<Self, Error> {
        let mut cards = Cards::new(bytes, limits, fallback)?;
        let mut card = cards.next().unwrap_or(Err(Error::NoCard))?;
        card.whole = bytes;
        Ok(card)
    }

    /// All cards of a file, in order. Their [`Card::as_bytes`] put together are the file: junk belongs to the card
    /// that follows it, what stands after the last card to the last.
    ///
    /// # Errors
    /// [`Error::TooLarge`], at once; other errors come with the card they concern, and end the iteration.
    pub fn parse_all(bytes: &'a [u8], limits: &Limits, fallback: Charset) -> Result<Cards<'a>, Error> {
        Cards::new(bytes, limits, fallback)
    }

    /// The bytes this card was read from, to the last one.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.whole
    }

    /// The bytes from BEGIN to the end of the line END, without what stands before and after.
    pub fn body(&self) -> &'a [u8] {
        &self.whole[self.body.clone()]
    }

    /// The declared version; without VERSION 2.1 if a parameter is spelt the 2.1 way, else 3.0.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Is there an END? A card cut off in transit has none.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// All properties except BEGIN and END, in order.
    pub fn properties(&self) -> &[Property<'a>] {
        &self.properties
    }

    /// The first property of this name (letter case does not matter).
    pub fn get(&self, name: &str) -> Option<&Property<'a>> {
        self.properties.iter().find(|property| property.is(name))
    }

    /// All properties of this name (letter case does not matter), in order.
    pub fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Property<'a>> + 'c {
        self.properties.iter().filter(move |property| property.is(name))
    }

    /// The text of the first property of this name that is not empty.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all(name).map(Property::text).find(|text| !text.trim().is_empty())
    }

    /// The line break this card uses, for what is added to it.
    pub(crate) fn line_break(&self) -> &'static [u8] {
        match lex::find(b'\n', self.whole) {
            None if self.whole.contains(&b'\r') => b"\r",
            Some(0) => b"\n",
            Some(at) if self.whole[at - 1] != b'\r' => b"\n",
            _ => b"\r\n",
        }
    }
}

impl fmt::Debug for Card<'_> {
    /// Names and sizes only: a card is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("version", &self.version)
            .field("bytes", &self.whole.len())
            .field("properties", &self.properties)
            .finish()
    }
}

/// Iterator over the cards of a file, see [`Card::parse_all`].
#[derive(Clone)]
pub struct Cards<'a> {
    bytes: &'a [u8],
    /// The same, if it is UTF-8.
    text: Option<&'a str>,
    limits: Limits,
    fallback: Charset,
    cr_only: bool,
    start: usize,
    /// Start and line of the next BEGIN.
    begin: Option<(usize, u32)>,
}

impl<'a> Cards<'a> {
    fn new(bytes: &'a [u8], limits: &Limits, fallback: Charset) -> Result<Self, Error> {
        let limit = limits.max_bytes.min(u32::MAX as usize);
        if bytes.len() > limit {
            return Err(Error::TooLarge { size: bytes.len(), limit });
        }
        let cr_only = lex::find(b'\n', bytes).is_none();
        let begin = lex::find_begin(bytes, 0, 1, cr_only);
        let text = std::str::from_utf8(bytes).ok();
        Ok(Self { bytes, text, limits: *limits, fallback, cr_only, start: 0, begin })
    }
}

impl fmt::Debug for Cards<'_> {
    /// How far it is: cards are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cards").field("bytes", &self.bytes.len()).field("begin", &self.begin).finish_non_exhaustive()
    }
}

impl<'a> Iterator for Cards<'a> {
    type Item = Result<Card<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (begin, line) = self.begin.take()?;
        let lexed = match lex::lex(self.bytes, self.text, begin, line, self.cr_only, &self.limits, self.fallback) {
            Ok(lexed) => lexed,
            Err(error) => return Some(Err(error)),
        };
        self.begin = lex::find_begin(self.bytes, lexed.stop, lexed.next_line, self.cr_only);
        let whole_end = if self.begin.is_some() { lexed.stop } else { self.bytes.len() };
        let start = std::mem::replace(&mut self.start, whole_end);
        let mut card = Card {
            whole: &self.bytes[start..whole_end],
            body: begin - start..lexed.stop - start,
            end_line: lexed.end_line - start,
            complete: lexed.complete,
            version: lexed.version,
            properties: lexed.properties,
        };
        for property in &mut card.properties {
            property.settle(lexed.version, start);
        }
        Some(Ok(card))
    }
}
