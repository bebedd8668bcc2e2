//! What may be told to a device that syncs.

use super::ledger::{
    ControlError, Known, Order, OrderState, answered, audit, known, line, orders, put_known, put_order, take_receipt,
};
use crate::message::{StatusCode, Timestamp};
use crate::session::{Errand, Errands, Visit};
use crate::store::audit::{CONTROL_ANSWERED, CONTROL_TOLD};
use crate::store::{Phase, Result, Tx};

/// Tells orders to devices that sync: [`Server::with_errands`](crate::session::Server::with_errands).
///
/// A forced order is told when the session begins; any other when all of the device's changes are taken, and every book
/// that it has is confirmed: by this very session, or by an ended one that is not too old. Whatever is told is audited, with
/// how it stood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desk;

impl Errands for Desk {
    fn next(&self, tx: &mut dyn Tx, visit: &Visit<'_>, after: i64) -> Result<Option<Errand>> {
        let Some(known) = known(tx, visit.device)? else { return Ok(None) };
        let all = orders(tx, visit.device, visit.now)?;
        let Some(found) = all.iter().find(|order| order.number > after && order.state.is_open()) else {
            return Ok(None);
        };
        let since = visit.now.plus_seconds(-found.backup_age);
        // They are told in their order: one that has to wait keeps those behind it waiting.
        let how = match found.forced {
            true => "forced",
            false if visit.settled && is_backed_up(tx, &known, visit, since)? => "backup confirmed",
            false => return Ok(None),
        };
        let body = line(&known.key()?, found, &all);
        let told = Order { state: OrderState::Told, ..found.clone() };
        put_order(tx, visit.device, &told)?;
        audit(tx, visit.now, "server", CONTROL_TOLD, visit.device, &told, how)?;
        Ok(Some(Errand { no: told.number, body }))
    }

    fn answered(&self, tx: &mut dyn Tx, visit: &Visit<'_>, no: i64, code: StatusCode) -> Result<()> {
        let all = orders(tx, visit.device, visit.now)?;
        let Some(order) = all.into_iter().find(|order| order.number == no) else { return Ok(()) };
        let state = answered(&order.state, code);
        if state == order.state {
            return Ok(());
        }
        let order = Order { state, ..order };
        put_order(tx, visit.device, &order)?;
        let actor = format!("device {}", visit.device);
        audit(tx, visit.now, actor, CONTROL_ANSWERED, visit.device, &order, order.state.words())
    }

    fn reported(&self, tx: &mut dyn Tx, visit: &Visit<'_>, report: &str) -> Result<StatusCode> {
        match take_receipt(tx, visit.device, report, visit.now) {
            Ok(_) => Ok(StatusCode::OK),
            Err(ControlError::Store(error)) => Err(error),
            Err(ControlError::NoReceipt) => Ok(StatusCode::FORBIDDEN),
            Err(_) => Ok(StatusCode::NOT_FOUND),
        }
    }

    fn ended(&self, tx: &mut dyn Tx, visit: &Visit<'_>) -> Result<()> {
        if visit.whole.is_empty() {
            return Ok(());
        }
        let Some(mut known) = known(tx, visit.device)? else { return Ok(()) };
        visit.whole.iter().for_each(|book| known.confirm(*book, visit.now));
        put_known(tx, visit.device, &known)
    }
}

/// Whether all of the device's books are confirmed: now, or since that moment and nothing is under way.
fn is_backed_up(tx: &mut dyn Tx, known: &Known, visit: &Visit<'_>, since: Timestamp) -> Result<bool> {
    for book in tx.books()?.into_iter().map(|row| row.book) {
        if visit.whole.contains(&book) {
            continue;
        }
        let Some(pair) = tx.pair(visit.device, book)? else { continue };
        let confirmed = known.confirmed(book).is_some_and(|at| at >= since);
        if !confirmed || pair.phase != Phase::Idle {
            return Ok(false);
        }
    }
    Ok(true)
}
