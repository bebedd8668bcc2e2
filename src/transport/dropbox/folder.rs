//! A folder as a shelf.

use super::{ENDING, Shelf, Tray};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where letters are written before they are there.
const DRAFTS: &str = "tmp";

/// Drafts older than this are of programs that crashed.
const STALE: Duration = Duration::from_secs(86_400);

/// A folder with one for each tray, made when it is opened; who may look into it, its owner decides.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    drafts: AtomicU64,
}

impl Folder {
    /// Opens a drop box, or makes one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        for name in [Tray::In.name(), Tray::Out.name(), DRAFTS] {
            make(&root.join(name))?;
        }
        Self::existing(root)
    }

    /// Opens a drop box that is there.
    ///
    /// # Errors
    /// What the file system says, that there is none for example.
    pub fn existing(root: impl Into<PathBuf>) -> io::Result<Self> {
        // Others may write there from other machines.
        let number = RandomState::new().build_hasher().finish();
        let folder = Self { root: root.into(), drafts: AtomicU64::new(number) };
        folder.clear_drafts()?;
        Ok(folder)
    }

    /// Where.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How long a letter has been lying there, as far as the clocks say.
    pub(super) fn age(&self, tray: Tray, name: &str) -> Option<Duration> {
        age(&self.root.join(tray.name()).join(name))
    }

    fn path(&self, tray: Tray, name: &str) -> io::Result<PathBuf> {
        // Names come from the folder, or are digests; none leads out of it.
        if !is_letter(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(self.root.join(tray.name()).join(name))
    }

    fn clear_drafts(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(DRAFTS))? {
            let path = entry?.path();
            if age(&path).is_some_and(|age| age > STALE) {
                drop(fs::remove_file(path));
            }
        }
        Ok(())
    }
}

impl Shelf for Folder {
    fn list(&self, tray: Tray) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(tray.name()))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // One that was taken away meanwhile is none.
            let Ok(about) = entry.metadata() else { continue };
            if is_letter(&name) && about.is_file() {
                found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), name));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, name)| name).collect())
    }

    fn read(&self, tray: Tray, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(tray, name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    fn put(&self, tray: Tray, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(tray, name)?;
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = self.root.join(DRAFTS).join(format!("{number:016x}"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Letters hold cards and credentials.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o660);
        let mut file = options.open(&draft)?;
        let laid = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, &path));
        if laid.is_err() {
            drop(fs::remove_file(&draft));
        }
        laid?;
        sync(&self.root.join(tray.name()))
    }

    fn remove(&self, tray: Tray, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(tray, name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        }
        sync(&self.root.join(tray.name())).map(|()| true)
    }
}

/// Makes a folder, and its name durable.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Makes durable which names a folder has.
fn sync(folder: &Path) -> io::Result<()> {
    // Other systems do not open folders, and have no such promise to give.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn is_letter(name: &str) -> bool {
    let stem = name.strip_suffix(ENDING).unwrap_or_default();
    !stem.is_empty() && stem.len() <= 64 && stem.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("box")).unwrap();
        assert_eq!(folder.list(Tray::In).unwrap(), [""; 0]);
        folder.put(Tray::In, "b.sml", b"two").unwrap();
        folder.put(Tray::In, "b.sml", b"two").unwrap();
        // What a program left that crashed while it wrote, and what others put there.
        fs::write(folder.root().join("tmp/1-1"), b"ha").unwrap();
        for other in ["in/.hidden", "in/a.txt", "in/a-b.sml"] {
            fs::write(folder.root().join(other), b"x").unwrap();
        }
        fs::create_dir(folder.root().join("in/c.sml")).unwrap();
        assert_eq!(folder.list(Tray::In).unwrap(), ["b.sml"]);
        assert_eq!(folder.read(Tray::In, "b.sml", 3).unwrap().unwrap(), b"two");
        assert_eq!(folder.read(Tray::In, "b.sml", 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(folder.read(Tray::Out, "b.sml", 3).unwrap(), None);
        assert!(folder.remove(Tray::In, "b.sml").unwrap() && !folder.remove(Tray::In, "b.sml").unwrap());
        assert_eq!(fs::read_dir(folder.root().join("tmp")).unwrap().count(), 1, "a fresh draft may be somebody's");
    }

    #[test]
    fn the_oldest_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        for (name, second) in [("a.sml", 3), ("b.sml", 1), ("c.sml", 2)] {
            folder.put(Tray::Out, name, b"x").unwrap();
            let file = File::options().write(true).open(folder.root().join("out").join(name)).unwrap();
            file.set_modified(start + Duration::from_secs(second)).unwrap();
        }
        assert_eq!(folder.list(Tray::Out).unwrap(), ["b.sml", "c.sml", "a.sml"]);
        assert!(folder.age(Tray::Out, "a.sml").unwrap() > Duration::from_secs(1_000_000));
    }

    #[test]
    fn no_name_leads_out() {
        for (name, good) in [
            ("00ff.sml", true),
            (".sml", false),
            ("../a.sml", false),
            ("a/b.sml", false),
            ("a.sml.tmp", false),
            ("é.sml", false),
            (&format!("{}.sml", "a".repeat(65)), false),
        ] {
            assert_eq!(is_letter(name), good, "{name}");
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(folder.put(Tray::In, "../evil.sml", b"x").is_err() && folder.remove(Tray::In, "../x.sml").is_err());
    }
}
