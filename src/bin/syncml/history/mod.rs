//! `syncml history`: what books held before, and the way back.

mod change;
mod conflicts;
mod look;
pub(crate) mod place;

use crate::failure::Result;

/// Commands about the past.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the revisions of an item, or of a whole book, newest first
    List(look::ListArgs),
    /// Write what an item holds, or held at a time
    Show(look::ShowArgs),
    /// Compare what an item held at two times
    Diff(look::DiffArgs),
    /// Set an item, or a whole book, back to what it was; devices get it by their next sync
    Restore(change::RestoreArgs),
    /// Remove what need not be kept any more; what devices still need stays
    Purge(change::PurgeArgs),
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.place.json,
            Self::Show(args) => args.place.json,
            Self::Diff(args) => args.place.json,
            Self::Restore(args) => args.json,
            Self::Purge(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => look::list(args),
        Command::Show(args) => look::show(args),
        Command::Diff(args) => look::diff(args),
        Command::Restore(args) => change::restore(args),
        Command::Purge(args) => change::purge(args),
    }
}
