//! A session from its first message to its last.

use super::{Answer, HttpClient, HttpError};
use crate::session::{BookReport, Client, ClientError, Outgoing, Poll, Report};
use crate::transport::http::{next_address, now, shown};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why [`run`] ended before the session did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A message got no SyncML answer.
    #[error(transparent)]
    Http(HttpError),
    /// The session ended early.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Somebody used [`Cancel`](super::Cancel), or [`Watch::stop`] asked for it; the next sync continues.
    #[error("stopped; the next sync continues where this one ended")]
    Stopped,
}

impl From<HttpError> for RunError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Cancelled => Self::Stopped,
            other => Self::Http(other),
        }
    }
}

/// What happens while a session runs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection is made or taken up again, to post a message.
    Connecting {
        /// The address.
        uri: &'a str,
    },
    /// The message is on its way.
    Sending {
        /// Its size on the wire, in bytes.
        bytes: u64,
    },
    /// A piece of the answer has come.
    Receiving {
        /// What came of it so far on the wire, in bytes.
        bytes: u64,
    },
    /// The post failed; it is repeated after a pause.
    Waiting {
        /// Which attempt will be next; the first one was 1.
        attempt: u32,
        /// The pause.
        pause: Duration,
        /// Why it failed.
        error: &'a HttpError,
    },
    /// The server is busy (§3.11); the session goes on after a pause.
    Busy {
        /// The pause.
        pause: Duration,
    },
    /// An answer was taken: what the session did so far.
    Books {
        /// One entry per book.
        books: &'a [BookReport],
    },
}

/// Looks on while a session runs, and may stop it between two messages.
pub trait Watch {
    /// A message is about to be posted; `number` counts from 1.
    fn sending(&mut self, number: u32, request: &Outgoing) {
        let _ = (number, request);
    }

    /// Something happened on the way.
    fn event(&mut self, event: &Event<'_>) {
        let _ = event;
    }

    /// Its answer has come and was taken.
    fn received(&mut self, number: u32, answer: &Answer, report: &Report) {
        let _ = (number, answer, report);
    }

    /// All that the server has to say has come ([`Client::has_heard_all`]). Whether to go on and tell it so.
    fn heard_all(&mut self, client: &Client) -> bool {
        let _ = client;
        true
    }

    /// Whether to stop before the next message.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Nobody looks on.
impl Watch for () {}

/// Drives a session to its end: posts what `client` has to say and hands it the answers. The report is then
/// [`Client::report`].
///
/// # Errors
/// [`RunError`].
pub fn run(client: &mut Client, http: &HttpClient, watch: &mut dyn Watch) -> Result<(), RunError> {
    let deadline = http.options().deadline.and_then(|whole| Instant::now().checked_add(whole));
    let mut number = 0;
    // Where the session is: the address that answered, once one did.
    let (mut home, mut polite, mut heard) = (None::<String>, false, false);
    while let Some(mut request) = client.outgoing() {
        let from = home.as_deref().unwrap_or(request.uri.as_str());
        request.uri = next_address(from, &request.uri, http.options().other_hosts)
            .map_err(|reason| HttpError::Elsewhere { uri: shown(from), location: shown(&request.uri), reason })?;
        if !polite && http.options().cancel.is_suspending() {
            polite = true;
            client.suspend();
        }
        if watch.stop() || http.options().cancel.is_cancelled() {
            return Err(RunError::Stopped);
        }
        if !request.wait.is_zero() {
            if deadline.is_some_and(|at| at.saturating_duration_since(Instant::now()) <= request.wait) {
                return Err(HttpError::Deadline.into());
            }
            watch.event(&Event::Busy { pause: request.wait });
            if http.options().cancel.wait(request.wait) {
                return Err(RunError::Stopped);
            }
        }
        number += 1;
        watch.sending(number, &request);
        let answer = match http.deliver(&request, deadline, &mut |event| watch.event(&event)) {
            Err(HttpError::Status { status, .. }) if request.opens && client.unanswered(status, now())? => continue,
            other => other?,
        };
        home.get_or_insert_with(|| answer.uri.clone());
        let taken = client.received_with_mac(&answer.content_type, &answer.body, answer.mac.as_deref(), now());
        let report = client.report();
        watch.received(number, &answer, &report);
        watch.event(&Event::Books { books: &report.books });
        taken?;
        if !heard && client.has_heard_all() {
            heard = true;
            if !watch.heard_all(client) {
                return Err(RunError::Stopped);
            }
        }
    }
    if polite && !client.report().clean {
        return Err(RunError::Stopped);
    }
    Ok(())
}

/// Asks a server whether anything has changed: posts what `poll` has to say and hands it the answers. What it said is then
/// [`Poll::news`].
///
/// # Errors
/// [`RunError`].
pub fn ask(poll: &mut Poll, http: &HttpClient) -> Result<(), RunError> {
    while let Some(request) = poll.outgoing() {
        if http.options().cancel.wait(request.wait) {
            return Err(RunError::Stopped);
        }
        let mac = request.mac.as_deref();
        let answer = http.post_until_answered(&request.uri, request.content_type, &request.body, mac)?;
        poll.received_with_mac(&answer.content_type, &answer.body, answer.mac.as_deref())?;
    }
    Ok(())
}
