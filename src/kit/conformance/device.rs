//! A device that says what a check tells it to, over a [`Transport`], and keeps cards as a device does.

use super::answer::{Answer, Sent, Told};
use super::{Config, Outcome, Stop, Transport, expect};
use crate::auth::{Identity, Scheme, Secret};
use crate::codec::encode;
use crate::message::{
    Alert, AlertCode, Anchor, Change, CmdId, Command, ContentType, Cred, Data, DataStore, DevInf, Header, Item,
    Location, Map, MapItem, Message, Meta, MsgId, Op, Put, Results, SessionId, Status, StatusCode, Sync, SyncKind,
    Version,
};
use std::collections::BTreeMap;

/// In the name of every card that the kit writes.
pub(super) const MARK: &str = "Conformancekit";

/// Messages of one session before it is given up.
const MOST_MESSAGES: u32 = 200;

/// What is said of the size of messages and objects, in bytes.
const MAX_MSG_SIZE: u64 = 20_000;
const MAX_OBJ_SIZE: u64 = 1_000_000;

/// Its datastore.
const BOOK: &str = "./conformance";

/// Everything that a check works with.
pub(super) struct Kit<'t> {
    pub config: &'t Config,
    transport: &'t mut dyn Transport,
    pub devices: [Device; 2],
    /// Counts sessions, anchors and cards.
    count: u64,
}

/// What a device remembers.
#[derive(Debug, Default)]
pub(super) struct Device {
    pub id: String,
    /// The nonce for the next credential.
    pub nonce: Option<Vec<u8>>,
    /// The anchor of the last clean session.
    pub last: Option<String>,
    /// Contents by LUID.
    pub held: BTreeMap<String, String>,
    /// What it says of the size of messages to it.
    pub max_msg_size: u64,
    luids: u32,
}

/// A session, as the device sees it.
#[derive(Debug)]
pub(super) struct Session {
    pub device: usize,
    pub id: String,
    pub msg_id: u32,
    pub uri: String,
    /// The device's new anchor.
    pub next: String,
    /// Whether every message needs a credential (200 instead of 212).
    pub always_cred: bool,
    /// The last answer.
    pub heard: Answer,
    /// The last request.
    pub said: Vec<u8>,
    cmd_id: u32,
}

/// A change of the device's own.
#[derive(Clone, Debug)]
pub(super) enum Do {
    Add(String, String),
    Replace(String, String),
    Delete(String),
}

/// What came of a sync.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Codes of the device's changes, in their order.
    pub codes: Vec<u16>,
    /// What the server sent, put together.
    pub told: Vec<Sent>,
    /// The code of the Status for the Map.
    pub map: Option<u16>,
    /// The longest answer, in bytes.
    pub longest: usize,
    pub number_of_changes: Option<u64>,
    /// The last answer.
    pub end: Answer,
}

