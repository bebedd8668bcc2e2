//! What a session needs of a transport.

use super::drive::Event;
#[cfg(feature = "http")]
use super::http::client::HttpError;
use super::shown;
use crate::session::Outgoing;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Who hears of what happens on the way.
pub type Tell<'t> = &'t mut dyn FnMut(Event<'_>);

/// What a transport runs over, the best first (mission I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// A cable between the two.
    Usb,
    /// A short radio link between the two.
    Bluetooth,
    /// A network, wireless or not.
    Wireless,
    /// A place where letters are left and fetched.
    Stored,
}

/// One way to a server: a request there, its answer back. One exchange at a time.
pub trait Transport {
    /// What it runs over: a better one is tried first ([`Choice`](super::Choice)).
    fn medium(&self) -> Medium {
        Medium::Wireless
    }

    /// Whether it is worth a try now, as far as this side can tell at little cost: the cable is plugged in, the folder is
    /// there. Nobody is asked.
    fn is_available(&mut self) -> bool {
        true
    }

    /// Takes a request there and its answer back, once. After an error the next call begins afresh, with whatever
    /// connection it needs.
    ///
    /// # Errors
    /// [`TransportError`]; it tells whether the server can have done anything ([`TransportError::effect`]).
    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError>;

    /// The session is over: says goodbye where that is usual. What goes wrong with it is no matter.
    fn close(&mut self) {}
}

/// A server's answer. `Debug` does not show its contents.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where it came from, redirections followed.
    pub uri: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Its bytes, unpacked.
    pub body: Vec<u8>,
    /// Its `x-syncml-hmac` header.
    pub mac: Option<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("uri", &shown(&self.uri))
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("has_mac", &self.mac.is_some())
            .finish()
    }
}

/// What a failed exchange can have done at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certainly nothing, and it may succeed later or by another way: even a session's first message may be sent again.
    None,
    /// Nobody knows. The same bytes may be sent again within a session, where they are answered from what is stored; a
    /// first message not, for it may have begun a session (§9.1).
    Unknown,
    /// The message was refused, or the answer is of no use; sending it again does not help.
    Final,
}

/// Why a message got no SyncML answer. Addresses are without user, password and query.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Over HTTP.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(HttpError),
    /// No connection came about; nothing was sent.
    #[error("cannot reach {to}: {reason}")]
    Unreachable {
        /// The address.
        to: String,
        /// Why.
        reason: String,
    },
    /// The connection broke, or nothing came in time; whether the server got the message is unknown.
    #[error("the connection to {to} broke: {reason}")]
    Broken {
        /// The address.
        to: String,
        /// Why.
        reason: String,
    },
    /// The server gave no SyncML answer.
    #[error("{to} refused the message ({status}): {text}")]
    Refused {
        /// The address.
        to: String,
        /// Why, as the HTTP status that says the same.
        status: u16,
        /// What it said.
        text: String,
    },
    /// What came back is not of this transport.
    #[error("{to} does not speak this protocol: {reason}")]
    Garbled {
        /// The address.
        to: String,
        /// Where it fails.
        reason: String,
    },
    /// An answer larger than this side accepts.
    #[error("the answer of {to} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        to: String,
        /// The limit.
        limit: usize,
    },
    /// A file or folder on the way cannot be used.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// [`Conduct::deadline`](super::Conduct::deadline) has passed.
    #[error("the sync took longer than it may; the next one continues")]
    Deadline,
    /// [`Cancel`](super::Cancel) was used.
    #[error("stopped; the next sync continues where this one ended")]
    Cancelled,
    /// The address is none.
    #[error("{0}")]
    Invalid(String),
}

#[cfg(feature = "http")]
impl From<HttpError> for TransportError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Cancelled => Self::Cancelled,
            HttpError::Deadline => Self::Deadline,
            other => Self::Http(other),
        }
    }
}

impl TransportError {
    /// What the message can have done.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        match self {
            #[cfg(feature = "http")]
            Self::Http(error) if error.is_untouched() => Effect::None,
            #[cfg(feature = "http")]
            Self::Http(error) if error.is_temporary() => Effect::Unknown,
            Self::Unreachable { .. } | Self::Refused { status: 503, .. } => Effect::None,
            Self::Broken { .. } | Self::Refused { status: 502 | 504, .. } => Effect::Unknown,
            _ => Effect::Final,
        }
    }

    /// Whether the same bytes are to be sent again, of a message that opens a session or of another.
    pub(super) fn is_worth_another(&self, opens: bool) -> bool {
        match self.effect() {
            Effect::None => true,
            Effect::Unknown => !opens,
            Effect::Final => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            #[cfg(feature = "http")]
            Self::Http(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The HTTP status that came instead of an answer, or the one that says the same.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            #[cfg(feature = "http")]
            Self::Http(HttpError::Status { status, .. }) => Some(*status),
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// A connection that broke.
    pub(super) fn broken(to: &str, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "nothing came in time".to_owned(),
            io::ErrorKind::UnexpectedEof => "it was closed".to_owned(),
            _ => error.to_string(),
        };
        Self::Broken { to: shown(to), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again() {
        let (to, reason) = (|| "tcp://h:1".to_owned(), || "r".to_owned());
        let refused = |status| TransportError::Refused { to: to(), status, text: String::new() };
        for (error, effect, again, even_the_first) in [
            (TransportError::Unreachable { to: to(), reason: reason() }, Effect::None, true, true),
            (TransportError::Broken { to: to(), reason: reason() }, Effect::Unknown, true, false),
            (refused(503), Effect::None, true, true),
            (refused(502), Effect::Unknown, true, false),
            (refused(400), Effect::Final, false, false),
            (TransportError::Garbled { to: to(), reason: reason() }, Effect::Final, false, false),
            (TransportError::TooLarge { to: to(), limit: 1 }, Effect::Final, false, false),
            (TransportError::File { path: to(), reason: reason() }, Effect::Final, false, false),
            (TransportError::Deadline, Effect::Final, false, false),
            (TransportError::Cancelled, Effect::Final, false, false),
            (TransportError::Invalid(to()), Effect::Final, false, false),
        ] {
            let found = (error.effect(), error.is_worth_another(false), error.is_worth_another(true));
            assert_eq!(found, (effect, again, even_the_first), "{error}");
        }
    }
}
