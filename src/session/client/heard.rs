//! What an answer of the server says: what it is, its Alerts, its word on ours, and its changes.

use super::step::Step;
use crate::message::{AlertCode, Command, Message, StatusCode};
use crate::session::devinf;
use crate::session::guarded::weigh_slow_sync;
use crate::session::large::give_up;
use crate::session::outbox::{Extra, Queued};
use crate::session::state::StoreState;
use crate::session::turn::{find_store, fold_open_epoch, out_of_place, refuse_all, sent_ref};
use crate::store::{HoldReason, PairRow, Result, Tx};
use crate::sync::{OnAlert, Role, SyncType, status_policy};

impl Step<'_> {
    pub(super) fn take_devinf(&mut self, message: &Message<'_>) -> Vec<Queued> {
        let statuses = devinf::keep(message, self.state.version, &mut self.device);
        if !statuses.is_empty() {
            self.choose_manners();
        }
        statuses.into_iter().map(|(_, queued)| queued).collect()
    }

    /// The server's alerts say which sync is held; a kind that we do not hold ends the book's sync.
    pub(super) fn take_alerts(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<Vec<Queued>> {
        let mut statuses = Vec::new();
        for command in &message.body {
            let Command::Alert(alert) = command else { continue };
            let item = alert.items.first();
            let sync = alert.code.and_then(SyncType::from_alert);
            let (Some(sync), Some(item)) = (sync, item) else {
                let code = match alert.code {
                    Some(AlertCode::NEXT_MESSAGE | AlertCode::NO_END_OF_DATA | AlertCode::DISPLAY) => StatusCode::OK,
                    _ => StatusCode::UNSUPPORTED_FEATURE,
                };
                let mut status = Queued::of(message, command, code);
                status.idle = alert.code == Some(AlertCode::NEXT_MESSAGE);
                if alert.code == Some(AlertCode::NO_END_OF_DATA) {
                    self.turn.break_off(tx, &mut self.state)?;
                }
                statuses.push(match item {
                    Some(item) => status.about(item),
                    None => status,
                });
                continue;
            };
            let found = find_store(&self.state.stores, item.target.as_ref(), item.source.as_ref());
            let (code, next) = match found.map(|at| &mut self.state.stores[at]) {
                None => (StatusCode::NOT_FOUND, None),
                Some(store) => {
                    let anchor = item.meta.as_ref().and_then(|meta| meta.anchor.as_ref());
                    store.peer_next = anchor.map(|anchor| anchor.next.to_string());
                    store.max_obj = item.meta.as_ref().and_then(|meta| meta.max_obj_size);
                    store.peer_last = anchor.and_then(|anchor| anchor.last.as_deref()).map(str::to_owned);
                    let treatment = self.turn.manners.treatment(store.book);
                    let known = (self.turn.pairs.get_mut(&store.book), self.turn.rows.get(&store.book));
                    let held = match known {
                        (Some(pair), Some(row)) if surprises(store, sync) => {
                            weigh_slow_sync(treatment, pair, row, self.now, WANTED_BY_SERVER)
                        }
                        _ => None,
                    };
                    if held.is_some() {
                        store.failed = Some(StatusCode::FORBIDDEN.0);
                        store.reason = Some(HoldReason::SlowSync.sentence().to_owned());
                        (StatusCode::FORBIDDEN, None)
                    } else {
                        let pair = self.turn.pairs.get_mut(&store.book).map(|pair| &mut **pair);
                        (take_alert(tx, store, pair, sync)?, store.peer_next.clone())
                    }
                }
            };
            let status = Queued::of(message, command, code).about(item);
            statuses.push(match next {
                Some(next) => status.saying(Extra::Next(next)),
                None => status,
            });
        }
        Ok(statuses)
    }

    /// What the server says of our alerts, Syncs and Maps as such.
    pub(super) fn take_own_statuses(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<()> {
        for command in &message.body {
            let Command::Status(status) = command else { continue };
            let Some(sent_as) = sent_ref(status) else { continue };
            let reference = (sent_as.msg_id, sent_as.cmd_id);
            match &*status.cmd {
                "Alert" => {
                    self.take_report_status(status);
                    let store = self.state.stores.iter_mut().find(|store| store.alert_ref == Some(reference));
                    if let Some(store) = store {
                        store.alert_ref = None;
                        let book = store.book;
                        if self.book_is_asked(book, status) {
                            continue;
                        }
                        let Some(store) = self.state.stores.iter_mut().find(|store| store.book == book) else {
                            continue;
                        };
                        if status.code.0 >= 400 && std::mem::take(&mut store.resuming) {
                            // Then from the start; a server that knows no 225 is asked for that next time.
                            give_up(tx, self.turn.device, store)?;
                            if let Some(pair) = self.turn.pairs.get_mut(&store.book) {
                                fold_open_epoch(tx, pair)?;
                                (store.old_epoch, store.epoch) = (Some(pair.epoch), pair.epoch + 1);
                            }
                        }
                        // 508 comes with an Alert that says what to do instead; so may the 509 of who cannot resume.
                        let anew = status.code == StatusCode::CANNOT_RESUME && store.peer_next.is_some();
                        if !anew && matches!(status_policy(status.code).alert, OnAlert::Ended | OnAlert::Authenticate) {
                            store.failed = Some(status.code.0);
                        }
                    }
                }
                "Sync" => {
                    let of = |store: &&mut StoreState| {
                        store.sync_msg == sent_as.msg_id && store.sync_refs.contains(&sent_as.cmd_id)
                    };
                    if let Some(store) = self.state.stores.iter_mut().find(of)
                        && status.code.0 >= 400
                    {
                        store.failed = Some(status.code.0);
                    }
                }
                _ => {}
            }
        }
        let statuses = || {
            message.body.iter().filter_map(|command| match command {
                Command::Status(status) => Some(status),
                _ => None,
            })
        };
        let opened = statuses().any(|it| it.cmd == "SyncHdr" && it.code == StatusCode::AUTHENTICATED);
        let mut of_maps = statuses().filter(|it| it.cmd == "Map");
        of_maps.try_for_each(|status| self.take_map_status(tx, status, opened))
    }

    pub(super) fn take_syncs(&mut self, tx: &mut dyn Tx, message: &Message<'_>) -> Result<Vec<Queued>> {
        let msg_ref = message.header.msg_id.to_string();
        let mut statuses = Vec::new();
        for command in &message.body {
            match command {
                Command::Sync(sync) => {
                    let found = find_store(&self.state.stores, sync.target.as_ref(), sync.source.as_ref());
                    let code = match found.map(|at| &self.state.stores[at]) {
                        None => StatusCode::NOT_FOUND,
                        Some(store) => store.failed.map_or(StatusCode::OK, StatusCode),
                    };
                    if !sync.no_resp {
                        statuses
                            .push(Queued::of(message, command, code).at(sync.target.as_ref(), sync.source.as_ref()));
                    }
                    statuses.extend(match found {
                        // In a sync from here only, the server has nothing to say.
                        Some(at) if code == StatusCode::OK && !self.state.stores[at].sync.sends(Role::Server) => {
                            self.state.stores[at].sync_seen = true;
                            refuse_all(&sync.commands, &msg_ref, StatusCode::FORBIDDEN)
                        }
                        Some(at) if code == StatusCode::OK => {
                            let store = &mut self.state.stores[at];
                            store.sync_seen = true;
                            self.turn.take_sync(tx, store, sync, &msg_ref)?
                        }
                        _ => refuse_all(&sync.commands, &msg_ref, code),
                    });
                }
                Command::Get(get) => {
                    for item in &get.items {
                        let wanted = item.target.as_ref().is_some_and(|target| devinf::is_uri(&target.uri));
                        let code = if wanted { StatusCode::OK } else { StatusCode::NOT_FOUND };
                        statuses.push(Queued::of(message, command, code).about(item));
                        if wanted {
                            self.state.owe_results(&msg_ref, get.cmd_id.as_str());
                        }
                    }
                }
                Command::Exec(exec) if self.config.executor.is_some() => {
                    let code = self.take_errand(exec).unwrap_or(StatusCode::NOT_IMPLEMENTED);
                    statuses.push(Queued::of(message, command, code));
                }
                _ => {
                    let Some(code) = out_of_place(Role::Client, command) else { continue };
                    if command.cmd_id().is_some() && !command.no_resp() {
                        statuses.push(Queued::of(message, command, code));
                    }
                    if let Command::Container(container) = command {
                        statuses.extend(refuse_all(&container.commands, &msg_ref, code));
                    }
                }
            }
        }
        Ok(statuses)
    }
}

/// Why a client compares everything that did not ask for it.
const WANTED_BY_SERVER: &str = "the server wants everything compared";

/// Whether the server's Alert turns a sync of changes into one of everything.
fn surprises(store: &StoreState, sync: SyncType) -> bool {
    sync != store.sync && sync == store.sync.full() && !store.resuming && store.old_epoch.is_none()
}

/// What the server's Alert makes of a book's sync, and the answer to it.
fn take_alert(
    tx: &mut dyn Tx,
    store: &mut StoreState,
    pair: Option<&mut PairRow>,
    sync: SyncType,
) -> Result<StatusCode> {
    let Some(pair) = pair else { return Ok(StatusCode::NOT_FOUND) };
    if sync == store.sync {
        return Ok(StatusCode::OK);
    }
    if std::mem::take(&mut store.resuming) {
        // The server resumes another sync than ours: ours is given up, and what it did stays.
        give_up(tx, pair.device, store)?;
        fold_open_epoch(tx, pair)?;
        (store.sync, store.old_epoch, store.epoch) = (SyncType::TwoWay, None, pair.epoch);
        pair.sync_type = store.sync.alert().0;
        if sync == SyncType::TwoWay && store.own_last.is_some() {
            return Ok(StatusCode::OK);
        }
    }
    // Who wants to hear only may let the server believe in a sync in both directions.
    let hearing = !store.sync.sends(Role::Client);
    let sync = match sync {
        SyncType::TwoWay if hearing => return Ok(StatusCode::OK),
        SyncType::Slow if hearing => store.sync.full(),
        sync => sync,
    };
    // The server may turn a sync of changes into one of everything; anything else we did not ask for (§3.5).
    if sync != store.sync.full() {
        store.failed = Some(StatusCode::FORBIDDEN.0);
        return Ok(StatusCode::FORBIDDEN);
    }
    store.escalate(WANTED_BY_SERVER, pair.epoch);
    pair.sync_type = store.sync.alert().0;
    Ok(StatusCode::OK)
}
