//! The commands of a message body (§2.1, §2.2).

use super::masked::{Masked, debug_masked};
use super::{AlertCode, Anchor, Bytes, Chal, CmdId, Cred, DevInf, Location, Mem, Meta, StatusCode, Text};
use std::fmt;

/// One command of `SyncBody`, `Sync`, `Atomic` or `Sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `Add`, `Replace`, `Delete`, `Copy` or `Move`.
    Change(Change<'a>),
    /// `Alert`.
    Alert(Alert<'a>),
    /// `Atomic` or `Sequence`.
    Container(Container<'a>),
    /// `Exec`.
    Exec(Exec<'a>),
    /// `Get`.
    Get(Get<'a>),
    /// `Map`.
    Map(Map<'a>),
    /// `Put`.
    Put(Put<'a>),
    /// `Results`.
    Results(Results<'a>),
    /// `Search`.
    Search(Search<'a>),
    /// `Status`.
    Status(Status<'a>),
    /// `Sync`.
    Sync(Sync<'a>),
    /// An element that is no command of any version; answered 501.
    Unknown(Unknown<'a>),
}

impl<'a> Command<'a> {
    /// The element's name, as `Cmd` wants it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Change(change) => change.op.name(),
            Self::Alert(_) => "Alert",
            Self::Container(container) => container.kind.name(),
            Self::Exec(_) => "Exec",
            Self::Get(_) => "Get",
            Self::Map(_) => "Map",
            Self::Put(_) => "Put",
            Self::Results(_) => "Results",
            Self::Search(_) => "Search",
            Self::Status(_) => "Status",
            Self::Sync(_) => "Sync",
            Self::Unknown(unknown) => &unknown.name,
        }
    }

    /// The command's id; absent only on an unknown element that carries none.
    #[must_use]
    pub fn cmd_id(&self) -> Option<&CmdId<'a>> {
        match self {
            Self::Change(c) => Some(&c.cmd_id),
            Self::Alert(c) => Some(&c.cmd_id),
            Self::Container(c) => Some(&c.cmd_id),
            Self::Exec(c) => Some(&c.cmd_id),
            Self::Get(c) => Some(&c.cmd_id),
            Self::Map(c) => Some(&c.cmd_id),
            Self::Put(c) => Some(&c.cmd_id),
            Self::Results(c) => Some(&c.cmd_id),
            Self::Search(c) => Some(&c.cmd_id),
            Self::Status(c) => Some(&c.cmd_id),
            Self::Sync(c) => Some(&c.cmd_id),
            Self::Unknown(c) => c.cmd_id.as_ref(),
        }
    }

    /// Whether the command asks not to be answered. A Map cannot ask, a Status is never answered.
    #[must_use]
    pub fn no_resp(&self) -> bool {
        match self {
            Self::Change(c) => c.no_resp,
            Self::Alert(c) => c.no_resp,
            Self::Container(c) => c.no_resp,
            Self::Exec(c) => c.no_resp,
            Self::Get(c) => c.no_resp,
            Self::Put(c) => c.no_resp,
            Self::Search(c) => c.no_resp,
            Self::Sync(c) => c.no_resp,
            Self::Map(_) | Self::Results(_) | Self::Unknown(_) => false,
            Self::Status(_) => true,
        }
    }
}

/// The five commands that change items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Op {
    /// `Add`.
    Add,
    /// `Replace`.
    Replace,
    /// `Delete`.
    Delete,
    /// `Copy`.
    Copy,
    /// `Move` (1.2).
    Move,
}

impl Op {
    /// The element's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Replace => "Replace",
            Self::Delete => "Delete",
            Self::Copy => "Copy",
            Self::Move => "Move",
        }
    }
}

/// `Add`, `Replace`, `Delete`, `Copy` or `Move`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which of the five.
    pub op: Op,
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `Archive` (Delete only): archive before deleting.
    pub archive: bool,
    /// `SftDel` (Delete only): free the memory, keep the item in the sync set.
    pub soft_delete: bool,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`, which covers all items.
    pub meta: Option<Meta<'a>>,
    /// `Item`, one or more.
    pub items: Vec<Item<'a>>,
}

impl<'a> Change<'a> {
    /// A change of one item.
    #[must_use]
    pub fn new(op: Op, cmd_id: CmdId<'a>, item: Item<'a>) -> Self {
        Self {
            op,
            cmd_id,
            no_resp: false,
            archive: false,
            soft_delete: false,
            cred: None,
            meta: None,
            items: vec![item],
        }
    }
}

/// `Alert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `Cred`, for the datastore alone.
    pub cred: Option<Cred<'a>>,
    /// `Data`: the code; absent means 100 by some readings, so it is kept as it came.
    pub code: Option<AlertCode>,
    /// `Correlator` (1.2; device management).
    pub correlator: Option<Text<'a>>,
    /// `Item`, none or more.
    pub items: Vec<Item<'a>>,
}

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `Atomic`: all or nothing.
    Atomic,
    /// `Sequence`: in this order.
    Sequence,
}

impl ContainerKind {
    /// The element's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atomic => "Atomic",
            Self::Sequence => "Sequence",
        }
    }
}

/// `Atomic` or `Sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    /// Which of the two.
    pub kind: ContainerKind,
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`, for the container alone.
    pub no_resp: bool,
    /// `Meta`, which covers all commands inside.
    pub meta: Option<Meta<'a>>,
    /// The commands inside.
    pub commands: Vec<Command<'a>>,
}

/// `Exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `Correlator` (1.2).
    pub correlator: Option<Text<'a>>,
    /// `Item`; boxed, or the rarest of commands would make every command half as large again.
    pub item: Box<Item<'a>>,
}

