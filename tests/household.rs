//! Three devices that can hold more and less sync one book in random order: nobody loses anything to another (X3).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/gadget.rs"]
mod gadget;

use common::{World, stores};
use gadget::{Field, Gadget, field, framed, is_frame};
use std::collections::{BTreeMap, BTreeSet};
use syncml::message::Op;
use syncml::session::ServerConfig;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

const PLATFORM: [&str; 30] = [
    "N", "FN", "TEL", "EMAIL", "ADR", "ORG", "TITLE", "ROLE", "NOTE", "URL", "BDAY", "NICKNAME", "LABEL", "CLASS",
    "MAILER", "TZ", "X-1", "X-2", "X-3", "X-4", "X-5", "X-6", "X-7", "X-8", "X-9", "X-10", "X-11", "X-12", "X-13",
    "X-14",
];

/// Once in a card; the others may be there several times.
const SINGLE: [&str; 6] = ["ORG", "TITLE", "ROLE", "CLASS", "MAILER", "TZ"];

/// One change of a device's user: of which contact, and what went and came.
struct Touch {
    who: String,
    went: Option<(String, String)>,
    came: Option<(String, String)>,
}

/// A phone with 8 fields, a platform with 30 and a SIM with 2 sync one book in random order with random edits: the server has
/// every field ever entered and not removed by somebody who could see it.
#[test]
fn a_phone_a_platform_and_a_sim_lose_nothing_to_each_other() {
    for (seed, store) in (0..).zip(stores()) {
        let mut world = World::with(store, ServerConfig::default());
        let phone = [
            field("N"),
            ("TEL", Some(3), Some(20), &[][..]),
            ("EMAIL", Some(2), None, &[]),
            field("ORG"),
            field("TITLE"),
            ("NOTE", Some(1), Some(20), &[]),
            field("URL"),
            field("X-1"),
        ];
        let platform: Vec<Field> = PLATFORM.iter().map(|name| field(name)).collect();
        let mut devices = [
            Gadget::new("phone", &phone),
            Gadget::new("platform", &platform),
            Gadget::new("sim", &[("N", None, Some(12), &[]), ("TEL", Some(1), Some(20), &[])]),
        ];
        let may: [&[&str]; 3] = [&["TEL", "EMAIL", "ORG", "TITLE", "NOTE", "URL", "X-1"], &PLATFORM[2..], &["TEL"]];
        let mut dice = Dice(0x5EED + seed);
        let mut number = 0;
        // By contact, what was entered and not removed.
        let mut entered: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        let mut pending: [Vec<Touch>; 3] = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..200 {
            for at in 0..3 {
                for _ in 0..dice.roll(3) {
                    play(&mut devices[at], may[at], &mut dice, &mut number, &mut pending[at], round < 120);
                }
            }
            let at = dice.roll(3);
            let got = devices[at].sync(&mut world);
            settle(&mut entered, std::mem::take(&mut pending[at]));
            for (op, card) in got {
                assert_ne!(op, Op::Delete, "nobody deleted {card}");
            }
            check(&world, &entered, &format!("store {seed}, round {round}, {}", devices[at].id));
        }
        assert!(
            entered.len() > 20 && entered.values().map(BTreeSet::len).sum::<usize>() > 200,
            "there was something to lose"
        );
        // And once all have told, all have what they can hold.
        for _ in 0..2 {
            for (device, pending) in devices.iter_mut().zip(&mut pending) {
                device.sync(&mut world);
                settle(&mut entered, std::mem::take(pending));
            }
        }
        check(&world, &entered, "in the end");
        let cards = world.cards();
        for device in &devices {
            let wanted: BTreeSet<String> =
                cards.iter().map(|card| sorted(&device.keep(&card.replace('\n', "\r\n")))).collect();
            let has: BTreeSet<String> = device.cards.values().map(|card| sorted(card)).collect();
            assert_eq!(has, wanted, "{}", device.id);
        }
    }
}

