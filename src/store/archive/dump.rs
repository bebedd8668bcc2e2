//! Writing.

use super::line::{Line, Written};
use super::{ArchiveError, Done, FORMAT, PAGE, Progress};
use crate::contact::identity::LARGE;
use crate::message::Timestamp;
use crate::store::audit::NO_ACCOUNT;
use crate::store::{
    AccountNo, Blob, BlobNo, BookNo, BookRow, DeviceNo, DeviceRow, Direction, Directory, Guid, LensNo, Result,
    Revision, Store, StoreError, Tx,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

/// Writes all of a store, and how much it was. Memory is bounded but for a number per large content. What is not in it and what
/// has to be kept secret of it: see the [module](super).
///
/// # Errors
/// [`ArchiveError::Store`] and [`ArchiveError::Io`]; what was written then has no last line, and [`load`](super::load) refuses it.
pub fn dump(store: &dyn Store, to: &mut dyn Write, progress: Progress<'_>) -> std::result::Result<Done, ArchiveError> {
    let directory = store.directory();
    let mut out = Out { to, progress, lines: 0, done: Done::default(), failed: None };
    out.outside(&Line::Dump { format: FORMAT })?;
    let principals = directory.principals()?;
    for device_id in &principals {
        let Some(principal) = directory.principal(device_id)? else { continue };
        let verifiers = principal.verifiers.iter().map(Written::of).collect();
        out.outside(&Line::Principal { device_id: device_id.clone(), kind: principal.kind, verifiers })?;
    }
    let accounts = directory.accounts()?;
    for (name, account) in &accounts {
        let verifier = directory.login(name)?.map(|login| Written::of(&login.verifier));
        out.outside(&Line::Account { name: name.clone(), verifier })?;
        let mut begun = false;
        let looked = store.look(*account, &mut |tx| {
            // A store may begin a look again, but half of the account is written.
            if std::mem::replace(&mut begun, true) {
                return Err(StoreError::Busy(
                    "the connection broke in the middle of a dump; begin it again".to_owned(),
                ));
            }
            Whole { tx, out: &mut out, devices: BTreeMap::new(), blobs: HashMap::new(), lenses: BTreeSet::new() }
                .write()
        });
        if let Some(error) = out.failed.take() {
            return Err(error.into());
        }
        looked?;
        out.outside(&Line::AccountEnd)?;
        out.done.accounts += 1;
        (out.progress)(&out.done);
    }
    for (device_id, account) in directory.grants()? {
        let Some((name, number)) = accounts.iter().find(|(name, _)| *name == account) else { continue };
        let news = directory.dirty(&device_id, (AccountNo(number.0 - 1), BookNo(i64::MAX)), PAGE)?;
        let news = news.into_iter().filter(|dirty| dirty.account == *number).map(|dirty| dirty.book).collect();
        out.outside(&Line::Grant { device_id, account: name.clone(), news })?;
    }
    audit(directory, &accounts, &mut out)?;
    let lines = out.lines + 1;
    out.outside(&Line::End { lines })?;
    out.to.flush()?;
    Ok(out.done)
}

/// What was done, page by page, and each by account: so [`load`](super::load) needs few steps.
fn audit(
    directory: &dyn Directory,
    accounts: &[(String, AccountNo)],
    out: &mut Out<'_>,
) -> std::result::Result<(), ArchiveError> {
    let mut names: BTreeMap<_, _> = accounts.iter().map(|(name, number)| (*number, Some(name))).collect();
    names.insert(NO_ACCOUNT, None);
    let mut after = (Timestamp(i64::MIN), i64::MIN);
    loop {
        let page = directory.audit(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (last.at, last.seq);
        // An account may have been made meanwhile.
        let mut rows: Vec<_> = page.into_iter().filter_map(|row| Some((*names.get(&row.account)?, row))).collect();
        rows.sort_by_key(|(name, _)| *name);
        for (name, row) in rows {
            let [actor, action, object, outcome] =
                [row.actor, row.action, row.object, row.outcome].map(std::borrow::Cow::into_owned);
            out.outside(&Line::Audit { account: name.cloned(), at: row.at, actor, action, object, outcome })?;
        }
    }
}

/// Where lines go.
struct Out<'o> {
    to: &'o mut dyn Write,
    progress: Progress<'o>,
    lines: u64,
    done: Done,
    /// What went wrong while a store was looked at, which has no words for it.
    failed: Option<io::Error>,
}

impl Out<'_> {
    fn outside(&mut self, line: &Line) -> io::Result<()> {
        self.lines += 1;
        serde_json::to_writer(&mut *self.to, line)?;
        self.to.write_all(b"\n")
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        self.outside(line).map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            StoreError::Failed(text)
        })
    }
}

/// One account.
struct Whole<'w, 'o> {
    tx: &'w mut dyn Tx,
    out: &'w mut Out<'o>,
    /// The numbers of devices and large contents here, and in the dump.
    devices: BTreeMap<DeviceNo, DeviceNo>,
    blobs: HashMap<BlobNo, BlobNo>,
    lenses: BTreeSet<LensNo>,
}

