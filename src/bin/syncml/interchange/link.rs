//! `syncml link`: documents, a book and devices, each brought up to date as soon as another changes (mission I8).
//!
//! One thread does everything, in turns. What changed is told by sizes and times of files and by the book's newest revision; what
//! is true is told by digests of what each end was given.

mod alert;
mod sheet;

use super::source::layout;
use crate::failure::{Exit, Failure, Result};
use crate::history::place::{Place, PlaceArgs};
use crate::notify::SenderArgs;
use crate::output;
use crate::progress::interrupted;
use alert::Alerts;
use serde_json::{Value, json};
use sheet::{Looked, Sheet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use syncml::contact::identity::Kind;
use syncml::service::interchange::Choice;
use syncml::service::interchange::ends::Centre;
use syncml::service::watch::{Pace, Timing};
use syncml::store::Revision;

/// How often it is looked whether anything changed.
const ATTENTION: Duration = Duration::from_millis(200);

/// How often each end takes its turn with --once, until nothing is new.
const ROUNDS: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The documents: tables with a header, also as XLSX, ODS or DOCX, cards, LDIF or jCard; one that is not there is made
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What documents that are made are, or which layout they have, by their names: people.csv=outlook; else by their endings
    #[arg(long = "as", value_name = "FILE=TARGET")]
    targets: Vec<String>,
    /// What becomes of a contact of a document that the book has with other details, and whose word stands when both changed the
    /// same of a contact: overwrite is the document's, the others are the book's. What lost is in the history
    #[arg(long, value_enum, default_value = "merge")]
    on_conflict: OnConflict,
    /// Let a document that lost most of its contacts delete them in the book, too
    #[arg(long)]
    allow_mass_delete: bool,
    /// Ask this device to sync when the book changed, by what it is called and where it takes notifications:
    /// DEVICE=obex://HOST:PORT or DEVICE=udp://HOST:PORT
    #[arg(long, value_name = "DEVICE=URL")]
    alert: Vec<String>,
    #[command(flatten)]
    sender: SenderArgs,
    /// How long nothing must have changed any more before it is looked at, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    quiet: u64,
    /// Bring all in step once, and end
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnConflict {
    Overwrite,
    Merge,
    Add,
    Skip,
}

impl From<OnConflict> for Choice {
    fn from(said: OnConflict) -> Self {
        match said {
            OnConflict::Overwrite => Self::Overwrite,
            OnConflict::Merge => Self::Merge,
            OnConflict::Add => Self::Add,
            OnConflict::Skip => Self::Skip,
        }
    }
}

/// Says what happens, a line each.
struct Teller {
    json: bool,
    /// Whether anything went wrong.
    failed: bool,
}

impl Teller {
    fn tell(&self, event: &Value, text: &str) {
        match self.json {
            true => output::line(&event.to_string()),
            false => output::line(text),
        }
    }

    /// What an end does not do, and why.
    fn refused(&mut self, end: &str, failure: &Failure) {
        self.failed = true;
        let event =
            json!({ "event": "refused", "end": end, "exit": failure.exit() as u8, "error": failure.to_string() });
        self.tell(&event, &format!("{end}: {failure}"));
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let place = args.place.open()?;
    if place.book.book.kind() != Kind::Contact {
        return Err(Failure::usage("only books of contacts can be linked with documents"));
    }
    let centre = Centre { store: place.store.as_ref(), account: place.account, book: place.book.book };
    let mut sheets = Vec::new();
    for path in &args.files {
        sheets.push(Sheet::open(path, &args.targets, args.on_conflict.into(), args.allow_mass_delete)?);
    }
    if let Some(said) = args.targets.iter().find(|said| !sheets.iter().any(|sheet| sheet.is_meant(said))) {
        return Err(Failure::usage(format!("--as {said}: write FILE=TARGET, with a file that is among the documents")));
    }
    let alerts = Alerts::read(&args.alert, &args.sender)?;
    let teller = Teller { json: args.place.json, failed: false };
    let mut linker = Linker { centre, place: &place, sheets, alerts, teller };
    if args.once {
        linker.once()?;
        return if linker.teller.failed { Err(Failure::told(Exit::Problems)) } else { Ok(()) };
    }
    linker.follow(Timing::default().quiet(Duration::from_millis(args.quiet)))
}

/// The book, its ends, and who is told.
struct Linker<'l> {
    centre: Centre<'l>,
    place: &'l Place,
    sheets: Vec<Sheet>,
    alerts: Alerts<'l>,
    teller: Teller,
}

/// What became of a turn.
enum Turn {
    Done,
    /// Time may heal it.
    Again,
}

impl Linker<'_> {
    /// All ends in turn, until nothing is new.
    fn once(&mut self) -> Result<()> {
        let begun = head(self.place)?;
        for round in 0..ROUNDS {
            let before = head(self.place)?;
            for sheet in &mut self.sheets {
                if round == 0 || !sheet.refuses() {
                    take_turn(self.centre, sheet, &mut self.teller)?;
                }
            }
            if head(self.place)? == before {
                break;
            }
        }
        self.alerts.send(self.place, begun, &mut self.teller)
    }

    /// Each end when it or the book changed, until somebody ends it.
    fn follow(&mut self, timing: Timing) -> Result<()> {
        let (cancel, start) = (interrupted(), Instant::now());
        let names: Vec<&str> = self.sheets.iter().map(Sheet::name).collect();
        let event = json!({ "event": "linking", "ends": names });
        self.teller.tell(&event, &format!("linking {}", names.join(", ")));
        let (mut seen, mut alerted) = (Revision(-1), head(self.place)?);
        let mut paces = vec![Pace::Quiet; self.sheets.len()];
        loop {
            if cancel.is_suspending() {
                self.teller.tell(&json!({ "event": "ended", "exit": 0 }), "ended");
                return Ok(());
            }
            let now = start.elapsed();
            let is_news = std::mem::replace(&mut seen, head(self.place)?) != seen;
            for (sheet, pace) in self.sheets.iter_mut().zip(&mut paces) {
                let looked = sheet.look();
                if looked == Looked::Changed || (is_news && !sheet.refuses()) {
                    *pace = pace.noticed(now);
                }
            }
            for (sheet, pace) in self.sheets.iter_mut().zip(&mut paces) {
                if pace.due(&timing).is_none_or(|due| due > start.elapsed()) {
                    continue;
                }
                *pace = match take_turn(self.centre, sheet, &mut self.teller)? {
                    Turn::Done => Pace::Quiet,
                    Turn::Again => pace.failed(start.elapsed(), &timing),
                };
            }
            let settling = |pace: &Pace| matches!(pace, Pace::Settling { .. });
            if !paces.iter().any(settling) && seen == head(self.place)? {
                self.alerts.send(self.place, alerted, &mut self.teller)?;
                alerted = seen;
            }
            std::thread::sleep(ATTENTION.min(timing.quiet));
        }
    }
}

