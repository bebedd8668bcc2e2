//! Reading XML.

use crate::codec::error::{At, DecodeError};
use crate::codec::limits::Limits;
use crate::codec::scan;
use crate::codec::source::{self, Content, Guard, Octets, Step, Stop};
use crate::codec::tag::Tag;
use crate::codec::xml::chars::first_forbidden;
use crate::message::{Bytes, Text};
use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use std::borrow::Cow;
use std::io::BufRead as _;

/// An XML document. References and CDATA sections vanish here: a text is one piece, however it was written. Line ends
/// stay as they are. Nothing outside the document is ever looked at.
pub(in crate::codec) struct Source<'a> {
    input: &'a [u8],
    reader: Reader<&'a [u8]>,
    guard: Guard,
    /// The element opened last was `<Name/>`: its end is still to be told.
    empty: bool,
    /// The names of the open elements that nobody knows, as written.
    unknown: Vec<&'a str>,
    /// Where the event read last began.
    event_start: usize,
    /// Where the content began that [`source::Source::content`] looked into.
    content_start: usize,
}

/// What an event means to a text.
enum Piece<'a> {
    Text(Text<'a>),
    Child(Tag),
    Nothing,
    End,
}

impl<'a> Source<'a> {
    pub(in crate::codec) fn new(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        if let [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] = input {
            let at = At { element: "message", offset: 0 };
            return Err(DecodeError::Charset { rule: "the text is UTF-16; UTF-8 is read here", at });
        }
        let mut reader = Reader::from_reader(input);
        // Ends are compared here: most of them never reach the reader.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        Ok(Self {
            input,
            reader,
            guard: Guard::new(limits),
            empty: false,
            unknown: Vec::new(),
            event_start: 0,
            content_start: 0,
        })
    }

    #[inline]
    fn position(&self) -> usize {
        self.reader.buffer_position() as usize // never past the input, whose length is a usize
    }

    #[inline]
    fn enter(&mut self, start: &BytesStart<'a>, empty: bool) -> Step<Tag> {
        let name = start.name();
        let name: &str = name.as_ref();
        let mut tag = Tag::from_name(name.as_bytes());
        if tag == Tag::Unknown {
            tag = Tag::from_name(local(name).as_bytes());
        }
        self.guard.enter(tag, self.event_start)?;
        if tag == Tag::Unknown {
            let begin = self.event_start + 1;
            let name = self.input.get(begin..begin + name.len()).and_then(|name| std::str::from_utf8(name).ok());
            self.unknown.push(name.unwrap_or_default()); // it is what the reader has just read there
        }
        self.empty = empty;
        Ok(tag)
    }

    /// The innermost element ends.
    #[inline]
    fn leave(&mut self) {
        if self.guard.leave() == Tag::Unknown {
            self.unknown.pop();
        }
    }

    /// An end tag: it has to be that of the innermost element.
    #[inline]
    fn close(&mut self, name: &str) -> Step<()> {
        let rule = match self.guard.innermost() {
            Some(Tag::Unknown) if self.unknown.last() == Some(&name) => return self.closed(),
            Some(Tag::Unknown) => "the end tag is that of another element",
            Some(tag) if tag.name() == name || tag.name() == local(name) => return self.closed(),
            Some(_) => "the end tag is that of another element",
            None => "an end tag without its start",
        };
        let at = self.guard.at(self.event_start);
        Err(self.guard.fail(DecodeError::Malformed { rule, at }))
    }

    #[inline]
    fn closed(&mut self) -> Step<()> {
        self.leave();
        Ok(())
    }

    /// One event inside a text.
    #[inline]
    fn piece(&mut self) -> Step<Piece<'a>> {
        self.event_start = self.position();
        Ok(match self.reader.read_event() {
            Ok(Event::End(end)) => {
                self.close(end.name().as_ref())?;
                Piece::End
            }
            Ok(Event::Text(text)) => Piece::Text(text.into_inner()),
            Ok(Event::CData(text)) => Piece::Text(text.into_inner()),
            Ok(Event::GeneralRef(reference)) => Piece::Text(self.resolve(&reference)?),
            Ok(Event::Start(start)) => Piece::Child(self.enter(&start, false)?),
            Ok(Event::Empty(start)) => Piece::Child(self.enter(&start, true)?),
            other => {
                self.aside(other)?;
                Piece::Nothing
            }
        })
    }

    /// The text up to the next `<` if there is no reference in it: what nearly every element begins with, and all that
    /// most have. It is taken from under the reader, which goes on behind it.
    #[inline]
    fn plain_text(&mut self) -> Step<&'a str> {
        let rest: &'a [u8] = self.reader.get_ref();
        let Some(length) = scan::find_if(rest, |byte| (byte == b'<') | (byte == b'&')) else { return Ok("") };
        let text = match std::str::from_utf8(&rest[..length]) {
            Ok(text) => text,
            Err(error) => return Err(self.not_utf8(error.valid_up_to())),
        };
        self.guard.check_text(length, self.position())?;
        self.reader.stream().consume(length);
        Ok(text)
    }

    /// The open element's text and its end if the end follows the plain text at once.
    #[inline]
    fn only_text(&mut self) -> Step<(&'a str, bool)> {
        let text = self.plain_text()?;
        Ok((text, self.ends_here()?))
    }

    /// Reads the open element's end if it stands here, from under the reader if it is written as it should be.
    #[inline]
    fn ends_here(&mut self) -> Step<bool> {
        let rest: &'a [u8] = self.reader.get_ref();
        if !rest.starts_with(b"</") {
            return Ok(false);
        }
        if let Some(tag) = self.guard.innermost().filter(|tag| *tag != Tag::Unknown)
            && rest.starts_with(tag.close().as_bytes())
        {
            self.reader.stream().consume(tag.close().len());
            self.guard.leave();
            return Ok(true);
        }
        self.event_start = self.position();
        match self.reader.read_event() {
            Ok(Event::End(end)) => self.close(end.name().as_ref())?,
            other => self.aside(other)?,
        }
        Ok(true)
    }

    /// The same for a CDATA section.
    #[inline]
    fn only_section(&mut self) -> Step<(&'a str, bool)> {
        match self.section()? {
            Some(text) => Ok((text, self.ends_here()?)),
            None => Ok(("", false)),
        }
    }

    /// A CDATA section, if one stands here, from under the reader: that would go no further once it met what is not
    /// UTF-8. One without an end is left to it.
    #[inline]
    fn section(&mut self) -> Step<Option<&'a str>> {
        let rest: &'a [u8] = self.reader.get_ref();
        let Some(section) = rest.strip_prefix(SECTION) else { return Ok(None) };
        let Some(length) = section_length(section) else { return Ok(None) };
        let text = match std::str::from_utf8(&section[..length]) {
            Ok(text) => text,
            Err(error) => return Err(self.not_utf8(SECTION.len() + error.valid_up_to())),
        };
        self.reader.stream().consume(SECTION.len() + length + SECTION_END.len());
        self.guard.check_text(length, self.position())?;
        Ok(Some(text))
    }

    /// The text from here to the end of the open element.
    #[inline(never)]
    fn rest_of_text(&mut self, text: &'a str) -> Step<Text<'a>> {
        let mut text = Text::Borrowed(text);
        loop {
            self.references(&mut text)?;
            match self.piece()? {
                Piece::End => return Ok(text),
                Piece::Text(piece) => self.append(&mut text, piece)?,
                Piece::Child(_) => source::Source::skip(self)?,
                Piece::Nothing => {}
            }
        }
    }

    /// Text and the usual references up to the next markup or unusual reference, from under the reader. That is allowed
    /// where the reader has not looked ahead: not after it told a text. Here it never does, unless the input ends in one.
    fn references(&mut self, text: &mut Text<'a>) -> Step<()> {
        loop {
            let plain = self.plain_text()?;
            if !plain.is_empty() {
                self.append(text, Text::Borrowed(plain))?;
            }
            let rest: &'a [u8] = self.reader.get_ref();
            let (meant, length) = match rest {
                [b'&', b'a', b'm', b'p', b';', ..] => ("&", 5),
                [b'&', b'l', b't', b';', ..] => ("<", 4),
                [b'&', b'g', b't', b';', ..] => (">", 4),
                [b'&', b'q', b'u', b'o', b't', b';', ..] => ("\"", 6),
                [b'&', b'#', b'1', b'3', b';', ..] => ("\r", 5),
                [b'<', b'!', b'[', ..] => match self.section()? {
                    Some(section) => {
                        self.append(text, Text::Borrowed(section))?;
                        continue;
                    }
                    None => return Ok(()),
                },
                _ => return Ok(()),
            };
            if let Text::Borrowed(begun) = text {
                // The next markup is the end, nearly always.
                let room = scan::find(rest, b'<').unwrap_or(0).min(self.guard.limits.max_text);
                let mut owned = String::with_capacity(begun.len() + room);
                owned.push_str(begun);
                *text = Text::Owned(owned);
            }
            self.reader.stream().consume(length);
            self.append(text, Text::Borrowed(meant))?;
        }
    }

    /// The content from here on.
    #[inline(never)]
    fn rest_of_content(&mut self, text: &'a str) -> Step<Content<'a>> {
        let mut text = Text::Borrowed(text);
        loop {
            self.references(&mut text)?;
            match self.piece()? {
                Piece::Text(piece) => self.append(&mut text, piece)?,
                Piece::Child(tag) => return Ok(Content::Child(tag)),
                Piece::Nothing => {}
                Piece::End => return Ok(Content::Octets(octets(text))),
            }
        }
    }

    #[inline]
    fn content_of_text(&mut self) -> Step<Content<'a>> {
        match self.only_text()? {
            (text, true) => Ok(plain_content(text)),
            ("", false) => match self.only_section()? {
                (text, true) => Ok(plain_content(text)),
                (text, false) => self.rest_of_content(text),
            },
            (text, false) => self.rest_of_content(text),
        }
    }

    /// Some peers cut a large object inside a character (§3.8): such a content is octets, if the cut is all that is wrong
    /// with it. More of the object has to follow the first part of a character.
    #[cold]
    fn content_of_octets(&mut self, stop: Stop) -> Step<Content<'a>> {
        let rest = self.input.get(self.content_start..).unwrap_or_default();
        if !self.guard.failed_at_charset() {
            return Err(stop);
        }
        let Some((bytes, length)) = raw_content(rest) else { return Err(stop) };
        match text_cut_at_end(&bytes) {
            Some(true) if !goes_on(&rest[length..]) => return Err(stop),
            Some(_) => {}
            None => return Err(stop),
        }
        // The reader stopped somewhere before that end.
        let Some(ahead) = (self.content_start + length).checked_sub(self.position()) else { return Err(stop) };
        self.reader.stream().consume(ahead);
        self.guard.forget_failure();
        self.guard.check_text(bytes.len(), self.position())?;
        if !self.ends_here()? {
            let at = self.guard.at(self.position());
            return Err(self.guard.fail(DecodeError::Charset { rule: "the text is not UTF-8", at }));
        }
        Ok(Content::Octets(Octets { bytes, opaque: false }))
    }

    #[inline]
    fn append(&mut self, text: &mut Text<'a>, piece: Text<'a>) -> Step<()> {
        self.guard.check_text(text.len() + piece.len(), self.position())?;
        match text {
            Text::Borrowed("") => *text = piece,
            _ => text.to_mut().push_str(&piece),
        }
        Ok(())
    }

    #[inline]
    fn any_text(&mut self) -> Step<Text<'a>> {
        if self.end_of_empty() {
            return Ok(Text::default());
        }
        match self.only_text()? {
            (text, true) => Ok(Text::Borrowed(text)),
            (text, false) => self.rest_of_text(text),
        }
    }

    /// The five names of XML and numbers. Anything else would need a DTD.
    fn resolve(&mut self, reference: &BytesRef<'a>) -> Step<Text<'a>> {
        let name: &str = reference;
        let known = match name {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "apos" => "'",
            "#13" | "#xD" => "\r",
            "#10" | "#xA" => "\n",
            _ => {
                let at = self.guard.at(self.event_start);
                if !name.starts_with('#') {
                    let rule = "an entity that is not one of the five of XML";
                    return Err(self.guard.fail(DecodeError::Refused { rule, at }));
                }
                return match reference.resolve_char_ref() {
                    Ok(Some(c)) if c != '\0' => Ok(Text::Owned(c.to_string())),
                    _ => {
                        let rule = "a character reference to no character";
                        Err(self.guard.fail(DecodeError::Malformed { rule, at }))
                    }
                };
            }
        };
        Ok(Text::Borrowed(known))
    }

    /// What is neither an element nor a text.
    #[cold]
    fn aside(&mut self, event: Result<Event<'a>, Error>) -> Step<()> {
        match event {
            Ok(Event::DocType(doctype)) => {
                let at = self.guard.at(self.event_start);
                if !self.guard.is_outside() {
                    let rule = "a DOCTYPE inside the document";
                    return Err(self.guard.fail(DecodeError::Malformed { rule, at }));
                }
                if doctype.contains('[') {
                    let rule = "a DOCTYPE with an internal subset";
                    return Err(self.guard.fail(DecodeError::Refused { rule, at }));
                }
                Ok(())
            }
            Ok(Event::Decl(declaration)) => self.declaration(&declaration),
            Ok(Event::GeneralRef(reference)) => self.resolve(&reference).map(drop),
            Ok(Event::Eof) => {
                let at = self.guard.at(self.input.len());
                if self.guard.elements == 0 && !self.input.trim_ascii().is_empty() {
                    return Err(self.guard.fail(DecodeError::Malformed { rule: "there is no element", at }));
                }
                Err(self.guard.fail(DecodeError::Truncated { at }))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let error = self.not_well_formed(&error);
                Err(self.guard.fail(error))
            }
        }
    }

    /// Many declare a character set that they do not use: only if the bytes are no UTF-8 does the declaration matter,
    /// and then the error says what was declared.
    fn declaration(&mut self, declaration: &BytesDecl<'a>) -> Step<()> {
        let Some(Ok(name)) = declaration.encoding() else { return Ok(()) };
        if ["utf-8", "utf8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Ok(());
        }
        if std::str::from_utf8(self.input).is_ok() {
            return Ok(());
        }
        let rule = "the declared character set is not UTF-8, which alone is read here";
        let at = self.guard.at(self.event_start);
        Err(self.guard.fail(DecodeError::Charset { rule, at }))
    }

    #[cold]
    fn not_utf8(&mut self, valid: usize) -> Stop {
        let at = self.guard.at(self.position() + valid);
        self.guard.fail(DecodeError::Charset { rule: "the text is not UTF-8", at })
    }

    fn not_well_formed(&self, error: &Error) -> DecodeError {
        let at = self.guard.at(self.position());
        let rule = match error {
            Error::Syntax(SyntaxError::InvalidBangMarkup) => "`<!` begins nothing that exists",
            Error::Syntax(_) => return DecodeError::Truncated { at },
            Error::IllFormed(error) => {
                use quick_xml::errors::IllFormedError as E;
                let at = self.guard.at(self.reader.error_position() as usize);
                let rule = match error {
                    E::UnclosedReference => "`&` begins a reference that does not end",
                    E::MissingDoctypeName => "a DOCTYPE without a name",
                    _ => "not well-formed XML",
                };
                return DecodeError::Malformed { rule, at };
            }
            Error::Encoding(_) => return DecodeError::Charset { rule: "the text is not UTF-8", at },
            _ => "not well-formed XML",
        };
        DecodeError::Malformed { rule, at }
    }

    #[inline]
    fn end_of_empty(&mut self) -> bool {
        if self.empty {
            self.empty = false;
            self.leave();
            return true;
        }
        false
    }
}

