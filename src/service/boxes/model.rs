//! What is in a box (missions C1 and C2).

use super::restore::keys;
use super::{Application, Retention, Schedule};
use crate::message::Timestamp;
use crate::service::book::DeviceIdentity;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use thiserror::Error;

/// The most shortcuts of a box.
pub const MAX_SHORTCUTS: usize = 10_000;
/// The most folders of a box.
pub const MAX_FOLDERS: usize = 64;
/// Bytes of the longest path.
pub const MAX_PATH: usize = 1_024;
/// Bytes of the largest item: as an object of the protocol it is a third larger.
pub const MAX_ITEM: u64 = 2_900_000;
/// The most uploads that a box remembers; older ones are forgotten.
pub const MAX_RUNS: usize = 1_000;

/// How this is written; newer ones are left alone.
const VERSION: u32 = 1;

/// Why something is not put into a box, or not taken out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BoxError {
    /// No such shortcut.
    #[error("there is no shortcut to {0}")]
    NotFound(String),
    /// A path that cannot be kept.
    #[error("a path has 1 to {MAX_PATH} bytes and no control characters")]
    Path,
    /// An item that is too large.
    #[error("it has {0} bytes; a box takes items of up to {MAX_ITEM}")]
    TooLarge(u64),
    /// Too much in the box.
    #[error("a box has at most {MAX_SHORTCUTS} shortcuts in {MAX_FOLDERS} folders")]
    Full,
    /// What is read is no box.
    #[error("it is no box: {0}")]
    Unreadable(String),
    /// It was written by a newer release.
    #[error("it was written by a newer release (version {0})")]
    TooNew(u32),
}

/// A shortcut to an item: where it is, and what it is. The item itself stays there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shortcut {
    /// Where the item is on the device.
    pub path: String,
    /// The name of the file.
    pub name: String,
    /// The type of its data.
    pub media_type: String,
    /// Its size in bytes, when it was added or last uploaded.
    pub size: u64,
    /// Whether it is one of those that go up by themselves ([`Mode::Chosen`](super::Mode::Chosen)).
    pub chosen: bool,
    /// What became of it.
    #[serde(default)]
    pub upload: Upload,
}

impl Shortcut {
    /// A shortcut to what is at that path.
    #[must_use]
    pub fn new(path: impl Into<String>, media_type: impl Into<String>, size: u64) -> Self {
        let path = path.into();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        Self { path, name, media_type: media_type.into(), size, chosen: false, upload: Upload::default() }
    }

    /// The same, which goes up by itself or does not.
    #[must_use]
    pub fn chosen(self, chosen: bool) -> Self {
        Self { chosen, ..self }
    }

    /// What the item is called as an entry of a book ([`Entry::id`](crate::store::replica::Entry)).
    #[must_use]
    pub fn entry_id(path: &str) -> String {
        Sha256::digest(path).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How far the upload of an item is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Upload {
    /// The digest of what was taken of it last, whether it arrived or not.
    pub version: Option<String>,
    /// Of a contact, its match keys then: by these it is known again when its file is gone.
    pub keys: Vec<u64>,
    /// When an upload of it was tried last.
    pub tried: Option<Timestamp>,
    /// When it was in the backup for the last time.
    pub done: Option<Timestamp>,
    /// How often it failed since.
    pub failures: u32,
}

impl Upload {
    /// Notes what was taken of the item, with the digest that it has.
    pub fn taken(&mut self, application: &Application, digest: String, content: &[u8]) {
        self.version = Some(digest);
        if application.is_contacts() {
            self.keys = keys(content);
        }
    }

    /// Notes what became of a try.
    pub const fn tried(&mut self, at: Timestamp, arrived: bool) {
        self.tried = Some(at);
        if arrived {
            self.done = Some(at);
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
    }
}

/// The folder of an application in a box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Folder {
    /// Its shortcuts, by path.
    pub shortcuts: BTreeMap<String, Shortcut>,
    /// Items that were taken out of the box and stay in the backup, by path.
    pub left: BTreeMap<String, Upload>,
    /// The address of the server that has heard of it: the first upload to one compares, so that what is in a backup is never
    /// taken for deleted.
    pub begun: Option<String>,
}

/// An upload, as the box remembers it (mission C6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Run {
    /// When.
    pub at: Timestamp,
    /// Of which application.
    pub application: Application,
    /// Items that were new to the backup.
    pub added: u64,
    /// Items whose backup was updated.
    pub changed: u64,
    /// Items that could not be taken.
    pub skipped: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Run {
    /// One in which nothing happened yet.
    #[must_use]
    pub const fn new(at: Timestamp, application: Application) -> Self {
        Self { at, application, added: 0, changed: 0, skipped: 0, error: None }
    }
}

/// What was on the device before a restore (mission C5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kept {
    /// Its number, ascending.
    pub id: u64,
    /// When the restore was.
    pub at: Timestamp,
    /// Of which application.
    pub application: Application,
    /// What the restore wrote.
    pub items: Vec<KeptItem>,
}

impl Kept {
    /// One without items yet.
    #[must_use]
    pub const fn new(id: u64, at: Timestamp, application: Application) -> Self {
        Self { id, at, application, items: Vec::new() }
    }
}

/// A file that a restore wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptItem {
    /// Where it is.
    pub path: String,
    /// The digest of what was there before; `None` if nothing was.
    pub before: Option<String>,
    /// The digest of what the restore wrote.
    pub after: String,
}

