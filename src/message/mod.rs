//! The language as plain data: what two books say to each other, independent of how it is written down.
//!
//! Every type borrows from the received bytes where it can ([`Text`], [`Bytes`]); nothing here reads, writes or decides.
//! Unknown numbers and names are kept as they came, so that a later room can answer them properly.
//!
//! Enters: nothing. Leaves: [`Message`] and its parts, used by every other room.

mod codes;
mod command;
mod devinf;
mod header;
mod ids;
mod masked;
mod meta;
mod time;

pub use codes::{AlertCode, StatusCode};
pub use command::{
    Alert, Change, Command, Container, ContainerKind, Data, Exec, Filter, Get, Item, Map, MapItem, Op, Put, Results,
    Search, Status, Sync, Unknown,
};
pub use devinf::{
    ContentCap, ContentType, DataStore, DevInf, Extension, FilterCap, PropParam, Property, StoreMemory, SyncKind,
};
pub use header::{Chal, Cred, Header, Message, Version};
pub use ids::{CmdId, Location, MsgId, SessionId};
pub use meta::{Anchor, Mem, Meta};
pub use time::Timestamp;

use std::borrow::Cow;

/// Character data, borrowed from the message where the encoding allows it.
pub type Text<'a> = Cow<'a, str>;

/// Octets, borrowed from the message where the encoding allows it.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// Element names used in `Cmd` and in error messages, spelled as on the wire.
pub mod names {
    /// The pseudo command that a Status uses to answer the message header.
    pub const SYNC_HDR: &str = "SyncHdr";
}
