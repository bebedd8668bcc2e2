//! A session's state between two messages: one explicit, versioned, serialisable type without any per-item data.

use super::errand::ErrandState;
use super::large_out::LargeOut;
use super::profile::ResumeObjects;
use super::trust::Trust;
use super::{BookReport, ConflictNote, Counts, Report};
use crate::message::{Mem, StatusCode, Version};
use crate::store::{BookNo, Guid, Hold, LensNo, PairRow, Phase, Revision};
use crate::sync::filter::Filter;
use crate::sync::{Occasion, Role, SyncType};
use serde::{Deserialize, Serialize};

/// The version of [`State`] that this release writes. It reads this one and all before; what a later release wrote it
/// leaves alone, and asks the peer for patience. So the number goes up with every change that an earlier release could not
/// go on with, or would lose by writing the state anew; what is new has a default for the states of before.
///
/// 1: the first. 2: the number of the keys that a session was opened by. 3: what a
/// device is told to do.
pub(super) const STATE_VERSION: i64 = 3;

/// More than any count or number of a session is: they can be counted on from here without an overflow.
const MOST: u64 = 1 << 60;

/// Which of the peer's packages is expected or being received (§3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Package {
    /// Its initialisation: alerts, device information.
    Init,
    /// Its changes.
    Changes,
    /// On the server: its changes are in, and what needed all of them is being decided.
    Settling,
    /// Ours is being sent, one message per answer.
    Sending,
    /// Ours is sent; its statuses and maps are awaited.
    Confirming,
    /// The session is over; the last reply is kept for a retry.
    Over,
}

/// A session between two messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Which end this is.
    pub role: Role,
    /// The version spoken.
    pub version: Version,
    /// The peer's address and name, as its header's Source had them.
    pub peer: (String, Option<String>),
    /// Our address, as its header's Target had it.
    pub own: String,
    /// The RespURI in force.
    pub resp_uri: Option<String>,
    /// Whether the session as such is authenticated (212), so that no more Cred is needed.
    pub authenticated: bool,
    /// Whether the last message proved itself by its own credential; only then its bytes alone earn the same reply again.
    pub proven: bool,
    /// Who is who.
    pub trust: Trust,
    /// The peer's MaxMsgSize.
    pub max_msg_size: Option<u64>,
    /// The peer's MaxObjSize.
    pub max_obj_size: Option<u64>,
    /// Which package is expected.
    pub package: Package,
    /// The datastores of this session.
    pub stores: Vec<StoreState>,
    /// Gets of our device information that are not answered yet: their messages and CmdIDs.
    pub owed_results: Vec<(String, String)>,
    /// Questions for changes that are not answered yet, likewise.
    pub owed_news: Vec<(String, String)>,
    /// Whether we asked for the peer's device information in this session.
    pub asked_devinf: bool,
    /// Whether this end has broken the session off for now (224).
    pub suspended: bool,
    /// Whether our package is complete but for its Final, which waits until no Status is left over.
    pub owes_final: bool,
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// How often the device has said its package 1 again.
    pub restarts: u8,
    /// The profile rules about the peer, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What a device is told to do, and what it reports of it.
    #[serde(default, skip_serializing_if = "ErrandState::is_empty")]
    pub errands: ErrandState,
    /// Consecutive messages in which neither side said anything but "go on".
    pub idle: u32,
    /// Messages and bytes, for the report.
    pub messages: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// How far sending a book's changes has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// Not begun.
    Start,
    /// Open rows of earlier sessions, after this item.
    Open(Guid),
    /// Changes after this revision.
    Range(Revision),
    /// In a sync of everything: items changed after our package began, after this revision, as they were then.
    Since(Revision),
    /// All was sent.
    End,
}

/// How far settling has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Settling {
    /// Not begun.
    Start,
    /// Match keys are being indexed.
    Indexing,
    /// Staged rows are paired where the meaning is equal, after this sequence number.
    Deciding(i64),
    /// The others are paired by name and number, or added, after this sequence number.
    Matching(i64),
    /// In a refresh with a filter: what the peer did not show of what it is about is counted, after this revision; so many
    /// were found.
    Weighing(Revision, u64),
    /// What the peer did not show is deleted, after this revision.
    Deleting(Revision),
    /// The same, but too much to be meant: it is held.
    Holding(Revision),
    /// All is decided.
    End,
}

