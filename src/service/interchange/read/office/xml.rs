//! The XML of documents: names without their prefixes, references resolved, no entities of its own.

use crate::service::interchange::error::{InterchangeError, Limits, Result};
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use std::io::{self, BufRead, Read};

/// The most elements within each other.
const DEPTH: usize = 256;

/// What a part is made of.
pub(super) enum Piece {
    /// An element begins. Every one that begins ends.
    Open(Element),
    /// The element of this name ends.
    Close(String),
    Text(String),
}

/// The beginning of an element.
pub(super) struct Element {
    /// Without its prefix.
    pub(super) name: String,
    start: BytesStart<'static>,
}

impl Element {
    /// What an attribute says, by its name without a prefix; as if it was not there when it is none.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let mut attributes = self.start.attributes();
        let found = attributes.with_checks(false).flatten().find(|it| it.key.local_name().as_ref() == name)?;
        found.normalized_value(XmlVersion::Explicit1_0).ok().map(|value| value.into_owned())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// A part that is being read.
pub(super) struct Xml<R> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
    depth: usize,
    record: usize,
}

impl<R: BufRead> Xml<R> {
    pub(super) fn new(from: R, limits: Limits) -> Self {
        let mut reader = Reader::from_reader(Metered { from, left: limits.record });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0, record: limits.record }
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// XML that is none, and what is not taken of documents: their own entities, other charsets, too much at once.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = self.record;
            let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| wrong(&error))?;
            let piece = match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > DEPTH {
                        return Err(unusable(&format!("more than {DEPTH} elements are within each other")));
                    }
                    let name = start.local_name().as_ref().to_owned();
                    Piece::Open(Element { name, start: start.into_owned() })
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Piece::Close(end.local_name().as_ref().to_owned())
                }
                Event::Text(text) => Piece::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Piece::Text(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => {
                    let char = match &*reference.xml10_content() {
                        "amp" => Some('&'),
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        _ => reference.resolve_char_ref().ok().flatten(),
                    };
                    Piece::Text(char.ok_or_else(|| unusable("it refers to an entity that is not known"))?.to_string())
                }
                Event::DocType(_) => return Err(unusable("it has a document type of its own, which is not taken")),
                Event::Eof if self.depth > 0 => return Err(unusable("it ends within an element")),
                Event::Eof => return Ok(None),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
                // Empty elements come as two.
                Event::Empty(_) => continue,
            };
            return Ok(Some(piece));
        }
    }

    /// Goes past the end of the element that began last.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut open = 1;
        while open > 0 {
            match self.next()? {
                Some(Piece::Open(_)) => open += 1,
                Some(Piece::Close(_)) => open -= 1,
                Some(Piece::Text(_)) => {}
                None => break,
            }
        }
        Ok(())
    }
}

fn unusable(what: &str) -> InterchangeError {
    InterchangeError::Unusable(format!("the document's XML cannot be used: {what}"))
}

fn wrong(error: &quick_xml::Error) -> InterchangeError {
    match error {
        quick_xml::Error::Io(error) => unusable(&error.to_string()),
        quick_xml::Error::Encoding(_) => unusable("it is not UTF-8"),
        quick_xml::Error::Syntax(error) => unusable(&error.to_string()),
        // The other messages quote names and texts.
        _ => unusable("it is not well-formed"),
    }
}

/// Gives no more bytes to one event than a record may have.
struct Metered<R> {
    from: R,
    left: usize,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(into)?;
        self.consume(size);
        Ok(size)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let piece = self.from.fill_buf()?;
        if self.left == 0 && !piece.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "one text or tag of it is too long"));
        }
        Ok(&piece[..piece.len().min(self.left)])
    }

    fn consume(&mut self, size: usize) {
        self.left = self.left.saturating_sub(size);
        self.from.consume(size);
    }
}
