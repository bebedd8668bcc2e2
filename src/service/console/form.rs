//! Names with values as browsers send them: queries, posted forms, cookies.

/// Fields taken of one form. A card has no more.
const MOST_FIELDS: usize = 5_000;

/// Names with values, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`; `None` for more fields than there may be. What is no percent code stands for
    /// itself, what is no UTF-8 is replaced.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let pairs: Vec<_> = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).collect();
        let read = |pair: &[u8]| {
            let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decoded(&pair[..cut]), decoded(pair.get(cut + 1..).unwrap_or_default()))
        };
        (pairs.len() <= MOST_FIELDS).then(|| Self(pairs.into_iter().map(read).collect()))
    }

    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name, without blanks around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default().trim()
    }

    /// The number of that name.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Lines end in line feeds, as in a card's texts.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *first,
        });
    }
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\r', "\n")
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The cookie of that name.
pub(super) fn cookie<'h>(headers: impl Iterator<Item = &'h str>, name: &str) -> Option<&'h str> {
    let mut pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{Fields, MOST_FIELDS, cookie};

    #[test]
    fn forms_are_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a=1+2%203&&b", &[("a", "1 2 3"), ("b", "")]),
            ("a=%E7%8E%8B&%3D=%26", &[("a", "王"), ("=", "&")]),
            ("a=100%&b=%zz%4", &[("a", "100%"), ("b", "%zz%4")]),
            ("a=%FF", &[("a", "\u{fffd}")]),
            ("a=x%0D%0Ay%0Dz", &[("a", "x\ny\nz")]),
            ("a=b=c", &[("a", "b=c")]),
        ] {
            let found = Fields::parse(text.as_bytes()).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{text}");
        }
        assert!(Fields::parse("a=1&".repeat(MOST_FIELDS + 1).as_bytes()).is_none());
    }

    #[test]
    fn fields_are_found() {
        let fields = Fields::parse(b"a=+x+&n=-7&a=y&m=1x").unwrap();
        assert_eq!((fields.get("a"), fields.text("a"), fields.text("b")), (Some(" x "), "x", ""));
        assert_eq!((fields.number("n"), fields.number("m"), fields.number("b")), (Some(-7), None, None));
    }

    #[test]
    fn cookies_are_found() {
        for (headers, expected) in [
            (&[][..], None),
            (&["s=1"], Some("1")),
            (&["a=b; s=1; c=d"], Some("1")),
            (&["a=b", "s=1=2"], Some("1=2")),
            (&["xs=1; s"], None),
        ] {
            assert_eq!(cookie(headers.iter().copied(), "s"), expected, "{headers:?}");
        }
    }
}
