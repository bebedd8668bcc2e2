//! One instruction, and whether a device takes it.

use super::key::{DeviceKey, Line, Purpose};
use crate::message::{StatusCode, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a device is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Stop the applications: nothing is uploaded any more.
    Stop,
    /// Clear the device's data.
    Clear {
        /// Put it aside instead of deleting it.
        keep: bool,
    },
}

impl Task {
    /// In a word, for people and the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Clear { keep: true } => "clear, keeping what was there",
            Self::Clear { keep: false } => "clear",
        }
    }
}

/// An instruction to one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// The device's id.
    pub device: String,
    /// Its number among the device's instructions; they ascend.
    pub number: i64,
    /// The number that the device must have executed or refused before, 0 for none.
    pub after: i64,
    /// What to do.
    pub task: Task,
    /// Do it even if not all is backed up.
    pub forced: bool,
    /// A backup confirmed before this moment is too old, unless it is forced.
    pub backed_up_since: Timestamp,
    /// When it was ordered.
    pub issued: Timestamp,
    /// From when on it does not hold any more.
    pub expires: Timestamp,
}

/// Why a device does not take an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// It is no instruction.
    #[error("it is no instruction")]
    Unreadable,
    /// It is for another device.
    #[error("it is for another device")]
    AnotherDevice,
    /// The signature is wrong.
    #[error("it was not signed by this device's server")]
    Forged,
    /// Its number was used.
    #[error("it was taken before, or a later one was")]
    Replayed,
    /// Its time is over.
    #[error("its time is over")]
    Expired,
    /// One that comes before it has not come.
    #[error("an instruction that comes before it has not come")]
    OutOfOrder,
    /// Not all is backed up, or too long ago.
    #[error("what is on the device is not backed up")]
    NotBackedUp,
}

impl Refusal {
    /// The Status of the Exec that carried it (§4).
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::AnotherDevice => StatusCode::NOT_FOUND,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::Replayed => StatusCode::ALREADY_EXISTS,
            Self::Expired => StatusCode::GONE,
            Self::OutOfOrder => StatusCode::CONFLICT,
            Self::NotBackedUp => StatusCode::RETRY_LATER,
        }
    }
}

/// How a device stands when an instruction reaches it.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The key it shares with its server.
    pub key: &'a DeviceKey,
    /// The last number it took.
    pub last: i64,
    /// When all that was on it was last confirmed by the server.
    pub backed_up: Option<Timestamp>,
}

/// The line that carries an instruction.
#[must_use]
pub fn sign(key: &DeviceKey, instruction: &Instruction) -> String {
    key.seal(Purpose::Instruction, &serde_json::to_vec(instruction).unwrap_or_default())
}

