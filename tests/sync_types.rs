//! The six kinds of sync, both roles ours: who ends with what, and what stays to be told later (§3.3–§3.5, mission X5).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card, numbered};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::session::{ClientBook, Report};
use syncml::store::{BookNo, Guid};
use syncml::sync::DeletionGuard;

/// A server and two devices that hold the same: Both0, Both1, Both2.
struct Three {
    world: World,
    one: Device,
    two: Device,
}

impl Three {
    fn new(world: World) -> Self {
        let mut three = Self { world, one: Device::new("one"), two: Device::new("two") };
        for n in 0..3 {
            three.world.put(&both(n));
        }
        three.two_way();
        three
    }

    fn sync(&mut self, mode: AlertCode) -> Report {
        self.one.config.books[0].mode = mode;
        let report = self.world.sync(&self.one).unwrap();
        assert!(report.clean, "{mode:?}: {report:?}\n{}", self.world.outline());
        report
    }

    /// Two rounds of two-way syncs, after which all must be equal.
    fn two_way(&mut self) {
        self.one.config.books[0].mode = AlertCode::TWO_WAY;
        for _ in 0..2 {
            for device in [&self.one, &self.two] {
                let report = self.world.sync(device).unwrap();
                assert!(report.clean, "{report:?}\n{}", self.world.outline());
            }
        }
        assert_eq!(self.world.cards(), self.one.cards());
        assert_eq!(self.world.cards(), self.two.cards());
    }

    fn server(&self) -> Vec<String> {
        names(&self.world.cards())
    }

    fn device(&self) -> Vec<String> {
        names(&self.one.cards())
    }

    /// Each side adds one, changes another, deletes a third.
    fn edit_both_sides(&self) {
        self.one.put(&card("NewHere", "+4930111"));
        self.one.edit(self.one.find("Both0"), &card("Both0here", "+4930000"));
        self.one.delete(self.one.find("Both1"));
        self.world.put(&card("NewThere", "+4930222"));
        let guid = self.find("Both2");
        let store = self.world.server.store().clone();
        common::put(
            store.as_ref(),
            self.world.account,
            BookNo::CONTACTS,
            Some(guid),
            &card("Both2there", "+4930002"),
            self.world.now,
        );
    }

    fn find(&self, text: &str) -> Guid {
        common::find(self.world.server.store().as_ref(), self.world.account, BookNo::CONTACTS, text)
    }
}

fn both(n: usize) -> String {
    card(&format!("Both{n}"), &format!("+493000{n}"))
}