/// `Get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`: no Status; the Results are sent nevertheless.
    pub no_resp: bool,
    /// `Lang`.
    pub lang: Option<Text<'a>>,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `Item`, one or more.
    pub items: Vec<Item<'a>>,
}

/// `Put`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `Lang`.
    pub lang: Option<Text<'a>>,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `Item`, one or more.
    pub items: Vec<Item<'a>>,
}

/// `Results`: the answer to a Get or Search.
#[derive(Clone, PartialEq, Eq)]
pub struct Results<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `MsgRef`; `1` when absent.
    pub msg_ref: Option<Text<'a>>,
    /// `CmdRef`.
    pub cmd_ref: CmdId<'a>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `TargetRef`.
    pub target_ref: Option<Text<'a>>,
    /// `SourceRef`.
    pub source_ref: Option<Text<'a>>,
    /// `Item`, one or more.
    pub items: Vec<Item<'a>>,
}

debug_masked!(Results {
    cmd_id, msg_ref, cmd_ref, meta, items
} masked { target_ref, source_ref });

/// `Search`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `NoResults`.
    pub no_results: bool,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Target`: where the results go.
    pub target: Option<Location<'a>>,
    /// `Source`, one or more: what is searched.
    pub sources: Vec<Location<'a>>,
    /// `Lang`.
    pub lang: Option<Text<'a>>,
    /// `Meta`: the grammar.
    pub meta: Option<Meta<'a>>,
    /// `Data`: the query.
    pub data: Data<'a>,
}

/// `Status`: the answer to one command (§2.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Status<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `MsgRef`: the message that held the command.
    pub msg_ref: Text<'a>,
    /// `CmdRef`: the command's id, `0` for the header.
    pub cmd_ref: CmdId<'a>,
    /// `Cmd`: the command's name.
    pub cmd: Text<'a>,
    /// `TargetRef`: verbatim addresses of the items answered.
    pub target_refs: Vec<Text<'a>>,
    /// `SourceRef`: verbatim addresses of the items answered.
    pub source_refs: Vec<Text<'a>>,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Chal`.
    pub chal: Option<Chal<'a>>,
    /// `Data`: the code.
    pub code: StatusCode,
    /// `Item`: what the code has to say in addition.
    pub items: Vec<Item<'a>>,
}

