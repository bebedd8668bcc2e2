//! Package 0 of SyncML 1.0 and 1.1, as package 1 answers it (§8.4).

use super::ClientBook;
use super::step::Step;
use crate::message::StatusCode;
use crate::session::datastore::same_place;
use crate::session::outbox::{Outbox, Queued};
use crate::session::turn::broken;
use crate::store::Result;

/// A notification that was a message: what the session that it asked for has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its SessionID, which the session takes over.
    pub session_id: String,
    /// Its MsgID.
    pub msg_id: String,
    /// The address of its header's Target: this device, or `/`.
    pub target: String,
    /// The address of its header's Source: the server.
    pub source: String,
    /// Its Alerts.
    pub alerts: Vec<CalledAlert>,
}

/// An Alert of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledAlert {
    /// Its CmdID.
    pub cmd_id: String,
    /// The client's datastore, if it is named.
    pub target: Option<String>,
    /// The server's datastore.
    pub source: String,
}

impl CalledAlert {
    /// 200 for a book that is synced now, else 404.
    fn status(&self, books: &[ClientBook]) -> StatusCode {
        let named = |book: &ClientBook| match &self.target {
            _ if same_place(&book.remote_uri, &self.source) => true,
            Some(target) => same_place(&book.local_uri, target),
            None => self.source.is_empty(),
        };
        if books.iter().any(named) { StatusCode::OK } else { StatusCode::NOT_FOUND }
    }
}

impl Step<'_> {
    /// The Statuses of package 0: its header's and its Alerts'.
    pub(super) fn answer_call(&self, outbox: &mut Outbox) -> Result<()> {
        let Some(called) = self.called else { return Ok(()) };
        outbox
            .header_status(&called.msg_id, &called.target, &called.source, StatusCode::OK, None, None)
            .map_err(broken)?;
        for alert in &called.alerts {
            let mut queued = Queued::new(&called.msg_id, &alert.cmd_id, "Alert", alert.status(&self.config.books));
            queued.targets.extend(alert.target.clone());
            queued.sources.push(alert.source.clone());
            outbox.status(queued).map_err(broken)?;
        }
        Ok(())
    }
}
