//! Folders (§3.15), both roles ours: parents go before what is in them, moves reach the other side, and what both sides
//! did to one tree ends in one tree. Devices without folders see the files and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, items};
use std::collections::{BTreeMap, HashSet};
use syncml::codec::{Encoding, decode};
use syncml::message::{AlertCode, Change, Command, Op, Timestamp, Version};
use syncml::session::{ClientBook, Report};
use syncml::store::{AccountNo, BookNo, BookWriter, DeviceRow, Draft, Guid, ItemRow, Store, Verdict};

const BOOK: BookNo = BookNo::FILES;

/// A book of files on one side.
struct Tree<'s> {
    store: &'s dyn Store,
    account: AccountNo,
}

impl Tree<'_> {
    fn write<R>(&self, mut work: impl FnMut(&mut BookWriter<'_>, &dyn Fn(Guid) -> ItemRow<'static>) -> R) -> R {
        let mut result = None;
        self.store
            .step(self.account, &mut |tx| {
                let row = tx.lock_books(&[BOOK])?.remove(0);
                let all = tx.changes(BOOK, syncml::store::Revision(0), row.head, usize::MAX)?;
                let find = |guid: Guid| all.iter().find(|item| item.guid == guid).unwrap().clone();
                let mut writer = BookWriter::new(row, None, Timestamp(1_700_000_000_000));
                result = Some(work(&mut writer, &find));
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .unwrap();
        result.unwrap()
    }

    fn add(&self, content: &str, media_type: &'static str, parent: Option<Guid>) -> Guid {
        self.write(|writer, find| {
            let depth = parent.map_or(0, |parent| find(parent).depth + 1);
            let draft = Draft::of(BOOK, content.as_bytes().to_vec());
            writer.add(Draft { media_type: Some(media_type.into()), parent, depth, ..draft }).guid
        })
    }

    fn folder(&self, name: &str, parent: Option<Guid>) -> Guid {
        self.add(&format!("<Folder><name>{name}</name></Folder>"), "application/vnd.omads-folder+xml", parent)
    }

    fn file(&self, name: &str, text: &str, parent: Option<Guid>) -> Guid {
        let content = format!("<File><name>{name}</name><body>{text}</body></File>");
        self.add(&content, "application/vnd.omads-file+xml", parent)
    }

    fn edit(&self, guid: Guid, name: &str, text: &str) {
        self.write(|writer, find| {
            let old = find(guid);
            let content = format!("<File><name>{name}</name><body>{text}</body></File>");
            let draft = Draft::of(BOOK, content.into_bytes());
            writer.replace(&old, Draft { media_type: old.media_type.clone(), ..draft });
        });
    }

    fn shift(&self, guid: Guid, parent: Option<Guid>) {
        self.write(|writer, find| {
            let old = find(guid);
            let draft = Draft::of(BOOK, old.content.to_vec());
            writer.put(&old, Draft { media_type: old.media_type.clone(), parent, ..draft });
        });
    }

    fn delete(&self, guid: Guid) {
        self.write(|writer, find| drop(writer.delete(&find(guid))));
    }

    /// Each live item by its path, with its text; folders have none.
    fn paths(&self) -> Vec<String> {
        let all = items(self.store, self.account, BOOK);
        let by_guid: BTreeMap<Guid, &ItemRow<'_>> = all.iter().map(|item| (item.guid, item)).collect();
        let field = |item: &ItemRow<'_>, name: &str| {
            let text = String::from_utf8(item.content.to_vec()).unwrap();
            let rest = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest.to_owned());
            rest.map(|rest| rest.split('<').next().unwrap().to_owned())
        };
        let mut paths: Vec<String> = all
            .iter()
            .map(|item| {
                let mut path = field(item, "name").unwrap();
                let mut at = item.parent;
                while let Some(folder) = at.and_then(|guid| by_guid.get(&guid)) {
                    path = format!("{}/{path}", field(folder, "name").unwrap());
                    at = folder.parent;
                }
                match field(item, "body") {
                    Some(body) => format!("{path}={body}"),
                    None => path,
                }
            })
            .collect();
        paths.sort();
        paths
    }

    /// The item at a path, whatever its text.
    fn at(&self, name: &str) -> Guid {
        common::find(self.store, self.account, BOOK, &format!("<name>{name}</name>"))
    }
}

fn device(name: &str, version: Version) -> Device {
    let mut device = Device::new(name);
    device.config.version = version;
    device.config.books = vec![ClientBook {
        book: BOOK,
        local_uri: "./files".to_owned(),
        remote_uri: "files".to_owned(),
        mode: AlertCode::TWO_WAY,
        filter: None,
        dimensions: Vec::new(),
    }];
    device
}

