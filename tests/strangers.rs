//! What those get who are not who they say, on either side (§5; I10).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/site.rs"]
mod site;

use common::{Device, PASSWORD, SERVER_URI, World, card, token_of};
use site::{Letter, XML, basic, book_basic, book_md5, hear, md5, question, secret, wary, with_books, word, worlds};
use syncml::auth::{Challenge, DigestKind, Scheme, Verifier};
use syncml::codec::{Encoding, decode, encode};
use syncml::message::{Command, Header, Location, Message, MsgId, SessionId, StatusCode, Version};
use syncml::session::{Busy, Client, ClientError, Credentials, Refusal, Request, ServerConfig, ServerIdentity};
use syncml::store::{BookNo, Principal, PrincipalKind};
// --- The server, towards those who are not let in -----------------------------------------------------------------------

/// A refusal depends on what the header names, not on whether the user of the credential is known here.
#[test]
fn a_refusal_does_not_tell_who_has_an_account() {
    for mut world in World::each() {
        // The device of a user who is known; its successes are counted.
        world.sync(&Device::new("phone")).unwrap();
        for name in [None, Some("somebody")] {
            for asks in [false, true] {
                let refused = |user| {
                    let mut letter = Letter::of(name, basic(user, "wrong"));
                    if asks {
                        letter.body = vec![question()];
                    }
                    let heard = letter.hear(&world);
                    assert_eq!(heard.code, 401, "{name:?} {user}");
                    heard.chal.unwrap()
                };
                assert_eq!(refused("alice").nonce, refused("nobody").nonce, "{name:?} {asks}");
            }
            world.tick();
        }
    }
}

/// A MAC names its user itself: a device whose header does not is let in all the same.
#[test]
fn a_mac_without_a_name_in_the_header_is_let_in() {
    for mut world in World::each() {
        world.sync(&Device::new("phone")).unwrap();
        for _ in 0..3 {
            let mut letter = Letter::of(None, None);
            let mut codes = Vec::new();
            while codes.len() < 4 {
                let heard = letter.hear(&world);
                codes.push(heard.code);
                if heard.code == 200 {
                    break;
                }
                letter.msg_id += 1;
                letter.mac = heard.chal.map(|chal| chal.nonce);
            }
            assert_eq!(codes, [407, 401, 200]);
            world.tick();
        }
    }
}

#[test]
fn a_session_ends_with_the_right_to_it() {
    for change in ["nothing", "the same password", "password", "secret", "grant"] {
        for store in common::stores() {
            let world = World::with(store, ServerConfig::default());
            let directory = world.server.store().directory();
            let principal = |text: &str| {
                let verifier = Verifier::device(DigestKind::Md5, &secret(text), "platform");
                Principal { kind: PrincipalKind::Platform, verifiers: vec![verifier] }
            };
            world.put(&card("There", "+4930555"));
            for by_password in [true, false] {
                directory.put_principal("platform", &principal("open sesame")).unwrap();
                directory.set_grant("platform", "alice", true).unwrap();
                let mut device = Device::new(if by_password { "phone" } else { "platform" });
                if !by_password {
                    let (account, secret) = ("alice".to_owned(), secret("open sesame"));
                    device.config.credentials = Credentials::Device { account, secret };
                }
                let mut client =
                    Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
                for _ in 0..2 {
                    let out = client.outgoing().unwrap();
                    let reply = world.post(&out).unwrap();
                    client.received(reply.content_type, &reply.body, world.now).unwrap();
                }
                match change {
                    "the same password" => {
                        directory.put_login("alice", &Verifier::Password(secret(PASSWORD))).unwrap();
                    }
                    "password" => {
                        directory.put_login("alice", &Verifier::Password(secret("another"))).unwrap();
                    }
                    "secret" => directory.put_principal("platform", &principal("another")).unwrap(),
                    "grant" => directory.set_grant("platform", "alice", false).unwrap(),
                    _ => {}
                }
                let goes_on = match change {
                    "password" => !by_password,
                    "secret" | "grant" => by_password,
                    _ => true,
                };
                let out = client.outgoing().unwrap();
                let answer = world.post(&out);
                let told = answer.as_ref().is_ok_and(|reply| hear(reply).code == 200);
                assert_eq!(told, goes_on, "{change} {by_password}");
                assert!(told || matches!(answer, Err(Refusal::SessionGone)), "{change} {by_password}");
                directory.put_login("alice", &Verifier::Password(secret(PASSWORD))).unwrap();
            }
        }
    }
}

