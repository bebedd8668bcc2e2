//! Errands: what a server has a device do by Exec (§2.2), beside its books.
//!
//! The session carries; what is in an errand, who may give one and what comes of it is the affair of the two ends:
//! [`Errands`] beside the server, [`Executor`] in the device. A device without one, or of another make, answers 501.

use super::host::Speaker;
use crate::message::{StatusCode, Timestamp};
use crate::store::{BookNo, DeviceNo, Result, Tx};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The address of errands and of reports of them, in Exec and Alert.
pub const ERRAND_URI: &str = "./control";

/// The media type of errands and of reports of them.
pub const ERRAND_TYPE: &str = "application/vnd.syncml-control";

/// Errands said in one message at most, and reports; the others come in the next session.
pub(super) const MOST: usize = 8;

/// Something for a device to do.
#[derive(Clone, PartialEq, Eq)]
pub struct Errand {
    /// Its number among the device's.
    pub no: i64,
    /// What the device is told: a text of some hundred characters, without any that XML cannot carry.
    pub body: String,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").field("no", &self.no).field("bytes", &self.body.len()).finish()
    }
}

/// A device in its session, authenticated.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Who speaks.
    pub speaker: Speaker<'a>,
    /// The device's number.
    pub device: DeviceNo,
    /// The books of which this session has taken all that the device has to say, and refused and held back nothing.
    pub whole: &'a [BookNo],
    /// Whether the device has said all that it had to say in this session, if it had anything to say.
    pub settled: bool,
    /// Now.
    pub now: Timestamp,
}

/// Who has errands for the devices of a server. All calls are part of the step of the message: what they write is durable
/// with it or not at all. Called with the account locked; they must not come back into the server.
pub trait Errands: Send + Sync {
    /// The next errand after number `after` that may be told now. Asked for when a session begins, before the device has
    /// said anything, and again when all of its changes are taken.
    ///
    /// # Errors
    /// The store's own failure.
    fn next(&self, tx: &mut dyn Tx, visit: &Visit<'_>, after: i64) -> Result<Option<Errand>>;

    /// The device's Status of an errand.
    ///
    /// # Errors
    /// The store's own failure.
    fn answered(&self, tx: &mut dyn Tx, visit: &Visit<'_>, no: i64, code: StatusCode) -> Result<()>;

    /// What the device reports, and what it is answered. What is answered with a success is not reported again.
    ///
    /// # Errors
    /// The store's own failure.
    fn reported(&self, tx: &mut dyn Tx, visit: &Visit<'_>, report: &str) -> Result<StatusCode>;

    /// The session is over. Of the books in [`Visit::whole`] the device knows it, too: it has all answers, and gave its own.
    ///
    /// # Errors
    /// The store's own failure.
    fn ended(&self, tx: &mut dyn Tx, visit: &Visit<'_>) -> Result<()>;
}

/// What a device does of what its server has it do. Called within a step of the device's own store, which may be run
/// again: each call must come to the same when it is repeated.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Takes an errand, and says the Status: 202 for one that will be executed once the session is over. What is answered
    /// must be durable before this returns. `backed_up`: all that this device had to say was answered by the server in this
    /// session.
    fn exec(&self, body: &str, backed_up: bool, now: Timestamp) -> StatusCode;

    /// What is to be reported to the server.
    fn reports(&self) -> Vec<String>;

    /// What the server answered to a report.
    fn reported(&self, report: &str, code: StatusCode);
}

/// What a session remembers of errands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrandState {
    /// Server: the last number told.
    upto: i64,
    /// Server: when it was asked for some.
    asked: Asked,
    /// Server: told and not answered; with the message and the CmdID.
    pub told: Vec<(i64, u32, u32)>,
    /// Client: reports that are not answered.
    pub reports: Vec<(u32, u32, String)>,
}

/// When a server asked for errands in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Asked {
    /// Not yet.
    #[default]
    Never,
    /// When it began.
    First,
    /// When all of the device's changes were there.
    Whole,
}

impl ErrandState {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is time to ask, and after which number.
    pub(super) fn ask(&mut self, when: Asked) -> Option<i64> {
        let time = when > self.asked;
        self.asked = self.asked.max(when);
        time.then_some(self.upto)
    }

    pub(super) fn tell(&mut self, no: i64, msg_id: u32, cmd_id: u32) {
        self.upto = no;
        self.told.push((no, msg_id, cmd_id));
    }
}
