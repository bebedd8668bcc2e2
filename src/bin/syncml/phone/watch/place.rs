//! One watched book: its folder, its state, and what is known of both.

use super::{Args, Teller, aside, may_heal};
use crate::database;
use crate::failure::{Exit, Failure, Result};
use crate::folder::{Folder, STATE};
use crate::job::{Job, Outcome, Own};
use crate::link::Link;
use crate::phone::{Phone, PhoneArgs, contacts};
use crate::progress::{Progress, short};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use syncml::message::AlertCode;
use syncml::service::book::DeviceIdentity;
use syncml::service::watch::{Journal, Known, Leaf, Pace, Stamp, Tree, Written};
use syncml::session::Profiles;
use syncml::store::Store;
use syncml::store::replica::{Applied, Book, BookOp, Entry, Versioned};

/// What is remembered, beside the state.
const JOURNAL: &str = ".syncml.watch";
/// Names that are kept to be looked at; when there are more, all are.
const MOST_NAMES: usize = 10_000;
/// Bytes of the file that says which card it is.
const MOST_CARD: u64 = 4096;
/// The digest of what cannot be read. No content has it.
const UNREADABLE: [u8; 32] = [0; 32];

/// What became of a turn.
pub(super) enum Turn {
    /// All that can be done is done.
    Done,
    /// It is to be tried again.
    Again(Failure),
    /// Nothing more can be done here.
    End(Exit),
}

/// What is to be looked at.
enum Look {
    Names(BTreeSet<String>),
    All,
    /// Every file is read.
    Thoroughly,
}

/// What of the folder is compared with its state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of it, as the digests have it: what the journal says of the state is yet to be shown.
    Whole,
    /// What changed since the journal.
    Changes,
}

/// Which card is there.
#[derive(Clone, PartialEq, Eq)]
enum Card {
    /// The storage is the device's own.
    None,
    Is(DeviceIdentity),
    /// Its place is empty.
    Missing,
}

pub(super) struct Place<'a> {
    book: &'a Phone<'a>,
    phone: &'a PhoneArgs,
    card: Option<PathBuf>,
    link: Link,
    profiles: Profiles,
    folder: Folder,
    state: Option<(Arc<dyn Store>, Own)>,
    journal: Journal,
    seen: Tree,
    look: Look,
    scope: Scope,
    /// Whether it was said that there is no card.
    empty: bool,
    pub(super) pace: Pace,
}

impl<'a> Place<'a> {
    /// Opens the folder, which is locked until the end.
    pub(super) fn open(
        book: &'a Phone<'a>,
        card: Option<PathBuf>,
        args: &'a Args,
        link: Link,
        profiles: Profiles,
    ) -> Result<Self> {
        let folder = Folder::open(book.dir, contacts()?)?;
        // One that is not there, or cannot be read, is one that says nothing.
        let journal = Journal::read(&fs::read(book.dir.join(JOURNAL)).unwrap_or_default());
        Ok(Self {
            book,
            phone: &args.phone,
            card,
            link,
            profiles,
            folder,
            state: None,
            seen: journal.tree.clone(),
            journal,
            look: if args.read_all { Look::Thoroughly } else { Look::All },
            scope: Scope::Whole,
            empty: false,
            pace: Pace::Settling { first: Duration::ZERO, last: Duration::ZERO },
        })
    }

    pub(super) fn storage(&self) -> String {
        self.book.storage.to_string()
    }

    /// A name is to be looked at, or all.
    pub(super) fn noticed(&mut self, name: Option<&OsStr>, now: Duration) {
        match (name, &mut self.look) {
            // Not a card: the state, for example, whose writing must not wake us again.
            (Some(name), _) if !self.folder.is_ours(name) => return,
            (_, Look::All | Look::Thoroughly) => {}
            (Some(name), Look::Names(names)) if names.len() < MOST_NAMES => {
                names.extend(name.to_str().map(str::to_owned));
            }
            _ => self.look = Look::All,
        }
        self.pace = self.pace.noticed(now);
    }

    /// Looks, and backs up what changed.
    pub(super) fn turn(&mut self, teller: &Teller) -> Result<Turn> {
        match self.try_turn(teller) {
            Ok(turn) => Ok(turn),
            Err(failure) if may_heal(failure.exit()) => {
                // Where a folder vanished, it is not as it was last seen.
                self.look = Look::All;
                Ok(Turn::Again(failure))
            }
            Err(failure) => {
                let (storage, exit) = (self.storage(), failure.exit());
                let event = if exit == Exit::Interrupted { "ended" } else { "refused" };
                teller.tell(
                    &json!({ "event": event, "storage": storage, "exit": exit as u8, "error": failure.to_string() }),
                    &format!("{storage}: {failure}"),
                );
                match exit {
                    // What is refused here is put right in the folder, which is noticed.
                    Exit::MassDelete | Exit::Overflow => Ok(Turn::Done),
                    exit => Ok(Turn::End(exit)),
                }
            }
        }
    }

