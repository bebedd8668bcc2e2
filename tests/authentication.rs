//! Who is who: every scheme, both ways, for sessions, messages and single books (§5).
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Device, PASSWORD, SERVER_URI, World, card, numbered, put, stores, token_of};
use std::sync::Arc;
use syncml::auth::{Challenge, Identity, MacHeader, Scheme, Secret, Verifier};
use syncml::codec::{Encoding, decode, encode};
use syncml::kit::phone::Phone;
use syncml::message::{
    Alert, AlertCode, Anchor, CmdId, Command, Cred, Header, Item, Location, Message, Meta, MsgId, Op, SessionId,
    StatusCode, Version,
};
use syncml::session::{
    Client, ClientBook, ClientError, Credentials, Host, Outgoing, Refusal, Reply, Request, Server, ServerConfig,
    ServerIdentity, Speaker,
};
use syncml::store::BookNo;

const SERVER_SECRET: &str = "it is me";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A server with a name of its own, whose notes have a password of their own.
#[derive(Clone, Copy, Default)]
struct Site {
    identity: Option<(&'static str, &'static str)>,
    notes: Option<&'static str>,
}

impl Host for Site {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        self.identity.map(|(name, text)| ServerIdentity { name: name.to_owned(), secret: secret(text) })
    }

    fn book_verifier(&self, _: &Speaker<'_>, book: BookNo) -> Option<Verifier> {
        self.notes.filter(|_| book == BookNo::NOTES).map(|text| Verifier::Password(secret(text)))
    }
}

/// A world for each store, with this host and configuration.
fn worlds(site: impl Fn() -> Site, config: &ServerConfig) -> Vec<World> {
    let world = |store: Arc<dyn syncml::store::Store>| {
        let mut world = World::with(Arc::clone(&store), config.clone());
        world.server = Server::new(store, config.clone()).unwrap().with_host(Arc::new(site()));
        world
    };
    stores().into_iter().map(world).collect()
}

// --- The table of §10.4: AUTH-1 to AUTH-12 -----------------------------------------------------------------------------

/// Somebody who writes his own messages.
struct Hand<'w> {
    world: &'w World,
    address: &'static str,
    session: u32,
    msg_id: u32,
    uri: String,
}

/// What came of a message: the header's Status, its challenge, and the Status of the Alert.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    code: u16,
    chal: Option<Challenge>,
    alert: Option<u16>,
}

impl<'w> Hand<'w> {
    fn new(world: &'w World, address: &'static str) -> Self {
        Self { world, address, session: 0, msg_id: 0, uri: String::new() }
    }

    fn begin(&mut self) {
        self.session += 1;
        self.msg_id = 0;
        self.address.clone_into(&mut self.uri);
    }

    /// An Alert for contacts, over TLS.
    fn say(&mut self, cred: Option<Cred<'static>>) -> Heard {
        self.msg_id += 1;
        let source = Location::named("phone", "alice");
        let session = SessionId::from(self.session.to_string());
        let mut header =
            Header::new(Version::V12, session, MsgId(self.msg_id), Location::new(self.uri.clone()), source);
        header.cred = cred;
        let anchor = Anchor { last: None, next: self.session.to_string().into() };
        let item = Item {
            target: Some(Location::new("contacts")),
            source: Some(Location::new("./card")),
            meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
            ..Item::default()
        };
        let alert = Alert {
            cmd_id: 1.into(),
            no_resp: false,
            cred: None,
            code: Some(AlertCode::SLOW),
            correlator: None,
            items: vec![item],
        };
        let message = Message { header, body: vec![Command::Alert(alert)], last: true };
        let bytes = encode(&message, Encoding::Xml).unwrap();
        let uri = self.uri.clone();
        let request = Request {
            protected: true,
            loopback: false,
            token: token_of(&uri),
            ..self.world.request(&uri, Encoding::Xml.media_type(), &bytes)
        };
        let reply = self.world.server.answer(&request).unwrap();
        let message = decode(&reply.body, Encoding::Xml, &Default::default()).unwrap();
        if let Some(uri) = &message.header.resp_uri {
            self.uri = uri.to_string();
        }
        let mut heard = Heard { code: 0, chal: None, alert: None };
        for command in &message.body {
            let Command::Status(status) = command else { continue };
            if status.cmd_ref.as_str() == "0" {
                heard.code = status.code.0;
                heard.chal = status.chal.as_ref().map(|chal| Challenge::read(chal).unwrap());
            } else if status.cmd == "Alert" {
                heard.alert = Some(status.code.0);
            }
        }
        heard
    }
}