/// Whoever has the address of a session must be whose session it is (§5.3).
#[test]
fn an_address_is_good_for_its_session_only() {
    for world in World::each() {
        world.server.store().directory().put_login("bob", &Verifier::Password(secret("bob's"))).unwrap();
        let mut letter = Letter::of(Some("alice"), basic("alice", PASSWORD));
        let heard = letter.hear(&world);
        assert_eq!(heard.code, 212);
        letter.uri = heard.uri.unwrap();
        letter.msg_id = 2;
        for (cred, known) in [
            (basic("alice", "wrong"), false),
            (basic("bob", "bob's"), false),
            (basic("nobody", PASSWORD), false),
            // Devices go on showing what they showed before, and its nonce is used up since.
            (md5(PASSWORD, b"any nonce"), true),
            (basic("alice", PASSWORD), true),
            (None, true),
        ] {
            let label = format!("{cred:?}");
            letter.cred = cred;
            assert_eq!(letter.hear(&world).code, if known { 200 } else { 401 }, "{label}");
            letter.msg_id += u32::from(known);
        }
        // Nor can it be used to guess at the password.
        for n in 0..20 {
            letter.cred = basic("alice", &format!("guess {n}"));
            assert_eq!(letter.hear(&world).code, 401);
        }
        letter.cred = basic("alice", PASSWORD);
        assert_eq!(letter.hear(&world).code, 401, "it is not even looked at");
        letter.cred = None;
        assert_eq!(letter.hear(&world).code, 200);
        letter.msg_id += 1;
        letter.source = Location::named("another phone", "alice");
        assert!(matches!(letter.post(&world), Err(Refusal::SessionGone)));
    }
}

// --- The server's own secret (§5.4) -------------------------------------------------------------------------------------

/// Whoever has an account could ask for it, and then be the server to others.
#[test]
fn the_servers_secret_is_never_said_in_clear() {
    let chal = |scheme| Some(Challenge::new(scheme, b"nonce").to_chal());
    for world in worlds(true, &[], &ServerConfig::default()) {
        for first in [Scheme::Md5, Scheme::Basic] {
            let mut letter = Letter::of(Some("alice"), basic("alice", PASSWORD));
            letter.session = if first == Scheme::Md5 { "1" } else { "2" };
            let heard = letter.hear(&world);
            letter.uri = heard.uri.unwrap();
            letter.cred = None;
            letter.msg_id = 2;
            letter.body = vec![word(StatusCode::MISSING_CREDENTIALS, chal(first))];
            let shown = letter.hear(&world).shown;
            assert_eq!(shown.as_deref(), Some("syncml:auth-md5").filter(|_| first == Scheme::Md5));
            if first == Scheme::Md5 {
                letter.msg_id = 3;
                letter.body = vec![word(StatusCode::OK, chal(Scheme::Basic))];
                let shown = letter.hear(&world).shown;
                assert_ne!(shown.as_deref(), Some("syncml:auth-basic"), "nor with a word of thanks");
            }
        }
    }
}

// --- The client, towards a server that is not the one -------------------------------------------------------------------

