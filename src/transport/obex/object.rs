//! What is put and got: a message, in pieces.

use super::packet::{Code, Header, ObexError, Packet};
use std::fmt;

/// The header of HTTP that a MAC travels in.
const MAC: &str = "x-syncml-hmac:";

/// The longest MAC that is kept, in bytes.
const MAX_MAC: usize = 1_024;

/// Bytes of a header's identifier and length.
const HEADER: usize = 3;

/// A message and what is said of it. `Debug` does not show its contents.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// Its media type.
    pub content_type: String,
    /// Its `x-syncml-hmac` (§5.6).
    pub mac: Option<String>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("content_type", &self.content_type)
            .field("has_mac", &self.mac.is_some())
            .field("bytes", &self.body.len())
            .finish()
    }
}

impl Object {
    /// Takes a packet's part of it; whether that was the last one.
    pub(super) fn take(&mut self, packet: &Packet, limit: usize) -> Result<bool, ObexError> {
        let mut last = false;
        for header in &packet.headers {
            match header {
                Header::Length(length) if usize::try_from(*length).unwrap_or(usize::MAX) > limit => {
                    return Err(ObexError::TooLarge(limit));
                }
                Header::Type(name) => self.content_type.clone_from(name),
                Header::Http(bytes) => self.mac = mac(bytes).or_else(|| self.mac.take()),
                Header::Body(bytes) | Header::EndOfBody(bytes) => {
                    if bytes.len() > limit.saturating_sub(self.body.len()) {
                        return Err(ObexError::TooLarge(limit));
                    }
                    self.body.extend_from_slice(bytes);
                    last |= matches!(header, Header::EndOfBody(_));
                }
                _ => {}
            }
        }
        Ok(last)
    }
}

fn mac(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let line = text.lines().find_map(|line| {
        let name = line.get(..MAC.len())?;
        name.eq_ignore_ascii_case(MAC).then(|| line[MAC.len()..].trim())
    })?;
    (line.len() <= MAX_MAC).then(|| line.to_owned())
}

/// An object on its way, and how much of it is gone.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    object: Object,
    gone: usize,
    /// Whether the headers that describe it are gone.
    described: bool,
}

impl Sending {
    pub(super) const fn new(object: Object) -> Self {
        Self { object, gone: 0, described: false }
    }

    /// The next packet of it, of at most `max` bytes; whether it is the last one. `more` and `last` are the codes.
    pub(super) fn next(
        &mut self,
        connection: Option<u32>,
        max: u16,
        (more, last): (Code, Code),
    ) -> Result<(Packet, bool), ObexError> {
        let mut headers: Vec<Header> = connection.map(Header::ConnectionId).into_iter().collect();
        if !std::mem::replace(&mut self.described, true) {
            headers.push(Header::Type(self.object.content_type.clone()));
            if let Ok(length) = u32::try_from(self.object.body.len()) {
                headers.push(Header::Length(length));
            }
            if let Some(mac) = &self.object.mac {
                headers.push(Header::Http(format!("{MAC} {mac}\r\n").into_bytes()));
            }
        }
        let around = Packet::new(more, headers.clone()).to_bytes()?.len() + HEADER;
        let max = usize::from(max);
        let Some(room) = max.checked_sub(around) else {
            // The headers alone fill it: the body follows.
            return match around - HEADER <= max {
                true => Ok((Packet::new(more, headers), false)),
                false => Err(ObexError::Size { size: around, limit: max }),
            };
        };
        let rest = &self.object.body[self.gone..];
        let part = &rest[..rest.len().min(room)];
        self.gone += part.len();
        let is_last = part.len() == rest.len();
        headers.push(if is_last { Header::EndOfBody(part.to_vec()) } else { Header::Body(part.to_vec()) });
        Ok((Packet::new(if is_last { last } else { more }, headers), is_last))
    }
}
