//! What a peer may say that must neither lose nor double anything, each by the smallest conversation that shows it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{Alert, AlertCode, Change, CmdId, Command, Item, Location, Meta, Op, StatusCode, Timestamp};
use syncml::session::{BookFilter, Client, ClientError, Report, ServerConfig};
use syncml::store::{BookNo, Guid, MapRow, MapState};
use syncml::sync::filter::FilterType;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn phone<'w>(world: &'w World) -> Phone<'w> {
    Phone::new(&world.server, "phone", "alice", common::PASSWORD, NOW)
}

/// Answers every change with 200 and maps each Add to `LUID`, `LUID + 1` …; this ends the session.
fn confirm(phone: &mut Phone<'_>, heard: &Heard, luid: usize) -> Heard {
    let mut commands = Vec::new();
    let mut pairs = Vec::new();
    for told in &heard.changes {
        commands.push(phone.status(heard, told, StatusCode::OK));
        if told.op == Op::Add {
            pairs.push((told.source.as_str(), (luid + pairs.len()).to_string()));
        }
    }
    if !pairs.is_empty() {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (*guid, luid.as_str())).collect();
        commands.push(phone.map(&pairs));
    }
    phone.say_after(heard, commands, true).unwrap()
}

/// A whole session with these changes; what the server sent in it, which is mapped to 101, 102 …
fn say(
    phone: &mut Phone<'_>,
    code: AlertCode,
    last: Option<&str>,
    next: &str,
    changes: &[(Op, &str, String)],
) -> Heard {
    phone.now = phone.now.plus_seconds(10);
    let heard = phone.begin(code, last, next).unwrap();
    let changes = changes.iter().map(|(op, luid, card)| phone.change(*op, luid, card)).collect();
    let sync = phone.sync(changes);
    let heard = phone.say_after(&heard, vec![sync], true).unwrap();
    confirm(phone, &heard, 101);
    heard
}

fn ann() -> String {
    card("Ann", "+491111111")
}

/// Ann with something more.
fn noted(text: &str) -> String {
    ann().replace("END:", &format!("NOTE:{text}\r\nEND:"))
}

fn thirty() -> Vec<(Op, &'static str, String)> {
    (0..30).map(|n| (Op::Add, luid(n), numbered(n))).collect()
}

fn luid(n: usize) -> &'static str {
    const LUIDS: [&str; 30] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
        "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
    ];
    LUIDS[n]
}

fn guid_of(world: &World, text: &str) -> Guid {
    common::find(world.server.store().as_ref(), world.account, BookNo::CONTACTS, text)
}

fn edit(world: &World, text: &str, content: &str) {
    let guid = guid_of(world, text);
    let store = world.server.store().clone();
    common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), content, world.now);
}

/// Whether a live card has this text, and how many.
fn count(cards: &[String], text: &str) -> usize {
    cards.iter().filter(|card| card.contains(text)).count()
}

/// The entry of an id in the map in force.
fn entry(world: &World, luid: &str) -> Option<MapRow> {
    let mut found = None;
    let mut look = |tx: &mut dyn syncml::store::Tx| {
        let device = tx.device("phone")?.unwrap().device;
        let epoch = tx.pair(device, BookNo::CONTACTS)?.unwrap().epoch;
        found = tx.maps_by_luid(device, BookNo::CONTACTS, epoch, &[luid])?.remove(0);
        Ok(())
    };
    world.server.store().look(world.account, &mut look).unwrap();
    found
}

/// A session of our client in which somebody else's words are put into the server's mouth.
fn sync_through(
    world: &mut World,
    device: &Device,
    mut reply: impl FnMut(String) -> String,
) -> Result<(Report, Vec<String>), ClientError> {
    world.tick();
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), world.now)?;
    let mut requests = Vec::new();
    while let Some(out) = client.outgoing() {
        requests.push(String::from_utf8(out.body.clone()).unwrap());
        let Ok(answer) = world.server.answer(&world.request(&out.uri, out.content_type, &out.body)) else { break };
        let body = reply(String::from_utf8(answer.body).unwrap());
        client.received(answer.content_type, body.as_bytes(), world.now)?;
    }
    Ok((client.report(), requests))
}

