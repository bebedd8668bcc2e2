//! SyncML over OBEX (§9.2): cables, infrared and Bluetooth, and whatever else is a stream of bytes.
//!
//! A client connects to the target `SYNCML-SYNC`, PUTs each message and GETs its answer, and disconnects in the end. An ABORT,
//! or an end of the stream, is a transport failure: the session repeats the same bytes, and the server answers them from
//! what it stored.
//!
//! [`packet`] and [`Framer`] know bytes only; [`ClientMachine`] and [`ServerMachine`] say which packet follows, one explicit
//! state for each expectation; [`ObexTransport`] and [`serve`] drive them over streams. Packets are as large as both sides
//! agreed on when they connected; objects as large as messages may be.

mod client;
mod drive;
mod framer;
pub mod fuzz;
mod object;
pub mod packet;
mod server;
#[cfg(test)]
mod tests;

pub use self::client::{ClientMachine, ClientState, Heard, Putting};
pub use self::drive::{Dial, ObexOptions, ObexTransport, Plain, Wire, serve, serve_stream};
pub use self::framer::Framer;
pub use self::object::Object;
pub use self::packet::{Code, Header, ObexError, Packet};
pub use self::server::{Answered, Giving, Peer, ServerMachine, ServerState, Turn};

/// The target of a SyncML server, and who answers for it.
pub const TARGET: &[u8] = b"SYNCML-SYNC";

/// The smallest packet that everybody takes, in bytes.
pub const MIN_PACKET: u16 = 255;

/// The largest that is taken here, in bytes.
pub const MAX_PACKET: u16 = 32 * 1024;
