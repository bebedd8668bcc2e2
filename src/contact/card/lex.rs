//! Where things are in a card: one pass over the bytes, nothing decoded.

use std::borrow::Cow;
use std::ops::Range;

use super::charset::to_text;
use super::decode::unfold;
use super::names::known;
use super::property::{Encoding, Marks, Property};
use super::{Charset, Error, Limits, Version};

/// A card between `begin` (given by the caller) and `stop`.
pub(super) struct Lexed<'a> {
    pub(super) properties: Vec<Property<'a>>,
    /// Where the line END begins, else where the card stops: properties may be added here.
    pub(super) end_line: usize,
    pub(super) stop: usize,
    pub(super) next_line: u32,
    pub(super) complete: bool,
    pub(super) version: Version,
}

/// Reads the card whose line BEGIN starts at `begin`, up to its END, the next BEGIN, or the end of the input.
pub(super) fn lex<'a>(
    bytes: &'a [u8],
    text: Option<&'a str>,
    begin: usize,
    line: u32,
    cr_only: bool,
    limits: &Limits,
    fallback: Charset,
) -> Result<Lexed<'a>, Error> {
    let mut lexer = Lexer { bytes, text, cr_only, pos: begin, line, limits, fallback };
    let mut properties = Vec::with_capacity(16);
    let mut version = None;
    let mut looks_2_1 = false;
    lexer.skip_line();
    loop {
        let start = lexer.pos;
        let done = |lexer: &Lexer<'_, '_>, properties, complete| Lexed {
            properties,
            end_line: start,
            stop: lexer.pos,
            next_line: lexer.line,
            complete,
            version: version.unwrap_or(if looks_2_1 { Version::V2_1 } else { Version::V3_0 }),
        };
        if start == bytes.len() {
            return Ok(done(&lexer, properties, false));
        }
        match bytes[start] {
            b'E' | b'e' if is_marker(lexer.physical(start).0, b"END") => {
                lexer.skip_line();
                return Ok(done(&lexer, properties, true));
            }
            b'B' | b'b' if is_marker(lexer.physical(start).0, b"BEGIN") => {
                return Ok(done(&lexer, properties, false));
            }
            _ => {}
        }
        let line = lexer.line;
        let Some(property) = lexer.property()? else { continue };
        // With a group or parameters it is no marker, and a property it is not either.
        if property.is("BEGIN") || property.is("END") {
            continue;
        }
        if properties.len() >= limits.max_properties {
            return Err(Error::TooManyProperties { line, limit: limits.max_properties });
        }
        if version.is_none() {
            if property.is("VERSION") {
                version = Some(Version::of_value(&property.value()));
            }
            looks_2_1 |= property.encoding() == Encoding::QuotedPrintable || property.params().any(|it| it.is_bare());
        }
        properties.push(property);
    }
}

/// The content lines of something else in this syntax: vCalendar, iCalendar, VNOTE. BEGIN and END are among them.
pub(in crate::contact) fn content_lines<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    fallback: Charset,
) -> Result<Vec<Property<'a>>, Error> {
    let limit = limits.max_bytes.min(u32::MAX as usize);
    if bytes.len() > limit {
        return Err(Error::TooLarge { size: bytes.len(), limit });
    }
    let (text, cr_only) = (std::str::from_utf8(bytes).ok(), find(b'\n', bytes).is_none());
    let mut lexer = Lexer { bytes, text, cr_only, pos: 0, line: 1, limits, fallback };
    let mut lines = Vec::new();
    let mut version = Version::V3_0;
    while lexer.pos < bytes.len() {
        let line = lexer.line;
        let Some(property) = lexer.property()? else { continue };
        if lines.len() >= limits.max_properties {
            return Err(Error::TooManyProperties { line, limit: limits.max_properties });
        }
        // vCalendar 1.0 is of the time of vCard 2.1 and spelt like it.
        if property.is("VERSION") && property.raw_value().trim_ascii() == b"1.0" {
            version = Version::V2_1;
        }
        lines.push(property);
    }
    for property in &mut lines {
        property.settle(version, 0);
    }
    Ok(lines)
}

