//! A device's file for orders: its key, what it was told, which folders are meant.

use crate::failure::{Exit, Failure, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syncml::message::{StatusCode, Timestamp};
use syncml::service::control::{Agent, Applications, DeviceKey, Refusal};
use syncml::session::Executor;

/// In a folder or box: it was stopped by its owner's order.
const STOPPED: &str = ".syncml.stopped";

/// Whether a folder or box was stopped.
pub(crate) fn is_stopped(dir: &Path) -> bool {
    dir.join(STOPPED).exists()
}

/// The refusal of what is stopped.
pub(crate) fn stopped(dir: &Path) -> Failure {
    let text = format!("{} was stopped by its owner's order; nothing leaves it", dir.display());
    Failure::new(Exit::Problems, text)
}

/// What is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub(crate) agent: Agent,
    /// Folders that are cleared.
    pub(crate) clear: Vec<PathBuf>,
    /// Folders and boxes that are stopped.
    pub(crate) stop: Vec<PathBuf>,
    /// When each folder was last confirmed whole.
    pub(crate) confirmed: BTreeMap<PathBuf, Timestamp>,
}

impl Contents {
    /// When everything that would be cleared was last confirmed; `here` is a folder that is just now.
    fn backed_up(&self, here: Option<(&Path, Timestamp)>) -> Option<Timestamp> {
        let of = |dir: &PathBuf| match here {
            Some((folder, now)) if folder == dir => Some(now),
            _ => self.confirmed.get(dir).copied(),
        };
        // Where nothing is cleared nothing can be lost: then this very session counts, or none.
        match self.clear.is_empty() {
            true => here.map(|(_, now)| now),
            false => self.clear.iter().map(of).min().flatten(),
        }
    }
}

/// The file, and what it holds.
#[derive(Debug)]
pub(crate) struct Station {
    path: PathBuf,
    contents: Mutex<Contents>,
    /// Refusals of this run, to be shown.
    refusals: Mutex<Vec<Refusal>>,
    _lock: File,
}

impl Station {
    pub(crate) fn create(path: &Path, contents: Contents) -> Result<()> {
        if path.exists() {
            return Err(Failure::new(Exit::File, format!("{} is there already", path.display())));
        }
        write_private(path, &serialize(&contents)?)
    }

    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        // One program at a time: a number is used once.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let lock = File::options().create(true).truncate(false).write(true).open(&beside);
        let lock = lock.map_err(|error| Failure::file(&beside, "written", &error))?;
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            return Err(Failure::new(Exit::Problems, format!("another command is using {}", path.display())));
        }
        let bytes = fs::read(path).map_err(|error| Failure::file(path, "read", &error))?;
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|_| {
            Failure::new(Exit::Database, format!("{} is no file of `syncml control join`", path.display()))
        })?;
        contents.agent.key().map_err(|error| Failure::new(Exit::Database, error.to_string()))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            contents: Mutex::new(contents),
            refusals: Mutex::default(),
            _lock: lock,
        }))
    }

    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> Result<DeviceKey> {
        self.contents().agent.key().map_err(|error| Failure::new(Exit::Database, error.to_string()))
    }

    /// What was refused, with the reason.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the file; what cannot be written has not happened.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> Result<T> {
        let mut contents = self.contents();
        let mut changed = contents.clone();
        let result = change(&mut changed);
        write_private(&self.path, &serialize(&changed)?)?;
        *contents = changed;
        Ok(result)
    }

    /// Notes that a folder is whole at the server.
    pub(crate) fn confirm(&self, dir: &Path, now: Timestamp) -> Result<()> {
        let dir = real(dir);
        self.change(|contents| contents.confirmed.insert(dir, now)).map(drop)
    }

    /// Takes an order that came by whatever carrier, and writes that down.
    pub(crate) fn take(
        &self,
        line: &str,
        here: Option<&Path>,
        now: Timestamp,
    ) -> Result<std::result::Result<i64, Refusal>> {
        let here = here.map(|dir| (real(dir), now));
        let taken = self.change(|contents| {
            let backed_up = contents.backed_up(here.as_ref().map(|(dir, now)| (dir.as_path(), *now)));
            contents.agent.take(line, backed_up, now)
        })?;
        if let Err(refusal) = taken {
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
        }
        Ok(taken)
    }

    /// Executes what was taken; how many orders that were.
    pub(crate) fn execute(&self, now: Timestamp) -> Result<usize> {
        let mut contents = self.contents();
        let mut folders = Folders { clear: contents.clear.clone(), stop: contents.stop.clone() };
        let rest = contents.clone();
        contents.agent.run(&mut folders, now, |agent| {
            let whole = Contents { agent: agent.clone(), ..rest.clone() };
            write_private(&self.path, &serialize(&whole)?)
        })
    }

    /// Who takes orders in a session about a folder, or about none.
    pub(crate) fn executor(self: &Arc<Self>, dir: Option<&Path>) -> Arc<dyn Executor> {
        Arc::new(Obedient { station: Arc::clone(self), dir: dir.map(Path::to_owned) })
    }
}

