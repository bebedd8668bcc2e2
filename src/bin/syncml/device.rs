//! `syncml device`.

use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Table, moment};
use serde::Serialize;
use std::collections::BTreeMap;
use syncml::codec::{Limits, decode_devinf};
use syncml::contact::lens::Lens;
use syncml::message::Timestamp;
use syncml::service::device::{forget, is_forgotten};
use syncml::store::{AccountNo, Guid, Store, StoreError, Tx, Verdict};

/// Map entries per step.
const PAGE: usize = 1_000;

/// Commands about devices.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the devices that have synced, and how far
    List(ListArgs),
    /// Show one device: what it is, and how far each book is
    Show(OneArgs),
    /// Forget a device. Books stay as they are; should it sync again, that is a first sync
    Remove(OneArgs),
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

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The device's id, as `syncml device list` shows it
    device: String,
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) | Self::Remove(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
        Command::Remove(args) => remove(args),
    }
}

fn remove(args: &OneArgs) -> Result<()> {
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let done = forget(store.as_ref(), account, &args.device)?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "device": args.device, "forgotten": done }));
    } else {
        println!("{} is forgotten: {} books, {} items", args.device, done.books, done.items);
    }
    Ok(())
}

fn show(args: &OneArgs) -> Result<()> {
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let known = devices(store.as_ref(), &args.user, account)?;
    let Some(device) = known.into_iter().find(|known| known.device == args.device) else {
        let (device, user) = (&args.device, &args.user);
        return Err(Failure::usage(format!("{user} has no device {device:?}; `syncml device list` shows them")));
    };
    if args.json {
        output::json(&device);
        return Ok(());
    }
    println!("{}, last seen {}", device.device, device.last_seen);
    for (name, value) in &device.is {
        println!("{name}: {value}");
    }
    let mut table = Table::new(&["book", "items", "behind", "last sync", "held", "holds"]);
    for book in device.books {
        let holds = if book.holds.is_empty() { "everything".to_owned() } else { book.holds.join(", ") };
        let (items, behind, held) = (book.items.to_string(), book.behind().to_string(), book.held.to_string());
        table.row([book.book.to_owned(), items, behind, book.anchor.unwrap_or_else(|| "-".to_owned()), held, holds]);
    }
    table.print();
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    account: String,
    device: String,
    last_seen: String,
    /// What it says of itself.
    is: BTreeMap<&'static str, String>,
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
    /// What waits for a decision.
    held: usize,
    /// The fields that it can hold; none said: all.
    holds: Vec<String>,
}

impl ShownBook {
    const fn behind(&self) -> i64 {
        self.head - self.cursor
    }
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
                book.behind().to_string(),
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
        let books = tx.books()?;
        for row in tx.devices()?.into_iter().filter(|row| !row.is_local() && !is_forgotten(row)) {
            let mut of_device = Vec::new();
            for book in &books {
                let (Some(pair), Some(kind)) = (tx.pair(row.device, book.book)?, books::numbered(book.book)) else {
                    continue;
                };
                let lens = match pair.lens {
                    Some(number) if number.0 < 0 => tx.lens(number)?.and_then(|bytes| Lens::decode(&bytes)),
                    _ => None,
                };
                of_device.push(ShownBook {
                    book: kind.name,
                    items: count_maps(tx, &pair)?,
                    cursor: pair.cursor.0,
                    head: book.head.0,
                    anchor: pair.peer_next,
                    held: pair.holds.len(),
                    holds: lens.map(|lens| lens.held()).unwrap_or_default(),
                });
            }
            shown.push(Shown {
                account: name.to_owned(),
                device: row.device_id,
                is: row.devinf.as_deref().map(itself).unwrap_or_default(),
                last_seen: if row.last_seen > Timestamp(0) { moment(row.last_seen) } else { "-".to_owned() },
                books: of_device,
            });
        }
        Ok(Verdict::Rollback)
    })?;
    Ok(shown)
}

/// What a device says of itself, in words.
fn itself(devinf: &[u8]) -> BTreeMap<&'static str, String> {
    let Ok(devinf) = decode_devinf(devinf, &Limits::default()) else { return BTreeMap::new() };
    let named = [
        ("maker", devinf.man),
        ("model", devinf.model),
        ("oem", devinf.oem),
        ("firmware", devinf.fwv),
        ("software", devinf.swv),
        ("hardware", devinf.hwv),
        ("kind", Some(devinf.dev_type)),
    ];
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let said = named.into_iter().filter_map(|(name, value)| Some((name, plain(value?.trim()))));
    said.filter(|(_, value)| !value.is_empty()).collect()
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
