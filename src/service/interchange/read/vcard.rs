//! Files of vCards, card by card.

use super::Entry;
use crate::contact::card::{Card, Charset, Limits as CardLimits};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use std::collections::VecDeque;
use std::io::{BufRead, Read as _};

pub(super) struct Cards<R> {
    from: R,
    /// That of values which declare none and are not UTF-8.
    fallback: Charset,
    limits: Limits,
    line: u64,
    found: VecDeque<Result<Entry>>,
    any: bool,
    ended: bool,
}

impl<R: BufRead> Cards<R> {
    pub(super) fn new(from: R, charset: Charset, limits: Limits) -> Self {
        let fallback = if charset == Charset::UTF_8 { Charset::WINDOWS_1252 } else { charset };
        Self { from, fallback, limits, line: 1, found: VecDeque::new(), any: false, ended: false }
    }

    /// Reads to the end of the next card.
    fn more(&mut self) -> Result<()> {
        let (mut card, mut depth, mut first) = (Vec::new(), 0_u32, self.line);
        loop {
            let before = card.len();
            let room = (self.limits.record + 1).saturating_sub(before);
            (&mut self.from).take(room as u64).read_until(b'\n', &mut card)?;
            let line = &card[before..];
            if card.len() > self.limits.record {
                let what = format!("the card has more than {} bytes", self.limits.record);
                return Err(InterchangeError::broken(first, what));
            }
            if line.is_empty() {
                self.ended = true;
                self.parse(&card, first);
                if !self.any {
                    return Err(InterchangeError::Unusable(
                        "it is not a vCard: there is no line BEGIN:VCARD".to_owned(),
                    ));
                }
                return Ok(());
            }
            self.line += 1;
            let (begins, ends) = (is(line, b"BEGIN:VCARD"), is(line, b"END:VCARD"));
            // Old Mac files have carriage returns only: all of such a file is one line.
            if is_whole_file(line) {
                depth = depth.max(1);
                continue;
            }
            if begins {
                depth += 1;
            } else if ends {
                depth = depth.saturating_sub(1);
            }
            match (depth, ends) {
                (0, true) => {
                    self.parse(&card, first);
                    return Ok(());
                }
                // Between cards.
                (0, false) => {
                    card.clear();
                    first = self.line;
                }
                _ => {}
            }
        }
    }

    fn parse(&mut self, text: &[u8], first: u64) {
        let record = |what: String| Err(InterchangeError::record(first, what));
        let limits = CardLimits::default();
        let cards = match Card::parse_all(text, &limits, self.fallback) {
            Ok(cards) => cards,
            Err(error) => return self.found.push_back(record(format!("it is not a usable vCard: {error}"))),
        };
        for card in cards {
            self.any = true;
            self.found.push_back(match card {
                Ok(card) if card.is_complete() => Ok(Entry { line: first, card: card.body().to_vec() }),
                Ok(_) => record("the last card has no END:VCARD".to_owned()),
                Err(error) => record(format!("it is not a usable vCard: {error}")),
            });
        }
    }
}

fn is_whole_file(line: &[u8]) -> bool {
    let head = line.trim_ascii_start();
    let first = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    is(&head[..first], b"BEGIN:VCARD")
        && head.get(first) == Some(&b'\r')
        && head.get(first + 1).is_some_and(|it| *it != b'\n')
}

fn is(line: &[u8], wanted: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    line.trim_ascii().eq_ignore_ascii_case(wanted)
}

impl<R: BufRead> Iterator for Cards<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.more() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}
