//! From text to what is compared: words, numbers and runs of CJK characters.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The longest word, in characters; the rest of a longer one is not looked at, in items as in queries.
pub(super) const WORD: usize = 64;
/// The fewest digits that are a number. What has fewer is a word.
pub(super) const NUMBER: usize = 3;

/// What a text consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// Letters and digits of any script without blanks, folded.
    pub(super) words: Vec<String>,
    /// Digits only.
    pub(super) numbers: Vec<String>,
    /// Han, kana, bopomofo and Hangul, folded; blanks between them do not part them.
    pub(super) runs: Vec<String>,
}

impl Tokens {
    /// Takes a text apart.
    pub(super) fn of(text: &str) -> Self {
        let mut tokens = Self::default();
        tokens.add(text);
        tokens
    }

    /// The same of a telephone number: all its digits are one.
    pub(super) fn of_number(text: &str) -> Self {
        let text = text.trim();
        let text = text.get(..4).filter(|head| head.eq_ignore_ascii_case("tel:")).map_or(text, |_| &text[4..]);
        // Parameters of a tel URI (RFC 3966).
        let text = text.split(';').next().unwrap_or_default();
        let folded = fold(text);
        let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
        let mut tokens = Self::default();
        tokens.digits(digits);
        if folded.chars().any(char::is_alphabetic) {
            tokens.add(text);
        }
        tokens
    }

    fn add(&mut self, text: &str) {
        let folded = fold(text);
        let mut digits = String::new();
        let mut run = String::new();
        for chunk in folded.split(is_between) {
            if chunk.is_empty() {
                continue;
            }
            if is_dialled(chunk) {
                // A number may be written with blanks.
                let more: String = chunk.chars().filter(char::is_ascii_digit).collect();
                if more.len() < NUMBER && !more.is_empty() {
                    self.words.push(more.clone());
                }
                digits.push_str(&more);
                continue;
            }
            if !chunk.chars().any(char::is_alphanumeric) {
                continue;
            }
            self.digits(std::mem::take(&mut digits));
            for part in chunk.split(|c: char| !c.is_alphanumeric()) {
                self.part(part, &mut run);
            }
        }
        self.digits(digits);
        if !run.is_empty() {
            self.runs.push(run);
        }
    }

    /// Letters and digits without anything between.
    fn part(&mut self, mut part: &str, run: &mut String) {
        while let Some(first) = part.chars().next() {
            let cjk = is_cjk(first);
            let end = part.find(|c| is_cjk(c) != cjk).unwrap_or(part.len());
            let (this, rest) = part.split_at(end);
            part = rest;
            if cjk {
                run.push_str(this);
                continue;
            }
            if !run.is_empty() {
                self.runs.push(std::mem::take(run));
            }
            if this.len() >= NUMBER && this.bytes().all(|byte| byte.is_ascii_digit()) {
                self.numbers.push(this.to_owned());
            } else {
                self.words.push(this.chars().take(WORD).collect());
            }
        }
    }

    fn digits(&mut self, digits: String) {
        if digits.len() >= NUMBER {
            self.numbers.push(digits);
        }
    }
}

/// A text without what does not count: case, accents, width, ligatures.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Accents are those of Latin, Greek and Cyrillic letters; other marks tell letters apart.
    let bare = text.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}'));
    let mut folded = String::with_capacity(text.len());
    for c in bare.flat_map(char::to_lowercase).filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).nfc() {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'þ' => folded.push_str("th"),
            'ς' => folded.push('σ'),
            c => folded.push(c),
        }
    }
    folded
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | ':' | '=' | '<' | '>' | '|' | '"' | '·' | '・')
}

/// Whether it is (part of) a number as people write them, and nothing else.
pub(super) fn is_dialled(chunk: &str) -> bool {
    let of_number =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '.' | '/' | '[' | ']' | '–' | '‐');
    chunk.chars().all(of_number) && chunk.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether words of this script are not told apart by blanks, or not by blanks alone.
pub(super) fn is_cjk(c: char) -> bool {
    !is_combining_mark(c)
        && matches!(u32::from(c),
            0x1100..=0x11ff | 0x2e80..=0x2fdf | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3031..=0x3035 | 0x3041..=0x318e
            | 0x31a0..=0x31bf | 0x31f0..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff
            | 0x20000..=0x3fffd)
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    #[test]
    fn texts_are_taken_apart() {
        // Text; words; numbers; runs.
        type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);
        let cases: &[Case] = &[
            ("", &[], &[], &[]),
            ("Zoë O'Brien-Łukasz", &["zoe", "o", "brien", "lukasz"], &[], &[]),
            ("ＡＢＣ Straße ﬁn", &["abc", "strasse", "fin"], &[], &[]),
            ("İstanbul ısı", &["istanbul", "isi"], &[], &[]),
            ("Σίσυφος", &["σισυφοσ"], &[], &[]),
            ("Йод", &["иод"], &[], &[]),
            ("ann@mail.example.org", &["ann", "mail", "example", "org"], &[], &[]),
            ("call +86 138-0013 8000 now", &["call", "86", "now"], &["8613800138000"], &[]),
            ("13800138000@139.com 12a3", &["com", "12a3"], &["13800138000", "139"], &[]),
            ("room 12", &["room", "12"], &[], &[]),
            ("王小明 Wang", &["wang"], &[], &["王小明"]),
            ("王 小明", &[], &[], &["王小明"]),
            ("王x小明", &["x"], &[], &["王", "小明"]),
            ("电话13800138000。", &[], &["13800138000"], &["电话"]),
            ("ｶﾀｶﾅ がぎ 한국", &[], &[], &["カタカナがぎ한국"]),
            ("…—!", &[], &[], &[]),
        ];
        for (text, words, numbers, runs) in cases {
            let tokens = Tokens::of(text);
            assert_eq!(tokens.words, *words, "words of {text:?}");
            assert_eq!(tokens.numbers, *numbers, "numbers of {text:?}");
            assert_eq!(tokens.runs, *runs, "runs of {text:?}");
        }
        for (text, words, numbers) in [
            ("+49 (170) 123-45", &[][..], &["4917012345"][..]),
            ("tel:+49-170;ext=5", &[], &["49170"]),
            ("1-800-FLOWERS", &["1", "flowers"], &["1800", "800"]),
            ("12", &[], &[]),
        ] {
            let tokens = Tokens::of_number(text);
            assert_eq!(
                (&tokens.words[..], &tokens.numbers[..]),
                (
                    &words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()[..],
                    &numbers.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()[..]
                ),
                "{text:?}"
            );
        }
    }
}
