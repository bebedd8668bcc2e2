//! The sending half against peers that answer late, wrongly or not at all: what is in doubt stays in doubt, what was not
//! taken is sent again, and nothing keeps the rest of a book from going.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use std::sync::Arc;
use syncml::kit::phone::{Heard, Phone, Told};
use syncml::message::{Alert, AlertCode, CmdId, Command, Item, Location, Mem, Meta, Op, StatusCode, Sync, Timestamp};
use syncml::session::{Client, Profiles, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, Guid};

/// A server that knows a rule about the phone.
fn ruled(settings: &str) -> World {
    let rule = format!(
        r#"[{{ "name": "tested", "when": {{ "id": ["phone"] }}, "because": "a test", "then": {{ {settings} }} }}]"#
    );
    let mut config = ServerConfig::default();
    config.profiles = Profiles::none();
    config.profiles.read(&rule).unwrap();
    with(config)
}

fn with(config: ServerConfig) -> World {
    World::with(Arc::new(MemoryStore::new([1; 32])), config)
}

fn phone<'w>(world: &'w World) -> Phone<'w> {
    Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now)
}

/// A card with a note of so many letters.
fn long(name: &str, length: usize) -> String {
    card(name, "+4930111").replace("END:", &format!("NOTE:{}\r\nEND:", "abcdefgh ".repeat(length / 9)))
}

fn edit(world: &World, name: &str, content: &str) -> Guid {
    let store = world.server.store();
    let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, &format!("\nN:{name};"));
    common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), content, Timestamp(0))
}

/// Packages 1 and 3; gives the first message of package 4.
fn say(phone: &mut Phone<'_>, code: AlertCode, anchors: (Option<&str>, &str), cards: &[(&str, &str)]) -> Heard {
    let heard = phone.begin(code, anchors.0, anchors.1).unwrap();
    let changes = cards.iter().map(|(luid, text)| phone.change(Op::Add, luid, text)).collect();
    let sync = phone.sync(changes);
    phone.say_after(&heard, vec![sync], true).unwrap()
}

/// Answers all that the server says with a 200 until it is done, and maps Adds to 100, 101 …; gives what it said.
fn take(phone: &mut Phone<'_>, mut heard: Heard) -> Vec<Told> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let place = all.len();
        let begun = String::from_utf8_lossy(&heard.bytes).contains("<MoreData");
        let whole = heard.changes.len() - usize::from(begun);
        let mut commands = Vec::new();
        for (at, told) in heard.changes.iter().enumerate() {
            commands.push(phone.status(&heard, told, StatusCode(if at < whole { 200 } else { 213 })));
        }
        all.extend(heard.changes.clone());
        let adds = (100 + place..).zip(&heard.changes[..whole]).filter(|(_, told)| told.op == Op::Add);
        let pairs: Vec<(String, String)> = adds.map(|(luid, told)| (told.source.clone(), luid.to_string())).collect();
        if !pairs.is_empty() {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (guid.as_str(), luid.as_str())).collect();
            commands.push(phone.map(&pairs));
        }
        let last = heard.last;
        heard = phone.say_after(&heard, commands, last).unwrap();
        if last {
            return all;
        }
    }
    panic!("the server does not end")
}

/// What is done to whom; nobody stands for a chunk that is not the first.
fn names(told: &[Told]) -> Vec<(Op, &str)> {
    let name = |told: &'_ Told| told.content.split_once("\nN:").map(|(before, _)| before.len() + 3);
    told.iter()
        .map(|told| (told.op, name(told).and_then(|at| told.content[at..].split(';').next()).unwrap_or_default()))
        .collect()
}

fn no_end(uri: &str) -> Command<'static> {
    Command::Alert(Alert {
        cmd_id: CmdId::from(800),
        no_resp: false,
        cred: None,
        code: Some(AlertCode::NO_END_OF_DATA),
        correlator: None,
        items: vec![Item { target: Some(Location::new(uri.to_owned())), ..Item::default() }],
    })
}

