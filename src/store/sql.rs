//! What the stores in SQL share: how values are numbered and packed in columns, and what is known of a locked book.

use super::*;

pub(super) const PHASES: [Phase; 5] =
    [Phase::Idle, Phase::Receiving, Phase::Settling, Phase::Sending, Phase::Confirming];
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::In, Direction::Out];
pub(super) const OPS: [Op; 5] = [Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move];

/// The number of one of a fixed list of values.
fn number<T: PartialEq>(all: &[T], value: &T) -> i64 {
    // Every value of these types is in its list.
    all.iter().position(|known| known == value).unwrap_or_default() as i64
}

/// The value of that number.
pub(super) fn numbered<T: Copy>(all: &[T], number: i64) -> Option<T> {
    usize::try_from(number).ok().and_then(|number| all.get(number)).copied()
}

pub(super) fn op_number(op: Op) -> i64 {
    number(&OPS, &op)
}

pub(super) fn direction_number(direction: Direction) -> i64 {
    number(&DIRECTIONS, &direction)
}

pub(super) fn phase_number(phase: Phase) -> i64 {
    number(&PHASES, &phase)
}

pub(super) fn map_state_number(state: MapState) -> i64 {
    number(&MapState::ALL, &state)
}

pub(super) fn outgoing_state_number(state: OutgoingState) -> i64 {
    number(&OutgoingState::ALL, &state)
}

/// What is held, as it is stored: nothing is the rule.
pub(super) fn holds_text(holds: &[Hold]) -> Option<String> {
    if holds.is_empty() { None } else { serde_json::to_string(holds).ok() }
}

pub(super) fn winner_number(winner: Winner) -> i64 {
    number(&Winner::ALL, &winner)
}

/// Names of fields, as they are stored.
pub(super) fn fields_text(fields: &[String]) -> String {
    serde_json::to_string(fields).unwrap_or_default()
}

/// The first 31 bits of a fingerprint: enough to tell most contents of a book apart, in an index half as big.
pub(super) fn print(fingerprint: &[u8; 16]) -> u32 {
    let [a, b, c, d, ..] = *fingerprint;
    u32::from_le_bytes([a, b, c, d]) >> 1
}

/// Match keys as the octets of an item's row.
pub(super) fn pack_keys(keys: &[u64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}

/// The match keys of an item's row.
pub(super) fn unpack_keys(bytes: &[u8]) -> Vec<u64> {
    let (keys, _) = bytes.as_chunks::<8>();
    keys.iter().map(|key| u64::from_le_bytes(*key)).collect()
}

/// What made a revision: 0 an add, 1 a replace, 2 a delete.
pub(super) fn revision_kind(row: &RevisionRow) -> i64 {
    match row {
        RevisionRow { deleted: true, .. } => 2,
        RevisionRow { guid, revision, .. } if guid.0 == revision.0 => 0,
        _ => 1,
    }
}

/// What superseded a revision, and when.
pub(super) fn until(row: &RevisionRow) -> Result<(Revision, Timestamp)> {
    let missing = || StoreError::Corrupt(format!("revision {} of item {} is not superseded", row.revision, row.guid));
    row.until.ok_or_else(missing)
}

/// A limit as SQL has it.
pub(super) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What is known of a book under the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct LockedBook {
    pub(super) book: BookNo,
    pub(super) head: Revision,
    pub(super) indexed: bool,
    pub(super) indexed_upto: Guid,
}

impl LockedBook {
    /// Whether the item's match keys are in the index, or shall be.
    pub(super) const fn indexes(&self, guid: Guid) -> bool {
        self.indexed || guid.0 <= self.indexed_upto.0
    }

    /// Refuses revisions that are not newer than all that is committed (I11).
    pub(super) fn takes(&self, row: &ItemRow<'_>) -> Result<()> {
        if row.revision > self.head {
            return Ok(());
        }
        let Self { book, head, .. } = self;
        Err(StoreError::Corrupt(format!(
            "item {} of book {book} shall get revision {} below head {head}",
            row.guid, row.revision
        )))
    }
}

/// The lock of a book that is to be written, among those held.
pub(super) fn locked(held: &mut [LockedBook], book: BookNo) -> Result<&mut LockedBook> {
    let locked = held.iter_mut().find(|locked| locked.book == book);
    locked.ok_or_else(|| StoreError::Corrupt(format!("book {book} is written without its lock")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let keys = [0, 1, u64::MAX, 1 << 63];
        assert_eq!(unpack_keys(&pack_keys(&keys)), keys);
        assert_eq!(pack_keys(&[1])[..], [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
