//! Reads along on the wire: what a session sends, and whether it sends anything twice or too new (I12), or too large (I8).

use super::card::Face;
use super::model::Model;
use crate::codec::{Encoding, Limits, decode};
use crate::message::{Change, Command, Data, Message, Op};
use crate::sync::{Role, SyncType};
use std::collections::BTreeSet;

/// One end of one session.
#[derive(Debug, Default)]
struct End {
    last: Vec<u8>,
    sent: BTreeSet<(bool, String)>,
    /// The event in which its package of changes began.
    began: Option<usize>,
    complete: bool,
}

/// One session.
#[derive(Debug, Default)]
pub(super) struct Watch {
    client: End,
    server: End,
}

impl Watch {
    pub(super) fn request(
        &mut self,
        bytes: &[u8],
        encoding: Encoding,
        event: usize,
        model: &Model,
    ) -> Result<(), String> {
        self.client.read(bytes, encoding, event, model)
    }

    pub(super) fn reply(
        &mut self,
        bytes: &[u8],
        encoding: Encoding,
        event: usize,
        model: &Model,
    ) -> Result<(), String> {
        self.server.read(bytes, encoding, event, model)
    }

    /// Whether the packages of changes of such a sync were seen to their end.
    pub(super) const fn complete(&self, sync: SyncType) -> bool {
        self.client.complete && (self.server.complete || !sync.sends(Role::Server))
    }
}

impl End {
    fn read(&mut self, bytes: &[u8], encoding: Encoding, event: usize, model: &Model) -> Result<(), String> {
        if self.last == bytes {
            return Ok(());
        }
        let message: Message<'_> = decode(bytes, encoding, &Limits::default()).map_err(|error| error.to_string())?;
        // Between an answer and its repetition another node may be too busy to look for it.
        if message.body.iter().any(|command| matches!(command, Command::Sync(_))) {
            bytes.clone_into(&mut self.last);
        }
        for command in &message.body {
            let Command::Sync(sync) = command else { continue };
            let began = *self.began.get_or_insert(event);
            for command in &sync.commands {
                let Command::Change(change) = command else { continue };
                let key = key(change);
                let face = content(change).map(Face::read).unwrap_or_default();
                if let Some(token) = face.tokens.iter().find(|token| model.born(token) > Some(began)) {
                    return Err(format!("{token} is newer than the package it is in, which began in event {began}"));
                }
                if !self.sent.insert(key.clone()) {
                    return Err(format!("item {} is sent twice in one session", key.1));
                }
            }
        }
        self.complete |= message.last && self.began.is_some();
        Ok(())
    }
}

/// A message in a few lines.
pub(super) fn outline(what: &str, bytes: &[u8], encoding: Encoding) -> String {
    let message = match decode(bytes, encoding, &Limits::default()) {
        Ok(message) => message,
        Err(error) => return format!("     {what}: {error}"),
    };
    let last = if message.last { ", final" } else { "" };
    let mut out = format!("     {what} {} of {}{last}", message.header.msg_id, message.header.session_id.as_str());
    for command in &message.body {
        match command {
            Command::Status(status) => out += &format!("; {} {} {}", status.cmd, status.cmd_ref, status.code),
            Command::Alert(alert) => out += &format!("; Alert {:?}", alert.code.map(|code| code.0)),
            Command::Map(map) => {
                out += "; Map";
                for item in &map.items {
                    out += &format!(" {}={}", item.source.uri, item.target.uri);
                }
            }
            Command::Sync(sync) => {
                out += "; Sync";
                for command in &sync.commands {
                    let Command::Change(change) = command else { continue };
                    let face = content(change).map(Face::read).unwrap_or_default();
                    let (cmd_id, op, key) = (change.cmd_id.as_str(), change.op.name(), key(change).1);
                    out += &format!(" [{cmd_id} {op} {key} {:?} with {} numbers]", face.tokens, face.numbers.len());
                }
            }
            other => out += &format!("; {}", other.name()),
        }
    }
    out
}

/// An item by the name it has on the wire; a GUID is not a LUID.
fn key(change: &Change<'_>) -> (bool, String) {
    let item = change.items.first();
    let target = item.and_then(|item| item.target.as_ref()).map(|target| target.uri.to_string());
    let source = item.and_then(|item| item.source.as_ref()).map(|source| source.uri.to_string());
    (change.op == Op::Add, target.or(source).unwrap_or_default())
}

fn content<'c>(change: &'c Change<'_>) -> Option<&'c [u8]> {
    change.items.first()?.data.as_ref().and_then(Data::as_bytes)
}
