//! Characters: which XML can carry, and how they are quoted.

use crate::codec::scan;

/// Whether a text needs a closer look before it can be written: a control character, or the first byte of, among others,
/// U+FFFE and U+FFFF.
#[inline]
pub(super) fn is_suspect(text: &[u8]) -> bool {
    if text.len() < SHORT {
        return text.iter().fold(0, |kinds, byte| kinds | KINDS[*byte as usize]) & SUSPECT != 0;
    }
    scan::any(text, |byte| (byte < 0x20) & (byte != b'\t') & (byte != b'\n') & (byte != b'\r') | (byte == 0xEF))
}

/// Whether a text is easier to read in a CDATA section, or better off there: line ends survive.
#[inline]
pub(super) fn wants_cdata(text: &[u8]) -> bool {
    scan::find_if(text, |byte| (byte == b'<') | (byte == b'&') | (byte == b'\n') | (byte == b'\r')).is_some()
}

/// Texts below this length are looked at byte by byte.
const SHORT: usize = 32;
/// A control character other than tab, line feed and carriage return, or 0xEF.
const SUSPECT: u8 = 1;
/// `<`, `>`, `&` or a carriage return.
const ESCAPED: u8 = 2;

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        kinds[control] = SUSPECT;
        control += 1;
    }
    kinds[b'\t' as usize] = 0;
    kinds[b'\n' as usize] = 0;
    kinds[0xEF] = SUSPECT;
    kinds[b'<' as usize] = ESCAPED;
    kinds[b'>' as usize] = ESCAPED;
    kinds[b'&' as usize] = ESCAPED;
    kinds[b'\r' as usize] = ESCAPED;
    kinds
};

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
    if !is_suspect(text) {
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
    while let Some(position) = find_escaped(rest) {
        out.extend_from_slice(&rest[..position]);
        // Each with its own length, which the compiler then knows.
        match rest[position] {
            b'\r' => out.extend_from_slice(b"&#13;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            _ => out.extend_from_slice(b"&gt;"),
        }
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
}

/// The first byte to escape, eight at a time: a byte of a word is zero if subtracting one from each borrows from it.
fn find_escaped(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const fn every(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let mut words = text.chunks_exact(8);
    let mut position = 0;
    for word in &mut words {
        let word = u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        // `<` and `>` differ in one bit.
        let found = zeros((word | ONES << 1) ^ every(b'>')) | zeros(word ^ every(b'&')) | zeros(word ^ every(b'\r'));
        if found != 0 {
            return Some(position + found.trailing_zeros() as usize / 8); // the lowest one is never wrong
        }
        position += 8;
    }
    let last = words.remainder().iter().position(|byte| KINDS[*byte as usize] & ESCAPED != 0);
    last.map(|last| position + last)
}

/// Appends `text` in CDATA sections; `]]>` is divided between two.
pub(super) fn cdata(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(b"<![CDATA[");
    let mut rest = text;
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
    fn what_is_escaped_is_found_at_once() {
        for length in 0..40 {
            for position in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = vec![b'=' ^ 0x80; length]; // a neighbour of `<` and `>`, with the high bit
                    text[position] = byte;
                    let escaped = matches!(byte, b'<' | b'>' | b'&' | b'\r');
                    assert_eq!(find_escaped(&text), escaped.then_some(position), "{byte} at {position} of {length}");
                }
            }
        }
        assert_eq!(find_escaped(b"abc>=>&"), Some(3));
        assert_eq!(find_escaped(b"=======<"), Some(7));
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
            cdata(&mut other, text.as_bytes());
            assert_eq!(one, escaped.as_bytes());
            assert_eq!(other, sections.as_bytes());
        }
    }
}
