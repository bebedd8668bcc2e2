//! A book that is compared with itself, after it went through another device: nothing is doubled, nothing is lost; and who
//! only looks alike stays two (field notes 1, 2, 4, 6, 7, 28, 34).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World};
use syncml::contact::card::{Card, Version, convert};
use syncml::contact::identity::fingerprint;
use syncml::message::AlertCode;
use syncml::session::Report;

/// Cards as people have them: names in several scripts, several numbers, addresses, notes, a company, a nameless one.
fn book() -> Vec<String> {
    let bodies = [
        "N:Doe;Ada;B.;;\nFN:Ada B. Doe\nTEL;TYPE=CELL:+4917012345601\nTEL;TYPE=HOME:+493012345602\nEMAIL;TYPE=INTERNET:ada@example.org\nNOTE:likes tea",
        "N:Doe;Alan;;;\nFN:Alan Doe\nTEL;TYPE=HOME:+493012345602\nADR;TYPE=HOME:;;Main Street 1;Berlin;;10115;Germany",
        "N:Müller;Zoë;;;\nFN:Zoë Müller\nTEL;TYPE=CELL:+4917012345603\nORG:Acme;Sales\nTITLE:Head of everything that has to be sold",
        "N:山田;太郎;;;\nFN:山田太郎\nTEL;TYPE=WORK:+81312345604\nURL:http://example.org/yamada",
        "N:Smith;John;;;\nFN:John Smith\nTEL;TYPE=CELL:+4917012345605\nBDAY:1980-03-22",
        "N:Smith;John;;;\nFN:John Smith\nTEL;TYPE=CELL:+4917012345606",
        "N:;;;;\nFN:Acme Helpdesk\nORG:Acme\nTEL;TYPE=WORK,VOICE:+493012345607",
        "N:;;;;\nFN:\nTEL;TYPE=CELL:+4917012345608",
        "N:Mail;Only;;;\nFN:Only Mail\nEMAIL:only@example.org\nEMAIL;TYPE=WORK:only@work.example.org",
        "N:Name;Just;;;\nFN:Just Name",
    ];
    let mut cards: Vec<String> = bodies.iter().map(|body| wrap("3.0", body)).collect();
    cards.extend((0..60).map(common::numbered));
    cards
}

fn wrap(version: &str, body: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:{version}\r\n{}\r\nEND:VCARD\r\n", body.replace('\n', "\r\n"))
}

fn lines(card: &str) -> (Vec<&str>, Vec<&str>) {
    let all: Vec<&str> = card.lines().collect();
    let body = all[2..all.len() - 1].to_vec();
    (all, body)
}

/// Properties the other way round.
fn reordered(card: &str) -> String {
    let (_, mut body) = lines(card);
    body.reverse();
    wrap("3.0", &body.join("\n"))
}

fn converted(card: &str, version: Version) -> String {
    let parsed = Card::parse(card.as_bytes()).unwrap();
    String::from_utf8(convert(&parsed, version)).unwrap()
}

/// Numbers as phones write them.
fn reformatted(card: &str) -> String {
    let (_, body) = lines(card);
    let number = |line: &&str| {
        let Some((name, digits)) = line.split_once(':').filter(|(name, _)| name.starts_with("TEL")) else {
            return (*line).to_owned();
        };
        let digits: Vec<char> = digits.chars().collect();
        let parts: Vec<String> = digits.chunks(3).map(|chunk| chunk.iter().collect()).collect();
        format!("{name}:{}", parts.join("-"))
    };
    wrap("3.0", &body.iter().map(number).collect::<Vec<_>>().join("\n"))
}

/// Names of properties and types in other letters, and types that say nothing.
fn respelt(card: &str) -> String {
    let (_, body) = lines(card);
    let respell = |line: &&str| {
        let (name, value) = line.split_once(':').unwrap();
        let name = name.replace("TYPE=CELL", "TYPE=Mobile,voice").replace("TYPE=HOME", "type=home");
        let (property, parameters) = name.split_once(';').unwrap_or((&name, ""));
        let parameters = if parameters.is_empty() { String::new() } else { format!(";{parameters}") };
        format!("{}{parameters}:{value}", property.to_lowercase())
    };
    wrap("3.0", &body.iter().map(respell).collect::<Vec<_>>().join("\n"))
}

