//! The program `syncml`: a server, a client for folders of cards, and tools around both.
//!
//! One file per group of commands. What a command cannot do ends as a [`failure::Failure`], which has an exit code.

// The edge of all edges: files, sockets, the clock, randomness and the environment are read here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod account;
mod args;
mod audit;
mod backup;
mod beside;
mod book;
mod books;
mod boxes;
mod called;
mod cards;
mod config;
mod conformance;
mod control;
mod database;
mod demo;
mod device;
mod failure;
mod folder;
mod held;
mod history;
mod import;
mod interchange;
mod item;
mod job;
mod keys;
mod limits;
mod link;
mod list;
mod logging;
mod network;
mod notify;
mod output;
mod passfile;
mod phone;
mod plan;
mod platform;
mod poll;
mod profiles;
mod progress;
mod purge;
mod route;
mod search;
mod secret;
mod serve;
mod shell;
mod sync;
mod trace;
mod wire;

use clap::FromArgMatches;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words = match config::expand(std::env::args_os().collect()) {
        Ok(words) => words,
        Err(failure) => {
            failure.tell(false);
            return failure.exit_code();
        }
    };
    let matches = config::command().get_matches_from(words);
    let cli = args::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = cli.json();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            failure.exit_code()
        }
    }
}
