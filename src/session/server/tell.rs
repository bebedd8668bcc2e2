//! What a message did, told to the log and to the numbers once it is durable.
//!
//! A step may be run again from its start, so it tells nothing itself: it leaves a [`Done`] with the request, and the last
//! one counts. At the default level (`info`) the log has account, device and book numbers, session and message ids, counts,
//! codes and reasons; never what a card, a name, an address of an item or a credential says.

use super::{Asked, Refusal, Reply, Server};
use crate::message::StatusCode;
use crate::session::datastore::by_number;
use crate::session::metrics::{Counter, Histogram, Metrics};
use crate::session::outbox::Queued;
use crate::session::shown::Shown;
use crate::session::state::{Package, State, StoreState};
use crate::session::{ConflictNote, Counts};
use crate::store::{AccountNo, BookNo, DeviceNo, Hold, HoldReason};
use crate::sync::Reaction;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use tracing::{Span, debug, error, field, info, info_span, warn};

/// What is known of a message when it is answered.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Noted>);

#[derive(Debug, Default)]
struct Noted {
    account: Option<AccountNo>,
    denied: Option<Denial>,
    /// How many seconds its name is not looked at now.
    slowed: Option<i64>,
    done: Done,
}

/// How a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With what came of it.
    Answered,
    /// It was not let in, or cannot be done.
    Refused(StatusCode),
    /// There is too much to do.
    Busy,
}

/// What became of a message that was let in.
#[derive(Debug, Default)]
pub(super) enum Done {
    /// Nothing was noted.
    #[default]
    Nothing,
    /// It was answered before.
    Again,
    /// It was executed.
    Step(Box<Told>),
}

/// Why a message was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// No credential.
    Missing,
    /// A wrong one, or one of a name that nobody has: that is the same.
    Wrong,
    /// Nobody looked: its name failed too often.
    Slowed,
    /// It is of a scheme that is not taken.
    Scheme,
    /// It is not what its scheme makes.
    Malformed,
}

impl Denial {
    const fn of(code: StatusCode) -> Self {
        match code {
            StatusCode::MISSING_CREDENTIALS => Self::Missing,
            StatusCode::UNSUPPORTED_FEATURE => Self::Scheme,
            StatusCode::INVALID_CREDENTIALS => Self::Wrong,
            _ => Self::Malformed,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Slowed => "slowed",
            Self::Scheme => "scheme",
            Self::Malformed => "malformed",
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Clean,
    Problems,
    Suspended,
}

impl Ending {
    const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Problems => "problems",
            Self::Suspended => "suspended",
        }
    }
}

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The device.
    pub device: DeviceNo,
    /// Whether the session began with it.
    pub begun: bool,
    /// Syncs of everything that were settled on, and why.
    pub slow: Vec<(BookNo, &'static str)>,
    /// Slow syncs that were not, and whether they wait for a decision.
    pub unwanted: Vec<(BookNo, Reaction)>,
    /// Credentials of books that were wrong.
    pub wrong_books: u64,
    /// How often each command was answered with which status.
    pub statuses: BTreeMap<(&'static str, u16), u64>,
    /// What was done in each book.
    pub books: Vec<BookTold>,
    /// How the session ended, if it did with this message.
    pub ended: Option<Ending>,
}

/// What a step did in one book.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BookTold {
    pub book: BookNo,
    pub received: Counts,
    pub sent: Counts,
    /// What the guard began to hold.
    pub hold: Option<Hold>,
    /// New entries of the report's conflicts.
    pub conflicts: Vec<ConflictNote>,
}

/// How far a book was before a step.
#[derive(Debug)]
pub(super) struct Before {
    book: BookNo,
    received: Counts,
    sent: Counts,
    held: bool,
    conflicts: usize,
}

impl Before {
    pub(super) fn of(stores: &[StoreState]) -> Vec<Self> {
        let before = |store: &StoreState| Self {
            book: store.book,
            received: store.received,
            sent: store.sent,
            held: store.hold.is_some(),
            conflicts: store.notes.len(),
        };
        stores.iter().map(before).collect()
    }
}

impl Told {
    /// Notes the statuses of a message's commands.
    pub(super) fn statuses<'q>(&mut self, statuses: impl Iterator<Item = &'q Queued>) {
        for status in statuses {
            *self.statuses.entry((known_name(&status.cmd), status.code)).or_default() += 1;
        }
    }

    /// Notes what became of the books and of the session.
    pub(super) fn compare(&mut self, before: &[Before], was: Package, after: &State, suspended: bool) {
        self.books = after.stores.iter().filter_map(|store| difference(before, store)).collect();
        if was != Package::Over && after.package == Package::Over {
            let clean = !after.stores.is_empty() && after.stores.iter().all(|store| store.clean);
            self.ended = Some(match (suspended, clean) {
                (true, _) => Ending::Suspended,
                (false, true) => Ending::Clean,
                (false, false) => Ending::Problems,
            });
        }
    }
}