/// What [`CloudBox::add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Added {
    /// The application had no folder: it was made, and the shortcut in it.
    Folder,
    /// The folder was there; the shortcut was made.
    Shortcut,
    /// The shortcut was there and was updated, as was decided.
    Updated,
    /// The shortcut was there and stays as it was, as was decided.
    Kept,
}

/// A box of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CloudBox {
    version: u32,
    /// The device that it is in, as [`DeviceIdentity`] displays it.
    pub device: String,
    /// What goes up by itself, and how often.
    pub schedule: Schedule,
    /// What is kept of the past.
    pub retention: Retention,
    /// The folders.
    pub folders: BTreeMap<Application, Folder>,
    /// The uploads, the oldest first.
    pub runs: Vec<Run>,
    /// What was on the device before restores, the oldest first.
    pub kept: Vec<Kept>,
    /// The number of the next one.
    next_kept: u64,
}

impl CloudBox {
    /// An empty box of a device.
    #[must_use]
    pub fn new(device: &DeviceIdentity) -> Self {
        Self {
            version: VERSION,
            device: device.to_string(),
            schedule: Schedule::default(),
            retention: Retention::default(),
            folders: BTreeMap::new(),
            runs: Vec::new(),
            kept: Vec::new(),
            next_kept: 1,
        }
    }

    /// Reads a box from JSON.
    ///
    /// # Errors
    /// [`BoxError::Unreadable`], [`BoxError::TooNew`], [`BoxError::Full`], [`BoxError::Path`].
    pub fn read(json: &str) -> Result<Self, BoxError> {
        let unreadable = |error: serde_json::Error| BoxError::Unreadable(error.to_string());
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_str(json).map_err(unreadable)?;
        if version > VERSION {
            return Err(BoxError::TooNew(version));
        }
        let read: Self = serde_json::from_str(json).map_err(unreadable)?;
        read.device.parse::<DeviceIdentity>().map_err(|error| BoxError::Unreadable(error.to_string()))?;
        if read.folders.len() > MAX_FOLDERS || read.count() > MAX_SHORTCUTS {
            return Err(BoxError::Full);
        }
        for folder in read.folders.values() {
            if !folder.shortcuts.iter().all(|(path, it)| *path == it.path && is_path(path)) {
                return Err(BoxError::Path);
            }
        }
        Ok(read)
    }