fn cred(scheme: Scheme, password: &str, nonce: &[u8]) -> Option<Cred<'static>> {
    Identity { user: "alice", device_id: "phone", secret: &secret(password) }.answer(scheme, nonce, Version::V12)
}

#[test]
fn auth_1_to_12_each_scheme_unasked_and_asked_for_a_session_and_for_a_message() {
    // Where the session has an address of its own it is let in as such (212); elsewhere each message is (200).
    for (address, accepted) in [(SERVER_URI, 212), ("a server without a URL", 200)] {
        for scheme in [None, Some(Scheme::Basic), Some(Scheme::Md5)] {
            for challenged in [false, true] {
                for world in World::each() {
                    let label = format!("{scheme:?} {challenged} {accepted}");
                    let mut hand = Hand::new(&world, address);
                    let mut nonce = Vec::new();
                    if scheme == Some(Scheme::Md5) && !challenged {
                        // An earlier session hands out the nonce with which the next one begins: NextNonce persisted.
                        hand.begin();
                        let asked = hand.say(None).chal.unwrap();
                        nonce = hand.say(cred(Scheme::Md5, PASSWORD, &asked.nonce)).chal.unwrap().nonce;
                    }
                    hand.begin();
                    if challenged {
                        let heard = hand.say(None);
                        assert_eq!((heard.code, heard.alert), (407, Some(407)), "{label}");
                        let asked = heard.chal.unwrap();
                        assert_eq!(asked.scheme, Scheme::Md5, "{label}");
                        nonce = asked.nonce;
                    }
                    let Some(scheme) = scheme else {
                        let heard = hand.say(None);
                        assert_eq!((heard.code, heard.alert), (407, Some(407)), "{label}");
                        assert!(!heard.chal.unwrap().nonce.is_empty(), "{label}");
                        continue;
                    };
                    let heard = hand.say(cred(scheme, PASSWORD, &nonce));
                    assert_eq!((heard.code, heard.alert), (accepted, Some(200)), "{label}");
                    let next = heard.chal.unwrap();
                    assert!(!next.nonce.is_empty() && next.nonce != nonce, "{label}");
                    // What was accepted for a message is wanted again with the next.
                    let heard = hand.say(None);
                    if accepted == 212 {
                        assert_eq!((heard.code, heard.alert), (200, Some(200)), "{label}");
                        assert_eq!(heard.chal, None, "{label}");
                        continue;
                    }
                    assert_eq!((heard.code, heard.alert), (407, Some(407)), "{label}");
                    let asked = heard.chal.unwrap();
                    let heard = hand.say(cred(scheme, PASSWORD, &asked.nonce));
                    assert_eq!((heard.code, heard.alert), (200, Some(200)), "{label}");
                    if scheme == Scheme::Md5 {
                        let heard = hand.say(cred(scheme, PASSWORD, &asked.nonce));
                        assert_eq!(heard.code, 401, "{label}: a nonce is good once");
                    }
                }
            }
        }
    }
}

#[test]
fn a_wrong_password_is_refused_as_often_as_it_is_tried_and_a_stale_nonce_is_repaired() {
    for world in World::each() {
        let mut hand = Hand::new(&world, SERVER_URI);
        hand.begin();
        let mut nonce = hand.say(None).chal.unwrap().nonce;
        for _ in 0..2 {
            let heard = hand.say(cred(Scheme::Md5, "wrong", &nonce));
            assert_eq!((heard.code, heard.alert), (401, Some(401)));
            nonce = heard.chal.unwrap().nonce;
        }
        hand.begin();
        let stale = hand.say(cred(Scheme::Md5, PASSWORD, b"a nonce of last year"));
        assert_eq!((stale.code, stale.alert), (401, Some(401)));
        let heard = hand.say(cred(Scheme::Md5, PASSWORD, &stale.chal.unwrap().nonce));
        assert_eq!(heard.code, 212, "the fresh one is good");
        let next = heard.chal.unwrap().nonce;
        hand.begin();
        assert_eq!(hand.say(cred(Scheme::Md5, PASSWORD, &next)).code, 212, "and the next is kept for the next session");
    }
}

