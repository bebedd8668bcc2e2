//! How messages travel: bindings of the session to transports.
//!
//! Enters: requests from a socket, a cable or a folder. Leaves: bytes for
//! [`Server::answer`](crate::session::Server::answer) or [`Client::received`](crate::session::Client::received), and what
//! those give back. This is an edge: clocks, sockets and files are read here, and handed in to the rooms above.
//!
//! What a session needs of a transport is little: a request there, its answer back ([`Transport`]). [`run`] drives a
//! session over any of them, [`Choice`] over the best that is at hand. [`tcp`], [`dropbox`] and [`obex`] need no other crate
//! and so no feature; [`http`] has one. None of them but HTTP needs to carry an address: a session's token stands in its
//! messages, too (the Target of the header).

// An edge: here the clock is read, sockets and files are opened, to be handed in to the session.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod cancel;
mod choice;
mod drive;
pub mod dropbox;
mod exchange;
#[cfg(feature = "http")]
pub mod http;
mod line;
mod listen;
pub mod obex;
mod places;
mod reception;
mod retry;
pub mod tcp;

pub use self::cancel::Cancel;
pub use self::choice::Choice;
pub use self::drive::{Conduct, Event, RunError, Watch, run};
pub use self::exchange::{Answer, Effect, Medium, Tell, Transport, TransportError};
pub use self::listen::{ListenOptions, Listener, Stop};
pub use self::reception::{OnFailure, OnReport, Reception};
pub use self::retry::Retry;

use crate::message::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis());
    Timestamp(since.ok().and_then(|millis| i64::try_from(millis).ok()).unwrap_or_default())
}

/// The largest body to read, in bytes, when messages of `max_msg_size` bytes were announced. Real peers overshoot what
/// they were told by up to 1.6 times, because they count contents only.
#[must_use]
pub fn body_limit(max_msg_size: u64) -> usize {
    const SLACK: u64 = 16 * 1024;
    usize::try_from(max_msg_size.saturating_mul(2).saturating_add(SLACK)).unwrap_or(usize::MAX)
}

/// An address as it may be shown: without user, password and query, which holds the token of a session.
pub(crate) fn shown(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    match uri.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{authority}{path}")
        }
        None => uri.to_owned(),
    }
}
