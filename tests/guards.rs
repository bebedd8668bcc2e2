//! What looks like an accident: storms of deletes, emptied sides, slow syncs that nobody asked for (mission X5, field notes
//! 9, 10, 30, 31).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, PASSWORD, World, card, numbered, stores};

use syncml::kit::phone::Phone;
use syncml::message::{AlertCode, Op};
use syncml::session::{Client, ClientError, Decided, HeldDecision, Profiles, Report, ServerConfig, decide_held, held};
use syncml::store::{AccountNo, BookNo, HoldReason, Revision, Store, Verdict};
use syncml::sync::{Reaction, Treatment};

const BOOK: BookNo = BookNo::CONTACTS;

/// Worlds over every store whose server treats storms and slow syncs so; with them a device, and a second one, each with 30
/// cards that all have.
fn worlds(deletes: Reaction, slow_sync: Reaction) -> Vec<(World, Device, Device)> {
    let make = |store| {
        let mut treatment = Treatment::default();
        (treatment.deletes, treatment.slow_sync) = (Some(deletes), Some(slow_sync));
        let mut config = ServerConfig::default();
        config.profiles = Profiles::shipped().treat(treatment);
        let mut world = World::with(store, config);
        let (one, two) = (Device::new("one"), Device::new("two"));
        for n in 0..30 {
            one.put(&numbered(n));
        }
        quiet(&mut world, &[&one, &two, &one]);
        assert_eq!((world.cards().len(), two.cards().len()), (30, 30));
        (world, one, two)
    };
    stores().into_iter().map(make).collect()
}

fn quiet(world: &mut World, devices: &[&Device]) {
    for device in devices {
        let report = world.sync(device).unwrap();
        assert!(report.clean, "{report:?}\n{}", world.outline());
    }
}

fn sync(world: &mut World, device: &Device, mode: AlertCode) -> (Report, Report) {
    world.tick();
    let mut config = device.config.clone();
    config.books[0].mode = mode;
    let mut client = Client::begin(device.store.clone(), device.account, config, world.now).unwrap();
    let mut served = Report::default();
    while let Some(out) = client.outgoing() {
        let reply = world.post(&out).unwrap();
        served = reply.report.unwrap_or(served);
        client.received(reply.content_type, &reply.body, world.now).unwrap();
    }
    (client.report(), served)
}

fn delete_some(device: &Device, count: usize) {
    for item in common::items(device.store.as_ref(), device.account, BOOK).into_iter().take(count) {
        device.delete(item.guid);
    }
}

fn head(world: &World) -> Revision {
    let mut head = Revision(0);
    let look = &mut |tx: &mut dyn syncml::store::Tx| {
        head = tx.book(BOOK)?.unwrap().head;
        Ok(())
    };
    world.server.store().look(world.account, look).unwrap();
    head
}

fn decide(store: &dyn Store, account: AccountNo, decision: HeldDecision, world: &World) -> Decided {
    decide_held(store, account, BOOK, None, decision, world.now).unwrap()
}

fn server_decides(world: &World, decision: HeldDecision) -> Decided {
    decide(world.server.store().as_ref(), world.account, decision, world)
}

fn server_holds(world: &World) -> Vec<syncml::session::Held> {
    held(world.server.store().as_ref(), world.account, Some(BOOK)).unwrap()
}

/// Catalogue: X5
#[test]
fn row30_a_storm_is_held_and_told() {
    for (mut world, one, two) in worlds(Reaction::Hold, Reaction::Proceed) {
        let snapshot = head(&world);
        delete_some(&one, 25);
        let (_, served) = sync(&mut world, &one, AlertCode::TWO_WAY);
        let book = &served.books[0];
        assert_eq!((book.held, book.received.deleted), (25, 0));
        let told = book.hold.clone().unwrap();
        assert_eq!((told.reason, told.snapshot, told.items, told.live), (HoldReason::Deletes, snapshot, 25, 30));
        let holds = server_holds(&world);
        assert_eq!((holds.len(), holds[0].items.len(), holds[0].hold.clone()), (1, 25, told));
        assert_eq!(holds[0].device, "one");
        // Nothing happens until somebody decides,
        for mode in [AlertCode::TWO_WAY, AlertCode::ONE_WAY_FROM_CLIENT] {
            let (_, served) = sync(&mut world, &one, mode);
            assert_eq!(served.books[0].held, 0, "{mode:?}");
            quiet(&mut world, &[&two]);
            assert_eq!((world.cards().len(), one.cards().len(), two.cards().len()), (30, 5, 30), "{mode:?}");
            assert_eq!(server_holds(&world)[0].items.len(), 25, "{mode:?}");
        }
        // or everything is compared: then what is here goes back.
        quiet(&mut world, &[&one]);
        sync(&mut world, &one, AlertCode::SLOW);
        assert_eq!((world.cards().len(), one.cards().len(), server_holds(&world).len()), (30, 30, 0));
    }
}