/// What was done in a book since; `None` if nothing was.
fn difference(before: &[Before], store: &StoreState) -> Option<BookTold> {
    let none =
        Before { book: store.book, received: Counts::default(), sent: Counts::default(), held: false, conflicts: 0 };
    let was = before.iter().find(|before| before.book == store.book).unwrap_or(&none);
    let told = BookTold {
        book: store.book,
        received: minus(store.received, was.received),
        sent: minus(store.sent, was.sent),
        hold: store.hold.clone().filter(|_| !was.held),
        conflicts: store.notes.get(was.conflicts..).unwrap_or_default().to_vec(),
    };
    (told != BookTold { book: store.book, ..BookTold::default() }).then_some(told)
}

/// A book that was alerted anew counts from nothing.
fn minus(now: Counts, before: Counts) -> Counts {
    let less = |now: u64, before: u64| if now >= before { now - before } else { now };
    Counts {
        added: less(now.added, before.added),
        changed: less(now.changed, before.changed),
        deleted: less(now.deleted, before.deleted),
        matched: less(now.matched, before.matched),
        conflicts: less(now.conflicts, before.conflicts),
        refused: less(now.refused, before.refused),
    }
}

/// A command's name, if it is one: a peer may call its commands what it likes.
fn known_name(name: &str) -> &'static str {
    const NAMES: &[&str] = &[
        "Add", "Alert", "Atomic", "Copy", "Delete", "Exec", "Get", "Map", "Move", "Put", "Replace", "Results",
        "Search", "Sequence", "Sync", "SyncHdr",
    ];
    NAMES.iter().find(|known| **known == name).copied().unwrap_or("other")
}

impl Asked<'_> {
    /// Notes whose message it is.
    pub(super) fn note_account(&self, account: AccountNo) {
        self.notes.0.borrow_mut().account = Some(account);
    }

    /// Notes why it is not let in; the first reason counts.
    pub(super) fn note_denied(&self, code: StatusCode) {
        self.notes.0.borrow_mut().denied.get_or_insert_with(|| Denial::of(code));
    }

    /// Notes that nobody looked at its credential.
    pub(super) fn note_slowed(&self) {
        self.notes.0.borrow_mut().denied = Some(Denial::Slowed);
    }

    /// Notes that its name is not looked at for so many seconds.
    pub(super) fn note_wait(&self, seconds: Option<i64>) {
        self.notes.0.borrow_mut().slowed = seconds;
    }

    /// Notes what was done; a step that is run again says it again.
    pub(super) fn note(&self, done: Done) {
        self.notes.0.borrow_mut().done = done;
    }
}

/// The spans of a message: `session`, and `message` in it. The session's is one for each message, because the next one may be
/// answered by another node; they are known by their fields.
pub(super) struct Spans {
    session: Span,
    message: Span,
}

impl Spans {
    pub(super) fn of(asked: &Asked<'_>) -> Self {
        let header = asked.header;
        let session = info_span!(
            "session",
            session = %Shown(header.session_id.as_str()),
            account = field::Empty,
            device = field::Empty
        );
        let message = info_span!(parent: &session, "message", msg = header.msg_id.0, books = field::Empty);
        Self { session, message }
    }

    pub(super) fn message(&self) -> &Span {
        &self.message
    }
}

impl Server {
    /// Tells what became of a message.
    pub(super) fn tell(&self, asked: &Asked<'_>, spans: &Spans, way: Way, outcome: &Result<Reply, Refusal>) {
        let noted = std::mem::take(&mut *asked.notes.0.borrow_mut());
        if let Some(account) = noted.account {
            spans.session.record("account", account.0);
        }
        let metrics = &*self.metrics;
        let name = match (way, outcome, &noted.done) {
            (_, Err(refusal), _) => {
                tell_refusal(refusal);
                refusal.name()
            }
            (Way::Busy, ..) => {
                info!("too much to do: the device is told to come again");
                metrics.count(Counter::Busy, &[], 1);
                "busy"
            }
            (Way::Refused(code), ..) => {
                tell_denied(code, &noted, metrics);
                "refused"
            }
            (Way::Answered, _, Done::Again) => {
                info!("the same request came again: its reply is sent once more");
                metrics.count(Counter::Resent, &[], 1);
                "again"
            }
            (Way::Answered, _, Done::Step(told)) => {
                spans.session.record("device", told.device.0);
                if !told.books.is_empty() {
                    spans.message.record("books", field::display(Names(&told.books)));
                }
                tell_step(told, metrics);
                "done"
            }
            // A question for changes.
            (Way::Answered, _, Done::Nothing) => "done",
        };
        let (received, sent) = (asked.request.body.len(), outcome.as_ref().map_or(0, |reply| reply.body.len()));
        debug!(outcome = name, received, sent, "answered");
        metrics.count(Counter::Messages, &[name], 1);
        metrics.observe(Histogram::MessageBytes, &["in"], received as f64);
        if outcome.is_ok() {
            metrics.observe(Histogram::MessageBytes, &["out"], sent as f64);
        }
    }