debug_masked!(Status {
    cmd_id, msg_ref, cmd_ref, cmd, cred, chal, code, items
} masked { target_refs, source_refs });

/// `Sync`: the changes of one datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `NoResp`.
    pub no_resp: bool,
    /// `Cred`, for the datastore alone.
    pub cred: Option<Cred<'a>>,
    /// `Target`: the receiver's datastore.
    pub target: Option<Location<'a>>,
    /// `Source`: the sender's datastore.
    pub source: Option<Location<'a>>,
    /// `Meta`, which covers all commands inside.
    pub meta: Option<Meta<'a>>,
    /// `NumberOfChanges` (1.1): for progress only.
    pub number_of_changes: Option<u64>,
    /// The commands inside.
    pub commands: Vec<Command<'a>>,
}

/// `Map`: which GUID became which LUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<'a> {
    /// `CmdID`.
    pub cmd_id: CmdId<'a>,
    /// `Target`: the server's datastore.
    pub target: Location<'a>,
    /// `Source`: the client's datastore.
    pub source: Location<'a>,
    /// `Cred`.
    pub cred: Option<Cred<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `MapItem`, one or more.
    pub items: Vec<MapItem<'a>>,
}

/// `MapItem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapItem<'a> {
    /// `Target`: the GUID, exactly as the server's Add had it.
    pub target: Location<'a>,
    /// `Source`: the LUID that the client assigned.
    pub source: Location<'a>,
}

/// An element where a command was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its name; in WBXML, which has only numbers, `0x` and the token.
    pub name: Text<'a>,
    /// Its `CmdID`, if it has one.
    pub cmd_id: Option<CmdId<'a>>,
}

/// `Item`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Item<'a> {
    /// `Target`.
    pub target: Option<Location<'a>>,
    /// `Target/Filter` (1.2).
    pub filter: Option<Box<Filter<'a>>>,
    /// `Source`.
    pub source: Option<Location<'a>>,
    /// `SourceParent/LocURI` (1.2).
    pub source_parent: Option<Text<'a>>,
    /// `TargetParent/LocURI` (1.2).
    pub target_parent: Option<Text<'a>>,
    /// `Meta`.
    pub meta: Option<Meta<'a>>,
    /// `Data`.
    pub data: Option<Data<'a>>,
    /// `MoreData`: the object goes on in a later chunk.
    pub more_data: bool,
}

debug_masked!(Item {
    target, filter, source, meta, data, more_data
} masked { source_parent, target_parent });

/// `Filter` (1.2, §3.16).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Filter<'a> {
    /// `Meta`: the content type filtered.
    pub meta: Meta<'a>,
    /// `Field/Item`: properties wanted.
    pub field: Option<Item<'a>>,
    /// `Record/Item`: the query.
    pub record: Option<Item<'a>>,
    /// `FilterType`: EXCLUSIVE when absent.
    pub filter_type: Option<Text<'a>>,
}

/// The content of `Data`.
#[derive(Clone, PartialEq, Eq)]
pub enum Data<'a> {
    /// Character data or octets: a card, a number, a text. In XML it is the text, however it was quoted; in WBXML the
    /// inline string or the opaque block.
    Bytes(Bytes<'a>),
    /// An anchor, in the Status of an Alert (§3.3).
    Anchor(Anchor<'a>),
    /// Free memory (§3.18).
    Mem(Mem),
    /// Device information, inline, escaped, or as a nested WBXML document.
    DevInf(Box<DevInf<'a>>),
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&Masked(bytes.len())).finish(),
            Self::Anchor(anchor) => anchor.fmt(f),
            Self::Mem(mem) => mem.fmt(f),
            Self::DevInf(devinf) => devinf.fmt(f),
        }
    }
}

impl<'a> Data<'a> {
    /// Data of a text.
    #[must_use]
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Bytes(match text.into() {
            Text::Borrowed(text) => Bytes::Borrowed(text.as_bytes()),
            Text::Owned(text) => Bytes::Owned(text.into_bytes()),
        })
    }

    /// The octets, unless the data is markup.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text, unless the data is markup or not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}
