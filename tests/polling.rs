//! "Has anything changed for me?", asked and answered (mission S8): for one account and for all of a platform's.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, PASSWORD, SERVER_URI, World, card, put};
use std::sync::Arc;
use syncml::auth::{DigestKind, Secret, Verifier};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::session::{
    Busy, Client, ClientError, Credentials, Host, News, Patience, Poll, PollConfig, Server, ServerConfig,
    ServerIdentity, Speaker,
};
use syncml::store::fault::FaultStore;
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, Principal, PrincipalKind, Store};

const SECRET: &str = "open sesame";

fn config(device: &str, credentials: Credentials) -> PollConfig {
    PollConfig {
        server_uri: SERVER_URI.to_owned(),
        device_id: device.to_owned(),
        all: matches!(&credentials, Credentials::Device { account, .. } if account.is_empty()),
        credentials,
        server: None,
        patience: Patience::default(),
        nonce: None,
        encoding: Encoding::Xml,
        version: Version::V12,
        max_msg_size: 20_000,
    }
}

fn md5() -> Credentials {
    Credentials::Md5 { user: "alice".to_owned(), password: Secret::new(PASSWORD.to_owned()) }
}

fn platform(account: &str) -> Credentials {
    Credentials::Device { account: account.to_owned(), secret: Secret::new(SECRET.to_owned()) }
}

/// Asks until all is answered; the poll, and in how many messages.
fn ask(world: &World, config: PollConfig) -> Result<(Poll, usize), ClientError> {
    let mut poll = Poll::new(config)?;
    let mut messages = 0;
    while let Some(out) = poll.outgoing() {
        messages += 1;
        assert!(messages < 1_000, "it does not end");
        let reply = world.post(&out).unwrap();
        assert!(reply.body.len() < 20_000);
        poll.received(reply.content_type, &reply.body)?;
    }
    Ok((poll, messages))
}

/// The books with news, as `account/book` or `book`.
fn changed(poll: &Poll) -> Vec<String> {
    let name = |news: &News| match &news.account {
        Some(account) => format!("{account}/{}", news.book),
        None => news.book.clone(),
    };
    poll.news().iter().filter(|news| news.changed).map(name).collect()
}

fn news(world: &World, config: PollConfig) -> Vec<String> {
    changed(&ask(world, config).unwrap().0)
}

/// Catalogue: S8
#[test]
fn a_device_learns_whether_a_sync_would_bring_something() {
    for mut world in World::each() {
        let (one, two) = (Device::new("one"), Device::new("two"));
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            for version in Version::ALL {
                let empty = PollConfig { encoding, version, ..config("one", md5()) };
                let (poll, messages) = ask(&world, empty).unwrap();
                assert_eq!((poll.news().len(), changed(&poll), messages), (6, vec![], 2), "{encoding:?} {version}");
            }
        }
        world.put(&card("A", "+491"));
        assert_eq!(news(&world, config("one", md5())), ["contacts"], "never synced");
        for device in [&one, &two] {
            world.sync(device).unwrap();
        }
        assert_eq!(news(&world, config("one", md5())), [""; 0], "all is there");
        two.put(&card("B", "+492"));
        world.sync(&two).unwrap();
        assert_eq!(news(&world, config("one", md5())), ["contacts"], "another device brought something");
        assert_eq!(news(&world, config("two", md5())), [""; 0], "what a device said is no news to it");
        world.sync(&one).unwrap();
        assert_eq!(news(&world, config("one", md5())), [""; 0]);
        // A session that breaks off before everything is confirmed.
        world.put(&card("C", "+493"));
        let mut client = Client::begin(one.store.clone(), one.account, one.config.clone(), world.now).unwrap();
        let mut taken = 0;
        while let Some(out) = client.outgoing() {
            let reply = world.post(&out).unwrap();
            if reply.body.windows(5).any(|window| window == b"<Add>") {
                taken += 1;
                break;
            }
            client.received(reply.content_type, &reply.body, world.now).unwrap();
        }
        assert_eq!(taken, 1, "something was sent");
        assert_eq!(news(&world, config("one", md5())), ["contacts"], "nobody knows whether it arrived");
        world.tick();
        world.sync(&one).unwrap();
        assert_eq!(news(&world, config("one", md5())), [""; 0]);
        put(world.server.store().as_ref(), world.account, BookNo::NOTES, None, "note", world.now);
        assert_eq!(news(&world, config("one", md5())), ["notes"], "a book that this device never synced");
        // A nonce that is kept saves the challenge, once.
        let (poll, _) = ask(&world, config("one", md5())).unwrap();
        let kept = PollConfig { nonce: poll.nonce().map(<[u8]>::to_vec), ..config("one", md5()) };
        assert_eq!(ask(&world, kept.clone()).unwrap().1, 1);
        assert_eq!(ask(&world, kept).unwrap().1, 2);
    }
}