    /// Tells of a request that is no message.
    pub(super) fn tell_unread(&self, bytes: usize, refusal: &Refusal) {
        tell_refusal(refusal);
        self.metrics.count(Counter::Messages, &[refusal.name()], 1);
        self.metrics.observe(Histogram::MessageBytes, &["in"], bytes as f64);
    }
}

impl Refusal {
    /// What the counter of messages calls it.
    const fn name(&self) -> &'static str {
        match self {
            Self::UnknownType(_) | Self::TooLarge { .. } | Self::Unreadable(_) | Self::Unanswerable(_) => "unreadable",
            Self::SessionGone => "gone",
            Self::Overloaded | Self::TooOften | Self::LaterRelease => "busy",
            Self::Unavailable(_) | Self::Failed(_) => "failed",
        }
    }
}

/// What a peer sent is quoted by some: the words are for `debug`.
fn tell_refusal(refusal: &Refusal) {
    match refusal {
        Refusal::Unavailable(why) => warn!(%why, "the store cannot work now"),
        Refusal::Failed(why) => error!(%why, "the store failed"),
        Refusal::SessionGone => info!("of a session that is over"),
        Refusal::Overloaded => info!("too much to do: the device is told to come again"),
        // Who sends too much does not fill the log, too: it is counted.
        Refusal::TooOften => debug!("too many messages from there: it is told to come again"),
        Refusal::LaterRelease => info!("of a session of a later release: the device is told to come again"),
        Refusal::TooLarge { size, limit } => info!(size, limit, "too large"),
        Refusal::UnknownType(_) => info!("no SyncML media type"),
        Refusal::Unreadable(why) => {
            info!("not to be read");
            debug!(why, "not to be read");
        }
        Refusal::Unanswerable(why) => {
            info!("not to be answered");
            debug!(why, "not to be answered");
        }
    }
}

fn tell_denied(code: StatusCode, noted: &Noted, metrics: &dyn Metrics) {
    let Some(denied) = noted.denied else {
        info!(code = code.0, "refused");
        return;
    };
    let (code, reason) = (code.0, denied.name());
    match denied {
        // How every session of a device begins that waits to be asked.
        Denial::Missing => debug!(code, reason, "not let in"),
        Denial::Slowed => warn!(code, reason, "not let in: its name failed too often, and nobody looked"),
        _ => info!(code, reason, "not let in"),
    }
    if let Some(seconds) = noted.slowed {
        warn!(seconds, "too many failures: the name is not looked at from there for a while");
    }
    metrics.count(Counter::AuthFailures, &[reason], 1);
}

fn tell_step(told: &Told, metrics: &dyn Metrics) {
    if told.begun {
        info!("session begun");
        metrics.count(Counter::SessionsBegun, &[], 1);
    }
    for &(book, reason) in &told.slow {
        info!(book = book_name(book), reason, "slow sync");
        metrics.count(Counter::SlowSyncs, &[reason], 1);
    }
    for &(book, reaction) in &told.unwanted {
        let (book, reason) = (book_name(book), HoldReason::SlowSync.name());
        if reaction == Reaction::Hold {
            warn!(book, reason, "held back until somebody decides");
            metrics.count(Counter::Holds, &[reason], 1);
        } else {
            info!(book, reason, "refused, as the configuration has it");
        }
    }
    if told.wrong_books > 0 {
        info!(times = told.wrong_books, "a book's own credential is wrong");
        metrics.count(Counter::AuthFailures, &["book"], told.wrong_books);
    }
    for (&(op, code), &times) in &told.statuses {
        if !StatusCode(code).is_success() {
            info!(op, code, times, "refused");
        }
        metrics.count(Counter::Commands, &[op, &code.to_string()], times);
    }
    for book in &told.books {
        tell_book(book, metrics);
    }
    if let Some(ending) = told.ended {
        info!(outcome = ending.name(), "session ended");
        metrics.count(Counter::SessionsEnded, &[ending.name()], 1);
    }
}

