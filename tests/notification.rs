//! Notifications: the vectors of §8.2 and others like them (fixtures/notification), and what reading and writing owe each
//! other for arbitrary ones.

mod common;

use common::{Device, SERVER_URI, World, card};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use syncml::auth::Secret;
use syncml::codec::{Encoding, decode};
use syncml::message::{AlertCode, Command, Timestamp, Version};
use syncml::notify::{
    Accepted, Alert11, AlertedStore, Form, Initiator, Invitation, KnownServer, Notification, ReceivedSan,
    RefusedNotification, SAN_MEDIA_TYPE, San, SanKey, SanSync, UiMode, Unsigned, accept_notification, parse,
};
use syncml::session::{Client, ClientBook, ClientConfig};
use syncml::store::{BookNo, DeviceRow};

/// A fixture's lines `key: value`.
struct Fixture(BTreeMap<String, Vec<String>>);

impl Fixture {
    fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        let digits: String = self.one(key).unwrap_or_default().split_whitespace().collect();
        let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
        (0..digits.len()).step_by(2).map(pair).collect()
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/notification");
    let entries = std::fs::read_dir(folder).expect("fixtures/notification").map(|entry| entry.expect("entry").path());
    let read = |path: &Path| {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::fs::read_to_string(path).expect("fixture").lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(':').expect("key: value");
            lines.entry(key.to_owned()).or_default().push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        }
        Fixture(lines)
    };
    entries.map(|path| (path.file_stem().expect("name").to_string_lossy().into_owned(), read(&path))).collect()
}

