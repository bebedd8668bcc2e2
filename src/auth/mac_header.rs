//! The header `x-syncml-hmac` of HTTP, WSP and OBEX (§5.6).

use super::{b64, formulas};
use crate::message::Text;
use std::fmt;
use subtle::ConstantTimeEq;

/// The header's value: `algorithm=MD5, username="Robert Jordan", mac=…`.
///
/// Written with `Display`. `Debug` hides the code.
#[derive(Clone, PartialEq, Eq)]
pub struct MacHeader<'a> {
    /// `algorithm`; [`MD5`](Self::MD5) when absent, and the only one there is.
    pub algorithm: Text<'a>,
    /// `username`, identical to the Source's `LocName`.
    pub user: Text<'a>,
    /// `mac`, in base64.
    pub mac: Text<'a>,
}

impl<'a> MacHeader<'a> {
    /// The header's name.
    pub const NAME: &'static str = "x-syncml-hmac";

    /// The one algorithm: nested MD5, not RFC 2104.
    pub const MD5: &'static str = "MD5";

    /// The header for a code made with [`formulas::mac`](super::formulas::mac).
    #[must_use]
    pub fn new(user: impl Into<Text<'a>>, mac: &[u8; 16]) -> Self {
        Self { algorithm: Self::MD5.into(), user: user.into(), mac: b64::encode(mac).into() }
    }

    /// The header of the answer to a message that came with `request`: made over the answer's bytes with the same login or
    /// the server's own, and with the request's code for a nonce. §5.6 leaves the nonce of a server that was not given one
    /// open; this one is fresh as often as the client's is, says which message is answered, and fits no other direction.
    #[must_use]
    pub fn answering(request: &MacHeader<'_>, user: &'a str, login_hash: &[u8; 16], body: &[u8]) -> Self {
        Self::new(user, &formulas::answer_mac(login_hash, request.mac.as_bytes(), &formulas::body_hash(body)))
    }

    /// Whether this is the header that `user` gives to `body`, in answer to `request`; compared in constant time.
    #[must_use]
    pub fn answers(&self, request: &MacHeader<'_>, user: &str, login_hash: &[u8; 16], body: &[u8]) -> bool {
        let good = MacHeader::answering(request, user, login_hash, body);
        let named = self.algorithm.eq_ignore_ascii_case(Self::MD5) && self.user == user;
        named && bool::from(good.mac.as_bytes().ct_eq(self.mac.as_bytes()))
    }

    /// Reads a value: parameters in any order, folded or not, quoted or not; unknown ones are skipped. `None` when
    /// `username` or `mac` is missing or said twice, or the value is no list of parameters.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (mut algorithm, mut user, mut mac) = (None, None, None);
        let mut rest = value;
        while let Some((name, text, tail)) = parameter(rest)? {
            let slot = match name.to_ascii_lowercase().as_str() {
                "algorithm" => &mut algorithm,
                "username" => &mut user,
                "mac" => &mut mac,
                _ => &mut None,
            };
            if slot.replace(text).is_some() {
                return None;
            }
            rest = tail;
        }
        Some(Self { algorithm: algorithm.unwrap_or_else(|| Self::MD5.into()), user: user?, mac: mac? })
    }
}

impl fmt::Display for MacHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "algorithm={}, username=\"", self.algorithm)?;
        for c in self.user.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                // A control would break out of the header; no user name has one.
                c if c.is_control() => f.write_str("?")?,
                c => write!(f, "{c}")?,
            }
        }
        write!(f, "\", mac={}", self.mac)
    }
}

impl fmt::Debug for MacHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacHeader(…)")
    }
}

/// Name and value of the next parameter, and what follows it: `Some(None)` at the end, `None` when malformed.
#[allow(clippy::option_option, clippy::type_complexity)]
fn parameter(text: &str) -> Option<Option<(&str, Text<'_>, &str)>> {
    let text = text.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
    if text.is_empty() {
        return Some(None);
    }
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_ascii_start();
    let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
        unquote(quoted)?
    } else {
        let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
        (value.trim_ascii_end().into(), rest)
    };
    let rest = rest.trim_ascii_start();
    (rest.is_empty() || rest.starts_with(',')).then_some(Some((name.trim_ascii_end(), value, rest)))
}

/// A quoted string without its opening quote: its text, and what follows the closing one.
fn unquote(text: &str) -> Option<(Text<'_>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out.into(), &text[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::MacHeader;

    #[test]
    fn reads_parameters_in_any_order() {
        for (value, expected) in [
            (r#"algorithm=MD5, username="Robert Jordan", mac=NTI2"#, Some(("MD5", "Robert Jordan", "NTI2"))),
            (r#"mac=NTI2==,username="a,b=c""#, Some(("MD5", "a,b=c", "NTI2=="))),
            ("MAC = NTI2 ,\r\n\tUserName= \"x\" , other=1,", Some(("MD5", "x", "NTI2"))),
            (r#"username="a\"b\\c", mac=x"#, Some(("MD5", r#"a"b\c"#, "x"))),
            (r#"username=bare, mac=x, algorithm=SHA"#, Some(("SHA", "bare", "x"))),
            (r#"username="", mac=x"#, Some(("MD5", "", "x"))),
            (r#"username="a""#, None),
            ("mac=x", None),
            ("", None),
            ("nothing", None),
            (r#"username="a, mac=x"#, None),
            (r#"username="a\"#, None),
            (r#"username="a"b, mac=x"#, None),
            (r#"username="a", mac=x, mac=y"#, None),
        ] {
            let found = MacHeader::parse(value);
            let found = found.as_ref().map(|found| (&*found.algorithm, &*found.user, &*found.mac));
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for user in ["Bruce2", "Robert Jordan", r#"quo"te \ back"#, "jürgen", ""] {
            let header = MacHeader::new(user, &[7; 16]);
            let text = header.to_string();
            assert_eq!(MacHeader::parse(&text), Some(header), "{text}");
        }
        let text = MacHeader::new("a\r\nx: y", &[7; 16]).to_string();
        assert_eq!(text, "algorithm=MD5, username=\"a??x: y\", mac=BwcHBwcHBwcHBwcHBwcHBw==");
    }

    #[test]
    fn an_answer_is_bound_to_its_request_its_bytes_and_its_direction() {
        let secret = crate::auth::Secret::new("OhBehave".to_owned());
        let login = crate::auth::formulas::login_hash("Bruce2", &secret);
        let other = crate::auth::formulas::login_hash("Bruce2", &crate::auth::Secret::new("x".to_owned()));
        let request = MacHeader::new("Bruce2", &[7; 16]);
        let answer = MacHeader::answering(&request, "Bruce2", &login, b"answer");
        assert!(answer.answers(&request, "Bruce2", &login, b"answer"));
        assert!(!answer.answers(&request, "Bruce2", &login, b"Answer"));
        assert!(!answer.answers(&request, "Bruce1", &login, b"answer"));
        assert!(!answer.answers(&request, "Bruce2", &other, b"answer"));
        assert!(!answer.answers(&MacHeader::new("Bruce2", &[8; 16]), "Bruce2", &login, b"answer"));
        assert!(!request.answers(&request, "Bruce2", &login, b"answer"), "what was sent is no answer");
        // A client signs with whatever nonce it is given.
        let led =
            crate::auth::formulas::mac(&login, request.mac.as_bytes(), &crate::auth::formulas::body_hash(b"answer"));
        assert!(
            !MacHeader::new("Bruce2", &led).answers(&request, "Bruce2", &login, b"answer"),
            "nor what it was led to"
        );
    }
}