impl<'a> source::Source<'a> for Source<'a> {
    #[inline]
    fn child(&mut self) -> Step<Option<Tag>> {
        if self.end_of_empty() {
            return Ok(None);
        }
        loop {
            self.event_start = self.position();
            match self.reader.read_event() {
                Ok(Event::Start(start)) => return self.enter(&start, false).map(Some),
                Ok(Event::End(end)) => {
                    self.close(end.name().as_ref())?;
                    return Ok(None);
                }
                Ok(Event::Empty(start)) => return self.enter(&start, true).map(Some),
                Ok(Event::Text(_) | Event::CData(_)) => {}
                other => self.aside(other)?,
            }
        }
    }

    fn unknown_name(&self) -> Text<'a> {
        Text::Borrowed(self.unknown.last().map_or("", |name| local(name)))
    }

    #[inline]
    fn text(&mut self) -> Step<Text<'a>> {
        let text = self.any_text()?;
        // Names and addresses come back in the answer, which could then not be written. Contents are taken as they are.
        if first_forbidden(text.as_bytes()).is_some() {
            let at = self.guard.at(self.event_start);
            return Err(self.guard.fail(DecodeError::Malformed { rule: "a character that XML forbids", at }));
        }
        Ok(text)
    }

    fn octets(&mut self) -> Step<Octets<'a>> {
        Ok(octets(self.any_text()?))
    }

    #[inline]
    fn content(&mut self) -> Step<Content<'a>> {
        if self.end_of_empty() {
            return Ok(Content::Octets(octets(Text::default())));
        }
        self.content_start = self.position();
        match self.content_of_text() {
            Err(stop) => self.content_of_octets(stop),
            content => content,
        }
    }

    fn verbatim(&mut self) -> Step<Bytes<'a>> {
        let start = self.content_start;
        source::Source::skip(self)?;
        loop {
            match self.piece()? {
                Piece::Child(_) => source::Source::skip(self)?,
                Piece::End => {
                    let end = self.event_start;
                    let bytes = self.input.get(start..end).unwrap_or_default();
                    self.guard.check_text(bytes.len(), end)?;
                    return Ok(Bytes::Borrowed(bytes));
                }
                Piece::Text(_) | Piece::Nothing => {}
            }
        }
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
        self.position()
    }
}

