//! What a session has settled of who is who (§5).

use crate::auth::{Challenge, Scheme};
use crate::store::BookNo;
use serde::{Deserialize, Serialize};

/// What a session has settled of who is who.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Trust {
    /// The scheme of the peer's credentials: it stays what it was (§5.3).
    scheme: Option<String>,
    /// Server: the login that opened the session, unless a platform did, and what it was checked against.
    login: Option<String>,
    /// By the keys of that number; sessions of releases that had one only do not say so.
    #[serde(default = "first_key")]
    key: u32,
    mark: [u8; 16],
    /// Server: books whose own credential was good; no other is asked for in this session (§5.5).
    pub granted: Vec<BookNo>,
    /// Server: books whose own credential is asked for.
    pub asked: Vec<BookNo>,
    /// How often the credential of a book was asked for, or tried.
    tries: Vec<(BookNo, u32)>,
    /// How this end is to prove itself in its next header, and until it is told that this is enough.
    pub proof: Option<Wanted>,
    /// How often it was asked to.
    pub proofs: u32,
    /// Client: the books whose server wants an own credential, and what of.
    pub books: Vec<(BookNo, Wanted)>,
}

/// A credential that was asked for: a [`Challenge`] as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    scheme: String,
    nonce: Vec<u8>,
}

/// What a session remembers of what it was opened by: a mark of it, and the number of the keys that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub key: u32,
    pub mark: [u8; 16],
}

const fn first_key() -> u32 {
    1
}

impl Trust {
    /// The scheme in force, once there is one.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        self.scheme.as_deref().and_then(|scheme| Scheme::from_type(Some(scheme)))
    }

    /// Whether a credential of this scheme may go on with the session.
    pub(super) fn keeps(&self, scheme: Scheme) -> bool {
        self.scheme().is_none_or(|kept| kept == scheme)
    }

    /// Whether every message is proven by its MAC.
    pub(super) fn is_mac(&self) -> bool {
        self.scheme() == Some(Scheme::Mac)
    }

    /// Whether the session waits for a book's own credential.
    pub(super) fn asks(&self) -> bool {
        !self.asked.is_empty()
    }

    /// How often the credential of a book was asked for, or tried.
    pub(super) fn tries(&self, book: BookNo) -> u32 {
        self.tries.iter().find(|(of, _)| *of == book).map_or(0, |(_, times)| *times)
    }

    /// Counts one more; gives how many there are.
    pub(super) fn count_try(&mut self, book: BookNo) -> u32 {
        let times = self.tries(book).saturating_add(1);
        self.tries.retain(|(of, _)| *of != book);
        self.tries.push((book, times));
        times
    }

    /// Notes what opens the session.
    pub(super) fn open(&mut self, login: Option<&str>, mark: Mark) {
        (self.login, self.key, self.mark) = (login.map(str::to_owned), mark.key, mark.mark);
    }

    /// The login that opened it, unless a platform did.
    pub(super) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// The mark of what has opened it.
    pub(super) const fn mark(&self) -> Mark {
        Mark { key: self.key, mark: self.mark }
    }

    /// Fixes the scheme.
    pub(super) fn keep(&mut self, scheme: Scheme) {
        self.scheme = Some(scheme.to_string());
    }
}

impl Wanted {
    pub(super) fn new(challenge: &Challenge) -> Self {
        Self { scheme: challenge.scheme.to_string(), nonce: challenge.nonce.clone() }
    }

    pub(super) fn scheme(&self) -> Option<Scheme> {
        Scheme::from_type(Some(&self.scheme))
    }

    pub(super) fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// As it stands in a Status.
    pub(super) fn challenge(&self) -> Option<Challenge> {
        Some(Challenge::new(self.scheme()?, &self.nonce))
    }
}
