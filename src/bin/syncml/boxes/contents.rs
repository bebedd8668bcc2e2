//! The folder of a box as a book: what of it is due, is read; of the rest no more is said than was known.

use super::place::{digest, read};
use crate::books::BookKind;
use crate::cards;
use std::collections::{BTreeMap, BTreeSet};
use syncml::service::boxes::{Application, FileObject, Folder, Shortcut, Upload};
use syncml::store::replica::{Applied, Book, BookOp, Entry};

/// What was taken of an item.
pub(crate) struct Taken {
    pub(crate) digest: String,
    pub(crate) content: Vec<u8>,
}

/// A folder of a box, of which some items are looked at.
pub(crate) struct Contents<'a> {
    application: &'a Application,
    kind: &'static BookKind,
    folder: &'a Folder,
    due: &'a BTreeSet<String>,
    /// Paths by the ids of their entries.
    paths: BTreeMap<String, &'a str>,
    /// What was taken, by path; of what did not change, no content.
    pub(crate) taken: BTreeMap<String, Taken>,
    /// What could not be taken, by path, with the reason.
    pub(crate) skipped: BTreeMap<String, String>,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(
        application: &'a Application,
        kind: &'static BookKind,
        folder: &'a Folder,
        due: &'a BTreeSet<String>,
    ) -> Self {
        let paths = folder.shortcuts.keys().map(|path| (Shortcut::entry_id(path), path.as_str())).collect();
        Self { application, kind, folder, due, paths, taken: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    /// What is there, if it is an item of this application.
    fn look(&self, path: &str) -> Result<Vec<u8>, String> {
        let content = read(path)?.ok_or("it is not there any more; its backup stays")?;
        if self.application.is_contacts() {
            cards::check(self.kind, &content)?;
        }
        Ok(content)
    }
}

impl Book for Contents<'_> {
    /// What is not due, cannot be read or was taken out of the box is as it was: a backup never deletes.
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        let mut entry = |path: &str, version: Option<&String>| {
            let version = version.map(|version| version.as_bytes().to_vec());
            entries.extend(version.map(|version| Entry { id: Shortcut::entry_id(path), version }));
        };
        for (path, shortcut) in &self.folder.shortcuts {
            let known = shortcut.upload.version.as_ref();
            if !self.due.contains(path) {
                entry(path, known);
                continue;
            }
            match self.look(path) {
                Ok(content) => {
                    let digest = digest(&content);
                    entry(path, Some(&digest));
                    self.taken.insert(path.clone(), Taken { digest, content: Vec::new() });
                }
                Err(reason) => {
                    self.skipped.insert(path.clone(), reason);
                    entry(path, known);
                }
            }
        }
        for (path, Upload { version, .. }) in &self.folder.left {
            entry(path, version.as_ref());
        }
        Ok(entries)
    }

    /// A box is small: it is asked as a whole.
    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        let all: BTreeMap<_, _> = self.entries()?.into_iter().map(|entry| (entry.id, entry.version)).collect();
        Ok(ids.iter().map(|id| all.get(*id).cloned()).collect())
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = self.paths.get(id).copied().filter(|path| self.due.contains(*path)) else { return Ok(None) };
        let data = self.look(path).inspect_err(|reason| {
            self.skipped.insert(path.to_owned(), reason.clone());
        })?;
        let Some(shortcut) = self.folder.shortcuts.get(path) else { return Ok(None) };
        if let Some(taken) = self.taken.get_mut(path) {
            taken.content.clone_from(&data);
        }
        Ok(Some(match self.application.is_contacts() {
            true => data,
            false => FileObject { path: path.to_owned(), media_type: shortcut.media_type.clone(), data }.encode(),
        }))
    }

    /// Nothing comes down by an upload.
    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        Ok(ops.iter().map(|_| Applied::Changed).collect())
    }
}
