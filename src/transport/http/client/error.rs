//! Why a message got no answer.

use super::shown;
use std::io;
use std::time::Duration;
use thiserror::Error;
use ureq::Timeout;

/// Why a message got no SyncML answer. Addresses are without user, password and query, which holds a session's token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection came about; nothing was sent.
    #[error("cannot reach {uri}: {reason}")]
    Unreachable {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// The connection broke; whether the server got the message is unknown.
    #[error("the connection to {uri} broke: {reason}")]
    Broken {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// The server could not prove who it is.
    #[error("no trusted TLS connection to {uri}: {reason}")]
    Tls {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// An HTTP status other than 200.
    #[error("{uri} answered HTTP {status}{}: {}", detail(text), advice(*status))]
    Status {
        /// The address.
        uri: String,
        /// The status.
        status: u16,
        /// The first line of what it said, if that was text.
        text: String,
        /// How long it asks to be left alone (`Retry-After` in seconds).
        retry_after: Option<Duration>,
    },
    /// A redirection that cannot be followed.
    #[error("{uri} redirects to {location:?}, which is not followed: {reason}")]
    Redirect {
        /// The address.
        uri: String,
        /// Where it points.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// A server that wants the session's next message somewhere else (RespURI, §3.10).
    #[error("{uri} wants the next message at {location:?}, which is not done: {reason}")]
    Elsewhere {
        /// The address that the session began at.
        uri: String,
        /// Where it points.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// An answer that is not SyncML.
    #[error("{uri} answered with {content_type:?} instead of SyncML; is it the address of a SyncML server?")]
    ContentType {
        /// The address.
        uri: String,
        /// Its Content-Type.
        content_type: String,
    },
    /// An answer that is packed in a way that was not offered, or not packed as it says.
    #[error("the answer of {uri} cannot be unpacked ({coding}): say --no-gzip, or ask its operator")]
    Coding {
        /// The address.
        uri: String,
        /// Its Content-Encoding.
        coding: String,
    },
    /// [`Options::deadline`](super::Options::deadline) has passed.
    #[error("the sync took longer than it may; the next one continues")]
    Deadline,
    /// [`Cancel`](super::Cancel) was used.
    #[error("stopped; the next sync continues where this one ended")]
    Cancelled,
    /// An answer larger than this client accepts.
    #[error("the answer of {uri} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        uri: String,
        /// The limit.
        limit: usize,
    },
    /// The address, a header or a certificate file is malformed.
    #[error("{0}")]
    Invalid(String),
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

impl HttpError {
    /// Whether the same bytes may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }

    /// Whether the server certainly did nothing for the message, so that even the first one of a session may be repeated
    /// (§9.1).
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Status { status: 503, .. })
    }

    /// How long the server asks to be left alone.
    pub(in crate::transport) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, status: 503, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What to do about an HTTP status.
const fn advice(status: u16) -> &'static str {
    match status {
        401 => "it wants a password for HTTP itself, which SyncML does without; ask its operator for another address",
        403 => "it lets nobody from here in; ask its operator",
        404 | 410 => "there is nothing at that address; check the server's address",
        405 => "it takes no messages there; check the server's address",
        407 => "the proxy wants to know who asks; put user and password into the proxy's address",
        408 => "it took too long, or the session was lost; sync again",
        413 => "the message is too large for it; sync with smaller messages",
        415 => "it does not take messages written this way; try the other encoding",
        417 => "something on the way does not let the message through; check the proxy",
        429 => "it was asked too often; wait a while before the next sync",
        400 | 422 => "it cannot read the message; try another version of the protocol or the other encoding",
        426 => "it wants to be spoken to another way; try an address that begins with https",
        400..=499 => "it refuses the message; check the server's address",
        501 | 505 => {
            "it does not do what was asked; check the server's address, or try another version of the protocol"
        }
        502..=504 => "it is not up to it at the moment; sync again later",
        500..=599 => "it failed; sync again later, and tell its operator if that does not help",
        _ => "that is no answer to a message; check the server's address",
    }
}

pub(super) fn failed(uri: &str, error: ureq::Error) -> HttpError {
    let uri = shown(uri);
    let reason = error.to_string();
    match error {
        ureq::Error::HostNotFound => HttpError::Unreachable { uri, reason: "there is no host of that name".to_owned() },
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            HttpError::Unreachable { uri, reason }
        }
        ureq::Error::Io(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => {
                HttpError::Unreachable { uri, reason: "nothing listens there (connection refused)".to_owned() }
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                HttpError::Unreachable { uri, reason }
            }
            // rustls reports a failed handshake this way.
            io::ErrorKind::InvalidData => HttpError::Tls { uri, reason: io.to_string() },
            _ => HttpError::Broken { uri, reason },
        },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => HttpError::Tls { uri, reason },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
            HttpError::Invalid(format!("{uri:?} is not an address to post to: {reason}"))
        }
        ureq::Error::ConnectProxyFailed(said) => {
            HttpError::Unreachable { uri, reason: format!("the proxy does not connect to it: {said}") }
        }
        _ => HttpError::Broken { uri, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        for status in (300..600).filter(|status| *status != 304) {
            let text = HttpError::Status { uri: "u".to_owned(), status, text: String::new(), retry_after: None };
            let text = text.to_string();
            assert!(text.starts_with(&format!("u answered HTTP {status}: ")) && text.len() > 40, "{text}");
        }
        let known = [401, 403, 404, 405, 407, 408, 413, 415, 429, 400, 500, 501, 503];
        let mut sentences = known.map(advice).to_vec();
        sentences.sort_unstable();
        sentences.dedup();
        assert_eq!(sentences.len(), known.len());
    }
}
