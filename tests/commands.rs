//! Commands and statuses beyond add, replace and delete: freeing memory, archives, copies, sequences, full devices and full
//! books (§2.2, §3.12, §3.18).
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Device, PASSWORD, World, card, numbered};
use std::sync::Arc;
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{
    AlertCode, CmdId, Command, Container, ContainerKind, Data, DataStore, DevInf, Get, Item, Location, Mem, Meta, Op,
    Put, StatusCode, StoreMemory, Timestamp,
};
use syncml::session::{Client, Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::{BookNo, MapState};

fn phone(server: &Server) -> Phone<'_> {
    Phone::new(server, "phone-1", "alice", PASSWORD, Timestamp(1_700_000_000_000))
}

/// Begins a session and says these changes, in one package.
fn say(
    phone: &mut Phone<'_>,
    code: AlertCode,
    last: Option<&str>,
    next: &str,
    commands: Vec<Command<'static>>,
) -> Heard {
    phone.now = phone.now.plus_seconds(10);
    let heard = phone.begin(code, last, next).unwrap();
    phone.say_after(&heard, commands, true).unwrap()
}

/// Confirms what was heard, and ends the session.
fn end(phone: &mut Phone<'_>, heard: &Heard, luids: &[&str]) -> Heard {
    let mut answers = Vec::new();
    let mut pairs = Vec::new();
    let mut luids = luids.iter();
    for told in &heard.changes {
        answers.push(phone.status(heard, told, StatusCode::OK));
        if told.op == Op::Add {
            pairs.push((told.source.as_str(), *luids.next().expect("a LUID for each Add")));
        }
    }
    if !pairs.is_empty() {
        answers.push(phone.map(&pairs));
    }
    phone.say_after(heard, answers, true).unwrap()
}

/// A phone with Ann as 1 and Bob as 2.
fn two_cards(phone: &mut Phone<'_>) {
    let adds = vec![
        phone.change(Op::Add, "1", &card("Ann", "+491111111")),
        phone.change(Op::Add, "2", &card("Bob", "+492222222")),
    ];
    let sync = phone.sync(adds);
    let heard = say(phone, AlertCode::SLOW, None, "1", vec![sync]);
    assert_eq!(heard.codes("Add"), [201, 201]);
    end(phone, &heard, &[]);
}

#[test]
fn del2_what_a_device_has_freed_stays_here_and_is_not_sent_again() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let mut free = phone.change(Op::Delete, "1", "");
        free.soft_delete = true;
        let mut unknown = phone.change(Op::Delete, "7", "");
        unknown.soft_delete = true;
        let sync = phone.sync(vec![free, unknown]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        assert_eq!((heard.codes("Delete"), heard.changes.len()), (vec![200, 211], 0));
        end(&mut phone, &heard, &[]);
        assert_eq!(world.cards().len(), 2);
        // It changes here: that is not for the device.
        let guid = common::find(world.server.store().as_ref(), world.account, BookNo::CONTACTS, "N:Ann;");
        let edited = card("Ann", "+491111112");
        common::put(world.server.store().as_ref(), world.account, BookNo::CONTACTS, Some(guid), &edited, world.now);
        let sync = phone.sync(vec![]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", vec![sync]);
        assert_eq!(heard.changes, []);
        end(&mut phone, &heard, &[]);
        // The device uses the number for somebody else: both are kept, and Ann is still not sent.
        let cid = phone.change(Op::Add, "1", &card("Cid", "+493333333"));
        let sync = phone.sync(vec![cid]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("3"), "4", vec![sync]);
        assert_eq!((heard.codes("Add"), heard.changes.len()), (vec![201], 0));
        end(&mut phone, &heard, &[]);
        assert_eq!(world.cards().len(), 3);
        // Nor does a refresh from the device delete what only rests here.
        let adds = vec![
            phone.change(Op::Add, "1", &card("Cid", "+493333333")),
            phone.change(Op::Add, "2", &card("Bob", "+492222222")),
        ];
        let sync = phone.sync(adds);
        say(&mut phone, AlertCode::REFRESH_FROM_CLIENT, Some("4"), "5", vec![sync]);
        assert_eq!(world.cards().len(), 3);
    }
}