#[test]
fn a_question_costs_next_to_nothing() {
    let store = Arc::new(FaultStore::new(MemoryStore::new([1; 32])));
    let mut server = ServerConfig::default();
    server.allow_basic = true;
    let mut world = World::with(store.clone(), server);
    let one = Device::new("one");
    let mut costs = Vec::new();
    for size in [1, 300] {
        for n in 0..size {
            world.put(&common::numbered(n));
        }
        world.sync(&one).unwrap();
        let (poll, _) = ask(&world, config("one", md5())).unwrap();
        store.take_counts();
        let kept = PollConfig { nonce: poll.nonce().map(<[u8]>::to_vec), ..config("one", md5()) };
        let (_, messages) = ask(&world, kept).unwrap();
        let md5_cost = store.take_counts();
        assert_eq!((messages, md5_cost.commits, md5_cost.rows_written), (1, 1, 1), "the nonce is used up");
        let basic = Credentials::Basic { user: "alice".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
        ask(&world, config("one", basic)).unwrap();
        let basic_cost = store.take_counts();
        assert_eq!((basic_cost.commits, basic_cost.rows_written), (0, 0), "nothing is written");
        assert!(basic_cost.rows_read <= 3 * 6, "{basic_cost:?}");
        costs.push((md5_cost, basic_cost));
    }
    assert_eq!(costs[0], costs[1], "whatever the book's size");
}

#[test]
fn only_who_may_is_answered() {
    let mut world = World::new();
    world.put(&card("A", "+491"));
    let wrong = Credentials::Md5 { user: "alice".to_owned(), password: Secret::new("wrong".to_owned()) };
    let nobody = Credentials::Md5 { user: "nobody".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    for credentials in [wrong, nobody, platform("alice"), platform("")] {
        let refused = ask(&world, config("one", credentials.clone())).expect_err("refused");
        assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
        world.tick();
    }
    // Who has a password has one account: there is no such address for it, and so no answer.
    world.now = world.now.plus_seconds(3_600);
    let refused = ask(&world, PollConfig { all: true, ..config("one", md5()) }).expect_err("unknown");
    assert!(matches!(refused, ClientError::NoPolling(code) if code.0 == 404), "{refused}");
}

/// A server whose platform P was granted accounts u0, u1 and so on, all but the last.
fn carrier(store: Arc<dyn Store>, accounts: usize) -> World {
    let world = World::with(store, ServerConfig::default());
    let directory = world.server.store().directory();
    let verifier = Verifier::device(DigestKind::Md5, &Secret::new(SECRET.to_owned()), "P");
    directory.put_principal("P", &Principal { kind: PrincipalKind::Platform, verifiers: vec![verifier] }).unwrap();
    for n in 0..=accounts {
        directory.put_login(&format!("u{n}"), &Verifier::Md5([0; 16])).unwrap();
        if n < accounts {
            directory.set_grant("P", &format!("u{n}"), true).unwrap();
        }
    }
    world
}

fn change(world: &World, account: &str, book: BookNo, text: &str) {
    let store = world.server.store();
    let number = store.directory().account(account).unwrap().unwrap();
    put(store.as_ref(), number, book, None, &card(text, "+491"), world.now);
}

/// Whoever guesses at a platform's secret is slowed down, whatever account he names each time.
#[test]
fn guesses_at_a_platforms_secret_count_together() {
    let mut world = carrier(common::stores().remove(0), 1);
    let guess = |world: &World, n: usize, secret: &str| {
        let credentials =
            Credentials::Device { account: format!("made up {n}"), secret: Secret::new(secret.to_owned()) };
        ask(world, PollConfig { all: true, ..config("P", credentials) })
    };
    assert!(guess(&world, 0, SECRET).is_ok(), "whoever has the secret may ask for all");
    for n in 0..20 {
        assert!(guess(&world, n, &format!("guess {n}")).is_err());
    }
    assert!(guess(&world, 20, SECRET).is_err(), "it is not even looked at");
    world.now = world.now.plus_seconds(3_600);
    assert!(guess(&world, 21, SECRET).is_ok());
}

struct Named;

impl Host for Named {
    fn identity(&self, _: &Speaker<'_>) -> Option<ServerIdentity> {
        Some(ServerIdentity { name: "server".to_owned(), secret: Secret::new("it is me".to_owned()) })
    }
}

#[test]
fn an_answer_may_have_to_prove_who_gave_it() {
    let mac = || Credentials::Mac { user: "alice".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    let server =
        |secret: &str| Some(ServerIdentity { name: "server".to_owned(), secret: Secret::new(secret.to_owned()) });
    for store in common::stores() {
        let mut world = World::with(Arc::clone(&store), ServerConfig::default());
        world.server = Server::new(store, ServerConfig::default()).unwrap().with_host(Arc::new(Named));
        world.put(&card("A", "+491"));
        let error = Poll::new(PollConfig { server: server("it is me"), ..config("one", md5()) }).unwrap_err();
        assert!(matches!(error, ClientError::Unprovable), "{error}");
        for (secret, meddling, believed) in
            [("it is me", "", true), ("a guess", "", false), ("it is me", "0", false), ("it is me", "none", false)]
        {
            let mut poll = Poll::new(PollConfig { server: server(secret), ..config("one", mac()) }).unwrap();
            let mut result = Ok(());
            while let (Some(out), Ok(())) = (poll.outgoing(), &result) {
                let reply = world.post(&out).unwrap();
                let body = String::from_utf8(reply.body).unwrap();
                let body = if meddling == "0" { body.replace("<Data>1</Data>", "<Data>0</Data>") } else { body };
                let mac = reply.mac.filter(|_| meddling != "none");
                result = poll.received_with_mac(reply.content_type, body.as_bytes(), mac.as_deref());
            }
            assert_eq!(result.is_ok(), believed, "{secret} {meddling:?}");
            assert!(believed || matches!(result, Err(ClientError::Unproven)));
            assert_eq!(changed(&poll), if believed { vec!["contacts"] } else { vec![] }, "{secret} {meddling:?}");
        }
    }
}

#[test]
fn a_busy_server_is_asked_again_after_a_while() {
    let world = World::new();
    let mut poll = Poll::new(config("one", md5())).unwrap();
    let first = poll.outgoing().unwrap();
    world.server.set_busy(Busy::Everything);
    let reply = world.post(&first).unwrap();
    poll.received(reply.content_type, &reply.body).unwrap();
    let again = poll.outgoing().unwrap();
    assert_eq!((again.wait.as_secs(), &again.body), (5, &first.body));
    world.server.set_busy(Busy::No);
    while let Some(out) = poll.outgoing() {
        let reply = world.post(&out).unwrap();
        poll.received(reply.content_type, &reply.body).unwrap();
    }
    assert_eq!(poll.news().len(), 6);
    world.server.set_busy(Busy::Everything);
    let mut poll = Poll::new(config("one", md5())).unwrap();
    let error = loop {
        let reply = world.post(&poll.outgoing().unwrap()).unwrap();
        if let Err(error) = poll.received(reply.content_type, &reply.body) {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Busy), "{error}");
}

/// Catalogue: S8, S2
#[test]
fn a_platform_asks_once_for_all_its_users() {
    for store in common::stores() {
        let mut world = carrier(store, 4);
        assert_eq!(news(&world, config("P", platform(""))), [""; 0]);
        for (account, book) in
            [("u1", BookNo::CONTACTS), ("u3", BookNo::CONTACTS), ("u3", BookNo::NOTES), ("u4", BookNo::CONTACTS)]
        {
            change(&world, account, book, "A");
            change(&world, account, book, "B");
        }
        let (poll, messages) = ask(&world, config("P", platform(""))).unwrap();
        assert_eq!(
            (changed(&poll), messages),
            (vec!["u1/contacts".into(), "u3/contacts".into(), "u3/notes".into()], 1)
        );
        assert_eq!(news(&world, config("P", platform("u3"))), ["contacts", "notes"], "one account of them");

        let mut device = Device::new("P");
        device.config.credentials = platform("u3");
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}");
        assert_eq!(news(&world, config("P", platform(""))), ["u1/contacts", "u3/notes"], "what it has is no news");
        change(&world, "u3", BookNo::CONTACTS, "Y");
        device.config.books[0].mode = AlertCode::ONE_WAY_FROM_CLIENT;
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}");
        let told = ["u1/contacts", "u3/contacts", "u3/notes"];
        assert_eq!(news(&world, config("P", platform(""))), told, "a sync that brought it nothing");
        device.config.books[0].mode = AlertCode::TWO_WAY;
        device.put(&card("C", "+493"));
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}");
        assert_eq!(news(&world, config("P", platform(""))), ["u1/contacts", "u3/notes"], "nor what it brought itself");
        change(&world, "u3", BookNo::CONTACTS, "D");
        assert_eq!(news(&world, config("P", platform(""))), ["u1/contacts", "u3/contacts", "u3/notes"]);
        world.server.store().directory().set_grant("P", "u3", false).unwrap();
        assert_eq!(news(&world, config("P", platform(""))), ["u1/contacts"]);
        world.server.store().directory().set_grant("P", "u4", true).unwrap();
        assert_eq!(news(&world, config("P", platform(""))), ["u1/contacts", "u4/contacts"]);
    }
}

