//! Cards as they come: our own in `fixtures/cards`, and those of public projects where they are at hand
//! (`../shared/corpora/vcards`).
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A test may read files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::tests::exercise;
use super::*;
use crate::contact::identity::{Canon, fingerprint};
use crate::contact::lens::{Fields, Lens, put};
use crate::contact::merge::{Prefer, merge3, union};

const VERSIONS: [Version; 3] = [Version::V2_1, Version::V3_0, Version::V4_0];

/// Every file with the extension `vcf`, with its contents as UTF-8.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("fixtures/cards"), root.join("../shared/corpora/vcards")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "vcf") {
                let bytes = std::fs::read(&path).unwrap();
                files.push((path, decode_document(&bytes).into_owned()));
            }
        }
    }
    files.sort();
    assert!(files.len() >= 20, "where are our own?");
    files
}

fn cards(bytes: &[u8]) -> Vec<Card<'_>> {
    Card::parse_all(bytes, &Limits::default(), Charset::WINDOWS_1252).unwrap().map(Result::unwrap).collect()
}

/// Calls it with every card there is, and says where the card is from.
fn each(mut look: impl FnMut(&str, &Card<'_>)) -> usize {
    let mut count = 0;
    for (path, bytes) in files() {
        for card in cards(&bytes) {
            let line = card.properties().first().map_or(0, Property::line);
            look(&format!("{}:{line} ({})", path.display(), card.version()), &card);
            count += 1;
        }
    }
    count
}

/// What failed, told all at once: the figure is worth as much as the verdict.
#[derive(Default)]
struct Tally {
    total: usize,
    failures: Vec<String>,
}

impl Tally {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.total += 1;
        if !holds {
            self.failures.push(what());
        }
    }

    fn finish(self, cards: usize) {
        eprintln!("{} of {} checks hold, {cards} cards", self.total - self.failures.len(), self.total);
        let shown = self.failures.iter().take(40).fold(String::new(), |all, one| all + one + "\n");
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
    }
}

/// What is read of a file: a card with its version, then its properties, with parameters and text.
fn reading(bytes: &[u8], fallback: Charset) -> String {
    use std::fmt::Write as _;
    let bytes = decode_document(bytes);
    let mut out = String::new();
    for card in Card::parse_all(&bytes, &Limits::default(), fallback).unwrap().map(Result::unwrap) {
        let cut = if card.is_complete() { "" } else { ", without END" };
        writeln!(out, "card {}{cut}", card.version()).unwrap();
        for property in card.properties().iter().filter(|it| !it.is("VERSION")) {
            let group = property.group().map(|it| format!("{it}.")).unwrap_or_default();
            write!(out, "  {group}{}", property.name()).unwrap();
            for param in property.params().filter(|it| !is_internal_param(it.name())) {
                let values: Vec<Cow<'_, str>> = param.values().collect();
                write!(out, " [{} {}]", param.name(), values.join(" | ").escape_debug()).unwrap();
            }
            match property.binary() {
                Some(data) => writeln!(out, " = {} bytes", data.len()).unwrap(),
                None => writeln!(out, " = {:?}", property.text()).unwrap(),
            }
        }
    }
    out
}

/// Rows by the names of the files. `SYNCML_BLESS=1` writes what is missing: then read it.
#[test]
fn our_own_are_read_as_it_is_written_beside_them() {
    for (path, _) in files().into_iter().filter(|(path, _)| path.parent().unwrap().ends_with("fixtures/cards")) {
        let japanese = path.ends_with("row37-shift-jis-undeclared.vcf");
        let fallback = if japanese { Charset::for_label("Shift_JIS").unwrap() } else { Charset::WINDOWS_1252 };
        let found = reading(&std::fs::read(&path).unwrap(), fallback);
        let golden = path.with_extension("txt");
        if !golden.exists() && std::env::var_os("SYNCML_BLESS").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&golden).unwrap_or_default(), "{}", path.display());
    }
}

