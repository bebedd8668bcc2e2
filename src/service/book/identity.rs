//! What a device is known by (mission B2): numbers with rules, which are checked.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The rule that an identifier breaks. It does not repeat the identifier, which is personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Something that is no digit, where only digits may be.
    #[error("an {0} has decimal digits only")]
    NotDigits(&'static str),
    /// Another number of digits than the rule has.
    #[error("an {kind} has {wanted} digits, not {found}")]
    Length {
        /// What it should be.
        kind: &'static str,
        /// How many digits that has.
        wanted: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The last digit of an IMEI does not go with the others (3GPP TS 23.003 annex B).
    #[error("the check digit of the IMEI must be {wanted}, not {found}: one of its digits is wrong")]
    CheckDigit {
        /// What the other digits ask for.
        wanted: u8,
        /// What is there.
        found: u8,
    },
    /// All digits are zero: phones without a number say that.
    #[error("an {0} of zeros only is that of no device")]
    Zeros(&'static str),
    /// An IMSI begins with a country (ITU-T E.212), and none begins with this digit.
    #[error("an IMSI begins with the code of a country or network, of which none begins with {0}")]
    Country(char),
    /// A phone number without its country (ITU-T E.164).
    #[error("a phone number is written with + and its country code")]
    NotInternational,
    /// A country code that begins with 0.
    #[error("no country code begins with 0")]
    CountryZero,
    /// A character that is part of no phone number.
    #[error("a phone number has digits, and blanks, hyphens, dots, slashes and brackets between them")]
    NotANumber,
    /// Not twelve hexadecimal digits in even groups.
    #[error("a MAC address is 12 hexadecimal digits, alone or in even groups parted by one kind of : - .")]
    NotAMac,
    /// The address of a group, or of nobody.
    #[error("this MAC address is that of a group of devices, or of none")]
    NotOfADevice,
    /// A storage name.
    #[error("a storage is named by 1 to 64 of a-z, 0-9 and . _ - / :")]
    Storage,
    /// The number of a book.
    #[error("a book is named by 15 to 64 hexadecimal digits")]
    Book,
    /// What kind of identifier it is, is not said or not known.
    #[error("a device is known by imei:…, imsi:…, number:…, wlan:… or bluetooth:…")]
    Kind,
}

fn digits(kind: &'static str, text: &str) -> Result<Vec<u8>, Wrong> {
    let plain = text.trim().bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
    let digits: Vec<u8> = plain.map(|byte| byte.wrapping_sub(b'0')).collect();
    match digits.iter().all(|digit| *digit < 10) {
        true if !digits.is_empty() && digits.iter().all(|digit| *digit == 0) => Err(Wrong::Zeros(kind)),
        true => Ok(digits),
        false => Err(Wrong::NotDigits(kind)),
    }
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// The number of a piece of mobile equipment (3GPP TS 23.003 §6.2): eight digits of its type, six of its own, and one that
/// checks them.
///
/// It may be written without the check digit, as networks carry it, or with two digits of the software's version in its place
/// (IMEISV): that is the same equipment, before an update and after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Imei {
    digits: String,
    software: Option<String>,
}

impl Imei {
    /// Reads 15 digits, whose last must check the others; 14, which have none; or 16, an IMEISV. Blanks and hyphens may stand
    /// between them.
    ///
    /// # Errors
    /// [`Wrong`], which names the rule.
    ///
    /// ```
    /// use syncml::service::book::{Imei, Wrong};
    /// let imei = Imei::parse("49-015420-323751-8")?;
    /// assert_eq!(imei.to_string(), "490154203237518");
    /// assert_eq!(Imei::parse("4901542032375104")?.to_string(), imei.to_string(), "the IMEISV, version 04");
    /// assert_eq!(Imei::parse("490154203237519"), Err(Wrong::CheckDigit { wanted: 8, found: 9 }));
    /// # Ok::<(), Wrong>(())
    /// ```
    pub fn parse(written: &str) -> Result<Self, Wrong> {
        let mut digits = digits("IMEI", written)?;
        let software = match digits.len() {
            16 => Some(text(&digits.split_off(14))),
            14 | 15 => None,
            found => return Err(Wrong::Length { kind: "IMEI", wanted: "15 (an IMEISV 16)", found }),
        };
        let wanted = check_digit(&digits[..14]);
        match digits.get(14) {
            Some(found) if *found != wanted => return Err(Wrong::CheckDigit { wanted, found: *found }),
            Some(_) => {}
            None => digits.push(wanted),
        }
        Ok(Self { digits: text(&digits), software })
    }

    /// The two digits of the software's version, where it was written as an IMEISV.
    #[must_use]
    pub fn software(&self) -> Option<&str> {
        self.software.as_deref()
    }
}

/// The 15 digits, the check digit among them.
impl fmt::Display for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits)
    }
}

