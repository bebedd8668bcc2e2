//! What each status code means to the side that is told it: the whole table of §4, with what is done by default.
//!
//! Both roles use it. A change of an item, an Alert and a header are answered with the same numbers and mean different
//! things by them; what to tell a person is the same for all. Which code this side answers with is decided where the
//! command is: changes in [`decide_incoming`](super::decide_incoming), alerts in [`decide_alert`](super::decide_alert).

use super::Confirmation::{self, Done, Full, Lost, Refused, Retry};
use crate::message::{Op, StatusCode};

/// What the answer to an Alert means for the sync of that datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAlert {
    /// It is held.
    Held,
    /// It is held as a slow sync or refresh.
    Slow,
    /// The datastore wants credentials of its own; without, it is not held.
    Authenticate,
    /// It is not held; those of other datastores are.
    Ended,
}

/// What the answer to a header means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHeader {
    /// It goes on.
    Fine,
    /// It has to wait.
    Busy,
    /// It wants credentials, or better ones.
    Authenticate,
    /// It may go on in another version of the protocol.
    OtherVersion,
    /// It is over.
    Ended,
}

/// What is done about a status code by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusPolicy {
    /// The code.
    pub code: StatusCode,
    /// As the answer to an Add, a Replace and a Delete; a Copy is like an Add, a Move like a Replace.
    pub changes: [Confirmation; 3],
    /// As the answer to an Alert.
    pub alert: OnAlert,
    /// As the answer to a header.
    pub header: OnHeader,
    /// What it means for people, and what they can do: a sentence without its full stop.
    pub advice: &'static str,
}

const fn row(
    code: u16,
    changes: [Confirmation; 3],
    alert: OnAlert,
    header: OnHeader,
    advice: &'static str,
) -> StatusPolicy {
    StatusPolicy { code: StatusCode(code), changes, alert, header, advice }
}