#[test]
fn row16_files_come_back_byte_for_byte() {
    for (path, bytes) in files() {
        let cards = cards(&bytes);
        let empty = path.ends_with("Empty.vcf");
        assert_eq!(cards.is_empty(), empty, "{path:?}");
        let mut written = Vec::new();
        for card in &cards {
            written.extend(Editor::new(card).finish());
        }
        assert!(written == bytes || empty, "{path:?}");
    }
}

/// Junk aside, the lines of a card are its properties: nothing is read twice, and nothing is passed over in silence.
#[test]
fn row16_properties_stand_in_order_and_do_not_overlap() {
    let mut tally = Tally::default();
    let count = each(|place, card| {
        let mut from = 0;
        for property in card.properties() {
            let raw = &card.as_bytes()[property.at()..][..property.raw().len()];
            tally.check(property.at() >= from && raw == property.raw(), || format!("{place}: {property:?}"));
            from = property.at() + property.raw().len();
        }
    });
    tally.finish(count);
}

#[test]
fn row16_an_edit_leaves_the_rest_byte_for_byte() {
    let mut tally = Tally::default();
    let count = each(|place, card| {
        let raws = |card: &Card<'_>| card.properties().iter().map(|it| it.raw().to_vec()).collect::<Vec<_>>();
        let note = PropertyBuf::text("X-NEW", "new");
        let step = card.properties().len() / 8 + 1;
        for at in (0..card.properties().len()).step_by(step) {
            // Without VERSION another version is spoken, and lines end elsewhere.
            if card.properties()[at].is("VERSION") || card.get("VERSION").is_none() {
                continue;
            }
            let mut editor = Editor::new(card);
            editor.remove(at);
            editor.append(&note);
            let edited = editor.finish();
            let edited = Card::parse(&edited).unwrap();
            let (mut wanted, mut found) = (raws(card), raws(&edited));
            wanted.remove(at);
            let added = found.pop().is_some_and(|raw| raw.starts_with(b"X-NEW:new"));
            // A card cut off in transit gets the line break it lacks.
            let same = wanted.len() == found.len() && wanted.iter().zip(&found).all(|(a, b)| b.starts_with(a));
            tally.check(added && same, || format!("{place}: without {:?}", card.properties()[at]));
        }
    });
    tally.finish(count);
}

#[test]
fn row22_conversion_there_and_back_keeps_the_meaning() {
    let mut tally = Tally::default();
    let count = each(|place, card| {
        let wanted = fingerprint(card);
        for through in VERSIONS.into_iter().filter(|&it| it != card.version()) {
            let there = convert(card, through);
            let there = Card::parse(&there).unwrap();
            let back = convert(&there, card.version());
            let back = Card::parse(&back).unwrap();
            for (way, it) in [("there", &there), ("back", &back)] {
                tally.check(fingerprint(it) == wanted, || {
                    let (one, two) = (Canon::of(card).show(), Canon::of(it).show());
                    let lost = one.iter().filter(|line| !two.contains(line)).map(|line| format!("\n  - {line:.300?}"));
                    let new = two.iter().filter(|line| !one.contains(line)).map(|line| format!("\n  + {line:.300?}"));
                    format!("{place} {way} {through}{}", lost.chain(new).collect::<String>())
                });
            }
        }
    });
    tally.finish(count);
}

/// The letters of a property in no version's spelling: more than the fingerprint, which passes over groups, default
/// types, repetitions, order and bookkeeping.
fn spelt(property: &Property<'_>) -> (String, String, Vec<String>, String) {
    let it = PropertyBuf::from(property);
    let mut params: Vec<String> =
        it.params.iter().map(|(name, value)| format!("{}={}", name.to_uppercase(), value.to_lowercase())).collect();
    // One list of types may become several parameters, and a preference stand elsewhere.
    params.sort_unstable();
    let value = match it.value() {
        // 4.0 spells them without separators (RFC 6350 §4.3); before, either way is good.
        Value::Text(text) if shape(&it.name) == Shape::Date => text.trim().replace(['-', ':'], ""),
        Value::Text(text) => text.trim().to_owned(),
        Value::List(items) => items.join(","),
        Value::Structured(parts) => parts.iter().map(|items| items.join(",")).collect::<Vec<_>>().join(";"),
        Value::Binary { base64, .. } => base64.trim_end_matches('=').to_owned(),
    };
    (it.group.unwrap_or_default(), it.name.to_uppercase(), params, value)
}

