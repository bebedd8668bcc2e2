//! What is done differently for a peer.

use crate::message::{AlertCode, StatusCode};
use crate::session::datastore::{self, DATASTORES};
use crate::store::BookNo;
use crate::sync::{SyncType, Treatment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// However little of a message a rule lets us fill, this many bytes are ours (§11.1).
const LEAST: u64 = 1_800;

/// All books of which nothing else is said.
const EVERY: &str = "*";

/// How a peer is told where a large object goes on that broke off with the session before (§3.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResumeObjects {
    /// By the offset of the chunk in the object: `datapos=N` in an `EMI` of its Meta.
    Position,
    /// By the size of what is left, in the `Size` of its Meta.
    Rest,
}

/// What is done differently for a peer. Everything unset is as the standard wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Manners {
    /// How much of the peer's MaxMsgSize is filled, in percent: 10 to 100. But 1,800 bytes always, if it takes so many.
    pub fill_percent: Option<u8>,
    /// The largest message it is sent, in bytes, whatever it says; 1,000 at least.
    pub max_msg_size: Option<u64>,
    /// The largest number that is announced to it as MaxMsgSize and MaxObjSize.
    pub max_announced: Option<u64>,
    /// The longest GUID it keeps, in bytes, whatever it says; 6 at least.
    pub max_guid: Option<u64>,
    /// Alerts of its own that mean another sync, by code: a phone that takes every sync for a two-way one says 204 and means
    /// 200.
    pub alerts: Option<BTreeMap<u16, u16>>,
    /// Alerts of its own that are answered 200, and no more.
    pub idle_alerts: Option<Vec<u16>>,
    /// No Last anchor is written as `0`, not left out or empty.
    pub zero_anchor: Option<bool>,
    /// Whether the root of XML says its namespace.
    pub namespace: Option<bool>,
    /// Whether items are written as CDATA in XML (else escaped).
    pub cdata: Option<bool>,
    /// Whether what it sends in a Sync is answered one by one. If not, only what was not done is, and chunks are.
    pub item_statuses: Option<bool>,
    /// Whether Statuses of commands other than Alerts may have an Item.
    pub status_items: Option<bool>,
    /// Statuses it cannot digest, and what it gets instead.
    pub statuses: Option<BTreeMap<u16, u16>>,
    /// Whether what it left without a Status when the session ended is taken as done. Else it is sent again.
    pub silence_is_success: Option<bool>,
    /// Whether it wants NumberOfChanges, whatever it says.
    pub number_of_changes: Option<bool>,
    /// Whether it takes objects in chunks, whatever it says.
    pub large_objects: Option<bool>,
    /// How it is told where an object in chunks goes on that a session broke off. Without this it is sent from its beginning,
    /// unless the peer is one of this crate.
    pub resume_objects: Option<ResumeObjects>,
    /// The media types and versions it is sent, whatever it prefers: of each datastore the first that it has.
    pub media: Option<Vec<(String, String)>>,
    /// How many challenges of a server are answered before its word is taken; 1 to 10.
    pub auth_tries: Option<u32>,
    /// Who wins conflicts and what is done about accidents, by the book's name (`contacts`); `*` for all others. See
    /// [`treatment`](Self::treatment).
    pub books: Option<BTreeMap<String, Treatment>>,
}

impl Manners {
    /// Adds what is not settled yet.
    pub(super) fn add(&mut self, later: &Self) {
        macro_rules! first {
            ($($field:ident)*) => { $( if self.$field.is_none() { self.$field.clone_from(&later.$field); } )* };
        }
        for (book, treatment) in later.books.iter().flatten() {
            let known = self.books.get_or_insert_default().entry(book.clone()).or_default();
            *known = known.or(*treatment);
        }
        first!(fill_percent max_msg_size max_announced max_guid alerts idle_alerts zero_anchor namespace cdata
            item_statuses status_items statuses silence_is_success number_of_changes large_objects
            resume_objects media auth_tries);
    }

    /// What is wrong with it: a setting and the reason.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let ranges = [
            ("fill_percent", self.fill_percent.map(u64::from), 10..=100, "must be 10 to 100"),
            ("max_msg_size", self.max_msg_size, 1_000..=u64::MAX, "must be 1000 at least"),
            ("max_announced", self.max_announced, 10_000..=u64::MAX, "must be 10000 at least"),
            ("max_guid", self.max_guid, 6..=u64::MAX, "must be 6 at least"),
            ("auth_tries", self.auth_tries.map(u64::from), 1..=10, "must be 1 to 10"),
        ];
        for (setting, value, range, reason) in ranges {
            if value.is_some_and(|value| !range.contains(&value)) {
                return Err((setting, reason));
            }
        }
        let book = |name: &String| name == EVERY || DATASTORES.iter().any(|datastore| datastore.name == name);
        if self.books.as_ref().is_some_and(|books| !books.keys().all(book)) {
            return Err(("books", "must name datastores (contacts, calendar, tasks, notes, bookmarks, files) or *"));
        }
        let known = |code: &u16| SyncType::from_alert(AlertCode(*code)).is_some();
        if self.alerts.as_ref().is_some_and(|alerts| !alerts.values().all(known)) {
            return Err(("alerts", "must lead to 200 to 205"));
        }
        let valid = |code: &u16| (100..600).contains(code);
        if self.statuses.as_ref().is_some_and(|codes| !codes.values().all(valid)) {
            return Err(("statuses", "must lead to 100 to 599"));
        }
        Ok(())
    }

    /// What is wanted of a book: what is said of it, then what is said of all.
    #[must_use]
    pub fn treatment(&self, book: BookNo) -> Treatment {
        let name = datastore::by_number(book).map_or("", |datastore| datastore.name);
        let of = |name: &str| self.books.as_ref().and_then(|books| books.get(name)).copied().unwrap_or_default();
        of(name).or(of(EVERY))
    }

    /// What is wanted of all books where nothing is said.
    pub(super) fn treat_others(&mut self, treatment: Treatment) {
        if treatment != Treatment::default() {
            let every = self.books.get_or_insert_default().entry(EVERY.to_owned()).or_default();
            *every = every.or(treatment);
        }
    }

    /// How much of a message to the peer may be filled, given what it says it takes; `None` if neither says anything.
    pub(crate) fn budget(&self, declared: Option<u64>) -> Option<u64> {
        let percent = u64::from(self.fill_percent.unwrap_or(100));
        let filled = declared.map(|declared| {
            let part = declared / 100 * percent + declared % 100 * percent / 100;
            part.max(LEAST.min(declared))
        });
        match (filled, self.max_msg_size) {
            (Some(filled), Some(max)) => Some(filled.min(max)),
            (filled, max) => filled.or(max),
        }
    }

    /// A size as it is announced to the peer.
    pub(crate) fn announced(&self, size: u64) -> u64 {
        self.max_announced.map_or(size, |max| size.min(max))
    }

    /// What an alert of the peer's means.
    pub(crate) fn alert(&self, code: AlertCode) -> AlertCode {
        self.alerts.as_ref().and_then(|alerts| alerts.get(&code.0)).map_or(code, |code| AlertCode(*code))
    }

    /// Whether an alert of the peer's wants nothing but a 200.
    pub(crate) fn is_idle_alert(&self, code: AlertCode) -> bool {
        self.idle_alerts.as_ref().is_some_and(|codes| codes.contains(&code.0))
    }

    /// The Status that the peer gets for this one.
    pub(crate) fn status(&self, code: StatusCode) -> StatusCode {
        self.statuses.as_ref().and_then(|codes| codes.get(&code.0)).map_or(code, |code| StatusCode(*code))
    }
}
