//! The server's side: what was ordered, and what became of it.

use super::instruction::{Instruction, Task, sign};
use super::key::DeviceKey;
use super::receipt::Receipt;
use crate::message::{StatusCode, Timestamp};
use crate::store::audit::{
    AuditRow, CONTROL_CANCELLED, CONTROL_CARRIED, CONTROL_ENROLLED, CONTROL_ISSUED, CONTROL_REPORTED,
};
use crate::store::{AccountNo, BookNo, DeviceNo, Store, StoreError, Tx, Verdict};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use thiserror::Error;

/// Orders of one device that are looked at; older ones are history.
const PAGE: usize = 1_000;

/// What holds at most for a device at once.
const MAX_OPEN: usize = 8;

/// The number under which a device itself stands among its errands.
const DEVICE: i64 = 0;

/// Who has the database, for the audit.
pub const OPERATOR: &str = "operator";

/// How an order is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// Execute it even if not all is backed up.
    pub forced: bool,
    /// How long it holds, in seconds.
    pub holds: i64,
    /// How old the confirmation of the last backup may be, in seconds.
    pub backup_age: i64,
    /// Who ordered, for the audit: [`OPERATOR`], `login of account 3`.
    pub actor: Cow<'static, str>,
    /// The device's key if it has none yet, from a good source of randomness. A device that was not enrolled answers 501.
    pub fresh_key: [u8; 32],
}

impl Options {
    /// A week for the order, a day for the backup, not forced, by the operator.
    #[must_use]
    pub const fn new(fresh_key: [u8; 32]) -> Self {
        Self { forced: false, holds: 7 * 86_400, backup_age: 86_400, actor: Cow::Borrowed(OPERATOR), fresh_key }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
#[non_exhaustive]
pub enum OrderState {
    /// It waits for the device, and for its backup.
    Waiting {
        /// The device's last word, if it refused for now.
        code: Option<u16>,
    },
    /// It was told, or handed to another carrier; the device has not answered.
    Told,
    /// The device has taken it (202).
    Taken,
    /// The device has executed it.
    Done {
        /// In its words.
        text: String,
    },
    /// The device could not.
    Failed {
        /// In its words.
        text: String,
    },
    /// The device does not understand it (501), or refuses it.
    Refused {
        /// Its Status.
        code: u16,
    },
    /// It was taken back before it was told.
    Cancelled,
    /// Its time was over before the device took it.
    Expired,
}

impl OrderState {
    /// Whether the device may still take it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Told)
    }

    /// In a word or some.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Waiting { code: None } => "waiting".to_owned(),
            Self::Waiting { code: Some(code) } => format!("waiting, refused for now with {code}"),
            Self::Told => "told".to_owned(),
            Self::Taken => "taken".to_owned(),
            Self::Done { .. } => "done".to_owned(),
            Self::Failed { .. } => "failed".to_owned(),
            Self::Refused { code: 501 } => "not understood (501)".to_owned(),
            Self::Refused { code } => format!("refused with {code}"),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Expired => "expired".to_owned(),
        }
    }
}

/// An order, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number among the device's.
    #[serde(skip_deserializing, default)]
    pub number: i64,
    /// What is to be done.
    pub task: Task,
    /// Even if not all is backed up.
    pub forced: bool,
    /// How old the last backup may be, in seconds.
    pub backup_age: i64,
    /// When it was ordered.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
    /// What became of it.
    #[serde(flatten)]
    pub state: OrderState,
}

/// What is known of a device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    key: String,
    next: i64,
    /// When its key was last handed out.
    #[serde(default)]
    enrolled: Option<Timestamp>,
    /// When each book's backup was last confirmed.
    confirmed: BTreeMap<i64, Timestamp>,
}

impl Known {
    pub(super) fn key(&self) -> std::result::Result<DeviceKey, StoreError> {
        DeviceKey::parse(&self.key).map_err(|_| StoreError::Corrupt("a device's key cannot be read".to_owned()))
    }

    /// Notes that a book is confirmed.
    pub(super) fn confirm(&mut self, book: BookNo, at: Timestamp) {
        self.confirmed.insert(book.0, at);
    }

    pub(super) fn confirmed(&self, book: BookNo) -> Option<Timestamp> {
        self.confirmed.get(&book.0).copied()
    }
}