/// Start and line number of the first line `BEGIN:VCARD` at or after `pos`.
pub(super) fn find_begin(bytes: &[u8], mut pos: usize, mut line: u32, cr_only: bool) -> Option<(usize, u32)> {
    if pos == 0 && bytes.starts_with(b"\xEF\xBB\xBF") {
        pos = 3;
    }
    while pos < bytes.len() {
        let (text, next) = physical(bytes, pos, cr_only);
        if matches!(text.first(), Some(b'B' | b'b')) && is_marker(text, b"BEGIN") {
            return Some((pos, line));
        }
        pos = next;
        line += 1;
    }
    None
}

/// First place of a byte; eight at a time, because photos are long.
pub(super) fn find(byte: u8, hay: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = LOW * u64::from(byte);
    let (words, rest) = hay.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ pattern;
        let zeros = differs.wrapping_sub(LOW) & !differs & HIGH;
        if zeros != 0 {
            return Some(at * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&it| it == byte).map(|at| words.len() * 8 + at)
}

/// The line at `pos` without its break, and where the next one starts. A break is LF after any number of CR (some
/// phones send `CR CR LF`); CR alone only in a document without any LF.
fn physical(bytes: &[u8], pos: usize, cr_only: bool) -> (&[u8], usize) {
    let rest = &bytes[pos..];
    let at = find(if cr_only { b'\r' } else { b'\n' }, rest);
    let mut text = &rest[..at.unwrap_or(rest.len())];
    while let [head @ .., b'\r'] = text {
        text = head;
    }
    (text, at.map_or(bytes.len(), |at| pos + at + 1))
}

/// Is this line `word:VCARD`? In any letter case, with blanks around the parts.
pub(super) fn is_marker(line: &[u8], word: &[u8]) -> bool {
    let Some((head, rest)) = line.split_at_checked(word.len()) else { return false };
    if !head.eq_ignore_ascii_case(word) {
        return false;
    }
    let Some(value) = rest.trim_ascii_start().strip_prefix(b":") else { return false };
    value.trim_ascii().eq_ignore_ascii_case(b"VCARD")
}

struct Lexer<'a, 'l> {
    bytes: &'a [u8],
    /// The same, if it is UTF-8.
    text: Option<&'a str>,
    cr_only: bool,
    pos: usize,
    line: u32,
    limits: &'l Limits,
    fallback: Charset,
}

/// What stands before the colon.
struct Header<'a> {
    colon: usize,
    folded: bool,
    params: usize,
    /// The rest of the line after the colon, and where the next line begins.
    first: &'a [u8],
    next: usize,
}

