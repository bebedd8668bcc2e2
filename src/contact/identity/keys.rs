//! Names and numbers as they are compared, and the match keys made of them.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::{Class, MAX_KEYS, MatchKey};
use crate::contact::card::{Card, render_name};

/// Digits of a number that count for a key: enough to tell subscribers, few enough to leave out country and trunk codes.
pub(super) const NUMBER_DIGITS: usize = 9;
/// Numbers and addresses of one card that become keys. The smallest are taken, so that two cards choose the same ones.
const MAX_NUMBERS: usize = 4;
const MAX_EMAILS: usize = 2;

/// What is compared of a card.
pub(super) struct Facts<'c> {
    /// The components of N.
    n: Vec<Cow<'c, str>>,
    /// Ways to say the name, each as sorted words; the first is the shortest full one. Empty: nameless.
    pub(super) forms: Vec<String>,
    /// How many of them, from the first, are of family and given name.
    pub(super) own: usize,
    /// FN.
    full: Option<Cow<'c, str>>,
    /// Digits, sorted, without repetitions.
    pub(super) numbers: Vec<String>,
    /// In small letters, sorted, without repetitions.
    pub(super) emails: Vec<String>,
    pub(super) uid: Option<String>,
    pub(super) label: Option<String>,
}

impl<'c> Facts<'c> {
    pub(super) fn of(card: &'c Card<'_>) -> Self {
        let n = card.all("N").find(|n| !n.is_empty()).map(|n| n.parts()).unwrap_or_default();
        let part = |at: usize| n.get(at).map_or("", |part| part.trim());
        let full = card.text("FN");
        let mut forms = Vec::new();
        push_form(&mut forms, &[part(0), part(1)].join(" "));
        if !part(2).is_empty() {
            push_form(&mut forms, &[part(0), part(1), part(2)].join(" "));
        }
        let own = forms.len();
        if let Some(full) = &full {
            push_form(&mut forms, full);
        }
        if forms.is_empty() {
            push_form(&mut forms, &n.join(" "));
        }
        let stand_in = || card.text("NICKNAME").or_else(|| card.text("ORG"));
        if forms.is_empty()
            && let Some(text) = stand_in()
        {
            push_form(&mut forms, &text);
        }
        let mut numbers: Vec<String> =
            card.all("TEL").map(|tel| digits(&tel.text())).filter(|digits| !digits.is_empty()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut emails: Vec<String> = card
            .all("EMAIL")
            .map(|email| email.text().trim().to_lowercase())
            .filter(|email| !email.is_empty())
            .collect();
        emails.sort_unstable();
        emails.dedup();
        let label = full
            .clone()
            .or_else(|| Some(render_name(&n)).filter(|name| !name.is_empty()).map(Cow::Owned))
            .or_else(stand_in)
            .or_else(|| card.text("TEL").or_else(|| card.text("EMAIL")))
            .map(|label| label.trim().to_owned());
        let uid = card.text("UID").map(|uid| normal_uid(&uid));
        Self { n, full, forms, own, numbers, emails, uid, label }
    }

    pub(super) fn keys(&self) -> Vec<MatchKey> {
        let mut keys = Vec::with_capacity(6);
        if let Some(uid) = &self.uid {
            keys.push(MatchKey::new(Class::Uid, &[uid]));
        }
        let mut tails: Vec<&str> = self.numbers.iter().map(|digits| tail(digits, NUMBER_DIGITS)).collect();
        tails.sort_unstable();
        tails.dedup();
        tails.truncate(MAX_NUMBERS);
        let emails = &self.emails[..self.emails.len().min(MAX_EMAILS)];
        if self.forms.is_empty() {
            keys.extend(tails.iter().map(|tail| MatchKey::new(Class::Number, &[tail])));
            if tails.is_empty() {
                keys.extend(emails.iter().map(|email| MatchKey::new(Class::Email, &[email])));
            }
        }
        for form in &self.forms {
            keys.extend(tails.iter().map(|tail| MatchKey::new(Class::NameNumber, &[form, tail])));
        }
        for form in &self.forms {
            keys.extend(emails.iter().map(|email| MatchKey::new(Class::NameEmail, &[form, email])));
        }
        for form in &self.forms {
            if tails.is_empty() && emails.is_empty() {
                keys.push(MatchKey::new(Class::Name, &[form]));
            }
        }
        keys.truncate(MAX_KEYS);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Facts<'_> {
    fn part(&self, at: usize) -> &str {
        self.n.get(at).map_or("", |part| part.trim())
    }

    pub(super) fn additional(&self) -> String {
        words_in_order(self.part(2))
    }

    pub(super) fn suffix(&self) -> String {
        words(self.part(4))
    }

    /// The name as one string in its own order, for prefixes.
    pub(super) fn spoken(&self) -> String {
        let full = self.full.as_deref().filter(|full| !full.is_empty());
        match full.filter(|_| self.part(0).is_empty() && self.part(1).is_empty()) {
            Some(full) => words_in_order(full),
            None => words_in_order(&[self.part(1), self.part(0)].join(" ")),
        }
    }

    /// Each name form, number and address on its own.
    pub(super) fn loose_keys(&self) -> Vec<MatchKey> {
        let names = self.forms.iter().map(|form| MatchKey::new(Class::Name, &[form]));
        let numbers = self.numbers.iter().map(|it| MatchKey::new(Class::Number, &[tail(it, NUMBER_DIGITS)]));
        let emails = self.emails.iter().map(|email| MatchKey::new(Class::Email, &[email]));
        let mut keys: Vec<MatchKey> =
            names.take(MAX_KEYS / 2).chain(numbers.take(MAX_NUMBERS)).chain(emails.take(MAX_EMAILS)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

fn push_form(forms: &mut Vec<String>, text: &str) {
    let form = words(text);
    if !form.is_empty() && !forms.contains(&form) {
        forms.push(form);
    }
}

/// The last `count` digits.
pub(super) fn tail(digits: &str, count: usize) -> &str {
    // Digits are ASCII, so any place is a character boundary.
    &digits[digits.len().saturating_sub(count)..]
}

/// Can two numbers with the same last digits be one, written with and without country and trunk codes (0, 00, and 8 where
/// numbers have 10 digits)? `202 555 0123` is not `302 555 0123`.
pub(super) fn may_be_one_line(a: &str, b: &str) -> bool {
    let bare = |digits: &'_ str| -> usize {
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        zeros + usize::from(digits[zeros..].len() == 11 && digits[zeros..].starts_with('8'))
    };
    let (a, b) = (&a[bare(a)..], &b[bare(b)..]);
    a.ends_with(b) || b.ends_with(a)
}

/// Appends a number without what is only there for the eye. Pauses are `p` and `w`, whichever way they are written.
pub(super) fn push_number(text: &str, out: &mut Vec<u8>) {
    let text = text.trim();
    let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    for char in text[if scheme { 4 } else { 0 }..].chars() {
        match char {
            '0'..='9' | '+' | '*' | '#' | '=' | '@' | ':' => out.push(char as u8),
            '０'..='９' => out.push(b'0' + (char as u32 - '０' as u32) as u8),
            '＋' => out.push(b'+'),
            ',' => out.push(b'p'),
            ';' => out.push(b'w'),
            _ if char.is_alphanumeric() => {
                let mut utf8 = [0; 4];
                for lower in char.to_lowercase() {
                    out.extend_from_slice(lower.encode_utf8(&mut utf8).as_bytes());
                }
            }
            _ => {}
        }
    }
}

/// The digits of a number up to the first pause, extension or letter. Empty if it is none (`sip:…`).
fn digits(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_number(text, &mut out);
    let end = out.iter().position(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80).unwrap_or(out.len());
    out.truncate(end);
    out.retain(u8::is_ascii_digit);
    String::from_utf8(out).unwrap_or_default()
}

/// Does FN only repeat N? It must use all words of family and given name and none that N has not, in any order; or be
/// both names put together, as one writes in Chinese and Japanese.
pub(in crate::contact) fn is_rendering(full: &str, components: &[impl AsRef<str>]) -> bool {
    let part = |at: usize| components.get(at).map_or("", |part| part.as_ref().trim());
    let full = full.trim();
    if full.is_empty() {
        return true;
    }
    let (family, given) = (part(0), part(1));
    if joins(full, family, given) || joins(full, given, family) {
        return true;
    }
    let separator = |char: char| char.is_whitespace() || char == ',';
    let mut required: Vec<&str> = Vec::new();
    let mut optional: Vec<&str> = Vec::new();
    for (at, component) in components.iter().take(5).enumerate() {
        let list = if at < 2 { &mut required } else { &mut optional };
        list.extend(component.as_ref().split(separator).filter(|word| !word.is_empty()));
    }
    // With neither given nor family name, what there is must be said.
    if required.is_empty() {
        required = std::mem::take(&mut optional);
    }
    if required.len() + optional.len() > 32 {
        return full == render_name(components);
    }
    for word in full.split(separator).filter(|word| !word.is_empty()) {
        if let Some(at) = required.iter().position(|it| *it == word) {
            required.swap_remove(at);
        } else if let Some(at) = optional.iter().position(|it| *it == word) {
            optional.swap_remove(at);
        } else {
            return false;
        }
    }
    required.is_empty()
}

fn joins(full: &str, first: &str, second: &str) -> bool {
    !first.is_empty() && full.strip_prefix(first).is_some_and(|rest| rest.trim_start() == second)
}

/// A name as it is compared: words in small letters without accents, sorted, so that `Doe, John` is `John Doe`.
fn words(text: &str) -> String {
    let normal = normal(text);
    let mut words: Vec<&str> = normal.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

fn words_in_order(text: &str) -> String {
    normal(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn normal(text: &str) -> String {
    if text.is_ascii() {
        let lower = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b' ' };
        return or_itself(String::from_utf8(text.bytes().map(lower).collect()).unwrap_or_default(), text);
    }
    let out = text
        .nfkd()
        // Latin accents only: a dakuten or a vowel sign is part of the letter.
        .filter(|char| !('\u{300}'..='\u{36F}').contains(char))
        .nfc()
        .flat_map(char::to_lowercase)
        .map(|char| if char.is_alphanumeric() || is_combining_mark(char) { char } else { ' ' })
        .collect();
    or_itself(out, text)
}

/// A name of signs only is still a name.
fn or_itself(out: String, text: &str) -> String {
    if out.trim().is_empty() { text.trim().to_owned() } else { out }
}

fn normal_uid(uid: &str) -> String {
    let uid = uid.trim();
    let bare = uid.get(..9).filter(|prefix| prefix.eq_ignore_ascii_case("urn:uuid:")).map_or(uid, |_| &uid[9..]);
    bare.to_ascii_lowercase()
}
