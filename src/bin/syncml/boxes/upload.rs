//! One upload of a folder of a box.

use super::contents::Contents;
use super::place::{Place, kind};
use crate::database;
use crate::failure::{Exit, Result};
use crate::job::{Job, Own};
use crate::link::{Link, LinkArgs};
use crate::logging::LogArgs;
use crate::output::moment;
use crate::profiles::{ProfileArgs, TreatmentArgs};
use crate::progress::Progress;
use crate::route::Route;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use syncml::message::{AlertCode, Timestamp};
use syncml::service::book::Layout;
use syncml::service::boxes::{Application, BoxId, Run};
use syncml::session::{Profiles, Report};
use syncml::store::replica::{ReplicaOptions, collect};
use syncml::transport::http::now;

/// How to reach the server, and what to tell of it.
#[derive(Debug, clap::Args)]
pub(crate) struct WayArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    #[command(flatten)]
    profiles: ProfileArgs,
    #[command(flatten)]
    treatment: TreatmentArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// The same, with all that was to be read.
pub(crate) struct Way {
    pub(crate) link: Link,
    profiles: Profiles,
}

impl WayArgs {
    pub(crate) fn open(&self) -> Result<Way> {
        self.log.start();
        Ok(Way { link: self.link.open()?, profiles: self.profiles.read()?.treat(self.treatment.read()) })
    }
}

/// All of each item takes part.
static WHOLE: LazyLock<Layout> = LazyLock::new(Layout::default);

impl Way {
    /// A session about an application's items; `remote` is what their book is called there, and by which device.
    pub(super) fn job<'a>(
        &self,
        place: &'a Place,
        application: &'a Application,
        (remote, device_id): (&'a str, &'a str),
        mode: AlertCode,
    ) -> Result<Job<'a>> {
        Ok(Job {
            dir: place.root(),
            link: self.link.clone(),
            book: kind(application)?,
            local: application.as_str(),
            remote,
            device_id: Some(device_id),
            mode,
            filter: None,
            // Whoever fetches has nothing that could be lost.
            allow_mass_delete: mode == AlertCode::REFRESH_FROM_SERVER,
            profiles: self.profiles.clone(),
            layout: &WHOLE,
            called: None,
        })
    }
}

/// What became of the upload of a folder.
pub(crate) struct Uploaded {
    pub(crate) run: Run,
    pub(crate) exit: Option<Exit>,
    pub(crate) book: String,
    /// What could not be taken, with the reason.
    pub(crate) skipped: Vec<(String, String)>,
}

impl Uploaded {
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "application": self.run.application, "book": self.book, "at": moment(self.run.at), "added": self.run.added,
            "changed": self.run.changed, "error": self.run.error, "exit": self.exit.map_or(0, |exit| exit as u8),
            "skipped": self.skipped.iter().map(|(path, reason)| serde_json::json!({ "path": path, "reason": reason }))
                .collect::<Vec<_>>(),
        })
    }

    pub(crate) fn print(&self) {
        let Run { application, added, changed, error, .. } = &self.run;
        println!("{application}: {added} added, {changed} updated, {}", self.book);
        self.skipped.iter().for_each(|(path, reason)| eprintln!("skipped {path}: {reason}"));
        if let Some(error) = error {
            eprintln!("syncml: {application}: {error}");
        }
    }
}

