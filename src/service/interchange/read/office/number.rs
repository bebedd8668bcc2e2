//! Numbers of spreadsheets as people see them: dates, and digits in the form that their cell gives them (ECMA-376 part 1, §18.8.30).

use crate::message::Timestamp;

/// How a cell shows its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NumberFormat {
    /// As many digits as there are.
    General,
    /// A number of days, and parts of them.
    Time { date: bool, time: bool },
    /// Digits between other characters, such as `000-0000`.
    Digits(Vec<Section>),
}

/// A form of its own for some numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Up to which number, or from which one it is used.
    when: Option<(String, String)>,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A digit, 0 where there is none.
    Zero,
    /// A digit, if there is one.
    Digit,
    Char(char),
}

impl NumberFormat {
    /// One of those that have no code in the file.
    pub(super) fn built_in(id: u64) -> Self {
        match id {
            14..=17 | 27..=31 | 36 | 50..=54 | 57 | 58 => Self::Time { date: true, time: false },
            18..=21 | 32..=35 | 45..=47 | 55 | 56 => Self::Time { date: false, time: true },
            22 => Self::Time { date: true, time: true },
            _ => Self::General,
        }
    }

    /// The format of a code.
    pub(super) fn of(code: &str) -> Self {
        let sections = sections(code);
        let letters: String = sections.first().map_or("", |(_, rest)| rest).to_lowercase();
        let letters = bare(&letters).replace("am/pm", "").replace("a/p", "");
        let has = |any: &[char]| letters.contains(any);
        let elapsed = sections.first().is_some_and(|(brackets, _)| brackets.iter().any(|it| is_elapsed(it)));
        let (date, time) = (has(&['y', 'd']), has(&['h', 's']) || elapsed);
        if date || time || has(&['m']) {
            return Self::Time { date: date || !time, time };
        }
        let digits: Vec<Section> = sections.iter().map_while(|(brackets, rest)| section(brackets, rest)).collect();
        let shows = |section: &Section| section.places.iter().any(|it| matches!(it, Place::Zero | Place::Digit));
        // What is one plain run of digits shows nothing of its own.
        if digits.first().is_some_and(shows) { Self::Digits(digits) } else { Self::General }
    }

    /// What is shown of a number as it stands in the file.
    pub(super) fn shown(&self, value: &str, from_1904: bool) -> String {
        let Ok(number) = value.parse::<f64>() else { return value.to_owned() };
        match self {
            Self::General => general(value, number),
            Self::Time { date, time } => {
                moment(number, *date, *time, from_1904).unwrap_or_else(|| general(value, number))
            }
            Self::Digits(sections) => {
                let plain = general(value, number);
                let digits = plain.bytes().all(|byte| byte.is_ascii_digit());
                match sections.iter().find(|section| section.fits(number)) {
                    Some(section) if digits => section.fill(&plain),
                    _ => plain,
                }
            }
        }
    }
}

/// The sections of a code: what is within brackets, and the rest.
fn sections(code: &str) -> Vec<(Vec<String>, String)> {
    let mut all = vec![(Vec::new(), String::new())];
    let mut chars = code.chars();
    while let Some(char) = chars.next() {
        if char == ';' {
            all.push((Vec::new(), String::new()));
            continue;
        }
        let Some((brackets, rest)) = all.last_mut() else { break };
        match char {
            '[' => brackets.push(chars.by_ref().take_while(|char| *char != ']').collect()),
            '"' => {
                rest.push('"');
                rest.extend(chars.by_ref().take_while(|char| *char != '"'));
                rest.push('"');
            }
            '\\' => {
                rest.push('\\');
                rest.extend(chars.next());
            }
            // Room as wide as a character, and a character that fills the cell.
            '_' | '*' => drop(chars.next()),
            char => rest.push(char),
        }
    }
    all
}

/// A section without what it says literally.
fn bare(section: &str) -> String {
    let mut out = String::new();
    let mut chars = section.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => chars.by_ref().take_while(|char| *char != '"').for_each(drop),
            '\\' => drop(chars.next()),
            char => out.push(char),
        }
    }
    out
}

fn is_elapsed(bracket: &str) -> bool {
    let letter = bracket.chars().next().map(|char| char.to_ascii_lowercase());
    letter.is_some_and(|it| "hms".contains(it) && bracket.chars().all(|char| char.to_ascii_lowercase() == it))
}

/// The places of a section; `None` if it shows more than digits: fractions, powers, hundredths.
fn section(brackets: &[String], text: &str) -> Option<Section> {
    if bare(text).contains(['.', '%', 'E', 'e', '/', '@']) {
        return None;
    }
    let condition = brackets.iter().find(|it| it.starts_with(['<', '>', '=']));
    let when = condition.map(|it| {
        let (sign, number) = it.split_at(it.find(|char: char| !"<>=".contains(char)).unwrap_or(it.len()));
        (sign.to_owned(), number.to_owned())
    });
    let mut places = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '0' => places.push(Place::Zero),
            '#' | '?' => places.push(Place::Digit),
            // Thousands.
            ',' => {}
            '"' => places.extend(chars.by_ref().take_while(|char| *char != '"').map(Place::Char)),
            '\\' => places.extend(chars.next().map(Place::Char)),
            char => places.push(Place::Char(char)),
        }
    }
    Some(Section { when, places })
}