/// Catalogue: SAN-1
#[test]
fn fixtures_are_read_checked_and_written_again() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 11);
    for (name, fixture) in fixtures {
        let bytes = fixture.bytes("bytes");
        let received = match ReceivedSan::parse(&bytes) {
            Ok(received) => received,
            Err(error) => {
                assert_eq!(Some(&*error.to_string()), fixture.one("error"), "{name}");
                continue;
            }
        };
        assert_eq!(fixture.one("error"), None, "{name}");
        let san = &received.san;
        assert_eq!(fixture.one("server-id"), Some(&*san.server_id), "{name}");
        assert_eq!(fixture.one("session"), Some(&*san.session_id.to_string()), "{name}");
        assert_eq!(fixture.one("ui"), Some(&*format!("{:?}", san.ui)), "{name}");
        assert_eq!(fixture.one("initiator"), Some(&*format!("{:?}", san.initiator)), "{name}");
        assert_eq!(fixture.one("fault"), received.fault.as_ref().map(ToString::to_string).as_deref(), "{name}");
        assert_eq!(fixture.bytes("vendor"), san.vendor, "{name}");
        let sync = |sync: &SanSync| format!("{} {} {}", sync.code, sync.content_type, sync.server_uri);
        assert_eq!(fixture.all("sync"), san.syncs.iter().map(sync).collect::<Vec<_>>(), "{name}");
        let password = fixture.one("signed-with").map(|text| Secret::new(text.to_owned()));
        assert_eq!(received.is_signed(), password.is_some(), "{name}");
        let key = password.as_ref().map(|password| SanKey { password, nonce: b"" });
        if let Some(key) = key {
            assert!(received.is_signed_with(key), "{name}");
            assert!(!received.is_signed_with(SanKey { nonce: b"x", ..key }), "{name}");
            assert!(!received.is_signed_with(SanKey { password: &Secret::new("x".to_owned()), ..key }), "{name}");
        }
        if fixture.one("not-rebuilt").is_none() {
            assert_eq!(san.write(key).expect(&name), bytes, "{name}");
        }
        let found = parse("", &bytes).expect(&name);
        assert_eq!(found, Notification::San(received), "{name}: known without a content type");
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn book(book: BookNo, local: &str, remote: &str) -> ClientBook {
    ClientBook {
        book,
        local_uri: local.to_owned(),
        remote_uri: remote.to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    }
}

fn san(syncs: &[(u16, u32, &str)]) -> San {
    let sync = |(code, content_type, uri): &(u16, u32, &str)| SanSync {
        code: AlertCode(*code),
        content_type: *content_type,
        server_uri: (*uri).to_owned(),
    };
    San {
        session_id: 0x2A,
        server_id: "server".to_owned(),
        syncs: syncs.iter().map(sync).collect(),
        ui: UiMode::Interactive,
        ..San::default()
    }
}

fn received(san: &San, key: Option<SanKey<'_>>) -> Notification {
    parse(SAN_MEDIA_TYPE, &san.write(key).expect("written")).expect("read")
}

/// Books by number and the code to begin them with.
fn modes(accepted: &Accepted) -> Vec<(i64, u16)> {
    accepted.books.iter().map(|book| (book.book.0, book.mode.0)).collect()
}

/// Catalogue: SAN-2
#[test]
fn a_client_does_what_it_is_asked_by_whom_it_knows() {
    let password = secret("sesame");
    let books = [
        book(BookNo::CONTACTS, "./contacts", "http://host/sync/card"),
        book(BookNo::CALENDAR, "./calendar", "cal"),
        book(BookNo::TASKS, "./tasks", "todo"),
    ];
    let key = SanKey { password: &password, nonce: b"nonce" };
    let server = KnownServer {
        server_id: "server",
        password: Some(&password),
        nonce: b"nonce",
        seen: &[],
        unsigned: Unsigned::Refuse,
        books: &books,
    };
    for (why, syncs, wanted, notes) in [
        ("by address", &[(206, 0, "./card")][..], &[(1, 200)][..], 0),
        ("each code", &[(207, 0, "card"), (208, 0, "cal"), (209, 0, "todo")], &[(1, 202), (2, 203), (3, 204)], 0),
        ("the last code", &[(210, 0, "card")], &[(1, 205)], 0),
        ("by type", &[(206, 7, "")], &[(1, 200)], 0),
        ("by type, though it has an address", &[(206, 7, "elsewhere")], &[(1, 200)], 0),
        ("unknown ones are passed over", &[(206, 0, "memo"), (206, 0, "cal")], &[(2, 200)], 1),
        ("the first word counts", &[(206, 0, "cal"), (210, 0, "cal")], &[(2, 200)], 1),
        ("no code of a server's", &[(211, 0, "cal"), (206, 0, "todo")], &[(3, 200)], 1),
        ("all", &[], &[(1, 200), (2, 200), (3, 200)], 0),
    ] {
        let mut bytes = san(&[]).write(None).expect("written");
        // Written by hand, since no server of ours says 211.
        if syncs.iter().any(|(code, ..)| *code > 210) {
            bytes.truncate(bytes.len() - 1);
            bytes.extend([0x20, 0xB0, 0, 0, 0, 3]);
            bytes.extend(b"cal\x60\0\0\0\x04todo");
            let open = KnownServer { unsigned: Unsigned::Accept, ..server };
            let accepted = accept_notification(&parse("", &bytes).expect(why), &open).expect(why);
            assert_eq!((modes(&accepted), accepted.notes.len()), (wanted.to_vec(), notes), "{why}");
            continue;
        }
        let accepted = accept_notification(&received(&san(syncs), Some(key)), &server).expect(why);
        assert_eq!((modes(&accepted), accepted.notes.len()), (wanted.to_vec(), notes), "{why}");
        assert_eq!((accepted.session_id.as_deref(), accepted.ui), (Some("2A"), UiMode::Interactive), "{why}");
    }
}

/// Catalogue: SAN-4
#[test]
fn a_client_refuses_what_anybody_could_have_sent() {
    use RefusedNotification::{NotSigned, NothingToSync, Replayed, UnknownServer, WrongDigest};
    let (password, other) = (secret("sesame"), secret("other"));
    let books = [book(BookNo::CONTACTS, "./contacts", "card")];
    let server = KnownServer {
        server_id: "server",
        password: Some(&password),
        nonce: b"nonce",
        seen: &["2A".to_owned()],
        unsigned: Unsigned::Refuse,
        books: &books,
    };
    let fresh = KnownServer { seen: &[], ..server };
    let key = SanKey { password: &password, nonce: b"nonce" };
    let asked = san(&[(208, 0, "card")]);
    let stranger = San { server_id: "stranger".to_owned(), ..asked.clone() };
    for (why, notification, server, wanted) in [
        ("a stranger", received(&stranger, Some(key)), &fresh, UnknownServer),
        ("no digest", received(&asked, None), &fresh, NotSigned),
        ("another password", received(&asked, Some(SanKey { password: &other, ..key })), &fresh, WrongDigest),
        ("an old nonce", received(&asked, Some(SanKey { nonce: b"", ..key })), &fresh, WrongDigest),
        ("no password agreed", received(&asked, Some(key)), &KnownServer { password: None, ..fresh }, WrongDigest),
        ("twice", received(&asked, Some(key)), &server, Replayed),
        ("another book", received(&san(&[(206, 0, "memo")]), Some(key)), &fresh, NothingToSync),
    ] {
        let refused = accept_notification(&notification, server).expect_err(why);
        assert_eq!(refused, wanted, "{why}");
        assert!(refused.to_string().contains(':'), "{why}: says what to do");
    }
    // Somebody on the way changes one bit of what was signed.
    let mut bytes = asked.write(Some(key)).expect("written");
    let code = bytes.len() - 9;
    assert_eq!(bytes[code], 0x80);
    bytes[code] = 0xA0;
    assert_eq!(accept_notification(&parse("", &bytes).expect("read"), &fresh).expect_err("forged"), WrongDigest);
    // Deletes need a signature and a session of their own.
    let open = KnownServer { unsigned: Unsigned::Accept, ..fresh };
    for (why, notification, mode) in [
        ("signed", received(&asked, Some(key)), 203),
        ("unsigned", received(&asked, None), 200),
        ("without a session id", received(&San { session_id: 0, ..asked.clone() }, Some(key)), 200),
    ] {
        assert_eq!(modes(&accept_notification(&notification, &open).expect(why)), [(1, mode)], "{why}");
    }
}

/// Catalogue: SAN-3
#[test]
fn a_server_invites_devices_in_their_own_form() {
    let password = secret("sesame");
    let mut device = DeviceRow::new("IMEI:1", Timestamp(0));
    device.nonce_in = Some(b"nonce".to_vec());
    let books = [book(BookNo::CONTACTS, "./contacts", "contacts"), book(BookNo::NOTES, "./notes", "notes")];
    let server = KnownServer {
        server_id: "server",
        password: Some(&password),
        nonce: b"nonce",
        seen: &[],
        unsigned: Unsigned::Refuse,
        books: &books,
    };
    let invitation = Invitation {
        server_id: "server",
        server_uri: "http://host/syncml",
        password: Some(&password),
        code: AlertCode::ONE_WAY_FROM_SERVER_BY_SERVER,
        ui: UiMode::Informative,
        initiator: Initiator::Server,
        session_id: 0xBEEF,
        books: &[BookNo::CONTACTS, BookNo::NOTES],
    };
    let alerts = [Version::V10, Version::V11]
        .into_iter()
        .flat_map(|version| [Encoding::Xml, Encoding::Wbxml].map(|encoding| Form::Alert(version, encoding)));
    for form in std::iter::once(Form::San).chain(alerts) {
        let invited = invitation.write(&device, form).expect("written");
        let notification = parse(invited.content_type, &invited.body).expect("read");
        assert_eq!(notification.server_id(), "server");
        let accepted = accept_notification(&notification, &server).unwrap_or_else(|e| panic!("{form:?}: {e}"));
        assert_eq!(modes(&accepted), [(1, 204), (4, 204)], "{form:?}");
        assert_eq!(accepted.session_id.as_deref(), Some("BEEF"), "{form:?}");
        let old = KnownServer { nonce: b"older", ..server };
        assert_eq!(accept_notification(&notification, &old).expect_err("stale"), RefusedNotification::WrongDigest);
    }
    for (code, books) in [(AlertCode::TWO_WAY, &[BookNo::CONTACTS][..]), (AlertCode::TWO_WAY_BY_SERVER, &[])] {
        let wrong = Invitation { code, books, ..invitation };
        assert!(wrong.write(&device, Form::Alert(Version::V11, Encoding::Xml)).is_err(), "{code}");
    }
    assert_eq!(Form::of(&device), Form::San);
    let devinf =
        |version: &str| format!("<DevInf xmlns='syncml:devinf'><VerDTD>{version}</VerDTD></DevInf>").into_bytes();
    for (version, form) in [("1.1", Form::Alert(Version::V11, Encoding::Wbxml)), ("1.2", Form::San)] {
        let known = DeviceRow { devinf: Some(devinf(version)), ..device.clone() };
        assert_eq!(Form::of(&known), form);
    }
}

/// Catalogue: 10.2/36, S8
#[test]
fn a_device_syncs_when_it_is_asked_to() {
    for mut world in World::each() {
        let password = secret("sesame");
        let device = Device::new("IMEI:1");
        world.sync(&device).expect("first sync");
        world.put(&card("New", "+491"));
        let mut row = None;
        let look = &mut |tx: &mut dyn syncml::store::Tx| {
            row = tx.device("IMEI:1")?;
            Ok(())
        };
        world.server.store().look(world.account, look).expect("looked");
        let row = row.expect("the device is known");
        assert_eq!(Form::of(&row), Form::San, "it speaks 1.2");
        let invitation = Invitation {
            server_id: "server",
            server_uri: SERVER_URI,
            password: Some(&password),
            code: AlertCode::TWO_WAY_BY_SERVER,
            ui: UiMode::Background,
            initiator: Initiator::Server,
            session_id: 0xCAFE,
            books: &[BookNo::CONTACTS],
        };
        let invited = invitation.write(&row, Form::of(&row)).expect("written");

        let server = KnownServer {
            server_id: "server",
            password: Some(&password),
            nonce: b"",
            seen: &[],
            unsigned: Unsigned::Refuse,
            books: &device.config.books,
        };
        let notification = parse(invited.content_type, &invited.body).expect("read");
        let accepted = accept_notification(&notification, &server).expect("accepted");
        let session_id = accepted.session_id.expect("it has a session");
        let config = ClientConfig { books: accepted.books, ..device.config.clone() };
        world.tick();
        let mut client = Client::begin_notified(device.store.clone(), device.account, config, &session_id, world.now)
            .expect("begun");
        while let Some(out) = client.outgoing() {
            assert!(String::from_utf8_lossy(&out.body).contains("<SessionID>CAFE</SessionID>"));
            let reply = world.post(&out).expect("answered");
            client.received(reply.content_type, &reply.body, world.now).expect("taken");
        }
        assert!(client.report().clean);
        assert_eq!(device.cards(), world.cards());
        let known = KnownServer { seen: &[session_id], ..server };
        let again = accept_notification(&notification, &known).expect_err("again");
        assert_eq!(again, RefusedNotification::Replayed);
    }
}

#[test]
fn what_has_no_room_is_not_written() {
    let sync = |code, content_type, uri: &str| San { server_id: String::new(), ..san(&[(code, content_type, uri)]) };
    let long = "x".repeat(256);
    for (element, san) in [
        ("server-identifier", San { server_id: long.clone(), ..San::default() }),
        ("server-uri", sync(206, 0, &long)),
        ("content-type", sync(206, 1 << 24, "x")),
        ("sync-type", sync(205, 0, "x")),
        ("sync-type", sync(211, 0, "x")),
        ("num-syncs", san(&[(206, 0, "x"); 16])),
        ("notification", San { vendor: vec![0; 8 * 1024], ..San::default() }),
    ] {
        let error = san.write(None).expect_err(element).to_string();
        assert!(error.starts_with(element), "{error}");
    }
    let error = ReceivedSan::parse(&[0; 8 * 1024 + 1]).expect_err("too long").to_string();
    assert!(error.starts_with("notification has 8193"), "{error}");
}

/// Catalogue: 10.2/37
#[test]
fn other_types_and_messages_are_told_apart() {
    let message = Alert11 {
        version: Version::V11,
        session_id: "1".to_owned(),
        device_id: "/".to_owned(),
        server_uri: "http://host".to_owned(),
        server_id: None,
        cred: None,
        stores: vec![stores("contacts", None)],
    };
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let bytes = message.write(encoding).expect("written");
        for content_type in ["", "application/octet-stream", encoding.media_type()] {
            let found = parse(content_type, &bytes).expect(content_type);
            assert_eq!(found, Notification::Alert(Box::new(message.clone())), "{content_type}");
        }
        let none = Alert11 { stores: Vec::new(), ..message.clone() }.write(encoding).expect("written");
        assert!(parse("", &none).expect_err("no alert").to_string().contains("206 to 210"));
    }
    for (content_type, bytes) in [
        ("application/vnd.syncml.notification", &[0; 40][..]),
        ("text/plain", &[0; 40]),
        ("", b"hello"),
        ("", &[0; 40]),
    ] {
        parse(content_type, bytes).expect_err(content_type);
    }
}

