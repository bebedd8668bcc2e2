//! Owned properties, and how each version spells them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::convert::spelling;
use super::names::{Shape, canonical_name, is_home, is_param_4_0, is_type_2_1, known, shape};
use super::property::is_closed;
use super::{Property, Version};

/// Octets in a line of 3.0 and 4.0, without its break (RFC 2426 §2.6, RFC 6350 §3.2).
const FOLD: usize = 75;
/// Characters in a line of quoted-printable, with the soft break (RFC 2045 §6.7).
const QP_LINE: usize = 76;

/// A value, free of any version's escapes. Line breaks in texts are `\n`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// One text, telephone number, date or URI.
    Text(String),
    /// Components, each with its items; from 3.0 on a component may be a list.
    Structured(Vec<Vec<String>>),
    /// Items of a list.
    List(Vec<String>),
    /// A photo, sound or key.
    Binary {
        /// For example `image/jpeg`.
        media_type: Option<String>,
        /// The data as base64 without blanks.
        base64: String,
    },
}

/// A property to be written, in no version's spelling yet.
///
/// Parameters are those of all versions: a type is `TYPE`, preference is `PREF` with `1` the most preferred. CHARSET and
/// ENCODING are chosen by the writer.
#[derive(Clone, PartialEq, Eq)]
pub struct PropertyBuf {
    pub(super) group: Option<String>,
    pub(super) name: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) value: Value,
}

impl PropertyBuf {
    /// A property with this name and value. Characters a name cannot have are dropped.
    pub fn new(name: &str, value: Value) -> Self {
        let name = match known(name) {
            Some(known) => known.to_owned(),
            None => clean_name(canonical_name(name)),
        };
        Self { group: None, name, params: Vec::new(), value }
    }