#[test]
fn who_wants_proof_of_the_server_tells_it_no_password_before() {
    let device = Credentials::Device { account: "alice".to_owned(), secret: secret("open sesame") };
    for credentials in [book_basic(PASSWORD), device] {
        let mut device = wary(credentials);
        let begin = |device: &Device, world: &World| {
            Client::begin(device.store.clone(), device.account, device.config.clone(), world.now)
        };
        let world = World::new();
        let error = begin(&device, &world).unwrap_err();
        assert!(error.to_string().contains("https"), "{error}");
        // There the certificate answers for the server.
        device.config.server_uri = "https://sync.example.com/syncml".to_owned();
        assert!(begin(&device, &world).is_ok());
    }
}

#[test]
fn a_books_password_waits_until_the_server_has_proven_itself() {
    let mut config = ServerConfig::default();
    config.allow_basic = true;
    for mut world in worlds(true, &[BookNo::CONTACTS], &config) {
        let mut device = with_books(1, |_| book_basic("locked"));
        device.config.server = wary(book_md5(PASSWORD)).config.server;
        device.put(&card("A", "+491"));
        world.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        let (mut proven, mut told) = (false, 0);
        while let Some(out) = client.outgoing() {
            let said = String::from_utf8_lossy(&out.body).into_owned();
            if said.contains("syncml:auth-basic") {
                assert!(proven, "{said}");
                told += 1;
            }
            let reply = world.post(&out).unwrap();
            proven |= hear(&reply).shown.is_some();
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        assert_eq!((told, client.report().clean), (1, true));
        assert_eq!(world.cards(), device.cards());
    }
}

#[test]
fn a_server_that_says_busy_between_two_challenges_is_left_in_the_end() {
    let mut world = World::new();
    let device = Device::new("phone");
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    for round in 0.. {
        assert!(round < 60, "it ends");
        world.server.set_busy(if round % 3 == 2 { Busy::No } else { Busy::Everything });
        let out = client.outgoing().unwrap();
        // It never lets anybody in.
        let bytes = String::from_utf8(out.body.clone()).unwrap();
        let bytes = bytes
            .split_once("<Cred>")
            .map(|(before, rest)| format!("{before}{}", rest.split_once("</Cred>").unwrap().1))
            .unwrap_or_else(|| bytes.clone());
        let reply = world.server.answer(&world.request(&out.uri, XML, bytes.as_bytes())).unwrap();
        match client.received(reply.content_type, &reply.body, world.now) {
            Ok(()) => {}
            Err(ClientError::Busy) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

// --- What is written down -----------------------------------------------------------------------------------------------

#[test]
fn what_is_said_of_messages_holds_no_address_and_no_credential() {
    let mut world = World::new();
    let mut device = Device::new("phone");
    device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
    device.put(&card("Ann Example", "+4930555"));
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    while let Some(out) = client.outgoing() {
        let request = Request { mac: out.mac.as_deref(), ..world.request(&out.uri, out.content_type, &out.body) };
        let reply = world.server.answer(&request).unwrap();
        let text = format!("{out:?} {request:?} {reply:?}");
        let mac = out.mac.as_deref().and_then(|mac| mac.split("mac=").nth(1)).unwrap_or("?s=");
        for known in ["Ann Example", "SyncHdr", "83, 121, 110, 99", "?s=", token_of(&out.uri).unwrap_or("?s="), mac] {
            assert!(!text.contains(known), "{known:?} in {text}");
        }
        client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), world.now).unwrap();
    }
    assert!(client.report().clean);
}

/// What could not be written into the answer is not taken.
#[test]
fn a_message_that_cannot_be_answered_is_refused() {
    let world = World::new();
    let body = |session: &str, target: &str| {
        format!(
            "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>{session}</SessionID>\
             <MsgID>1</MsgID><Target><LocURI>{SERVER_URI}</LocURI></Target><Source><LocURI>phone</LocURI></Source>\
             <Cred><Meta><Type>syncml:auth-basic</Type></Meta><Data>YWxpY2U6c2VjcmV0</Data></Cred></SyncHdr>\
             <SyncBody><Alert><CmdID>1</CmdID><Data>200</Data><Item><Target><LocURI>{target}</LocURI></Target></Item>\
             </Alert><Final/></SyncBody></SyncML>"
        )
    };
    let post = |text: String| {
        let request = Request { protected: true, ..world.request(SERVER_URI, XML, text.as_bytes()) };
        world.server.answer(&request)
    };
    assert_eq!(hear(&post(body("1", "contacts")).unwrap()).code, 212);
    assert!(matches!(post(body("1&#1;", "contacts")), Err(Refusal::Unreadable(_))));
    assert_eq!(hear(&post(body("2", "&#1;")).unwrap()).code, 400);
}

/// A session that began in WBXML, which carries any octet, with an address that XML cannot carry: sending the message again
/// does not help, and nothing is wrong with the server.
#[test]
fn an_address_that_the_encoding_cannot_carry_is_not_the_servers_fault() {
    for world in World::each() {
        let mut letter = Letter::of(Some("alice"), basic("alice", PASSWORD));
        if let Command::Alert(alert) = &mut letter.body[0] {
            alert.items[0].source = Some(Location::new("./ca\u{1}rd"));
        }
        let target = Location::new(SERVER_URI);
        let mut header = Header::new(Version::V12, SessionId::from("77"), MsgId(1), target, letter.source.clone());
        header.cred.clone_from(&letter.cred);
        let bytes = encode(&Message { header, body: letter.body.clone(), last: true }, Encoding::Wbxml).unwrap();
        let wbxml = Encoding::Wbxml.media_type();
        let request = Request { protected: true, loopback: false, ..world.request(SERVER_URI, wbxml, &bytes) };
        let reply = world.server.answer(&request).unwrap();
        let message = decode(&reply.body, Encoding::Wbxml, &Default::default()).unwrap();
        letter.uri = message.header.resp_uri.as_ref().unwrap().to_string();
        (letter.msg_id, letter.cred) = (2, None);
        letter.body = vec![Command::Sync(syncml::message::Sync {
            cmd_id: syncml::message::CmdId::from(1),
            no_resp: false,
            cred: None,
            target: Some(Location::new("contacts")),
            source: None,
            meta: None,
            number_of_changes: None,
            commands: Vec::new(),
        })];
        let refusal = letter.post(&world).unwrap_err();
        assert!(matches!(refusal, Refusal::Unanswerable(_)), "{refusal:?}");
        assert_eq!(refusal.http_status(), 400);
    }
}

/// Another session of the same device uses up the nonce of one that is under way.
#[test]
fn a_message_whose_nonce_was_used_up_is_signed_again_once() {
    for mut world in World::each() {
        let mac = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
        let mut device = Device::new("phone");
        device.config.credentials = mac;
        device.put(&card("A", "+491"));
        world.put(&card("B", "+492"));
        world.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        let (mut signed_again, mut count) = (0, 0);
        while let Some(out) = client.outgoing() {
            count += 1;
            assert!(count < 30, "it ends");
            let reply = world.post(&out).unwrap();
            let code = hear(&reply).code;
            client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), world.now).unwrap();
            let next = client.outgoing();
            if code == 401 && count > 2 {
                let next = next.as_ref().unwrap();
                assert_eq!(next.body, out.body);
                assert_ne!(next.mac, out.mac);
                signed_again += 1;
            }
            if let (200, Some(_)) = (code, next) {
                // A question in between.
                let mut letter = Letter::of(Some("alice"), None);
                letter.body = vec![question()];
                letter.mac = letter.hear(&world).chal.map(|chal| chal.nonce);
                assert_eq!(letter.hear(&world).code, 200);
            }
        }
        assert!(signed_again > 1, "{signed_again}");
        assert!(client.report().clean);
        assert_eq!(world.cards(), device.cards());
        // A server that takes no signature is left.
        world.put(&card("C", "+493"));
        world.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        let mut refused = 0;
        let error = loop {
            let out = client.outgoing().unwrap();
            let spoiled = out
                .mac
                .as_ref()
                .map(|mac| mac.replace("mac=", "mac=AAAA"))
                .filter(|_| refused > 0 || out.uri != SERVER_URI);
            let request =
                Request { mac: spoiled.as_deref().or(out.mac.as_deref()), ..world.request(&out.uri, XML, &out.body) };
            let reply = world.server.answer(&request).unwrap();
            refused += u32::from(hear(&reply).code == 401);
            if let Err(error) = client.received_with_mac(XML, &reply.body, reply.mac.as_deref(), world.now) {
                break error;
            }
            assert!(refused < 3);
        };
        assert!(matches!(error, ClientError::Refused(_)), "{error}");
    }
}