fn take_turn(centre: Centre<'_>, sheet: &mut Sheet, teller: &mut Teller) -> Result<Turn> {
    let turned = match sheet.turn(centre) {
        Ok(turned) => turned,
        Err(failure) if failure.exit() == Exit::Database => return Err(failure),
        Err(failure) => {
            teller.refused(sheet.name(), &failure);
            return Ok(if sheet.refuses() { Turn::Done } else { Turn::Again });
        }
    };
    for (entry, reason) in turned.skipped() {
        eprintln!("{}: skipped {entry}: {reason}", sheet.name());
    }
    if !turned.is_nothing() {
        let mut event = serde_json::to_value(&turned).unwrap_or_default();
        event["event"] = "turn".into();
        event["end"] = sheet.name().into();
        let came = |it: &syncml::store::replica::ReplicaReport| [it.added, it.changed, it.deleted];
        let ([added, changed, deleted], given) = (came(&turned.collected), came(&turned.delivered));
        let new = turned.imported.added + turned.imported.beside;
        teller.tell(
            &event,
            &format!(
                "{}: {} added, {changed} changed, {deleted} deleted in the book; {} added, {} changed, {} deleted in it",
                sheet.name(),
                added + new,
                given[0],
                given[1],
                given[2]
            ),
        );
    }
    Ok(Turn::Done)
}

/// The newest revision of the book.
fn head(place: &Place) -> Result<Revision> {
    let mut head = Revision(0);
    place.store.look(place.account, &mut |tx| {
        head = tx.book(place.book.book)?.map_or(Revision(0), |row| row.head);
        Ok(())
    })?;
    Ok(head)
}