/// The digit that makes the sum, every second digit doubled and its own digits added, a multiple of ten (Luhn).
fn check_digit(digits: &[u8]) -> u8 {
    let worth = |(at, digit): (usize, &u8)| match (at % 2, digit * 2) {
        (0, twice) if twice > 9 => twice - 9,
        (0, twice) => twice,
        (_, _) => *digit,
    };
    // The last of them is doubled, whatever their number.
    let sum: u32 = digits.iter().rev().enumerate().map(|place| u32::from(worth(place))).sum();
    ((10 - sum % 10) % 10) as u8
}

/// The number of a subscriber (ITU-T E.212): three digits of a country, two or three of a network, and the subscriber's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Imsi(String);

impl Imsi {
    /// Reads 6 to 15 digits, the first of which is that of a part of the world (2 to 7), of all of it (9) or of a test (0).
    ///
    /// # Errors
    /// [`Wrong`], which names the rule.
    pub fn parse(written: &str) -> Result<Self, Wrong> {
        let digits = text(&digits("IMSI", written)?);
        match (digits.len(), digits.chars().next()) {
            (6..=15, Some(first @ ('1' | '8'))) => Err(Wrong::Country(first)),
            (6..=15, _) => Ok(Self(digits)),
            (found, _) => Err(Wrong::Length { kind: "IMSI", wanted: "6 to 15", found }),
        }
    }
}

impl fmt::Display for Imsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone number with its country (ITU-T E.164): at most 15 digits, the country's first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Reads `+` and 7 to 15 digits; blanks, hyphens, dots, slashes and brackets may stand between them. What a caller dials
    /// instead of `+` depends on where he is, so it is not taken for it.
    ///
    /// # Errors
    /// [`Wrong`], which names the rule.
    pub fn parse(written: &str) -> Result<Self, Wrong> {
        let rest = written.trim().strip_prefix('+').ok_or(Wrong::NotInternational)?;
        let mut digits = String::new();
        for c in rest.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' => {}
                _ => return Err(Wrong::NotANumber),
            }
        }
        match digits.len() {
            7..=15 if digits.starts_with('0') => Err(Wrong::CountryZero),
            7..=15 => Ok(Self(digits)),
            found => Err(Wrong::Length { kind: "international phone number", wanted: "7 to 15", found }),
        }
    }
}

/// `+` and the digits.
impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// The address of a network interface, of a device's WLAN or Bluetooth (IEEE 802, EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `00:1a:2B:3c:4d:5e`, `00-1A-2B-3C-4D-5E`, `001a.2b3c.4d5e`, `001A2B:3C4D5E` or `001a2b3c4d5e`.
    ///
    /// # Errors
    /// [`Wrong`], which names the rule.
    pub fn parse(written: &str) -> Result<Self, Wrong> {
        let written = written.trim();
        let parts: Vec<&str> = match written.chars().find(|c| matches!(c, ':' | '-' | '.')) {
            Some(mark) => written.split(mark).collect(),
            None => vec![written],
        };
        let each = parts[0].len();
        if !matches!(each, 2 | 4 | 6 | 12) || parts.len() * each != 12 || parts.iter().any(|part| part.len() != each) {
            return Err(Wrong::NotAMac);
        }
        let digits: Vec<u32> = parts.concat().chars().map_while(|c| c.to_digit(16)).collect();
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (pair[0] * 16 + pair[1]) as u8;
        }
        match digits.len() {
            12 if bytes == [0; 6] || bytes[0] & 1 == 1 => Err(Wrong::NotOfADevice),
            12 => Ok(Self(bytes)),
            _ => Err(Wrong::NotAMac),
        }
    }

    /// Whether it was chosen at random or by an administrator, and not given by the maker: such an address of a phone changes
    /// from network to network, and its books with it.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }
}