#[test]
fn auth_406_what_the_host_does_not_take_is_not_looked_at() {
    let none = ServerConfig::default();
    let mut no_md5 = ServerConfig::default();
    no_md5.refuse_md5 = true;
    let mut mac_only = ServerConfig::default();
    mac_only.require_mac = true;
    for (config, scheme, password, code, asked) in [
        (&none, Scheme::Basic, PASSWORD, 212, Scheme::Md5),
        (&no_md5, Scheme::Md5, PASSWORD, 406, Scheme::Basic),
        (&no_md5, Scheme::Md5, "wrong", 406, Scheme::Basic),
        (&no_md5, Scheme::Basic, "wrong", 401, Scheme::Basic),
        (&mac_only, Scheme::Basic, PASSWORD, 406, Scheme::Mac),
        (&mac_only, Scheme::Basic, "wrong", 406, Scheme::Mac),
        (&mac_only, Scheme::Md5, PASSWORD, 406, Scheme::Mac),
    ] {
        for world in worlds(Site::default, config) {
            let mut hand = Hand::new(&world, SERVER_URI);
            hand.begin();
            let heard = hand.say(cred(scheme, password, b"nonce"));
            assert_eq!((heard.code, heard.chal.map(|chal| chal.scheme)), (code, Some(asked)), "{config:?} {scheme}");
        }
    }
    for world in worlds(Site::default, &no_md5) {
        let mut hand = Hand::new(&world, SERVER_URI);
        hand.begin();
        assert_eq!(hand.say(cred(Scheme::Basic, PASSWORD, b"")).code, 212);
    }
}

#[test]
fn a_session_keeps_its_scheme() {
    for world in World::each() {
        let mut hand = Hand::new(&world, "a server without a URL");
        hand.begin();
        let nonce = hand.say(None).chal.unwrap().nonce;
        let next = hand.say(cred(Scheme::Md5, PASSWORD, &nonce));
        assert_eq!(next.code, 200);
        // With the address of the session, another scheme is none of it.
        let row = world.server.store();
        let mut token = None;
        row.look(world.account, &mut |tx| {
            let device = tx.device("phone")?.unwrap();
            token = tx.session(syncml::store::SessionKey::Ids(device.device, "1"))?.map(|row| row.token);
            Ok(())
        })
        .unwrap();
        let text = syncml::auth::token_text(world.account.0, &token.unwrap().0);
        hand.uri = format!("x?s={text}");
        let heard = hand.say(cred(Scheme::Basic, PASSWORD, b""));
        assert_eq!((heard.code, heard.chal.map(|chal| chal.scheme)), (401, Some(Scheme::Md5)));
    }
}

// --- AUTH-13: MAC ------------------------------------------------------------------------------------------------------

/// The address of a session that nobody waits for any more opens nothing (§9.1).
#[test]
fn a_session_is_over_when_its_time_is() {
    for mut world in worlds(Site::default, &ServerConfig::default()) {
        world.put(&card("There", "+4930555"));
        let device = Device::new("phone");
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        for _ in 0..2 {
            let out = client.outgoing().unwrap();
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        let out = client.outgoing().unwrap();
        let seconds = world.server.config().session_seconds;
        let begun = world.now;
        world.now = begun.plus_seconds(seconds + 1);
        assert!(matches!(world.post(&out), Err(Refusal::SessionGone)));
        world.now = begun.plus_seconds(seconds);
        let reply = world.post(&out).unwrap();
        assert!(String::from_utf8_lossy(&reply.body).contains("There"));
        // Nor is what was said last said again.
        world.now = begun.plus_seconds(2 * seconds + 1);
        assert!(matches!(world.post(&out), Err(Refusal::SessionGone)));
    }
}

fn mac_device(encoding: Encoding, version: Version) -> Device {
    let mut device = Device::new("phone");
    device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
    device.config.encoding = encoding;
    device.config.version = version;
    device
}

fn header_status(reply: &Reply) -> (u16, Option<Challenge>) {
    let encoding = Encoding::from_content_type(reply.content_type).unwrap();
    let message = decode(&reply.body, encoding, &Default::default()).unwrap();
    message
        .body
        .iter()
        .find_map(|command| match command {
            Command::Status(status) if status.cmd_ref.as_str() == "0" => {
                Some((status.code.0, status.chal.as_ref().map(|chal| Challenge::read(chal).unwrap())))
            }
            _ => None,
        })
        .unwrap()
}

/// Runs a session; gives what was posted and what came back.
fn talk(world: &mut World, device: &Device) -> Result<Vec<(Outgoing, Reply)>, ClientError> {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now)?;
    let mut seen = Vec::new();
    while let Some(out) = client.outgoing() {
        assert!(seen.len() < 100, "it ends");
        let reply = world.post(&out).unwrap();
        seen.push((out, reply.clone()));
        client.received_with_mac(reply.content_type, &reply.body, reply.mac.as_deref(), world.now)?;
    }
    Ok(seen)
}

