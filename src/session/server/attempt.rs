//! The step of a message that was looked at: what it is let in by is checked again, under the lock, and it is executed in its
//! session (DESIGN "The message step").

use super::anew::begins_anew;
use super::found::{Found, ReadState, goes_on, is_of_a_later_release, read_state, waiting};
use super::prove::{Claim, Denied};
use super::{Admission, Asked, Refusal, Server};
use crate::auth::Scheme;
use crate::message::{Message, StatusCode};
use crate::session::metrics::Histogram;
use crate::session::state::State;
use crate::store::{
    AccountNo, AuditRow, DeviceNo, DeviceRow, SessionKey, SessionRow, StoreError, Token, Tx, Verdict, audit,
};

/// A message that is to be let in.
pub(super) struct Attempt<'a> {
    pub asked: &'a Asked<'a>,
    pub account: AccountNo,
    pub claim: Option<&'a Claim<'a>>,
    /// The whole of it, read before the step, which others may wait for; or what it is refused with, once it is known to be of
    /// somebody.
    pub read: Result<Message<'a>, StatusCode>,
}

impl Attempt<'_> {
    fn message(&self) -> Result<&Message<'_>, Stop> {
        self.read.as_ref().map_err(|code| Admission::Refused(*code, None).into())
    }
}

/// Why a step goes no further: nothing of it is kept.
pub(super) enum Stop {
    /// The store failed.
    Failed(StoreError),
    /// It gets no SyncML answer.
    Refused(Refusal),
    /// Nobody is let in by what it brought.
    Denied(Denied),
    /// It gets this one.
    Answer(Box<Admission>),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Admission> for Stop {
    fn from(admission: Admission) -> Self {
        Self::Answer(Box::new(admission))
    }
}

/// What a message that went through is answered, and whether what it did is kept.
type Stepped = Result<(Verdict, Admission), Stop>;

impl Server {
    /// Takes the step of a message.
    pub(super) fn attempt(
        &self,
        attempt: &Attempt<'_>,
        work: &dyn Fn(&mut dyn Tx) -> Stepped,
    ) -> Result<Admission, Refusal> {
        let mut stepped = Err(Stop::Refused(Refusal::SessionGone));
        self.step(attempt.account, &mut |tx| {
            stepped = match work(tx) {
                Err(Stop::Failed(error)) => return Err(error),
                done => done,
            };
            Ok(stepped.as_ref().map_or(Verdict::Rollback, |(verdict, _)| *verdict))
        })?;
        match stepped {
            Ok((_, admission)) => Ok(admission),
            Err(Stop::Answer(admission)) => Ok(*admission),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Denied(denied)) => self.demand(attempt.asked, denied),
            Err(Stop::Failed(error)) => Err(unavailable(error)),
        }
    }

    /// In the session of a token; [`Refusal::SessionGone`] if there is none that goes on with this.
    pub(super) fn go_on(&self, tx: &mut dyn Tx, attempt: &Attempt<'_>, token: Token, known: &ReadState) -> Stepped {
        let &Attempt { asked, account, claim, .. } = attempt;
        let found = waiting(tx, SessionKey::Token(&token), asked.request.now)?;
        let row = found.ok_or(Refusal::SessionGone)?;
        if is_of_a_later_release(&row) {
            return Err(Refusal::LaterRelease.into());
        }
        let mut state = known.again(&row).ok_or(Refusal::SessionGone)?;
        if let Some(known) = self.repeated(asked, &row, &state, claim) {
            return Err(known.into());
        }
        if !goes_on(asked, &row, &state) {
            return Err(Refusal::SessionGone.into());
        }
        let device = tx.device_by_no(row.device)?.ok_or(Refusal::SessionGone)?;
        state.proven = !state.authenticated;
        let (device, chal) = if state.authenticated {
            (device, None)
        } else {
            let (device, next) = self.prove_again(asked, claim, account, device, &state)?;
            self.is_in_time(asked, account)?;
            // With the nonce for the next message.
            tx.put_device(&device)?;
            (device, next)
        };
        let message = attempt.message()?;
        let found = Found { message, account, row, state, device, claim, code: StatusCode::OK, chal };
        Ok(self.execute(tx, asked, found)?)
    }

