//! The sync of a book begins, as an alert of the device asks and the anchors decide (§3.3).

use super::init::find_datastore;
use super::step::Step;
use crate::message::{Alert, AlertCode, Anchor, Item, StatusCode, Timestamp};
use crate::session::datastore::Datastore;
use crate::session::guarded::weigh_slow_sync;
use crate::session::large::{discard, resume};
use crate::session::outbox::Extra;
use crate::session::state::{Package, StoreState};
use crate::session::trust::Wanted;
use crate::session::turn::fold_open_epoch;
use crate::store::{BookNo, BookRow, HoldReason, PairRow, Phase, Result, Revision, Tx};
use crate::sync::filter::{Filter, FilterError};
use crate::sync::{
    AlertDecision, AlertFacts, Reaction, Role, SlowReason, SyncType, decide_alert, is_no_anchor, next_anchor,
};

/// A sync that an alert asks for, as it was decided.
struct Plan<'a> {
    book: BookNo,
    /// Our datastore's address as the device spells it.
    here: String,
    item: &'a Item<'a>,
    requested: AlertCode,
    filter: Option<Filter>,
    /// Whether the alert's own credential opened the book.
    granted: bool,
    sync: SyncType,
    /// Whether the device missed the end of the last sync.
    lost_reply: bool,
    /// Why it is not the sync asked for.
    reason: Option<SlowReason>,
    /// Whether the device shows no anchor that it was given.
    forgot: bool,
    /// Whether a sync that broke off goes on.
    resumed: bool,
}

impl Plan<'_> {
    /// Why everything is compared, in a word for metrics.
    fn word(&self) -> Option<&'static str> {
        let asked = self.sync == SyncType::Slow && self.requested != AlertCode::RESUME;
        self.reason.map(SlowReason::name).or_else(|| asked.then_some("asked"))
    }

    /// What the device wants to be sent, and the sync it asks for, as it has to be understood where it had another filter.
    fn wishes(&self, pair: &PairRow) -> (Option<Filter>, SyncType, bool) {
        let filter = match self.sync {
            // Where nothing is sent, nothing is kept from anybody.
            SyncType::OneWayFromClient => None,
            // But what is not there may be what the device does not ask for.
            SyncType::RefreshFromClient => self.filter.clone().and_then(Filter::of_records),
            _ => self.filter.clone(),
        };
        let refilter = pair.filter_hash != filter.as_ref().map(Filter::digest);
        let asked = match SyncType::from_alert(self.requested).unwrap_or(self.sync) {
            // What another filter kept from the device is not gone because the device has it not.
            SyncType::RefreshFromClient if refilter && pair.filter_hash.is_some() => SyncType::OneWayFromClient,
            asked => asked,
        };
        (filter, asked, refilter)
    }
}

/// What an alert is answered.
struct Answer {
    code: StatusCode,
    chal: Option<Wanted>,
    extra: Option<Extra>,
}

impl Answer {
    fn saying(code: StatusCode, text: &str) -> Self {
        Self { extra: Some(Extra::Text(text.to_owned())), ..Self::from(code) }
    }
}

impl From<StatusCode> for Answer {
    fn from(code: StatusCode) -> Self {
        Self { code, chal: None, extra: None }
    }
}

impl Step<'_, '_> {
    pub(super) fn take_sync_alert(&mut self, tx: &mut dyn Tx, index: usize, alert: &Alert<'_>) -> Result<()> {
        let Some(item) = alert.items.first() else {
            let queued = self.queued(index, StatusCode::INCOMPLETE_COMMAND);
            self.answer(index, queued);
            return Ok(());
        };
        let Answer { code, chal, extra } = match self.plan(alert, item) {
            Ok(plan) => self.begin(tx, &plan)?,
            Err(refusal) => refusal,
        };
        let mut queued = self.queued(index, code).about(item);
        (queued.chal, queued.extra) = (chal, extra);
        self.answer(index, queued);
        Ok(())
    }

