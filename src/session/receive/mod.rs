//! The receiving half of a sync, for both roles: a batch of changes from the peer, decided in their order over an
//! overlay of the rows they touch, and applied in one go.
//!
//! In a sync of changes every change is decided at once, but for deletes, which wait for the whole set ([`super::settle`]).
//! In a sync of everything, an item is bound at once where there is no doubt; all others wait.

mod agreement;
mod conflict;
mod decide;
mod delete;
mod known;
mod load;
mod old_ids;
mod overlay;
mod place;
mod twins;
mod unknown;

use self::overlay::Overlay;
use crate::contact::identity::Kind;
use crate::contact::lens::Lens;
use crate::message::StatusCode;
use crate::session::content::Content;
use crate::session::sight::Lenses;
use crate::session::state::StoreState;
use crate::store::{BookNo, BookWriter, DeviceNo, Guid, Hold, Result, Token, Tx};
use crate::sync::{DeletionGuard, Incoming, Reception, Role, Terms, Treatment};
use std::borrow::Cow;
use std::rc::Rc;

/// Candidates looked at for one key.
pub(super) const MAX_CANDIDATES: usize = crate::sync::MAX_CANDIDATES;

/// Items of equal meaning looked at: many cards may say just the same, and each has its partner.
const MAX_TWINS: usize = 256;

/// How the peer names an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key<'m> {
    /// By its own id: a client's LUID, or a server's GUID in an Add.
    Peer(Cow<'m, str>),
    /// By our id: a server's Replace or Delete names our LUID.
    Own(Guid),
}

/// One change as received.
#[derive(Clone, Debug)]
pub(super) struct Received<'m> {
    /// What the peer did.
    pub op: Incoming,
    /// To which item.
    pub key: Key<'m>,
    /// With which content; nothing for a delete.
    pub content: Option<Content<'m>>,
    /// Whether that is only what changed (§3.17).
    pub partial: bool,
    /// Where, if the peer says so.
    pub place: Option<Place<'m>>,
    /// What else the command wants.
    pub verb: Verb<'m>,
}

/// Where a peer says that an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'m> {
    /// In no folder.
    Root,
    /// In that one.
    In(Key<'m>),
}

impl<'m> Place<'m> {
    /// As it is staged: [`ROOT`], our own id, or the peer's.
    pub(super) fn to_text(&self) -> Cow<'m, str> {
        match self {
            Self::Root => Cow::Borrowed(ROOT),
            Self::In(Key::Own(guid)) => Cow::Owned(own_entry(*guid)),
            Self::In(Key::Peer(id)) => id.clone(),
        }
    }

    /// As it was staged by that end.
    pub(super) fn from_text(role: Role, text: Cow<'m, str>) -> Self {
        let own = || text.strip_prefix('=')?.parse().ok().map(Guid);
        match own().filter(|_| role == Role::Client) {
            Some(guid) => Self::In(Key::Own(guid)),
            None if text == ROOT => Self::Root,
            None => Self::In(Key::Peer(text)),
        }
    }
}

/// The address of what is in no folder (§3.15).
pub(super) const ROOT: &str = "/";

/// What a change wants apart from its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb<'m> {
    /// Nothing.
    Plain,
    /// To have the content of this item (Copy).
    Copy(Key<'m>),
    /// To be in another place only (Move).
    Move,
    /// To be kept here and freed there (SftDel).
    SoftDelete,
}

/// One book of one device, open for writing in this step.
pub(super) struct OpenBook<'s, 'm> {
    /// Which end this is.
    pub role: Role,
    /// The peer.
    pub device: DeviceNo,
    /// The session.
    pub token: Token,
    /// What its items are.
    pub kind: Kind,
    /// What the peer sees of a card.
    pub lens: Rc<Lens>,
    /// What it saw at other times, as far as this is known in this step.
    pub lenses: Lenses,
    /// The datastore's state in the session.
    pub state: &'s mut StoreState,
    /// The book.
    pub writer: BookWriter<'m>,
    /// What the book may hold.
    pub quota: Quota,
    /// What the host wants done where it may choose.
    pub treatment: Treatment,
    /// When deletes are too many.
    pub guard: DeletionGuard,
    /// What is held in this step.
    pub holds: Vec<Hold>,
}

