//! `syncml box`: chosen items of applications, saved and brought back (missions C1 to C6).

mod contents;
mod past;
mod place;
mod restore;
mod run;
mod shortcuts;
mod upload;

use crate::failure::Result;

/// Commands about a box.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Put shortcuts to files into the box; the files stay where they are
    Add(shortcuts::AddArgs),
    /// Show what is in the box, and when it was uploaded
    List(shortcuts::ListArgs),
    /// Take shortcuts out of the box; neither the files nor their backups are touched
    Remove(shortcuts::RemoveArgs),
    /// Upload: what is named, or again and again what is due, until Ctrl-C
    Run(Box<run::Args>),
    /// Bring back what the backup has and the device has not; nothing here is replaced
    Restore(Box<restore::Args>),
    /// Put back what was here before a restore
    Undo(past::UndoArgs),
    /// Show the uploads, and what was here before restores
    History(past::HistoryArgs),
    /// Remove old history: of uploads, and what was here before restores
    Purge(past::PurgeArgs),
}

impl Command {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Add(args) => args.json,
            Self::List(args) => args.json,
            Self::Remove(args) => args.json,
            Self::Run(args) => args.way.json,
            Self::Restore(args) => args.way.json,
            Self::Undo(args) => args.json,
            Self::History(args) => args.json,
            Self::Purge(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Add(args) => shortcuts::add(args),
        Command::List(args) => shortcuts::list(args),
        Command::Remove(args) => shortcuts::remove(args),
        Command::Run(args) => run::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Undo(args) => past::undo(args),
        Command::History(args) => past::history(args),
        Command::Purge(args) => past::purge(args),
    }
}
