//! One property and its parameters.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::charset::to_text;
use super::decode;
use super::lex::{find, is_marker};
use super::write::clean;
use super::{Card, Charset, Error, Limits, Version};

/// How the bytes of a value are wrapped for transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// QUOTED-PRINTABLE (vCard 2.1 §2.1.3); read in any version, field note 35.
    QuotedPrintable,
    /// BASE64 (vCard 2.1 §2.1.3), `b` (RFC 2426 §2.4.1). A `data:` URI of 4.0 is `Plain`, see [`Property::binary`].
    Base64,
}

/// One property, as it stands in the card. Cheap to clone; decodes when asked.
#[derive(Clone)]
pub struct Property<'a> {
    raw: &'a [u8],
    value: &'a [u8],
    /// The value where it is its own text: on one line, neither encoded nor escaped. Most are.
    plain: Option<&'a str>,
    /// Group, name and parameters, unfolded.
    header: Cow<'a, str>,
    /// Behind the dot of the group; 0 without one.
    group: u32,
    name: (u32, u32),
    params: u32,
    at: u32,
    line: u32,
    fallback: Charset,
    charset: Option<Charset>,
    encoding: Encoding,
    version: Version,
    cr_only: bool,
    /// The value is a whole card on lines of its own.
    nested: bool,
}

