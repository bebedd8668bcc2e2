//! Both sides have something to say of one item: who stands by policy, and where the loser is (§6.1, mission X2).
//!
//! The peer's word is always a revision of its own, and what came of it the next one, so that nothing is lost; which of them
//! lost is noted for the report, and in the store.

use super::overlay::{Agreed, Overlay};
use super::{OpenBook, Outcome};
use crate::message::StatusCode;
use crate::session::content::{Content, Folder, lost_fields, merged};
use crate::session::report::ConflictNote;
use crate::store::{Draft, Guid, ItemRow, LensNo, MapRow, OutgoingRow, Result, Revision, Tx, Winner};
use crate::sync::{Action, Decision, Role};
use std::borrow::Cow;

/// Fields named of one conflict in a report, and conflicts told one by one.
const MOST_FIELDS: usize = 4;
const MOST_NOTES: usize = 8;

/// Characters of a field's name.
const MOST_NAME: usize = 24;

/// What the peer says of an item that was changed here, too.
pub(super) struct Claim<'m> {
    /// The entry that both agreed on.
    pub entry: MapRow,
    /// The item as it is here.
    pub item: ItemRow<'m>,
    /// The whole card that the peer's word makes of the agreed one.
    pub whole: Content<'m>,
    /// Where the peer could see more of that than it has: what it can be said to know.
    pub known: Option<Content<'m>>,
    /// What the peer sees of it, and through which lens.
    pub view: ([u8; 16], Option<LensNo>),
    /// Whether it changed nothing but the place.
    pub same: bool,
    /// Whether it moved the item.
    pub moved: bool,
}

impl Claim<'_> {
    /// Whether the peer saw all of the card, and still does.
    fn is_of_all(&self) -> bool {
        self.view.1.is_none() && self.entry.lens.is_none_or(|lens| lens == LensNo::UNPLACED)
    }
}

impl<'m> Overlay<'m> {
    /// Does what was decided about a conflict.
    pub(super) fn carry_out(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        claim: Claim<'m>,
        decision: Decision,
    ) -> Result<Outcome> {
        let done = Ok(Outcome::Done(decision.status));
        open.state.received.conflicts += u64::from(decision.action != Action::Update || !claim.item.deleted);
        match decision.action {
            Action::Fork => {
                let fields = differing(tx, open, &claim, Side::Either)?;
                self.fork(open, claim, fields, decision.status)
            }
            Action::Split => {
                let (item, guid) = (claim.item.clone(), claim.item.guid);
                let fields = differing(tx, open, &claim, Side::Either)?;
                self.tell(open, &claim);
                // It has no entry, and so the server is given it next time.
                let copy = Content::of(&item).into_draft();
                let copy = open.writer.add(Draft { parent: item.parent, depth: item.depth, ..copy });
                self.items.insert(copy.guid, copy);
                note(open, guid, fields, None, None);
                done
            }
            Action::Overrule if claim.item.deleted => {
                let told = self.tell(open, &claim);
                let gone = open.writer.delete(&told);
                note(open, gone.guid, Vec::new(), Some(open.role), Some(told.revision));
                self.items.insert(gone.guid, gone);
                done
            }
            Action::Overrule => {
                let fields = differing(tx, open, &claim, Side::Peer)?;
                let told = self.tell(open, &claim);
                self.rewrite(open, &told, Content::of(&claim.item), claim.item.parent);
                note(open, told.guid, fields, Some(open.role), Some(told.revision));
                done
            }
            Action::Update if claim.item.deleted => {
                self.tell(open, &claim);
                open.state.received.added += 1;
                done
            }
            Action::Update if claim.is_of_all() => {
                let fields = differing(tx, open, &claim, Side::Here)?;
                let told = self.tell(open, &claim);
                note(open, told.guid, fields, Some(other(open.role)), Some(claim.item.revision));
                open.state.received.changed += 1;
                done
            }
            // A peer that sees a part of the card wins in that part; what it cannot see is as it was changed here.
            _ => {
                let guid = claim.item.guid;
                let wins = decision.action == Action::Update;
                let here = claim.item.revision;
                match self.merge(tx, open, claim)? {
                    Some(fields) => note(open, guid, fields, Some(other(open.role)), Some(here)),
                    None if wins => note(open, guid, Vec::new(), Some(other(open.role)), Some(here)),
                    None => {}
                }
                Ok(if wins { Outcome::Done(decision.status) } else { Outcome::Merged(guid) })
            }
        }
    }

    /// Merges; the fields in which the peer's word stands against ours, if it does.
    fn merge(&mut self, tx: &mut dyn Tx, open: &mut OpenBook<'_, 'm>, claim: Claim<'m>) -> Result<Option<Vec<String>>> {
        let (item, entry) = (claim.item.clone(), claim.entry.clone());
        let folder = claim.whole.folder;
        let told = self.tell(open, &claim);
        let base = tx.revisions(open.book(), &[(item.guid, entry.agreed_revision)])?.pop().flatten();
        let (result, fields) = match folder {
            // Moved there and changed here, or the other way round: both are done.
            Folder::Is(_) if claim.same => (Content::of(&item), None),
            Folder::Is(_) if entry.view_fp == item.fingerprint => (Content::of(&told), None),
            _ => merged(open.kind, base.as_ref().map(|base| &*base.content), &item.content, &told),
        };
        self.rewrite(open, &told, result, if claim.moved { told.parent } else { item.parent });
        Ok(fields)
    }

