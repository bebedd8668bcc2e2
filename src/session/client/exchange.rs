//! An answer and what comes of it: a challenge, a pause, another version, or the next request.

use super::credential::Answered;
use super::{Client, ClientError, MAX_TRIES, fallback};
use crate::auth::Challenge;
use crate::codec::{Encoding, Limits, decode};
use crate::message::{Command, Message, StatusCode, Text, Timestamp};
use crate::session::state::Package;
use crate::session::turn::unfold;
use crate::sync::{OnHeader, status_policy};
use std::fmt;
use std::time::Duration;

impl Client {
    /// Takes an answer that is not somebody else's.
    pub(super) fn take(
        &mut self,
        content_type: &str,
        body: &[u8],
        answered: Answered,
        now: Timestamp,
    ) -> Result<(), ClientError> {
        let unreadable = |error: &dyn fmt::Display| ClientError::Unreadable(error.to_string());
        let encoding = Encoding::from_content_type(content_type)
            .ok_or_else(|| unreadable(&format_args!("{content_type:?} is not a SyncML media type")))?;
        let message = decode(body, encoding, &Limits::default()).map_err(|error| unreadable(&error))?;
        let message = Message { body: unfold(message.body), ..message };
        self.state.bytes_in += body.len() as u64;
        self.state.messages += 1;
        let header_status = message.body.iter().find_map(|command| match command {
            Command::Status(status) if status.cmd_ref.as_str() == "0" => Some(status),
            _ => None,
        });
        let code = header_status.map_or(StatusCode::OK, |status| status.code);
        let challenge = header_status.and_then(|status| status.chal.as_ref());
        let nonce = challenge
            .and_then(|chal| Challenge::read(chal).ok())
            .map(|challenge| challenge.nonce)
            .filter(|nonce| !nonce.is_empty());
        if code != StatusCode::IN_PROGRESS {
            self.wait = Duration::ZERO;
        }
        match code {
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS => {
                return self.answer_challenge(&message, code, nonce, now);
            }
            StatusCode::IN_PROGRESS => return self.be_patient(&message, now),
            StatusCode(200..=299) => {}
            code => {
                let named = header_status.map(fallback::named).unwrap_or_default();
                let other_version = status_policy(code).header == OnHeader::OtherVersion;
                if other_version && self.fall_back(&named, now)? {
                    return Ok(());
                }
                return Err(ClientError::Ended(code));
            }
        }
        if answered == Answered::Without && self.answers_with_mac {
            return Err(ClientError::Unproven);
        }
        self.answers_with_mac |= answered == Answered::Good;
        self.take_result(&message)?;
        self.state.authenticated |= code == StatusCode::AUTHENTICATED;
        if nonce.is_some() {
            self.nonce.clone_from(&nonce);
        }
        let mut nonce = nonce;
        let Some(message) = self.believe(message, answered, &mut nonce, now)? else { return Ok(()) };
        self.go_on(&message, nonce.as_deref(), now)?;
        self.unknown_book().map_or(Ok(()), Err)
    }

    /// Does what the server says, and writes the next message. A fresh nonce is kept for the next session.
    fn go_on(&mut self, message: &Message<'_>, nonce: Option<&[u8]>, now: Timestamp) -> Result<(), ClientError> {
        let (authenticated, known_nonce) = (self.state.authenticated, self.nonce.clone());
        self.msg_id += 1;
        let next = self.server.next.take();
        let (state, request) = self.step(now, |step, tx| {
            if let Some(nonce) = nonce {
                step.device.nonce_in = Some(nonce.to_vec());
            }
            if let Some(next) = &next {
                step.device.nonce_out = Some(next.nonce.clone());
                step.word = (StatusCode::AUTHENTICATED, Some(next.to_chal()));
            }
            if !authenticated {
                step.credential =
                    step.config.credentials.first(&step.config.device_id, step.state.version, known_nonce.as_deref());
            }
            step.run(tx, message)
        })?;
        self.sent(state, request);
        if self.state.package != Package::Init {
            // Only what brings the session on is worth new patience.
            self.busy = 0;
        }
        Ok(())
    }

    /// Where one book is all there is to sync, its being unknown there ends the session.
    fn unknown_book(&self) -> Option<ClientError> {
        let ([store], Some(book)) = (&*self.state.stores, self.config.books.first()) else { return None };
        let code = store.failed.filter(|code| *code == StatusCode::NOT_FOUND.0)?;
        Some(ClientError::UnknownBook { name: book.remote_uri.clone(), code: StatusCode(code) })
    }

    /// The server wants a credential, or a better one: package 1 again, in the same session (§5.3).
    fn answer_challenge(
        &mut self,
        message: &Message<'_>,
        code: StatusCode,
        nonce: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), ClientError> {
        if self.suspending {
            self.request = None;
            return Ok(());
        }
        if self.signs_again(code, nonce.as_deref()) {
            return Ok(());
        }
        self.tries += 1;
        // A credential that is the same every time is no better the second time.
        let hopeless = code == StatusCode::INVALID_CREDENTIALS && self.config.credentials.is_static();
        let max_tries = self.config.profiles.manners(&self.state.rules).auth_tries.unwrap_or(MAX_TRIES);
        if hopeless || self.tries > max_tries || self.state.package != Package::Init {
            return Err(ClientError::Refused(code));
        }
        self.msg_id += 1;
        self.nonce = nonce;
        let nonce = self.nonce.clone();
        let resp_uri = message.header.resp_uri.clone().map(Text::into_owned);
        let (state, request) = self.step(now, |step, tx| {
            step.credential =
                step.config.credentials.again(&step.config.device_id, step.state.version, nonce.as_deref());
            if resp_uri.is_some() {
                step.state.resp_uri.clone_from(&resp_uri);
            }
            step.turn.lock(tx, step.state.stores.iter().map(|store| store.book))?;
            step.initialise(tx, Some(message)).map(Some)
        })?;
        self.sent(state, request);
        Ok(())
    }

    /// In the midst of a session whose messages have a MAC: the nonce was used up meanwhile, by another session of this
    /// device. The same message is signed with the fresh one, once.
    fn signs_again(&mut self, code: StatusCode, nonce: Option<&[u8]>) -> bool {
        let begun =
            self.state.package != Package::Init && code == StatusCode::INVALID_CREDENTIALS && !self.signed_again;
        let (true, Some(nonce), Some(body)) = (begun, nonce, &self.request) else { return false };
        let mac = self.config.credentials.mac(&self.config.device_id, Some(nonce), body);
        if mac.is_none() {
            return false;
        }
        (self.mac, self.nonce, self.signed_again) = (mac, Some(nonce.to_vec()), true);
        true
    }
}
