//! Rows that a step works on.

use crate::store::Result;
use std::ops::{Deref, DerefMut};

/// A row that is worked on, and what of it is stored: it is written when it differs from that, and only then.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    row: T,
    stored: Option<T>,
}

impl<T: Clone + PartialEq> Kept<T> {
    /// A row as it was read.
    pub(super) fn read(row: T) -> Self {
        Self { stored: Some(row.clone()), row }
    }

    /// A row that is not stored yet.
    pub(super) const fn new(row: T) -> Self {
        Self { row, stored: None }
    }

    /// Writes the row, unless it is stored as it is.
    pub(super) fn write(&mut self, put: impl FnOnce(&T) -> Result<()>) -> Result<()> {
        if self.stored.as_ref() != Some(&self.row) {
            put(&self.row)?;
            self.stored = Some(self.row.clone());
        }
        Ok(())
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}

impl<T> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.row
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use crate::store::StoreError;

    #[test]
    fn a_row_is_written_when_it_is_not_stored_as_it_is() {
        let mut written = Vec::new();
        let mut write = |row: &mut Kept<u8>, fails: bool| {
            row.write(|row| {
                written.push(*row);
                if fails { Err(StoreError::Failed("full".to_owned())) } else { Ok(()) }
            })
        };
        let (mut read, mut new) = (Kept::read(1), Kept::new(2));
        for row in [&mut read, &mut new] {
            write(row, false).unwrap();
            write(row, false).unwrap();
        }
        *read = 3;
        assert!(write(&mut read, true).is_err());
        write(&mut read, false).unwrap();
        *read = 3;
        write(&mut read, false).unwrap();
        assert_eq!((written, *read), (vec![2, 3, 3], 3));
    }
}
