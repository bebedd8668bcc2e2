//! `syncml audit`.

use crate::database::DatabaseArgs;
use crate::failure::Result;
use crate::output::{List, Table, moment};
use syncml::message::Timestamp;
use syncml::store::audit::NO_ACCOUNT;

/// Rows asked for at once.
const PAGE: usize = 1_000;

/// Commands about what was done.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show what was done by whom to what: devices, accounts, credentials, restores, what was held, keys
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Only from this time on, such as 2026-11-21T05:48:04Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => list(args),
    }
}

fn time(text: &str) -> std::result::Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| "it is no time such as 2026-11-21T05:48:04Z".to_owned())
}

/// Numbers, as they are kept: who is allowed to know the names finds them with the other commands.
fn list(args: &ListArgs) -> Result<()> {
    let store = args.db.open()?;
    let mut after = (args.since.unwrap_or(Timestamp(i64::MIN)), 0);
    let mut rows = args.json.then(List::begin);
    let mut table = Table::new(&["time", "account", "by", "what", "to", "outcome"]);
    loop {
        let page = store.directory().audit(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = (last.at, last.seq);
        for row in page {
            match &mut rows {
                Some(rows) => rows.item(&row),
                None => table.row([
                    moment(row.at),
                    if row.account == NO_ACCOUNT { "-".to_owned() } else { row.account.to_string() },
                    row.actor.into_owned(),
                    row.action.into_owned(),
                    row.object.into_owned(),
                    row.outcome.into_owned(),
                ]),
            }
        }
    }
    match rows {
        Some(rows) => rows.end(),
        None => table.print(),
    }
    Ok(())
}
