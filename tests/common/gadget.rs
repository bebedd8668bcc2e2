//! A device that can hold less than the server, and says so.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use crate::common::{PASSWORD, World};
use std::collections::{BTreeMap, BTreeSet};
use syncml::contact::lens::{Declared, DeclaredProperty, Lens, Rules, view};
use syncml::kit::phone::{Heard, Phone};
use syncml::message::{
    AlertCode, ContentCap, ContentType, DataStore, DevInf, Op, PropParam, Property, StatusCode, Version,
};

/// One field that a device declares: name, MaxOccur, MaxSize, types.
pub type Field = (&'static str, Option<u64>, Option<u64>, &'static [&'static str]);

pub const fn field(name: &'static str) -> Field {
    (name, None, None, &[])
}

/// What a device says of itself; `flat`: as 1.1 does, in one list for all datastores.
pub fn devinf(fields: &[Field], flat: bool) -> DevInf<'static> {
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
pub struct Gadget {
    pub id: &'static str,
    pub devinf: Option<DevInf<'static>>,
    /// What its memory holds, which is what it declares unless it is otherwise in a test.
    pub memory: Lens,
    pub cards: BTreeMap<String, String>,
    /// What its user touched since the last sync.
    pub touched: BTreeSet<String>,
    pub anchor: Option<String>,
    pub last_luid: u32,
    pub syncs: u32,
}

impl Gadget {
    pub fn new(id: &'static str, fields: &[Field]) -> Self {
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
    pub fn update(&mut self, fields: &[Field], flat: bool) {
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
    pub fn keep(&self, card: &str) -> String {
        let kept = String::from_utf8(view(card.as_bytes(), &self.memory).unwrap()).unwrap();
        let unfolded = kept.replace("\r\n ", "");
        let mut lines: Vec<&str> = unfolded.lines().filter(|line| !is_frame(line)).collect();
        lines.sort_unstable();
        framed(&lines)
    }

    pub fn find(&self, text: &str) -> String {
        let hits: Vec<&String> =
            self.cards.iter().filter(|(_, card)| card.contains(text)).map(|(luid, _)| luid).collect();
        assert_eq!(hits.len(), 1, "{text:?} is in {hits:?} of {}", self.id);
        hits[0].clone()
    }

    pub fn card(&self, text: &str) -> &str {
        &self.cards[&self.find(text)]
    }

    /// Its user changes a line of the card that has this text; to nothing removes it.
    pub fn edit(&mut self, text: &str, line: &str, to: &str) {
        let luid = self.find(text);
        let old = &self.cards[&luid];
        assert!(old.contains(&format!("{line}\r\n")), "{line} is not in {old}");
        let new = old.replace(&format!("{line}\r\n"), &if to.is_empty() { String::new() } else { format!("{to}\r\n") });
        let kept = self.keep(&new);
        self.cards.insert(luid.clone(), kept);
        self.touched.insert(luid);
    }

    pub fn add(&mut self, card: &str) {
        self.last_luid += 1;
        let kept = self.keep(card);
        self.cards.insert(self.last_luid.to_string(), kept);
        self.touched.insert(self.last_luid.to_string());
    }

    /// A sync; what the server sent, by operation.
    pub fn sync(&mut self, world: &mut World) -> Vec<(Op, String)> {
        let code = if self.anchor.is_some() { AlertCode::TWO_WAY } else { AlertCode::SLOW };
        self.sync_as(world, code)
    }

    pub fn sync_as(&mut self, world: &mut World, code: AlertCode) -> Vec<(Op, String)> {
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

pub fn is_frame(line: &str) -> bool {
    ["BEGIN:", "END:", "VERSION:"].iter().any(|frame| line.starts_with(frame))
}

pub fn framed(lines: &[&str]) -> String {
    let mut out = "BEGIN:VCARD\r\nVERSION:3.0\r\n".to_owned();
    lines.iter().for_each(|line| out += &format!("{line}\r\n"));
    out + "END:VCARD\r\n"
}
