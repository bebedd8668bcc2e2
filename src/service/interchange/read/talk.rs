//! Plain text and chats: names, numbers and e-mail addresses, each tied to who says it or whose line it is on (mission I1).

use super::{Entry, line};
use crate::service::interchange::error::{InterchangeError, Limits, Result};
use crate::service::interchange::field::Field;
use crate::service::interchange::layout::{Dates, Layout};
use crate::service::interchange::record::Record;
use std::collections::{HashMap, HashSet};
use std::io::BufRead;

/// Characters of the longest name.
const NAME: usize = 40;

/// The people of a text, in the order in which something is found of them.
pub(super) fn read(mut from: impl BufRead, limits: Limits) -> Result<Vec<Result<Entry>>> {
    let mut text = Text::default();
    let mut at = 0;
    loop {
        at += 1;
        let Some(line) = line(&mut from, at, limits)? else { break };
        text.line(&line, at);
        if text.people.len() > limits.people {
            return Err(InterchangeError::broken(at, format!("more than {} people", limits.people)));
        }
    }
    let cards = text.people.into_iter().filter(|person| person.found);
    Ok(cards
        .filter_map(|person| person.record.card(Dates::Iso).map(|card| Ok(Entry { line: person.line, card })))
        .collect())
}

#[derive(Default)]
struct Text {
    people: Vec<Person>,
    named: HashMap<String, usize>,
    /// Who speaks, or whose lines these are.
    current: Option<usize>,
    /// The field that an indented line goes on with.
    field: Option<Field>,
    labels: Labels,
    /// Whether lines say who speaks, and when.
    chat: bool,
}

struct Person {
    line: u64,
    record: Record,
    seen: HashSet<String>,
    found: bool,
}

/// The names of fields as people write them before a colon.
struct Labels(HashMap<String, Field>);

impl Default for Labels {
    fn default() -> Self {
        let mut known = HashMap::new();
        for column in Layout::named("generic").into_iter().flat_map(|layout| layout.columns) {
            if let [field] = &column.fields[..] {
                known.extend(column.names.iter().map(|name| (name.to_lowercase(), field.clone())));
            }
        }
        Self(known)
    }
}

impl Labels {
    fn field(&self, label: &str) -> Option<&Field> {
        self.0.get(&label.trim().to_lowercase())
    }
}

impl Text {
    fn line(&mut self, line: &str, at: u64) {
        let bare = line.trim().trim_start_matches('\u{feff}');
        if bare.is_empty() {
            self.field = None;
            if !self.chat {
                self.current = None;
            }
            return;
        }
        if line.starts_with("  ")
            && let (Some(field), Some(person)) = (&self.field, self.current)
        {
            return self.people[person].record.more(field, bare);
        }
        self.field = None;
        if let Some((speaker, said)) = stamped(bare) {
            self.chat = true;
            let (name, ids) = whose(speaker);
            let person = self.person(name, at);
            self.current = Some(person);
            for (field, id) in ids {
                self.put(person, &field, &id);
            }
            return self.facts_of(person, said);
        }
        if let Some((label, said)) = bare.split_once([':', '：']) {
            let (label, said) = (label.trim().trim_start_matches(['<', '*', '-']).trim_end_matches('>'), said.trim());
            if let Some(field) = self.labels.field(label).cloned() {
                return self.labelled(&field, said, at);
            }
            if is_name(label) && !said.starts_with("//") {
                let person = self.person(label, at);
                self.current = Some(person);
                return self.facts_of(person, said);
            }
        }
        if let Some((name, said)) =
            bare.strip_prefix('<').and_then(|rest| rest.split_once("> ")).filter(|(name, _)| is_name(name))
        {
            let person = self.person(name, at);
            (self.current, self.chat) = (Some(person), true);
            return self.facts_of(person, said);
        }
        if self.chat
            && let Some(person) = self.current
        {
            return self.facts_of(person, bare);
        }
        self.plain(bare, at);
    }