/// A server without a secret of its own proves itself by the login's, from the first answer on.
#[test]
fn a_mac_by_the_logins_own_password_can_be_demanded() {
    for signed in [true, false] {
        let mut world = World::new();
        let mut device = Device::new("phone");
        device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
        device.config.server = Some(ServerIdentity { name: "alice".to_owned(), secret: secret(PASSWORD) });
        device.put(&card("A", "+491"));
        world.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        let mut ended = Ok(());
        while let (Some(out), Ok(())) = (client.outgoing(), &ended) {
            let reply = world.post(&out).unwrap();
            let mac = reply.mac.as_deref().filter(|_| signed);
            ended = client.received_with_mac(reply.content_type, &reply.body, mac, world.now);
        }
        assert_eq!(ended.is_ok(), signed);
        assert!(signed || matches!(ended, Err(ClientError::Unproven)));
    }
}

/// Nothing that an unproven server said is remembered.
#[test]
fn the_version_of_a_server_that_is_not_believed_is_not_remembered() {
    for (named, remembered) in [(false, false), (true, true)] {
        for mut world in worlds(named, &[], &ServerConfig::default()) {
            let device = wary(book_md5(PASSWORD));
            let begin = |world: &World| {
                let client =
                    Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
                let out = client.outgoing().unwrap();
                let version = decode(&out.body, Encoding::Xml, &Default::default()).unwrap().header.version();
                (client, version.unwrap())
            };
            world.tick();
            let (mut client, version) = begin(&world);
            assert_eq!(version, Version::V12);
            assert!(client.unanswered(400, world.now).unwrap());
            while let Some(out) = client.outgoing() {
                let reply = world.post(&out).unwrap();
                if client.received(reply.content_type, &reply.body, world.now).is_err() {
                    break;
                }
            }
            assert_eq!(client.report().clean, named);
            let spoken = if remembered { Version::V11 } else { Version::V12 };
            assert_eq!(begin(&world).1, spoken);
            // What was a guess is tried again some day.
            world.now = world.now.plus_seconds(2 * 86_400);
            assert_eq!(begin(&world).1, Version::V12);
        }
    }
}

/// A device does not wait for whoever reads the reports, and does not hear of their troubles.
#[cfg(feature = "http")]
#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // it opens sockets
fn a_report_delays_no_answer() {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};
    use syncml::transport::http::client::{HttpClient, Options, run};
    use syncml::transport::http::{now, server};
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = channel::<()>();
    let (told, heard) = channel();
    let (wait, told) = (Mutex::new(wait), Mutex::new(told));
    let mut options = server::Options::default();
    options.on_report = Some(Arc::new(move |report: &syncml::session::Report| {
        wait.lock().unwrap().recv().unwrap();
        told.lock().unwrap().send(report.clean).unwrap();
    }));
    runtime.spawn(server::serve(listener, Arc::new(world.server), options, std::future::pending()));
    let mut device = Device::new("phone");
    device.config.server_uri = format!("http://{address}/syncml");
    device.put(&card("A", "+491"));
    let mut options = Options::default();
    options.timeout = std::time::Duration::from_secs(30);
    let http = HttpClient::new(options).unwrap();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
    run(&mut client, &http, &mut ()).unwrap();
    assert!(client.report().clean && heard.try_recv().is_err(), "nobody was told yet");
    go.send(()).unwrap();
    assert!(heard.recv().unwrap());
}
