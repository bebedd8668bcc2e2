//! Devices of an account.

use crate::message::Timestamp;
use crate::store::{
    AccountNo, BookNo, DeviceNo, DeviceRow, Direction, Guid, PairRow, Store, StoreError, Token, Tx, Verdict,
};

/// Changes taken back from a device per step.
const PAGE: usize = 500;

/// What was forgotten of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// The books that it was in step with.
    pub books: u64,
    /// Items of which it was known what it calls them.
    pub items: u64,
}

/// Forgets a device: what it is, what it and each book agreed on, what was under way between them, its sessions, its key and
/// what was ordered of it, and that it had news. No book is changed, and history goes on to name what came from it. Should
/// it sync again, that is a first sync: nothing is doubled by it; and to take orders it must be enrolled anew.
///
/// # Errors
/// [`StoreError::NotFound`] where the account has no such device; else the store's own failure. Broken off, it is called again.
pub fn forget(store: &dyn Store, account: AccountNo, device_id: &str) -> Result<Forgotten, StoreError> {
    let mut found = None;
    store.look(account, &mut |tx| {
        let row = tx.device(device_id)?.filter(|row| !row.is_local());
        let books: Vec<BookNo> = tx.books()?.into_iter().map(|row| row.book).collect();
        found = row.map(|row| (row, books));
        Ok(())
    })?;
    let (row, books) = found.ok_or_else(|| StoreError::NotFound(format!("device {device_id:?}")))?;
    // Sessions are locked before books.
    store.step(account, &mut |tx| {
        tx.drop_rival_sessions(row.device, &books, &Token([0; 16]))?;
        tx.drop_errands(row.device)?;
        Ok(Verdict::Commit)
    })?;
    let mut done = Forgotten::default();
    for book in books {
        done.items += entries(store, account, row.device, book)?;
        let mut was = false;
        store.step(account, &mut |tx| {
            tx.lock_books(&[book])?;
            was = forget_book(tx, &row, book)?;
            Ok(Verdict::Commit)
        })?;
        done.books += u64::from(was);
    }
    store.step(account, &mut |tx| {
        // The row stays, as the name of an origin.
        let bare = DeviceRow::new(device_id, Timestamp(0));
        tx.put_device(&DeviceRow { device: row.device, nonce_count: row.nonce_count, ..bare })?;
        Ok(Verdict::Commit)
    })?;
    Ok(done)
}

/// Whether a device was forgotten, and has not come back.
#[must_use]
pub fn is_forgotten(row: &DeviceRow) -> bool {
    row.last_seen == Timestamp(0) && row.devinf.is_none() && row.nonce_in.is_none()
}

/// Items that the device has an id for.
fn entries(store: &dyn Store, account: AccountNo, device: DeviceNo, book: BookNo) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, Guid(0));
    loop {
        let mut page = Vec::new();
        store.look(account, &mut |tx| {
            page = match tx.pair(device, book)? {
                Some(pair) => tx.map_page(device, book, pair.epoch, after, PAGE)?,
                None => Vec::new(),
            };
            Ok(())
        })?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.guid;
        count += page.len() as u64;
    }
}

/// Gives whether there was anything.
fn forget_book(tx: &mut dyn Tx, row: &DeviceRow, book: BookNo) -> Result<bool, StoreError> {
    let device = row.device;
    tx.clear_dirty(&row.device_id, book)?;
    if tx.pair(device, book)?.is_none() {
        return Ok(false);
    }
    // No epoch has this number, so that none is kept.
    tx.drop_maps(device, book, i64::MIN)?;
    tx.clear_outgoing(device, book)?;
    loop {
        let staged: Vec<i64> = tx.staged(device, book, 0, PAGE)?.into_iter().map(|row| row.seq).collect();
        if staged.is_empty() {
            break;
        }
        tx.drop_staged(device, book, &staged)?;
    }
    for direction in [Direction::In, Direction::Out] {
        tx.drop_partial(device, book, direction)?;
    }
    tx.put_pair(&PairRow::new(device, book))?;
    Ok(true)
}
