//! A server as transports other than HTTP ask it: one message in, its answer or the reason why there is none.

use super::now;
use crate::session::{Refusal, Reply, Report, Request, Server};
use crate::store::StoreError;
use std::fmt;
use std::sync::Arc;
use tracing::debug;

/// Called with the report of every session that ends.
pub type OnReport = dyn Fn(&Report) + Send + Sync;

/// Called with what this side failed of ([`Refusal::Unavailable`], [`Refusal::Failed`]): the peer is not told why.
pub type OnFailure = dyn Fn(&StoreError) + Send + Sync;

/// A server, and who hears of what it does. Clones are the same one.
#[derive(Clone)]
pub struct Reception {
    /// Who answers.
    pub server: Arc<Server>,
    /// Called with the report of every session that ends, before the answer leaves: it should be quick.
    pub on_report: Option<Arc<OnReport>>,
    /// See [`OnFailure`].
    pub on_failure: Option<Arc<OnFailure>>,
}

impl fmt::Debug for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reception").field("server", &self.server).finish_non_exhaustive()
    }
}

/// What came, and what is known of whom it came from.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    pub(super) mac: Option<&'a str>,
    /// Whether nobody on the way can read along.
    pub(super) protected: bool,
    /// Whether it came from this machine.
    pub(super) loopback: bool,
    pub(super) address: Option<&'a str>,
}

impl Reception {
    /// For a server that nobody listens to but its peers.
    #[must_use]
    pub const fn new(server: Arc<Server>) -> Self {
        Self { server, on_report: None, on_failure: None }
    }

    /// The largest message to take, in bytes.
    pub(super) fn limit(&self) -> usize {
        super::body_limit(self.server.config().max_msg_size)
    }

    /// Answers one message.
    pub(super) fn answer(&self, incoming: &Incoming<'_>) -> Result<Reply, Refusal> {
        debug!(address = incoming.address, "a message has come");
        // A session's token stands in its messages, too.
        let request = Request {
            content_type: incoming.content_type,
            body: incoming.body,
            token: None,
            mac: incoming.mac,
            protected: incoming.protected,
            loopback: incoming.loopback,
            address: incoming.address,
            now: now(),
        };
        let answered = self.server.answer(&request);
        match &answered {
            Ok(reply) => {
                if let (Some(report), Some(tell)) = (&reply.report, &self.on_report) {
                    tell(report);
                }
            }
            Err(Refusal::Unavailable(why) | Refusal::Failed(why)) => {
                if let Some(tell) = &self.on_failure {
                    tell(why);
                }
            }
            Err(_) => {}
        }
        answered
    }
}
