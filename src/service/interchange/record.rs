//! From fields to a card.

use super::field::{Field, Part, What};
use super::kind::Kind;
use super::layout::Dates;
use super::table::unquoted;
use crate::contact::card::{Card, CardBuilder, PropertyBuf, Value, Version, convert};
use std::collections::BTreeMap;

/// The extension that keeps what stood in a column nobody knows, with the column's name in [`COLUMN_NAME`].
pub const COLUMN: &str = "X-COLUMN";
/// See [`COLUMN`].
pub const COLUMN_NAME: &str = "X-NAME";

/// Marks N or FN that [`convert`] added because a version demands it.
pub(super) const DERIVED: &str = "X-SYNCML-DERIVED";

/// What separates several values in one cell, as Google writes them.
const SEVERAL: &str = " ::: ";

/// A contact as fields, before it is a card.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// By property, kind and number, what its parts say.
    said: BTreeMap<(What, Kind, u16), BTreeMap<Part, String>>,
    /// What has a name, but no place: column and text.
    other: Vec<(String, String)>,
}

impl Record {
    /// Notes what a field says; blank says nothing.
    pub(super) fn put(&mut self, field: &Field, text: &str) {
        let text = unquoted(text.trim()).trim();
        if !text.is_empty() {
            self.said
                .entry((field.what.clone(), field.kind, field.nth))
                .or_default()
                .insert(field.part, text.to_owned());
        }
    }

    /// The same for the first such field that says nothing yet, for one whose values come one by one.
    pub(super) fn add(&mut self, field: &Field, text: &str) {
        let mut free = field.clone();
        while self.said.get(&(free.what.clone(), free.kind, free.nth)).is_some_and(|it| it.contains_key(&free.part)) {
            match free.next() {
                Some(next) => free = next,
                None => return self.put_other(&field.to_string(), text),
            }
        }
        self.put(&free, text);
    }

    /// Another line of what a field says.
    pub(super) fn more(&mut self, field: &Field, text: &str) {
        let said =
            self.said.get_mut(&(field.what.clone(), field.kind, field.nth)).and_then(|it| it.get_mut(&field.part));
        if let Some(said) = said {
            said.push('\n');
            said.push_str(text);
        }
    }

    pub(super) fn put_other(&mut self, name: &str, text: &str) {
        let text = unquoted(text.trim());
        if !text.is_empty() {
            self.other.push((name.trim().to_owned(), text.to_owned()));
        }
    }

    /// The card, in version 3.0; `None` if there is nothing that says who or how to call.
    pub(super) fn card(&self, dates: Dates) -> Option<Vec<u8>> {
        let mut properties = Vec::new();
        let mut groups = 0;
        for ((what, kind, _), parts) in &self.said {
            self.property(what, *kind, parts, dates, &mut groups, &mut properties);
        }
        if properties.is_empty() {
            return None;
        }
        for (name, text) in &self.other {
            properties.push(PropertyBuf::text(COLUMN, text).param(COLUMN_NAME, name));
        }
        let mut built = CardBuilder::new(Version::V4_0);
        if let Some(full) = self.full_name(&properties) {
            built.push(&PropertyBuf::text("FN", full));
        }
        properties.iter().for_each(|property| built.push(property));
        let built = built.build();
        Some(convert(&Card::parse(&built).ok()?, Version::V3_0))
    }

    /// FN, where only N says who it is: in Chinese, Japanese and Korean the family name is first, and nothing between.
    fn full_name(&self, properties: &[PropertyBuf]) -> Option<String> {
        let n = properties.iter().find(|property| property.name() == "N")?;
        if properties.iter().any(|property| property.name() == "FN") {
            return None;
        }
        let Value::Structured(parts) = n.value() else { return None };
        let part = |at: usize| parts.get(at).and_then(|part| part.first()).map_or("", |part| part.trim());
        let ideographs = |text: &str| {
            text.chars().all(|c| matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7a3))
        };
        if ideographs(part(0)) && ideographs(part(1)) && [2, 3, 4].iter().all(|at| part(*at).is_empty()) {
            return Some(format!("{}{}", part(0), part(1)));
        }
        let words = [3, 1, 2, 0, 4].map(part);
        Some(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
    }

