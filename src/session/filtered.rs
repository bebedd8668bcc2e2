//! A datastore's filter in its session (§3.16): what a device sees of an item, what is due because of it, and what a card
//! means that it saw in part.
//!
//! What the last agreement on an item was about is kept with the map entry, as the set of fields; without one it was the
//! whole card. A device that has another filter than in its last clean sync is looked at item by item: what came into the
//! filter is added, what left it is removed if the filter says so, and what now shows more is sent again. An item that a
//! filter removed has no entry any more; nothing else tells it from one that the device never had.

use super::content::Content;
use super::folders::UNPLACED;
use super::guid;
use super::receive::OpenBook;
use super::state::StoreState;
use crate::contact::view::{Fields, view};
use crate::message::Op;
use crate::store::{ItemRow, LensNo, MapRow, OutgoingRow, Result, Revision, Tx, ViewFp};
use crate::sync::Role;
use crate::sync::decide_outgoing;
use crate::sync::filter::{Filter, decide_filtered};
use std::borrow::Cow;

impl StoreState {
    /// The fields that this session is about, where it is not the whole card.
    pub(super) fn fields(&self) -> Option<Fields> {
        self.filter.as_ref().and_then(Filter::fields)
    }

    /// The same, as it is remembered with an agreement.
    pub(super) fn lens(&self) -> Option<LensNo> {
        self.fields().map(lens)
    }
}

impl OpenBook<'_, '_> {
    /// Whether each item has to be looked at, besides what is not agreed.
    pub(super) const fn sifts(&self) -> bool {
        matches!(self.role, Role::Server) && (self.state.filter.is_some() || self.state.refilter)
    }

    /// What of an item went to the peer. Fields: a client sends whole cards, whatever it wants to receive. What was sent
    /// under a filter that is not known any more was perhaps nothing.
    pub(super) fn sent_lens(&self, row: &OutgoingRow) -> Option<LensNo> {
        match self.role {
            _ if row.reason == UNPLACED => Some(LensNo::UNPLACED),
            Role::Client => None,
            Role::Server if self.state.refilter && row.session != Some(self.token) => Some(lens(Fields::NONE)),
            Role::Server => self.state.lens(),
        }
    }
}

pub(super) const fn lens(fields: Fields) -> LensNo {
    LensNo(fields.to_bits())
}

/// The fields that a lens is about; `None`: all.
pub(super) fn fields_of(lens: Option<LensNo>) -> Option<Fields> {
    lens.filter(|lens| *lens != LensNo::UNPLACED).map(|lens| Fields::from_bits(lens.0))
}

/// The fields of which a peer's silence says something: those it was shown when both last agreed, and sees now; a server
/// was shown whole cards. `None`: all.
pub(super) fn common(open: &OpenBook<'_, '_>, agreed: Option<LensNo>) -> Option<Fields> {
    let agreed = fields_of(agreed.filter(|_| open.role == Role::Server));
    match (open.state.fields(), agreed) {
        (Some(now), Some(then)) => Some(now.and(then)),
        (one, other) => one.or(other),
    }
}

/// The item as the peer sees it.
pub(super) fn shown<'i, 'a>(open: &OpenBook<'_, '_>, item: &'i ItemRow<'a>) -> Cow<'i, ItemRow<'a>> {
    let fields = open.state.fields().filter(|_| open.role == Role::Server && !item.deleted);
    let Some(seen) = fields.and_then(|fields| view(&item.content, fields)) else { return Cow::Borrowed(item) };
    let seen = Content::new(open.kind, item.media_type.clone(), Cow::Owned(seen));
    Cow::Owned(ItemRow {
        guid: item.guid,
        revision: item.revision,
        deleted: item.deleted,
        parent: item.parent,
        depth: item.depth,
        media_type: seen.media_type,
        content: seen.bytes,
        blob: seen.blob,
        fingerprint: seen.print,
        keys: Cow::Owned(seen.keys),
        origin: item.origin,
        at: item.at,
    })
}

/// The fingerprint of what a peer sees of an item under the fields that an agreement was about.
pub(super) fn print_under(open: &OpenBook<'_, '_>, lens: Option<LensNo>, item: &ItemRow<'_>) -> ViewFp {
    let seen = fields_of(lens).and_then(|fields| view(&item.content, fields));
    seen.map_or(item.fingerprint, |seen| Content::new(open.kind, None, Cow::Owned(seen)).print)
}

/// What must be sent so that the peer has of an item what it wants to have.
pub(super) fn due(open: &OpenBook<'_, '_>, item: &ItemRow<'_>, entry: Option<&MapRow>) -> Option<Op> {
    if !open.sifts() {
        return decide_outgoing(item, entry);
    }
    let passes = passes(open, item, entry.map(|entry| entry.luid.as_str()));
    let then = fields_of(entry.and_then(|entry| entry.lens));
    let wider = match (then, open.state.fields()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(then), Some(now)) => now.exceeds(then),
    };
    decide_filtered(open.state.filter.as_ref(), &shown(open, item), entry, passes, wider)
}

/// Whether an item is one that the device wants to be sent.
pub(super) fn passes(open: &OpenBook<'_, '_>, item: &ItemRow<'_>, luid: Option<&str>) -> bool {
    match &open.state.filter {
        Some(filter) if open.role == Role::Server && !item.deleted => filter.passes(&item.content, luid),
        _ => true,
    }
}

/// Whether a refresh is about an item, so that it is deleted if the other side does not show it: what the filter keeps from
/// a side is not there for another reason.
pub(super) fn is_about(open: &OpenBook<'_, '_>, item: &ItemRow<'_>) -> bool {
    match (&open.state.filter, open.role) {
        (None, _) => true,
        (Some(filter), Role::Server) => filter.passes(&item.content, None),
        (Some(filter), Role::Client) => filter.removes() || filter.passes(&item.content, Some(&guid::luid(item.guid))),
    }
}

/// Items with `after < revision <= upto`, agreed on or not, each with its entry.
pub(super) fn all_changes(
    tx: &mut dyn Tx,
    open: &OpenBook<'_, '_>,
    after: Revision,
    limit: usize,
) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
    let items = tx.changes(open.book(), after, open.state.upto, limit)?;
    let guids: Vec<_> = items.iter().map(|item| item.guid).collect();
    let entries = tx.maps_by_guid(open.device, open.book(), open.state.epoch, &guids)?;
    Ok(items.into_iter().zip(entries).collect())
}