fn with_room(sync: Command<'static>, mem: Mem) -> Command<'static> {
    match sync {
        Command::Sync(sync) => Command::Sync(Sync { meta: Some(Meta { mem: Some(mem), ..Meta::default() }), ..sync }),
        other => other,
    }
}

/// A peer that says it lost an object (223) has not got it, however silent it is said to be about what it has.
#[test]
fn an_object_that_the_peer_lost_is_sent_again() {
    let world = ruled(r#""silence_is_success": true, "large_objects": true"#);
    let mut phone = phone(&world);
    let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[("1", &card("Eve", "+491"))]);
    take(&mut phone, heard);
    edit(&world, "Eve", &long("Eve", 30_000));
    let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("1"), "2"), &[]);
    assert_eq!((heard.changes.len(), heard.last), (1, false), "a chunk");
    let heard = phone.say_after(&heard, vec![no_end("1")], false).unwrap();
    assert!(heard.last, "nothing more of it");
    phone.say_after(&heard, Vec::new(), true).unwrap();
    let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("2"), "3"), &[]);
    assert_eq!(names(&heard.changes), [(Op::Replace, "Eve")]);
}

/// A peer that waits for the rest of what was whole (213) has not taken it.
#[test]
fn a_213_for_a_whole_item_is_no_success() {
    let world = World::new();
    let mut phone = phone(&world);
    let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[("1", &card("Eve", "+491"))]);
    take(&mut phone, heard);
    edit(&world, "Eve", &card("Eve", "+492"));
    let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("1"), "2"), &[]);
    let status = phone.status(&heard, &heard.changes[0], StatusCode::CHUNK_ACCEPTED);
    phone.say_after(&heard, vec![status], true).unwrap();
    let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("2"), "3"), &[]);
    assert_eq!(names(&heard.changes), [(Op::Replace, "Eve")]);
}

/// In a slow sync that breaks off, an id was used for another card: whose id it was has none any more, and is sent
/// though it has not changed for long.
#[test]
fn what_lost_its_id_in_a_broken_slow_sync_is_sent() {
    for store in common::stores() {
        let world = World::with(store, ServerConfig::default());
        for n in 0..40 {
            world.put(&long(&format!("There{n}"), 700));
        }
        let mut phone = phone(&world);
        let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[("1", &card("Eve", "+491"))]);
        assert_eq!(take(&mut phone, heard).len(), 40);
        // Everything is compared; the phone has lost all, and one id is another card's.
        let heard = say(&mut phone, AlertCode::SLOW, (Some("1"), "2"), &[("1", &card("Zoe", "+4977"))]);
        assert!(!heard.last && names(&heard.changes).iter().all(|(_, name)| *name != "Eve"), "Eve is still to come");
        // It breaks off there, and the phone goes on with what it had agreed before.
        let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("1"), "3"), &[]);
        let told = take(&mut phone, heard);
        assert!(names(&told).contains(&(Op::Add, "Eve")), "{:?}", names(&told));
    }
}

/// A refresh from the server that breaks off may have emptied the phone: what it had is not counted on.
#[test]
fn after_a_broken_refresh_from_the_server_everything_is_compared() {
    let world = World::new();
    (0..5).for_each(|n| drop(world.put(&numbered(n)).to_string()));
    let mut phone = phone(&world);
    let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[]);
    assert_eq!(take(&mut phone, heard).len(), 5);
    say(&mut phone, AlertCode::REFRESH_FROM_SERVER, (Some("1"), "2"), &[]);
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "3").unwrap();
    assert_eq!((heard.status("Alert"), heard.alerts[0].0), (Some(508), AlertCode::SLOW));
    // Once more, for this breaks off, too.
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "4").unwrap();
    assert_eq!(heard.status("Alert"), Some(508), "as long as that has not ended");
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(take(&mut phone, heard).len(), 5, "what the phone has lost comes again");
    // Then it is over.
    let heard = phone.begin(AlertCode::TWO_WAY, Some("4"), "5").unwrap();
    assert_eq!((heard.status("Alert"), heard.alerts[0].0), (Some(200), AlertCode::TWO_WAY));
}

