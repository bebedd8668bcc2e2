//! A datastore's filter in its session (§3.16): what a device sees of an item, what is due because of it, and what a card
//! means that it saw in part.
//!
//! What the last agreement on an item was about is kept with the map entry, as the lens of then; without one it was the
//! whole card. A device that has another filter than in its last clean sync is looked at item by item: what came into the
//! filter is added, what left it is removed if the filter says so, and what now shows more is sent again. An item that a
//! filter removed has no entry any more; nothing else tells it from one that the device never had.

use super::content::Content;
use super::folders::UNPLACED;
use super::guid;
use super::receive::OpenBook;
use super::state::StoreState;
use crate::contact::identity::Kind;
use crate::contact::lens::{Fields, view};
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

    /// Whether what was sent in an earlier session was perhaps sent under another lens than that of now.
    pub(super) const fn has_other_lens(&self) -> bool {
        self.refilter || self.widened
    }
}

impl OpenBook<'_, '_> {
    /// Whether each item has to be looked at, besides what is not agreed.
    pub(super) const fn sifts(&self) -> bool {
        matches!(self.role, Role::Server) && (self.state.filter.is_some() || self.state.refilter)
    }

    /// Of which part of an item the peer's silence says something, once it has what was sent. What was sent under a lens that
    /// is not known any more was perhaps nothing.
    pub(super) fn sent_lens(&self, row: &OutgoingRow) -> Option<LensNo> {
        match self.role {
            _ if row.reason == UNPLACED => Some(LensNo::UNPLACED),
            Role::Server if self.state.has_other_lens() && row.session != Some(self.token) => Some(NOTHING),
            _ => self.state.lens,
        }
    }
}

/// The lens of who may have been shown nothing.
pub(super) const NOTHING: LensNo = LensNo(Fields::NONE.to_bits());

/// The item as the peer sees it.
pub(super) fn shown<'i, 'a>(open: &OpenBook<'_, '_>, item: &'i ItemRow<'a>) -> Cow<'i, ItemRow<'a>> {
    // A client shows the whole card: a server keeps more than it declares, or it does not.
    let narrow = open.role == Role::Server && !item.deleted && !open.lens.is_whole();
    let seen = if narrow { view(&item.content, &open.lens) } else { None };
    let Some(seen) = seen else { return Cow::Borrowed(item) };
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

/// The fingerprint of what a peer sees of an item under the lens that an agreement was about.
pub(super) fn print_under(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, '_>,
    lens: Option<LensNo>,
    item: &ItemRow<'_>,
) -> Result<ViewFp> {
    if lens.is_none() || open.kind != Kind::Contact {
        return Ok(item.fingerprint);
    }
    open.lenses.load(tx, lens)?;
    let seen = view(&item.content, &open.lenses.get(lens));
    Ok(seen.map_or(item.fingerprint, |seen| Content::new(open.kind, None, Cow::Owned(seen)).print))
}

/// What must be sent so that the peer has of an item what it wants to have.
pub(super) fn due(open: &OpenBook<'_, '_>, item: &ItemRow<'_>, entry: Option<&MapRow>) -> Option<Op> {
    if !open.sifts() {
        return decide_outgoing(&shown(open, item), entry);
    }
    let passes = passes(open, item, entry.map(|entry| entry.luid.as_str()));
    let fields = |lens: LensNo| (lens.0 >= 0).then(|| Fields::from_bits(lens.0));
    let placed = |lens: &LensNo| *lens != LensNo::UNPLACED;
    let wider = match (entry.and_then(|entry| entry.lens).filter(placed), open.state.lens) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(then), Some(now)) => match (fields(then), fields(now)) {
            (Some(then), Some(now)) => now.exceeds(then),
            _ => then != now,
        },
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