/// A device as those see it who order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// When its key was last handed out; `None` for a device that was never enrolled and answers 501.
    pub enrolled: Option<Timestamp>,
    /// When the backup of each book was last confirmed. It is noted from when the device is enrolled, or was ordered
    /// something.
    pub confirmed: BTreeMap<BookNo, Timestamp>,
    /// Its orders, by number.
    pub orders: Vec<Order>,
}

/// Why an order is not given or taken back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The account has no such device.
    #[error("no device {0:?} has synced with this account")]
    NoDevice(String),
    /// The device has no such order.
    #[error("the device has no order {0}")]
    NoOrder(i64),
    /// There are too many.
    #[error("{MAX_OPEN} orders wait for this device already; cancel some")]
    TooMany,
    /// It was told, or is over.
    #[error("order {0} cannot be taken back: it is {1}")]
    TooLate(i64, String),
    /// A receipt that this device did not sign.
    #[error("this is no receipt of that device")]
    NoReceipt,
    /// The store's own failure.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Result<T> = std::result::Result<T, ControlError>;

/// Enrols a device, and gives the key to be carried to it. A device that has one keeps it, unless `anew`: then orders that
/// are open are signed with the new one. `actor` is who did it, for the audit.
///
/// # Errors
/// [`ControlError::NoDevice`], or the store's own failure.
pub fn enrol(
    store: &dyn Store,
    account: AccountNo,
    device_id: &str,
    random: [u8; 32],
    anew: bool,
    actor: &str,
    now: Timestamp,
) -> Result<DeviceKey> {
    step(store, account, |tx| {
        let device = find(tx, device_id)?;
        let mut known = known_or_new(tx, device, device_id, random)?;
        if anew {
            DeviceKey::new(device_id, random).to_text().expose().clone_into(&mut known.key);
        }
        known.enrolled = Some(now);
        put_known(tx, device, &known)?;
        tx.audit(&AuditRow::new(now, actor.to_owned(), CONTROL_ENROLLED, format!("device {device}")))?;
        Ok(known.key()?)
    })
}

/// Orders something of a device; the order's number. It is told when the device syncs and its backup is confirmed, by
/// [`Desk`](super::Desk), or handed to another carrier by [`carry`].
///
/// # Errors
/// [`ControlError::NoDevice`], [`ControlError::TooMany`], or the store's own failure.
pub fn issue(
    store: &dyn Store,
    account: AccountNo,
    device_id: &str,
    task: Task,
    options: &Options,
    now: Timestamp,
) -> Result<i64> {
    step(store, account, |tx| {
        let device = find(tx, device_id)?;
        let mut known = known_or_new(tx, device, device_id, options.fresh_key)?;
        let orders = orders(tx, device, now)?;
        if orders.iter().filter(|order| order.state.is_open()).count() >= MAX_OPEN {
            return Err(ControlError::TooMany);
        }
        let number = known.next;
        known.next += 1;
        let order = Order {
            number,
            task,
            forced: options.forced,
            backup_age: options.backup_age.max(0),
            issued: now,
            expires: now.plus_seconds(options.holds.max(0)),
            state: OrderState::Waiting { code: None },
        };
        put_known(tx, device, &known)?;
        put_order(tx, device, &order)?;
        let how = if options.forced { "forced: also without a backup" } else { "once a backup is confirmed" };
        audit(tx, now, options.actor.clone(), CONTROL_ISSUED, device, &order, how)?;
        Ok(number)
    })
}

/// The orders of a device, by number.
///
/// # Errors
/// [`ControlError::NoDevice`], or the store's own failure.
pub fn list(store: &dyn Store, account: AccountNo, device_id: &str, now: Timestamp) -> Result<Vec<Order>> {
    overview(store, account, device_id, now).map(|device| device.orders)
}

/// What is known of a device, as far as orders go.
///
/// # Errors
/// [`ControlError::NoDevice`], or the store's own failure.
pub fn overview(store: &dyn Store, account: AccountNo, device_id: &str, now: Timestamp) -> Result<Overview> {
    let mut found = None;
    store.look(account, &mut |tx| {
        found = match tx.device(device_id)? {
            Some(row) => Some(overview_of(tx, row.device, now)?),
            None => None,
        };
        Ok(())
    })?;
    found.ok_or_else(|| ControlError::NoDevice(device_id.to_owned()))
}

