//! The program `syncml`: a server, a client for folders of cards, and tools around both.
//!
//! One file per group of commands. What a command cannot do ends as a [`failure::Failure`], which has an exit code.

// The edge of all edges: files, sockets, the clock, randomness and the environment are read here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod account;
mod args;
mod backup;
mod books;
mod cards;
mod conformance;
mod database;
mod demo;
mod device;
mod failure;
mod folder;
mod held;
mod history;
mod import;
mod item;
mod list;
mod network;
mod notify;
mod output;
mod passfile;
mod plan;
mod platform;
mod poll;
mod profiles;
mod progress;
mod secret;
mod serve;
mod sync;
mod trace;
mod wire;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let json = cli.json();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            failure.exit_code()
        }
    }
}
