//! SyncML over HTTP (§9.1): one POST carries one message, its response carries the answer.
//!
//! [`server`] puts a [`Server`](crate::session::Server) behind axum, [`client`] drives a
//! [`Client`](crate::session::Client) with ureq. What both decide about headers and addresses are the pure functions
//! here.

pub mod client;
mod coding;
pub mod fuzz;
pub mod prometheus;
pub mod server;

pub(crate) use super::shown;
pub use super::{body_limit, now};

use crate::auth::token_parameter;

/// The header that carries a message's MAC (§5.6).
pub const MAC_HEADER: &str = "x-syncml-hmac";

/// The path that the shipped program announces. The server answers on every path.
pub const PATH: &str = "/syncml";

/// The session's token: the `s` parameter of a URL's query.
#[must_use]
pub fn token(query: Option<&str>) -> Option<&str> {
    token_parameter(query?)
}

/// Where a `Location` header leads from `base`; `None` when that is no HTTP address, or leads from TLS to none.
#[must_use]
pub fn resolve(base: &str, location: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let location = location.trim();
    let location = location.split('#').next().unwrap_or_default();
    if let Some((to, _)) = location.split_once("://") {
        let downgrade = scheme.eq_ignore_ascii_case("https") && !to.eq_ignore_ascii_case("https");
        let http = to.eq_ignore_ascii_case("http") || to.eq_ignore_ascii_case("https");
        return (http && !downgrade).then(|| location.to_owned());
    }
    if location.is_empty() {
        return None;
    }
    if let Some(host) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{host}"));
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    if location.starts_with('/') {
        return Some(format!("{scheme}://{authority}{location}"));
    }
    let path = path.split('?').next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    Some(format!("{scheme}://{authority}{folder}{location}"))
}

/// Where the next message goes, or the same one again: what the server asked for (RespURI, a redirection), resolved against
/// the address that answered. Another scheme, host or port is followed only with `other_hosts`; to TLS at the same host
/// where both have their usual ports always, and away from it never.
pub(crate) fn next_address(home: &str, wanted: &str, other_hosts: bool) -> Result<String, &'static str> {
    let next = resolve(home, wanted).ok_or("it leads away from HTTP or from TLS")?;
    let (from, to) = (place(home), place(&next));
    let secured = from.0 == "http" && to.0 == "https" && from.1 == to.1 && from.2 == "80" && to.2 == "443";
    if other_hosts || from == to || secured {
        return Ok(next);
    }
    Err("it is another scheme, host or port, which is not to see the credentials; enter that address")
}

/// An address' scheme, host and port.
fn place(uri: &str) -> (String, String, String) {
    let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    let authority = authority(uri);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host(uri);
    let port = authority[host.len()..].trim_start_matches(':');
    let port = match (port, &*scheme) {
        ("", "https") => "443",
        ("", _) => "80",
        (port, _) => port,
    };
    (scheme, host.to_ascii_lowercase(), port.to_owned())
}

/// An address' host and port.
fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// An address' host.
fn host(uri: &str) -> &str {
    let authority = authority(uri);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token() {
        for (query, expected) in [
            (None, None),
            (Some(""), None),
            (Some("s="), None),
            (Some("s=abc"), Some("abc")),
            (Some("x=1&s=abc&y=2"), Some("abc")),
            (Some("os=abc"), None),
        ] {
            assert_eq!(token(query), expected, "{query:?}");
        }
    }

    #[test]
    fn resolves_locations() {
        for (base, location, expected) in [
            ("http://h:1/a/b?c", "http://o/x", Some("http://o/x")),
            ("http://h/a", "https://h/a", Some("https://h/a")),
            ("https://h/a", "http://h/a", None),
            ("http://h/a", "ftp://h/a", None),
            ("https://h/a", "//o/x", Some("https://o/x")),
            ("http://h:1/a/b?c", "/x?y", Some("http://h:1/x?y")),
            ("http://h/a/b?c=/d", "x", Some("http://h/a/x")),
            ("http://h", "x#frag", Some("http://h/x")),
            ("http://h?q", "x", Some("http://h/x")),
            ("http://h/a", "", None),
        ] {
            assert_eq!(resolve(base, location).as_deref(), expected, "{base} → {location}");
        }
    }

    #[test]
    fn a_session_stays_where_it_began() {
        for (home, wanted, other_hosts, expected) in [
            ("http://h/sync", "http://h/sync?s=1", false, Some("http://h/sync?s=1")),
            ("http://h/sync", "http://H:80/x", false, Some("http://H:80/x")),
            ("https://h/sync", "https://h:443/x", false, Some("https://h:443/x")),
            ("http://u:p@h/sync", "http://h/x", false, Some("http://h/x")),
            ("http://[::1]:8/sync", "http://[::1]:8/x", false, Some("http://[::1]:8/x")),
            ("http://h/a/sync", "?s=1", false, Some("http://h/a/?s=1")),
            ("http://h/a/sync", "/x", false, Some("http://h/x")),
            ("http://h/a/sync", "x", false, Some("http://h/a/x")),
            ("http://h/sync", "http://o/sync", false, None),
            ("http://h/sync", "http://h:81/sync", false, None),
            ("http://h/sync", "https://h/sync", false, Some("https://h/sync")),
            ("http://h:80/sync", "https://H:443/", false, Some("https://H:443/")),
            ("http://h:81/sync", "https://h/sync", false, None),
            ("http://h/sync", "https://h:444/sync", false, None),
            ("http://h/sync", "https://o/sync", false, None),
            ("https://h/sync", "http://h/sync", false, None),
            ("http://h/sync", "http://h@o/sync", false, None),
            ("http://h/sync", "//o/sync", false, None),
            ("http://h/sync", "http://o/sync", true, Some("http://o/sync")),
            ("http://h/sync", "https://h/sync", true, Some("https://h/sync")),
            ("https://h/sync", "http://h/sync", true, None),
            ("http://h/sync", "ftp://h/sync", true, None),
        ] {
            let found = next_address(home, wanted, other_hosts).ok();
            assert_eq!(found.as_deref(), expected, "{home} → {wanted}");
        }
    }

    #[test]
    fn shows_no_secrets() {
        for (uri, expected) in [
            ("http://h:1/a?s=token", "http://h:1/a"),
            ("http://h?s=token", "http://h"),
            ("https://u:p@h/a", "https://h/a"),
            ("https://u:p@x@h", "https://h"),
            ("http://h/a@b", "http://h/a@b"),
            ("/a?s=token", "/a"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown(uri), expected, "{uri}");
        }
    }

    #[test]
    fn finds_the_host() {
        for (uri, expected) in [
            ("http://h:1/a", "h"),
            ("http://h", "h"),
            ("http://u:p@h:80?x=:3", "h"),
            ("http://h/@o", "h"),
            ("http://[::1]:8080/a", "[::1]"),
            ("http://[::1]/a", "[::1]"),
            ("http://h@o:1", "o"),
        ] {
            assert_eq!(host(uri), expected, "{uri}");
        }
    }

    #[test]
    fn leaves_room_for_peers_that_overshoot() {
        assert!(body_limit(150_000) > 240_000);
        assert_eq!(body_limit(u64::MAX), usize::MAX);
    }
}