fn tell_book(told: &BookTold, metrics: &dyn Metrics) {
    let book = book_name(told.book);
    for (direction, counts) in [("in", &told.received), ("out", &told.sent)] {
        let Counts { added, changed, deleted, matched, conflicts: _, refused } = *counts;
        for (outcome, by) in
            [("added", added), ("changed", changed), ("deleted", deleted), ("matched", matched), ("refused", refused)]
        {
            if by > 0 {
                metrics.count(Counter::Items, &[direction, outcome], by);
            }
        }
        if *counts != Counts::default() {
            debug!(book, direction, added, changed, deleted, matched, refused, "items");
        }
    }
    let conflicts = told.received.conflicts + told.sent.conflicts;
    if conflicts > 0 {
        info!(book, conflicts, "conflicts decided");
        metrics.count(Counter::Conflicts, &[], conflicts);
    }
    for note in &told.conflicts {
        debug!(book, item = note.guid.0, fields = ?note.fields, won = ?note.won, "conflict");
    }
    if let Some(hold) = &told.hold {
        let reason = hold.reason.name();
        warn!(book, reason, items = hold.items, snapshot = hold.snapshot.0, "held back until somebody decides");
        metrics.count(Counter::Holds, &[reason], 1);
    }
}

fn book_name(book: BookNo) -> &'static str {
    by_number(book).map_or("?", |datastore| datastore.name)
}

/// The books of a message, for its span.
struct Names<'a>(&'a [BookTold]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, told) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            f.write_str(book_name(told.book))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Before, BookTold, Denial, Ending, Told, known_name};
    use crate::message::{StatusCode, Version};
    use crate::session::Counts;
    use crate::session::state::{Package, State, StoreState};
    use crate::store::BookNo;
    use crate::sync::{Role, SyncType};

    fn state(stores: Vec<StoreState>, package: Package) -> State {
        let mut state = State::new(Role::Server, Version::V12, (String::new(), None), String::new());
        (state.stores, state.package) = (stores, package);
        state
    }

    fn store(added: u64, clean: bool) -> StoreState {
        let mut store = StoreState::new(BookNo::CONTACTS, SyncType::TwoWay, 0);
        (store.received.added, store.clean) = (added, clean);
        store
    }

    /// Added before and after → what is told; a book that was alerted anew counts from nothing.
    #[test]
    fn what_was_done_is_the_difference() {
        for (before, after, told) in [(0, 0, None), (2, 2, None), (2, 5, Some(3)), (5, 2, Some(2)), (0, 4, Some(4))] {
            let was = Before::of(&[store(before, false)]);
            let mut found = Told::default();
            found.compare(&was, Package::Changes, &state(vec![store(after, false)], Package::Changes), false);
            let counts = |added| Counts { added, ..Counts::default() };
            let told =
                told.map(|added| BookTold { book: BookNo::CONTACTS, received: counts(added), ..BookTold::default() });
            assert_eq!(found.books, told.into_iter().collect::<Vec<_>>(), "{before} {after}");
            assert_eq!(found.ended, None);
        }
    }

    /// A session ends once, however often its last reply is given.
    #[test]
    fn a_session_ends_once() {
        use Package::{Confirming, Over};
        for (was, is, stores, suspended, ending) in [
            (Confirming, Over, vec![store(0, true)], false, Some(Ending::Clean)),
            (Confirming, Over, vec![store(0, true), store(0, false)], false, Some(Ending::Problems)),
            (Confirming, Over, vec![], false, Some(Ending::Problems)),
            (Confirming, Over, vec![store(0, false)], true, Some(Ending::Suspended)),
            (Confirming, Confirming, vec![store(0, true)], false, None),
            (Over, Over, vec![store(0, true)], false, None),
        ] {
            let mut told = Told::default();
            told.compare(&[], was, &state(stores, is), suspended);
            assert_eq!(told.ended, ending, "{was:?} {is:?}");
        }
    }

    #[test]
    fn names_and_reasons_are_few() {
        assert_eq!(["Add", "SyncHdr", "add", "Zoë", ""].map(known_name), ["Add", "SyncHdr", "other", "other", "other"]);
        for (code, reason) in [(401, "wrong"), (407, "missing"), (406, "scheme"), (415, "malformed")] {
            assert_eq!(Denial::of(StatusCode(code)).name(), reason);
        }
    }
}