fn overview_of(tx: &mut dyn Tx, device: DeviceNo, now: Timestamp) -> std::result::Result<Overview, StoreError> {
    let Some(known) = known(tx, device)? else { return Ok(Overview::default()) };
    let confirmed = known.confirmed.iter().map(|(book, at)| (BookNo(*book), *at)).collect();
    Ok(Overview { enrolled: known.enrolled, confirmed, orders: orders(tx, device, now)? })
}

/// Takes an order back that was not told. `actor` is who did it, for the audit.
///
/// # Errors
/// [`ControlError::NoDevice`], [`ControlError::NoOrder`], [`ControlError::TooLate`], or the store's own failure.
pub fn cancel(
    store: &dyn Store,
    account: AccountNo,
    device_id: &str,
    number: i64,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    step(store, account, |tx| {
        let device = find(tx, device_id)?;
        let mut order = order(tx, device, number, now)?;
        if !matches!(order.state, OrderState::Waiting { .. }) {
            return Err(ControlError::TooLate(number, order.state.words()));
        }
        order.state = OrderState::Cancelled;
        put_order(tx, device, &order)?;
        Ok(audit(tx, now, actor.to_owned(), CONTROL_CANCELLED, device, &order, "done")?)
    })
}

/// The line of an order, for a carrier other than a session: a file, a datagram, a message service (R6). The device looks
/// at its own backup before it does anything. `actor` is who handed it out, for the audit.
///
/// # Errors
/// [`ControlError::NoDevice`], [`ControlError::NoOrder`], [`ControlError::TooLate`] for one that is over, or the store's own
/// failure.
pub fn carry(
    store: &dyn Store,
    account: AccountNo,
    device_id: &str,
    number: i64,
    actor: &str,
    now: Timestamp,
) -> Result<String> {
    step(store, account, |tx| {
        let device = find(tx, device_id)?;
        let known = known(tx, device)?.ok_or(ControlError::NoOrder(number))?;
        let all = orders(tx, device, now)?;
        let mut order = order(tx, device, number, now)?;
        if !order.state.is_open() {
            return Err(ControlError::TooLate(number, order.state.words()));
        }
        let text = line(&known.key()?, &order, &all);
        order.state = OrderState::Told;
        put_order(tx, device, &order)?;
        audit(tx, now, actor.to_owned(), CONTROL_CARRIED, device, &order, "handed to another carrier")?;
        Ok(text)
    })
}

/// Takes a receipt that any carrier brought.
///
/// # Errors
/// [`ControlError::NoDevice`], [`ControlError::NoReceipt`], [`ControlError::NoOrder`], or the store's own failure.
pub fn receive(store: &dyn Store, account: AccountNo, device_id: &str, text: &str, now: Timestamp) -> Result<Order> {
    step(store, account, |tx| {
        let device = find(tx, device_id)?;
        take_receipt(tx, device, text, now)
    })
}

/// The line of an order. It has to come after the last one before it that the device may have taken, or may yet take.
pub(super) fn line(key: &DeviceKey, order: &Order, all: &[Order]) -> String {
    let counts = |before: &&Order| {
        before.number < order.number
            && !matches!(before.state, OrderState::Cancelled | OrderState::Expired | OrderState::Refused { .. })
    };
    let after = all.iter().rfind(counts).map_or(0, |before| before.number);
    let instruction = Instruction {
        device: key.device_id().to_owned(),
        number: order.number,
        after,
        task: order.task,
        forced: order.forced,
        backed_up_since: order.issued.plus_seconds(-order.backup_age),
        issued: order.issued,
        expires: order.expires,
    };
    sign(key, &instruction)
}

/// What the device's Status makes of an order.
pub(super) fn answered(state: &OrderState, code: StatusCode) -> OrderState {
    match (state, code) {
        (state, _) if !state.is_open() => state.clone(),
        // Taken before: the receipt says what came of it.
        (_, StatusCode(200..=299) | StatusCode::ALREADY_EXISTS) => OrderState::Taken,
        (_, StatusCode::RETRY_LATER | StatusCode::CONFLICT) => OrderState::Waiting { code: Some(code.0) },
        (_, code) => OrderState::Refused { code: code.0 },
    }
}

