//! Instructions to a device that was lost: stop its applications, clear its data (mission R5).
//!
//! An [`Instruction`] is a line of text that says for which device it is, its number, which one has to come before it, until
//! when it holds and which backup it wants to see first, signed with a key that only the server and the device have
//! ([`DeviceKey`]). So any carrier will do (R6): the session's Exec, a file, a datagram. The device answers with a
//! [`Receipt`], signed likewise.
//!
//! The server's side is [`issue`], [`list`], [`cancel`] and [`Desk`], which tells what may be told to a device that syncs. The
//! device's side is the [`Agent`], a value that the host keeps, and the [`Applications`] that it stops and clears.
//!
//! Enters: what an owner ordered, lines that came from anywhere. Leaves: lines, what became of them, rows of the audit.

mod agent;
mod desk;
mod instruction;
mod key;
mod ledger;
mod receipt;
#[cfg(test)]
mod tests;

pub use agent::{Agent, Applications, Job, JobState};
pub use desk::Desk;
pub use instruction::{Instruction, Refusal, Standing, Task, sign, verify};
pub use key::{DeviceKey, KeyError};
pub use ledger::{
    ControlError, OPERATOR, Options, Order, OrderState, Overview, cancel, carry, enrol, issue, list, overview, receive,
};
pub use receipt::Receipt;
