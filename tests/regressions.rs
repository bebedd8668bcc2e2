//! Faults that were found once, each by the smallest conversation that shows it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, SERVER_URI, World, card, cards, numbered};
use std::sync::Arc;
use syncml::codec::{Encoding, decode};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{Alert, AlertCode, Anchor, CmdId, Command, Item, Location, Meta, Op, StatusCode, Timestamp};
use syncml::session::{Client, ServerConfig};
use syncml::store::BookNo;
use syncml::store::memory::MemoryStore;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn world(config: ServerConfig) -> World {
    World::with(Arc::new(MemoryStore::new([1; 32])), config)
}

fn phone<'w>(world: &'w World) -> Phone<'w> {
    Phone::new(&world.server, "phone", "alice", common::PASSWORD, NOW)
}

/// Package 5: every change 200/201, Adds mapped to 101, 102 ….
fn confirm(phone: &mut Phone<'_>, heard: &Heard, luid: usize) -> Heard {
    let mut commands = Vec::new();
    let mut pairs = Vec::new();
    for (place, told) in heard.changes.iter().enumerate() {
        commands.push(phone.status(heard, told, if told.op == Op::Add { StatusCode(201) } else { StatusCode(200) }));
        if told.op == Op::Add {
            pairs.push((told.source.clone(), (luid + place).to_string()));
        }
    }
    if !pairs.is_empty() {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(g, l)| (g.as_str(), l.as_str())).collect();
        commands.push(phone.map(&pairs));
    }
    let heard = phone.say_after(heard, commands, true).unwrap();
    common::emit_talk(phone, &heard);
    heard
}

fn full(
    phone: &mut Phone<'_>,
    code: AlertCode,
    last: Option<&str>,
    next: &str,
    changes: &[(Op, &str, String)],
) -> Heard {
    let heard = phone.begin(code, last, next).unwrap();
    common::emit_talk(phone, &heard);
    let changes = changes.iter().map(|(op, luid, card)| phone.change(*op, luid, card)).collect();
    let sync = phone.sync(changes);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    common::emit_talk(phone, &heard);
    confirm(phone, &heard, 101);
    heard
}

// Settle of a large book is taken for an idle session.
#[test]
fn a_large_first_sync_into_a_book_that_is_not_empty_ends() {
    let mut world = world(ServerConfig::default());
    world.put(&card("Zoe", "+4930999"));
    let mut device = Device::new("phone");
    device.config.max_msg_size = 150_000;
    device.config.encoding = Encoding::Wbxml;
    for n in 0..3_000 {
        device.put(&numbered(n));
    }
    let report = world.sync(&device).unwrap();
    assert!(report.clean, "{report:?}\n{}", world.outline());
    assert_eq!(world.cards().len(), 3_001);
}

// A Map of up to 200 entries that is larger than the server's MaxMsgSize.
/// Catalogue: MSG-3, 10.2/16
#[test]
fn a_client_cuts_its_maps_to_the_servers_max_msg_size() {
    let mut world = world(sized(10_000));
    let device = Device::new("phone");
    assert!(world.sync(&device).unwrap().clean);
    for n in 0..150 {
        world.put(&numbered(n));
    }
    world.sync(&device).unwrap();
    device.put(&card("New", "+4930777"));
    for _ in 0..4 {
        world.wire.clear();
        let report = world.sync(&device).unwrap();
        let largest = world.wire.iter().map(|exchange| exchange.request.len()).max().unwrap();
        println!(
            "{} clean {} largest request {largest} messages {}",
            report.books[0].mode, report.clean, report.messages
        );
    }
    assert!(world.cards().concat().contains("+4930777"), "the new card never leaves\n{}", world.outline());
}

fn sized(max: u64) -> ServerConfig {
    let mut config = ServerConfig::default();
    config.max_msg_size = max;
    config
}

