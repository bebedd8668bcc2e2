//! Devices that can hold less than the server, end to end: what they do not know they do not erase (X3). The pure laws are
//! beside the lens itself; here they go over the wire, with everything between.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Device, PASSWORD, SERVER_URI, World, stores};
use std::collections::{BTreeMap, BTreeSet};
use syncml::codec::{Encoding, encode_devinf};
use syncml::contact::lens::{Declared, DeclaredProperty, Lens, Rules, view};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{
    AlertCode, ContentCap, ContentType, DataStore, DevInf, Op, PropParam, Property, StatusCode, Version,
};
use syncml::session::{Profiles, ServerConfig};
use syncml::store::{BookNo, Verdict};

/// One field that a device declares: name, MaxOccur, MaxSize, types.
type Field = (&'static str, Option<u64>, Option<u64>, &'static [&'static str]);

const fn field(name: &'static str) -> Field {
    (name, None, None, &[])
}

/// What a device says of itself; `flat`: as 1.1 does, in one list for all datastores.
fn devinf(fields: &[Field], flat: bool) -> DevInf<'static> {
    let params = |types: &[&'static str]| -> Vec<PropParam<'static>> {
        match (types.is_empty(), flat) {
            (true, _) => Vec::new(),
            (false, true) => types.iter().map(|it| PropParam { name: (*it).into(), ..PropParam::default() }).collect(),
            (false, false) => {
                let values = types.iter().map(|it| (*it).into()).collect();
                vec![PropParam { name: "TYPE".into(), values, ..PropParam::default() }]
            }
        }
    };
    let properties = fields.iter().map(|(name, max_occur, max_size, types)| Property {
        name: (*name).into(),
        max_occur: *max_occur,
        max_size: *max_size,
        params: params(types),
        ..Property::default()
    });
    let cap = ContentCap {
        media_type: "text/vcard".into(),
        version: (!flat).then(|| "3.0".into()),
        properties: properties.collect(),
        ..ContentCap::default()
    };
    let caps = |here: bool| if here { vec![cap.clone()] } else { Vec::new() };
    DevInf {
        ver_dtd: Version::V12.dtd().into(),
        dev_id: "phone".into(),
        dev_type: "phone".into(),
        content_caps: caps(flat),
        stores: vec![DataStore {
            source_ref: "./card".into(),
            rx_pref: vec![ContentType::new("text/vcard", "3.0")],
            tx_pref: vec![ContentType::new("text/vcard", "3.0")],
            content_caps: caps(!flat),
            ..DataStore::default()
        }],
        ..DevInf::default()
    }
}

/// A device that keeps what fits into its memory and nothing else.
struct Gadget {
    id: &'static str,
    devinf: Option<DevInf<'static>>,
    /// What its memory holds, which is what it declares unless it is otherwise in a test.
    memory: Lens,
    cards: BTreeMap<String, String>,
    /// What its user touched since the last sync.
    touched: BTreeSet<String>,
    anchor: Option<String>,
    last_luid: u32,
    syncs: u32,
}

impl Gadget {
    fn new(id: &'static str, fields: &[Field]) -> Self {
        let mut this = Self {
            id,
            devinf: None,
            memory: Lens::default(),
            cards: BTreeMap::new(),
            touched: BTreeSet::new(),
            anchor: None,
            last_luid: 0,
            syncs: 0,
        };
        this.update(fields, false);
        this
    }

    /// A new firmware.
    fn update(&mut self, fields: &[Field], flat: bool) {
        let properties = fields.iter().map(|(name, max_occur, max_size, types)| DeclaredProperty {
            name: (*name).to_owned(),
            max_occur: *max_occur,
            max_size: *max_size,
            params: if types.is_empty() {
                Vec::new()
            } else {
                vec![("TYPE".to_owned(), types.iter().map(|it| (*it).to_owned()).collect())]
            },
            ..DeclaredProperty::default()
        });
        let declared = Declared { properties: properties.collect() };
        self.memory = Lens::of(Some(&declared), &Rules::default(), None).0;
        self.devinf = Some(devinf(fields, flat));
    }

    /// What its memory keeps of a card, written as it likes: other order, other line of reasoning about types.
    fn keep(&self, card: &str) -> String {
        let kept = String::from_utf8(view(card.as_bytes(), &self.memory).unwrap()).unwrap();
        let unfolded = kept.replace("\r\n ", "");
        let mut lines: Vec<&str> = unfolded.lines().filter(|line| !is_frame(line)).collect();
        lines.sort_unstable();
        framed(&lines)
    }

    fn find(&self, text: &str) -> String {
        let hits: Vec<&String> =
            self.cards.iter().filter(|(_, card)| card.contains(text)).map(|(luid, _)| luid).collect();
        assert_eq!(hits.len(), 1, "{text:?} is in {hits:?} of {}", self.id);
        hits[0].clone()
    }

    fn card(&self, text: &str) -> &str {
        &self.cards[&self.find(text)]
    }

    /// Its user changes a line of the card that has this text; to nothing removes it.
    fn edit(&mut self, text: &str, line: &str, to: &str) {
        let luid = self.find(text);
        let old = &self.cards[&luid];
        assert!(old.contains(&format!("{line}\r\n")), "{line} is not in {old}");
        let new = old.replace(&format!("{line}\r\n"), &if to.is_empty() { String::new() } else { format!("{to}\r\n") });
        let kept = self.keep(&new);
        self.cards.insert(luid.clone(), kept);
        self.touched.insert(luid);
    }

    fn add(&mut self, card: &str) {
        self.last_luid += 1;
        let kept = self.keep(card);
        self.cards.insert(self.last_luid.to_string(), kept);
        self.touched.insert(self.last_luid.to_string());
    }

    /// A sync; what the server sent, by operation.
    fn sync(&mut self, world: &mut World) -> Vec<(Op, String)> {
        let code = if self.anchor.is_some() { AlertCode::TWO_WAY } else { AlertCode::SLOW };
        self.sync_as(world, code)
    }

    fn sync_as(&mut self, world: &mut World, code: AlertCode) -> Vec<(Op, String)> {
        world.tick();
        self.syncs += 1;
        let mut phone = Phone::new(&world.server, self.id, "alice", PASSWORD, world.now);
        phone.devinf.clone_from(&self.devinf);
        let next = format!("{}", self.syncs);
        let heard = phone.begin(code, self.anchor.as_deref(), &next).unwrap();
        let all = [AlertCode::SLOW, AlertCode::REFRESH_FROM_CLIENT];
        let slow = heard.alerts.first().is_some_and(|(code, ..)| all.contains(code));
        let touched = std::mem::take(&mut self.touched);
        let told: Vec<String> = self.cards.keys().filter(|luid| slow || touched.contains(*luid)).cloned().collect();
        let changes = told.iter().map(|luid| phone.change(Op::Replace, luid, &self.cards[luid])).collect();
        let sync = phone.sync(changes);
        let mut heard = phone.say_after(&heard, vec![sync], true).unwrap();
        assert!(heard.codes("Replace").iter().all(|code| (200..300).contains(code)), "{heard:?}");
        let mut got = Vec::new();
        // A refresh from the device ends with the answers to its changes.
        let ends = code == AlertCode::REFRESH_FROM_CLIENT;
        loop {
            if ends {
                break;
            }
            let answers = self.take(&mut phone, &heard, &mut got);
            let last = heard.last;
            heard = phone.say_after(&heard, answers, true).unwrap();
            if last && heard.changes.is_empty() {
                break;
            }
        }
        self.anchor = Some(next);
        got
    }

    fn take(
        &mut self,
        phone: &mut Phone<'_>,
        heard: &Heard,
        got: &mut Vec<(Op, String)>,
    ) -> Vec<syncml::message::Command<'static>> {
        let (mut answers, mut pairs) = (Vec::new(), Vec::new());
        for told in &heard.changes {
            got.push((told.op, told.content.clone()));
            let code = match told.op {
                Op::Add => {
                    self.last_luid += 1;
                    let kept = self.keep(&told.content);
                    self.cards.insert(self.last_luid.to_string(), kept);
                    pairs.push((told.source.clone(), self.last_luid.to_string()));
                    StatusCode::ITEM_ADDED
                }
                Op::Delete => {
                    self.cards.remove(&told.target);
                    StatusCode::OK
                }
                _ => {
                    assert!(self.cards.contains_key(&told.target), "{told:?}");
                    let kept = self.keep(&told.content);
                    self.cards.insert(told.target.clone(), kept);
                    StatusCode::OK
                }
            };
            answers.push(phone.status(heard, told, code));
        }
        if !pairs.is_empty() {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (&**guid, &**luid)).collect();
            answers.push(phone.map(&pairs));
        }
        answers
    }
}

