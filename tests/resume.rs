//! Suspend and resume (§3.13): what was acknowledged is not said again, what was not is, and the end is that of a sync
//! that nothing disturbed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{Alert, AlertCode, Change, CmdId, Command, Item, Location, Meta, Op, StatusCode, Version};
use syncml::session::{Client, Server, ServerConfig};

fn phone<'w>(world: &'w World) -> Phone<'w> {
    Phone::new(&world.server, "phone", "alice", common::PASSWORD, world.now)
}

fn suspend() -> Command<'static> {
    let item = Item {
        target: Some(Location::new("http://server.example/syncml")),
        source: Some(Location::new("phone")),
        ..Item::default()
    };
    Command::Alert(Alert {
        cmd_id: CmdId::from(900),
        no_resp: false,
        cred: None,
        code: Some(AlertCode::SUSPEND),
        correlator: None,
        items: vec![item],
    })
}

fn adds(phone: &mut Phone<'_>, numbers: std::ops::Range<usize>) -> Command<'static> {
    let changes = numbers.map(|n| phone.change(Op::Add, &n.to_string(), &numbered(n))).collect();
    phone.sync(changes)
}

/// Package 5: everything stored, Adds under 100 and on.
fn confirm(phone: &mut Phone<'_>, heard: &Heard) -> Heard {
    let mut commands: Vec<Command<'static>> =
        heard.changes.iter().map(|told| phone.status(heard, told, StatusCode(200))).collect();
    let pairs: Vec<(String, String)> = (100..)
        .zip(heard.changes.iter().filter(|told| told.op == Op::Add))
        .map(|(luid, told)| (told.source.clone(), luid.to_string()))
        .collect();
    if !pairs.is_empty() {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (guid.as_str(), luid.as_str())).collect();
        commands.push(phone.map(&pairs));
    }
    phone.say_after(heard, commands, true).unwrap()
}

/// Catalogue: RES-1, SUS-1
#[test]
fn sus1_res1_a_slow_sync_goes_on_where_it_was() {
    for store in common::stores() {
        let world = World::with(store, Default::default());
        // Something to match, and something that the phone has not.
        world.put(&numbered(7));
        world.put(&card("There", "+4930555"));
        let mut phone = phone(&world);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = adds(&mut phone, 0..6);
        let heard = phone.say_after(&heard, vec![sync], false).unwrap();
        assert_eq!(heard.codes("Add"), [201; 6]);
        // What comes with the 224 is not done.
        let sync = adds(&mut phone, 6..8);
        let heard = phone.say_after(&heard, vec![sync, suspend()], true).unwrap();
        assert_eq!(heard.codes("Add"), [514; 2]);
        assert_eq!((heard.status("Sync"), heard.status("Alert"), heard.last), (Some(514), Some(200), true));

        let heard = phone.begin(AlertCode::RESUME, None, "2").unwrap();
        assert_eq!(heard.status("Alert"), Some(200));
        assert_eq!(heard.alerts[0].0, AlertCode::SLOW, "the kind that was held, not 225");
        let sync = adds(&mut phone, 6..10);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        let told: Vec<&str> = heard.changes.iter().map(|told| told.content.as_str()).collect();
        assert!(told.len() == 1 && told[0].contains("There"), "{told:?}");
        confirm(&mut phone, &heard);
        assert_eq!(world.cards().len(), 11, "ten of the phone, one of which was here, and There");
        // It ended cleanly: the next is a sync of changes, and there are none.
        let heard = phone.begin(AlertCode::TWO_WAY, Some("2"), "3").unwrap();
        assert_eq!(heard.status("Alert"), Some(200));
        let sync = phone.sync(Vec::new());
        assert!(phone.say_after(&heard, vec![sync], true).unwrap().changes.is_empty());
    }
}

