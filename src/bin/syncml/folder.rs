//! A folder of files as an own book: one file per item, its name the entry's id.

use crate::books::BookKind;
use crate::cards;
use crate::failure::{Exit, Failure, Result};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use syncml::service::book::{pack, unpack};
use syncml::store::replica::{Applied, Book, BookOp, Entry, Versioned};
use unicode_normalization::UnicodeNormalization;

/// The hidden database beside the cards.
pub(crate) const STATE: &str = ".syncml.db";
const LOCK: &str = ".syncml.lock";
/// How hidden files that wait for their place begin.
const TEMPORARY: &str = ".syncml.tmp";

/// Files open at once.
const OPEN_FILES: usize = 128;
/// Threads that wait for the disk.
const THREADS: usize = 16;

/// The largest card, in bytes; of a packed one, what is in it.
pub(crate) const MAX_CARD: usize = 4_000_000;

/// The ending behind the ending of packed files.
const PACKED: &str = "gz";

/// The longest file name made here, in bytes, without its ending; file systems stop at 255.
const MAX_NAME: usize = 120;

/// What an operation has come to before the files are durable.
enum Prepared {
    Answered(Applied),
    Written(Written),
}

/// A file that waits under a hidden name for its place.
struct Written {
    file: File,
    temporary: PathBuf,
    name: String,
    /// What must be in its place; `None` is nothing.
    expected: Option<Vec<u8>>,
    version: Vec<u8>,
}

/// Has the files on the disk before anything points to them. Several threads wait at once, because a file system then
/// writes its journal once for all: 0.2 ms a file instead of 4.
fn make_durable(prepared: &[Prepared]) -> io::Result<()> {
    let files: Vec<_> = prepared
        .iter()
        .filter_map(|prepared| match prepared {
            Prepared::Written(written) => Some(&written.file),
            Prepared::Answered(_) => None,
        })
        .collect();
    let share = files.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        let waiting: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(|| files.iter().try_for_each(|file| file.sync_all())))
            .collect();
        waiting.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that waited for the disk failed")))
        })
    })
}

/// A folder, locked against a second sync.
pub(crate) struct Folder {
    path: PathBuf,
    book: &'static BookKind,
    /// Names in use, in lower case, because some file systems do not tell cases apart.
    taken: HashSet<String>,
    /// Files whose names cannot be kept.
    unusable: Vec<(String, String)>,
    /// Whether new files are packed.
    packs: bool,
    /// Files that were read.
    reads: Cell<u64>,
    _lock: File,
}

