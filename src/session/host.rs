//! What a server's host decides while it serves.

use crate::auth::{Secret, Verifier};
use crate::store::{AccountNo, BookNo};

/// Who speaks: authenticated, unless a method says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker<'a> {
    /// The account spoken for.
    pub account: AccountNo,
    /// The device, as its header's Source names it.
    pub device_id: &'a str,
}

/// Who a server is, towards a device that asks for proof (§5.4). `Debug` does not show the secret.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// The server's name: `LocName` of its header's Source.
    pub name: String,
    /// The secret that it shares with the device.
    pub secret: Secret,
}

/// What a server does not take at the moment (§3.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Busy {
    /// It takes all there is.
    #[default]
    No,
    /// No new sessions; those that have begun go on.
    NewSessions,
    /// No message at all.
    Everything,
}

/// What a host may decide from message to message; every method has the answer of a server that needs no such thing.
/// They are asked while an account is locked, and must not come back into the server.
pub trait Host: Send + Sync {
    /// The server's own name and secret towards this device, with which it proves itself when it is asked to (§5.4); only
    /// ever as a digest. A server without any is never more than what its TLS certificate makes it.
    ///
    /// Each device should have a secret of its own: devices that share one know it, and can be the server to each other.
    fn identity(&self, speaker: &Speaker<'_>) -> Option<ServerIdentity> {
        let _ = speaker;
        None
    }

    /// What a book of its own password is checked against (§5.5); `None` for a book that the account's own credential opens.
    fn book_verifier(&self, speaker: &Speaker<'_>, book: BookNo) -> Option<Verifier> {
        let _ = (speaker, book);
        None
    }
}

/// A host that decides nothing.
impl Host for () {}
