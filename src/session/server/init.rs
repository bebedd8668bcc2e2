//! The device's alerts: which datastores are synced, and how (§3.1, §3.3).

use super::step::Step;
use crate::codec::EncodeError;
use crate::message::{Alert, AlertCode, Command, Get, Item, Location, Meta, StatusCode, Version};
use crate::session::datastore::{self, Datastore};
use crate::session::devinf;
use crate::session::outbox::Outbox;
use crate::session::profile::Manners;
use crate::session::state::{Package, StoreState};
use crate::store::{BookNo, Result, Tx};
use crate::sync::{Role, SyncType};

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
    pub(super) fn hears_only(&self, alert: &Alert<'_>) -> bool {
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
    pub(super) fn meaning(&self, alert: &Alert<'_>) -> Option<AlertCode> {
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