impl<'a> Property<'a> {
    /// Every byte of it: from the group or name to the line break that ends it.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The bytes after the colon, still folded and encoded, without the final line break.
    pub const fn raw_value(&self) -> &'a [u8] {
        self.value
    }

    /// The line it begins on, from 1.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The version of its card, which decides how the value is escaped.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The name as written, without group.
    pub fn name(&self) -> &str {
        &self.header[self.name.0 as usize..self.name.1 as usize]
    }

    /// Has it this name? Letter case does not matter (RFC 6350 §3.3).
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// The group before the dot, as in `item1.TEL` (RFC 2426 §4, field note 20).
    pub fn group(&self) -> Option<&str> {
        (self.group > 0).then(|| self.header[..self.group as usize - 1].trim())
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Params<'_> {
        let rest = &self.header[self.params as usize..];
        let quotes = rest.as_bytes().iter().filter(|&&byte| byte == b'"').count();
        Params { rest, quoting: quotes > 0 && quotes % 2 == 0 }
    }

    /// The first value of the first parameter of this name.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params().find(|param| param.is(name))?.values().next()
    }

    /// All values of TYPE, and the bare parameters of 2.1 that stand for a TYPE, as written.
    pub fn types(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.params().filter(|param| param.is("TYPE")).flat_map(|param| param.values())
    }

    /// Has it this TYPE? Letter case does not matter (field note 7).
    pub fn has_type(&self, wanted: &str) -> bool {
        self.types().any(|it| it.eq_ignore_ascii_case(wanted))
    }

    /// How the value is wrapped.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The charset the property declares, if it is a known one.
    pub const fn charset(&self) -> Option<Charset> {
        self.charset
    }

    /// Is there nothing in it but blanks and separators, even escaped ones?
    pub fn is_empty(&self) -> bool {
        let says = |byte: &u8| byte.is_ascii_graphic() && !b";,\\nN".contains(byte) || *byte >= 0x80;
        match self.encoding {
            Encoding::Base64 => return self.value.trim_ascii().is_empty(),
            _ if self.may_be_uri() => {
                if let Some((_, data)) = self.base64() {
                    return data.is_empty();
                }
            }
            Encoding::Plain if self.value.iter().any(says) => return false,
            _ => {}
        }
        self.text().chars().all(|char| char.is_whitespace() || matches!(char, ';' | ','))
    }

    /// The value unfolded and, if it is quoted-printable, decoded. Base64 is unfolded only, see [`Property::binary`].
    pub fn value_bytes(&self) -> Cow<'a, [u8]> {
        match self.encoding {
            Encoding::Plain => {
                if self.nested {
                    return Cow::Borrowed(self.value);
                }
                decode::unfold(self.value, self.version == Version::V2_1, self.cr_only)
            }
            Encoding::QuotedPrintable => {
                decode::quoted_printable(self.value, self.version == Version::V2_1, self.cr_only)
            }
            Encoding::Base64 => decode::without_blanks(self.value),
        }
    }

    /// The value as text with its escapes still in place: what tells separators from escaped separators.
    pub fn value(&self) -> Cow<'a, str> {
        if let Some(text) = self.plain {
            return Cow::Borrowed(text);
        }
        to_text(self.value_bytes(), self.charset, self.fallback)
    }

    /// The value as one text: decoded and unescaped, line breaks as `\n`. Separators stay in place.
    pub fn text(&self) -> Cow<'a, str> {
        if let Some(text) = self.plain {
            return Cow::Borrowed(text);
        }
        if self.nested {
            let value = self.value();
            let mut text = if self.cr_only { value.replace('\r', "\n") } else { with_plain_breaks(&value) };
            // Cut off in transit it says the same as closed.
            text.extend(std::iter::repeat_n("\nEND:VCARD", self.missing_ends()));
            return Cow::Owned(text);
        }
        match self.value() {
            Cow::Borrowed(value) => decode::unescape(value, self.version),
            Cow::Owned(value) => Cow::Owned(match decode::unescape(&value, self.version) {
                Cow::Borrowed(_) => value,
                Cow::Owned(text) => text,
            }),
        }
    }

    /// The components of a structured value such as N or ADR, unescaped (RFC 2426 §4, RFC 6350 §3.4). A component that
    /// is a list keeps its commas.
    pub fn components(&self) -> Vec<String> {
        self.parts().into_iter().map(Cow::into_owned).collect()
    }

    /// The same, borrowed where they stand in the value as they are.
    pub(in crate::contact) fn parts(&self) -> Vec<Cow<'a, str>> {
        // A name has five, an address seven.
        let mut parts = Vec::with_capacity(8);
        match self.value() {
            Cow::Borrowed(value) => parts.extend(self.split(value)),
            Cow::Owned(value) => parts.extend(self.split(&value).map(|part| Cow::Owned(part.into_owned()))),
        }
        parts
    }

    fn split<'v>(&self, value: &'v str) -> impl Iterator<Item = Cow<'v, str>> {
        decode::split(value, b';').map(|part| match self.plain {
            Some(_) => Cow::Borrowed(part),
            None => decode::unescape(part, self.version),
        })
    }

    /// Looks at each of its components without keeping them.
    pub(in crate::contact) fn each_component(&self, mut take: impl FnMut(&str)) {
        self.split(&self.value()).for_each(|part| take(&part));
    }

    /// The items of a list such as NICKNAME or CATEGORIES, unescaped. In 2.1 a comma cannot be escaped, so every comma
    /// separates.
    pub fn list(&self) -> Vec<String> {
        let value = self.value();
        decode::split(&value, b',').map(|part| decode::unescape(part, self.version).into_owned()).collect()
    }

    /// Components, each with its list items: the finest structure. In 2.1 a component has one item.
    pub fn structure(&self) -> Vec<Vec<String>> {
        let value = self.value();
        let unescape = |text| decode::unescape(text, self.version).into_owned();
        decode::split(&value, b';')
            .map(|part| match self.version {
                Version::V2_1 => vec![unescape(part)],
                _ => decode::split(part, b',').map(unescape).collect(),
            })
            .collect()
    }

    /// The decoded bytes of a photo, sound or key: base64, or a `data:` URI in base64 (RFC 6350 §6.2.4). `None` if it
    /// is neither, or no base64 after all; missing padding and stray bits are forgiven.
    pub fn binary(&self) -> Option<Vec<u8>> {
        decode::base64(&self.base64()?.1)
    }

    /// The media type, if named, and the base64 text without blanks.
    pub(super) fn base64(&self) -> Option<(Option<String>, Cow<'a, [u8]>)> {
        if self.encoding == Encoding::Base64 {
            return Some((None, self.value_bytes()));
        }
        if !self.may_be_uri() {
            return None;
        }
        let named = |media: String| Some(media).filter(|media| !media.is_empty());
        match self.encoding {
            Encoding::Plain => {
                let (media, from) = decode::data_uri(self.value)?;
                Some((named(media), decode::without_blanks(&self.value[from..])))
            }
            _ => {
                let value = self.value_bytes();
                let (media, from) = decode::data_uri(&value)?;
                Some((named(media), Cow::Owned(decode::without_blanks(&value[from..]).into_owned())))
            }
        }
    }

    /// Is the value base64, well-formed or not?
    pub(in crate::contact) fn is_binary(&self) -> bool {
        match self.encoding {
            Encoding::Base64 => true,
            Encoding::Plain => decode::data_uri(self.value).is_some(),
            Encoding::QuotedPrintable => self.may_be_uri() && self.base64().is_some(),
        }
    }

    /// Cheap test before a `data:` URI is looked for.
    fn may_be_uri(&self) -> bool {
        match self.value.trim_ascii_start().first() {
            Some(b'd' | b'D') => true,
            Some(b'=') => self.encoding == Encoding::QuotedPrintable,
            _ => false,
        }
    }

    /// The base64 text without blanks, if the value is one.
    pub(in crate::contact) fn base64_text(&self) -> Option<Cow<'a, [u8]>> {
        Some(self.base64()?.1)
    }

    /// The card inside an AGENT (vCard 2.1 §2.4.1; RFC 2426 §3.5.4 has it escaped in the value and is not read here).
    ///
    /// # Errors
    /// [`Error::NoCard`] if the value is no card, else a limit.
    pub fn nested(&self, limits: &Limits) -> Result<Card<'a>, Error> {
        Card::parse_with(self.value, limits, self.fallback)
    }

    pub(super) fn new(
        header: Cow<'a, str>,
        marks: Marks,
        at: usize,
        line: u32,
        cr_only: bool,
        fallback: Charset,
    ) -> Self {
        let mut property = Self {
            raw: &[],
            value: &[],
            plain: None,
            header,
            group: marks.group as u32,
            name: (marks.name.start as u32, marks.name.end as u32),
            params: marks.params as u32,
            at: at as u32,
            line,
            fallback,
            charset: None,
            encoding: Encoding::Plain,
            version: Version::V3_0,
            cr_only,
            nested: false,
        };
        if marks.params == property.header.len() {
            return property;
        }
        let (mut encoding, mut charset) = (Encoding::Plain, None);
        for param in property.params() {
            if param.is("ENCODING") {
                encoding = encoding_of(param.raw_value()).unwrap_or(encoding);
            } else if param.is("CHARSET") {
                charset = param.values().next().and_then(|label| Charset::for_label(&label)).or(charset);
            }
        }
        (property.encoding, property.charset) = (encoding, charset);
        property
    }

    /// Would it swallow a property that is put behind it?
    pub(in crate::contact) fn is_open(&self) -> bool {
        self.missing_ends() > 0 || self.ends_in_soft_break()
    }

    /// How many END the card within the card lacks: it would swallow what follows.
    pub(super) fn missing_ends(&self) -> usize {
        match self.nested {
            false => 0,
            true if self.cr_only => missing_ends(&self.value().replace('\r', "\n")),
            true => missing_ends(&self.value()),
        }
    }

    /// Quoted-printable that promises one more line?
    pub(super) fn ends_in_soft_break(&self) -> bool {
        self.encoding == Encoding::QuotedPrintable && self.value.trim_ascii_end().ends_with(b"=")
    }

    pub(super) fn place(&mut self, raw: &'a [u8], value: &'a [u8], nested: bool) {
        (self.raw, self.value, self.nested) = (raw, value, nested);
    }

    /// Told the text of its value's bytes, if they are UTF-8.
    pub(super) fn place_text(&mut self, text: &'a str) {
        // To the end without a branch, several bytes at a time.
        let is_mark = |byte: u8| (byte == b'\\') | (byte == b'\r') | (byte == b'\n');
        let as_it_is = self.encoding == Encoding::Plain
            && !self.nested
            && self.charset.is_none_or(|charset| charset == Charset::UTF_8)
            && !text.bytes().fold(false, |found, byte| found | is_mark(byte));
        self.plain = as_it_is.then_some(text);
    }

    /// Told when the whole card is read: its version, and where it starts in the document.
    pub(super) fn settle(&mut self, version: Version, start: usize) {
        self.version = version;
        self.at -= start as u32;
    }

    /// Where it starts in the bytes of its card.
    pub(super) const fn at(&self) -> usize {
        self.at as usize
    }
}

