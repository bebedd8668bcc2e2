//! How the language is written down: [`decode`] and [`encode`], in XML and in WBXML (§2, §7).
//!
//! One vocabulary (names, code pages, tokens) serves both encodings. Reading: a `Source` turns bytes into
//! elements, one typed parser makes them a [`Message`]. Writing: one typed writer turns a message
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

use crate::message::{Command, DevInf, Header, Message, Meta};

/// Reads a whole message, borrowing from `bytes` wherever a text stands there in one piece.
///
/// # Errors
/// Anything that is no SyncML message within `limits`. The error names the element, the position and the rule.
pub fn decode<'a>(bytes: &'a [u8], encoding: Encoding, limits: &Limits) -> Result<Message<'a>, DecodeError> {
    limits.check_message(bytes)?;
    match encoding {
        Encoding::Xml => parse::whole(xml::Source::new(bytes, limits)?, parse::message),
        Encoding::Wbxml => parse::whole(wbxml::Source::message(bytes, limits)?, parse::message),
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
        Encoding::Xml => parse::whole(xml::Source::new(bytes, limits)?, parse::header_only),
        Encoding::Wbxml => parse::whole(wbxml::Source::message(bytes, limits)?, parse::header_only),
    }
}

/// Reads a device information document that stands alone, in either encoding.
///
/// # Errors
/// Anything that is no `DevInf` document within `limits`.
pub fn decode_devinf<'a>(bytes: &'a [u8], limits: &Limits) -> Result<DevInf<'a>, DecodeError> {
    limits.check_message(bytes)?;
    match Encoding::sniff(bytes) {
        Some(Encoding::Wbxml) => parse::whole(wbxml::Source::devinf(bytes, limits)?, parse::devinf_document),
        _ => parse::whole(xml::Source::new(bytes, limits)?, parse::devinf_document),
    }
}

/// Makes the media types of device information in a message fit the encoding that it will be written in (§1.2), for whoever
/// turns a message of one encoding into the other. The codec itself writes what the message says.
pub fn adapt(message: &mut Message<'_>, encoding: Encoding) {
    let fit = |meta: &mut Option<Meta<'_>>| {
        let media_type = meta.as_mut().and_then(|meta| meta.media_type.as_mut());
        if let Some(media_type) = media_type.filter(|text| text.starts_with("application/vnd.syncml-devinf+")) {
            *media_type = encoding.devinf_type().into();
        }
    };
    for command in &mut message.body {
        let (meta, items) = match command {
            Command::Get(get) => (&mut get.meta, &mut get.items),
            Command::Put(put) => (&mut put.meta, &mut put.items),
            Command::Results(results) => (&mut results.meta, &mut results.items),
            _ => continue,
        };
        fit(meta);
        items.iter_mut().for_each(|item| fit(&mut item.meta));
    }
}