/// The last names, sorted.
fn names(cards: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        cards.iter().map(|card| card.split_once("\nN:").unwrap().1.split(';').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn worlds() -> Vec<Three> {
    World::each().into_iter().map(Three::new).collect()
}

/// Catalogue: SYNC-3
#[test]
fn one_way_from_client_keeps_the_servers_changes_for_later() {
    for mut three in worlds() {
        three.edit_both_sides();
        let report = three.sync(AlertCode::ONE_WAY_FROM_CLIENT);
        assert_eq!(report.books[0].received, Default::default());
        assert_eq!(three.server(), ["Both0here", "Both2there", "NewHere", "NewThere"]);
        assert_eq!(three.device(), ["Both0here", "Both2", "NewHere"]);
        three.two_way();
        assert_eq!(three.device(), ["Both0here", "Both2there", "NewHere", "NewThere"]);
    }
}

/// Catalogue: SYNC-5
#[test]
fn one_way_from_server_keeps_the_clients_changes_for_later() {
    for mut three in worlds() {
        three.edit_both_sides();
        let report = three.sync(AlertCode::ONE_WAY_FROM_SERVER);
        assert_eq!(report.books[0].sent, Default::default());
        assert_eq!(three.server(), ["Both0", "Both1", "Both2there", "NewThere"]);
        assert_eq!(three.device(), ["Both0here", "Both2there", "NewHere", "NewThere"]);
        three.two_way();
        assert_eq!(three.server(), ["Both0here", "Both2there", "NewHere", "NewThere"]);
    }
}

/// Catalogue: SYNC-4
#[test]
fn refresh_from_client_makes_the_server_what_the_client_is() {
    for mut three in worlds() {
        let kept = three.find("Both0");
        three.edit_both_sides();
        let report = three.sync(AlertCode::REFRESH_FROM_CLIENT);
        assert_eq!(three.server(), ["Both0here", "Both2", "NewHere"]);
        assert_eq!(three.device(), ["Both0here", "Both2", "NewHere"]);
        assert_eq!(report.books[0].held, 0);
        // It is still the same contact, and so on the other device, which hears of it.
        assert_eq!(three.find("Both0here"), kept);
        three.two_way();
        assert_eq!(three.server(), ["Both0here", "Both2", "NewHere"]);
    }
}

/// Catalogue: SYNC-6
#[test]
fn refresh_from_server_makes_the_client_what_the_server_is() {
    for mut three in worlds() {
        let kept = three.one.find("Both2");
        three.edit_both_sides();
        three.sync(AlertCode::REFRESH_FROM_SERVER);
        assert_eq!(three.server(), ["Both0", "Both1", "Both2there", "NewThere"]);
        assert_eq!(three.device(), ["Both0", "Both1", "Both2there", "NewThere"]);
        assert_eq!(three.one.find("Both2there"), kept);
        three.two_way();
        assert_eq!(three.server(), ["Both0", "Both1", "Both2there", "NewThere"]);
    }
}

/// §3.3: a one-way sync with lost anchors sends everything, but it is not a refresh that somebody asked for.
/// Catalogue: SYNC-7
#[test]
fn a_first_one_way_sync_deletes_nothing() {
    for mode in [AlertCode::ONE_WAY_FROM_CLIENT, AlertCode::ONE_WAY_FROM_SERVER] {
        for mut three in worlds() {
            let mut third = Device::new("third");
            third.put(&both(0));
            third.put(&card("Third", "+4930333"));
            third.config.books[0].mode = mode;
            let report = three.world.sync(&third).unwrap();
            assert!(report.clean, "{report:?}\n{}", three.world.outline());
            let (server, device): (&[&str], &[&str]) = match mode {
                AlertCode::ONE_WAY_FROM_CLIENT => (&["Both0", "Both1", "Both2", "Third"], &["Both0", "Third"]),
                _ => (&["Both0", "Both1", "Both2"], &["Both0", "Both1", "Both2", "Third"]),
            };
            assert_eq!(three.server(), server, "{mode:?}");
            assert_eq!(names(&third.cards()), device, "{mode:?}");
            third.config.books[0].mode = AlertCode::TWO_WAY;
            three.world.sync(&third).unwrap();
            assert_eq!(names(&third.cards()), ["Both0", "Both1", "Both2", "Third"], "{mode:?}");
            assert_eq!(three.server(), ["Both0", "Both1", "Both2", "Third"], "{mode:?}");
        }
    }
}

/// A refresh whose device shows nothing, or next to nothing, is a vanished side until somebody says otherwise.
/// Catalogue: X5
#[test]
fn x5_an_emptied_device_does_not_empty_the_server() {
    for mut world in World::each() {
        for n in 0..30 {
            world.put(&numbered(n));
        }
        let mut device = Device::new("phone");
        device.put(&numbered(0));
        device.config.books[0].mode = AlertCode::REFRESH_FROM_CLIENT;
        let report = world.sync(&device).unwrap();
        assert!(report.clean);
        assert_eq!(world.cards().len(), 30);
        // The device gets back what it lost.
        device.config.books[0].mode = AlertCode::TWO_WAY;
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(device.cards().len(), 30);
        assert_eq!(device.cards(), world.cards());
    }
}

/// Catalogue: X5
#[test]
fn x5_an_emptied_server_does_not_empty_the_device() {
    let mut world = World::new();
    let mut device = Device::new("phone");
    for n in 0..30 {
        device.put(&numbered(n));
    }
    device.config.books[0].mode = AlertCode::REFRESH_FROM_SERVER;
    let report = world.sync(&device).unwrap();
    assert!(report.clean);
    assert_eq!((report.books[0].held, device.cards().len()), (30, 30));
    assert_eq!(report.problems.len(), 1, "{report:?}");
    // Told to, it obeys.
    device.config.guard = DeletionGuard::OFF;
    let report = world.sync(&device).unwrap();
    assert_eq!((report.books[0].held, device.cards().len()), (0, 0));
}

/// DESIGN "Store kit": deletes past the guard in several messages.
/// Catalogue: X5
#[test]
fn x5_a_storm_of_deletes_is_held_whatever_messages_it_comes_in() {
    for mut world in World::each() {
        let mut device = Device::new("phone");
        device.config.max_msg_size = 3_000;
        let guids: Vec<Guid> = (0..30).map(|n| device.put(&numbered(n))).collect();
        assert!(world.sync(&device).unwrap().clean);
        guids[..25].iter().for_each(|guid| device.delete(*guid));
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(world.cards().len(), 30, "held");
        // The device is not bothered with what it deleted, and its other changes go on.
        device.edit(guids[29], &card("Edited", "+4930777"));
        let report = world.sync(&device).unwrap();
        assert_eq!((report.books[0].received.added, world.cards().len(), device.cards().len()), (0, 30, 5));
        assert!(world.cards().concat().contains("Edited"));
        // Fewer are obeyed.
        device.delete(guids[28]);
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(world.cards().len(), 29);
        // Comparing everything brings back what is still there.
        device.config.books[0].mode = AlertCode::SLOW;
        assert!(world.sync(&device).unwrap().clean);
        assert_eq!(device.cards(), world.cards());
    }
}

/// What somebody else added after the refresh began is not "the rest".
#[test]
fn a_refresh_leaves_alone_what_came_after_it_began() {
    for mut three in worlds() {
        three.one.config.books[0].mode = AlertCode::REFRESH_FROM_CLIENT;
        three.world.tick();
        let now = three.world.now;
        let (store, account, config) = (three.one.store.clone(), three.one.account, three.one.config.clone());
        let mut client = syncml::session::Client::begin(store, account, config, now).unwrap();
        let mut messages = 0;
        while let Some(out) = client.outgoing() {
            let request = three.world.request(&out.uri, out.content_type, &out.body);
            let reply = three.world.server.answer(&request).unwrap();
            messages += 1;
            if messages == 1 {
                three.world.put(&card("Late", "+4930999"));
            }
            client.received(reply.content_type, &reply.body, now).unwrap();
        }
        assert!(client.report().clean);
        assert_eq!(three.server(), ["Both0", "Both1", "Both2", "Late"]);
        three.two_way();
    }
}

/// The kinds of different books do not mix, in any version and encoding.
#[test]
fn each_book_of_a_session_has_its_own_kind() {
    for version in Version::ALL {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let mut world = World::new();
            let mut device = Device::new("phone");
            (device.config.version, device.config.encoding) = (version, encoding);
            let book = |book, name: &str, mode| ClientBook {
                book,
                local_uri: format!("./{name}"),
                remote_uri: name.to_owned(),
                mode,
                filter: None,
                dimensions: Vec::new(),
            };
            device.config.books = vec![
                book(BookNo::CONTACTS, "contacts", AlertCode::REFRESH_FROM_CLIENT),
                book(BookNo::NOTES, "notes", AlertCode::REFRESH_FROM_SERVER),
                book(BookNo::FILES, "files", AlertCode::TWO_WAY),
            ];
            let put = |store: &dyn syncml::store::Store, account, book, text: &str| {
                common::put(store, account, book, None, text, world.now);
            };
            let store = world.server.store().clone();
            for (book, text) in
                [(BookNo::CONTACTS, &*card("There", "+1")), (BookNo::NOTES, "there"), (BookNo::FILES, "f1")]
            {
                put(store.as_ref(), world.account, book, text);
            }
            for (book, text) in
                [(BookNo::CONTACTS, &*card("Here", "+2")), (BookNo::NOTES, "here"), (BookNo::FILES, "f2")]
            {
                put(device.store.as_ref(), device.account, book, text);
            }
            let report = world.sync(&device).unwrap();
            assert!(report.clean, "{version:?} {encoding:?}: {report:?}\n{}", world.outline());
            for book in [BookNo::CONTACTS, BookNo::NOTES, BookNo::FILES] {
                let both = [(store.as_ref(), world.account), (device.store.as_ref(), device.account)];
                let [there, here] = both.map(|(store, account)| common::cards(store, account, book));
                assert_eq!(there, here, "{book:?}");
            }
            let [contacts, notes, files] = [BookNo::CONTACTS, BookNo::NOTES, BookNo::FILES]
                .map(|book| common::cards(store.as_ref(), world.account, book));
            assert!(contacts.len() == 1 && contacts[0].contains("Here"), "{contacts:?}");
            assert_eq!((notes, files), (vec!["there".to_owned()], vec!["f1".to_owned(), "f2".to_owned()]));
        }
    }
}
