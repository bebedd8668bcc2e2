//! Maps: which of the server's items became which of ours (§3.6).

use super::step::Step;
use crate::message::{Command, Location, Map, MapItem, Status, StatusCode};
use crate::session::outbox::Outbox;
use crate::session::state::{Package, StoreState};
use crate::session::turn::{broken, sent_ref};
use crate::store::{Guid, MapRow, MapState, Result, Tx};

/// Map entries sent in one message, if they fit: 40 KB of them.
const MAP_PAGE: usize = 1_000;

impl Step<'_> {
    /// `opened` is whether the answer let this session in, which it does once.
    pub(super) fn take_map_status(&mut self, tx: &mut dyn Tx, status: &Status<'_>, opened: bool) -> Result<()> {
        let device = self.turn.device;
        let Some(sent_as) = sent_ref(status) else { return Ok(()) };
        for store in &mut self.state.stores {
            let Some((.., upto)) =
                store.map_sent.filter(|(msg, cmd, _)| (*msg, *cmd) == (sent_as.msg_id, sent_as.cmd_id))
            else {
                continue;
            };
            // A server that knows nothing of the book, because the session is lost, has not heard it.
            if store.failed.is_some() {
                continue;
            }
            // Nor has one that has lost the session and begun it anew with this message: it is told the next time.
            if opened && status.code == StatusCode::NOT_FOUND {
                store.map_refused = upto;
                store.map_sent = None;
                continue;
            }
            // Otherwise it has been told, whatever it says; should it have forgotten the item, it adds it again.
            for epoch in std::iter::once(store.epoch).chain(store.old_epoch) {
                loop {
                    let mut rows = tx.unconfirmed_maps(device, store.book, epoch, MAP_PAGE)?;
                    rows.retain(|row| row.guid <= upto);
                    if rows.is_empty() {
                        break;
                    }
                    let told = |row| MapRow { state: MapState::Live, ..row };
                    let rows: Vec<MapRow> = rows.into_iter().map(told).collect();
                    tx.put_maps(device, store.book, &rows)?;
                }
            }
            store.map_sent = None;
        }
        Ok(())
    }

    /// Tells which of the server's items became which of ours; `true` when all of them are told.
    pub(super) fn write_maps(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> Result<bool> {
        let device = self.turn.device;
        for store in self.state.stores.iter_mut().filter(|store| store.active()) {
            let told = store.map_sent.map_or(store.map_refused, |(_, _, upto)| upto);
            // Before a sync of everything the server hears what the map before has to tell, or it could not know items
            // that were edited here since.
            let epoch = match store.old_epoch {
                Some(old) if self.state.package == Package::Sending && !store.resuming => old,
                _ => store.epoch,
            };
            let mut rows = tx.unconfirmed_maps(device, store.book, epoch, MAP_PAGE + 1)?;
            rows.retain(|row| row.guid > told);
            if epoch != store.epoch {
                // What was deleted here since is not shown in a sync of everything, and so must not be mapped either.
                let guids: Vec<Guid> = rows.iter().map(|row| row.guid).collect();
                let mut items = tx.items(store.book, &guids)?.into_iter();
                rows.retain(|_| items.next().flatten().is_some_and(|item| !item.deleted));
            }
            let mut more = rows.len() > MAP_PAGE;
            rows.truncate(MAP_PAGE);
            if rows.is_empty() {
                continue;
            }
            let cmd = loop {
                let map = map_of(store, &rows);
                match outbox.command(|cmd_id| Command::Map(Map { cmd_id, ..map })).map_err(broken)? {
                    Some(cmd) => break cmd,
                    // As many as fit.
                    None if rows.len() > 1 => {
                        rows.truncate(rows.len() / 2);
                        more = true;
                    }
                    None => return Ok(false),
                }
            };
            let Some(last) = rows.last().map(|row| row.guid) else { continue };
            store.map_sent = Some((self.msg_id, cmd, last));
            if more {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn map_of(store: &StoreState, rows: &[MapRow]) -> Map<'static> {
    let item = |row: &MapRow| MapItem {
        target: Location::new(row.luid.clone()),
        source: Location::new(crate::session::guid::luid(row.guid)),
    };
    Map {
        cmd_id: crate::message::CmdId::from(0),
        target: Location::new(store.there.clone()),
        source: Location::new(store.here.clone()),
        cred: None,
        meta: None,
        items: rows.iter().map(item).collect(),
    }
}