const SECTION: &[u8] = b"<![CDATA[";
const SECTION_END: &[u8] = b"]]>";

/// How far it is from behind the start of a section to its end.
#[inline]
fn section_length(section: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += scan::find(&section[at..], SECTION_END[0])?;
        if section[at..].starts_with(SECTION_END) {
            return Some(at);
        }
        at += 1;
    }
}

/// The octets of a content that holds only text, sections and the usual references, and where its end tag begins.
fn raw_content(input: &[u8]) -> Option<(Bytes<'_>, usize)> {
    let mut bytes = Bytes::Borrowed(&[]);
    let mut append = |piece| match &mut bytes {
        Bytes::Borrowed([]) => bytes = Bytes::Borrowed(piece),
        begun => begun.to_mut().extend_from_slice(piece),
    };
    let mut at = 0;
    loop {
        let rest = input.get(at..)?;
        let length = match rest {
            [b'<', b'/', ..] => return Some((bytes, at)),
            [b'&', ..] => {
                let end = scan::find(rest, b';')?;
                append(match &rest[1..end] {
                    b"amp" => b"&",
                    b"lt" => b"<",
                    b"gt" => b">",
                    b"quot" => b"\"",
                    b"apos" => b"'",
                    b"#13" | b"#xD" => b"\r",
                    b"#10" | b"#xA" => b"\n",
                    _ => return None,
                });
                end + 1
            }
            [b'<', ..] => {
                let section = rest.strip_prefix(SECTION)?;
                let end = section_length(section)?;
                append(&section[..end]);
                SECTION.len() + end + SECTION_END.len()
            }
            _ => {
                let end = scan::find_if(rest, |byte| (byte == b'<') | (byte == b'&'))?;
                append(&rest[..end]);
                end
            }
        };
        at += length;
    }
}