// More than 500 statuses wait.
/// Catalogue: STA-3
#[test]
fn no_status_is_lost_and_their_order_is_kept() {
    let mut world = world(ServerConfig::default());
    let mut device = Device::new("phone");
    device.config.max_msg_size = 150_000;
    device.config.encoding = Encoding::Wbxml;
    let guids: Vec<_> = (0..2_000).map(|n| device.put(&numbered(n))).collect();
    assert!(world.sync(&device).unwrap().clean);
    for guid in guids {
        device.delete(guid);
    }
    world.wire.clear();
    let report = world.sync(&device).unwrap();
    let mut refs = Vec::new();
    for exchange in &world.wire {
        for command in &decode(&exchange.reply, Encoding::Wbxml, &Default::default()).unwrap().body {
            if let Command::Status(status) = command
                && status.cmd == "Delete"
            {
                let number = |text: &str| text.parse::<u32>().unwrap();
                refs.push((number(&status.msg_ref), number(status.cmd_ref.as_str())));
            }
        }
    }
    println!("clean {} sent {:?} statuses {}", report.clean, report.books[0].sent, refs.len());
    assert_eq!(refs.len(), 2_000, "every Delete has its Status");
    assert!(refs.is_sorted(), "in order");
}

// Order, with small replies.
/// Catalogue: STA-1
#[test]
fn statuses_keep_their_order() {
    let mut world = world(ServerConfig::default());
    let device = Device::new("phone");
    let guids: Vec<_> = (0..2_500).map(|n| device.put(&numbered(n))).collect();
    assert!(world.sync(&device).unwrap().clean);
    for guid in guids {
        device.delete(guid);
    }
    world.wire.clear();
    world.sync(&device).unwrap();
    let mut refs = Vec::new();
    for exchange in &world.wire {
        for command in &decode(&exchange.reply, Encoding::Xml, &Default::default()).unwrap().body {
            if let Command::Status(status) = command
                && status.cmd == "Delete"
            {
                let number = |text: &str| text.parse::<u32>().unwrap();
                refs.push((number(&status.msg_ref), number(status.cmd_ref.as_str())));
            }
        }
    }
    assert_eq!(refs.len(), 2_500);
    assert!(refs.is_sorted(), "in order");
}

// An acknowledged Delete whose session broke off, then a slow sync.
#[test]
fn an_acknowledged_delete_outlives_its_session() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    let two = [(Op::Add, "1", card("Ann", "+491111111")), (Op::Add, "2", card("Bob", "+492222222"))];
    full(&mut phone, AlertCode::SLOW, None, "1", &two);
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
    let delete = phone.change(Op::Delete, "1", "");
    let sync = phone.sync(vec![delete]);
    let heard = phone.say_after(&heard, vec![sync], false).unwrap();
    assert_eq!(heard.codes("Delete"), [200]);
    // The connection breaks; the next sync is slow.
    let heard = full(&mut phone, AlertCode::SLOW, None, "3", &two[1..]);
    assert!(heard.changes.is_empty(), "Ann was deleted, and that was acknowledged: {:?}", heard.changes);
    assert_eq!(world.cards().len(), 1, "{:?}", world.cards());
}

// What a broken slow sync left staged belongs to an id that is gone.
#[test]
fn what_was_staged_by_a_broken_session_is_not_mapped_to_an_id_that_is_gone() {
    let world = world(ServerConfig::default());
    world.put(&card("Zoe", "+499999999"));
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let add = phone.change(Op::Add, "1", &card("Ann", "+491111111"));
    let sync = phone.sync(vec![add]);
    let heard = phone.say_after(&heard, vec![sync], false).unwrap();
    assert_eq!(heard.codes("Add"), [201]);
    // The user deletes Ann; the phone begins again with what it has: nothing.
    let heard = full(&mut phone, AlertCode::SLOW, None, "2", &[]);
    let here = world.cards().concat().contains("+491111111");
    let there = heard.changes.iter().any(|told| told.content.contains("+491111111"));
    let heard = full(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]);
    let there = there || heard.changes.iter().any(|told| told.content.contains("+491111111"));
    assert_eq!(here, there, "on the server: {here}, on the phone: {there} (I4)");
}

