//! Letting a message in: whose it is, whether it was answered before, and then its step (DESIGN "The message step").
//!
//! With the token of a session's RespURI, the session answers for the speaker; without, the credential must. Nothing is
//! written before that is settled, and a refusal leaves no trace (I10).

use super::anew::begins_anew;
use super::found::{Found, ReadState, goes_on, is_of_a_later_release, read_message, read_state, waiting};
use super::prove::Claim;
use super::tell::Done;
use super::{Admission, Asked, Refusal, Reply, Server};
use crate::auth::{Presented, Scheme, Verifier, parse_token, token_in, verify};
use crate::codec::{Encoding, Limits};
use crate::message::StatusCode;
use crate::session::metrics::Histogram;
use crate::session::state::State;
use crate::store::{
    AccountNo, AuditRow, DeviceNo, DeviceRow, SessionKey, SessionRow, StoreError, Token, Tx, Verdict, audit,
};

impl Server {
    pub(super) fn admit(&self, asked: &Asked<'_>, limits: &Limits) -> Result<Admission, Refusal> {
        let claim = match asked.presented() {
            // Nobody is looked at for a scheme that is not taken.
            Ok(Some(presented)) if !self.policy().knows(presented.scheme()) => {
                return self.demand(asked, asked.denied(StatusCode::UNSUPPORTED_FEATURE));
            }
            Ok(Some(presented)) => Some(self.claim(presented)?),
            Ok(None) => None,
            Err(error) => return self.demand(asked, asked.denied(error.status())),
        };
        let token = self.token(asked);
        if let Some((account, token)) = &token
            && let Some(admission) = self.admit_token(asked, limits, *account, *token, claim.as_ref())?
        {
            return Ok(admission);
        }
        match &claim {
            // Perhaps a new session at an old address; it must authenticate like any other.
            Some(claim) => self.slowly(asked, claim, || self.admit_claim(asked, limits, claim)),
            None if token.is_some() && asked.header.msg_id.0 != 1 => Err(Refusal::SessionGone),
            None => self.demand(asked, asked.denied(StatusCode::MISSING_CREDENTIALS)),
        }
    }

    /// Looks at a credential, unless its name failed too often from there: then not even that is done for a while. The
    /// counter is all that a failure leaves behind (I10).
    fn slowly(
        &self,
        asked: &Asked<'_>,
        claim: &Claim<'_>,
        look: impl FnOnce() -> Result<Admission, Refusal>,
    ) -> Result<Admission, Refusal> {
        if self.is_slowed(asked, claim) {
            asked.note_slowed();
            return self.demand(asked, claim.denied());
        }
        let name = claim.presented.suspect();
        let address = asked.request.address.unwrap_or_default();
        let now = asked.request.now;
        let admission = look()?;
        match &admission {
            Admission::Refused(StatusCode::INVALID_CREDENTIALS, _) => {
                self.attempts.failed(name, address, asked.credential(), now);
                asked.note_wait(self.attempts.wait(name, address, now));
            }
            Admission::Reply(_) => self.attempts.succeeded(name, address),
            Admission::Refused(..) => {}
        }
        Ok(admission)
    }

    fn is_slowed(&self, asked: &Asked<'_>, claim: &Claim<'_>) -> bool {
        let address = asked.request.address.unwrap_or_default();
        self.attempts.wait(claim.presented.suspect(), address, asked.request.now).is_some()
    }

    /// The session named by the URL that the message was posted to, or by the address it gives as its target.
    fn token(&self, asked: &Asked<'_>) -> Option<(AccountNo, Token)> {
        let in_target = || token_in(&asked.header.target.uri);
        let text = asked.request.token.or_else(in_target)?;
        let (account, token) = parse_token(text)?;
        Some((AccountNo(account), Token(token)))
    }

