//! Believing that the server is the one that was meant (§5.4).

use super::credential::Answered;
use super::{Client, ClientConfig, ClientError, Credentials};
use crate::auth::{Challenge, Nonces, Presented, Scheme, Verifier, verify};
use crate::message::{Command, Location, Message, Status, StatusCode, Timestamp, names};
use crate::session::turn::{broken, refuse_all};
use crate::store::StoreError;

/// Credentials asked for before a server that has none, or a wrong one, is left.
const MAX_TRIES: u32 = 2;

/// How far a session's server is believed.
#[derive(Debug, Default)]
pub(super) struct Believed {
    proven: bool,
    tries: u32,
    /// The nonce that it was given in this session.
    given: Option<Vec<u8>>,
    /// What it said of our commands before it was believed, and the nonce it gave us.
    heard: Vec<Command<'static>>,
    nonce: Option<Vec<u8>>,
    /// The nonce for its next session, to be told with the next request.
    pub(super) next: Option<Challenge>,
}

/// Whether a credential that is the same every time would be told to a server that has yet to prove itself: over TLS its
/// certificate has answered for it.
pub(super) fn tells_too_soon(config: &ClientConfig) -> bool {
    config.server.is_some() && config.credentials.is_static() && !is_https(&config.server_uri)
}

fn is_https(uri: &str) -> bool {
    uri.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

impl Client {
    /// Whether the session's server has proven itself, if it has to.
    pub(super) fn is_believed(&self) -> bool {
        self.config.server.is_none() || self.server.proven
    }

    /// Gives a message of a server that is believed, together with what it had said before it was. One that is not is
    /// asked to prove itself, and nothing of the message is done: then there is none.
    pub(super) fn believe<'a>(
        &mut self,
        mut message: Message<'a>,
        answered: Answered,
        nonce: &mut Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Option<Message<'a>>, ClientError> {
        let Some(server) = &self.config.server else { return Ok(Some(message)) };
        if matches!(self.config.credentials, Credentials::Mac { .. }) {
            // Each answer proves itself, or does not.
            self.server.proven = answered == Answered::Good;
            return if self.server.proven { Ok(Some(message)) } else { Err(ClientError::Unproven) };
        }
        if self.server.proven {
            return Ok(Some(message));
        }
        let mut known = None;
        let server_uri = &self.config.server_uri;
        self.store.look(self.account, &mut |tx| {
            known = tx.device(server_uri)?;
            Ok(())
        })?;
        let (count, stored) = known.map(|row| (row.nonce_count, row.nonce_out)).unwrap_or_default();
        let keys = self.store.keys()?;
        let missing = || StoreError::Corrupt("the keys are missing; restore a backup".to_owned());
        let nonces = Nonces::new(&keys.signing(now).ok_or_else(missing)?.nonce);
        let place = Location::named(self.config.server_uri.clone(), self.config.device_id.clone());
        let presented = match &message.header.cred {
            Some(cred) => Presented::read(cred, &message.header.source).ok().flatten(),
            None => None,
        };
        let named = presented.as_ref().filter(|presented| presented.user() == Some(&server.name));
        let good = named.is_some_and(|presented| match presented {
            // The same every time: only where nobody listens.
            Presented::Basic { .. } if !is_https(server_uri) => false,
            Presented::Basic { .. } | Presented::Md5 { .. } => {
                let given = [stored.as_deref().unwrap_or_default(), self.server.given.as_deref().unwrap_or_default()];
                verify(presented, &[Verifier::Password(server.secret.clone())], &given).is_some()
            }
            _ => false,
        });
        if good {
            self.server.proven = true;
            let next = nonces.accepted(&place, count, now).next;
            self.server.next = Some(Challenge::new(Scheme::Md5, next.as_bytes()));
            message.body.extend(std::mem::take(&mut self.server.heard));
            *nonce = nonce.take().or_else(|| self.server.nonce.take());
            return Ok(Some(message));
        }
        let code = if message.header.cred.is_some() {
            StatusCode::INVALID_CREDENTIALS
        } else {
            StatusCode::MISSING_CREDENTIALS
        };
        // Who was asked and shows nothing has nothing to show.
        let mute = code == StatusCode::MISSING_CREDENTIALS && self.server.tries > 0;
        if mute || self.server.tries >= MAX_TRIES || self.suspending {
            return Err(ClientError::Unproven);
        }
        self.server.tries += 1;
        let given = nonces.challenge(&place, count, now);
        self.ask_for_proof(&message, code, &Challenge::new(Scheme::Md5, given.as_bytes()), now)?;
        self.server.given = Some(given.as_bytes().to_vec());
        self.server.heard.extend(message.body.iter().filter_map(kept));
        self.server.nonce = nonce.take().or_else(|| self.server.nonce.take());
        Ok(None)
    }

    /// Asks the server for its credential: one Status for every command, and no data.
    fn ask_for_proof(
        &mut self,
        message: &Message<'_>,
        code: StatusCode,
        challenge: &Challenge,
        now: Timestamp,
    ) -> Result<(), ClientError> {
        self.msg_id += 1;
        let (authenticated, nonce) = (self.state.authenticated, self.nonce.clone());
        let (state, request) = self.step(now, |step, _| {
            if let Some(uri) = &message.header.resp_uri {
                step.state.resp_uri = Some(uri.to_string());
            }
            if !authenticated {
                let (device_id, version) = (&step.config.device_id, step.state.version);
                step.credential = step.config.credentials.first(device_id, version, nonce.as_deref());
            }
            step.word = (code, Some(challenge.to_chal()));
            let header = step.header();
            let mut outbox = step.outbox(&header)?;
            step.write_header_status(&mut outbox, message)?;
            for queued in refuse_all(&message.body, &message.header.msg_id.to_string(), code) {
                outbox.status(queued).map_err(broken)?;
            }
            Ok(Some(outbox.finish(true)))
        })?;
        self.sent(state, request);
        Ok(())
    }
}

/// What is kept of a Status for a command of ours.
fn kept(command: &Command<'_>) -> Option<Command<'static>> {
    let Command::Status(status) = command else { return None };
    if status.cmd == names::SYNC_HDR {
        return None;
    }
    let chal = status.chal.as_ref().and_then(|chal| Challenge::read(chal).ok());
    Some(Command::Status(Status {
        cmd_id: status.cmd_id.to_string().into(),
        msg_ref: status.msg_ref.to_string().into(),
        cmd_ref: status.cmd_ref.to_string().into(),
        cmd: status.cmd.to_string().into(),
        target_refs: Vec::new(),
        source_refs: Vec::new(),
        cred: None,
        chal: chal.map(|challenge| challenge.to_chal()),
        code: status.code,
        items: Vec::new(),
    }))
}