#[test]
fn auth_13_every_message_and_every_answer_has_its_own_mac() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for version in Version::ALL {
            for mut world in World::each() {
                let device = mac_device(encoding, version);
                for n in 0..20 {
                    device.put(&numbered(n));
                    world.put(&numbered(n + 20));
                }
                let seen = talk(&mut world, &device).unwrap();
                assert_eq!(world.cards(), device.cards(), "{encoding:?} {version}");
                assert_eq!(world.cards().len(), 40);
                let (asked, rest) = seen.split_first().unwrap();
                assert_eq!((header_status(&asked.1).0, &asked.0.mac, &asked.1.mac), (407, &None, &None));
                let mut nonces = std::collections::BTreeSet::new();
                for (out, reply) in rest {
                    assert!(out.mac.is_some() && reply.mac.is_some());
                    let (code, chal) = header_status(reply);
                    let chal = chal.unwrap();
                    assert_eq!((code, chal.scheme), (200, Scheme::Mac), "always 200, and the next nonce");
                    assert!(nonces.insert(chal.nonce), "a new one for every message");
                    let sent = decode(&out.body, encoding, &Default::default()).unwrap();
                    assert_eq!(sent.header.cred, None);
                }
                // The next session begins with the nonce of the last.
                let seen = talk(&mut world, &device).unwrap();
                assert!(seen.iter().all(|(out, _)| out.mac.is_some()));
                assert_eq!(header_status(&seen[0].1).0, 200);
            }
        }
    }
}

#[test]
fn auth_13_a_message_is_only_good_as_it_was_signed() {
    for mut world in World::each() {
        let device = mac_device(Encoding::Xml, Version::V12);
        talk(&mut world, &device).unwrap();
        device.put(&card("A", "+491"));
        world.tick();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
        let out = client.outgoing().unwrap();
        // One byte more, no MAC, a MAC that is none, one of somebody else, one of another message.
        let altered = Outgoing { body: [out.body.as_slice(), b"\n"].concat(), ..out.clone() };
        let without = Outgoing { mac: None, ..out.clone() };
        let rubbish = Outgoing { mac: Some("rubbish".to_owned()), ..out.clone() };
        let other = Outgoing { mac: out.mac.as_ref().map(|mac| mac.replace("alice", "bob")), ..out.clone() };
        for (letter, code, scheme) in [
            (&altered, 401, Scheme::Mac),
            (&without, 407, Scheme::Md5),
            (&rubbish, 401, Scheme::Md5),
            (&other, 401, Scheme::Md5),
        ] {
            let reply = world.post(letter).unwrap();
            let (found, chal) = header_status(&reply);
            assert_eq!((found, chal.map(|chal| chal.scheme), reply.mac), (code, Some(scheme), None), "{letter:?}");
        }
        // The same bytes with the same header get the same bytes and the same header; without, nothing.
        for step in 0.. {
            let Some(out) = client.outgoing() else { break };
            assert!(step < 20);
            let first = world.post(&out).unwrap();
            let again = world.post(&out).unwrap();
            assert_eq!((&first.body, &first.mac), (&again.body, &again.mac));
            let bare = world.post(&Outgoing { mac: None, ..out.clone() });
            assert!(
                bare.is_err() || bare.is_ok_and(|bare| bare.body != first.body),
                "nothing is told to who is not it"
            );
            client.received_with_mac(first.content_type, &first.body, first.mac.as_deref(), world.now).unwrap();
        }
        assert!(client.report().clean);
        assert_eq!(world.cards(), device.cards());
    }
}