    /// By its credential, in the session that its ids name, or in a new one.
    pub(super) fn enter(&self, tx: &mut dyn Tx, attempt: &Attempt<'_>, claim: &Claim<'_>) -> Stepped {
        let &Attempt { asked, account, .. } = attempt;
        let device = device_of(tx, asked)?;
        let ids = SessionKey::Ids(device.device, asked.header.session_id.as_str());
        let session = waiting(tx, ids, asked.request.now)?;
        // The same bytes carry the credential that was good then; its nonce is used up since.
        if let Some(row) = &session
            && let Some(state) =
                read_state(row).filter(|state| state.proven && self.opened(asked, state, &claim.verifiers))
            && let Some(known @ Admission::Reply(_)) = self.repeated(asked, row, &state, Some(claim))
        {
            return Err(known.into());
        }
        let (mut device, chal) = self.prove(asked, claim, account, device)?;
        if !self.keep_device(tx, asked, &mut device)? {
            return Err(Admission::Refused(StatusCode::DEVICE_FULL, None).into());
        }
        let message = attempt.message()?;
        let first = asked.header.msg_id.0 == 1;
        if !first && session.as_ref().is_some_and(is_of_a_later_release) {
            return Err(Refusal::LaterRelease.into());
        }
        if let Some(row) = session
            && let Some(mut state) = read_state(&row)
        {
            // An old first message begins anew; any other old message is not done again.
            let known = self.repeated(asked, &row, &state, Some(claim));
            if let Some(known) = known.filter(|_| !first) {
                return Ok((Verdict::Commit, known));
            }
            // With another scheme it is another session (§5.3), and another sync is one, too.
            let another = || begins_anew(message, &state, &self.config.profiles.manners(&state.rules));
            if goes_on(asked, &row, &state) && state.trust.keeps(claim.presented.scheme()) && !another() {
                state.proven = true;
                state.trust.open(claim.login(), asked.keys.mark(&claim.verifiers, asked.request.now));
                let (code, claim) = (StatusCode::OK, Some(claim));
                return Ok(self.execute(
                    tx,
                    asked,
                    Found { message, account, row, state, device, claim, code, chal },
                )?);
            }
        }
        let (row, state) = self.open_session(tx, attempt, claim, &device)?;
        let code = if state.authenticated { StatusCode::AUTHENTICATED } else { StatusCode::OK };
        let claim = Some(claim);
        Ok(self.execute(tx, asked, Found { message, account, row, state, device, claim, code, chal })?)
    }

    /// A session of a device that has proven itself; it has a few at most.
    fn open_session(
        &self,
        tx: &mut dyn Tx,
        attempt: &Attempt<'_>,
        claim: &Claim<'_>,
        device: &DeviceRow,
    ) -> crate::store::Result<(SessionRow, State)> {
        let &Attempt { asked, account, .. } = attempt;
        let now = asked.request.now;
        tx.expire_sessions(now)?;
        if tx.count_sessions(device.device)? >= self.config.max_sessions {
            // Those without a book have nothing to lose; of the others there is one for each book at most.
            tx.drop_rival_sessions(device.device, &[], &Token([0; 16]))?;
        }
        let session_id = asked.header.session_id.as_str();
        let token = asked.keys.token(account.0, device.device.0, session_id, device.nonce_count, now);
        let (row, mut state) = self.new_session(asked, account, device, token);
        let scheme = claim.presented.scheme();
        state.trust.keep(scheme);
        state.trust.open(claim.login(), asked.keys.mark(&claim.verifiers, now));
        // A MAC is of one message: each has its own (§5.6).
        state.authenticated &= scheme != Scheme::Mac;
        Ok((row, state))
    }

    /// Keeps a device that has proven itself; `false` of one more than the account may have.
    pub(super) fn keep_device(
        &self,
        tx: &mut dyn Tx,
        asked: &Asked<'_>,
        device: &mut DeviceRow,
    ) -> crate::store::Result<bool> {
        let is_new = device.device == DeviceNo::NEW;
        if is_new && tx.devices()?.len() >= self.config.max_devices {
            return Ok(false);
        }
        device.device = tx.put_device(device)?;
        if is_new {
            let name = format!("device {}", device.device);
            tx.audit(&AuditRow::new(asked.request.now, name.clone(), audit::DEVICE_CREATED, name))?;
        }
        Ok(true)
    }

    pub(super) fn step(
        &self,
        account: AccountNo,
        work: &mut dyn FnMut(&mut dyn Tx) -> crate::store::Result<Verdict>,
    ) -> Result<(), Refusal> {
        let _place = self.waiting.enter(account, self.config.max_waiting).ok_or(Refusal::Overloaded)?;
        let began = self.metrics.clock();
        let done = self.store.step(account, work).map_err(unavailable);
        if let (Some(began), Some(ended)) = (began, self.metrics.clock()) {
            self.metrics.observe(Histogram::StepSeconds, &[], ended.saturating_sub(began).as_secs_f64());
        }
        done
    }
}

/// The device that speaks, or a new one.
pub(super) fn device_of(tx: &mut dyn Tx, asked: &Asked<'_>) -> crate::store::Result<DeviceRow> {
    let device_id = &asked.header.source.uri;
    Ok(tx.device(device_id)?.unwrap_or_else(|| DeviceRow::new(device_id, asked.request.now)))
}

pub(super) fn unavailable(error: StoreError) -> Refusal {
    match error {
        StoreError::Unwritable(why) => Refusal::Unanswerable(why),
        StoreError::Corrupt(_) | StoreError::TooNew { .. } | StoreError::NotFound(_) => Refusal::Failed(error),
        passing => Refusal::Unavailable(passing),
    }
}
