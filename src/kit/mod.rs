//! Aids for testing what was built on this crate, and the crate itself: public, so that whoever writes a store or a host
//! can hold it to the same promises.
//!
//! [`protocol`] plays conversations over a store in which a store's promises matter; [`phone`] is the device in them, and
//! in tests of your own.

pub mod phone;
pub mod protocol;
