//! A device that says exactly what it is told, for conversations written by hand.

use crate::auth::token_in;
use crate::codec::{Encoding, Limits, decode, encode};
use crate::message::{
    Alert, AlertCode, Anchor, Change, CmdId, Command, Cred, Data, DevInf, Header, Item, Location, Map, MapItem,
    Message, Meta, MsgId, Op, Put, SessionId, Status, StatusCode, Sync, Timestamp, Version,
};
use crate::session::{Refusal, Request, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A device with one datastore, `./card`, against one of the server's: `contacts`, unless it is told otherwise.
pub struct Phone<'s> {
    server: &'s Server,
    /// Its device id.
    pub device_id: String,
    /// The account's name.
    pub user: String,
    /// The password, sent as a basic credential over a transport that counts as protected.
    pub password: String,
    /// Now.
    pub now: Timestamp,
    /// The server's datastore.
    pub datastore: &'static str,
    /// What it says of itself with its alerts, where that matters.
    pub devinf: Option<DevInf<'static>>,
    /// Whether messages carry a credential though the session is authenticated.
    pub always_cred: bool,
    session: u32,
    msg_id: u32,
    cmd_id: u32,
    uri: String,
    last: Option<(String, Vec<u8>)>,
}

/// What the server said, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Status of the header.
    pub header: Option<StatusCode>,
    /// Statuses of commands: name, CmdRef, code.
    pub statuses: Vec<(String, String, StatusCode)>,
    /// Alerts: code, Last, Next.
    pub alerts: Vec<(AlertCode, Option<String>, Option<String>)>,
    /// Changes: operation, CmdID, Target, Source, content.
    pub changes: Vec<Told>,
    /// Whether the package ended.
    pub last: bool,
    /// Its MsgID.
    pub msg_id: u32,
    /// CmdIDs of its Syncs and Alerts.
    pub to_confirm: Vec<(String, String)>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A change as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The operation.
    pub op: Op,
    /// Its CmdID.
    pub cmd_id: String,
    /// The LUID, of a Replace or Delete.
    pub target: String,
    /// The GUID, of an Add.
    pub source: String,
    /// The content.
    pub content: String,
}

impl Heard {
    /// The code of the first Status for a command of that name.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<u16> {
        self.statuses.iter().find(|(cmd, ..)| cmd == name).map(|(.., code)| code.0)
    }

    /// The codes of all statuses for commands of that name.
    #[must_use]
    pub fn codes(&self, name: &str) -> Vec<u16> {
        self.statuses.iter().filter(|(cmd, ..)| cmd == name).map(|(.., code)| code.0).collect()
    }
}

impl<'s> Phone<'s> {
    /// A device that has not spoken yet.
    #[must_use]
    pub fn new(server: &'s Server, device_id: &str, user: &str, password: &str, now: Timestamp) -> Self {
        Self {
            server,
            device_id: device_id.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            now,
            datastore: "contacts",
            devinf: None,
            always_cred: false,
            session: 0,
            msg_id: 0,
            cmd_id: 1,
            uri: SERVER.to_owned(),
            last: None,
        }
    }