    /// A property with one text; for URIs, dates and numbers as well.
    pub fn text(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, Value::Text(text.into()))
    }

    /// A property such as N, ADR or ORG with these components.
    pub fn components<'t>(name: &str, components: impl IntoIterator<Item = &'t str>) -> Self {
        Self::new(name, Value::Structured(components.into_iter().map(|text| vec![text.to_owned()]).collect()))
    }

    /// A photo, sound or key.
    pub fn binary(name: &str, media_type: Option<&str>, bytes: &[u8]) -> Self {
        let base64 = STANDARD.encode(bytes);
        Self::new(name, Value::Binary { media_type: media_type.map(str::to_owned), base64 })
    }

    /// Adds a parameter value; several of one name are several values.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.push((clean_name(name), value.into()));
        self
    }

    /// Puts the property into a group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(clean_name(group)).filter(|group| !group.is_empty());
        self
    }

    /// Its name in capitals if it is a standard one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it another value.
    pub fn set_value(&mut self, value: Value) {
        self.value = value;
    }

    /// Its value.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Writes it as `version` spells it, ended by `line_break`. The result is exact: reading it in a card of that version
    /// gives the same values.
    pub fn write(&self, version: Version, line_break: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write_to(&mut out, version, line_break);
        out
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>, version: Version, line_break: &[u8]) {
        let spelt = spelling(self, version);
        let this = spelt.as_ref();
        let mut head = String::with_capacity(64);
        if let Some(group) = &this.group {
            head.push_str(group);
            head.push('.');
        }
        if !is_home(&this.name, version) {
            head.push_str("X-");
        }
        head.push_str(&this.name);
        match version {
            Version::V2_1 => this.write_2_1(head, out, line_break),
            _ => this.write_folded(head, version, out, line_break),
        }
    }

    fn write_2_1(&self, mut head: String, out: &mut Vec<u8>, line_break: &[u8]) {
        for (name, value) in &self.params {
            write_param_2_1(&mut head, name, value);
        }
        if let Value::Binary { base64, .. } = &self.value {
            head.push_str(";ENCODING=BASE64:");
            out.extend_from_slice(head.as_bytes());
            for line in base64.as_bytes().chunks(72) {
                out.extend_from_slice(line_break);
                out.push(b' ');
                out.extend_from_slice(line);
            }
            // The empty line is what ends the block (vCard 2.1 §2.1.3).
            out.extend_from_slice(line_break);
            out.extend_from_slice(line_break);
            return;
        }
        let value = self.escaped(Version::V2_1);
        if self.nested() {
            out.extend_from_slice(head.as_bytes());
            out.push(b':');
            for line in value.lines() {
                out.extend_from_slice(line_break);
                out.extend_from_slice(line.as_bytes());
            }
            out.extend_from_slice(line_break);
            return;
        }
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            out.extend_from_slice(head.as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(line_break);
            return;
        }
        if !value.is_ascii() {
            head.push_str(";CHARSET=UTF-8");
        }
        head.push_str(";ENCODING=QUOTED-PRINTABLE:");
        out.extend_from_slice(head.as_bytes());
        quoted_printable(&value, head.len() % QP_LINE, out, line_break);
        out.extend_from_slice(line_break);
    }

    /// Is the value a whole card, which in 2.1 stands on lines of its own (§2.4.1)?
    fn nested(&self) -> bool {
        match &self.value {
            Value::Text(text) => self.name == "AGENT" && text.starts_with("BEGIN:") && is_closed(text),
            _ => false,
        }
    }

    fn write_folded(&self, mut line: String, version: Version, out: &mut Vec<u8>, line_break: &[u8]) {
        let mut types = self.params.iter().filter(|(name, _)| name.eq_ignore_ascii_case("TYPE")).peekable();
        if types.peek().is_some() {
            line.push_str(";TYPE=");
            for (at, (_, value)) in types.enumerate() {
                line.push_str(if at == 0 { "" } else { "," });
                push_param_value(&mut line, value);
            }
        }
        for (name, value) in self.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("TYPE")) {
            line.push(';');
            line.push_str(if version == Version::V3_0 && is_param_4_0(name) { "X-" } else { "" });
            line.push_str(name);
            line.push('=');
            push_param_value(&mut line, value);
        }
        match &self.value {
            Value::Binary { media_type, base64 } if version == Version::V4_0 => {
                line.push_str(":data:");
                line.extend(media_type.iter().flat_map(|it| it.chars()).filter(|&it| is_media_char(it)));
                line.push_str(";base64,");
                line.push_str(base64);
            }
            Value::Binary { base64, .. } => {
                line.push_str(";ENCODING=b:");
                line.push_str(base64);
            }
            _ => {
                line.push(':');
                line.push_str(&self.escaped(version));
            }
        }
        fold(&line, out, line_break);
    }

    /// The value with separators and escapes of this version, before folding and quoted-printable.
    fn escaped(&self, version: Version) -> String {
        let mut out = String::new();
        let kind = match shape(&self.name) {
            Shape::Uri | Shape::Geo => Piece::Uri,
            _ => Piece::Text,
        };
        match &self.value {
            Value::Text(text) if version == Version::V2_1 && self.nested() => out.push_str(text),
            Value::Text(text) => escape(text, kind, version, &mut out),
            Value::List(items) => join(items, Piece::Item, version, &mut out),
            Value::Structured(components) => {
                for (at, items) in components.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ";" });
                    join(items, Piece::Component, version, &mut out);
                }
            }
            Value::Binary { base64, .. } => out.push_str(base64),
        }
        out
    }
}

impl std::fmt::Debug for PropertyBuf {
    /// The name only: the rest is personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PropertyBuf").field(&self.name).finish()
    }
}

impl std::fmt::Debug for Value {
    /// The kind of value only: the rest is personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Structured(_) => "Structured",
            Self::List(_) => "List",
            Self::Binary { .. } => "Binary",
        })
    }
}

impl From<&Property<'_>> for PropertyBuf {
    fn from(property: &Property<'_>) -> Self {
        super::convert::read(property)
    }
}

/// The name of the parameter that carries one which cannot be spelt in 2.1: base64url of `NAME=value`.
const PACKED: &str = "X-SYNCML-PARAM";
/// Marks FN or N that were only added because a version demands them.
pub(super) const DERIVED: &str = "X-SYNCML-DERIVED";

/// The parameter that a parameter of this name and value carries, if it is such a one.
pub(in crate::contact) fn unpack(name: &str, value: &str) -> Option<(String, String)> {
    if !name.eq_ignore_ascii_case(PACKED) {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    let (name, value) = text.split_once('=')?;
    let value = value.replace(|char: char| char.is_control() && !matches!(char, '\n' | '\t'), "");
    Some((clean_name(name), value))
}

/// Does a parameter of this name only serve to write the property down?
pub(in crate::contact) fn is_internal_param(name: &str) -> bool {
    ["ENCODING", "CHARSET", DERIVED].iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// What a name may consist of (RFC 6350 §3.3), so that no value can break out of its line.
pub(in crate::contact) fn clean(name: &str) -> Cow<'_, str> {
    let is_clean = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '/');
    match name.chars().all(is_clean) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.chars().filter(|&char| is_clean(char)).collect()),
    }
}

