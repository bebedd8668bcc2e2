//! Phone books, saved and brought back (missions B1 to B8).
//!
//! A device has one or more books: its own memory, each of its cards. [`BookId`] is what a book is called at the server, made
//! of the [`DeviceIdentity`] and the [`Storage`]; the device can make it itself. A [`Layout`] says what a book holds – its
//! dimensions – and how much of it. Records go up through it and come down through it: [`Aligned`] puts it in front of a
//! book. What a book is to be given is measured before it is given ([`Preflight`]).
//!
//! The rest is an ordinary sync ([`session`](crate::session)): to the server only
//! ([`ONE_WAY_FROM_CLIENT`](crate::message::AlertCode::ONE_WAY_FROM_CLIENT)) with the book's
//! [`address`](BookId::address) and its dimensions ([`ClientBook`](crate::session::ClientBook)), or from it
//! ([`REFRESH_FROM_SERVER`](crate::message::AlertCode::REFRESH_FROM_SERVER)). The server's lens of the device is made of
//! these dimensions, so that an upload replaces what the device has and leaves the rest (mission B5).

mod aligned;
mod identity;
mod layout;
mod name;
mod packed;
mod preflight;

pub use aligned::Aligned;
pub use identity::{DeviceIdentity, Imei, Imsi, Mac, PhoneNumber, Wrong};
pub use layout::{Layout, LayoutError, MAX_DIMENSIONS, Survey};
pub use name::{BookId, Storage};
pub use packed::{PackError, pack, unpack};
pub use preflight::{Overflow, Preflight, TooMuch};
