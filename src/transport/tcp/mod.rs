//! SyncML over a plain socket: frames with a length, a Content-Type and a MAC, one request and one answer at a time.
//!
//! For devices and hosts without HTTP (mission R6). Nothing is encrypted: put it behind a tunnel, or on a cable. The address
//! is `tcp://host:port`.

mod client;
mod frame;
mod server;

pub use self::client::{TcpOptions, TcpTransport};
pub(super) use self::client::{authority, connect, is_past};
pub use self::frame::{Frame, FrameError, HEAD, Head, MAX_MAC, MAX_TEXT};
pub use self::server::serve;