impl Session {
    /// Commands get ids that grow through the session.
    pub(super) fn cmd(&mut self) -> CmdId<'static> {
        self.cmd_id += 1;
        CmdId::from(self.cmd_id)
    }

    /// A Status of the last answer's header and of all that it waits for; who asks for anything is told what the device is.
    pub(super) fn confirmations(&mut self, kit: &Kit<'_>) -> Vec<Command<'static>> {
        let mut out = vec![self.answer_to("SyncHdr", "0", StatusCode::OK, None)];
        for (name, cmd_id, next) in self.heard.to_confirm.clone() {
            out.push(self.answer_to(&name, &cmd_id, StatusCode::OK, next));
            if name == "Get" {
                out.push(Command::Results(Results {
                    cmd_id: self.cmd(),
                    msg_ref: Some(self.heard.msg_id.clone().into()),
                    cmd_ref: CmdId::from(cmd_id),
                    meta: Some(Meta::of_type(kit.config.encoding.devinf_type())),
                    target_ref: None,
                    source_ref: Some(kit.config.version.devinf_uri().into()),
                    items: vec![kit.devinf(self)],
                }));
            }
        }
        out
    }

    pub(super) fn answer_to(
        &mut self,
        name: &str,
        cmd_ref: &str,
        code: StatusCode,
        next: Option<String>,
    ) -> Command<'static> {
        let anchor = |next: String| Data::Anchor(Anchor { last: None, next: next.into() });
        Command::Status(Status {
            cmd_id: self.cmd(),
            msg_ref: self.heard.msg_id.clone().into(),
            cmd_ref: CmdId::from(cmd_ref.to_owned()),
            cmd: name.to_owned().into(),
            target_refs: Vec::new(),
            source_refs: Vec::new(),
            cred: None,
            chal: None,
            code,
            items: next.into_iter().map(|next| Item { data: Some(anchor(next)), ..Item::default() }).collect(),
        })
    }

    /// A change as a command.
    pub(super) fn change(&mut self, what: &Do) -> Command<'static> {
        let (op, luid, content) = match what {
            Do::Add(luid, content) => (Op::Add, luid, Some(content)),
            Do::Replace(luid, content) => (Op::Replace, luid, Some(content)),
            Do::Delete(luid) => (Op::Delete, luid, None),
        };
        let item = Item {
            source: Some(Location::new(luid.clone())),
            data: content.map(|content| Data::text(content.clone())),
            ..Item::default()
        };
        let meta = content.map(|_| Meta::of_type("text/vcard"));
        Command::Change(Change { meta, ..Change::new(op, self.cmd(), item) })
    }

    /// An Alert between the devices: 222, 224.
    pub(super) fn device_alert(&mut self, kit: &Kit<'_>, code: AlertCode) -> Command<'static> {
        let item = Item {
            target: Some(Location::new(kit.config.uri.clone())),
            source: Some(Location::new(kit.devices[self.device].id.clone())),
            ..Item::default()
        };
        Command::Alert(Alert {
            cmd_id: self.cmd(),
            no_resp: false,
            cred: None,
            code: Some(code),
            correlator: None,
            items: vec![item],
        })
    }

    /// A Sync with these commands.
    pub(super) fn sync(&mut self, kit: &Kit<'_>, commands: Vec<Command<'static>>) -> Command<'static> {
        Command::Sync(Sync {
            cmd_id: self.cmd(),
            no_resp: false,
            cred: None,
            target: Some(Location::new(kit.config.book.clone())),
            source: Some(Location::new(BOOK)),
            meta: None,
            number_of_changes: None,
            commands,
        })
    }

    /// A Map of GUIDs to LUIDs.
    pub(super) fn map(&mut self, kit: &Kit<'_>, pairs: &[(String, String)]) -> Command<'static> {
        let place = |text: &String| Location::new(text.clone());
        let items = pairs.iter().map(|(guid, luid)| MapItem { target: place(guid), source: place(luid) }).collect();
        Command::Map(Map {
            cmd_id: self.cmd(),
            target: Location::new(kit.config.book.clone()),
            source: Location::new(BOOK),
            cred: None,
            meta: None,
            items,
        })
    }
}

impl<'t> Kit<'t> {
    pub(super) fn new(config: &'t Config, transport: &'t mut dyn Transport) -> Self {
        let device = |id: &String| Device { id: id.clone(), max_msg_size: MAX_MSG_SIZE, ..Device::default() };
        let devices = [device(&config.devices[0]), device(&config.devices[1])];
        // Anchors grow from run to run; so much is counted in no run.
        let count = u64::try_from(config.now.0 / 1000).unwrap_or_default().saturating_mul(10_000);
        Self { config, transport, devices, count }
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// A card of the kit's. The name occurs in no other.
    pub(super) fn card(&mut self, given: &str) -> String {
        let count = self.count();
        // Letters, so that nothing looks alike to who compares loosely.
        let tag: String =
            count.to_string().bytes().map(|digit| char::from(b'a' + (digit - b'0') * 2)).collect::<String>();
        format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{MARK};{given}{tag};;;\r\nFN:{given}{tag} {MARK}\r\n\
             TEL;TYPE=CELL:+49{:011}\r\nEND:VCARD\r\n",
            count % 100_000_000_000
        )
    }