fn is_frame(line: &str) -> bool {
    ["BEGIN:", "END:", "VERSION:"].iter().any(|frame| line.starts_with(frame))
}

fn framed(lines: &[&str]) -> String {
    let mut out = "BEGIN:VCARD\r\nVERSION:3.0\r\n".to_owned();
    lines.iter().for_each(|line| out += &format!("{line}\r\n"));
    out + "END:VCARD\r\n"
}

const ANN: &[&str] = &[
    "N:Meier;Annegret;;;",
    "FN:Annegret Meier",
    "item1.TEL;TYPE=CELL:+4917011111",
    "item1.X-ABLabel:Boat",
    "TEL;TYPE=HOME:+493022222",
    "EMAIL;TYPE=WORK:annegret@example.com",
    "NOTE:Met in Paris in the rain\\, and in Rome",
    "X-EPOCSECONDNAME;X-P=1:q",
    "UID:urn:uuid:1",
];

/// A server that has Ann, for each kind of store, and a phone that has synced her.
fn met(fields: &[Field]) -> Vec<(World, Gadget)> {
    met_with(fields, Profiles::shipped())
}

fn met_with(fields: &[Field], profiles: Profiles) -> Vec<(World, Gadget)> {
    let met = |store| {
        let mut config = ServerConfig::default();
        config.profiles = profiles.clone();
        let mut world = World::with(store, config);
        world.put(&framed(ANN));
        let mut phone = Gadget::new("phone", fields);
        assert_eq!(phone.sync(&mut world).len(), 1);
        assert!(phone.sync(&mut world).is_empty(), "nothing is left to say");
        (world, phone)
    };
    stores().into_iter().map(met).collect()
}

