//! Small languages: notifications (§8) and filters (§3.16).

use super::input::parts;
use crate::auth::Secret;
use crate::contact::identity::Kind;
use crate::message::{self, AlertCode, Data, Item, Meta};
use crate::notify::{Alert11, KnownServer, Notification, ReceivedSan, SanKey, Unsigned, accept_notification, parse};
use crate::session::ClientBook;
use crate::store::BookNo;
use crate::sync::filter::{Filter, FilterType};

/// A notification, under every content type that it may come with.
///
/// What is read is written again and says the same. One that is not signed with the server's key begins no refresh: who
/// cannot be known must not cause deletes (§8.3).
pub fn san(bytes: &[u8]) {
    for content_type in ["", "application/vnd.syncml.ds.notification", "application/vnd.syncml+xml; charset=utf-8"] {
        if let Ok(notification) = parse(content_type, bytes) {
            accepts(&notification);
        }
    }
    if let Ok(called) = Alert11::called(bytes, crate::codec::Encoding::Wbxml) {
        assert!(!called.alerts.is_empty());
    }
    let Ok(received) = ReceivedSan::parse(bytes) else { return };
    // Codes that no server may ask for are read and not written.
    if let Ok(written) = received.san.write(None) {
        let again = ReceivedSan::parse(&written).unwrap_or_else(|error| panic!("written and read again: {error}"));
        assert_eq!((again.san, again.fault), (received.san, None));
    }
}

fn accepts(notification: &Notification) {
    let password = Secret::new("no fuzzer guesses this".to_owned());
    let book = ClientBook {
        book: BookNo::CONTACTS,
        local_uri: "./card".to_owned(),
        remote_uri: "contacts".to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    };
    let mut server = KnownServer {
        server_id: notification.server_id(),
        password: Some(&password),
        nonce: b"nonce",
        seen: &[],
        unsigned: Unsigned::Accept,
        books: &[book],
    };
    if let Ok(accepted) = accept_notification(notification, &server) {
        for book in &accepted.books {
            assert!(matches!(book.mode.0, 200..=205), "a mode of a client's own package 1");
            let refreshes = matches!(book.mode, AlertCode::REFRESH_FROM_SERVER | AlertCode::REFRESH_FROM_CLIENT);
            assert!(!refreshes, "nobody deletes without a signature");
        }
    }
    server.unsigned = Unsigned::Refuse;
    assert!(accept_notification(notification, &server).is_err(), "nobody signs without the password");
    if let Notification::San(received) = notification {
        assert!(!received.is_signed_with(SanKey { password: &password, nonce: b"nonce" }));
    }
}

/// A query, a list of properties, an address, and a card to ask, kept apart by the byte 1E.
pub fn filter(bytes: &[u8]) {
    let [query, fields, address, card] = parts::<4>(bytes);
    let [query, fields, address] = [query, fields, address].map(String::from_utf8_lossy);
    let item = |text: &str| Item { data: Some(Data::text(text.to_owned())), ..Item::default() };
    let of_alert = message::Filter {
        meta: Meta::of_type("text/x-vcard"),
        record: (!query.is_empty()).then(|| item(&query)),
        field: (!fields.is_empty()).then(|| item(&fields)),
        filter_type: None,
    };
    for kind in [Kind::Contact, Kind::Calendar, Kind::Note] {
        let filters = [
            Filter::of_alert(&of_alert, kind),
            Filter::new(kind, Some(&query), fields.split(','), FilterType::Exclusive),
            Filter::of_address(&address, kind),
        ];
        for filter in filters {
            match filter {
                Ok(Some(filter)) => asks(&filter, card),
                Ok(None) => {}
                Err(error) => assert!(error.status().0 >= 400, "{error}"),
            }
        }
    }
}

fn asks(filter: &Filter, card: &[u8]) {
    let passes = filter.passes(card, Some("luid-1"));
    let stored = serde_json::to_vec(filter).unwrap_or_else(|error| panic!("a filter is plain data: {error}"));
    let again: Filter = serde_json::from_slice(&stored).unwrap_or_else(|error| panic!("and comes back: {error}"));
    assert_eq!(&again, filter);
    assert_eq!(again.digest(), filter.digest());
    assert_eq!(again.passes(card, Some("luid-1")), passes, "the same question has the same answer");
}