impl Section {
    fn fits(&self, number: f64) -> bool {
        let Some((sign, limit)) = &self.when else { return true };
        let Ok(limit) = limit.parse::<f64>() else { return false };
        match sign.as_str() {
            "<" => number < limit,
            "<=" => number <= limit,
            ">" => number > limit,
            ">=" => number >= limit,
            "<>" => (number - limit).abs() > 0.0,
            _ => (number - limit).abs() <= 0.0,
        }
    }

    /// Digits in their places, from the right; the first place takes what is left.
    fn fill(&self, digits: &str) -> String {
        let mut left: Vec<char> = digits.trim_start_matches('0').chars().collect();
        let first = self.places.iter().position(|it| !matches!(it, Place::Char(_)));
        let mut out = Vec::new();
        for (at, place) in self.places.iter().enumerate().rev() {
            match (place, left.pop()) {
                (Place::Char(char), digit) => {
                    left.extend(digit);
                    out.push(*char);
                }
                (_, Some(digit)) => out.push(digit),
                (Place::Zero, None) => out.push('0'),
                (Place::Digit, None) => {}
            }
            if Some(at) == first {
                out.extend(left.drain(..).rev());
            }
        }
        let text: String = out.into_iter().rev().collect();
        text.trim().to_owned()
    }
}

/// Digits as they are, however many, and no powers of ten; fractions to the 15 digits that spreadsheets calculate with.
fn general(value: &str, number: f64) -> String {
    if value.strip_prefix('-').unwrap_or(value).bytes().all(|byte| byte.is_ascii_digit()) {
        return value.to_owned();
    }
    if !number.is_finite() || number.abs() >= 1e21 {
        return value.to_owned();
    }
    let rounded = format!("{number:.14e}").parse::<f64>().unwrap_or(number);
    format!("{rounded}")
}

/// The date, time of day or both of a number of days.
fn moment(days: f64, date: bool, time: bool, from_1904: bool) -> Option<String> {
    // From the first of January 1900, or 1904, to the last day of 9999.
    if !(0.0..2_958_466.0).contains(&days) {
        return None;
    }
    let seconds = (days * 86_400.0).round() as i64; // below 10^12
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let clock = match second % 60 {
        0 => format!("{:02}:{:02}", second / 3600, second / 60 % 60),
        rest => format!("{:02}:{:02}:{rest:02}", second / 3600, second / 60 % 60),
    };
    let day = match day {
        day if from_1904 => day + 1462,
        // Excel counts a 29 February 1900.
        day if day < 60 => day + 1,
        day => day,
    };
    // Day 25,569 is 1970-01-01.
    let text = Timestamp((day - 25_569) * 86_400_000).to_string();
    let day = format!("{}-{}-{}", text.get(..4)?, text.get(4..6)?, text.get(6..8)?);
    Some(match (date, time) {
        (true, true) if second > 0 => format!("{day} {clock}"),
        (false, true) => clock,
        _ => day,
    })
}

#[cfg(test)]
mod tests {
    use super::NumberFormat;

    #[test]
    fn i1_numbers_are_what_people_see() {
        for (code, value, wanted) in [
            ("General", "13800138000", "13800138000"),
            ("General", "1.38001380E+10", "13800138000"),
            ("General", "123456789012345678", "123456789012345678"),
            ("General", "0.30000000000000004", "0.3"),
            ("General", "-7", "-7"),
            ("G/通用格式", "5550001", "5550001"),
            ("0", "13800138000", "13800138000"),
            ("0_ ", "13800138000", "13800138000"),
            ("0_);[Red]\\(0\\)", "13800138000", "13800138000"),
            ("#,##0", "13800138000", "13800138000"),
            ("00000", "1234", "01234"),
            ("000\\-0000", "5550001", "555-0001"),
            ("\"+\"0", "46701740601", "+46701740601"),
            ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", "5550001", "555-0001"),
            ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", "2125550001", "(212) 555-0001"),
            ("0.00E+00", "13800138000", "13800138000"),
            ("0.00", "5.5", "5.5"),
            ("@", "7", "7"),
            ("yyyy-mm-dd", "32907", "1990-02-03"),
            ("yyyy\"年\"m\"月\"d\"日\";@", "32907", "1990-02-03"),
            ("[$-804]dddd, mmmm d, yyyy", "32907.5", "1990-02-03"),
            ("m/d/yy h:mm AM/PM", "32907.5", "1990-02-03 12:00"),
            ("h:mm", "0.604166666666667", "14:30"),
            ("[h]:mm", "0.5", "12:00"),
            ("mmm", "32907", "1990-02-03"),
            ("d.m.y", "59", "1900-02-28"),
            ("d.m.y", "61", "1900-03-01"),
            ("d.m.y", "-3", "-3"),
            ("d.m.y", "1e300", "1e300"),
            ("d.m.y", "soon", "soon"),
            ("", "12", "12"),
            ("\"day\"0", "3", "day3"),
            ("[", "3", "3"),
        ] {
            assert_eq!(NumberFormat::of(code).shown(value, false), wanted, "{code} {value}");
        }
        assert_eq!(NumberFormat::built_in(14).shown("31445", true), "1990-02-03");
        assert_eq!(NumberFormat::built_in(0).shown("1.5e3", false), "1500");
    }
}