#[test]
fn del2_freeing_what_was_deleted_here_is_a_conflict() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let guid = common::find(world.server.store().as_ref(), world.account, BookNo::CONTACTS, "N:Ann;");
        common::delete(world.server.store().as_ref(), world.account, BookNo::CONTACTS, guid, world.now);
        let mut free = phone.change(Op::Delete, "1", "");
        free.soft_delete = true;
        let sync = phone.sync(vec![free]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        assert_eq!((heard.codes("Delete"), heard.changes), (vec![423], vec![]));
    }
}

#[test]
fn del2_an_item_that_comes_back_is_in_sync_again() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let mut free = phone.change(Op::Delete, "1", "");
        free.soft_delete = true;
        let sync = phone.sync(vec![free]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        end(&mut phone, &heard, &[]);
        let again = phone.change(Op::Add, "1", &card("Ann", "+491111111"));
        let sync = phone.sync(vec![again]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", vec![sync]);
        end(&mut phone, &heard, &[]);
        assert_eq!(world.cards().len(), 2);
        let mut states = Vec::new();
        let look = |tx: &mut dyn syncml::store::Tx| {
            let device = tx.device("phone-1")?.unwrap().device;
            let epoch = tx.pair(device, BookNo::CONTACTS)?.unwrap().epoch;
            states = tx.maps_by_luid(device, BookNo::CONTACTS, epoch, &["1", "2"])?;
            Ok(())
        };
        let mut look = look;
        world.server.store().look(world.account, &mut look).unwrap();
        let states: Vec<MapState> = states.into_iter().flatten().map(|entry| entry.state).collect();
        assert_eq!(states, [MapState::Live, MapState::Live]);
    }
}

#[test]
fn del1_an_item_is_deleted_once() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let deletes = vec![
            phone.change(Op::Delete, "1", ""),
            phone.change(Op::Delete, "1", ""),
            phone.change(Op::Delete, "9", ""),
        ];
        let sync = phone.sync(deletes);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        assert_eq!(heard.codes("Delete"), [200, 211, 211]);
        end(&mut phone, &heard, &[]);
        assert_eq!(world.cards().len(), 1);
    }
}

#[test]
fn del3_an_archive_is_kept_only_where_the_host_says_so() {
    for archives in [vec![], vec![BookNo::CONTACTS]] {
        let mut config = ServerConfig::default();
        config.archives.clone_from(&archives);
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let mut delete = phone.change(Op::Delete, "1", "");
        delete.archive = true;
        let sync = phone.sync(vec![delete]);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        assert_eq!(heard.codes("Delete"), [if archives.is_empty() { 210 } else { 200 }]);
        end(&mut phone, &heard, &[]);
        assert_eq!(world.cards().len(), 1);
    }
}

#[test]
fn a_copy_is_an_item_of_its_own() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let mut copies: Vec<_> = [("1", "5"), ("8", "6"), ("1", "2"), ("1", "")]
            .into_iter()
            .map(|(from, to)| {
                let mut copy = phone.change(Op::Copy, from, "");
                copy.items[0].data = None;
                copy.items[0].target = (!to.is_empty()).then(|| Location::new(to));
                copy
            })
            .collect();
        copies.push(phone.change(Op::Replace, "5", &card("Ann Copy", "+491111111")));
        let sync = phone.sync(copies);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sync]);
        assert_eq!((heard.codes("Copy"), heard.codes("Replace")), (vec![201, 404, 418, 412], vec![200]));
        assert_eq!(heard.changes, []);
        end(&mut phone, &heard, &[]);
        let cards = world.cards();
        assert_eq!(cards.len(), 3);
        assert!(cards.iter().any(|card| card.contains("N:Ann;")), "{cards:?}");
        assert!(cards.iter().any(|card| card.contains("N:Ann Copy;")), "{cards:?}");
    }
}

