//! Device profiles: what is done differently for peers known to need it (§11). Rules are data, matched at run time on what a
//! peer says of itself; `rules.json` beside this file is what ships, and a host may put rules of its own before them.
//!
//! A peer that no rule knows is treated as the standard wants, and read leniently like every other.

mod manners;
mod pattern;

pub use manners::{Manners, ResumeObjects};

use crate::message::{DevInf, Text};
use crate::sync::Treatment;
use pattern::matches;
use serde::Deserialize;
use std::sync::LazyLock;
use thiserror::Error;

/// Rules in one file at most.
const MAX_RULES: usize = 1_000;

/// Bytes of a file of rules at most.
const MAX_FILE: usize = 1 << 20;

/// Characters of a text that are looked at.
const MAX_TEXT: usize = 256;

/// The rules that ship.
const SHIPPED: &str = include_str!("rules.json");

static SHIPPED_RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| parse(SHIPPED).unwrap_or_default());

/// One rule: which peers it is about, and what is done differently for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Its name, shown in reports.
    name: String,
    /// What a peer must be like: each that is given must match.
    when: When,
    /// Where this is known from, for readers.
    #[serde(rename = "because")]
    _because: String,
    /// What is done.
    then: Manners,
    /// Whether later rules may add to it.
    #[serde(default, rename = "continue")]
    goes_on: bool,
}

/// Patterns with `*` and `?`, without regard to case; one of each list must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    man: Vec<String>,
    #[serde(rename = "mod")]
    model: Vec<String>,
    oem: Vec<String>,
    fwv: Vec<String>,
    swv: Vec<String>,
    hwv: Vec<String>,
    dev_type: Vec<String>,
    /// `DevID`, or where a message comes from (Source/LocURI).
    id: Vec<String>,
}

/// A file of rules that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileError {
    /// It is not the JSON that is expected.
    #[error("the rules cannot be read: {0}")]
    Unreadable(String),
    /// A rule names no condition: it would be about every peer.
    #[error("rule {0:?} has no condition; name at least one of man, mod, oem, fwv, swv, hwv, dev_type, id")]
    Unconditional(String),
    /// Two rules have one name.
    #[error("rule {0:?} is there twice; names tell rules apart in reports")]
    Twice(String),
    /// A value makes no sense.
    #[error("rule {rule:?}: {setting} {reason}")]
    Invalid {
        /// The rule.
        rule: String,
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// More than is taken.
    #[error("the rules are too many: at most {MAX_RULES} in {MAX_FILE} bytes")]
    TooMany,
}

/// The rules in force: a host's own, then those that ship. The first that matches a peer counts, and those behind it only
/// if it says `continue`; what several settle, the first settles. A rule of a host's own replaces the one of that name.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    own: Vec<Rule>,
    bare: bool,
    treatment: Treatment,
}

impl Profiles {
    /// The rules that ship.
    #[must_use]
    pub fn shipped() -> Self {
        Self::default()
    }

    /// No rules: every peer is treated alike.
    #[must_use]
    pub const fn none() -> Self {
        Self { own: Vec::new(), bare: true, treatment: Treatment::UNSAID }
    }

    /// Puts the rules of a file (JSON, as `rules.json`) before those in force.
    ///
    /// # Errors
    /// [`ProfileError`]; nothing is changed then.
    pub fn read(&mut self, json: &str) -> Result<(), ProfileError> {
        let mut rules = parse(json)?;
        rules.append(&mut self.own);
        self.own = rules;
        Ok(())
    }

    /// What a host wants done with all peers and books of which no rule says something else
    /// ([`Manners::treatment`](Manners::treatment)).
    #[must_use]
    pub fn treat(mut self, treatment: Treatment) -> Self {
        self.treatment = treatment.or(self.treatment);
        self
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let shipped: &[Rule] = if self.bare { &[] } else { &SHIPPED_RULES };
        let replaced = |rule: &&Rule| self.own.iter().any(|own| own.name == rule.name);
        self.own.iter().chain(shipped.iter().filter(move |rule| !replaced(rule)))
    }

    /// The names of the rules about a peer, by its id and, once known, what it says of itself.
    #[must_use]
    pub fn about(&self, id: &str, devinf: Option<&DevInf<'_>>) -> Vec<String> {
        let peer = Peer::new(id, devinf);
        let mut names = Vec::new();
        for rule in self.rules().filter(|rule| rule.when.holds(&peer)) {
            names.push(rule.name.clone());
            if !rule.goes_on {
                break;
            }
        }
        names
    }

    /// What the rules of these names say together.
    #[must_use]
    pub fn manners(&self, names: &[String]) -> Manners {
        let mut manners = Manners::default();
        for name in names {
            if let Some(rule) = self.rules().find(|rule| rule.name == *name) {
                manners.add(&rule.then);
            }
        }
        manners.treat_others(self.treatment);
        manners
    }
}

fn parse(json: &str) -> Result<Vec<Rule>, ProfileError> {
    if json.len() > MAX_FILE {
        return Err(ProfileError::TooMany);
    }
    let rules: Vec<Rule> = serde_json::from_str(json).map_err(|error| ProfileError::Unreadable(error.to_string()))?;
    if rules.len() > MAX_RULES {
        return Err(ProfileError::TooMany);
    }
    for (index, rule) in rules.iter().enumerate() {
        if rules[..index].iter().any(|earlier| earlier.name == rule.name) {
            return Err(ProfileError::Twice(rule.name.clone()));
        }
        if rule.when == When::default() {
            return Err(ProfileError::Unconditional(rule.name.clone()));
        }
        let invalid = |(setting, reason)| ProfileError::Invalid { rule: rule.name.clone(), setting, reason };
        rule.then.check().map_err(invalid)?;
    }
    Ok(rules)
}

impl When {
    fn holds(&self, peer: &Peer) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text))
        };
        any(&self.man, &peer.man)
            && any(&self.model, &peer.model)
            && any(&self.oem, &peer.oem)
            && any(&self.fwv, &peer.fwv)
            && any(&self.swv, &peer.swv)
            && any(&self.hwv, &peer.hwv)
            && any(&self.dev_type, &peer.dev_type)
            && (any(&self.id, &peer.id) || any(&self.id, &peer.dev_id))
    }
}

/// What a rule looks at; empty where the peer says nothing.
#[derive(Default)]
struct Peer {
    man: String,
    model: String,
    oem: String,
    fwv: String,
    swv: String,
    hwv: String,
    dev_type: String,
    id: String,
    dev_id: String,
}

impl Peer {
    fn new(id: &str, devinf: Option<&DevInf<'_>>) -> Self {
        let id = clean(id);
        let Some(devinf) = devinf else { return Self { id, ..Self::default() } };
        let optional = |text: &Option<Text<'_>>| text.as_deref().map(clean).unwrap_or_default();
        Self {
            man: optional(&devinf.man),
            model: optional(&devinf.model),
            oem: optional(&devinf.oem),
            fwv: optional(&devinf.fwv),
            swv: optional(&devinf.swv),
            hwv: optional(&devinf.hwv),
            dev_type: clean(&devinf.dev_type),
            id,
            dev_id: clean(&devinf.dev_id),
        }
    }
}

/// A text on one line (Nokia breaks its firmware's version into several), and no longer than one needs to be known by.
fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().take(MAX_TEXT - out.len().min(MAX_TEXT)));
    }
    out
}

#[cfg(test)]
mod tests;
