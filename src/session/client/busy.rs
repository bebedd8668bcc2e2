//! What a client does when the server is busy (§3.11).

use super::open::alert;
use super::{Client, ClientError};
use crate::message::{AlertCode, Command, Item, Location, Message, StatusCode, Timestamp};
use crate::session::outbox::Outbox;
use crate::session::state::Package;
use crate::session::turn::broken;
use std::time::Duration;

/// How long a server is waited for that says it is busy (101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often it may say so, one time after the other.
    pub times: u32,
    /// The first pause; it doubles with each further one.
    pub pause: Duration,
    /// The longest that a pause grows to.
    pub longest: Duration,
}

impl Default for Patience {
    /// 5, 10, 20, 40, 60 and 60 seconds: a little more than three minutes.
    fn default() -> Self {
        Self { times: 6, pause: Duration::from_secs(5), longest: Duration::from_secs(60) }
    }
}

impl Patience {
    /// The pause when the server said for the `said`th time that it is busy; `None` when that was once too often.
    #[must_use]
    pub fn after(&self, said: u32) -> Option<Duration> {
        if said > self.times {
            return None;
        }
        let factor = 1_u32.checked_shl(said.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(self.pause.saturating_mul(factor).min(self.longest))
    }

    /// What to say after the pause.
    const fn then(&self, said: u32, begun: bool) -> Then {
        match (begun, said) {
            (false, 2..) => Then::BeginAgain,
            (true, said) if said > self.times.div_ceil(2) => Then::Ask,
            _ => Then::Repeat,
        }
    }
}

/// What is said to a server that was busy. The same bytes first: one that did nothing for them does it now. One that keeps
/// its 101 as the answer to them needs something else: a new session where none is under way, or Alert 221.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Repeat,
    BeginAgain,
    Ask,
}

impl Client {
    /// Takes a 101: the next [`outgoing`](Self::outgoing) says how long to wait before it is posted.
    pub(super) fn be_patient(&mut self, message: &Message<'_>, now: Timestamp) -> Result<(), ClientError> {
        self.busy += 1;
        let wait = self.config.patience.after(self.busy).ok_or(ClientError::Busy)?;
        if self.suspending {
            self.request = None;
            return Ok(());
        }
        match self.config.patience.then(self.busy, self.state.package != Package::Init) {
            Then::Repeat => {}
            Then::BeginAgain => self.begin_again(self.state.version, now)?,
            Then::Ask => self.ask_result(message, now)?,
        }
        self.wait = wait;
        Ok(())
    }

    /// Asks for the result of what was said (221, without Final).
    fn ask_result(&mut self, message: &Message<'_>, now: Timestamp) -> Result<(), ClientError> {
        self.msg_id += 1;
        let (authenticated, nonce) = (self.state.authenticated, self.nonce.clone());
        let mut asked = None;
        let (state, request) = self.step(now, |step, _| {
            if !authenticated {
                let (device_id, version) = (&step.config.device_id, step.state.version);
                step.credential = step.config.credentials.first(device_id, version, nonce.as_deref());
            }
            let header = step.header();
            let mut outbox: Outbox = step.outbox(&header)?;
            step.write_header_status(&mut outbox, message)?;
            let item = Item {
                target: Some(Location::new(step.config.server_uri.clone())),
                source: Some(Location::new(step.config.device_id.clone())),
                ..Item::default()
            };
            asked = outbox.command(|cmd_id| alert(cmd_id, AlertCode::RESULT, None, item)).map_err(broken)?;
            Ok(Some(outbox.finish(false)))
        })?;
        self.sent(state, request);
        self.asking = asked;
        Ok(())
    }

    /// Takes the answer to our 221: a server that has no result wants everything from the start.
    pub(super) fn take_result(&self, message: &Message<'_>) -> Result<(), ClientError> {
        let Some(asking) = self.asking else { return Ok(()) };
        let (msg_ref, cmd_ref) = (self.msg_id.to_string(), asking.to_string());
        let refused = message.body.iter().find_map(|command| match command {
            Command::Status(status) if *status.msg_ref == *msg_ref && status.cmd_ref.as_str() == cmd_ref => {
                Some(status.code).filter(|code: &StatusCode| !code.is_success())
            }
            _ => None,
        });
        refused.map_or(Ok(()), |code| Err(ClientError::Ended(code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let patience = Patience::default();
        let pauses: Vec<Option<u64>> = (1..=8).map(|said| patience.after(said).map(|pause| pause.as_secs())).collect();
        assert_eq!(pauses, [Some(5), Some(10), Some(20), Some(40), Some(60), Some(60), None, None]);
        assert_eq!(Patience { times: 0, ..patience }.after(1), None);
        assert_eq!(Patience { times: u32::MAX, ..patience }.after(1000), Some(patience.longest));
    }

    #[test]
    fn says_the_same_first_and_then_what_any_server_understands() {
        let patience = Patience::default();
        for (said, before, later) in [
            (1, Then::Repeat, Then::Repeat),
            (2, Then::BeginAgain, Then::Repeat),
            (3, Then::BeginAgain, Then::Repeat),
            (4, Then::BeginAgain, Then::Ask),
            (6, Then::BeginAgain, Then::Ask),
        ] {
            assert_eq!((patience.then(said, false), patience.then(said, true)), (before, later), "{said}");
        }
    }
}
