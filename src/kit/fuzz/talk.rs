//! What a string of choices makes one end of a conversation say: commands as a bad peer might write them.

use super::Input;
use crate::auth::{Secret, Verifier};
use crate::message::Timestamp;
use crate::message::{
    Alert, AlertCode, Anchor, Bytes, Chal, Change, CmdId, Command, Container, ContainerKind, ContentCap, ContentType,
    Cred, Data, DataStore, DevInf, Exec, Filter, Get, Item, Location, Map, MapItem, Mem, Meta, Op, Property, Put,
    Results, Search, Status, StatusCode, Sync, Text, Version,
};
use crate::store::{AccountNo, BookNo, BookWriter, DeviceNo, Draft, Guid, ItemRow, Revision, Store, Tx, Verdict};

/// The book that everybody here is about.
pub(super) const BOOK: BookNo = BookNo::CONTACTS;

/// When these conversations begin.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A card that can be told by its token.
pub(super) fn card(token: &str, name: u8) -> String {
    let names = ["Ann", "Bob", "Cid", "Dora"];
    let name = names[usize::from(name) % names.len()];
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\nTEL:55512{}\r\nNOTE:{token}\r\nEND:VCARD\r\n",
        name.len()
    )
}

/// An account with a password.
pub(super) fn login(store: &dyn Store, user: &str, password: &str) -> AccountNo {
    let verifier = Verifier::Password(Secret::new(password.to_owned()));
    store.directory().put_login(user, &verifier).expect("a store in memory takes a login")
}

/// Reads something that the store in memory can always tell.
pub(super) fn look<T>(
    store: &dyn Store,
    account: AccountNo,
    mut read: impl FnMut(&mut dyn Tx) -> crate::store::Result<T>,
) -> T {
    let mut seen = None;
    store
        .look(account, &mut |tx| {
            seen = Some(read(tx)?);
            Ok(())
        })
        .expect("a store in memory can be looked at");
    seen.expect("the step was run")
}

/// The live items.
pub(super) fn live(store: &dyn Store, account: AccountNo) -> Vec<ItemRow<'static>> {
    let mut all = look(store, account, |tx| tx.changes(BOOK, Revision(0), Revision(i64::MAX), usize::MAX));
    all.retain(|item| !item.deleted);
    all
}

/// The host's own edit: adds, replaces or deletes.
pub(super) fn edit(store: &dyn Store, account: AccountNo, guid: Option<Guid>, content: Option<&str>, now: Timestamp) {
    let done = store.step(account, &mut |tx| {
        let row = tx.lock_books(&[BOOK])?.remove(0);
        let mut writer = BookWriter::new(row, None, now);
        let old = match guid {
            Some(guid) => tx.items(BOOK, &[guid])?.pop().flatten(),
            None => None,
        };
        match (old, content) {
            (Some(old), Some(content)) => drop(writer.replace(&old, Draft::of(BOOK, content.as_bytes().to_vec()))),
            (Some(old), None) => drop(writer.delete(&old)),
            (None, Some(content)) => drop(writer.add(Draft::of(BOOK, content.as_bytes().to_vec()))),
            (None, None) => return Ok(Verdict::Rollback),
        }
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    });
    done.expect("a host may edit");
}