    /// A line of a list: who it is, numbers and addresses.
    fn plain(&mut self, text: &str, at: u64) {
        let found = Found::of(text);
        let name = found.rest.split_whitespace().filter(|word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            !bare.is_empty() && self.labels.field(bare).is_none()
        });
        let name = name.collect::<Vec<_>>().join(" ");
        let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != ')' && c != '）').to_owned();
        let person = match (is_name(&name), self.current) {
            (true, _) if !found.facts.is_empty() || self.current.is_none() => self.person(&name, at),
            (_, Some(person)) => person,
            (_, None) if found.facts.is_empty() => return,
            (_, None) => self.nobody(at),
        };
        self.current = Some(person);
        for (field, text) in found.facts {
            self.put(person, field, &text);
        }
    }

    fn labelled(&mut self, field: &Field, said: &str, at: u64) {
        let property = field.property();
        let person = match (property, self.current) {
            ("FN", current) if current.is_none_or(|it| self.people[it].found || self.chat) => self.person(said, at),
            (_, Some(person)) => person,
            (_, None) => self.nobody(at),
        };
        self.current = Some(person);
        if matches!(property, "FN" | "N") {
            self.people[person].record.put(field, said);
        } else {
            self.say(person, field, said);
            self.field = Some(field.clone());
        }
    }

    fn facts_of(&mut self, person: usize, text: &str) {
        for (field, text) in Found::of(text).facts {
            self.put(person, field, &text);
        }
    }

    fn put(&mut self, person: usize, field: &str, text: &str) {
        if let Ok(field) = field.parse::<Field>() {
            self.say(person, &field, text);
        }
    }

    fn say(&mut self, person: usize, field: &Field, text: &str) {
        let person = &mut self.people[person];
        let same: String = text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if !text.trim().is_empty() && person.seen.insert(format!("{} {same}", field.property())) {
            person.found = true;
            person.record.add(field, text);
        }
    }

    fn person(&mut self, name: &str, at: u64) -> usize {
        let name = name.trim();
        let key = name.to_lowercase();
        if let Some(&person) = self.named.get(&key) {
            return person;
        }
        let person = self.nobody(at);
        if let Ok(field) = "fn".parse() {
            self.people[person].record.put(&field, name);
        }
        self.named.insert(key, person);
        person
    }

    fn nobody(&mut self, at: u64) -> usize {
        self.people.push(Person { line: at, record: Record::default(), seen: HashSet::new(), found: false });
        self.people.len() - 1
    }
}

pub(in crate::service::interchange) fn is_name(text: &str) -> bool {
    let letters = text.chars().filter(|char| char.is_alphabetic()).count();
    letters > 0 && text.chars().count() <= NAME && text.split_whitespace().count() <= 5 && !text.contains(['@', '/'])
}

/// Who speaks and what, of a line that says when: `2012-03-04 10:20:30 Ann`, `[04.03.12, 10:20] Ann: text`, `4/3/12, 10:20 PM - Ann:
/// text`, `Ann 2012-03-04 10:20:30`.
pub(in crate::service::interchange) fn stamped(line: &str) -> Option<(&str, &str)> {
    let is_stamp = |char: char| char.is_ascii_digit() || "[]()/-.:,年月日时分秒 \u{202f}\u{200e}".contains(char);
    let end = line.find(|char: char| !is_stamp(char)).unwrap_or(line.len());
    if has_time(&line[..end]) {
        let mut rest = line[end..].trim_start();
        for half in ["AM", "PM", "am", "pm", "上午", "下午"] {
            rest = rest.strip_prefix(half).unwrap_or(rest);
        }
        let rest = rest.trim_start_matches([']', ')', '-', ' ', ',']).trim();
        if let Some((name, said)) = rest.strip_prefix('<').and_then(|rest| rest.split_once("> ")) {
            return Some((name, said));
        }
        return match rest.split_once([':', '：']) {
            Some((name, said)) if is_name(whose(name).0) => Some((name.trim(), said)),
            None if is_name(whose(rest).0) => Some((rest, "")),
            _ => None,
        };
    }
    let begin = line.char_indices().rev().take_while(|(_, char)| is_stamp(*char)).last().map(|(at, _)| at)?;
    let (name, stamp) = line.split_at(begin);
    (has_time(stamp) && is_name(whose(name).0)).then(|| (name.trim(), ""))
}

