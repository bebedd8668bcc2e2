//! The typed parser: elements become a [`Message`]. It knows the vocabulary and is generous about everything else –
//! order, repetition (single values: the last one counts; Meta: field by field), wrapping, elements it does not know.

mod command;
mod devinf;
mod item;
mod meta;

use super::error::DecodeError;
use super::source::{Content, Source, Step as Result, Stop};
use super::tag::Tag;
use crate::message::{Bytes, Chal, CmdId, Cred, DevInf, Filter, Header, Location, Message, MsgId, SessionId, Text};
use std::borrow::Cow;

/// Parses a whole source.
pub(super) fn whole<'a, S: Source<'a>, T>(
    mut s: S,
    parse: impl FnOnce(&mut S) -> Result<T>,
) -> std::result::Result<T, DecodeError> {
    parse(&mut s).map_err(|Stop| s.into_error())
}

/// A whole message.
pub(super) fn message<'a, S: Source<'a>>(s: &mut S) -> Result<Message<'a>> {
    root(s, Tag::SyncML)?;
    let mut head = None;
    let mut message_body = None;
    while let Some(tag) = s.child()? {
        match tag {
            // What was routed and let in by one header must not be done under another ([`header_only`] reads the first).
            Tag::SyncHdr if head.is_some() => {
                let rule = "a message has one SyncHdr";
                let at = s.at();
                return Err(s.fail(DecodeError::Malformed { rule, at }));
            }
            Tag::SyncHdr => head = Some(header(s)?),
            Tag::SyncBody => {
                let (commands, last) = message_body.get_or_insert_with(|| (Vec::new(), false));
                body(s, commands, last)?;
            }
            _ => s.skip()?,
        }
    }
    let header = head.ok_or_else(|| missing(s, Tag::SyncHdr))?;
    let (body, last) = message_body.ok_or_else(|| missing(s, Tag::SyncBody))?;
    Ok(Message { header, body, last })
}

/// The header alone; reading stops behind it.
pub(super) fn header_only<'a, S: Source<'a>>(s: &mut S) -> Result<Header<'a>> {
    root(s, Tag::SyncML)?;
    while let Some(tag) = s.child()? {
        match tag {
            Tag::SyncHdr => return header(s),
            _ => s.skip()?,
        }
    }
    Err(missing(s, Tag::SyncHdr))
}

/// A device information document.
pub(super) fn devinf_document<'a, S: Source<'a>>(s: &mut S) -> Result<DevInf<'a>> {
    root(s, Tag::DevInf)?;
    devinf::devinf(s)
}

fn root<'a, S: Source<'a>>(s: &mut S, expected: Tag) -> Result<()> {
    let at = s.at();
    match s.child()? {
        Some(tag) if tag == expected => Ok(()),
        Some(_) => Err(s.fail(DecodeError::WrongRoot { expected: expected.name(), at })),
        None => Err(s.fail(DecodeError::Truncated { at })),
    }
}

fn header<'a, S: Source<'a>>(s: &mut S) -> Result<Header<'a>> {
    let (mut session_id, mut msg_id, mut target, mut source) = (None, None, None, None);
    let (mut ver_dtd, mut ver_proto) = (Text::default(), Text::default());
    let (mut resp_uri, mut no_resp, mut cred, mut meta) = (None, false, None, None);
    while let Some(tag) = s.child()? {
        match tag {
            Tag::VerDTD => ver_dtd = token(s)?,
            Tag::VerProto => ver_proto = token(s)?,
            Tag::SessionID => session_id = Some(SessionId(token(s)?)),
            Tag::MsgID => msg_id = Some(MsgId(number_of_bits(s, 32)? as u32)),
            Tag::Target => target = Some(location(s)?),
            Tag::Source => source = Some(location(s)?),
            Tag::RespURI => resp_uri = Some(token(s)?),
            Tag::NoResp => no_resp = flag(s)?,
            Tag::Cred => cred = Some(credential(s)?),
            Tag::Meta => meta::meta(s, meta.get_or_insert_default())?,
            _ => s.skip()?,
        }
    }
    Ok(Header {
        ver_dtd,
        ver_proto,
        session_id: session_id.ok_or_else(|| missing(s, Tag::SessionID))?,
        msg_id: msg_id.ok_or_else(|| missing(s, Tag::MsgID))?,
        target: target.ok_or_else(|| missing(s, Tag::Target))?,
        source: source.ok_or_else(|| missing(s, Tag::Source))?,
        resp_uri,
        no_resp,
        cred,
        meta,
    })
}

fn body<'a, S: Source<'a>>(s: &mut S, commands: &mut Vec<crate::message::Command<'a>>, last: &mut bool) -> Result<()> {
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Final => *last = flag(s)?,
            _ => command::command(s, tag, commands)?,
        }
    }
    Ok(())
}

/// `Target` or `Source`; a filter is passed over.
fn location<'a, S: Source<'a>>(s: &mut S) -> Result<Location<'a>> {
    filtered_location(s, &mut None)
}