/// Texts cut short: notes, titles, streets.
fn truncated(card: &str) -> String {
    let (_, body) = lines(card);
    let cut = |line: &&str| match line.split_once(':') {
        Some((name @ ("NOTE" | "TITLE"), value)) => format!("{name}:{}", value.chars().take(8).collect::<String>()),
        _ => (*line).to_owned(),
    };
    wrap("3.0", &body.iter().map(cut).collect::<Vec<_>>().join("\n"))
}

/// A server with the book, and the device that brought it.
fn synced(mut world: World) -> (World, Device) {
    let device = Device::new("phone");
    for card in book() {
        device.put(&card);
    }
    sync(&mut world, &device, AlertCode::TWO_WAY);
    assert_eq!(world.cards().len(), book().len());
    (world, device)
}

fn sync(world: &mut World, device: &Device, mode: AlertCode) -> Report {
    let mut config = device.config.clone();
    config.books[0].mode = mode;
    let asking = Device { store: device.store.clone(), account: device.account, config };
    let report = world.sync(&asking).unwrap();
    assert!(report.clean, "{report:?}\n{}", world.outline());
    report
}

/// What cards mean, sorted.
fn meanings(cards: &[String]) -> Vec<[u8; 16]> {
    let meaning = |card: &String| fingerprint(&Card::parse(card.as_bytes()).unwrap()).0;
    let mut all: Vec<_> = cards.iter().map(meaning).collect();
    all.sort_unstable();
    all
}

/// The same device with the same ids (it lost its anchors), and one that was set up anew and read the cards from elsewhere:
/// its ids are others and in another order.
fn each_way(change: impl Fn(&str) -> String, check: impl Fn(&World, &Device, &Report, &[String])) {
    for world in World::each() {
        let (mut world, device) = synced(world);
        let before = world.cards();
        for item in common::items(device.store.as_ref(), device.account, syncml::store::BookNo::CONTACTS) {
            let card = String::from_utf8(item.content.to_vec()).unwrap();
            device.edit(item.guid, &change(&card));
        }
        let report = sync(&mut world, &device, AlertCode::SLOW);
        check(&world, &device, &report, &before);

        let fresh = Device::new("fresh");
        for card in book().iter().rev() {
            fresh.put(&change(card));
        }
        let report = sync(&mut world, &fresh, AlertCode::TWO_WAY);
        check(&world, &fresh, &report, &before);
        for device in [&device, &fresh, &device] {
            sync(&mut world, device, AlertCode::TWO_WAY);
        }
        check(&world, &device, &report, &before);
        assert_eq!(meanings(&world.cards()), meanings(&fresh.cards()));
    }
}

/// Nothing but the spelling changed: the server's cards stay as they are, byte for byte, and none of them is sent.
fn all_the_same(change: impl Fn(&str) -> String) {
    each_way(change, |world, device, report, before| {
        assert_eq!(world.cards(), *before);
        assert_eq!(device.cards().len(), before.len());
        assert_eq!(meanings(&device.cards()), meanings(before));
        let book = &report.books[0];
        assert_eq!((book.received.added, book.received.changed, book.sent.deleted), (0, 0, 0), "{book:?}");
    });
}

#[test]
fn row4_and_row34_the_same_again() {
    all_the_same(str::to_owned);
}

#[test]
fn row28_in_another_order() {
    all_the_same(reordered);
}

#[test]
fn row2_in_another_version() {
    for version in [Version::V2_1, Version::V4_0] {
        all_the_same(|card| converted(card, version));
        all_the_same(|card| converted(&converted(card, version), Version::V3_0));
    }
}

#[test]
fn row1_with_numbers_written_otherwise() {
    all_the_same(reformatted);
}

