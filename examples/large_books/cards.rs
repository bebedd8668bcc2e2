//! Cards as phones have them: about 550 bytes; with photos two in a hundred have 8 KB more.

use std::fmt::Write as _;

const FAMILIES: usize = 500;

pub(crate) fn card(number: usize, photos: bool) -> Vec<u8> {
    edited(number, photos, "")
}

/// The same person after a change.
pub(crate) fn edited(number: usize, photos: bool, change: &str) -> Vec<u8> {
    let family = number % FAMILIES;
    let note = "what one remembers of somebody one meets once a year ".repeat(4);
    let mut card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Family{family};Given{number};;;\r\nFN:Given{number} Family{family}\r\n\
         ORG:Company {};Department\r\nTITLE:Somebody\r\nTEL;TYPE=CELL:+49170{number:07}\r\n\
         TEL;TYPE=WORK:+4930{number:07}\r\nEMAIL;TYPE=HOME:given{number}@example.org\r\n\
         ADR;TYPE=HOME:;;Main Street {number};Town;;12345;Land\r\nNOTE:{note}{change}\r\n",
        number % 200,
    );
    if photos && number.is_multiple_of(50) {
        card.push_str("PHOTO;ENCODING=b;TYPE=JPEG:");
        let mut state = number as u64 | 1;
        for _ in 0..8_192 / 16 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            write!(card, "{state:016x}").unwrap_or_default();
        }
        card.push_str("\r\n");
    }
    card.push_str("END:VCARD\r\n");
    card.into_bytes()
}
