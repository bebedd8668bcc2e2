//! Layouts of tables: which columns, in which order, called what, hold which fields of a contact (mission I3). They are data:
//! those of common programs are in `layouts/`, others come as texts of the same form.

use super::field::Field;
use super::table::DELIMITERS;
use crate::contact::card::Charset;
use std::collections::HashMap;
use std::str::FromStr;

/// The layouts that are known.
const BUNDLED: &[(&str, &str)] = &[
    ("outlook", include_str!("layouts/outlook.layout")),
    ("google", include_str!("layouts/google.layout")),
    ("thunderbird", include_str!("layouts/thunderbird.layout")),
    ("phone", include_str!("layouts/phone.layout")),
    ("generic", include_str!("layouts/generic.layout")),
    ("print", include_str!("layouts/print.layout")),
    ("ldif", include_str!("layouts/ldif.layout")),
];

/// Those that no table of others has.
const OUR_OWN: [&str; 2] = ["print", "ldif"];

/// The most columns of a layout.
const MAX_COLUMNS: usize = 1024;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// What it is called; the first is written.
    pub(super) names: Vec<String>,
    /// What is in it: one field, or several one after the other.
    pub(super) fields: Vec<Field>,
    /// Which of them begin another line.
    pub(super) below: Vec<usize>,
}

/// The order of day, month and year in dates that are all digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dates {
    /// Year, month, day.
    #[default]
    Iso,
    /// Month, day, year.
    Mdy,
    /// Day, month, year.
    Dmy,
}

/// A layout of tables.
///
/// Its text has lines `key = value` (`delimiter`: `comma`, `semicolon`, `tab` or `bar`; `charset`; `dates`: `ymd`, `mdy` or
/// `dmy`), then `[columns]`, then a line for each column: `Name | other name = field`, or `= field + field` for one of several
/// fields, `= field , field` for several below each other. Lines that begin with `#` say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) name: String,
    pub(super) delimiter: u8,
    pub(super) charset: Charset,
    /// Whether a table begins with a byte-order mark.
    pub(super) mark: bool,
    pub(super) dates: Dates,
    pub(super) columns: Vec<Column>,
}

