//! A book as its user handles it, through the store's API.

use super::card::{Face, has_stable_number, name, number_like};
use super::rng::Rng;
use crate::message::Timestamp;
use crate::store::{AccountNo, BookNo, BookWriter, Draft, ItemRow, Result, Revision, Store, Tx, Verdict};

/// The book that is simulated.
pub(super) const BOOK: BookNo = BookNo::CONTACTS;

/// Cards at which people stop adding.
const ENOUGH: usize = 40;

/// What a person did.
pub(super) struct Deed {
    /// What they saw.
    pub seen: Option<Face>,
    /// What they left.
    pub left: Option<Face>,
    /// They only stored it again.
    pub touched: Option<Vec<u8>>,
}

/// Reads something in a step that changes nothing.
pub(super) fn look<T>(
    store: &dyn Store,
    account: AccountNo,
    mut read: impl FnMut(&mut dyn Tx) -> Result<T>,
) -> Result<T> {
    let mut seen = None;
    store.step(account, &mut |tx| {
        seen = Some(read(tx)?);
        Ok(Verdict::Rollback)
    })?;
    seen.ok_or_else(|| crate::store::StoreError::Failed("the step was not run".to_owned()))
}

/// The live items.
pub(super) fn items(store: &dyn Store, account: AccountNo) -> Result<Vec<ItemRow<'static>>> {
    let mut all = look(store, account, |tx| tx.changes(BOOK, Revision(0), Revision(i64::MAX), usize::MAX))?;
    all.retain(|item| !item.deleted);
    all.sort_by_key(|item| item.guid);
    Ok(all)
}

/// The live cards.
pub(super) fn cards(store: &dyn Store, account: AccountNo) -> Result<Vec<Vec<u8>>> {
    Ok(items(store, account)?.into_iter().map(|item| item.content.into_owned()).collect())
}

/// Adds a card.
pub(super) fn add(store: &dyn Store, account: AccountNo, content: &[u8], now: Timestamp) -> Result<()> {
    write(store, account, None, Some(content), now)
}

/// Somebody edits the book. `offered` gives the cards of other books, which may be copied if nothing of them is here.
/// `sure`: the server knows what this place holds.
pub(super) fn edit(
    store: &dyn Store,
    account: AccountNo,
    dice: u64,
    token: String,
    offered: impl FnOnce() -> Result<Vec<Vec<u8>>>,
    sure: bool,
    now: Timestamp,
) -> Result<Deed> {
    let mut rng = Rng::new(dice);
    let items = items(store, account)?;
    let what = if items.is_empty() { 0 } else { rng.below(100) };
    let adds = what < 30 && items.len() < ENOUGH;
    if adds && what >= 22 {
        let here: Vec<Face> = items.iter().map(|item| Face::read(&item.content)).collect();
        let strange = |card: &&Vec<u8>| {
            let tokens = Face::read(card).tokens;
            !here.iter().any(|face| face.tokens.iter().any(|token| tokens.contains(token)))
        };
        let offered = offered()?;
        let offered: Vec<&Vec<u8>> = offered.iter().filter(strange).collect();
        if let Some(card) = rng.pick(&offered) {
            add(store, account, card, now)?;
            return Ok(Deed { seen: None, left: Some(Face::read(card)), touched: None });
        }
    }
    if adds {
        let face = Face::random(&mut rng, token);
        add(store, account, &face.write(), now)?;
        return Ok(Deed { seen: None, left: Some(face), touched: None });
    }
    let item = &items[rng.below(items.len())];
    let seen = Face::read(&item.content);
    let mut left = seen.clone();
    // A contact that changes its name and all its numbers between two syncs is somebody else, says DESIGN ("Map epochs").
    // So some people here only ever change their names, others only their numbers.
    let what = match what {
        // Nor does anybody give a number to a card that hides those it has, or another name.
        30..=49 | 60..=79 if seen.numbers.is_empty() => 55,
        30..=49 if has_stable_number(&seen) => 70,
        68..=73 if !has_stable_number(&seen) => 40,
        // Changed back to what the server thinks this device still holds: nobody could tell that from an echo.
        74..=79 if !sure => 55,
        what => what,
    };
    match what {
        0..=29 | 80..=91 => {
            write(store, account, Some(item), None, now)?;
            return Ok(Deed { seen: Some(seen), left: None, touched: None });
        }
        30..=49 => {
            left.numbers = vec![number_like(&mut rng, &seen)];
            left.tokens = vec![token];
        }
        50..=59 => left.tokens = vec![token],
        60..=67 => {
            left.numbers.push(number_like(&mut rng, &seen));
            left.numbers.sort();
            left.numbers.dedup();
            left.tokens.push(token);
        }
        68..=73 => {
            left.name = name(&mut rng);
            left.tokens.push(token);
        }
        74..=79 => {
            let before = look(store, account, |tx| tx.history(BOOK, item.guid, 1))?;
            match before.first().filter(|row| !row.deleted) {
                Some(row) => left = Face::read(&row.content),
                None => left.tokens.push(token),
            }
        }
        _ => {
            let content = seen.respell();
            write(store, account, Some(item), Some(&content), now)?;
            return Ok(Deed { seen: Some(seen.clone()), left: Some(seen), touched: Some(content) });
        }
    }
    write(store, account, Some(item), Some(&left.write()), now)?;
    Ok(Deed { seen: Some(seen), left: Some(left), touched: None })
}

fn write(
    store: &dyn Store,
    account: AccountNo,
    item: Option<&ItemRow<'static>>,
    content: Option<&[u8]>,
    now: Timestamp,
) -> Result<()> {
    store.step(account, &mut |tx| {
        let row = tx.lock_books(&[BOOK])?.remove(0);
        let mut writer = BookWriter::new(row, None, now);
        match (item, content) {
            (None, Some(content)) => writer.add(Draft::of(BOOK, content)),
            (Some(item), Some(content)) => writer.replace(item, Draft::of(BOOK, content)),
            (Some(item), None) => writer.delete(item),
            (None, None) => return Ok(Verdict::Rollback),
        };
        writer.flush(tx)?;
        Ok(Verdict::Commit)
    })
}
