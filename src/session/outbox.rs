//! The message being written: statuses first and in order, then commands, up to the peer's MaxMsgSize (§2.4, §3.7).

use super::profile::Manners;
use super::trust::Wanted;
use crate::codec::{Checkpoint, DataStyle, EncodeError, Encoder, Encoding, Options, xml_can_carry};
use crate::message::{
    Alert, AlertCode, Anchor, Chal, Change, CmdId, Command, Data, Header, Item, Location, Mem, Message, Meta, Status,
    StatusCode, Sync, Version, names,
};
use crate::store::SentRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Bound of a message to a peer that states none (§3.7).
const UNSTATED_MAX: u64 = 20_000;

/// A message that has only what it must carry – the Statuses of the header and of a 222, and the opened Sync – gives a change
/// this number: if it does not fit then, it never will.
const FIRST_CHANGE: u32 = 4;

/// Smaller chunks than this, in bytes, wait for the next message.
pub(super) const SMALLEST_CHUNK: usize = 256;

/// Kept free for what every message may need after its items: an Alert 222, the end of a Sync.
const RESERVE: usize = 1024;

/// A Status that may have to wait for a later message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queued {
    /// The message that held the command.
    pub msg_ref: String,
    /// The command's id.
    pub cmd_ref: String,
    /// Its name.
    pub cmd: String,
    /// Verbatim addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Verbatim addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The outcome.
    pub code: u16,
    /// What the outcome has to say in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Extra>,
    /// It answers a 222, which asks for a message and has one: where it finds no room it is left out, or in small messages
    /// nothing else would ever find any.
    #[serde(skip)]
    pub idle: bool,
    /// The credential that the command lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chal: Option<Wanted>,
}

/// The Item of a Status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Extra {
    /// An Alert's Next, echoed (§3.3).
    Next(String),
    /// A text, such as the versions supported.
    Text(String),
    /// What was merged: our id of it and the peer's (§6.1).
    Merged(String, String),
}

/// Whether a change found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is in, under this reference.
    Yes(SentRef),
    /// This message is full.
    NotNow,
    /// It would not fit into any message to this peer.
    Never,
}

/// A message being written.
pub(super) struct Outbox {
    manners: Manners,
    encoder: Encoder,
    encoding: Encoding,
    version: Version,
    msg_id: u32,
    next_cmd: u32,
    budget: usize,
    /// Size of the message with nothing but its header's Status.
    bare: usize,
    /// The open Sync: the message as it was before, the Sync's number, and whether it holds anything.
    sync: Option<(Checkpoint, u32, bool)>,
    spoke: bool,
    /// A chunk is in, behind which nothing new has a place (§3.8).
    chunked: bool,
    overflow: Vec<Queued>,
    /// Statuses of earlier messages wait that found no room here.
    blocked: bool,
}

impl Outbox {
    /// Begins a message to a peer of which nothing is known but the largest message that it takes.
    pub(super) fn new(
        header: &Header<'_>,
        encoding: Encoding,
        version: Version,
        max_msg_size: Option<u64>,
    ) -> Result<Self, EncodeError> {
        Self::to(&Manners::default(), header, encoding, version, max_msg_size)
    }

    /// Begins a message.
    pub(super) fn to(
        manners: &Manners,
        header: &Header<'_>,
        encoding: Encoding,
        version: Version,
        max_msg_size: Option<u64>,
    ) -> Result<Self, EncodeError> {
        let style = if manners.cdata.unwrap_or(true) { DataStyle::Cdata } else { DataStyle::Escaped };
        let options = Options::default().with_style(style).with_namespace(manners.namespace.unwrap_or(true));
        let encoder = Encoder::new(encoding, version, header, options)?;
        let budget = manners.budget(max_msg_size).unwrap_or(UNSTATED_MAX);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        let mut outbox = Self {
            manners: manners.clone(),
            encoder,
            encoding,
            version,
            msg_id: header.msg_id.0,
            next_cmd: 1,
            budget,
            bare: 0,
            sync: None,
            spoke: false,
            chunked: false,
            overflow: Vec::new(),
            blocked: false,
        };
        outbox.bare = outbox.encoder.len_if_closed(true);
        Ok(outbox)
    }

    /// The Status of the peer's header: always first, always in.
    pub(super) fn header_status(
        &mut self,
        msg_ref: &str,
        target: &str,
        source: &str,
        code: StatusCode,
        chal: Option<Chal<'_>>,
        extra: Option<&Extra>,
    ) -> Result<(), EncodeError> {
        let status = Status {
            cmd_id: self.take_cmd(),
            msg_ref: msg_ref.into(),
            cmd_ref: CmdId::from("0"),
            cmd: names::SYNC_HDR.into(),
            target_refs: vec![target.into()],
            source_refs: vec![source.into()],
            cred: None,
            chal,
            code,
            items: extra.map(extra_item).into_iter().collect(),
        };
        self.encoder.command(&Command::Status(status))?;
        self.bare = self.encoder.len_if_closed(true);
        Ok(())
    }

