//! The id by which a request is found again in the logs of all that it passed.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries it, in requests and in answers.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// The longest id that is taken over, in bytes.
const MAX_LENGTH: usize = 64;

pub(super) const HEADER: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

/// The request's own id if it has one, and only one, that looks like an id; else a new one. Whatever else stands there
/// could be made to look like something else in a log.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&HEADER).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_id(id.as_bytes()) => id.clone(),
        _ => {
            let mut buffer = Uuid::encode_buffer();
            let made = Uuid::new_v4().simple().encode_lower(&mut buffer);
            HeaderValue::from_str(made).unwrap_or_else(|_| HeaderValue::from_static("-"))
        }
    }
}

fn is_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_if_it_is_one() {
        let longest = "x".repeat(MAX_LENGTH);
        let too_long = "x".repeat(MAX_LENGTH + 1);
        for (values, taken) in [
            (&[][..], None),
            (&["abc-123_4.5:6"], Some("abc-123_4.5:6")),
            (&["Root=1-67891233/x+y"], Some("Root=1-67891233/x+y")),
            (&[longest.as_str()], Some(longest.as_str())),
            (&[too_long.as_str()], None),
            (&[""], None),
            (&["a b"], None),
            (&["a\tb"], None),
            (&["a\"b"], None),
            (&["a{b"], None),
            (&["a", "b"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            let id = of(&headers);
            match taken {
                Some(taken) => assert_eq!(id, taken),
                None => assert!(id.len() == 32 && is_id(id.as_bytes()) && id != of(&headers), "{values:?}: {id:?}"),
            }
        }
    }
}