#[test]
fn row30_what_was_meant_is_released() {
    for (mut world, one, two) in worlds(Reaction::Hold, Reaction::Proceed) {
        delete_some(&one, 25);
        quiet(&mut world, &[&one]);
        // What somebody changed since is wanted.
        let changed = server_holds(&world)[0].items[3];
        common::put(world.server.store().as_ref(), world.account, BOOK, Some(changed), &card("Wanted", "1"), world.now);
        let decided = server_decides(&world, HeldDecision::Release);
        assert_eq!((decided.holds, decided.deleted, decided.kept), (1, 24, 1));
        assert!(server_holds(&world).is_empty());
        assert_eq!(server_decides(&world, HeldDecision::Release), Decided::default(), "once");
        quiet(&mut world, &[&two, &one, &two]);
        assert_eq!(world.cards().len(), 6);
        assert_eq!((world.cards(), world.cards()), (one.cards(), two.cards()));
    }
}

#[test]
fn row30_what_was_an_accident_goes_back() {
    for (mut world, one, two) in worlds(Reaction::Hold, Reaction::Proceed) {
        let before = world.cards();
        delete_some(&one, 25);
        quiet(&mut world, &[&one]);
        let decided = server_decides(&world, HeldDecision::Discard);
        assert_eq!((decided.holds, decided.deleted, decided.kept), (1, 0, 25));
        quiet(&mut world, &[&one, &two, &one]);
        assert_eq!(world.cards(), before);
        assert_eq!((one.cards(), two.cards()), (before.clone(), before));
        assert!(server_holds(&world).is_empty());
    }
}

#[test]
fn a_storm_is_obeyed_or_refused_by_policy() {
    for (mut world, one, two) in worlds(Reaction::Proceed, Reaction::Proceed) {
        delete_some(&one, 25);
        quiet(&mut world, &[&one, &two]);
        assert_eq!((world.cards().len(), two.cards().len()), (5, 5));
    }
    for (mut world, one, two) in worlds(Reaction::Refuse, Reaction::Proceed) {
        delete_some(&one, 25);
        let (client, served) = sync(&mut world, &one, AlertCode::TWO_WAY);
        assert_eq!((client.books[0].received.added, served.books[0].received.refused), (25, 25));
        quiet(&mut world, &[&one, &two]);
        assert_eq!((world.cards().len(), one.cards().len(), two.cards().len()), (30, 30, 30));
        assert!(server_holds(&world).is_empty(), "nobody has to decide anything");
    }
}

/// A few deletes are nobody's business, in a small book all of them.
#[test]
fn what_is_little_is_obeyed() {
    for (mut world, one, _) in worlds(Reaction::Hold, Reaction::Proceed) {
        delete_some(&one, 15);
        quiet(&mut world, &[&one]);
        assert_eq!((world.cards().len(), server_holds(&world).len()), (15, 0));
        delete_some(&one, 15);
        quiet(&mut world, &[&one]);
        assert_eq!((world.cards().len(), server_holds(&world).len()), (0, 0));
    }
}