    fn try_turn(&mut self, teller: &Teller) -> Result<Turn> {
        let Some(known) = self.identify(teller)? else { return Ok(Turn::Done) };
        let before = self.folder.reads();
        let looked = self.look()?;
        let changes = self.seen.since(&self.journal.tree);
        let names: Vec<&str> = changes.names().collect();
        let owed = matches!(self.pace, Pace::Waiting { .. }) || self.scope == Scope::Whole;
        if names.is_empty() && !owed {
            let (storage, read) = (self.storage(), self.folder.reads() - before);
            teller.tell(
                &json!({ "event": "unchanged", "storage": storage, "looked": looked, "read": read }),
                &format!("{storage}: nothing changed"),
            );
            return Ok(Turn::Done);
        }
        let changed = (self.scope == Scope::Changes).then_some(names.as_slice());
        let outcome = self.back_up(&known, changed)?;
        let read = self.folder.reads() - before;
        self.scope = Scope::Changes;
        let tree = self.seen.clone();
        self.remember(&tree, &known);
        let (storage, id) = (self.storage(), known.book());
        let sent = outcome.report.books.first().map(|book| short(&book.sent)).unwrap_or_default();
        if let Some(failure) = outcome.failure {
            return match failure.exit() {
                exit if may_heal(exit) => Ok(Turn::Again(failure)),
                _ => Err(failure),
            };
        }
        if !outcome.complete() {
            let reason = outcome.report.problems.first().cloned();
            let reason = reason.unwrap_or_else(|| "the backup is not complete".to_owned());
            return Ok(Turn::Again(Failure::new(Exit::Problems, reason)));
        }
        let mut told = outcome.to_json();
        told["event"] = "backup".into();
        told["storage"] = storage.clone().into();
        told["book"] = id.to_string().into();
        told["looked"] = looked.into();
        told["read"] = read.into();
        teller.tell(&told, &format!("{storage}: {sent}, book {id}"));
        if !self.phone.json {
            outcome.problems().iter().for_each(|problem| eprintln!("{storage}: {problem}"));
        }
        Ok(Turn::Done)
    }

    /// What the book is known by now; `None` while its card is missing. If that is not what it was, it is told, and the state
    /// becomes that of the book that is there.
    fn identify(&mut self, teller: &Teller) -> Result<Option<Known>> {
        let storage = self.storage();
        let card = match self.card.as_deref().map(card).transpose()?.unwrap_or(Card::None) {
            Card::None => None,
            Card::Is(card) => Some(card),
            Card::Missing => {
                if !self.empty {
                    teller.tell(
                        &json!({ "event": "identity", "storage": storage, "changes": [{ "what": "card", "is": null,
                            "was": self.journal.known.as_ref().and_then(|was| was.card.as_ref()).map(ToString::to_string) }] }),
                        &format!("{storage}: no card is in its place"),
                    );
                }
                self.empty = true;
                return Ok(None);
            }
        };
        self.empty = false;
        let known = Known { storage: self.book.storage.clone(), device: self.phone.device.clone(), card };
        let Some(was) = self.journal.known.clone().filter(|was| *was != known) else { return Ok(Some(known)) };
        let changes = known.since(&was);
        teller.tell(
            &json!({ "event": "identity", "storage": storage, "changes": changes, "book": known.book().to_string() }),
            &format!("{storage}: it is known by something else: {known}"),
        );
        if was.book() != known.book() {
            self.state = None;
            aside::change(&self.folder.state(), &was.book(), &known.book())?;
            self.scope = Scope::Whole;
            self.look = Look::All;
        }
        let tree = self.journal.tree.clone();
        self.remember(&tree, &known);
        Ok(Some(known))
    }

    /// Looks at what is to be looked at; gives how many files that were.
    fn look(&mut self) -> Result<usize> {
        let (names, spare) = match std::mem::replace(&mut self.look, Look::Names(BTreeSet::new())) {
            // What was noticed is read, whatever its times say.
            Look::Names(names) => (names.into_iter().collect(), false),
            Look::All => (self.all_names()?, true),
            Look::Thoroughly => (self.all_names()?, false),
        };
        let now = nanoseconds(SystemTime::now());
        let mut news = 0;
        for name in &names {
            let path = self.book.dir.join(name);
            let Some(stamp) = fs::metadata(&path)
                .ok()
                .filter(fs::Metadata::is_file)
                .map(|it| Stamp { size: it.len(), modified: it.modified().map_or(i64::MAX, nanoseconds) })
            else {
                self.seen.remove(name);
                continue;
            };
            if spare && !self.seen.doubts(name, stamp) {
                continue;
            }
            let leaf = match self.folder.version(name) {
                Ok(None) => {
                    self.seen.remove(name);
                    continue;
                }
                Ok(Some(digest)) => {
                    // It was told before the file was read: what is written meanwhile has another.
                    let digest = digest.try_into().unwrap_or(UNREADABLE);
                    Leaf { digest, stamp: stamp.trusted(now) }
                }
                Err(_) => Leaf { digest: UNREADABLE, stamp: None },
            };
            news += usize::from(spare && leaf.stamp.is_some());
            self.seen.set(name, leaf);
        }
        if news > 0 && self.scope == Scope::Whole {
            // So that they need not be read at the next start.
            self.journal.renew();
        }
        Ok(names.len())
    }