/// Whether the last character is cut; `None` where this is not UTF-8 for more than its first and last character.
fn text_cut_at_end(bytes: &[u8]) -> Option<bool> {
    let missing = bytes.iter().take(3).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
    match std::str::from_utf8(&bytes[missing..]) {
        Ok(_) => Some(false),
        Err(error) => error.error_len().is_none().then_some(true),
    }
}

/// Whether the element after the end tag that stands here is `MoreData`.
fn goes_on(input: &[u8]) -> bool {
    let next = scan::find(input, b'>').map_or(&[][..], |end| input[end + 1..].trim_ascii_start());
    let name = next.strip_prefix(b"<").unwrap_or_default();
    let name = name.split(|byte| b"/> \t\r\n".contains(byte)).next().unwrap_or_default();
    std::str::from_utf8(name).is_ok_and(|name| local(name) == Tag::MoreData.name())
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[inline]
const fn plain_content(text: &str) -> Content<'_> {
    Content::Octets(Octets { bytes: Bytes::Borrowed(text.as_bytes()), opaque: false })
}

fn octets(text: Text<'_>) -> Octets<'_> {
    let bytes = match text {
        Cow::Borrowed(text) => Bytes::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Bytes::Owned(text.into_bytes()),
    };
    Octets { bytes, opaque: false }
}
