//! Text in lines of a width.

/// The lines of a text, none wider than that. Lines end between words, and anywhere between characters of Chinese and Japanese; a word
/// that is wider than a line is cut.
pub(super) fn wrapped(text: &str, most: f32, mut width: impl FnMut(char) -> f32) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0.0;
        for word in words(&paragraph.replace('\t', " ")) {
            let wide: f32 = word.trim_end().chars().map(&mut width).sum();
            if used + wide > most && !line.is_empty() {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0.0;
            }
            for char in word.chars() {
                let wide = width(char);
                if used + wide > most && !line.is_empty() && char != ' ' {
                    lines.push(std::mem::take(&mut line).trim_end().to_owned());
                    used = 0.0;
                }
                line.push(char);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What is not parted: words with the spaces behind them, single ideographs.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut from) = (Vec::new(), 0);
    let mut before = None;
    for (at, char) in text.char_indices() {
        let parts = before.is_some_and(|before: char| {
            (before == ' ' && char != ' ')
                || ((is_ideograph(before) || is_ideograph(char)) && !is_closing(char) && char != ' ')
        });
        if parts {
            words.push(&text[from..at]);
            from = at;
        }
        before = Some(char);
    }
    words.push(&text[from..]);
    words
}

fn is_ideograph(char: char) -> bool {
    matches!(u32::from(char), 0x2e80..=0x9fff | 0xf900..=0xfaff | 0xff00..=0xffef | 0x2_0000..=0x3_ffff)
}

/// Signs that no line begins with.
fn is_closing(char: char) -> bool {
    "，。、；：！？）」』】》…,.;:!?)]}".contains(char)
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn i7_lines_end_where_people_end_them() {
        for (text, most, wanted) in [
            ("one two three", 7.0, &["one two", "three"][..]),
            ("one", 10.0, &["one"]),
            ("", 10.0, &[]),
            ("a\n\nb\n", 10.0, &["a", "", "b"]),
            ("longword", 3.0, &["lon", "gwo", "rd"]),
            ("a longword", 4.0, &["a", "long", "word"]),
            ("北京市朝阳区", 4.0, &["北京市朝", "阳区"]),
            ("北京市朝，阳区", 4.0, &["北京市", "朝，阳区"]),
            ("x", 0.0, &["x"]),
        ] {
            assert_eq!(wrapped(text, most, |_| 1.0), wanted, "{text}");
        }
    }
}