/// A refresh in which the other side says nothing of the book at all tells nothing of what it has: nothing is "the rest".
/// Catalogue: SYNC-4, X5
#[test]
fn a_refresh_without_a_sync_deletes_nothing_on_the_server() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(
            &mut phone,
            AlertCode::SLOW,
            None,
            "1",
            &[(Op::Add, "1", ann()), (Op::Add, "2", card("Bob", "+492222222"))],
        );
        let heard = phone.begin(AlertCode::REFRESH_FROM_CLIENT, Some("1"), "2").unwrap();
        phone.say_after(&heard, vec![], true).unwrap();
        assert_eq!(world.cards().len(), 2);
        // One that is there and empty does.
        let heard = phone.begin(AlertCode::REFRESH_FROM_CLIENT, Some("1"), "3").unwrap();
        let sync = phone.sync(vec![]);
        phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(world.cards().len(), 0);
    }
}

/// Catalogue: SYNC-6, X5
#[test]
fn a_refresh_without_a_sync_deletes_nothing_on_the_client() {
    let mut world = World::new();
    let mut device = Device::new("phone");
    for n in 0..3 {
        device.put(&numbered(n));
    }
    assert!(world.sync(&device).unwrap().clean);
    device.config.books[0].mode = AlertCode::REFRESH_FROM_SERVER;
    let silent = |text: String| match (text.find("<Sync>"), text.rfind("</Sync>")) {
        (Some(from), Some(to)) => format!("{}{}", &text[..from], &text[to + "</Sync>".len()..]),
        _ => text,
    };
    let _ = sync_through(&mut world, &device, silent);
    assert_eq!(device.cards().len(), 3);
    assert!(world.sync(&device).unwrap().clean);
    assert_eq!(device.cards().len(), 3);
}

/// In a sync from the client only the server has nothing to say, and what it says is not done.
/// Catalogue: SYNC-3, SYNC-4
#[test]
fn a_server_that_may_only_hear_is_refused() {
    for mode in [AlertCode::ONE_WAY_FROM_CLIENT, AlertCode::REFRESH_FROM_CLIENT] {
        let mut world = World::new();
        let mut device = Device::new("phone");
        let guids: Vec<Guid> = (0..3).map(|n| device.put(&numbered(n))).collect();
        assert!(world.sync(&device).unwrap().clean);
        device.config.books[0].mode = mode;
        let delete = format!(
            "<Sync><CmdID>900</CmdID><Target><LocURI>./contacts</LocURI></Target><Source><LocURI>contacts</LocURI></Source>\
             <Delete><CmdID>901</CmdID><Item><Target><LocURI>{}</LocURI></Target></Item></Delete></Sync>",
            guids[0].0
        );
        let mut messages = 0;
        let (_, requests) = sync_through(&mut world, &device, |text| {
            messages += 1;
            if messages == 2 { text.replace("<Final/>", &format!("{delete}<Final/>")) } else { text }
        })
        .unwrap();
        assert_eq!(device.cards().len(), 3, "{mode:?}");
        let status = "<CmdRef>901</CmdRef><Cmd>Delete</Cmd>";
        let refused = requests.iter().any(|text| {
            text.split("<Status>").any(|status_of| status_of.contains(status) && status_of.contains("<Data>403</Data>"))
        });
        assert!(refused, "{mode:?}: {requests:#?}");
    }
}

fn suspend() -> Command<'static> {
    let item = Item {
        target: Some(Location::new("http://server.example/syncml")),
        source: Some(Location::new("phone")),
        ..Item::default()
    };
    Command::Alert(Alert {
        cmd_id: CmdId::from("950"),
        no_resp: false,
        cred: None,
        code: Some(AlertCode::SUSPEND),
        correlator: None,
        items: vec![item],
    })
}