#[test]
fn auth_13_an_answer_that_is_not_the_servers_is_not_taken() {
    for mut world in World::each() {
        let device = mac_device(Encoding::Xml, Version::V12);
        talk(&mut world, &device).unwrap();
        world.put(&card("A", "+491"));
        // Of the second answer that has one: a server that gave one has to go on.
        for meddling in ["byte", "none", "request's", "other"] {
            world.tick();
            let mut client =
                Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
            let mut signed = 0;
            let error = loop {
                let out = client.outgoing().unwrap();
                let mut reply = world.post(&out).unwrap();
                signed += u32::from(reply.mac.is_some());
                if signed == 2 {
                    match meddling {
                        "byte" => reply.body.push(b' '),
                        "none" => reply.mac = None,
                        "request's" => reply.mac.clone_from(&out.mac),
                        _ => reply.mac = Some(MacHeader::new("alice", &[0; 16]).to_string()),
                    }
                }
                let mac = reply.mac.as_deref();
                if let Err(error) = client.received_with_mac(reply.content_type, &reply.body, mac, world.now) {
                    break error;
                }
            };
            assert!(matches!(error, ClientError::Unproven), "{meddling}: {error}");
            assert_eq!((signed, client.outgoing(), device.cards().len()), (2, None, 0), "{meddling}");
        }
        talk(&mut world, &device).unwrap();
        assert_eq!(device.cards(), world.cards());
    }
}

#[test]
fn auth_13_where_nothing_else_is_taken() {
    let mut config = ServerConfig::default();
    config.require_mac = true;
    for mut world in worlds(Site::default, &config) {
        let device = mac_device(Encoding::Wbxml, Version::V12);
        device.put(&card("A", "+491"));
        let seen = talk(&mut world, &device).unwrap();
        assert_eq!(header_status(&seen[0].1).1.unwrap().scheme, Scheme::Mac);
        assert_eq!(world.cards(), device.cards());
        let error = world.sync(&Device::new("other")).unwrap_err();
        assert!(matches!(error, ClientError::Ended(StatusCode(406))), "{error}");
    }
}

// --- The server, towards the client (§5.4) ------------------------------------------------------------------------------

fn wary(encoding: Encoding, version: Version) -> Device {
    let mut device = Device::new("phone");
    device.config.server = Some(ServerIdentity { name: "server".to_owned(), secret: secret(SERVER_SECRET) });
    device.config.encoding = encoding;
    device.config.version = version;
    device
}

#[test]
fn a_client_may_want_to_know_the_server_first() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for version in Version::ALL {
            for mut world in worlds(
                || Site { identity: Some(("server", SERVER_SECRET)), ..Site::default() },
                &ServerConfig::default(),
            ) {
                let label = format!("{encoding:?} {version}");
                let device = wary(encoding, version);
                device.put(&card("A", "+491"));
                world.put(&card("B", "+492"));
                let before = talk(&mut world, &device).unwrap();
                assert_eq!(world.cards(), device.cards(), "{label}");
                assert_eq!(device.cards().len(), 2, "{label}");
                // Asked once, shown, and let in for the session.
                let creds = |seen: &[(Outgoing, Reply)]| -> Vec<bool> {
                    let cred = |(_, reply): &(Outgoing, Reply)| {
                        decode(&reply.body, encoding, &Default::default()).unwrap().header.cred.is_some()
                    };
                    seen.iter().map(cred).collect()
                };
                assert_eq!(creds(&before).iter().filter(|shown| **shown).count(), 1, "{label}");
                // The next time it is shown unasked, with the nonce of last time.
                device.put(&card("C", "+493"));
                let after = talk(&mut world, &device).unwrap();
                assert_eq!(creds(&after), [true].into_iter().chain(vec![false; after.len() - 1]).collect::<Vec<_>>());
                assert_eq!(world.cards(), device.cards(), "{label}");
                assert_eq!(device.cards().len(), 3, "{label}");
            }
        }
    }
}

