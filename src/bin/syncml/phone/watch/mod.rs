//! `syncml watch`: the books of a device, backed up as soon as they change (missions R1 and R2).
//!
//! One thread does everything, in turns: it takes what the platform noticed, waits until a folder is quiet, looks which cards
//! changed, and backs them up. What time may heal is tried again, at growing intervals.

mod aside;
mod notice;
mod place;

use super::PhoneArgs;
use crate::failure::{Exit, Failure, Result};
use crate::job::obey;
use crate::output;
use crate::progress::{Progress, interrupted};
use notice::{Notice, Notices};
use place::{Place, Turn};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use syncml::service::watch::{Pace, Timing};

/// How long it may take to notice that the program is to end.
const ATTENTION: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) phone: PhoneArgs,
    /// For a storage that is a card of its own: a file whose first line says which card is in it now, imsi:… or number:+….
    /// Its book is then that card's, in whatever device. The file is watched, too; without a line no card is in it
    #[arg(long, value_name = "STORAGE=FILE")]
    card: Vec<String>,
    /// How long nothing must have changed any more before it is looked at, in milliseconds; who goes on changing is waited for
    /// ten times as long
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    quiet: u64,
    /// How often all is looked at, whatever the platform noticed, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Read every card at the start, also those whose size and time are as they were
    #[arg(long)]
    read_all: bool,
}

/// Says what happens, a line each.
pub(super) struct Teller {
    json: bool,
}

impl Teller {
    /// An event: for machines, and a sentence for people.
    fn tell(&self, event: &Value, text: &str) {
        match self.json {
            true => output::line(&event.to_string()),
            false => output::line(text),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let phone = &args.phone;
    let books = phone.books()?;
    let cards = cards(args, &books)?;
    let (link, profiles) = (phone.link.open()?, phone.profiles.read()?.treat(phone.treatment.read()));
    let teller = Teller { json: phone.json };
    let timing = Timing::default().quiet(Duration::from_millis(args.quiet));
    // Notices are taken before the first look, so that nothing falls between.
    let (sender, notices) = mpsc::channel();
    let mut platform = Notices::begin(sender);
    let mut places = Vec::new();
    for (at, (book, card)) in books.iter().zip(cards).enumerate() {
        let place = Place::open(book, card.clone(), args, link.clone(), profiles.clone())?;
        platform.watch(at, book.dir, card.as_deref());
        places.push(place);
    }
    let storages: Vec<String> = books.iter().map(|book| book.storage.to_string()).collect();
    teller.tell(
        &json!({ "event": "watching", "device": phone.device.to_string(), "storages": storages, "noticed": platform.works() }),
        &format!("watching {}", storages.join(", ")),
    );
    let (cancel, start) = (interrupted(), Instant::now());
    let every = Duration::from_secs(args.every);
    let mut round = every;
    loop {
        if cancel.is_suspending() {
            teller.tell(&json!({ "event": "ended", "exit": 0 }), "ended");
            return Ok(());
        }
        let now = start.elapsed();
        if now >= round {
            round = now.saturating_add(every);
            platform.renew();
            places.iter_mut().for_each(|place| place.noticed(None, now));
        }
        let due = |place: &Place<'_>| place.pace.due(&timing);
        if let Some(place) = places.iter_mut().find(|place| due(place).is_some_and(|due| due <= now)) {
            let waited = place.pace;
            if matches!(waited, Pace::Waiting { .. }) {
                // A folder that is back is another one to the platform. What is missed until then is looked for now.
                platform.renew();
            }
            let turn = place.turn(&teller)?;
            let now = start.elapsed();
            place.pace = match turn {
                Turn::Done => {
                    if obey(&link, false, &mut Progress::new(phone.json, None))? > 0 {
                        return Err(Failure::new(
                            Exit::Problems,
                            "the owner of this device gave an order, which was executed",
                        ));
                    }
                    Pace::Quiet
                }
                Turn::Again(failure) => {
                    let pace = waited.failed(now, &timing);
                    tell_waiting(&teller, place, pace, now, &failure);
                    pace
                }
                Turn::End(exit) => return Err(Failure::told(exit)),
            };
            continue;
        }
        let next = places.iter().filter_map(due).min().map_or(ATTENTION, |due| due.saturating_sub(now).min(ATTENTION));
        match notices.recv_timeout(next) {
            Ok(notice) => {
                let now = start.elapsed();
                for notice in std::iter::once(notice).chain(notices.try_iter()) {
                    match notice {
                        Notice::Name(at, name) => places[at].noticed(Some(&name), now),
                        Notice::Card(at) => places[at].pace = places[at].pace.noticed(now),
                        Notice::Everything => places.iter_mut().for_each(|place| place.noticed(None, now)),
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(next),
        }
    }
}

fn tell_waiting(teller: &Teller, place: &Place<'_>, pace: Pace, now: Duration, failure: &Failure) {
    let Pace::Waiting { failures, until } = pace else { return };
    let (storage, pause) = (place.storage(), until.saturating_sub(now).as_secs_f64());
    teller.tell(
        &json!({ "event": "waiting", "storage": storage, "failures": failures, "seconds": pause,
            "exit": failure.exit() as u8, "error": failure.to_string() }),
        &format!("{storage}: {failure}; again in {pause:.0} s"),
    );
}

/// For each book the file that says which card it is on.
fn cards(args: &Args, books: &[super::Phone<'_>]) -> Result<Vec<Option<PathBuf>>> {
    let mut cards = vec![None; books.len()];
    for said in &args.card {
        let wrong = |reason: &str| Failure::usage(format!("--card {said}: {reason}"));
        let (storage, file) = said.split_once('=').ok_or_else(|| wrong("write STORAGE=FILE"))?;
        let of = |book: &super::Phone<'_>| book.storage.to_string() == storage.to_ascii_lowercase();
        let at = books.iter().position(of).ok_or_else(|| wrong("no such storage is among the books"))?;
        if file.is_empty() || cards[at].replace(PathBuf::from(file)).is_some() {
            return Err(wrong("one file for a storage"));
        }
    }
    Ok(cards)
}

/// Whether a failure may be gone later, though nobody does anything about it here.
const fn may_heal(exit: Exit) -> bool {
    match exit {
        Exit::Unreachable | Exit::Protocol | Exit::File | Exit::Database | Exit::Problems => true,
        Exit::Usage | Exit::Refused | Exit::UnknownBook | Exit::MassDelete | Exit::Overflow | Exit::Interrupted => {
            false
        }
    }
}