    /// Records the peer's word, which both now agree on.
    fn tell(&mut self, open: &mut OpenBook<'_, 'm>, claim: &Claim<'m>) -> ItemRow<'m> {
        let (known, told) = self.take_in(open, &claim.item, claim.whole.clone(), claim.known.clone());
        let agreed: Agreed = (known.revision, claim.view.0, claim.view.1);
        self.bind_under(open, Cow::Owned(claim.entry.luid.clone()), claim.item.guid, agreed);
        told
    }

    /// Keeps both: the peer's under its id, ours is sent anew.
    fn fork(
        &mut self,
        open: &mut OpenBook<'_, 'm>,
        claim: Claim<'m>,
        fields: Vec<String>,
        status: StatusCode,
    ) -> Result<Outcome> {
        if open.is_full(claim.whole.len()) {
            open.state.received.refused += 1;
            return Ok(Outcome::Done(StatusCode::DEVICE_FULL));
        }
        let kept = claim.item.guid;
        // In a sync of everything the entry is one of the map before, and binds nothing any more.
        if claim.entry.epoch == open.state.epoch {
            self.retire(&claim.entry);
        }
        self.owed.push(OutgoingRow::unsent(&claim.item));
        let (parent, depth) = match claim.whole.folder {
            Folder::Is(parent) => (parent, self.depth_in(parent)),
            Folder::Unsaid => (claim.item.parent, claim.item.depth),
        };
        let (first, more) = match claim.known {
            Some(known) => (known, Some(claim.whole)),
            None => (claim.whole, None),
        };
        let copy = open.writer.add(Draft { parent, depth, ..first.into_draft() });
        let (guid, revision) = (copy.guid, copy.revision);
        self.items.insert(guid, copy.clone());
        if let Some(whole) = more {
            self.replace(open, &copy, whole);
        }
        self.bind_under(open, Cow::Owned(claim.entry.luid), guid, (revision, claim.view.0, claim.view.1));
        open.state.received.added += 1;
        note(open, kept, fields, None, None);
        Ok(match status {
            StatusCode::CONFLICT_DUPLICATED => Outcome::Duplicated(kept),
            status => Outcome::Done(status),
        })
    }

    /// In a sync of changes, what a peer adds and somebody else has added before may have come by a second path (row 2).
    pub(super) fn notice_elsewhere(&self, open: &mut OpenBook<'_, 'm>, guid: Guid) -> Result<()> {
        let others = self.item(guid)?.origin != Some(open.device);
        open.state.elsewhere += u64::from(others && open.state.old_epoch.is_none());
        Ok(())
    }

    /// Binds an id to the item here that is the same contact with other details (S7), as was decided.
    pub(super) fn bind_strong(
        &mut self,
        tx: &mut dyn Tx,
        open: &mut OpenBook<'_, 'm>,
        luid: Cow<'m, str>,
        guid: Guid,
        content: Content<'m>,
        action: Action,
    ) -> Result<()> {
        let item = self.item(guid)?.clone();
        let view = content.print;
        let stands = !matches!(action, Action::BindAndMerge | Action::BindAndOverrule);
        let (whole, known) = if stands && open.state.lens.is_some() {
            // A peer that sees a part of the card wins in that part.
            let agreed = (item.revision, item.fingerprint, open.state.lens);
            let meant = self.whole(tx, open, guid, agreed, content)?;
            (meant.whole, meant.told)
        } else {
            (content, None)
        };
        let (known, told) = self.take_in(open, &item, whole, known);
        self.bind(open, luid, guid, known.revision, view);
        match action {
            Action::BindAndMerge => {
                let (result, fields) = merged(open.kind, None, &item.content, &told);
                self.rewrite(open, &told, result, told.parent);
                if let Some(fields) = fields {
                    note(open, guid, fields, Some(other(open.role)), Some(item.revision));
                }
            }
            Action::BindAndOverrule => {
                let fields = lost_fields(open.kind, None, &Content::of(&told), &Content::of(&item));
                self.rewrite(open, &told, Content::of(&item), item.parent);
                note(open, guid, fields, Some(open.role), Some(told.revision));
            }
            _ if open.mirrors() => {}
            _ => {
                let fields = lost_fields(open.kind, None, &Content::of(&item), &Content::of(&told));
                note(open, guid, fields, Some(other(open.role)), Some(item.revision));
            }
        }
        open.state.received.matched += 1;
        Ok(())
    }
}

/// Whose changes are named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Here,
    Peer,
    Either,
}

/// The names of the fields in which both sides differ now, of those that this side changed since both agreed.
fn differing(tx: &mut dyn Tx, open: &OpenBook<'_, '_>, claim: &Claim<'_>, whose: Side) -> Result<Vec<String>> {
    let (here, there) = (Content::of(&claim.item), &claim.whole);
    let base = match whose {
        Side::Either => None,
        _ => tx.revisions(open.book(), &[(claim.item.guid, claim.entry.agreed_revision)])?.pop().flatten(),
    };
    let base = base.as_ref().filter(|base| base.blob.is_none()).map(|base| &*base.content);
    Ok(match whose {
        Side::Peer => lost_fields(open.kind, base, there, &here),
        Side::Here | Side::Either => lost_fields(open.kind, base, &here, there),
    })
}

pub(super) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Notes who won and where the loser is: in the book, as decided by its newest revision, and for the report.
pub(super) fn note(
    open: &mut OpenBook<'_, '_>,
    guid: Guid,
    mut fields: Vec<String>,
    won: Option<Role>,
    lost: Option<Revision>,
) {
    let winner = match won {
        None => Winner::Both,
        Some(role) if role == open.role => Winner::Here,
        Some(_) => Winner::Peer,
    };
    open.writer.conflict(guid, winner, lost, &fields);
    if open.state.notes.len() < MOST_NOTES {
        fields.truncate(MOST_FIELDS);
        fields.iter_mut().for_each(|field| *field = field.chars().take(MOST_NAME).collect());
        open.state.notes.push(ConflictNote { guid, fields, won, lost });
    }
}
