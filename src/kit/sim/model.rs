//! What the simulated people did, and what must therefore be true in the end.
//!
//! Each edit puts a token of its own into the card. From then on the token must be in a live card of the server, unless
//! somebody who saw it took it out again: whatever else the engine did with the change – merged it, matched it, sent it
//! five times – it was lost otherwise (I1). And it must not be in two (I2).

use super::card::Face;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Fate {
    /// The event in which it was made.
    born: usize,
    /// Cards with it that were made on purpose.
    cards: usize,
    /// How often a card with it was deleted. A device that obeys a delete and keeps its own edit adds that as a new card,
    /// while another device's edit may have brought the old one back.
    deletes: usize,
    /// Somebody who saw it took it out.
    may_be_gone: bool,
    /// And nobody can have missed that.
    must_be_gone: bool,
    /// Somebody changed its card back to an earlier state: an edit without a token, which a delete elsewhere does not undo.
    changed_back: bool,
    /// What was in the card before it.
    before: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    tokens: BTreeMap<String, Fate>,
    /// Changes back to an earlier state that took tokens out and put none in: those in the card before and after.
    backs: Vec<(Vec<String>, Vec<String>)>,
    /// Other changes that took tokens out, the same way.
    others: Vec<(Vec<String>, Vec<String>)>,
    /// Tokens of cards when they were deleted.
    deleted: Vec<Vec<String>>,
    /// Cards that somebody left, copied or restored without any token.
    blank: usize,
}

impl Model {
    /// A token for the next edit.
    pub(super) fn token(&self) -> String {
        format!("t{}", self.tokens.len())
    }

    /// Notes an edit: what the person saw, and what they left. `sure`: the server knows what this place held.
    /// Gives the tokens of a card that was surely deleted.
    pub(super) fn edited(&mut self, event: usize, seen: Option<&Face>, left: Option<&Face>, sure: bool) -> Vec<String> {
        let none = Face::default();
        let (before, after) = (seen.unwrap_or(&none), left.unwrap_or(&none));
        let known = |token: &String| self.tokens.contains_key(token);
        let back = before != after && seen.is_some() && after.tokens.iter().all(known);
        for token in before.tokens.iter().filter(|token| !after.tokens.contains(token)) {
            if let Some(fate) = self.tokens.get_mut(token) {
                fate.may_be_gone = true;
                fate.must_be_gone |= sure;
                fate.deletes += usize::from(left.is_none());
            }
        }
        for token in &after.tokens {
            let fresh = !self.tokens.contains_key(token);
            let fate = self.tokens.entry(token.clone()).or_insert_with(|| Fate {
                born: event,
                cards: 0,
                deletes: 0,
                may_be_gone: false,
                must_be_gone: false,
                changed_back: false,
                before: before.tokens.clone(),
            });
            fate.cards += usize::from(seen.is_none() || fresh);
            fate.must_be_gone = false;
            fate.changed_back |= back;
        }
        if left.is_some() {
            self.blank += usize::from(after.tokens.is_empty());
            if !before.tokens.iter().all(|token| after.tokens.contains(token)) {
                let list = if back { &mut self.backs } else { &mut self.others };
                list.push((before.tokens.clone(), after.tokens.clone()));
            }
            return Vec::new();
        }
        self.deleted.push(before.tokens.clone());
        if !sure {
            self.unheard(&before.tokens);
        }
        before.tokens.clone()
    }

    /// The delete of a card with these tokens may not be heard of: a slow sync tells what is there, not what is there no
    /// more. Then it may come back as it was at any time.
    pub(super) fn unheard(&mut self, tokens: &[String]) {
        let mut all = tokens.to_vec();
        while let Some(token) = all.pop() {
            if let Some(fate) = self.tokens.get_mut(&token) {
                fate.must_be_gone = false;
                all.append(&mut fate.before);
            }
        }
    }

    /// A card with these was deleted by somebody of whom nobody can know that they had seen it as it is.
    pub(super) fn doubted(&mut self, tokens: &[String]) {
        for token in tokens {
            if let Some(fate) = self.tokens.get_mut(token) {
                fate.must_be_gone = false;
            }
        }
    }