#[test]
fn many_users_are_told_page_by_page() {
    let store = Arc::new(FaultStore::new(MemoryStore::new([1; 32])));
    let world = carrier(store.clone(), 1_200);
    for n in 0..1_200 {
        change(&world, &format!("u{n}"), BookNo::CONTACTS, "A");
    }
    store.take_counts();
    let (poll, messages) = ask(&world, config("P", platform(""))).unwrap();
    assert_eq!(poll.news().len(), 1_200);
    let mut accounts: Vec<_> = poll.news().iter().map(|news| news.account.clone().unwrap()).collect();
    accounts.sort();
    accounts.dedup();
    assert_eq!(accounts.len(), 1_200, "each once");
    assert!(messages > 3, "{messages}: no message is larger than was asked for");
    assert_eq!(store.take_counts().steps, 0, "no account is opened");
}

#[test]
fn a_server_that_knows_no_polling_says_so() {
    let world = World::new();
    let mut poll = Poll::new(config("one", md5())).unwrap();
    let out = poll.outgoing().unwrap();
    let reply = String::from_utf8(world.post(&out).unwrap().body).unwrap();
    assert!(reply.contains("<Data>407</Data>"));
    poll.received(out.content_type, reply.as_bytes()).unwrap();
    let reply = String::from_utf8(world.post(&poll.outgoing().unwrap()).unwrap().body).unwrap();
    let status = reply.rfind("<Data>200</Data></Status>").unwrap();
    let unknown = format!("{}<Data>404</Data></Status></SyncBody></SyncML>", &reply[..status]);
    let refused = poll.received(out.content_type, unknown.as_bytes()).expect_err("404");
    assert!(matches!(refused, ClientError::NoPolling(code) if code.0 == 404), "{refused}");
    assert!(poll.outgoing().is_none());
}

