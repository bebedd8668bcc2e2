//! HTTP as a session's transport.

use super::{Answer, HttpClient, HttpError};
use crate::session::{Client, Outgoing, Poll};
use crate::transport::http::{next_address, shown};
use crate::transport::{RunError, Tell, Transport, TransportError, Watch};
use std::time::Instant;

/// HTTP for one session: it stays where the session began.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    http: HttpClient,
    instead: Option<String>,
    /// Where the session is: the address that answered, once one did.
    home: Option<String>,
}

impl HttpTransport {
    /// For a session that begins at the address of its own messages.
    #[must_use]
    pub const fn new(http: HttpClient) -> Self {
        Self::to(http, None)
    }

    /// For a session that goes to that address instead, where there is one: it may have begun over another transport.
    #[must_use]
    pub const fn to(http: HttpClient, instead: Option<String>) -> Self {
        Self { http, instead, home: None }
    }
}

impl Transport for HttpTransport {
    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        let wanted = match &self.instead {
            // The session's token stands in the message, too.
            Some(instead) => instead,
            None => &request.uri,
        };
        let from = self.home.as_deref().unwrap_or(wanted);
        let uri = next_address(from, wanted, self.http.options().other_hosts)
            .map_err(|reason| HttpError::Elsewhere { uri: shown(from), location: shown(wanted), reason })?;
        let answer = self.http.deliver(&uri, request, until, tell)?;
        self.home.get_or_insert_with(|| answer.uri.clone());
        Ok(answer)
    }

    fn close(&mut self) {
        self.home = None;
    }
}

/// Drives a session over HTTP to its end ([`transport::run`](crate::transport::run)).
///
/// # Errors
/// [`RunError`].
pub fn run(client: &mut Client, http: &HttpClient, watch: &mut dyn Watch) -> Result<(), RunError> {
    crate::transport::run(client, &mut HttpTransport::new(http.clone()), &http.options().conduct(), watch)
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
        let answer = http
            .post_until_answered(&request.uri, request.content_type, &request.body, mac)
            .map_err(TransportError::from)?;
        poll.received_with_mac(&answer.content_type, &answer.body, answer.mac.as_deref())?;
    }
    Ok(())
}