impl fmt::Debug for Property<'_> {
    /// Name and place only: the rest is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, {} bytes)", self.name(), self.line, self.raw.len())
    }
}

/// Where the parts of a header are: behind the group's dot (0 without group), the name, and where parameters begin.
pub(super) struct Marks {
    pub(super) group: usize,
    pub(super) name: Range<usize>,
    pub(super) params: usize,
}

/// Iterator over parameters.
#[derive(Clone)]
pub struct Params<'p> {
    rest: &'p str,
    quoting: bool,
}

impl<'p> Iterator for Params<'p> {
    type Item = Param<'p>;

    fn next(&mut self) -> Option<Param<'p>> {
        loop {
            let rest = self.rest.strip_prefix(';')?;
            let end = position(rest, b';', self.quoting).unwrap_or(rest.len());
            self.rest = &rest[end..];
            let raw = rest[..end].trim_ascii();
            if raw.is_empty() {
                continue;
            }
            // An equals sign inside quotes belongs to a bare quoted value.
            return Some(match find(b'=', raw.as_bytes()) {
                Some(at) if find(b'"', &raw.as_bytes()[..at]).is_none() => Param {
                    raw,
                    name: raw[..at].trim_ascii_end(),
                    value: raw[at + 1..].trim_ascii_start(),
                    bare: false,
                    quoting: self.quoting,
                },
                _ => Param { raw, name: bare_name(raw), value: raw, bare: true, quoting: self.quoting },
            });
        }
    }
}