/// An emptied phone that wants the server to become what it is.
#[test]
fn row30_and_row31_an_emptied_side_is_held() {
    for decision in [HeldDecision::Release, HeldDecision::Discard] {
        for (mut world, one, two) in worlds(Reaction::Hold, Reaction::Proceed) {
            delete_some(&one, 30);
            let (_, served) = sync(&mut world, &one, AlertCode::REFRESH_FROM_CLIENT);
            let hold = served.books[0].hold.clone().unwrap();
            assert_eq!((served.books[0].held, hold.reason), (30, HoldReason::Vanished));
            quiet(&mut world, &[&one, &two]);
            assert_eq!((world.cards().len(), one.cards().len(), two.cards().len()), (30, 0, 30));
            let decided = server_decides(&world, decision);
            let left = if decision == HeldDecision::Release { 0 } else { 30 };
            assert_eq!((decided.deleted, decided.kept), (30 - left, left));
            quiet(&mut world, &[&one, &two]);
            let left = usize::try_from(left).unwrap();
            assert_eq!((world.cards().len(), one.cards().len(), two.cards().len()), (left, left, left));
        }
    }
}

/// The client has a guard of its own: a server that was emptied does not empty it by a refresh.
#[test]
fn row31_an_emptied_server_empties_no_client() {
    for decision in [HeldDecision::Release, HeldDecision::Discard] {
        for (mut world, one, _) in worlds(Reaction::Proceed, Reaction::Proceed) {
            for item in common::items(world.server.store().as_ref(), world.account, BOOK) {
                common::delete(world.server.store().as_ref(), world.account, BOOK, item.guid, world.now);
            }
            let (client, _) = sync(&mut world, &one, AlertCode::REFRESH_FROM_SERVER);
            assert_eq!((client.books[0].held, one.cards().len()), (30, 30));
            assert!(client.problems[0].contains("held back"), "{client:?}");
            let holds = held(one.store.as_ref(), one.account, None).unwrap();
            assert_eq!((holds.len(), holds[0].items.len(), holds[0].device.as_str()), (1, 30, common::SERVER_URI));
            quiet(&mut world, &[&one]);
            assert_eq!((world.cards().len(), one.cards().len()), (0, 30), "nothing is decided");
            decide(one.store.as_ref(), one.account, decision, &world);
            quiet(&mut world, &[&one, &one]);
            let left = if decision == HeldDecision::Release { 0 } else { 30 };
            assert_eq!((world.cards().len(), one.cards().len()), (left, left));
        }
    }
}

/// Nor, if it is told so, by a storm of deletes: it obeys as many as its guard lets pass, and holds the rest.
#[test]
fn row30_a_storm_from_the_server_is_held_by_the_client() {
    for decision in [HeldDecision::Release, HeldDecision::Discard] {
        for (mut world, mut one, _) in worlds(Reaction::Proceed, Reaction::Proceed) {
            let mut treatment = Treatment::default();
            treatment.deletes = Some(Reaction::Hold);
            one.config.profiles = Profiles::shipped().treat(treatment);
            for item in common::items(world.server.store().as_ref(), world.account, BOOK) {
                common::delete(world.server.store().as_ref(), world.account, BOOK, item.guid, world.now);
            }
            let (client, _) = sync(&mut world, &one, AlertCode::TWO_WAY);
            assert_eq!((client.books[0].received.deleted, client.books[0].held), (20, 10));
            assert_eq!(client.books[0].hold.as_ref().map(|hold| (hold.items, hold.live)), Some((10, 30)));
            let holds = held(one.store.as_ref(), one.account, None).unwrap();
            assert_eq!((holds.len(), holds[0].items.len(), one.cards().len()), (1, 10, 10));
            quiet(&mut world, &[&one]);
            assert_eq!((world.cards().len(), one.cards().len()), (0, 10), "nothing is decided");
            decide(one.store.as_ref(), one.account, decision, &world);
            quiet(&mut world, &[&one, &one]);
            let left = if decision == HeldDecision::Release { 0 } else { 10 };
            assert_eq!((world.cards().len(), one.cards().len()), (left, left));
        }
    }
}

/// Phones that were reset show no anchor, and delete what they have not (iSync's guide).
#[test]
fn row10_a_reset_phone_is_refilled() {
    for last in [None, Some("0"), Some("00000000T000000Z")] {
        for (world, ..) in worlds(Reaction::Hold, Reaction::Proceed) {
            let mut phone = Phone::new(&world.server, "reset", "alice", PASSWORD, world.now);
            let heard = phone.begin(AlertCode::TWO_WAY, last, "1").unwrap();
            assert_eq!(heard.status("Alert"), Some(508));
            let deletes = (0..30).map(|n| phone.change(Op::Delete, &n.to_string(), "")).collect();
            let sync = phone.sync(deletes);
            let heard = phone.say_after(&heard, vec![sync], true).unwrap();
            assert_eq!(heard.codes("Delete"), [403; 30]);
            assert_eq!((world.cards().len(), heard.changes.len()), (30, 30), "all of it goes back: {last:?}");
        }
    }
}

