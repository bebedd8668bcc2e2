//! What must hold whatever stands in the headers of a request or an answer: `kit::fuzz` for this room.

use super::coding::{Coding, takes_gzip};
use super::{host, next_address, place, resolve, shown, token};
use crate::auth::{MacHeader, parse_token};
use crate::codec::Encoding;
use crate::kit::fuzz::Target;
use crate::transport::retry::retry_after;

/// This way in.
pub const TARGET: Target = Target { name: "http", run: http };

/// Bytes that a body may unpack to here.
const LIMIT: usize = 1 << 16;

/// Lines: an address, where it leads, then values of headers; behind an empty line a body.
///
/// Nothing leads from TLS to none or to a strange host, no address that is shown holds a token or a password, and no body
/// unpacks to more than its limit.
pub fn http(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((bytes, &bytes[..0]), |end| (&bytes[..end], &bytes[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split('\n');
    let (home, wanted) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    addresses(home, wanted);
    for value in lines {
        headers(value);
    }
    for coding in [Coding::Gzip, Coding::Deflate] {
        if let Ok(unpacked) = coding.unpack(body, LIMIT) {
            assert!(unpacked.len() <= LIMIT, "unpacked within the limit");
        }
    }
}

fn addresses(home: &str, wanted: &str) {
    let is_http = |uri: &str| {
        let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        scheme == "http" || scheme == "https"
    };
    let _ = (host(home), resolve(home, wanted));
    if is_http(home)
        && let Ok(next) = next_address(home, wanted, false)
    {
        let (from, to) = (place(home), place(&next));
        assert_eq!(from.1, to.1, "{home:?} leads to a strange host by {wanted:?}");
        assert!(from.0 != "https" || to.0 == "https", "{home:?} leads away from TLS by {wanted:?}");
        assert!(is_http(&next), "{home:?} leads away from HTTP by {wanted:?}");
    }
    for uri in [home, wanted] {
        // What has its scheme behind the query is no address.
        if uri.split(['?', '#']).next().is_some_and(|uri| uri.contains("://")) {
            let shown = shown(uri);
            assert!(!shown.contains(['?', '#']), "the query of {uri:?} is shown");
            assert_eq!(super::authority(&shown).find('@'), None, "the user of {uri:?} is shown");
        }
    }
}

fn headers(value: &str) {
    let encoding = Encoding::from_content_type(value);
    assert_eq!(encoding, Encoding::from_content_type(&value.to_ascii_uppercase()), "letter case means nothing");
    if let Ok(Some(coding)) = Coding::from_header(Some(value)) {
        assert_eq!(Coding::from_header(Some(&format!(" {value} "))), Ok(Some(coding)));
    }
    let _ = (takes_gzip(value), retry_after(Some(value)), MacHeader::parse(value));
    if let Some(token) = token(Some(value)) {
        let _ = parse_token(token);
        assert!(!token.is_empty() && !token.contains('&'));
    }
}
