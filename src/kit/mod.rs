//! Test-suites for implementers: what a store must do, so that the promises of this crate hold on it.
//!
//! [`store`] asks a [`Store`](crate::store::Store) directly: rows in, rows out, transactions, steps of several threads.
//! A second part will hold conversations over a store; it belongs beside it.
//!
//! Enters: a way to open an empty store. Leaves: a report of named cases.

// Threads and panics of its own: it is a test that happens to be public.
#![allow(clippy::disallowed_methods)]

pub mod store;