    /// As JSON.
    #[must_use]
    pub fn write(&self) -> String {
        // Our own values: texts, numbers and lists of them.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// All shortcuts with their applications.
    pub fn shortcuts(&self) -> impl Iterator<Item = (&Application, &Shortcut)> {
        self.folders
            .iter()
            .flat_map(|(application, folder)| folder.shortcuts.values().map(move |shortcut| (application, shortcut)))
    }

    fn count(&self) -> usize {
        self.folders.values().map(|folder| folder.shortcuts.len()).sum()
    }

    /// Puts a shortcut into the folder of an application (mission C2): a folder that is missing is made, a shortcut that is
    /// missing is made, and of one that is there `update` is asked, with what is there and what would be.
    ///
    /// # Errors
    /// [`BoxError`]; then the box is as it was, and nobody was asked.
    pub fn add(
        &mut self,
        application: &Application,
        shortcut: Shortcut,
        update: &mut dyn FnMut(&Shortcut, &Shortcut) -> bool,
    ) -> Result<Added, BoxError> {
        if !is_path(&shortcut.path) {
            return Err(BoxError::Path);
        }
        if shortcut.size > MAX_ITEM {
            return Err(BoxError::TooLarge(shortcut.size));
        }
        let there = self.folders.get(application);
        let missing = there.is_none_or(|folder| folder.shortcuts.is_empty());
        let known = there.is_some_and(|folder| folder.shortcuts.contains_key(&shortcut.path));
        let full = self.count() >= MAX_SHORTCUTS || there.is_none() && self.folders.len() >= MAX_FOLDERS;
        if !known && full {
            return Err(BoxError::Full);
        }
        let folder = self.folders.entry(application.clone()).or_default();
        if let Some(old) = folder.shortcuts.get_mut(&shortcut.path) {
            if !update(old, &shortcut) {
                return Ok(Added::Kept);
            }
            // It is due again.
            let upload = Upload { tried: None, failures: 0, ..std::mem::take(&mut old.upload) };
            *old = Shortcut { upload, ..shortcut };
            return Ok(Added::Updated);
        }
        // What was once uploaded from there is the same item.
        let upload = folder.left.remove(&shortcut.path).unwrap_or_default();
        let upload = Upload { tried: None, failures: 0, ..upload };
        folder.shortcuts.insert(shortcut.path.clone(), Shortcut { upload, ..shortcut });
        Ok(if missing { Added::Folder } else { Added::Shortcut })
    }

    /// Takes a shortcut out of the box: of one application, or of all that have it. Neither the item on the device nor its
    /// backup is touched. Gives back how many were there.
    ///
    /// # Errors
    /// [`BoxError::NotFound`].
    pub fn remove(&mut self, application: Option<&Application>, path: &str) -> Result<usize, BoxError> {
        let mut removed = 0;
        let wanted = |of: &Application| application.is_none_or(|wanted| wanted == of);
        for (_, folder) in self.folders.iter_mut().filter(|(of, _)| wanted(of)) {
            let Some(shortcut) = folder.shortcuts.remove(path) else { continue };
            removed += 1;
            // What never arrived is not to arrive any more.
            if shortcut.upload.done.is_some() {
                folder.left.insert(path.to_owned(), shortcut.upload);
            }
        }
        if removed == 0 { Err(BoxError::NotFound(path.to_owned())) } else { Ok(removed) }
    }

    /// Remembers an upload; the oldest is forgotten where there are too many.
    pub fn remember(&mut self, run: Run) {
        self.runs.push(run);
        let over = self.runs.len().saturating_sub(MAX_RUNS);
        self.runs.drain(..over);
    }

    /// The number that what a restore keeps is given.
    pub fn next_kept(&mut self) -> u64 {
        self.next_kept += 1;
        self.next_kept - 1
    }
}

fn is_path(path: &str) -> bool {
    (1..=MAX_PATH).contains(&path.len()) && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud_box() -> CloudBox {
        CloudBox::new(&"imei:490154203237518".parse().unwrap())
    }

    fn shortcut(path: &str) -> Shortcut {
        Shortcut::new(path, "text/plain", 5)
    }

    /// The decisions of the patent (S202 to S210), and those for what cannot be added.
    #[test]
    fn adding_is_decided_by_what_is_there() {
        let media: Application = "media".parse().unwrap();
        let documents: Application = "documents".parse().unwrap();
        let mut it = cloud_box();
        for (application, path, size, answer, asked, expected) in [
            (&media, "/a", 5, false, 0, Ok(Added::Folder)),
            (&media, "/b", 5, false, 0, Ok(Added::Shortcut)),
            (&media, "/a", 6, false, 1, Ok(Added::Kept)),
            (&media, "/a", 7, true, 1, Ok(Added::Updated)),
            (&documents, "/a", 5, false, 0, Ok(Added::Folder)),
            (&media, "", 5, true, 0, Err(BoxError::Path)),
            (&media, "/a\nb", 5, true, 0, Err(BoxError::Path)),
            (&media, "/a", MAX_ITEM + 1, true, 0, Err(BoxError::TooLarge(MAX_ITEM + 1))),
        ] {
            let (mut questions, before) = (0, it.clone());
            let added = it.add(application, Shortcut { size, ..shortcut(path) }, &mut |old, new| {
                assert_eq!((old.path.as_str(), new.size), (path, size));
                questions += 1;
                answer
            });
            assert_eq!((&added, questions), (&expected, asked), "{path} {size}");
            let stays = !matches!(added, Ok(Added::Folder | Added::Shortcut | Added::Updated));
            assert_eq!(it == before, stays, "{path} {size}");
        }
        assert_eq!(it.folders[&media].shortcuts["/a"].size, 7);
    }

    #[test]
    fn a_box_has_limits() {
        let mut it = cloud_box();
        for number in 0..MAX_FOLDERS {
            let application = format!("a{number}").parse().unwrap();
            assert_eq!(it.add(&application, shortcut("/a"), &mut |_, _| true), Ok(Added::Folder));
        }
        assert_eq!(it.add(&"more".parse().unwrap(), shortcut("/a"), &mut |_, _| true), Err(BoxError::Full));
        let mut it = cloud_box();
        let media = "media".parse().unwrap();
        let folder = it.folders.entry("media".parse().unwrap()).or_default();
        for number in 0..MAX_SHORTCUTS {
            folder.shortcuts.insert(format!("/{number}"), shortcut(&format!("/{number}")));
        }
        assert_eq!(it.add(&media, shortcut("/more"), &mut |_, _| true), Err(BoxError::Full));
        assert_eq!(it.add(&media, shortcut("/7"), &mut |_, _| true), Ok(Added::Updated), "it is there already");
    }

    #[test]
    fn what_is_taken_out_stays_in_the_backup() {
        let media: Application = "media".parse().unwrap();
        let mut it = cloud_box();
        for path in ["/up", "/never"] {
            it.add(&media, shortcut(path), &mut |_, _| true).unwrap();
        }
        let folder = it.folders.get_mut(&media).unwrap();
        let upload = Upload { version: Some("1".into()), done: Some(Timestamp(1)), ..Upload::default() };
        folder.shortcuts.get_mut("/up").unwrap().upload = upload.clone();
        assert_eq!(it.remove(None, "/up"), Ok(1));
        assert_eq!(it.remove(Some(&media), "/never"), Ok(1));
        assert_eq!(it.folders[&media].left, BTreeMap::from([("/up".to_owned(), upload.clone())]));
        assert_eq!(it.remove(None, "/up"), Err(BoxError::NotFound("/up".into())));
        // Put in again it is the item it was.
        assert_eq!(it.add(&media, shortcut("/up"), &mut |_, _| true), Ok(Added::Folder));
        assert_eq!(it.folders[&media].shortcuts["/up"].upload, upload);
        assert!(it.folders[&media].left.is_empty());
    }

    #[test]
    fn boxes_are_written_and_read() {
        let mut it = cloud_box();
        it.add(&Application::contacts(), shortcut("/a.vcf").chosen(true), &mut |_, _| true).unwrap();
        for _ in 0..=MAX_RUNS {
            it.remember(Run::new(Timestamp(it.runs.len() as i64), Application::contacts()));
        }
        assert_eq!(it.runs.len(), MAX_RUNS);
        assert_eq!((it.next_kept(), it.next_kept()), (1, 2));
        assert_eq!(CloudBox::read(&it.write()), Ok(it.clone()));
        let newer = it.write().replacen("\"version\": 1", "\"version\": 2", 1);
        assert_eq!(CloudBox::read(&newer), Err(BoxError::TooNew(2)));
        let elsewhere = it.write().replacen("\"path\": \"/a.vcf\"", "\"path\": \"/b.vcf\"", 1);
        assert_eq!(CloudBox::read(&elsewhere), Err(BoxError::Path));
        for wrong in ["", "{}", "[]", &it.write().replacen("imei:", "serial:", 1)] {
            assert!(matches!(CloudBox::read(wrong), Err(BoxError::Unreadable(_))), "{wrong:.40}");
        }
    }
}
