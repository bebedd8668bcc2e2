//! What was done by whom to whom, for whoever has to answer for it: rows that are only ever added.
//!
//! A row says numbers, never names, addresses, contents or secrets: an account's ([`AccountNo`]), a device's, a book's. It
//! is written in the transaction of what it tells of, where that is one of an account.

use super::{AccountNo, Result, Store, Verdict};
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A device showed up for the first time with a good credential.
pub const DEVICE_CREATED: &str = "device.created";
/// An account was made.
pub const ACCOUNT_CREATED: &str = "account.created";
/// A login has another password.
pub const CREDENTIALS_CHANGED: &str = "credentials.changed";
/// A platform was made, or has another secret.
pub const PLATFORM_CHANGED: &str = "platform.changed";
/// A platform may speak for the account.
pub const PLATFORM_GRANTED: &str = "platform.granted";
/// A book, or an item of it, was set back to what it was.
pub const RESTORED: &str = "restored";
/// What the deletion guard held was done.
pub const HELD_RELEASED: &str = "held.released";
/// What the deletion guard held was not done.
pub const HELD_DISCARDED: &str = "held.discarded";
/// New keys were made.
pub const KEYS_ROTATED: &str = "keys.rotated";

/// A device has a key by which it knows orders.
pub const CONTROL_ENROLLED: &str = "control.enrolled";
/// Something was ordered of a device.
pub const CONTROL_ISSUED: &str = "control.issued";
/// An order was told to a device, with how its backup stood.
pub const CONTROL_TOLD: &str = "control.told";
/// An order was handed to a carrier other than a session.
pub const CONTROL_CARRIED: &str = "control.carried";
/// A device took an order, or did not.
pub const CONTROL_ANSWERED: &str = "control.answered";
/// A device said what came of an order.
pub const CONTROL_REPORTED: &str = "control.reported";
/// An order was taken back.
pub const CONTROL_CANCELLED: &str = "control.cancelled";

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRow {
    /// Its place among all rows of the store; 0 until it is written. Numbers ascend, but some may be missing.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The account it was about; [`NO_ACCOUNT`] for what concerns the whole store.
    pub account: AccountNo,
    /// Who did it: `device 3`, `operator`, `host`.
    pub actor: Cow<'static, str>,
    /// What: one of the constants here, or a host's own word.
    pub action: Cow<'static, str>,
    /// To what: `device 3`, `book 1`, `item 17 of book 1`, `keys 2`.
    pub object: Cow<'static, str>,
    /// What came of it: `done`, or in a few words what else.
    pub outcome: Cow<'static, str>,
}

/// The account of what concerns the whole store.
pub const NO_ACCOUNT: AccountNo = AccountNo(0);

impl AuditRow {
    /// Something that is done, about the account of the step that writes it.
    #[must_use]
    pub fn new(
        at: Timestamp,
        actor: impl Into<Cow<'static, str>>,
        action: impl Into<Cow<'static, str>>,
        object: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            seq: 0,
            at,
            account: NO_ACCOUNT,
            actor: actor.into(),
            action: action.into(),
            object: object.into(),
            outcome: "done".into(),
        }
    }

    /// The same with what came of it.
    #[must_use]
    pub fn with_outcome(self, outcome: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: outcome.into(), ..self }
    }
}

/// Writes a row in a step of its own: of what was done outside of one.
///
/// # Errors
/// The store's own failure.
pub fn note(store: &dyn Store, account: AccountNo, row: &AuditRow) -> Result<()> {
    store.step(account, &mut |tx| {
        tx.audit(row)?;
        Ok(Verdict::Commit)
    })
}