/// One parameter of a property.
#[derive(Clone, Copy)]
pub struct Param<'p> {
    raw: &'p str,
    name: &'p str,
    value: &'p str,
    bare: bool,
    quoting: bool,
}

impl<'p> Param<'p> {
    /// All of it as written, unfolded.
    pub const fn raw(&self) -> &'p str {
        self.raw
    }

    /// Its name as written; for a bare one (vCard 2.1 §2.1.2) the name it stands for: TYPE, ENCODING or VALUE.
    pub const fn name(&self) -> &'p str {
        self.name
    }

    /// Has it this name? Letter case does not matter.
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Is it a value without a name, as 2.1 allows?
    pub const fn is_bare(&self) -> bool {
        self.bare
    }

    /// The value as written, with quotes and all list items.
    pub const fn raw_value(&self) -> &'p str {
        self.value
    }

    /// Its values: split at commas outside quotes, quotes removed, `^n ^^ ^'` decoded (RFC 6868). A quoted list of types
    /// is a list all the same: RFC 6350 §6.4.1 itself writes `TYPE="voice,home"`.
    pub fn values(self) -> impl Iterator<Item = Cow<'p, str>> {
        // By the name that will be written, as when a property is converted.
        let types = quoted_types(self.value).filter(|_| clean(self.name).eq_ignore_ascii_case("TYPE"));
        let mut rest = Some(types.unwrap_or(self.value));
        let quoting = self.quoting && types.is_none();
        std::iter::from_fn(move || {
            let text = rest?;
            let end = position(text, b',', quoting);
            rest = end.map(|end| &text[end + 1..]);
            Some(param_text(text[..end.unwrap_or(text.len())].trim_ascii()))
        })
        .filter(|value| !value.is_empty())
    }
}

