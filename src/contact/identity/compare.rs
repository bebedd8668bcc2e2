//! Are these two the same contact?

use std::fmt;

use serde::{Deserialize, Serialize};

use super::keys::{Facts, NUMBER_DIGITS, may_be_one_line, tail};
use super::{Kind, fingerprint, identify};
use crate::contact::card::{Card, decode_document};

/// How alike two items are, from most to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Likeness {
    /// They mean the same.
    Equal,
    /// The same contact with other details: merge (mission S7).
    Strong,
    /// Probably the same: pair only when nothing better is left, never for a single Add.
    Loose,
    /// Not the same.
    Different,
}

/// When an e-mail address stands in for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmailRule {
    /// Never more than loosely.
    Never,
    /// If neither side has a number.
    WithoutNumbers,
    /// Always: name and address are as good as name and number.
    Always,
}

/// What makes two contacts the same. The defaults are the mission's rule S7 with field notes 1 and 6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchRules {
    /// Last digits of a number that must be equal; shorter numbers must be equal as a whole. Default 9. Less than 9
    /// finds no further candidates, since match keys have 9.
    pub number_digits: u8,
    /// Default [`EmailRule::WithoutNumbers`].
    pub email: EmailRule,
    /// An equal UID with an agreeing name is strong. Default true.
    pub uid: bool,
    /// A name that is part of the other (`John`, `John Doe`) with an equal number is loose. Default false: it joins a
    /// family's home number with one of the family.
    pub partial_names: bool,
    /// An equal name, where at least one side has nothing else to compare, is loose. Default true.
    pub name_alone: bool,
}

impl Default for MatchRules {
    fn default() -> Self {
        Self {
            number_digits: NUMBER_DIGITS as u8,
            email: EmailRule::WithoutNumbers,
            uid: true,
            partial_names: false,
            name_alone: true,
        }
    }
}

/// Why two items were found alike or different. Says no personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Equal fingerprints.
    SameMeaning,
    /// Equal name and a number in common.
    NameAndNumber,
    /// Equal name and an e-mail address in common.
    NameAndEmail,
    /// Equal UID, and the names do not disagree.
    UidAndName,
    /// Both nameless, with the same numbers.
    NamelessSameNumbers,
    /// Both nameless, without numbers, with the same addresses.
    NamelessSameEmails,
    /// Both nameless, with some numbers or addresses in common.
    NamelessOverlap,
    /// One is nameless; the numbers are the same.
    OneNameless,
    /// Equal names; one side has nothing else to compare.
    NameAlone,
    /// One name is a cut or a part of the other; a number is in common.
    PartialName,
    /// The names differ.
    NamesDiffer,
    /// The names agree, additional names or suffixes (junior, senior) do not.
    NamePartsDiffer,
    /// Equal names, but all numbers or addresses differ.
    NumbersDiffer,
    /// Nothing in common.
    NothingShared,
    /// A key of this kind of item (UID, start and summary, first line, URL) in common.
    SharedKey,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameMeaning => "same meaning",
            Self::NameAndNumber => "name and a number are equal",
            Self::NameAndEmail => "name and an e-mail address are equal",
            Self::UidAndName => "UID and name are equal",
            Self::NamelessSameNumbers => "no names, same numbers",
            Self::NamelessSameEmails => "no names, same e-mail addresses",
            Self::NamelessOverlap => "no names, something in common",
            Self::OneNameless => "one has no name, same numbers",
            Self::NameAlone => "names are equal, nothing else to compare",
            Self::PartialName => "one name is part of the other, a number is equal",
            Self::NamesDiffer => "names differ",
            Self::NamePartsDiffer => "additional names or suffixes differ",
            Self::NumbersDiffer => "names are equal, numbers and addresses differ",
            Self::NothingShared => "nothing in common",
            Self::SharedKey => "a key of the item is equal",
        })
    }
}

/// The answer of [`compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How alike.
    pub likeness: Likeness,
    /// And why.
    pub why: Why,
}

const fn verdict(likeness: Likeness, why: Why) -> Verdict {
    Verdict { likeness, why }
}

/// Compares two contacts. Symmetric. Disagreeing names veto everything but equal meaning (field note 6).
pub fn compare(a: &Card<'_>, b: &Card<'_>, rules: &MatchRules) -> Verdict {
    if fingerprint(a) == fingerprint(b) {
        return verdict(Likeness::Equal, Why::SameMeaning);
    }
    compare_facts(&Facts::of(a), &Facts::of(b), rules)
}

