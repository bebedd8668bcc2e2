//! The owner's side, at the server.

use super::carrier::{self, ToArgs};
use super::random;
use crate::database::{self, DatabaseArgs};
use crate::failure::{Exit, Failure, Result};
use crate::output::{self, Table, moment};
use std::path::PathBuf;
use std::sync::Arc;
use syncml::service::control::{self, OPERATOR, Options, Order, OrderState, Task};
use syncml::store::{AccountNo, Store};
use syncml::transport::http::now;

/// Which device.
#[derive(Debug, clap::Args)]
pub(crate) struct DeviceArgs {
    /// The device's id, as `syncml device list` shows it
    device: String,
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
}

impl DeviceArgs {
    fn open(&self) -> Result<(Arc<dyn Store>, AccountNo)> {
        let store = self.db.open()?;
        let account = database::account(store.as_ref(), &self.user)?;
        Ok((store, account))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct EnrolArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Where to write the key: a new file that only you can read. Who has it can give orders to this device
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Make another key, if it has one; what it had does not count any more
    #[arg(long)]
    anew: bool,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Execute it even if not all of the device is backed up; what is not, is lost
    #[arg(long)]
    force: bool,
    /// How long the order holds, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7 * 86_400, value_parser = clap::value_parser!(i64).range(0..))]
    holds: i64,
    /// How old the confirmation of the last backup may be, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(0..))]
    backup_age: i64,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ClearArgs {
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    /// Put the data aside on the device instead of deleting it
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The order's number
    #[arg(long, value_name = "N")]
    order: i64,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CarryArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The order's number
    #[arg(long, value_name = "N")]
    order: i64,
    #[command(flatten)]
    to: ToArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReceiptArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The file with what the device wrote, a receipt a line
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn enrol(args: &EnrolArgs) -> Result<()> {
    if args.out.exists() {
        return Err(Failure::new(Exit::File, format!("{} is there already; name a new file", args.out.display())));
    }
    let (store, account) = args.device.open()?;
    let key = control::enrol(store.as_ref(), account, &args.device.device, random(), args.anew, OPERATOR, now())?;
    super::station::write_private(&args.out, format!("{}\n", key.to_text().expose()).as_bytes())?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "device": key.device_id() }));
    } else {
        println!("carry {} to the device and say `syncml control join` there; then remove it", args.out.display());
    }
    Ok(())
}

pub(crate) fn stop(args: &StopArgs) -> Result<()> {
    issue(&args.order, Task::Stop)
}

pub(crate) fn clear(args: &ClearArgs) -> Result<()> {
    issue(&args.order, Task::Clear { keep: args.keep })
}

fn issue(args: &OrderArgs, task: Task) -> Result<()> {
    let (store, account) = args.device.open()?;
    let options =
        Options { forced: args.force, holds: args.holds, backup_age: args.backup_age, ..Options::new(random()) };
    let number = control::issue(store.as_ref(), account, &args.device.device, task, &options, now())?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "order": number }));
    } else {
        println!("order {number}: {}. `syncml notify` asks the device to come", task.name());
    }
    Ok(())
}

pub(crate) fn list(args: &ListArgs) -> Result<()> {
    let (store, account) = args.device.open()?;
    let orders = control::list(store.as_ref(), account, &args.device.device, now())?;
    if args.json {
        output::json(&orders);
        return Ok(());
    }
    let mut table = Table::new(&["order", "what", "given", "holds until", "state", "the device says"]);
    for order in &orders {
        table.row(row(order));
    }
    table.print();
    Ok(())
}

fn row(order: &Order) -> [String; 6] {
    let text = match &order.state {
        OrderState::Done { text } | OrderState::Failed { text } => text.clone(),
        _ => String::new(),
    };
    let forced = if order.forced { ", forced" } else { "" };
    [
        order.number.to_string(),
        format!("{}{forced}", order.task.name()),
        moment(order.issued),
        moment(order.expires),
        order.state.words(),
        text,
    ]
}

pub(crate) fn cancel(args: &CancelArgs) -> Result<()> {
    let (store, account) = args.device.open()?;
    control::cancel(store.as_ref(), account, &args.device.device, args.order, OPERATOR, now())?;
    if args.json {
        output::json(&serde_json::json!({ "ok": true }));
    } else {
        println!("order {} is taken back", args.order);
    }
    Ok(())
}

pub(crate) fn carry(args: &CarryArgs) -> Result<()> {
    let (store, account) = args.device.open()?;
    let line = control::carry(store.as_ref(), account, &args.device.device, args.order, OPERATOR, now())?;
    args.to.send(format!("{line}\n").as_bytes())?;
    if args.json && !args.to.to_screen() {
        output::json(&serde_json::json!({ "ok": true, "bytes": line.len() + 1 }));
    }
    Ok(())
}

pub(crate) fn receipt(args: &ReceiptArgs) -> Result<()> {
    let bytes = carrier::read(&args.from)?;
    let text = String::from_utf8_lossy(&bytes);
    let (store, account) = args.device.open()?;
    let mut orders = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        orders.push(control::receive(store.as_ref(), account, &args.device.device, line, now())?);
    }
    if args.json {
        output::json(&serde_json::json!({ "ok": true, "orders": orders }));
    } else {
        orders.iter().for_each(|order| println!("order {}: {}", order.number, order.state.words()));
    }
    Ok(())
}
