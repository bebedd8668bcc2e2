//! What a server answered, in short: what checks ask about.

use super::Posted;
use crate::auth::{Challenge, Scheme};
use crate::codec::{Encoding, Limits, decode};
use crate::message::{CmdId, Command, Data, DevInf, Item, Message, Meta, Op, Status, Text};
use std::fmt::Write as _;

/// A server's answer, in short.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub posted: Posted,
    /// Why it is no message.
    pub unreadable: Option<String>,
    pub msg_id: String,
    pub resp_uri: Option<String>,
    pub max_msg_size: Option<u64>,
    /// Status of the header.
    pub header: Option<u16>,
    /// All statuses, the header's too, in their order.
    pub statuses: Vec<Told>,
    pub challenge: Option<(Option<Scheme>, Vec<u8>)>,
    pub alerts: Vec<Alerted>,
    /// Names of its commands, in their order.
    pub commands: Vec<String>,
    pub changes: Vec<Sent>,
    /// CmdIDs of Syncs, Alerts, Puts, Gets and Results, to be answered, with the Next of Alerts.
    pub to_confirm: Vec<(String, String, Option<String>)>,
    pub number_of_changes: Option<u64>,
    pub devinf: Option<DevInf<'static>>,
    pub last: bool,
}

/// An Alert.
#[derive(Clone, Debug)]
pub(super) struct Alerted {
    pub code: u16,
    pub next: Option<String>,
    pub max_obj_size: Option<u64>,
}

/// A Status.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub cmd: String,
    pub msg_ref: String,
    pub cmd_ref: String,
    pub target: Option<String>,
    pub source: Option<String>,
    pub code: u16,
    /// Texts and anchors in its Items.
    pub said: Vec<String>,
}

/// A change that the server sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub op: Op,
    pub cmd_id: String,
    pub target: Option<String>,
    pub source: Option<String>,
    pub content: String,
    pub size: Option<u64>,
    pub more: bool,
}

impl Answer {
    /// The first Status for a command of that name.
    pub(super) fn status(&self, name: &str) -> Option<u16> {
        self.statuses.iter().find(|told| told.cmd == name).map(|told| told.code)
    }

    /// What it is, for a finding.
    pub(super) fn outline(&self) -> String {
        if let Some(why) = &self.unreadable {
            return why.clone();
        }
        let mut out = String::new();
        for told in &self.statuses {
            let _ = write!(out, "{} {}, ", told.cmd, told.code);
        }
        for alert in &self.alerts {
            let _ = write!(out, "Alert {}, ", alert.code);
        }
        for sent in &self.changes {
            let _ = write!(out, "{}, ", sent.op.name());
        }
        out + if self.last { "Final" } else { "no Final" }
    }

    /// Reads what came back.
    pub(super) fn read(posted: Posted) -> Self {
        let mut answer = Self { posted, ..Self::default() };
        let Posted { status, content_type, body } = &answer.posted;
        let encoding = match Encoding::from_content_type(content_type) {
            Some(encoding) if (200..300).contains(status) => encoding,
            _ => {
                answer.unreadable = Some(format!("HTTP {status} {content_type} instead of a message"));
                return answer;
            }
        };
        let body = body.clone();
        match decode(&body, encoding, &Limits::default()) {
            Ok(message) => answer.take(&message),
            Err(error) => answer.unreadable = Some(format!("an answer that cannot be read: {error}")),
        }
        answer
    }

    fn take(&mut self, message: &Message<'_>) {
        self.last = message.last;
        self.msg_id = message.header.msg_id.to_string();
        self.resp_uri = message.header.resp_uri.as_ref().map(ToString::to_string);
        self.max_msg_size = message.header.meta.as_ref().and_then(|meta| meta.max_msg_size);
        for command in &message.body {
            self.commands.push(command.name().to_owned());
            let mut confirm = |cmd_id: &CmdId<'_>, next| {
                self.to_confirm.push((command.name().to_owned(), cmd_id.to_string(), next));
            };
            match command {
                Command::Status(status) => self.take_status(status),
                Command::Alert(alert) => {
                    let meta = alert.items.first().and_then(|item| item.meta.as_ref());
                    let anchor = meta.and_then(|meta| meta.anchor.as_ref());
                    let next = anchor.map(|anchor| anchor.next.to_string());
                    confirm(&alert.cmd_id, next.clone());
                    let (code, max_obj_size) =
                        (alert.code.map_or(0, |code| code.0), meta.and_then(|meta| meta.max_obj_size));
                    self.alerts.push(Alerted { code, next, max_obj_size });
                }
                Command::Sync(sync) => {
                    confirm(&sync.cmd_id, None);
                    self.number_of_changes = self.number_of_changes.or(sync.number_of_changes);
                    for command in &sync.commands {
                        self.take_change(command);
                    }
                }
                Command::Results(results) => {
                    confirm(&results.cmd_id, None);
                    self.take_devinf(&results.items);
                }
                Command::Put(put) => {
                    confirm(&put.cmd_id, None);
                    self.take_devinf(&put.items);
                }
                Command::Get(get) => confirm(&get.cmd_id, None),
                _ => {}
            }
        }
    }

    fn take_status(&mut self, status: &Status<'_>) {
        if status.cmd_ref.as_str() == "0" && self.header.is_none() {
            self.header = Some(status.code.0);
            self.challenge = status.chal.as_ref().map(|chal| match Challenge::read(chal) {
                Ok(challenge) => (Some(challenge.scheme), challenge.nonce),
                Err(_) => (None, Vec::new()),
            });
        }
        let first = |refs: &[Text<'_>]| refs.first().map(ToString::to_string);
        let said = |item: &Item<'_>| match item.data.as_ref()? {
            Data::Anchor(anchor) => Some(anchor.next.to_string()),
            data => data.as_str().map(str::to_owned),
        };
        self.statuses.push(Told {
            cmd: status.cmd.to_string(),
            msg_ref: status.msg_ref.to_string(),
            cmd_ref: status.cmd_ref.to_string(),
            target: first(&status.target_refs),
            source: first(&status.source_refs),
            code: status.code.0,
            said: status.items.iter().filter_map(said).collect(),
        });
    }

    fn take_change(&mut self, command: &Command<'_>) {
        let Command::Change(change) = command else { return };
        for item in &change.items {
            let meta = item.meta.as_ref().or(change.meta.as_ref());
            let content = match item.data.as_ref().and_then(Data::as_bytes) {
                Some(bytes) => text_of(bytes, meta),
                None => String::new(),
            };
            self.changes.push(Sent {
                op: change.op,
                cmd_id: change.cmd_id.to_string(),
                target: item.target.as_ref().map(|place| place.uri.to_string()),
                source: item.source.as_ref().map(|place| place.uri.to_string()),
                content,
                size: meta.and_then(|meta| meta.size),
                more: item.more_data,
            });
        }
    }

    fn take_devinf(&mut self, items: &[Item<'_>]) {
        for item in items {
            if let Some(Data::DevInf(devinf)) = &item.data {
                self.devinf = Some((**devinf).clone().into_owned());
            }
        }
    }
}

/// An item's content, out of base64 where that is declared.
fn text_of(bytes: &[u8], meta: Option<&Meta<'_>>) -> String {
    use base64::Engine as _;
    let packed = meta.and_then(|meta| meta.format.as_deref()).is_some_and(|format| format == "b64");
    let plain = packed.then(|| base64::engine::general_purpose::STANDARD.decode(bytes.trim_ascii()).ok()).flatten();
    String::from_utf8_lossy(plain.as_deref().unwrap_or(bytes)).into_owned()
}
