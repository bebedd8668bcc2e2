//! Letting a message in: whose it is, whether it was answered before, and then its step (DESIGN "The message step").
//!
//! With the token of a session's RespURI, the session answers for the speaker; without, the credential must. Nothing is
//! written before that is settled, and a refusal leaves no trace (I10).

use super::step::{SETTLE_BUDGET, Step};
use super::{Admission, Asked, Refusal, Reply, Server};
use crate::auth::{
    Challenge, MacHeader, Policy, Presented, Scheme, Transport, Verifier, formulas, parse_token, token_text, verify,
};
use crate::codec::{Encoding, Limits, decode};
use crate::message::{Chal, Message, StatusCode, Timestamp, Version};
use crate::session::receive::Quota;
use crate::session::state::{Package, STATE_VERSION, State};
use crate::session::turn::{Turn, broken, unfold};
use crate::session::{ServerIdentity, Speaker};
use crate::store::{AccountNo, BookNo, DeviceRow, SessionKey, SessionRow, StoreError, Token, Tx, Verdict};
use crate::sync::Role;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Digests kept of a session's earlier requests.
const RECENT: usize = 4;

/// A directory's word on a credential: the account it would open, and what it is checked against. For a speaker nobody
/// knows the account is one that does not exist, and nothing fits.
pub(super) struct Claim<'a> {
    pub(super) presented: Presented<'a>,
    pub(super) account: Option<AccountNo>,
    pub(super) verifiers: Vec<Verifier>,
}

impl Server {
    pub(super) fn admit(&self, asked: &Asked<'_>, limits: &Limits) -> Result<Admission, Refusal> {
        let claim = match asked.presented() {
            // Nobody is looked at for a scheme that is not taken.
            Ok(Some(presented)) if !self.policy().knows(presented.scheme()) => {
                return self.demand(asked, StatusCode::UNSUPPORTED_FEATURE);
            }
            Ok(Some(presented)) => Some(self.claim(presented)?),
            Ok(None) => None,
            Err(error) => return self.demand(asked, error.status()),
        };
        if let Some((account, token)) = self.token(asked) {
            return self.admit_token(asked, limits, account, token, claim.as_ref());
        }
        match claim {
            None => self.demand(asked, StatusCode::MISSING_CREDENTIALS),
            Some(claim) => self.admit_slowly(asked, limits, &claim),
        }
    }

    /// Lets a credential in, unless its name failed too often from there: then it is not even looked at for a while. The
    /// counter is all that a failure leaves behind (I10).
    fn admit_slowly(&self, asked: &Asked<'_>, limits: &Limits, claim: &Claim<'_>) -> Result<Admission, Refusal> {
        let name = claim.presented.suspect();
        let address = asked.request.address.unwrap_or_default();
        let now = asked.request.now;
        let attempts = || self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts().wait(name, address, now).is_some() {
            return self.demand(asked, StatusCode::INVALID_CREDENTIALS);
        }
        let admission = self.admit_claim(asked, limits, claim)?;
        match &admission {
            Admission::Refused(StatusCode::INVALID_CREDENTIALS, _) => {
                attempts().failed(name, address, asked.credential(), now);
            }
            Admission::Reply(_) => attempts().succeeded(name, address),
            Admission::Refused(..) => {}
        }
        Ok(admission)
    }

    /// The session named by the URL that the message was posted to, or by the address it gives as its target.
    fn token(&self, asked: &Asked<'_>) -> Option<(AccountNo, Token)> {
        let in_target = || token_parameter(&asked.header.target.uri);
        let text = asked.request.token.or_else(in_target)?;
        let (account, token) = parse_token(text)?;
        Some((AccountNo(account), Token(token)))
    }