/// The server's only card, without its frame.
fn server(world: &World) -> Vec<String> {
    let cards = world.cards();
    assert_eq!(cards.len(), 1, "{cards:?}");
    cards[0].lines().filter(|line| !is_frame(line)).map(str::to_owned).collect()
}

fn edit_server(world: &World, lines: &[&str]) {
    let store = world.server.store().clone();
    let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, "Annegret");
    common::put(store.as_ref(), world.account, BookNo::CONTACTS, Some(guid), &framed(lines), world.now);
}

/// Field note 16: a device drops what it does not know; nobody else loses it. Field note 20: nor groups and labels.
#[test]
fn row16_row20_what_a_device_cannot_hold_survives_its_edits() {
    for (mut world, mut phone) in met(&[field("N"), field("FN"), field("TEL")]) {
        assert!(
            !phone.card("Meier").contains("NOTE") && !phone.card("Meier").contains("X-"),
            "{}",
            phone.card("Meier")
        );
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        assert!(phone.sync(&mut world).is_empty(), "its own edit is not sent back");
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.retain(|line| !line.contains("22222"));
        expected.push("TEL;TYPE=HOME:+493099999");
        assert_eq!(server(&world), expected);
        assert!(phone.sync(&mut world).is_empty());
        // From zero, as after a reset of its anchors: still the same, and nothing doubled.
        phone.anchor = None;
        assert!(phone.sync(&mut world).is_empty());
        assert_eq!(server(&world), expected);
    }
}

/// Nor where the device's word replaces what is here: a refresh from it, with all its ids new.
#[test]
fn what_a_device_cannot_hold_survives_a_refresh_from_it() {
    for anew in [false, true] {
        for (mut world, mut phone) in met(&[field("N"), field("FN"), field("TEL")]) {
            phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
            if anew {
                let luid = phone.find("Meier");
                let card = phone.cards.remove(&luid).unwrap();
                phone.cards.insert("77".to_owned(), card);
            }
            phone.sync_as(&mut world, AlertCode::REFRESH_FROM_CLIENT);
            let mut expected: Vec<&str> = ANN.to_vec();
            expected.retain(|line| !line.contains("22222"));
            expected.push("TEL;TYPE=HOME:+493099999");
            assert_eq!(server(&world), expected, "ids anew: {anew}");
            assert!(phone.sync(&mut world).is_empty());
            assert_eq!(server(&world), expected, "ids anew: {anew}");
        }
    }
}