    /// A message with a session's token; `None` when there is no such session any more.
    fn admit_token(
        &self,
        asked: &Asked<'_>,
        limits: &Limits,
        account: AccountNo,
        token: Token,
        claim: Option<&Claim<'_>>,
    ) -> Result<Option<Admission>, Refusal> {
        // Anybody may make up a token; only one that is known is worth a step.
        let (mut known, mut later) = (None, false);
        let look = self.store.look(account, &mut |tx| {
            let Some(row) = waiting(tx, SessionKey::Token(&token), asked.request.now)? else { return Ok(()) };
            // Whose it is stands beside it, too.
            later = is_of_a_later_release(&row)
                && tx.device_by_no(row.device)?.is_some_and(|device| device.device_id == asked.header.source.uri);
            known = ReadState::of(row);
            Ok(())
        });
        look.map_err(unavailable)?;
        if later {
            return Err(Refusal::LaterRelease);
        }
        // An address is of one device, and good for as long as what opened the session is.
        let Some(known) = known.filter(|known| known.state.peer.0 == asked.header.source.uri) else { return Ok(None) };
        asked.note_account(account);
        if known.state.authenticated {
            if !self.still_opens(asked, &known.state, account)? {
                return Ok(None);
            }
            if let Some(claim) = claim
                && (claim.is_static() && self.is_slowed(asked, claim) || claim.is_of_another(account))
            {
                return self.slowly(asked, claim, || self.demand(asked, claim.denied())).map(Some);
            }
            self.is_in_time(asked, account)?;
        }
        // Before the step, which others may wait for.
        let read = read_message(asked, limits);
        let mut outcome = Err(Refusal::SessionGone);
        let mut denied = None;
        self.step(account, &mut |tx: &mut dyn Tx| {
            (outcome, denied) = (Err(Refusal::SessionGone), None);
            let found = waiting(tx, SessionKey::Token(&token), asked.request.now)?;
            let Some(row) = found else { return Ok(Verdict::Rollback) };
            if is_of_a_later_release(&row) {
                outcome = Err(Refusal::LaterRelease);
                return Ok(Verdict::Rollback);
            }
            let Some(state) = known.again(&row) else { return Ok(Verdict::Rollback) };
            if let Some(known) = self.repeated(asked, &row, &state, claim) {
                outcome = Ok(known);
                return Ok(Verdict::Rollback);
            }
            if !goes_on(asked, &row, &state) {
                return Ok(Verdict::Rollback);
            }
            let Some(device) = tx.device_by_no(row.device)? else { return Ok(Verdict::Rollback) };
            let mut state = state;
            state.proven = !state.authenticated;
            let (device, next) = if state.authenticated {
                (device, None)
            } else {
                match self.prove_again(asked, claim, account, device, &state) {
                    Ok((device, next)) => match self.is_in_time(asked, account) {
                        Ok(()) => {
                            // With the nonce for the next message.
                            tx.put_device(&device)?;
                            (device, next)
                        }
                        Err(refusal) => {
                            outcome = Err(refusal);
                            return Ok(Verdict::Rollback);
                        }
                    },
                    Err(refused) => {
                        denied = Some(refused);
                        return Ok(Verdict::Rollback);
                    }
                }
            };
            let message = match &read {
                Ok(message) => message,
                Err(code) => {
                    outcome = Ok(Admission::Refused(*code, None));
                    return Ok(Verdict::Rollback);
                }
            };
            let code = StatusCode::OK;
            let found = Found { message, account, row, state, device, claim, code, chal: next };
            let (verdict, admission) = self.execute(tx, asked, found)?;
            outcome = Ok(admission);
            Ok(verdict)
        })?;
        match (denied, outcome) {
            (Some(denied), _) => self.demand(asked, denied).map(Some),
            (None, Err(Refusal::SessionGone)) => Ok(None),
            (None, outcome) => outcome.map(Some),
        }
    }

