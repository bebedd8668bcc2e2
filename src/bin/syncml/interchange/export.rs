//! `syncml export`: a book, or some of it, into a file for another program.

use super::source::Taken;
use super::target::TargetArgs;
use crate::failure::{Failure, Result};
use crate::history::place::{Place, PlaceArgs};
use crate::list;
use syncml::contact::identity::Kind;
use syncml::contact::search::Query;
use syncml::service::interchange::{Field, Selection};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Only contacts in which all these words and digits are found, as by `syncml search`
    #[arg(long, value_name = "WORDS")]
    select: Option<Query>,
    /// Only these fields, such as fn,tel.mobile,email; of cards whole properties, and always the name
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    fields: Option<Vec<Field>>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Place { store, account, book } = args.place.open()?;
    if book.book.kind() != Kind::Contact {
        return Err(Failure::usage(
            "only books of contacts can be exported; `syncml list --export` writes items of any",
        ));
    }
    let mut selection = Selection::default();
    selection.query.clone_from(&args.select);
    selection.fields.clone_from(&args.fields);
    let mut taken = Taken::default();
    let written = args.target.write(args.fields.as_deref(), |output| {
        list::for_each(store.as_ref(), account, book, |item| {
            if syncml::contact::card::Card::parse(&item.content).is_err() {
                taken.skipped.push((format!("item {}", item.guid), "it is no card".to_owned()));
                return Ok(());
            }
            match selection.take(item.content.to_vec()) {
                Some(card) => output.put(card),
                None => Ok(()),
            }
        })
    })?;
    args.target.tell(&written, &taken, args.place.json)
}