/// Is there an hour with minutes in it?
fn has_time(stamp: &str) -> bool {
    let bytes = stamp.as_bytes();
    (0..bytes.len().saturating_sub(2)).any(|at| {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        at > 0 && bytes[at] == b':' && digit(at - 1) && digit(at + 1) && digit(at + 2)
    })
}

/// The name of a speaker without the number or address that some programs put behind it: `Ann(1234567)`, `Ann<ann@example.org>`.
fn whose(speaker: &str) -> (&str, Vec<(String, String)>) {
    let speaker = speaker.trim();
    let Some(at) = speaker.rfind(['(', '<', '（']) else { return (speaker, Vec::new()) };
    let id = speaker[at..].trim_matches(|c: char| "()<>（）".contains(c)).trim();
    let name = speaker[..at].trim();
    let id = match id {
        id if is_email(id) => vec![("email".to_owned(), id.to_owned())],
        id if id.len() >= 5 && id.bytes().all(|byte| byte.is_ascii_digit()) => vec![("x-qq".to_owned(), id.to_owned())],
        _ => return (speaker, Vec::new()),
    };
    (name, id)
}

/// What is found in a text.
struct Found {
    facts: Vec<(&'static str, String)>,
    /// What is left.
    rest: String,
}

impl Found {
    fn of(text: &str) -> Self {
        let mut found = Self { facts: Vec::new(), rest: String::new() };
        let outside = |char: char| char.is_whitespace() || "<>()[]\"',;，；、。：（）【】".contains(char);
        // Addresses first: there may be numbers in them.
        let mut words = String::new();
        for word in text.split_inclusive(outside) {
            let bare = word.trim_matches(outside).trim_end_matches(['.', '!', '?']);
            let bare = bare.strip_prefix("mailto:").unwrap_or(bare);
            let bare = bare.rsplit_once(':').map_or(bare, |(_, bare)| bare);
            if is_email(bare) {
                found.facts.push(("email", bare.to_owned()));
                words.push(' ');
            } else {
                words.push_str(word);
            }
        }
        found.numbers(&words);
        found
    }

    fn numbers(&mut self, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(') {
            let part = |c: char| c.is_ascii_digit() || " -().+/\u{a0}".contains(c);
            let tail = &rest[start..];
            let mut end =
                tail.char_indices().skip(1).find(|(_, c)| !part(*c) || *c == '+').map_or(tail.len(), |(at, _)| at);
            while let Some(kept) = tail[..end].strip_suffix(|c: char| !c.is_ascii_digit()) {
                end = kept.len();
            }
            let number = &tail[..end];
            let joined = rest[..start].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '#')
                || tail[end..].chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == ':' || c == '%');
            self.rest.push_str(&rest[..start]);
            if end > 0 && !joined && is_number(number) {
                self.facts.push((if is_mobile(number) { "tel.mobile" } else { "tel" }, number.trim().to_owned()));
                self.rest.push(' ');
            } else {
                end = end.max(1);
                self.rest.push_str(&tail[..end]);
            }
            rest = &tail[end..];
        }
        self.rest.push_str(rest);
    }
}

/// Can it be an e-mail address?
pub(super) fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "._%+-".contains(c));
    let labels = host.split('.').all(|label| !label.is_empty());
    !name.is_empty() && plain(name) && plain(host) && host.contains('.') && labels && text.len() <= 254
}

/// Can it be the number of a telephone, and no date, amount or part of an address?
pub(super) fn is_number(text: &str) -> bool {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let signs = text.chars().all(|c| c.is_ascii_digit() || " -().+/\u{a0}".contains(c));
    let plus = text.rfind('+').is_none_or(|at| at == 0);
    let groups: Vec<&str> = text.split(['-', '.', '/', ' ']).collect();
    let date = matches!(
        groups.iter().map(|group| group.len()).collect::<Vec<_>>()[..],
        [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4] | [1..=2, 1..=2, 2]
    );
    signs && plus && (7..=15).contains(&digits) && (!date || text.starts_with('+'))
}

