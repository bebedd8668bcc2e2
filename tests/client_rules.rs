//! What the rules of the protocol ask of a client, read off its messages.
#![allow(clippy::unwrap_used)] // what fails here fails the test

mod common;

use common::{Device, World, card, numbered};
use syncml::codec::{Encoding, decode};
use syncml::message::{Alert, AlertCode, Command, Data, Message, Status, StatusCode};
use syncml::session::{Client, ClientBook, Report};
use syncml::store::BookNo;

/// A session's messages: what was said, and what was heard.
type Talk = Vec<(Vec<u8>, Vec<u8>)>;

/// Runs a session; `meddle` may change what the server says in answer to a message, by its number.
fn drive(world: &mut World, device: &Device, meddle: &dyn Fn(usize, String) -> String) -> (Talk, Report) {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let mut talk = Talk::new();
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        let body = meddle(talk.len() + 1, String::from_utf8(reply.body).unwrap()).into_bytes();
        client.received(reply.content_type, &body, world.now).unwrap();
        talk.push((out.body, body));
    }
    (talk, client.report())
}

fn plainly(world: &mut World, device: &Device) -> (Talk, Report) {
    let (talk, report) = drive(world, device, &|_, reply| reply);
    assert!(report.clean, "{report:?}");
    (talk, report)
}

fn read(bytes: &[u8]) -> Message<'_> {
    decode(bytes, Encoding::Xml, &Default::default()).unwrap()
}

/// The Alerts that open datastores.
fn alerts<'m, 'a>(message: &'m Message<'a>) -> Vec<&'m Alert<'a>> {
    let opening = |command: &'m Command<'a>| match command {
        Command::Alert(alert) if alert.code.is_some_and(|code| (200..=210).contains(&code.0)) => Some(alert),
        _ => None,
    };
    message.body.iter().filter_map(opening).collect()
}

fn statuses<'m, 'a>(message: &'m Message<'a>) -> Vec<&'m Status<'a>> {
    message
        .body
        .iter()
        .filter_map(|command| if let Command::Status(status) = command { Some(status) } else { None })
        .collect()
}

fn names<'m>(message: &'m Message<'_>) -> Vec<&'m str> {
    message.body.iter().map(Command::name).collect()
}

/// Last and Next of an Alert.
fn anchors(alert: &Alert<'_>) -> (Option<String>, String) {
    let anchor = alert.items[0].meta.as_ref().unwrap().anchor.as_ref().unwrap();
    (anchor.last.as_ref().map(ToString::to_string), anchor.next.to_string())
}

/// A client with contacts and notes, of which the server has some.
fn two_books() -> (World, Device) {
    let (world, mut device) = (World::new(), Device::new("phone"));
    let notes = ClientBook {
        book: BookNo::NOTES,
        local_uri: "./notes".to_owned(),
        remote_uri: "notes".to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    };
    device.config.books.push(notes);
    world.put(&numbered(1));
    let store = world.server.store().clone();
    common::put(store.as_ref(), world.account, BookNo::NOTES, None, "a note", world.now);
    (world, device)
}

