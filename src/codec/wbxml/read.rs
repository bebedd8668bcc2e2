//! Reading WBXML.

use super::{charset, token};
use crate::codec::error::{At, DecodeError, Limit};
use crate::codec::limits::Limits;
use crate::codec::source::{self, Content, Guard, Octets, Step, Stop};
use crate::codec::tag::{Page, Tag};
use crate::message::{Bytes, Text};
use std::borrow::Cow;

/// A WBXML document. Every length is compared with what is left of the input before anything else is done with it.
pub(in crate::codec) struct Source<'a> {
    input: &'a [u8],
    position: usize,
    strings: &'a [u8],
    latin1: bool,
    /// The vocabularies of the code pages.
    pages: [Page; 3],
    page: u8,
    guard: Guard,
    /// The element opened last has no content: its end is still to be told.
    empty: bool,
    unknown: Text<'a>,
    /// What the string table may still be copied into the message.
    expansion: usize,
}

/// One step in a content.
enum Piece<'a> {
    Octets(Bytes<'a>, bool),
    Child(Tag),
    Nothing,
    End,
}

impl<'a> Source<'a> {
    /// A message. Its public identifier is not looked at: the root and `VerDTD` say the same and are always right.
    pub(in crate::codec) fn message(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        Self::new(input, limits, [Page::SyncMl, Page::MetInf, Page::DevInf])
    }

    /// A device information document.
    pub(in crate::codec) fn devinf(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        Self::new(input, limits, [Page::DevInf, Page::MetInf, Page::DevInf])
    }

    fn new(input: &'a [u8], limits: &Limits, pages: [Page; 3]) -> Result<Self, DecodeError> {
        let mut source = Self {
            input,
            position: 0,
            strings: &[],
            latin1: false,
            pages,
            page: 0,
            guard: Guard::new(limits),
            empty: false,
            unknown: Text::default(),
            expansion: limits.max_message,
        };
        match source.document_header() {
            Ok(()) => Ok(source),
            Err(Stop) => Err(source.guard.into_error()),
        }
    }

    /// Version, public identifier, character set, string table (§7.1).
    fn document_header(&mut self) -> Step<()> {
        if !matches!(self.byte()?, 1..=3) {
            let at = self.at_byte(0);
            let rule = "the WBXML version is not 1.1, 1.2 or 1.3";
            return Err(self.guard.fail(DecodeError::Malformed { rule, at }));
        }
        if self.number()? == 0 {
            self.number()?; // the index of the identifier in the string table
        }
        let at = self.at_byte(self.position);
        match self.number()? {
            charset::UTF8 | charset::ASCII | charset::UNKNOWN => {}
            charset::LATIN1 => self.latin1 = true,
            _ => {
                let rule = "the character set is not UTF-8, US-ASCII or ISO-8859-1, which alone are read here";
                return Err(self.guard.fail(DecodeError::Charset { rule, at }));
            }
        }
        let at = self.position;
        let length = self.number()? as usize;
        let max = self.guard.limits.max_string_table;
        if length > max {
            return Err(self.guard.limit(Limit::StringTable, max, at));
        }
        self.strings = self.take(length)?;
        Ok(())
    }

    fn at_byte(&self, offset: usize) -> At {
        self.guard.at(offset)
    }

    #[cold]
    fn truncated(&mut self) -> Stop {
        let at = self.at_byte(self.input.len());
        self.guard.fail(DecodeError::Truncated { at })
    }

    #[cold]
    fn malformed(&mut self, rule: &'static str) -> Stop {
        let at = self.at_byte(self.position);
        self.guard.fail(DecodeError::Malformed { rule, at })
    }

    #[inline]
    fn byte(&mut self) -> Step<u8> {
        let Some(&byte) = self.input.get(self.position) else { return Err(self.truncated()) };
        self.position += 1;
        Ok(byte)
    }

    /// `mb_u_int32`: seven bits a byte, the high bit says that more follow.
    #[inline]
    fn number(&mut self) -> Step<u32> {
        let mut number = 0_u32;
        for _ in 0..5 {
            let byte = self.byte()?;
            if number >> 25 != 0 {
                break;
            }
            number = number << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.malformed("a number has more than 32 bits"))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(length) else { return Err(self.truncated()) };
        self.position += length;
        Ok(taken)
    }

