//! Errands in a session, as the device takes them and reports of them.

use super::step::Step;
use crate::message::{Alert, AlertCode, Command, Data, Exec, Item, Location, Meta, Status, StatusCode};
use crate::session::errand::{ERRAND_TYPE, ERRAND_URI, MOST};
use crate::session::outbox::Outbox;
use crate::session::state::StoreState;
use crate::session::turn::{broken, sent_ref};
use crate::store::Result;
use crate::sync::Role;

impl Step<'_> {
    /// The Status of an Exec; `None` where nobody executes anything.
    pub(super) fn take_errand(&self, exec: &Exec<'_>) -> Option<StatusCode> {
        let executor = self.config.executor.as_ref()?;
        let here = exec.item.target.as_ref().is_some_and(|target| target.uri == ERRAND_URI);
        let body = exec.item.data.as_ref().and_then(Data::as_str);
        Some(match body.filter(|_| here) {
            Some(body) => executor.exec(body, self.is_backed_up(), self.now),
            None => StatusCode::NOT_IMPLEMENTED,
        })
    }

    /// Whether all that this side had to say was answered, and nothing of it was refused.
    fn is_backed_up(&self) -> bool {
        let answered = |store: &StoreState| {
            store.active()
                && store.sync.sends(Role::Client)
                && store.sync_msg != 0
                && store.has_sent_all()
                && store.awaiting == 0
                && store.withheld == 0
                && store.sent.refused == 0
        };
        !self.state.stores.is_empty() && self.state.stores.iter().all(answered)
    }

    /// What is to be reported, with package 1.
    pub(super) fn write_reports(&mut self, outbox: &mut Outbox) -> Result<()> {
        self.state.errands.reports.clear();
        let Some(executor) = &self.config.executor else { return Ok(()) };
        for report in executor.reports().into_iter().take(MOST) {
            let item = Item {
                source: Some(Location::new(ERRAND_URI)),
                meta: Some(Meta::of_type(ERRAND_TYPE)),
                data: Some(Data::text(report.clone())),
                ..Item::default()
            };
            let alert = |cmd_id| Alert {
                cmd_id,
                no_resp: false,
                cred: None,
                code: Some(AlertCode::GENERIC),
                correlator: None,
                items: vec![item],
            };
            let written = outbox.command(|cmd_id| Command::Alert(alert(cmd_id))).map_err(broken)?;
            let Some(cmd_id) = written else { break };
            self.state.errands.reports.push((self.msg_id, cmd_id, report));
        }
        Ok(())
    }

    /// The server's Status of a report, if it is of one.
    pub(super) fn take_report_status(&mut self, status: &Status<'_>) {
        let Some(sent_as) = sent_ref(status) else { return };
        let reports = &mut self.state.errands.reports;
        let of = |report: &(u32, u32, String)| (report.0, report.1) == (sent_as.msg_id, sent_as.cmd_id);
        let Some(at) = reports.iter().position(of) else { return };
        let (.., report) = reports.remove(at);
        if let Some(executor) = &self.config.executor {
            executor.reported(&report, status.code);
        }
    }
}