    fn property(
        &self,
        what: &What,
        kind: Kind,
        parts: &BTreeMap<Part, String>,
        dates: Dates,
        groups: &mut usize,
        out: &mut Vec<PropertyBuf>,
    ) {
        let field = Field { what: what.clone(), kind, part: Part::Whole, nth: 1 };
        let name = field.property();
        let whole = parts.get(&Part::Whole);
        let components = field.known().map_or(0, |known| known.parts.len());
        let label = parts.get(&Part::Label).map(String::as_str).unwrap_or_default();
        let (kind, label) = match Kind::of_label(label) {
            _ if label.is_empty() => (kind, ""),
            Some(of_label) => (of_label, ""),
            None => (kind, label),
        };
        let component = |at: usize| parts.get(&Part::Component(at)).map_or("", String::as_str);
        let values: Vec<Value> = match name {
            "BDAY" => match whole.cloned().or_else(|| pieces_of_date(component(0), component(1), component(2))) {
                Some(text) => vec![Value::Text(date(&text, dates))],
                None => Vec::new(),
            },
            "ANNIVERSARY" => whole.iter().map(|text| Value::Text(date(text, dates))).collect(),
            "CATEGORIES" => {
                let items = whole.into_iter().flat_map(|text| text.split([';', ',']));
                // Google joins by colons and marks its own groups.
                let items = items.flat_map(|item| item.split(SEVERAL)).map(|it| it.trim().trim_start_matches("* "));
                let items: Vec<String> = items.filter(|item| !item.is_empty()).map(str::to_owned).collect();
                if items.is_empty() { Vec::new() } else { vec![Value::List(items)] }
            }
            "NICKNAME" => whole.iter().map(|text| Value::List(vec![(*text).clone()])).collect(),
            _ if components > 0 => {
                // A whole address, or whole name of an organisation, is its main part.
                let main = match name {
                    "ADR" => 2,
                    _ => 0,
                };
                let texts: Vec<&str> = (0..components)
                    .map(|at| match component(at) {
                        "" if at == main => whole.map_or("", String::as_str),
                        text => text,
                    })
                    .collect();
                let full = |texts: &[&str]| texts.iter().map(|text| vec![(*text).to_owned()]).collect();
                match texts.iter().all(|text| text.is_empty()) {
                    true => Vec::new(),
                    // No empty unit behind an organisation.
                    false if name == "ORG" && texts[1].is_empty() => vec![Value::Structured(full(&texts[..1]))],
                    false => vec![Value::Structured(full(&texts))],
                }
            }
            "NOTE" | "FN" | "TITLE" | "ROLE" | "UID" => whole.iter().map(|text| Value::Text((*text).clone())).collect(),
            _ => {
                let values = whole.iter().flat_map(|text| text.split(SEVERAL));
                values.map(str::trim).filter(|it| !it.is_empty()).map(|it| Value::Text(it.to_owned())).collect()
            }
        };
        for value in values {
            let mut property = PropertyBuf::new(name, value);
            for word in kind.types() {
                property = property.param("TYPE", *word);
            }
            if !label.is_empty() {
                *groups += 1;
                let group = format!("item{groups}");
                out.push(property.group(&group));
                out.push(PropertyBuf::text("X-ABLabel", label).group(&group));
            } else {
                out.push(property);
            }
        }
    }
}

fn pieces_of_date(year: &str, month: &str, day: &str) -> Option<String> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    match (number(year), number(month)?, number(day)?) {
        (Some(year), month, day) => Some(format!("{year:04}-{month:02}-{day:02}")),
        (None, month, day) => Some(format!("--{month:02}-{day:02}")),
    }
}

