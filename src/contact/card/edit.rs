//! Changing a card without touching the rest of it.

use super::{Card, Property, PropertyBuf, Version};

/// Edits a card: what is not named stays byte for byte, what is new is spelt in the card's version.
#[derive(Debug, Clone)]
pub struct Editor<'c, 'a> {
    card: &'c Card<'a>,
    slots: Vec<Slot>,
    added: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Slot {
    Keep,
    Put(Vec<u8>),
}

impl<'c, 'a> Editor<'c, 'a> {
    /// Begins with the card as it is.
    pub fn new(card: &'c Card<'a>) -> Self {
        Self { card, slots: vec![Slot::Keep; card.properties.len()], added: Vec::new() }
    }

    /// The card being edited, as it was.
    pub const fn card(&self) -> &'c Card<'a> {
        self.card
    }

    /// Puts a property in the place of the first of its name, removes the others of that name, or appends it.
    pub fn set(&mut self, property: &PropertyBuf) {
        let mut place = None;
        for (at, old) in self.card.properties.iter().enumerate() {
            if super::canonical_name(old.name()).eq_ignore_ascii_case(property.name()) {
                place = place.or(Some(at));
                self.remove(at);
            }
        }
        match place {
            Some(at) => self.replace(at, property),
            None => self.append(property),
        }
    }

    /// Puts a property in the place of the one at `index` of [`Card::properties`]; out of range is nothing.
    pub fn replace(&mut self, index: usize, property: &PropertyBuf) {
        self.put(index, property.write(self.card.version, self.card.line_break()));
    }

    /// Puts written bytes, line break included, in the place of the property at `index`; out of range is nothing.
    pub(in crate::contact) fn put(&mut self, index: usize, bytes: Vec<u8>) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Put(bytes);
        }
    }

    /// Removes the property at `index` of [`Card::properties`]; out of range is nothing.
    pub fn remove(&mut self, index: usize) {
        self.put(index, Vec::new());
    }

    /// Removes all properties of this name.
    pub fn remove_all(&mut self, name: &str) {
        for (at, old) in self.card.properties.iter().enumerate() {
            if old.is(name) {
                self.slots[at] = Slot::Put(Vec::new());
            }
        }
    }

    /// Adds a property behind the last one.
    pub fn append(&mut self, property: &PropertyBuf) {
        property.write_to(&mut self.added, self.card.version, self.card.line_break());
    }

    /// Adds written bytes, line break included, behind the last property.
    pub(in crate::contact) fn append_bytes(&mut self, bytes: &[u8]) {
        self.added.extend_from_slice(bytes);
    }

    /// The edited card. Without edits these are the bytes it was read from.
    pub fn finish(self) -> Vec<u8> {
        let whole = self.card.whole;
        let mut out = Vec::with_capacity(whole.len() + self.added.len());
        let mut from = 0;
        let starts = self.card.properties.iter().skip(1).map(Property::at).chain([self.card.end_line]);
        for ((property, slot), next) in self.card.properties.iter().zip(&self.slots).zip(starts) {
            let Slot::Put(bytes) = slot else { continue };
            out.extend_from_slice(&whole[from..property.at()]);
            out.extend_from_slice(bytes);
            from = property.at() + property.raw().len();
            // A junk line here may look like more base64, and any line like more of one that ends in a backslash: keep it apart.
            let apart = (bytes.is_empty() || is_base64(bytes)) && from < next || ends_in_backslash(&out);
            if apart && !ends_in_empty_line(&out) && !matches!(whole.get(from), None | Some(b'\r' | b'\n')) {
                out.extend_from_slice(self.card.line_break());
            }
        }
        out.extend_from_slice(&whole[from..self.card.end_line.max(from)]);
        if !self.added.is_empty() {
            // A card cut off in transit may end within a line.
            if out.last() != self.card.line_break().last() {
                out.extend_from_slice(self.card.line_break());
            }
            if self.card.properties.last().is_some_and(|last| last.ends_in_soft_break()) {
                // Else the dangling soft break would swallow what is added.
                out.extend_from_slice(self.card.line_break());
            }
            for _ in 0..self.card.properties.last().map_or(0, |last| last.missing_ends()) {
                out.extend_from_slice(b"END:VCARD");
                out.extend_from_slice(self.card.line_break());
            }
            out.extend_from_slice(&self.added);
        }
        out.extend_from_slice(&whole[self.card.end_line.max(from)..]);
        out
    }
}

/// Does the last line end in a backslash?
fn ends_in_backslash(text: &[u8]) -> bool {
    without_break(text).is_some_and(|line| line.ends_with(b"\\"))
}

fn ends_in_empty_line(text: &[u8]) -> bool {
    without_break(text).and_then(without_break).is_some()
}

fn without_break(text: &[u8]) -> Option<&[u8]> {
    text.strip_suffix(b"\r\n").or_else(|| text.strip_suffix(b"\n")).or_else(|| text.strip_suffix(b"\r"))
}

/// Does a written property hold base64?
fn is_base64(bytes: &[u8]) -> bool {
    let header = &bytes[..bytes.iter().position(|&byte| byte == b':').unwrap_or(bytes.len())].to_ascii_uppercase();
    [&b"BASE64"[..], b"=B"].iter().any(|word| header.windows(word.len()).any(|it| it == *word))
}

/// Writes a new card.
#[derive(Debug, Clone)]
pub struct CardBuilder {
    version: Version,
    out: Vec<u8>,
}

impl CardBuilder {
    /// An empty card of this version, with CRLF line breaks (RFC 6350 §3.2; field note 36).
    pub fn new(version: Version) -> Self {
        Self { version, out: format!("BEGIN:VCARD\r\nVERSION:{version}\r\n").into_bytes() }
    }

    /// Adds a property; VERSION is already there.
    #[must_use]
    pub fn property(mut self, property: &PropertyBuf) -> Self {
        self.push(property);
        self
    }

    /// Adds a property; VERSION is already there.
    pub fn push(&mut self, property: &PropertyBuf) {
        property.write_to(&mut self.out, self.version, b"\r\n");
    }

    /// The finished card.
    pub fn build(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"END:VCARD\r\n");
        self.out
    }
}
