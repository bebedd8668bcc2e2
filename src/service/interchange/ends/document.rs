//! A document as an end: a table, cards, LDIF or jCard, read and written as a whole.

use super::End;
use crate::contact::card::Card;
use crate::service::interchange::InterchangeError;
#[cfg(feature = "documents")]
use crate::service::interchange::read::check_plain;
use crate::service::interchange::read::{Format, ReadOptions, read};
#[cfg(feature = "documents")]
use crate::service::interchange::write::DOCX_COLUMNS;
use crate::service::interchange::write::{Target, Writer};
use crate::store::replica::{Applied, Book, BookOp, Entry, Known, digest};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Cursor;

/// A document.
///
/// Its entries have no ids: they are known again by what they say, and one that was changed by its name, or by all its numbers
/// and addresses. A table keeps its own columns, in their order, also those that no field is known for. A document in which
/// anything cannot be read is not used at all: what is missing in it would be taken for deleted. It is written once for all
/// that a [`turn`](super::turn) brings.
///
/// Workbooks and documents of word processors (feature `documents`) are those of one table, all of whose cells are text when it is
/// written anew. One that has more – other sheets, formulas, comments, pictures, text beside the table – is not used: it would be lost.
pub struct Document<'d> {
    target: Target,
    options: ReadOptions,
    /// `None` until it is read, or written for the first time.
    rows: Option<Vec<Row>>,
    /// What they will be when what was applied is written.
    applied: Option<Vec<Row>>,
    /// Where each row is; `None` since rows came or went.
    places: Option<HashMap<String, usize>>,
    next: u64,
    write: Box<Write<'d>>,
}

/// Puts bytes in the document's place, or says why not.
type Write<'d> = dyn FnMut(&[u8]) -> Result<(), String> + 'd;

#[derive(Clone)]
struct Row {
    /// Empty until it is known.
    id: String,
    /// As it is read, or is to be written.
    card: Vec<u8>,
    /// The digest of the card as it is read.
    version: Vec<u8>,
}

impl Row {
    fn new(id: String, card: Vec<u8>) -> Self {
        Self { id, version: version(&card), card }
    }

    fn entry(&self) -> Entry {
        Entry { id: self.id.clone(), version: self.version.clone() }
    }
}

fn version(card: &[u8]) -> Vec<u8> {
    Sha256::digest(card).to_vec()
}

impl<'d> Document<'d> {
    /// A document that is a `target` when it is made new. `write` puts other bytes in the place of it, durable when it returns,
    /// or says why not: also if somebody else wrote it since it was last [taken](Self::take).
    ///
    /// # Errors
    /// A target that cannot be read as it was written: text for people, lists to print, documents of word processors with more columns
    /// than their tables have room for (8).
    pub fn new(
        target: Target,
        options: ReadOptions,
        write: impl FnMut(&[u8]) -> Result<(), String> + 'd,
    ) -> Result<Self, InterchangeError> {
        check(&target)?;
        Ok(Self { target, options, rows: None, applied: None, places: None, next: 1, write: Box::new(write) })
    }

