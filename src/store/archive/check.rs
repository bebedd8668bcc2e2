//! Looking for what cannot be.

use super::{Done, PAGE, Progress};
use crate::contact::identity::identify;
use crate::store::{
    Blob, BlobNo, BookNo, BookRow, DeviceNo, DeviceRow, Direction, Guid, ItemRow, MapRow, MapState, Result, Revision,
    Store, Tx,
};

/// The most findings that are told of an account; what is wrong once is wrong a thousand times.
const TOLD: usize = 100;

/// Something that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whose.
    pub account: String,
    /// In which book.
    pub book: BookNo,
    /// Of which device, where it is about one.
    pub device: Option<String>,
    /// Which item, where it is about one.
    pub guid: Option<Guid>,
    /// What is wrong.
    pub what: &'static str,
}

/// What was looked at, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// What was looked at.
    #[serde(flatten)]
    pub done: Done,
    /// What is wrong, a hundred of each account at most.
    pub findings: Vec<Finding>,
    /// How much there is of it in all.
    pub found: u64,
}

/// Looks through all of a store for what contradicts itself, while others work (each account as of one moment): items and their
/// books' counts, fingerprints and match keys, revisions, large contents, maps that are not one-to-one or agree on what never
/// was (I3), pairs beyond their books, rows about items that are not there.
///
/// # Errors
/// The store's own failure.
pub fn check(store: &dyn Store, progress: Progress<'_>) -> Result<Checked> {
    let mut checked = Checked::default();
    for (name, account) in store.directory().accounts()? {
        let before = checked.clone();
        store.look(account, &mut |tx| {
            // A store may begin a look again.
            checked = before.clone();
            let told = checked.findings.len();
            let mut look = Look { tx, name: &name, checked: &mut checked, told, progress: &mut *progress };
            let devices = look.tx.devices()?;
            for book in look.tx.books()? {
                look.book(&book, &devices)?;
            }
            look.checked.done.accounts += 1;
            (look.progress)(&look.checked.done);
            Ok(())
        })?;
    }
    Ok(checked)
}

struct Look<'l> {
    tx: &'l mut dyn Tx,
    name: &'l str,
    checked: &'l mut Checked,
    /// How many findings there were before this account.
    told: usize,
    progress: Progress<'l>,
}

