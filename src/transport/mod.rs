//! How messages travel: bindings of the session to transports.
//!
//! Enters: requests from a socket. Leaves: bytes for [`Server::answer`](crate::session::Server::answer) or
//! [`Client::received`](crate::session::Client::received), and what those give back. This is an edge: clocks and sockets
//! are read here, and handed in to the rooms above.

#[cfg(feature = "http")]
pub mod http;
