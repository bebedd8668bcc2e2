//! Errands in a session, as the server tells them and hears of them.

use super::step::Step;
use crate::message::{Alert, Command, Data, Exec, Item, Location, Meta, StatusCode};
use crate::session::errand::{Asked, ERRAND_TYPE, ERRAND_URI, MOST, Visit};
use crate::session::outbox::Outbox;
use crate::session::state::{Package, StoreState};
use crate::session::turn::{broken, sent_ref};
use crate::store::{BookNo, Result, Tx};
use crate::sync::Role;

impl Step<'_, '_> {
    fn visit<'v>(&'v self, whole: &'v [BookNo], settled: bool) -> Visit<'v> {
        Visit { speaker: self.speaker(), device: self.turn.device, whole, settled, now: self.now }
    }

    /// Tells what may be told now: at the beginning, and once all of the device's changes are there.
    pub(super) fn write_errands(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<()> {
        let Some(errands) = self.errands else { return Ok(()) };
        let when = match self.state.package {
            Package::Sending => Asked::Whole,
            // A device that only looks in.
            Package::Over if self.state.stores.is_empty() => Asked::Whole,
            Package::Over => return Ok(()),
            _ => Asked::First,
        };
        if self.proving || self.suspended || outbox.overflows() {
            return Ok(());
        }
        let Some(mut after) = self.state.errands.ask(when) else { return Ok(()) };
        let whole = match when {
            Asked::Whole => self.whole(is_whole),
            _ => Vec::new(),
        };
        for _ in 0..MOST {
            let Some(errand) = errands.next(tx, &self.visit(&whole, when == Asked::Whole), after)? else { break };
            after = errand.no;
            let item = Item {
                target: Some(Location::new(ERRAND_URI)),
                meta: Some(Meta::of_type(ERRAND_TYPE)),
                data: Some(Data::text(errand.body)),
                ..Item::default()
            };
            let exec = |cmd_id| Exec {
                cmd_id,
                no_resp: false,
                cred: None,
                meta: None,
                correlator: None,
                item: Box::new(item),
            };
            let written = outbox.command(|cmd_id| Command::Exec(exec(cmd_id))).map_err(broken)?;
            let Some(cmd_id) = written else { break };
            self.state.errands.tell(errand.no, outbox.msg_id(), cmd_id);
        }
        if self.state.package == Package::Over && !self.state.errands.told.is_empty() {
            self.state.package = Package::Confirming;
        }
        Ok(())
    }

    /// Takes the Statuses of what was told.
    pub(super) fn take_status_of_errands(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let Some(errands) = self.errands else { return Ok(()) };
        for command in &self.message.body {
            let Command::Status(status) = command else { continue };
            let Some(sent_as) = sent_ref(status).filter(|_| status.cmd == "Exec") else { continue };
            let told = &self.state.errands.told;
            let of = |told: &(i64, u32, u32)| (told.1, told.2) == (sent_as.msg_id, sent_as.cmd_id);
            let Some(at) = told.iter().position(of) else { continue };
            let (no, ..) = self.state.errands.told.remove(at);
            errands.answered(tx, &self.visit(&[], false), no, status.code)?;
        }
        Ok(())
    }

    /// Takes a report; the Status that it gets.
    pub(super) fn take_report(&self, tx: &mut dyn Tx, alert: &Alert<'_>) -> Result<StatusCode> {
        let Some(errands) = self.errands else { return Ok(StatusCode::UNSUPPORTED_FEATURE) };
        let item = alert.items.first().filter(|item| item.source.as_ref().is_some_and(|it| it.uri == ERRAND_URI));
        match item.and_then(|item| item.data.as_ref()).and_then(Data::as_str) {
            Some(report) => errands.reported(tx, &self.visit(&[], false), report),
            None => Ok(StatusCode::UNSUPPORTED_FEATURE),
        }
    }

    /// Says that the session is over, and what of it the device knows.
    pub(super) fn end_errands(&self, tx: &mut dyn Tx) -> Result<()> {
        let Some(errands) = self.errands else { return Ok(()) };
        let whole = self.whole(|store| store.clean && is_whole(store));
        errands.ended(tx, &self.visit(&whole, true))
    }

    fn whole(&self, holds: impl Fn(&StoreState) -> bool) -> Vec<BookNo> {
        self.state.stores.iter().filter(|store| holds(store)).map(|store| store.book).collect()
    }
}

/// Whether all that the device had to say of a book is taken.
fn is_whole(store: &StoreState) -> bool {
    store.active()
        && store.sync.sends(Role::Client)
        && store.sync_seen
        && store.held == 0
        && store.received.refused == 0
        && !store.large_in
        && store.left_over.is_none()
}