impl Folder {
    /// Opens an existing folder.
    pub(crate) fn open(path: &Path, book: &'static BookKind) -> Result<Self> {
        if !path.is_dir() {
            return Err(Failure::new(Exit::File, format!("there is no folder {}; make it first", path.display())));
        }
        let lock_path = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|error| Failure::file(&lock_path, "written", &error))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let text = format!("another sync of {} is running", path.display());
                return Err(Failure::new(Exit::Problems, text));
            }
            // A file system without locks; the user knows what they run.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        remove_left_over(path);
        Ok(Self {
            path: path.to_owned(),
            book,
            taken: HashSet::new(),
            unusable: Vec::new(),
            packs: false,
            reads: Cell::new(0),
            _lock: lock,
        })
    }

    /// The same folder, whose new files are packed with gzip; those that are there stay as they are.
    pub(crate) fn packing(mut self, packs: bool) -> Self {
        self.packs = packs;
        self
    }

    /// The hidden database's path.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// Files that take no part, each with the reason.
    pub(crate) fn unusable(&self) -> &[(String, String)] {
        &self.unusable
    }

    fn takes_part(&self, name: &OsStr) -> bool {
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let stem = Path::new(name).file_stem().filter(|_| is_packed(self.book, name));
        let ending = Path::new(stem.unwrap_or(name)).extension();
        !hidden
            && self.book.ending.is_none_or(|wanted| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(wanted)))
    }

    /// A free name for an item.
    fn name_for(&self, content: &[u8]) -> String {
        let label = self.book.label(content);
        let stem = safe_name(label.as_deref().unwrap_or(self.book.noun), self.book.noun);
        let (stem, ending) = match self.book.ending {
            Some(ending) if self.packs => (stem.as_str(), format!(".{ending}.{PACKED}")),
            Some(ending) => (stem.as_str(), format!(".{ending}")),
            None => match stem.rsplit_once('.') {
                Some((start, ending)) if !start.is_empty() => (start, format!(".{ending}")),
                _ => (stem.as_str(), String::new()),
            },
        };
        let free = |name: &String| !self.taken.contains(&name.to_lowercase()) && !self.path.join(name).exists();
        let mut number = 1_u64;
        let mut name = format!("{stem}{ending}");
        while !free(&name) {
            number += 1;
            name = format!("{stem} ({number}){ending}");
        }
        name
    }

    /// The names of the files that take part, ascending.
    pub(crate) fn names(&mut self) -> std::result::Result<Vec<String>, String> {
        self.taken.clear();
        self.unusable.clear();
        let mut names = Vec::new();
        for file in fs::read_dir(&self.path).map_err(|error| self.words(&error))? {
            let file = file.map_err(|error| self.words(&error))?;
            let name = file.file_name();
            if !self.takes_part(&name) {
                continue;
            }
            let Some(id) = name.to_str().filter(|name| !name.chars().any(char::is_control)) else {
                let reason = "the file name is not plain UTF-8; rename the file".to_owned();
                self.unusable.push((name.to_string_lossy().into_owned(), reason));
                continue;
            };
            // The folder itself tells of most what they are; what a link leads to has to be looked up.
            let is_file = file.file_type().is_ok_and(|kind| kind.is_file()) || self.path.join(id).is_file();
            if !is_file {
                continue;
            }
            self.taken.insert(id.to_lowercase());
            names.push(id.to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether a name is one that an item may have.
    pub(crate) fn is_ours(&self, name: &OsStr) -> bool {
        self.takes_part(name) && name.to_str().is_some_and(|name| !name.chars().any(char::is_control))
    }

    /// How many files were read so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.get()
    }

    fn bytes(&self, id: &str) -> io::Result<Vec<u8>> {
        self.reads.set(self.reads.get() + 1);
        fs::read(self.path.join(id))
    }

    /// The digest of a file; `None` when there is none.
    pub(crate) fn version(&self, id: &str) -> io::Result<Option<Vec<u8>>> {
        match self.bytes(id) {
            Ok(content) => Ok(Some(digest(&content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does deletes at once, and writes what others bring into hidden files beside their places.
    fn prepare(&mut self, number: usize, op: &BookOp<'_>) -> io::Result<Prepared> {
        match *op {
            BookOp::Add { content, .. } => {
                let name = self.name_for(content);
                self.taken.insert(name.to_lowercase());
                self.write_beside(number, name, None, content)
            }
            BookOp::Replace { id, expected, content } => {
                if self.version(id)?.as_deref() != Some(expected) {
                    return Ok(Prepared::Answered(Applied::Changed));
                }
                self.write_beside(number, id.to_owned(), Some(expected.to_vec()), content)
            }
            BookOp::Delete { id, expected } => {
                match self.version(id)? {
                    Some(version) if version != expected => return Ok(Prepared::Answered(Applied::Changed)),
                    Some(_) => fs::remove_file(self.path.join(id))?,
                    None => {}
                }
                self.taken.remove(&id.to_lowercase());
                let was = Entry { id: id.to_owned(), version: expected.to_vec() };
                Ok(Prepared::Answered(Applied::Done(was)))
            }
        }
    }

    fn write_beside(
        &self,
        number: usize,
        name: String,
        expected: Option<Vec<u8>>,
        content: &[u8],
    ) -> io::Result<Prepared> {
        let temporary = self.path.join(format!("{TEMPORARY}{number}"));
        let mut file = File::create(&temporary)?;
        let packed = is_packed(self.book, OsStr::new(&name)).then(|| pack(content));
        let content = packed.as_deref().unwrap_or(content);
        file.write_all(content)?;
        Ok(Prepared::Written(Written { file, temporary, name, expected, version: digest(content) }))
    }

    /// Puts a prepared file in its place, unless the user was faster.
    fn finish(&self, prepared: Prepared) -> io::Result<Applied> {
        let Written { temporary, name, expected, version, .. } = match prepared {
            Prepared::Answered(answer) => return Ok(answer),
            Prepared::Written(written) => written,
        };
        if self.version(&name)? != expected {
            fs::remove_file(temporary)?;
            return Ok(Applied::Changed);
        }
        fs::rename(temporary, self.path.join(&name))?;
        Ok(Applied::Done(Entry { id: name, version }))
    }

    fn apply_some(&mut self, ops: &[BookOp<'_>]) -> io::Result<Vec<Applied>> {
        let prepared = ops.iter().enumerate().map(|(number, op)| self.prepare(number, op));
        let prepared = prepared.collect::<io::Result<Vec<_>>>()?;
        make_durable(&prepared)?;
        let answers = prepared.into_iter().map(|prepared| self.finish(prepared)).collect::<io::Result<_>>()?;
        self.keep_names()?;
        Ok(answers)
    }

    /// Has the names on the disk, too: a file that came back after it was deleted would be a new one, and one whose name was lost
    /// would be deleted everywhere.
    fn keep_names(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }

    fn words(&self, error: &io::Error) -> String {
        format!("the folder {} cannot be used: {error}", self.path.display())
    }
}

impl Book for Folder {
    fn entries(&mut self) -> std::result::Result<Vec<Entry>, String> {
        // Their versions are digests of what is in them, which `read_unknown` finds out.
        let entry = |id| Entry { id, version: Vec::new() };
        Ok(self.names()?.into_iter().map(entry).collect())
    }

    fn versions(&mut self, ids: &[&str]) -> std::result::Result<Vec<Option<Vec<u8>>>, String> {
        // Of a folder that is gone nothing is known, least of all that its files were removed.
        fs::read_dir(&self.path).map_err(|error| self.words(&error))?;
        let version = |id: &&str| match self.version(id) {
            Ok(version) => version.filter(|_| self.takes_part(OsStr::new(id))),
            Err(_) if self.path.join(id).is_dir() => None,
            Err(_) => Some(Vec::new()),
        };
        Ok(ids.iter().map(version).collect())
    }

    fn read(&mut self, id: &str) -> std::result::Result<Option<Vec<u8>>, String> {
        Ok(self.read_unknown(id, &|_| false)?.map(|found| found.content))
    }

    fn read_unknown(
        &mut self,
        id: &str,
        known: &dyn Fn(&[u8]) -> bool,
    ) -> std::result::Result<Option<Versioned>, String> {
        let bytes = match self.bytes(id) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let version = digest(&bytes);
        if known(&version) {
            return Ok(None);
        }
        let content = match is_packed(self.book, OsStr::new(id)) {
            true => unpack(&bytes, MAX_CARD).map_err(|error| error.to_string())?,
            false => bytes,
        };
        cards::check(self.book, &content)?;
        Ok(Some(Versioned { version, content }))
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> std::result::Result<Vec<Applied>, String> {
        let mut done = Vec::with_capacity(ops.len());
        for ops in ops.chunks(OPEN_FILES) {
            done.extend(self.apply_some(ops).map_err(|error| self.words(&error))?);
        }
        Ok(done)
    }
}

/// Whether a file of this name is packed. Books that take any file take a packed one as it is.
pub(crate) fn is_packed(book: &BookKind, name: &OsStr) -> bool {
    book.ending.is_some() && Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case(PACKED))
}

/// Removes what an interrupted sync left; what cannot be removed is overwritten later.
fn remove_left_over(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn digest(content: &[u8]) -> Vec<u8> {
    Sha256::digest(content).to_vec()
}

/// A file name, without ending, that every usual file system takes.
pub(crate) fn safe_name(label: &str, otherwise: &str) -> String {
    let mut name = String::new();
    for c in label.nfc().map(|c| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { ' ' } else { c }) {
        if name.len() + c.len_utf8() > MAX_NAME {
            break;
        }
        if !(c.is_whitespace() && name.ends_with(' ')) {
            name.push(if c.is_whitespace() { ' ' } else { c });
        }
    }
    let name = name.trim_matches(|c| c == '.' || c == ' ');
    let reserved = ["con", "prn", "aux", "nul", "com", "lpt"];
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    if name.is_empty() {
        otherwise.to_owned()
    } else if reserved.contains(&stem.trim_end_matches(|c: char| c.is_ascii_digit())) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books;
    use syncml::auth::Verifier;
    use syncml::message::Timestamp;
    use syncml::store::memory::MemoryStore;
    use syncml::store::replica::{ReplicaOptions, collect};
    use syncml::store::{BookNo, Store};

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), books::named("contacts").unwrap()).unwrap();
        (dir, folder)
    }

    /// The entries, with the versions that their files have.
    fn versioned(folder: &mut Folder) -> Vec<Entry> {
        let mut entries = folder.entries().unwrap();
        for entry in &mut entries {
            entry.version = folder.version(&entry.id).unwrap().unwrap();
        }
        entries
    }

    #[test]
    fn a_file_is_read_once_to_be_collected() {
        let (dir, mut folder) = folder();
        let store = MemoryStore::new([1; 32]);
        let account = store.directory().put_login("own", &Verifier::Md5([0; 16])).unwrap();
        let file = |name: &str, more: &str| {
            let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nN:;{name};;;\r\n{more}END:VCARD\r\n");
            fs::write(dir.path().join(format!("{name}.vcf")), card).unwrap();
        };
        ["A", "B", "C"].into_iter().for_each(|name| file(name, ""));
        let mut collected = || {
            let before = folder.reads();
            let options = ReplicaOptions::default();
            let done = collect(&store, account, BookNo::CONTACTS, &mut folder, &options, Timestamp(0)).unwrap();
            (folder.reads() - before, done.added, done.changed, done.deleted)
        };
        assert_eq!(collected(), (3, 3, 0, 0));
        assert_eq!(collected(), (3, 0, 0, 0));
        file("B", "TEL:1\r\n");
        fs::rename(dir.path().join("A.vcf"), dir.path().join("Z.vcf")).unwrap();
        assert_eq!(collected(), (3, 0, 1, 0), "what has another name is the same");
    }

    #[test]
    fn names_are_safe_everywhere() {
        for (label, name) in [
            ("Ana María", "Ana María"),
            ("a/b\\c:d", "a b c d"),
            ("../../etc/passwd", "etc passwd"),
            ("...", "contact"),
            ("", "contact"),
            ("Con", "Con_"),
            ("lpt1.x", "lpt1.x_"),
            ("Constance", "Constance"),
            ("tab\there  and\nthere", "tab here and there"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(safe_name(label, "contact"), name, "{label:?}");
        }
        let long = safe_name(&"王".repeat(300), "contact");
        assert!(long.len() <= MAX_NAME && long.chars().all(|c| c == '王'));
    }

    #[test]
    fn does_what_it_is_told_unless_the_user_was_faster() {
        let (dir, mut folder) = folder();
        let card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zo\xc3\xab\r\nN:;Zo\xc3\xab;;;\r\nEND:VCARD\r\n";
        let add = BookOp::Add { key: "1", content: card };
        let done = folder.apply(&[add.clone(), add]).unwrap();
        let entries = versioned(&mut folder);
        assert_eq!(entries.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["Zoë (2).vcf", "Zoë.vcf"]);
        assert_eq!(done, [Applied::Done(entries[1].clone()), Applied::Done(entries[0].clone())]);
        assert_eq!(folder.read("Zoë.vcf").unwrap().as_deref(), Some(card.as_slice()));

        fs::write(dir.path().join("Zoë.vcf"), b"user").unwrap();
        let expected = entries[1].version.as_slice();
        let ops = [
            BookOp::Replace { id: "Zoë.vcf", expected, content: card },
            BookOp::Delete { id: "Zoë.vcf", expected },
            BookOp::Delete { id: "Zoë (2).vcf", expected },
        ];
        let done = folder.apply(&ops).unwrap();
        assert_eq!(done[..2], [Applied::Changed, Applied::Changed]);
        assert!(matches!(done[2], Applied::Done(_)));
        assert_eq!(folder.entries().unwrap().len(), 1);
    }

    #[test]
    fn names_what_cannot_be_read() {
        let (dir, mut folder) = folder();
        for (name, content, reason) in [
            ("empty.vcf", "", "empty"),
            ("text.vcf", "hello", "BEGIN:VCARD"),
            ("cut.vcf", "BEGIN:VCARD\nVERSION:3.0\nFN:A\n", "cut off"),
            ("two.vcf", "BEGIN:VCARD\nFN:A\nEND:VCARD\nBEGIN:VCARD\nFN:B\nEND:VCARD\n", "2 cards"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
            let error = folder.read(name).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        fs::write(dir.path().join("notes.txt"), "no card").unwrap();
        assert_eq!(folder.entries().unwrap().len(), 4);
        assert_eq!(folder.read("none.vcf").unwrap(), None);
    }

    #[test]
    fn packed_cards_are_cards() {
        let (dir, folder) = folder();
        let mut folder = folder.packing(true);
        let card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nN:;A;;;\r\nEND:VCARD\r\n";
        folder.apply(&[BookOp::Add { key: "1", content: card }]).unwrap();
        let entries = versioned(&mut folder);
        assert_eq!(entries.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["A.vcf.gz"]);
        assert_eq!(fs::read(dir.path().join("A.vcf.gz")).unwrap(), pack(card));
        assert_eq!(folder.read("A.vcf.gz").unwrap().as_deref(), Some(card.as_slice()));
        let changed = card.map(|byte| if byte == b'A' { b'E' } else { byte });
        let ops = [BookOp::Replace { id: "A.vcf.gz", expected: &entries[0].version, content: &changed }];
        folder.packs = false;
        let done = folder.apply(&ops).unwrap();
        assert!(matches!(&done[..], [Applied::Done(entry)] if entry.id == "A.vcf.gz"), "packed it stays");
        fs::write(dir.path().join("bomb.vcf.gz"), pack(&vec![b' '; MAX_CARD + 1])).unwrap();
        fs::write(dir.path().join("cut.vcf.gz"), &pack(card)[..20]).unwrap();
        fs::write(dir.path().join("other.gz"), pack(card)).unwrap();
        assert!(folder.read("bomb.vcf.gz").unwrap_err().contains("larger than 4000000 bytes"));
        assert!(folder.read("cut.vcf.gz").unwrap_err().contains("no whole gzip"));
        assert_eq!(folder.entries().unwrap().len(), 3, "other.gz is no card");
    }

    #[test]
    fn lets_one_sync_in_at_a_time() {
        let (dir, _folder) = folder();
        let second = Folder::open(dir.path(), books::named("contacts").unwrap()).err();
        assert!(second.is_some_and(|failure| failure.to_string().contains("another sync")));
    }
}
