//! Who may open a book, and who this server is (§5.4, §5.5).

use super::keyring::Keyring;
use super::step::Step;
use super::{Asked, Server};
use crate::auth::{Attempts, Challenge, Identity, Policy, Presented, Scheme, Transport, Verifier, verify};
use crate::message::{Alert, Command, Header, Location, Status, StatusCode, names};
use crate::session::datastore;
use crate::session::state::Package;
use crate::session::trust::Wanted;
use crate::session::{Host, ServerIdentity, Speaker};
use crate::store::{AccountNo, BookNo};

/// Credentials of a book asked for in one session at most, and proofs of this server given.
const MAX_ASKED: u32 = 5;
const MAX_PROOFS: u32 = 3;

/// What a step needs to know of the server around it.
#[derive(Clone, Copy)]
pub(super) struct Door<'s> {
    host: &'s dyn Host,
    keys: &'s Keyring,
    policy: Policy,
    transport: Transport,
    account: AccountNo,
    attempts: &'s Attempts,
    address: &'s str,
}

impl Server {
    pub(super) fn door<'s>(&'s self, asked: &'s Asked<'s>, account: AccountNo) -> Door<'s> {
        Door {
            host: &*self.host,
            keys: &asked.keys,
            policy: self.policy(),
            transport: asked.transport(),
            account,
            attempts: &self.attempts,
            address: asked.request.address.unwrap_or_default(),
        }
    }

    /// Whether a book has a password of its own.
    pub(super) fn is_locked(&self, account: AccountNo, device_id: &str, book: BookNo) -> bool {
        self.host.book_verifier(&Speaker { account, device_id }, book).is_some()
    }
}

