//! `syncml box run`: uploads, by hand or by the scheduler (mission C4).

use super::past;
use super::place::Place;
use super::shortcuts::known_as;
use super::upload::{Uploaded, Way, WayArgs, seconds_until, upload};
use crate::control;
use crate::failure::{Exit, Failure, Result};
use crate::job::obey;
use crate::output::{self, moment};
use crate::progress::{Progress, interrupted};
use clap::ValueEnum;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use syncml::service::boxes::{Application, Due, Mode, plan};
use syncml::transport::http::now;

/// How often a box that waits is looked at, in seconds: somebody may have added to it.
const LOOK: i64 = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The box
    #[arg(value_name = "BOX")]
    dir: PathBuf,
    /// Upload just these, once, whatever the mode
    paths: Vec<PathBuf>,
    /// Upload just what is in the folder of this application, once
    #[arg(long, value_name = "NAME")]
    app: Vec<Application>,
    #[command(flatten)]
    pub(crate) way: WayArgs,
    /// What goes up by itself, from now on
    #[arg(long, value_enum)]
    mode: Option<Told>,
    /// How often, from now on: 90s, 15m, 6h, 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<u32>,
    /// Upload what is due and end
    #[arg(long)]
    once: bool,
    /// After each upload, remove history that is older than so many days, from now on
    #[arg(long, value_name = "N")]
    keep_days: Option<u32>,
    /// After each upload, keep only the last so many uploads and restores, from now on
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Told {
    /// The shortcuts that were added with --auto
    Chosen,
    /// All shortcuts
    All,
    /// Nothing: say each time which
    Manual,
}

/// Reads `90s`, `15m`, `6h`, `7d` as seconds.
fn duration(text: &str) -> std::result::Result<u32, String> {
    let wrong = || "write a number and s, m, h or d, such as 15m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
    seconds.filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut place = Place::open(&args.dir)?;
    let by_hand = !args.paths.is_empty() || !args.app.is_empty();
    let due = if by_hand { Some(named(args, &place)?) } else { None };
    let way = args.way.open()?;
    settle(args, &mut place)?;
    let mut progress = Progress::new(args.way.json, args.way.link.trace()?);
    if control::is_stopped(&args.dir) {
        obey(&way.link, true, &mut progress)?;
        return Err(control::stopped(&args.dir));
    }
    if let Some(due) = due {
        let round = Round::of(&mut place, &way, due, &mut progress)?;
        return round.end(args.way.json, &place);
    }
    if place.contents.schedule.mode == Mode::Manual {
        return Err(Failure::usage(
            "the mode of this box is manual: name files or an application, or say --mode chosen or --mode all",
        ));
    }
    if args.once {
        let due = plan(&place.contents, now()).due;
        let round = Round::of(&mut place, &way, due, &mut progress)?;
        return round.end(args.way.json, &place);
    }
    let stop = interrupted();
    loop {
        let planned = plan(&place.contents, now());
        if !planned.due.is_empty() {
            let round = Round::of(&mut place, &way, planned.due, &mut progress)?;
            round.tell(args.way.json, &place);
        }
        let again = plan(&place.contents, now()).again;
        // While it waits others may use the box.
        drop(place);
        let wait = again.map_or(LOOK, |again| seconds_until(again, now()).min(LOOK));
        for _ in 0..wait * 10 {
            if stop.is_suspending() || stop.is_cancelled() {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        if control::is_stopped(&args.dir) {
            return Err(control::stopped(&args.dir));
        }
        place = loop {
            match Place::open(&args.dir) {
                Err(failure) if failure.exit() == Exit::Problems => sleep(Duration::from_millis(100)),
                other => break other?,
            }
        };
    }
}

/// The shortcuts that the command line names.
fn named(args: &Args, place: &Place) -> Result<Vec<Due>> {
    let all = || place.contents.shortcuts();
    let mut due = BTreeSet::new();
    for path in &args.paths {
        let path = known_as(path)?;
        let found: Vec<_> = all().filter(|(_, it)| it.path == path).collect();
        if found.is_empty() {
            return Err(Failure::usage(format!("{path} is not in the box; nothing was uploaded")));
        }
        due.extend(
            found.into_iter().map(|(application, _)| Due { application: application.clone(), path: path.clone() }),
        );
    }
    for wanted in &args.app {
        let found: Vec<_> = all().filter(|(application, _)| *application == wanted).collect();
        if found.is_empty() {
            return Err(Failure::usage(format!("there is nothing of {wanted} in the box; nothing was uploaded")));
        }
        due.extend(found.into_iter().map(|(_, it)| Due { application: wanted.clone(), path: it.path.clone() }));
    }
    Ok(due.into_iter().collect())
}

/// Keeps in the box what is said of how it goes on.
fn settle(args: &Args, place: &mut Place) -> Result<()> {
    let contents = &mut place.contents;
    let before = (contents.schedule, contents.retention);
    match args.mode {
        Some(Told::Chosen) => contents.schedule.mode = Mode::Chosen,
        Some(Told::All) => contents.schedule.mode = Mode::All,
        Some(Told::Manual) => contents.schedule.mode = Mode::Manual,
        None => {}
    }
    contents.schedule.every = args.every.unwrap_or(contents.schedule.every);
    contents.retention.days = args.keep_days.or(contents.retention.days);
    contents.retention.last = args.keep_last.or(contents.retention.last);
    if before == (contents.schedule, contents.retention) { Ok(()) } else { place.save() }
}

/// The uploads of a moment.
struct Round {
    uploads: Vec<Uploaded>,
}

impl Round {
    /// Each application on its own, so that one that fails does not keep back the others.
    fn of(place: &mut Place, way: &Way, due: Vec<Due>, progress: &mut Progress) -> Result<Self> {
        let mut by_application: BTreeMap<Application, BTreeSet<String>> = BTreeMap::new();
        for Due { application, path } in due {
            by_application.entry(application).or_default().insert(path);
        }
        let mut uploads = Vec::new();
        for (application, paths) in by_application {
            let uploaded = upload(place, way, &application, &paths, progress)?;
            let stopped = uploaded.exit.is_some_and(|exit| exit == Exit::Interrupted);
            uploads.push(uploaded);
            if stopped {
                break;
            }
        }
        past::purge_as_agreed(place)?;
        obey(&way.link, false, progress)?;
        Ok(Self { uploads })
    }

    fn exit(&self) -> Option<Exit> {
        self.uploads.iter().find_map(|uploaded| uploaded.exit)
    }

    fn tell(&self, json: bool, place: &Place) {
        let again = plan(&place.contents, now()).again;
        if json {
            let uploads: Vec<_> = self.uploads.iter().map(Uploaded::to_json).collect();
            output::json(&serde_json::json!({
                "ok": self.exit().is_none(), "exit": self.exit().map_or(0, |exit| exit as u8), "uploads": uploads,
                "again": again.map(moment), "again_in": again.map(|again| seconds_until(again, now())),
            }));
            return;
        }
        self.uploads.iter().for_each(Uploaded::print);
        if let Some(again) = again {
            println!("next: {}", moment(again));
        }
    }

    fn end(self, json: bool, place: &Place) -> Result<()> {
        self.tell(json, place);
        self.exit().map_or(Ok(()), |exit| Err(Failure::told(exit)))
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn times_are_numbers_and_units() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("6h", Some(21_600)),
            ("7d", Some(604_800)),
            ("0s", None),
            ("", None),
            ("m", None),
            ("5", None),
            ("-5m", None),
            ("99999999999d", None),
            ("5µ", None),
        ] {
            assert_eq!(duration(text).ok(), seconds, "{text:?}");
        }
    }
}
