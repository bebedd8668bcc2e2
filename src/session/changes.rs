//! Update polling: "has anything changed for me?", in the protocol's own terms (mission S8).
//!
//! The question is a message with nothing but a **Get** of [`URI`] – or of [`ALL_URI`], for all accounts that a platform
//! was granted – and the sender's credential; the answer is one message of Status and **Results**. Get and Results are the
//! protocol's way to look at something without syncing it (§2.2, §3.19). Every server answers a Get that it does not
//! know with 404 and is none the worse; an Alert would begin something, 221 asks a busy server for a result (§3.11), and
//! hardly any peer implements Search.
//!
//! Results hold an Item for each book: its Source is the book's address, with the account as its name where all were
//! asked for; its Data is `1` for a book that has news for the device and `0` for one that has none. Of all accounts only
//! books with news are told, a page at a time: an Item without Data names the address to Get for the next.
//!
//! A book has news if it changed after what the device is agreed on, or was never synced with it, or the last sync did
//! not come to its end. That is the head of the book against the device's cursor: two rows read by key, whatever the
//! book's size. For all accounts the books with news are noted when they change
//! ([`Tx::mark_dirty`](crate::store::Tx::mark_dirty)), one row at most for each device granted the account, and read in
//! one range. What the device itself changed may count as news until its next sync.
//!
//! Nothing is told of books that have a password of their own ([`Host::book_verifier`](crate::session::Host)), unless it
//! was given in the session.
//!
//! In a message of a session, beside other commands, the Get for the account is answered as well, with the state before
//! that message; `./changes/all` is a question of its own, there 404.
//!
//! No session begins and nothing is stored but, where the credential used up a nonce, the device's row. The answer to a
//! question asked again is the state of then, not the bytes of before.

use crate::store::{AccountNo, BookNo};

/// What a device gets for its own account's books.
pub const URI: &str = "./changes";

/// What a platform that authenticates by its DeviceID gets for all accounts granted to it; it need not name one.
pub const ALL_URI: &str = "./changes/all";

/// The media type of the Results.
pub(super) const MEDIA_TYPE: &str = "text/plain";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The books of the account.
    Account,
    /// Those of all accounts granted, after this one.
    All((AccountNo, BookNo)),
}

impl Question {
    /// The question that an address asks.
    pub(super) fn of_uri(uri: &str) -> Option<Self> {
        let uri = uri.trim().trim_start_matches("./");
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        match (path, query) {
            ("changes", None) => Some(Self::Account),
            ("changes/all", None) => Some(Self::All((AccountNo(0), BookNo(0)))),
            ("changes/all", Some(query)) => {
                let (account, book) = query.strip_prefix("after=")?.split_once('.')?;
                Some(Self::All((AccountNo(account.parse().ok()?), BookNo(book.parse().ok()?))))
            }
            _ => None,
        }
    }

    /// The address that asks it.
    pub(super) fn uri(self) -> String {
        match self {
            Self::Account => URI.to_owned(),
            Self::All((AccountNo(0), BookNo(0))) => ALL_URI.to_owned(),
            Self::All((account, book)) => format!("{ALL_URI}?after={account}.{book}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountNo, BookNo, Question};

    #[test]
    fn questions_are_addresses() {
        let after = |account, book| Question::All((AccountNo(account), BookNo(book)));
        for (uri, question) in [
            ("./changes", Some(Question::Account)),
            ("changes", Some(Question::Account)),
            ("./changes/all", Some(after(0, 0))),
            ("./changes/all?after=12.3", Some(after(12, 3))),
            ("./changes/all?after=12", None),
            ("./changes/all?after=x.3", None),
            ("./changes?after=12.3", None),
            ("./devinf12", None),
            ("", None),
        ] {
            assert_eq!(Question::of_uri(uri), question, "{uri}");
            if let Some(question) = question {
                assert_eq!(Question::of_uri(&question.uri()), Some(question));
            }
        }
    }
}