/// A date as cards have it; what is none stays as it is.
pub(super) fn date(text: &str, dates: Dates) -> String {
    let text = text.trim();
    let parts: Vec<&str> = text.split(['-', '/', '.', '年', '月', '日']).filter(|it| !it.is_empty()).collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|it| it.trim().parse().ok()).collect();
    let (Some(numbers), false) = (numbers, text.starts_with("--")) else { return text.to_owned() };
    let (year, month, day) = match (&numbers[..], dates) {
        (&[year, month, day], _) if parts[0].trim().len() == 4 => (year, month, day),
        (&[month, day, year], Dates::Mdy) => (year, month, day),
        (&[day, month, year], Dates::Dmy) => (year, month, day),
        (&[day, month, year], Dates::Iso) if text.contains('.') => (year, month, day),
        _ => return text.to_owned(),
    };
    if (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1000 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dates, Record, date};

    fn card(fields: &[(&str, &str)]) -> String {
        let mut record = Record::default();
        for (field, text) in fields {
            match field.strip_prefix('?') {
                Some(column) => record.put_other(column, text),
                None => record.put(&field.parse().unwrap(), text),
            }
        }
        let card = record.card(Dates::Iso).map(|card| String::from_utf8(card).unwrap()).unwrap_or_default();
        card.replace("BEGIN:VCARD\r\nVERSION:3.0\r\n", "").replace("END:VCARD\r\n", "").replace("\r\n", "\n")
    }

    #[test]
    fn i3_fields_become_a_card() {
        for (fields, wanted) in [
            (&[("n.family", "王"), ("n.given", "小明")][..], "FN:王小明\nN:王;小明;;;\n"),
            (&[("n.family", "Doe"), ("n.given", "Ann"), ("n.prefix", "Dr.")], "FN:Dr. Ann Doe\nN:Doe;Ann;;Dr.;\n"),
            (&[("fn", "Ann"), ("tel.work-fax", "1"), ("tel", "2")], "TEL:2\nTEL;TYPE=work,fax:1\n"),
            (&[("fn", "A"), ("tel", "1 ::: 2"), ("tel.label", "* Mobile")], "TEL;TYPE=cell:1\nTEL;TYPE=cell:2\n"),
            (&[("fn", "A"), ("tel", "1"), ("tel.label", "Boat")], "item1.TEL:1\nitem1.X-ABLabel:Boat\n"),
            (&[("fn", "A"), ("adr.home.city", "Bonn"), ("org.name", "X, Y")], "ADR;TYPE=home:;;;Bonn;;;\nORG:X\\, Y\n"),
            (&[("fn", "A"), ("bday.year", "1990"), ("bday.month", "2"), ("bday.day", "3")], "BDAY:19900203\n"),
            (&[("fn", "A"), ("categories", "x; y")], "CATEGORIES:x,y\n"),
            (&[("fn", "A"), ("?Shoe", "43"), ("x-qq", "1234567")], "X-QQ:1234567\nX-COLUMN;X-NAME=Shoe:43\n"),
            (&[("?Shoe", "43"), ("fn", "  ")], ""),
        ] {
            let card = card(fields);
            let without = |line: &&str| !line.starts_with("FN:A") && !line.contains("X-SYNCML-DERIVED");
            let card: String = card.lines().filter(without).map(|line| format!("{line}\n")).collect();
            assert_eq!(card, wanted, "{fields:?}");
        }
    }

    #[test]
    fn dates_are_what_they_are_where_nobody_can_say() {
        for (text, dates, wanted) in [
            ("1990-2-3", Dates::Iso, "1990-02-03"),
            ("1990年2月3日", Dates::Iso, "1990-02-03"),
            ("2/3/1990", Dates::Mdy, "1990-02-03"),
            ("3/2/1990", Dates::Dmy, "1990-02-03"),
            ("3.2.1990", Dates::Iso, "1990-02-03"),
            ("3/2/1990", Dates::Iso, "3/2/1990"),
            ("13/40/1990", Dates::Mdy, "13/40/1990"),
            ("--02-03", Dates::Iso, "--02-03"),
            ("19900203", Dates::Iso, "19900203"),
            ("soon", Dates::Iso, "soon"),
        ] {
            assert_eq!(date(text, dates), wanted, "{text}");
        }
    }
}