/// The answer to the last chunk of an object was lost, and the device says that chunk once more when it goes on: it is
/// answered as it was, and its data are not taken for the whole (§3.13).
/// Catalogue: RES-4, RES-5
#[test]
fn a_last_chunk_said_again_is_answered_as_it_was() {
    let card = noted(&"x".repeat(100));
    let (one, two) = card.split_at(60);
    let emi = |at: usize| Meta { emi: vec![format!("datapos={at}").into()], ..Meta::default() };
    let size = |size: usize| Meta { size: Some(size as u64), ..Meta::default() };
    let chunk =
        |phone: &mut Phone<'_>, op: Op, text: &str, meta: Option<Meta<'static>>, more: bool| -> Change<'static> {
            let mut change = phone.change(op, "1", text);
            change.items[0].more_data = more;
            change.meta = meta;
            change
        };
    let cases = [
        ("nothing is said", None),
        ("the position", Some(emi(60))),
        ("the size of the rest", Some(size(two.len()))),
        ("the type again", Some(Meta { size: Some(two.len() as u64), ..Meta::of_type("text/vcard") })),
    ];
    for (op, code) in [(Op::Add, 201), (Op::Replace, 200)] {
        for (why, meta) in &cases {
            for world in World::each() {
                let mut phone = phone(&world);
                say(&mut phone, AlertCode::SLOW, None, "1", &[]);
                if op == Op::Replace {
                    say(&mut phone, AlertCode::TWO_WAY, Some("1"), "1", &[(Op::Add, "1", ann())]);
                }
                let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
                let whole = Meta { size: Some(card.len() as u64), ..Meta::of_type("text/vcard") };
                let first = chunk(&mut phone, op, one, Some(whole), true);
                let sync = phone.sync(vec![first]);
                let heard = phone.say_after(&heard, vec![sync], false).unwrap();
                let last = chunk(&mut phone, op, two, None, false);
                let sync = phone.sync(vec![last]);
                // This answer is lost.
                let lost = phone.say_after(&heard, vec![sync], false).unwrap();
                assert_eq!(lost.codes(op.name()), [code]);

                let heard = phone.begin(AlertCode::RESUME, None, "3").unwrap();
                let last = chunk(&mut phone, op, two, meta.clone(), false);
                let sync = phone.sync(vec![last]);
                let heard = phone.say_after(&heard, vec![sync], true).unwrap();
                assert_eq!(heard.codes(op.name()), [code], "{op:?}, {why}");
                assert_eq!(world.cards(), [card.replace("\r\n", "\n")], "{op:?}, {why}");
                assert_eq!(heard.changes, [], "{op:?}, {why}");
            }
        }
    }
}

/// What only looks like that is taken: another text, another item, or the same in a session that does not go on.
/// Catalogue: RES-4
#[test]
fn what_comes_after_an_object_is_taken_as_it_is() {
    let card = noted(&"x".repeat(100));
    let (one, two) = card.split_at(60);
    for (luid, text, resumes) in
        [("1", noted("short"), true), ("2", common::card("Bob", "+492222222"), true), ("1", noted("short"), false)]
    {
        for world in World::each() {
            let mut phone = phone(&world);
            say(&mut phone, AlertCode::SLOW, None, "1", &[]);
            let mut heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
            for (part, more) in [(one, true), (two, false)] {
                let mut change = phone.change(Op::Add, "1", part);
                change.items[0].more_data = more;
                change.meta = Some(Meta { size: Some(card.len() as u64), ..Meta::of_type("text/vcard") });
                let sync = phone.sync(vec![change]);
                heard = phone.say_after(&heard, vec![sync], false).unwrap();
            }
            phone.say_after(&heard, vec![suspend()], true).unwrap();
            let code = if resumes { AlertCode::RESUME } else { AlertCode::TWO_WAY };
            let heard = phone.begin(code, Some("1").filter(|_| !resumes), "3").unwrap();
            let change = phone.change(Op::Replace, luid, &text);
            let sync = phone.sync(vec![change]);
            phone.say_after(&heard, vec![sync], true).unwrap();
            assert_eq!(count(&world.cards(), &text.replace("\r\n", "\n")), 1, "{luid} {resumes}: {:?}", world.cards());
        }
    }
}

