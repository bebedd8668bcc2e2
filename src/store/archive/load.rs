//! Reading.

use super::line::Line;
use super::{ArchiveError, Done, FORMAT, MAX_LINE, PAGE, Progress};
use crate::auth::{Secret, Verifier};
use crate::store::audit::NO_ACCOUNT;
use crate::store::{
    AccountNo, AuditRow, Blob, BlobNo, BookNo, BookRow, ConflictRow, DeviceNo, DeviceRow, ItemRow, MapRow, NewStaged,
    OutgoingRow, PairRow, PartialRow, Principal, Result, RevisionRow, Store, StoreError, Tx, Verdict,
};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read as _};

/// Bytes of lines that make a step, however few rows they are.
const STEP_BYTES: usize = 1 << 20;

/// Reads what [`dump`](super::dump) wrote into an empty store, in steps of some hundred rows. Nobody must use the store
/// meanwhile. A load that was broken off cannot be gone on with: begin it again with another empty store.
///
/// # Errors
/// [`ArchiveError::NotEmpty`] for a store with accounts, which is left alone; [`ArchiveError::TooNew`]; [`ArchiveError::Line`]
/// for a line that cannot be read and for a dump that ends before its end; and the failures of both sides.
pub fn load(
    store: &dyn Store,
    from: &mut dyn BufRead,
    progress: Progress<'_>,
) -> std::result::Result<Done, ArchiveError> {
    let directory = store.directory();
    if !directory.accounts()?.is_empty() || !directory.principals()?.is_empty() {
        return Err(ArchiveError::NotEmpty);
    }
    let mut lines = Lines { from, number: 0, text: Vec::new() };
    match lines.next()? {
        Line::Dump { format } if format > FORMAT => return Err(ArchiveError::TooNew { found: format }),
        Line::Dump { .. } => {}
        _ => return Err(lines.wrong("this is no dump of a store")),
    }
    let mut done = Done::default();
    let mut audit = Vec::new();
    loop {
        match lines.next()? {
            Line::Principal { device_id, kind, verifiers } => {
                let verifiers = verifiers.iter().map(super::line::Written::read).collect::<Result<_>>()?;
                directory.put_principal(&device_id, &Principal { kind, verifiers })?;
            }
            Line::Account { name, verifier } => {
                let verifier = match verifier {
                    Some(verifier) => verifier.read()?,
                    // Nobody knows what to say to that.
                    None => Verifier::md5(&name, &Secret::new(String::new())),
                };
                let account = directory.put_login(&name, &verifier)?;
                Whole::new(store, account).read(&mut lines, &mut done, &mut *progress)?;
                done.accounts += 1;
                progress(&done);
            }
            Line::Grant { device_id, account, news } => grant(store, &device_id, &account, &news)?,
            Line::Audit { account, at, actor, action, object, outcome } => {
                audit.push((account, AuditRow::new(at, actor, action, object).with_outcome(outcome)));
                if audit.len() >= PAGE {
                    noted(store, &mut audit)?;
                }
            }
            Line::End { lines: number } if number == lines.number => {
                noted(store, &mut audit)?;
                return Ok(done);
            }
            Line::End { .. } => return Err(lines.wrong("lines are missing")),
            _ => return Err(lines.wrong("it does not belong there")),
        }
    }
}

/// Who is granted an account has news of all of its books; some of it is old.
fn grant(store: &dyn Store, device_id: &str, name: &str, news: &[BookNo]) -> Result<()> {
    let directory = store.directory();
    directory.set_grant(device_id, name, true)?;
    let Some(account) = directory.account(name)? else { return Ok(()) };
    store.step(account, &mut |tx| {
        let books: Vec<BookNo> = tx.books()?.iter().map(|row| row.book).collect();
        tx.lock_books(&books)?;
        let known = books.iter().filter(|book| !news.contains(book));
        known.copied().try_for_each(|book| tx.clear_dirty(device_id, book))?;
        Ok(Verdict::Commit)
    })
}

/// Writes what was done, those of one account together.
fn noted(store: &dyn Store, rows: &mut Vec<(Option<String>, AuditRow)>) -> Result<()> {
    for rows in rows.chunk_by(|a, b| a.0 == b.0) {
        let account = match &rows[0].0 {
            Some(name) => store.directory().account(name)?.ok_or_else(|| contradicts("something of no account"))?,
            None => NO_ACCOUNT,
        };
        store.step(account, &mut |tx| {
            rows.iter().try_for_each(|(_, row)| tx.audit(row))?;
            Ok(Verdict::Commit)
        })?;
    }
    rows.clear();
    Ok(())
}

struct Lines<'l> {
    from: &'l mut dyn BufRead,
    number: u64,
    text: Vec<u8>,
}

