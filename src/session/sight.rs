//! What a peer can hold of a card, in its session: its lens is settled by the first Sync of a datastore, and what it was when
//! an item was agreed is remembered with that agreement.
//!
//! It is made of what the peer declares (§3.19) or says of its dimensions (mission B6), of the profile rules about it, of what it showed in earlier sessions besides
//! (law L5), and on a server of the fields that the device wants (§3.16). A device that can hold something else than in its last clean sync is looked at item by item, as one
//! with another filter is.

use super::datastore;
use super::devinf;
use super::dimensions;
use super::receive::{OpenBook, Received};
use super::state::{State, StoreState};
use super::turn::Turn;
use crate::contact::identity::Kind;
use crate::contact::lens::{Fields, Lens, Rules};
use crate::message::DevInf;
use crate::store::{LensNo, Result, Tx};
use crate::sync::Role;
use std::collections::HashMap;
use std::rc::Rc;

/// Lenses by the numbers under which they are remembered, as far as a step has needed them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lenses(HashMap<LensNo, Rc<Lens>>);

impl Lenses {
    /// Reads the lens of a number from the store, unless it is known.
    pub(super) fn load(&mut self, tx: &mut dyn Tx, number: Option<LensNo>) -> Result<()> {
        if let Some(number) = number.filter(|number| is_stored(*number) && !self.0.contains_key(number)) {
            let lens = tx.lens(number)?.and_then(|bytes| Lens::decode(&bytes));
            // What nobody knows any more showed perhaps nothing.
            self.0.insert(number, Rc::new(lens.unwrap_or_else(|| Fields::NONE.into())));
        }
        Ok(())
    }

    fn keep(&mut self, tx: &mut dyn Tx, lens: &Lens) -> Result<Option<LensNo>> {
        let number = lens.number().map(LensNo);
        if let Some(number) = number.filter(|number| is_stored(*number) && !self.0.contains_key(number)) {
            tx.put_lens(number, &lens.encode())?;
            self.0.insert(number, Rc::new(lens.clone()));
        }
        Ok(number)
    }

    /// The lens of a number that was loaded; nothing is the whole card.
    pub(super) fn get(&self, number: Option<LensNo>) -> Rc<Lens> {
        match number {
            None | Some(LensNo::UNPLACED) => Rc::default(),
            Some(number) if number.0 >= 0 => Rc::new(Fields::from_bits(number.0).into()),
            Some(number) => self.0.get(&number).cloned().unwrap_or_else(|| Rc::new(Fields::NONE.into())),
        }
    }
}

/// Whether a number stands for a lens that is to be looked up: a set of fields says itself what it is, and of an item
/// without a place all else was shown.
fn is_stored(number: LensNo) -> bool {
    number.0 < 0 && number != LensNo::UNPLACED
}

impl Turn {
    /// Settles what the peer can hold, for datastores of which no Sync was said or heard yet, and looks up the others.
    pub(super) fn learn_lenses(&mut self, tx: &mut dyn Tx, state: &mut State, devinf: Option<&[u8]>) -> Result<()> {
        let of_cards = |store: &&mut StoreState| {
            store.active() && datastore::by_number(store.book).is_some_and(|one| one.kind == Kind::Contact)
        };
        for store in state.stores.iter_mut().filter(of_cards) {
            self.lenses.load(tx, store.left_over.as_ref().and_then(|left| left.lens))?;
            if store.sync_seen || store.sync_msg != 0 {
                self.lenses.load(tx, store.lens)?;
                self.lenses.load(tx, store.observed)?;
                continue;
            }
            let caps = self.said.of(devinf);
            self.settle_lens(tx, store, caps.as_deref())?;
        }
        Ok(())
    }

    fn settle_lens(&mut self, tx: &mut dyn Tx, store: &mut StoreState, caps: Option<&DevInf<'_>>) -> Result<()> {
        let Some(datastore) = datastore::by_number(store.book) else { return Ok(()) };
        let declared = caps.and_then(|caps| devinf::declared(caps, &store.there, datastore));
        let mut rules = self.manners.card.clone().unwrap_or_default();
        let told = caps.filter(|_| self.role == Role::Server).and_then(|caps| dimensions::of(caps, &store.there));
        // What a host says of a device comes first.
        rules.add(&Rules { dimensions: told.unwrap_or_default(), ..Rules::default() });
        let fields = store.fields().filter(|_| self.role == Role::Server);
        let (lens, _) = Lens::of(declared.as_ref(), &rules, fields);
        let before = self.pairs.get(&store.book).and_then(|pair| pair.lens);
        self.lenses.load(tx, before)?;
        let before = self.lenses.get(before);
        let lens = lens.with_observed(&before);
        store.lens = self.lenses.keep(tx, &lens)?;
        let sends = store.sync.sends(self.role);
        let Some(pair) = self.pairs.get_mut(&store.book).filter(|pair| pair.lens != store.lens) else { return Ok(()) };
        // The same declaration, and what was observed since comes into force.
        store.widened = Lens::clone(&before).with_observed(&before) == lens;
        if store.widened {
            return Ok(());
        }
        // Of a device's first sync nothing was agreed before.
        let first = pair.epoch == 0 && pair.lens.is_none();
        if self.role == Role::Server && sends && !first {
            store.refilter = true;
            pair.filter_hash = Some(Vec::new());
        }
        if sends || first {
            pair.lens = store.lens;
        }
        Ok(())
    }
}

impl OpenBook<'_, '_> {
    /// Notes what a peer shows beyond what it was known to hold.
    pub(super) fn observe(&mut self, tx: &mut dyn Tx, batch: &[Received<'_>]) -> Result<()> {
        if self.kind != Kind::Contact || self.state.lens.is_none() {
            return Ok(());
        }
        let mut lens = self.lenses.get(self.state.observed.or(self.state.lens));
        let before = lens.clone();
        for content in batch.iter().filter_map(|received| received.content.as_ref()) {
            if let Some(wide) = lens.observing(&content.bytes) {
                lens = Rc::new(wide);
            }
        }
        if lens != before {
            self.state.observed = self.lenses.keep(tx, &lens)?;
        }
        Ok(())
    }
}