#[test]
fn row22_what_another_version_cannot_say_is_restored() {
    let mut tally = Tally::default();
    let count = each(|place, card| {
        for through in VERSIONS.into_iter().filter(|&it| it != card.version()) {
            let there = convert(card, through);
            let back = convert(&Card::parse(&there).unwrap(), card.version());
            let back = Card::parse(&back).unwrap();
            let spelt = |card: &Card<'_>| -> Vec<_> {
                card.properties()
                    .iter()
                    .filter(|it| !it.is("VERSION") && it.param("X-SYNCML-DERIVED").is_none())
                    .map(spelt)
                    .collect()
            };
            let (wanted, found) = (spelt(card), spelt(&back));
            tally.check(wanted == found, || {
                let differing = wanted.iter().zip(&found).find(|(a, b)| a != b);
                format!("{place} by {through}: {} / {} properties, {differing:.400?}", wanted.len(), found.len())
            });
        }
    });
    tally.finish(count);
}

/// What the other version cannot say is in the base: a card that comes back as it was sent, in whatever version, is no
/// edit.
#[test]
fn row22_and_row28_what_comes_back_converted_changes_nothing() {
    let mut tally = Tally::default();
    let count = each(|place, card| {
        let whole = card.as_bytes();
        let all = Lens::from(Fields::from_bits(i64::MAX));
        for through in VERSIONS {
            let shown = convert(card, through);
            let back = put(whole, &shown, &all, &all).map(|put| put.whole);
            tally.check(back.as_deref() == Some(whole), || {
                let back = String::from_utf8_lossy(&back.unwrap_or_default()).into_owned();
                let before = String::from_utf8_lossy(whole);
                let new: Vec<&str> = back.lines().filter(|it| !before.lines().any(|line| line == *it)).collect();
                format!("{place} by {through}: {new:.300?}")
            });
        }
    });
    tally.finish(count);
}

/// A small generator, so that a failing case is told by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % below.max(1)
    }
}

/// Damage as lines, devices and people do it.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    const PIECES: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"=",
        b"=\r\n",
        b"=3D",
        b"=C3",
        b":",
        b";",
        b",",
        b"\\",
        b"\"",
        b"^",
        b"\0",
        b"\xFF",
        b"\xC3",
        b";ENCODING=QUOTED-PRINTABLE",
        b";ENCODING=BASE64",
        b";ENCODING=b",
        b";CHARSET=UTF-16",
        b";CHARSET=SHIFT_JIS",
        b";CHARSET=ISO-2022-JP",
        b"BEGIN:VCARD\r\n",
        b"END:VCARD\r\n",
        b"AGENT:\r\n",
        b"VERSION:2.1\r\n",
        b"VERSION:4.0\r\n",
        b"item1.",
        b"X-SYNCML-PARAM=",
        b"==0D=0A=\r\n",
        b"\xEF\xBB\xBF",
        b"data:;base64,",
    ];
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len() + 1);
        let to = at + dice.roll((bytes.len() - at).min(80) + 1);
        match dice.roll(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            2 => drop(bytes.drain(at..to)),
            3 => {
                let copy = bytes[at..to].to_vec();
                let place = dice.roll(bytes.len() + 1);
                bytes.splice(place..place, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let from = dice.roll(other.len() + 1);
                let piece = &other[from..other.len().min(from + dice.roll(200))];
                bytes.splice(at..to, piece.iter().copied());
            }
            _ => drop(bytes.splice(at..at, PIECES[dice.roll(PIECES.len())].iter().copied())),
        }
    }
}