/// An item whose delete the guard holds is shown again, changed: it is that item, not another.
/// Catalogue: X5
#[test]
fn what_the_guard_holds_comes_back_as_itself() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &thirty());
        let deletes: Vec<_> = (0..25).map(|n| (Op::Delete, luid(n), String::new())).collect();
        say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &deletes);
        assert_eq!(world.cards().len(), 30, "held");
        // Meanwhile one of them is changed here.
        edit(&world, "Name0003", &numbered(3).replace("END:", "NOTE:here\r\nEND:"));
        say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]);
        let renumbered = card("Name0001", "+493333333");
        let changes = [
            (Op::Replace, "1", renumbered),
            (Op::Add, "2", numbered(2).replace("END:", "NOTE:there\r\nEND:")),
            (Op::Add, "3", numbered(3)),
            // And this id is somebody else's.
            (Op::Add, "4", card("Zoe", "+499999999")),
        ];
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("3"), "4", &changes);
        let cards = world.cards();
        assert_eq!(cards.len(), 31, "{cards:#?}");
        for (text, times) in [("Name0001", 1), ("+493333333", 1), ("NOTE:there", 1), ("NOTE:here", 1), ("Zoe", 1)] {
            assert_eq!(count(&cards, text), times, "{text}");
        }
        // What changed here since is told; what the guard holds is not.
        let told: Vec<(Op, &str)> = heard.changes.iter().map(|told| (told.op, told.target.as_str())).collect();
        assert_eq!(told, [(Op::Replace, "3")], "{:?}", heard.changes);
        for luid in ["1", "2", "3", "4"] {
            assert_eq!(entry(&world, luid).map(|entry| entry.state), Some(MapState::Live), "{luid}");
        }
    }
}

/// The same when everything is compared.
/// Catalogue: X5
#[test]
fn what_the_guard_holds_comes_back_as_itself_in_a_slow_sync() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &thirty());
        let deletes: Vec<_> = (0..25).map(|n| (Op::Delete, luid(n), String::new())).collect();
        say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &deletes);
        let mut shown: Vec<_> = (25..30).map(|n| (Op::Add, luid(n), numbered(n))).collect();
        shown.push((Op::Add, "1", card("Name0001", "+493333333")));
        say(&mut phone, AlertCode::SLOW, Some("2"), "3", &shown);
        assert_eq!(world.cards().len(), 30, "{:#?}", world.cards());
        assert_eq!(count(&world.cards(), "Name0001"), 1);
    }
}

/// Deletes whose ids are used again in the same package are weighed like all others.
/// Catalogue: X5
#[test]
fn ids_used_again_do_not_go_around_the_guard() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &thirty());
        let mut changes = Vec::new();
        for n in 0..25 {
            changes.push((Op::Delete, luid(n), String::new()));
            changes.push((Op::Add, luid(n), card(&format!("Other{n:02}"), &format!("+497777{n:04}"))));
        }
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &changes);
        let cards = world.cards();
        assert_eq!((count(&cards, "Name"), count(&cards, "Other")), (30, 25));
        assert_eq!(heard.changes, []);
        // A few are obeyed.
        let changes = [(Op::Delete, "29", String::new()), (Op::Replace, "29", card("Zoe", "+499999999"))];
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &changes);
        let cards = world.cards();
        assert_eq!((count(&cards, "Name"), count(&cards, "Zoe")), (29, 1));
        assert_eq!(heard.changes, []);
        assert_eq!(entry(&world, "29").map(|entry| entry.guid), Some(guid_of(&world, "Zoe")));
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("3"), "4", &[]);
        assert_eq!(heard.changes, []);
    }
}

/// A device that deletes and adds the same again under its id has changed it, however many times.
/// Catalogue: X5
#[test]
fn what_is_deleted_and_added_again_is_changed() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &thirty());
        let guid = guid_of(&world, "Name0000");
        let mut changes = Vec::new();
        for n in 0..25 {
            changes.push((Op::Delete, luid(n), String::new()));
            changes.push((Op::Add, luid(n), numbered(n).replace("END:", "NOTE:edited\r\nEND:")));
        }
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &changes);
        let cards = world.cards();
        assert_eq!((cards.len(), count(&cards, "NOTE:edited")), (30, 25));
        assert_eq!(heard.changes, []);
        assert_eq!(entry(&world, "0").map(|entry| (entry.guid, entry.state)), Some((guid, MapState::Live)));
    }
}