/// Catalogue: SUS-2, RES-5
#[test]
fn sus2_what_the_server_was_sending_is_not_sent_again() {
    for store in common::stores() {
        let world = World::with(store, Default::default());
        (0..3).map(numbered).for_each(|card| drop(world.put(&card).to_string()));
        let mut phone = phone(&world);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = phone.sync(Vec::new());
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.changes.len(), 3);
        // Two are stored and mapped; then the transport breaks. Nobody said 224.
        let statuses: Vec<Command<'static>> =
            heard.changes[..2].iter().map(|told| phone.status(&heard, told, StatusCode(201))).collect();
        let map = phone.map(&[(&heard.changes[0].source, "100"), (&heard.changes[1].source, "101")]);
        phone.say_after(&heard, [statuses, vec![map]].concat(), false).unwrap();
        let third = heard.changes[2].content.clone();

        let heard = phone.begin(AlertCode::RESUME, None, "2").unwrap();
        assert_eq!((heard.status("Alert"), heard.alerts[0].0), (Some(200), AlertCode::SLOW));
        let sync = phone.sync(Vec::new());
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.changes.iter().map(|told| &told.content).collect::<Vec<_>>(), [&third]);
    }
}

/// What a device showed before the sync broke off, and deleted since, is deleted: it is neither sent back nor kept for
/// something that the device has.
#[test]
fn res1_what_was_shown_may_be_deleted_before_it_goes_on() {
    for store in common::stores() {
        let world = World::with(store, Default::default());
        let mut phone = phone(&world);
        let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let sync = adds(&mut phone, 0..3);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        confirm(&mut phone, &heard);
        // Again everything, with a new one; the first is changed. Then it breaks off.
        let heard = phone.begin(AlertCode::SLOW, None, "2").unwrap();
        let edited = numbered(0).replace("END:", "NOTE:edited\r\nEND:");
        let changes = [("0", edited), ("7", numbered(7)), ("1", numbered(1))];
        let changes = changes.iter().map(|(luid, text)| phone.change(Op::Add, luid, text)).collect();
        let sync = phone.sync(changes);
        phone.say_after(&heard, vec![sync], false).unwrap();

        let heard = phone.begin(AlertCode::RESUME, None, "3").unwrap();
        let deletes = ["0", "7", "8"].map(|luid| phone.change(Op::Delete, luid, "")).to_vec();
        let last = phone.change(Op::Add, "2", &numbered(2));
        let sync = phone.sync([deletes, vec![last]].concat());
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.codes("Delete"), [200, 200, 211], "8 was never shown");
        assert!(heard.changes.is_empty(), "{:?}", heard.changes);
        confirm(&mut phone, &heard);
        assert_eq!(world.cards().len(), 2, "{:?}", world.cards());
    }
}

/// Catalogue: RES-2
#[test]
fn res2_nothing_is_resumed_after_a_clean_end() {
    let world = World::new();
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let sync = adds(&mut phone, 0..2);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    confirm(&mut phone, &heard);
    let heard = phone.begin(AlertCode::RESUME, Some("1"), "2").unwrap();
    assert_eq!((heard.status("Alert"), heard.alerts[0].0), (Some(508), AlertCode::SLOW));
}

/// RES-6: who wants another kind now gets it; what was acknowledged stays done.
/// Catalogue: RES-6
#[test]
fn res6_another_kind_cancels_what_was_suspended() {
    let world = World::new();
    let mut phone = phone(&world);
    let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let sync = adds(&mut phone, 0..3);
    let heard = phone.say_after(&heard, vec![sync], false).unwrap();
    phone.say_after(&heard, vec![suspend()], true).unwrap();
    let heard = phone.begin(AlertCode::ONE_WAY_FROM_CLIENT, None, "2").unwrap();
    assert_eq!((heard.status("Alert"), heard.alerts[0].0), (Some(508), AlertCode::REFRESH_FROM_CLIENT));
    let sync = adds(&mut phone, 0..4);
    phone.say_after(&heard, vec![sync], true).unwrap();
    assert_eq!(world.cards().len(), 4);
}

