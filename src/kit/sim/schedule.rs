//! What happens in a run: made from a seed, then fixed, so that it can be printed, cut down and played again.

use super::rng::Rng;
use super::tap::StoreFault;
use crate::codec::Encoding;
use crate::message::Version;
use crate::session::Busy;
use crate::sync::SyncType;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A run: the world at its beginning, then its events. The same schedule always runs the same way.
///
/// As text it is JSON, an event a line, and read back the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What it was made from.
    pub seed: u64,
    /// Nodes of the server, over one store.
    pub nodes: usize,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The server's book, by its API.
    Server,
    /// A device's own book.
    Device(usize),
}

/// Whose clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// A node's.
    Node(usize),
    /// A device's.
    Device(usize),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        /// The node that gets the request.
        node: usize,
        /// The sync that a session begun now asks for.
        sync: SyncType,
        /// The cards that it wants to be sent.
        sieve: Sieve,
        /// What goes wrong.
        trouble: Trouble,
    },
    /// A request that was held back or copied on its way arrives.
    Late {
        /// At which node.
        node: usize,
        /// Decides which.
        dice: u64,
    },
    /// Time passes, in milliseconds.
    Wait(i64),
    /// A clock is set: from now on it is so many milliseconds ahead of the world's.
    Set {
        /// Which.
        clock: Clock,
        /// How far.
        ahead: i64,
    },
    /// A node is stopped and started: all that was in its memory only is gone.
    Restart(usize),
    /// A node has too much to do, or no more.
    Busy {
        /// Which.
        node: usize,
        /// What it does not take.
        busy: Busy,
    },
    /// Something happens to a device.
    Device {
        /// Which.
        device: usize,
        /// What.
        fate: Fate,
    },
    /// Somebody sets the server's book back in its history.
    Restore {
        /// By so many revisions.
        back: u64,
        /// What goes wrong; then they do it again.
        fault: Option<StoreFault>,
    },
}

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// All of it is copied: its cards, and what it knows of its syncs.
    BackedUp,
    /// It becomes what the last such copy holds.
    SetBack,
    /// It is emptied as by its maker, and has the same DeviceID afterwards.
    Emptied,
    /// Its cards stay under their ids; what it knew of its syncs is gone.
    Reinstalled,
}

/// Which cards a device wants to be sent in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sieve {
    /// All.
    All,
    /// Those of about half of the names; it keeps what it has of others.
    Some,
    /// The same, and it keeps no others.
    Only,
    /// All, without their numbers.
    NoNumbers,
}

/// What goes wrong in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The request is lost; the device repeats it in its next turn.
    DropRequest,
    /// The reply is lost; the device repeats its request in its next turn.
    DropReply,
    /// The request arrives twice, at two nodes if there are, and the second reply is taken.
    Twice,
    /// The request is held back and arrives later, perhaps after the device repeated it.
    Hold,
    /// A copy of the request arrives again later.
    Copy,
    /// Of the request only so many thousandths arrive.
    CutRequest(u32),
    /// Of the reply only so many thousandths arrive.
    CutReply(u32),
    /// The server's store fails, and the node with it: it starts anew.
    Server(StoreFault),
    /// The device's store fails; the device forgets its session and knows what its store knows.
    Client(StoreFault),
    /// The device loses its power before the reply arrives.
    PowerLost,
    /// The device gives its session up before sending.
    GiveUp,
    /// The device breaks the session off in good order.
    Suspend,
}