fn clean_name(name: &str) -> String {
    clean(name).into_owned()
}

/// What a media type may consist of (RFC 6838 §4.2), so that it cannot break out of a `data:` URI.
fn is_media_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || "/!#$&-^_.+".contains(char)
}

fn write_param_2_1(head: &mut String, name: &str, value: &str) {
    // "word" of the grammar of 2.1 (§4); a phone may choke on anything else.
    let word = !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']' | b'=' | b':' | b'.' | b','))
        && !value.contains([';', '"', '^', '\\']);
    let extension = name.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("X-"));
    let standard = ["TYPE", "VALUE", "LANGUAGE"].iter().any(|it| it.eq_ignore_ascii_case(name));
    head.push(';');
    if name.eq_ignore_ascii_case("TYPE") && is_type_2_1(value) {
        head.push_str(&value.to_ascii_uppercase());
    } else if word && (extension || standard || is_param_4_0(name)) {
        head.push_str(if is_param_4_0(name) { "X-" } else { "" });
        head.push_str(name);
        head.push('=');
        head.push_str(value);
    } else {
        head.push_str(PACKED);
        head.push('=');
        URL_SAFE_NO_PAD.encode_string(format!("{name}={value}"), head);
    }
}

/// Quotes where RFC 6350 §3.3 asks for it; quotes and line breaks inside by RFC 6868.
fn push_param_value(line: &mut String, value: &str) {
    let quoted = value.is_empty() || value.contains([':', ';', ',', '\n', '\\']) || value != value.trim();
    line.push_str(if quoted { "\"" } else { "" });
    for char in value.chars() {
        match char {
            '"' => line.push_str("^'"),
            '^' => line.push_str("^^"),
            '\n' => line.push_str("^n"),
            char if char.is_control() && char != '\t' => {}
            char => line.push(char),
        }
    }
    line.push_str(if quoted { "\"" } else { "" });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Text,
    Component,
    Item,
    Uri,
}

fn join(items: &[String], piece: Piece, version: Version, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        escape(item, piece, version, out);
    }
}

fn escape(text: &str, piece: Piece, version: Version, out: &mut String) {
    let full = version != Version::V2_1 && piece != Piece::Uri;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' => out.push_str(if version == Version::V2_1 { "\r\n" } else { "\\n" }),
            '\\' if full => out.push_str("\\\\"),
            // Elsewhere a backslash is itself, and doubled only where it would be read as an escape.
            '\\' => {
                let special = match chars.peek() {
                    None | Some(';' | ',' | ':' | '\\' | '\r' | '\n') => true,
                    Some('n' | 'N' | '"') => version != Version::V2_1,
                    Some(_) => false,
                };
                out.push_str(if special { "\\\\" } else { "\\" });
            }
            ',' if full => out.push_str("\\,"),
            ';' if full || piece == Piece::Component => out.push_str("\\;"),
            char => out.push(char),
        }
    }
}

/// Encodes for 2.1: printable ASCII as it is, no line over [`QP_LINE`], no character and no blank broken by a line.
fn quoted_printable(value: &str, mut column: usize, out: &mut Vec<u8>, line_break: &[u8]) {
    let mut chars = value.chars().peekable();
    while let Some(char) = chars.next() {
        let mut utf8 = [0; 4];
        let bytes = char.encode_utf8(&mut utf8).as_bytes();
        let at_end = matches!(chars.peek(), None | Some('\r'));
        let plain = matches!(bytes, [b'!'..=b'<' | b'>'..=b'~']) || bytes == b" " && !at_end;
        let width = if plain { 1 } else { bytes.len() * 3 };
        if column + width > QP_LINE - 1 {
            out.push(b'=');
            out.extend_from_slice(line_break);
            column = 0;
        }
        // A line that begins with a blank looks folded, one with E or B may look like END or BEGIN.
        if plain && !(column == 0 && b" EeBb".contains(&bytes[0])) {
            out.push(bytes[0]);
            column += 1;
        } else {
            for byte in bytes {
                out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            column += bytes.len() * 3;
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Breaks a line into pieces of [`FOLD`] octets, never inside a character.
fn fold(line: &str, out: &mut Vec<u8>, line_break: &[u8]) {
    let mut rest = line;
    let mut room = FOLD;
    while rest.len() > room {
        let at = (0..=room).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(room);
        out.extend_from_slice(&rest.as_bytes()[..at]);
        out.extend_from_slice(line_break);
        out.push(b' ');
        rest = &rest[at..];
        room = FOLD - 1;
    }
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(line_break);
}