    /// A string up to its NUL.
    #[inline]
    fn inline_string(&mut self) -> Step<&'a [u8]> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let Some(length) = crate::codec::scan::find(rest, 0) else { return Err(self.truncated()) };
        self.position += length + 1;
        Ok(&rest[..length]) // `find` found the NUL at `length`
    }

    /// A string of the string table. What is taken from it is bounded: two bytes may stand for the whole table.
    fn table_string(&mut self) -> Step<&'a [u8]> {
        let index = self.number()? as usize;
        let Some(rest) = self.strings.get(index..).filter(|rest| !rest.is_empty()) else {
            return Err(self.malformed("an index beyond the string table"));
        };
        let string = &rest[..crate::codec::scan::find(rest, 0).unwrap_or(rest.len())];
        let Some(left) = self.expansion.checked_sub(string.len()) else {
            return Err(self.guard.limit(Limit::Expansion, self.guard.limits.max_message, self.position));
        };
        self.expansion = left;
        Ok(string)
    }

    /// A string in the document's character set, in UTF-8.
    fn recode(&self, string: &'a [u8]) -> Bytes<'a> {
        if self.latin1 && !string.is_ascii() {
            return Bytes::Owned(latin1(string).into_bytes());
        }
        Bytes::Borrowed(string)
    }

    /// The next token of a content.
    #[inline]
    fn piece(&mut self) -> Step<Piece<'a>> {
        let start = self.position;
        let byte = self.byte()?;
        match byte {
            token::END => {
                self.guard.leave();
                return Ok(Piece::End);
            }
            token::STR_I => {
                let string = self.inline_string()?;
                return Ok(Piece::Octets(self.recode(string), false));
            }
            token::SWITCH_PAGE => self.page = self.byte()?,
            token::OPAQUE => {
                let length = self.number()? as usize;
                return Ok(Piece::Octets(Bytes::Borrowed(self.take(length)?), true));
            }
            token::STR_T => {
                let string = self.table_string()?;
                return Ok(Piece::Octets(self.recode(string), false));
            }
            token::ENTITY => {
                let code = self.number()?;
                return match char::from_u32(code) {
                    Some(c) if c != '\0' => Ok(Piece::Octets(Bytes::Owned(c.to_string().into_bytes()), false)),
                    _ => Err(self.malformed("a character reference to no character")),
                };
            }
            token::PI => self.attributes()?,
            token::EXT_I_0..=token::EXT_I_2 => {
                self.inline_string()?;
            }
            token::EXT_T_0..=token::EXT_T_2 => {
                self.number()?;
            }
            token::EXT_0..=token::EXT_2 => {}
            _ => return self.element(byte, start).map(Piece::Child),
        }
        Ok(Piece::Nothing)
    }

    #[inline]
    fn element(&mut self, byte: u8, start: usize) -> Step<Tag> {
        let tag = if byte & 0x3F == token::LITERAL {
            self.literal()?
        } else {
            let tag = match self.pages.get(usize::from(self.page)) {
                Some(page) => Tag::from_token(*page, byte),
                None => Tag::Unknown,
            };
            if tag == Tag::Unknown {
                let token = byte & 0x3F;
                self.unknown = Text::Owned(match self.page {
                    0 => format!("0x{token:02X}"),
                    page => format!("0x{page:02X}{token:02X}"),
                });
            }
            tag
        };
        self.guard.enter(tag, start)?;
        if byte & token::ATTRIBUTES != 0 {
            self.attributes()?;
        }
        self.empty = byte & token::CONTENT == 0;
        Ok(tag)
    }

    /// A tag that is written out, in the string table.
    fn literal(&mut self) -> Step<Tag> {
        let name = self.table_string()?;
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
        let tag = Tag::from_name(local);
        if tag == Tag::Unknown {
            self.unknown = text(self.recode(local));
        }
        Ok(tag)
    }

    /// Passes over a list of attributes up to its END. Nobody means anything by them; Nokia writes the namespace as one
    /// whose name points nowhere.
    fn attributes(&mut self) -> Step<()> {
        loop {
            match self.byte()? {
                token::END => return Ok(()),
                token::SWITCH_PAGE => {
                    self.byte()?;
                }
                token::STR_I | token::EXT_I_0..=token::EXT_I_2 => {
                    self.inline_string()?;
                }
                token::LITERAL | token::ENTITY | token::STR_T | token::EXT_T_0..=token::EXT_T_2 => {
                    self.number()?;
                }
                token::OPAQUE => {
                    let length = self.number()? as usize;
                    self.take(length)?;
                }
                _ => {}
            }
        }
    }

    /// The content of the open element and its end if it is one string or block, as nearly always.
    ///
    /// What it returns fits into registers, and callers make their result of it in place: moving larger things about would
    /// cost more than the rest of the step.
    #[inline]
    fn only_piece(&mut self) -> Option<(&'a [u8], bool)> {
        let rest = self.input.get(self.position..)?;
        let (bytes, opaque, used) = match rest {
            [token::STR_I, rest @ ..] if !self.latin1 => {
                let length = rest.iter().take(64).position(|byte| *byte == 0)?;
                (&rest[..length], false, length + 2) // `position` found the NUL at `length`
            }
            // Up to 16,383 bytes.
            [token::OPAQUE, low @ 0..0x80, rest @ ..] => (rest.get(..usize::from(*low))?, true, usize::from(*low) + 2),
            [token::OPAQUE, high @ 0x80..=0xFF, low @ 0..0x80, rest @ ..] => {
                let length = usize::from(*high & 0x7F) << 7 | usize::from(*low);
                (rest.get(..length)?, true, length + 3)
            }
            _ => return None,
        };
        if rest.get(used) != Some(&token::END) || bytes.len() > self.guard.limits.max_text {
            return None;
        }
        self.position += used + 1;
        self.guard.leave();
        Some((bytes, opaque))
    }

    /// The octets from here to the end of the open element. They are opaque if all of them are.
    #[inline(never)]
    fn rest_of_octets(&mut self, mut octets: Octets<'a>) -> Step<Octets<'a>> {
        loop {
            match self.piece()? {
                Piece::Octets(bytes, opaque) => self.append(&mut octets, bytes, opaque)?,
                Piece::Child(_) => source::Source::skip(self)?,
                Piece::Nothing => {}
                Piece::End => return Ok(octets),
            }
        }
    }

    #[inline]
    fn append(&mut self, octets: &mut Octets<'a>, bytes: Bytes<'a>, opaque: bool) -> Step<()> {
        self.guard.check_text(octets.bytes.len() + bytes.len(), self.position)?;
        if octets.bytes.is_empty() {
            *octets = Octets { bytes, opaque };
        } else {
            octets.bytes.to_mut().extend_from_slice(&bytes);
            octets.opaque &= opaque;
        }
        Ok(())
    }

    fn end_of_empty(&mut self) -> bool {
        if self.empty {
            self.empty = false;
            self.guard.leave();
            return true;
        }
        false
    }
}

