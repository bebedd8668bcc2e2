//! What is said in a message: Syncs of our changes, Statuses, and what found no room before.

use super::{QUEUE_PAGE, Turn, broken};
use crate::message::{Alert, AlertCode, Command, DevInf, Item, Location, Mem, Version};
use crate::session::count::{count, differing};
use crate::session::datastore;
use crate::session::devinf;
use crate::session::outbox::{Outbox, Queued};
use crate::session::profile::ResumeObjects;
use crate::session::send::send;
use crate::session::state::{Position, State, StoreState};
use crate::store::{Result, StoreError, Token, Tx};

impl Turn {
    /// Writes a Sync of one datastore with as many of our changes as fit; `true` when all of them are in. `caps` is what
    /// the peer said of itself, `max_obj` the largest object it takes.
    pub(in crate::session) fn write_sync(
        &mut self,
        tx: &mut dyn Tx,
        store: &mut StoreState,
        outbox: &mut Outbox,
        caps: Option<&DevInf<'_>>,
        max_obj: Option<u64>,
    ) -> Result<bool> {
        let mut wants_count = false;
        let mut kin = false;
        if let (Some(caps), Some(datastore)) = (caps, datastore::by_number(store.book)) {
            let caps = devinf::capability(caps, &store.there, datastore);
            store.media = caps.media;
            store.max_guid = caps.max_guid;
            store.max_items = caps.max_items;
            wants_count = caps.number_of_changes;
            kin = caps.kin;
        }
        let manners = &self.manners;
        if let (Some(media), Some(datastore)) = (&manners.media, datastore::by_number(store.book)) {
            let has = |wanted: &&(String, String)| datastore.types.iter().any(|(name, _)| *name == wanted.0);
            store.media = media.iter().find(has).cloned().or_else(|| store.media.take());
        }
        store.max_guid = manners.max_guid.or(store.max_guid);
        wants_count = manners.number_of_changes.unwrap_or(wants_count);
        store.max_obj = store.max_obj.or(max_obj);
        store.resume_objects = manners.resume_objects.or_else(|| kin.then_some(ResumeObjects::Position));
        let takes_chunks = || {
            manners
                .large_objects
                .unwrap_or_else(|| store.max_obj.is_some() || caps.is_some_and(|caps| caps.large_objects))
        };
        store.chunks = outbox.version() != Version::V10 && takes_chunks();
        // Who does not send in this kind of sync sends an empty Sync (§10.2 row 35).
        let sends = store.sync.sends(self.role);
        let (there, here) = (store.there.clone(), store.here.clone());
        self.open(store, |open, pair| {
            let begins = sends && open.state.position == Position::Start && !open.sifts();
            let differing = if begins && wants_count { Some(differing(tx, open, pair)?) } else { None };
            let changes = differing.map(|differing| count(tx, open, pair, differing)).transpose()?;
            let mem = open.state.own_room.map(|room| Mem { shared: false, free_mem: room.bytes, free_id: room.items });
            let Some(cmd) = outbox.open_sync(&there, &here, changes, mem).map_err(broken)? else { return Ok(false) };
            let done = if sends { send(tx, open, pair, outbox, differing)? } else { true };
            // One that goes on from an earlier message and holds nothing says nothing.
            if outbox.close_sync(open.state.sync_msg == 0) {
                if open.state.sync_msg != outbox.msg_id() {
                    open.state.sync_msg = outbox.msg_id();
                    open.state.sync_refs.clear();
                }
                open.state.sync_refs.push(cmd);
            }
            Ok(done)
        })
    }
}

/// Writes the statuses left over from earlier messages, then those of this one.
pub(in crate::session) fn write_statuses(
    tx: &mut dyn Tx,
    token: &Token,
    outbox: &mut Outbox,
    statuses: impl IntoIterator<Item = Queued>,
) -> Result<()> {
    loop {
        let waiting = tx.queued_statuses(token, QUEUE_PAGE)?;
        let mut written = None;
        for (seq, bytes) in &waiting {
            let status = serde_json::from_slice(bytes)
                .map_err(|_| StoreError::Corrupt("a Status that waits cannot be read".to_owned()))?;
            if !outbox.waiting_status(&status).map_err(broken)? {
                break;
            }
            written = Some(*seq);
        }
        if let Some(seq) = written {
            tx.drop_statuses(token, seq)?;
        }
        if waiting.is_empty() || outbox.overflows() {
            break;
        }
    }
    statuses.into_iter().try_for_each(|queued| outbox.status(queued).map_err(broken))
}

/// Tells the peer of objects that it began and did not end (223). The item is named as the peer knows it.
pub(in crate::session) fn write_broken(outbox: &mut Outbox, state: &mut State) -> Result<()> {
    for store in &mut state.stores {
        let Some(uri) = &store.broken else { continue };
        let item = Item { target: Some(Location::new(uri.clone())), ..Item::default() };
        let alert = |cmd_id| Alert {
            cmd_id,
            no_resp: false,
            cred: None,
            code: Some(AlertCode::NO_END_OF_DATA),
            correlator: None,
            items: vec![item],
        };
        if outbox.command(|cmd_id| Command::Alert(alert(cmd_id))).map_err(broken)?.is_some() {
            store.broken = None;
        }
    }
    Ok(())
}

/// Keeps the statuses that found no room for the next message; `true` when there are none.
pub(in crate::session) fn keep_overflow(tx: &mut dyn Tx, token: &Token, outbox: &mut Outbox) -> Result<bool> {
    let flushed = !outbox.overflows();
    let overflow = outbox.take_overflow();
    let bytes = overflow.iter().map(serde_json::to_vec).collect::<std::result::Result<Vec<_>, _>>().map_err(broken)?;
    if !bytes.is_empty() {
        tx.queue_statuses(token, &bytes)?;
    }
    Ok(flushed)
}
