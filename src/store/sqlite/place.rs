//! Where items are: a book's slot, and in the lower bits a number of that book – a guid or a revision.
//!
//! An item is found by its row's key alone, without an index, and its row names neither account nor book.

use super::super::*;
use super::tx::SqliteTx;

/// Bits of a number within a book; [`number!`] has the mask in SQL.
const BITS: u32 = 36;
const MASK: i64 = (1 << BITS) - 1;
/// Bits of a slot.
const SLOTS: i64 = 1 << (63 - BITS);

/// The number at a place, in SQL.
macro_rules! number {
    ($place:literal) => {
        concat!("(", $place, " & 68719476735)")
    };
}
pub(super) use number;

/// The number at a place.
pub(super) const fn number_at(place: i64) -> i64 {
    place & MASK
}

/// The places of a book: those of an unknown one are nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places(i64);

impl Places {
    /// # Errors
    /// [`StoreError::Full`] beyond 2^27 books.
    pub(super) fn of_slot(slot: i64) -> Result<Self> {
        let full = || StoreError::Full(format!("there is no room for book {slot} of all"));
        (0..SLOTS).contains(&slot).then_some(Self(slot << BITS)).ok_or_else(full)
    }

    /// The place of a number; one that cannot be is where nothing is.
    pub(super) const fn of(self, number: i64) -> i64 {
        if number >= 0 && number <= MASK { self.0 | number } else { -1 }
    }

    /// The place where a number is to be written.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond 2^36 of a book.
    pub(super) fn room(self, number: i64) -> Result<i64> {
        let place = self.of(number);
        let full = || StoreError::Full(format!("number {number} has no room in a book"));
        (place >= 0).then_some(place).ok_or_else(full)
    }

    /// The last place of this book that is at most a number's: its bound in a range. It may be the one before the first.
    pub(super) fn upto(self, number: i64) -> i64 {
        self.0 + number.clamp(-1, MASK)
    }
}

impl SqliteTx<'_> {
    /// The places of a book.
    pub(super) fn places(&self, book: BookNo) -> Result<Places> {
        if let Some((known, places)) = self.known.get()
            && known == book
        {
            return Ok(places);
        }
        let sql = "SELECT slot FROM book WHERE account = ?1 AND book = ?2";
        let Some(slot) = self.one(sql, (self.account, book.0), |row| row.get(0))? else { return Ok(Places(0)) };
        self.know(book, slot)
    }

    /// Remembers a book's slot: a step is most often about one.
    pub(super) fn know(&self, book: BookNo, slot: i64) -> Result<Places> {
        let places = Places::of_slot(slot)?;
        self.known.set(Some((book, places)));
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_books_are_apart() {
        let (one, two) = (Places::of_slot(1).unwrap(), Places::of_slot(2).unwrap());
        assert_eq!(number!("x"), format!("(x & {MASK})"));
        for number in [0, 1, 77, MASK] {
            assert_eq!((number_at(one.of(number)), number_at(two.of(number))), (number, number));
            assert_eq!((one.room(number).unwrap(), one.upto(number)), (one.of(number), one.of(number)));
        }
        assert!(one.of(MASK) < two.of(0) && one.upto(i64::MAX) == one.of(MASK));
        assert_eq!((two.upto(-1), two.upto(i64::MIN)), (one.of(MASK), one.of(MASK)));
        for number in [-1, MASK + 1, i64::MIN, i64::MAX] {
            assert_eq!(one.of(number), -1);
            assert!(matches!(one.room(number), Err(StoreError::Full(_))), "{number}");
        }
        assert!(Places::of_slot(SLOTS - 1).unwrap().of(MASK) == i64::MAX);
        assert!(matches!(Places::of_slot(SLOTS), Err(StoreError::Full(_))));
    }
}
