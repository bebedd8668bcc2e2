//! `syncml held`: what waits for a person's decision.

use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Table, moment};
use std::collections::HashMap;
use syncml::session::{Held, HeldDecision, decide_held, held};
use syncml::store::Guid;
use syncml::transport::http::now;

/// Names of held items shown.
const MOST_NAMES: usize = 10;

/// Commands about what is held.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show what waits for a decision, and why
    List(ListArgs),
    /// It was meant: the deletes happen now, a slow sync when it comes again
    Release(DecideArgs),
    /// It was an accident: the cards go back to the device with its next sync
    Discard(DecideArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Only this account's
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this book
    #[arg(long)]
    book: Option<String>,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account; where there is one only, as in the .syncml.db of a folder, it is that
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The book: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, default_value = "contacts")]
    book: String,
    /// Only what this device caused
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Release(args) | Self::Discard(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => list(args),
        Command::Release(args) => decide(args, HeldDecision::Release),
        Command::Discard(args) => decide(args, HeldDecision::Discard),
    }
}

fn list(args: &ListArgs) -> Result<()> {
    let book = args.book.as_deref().map(books::named).transpose()?;
    let store = args.db.open()?;
    let accounts = database::accounts(store.as_ref(), args.user.as_deref())?;
    let mut shown = Vec::new();
    for (name, account) in accounts {
        for found in held(store.as_ref(), account, book.map(|book| book.book))? {
            let kind = books::numbered(found.book);
            let names = kind.map(|kind| books::names(store.as_ref(), account, kind, &found.items)).transpose()?;
            shown.push((name.clone(), kind.map_or("?", |kind| kind.name), found, names.unwrap_or_default()));
        }
    }
    if args.json {
        let rows: Vec<_> = shown.iter().map(|(account, book, held, names)| json(account, book, held, names)).collect();
        output::json(&rows);
        return Ok(());
    }
    if shown.is_empty() {
        println!("nothing is held");
        return Ok(());
    }
    let mut table = Table::new(&["account", "device", "book", "since", "items", "of", "snapshot", "why"]);
    for (account, book, held, _) in &shown {
        let hold = &held.hold;
        table.row([
            account.clone(),
            held.device.clone(),
            (*book).to_owned(),
            moment(hold.at),
            held.items.len().to_string(),
            hold.live.to_string(),
            hold.snapshot.to_string(),
            why(held),
        ]);
    }
    table.print();
    for (_, _, held, names) in shown.iter().filter(|(_, _, held, _)| !held.items.is_empty()) {
        let named: Vec<_> = held.items.iter().take(MOST_NAMES).map(|guid| names[guid].as_str()).collect();
        let more = held.items.len().saturating_sub(MOST_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        println!("{}: {}{more}", held.device, named.join(", "));
    }
    Ok(())
}

fn why(held: &Held) -> String {
    let hold = &held.hold;
    let cause = hold.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let released = if hold.released { "; released, it happens when it comes again" } else { "" };
    format!("{}{cause}{released}", hold.reason.sentence())
}

fn json(account: &str, book: &str, held: &Held, names: &HashMap<Guid, String>) -> serde_json::Value {
    let items: Vec<_> =
        held.items.iter().map(|guid| serde_json::json!({ "guid": guid, "name": names.get(guid) })).collect();
    serde_json::json!({
        "account": account,
        "device": held.device,
        "book": book,
        "reason": held.hold.reason,
        "why": why(held),
        "since": moment(held.hold.at),
        "snapshot": held.hold.snapshot,
        "live": held.hold.live,
        "released": held.hold.released,
        "items": items,
    })
}

fn decide(args: &DecideArgs, decision: HeldDecision) -> Result<()> {
    let book = books::named(&args.book)?;
    let store = args.db.open()?;
    let account = match (&args.user, &store.directory().accounts()?[..]) {
        (Some(name), _) => database::account(store.as_ref(), name)?,
        (None, [(_, account)]) => *account,
        (None, _) => return Err(Failure::usage("there are several accounts; say which with --user")),
    };
    let decided = decide_held(store.as_ref(), account, book.book, args.device.as_deref(), decision, now())?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "decided": decided }));
    } else if decided.holds == 0 {
        println!("nothing was held");
    } else {
        println!("{} deleted, {} stay and go back to the device", decided.deleted, decided.kept);
    }
    Ok(())
}