    /// Begins a session: an Alert for the datastore with these anchors.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn begin(&mut self, code: AlertCode, last: Option<&str>, next: &str) -> Result<Heard, Refusal> {
        self.session += 1;
        self.msg_id = 0;
        SERVER.clone_into(&mut self.uri);
        let anchor = Anchor { last: last.map(|last| last.to_owned().into()), next: next.to_owned().into() };
        let item = Item {
            target: Some(Location::new(self.datastore)),
            source: Some(Location::new("./card")),
            meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
            ..Item::default()
        };
        let alert = Command::Alert(Alert {
            cmd_id: self.take_cmd(),
            no_resp: false,
            cred: None,
            code: Some(code),
            correlator: None,
            items: vec![item],
        });
        let put = self.devinf.clone().map(|devinf| {
            let item = Item {
                source: Some(Location::new(Version::V12.devinf_uri())),
                data: Some(Data::DevInf(Box::new(devinf))),
                ..Item::default()
            };
            Command::Put(Put {
                cmd_id: self.take_cmd(),
                no_resp: false,
                lang: None,
                cred: None,
                meta: Some(Meta::of_type("application/vnd.syncml-devinf+xml")),
                items: vec![item],
            })
        });
        self.say(put.into_iter().chain([alert]).collect(), true)
    }

    /// A Sync command with these changes.
    pub fn sync(&mut self, changes: Vec<Change<'static>>) -> Command<'static> {
        Command::Sync(Sync {
            cmd_id: self.take_cmd(),
            no_resp: false,
            cred: None,
            target: Some(Location::new(self.datastore)),
            source: Some(Location::new("./card")),
            meta: None,
            number_of_changes: None,
            commands: changes.into_iter().map(Command::Change).collect(),
        })
    }

    /// One change; a Delete has no content.
    pub fn change(&mut self, op: Op, luid: &str, content: &str) -> Change<'static> {
        let item = Item {
            source: Some(Location::new(luid.to_owned())),
            data: (op != Op::Delete).then(|| Data::text(content.to_owned())),
            ..Item::default()
        };
        let meta = (op != Op::Delete).then(|| Meta::of_type("text/vcard"));
        Change { meta, ..Change::new(op, self.take_cmd(), item) }
    }

    /// A Map of GUIDs to LUIDs.
    pub fn map(&mut self, pairs: &[(&str, &str)]) -> Command<'static> {
        let items = pairs
            .iter()
            .map(|(guid, luid)| MapItem {
                target: Location::new((*guid).to_owned()),
                source: Location::new((*luid).to_owned()),
            })
            .collect();
        Command::Map(Map {
            cmd_id: self.take_cmd(),
            target: Location::new(self.datastore),
            source: Location::new("./card"),
            cred: None,
            meta: None,
            items,
        })
    }

    /// A Status for a change that the server sent.
    pub fn status(&mut self, heard: &Heard, told: &Told, code: StatusCode) -> Command<'static> {
        self.status_of(heard, told.op.name(), &told.cmd_id, code)
    }

    /// Says something and hears the answer. Statuses for the header, the Alerts and Syncs last heard come first, 200 each.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn say_after(&mut self, heard: &Heard, commands: Vec<Command<'static>>, last: bool) -> Result<Heard, Refusal> {
        let mut body = vec![self.status_of(heard, "SyncHdr", "0", StatusCode::OK)];
        for (name, cmd_id) in heard.to_confirm.clone() {
            body.push(self.status_of(heard, &name, &cmd_id, StatusCode::OK));
        }
        body.extend(commands);
        self.say(body, last)
    }

    /// Says something and hears the answer.
    ///
    /// # Errors
    /// The server's refusal.
    ///
    /// # Panics
    /// When the server's answer is no SyncML message, which is what this is for finding out.
    pub fn say(&mut self, body: Vec<Command<'static>>, last: bool) -> Result<Heard, Refusal> {
        self.msg_id += 1;
        let mut header = Header::new(
            Version::V12,
            SessionId::from(self.session.to_string()),
            MsgId(self.msg_id),
            Location::new(self.uri.clone()),
            Location::named(self.device_id.clone(), self.user.clone()),
        );
        if self.msg_id == 1 || self.always_cred {
            let data = STANDARD.encode(format!("{}:{}", self.user, self.password)).into_bytes();
            let meta = Meta { format: Some("b64".into()), ..Meta::of_type("syncml:auth-basic") };
            header.cred = Some(Cred { meta: Some(meta), data: data.into() });
        }
        let message = Message { header, body, last };
        let bytes = encode(&message, Encoding::Xml).expect("what a phone says can be written");
        self.last = Some((self.uri.clone(), bytes));
        self.repeat()
    }

    /// Sends the last message once more, byte for byte.
    ///
    /// # Errors
    /// The server's refusal.
    ///
    /// # Panics
    /// Before anything was said, and when the server's answer is no SyncML message.
    pub fn repeat(&mut self) -> Result<Heard, Refusal> {
        let (uri, bytes) = self.last.clone().expect("something was said");
        let reply = self.post(&uri, &bytes)?;
        let message = decode(&reply, Encoding::Xml, &Limits::default()).expect("the server speaks SyncML");
        if let Some(uri) = &message.header.resp_uri {
            self.uri = uri.clone().into_owned();
        }
        Ok(hear(&message, &reply))
    }

    /// Posts bytes to an address.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn post(&self, uri: &str, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = Request {
            content_type: Encoding::Xml.media_type(),
            body: bytes,
            token: token_in(uri),
            mac: None,
            protected: true,
            loopback: false,
            address: Some("192.0.2.1"),
            now: self.now,
        };
        self.server.answer(&request).map(|reply| reply.body)
    }

    /// The last message: where it went, and its bytes.
    #[must_use]
    pub fn said(&self) -> Option<(&str, &[u8])> {
        self.last.as_ref().map(|(uri, bytes)| (uri.as_str(), bytes.as_slice()))
    }

    fn status_of(&mut self, heard: &Heard, name: &str, cmd_ref: &str, code: StatusCode) -> Command<'static> {
        Command::Status(Status {
            cmd_id: self.take_cmd(),
            msg_ref: heard.msg_id.to_string().into(),
            cmd_ref: CmdId::from(cmd_ref.to_owned()),
            cmd: name.to_owned().into(),
            target_refs: Vec::new(),
            source_refs: Vec::new(),
            cred: None,
            chal: None,
            code,
            items: Vec::new(),
        })
    }

    fn take_cmd(&mut self) -> CmdId<'static> {
        self.cmd_id += 1;
        CmdId::from(self.cmd_id)
    }
}

