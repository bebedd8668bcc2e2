//! How the language is written down: [`decode`] and [`encode`], in XML and in WBXML (§2, §7).
//!
//! One vocabulary ([`tag`]: names, code pages, tokens) serves both encodings. Reading: a `Source` turns bytes into
//! elements, one typed parser ([`parse`]) makes them a [`Message`]. Writing: one typed writer ([`write`]) turns a message
//! into elements, a `Sink` makes them bytes. What is read may be sloppy – namespaces, order, quoting, wrapping; what is
//! written follows the DTD of its version.
//!
//! Enters: the bytes of one message, [`Limits`]. Leaves: a [`Message`] that borrows from them, and the way back;
//! [`Encoder`] does it command by command with exact sizes, so that a message can be filled up to `MaxMsgSize`.

mod encoder;
mod encoding;
mod error;
mod limits;
mod parse;
mod scan;
mod source;
mod tag;
mod wbxml;
mod write;
mod xml;

#[cfg(test)]
mod tests;

pub use encoder::{Checkpoint, DataStyle, Encoder, Options, encode, encode_command, encode_devinf};
pub use encoding::Encoding;
pub use error::{At, DecodeError, EncodeError, Limit};
pub use limits::Limits;
pub use xml::xml_can_carry;

use crate::message::{DevInf, Header, Message};

/// Reads a whole message, borrowing from `bytes` wherever a text stands there in one piece.
///
/// # Errors
/// Anything that is no SyncML message within `limits`. The error names the element, the position and the rule.
pub fn decode<'a>(bytes: &'a [u8], encoding: Encoding, limits: &Limits) -> Result<Message<'a>, DecodeError> {
    limits.check_message(bytes)?;
    match encoding {
        Encoding::Xml => parse::message(&mut xml::Source::new(bytes, limits)?),
        Encoding::Wbxml => parse::message(&mut wbxml::Source::message(bytes, limits)?),
    }
}

/// Reads the header and stops after `</SyncHdr>`: all that is needed to find the session a message belongs to. Nothing
/// is said about the rest of the message.
///
/// # Errors
/// As [`decode`], for the part that was read.
pub fn decode_header<'a>(bytes: &'a [u8], encoding: Encoding, limits: &Limits) -> Result<Header<'a>, DecodeError> {
    limits.check_message(bytes)?;
    match encoding {
        Encoding::Xml => parse::header_only(&mut xml::Source::new(bytes, limits)?),
        Encoding::Wbxml => parse::header_only(&mut wbxml::Source::message(bytes, limits)?),
    }
}

/// Reads a device information document that stands alone, in either encoding.
///
/// # Errors
/// Anything that is no `DevInf` document within `limits`.
pub fn decode_devinf<'a>(bytes: &'a [u8], limits: &Limits) -> Result<DevInf<'a>, DecodeError> {
    limits.check_message(bytes)?;
    match Encoding::sniff(bytes) {
        Some(Encoding::Wbxml) => parse::devinf_document(&mut wbxml::Source::devinf(bytes, limits)?),
        _ => parse::devinf_document(&mut xml::Source::new(bytes, limits)?),
    }
}
