//! The simulated people's cards: few names and numbers, so that twins occur, and a token in each edit, so that its fate
//! can be told from any card or revision. Written and read here without the engine.

use super::rng::Rng;

const NAMES: [&str; 7] = ["Abel", "Brandt", "Cruz", "Dietz", "Ek", "Fay", "Gül"];
const NUMBERS: [&str; 6] =
    ["+49301110001", "+49301110002", "+49301110003", "+49301110004", "+49301110005", "+49301110006"];

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Face {
    pub name: String,
    pub numbers: Vec<String>,
    pub tokens: Vec<String>,
}

impl Face {
    pub(super) fn random(rng: &mut Rng, token: String) -> Self {
        Self { name: name(rng), numbers: vec![number(rng)], tokens: vec![token] }
    }

    pub(super) fn read(content: &[u8]) -> Self {
        let mut face = Self::default();
        for line in String::from_utf8_lossy(content).lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            match key.split(';').next() {
                Some("N") => value.split(';').next().unwrap_or_default().clone_into(&mut face.name),
                Some("TEL") => face.numbers.push(value.to_owned()),
                Some("NOTE") => face.tokens.push(value.to_owned()),
                _ => {}
            }
        }
        face
    }

    pub(super) fn write(&self) -> Vec<u8> {
        self.lines(&[&self.names(), &self.tels(), &self.notes()])
    }

    /// The same in other words: what a phone does that stores a card without being asked to change it.
    pub(super) fn respell(&self) -> Vec<u8> {
        self.lines(&[&self.notes(), &self.tels(), &self.names()])
    }

    fn names(&self) -> String {
        format!("N:{0};Ann;;;\r\nFN:Ann {0}\r\n", self.name)
    }

    fn tels(&self) -> String {
        self.numbers.iter().map(|number| format!("TEL;TYPE=CELL:{number}\r\n")).collect()
    }

    fn notes(&self) -> String {
        self.tokens.iter().map(|token| format!("NOTE:{token}\r\n")).collect()
    }

    fn lines(&self, parts: &[&str]) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}END:VCARD\r\n", parts.concat()).into_bytes()
    }
}

/// Whether a card is spelt as [`Face::respell`] does.
pub(super) fn is_respelt(content: &[u8]) -> bool {
    content.starts_with(b"BEGIN:VCARD\r\nVERSION:3.0\r\nNOTE:")
}

/// A card's meaning, compared without the engine: its lines in any order.
pub(super) fn meaning(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.join(" | ")
}

pub(super) fn name(rng: &mut Rng) -> String {
    rng.pick(&NAMES).unwrap_or_default().to_owned()
}

/// Whether a contact changes its name and keeps its numbers: those with even ones do.
pub(super) fn has_stable_number(face: &Face) -> bool {
    face.numbers.first().is_some_and(|number| number.ends_with(['0', '2', '4', '6', '8']))
}

/// Another number for the same sort of person.
pub(super) fn number_like(rng: &mut Rng, face: &Face) -> String {
    let stable = has_stable_number(face);
    let like: Vec<&str> = NUMBERS.iter().copied().filter(|it| it.ends_with(['2', '4', '6']) == stable).collect();
    rng.pick(&like).unwrap_or_default().to_owned()
}

fn number(rng: &mut Rng) -> String {
    rng.pick(&NUMBERS).unwrap_or_default().to_owned()
}
