//! A document in a file, as an end.

use super::layout;
use crate::failure::{Exit, Failure, Result};
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;
use syncml::service::interchange::ends::{Centre, Document, EndOptions, Turned, turn};
use syncml::service::interchange::{Choice, ReadOptions, Target};
use syncml::store::replica::ReplicaError;
use syncml::transport::http::now;

/// By what it is told whether a file was written. `None`: there is none.
type Stamp = Option<(u64, SystemTime)>;

pub(super) struct Sheet {
    path: PathBuf,
    /// As it was said.
    name: String,
    document: Document<'static>,
    options: EndOptions,
    /// When it was last read or written here.
    seen: Rc<Cell<Stamp>>,
    /// Whether there is something to read.
    is_new: bool,
    /// The file that was refused: it is not looked at again before it is another.
    refused: Option<Stamp>,
    /// What was noticed last.
    noticed: Stamp,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    Same,
    Changed,
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.len(), found.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Sheet {
    pub(super) fn open(path: &Path, targets: &[String], choice: Choice, allow_mass_delete: bool) -> Result<Self> {
        let name = path.display().to_string();
        let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
        let said = targets.iter().rev().find_map(|said| said.rsplit_once('=').filter(|(file, _)| *file == name));
        let by_ending = Target::named(&ending);
        let target = match said {
            Some((_, target)) => {
                let target = Target::named(target).map_or_else(|| layout(target).map(Target::Table), Ok)?;
                match (target, by_ending) {
                    // A layout only says which columns an office document has.
                    (Target::Table(own), Some(office @ (Target::Xlsx(_) | Target::Ods(_) | Target::Docx(_)))) => {
                        office.in_layout(|_| own)
                    }
                    (target, _) => target,
                }
            }
            None => by_ending.ok_or_else(|| {
                Failure::usage(format!("{name}: its ending says nothing that can be linked; say --as {name}=TARGET"))
            })?,
        };
        let real = std::path::absolute(path).map_err(|error| Failure::file(path, "read", &error))?;
        let seen = Rc::new(Cell::new(None));
        let (to, last) = (path.to_owned(), Rc::clone(&seen));
        let document = Document::new(target, ReadOptions::default(), move |bytes| write(&to, &last, bytes));
        let document = document.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let options = EndOptions::new(end_name(&real)).choice(choice).allow_mass_delete(allow_mass_delete);
        let path = path.to_owned();
        Ok(Self { path, name, document, options, seen, is_new: true, refused: None, noticed: None })
    }

    /// Whether `--as` is about this one.
    pub(super) fn is_meant(&self, said: &str) -> bool {
        said.rsplit_once('=').is_some_and(|(file, _)| file == self.name)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is of no use until somebody writes it.
    pub(super) const fn refuses(&self) -> bool {
        self.refused.is_some()
    }

    /// Looks whether somebody wrote it.
    pub(super) fn look(&mut self) -> Looked {
        let found = stamp(&self.path).unwrap_or(self.noticed);
        if std::mem::replace(&mut self.noticed, found) == found || self.seen.get() == found {
            return Looked::Same;
        }
        self.refused = None;
        Looked::Changed
    }

    /// A turn with the book.
    pub(super) fn turn(&mut self, centre: Centre<'_>) -> Result<Turned> {
        let found = stamp(&self.path).map_err(|error| Failure::file(&self.path, "read", &error))?;
        if self.is_new || found != self.seen.get() {
            self.is_new = true;
            self.read(found)?;
            self.is_new = false;
        }
        turn(centre, &mut self.document, &self.options, now()).map_err(|error| {
            if matches!(error, ReplicaError::MassDelete { .. }) {
                self.refused = Some(found);
                let text = format!("{error}. If they shall be deleted in the book too, say --allow-mass-delete");
                return Failure::new(Exit::MassDelete, text);
            }
            // What was half done is looked at anew.
            self.is_new = true;
            error.into()
        })
    }

    fn read(&mut self, found: Stamp) -> Result<()> {
        self.seen.set(found);
        let Some((size, _)) = found else {
            self.document.lose();
            return Ok(());
        };
        if size > ReadOptions::default().limits.whole as u64 {
            self.refused = Some(found);
            return Err(Failure::new(Exit::File, format!("it has {size} bytes, which is too many for a document")));
        }
        let bytes = fs::read(&self.path).map_err(|error| Failure::file(&self.path, "read", &error))?;
        self.document.take(&bytes).map_err(|error| {
            self.refused = Some(found);
            Failure::new(Exit::File, format!("{error}; nothing is done until that is mended"))
        })
    }
}

/// What it is called in the history: its name, and by which it is told from others of that name.
fn end_name(path: &Path) -> String {
    let stem = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c) { c } else { '-' };
    let stem: String = stem.chars().map(plain).take(40).collect();
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let tail: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{stem}-{tail}")
}

/// Puts a file in the place of what was seen there, whole or not at all.
fn write(path: &Path, seen: &Cell<Stamp>, bytes: &[u8]) -> std::result::Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.syncml-tmp"));
    let done = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        if let Ok(there) = fs::metadata(path) {
            file.set_permissions(there.permissions())?;
        }
        file.sync_all()?;
        if stamp(path)? != seen.get() {
            return Ok(false);
        }
        fs::rename(&beside, path)?;
        seen.set(stamp(path)?);
        Ok(true)
    })();
    match done {
        Ok(true) => Ok(()),
        other => {
            drop(fs::remove_file(&beside));
            other.map_err(failed)?;
            Err(format!("{} was written by somebody else meanwhile", path.display()))
        }
    }
}