impl Look<'_> {
    fn found(&mut self, book: BookNo, device: Option<&DeviceRow>, guid: Option<Guid>, what: &'static str) {
        self.checked.found += 1;
        if self.checked.findings.len() - self.told < TOLD {
            let device = device.map(|row| row.device_id.clone());
            self.checked.findings.push(Finding { account: self.name.to_owned(), book, device, guid, what });
        }
    }

    fn book(&mut self, row: &BookRow, devices: &[DeviceRow]) -> Result<()> {
        let book = row.book;
        let (mut items, mut bytes, mut after) = (0, 0, Revision(0));
        loop {
            let page = self.tx.changes(book, after, Revision(i64::MAX), PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.revision;
            for item in &page {
                if !item.deleted {
                    items += 1;
                    bytes += item.content_len() as i64;
                }
                if let Some(what) = self.item(row, item, devices)? {
                    self.found(book, None, Some(item.guid), what);
                }
                self.checked.done.items += 1;
            }
            (self.progress)(&self.checked.done);
        }
        if (items, bytes) != (row.live_items, row.live_bytes) {
            self.found(book, None, None, "its counts do not agree with its items");
        }
        let words = self.tx.words_upto()?;
        if words.iter().any(|(known, upto)| *known == book && *upto > row.head) {
            self.found(book, None, None, "its index for search is ahead of it");
        }
        self.past(row)?;
        devices.iter().try_for_each(|device| self.pair(row, device))
    }

    fn item(&mut self, row: &BookRow, item: &ItemRow<'_>, devices: &[DeviceRow]) -> Result<Option<&'static str>> {
        let kind = row.book.kind();
        if item.revision > row.head {
            return Ok(Some("an item is newer than its book's head"));
        }
        if item.guid.0 > item.revision.0 {
            return Ok(Some("an item is older than itself"));
        }
        if item.deleted && item.content_len() > 0 {
            return Ok(Some("a tombstone has a content"));
        }
        if item.origin.is_some_and(|origin| devices.iter().all(|device| device.device != origin)) {
            return Ok(Some("an item is of a device that is not there"));
        }
        if let Some(parent) = item.parent
            && self.tx.items(row.book, &[parent])?.pop().flatten().is_none()
        {
            return Ok(Some("an item's folder was never there"));
        }
        if let Some(blob) = item.blob {
            return Ok(match self.blob(blob)? {
                None => Some("a large content is missing, or not whole"),
                Some(print) => {
                    (print != item.fingerprint).then_some("a large content is another than that of its item")
                }
            });
        }
        // What has no charset of its own may have been read in its device's.
        if item.deleted || std::str::from_utf8(&item.content).is_err() {
            return Ok(None);
        }
        let identity = identify(kind, &item.content);
        let same = identity.fingerprint.0 == item.fingerprint
            && identity.keys.iter().map(|key| key.0).eq(item.keys.iter().copied());
        Ok((!same).then_some("an item has the fingerprint or the match keys of another content"))
    }

    /// The fingerprint of a large content, if it is whole.
    fn blob(&mut self, blob: Blob) -> Result<Option<[u8; 16]>> {
        self.checked.done.blob_bytes += blob.len;
        Ok(self.tx.blob(blob.no)?.filter(|row| row.len == blob.len).map(|row| row.print))
    }

    fn past(&mut self, row: &BookRow) -> Result<()> {
        let (book, mut after) = (row.book, Revision(0));
        loop {
            let page = self.tx.superseded(book, after, 0, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.revision;
            let which: Vec<_> = page.iter().map(|past| (past.guid, past.revision)).collect();
            let guids: Vec<_> = page.iter().map(|past| past.guid).collect();
            let (held, items) = (self.tx.revisions(book, &which)?, self.tx.items(book, &guids)?);
            for ((past, held), item) in page.iter().zip(held).zip(items) {
                let whole = match held.as_ref().and_then(|held| held.blob) {
                    Some(blob) => self.blob(blob)?.is_some(),
                    None => true,
                };
                let what = match (held, item) {
                    (None, _) => Some("a superseded revision cannot be read"),
                    (_, None) => Some("a superseded revision is of an item that was never there"),
                    (_, Some(item)) if past.until <= past.revision || past.until > item.revision => {
                        Some("a superseded revision ends when it cannot")
                    }
                    _ => (!whole).then_some("a large content of the past is missing, or not whole"),
                };
                if let Some(what) = what {
                    self.found(book, None, Some(past.guid), what);
                }
                self.checked.done.revisions += 1;
            }
            (self.progress)(&self.checked.done);
        }
    }

    fn pair(&mut self, row: &BookRow, device: &DeviceRow) -> Result<()> {
        let (no, book) = (device.device, row.book);
        if let Some(pair) = self.tx.pair(no, book)? {
            if pair.cursor > row.head || pair.upto > row.head || pair.start_head > row.head {
                self.found(book, Some(device), None, "a device is ahead of its book");
            }
            if let Some(lens) = pair.lens
                && lens.0 > 0
                && self.tx.lens(lens)?.is_none()
            {
                self.found(book, Some(device), None, "a device's lens is missing");
            }
        }
        let mut after = (i64::MIN, String::new());
        loop {
            let page = self.tx.all_maps(no, book, (after.0, &after.1), PAGE)?;
            let Some(last) = page.last() else { break };
            after = (last.epoch, last.luid.clone());
            for same in page.chunk_by(|one, other| one.epoch == other.epoch) {
                self.maps(row, device, same)?;
            }
            (self.progress)(&self.checked.done);
        }
        let mut after = Guid(i64::MIN);
        loop {
            let page = self.tx.outgoing_page(no, book, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.guid;
            let guids: Vec<_> = page.iter().map(|row| row.guid).collect();
            for (sent, item) in page.iter().zip(self.tx.items(book, &guids)?) {
                if item.is_none_or(|item| sent.sent_revision > item.revision) {
                    self.found(book, Some(device), Some(sent.guid), "what was never there is to be sent, or was");
                }
            }
        }
        self.received(no, book, device)
    }

    /// Map entries of one epoch.
    fn maps(&mut self, row: &BookRow, device: &DeviceRow, page: &[MapRow]) -> Result<()> {
        let (book, epoch) = (row.book, page[0].epoch);
        let guids: Vec<_> = page.iter().map(|entry| entry.guid).collect();
        let agreed: Vec<_> = page.iter().map(|entry| (entry.guid, entry.agreed_revision)).collect();
        let (items, held) = (self.tx.items(book, &guids)?, self.tx.revisions(book, &agreed)?);
        let others = self.tx.maps_by_guid(device.device, book, epoch, &guids)?;
        for (((entry, item), held), other) in page.iter().zip(items).zip(held).zip(others) {
            self.checked.done.maps += 1;
            let live = entry.state != MapState::Gone;
            let what = if item.is_none() {
                Some("a map entry is of an item that was never there")
            } else if entry.agreed_revision > row.head {
                Some("a map entry agrees on a revision that is still to come")
            } else if live && other.is_none_or(|other| other.luid != entry.luid) {
                Some("a device has two map entries of one item")
            } else if live && held.is_none() && entry.agreed_revision > row.purged_upto {
                Some("a map entry agrees on a revision that is not there")
            } else {
                None
            };
            if let Some(what) = what {
                self.found(book, Some(device), Some(entry.guid), what);
            }
        }
        Ok(())
    }

    /// What came and is not settled, and halves of objects.
    fn received(&mut self, no: DeviceNo, book: BookNo, device: &DeviceRow) -> Result<()> {
        let mut after = i64::MIN;
        loop {
            let page = self.tx.staged(no, book, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for blob in page.iter().filter_map(|row| row.change.blob) {
                if self.blob(blob)?.is_none() {
                    self.found(book, Some(device), None, "a large content that was received is missing, or not whole");
                }
            }
        }
        for direction in [Direction::In, Direction::Out] {
            let Some(row) = self.tx.partial(no, book, direction)? else { continue };
            let known = self.tx.blob(row.blob)?;
            if row.blob != BlobNo::NONE && known.is_none_or(|known| known.len < row.received) {
                self.found(book, Some(device), None, "half of a large object is missing");
            }
        }
        Ok(())
    }
}
