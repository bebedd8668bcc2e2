//! A session as a message finds it, or begins it, and what the message does in it.

use super::prove::Claim;
use super::step::{SETTLE_BUDGET, Step, Stepped};
use super::tell::{Before, Done, Told};
use super::{Admission, Asked, Reply, Server};
use crate::auth::token_text;
use crate::codec::{Limits, decode};
use crate::message::{Chal, Message, StatusCode, Timestamp, Version};
use crate::session::kept::Kept;
use crate::session::receive::Quota;
use crate::session::state::{Package, STATE_VERSION, State};
use crate::session::turn::{Turn, broken, unfold};
use crate::store::{AccountNo, BookNo, DeviceRow, Result, SessionKey, SessionRow, Token, Tx, Verdict};
use crate::sync::Role;
use std::collections::BTreeMap;

/// Digests kept of a session's earlier requests.
const RECENT: usize = 4;

/// A session as a message finds it, or begins it, once the message is let in.
pub(super) struct Found<'c> {
    pub message: &'c Message<'c>,
    pub account: AccountNo,
    pub row: SessionRow,
    pub state: State,
    pub device: DeviceRow,
    /// What the message was let in by, if it brought a credential.
    pub claim: Option<&'c Claim<'c>>,
    /// What its header is answered, and the challenge for its next credential.
    pub code: StatusCode,
    pub chal: Option<Chal<'static>>,
}

/// How the addresses of a server begin, over the transports there are; a Target may as well be a mere name.
const ADDRESSES: [&str; 5] = ["http://", "https://", "tcp://", "obex:", "dropbox:"];

impl Server {
    pub(super) fn new_session(
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
            let absolute = ADDRESSES.iter().any(|scheme| own.starts_with(scheme));
            absolute.then(|| own.split('?').next().unwrap_or_default().to_owned())
        });
        state.resp_uri = base.map(|base| format!("{base}?s={}", token_text(account.0, &token.0)));
        // Without an address of its own the session is only known by what the client chose, which anybody may guess: every
        // message must then bring its credential (200 instead of 212).
        state.authenticated = state.resp_uri.is_some();
        state.proven = true;
        state.began = asked.request.now.0;
        let (session_id, now) = (header.session_id.as_str(), asked.request.now);
        let row = SessionRow::new(token, device.device, session_id, STATE_VERSION, now);
        (row, state)
    }

    /// Executes the message in its session and stores the reply with what it did.
    pub(super) fn execute(&self, tx: &mut dyn Tx, asked: &Asked<'_>, found: Found<'_>) -> Result<(Verdict, Admission)> {
        let Found { message, account, mut row, mut state, device, claim, code, chal } = found;
        if message.header.version() != Some(state.version) {
            return Ok((Verdict::Rollback, Admission::Refused(StatusCode::PROTOCOL_NOT_SUPPORTED, None)));
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
            rest: BTreeMap::new(),
            archives: self.config.archives.clone(),
            manners: self.config.profiles.manners(&state.rules),
            rows: BTreeMap::new(),
            pairs: BTreeMap::new(),
            lenses: Default::default(),
            said: Default::default(),
        };
        let (before, was, begun) = (Before::of(&state.stores), state.package, row.last_msg_id == 0);
        let step = Step {
            config: &self.config,
            door: self.door(asked, account),
            errands: self.errands.as_deref(),
            encoding: asked.encoding,
            now: asked.request.now,
            message,
            turn,
            state,
            device: Kept::read(device),
            header_code: code,
            chal,
            first: begun,
            statuses: Vec::new(),
            suspended: false,
            proving: false,
            budget: SETTLE_BUDGET,
            told: Told { device: row.device, begun, ..Told::default() },
        };
        let Stepped { reply, mut state, mut device, mut told, suspended } = step.run(tx)?;
        told.compare(&before, was, &state, suspended);
        state.bytes_out += reply.len() as u64;
        device.write(|device| tx.put_device(device).map(drop))?;
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
        let reply = Reply { content_type: asked.encoding.media_type(), body, mac, report };
        asked.note(Done::Step(Box::new(told)));
        Ok((Verdict::Commit, Admission::Reply(reply)))
    }
}

/// The whole message; 400 if there is none.
pub(super) fn read_message<'a>(asked: &'a Asked<'_>, limits: &Limits) -> std::result::Result<Message<'a>, StatusCode> {
    match decode(asked.request.body, asked.encoding, limits) {
        Ok(message) => Ok(Message { body: unfold(message.body), ..message }),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// The session of that name, unless its time is over: nobody waits for it any more, whoever knows its address (§9.1).
pub(super) fn waiting(tx: &mut dyn Tx, key: SessionKey<'_>, now: Timestamp) -> Result<Option<SessionRow>> {
    Ok(tx.session(key)?.filter(|row| row.deadline >= now))
}

/// Whether a message continues a session: the next one, of a session that is not over.
pub(super) fn goes_on(asked: &Asked<'_>, row: &SessionRow, state: &State) -> bool {
    let over = state.package == Package::Over && !state.owes_final;
    !over && asked.header.msg_id.0 > row.last_msg_id
}

/// What a session remembers; `None` of one that cannot be read.
pub(super) fn read_state(row: &SessionRow) -> Option<State> {
    if is_of_a_later_release(row) {
        return None;
    }
    State::from_stored(&row.state)
}

/// What a session remembered when it was looked at, so that its step need not read the same bytes again.
pub(super) struct ReadState {
    bytes: Vec<u8>,
    pub(super) state: State,
}

impl ReadState {
    /// `None` of what cannot be read.
    pub(super) fn of(row: SessionRow) -> Option<Self> {
        Some(Self { state: read_state(&row)?, bytes: row.state })
    }

    /// What it remembers now.
    pub(super) fn again(&self, row: &SessionRow) -> Option<State> {
        if !is_of_a_later_release(row) && row.state == self.bytes { Some(self.state.clone()) } else { read_state(row) }
    }
}

/// Whether a later release wrote it: one that serves the same store, and will go on with it.
pub(super) const fn is_of_a_later_release(row: &SessionRow) -> bool {
    row.state_version > STATE_VERSION
}

#[cfg(test)]
mod tests {
    use super::ReadState;
    use crate::message::{Timestamp, Version};
    use crate::session::state::{STATE_VERSION, State};
    use crate::store::{DeviceNo, SessionRow, Token};
    use crate::sync::Role;

    #[test]
    fn what_changed_since_it_was_looked_at_is_read_anew() {
        let mut state = State::new(Role::Server, Version::V12, ("phone".to_owned(), None), String::new());
        let mut row = SessionRow::new(Token([1; 16]), DeviceNo(1), "1", STATE_VERSION, Timestamp(0));
        let mut put = |row: &mut SessionRow, messages| {
            state.messages = messages;
            row.state = serde_json::to_vec(&state).unwrap();
        };
        let messages = |known: &ReadState, row: &SessionRow| known.again(row).map(|state| state.messages);
        put(&mut row, 2);
        let known = ReadState::of(row.clone()).unwrap();
        assert_eq!(messages(&known, &row), Some(2));
        row.state_version = STATE_VERSION + 1;
        assert_eq!(messages(&known, &row), None, "a later release goes on with it");
        row.state_version = STATE_VERSION;
        put(&mut row, 4);
        assert_eq!(messages(&known, &row), Some(4));
        row.state.truncate(9);
        assert!(known.again(&row).is_none() && ReadState::of(row).is_none());
    }
}
