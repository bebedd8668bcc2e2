//! What a client makes of a notification (§8.3).

use super::Notification;
use super::invite::media_type_of;
use super::san::{SanKey, UiMode, is_by_server};
use crate::auth::Secret;
use crate::message::AlertCode;
use crate::session::ClientBook;
use crate::session::datastore::{by_media_type, same_place};
use thiserror::Error;

/// What to do with a notification that has no digest (§8.2 leaves it to the client).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsigned {
    /// Refuse it.
    #[default]
    Refuse,
    /// Sync, but both ways only: who cannot be known must not cause deletes.
    Accept,
}

/// What a client knows of a server that may notify it.
#[derive(Clone, Copy, Debug)]
pub struct KnownServer<'a> {
    /// The server's identifier, as agreed when the client was set up; of a message without one, the server's
    /// address.
    pub server_id: &'a str,
    /// The password with which the server proves itself; `None` if none was agreed.
    pub password: Option<&'a Secret>,
    /// The nonce this client gave the server last (`nonce_out` of the server's device row), empty if it never did.
    pub nonce: &'a [u8],
    /// Sessions of notifications acted upon since that nonce was given ([`Accepted::session_id`]): none of them is
    /// begun a second time.
    pub seen: &'a [String],
    /// What to do without a signature.
    pub unsigned: Unsigned,
    /// The books that this client syncs with the server, each with the mode it usually has.
    pub books: &'a [ClientBook],
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The books to sync, with modes of 200 to 205: [`ClientConfig::books`](crate::session::ClientConfig::books).
    pub books: Vec<ClientBook>,
    /// The SessionID wanted; of a 1.2 notification the number in upper-case hexadecimal, which is how device management
    /// spells it (§8.3). Remember it in [`KnownServer::seen`]. `None` leaves the choice to the client.
    pub session_id: Option<String>,
    /// How to treat the user.
    pub ui: UiMode,
    /// What was asked for and is not done, a sentence each.
    pub notes: Vec<String>,
}

/// Why a notification is not acted upon.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RefusedNotification {
    /// It names a server that was never set up here.
    #[error("it names a server that is not set up here: drop it, or set that server up")]
    UnknownServer,
    /// It has no digest, and none is not enough.
    #[error("it is not signed: drop it, or allow unsigned notifications of this server")]
    NotSigned,
    /// The digest is wrong.
    #[error(
        "its digest does not fit the server's password and nonce: drop it without an answer; if all of them fail, agree \
         on the server's password anew"
    )]
    WrongDigest,
    /// Its session was begun before.
    #[error("it was acted upon before: drop it")]
    Replayed,
    /// It is about books that this client does not have.
    #[error("it asks for no book that is synced with this server: drop it, or set the book up")]
    NothingToSync,
}

