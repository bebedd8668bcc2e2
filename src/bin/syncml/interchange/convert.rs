//! `syncml convert`: files of contacts into a file of another kind, without a database.

use super::source::{SourceArgs, Taken};
use super::target::TargetArgs;
use crate::books;
use crate::failure::Result;
use crate::import;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of contacts, and folders of cards
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let book = books::named("contacts")?;
    let mut taken = Taken::default();
    let files = import::files(book, &args.paths)?;
    let written = args.target.write(args.source.fields.as_deref(), |output| {
        for path in &files {
            args.source.each(book, path, &mut taken, &mut |card| output.put(card).map(|()| true))?;
        }
        Ok(())
    })?;
    args.target.tell(&written, &taken, args.json)
}