/// Twelve small hexadecimal digits.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a device is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceIdentity {
    /// The equipment's number.
    Imei(Imei),
    /// The subscriber's: the card's, whatever phone it is in.
    Imsi(Imsi),
    /// The phone number.
    Number(PhoneNumber),
    /// The address of its WLAN.
    Wlan(Mac),
    /// The address of its Bluetooth.
    Bluetooth(Mac),
}

impl DeviceIdentity {
    /// The id under which the device syncs, as phones write theirs: `IMEI:490154203237518`.
    #[must_use]
    pub fn device_id(&self) -> String {
        let text = self.to_string();
        match text.split_once(':') {
            Some((kind, value)) => format!("{}:{value}", kind.to_ascii_uppercase()),
            None => text,
        }
    }

    /// Whether it may be another tomorrow ([`Mac::is_local`]).
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Wlan(mac) | Self::Bluetooth(mac) if mac.is_local())
    }
}

/// The one way in which it goes into a [`BookId`](super::BookId): `imei:490154203237518`, `imsi:460001234567890`,
/// `number:+8613800138000`, `wlan:001a2b3c4d5e`, `bluetooth:001a2b3c4d5e`.
impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imei(imei) => write!(f, "imei:{imei}"),
            Self::Imsi(imsi) => write!(f, "imsi:{imsi}"),
            Self::Number(number) => write!(f, "number:{number}"),
            Self::Wlan(mac) => write!(f, "wlan:{mac}"),
            Self::Bluetooth(mac) => write!(f, "bluetooth:{mac}"),
        }
    }
}

impl FromStr for DeviceIdentity {
    type Err = Wrong;