/// Uploads some items of an application, and writes into the box what became of them.
pub(crate) fn upload(
    place: &mut Place,
    way: &Way,
    application: &Application,
    due: &BTreeSet<String>,
    progress: &mut Progress,
) -> Result<Uploaded> {
    let start = now();
    let id = BoxId::new(&place.device()?, application);
    let mut uploaded =
        Uploaded { run: Run::new(start, application.clone()), exit: None, book: id.title(), skipped: Vec::new() };
    progress.say(&format!("uploading {application}"));
    let sent = attempt(place, way, application, &id, due, progress, &mut uploaded);
    progress.end();
    let failure = match &sent {
        Err(failure) => Some((failure.exit(), failure.to_string())),
        Ok(report) => refused(report),
    };
    let folder = place.contents.folders.entry(application.clone()).or_default();
    if failure.is_none() {
        folder.begun = Some(way.link.to.clone());
    }
    for path in due {
        let taken = !uploaded.skipped.iter().any(|(skipped, _)| skipped == path);
        if let Some(shortcut) = folder.shortcuts.get_mut(path) {
            shortcut.upload.tried(start, failure.is_none() && taken);
        }
    }
    if let Ok(report) = &sent {
        let sent = report.books.first().map(|book| book.sent).unwrap_or_default();
        (uploaded.run.added, uploaded.run.changed) = (sent.added, sent.changed);
    }
    uploaded.run.skipped = uploaded.skipped.len() as u64;
    uploaded.exit = match &failure {
        Some((exit, _)) => Some(*exit),
        None => (!uploaded.skipped.is_empty()).then_some(Exit::Problems),
    };
    uploaded.run.error = failure.map(|(_, text)| text);
    place.contents.remember(uploaded.run.clone());
    place.save()?;
    Ok(uploaded)
}

/// Why a session that ended orderly did not bring everything there.
fn refused(report: &Report) -> Option<(Exit, String)> {
    let refused: u64 = report.books.iter().map(|book| book.sent.refused).sum();
    if report.clean && refused == 0 {
        return None;
    }
    let why = report.problems.first().cloned();
    Some((Exit::Problems, why.unwrap_or_else(|| format!("the server refused {refused} items"))))
}

fn attempt(
    place: &mut Place,
    way: &Way,
    application: &Application,
    id: &BoxId,
    due: &BTreeSet<String>,
    progress: &mut Progress,
    uploaded: &mut Uploaded,
) -> Result<Report> {
    let kind = kind(application)?;
    let folder = place.contents.folders.get(application).cloned().unwrap_or_default();
    let store = database::open(&place.state(application))?;
    let device_id = place.device()?.device_id();
    let own = Own::of(store.as_ref(), Some(&device_id))?;
    let mut contents = Contents::new(application, kind, &folder, due);
    // Only what never arrived goes from the list of entries, and that on purpose.
    let options = ReplicaOptions::default().allow_mass_delete(true);
    let collected = collect(store.as_ref(), own.account, kind.book, &mut contents, &options, now());
    let Contents { taken, skipped, .. } = contents;
    uploaded.skipped.extend(skipped);
    collected?;
    if let Some(folder) = place.contents.folders.get_mut(application) {
        for (path, taken) in taken.into_iter().filter(|(path, _)| !uploaded.skipped.iter().any(|(it, _)| it == path)) {
            let Some(shortcut) = folder.shortcuts.get_mut(&path) else { continue };
            if !taken.content.is_empty() {
                shortcut.size = taken.content.len() as u64;
                shortcut.upload.taken(application, taken.digest, &taken.content);
            } else {
                shortcut.upload.version = Some(taken.digest);
            }
        }
    }
    place.save()?;
    // The first one to a server compares: were it one way, what is in the backup and not here would be taken for deleted.
    let mode = match folder.begun.as_deref() == Some(way.link.to.as_str()) {
        true => AlertCode::ONE_WAY_FROM_CLIENT,
        false => AlertCode::SLOW,
    };
    let remote = id.address();
    let job = way.job(place, application, (&remote, &device_id), mode)?;
    let mut route = Route::open(&job.link)?;
    let mut session = job.begin(&store, &own)?;
    route.run(&mut session, progress)?;
    Ok(session.report())
}

/// Seconds from one moment to another; none if it has passed.
pub(crate) fn seconds_until(at: Timestamp, now: Timestamp) -> i64 {
    (at.0.saturating_sub(now.0).max(0) + 999) / 1000
}