/// Field note 17: clearing a field clears it; not having had it does not. A firmware that newly declares a field gets it.
#[test]
fn row17_a_new_firmware_erases_nothing_and_a_cleared_field_is_cleared() {
    for flat in [false, true] {
        for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
            phone.update(&[field("N"), field("TEL"), field("NOTE"), field("EMAIL")], flat);
            phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "");
            let got = phone.sync(&mut world);
            assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("Paris")), "{got:?}");
            let mut expected: Vec<&str> = ANN.to_vec();
            expected.retain(|line| !line.contains("22222"));
            assert_eq!(server(&world), expected, "the number is gone, what is new to it is not");
            assert!(phone.card("Meier").contains("Paris"));
            // Now it has the note, and its user clears that.
            phone.edit("Meier", "NOTE:Met in Paris in the rain\\, and in Rome", "");
            phone.sync(&mut world);
            expected.retain(|line| !line.starts_with("NOTE"));
            assert_eq!(server(&world), expected);
            // An older firmware again: the addresses that it forgets stay.
            phone.update(&[field("N"), field("TEL")], flat);
            let kept = phone.keep(phone.card("Meier"));
            let luid = phone.find("Meier");
            phone.cards.insert(luid.clone(), kept);
            phone.touched.insert(luid);
            phone.sync(&mut world);
            assert_eq!(server(&world), expected);
            assert!(phone.sync(&mut world).is_empty());
        }
    }
}

/// Without an edit, too: what a firmware newly declares is sent.
#[test]
fn what_is_newly_declared_is_sent() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.update(&[field("N"), field("TEL"), field("NOTE")], false);
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("Paris")), "{got:?}");
        assert_eq!(server(&world), ANN);
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// L5: what a device showed beyond its declaration it is sent from then on, and may clear. A new declaration takes the place
/// of the old one only: what was observed stays.
#[test]
fn what_a_device_showed_is_known_under_a_new_declaration_too() {
    let memory = |fields: &[Field]| Gadget::new("", fields).memory;
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        // It has titles, which it does not declare.
        phone.memory = memory(&[field("N"), field("TEL"), field("TITLE")]);
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493022222\r\nTITLE:Captain");
        assert!(phone.sync(&mut world).is_empty());
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.push("TITLE:Captain");
        assert_eq!(server(&world), expected);
        assert!(phone.sync(&mut world).is_empty(), "it has that");
        *expected.last_mut().unwrap() = "TITLE:Admiral";
        edit_server(&world, &expected);
        let got = phone.sync(&mut world);
        let title_only = |card: &str| card.contains("TITLE:Admiral") && !card.contains("Paris");
        assert!(matches!(&got[..], [(Op::Replace, card)] if title_only(card)), "{got:?}");
        // Another firmware: it declares addresses now, and titles no more than before.
        phone.update(&[field("N"), field("TEL"), field("EMAIL")], false);
        phone.memory = memory(&[field("N"), field("TEL"), field("EMAIL"), field("TITLE")]);
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "");
        let got = phone.sync(&mut world);
        let both = |card: &str| card.contains("TITLE:Admiral") && card.contains("EMAIL") && !card.contains("Paris");
        assert!(matches!(&got[..], [(Op::Replace, card)] if both(card)), "{got:?}");
        expected.retain(|line| !line.contains("22222"));
        assert_eq!(server(&world), expected, "what is new to it is not erased, nor what it does not declare");
        assert!(phone.sync(&mut world).is_empty());
        phone.edit("Meier", "TITLE:Admiral", "");
        phone.sync(&mut world);
        expected.pop();
        assert_eq!(server(&world), expected, "what it had it cleared");
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// And where a sync breaks off, what was shown in it is observed.
#[test]
fn what_a_device_showed_in_a_broken_sync_is_observed() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.memory = Gadget::new("", &[field("N"), field("TEL"), field("TITLE")]).memory;
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493022222\r\nTITLE:Captain");
        world.tick();
        let luid = phone.find("Meier");
        {
            let mut talk = Phone::new(&world.server, phone.id, "alice", PASSWORD, world.now);
            talk.devinf.clone_from(&phone.devinf);
            let heard = talk.begin(AlertCode::TWO_WAY, phone.anchor.as_deref(), "broken").unwrap();
            let change = talk.change(Op::Replace, &luid, &phone.cards[&luid]);
            let sync = talk.sync(vec![change]);
            talk.say_after(&heard, vec![sync], true).unwrap();
        }
        let mut expected: Vec<&str> = ANN.to_vec();
        expected.push("TITLE:Admiral");
        edit_server(&world, &expected);
        phone.touched.clear();
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("TITLE:Admiral")), "{got:?}");
        assert_eq!(server(&world), expected);
    }
}

