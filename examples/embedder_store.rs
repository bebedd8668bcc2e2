//! A store of an embedder's own, in full: one file of JSON lines, which passes the store kit (`tests/embedder.rs`).
//!
//! A [`Tx`] has some seventy methods, because each of them is one query to a database. Who has no database, but a place for keys
//! and values, needs one: [`Journal::keep`], which makes a step's changes durable together. [`MemoryStore`] does the rest, and
//! has all rows in memory; here they are a line of the file each time, with a checksum, so that half a line is no line.
//!
//!     cargo run --example embedder_store

#![allow(clippy::disallowed_types)] // a store's own I/O

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use syncml::auth::{Secret, Verifier};
use syncml::contact::identity::{Kind, identify};
use syncml::message::Timestamp;
use syncml::store::memory::{Change, Journal, MemoryStore};
use syncml::store::{AccountNo, BookNo, BookWriter, Directory, Draft, Keys, Result, Store, StoreError, Tx, Verdict};

/// A store in one file. One process at a time may have it open.
#[derive(Debug)]
pub struct FileStore(MemoryStore);

/// The open file, and whether its end can be trusted: after a write that failed it cannot.
#[derive(Debug)]
struct Log(Mutex<(File, bool)>);

impl FileStore {
    /// Opens the file, or makes it. `seed` is 32 random octets, used for a new file only.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] and [`StoreError::Failed`] from the file system, [`StoreError::Corrupt`] for a damaged file.
    pub fn open(path: &Path, seed: [u8; 32]) -> Result<Self> {
        let rows = read(path)?;
        // Written anew, so that what was overwritten since takes no room: whole under another name, and then renamed.
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh).map_err(failed)?;
        let all: Vec<_> = rows.clone().into_iter().map(|(key, value)| Change { key, value: Some(value) }).collect();
        file.write_all(&line(&all)?).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or_else(|| Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok(Self(MemoryStore::kept(seed, rows, Arc::new(Log(Mutex::new((file, true)))))?))
    }
}

impl Journal for Log {
    fn keep(&self, changes: &[Change]) -> Result<()> {
        let line = line(changes)?;
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, sound) = &mut *guard;
        if !*sound {
            return Err(StoreError::Failed("an earlier step could not be written: open the file again".to_owned()));
        }
        let end = file.metadata().map_err(failed)?.len();
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(|error| {
            // Half a line may be there; the next one must not follow it.
            *sound = file.set_len(end).and_then(|()| file.sync_data()).is_ok();
            failed(error)
        })
    }
}

/// A step as a line: checksum, space, its changes as JSON.
fn line(changes: &[Change]) -> Result<Vec<u8>> {
    let json = serde_json::to_string(changes).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(format!("{} {json}\n", sum(&json)).into_bytes())
}

/// Any good checksum will do; this is the fingerprint that the crate has for files.
fn sum(json: &str) -> String {
    identify(Kind::File, json.as_bytes()).fingerprint.0.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The rows of the file. A last line that is not whole belongs to a step that nobody was told of.
fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut rows = BTreeMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(rows),
        Err(error) => return Err(failed(error)),
    };
    let mut lines = BufReader::new(file).split(b'\n').peekable();
    while let Some(line) = lines.next() {
        let line = line.map_err(failed)?;
        let whole = std::str::from_utf8(&line).ok().and_then(|line| line.split_once(' '));
        let Some((_, json)) = whole.filter(|(found, json)| *found == sum(json)) else {
            match lines.peek() {
                None => break,
                Some(_) => return Err(StoreError::Corrupt(format!("{} is damaged", path.display()))),
            }
        };
        let changes: Vec<Change> =
            serde_json::from_str(json).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
    }
    Ok(rows)
}

fn failed(error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

/// What a wrapper adds of its own – a quota, a trace, a lock – it adds here.
impl Store for FileStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        self.0.step(account, work)
    }

    fn directory(&self) -> &dyn Directory {
        self.0.directory()
    }

    fn keys(&self) -> Result<Keys> {
        self.0.keys()
    }

    fn rotate_keys(&self, since: Timestamp) -> Result<Keys> {
        self.0.rotate_keys(since)
    }
}

/// Adds a card to a book; every time it runs the book has one more.
#[allow(dead_code)] // the store kit's test has no use for it
fn main() -> Result<()> {
    let store = FileStore::open(&std::env::temp_dir().join("syncml-example.log"), [7; 32])?;
    let account = store.directory().put_login("ann", &Verifier::md5("ann", &Secret::new("secret".to_owned())))?;
    store.step(account, &mut |tx| {
        let mut writer = BookWriter::new(tx.lock_books(&[BookNo::CONTACTS])?.remove(0), None, Timestamp(0));
        let card: &[u8] = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Ann\r\nEND:VCARD\r\n";
        writer.add(Draft { content: card.into(), ..Draft::default() });
        writer.flush(tx)?;
        println!("{} cards", writer.row().live_items);
        Ok(Verdict::Commit)
    })
}