    /// A new LUID.
    pub(super) fn luid(&mut self, device: usize) -> String {
        let device = &mut self.devices[device];
        device.luids += 1;
        format!("k{}", device.luids)
    }

    /// Back to what every check finds.
    pub(super) fn forget(&mut self) {
        for device in &mut self.devices {
            device.max_msg_size = MAX_MSG_SIZE;
        }
    }

    pub(super) fn post(&mut self, uri: &str, body: &[u8]) -> Outcome<Answer> {
        self.post_as(uri, self.config.encoding.media_type(), body)
    }

    pub(super) fn post_as(&mut self, uri: &str, content_type: &str, body: &[u8]) -> Outcome<Answer> {
        let posted = self.transport.post(uri, content_type, body).map_err(|got| Stop::Fail {
            rule: "§9.1",
            expected: "an answer".to_owned(),
            got,
        })?;
        Ok(Answer::read(posted))
    }

    /// A session that has said nothing yet.
    pub(super) fn session(&mut self, device: usize) -> Session {
        let count = self.count();
        Session {
            device,
            id: (count % 9_973 + 1).to_string(),
            msg_id: 0,
            uri: self.config.uri.clone(),
            next: count.to_string(),
            always_cred: false,
            heard: Answer::default(),
            said: Vec::new(),
            cmd_id: 0,
        }
    }

    /// The header of the next message.
    pub(super) fn header(&self, session: &Session, cred: Option<Cred<'static>>) -> Header<'static> {
        let device = &self.devices[session.device];
        let mut header = Header::new(
            self.config.version,
            SessionId::from(session.id.clone()),
            MsgId(session.msg_id),
            Location::new(session.uri.clone()),
            Location::named(device.id.clone(), self.config.user.clone()),
        );
        header.cred = cred;
        header.meta = Some(Meta { max_msg_size: Some(device.max_msg_size), ..Meta::default() });
        header
    }

    /// A credential, as the configuration wants it.
    pub(super) fn credential(&self, device: usize, nonce: &[u8]) -> Option<Cred<'static>> {
        let scheme = if self.config.basic { Scheme::Basic } else { Scheme::Md5 };
        self.credential_of(scheme, device, nonce, &self.config.password)
    }