    /// All names in the folder, and those that were.
    fn all_names(&mut self) -> Result<Vec<String>> {
        let names = self.folder.names().map_err(|reason| Failure::new(Exit::File, reason))?;
        let mut gone = Vec::new();
        self.seen.each(|name, _| {
            if names.binary_search_by(|known| known.as_str().cmp(name)).is_err() {
                gone.push(name.to_owned());
            }
        });
        Ok(names.into_iter().chain(gone).collect())
    }

    /// Brings the folder's state and the server in step with what was seen.
    fn back_up(&mut self, known: &Known, changed: Option<&[&str]>) -> Result<Outcome> {
        let (storage, address) = (self.storage(), known.book().address());
        let device_id = self.phone.device.device_id();
        if self.state.is_none() {
            let store = database::open(&self.folder.state())?;
            let own = Own::of(store.as_ref(), Some(&device_id))?;
            own.holds_only(store.as_ref(), contacts()?)?;
            self.state = Some((store, own));
        }
        let Some((store, own)) = &self.state else { return Err(Failure::new(Exit::Database, STATE)) };
        let job = Job {
            dir: self.book.dir,
            link: self.link.clone(),
            book: contacts()?,
            local: &storage,
            remote: &address,
            device_id: Some(&device_id),
            mode: AlertCode::ONE_WAY_FROM_CLIENT,
            filter: None,
            allow_mass_delete: false,
            profiles: self.profiles.clone(),
            layout: &self.book.layout,
            called: None,
        };
        let mut progress = Progress::new(self.phone.json, self.phone.link.trace()?);
        let mut seen = Seen { folder: &mut self.folder, tree: &self.seen };
        let outcome = job.run_in(store, own, &mut seen, changed, &mut progress);
        progress.end();
        let mut outcome = outcome?;
        outcome.skip(self.folder.unusable());
        Ok(outcome)
    }

    /// Writes down what was brought into the state.
    fn remember(&mut self, tree: &Tree, known: &Known) {
        let path = self.book.dir.join(JOURNAL);
        let written = match self.journal.remember(tree, known) {
            None => return,
            Some(Written::All(text)) => write_all(&path, text.as_bytes()),
            Some(Written::After(good, text)) => write_after(&path, good as u64, text.as_bytes()),
        };
        if let Err(error) = written {
            // What is not written down is read again at the next start; and all is written the next time.
            self.journal.renew();
            eprintln!("syncml: {}", Failure::file(&path, "written", &error));
        }
    }
}

fn write_all(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_file_name(".syncml.tmp-watch");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn write_after(path: &Path, good: u64, text: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.set_len(good)?;
    file.seek(SeekFrom::Start(good))?;
    file.write_all(text)
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |before| -before),
    }
}

/// Which card a file tells of.
fn card(path: &Path) -> Result<Card> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(MOST_CARD).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Card::Missing),
        Err(error) => return Err(Failure::file(path, "read", &error)),
    }
    match text.lines().next().map(str::trim).unwrap_or_default() {
        "" => Ok(Card::Missing),
        // It may be half written. Until it is right nothing is backed up under a wrong name.
        line => {
            line.parse().map(Card::Is).map_err(|error| Failure::new(Exit::File, format!("{}: {error}", path.display())))
        }
    }
}

/// A folder of which it is known what is in it.
struct Seen<'a> {
    folder: &'a mut Folder,
    tree: &'a Tree,
}

impl Book for Seen<'_> {
    fn entries(&mut self) -> std::result::Result<Vec<Entry>, String> {
        // A folder that is gone has not lost its cards.
        self.folder.versions(&[])?;
        let mut entries = Vec::with_capacity(self.tree.len());
        self.tree.each(|name, leaf| {
            let version = if leaf.digest == UNREADABLE { Vec::new() } else { leaf.digest.to_vec() };
            entries.push(Entry { id: name.to_owned(), version });
        });
        entries.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(entries)
    }

    fn versions(&mut self, ids: &[&str]) -> std::result::Result<Vec<Option<Vec<u8>>>, String> {
        self.folder.versions(ids)
    }

    fn read(&mut self, id: &str) -> std::result::Result<Option<Vec<u8>>, String> {
        self.folder.read(id)
    }

    fn read_unknown(
        &mut self,
        id: &str,
        known: &dyn Fn(&[u8]) -> bool,
    ) -> std::result::Result<Option<Versioned>, String> {
        self.folder.read_unknown(id, known)
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> std::result::Result<Vec<Applied>, String> {
        self.folder.apply(ops)
    }
}