    /// Takes the document as it is now.
    ///
    /// # Errors
    /// What of it cannot be read. What was taken before is forgotten then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), InterchangeError> {
        self.lose();
        let unusable = |what: &str| InterchangeError::Unusable(what.to_owned());
        if bytes.len() > self.options.limits.whole {
            return Err(InterchangeError::Unusable(format!("more than {} bytes", self.options.limits.whole)));
        }
        #[cfg(feature = "documents")]
        if matches!(self.target, Target::Xlsx(_) | Target::Ods(_) | Target::Docx(_)) {
            check_plain(Cursor::new(bytes), self.options.limits)?;
        }
        let options = ReadOptions { format: Some(self.format()), ..self.options.clone() };
        let reading = read(Cursor::new(bytes), &options)?;
        let table = reading.table;
        let cards = reading.entries.map(|entry| entry.map(|entry| entry.card)).collect::<Result<Vec<_>, _>>()?;
        if self.target.layout().is_some() {
            let table = table.ok_or_else(|| unusable("its first row has no names of columns"))?;
            let target = self.target.clone().in_layout(|_| table);
            check(&target)?;
            self.target = target;
        }
        self.rows = Some(cards.into_iter().map(|card| Row::new(String::new(), card)).collect());
        Ok(())
    }

    /// The document is not there. If it ever was, that is an error at the next turn: it has not lost its contacts.
    pub fn lose(&mut self) {
        (self.rows, self.applied, self.places) = (None, None, None);
    }

    const fn format(&self) -> Format {
        match self.target {
            Target::Vcard(_) => Format::Vcard,
            Target::Jcard => Format::Jcard,
            Target::Ldif => Format::Ldif,
            #[cfg(feature = "documents")]
            Target::Xlsx(_) => Format::Xlsx,
            #[cfg(feature = "documents")]
            Target::Ods(_) => Format::Ods,
            #[cfg(feature = "documents")]
            Target::Docx(_) => Format::Docx,
            _ => Format::Table,
        }
    }

    fn rows(&self) -> Result<&[Row], String> {
        self.applied
            .as_deref()
            .or(self.rows.as_deref())
            .ok_or_else(|| "the document is not there, or cannot be read".to_owned())
    }

    fn row(&mut self, id: &str) -> Result<Option<&Row>, String> {
        if self.places.is_none() {
            self.places = Some(self.rows()?.iter().enumerate().map(|(at, row)| (row.id.clone(), at)).collect());
        }
        let at = self.places.as_ref().and_then(|places| places.get(id)).copied();
        Ok(at.and_then(|at| self.rows().ok()?.get(at)))
    }

    /// The cards as the document, and as they are when it is read.
    fn written(&self, cards: &[&[u8]]) -> Result<(Vec<u8>, Vec<Vec<u8>>), InterchangeError> {
        let bytes = match &self.target {
            // Each in its own version.
            Target::Vcard(_) => cards.iter().flat_map(|card| ended(card)).collect(),
            target => {
                let mut writer = Writer::new(Vec::new(), target.clone())?;
                cards.iter().try_for_each(|card| writer.put(card))?;
                writer.finish()?.0
            }
        };
        if cards.is_empty() {
            return Ok((bytes, Vec::new()));
        }
        let mut options =
            ReadOptions { format: Some(self.format()), limits: self.options.limits, ..Default::default() };
        if let Some(layout) = self.target.layout() {
            (options.charset, options.delimiter) = (Some(layout.charset()), Some(layout.delimiter()));
            options.layout = Some(layout.clone());
        }
        let entries = read(Cursor::new(&bytes), &options)?.entries;
        let back = entries.map(|entry| entry.map(|entry| entry.card)).collect::<Result<Vec<_>, _>>()?;
        if back.len() != cards.len() {
            let what = format!("{} of {} contacts could be read back", back.len(), cards.len());
            return Err(InterchangeError::Unusable(what));
        }
        Ok((bytes, back))
    }

    /// What the entries come to be that are added or replaced, without their ids.
    fn given(&self, ops: &[BookOp<'_>]) -> Result<Vec<Row>, String> {
        let cards = ops.iter().filter_map(BookOp::content).map(|card| self.shown(card));
        let cards = cards.collect::<Result<Vec<_>, _>>()?;
        let all: Vec<&[u8]> = cards.iter().map(Vec::as_slice).collect();
        let (_, back) = self.written(&all).map_err(|error| error.to_string())?;
        let row = |(card, back): (Vec<u8>, Vec<u8>)| Row { id: String::new(), card, version: version(&back) };
        Ok(cards.into_iter().zip(back).map(row).collect())
    }

    fn free_id(&mut self) -> String {
        let id = self.next.to_string();
        self.next += 1;
        id
    }
}