/// RES-4: a chunked object goes on in the middle, in each way that peers have to say so.
/// Catalogue: RES-4
#[test]
fn res4_a_large_object_goes_on_in_the_middle() {
    let ann = card("Ann", "+491");
    let (sent, rest) = ann.split_at(60);
    let (known, doubtful) = sent.split_at(25);
    let total = ann.len() as u64;
    let emi = |at: usize| Meta { emi: vec![format!("datapos={at}").into()], ..Meta::default() };
    let size = |size: usize| Meta { size: Some(size as u64), ..Meta::default() };
    let cases: Vec<(&str, String, Option<Meta<'static>>, u16)> = vec![
        ("nothing is said", rest.to_owned(), None, 201),
        ("the position", rest.to_owned(), Some(emi(60)), 201),
        ("the position of the chunk in doubt", format!("{doubtful}{rest}"), Some(emi(25)), 201),
        ("the size of the rest", rest.to_owned(), Some(size(rest.len())), 201),
        ("that of the rest with the chunk in doubt", format!("{doubtful}{rest}"), Some(size(ann.len() - 25)), 201),
        ("a position that fits to nothing", rest.to_owned(), Some(emi(50)), 426),
        ("a size that fits to nothing", rest.to_owned(), Some(size(7)), 426),
    ];
    for (why, data, meta, code) in cases {
        for store in common::stores() {
            let world = World::with(store, Default::default());
            let mut phone = phone(&world);
            let chunk =
                |phone: &mut Phone<'_>, text: &str, meta: Option<Meta<'static>>, more: bool| -> Change<'static> {
                    let mut change = phone.change(Op::Add, "1", text);
                    change.items[0].more_data = more;
                    change.meta = meta;
                    change
                };
            let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
            let first = chunk(&mut phone, known, Some(Meta { size: Some(total), ..Meta::of_type("text/vcard") }), true);
            let sync = phone.sync(vec![first]);
            let heard = phone.say_after(&heard, vec![sync], false).unwrap();
            let second = chunk(&mut phone, doubtful, None, true);
            let sync = phone.sync(vec![second]);
            let heard = phone.say_after(&heard, vec![sync], false).unwrap();
            assert_eq!(heard.codes("Add"), [213]);
            phone.say_after(&heard, vec![suspend()], true).unwrap();

            let heard = phone.begin(AlertCode::RESUME, None, "2").unwrap();
            let last = chunk(&mut phone, &data, meta.clone(), false);
            let sync = phone.sync(vec![last]);
            let heard = phone.say_after(&heard, vec![sync], true).unwrap();
            assert_eq!(heard.codes("Add"), [code], "{why}");
            let cards: &[String] = &world.cards();
            match code {
                201 => assert_eq!(cards, [ann.replace("\r\n", "\n")], "{why}"),
                _ => assert!(cards.is_empty(), "{why}"),
            }
        }
    }
}

/// RES-4: the server goes on with an object in the way that the peer understands; from its beginning, if in none.
/// Catalogue: RES-4
#[test]
fn res4_a_large_object_is_sent_from_where_it_broke_off() {
    let long = card("Ann", "+491").replace("END:", &format!("NOTE:{}\r\nEND:", "0123456789".repeat(6_000)));
    for how in [Some("position"), Some("rest"), None] {
        for store in common::stores() {
            let then = how.map(|how| format!(r#", "resume_objects": "{how}""#)).unwrap_or_default();
            let rule = format!(
                r#"[{{ "name": "tested", "when": {{ "id": ["phone"] }}, "because": "a test",
                      "then": {{ "large_objects": true{then} }} }}]"#
            );
            let mut config = ServerConfig::default();
            config.profiles.read(&rule).unwrap();
            let world = World::with(store, config);
            world.put(&long);
            let mut phone = phone(&world);
            let heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
            let sync = phone.sync(Vec::new());
            let mut heard = phone.say_after(&heard, vec![sync], true).unwrap();
            let mut had = String::new();
            for _ in 0..2 {
                had += &heard.changes[0].content;
                let status = phone.status(&heard, &heard.changes[0], StatusCode(213));
                heard = phone.say_after(&heard, vec![status], false).unwrap();
            }
            // The third chunk is lost with the connection.
            assert_eq!(heard.changes.len(), 1);
            let mut heard = phone.begin(AlertCode::RESUME, None, "2").unwrap();
            let sync = phone.sync(Vec::new());
            heard = phone.say_after(&heard, vec![sync], true).unwrap();
            let said = String::from_utf8(heard.bytes.clone()).unwrap();
            let (at, size) = (had.len(), long.len());
            let mark = match how {
                Some("position") => format!(">datapos={at}<"),
                Some(_) => format!("<Size xmlns=\"syncml:metinf\">{}<", size - at),
                None => format!("<Size xmlns=\"syncml:metinf\">{size}<"),
            };
            assert!(said.contains(&mark), "{how:?}: {mark} is not in {}", &said[..1_500]);
            assert!(!(said.contains("<Size") && said.contains("datapos")), "one or the other");
            if how.is_none() {
                had.clear();
            }
            loop {
                had += &heard.changes[0].content;
                let more = String::from_utf8_lossy(&heard.bytes).contains("<MoreData");
                let code = StatusCode(if more { 213 } else { 201 });
                let status = phone.status(&heard, &heard.changes[0], code);
                let map = (!more).then(|| phone.map(&[(&heard.changes[0].source, "100")]));
                heard = phone.say_after(&heard, std::iter::once(status).chain(map).collect(), !more).unwrap();
                if !more {
                    break;
                }
            }
            assert!(had == long, "{how:?}: {} bytes, not {size}", had.len());
            let heard = phone.begin(AlertCode::TWO_WAY, Some("2"), "3").unwrap();
            let sync = phone.sync(Vec::new());
            assert!(phone.say_after(&heard, vec![sync], true).unwrap().changes.is_empty(), "{how:?}");
        }
    }
}

