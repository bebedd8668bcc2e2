//! `syncml device`.

use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::Result;
use crate::output::{self, Table, moment};
use serde::Serialize;
use syncml::message::Timestamp;
use syncml::store::{AccountNo, Guid, Store, StoreError, Tx, Verdict};

/// Map entries per step.
const PAGE: usize = 1_000;

/// Commands about devices.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the devices that have synced, and how far
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// Only this account's
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
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

#[derive(Serialize)]
struct Shown {
    account: String,
    device: String,
    last_seen: String,
    books: Vec<ShownBook>,
}

#[derive(Serialize)]
struct ShownBook {
    book: &'static str,
    /// Items mapped.
    items: u64,
    /// Everything up to this revision is agreed or under way.
    cursor: i64,
    /// The book's newest revision.
    head: i64,
    /// The device's anchor of the last clean sync.
    anchor: Option<String>,
}

fn list(args: &ListArgs) -> Result<()> {
    let store = args.db.open()?;
    let accounts = database::accounts(store.as_ref(), args.user.as_deref())?;
    let mut shown = Vec::new();
    for (name, account) in accounts {
        shown.extend(devices(store.as_ref(), &name, account)?);
    }
    if args.json {
        output::json(&shown);
        return Ok(());
    }
    let mut table = Table::new(&["account", "device", "last seen", "book", "items", "behind"]);
    for device in shown {
        for book in &device.books {
            table.row([
                device.account.clone(),
                device.device.clone(),
                device.last_seen.clone(),
                book.book.to_owned(),
                book.items.to_string(),
                (book.head - book.cursor).to_string(),
            ]);
        }
        if device.books.is_empty() {
            table.row([device.account, device.device, device.last_seen, "-".to_owned()]);
        }
    }
    table.print();
    Ok(())
}

fn devices(store: &dyn Store, name: &str, account: AccountNo) -> std::result::Result<Vec<Shown>, StoreError> {
    let mut shown = Vec::new();
    store.step(account, &mut |tx| {
        shown.clear();
        for row in tx.devices()?.into_iter().filter(|row| !row.is_local()) {
            let mut of_device = Vec::new();
            for kind in books::all() {
                let (Some(pair), Some(book)) = (tx.pair(row.device, kind.book)?, tx.book(kind.book)?) else { continue };
                of_device.push(ShownBook {
                    book: kind.name,
                    items: count_maps(tx, &pair)?,
                    cursor: pair.cursor.0,
                    head: book.head.0,
                    anchor: pair.peer_next,
                });
            }
            shown.push(Shown {
                account: name.to_owned(),
                device: row.device_id,
                last_seen: if row.last_seen > Timestamp(0) { moment(row.last_seen) } else { "-".to_owned() },
                books: of_device,
            });
        }
        Ok(Verdict::Rollback)
    })?;
    Ok(shown)
}

fn count_maps(tx: &mut dyn Tx, pair: &syncml::store::PairRow) -> std::result::Result<u64, StoreError> {
    let (mut count, mut after) = (0, Guid(0));
    loop {
        let page = tx.map_page(pair.device, pair.book, pair.epoch, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.guid;
        count += page.len() as u64;
    }
}
