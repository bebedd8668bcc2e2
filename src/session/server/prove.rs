//! Who speaks: credentials are checked here, and challenges put to those who are not let in (§5.3).

use super::attempt::unavailable;
use super::{Admission, Asked, Refusal, Server};
use crate::auth::{Challenge, MacHeader, Policy, Presented, Scheme, Transport, Verifier, formulas, verify};
use crate::message::{Chal, StatusCode};
use crate::session::state::State;
use crate::session::{ServerIdentity, Speaker};
use crate::store::{AccountNo, DeviceRow};

/// A directory's word on a credential: the account it would open, and what it is checked against. For a speaker nobody
/// knows the account is one that does not exist, and nothing fits.
pub(super) struct Claim<'a> {
    pub(super) presented: Presented<'a>,
    pub(super) account: Option<AccountNo>,
    pub(super) verifiers: Vec<Verifier>,
}

/// Why nobody is let in: the Status, and the scheme that was spoken or has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    code: StatusCode,
    scheme: Option<Scheme>,
}

/// A device that has proven itself, and the challenge for its next credential.
type Proven = (DeviceRow, Option<Chal<'static>>);

impl Claim<'_> {
    /// The login, unless a platform speaks.
    pub(super) fn login(&self) -> Option<&str> {
        match self.presented {
            Presented::Device { .. } => None,
            _ => self.presented.user(),
        }
    }

    /// Whether it is the same every time, so that it can be guessed at wherever it is looked at.
    pub(super) const fn is_static(&self) -> bool {
        matches!(self.presented, Presented::Basic { .. } | Presented::Device { .. })
    }

    /// Whether it contradicts a session of `account` that needs no credential any more (212). One that is the same every
    /// time must be right; of one with a nonce only the name is looked at: devices say again what they said before,
    /// and its nonce is used up since.
    pub(super) fn is_of_another(&self, account: AccountNo) -> bool {
        self.account != Some(account) || self.is_static() && verify(&self.presented, &self.verifiers, &[]).is_none()
    }

    /// It is wrong.
    pub(super) const fn denied(&self) -> Denied {
        Denied { code: StatusCode::INVALID_CREDENTIALS, scheme: Some(self.presented.scheme()) }
    }
}

impl Asked<'_> {
    /// A refusal of whatever was presented.
    pub(super) fn denied(&self, code: StatusCode) -> Denied {
        Denied { code, scheme: self.presented().ok().flatten().map(|presented| presented.scheme()) }
    }

    pub(super) const fn transport(&self) -> Transport {
        Transport { protected: self.request.protected, loopback: self.request.loopback }
    }
}

