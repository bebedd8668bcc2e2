//! Characters: which XML can carry, and how they are quoted.

use crate::codec::scan;

/// What kinds of bytes a text has.
#[derive(Clone, Copy)]
pub(super) struct Kinds(u8);

/// A control character other than tab, line feed and carriage return.
const CONTROL: u8 = 1;
/// `<` or `&`.
const MARKUP: u8 = 2;
/// A line feed or carriage return.
const BREAK: u8 = 4;
/// `>`.
const GREATER: u8 = 8;
/// The first byte of, among others, U+FFFE and U+FFFF.
const MAYBE_NONCHARACTER: u8 = 16;
/// A carriage return.
const RETURN: u8 = 32;

impl Kinds {
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(scan::union(bytes, |byte| {
            let is = |condition: bool, kind: u8| if condition { kind } else { 0 };
            is(byte < 0x20 && byte != b'\t' && byte != b'\n' && byte != b'\r', CONTROL)
                | is(byte == b'<' || byte == b'&', MARKUP)
                | is(byte == b'\n' || byte == b'\r', BREAK)
                | is(byte == b'>', GREATER)
                | is(byte == 0xEF, MAYBE_NONCHARACTER)
                | is(byte == b'\r', RETURN)
        }))
    }

    const fn has(self, kinds: u8) -> bool {
        self.0 & kinds != 0
    }

    /// Whether the text needs a closer look before it can be written.
    pub(super) const fn is_suspect(self) -> bool {
        self.has(CONTROL | MAYBE_NONCHARACTER)
    }

    /// Whether the text is easier to read in a CDATA section, or better off there: line ends survive.
    pub(super) const fn wants_cdata(self) -> bool {
        self.has(MARKUP | BREAK)
    }

    /// Whether a CDATA section might end too early.
    pub(super) const fn has_greater(self) -> bool {
        self.has(GREATER)
    }

    /// Whether anything has to be escaped.
    pub(super) const fn wants_escape(self) -> bool {
        self.has(MARKUP | GREATER | RETURN)
    }
}

/// Whether XML can carry these octets as character data: UTF-8 without control characters (tab and line ends excepted)
/// and without U+FFFE and U+FFFF. What it cannot carry is written as base64 by whoever makes the message.
#[must_use]
pub fn xml_can_carry(bytes: &[u8]) -> bool {
    first_uncarriable(bytes).is_none()
}

/// The position of the first byte that XML cannot carry.
pub(super) fn first_uncarriable(bytes: &[u8]) -> Option<usize> {
    let (text, invalid) = match std::str::from_utf8(bytes) {
        Ok(_) => (bytes, None),
        Err(error) => (&bytes[..error.valid_up_to()], Some(error.valid_up_to())),
    };
    first_forbidden(text).or(invalid)
}

/// The position of the first character that XML forbids in what is UTF-8.
pub(super) fn first_forbidden(text: &[u8]) -> Option<usize> {
    if !Kinds::of(text).is_suspect() {
        return None;
    }
    text.iter().enumerate().position(|(position, byte)| match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..0x20 => true,
        0xEF => matches!(text.get(position..position + 3), Some([_, 0xBF, 0xBE | 0xBF])),
        _ => false,
    })
}

/// Appends `text` with markup and carriage returns escaped.
pub(super) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(position) = rest.iter().position(|byte| ESCAPED[*byte as usize]) {
        out.extend_from_slice(&rest[..position]);
        out.extend_from_slice(match rest[position] {
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            _ => b"&#13;",
        });
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
}

static ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[b'\r' as usize] = true;
    table
};

/// Appends `text` in CDATA sections; `]]>` is divided between two.
pub(super) fn cdata(out: &mut Vec<u8>, text: &[u8], has_greater: bool) {
    out.extend_from_slice(b"<![CDATA[");
    let mut rest = text;
    if has_greater {
        let mut from = 0;
        while let Some(position) = scan::find(&rest[from..], b'>').map(|position| from + position) {
            if rest[..position].ends_with(b"]]") {
                out.extend_from_slice(&rest[..position]);
                out.extend_from_slice(b"]]><![CDATA[");
                rest = &rest[position..];
                from = 1;
            } else {
                from = position + 1;
            }
        }
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"]]>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_can_carry() {
        for (bytes, position) in [
            (&b""[..], None),
            (b"plain\ttext\r\n", None),
            ("\u{e9}\u{1F600}\u{FFFD}\u{FF1A}".as_bytes(), None),
            (b"\x7F", None),
            (b"a\0b", Some(1)),
            (b"abc\x1F", Some(3)),
            (b"\xE9", Some(0)),
            (b"caf\xE9", Some(3)),
            (b"a\x01\xE9", Some(1)),
            ("ab\u{FFFE}".as_bytes(), Some(2)),
            ("ab\u{FFFF}".as_bytes(), Some(2)),
        ] {
            assert_eq!(first_uncarriable(bytes), position, "{bytes:?}");
            assert_eq!(xml_can_carry(bytes), position.is_none());
        }
    }

    #[test]
    fn quotes() {
        for (text, escaped, sections) in [
            ("", "", "<![CDATA[]]>"),
            ("a<b>&c", "a&lt;b&gt;&amp;c", "<![CDATA[a<b>&c]]>"),
            ("a\r\nb", "a&#13;\nb", "<![CDATA[a\r\nb]]>"),
            ("a]]>b", "a]]&gt;b", "<![CDATA[a]]]]><![CDATA[>b]]>"),
            ("]]>]]>", "]]&gt;]]&gt;", "<![CDATA[]]]]><![CDATA[>]]]]><![CDATA[>]]>"),
            ("]]]>", "]]]&gt;", "<![CDATA[]]]]]><![CDATA[>]]>"),
        ] {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            escape(&mut one, text.as_bytes());
            cdata(&mut other, text.as_bytes(), true);
            assert_eq!(one, escaped.as_bytes());
            assert_eq!(other, sections.as_bytes());
        }
    }
}