/// Calls all that a session may call with a card, and holds what must hold for any bytes. Output is bounded by input.
fn endure(bytes: &[u8], original: &[u8]) {
    exercise(bytes);
    let bytes = decode_document(bytes);
    let Ok(card) = Card::parse(&bytes) else { return };
    let print = fingerprint(&card);
    for version in VERSIONS {
        let converted = convert(&card, version);
        assert!(converted.len() <= 16 * bytes.len() + 1024, "{} of {} bytes", converted.len(), bytes.len());
        let it = Card::parse(&converted).unwrap();
        assert!(version == card.version() || it.version() == version, "{version}");
        assert_eq!(fingerprint(&it), print, "{version} {:#?} {:#?}", Canon::of(&card).show(), Canon::of(&it).show());
    }
    for (one, two) in [(&*bytes, original), (original, &*bytes)] {
        let merged = merge3(original, one, two, Prefer::Incoming).unwrap();
        let united = union(one, two).unwrap();
        for it in [merged.content, united.content] {
            assert!(it.len() <= 16 * (one.len() + two.len()) + 1024, "{} bytes", it.len());
            Card::parse(&it).unwrap();
        }
    }
}

/// One in forty of 100,000, all of them with `SYNCML_TEST_FULL=1`, or as many as `SYNCML_MUTATIONS` says. `SYNCML_CASE=N` plays
/// only the case with that number.
#[test]
fn row37_and_row46_no_damage_makes_a_panic() {
    const LARGEST: usize = 8 * 1024;
    const ALL: usize = 100_000;
    let full = std::env::var("SYNCML_TEST_FULL").is_ok_and(|full| full == "1");
    let number = |name: &str| -> Option<usize> { std::env::var(name).ok().and_then(|it| it.parse().ok()) };
    let only = number("SYNCML_CASE");
    let wanted = number("SYNCML_MUTATIONS").unwrap_or(if full { ALL } else { ALL / 40 });
    let files = files();
    let originals: Vec<Vec<u8>> = files
        .iter()
        .flat_map(|(_, bytes)| cards(bytes).iter().map(|card| card.as_bytes().to_vec()).collect::<Vec<_>>())
        .filter(|bytes| bytes.len() <= LARGEST)
        .collect();
    let mut failures = Vec::new();
    for case in (0..ALL).step_by((ALL / wanted.clamp(1, ALL)).max(1)) {
        if only.is_some_and(|only| only != case) {
            continue;
        }
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (case as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        let original = &originals[dice.roll(originals.len())];
        let mut bytes = original.clone();
        mutate(&mut bytes, &originals[dice.roll(originals.len())], &mut dice);
        if catch_unwind(AssertUnwindSafe(|| endure(&bytes, original))).is_err() {
            failures.push((case, bytes));
        }
    }
    failures.sort_by_key(|(_, bytes)| bytes.len());
    for (case, bytes) in failures.iter().take(5) {
        eprintln!("case {case}: b\"{}\"", bytes.escape_ascii());
    }
    let numbers: Vec<usize> = failures.iter().map(|(case, _)| *case).collect();
    assert!(numbers.is_empty(), "{} cases: {numbers:?}", numbers.len());
}

/// What such damage has shown.
#[test]
fn row37_damage_of_old() {
    for card in [
        &b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nTEL;TYPE=\"\x00home,fax\":1\r\nEND:VCARD\r\n"[..],
        b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:A\r\nTEL;TYPE=\"home,wor\x17\":1\r\nEND:VCARD\r\n",
        b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:A\r\nTEL;TYPE,=\"home,voice\":1\r\nEND:VCARD\r\n",
        b"BEGIN:VCARD\nVERSION:3.0\nFN:A\nNICKNAME:data:;base64,mkr\nEND:VCARD\n",
    ] {
        endure(card, b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nEND:VCARD\r\n");
    }
}