/// Every code of §4, ascending.
#[rustfmt::skip] // a table
pub const STATUS_POLICIES: &[StatusPolicy] = &[
    row(101, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Busy, "it is busy; sync again later"),
    row(200, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it is done; nothing else is needed"),
    row(201, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it was added; nothing else is needed"),
    row(202, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it is taken and done later; nothing else is needed"),
    row(203, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it is done, by another's word; nothing else is needed"),
    row(204, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "there is nothing to say; nothing else is needed"),
    row(205, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it is done, and it wants to be looked at again; sync again"),
    row(206, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it is done in part; sync again"),
    row(207, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "both sides changed the same and it was merged; nothing else is needed"),
    row(208, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "both sides changed the same and this side's stands; nothing else is needed"),
    row(209, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "both sides changed the same and both are kept; delete the one that is not wanted"),
    row(210, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it was deleted without being archived; nothing else is needed"),
    row(211, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "there was nothing to delete; nothing else is needed"),
    row(212, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "it accepts the credentials; nothing else is needed"),
    row(213, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Fine, "it has a part and waits for the rest; sync again"),
    row(214, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, "the sync was cancelled; sync again"),
    row(215, [Refused, Refused, Refused], OnAlert::Held, OnHeader::Fine, "somebody declined it there; sync again"),
    row(216, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Fine, "it undid this together with what failed; sync again"),
    row(300, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(301, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(302, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(303, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(304, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(305, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, "it has moved; ask its operator for the new address"),
    row(400, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::OtherVersion, "it cannot read the messages; try another version of the protocol or the other encoding"),
    row(401, [Retry, Retry, Retry], OnAlert::Authenticate, OnHeader::Authenticate, "it refuses the credentials; check the user name and the password or secret"),
    row(402, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it wants to be paid; see to the account there"),
    row(403, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "the account may not do this there; ask its operator, or try another kind of sync"),
    row(404, [Retry, Lost, Done], OnAlert::Ended, OnHeader::Ended, "it has no such book; check the book's remote name"),
    row(405, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "it does not allow this on that book; try another kind of sync"),
    row(406, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "it lacks something that was asked for; try another kind of sync or another way to log in"),
    row(407, [Retry, Retry, Retry], OnAlert::Authenticate, OnHeader::Authenticate, "it wants credentials; give the user name and the password or secret"),
    row(408, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it lost the session or waited too long; sync again"),
    row(409, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "both sides changed the same and it did not decide; sync again"),
    row(410, [Retry, Lost, Done], OnAlert::Ended, OnHeader::Ended, "the book is gone for good; check the book's remote name"),
    row(411, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something of a large item got lost; sync again"),
    row(412, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something of a large item got lost; sync again"),
    row(413, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "something is too large for it; allow it less or smaller items"),
    row(414, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "an address is too long for it; check the server's address and the book's remote name"),
    row(415, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "it does not take this kind of content; check that the book and its remote name are of the same kind"),
    row(416, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "something is too large for it; allow it less or smaller items"),
    row(417, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it asks to be left alone for a while; sync again later"),
    row(418, [Done, Done, Retry], OnAlert::Ended, OnHeader::Ended, "it has that already; a slow sync sorts it out"),
    row(419, [Done, Done, Done], OnAlert::Ended, OnHeader::Ended, "both sides changed the same; the server's version stands"),
    row(420, [Full, Full, Full], OnAlert::Ended, OnHeader::Ended, "there is no room left; delete something there, or get more room"),
    row(421, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it does not understand a filter or an address; check the book's remote name"),
    row(422, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it does not understand a filter or an address; check the book's remote name"),
    row(423, [Retry, Retry, Done], OnAlert::Ended, OnHeader::Ended, "an item cannot be moved or deleted there; a slow sync sorts it out"),
    row(424, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something of a large item got lost; sync again"),
    row(425, [Refused, Refused, Refused], OnAlert::Ended, OnHeader::Ended, "the account may not do this there; ask its operator"),
    row(426, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something of a large item got lost; sync again"),
    row(427, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "an item cannot be moved or deleted there; a slow sync sorts it out"),
    row(428, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "an item cannot be moved or deleted there; a slow sync sorts it out"),
    row(500, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it failed; sync again, and tell its operator if that does not help"),
    row(501, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::OtherVersion, "it does not know a command; try another version of the protocol"),
    row(502, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something on the way to it does not work; sync again later"),
    row(503, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it has too much to do; sync again later"),
    row(504, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "something on the way to it does not work; sync again later"),
    row(505, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::OtherVersion, "it speaks no version of the protocol that was tried; choose another one"),
    row(506, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it failed; sync again, and tell its operator if that does not help"),
    row(507, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it could not do things together that belong together; sync again"),
    row(508, [Retry, Retry, Retry], OnAlert::Slow, OnHeader::Ended, "both sides do not agree on what was synced last; ask for a slow sync"),
    row(509, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it cannot go on where the last session broke off; sync again"),
    row(510, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "its data cannot be reached or is damaged; sync again later, and tell its operator if that does not help"),
    row(511, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it failed badly; tell its operator before syncing again"),
    row(512, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "the sync failed there; sync again from the start"),
    row(513, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::OtherVersion, "it speaks no version of the protocol that was tried; choose another one"),
    row(514, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "the sync was cancelled; sync again"),
    row(516, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it could not do things together that belong together; sync again"),
    row(517, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, "it could not do things together that belong together; sync again"),
];

/// Numbers that §4 does not give, by their class.
#[rustfmt::skip] // a table
const CLASSES: [StatusPolicy; 5] = [
    row(100, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, UNKNOWN),
    row(200, [Done, Done, Done], OnAlert::Held, OnHeader::Fine, UNKNOWN),
    row(300, [Retry, Retry, Retry], OnAlert::Held, OnHeader::Ended, REFUSES),
    row(400, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, REFUSES),
    row(500, [Retry, Retry, Retry], OnAlert::Ended, OnHeader::Ended, UNKNOWN),
];

const UNKNOWN: &str =
    "it gives a reason that has no meaning here; sync again, and tell its operator if that does not help";
const REFUSES: &str = "it refuses what was asked, for a reason that has no meaning here; ask its operator";

/// What is done about a code by default; one that §4 does not give is taken by its class.
#[must_use]
pub fn status_policy(code: StatusCode) -> StatusPolicy {
    match STATUS_POLICIES.binary_search_by_key(&code, |row| row.code) {
        Ok(at) => STATUS_POLICIES[at],
        Err(_) => StatusPolicy { code, ..CLASSES[usize::from((code.0 / 100).clamp(1, 5)) - 1] },
    }
}

/// What an answer to a change means.
#[must_use]
pub fn decide_confirmation(op: Op, code: StatusCode) -> Confirmation {
    let [add, replace, delete] = status_policy(code).changes;
    match op {
        Op::Add | Op::Copy => add,
        // It is not a Move's business whether something is there already.
        Op::Move if code == StatusCode::ALREADY_EXISTS => Retry,
        Op::Replace | Op::Move => replace,
        Op::Delete => delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of §4.
    fn section_4() -> impl Iterator<Item = u16> {
        std::iter::once(101).chain(200..=216).chain(300..=305).chain(400..=428).chain(500..=514).chain(516..=517)
    }

    #[test]
    fn every_row_of_section_4_has_its_policy() {
        let codes: Vec<u16> = STATUS_POLICIES.iter().map(|row| row.code.0).collect();
        assert_eq!(codes, section_4().collect::<Vec<_>>());
        for code in 0..1000 {
            let known = section_4().any(|one| one == code);
            let redirect = (300..=305).contains(&code);
            assert_eq!(StatusCode(code).name().is_some(), known && !redirect, "{code}");
            assert_eq!(status_policy(StatusCode(code)).code.0, code);
        }
    }

    #[test]
    fn rules_of_thumb_of_section_4() {
        for code in section_4() {
            let row = status_policy(StatusCode(code));
            let [add, replace, delete] = row.changes;
            // 213 is the answer to a chunk; to a whole item it says that this did not arrive.
            let success = ((200..300).contains(&code) && !matches!(code, 213 | 215 | 216)) || code == 419;
            assert_eq!(add == Done, success || code == 418, "Add {code}");
            assert_eq!(replace == Done, success || code == 418, "Replace {code}");
            assert_eq!(delete == Done, success || matches!(code, 404 | 410 | 423), "Delete {code}");
            assert_eq!(replace == Lost, matches!(code, 404 | 410), "Replace {code}");
            assert_eq!(add == Full, code == 420, "Add {code}");
            // Failed for now: marked for the next session.
            if matches!(code, 500 | 510 | 408 | 506 | 417 | 424 | 514) {
                assert_eq!(row.changes, [Retry, Retry, Retry], "{code}");
            }
            let alert = match code {
                508 => OnAlert::Slow,
                401 | 407 => OnAlert::Authenticate,
                400.. => OnAlert::Ended,
                _ => OnAlert::Held,
            };
            assert_eq!(row.alert, alert, "Alert {code}");
            let header = match code {
                101 => OnHeader::Busy,
                200..=299 => OnHeader::Fine,
                401 | 407 => OnHeader::Authenticate,
                400 | 501 | 505 | 513 => OnHeader::OtherVersion,
                _ => OnHeader::Ended,
            };
            assert_eq!(row.header, header, "SyncHdr {code}");
        }
    }

    #[test]
    fn every_status_has_a_sentence_of_its_own() {
        for row in STATUS_POLICIES {
            let sentence = row.advice;
            assert!(![UNKNOWN, REFUSES].contains(&sentence), "{} has none", row.code);
            assert!(sentence.contains(';') && !sentence.ends_with('.'), "{} says what to do: {sentence}", row.code);
        }
        assert_eq!(status_policy(StatusCode(499)).advice, REFUSES);
        assert_eq!(status_policy(StatusCode(599)).advice, UNKNOWN);
    }
}