    /// A Status: into this message, or behind those that wait already.
    pub(super) fn status(&mut self, queued: Queued) -> Result<(), EncodeError> {
        if (self.overflows() || !self.try_status(&queued)?) && !queued.idle {
            self.overflow.push(queued);
        }
        Ok(())
    }

    /// A Status that waited since an earlier message; `false` when it has to wait on, and all others behind it.
    pub(super) fn waiting_status(&mut self, queued: &Queued) -> Result<bool, EncodeError> {
        self.blocked = !self.try_status(queued)?;
        Ok(!self.blocked)
    }

    fn try_status(&mut self, queued: &Queued) -> Result<bool, EncodeError> {
        let before = self.encoder.checkpoint();
        let number = self.next_cmd;
        let cmd_id = self.take_cmd();
        self.encoder.command(&Command::Status(queued.to_status(cmd_id, &self.manners)))?;
        // The first after the header's always goes in, or nothing would ever move.
        if number > 2 && self.encoder.len_if_closed(true) + self.reserve() > self.budget {
            self.encoder.rollback(before);
            self.next_cmd = number;
            return Ok(false);
        }
        Ok(true)
    }

    /// A command other than a Status; `None` when it does not fit any more.
    pub(super) fn command<'c>(
        &mut self,
        make: impl FnOnce(CmdId<'static>) -> Command<'c>,
    ) -> Result<Option<u32>, EncodeError> {
        if self.overflows() {
            return Ok(None);
        }
        let before = self.encoder.checkpoint();
        let number = self.next_cmd;
        let cmd_id = self.take_cmd();
        self.encoder.command(&make(cmd_id))?;
        // The first after the header's Status always goes in, or nothing would ever move.
        if number > 2 && self.encoder.len_if_closed(true) > self.budget {
            self.encoder.rollback(before);
            self.next_cmd = number;
            return Ok(None);
        }
        self.spoke = true;
        Ok(Some(number))
    }

    /// Asks for the peer's next message (222). Always fits: room is reserved.
    pub(super) fn next_message(&mut self, target: &str, source: &str) -> Result<(), EncodeError> {
        let cmd_id = self.take_cmd();
        let item = Item { target: Some(Location::new(target)), source: Some(Location::new(source)), ..Item::default() };
        self.encoder.command(&Command::Alert(Alert {
            cmd_id,
            no_resp: false,
            cred: None,
            code: Some(AlertCode::NEXT_MESSAGE),
            correlator: None,
            items: vec![item],
        }))
    }

    /// Opens a Sync; its CmdID, or `None` when nothing more fits.
    pub(super) fn open_sync(
        &mut self,
        target: &str,
        source: &str,
        number_of_changes: Option<u64>,
        mem: Option<Mem>,
    ) -> Result<Option<u32>, EncodeError> {
        if self.overflows() || self.chunked {
            return Ok(None);
        }
        let before = self.encoder.checkpoint();
        let number = self.next_cmd;
        let cmd_id = self.take_cmd();
        self.encoder.open_sync(&Sync {
            cmd_id,
            no_resp: false,
            cred: None,
            target: Some(Location::new(target)),
            source: Some(Location::new(source)),
            meta: mem.map(|mem| Meta { mem: Some(mem), ..Meta::default() }),
            number_of_changes,
            commands: Vec::new(),
        })?;
        if self.encoder.len_if_closed(true) > self.budget && number > 3 {
            self.encoder.rollback(before);
            self.next_cmd = number;
            return Ok(None);
        }
        self.sync = Some((before, number, false));
        Ok(Some(number))
    }

    /// Closes the Sync; one that holds nothing is taken back unless it is to be kept. `true` when it is in.
    pub(super) fn close_sync(&mut self, keep_empty: bool) -> bool {
        self.encoder.close_sync();
        match self.sync.take() {
            Some((before, number, false)) if !keep_empty => {
                self.encoder.rollback(before);
                self.next_cmd = number;
                false
            }
            _ => {
                self.spoke = true;
                true
            }
        }
    }