/// Whether a device takes an instruction. Pure: who keeps the device's state notes the number.
///
/// What is asked for in this order: can it be read, is it for this device, is it signed, is its number new, is it in time,
/// is none missing before it, is all backed up.
///
/// # Errors
/// The first [`Refusal`] that holds.
pub fn verify(standing: &Standing<'_>, now: Timestamp, text: &str) -> Result<Instruction, Refusal> {
    let line = Line::read(Purpose::Instruction, text).ok_or(Refusal::Unreadable)?;
    let read: Instruction = serde_json::from_slice(&line.payload).map_err(|_| Refusal::Unreadable)?;
    if read.device != standing.key.device_id() {
        return Err(Refusal::AnotherDevice);
    }
    if !standing.key.made(&line) {
        return Err(Refusal::Forged);
    }
    if read.number <= standing.last {
        return Err(Refusal::Replayed);
    }
    if now >= read.expires {
        return Err(Refusal::Expired);
    }
    if read.after > standing.last {
        return Err(Refusal::OutOfOrder);
    }
    if !read.forced && standing.backed_up.is_none_or(|at| at < read.backed_up_since) {
        return Err(Refusal::NotBackedUp);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn key() -> DeviceKey {
        DeviceKey::new("phone", [7; 32])
    }

    fn instruction() -> Instruction {
        Instruction {
            device: "phone".to_owned(),
            number: 5,
            after: 3,
            task: Task::Clear { keep: true },
            forced: false,
            backed_up_since: Timestamp(900_000),
            issued: Timestamp(990_000),
            expires: Timestamp(1_000_001),
        }
    }

    #[test]
    fn every_refusal_has_its_case() {
        let (key, good) = (key(), instruction());
        let backed_up = Some(Timestamp(900_000));
        let line = sign(&key, &good);
        let other = DeviceKey::new("phone", [8; 32]);
        let tablet = DeviceKey::new("tablet", [7; 32]);
        let with = |change: &dyn Fn(&mut Instruction)| {
            let mut changed = good.clone();
            change(&mut changed);
            sign(&key, &changed)
        };
        let (payload, mac) = line.rsplit_once('.').unwrap();
        let foreign = sign(&other, &Instruction { forced: true, ..good.clone() });
        let swapped = format!("{}.{mac}", foreign.rsplit_once('.').unwrap().0);
        let receipt = key.seal(Purpose::Receipt, &serde_json::to_vec(&good).unwrap());
        let relabelled = receipt.replacen("receipt", "instruction", 1);
        type Case<'c> = (&'c str, String, i64, Option<Timestamp>, Result<(), Refusal>);
        let cases: &[Case<'_>] = &[
            ("good", line.clone(), 3, backed_up, Ok(())),
            ("its end of line", format!(" {line}\r\n"), 3, backed_up, Ok(())),
            ("the last that was needed, and one more", line.clone(), 4, backed_up, Ok(())),
            ("nothing", String::new(), 3, backed_up, Err(Refusal::Unreadable)),
            ("a receipt", receipt, 3, backed_up, Err(Refusal::Unreadable)),
            ("too long", format!("{line}{}", "A".repeat(5_000)), 3, backed_up, Err(Refusal::Unreadable)),
            ("cut", line[..line.len() / 2].to_owned(), 3, backed_up, Err(Refusal::Unreadable)),
            (
                "for another",
                sign(&tablet, &Instruction { device: "tablet".into(), ..good.clone() }),
                3,
                backed_up,
                Err(Refusal::AnotherDevice),
            ),
            ("by another key", sign(&other, &good), 3, backed_up, Err(Refusal::Forged)),
            ("by another device's key", sign(&tablet, &good), 3, backed_up, Err(Refusal::Forged)),
            ("without a signature", format!("{payload}."), 3, backed_up, Err(Refusal::Forged)),
            ("half a signature", line[..line.len() - 23].to_owned(), 3, backed_up, Err(Refusal::Forged)),
            ("another's signature", swapped, 3, backed_up, Err(Refusal::Forged)),
            ("a receipt called an instruction", relabelled, 3, backed_up, Err(Refusal::Forged)),
            ("again", line.clone(), 5, backed_up, Err(Refusal::Replayed)),
            ("behind a later one", line.clone(), 6, backed_up, Err(Refusal::Replayed)),
            ("too late", with(&|it| it.expires = NOW), 3, backed_up, Err(Refusal::Expired)),
            ("too early", line.clone(), 2, backed_up, Err(Refusal::OutOfOrder)),
            ("never backed up", line.clone(), 3, None, Err(Refusal::NotBackedUp)),
            ("backed up long ago", line, 3, Some(Timestamp(899_999)), Err(Refusal::NotBackedUp)),
            ("forced", with(&|it| it.forced = true), 3, None, Ok(())),
        ];
        for (name, text, last, backed_up, expected) in cases {
            let standing = Standing { key: &key, last: *last, backed_up: *backed_up };
            assert_eq!(verify(&standing, NOW, text).map(drop), *expected, "{name}");
        }
    }

    #[test]
    fn a_changed_octet_is_noticed() {
        let (key, line) = (key(), sign(&key(), &instruction()));
        let standing = Standing { key: &key, last: 3, backed_up: Some(NOW) };
        for at in 0..line.len() {
            for other in ["A", "B", ".", "-"].into_iter().filter(|other| line[at..=at] != **other) {
                let mut changed = line.clone();
                changed.replace_range(at..=at, other);
                assert!(verify(&standing, NOW, &changed).is_err(), "octet {at}: {changed}");
            }
        }
    }

    #[test]
    fn a_key_is_carried_as_text_and_never_shown() {
        let text = key().to_text();
        assert_eq!(DeviceKey::parse(text.expose()), Ok(key()));
        assert!(!format!("{:?}", key()).contains("7, 7"));
        for wrong in ["", "syncml-device-key-1", "syncml-device-key-1..AA", "syncml-device-key-1.cGhvbmU.AAAA"] {
            assert_eq!(DeviceKey::parse(wrong), Err(KeyError), "{wrong}");
        }
    }

    use super::super::KeyError;
}
