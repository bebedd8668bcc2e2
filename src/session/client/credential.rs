//! The client's credential: what it presents, and what it makes of a challenge (§5.3).

use crate::auth::{DigestName, Identity, MacHeader, Scheme, Secret, formulas};
use crate::message::{Cred, Version};
use crate::session::ServerIdentity;
use std::fmt;

/// With what a client authenticates. `Debug` shows the way, neither name nor secret.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// `syncml:auth-basic`: only over a protected transport or loopback.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `syncml:auth-md5`.
    Md5 {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `syncml:auth-MAC`: a code over each whole message, in the transport's header `x-syncml-hmac` (§5.6). The answers
    /// have one, too, of a server that is able to: once one had, all of that session must. Who wants it from the first answer
    /// on names the server in [`ClientConfig::server`](super::ClientConfig::server), with this name and password where it has
    /// no secret of its own.
    Mac {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The DeviceID shared secret (mission S3).
    Device {
        /// The account to speak for.
        account: String,
        /// The secret shared with the server.
        secret: Secret,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Md5 { .. } => "Md5(…)",
            Self::Mac { .. } => "Mac(…)",
            Self::Device { .. } => "Device(…)",
        })
    }
}

impl Credentials {
    /// The name that the header's Source shows.
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } | Self::Md5 { user, .. } | Self::Mac { user, .. } => user,
            Self::Device { account, .. } => account,
        }
    }

    /// Whether the credential is the same in every message.
    pub(super) const fn is_static(&self) -> bool {
        !matches!(self, Self::Md5 { .. } | Self::Mac { .. })
    }

    /// What to present unasked: nothing to MD5 before a nonce is known, so that nothing is ever signed without one.
    pub(super) fn first(&self, device_id: &str, version: Version, nonce: Option<&[u8]>) -> Option<Cred<'static>> {
        match (self, nonce) {
            (Self::Md5 { .. }, None) => None,
            _ => self.again(device_id, version, nonce),
        }
    }

    /// What to present when asked: the scheme chosen, whatever the server would like, but never a weaker one. A challenge
    /// without a nonce is answered with the empty one, as §5.2 has it.
    pub(super) fn again(&self, device_id: &str, version: Version, nonce: Option<&[u8]>) -> Option<Cred<'static>> {
        let (user, secret, scheme) = match self {
            Self::Basic { user, password } => (user, password, Scheme::Basic),
            Self::Md5 { user, password } => (user, password, Scheme::Md5),
            Self::Mac { user, password } => (user, password, Scheme::Mac),
            Self::Device { account, secret } => (account, secret, Scheme::Device(DigestName::MD5)),
        };
        Identity { user, device_id, secret }.answer(scheme, nonce.unwrap_or_default(), version)
    }

    /// The transport's header for a message, in the MAC scheme. Before a nonce is known there is none, so that nothing is
    /// ever signed without one.
    pub(super) fn mac(&self, device_id: &str, nonce: Option<&[u8]>, body: &[u8]) -> Option<String> {
        let (Self::Mac { user, password }, Some(nonce)) = (self, nonce) else { return None };
        Some(Identity { user, device_id, secret: password }.mac_header(nonce, body).to_string())
    }

    /// Checks the header of an answer. What makes it good is the server's own secret, if this side knows one, else the
    /// password (§5.6).
    pub(super) fn check_answer(
        &self,
        server: Option<&ServerIdentity>,
        request: Option<&str>,
        answer: Option<&str>,
        body: &[u8],
    ) -> Answered {
        let (Self::Mac { user, password }, Some(request)) = (self, request.and_then(MacHeader::parse)) else {
            return Answered::Without;
        };
        let (name, secret) = server.map_or((user, password), |server| (&server.name, &server.secret));
        match answer.map(MacHeader::parse) {
            None => Answered::Without,
            // Of somebody whose secret was never told here.
            Some(Some(answer)) if server.is_none() && answer.user != *name => Answered::Without,
            Some(Some(answer)) if answer.answers(&request, name, &formulas::login_hash(name, secret), body) => {
                Answered::Good
            }
            Some(_) => Answered::Wrong,
        }
    }
}

/// What an answer's MAC is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// There is none that this side could check.
    Without,
    /// It is the server's, over these bytes, in answer to this request.
    Good,
    /// It is not.
    Wrong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn an_answer_must_be_the_servers() {
        let alice = Credentials::Mac { user: "alice".to_owned(), password: secret("secret") };
        let own = ServerIdentity { name: "server".to_owned(), secret: secret("proof") };
        let request = alice.mac("phone", Some(b"nonce"), b"request").unwrap();
        let parsed = MacHeader::parse(&request).unwrap();
        let by = |name: &str, password: &str, body: &[u8]| {
            let hash = formulas::login_hash(name, &secret(password));
            MacHeader::answering(&parsed, name, &hash, body).to_string()
        };
        for (server, answer, expected) in [
            (None, None, Answered::Without),
            (None, Some(by("alice", "secret", b"answer")), Answered::Good),
            (None, Some(by("alice", "secret", b"other")), Answered::Wrong),
            (None, Some(by("alice", "guess", b"answer")), Answered::Wrong),
            (None, Some(by("server", "proof", b"answer")), Answered::Without),
            (None, Some(request.clone()), Answered::Wrong),
            (None, Some("rubbish".to_owned()), Answered::Wrong),
            (Some(&own), None, Answered::Without),
            (Some(&own), Some(by("server", "proof", b"answer")), Answered::Good),
            (Some(&own), Some(by("server", "guess", b"answer")), Answered::Wrong),
            (Some(&own), Some(by("alice", "secret", b"answer")), Answered::Wrong),
        ] {
            let found = alice.check_answer(server, Some(&request), answer.as_deref(), b"answer");
            assert_eq!(found, expected, "{answer:?}");
        }
        let basic = Credentials::Basic { user: "alice".to_owned(), password: secret("secret") };
        assert_eq!(basic.mac("phone", Some(b"nonce"), b"request"), None);
        assert_eq!(alice.mac("phone", None, b"request"), None, "nothing is signed without a nonce");
        let header = by("alice", "secret", b"answer");
        assert_eq!(basic.check_answer(None, None, Some(&header), b"answer"), Answered::Without);
    }
}
