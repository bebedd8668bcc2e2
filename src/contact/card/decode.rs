//! From raw values to bytes and texts.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Version;
use super::lex::find;

/// Joins folded lines. From 3.0 on the blank that marks a fold is no part of the value (RFC 2426 §2.6, RFC 6350 §3.2);
/// in 2.1 a line is folded where there was a blank, which therefore stays (vCard 2.1 §2.1.3, RFC 822).
pub(super) fn unfold(raw: &[u8], keep_blank: bool, cr_only: bool) -> Cow<'_, [u8]> {
    let breaks = if cr_only { b'\r' } else { b'\n' };
    if find(breaks, raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = find(breaks, rest) {
        let line = without_cr(&rest[..at]);
        out.extend_from_slice(line);
        rest = &rest[at + 1..];
        match rest.first() {
            Some(b' ' | b'\t') if keep_blank => {}
            Some(b' ' | b'\t') => rest = &rest[1..],
            // Only a backslash at the end of a line continues it without a blank: a line break within the value.
            _ if line.ends_with(b"\\") => {
                out.pop();
                out.push(b'\n');
            }
            _ => {}
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Decodes quoted-printable (RFC 2045 §6.7), forgiving what phones get wrong: a soft break that is itself encoded
/// (`==0A=0D=`, field note 38), blanks after the soft break or a fold after it, folds without soft break, lone `=`.
pub(super) fn quoted_printable(raw: &[u8], keep_blank: bool, cr_only: bool) -> Cow<'_, [u8]> {
    let breaks = if cr_only { b'\r' } else { b'\n' };
    if find(b'=', raw).is_none() && find(breaks, raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let folded = every_line_is_indented(raw, breaks);
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while !rest.is_empty() {
        let at = find(breaks, rest);
        let line = without_cr(&rest[..at.unwrap_or(rest.len())]);
        rest = at.map_or(&[][..], |at| &rest[at + 1..]);
        let soft = line_of_quoted_printable(line, &mut out);
        if let [b' ' | b'\t', after @ ..] = rest {
            // A blank after a soft break is text, unless a folding writer put it there: it would split a character, or
            // it stands before every line.
            let text = if soft { !(within_character(&out) || folded && !ends_line(&out)) } else { keep_blank };
            rest = if text { rest } else { after };
        }
    }
    Cow::Owned(out)
}

/// One physical line; returns whether it ended in a soft break.
fn line_of_quoted_printable(line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        if byte != b'=' {
            out.push(byte);
            at += 1;
            continue;
        }
        match line[at + 1..] {
            [high, low, ..] if hex(high).is_some() && hex(low).is_some() => {
                // Both are hex digits, so the sum fits.
                out.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                at += 3;
            }
            ref rest if rest.trim_ascii().is_empty() => return true,
            ref rest
                if rest.trim_ascii_end().eq_ignore_ascii_case(b"=0A=0D=")
                    || rest.trim_ascii_end().eq_ignore_ascii_case(b"=0D=0A=") =>
            {
                return true;
            }
            _ => {
                out.push(b'=');
                at += 1;
            }
        }
    }
    false
}

/// Two continuation lines or more, each beginning with a blank.
fn every_line_is_indented(raw: &[u8], breaks: u8) -> bool {
    let mut count = 0;
    let mut rest = raw;
    while let Some(at) = find(breaks, rest) {
        rest = &rest[at + 1..];
        if !matches!(rest.first(), Some(b' ' | b'\t')) {
            return false;
        }
        count += 1;
    }
    count >= 2
}

/// Does it end inside a UTF-8 sequence?
fn within_character(bytes: &[u8]) -> bool {
    let tail = bytes.iter().rev().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
    match bytes.len().checked_sub(tail + 1).map(|at| bytes[at]) {
        Some(lead @ 0xC2..) => tail + 1 < lead.leading_ones() as usize,
        _ => false,
    }
}

fn ends_line(bytes: &[u8]) -> bool {
    matches!(bytes.last(), Some(b'\n' | b'\r'))
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn without_cr(mut line: &[u8]) -> &[u8] {
    while let [head @ .., b'\r'] = line {
        line = head;
    }
    line
}

/// Drops blanks and line breaks.
pub(super) fn without_blanks(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.iter().any(u8::is_ascii_whitespace) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect())
}

/// Decodes base64 without blanks; padding and stray last bits do not matter.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |at| at + 1);
    // One digit over holds less than a byte: cut off in transit.
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let end = if end % 4 == 1 && digit(text[end - 1]) { end - 1 } else { end };
    ENGINE.decode(&text[..end]).ok()
}

/// The media type of a `data:` URI in base64 and where its data begins (RFC 2397).
pub(super) fn data_uri(value: &[u8]) -> Option<(String, usize)> {
    // Folds may fall anywhere in the head, and some writers of 3.0 escape its separators.
    if !matches!(value.trim_ascii_start().first(), Some(b'd' | b'D')) {
        return None;
    }
    let comma = find(b',', value)?;
    let head: String = value[..comma]
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'\\' && byte.is_ascii())
        .map(|&byte| char::from(byte))
        .collect();
    let (scheme, rest) = head.split_at_checked(5)?;
    let (media, encoding) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
    let ours = scheme.eq_ignore_ascii_case("data:") && encoding.eq_ignore_ascii_case("base64");
    ours.then(|| (media.trim_end_matches(';').to_owned(), comma + 1))
}

/// Splits at a separator that no backslash precedes.
pub(super) fn split(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut escaped = false;
        let end = text.bytes().position(|byte| {
            let found = byte == separator && !escaped;
            escaped = byte == b'\\' && !escaped;
            found
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Resolves escapes and brings line breaks to `\n`. 3.0 and 4.0 know `\\ \, \; \n` (RFC 6350 §3.4) and, in practice,
/// `\:` and `\"`; 2.1 only `\;` (§2.1.3), but phones also send the others – except `\n`, which in 2.1 is a path more
/// often than a line break. A backslash before anything else is itself.
pub(super) fn unescape(value: &str, version: Version) -> Cow<'_, str> {
    if find(b'\\', value.as_bytes()).is_none() && find(b'\r', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'\r')) {
        out.push_str(&rest[..at]);
        let modern = version != Version::V2_1;
        let (text, length) = match (rest.as_bytes()[at], rest.as_bytes().get(at + 1)) {
            (b'\\', Some(b'\\')) => ("\\", 2),
            (b'\\', Some(b',')) => (",", 2),
            (b'\\', Some(b';')) => (";", 2),
            (b'\\', Some(b':')) => (":", 2),
            (b'\\', Some(b'n' | b'N')) if modern => ("\n", 2),
            (b'\\', Some(b'"')) if modern => ("\"", 2),
            (b'\\', _) => ("\\", 1),
            (_, Some(b'\n')) => ("\n", 2),
            _ => ("\n", 1),
        };
        out.push_str(text);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}