/// Field note 25: a phone cuts and sends back what it cut.
#[test]
fn row25_a_truncated_echo_truncates_nothing() {
    for (mut world, mut phone) in met(&[("N", None, Some(10), &[]), field("TEL"), ("NOTE", None, Some(12), &[])]) {
        assert!(phone.card("Meier").contains("NOTE:Met in Paris\r\n"), "{}", phone.card("Meier"));
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        phone.sync(&mut world);
        let now = server(&world);
        assert!(now.contains(&ANN[6].to_owned()) && now.contains(&ANN[0].to_owned()), "{now:?}");
        // A letter less is an edit.
        phone.edit("Meier", "NOTE:Met in Paris", "NOTE:Met in Pari");
        phone.sync(&mut world);
        assert!(server(&world).contains(&"NOTE:Met in Pari".to_owned()), "{:?}", server(&world));
        // After a reset everything is shown again: nothing changes.
        let before = server(&world);
        phone.anchor = None;
        phone.sync(&mut world);
        assert_eq!(server(&world), before);
    }
}

/// L2: a free slot is filled with what was hidden, once.
#[test]
fn a_slot_that_is_left_free_is_filled_once() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[]), field("EMAIL")]) {
        assert!(!phone.card("Meier").contains("22222"));
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "");
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("22222")), "{got:?}");
        let expected: Vec<&str> = ANN.iter().filter(|line| !line.starts_with("item1")).copied().collect();
        assert_eq!(server(&world), expected);
        assert!(phone.card("Meier").contains("22222"));
        assert!(phone.sync(&mut world).is_empty(), "once");
        // Its user edits before the answer reached it: what it was sent and did not take stays.
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "");
        phone.sync(&mut world);
        assert!(server(&world).iter().any(|line| line.contains("22222")));
    }
}

/// The hidden number is safe even if the device edits before it was told of it.
#[test]
fn what_moves_up_is_not_held_to_be_known_before_it_is_acknowledged() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[]), field("EMAIL")]) {
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "");
        // A sync that breaks off before the server's package.
        world.tick();
        let luid = phone.find("Meier");
        let anchor = phone.anchor.clone();
        {
            let mut talk = Phone::new(&world.server, phone.id, "alice", PASSWORD, world.now);
            talk.devinf.clone_from(&phone.devinf);
            let heard = talk.begin(AlertCode::TWO_WAY, anchor.as_deref(), "broken").unwrap();
            let change = talk.change(Op::Replace, &luid, &phone.cards[&luid]);
            let sync = talk.sync(vec![change]);
            talk.say_after(&heard, vec![sync], true).unwrap();
        }
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "EMAIL;TYPE=WORK:ann@example.com");
        phone.sync(&mut world);
        phone.sync(&mut world);
        let now = server(&world);
        assert!(
            now.iter().any(|line| line.contains("22222")) && now.iter().any(|line| line.contains("ann@")),
            "{now:?}"
        );
        assert!(!now.iter().any(|line| line.contains("11111")), "{now:?}");
        assert!(phone.card("Meier").contains("22222"));
    }
}

