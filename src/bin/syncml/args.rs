//! The command line.

use crate::failure::{EXIT_CODES, Result};
use crate::{
    account, audit, backup, book, boxes, config, conformance, control, demo, device, held, history, import,
    interchange, item, keys, list, notify, phone, plan, platform, poll, search, serve, shell, sync, wire,
};
use clap::{Parser, Subcommand};

/// Keeps address books in step over SyncML / OMA Data Synchronization.
#[derive(Debug, Parser)]
#[command(name = "syncml", version, long_version = shell::build(), after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a database over HTTP until Ctrl-C
    Serve(Box<serve::Args>),
    /// Print the settings of `serve` as a file, with their defaults and what they mean
    Config(config::Args),
    /// Accounts and their passwords
    #[command(subcommand)]
    Account(account::Command),
    /// Platforms that speak for accounts, authenticated by their device id and a shared secret
    #[command(subcommand)]
    Platform(platform::Command),
    /// Devices that have synced
    #[command(subcommand)]
    Device(device::Command),
    /// What was done by whom: an account of it that is only ever added to
    #[command(subcommand)]
    Audit(audit::Command),
    /// The keys that challenges and the addresses of sessions are made with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Whole databases: dump, load, check
    #[command(subcommand)]
    Db(backup::Command),
    /// Keep a folder of cards in step with a server, both ways
    Sync(Box<sync::Args>),
    /// Back up the phone books of a device: its memory, its cards
    Backup(Box<phone::backup::Args>),
    /// Bring a phone book back into a device, if it fits
    Restore(Box<phone::restore::Args>),
    /// Chosen items of applications: back them up by hand or by themselves, and bring them back
    #[command(subcommand)]
    Box(boxes::Command),
    /// Watch the phone books of a device, and back them up as soon as they change, until Ctrl-C
    Watch(Box<phone::watch::Args>),
    /// The books of accounts, and those that devices back up
    #[command(subcommand)]
    Book(book::Command),
    /// Ask a server whether anything changed, without syncing
    Poll(Box<poll::Args>),
    /// What the guard keeps back until somebody decides: deletes that are too many to be meant, slow syncs nobody asked for
    #[command(subcommand)]
    Held(held::Command),
    /// Show or export a book of an account
    List(list::Args),
    /// Search all books of an account by words and digits, and copy what is found
    Search(Box<search::Args>),
    /// Change single items of a book
    #[command(subcommand)]
    Item(item::Command),
    /// See what books held before, and set items or whole books back
    #[command(subcommand)]
    History(history::Command),
    /// Bring files of contacts into a book: cards, tables, LDIF, jCard, web pages, text and chats
    Import(Box<import::Args>),
    /// Write a book of contacts, or some of it, into a file for another program
    Export(Box<interchange::export::Args>),
    /// Turn files of contacts into a file of another kind, without a database
    Convert(Box<interchange::convert::Args>),
    /// Keep documents, a book and devices in step, each brought up to date as soon as another changes, until Ctrl-C
    Link(Box<interchange::link::Args>),
    /// Say what a first sync of a book with some cards would do, and why, without doing it
    Match(plan::Args),
    /// Write the notification that asks a device to sync, or push it there
    Notify(Box<notify::Args>),
    /// A device that was lost: stop it, clear it; or pull its cards straight from it
    #[command(subcommand)]
    Control(control::Command),
    /// Ask a server whether it keeps the rules of the protocol; writes test cards into an empty book and removes them
    Conformance(Box<conformance::Args>),
    /// Turn a message (WBXML or XML) into readable XML, and a notification of DS 1.2 into text
    Decode(wire::DecodeArgs),
    /// Turn a message in XML into WBXML
    Encode(wire::EncodeArgs),
    /// Show it all: a server and two platforms on this machine, a first sync, edits on both sides, a second sync
    Demo(demo::Args),
    /// Print what completes this program's words in a shell
    Completions(shell::CompletionsArgs),
    /// Write this program's manual pages
    Man(shell::ManArgs),
}

impl Cli {
    /// Whether the output is for a machine.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Serve(args) => args.json,
            Command::Account(command) => command.json(),
            Command::Platform(command) => command.json(),
            Command::Device(command) => command.json(),
            Command::Audit(command) => command.json(),
            Command::Keys(command) => command.json(),
            Command::Db(command) => command.json(),
            Command::Sync(args) => args.json,
            Command::Backup(args) => args.phone.json,
            Command::Restore(args) => args.phone.json,
            Command::Box(command) => command.json(),
            Command::Watch(args) => args.phone.json,
            Command::Book(command) => command.json(),
            Command::Poll(args) => args.json,
            Command::Held(command) => command.json(),
            Command::List(args) => args.place.json,
            Command::Search(args) => args.json,
            Command::Item(command) => command.json(),
            Command::History(command) => command.json(),
            Command::Import(args) => args.place.json,
            Command::Export(args) => args.place.json,
            Command::Convert(args) => args.json,
            Command::Link(args) => args.place.json,
            Command::Match(args) => args.place.json,
            Command::Control(command) => command.json(),
            Command::Conformance(args) => args.json,
            Command::Config(_)
            | Command::Notify(_)
            | Command::Decode(_)
            | Command::Encode(_)
            | Command::Demo(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }

    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(&args),
            Command::Config(args) => {
                config::run(&args);
                Ok(())
            }
            Command::Account(command) => account::run(&command),
            Command::Platform(command) => platform::run(&command),
            Command::Device(command) => device::run(&command),
            Command::Audit(command) => audit::run(&command),
            Command::Keys(command) => keys::run(&command),
            Command::Db(command) => backup::run(&command),
            Command::Sync(args) => sync::run(&args),
            Command::Backup(args) => phone::backup::run(&args),
            Command::Restore(args) => phone::restore::run(&args),
            Command::Box(command) => boxes::run(&command),
            Command::Watch(args) => phone::watch::run(&args),
            Command::Book(command) => book::run(&command),
            Command::Poll(args) => poll::run(&args),
            Command::Held(command) => held::run(&command),
            Command::List(args) => list::run(&args),
            Command::Search(args) => search::run(&args),
            Command::Item(command) => item::run(&command),
            Command::History(command) => history::run(&command),
            Command::Import(args) => import::run(&args),
            Command::Export(args) => interchange::export::run(&args),
            Command::Convert(args) => interchange::convert::run(&args),
            Command::Link(args) => interchange::link::run(&args),
            Command::Match(args) => plan::run(&args),
            Command::Notify(args) => notify::run(&args),
            Command::Control(command) => control::run(&command),
            Command::Conformance(args) => conformance::run(&args),
            Command::Decode(args) => wire::decode(&args),
            Command::Encode(args) => wire::encode(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Completions(args) => {
                shell::completions(&args);
                Ok(())
            }
            Command::Man(args) => shell::man(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::command;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