#[test]
fn a_sequence_in_the_body_is_done_in_its_order() {
    for world in World::each() {
        let mut phone = phone(&world.server);
        two_cards(&mut phone);
        let container = |kind, cmd_id: u32, commands| {
            Command::Container(Container { kind, cmd_id: CmdId::from(cmd_id), no_resp: false, meta: None, commands })
        };
        let changes = vec![phone.change(Op::Delete, "1", ""), phone.change(Op::Add, "1", &card("Eve", "+495555555"))];
        let inner = phone.sync(changes);
        let atomic = vec![Command::Change(phone.change(Op::Delete, "2", ""))];
        let body = vec![inner, container(ContainerKind::Atomic, 901, atomic)];
        let sequence = container(ContainerKind::Sequence, 900, body);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", vec![sequence]);
        let codes: Vec<_> = heard.statuses.iter().map(|(name, _, code)| (name.as_str(), code.0)).collect();
        let expected =
            [("Sequence", 200), ("Sync", 200), ("Delete", 200), ("Add", 201), ("Atomic", 406), ("Delete", 406)];
        assert_eq!(codes, expected);
        end(&mut phone, &heard, &[]);
        let cards = world.cards();
        assert_eq!(cards.len(), 2, "{cards:?}");
        assert!(cards.iter().any(|card| card.contains("N:Eve;")), "{cards:?}");
    }
}

/// What the Meta of a Sequence or a Sync says is meant of each item in it that does not say otherwise (§2.1).
#[test]
fn a_meta_covers_what_is_inside() {
    let packed = |number: &str| STANDARD.encode(card("Ann", number));
    let b64 = || Some(Meta { format: Some("b64".into()), ..Meta::default() });
    for around_the_sync in [false, true] {
        let world = World::new();
        let mut phone = phone(&world.server);
        let mut plain = phone.change(Op::Add, "3", &card("Ann", "+493"));
        plain.meta = Some(Meta { format: Some("chr".into()), ..Meta::of_type("text/vcard") });
        let mut bare = phone.change(Op::Add, "1", &packed("+491"));
        bare.meta = None;
        let typed = phone.change(Op::Add, "2", &packed("+492"));
        let adds: Vec<Command<'static>> = [bare, typed, plain].into_iter().map(Command::Change).collect();
        let Command::Sync(mut sync) = phone.sync(Vec::new()) else { unreachable!() };
        let sequence = |commands| {
            let (cmd_id, kind) = (CmdId::from(900), ContainerKind::Sequence);
            Command::Container(Container { kind, cmd_id, no_resp: false, meta: b64(), commands })
        };
        let body = if around_the_sync {
            sync.commands = adds;
            sequence(vec![Command::Sync(sync)])
        } else {
            sync.commands = vec![sequence(adds)];
            sync.meta = Some(Meta { format: Some("bin".into()), ..Meta::default() });
            Command::Sync(sync)
        };
        let heard = say(&mut phone, AlertCode::SLOW, None, "1", vec![body]);
        assert_eq!(heard.codes("Add"), [201; 3], "{around_the_sync}");
        let cards = world.cards().concat();
        assert!(["+491", "+492", "+493"].iter().all(|number| cards.contains(number)), "{around_the_sync}: {cards}");
    }
}

