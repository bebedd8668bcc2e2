//! `Meta` and what stands in it.

use super::{Result, flag, number, token};
use crate::codec::source::{Octets, Source};
use crate::codec::tag::Tag;
use crate::message::{Anchor, Mem, Meta, Text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The content of `Meta` or of a `MetInf` inside it.
pub(super) fn meta<'a, S: Source<'a>>(s: &mut S, meta: &mut Meta<'a>) -> Result<()> {
    while let Some(tag) = s.child()? {
        match tag {
            Tag::Type => meta.media_type = Some(token(s)?),
            Tag::Format => meta.format = Some(token(s)?),
            Tag::Size => meta.size = number(s)?,
            Tag::FieldLevel => meta.field_level = flag(s)?,
            Tag::Mark => meta.mark = Some(token(s)?),
            Tag::Anchor => meta.anchor = Some(anchor(s)?),
            Tag::Version => meta.version = Some(s.text()?),
            Tag::NextNonce => meta.next_nonce = Some(nonce(s.octets()?)),
            Tag::MaxMsgSize => meta.max_msg_size = number(s)?,
            Tag::MaxObjSize => meta.max_obj_size = number(s)?,
            Tag::EMI => meta.emi.push(s.text()?),
            Tag::Mem => meta.mem = Some(mem(s)?),
            // Some leave out the elements around.
            Tag::Last => meta.anchor.get_or_insert_default().last = Some(s.text()?),
            Tag::Next => meta.anchor.get_or_insert_default().next = s.text()?,
            Tag::MetInf | Tag::Meta => self::meta(s, meta)?,
            _ => s.skip()?,
        }
    }
    Ok(())
}

pub(super) fn anchor<'a, S: Source<'a>>(s: &mut S) -> Result<Anchor<'a>> {
    let mut anchor = Anchor::default();
    while let Some(tag) = s.child()? {
        anchor_part(s, tag, &mut anchor)?;
    }
    Ok(anchor)
}

/// A child of `Anchor`, or one that stands where `Anchor` should.
pub(super) fn anchor_part<'a, S: Source<'a>>(s: &mut S, tag: Tag, anchor: &mut Anchor<'a>) -> Result<()> {
    match tag {
        Tag::Last => anchor.last = Some(s.text()?),
        Tag::Next => anchor.next = s.text()?,
        _ => s.skip()?,
    }
    Ok(())
}

pub(super) fn mem<'a, S: Source<'a>>(s: &mut S) -> Result<Mem> {
    let mut mem = Mem::default();
    while let Some(tag) = s.child()? {
        mem_part(s, tag, &mut mem)?;
    }
    Ok(mem)
}

/// A child of `Mem`, or one that stands where `Mem` should.
pub(super) fn mem_part<'a, S: Source<'a>>(s: &mut S, tag: Tag, mem: &mut Mem) -> Result<()> {
    match tag {
        Tag::SharedMem => mem.shared = flag(s)?,
        Tag::FreeMem => mem.free_mem = number(s)?.unwrap_or(0),
        Tag::FreeID => mem.free_id = number(s)?.unwrap_or(0),
        _ => s.skip()?,
    }
    Ok(())
}

/// A nonce is kept as base64. Phones of 1.1 send its octets in an opaque block, others the text in one (§7.6): what is
/// no base64 is octets.
fn nonce(octets: Octets<'_>) -> Text<'_> {
    let encode = |bytes: &[u8]| Cow::Owned(STANDARD.encode(bytes));
    let is_base64 = |text: &str| STANDARD.decode(text.trim()).is_ok();
    match octets.bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !octets.opaque || is_base64(text) => Cow::Borrowed(text.trim()),
            _ => encode(bytes),
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) if !octets.opaque || is_base64(&text) => Cow::Owned(text.trim().to_owned()),
            Ok(text) => encode(text.as_bytes()),
            Err(error) => encode(error.as_bytes()),
        },
    }
}