/// The server's address in these conversations.
const SERVER: &str = "http://server.example/syncml";

fn hear(message: &Message<'_>, bytes: &[u8]) -> Heard {
    let mut heard =
        Heard { last: message.last, msg_id: message.header.msg_id.0, bytes: bytes.to_vec(), ..Heard::default() };
    for command in &message.body {
        match command {
            Command::Status(status) if status.cmd_ref.as_str() == "0" => heard.header = Some(status.code),
            Command::Status(status) => {
                heard.statuses.push((status.cmd.to_string(), status.cmd_ref.to_string(), status.code));
            }
            Command::Alert(alert) => {
                heard.to_confirm.push(("Alert".to_owned(), alert.cmd_id.to_string()));
                let anchor = alert.items.first().and_then(|item| item.meta.as_ref()).and_then(|m| m.anchor.as_ref());
                heard.alerts.push((
                    alert.code.unwrap_or(AlertCode::DISPLAY),
                    anchor.and_then(|anchor| anchor.last.as_ref()).map(ToString::to_string),
                    anchor.map(|anchor| anchor.next.to_string()),
                ));
            }
            Command::Sync(sync) => {
                heard.to_confirm.push(("Sync".to_owned(), sync.cmd_id.to_string()));
                for command in &sync.commands {
                    let Command::Change(change) = command else { continue };
                    let item = &change.items[0];
                    let uri = |place: &Option<Location<'_>>| {
                        place.as_ref().map(|place| place.uri.to_string()).unwrap_or_default()
                    };
                    heard.changes.push(Told {
                        op: change.op,
                        cmd_id: change.cmd_id.to_string(),
                        target: uri(&item.target),
                        source: uri(&item.source),
                        content: item.data.as_ref().and_then(Data::as_str).unwrap_or_default().to_owned(),
                    });
                }
            }
            _ => {}
        }
    }
    heard
}