/// Compares two items of any kind; of contacts as [`compare`]. Of others, an equal UID, URL or file name is strong,
/// equal start and summary or first line is loose.
pub fn compare_items(kind: Kind, a: &[u8], b: &[u8], rules: &MatchRules) -> Verdict {
    if kind == Kind::Contact {
        let (a, b) = (decode_document(a), decode_document(b));
        if let (Ok(a), Ok(b)) = (Card::parse(&a), Card::parse(&b)) {
            return compare(&a, &b, rules);
        }
    }
    let (one, two) = (identify(kind, a), identify(kind, b));
    if one.fingerprint == two.fingerprint {
        return verdict(Likeness::Equal, Why::SameMeaning);
    }
    if super::other::shares_strong_key(kind, a, b) {
        return verdict(Likeness::Strong, Why::SharedKey);
    }
    if one.keys.iter().any(|key| two.keys.binary_search(key).is_ok()) {
        return verdict(Likeness::Loose, Why::SharedKey);
    }
    verdict(Likeness::Different, Why::NothingShared)
}

/// Can one item be an edit of the other? Contacts can unless they disagree in name *and* numbers *and* addresses: who
/// changes all of them at once is somebody else. Less than being alike: the number of a house is shared by all who live
/// there. Other kinds can if they are at all alike.
pub fn may_be_an_edit(kind: Kind, a: &[u8], b: &[u8]) -> bool {
    if kind == Kind::Contact {
        let (a, b) = (decode_document(a), decode_document(b));
        if let (Ok(a), Ok(b)) = (Card::parse(&a), Card::parse(&b)) {
            if fingerprint(&a) == fingerprint(&b) {
                return true;
            }
            let (a, b) = (Facts::of(&a), Facts::of(&b));
            return shares(&a.forms, &b.forms, |it| it)
                || shares(&a.numbers, &b.numbers, |it| tail(it, NUMBER_DIGITS))
                || shares(&a.emails, &b.emails, |it| it)
                || (a.uid.is_some() && a.uid == b.uid);
        }
    }
    compare_items(kind, a, b, &MatchRules::default()).likeness != Likeness::Different
}

fn compare_facts(a: &Facts<'_>, b: &Facts<'_>, rules: &MatchRules) -> Verdict {
    let digits = usize::from(rules.number_digits.max(4));
    let number = shares(&a.numbers, &b.numbers, |it| tail(it, digits));
    let email = shares(&a.emails, &b.emails, |it| it);
    match (a.forms.is_empty(), b.forms.is_empty()) {
        (true, true) => return compare_nameless(a, b, email, digits),
        (false, false) => {}
        _ => {
            return if Lines::of(a, digits).are(&Lines::of(b, digits)) {
                verdict(Likeness::Loose, Why::OneNameless)
            } else {
                verdict(Likeness::Different, Why::NothingShared)
            };
        }
    }
    match agreement(a, b, rules) {
        Agreement::Disagree(why) => return verdict(Likeness::Different, why),
        Agreement::Partial if number => return verdict(Likeness::Loose, Why::PartialName),
        Agreement::Partial => return verdict(Likeness::Different, Why::NamesDiffer),
        Agreement::Agree => {}
    }
    if number {
        return verdict(Likeness::Strong, Why::NameAndNumber);
    }
    if rules.uid && a.uid.is_some() && a.uid == b.uid {
        return verdict(Likeness::Strong, Why::UidAndName);
    }
    if email {
        let strong = match rules.email {
            EmailRule::Never => false,
            EmailRule::WithoutNumbers => a.numbers.is_empty() && b.numbers.is_empty(),
            EmailRule::Always => true,
        };
        return verdict(if strong { Likeness::Strong } else { Likeness::Loose }, Why::NameAndEmail);
    }
    let silent = |it: &Facts<'_>| it.numbers.is_empty() && it.emails.is_empty();
    if rules.name_alone && (silent(a) || silent(b)) {
        return verdict(Likeness::Loose, Why::NameAlone);
    }
    verdict(Likeness::Different, Why::NumbersDiffer)
}

fn compare_nameless(a: &Facts<'_>, b: &Facts<'_>, email: bool, digits: usize) -> Verdict {
    let lines = (Lines::of(a, digits), Lines::of(b, digits));
    if lines.0.are(&lines.1) {
        return verdict(Likeness::Strong, Why::NamelessSameNumbers);
    }
    if a.numbers.is_empty() && b.numbers.is_empty() && same(&a.emails, &b.emails, |it| it) {
        return verdict(Likeness::Strong, Why::NamelessSameEmails);
    }
    if lines.0.share(&lines.1) || email {
        return verdict(Likeness::Loose, Why::NamelessOverlap);
    }
    verdict(Likeness::Different, Why::NothingShared)
}

