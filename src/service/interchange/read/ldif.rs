//! LDIF (RFC 2849): entries of attributes, as directories and Mozilla's programs write them.

use super::{Entry, line};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::field::Field;
use crate::service::interchange::layout::{Dates, Layout};
use crate::service::interchange::record::Record;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::io::BufRead;

/// Attributes that say nothing about a contact.
const SILENT: [&str; 8] = [
    "dn",
    "version",
    "objectclass",
    "modifytimestamp",
    "createtimestamp",
    "changetype",
    "entryuuid",
    "mozillausehtmlmail",
];

pub(super) struct Entries<R> {
    from: R,
    limits: Limits,
    line: u64,
    /// A line read ahead, to see whether it goes on.
    next: Option<String>,
    known: HashMap<String, Field>,
    ended: bool,
}

impl<R: BufRead> Entries<R> {
    pub(super) fn new(from: R, limits: Limits) -> Self {
        let mut known = HashMap::new();
        for column in Layout::named("ldif").into_iter().flat_map(|layout| layout.columns) {
            if let [field] = &column.fields[..] {
                known.extend(column.names.iter().map(|name| (name.to_ascii_lowercase(), field.clone())));
            }
        }
        Self { from, limits, line: 0, next: None, known, ended: false }
    }

    fn physical(&mut self) -> Result<Option<String>> {
        self.line += 1;
        line(&mut self.from, self.line, self.limits)
    }

    /// A line with those that go on with it.
    fn logical(&mut self) -> Result<Option<String>> {
        let Some(mut text) = (match self.next.take() {
            Some(text) => Some(text),
            None => self.physical()?,
        }) else {
            return Ok(None);
        };
        loop {
            match self.physical()? {
                Some(more) if more.starts_with(' ') => {
                    if text.len() + more.len() > self.limits.record {
                        let what = format!("the entry has more than {} bytes", self.limits.record);
                        return Err(InterchangeError::broken(self.line, what));
                    }
                    text.push_str(&more[1..]);
                }
                other => {
                    self.next = other;
                    return Ok(Some(text));
                }
            }
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>> {
        let (mut record, mut any, mut first, mut size) = (Record::default(), false, self.line, 0);
        let mut wrong = None;
        loop {
            let text = self.logical()?;
            let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
                if self.next.is_none() {
                    self.ended = true;
                }
                if let Some(what) = wrong {
                    return Err(InterchangeError::record(first, what));
                }
                match record.card(Dates::Iso) {
                    Some(card) if any => return Ok(Some(Entry { line: first, card })),
                    _ if self.ended => return Ok(None),
                    _ => continue,
                }
            };
            size += text.len();
            if size > self.limits.record {
                let what = format!("the entry has more than {} bytes", self.limits.record);
                return Err(InterchangeError::broken(first, what));
            }
            if text.starts_with('#') {
                continue;
            }
            if !any {
                // This line was read, and one after it.
                first = self.line - 1;
            }
            let Some((name, value)) = text.split_once(':') else {
                wrong = Some("a line without a colon".to_owned());
                continue;
            };
            // Options such as `;lang-en`.
            let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if SILENT.contains(&name.as_str()) {
                continue;
            }
            let value = match value.strip_prefix(':') {
                None if value.starts_with('<') => continue,
                None => value.trim().to_owned(),
                Some(coded) => match STANDARD.decode(coded.trim()).map(String::from_utf8) {
                    Ok(Ok(text)) => text,
                    // A photo.
                    Ok(Err(_)) => continue,
                    Err(_) => {
                        wrong = Some(format!("the value of {name} is no base64"));
                        continue;
                    }
                },
            };
            any = true;
            match self.known.get(&name) {
                Some(field) => record.add(field, &value),
                None => record.put_other(&name, &value),
            }
        }
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.entry() {
            Ok(entry) => {
                self.ended |= entry.is_none();
                entry.map(Ok)
            }
            Err(error) => {
                self.ended |= !error.is_of_one_record();
                Some(Err(error))
            }
        }
    }
}