impl Lines<'_> {
    fn next(&mut self) -> std::result::Result<Line, ArchiveError> {
        self.text.clear();
        self.number += 1;
        (&mut *self.from).take(MAX_LINE).read_until(b'\n', &mut self.text)?;
        match self.text.last() {
            None => Err(self.wrong("the dump ends before its end")),
            Some(b'\n') => serde_json::from_slice(&self.text).map_err(|error| self.wrong(&plain(&error))),
            Some(_) => Err(self.wrong("the line is cut off, or too long")),
        }
    }

    fn wrong(&self, what: &str) -> ArchiveError {
        ArchiveError::Line { line: self.number, what: what.to_owned() }
    }
}

/// What is wrong with a line, without what stands in it.
fn plain(error: &serde_json::Error) -> String {
    format!("it cannot be read ({:?} error at column {})", error.classify(), error.column())
}

/// One account.
struct Whole<'s> {
    store: &'s dyn Store,
    account: AccountNo,
    books: BTreeMap<BookNo, BookRow>,
    numbers: Numbers,
    waiting: Vec<Line>,
}

/// Numbers in the dump, and here.
#[derive(Default)]
struct Numbers {
    devices: BTreeMap<DeviceNo, DeviceNo>,
    blobs: HashMap<BlobNo, BlobNo>,
    /// The large content whose pieces come: its number in the dump, and how much of it is still to come.
    open: Option<(BlobNo, u64)>,
}

impl<'s> Whole<'s> {
    fn new(store: &'s dyn Store, account: AccountNo) -> Self {
        Self { store, account, books: BTreeMap::new(), numbers: Numbers::default(), waiting: Vec::new() }
    }

    fn read(
        mut self,
        lines: &mut Lines<'_>,
        done: &mut Done,
        progress: Progress<'_>,
    ) -> std::result::Result<(), ArchiveError> {
        let mut bytes = 0;
        loop {
            let line = lines.next()?;
            bytes += lines.text.len();
            match &line {
                Line::AccountEnd => {
                    self.flush()?;
                    return Ok(self.finish()?);
                }
                Line::Book { row } => drop(self.books.insert(row.book, row.clone())),
                Line::Dump { .. }
                | Line::Principal { .. }
                | Line::Account { .. }
                | Line::Grant { .. }
                | Line::Audit { .. }
                | Line::End { .. } => {
                    return Err(lines.wrong("it does not belong there"));
                }
                Line::Item { .. } => done.items += 1,
                Line::Past { .. } => done.revisions += 1,
                Line::Map { .. } => done.maps += 1,
                Line::Piece { bytes } => done.blob_bytes += bytes.len() as u64,
                _ => {}
            }
            if !matches!(line, Line::Book { .. }) {
                self.waiting.push(line);
            }
            if self.waiting.len() >= PAGE || bytes >= STEP_BYTES {
                self.flush()?;
                bytes = 0;
                progress(done);
            }
        }
    }

    /// Writes what waits as one step.
    fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let books: Vec<BookNo> = self.books.keys().copied().collect();
        let mut made = Numbers::default();
        self.store.step(self.account, &mut |tx| {
            made = Numbers { open: self.numbers.open, ..Numbers::default() };
            tx.lock_books(&books)?;
            let mut step = Step { tx, known: &self.numbers, made: &mut made };
            let together = |a: &Line, b: &Line| a.group().is_some() && a.group() == b.group();
            self.waiting.chunk_by(together).try_for_each(|group| step.write(group))?;
            Ok(Verdict::Commit)
        })?;
        self.waiting.clear();
        self.numbers.devices.append(&mut made.devices);
        self.numbers.blobs.extend(made.blobs);
        self.numbers.open = made.open;
        Ok(())
    }

    /// All rows are there: the books get theirs, and their indexes.
    fn finish(self) -> Result<()> {
        if self.numbers.open.is_some() {
            return Err(contradicts("a large content is not whole"));
        }
        for (book, row) in &self.books {
            self.store.step(self.account, &mut |tx| {
                tx.lock_books(&[*book])?;
                tx.adopt_book(row)?;
                Ok(Verdict::Commit)
            })?;
            let mut indexed = !row.indexed;
            while !indexed {
                self.store.step(self.account, &mut |tx| {
                    tx.lock_books(&[*book])?;
                    indexed = tx.index_more(*book, PAGE)?;
                    Ok(Verdict::Commit)
                })?;
            }
        }
        Ok(())
    }
}

/// One step.
struct Step<'t> {
    tx: &'t mut dyn Tx,
    known: &'t Numbers,
    made: &'t mut Numbers,
}

