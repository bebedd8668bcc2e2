//! The version of a card, for who needs no more of it.

use super::lex::{find, is_marker};
use super::{Card, Error, Limits, Version};

/// The version of the first card in `bytes`, as [`Card::parse`] finds it.
///
/// # Errors
/// As [`Card::parse`].
pub(crate) fn version_of(bytes: &[u8]) -> Result<Version, Error> {
    at_a_glance(bytes).map_or_else(|| Card::parse(bytes).map(|card| card.version()), Ok)
}

/// The version of a card that begins with it, as nearly all do, unless it may exceed a limit.
fn at_a_glance(bytes: &[u8]) -> Option<Version> {
    let limits = Limits::default();
    let mut rest = bytes;
    let mut next_line = || {
        let (line, after) = rest.split_at(find(b'\n', rest)?);
        rest = &after[1..];
        Some(line)
    };
    if !is_marker(next_line()?, b"BEGIN") {
        return None;
    }
    let version = match next_line()?.trim_ascii_end() {
        b"VERSION:2.1" => Version::V2_1,
        b"VERSION:3.0" => Version::V3_0,
        b"VERSION:4.0" => Version::V4_0,
        _ => return None,
    };
    // Each property has a line, each parameter a semicolon, each card within it a BEGIN.
    let mut lines = 1;
    while let Some(line) = next_line() {
        lines += 1;
        if matches!(line, [b'B' | b'b', ..]) && is_marker(line, b"BEGIN") {
            return None;
        }
    }
    let params = bytes.iter().filter(|byte| **byte == b';').count();
    let within = bytes.len() <= limits.max_bytes && lines < limits.max_properties && params <= limits.max_params;
    within.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{Card, Error, Version, at_a_glance, version_of};

    #[test]
    fn most_versions_are_seen_at_a_glance() {
        let long = |line: &str, count: usize| format!("BEGIN:VCARD\nVERSION:3.0\n{}\nEND:VCARD", line.repeat(count));
        let nested = "AGENT:\n".to_owned() + &"BEGIN:VCARD\n".repeat(9) + &"END:VCARD\n".repeat(9);
        for (text, seen) in [
            ("BEGIN:VCARD\r\nVERSION:2.1\r\nN:Doe;John\r\nEND:VCARD\r\n".to_owned(), Some(Version::V2_1)),
            ("begin:vcard\nVERSION:3.0\nBDAY:20000101\nEND:VCARD".to_owned(), Some(Version::V3_0)),
            ("BEGIN:VCARD\nVERSION:4.0\n 1\nFN:x".to_owned(), Some(Version::V4_0)),
            ("BEGIN:VCARD\rVERSION:3.0\rFN:x\rEND:VCARD".to_owned(), None),
            ("BEGIN:VCARD\nversion:4.0\nFN:x".to_owned(), None),
            ("BEGIN:VCARD\nFN:x\nVERSION:4.0".to_owned(), None),
            ("BEGIN:VCARD\nTEL;HOME:1".to_owned(), None),
            ("\u{feff}BEGIN:VCARD\nVERSION:3.0\nFN:x".to_owned(), None),
            ("hello\nBEGIN:VCARD\nVERSION:3.0\nFN:x".to_owned(), None),
            ("VERSION:3.0".to_owned(), None),
            (String::new(), None),
            (long("A:b\n", 4093), Some(Version::V3_0)),
            (long("A:b\n", 4094), None),
            (long("A:b\n", 4095), None),
            (long("A:b\n", 4096), None),
            (long(";", 64), Some(Version::V3_0)),
            (long("A:;;\n", 40), None),
            (long(&format!("A{}:x\n", ";b".repeat(65)), 1), None),
            (long(&nested, 1), None),
        ] {
            assert_eq!(at_a_glance(text.as_bytes()), seen, "{text:.90}");
            let read = Card::parse(text.as_bytes()).map(|card| card.version());
            assert_eq!(version_of(text.as_bytes()), read, "{text:.90}");
        }
        assert!(matches!(version_of(long(&nested, 1).as_bytes()), Err(Error::TooDeep { .. })));
    }
}
