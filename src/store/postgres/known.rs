//! What a step knows of the device whose row it locked, so that it need not ask.

use super::super::*;

/// Rows of a device of which there are none as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shelf {
    Outgoing,
    Staged,
    Partial,
    Errands,
    /// Those of the session.
    Statuses,
}

impl Shelf {
    /// In the order of the answer.
    pub(super) const ALL: [Self; 5] = [Self::Outgoing, Self::Staged, Self::Partial, Self::Errands, Self::Statuses];
}

/// Nothing here outlives the locks that it was read under.
#[derive(Default)]
pub(super) struct Known {
    /// The device whose row is locked, as it is now.
    pub(super) device: Option<DeviceRow>,
    /// The session whose row is locked, which is there.
    pub(super) session: Option<Token>,
    /// Pairs as they were when their books were locked: each is good for one answer.
    pairs: Vec<(BookNo, Option<PairRow>)>,
    /// Pairs that there are: they can be updated.
    stored: Vec<BookNo>,
    /// What there was nothing of then, and nothing was put since.
    empty: Vec<Shelf>,
}

impl Known {
    /// Of a device whose row was just locked.
    pub(super) fn of(device: DeviceRow) -> Self {
        Self { device: Some(device), ..Self::default() }
    }

    /// Whether that is the device whose row is locked.
    pub(super) fn is_of(&self, device: DeviceNo) -> bool {
        self.device.as_ref().is_some_and(|row| row.device == device)
    }

    /// Another session has other Statuses.
    pub(super) fn keep_session(&mut self, token: Token) {
        if self.session != Some(token) {
            self.fill(Shelf::Statuses);
            self.session = Some(token);
        }
    }

    /// Sessions were removed.
    pub(super) fn forget_session(&mut self, gone: &[Vec<u8>]) {
        if self.session.is_some_and(|token| gone.iter().any(|gone| **gone == token.0)) {
            self.session = None;
        }
    }

    pub(super) fn keep_pair(&mut self, book: BookNo, pair: Option<PairRow>) {
        self.pairs.retain(|(known, _)| *known != book);
        self.note_pair(book, pair.is_some());
        self.pairs.push((book, pair));
    }

    /// What was read with the lock of its book, if nobody has asked for it yet.
    pub(super) fn take_pair(&mut self, device: DeviceNo, book: BookNo) -> Option<Option<PairRow>> {
        let place = self.pairs.iter().position(|(known, _)| *known == book).filter(|_| self.is_of(device))?;
        Some(self.pairs.swap_remove(place).1)
    }

    /// Notes that a pair of the device is stored, or not, and what it was is no answer any more.
    pub(super) fn note_pair(&mut self, book: BookNo, stored: bool) {
        self.pairs.retain(|(known, _)| *known != book);
        self.stored.retain(|known| *known != book);
        if stored {
            self.stored.push(book);
        }
    }

    pub(super) fn has_pair(&self, device: DeviceNo, book: BookNo) -> bool {
        self.is_of(device) && self.stored.contains(&book)
    }

    pub(super) fn keep_empty(&mut self, empty: Vec<Shelf>) {
        self.empty = empty;
    }

    /// Whether the device is known to have nothing there.
    pub(super) fn lacks(&self, shelf: Shelf, device: DeviceNo) -> bool {
        self.is_of(device) && self.empty.contains(&shelf)
    }

    /// Whether no Status of that session is queued.
    pub(super) fn lacks_statuses(&self, token: &Token) -> bool {
        self.session == Some(*token) && self.empty.contains(&Shelf::Statuses)
    }

    /// Something is put there.
    pub(super) fn fill(&mut self, shelf: Shelf) {
        self.empty.retain(|empty| *empty != shelf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Timestamp;

    fn locked() -> Known {
        let device = DeviceRow { device: DeviceNo(1), ..DeviceRow::new("phone", Timestamp(0)) };
        Known { session: Some(Token([1; 16])), ..Known::of(device) }
    }

    #[test]
    fn a_pair_is_answered_once_and_not_after_it_was_written() {
        let (device, book, mut known) = (DeviceNo(1), BookNo(1), locked());
        known.keep_pair(book, None);
        assert_eq!(known.take_pair(DeviceNo(2), book), None, "of another device");
        assert_eq!((known.take_pair(device, book), known.take_pair(device, book)), (Some(None), None));
        assert!(!known.has_pair(device, book));
        known.keep_pair(book, Some(PairRow::new(device, book)));
        assert!(known.has_pair(device, book) && !known.has_pair(DeviceNo(2), book));
        known.note_pair(book, true);
        assert!(known.take_pair(device, book).is_none() && known.has_pair(device, book));
    }

    #[test]
    fn what_was_put_somewhere_is_asked_for_again() {
        let mut known = locked();
        for shelf in Shelf::ALL {
            assert!(!known.lacks(shelf, DeviceNo(1)), "{shelf:?}: nobody looked");
        }
        known.keep_empty(Shelf::ALL.to_vec());
        for shelf in Shelf::ALL {
            assert!(known.lacks(shelf, DeviceNo(1)) && !known.lacks(shelf, DeviceNo(2)), "{shelf:?}");
            known.fill(shelf);
            assert!(!known.lacks(shelf, DeviceNo(1)), "{shelf:?}");
        }
        known.keep_empty(Shelf::ALL.to_vec());
        assert!(known.lacks_statuses(&Token([1; 16])) && !known.lacks_statuses(&Token([2; 16])));
    }
}