/// `Target` of an item, in which a filter may stand.
fn filtered_location<'a, S: Source<'a>>(s: &mut S, filter: &mut Option<Box<Filter<'a>>>) -> Result<Location<'a>> {
    let mut location = Location::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::LocURI => location.uri = address(s)?,
            Tag::LocName => location.name = Some(s.text()?),
            Tag::Filter => *filter = Some(Box::new(item::filter(s)?)),
            _ => s.skip()?,
        }
    }
    Ok(location)
}

fn credential<'a, S: Source<'a>>(s: &mut S) -> Result<Cred<'a>> {
    let (mut meta, mut data) = (None, Bytes::default());
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Meta => meta::meta(s, meta.get_or_insert_default())?,
            Tag::Data => {
                let octets = s.octets()?;
                data = if octets.opaque { octets.bytes } else { trim_lines(octets.bytes) };
            }
            _ => s.skip()?,
        }
    }
    Ok(Cred { meta, data })
}

fn challenge<'a, S: Source<'a>>(s: &mut S) -> Result<Chal<'a>> {
    let mut challenge = Chal::default();
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Meta => meta::meta(s, &mut challenge.meta)?,
            _ => s.skip()?,
        }
    }
    Ok(challenge)
}

/// The only child of that name, as in `SourceParent(LocURI)`.
fn inner_address<'a, S: Source<'a>>(s: &mut S) -> Result<Text<'a>> {
    Ok(location(s)?.uri)
}

/// A text in which blanks at either end mean nothing: versions, types, references, words.
#[inline]
fn token<'a, S: Source<'a>>(s: &mut S) -> Result<Text<'a>> {
    let text = s.text()?;
    if has_plain_ends(&text) {
        return Ok(text);
    }
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    })
}

/// Whether a text begins and ends with a visible character of ASCII, as nearly all do.
#[inline]
fn has_plain_ends(text: &str) -> bool {
    matches!(text.as_bytes(), [b'!'..=b'~', .., b'!'..=b'~'] | [b'!'..=b'~'] | [])
}

fn command_id<'a, S: Source<'a>>(s: &mut S) -> Result<CmdId<'a>> {
    Ok(CmdId(token(s)?))
}

/// A text that has to come back exactly as it was, unless it was laid out over several lines.
#[inline]
fn address<'a, S: Source<'a>>(s: &mut S) -> Result<Text<'a>> {
    let text = s.text()?;
    if has_plain_ends(&text) {
        return Ok(text);
    }
    let trimmed = text.trim_matches(is_blank);
    if !has_line_break(text.as_bytes(), trimmed.as_bytes()) {
        return Ok(text);
    }
    Ok(match &text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_blank)),
        Cow::Owned(_) => Cow::Owned(trimmed.to_owned()),
    })
}

/// The same for octets.
fn trim_lines(bytes: Bytes<'_>) -> Bytes<'_> {
    let trimmed = bytes.trim_ascii();
    if trimmed.len() == bytes.len() || !has_line_break(&bytes, trimmed) {
        return bytes;
    }
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.trim_ascii()),
        Cow::Owned(bytes) => Cow::Owned(bytes.trim_ascii().to_owned()),
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether a line break was among what was trimmed off.
fn has_line_break(whole: &[u8], trimmed: &[u8]) -> bool {
    let breaks = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    breaks(whole) > breaks(trimmed)
}

/// An element that means something by standing there. Some peers write `<Final>1</Final>`.
fn flag<'a, S: Source<'a>>(s: &mut S) -> Result<bool> {
    s.skip()?;
    Ok(true)
}

/// A decimal number; an empty element says nothing.
fn number<'a, S: Source<'a>>(s: &mut S) -> Result<Option<u64>> {
    let at = s.at();
    let text = s.text()?;
    match text.trim() {
        "" => Ok(None),
        digits => decimal(digits, 64).map(Some).ok_or_else(|| s.fail(DecodeError::BadNumber { bits: 64, at })),
    }
}

/// A decimal number that has to be there and to fit.
fn number_of_bits<'a, S: Source<'a>>(s: &mut S, bits: u32) -> Result<u64> {
    let at = s.at();
    let text = s.text()?;
    decimal(text.trim(), bits).ok_or_else(|| s.fail(DecodeError::BadNumber { bits, at }))
}

fn decimal(digits: &str, bits: u32) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok().filter(|number| bits == 64 || number >> bits == 0)
}

/// The error for an element that the one just closed should have had.
#[cold]
fn missing<'a, S: Source<'a>>(s: &mut S, tag: Tag) -> Stop {
    let offset = s.offset();
    s.guard_mut().missing(tag, offset)
}

/// Reads octets where elements mean nothing.
fn content_octets<'a, S: Source<'a>>(s: &mut S) -> Result<super::source::Octets<'a>> {
    match s.content()? {
        Content::Octets(octets) => Ok(octets),
        Content::Child(_) => Ok(super::source::Octets { bytes: s.verbatim()?, opaque: false }),
    }
}
