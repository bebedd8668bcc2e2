//! The deletion guard: a storm of deletes, or an emptied side, is held and not obeyed (mission X5).

use serde::{Deserialize, Serialize};

/// When deletes that a peer causes in one sync are too many to be meant. They are held when they are more than
/// [`items`](Self::items) *and* more than [`percent`](Self::percent) of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionGuard {
    /// So many deletes are always obeyed.
    pub items: u64,
    /// Up to this share of the live items before the sync, in percent, deletes are obeyed; 100 and more obeys all.
    pub percent: u64,
}

impl Default for DeletionGuard {
    /// More than 20 deletes, and more than half of the book, are held.
    fn default() -> Self {
        Self { items: 20, percent: 50 }
    }
}

impl DeletionGuard {
    /// A guard that obeys every delete.
    pub const OFF: Self = Self { items: u64::MAX, percent: 100 };

    /// Whether so many `deletes`, of `live` items, are to be held.
    #[must_use]
    pub const fn holds(self, deletes: u64, live: u64) -> bool {
        deletes > self.items && deletes as u128 * 100 > live as u128 * self.percent as u128
    }
}

#[cfg(test)]
mod tests {
    use super::DeletionGuard;

    #[test]
    fn holds_what_is_much_in_number_and_in_share() {
        let guard = DeletionGuard::default();
        for (deletes, live, held, why) in [
            (0, 0, false, "nothing is nothing"),
            (20, 20, false, "a small book may be emptied"),
            (21, 21, true, "an emptied side"),
            (21, 42, false, "half"),
            (22, 43, true, "more than half"),
            (5_000, 10_000, false, "half of a large book"),
            (5_001, 10_000, true, "more than half of a large book"),
            (u64::MAX, 1, true, "more than there are"),
            (u64::MAX, u64::MAX, true, "no overflow"),
        ] {
            assert_eq!(guard.holds(deletes, live), held, "{deletes} of {live}: {why}");
            assert!(!DeletionGuard::OFF.holds(deletes, live));
        }
    }
}
