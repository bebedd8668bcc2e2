//! Whether the promises were kept.

use super::book::{self, BOOK, add, cards, look};
use super::card::{Face, is_respelt, meaning};
use super::rng::Rng;
use super::schedule::{Place, Sieve, Trouble};
use super::tap::Work;
use super::world::{Device, Outcome, World};
use crate::message::Op;
use crate::session::{Busy, Report};
use crate::store::{AccountNo, Guid, ItemRow, MapState, OutgoingRow, Store};
use crate::sync::{Role, SyncType};
use std::collections::BTreeSet;

/// Messages after which a session is said never to end.
const ENDLESS: usize = 2_000;

/// What a server's store may be asked for by a session in which nothing is to be done: whatever the book's size.
const NO_CHANGE: Work = Work { calls: 60, rows: 20 };

/// The same with one new card.
const ONE_CHANGE: Work = Work { calls: 100, rows: 60 };

/// Rounds within which two must be two-way: a first sync may be cut short, and slow again.
const ROUNDS: usize = 4;

impl World<'_> {
    /// Whether a device holds just what the server does.
    pub(super) fn same(&self, number: usize, store: &dyn Store, account: AccountNo, rule: &'static str) -> Outcome {
        let read = |store: &dyn Store, account| -> Outcome<Vec<String>> {
            let cards = cards(store, account).map_err(|error| self.misused(&error))?;
            let mut all: Vec<String> = cards.iter().map(|card| meaning(card)).collect();
            all.sort();
            Ok(all)
        };
        let (there, here) = (read(self.faults.as_ref(), self.account)?, read(store, account)?);
        if there == here {
            return Ok(());
        }
        let lacks = |one: &[String], other: &[String]| {
            let mut left = other.to_vec();
            let rest = one.iter().filter(|card| match left.iter().position(|it| it == *card) {
                Some(at) => {
                    left.swap_remove(at);
                    false
                }
                None => true,
            });
            rest.cloned().collect::<Vec<_>>().join("\n")
        };
        let what = format!(
            "device {number} differs; only there:\n{}\nonly on the server:\n{}",
            lacks(&here, &there),
            lacks(&there, &here)
        );
        Err(self.violation(rule, what))
    }

    /// What the server sent or is to send to a device, and has no last word of.
    fn outgoing(&self, number: usize) -> Outcome<Vec<OutgoingRow>> {
        let id = &self.devices[number].config.device_id;
        let rows = look(self.faults.as_ref(), self.account, |tx| match tx.device(id)? {
            Some(device) => tx.outgoing_page(device.device, BOOK, Guid(0), usize::MAX),
            None => Ok(Vec::new()),
        });
        rows.map_err(|error| self.misused(&error))
    }

    /// Whether the server owes the device nothing.
    pub(super) fn at_rest(&self, number: usize) -> Outcome<bool> {
        Ok(self.outgoing(number)?.is_empty())
    }

    /// Cards that were sent to a device and not answered: which of what they were it has, nobody knows.
    pub(super) fn unanswered(&self, number: usize) -> Outcome<Vec<Face>> {
        let mut rows = self.outgoing(number)?;
        rows.retain(|row| row.state.is_unanswered() && row.op != Op::Delete);
        let there = book::items(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        let sent = |item: &&ItemRow<'_>| rows.iter().any(|row| row.guid == item.guid);
        Ok(there.iter().filter(sent).map(|item| Face::read(&item.content)).collect())
    }

    /// I6: when the server's anchors of a device moved, everything of that sync must be answered.
    /// `complete`: all that both ends have to say in it was seen.
    pub(super) fn anchors(&mut self, number: usize, sync: SyncType, complete: bool) -> Outcome {
        let Device { config, sieve, anchor: known, .. } = &self.devices[number];
        let found = look(self.faults.as_ref(), self.account, |tx| {
            let Some(device) = tx.device(&config.device_id)? else { return Ok(None) };
            let Some(pair) = tx.pair(device.device, BOOK)?.filter(|pair| pair.peer_next != *known) else {
                return Ok(None);
            };
            let rows = tx.outgoing_page(device.device, BOOK, Guid(0), usize::MAX)?;
            // A row of an item deleted since waits for a Map that may never come, and so does one of an item that the device
            // does not want any more; one changed since is for the next sync.
            let guids: Vec<_> = rows.iter().map(|row| row.guid).collect();
            let of_this = |item: &ItemRow<'_>| {
                !item.deleted && item.revision <= pair.cursor && sieve.passes(&Face::read(&item.content).name)
            };
            let due = tx.items(BOOK, &guids)?.into_iter().map(|item| item.is_some_and(|item| of_this(&item)));
            let sent = |row: &OutgoingRow| row.state.is_unanswered();
            let open = rows.iter().zip(due).filter(|(row, due)| *due && sent(row)).count();
            let staged = tx.staged(device.device, BOOK, 0, usize::MAX)?.len();
            Ok(Some((pair.peer_next, open, staged)))
        });
        let Some((anchor, open, staged)) = found.map_err(|error| self.misused(&error))? else { return Ok(()) };
        self.devices[number].anchor = anchor;
        // A sync from the client only leaves what the server has to say as it is.
        let mute = !sync.sends(Role::Server);
        if (open > 0 && !mute) || staged > 0 || !complete {
            let what = format!("anchors moved with {open} unanswered and {staged} staged items; complete: {complete}");
            return Err(self.violation("I6", what));
        }
        Ok(())
    }

    /// Edits have stopped: two clean rounds, then everything must be as the people left it.
    pub(super) fn judge(&mut self, events: usize) -> Outcome {
        self.event = events;
        self.late.clear();
        self.devices.iter_mut().for_each(|device| device.talk = None);
        let ahead = self.nodes[0].ahead;
        for node in &mut self.nodes {
            (node.ahead, node.busy) = (ahead, Busy::No);
            node.server.set_busy(Busy::No);
        }
        // A round counts when all its syncs were two-way: lost anchors make some slow, and what a slow sync finds is told next.
        let mut rounds = 0;
        for _ in 0..ROUNDS {
            let mut all = true;
            for number in 0..self.devices.len() {
                all &= !self.devices[number].shaken;
                all &= self.calm_sync(number)?.books[0].mode == "two-way";
            }
            rounds += usize::from(all);
            if rounds == 2 {
                break;
            }
        }
        if rounds < 2 {
            return Err(self.violation("peace", "syncs stay slow"));
        }
        for (number, device) in self.devices.iter().enumerate() {
            self.same(number, device.store.as_ref(), device.account, "I4")?;
            self.maps(number)?;
        }
        let cards = cards(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        self.model.judge(&cards).map_err(|(rule, what)| self.violation(rule, what))?;
        for card in cards.iter().filter(|card| is_respelt(card)) {
            let face = Face::read(card);
            if !face.tokens.iter().any(|token| self.respelt.contains(token)) {
                return Err(self.violation("I5", format!("a card that was only touched was rewritten: {face:?}")));
            }
        }
        for number in 0..self.devices.len() {
            let report = self.calm_sync(number)?;
            let book = &report.books[0];
            if book.sent != Default::default() || book.received != Default::default() {
                return Err(self.violation("I4", format!("there is no rest: {book:?}")));
            }
            self.at_most(number, NO_CHANGE)?;
        }
        self.one_more()
    }

    /// I9: what a sync of one change takes does not depend on how much is there.
    fn one_more(&mut self) -> Outcome {
        let face = Face::random(&mut Rng::new(self.event as u64), self.model.token());
        let now = self.time_at(Place::Server);
        add(self.faults.as_ref(), self.account, &face.write(), now).map_err(|error| self.misused(&error))?;
        for number in 0..self.devices.len() {
            self.calm_sync(number)?;
            self.at_most(number, ONE_CHANGE)?;
            let device = &self.devices[number];
            self.same(number, device.store.as_ref(), device.account, "I4")?;
        }
        Ok(())
    }

    fn at_most(&self, number: usize, most: Work) -> Outcome {
        // What waits for a Map that may never come is looked at each time.
        let open = self.outgoing(number)?.len() as u64;
        let most = Work { calls: most.calls + 2 * open, rows: most.rows + 6 * open };
        if self.work.calls > most.calls || self.work.rows > most.rows {
            return Err(self.violation("I9", format!("{:?} for what may take {most:?}", self.work)));
        }
        Ok(())
    }

    fn calm_sync(&mut self, number: usize) -> Outcome<Report> {
        self.now = self.now.plus_seconds(10);
        self.work = Work::default();
        let wants = (SyncType::TwoWay, Sieve::All);
        self.begin(number, wants, Trouble::None)?;
        let mut report = Report::default();
        for turn in 0..ENDLESS {
            let Some(talk) = &self.devices[number].talk else { return Ok(report) };
            report = talk.client.report();
            self.turn(number, turn, wants, Trouble::None)?;
            report = self.devices[number].talk.as_ref().map_or(report, |talk| talk.client.report());
        }
        Err(self.violation("peace", "a session does not end"))
    }

    /// I3, and that the maps say what is so.
    fn maps(&self, number: usize) -> Outcome {
        let device = &self.devices[number];
        let rows = look(self.faults.as_ref(), self.account, |tx| {
            let Some(row) = tx.device(&device.config.device_id)? else { return Ok(Vec::new()) };
            let Some(pair) = tx.pair(row.device, BOOK)? else { return Ok(Vec::new()) };
            tx.map_page(row.device, BOOK, pair.epoch, Guid(0), usize::MAX)
        });
        let rows = rows.map_err(|error| self.misused(&error))?;
        let there = book::items(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        let here = book::items(device.store.as_ref(), device.account).map_err(|error| self.misused(&error))?;
        let luids: BTreeSet<&str> = rows.iter().map(|row| row.luid.as_str()).collect();
        let guids: BTreeSet<_> = rows.iter().map(|row| row.guid).collect();
        let items: BTreeSet<_> = there.iter().map(|item| item.guid).collect();
        if luids.len() != rows.len() || guids.len() != rows.len() || guids != items {
            return Err(self.violation("I3", format!("the map of device {number} is not one to one with its items")));
        }
        for row in &rows {
            let mine = here.iter().find(|item| item.guid.0.to_string() == row.luid);
            let theirs = there.iter().find(|item| item.guid == row.guid);
            let same = match (mine, theirs) {
                (Some(mine), Some(theirs)) => meaning(&mine.content) == meaning(&theirs.content),
                _ => false,
            };
            if !same || row.state != MapState::Live {
                return Err(self.violation("I3", format!("device {number}: {row:?} is wrong")));
            }
        }
        Ok(())
    }
}
