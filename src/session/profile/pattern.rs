//! Patterns: `*` is any text, `?` any one character; case does not count.

/// Whether the pattern fits the whole text. Takes time in the product of their lengths at most.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    // Nearly always; every rule is asked about every peer.
    if pattern.is_ascii() && text.is_ascii() {
        return fits(pattern.as_bytes(), text.as_bytes(), (b'*', b'?'), u8::eq_ignore_ascii_case);
    }
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    fits(&fold(pattern), &fold(text), ('*', '?'), char::eq)
}

fn fits<T: PartialEq>(pattern: &[T], text: &[T], (any, one): (T, T), same: impl Fn(&T, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and up to where of the text it was taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(it) if *it == any => {
                star = Some((p, t));
                p += 1;
            }
            Some(it) if *it == one || same(it, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, reach)) = star else { return false };
                star = Some((at, reach + 1));
                (p, t) = (at + 1, reach + 1);
            }
        }
    }
    pattern[p..].iter().all(|it| *it == any)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("nokia", "NOKIA", true),
            ("nokia", "Nokia Corporation", false),
            ("nokia*", "Nokia Corporation", true),
            ("?6?", "K6i", true),
            ("?6?", "K6", false),
            ("*a*b", "xaybab", true),
            ("*a*b", "xaybac", false),
            ("a**", "a", true),
            ("ü*", "Über", true),
            ("n?kia*", "NÖKIA", true),
            ("N*", "nokiä", true),
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(256), false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }
}