/// An Add was sent and not answered; what became of it since is not taken. The phone's word on the first, which comes
/// late, does not agree on the second.
#[test]
fn doubt_outlives_a_peer_that_is_full_or_refuses() {
    for (why, room, code) in [
        ("no room, as it says", Some(Mem { shared: false, free_mem: 0, free_id: 0 }), None),
        ("no room, as it answers", None, Some(StatusCode::DEVICE_FULL)),
        ("too large", None, Some(StatusCode::SIZE_TOO_BIG)),
    ] {
        let world = World::new();
        let mut phone = phone(&world);
        let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[]);
        take(&mut phone, heard);
        world.put(&card("Eve", "+491"));
        let first = say(&mut phone, AlertCode::TWO_WAY, (Some("1"), "2"), &[]);
        assert_eq!(names(&first.changes), [(Op::Add, "Eve")]);
        // The phone stores it, and is not heard any more.
        edit(&world, "Eve", &card("Eve", "+492"));
        let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "3").unwrap();
        let sync = phone.sync(Vec::new());
        let sync = match room {
            Some(room) => with_room(sync, room),
            None => sync,
        };
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.changes.len(), usize::from(room.is_none()), "{why}");
        let answers: Vec<Command<'static>> = match code {
            Some(code) => heard.changes.iter().map(|told| phone.status(&heard, told, code)).collect(),
            None => Vec::new(),
        };
        phone.say_after(&heard, answers, true).unwrap();
        // It told where it put the first (§3.6).
        let heard = phone.begin(AlertCode::TWO_WAY, Some("3"), "4").unwrap();
        let last = if heard.alerts[0].0 == AlertCode::SLOW { None } else { Some(()) };
        assert!(last.is_some(), "{why}: {:?}", heard.alerts);
        let map = phone.map(&[(&first.changes[0].source, "7")]);
        let sync = phone.sync(Vec::new());
        let heard = phone.say_after(&heard, vec![map, sync], true).unwrap();
        assert_eq!(heard.status("Map"), Some(200), "{why}");
        assert_eq!(names(&heard.changes), [(Op::Replace, "Eve")], "{why}");
        assert!(heard.changes[0].target == "7" && heard.changes[0].content.contains("+492"), "{why}");
    }
}

/// What waits for the next message takes its place on the phone once.
#[test]
fn room_is_taken_once() {
    let overhead = 1_200;
    for size in (16_000..20_000 - overhead).step_by(150) {
        let world = ruled(r#""large_objects": true"#);
        world.put(&long("Filler", size));
        world.put(&long("Large", 30_000));
        let mut phone = phone(&world);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = phone.sync(Vec::new());
        let sync = with_room(sync, Mem { shared: false, free_mem: 100_000, free_id: 2 });
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        let told = take(&mut phone, heard);
        assert!(names(&told).contains(&(Op::Add, "Large")), "behind {size}: {:?}", names(&told));
    }
}

/// Deletes of an earlier session that the guard holds are no reason to hold one of this session.
#[test]
fn what_is_held_of_an_earlier_session_holds_nothing_of_this_one() {
    let world = World::new();
    let mut phone = phone(&world);
    let cards: Vec<(String, String)> = (0..30).map(|n| (n.to_string(), numbered(n))).collect();
    let cards: Vec<(&str, &str)> = cards.iter().map(|(luid, text)| (luid.as_str(), text.as_str())).collect();
    let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &cards);
    take(&mut phone, heard);
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
    let deletes = (0..25).map(|n| phone.change(Op::Delete, &n.to_string(), "")).collect();
    let sync = phone.sync(deletes);
    phone.say_after(&heard, vec![sync], false).unwrap();
    // It breaks off. In the next session one more is deleted.
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "3").unwrap();
    let delete = phone.change(Op::Delete, "29", "");
    let sync = phone.sync(vec![delete]);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(heard.codes("Delete"), [200]);
    assert_eq!(world.cards().len(), 29, "25 are held, one is not");
}

