//! Whose turn it is: the conversation, as server and as client.
//!
//! A [`Server`] is built from a store and a configuration and answers one request per call; a [`Client`] is built the
//! same way and is driven in a loop – [`Client::outgoing`], post it, [`Client::received`] – until it has a report.
//! Neither opens a socket, reads a clock or draws a random number.
//!
//! Enters: bytes of a message and what the transport knows of it. Leaves: bytes of the answer, and a report.

pub mod changes;
mod client;
mod confirm;
mod content;
mod count;
pub mod datastore;
mod devinf;
mod dimensions;
mod errand;
mod filtered;
mod folders;
mod guarded;
pub mod guid;
mod held;
mod host;
mod kept;
mod large;
mod large_out;
pub mod metrics;
mod outbox;
mod plan;
mod profile;
mod receive;
mod report;
mod send;
mod server;
mod settle;
mod shown;
mod sight;
mod state;
mod trust;
mod turn;

pub use client::{
    BookFilter, Called, CalledAlert, Client, ClientBook, ClientConfig, ClientError, Credentials, News, Outgoing,
    Patience, Poll, PollConfig,
};
pub use dimensions::MAX_DIMENSIONS;
pub use errand::{ERRAND_TYPE, ERRAND_URI, Errand, Errands, Executor, Visit};
pub use held::{Decided, Held, HeldDecision, decide_held, held};
pub use host::{Busy, Host, ServerIdentity, Speaker};
pub use plan::{BookPlan, plan};
pub use profile::{Manners, ProfileError, Profiles, ResumeObjects};
pub use report::{BookReport, ConflictNote, Counts, Report};
pub use server::{Rate, Refusal, Reply, Request, Server, ServerConfig};