    /// Nobody but one device had these, and it is gone.
    pub(super) fn lost(&mut self, tokens: impl Iterator<Item = String>) {
        for token in tokens {
            if let Some(fate) = self.tokens.get_mut(&token) {
                fate.may_be_gone = true;
            }
        }
    }

    /// A card with these may be taken for another one.
    pub(super) fn may_double(&mut self, tokens: impl Iterator<Item = String>) {
        for token in tokens {
            if let Some(fate) = self.tokens.get_mut(&token) {
                fate.cards += 1;
            }
        }
    }

    /// A deleted card is there again as it was: which nobody who deletes it has seen yet. That may be as it was before it became
    /// what was deleted.
    pub(super) fn revived(&mut self, face: &Face) {
        let later = |tokens: &&Vec<String>| {
            tokens.len() > face.tokens.len() && face.tokens.iter().all(|token| tokens.contains(token))
        };
        let later = self.deleted.iter().rev().find(later).cloned();
        self.backs.extend(later.map(|later| (later, face.tokens.clone())));
        self.blank += usize::from(face.tokens.is_empty());
        for token in &face.tokens {
            if let Some(fate) = self.tokens.get_mut(token) {
                fate.must_be_gone = false;
                fate.changed_back = true;
                fate.cards += 1;
            }
        }
    }

    /// When a token was made.
    pub(super) fn born(&self, token: &str) -> Option<usize> {
        self.tokens.get(token).map(|fate| fate.born)
    }

    /// Cards that may be without any token. Of a card that two people changed back, each to what the other took out of it,
    /// nothing of either is left: both edits are kept, and neither deleted it (seed 2017406). So it is where only one changed
    /// it back, and took out just what the other had put in (seed 3044445).
    fn may_be_blank(&self) -> usize {
        let mut left: Vec<_> = self.backs.iter().collect();
        let mut others: Vec<_> = self.others.iter().collect();
        let takes = |seen: &[String], kept: &[String], all: &[String]| {
            all.iter().all(|token| seen.contains(token) && !kept.contains(token))
        };
        let mut pairs = 0;
        while let Some((seen, kept)) = left.pop() {
            let other = left.iter().position(|(other_seen, other_kept)| {
                seen.iter().any(|token| other_seen.contains(token))
                    && !kept.iter().any(|token| other_kept.contains(token))
            });
            if let Some(other) = other {
                left.swap_remove(other);
                pairs += 1;
                continue;
            }
            let other = others.iter().position(|(other_seen, other_kept)| {
                takes(seen, kept, other_kept) && takes(other_seen, other_kept, kept)
            });
            if let Some(other) = other {
                others.swap_remove(other);
                pairs += 1;
            }
        }
        self.blank + pairs
    }

    /// Judges the server's live cards once all is quiet.
    pub(super) fn judge(&self, cards: &[Vec<u8>]) -> Result<(), (&'static str, String)> {
        let faces: Vec<Face> = cards.iter().map(|card| Face::read(card)).collect();
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for token in faces.iter().flat_map(|face| &face.tokens) {
            *found.entry(token).or_default() += 1;
        }
        for (token, fate) in &self.tokens {
            let count = found.get(token.as_str()).copied().unwrap_or(0);
            if count == 0 && !fate.may_be_gone {
                return Err(("I1", format!("{token}, made in event {}, is lost", fate.born)));
            }
            if count > fate.cards + fate.deletes {
                return Err(("I2", format!("{token} is in {count} live cards; {} were made", fate.cards)));
            }
        }
        let blank = faces.iter().filter(|face| face.tokens.is_empty()).count();
        if blank > self.may_be_blank() {
            return Err(("I1", format!("{blank} cards have lost all their tokens")));
        }
        for face in faces.iter().filter(|face| !face.tokens.is_empty()) {
            // Of a card that was copied, another may have stayed.
            let gone = |token: &String| {
                self.tokens.get(token).is_some_and(|fate| fate.must_be_gone && fate.cards == 1 && !fate.changed_back)
            };
            if face.tokens.iter().all(gone) {
                return Err(("I1", format!("a deleted card is alive again: {face:?}")));
            }
        }
        Ok(())
    }
}
