//! Charsets of values and of whole documents.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::Encoding;

/// A character encoding, by the labels of the WHATWG registry (so ISO-8859-1 is read as its superset Windows-1252).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);
    /// Windows-1252, the superset of ISO-8859-1 that old phones and Outlook mean. It has a character for every byte.
    pub const WINDOWS_1252: Self = Self(encoding_rs::WINDOWS_1252);

    /// The charset of this name, as in the parameter CHARSET (vCard 2.1 §2.1.5) or a media type. `None` if unknown.
    pub fn for_label(label: &str) -> Option<Self> {
        Encoding::for_label(label.trim().as_bytes()).map(Self)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The text if every byte sequence is valid in this charset.
    fn strict(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        self.0.decode_without_bom_handling_and_without_replacement(bytes)
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Turns a document in UTF-16 into UTF-8 (by its byte-order mark, or by the zero bytes around a first `B`); any other
/// document is returned as it is. Unpaired surrogates become U+FFFD.
pub fn decode_document(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (encoding, skip) = match bytes {
        [0xFF, 0xFE, ..] => (encoding_rs::UTF_16LE, 2),
        [0xFE, 0xFF, ..] => (encoding_rs::UTF_16BE, 2),
        [b'B' | b'b', 0, b'E' | b'e', 0, ..] => (encoding_rs::UTF_16LE, 0),
        [0, b'B' | b'b', 0, b'E' | b'e', ..] => (encoding_rs::UTF_16BE, 0),
        _ => return Cow::Borrowed(bytes),
    };
    let (text, _) = encoding.decode_without_bom_handling(&bytes[skip..]);
    Cow::Owned(text.into_owned().into_bytes())
}

/// The text of a value: the declared charset, else UTF-8, else `fallback`; a declaration the bytes contradict is not
/// believed (field note 37). Total: at worst undecodable bytes become U+FFFD.
pub(super) fn to_text<'a>(bytes: Cow<'a, [u8]>, declared: Option<Charset>, fallback: Charset) -> Cow<'a, str> {
    match bytes {
        Cow::Borrowed(bytes) => borrowed_text(bytes, declared, fallback),
        Cow::Owned(bytes) => {
            if declared.is_none_or(|declared| declared == Charset::UTF_8) {
                match String::from_utf8(bytes) {
                    Ok(text) => Cow::Owned(text),
                    Err(error) => Cow::Owned(borrowed_text(error.as_bytes(), declared, fallback).into_owned()),
                }
            } else {
                Cow::Owned(borrowed_text(&bytes, declared, fallback).into_owned())
            }
        }
    }
}

fn borrowed_text(bytes: &[u8], declared: Option<Charset>, fallback: Charset) -> Cow<'_, str> {
    // UTF-16 and ISO-2022 give ASCII bytes another meaning, so the shortcut is only for the common case.
    if let Some(declared) = declared
        && declared != Charset::UTF_8
        && let Some(text) = declared.strict(bytes)
    {
        return text;
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    match fallback.strict(bytes) {
        Some(text) => text,
        None => Charset::WINDOWS_1252.strict(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes)),
    }
}
