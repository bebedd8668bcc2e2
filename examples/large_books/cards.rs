//! Cards as phones have them: about 500 bytes.

use std::fmt::Write as _;

const FAMILIES: usize = 500;

/// What notes are made of, where each card has its own.
const WORDS: &str = "after again almost always answer autumn because before behind between bicycle brought building called chess \
    children coffee comes concert dinner doctor early engine every family finds forest garden guitar harbour holiday \
    island keeps kitchen ladder later letter library likes lives market meets morning moved mountain music never \
    number often painting people photo piano plays prefers promised reads river sailing school sells since sister \
    station street summer sunday teaches theatre together train travels under until village walks weather winter with \
    works writes yellow yesterday";

/// What is in the cards.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // who counts instructions takes the plain ones only
pub(crate) enum Cards {
    /// All have the same note.
    Plain,
    /// Two in a hundred have a photo of 8 KB, too.
    Photos,
    /// Each has a note of its own, as long as the others'.
    Notes,
}

#[allow(dead_code)] // for the same reason
impl Cards {
    const ALL: [Self; 3] = [Self::Plain, Self::Photos, Self::Notes];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Photos => "photos",
            Self::Notes => "notes",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cards| cards.name() == name)
    }
}

pub(crate) fn card(number: usize, cards: Cards) -> Vec<u8> {
    edited(number, cards, "")
}

fn note(number: usize, cards: Cards) -> String {
    let same = "what one remembers of somebody one meets once a year ".repeat(4);
    if cards != Cards::Notes {
        return same;
    }
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut note = String::new();
    while note.len() < same.len() {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        note.push_str(words[(state >> 33) as usize % words.len()]);
        note.push(' ');
    }
    note.truncate(same.len());
    note
}

/// The same person after a change.
pub(crate) fn edited(number: usize, cards: Cards, change: &str) -> Vec<u8> {
    let family = number % FAMILIES;
    let note = note(number, cards);
    let mut card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Family{family};Given{number};;;\r\nFN:Given{number} Family{family}\r\n\
         ORG:Company {};Department\r\nTITLE:Somebody\r\nTEL;TYPE=CELL:+49170{number:07}\r\n\
         TEL;TYPE=WORK:+4930{number:07}\r\nEMAIL;TYPE=HOME:given{number}@example.org\r\n\
         ADR;TYPE=HOME:;;Main Street {number};Town;;12345;Land\r\nNOTE:{note}{change}\r\n",
        number % 200,
    );
    if cards == Cards::Photos && number.is_multiple_of(50) {
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
