//! What the program prints.

use serde::Serialize;
use std::io::Write as _;
use syncml::message::Timestamp;

/// One line of JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) {
    match serde_json::to_string(value) {
        Ok(text) => println!("{text}"),
        // Our own values: texts, numbers and lists of them.
        Err(error) => eprintln!("syncml: the output cannot be written as JSON: {error}"),
    }
}

/// One line, for whoever may read along; `println!` would end the thread when nobody does. It is written at once, so that the
/// log does not come between where both go to one place.
pub(crate) fn line(text: &str) {
    drop(std::io::stdout().write_all(format!("{text}\n").as_bytes()));
}

/// A list of JSON values, written one by one.
pub(crate) struct List {
    empty: bool,
}

impl List {
    pub(crate) fn begin() -> Self {
        print!("[");
        Self { empty: true }
    }

    pub(crate) fn item<T: Serialize + ?Sized>(&mut self, value: &T) {
        println!("{}", if self.empty { "" } else { "," });
        self.empty = false;
        // Our own values, as above.
        print!("{}", serde_json::to_string(value).unwrap_or_default());
    }

    pub(crate) fn end(self) {
        println!("{}]", if self.empty { "" } else { "\n" });
    }
}

/// Columns, each as wide as its widest cell; columns of numbers are aligned to the right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&text| text.to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| cell.chars().filter(|c| !c.is_control()).collect()).collect());
    }

    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<_> = (0..columns).map(|c| cells(c).map(|cell| width(cell)).max().unwrap_or_default()).collect();
        let right: Vec<_> =
            (0..columns).map(|c| cells(c).skip(1).all(|cell| cell.chars().all(|c| c.is_ascii_digit()))).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[column].saturating_sub(width(cell)));
                let (before, after) = if right[column] { (padding, String::new()) } else { (String::new(), padding) };
                line += &format!("{before}{cell}{after}  ");
            }
            println!("{}", line.trim_end());
        }
    }
}

/// Columns that a text takes on a terminal, near enough: East Asian characters and emoji take two.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
            0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// A moment for people: `2026-11-21 05:48:04Z`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..4), text.get(4..6), text.get(6..8), text.get(9..11), text.get(11..13), text.get(13..15)) {
        (Some(y), Some(mo), Some(d), Some(h), Some(mi), Some(s)) => format!("{y}-{mo}-{d} {h}:{mi}:{s}Z"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, moment, width};
    use syncml::message::Timestamp;

    #[test]
    fn measures_and_spells() {
        assert_eq!(width("Zoë 王小明 🦊"), 4 + 6 + 1 + 2);
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_345), "12.3 kB");
        assert_eq!(moment(Timestamp(0)), "1970-01-01 00:00:00Z");
    }
}