impl Step<'_, '_> {
    pub(super) fn speaker(&self) -> Speaker<'_> {
        Speaker { account: self.door.account, device_id: &self.device.device_id }
    }

    /// Whether a book has a password of its own that was not said in this session.
    pub(super) fn is_locked(&self, book: BookNo) -> bool {
        !self.state.trust.granted.contains(&book) && self.door.host.book_verifier(&self.speaker(), book).is_some()
    }

    /// Whether an Alert may open a book: `true` if its own credential did so just now. Else the Status and the challenge. The
    /// credential may stand in the book's Sync, where that comes in the same message (§3.14).
    ///
    /// Nonces are of this session and book alone: what was overheard opens nothing in another one.
    pub(super) fn opens(&mut self, alert: &Alert<'_>, book: BookNo) -> Result<bool, (StatusCode, Option<Wanted>)> {
        let Some(verifier) = self.door.host.book_verifier(&self.speaker(), book) else { return Ok(false) };
        if self.state.trust.granted.contains(&book) {
            return Ok(false);
        }
        let in_sync = || {
            self.message.body.iter().find_map(|command| match command {
                Command::Sync(sync) => sync.cred.as_ref().filter(|_| names_book(sync.target.as_ref(), book)),
                _ => None,
            })
        };
        let cred = alert.cred.as_ref().or_else(in_sync);
        let presented = match cred {
            Some(cred) => Presented::read(cred, &self.message.header.source),
            None => Ok(None),
        };
        let code = match presented {
            Ok(Some(presented)) => {
                let octets = cred.map_or(&[][..], |cred| &cred.data);
                if self.is_good(&presented, octets, verifier, book) {
                    self.state.trust.granted.push(book);
                    self.state.trust.asked.retain(|asked| *asked != book);
                    return Ok(true);
                }
                self.told.wrong_books += 1;
                StatusCode::INVALID_CREDENTIALS
            }
            Ok(None) => StatusCode::MISSING_CREDENTIALS,
            Err(error) => error.status(),
        };
        self.state.trust.asked.retain(|asked| *asked != book);
        let Some(scheme) = self.door.policy.for_book().challenge_for_book(self.door.transport) else {
            // Nothing that may be said here opens it.
            return Err((StatusCode::FORBIDDEN, None));
        };
        // Who goes on guessing is not waited for.
        if self.state.trust.count_try(book) <= MAX_ASKED {
            self.state.trust.asked.push(book);
        }
        let nonce = self.door.keys.challenge(&self.place(book), 0, self.now);
        Err((code, Some(Wanted::new(&Challenge::new(scheme, nonce.as_bytes())))))
    }

    /// Checks the credential of a book. Guesses are counted as those at a login are, over all sessions.
    fn is_good(&self, presented: &Presented<'_>, octets: &[u8], verifier: Verifier, book: BookNo) -> bool {
        let Door { policy, transport, account, address, .. } = self.door;
        let name = format!("book {book} of account {account}");
        let attempts = self.door.attempts;
        if self.state.trust.tries(book) > MAX_ASKED || attempts.wait(&name, address, self.now).is_some() {
            return false;
        }
        let candidates = self.door.keys.candidates(&self.place(book), 0, None, self.now);
        let good = verify(presented, &[verifier], &candidates.as_slices()).is_some()
            && policy.for_book().accepts(presented.scheme(), transport);
        if good {
            attempts.succeeded(&name, address);
        } else {
            attempts.failed(&name, address, octets, self.now);
        }
        good
    }

    /// Whose the nonces of a book's credential are.
    fn place(&self, book: BookNo) -> Location<'static> {
        let token: String = self.turn.token.0.iter().map(|octet| format!("{octet:02x}")).collect();
        Location::named(format!("book {book} of session {token}"), self.device.device_id.clone())
    }

    /// The device's word on our last header (§5.4): it wants to know who we are, or knows it.
    ///
    /// One that gave a nonce in an earlier session is shown our credential unasked. One that asks is shown it, and told
    /// package 2 again; if there is none to show, or it is not believed, the session ends without a change.
    pub(super) fn take_challenge(&mut self) {
        let first = self.first && self.state.trust.proof.is_none();
        if let Some(nonce) = self.device.nonce_in.clone().filter(|_| first && self.identity().is_some()) {
            self.state.trust.proof = Some(Wanted::new(&Challenge::new(Scheme::Md5, &nonce)));
        }
        let message = self.message;
        let Some(status) = message.body.iter().find_map(header_status).filter(|_| !self.first) else { return };
        let challenge = status.chal.as_ref().and_then(|chal| Challenge::read(chal).ok());
        // A digest is all that is ever shown: whoever has an account may ask, and must not learn the secret by it.
        let challenge = challenge.filter(|challenge| challenge.scheme == Scheme::Md5);
        let nonce = challenge.as_ref().map(|challenge| &challenge.nonce).filter(|nonce| !nonce.is_empty());
        match status.code {
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS => {
                self.proving = true;
                self.state.trust.proofs += 1;
                match challenge.filter(|_| self.state.trust.proofs <= MAX_PROOFS && self.identity().is_some()) {
                    Some(challenge) => {
                        self.state.trust.proof = Some(Wanted::new(&challenge));
                        self.say_again();
                    }
                    None => self.give_up(status.code),
                }
            }
            StatusCode::AUTHENTICATED => {
                self.state.trust.proof = None;
                if let Some(nonce) = nonce {
                    self.device.nonce_in = Some(nonce.clone());
                }
            }
            // Good for one message only: the next has a credential of its own.
            code if code.is_success() && self.state.trust.proof.is_some() => {
                let asked = self.state.trust.proofs > 0;
                match &challenge {
                    Some(challenge) => self.state.trust.proof = Some(Wanted::new(challenge)),
                    None if asked => {}
                    // It was shown unasked, and nobody cares.
                    None => self.state.trust.proof = None,
                }
            }
            _ => {}
        }
    }

    /// Package 2 comes again, with the credential, if the device said nothing since.
    fn say_again(&mut self) {
        if self.state.package == Package::Changes && !self.state.stores.iter().any(|store| store.sync_seen) {
            for store in &mut self.state.stores {
                store.alert_ref = None;
            }
            self.state.owes_final = true;
        }
    }

    fn give_up(&mut self, code: StatusCode) {
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            store.failed = Some(code.0);
        }
        self.state.package = Package::Over;
    }

    fn identity(&self) -> Option<ServerIdentity> {
        self.door.host.identity(&self.speaker())
    }

    /// Puts our credential into our header, where it is wanted.
    pub(super) fn show_identity(&self, header: &mut Header<'_>) {
        let Some(wanted) = &self.state.trust.proof else { return };
        let (Some(identity), Some(scheme)) = (self.identity(), wanted.scheme()) else { return };
        let ServerIdentity { name, secret } = &identity;
        let who = Identity { user: name, device_id: &self.state.own, secret };
        header.cred = who.answer(scheme, wanted.nonce(), self.state.version);
        header.source = Location::named(self.state.own.clone(), name.clone());
    }
}

/// A Status of our header.
fn header_status<'m, 'a>(command: &'m Command<'a>) -> Option<&'m Status<'a>> {
    match command {
        Command::Status(status) if status.cmd == names::SYNC_HDR && status.cmd_ref.as_str() == "0" => Some(status),
        _ => None,
    }
}

fn names_book(target: Option<&Location<'_>>, book: BookNo) -> bool {
    target.and_then(|target| datastore::locate(&target.uri)).is_some_and(|(named, _)| named == book)
}