impl End for Document<'_> {
    fn shown(&self, card: &[u8]) -> Result<Vec<u8>, String> {
        let as_target;
        let card = match &self.target {
            Target::Vcard(version) => {
                let parsed = Card::parse(card).map_err(|error| error.to_string())?;
                as_target = match parsed.version() == *version {
                    true => ended(parsed.body()),
                    false => crate::contact::card::convert(&parsed, *version),
                };
                as_target.as_slice()
            }
            _ => card,
        };
        let (_, mut back) = self.written(&[card]).map_err(|error| error.to_string())?;
        back.pop().ok_or_else(|| "nothing of it has a place in the document".to_owned())
    }

    fn recall(&mut self, known: &HashMap<String, Known>, card: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {
        // What a turn that failed did not come to write.
        (self.applied, self.places) = (None, None);
        let highest = known.keys().filter_map(|id| id.parse::<u64>().ok()).max().unwrap_or(0);
        self.next = self.next.max(highest.saturating_add(1));
        if known.is_empty() && self.rows.is_none() {
            // A new one.
            self.rows = Some(Vec::new());
        }
        let Some(mut rows) = self.rows.take() else { return };
        if rows.iter().any(|row| row.id.is_empty()) {
            let shown = |id: &str| card(id).and_then(|card| self.shown(&card).ok());
            recognise(&mut rows, known, shown);
            for row in rows.iter_mut().filter(|row| row.id.is_empty()) {
                row.id = self.free_id();
            }
        }
        self.rows = Some(rows);
    }
}

/// Whether what is written so is read as it was.
fn check(target: &Target) -> Result<(), InterchangeError> {
    let what = match target {
        Target::Vcard(_) | Target::Table(_) | Target::Jcard | Target::Ldif => return Ok(()),
        #[cfg(feature = "documents")]
        Target::Xlsx(_) | Target::Ods(_) => return Ok(()),
        #[cfg(feature = "documents")]
        Target::Docx(layout) if layout.columns.len() <= DOCX_COLUMNS => return Ok(()),
        #[cfg(feature = "documents")]
        Target::Docx(_) => "a table of a word processor has room for 8 columns; give it a layout of no more",
        _ => "only tables, cards, LDIF and jCard are written as they were read",
    };
    Err(InterchangeError::Unusable(what.to_owned()))
}

/// Gives rows the ids of the entries that they were, if they were any.
fn recognise(rows: &mut [Row], known: &HashMap<String, Known>, mut shown: impl FnMut(&str) -> Option<Vec<u8>>) {
    let mut ids: Vec<&str> = known.keys().map(String::as_str).collect();
    // In the order in which they were made, backwards.
    ids.sort_by_key(|id| std::cmp::Reverse((id.len(), *id)));
    let mut same: HashMap<[u8; 16], Vec<&str>> = HashMap::new();
    for id in &ids {
        same.entry(known[*id].fp).or_default().push(id);
    }
    for row in rows.iter_mut() {
        if let Some(id) = same.get_mut(&digest(&row.version)).and_then(Vec::pop) {
            row.id = id.to_owned();
        }
    }
    if rows.iter().all(|row| !row.id.is_empty()) {
        return;
    }
    let mut gone: BTreeSet<&str> = same.into_values().flatten().collect();
    let (mut by_name, mut by_calls) =
        (HashMap::<String, Vec<&str>>::new(), HashMap::<BTreeSet<String>, Vec<&str>>::new());
    // The first comes off first.
    for id in gone.iter().rev() {
        let Some(who) = shown(id).and_then(|card| Who::of(&card)) else { continue };
        by_name.entry(who.name).or_default().push(id);
        by_calls.entry(who.calls).or_default().push(id);
    }
    for row in rows.iter_mut().filter(|row| row.id.is_empty()) {
        let Some(who) = Who::of(&row.card) else { continue };
        let alike = [
            by_name.get_mut(&who.name).filter(|_| !who.name.is_empty()),
            by_calls.get_mut(&who.calls).filter(|_| !who.calls.is_empty()),
        ];
        let mut alike = alike.into_iter().flatten().flat_map(|ids| std::iter::from_fn(|| ids.pop()));
        if let Some(id) = alike.find(|id| gone.remove(id)) {
            row.id = id.to_owned();
        }
    }
}