/// What came here meanwhile behind the only slot is sent when the slot is left free.
#[test]
fn a_slot_that_is_left_free_is_filled_with_what_came_meanwhile() {
    for (mut world, mut phone) in met(&[field("N"), ("TEL", Some(1), None, &[])]) {
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "TEL;TYPE=CELL:+4917099999");
        phone.sync(&mut world);
        let now = server(&world);
        let mut here: Vec<&str> = now.iter().map(String::as_str).filter(|line| !line.contains("22222")).collect();
        edit_server(&world, &here);
        phone.sync(&mut world);
        here.push("TEL;TYPE=FAX:+493044444");
        edit_server(&world, &here);
        assert!(phone.sync(&mut world).is_empty(), "it sees nothing of that");
        phone.edit("Meier", "TEL;TYPE=CELL:+4917099999", "");
        let got = phone.sync(&mut world);
        assert!(matches!(&got[..], [(Op::Replace, card)] if card.contains("44444")), "{got:?}\n{:?}", server(&world));
        assert!(phone.card("Meier").contains("44444"));
    }
}

/// L7: both sides edit different fields of one card, of which the device sees some.
#[test]
fn row26_edits_on_both_sides_meet() {
    for (mut world, mut phone) in met(&[field("N"), field("TEL")]) {
        phone.edit("Meier", "TEL;TYPE=HOME:+493022222", "TEL;TYPE=HOME:+493099999");
        let mut here: Vec<&str> = ANN.to_vec();
        here[6] = "NOTE:Married";
        here.push("TEL;TYPE=FAX:+493044444");
        edit_server(&world, &here);
        let got = phone.sync(&mut world);
        let now = server(&world);
        for wanted in ["NOTE:Married", "99999", "44444", "item1.X-ABLabel:Boat"] {
            assert!(now.iter().any(|line| line.contains(wanted)), "{wanted}: {now:?}");
        }
        assert!(!now.iter().any(|line| line.contains("22222")), "{now:?}");
        assert!(
            matches!(&got[..], [(Op::Replace, card)] if card.contains("44444") && !card.contains("Married")),
            "{got:?}"
        );
        assert!(phone.sync(&mut world).is_empty());
        // What a device cannot see is not sent to it when it changes.
        let mut here: Vec<String> = now;
        here.iter_mut().filter(|line| line.starts_with("NOTE")).for_each(|line| *line = "NOTE:Widowed".to_owned());
        edit_server(&world, &here.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(phone.sync(&mut world).is_empty());
    }
}

/// Mission B3 to B6: the dimensions of a book, as a rule of the host.
#[test]
fn dimensions_are_overwritten_and_others_untouched() {
    let mut profiles = Profiles::none();
    let rule = r#"[{ "name": "phonebook", "when": { "id": ["phone"] }, "because": "B3", "then": { "card": { "dimensions": [
        { "property": "N" }, { "property": "TEL", "types": ["CELL"], "count": 1 }, { "property": "EMAIL", "length": 30 } ] } } }]"#;
    profiles.read(rule).unwrap();
    for (mut world, mut phone) in met_with(&[], profiles) {
        assert!(
            phone.card("Meier").contains("11111") && !phone.card("Meier").contains("22222"),
            "{}",
            phone.card("Meier")
        );
        phone.edit("Meier", "TEL;TYPE=CELL:+4917011111", "TEL;TYPE=CELL:+4917099999");
        phone.edit("Meier", "EMAIL;TYPE=WORK:annegret@example.com", "");
        // B4: an unknown dimension is made, never dropped.
        phone.edit("Meier", "N:Meier;Annegret;;;", "N:Meier;Annegret;;;\r\nX-SIGN:Leo");
        phone.sync(&mut world);
        let now = server(&world);
        for wanted in ["99999", "22222", "Paris", "X-SIGN:Leo", "X-EPOC"] {
            assert!(now.iter().any(|line| line.contains(wanted)), "{wanted}: {now:?}");
        }
        for gone in ["11111", "EMAIL"] {
            assert!(!now.iter().any(|line| line.contains(gone)), "{gone}: {now:?}");
        }
    }
}