#[test]
fn mem_a_device_is_sent_no_more_than_it_has_room_for() {
    for world in World::each() {
        for n in 0..5 {
            world.put(&numbered(n));
        }
        let mut phone = phone(&world.server);
        let mut last = None;
        let mut sent = Vec::new();
        for (session, room) in [(2, 100_000), (0, 100_000), (9, 200), (9, 100_000)].into_iter().enumerate() {
            let Command::Sync(mut sync) = phone.sync(vec![]) else { unreachable!() };
            let mem = Mem { shared: false, free_mem: room.1, free_id: room.0 };
            sync.meta = Some(Meta { mem: Some(mem), ..Meta::default() });
            let next = (session + 1).to_string();
            let code = if session == 0 { AlertCode::SLOW } else { AlertCode::TWO_WAY };
            let heard = say(&mut phone, code, last.as_deref(), &next, vec![Command::Sync(sync)]);
            sent.push(heard.changes.len());
            let luids: Vec<String> = (0..heard.changes.len()).map(|n| format!("{session}{n}")).collect();
            end(&mut phone, &heard, &luids.iter().map(String::as_str).collect::<Vec<_>>());
            last = Some(next);
        }
        assert_eq!(sent, [2, 0, 1, 2], "two fit, none, one of about 110 bytes, and the rest");
    }
}

/// A sync of everything cannot tell at once what is new, and still a book does not grow without end.
#[test]
fn mem_a_slow_sync_fills_no_book_beyond_its_limit() {
    let full_at = |max_items, max_bytes, device: &str, here: usize, shown: std::ops::Range<usize>| {
        let mut config = ServerConfig::default();
        (config.max_items, config.max_bytes) = (max_items, max_bytes);
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        for n in 0..here {
            world.put(&numbered(n));
        }
        let mut phone = phone(&world.server);
        device.clone_into(&mut phone.device_id);
        let adds = shown.map(|n| phone.change(Op::Add, &n.to_string(), &numbered(n))).collect();
        let sync = phone.sync(adds);
        let heard = say(&mut phone, AlertCode::SLOW, None, "1", vec![sync]);
        let codes = heard.codes("Add");
        let taken = codes.iter().take_while(|code| **code == 201).count();
        assert!(codes[taken..].iter().all(|code| *code == 420), "{codes:?}");
        (taken, world.cards().len())
    };
    let size = numbered(0).len() as u64;
    assert_eq!(full_at(Some(5), None, "a", 2, 0..7), (5, 5), "two are known and count");
    assert_eq!(full_at(None, Some(3 * size), "b", 2, 2..9), (3, 5), "bytes of what is not known count");
    assert_eq!(full_at(Some(5), None, "c", 8, 20..29), (2, 10), "no book is twice as large as it may be");
}

