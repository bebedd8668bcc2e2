//! `syncml keys`.

use crate::database::DatabaseArgs;
use crate::failure::Result;
use crate::output::{self, Table, moment};
use syncml::store::audit::{self, NO_ACCOUNT};
use syncml::store::{AuditRow, Keys};
use syncml::transport::http::now;

/// Commands about the keys that all nodes of a database share.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the keys by their numbers; the keys themselves are never shown
    List(ListArgs),
    /// Make new keys. Sessions that are open go on; what was opened three rotations ago begins anew
    Rotate(RotateArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// When they begin to sign: in so many seconds. Every node looks for new keys once a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(..=86_400))]
    in_seconds: u32,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Rotate(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => {
            show(&args.db.open()?.keys()?, args.json);
            Ok(())
        }
        Command::Rotate(args) => rotate(args),
    }
}

fn rotate(args: &RotateArgs) -> Result<()> {
    let store = args.db.open()?;
    let keys = store.rotate_keys(now().plus_seconds(args.in_seconds.into()))?;
    let number = keys.0.last().map_or(0, |set| set.number);
    let row = AuditRow::new(now(), "operator", audit::KEYS_ROTATED, format!("keys {number}"));
    audit::note(store.as_ref(), NO_ACCOUNT, &row)?;
    show(&keys, args.json);
    Ok(())
}

fn show(keys: &Keys, json: bool) {
    if json {
        let rows: Vec<_> =
            keys.0.iter().map(|set| serde_json::json!({ "keys": set.number, "since": set.since })).collect();
        return output::json(&rows);
    }
    let mut table = Table::new(&["keys", "sign since"]);
    for set in &keys.0 {
        table.row([set.number.to_string(), moment(set.since)]);
    }
    table.print();
}