/// Decides what a client does with a notification. Pure: the host remembers the session, and begins it.
///
/// Codes become those of the client's own package 1, 206 → 200, 207 → 202, 208 → 203, 209 → 204, 210 → 205 (§3.1). A book
/// is found by the server's address of it, else by its media type; what is unknown is noted and passed over; no entry at
/// all means every book, in its usual mode (§8.3).
///
/// Refreshes delete. Asked for without a signature, or in a session without an id, which may be a repetition, they are
/// held as two-way syncs.
///
/// # Errors
/// [`RefusedNotification`], with what to do about it.
pub fn accept_notification(
    notification: &Notification,
    server: &KnownServer<'_>,
) -> Result<Accepted, RefusedNotification> {
    if notification.server_id() != server.server_id || server.server_id.is_empty() {
        return Err(RefusedNotification::UnknownServer);
    }
    let signed = match notification {
        Notification::San(received) => received.is_signed(),
        Notification::Alert(alert) => alert.cred.is_some(),
    };
    if signed {
        let key = server.password.map(|password| SanKey { password, nonce: server.nonce });
        let good = key.is_some_and(|key| match notification {
            Notification::San(received) => received.is_signed_with(key),
            Notification::Alert(alert) => alert.is_signed_with(server.server_id, key),
        });
        if !good {
            return Err(RefusedNotification::WrongDigest);
        }
    } else if server.unsigned == Unsigned::Refuse {
        return Err(RefusedNotification::NotSigned);
    }
    let (session_id, ui) = match notification {
        Notification::San(received) => {
            let id = received.san.session_id;
            ((id != 0).then(|| format!("{id:X}")), received.san.ui)
        }
        Notification::Alert(alert) => {
            (Some(alert.session_id.clone()).filter(|id| !matches!(&**id, "" | "0")), UiMode::Unspecified)
        }
    };
    if session_id.as_ref().is_some_and(|id| server.seen.contains(id)) {
        return Err(RefusedNotification::Replayed);
    }
    let mut accepted = Accepted { books: Vec::new(), session_id, ui, notes: Vec::new() };
    let wanted = wanted(notification);
    if wanted.is_empty() {
        accepted.books = server.books.to_vec();
    }
    let may_delete = signed && accepted.session_id.is_some();
    for one in wanted {
        accepted.add(&one, server.books, may_delete);
    }
    if accepted.books.is_empty() { Err(RefusedNotification::NothingToSync) } else { Ok(accepted) }
}

/// One sync wanted, in either form.
struct Wanted<'a> {
    code: AlertCode,
    server_uri: &'a str,
    client_uri: Option<&'a str>,
    media_type: Option<&'a str>,
}

fn wanted(notification: &Notification) -> Vec<Wanted<'_>> {
    match notification {
        Notification::San(received) => {
            let syncs = received.san.syncs.iter();
            syncs
                .map(|sync| Wanted {
                    code: sync.code,
                    server_uri: &sync.server_uri,
                    client_uri: None,
                    media_type: media_type_of(sync.content_type),
                })
                .collect()
        }
        Notification::Alert(alert) => {
            let stores = alert.stores.iter();
            stores
                .map(|store| Wanted {
                    code: store.code,
                    server_uri: &store.server_uri,
                    client_uri: store.client_uri.as_deref(),
                    media_type: store.media_type.as_deref(),
                })
                .collect()
        }
    }
}

impl Accepted {
    fn add(&mut self, wanted: &Wanted<'_>, books: &[ClientBook], may_delete: bool) {
        let by_type = || {
            let book = by_media_type(wanted.media_type?)?.book;
            books.iter().find(|known| known.book == book)
        };
        let found = books
            .iter()
            .find(|book| !wanted.server_uri.is_empty() && same_place(&book.remote_uri, wanted.server_uri))
            .or_else(|| books.iter().find(|book| wanted.client_uri.is_some_and(|uri| same_place(&book.local_uri, uri))))
            .or_else(by_type);
        let Some(book) = found else {
            self.notes.push(format!("the server's book {:?} is not synced here", wanted.server_uri));
            return;
        };
        if self.books.iter().any(|known| known.book == book.book) {
            self.notes.push(format!("{} is asked for twice; the first word counts", book.local_uri));
            return;
        }
        let Some(mut mode) = client_code(wanted.code) else {
            self.notes.push(format!("{}: a server cannot ask for a sync of type {}", book.local_uri, wanted.code));
            return;
        };
        if !may_delete && matches!(mode, AlertCode::REFRESH_FROM_CLIENT | AlertCode::REFRESH_FROM_SERVER) {
            let text = "a refresh was asked for in a way that anybody could; both sides are synced instead";
            self.notes.push(format!("{}: {text}", book.local_uri));
            mode = AlertCode::TWO_WAY;
        }
        self.books.push(ClientBook { mode, ..book.clone() });
    }
}

/// What a client sends for what a server asked (§3.1).
const fn client_code(code: AlertCode) -> Option<AlertCode> {
    Some(match code {
        AlertCode::TWO_WAY_BY_SERVER => AlertCode::TWO_WAY,
        code if is_by_server(code) => AlertCode(code.0 - 5),
        _ => return None,
    })
}
