//! What is built on the engine for people: the services, on its public API only.
//!
//! [`book`] saves a device's phone books and brings them back (missions B1 to B8); [`watch`] notices when one changes (R1,
//! R2); [`boxes`] saves chosen items of its applications (missions C1 to C6); [`control`] stops and clears a device that was
//! lost (R5, R6); [`interchange`] brings contacts from and to the files of other programs (I1 to I7); [`device`] forgets a device. The page for people is `console` (feature `console`), an edge with a socket in
//! front of it.
//!
//! Enters: what a person chose, files' contents, a store. Leaves: identifiers, rules, reports. Sockets, files and the clock
//! are the host's, as in the rooms below.

pub mod book;
pub mod boxes;
#[cfg(feature = "console")]
pub mod console;
pub mod control;
pub mod device;
pub mod interchange;
pub mod watch;
