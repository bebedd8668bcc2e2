//! What must hold whatever comes in: one function per way in, which takes any bytes and panics when a promise is broken.
//!
//! `fuzz/` drives them with libFuzzer; what it found is kept in `fuzz/findings` and replayed by `tests/findings.rs`, with
//! a small corpus.
//!
//! The bytes are read as they are where the code under test takes bytes ([`codec`], [`card`], …), and as a string of choices
//! where it takes a conversation ([`server`], [`client`], [`stored`]); where they end every choice is the simplest one.

pub mod auth;
pub mod card;
pub mod client;
pub mod codec;
mod input;
pub mod server;
pub mod small;
pub mod stored;
mod talk;

pub use input::Input;

/// One way in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the program in `fuzz/fuzz_targets` and of the folders in `fuzz/findings` and `fuzz/corpus`.
    pub name: &'static str,
    /// Takes any bytes; panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All ways in, but for those of the transport (`transport::http::fuzz`).
pub const TARGETS: &[Target] = &[
    Target { name: "xml", run: codec::xml },
    Target { name: "wbxml", run: codec::wbxml },
    Target { name: "devinf", run: codec::devinf },
    Target { name: "card", run: card::card },
    Target { name: "san", run: small::san },
    Target { name: "filter", run: small::filter },
    Target { name: "auth", run: auth::auth },
    Target { name: "server", run: server::server },
    Target { name: "client", run: client::client },
    Target { name: "stored", run: stored::stored },
];