/// What a book may hold, whoever fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Items.
    pub items: u64,
    /// Bytes of content.
    pub bytes: u64,
}

impl Quota {
    /// No limit.
    pub(super) const NONE: Self = Self { items: u64::MAX, bytes: u64::MAX };

    /// The less of both.
    pub(super) fn within(self, other: Option<Self>) -> Self {
        let other = other.unwrap_or(Self::NONE);
        Self { items: self.items.min(other.items), bytes: self.bytes.min(other.bytes) }
    }
}

impl OpenBook<'_, '_> {
    /// The book's number.
    pub(super) const fn book(&self) -> BookNo {
        self.state.book
    }

    /// Whether this book becomes what the peer's is.
    pub(super) const fn mirrors(&self) -> bool {
        self.state.mirrors(self.role)
    }

    /// The fingerprint of what the peer has of an item, if it shows this and means that: a server that is asked for some fields has
    /// the others, too.
    fn view_there(&self, shown: &Content<'_>, whole: &Content<'_>) -> [u8; 16] {
        let in_part = matches!(self.role, Role::Client) && self.state.fields().is_some();
        if in_part { whole.print } else { shown.print }
    }

    /// Whether the book has no room for one more item of so many bytes.
    pub(super) fn is_full(&mut self, bytes: u64) -> bool {
        let row = self.writer.row();
        let after = |now: i64, more: u64| u64::try_from(now).unwrap_or(0).saturating_add(more);
        let own_room = self.state.own_room.as_mut();
        after(row.live_items, 1) > self.quota.items
            || after(row.live_bytes, bytes) > self.quota.bytes
            || own_room.is_some_and(|room| !room.take(bytes))
    }

    /// On what terms a change is decided.
    pub(super) fn terms(&self, reception: Reception) -> Terms {
        Terms { role: self.role, policy: self.treatment.policy(self.state.occasion()), reception }
    }

    /// What is made of an id not known yet.
    fn reception(&self) -> Reception {
        match (self.mirrors(), self.compares()) {
            (true, _) => Reception::Mirror,
            (_, true) => Reception::Everything,
            _ => Reception::Changes,
        }
    }

    /// Whether everything is received and compared.
    const fn compares(&self) -> bool {
        self.state.old_epoch.is_some() && self.state.compares(self.role)
    }
}

/// Whether a batch is decided as it comes, or after all came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// As it comes: what needs the whole set is staged.
    Arriving,
    /// All came: everything is decided now. With `strong`, pairs by name and number; without, by equal meaning only.
    Settling {
        /// Whether strong matches are wanted.
        strong: bool,
    },
}

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done; the answer.
    Done(StatusCode),
    /// Merged with what was here.
    Merged(Guid),
    /// Both were kept; this is the other one.
    Duplicated(Guid),
    /// Left for a later pass (only when settling without strong matches).
    Undecided,
}

/// Takes a batch of changes.
pub(super) fn receive<'m>(
    tx: &mut dyn Tx,
    open: &mut OpenBook<'_, 'm>,
    batch: Vec<Received<'m>>,
    when: When,
) -> Result<Vec<Outcome>> {
    if when == When::Arriving {
        open.observe(tx, &batch)?;
    }
    let mut overlay = Overlay::load(tx, open, &batch, when)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for received in batch {
        outcomes.push(overlay.decide(tx, open, received, when)?);
    }
    overlay.apply(tx, open, when)?;
    Ok(outcomes)
}

/// The key of a client's map entry for an item of its own, of which it never learns the server's GUID.
pub(super) fn own_entry(guid: Guid) -> String {
    format!("={guid}")
}
