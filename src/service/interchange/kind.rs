//! Kinds of numbers and addresses, as types of cards, as words of tables and as people write them.

use crate::contact::card::Property;

/// Which of a contact's numbers, addresses or links it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Nobody says; in a layout, whichever is left.
    Any,
    Mobile,
    Home,
    Work,
    Fax,
    HomeFax,
    WorkFax,
    Pager,
    Car,
}

struct Row {
    kind: Kind,
    name: &'static str,
    /// Types in cards.
    types: &'static [&'static str],
    /// As Google and others label it, and how else it is called.
    labels: &'static [&'static str],
}

const fn row(kind: Kind, name: &'static str, types: &'static [&'static str], labels: &'static [&'static str]) -> Row {
    Row { kind, name, types, labels }
}

const TABLE: &[Row] = &[
    row(Kind::Any, "other", &[], &["Other", "其他", "main", "voice", "internet", "custom"]),
    row(Kind::Mobile, "mobile", &["CELL"], &["Mobile", "手机", "cell", "cellular", "iphone", "移动电话"]),
    row(Kind::Home, "home", &["HOME"], &["Home", "家庭", "住宅", "private"]),
    row(Kind::Work, "work", &["WORK"], &["Work", "单位", "工作", "办公", "business", "office", "公司"]),
    row(Kind::WorkFax, "work-fax", &["WORK", "FAX"], &["Work Fax", "单位传真", "工作传真", "business fax"]),
    row(Kind::HomeFax, "home-fax", &["HOME", "FAX"], &["Home Fax", "家庭传真", "住宅传真"]),
    row(Kind::Fax, "fax", &["FAX"], &["Fax", "传真", "other fax"]),
    row(Kind::Pager, "pager", &["PAGER"], &["Pager", "寻呼机"]),
    row(Kind::Car, "car", &["CAR"], &["Car", "车载"]),
];

impl Kind {
    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.kind == self).unwrap_or(&TABLE[0])
    }

    /// The kind that a field calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    pub(super) fn types(self) -> &'static [&'static str] {
        self.row().types
    }

    /// What a table calls it.
    pub(super) fn label(self) -> &'static str {
        self.row().labels[0]
    }

    /// The same in Chinese.
    pub(super) fn label_zh(self) -> &'static str {
        self.row().labels[1]
    }

    /// What a person may have meant by a label. Google marks the first choice with an asterisk.
    pub(super) fn of_label(label: &str) -> Option<Self> {
        let label = label.trim().trim_start_matches('*').trim();
        let is = |row: &&Row| row.labels.iter().any(|it| it.to_lowercase() == label.to_lowercase());
        TABLE.iter().find(is).map(|row| row.kind)
    }

    /// The kind of a property, by its types.
    pub(super) fn of(property: &Property<'_>) -> Self {
        let has = |name| property.has_type(name);
        match (has("FAX"), has("HOME"), has("WORK")) {
            _ if has("CELL") || has("MOBILE") || has("IPHONE") => Self::Mobile,
            (true, true, false) => Self::HomeFax,
            (true, false, true) => Self::WorkFax,
            (true, ..) => Self::Fax,
            _ if has("PAGER") => Self::Pager,
            _ if has("CAR") => Self::Car,
            (_, true, false) => Self::Home,
            (_, false, true) => Self::Work,
            _ => Self::Any,
        }
    }

    /// Whether the types of a property say more than the kind does.
    pub(super) fn leaves_out(self, property: &Property<'_>) -> bool {
        const SAY_NOTHING: [&str; 6] = ["PREF", "VOICE", "INTERNET", "MOBILE", "IPHONE", "MSG"];
        let said = |it: &str| SAY_NOTHING.iter().chain(self.types()).any(|known| it.eq_ignore_ascii_case(known));
        property.types().any(|it| !said(&it) && !it.eq_ignore_ascii_case("OTHER"))
    }
}
