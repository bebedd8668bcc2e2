//! A session from its first message to its last, over any transport.

use super::cancel::Cancel;
use super::exchange::{Answer, Tell, Transport, TransportError};
use super::now;
use super::retry::Retry;
use crate::session::{BookReport, Client, ClientError, Outgoing, Report};
use std::error::Error;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How a session is driven.
#[derive(Clone, Debug, Default)]
pub struct Conduct {
    /// Stops it from elsewhere.
    pub cancel: Cancel,
    /// How long it may take, pauses and repetitions included; `None` is without end. A session that is stopped so loses
    /// nothing: the next one continues.
    pub deadline: Option<Duration>,
    /// When a message is sent again.
    pub retry: Retry,
}

/// Why [`run`] ended before the session did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A message got no SyncML answer.
    #[error(transparent)]
    Transport(TransportError),
    /// The session ended early.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Somebody used [`Cancel`], or [`Watch::stop`] asked for it; the next sync continues.
    #[error("stopped; the next sync continues where this one ended")]
    Stopped,
}

impl From<TransportError> for RunError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Cancelled => Self::Stopped,
            other => Self::Transport(other),
        }
    }
}

/// What happens while a session runs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection is made or taken up again, to send a message.
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
    /// The message got no answer; it is sent again after a pause.
    Waiting {
        /// Which attempt will be next; the first one was 1.
        attempt: u32,
        /// The pause.
        pause: Duration,
        /// Why it failed.
        error: &'a (dyn Error + 'static),
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
    /// A message is about to be sent; `number` counts from 1.
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

/// Drives a session to its end: sends what `client` has to say and hands it the answers. The report is then
/// [`Client::report`].
///
/// A message that got no answer is sent again with the identical bytes, which a server answers from what it stored. The
/// very first message of a session is sent again only when the server certainly did nothing for it: otherwise it may have
/// begun a session (§9.1).
///
/// # Errors
/// [`RunError`].
pub fn run(
    client: &mut Client,
    transport: &mut dyn Transport,
    conduct: &Conduct,
    watch: &mut dyn Watch,
) -> Result<(), RunError> {
    let result = exchange_all(client, transport, conduct, watch);
    transport.close();
    result
}

fn exchange_all(
    client: &mut Client,
    transport: &mut dyn Transport,
    conduct: &Conduct,
    watch: &mut dyn Watch,
) -> Result<(), RunError> {
    let until = conduct.deadline.and_then(|whole| Instant::now().checked_add(whole));
    let (mut number, mut polite, mut heard) = (0, false, false);
    while let Some(request) = client.outgoing() {
        if !polite && conduct.cancel.is_suspending() {
            polite = true;
            client.suspend();
        }
        if watch.stop() || conduct.cancel.is_cancelled() {
            return Err(RunError::Stopped);
        }
        if !request.wait.is_zero() {
            if until.is_some_and(|at| at.saturating_duration_since(Instant::now()) <= request.wait) {
                return Err(TransportError::Deadline.into());
            }
            watch.event(&Event::Busy { pause: request.wait });
            if conduct.cancel.wait(request.wait) {
                return Err(RunError::Stopped);
            }
        }
        number += 1;
        watch.sending(number, &request);
        let answer = match deliver(transport, &request, conduct, until, &mut |event| watch.event(&event)) {
            Ok(answer) => answer,
            Err(error) => match error.status() {
                Some(status) if request.opens && client.unanswered(status, now())? => continue,
                _ => return Err(error.into()),
            },
        };
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

/// Takes a session's next message there and its answer back, in as many attempts as it may take.
pub(super) fn deliver(
    transport: &mut dyn Transport,
    request: &Outgoing,
    conduct: &Conduct,
    until: Option<Instant>,
    tell: Tell<'_>,
) -> Result<Answer, TransportError> {
    let once = &mut |tell: Tell<'_>| transport.exchange(request, until, tell);
    let again = |error: &TransportError| error.is_worth_another(request.opens).then(|| error.retry_after());
    repeat(conduct, until, again, tell, once).map_err(|ended| match ended {
        Ended::Failed(error) => error,
        Ended::Cancelled => TransportError::Cancelled,
    })
}

/// Why nothing is tried again.
pub(super) enum Ended<E> {
    Failed(E),
    Cancelled,
}

/// Tries until it succeeds, or until that is not worth it any more. `again` says whether an error may pass, and how long
/// the server asked to be left alone.
pub(super) fn repeat<T, E: Error + 'static>(
    conduct: &Conduct,
    until: Option<Instant>,
    again: impl Fn(&E) -> Option<Option<Duration>>,
    tell: Tell<'_>,
    once: &mut dyn FnMut(Tell<'_>) -> Result<T, E>,
) -> Result<T, Ended<E>> {
    let mut made = 0;
    loop {
        if conduct.cancel.is_cancelled() {
            return Err(Ended::Cancelled);
        }
        let error = match once(tell) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        made += 1;
        let Some(pause) = again(&error).and_then(|asked| conduct.retry.after(made, asked)) else {
            return Err(Ended::Failed(error));
        };
        if until.is_some_and(|at| at.saturating_duration_since(Instant::now()) <= pause) {
            return Err(Ended::Failed(error));
        }
        tracing::info!(
            attempt = made + 1,
            pause = pause.as_secs_f64(),
            "no answer came; the same is sent again after a pause"
        );
        // It names the server's address.
        tracing::debug!(%error, "no answer came");
        tell(Event::Waiting { attempt: made + 1, pause, error: &error });
        if conduct.cancel.wait(pause) {
            return Err(Ended::Cancelled);
        }
    }
}