fn here(device: &Device) -> Tree<'_> {
    Tree { store: device.store.as_ref(), account: device.account }
}

fn there(world: &World) -> Tree<'_> {
    Tree { store: world.server.store().as_ref(), account: world.account }
}

fn sync(world: &mut World, device: &Device) -> Report {
    let report = world.sync(device).unwrap();
    assert!(report.clean, "{report:?}\n{}", world.outline());
    report
}

/// All changes on the wire since `from`, in their order, and whether the device said them.
fn told(world: &World, from: usize) -> Vec<(bool, Change<'static>)> {
    let mut all = Vec::new();
    for exchange in &world.wire[from..] {
        let encoding = Encoding::from_content_type(&exchange.content_type).unwrap();
        for (theirs, bytes) in [(true, &exchange.request), (false, &exchange.reply)] {
            let message = decode(bytes, encoding, &Default::default()).unwrap();
            for command in &message.body {
                let Command::Sync(sync) = command else { continue };
                for command in &sync.commands {
                    let Command::Change(change) = command else { continue };
                    let item = &change.items[0];
                    let own =
                        |text: &Option<std::borrow::Cow<'_, str>>| text.clone().map(|text| text.into_owned().into());
                    let mut copy = syncml::message::Item {
                        source_parent: own(&item.source_parent),
                        target_parent: own(&item.target_parent),
                        ..Default::default()
                    };
                    let place = |place: &Option<syncml::message::Location<'_>>| {
                        place.as_ref().map(|place| syncml::message::Location::new(place.uri.to_string()))
                    };
                    (copy.source, copy.target) = (place(&item.source), place(&item.target));
                    all.push((theirs, Change::new(change.op, syncml::message::CmdId::from(1), copy)));
                }
            }
        }
    }
    all
}

fn statuses(world: &World, from: usize, name: &str) -> Vec<u16> {
    let mut all = Vec::new();
    for exchange in &world.wire[from..] {
        let encoding = Encoding::from_content_type(&exchange.content_type).unwrap();
        for bytes in [&exchange.request, &exchange.reply] {
            for command in &decode(bytes, encoding, &Default::default()).unwrap().body {
                if let Command::Status(status) = command
                    && status.cmd == name
                {
                    all.push(status.code.0);
                }
            }
        }
    }
    all
}

/// A device that made its folders after what is in them.
fn inside_out(device: &Device) {
    let tree = here(device);
    let file = tree.file("a.txt", "a", None);
    let inner = tree.folder("inner", None);
    let outer = tree.folder("outer", None);
    tree.shift(file, Some(inner));
    tree.shift(inner, Some(outer));
    tree.file("root.txt", "r", None);
}

#[test]
fn hier1_parents_go_before_their_children() {
    for mut world in World::each() {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let mut one = device(&format!("one-{encoding:?}"), Version::V12);
            one.config.encoding = encoding;
            if encoding == Encoding::Xml {
                inside_out(&one);
            }
            let from = world.wire.len();
            sync(&mut world, &one);
            assert_eq!(there(&world).paths(), ["outer", "outer/inner", "outer/inner/a.txt=a", "root.txt=r"]);
            assert_eq!(here(&one).paths(), there(&world).paths());
            let mut known = HashSet::from(["/".to_owned()]);
            let mut parents = 0;
            for (_, change) in told(&world, from) {
                let item = &change.items[0];
                let parent = item.source_parent.as_ref().or(item.target_parent.as_ref());
                parents += usize::from(parent.is_some());
                assert!(parent.is_none_or(|parent| known.contains(&**parent)), "{change:?}");
                known.extend(item.source.iter().chain(&item.target).map(|place| place.uri.to_string()));
            }
            assert_eq!(parents, 2);
        }
    }
}

#[test]
fn hier2_a_folder_is_named_by_the_id_that_the_peer_knows() {
    for mut world in World::each() {
        let one = device("one", Version::V12);
        sync(&mut world, &one);
        let photos = there(&world).folder("photos", None);
        there(&world).file("1.jpg", "1", Some(photos));
        let from = world.wire.len();
        sync(&mut world, &one);
        // New together: by the server's id, for the Map is still to come.
        let adds: Vec<_> =
            told(&world, from).into_iter().filter(|(theirs, _)| !theirs).map(|(_, change)| change).collect();
        assert_eq!(adds[1].items[0].source_parent.as_deref(), adds[0].items[0].source.as_ref().map(|one| &*one.uri));
        assert_eq!(here(&one).paths(), ["photos", "photos/1.jpg=1"]);
        // Later: by the device's.
        there(&world).file("2.jpg", "2", Some(photos));
        let from = world.wire.len();
        sync(&mut world, &one);
        let luid = here(&one).at("photos").to_string();
        assert_eq!(told(&world, from)[0].1.items[0].target_parent.as_deref(), Some(&*luid));
        assert_eq!(here(&one).paths(), there(&world).paths());
        assert_eq!(here(&one).paths().len(), 3);
    }
}