impl Schedule {
    /// The schedule of a seed, with so many events.
    #[must_use]
    pub fn new(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::new(seed);
        let count = [1, 2, 2, 2, 2, 3][rng.below(6)];
        let nodes = [1, 2, 2, 3][rng.below(4)];
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
            Self { seed, nodes, server_cards: rng.below(12), server_size: size(&mut rng), devices, events: Vec::new() };
        // What makes much else true or not does not happen everywhere.
        let climate = Climate { clocks: rng.chance(40), fates: rng.chance(40), restores: rng.chance(30) };
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
                Event::Late { node: rng.below(nodes), dice: rng.next() }
            } else if rng.chance(3) {
                Event::Wait(rng.pick(&[0, 700, 60_000, 1_000_000, 100_000_000]).unwrap_or(0))
            } else if let Some(event) = climate.event(&mut rng, nodes, count, troubles) {
                event
            } else {
                let trouble = if rng.chance(troubles) { trouble(&mut rng) } else { Trouble::None };
                let node = rng.below(nodes);
                Event::Turn { device, node, sync: sync(&mut rng), sieve: sieve(&mut rng), trouble }
            };
            schedule.events.push(event);
        }
        schedule
    }
}

/// What happens in a schedule at all.
struct Climate {
    clocks: bool,
    fates: bool,
    restores: bool,
}

impl Climate {
    /// What happens to nodes, devices and books, now and then.
    fn event(&self, rng: &mut Rng, nodes: usize, devices: usize, troubles: usize) -> Option<Event> {
        match rng.below(100) {
            0 | 1 => Some(Event::Restart(rng.below(nodes))),
            2 if troubles > 0 => {
                let busy = [Busy::No, Busy::No, Busy::NewSessions, Busy::Everything];
                Some(Event::Busy { node: rng.below(nodes), busy: rng.pick(&busy).unwrap_or_default() })
            }
            3 | 4 if self.clocks => {
                let clock =
                    if rng.chance(50) { Clock::Node(rng.below(nodes)) } else { Clock::Device(rng.below(devices)) };
                let ahead = [0, 0, 700, -700, 60_000, -60_000, 1_000_000, -1_000_000, 86_400_000, -300_000_000_000];
                Some(Event::Set { clock, ahead: rng.pick(&ahead).unwrap_or(0) })
            }
            5..=7 if self.fates => {
                let fates =
                    [Fate::BackedUp, Fate::SetBack, Fate::SetBack, Fate::Emptied, Fate::Reinstalled, Fate::Reinstalled];
                let fate = rng.pick(&fates).unwrap_or(Fate::BackedUp);
                Some(Event::Device { device: rng.below(devices), fate })
            }
            8 | 9 if self.restores => {
                let fault = rng.chance(40).then(|| store_fault(rng));
                Some(Event::Restore { back: 1 + rng.below(10) as u64, fault })
            }
            _ => None,
        }
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
        16..22 => Sieve::NoNumbers,
        _ => Sieve::All,
    }
}

fn trouble(rng: &mut Rng) -> Trouble {
    match rng.below(15) {
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
        13 => Trouble::Suspend,
        _ => Trouble::GiveUp,
    }
}

/// A message makes some dozens of calls, rarely hundreds.
fn store_fault(rng: &mut Rng) -> StoreFault {
    match rng.below(7) {
        0..=2 => StoreFault::AtCall(rng.below(40) as u32),
        3 => StoreFault::AtCall(rng.below(200) as u32),
        4 => StoreFault::BeforeCommit,
        5 => StoreFault::AfterCommit,
        _ => StoreFault::Rerun,
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Self { devices: Vec::new(), events: Vec::new(), ..self.clone() };
        let json = |value: serde_json::Result<String>| value.map_err(|_| fmt::Error);
        let head = json(serde_json::to_string(&whole))?;
        let head = head.strip_suffix(r#""devices":[],"events":[]}"#).ok_or(fmt::Error)?;
        let devices: Result<Vec<_>, _> = self.devices.iter().map(|it| json(serde_json::to_string(it))).collect();
        let events: Result<Vec<_>, _> = self.events.iter().map(|it| json(serde_json::to_string(it))).collect();
        write!(f, "{head}\n\"devices\":[\n{}],\n\"events\":[\n{}]}}", devices?.join(",\n"), events?.join(",\n"))
    }
}

impl FromStr for Schedule {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}