/// RES-4, both roles ours: what was acknowledged of an object is not sent again, whichever way it goes.
/// Catalogue: RES-4
#[test]
fn res4_our_own_ends_go_on_in_the_middle() {
    let long = card("Ann", "+491").replace("END:", &format!("NOTE:{}\r\nEND:", "0123456789".repeat(6_000)));
    for here in [true, false] {
        for at in [6, 9, 12] {
            let mut config = ServerConfig::default();
            config.max_msg_size = 6_000;
            let mut world = World::with(common::stores().remove(0), config);
            let mut device = Device::new("phone");
            device.config.max_msg_size = 6_000;
            let put = |text: &str| if here { device.put(text) } else { world.put(text) };
            put(&long);
            suspended(&world, &device, at);
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{here} at {at}: {report:?}\n{}", world.outline());
            assert_eq!((device.cards(), world.cards().len()), (world.cards(), 1), "{here} at {at}");
            let sent: usize = world
                .wire
                .iter()
                .map(|exchange| if here { &exchange.request } else { &exchange.reply })
                .map(|bytes| String::from_utf8_lossy(bytes).matches("0123456789").count() * 10)
                .sum();
            assert!((10_000..=60_000 - (at - 5) * 4_000).contains(&sent), "{here} at {at}: {sent} bytes of it");
            assert_eq!((world.sync(&device).unwrap().books[0].sent.added, device.cards().len()), (0, 1));
        }
    }
}

/// A session that the client suspends with its message of that number, if there are so many; with the number it came to.
fn suspended(world: &World, device: &Device, at: usize) -> (Client, usize) {
    let now = world.now;
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
    let mut messages = 0;
    while let Some(out) = client.outgoing() {
        messages += 1;
        if messages == at {
            client.suspend();
        }
        let reply = world.server.answer(&world.request(&out.uri, out.content_type, &out.body)).unwrap();
        client.received(reply.content_type, &reply.body, now).unwrap();
    }
    (client, messages)
}

/// Both roles ours: a client breaks off wherever it can, and goes on. Nothing is doubled, nothing lost, and what was
/// acknowledged is not sent again.
/// Catalogue: SUS-1, RES-1, RES-5
#[test]
fn a_client_suspends_at_any_message_and_goes_on() {
    for version in Version::ALL {
        for at in 1..20 {
            let world = World::new();
            (0..20).for_each(|n| drop(world.put(&card(&format!("There{n}"), &format!("+4955{n:03}"))).to_string()));
            let mut device = Device::new("phone");
            (0..20).for_each(|n| drop(device.put(&numbered(n)).to_string()));
            (device.config.version, device.config.max_msg_size) = (version, 4_000);
            let mut config = ServerConfig::default();
            config.max_msg_size = 4_000;
            let mut world = World { server: Server::new(world.server.store().clone(), config).unwrap(), ..world };
            let (client, messages) = suspended(&world, &device, at);
            let done = client.report().books.first().map_or(0, |book| book.sent.added);
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{version:?} at {at}: {report:?}\n{}", world.outline());
            assert_eq!(device.cards(), world.cards(), "{version:?} at {at}");
            assert_eq!(world.cards().len(), 40, "{version:?} at {at}");
            if version == Version::V12 && client.report().clean {
                assert_eq!((report.books[0].sent.added, report.books[0].mode.as_str()), (0, "two-way"));
            } else if version == Version::V12 && messages > 2 {
                assert_eq!(report.books[0].sent.added + done, 20, "at {at}: what was acknowledged is not sent again");
            }
        }
    }
}