impl Whole<'_, '_> {
    fn write(&mut self) -> Result<()> {
        let (books, devices) = (self.tx.books()?, self.tx.devices()?);
        for row in &books {
            self.out.line(&Line::Book { row: row.clone() })?;
        }
        for (number, row) in (1..).zip(&devices) {
            self.devices.insert(row.device, DeviceNo(number));
            self.out.line(&Line::Device { row: DeviceRow { device: DeviceNo(number), ..row.clone() } })?;
        }
        for row in &devices {
            let (device, mut from) = (self.device(row.device)?, i64::MIN);
            loop {
                let page = self.tx.errands(row.device, from, PAGE)?;
                let Some((last, _)) = page.last() else { break };
                let end = *last == i64::MAX;
                from = last.saturating_add(1);
                for (no, content) in page {
                    self.out.line(&Line::Errand { device, no, content })?;
                }
                if end {
                    break;
                }
            }
        }
        for row in &books {
            self.book(row)?;
            for device in &devices {
                self.pair(device.device, row.book)?;
            }
        }
        for no in std::mem::take(&mut self.lenses) {
            if let Some(value) = self.tx.lens(no)? {
                self.out.line(&Line::Lens { no, value })?;
            }
        }
        Ok(())
    }

    fn book(&mut self, row: &BookRow) -> Result<()> {
        let book = row.book;
        let mut after = Revision(0);
        loop {
            let page = self.tx.changes(book, after, Revision(i64::MAX), PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.revision;
            for mut row in page {
                row.origin = self.origin(row.origin)?;
                row.blob = self.blob(row.blob)?;
                self.out.line(&Line::Item { book, row })?;
                self.out.done.items += 1;
            }
            (self.out.progress)(&self.out.done);
        }
        after = Revision(0);
        loop {
            let page = self.tx.superseded(book, after, 0, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.revision;
            let which: Vec<_> = page.iter().map(|past| (past.guid, past.revision)).collect();
            for mut row in self.tx.revisions(book, &which)?.into_iter().flatten() {
                row.origin = self.origin(row.origin)?;
                row.blob = self.blob(row.blob)?;
                self.out.line(&Line::Past { book, row })?;
                self.out.done.revisions += 1;
            }
            (self.out.progress)(&self.out.done);
        }
        let mut before = Revision(i64::MAX);
        loop {
            let page = self.tx.conflicts(book, before, PAGE)?;
            let Some(last) = page.last() else { break };
            before = last.revision;
            for mut row in page {
                row.origin = self.origin(row.origin)?;
                self.out.line(&Line::Conflict { book, row })?;
            }
        }
        let restores = self.tx.restores(book, usize::MAX)?;
        restores.into_iter().rev().try_for_each(|row| self.out.line(&Line::Restore { book, row }))
    }

    fn pair(&mut self, no: DeviceNo, book: BookNo) -> Result<()> {
        let device = self.device(no)?;
        if let Some(row) = self.tx.pair(no, book)? {
            self.lenses.extend(row.lens);
            self.out.line(&Line::Pair { row: crate::store::PairRow { device, ..row } })?;
        }
        let mut after = (i64::MIN, String::new());
        loop {
            let page = self.tx.all_maps(no, book, (after.0, &after.1), PAGE)?;
            let Some(last) = page.last() else { break };
            after = (last.epoch, last.luid.clone());
            for row in page {
                self.lenses.extend(row.lens);
                self.out.line(&Line::Map { device, book, row })?;
                self.out.done.maps += 1;
            }
            (self.out.progress)(&self.out.done);
        }
        let mut after = Guid(i64::MIN);
        loop {
            let page = self.tx.outgoing_page(no, book, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.guid;
            page.into_iter().try_for_each(|row| self.out.line(&Line::Outgoing { device, book, row }))?;
        }
        let mut after = i64::MIN;
        loop {
            let page = self.tx.staged(no, book, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for mut row in page {
                row.change.blob = self.blob(row.change.blob)?;
                self.out.line(&Line::Staged { device, book, row: row.change })?;
            }
        }
        for direction in [Direction::In, Direction::Out] {
            let Some(mut row) = self.tx.partial(no, book, direction)? else { continue };
            if row.blob != BlobNo::NONE {
                let known = self.tx.blob(row.blob)?;
                let len = known.ok_or_else(|| missing(row.blob))?.len;
                row.blob = self.blob(Some(Blob { no: row.blob, len }))?.map_or(BlobNo::NONE, |blob| blob.no);
            }
            self.out.line(&Line::Partial { device, book, row })?;
        }
        Ok(())
    }

    /// Writes a large content, unless it is there already; where it is in the dump.
    fn blob(&mut self, blob: Option<Blob>) -> Result<Option<Blob>> {
        let Some(blob) = blob else { return Ok(None) };
        if let Some(no) = self.blobs.get(&blob.no) {
            return Ok(Some(Blob { no: *no, ..blob }));
        }
        let no = BlobNo(self.blobs.len() as i64 + 1);
        self.out.line(&Line::Blob { no, len: blob.len })?;
        let mut at = 0;
        while at < blob.len {
            let bytes = self.tx.read_blob(blob.no, at, LARGE)?;
            if bytes.is_empty() {
                return Err(missing(blob.no));
            }
            at += bytes.len() as u64;
            self.out.done.blob_bytes += bytes.len() as u64;
            self.out.line(&Line::Piece { bytes })?;
        }
        self.blobs.insert(blob.no, no);
        Ok(Some(Blob { no, ..blob }))
    }

    fn origin(&self, origin: Option<DeviceNo>) -> Result<Option<DeviceNo>> {
        origin.map(|device| self.device(device)).transpose()
    }

    fn device(&self, device: DeviceNo) -> Result<DeviceNo> {
        let known = self.devices.get(&device).copied();
        known.ok_or_else(|| StoreError::Corrupt(format!("there is no device {device}, of which something is stored")))
    }
}

fn missing(blob: BlobNo) -> StoreError {
    StoreError::Corrupt(format!("the large content {blob} is not whole; check the store"))
}