#[test]
fn a_server_that_is_not_believed_gets_and_gives_nothing() {
    let wrong = [None, Some(("server", "a guess")), Some(("another", SERVER_SECRET))];
    for identity in wrong {
        for mut world in worlds(|| Site { identity, ..Site::default() }, &ServerConfig::default()) {
            let device = wary(Encoding::Xml, Version::V12);
            device.put(&card("A", "+491"));
            world.put(&card("B", "+492"));
            let error = talk(&mut world, &device).unwrap_err();
            assert!(matches!(error, ClientError::Unproven), "{identity:?}: {error}");
            assert!(error.to_string().contains("prove"), "{error}");
            assert_eq!((world.cards().len(), device.cards().len()), (1, 1), "{identity:?}");
            // No anchor has moved.
            let mut trusting = device;
            trusting.config.server = None;
            let report = world.sync(&trusting).unwrap();
            assert_eq!((report.clean, &*report.books[0].mode), (true, "slow"), "{identity:?}");
            assert_eq!(world.cards(), trusting.cards());
        }
    }
}

#[test]
fn by_mac_the_server_proves_itself_with_every_answer() {
    for identity in [Some(("server", SERVER_SECRET)), Some(("server", "a guess")), None] {
        for mut world in worlds(|| Site { identity, ..Site::default() }, &ServerConfig::default()) {
            let mut device = wary(Encoding::Xml, Version::V12);
            device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
            device.put(&card("A", "+491"));
            let result = talk(&mut world, &device);
            if identity == Some(("server", SERVER_SECRET)) {
                result.unwrap();
                assert_eq!(world.cards(), device.cards());
            } else {
                assert!(matches!(result, Err(ClientError::Unproven)), "{identity:?}");
                assert_eq!(world.cards().len(), 0);
            }
        }
    }
}

#[test]
fn secrets_are_shown_to_nobody() {
    let device = wary(Encoding::Xml, Version::V12);
    let text = format!("{:?} {:?}", device.config, ServerConfig::default());
    for known in [PASSWORD, SERVER_SECRET] {
        assert!(!text.replace("secret:", "").replace("Secret(", "").contains(known), "{text}");
    }
}

// --- Books with a credential of their own (§5.5) ------------------------------------------------------------------------

#[test]
fn a_book_may_want_a_credential_of_its_own_and_the_others_go_on() {
    let md5 = |text: &str| Credentials::Md5 { user: "alice".to_owned(), password: secret(text) };
    let basic = |text: &str| Credentials::Basic { user: "alice".to_owned(), password: secret(text) };
    let mut config = ServerConfig::default();
    config.allow_basic = true;
    for (own, failed) in [
        (None, Some(407)),
        (Some(md5("notes")), None),
        (Some(basic("notes")), None),
        (Some(md5("wrong")), Some(401)),
        (Some(basic("wrong")), Some(401)),
        (Some(md5(PASSWORD)), Some(401)),
    ] {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            for both in [true, false] {
                for mut world in worlds(|| Site { notes: Some("notes"), ..Site::default() }, &config) {
                    let label = format!("{own:?} {failed:?} {encoding:?} {both}");
                    let mut device = Device::new("phone");
                    device.config.encoding = encoding;
                    let notes = ClientBook {
                        book: BookNo::NOTES,
                        local_uri: "./notes".to_owned(),
                        remote_uri: "notes".to_owned(),
                        ..device.config.books[0].clone()
                    };
                    if both {
                        device.config.books.push(notes);
                    } else {
                        device.config.books = vec![notes];
                    }
                    device.config.book_credentials = own.iter().map(|own| (BookNo::NOTES, own.clone())).collect();
                    put(device.store.as_ref(), device.account, BookNo::NOTES, None, "a note", world.now);
                    device.put(&card("A", "+491"));
                    for round in 0..2 {
                        let report = world.sync(&device).unwrap();
                        let of = |name: &str| report.books.iter().find(|book| book.book == name);
                        let book = of("notes").unwrap();
                        assert_eq!(book.failed.map(|code| code.0), failed, "{label} {round}");
                        assert_eq!(book.clean, failed.is_none(), "{label} {round}");
                        if both {
                            assert!(of("contacts").unwrap().clean, "{label} {round}");
                            assert_eq!(world.cards().len(), 1, "{label}");
                        }
                        let there = common::items(world.server.store().as_ref(), world.account, BookNo::NOTES).len();
                        assert_eq!(there, usize::from(failed.is_none()), "{label} {round}");
                    }
                }
            }
        }
    }
}