/// The numbers of a card where no name speaks for it: the last digits alone are too little then.
struct Lines<'f> {
    /// Last digits and all of them, sorted.
    numbers: Vec<(&'f str, &'f str)>,
    /// Fewer digits than usual were asked for: they suffice.
    lenient: bool,
}

impl<'f> Lines<'f> {
    fn of(facts: &'f Facts<'_>, digits: usize) -> Self {
        let mut numbers: Vec<_> = facts.numbers.iter().map(|number| (tail(number, digits), number.as_str())).collect();
        numbers.sort_unstable();
        Self { numbers, lenient: digits < NUMBER_DIGITS }
    }

    fn has(&self, (tail, number): (&str, &str)) -> bool {
        let from = self.numbers.partition_point(|(other, _)| *other < tail);
        let alike = self.numbers[from..].iter().take_while(|(other, _)| *other == tail);
        alike.into_iter().any(|(_, other)| self.lenient || may_be_one_line(number, other))
    }

    /// Have both the same ones, and any?
    fn are(&self, other: &Self) -> bool {
        let within = |one: &Self, two: &Self| one.numbers.iter().all(|number| two.has(*number));
        !self.numbers.is_empty() && within(self, other) && within(other, self)
    }

    fn share(&self, other: &Self) -> bool {
        self.numbers.iter().any(|number| other.has(*number))
    }
}

enum Agreement {
    Agree,
    Partial,
    Disagree(Why),
}

fn agreement(a: &Facts<'_>, b: &Facts<'_>, rules: &MatchRules) -> Agreement {
    let shared: Vec<&String> = a.forms.iter().filter(|form| b.forms.contains(form)).collect();
    if !shared.is_empty() {
        // FN may be what several are filed under, a family or a company; then N tells who they are.
        let own = |it: &Facts<'_>, form: &String| it.forms[..it.own].contains(form);
        let filed = a.own > 0 && b.own > 0 && !shared.iter().any(|form| own(a, form) || own(b, form));
        // One word in common, where both say more than that, is a family.
        let more = |it: &Facts<'_>| it.forms.iter().any(|form| form.contains(' '));
        let family = more(a) && more(b) && !shared.iter().any(|form| form.contains(' '));
        if filed || family {
            return Agreement::Disagree(Why::NamesDiffer);
        }
        let clash = |one: &str, two: &str| !one.is_empty() && !two.is_empty() && one != two;
        // An initial agrees with the name it stands for.
        let initial = |one: &str, two: &str| one.chars().count() == 1 && two.starts_with(one);
        let (one, two) = (a.additional(), b.additional());
        let additional = clash(&one, &two) && !initial(&one, &two) && !initial(&two, &one);
        if additional || clash(&a.suffix(), &b.suffix()) {
            return Agreement::Disagree(Why::NamePartsDiffer);
        }
        return Agreement::Agree;
    }
    // Phones cut names, some at 15 characters (field note 25).
    let cut = |one: &str, two: &str| one.chars().count() >= 15 && two.starts_with(one);
    let (one, two) = (a.spoken(), b.spoken());
    let cut = cut(&one, &two) || cut(&two, &one);
    let within = |one: &Facts<'_>, two: &Facts<'_>| {
        one.forms
            .iter()
            .any(|form| two.forms.iter().any(|other| form.split(' ').all(|word| other.split(' ').any(|it| it == word))))
    };
    if cut || rules.partial_names && (within(a, b) || within(b, a)) {
        return Agreement::Partial;
    }
    Agreement::Disagree(Why::NamesDiffer)
}

/// Have two lists something in common?
fn shares(a: &[String], b: &[String], key: impl Fn(&str) -> &str) -> bool {
    let a = keyed(a, &key);
    keyed(b, &key).iter().any(|it| a.binary_search(it).is_ok())
}

/// Are two lists the same set, and not empty?
fn same(a: &[String], b: &[String], key: impl Fn(&str) -> &str) -> bool {
    !a.is_empty() && keyed(a, &key) == keyed(b, &key)
}

fn keyed<'t>(list: &'t [String], key: &impl Fn(&str) -> &str) -> Vec<&'t str> {
    let mut keys: Vec<&str> = list.iter().map(|it| key(it)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