/// A server and two devices that hold the same tree: folders A and B, a file in each, one in none.
fn three(mut world: World) -> (World, Device, Device) {
    let (one, two) = (device("one", Version::V12), device("two", Version::V12));
    let tree = there(&world);
    let (a, b) = (tree.folder("A", None), tree.folder("B", None));
    tree.file("x", "1", Some(a));
    tree.file("y", "1", Some(b));
    tree.file("z", "1", None);
    sync(&mut world, &one);
    sync(&mut world, &two);
    (world, one, two)
}

/// Two rounds of two-way syncs, after which all must be equal.
fn settle(world: &mut World, devices: &[&Device]) -> Vec<String> {
    for _ in 0..2 {
        for device in devices {
            sync(world, device);
        }
    }
    for device in devices {
        assert_eq!(here(device).paths(), there(world).paths());
    }
    // And then there is nothing left to say.
    let from = world.wire.len();
    for device in devices {
        sync(world, device);
    }
    assert_eq!(told(world, from), []);
    there(world).paths()
}

#[test]
fn hier3_moves_reach_the_other_side_without_data() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let tree = here(&one);
        tree.shift(tree.at("x"), Some(tree.at("B")));
        tree.shift(tree.at("z"), Some(tree.at("A")));
        let tree = there(&world);
        tree.shift(tree.at("y"), None);
        let from = world.wire.len();
        sync(&mut world, &one);
        assert!(told(&world, from).iter().all(|(_, change)| change.op == Op::Move));
        assert_eq!(statuses(&world, from, "Move"), [200, 200, 200]);
        assert_eq!(settle(&mut world, &[&one, &two]), ["A", "A/z=1", "B", "B/x=1", "y=1"]);
    }
}

#[test]
fn hier3_a_move_and_an_edit_are_both_done() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        here(&one).shift(here(&one).at("x"), Some(here(&one).at("B")));
        there(&world).edit(there(&world).at("x"), "x", "server");
        here(&one).edit(here(&one).at("y"), "y", "device");
        there(&world).shift(there(&world).at("y"), Some(there(&world).at("A")));
        // Both moved z: the device's word stands.
        here(&two).shift(here(&two).at("z"), Some(here(&two).at("B")));
        there(&world).shift(there(&world).at("z"), Some(there(&world).at("A")));
        assert_eq!(settle(&mut world, &[&one, &two]), ["A", "A/y=device", "B", "B/x=server", "B/z=1"]);
    }
}

#[test]
fn hier3_a_folder_is_never_in_itself() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        // Each side puts one folder into the other.
        here(&one).shift(here(&one).at("A"), Some(here(&one).at("B")));
        there(&world).shift(there(&world).at("B"), Some(there(&world).at("A")));
        let from = world.wire.len();
        sync(&mut world, &one);
        assert!(statuses(&world, from, "Move").contains(&428), "{:?}", statuses(&world, from, "Move"));
        assert_eq!(settle(&mut world, &[&one, &two]), ["A", "A/B", "A/B/y=1", "A/x=1", "z=1"]);
    }
}

#[test]
fn hier4_a_folder_goes_after_what_is_in_it() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let tree = here(&one);
        let (x, a) = (tree.at("x"), tree.at("A"));
        // Only the folder: refused, and it stays.
        tree.delete(a);
        let from = world.wire.len();
        sync(&mut world, &one);
        assert_eq!(statuses(&world, from, "Delete"), [427]);
        tree.delete(x);
        assert_eq!(settle(&mut world, &[&one, &two]), ["B", "B/y=1", "z=1"]);
    }
}

#[test]
fn hier4_a_folder_stays_for_what_somebody_else_put_into_it() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let tree = here(&one);
        tree.delete(tree.at("x"));
        tree.delete(tree.at("A"));
        there(&world).file("new", "1", Some(there(&world).at("A")));
        // The other way round: deleted there, filled here.
        there(&world).delete(there(&world).at("y"));
        there(&world).delete(there(&world).at("B"));
        here(&two).file("mine", "1", Some(here(&two).at("B")));
        assert_eq!(settle(&mut world, &[&one, &two]), ["A", "A/new=1", "B", "B/mine=1", "z=1"]);
    }
}

