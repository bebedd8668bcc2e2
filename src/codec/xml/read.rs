//! Reading XML.

use crate::codec::error::{At, DecodeError};
use crate::codec::limits::Limits;
use crate::codec::source::{self, Content, Guard, Octets};
use crate::codec::tag::Tag;
use crate::message::{Bytes, Text};
use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use std::borrow::Cow;

type Result<T> = std::result::Result<T, DecodeError>;

/// An XML document. References and CDATA sections vanish here: a text is one piece, however it was written. Line ends
/// stay as they are. Nothing outside the document is ever looked at.
pub(in crate::codec) struct Source<'a> {
    input: &'a [u8],
    reader: Reader<&'a [u8]>,
    guard: Guard,
    /// The element opened last was `<Name/>`: its end is still to be told.
    empty: bool,
    unknown: Text<'a>,
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
    pub(in crate::codec) fn new(input: &'a [u8], limits: &Limits) -> Result<Self> {
        if let [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] = input {
            let at = At { element: "message", offset: 0 };
            return Err(DecodeError::Charset { rule: "the text is UTF-16; UTF-8 is read here", at });
        }
        Ok(Self {
            input,
            reader: Reader::from_reader(input),
            guard: Guard::new(limits),
            empty: false,
            unknown: Text::default(),
            event_start: 0,
            content_start: 0,
        })
    }

    fn position(&self) -> usize {
        self.reader.buffer_position() as usize // never past the input, whose length is a usize
    }

    #[inline]
    fn event(&mut self) -> Result<Event<'a>> {
        self.event_start = self.position();
        match self.reader.read_event() {
            Ok(Event::Eof) => Err(DecodeError::Truncated { at: self.guard.at(self.input.len()) }),
            Ok(event) => Ok(event),
            Err(error) => Err(self.not_well_formed(&error)),
        }
    }

    #[inline]
    fn enter(&mut self, start: &BytesStart<'a>, empty: bool) -> Result<Tag> {
        let name = start.name();
        let name = name.as_ref();
        let mut tag = Tag::from_name(name.as_bytes());
        if tag == Tag::Unknown {
            let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
            tag = Tag::from_name(local.as_bytes());
            if tag == Tag::Unknown {
                self.unknown = Text::Owned(local.to_owned());
            }
        }
        self.guard.enter(tag, self.event_start)?;
        self.empty = empty;
        Ok(tag)
    }

    /// One event inside a text.
    #[inline]
    fn piece(&mut self) -> Result<Piece<'a>> {
        Ok(match self.event()? {
            Event::Text(text) => Piece::Text(text.into_inner()),
            Event::CData(text) => Piece::Text(text.into_inner()),
            Event::GeneralRef(reference) => Piece::Text(self.resolve(&reference)?),
            Event::Start(start) => Piece::Child(self.enter(&start, false)?),
            Event::Empty(start) => Piece::Child(self.enter(&start, true)?),
            Event::End(_) => {
                self.guard.leave();
                Piece::End
            }
            other => {
                self.aside(&other)?;
                Piece::Nothing
            }
        })
    }

    /// The text from here to the end of the open element.
    fn rest_of_text(&mut self, mut text: Text<'a>) -> Result<Text<'a>> {
        loop {
            match self.piece()? {
                Piece::Text(piece) => self.append(&mut text, piece)?,
                Piece::Child(_) => source::Source::skip(self)?,
                Piece::Nothing => {}
                Piece::End => return Ok(text),
            }
        }
    }

    #[inline]
    fn append(&self, text: &mut Text<'a>, piece: Text<'a>) -> Result<()> {
        self.guard.check_text(text.len() + piece.len(), self.position())?;
        if text.is_empty() {
            *text = piece;
        } else {
            text.to_mut().push_str(&piece);
        }
        Ok(())
    }

    /// The five names of XML and numbers. Anything else would need a DTD.
    fn resolve(&self, reference: &BytesRef<'a>) -> Result<Text<'a>> {
        let name: &str = reference;
        let known = match name {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "apos" => "'",
            _ => {
                let at = self.guard.at(self.event_start);
                if !name.starts_with('#') {
                    return Err(DecodeError::Refused { rule: "an entity that is not one of the five of XML", at });
                }
                return match reference.resolve_char_ref() {
                    Ok(Some(c)) if c != '\0' => Ok(Text::Owned(c.to_string())),
                    _ => Err(DecodeError::Malformed { rule: "a character reference to no character", at }),
                };
            }
        };
        Ok(Text::Borrowed(known))
    }

    /// What stands beside elements and text.
    fn aside(&self, event: &Event<'a>) -> Result<()> {
        match event {
            Event::DocType(doctype) => {
                let at = self.guard.at(self.event_start);
                if !self.guard.is_outside() {
                    return Err(DecodeError::Malformed { rule: "a DOCTYPE inside the document", at });
                }
                if doctype.contains('[') {
                    return Err(DecodeError::Refused { rule: "a DOCTYPE with an internal subset", at });
                }
                Ok(())
            }
            Event::Decl(declaration) => self.declaration(declaration),
            Event::GeneralRef(reference) => self.resolve(reference).map(drop),
            _ => Ok(()),
        }
    }

    /// Many declare a character set that they do not use: only if the bytes are no UTF-8 does the declaration matter,
    /// and then the error says what was declared.
    fn declaration(&self, declaration: &BytesDecl<'a>) -> Result<()> {
        let Some(Ok(name)) = declaration.encoding() else { return Ok(()) };
        if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") || self.input.is_ascii() {
            return Ok(());
        }
        if std::str::from_utf8(self.input).is_ok() {
            return Ok(());
        }
        Err(DecodeError::Charset {
            rule: "the declared character set is not UTF-8, which alone is read here",
            at: self.guard.at(0),
        })
    }

    #[cold]
    fn not_well_formed(&self, error: &Error) -> DecodeError {
        let at = self.guard.at(self.position());
        let rule = match error {
            Error::Syntax(error) => match error {
                SyntaxError::InvalidBangMarkup => "`<!` begins nothing that exists",
                _ => return DecodeError::Truncated { at },
            },
            Error::IllFormed(error) => {
                use quick_xml::errors::IllFormedError as E;
                let at = self.guard.at(self.reader.error_position() as usize);
                let rule = match error {
                    E::MismatchedEndTag { .. } => "the end tag is that of another element",
                    E::UnmatchedEndTag(_) => "an end tag without its start",
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
}

impl<'a> source::Source<'a> for Source<'a> {
    #[inline]
    fn child(&mut self) -> Result<Option<Tag>> {
        if self.empty {
            self.empty = false;
            self.guard.leave();
            return Ok(None);
        }
        loop {
            match self.event()? {
                Event::Start(start) => return self.enter(&start, false).map(Some),
                Event::Empty(start) => return self.enter(&start, true).map(Some),
                Event::End(_) => {
                    self.guard.leave();
                    return Ok(None);
                }
                Event::Text(_) | Event::CData(_) => {}
                other => self.aside(&other)?,
            }
        }
    }

    fn unknown_name(&self) -> Text<'a> {
        self.unknown.clone()
    }

    fn text(&mut self) -> Result<Text<'a>> {
        if self.empty {
            self.empty = false;
            self.guard.leave();
            return Ok(Text::default());
        }
        self.rest_of_text(Text::default())
    }

    fn octets(&mut self) -> Result<Octets<'a>> {
        Ok(octets(self.text()?))
    }

    fn content(&mut self) -> Result<Content<'a>> {
        if self.empty {
            return self.octets().map(Content::Octets);
        }
        self.content_start = self.position();
        let mut text = Text::default();
        loop {
            match self.piece()? {
                Piece::Text(piece) => self.append(&mut text, piece)?,
                Piece::Child(tag) => return Ok(Content::Child(tag)),
                Piece::Nothing => {}
                Piece::End => return Ok(Content::Octets(octets(text))),
            }
        }
    }

    fn verbatim(&mut self) -> Result<Bytes<'a>> {
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

    fn count_nested(&mut self, elements: usize) {
        self.guard.elements += elements;
    }

    fn offset(&self) -> usize {
        self.position()
    }
}

fn octets(text: Text<'_>) -> Octets<'_> {
    let bytes = match text {
        Cow::Borrowed(text) => Bytes::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Bytes::Owned(text.into_bytes()),
    };
    Octets { bytes, opaque: false }
}