// What a broken slow sync left staged is older than what came since.
#[test]
fn what_was_staged_does_not_overwrite_what_came_later() {
    let world = world(ServerConfig::default());
    world.put(&card("Zoe", "+499999999"));
    let mut phone = phone(&world);
    full(&mut phone, AlertCode::SLOW, None, "1", &[]);
    // A slow sync by the user's wish breaks off; Ann is new.
    let heard = phone.begin(AlertCode::SLOW, Some("1"), "2").unwrap();
    let add = phone.change(Op::Add, "1", &card("Ann", "+491111111"));
    let sync = phone.sync(vec![add]);
    assert_eq!(phone.say_after(&heard, vec![sync], false).unwrap().codes("Add"), [201]);
    // Ann gets a note; the next sync is an ordinary one.
    let noted = card("Ann", "+491111111").replace("END:", "NOTE:newer\r\nEND:");
    full(&mut phone, AlertCode::TWO_WAY, Some("1"), "3", &[(Op::Add, "1", noted)]);
    assert!(world.cards().concat().contains("newer"), "the older, staged card was written over it");
}

// The same, with so much changed that both seem to be different people.
#[test]
fn what_was_staged_does_not_double_what_came_later() {
    let world = world(ServerConfig::default());
    world.put(&card("Zoe", "+499999999"));
    let mut phone = phone(&world);
    full(&mut phone, AlertCode::SLOW, None, "1", &[]);
    let heard = phone.begin(AlertCode::SLOW, Some("1"), "2").unwrap();
    let add = phone.change(Op::Add, "1", &card("Ann", "+491111111"));
    let sync = phone.sync(vec![add]);
    phone.say_after(&heard, vec![sync], false).unwrap();
    let heard = full(&mut phone, AlertCode::TWO_WAY, Some("1"), "3", &[(Op::Add, "1", card("Ann", "+494444444"))]);
    assert!(heard.changes.is_empty(), "the phone's own card is sent to it as another");
    assert_eq!(world.cards().len(), 2, "{:?}", world.cards());
}

// The same within one slow sync: staged first, then bound by an exact match.
#[test]
fn within_one_slow_sync_the_latest_word_counts() {
    let world = world(ServerConfig::default());
    let noted = card("Ann", "+491111111").replace("END:", "NOTE:newer\r\nEND:");
    world.put(&noted);
    let mut phone = phone(&world);
    let said = [(Op::Add, "1", card("Ann", "+491111111")), (Op::Replace, "1", noted)];
    let mut heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    for (op, luid, card) in &said {
        let change = phone.change(*op, luid, card);
        let sync = phone.sync(vec![change]);
        heard = phone.say_after(&heard, vec![sync], op != &Op::Add).unwrap();
    }
    assert!(heard.changes.is_empty(), "{:?}", heard.changes);
    assert!(world.cards().len() == 1 && world.cards()[0].contains("newer"), "{:?}", world.cards());
}

fn sync_through(
    world: &mut World,
    device: &Device,
    mut request: impl FnMut(String) -> String,
    mut reply: impl FnMut(String) -> String,
) -> Result<syncml::session::Report, syncml::session::ClientError> {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now)?;
    while let Some(out) = client.outgoing() {
        let body = request(String::from_utf8(out.body).unwrap());
        let answer = world.server.answer(&world.request(&out.uri, out.content_type, body.as_bytes())).unwrap();
        let body = reply(String::from_utf8(answer.body).unwrap());
        client.received(answer.content_type, body.as_bytes(), world.now)?;
    }
    Ok(client.report())
}

// A server whose temporary GUIDs begin anew in each session (§2.3, LS `#n`).
/// Catalogue: MAP-5
#[test]
fn a_temporary_guid_used_again_is_another_contact() {
    let mut world = world(ServerConfig::default());
    let device = Device::new("phone");
    assert!(world.sync(&device).unwrap().clean);
    for (name, number) in [("Ann", "+491111111"), ("Bob", "+492222222")] {
        world.put(&card(name, number));
        let guid = std::cell::RefCell::new(None::<String>);
        let report = sync_through(
            &mut world,
            &device,
            |text| match &*guid.borrow() {
                Some(guid) => text.replace("<LocURI>#1</LocURI>", guid),
                None => text,
            },
            |text| {
                let Some(at) = text.find("<Add>") else { return text };
                let start = text[at..].find("<LocURI>").unwrap() + at;
                let end = text[start..].find("</LocURI>").unwrap() + start + "</LocURI>".len();
                *guid.borrow_mut() = Some(text[start..end].to_owned());
                text.replace(&text[start..end], "<LocURI>#1</LocURI>")
            },
        );
        assert!(report.unwrap().clean);
    }
    assert_eq!(device.cards(), world.cards(), "Ann was overwritten by Bob");
}

