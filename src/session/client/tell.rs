//! What a client's session decides, told to the log: as on the server, nothing personal at `info` and above.

use super::{Client, ClientError};
use crate::session::datastore::by_number;
use crate::session::shown::Shown;
use crate::session::state::StoreState;
use tracing::{Span, debug, info, info_span, warn};

/// What was so before an answer was taken.
pub(super) struct Before {
    message: Span,
    busy: u32,
    tries: u32,
    /// Whether each book's sync is another than was asked for, whether something is held, and conflicts so far.
    books: Vec<(bool, bool, u64)>,
}

impl Before {
    pub(super) fn of(client: &Client) -> Self {
        // The session's span is one for each message, as on the server.
        let session =
            info_span!("session", session = %Shown(&client.session_id), account = client.account.0, role = "client");
        let message = info_span!(parent: &session, "message", msg = client.msg_id);
        let books = client.state.stores.iter().map(state).collect();
        Self { message, busy: client.busy, tries: client.tries, books }
    }

    pub(super) fn message(&self) -> &Span {
        &self.message
    }

    /// Tells what came of the answer.
    pub(super) fn tell(&self, client: &Client, received: usize, result: &Result<(), ClientError>) {
        debug!(received, "answer taken");
        for (index, store) in client.state.stores.iter().enumerate() {
            let was = self.books.get(index).copied().unwrap_or_default();
            let now = state(store);
            let book = by_number(store.book).map_or("?", |datastore| datastore.name);
            if now.0 && !was.0 {
                info!(book, reason = store.reason.as_deref(), sync = store.sync.name(), "another sync than asked for");
            }
            if let Some(hold) = store.hold.as_ref().filter(|_| !was.1) {
                warn!(book, reason = hold.reason.name(), items = hold.items, "held back until somebody decides");
            }
            if now.2 > was.2 {
                info!(book, conflicts = now.2 - was.2, "conflicts decided");
            }
        }
        if client.busy > self.busy {
            info!(seconds = client.wait.as_secs(), times = client.busy, "the server is busy");
        }
        if client.tries > self.tries {
            debug!(times = client.tries, "the server wants a credential");
        }
        match result {
            Err(why) => {
                warn!(kind = why.kind(), "session ended early");
                // The words may be the server's.
                debug!(%why, "session ended early");
            }
            Ok(()) if client.request.is_none() => {
                let clean = !client.state.stores.is_empty() && client.state.stores.iter().all(|store| store.clean);
                info!(outcome = if clean { "clean" } else { "problems" }, "session ended");
            }
            Ok(()) => {}
        }
    }
}

const fn state(store: &StoreState) -> (bool, bool, u64) {
    (store.reason.is_some(), store.hold.is_some(), store.received.conflicts + store.sent.conflicts)
}
