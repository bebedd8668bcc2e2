//! What the platform notices: hints which names to look at, and no more than hints.

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// Something to look at; books by their place in the list.
pub(super) enum Notice {
    /// A file in a book's folder.
    Name(usize, OsString),
    /// What says which card a book is on.
    Card(usize),
    /// Perhaps anything.
    Everything,
}

/// What is watched.
struct Spot {
    at: usize,
    dir: PathBuf,
    card: Option<PathBuf>,
}

/// The platform's notifications; where there are none, it is looked at intervals only.
pub(super) struct Notices {
    spots: Arc<Mutex<Vec<Spot>>>,
    watcher: Option<RecommendedWatcher>,
    works: bool,
}

impl Notices {
    pub(super) fn begin(to: Sender<Notice>) -> Self {
        let spots: Arc<Mutex<Vec<Spot>>> = Arc::default();
        let known = Arc::clone(&spots);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody listens any more when the program ends.
            notices(&known, event).into_iter().for_each(|notice| drop(to.send(notice)));
        });
        let watcher = watcher.map_err(|error| complain(&error)).ok();
        Self { spots, works: watcher.is_some(), watcher }
    }

    /// Begins to watch a book's folder, and the file that says which card it is on.
    pub(super) fn watch(&mut self, at: usize, dir: &Path, card: Option<&Path>) {
        // Some platforms tell paths as they are asked for, others without links in them.
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let card = card.map(|card| {
            let folder =
                card.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            real(folder).join(card.file_name().unwrap_or_default())
        });
        let spot = Spot { at, dir: real(dir), card };
        let asked = ask(self.watcher.as_mut(), &spot);
        if let Err(error) = asked {
            self.works = false;
            complain(&error);
        }
        self.spots.lock().unwrap_or_else(PoisonError::into_inner).push(spot);
    }

    /// Whether everything is noticed.
    pub(super) const fn works(&self) -> bool {
        self.works
    }

    /// Asks again: a folder that was made anew is another one to the platform.
    pub(super) fn renew(&mut self) {
        for spot in self.spots.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // What does not work was said, and is looked at at intervals.
            drop(ask(self.watcher.as_mut(), spot));
        }
    }
}

fn complain(error: &notify::Error) {
    eprintln!("syncml: changes are not noticed at once, but looked for at intervals: {error}");
}

fn ask(watcher: Option<&mut RecommendedWatcher>, spot: &Spot) -> notify::Result<()> {
    let Some(watcher) = watcher else { return Ok(()) };
    watcher.watch(&spot.dir, RecursiveMode::NonRecursive)?;
    match spot.card.as_deref().and_then(Path::parent) {
        Some(folder) if folder != spot.dir => watcher.watch(folder, RecursiveMode::NonRecursive),
        _ => Ok(()),
    }
}

/// What an event is about. That something was read is no news.
fn notices(spots: &[Spot], event: notify::Result<Event>) -> Vec<Notice> {
    let Ok(event) = event else { return vec![Notice::Everything] };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        EventKind::Access(_) => return Vec::new(),
        _ => {}
    }
    if event.need_rescan() {
        return vec![Notice::Everything];
    }
    let mut found = Vec::new();
    for path in &event.paths {
        for spot in spots {
            if spot.card.as_ref() == Some(path) {
                found.push(Notice::Card(spot.at));
            }
            match (path.parent(), path.file_name()) {
                _ if *path == spot.dir => found.push(Notice::Everything),
                (Some(folder), Some(name)) if folder == spot.dir => found.push(Notice::Name(spot.at, name.to_owned())),
                _ => {}
            }
        }
    }
    found
}