const NOTHING: Octets<'static> = Octets { bytes: Cow::Borrowed(&[]), opaque: false };

impl<'a> source::Source<'a> for Source<'a> {
    #[inline]
    fn child(&mut self) -> Step<Option<Tag>> {
        if self.end_of_empty() {
            return Ok(None);
        }
        loop {
            // The two that are nearly all.
            match self.input.get(self.position) {
                Some(&token::END) => {
                    self.position += 1;
                    self.guard.leave();
                    return Ok(None);
                }
                Some(&token::SWITCH_PAGE) => {
                    self.position += 1;
                    self.page = self.byte()?;
                    continue;
                }
                Some(&byte) if byte & 0x3F > token::LITERAL => {
                    let start = self.position;
                    self.position += 1;
                    return self.element(byte, start).map(Some);
                }
                _ => {}
            }
            match self.piece()? {
                Piece::Child(tag) => return Ok(Some(tag)),
                Piece::End => return Ok(None),
                Piece::Octets(..) | Piece::Nothing => {}
            }
        }
    }

    fn unknown_name(&self) -> Text<'a> {
        self.unknown.clone()
    }

    #[inline]
    fn text(&mut self) -> Step<Text<'a>> {
        if self.end_of_empty() {
            return Ok(Text::Borrowed(""));
        }
        if let Some((bytes, _)) = self.only_piece() {
            return Ok(match std::str::from_utf8(bytes) {
                Ok(text) => Text::Borrowed(text),
                Err(_) => Text::Owned(latin1(bytes)),
            });
        }
        Ok(text(source::Source::octets(self)?.bytes))
    }

    #[inline]
    fn octets(&mut self) -> Step<Octets<'a>> {
        if self.end_of_empty() {
            return Ok(NOTHING);
        }
        match self.only_piece() {
            Some((bytes, opaque)) => Ok(Octets { bytes: Bytes::Borrowed(bytes), opaque }),
            None => self.rest_of_octets(NOTHING),
        }
    }

    #[inline]
    fn content(&mut self) -> Step<Content<'a>> {
        if self.end_of_empty() {
            return Ok(Content::Octets(NOTHING));
        }
        if let Some((bytes, opaque)) = self.only_piece() {
            return Ok(Content::Octets(Octets { bytes: Bytes::Borrowed(bytes), opaque }));
        }
        let mut octets = NOTHING;
        loop {
            match self.piece()? {
                Piece::Octets(bytes, opaque) => self.append(&mut octets, bytes, opaque)?,
                Piece::Child(tag) => return Ok(Content::Child(tag)),
                Piece::Nothing => {}
                Piece::End => return Ok(Content::Octets(octets)),
            }
        }
    }

    /// Markup that means nothing to us has no text in WBXML: only the strings after it are kept.
    fn verbatim(&mut self) -> Step<Bytes<'a>> {
        source::Source::skip(self)?;
        Ok(self.rest_of_octets(NOTHING)?.bytes)
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }

    fn into_error(self) -> DecodeError {
        self.guard.into_error()
    }

    fn offset(&self) -> usize {
        self.position
    }
}

/// Whether a document says in its header that it is device information.
pub(in crate::codec) fn is_devinf(document: &[u8]) -> bool {
    match document {
        [1..=3, high @ (0x9F | 0xA4), low, ..] => matches!((high, low), (0x9F, 0x52 | 0x54) | (0xA4, 0x03)),
        // By name, in a string table.
        [1..=3, 0, rest @ ..] => rest[..rest.len().min(48)].windows(6).any(|name| name == b"DevInf"),
        _ => false,
    }
}

/// Octets as a text. What is no UTF-8 is read as ISO-8859-1, which never fails and keeps different octets different.
#[inline]
fn text(bytes: Bytes<'_>) -> Text<'_> {
    match bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Text::Borrowed(text),
            Err(_) => Text::Owned(latin1(bytes)),
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Text::Owned(text),
            Err(error) => Text::Owned(latin1(error.as_bytes())),
        },
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