    /// Puts content into an item: as it is where the encoding can carry it, else as base64.
    pub(super) fn put_data<'a>(&self, item: &mut Item<'a>, meta: &mut Option<Meta<'_>>, bytes: Cow<'a, [u8]>) {
        let plain = self.encoding == Encoding::Wbxml || xml_can_carry(&bytes);
        item.data = Some(Data::Bytes(if plain {
            bytes
        } else {
            meta.get_or_insert_default().format = Some("b64".into());
            STANDARD.encode(&bytes).into_bytes().into()
        }));
    }

    /// A change inside the open Sync.
    pub(super) fn change<'c>(&mut self, make: impl FnOnce(CmdId<'static>) -> Change<'c>) -> Fit {
        if self.overflows() || self.chunked {
            return Fit::NotNow;
        }
        let before = self.encoder.checkpoint();
        let size = self.encoder.len_if_closed(true);
        let number = self.next_cmd;
        let cmd_id = self.take_cmd();
        let written = self.encoder.command(&Command::Change(make(cmd_id)));
        let total = self.encoder.len_if_closed(true);
        if written.is_ok() && total <= self.budget {
            if let Some((_, _, holds)) = &mut self.sync {
                *holds = true;
            }
            return Fit::Yes(SentRef { msg_id: self.msg_id, cmd_id: number });
        }
        self.encoder.rollback(before);
        self.next_cmd = number;
        // Would it fit into a message of its own, with the Statuses that such a message must carry?
        let alone = self.bare + (total - size) + self.reserve();
        let never = written.is_err() || alone > self.budget || number <= FIRST_CHANGE;
        if never { Fit::Never } else { Fit::NotNow }
    }

    /// As much of a large object as this message holds, inside the open Sync: a change made of the first of `rest`, and
    /// whether more follow of the `left` bytes that there are. Chunks are multiples of `unit`. Gives how many bytes are in
    /// with the reference; otherwise none are, for this message or for any is too small for a chunk worth beginning.
    pub(super) fn chunk<'b>(
        &mut self,
        rest: &'b [u8],
        left: u64,
        unit: usize,
        make: impl Fn(CmdId<'static>, &'b [u8], bool) -> Change<'b>,
    ) -> (Fit, usize) {
        if self.overflows() || self.chunked {
            return (Fit::NotNow, 0);
        }
        let before = self.encoder.checkpoint();
        let size = self.encoder.len_if_closed(true);
        let number = self.next_cmd;
        let smallest = rest.len().min(SMALLEST_CHUNK);
        let text = self.encoding == Encoding::Xml;
        let mut count = rest.len().min(self.budget.max(SMALLEST_CHUNK));
        loop {
            // XML is text: a character stays whole.
            while text && count < rest.len() && rest.get(count).is_some_and(|byte| byte & 0xC0 == 0x80) {
                count -= 1;
            }
            let more = (count as u64) < left;
            if more {
                count -= count % unit;
            }
            let written = self.encoder.command(&Command::Change(make(CmdId::from(number), &rest[..count], more)));
            let total = self.encoder.len_if_closed(true);
            if written.is_ok() && total <= self.budget {
                self.next_cmd += 1;
                self.chunked = more;
                if let Some((_, _, holds)) = &mut self.sync {
                    *holds = true;
                }
                return (Fit::Yes(SentRef { msg_id: self.msg_id, cmd_id: number }), count);
            }
            self.encoder.rollback(before);
            if written.is_err() {
                return (Fit::Never, 0);
            }
            if count <= smallest {
                // Would it fit into a message of its own?
                let never = self.bare + (total - size) > self.budget || number <= FIRST_CHANGE;
                return (if never { Fit::Never } else { Fit::NotNow }, 0);
            }
            // Each byte taken away saves at least one, and several where XML escapes it.
            count = count.saturating_sub(total - self.budget).max(count / 2).max(smallest);
        }
    }

    /// How many bytes there is room for.
    pub(super) fn room(&self) -> usize {
        self.budget.saturating_sub(self.encoder.len_if_closed(true))
    }

    /// The most that a message to this peer holds, in bytes.
    pub(super) const fn budget(&self) -> usize {
        self.budget
    }

    /// Whether messages are text.
    pub(super) fn is_text(&self) -> bool {
        self.encoding == Encoding::Xml
    }

    /// Statuses that found no room.
    pub(super) fn take_overflow(&mut self) -> Vec<Queued> {
        std::mem::take(&mut self.overflow)
    }

    /// Whether statuses are waiting for the next message.
    pub(super) const fn overflows(&self) -> bool {
        self.blocked || !self.overflow.is_empty()
    }

    /// Whether anything but statuses was written.
    pub(super) const fn spoke(&self) -> bool {
        self.spoke
    }

    /// Whether the message says nothing that moves the session: the header's Status, that of a 222, and a 222.
    pub(super) const fn is_idle(&self) -> bool {
        !self.spoke && self.next_cmd <= 4
    }

    /// The message's id.
    pub(super) const fn msg_id(&self) -> u32 {
        self.msg_id
    }

    /// The anchors of an Alert. Before 1.2 there is always a Last, if only an empty one (§2.1).
    pub(super) fn anchor(&self, last: Option<&str>, next: &str) -> Anchor<'static> {
        let none = match self.manners.zero_anchor {
            Some(true) => Some("0"),
            _ => (self.version < Version::V12).then_some(""),
        };
        let last = last.or(none);
        Anchor { last: last.map(|last| last.to_owned().into()), next: next.to_owned().into() }
    }

    /// The version written.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// The message's bytes.
    pub(super) fn finish(self, last: bool) -> Vec<u8> {
        self.encoder.finish(last)
    }

    fn reserve(&self) -> usize {
        RESERVE.min(self.budget / 4)
    }

    fn take_cmd(&mut self) -> CmdId<'static> {
        let number = self.next_cmd;
        self.next_cmd += 1;
        CmdId::from(number)
    }
}