    fn claim<'a>(&self, presented: Presented<'a>) -> Result<Claim<'a>, Refusal> {
        let directory = self.store.directory();
        let (account, verifiers) = match &presented {
            Presented::Device { device_id, account, .. } => {
                let principal = directory.principal(device_id).map_err(unavailable)?;
                let granted = match account {
                    Some(account) => directory.granted(device_id, account).map_err(unavailable)?,
                    None => None,
                };
                (granted, principal.map(|principal| principal.verifiers).unwrap_or_default())
            }
            _ => {
                let login = match presented.user() {
                    Some(user) => directory.login(user).map_err(unavailable)?,
                    None => None,
                };
                match login {
                    Some(login) => (Some(login.account), vec![login.verifier]),
                    None => (None, Vec::new()),
                }
            }
        };
        Ok(Claim { presented, account, verifiers })
    }

    /// A message with a session's token.
    fn admit_token(
        &self,
        asked: &Asked<'_>,
        limits: &Limits,
        account: AccountNo,
        token: Token,
        claim: Option<&Claim<'_>>,
    ) -> Result<Admission, Refusal> {
        let mut outcome = Err(Refusal::SessionGone);
        // Anybody may make up a token; only one that is known is worth a step.
        let mut known = false;
        let look = self.store.look(account, &mut |tx| {
            known = waiting(tx, SessionKey::Token(&token), asked.request.now)?.is_some();
            Ok(())
        });
        look.map_err(unavailable)?;
        let work = &mut |tx: &mut dyn Tx| {
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
            let (header_code, device, next) = if state.authenticated {
                (StatusCode::OK, device, None)
            } else {
                match self.prove_again(asked, claim, account, device, &state) {
                    Ok((device, next)) => (StatusCode::OK, device, next),
                    Err(refused) => {
                        outcome = Ok(*refused);
                        return Ok(Verdict::Rollback);
                    }
                }
            };
            self.execute(tx, asked, limits, row, state, device, header_code, next, claim, account, &mut outcome)
        };
        if known {
            self.step(account, work)?;
        }
        match (outcome, claim) {
            // A new session at an old address; it must authenticate like any other.
            (Err(Refusal::SessionGone), Some(claim)) => self.admit_slowly(asked, limits, claim),
            (Err(Refusal::SessionGone), None) if asked.header.msg_id.0 == 1 => {
                self.demand(asked, StatusCode::MISSING_CREDENTIALS)
            }
            (outcome, _) => outcome,
        }
    }

    /// A message with a credential and no session's token.
    fn admit_claim(&self, asked: &Asked<'_>, limits: &Limits, claim: &Claim<'_>) -> Result<Admission, Refusal> {
        if let Some(admission) = self.poll(asked, limits, claim)? {
            return Ok(admission);
        }
        let Some(account) = claim.account else {
            // The same work and the same answer as for a wrong secret.
            let nonces = self.nonces.candidates(&asked.header.source, 0, None, asked.request.now);
            let known: &[Verifier] = match claim.presented {
                Presented::Device { .. } => &claim.verifiers,
                _ => &[],
            };
            let proven = verify(&claim.presented, known, &nonces.as_slices()).is_some();
            // A platform that is who it says, and asks for an account that it was not granted, is told no more.
            let _ = proven;
            return self.demand(asked, StatusCode::INVALID_CREDENTIALS);
        };
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
                refused = self.prove(asked, Some(claim), account, device).err();
            }
            Ok(())
        });
        look.map_err(unavailable)?;
        if let Some(refused) = refused {
            return Ok(*refused);
        }
        let mut outcome = Err(Refusal::SessionGone);
        self.step(account, &mut |tx| {
            let device = device(tx)?;
            let session_id = asked.header.session_id.as_str();
            // The same bytes carry the credential that was good then; its nonce is used up since.
            if let Some(row) = waiting(tx, SessionKey::Ids(device.device, session_id), asked.request.now)?
                && let Some(state) = read_state(&row).filter(|state| state.proven)
                && let Some(known @ Admission::Reply(_)) = self.repeated(asked, &row, &state, Some(claim))
            {
                outcome = Ok(known);
                return Ok(Verdict::Rollback);
            }
            let (mut device, next) = match self.prove(asked, Some(claim), account, device) {
                Ok(proven) => proven,
                Err(refused) => {
                    outcome = Ok(*refused);
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
            // A MAC is of one message: each has its own (§5.6).
            state.authenticated &= scheme != Scheme::Mac;
            let code = if state.authenticated { StatusCode::AUTHENTICATED } else { StatusCode::OK };
            self.execute(tx, asked, limits, row, state, device, code, next, Some(claim), account, &mut outcome)
        })?;
        outcome
    }

    /// Checks a credential. On success the device's count is raised, so that the nonce works once.
    pub(super) fn prove(
        &self,
        asked: &Asked<'_>,
        claim: Option<&Claim<'_>>,
        account: AccountNo,
        mut device: DeviceRow,
    ) -> Result<(DeviceRow, Option<Chal<'static>>), Box<Admission>> {
        let source = &asked.header.source;
        let now = asked.request.now;
        let count = device.nonce_count;
        let refused = |code, scheme| Box::new(Admission::Refused(code, Some(self.challenge(asked, scheme, count))));
        let Some(claim) = claim else { return Err(refused(StatusCode::MISSING_CREDENTIALS, None)) };
        let scheme = claim.presented.scheme();
        let nonces = self.nonces.candidates(source, count, device.nonce_out.as_deref(), now);
        let proof = verify(&claim.presented, &claim.verifiers, &nonces.as_slices());
        match proof {
            Some(_) if claim.account == Some(account) && self.policy().accepts(scheme, transport(asked)) => {
                let accepted = self.nonces.accepted(source, count, now);
                device.nonce_count = accepted.count;
                device.nonce_out = Some(accepted.next.as_bytes().to_vec());
                device.last_seen = now;
                // Who presented a basic credential is shown the better way for next time.
                let next = self.policy().challenge(Some(scheme), transport(asked));
                let next = next.wants_nonce().then(|| Challenge::new(next, accepted.next.as_bytes()).to_chal());
                Ok((device, next))
            }
            _ => Err(refused(StatusCode::INVALID_CREDENTIALS, Some(scheme))),
        }
    }

    /// The same in a session that has begun: its scheme stays (§5.3).
    fn prove_again(
        &self,
        asked: &Asked<'_>,
        claim: Option<&Claim<'_>>,
        account: AccountNo,
        device: DeviceRow,
        state: &State,
    ) -> Result<(DeviceRow, Option<Chal<'static>>), Box<Admission>> {
        let spoken = claim.map(|claim| claim.presented.scheme());
        if spoken.is_none_or(|scheme| !state.trust.keeps(scheme)) {
            let code = if claim.is_some() { StatusCode::INVALID_CREDENTIALS } else { StatusCode::MISSING_CREDENTIALS };
            let scheme = state.trust.scheme().or(spoken);
            let chal = self.challenge(asked, scheme, device.nonce_count);
            return Err(Box::new(Admission::Refused(code, Some(chal))));
        }
        self.prove(asked, claim, account, device)
    }

    /// The header of the answer to a message that was let in by its MAC: made with the server's own secret, if it has one
    /// for this device, else with the login's.
    pub(super) fn sign(&self, asked: &Asked<'_>, claim: &Claim<'_>, account: AccountNo, body: &[u8]) -> Option<String> {
        let (Presented::Mac { user, .. }, Some(request)) = (&claim.presented, &asked.mac) else { return None };
        let own = self.host.identity(&Speaker { account, device_id: &asked.header.source.uri });
        let (name, hash) = match own {
            Some(ServerIdentity { name, secret }) => {
                let hash = formulas::login_hash(&name, &secret);
                (name, hash)
            }
            None => (user.to_string(), claim.verifiers.first()?.login_hash(user)?),
        };
        Some(MacHeader::answering(request, &name, &hash, body).to_string())
    }

    /// A challenge, without having looked at anybody.
    fn demand(&self, asked: &Asked<'_>, code: StatusCode) -> Result<Admission, Refusal> {
        let scheme = asked.presented().ok().flatten().map(|presented| presented.scheme());
        // Who names an account that exists gets that device's own challenge, so that the next message can succeed.
        let mut count = 0;
        let login = match &asked.header.source.name {
            Some(name) => self.store.directory().login(name).map_err(unavailable)?,
            None => None,
        };
        if let Some(login) = login {
            let look = self.store.look(login.account, &mut |tx| {
                count = tx.device(&asked.header.source.uri)?.map_or(0, |device| device.nonce_count);
                Ok(())
            });
            look.map_err(unavailable)?;
        }
        Ok(Admission::Refused(code, Some(self.challenge(asked, scheme, count))))
    }

    fn challenge(&self, asked: &Asked<'_>, scheme: Option<Scheme>, count: i64) -> Chal<'static> {
        let nonce = self.nonces.challenge(&asked.header.source, count, asked.request.now);
        let wanted = self.policy().challenge(scheme, transport(asked));
        Challenge::new(wanted, nonce.as_bytes()).to_chal()
    }

    pub(super) const fn policy(&self) -> Policy {
        Policy {
            allow_basic: self.config.allow_basic,
            allow_device: self.config.allow_device,
            refuse_md5: self.config.refuse_md5,
            require_mac: self.config.require_mac,
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
            first: row.last_msg_id == 0,
            statuses: Vec::new(),
            suspended: false,
            proving: false,
            budget: SETTLE_BUDGET,
        };
        let (reply, mut state, device) = step.run(tx)?;
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
        Ok(Verdict::Commit)
    }

    pub(super) fn step(
        &self,
        account: AccountNo,
        work: &mut dyn FnMut(&mut dyn Tx) -> crate::store::Result<Verdict>,
    ) -> Result<(), Refusal> {
        let _place = self.waiting.enter(account, self.config.max_waiting).ok_or(Refusal::Overloaded)?;
        self.store.step(account, work).map_err(unavailable)
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
    serde_json::from_slice(&row.state).ok()
}

fn token_parameter(uri: &str) -> Option<&str> {
    uri.split_once('?')?.1.split('&').find_map(|pair| pair.strip_prefix("s="))
}

pub(super) const fn transport(asked: &Asked<'_>) -> Transport {
    Transport { protected: asked.request.protected, loopback: asked.request.loopback }
}

pub(super) fn unavailable(error: StoreError) -> Refusal {
    Refusal::Unavailable(error.to_string())
}