    /// The reply to a message that was answered before: it is given again even when there is too much to do for anything
    /// else, or a device whose reply was lost would give the session up.
    pub(super) fn answered_before(&self, asked: &Asked<'_>) -> Result<Option<Reply>, Refusal> {
        let Some((account, token)) = self.token(asked) else { return Ok(None) };
        let claim = match asked.presented() {
            Ok(Some(presented)) => Some(self.claim(presented)?),
            Ok(None) => None,
            Err(_) => return Ok(None),
        };
        let mut found = None;
        let look = self.store.look(account, &mut |tx| {
            found = waiting(tx, SessionKey::Token(&token), asked.request.now)?
                .and_then(|row| Some((read_state(&row)?, row)));
            Ok(())
        });
        look.map_err(unavailable)?;
        let Some((state, row)) = found.filter(|(state, _)| state.peer.0 == asked.header.source.uri) else {
            return Ok(None);
        };
        if state.authenticated && !self.still_opens(asked, &state, account)? {
            return Ok(None);
        }
        match self.repeated(asked, &row, &state, claim.as_ref()) {
            Some(Admission::Reply(reply)) => Ok(Some(reply)),
            _ => Ok(None),
        }
    }

    /// A message with a credential and no session's token.
    fn admit_claim(&self, asked: &Asked<'_>, limits: &Limits, claim: &Claim<'_>) -> Result<Admission, Refusal> {
        if let Some(admission) = self.poll(asked, limits, claim)? {
            return Ok(admission);
        }
        let Some(account) = claim.account else {
            // The same work and the same answer as for a wrong secret. A platform that is who it says, and asks for an
            // account that it was not granted, is told no more.
            let nonces = asked.keys.candidates(&asked.place(), 0, None, asked.request.now);
            let known: &[Verifier] = match claim.presented {
                Presented::Device { .. } => &claim.verifiers,
                _ => &[],
            };
            std::hint::black_box(verify(&claim.presented, known, &nonces.as_slices()));
            return self.demand(asked, claim.denied());
        };
        asked.note_account(account);
        let device_id = &asked.header.source.uri;
        let device = |tx: &mut dyn Tx| -> crate::store::Result<DeviceRow> {
            Ok(tx.device(device_id)?.unwrap_or_else(|| DeviceRow::new(device_id, asked.request.now)))
        };
        // A wrong credential is refused without a writer's lock, unless these bytes were answered before.
        let first = asked.header.msg_id.0 == 1;
        let (mut refused, mut later) = (None, false);
        let look = self.store.look(account, &mut |tx| {
            let device = device(tx)?;
            let ids = SessionKey::Ids(device.device, asked.header.session_id.as_str());
            let session = waiting(tx, ids, asked.request.now)?;
            let answered =
                |row: &SessionRow| row.last_digest == asked.digest || row.recent_digests.contains(&asked.digest);
            let known = session.as_ref().is_some_and(answered);
            refused = if known { None } else { self.prove(asked, claim, account, device).err() };
            later = session.as_ref().is_some_and(is_of_a_later_release) && (known || !first);
            Ok(())
        });
        look.map_err(unavailable)?;
        if let Some(refused) = refused {
            return self.demand(asked, refused);
        }
        if later {
            return Err(Refusal::LaterRelease);
        }
        self.is_in_time(asked, account)?;
        let read = read_message(asked, limits);
        let mut outcome = Err(Refusal::SessionGone);
        let mut denied = None;
        self.step(account, &mut |tx| {
            (outcome, denied) = (Err(Refusal::SessionGone), None);
            let device = device(tx)?;
            let session_id = asked.header.session_id.as_str();
            // The same bytes carry the credential that was good then; its nonce is used up since.
            let session = waiting(tx, SessionKey::Ids(device.device, session_id), asked.request.now)?;
            if let Some(row) = &session
                && let Some(state) =
                    read_state(row).filter(|state| state.proven && self.opened(asked, state, &claim.verifiers))
                && let Some(known @ Admission::Reply(_)) = self.repeated(asked, row, &state, Some(claim))
            {
                outcome = Ok(known);
                return Ok(Verdict::Rollback);
            }
            let (mut device, next) = match self.prove(asked, claim, account, device) {
                Ok(proven) => proven,
                Err(refused) => {
                    denied = Some(refused);
                    return Ok(Verdict::Rollback);
                }
            };
            if !self.keep_device(tx, asked, &mut device)? {
                outcome = Ok(Admission::Refused(StatusCode::DEVICE_FULL, None));
                return Ok(Verdict::Rollback);
            }
            let message = match &read {
                Ok(message) => message,
                Err(code) => {
                    outcome = Ok(Admission::Refused(*code, None));
                    return Ok(Verdict::Rollback);
                }
            };
            let scheme = claim.presented.scheme();
            if session.as_ref().is_some_and(|row| !first && is_of_a_later_release(row)) {
                outcome = Err(Refusal::LaterRelease);
                return Ok(Verdict::Rollback);
            }
            if let Some(row) = session
                && let Some(mut state) = read_state(&row)
            {
                // An old first message begins anew; any other old message is not done again.
                let known = self.repeated(asked, &row, &state, Some(claim));
                if let Some(known) = known.filter(|_| !first) {
                    outcome = Ok(known);
                    return Ok(Verdict::Commit);
                }
                // With another scheme it is another session (§5.3), and another sync is one, too.
                let another = || begins_anew(message, &state, &self.config.profiles.manners(&state.rules));
                if goes_on(asked, &row, &state) && state.trust.keeps(scheme) && !another() {
                    state.proven = true;
                    state.trust.open(claim.login(), asked.keys.mark(&claim.verifiers, asked.request.now));
                    let (code, claim) = (StatusCode::OK, Some(claim));
                    let found = Found { message, account, row, state, device, claim, code, chal: next };
                    let (verdict, admission) = self.execute(tx, asked, found)?;
                    outcome = Ok(admission);
                    return Ok(verdict);
                }
            }
            tx.expire_sessions(asked.request.now)?;
            if tx.count_sessions(device.device)? >= self.config.max_sessions {
                // Those without a book have nothing to lose; of the others there is one for each book at most.
                tx.drop_rival_sessions(device.device, &[], &Token([0; 16]))?;
            }
            let token = asked.keys.token(account.0, device.device.0, session_id, device.nonce_count, asked.request.now);
            let (row, mut state) = self.new_session(asked, account, &device, token);
            state.trust.keep(scheme);
            state.trust.open(claim.login(), asked.keys.mark(&claim.verifiers, asked.request.now));
            // A MAC is of one message: each has its own (§5.6).
            state.authenticated &= scheme != Scheme::Mac;
            let code = if state.authenticated { StatusCode::AUTHENTICATED } else { StatusCode::OK };
            let found = Found { message, account, row, state, device, claim: Some(claim), code, chal: next };
            let (verdict, admission) = self.execute(tx, asked, found)?;
            outcome = Ok(admission);
            Ok(verdict)
        })?;
        match denied {
            Some(denied) => self.demand(asked, denied),
            None => outcome,
        }
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

    /// What was answered before is answered again, byte for byte; an older message is not done again.
    fn repeated(
        &self,
        asked: &Asked<'_>,
        row: &SessionRow,
        state: &State,
        claim: Option<&Claim<'_>>,
    ) -> Option<Admission> {
        if row.last_msg_id == asked.header.msg_id.0 && row.last_digest == asked.digest {
            let content_type = Encoding::from_content_type(&row.reply_type)?.media_type();
            let body = row.last_reply.clone();
            // The digest covers the MAC: it was good then.
            let mac = claim.filter(|_| state.trust.is_mac());
            let mac = mac.and_then(|claim| self.sign(asked, claim, claim.account?, &body));
            asked.note(Done::Again);
            return Some(Admission::Reply(Reply { content_type, body, mac, report: None }));
        }
        row.recent_digests.contains(&asked.digest).then_some(Admission::Refused(StatusCode::CONFLICT, None))
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

pub(super) fn unavailable(error: StoreError) -> Refusal {
    match error {
        StoreError::Unwritable(why) => Refusal::Unanswerable(why),
        StoreError::Corrupt(_) | StoreError::TooNew { .. } | StoreError::NotFound(_) => Refusal::Failed(error),
        passing => Refusal::Unavailable(passing),
    }
}
