//! `syncml book`: the books of an account, and those that its devices back up.

use crate::books;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Table, moment};
use serde::Serialize;
use syncml::message::Timestamp;
use syncml::service::book::{BookId, DeviceIdentity, Storage, Survey};
use syncml::service::device::is_forgotten;
use syncml::store::{AccountNo, Revision, Store, StoreError};

/// Items per step.
const PAGE: usize = 500;

/// Commands about books.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the books, how much is in them and which devices are in step with them
    List(ListArgs),
    /// Show what the cards of a book hold: its dimensions, and how many cards have each
    Show(ShowArgs),
    /// Say what a device's book is called; asks nobody
    Id(IdArgs),
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
pub(crate) struct ShowArgs {
    /// The book, as `syncml book list` shows it
    book: String,
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IdArgs {
    /// The storage: phone, sim, 3f00/7f10/6f3a
    storage: String,
    /// The device: imei:… (or imeisv:…), imsi:…, number:+…, wlan:… or bluetooth:…
    #[arg(long, value_name = "KIND:ID")]
    device: DeviceIdentity,
    /// Output for machines
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Id(args) => args.json,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
        Command::Id(args) => id(args),
    }
}

#[derive(Serialize)]
struct Shown {
    account: String,
    book: &'static str,
    /// The identifier's first digits, where a device backs it up.
    id: Option<String>,
    items: i64,
    bytes: i64,
    /// The newest revision.
    head: i64,
    changed: Option<String>,
    devices: Vec<String>,
}

fn list(args: &ListArgs) -> Result<()> {
    let store = args.db.open()?;
    let mut shown = Vec::new();
    for (name, account) in database::accounts(store.as_ref(), args.user.as_deref())? {
        shown.extend(of_account(store.as_ref(), &name, account)?);
    }
    if args.json {
        output::json(&shown);
        return Ok(());
    }
    let mut table = Table::new(&["account", "book", "items", "bytes", "changed", "devices"]);
    for Shown { account, book, items, bytes, changed, devices, .. } in shown {
        let changed = changed.unwrap_or_else(|| "-".to_owned());
        table.row([account, book.to_owned(), items.to_string(), bytes.to_string(), changed, devices.join(", ")]);
    }
    table.print();
    Ok(())
}

fn of_account(store: &dyn Store, name: &str, account: AccountNo) -> std::result::Result<Vec<Shown>, StoreError> {
    let mut shown = Vec::new();
    store.look(account, &mut |tx| {
        shown.clear();
        let known = tx.devices()?.into_iter().filter(|row| !row.is_local() && !is_forgotten(row));
        let known: Vec<_> = known.collect();
        for row in tx.books()?.into_iter().filter(|row| row.head > Revision(0)) {
            let Some(kind) = books::numbered(row.book) else { continue };
            let mut devices = Vec::new();
            for device in &known {
                // A sync that never ended, such as a restore that was given up, agreed on nothing.
                if tx.pair(device.device, row.book)?.is_some_and(|pair| pair.peer_next.is_some()) {
                    devices.push(device.device_id.clone());
                }
            }
            let last: Option<Timestamp> =
                tx.changes(row.book, Revision(row.head.0 - 1), row.head, 1)?.pop().map(|item| item.at);
            shown.push(Shown {
                account: name.to_owned(),
                book: kind.name,
                id: row.book.name(),
                items: row.live_items,
                bytes: row.live_bytes,
                head: row.head.0,
                changed: last.map(moment),
                devices,
            });
        }
        Ok(())
    })?;
    Ok(shown)
}

fn show(args: &ShowArgs) -> Result<()> {
    let book = books::named(&args.book)?;
    let store = args.db.open()?;
    let account = database::account(store.as_ref(), &args.user)?;
    let (mut seen, mut after, mut there) = (Survey::default(), Revision(0), false);
    loop {
        let mut page = Vec::new();
        store.look(account, &mut |tx| {
            let row = tx.book(book.book)?;
            there = row.as_ref().is_some_and(|row| row.head > Revision(0));
            page = match row {
                Some(row) => tx.changes(book.book, after, row.head, PAGE)?,
                None => Vec::new(),
            };
            Ok(())
        })?;
        let Some(last) = page.last() else { break };
        after = last.revision;
        page.iter().filter(|item| !item.deleted).for_each(|item| seen.add(&item.content));
    }
    if book.book.is_named() && !there {
        let text = format!("{} has no {}; `syncml book list` shows what there is", args.user, book.name);
        return Err(Failure::new(crate::failure::Exit::UnknownBook, text));
    }
    if args.json {
        let dimensions: Vec<_> = (seen.dimensions())
            .map(|(it, cards)| serde_json::json!({ "property": it.property, "types": it.types, "cards": cards }))
            .collect();
        output::json(&serde_json::json!({ "book": book.name, "cards": seen.records(), "dimensions": dimensions }));
        return Ok(());
    }
    let mut table = Table::new(&["dimension", "cards"]);
    for (dimension, cards) in seen.dimensions() {
        table.row([[vec![dimension.property], dimension.types].concat().join(" "), cards.to_string()]);
    }
    table.print();
    println!("{} cards", seen.records());
    Ok(())
}

fn id(args: &IdArgs) -> Result<()> {
    let storage = Storage::parse(&args.storage).map_err(|error| Failure::usage(error.to_string()))?;
    let id = BookId::new(&args.device, &storage).to_string();
    if args.json {
        let device = args.device.to_string();
        output::json(&serde_json::json!({ "device": device, "storage": storage.to_string(), "book": id }));
    } else {
        println!("{id}");
    }
    Ok(())
}
