//! Filters and changes of single fields, both roles ours (§3.16, §3.17): a device gets what it asks for, and nobody loses
//! anything for it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, World, card};
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Version};
use syncml::session::{BookFilter, ClientError, Report};
use syncml::store::BookNo;
use syncml::sync::filter::FilterType;

/// A card of somebody who works somewhere, with more than a name and a number.
fn of(org: &str, name: &str, number: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};Ann;;;\r\nFN:Ann {name}\r\nTEL;TYPE=CELL:{number}\r\nORG:{org}\r\n\
         EMAIL:{name}@example.com\r\nNOTE:about {name}\r\nEND:VCARD\r\n"
    )
}

fn records(record: &str, filter_type: FilterType) -> Option<BookFilter> {
    Some(BookFilter { record: Some(record.to_owned()), fields: Vec::new(), filter_type })
}

fn fields(names: &[&str]) -> Option<BookFilter> {
    let fields = names.iter().map(|name| (*name).to_owned()).collect();
    Some(BookFilter { record: None, fields, filter_type: FilterType::Inclusive })
}

/// A server with two of ACME and two of Other, and a device that filters beside one that does not.
struct Two {
    world: World,
    one: Device,
    all: Device,
}

impl Two {
    fn each() -> Vec<Self> {
        let mut twos = Vec::new();
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            for world in World::each() {
                world.put(&of("ACME", "Acme1", "+4930111"));
                world.put(&of("ACME", "Acme2", "+4930112"));
                world.put(&of("Other", "Other1", "+4930221"));
                world.put(&of("Other", "Other2", "+4930222"));
                let mut one = Device::new("one");
                one.config.encoding = encoding;
                twos.push(Self { world, one, all: Device::new("all") });
            }
        }
        twos
    }

    fn sync(&mut self) -> Report {
        let report = self.world.sync(&self.one).unwrap();
        assert!(report.clean, "{report:?}\n{}", self.world.outline());
        report
    }

    fn sync_all(&mut self) {
        let report = self.world.sync(&self.all).unwrap();
        assert!(report.clean, "{report:?}\n{}", self.world.outline());
    }

    fn server(&self) -> Vec<String> {
        names(&self.world.cards())
    }

    fn device(&self) -> Vec<String> {
        names(&self.one.cards())
    }

    fn edit(&self, text: &str, content: &str) {
        let store = self.world.server.store().clone();
        let guid = common::find(store.as_ref(), self.world.account, BookNo::CONTACTS, text);
        common::put(store.as_ref(), self.world.account, BookNo::CONTACTS, Some(guid), content, self.world.now);
    }

    fn delete(&self, text: &str) {
        let store = self.world.server.store().clone();
        let guid = common::find(store.as_ref(), self.world.account, BookNo::CONTACTS, text);
        common::delete(store.as_ref(), self.world.account, BookNo::CONTACTS, guid, self.world.now);
    }

    /// Without a filter the device gets everything, and all are equal.
    fn ends_with(&mut self, expected: &[&str]) {
        self.one.config.books[0].filter = None;
        self.one.config.books[0].mode = AlertCode::TWO_WAY;
        for _ in 0..2 {
            self.sync();
            self.sync_all();
        }
        assert_eq!(self.server(), expected);
        assert_eq!(common::lines(&self.world.cards()), common::lines(&self.one.cards()));
        assert_eq!(common::lines(&self.world.cards()), common::lines(&self.all.cards()));
        let report = self.sync();
        assert_eq!((report.books[0].sent, report.books[0].received), Default::default(), "nothing is left to say");
    }
}