fn stores(server_uri: &str, client_uri: Option<&str>) -> AlertedStore {
    AlertedStore {
        code: AlertCode::TWO_WAY_BY_SERVER,
        server_uri: server_uri.to_owned(),
        client_uri: client_uri.map(str::to_owned),
        media_type: None,
    }
}

fn arbitrary_san() -> impl Strategy<Value = San> {
    let sync = (206_u16..=210, 0_u32..1 << 24, "\\PC{0,40}").prop_map(|(code, content_type, server_uri)| SanSync {
        code: AlertCode(code),
        content_type,
        server_uri,
    });
    let ui =
        prop::sample::select(vec![UiMode::Unspecified, UiMode::Background, UiMode::Informative, UiMode::Interactive]);
    let syncs = prop::collection::vec(sync, 0..=15);
    let vendor = prop::collection::vec(any::<u8>(), 0..40);
    (ui, any::<bool>(), any::<u16>(), "\\PC{0,60}", syncs, vendor).prop_map(
        |(ui, server, session_id, server_id, syncs, vendor)| San {
            ui,
            initiator: if server { Initiator::Server } else { Initiator::User },
            session_id,
            server_id,
            syncs,
            vendor,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(san in arbitrary_san(), password in "\\PC{0,12}", nonce in any::<[u8; 4]>()) {
        let password = secret(&password);
        let key = SanKey { password: &password, nonce: &nonce };
        for key in [None, Some(key)] {
            let bytes = san.write(key).unwrap();
            let received = ReceivedSan::parse(&bytes).unwrap();
            prop_assert_eq!(&received.san, &san);
            prop_assert_eq!(&received.fault, &None);
            prop_assert_eq!(key.is_some_and(|key| received.is_signed_with(key)), key.is_some());
        }
    }

    #[test]
    fn nothing_signed_can_be_changed(san in arbitrary_san(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let password = secret("sesame");
        let key = SanKey { password: &password, nonce: b"nonce" };
        let mut bytes = san.write(Some(key)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(received) = ReceivedSan::parse(&bytes) {
            prop_assert!(!received.is_signed_with(key));
        }
    }

    #[test]
    fn anything_is_read_or_refused(
        san in arbitrary_san(),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        cut in any::<prop::sample::Index>(),
        splice in any::<prop::sample::Index>(),
    ) {
        let mut mutated = san.write(None).unwrap();
        mutated.truncate(cut.index(mutated.len() + 1));
        mutated.splice(splice.index(mutated.len() + 1).., bytes.iter().copied());
        let alert = Alert11 {
            version: Version::V11,
            session_id: "1".to_owned(),
            device_id: "/".to_owned(),
            server_uri: "http://host".to_owned(),
            server_id: Some("server".to_owned()),
            cred: None,
            stores: vec![stores("contacts", Some("card"))],
        };
        let mut message = alert.write(Encoding::Wbxml).unwrap();
        message.splice(splice.index(message.len() + 1).., bytes.iter().copied());
        let books = [book(BookNo::CONTACTS, "./contacts", "card")];
        let server = KnownServer {
            server_id: "server",
            password: None,
            nonce: b"",
            seen: &[],
            unsigned: Unsigned::Accept,
            books: &books,
        };
        for bytes in [&bytes, &mutated, &message] {
            for content_type in ["", SAN_MEDIA_TYPE, "application/vnd.syncml+xml", "application/vnd.syncml+wbxml"] {
                if let Ok(notification) = parse(content_type, bytes) {
                    drop(accept_notification(&notification, &server));
                }
            }
        }
    }

    #[test]
    fn messages_are_read_again(
        names in prop::collection::vec(("[a-zA-Z./ é&<]{1,20}", prop::option::of("[a-z]{1,9}"), 206_u16..=210), 1..5),
        session_id in "[0-9A-F]{1,4}",
        wbxml in any::<bool>(),
        v10 in any::<bool>(),
        nonce in any::<[u8; 4]>(),
    ) {
        let encoding = if wbxml { Encoding::Wbxml } else { Encoding::Xml };
        let password = secret("sesame");
        let key = SanKey { password: &password, nonce: &nonce };
        let mut alert = Alert11 {
            version: if v10 { Version::V10 } else { Version::V11 },
            session_id,
            device_id: "IMEI:1".to_owned(),
            server_uri: "http://host/a?b=1&c".to_owned(),
            server_id: Some("sérver".to_owned()),
            cred: None,
            stores: names.iter().map(|(name, client, code)| AlertedStore {
                code: AlertCode(*code),
                media_type: client.as_ref().map(|client| format!("text/{client}")),
                ..stores(name.trim(), client.as_deref())
            }).collect(),
        };
        prop_assert!(!alert.is_signed_with("sérver", key));
        alert.sign(key);
        let read = Alert11::parse(&alert.write(encoding).unwrap(), encoding).unwrap();
        prop_assert!(read.is_signed_with("sérver", key));
        prop_assert!(!read.is_signed_with("server", key));
        let other = Alert11 { server_id: Some("other".to_owned()), ..read.clone() };
        prop_assert!(!other.is_signed_with("sérver", key) && !other.is_signed_with("other", key));
        let stale = SanKey { nonce: b"", ..key };
        prop_assert!(!read.is_signed_with("sérver", stale));
        prop_assert_eq!(read, alert);
    }
}

/// §8.4: the session that a notification message asked for takes over its id, and answers its Alerts in package 1.
#[test]
fn package_1_answers_the_alerts_of_package_0() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let mut world = World::new();
        let mut device = Device::new("phone");
        device.config.encoding = encoding;
        device.config.version = Version::V11;
        world.put(&card("A", "+491"));
        let unknown = AlertedStore { server_uri: "recipes".to_owned(), ..stores("recipes", None) };
        let message = Alert11 {
            version: Version::V11,
            session_id: "7A".to_owned(),
            device_id: "phone".to_owned(),
            server_uri: SERVER_URI.to_owned(),
            server_id: None,
            cred: None,
            stores: vec![stores("./contacts", None), unknown],
        };
        let bytes = message.write(encoding).expect("written");
        let called = Alert11::called(&bytes, encoding).expect("read");
        assert!(Alert11::called(b"nonsense", encoding).is_err());
        world.tick();
        let mut client =
            Client::begin_called(device.store.clone(), device.account, device.config.clone(), &called, world.now)
                .expect("begun");
        while let Some(out) = client.outgoing() {
            let message = decode(&out.body, encoding, &Default::default()).expect("read");
            assert_eq!(message.header.session_id.as_str(), "7A");
            let statuses: Vec<(String, String, String, u16)> = message
                .body
                .iter()
                .filter_map(|command| match command {
                    Command::Status(status) => Some((
                        status.msg_ref.to_string(),
                        status.cmd_ref.to_string(),
                        status.cmd.to_string(),
                        status.code.0,
                    )),
                    _ => None,
                })
                .collect();
            let of = |cmd_ref: &str, cmd: &str, code| ("1".to_owned(), cmd_ref.to_owned(), cmd.to_owned(), code);
            match message.header.msg_id.0 {
                1 => assert_eq!(statuses, [of("0", "SyncHdr", 200), of("1", "Alert", 200), of("2", "Alert", 404)]),
                // It answers the challenge, which has the number of package 0, and nothing else.
                2 => assert_eq!(statuses, [of("0", "SyncHdr", 200)]),
                _ => assert!(statuses.iter().filter(|status| status.2 == "SyncHdr").count() <= 1),
            }
            let reply = world.post(&out).expect("answered");
            client.received(reply.content_type, &reply.body, world.now).expect("taken");
        }
        assert!(client.report().clean);
        assert_eq!(device.cards(), world.cards());
    }
}