// An Add whose Status was lost, and the item deleted since.
/// Catalogue: 10.2/32, ANC-4
#[test]
fn a_delete_after_a_lost_reply_reaches_the_server() {
    let mut world = world(ServerConfig::default());
    let device = Device::new("phone");
    assert!(world.sync(&device).unwrap().clean);
    let guid = device.put(&card("Ann", "+491111111"));
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        if !world.cards().is_empty() {
            break; // The reply is lost.
        }
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert_eq!(world.cards().len(), 1);
    device.delete(guid);
    for _ in 0..3 {
        world.sync(&device).unwrap();
    }
    assert_eq!(world.cards(), device.cards(), "I4");
}

// A client's slow sync: the server adds again what the old map binds to an item that was confirmed anew.
/// Catalogue: S4
#[test]
fn a_client_never_binds_one_item_twice() {
    let mut world = world(ServerConfig::default());
    let mut device = Device::new("phone");
    world.put(&card("Ann", "+491111111"));
    assert!(world.sync(&device).unwrap().clean);
    device.edit(device.find("Ann"), &card("Xaver", "+493333333").replace("Ann", "Hugo"));
    device.config.books[0].mode = AlertCode::SLOW;
    let report = world.sync(&device);
    assert!(report.as_ref().is_ok_and(|report| report.clean), "{report:?}\n{}", world.outline());
    assert_eq!(device.cards(), world.cards());
}

// One Map that names a GUID, or a LUID, twice.
#[test]
fn a_map_that_contradicts_itself_is_answered() {
    for pairs in [[(0, "7"), (0, "8")], [(0, "7"), (1, "7")]] {
        let world = world(ServerConfig::default());
        world.put(&card("Ann", "+491111111"));
        world.put(&card("Bob", "+492222222"));
        let mut phone = phone(&world);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = phone.sync(Vec::new());
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        let guids: Vec<String> = heard.changes.iter().map(|told| told.source.clone()).collect();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|&(at, luid): &(usize, &str)| (guids[at].as_str(), luid)).collect();
        let map = phone.map(&pairs);
        let answer = phone.say_after(&heard, vec![map], true);
        assert!(answer.is_ok(), "{pairs:?}: {}", answer.unwrap_err());
    }
}

// Two Statuses for one command.
#[test]
fn a_status_said_twice_settles_one_change() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    let ann = world.put(&card("Ann", "+491111111"));
    let bob = world.put(&card("Bob", "+492222222"));
    full(&mut phone, AlertCode::SLOW, None, "1", &[]);
    for (guid, name) in [(ann, "Ann"), (bob, "Bob")] {
        let store = world.server.store().clone();
        common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), &card(name, "+495555555"), NOW);
    }
    let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(heard.changes.len(), 2);
    let twice = vec![
        phone.status(&heard, &heard.changes[0], StatusCode(200)),
        phone.status(&heard, &heard.changes[0], StatusCode(200)),
    ];
    phone.say_after(&heard, twice, true).unwrap();
    // Bob's Replace has no Status: the anchors must not have moved (I6).
    let heard = phone.begin(AlertCode::TWO_WAY, Some("2"), "3").unwrap();
    assert_eq!(heard.status("Alert"), Some(508));
}

// An Add without an Item has a Status.
#[test]
fn every_command_has_a_status() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let mut add = phone.change(Op::Add, "1", "x");
    let number = add.cmd_id.to_string();
    add.items.clear();
    let sync = phone.sync(vec![add]);
    match phone.say_after(&heard, vec![sync], true) {
        Ok(heard) => assert!(heard.statuses.iter().any(|status| status.1 == number), "{:?}", heard.statuses),
        Err(refusal) => panic!("{refusal}"),
    }
}