    fn from_str(written: &str) -> Result<Self, Wrong> {
        let (kind, value) = written.trim().split_once(':').ok_or(Wrong::Kind)?;
        match kind.to_ascii_lowercase().as_str() {
            "imei" | "imeisv" => Imei::parse(value).map(Self::Imei),
            "imsi" => Imsi::parse(value).map(Self::Imsi),
            "number" | "tel" => PhoneNumber::parse(value).map(Self::Number),
            "wlan" | "wifi" => Mac::parse(value).map(Self::Wlan),
            "bluetooth" => Mac::parse(value).map(Self::Bluetooth),
            _ => Err(Wrong::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceIdentity, Wrong};

    #[test]
    fn what_a_device_is_known_by() {
        let length = |kind, wanted, found| Err(Wrong::Length { kind, wanted, found });
        let imei = |found| length("IMEI", "15 (an IMEISV 16)", found);
        let number = |found| length("international phone number", "7 to 15", found);
        for (written, expected, why) in [
            ("imei:490154203237518", Ok("imei:490154203237518"), "the example of 3GPP TS 23.003"),
            ("IMEI: 49-015420-323751-8", Ok("imei:490154203237518"), "as it is printed"),
            ("imei:49015420323751", Ok("imei:490154203237518"), "without its check digit"),
            ("imeisv:4901542032375104", Ok("imei:490154203237518"), "the same with its software's version"),
            ("imei:352099001761481", Ok("imei:352099001761481"), "another"),
            ("imei:490154203237519", Err(Wrong::CheckDigit { wanted: 8, found: 9 }), "a wrong digit"),
            ("imei:490154203237581", Err(Wrong::CheckDigit { wanted: 3, found: 1 }), "two that changed places"),
            ("imei:4901542032375", imei(13), "too short"),
            ("imei:49015420323751812", imei(17), "too long"),
            ("imei:", imei(0), "nothing"),
            ("imei:49015420323751X", Err(Wrong::NotDigits("IMEI")), "a letter"),
            ("imei:٤٩٠١٥٤٢٠٣٢٣٧٥١٨", Err(Wrong::NotDigits("IMEI")), "digits of another script"),
            ("imei:000000000000000", Err(Wrong::Zeros("IMEI")), "of a phone without one"),
            ("imsi:460001234567890", Ok("imsi:460001234567890"), "15 digits"),
            ("imsi:26201987654321", Ok("imsi:26201987654321"), "14 digits"),
            ("imsi:001010123456789", Ok("imsi:001010123456789"), "a test network"),
            ("imsi:901700000000001", Ok("imsi:901700000000001"), "a network of no country"),
            ("imsi:100001234567890", Err(Wrong::Country('1')), "no country"),
            ("imsi:800001234567890", Err(Wrong::Country('8')), "no country"),
            ("imsi:4600012345678901", length("IMSI", "6 to 15", 16), "too long"),
            ("imsi:46000", length("IMSI", "6 to 15", 5), "too short"),
            ("imsi:4600-0x", Err(Wrong::NotDigits("IMSI")), "a letter"),
            ("number:+86 138 0013 8000", Ok("number:+8613800138000"), "E.164"),
            ("number:+49 (30) 1234-56/7", Ok("number:+49301234567"), "as people write"),
            ("tel:+6834000", Ok("number:+6834000"), "the shortest"),
            ("number:13800138000", Err(Wrong::NotInternational), "of which country?"),
            ("number:008613800138000", Err(Wrong::NotInternational), "what is dialled is not what it is"),
            ("number:+0138001380", Err(Wrong::CountryZero), "no country"),
            ("number:+86138x00138000", Err(Wrong::NotANumber), "a letter"),
            ("number:+861380013800012", Ok("number:+861380013800012"), "the longest"),
            ("number:+8613800138000123", number(16), "too long"),
            ("number:+861380", number(6), "too short"),
            ("wlan:00:1a:2B:3c:4d:5e", Ok("wlan:001a2b3c4d5e"), "colons"),
            ("wifi:00-1A-2B-3C-4D-5E", Ok("wlan:001a2b3c4d5e"), "hyphens"),
            ("bluetooth:001a.2b3c.4d5e", Ok("bluetooth:001a2b3c4d5e"), "dots"),
            ("bluetooth:001A2B:3C4D5E", Ok("bluetooth:001a2b3c4d5e"), "halves"),
            ("bluetooth:001a2b3c4d5e", Ok("bluetooth:001a2b3c4d5e"), "bare"),
            ("wlan:00:1a:2b:3c:4d", Err(Wrong::NotAMac), "too short"),
            ("wlan:00:1a-2b:3c-4d:5e", Err(Wrong::NotAMac), "two kinds of marks"),
            ("wlan:0:01a:2b:3c:4d:5e", Err(Wrong::NotAMac), "uneven"),
            ("wlan:00:1a:2b:3c:4d:5g", Err(Wrong::NotAMac), "no digit"),
            ("wlan:", Err(Wrong::NotAMac), "nothing"),
            ("wlan:é1:1a:2b:3c:4d:5e", Err(Wrong::NotAMac), "no digit, of two octets"),
            ("wlan:00:00:00:00:00:00", Err(Wrong::NotOfADevice), "nobody"),
            ("wlan:ff:ff:ff:ff:ff:ff", Err(Wrong::NotOfADevice), "everybody"),
            ("wlan:01:00:5e:00:00:fb", Err(Wrong::NotOfADevice), "a group"),
            ("serial:1234", Err(Wrong::Kind), "no kind that is known"),
            ("490154203237518", Err(Wrong::Kind), "no kind"),
        ] {
            let read = written.parse::<DeviceIdentity>().map(|identity| identity.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{written}: {why}");
            if let Ok(known) = read {
                assert_eq!(known.parse().map(|again: DeviceIdentity| again.to_string()), Ok(known), "{why}");
            }
        }
    }

    #[test]
    fn every_single_wrong_digit_of_an_imei_is_found() {
        let right = "490154203237518";
        for at in 0..right.len() {
            for digit in ('0'..='9').filter(|digit| !right[at..].starts_with(*digit)) {
                let wrong = format!("imei:{}{digit}{}", &right[..at], &right[at + 1..]);
                let read = wrong.parse::<DeviceIdentity>();
                assert!(matches!(read, Err(Wrong::CheckDigit { .. })), "{wrong}: {read:?}");
            }
        }
    }

    #[test]
    fn says_as_whom_it_syncs_and_whether_that_lasts() {
        let known = |written: &str| written.parse::<DeviceIdentity>().unwrap();
        assert_eq!(known("imei:490154203237518").device_id(), "IMEI:490154203237518");
        assert_eq!(known("wlan:001a2b3c4d5e").device_id(), "WLAN:001a2b3c4d5e");
        assert!(known("wlan:02:1a:2b:3c:4d:5e").is_passing());
        assert!(!known("wlan:00:1a:2b:3c:4d:5e").is_passing() && !known("imei:490154203237518").is_passing());
        assert_eq!(super::Imei::parse("4901542032375104").unwrap().software(), Some("04"));
    }
}