/// What a device had freed comes back as it was then; what it has become here since is told.
/// Catalogue: DEL-2
#[test]
fn what_was_freed_and_comes_back_is_brought_up_to_date() {
    for deleted in [false, true] {
        for world in World::each() {
            let mut phone = phone(&world);
            say(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "1", ann())]);
            let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
            let mut free = phone.change(Op::Delete, "1", "");
            free.soft_delete = true;
            let sync = phone.sync(vec![free]);
            let heard = phone.say_after(&heard, vec![sync], true).unwrap();
            confirm(&mut phone, &heard, 101);
            let guid = guid_of(&world, "Ann");
            if deleted {
                common::delete(world.server.store().as_ref(), world.account, BookNo::CONTACTS, guid, world.now);
            } else {
                edit(&world, "Ann", &noted("newer"));
            }
            assert_eq!(say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]).changes, []);
            let heard = say(&mut phone, AlertCode::TWO_WAY, Some("3"), "4", &[(Op::Add, "1", ann())]);
            let told: Vec<(Op, &str)> = heard.changes.iter().map(|told| (told.op, told.target.as_str())).collect();
            assert_eq!(told, [(if deleted { Op::Delete } else { Op::Replace }, "1")]);
            assert_eq!(say(&mut phone, AlertCode::TWO_WAY, Some("4"), "5", &[]).changes, []);
        }
    }
}

/// A device that asked for some fields only deletes a card of which others were changed here: it deleted what it knew.
/// Catalogue: FLT-6, CON-3
#[test]
fn a_delete_of_what_changed_out_of_sight_is_obeyed() {
    for mut world in World::each() {
        let mut device = Device::new("phone");
        world.put(&noted("old"));
        world.put(&card("Bob", "+492222222"));
        let fields = vec!["TEL".to_owned()];
        device.config.books[0].filter = Some(BookFilter { record: None, fields, filter_type: FilterType::Inclusive });
        assert!(world.sync(&device).unwrap().clean);
        edit(&world, "N:Ann;", &noted("new"));
        assert!(world.sync(&device).unwrap().clean);
        device.delete(device.find("N:Ann;"));
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!((world.cards().len(), device.cards().len()), (1, 1));
    }
}

/// A change here that the device refused beats its delete, as any other: the item is sent again, as one that it has not.
/// Catalogue: CON-3
#[test]
fn a_change_that_was_refused_and_then_deleted_there_is_sent_again() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "1", ann())]);
        edit(&world, "Ann", &noted("new"));
        let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
        let sync = phone.sync(vec![]);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.changes.len(), 1);
        let refused = phone.status(&heard, &heard.changes[0], StatusCode(415));
        phone.say_after(&heard, vec![refused], true).unwrap();
        assert_eq!(say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]).changes, []);
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("3"), "4", &[(Op::Delete, "1", String::new())]);
        assert_eq!(world.cards().len(), 1);
        let told: Vec<(Op, bool)> =
            heard.changes.iter().map(|told| (told.op, told.content.contains("NOTE:new"))).collect();
        assert_eq!(told, [(Op::Add, true)]);
    }
}

/// In a sync of everything that goes on: an id that had been another item's before, whose card it showed changed, is
/// deleted. The item is another id's now and stays.
/// Catalogue: RES-1
#[test]
fn a_delete_by_an_id_of_long_ago_leaves_the_item_alone() {
    for world in World::each() {
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "1", ann())]);
        // Deleted there and changed here: it is sent again, and has another id then.
        edit(&world, "Ann", &noted("new"));
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("1"), "2", &[(Op::Delete, "1", String::new())]);
        assert_eq!(heard.changes.len(), 1);
        let heard = phone.begin(AlertCode::SLOW, None, "3").unwrap();
        let both = [("101", noted("new")), ("1", noted("other"))];
        let both = both.iter().map(|(luid, card)| phone.change(Op::Add, luid, card)).collect();
        let sync = phone.sync(both);
        let heard = phone.say_after(&heard, vec![sync], false).unwrap();
        assert_eq!(heard.codes("Add"), [201, 201]);
        let heard = phone.begin(AlertCode::RESUME, None, "4").unwrap();
        let delete = phone.change(Op::Delete, "1", "");
        let sync = phone.sync(vec![delete]);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!((heard.codes("Delete"), heard.changes.len()), (vec![200], 0));
        confirm(&mut phone, &heard, 101);
        assert_eq!(count(&world.cards(), "NOTE:new"), 1);
        assert_eq!(world.cards().len(), 1);
        assert_eq!(entry(&world, "101").map(|entry| entry.state), Some(MapState::Live));
    }
}

