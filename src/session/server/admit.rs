//! Letting a message in: whose it is, whether it was answered before, and then its step (DESIGN "The message step").
//!
//! With the token of a session's RespURI, the session answers for the speaker; without, the credential must. Nothing is
//! written before that is settled, and a refusal leaves no trace (I10).

use super::prove::Claim;
use super::step::{SETTLE_BUDGET, Step, Stepped};
use super::tell::{Before, Done, Told};
use super::{Admission, Asked, Refusal, Reply, Server};
use crate::auth::{Presented, Scheme, Verifier, parse_token, token_parameter, token_text, verify};
use crate::codec::{Encoding, Limits, decode};
use crate::message::{Chal, Message, StatusCode, Timestamp, Version};
use crate::session::metrics::Histogram;
use crate::session::receive::Quota;
use crate::session::state::{Package, STATE_VERSION, State};
use crate::session::turn::{Turn, broken, unfold};
use crate::store::{AccountNo, BookNo, DeviceRow, SessionKey, SessionRow, StoreError, Token, Tx, Verdict};
use crate::sync::Role;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Digests kept of a session's earlier requests.
const RECENT: usize = 4;

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
        let attempts = || self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let admission = look()?;
        match &admission {
            Admission::Refused(StatusCode::INVALID_CREDENTIALS, _) => {
                let mut attempts = attempts();
                attempts.failed(name, address, asked.credential(), now);
                asked.note_wait(attempts.wait(name, address, now));
            }
            Admission::Reply(_) => attempts().succeeded(name, address),
            Admission::Refused(..) => {}
        }
        Ok(admission)
    }

    fn is_slowed(&self, asked: &Asked<'_>, claim: &Claim<'_>) -> bool {
        let address = asked.request.address.unwrap_or_default();
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.wait(claim.presented.suspect(), address, asked.request.now).is_some()
    }

    /// The session named by the URL that the message was posted to, or by the address it gives as its target.
    fn token(&self, asked: &Asked<'_>) -> Option<(AccountNo, Token)> {
        let in_target = || asked.header.target.uri.split_once('?').and_then(|(_, query)| token_parameter(query));
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
        let mut known = None;
        let look = self.store.look(account, &mut |tx| {
            known = waiting(tx, SessionKey::Token(&token), asked.request.now)?.and_then(|row| read_state(&row));
            Ok(())
        });
        look.map_err(unavailable)?;
        // An address is of one device, and good for as long as what opened the session is.
        let Some(known) = known.filter(|state| state.peer.0 == asked.header.source.uri) else { return Ok(None) };
        asked.note_account(account);
        if known.authenticated {
            if !self.still_opens(&known, account)? {
                return Ok(None);
            }
            if let Some(claim) = claim
                && (claim.is_static() && self.is_slowed(asked, claim) || claim.is_of_another(account))
            {
                return self.slowly(asked, claim, || self.demand(asked, claim.denied())).map(Some);
            }
        }
        let mut outcome = Err(Refusal::SessionGone);
        let mut denied = None;
        self.step(account, &mut |tx: &mut dyn Tx| {
            (outcome, denied) = (Err(Refusal::SessionGone), None);
            let found = waiting(tx, SessionKey::Token(&token), asked.request.now)?;
            let Some(row) = found else { return Ok(Verdict::Rollback) };
            let Some(state) = read_state(&row) else { return Ok(Verdict::Rollback) };
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
                    Ok(proven) => proven,
                    Err(refused) => {
                        denied = Some(refused);
                        return Ok(Verdict::Rollback);
                    }
                }
            };
            let header_code = StatusCode::OK;
            self.execute(tx, asked, limits, row, state, device, header_code, next, claim, account, &mut outcome)
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
        if state.authenticated && !self.still_opens(&state, account)? {
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
            let nonces = self.nonces.candidates(&asked.place(), 0, None, asked.request.now);
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
        let mut refused = None;
        let look = self.store.look(account, &mut |tx| {
            let device = device(tx)?;
            let ids = SessionKey::Ids(device.device, asked.header.session_id.as_str());
            let session = waiting(tx, ids, asked.request.now)?;
            if !session.is_some_and(|row| row.last_digest == asked.digest || row.recent_digests.contains(&asked.digest))
            {
                refused = self.prove(asked, claim, account, device).err();
            }
            Ok(())
        });
        look.map_err(unavailable)?;
        if let Some(refused) = refused {
            return self.demand(asked, refused);
        }
        let mark = self.mark(claim);
        let mut outcome = Err(Refusal::SessionGone);
        let mut denied = None;
        self.step(account, &mut |tx| {
            (outcome, denied) = (Err(Refusal::SessionGone), None);
            let device = device(tx)?;
            let session_id = asked.header.session_id.as_str();
            // The same bytes carry the credential that was good then; its nonce is used up since.
            if let Some(row) = waiting(tx, SessionKey::Ids(device.device, session_id), asked.request.now)?
                && let Some(state) = read_state(&row).filter(|state| state.proven && state.trust.is_opened_by(&mark))
                && let Some(known @ Admission::Reply(_)) = self.repeated(asked, &row, &state, Some(claim))
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
            device.device = tx.put_device(&device)?;
            let scheme = claim.presented.scheme();
            if let Some(row) = waiting(tx, SessionKey::Ids(device.device, session_id), asked.request.now)?
                && let Some(mut state) = read_state(&row)
            {
                // An old first message begins anew; any other old message is not done again.
                let known = self.repeated(asked, &row, &state, Some(claim));
                if let Some(known) = known.filter(|_| asked.header.msg_id.0 != 1) {
                    outcome = Ok(known);
                    return Ok(Verdict::Commit);
                }
                // With another scheme it is another session (§5.3).
                if goes_on(asked, &row, &state) && state.trust.keeps(scheme) {
                    state.proven = true;
                    state.trust.open(claim.login(), mark);
                    let code = StatusCode::OK;
                    let claim = Some(claim);
                    return self.execute(
                        tx,
                        asked,
                        limits,
                        row,
                        state,
                        device,
                        code,
                        next,
                        claim,
                        account,
                        &mut outcome,
                    );
                }
            }
            tx.expire_sessions(asked.request.now)?;
            let token = Token(self.tokens.derive(account.0, device.device.0, session_id, device.nonce_count));
            let (row, mut state) = self.new_session(asked, account, &device, token);
            state.trust.keep(scheme);
            state.trust.open(claim.login(), mark);
            // A MAC is of one message: each has its own (§5.6).
            state.authenticated &= scheme != Scheme::Mac;
            let code = if state.authenticated { StatusCode::AUTHENTICATED } else { StatusCode::OK };
            self.execute(tx, asked, limits, row, state, device, code, next, Some(claim), account, &mut outcome)
        })?;
        match denied {
            Some(denied) => self.demand(asked, denied),
            None => outcome,
        }
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

    fn new_session(
        &self,
        asked: &Asked<'_>,
        account: AccountNo,
        device: &DeviceRow,
        token: Token,
    ) -> (SessionRow, State) {
        let header = asked.header;
        let own = header.target.uri.to_string();
        let version = header.version().unwrap_or(Version::V12);
        let peer = (header.source.uri.to_string(), header.source.name.as_ref().map(ToString::to_string));
        let mut state = State::new(Role::Server, version, peer, own.clone());
        let base = self.config.public_uri.clone().or_else(|| {
            let absolute = own.starts_with("http://") || own.starts_with("https://");
            absolute.then(|| own.split('?').next().unwrap_or_default().to_owned())
        });
        state.resp_uri = base.map(|base| format!("{base}?s={}", token_text(account.0, &token.0)));
        // Without an address of its own the session is only known by what the client chose, which anybody may guess: every
        // message must then bring its credential (200 instead of 212).
        state.authenticated = state.resp_uri.is_some();
        state.proven = true;
        state.began = asked.request.now.0;
        let row = SessionRow {
            token,
            device: device.device,
            session_id: header.session_id.as_str().to_owned(),
            books: Vec::new(),
            last_msg_id: 0,
            last_digest: [0; 32],
            recent_digests: Vec::new(),
            last_reply: Vec::new(),
            reply_type: String::new(),
            deferred_request: None,
            state_version: STATE_VERSION,
            state: Vec::new(),
            deadline: asked.request.now,
        };
        (row, state)
    }

    /// Executes the message in its session and stores the reply with what it did.
    #[allow(clippy::too_many_arguments)] // one call, from two doors; a struct for it would only rename the arguments
    fn execute(
        &self,
        tx: &mut dyn Tx,
        asked: &Asked<'_>,
        limits: &Limits,
        mut row: SessionRow,
        mut state: State,
        device: DeviceRow,
        header_code: StatusCode,
        chal: Option<Chal<'static>>,
        claim: Option<&Claim<'_>>,
        account: AccountNo,
        outcome: &mut Result<Admission, Refusal>,
    ) -> crate::store::Result<Verdict> {
        let message: Message<'_> = match decode(asked.request.body, asked.encoding, limits) {
            Ok(message) => Message { body: unfold(message.body), ..message },
            Err(_) => {
                *outcome = Ok(Admission::Refused(StatusCode::BAD_REQUEST, None));
                return Ok(Verdict::Rollback);
            }
        };
        if message.header.version() != Some(state.version) {
            *outcome = Ok(Admission::Refused(StatusCode::PROTOCOL_NOT_SUPPORTED, None));
            return Ok(Verdict::Rollback);
        }
        state.messages += 2;
        state.bytes_in += asked.request.body.len() as u64;
        let turn = Turn {
            role: Role::Server,
            device: row.device,
            token: row.token,
            now: asked.request.now,
            large: self.config.large(),
            guard: self.config.guard,
            quota: Quota {
                items: self.config.max_items.unwrap_or(u64::MAX),
                bytes: self.config.max_bytes.unwrap_or(u64::MAX),
            },
            archives: self.config.archives.clone(),
            manners: self.config.profiles.manners(&state.rules),
            rows: BTreeMap::new(),
            pairs: BTreeMap::new(),
            lenses: Default::default(),
        };
        let (before, was, begun) = (Before::of(&state.stores), state.package, row.last_msg_id == 0);
        let step = Step {
            config: &self.config,
            door: self.door(asked, account),
            encoding: asked.encoding,
            now: asked.request.now,
            message: &message,
            turn,
            state,
            device,
            header_code,
            chal,
            first: begun,
            statuses: Vec::new(),
            suspended: false,
            proving: false,
            budget: SETTLE_BUDGET,
            told: Told { device: row.device, begun, ..Told::default() },
        };
        let Stepped { reply, mut state, device, mut told, suspended } = step.run(tx)?;
        told.compare(&before, was, &state, suspended);
        state.bytes_out += reply.len() as u64;
        tx.put_device(&device)?;
        if row.last_msg_id != 0 {
            row.recent_digests.insert(0, row.last_digest);
            row.recent_digests.truncate(RECENT);
        }
        row.last_msg_id = asked.header.msg_id.0;
        row.last_digest = asked.digest;
        row.last_reply = reply;
        asked.encoding.media_type().clone_into(&mut row.reply_type);
        row.state_version = STATE_VERSION;
        row.state = serde_json::to_vec(&state).map_err(broken)?;
        row.deadline = asked.request.now.plus_seconds(self.config.session_seconds);
        // Who begins anew with a book has given up the session that had it.
        let books: Vec<BookNo> = state.stores.iter().map(|store| store.book).collect();
        if row.books != books {
            tx.drop_rival_sessions(row.device, &books, &row.token)?;
            row.books = books;
        }
        tx.put_session(&row)?;
        let report = (state.package == Package::Over).then(|| state.report());
        let body = row.last_reply;
        let mac = claim.filter(|_| state.trust.is_mac()).and_then(|claim| self.sign(asked, claim, account, &body));
        *outcome = Ok(Admission::Reply(Reply { content_type: asked.encoding.media_type(), body, mac, report }));
        asked.note(Done::Step(Box::new(told)));
        Ok(Verdict::Commit)
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

/// The session of that name, unless its time is over: nobody waits for it any more, whoever knows its address (§9.1).
fn waiting(tx: &mut dyn Tx, key: SessionKey<'_>, now: Timestamp) -> crate::store::Result<Option<SessionRow>> {
    Ok(tx.session(key)?.filter(|row| row.deadline >= now))
}

/// Whether a message continues a session: the next one, of a session that is not over.
fn goes_on(asked: &Asked<'_>, row: &SessionRow, state: &State) -> bool {
    let over = state.package == Package::Over && !state.owes_final;
    !over && asked.header.msg_id.0 > row.last_msg_id
}

fn read_state(row: &SessionRow) -> Option<State> {
    if row.state_version != STATE_VERSION {
        return None;
    }
    State::from_stored(&row.state)
}

pub(super) fn unavailable(error: StoreError) -> Refusal {
    match error {
        StoreError::Unwritable(why) => Refusal::Unanswerable(why),
        StoreError::Corrupt(_) | StoreError::TooNew { .. } | StoreError::NotFound(_) => Refusal::Failed(error),
        passing => Refusal::Unavailable(passing),
    }
}