    /// Decides which sync is held; what the alert is answered if none is.
    fn plan<'a>(&mut self, alert: &Alert<'_>, item: &'a Item<'a>) -> std::result::Result<Plan<'a>, Answer> {
        let Some((here, book, datastore)) = find_datastore(item) else { return Err(StatusCode::NOT_FOUND.into()) };
        if self.state.package != Package::Init {
            return Err(StatusCode::FORBIDDEN.into());
        }
        let granted = self.opens(alert, book).map_err(|(code, chal)| Answer { chal, ..code.into() })?;
        let filter = read_filter(item, datastore).map_err(|error| Answer::saying(error.status(), error.feature()))?;
        let requested = self.meaning(alert).unwrap_or(AlertCode::TWO_WAY);
        let hears_only = self.hears_only(alert);
        let (Some(row), Some(pair)) = (self.turn.rows.get(&book), self.turn.pairs.get_mut(&book)) else {
            return Err(if hears_only { StatusCode::NOT_FOUND } else { StatusCode::DEVICE_FULL }.into());
        };
        if hears_only && book.is_named() && row.head == Revision(0) {
            return Err(StatusCode::NOT_FOUND.into());
        }
        let last = anchor_of(item).and_then(|anchor| anchor.last.as_deref());
        let begun = SyncType::from_alert(AlertCode(pair.sync_type));
        let decision = decide_alert(&AlertFacts {
            requested,
            last,
            stored: pair.peer_next.as_deref(),
            previous: pair.peer_prev.as_deref(),
            purged: pair.cursor < row.purged_upto,
            open: begun.filter(|_| pair.phase != Phase::Idle),
            alerted: begun.filter(|_| pair.phase == Phase::Idle),
            supported: &SyncType::ALL,
        });
        let (sync, lost_reply, reason) = match decision {
            AlertDecision::Hold { sync, lost_reply } => (sync, lost_reply, None),
            AlertDecision::Escalate { sync, reason } => (sync, false, Some(reason)),
            AlertDecision::Refuse(code) => return Err(code.into()),
        };
        let shows = last.is_some() && (pair.peer_next.as_deref() == last || pair.peer_prev.as_deref() == last);
        let forgot = pair.peer_next.is_some() && !shows;
        // Where nothing was said after the alerts there is nothing to go on with: the same sync is held from its start.
        let resumed = requested == AlertCode::RESUME && reason.is_none() && pair.phase != Phase::Idle;
        // Everything would be compared although nobody asked for it, and not for the first time.
        if let Some(reason) = reason.filter(|reason| *reason != SlowReason::FirstSync)
            && let Some(reaction) =
                weigh_slow_sync(self.turn.manners.treatment(book), pair, row, self.now, reason.sentence())
        {
            self.told.unwanted.push((book, reaction));
            let code = match reaction {
                Reaction::Hold => StatusCode::SERVICE_UNAVAILABLE,
                Reaction::Proceed | Reaction::Refuse => StatusCode::FORBIDDEN,
            };
            return Err(Answer::saying(code, HoldReason::SlowSync.sentence()));
        }
        Ok(Plan { book, here, item, requested, filter, granted, sync, lost_reply, reason, forgot, resumed })
    }

    fn begin(&mut self, tx: &mut dyn Tx, plan: &Plan<'_>) -> Result<Answer> {
        let left_over = if plan.resumed { None } else { self.settle_before(tx, plan)? };
        let (Some(row), Some(pair)) = (self.turn.rows.get(&plan.book), self.turn.pairs.get_mut(&plan.book)) else {
            return Ok(StatusCode::NOT_FOUND.into());
        };
        let mut store = open_sync(plan, row, pair, self.now);
        if plan.resumed {
            resume(tx, self.turn.device, &mut store)?;
        }
        if let Some((left_over, settled)) = left_over {
            (store.held, store.received) = (left_over.held, left_over.received);
            (store.hold, store.notes) = (left_over.hold.clone(), left_over.notes.clone());
            store.left_over = (!settled).then(|| Box::new(left_over));
        }
        let code = match plan.reason {
            Some(_) => StatusCode::REFRESH_REQUIRED,
            None if plan.granted => StatusCode::AUTHENTICATED,
            None => StatusCode::OK,
        };
        let extra = store.peer_next.clone().map(Extra::Next);
        self.told.slow.extend(plan.word().map(|word| (plan.book, word)));
        // The same datastore alerted twice: the last word counts.
        self.state.stores.retain(|known| known.book != plan.book);
        self.state.stores.push(store);
        Ok(Answer { extra, ..code.into() })
    }

    /// Ends what an earlier session left open, as far as there is time for it now: what it left, and whether that is settled.
    fn settle_before(&mut self, tx: &mut dyn Tx, plan: &Plan<'_>) -> Result<Option<(StoreState, bool)>> {
        let (Some(row), Some(pair)) = (self.turn.rows.get(&plan.book), self.turn.pairs.get_mut(&plan.book)) else {
            return Ok(None);
        };
        fold_open_epoch(tx, pair)?;
        discard(tx, self.turn.device, plan.book)?;
        let mut left_over = StoreState {
            start_live: row.live_items,
            forgot: plan.forgot,
            shown_again: plan.sync.is_full() && plan.sync.sends(Role::Client),
            lens: pair.lens,
            ..StoreState::new(plan.book, SyncType::TwoWay, pair.epoch)
        };
        self.turn.lenses.load(tx, left_over.lens)?;
        let left = self.turn.settle_left_over(tx, &mut left_over, self.budget)?;
        self.budget = left.unwrap_or(0);
        Ok(Some((left_over, left.is_some())))
    }
}