/// An id used again for somebody for whom there is no room: it is not the first one's any more all the same.
#[test]
fn who_is_refused_for_want_of_room_takes_the_id_all_the_same() {
    for store in common::stores() {
        let mut config = ServerConfig::default();
        config.max_items = Some(1);
        let world = World::with(store, config);
        let mut phone = phone(&world);
        say(&mut phone, AlertCode::SLOW, None, "1", &[(Op::Add, "1", ann())]);
        let heard = phone.begin(AlertCode::TWO_WAY, Some("1"), "2").unwrap();
        let add = phone.change(Op::Add, "1", &card("Zoe", "+499999999"));
        let sync = phone.sync(vec![add]);
        let heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert_eq!(heard.codes("Add"), [420]);
        let told: Vec<(Op, bool)> = heard.changes.iter().map(|told| (told.op, told.content.contains("Ann"))).collect();
        assert_eq!(told, [(Op::Add, true)], "the device has Ann no more");
        confirm(&mut phone, &heard, 101);
        // What becomes of Ann does not befall Zoe, who is on the device only.
        edit(&world, "Ann", &noted("newer"));
        let heard = say(&mut phone, AlertCode::TWO_WAY, Some("2"), "3", &[]);
        let told: Vec<(Op, &str)> = heard.changes.iter().map(|told| (told.op, told.target.as_str())).collect();
        assert_eq!(told, [(Op::Replace, "101")]);
    }
}

fn records(record: &str, filter_type: FilterType) -> Option<BookFilter> {
    Some(BookFilter { record: Some(record.to_owned()), fields: Vec::new(), filter_type })
}

/// A filter removes a card from the device, which edits it at the same time: it is still that card, whatever of it changed.
/// Catalogue: FLT-2, CON-2
#[test]
fn an_edit_that_crosses_a_removal_is_of_the_same_card() {
    for (mut world, mode) in [AlertCode::TWO_WAY, AlertCode::SLOW]
        .into_iter()
        .flat_map(|mode| World::each().into_iter().map(move |w| (w, mode)))
    {
        let mut device = Device::new("phone");
        world.put(&noted("one"));
        assert!(world.sync(&device).unwrap().clean);
        device.config.books[0].filter = records("N&CON;Nobody", FilterType::Exclusive);
        world.tick();
        let now = world.now;
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
        for n in 0.. {
            let Some(out) = client.outgoing() else { break };
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, now).unwrap();
            if n == 0 {
                device.edit(device.find("Ann"), &card("Wed", "+491111111").replace("END:", "NOTE:one\r\nEND:"));
            }
        }
        device.config.books[0].filter = None;
        for mode in [mode, AlertCode::TWO_WAY] {
            device.config.books[0].mode = mode;
            assert!(world.sync(&device).unwrap().clean);
        }
        assert_eq!(count(&world.cards(), "N:Wed;"), 1);
        assert_eq!((world.cards().len(), device.cards()), (1, world.cards()));
    }
}

/// Nobody knows under which filter a card went to a device whose Map was lost; but when all of it went, its silence counts.
/// Catalogue: FLT-1, MAP-3
#[test]
fn what_went_whole_under_whatever_filter_can_be_taken_away() {
    for mut world in World::each() {
        let mut device = Device::new("phone");
        assert!(world.sync(&device).unwrap().clean);
        world.put(&noted("one"));
        world.tick();
        let now = world.now;
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now).unwrap();
        while let Some(out) = client.outgoing() {
            if String::from_utf8_lossy(&out.body).contains("<Map>") {
                break; // It is lost.
            }
            let reply = world.post(&out).unwrap();
            client.received(reply.content_type, &reply.body, now).unwrap();
        }
        for filter in [records("N&CON;Nobody", FilterType::Inclusive), None] {
            device.config.books[0].filter = filter;
            assert!(world.sync(&device).unwrap().clean);
        }
        device.edit(device.find("Ann"), &ann());
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(count(&world.cards(), "NOTE"), 0);
        assert_eq!(world.cards(), device.cards());
    }
}
