//! The device's alerts: which datastores are synced, and how (§3.1, §3.3).

use super::step::Step;
use crate::codec::EncodeError;
use crate::message::{Alert, AlertCode, Command, Get, Item, Location, Meta, StatusCode, Version};
use crate::session::datastore::{self, Datastore};
use crate::session::devinf;
use crate::session::guarded::weigh_slow_sync;
use crate::session::large::{discard, resume};
use crate::session::outbox::{Extra, Outbox};
use crate::session::profile::Manners;
use crate::session::state::{Package, StoreState};
use crate::session::turn::fold_open_epoch;
use crate::store::{BookNo, HoldReason, Phase, Result, Revision, Tx};
use crate::sync::filter::{Filter, FilterError};
use crate::sync::{
    AlertDecision, AlertFacts, Reaction, Role, SlowReason, SyncType, decide_alert, is_no_anchor, next_anchor,
};

/// How often a device may say its package 1 again in one session (§9.4).
const MAX_RESTARTS: u8 = 8;

/// The most books with a name that an account has.
const MAX_NAMED: usize = 256;

impl Step<'_, '_> {
    /// The books that this message's alerts name. One with a name is there once a device has sent something into it; who
    /// only wants to hear of it does not make it, and nobody makes more than [`MAX_NAMED`].
    pub(super) fn alerted_books(&self, tx: &mut dyn Tx) -> Result<Vec<BookNo>> {
        let mut books = Vec::new();
        for command in &self.message.body {
            let Command::Alert(alert) = command else { continue };
            let Some((_, book, _)) = alert.items.first().and_then(find_datastore) else { continue };
            let there = !book.is_named() || tx.book(book)?.is_some();
            if there || !self.hears_only(alert) && named_books(tx)? < MAX_NAMED {
                books.push(book);
            }
        }
        Ok(books)
    }

    /// Whether this message's alerts name any book.
    pub(super) fn alerts_books(&self) -> bool {
        self.message.body.iter().any(|command| match command {
            Command::Alert(alert) => alert.items.first().and_then(find_datastore).is_some(),
            _ => false,
        })
    }

    /// Whether an alert's sync brings us nothing.
    fn hears_only(&self, alert: &Alert<'_>) -> bool {
        self.meaning(alert).and_then(SyncType::from_alert).is_some_and(|sync| !sync.sends(Role::Client))
    }

    pub(super) fn take_alerts(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let message = self.message;
        if self.begins_again() && self.state.restarts < MAX_RESTARTS {
            self.state.restarts += 1;
            self.state.package = Package::Init;
        }
        for (index, command) in message.body.iter().enumerate() {
            let Command::Alert(alert) = command else { continue };
            let code = match self.meaning(alert) {
                Some(_) if self.asks_to_sync(alert) => {
                    self.take_sync_alert(tx, index, alert)?;
                    continue;
                }
                Some(AlertCode::SUSPEND) if self.state.version == Version::V12 => StatusCode::OK,
                Some(AlertCode::NO_END_OF_DATA) => {
                    self.turn.break_off(tx, &mut self.state)?;
                    StatusCode::OK
                }
                Some(AlertCode::NEXT_MESSAGE | AlertCode::DISPLAY) => StatusCode::OK,
                Some(AlertCode::GENERIC) => self.take_report(tx, alert)?,
                // What was answered 101 was not done; there is no result of it, and the device begins anew (§3.11).
                Some(AlertCode::RESULT) => StatusCode::TIMEOUT,
                Some(code) if self.turn.manners.is_idle_alert(code) => StatusCode::OK,
                Some(_) => StatusCode::UNSUPPORTED_FEATURE,
                None => StatusCode::INCOMPLETE_COMMAND,
            };
            let mut queued = self.queued(index, code);
            queued.idle = alert.code == Some(AlertCode::NEXT_MESSAGE);
            if let Some(item) = alert.items.first() {
                queued = queued.about(item);
            }
            self.answer(index, queued);
        }
        Ok(())
    }

    /// The code of an alert, as this device means it.
    fn meaning(&self, alert: &Alert<'_>) -> Option<AlertCode> {
        alert.code.map(|code| self.turn.manners.alert(code))
    }

    fn asks_to_sync(&self, alert: &Alert<'_>) -> bool {
        asks_to_sync(alert, &self.turn.manners, self.state.version)
    }

