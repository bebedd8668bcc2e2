//! What a status that ends a session or a book means for people, and what they can do (§4).

use crate::message::StatusCode;

/// A sentence without its full stop.
pub(super) const fn advice(code: StatusCode) -> &'static str {
    match code.0 {
        101 => "it is busy; sync again later",
        300..=305 => "it has moved; ask its operator for the new address",
        400 => "it cannot read the messages; try another version of the protocol or the other encoding",
        401 => "it refuses the credentials; check the user name and the password or secret",
        402 => "it wants to be paid; see to the account there",
        403 => "the account may not do this there; ask its operator, or try another kind of sync",
        404 => "it has no such book; check the book's remote name",
        405 => "it does not allow this on that book; try another kind of sync",
        406 => "it lacks something that was asked for; try another kind of sync or another way to log in",
        407 => "it wants credentials; give the user name and the password or secret",
        408 => "it lost the session or waited too long; sync again",
        409 | 419 => "both sides changed the same and it did not decide; sync again",
        410 => "the book is gone for good; check the book's remote name",
        411 | 412 | 424 | 426 => "something of a large item got lost; sync again",
        413 | 416 => "something is too large for it; allow it less or smaller items",
        414 => "an address is too long for it; check the server's address and the book's remote name",
        415 => "it does not take this kind of content; check that the book and its remote name are of the same kind",
        417 => "it asks to be left alone for a while; sync again later",
        418 => "it has that already; a slow sync sorts it out",
        420 => "there is no room left; delete something there, or get more room",
        421 | 422 => "it does not understand a filter or an address; check the book's remote name",
        423 | 427 | 428 => "an item cannot be moved or deleted there; a slow sync sorts it out",
        425 => "the account may not do this there; ask its operator",
        500 | 506 => "it failed; sync again, and tell its operator if that does not help",
        501 => "it does not know a command; try another version of the protocol",
        502 | 504 => "something on the way to it does not work; sync again later",
        503 => "it has too much to do; sync again later",
        505 | 513 => "it speaks no version of the protocol that was tried; choose another one",
        507 | 516 | 517 => "it could not do things together that belong together; sync again",
        508 => "both sides do not agree on what was synced last; ask for a slow sync",
        509 => "it cannot go on where the last session broke off; sync again",
        510 => {
            "its data cannot be reached or is damaged; sync again later, and tell its operator if that does not help"
        }
        511 => "it failed badly; tell its operator before syncing again",
        512 => "the sync failed there; sync again from the start",
        514 | 214 => "the sync was cancelled; sync again",
        215 => "somebody declined it there; sync again",
        306..=399 | 429..=499 => "it refuses what was asked, for a reason that has no meaning here; ask its operator",
        _ => "it gives a reason that has no meaning here; sync again, and tell its operator if that does not help",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ClientError;

    #[test]
    fn every_status_that_is_an_error_has_a_sentence_of_its_own() {
        let unknown = [advice(StatusCode(499)), advice(StatusCode(599))];
        let codes = (300..=305).chain(400..=428).chain(500..=514).chain(516..=517).chain([101, 214, 215]);
        for code in codes {
            let sentence = advice(StatusCode(code));
            assert!(!unknown.contains(&sentence), "{code} has none");
            assert!(sentence.contains(';') && !sentence.ends_with('.'), "{code} says what to do: {sentence}");
            let text = ClientError::Ended(StatusCode(code)).to_string();
            assert!(text.contains(&code.to_string()) && text.ends_with(sentence), "{text}");
        }
        for code in 300..600 {
            if StatusCode(code).name().is_some() {
                assert!(!unknown.contains(&advice(StatusCode(code))), "{code} has a name but no sentence");
            }
        }
    }
}
