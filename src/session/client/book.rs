//! Credentials that single books want (§5.5).

use super::ClientConfig;
use super::step::Step;
use crate::auth::Challenge;
use crate::message::{Cred, Status, StatusCode, Version};
use crate::session::state::StoreState;
use crate::session::trust::Wanted;
use crate::store::BookNo;

/// Credentials of a book tried in one session at most.
const MAX_TRIES: u32 = 3;

/// The own credential of a book, for its Alert: what the server asked for, or what can be shown unasked. A server that has
/// to prove itself first is not shown a password unasked: package 1 comes before that.
pub(super) fn book_cred(
    config: &ClientConfig,
    book: BookNo,
    version: Version,
    asked: &[(BookNo, Wanted)],
) -> Option<Cred<'static>> {
    let (_, credentials) = config.book_credentials.iter().find(|(of, _)| *of == book)?;
    let nonce = asked.iter().find(|(of, _)| *of == book).map(|(_, wanted)| wanted.nonce());
    if nonce.is_none() && config.server.is_some() && credentials.is_static() {
        return None;
    }
    credentials.first(&config.device_id, version, nonce.filter(|nonce| !nonce.is_empty()))
}

impl Step<'_> {
    /// Notes that a book's Alert was refused for its credential; gives whether there is a better one to try.
    pub(super) fn book_is_asked(&mut self, book: BookNo, status: &Status<'_>) -> bool {
        if !matches!(status.code, StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS) {
            return false;
        }
        let Some((_, credentials)) = self.config.book_credentials.iter().find(|(of, _)| *of == book) else {
            return false;
        };
        // The same again is no better.
        let hopeless = status.code == StatusCode::INVALID_CREDENTIALS && credentials.is_static();
        let challenge = status.chal.as_ref().and_then(|chal| Challenge::read(chal).ok());
        let Some(challenge) = challenge.filter(|_| !hopeless && self.state.trust.tries(book) < MAX_TRIES) else {
            return false;
        };
        self.state.trust.count_try(book);
        self.state.trust.books.retain(|(of, _)| *of != book);
        self.state.trust.books.push((book, Wanted::new(&challenge)));
        true
    }

    /// Whether a book waits for its Alert to be said again.
    pub(super) fn says_again(&self, store: &StoreState) -> bool {
        let asked = || self.state.trust.books.iter().any(|(book, _)| *book == store.book);
        store.active() && store.alert_ref.is_none() && store.peer_next.is_none() && asked()
    }
}