#[test]
fn row7_with_names_and_types_in_other_letters() {
    all_the_same(respelt);
}

#[test]
fn all_of_it_at_once() {
    all_the_same(|card| converted(&respelt(&reformatted(&reordered(card))), Version::V2_1));
}

/// Catalogue: S7
#[test]
fn row25_truncated_fields_double_nobody() {
    each_way(truncated, |world, device, _, before| {
        assert_eq!((world.cards().len(), device.cards().len()), (before.len(), before.len()));
        let numbers = |cards: &[String]| {
            let mut all: Vec<String> = cards
                .iter()
                .flat_map(|card| card.lines())
                .filter(|line| line.starts_with("TEL"))
                .map(str::to_owned)
                .collect();
            all.sort();
            all
        };
        assert_eq!(numbers(&world.cards()), numbers(before));
    });
}

/// Field note 6: two people who share a number, an address or a name are two, in every kind of sync.
#[test]
fn row6_two_people_stay_two() {
    let pairs = [
        ("a number", "N:Doe;Ada;;;\nTEL:+493012345", "N:Doe;Alan;;;\nTEL:+493012345"),
        ("an address", "N:Doe;Ada;;;\nEMAIL:doe@example.org", "N:Doe;Alan;;;\nEMAIL:doe@example.org"),
        ("a street", "N:Doe;Ada;;;\nADR:;;Main Street 1;;;;", "N:Doe;Alan;;;\nADR:;;Main Street 1;;;;"),
        ("a name", "N:Smith;John;;;\nTEL:+493011111", "N:Smith;John;;;\nTEL:+493022222"),
        ("a name and nothing else", "N:Smith;John;;;\nEMAIL:a@example.org", "N:Smith;John;;;\nTEL:+493022222"),
        ("a name but for junior", "N:Doe;John;;;Jr.\nTEL:+493011111", "N:Doe;John;;;Sr.\nTEL:+493011111"),
        ("a company", "ORG:Acme\nTEL:+493011111", "ORG:Acme\nTEL:+493022222"),
    ];
    for (what, one, two) in pairs {
        for slow in [true, false] {
            for world in World::each() {
                let mut world = world;
                let device = Device::new("phone");
                if !slow {
                    sync(&mut world, &device, AlertCode::TWO_WAY);
                }
                world.put(&wrap("3.0", one));
                device.put(&wrap("3.0", two));
                for _ in 0..2 {
                    let report = sync(&mut world, &device, AlertCode::TWO_WAY);
                    assert_eq!(report.books[0].received.conflicts, 0, "{what}");
                }
                let both = meanings(&[wrap("3.0", one), wrap("3.0", two)]);
                assert_eq!(meanings(&world.cards()), both, "{what}, at the server");
                assert_eq!(meanings(&device.cards()), both, "{what}, at the device");
                sync(&mut world, &device, AlertCode::SLOW);
                assert_eq!(meanings(&world.cards()), both, "{what}, slow again");
            }
        }
    }
}

/// A device that was set up anew from a copy that cuts texts: what it has not is no wish to have it cut everywhere. What a card
/// has once is made whole; of what it may have several times, the whole one stays beside the cut one.
#[test]
fn row25_cut_texts_of_another_device_lose_nothing() {
    for world in World::each() {
        let (mut world, _) = synced(world);
        let before = common::lines(&world.cards());
        let fresh = Device::new("fresh");
        for card in book() {
            fresh.put(&truncated(&card));
        }
        assert!(fresh.cards().concat().contains("TITLE:Head of \n"), "it is cut");
        for _ in 0..2 {
            sync(&mut world, &fresh, AlertCode::TWO_WAY);
            for cards in [world.cards(), fresh.cards()] {
                let after = common::lines(&cards);
                let lost: Vec<_> = before.iter().filter(|(line, count)| after.get(*line) != Some(*count)).collect();
                assert!(lost.is_empty(), "{lost:?}");
                assert_eq!(cards.concat().matches("TITLE:").count(), 1);
            }
        }
    }
}
