//! What a device says it did.

use super::instruction::Task;
use super::key::{DeviceKey, Line, Purpose};
use crate::message::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest outcome that is told, in characters.
const MAX_TEXT: usize = 200;

/// What became of an instruction, in the words of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The device's id.
    pub device: String,
    /// The instruction's number.
    pub number: i64,
    /// What was done.
    pub task: Task,
    /// Whether it was done.
    pub done: bool,
    /// In a few words, what; without anything personal.
    pub text: String,
    /// When, by the device's clock.
    pub at: Timestamp,
}

impl Receipt {
    /// The line that carries it.
    #[must_use]
    pub fn sign(&self, key: &DeviceKey) -> String {
        let text = self.text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        let short = Self { text, ..self.clone() };
        key.seal(Purpose::Receipt, &serde_json::to_vec(&short).unwrap_or_default())
    }

    /// Reads one that this device signed.
    #[must_use]
    pub fn verify(key: &DeviceKey, text: &str) -> Option<Self> {
        let line = Line::read(Purpose::Receipt, text).filter(|line| key.made(line))?;
        let read: Self = serde_json::from_slice(&line.payload).ok()?;
        (read.device == key.device_id() && read.text.chars().count() <= MAX_TEXT).then_some(read)
    }
}