/// What stands in the quotes, if it is a list of words as types are. A label of the user's own may hold a comma. Control
/// characters do not count: nobody sees them.
fn quoted_types(value: &str) -> Option<&str> {
    let list = value.strip_prefix('"')?.strip_suffix('"')?;
    let letter = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let word =
        |it: &str| it.contains(letter) && it.chars().all(|char| letter(char) || char.is_control() && char != '\t');
    (list.contains(',') && list.split(',').all(word)).then_some(list)
}

/// First place of a byte, outside quotes if quotes are in order.
fn position(text: &str, wanted: u8, quoting: bool) -> Option<usize> {
    if !quoting {
        return find(wanted, text.as_bytes());
    }
    let mut quoted = false;
    text.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == wanted && !quoted
    })
}

/// Removes quotes (some writers escape them) and the circumflex escapes.
fn param_text(text: &str) -> Cow<'_, str> {
    let inner = text
        .strip_prefix("\\\"")
        .and_then(|text| text.strip_suffix("\\\""))
        .or_else(|| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')))
        .unwrap_or(text);
    if !inner.contains(|char: char| char == '^' || char.is_control()) {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(char) = chars.next() {
        let escaped = match (char, chars.peek()) {
            ('^', Some('n')) => Some('\n'),
            ('^', Some('^')) => Some('^'),
            ('^', Some('\'')) => Some('"'),
            _ => None,
        };
        if escaped.is_some() {
            chars.next();
        }
        // Control characters cannot stand in a parameter (RFC 6350 §3.3).
        if escaped.is_some() || !char.is_control() || char == '\t' {
            out.push(escaped.unwrap_or(char));
        }
    }
    Cow::Owned(out)
}

/// Line breaks as `\n`: LF after any number of CR, as the lines of a card are told apart. A card cut off behind a CR so
/// says the same when a line is put behind it; and a CR elsewhere, which breaks no line, must not make an END of what
/// follows it.
fn with_plain_breaks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut returns = 0;
    for char in text.chars() {
        match char {
            '\r' => returns += 1,
            '\n' => {
                returns = 0;
                out.push('\n');
            }
            char => {
                out.extend(std::iter::repeat_n(' ', std::mem::take(&mut returns)));
                out.push(char);
            }
        }
    }
    out
}

/// How many END the text of a card within a card lacks.
fn missing_ends(text: &str) -> usize {
    let count = |word| text.lines().filter(|line| is_marker(line.as_bytes(), word)).count();
    count(b"BEGIN").saturating_sub(count(b"END"))
}

/// Is the text one whole card, as a reader takes it for one: BEGIN first, its own END last, none too deep?
pub(super) fn is_closed(text: &str) -> bool {
    let (mut depth, mut closed) = (0, false);
    for line in text.trim_end().lines() {
        if is_marker(line.as_bytes(), b"BEGIN") {
            depth += 1;
        }
        // Nothing but BEGIN may come first, nothing behind the END of the first.
        if closed || depth == 0 || depth > Limits::default().max_depth {
            return false;
        }
        if is_marker(line.as_bytes(), b"END") {
            depth -= 1;
            closed = depth == 0;
        }
    }
    closed
}

fn encoding_of(value: &str) -> Option<Encoding> {
    let value = value.trim_matches('"');
    let is = |names: &[&str]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
    if is(&["QUOTED-PRINTABLE", "Q", "QP"]) {
        Some(Encoding::QuotedPrintable)
    } else if is(&["BASE64", "B"]) {
        Some(Encoding::Base64)
    } else {
        None
    }
}

/// What a bare parameter stands for (vCard 2.1 §2.1.2, §2.1.3).
fn bare_name(value: &str) -> &'static str {
    let is = |names: &[&str]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
    if is(&["QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"]) {
        "ENCODING"
    } else if is(&["INLINE", "URL", "CONTENT-ID", "CID"]) {
        "VALUE"
    } else {
        "TYPE"
    }
}