/// By what a changed entry is known again. That it shares a number is not enough: a family does.
struct Who {
    name: String,
    /// All its numbers and addresses.
    calls: BTreeSet<String>,
}

impl Who {
    fn of(card: &[u8]) -> Option<Self> {
        let card = Card::parse(card).ok()?;
        let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let calls = ["TEL", "EMAIL"].into_iter().flat_map(|name| card.all(name));
        Some(Self {
            name: card.text("FN").map(|name| name.trim().to_lowercase()).unwrap_or_default(),
            calls: calls.map(|property| plain(&property.text())).collect(),
        })
    }
}

fn ended(card: &[u8]) -> Vec<u8> {
    let mut card = card.to_vec();
    if !card.ends_with(b"\n") {
        card.extend_from_slice(b"\r\n");
    }
    card
}

impl Book for Document<'_> {
    fn entries(&mut self) -> Result<Vec<Entry>, String> {
        Ok(self.rows()?.iter().map(Row::entry).collect())
    }

    fn versions(&mut self, ids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, String> {
        ids.iter().map(|id| Ok(self.row(id)?.map(|row| row.version.clone()))).collect()
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.row(id)?.map(|row| row.card.clone()))
    }

    fn apply(&mut self, ops: &[BookOp<'_>]) -> Result<Vec<Applied>, String> {
        let mut given = self.given(ops)?.into_iter();
        let mut rows = match self.applied.take() {
            Some(rows) => rows,
            None => self.rows()?.to_vec(),
        };
        let wanted: HashSet<&str> = ops.iter().filter_map(BookOp::id).collect();
        let found = rows.iter().enumerate().filter_map(|(at, row)| Some((*wanted.get(row.id.as_str())?, at)));
        let places: HashMap<&str, usize> = found.collect();
        let unchanged = |rows: &[Row], id: &str, expected: &[u8]| {
            places.get(id).copied().filter(|at| rows[*at].version == expected)
        };
        let (mut answers, mut gone) = (Vec::with_capacity(ops.len()), HashSet::new());
        for op in ops {
            let place = match *op {
                BookOp::Add { .. } => given.next().map(|new| {
                    rows.push(Row { id: self.free_id(), ..new });
                    rows.len() - 1
                }),
                BookOp::Replace { id, expected, .. } => given.next().and_then(|new| {
                    let at = unchanged(&rows, id, expected)?;
                    rows[at] = Row { id: id.to_owned(), ..new };
                    Some(at)
                }),
                BookOp::Delete { id, expected } => unchanged(&rows, id, expected).inspect(|at| {
                    gone.insert(*at);
                }),
            };
            answers.push(place.map_or(Applied::Changed, |at| Applied::Done(rows[at].entry())));
        }
        let mut at = 0..;
        rows.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
        (self.applied, self.places) = (Some(rows), None);
        Ok(answers)
    }

    fn is_durable(&self) -> bool {
        self.applied.is_none()
    }

    fn persist(&mut self) -> Result<(), String> {
        let Some(rows) = self.applied.take() else { return Ok(()) };
        self.places = None;
        let cards: Vec<&[u8]> = rows.iter().map(|row| row.card.as_slice()).collect();
        let (bytes, back) = self.written(&cards).map_err(|error| error.to_string())?;
        (self.write)(&bytes)?;
        self.rows = Some(rows.into_iter().zip(back).map(|(row, card)| Row::new(row.id, card)).collect());
        Ok(())
    }
}