// More twins than candidates are looked at.
#[test]
fn forty_equal_cards_on_two_devices_are_forty() {
    let mut world = world(ServerConfig::default());
    let one = Device::new("one");
    let two = Device::new("two");
    for _ in 0..40 {
        one.put(&card("Ann", "+491111111"));
        two.put(&card("Ann", "+491111111"));
    }
    for device in [&one, &two, &one] {
        world.sync(device).unwrap();
    }
    assert_eq!(cards(world.server.store().as_ref(), world.account, BookNo::CONTACTS).len(), 40);
}

// A row of the ledger for an item that the device refused and that is deleted since.
#[test]
fn the_ledger_forgets_what_was_refused_and_deleted() {
    let world = world(ServerConfig::default());
    let ann = world.put(&card("Ann", "+491111111"));
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    let refused = phone.status(&heard, &heard.changes[0], StatusCode(415));
    phone.say_after(&heard, vec![refused], true).unwrap();
    common::delete(world.server.store().as_ref(), world.account, BookNo::CONTACTS, ann, NOW);
    full(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &[]);
    full(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]);
    let mut rows = Vec::new();
    let store = world.server.store().clone();
    store
        .step(world.account, &mut |tx| {
            let device = tx.device("phone")?.unwrap().device;
            rows = tx.outgoing_page(device, BookNo::CONTACTS, syncml::store::Guid(0), 10)?;
            Ok(syncml::store::Verdict::Rollback)
        })
        .unwrap();
    assert!(rows.is_empty(), "{rows:?}");
}

// Combined initialisation, in two messages, with a lost anchor (§3.14).
/// Catalogue: INIT-2
#[test]
fn after_508_the_next_message_is_taken() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    let ann = [(Op::Add, "1", card("Ann", "+491111111"))];
    full(&mut phone, AlertCode::SLOW, None, "1", &ann);
    // Alert and the first part of the changes, no Final.
    let anchor = Anchor { last: Some("bogus".into()), next: "2".into() };
    let item = Item {
        target: Some(Location::new("contacts")),
        source: Some(Location::new("./card")),
        meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
        ..Item::default()
    };
    let alert = Command::Alert(Alert {
        cmd_id: CmdId::from("900"),
        no_resp: false,
        cred: None,
        code: Some(AlertCode::TWO_WAY),
        correlator: None,
        items: vec![item],
    });
    let mut phone = Phone::new(&world.server, "phone", "alice", common::PASSWORD, NOW);
    let sync = phone.sync(Vec::new());
    let heard = phone.say(vec![alert, sync], false).unwrap();
    assert_eq!(heard.codes("Alert"), [508]);
    assert_eq!(heard.alerts[0].0, AlertCode::SLOW);
    let add = phone.change(Op::Add, "2", &card("Bob", "+492222222"));
    let sync = phone.sync(vec![add]);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!((heard.status("Sync"), heard.status("Add")), (Some(200), Some(201)));
}

// An Add whose Status was lost, and the item edited since.
#[test]
fn an_edit_after_a_lost_reply_doubles_nothing() {
    let mut world = world(ServerConfig::default());
    let device = Device::new("phone");
    assert!(world.sync(&device).unwrap().clean);
    let guid = device.put(&card("Ann", "+491111111"));
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        if !world.cards().is_empty() {
            break; // The reply is lost.
        }
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    // The number was wrong.
    device.edit(guid, &card("Ann", "+494444444"));
    for _ in 0..3 {
        world.sync(&device).unwrap();
    }
    assert_eq!((world.cards().len(), device.cards().len()), (1, 1), "{:?}", device.cards());
}

// A LUID used again for somebody else: whom it meant before is no longer on the device, and must be sent there.
#[test]
fn who_lost_its_luid_is_sent_again() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    full(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "1", card("Ann", "+491111111"))]);
    let mut sent =
        full(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &[(Op::Add, "1", card("Bob", "+492222222"))]).changes;
    for (last, next) in [("2", "3"), ("3", "4")] {
        sent.extend(full(&mut phone, AlertCode::TWO_WAY, Some(last), next, &[]).changes);
    }
    assert_eq!(world.cards().len(), 2);
    assert!(sent.iter().any(|told| told.content.contains("+491111111")), "the phone never gets Ann (I4): {sent:?}");
}

