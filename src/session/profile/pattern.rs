//! Patterns: `*` is any text, `?` any one character; case does not count.

/// Whether the pattern fits the whole text. Takes time in the product of their lengths at most.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and up to where of the text it was taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&char) if char == '?' || char == text[t] => {
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
    pattern[p..].iter().all(|char| *char == '*')
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
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(256), false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }
}