    /// A device that did not get our package 2 says its package 1 again, perhaps in the same session.
    fn begins_again(&self) -> bool {
        let alerts = |command: &Command<'_>| matches!(command, Command::Alert(alert) if self.asks_to_sync(alert));
        let changes = |command: &Command<'_>| matches!(command, Command::Sync(_));
        self.state.package == Package::Changes
            && !self.state.stores.iter().any(|store| store.sync_seen)
            && self.message.body.iter().any(alerts)
            && !self.message.body.iter().any(changes)
    }

    fn take_sync_alert(&mut self, tx: &mut dyn Tx, index: usize, alert: &Alert<'_>) -> Result<()> {
        let Some(item) = alert.items.first() else {
            let queued = self.queued(index, StatusCode::INCOMPLETE_COMMAND);
            self.answer(index, queued);
            return Ok(());
        };
        let refuse = |step: &mut Self, code| {
            let queued = step.queued(index, code).about(item);
            step.answer(index, queued);
            Ok(())
        };
        let Some((here, book, datastore)) = find_datastore(item) else { return refuse(self, StatusCode::NOT_FOUND) };
        if self.state.package != Package::Init {
            return refuse(self, StatusCode::FORBIDDEN);
        }
        let granted = match self.opens(alert, book) {
            Ok(granted) => granted,
            Err((code, chal)) => {
                let mut queued = self.queued(index, code).about(item);
                queued.chal = chal;
                self.answer(index, queued);
                return Ok(());
            }
        };
        let filter = match read_filter(item, datastore) {
            Ok(filter) => filter,
            Err(error) => {
                let queued = self.queued(index, error.status()).about(item);
                self.answer(index, queued.saying(Extra::Text(error.feature().to_owned())));
                return Ok(());
            }
        };
        let requested = self.meaning(alert).unwrap_or(AlertCode::TWO_WAY);
        let hears_only = self.hears_only(alert);
        let (Some(row), Some(pair)) = (self.turn.rows.get(&book), self.turn.pairs.get_mut(&book)) else {
            return refuse(self, if hears_only { StatusCode::NOT_FOUND } else { StatusCode::DEVICE_FULL });
        };
        if hears_only && book.is_named() && row.head == Revision(0) {
            return refuse(self, StatusCode::NOT_FOUND);
        }
        let anchor = item.meta.as_ref().and_then(|meta| meta.anchor.as_ref());
        let begun = SyncType::from_alert(AlertCode(pair.sync_type));
        let decision = decide_alert(&AlertFacts {
            requested,
            last: anchor.and_then(|anchor| anchor.last.as_deref()),
            stored: pair.peer_next.as_deref(),
            previous: pair.peer_prev.as_deref(),
            purged: pair.cursor < row.purged_upto,
            open: begun.filter(|_| pair.phase != Phase::Idle),
            alerted: begun.filter(|_| pair.phase == Phase::Idle),
            supported: &SyncType::ALL,
        });
        let (sync, lost_reply, reason, word) = match decision {
            AlertDecision::Hold { sync, lost_reply } => {
                let asked = sync == SyncType::Slow && requested != AlertCode::RESUME;
                (sync, lost_reply, None, asked.then_some("asked"))
            }
            AlertDecision::Escalate { sync, reason } => {
                (sync, false, Some(reason.sentence().to_owned()), Some(reason.name()))
            }
            AlertDecision::Refuse(code) => return refuse(self, code),
        };
        let known = |anchor: &str| [&pair.peer_next, &pair.peer_prev].iter().any(|own| own.as_deref() == Some(anchor));
        let shows = anchor.and_then(|anchor| anchor.last.as_deref()).is_some_and(known);
        let forgot = pair.peer_next.is_some() && !shows;
        let treatment = self.turn.manners.treatment(book);
        if let Some(cause) = unexpected(&decision)
            && let Some(reaction) = weigh_slow_sync(treatment, pair, row, self.now, cause)
        {
            let code = match reaction {
                Reaction::Hold => StatusCode::SERVICE_UNAVAILABLE,
                Reaction::Proceed | Reaction::Refuse => StatusCode::FORBIDDEN,
            };
            self.told.unwanted.push((book, reaction));
            let queued = self.queued(index, code).about(item);
            self.answer(index, queued.saying(Extra::Text(HoldReason::SlowSync.sentence().to_owned())));
            return Ok(());
        }
        let mut left_over = StoreState::new(book, SyncType::TwoWay, pair.epoch);
        let mut settled = true;
        // Where nothing was said after the alerts there is nothing to go on with: the same sync is held from its start.
        let resumed = requested == AlertCode::RESUME && reason.is_none() && pair.phase != Phase::Idle;
        if !resumed {
            fold_open_epoch(tx, pair)?;
            discard(tx, self.turn.device, book)?;
            left_over = StoreState::new(book, SyncType::TwoWay, pair.epoch);
            left_over.start_live = row.live_items;
            left_over.forgot = forgot;
            left_over.shown_again = sync.is_full() && sync.sends(Role::Client);
            left_over.lens = pair.lens;
            self.turn.lenses.load(tx, left_over.lens)?;
            let left = self.turn.settle_left_over(tx, &mut left_over, self.budget)?;
            (settled, self.budget) = (left.is_some(), left.unwrap_or(0));
        }
        let (Some(row), Some(pair)) = (self.turn.rows.get(&book), self.turn.pairs.get_mut(&book)) else {
            return refuse(self, StatusCode::NOT_FOUND);
        };
        let own_next = next_anchor(self.now, pair.own_next.as_deref());
        let last = if lost_reply { pair.own_prev.clone() } else { pair.own_next.clone() };
        if !resumed {
            // Once the device has said something more, there is something to be kept.
            pair.phase = Phase::Idle;
        }
        pair.sync_type = sync.alert().0;
        if sync == SyncType::RefreshFromServer {
            // The device may empty itself before it hears anything (§3.5): until this has ended, no anchor of before says
            // what it has.
            (pair.peer_next, pair.peer_prev) = (None, None);
        }
        if !resumed {
            pair.start_head = row.head;
        }
        let mut store = StoreState::new(book, sync, pair.epoch);
        store.asked = SyncType::from_alert(requested).unwrap_or(sync);
        store.filter = match sync {
            // Where nothing is sent, nothing is kept from anybody.
            SyncType::OneWayFromClient => None,
            // But what is not there may be what the device does not ask for.
            SyncType::RefreshFromClient => filter.and_then(Filter::of_records),
            _ => filter,
        };
        let digest = store.filter.as_ref().map(Filter::digest);
        if pair.filter_hash != digest && pair.filter_hash.is_some() && store.asked == SyncType::RefreshFromClient {
            // What another filter kept from the device is not gone because the device has it not.
            store.asked = SyncType::OneWayFromClient;
        }
        store.refilter = pair.filter_hash != digest;
        if store.refilter && sync.sends(Role::Server) {
            // No filter is in force until the device has all that this one wants it to have.
            pair.filter_hash = Some(Vec::new());
        }
        store.first = pair.peer_next.is_none() && pair.own_next.is_none();
        store.start_head = pair.start_head;
        store.start_live = row.live_items;
        store.held = left_over.held;
        (store.hold, store.notes) = (left_over.hold.clone(), left_over.notes.clone());
        store.alone = sync.is_full() && row.live_items == 0 && !resumed;
        if resumed {
            resume(tx, self.turn.device, &mut store)?;
        }
        store.staged = resumed;
        store.resuming = resumed;
        // What it showed before a sync of everything broke off, it showed without an anchor, too.
        store.forgot = forgot && (!resumed || sync.is_full());
        store.seen_head = row.head;
        store.received = left_over.received;
        store.left_over = (!settled).then(|| Box::new(left_over));
        store.max_obj = item.meta.as_ref().and_then(|meta| meta.max_obj_size);
        store.room = item.meta.as_ref().and_then(|meta| meta.mem).map(Into::into);
        store.here = here;
        store.there = item.source.as_ref().map_or_else(|| store.here.clone(), |source| source.uri.to_string());
        store.reason.clone_from(&reason);
        store.peer_next = anchor.map(|anchor| anchor.next.to_string());
        store.peer_last =
            anchor.and_then(|anchor| anchor.last.as_deref()).filter(|last| !is_no_anchor(last)).map(str::to_owned);
        store.own_next = own_next;
        store.own_last = last;

        let code = match reason {
            Some(_) => StatusCode::REFRESH_REQUIRED,
            None if granted => StatusCode::AUTHENTICATED,
            None => StatusCode::OK,
        };
        let mut queued = self.queued(index, code).about(item);
        if let Some(next) = &store.peer_next {
            queued = queued.saying(Extra::Next(next.clone()));
        }
        self.answer(index, queued);
        // The same datastore alerted twice: the last word counts.
        self.state.stores.retain(|known| known.book != store.book);
        self.told.slow.extend(word.map(|word| (store.book, word)));
        self.state.stores.push(store);
        Ok(())
    }