/// Why a text is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LayoutError {
    /// The line, from 1; 0 is the whole.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Layout {
    /// The layouts that are known by name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUNDLED.iter().map(|(name, _)| *name)
    }

    /// The known layout of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, text) = BUNDLED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        // The bundled ones are read by a test.
        Self::parse(name, text).ok()
    }

    /// The layout that a text describes, under a name.
    ///
    /// # Errors
    /// What is wrong with the text, and on which line.
    pub fn parse(name: &str, text: &str) -> Result<Self, LayoutError> {
        let mut layout = Self {
            name: name.to_owned(),
            delimiter: b',',
            charset: Charset::UTF_8,
            mark: false,
            dates: Dates::Iso,
            columns: Vec::new(),
        };
        let mut columns = false;
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            let wrong = |what: String| LayoutError { line: at + 1, what };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "[columns]" {
                columns = true;
                continue;
            }
            let Some((key, value)) = line.rsplit_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
                return Err(wrong("neither `key = value` nor [columns]".to_owned()));
            };
            if columns {
                if layout.columns.len() == MAX_COLUMNS {
                    return Err(wrong(format!("more than {MAX_COLUMNS} columns")));
                }
                layout.columns.push(column(key, value).map_err(wrong)?);
            } else {
                layout.set(key, value).map_err(wrong)?;
            }
        }
        if layout.columns.is_empty() {
            return Err(LayoutError { line: 0, what: "it has no columns".to_owned() });
        }
        Ok(layout)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            ("delimiter", name) => {
                let at = ["comma", "tab", "semicolon", "bar"].iter().position(|known| *known == name);
                self.delimiter = DELIMITERS[at.ok_or("the delimiter is comma, semicolon, tab or bar")?];
            }
            ("charset", "utf-8-bom") => self.mark = true,
            ("charset", label) => {
                self.charset = Charset::for_label(label).ok_or_else(|| format!("there is no charset {label:?}"))?;
                self.mark = self.charset.name().starts_with("UTF-16");
            }
            ("dates", "ymd") => self.dates = Dates::Iso,
            ("dates", "mdy") => self.dates = Dates::Mdy,
            ("dates", "dmy") => self.dates = Dates::Dmy,
            ("dates", _) => return Err("dates are ymd, mdy or dmy".to_owned()),
            _ => return Err(format!("{key:?} is none of delimiter, charset and dates")),
        }
        Ok(())
    }

    /// The layout's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its charset.
    #[must_use]
    pub const fn charset(&self) -> Charset {
        self.charset
    }

    /// What separates its cells.
    #[must_use]
    pub const fn delimiter(&self) -> char {
        self.delimiter as char
    }

    /// The same with other columns first among their names, where they have any: `zh` for Chinese, else ASCII.
    #[must_use]
    pub fn in_language(mut self, language: &str) -> Self {
        let wanted = |name: &String| name.is_ascii() != language.starts_with("zh");
        for column in &mut self.columns {
            if let Some(at) = column.names.iter().position(wanted) {
                column.names.swap(0, at);
            }
        }
        self
    }

    /// The same with another delimiter; `None` if it can be none.
    #[must_use]
    pub fn with_delimiter(self, delimiter: char) -> Option<Self> {
        let delimiter = u8::try_from(delimiter).ok().filter(|it| it.is_ascii() && !b"\"\r\n".contains(it))?;
        Some(Self { delimiter, ..self })
    }

    /// The same in another charset.
    #[must_use]
    pub fn with_charset(self, charset: Charset) -> Self {
        Self { charset, mark: charset.name().starts_with("UTF-16"), ..self }
    }

    /// The same with only the columns of these fields, in this order; unknown ones get a column of their own. (mission I2)
    #[must_use]
    pub fn with_fields(mut self, fields: &[Field]) -> Self {
        let columns = std::mem::take(&mut self.columns);
        self.columns = fields
            .iter()
            .map(|field| {
                let of = |column: &&Column| column.fields.len() == 1 && column.fields[0] == *field;
                let own = || Column { names: vec![field.to_string()], fields: vec![field.clone()], below: Vec::new() };
                columns.iter().find(of).cloned().unwrap_or_else(own)
            })
            .collect();
        self
    }

    /// Which fields columns of these names hold. Each field is given once: of two columns of one name the second holds the next
    /// such property.
    pub(super) fn fields_of(&self, header: &[String]) -> Vec<Option<Field>> {
        let mut known: HashMap<String, &Field> = HashMap::new();
        for column in &self.columns {
            // What a column holds that no field is known for goes by the column's name.
            if let [field] = &column.fields[..]
                && !field.is_column()
            {
                for name in &column.names {
                    known.entry(plain(name)).or_insert(field);
                }
            }
        }
        header.iter().map(|name| known.get(&plain(name)).map(|&field| field.clone())).collect()
    }
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        Self::parse("own", text)
    }
}

fn column(names: &str, fields: &str) -> Result<Column, String> {
    let names: Vec<String> = names.split(" | ").map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err("a column has no name".to_owned());
    }
    let mut column = Column { names, fields: Vec::new(), below: Vec::new() };
    for (at, line) in fields.split(',').enumerate() {
        if at > 0 {
            column.below.push(column.fields.len());
        }
        for field in line.split('+') {
            column.fields.push(field.parse::<Field>().map_err(|error| error.to_string())?);
        }
    }
    Ok(column)
}