/// Gives the device another anchor than the server knows.
fn lose_anchor(device: &Device) {
    device
        .store
        .step(device.account, &mut |tx| {
            tx.lock_books(&[BOOK])?;
            let server = tx.device(common::SERVER_URI)?.unwrap().device;
            let mut pair = tx.pair(server, BOOK)?.unwrap();
            pair.own_next = Some("another".to_owned());
            tx.put_pair(&pair)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
}

#[test]
fn row9_a_slow_sync_nobody_asked_for_waits_at_the_server() {
    for (mut world, one, _) in worlds(Reaction::Hold, Reaction::Hold) {
        lose_anchor(&one);
        for _ in 0..2 {
            let (client, _) = sync(&mut world, &one, AlertCode::TWO_WAY);
            assert_eq!(client.books[0].failed.map(|code| code.0), Some(503));
        }
        let holds = server_holds(&world);
        assert_eq!((holds.len(), holds[0].hold.reason), (1, HoldReason::SlowSync));
        assert!(holds[0].hold.cause.as_ref().unwrap().contains("anchor"), "{holds:?}");
        server_decides(&world, HeldDecision::Release);
        let (client, _) = sync(&mut world, &one, AlertCode::TWO_WAY);
        assert!(client.clean && client.books[0].mode == "slow", "{client:?}");
        assert_eq!((world.cards().len(), one.cards().len(), server_holds(&world).len()), (30, 30, 0));
    }
    for (mut world, one, _) in worlds(Reaction::Hold, Reaction::Refuse) {
        lose_anchor(&one);
        let (client, _) = sync(&mut world, &one, AlertCode::TWO_WAY);
        assert_eq!(client.books[0].failed.map(|code| code.0), Some(403));
        assert!(server_holds(&world).is_empty());
        // One that somebody asks for is held.
        let (client, _) = sync(&mut world, &one, AlertCode::SLOW);
        assert!(client.clean, "{client:?}");
    }
}

#[test]
fn row9_a_slow_sync_nobody_asked_for_waits_at_the_client() {
    for (mut world, mut one, _) in worlds(Reaction::Hold, Reaction::Proceed) {
        let mut treatment = Treatment::default();
        treatment.slow_sync = Some(Reaction::Hold);
        one.config.profiles = Profiles::shipped().treat(treatment);
        lose_anchor(&one);
        let failed = |outcome: Result<Report, ClientError>| match outcome {
            Ok(report) => (report.clean, report.problems.join(" ")),
            Err(error) => (false, error.to_string()),
        };
        let (clean, why) = failed(world.sync(&one));
        assert!(!clean && why.contains("held release"), "{why}");
        let holds = held(one.store.as_ref(), one.account, None).unwrap();
        assert_eq!((holds.len(), holds[0].hold.reason), (1, HoldReason::SlowSync));
        decide(one.store.as_ref(), one.account, HeldDecision::Release, &world);
        quiet(&mut world, &[&one, &one]);
        assert_eq!((world.cards().len(), one.cards().len()), (30, 30));
        assert!(held(one.store.as_ref(), one.account, None).unwrap().is_empty());
    }
}

/// Half of what was held may come back by itself.
#[test]
fn what_comes_back_is_not_held() {
    for (mut world, one, _) in worlds(Reaction::Hold, Reaction::Proceed) {
        delete_some(&one, 25);
        quiet(&mut world, &[&one]);
        for n in 0..10 {
            one.put(&numbered(n));
        }
        quiet(&mut world, &[&one]);
        let waiting: usize = server_holds(&world).iter().map(|held| held.items.len()).sum();
        assert!(waiting <= 25);
        server_decides(&world, HeldDecision::Release);
        quiet(&mut world, &[&one, &one]);
        assert_eq!(world.cards(), one.cards(), "nothing is twice");
        assert_eq!(world.cards().len(), 15);
    }
}