/// Catalogue: 10.2/7, 10.2/11, 10.2/12, 10.2/16, 10.2/25, 10.2/19, HDR-4, DEVI-2
#[test]
fn a_first_session() {
    let (mut world, device) = two_books();
    let (talk, _) = plainly(&mut world, &device);
    let said: Vec<Message<'_>> = talk.iter().map(|(request, _)| read(request)).collect();
    let heard: Vec<Message<'_>> = talk.iter().map(|(_, reply)| read(reply)).collect();
    assert_eq!(names(&said[0]), ["Put", "Get", "Alert", "Alert"]);
    let Command::Put(put) = &said[0].body[0] else { panic!() };
    let Some(Data::DevInf(own)) = &put.items[0].data else { panic!("{put:?}") };
    assert!(own.large_objects && own.number_of_changes && own.stores.len() == 2, "{own:?}");
    for alert in alerts(&said[0]) {
        assert_eq!((alert.code, anchors(alert).0), (Some(AlertCode::SLOW), None));
        assert_eq!(alert.items[0].meta.as_ref().unwrap().max_obj_size, Some(device.config.max_obj_size));
    }
    // The address that an answer gave, from then on.
    let address = heard[1].header.resp_uri.clone().unwrap();
    assert!(said[2..].iter().all(|message| message.header.target.uri == address));
    // Each Alert's Next comes back in the Data of its Status.
    let theirs: Vec<String> = alerts(&heard[1]).into_iter().map(|alert| anchors(alert).1).collect();
    let echoed: Vec<String> = statuses(&said[2])
        .into_iter()
        .filter(|status| status.cmd == "Alert")
        .map(|status| match &status.items[0].data {
            Some(Data::Anchor(anchor)) => anchor.next.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((theirs.len(), &theirs), (2, &echoed));
    // What was added is mapped, for each datastore apart.
    let maps: Vec<(String, usize)> = said[3]
        .body
        .iter()
        .filter_map(|command| if let Command::Map(map) = command { Some(map) } else { None })
        .map(|map| (map.target.uri.to_string(), map.items.len()))
        .collect();
    assert_eq!(maps, [("contacts".to_owned(), 1), ("notes".to_owned(), 1)]);
}

/// Catalogue: AUTH-5, AUTH-8, 10.2/6
#[test]
fn a_challenge_is_answered_in_the_same_session() {
    let (mut world, mut device) = two_books();
    let (talk, _) = plainly(&mut world, &device);
    let (first, second, heard) = (read(&talk[0].0), read(&talk[1].0), read(&talk[1].1));
    assert!(first.header.cred.is_none() && second.header.cred.is_some());
    assert_eq!((&second.header.session_id, second.header.msg_id.0), (&first.header.session_id, 2));
    assert_eq!(
        names(&second),
        ["Status", "Put", "Get", "Alert", "Alert"],
        "all of it again, behind the header's Status"
    );
    assert_eq!(statuses(&heard)[0].code, StatusCode::AUTHENTICATED);

    device.config.credentials = syncml::session::Credentials::Md5 {
        user: "alice".to_owned(),
        password: syncml::auth::Secret::new("wrong".to_owned()),
    };
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let mut tries = 0;
    let error = loop {
        let out = client.outgoing().unwrap();
        tries += 1;
        let reply = world.post(&out).unwrap();
        if let Err(error) = client.received(reply.content_type, &reply.body, world.now) {
            break error;
        }
    };
    assert!(tries <= 4 && error.to_string().contains("credentials"), "{tries} tries: {error}");
}

/// Catalogue: AUTH-2, AUTH-basic
#[test]
fn a_basic_credential_is_given_unasked() {
    let (world, mut device) = two_books();
    let mut config = syncml::session::ServerConfig::default();
    config.allow_basic = true;
    let mut world =
        World { server: syncml::session::Server::new(world.server.store().clone(), config).unwrap(), ..world };
    device.config.credentials = syncml::session::Credentials::Basic {
        user: "alice".to_owned(),
        password: syncml::auth::Secret::new(common::PASSWORD.to_owned()),
    };
    let (talk, _) = plainly(&mut world, &device);
    let cred = read(&talk[0].0).header.cred.map(|cred| cred.data.into_owned());
    assert_eq!(cred.as_deref(), Some(&b"YWxpY2U6c2VjcmV0"[..]));
    assert_eq!(statuses(&read(&talk[0].1))[0].code, StatusCode::AUTHENTICATED);
    assert!(read(&talk[1].0).header.cred.is_none(), "after 212 it is not repeated");
}

/// Catalogue: AUTH-4, AUTH-9, 10.2/7, 10.2/11, HDR-1, 10.2/33
#[test]
fn a_later_session() {
    let (mut world, device) = two_books();
    let (first, _) = plainly(&mut world, &device);
    let (talk, _) = plainly(&mut world, &device);
    let (said, heard) = (read(&talk[0].0), read(&talk[0].1));
    assert!(said.header.cred.is_some(), "the nonce of the session before opens this one");
    assert_eq!(statuses(&heard)[0].code, StatusCode::AUTHENTICATED);
    assert_eq!(names(&said), ["Alert", "Alert"], "device information is not told again");
    let before = read(&first[0].0);
    for (alert, before) in alerts(&said).into_iter().zip(alerts(&before)) {
        assert_eq!(anchors(alert).0, Some(anchors(before).1), "Last is the Next of the session before");
    }
    // The server's last message says nothing but that the header was read, and is not answered.
    let last = read(&talk.last().unwrap().1);
    assert_eq!((names(&last), last.last), (vec!["Status"], true));
    for (request, _) in first.iter().chain(&talk) {
        let message = read(request);
        assert!(message.body.len() > 1 || names(&message) != ["Status"], "a mere Status of the header");
    }
}

/// Catalogue: SYNC-7, ANC-2
#[test]
fn a_slow_sync_that_the_server_wants_is_held_in_the_next_message() {
    let device = Device::new("phone");
    device.put(&numbered(1));
    plainly(&mut World::new(), &device);
    // Another server under the same address knows no anchor.
    let mut world = World::new();
    world.put(&numbered(2));
    let (talk, report) = plainly(&mut world, &device);
    let asked = talk.iter().map(|(request, _)| read(request)).find(|message| names(message).contains(&"Sync")).unwrap();
    assert!(alerts(&asked).is_empty(), "there is no second Alert");
    assert_eq!((report.books[0].mode.as_str(), report.books[0].sent.added), ("slow", 1));
    assert_eq!((device.cards().len(), device.cards()), (2, world.cards()));
}

/// Catalogue: SYNC-8
#[test]
fn who_only_sends_is_not_written_to() {
    for code in ["200", "201", "205"] {
        let (mut world, mut device) = (World::new(), Device::new("phone"));
        device.put(&numbered(1));
        plainly(&mut world, &device);
        world.put(&numbered(2));
        device.put(&numbered(3));
        device.config.books[0].mode = AlertCode::ONE_WAY_FROM_CLIENT;
        let alert = format!("<Data>{code}</Data>");
        let (talk, report) = drive(&mut world, &device, &|number, reply| match number {
            1 => reply.replace("<Data>202</Data>", &alert),
            _ => reply,
        });
        let answer = read(&talk[1].0);
        let codes: Vec<u16> =
            statuses(&answer).into_iter().filter(|status| status.cmd == "Alert").map(|status| status.code.0).collect();
        assert_eq!((codes, names(&answer).contains(&"Sync")), (vec![403], false), "{code}");
        assert!(!report.clean && report.problems[0].contains("403"), "{report:?}");
        assert_eq!((device.cards().len(), world.cards().len()), (2, 2), "nothing came, and nothing went");
    }
}

/// Catalogue: 10.2/35, SYNC-5
#[test]
fn who_only_hears_sends_an_empty_sync() {
    let (mut world, mut device) = (World::new(), Device::new("phone"));
    device.put(&numbered(1));
    plainly(&mut world, &device);
    world.put(&numbered(2));
    device.put(&numbered(3));
    device.config.books[0].mode = AlertCode::ONE_WAY_FROM_SERVER;
    let (talk, _) = plainly(&mut world, &device);
    let changes = read(&talk[1].0);
    let Some(Command::Sync(sync)) = changes.body.last() else { panic!("{:?}", names(&changes)) };
    assert!(sync.commands.is_empty() && changes.last, "{sync:?}");
    assert_eq!((device.cards().len(), world.cards().len()), (3, 2));
}

/// Catalogue: 10.2/34, SYNC-6
#[test]
fn a_refresh_from_the_server_is_mapped_whole() {
    let (mut world, mut device) = (World::new(), Device::new("phone"));
    (1..4).for_each(|n| drop(world.put(&numbered(n)).to_string()));
    plainly(&mut world, &device);
    world.put(&card("New", "+4930555"));
    device.config.books[0].mode = AlertCode::REFRESH_FROM_SERVER;
    let (talk, _) = plainly(&mut world, &device);
    let items = |command: &Command<'_>| if let Command::Map(map) = command { map.items.len() } else { 0 };
    let mapped: usize = talk.iter().map(|(request, _)| read(request).body.iter().map(items).sum::<usize>()).sum();
    assert_eq!((mapped, device.cards().len()), (4, 4));
}

/// Catalogue: RES-3
#[test]
fn a_resume_refused_with_509_begins_anew() {
    let (world, mut device) = (World::new(), Device::new("phone"));
    (0..20).for_each(|n| drop(device.put(&numbered(n)).to_string()));
    world.put(&card("There", "+4930555"));
    device.config.max_msg_size = 4_000;
    let mut config = syncml::session::ServerConfig::default();
    config.max_msg_size = 4_000;
    let mut world =
        World { server: syncml::session::Server::new(world.server.store().clone(), config).unwrap(), ..world };
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    let mut messages = 0;
    while let Some(out) = client.outgoing() {
        messages += 1;
        if messages == 4 {
            client.suspend();
        }
        let reply = world.post(&out).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert!(!client.report().clean);
    // The server's memory of the session is gone with another database under the same address.
    world = World::new();
    world.put(&card("There", "+4930555"));
    let (talk, report) = drive(&mut world, &device, &|_, reply| reply.replace("<Data>508</Data>", "<Data>509</Data>"));
    let opened = read(&talk[1].0);
    assert_eq!(alerts_of(&opened), [225], "it asked to resume");
    assert!(
        talk.iter().any(|(_, reply)| String::from_utf8_lossy(reply).contains("<Data>509</Data>")),
        "and was refused"
    );
    assert!(report.clean, "{report:?}\n{}", world.outline());
    assert_eq!((device.cards().len(), device.cards()), (21, world.cards()));
}

fn alerts_of(message: &Message<'_>) -> Vec<u16> {
    let code = |command: &Command<'_>| match command {
        Command::Alert(alert) => alert.code.map(|code| code.0),
        _ => None,
    };
    message.body.iter().filter_map(code).collect()
}