impl<'a> Lexer<'a, '_> {
    fn physical(&self, pos: usize) -> (&'a [u8], usize) {
        physical(self.bytes, pos, self.cr_only)
    }

    fn skip_line(&mut self) {
        self.pos = self.physical(self.pos).1;
        self.line += 1;
    }

    /// The text of bytes between delimiters, if all is UTF-8.
    fn text(&self, range: Range<usize>) -> Option<&'a str> {
        self.text?.get(range)
    }

    /// Does a continuation (blank first) start at `pos`?
    fn is_fold(&self, pos: usize) -> bool {
        matches!(self.bytes.get(pos), Some(b' ' | b'\t'))
    }

    /// The property at `pos`, or `None` if a junk line was skipped.
    fn property(&mut self) -> Result<Option<Property<'a>>, Error> {
        let (start, line) = (self.pos, self.line);
        let Some(header) = self.header() else {
            self.skip_junk();
            return Ok(None);
        };
        let raw_header = &self.bytes[start..header.colon];
        let text: Cow<'a, str> = match self.text(start..header.colon) {
            _ if header.folded => {
                Cow::Owned(to_text(unfold(raw_header, false, self.cr_only), None, self.fallback).into_owned())
            }
            Some(text) => Cow::Borrowed(text),
            None => to_text(Cow::Borrowed(raw_header), None, self.fallback),
        };
        let name_end = find(b';', text.as_bytes()).unwrap_or(text.len());
        let name_start = text.as_bytes()[..name_end].iter().rposition(|&byte| byte == b'.').map_or(0, |dot| dot + 1);
        // Blanks around the name are not part of it; it is ASCII, so any place in it is a character boundary.
        let untrimmed = &text.as_bytes()[name_start..name_end];
        let from = name_start + untrimmed.len() - untrimmed.trim_ascii_start().len();
        let name = from..from + untrimmed.trim_ascii().len();
        if !is_name(&text.as_bytes()[name.clone()]) {
            self.skip_junk();
            return Ok(None);
        }
        if header.params > self.limits.max_params {
            let property = known(&text[name]).unwrap_or("an extension");
            return Err(Error::TooManyParams { line, property, limit: self.limits.max_params });
        }
        let marks = Marks { group: name_start, name, params: name_end };
        let mut property = Property::new(text, marks, start, line, self.cr_only, self.fallback);
        let (first, mut next) = (header.first, header.next);
        // The header itself may have been folded over several lines.
        self.line += 1 + if header.folded { count_breaks(raw_header, self.cr_only) } else { 0 };
        let mut value = &self.bytes[header.colon + 1..header.colon + 1 + first.len()];
        let mut nested = false;
        match property.encoding() {
            Encoding::Base64 => self.base64_block(header.colon + 1, &mut value, &mut next),
            Encoding::QuotedPrintable => self.quoted_printable(first, header.colon + 1, &mut value, &mut next),
            Encoding::Plain => {
                let agent = value.trim_ascii().is_empty() && property.is("AGENT");
                nested = agent && self.nested(&mut value, &mut next)?;
                if !nested {
                    self.plain(first, header.colon + 1, &mut value, &mut next);
                }
            }
        }
        self.pos = next;
        property.place(&self.bytes[start..next], value, nested);
        if let Some(text) = self.text(header.colon + 1..header.colon + 1 + value.len()) {
            property.place_text(text);
        }
        Ok(Some(property))
    }

    /// Finds the colon. One inside a quoted parameter value does not count, unless the quote is never closed.
    fn header(&self) -> Option<Header<'a>> {
        let (mut pos, mut folded) = (self.pos, false);
        let (mut quoted, mut params) = (false, 0);
        let mut unquoted = None;
        loop {
            let (text, next) = self.physical(pos);
            for (at, &byte) in text.iter().enumerate() {
                match byte {
                    b':' if !quoted => {
                        return Some(Header { colon: pos + at, folded, params, first: &text[at + 1..], next });
                    }
                    b':' if unquoted.is_none() => {
                        let header = Header { colon: pos + at, folded, params: 0, first: &text[at + 1..], next };
                        unquoted = Some(header);
                    }
                    b';' if !quoted => params += 1,
                    b'"' if params > 0 => quoted = !quoted,
                    _ => {}
                }
            }
            if !self.is_fold(next) {
                break;
            }
            (pos, folded) = (next, true);
        }
        let mut header = unquoted?;
        header.params = self.bytes[self.pos..header.colon].iter().filter(|&&byte| byte == b';').count();
        Some(header)
    }

    fn skip_junk(&mut self) {
        self.skip_line();
        while self.is_fold(self.pos) {
            self.skip_line();
        }
    }

    /// Extends a plain value over its folds. A backslash at the end of the line also continues it if the next line is
    /// no property: some phones write addresses so.
    fn plain(&mut self, first: &'a [u8], from: usize, value: &mut &'a [u8], next: &mut usize) {
        let mut last = first;
        loop {
            let at = *next;
            let continues =
                self.is_fold(at) || (last.ends_with(b"\\") && odd_backslashes(last) && !self.is_structure(at));
            if !continues {
                return;
            }
            (last, *next) = self.physical(at);
            *value = &self.bytes[from..at + last.len()];
            self.line += 1;
        }
    }

    /// Extends a quoted-printable value over soft breaks (vCard 2.1 §2.1.3) and folds; a soft break never swallows END.
    fn quoted_printable(&mut self, first: &'a [u8], from: usize, value: &mut &'a [u8], next: &mut usize) {
        let mut last = first;
        loop {
            let soft = last.trim_ascii_end().ends_with(b"=");
            let mut at = *next;
            if at == self.bytes.len() {
                return;
            }
            if soft {
                let (text, after) = self.physical(at);
                if is_marker(text, b"END") {
                    return;
                }
                // Doubled line breaks: the encoding goes on after the empty line.
                if text.is_empty() && matches!(self.bytes[after..], [b'=', x, y, ..] if is_hex(x) && is_hex(y)) {
                    at = after;
                    self.line += 1;
                }
            } else if !self.is_fold(at) {
                return;
            }
            (last, *next) = self.physical(at);
            *value = &self.bytes[from..at + last.len()];
            self.line += 1;
        }
    }

    /// Extends a base64 value: indented lines, or lines of nothing but base64. The empty line that ends it in 2.1
    /// belongs to the property, not to its value.
    fn base64_block(&mut self, from: usize, value: &mut &'a [u8], next: &mut usize) {
        while *next < self.bytes.len() {
            let at = *next;
            let (text, after) = self.physical(at);
            let blank = text.trim_ascii().is_empty();
            if !blank && !self.is_fold(at) && !is_base64_line(text) {
                return;
            }
            self.line += 1;
            *next = after;
            if blank {
                return;
            }
            *value = &self.bytes[from..at + text.len()];
        }
    }

    /// Takes a whole card after an empty AGENT as its value.
    fn nested(&mut self, value: &mut &'a [u8], next: &mut usize) -> Result<bool, Error> {
        let mut at = *next;
        let mut lines = 0;
        while at < self.bytes.len() && self.physical(at).0.trim_ascii().is_empty() {
            at = self.physical(at).1;
            lines += 1;
        }
        if at == self.bytes.len() || !is_marker(self.physical(at).0, b"BEGIN") {
            return Ok(false);
        }
        self.line += lines;
        let (start, mut depth) = (at, 0);
        while at < self.bytes.len() {
            let (text, after) = self.physical(at);
            self.line += 1;
            if is_marker(text, b"BEGIN") {
                depth += 1;
                if depth > self.limits.max_depth {
                    return Err(Error::TooDeep { line: self.line - 1, limit: self.limits.max_depth });
                }
            } else if is_marker(text, b"END") {
                depth -= 1;
            }
            *value = &self.bytes[start..at + text.len()];
            *next = after;
            at = after;
            if depth == 0 {
                break;
            }
        }
        Ok(true)
    }

    /// Does something other than free text stand at `pos`: the end, an empty line, or `name:` / `name;`?
    fn is_structure(&self, pos: usize) -> bool {
        let text = self.physical(pos).0;
        match text.iter().position(|&byte| !(is_name_byte(byte) || byte == b'.')) {
            Some(0) => false,
            Some(at) => matches!(text[at], b':' | b';'),
            None => text.is_empty(),
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().copied().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/')
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn is_base64_line(text: &[u8]) -> bool {
    text.trim_ascii_end().iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

fn odd_backslashes(text: &[u8]) -> bool {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn count_breaks(text: &[u8], cr_only: bool) -> u32 {
    let wanted = if cr_only { b'\r' } else { b'\n' };
    text.iter().filter(|&&byte| byte == wanted).count() as u32
}