    /// Whether alerts of ours did not fit yet.
    pub(super) fn owes_alerts(&self) -> bool {
        self.state.stores.iter().any(|store| store.active() && store.alert_ref.is_none())
    }

    /// Our alerts, and a Get if the device never said what it is.
    pub(super) fn write_alerts(&mut self, outbox: &mut Outbox) -> std::result::Result<(), EncodeError> {
        let unalerted = |store: &&mut StoreState| store.active() && store.alert_ref.is_none();
        for store in self.state.stores.iter_mut().filter(unalerted) {
            let meta = Meta {
                anchor: Some(outbox.anchor(store.own_last.as_deref(), &store.own_next)),
                max_obj_size: Some(self.turn.manners.announced(self.turn.large.object_of(store.book.kind()))),
                ..Meta::default()
            };
            let item = Item {
                target: Some(Location::new(store.there.clone())),
                source: Some(Location::new(store.here.clone())),
                meta: Some(meta),
                ..Item::default()
            };
            let code = store.sync.alert();
            let cmd = outbox.command(|cmd_id| {
                Command::Alert(Alert {
                    cmd_id,
                    no_resp: false,
                    cred: None,
                    code: Some(code),
                    correlator: None,
                    items: vec![item],
                })
            })?;
            store.alert_ref = cmd.map(|cmd| (self.message.header.msg_id.0, cmd));
        }
        if self.first && self.device.devinf.is_none() && !self.state.asked_devinf {
            let uri = outbox.version().devinf_uri();
            let media_type = devinf::media_type(self.encoding);
            let item = Item { target: Some(Location::new(uri)), ..Item::default() };
            let asked = outbox.command(|cmd_id| {
                Command::Get(Get {
                    cmd_id,
                    no_resp: false,
                    lang: None,
                    cred: None,
                    meta: Some(Meta::of_type(media_type)),
                    items: vec![item],
                })
            })?;
            self.state.asked_devinf = asked.is_some();
        }
        Ok(())
    }
}

