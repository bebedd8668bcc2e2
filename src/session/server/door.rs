//! Who may open a book, and who this server is (§5.4, §5.5).

use super::admit::transport;
use super::step::Step;
use super::{Asked, Server};
use crate::auth::{Challenge, Identity, Nonces, Policy, Presented, Scheme, Transport, verify};
use crate::message::{Alert, Command, Header, Location, Status, StatusCode, names};
use crate::session::datastore;
use crate::session::state::Package;
use crate::session::trust::Wanted;
use crate::session::{Host, ServerIdentity, Speaker};
use crate::store::{AccountNo, BookNo};

/// Credentials of books asked for in one session at most, and proofs of this server given.
const MAX_ASKED: u32 = 5;
const MAX_PROOFS: u32 = 3;

/// What a step needs to know of the server around it.
#[derive(Clone, Copy)]
pub(super) struct Door<'s> {
    host: &'s dyn Host,
    nonces: &'s Nonces,
    policy: Policy,
    transport: Transport,
    account: AccountNo,
}

impl Server {
    pub(super) fn door(&self, asked: &Asked<'_>, account: AccountNo) -> Door<'_> {
        let (host, nonces) = (&*self.host, &self.nonces);
        Door { host, nonces, policy: self.policy(), transport: transport(asked), account }
    }
}

impl Step<'_, '_> {
    fn speaker(&self) -> Speaker<'_> {
        Speaker { account: self.door.account, device_id: &self.device.device_id }
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
        let token: String = self.turn.token.0.iter().map(|octet| format!("{octet:02x}")).collect();
        let place = Location::named(format!("book {book} of session {token}"), self.device.device_id.clone());
        let in_sync = || {
            self.message.body.iter().find_map(|command| match command {
                Command::Sync(sync) => sync.cred.as_ref().filter(|_| names_book(sync.target.as_ref(), book)),
                _ => None,
            })
        };
        let presented = match alert.cred.as_ref().or_else(in_sync) {
            Some(cred) => Presented::read(cred, &self.message.header.source),
            None => Ok(None),
        };
        let candidates = self.door.nonces.candidates(&place, 0, None, self.now);
        let (code, spoken) = match presented {
            Ok(Some(presented)) => {
                let scheme = presented.scheme();
                let good = verify(&presented, &[verifier], &candidates.as_slices()).is_some();
                if good && self.door.policy.accepts(scheme, self.door.transport) && self.state.trust.times <= MAX_ASKED
                {
                    self.state.trust.granted.push(book);
                    self.state.trust.asked.retain(|asked| *asked != book);
                    return Ok(true);
                }
                (StatusCode::INVALID_CREDENTIALS, Some(scheme))
            }
            Ok(None) => (StatusCode::MISSING_CREDENTIALS, None),
            Err(error) => (error.status(), None),
        };
        self.state.trust.times += 1;
        self.state.trust.asked.retain(|asked| *asked != book);
        // Who goes on guessing is not waited for.
        if self.state.trust.times <= MAX_ASKED {
            self.state.trust.asked.push(book);
        }
        // A Cred in a message cannot be a MAC of it, and a DeviceID's is of a platform, not of a book.
        let scheme = match self.door.policy.challenge(spoken, self.door.transport) {
            scheme @ (Scheme::Basic | Scheme::Md5) => scheme,
            Scheme::Mac | Scheme::Device(_) => Scheme::Md5,
        };
        let nonce = self.door.nonces.challenge(&place, 0, self.now);
        Err((code, Some(Wanted::new(&Challenge::new(scheme, nonce.as_bytes())))))
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
        let nonce = challenge.as_ref().map(|challenge| &challenge.nonce).filter(|nonce| !nonce.is_empty());
        match status.code {
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS => {
                self.proving = true;
                self.state.trust.proofs += 1;
                let able = challenge.filter(|challenge| match challenge.scheme {
                    Scheme::Md5 => true,
                    scheme @ Scheme::Basic => self.door.policy.accepts(scheme, self.door.transport),
                    Scheme::Mac | Scheme::Device(_) => false,
                });
                match able.filter(|_| self.state.trust.proofs <= MAX_PROOFS && self.identity().is_some()) {
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
    target.and_then(|target| datastore::by_uri(&target.uri)).is_some_and(|datastore| datastore.book == book)
}
