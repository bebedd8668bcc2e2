//! Aids for testing what was built on this crate, and the crate itself: public, so that whoever writes a store or a host
//! can hold it to the same promises.
//!
//! [`store`] asks a [`Store`](crate::store::Store) directly: rows in, rows out, transactions, steps of several threads.
//! [`protocol`] plays conversations over a store in which a store's promises matter; [`phone`] is the device in them, and
//! in tests of your own. [`conformance`] asks any SyncML server, over any transport, whether it keeps the rules. [`sim`] lets a server and devices live through a bad network and crashes, from a seed.
//! [`fuzz`] says what must hold whatever comes in.

pub mod conformance;
pub mod fuzz;
pub mod phone;
pub mod protocol;
pub mod sim;
pub mod store;