/// Whether a token is anywhere in the account's book: in an item, in its past, or acknowledged and waiting.
pub(super) fn is_kept(store: &dyn Store, account: AccountNo, token: &str) -> bool {
    let has = |content: &[u8]| content.windows(token.len()).any(|window| window == token.as_bytes());
    look(store, account, |tx| {
        if tx.log(BOOK, None, Revision(i64::MAX), usize::MAX)?.iter().any(|row| has(&row.content)) {
            return Ok(true);
        }
        for device in tx.devices()? {
            let staged = tx.staged(device.device, BOOK, i64::MIN, usize::MAX)?;
            if staged.iter().any(|row| has(&row.change.content)) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// All that can be seen of an account, to tell whether somebody changed it.
pub(super) fn dump(store: &dyn Store, account: AccountNo) -> String {
    look(store, account, |tx| {
        let (log, devices) = (tx.log(BOOK, None, Revision(i64::MAX), usize::MAX)?, tx.devices()?);
        let mut all: Vec<String> = log.iter().map(|row| format!("{row:?} {:?}", row.content)).collect();
        for device in devices {
            all.push(format!("{device:?} {:?}", tx.pair(device.device, BOOK)?));
            all.push(format!("{:?}", tx.staged(device.device, BOOK, i64::MIN, usize::MAX)?));
            all.push(format!("{:?}", tx.outgoing_page(device.device, BOOK, Guid(0), usize::MAX)?));
        }
        Ok(all.join("\n"))
    })
}

/// I3: what the maps of every device say is one to one.
pub(super) fn assert_maps(store: &dyn Store, account: AccountNo) {
    let all: Vec<(DeviceNo, Vec<crate::store::MapRow>)> = look(store, account, |tx| {
        let mut all = Vec::new();
        for device in tx.devices()? {
            if let Some(pair) = tx.pair(device.device, BOOK)? {
                all.push((device.device, tx.map_page(device.device, BOOK, pair.epoch, Guid(0), usize::MAX)?));
            }
        }
        Ok(all)
    });
    for (device, rows) in all {
        let unique = |of: &dyn Fn(&crate::store::MapRow) -> String| {
            let set: std::collections::BTreeSet<String> = rows.iter().map(of).collect();
            set.len() == rows.len()
        };
        assert!(unique(&|row| row.luid.clone()), "I3: a LUID of device {device} stands for two items");
        assert!(unique(&|row| row.guid.to_string()), "I3: an item has two LUIDs at device {device}");
    }
}

/// Damages bytes as the choices say.
pub(super) fn damage(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..=input.below(4) {
        let at = (input.below(256) << 8 | input.below(256)) % (bytes.len() + 1);
        match input.below(6) {
            0 if at < bytes.len() => bytes[at] ^= input.byte(),
            1 => {
                let piece = input.bytes();
                bytes.splice(at..at, piece.iter().copied());
            }
            2 => bytes.truncate(at),
            3 => {
                let end = (at + input.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + input.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let piece = input.bytes();
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
}

/// Writes commands, each with an id of its own most of the time.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) cmd_id: u32,
    /// The peer's address of the book, and this end's.
    pub(super) there: &'static str,
    pub(super) here: &'static str,
    /// Ids of items that were heard of.
    pub(super) ids: Vec<String>,
    /// Cards written so far.
    pub(super) cards: u32,
}

impl Author {
    fn id(&mut self, input: &mut Input<'_>) -> CmdId<'static> {
        if input.chance(30) {
            return CmdId::from(input.text());
        }
        self.cmd_id += 1;
        CmdId::from(self.cmd_id)
    }

    fn item_id(&self, input: &mut Input<'_>) -> String {
        match input.below(6) {
            0 if !self.ids.is_empty() => self.ids[input.below(self.ids.len())].clone(),
            5 => input.text(),
            _ => input.below(8).to_string(),
        }
    }

    fn text(input: &mut Input<'_>) -> Text<'static> {
        const TEXTS: [&str; 12] = [
            "",
            "0",
            "1",
            "contacts",
            "./card",
            "./devinf12",
            "./devinf11",
            "text/x-vcard",
            "text/vcard",
            "b64",
            "/",
            "18446744073709551615",
        ];
        if input.chance(4) { input.text().into() } else { input.pick(&TEXTS).into() }
    }

    fn maybe<T>(input: &mut Input<'_>, make: impl FnOnce(&mut Input<'_>) -> T) -> Option<T> {
        input.chance(3).then(|| make(input))
    }

    fn place(&self, input: &mut Input<'_>, usual: &'static str) -> Location<'static> {
        match input.below(8) {
            6 => Location::new("./changes"),
            7 => Location::named(Self::text(input), Self::text(input)),
            5 => Location::new(format!("{usual}?{}", input.text())),
            _ => Location::new(usual),
        }
    }

    pub(super) fn meta(input: &mut Input<'_>) -> Meta<'static> {
        Meta {
            field_level: input.chance(8),
            format: Self::maybe(input, Self::text),
            media_type: Some(input.pick(&["text/x-vcard", "text/vcard", "text/plain", "application/x"]).into()),
            mark: None,
            size: Self::maybe(input, |input| input.number()),
            anchor: Self::maybe(input, Self::anchor),
            version: Self::maybe(input, Self::text),
            next_nonce: Self::maybe(input, Self::text),
            max_msg_size: Self::maybe(input, |input| input.number()),
            max_obj_size: Self::maybe(input, |input| input.number()),
            emi: Self::maybe(input, |input| format!("datapos={}", input.number()).into()).into_iter().collect(),
            mem: Self::maybe(input, |input| Mem { shared: false, free_mem: input.number(), free_id: input.number() }),
        }
    }

    pub(super) fn anchor(input: &mut Input<'_>) -> Anchor<'static> {
        Anchor { last: Self::maybe(input, Self::text), next: Self::text(input) }
    }

    pub(super) fn cred(input: &mut Input<'_>) -> Cred<'static> {
        let scheme =
            input.pick(&["syncml:auth-basic", "syncml:auth-md5", "syncml:auth-MAC", "x-syncml:auth-device-md5"]);
        let meta = Meta { format: Some("b64".into()), ..Meta::of_type(scheme) };
        Cred { meta: Some(meta), data: Bytes::Owned(input.bytes().to_vec()) }
    }

    pub(super) fn chal(input: &mut Input<'_>) -> Chal<'static> {
        let scheme =
            input.pick(&["syncml:auth-md5", "syncml:auth-basic", "syncml:auth-MAC", "x-syncml:auth-device-md5", "x"]);
        let mut meta = Meta { format: Some("b64".into()), ..Meta::of_type(scheme) };
        meta.next_nonce = Self::maybe(input, Self::text);
        Chal { meta }
    }

    /// A change of a card; most have one item.
    pub(super) fn change(&mut self, input: &mut Input<'_>, by_target: bool) -> Change<'static> {
        let op = input.pick(&[Op::Add, Op::Add, Op::Replace, Op::Replace, Op::Delete, Op::Copy, Op::Move]);
        let mut change = Change::new(op, self.id(input), Item::default());
        change.items.clear();
        for _ in 0..1 + input.below(9) / 8 * 2 {
            let id = Location::new(self.item_id(input));
            let mut item = Item::default();
            if by_target && op != Op::Add || input.chance(16) {
                item.target = Some(id.clone());
            }
            if !by_target || op == Op::Add || input.chance(16) {
                item.source = Some(id);
            }
            if op == Op::Move || input.chance(16) {
                item.source_parent = Self::maybe(input, Self::text);
                item.target_parent = Self::maybe(input, Self::text);
            }
            item.data = match input.below(10) {
                0 if op != Op::Add => None,
                8 => Some(Data::text(input.text())),
                9 => Some(Data::text(format!("BEGIN:VCARD\r\nVERSION:2.1\r\nN:{}\r\nEND:VCARD\r\n", input.text()))),
                _ => {
                    self.cards += 1;
                    Some(Data::text(card(&format!("token-{}-", self.cards), input.byte())))
                }
            };
            item.more_data = input.chance(20);
            if input.chance(8) {
                item.meta = Some(Self::meta(input));
            }
            change.items.push(item);
        }
        if op != Op::Delete {
            change.meta = Some(if input.chance(8) { Self::meta(input) } else { Meta::of_type("text/vcard") });
        }
        change.no_resp = input.chance(20);
        change.archive = op == Op::Delete && input.chance(8);
        change.soft_delete = op == Op::Delete && input.chance(8);
        change
    }

    pub(super) fn sync(&mut self, input: &mut Input<'_>, by_target: bool) -> Command<'static> {
        let mut commands = Vec::new();
        for _ in 0..input.below(5) {
            commands.push(Command::Change(self.change(input, by_target)));
        }
        if input.chance(12) {
            commands.push(self.command(input, 1));
        }
        Command::Sync(Sync {
            cmd_id: self.id(input),
            no_resp: input.chance(20),
            cred: input.chance(30).then(|| Self::cred(input)),
            target: Some(self.place(input, self.there)),
            source: Some(self.place(input, self.here)),
            meta: input.chance(8).then(|| Self::meta(input)),
            number_of_changes: input.chance(6).then(|| input.number()),
            commands,
        })
    }

    /// An Alert; of the book, most of the time.
    pub(super) fn alert(&mut self, input: &mut Input<'_>, code: AlertCode) -> Command<'static> {
        let filter = input.chance(10).then(|| {
            let item = |text: String| Item { data: Some(Data::text(text)), ..Item::default() };
            Box::new(Filter {
                meta: Meta::of_type("text/vcard"),
                field: Self::maybe(input, |input| item(input.text())),
                record: Self::maybe(input, |input| item(input.text())),
                filter_type: Self::maybe(input, Self::text),
            })
        });
        let item = Item {
            target: Some(self.place(input, self.there)),
            filter,
            source: Some(self.place(input, self.here)),
            meta: Some(Meta { anchor: Some(Self::anchor(input)), ..Meta::default() }),
            data: input.chance(8).then(|| Data::text(Self::text(input))),
            ..Item::default()
        };
        Command::Alert(Alert {
            cmd_id: self.id(input),
            no_resp: input.chance(20),
            cred: input.chance(20).then(|| Self::cred(input)),
            code: Some(code),
            correlator: None,
            items: if input.chance(20) { Vec::new() } else { vec![item] },
        })
    }

    /// A Map; `pairs` are GUIDs that were heard of.
    pub(super) fn map(&mut self, input: &mut Input<'_>) -> Command<'static> {
        let items = (0..input.below(4))
            .map(|_| MapItem {
                target: Location::new(self.item_id(input)),
                source: Location::new(input.below(12).to_string()),
            })
            .collect();
        Command::Map(Map {
            cmd_id: self.id(input),
            target: self.place(input, self.there),
            source: self.place(input, self.here),
            cred: None,
            meta: None,
            items,
        })
    }

    /// A Status about what the other end said.
    pub(super) fn status(&mut self, input: &mut Input<'_>, msg: u32, cmd_ref: &str, name: &str) -> Status<'static> {
        const CODES: [u16; 24] = [
            200, 200, 201, 207, 209, 211, 212, 213, 214, 101, 222, 401, 404, 405, 407, 412, 413, 416, 418, 420, 500,
            508, 510, 516,
        ];
        Status {
            cmd_id: self.id(input),
            msg_ref: msg.to_string().into(),
            cmd_ref: CmdId::from(cmd_ref.to_owned()),
            cmd: name.to_owned().into(),
            target_refs: Self::maybe(input, Self::text).into_iter().collect(),
            source_refs: Self::maybe(input, Self::text).into_iter().collect(),
            cred: None,
            chal: input.chance(12).then(|| Self::chal(input)),
            code: StatusCode(input.pick(&CODES)),
            items: Vec::new(),
        }
    }

    pub(super) fn devinf(input: &mut Input<'_>) -> DevInf<'static> {
        const NAMES: [&str; 8] = ["N", "FN", "TEL", "NOTE", "EMAIL", "PHOTO", "X-FOO", "VERSION"];
        let mut properties = Vec::new();
        for _ in 0..input.below(7) {
            properties.push(Property {
                name: input.pick(&NAMES).into(),
                max_occur: Self::maybe(input, |input| input.number()),
                max_size: Self::maybe(input, |input| input.number()),
                no_truncate: input.chance(4),
                values: Self::maybe(input, Self::text).into_iter().collect(),
                ..Property::default()
            });
        }
        let kind = || ContentType::new("text/vcard", "3.0");
        let cap = ContentCap {
            media_type: "text/vcard".into(),
            version: Some("3.0".into()),
            field_level: input.chance(4),
            properties,
        };
        let store = DataStore {
            source_ref: input.pick(&["./card", "contacts", ""]).into(),
            max_guid_size: Self::maybe(input, |input| input.number()),
            rx_pref: vec![kind()],
            tx_pref: vec![kind()],
            content_caps: if input.chance(3) { Vec::new() } else { vec![cap.clone()] },
            hierarchical: input.chance(4),
            ..DataStore::default()
        };
        DevInf {
            ver_dtd: input.pick(&Version::ALL).dtd().into(),
            man: Self::maybe(input, Self::text),
            dev_id: "phone".into(),
            dev_type: "phone".into(),
            large_objects: !input.chance(4),
            number_of_changes: input.chance(2),
            stores: vec![store],
            content_caps: if input.chance(4) { vec![cap] } else { Vec::new() },
            ..DevInf::default()
        }
    }

    fn devinf_item(input: &mut Input<'_>) -> Item<'static> {
        let version = input.pick(&Version::ALL);
        Item {
            source: Some(Location::new(version.devinf_uri())),
            data: Some(Data::DevInf(Box::new(Self::devinf(input)))),
            ..Item::default()
        }
    }

    /// Any command.
    pub(super) fn command(&mut self, input: &mut Input<'_>, depth: usize) -> Command<'static> {
        let cmd_id = self.id(input);
        match input.below(if depth > 0 { 13 } else { 11 }) {
            0 => {
                let code = AlertCode(200 + input.below(30) as u16);
                self.alert(input, code)
            }
            1 | 2 => Command::Put(Put {
                cmd_id,
                no_resp: input.chance(9),
                lang: None,
                cred: None,
                meta: Some(Meta::of_type("application/vnd.syncml-devinf+xml")),
                items: vec![Self::devinf_item(input)],
            }),
            3 => {
                let uri =
                    input.pick(&["./devinf12", "./devinf11", "./changes", "./changes/all", "contacts", "./nothing"]);
                let item = Item { target: Some(Location::new(uri)), ..Item::default() };
                let meta = Some(Meta::of_type("application/vnd.syncml-devinf+xml"));
                Command::Get(Get { cmd_id, no_resp: input.chance(9), lang: None, cred: None, meta, items: vec![item] })
            }
            4 => Command::Results(Results {
                cmd_id,
                msg_ref: Self::maybe(input, Self::text),
                cmd_ref: CmdId::from(input.below(9).to_string()),
                meta: Some(Meta::of_type("application/vnd.syncml-devinf+xml")),
                target_ref: None,
                source_ref: Self::maybe(input, Self::text),
                items: vec![Self::devinf_item(input)],
            }),
            5 => Command::Exec(Exec {
                cmd_id,
                no_resp: false,
                cred: None,
                meta: None,
                correlator: None,
                item: Box::new(Item { target: Some(Location::new(Self::text(input))), ..Item::default() }),
            }),
            6 => Command::Search(Search {
                cmd_id,
                no_resp: false,
                no_results: input.chance(2),
                cred: None,
                target: Self::maybe(input, |input| Location::new(Self::text(input))),
                sources: vec![Location::new(self.there)],
                lang: None,
                meta: Some(Meta::of_type("text/plain")),
                data: Data::text(input.text()),
            }),
            7 => self.map(input),
            8 => self.map(input),
            9 => Command::Change(self.change(input, false)),
            10 => {
                let (message, name) =
                    (input.below(9) as u32, input.pick(&["SyncHdr", "Sync", "Add", "Alert", "Map", "Get"]));
                let cmd_ref = input.below(20).to_string();
                Command::Status(self.status(input, message, &cmd_ref, name))
            }
            11 => self.sync(input, false),
            _ => Command::Container(Container {
                kind: if input.chance(2) { ContainerKind::Atomic } else { ContainerKind::Sequence },
                cmd_id,
                no_resp: input.chance(9),
                meta: None,
                commands: (0..input.below(4)).map(|_| self.command(input, depth - 1)).collect(),
            }),
        }
    }
}
