//! What the peer says of what was sent to it, and what its silence says.

use super::{QUEUE_PAGE, Turn};
use crate::message::{Command, Status, StatusCode};
use crate::session::confirm::{Answer, confirm, find_answered};
use crate::session::state::{State, StoreState};
use crate::store::{Guid, OutgoingRow, Result, SentRef, Tx};
use std::collections::HashSet;

impl Turn {
    /// Takes the peer's answers to changes that we sent.
    pub(in crate::session) fn take_answers(
        &mut self,
        tx: &mut dyn Tx,
        state: &mut State,
        body: &[Command<'_>],
    ) -> Result<()> {
        let mut answers: Vec<Answer> = body.iter().filter_map(change_answer).collect();
        // A Status said twice is one answer.
        let mut said = HashSet::new();
        answers.retain(|answer| said.insert(answer.sent_as));
        for store in &mut state.stores {
            let Some(large) = &mut store.large_out else { continue };
            let of_chunk = |answer: &Answer| (answer.sent_as.msg_id, answer.sent_as.cmd_id) == large.sent_as;
            match answers.iter().position(of_chunk).map(|at| (at, answers[at].code)) {
                Some((at, code)) if code.is_success() => {
                    answers.remove(at);
                    large.acknowledged = true;
                }
                // Anything else is the answer to the whole, which is not sent any further.
                Some(_) => store.large_out = None,
                None => {}
            }
        }
        if answers.is_empty() {
            return Ok(());
        }
        for (book, mut rows) in find_answered(tx, self.device, &self.token, &answers)? {
            if let Some(store) = state.stores.iter_mut().find(|store| store.book == book) {
                // A peer that refuses a Sync as such says nothing of its items: they are sent again another time.
                for (_, code) in rows.iter_mut().filter(|(_, code)| store.failed.is_some() && !code.is_success()) {
                    *code = StatusCode::COMMAND_FAILED;
                }
                self.open(store, |open, _| confirm(tx, open, rows))?;
            }
        }
        Ok(())
    }

    /// The peer lost the object that it was being sent (223): nothing more of it is, and the whole comes again another time.
    pub(in crate::session) fn break_off(&mut self, tx: &mut dyn Tx, state: &mut State) -> Result<()> {
        for store in &mut state.stores {
            let Some(large) = store.large_out.take() else { continue };
            let row = tx.outgoing(self.device, store.book, &[large.guid])?.pop().flatten();
            if let Some(row) = row.filter(|row| row.session == Some(self.token) && row.state.is_unanswered()) {
                self.open(store, |open, _| confirm(tx, open, vec![(row, StatusCode::SIZE_MISMATCH)]))?;
            }
        }
        Ok(())
    }

    /// The session ends: what a peer that is careless about it did not answer, it has done (§11.1).
    pub(in crate::session) fn take_silence(&mut self, tx: &mut dyn Tx, stores: &mut [StoreState]) -> Result<()> {
        if self.manners.silence_is_success != Some(true) {
            return Ok(());
        }
        let (device, token) = (self.device, self.token);
        for store in stores.iter_mut().filter(|store| store.active() && store.awaiting > 0) {
            let mut after = Guid(0);
            loop {
                let rows = tx.outgoing_page(device, store.book, after, QUEUE_PAGE)?;
                let Some(last) = rows.last() else { break };
                after = last.guid;
                // What was not said to its end cannot be done.
                let begun = store.large_out.as_ref().map(|large| large.guid);
                let unanswered = |row: &OutgoingRow| {
                    row.session.as_ref() == Some(&token) && row.state.is_unanswered() && begun != Some(row.guid)
                };
                let rows = rows.into_iter().filter(unanswered).map(|row| (row, StatusCode::OK)).collect();
                self.open(store, |open, _| confirm(tx, open, rows))?;
            }
        }
        Ok(())
    }
}

/// A Status that may answer a change of ours.
fn change_answer(command: &Command<'_>) -> Option<Answer> {
    let Command::Status(status) = command else { return None };
    match &*status.cmd {
        "Add" | "Replace" | "Delete" | "Copy" | "Move" => {
            Some(Answer { sent_as: sent_ref(status)?, code: status.code })
        }
        _ => None,
    }
}

/// Which command of ours a Status answers.
pub(in crate::session) fn sent_ref(status: &Status<'_>) -> Option<SentRef> {
    Some(SentRef { msg_id: status.msg_ref.trim().parse().ok()?, cmd_id: status.cmd_ref.as_str().trim().parse().ok()? })
}