/// The same question beside other commands, in a session: answered, not 404.
#[test]
fn the_question_is_answered_in_a_session_too() {
    use syncml::kit::phone::Phone;
    use syncml::message::{Command, Get, Item, Location};
    for world in World::each() {
        world.put(&card("A", "+491"));
        let mut phone = Phone::new(&world.server, "one", "alice", PASSWORD, world.now);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let get = |cmd_id: u32, uri: &'static str| {
            let item = Item { target: Some(Location::new(uri)), ..Item::default() };
            let items = vec![item];
            Command::Get(Get { cmd_id: cmd_id.into(), no_resp: false, lang: None, cred: None, meta: None, items })
        };
        let sync = phone.sync(Vec::new());
        let commands = vec![get(901, "./changes"), get(902, "./changes/all"), get(903, "./nothing"), sync];
        let heard = phone.say_after(&heard, commands, true).unwrap();
        assert_eq!(heard.codes("Get"), [200, 404, 404]);
        let text = String::from_utf8(heard.bytes.clone()).unwrap();
        assert_eq!(text.matches("<Results>").count(), 1, "{text}");
        assert!(text.contains("<CmdRef>901</CmdRef>") && text.contains("<LocURI>./contacts</LocURI>"), "{text}");
        assert_eq!(heard.changes.len(), 1, "and the session goes on");
    }
}
