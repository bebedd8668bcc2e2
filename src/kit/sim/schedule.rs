//! What happens in a run: made from a seed, then fixed, so that it can be printed and cut down.

use super::rng::Rng;
use super::tap::StoreFault;
use crate::codec::Encoding;
use crate::message::Version;
use crate::sync::SyncType;
use std::fmt;

/// A run: the world at its beginning, then its events. The same schedule always runs the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What it was made from.
    pub seed: u64,
    /// Cards on the server at the beginning.
    pub server_cards: usize,
    /// The server's MaxMsgSize, in bytes.
    pub server_size: u64,
    /// The devices.
    pub devices: Vec<DeviceSetup>,
    /// What happens.
    pub events: Vec<Event>,
}

/// A device at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSetup {
    /// Its cards.
    pub cards: usize,
    /// Its encoding.
    pub encoding: Encoding,
    /// Its version.
    pub version: Version,
    /// Its MaxMsgSize, in bytes.
    pub size: u64,
}

/// Where somebody edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The server's book, by its API.
    Server,
    /// A device's own book.
    Device(usize),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody adds, changes or deletes a contact; which, the dice tell.
    Edit {
        /// Where.
        at: Place,
        /// Decides what.
        dice: u64,
    },
    /// A device does its next exchange, beginning a session when it has none.
    Turn {
        /// Which.
        device: usize,
        /// The sync that a session begun now asks for.
        sync: SyncType,
        /// The cards that it wants to be sent.
        sieve: Sieve,
        /// What goes wrong.
        trouble: Trouble,
    },
    /// A request that was held back or copied on its way arrives.
    Late {
        /// Decides which.
        dice: u64,
    },
    /// Time passes, in milliseconds.
    Wait(i64),
}

/// Which cards a device wants to be sent in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sieve {
    /// All.
    All,
    /// Those of about half of the names; it keeps what it has of others.
    Some,
    /// The same, and it keeps no others.
    Only,
}

/// What goes wrong in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The request is lost; the device repeats it in its next turn.
    DropRequest,
    /// The reply is lost; the device repeats its request in its next turn.
    DropReply,
    /// The request arrives twice, and the second reply is taken.
    Twice,
    /// The request is held back and arrives later, perhaps after the device repeated it.
    Hold,
    /// A copy of the request arrives again later.
    Copy,
    /// Of the request only so many thousandths arrive.
    CutRequest(u32),
    /// Of the reply only so many thousandths arrive.
    CutReply(u32),
    /// The server's store fails.
    Server(StoreFault),
    /// The device's store fails; the device forgets its session and knows what its store knows.
    Client(StoreFault),
    /// The device loses its power before the reply arrives.
    PowerLost,
    /// The device gives its session up before sending.
    GiveUp,
}

impl Schedule {
    /// The schedule of a seed, with so many events.
    #[must_use]
    pub fn new(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::new(seed);
        let count = [1, 2, 2, 2, 2, 3][rng.below(6)];
        let sizes = [3_000, 3_000, 6_000, 150_000];
        let size = |rng: &mut Rng| rng.pick(&sizes).unwrap_or(3_000);
        let devices = (0..count)
            .map(|_| DeviceSetup {
                cards: rng.below(12),
                encoding: rng.pick(&[Encoding::Xml, Encoding::Wbxml]).unwrap_or(Encoding::Xml),
                version: rng.pick(&Version::ALL).unwrap_or(Version::V12),
                size: size(&mut rng),
            })
            .collect();
        let mut schedule =
            Self { seed, server_cards: rng.below(12), server_size: size(&mut rng), devices, events: Vec::new() };
        let (mut edits, mut troubles, mut device) = (0, 0, 0);
        while schedule.events.len() < steps {
            // Weather changes: calm, busy, stormy.
            if rng.chance(8) || schedule.events.is_empty() {
                edits = rng.pick(&[0, 10, 30, 60]).unwrap_or(0);
                troubles = rng.pick(&[0, 0, 10, 30, 60]).unwrap_or(0);
            }
            if rng.chance(15) {
                device = rng.below(count);
            }
            let event = if rng.chance(edits) {
                let at = if rng.chance(40) { Place::Server } else { Place::Device(rng.below(count)) };
                Event::Edit { at, dice: rng.next() }
            } else if troubles > 0 && rng.chance(6) {
                Event::Late { dice: rng.next() }
            } else if rng.chance(3) {
                Event::Wait(rng.pick(&[0, 700, 60_000, 1_000_000, 100_000_000]).unwrap_or(0))
            } else {
                let trouble = if rng.chance(troubles) { trouble(&mut rng) } else { Trouble::None };
                Event::Turn { device, sync: sync(&mut rng), sieve: sieve(&mut rng), trouble }
            };
            schedule.events.push(event);
        }
        schedule
    }
}

/// Refreshes are left out: they undo what people did, as they should.
fn sync(rng: &mut Rng) -> SyncType {
    match rng.below(100) {
        0..12 => SyncType::Slow,
        12..16 => SyncType::OneWayFromClient,
        16..20 => SyncType::OneWayFromServer,
        _ => SyncType::TwoWay,
    }
}

fn sieve(rng: &mut Rng) -> Sieve {
    match rng.below(100) {
        0..10 => Sieve::Some,
        10..16 => Sieve::Only,
        _ => Sieve::All,
    }
}

fn trouble(rng: &mut Rng) -> Trouble {
    match rng.below(14) {
        0 => Trouble::DropRequest,
        1 | 2 => Trouble::DropReply,
        3 => Trouble::Twice,
        4 => Trouble::Hold,
        5 => Trouble::Copy,
        6 => Trouble::CutRequest(rng.below(1000) as u32),
        7 => Trouble::CutReply(rng.below(1000) as u32),
        8 | 9 => Trouble::Server(store_fault(rng)),
        10 | 11 => Trouble::Client(store_fault(rng)),
        12 => Trouble::PowerLost,
        _ => Trouble::GiveUp,
    }
}

fn store_fault(rng: &mut Rng) -> StoreFault {
    match rng.below(6) {
        0..=2 => StoreFault::AtCall(rng.below(40) as u32),
        3 => StoreFault::BeforeCommit,
        4 => StoreFault::AfterCommit,
        _ => StoreFault::Rerun,
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}; the server has {} cards, takes {} bytes",
            self.seed, self.server_cards, self.server_size
        )?;
        for (number, device) in self.devices.iter().enumerate() {
            let DeviceSetup { cards, encoding, version, size } = device;
            writeln!(f, "device {number}: {cards} cards, {version:?} in {encoding:?}, takes {size} bytes")?;
        }
        for (number, event) in self.events.iter().enumerate() {
            writeln!(f, "{number:4} {event:?}")?;
        }
        Ok(())
    }
}