fn sorted(card: &str) -> String {
    let mut lines: Vec<&str> = card.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A user does something: a new contact, another line, one line less, or one changed.
fn play(device: &mut Gadget, may: &[&str], dice: &mut Dice, number: &mut u32, pending: &mut Vec<Touch>, adds: bool) {
    *number += 1;
    let name = may[dice.roll(may.len())];
    let value = match name {
        "TEL" => format!("+4930{number:07}"),
        _ => format!("v{number}x and a long tail behind it"),
    };
    let fresh = (name.to_owned(), value);
    let luids: Vec<String> = device.cards.keys().cloned().collect();
    if luids.is_empty() || adds && dice.roll(12) == 0 {
        let who = format!("P{number:05}");
        let lines = [format!("N:{who};Given;;;"), format!("{}:{}", fresh.0, fresh.1)];
        device.add(&framed(&[&lines[0], &lines[1]]));
        let came = came(device, &who, &fresh);
        pending.push(Touch { who, went: None, came });
        return;
    }
    let luid = luids[dice.roll(luids.len())].clone();
    let card = device.cards[&luid].clone();
    let who = card.lines().find_map(|line| line.strip_prefix("N:")).unwrap().split(';').next().unwrap().to_owned();
    let mut lines: Vec<String> = card.lines().filter(|line| !is_frame(line)).map(str::to_owned).collect();
    let mine: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with(&format!("{name}:"))).collect();
    let old = (!mine.is_empty()).then(|| mine[dice.roll(mine.len())]);
    let single = SINGLE.contains(&name);
    let went = match (old, dice.roll(3)) {
        (Some(at), 0) => Some((lines.remove(at), None)),
        (Some(at), choice) if single || choice == 1 => {
            Some((std::mem::replace(&mut lines[at], format!("{}:{}", fresh.0, fresh.1)), Some(fresh.clone())))
        }
        _ => {
            lines.push(format!("{}:{}", fresh.0, fresh.1));
            None
        }
    };
    let before = device.cards[&luid].clone();
    let kept = device.keep(&framed(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    // What does not fit any more was not entered.
    if kept.lines().count() < lines.len() + 3 {
        device.cards.insert(luid, before);
        return;
    }
    device.cards.insert(luid.clone(), kept);
    device.touched.insert(luid);
    let split = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let came = match &went {
        Some((_, None)) => None,
        _ => came(device, &who, &fresh),
    };
    pending.push(Touch { who, went: went.and_then(|(line, _)| split(&line)), came });
}

/// What of an entry the device keeps.
fn came(device: &Gadget, who: &str, fresh: &(String, String)) -> Option<(String, String)> {
    let card = device.card(who);
    let line = card.lines().find(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name == fresh.0 && !value.is_empty() && fresh.1.starts_with(value))
    })?;
    Some((fresh.0.clone(), line.split_once(':').unwrap().1.to_owned()))
}

/// What a device's user did has come to the server.
fn settle(entered: &mut BTreeMap<String, BTreeSet<(String, String)>>, touches: Vec<Touch>) {
    for Touch { who, went, came } in touches {
        let fields = entered.entry(who).or_default();
        if let Some((name, value)) = went {
            // What it saw may have been cut.
            fields.retain(|(known, full)| *known != name || !full.starts_with(&value));
        }
        if let Some((name, value)) = came {
            // Where both changed what a card has once, the later word stands; the other is in the history.
            if SINGLE.contains(&&*name) {
                fields.retain(|(known, _)| *known != name);
            }
            fields.insert((name, value));
        }
    }
}

fn check(world: &World, entered: &BTreeMap<String, BTreeSet<(String, String)>>, when: &str) {
    let cards = world.cards();
    for (who, fields) in entered {
        let mut of = cards.iter().filter(|card| card.contains(&format!("N:{who};")));
        let (card, more) = (of.next().unwrap_or_else(|| panic!("{when}: {who} is gone")), of.next());
        assert_eq!(more, None, "{when}: {who} is there twice");
        for (name, value) in fields {
            let there =
                card.lines().any(|line| line.split_once(':').is_some_and(|(has, says)| has == name && says == value));
            assert!(there, "{when}: {who} lost {name}:{value}\n{card}");
        }
    }
}
