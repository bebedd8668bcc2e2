//! Cuts a failing schedule down.

use super::{DeviceSetup, Event, Schedule, Sieve, Trouble, Violation, simulate};
use crate::store::Store;
use crate::sync::SyncType;
use std::sync::Arc;

/// Leaves out of a schedule whatever it does not take to break the same promise, playing it at most `runs` times over
/// stores that `store` makes. Gives the schedule back as it is when it breaks none.
pub fn minimise(schedule: &Schedule, store: &dyn Fn() -> Arc<dyn Store>, runs: usize) -> (Schedule, Option<Violation>) {
    let mut best = schedule.clone();
    let Err(mut violation) = simulate(&best, store()) else { return (best, None) };
    let mut left = runs;
    let mut better = |best: &mut Schedule, violation: &mut Violation, next: Schedule| {
        if left == 0 || next == *best {
            return false;
        }
        left -= 1;
        match simulate(&next, store()) {
            Err(found) if found.rule == violation.rule => {
                *violation = found;
                *best = next;
                true
            }
            _ => false,
        }
    };
    best.events.truncate(violation.event + 1);
    if !better(&mut schedule.clone(), &mut violation, best.clone()) {
        best.clone_from(schedule);
    }
    let mut before = None;
    while before.as_ref() != Some(&best) {
        before = Some(best.clone());
        let mut size = best.events.len().div_ceil(2).max(1);
        loop {
            let mut at = best.events.len();
            while at > 0 {
                let from = at.saturating_sub(size);
                let mut next = best.clone();
                next.events.drain(from..at.min(next.events.len()));
                better(&mut best, &mut violation, next);
                at = from;
            }
            if size == 1 {
                break;
            }
            size = size.div_ceil(2);
        }
        for at in 0..best.events.len() {
            for event in plainer(best.events[at]) {
                let mut next = best.clone();
                next.events[at] = event;
                if better(&mut best, &mut violation, next) {
                    break;
                }
            }
        }
        for change in simpler(&best) {
            let mut next = best.clone();
            change(&mut next);
            better(&mut best, &mut violation, next);
        }
    }
    (best, Some(violation))
}

/// Simpler events, the simplest first.
fn plainer(event: Event) -> Vec<Event> {
    match event {
        Event::Turn { device, sync, sieve, trouble, .. } => {
            let turn = |sync, sieve, trouble| Event::Turn { device, node: 0, sync, sieve, trouble };
            vec![
                turn(SyncType::TwoWay, Sieve::All, Trouble::None),
                turn(SyncType::TwoWay, sieve, Trouble::None),
                turn(SyncType::TwoWay, sieve, trouble),
                turn(sync, Sieve::All, trouble),
                turn(sync, sieve, Trouble::None),
                turn(sync, sieve, trouble),
            ]
        }
        Event::Late { dice, .. } => vec![Event::Late { node: 0, dice }],
        Event::Restore { back, .. } => vec![Event::Restore { back, fault: None }],
        _ => Vec::new(),
    }
}

type Change = Box<dyn Fn(&mut Schedule)>;

/// Simpler worlds.
fn simpler(schedule: &Schedule) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for cards in [0, 1] {
        changes.push(Box::new(move |it| it.server_cards = it.server_cards.min(cards)));
        for at in 0..schedule.devices.len() {
            changes.push(Box::new(move |it| it.devices[at].cards = it.devices[at].cards.min(cards)));
        }
    }
    changes.push(Box::new(|it| it.nodes = 1));
    changes.push(Box::new(|it| it.server_size = 150_000));
    for at in 0..schedule.devices.len() {
        changes.push(Box::new(move |it| it.devices[at].size = 150_000));
        let plain = crate::codec::Encoding::Xml;
        changes.push(Box::new(move |it| it.devices[at] = DeviceSetup { encoding: plain, ..it.devices[at] }));
    }
    if schedule.devices.len() > 1 {
        changes.push(Box::new(|it| {
            it.devices.pop();
        }));
    }
    changes
}