/// The station during a session.
#[derive(Debug)]
struct Obedient {
    station: Arc<Station>,
    dir: Option<PathBuf>,
}

impl Executor for Obedient {
    fn exec(&self, body: &str, backed_up: bool, now: Timestamp) -> StatusCode {
        match self.station.take(body, self.dir.as_deref().filter(|_| backed_up), now) {
            Ok(Ok(_)) => StatusCode::ACCEPTED,
            Ok(Err(refusal)) => refusal.status(),
            // It cannot be written down: it was not taken.
            Err(_) => StatusCode::RETRY_LATER,
        }
    }

    fn reports(&self) -> Vec<String> {
        self.station.contents().agent.receipts()
    }

    fn reported(&self, report: &str, code: StatusCode) {
        // What cannot be written down is reported again, and the server knows it.
        drop(self.station.change(|contents| contents.agent.reported(report, code)));
    }
}

/// The folders and boxes of this device.
struct Folders {
    clear: Vec<PathBuf>,
    stop: Vec<PathBuf>,
}

impl Applications for Folders {
    fn stop(&mut self, _: i64) -> std::result::Result<String, String> {
        for dir in self.stop.iter().filter(|dir| dir.is_dir()) {
            fs::write(dir.join(STOPPED), b"")
                .map_err(|error| format!("a folder cannot be stopped: {}", error.kind()))?;
        }
        Ok(format!("{} stopped", self.stop.len()))
    }

    fn clear(&mut self, number: i64, keep: bool) -> std::result::Result<String, String> {
        let mut cleared = 0;
        for dir in &self.clear {
            clear(dir, number, keep).map_err(|error| format!("a folder cannot be cleared: {}", error.kind()))?;
            cleared += 1;
        }
        Ok(format!("{cleared} {}", if keep { "put aside" } else { "cleared" }))
    }
}

/// Puts a folder aside under a name with the order's number, and an empty one in its place. If that name is there, it was
/// done before. What is to be deleted is deleted there; the empty name stays, as the mark that it was done.
fn clear(dir: &Path, number: i64, keep: bool) -> io::Result<()> {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(format!(".cleared-{number}"));
    let aside = PathBuf::from(aside);
    if !aside.exists() && dir.exists() {
        fs::rename(dir, &aside)?;
    }
    if !dir.exists() {
        fs::create_dir_all(dir)?;
        // A sync would bring it all back.
        fs::write(dir.join(STOPPED), b"")?;
    }
    if keep || !aside.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&aside)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Lets folders and boxes go on; how many.
pub(crate) fn resume(dirs: &[PathBuf]) -> Result<usize> {
    let mut resumed = 0;
    for path in dirs.iter().map(|dir| dir.join(STOPPED)).filter(|path| path.exists()) {
        fs::remove_file(&path).map_err(|error| Failure::file(&path, "removed", &error))?;
        resumed += 1;
    }
    Ok(resumed)
}

/// A folder by the name that stays the same.
pub(crate) fn real(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
}

fn serialize(contents: &Contents) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(contents).map_err(|error| Failure::new(Exit::Problems, error.to_string()))
}

/// Writes a file that only its owner can read, whole and durable.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".tmp");
    let part = PathBuf::from(part);
    let mut options = File::options();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    written.map_err(|error| Failure::file(path, "written", &error))
}