/// A mobile number of China: 1, then 3 to 9, then nine digits.
fn is_mobile(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(&digits);
    digits.len() == 11 && digits.starts_with('1') && matches!(digits.as_bytes()[1], b'3'..=b'9')
}

#[cfg(test)]
mod tests {
    use super::{Limits, is_number, read};
    use crate::contact::card::Card;

    /// `Name: numbers and addresses`, by people.
    fn people(text: &str) -> Vec<String> {
        let found = read(text.as_bytes(), Limits::default()).unwrap();
        let cards = found.into_iter().map(|entry| entry.unwrap().card);
        cards
            .map(|card| {
                let card = Card::parse(&card).unwrap();
                let facts = card
                    .properties()
                    .iter()
                    .filter(|it| ["TEL", "EMAIL", "X-QQ", "ORG"].iter().any(|name| it.is(name)));
                let facts: Vec<_> = facts.map(|it| it.text().into_owned()).collect();
                format!("{}={}", card.text("FN").unwrap_or_default(), facts.join(","))
            })
            .collect()
    }

    #[test]
    fn i1_numbers_of_a_chat_are_tied_to_who_says_them() {
        for (text, wanted) in [
            (
                "2012-03-04 10:20:30 王小明(1234567)\n我的新号码是13800138000\n\n2012-03-04 10:21:00 李雷\n好的，我的邮箱 li.lei@example.cn。\n\
                 2012-03-04 10:22:00 王小明(1234567)\n138 0013 8000, 家里 010-6275 1234\n",
                &["王小明=010-6275 1234,13800138000,1234567", "李雷=li.lei@example.cn"][..],
            ),
            (
                "04/03/2012, 10:20 - Zoë Miller: call me at +46 70 174 06 01!\n04/03/2012, 10:21 - Ben: ok, see you on 2012-03-05\n\
                 04/03/2012, 10:22 PM - Ben: mine is (030) 1234-567\n",
                &["Zoë Miller=+46 70 174 06 01", "Ben=(030) 1234-567"],
            ),
            ("[04.03.12, 10:20:33] Ann: ann@example.org.\n", &["Ann=ann@example.org"]),
            ("Ann 2012-03-04 10:20:30\n13900139000\n", &["Ann=13900139000"]),
            ("[10:20] <ann> 0301234567\n<ben> no number, 50000 people, 99.95, room 12\n", &["ann=0301234567"]),
            ("小明：加我微信，手机13800138000\n小红：好\n", &["小明=13800138000"]),
        ] {
            assert_eq!(people(text), wanted, "{text}");
        }
    }

    #[test]
    fn i1_lists_in_plain_text_are_understood() {
        for (text, wanted) in [
            (
                "王小明 13800138000 wang@example.cn\n李雷\t010-62751234\n",
                &["王小明=13800138000,wang@example.cn", "李雷=010-62751234"][..],
            ),
            (
                "Name: Ann Doe\nMobile: +46 70 1740601\nOrganization: X\n\nName: Ben\nE-mail: ben@example.org\n",
                &["Ann Doe=+46 70 1740601,X", "Ben=ben@example.org"],
            ),
            (
                "Ann Doe\n+46 70 1740601\nann@example.org\n\nBen\n0301234567\n",
                &["Ann Doe=+46 70 1740601,ann@example.org", "Ben=0301234567"],
            ),
            ("姓名：王小明\n手机：13800138000\n", &["王小明=13800138000"]),
            ("0301234567\n", &["0301234567=0301234567"]),
            ("Nothing here but words, and 2012-03-04 10:20.\n", &[]),
        ] {
            assert_eq!(people(text), wanted, "{text}");
        }
    }

    #[test]
    fn numbers_are_told_from_dates_and_amounts() {
        for (text, is) in [
            ("13800138000", true),
            ("+46 (0)70-174 06 01", true),
            ("010-62751234", true),
            ("2012-03-04", false),
            ("04.03.2012", false),
            ("123456", false),
            ("1234567890123456", false),
            ("12+34567890", false),
        ] {
            assert_eq!(is_number(text), is, "{text}");
        }
    }
}