impl Server {
    pub(super) fn claim<'a>(&self, presented: Presented<'a>) -> Result<Claim<'a>, Refusal> {
        let (account, verifiers) = match &presented {
            Presented::Device { device_id, account, .. } => self.platform(device_id, account.as_deref())?,
            _ => self.login(presented.user())?,
        };
        Ok(Claim { presented, account, verifiers })
    }

    fn platform(&self, device_id: &str, account: Option<&str>) -> Result<(Option<AccountNo>, Vec<Verifier>), Refusal> {
        let directory = self.store.directory();
        let principal = directory.principal(device_id).map_err(unavailable)?;
        let granted = match account {
            Some(account) => directory.granted(device_id, account).map_err(unavailable)?,
            None => None,
        };
        Ok((granted, principal.map(|principal| principal.verifiers).unwrap_or_default()))
    }

    fn login(&self, user: Option<&str>) -> Result<(Option<AccountNo>, Vec<Verifier>), Refusal> {
        let login = match user {
            Some(user) => self.store.directory().login(user).map_err(unavailable)?,
            None => None,
        };
        Ok(login.map_or((None, Vec::new()), |login| (Some(login.account), vec![login.verifier])))
    }

    /// Whether what opened a session would do so today: the password or secret is the same, and the platform still may
    /// speak for the account.
    pub(super) fn still_opens(&self, asked: &Asked<'_>, state: &State, account: AccountNo) -> Result<bool, Refusal> {
        let (device_id, name) = (&state.peer.0, state.peer.1.as_deref());
        let (found, verifiers) = match state.trust.login() {
            Some(user) => self.login(Some(user))?,
            None => self.platform(device_id, name)?,
        };
        Ok(found == Some(account) && self.opened(asked, state, &verifiers))
    }

    /// Whether a session was opened by what is checked against these.
    pub(super) fn opened(&self, asked: &Asked<'_>, state: &State, verifiers: &[Verifier]) -> bool {
        let mark = state.trust.mark();
        let keys = self.keys.with(&*self.store, mark.key, asked.request.now);
        keys.mark_by(mark.key, verifiers) == Some(mark)
    }

    /// Checks a credential. On success the device's count is raised, so that the nonce works once.
    pub(super) fn prove(
        &self,
        asked: &Asked<'_>,
        claim: &Claim<'_>,
        account: AccountNo,
        mut device: DeviceRow,
    ) -> Result<Proven, Denied> {
        let place = asked.place();
        let now = asked.request.now;
        let count = device.nonce_count;
        let scheme = claim.presented.scheme();
        let nonces = asked.keys.candidates(&place, count, device.nonce_out.as_deref(), now);
        let proof = verify(&claim.presented, &claim.verifiers, &nonces.as_slices());
        match proof {
            Some(_) if claim.account == Some(account) && self.policy().accepts(scheme, asked.transport()) => {
                let accepted = asked.keys.accepted(&place, count, now);
                device.nonce_count = accepted.count;
                device.nonce_out = Some(accepted.next.as_bytes().to_vec());
                device.last_seen = now;
                // Who presented a basic credential is shown the better way for next time.
                let next = self.policy().challenge(Some(scheme), asked.transport());
                let next = next.wants_nonce().then(|| Challenge::new(next, accepted.next.as_bytes()).to_chal());
                Ok((device, next))
            }
            _ => Err(claim.denied()),
        }
    }

    /// The same in a session that has begun: its scheme stays (§5.3).
    pub(super) fn prove_again(
        &self,
        asked: &Asked<'_>,
        claim: Option<&Claim<'_>>,
        account: AccountNo,
        device: DeviceRow,
        state: &State,
    ) -> Result<Proven, Denied> {
        let kept = state.trust.scheme();
        let Some(claim) = claim else { return Err(Denied { code: StatusCode::MISSING_CREDENTIALS, scheme: kept }) };
        if !state.trust.keeps(claim.presented.scheme()) {
            return Err(Denied { scheme: kept, ..claim.denied() });
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

    /// A challenge. It depends on what the message names and on nothing that was found out about its credential: for
    /// another's id the answer equals that for an id never used (I10).
    pub(super) fn demand(&self, asked: &Asked<'_>, denied: Denied) -> Result<Admission, Refusal> {
        asked.note_denied(denied.code);
        let place = asked.place();
        // Who names an account that exists gets that device's own challenge, so that the next message can succeed.
        let mut count = 0;
        let login = match &place.name {
            Some(name) => self.store.directory().login(name).map_err(unavailable)?,
            None => None,
        };
        if let Some(login) = login {
            let look = self.store.look(login.account, &mut |tx| {
                count = tx.device(&place.uri)?.map_or(0, |device| device.nonce_count);
                Ok(())
            });
            look.map_err(unavailable)?;
        }
        let nonce = asked.keys.challenge(&place, count, asked.request.now);
        let wanted = self.policy().challenge(denied.scheme, asked.transport());
        let chal = Challenge::new(wanted, nonce.as_bytes()).to_chal();
        Ok(Admission::Refused(denied.code, Some(chal)))
    }

    pub(super) const fn policy(&self) -> Policy {
        Policy {
            allow_basic: self.config.allow_basic,
            allow_device: self.config.allow_device,
            refuse_md5: self.config.refuse_md5,
            require_mac: self.config.require_mac,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::{DigestKind, DigestName, Identity, Scheme, Secret, Verifier, work};
    use crate::codec::{Encoding, encode};
    use crate::message::{Header, Location, Message, MsgId, SessionId, Timestamp, Version};
    use crate::session::{Request, Server, ServerConfig};
    use crate::store::memory::MemoryStore;
    use crate::store::{Principal, PrincipalKind, Store};
    use std::sync::Arc;

    /// As many digests for one who is not known as for one whose secret is wrong, from the first octet to the challenge.
    #[test]
    fn nobody_costs_what_somebody_costs() {
        let store = Arc::new(MemoryStore::new([1; 32]));
        let secret = Secret::new("right".to_owned());
        store.directory().put_login("alice", &Verifier::Password(secret.clone())).unwrap();
        store.directory().put_login("carol", &Verifier::md5("carol", &secret)).unwrap();
        let verifiers = DigestKind::ALL.map(|digest| Verifier::device(digest, &secret, "platform")).to_vec();
        let principal = Principal { kind: PrincipalKind::Platform, verifiers };
        store.directory().put_principal("platform", &principal).unwrap();
        store.directory().set_grant("platform", "alice", true).unwrap();
        let server = Server::new(store, ServerConfig::default()).unwrap();
        let work = |scheme: Scheme, device_id: &str, user: &str| {
            let source = Location::named(device_id.to_owned(), user.to_owned());
            let target = Location::new("http://h/syncml");
            let mut header = Header::new(Version::V12, SessionId::from("1"), MsgId(1), target, source);
            let wrong = Secret::new("wrong".to_owned());
            let who = Identity { user, device_id, secret: &wrong };
            header.cred = who.answer(scheme, b"nonce", Version::V12);
            let bytes = encode(&Message { header, body: Vec::new(), last: true }, Encoding::Xml).unwrap();
            let mac = (scheme == Scheme::Mac).then(|| who.mac_header(b"nonce", &bytes).to_string());
            work::take();
            let answer = server.answer(&Request {
                content_type: Encoding::Xml.media_type(),
                body: &bytes,
                token: None,
                mac: mac.as_deref(),
                protected: true,
                loopback: false,
                address: None,
                now: Timestamp(1_700_000_000_000),
            });
            assert!(answer.is_ok_and(|reply| String::from_utf8_lossy(&reply.body).contains("<Data>401</Data>")));
            work::take()
        };
        for scheme in [Scheme::Basic, Scheme::Md5, Scheme::Mac] {
            let wanted = work(scheme, "phone", "nobody");
            assert!(wanted > 0);
            assert_eq!([work(scheme, "phone", "alice"), work(scheme, "phone", "carol")], [wanted; 2], "{scheme}");
        }
        let device = Scheme::Device(DigestName::MD5);
        let wanted = work(device, "nothing", "nobody");
        for (device_id, user) in
            [("nothing", "alice"), ("platform", "alice"), ("platform", "carol"), ("platform", "nobody")]
        {
            assert_eq!(work(device, device_id, user), wanted, "{device_id} {user}");
        }
    }
}
