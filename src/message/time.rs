//! Time as the protocol writes it: UTC, basic ISO 8601 (`20070101T120000Z`, §2.1).

use std::fmt;

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z. The host hands it in; nothing below reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `seconds` more.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Reads a date and time as RFC 3339 has them, with a zone and to any fraction of a second (what is finer than a
    /// millisecond is left out): `2007-01-01T12:00:00Z`, `2007-01-01 13:00:00.25+01:00`. A leap second is the second after
    /// it. `None` for anything else.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (year, month, day) = match date.as_bytes() {
            [_, _, _, _, b'-', _, _, b'-', _, _] => (digits(date, 0, 4)?, digits(date, 5, 7)?, digits(date, 8, 10)?),
            _ => return None,
        };
        let time = rest.strip_prefix(['T', 't', ' '])?;
        let (hour, minute, second) = (digits(time, 0, 2)?, digits(time, 3, 5)?, digits(time, 6, 8)?);
        let (b':', b':') = (*time.as_bytes().get(2)?, *time.as_bytes().get(5)?) else { return None };
        let mut zone = time.get(8..)?;
        let mut millis = 0;
        if let Some(fraction) = zone.strip_prefix('.') {
            let end = fraction.bytes().position(|byte| !byte.is_ascii_digit())?;
            millis = format!("{:0<3}", &fraction[..end]).get(..3).filter(|_| end > 0)?.parse().ok()?;
            zone = &fraction[end..];
        }
        let offset = match zone.as_bytes() {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (digits(zone, 1, 3)?, digits(zone, 4, 6)?);
                let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
                if *sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        let days = days_from_civil(year, month, day);
        // A day that the month has not would be another one.
        if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
        Some(Self(seconds * 1000 + millis))
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Basic ISO 8601 to the second, as anchors and REV have it. Years outside 0–9999 are clamped.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const YEAR_0: i64 = -62_167_219_200;
        const YEAR_9999_END: i64 = 253_402_300_799;
        let seconds = self.seconds().clamp(YEAR_0, YEAR_9999_END);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let time = seconds.rem_euclid(86_400);
        write!(f, "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", time / 3600, time / 60 % 60, time % 60)
    }
}

/// Proleptic Gregorian date of a day number (0 = 1970-01-01), counting in 400-year eras that begin on 1 March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day number of a date: [`civil_from_days`] undone.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The number that these characters are.
fn digits(text: &str, from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn writes_basic_iso_8601() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_167_652_800, "20070101T120000Z"),
            (-1, "19691231T235959Z"),
            (4_107_542_399, "21000228T235959Z"),
            (i64::MAX / 1000, "99991231T235959Z"),
        ] {
            assert_eq!(Timestamp(seconds * 1000).to_string(), text);
        }
    }

    #[test]
    fn reads_rfc_3339() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01t00:00:01z", Some(1_000)),
            ("1970-01-01 00:00:00.5Z", Some(500)),
            ("1970-01-01T00:00:00.123456789Z", Some(123)),
            ("2007-01-01T12:00:00Z", Some(1_167_652_800_000)),
            ("2007-01-01T13:30:00+01:30", Some(1_167_652_800_000)),
            ("2007-01-01T11:00:00-01:00", Some(1_167_652_800_000)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200_000)),
            ("2001-02-29T00:00:00Z", None),
            ("2001-13-01T00:00:00Z", None),
            ("2001-00-01T00:00:00Z", None),
            ("2001-01-00T00:00:00Z", None),
            ("2001-01-01T24:00:00Z", None),
            ("2001-01-01T00:60:00Z", None),
            ("2001-01-01T00:00:61Z", None),
            ("2001-01-01T00:00:00", None),
            ("2001-01-01T00:00:00.Z", None),
            ("2001-01-01T00:00:00+24:00", None),
            ("2001-01-01T00:00:00+0100", None),
            ("2001-01-01T00-00-00Z", None),
            ("2001/01/01T00:00:00Z", None),
            ("20010101T000000Z", None),
            ("2001-01-01", None),
            ("+001-01-01T00:00:00Z", None),
            ("2001-01-01T00:00:0\u{e9}Z", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), millis.map(Timestamp), "{text}");
        }
        for days in (-700_000..2_900_000).step_by(997) {
            let (year, month, day) = super::civil_from_days(days);
            assert_eq!(super::days_from_civil(year, month, day), days);
        }
    }
}