/// A phone that wants no Statuses of items (§11.1) is told what was not done, and of each chunk that more may come.
#[test]
fn refusals_and_chunks_are_answered_to_who_wants_no_statuses() {
    let world = ruled(r#""item_statuses": false"#);
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let good = phone.change(Op::Add, "1", &card("Eve", "+491"));
    let mut bad = phone.change(Op::Add, "2", "");
    bad.items[0].data = None;
    let text = card("Bob", "+492");
    let mut chunk = phone.change(Op::Add, "3", &text[..40]);
    chunk.items[0].more_data = true;
    chunk.meta = Some(Meta { size: Some(text.len() as u64), ..Meta::of_type("text/vcard") });
    let sync = phone.sync(vec![good, bad, chunk]);
    let heard = phone.say_after(&heard, vec![sync], false).unwrap();
    assert_eq!(heard.codes("Add"), [412, 213]);
    let rest = phone.change(Op::Add, "3", &text[40..]);
    let sync = phone.sync(vec![rest]);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(heard.codes("Add"), Vec::<u16>::new());
    assert_eq!(world.cards().len(), 2);
}

/// An object of which no message to this phone holds even the beginning is kept back; the rest of the book goes.
#[test]
fn an_object_that_cannot_begin_keeps_nothing_else() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        config.profiles = Profiles::none();
        let rule = r#"[{ "name": "tested", "when": { "id": ["phone"] }, "because": "a test",
                         "then": { "max_msg_size": 1500, "large_objects": true } }]"#;
        config.profiles.read(rule).unwrap();
        let world = World::with(store, config);
        let mut phone = phone(&world);
        let luid = "L".repeat(900);
        let heard = say(&mut phone, AlertCode::SLOW, (None, "1"), &[(&luid, &card("Eve", "+491"))]);
        take(&mut phone, heard);
        edit(&world, "Eve", &long("Eve", 3_000));
        world.put(&card("Bob", "+492"));
        world.put(&long("Cid", 3_000));
        let heard = say(&mut phone, AlertCode::TWO_WAY, (Some("1"), "2"), &[]);
        let told = take(&mut phone, heard);
        let mut told: Vec<&str> =
            names(&told).into_iter().map(|(_, name)| name).filter(|name| !name.is_empty()).collect();
        told.sort_unstable();
        assert_eq!(told, ["Bob", "Cid"]);
    }
}

/// A client that suspends while Statuses wait does not say that its package is complete: the server would take what it
/// has not heard yet for what is not there.
#[test]
fn a_client_suspends_with_a_224_or_goes_on() {
    let mut config = ServerConfig::default();
    config.max_msg_size = 2_000;
    let world = with(config);
    (0..60).for_each(|n| drop(world.put(&numbered(n)).to_string()));
    for at in 3..20 {
        let mut device = Device::new(&format!("phone{at}"));
        device.config.max_msg_size = 20_000;
        (100..108).for_each(|n| drop(device.put(&numbered(n)).to_string()));
        let now = world.now;
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
        let (mut messages, mut said) = (0, false);
        while let Some(out) = client.outgoing() {
            messages += 1;
            let text = String::from_utf8(out.body.clone()).unwrap();
            let suspends = text.contains("<Data>224</Data>");
            assert!(messages <= at || suspends || !text.contains("<Final"), "message {messages} of {at}: {text}");
            said |= suspends;
            if messages == at {
                client.suspend();
            }
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, now).unwrap();
        }
        assert!(said || messages <= at, "it never said so after {at}");
    }
}