#[test]
fn a_device_without_folders_loses_and_doubles_nothing() {
    for world in World::each() {
        let (mut world, one, two) = three(world);
        let mut flat = device("flat", Version::V11);
        sync(&mut world, &flat);
        assert_eq!(here(&flat).paths(), ["x=1", "y=1", "z=1"]);
        here(&flat).edit(here(&flat).at("x"), "x", "flat");
        here(&flat).delete(here(&flat).at("z"));
        here(&flat).file("w", "1", None);
        there(&world).shift(there(&world).at("y"), Some(there(&world).at("A")));
        let from = world.wire.len();
        sync(&mut world, &flat);
        assert!(told(&world, from).iter().all(|(theirs, _)| *theirs), "a move is nothing that it could hear of");
        let tree = ["A", "A/x=flat", "A/y=1", "B", "w=1"];
        assert_eq!(settle(&mut world, &[&one, &two]), tree);
        for mode in [AlertCode::SLOW, AlertCode::REFRESH_FROM_CLIENT, AlertCode::REFRESH_FROM_SERVER] {
            flat.config.books[0].mode = mode;
            sync(&mut world, &flat);
            assert_eq!(there(&world).paths(), tree, "{mode:?}");
            assert_eq!(here(&flat).paths(), ["w=1", "x=flat", "y=1"], "{mode:?}");
        }
        // When it has folders one day, it gets them.
        flat.config.version = Version::V12;
        flat.config.books[0].mode = AlertCode::SLOW;
        sync(&mut world, &flat);
        assert_eq!(settle(&mut world, &[&one, &two]), tree);
    }
}

/// Each side forgets what the other is, and asks again.
fn introduce_again(world: &World, device: &Device) {
    let forget = |store: &dyn Store, account, id: &str| {
        store
            .step(account, &mut |tx| {
                let row = tx.device(id)?.unwrap();
                tx.put_device(&DeviceRow { devinf: None, ..row })?;
                Ok(Verdict::Commit)
            })
            .unwrap();
    };
    forget(world.server.store().as_ref(), world.account, &device.config.device_id);
    forget(device.store.as_ref(), device.account, &device.config.server_uri);
}

/// A device that learns of folders does not know where things are until it is told: what it says until then moves nothing.
#[test]
fn a_device_that_gets_folders_is_told_where_things_are() {
    for mode in [AlertCode::TWO_WAY, AlertCode::SLOW] {
        for world in World::each() {
            let (mut world, one, two) = three(world);
            let mut flat = device("flat", Version::V11);
            sync(&mut world, &flat);
            // Some of it goes to and fro in between.
            here(&flat).edit(here(&flat).at("y"), "y", "flat");
            sync(&mut world, &flat);
            flat.config.version = Version::V12;
            introduce_again(&world, &flat);
            here(&flat).edit(here(&flat).at("x"), "x", "flat");
            flat.config.books[0].mode = mode;
            sync(&mut world, &flat);
            flat.config.books[0].mode = AlertCode::TWO_WAY;
            sync(&mut world, &flat);
            let tree = settle(&mut world, &[&one, &two, &flat]);
            assert_eq!(tree, ["A", "A/x=flat", "B", "B/y=flat", "z=1"], "{mode:?}");
            // It knows now, and may move things itself.
            here(&flat).shift(here(&flat).at("x"), None);
            here(&flat).shift(here(&flat).at("y"), Some(here(&flat).at("A")));
            let tree = settle(&mut world, &[&flat, &one, &two]);
            assert_eq!(tree, ["A", "A/y=flat", "B", "x=flat", "z=1"], "{mode:?}");
        }
    }
}

#[test]
fn a_slow_sync_keeps_two_folders_of_one_name_apart() {
    for mut world in World::each() {
        let mut one = device("one", Version::V12);
        let tree = here(&one);
        for name in ["2023", "2024"] {
            let year = tree.folder(name, None);
            let same = tree.folder("photos", Some(year));
            tree.file("readme", "the same", Some(same));
            tree.file("1.jpg", name, Some(same));
        }
        let paths = tree.paths();
        for mode in
            [AlertCode::TWO_WAY, AlertCode::SLOW, AlertCode::REFRESH_FROM_CLIENT, AlertCode::REFRESH_FROM_SERVER]
        {
            one.config.books[0].mode = mode;
            sync(&mut world, &one);
            assert_eq!((&there(&world).paths(), &here(&one).paths()), (&paths, &paths), "{mode:?}");
        }
        // A device that holds the same, made by itself.
        let two = device("two", Version::V12);
        let tree = here(&two);
        for name in ["2024", "2023"] {
            let year = tree.folder(name, None);
            let same = tree.folder("photos", Some(year));
            tree.file("1.jpg", name, Some(same));
            tree.file("readme", "the same", Some(same));
        }
        sync(&mut world, &two);
        sync(&mut world, &one);
        assert_eq!((&there(&world).paths(), &here(&two).paths()), (&paths, &paths));
        assert_eq!(here(&one).paths(), paths);
    }
}