    pub(super) fn credential_of(
        &self,
        scheme: Scheme,
        device: usize,
        nonce: &[u8],
        password: &Secret,
    ) -> Option<Cred<'static>> {
        let identity = Identity { user: &self.config.user, device_id: &self.devices[device].id, secret: password };
        identity.answer(scheme, nonce, self.config.version)
    }

    /// The bytes of a message.
    pub(super) fn written(&self, header: Header<'static>, body: Vec<Command<'static>>, last: bool) -> Outcome<Vec<u8>> {
        encode(&Message { header, body, last }, self.config.encoding).map_err(|error| Stop::Fail {
            rule: "§2.1",
            expected: "a message that can be written".to_owned(),
            got: error.to_string(),
        })
    }

    /// Says something and hears the answer. What the answer says of address and nonce is kept.
    pub(super) fn say_with(
        &mut self,
        session: &mut Session,
        cred: Option<Cred<'static>>,
        body: Vec<Command<'static>>,
        last: bool,
    ) -> Outcome {
        session.msg_id += 1;
        let header = self.header(session, cred);
        session.said = self.written(header, body, last)?;
        session.heard = self.post(&session.uri, &session.said)?;
        if let Some(uri) = &session.heard.resp_uri {
            session.uri.clone_from(uri);
        }
        if let Some((_, nonce)) = &session.heard.challenge {
            self.devices[session.device].nonce = Some(nonce.clone());
        }
        Ok(())
    }

    /// The same within a session, whose credential was taken.
    pub(super) fn say(&mut self, session: &mut Session, body: Vec<Command<'static>>, last: bool) -> Outcome {
        let nonce = self.devices[session.device].nonce.clone().unwrap_or_default();
        let cred = session.always_cred.then(|| self.credential(session.device, &nonce)).flatten();
        self.say_with(session, cred, body, last)?;
        expect(session.heard.unreadable.is_none(), "§9.1", "a message", || session.heard.outline())?;
        expect(matches!(session.heard.header, Some(200..=299)), "§2.5", "a header's Status of 200", || {
            session.heard.outline()
        })
    }

    /// An Alert that opens the book.
    pub(super) fn alert(
        &self,
        session: &mut Session,
        book: &str,
        code: AlertCode,
        last: Option<&str>,
    ) -> Command<'static> {
        let anchor = Anchor { last: last.map(|last| last.to_owned().into()), next: session.next.clone().into() };
        let max_obj_size = (self.config.version > Version::V10).then_some(MAX_OBJ_SIZE);
        let item = Item {
            target: Some(Location::new(book.to_owned())),
            source: Some(Location::new(BOOK)),
            meta: Some(Meta { anchor: Some(anchor), max_obj_size, ..Meta::default() }),
            ..Item::default()
        };
        Command::Alert(Alert {
            cmd_id: session.cmd(),
            no_resp: false,
            cred: None,
            code: Some(code),
            correlator: None,
            items: vec![item],
        })
    }

    /// What the device says of itself, unasked.
    pub(super) fn put_devinf(&self, session: &mut Session) -> Command<'static> {
        Command::Put(Put {
            cmd_id: session.cmd(),
            no_resp: false,
            lang: None,
            cred: None,
            meta: Some(Meta::of_type(self.config.encoding.devinf_type())),
            items: vec![self.devinf(session)],
        })
    }

    fn devinf(&self, session: &Session) -> Item<'static> {
        let types = || vec![ContentType::new("text/vcard", "3.0")];
        let store = DataStore {
            source_ref: BOOK.into(),
            display_name: Some("conformance".into()),
            max_guid_size: Some(64),
            rx_pref: types(),
            tx_pref: types(),
            sync_kinds: (SyncKind::TWO_WAY.0..=SyncKind::REFRESH_FROM_SERVER.0).map(SyncKind).collect(),
            ..DataStore::default()
        };
        let modern = self.config.version > Version::V10;
        let devinf = DevInf {
            ver_dtd: self.config.version.dtd().into(),
            man: Some("syncml".into()),
            model: Some("conformance kit".into()),
            fwv: Some(env!("CARGO_PKG_VERSION").into()),
            swv: Some(env!("CARGO_PKG_VERSION").into()),
            dev_id: self.devices[session.device].id.clone().into(),
            dev_type: "workstation".into(),
            utc: modern,
            large_objects: modern,
            number_of_changes: modern,
            stores: vec![store],
            ..DevInf::default()
        };
        Item {
            source: Some(Location::new(self.config.version.devinf_uri())),
            data: Some(Data::DevInf(Box::new(devinf))),
            ..Item::default()
        }
    }

    /// Package 1 with these commands, which are made anew when a challenge has to be answered.
    pub(super) fn begin(
        &mut self,
        device: usize,
        make: &dyn Fn(&Self, &mut Session) -> Vec<Command<'static>>,
    ) -> Outcome<Session> {
        let mut session = self.session(device);
        let mut nonce = self.devices[device].nonce.clone();
        for _ in 0..3 {
            let unasked = self.config.basic || nonce.is_some();
            let cred = unasked.then(|| self.credential(device, nonce.as_deref().unwrap_or_default())).flatten();
            let mut body = Vec::new();
            if session.msg_id > 0 {
                body.push(session.answer_to("SyncHdr", "0", StatusCode::OK, None));
            }
            body.extend(make(self, &mut session));
            self.say_with(&mut session, cred, body, true)?;
            if !matches!(session.heard.header, Some(401 | 407)) {
                break;
            }
            nonce = Some(session.heard.challenge.as_ref().map(|(_, nonce)| nonce.clone()).unwrap_or_default());
        }
        // 212 is for the session, 200 for this message only.
        session.always_cred = session.heard.header == Some(200);
        Ok(session)
    }

    /// Opens the book. Device information goes with it, or some servers ask for it in every session.
    pub(super) fn open(&mut self, device: usize, code: AlertCode, last: Option<&str>) -> Outcome<Session> {
        let book = self.config.book.clone();
        self.begin(device, &|kit, session| vec![kit.put_devinf(session), kit.alert(session, &book, code, last)])
    }

    /// Opens the book for a sync that has to be held as it is asked for.
    pub(super) fn opened(&mut self, device: usize, code: AlertCode) -> Outcome<Session> {
        let last = self.devices[device].last.clone();
        let session = self.open(device, code, last.as_deref())?;
        let heard = &session.heard;
        expect(matches!(heard.header, Some(200..=299)), "§5.3", "the credential to be taken", || heard.outline())?;
        if let Some(code @ (406 | 501)) = heard.status("Alert") {
            return Err(Stop::Unsupported(format!("the Alert is answered {code}")));
        }
        let slow = code == AlertCode::SLOW;
        let taken = matches!(heard.status("Alert"), Some(200)) || slow && heard.status("Alert") == Some(508);
        expect(taken, "§3.3", &format!("200 for the Alert {code}"), || heard.outline())?;
        let held = heard.alerts.first().map(|alert| alert.code);
        expect(held == Some(code.0), "§3.2", &format!("the server's own Alert {code}"), || heard.outline())?;
        Ok(session)
    }

    /// Packages 3 and 4: the device's changes and the server's, which are stored nowhere.
    pub(super) fn changes(&mut self, session: &mut Session, changes: Vec<Do>) -> Outcome<Done> {
        let mut body = session.confirmations(self);
        let commands = changes.iter().map(|change| session.change(change)).collect();
        body.push(session.sync(self, commands));
        self.say(session, body, true)?;
        self.hear(session)
    }

    /// What the server has to say until its package ends, put together.
    pub(super) fn hear(&mut self, session: &mut Session) -> Outcome<Done> {
        let mut done = Done::default();
        for _ in 0..MOST_MESSAGES {
            let heard = session.heard.clone();
            done.longest = done.longest.max(heard.posted.body.len());
            let of_changes = |told: &&Told| ["Add", "Replace", "Delete"].contains(&&*told.cmd);
            done.codes.extend(heard.statuses.iter().filter(of_changes).map(|told| told.code));
            done.map = done.map.or_else(|| heard.status("Map"));
            done.number_of_changes = done.number_of_changes.or(heard.number_of_changes);
            for sent in &heard.changes {
                match done.told.last_mut().filter(|before| before.more) {
                    Some(before) => {
                        before.content += &sent.content;
                        (before.more, before.cmd_id) = (sent.more, sent.cmd_id.clone());
                    }
                    None => done.told.push(sent.clone()),
                }
            }
            if heard.last {
                done.end = heard;
                return Ok(done);
            }
            let mut body = session.confirmations(self);
            for sent in &heard.changes {
                let code = if sent.more { StatusCode(213) } else { stored(sent.op) };
                body.push(session.answer_to(sent.op.name(), &sent.cmd_id, code, None));
            }
            body.push(session.device_alert(self, AlertCode::NEXT_MESSAGE));
            self.say(session, body, false)?;
        }
        Err(Stop::Fail {
            rule: "§3.7",
            expected: "a package that ends".to_owned(),
            got: format!("{MOST_MESSAGES} messages without Final"),
        })
    }

    /// Package 5: everything stored, and mapped. The session ends, and its anchor counts.
    pub(super) fn confirm(&mut self, session: &mut Session, done: &mut Done) -> Outcome {
        // A package 4 of mere statuses ends the session: a mere Status of its header is not sent (§2.4.6).
        if session.heard.to_confirm.is_empty() && done.told.is_empty() {
            self.devices[session.device].last = Some(session.next.clone());
            return Ok(());
        }
        let mut body = session.confirmations(self);
        let mut pairs = Vec::new();
        for sent in &session.heard.changes.clone() {
            body.push(session.answer_to(sent.op.name(), &sent.cmd_id, stored(sent.op), None));
        }
        for sent in &done.told {
            let held = sent.target.clone();
            match (sent.op, held) {
                (Op::Delete, Some(luid)) => drop(self.devices[session.device].held.remove(&luid)),
                (_, Some(luid)) => drop(self.devices[session.device].held.insert(luid, sent.content.clone())),
                (Op::Add, None) => {
                    let luid = self.luid(session.device);
                    pairs.push((sent.source.clone().unwrap_or_default(), luid.clone()));
                    self.devices[session.device].held.insert(luid, sent.content.clone());
                }
                _ => {}
            }
        }
        if !pairs.is_empty() {
            body.push(session.map(self, &pairs));
        }
        self.say(session, body, true)?;
        let end = self.hear(session)?;
        (done.map, done.end) = (end.map, end.end);
        self.devices[session.device].last = Some(session.next.clone());
        Ok(())
    }

    /// A whole sync of a kind, with these changes.
    pub(super) fn whole(&mut self, device: usize, code: AlertCode, changes: Vec<Do>) -> Outcome<Done> {
        let mut session = self.opened(device, code)?;
        self.finish(&mut session, changes)
    }

    /// What is left of a session whose Alert was taken.
    pub(super) fn finish(&mut self, session: &mut Session, changes: Vec<Do>) -> Outcome<Done> {
        let count = changes.len();
        let mut done = self.changes(session, changes.clone())?;
        expect(done.codes.len() == count, "§2.4.1", &format!("a Status for each of {count} changes"), || {
            format!("{:?}", done.codes)
        })?;
        for (change, code) in changes.into_iter().zip(&done.codes) {
            if !(200..300).contains(code) && *code != 419 {
                continue;
            }
            let held = &mut self.devices[session.device].held;
            match change {
                Do::Add(luid, content) | Do::Replace(luid, content) => drop(held.insert(luid, content)),
                Do::Delete(luid) => drop(held.remove(&luid)),
            }
        }
        self.confirm(session, &mut done)?;
        Ok(done)
    }

    /// A slow sync of a device that holds just these cards; gives their LUIDs.
    pub(super) fn first(&mut self, device: usize, cards: &[String]) -> Outcome<(Vec<String>, Done)> {
        (self.devices[device].held, self.devices[device].last) = (BTreeMap::new(), None);
        let luids: Vec<String> = cards.iter().map(|_| self.luid(device)).collect();
        let adds = luids.iter().cloned().zip(cards.iter().cloned()).map(|(luid, card)| Do::Add(luid, card)).collect();
        let done = self.whole(device, AlertCode::SLOW, adds)?;
        Ok((luids, done))
    }

    /// Removes the kit's cards from the book: asks for everything, and deletes what bears the mark.
    pub(super) fn clean(&mut self) -> Outcome {
        self.first(0, &[])?;
        let ours = |(luid, content): (&String, &String)| content.contains(MARK).then(|| Do::Delete(luid.clone()));
        let deletes: Vec<Do> = self.devices[0].held.iter().filter_map(ours).collect();
        if deletes.is_empty() {
            return Ok(());
        }
        let count = deletes.len();
        let done = self.whole(0, AlertCode::TWO_WAY, deletes)?;
        expect(
            done.codes.iter().all(|code| (200..300).contains(code)),
            "§3.12",
            &format!("{count} Deletes done"),
            || format!("{:?}", done.codes),
        )
    }
}

/// What a change that was stored is answered.
pub(super) fn stored(op: Op) -> StatusCode {
    if op == Op::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK }
}
