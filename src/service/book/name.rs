//! What a book is called (mission B2).

use super::{DeviceIdentity, Wrong};
use crate::store::BookNo;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The space in which a device keeps a book: `phone`, `sim`, `sim2`, or where on a card it lies, `3f00/7f10/6f3a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Storage(String);

impl Storage {
    /// Takes 1 to 64 of the letters a to z, digits and `. _ - / :`; capitals become small.
    ///
    /// # Errors
    /// [`Wrong::Storage`].
    pub fn parse(written: &str) -> Result<Self, Wrong> {
        let name = written.to_ascii_lowercase();
        let taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/:".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(taken) { Ok(Self(name)) } else { Err(Wrong::Storage) }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a book is called at the server: a SHA-256 that the device can make itself, and that tells nobody what it was made of.
///
/// It is that of three lines of ASCII, each with a line feed at its end: the words `syncml book 1`, which keep it apart from
/// every other use of the hash; the [`DeviceIdentity`] as it is displayed; and `storage:` with the [`Storage`]. None of these
/// can hold a line feed, so that different books are different texts.
///
/// ```
/// use syncml::service::book::{BookId, Storage};
/// for (device, storage, id) in [
///     // printf 'syncml book 1\nimei:490154203237518\nstorage:phone\n' | sha256sum
///     ("imei:490154203237518", "phone", "f79a61628800f51f7e334a30d4a49ba446bf0d1e97acdead0ea1fdfdd9bd2943"),
///     // printf 'syncml book 1\nimei:490154203237518\nstorage:sim\n' | sha256sum
///     ("imei:490154203237518", "sim", "8732cbb772ebe7b790aeb912fb2863e5c5c7e29548aebebef07d8319acdcb15a"),
///     // printf 'syncml book 1\nimsi:460001234567890\nstorage:3f00/7f10/6f3a\n' | sha256sum
///     ("imsi:460001234567890", "3f00/7f10/6f3a", "dfe42af30f7eb75110abe4fc482977b7942f56fa67803eca63574e55a92002d5"),
///     // printf 'syncml book 1\nnumber:+8613800138000\nstorage:phone\n' | sha256sum
///     ("number:+8613800138000", "phone", "ddcf2fd3276e5c61a6f6b9e461c76fd1cf64cc85054dede76f2901ca874d189b"),
///     // printf 'syncml book 1\nwlan:001a2b3c4d5e\nstorage:phone\n' | sha256sum
///     ("wlan:001a2b3c4d5e", "phone", "bcb13550030146b866f5a1892423dde9f27526182b8c2bcdbebfb8afa5049ba2"),
///     // printf 'syncml book 1\nbluetooth:001a2b3c4d5e\nstorage:phone\n' | sha256sum
///     ("bluetooth:001a2b3c4d5e", "phone", "8800e47ea438f2e5508d13194fbc25f11e1c6d2df9f6a1d6fe305fda0280d3d2"),
/// ] {
///     assert_eq!(BookId::new(&device.parse()?, &Storage::parse(storage)?).to_string(), id);
/// }
/// # Ok::<(), syncml::service::book::Wrong>(())
/// ```
///
/// The server keeps a book under the first 15 digits ([`BookNo::of_name`]), which are enough to tell it from the others of its
/// account: among a thousand books two agree in them once in 10¹². That many may be said for the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BookId(String);

impl BookId {
    /// The name of a device's book.
    #[must_use]
    pub fn new(device: &DeviceIdentity, storage: &Storage) -> Self {
        let text = format!("syncml book 1\n{device}\nstorage:{storage}\n");
        Self(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its address at the server: `./book/` and the digits.
    #[must_use]
    pub fn address(&self) -> String {
        format!("./book/{}", self.0)
    }

    /// Its number in a store, in the account it belongs to.
    #[must_use]
    pub fn number(&self) -> BookNo {
        // Only what has the digits is made one.
        BookNo::of_name(&self.0).unwrap_or_default()
    }
}

/// 64 hexadecimal digits, or as many as were said.
impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads 15 to 64 hexadecimal digits.
impl FromStr for BookId {
    type Err = Wrong;

    fn from_str(written: &str) -> Result<Self, Wrong> {
        let name = written.trim().to_ascii_lowercase();
        if BookNo::of_name(&name).is_some() { Ok(Self(name)) } else { Err(Wrong::Book) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BookId, Storage, Wrong};

    #[test]
    fn storages_are_named() {
        for (written, expected) in [
            ("phone", Ok("phone")),
            ("SIM2", Ok("sim2")),
            ("3F00/7F10/6F3A", Ok("3f00/7f10/6f3a")),
            ("", Err(Wrong::Storage)),
            ("two words", Err(Wrong::Storage)),
            ("line\nfeed", Err(Wrong::Storage)),
            ("été", Err(Wrong::Storage)),
            (&"a".repeat(64), Ok(&"a".repeat(64))),
            (&"a".repeat(65), Err(Wrong::Storage)),
        ] {
            let read = Storage::parse(written).map(|storage| storage.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{written:?}");
        }
    }

    #[test]
    fn each_device_and_storage_has_its_own_book() {
        let id = |device: &str, storage| BookId::new(&device.parse().unwrap(), &Storage::parse(storage).unwrap());
        let phone = id("imei:490154203237518", "phone");
        assert_eq!(phone, id("imeisv:4901542032375177", "PHONE"), "whatever its software");
        let others = [
            id("imei:490154203237518", "sim"),
            id("imei:352099001761481", "phone"),
            id("wlan:001a2b3c4d5e", "phone"),
            id("bluetooth:001a2b3c4d5e", "phone"),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(phone.number(), other.number());
            assert!(others[..at].iter().all(|before| before.number() != other.number()));
        }
    }

    #[test]
    fn the_first_digits_will_do() {
        let whole: BookId = "F79A61628800F51F7E334A30D4A49BA446BF0D1E97ACDEAD0EA1FDFDD9BD2943".parse().unwrap();
        let short: BookId = "f79a61628800f51".parse().unwrap();
        assert_eq!((whole.number(), short.address()), (short.number(), "./book/f79a61628800f51".to_owned()));
        for wrong in ["", "f79a61628800f5", "f79a61628800f5g", &"0".repeat(65), "f79a61628800f51f 7e"] {
            assert_eq!(wrong.parse::<BookId>(), Err(Wrong::Book), "{wrong:?}");
        }
    }
}