/// A name of a column as it is compared: letters and digits.
fn plain(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The layout of a table with this header: the known one that knows most of its columns. What it does not know may be known
/// by the names of all. `None` if no column is known.
pub(super) fn guess(header: &[String]) -> Option<(Layout, Vec<Option<Field>>)> {
    let known = BUNDLED.iter().filter(|(name, _)| !OUR_OWN.contains(name)).filter_map(|(name, _)| Layout::named(name));
    let mut best: Option<(usize, Layout, Vec<Option<Field>>)> = None;
    for layout in known {
        let fields = layout.fields_of(header);
        let count = fields.iter().flatten().count();
        if count > best.as_ref().map_or(0, |(count, ..)| *count) {
            best = Some((count, layout, fields));
        }
    }
    let (_, layout, fields) = best?;
    Some((layout, complete(fields, header)))
}

/// Fills in what the names of all layouts say, and gives every field once.
pub(super) fn complete(mut fields: Vec<Option<Field>>, header: &[String]) -> Vec<Option<Field>> {
    for name in ["generic", "outlook", "phone", "thunderbird"] {
        if let Some(layout) = Layout::named(name) {
            for (field, other) in fields.iter_mut().zip(layout.fields_of(header)) {
                *field = field.take().or(other);
            }
        }
    }
    distinct(fields)
}

/// A field that is there already becomes that of the next such property.
pub(super) fn distinct(fields: Vec<Option<Field>>) -> Vec<Option<Field>> {
    let mut taken = std::collections::HashSet::new();
    let free = |mut field: Field, taken: &mut std::collections::HashSet<Field>| loop {
        if taken.insert(field.clone()) {
            return Some(field);
        }
        field = field.next()?;
    };
    fields.into_iter().map(|field| field.and_then(|field| free(field, &mut taken))).collect()
}

#[cfg(test)]
mod tests {
    use super::{BUNDLED, Layout, guess};

    fn header(line: &str) -> Vec<String> {
        line.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn i3_the_bundled_layouts_are_whole() {
        for (name, text) in BUNDLED {
            let layout = Layout::parse(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let names: Vec<String> = layout.columns.iter().map(|column| column.names[0].clone()).collect();
            let found = layout.fields_of(&names);
            for (column, found) in layout.columns.iter().zip(found) {
                assert!(
                    column.fields.len() > 1 || found.as_ref() == column.fields.first(),
                    "{name}: {:?}",
                    column.names
                );
            }
        }
    }

    #[test]
    fn i1_layouts_are_known_by_their_headers() {
        for (line, layout, fields) in [
            ("First Name,Last Name,Mobile Phone,Business Phone", "outlook", "n.given n.family tel.mobile tel.work"),
            ("姓,名,移动电话,单位", "outlook", "n.family n.given tel.mobile org.name"),
            ("姓名,手机,单位电话,电子邮件", "phone", "fn tel.mobile tel.work email"),
            ("Name,Given Name,Phone 1 - Label,Phone 1 - Value", "google", "fn n.given tel.label tel"),
            ("Full Name,Tel,Tel,Shoe Size", "generic", "fn tel tel#2 -"),
            ("FIRST NAME,E-MAIL ADDRESS,手机", "generic", "n.given email tel.mobile"),
        ] {
            let (found, columns) = guess(&header(line)).unwrap();
            let said: Vec<_> =
                columns.iter().map(|it| it.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)).collect();
            assert_eq!((found.name(), said.join(" ").as_str()), (layout, fields), "{line}");
        }
        assert!(guess(&header("Zoe,+46 70 1740601")).is_none());
    }

    #[test]
    fn i3_a_layout_is_a_text_and_what_is_wrong_with_it_is_told() {
        let own = Layout::parse(
            "own",
            "# ours\ndelimiter = tab\n[columns]\nWho | 谁 = n.given + n.family\nCall = tel.mobile\n",
        );
        let own = own.unwrap();
        assert_eq!((own.delimiter, own.columns[0].fields.len()), (b'\t', 2));
        assert_eq!(own.clone().in_language("zh").columns[0].names[0], "谁");
        let fields: Vec<_> = ["tel.mobile", "note"].iter().map(|it| it.parse().unwrap()).collect();
        let names: Vec<_> = own.with_fields(&fields).columns.into_iter().map(|it| it.names[0].clone()).collect();
        assert_eq!(names, ["Call", "note"]);
        for (text, wanted) in [
            ("", "line 0: it has no columns"),
            ("delimiter = x\n", "line 1: the delimiter is comma, semicolon, tab or bar"),
            (
                "[columns]\nName = who\n",
                "line 2: \"who\" names no field; fields are like fn, n.family, tel.mobile, tel.work#2, adr.home.city, x-qq",
            ),
            ("[columns]\n = fn\n", "line 2: a column has no name"),
            ("[columns]\nName\n", "line 2: neither `key = value` nor [columns]"),
            ("colour = red\n", "line 1: \"colour\" is none of delimiter, charset and dates"),
            ("charset = latin-9000\n", "line 1: there is no charset \"latin-9000\""),
        ] {
            assert_eq!(text.parse::<Layout>().unwrap_err().to_string(), wanted);
        }
    }
}