impl Queued {
    /// A Status for a command, naming its addresses.
    pub(super) fn new(msg_ref: &str, cmd_ref: &str, cmd: &str, code: StatusCode) -> Self {
        Self {
            msg_ref: msg_ref.to_owned(),
            cmd_ref: cmd_ref.to_owned(),
            cmd: cmd.to_owned(),
            targets: Vec::new(),
            sources: Vec::new(),
            code: code.0,
            extra: None,
            idle: false,
            chal: None,
        }
    }

    /// A Status for a command of a message, without addresses.
    pub(super) fn of(message: &Message<'_>, command: &Command<'_>, code: StatusCode) -> Self {
        let cmd_id = command.cmd_id().map(|id| id.as_str()).unwrap_or_default();
        Self::new(&message.header.msg_id.to_string(), cmd_id, command.name(), code)
    }

    /// With the addresses of an item.
    pub(super) fn about(mut self, item: &Item<'_>) -> Self {
        self.targets.extend(item.target.as_ref().map(|target| target.uri.to_string()));
        self.sources.extend(item.source.as_ref().map(|source| source.uri.to_string()));
        self
    }

    /// With one address of each side.
    pub(super) fn at(mut self, target: Option<&Location<'_>>, source: Option<&Location<'_>>) -> Self {
        self.targets.extend(target.map(|target| target.uri.to_string()));
        self.sources.extend(source.map(|source| source.uri.to_string()));
        self
    }

    /// With something to say.
    pub(super) fn saying(mut self, extra: Extra) -> Self {
        self.extra = Some(extra);
        self
    }

    fn to_status(&self, cmd_id: CmdId<'static>, manners: &Manners) -> Status<'_> {
        // The Next of an Alert is no remark: it is what the peer asked for.
        let bare = manners.status_items == Some(false) && !matches!(self.extra, Some(Extra::Next(_)));
        Status {
            cmd_id,
            msg_ref: self.msg_ref.as_str().into(),
            cmd_ref: CmdId::from(self.cmd_ref.as_str()),
            cmd: self.cmd.as_str().into(),
            target_refs: self.targets.iter().map(|uri| uri.as_str().into()).collect(),
            source_refs: self.sources.iter().map(|uri| uri.as_str().into()).collect(),
            cred: None,
            chal: self.chal.as_ref().and_then(Wanted::challenge).map(|challenge| challenge.to_chal()),
            code: manners.status(StatusCode(self.code)),
            items: self.extra.as_ref().filter(|_| !bare).map(extra_item).into_iter().collect(),
        }
    }
}

fn extra_item(extra: &Extra) -> Item<'_> {
    let data = match extra {
        Extra::Next(next) => Data::Anchor(Anchor { last: None, next: next.as_str().into() }),
        Extra::Text(text) => Data::text(text.as_str()),
        Extra::Merged(ours, theirs) => {
            let place = |uri: &str| Some(Location::new(uri.to_owned()));
            return Item { target: place(ours), source: place(theirs), ..Item::default() };
        }
    };
    Item { data: Some(data), ..Item::default() }
}

/// Whether a message says nothing that moves the session: the header's Status, that of a 222, and a 222.
pub(super) fn is_idle(message: &Message<'_>) -> bool {
    message.body.len() <= 3
        && message.body.iter().all(|command| match command {
            Command::Status(status) => matches!(&*status.cmd, names::SYNC_HDR | "Alert"),
            Command::Alert(alert) => alert.code == Some(AlertCode::NEXT_MESSAGE),
            _ => false,
        })
}