impl Step<'_> {
    /// Writes lines of one group, or one line of none.
    fn write(&mut self, lines: &[Line]) -> Result<()> {
        match &lines[0] {
            Line::Piece { bytes } => return self.piece(bytes),
            _ if self.made.open.is_some() => return Err(contradicts("a large content is not whole")),
            Line::Device { row } => {
                let made = self.tx.put_device(&DeviceRow { device: DeviceNo::NEW, ..row.clone() })?;
                self.made.devices.insert(row.device, made);
            }
            Line::Lens { no, value } => self.tx.put_lens(*no, value)?,
            Line::Blob { no, len } => {
                let here = self.tx.append_blob(None, b"")?;
                self.made.blobs.insert(*no, here);
                self.made.open = Some((*no, *len)).filter(|(_, rest)| *rest > 0);
            }
            Line::Restore { book, row } => self.tx.put_restore(*book, row)?,
            Line::Pair { row } => {
                let device = self.device(row.device)?;
                self.tx.put_pair(&PairRow { device, ..row.clone() })?;
            }
            Line::Partial { device, book, row } => {
                let blob = if row.blob == BlobNo::NONE { row.blob } else { self.blob(row.blob)? };
                let device = self.device(*device)?;
                self.tx.put_partial(device, *book, &PartialRow { blob, ..row.clone() })?;
            }
            Line::Errand { device, no, content } => {
                let device = self.device(*device)?;
                self.tx.put_errand(device, *no, content)?;
            }
            Line::Item { book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Item { row, .. } => Some(self.item(row)),
                    _ => None,
                });
                let rows: Vec<ItemRow<'_>> = rows.collect::<Result<_>>()?;
                self.tx.insert_items(*book, &rows)?;
            }
            Line::Past { book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Past { row, .. } => Some(self.past(row)),
                    _ => None,
                });
                let rows: Vec<RevisionRow> = rows.collect::<Result<_>>()?;
                self.tx.put_past(*book, &rows)?;
            }
            Line::Conflict { book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Conflict { row, .. } => Some(self.conflict(row)),
                    _ => None,
                });
                let rows: Vec<ConflictRow> = rows.collect::<Result<_>>()?;
                self.tx.put_conflicts(*book, &rows)?;
            }
            Line::Map { device, book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Map { row, .. } => Some(row.clone()),
                    _ => None,
                });
                let (rows, device): (Vec<MapRow>, _) = (rows.collect(), self.device(*device)?);
                self.tx.put_maps(device, *book, &rows)?;
            }
            Line::Outgoing { device, book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Outgoing { row, .. } => Some(row.clone()),
                    _ => None,
                });
                let (rows, device): (Vec<OutgoingRow>, _) = (rows.collect(), self.device(*device)?);
                self.tx.put_outgoing(device, *book, &rows)?;
            }
            Line::Staged { device, book, .. } => {
                let rows = lines.iter().filter_map(|line| match line {
                    Line::Staged { row, .. } => {
                        Some(self.large(row.blob).map(|blob| NewStaged { blob, ..row.clone() }))
                    }
                    _ => None,
                });
                let rows: Vec<NewStaged<'_>> = rows.collect::<Result<_>>()?;
                let device = self.device(*device)?;
                self.tx.stage(device, *book, &rows)?;
            }
            Line::Dump { .. }
            | Line::Principal { .. }
            | Line::Account { .. }
            | Line::AccountEnd
            | Line::Book { .. }
            | Line::Grant { .. }
            | Line::Audit { .. }
            | Line::End { .. } => {}
        }
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((no, rest)) = self.made.open else { return Err(contradicts("a piece of no large content")) };
        let rest = rest.checked_sub(bytes.len() as u64).ok_or_else(|| contradicts("a large content is too long"))?;
        let here = self.blob(no)?;
        self.tx.append_blob(Some(here), bytes)?;
        self.made.open = Some((no, rest)).filter(|_| rest > 0);
        Ok(())
    }

    fn item(&self, row: &ItemRow<'static>) -> Result<ItemRow<'static>> {
        Ok(ItemRow { origin: self.origin(row.origin)?, blob: self.large(row.blob)?, ..row.clone() })
    }

    fn past(&self, row: &RevisionRow) -> Result<RevisionRow> {
        Ok(RevisionRow { origin: self.origin(row.origin)?, blob: self.large(row.blob)?, ..row.clone() })
    }

    fn conflict(&self, row: &ConflictRow) -> Result<ConflictRow> {
        Ok(ConflictRow { origin: self.origin(row.origin)?, ..row.clone() })
    }

    fn origin(&self, origin: Option<DeviceNo>) -> Result<Option<DeviceNo>> {
        origin.map(|device| self.device(device)).transpose()
    }

    fn device(&self, device: DeviceNo) -> Result<DeviceNo> {
        let known = self.made.devices.get(&device).or_else(|| self.known.devices.get(&device)).copied();
        known.ok_or_else(|| contradicts("something of a device that is not there"))
    }

    fn large(&self, blob: Option<Blob>) -> Result<Option<Blob>> {
        blob.map(|blob| self.blob(blob.no).map(|no| Blob { no, ..blob })).transpose()
    }

    fn blob(&self, blob: BlobNo) -> Result<BlobNo> {
        let known = self.made.blobs.get(&blob).or_else(|| self.known.blobs.get(&blob)).copied();
        known.ok_or_else(|| contradicts("something of a large content that is not there"))
    }
}

fn contradicts(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the dump contradicts itself: {what}"))
}
