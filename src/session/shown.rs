//! Names of others as they may stand in a log.

use std::fmt;

/// The longest session id that is shown.
const MAX_SHOWN: usize = 16;

/// A session id, if it looks like one: it is the peer's to choose (§1.3), and may be anything.
pub(super) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = self.0.len() <= MAX_SHOWN && self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        f.write_str(if is_plain { self.0 } else { "…" })
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn ids_are_shown_and_nothing_else_is() {
        for (id, shown) in [
            ("1", "1"),
            ("a-7F", "a-7F"),
            ("ada@example.com", "…"),
            ("1\n2", "…"),
            ("12345678901234567", "…"),
            ("", ""),
        ] {
            assert_eq!(Shown(id).to_string(), shown);
        }
    }
}