/// Whether an alert asks for a sync, or to go on with one: nothing before 1.2 does that (§3.13).
pub(super) fn asks_to_sync(alert: &Alert<'_>, manners: &Manners, version: Version) -> bool {
    alert.code.map(|code| manners.alert(code)).is_some_and(|code| {
        SyncType::from_alert(code).is_some() || code == AlertCode::RESUME && version == Version::V12
    })
}

/// Why everything would be compared although nobody asked for it; `None` if it would not, or if it is the first time.
fn unexpected(decision: &AlertDecision) -> Option<&'static str> {
    match decision {
        AlertDecision::Escalate { reason, .. } if *reason != SlowReason::FirstSync => Some(reason.sentence()),
        _ => None,
    }
}

/// The filter of an Alert's item: its own, or, as 1.x has it, in its address.
fn read_filter(item: &Item<'_>, datastore: &Datastore) -> std::result::Result<Option<Filter>, FilterError> {
    match (&item.filter, &item.target) {
        (Some(filter), _) => Filter::of_alert(filter, datastore.kind),
        (None, Some(target)) => Filter::of_address(&target.uri, datastore.kind),
        (None, None) => Ok(None),
    }
}

fn named_books(tx: &mut dyn Tx) -> Result<usize> {
    Ok(tx.books()?.iter().filter(|row| row.book.is_named()).count())
}

/// The datastore an alert's item means: by its Target, else by its Source (some phones send no Target), else by type.
pub(super) fn find_datastore(item: &Item<'_>) -> Option<(String, BookNo, &'static Datastore)> {
    let target = item.target.as_ref().map(|target| &*target.uri).filter(|uri| !uri.is_empty());
    let named = target.or_else(|| item.source.as_ref().map(|source| &*source.uri))?;
    let typed = || item.meta.as_ref().and_then(|meta| meta.media_type.as_deref()).and_then(datastore::by_media_type);
    let found = datastore::locate(named).or_else(|| typed().map(|datastore| (datastore.book, datastore)));
    found.map(|(book, datastore)| (named.to_owned(), book, datastore))
}
