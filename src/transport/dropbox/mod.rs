//! SyncML by letters: a folder in which messages are left and answers fetched (mission R6), for peers that are never
//! connected at the same time. Whatever carries the folder – a mount, a stick, a program that copies – is not our business.
//!
//! A letter is a frame of [`tcp`](super::tcp) under a name made of its contents, so that the same message is the same letter
//! however often it is left. It is there whole or not at all, and on disk before anything is said of it. The server answers
//! each once: first the answer lies there for good, then the letter is taken away; what crashes in between is taken up by
//! looking what lies there. The client takes the letter away before the answer, so that no letter can be answered again
//! whose answer was read.
//!
//! A session may take days: [`DropOptions`] says how long the client waits, the server's configuration
//! ([`ServerConfig::session_seconds`](crate::session::ServerConfig::session_seconds)) how long a session lives. A challenge
//! is good for minutes only: where letters take longer, the first login needs a credential that needs none.

mod client;
mod folder;
mod server;

pub use self::client::{DropOptions, DropTransport};
pub use self::folder::Folder;
pub use self::server::{Keep, Tended, serve, tend};

use super::tcp::Frame;
use sha2::{Digest as _, Sha256};
use std::fmt::{Debug, Write as _};
use std::io;

/// The two sides of a drop box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tray {
    /// Letters to the server.
    In,
    /// Its answers.
    Out,
}

impl Tray {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Where letters lie. [`Folder`] is one; a host may have its own (SFTP, an object store).
pub trait Shelf: Debug + Send + Sync {
    /// The letters in a tray, the oldest first. Those that are being written are not among them.
    ///
    /// # Errors
    /// What the shelf's own say.
    fn list(&self, tray: Tray) -> io::Result<Vec<String>>;

    /// A letter, if it is there.
    ///
    /// # Errors
    /// The shelf's own; [`io::ErrorKind::FileTooLarge`] for one of more than `limit` bytes.
    fn read(&self, tray: Tray, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>>;

    /// Lays a letter there, in place of one of the same name. When this returns it outlives a crash; until then it is not
    /// there, or whole.
    ///
    /// # Errors
    /// The shelf's own: then it may be there or not.
    fn put(&self, tray: Tray, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Takes a letter away for good; whether it was there.
    ///
    /// # Errors
    /// The shelf's own.
    fn remove(&self, tray: Tray, name: &str) -> io::Result<bool>;
}

/// How a letter's name ends.
const ENDING: &str = ".sml";

/// The name of a request: that of its contents.
fn name_of(frame: &[u8]) -> String {
    let digest = Sha256::digest(frame);
    digest[..16].iter().fold(String::with_capacity(36), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    }) + ENDING
}

/// A frame as a letter.
fn to_letter(frame: &Frame) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    frame.write(&mut bytes)?;
    Ok(bytes)
}

/// Beyond the body: the frame's head and its headers.
const AROUND: usize = super::tcp::HEAD + super::tcp::MAX_TEXT + super::tcp::MAX_MAC;