/// The last names, sorted.
fn names(cards: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        cards.iter().map(|card| card.split_once("\nN:").unwrap().1.split(';').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The lines, sorted, of a device's card that are not those every card has.
fn says(device: &Device, name: &str) -> Vec<String> {
    let card = device.cards().into_iter().find(|card| card.contains(&format!("N:{name}"))).unwrap();
    let all = ["BEGIN", "END", "VERSION", "N", "FN"];
    let mut lines: Vec<String> =
        card.lines().filter(|line| !all.contains(&line.split([':', ';']).next().unwrap())).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn flt1_inclusive_sends_what_matches_and_removes_nothing() {
    for mut two in Two::each() {
        two.one.config.books[0].filter = records("ORG&EQ;ACME", FilterType::Inclusive);
        two.one.put(&of("Home", "Mine", "+4930331"));
        two.sync();
        assert_eq!(two.device(), ["Acme1", "Acme2", "Mine"]);
        assert_eq!(two.server(), ["Acme1", "Acme2", "Mine", "Other1", "Other2"]);

        // Nothing happened, nothing is said.
        let report = two.sync();
        assert_eq!((report.books[0].sent, report.books[0].received), Default::default());

        // One leaves the filter and is kept up all the same, one comes, one stays outside; the device's own is edited
        // there, and one of the device's is edited here.
        two.edit("Acme1", &of("Home", "Acme1", "+4930119"));
        two.edit("Other1", &of("ACME", "Other1", "+4930221"));
        two.edit("Other2", &of("Other", "Other2", "+4930229"));
        two.edit("Mine", &of("Home", "Mine", "+4930339"));
        two.one.edit(two.one.find("Acme2"), &of("Elsewhere", "Acme2", "+4930112"));
        two.sync();
        assert_eq!(two.device(), ["Acme1", "Acme2", "Mine", "Other1"]);
        let text = two.one.cards().concat();
        assert!(text.contains("+4930119") && text.contains("+4930339"), "{text}");
        assert!(two.world.cards().concat().contains("Elsewhere"));

        // Deletes go both ways, whatever the filter says.
        two.one.delete(two.one.find("Other1"));
        two.delete("Acme1");
        two.sync();
        assert_eq!(two.device(), ["Acme2", "Mine"]);
        assert_eq!(two.server(), ["Acme2", "Mine", "Other2"]);
        two.ends_with(&["Acme2", "Mine", "Other2"]);
    }
}

#[test]
fn flt2_exclusive_removes_from_the_device_only() {
    for mut two in Two::each() {
        two.sync();
        assert_eq!(two.device(), two.server());
        two.one.config.books[0].filter = records("ORG&EQ;ACME", FilterType::Exclusive);
        two.one.put(&of("Home", "Mine", "+4930331"));
        let report = two.sync();
        assert_eq!(report.books[0].received.deleted, 3, "two that it had, and its own new one");
        assert_eq!(two.device(), ["Acme1", "Acme2"]);
        assert_eq!(two.server(), ["Acme1", "Acme2", "Mine", "Other1", "Other2"], "nothing is lost here");
        let report = two.sync();
        assert_eq!((report.books[0].sent, report.books[0].received), Default::default());

        // An item leaves, one comes in, the device throws one out by its own edit, one is edited outside.
        two.edit("Acme1", &of("Other", "Acme1", "+4930111"));
        two.edit("Other1", &of("ACME", "Other1", "+4930221"));
        two.edit("Mine", &of("Home", "Mine", "+4930339"));
        two.one.edit(two.one.find("Acme2"), &of("Elsewhere", "Acme2", "+4930119"));
        two.sync();
        assert_eq!(two.device(), ["Other1"]);
        assert_eq!(two.server(), ["Acme1", "Acme2", "Mine", "Other1", "Other2"]);
        assert!(two.world.cards().concat().contains("+4930119"), "what it said last counts");

        // The filter changes: what came in before is out, and the other way round.
        two.one.config.books[0].filter = records("ORG&EQ;Other&OR;FN&CON;Mine", FilterType::Exclusive);
        two.sync();
        assert_eq!(two.device(), ["Acme1", "Mine", "Other2"]);
        two.one.delete(two.one.find("Other2"));
        two.sync();
        two.ends_with(&["Acme1", "Acme2", "Mine", "Other1"]);
    }
}

#[test]
fn flt2_an_edit_that_crosses_a_removal_is_neither_lost_nor_doubled() {
    for mut two in Two::each() {
        two.sync();
        two.one.config.books[0].filter = records("ORG&EQ;ACME", FilterType::Exclusive);
        two.sync();
        // It was removed; somebody puts the same contact in again by hand.
        two.one.put(&of("ACME", "Other1", "+4930221"));
        two.sync();
        assert_eq!(two.device(), ["Acme1", "Acme2", "Other1"]);
        two.ends_with(&["Acme1", "Acme2", "Other1", "Other2"]);
    }
}

#[test]
fn refreshes_and_slow_syncs_keep_to_the_filter() {
    for filter_type in [FilterType::Inclusive, FilterType::Exclusive] {
        for mut two in Two::each() {
            two.one.config.books[0].filter = records("ORG&EQ;ACME", filter_type);
            two.sync();
            two.one.delete(two.one.find("Acme1"));
            two.one.config.books[0].mode = AlertCode::REFRESH_FROM_CLIENT;
            two.sync();
            assert_eq!(two.server(), ["Acme2", "Other1", "Other2"], "what the filter kept from it is not deleted");
            two.one.config.books[0].mode = AlertCode::SLOW;
            two.sync();
            assert_eq!(two.device(), ["Acme2"]);
            // With another filter nobody knows what a refresh is about.
            two.one.config.books[0].filter = None;
            two.one.config.books[0].mode = AlertCode::REFRESH_FROM_CLIENT;
            two.sync();
            assert_eq!(two.server(), ["Acme2", "Other1", "Other2"]);
            two.one.config.books[0].filter = records("ORG&EQ;Other", filter_type);
            two.one.config.books[0].mode = AlertCode::REFRESH_FROM_SERVER;
            two.sync();
            let expected: &[&str] = match filter_type {
                FilterType::Exclusive => &["Other1", "Other2"],
                FilterType::Inclusive => &["Acme2", "Other1", "Other2"],
            };
            assert_eq!(two.device(), expected, "{filter_type:?}");
            two.ends_with(&["Acme2", "Other1", "Other2"]);
        }
    }
}

#[test]
fn flt6_fields_that_were_not_asked_for_are_neither_sent_nor_lost() {
    for mut two in Two::each() {
        two.one.config.books[0].filter = fields(&["TEL"]);
        two.sync();
        assert_eq!(two.device(), ["Acme1", "Acme2", "Other1", "Other2"]);
        assert_eq!(says(&two.one, "Acme1"), ["TEL;TYPE=CELL:+4930111"]);

        // The device edits a card that it saw in part, and removes what it saw of another; the server edits hidden and
        // shown fields.
        two.one.edit(two.one.find("Acme1"), &card("Acme1", "+4930118"));
        two.one.edit(
            two.one.find("Acme2"),
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Acme2;Ann;;;\r\nFN:Ann Acme2\r\nEND:VCARD\r\n",
        );
        two.edit("N:Other1", &of("Hidden", "Other1", "+4930221"));
        two.edit("N:Other2", &of("Hidden", "Other2", "+4930229"));
        let report = two.sync();
        assert_eq!(report.books[0].received.changed, 1, "a change of what is hidden is no change there");
        assert_eq!(says(&two.one, "Other2"), ["TEL;TYPE=CELL:+4930229"]);
        let text = two.world.cards().concat();
        assert!(text.contains("+4930118") && !text.contains("+4930112"), "{text}");
        for name in ["Acme1", "Acme2", "Other1", "Other2"] {
            assert!(text.contains(&format!("EMAIL:{name}@example.com\nNOTE:about {name}")), "{text}");
        }
        // Both sides edit one card.
        two.one.edit(two.one.find("Acme1"), &card("Acme1", "+4930117"));
        two.edit("N:Acme1", &of("Merged", "Acme1", "+4930118"));
        two.sync();
        let text = two.world.cards().concat();
        assert!(text.contains("+4930117") && text.contains("Merged"), "{text}");

        // More fields, then all of them: the device gets what it lacks.
        two.one.config.books[0].filter = fields(&["TEL", "ORG"]);
        two.sync();
        assert_eq!(says(&two.one, "Other1"), ["ORG:Hidden", "TEL;TYPE=CELL:+4930221"]);
        two.one.edit(two.one.find("Other1"), &card("Other1", "+4930221"));
        two.sync();
        two.ends_with(&["Acme1", "Acme2", "Other1", "Other2"]);
        let text = two.one.cards().concat();
        assert!(text.contains("EMAIL:Other1@example.com\nNOTE:about Other1"), "{text}");
        assert!(!says(&two.one, "Other1").iter().any(|line| line.starts_with("ORG")), "what it saw it could remove");
    }
}

#[test]
fn flt6_a_device_that_holds_more_than_it_asks_for_keeps_it() {
    for mut two in Two::each() {
        two.sync();
        two.one.config.books[0].filter = fields(&["TEL"]);
        two.edit("N:Acme1", &of("New", "Acme1", "+4930118"));
        two.one.put(&of("Mine", "Mine", "+4930331"));
        two.sync();
        assert!(two.world.cards().concat().contains("NOTE:about Mine"), "its own changes are sent whole");
        assert_eq!(
            says(&two.one, "Acme1"),
            ["EMAIL:Acme1@example.com", "NOTE:about Acme1", "ORG:ACME", "TEL;TYPE=CELL:+4930118"],
            "the old text of what it did not ask for"
        );
        // It edits it then: the new one stays on the server.
        two.one.edit(two.one.find("Acme1"), &of("ACME", "Acme1", "+4930119"));
        two.sync();
        two.ends_with(&["Acme1", "Acme2", "Mine", "Other1", "Other2"]);
        assert!(two.world.cards().concat().contains("+4930119"));
    }
}

#[test]
fn records_are_filtered_by_address_before_1_2() {
    for version in [Version::V10, Version::V11] {
        for mut two in Two::each() {
            two.one.config.version = version;
            two.one.config.books[0].filter = records("ORG&EQ;ACME", FilterType::Exclusive);
            two.one.put(&of("Home", "Mine", "+4930331"));
            two.sync();
            two.sync();
            assert_eq!(two.device(), ["Acme1", "Acme2", "Mine"], "nothing is removed");
            two.ends_with(&["Acme1", "Acme2", "Mine", "Other1", "Other2"]);
        }
    }
}

#[test]
fn a_filter_that_is_refused_is_explained() {
    for mut two in Two::each() {
        two.one.config.books[0].filter = records("N&LIKE;x", FilterType::Inclusive);
        let error = two.world.sync(&two.one).unwrap_err();
        assert!(matches!(error, ClientError::Filter(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "the filter cannot be used: the filter is malformed at byte 7: an operator is expected"
        );
        assert!(two.world.wire.is_empty(), "nothing was sent");
    }
}

#[test]
fn many_messages_and_a_filter() {
    let mut world = World::new();
    for n in 0..150 {
        world.put(&of(if n % 3 == 0 { "ACME" } else { "Other" }, &format!("Name{n:03}"), &format!("+49301{n:05}")));
    }
    let mut one = Device::new("one");
    one.config.max_msg_size = 4_000;
    assert!(world.sync(&one).unwrap().clean);
    assert_eq!(one.cards().len(), 150);
    one.config.books[0].filter = records("ORG&EQ;ACME", FilterType::Exclusive);
    let report = world.sync(&one).unwrap();
    assert_eq!((report.clean, report.books[0].received.deleted), (true, 100));
    assert_eq!(one.cards().len(), 50);
    assert_eq!(world.cards().len(), 150);
    one.config.books[0].filter = None;
    assert_eq!(world.sync(&one).unwrap().books[0].received.added, 100);
    assert_eq!(world.cards(), one.cards());
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Runs a session, of which the answer number `lost` does not arrive: the device comes back another time.
fn sync_broken(world: &mut World, device: &Device, lost: usize) {
    world.tick();
    let mut client =
        syncml::session::Client::begin(device.store.clone(), device.account, device.config.clone(), world.now).unwrap();
    for n in 0.. {
        let Some(out) = client.outgoing() else { return };
        let Ok(reply) = world.post(&out) else { return };
        if n == lost || client.received(reply.content_type, &reply.body, world.now).is_err() {
            return;
        }
    }
}

fn set(card: &str, name: &str, line: &str) -> String {
    let kept = card.lines().filter(|it| !it.starts_with(name) && *it != "END:VCARD");
    kept.chain([line, "END:VCARD"]).map(|line| format!("{line}\r\n")).collect()
}

/// Devices that filter differently each time and often break off: what one side said of a field that only it edits is true
/// in the end, everywhere, once.
#[test]
fn nothing_is_lost_whatever_is_filtered() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let devices = [Device::new("one"), Device::new("two")];
        // By name: the number, which the first device edits, and the note and company, which the server edits.
        let mut truth: std::collections::BTreeMap<String, [String; 3]> = Default::default();
        let mut log = Vec::new();
        for step in 0..30 {
            let at = dice.roll(2);
            let mut device = Device { config: devices[at].config.clone(), ..Device::new("none") };
            (device.store, device.account) = (devices[at].store.clone(), devices[at].account);
            let what = dice.roll(10);
            match what {
                0 | 1 => {
                    let name = format!("Name{step:02}");
                    let org = ["ACME", "Other"][dice.roll(2)];
                    let (number, note) = (format!("+4930{seed:04}{step:02}"), format!("note {step}"));
                    let card = set(&common::card(&name, &number), "ORG", &format!("ORG:{org}"));
                    let card = set(&card, "NOTE", &format!("NOTE:{note}"));
                    truth.insert(
                        name,
                        [format!("TEL;TYPE=CELL:{number}"), format!("NOTE:{note}"), format!("ORG:{org}")],
                    );
                    match what {
                        0 => world.put(&card),
                        _ => device.put(&card),
                    };
                }
                2 | 3 => {
                    let cards = world.cards();
                    if cards.is_empty() {
                        continue;
                    }
                    let card = &cards[dice.roll(cards.len())];
                    let name = names(std::slice::from_ref(card)).remove(0);
                    let (note, org) = (format!("NOTE:edit {step}"), format!("ORG:{}", ["ACME", "Other"][dice.roll(2)]));
                    let new = set(&set(card, "ORG", &org), "NOTE", &note);
                    let said = truth.get_mut(&name).unwrap();
                    (said[1], said[2]) = (note, org);
                    let store = world.server.store().clone();
                    let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, &format!("N:{name};"));
                    common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), &new, world.now);
                }
                4 => {
                    let (device, cards) = (&devices[0], devices[0].cards());
                    if cards.is_empty() {
                        continue;
                    }
                    let card = &cards[dice.roll(cards.len())];
                    let name = names(std::slice::from_ref(card)).remove(0);
                    let number = format!("TEL;TYPE=CELL:+4939{seed:04}{step:02}");
                    truth.get_mut(&name).unwrap()[0].clone_from(&number);
                    device.edit(device.find(&format!("N:{name};")), &set(card, "TEL", &number));
                }
                _ => {
                    let filter_type = [FilterType::Inclusive, FilterType::Exclusive][dice.roll(2)];
                    let wanted: &[&[&str]] = &[&[], &[], &["TEL"], &["TEL", "NOTE"], &["ORG"]];
                    let fields = wanted[dice.roll(5)].iter().map(|name| (*name).to_owned()).collect();
                    let record = ["", "ORG&EQ;ACME", "ORG&EQ;Other&AND;NOTE&CON;edit"][dice.roll(3)];
                    let record = (!record.is_empty()).then(|| record.to_owned());
                    device.config.books[0].filter =
                        (dice.roll(4) > 0).then_some(BookFilter { record, fields, filter_type });
                    device.config.books[0].mode = [AlertCode::TWO_WAY, AlertCode::SLOW][dice.roll(8) / 7];
                    device.config.max_msg_size = [20_000, 2_500][dice.roll(2)];
                    let lost = dice.roll(12);
                    log.push(format!("{step}: {at} {:?} lost {lost}", device.config.books[0].filter));
                    sync_broken(&mut world, &device, lost);
                }
            }
        }
        for _ in 0..3 {
            for device in &devices {
                let report = world.sync(device).unwrap();
                assert!(report.clean, "seed {seed}: {report:?}");
            }
        }
        let log = log.join("\n");
        for (who, cards) in [("server", world.cards()), ("one", devices[0].cards()), ("two", devices[1].cards())] {
            assert_eq!(names(&cards), truth.keys().cloned().collect::<Vec<_>>(), "seed {seed}, {who}\n{log}");
            for card in cards {
                let said = &truth[&names(std::slice::from_ref(&card))[0]];
                for line in said {
                    assert!(card.lines().any(|it| it == line), "seed {seed}, {who} lacks {line}:\n{card}\n{log}");
                }
                // A number that the device removed while it asked not to see numbers may come back; an old note must not.
                let notes = card.lines().filter(|line| line.starts_with("NOTE")).count();
                assert_eq!(notes, 1, "seed {seed}, {who} has more:\n{card}\n{log}");
            }
        }
    }
}