/// Takes a receipt in a step; one that is heard again changes nothing.
pub(super) fn take_receipt(tx: &mut dyn Tx, device: DeviceNo, text: &str, now: Timestamp) -> Result<Order> {
    let known = known(tx, device)?.ok_or(ControlError::NoReceipt)?;
    let receipt = Receipt::verify(&known.key()?, text).ok_or(ControlError::NoReceipt)?;
    let mut order = order(tx, device, receipt.number, now)?;
    let state = match receipt.done {
        true => OrderState::Done { text: receipt.text },
        false => OrderState::Failed { text: receipt.text },
    };
    if order.state != state {
        order.state = state;
        put_order(tx, device, &order)?;
        let outcome = if receipt.done { "done" } else { "failed" };
        audit(tx, now, format!("device {device}"), CONTROL_REPORTED, device, &order, outcome)?;
    }
    Ok(order)
}

pub(super) fn known(tx: &mut dyn Tx, device: DeviceNo) -> std::result::Result<Option<Known>, StoreError> {
    match tx.errands(device, DEVICE, 1)?.into_iter().next() {
        Some((DEVICE, bytes)) => read(&bytes).map(Some),
        _ => Ok(None),
    }
}

pub(super) fn put_known(tx: &mut dyn Tx, device: DeviceNo, known: &Known) -> std::result::Result<(), StoreError> {
    tx.put_errand(device, DEVICE, &write(known)?)
}

pub(super) fn orders(tx: &mut dyn Tx, device: DeviceNo, now: Timestamp) -> std::result::Result<Vec<Order>, StoreError> {
    let rows = tx.errands(device, DEVICE + 1, PAGE)?;
    rows.into_iter().map(|(number, bytes)| read_order(number, &bytes, now)).collect()
}

pub(super) fn put_order(tx: &mut dyn Tx, device: DeviceNo, order: &Order) -> std::result::Result<(), StoreError> {
    tx.put_errand(device, order.number, &write(order)?)
}

pub(super) fn audit(
    tx: &mut dyn Tx,
    now: Timestamp,
    actor: impl Into<Cow<'static, str>>,
    action: &'static str,
    device: DeviceNo,
    order: &Order,
    outcome: impl Into<Cow<'static, str>>,
) -> std::result::Result<(), StoreError> {
    let object = format!("order {} ({}) of device {device}", order.number, order.task.name());
    tx.audit(&AuditRow::new(now, actor, action, object).with_outcome(outcome))
}

fn read_order(number: i64, bytes: &[u8], now: Timestamp) -> std::result::Result<Order, StoreError> {
    let mut order: Order = read(bytes)?;
    order.number = number;
    if order.state.is_open() && now >= order.expires {
        order.state = OrderState::Expired;
    }
    Ok(order)
}

fn order(tx: &mut dyn Tx, device: DeviceNo, number: i64, now: Timestamp) -> Result<Order> {
    if number <= DEVICE {
        return Err(ControlError::NoOrder(number));
    }
    match tx.errands(device, number, 1)?.into_iter().next() {
        Some((found, bytes)) if found == number => Ok(read_order(number, &bytes, now)?),
        _ => Err(ControlError::NoOrder(number)),
    }
}

fn find(tx: &mut dyn Tx, device_id: &str) -> Result<DeviceNo> {
    let row = tx.device(device_id)?.filter(|row| !row.is_local());
    row.map(|row| row.device).ok_or_else(|| ControlError::NoDevice(device_id.to_owned()))
}

fn known_or_new(tx: &mut dyn Tx, device: DeviceNo, device_id: &str, random: [u8; 32]) -> Result<Known> {
    let key = || DeviceKey::new(device_id, random).to_text().expose().to_owned();
    Ok(known(tx, device)?.unwrap_or_else(|| Known { key: key(), next: 1, enrolled: None, confirmed: BTreeMap::new() }))
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> std::result::Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt("an order to a device cannot be read".to_owned()))
}

fn write(value: &impl Serialize) -> std::result::Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Failed(error.to_string()))
}

/// A step whose refusal leaves no trace.
fn step<T>(store: &dyn Store, account: AccountNo, work: impl Fn(&mut dyn Tx) -> Result<T>) -> Result<T> {
    let mut result = None;
    store.step(account, &mut |tx| match work(tx) {
        Err(ControlError::Store(error)) => Err(error),
        other => {
            let verdict = if other.is_ok() { Verdict::Commit } else { Verdict::Rollback };
            result = Some(other);
            Ok(verdict)
        }
    })?;
    result.unwrap_or_else(|| Err(StoreError::Failed("the store did not run the step".to_owned()).into()))
}