// --- Over real HTTP ----------------------------------------------------------------------------------------------------

#[cfg(feature = "http")]
#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // it opens sockets
fn auth_13_over_http_packed_and_plain() {
    use syncml::transport::http::client::{HttpClient, Options, RunError, run};
    use syncml::transport::http::{now, server};
    let site = Site { identity: Some(("server", SERVER_SECRET)), ..Site::default() };
    let mut world = worlds(|| site, &ServerConfig::default()).remove(0);
    (0..50).for_each(|n| {
        world.put(&numbered(n));
    });
    let store = world.server.store().clone();
    let account = world.account;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let empty = Server::new(store.clone(), ServerConfig::default()).unwrap();
    let serving = Arc::new(std::mem::replace(&mut world.server, empty));
    runtime.spawn(server::serve(listener, serving, server::Options::default(), std::future::pending()));
    for (gzip, encoding) in [(true, Encoding::Xml), (false, Encoding::Wbxml)] {
        let mut device = Device::new(if gzip { "packed" } else { "plain" });
        device.config.credentials = Credentials::Mac { user: "alice".to_owned(), password: secret(PASSWORD) };
        device.config.server = Some(ServerIdentity { name: "server".to_owned(), secret: secret(SERVER_SECRET) });
        device.config.server_uri = format!("http://{address}/syncml");
        device.config.encoding = encoding;
        device.put(&card(&device.config.device_id, "+491"));
        let mut options = Options::default();
        options.gzip = gzip;
        let http = HttpClient::new(options).unwrap();
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
        run(&mut client, &http, &mut ()).unwrap();
        assert!(client.report().clean);
        assert_eq!(device.cards(), common::cards(store.as_ref(), account, BookNo::CONTACTS));
        device.config.server = Some(ServerIdentity { name: "server".to_owned(), secret: secret("a guess") });
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
        let error = run(&mut client, &http, &mut ()).unwrap_err();
        assert!(matches!(error, RunError::Client(ClientError::Unproven)), "{error}");
    }
}

/// In a combined initialisation the credential of a book may stand in its Sync instead of its Alert (§5.5).
#[test]
fn a_books_credential_may_stand_in_its_sync() {
    for (text, alert, sync, items) in [("hush", 212, 200, 1), ("wrong", 401, 404, 0)] {
        for world in worlds(|| Site { notes: Some("hush"), ..Site::default() }, &ServerConfig::default()) {
            let mut phone = Phone::new(&world.server, "phone", "alice", PASSWORD, world.now);
            phone.datastore = "notes";
            let note = phone.change(Op::Add, "1", "buy milk");
            let Command::Sync(mut said) = phone.sync(vec![note]) else { unreachable!() };
            let data = STANDARD.encode(format!("alice:{text}")).into_bytes();
            let meta = Meta { format: Some("b64".into()), ..Meta::of_type("syncml:auth-basic") };
            said.cred = Some(Cred { meta: Some(meta), data: data.into() });
            let item = Item {
                target: Some(Location::new("notes")),
                source: Some(Location::new("./card")),
                meta: Some(Meta { anchor: Some(Anchor { last: None, next: "1".into() }), ..Meta::default() }),
                ..Item::default()
            };
            let begins = Alert {
                cmd_id: CmdId::from(90),
                no_resp: false,
                cred: None,
                code: Some(AlertCode::SLOW),
                correlator: None,
                items: vec![item],
            };
            let heard = phone.say(vec![Command::Alert(begins), Command::Sync(said)], true).unwrap();
            assert_eq!((heard.status("Alert"), heard.status("Sync")), (Some(alert), Some(sync)), "{text}");
            let store = world.server.store();
            assert_eq!(common::items(store.as_ref(), world.account, BookNo::NOTES).len(), items, "{text}");
        }
    }
}