/// Field note 18: addresses go as a Nokia needs them, and do not come back changed.
#[test]
fn row18_a_nokia_keeps_its_addresses() {
    let mut world = World::new();
    world.put(&framed(&["N:Meier;Annegret;;;", "EMAIL;TYPE=WORK:a@example.com", "TEL:+493011111"]));
    let mut phone = Gadget::new("phone", &[]);
    phone.devinf = Some(DevInf { man: Some("Nokia".into()), model: Some("Nokia E51".into()), ..devinf(&[], false) });
    let got = phone.sync(&mut world);
    assert!(got[0].1.contains("INTERNET"), "{got:?}");
    phone.edit("Meier", "TEL:+493011111", "TEL:+493099999");
    phone.sync(&mut world);
    assert_eq!(server(&world), ["N:Meier;Annegret;;;", "EMAIL;TYPE=WORK:a@example.com", "TEL:+493099999"]);
}

/// The same in the other role: a server that can hold less erases nothing of a client's.
#[test]
fn a_server_that_holds_less_erases_nothing_here() {
    let mut world = World::new();
    let device = Device::new("client");
    device.put(&framed(ANN));
    // The server says of itself that it has names and numbers only.
    let mut caps = devinf(&[field("N"), field("TEL")], false);
    caps.stores[0].source_ref = "contacts".into();
    let bytes = encode_devinf(&caps, Version::V12, Encoding::Xml).unwrap();
    let store = device.store.clone();
    store
        .step(device.account, &mut |tx| {
            let mut row = syncml::store::DeviceRow::new(SERVER_URI, world.now);
            row.devinf = Some(bytes.clone());
            tx.put_device(&row)?;
            Ok(Verdict::Commit)
        })
        .unwrap();
    assert!(world.sync(&device).unwrap().clean);
    edit_server(&world, &["N:Meier;Annegret;;;", "FN:Annegret Meier", "TEL;TYPE=CELL:+4917099999"]);
    assert!(world.sync(&device).unwrap().clean);
    let cards = device.cards();
    for wanted in ["99999", "Paris", "annegret@example.com", "X-EPOC"] {
        assert!(cards[0].contains(wanted), "{wanted}: {cards:?}");
    }
    for gone in ["11111", "22222"] {
        assert!(!cards[0].contains(gone), "{gone}: {cards:?}");
    }
}

/// A picture, so many points on a side.
fn draw(side: u16, quality: u8) -> String {
    let grey = |x: u32, y: u32| u8::try_from(if x.abs_diff(50) < 20 { 220 } else { 30 + y }).unwrap();
    let points: Vec<u8> = (0..u32::from(side) * u32::from(side))
        .map(|at| grey(at % u32::from(side) * 100 / u32::from(side), at / u32::from(side) * 100 / u32::from(side)))
        .collect();
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality).encode(&points, side, side, jpeg_encoder::ColorType::Luma).unwrap();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    format!("PHOTO;ENCODING=b;TYPE=JPEG:{base64}")
}

/// Field note 28: a phone that writes the photo anew does not replace it, whether it says what it can hold or not.
#[test]
fn row28_a_photo_written_anew_replaces_nothing() {
    for store in stores() {
        for fields in [&[][..], &[field("N"), field("TEL"), field("PHOTO")]] {
            let mut world = World::with(store.clone(), ServerConfig::default());
            let (sent, anew) = (draw(120, 90), draw(60, 40));
            world.put(&framed(&["N:Meier;Annegret;;;", "TEL:+493011111", &sent]));
            let mut phone = Gadget::new("phone", fields);
            phone.sync(&mut world);
            phone.edit("Meier", &sent, &anew);
            phone.edit("Meier", "TEL:+493011111", "TEL:+493099999");
            assert!(phone.sync(&mut world).is_empty());
            let photo = |world: &World| server(world).into_iter().find(|line| line.starts_with("PHOTO"));
            let now = world.cards().concat().replace("\n ", "");
            assert!(now.contains(&sent) && now.contains("99999") && !now.contains(&anew), "{now}");
            assert!(photo(&world).is_some());
            assert!(phone.sync(&mut world).is_empty(), "and that is all");
            phone.edit("Meier", &anew, "");
            phone.sync(&mut world);
            assert_eq!(photo(&world), None, "removed is removed");
            let store = world.server.store().clone();
            let guid = common::find(store.as_ref(), world.account, BookNo::CONTACTS, "Annegret");
            common::delete(store.as_ref(), world.account, BookNo::CONTACTS, guid, world.now);
            phone.sync(&mut world);
        }
    }
}

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