// The same by a Map.
#[test]
fn who_lost_its_luid_to_a_map_is_sent_again() {
    let world = world(ServerConfig::default());
    let mut phone = phone(&world);
    full(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "101", card("Ann", "+491111111"))]);
    world.put(&card("Bob", "+492222222"));
    // `full` maps what it is sent to 101.
    let mut sent = full(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &[]).changes;
    for (last, next) in [("2", "3"), ("3", "4")] {
        sent.extend(full(&mut phone, AlertCode::TWO_WAY, Some(last), next, &[]).changes);
    }
    assert!(sent.iter().any(|told| told.content.contains("+491111111")), "the phone never gets Ann (I4): {sent:?}");
}

// A change that fits neither this message nor any other, wherever the limit lies.
#[test]
fn what_never_fits_is_withheld_and_the_session_ends() {
    for (size, path) in [(2_000, 260), (2_500, 400), (4_000, 850), (8_000, 850)] {
        let path = "a".repeat(path);
        for length in 0..size / 15 {
            let mut world = world(ServerConfig::default());
            let note = format!("NOTE:{}\r\nEND:", "x".repeat(length as usize * 15));
            for number in 0..3 {
                world.put(&numbered(number).replace("END:", &note));
            }
            let mut device = Device::new("phone");
            device.config.server_uri = format!("{SERVER_URI}/{path}");
            device.config.max_msg_size = size;
            let now = world.now;
            let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
            let mut messages = 0;
            while let Some(out) = client.outgoing() {
                messages += 1;
                assert!(messages < 60, "MaxMsgSize {size}, note of {}: the session does not end", length * 15);
                // Where the addresses alone fill the message, the server gives up.
                let Ok(reply) = world.post(&out) else {
                    break;
                };
                client.received(reply.content_type, &reply.body, now).unwrap();
            }
            world.tick();
        }
    }
}

// A Get whose answer does not fit beside the statuses of the message that asked.
#[test]
fn results_that_do_not_fit_now_come_in_the_next_message() {
    let mut world = world(ServerConfig::default());
    let mut device = Device::new("phone");
    for (path, size, told) in [(150, 2_600, 1), (150, 2_000, 0)] {
        device.config.server_uri = format!("{SERVER_URI}/{}", "a".repeat(path));
        device.config.max_msg_size = size;
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}\n{}", world.outline());
        let results = |exchange: &common::Exchange| String::from_utf8_lossy(&exchange.reply).contains("<Results>");
        assert_eq!(world.wire.iter().filter(|exchange| results(exchange)).count(), told, "MaxMsgSize {size}");
        assert!(world.wire.iter().all(|exchange| exchange.reply.len() as u64 <= size));
        world.wire.clear();
    }
}

// Two sessions of one device, of different books.
#[test]
fn a_session_supersedes_only_those_of_the_same_books() {
    let mut world = world(ServerConfig::default());
    let one = Device::new("phone");
    let mut two = Device { store: one.store.clone(), account: one.account, config: one.config.clone() };
    two.config.books[0].book = BookNo::CALENDAR;
    two.config.books[0].local_uri = "./calendar".to_owned();
    two.config.books[0].remote_uri = "calendar".to_owned();
    for device in [&one, &two] {
        world.sync(device).unwrap();
    }
    let now = world.now.plus_seconds(5);
    let mut first = Client::begin(one.store.clone(), one.account, one.config.clone(), now).unwrap();
    let mut second = Client::begin(two.store.clone(), two.account, two.config.clone(), now).unwrap();
    // They share a nonce: whoever comes later is challenged; both get in.
    let mut ended = 0;
    for _ in 0..20 {
        for client in [&mut first, &mut second] {
            if let Some(out) = client.outgoing() {
                let reply = world.server.answer(&world.request(&out.uri, out.content_type, &out.body));
                let reply = reply.unwrap_or_else(|refusal| panic!("{refusal}"));
                client.received(reply.content_type, &reply.body, now).unwrap();
                ended += usize::from(client.outgoing().is_none());
            }
        }
    }
    assert_eq!(ended, 2);
    assert!(first.report().clean && second.report().clean);
}
