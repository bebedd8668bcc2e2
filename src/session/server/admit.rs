//! Letting a message in: whose it is, whether it was answered before, and then its step (DESIGN "The message step").
//!
//! With the token of a session's RespURI, the session answers for the speaker; without, the credential must. Nothing is
//! written before that is settled, and a refusal leaves no trace (I10).

use super::attempt::{Attempt, device_of, unavailable};
use super::found::{ReadState, is_of_a_later_release, read_message, read_state, waiting};
use super::prove::{Claim, Denied};
use super::tell::Done;
use super::{Admission, Asked, Refusal, Reply, Server};
use crate::auth::{Presented, Verifier, parse_token, token_in, verify};
use crate::codec::{Encoding, Limits};
use crate::message::StatusCode;
use crate::session::state::State;
use crate::store::{AccountNo, SessionKey, SessionRow, Token};

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
        let Some(known) = self.session_of(asked, account, token)? else { return Ok(None) };
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
        let attempt = Attempt { asked, account, claim, read: read_message(asked, limits) };
        match self.attempt(&attempt, &|tx| self.go_on(tx, &attempt, token, &known)) {
            Err(Refusal::SessionGone) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// The session of a token, looked at without a step: anybody may make one up. An address is of one device, and good for as
    /// long as what opened the session is.
    fn session_of(&self, asked: &Asked<'_>, account: AccountNo, token: Token) -> Result<Option<ReadState>, Refusal> {
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
        Ok(known.filter(|known| known.state.peer.0 == asked.header.source.uri))
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
        let Some(account) = claim.account else { return self.demand_of_stranger(asked, claim) };
        asked.note_account(account);
        if let Some(denied) = self.look_at(asked, claim, account)? {
            return self.demand(asked, denied);
        }
        self.is_in_time(asked, account)?;
        let attempt = Attempt { asked, account, claim: Some(claim), read: read_message(asked, limits) };
        self.attempt(&attempt, &|tx| self.enter(tx, &attempt, claim))
    }

    /// The same work and the same answer as for a wrong secret. A platform that is who it says, and asks for an account that
    /// it was not granted, is told no more.
    fn demand_of_stranger(&self, asked: &Asked<'_>, claim: &Claim<'_>) -> Result<Admission, Refusal> {
        let nonces = asked.keys.candidates(&asked.place(), 0, None, asked.request.now);
        let known: &[Verifier] = match claim.presented {
            Presented::Device { .. } => &claim.verifiers,
            _ => &[],
        };
        std::hint::black_box(verify(&claim.presented, known, &nonces.as_slices()));
        self.demand(asked, claim.denied())
    }

    /// A wrong credential is refused without a writer's lock, unless these bytes were answered before.
    fn look_at(&self, asked: &Asked<'_>, claim: &Claim<'_>, account: AccountNo) -> Result<Option<Denied>, Refusal> {
        let first = asked.header.msg_id.0 == 1;
        let (mut denied, mut later) = (None, false);
        let look = self.store.look(account, &mut |tx| {
            let device = device_of(tx, asked)?;
            let ids = SessionKey::Ids(device.device, asked.header.session_id.as_str());
            let session = waiting(tx, ids, asked.request.now)?;
            let answered =
                |row: &SessionRow| row.last_digest == asked.digest || row.recent_digests.contains(&asked.digest);
            let known = session.as_ref().is_some_and(answered);
            denied = if known { None } else { self.prove(asked, claim, account, device).err() };
            later = session.as_ref().is_some_and(is_of_a_later_release) && (known || !first);
            Ok(())
        });
        look.map_err(unavailable)?;
        if denied.is_none() && later { Err(Refusal::LaterRelease) } else { Ok(denied) }
    }

    /// What was answered before is answered again, byte for byte; an older message is not done again.
    pub(super) fn repeated(
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
}
