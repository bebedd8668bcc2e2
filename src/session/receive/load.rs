//! Loading the rows that a batch touches, each kind of them in one go.

use super::overlay::Overlay;
use super::{Key, MAX_CANDIDATES, MAX_TWINS, OpenBook, Place, Received, Verb, When};
use crate::session::content::Content;
use crate::store::{Guid, MapState, Result, Tx};
use crate::sync::{Incoming, Role};

/// The ids that a batch names: of its items, of where these are put, and of what they are copies of.
struct Named<'b> {
    luids: Vec<&'b str>,
    own: Vec<Guid>,
}

impl<'b> Named<'b> {
    fn by(batch: &'b [Received<'_>]) -> Self {
        let mut named = Self { luids: Vec::with_capacity(batch.len()), own: Vec::new() };
        for received in batch {
            let place = match &received.place {
                Some(Place::In(key)) => Some(key),
                _ => None,
            };
            let copied = match &received.verb {
                Verb::Copy(key) => Some(key),
                _ => None,
            };
            for key in std::iter::once(&received.key).chain(place).chain(copied) {
                match key {
                    Key::Peer(luid) => named.luids.push(luid),
                    Key::Own(guid) => named.own.push(*guid),
                }
            }
        }
        named
    }
}

impl<'m> Overlay<'m> {
    pub(super) fn load(tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, batch: &[Received<'m>], when: When) -> Result<Self> {
        let mut overlay = Self::default();
        let Named { luids, own } = Named::by(batch);
        overlay.learn_entries(tx, open, &luids)?;
        overlay.learn_shown(tx, open, batch, when)?;
        for entry in tx.maps_by_guid(open.device, open.book(), open.state.epoch, &own)?.into_iter().flatten() {
            overlay.learn_entry(entry);
        }
        overlay.learn_sent(tx, open, &own)?;
        let candidates = overlay.learn_candidates(tx, open, batch, when)?;
        overlay.learn_claims(tx, open, &candidates, when)?;
        overlay.learn_items(tx, open, own.into_iter().chain(candidates))?;
        Ok(overlay)
    }

    /// The entries of the peer's ids: in the map in force, else in the one before.
    fn learn_entries(&mut self, tx: &mut dyn Tx, open: &OpenBook<'_, 'm>, luids: &[&str]) -> Result<()> {
        let (device, book) = (open.device, open.book());
        for entry in tx.maps_by_luid(device, book, open.state.epoch, luids)?.into_iter().flatten() {
            self.learn_entry(entry);
        }
        if let Some(old) = open.state.old_epoch {
            let unknown: Vec<&str> = luids.iter().copied().filter(|luid| !self.entries.contains_key(*luid)).collect();
            for entry in tx.maps_by_luid(device, book, old, &unknown)?.into_iter().flatten() {
                self.old_entries.insert(entry.luid.clone(), entry);
            }
        }
        Ok(())
    }

    /// What is staged under ids that are deleted although the map in force does not have them.
    fn learn_shown(
        &mut self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, '_>,
        batch: &[Received<'_>],
        when: When,
    ) -> Result<()> {
        if when != When::Arriving || open.role != Role::Server || !open.state.resuming || !open.compares() {
            return Ok(());
        }
        let deleted = batch.iter().filter_map(|received| match &received.key {
            Key::Peer(luid) if received.op == Incoming::Delete => Some(&**luid),
            _ => None,
        });
        let deleted: Vec<&str> = deleted.filter(|luid| !self.entries.contains_key(*luid)).collect();
        let staged = tx.staged_under(open.device, open.book(), open.state.epoch, &deleted)?;
        let changes = staged.into_iter().flatten().map(|row| row.change);
        self.shown.extend(changes.map(|change| (change.luid.into_owned(), change.content.into_owned())));
        Ok(())
    }

    /// Finds the items that what has no id in force may be: those that its ids meant before, what was sent and not answered,
    /// what means the same, and what shares a key.
    fn learn_candidates(
        &mut self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        batch: &[Received<'m>],
        when: When,
    ) -> Result<Vec<Guid>> {
        let (device, book) = (open.device, open.book());
        // Of what an earlier session left of a peer that has forgotten what it was told, no id is certain.
        let none_is_certain = open.state.forgot && open.state.shown_again;
        let unknown = batch.iter().filter(|received| none_is_certain || self.is_unknown(&received.key));
        let unknown: Vec<&Content<'m>> = unknown.filter_map(|received| received.content.as_ref()).collect();
        let prints: Vec<[u8; 16]> = unknown.iter().map(|content| content.print).collect();
        let retired = self.entries.values().filter(|entry| entry.state == MapState::Gone);
        let mut candidates: Vec<Guid> = self.old_entries.values().chain(retired).map(|entry| entry.guid).collect();
        // What was sent may have been deleted here since: it is looked for even where no live item could match.
        if open.role == Role::Server || open.compares() {
            for (print, row) in prints.iter().zip(tx.outgoing_by_view(device, book, &prints)?) {
                if let Some(row) = row {
                    candidates.push(row.guid);
                    self.pending.insert(*print, row);
                }
            }
        }
        if !nothing_to_match(open) {
            let keys = if looks_for_keys(open, when) { keys_of(&unknown) } else { Vec::new() };
            let by_print = tx.by_fingerprint(book, &prints, MAX_TWINS)?;
            let by_key = tx.by_match_key(book, &keys, MAX_CANDIDATES)?;
            candidates.extend(by_print.iter().chain(&by_key).flatten());
            self.by_print.extend(prints.into_iter().zip(by_print));
            self.by_key.extend(keys.into_iter().zip(by_key));
        }
        candidates.sort_unstable();
        candidates.dedup();
        Ok(candidates)
    }

    /// Whether the map in force has nothing under an id of the peer's.
    fn is_unknown(&self, key: &Key<'_>) -> bool {
        match key {
            Key::Peer(luid) => self.entries.get(&**luid).is_none_or(|entry| entry.state == MapState::Gone),
            Key::Own(_) => false,
        }
    }

    /// Which of the candidates have an id, and which had one in the map before that has a claim on them still.
    fn learn_claims(
        &mut self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        candidates: &[Guid],
        when: When,
    ) -> Result<()> {
        let (device, book) = (open.device, open.book());
        for entry in tx.maps_by_guid(device, book, open.state.epoch, candidates)?.into_iter().flatten() {
            self.taken.insert(entry.guid);
        }
        // A peer's ids may all be other items' by now, once it has forgotten what it was told: then a claim is good until all is
        // known, and no longer.
        let claims = match when {
            When::Arriving => true,
            When::Settling { strong } => !strong && !open.state.forgot,
        };
        if let Some(old) = open.state.old_epoch.filter(|_| claims) {
            for entry in tx.maps_by_guid(device, book, old, candidates)?.into_iter().flatten() {
                self.claimed.insert(entry.guid, entry.luid);
            }
        }
        Ok(())
    }

    /// The items of all entries, and these.
    fn learn_items(
        &mut self,
        tx: &mut dyn Tx,
        open: &OpenBook<'_, 'm>,
        others: impl Iterator<Item = Guid>,
    ) -> Result<()> {
        let mapped = self.entries.values().chain(self.old_entries.values()).map(|entry| entry.guid);
        let mut wanted: Vec<Guid> = mapped.chain(others).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for item in tx.items(open.book(), &wanted)?.into_iter().flatten() {
            self.items.insert(item.guid, item);
        }
        Ok(())
    }
}

/// Whether there is nothing here that an unknown item could be the same as. A client leaves matching to the server.
pub(super) const fn nothing_to_match(open: &OpenBook<'_, '_>) -> bool {
    (matches!(open.role, Role::Client) && !open.compares()) || open.state.alone
}

/// Whether items are looked for by what they share with others: once all is known if not everything came before.
fn looks_for_keys(open: &OpenBook<'_, '_>, when: When) -> bool {
    let now = match when {
        When::Arriving => open.state.old_epoch.is_none(),
        When::Settling { strong } => strong,
    };
    now && open.writer.row().indexed
}

/// The keys of contents, each once.
fn keys_of(contents: &[&Content<'_>]) -> Vec<u64> {
    let mut keys: Vec<u64> = contents.iter().flat_map(|content| content.keys.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