/// A client in a refresh from the server takes no more than it has room for, either.
#[test]
fn mem_a_client_is_refreshed_as_far_as_it_has_room() {
    let mut world = World::new();
    let mut device = Device::new("small");
    device.put(&numbered(100));
    (0..5).for_each(|n| drop(world.put(&numbered(n)).to_string()));
    device.config.books[0].mode = AlertCode::REFRESH_FROM_SERVER;
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    client.set_free_memory(BookNo::CONTACTS, Mem { shared: false, free_mem: 100_000, free_id: 2 });
    while let Some(mut out) = client.outgoing() {
        // The server does not hear of it.
        let said = String::from_utf8(out.body).unwrap();
        let heard = match (said.find("<Mem "), said.find("</Mem>")) {
            (Some(from), Some(to)) => format!("{}{}", &said[..from], &said[to + "</Mem>".len()..]),
            _ => said,
        };
        out.body = heard.into_bytes();
        let reply = world.post(&out).unwrap();
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    assert!(client.report().clean, "{:?}", client.report());
    assert_eq!(device.cards().len(), 2);
    assert_eq!(world.cards().len(), 5);
    world.tick();
    assert!(world.sync(&device).unwrap().clean);
    assert_eq!(device.cards(), world.cards());
}

/// A device says how many items it holds at all (DSMem), and the server says it of a book that has a limit.
#[test]
fn mem_what_a_datastore_holds_at_all_is_told_and_heeded() {
    for most in [Some(5), None] {
        let mut config = ServerConfig::default();
        config.max_items = most;
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        (0..4).for_each(|n| drop(world.put(&numbered(n)).to_string()));
        let mut phone = phone(&world.server);
        let memory = StoreMemory { max_id: Some(3), ..StoreMemory::default() };
        let store = DataStore { source_ref: "./card".into(), memory: Some(memory), ..DataStore::default() };
        let own = DevInf { dev_id: "phone-1".into(), stores: vec![store], ..DevInf::default() };
        let item = Item {
            source: Some(Location::new("./devinf12")),
            data: Some(Data::DevInf(Box::new(own))),
            ..Item::default()
        };
        let (lang, cred, meta) = (None, None, Some(Meta::of_type("application/vnd.syncml-devinf+xml")));
        let put = Put { cmd_id: CmdId::from(90), no_resp: false, lang, cred, meta: meta.clone(), items: vec![item] };
        let item = Item { target: Some(Location::new("./devinf12")), ..Item::default() };
        let (lang, cred) = (None, None);
        let get = Get { cmd_id: CmdId::from(91), no_resp: false, lang, cred, meta, items: vec![item] };
        let add = phone.change(Op::Add, "1", &numbered(100));
        let sync = phone.sync(vec![add]);
        let heard = say(&mut phone, AlertCode::SLOW, None, "1", vec![Command::Put(put), Command::Get(get), sync]);
        assert_eq!(heard.changes.len(), 2, "it has one already");
        let told = String::from_utf8_lossy(&heard.bytes).contains("<DSMem><MaxID>5</MaxID></DSMem>");
        assert_eq!(told, most.is_some());
    }
}

#[test]
fn mem_a_full_client_says_so_and_gets_the_rest_later() {
    for mut world in World::each() {
        for n in 0..6 {
            world.put(&numbered(n));
        }
        let mut device = Device::new("small");
        // Many small messages, so that the server hears of it before it has sent all.
        device.config.max_msg_size = 3_000;
        let mut told = Vec::new();
        for free_id in [2, 0, 10] {
            let mut client =
                Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
            client.set_free_memory(BookNo::CONTACTS, Mem { shared: false, free_mem: 1_000_000, free_id });
            let mut withheld = None;
            while let Some(out) = client.outgoing() {
                let reply = world.post(&out).unwrap();
                withheld = reply.report.map(|report| report.books[0].withheld).or(withheld);
                client.received(reply.content_type, &reply.body, world.now).unwrap();
            }
            assert!(client.report().clean, "{:?}", client.report());
            told.push((device.cards().len(), withheld.unwrap()));
            world.tick();
        }
        assert_eq!(told, [(2, 4), (2, 4), (6, 0)]);
    }
}

#[test]
fn mem_a_full_book_takes_no_more_and_nothing_is_lost() {
    for items in [Some(3), None] {
        let config = || {
            let mut config = ServerConfig::default();
            (config.max_items, config.max_bytes) = (items, Some(400).filter(|_| items.is_none()));
            config
        };
        let mut world = World::with(Arc::new(MemoryStore::new([1; 32])), config());
        let device = Device::new("full");
        device.put(&numbered(0));
        world.sync(&device).unwrap();
        for n in 1..6 {
            device.put(&numbered(n));
        }
        let report = world.sync(&device).unwrap();
        assert!(report.clean, "{report:?}");
        assert_eq!((world.cards().len(), device.cards().len()), (3, 6));
        // Room again.
        device.delete(device.find("Name0000"));
        world.sync(&device).unwrap();
        assert_eq!(world.sync(&device).unwrap().books[0].held, 0);
        assert_eq!((world.cards().len(), device.cards().len()), (3, 5));
        let mut server = Server::new(world.server.store().clone(), ServerConfig::default()).unwrap();
        std::mem::swap(&mut world.server, &mut server);
        world.sync(&device).unwrap();
        assert_eq!(world.cards(), device.cards());
    }
}

#[test]
fn endless_sessions_are_ended() {
    let guards: [fn(&mut ServerConfig); 2] =
        [|config| config.max_messages = 6, |config| config.session_limit_seconds = 15];
    for guard in guards {
        let mut config = ServerConfig::default();
        guard(&mut config);
        let world = World::with(Arc::new(MemoryStore::new([1; 32])), config);
        let mut phone = phone(&world.server);
        let mut heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
        let mut messages = 1;
        // It never comes to an end of its changes.
        let over = loop {
            phone.now = phone.now.plus_seconds(6);
            messages += 1;
            let luid = messages.to_string();
            let add = phone.change(Op::Add, &luid, &numbered(messages));
            let sync = phone.sync(vec![add]);
            match phone.say_after(&heard, vec![sync], false) {
                Ok(next) => heard = next,
                Err(refusal) => break refusal,
            }
            assert!(messages < 9);
        };
        assert_eq!(over.http_status(), 408);
        assert!((4..6).contains(&messages), "{messages}");
    }
}

#[test]
fn package_1_is_said_again_a_few_times_only() {
    let world = World::new();
    let mut phone = phone(&world.server);
    let first = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    let Command::Alert(alert) = alert_of(&phone) else { unreachable!() };
    let mut codes = Vec::new();
    while let Ok(heard) = phone.say_after(&first, vec![Command::Alert(alert.clone())], true) {
        codes.extend(heard.codes("Alert"));
        assert!(codes.len() < 99);
    }
    assert_eq!(codes[..8], [200; 8]);
    assert!(codes.len() > 8 && codes[8..].iter().all(|code| *code == 403), "{codes:?}");
}

fn alert_of(phone: &Phone<'_>) -> Command<'static> {
    let (_, bytes) = phone.said().unwrap();
    let message = syncml::codec::decode(bytes, syncml::codec::Encoding::Xml, &Default::default()).unwrap();
    let alert = message.body.into_iter().find_map(|command| match command {
        Command::Alert(alert) => Some(alert),
        _ => None,
    });
    let item = alert.unwrap().items.remove(0);
    let place = |place: Option<Location<'_>>| place.map(|place| Location::new(place.uri.into_owned()));
    let anchor = syncml::message::Anchor { last: None, next: "1".into() };
    Command::Alert(syncml::message::Alert {
        cmd_id: CmdId::from(77),
        no_resp: false,
        cred: None,
        code: Some(AlertCode::SLOW),
        correlator: None,
        items: vec![syncml::message::Item {
            target: place(item.target),
            source: place(item.source),
            meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
            ..Default::default()
        }],
    })
}

/// A slow sync that broke off behind its changes leaves them staged. The next session settles them a page at a time, and
/// its own changes wait for that.
#[test]
fn what_a_broken_slow_sync_left_is_settled_in_pages() {
    const MANY: usize = 24_000;
    let store = Arc::new(MemoryStore::new([1; 32]));
    let world = World::with(store, ServerConfig::default());
    world.put(&card("Other", "+490000000"));
    let mut phone = phone(&world.server);
    let mut heard = phone.begin(AlertCode::SLOW, None, "1").unwrap();
    for page in 0..MANY / 2_000 {
        let adds = (0..2_000).map(|n| page * 2_000 + n).map(|n| (n.to_string(), numbered(n)));
        let adds: Vec<_> = adds.map(|(luid, card)| phone.change(Op::Add, &luid, &card)).collect();
        let sync = phone.sync(adds);
        heard = phone.say_after(&heard, vec![sync], false).unwrap();
        assert_eq!(heard.codes("Add").len() + heard.codes("Sync").len(), 2_001.min(heard.statuses.len()));
    }
    assert_eq!(world.cards().len(), 1);
    // The session is lost; the next one begins.
    phone.now = phone.now.plus_seconds(10);
    let mut heard = phone.begin(AlertCode::SLOW, None, "2").unwrap();
    let (mut messages, mut grown) = (1, vec![world.cards().len()]);
    while !heard.last {
        heard = phone.say_after(&heard, vec![], true).unwrap();
        grown.push(world.cards().len());
        messages += 1;
        assert!(messages < 9);
    }
    assert!(messages > 1 && grown[0] < MANY, "{grown:?}");
    assert_eq!(*grown.last().unwrap(), MANY + 1);
}
