//! A box as a folder: what is in it as JSON, the state of each application's uploads, what was kept of before restores.

use crate::books::{self, BookKind};
use crate::failure::{Exit, Failure, Result};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use syncml::service::book::DeviceIdentity;
use syncml::service::boxes::{Application, BoxError, CloudBox, MAX_ITEM};

const CONTENTS: &str = "box.json";
const LOCK: &str = ".lock";
const KEPT: &str = "kept";
/// Bytes of the largest box that is read.
const MAX_CONTENTS: u64 = 64 << 20;

/// A box in a folder, locked against other commands.
pub(crate) struct Place {
    root: PathBuf,
    pub(crate) contents: CloudBox,
    _lock: File,
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        let exit = match error {
            BoxError::Unreadable(_) | BoxError::TooNew(_) => Exit::Database,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

impl Place {
    /// The box in that folder.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        if !root.join(CONTENTS).is_file() {
            let text = format!("there is no box in {}; `syncml box add` makes one", root.display());
            return Err(Failure::new(Exit::File, text));
        }
        let lock = lock(root)?;
        let path = root.join(CONTENTS);
        let mut json = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_CONTENTS).read_to_string(&mut json));
        read.map_err(|error| Failure::file(&path, "read", &error))?;
        let contents = CloudBox::read(&json).map_err(|error| {
            let failure = Failure::from(error);
            Failure::new(failure.exit(), format!("{}: {failure}", path.display()))
        })?;
        Ok(Self { root: root.to_owned(), contents, _lock: lock })
    }

    /// The box in that folder; one of `device` is made if there is none.
    pub(crate) fn create(root: &Path, device: Option<&DeviceIdentity>) -> Result<Self> {
        if root.join(CONTENTS).is_file() {
            let place = Self::open(root)?;
            return match device.filter(|device| device.to_string() != place.contents.device) {
                Some(_) => Err(Failure::usage(format!("this is the box of {}", place.contents.device))),
                None => Ok(place),
            };
        }
        let device = device.ok_or_else(|| Failure::usage("a new box needs --device: the device that it is in"))?;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(root).map_err(|error| Failure::file(root, "made", &error))?;
        Ok(Self { root: root.to_owned(), contents: CloudBox::new(device), _lock: lock(root)? })
    }

    pub(crate) fn save(&self) -> Result<()> {
        let path = self.root.join(CONTENTS);
        write(&path, self.contents.write().as_bytes()).map_err(|error| Failure::file(&path, "written", &error))
    }

    /// Where a folder of the box keeps what it agreed on with the server.
    pub(crate) fn state(&self, application: &Application) -> PathBuf {
        self.root.join(format!(".{application}.db"))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn device(&self) -> Result<DeviceIdentity> {
        let parsed = self.contents.device.parse::<DeviceIdentity>();
        parsed.map_err(|error| Failure::new(Exit::Database, error.to_string()))
    }

    /// Where what was there before a restore is kept, by its digest.
    pub(crate) fn kept(&self, id: u64) -> PathBuf {
        self.root.join(KEPT).join(id.to_string())
    }

    /// Removes what was kept before some restores, and forgets it.
    pub(crate) fn forget(&mut self, ids: &[u64]) -> Result<()> {
        self.contents.kept.retain(|kept| !ids.contains(&kept.id));
        self.save()?;
        for id in ids {
            let path = self.kept(*id);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::file(&path, "removed", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| Failure::file(&path, "written", &error))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(Exit::Problems, format!("another command is using the box {}", root.display())))
        }
        // A file system without locks; the user knows what they run.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(lock),
    }
}

/// Writes a file beside its place and then puts it there, whole and durable.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".syncml.tmp");
    let part = PathBuf::from(part);
    let mut file = File::create(&part)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    written
}

/// What is in a file, if there is one.
///
/// # Errors
/// A sentence that says why it cannot be taken.
pub(crate) fn read(path: &str) -> std::result::Result<Option<Vec<u8>>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err("it is no file".to_owned());
    }
    let mut content = Vec::new();
    file.take(MAX_ITEM + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    match content.len() as u64 {
        size if size > MAX_ITEM => Err(BoxError::TooLarge(size).to_string()),
        _ => Ok(Some(content)),
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kind of book in which an application's items are.
pub(crate) fn kind(application: &Application) -> Result<&'static BookKind> {
    books::named(if application.is_contacts() { "contacts" } else { "files" })
}