/// What the session remembers of a sync that begins, and its pair.
fn open_sync(plan: &Plan<'_>, row: &BookRow, pair: &mut PairRow, now: Timestamp) -> StoreState {
    let own_next = next_anchor(now, pair.own_next.as_deref());
    let own_last = if plan.lost_reply { pair.own_prev.clone() } else { pair.own_next.clone() };
    let (filter, asked, refilter) = plan.wishes(pair);
    pair.sync_type = plan.sync.alert().0;
    if !plan.resumed {
        // Once the device has said something more, there is something to be kept.
        pair.phase = Phase::Idle;
        pair.start_head = row.head;
    }
    if plan.sync == SyncType::RefreshFromServer {
        // The device may empty itself before it hears anything (§3.5): until this has ended, no anchor of before says
        // what it has.
        (pair.peer_next, pair.peer_prev) = (None, None);
    }
    if refilter && plan.sync.sends(Role::Server) {
        // No filter is in force until the device has all that this one wants it to have.
        pair.filter_hash = Some(Vec::new());
    }
    let (meta, anchor) = (plan.item.meta.as_ref(), anchor_of(plan.item));
    let last = anchor.and_then(|anchor| anchor.last.as_deref());
    StoreState {
        asked,
        filter,
        refilter,
        first: pair.peer_next.is_none() && pair.own_next.is_none(),
        start_head: pair.start_head,
        start_live: row.live_items,
        seen_head: row.head,
        alone: plan.sync.is_full() && row.live_items == 0 && !plan.resumed,
        staged: plan.resumed,
        resuming: plan.resumed,
        // What it showed before a sync of everything broke off, it showed without an anchor, too.
        forgot: plan.forgot && (!plan.resumed || plan.sync.is_full()),
        max_obj: meta.and_then(|meta| meta.max_obj_size),
        room: meta.and_then(|meta| meta.mem).map(Into::into),
        there: plan.item.source.as_ref().map_or_else(|| plan.here.clone(), |source| source.uri.to_string()),
        here: plan.here.clone(),
        reason: plan.reason.map(|reason| reason.sentence().to_owned()),
        peer_next: anchor.map(|anchor| anchor.next.to_string()),
        peer_last: last.filter(|last| !is_no_anchor(last)).map(str::to_owned),
        own_next,
        own_last,
        ..StoreState::new(plan.book, plan.sync, pair.epoch)
    }
}

fn anchor_of<'a>(item: &'a Item<'_>) -> Option<&'a Anchor<'a>> {
    item.meta.as_ref()?.anchor.as_ref()
}

/// The filter of an Alert's item: its own, or, as 1.x has it, in its address.
fn read_filter(item: &Item<'_>, datastore: &Datastore) -> std::result::Result<Option<Filter>, FilterError> {
    match (&item.filter, &item.target) {
        (Some(filter), _) => Filter::of_alert(filter, datastore.kind),
        (None, Some(target)) => Filter::of_address(&target.uri, datastore.kind),
        (None, None) => Ok(None),
    }
}