/// Free memory (§3.18): items and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Room {
    pub items: u64,
    pub bytes: u64,
}

impl Room {
    /// Takes an item's place; `false` when there is none.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let fits = self.items > 0 && bytes <= self.bytes;
        if fits {
            self.items -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

impl From<Mem> for Room {
    fn from(mem: Mem) -> Self {
        Self { items: mem.free_id, bytes: mem.free_mem }
    }
}

/// A datastore in a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoreState {
    /// The book.
    pub book: BookNo,
    /// Our datastore's address as the peer spells it.
    pub here: String,
    /// The peer's datastore's address.
    pub there: String,
    /// The sync that is held, and the one that the client asked for.
    pub sync: SyncType,
    pub asked: SyncType,
    /// Whether it goes on with one that broke off (225).
    pub resuming: bool,
    /// On a server: the peer shows no anchor that it was given. What it was told since it had one, it may not have: it was
    /// emptied, installed anew, or set back to a backup, and what it does not show it need not have removed.
    #[serde(default)]
    pub forgot: bool,
    /// Why it is not the one asked for.
    pub reason: Option<String>,
    /// What the client wants to be sent, where it is not everything.
    pub filter: Option<Filter>,
    /// What the peer can hold, where that is not every card as it is: settled by its first Sync, as later agreements remember
    /// it. What a client wants to receive is no part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<LensNo>,
    /// That lens with what the peer showed in this session beyond what it declared: it is for the next session (law L5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<LensNo>,
    /// Whether the peer is known to hold more than in its last clean sync, by what it showed alone: nobody needs to look at
    /// each item for that, but what was sent before was sent under another lens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub widened: bool,
    /// On the server: whether the device has another filter, or can hold something else, than in its last clean sync.
    pub refilter: bool,
    /// The epoch that this sync reads and writes.
    pub epoch: i64,
    /// In a sync of everything: the epoch before, which is the first matching rule.
    pub old_epoch: Option<i64>,
    /// The peer's new anchor, and the Last it showed: what it will show again if it never learns that this sync ended.
    pub peer_next: Option<String>,
    pub peer_last: Option<String>,
    /// Our new anchor, and the Last we showed.
    pub own_next: String,
    pub own_last: Option<String>,
    /// The message of our Alert, and its CmdID; on a client until its Status comes.
    pub alert_ref: Option<(u32, u32)>,
    /// Our last message that held Syncs of it.
    pub sync_msg: u32,
    /// Their CmdIDs.
    pub sync_refs: Vec<u32>,
    /// The book's head when our package began: nothing newer is sent.
    pub upto: Revision,
    /// How far sending has come.
    pub position: Position,
    /// How far settling has come.
    pub settling: Settling,
    /// Whether the peer sent a Sync for it.
    pub sync_seen: bool,
    /// The book's head and live items when this sync began: what came since is not touched by "delete the rest".
    pub start_head: Revision,
    pub start_live: i64,
    /// Whether changes were staged.
    pub staged: bool,
    /// Deletes that the guard keeps back, of this session and of an earlier one that it settled.
    pub held: u64,
    /// Whether deletes of this session are not obeyed.
    pub refusing: bool,
    /// Whether the guard keeps back those of this session.
    pub holding: bool,
    /// On a server: an earlier session's changes that are still to be settled before those of this one.
    pub left_over: Option<Box<Self>>,
    /// Of such changes: the sync that follows shows all that the peer has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown_again: bool,
    /// In a sync of everything: the book was empty when it began and nobody else has written it since, so that whatever
    /// comes is new.
    pub alone: bool,
    /// The book's head after our last message.
    pub seen_head: Revision,
    /// Client: the last Map sent – message, command, and the last item in it – while its Status is awaited.
    pub map_sent: Option<(u32, u32, Guid)>,
    /// Client: the last item of a Map that the server did not hear; it is not told again in this session.
    #[serde(default)]
    pub map_refused: Guid,
    /// Items sent in this session that wait for their Status or Map.
    pub awaiting: i64,
    /// Whether the peer takes objects in chunks, and the largest it takes, in bytes.
    pub chunks: bool,
    pub max_obj: Option<u64>,
    /// How it is told where one goes on that the session before broke off; `None` if it must not be.
    pub resume_objects: Option<ResumeObjects>,
    /// The object that is going to the peer in chunks.
    pub large_out: Option<LargeOut>,
    /// Whether one is coming; its chunks are in the store.
    pub large_in: bool,
    /// Whether one was begun in a session before, ended there or not, and the first item of this one has not come.
    pub large_resumed: bool,
    /// The peer's id of an object that it began and did not end, until it is told so (223).
    pub broken: Option<String>,
    /// The peer is full: no more Adds.
    pub full: bool,
    /// Whether the book has folders that can be spoken of in this session, and whether the peer has them too (§3.15).
    pub folders: bool,
    pub tree: bool,
    /// What still fits there, as the peer said, and the most items that it says to hold at all.
    pub room: Option<Room>,
    pub max_items: Option<u64>,
    /// Client: what still fits here, as we say.
    pub own_room: Option<Room>,
    /// Items kept back because the peer is full.
    pub withheld: u64,
    /// Adds that were staged, and their bytes.
    pub staged_adds: u64,
    pub staged_bytes: u64,
    /// The media type and version the peer wants, once known.
    pub media: Option<(String, String)>,
    /// The longest GUID the peer keeps.
    pub max_guid: Option<u64>,
    /// The status that ended it early.
    pub failed: Option<u16>,
    /// Whether anchors have moved.
    pub clean: bool,
    /// Whether this pair never ended a sync.
    pub first: bool,
    /// What the guard holds back, and conflicts for the report: the first few.
    pub hold: Option<Hold>,
    pub notes: Vec<ConflictNote>,
    /// Items that the peer added and others had added before.
    pub elsewhere: u64,
    /// What was done here because of the peer.
    pub received: Counts,
    /// What was done there because of us.
    pub sent: Counts,
}

impl State {
    /// A session that has heard nothing yet.
    pub(super) fn new(role: Role, version: Version, peer: (String, Option<String>), own: String) -> Self {
        Self {
            role,
            version,
            peer,
            own,
            resp_uri: None,
            authenticated: false,
            proven: false,
            trust: Trust::default(),
            max_msg_size: None,
            max_obj_size: None,
            package: Package::Init,
            stores: Vec::new(),
            owed_results: Vec::new(),
            owed_news: Vec::new(),
            asked_devinf: false,
            suspended: false,
            owes_final: false,
            began: 0,
            restarts: 0,
            rules: Vec::new(),
            errands: ErrandState::default(),
            idle: 0,
            messages: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// A session's state as it was stored; `None` for what no session has written.
    pub(super) fn from_stored(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(Self::is_plausible)
    }

    fn is_plausible(&self) -> bool {
        let small = [self.messages, self.idle].iter().all(|count| *count <= u32::MAX / 2);
        small && self.bytes_in <= MOST && self.bytes_out <= MOST && self.stores.iter().all(StoreState::is_plausible)
    }

    /// Notes that a Get of our device information is to be answered. Nobody needs it more than a few times.
    pub(super) fn owe_results(&mut self, msg_ref: &str, cmd_ref: &str) {
        if self.owed_results.len() < 4 {
            self.owed_results.push((msg_ref.to_owned(), cmd_ref.to_owned()));
        }
    }

    /// The same of a question for changes; `false` when there are too many of them.
    pub(super) fn owe_news(&mut self, msg_ref: &str, cmd_ref: &str) -> bool {
        let room = self.owed_news.len() < 4;
        if room {
            self.owed_news.push((msg_ref.to_owned(), cmd_ref.to_owned()));
        }
        room
    }

    /// What the session did so far.
    pub(super) fn report(&self) -> Report {
        let books: Vec<BookReport> = self.stores.iter().map(StoreState::report).collect();
        Report {
            clean: !books.is_empty() && books.iter().all(|book| book.clean),
            books,
            messages: self.messages,
            bytes_sent: self.bytes_out,
            bytes_received: self.bytes_in,
            profile: self.rules.clone(),
            problems: Vec::new(),
        }
    }
}

impl StoreState {
    /// A datastore whose sync begins; `epoch` is that of the map in force.
    pub(super) fn new(book: BookNo, sync: SyncType, epoch: i64) -> Self {
        Self {
            book,
            here: String::new(),
            there: String::new(),
            sync,
            asked: sync,
            resuming: false,
            forgot: false,
            reason: None,
            filter: None,
            lens: None,
            observed: None,
            widened: false,
            refilter: false,
            epoch: epoch.saturating_add(i64::from(sync.is_full())),
            old_epoch: sync.is_full().then_some(epoch),
            peer_next: None,
            peer_last: None,
            own_next: String::new(),
            own_last: None,
            alert_ref: None,
            sync_msg: 0,
            sync_refs: Vec::new(),
            upto: Revision(0),
            position: Position::Start,
            settling: Settling::Start,
            sync_seen: false,
            start_head: Revision(0),
            start_live: 0,
            staged: false,
            held: 0,
            refusing: false,
            holding: false,
            left_over: None,
            shown_again: false,
            alone: false,
            seen_head: Revision(0),
            map_sent: None,
            map_refused: Guid::default(),
            awaiting: 0,
            chunks: false,
            max_obj: None,
            resume_objects: None,
            large_out: None,
            large_in: false,
            large_resumed: false,
            broken: None,
            full: false,
            folders: false,
            tree: false,
            room: None,
            max_items: None,
            own_room: None,
            withheld: 0,
            staged_adds: 0,
            staged_bytes: 0,
            media: None,
            max_guid: None,
            failed: None,
            clean: false,
            first: false,
            hold: None,
            notes: Vec::new(),
            elsewhere: 0,
            received: Counts::default(),
            sent: Counts::default(),
        }
    }

    fn is_plausible(&self) -> bool {
        let Counts { added, changed, deleted, matched, conflicts, refused } = self.received;
        let received = [added, changed, deleted, matched, conflicts, refused];
        let Counts { added, changed, deleted, matched, conflicts, refused } = self.sent;
        let sent = [added, changed, deleted, matched, conflicts, refused];
        let counts = [self.held, self.withheld, self.staged_adds, self.staged_bytes, self.elsewhere];
        let large = self.large_out.as_ref().map_or(0, |large| large.sent);
        let hold = self.hold.as_ref().map_or([0; 2], |hold| [hold.items, hold.live]);
        let weighed = if let Settling::Weighing(_, found) = self.settling { found } else { 0 };
        let numbers = [self.upto.0, self.start_head.0, self.start_live, self.seen_head.0, self.awaiting, self.epoch];
        let all = received.into_iter().chain(sent).chain(counts).chain(hold).chain([large, weighed]);
        all.chain(numbers.map(i64::unsigned_abs)).all(|number| number <= MOST)
            && self.old_epoch.is_none_or(|epoch| epoch.unsigned_abs() <= MOST)
            && self.left_over.as_ref().is_none_or(|store| store.is_plausible())
    }

    /// Makes the sync one of everything: the map is written anew; `epoch` is that of the map in force.
    pub(super) fn escalate(&mut self, reason: &str, epoch: i64) {
        if self.old_epoch.is_none() {
            self.sync = self.sync.full();
            self.reason = Some(reason.to_owned());
            self.old_epoch = Some(epoch);
            self.epoch = epoch.saturating_add(1);
        }
    }

    /// Whether this end becomes what the other is: a refresh that was asked for. One that only repairs the lost anchors of
    /// a one-way sync deletes and overrules nothing.
    pub(super) const fn mirrors(&self, role: Role) -> bool {
        matches!(
            (role, self.sync, self.asked),
            (Role::Server, SyncType::RefreshFromClient, SyncType::RefreshFromClient)
                | (Role::Client, SyncType::RefreshFromServer, SyncType::RefreshFromServer)
        )
    }

    /// Whether this end is sent everything and finds out what it has already: in a slow sync that is the server.
    pub(super) const fn compares(&self, role: Role) -> bool {
        match role {
            Role::Server => matches!(self.sync, SyncType::Slow | SyncType::RefreshFromClient),
            Role::Client => matches!(self.sync, SyncType::RefreshFromServer),
        }
    }

    /// On which occasion conflicts come up.
    pub(super) const fn occasion(&self) -> Occasion {
        match (self.sync.is_full(), self.first) {
            (false, _) => Occasion::Normal,
            (true, true) => Occasion::First,
            (true, false) => Occasion::Slow,
        }
    }

    /// Whether our changes are sent, to the last chunk.
    pub(super) fn has_sent_all(&self) -> bool {
        self.position == Position::End && self.large_out.is_none()
    }

    /// Whether it still takes part in the session.
    pub(super) const fn active(&self) -> bool {
        self.failed.is_none()
    }

    /// The datastore's sync is over: if it ended cleanly, anchors and map move (DESIGN "Anchors"). The anchors before
    /// stay valid until the new ones are used.
    pub(super) fn finish(&mut self, role: Role, pair: &mut PairRow) {
        let other = if role == Role::Server { Role::Client } else { Role::Server };
        let received = self.sync_seen || !self.sync.sends(other);
        let sent = self.has_sent_all() || !self.sync.sends(role);
        if !self.active() || self.clean || !received || !sent || self.awaiting > 0 || self.map_sent.is_some() {
            return;
        }
        self.clean = true;
        pair.peer_prev.clone_from(&self.peer_last);
        pair.own_prev.clone_from(&self.own_last);
        pair.peer_next.clone_from(&self.peer_next);
        pair.own_next = Some(self.own_next.clone());
        pair.phase = Phase::Idle;
        pair.sync_type = 0;
        pair.last_type = self.sync.alert().0;
        if role == Role::Server && self.sync.sends(role) {
            pair.filter_hash = self.filter.as_ref().map(Filter::digest);
        }
        if self.widened && self.observed.is_none() {
            pair.lens = self.lens;
        }
        if self.old_epoch.is_some() {
            if self.hold.is_none() {
                // Everything was compared: what was held went back.
                pair.holds.retain(|hold| !hold.reason.is_about_deletes());
            }
            pair.epoch = self.epoch;
            // Who sent nothing may still have to, in a later sync.
            pair.cursor = if self.sync.sends(role) { self.upto } else { Revision(0) };
        }
    }

    /// What became of it.
    pub(super) fn report(&self) -> BookReport {
        BookReport {
            book: super::datastore::title(self.book).into_owned(),
            mode: self.sync.name().to_owned(),
            reason: self.reason.clone(),
            clean: self.clean,
            failed: self.failed.map(StatusCode),
            received: self.received,
            sent: self.sent,
            held: self.held,
            hold: self.hold.clone(),
            conflicts: self.notes.clone(),
            elsewhere: self.elsewhere,
            withheld: self.withheld,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{State, StoreState};
    use crate::message::Version;
    use crate::store::BookNo;
    use crate::sync::{Role, SyncType};

    #[test]
    fn what_no_session_has_written_is_not_read() {
        let mut state = State::new(Role::Server, Version::V12, (String::new(), None), String::new());
        let mut store = StoreState::new(BookNo::CONTACTS, SyncType::Slow, 1);
        store.left_over = Some(Box::new(StoreState::new(BookNo::CONTACTS, SyncType::Slow, 1)));
        state.stores.push(store);
        let stored = serde_json::to_value(&state).unwrap();
        let is_read = |stored: &serde_json::Value| State::from_stored(&serde_json::to_vec(stored).unwrap()).is_some();
        assert!(is_read(&stored));
        for (path, number) in [
            ("/messages", u64::from(u32::MAX)),
            ("/idle", u64::from(u32::MAX)),
            ("/bytes_in", u64::MAX),
            ("/stores/0/held", u64::MAX),
            ("/stores/0/awaiting", i64::MAX as u64),
            ("/stores/0/received/added", u64::MAX),
            ("/stores/0/left_over/sent/refused", u64::MAX),
        ] {
            let mut changed = stored.clone();
            *changed.pointer_mut(path).unwrap() = number.into();
            assert!(!is_read(&changed), "{path}");
        }
        assert!(State::from_stored(b"{}").is_none());
    }
}
